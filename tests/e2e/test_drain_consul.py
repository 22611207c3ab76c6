"""Drains with services in a real Consul: a replacement is healthy there before the old instance goes, and done means that
nothing of the node is left there."""
import os
import signal
import subprocess
import threading
import time
import urllib.request
from random import Random

from harness import DROVER, check, eventually, shell_job, start_time
from test_replicas import leader, servers as start_servers
from test_services import SECOND, WEB, http_check, job, of_job, one, passing, task

# Answers two seconds after it has begun to run: a running process is not yet a healthy instance.
SLOW_WEB = "import time\ntime.sleep(2)\n" + WEB


def slow_web(count):
    return job("web", [{"Name": "web", "PortLabel": "http", "Checks": [http_check()]}], count=count,
               tasks=[task(Config={"command": "/usr/bin/python3", "args": ["-c", SLOW_WEB]}, Resources={"CPU": 20, "MemoryMB": 24})],
               Constraints=[{"Operand": "distinct_hosts", "RTarget": "true"}],
               Migrate={"MaxParallel": 1, "HealthCheck": "checks", "MinHealthyTime": SECOND // 5, "HealthyDeadline": 60 * SECOND})


def node_of(server, name):
    return next(n["ID"] for n in server.get("/v1/nodes").json() if n["Name"] == name)


class Watcher(threading.Thread):
    """Looks at a service as its users do: asks Consul for instances that pass, and asks those."""

    def __init__(self, consul, name):
        super().__init__(daemon=True)
        self.consul, self.name, self.over = consul, name, threading.Event()
        self.lowest, self.samples, self.ports = 99, 0, set()

    def instances(self):
        return {(s["Service"]["Address"] or s["Node"]["Address"], s["Service"]["Port"])
                for s in self.consul.health(self.name, passing=1)}

    @staticmethod
    def answers(address):
        try:
            with urllib.request.urlopen("http://%s:%d/" % address, timeout=2) as r:
                return r.status == 200 and r.read() == b"hello"
        except OSError:
            return False

    def run(self):
        while not self.over.is_set():
            good = sum(self.answers(i) for i in self.instances())
            self.lowest = min(self.lowest, good)
            self.samples += 1
            self.over.wait(0.03)

    def end(self):
        self.over.set()
        self.join()


def test_two_nodes_that_are_drained_together_leave_a_service_of_two_in_service(cluster):
    consul = cluster.consul().servers[0]
    server = cluster.agent("server", client=False, config=consul.block()).start()
    names = ["a", "b", "c", "d"]
    for name in names[:2]:
        cluster.agent(name, server=False, servers=[server.address], config=consul.block()).start(wait=False)
    eventually("two nodes", lambda: len([n for n in server.get("/v1/nodes").json() or [] if n["Status"] == "ready"]) == 2)
    server.register(slow_web(2))
    old = {a["ID"] for a in server.wait_status("web", "running", count=2)}
    passing(consul, "web", 2)
    for name in names[2:]:
        cluster.agent(name, server=False, servers=[server.address], config=consul.block()).start(wait=False)
    eventually("four nodes", lambda: len([n for n in server.get("/v1/nodes").json() if n["Status"] == "ready"]) == 4)
    watcher = Watcher(consul, "web")
    watcher.start()
    drains = [subprocess.Popen([DROVER, "node", "drain", "-enable", "-yes", node_of(server, name)], text=True,
                               env=dict(server.env, DROVER_ADDR=server.url), stdout=subprocess.PIPE) for name in names[:2]]
    said = [d.communicate(timeout=60)[0] for d in drains]
    # What the command says is so at once.
    left = [i for i in of_job(consul, "web") if any(a in i for a in old)]
    watcher.end()
    check([d.returncode for d in drains] == [0, 0], "\n".join(said))
    check(watcher.samples >= 10 and watcher.lowest >= 1, "%d answered, in one of %d looks" % (watcher.lowest, watcher.samples))
    check(not left, "entries are left in Consul: %s" % left)
    passing(consul, "web", 2)
    there = {server.alloc(a["ID"])["NodeName"] for a in server.allocs("web") if a["ClientStatus"] == "running"}
    check(there == {"c", "d"}, str(there))


def test_a_drain_is_not_done_while_consul_has_not_forgotten_the_node(cluster):
    consul, agent = one(cluster)
    agent.register(job("web", [{"Name": "web", "PortLabel": "http"}], tasks=[task("exec sleep 1000")]))
    alloc = agent.wait_status("web", "running", count=1)[0]
    eventually("it stands", lambda: of_job(consul, "web"))
    node = alloc["NodeID"]
    consul.kill(signal.SIGSTOP)
    try:
        _, err = agent.cli("node", "drain", "-enable", "-yes", "-deadline", "5s", node, expect=3)
        check(alloc["ID"] in err and "consul-entries" in err and "the deadline" in err.lower(), err)
        drain = agent.get("/v1/node/%s/drain" % node).json()
        check(drain["Status"] == "draining" and drain["PastDeadline"], str(drain))
        check([(w["AllocID"], w["Code"]) for w in drain["Waits"]] == [(alloc["ID"], "consul-entries")], str(drain))
        check(agent.alloc(alloc["ID"])["ClientStatus"] == "complete", "its process is gone")
    finally:
        consul.kill(signal.SIGCONT)
    eventually("the drain is done", lambda: agent.get("/v1/node/%s/drain" % node).json()["Status"] == "complete")
    check(not of_job(consul, "web"), "it is done, and an entry is left in Consul")


# ---- crashes ----

def drain_of(servers, node):
    """As whoever answers says; None: nobody does at the moment."""
    for s in servers:
        try:
            r = s.get("/v1/node/%s/drain" % node, timeout=5)
            if r.status == 200:
                return r.json()
        except OSError:
            pass
    return None


def crash(agents, random, within):
    """kill -9 of each at a moment of its own, and a new start a moment later."""
    begun = time.monotonic()
    events = []
    for a in agents:
        at = random.uniform(0, within)
        events += [(at, a.kill), (at + random.uniform(0.1, 1.5), lambda a=a: a.start(wait=False))]
    for at, act in sorted(events, key=lambda e: e[0]):
        time.sleep(max(0, begun + at - time.monotonic()))
        act()


def processes(agent):
    return [r["task"] for r in agent.run_records() if r.get("task", (0, 0))[0] and start_time(r["task"][0]) == r["task"][1]]


def test_a_drain_ends_right_although_leader_and_client_are_killed_at_random_moments(cluster):
    seed = int.from_bytes(os.urandom(4), "big")
    print("    seed %d" % seed, flush=True)
    random = Random(seed)
    consul, servers = start_servers(cluster, 2, client=False)
    conf = consul.servers[0].block()
    addresses = [s.address for s in servers]
    a = cluster.agent("a", server=False, servers=addresses, config=conf).start()
    s = leader(servers)
    ready = lambda n: lambda: len([x for x in s.get("/v1/nodes").json() or [] if x["Status"] == "ready"]) == n
    eventually("a is there", ready(1))
    for i in range(3):
        s.register(shell_job("build-%d" % i, "sleep 5; echo done"))
    s.register(shell_job("web", "exec sleep 1000", kind="service", count=2, Migrate={
        "MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": SECOND // 5, "HealthyDeadline": 60 * SECOND}))
    builds = [s.wait_status("build-%d" % i, "running")[0]["ID"] for i in range(3)]
    s.wait_status("web", "running", count=2)
    b = cluster.agent("b", server=False, servers=addresses, config=conf).start()
    eventually("b is there", ready(2))
    node_a, node_b = node_of(s, "a"), node_of(s, "b")

    s.cli("node", "drain", "-enable", "-yes", "-detach", "-no-deadline", node_a)
    crash([s, a], random, 4)
    eventually("the drain of a is done (seed %d)" % seed, lambda: (drain_of(servers, node_a) or {}).get("Status") == "complete", 60)
    check(not processes(a), "seed %d: the drain is done, and processes are left: %s" % (seed, processes(a)))
    s = leader(servers)
    for i, build in enumerate(builds):
        made = s.allocs("build-%d" % i)
        check([(x["ID"], x["ClientStatus"]) for x in made] == [(build, "complete")], "seed %d: %s" % (seed, made))
        check(eventually("its log", lambda: a.logs(build, "main")) == "done\n", "seed %d: it ran twice" % seed)
    check(sorted(x["NodeName"] for x in s.allocs("web") if x["ClientStatus"] == "running") == ["b", "b"], "seed %d" % seed)

    # Back, with a deadline that cuts a build off.
    s.cli("node", "eligibility", "-enable", node_a)
    s.cli("node", "eligibility", "-disable", node_a)
    s.register(shell_job("long", "exec sleep 1000"))
    s.wait_status("long", "running")
    s.cli("node", "eligibility", "-enable", node_a)
    s.cli("node", "drain", "-enable", "-yes", "-detach", "-deadline", "9s", node_b)
    crash([s, b], random, 4)
    eventually("the drain of b is done (seed %d)" % seed, lambda: (drain_of(servers, node_b) or {}).get("Status") == "complete", 60)
    check(not processes(b), "seed %d: the drain is done, and processes are left: %s" % (seed, processes(b)))
    s = leader(servers)
    eventually("the build runs again (seed %d)" % seed, lambda: [x for x in s.allocs("long") if x["ClientStatus"] == "running" and
                                                                 x["NodeID"] == node_a])
    eventually("the service has moved (seed %d)" % seed, lambda: sorted(
        x["NodeName"] for x in s.allocs("web") if x["ClientStatus"] == "running") == ["a", "a"])
