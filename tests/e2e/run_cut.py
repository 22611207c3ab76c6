#!/usr/bin/env python3
"""A small fleet, each machine a network namespace: one with the server and the only Consul server, two with clients. The server's
machine is cut off, then a client's. Prints what happened; exit code 1 and the reason when something did not hold.

    run_cut.py SECONDS    how long the server's machine is cut off; the TTL is of 2 to 4 s, the grace of one
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import nemesis  # noqa: E402
from harness import check, eventually, shell_job  # noqa: E402


class Fleet:
    def __init__(self, cluster, net):
        self.machines = [net.machine() for _ in range(3)]
        cluster.server_options = 'min_heartbeat_ttl = "2s"  heartbeat_grace = "1s"  witness_grace = "90s"'
        self.consul = cluster.consul(servers=1, clients=2, machines=self.machines)
        server, *clients = self.machines
        self.server = cluster.agent("server", client=False, machine=server, config=self.consul.servers[0].block()).start()
        self.clients = [cluster.agent("c%d" % n, server=False, machine=m, config=self.consul.clients[n].block()).start()
                        for n, m in enumerate(clients)]
        eventually("both are ready", lambda: [n["Status"] for n in self.nodes().values()] == ["ready"] * 2)
        for n in self.nodes().values():
            eventually("the machine of %s is known" % n["Name"], lambda: self.ask("/v1/node/" + n["ID"])["Attributes"].get("unique.consul.name"))

    def ask(self, path):
        return self.server.get(path, timeout=10).json()

    def nodes(self):
        return {n["Name"]: n for n in self.ask("/v1/nodes") or []}

    def events(self, name):
        return [e["Message"] for e in self.ask("/v1/node/" + self.nodes()[name]["ID"])["Events"]]

    def tasks(self):
        """Status, node, start and restarts of each."""
        def one(a):
            task = (a["TaskStates"] or {}).get("main", {})
            return a["ClientStatus"], a["NodeID"], task.get("StartedAt"), task.get("Restarts")
        return {a["ID"]: one(a) for a in self.ask("/v1/job/web/allocations")}


def cut_server(fleet, seconds):
    before = fleet.tasks()
    fleet.machines[0].cut()
    time.sleep(seconds)
    fleet.machines[0].join()
    time.sleep(1)
    told = {name: fleet.events(name) for name in ("c0", "c1")}
    check(not any("down" in e for events in told.values() for e in events), "a node was called down: %s" % told)
    check([n["Status"] for n in fleet.nodes().values()] == ["ready"] * 2, str(fleet.nodes()))
    check(fleet.tasks() == before, "tasks were touched: %s, before %s" % (fleet.tasks(), before))
    eventually("both are heard again", lambda: all("until" not in fleet.events(name)[-1] for name in told))
    eventually("Consul sees them", lambda: len(fleet.consul.servers[0].health("drover-client", passing=1)) == 2)
    print("the server's machine was cut off for %g s: nobody was called down, and no task was touched; %s" % (seconds, fleet.events("c0")))


def cut_client(fleet):
    ids = {n["ID"]: name for name, n in fleet.nodes().items()}
    on = [ids[node] for _, node, _, _ in fleet.tasks().values()]
    dead = on[0]
    fleet.machines[1 + int(dead[1])].cut()
    began = time.monotonic()
    eventually("the node is down", lambda: fleet.nodes()[dead]["Status"] == "down")
    took = time.monotonic() - began
    other = "c1" if dead == "c0" else "c0"
    eventually("all runs on the other one", lambda: sum(s == "running" and ids[n] == other for s, n, _, _ in fleet.tasks().values()) == 2)
    check(fleet.nodes()[other]["Status"] == "ready", str(fleet.events(other)))
    check("Consul sees its machine dead, it does not answer" in fleet.events(dead)[-1], str(fleet.events(dead)))
    print("a client's machine was cut off: its node was down after %.1f s, and the other one was not" % took)


def main():
    if "--inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "--net", sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--inside"])
    cluster, net = harness.Cluster("cut"), nemesis.Net()
    try:
        fleet = Fleet(cluster, net)
        fleet.server.register(shell_job("web", "exec sleep 100000", kind="service", count=2, Spreads=[{"Attribute": "${node.unique.id}", "Weight": 100}]))
        fleet.server.wait_status("web", "running", count=2)
        cut_server(fleet, float(sys.argv[1]))
        cut_client(fleet)
    except harness.Failed as e:
        print(e)
        return 1
    finally:
        cluster.close()
        net.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
