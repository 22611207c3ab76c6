#!/usr/bin/env python3
"""A machine with work loses its cable for some seconds, while its agent runs, and gets it back; see test_disconnect.py.

    unshare --net tests/e2e/run_partition.py SECONDS

Takes root: every agent has a network namespace of its own (nemesis.py).
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import nemesis  # noqa: E402
from harness import check, eventually, process_alive, shell_job  # noqa: E402
from test_disconnect import SLEEPER, SOON, events, live, node, pid_of  # noqa: E402

JOBS = {  # what their originals are called meanwhile
    "plain": ({}, "lost"),
    "waits": ({"Disconnect": {"LostAfter": 600 * 10**9, "Reconcile": "keep_original"}}, "unknown"),
    "single": ({"Disconnect": {"StopOnClientAfter": 5 * 10**9}}, "unknown"),
}


def story(cluster, net, seconds):
    cluster.server_options = SOON
    server = cluster.agent("server", client=False, machine=net.machine()).start()
    clients = {n: cluster.agent(n, server=False, servers=[server.address], machine=net.machine()) for n in ("c0", "c1")}
    machines = dict(zip(clients, net.machines[1:]))
    clients["c0"].start()
    eventually("the first node is ready", lambda: len(server.get("/v1/nodes").json()) == 1)
    for name, (blocks, _) in JOBS.items():
        server.register(shell_job(name, SLEEPER, kind="service", **blocks))
    placed = {name: server.wait_status(name, "running", count=1)[0] for name in JOBS}
    pids = {name: pid_of(clients["c0"], a) for name, a in placed.items()}
    clients["c1"].start()
    eventually("the second node is ready", lambda: [n["Status"] for n in server.get("/v1/nodes").json()] == ["ready"] * 2)
    machines["c0"].cut()
    cut = time.monotonic()
    for name in ("plain", "waits"):
        eventually("%s runs elsewhere" % name, lambda n=name: live(server, n) and live(server, n)[0]["NodeName"] == "c1")
    copies = {name: pid_of(clients["c1"], live(server, name)[0]) for name in ("plain", "waits")}
    for name, (_, called) in JOBS.items():
        check(server.alloc(placed[name]["ID"])["ClientStatus"] == called, "%s: %s" % (name, server.alloc(placed[name]["ID"])))
    eventually("what must not run alone stops by itself", lambda: not process_alive(pids["single"]))
    time.sleep(max(0, seconds - (time.monotonic() - cut)))
    check(process_alive(pids["plain"]) and process_alive(pids["waits"]), "originals were stopped while nobody heard them")
    machines["c0"].join()
    healed = time.monotonic()
    eventually("the node is active", lambda: node(server, "c0")["Status"] == "ready", deadline=60)
    heard = time.monotonic()
    for name in copies:
        eventually("the copy of %s is gone" % name, lambda n=name: not process_alive(copies[n]))
    print("heard %.1f s after the healing of a cut of %.0f s; copies gone %.1f s later" % (
        heard - healed, healed - cut, time.monotonic() - heard))
    check(time.monotonic() - heard < 8, "two ran for too long")
    for name in copies:
        running = eventually("one of %s runs" % name, lambda n=name: (lambda l: l if len(l) == 1 else None)(live(server, n)))[0]
        check(running["ID"] == placed[name]["ID"] and process_alive(pids[name]), "the original of %s did not survive" % name)
        check(running["TaskStates"]["main"]["Restarts"] == 0, str(running["TaskStates"]))
    single = eventually("what stopped by itself runs again", lambda: live(server, "single"))
    check(len(single) == 1 and single[0]["ID"] != placed["single"]["ID"], str(single))
    told = events(server, "c0")
    check("Node reported its allocations" in told, str(told))


def main():
    cluster = harness.Cluster("partition")
    net = nemesis.Net()
    try:
        story(cluster, net, float(sys.argv[1]))
    finally:
        cluster.close()
        net.close()


if __name__ == "__main__":
    main()
