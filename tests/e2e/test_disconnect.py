"""Nodes that cannot be reached for some seconds, with real agents and processes: what is unknown or lost, who stops by itself, and
that originals survive the healing by the same pids. An agent that is stopped with SIGSTOP is what a cut cable is for the servers:
nobody answers, and its tasks go on; a server that is stopped is the same for a client."""
import os
import signal
import subprocess
import sys
import time

from harness import ROOT, check, eventually, lasts, process_alive, shell_job

SOON = 'min_heartbeat_ttl = "2s"  heartbeat_grace = "1s"'
SLEEPER = "echo $$ >local/pid; exec sleep 1000"


def fleet(cluster):
    """A server, and two clients beside it."""
    cluster.server_options = SOON
    server = cluster.agent("server", client=False).start()
    clients = {n: cluster.agent(n, server=False, servers=[server.address]).start() for n in ("c0", "c1")}
    eventually("both nodes are ready", lambda: [n["Status"] for n in server.get("/v1/nodes").json()] == ["ready"] * 2)
    return server, clients


def node(server, name):
    listed = next(n for n in server.get("/v1/nodes").json() if n["Name"] == name)
    return server.get("/v1/node/" + listed["ID"]).json()


def events(server, name):
    return [e["Message"] for e in node(server, name)["Events"]]


def live(server, job):
    return [a for a in server.allocs(job) if a["ClientStatus"] == "running" and a["DesiredStatus"] == "run"]


def pid_of(client, alloc):
    """Of the allocation's task, by the record of its keeper."""
    for r in client.run_records():
        if alloc["ID"] in r["path"] and "task" in r:
            return r["task"][0]
    return None


def freeze(client):
    client.process.send_signal(signal.SIGSTOP)


def thaw(client):
    client.process.send_signal(signal.SIGCONT)


def test_the_original_survives_by_its_pid_and_the_copy_stops(cluster):
    server, clients = fleet(cluster)
    jobs = {  # name: (disconnect block, what the node and the original are called meanwhile)
        "plain": (None, "lost"),
        "waits": ({"LostAfter": 60 * 10**9, "Reconcile": "keep_original"}, "unknown"),
    }
    for name, (block, _) in jobs.items():
        server.register(shell_job(name, SLEEPER, kind="service", **({"Disconnect": block} if block else {})))
    placed = {name: server.wait_status(name, "running", count=1)[0] for name in jobs}
    at = placed["waits"]["NodeName"]
    check(placed["plain"]["NodeName"] == at, "they are not on one node: %s" % placed)
    pids = {name: pid_of(clients[at], a) for name, a in placed.items()}
    freeze(clients[at])
    eventually("the node is disconnected", lambda: node(server, at)["Status"] == "disconnected")
    for name, (_, called) in jobs.items():
        eventually("%s runs elsewhere" % name, lambda n=name: [a for a in live(server, n) if a["NodeName"] != at])
        original = server.alloc(placed[name]["ID"])
        check(original["ClientStatus"] == called, str(original["ClientStatus"]))
    out, _ = server.cli("job", "status", "waits")
    check("Unknown" in out and "unknown" in out, out)
    out, _ = server.cli("node", "status")
    check("disconnected" in out and "active" in out, out)
    out, _ = server.cli("alloc", "status", placed["waits"]["ID"])
    check("unknown since its node is disconnected" in out, out)
    time.sleep(1)
    copies = {name: pid_of(clients["c1" if at == "c0" else "c0"], live(server, name)[0]) for name in jobs}
    healed = time.monotonic()
    thaw(clients[at])
    for name in jobs:
        eventually("the copy of %s is gone" % name, lambda n=name: not process_alive(copies[n]))
    took = time.monotonic() - healed
    print("       %.2f s from the healing until no two run" % took)
    check(took < 8, "two ran for %.1f s" % took)
    eventually("the node is active", lambda: node(server, at)["Status"] == "ready")
    for name in jobs:
        running = eventually("one of %s runs" % name, lambda n=name: (lambda l: l if len(l) == 1 else None)(live(server, n)))
        check(running[0]["ID"] == placed[name]["ID"], "another one than the original: %s" % running)
        check(process_alive(pids[name]) and pid_of(clients[at], running[0]) == pids[name], "the original of %s was restarted" % name)
        check(running[0]["TaskStates"]["main"]["Restarts"] == 0, str(running[0]["TaskStates"]))
        check("Reconnected" in [e["Type"] for e in running[0]["TaskStates"]["main"]["Events"]], str(running[0]["TaskStates"]))
    check("Node reported its allocations" in events(server, at), str(events(server, at)))


