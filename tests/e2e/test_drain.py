"""Draining for real: processes end, are moved, are left to finish; the command and the agent wait until they are gone."""
import json
import os
import signal
import socket
import subprocess
import time

from harness import DROVER, Failed, check, eventually, process_alive, shell_job, start_time


def two(cluster):
    """A server with a client, and a second client."""
    a = cluster.one()
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    eventually("two nodes", lambda: len([n for n in a.get("/v1/nodes").json() if n["Status"] == "ready"]) == 2)
    return a, b


def node_of(agent, name):
    return next(n["ID"] for n in agent.get("/v1/nodes").json() if n["Name"] == name)


def on_node(agent, name):
    """Allocations whose processes are on the node, as the client says."""
    return [x for x in agent.get("/v1/node/%s/allocations" % node_of(agent, name)).json()
            if x["ClientStatus"] in ("running", "pending")]


def service(job_id, count=1, migrate=None, script="trap 'exit 0' INT TERM; while :; do sleep 0.05; done", **kw):
    return shell_job(job_id, script, kind="service", count=count,
                     Migrate=dict({"MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": 10**8,
                                   "HealthyDeadline": 60 * 10**9}, **(migrate or {})), **kw)


def test_an_empty_node_is_drained_at_once(cluster):
    a = cluster.one()
    out, _ = a.cli("node", "drain", "-enable", "-self", "-yes")
    lines = out.splitlines()
    check("Ctrl-C to stop monitoring: will not cancel the node drain" in lines[0], out)
    check("drain strategy set" in lines[1] and "Drain complete for node" in out and "have stopped" in lines[-1], out)
    out, _ = a.cli("node-status", "-self")
    check("ineligible" in out and "Node drain complete" in out, out)
    a.cli("node", "drain", "-monitor", "-self")
    a.cli("node", "eligibility", "-enable", "-self")


