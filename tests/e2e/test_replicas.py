"""Several servers that are one, by the journal in Consul."""
import json
import threading
import time

from harness import Failed, check, eventually, lasts, process_alive, shell_job


def start_some(cluster, n, consul=None, client=False, expect=1, first=0, prepare=lambda agent: agent):
    """n servers on one Consul, started; returns (consul, servers)."""
    consul = consul or cluster.consul()
    cluster.server_options = "bootstrap_expect = %d" % expect
    agents = [cluster.agent("s%d" % i, client=client, journal="consul",
                            config='consul { address = "%s" }' % consul.agents[0].address) for i in range(first, first + n)]
    for a in agents:
        prepare(a).start(wait=False)
    return consul, agents


def servers(cluster, n=3, **kw):
    """The same, and they have a leader."""
    consul, agents = start_some(cluster, n, **kw)
    for a in agents:
        eventually("%s knows a leader" % a.name, lambda: leader_of(a))
    return consul, agents


def leader_of(agent):
    try:
        r = agent.get("/v1/status/leader", timeout=5)
    except OSError:
        return None
    return r.json() if r.status == 200 else None


def leader(agents):
    """The one that says of itself that it leads."""
    def find():
        for a in agents:
            if a.process.poll() is None:
                try:
                    if a.get("/v1/internal/server", timeout=2).json()["State"] == "leading":
                        return a
                except (OSError, ValueError):
                    pass
        return None
    return eventually("somebody leads", find)


def write(agent, job_id, timeout=60):
    return agent.put("/v1/jobs", {"Job": shell_job(job_id, "true", count=0)}, timeout=timeout)


def test_one_of_three_leads_and_all_answer(cluster):
    _, agents = servers(cluster)
    boss = leader(agents)
    for i, a in enumerate(agents):
        r = write(a, "job-%d" % i)
        check(r.status == 200, "%s: %d %s" % (a.name, r.status, r.text))
    for a in agents:
        check(len(a.get("/v1/jobs").json()) == 3, "%s does not see all jobs" % a.name)
        stale = eventually("%s has followed" % a.name, lambda: len(a.get("/v1/jobs?stale").json()) == 3 and a.get("/v1/jobs?stale"))
        check(stale.headers["X-Nomad-KnownLeader"] == "true", str(stale.headers))
    out, _ = boss.cli("server", "members")
    check(out.count("alive") == 3 and out.count("true") == 1, out)
    out, _ = agents[0].cli("operator", "raft", "list-peers")
    check(out.count("leader") == 1 and out.count("follower") == 2, out)


SLOW = 4  # seconds that a crowded machine may add; `make bench` measures


def starts(agent):
    return {a["ID"]: [t["StartedAt"] for t in a["TaskStates"].values()] for a in agent.allocs("long")}


def downs(agent, node):
    """What was said of a node that has to do with its being down."""
    return [e["Message"] for e in agent.get("/v1/node/" + node).json()["Events"] if "missed" in e["Message"] or "rereg" in e["Message"]]


