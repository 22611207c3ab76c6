"""End-to-end tests: real agents, real processes, real files, real sockets, all on loopback and in temporary folders.

Each test_*.py holds functions named test_<sentence>(cluster). `run` calls each with a fresh Cluster and ends what it
started, by process id. Nothing is retried and nothing is skipped; waiting is polling for a condition with a deadline.
"""
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import consul

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.environ.get("O") or os.path.join(ROOT, "build", "release")
DROVER = os.path.join(OUT, "drover")
KEEPER = os.environ.get("DROVER_KEEPER") or os.path.join(OUT, "drover-keeper")
DEADLINE = 30.0  # seconds; a generous bound for slow machines, never a measure


class Failed(AssertionError):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def eventually(what, condition, deadline=DEADLINE):
    """Polls until condition() is true and returns its value; fails with the sentence `what`."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > deadline:
            raise Failed("did not happen within %g s: %s" % (deadline, what))
        time.sleep(min(0.02 + waited / 20, 0.2))  # who waits long is not in a hurry, and leaves the cores to others


def lasts(seconds):
    """Marks a story that takes about so long, mostly waiting: the runner begins with the longest."""
    def mark(test):
        test.seconds = seconds
        return test
    return mark


taken = []  # what keeps the ports below from other runs on this machine


def free_port():
    """One that stays free until its agent takes it, and while that is stopped: not one that the kernel gives to whoever connects
    somewhere (32768 and above), nor one for tasks (20000 to 32000)."""
    while True:
        port = random.randrange(10000, 20000)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind("\0drover-test-port-%d" % port)
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        taken.append(mark)
        return port


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
        return int(self.headers.get("X-Nomad-Index", "0"))


class Agent:
    """One `drover agent` process with its own folder and port."""

    def __init__(self, cluster, name, server=True, client=True, config="", servers=(), env=None, datacenter="dc1",
                 user=None, journal="file", machine=None, log_level="DEBUG"):
        """machine: where it runs (nemesis.py), with an address of its own; else on loopback."""
        self.cluster, self.name = cluster, name
        self.host, self.prefix = (machine.ip, machine.prefix) if machine else ("127.0.0.1", [])
        self.dir = os.path.join(cluster.dir, name)
        os.makedirs(self.dir, exist_ok=True)
        self.data = os.path.join(self.dir, "data")
        self.port = free_port()
        self.log = os.path.join(self.dir, "agent.log")
        self.env = dict(os.environ, DROVER_KEEPER=KEEPER, **(env or {}))
        self.process = None
        self.program = [DROVER]  # that the agent and its commands run
        self.scheme, self.context = "http", None  # or "https" and an ssl.SSLContext
        self.user = user
        self.conf = os.path.join(self.dir, "drover.conf")
        lines = ['name = "%s"' % name, 'datacenter = "%s"' % datacenter, 'data_dir = "%s"' % self.data,
                 'bind_addr = "%s"' % self.host, 'log_level = "%s"' % log_level, 'ports { http = %d }' % self.port]
        if server:
            lines.append('server { enabled = true  journal = "%s"  %s }' % (journal, cluster.server_options))
        if client:
            lines.append('client { enabled = true  %s %s }' % (
                "servers = {%s}" % ", ".join('"%s"' % s for s in servers) if servers else "", cluster.client_options))
            lines.append('plugin "raw_exec" { config { enabled = true } }')
        with open(self.conf, "w") as f:
            f.write("\n".join(lines) + "\n" + config + "\n")

    @property
    def address(self):
        return "%s:%d" % (self.host, self.port)

    @property
    def url(self):
        return self.scheme + "://" + self.address

    def start(self, wait=True):
        if self.user:  # the agent runs as that user, who owns its folder and reaches the executables
            shutil.chown(self.dir, self.user)
            os.chmod(self.cluster.dir, 0o755)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, *self.program, "agent", "-config", self.conf], stdout=log, stderr=log, user=self.user,
                                            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                                            extra_groups=[] if self.user else None,
                                            stdin=subprocess.DEVNULL, env=self.env, start_new_session=True)
        if wait:
            eventually("agent %s answers" % self.name, self.alive)
        return self

    def alive(self):
        if self.process.poll() is not None:
            raise Failed("agent %s ended with %s:\n%s" % (self.name, self.process.returncode, self.tail()))
        try:
            return self.get("/v1/agent/health").status == 200
        except OSError:
            return False

    def tail(self, lines=30):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def kill(self, sig=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(DEADLINE)

    def request(self, method, path, body=None, timeout=60, headers=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        req = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(req, timeout=timeout, context=self.context) as r:
                return Answer(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            with e:
                return Answer(e.code, e.headers, e.read())

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def put(self, path, body=None, **kw):
        return self.request("PUT", path, body if body is not None else {}, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def cli(self, *args, expect=0, input=None, env=None, cwd=None, timeout=90):
        """Runs a command against this agent; returns (stdout, stderr). expect None = any exit code."""
        r = subprocess.run([*self.program, *args], capture_output=True, text=True, input=input, timeout=timeout, cwd=cwd,
                           errors="replace", env=dict(self.env, DROVER_ADDR=self.url, **(env or {})))
        if expect is not None and r.returncode != expect:
            raise Failed("drover %s: exit %d, expected %d\n%s%s" % (" ".join(args), r.returncode, expect, r.stdout,
                                                                    r.stderr))
        return r.stdout, r.stderr

    # ---- jobs ----
    def register(self, job):
        a = self.put("/v1/jobs", {"Job": job})
        check(a.status == 200, "registering %s: %d %s" % (job["ID"], a.status, a.text))
        return a.json()

    def allocs(self, job):
        return self.get("/v1/job/%s/allocations" % urllib.parse.quote(job, safe="")).json() or []

    def alloc(self, alloc_id):
        return self.get("/v1/allocation/" + alloc_id).json()

    def wait_status(self, job, *states, count=None):
        """All allocations of the job (count of them) have one of these client states; returns them."""
        def done():
            allocs = self.allocs(job)
            ok = [a for a in allocs if a["ClientStatus"] in states]
            return allocs if len(ok) == len(allocs) and allocs and (count is None or len(ok) == count) else None
        try:
            return eventually("job %s has %s allocations %s" % (job, count or "all", "/".join(states)), done)
        except Failed as e:
            raise Failed("%s; they are %s\n%s" % (e, [(a["ClientStatus"], a["TaskStates"]) for a in self.allocs(job)],
                                                  self.tail())) from None

    def logs(self, alloc_id, task, kind="stdout"):
        return self.get("/v1/client/fs/logs/%s?task=%s&type=%s&plain=true" % (alloc_id, task, kind)).text

    def run_records(self):
        """The records of keepers (agent/keeper_proto.h): [{"path": ..., "keeper": pid, "task": (pid, start)}]."""
        records = []
        for folder, _, files in os.walk(os.path.join(self.data, "client")):
            for name in files:
                if not name.endswith(".run"):
                    continue
                try:
                    with open(os.path.join(folder, name)) as f:
                        lines = [line.split() for line in f.read().splitlines()]
                except OSError:
                    continue
                record = {"path": os.path.join(folder, name)}
                for words in lines:
                    if words[:1] == ["keeper"]:
                        record["keeper"] = int(words[1])
                    elif words[:1] == ["task"]:
                        record["task"] = (int(words[1]), int(words[2]))
                records.append(record)
        return records

    def pid_file(self, job, name="pid"):
        """Content of <task>/local/<name> of the job's first allocation, once there is any."""
        a = self.allocs(job)[0]
        said = []

        def written():
            r = self.get("/v1/client/fs/cat/%s?path=main/local/%s" % (a["ID"], name))
            said[:] = [r.text.strip()]
            return r.status == 200 and said[0]
        eventually("%s of %s is written" % (name, job), written)
        return said[0]