def test_the_old_spellings_and_flags_work_as_written(cluster):
    a = cluster.one()
    node = a.get("/v1/nodes").json()[0]["ID"]
    a.register(service("web", script="trap 'exit 0' INT; echo out; echo err >&2; while :; do sleep 0.05; done"))
    alloc = a.wait_status("web", "running")[0]["ID"]
    eventually("it has written", lambda: a.logs(alloc, "main", "stderr"))
    for words, expected in ((["node-status"], "active"), (["node-status", "-self"], node), (["status", "web"], "= running"),
                            (["logs", "-job", "-stderr", "web"], "err\n"), (["logs", "-stderr", alloc], "err\n")):
        out, _ = a.cli(*words)
        check(expected in out and "out\n" not in out, "%s: %s" % (words, out))
    # Both wait until the node is empty, and ask nothing; the service has nowhere to go before its deadline.
    for words in (["node-drain", "-self", "-enable"], ["node-drain", "-enable", "-yes", node]):
        waits = subprocess.Popen([DROVER, *words], env=dict(a.env, DROVER_ADDR=a.url), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        drain = eventually("the drain is set", lambda: (lambda d: d if d["Status"] == "draining" else None)(
            a.get("/v1/node/%s/drain" % node).json()))
        check(drain["Deadline"] == 3600 * 10**9, str(drain))
        check(a.get("/v1/node/" + node).json()["DrainStrategy"]["FinishBatch"] is True, "nobody has named the deadline")
        check(waits.poll() is None, "it has not waited")
        a.cli("node-drain", "-disable", "-yes", node[:8])
        out, _ = waits.communicate(timeout=30)
        check(waits.returncode == 1 and "was canceled" in out, out)
    check(a.get("/v1/node/" + node).json()["SchedulingEligibility"] == "eligible", "not eligible again")
    for words in (["node-drain", "-self", "-enable", "-detach"], ["node-drain", "-self", "-disable"]):
        a.cli(*words)
    check(len(a.wait_status("web", "running")) == 1, "something was stopped")


def test_a_service_moves_and_its_replacement_is_there_first(cluster):
    a, _ = two(cluster)
    a.register(service("web", count=2, constraints=None))
    a.wait_status("web", "running", count=2)
    source = "one" if on_node(a, "one") else "two"
    before = {x["ID"] for x in on_node(a, source)}
    done = subprocess.Popen([DROVER, "node", "drain", "-enable", "-yes", node_of(a, source)], env=dict(a.env, DROVER_ADDR=a.url),
                            stdout=subprocess.PIPE, text=True)
    lowest = 2
    while done.poll() is None:
        running = [x for x in a.allocs("web") if x["ClientStatus"] == "running"]
        lowest = min(lowest, len(running))
        time.sleep(0.02)
    out = done.stdout.read()
    check(done.returncode == 0, out)
    check(lowest >= 2, "only %d were running" % lowest)
    for alloc in before:
        check('Alloc "%s" marked for migration' % alloc in out and 'Alloc "%s" draining' % alloc in out and
              'Alloc "%s" status running -> complete' % alloc in out, out)
    check(not on_node(a, source), "something is left")
    check(len([x for x in a.allocs("web") if x["ClientStatus"] == "running"]) == 2, "not moved")


def test_an_agent_without_a_server_drains_itself_by_command(cluster):
    a, b = two(cluster)
    node = node_of(a, "two")
    out, _ = b.cli("node", "drain", "-self", "-enable", "-ignore-system", "-m", "it is noisy")
    check("Drain complete for node %s" % node in out, out)
    drain = b.get("/v1/node/%s/drain" % node).json()
    check(drain["Status"] == "complete" and drain["Meta"]["message"] == "it is noisy", str(drain))
    _, err = b.cli("node", "drain", "-self", "-monitor")
    check("No drain strategy set" in err, err)
    check([n["SchedulingEligibility"] for n in sorted(a.get("/v1/nodes").json(), key=lambda n: n["Name"])] ==
          ["eligible", "ineligible"], "another node was drained")


def test_a_build_is_left_to_finish_and_what_is_cut_off_is_done_again(cluster):
    a, _ = two(cluster)
    a.register(shell_job("build", "sleep 3; echo done >>$NOMAD_ALLOC_DIR/result"))
    alloc = a.wait_status("build", "running")[0]
    a.cli("node", "drain", "-enable", "-yes", "-no-deadline", alloc["NodeID"])
    check(a.alloc(alloc["ID"])["ClientStatus"] == "complete", "the build was not left to finish")
    check(len(a.allocs("build")) == 1, "it was done again")
    a.cli("node", "eligibility", "-enable", alloc["NodeID"])
    a.register(shell_job("long", "echo $$ >local/pid; exec sleep 1000"))
    alloc = a.wait_status("long", "running")[0]
    pid = a.pid_file("long")
    out, _ = a.cli("node", "drain", "-enable", "-yes", "-deadline", "15s", alloc["NodeID"])
    check(not process_alive(pid), "the process is still there")
    check("batch-running" in out, out)
    moved = eventually("it runs again elsewhere", lambda: [x for x in a.allocs("long") if x["ClientStatus"] == "running"])
    check(moved[0]["NodeID"] != alloc["NodeID"], str(moved))


def test_a_task_that_ignores_its_signal_is_gone_at_the_deadline(cluster):
    a = cluster.one()
    a.register(service("stubborn", script="trap '' INT TERM; echo $$ >local/pid; while :; do sleep 0.1; done",
                       task={"KillTimeout": 2 * 10**9}))
    a.wait_status("stubborn", "running")
    pid = a.pid_file("stubborn")
    started = time.monotonic()
    a.cli("node", "drain", "-enable", "-yes", "-self", "-deadline", "6s")
    took = time.monotonic() - started
    check(not process_alive(pid), "it is still there")
    check(took < 12, "it took %.1f s" % took)


def test_one_that_forks_away_is_gone_too(cluster):
    a = cluster.one()
    a.register(service("forker", script="(setsid sh -c 'echo $$ >local/pid2; exec sleep 1000' &) ; echo $$ >local/pid; exec sleep 1000"))
    a.wait_status("forker", "running")
    pids = [a.pid_file("forker", n) for n in ("pid", "pid2")]
    a.cli("node", "drain", "-enable", "-yes", "-self", "-force")
    for pid in pids:
        check(not process_alive(pid), "%s is still there" % pid)


def test_the_drain_says_what_it_waits_for_who_set_it_and_why(cluster):
    a = cluster.one()
    a.register(shell_job("build", "exec sleep 1000"))
    a.register(service("web"))
    a.wait_status("build", "running")
    a.wait_status("web", "running")
    node = a.get("/v1/nodes").json()[0]["ID"]
    a.cli("node", "drain", "-enable", "-yes", "-detach", "-no-deadline", "-m", "kernel update", "-meta", "ticket=7", node)
    d = eventually("both are waited for", lambda: (lambda d: d if d["Remaining"] == 2 else None)(a.get("/v1/node/%s/drain" % node).json()))
    codes = sorted(w["Code"] for w in eventually(
        "the causes settle", lambda: (lambda w: w if "max-parallel" not in [x["Code"] for x in w] else None)(
            a.get("/v1/node/%s/drain" % node).json()["Waits"])))
    check(codes == ["batch-running", "replacement-unplaced"], str(codes))
    check(d["Meta"]["message"] == "kernel update" and d["Meta"]["ticket"] == "7" and "@" in d["Meta"]["set_by"], str(d))
    out, _ = a.cli("node", "status", "-verbose", node)
    check("kernel update" in out, out)
    a.cli("node", "drain", "-disable", "-yes", node)
    check(a.get("/v1/node/%s/drain" % node).json()["Status"] == "canceled", "not canceled")
    check(len(on_node(a, "one")) == 2, "something was stopped")


def test_a_drain_survives_kill_9_of_server_and_client(cluster):
    a, b = two(cluster)
    for i in range(4):
        a.register(shell_job("build-%d" % i, "sleep 4; echo done", kind="batch"))
    eventually("all run", lambda: len(on_node(a, "one")) + len(on_node(a, "two")) == 4)
    builds = [a.allocs("build-%d" % i)[0]["ID"] for i in range(4)]
    a.cli("node", "drain", "-enable", "-yes", "-detach", "-no-deadline", node_of(a, "two"))
    b.kill()
    a.kill()
    a.start()
    b.start()
    node = node_of(a, "two")
    eventually("the drain is done", lambda: a.get("/v1/node/%s/drain" % node).json()["Status"] == "complete", 60)
    for i in range(4):
        check([x["ID"] for x in a.wait_status("build-%d" % i, "complete")] == [builds[i]], "a build was done again")


def test_an_agent_that_is_stopped_drains_itself_and_comes_back_eligible(cluster):
    cluster.client_options = 'drain_on_shutdown { deadline = "1m" }'
    a, b = two(cluster)
    # As systemd listens to a service.
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(os.path.join(cluster.dir, "notify"))
    manager.settimeout(20)
    b.kill()
    b.env["NOTIFY_SOCKET"] = os.path.join(cluster.dir, "notify")
    b.start()
    check(manager.recv(1000) == b"READY=1\n", "not ready")
    jobs = ["build-%d" % i for i in range(6)]
    for j in jobs:
        job = shell_job(j, "sleep 3; echo done")
        job["Constraints"] = [{"LTarget": "${node.unique.name}", "RTarget": "two", "Operand": "="}]
        a.register(job)
    eventually("some run on two", lambda: on_node(a, "two"))
    mine = [x["ID"] for x in on_node(a, "two")]
    b.process.send_signal(signal.SIGTERM)
    asks = manager.recv(1000).decode()
    check("STOPPING=1\n" in asks and "EXTEND_TIMEOUT_USEC=" in asks, asks)
    manager.close()
    check(b.process.wait(60) == 0, b.tail())
    for alloc in mine:
        check(a.alloc(alloc)["ClientStatus"] == "complete", "a build was lost: %s" % a.alloc(alloc)["ClientStatus"])
    node = next(n for n in a.get("/v1/nodes").json() if n["Name"] == "two")
    check(node["Status"] == "down", "it has not left: %s" % node["Status"])
    b.start()
    eventually("it is back and takes work", lambda: [
        n for n in a.get("/v1/nodes").json() if n["Name"] == "two" and n["Status"] == "ready" and
        n["SchedulingEligibility"] == "eligible"])
    # One that somebody has taken out of service stays there.
    a.cli("node", "eligibility", "-disable", node_of(a, "two"))
    b.kill(signal.SIGTERM)
    b.start()
    two_back = eventually("it is back again", lambda: [
        n for n in a.get("/v1/nodes").json() if n["Name"] == "two" and n["Status"] == "ready"])
    check(two_back[0]["SchedulingEligibility"] == "ineligible", "it takes work, and was to take none")


def test_a_node_that_goes_down_while_it_is_drained_is_not_called_empty(cluster):
    cluster.server_options = 'min_heartbeat_ttl = "1s"  heartbeat_grace = "1s"'
    a, b = two(cluster)
    job = shell_job("build", "exec sleep 1000")
    job["Constraints"] = [{"LTarget": "${node.unique.name}", "RTarget": "two", "Operand": "="}]
    a.register(job)
    a.wait_status("build", "running")
    waits = subprocess.Popen([DROVER, "node", "drain", "-enable", "-no-deadline", node_of(a, "two")], text=True,
                             env=dict(a.env, DROVER_ADDR=a.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually("the drain is set", lambda: a.get("/v1/node/%s/drain" % node_of(a, "two")).json()["Status"] == "draining")
    b.kill()
    out, err = waits.communicate(timeout=60)
    check(waits.returncode == 4 and "nobody can say what still runs there" in err and "have stopped" not in out, out + err)
    check(len(living(b)) == 1, "the process lives, which is why")


def test_usage_errors_are_those_that_scripts_know(cluster):
    a = cluster.one()
    node = a.get("/v1/nodes").json()[0]["ID"]
    cases = [
        (["node", "drain", node], "Either the '-enable' or '-disable' flag must be set, unless using '-monitor'"),
        (["node", "drain", "-enable", "-disable", node], "Either the '-enable' or '-disable' flag must be set"),
        (["node", "drain", "-enable"], "Node ID must be specified if -self isn't being used"),
        (["node", "drain", "-enable", "-yes", "00000000"], 'No node(s) with prefix or id "00000000" found'),
        (["node", "drain", "-enable", "-yes", "-deadline", "-1h", node], "A positive drain duration must be given"),
        (["node", "drain", "-enable", "-yes", "-force", "-deadline", "1h", node], "-deadline can't be combined with -force or -no-deadline"),
        (["node", "drain", "-enable", "-yes", "-force", "-no-deadline", node], "-force and -no-deadline are mutually exclusive"),
    ]
    for words, sentence in cases:
        _, err = a.cli(*words, expect=1)
        check(sentence in err, "%s: %s" % (words, err))
    _, err = a.cli("node", "drain", "-monitor", node)
    check("No drain strategy set" in err, err)
    out, _ = a.cli("node", "drain", "-enable", node[:8], input="n\n")
    check("Canceling drain toggle" in out, out)
    out, _ = a.cli("node", "drain", "-enable", node[:8], input="yes\n", expect=None)
    check("an exact 'y' is required" in out, out)


def test_one_that_is_stuck_in_the_kernel_is_named_with_its_cause_and_the_drain_does_not_end_before_it(cluster):
    """A task in uninterruptible sleep, which no signal ends: it writes to a file system that is frozen, as to a dead disk."""
    a = cluster.one()
    disk, folder = os.path.join(cluster.dir, "disk"), os.path.join(cluster.dir, "stuck")
    os.mkdir(folder)
    for words in (["truncate", "-s", "16M", disk], ["mkfs.ext4", "-q", disk], ["mount", "-o", "loop", disk, folder],
                  ["chmod", "777", folder]):
        subprocess.run(words, check=True)
    frozen = False
    try:
        a.register(service("stuck", script="echo $$ >local/pid; while [ ! -e local/go ]; do sleep 0.05; done; echo x >%s/file" % folder,
                           task={"KillTimeout": 10**9}))
        alloc = a.wait_status("stuck", "running")[0]
        pid = eventually("it is up", lambda: a.pid_file("stuck"))
        subprocess.run(["fsfreeze", "-f", folder], check=True)
        frozen = True
        open(os.path.join(a.data, "alloc", alloc["ID"], "main", "local", "go"), "w").close()

        def state():
            with open("/proc/%s/stat" % pid) as f:
                return f.read().rsplit(")", 1)[1].split()[0]
        eventually("it is stuck", lambda: state() == "D")
        _, err = a.cli("node", "drain", "-enable", "-yes", "-self", "-deadline", "4s", expect=3)
        check("deadline" in err and alloc["ID"] in err and "stopping" in err, err)
        check("Sent SIGKILL 5s ago; process %s is still there, in state D" % pid in err, err)
        drain = a.get("/v1/node/%s/drain" % alloc["NodeID"]).json()
        check(drain["Status"] == "draining" and drain["PastDeadline"] and drain["Remaining"] == 1, str(drain))
        subprocess.run(["fsfreeze", "-u", folder], check=True)
        frozen = False
        eventually("the drain is done", lambda: a.get("/v1/node/%s/drain" % alloc["NodeID"]).json()["Status"] == "complete")
        check(not process_alive(pid), "it is done, and the process is there")
    finally:
        if frozen:
            subprocess.run(["fsfreeze", "-u", folder], check=False)
        for _ in range(50):
            if subprocess.run(["umount", folder], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


def lines_of(out, words):
    """Ids of allocations in lines with these words."""
    return sorted(line.split('"')[1] for line in out.splitlines() if words in line and "Alloc " in line)


def living(agent):
    return [r["task"] for r in agent.run_records() if r.get("task", (0, 0))[0] and start_time(r["task"][0]) == r["task"][1]]


def test_many_go_together_and_each_is_told_of(cluster):
    """The same with a thousand is measured by `make bench`."""
    n = 40
    a = cluster.one()
    a.register(service("web", count=n, migrate={"MaxParallel": n, "MinHealthyTime": 0}, task={"Config": {
        "command": "/bin/sleep", "args": ["1000"]}, "Resources": {"CPU": 1, "MemoryMB": 10}}))
    first = sorted(x["ID"] for x in a.wait_status("web", "running", count=n))
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    eventually("two nodes", lambda: len([x for x in a.get("/v1/nodes").json() if x["Status"] == "ready"]) == 2)
    out, _ = a.cli("node", "drain", "-enable", "-self")
    check(not living(a), "processes are left")
    second = sorted(x["ID"] for x in a.allocs("web") if x["ClientStatus"] == "running")
    check(len(second) == n == len(living(b)), "%d run, %d processes" % (len(second), len(living(b))))
    out += b.cli("node", "drain", "-enable", "-self", "-force")[0]
    check(not living(b), "processes are left")
    for words in ("marked for migration", "draining", "status running -> complete"):
        check(lines_of(out, words) == sorted(first + second), "%s: %d of %d" % (words, len(lines_of(out, words)), 2 * n))