def test_a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost(cluster):
    _, agents = servers(cluster)
    boss = leader(agents)
    others = [a for a in agents if a is not boss]
    cluster.agent("c", server=False, servers=[a.address for a in agents]).start()
    eventually("the node is ready", lambda: [n for n in boss.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    boss.register(shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service", count=3))
    boss.wait_status("long", "running", count=3)
    before_tasks = starts(boss)
    acknowledged, stop = [], threading.Event()

    def load(k):
        n = 0
        while not stop.is_set():
            job = "load-%d-%d" % (k, n)
            n += 1
            try:
                if write(others[k % 2], job, timeout=20).status == 200:
                    acknowledged.append(job)
            except OSError:
                pass
    threads = [threading.Thread(target=load, args=(k,)) for k in range(16)]
    for t in threads:
        t.start()
    time.sleep(1.5)
    boss.kill()
    killed = time.monotonic()
    before = len(acknowledged)

    def accepted():
        try:
            return write(others[0], "after", timeout=10).status == 200
        except OSError:
            return False
    eventually("a standby accepts a write", accepted)
    took = time.monotonic() - killed
    time.sleep(0.5)
    stop.set()
    for t in threads:
        t.join()
    check(before > 0, "nothing was written before the kill")
    check(took < 3 + SLOW, "it took %.1f s" % took)
    jobs = [j["ID"] for j in others[1].get("/v1/jobs").json()]
    missing = [j for j in acknowledged if j not in set(jobs)]
    check(not missing, "acknowledged and lost: %s" % missing[:5])
    check(len(jobs) == len(set(jobs)), "a job is there twice")
    check(starts(others[1]) == before_tasks, "tasks were touched: %s, before %s" % (starts(others[1]), before_tasks))
    node = others[1].get("/v1/nodes").json()[0]
    check(node["Status"] == "ready" and not downs(others[1], node["ID"]), "the node was down: %s" % downs(others[1], node["ID"]))
    print("       first write %.2f s after the kill; %d writes acknowledged" % (took, len(acknowledged)))


def test_an_orderly_stop_hands_leadership_over_at_once(cluster):
    _, agents = servers(cluster)
    boss = leader(agents)
    others = [a for a in agents if a is not boss]
    check(write(boss, "before").status == 200, "not written")
    started = time.monotonic()
    boss.kill(15)
    new = leader(others)
    check(write(new, "after").status == 200, "not written")
    check({j["ID"] for j in new.get("/v1/jobs").json()} == {"before", "after"}, "jobs differ")
    print("       %.2f s from SIGTERM to the next write" % (time.monotonic() - started))


def test_a_server_that_starts_anew_reads_everything(cluster):
    _, agents = servers(cluster, n=1)
    for i in range(20):
        check(write(agents[0], "job-%d" % i).status == 200, "not written")
    agents[0].kill()
    agents[0].start(wait=False)
    eventually("it leads again", lambda: leader_of(agents[0]))
    check(len(agents[0].get("/v1/jobs").json()) == 20, "jobs are missing")


def test_tasks_run_on_through_a_change_of_leader(cluster):
    consul, agents = servers(cluster, n=3)
    client = cluster.agent("c1", server=False, servers=[a.address for a in agents])
    client.start(wait=False)
    eventually("the node is ready", lambda: [n for n in agents[0].get("/v1/nodes").json() if n["Status"] == "ready"])
    r = agents[0].put("/v1/jobs", {"Job": shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service", count=3)})
    check(r.status == 200, r.text)
    agents[1].wait_status("long", "running", count=3)
    before = {a["ID"]: a["TaskStates"]["main"]["StartedAt"] for a in agents[1].allocs("long")}
    boss = leader(agents)
    boss.kill()
    new = leader([a for a in agents if a is not boss])
    time.sleep(5)
    after = {a["ID"]: a["TaskStates"]["main"]["StartedAt"] for a in new.allocs("long")}
    check(before == after, "tasks were touched: %s %s" % (before, after))
    check([n["Status"] for n in new.get("/v1/nodes").json()] == ["ready"], "the node is not ready")


@lasts(45)
def test_while_consul_is_away_stale_reads_are_answered_and_writes_refused_with_the_reason(cluster):
    consul, agents = servers(cluster, n=2)
    client = cluster.agent("c1", server=False, servers=[a.address for a in agents])
    client.start(wait=False)
    eventually("the node is ready", lambda: [n for n in agents[0].get("/v1/nodes").json() if n["Status"] == "ready"])
    agents[0].put("/v1/jobs", {"Job": shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service")})
    agents[0].wait_status("long", "running")
    pid = agents[0].pid_file("long")
    consul.agents[0].kill()
    r = eventually("writes are refused", lambda: (lambda r: r if r.status == 503 else None)(write(agents[0], "x", timeout=30)))
    check("Consul" in r.text, r.text)
    r = write(agents[1], "y", timeout=30)
    check(r.status in (500, 503), "%d %s" % (r.status, r.text))
    for a in agents:
        r = a.get("/v1/jobs?stale")
        check(r.status == 200 and [j["ID"] for j in r.json()] == ["long"], "%d %s" % (r.status, r.text))
    r = agents[0].get("/v1/jobs", timeout=30)
    check(r.status in (500, 503) and "Consul" in r.text, "%d %s" % (r.status, r.text))
    time.sleep(10)
    check(process_alive(pid), "the task ended")
    for a in agents:
        r = a.get("/v1/jobs?stale")
        check(r.headers["X-Nomad-KnownLeader"] == "false" and int(r.headers["X-Nomad-LastContact"]) > 8000, str(r.headers))
        out, warning = a.cli("job", "status")
        check("long" in out and "Warning: this is as a server knew it" in warning, out + warning)
    consul.agents[0].start()
    back = time.monotonic()
    eventually("writes are accepted again", lambda: write(agents[0], "z", timeout=30).status == 200)
    eventually("both answer", lambda: all(a.get("/v1/jobs").status == 200 for a in agents))
    check(time.monotonic() - back < 30, "it took %.0f s" % (time.monotonic() - back))
    check(process_alive(pid) and agents[1].pid_file("long") == pid, "the task was restarted")
    for a in agents:
        eventually("%s is up to date" % a.name, lambda a=a: (lambda h: h["X-Nomad-KnownLeader"] == "true" and int(
            h["X-Nomad-LastContact"]) < 2000)(a.get("/v1/jobs?stale").headers))


def pause(seconds):
    @lasts(seconds)
    def test(cluster):
        consul, agents = servers(cluster)
        client = cluster.agent("c1", server=False, servers=[a.address for a in agents])
        client.start(wait=False)
        eventually("the node is ready", lambda: [n for n in agents[0].get("/v1/nodes").json() if n["Status"] == "ready"])
        agents[0].put("/v1/jobs", {"Job": shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service")})
        agents[0].wait_status("long", "running")
        pid = agents[0].pid_file("long")
        boss = leader(agents)
        others = [a for a in agents if a is not boss]
        boss.process.send_signal(19)
        stopped = time.monotonic()
        new = leader(others)
        check(write(new, "meanwhile").status == 200, "not written")
        time.sleep(max(0, seconds - (time.monotonic() - stopped)))
        # What reaches the old leader now waits in its sockets: it must not be answered from what it believes.
        answers = []
        reader = threading.Thread(target=lambda: answers.append(boss.get("/v1/job/meanwhile", timeout=60)))
        writer = threading.Thread(target=lambda: answers.append(write(boss, "late")))
        reader.start()
        writer.start()
        time.sleep(0.2)
        boss.process.send_signal(18)
        reader.join()
        writer.join()
        for r in answers:
            check(r.status != 404, "the old leader answered from the past: %s" % r.text)
        eventually("the old leader follows", lambda: boss.get("/v1/internal/server").json()["State"] == "following")
        eventually("all agree", lambda: len({json.dumps(sorted(j["ID"] for j in a.get("/v1/jobs").json())) for a in agents}) == 1)
        check(process_alive(pid) and new.pid_file("long") == pid, "the task was restarted")
        check([n["Status"] for n in new.get("/v1/nodes").json()] == ["ready"], "the node is not ready")
    return test


test_a_leader_that_stands_still_for_5_s_writes_nothing_more = pause(5)
test_a_leader_that_stands_still_for_15_s_writes_nothing_more = pause(15)
test_a_leader_that_stands_still_for_30_s_writes_nothing_more = pause(30)
test_a_leader_that_stands_still_for_60_s_writes_nothing_more = pause(60)


@lasts(30)
def test_a_server_that_comes_late_is_waited_for_and_completes_the_cluster(cluster):
    consul, agents = start_some(cluster, 2, expect=3)
    time.sleep(22)  # Consul has found twice by now that there is no leader
    for a in agents:
        check("waiting for servers" in a.get("/v1/internal/server").json()["Trouble"], a.tail())
    _, more = start_some(cluster, 1, expect=3, consul=consul, first=2)
    boss = leader(agents + more)
    check(write(boss, "now").status == 200, "not written")
