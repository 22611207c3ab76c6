"""Real Consul for tests: servers (one or three) and client agents, each a process with a loopback address of its own, so
that any number of tests can run theirs at the same time on the same ports. With acl=True the default policy is deny;
with tls=True there is an HTTPS port too, which wants a certificate of its clients.

    c = Consul(folder, servers=3, clients=1, acl=True).start()
    c.leader().kill(); c.servers[0].put("/v1/kv/a", b"1"); token = c.new_token('key_prefix "" { policy = "read" }')
    c.close()

As a program it serves the tests in C (tests/lib/consul_server.h): it says "ready", then answers each line of standard
input with one line, until the input ends.
"""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HTTP, HTTPS, DNS, SERF, RPC = 18500, 18501, 18600, 18301, 18300
DEADLINE = 60.0  # seconds; a generous bound for slow machines, never a measure


def executable():
    r = subprocess.run([os.path.join(ROOT, "scripts", "fetch-consul")], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip())
    return r.stdout.strip()


def free_address():
    """A loopback address on which nobody listens on our ports."""
    while True:
        address = "127.%d.%d.%d" % (random.randint(64, 127), random.randint(0, 255), random.randint(1, 254))
        try:
            for port in (HTTP, DNS, SERF, RPC):
                with socket.socket() as s:
                    s.bind((address, port))
            return address
        except OSError:
            continue