def test_the_replacement_is_kept_where_the_block_says_so_and_time_runs_out_where_it_does(cluster):
    server, clients = fleet(cluster)
    server.register(shell_job("newer", SLEEPER, kind="service", Disconnect={"LostAfter": 60 * 10**9, "Reconcile": "keep_replacement"}))
    server.register(shell_job("brief", SLEEPER, kind="service", Disconnect={"LostAfter": 3 * 10**9, "Replace": False}))
    placed = {name: server.wait_status(name, "running", count=1)[0] for name in ("newer", "brief")}
    at = placed["newer"]["NodeName"]
    check(placed["brief"]["NodeName"] == at, "they are not on one node")
    old = pid_of(clients[at], placed["newer"])
    freeze(clients[at])
    eventually("it is unknown", lambda: server.alloc(placed["brief"]["ID"])["ClientStatus"] == "unknown")
    check(not live(server, "brief"), "it was replaced at once")
    out, _ = server.cli("why", "brief")
    check("1 allocation is unknown, since node %s is away" % at in out, out)
    eventually("its time is over", lambda: server.alloc(placed["brief"]["ID"])["ClientStatus"] == "lost")
    eventually("it runs elsewhere", lambda: live(server, "brief"))
    copy = eventually("the other one runs elsewhere", lambda: live(server, "newer"))[0]
    thaw(clients[at])
    eventually("the original has ended", lambda: not process_alive(old))
    check([a["ID"] for a in live(server, "newer")] == [copy["ID"]], str(live(server, "newer")))


def test_a_build_that_ends_while_nobody_hears_it_is_done_and_its_copy_stops(cluster):
    server, clients = fleet(cluster)
    folder = os.path.join(cluster.dir, "done")
    os.makedirs(folder)
    # Ends when it is told to; the copy would take for ever.
    server.register(shell_job("build", "echo $$ >local/pid; while [ ! -e %s/$NOMAD_ALLOC_ID ]; do sleep 0.1; done" % folder))
    original = server.wait_status("build", "running", count=1)[0]
    at = original["NodeName"]
    pid = pid_of(clients[at], original)
    freeze(clients[at])
    copy = eventually("it is done again elsewhere", lambda: [a for a in live(server, "build") if a["ID"] != original["ID"]])[0]
    open(os.path.join(folder, original["ID"]), "w").close()
    eventually("the original has ended", lambda: not process_alive(pid))
    thaw(clients[at])
    eventually("the copy is stopped", lambda: server.alloc(copy["ID"])["ClientStatus"] == "complete")
    check(server.alloc(copy["ID"])["DesiredStatus"] == "stop", "the copy has ended by itself")
    original = server.alloc(original["ID"])
    check((original["ClientStatus"], original["DesiredStatus"]) == ("complete", "run"), str(original))
    eventually("the job is over", lambda: server.get("/v1/job/build").json()["Status"] == "dead")
    check(len(server.allocs("build")) == 2, "it was done again")


def test_what_must_not_run_alone_stops_by_itself_also_when_its_agent_was_away(cluster):
    cluster.server_options = SOON
    server = cluster.agent("server", client=False).start()
    client = cluster.agent("c0", server=False, servers=[server.address]).start()
    block = {"StopOnClientAfter": 4 * 10**9}
    server.register(shell_job("single", SLEEPER, Disconnect=block))
    server.register(shell_job("other", SLEEPER, kind="service"))
    first = server.wait_status("single", "running", count=1)[0]
    other = server.wait_status("other", "running", count=1)[0]
    pids = [pid_of(client, first), pid_of(client, other)]
    time.sleep(5)  # while servers answer, it goes on
    check(process_alive(pids[0]), "it was stopped, although the servers answer")
    freeze(server)
    cut = time.monotonic()
    eventually("it stops by itself", lambda: not process_alive(pids[0]))
    took = time.monotonic() - cut
    check(2 < took < 8, "it stopped after %.1f s" % took)
    check(process_alive(pids[1]), "another one was stopped, too")
    thaw(server)
    second = eventually("it is done again, as it was not done", lambda: [a for a in live(server, "single") if a["ID"] != first["ID"]])[0]
    said = server.alloc(first["ID"])["TaskStates"]["main"]["Events"]
    check(any("no server has answered for 4s" in e["DisplayMessage"] for e in said), str(said))
    # And with the agent away: what it cannot stop in time it stops first of all.
    pid = eventually("it runs", lambda: pid_of(client, second))
    time.sleep(1.5)
    freeze(server)
    client.kill()
    time.sleep(4.5)
    check(process_alive(pid), "a task ended with its agent")
    client.start(wait=False)
    started = time.monotonic()
    eventually("it is stopped", lambda: not process_alive(pid))
    check(time.monotonic() - started < 3, "it was counted anew")
    check(process_alive(pids[1]), "another one was stopped, too")
    thaw(server)
    eventually("it runs again", lambda: [a for a in live(server, "single") if a["ID"] not in (first["ID"], second["ID"])])


@lasts(35)
def test_after_a_cut_of_the_network_originals_go_on_and_nothing_runs_twice(cluster):
    r = subprocess.run(["unshare", "--net", sys.executable, os.path.join(ROOT, "tests", "e2e", "run_partition.py"), "15"], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    check(r.returncode == 0, r.stdout)
    print("".join("       %s\n" % line for line in r.stdout.splitlines()), end="")
