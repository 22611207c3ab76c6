"""The agent's configuration: what is refused and how, what a reload changes, and what -dev needs."""
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile

from harness import DROVER, KEEPER, check, eventually, free_port


def refused(cluster, config, *parts, args=()):
    """The start ends with 1 and a sentence that holds these parts."""
    path = os.path.join(cluster.dir, "refused.conf")
    with open(path, "w") as f:
        f.write(config)
    flags = ["-config", path] if config else []
    r = subprocess.run([DROVER, "agent", *flags, *args], capture_output=True, text=True, timeout=30, cwd=cluster.dir)
    check(r.returncode == 1, "%r: exit %d\n%s%s" % (config, r.returncode, r.stdout, r.stderr))
    for part in parts:
        check(part in r.stderr, "%r: %r does not tell %r" % (config, r.stderr, part))


def test_a_start_that_cannot_be_is_refused_with_a_sentence(cluster):
    data = 'data_dir = "%s/data"\n' % cluster.dir
    refused(cluster, "", "Must specify either server, client or dev mode for the agent.")
    refused(cluster, "", "Must specify data directory", args=["-server"])
    refused(cluster, "", "must be given as an absolute path", "data", args=["-server", "-data-dir", "data"])
    refused(cluster, "", "missing.conf", "No such file or directory", args=["-config", "missing.conf"])
    refused(cluster, "", "nosuchflag", args=["-nosuchflag"])
    refused(cluster, data + "bogus_key = 3\n", "Error loading configuration from", "refused.conf:2", "bogus_key")
    refused(cluster, data + "server {\n  enabled = true\n  bogus = 1\n}\n", "refused.conf:4", "bogus")
    refused(cluster, data + "server { enabled = true\n", "refused.conf:2", "}")
    refused(cluster, data + 'server { enabled = "perhaps" }\n', "refused.conf:2", "boolean")
    refused(cluster, data + "ports { http = 123456 }\n", "refused.conf:2", "http: 123456 is out of range")
    refused(cluster, data + 'server { heartbeat_grace = "soon" }\n', "refused.conf:2", "duration")
    refused(cluster, data + 'bind_addr = "no.such.host.invalid"\nserver { enabled = true }\n', "bind_addr", "no.such.host.invalid")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = "127.0.0.1:%d" % s.getsockname()[1]
        refused(cluster, data + 'bind_addr = "127.0.0.1"\nports { http = %d }\nserver { enabled = true }\n' % s.getsockname()[1],
                taken, "address already in use")
    with open(os.path.join(cluster.dir, "file"), "w"):
        pass
    refused(cluster, 'data_dir = "%s/file"\nserver { enabled = true }\n' % cluster.dir, "data_dir", "file")


def test_the_data_folder_is_the_agents_alone(cluster):
    a = cluster.agent()
    os.makedirs(a.data, mode=0o755)
    a.start()
    # Tasks that run as somebody else pass through, when the agent is root; nobody lists or changes it.
    check(os.stat(a.data).st_mode & 0o066 == 0, oct(os.stat(a.data).st_mode))
    r = subprocess.run([DROVER, "agent", "-config", a.conf], capture_output=True, text=True, timeout=30, env=a.env)
    check(r.returncode == 1 and "in use by another agent (pid %d)" % a.process.pid in r.stderr, r.stderr)


def test_a_reload_applies_what_it_can_and_names_what_takes_a_restart(cluster):
    a = cluster.one(config="limits { http_max_conns_per_client = 50 }")
    with open(a.conf) as f:
        before = f.read()

    def reload(text, said):
        with open(a.conf, "w") as f:
            f.write(text)
        at = os.path.getsize(a.log)
        a.process.send_signal(signal.SIGHUP)

        def log():
            with open(a.log) as f:
                f.seek(at)
                return f.read()
        eventually("the log says %r" % said, lambda: said in log())
        return log()
    log = reload(before, "reload: 0 applied, 0 left for a restart")
    check("takes a restart" not in log, log)
    text = before.replace("http_max_conns_per_client = 50", "http_max_conns_per_client = 3").replace('log_level = "DEBUG"', 'log_level = "WARN"')
    text = text.replace("client { enabled = true", 'client { enabled = true  node_class = "big"  meta { rack = "r9" }')
    log = reload(text, 'reload: client.node_class = "big": takes a restart')
    check("client.meta.* = {rack = \"r9\"}: takes a restart" in log, log)
    held = [socket.create_connection(("127.0.0.1", a.port)) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", a.port), timeout=20) as s:
        check(s.recv(1) == b"", "the new limit of connections does not count")
    for s in held:
        s.close()
    eventually("room again", lambda: a.get("/v1/agent/self").json()["config"]["LogLevel"] == "WARN")
    reload(text, 'reload: client.node_class = "big": takes a restart')  # until it is restarted
    log = reload(before + "bogus = 1\n", "nothing was changed")
    check(re.search(r"drover\.conf:\d+: no such option 'bogus'", log), log)
    check(a.get("/v1/agent/self").json()["config"]["LogLevel"] == "WARN", "a broken file changed something")


def test_flags_win_over_files_also_after_a_reload(cluster):
    conf = os.path.join(cluster.dir, "a.conf")
    port = free_port()
    with open(conf, "w") as f:
        f.write('data_dir = "%s/data"\nbind_addr = "127.0.0.1"\nlog_level = "ERROR"\nregion = "eu"\nserver { enabled = true }\n' % cluster.dir)
    p = subprocess.Popen([DROVER, "agent", "-config", conf, "-log-level", "INFO", "-http-port", str(port), "-meta", "a=b"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines = iter(p.stdout.readline, "")
        check(any("started!" in line for line in lines), "it does not start")
        p.send_signal(signal.SIGHUP)
        check(any("reload: 0 applied, 0 left" in line for line in lines), "the flags count as changes")
    finally:
        p.terminate()
        p.wait(30)


def test_dev_needs_nothing_and_listens_on_the_loopback_alone(cluster):
    port = free_port()
    with tempfile.TemporaryDirectory() as empty:
        p = subprocess.Popen([DROVER, "agent", "-dev", "-http-port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, cwd=empty, env={"DROVER_KEEPER": KEEPER, "PATH": os.environ["PATH"]})
        try:
            lines = iter(p.stdout.readline, "")
            check(any("started!" in line for line in lines), "it does not start")
            listening = []
            for name in ("/proc/net/tcp", "/proc/net/tcp6"):
                with open(name) as f:
                    for line in list(f)[1:]:
                        address, inode = line.split()[1], line.split()[9]
                        if address.endswith(":%04X" % port) and line.split()[3] == "0A":
                            listening.append(address.split(":")[0])
            check(listening == ["0100007F"], "it listens on %s" % listening)
            check(os.listdir(empty) == [], "it left %s" % os.listdir(empty))
        finally:
            p.terminate()
            check(p.wait(30) == 0, "exit %s" % p.returncode)
