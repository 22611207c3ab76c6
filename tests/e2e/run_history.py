#!/usr/bin/env python3
"""Runs clients and faults against three servers and checks the history of what they were told (history.py, nemesis.py):

    tests/e2e/run_history.py SECONDS [--seed N] [--net] [--consul-servers 3] [--faults "kill,cut"] [--verbose]

With --net every server has a machine of its own (a network namespace), with a Consul client agent beside it; that takes root.
Prints its seed, what is broken when, and what was done; exits 1 with what does not hold.
"""
import argparse
import http.client
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import history  # noqa: E402
import nemesis  # noqa: E402
from harness import check, eventually, shell_job  # noqa: E402

THREADS = 16
CALM = 60  # seconds in which all must be well again


class Run:
    def __init__(self, options):
        self.options = options
        self.cluster = harness.Cluster("history")
        self.net = None
        self.began = time.monotonic()
        self.problems = []

    def say(self, text):
        if self.options.verbose:
            print("%8.3f %s" % (time.monotonic() - self.began, text), flush=True)

    # ---- the world ----

    def build(self):
        servers = self.options.consul_servers
        if self.options.net:
            self.net = nemesis.Net()
        beside = [self.machine() for _ in range(3)]
        away = [self.machine() for _ in range(servers)]
        own_agents = self.options.net or servers > 1
        self.consul = self.cluster.consul(servers=servers, clients=3 if own_agents else 0,
                                          machines=away + beside if self.options.net else ())
        # Snapshots come as often as they may.
        self.cluster.server_options = "bootstrap_expect = 3  journal_snapshot_after = 1000"
        self.servers = []
        for n in range(3):
            local = (self.consul.clients or self.consul.servers)[n if own_agents else 0]
            self.servers.append(self.agent("s%d" % n, beside[n], client=False, journal="consul",
                                           config='consul { address = "%s" }' % local.address))
        for a in self.servers:
            a.start(wait=False)
        for a in self.servers:
            eventually("%s is alive" % a.name, a.alive)
        self.node = self.agent("node", self.machine(), server=False, servers=[a.address for a in self.servers])
        self.node.start(wait=False)
        machines = dict(zip(self.servers + self.consul.servers, beside + away)) if self.options.net else {}
        self.world = nemesis.World(self.servers, self.consul, machines)

    def machine(self):
        return self.net.machine() if self.net else None

    def agent(self, name, machine, **kw):
        return self.cluster.agent(name, machine=machine, **kw)

    # ---- tasks that must not notice ----

    def start_tasks(self):
        eventually("the node is ready", lambda: self.ask("/v1/nodes", lambda n: n and n[0]["Status"] == "ready"), CALM)
        self.servers[0].register(shell_job("steady", "exec sleep 100000", kind="service", count=3))
        self.tasks = eventually("tasks run", self.running, CALM)

    def ask(self, path, fits):
        for a in self.servers:
            try:
                r = a.get(path, timeout=10)
            except OSError:
                continue
            if r.status == 200 and fits(r.json()):
                return r.json()
        return None

    def running(self):
        allocs = self.ask("/v1/job/steady/allocations", lambda l: len(l) == 3 and all(a["ClientStatus"] == "running" for a in l))
        return allocs and {a["ID"]: (a["TaskStates"]["main"]["StartedAt"], a["TaskStates"]["main"]["Restarts"]) for a in allocs}

    def check_tasks(self):
        tasks = eventually("tasks run still", self.running, CALM)
        check(tasks == self.tasks, "tasks were touched: %s, before %s" % (tasks, self.tasks))
        node = self.ask("/v1/nodes", bool)[0]
        events = self.ask("/v1/node/" + node["ID"], bool)["Events"]
        missed = [e["Message"] for e in events if "missed" in e["Message"]]
        check(not missed and node["Status"] == "ready", "the node is %s: %s" % (node["Status"], missed))

    # ---- the run ----

    def play(self):
        stop_faults, stop_clients = threading.Event(), threading.Event()
        targets = [history.Server(a.name, a.host, a.port) for a in self.servers]
        records, manners = [], history.Manners()
        clients = [history.Client(n, targets, records, stop_clients, self.options.seed, self.began, manners)
                   for n in range(THREADS)]
        broken = nemesis.Nemesis(self.world, self.options.seed, stop_faults, self.say, manners, self.options.faults)
        for t in clients + [broken]:
            t.start()
        time.sleep(self.options.seconds)
        stop_faults.set()
        broken.join()
        self.say("all is mended")
        mended = time.monotonic()
        eventually("a write is accepted by each server", lambda: all(self.writes(t) for t in targets), CALM)
        self.say("each server accepts writes, %.1f s after" % (time.monotonic() - mended))
        time.sleep(1)
        stop_clients.set()
        for t in clients:
            t.join(2 * history.TIMEOUT)
        if broken.problem:
            self.problems.append(broken.problem)
        self.faults = broken.count
        return records, targets

    def writes(self, target):
        c = history.Connections()
        try:
            status, _, data = c.request(target, "PUT", "/v1/jobs", json.dumps({"Job": history.job("after", "after")}))
            return status == 200
        except (OSError, history.Refused, http.client.HTTPException):
            return False
        finally:
            c.close()

    def final(self, targets):
        """What is there at the end; every server must say the same, by itself too, and so must one that reads the log anew."""
        all_of = history.read_all(targets[0])
        for t in targets[1:]:
            check(history.read_all(t) == all_of, "%s and %s differ at the end" % (targets[0], t))
        self.check_tasks()
        for a in self.servers:
            eventually("%s by itself says the same" % a.name, lambda a=a: self.alone(a) == len(all_of), CALM)
        for a in self.servers:
            a.kill(15)
            check(a.process.returncode == 0, "%s ended with %s:\n%s" % (a.name, a.process.returncode, a.tail()))
        self.servers[0].start(wait=False)
        eventually("a server reads the log anew", lambda: self.ask("/v1/jobs", bool), CALM)
        check(history.read_all(targets[0]) == all_of, "what was read anew from the log differs")
        return all_of

    def alone(self, agent):
        return len(agent.get("/v1/jobs?stale").json())

    def crashes(self):
        for a in self.servers + [self.node]:
            with open(a.log, errors="replace") as f:
                for line in f:
                    if any(s in line for s in ("Sanitizer", "runtime error", "Assertion", "drover: ")):
                        yield "%s: %s\n%s" % (a.name, line.strip(), a.tail(60))
                        break

    def run(self):
        try:
            self.build()
            self.start_tasks()
            records, targets = self.play()
            try:
                final = {k: v for k, v in self.final(targets).items() if k not in ("after", "steady")}
            except (harness.Failed, OSError) as e:
                self.problems.append("at the end: %s" % e)
                final = None
            self.problems += history.check(records, final)
            for text, n in history.reasons(records):
                self.say("%5d times: %s" % (n, text))
            print("history: %s; %d faults, %.0f s" % (history.summary(records), self.faults, self.options.seconds), flush=True)
        finally:
            self.problems += self.crashes()
            if self.problems and self.options.keep:
                print("kept: " + self.cluster.dir)
                for a in self.cluster.agents:
                    a.kill()
                for c in self.cluster.consuls:
                    for a in c.agents:
                        a.kill()
            else:
                self.cluster.close()
            if self.net:
                self.net.close()
        return self.problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("seconds", type=float)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    p.add_argument("--consul-servers", type=int, default=1)
    p.add_argument("--net", action="store_true")
    p.add_argument("--faults", type=lambda s: s.split(","))
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--keep", action="store_true", help="leave the logs of a run that fails")
    p.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.net and not options.inside:
        os.execvp("unshare", ["unshare", "--net", sys.executable, os.path.abspath(__file__), "--inside", *sys.argv[1:]])
    print("history: seed %d" % options.seed, flush=True)
    problems = Run(options).run()
    for text in problems[:20]:
        print("  " + text)
    print("history: %d problems" % len(problems) if problems else "history: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
