"""Machines that can be cut off, and somebody who breaks things: under a seed, one fault after the other, some at once.

A machine is a network namespace with one address, on a bridge in the namespace of this process; both go with the processes
that hold them, so nothing is left behind, whatever happens. The caller must be in a network namespace of its own (and root
in it): history runs start as `unshare --net`, see run_history.py.
"""
import os
import random
import signal
import subprocess
import threading
import time

from harness import Failed, eventually

QUIET = 4.0  # seconds; a standby takes over within them
NET = "198.18.0"  # for measurements between networks (RFC 2544); no machine has it


def ip(*words):
    r = subprocess.run(["ip", *words], capture_output=True, text=True)
    if r.returncode:
        raise Failed("ip %s: %s" % (" ".join(words), r.stderr.strip()))


class Machine:
    """One on the bridge. Cutting takes its cable; blinding drops what it sends to some others."""

    def __init__(self, net, number):
        self.net, self.ip, self.port = net, "%s.%d" % (NET, 10 + number), "m%d" % number
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self.prefix = ["nsenter", "--net", "--target", str(self.holder.pid)]
        own = self.namespace("self")
        eventually("machine %d has a namespace" % number, lambda: self.namespace(self.holder.pid) != own)
        ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        ip("link", "set", self.port, "master", "bridge", "up")
        self.inside("addr", "add", self.ip + "/24", "dev", "eth0")
        self.inside("link", "set", "eth0", "up")
        self.inside("link", "set", "lo", "up")

    @staticmethod
    def namespace(pid):
        return os.readlink("/proc/%s/ns/net" % pid)

    def inside(self, *words):
        subprocess.run([*self.prefix, "ip", *words], check=True, capture_output=True)

    def cut(self):
        ip("link", "set", self.port, "down")

    def join(self):
        ip("link", "set", self.port, "up")

    def blind(self, others):
        for m in others:
            self.inside("route", "replace", "blackhole", m.ip + "/32")

    def see(self, others):
        for m in others:
            self.inside("route", "del", "blackhole", m.ip + "/32")


class Net:
    def __init__(self):
        self.machines = []
        r = subprocess.run(["ip", "link", "add", "bridge", "type", "bridge"], capture_output=True, text=True)
        if r.returncode:
            raise Failed("cuts of the network are made with namespaces, which takes root and iproute2 (apt install iproute2): "
                         + r.stderr.strip())
        ip("addr", "add", NET + ".1/24", "dev", "bridge")
        ip("link", "set", "bridge", "up")
        ip("link", "set", "lo", "up")

    def machine(self):
        m = Machine(self, len(self.machines))
        self.machines.append(m)
        return m

    def close(self):
        for m in self.machines:
            m.holder.kill()
            m.holder.wait()


class World:
    """What there is to break: drover servers, each beside a Consul client agent (or on the one Consul server), Consul servers."""

    def __init__(self, servers, consul, machines=None):
        self.servers, self.consul = servers, consul
        self.machines = machines or {}  # of servers and Consul's servers, by agent

    def leader(self):
        for a in self.servers:
            try:
                if a.process.poll() is None and a.get("/v1/internal/server", timeout=1).json()["State"] == "leading":
                    return a
            except (OSError, ValueError):
                pass
        return None

    def beside(self, server):
        """The Consul agent that this drover server talks to."""
        agents = self.consul.clients or self.consul.servers
        return agents[self.servers.index(server) % len(agents)]


