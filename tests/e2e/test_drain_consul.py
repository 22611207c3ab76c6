"""Drains with services in a real Consul: a replacement is healthy there before the old instance goes, and done means that
nothing of the node is left there."""
import signal
import subprocess
import threading
import time
import urllib.request

from harness import DROVER, check, eventually
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