def shell_job(job_id, script, kind="batch", count=1, **group):
    """A job of one group `g` with one raw_exec task `main` that runs the shell script."""
    env = group.pop("env", None)
    task = {"Name": "main", "Driver": "raw_exec", "Config": {"command": "/bin/sh", "args": ["-c", script]},
            "Resources": group.pop("resources", {"CPU": 20, "MemoryMB": 16}), "Env": env}
    task.update(group.pop("task", {}))
    g = {"Name": "g", "Count": count, "Tasks": [task], "EphemeralDisk": {"SizeMB": 150}}
    g.update(group)
    return {"ID": job_id, "Name": job_id, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [g]}


def start_time(pid):
    """In clock ticks since boot, as records have it; 0 when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rsplit(")", 1)[1].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def is_keeper(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().startswith(b"drover-keeper\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def process_alive(pid):
    try:
        with open("/proc/%d/stat" % int(pid)) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


class Cluster:
    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix="drover-e2e-")
        self.name = name
        self.agents = []
        self.consuls = []
        self.server_options = ""
        self.client_options = ""

    def agent(self, name="one", **kw):
        a = Agent(self, name, **kw)
        self.agents.append(a)
        return a

    def consul(self, **kw):
        """A started Consul datacenter (see consul.Consul)."""
        c = consul.Consul(os.path.join(self.dir, "consul-%d" % len(self.consuls)), **kw)
        self.consuls.append(c)
        return c.start()

    def one(self, **kw):
        """A started one-machine cluster whose node is ready."""
        a = self.agent(**kw).start()
        eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
        return a

    def close(self):
        for a in self.agents:
            a.kill()
        self.kill_tasks()
        for c in self.consuls:
            c.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill_tasks(self):
        """Ends the keepers and tasks that these agents left: found by the pids in their records."""
        for a in self.agents:
            for record in a.run_records():
                pid, start = record.get("task", (0, 0))
                if pid and start_time(pid) == start:
                    os.kill(pid, signal.SIGKILL)
                if is_keeper(record.get("keeper", 0)):
                    os.kill(record["keeper"], signal.SIGKILL)