class Nemesis(threading.Thread):
    """Breaks and mends until stop is set; mends everything then. say(text) tells what it does."""

    def __init__(self, world, seed, stop, say, manners, only=None):
        super().__init__(daemon=True)
        self.world, self.stop, self.say, self.manners = world, stop, say, manners
        self.random = random.Random("%s nemesis" % seed)
        self.broken = set()  # what has a fault already
        self.problem = None
        self.count = 0
        names = [n for n in self.faults() if not only or n in only]
        if not names:
            raise Failed("there is no such fault: %s" % only)
        self.names = names

    def faults(self):
        names = ["kill", "pause", "leave", "unsession", "unlock", "scribble"]
        if self.world.consul.clients:
            names += ["agent-kill", "agent-pause"]
        if len(self.world.consul.servers) > 1:
            names += ["consul-kill", "consul-pause"]
        if self.world.machines:
            names += ["cut", "blind", "apart"]
            if len(self.world.consul.servers) > 1:
                names += ["consul-cut"]
        return names

    def run(self):
        healers = []
        try:
            while not self.stop.wait(self.random.uniform(0.3, 2.0)):
                fault = self.fault(self.random.choice(self.names))
                if not fault:
                    continue
                t = threading.Thread(target=self.guard, args=fault)
                t.start()
                healers.append(t)
                self.count += 1
                if self.random.random() < 0.7:  # else the next one comes while this lasts
                    t.join()
        except Exception as e:
            self.problem = "the nemesis itself: %r" % e
        for t in healers:
            t.join()

    def guard(self, what, target, duration, action):
        spared = self.random.random() < 0.5 and self.served_by(target)
        self.say("%s %s for %.1f s%s" % (what, target.name, duration, ", %s is spared" % spared.name if spared else ""))
        if spared:
            self.manners.quiet_until = time.monotonic() + QUIET
            self.manners.spared = spared.name
        try:
            action(target, duration)
        except Exception as e:
            self.problem = "%s %s: %r" % (what, target.name, e)
        finally:
            self.broken.discard(target)
            if spared:
                self.manners.spared = None

    def served_by(self, target):
        """The drover server that this is, or that talks to this."""
        for server in self.world.servers:
            if target in (server, self.world.beside(server)):
                return server
        return None

    def fault(self, what):
        """(name, target, seconds, function), or None when what it would break is broken already."""
        w, r = self.world, self.random
        duration = r.choice((r.uniform(0.1, 1.5), r.uniform(1.5, 5), r.uniform(5, 12)))
        by_leader = r.random() < 0.65
        pick = r.randrange(1000)
        if what.startswith("consul"):
            leader = w.consul.leader() if by_leader else None
            target = leader or w.consul.servers[pick % len(w.consul.servers)]
            if any(s in self.broken for s in w.consul.servers):  # two of three would be all
                return None
        else:
            leader = w.leader() if by_leader else None
            target = leader or w.servers[pick % len(w.servers)]
            if what.startswith("agent"):
                target = w.beside(target)
        if target in self.broken:
            return None
        self.broken.add(target)
        return what, target, duration, getattr(self, what.split("-")[-1])

    def rest(self, seconds):
        self.stop.wait(seconds)

    # ---- the faults; each mends what it broke ----

    def kill(self, target, seconds):
        target.kill()
        self.rest(seconds)
        self.revive(target)

    def revive(self, target):
        if hasattr(target, "consul"):
            target.start()
        else:
            target.start(wait=False)

    def pause(self, target, seconds):
        target.process.send_signal(signal.SIGSTOP)
        self.rest(seconds)
        target.process.send_signal(signal.SIGCONT)

    def leave(self, target, seconds):
        target.kill(signal.SIGTERM)
        if target.process.returncode != 0:
            self.problem = "%s ended with %s after SIGTERM:\n%s" % (target.name, target.process.returncode, target.tail())
        self.rest(seconds)
        self.revive(target)

    def by_hand(self, what):
        """Somebody does something in Consul, if it can be done just now."""
        for a in self.world.consul.servers:
            try:
                if a.alive() and what(a):
                    return
            except OSError:
                pass

    def unsession(self, target, seconds):
        """Destroys the sessions of all drover servers."""
        def destroy(a):
            sessions = a.get("/v1/session/list", timeout=2)
            return sessions.status == 200 and [a.put("/v1/session/destroy/" + s["ID"], timeout=2) for s in sessions.json()
                                               if s["Name"].startswith("drover")]
        self.by_hand(destroy)

    def unlock(self, target, seconds):
        """Deletes the lock, which is the head of the log too."""
        self.by_hand(lambda a: a.delete("/v1/kv/drover/global/lock", timeout=2).status == 200)

    def scribble(self, target, seconds):
        """Writes something else into it, without holding it."""
        self.by_hand(lambda a: a.put("/v1/kv/drover/global/lock", self.random.choice((b"?", b"", b"{}", b"[7]")), timeout=2).status == 200)

    def cut(self, target, seconds):
        self.world.machines[target].cut()
        self.rest(seconds)
        self.world.machines[target].join()

    def others(self, target, agents):
        return [self.world.machines[a] for a in agents if a is not target]

    def blind(self, target, seconds):
        """It does not reach Consul's servers any more; everything else goes on."""
        self.between(target, self.others(target, self.world.consul.servers), seconds)

    def apart(self, target, seconds):
        """It and the other drover servers do not reach each other."""
        self.between(target, self.others(target, self.world.servers), seconds)

    def between(self, target, others, seconds):
        self.world.machines[target].blind(others)
        self.rest(seconds)
        self.world.machines[target].see(others)

