"""What may be wrong with Consul while everything hangs on it: it lies, it is emptied, its tokens and sessions are taken away. Running tasks
are not touched, what was acknowledged stays, and when Consul is well all is well."""
import shutil
import time

import consul as real
from harness import OUT, check, eventually, process_alive, shell_job
from liar import LIES, Liar
from test_replicas import leader, servers, write
from test_services import clean, token_file


# MB; the sanitizer keeps what was freed, up to 256. An answer that never ends would make it thousands.
GROWTH = 400 if "asan" in OUT else 80


def resident_mb(agent):
    with open("/proc/%d/status" % agent.process.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def long_job(agent, name="long"):
    """A running task with a service; returns its pid."""
    agent.register(shell_job(name, "echo $$ >local/pid; exec sleep 1000", kind="service", Services=[{"Name": name}]))
    agent.wait_status(name, "running")
    return agent.pid_file(name)


def untouched(agent, pid, name="long"):
    return process_alive(pid) and agent.pid_file(name) == pid and not agent.allocs(name)[0]["TaskStates"]["main"]["Restarts"]


def ready(agent):
    eventually("the node is ready", lambda: [n for n in agent.get("/v1/nodes").json() or [] if n["Status"] == "ready"])


def names(agent):
    return {j["ID"] for j in agent.get("/v1/jobs").json()}


def lies(journal):
    def test(cluster):
        consul = cluster.consul().servers[0]
        liar = Liar(consul.address)
        try:
            one = cluster.agent("one", journal=journal, config='consul { address = "%s"  dns = "" }' % liar.address)
            one.start(wait=False)
            eventually("it leads", lambda: one.alive() and one.get("/v1/status/leader").status == 200)
            ready(one)
            pid = long_job(one)
            before, written = resident_mb(one), {"long"}
            for lie in LIES:
                liar.become(lie)
                began = time.monotonic()
                eventually("somebody heard the lie: %s" % lie, lambda: liar.counts.get(lie))
                while time.monotonic() - began < 4:
                    r = one.get("/v1/jobs?stale", timeout=10)
                    check(r.status == 200 and {j["ID"] for j in r.json()} >= {"long"}, "%s: %d %s" % (lie, r.status, r.text))
                    if journal == "file":
                        check(write(one, "job-" + lie).status == 200, "%s: a server with its own journal does not write" % lie)
                        written.add("job-" + lie)
                    time.sleep(0.2)
                liar.become("pass")
                eventually("a write is accepted after %s" % lie, lambda: write(one, "after-" + lie).status == 200)
                written.add("after-" + lie)
            check(untouched(one, pid), "the task was touched")
            check(names(one) == written, "jobs: %s" % names(one))
            clean(one)
            check(resident_mb(one) < before + GROWTH, "it holds %.0f MB, before %.0f" % (resident_mb(one), before))
        finally:
            liar.close()
    return test


test_a_consul_that_lies_costs_a_server_with_a_file_nothing = lies("file")
test_a_consul_that_lies_costs_a_server_with_its_journal_there_nothing_for_good = lies("consul")


def emptied(n):
    def test(cluster):
        empty(cluster, n)
    return test


test_a_consul_that_was_emptied_gets_the_log_back_from_its_only_server = emptied(1)
test_a_consul_that_was_emptied_gets_the_log_back_with_the_last_that_was_acknowledged = emptied(2)


def empty(cluster, n):
    consul, agents = servers(cluster, n=n)
    client = cluster.agent("c", server=False, servers=[a.address for a in agents], config=consul.agents[0].block()).start()
    ready(agents[0])
    pid = long_job(agents[0])
    for i in range(20):
        check(write(agents[0], "job-%d" % i).status == 200, "not written")
    expected = names(agents[0])
    consul.agents[0].kill()
    shutil.rmtree(consul.agents[0].dir + "/data")
    consul.agents[0].start()
    real.wait_for("Consul has a leader", consul.leader)
    eventually("a write is accepted", lambda: write(agents[0], "after").status == 200, 60)
    for a in agents:
        eventually("%s has all of it" % a.name, lambda a=a: names(a) == expected | {"after"})
    check(untouched(agents[0], pid), "the task was touched")
    clean(agents[0])
    clean(client)
    agents[0].kill()
    agents[0].start(wait=False)
    eventually("who starts anew reads all of it",
               lambda: agents[0].alive() and {j["ID"] for j in agents[0].get("/v1/jobs?stale").json()} == expected | {"after"})


def test_sessions_that_somebody_destroys_cost_moments(cluster):
    consul, agents = servers(cluster, n=2)
    api, written = consul.agents[0], set()
    for n in range(6):
        for s in api.get("/v1/session/list").json():
            if n % 2 or s["Name"].startswith("drover"):
                check(api.put("/v1/session/destroy/" + s["ID"]).status == 200, "not destroyed")
        began = time.monotonic()
        eventually("a write is accepted", lambda: write(agents[n % 2], "job-%d" % n).status == 200)
        check(time.monotonic() - began < 10, "it took %.1f s" % (time.monotonic() - began))
        written.add("job-%d" % n)
    check(names(leader(agents)) == written, "jobs: %s" % names(agents[0]))


def test_a_token_that_is_revoked_and_replaced_while_all_runs(cluster):
    consul = cluster.consul(acl=True)
    rules = 'agent_prefix "" { policy = "read" } node_prefix "" { policy = "read" } service_prefix "" { policy = "write" } ' \
        'key_prefix "drover/" { policy = "write" } session_prefix "" { policy = "write" }'
    token = consul.new_token(rules)
    path = token_file(cluster, "token", token)
    one, other = (cluster.agent("s%d" % i, client=not i, journal="consul", config=consul.servers[0].block(token_file=path))
                  for i in range(2))
    for a in (one, other):
        a.start(wait=False)
        eventually("it knows who leads", lambda a=a: a.alive() and a.get("/v1/status/leader").status == 200)
    ready(one)
    pid = long_job(one)
    accessor = next(t["AccessorID"] for t in consul.servers[0].get("/v1/acl/tokens").json()
                    if consul.servers[0].get("/v1/acl/token/" + t["AccessorID"]).json()["SecretID"] == token)
    check(consul.servers[0].delete("/v1/acl/token/" + accessor).status == 200, "not revoked")

    def refused():
        r = write(one, "refused", timeout=30)
        return r if r.status in (500, 503) else None
    r = eventually("a write is refused", refused)
    said = eventually("the reason is Consul's", lambda: (lambda t: t if "ACL not found" in t else None)(write(one, "refused").text))
    check(token not in said and token not in one.tail(1000), "the token was printed")
    for a in (one, other):
        r = a.get("/v1/jobs?stale")
        check(r.status == 200 and [j["ID"] for j in r.json()] == ["long"], "%s: %d %s" % (a.name, r.status, r.text))
    check(process_alive(pid), "the task ended")
    token_file(cluster, "token", consul.new_token(rules))
    eventually("a write is accepted", lambda: write(one, "accepted").status == 200)
    check(untouched(one, pid), "the task was touched")
    clean(one)