def wait_for(what, condition, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while True:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("did not happen within %g s: %s" % (deadline, what))
        time.sleep(0.05)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    @property
    def index(self):
        return int(self.headers.get("X-Consul-Index", "0"))


class ConsulAgent:
    """One `consul agent` process. It keeps its data over stop and start."""

    def __init__(self, consul, name, server, ip=None, prefix=()):
        """prefix: words before the command, which put it on another machine (nemesis.py); ip: of that machine."""
        self.consul, self.name, self.server, self.prefix = consul, name, server, list(prefix)
        self.ip = ip or free_address()
        self.dir = os.path.join(consul.dir, name)
        self.log = os.path.join(self.dir, "consul.log")
        self.process = None
        os.makedirs(self.dir, exist_ok=True)

    @property
    def address(self):
        """host:port of the HTTP API."""
        return "%s:%d" % (self.ip, HTTP)

    @property
    def dns(self):
        return "%s:%d" % (self.ip, DNS)

    @property
    def https(self):
        return "%s:%d" % (self.ip, HTTPS)

    @property
    def url(self):
        return "http://" + self.address

    def block(self, *lines, token_file=None):
        """The consul block of drover's configuration."""
        lines = ['address = "%s"' % self.address, 'dns = "%s"' % self.dns, *lines]
        if token_file:
            lines.append('token_file = "%s"' % token_file)
        return "consul { %s }" % "  ".join(lines)

    def configure(self):
        c = {
            "node_name": self.name, "server": self.server, "data_dir": os.path.join(self.dir, "data"),
            "datacenter": self.consul.datacenter, "bind_addr": self.ip, "client_addr": self.ip,
            "addresses": {"http": "%s unix://%s" % (self.ip, self.socket)},
            "ports": {"http": HTTP, "dns": DNS, "serf_lan": SERF, "serf_wan": -1, "server": RPC, "grpc": -1},
            "retry_join": ["%s:%d" % (a.ip, SERF) for a in self.consul.servers if a is not self], "retry_interval": "1s",
            "performance": {"raft_multiplier": 1, "leave_drain_time": "0s"},
            "gossip_lan": {"probe_interval": "200ms", "probe_timeout": "100ms", "gossip_interval": "50ms"},
            "disable_update_check": True, "skip_leave_on_interrupt": False, "enable_local_script_checks": False,
            "log_level": "INFO",
        }
        if self.server:
            c["bootstrap_expect"] = len(self.consul.servers)
        if self.consul.acl:
            c["acl"] = {"enabled": True, "default_policy": "deny", "enable_token_persistence": True}
        if self.consul.tls:
            c["ports"]["https"] = HTTPS
            c.update(ca_file=self.consul.tls_file("ca"), cert_file=self.consul.tls_file("server"),
                     key_file=self.consul.tls_file("server-key"), verify_incoming_https=True)
        merge(c, self.consul.config)
        with open(os.path.join(self.dir, "consul.json"), "w") as f:
            json.dump(c, f)

    @property
    def socket(self):
        return os.path.join(self.dir, "http.sock")

    def start(self):
        self.configure()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, executable(), "agent", "-config-file", os.path.join(self.dir, "consul.json")], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def kill(self, sig=signal.SIGKILL):
        """Ends the process (SIGINT leaves the cluster in order); SIGSTOP and SIGCONT only stop and resume it."""
        if not self.process or self.process.poll() is not None:
            return
        self.process.send_signal(sig)
        if sig not in (signal.SIGSTOP, signal.SIGCONT):
            self.process.wait(DEADLINE)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def tail(self, lines=30):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def request(self, method, path, body=None, token=None, timeout=30):
        """Any status is an answer; OSError when there is none. The token is the management token unless given."""
        token = self.consul.token if token is None else token
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        req = urllib.request.Request(self.url + path, data=data, method=method,
                                     headers={"X-Consul-Token": token} if token else {})
        try:
            with urllib.request.urlopen(req, timeout=timeout) as r:
                return Answer(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            with e:
                return Answer(e.code, e.headers, e.read())

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def put(self, path, body=None, **kw):
        return self.request("PUT", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def services(self):
        """What this agent has registered, by id."""
        return self.get("/v1/agent/services").json()

    def checks(self):
        return self.get("/v1/agent/checks").json()

    def health(self, service, **query):
        return self.get("/v1/health/service/%s?%s" % (urllib.parse.quote(service), urllib.parse.urlencode(query))).json()

    def ready(self):
        """There is a leader, and this agent stands in the catalog."""
        if not self.alive():
            raise AssertionError("consul %s ended with %s:\n%s" % (self.name, self.process.returncode, self.tail()))
        a = self.get("/v1/catalog/nodes")
        return a.status == 200 and any(n["Node"] == self.name for n in a.json() or [])


class Consul:
    """A datacenter: servers, client agents that have joined them, and with ACLs the management token."""

    def __init__(self, folder, servers=1, clients=0, acl=False, tls=False, config=None, datacenter="dc1", machines=()):
        """machines: of the servers, then of the clients; without them each has a loopback address."""
        self.dir, self.acl, self.tls, self.config, self.datacenter = folder, acl, tls, config or {}, datacenter
        self.token = ""
        places = [{"ip": m.ip, "prefix": m.prefix} for m in machines] or [{}] * (servers + clients)
        self.servers = []
        for n in range(servers):
            self.servers.append(ConsulAgent(self, "consul-%d" % (n + 1), True, **places[n]))
        self.clients = [ConsulAgent(self, "client-%d" % (n + 1), False, **places[servers + n]) for n in range(clients)]

    @property
    def agents(self):
        return self.servers + self.clients

    def start(self):
        if self.tls:
            self.make_certificates()
        for a in self.agents:
            a.start()
        wait_for("Consul has a leader", self.leader)
        if self.acl:
            self.start_acl()
        for a in self.agents:
            wait_for("consul %s is in the catalog" % a.name, a.ready)
        return self

    def tls_file(self, name):
        """ca, server, server-key, client, client-key."""
        return os.path.join(self.dir, name + ".pem")

    def make_certificates(self):
        def tls(*args):
            subprocess.run([executable(), "tls", *args], cwd=self.dir, check=True, stdout=subprocess.DEVNULL)
        names = {"consul-agent-ca": "ca", "%s-server-consul-0" % self.datacenter: "server",
                 "%s-client-consul-0" % self.datacenter: "client"}
        tls("ca", "create")
        tls("cert", "create", "-server", "-dc", self.datacenter)
        tls("cert", "create", "-client", "-dc", self.datacenter)
        for old, new in names.items():
            for suffix in ("", "-key"):
                os.rename(os.path.join(self.dir, old + suffix + ".pem"), self.tls_file(new + suffix))

    def start_acl(self):
        def bootstrap():
            a = self.servers[0].put("/v1/acl/bootstrap", token="")
            return a.json()["SecretID"] if a.status == 200 else None
        self.token = wait_for("the ACL system is bootstrapped", bootstrap)
        rules = 'agent_prefix "" { policy = "write" } node_prefix "" { policy = "write" } ' \
            'service_prefix "" { policy = "read" }'
        token = self.new_token(rules)
        for a in self.agents:
            wait_for("consul %s takes its token" % a.name, lambda a=a: a.put(
                "/v1/agent/token/agent", {"Token": token}).status == 200)

    def new_token(self, rules):
        """A token with these rules (HCL); returns its secret."""
        name = "policy-%x" % random.getrandbits(64)

        def make(path, body):
            a = self.servers[0].put(path, body)
            return a.json() if a.status == 200 else None
        wait_for("policy is made", lambda: make("/v1/acl/policy", {"Name": name, "Rules": rules}))
        return wait_for("token is made", lambda: make("/v1/acl/token", {"Policies": [{"Name": name}]}))["SecretID"]

    def leader(self):
        """The server that leads, or None."""
        for a in self.servers:
            if not a.alive():
                continue
            try:
                answer = a.get("/v1/status/leader", timeout=3)
            except OSError:
                continue
            ip = answer.json().partition(":")[0] if answer.status == 200 else ""
            for leader in self.servers:
                if leader.ip == ip and leader.alive():
                    return leader
        return None

    def close(self):
        for a in self.agents:
            a.kill(signal.SIGCONT)
            a.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def merge(into, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def serve(c):
    """Answers commands, one a line; N counts all agents, servers first."""
    signals = {"kill": signal.SIGKILL, "leave": signal.SIGINT, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}

    def answer(word, rest):
        if word in signals:
            c.agents[int(rest)].kill(signals[word])
        elif word == "start":
            c.agents[int(rest)].start()
        elif word in ("address", "https", "dns", "socket", "name"):
            return getattr(c.agents[int(rest)], word)
        elif word == "token":
            return c.new_token(rest) if rest else c.token
        elif word == "tls":
            return c.tls_file(rest)
        elif word == "leader":
            return str(c.agents.index(wait_for("Consul has a leader", c.leader)))
        elif word == "ready":
            wait_for("Consul has a leader", c.leader)
            for a in c.agents:
                if a.alive():
                    wait_for("consul %s is in the catalog" % a.name, a.ready)
        else:
            raise ValueError("no such command: " + word)
        return "ok"
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        print(answer(word, rest), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--servers", type=int, default=1)
    p.add_argument("--clients", type=int, default=0)
    p.add_argument("--acl", action="store_true")
    p.add_argument("--tls", action="store_true")
    p.add_argument("--config", type=json.loads, default={})
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="drover-consul-") as folder:
        c = Consul(folder, **vars(a))
        try:
            serve(c.start())
        finally:
            c.close()


if __name__ == "__main__":
    main()
