"""HTTPS: for people with the flags of the command line, among agents, and with certificates that change."""
import os
import signal
import socket
import ssl
import subprocess
import time

from harness import DROVER, check, eventually, shell_job


def openssl(*args):
    r = subprocess.run(["openssl", *args], capture_output=True, text=True)
    check(r.returncode == 0, "openssl %s: %s" % (" ".join(args), r.stderr))


def authority(folder, name):
    key, cert = os.path.join(folder, name + "-key.pem"), os.path.join(folder, name + ".pem")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key,
            "-out", cert, "-subj", "/CN=" + name)
    return cert


def certificate(folder, ca, name, sans="IP:127.0.0.1,DNS:localhost"):
    """A certificate of that authority, and its key."""
    at = os.path.join(folder, name)
    with open(at + ".ext", "w") as f:
        f.write("subjectAltName=%s\n" % sans)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", at + "-key.pem", "-out", at + ".csr",
            "-subj", "/CN=" + name)
    openssl("x509", "-req", "-in", at + ".csr", "-CA", ca, "-CAkey", ca.replace(".pem", "-key.pem"), "-days", "1", "-out", at + ".pem",
            "-extfile", at + ".ext", "-set_serial", str(int(time.time() * 1e6)))
    return at + ".pem", at + "-key.pem"


class World:
    def __init__(self, cluster):
        self.cluster, self.dir = cluster, cluster.dir
        self.ca = authority(self.dir, "ca")
        self.agent_cert, self.agent_key = certificate(self.dir, self.ca, "agent")
        self.person = certificate(self.dir, self.ca, "person")
        self.flags = ("-ca-cert", self.ca, "-client-cert", self.person[0], "-client-key", self.person[1])

    def config(self, more=""):
        return 'tls { http = true  ca_file = "%s"  cert_file = "%s"  key_file = "%s"  %s }' % (
            self.ca, self.agent_cert, self.agent_key, more)

    def context(self):
        c = ssl.create_default_context(cafile=self.ca)
        c.load_cert_chain(*self.person)
        return c

    def agent(self, name="one", more="verify_https_client = true", **kw):
        a = self.cluster.agent(name, config=self.config(more), **kw)
        a.scheme, a.context = "https", self.context()
        return a


def test_the_flags_of_the_command_line_open_the_door(cluster):
    w = World(cluster)
    a = w.agent().start()
    out, _ = a.cli("node", "status", *w.flags)
    check("active" in eventually("the node is active", lambda: (lambda o: o if "active" in o else None)(
        a.cli("node", "status", *w.flags)[0])), out)
    a.register(shell_job("inside", "echo over tls"))
    alloc = a.wait_status("inside", "complete")[0]["ID"]
    out, _ = a.cli("alloc", "logs", *w.flags, alloc)
    check(out == "over tls\n", out)
    # Without a certificate, with that of another authority, without TLS at all: no answer and a sentence.
    other = authority(cluster.dir, "other")
    stranger = certificate(cluster.dir, other, "stranger")
    for flags in (("-ca-cert", w.ca), ("-ca-cert", other), ("-ca-cert", w.ca, "-client-cert", stranger[0], "-client-key", stranger[1])):
        _, err = a.cli("node", "status", *flags, expect=1)
        check(len(err) > 20, "%s: %r" % (flags, err))
    _, err = a.cli("node", "status", "-address", "http://" + a.address, expect=1)
    check(len(err) > 20, err)
    check(a.get("/v1/agent/health").status == 200, "it suffered")


def test_agents_ask_each_other_over_tls(cluster):
    w = World(cluster)
    a = w.agent().start()
    b = w.agent("two", server=False, servers=["https://" + a.address]).start()
    eventually("two nodes", lambda: len([n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"]) == 2)
    a.register(shell_job("pair", "echo here; exec sleep 100", kind="service", count=2,
                         Constraints=[{"Operand": "distinct_hosts", "RTarget": "true"}]))
    for alloc in a.wait_status("pair", "running", count=2):
        for agent in (a, b):  # one of them has it, the other passes the question on
            eventually("%s has the output of %s" % (agent.name, alloc["ID"]), lambda: agent.logs(alloc["ID"], "main") == "here\n")
    check(len(b.get("/v1/jobs").json()) == 1, "the client does not pass on what only a server knows")


def test_a_tls_port_gives_nothing_to_others_and_does_not_wait_for_them(cluster):
    w = World(cluster)
    a = w.agent(more='verify_https_client = false tls_min_version = "tls13" } limits { http_header_timeout = "1s"').start()
    context = ssl.create_default_context(cafile=w.ca)
    with socket.create_connection(("127.0.0.1", a.port)) as s:
        s.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n")
        check(b"HTTP" not in s.recv(1000), "plain HTTP is answered")
    old = ssl.create_default_context(cafile=w.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with socket.create_connection(("127.0.0.1", a.port)) as s, old.wrap_socket(s, server_hostname="localhost"):
            check(False, "TLS 1.2 is spoken")
    except ssl.SSLError:
        pass
    held = [socket.create_connection(("127.0.0.1", a.port)) for _ in range(50)]
    for s in held[::2]:
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00")  # the beginning of a hello
    with socket.create_connection(("127.0.0.1", a.port)) as s, context.wrap_socket(s, server_hostname="localhost") as t:
        t.sendall(b"GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        got = b""
        while got.count(b'["global"]') < 3:
            got += t.recv(10000)
    ended = time.monotonic() + 15
    for s in held:
        s.settimeout(max(0.1, ended - time.monotonic()))
        try:
            while s.recv(100):
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            check(False, "a handshake that never ends is not cut off")
        s.close()


def test_certificates_are_read_again_on_sighup(cluster):
    w = World(cluster)
    a = w.agent().start()

    def serial():
        with socket.create_connection(("127.0.0.1", a.port)) as s, w.context().wrap_socket(s, server_hostname="localhost") as t:
            return t.getpeercert()["serialNumber"]
    before = serial()
    held = socket.create_connection(("127.0.0.1", a.port))
    kept = w.context().wrap_socket(held, server_hostname="localhost")
    certificate(cluster.dir, w.ca, "agent")  # the same files, renewed
    a.process.send_signal(signal.SIGHUP)
    eventually("the new certificate is shown", lambda: serial() != before)
    kept.sendall(b"GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\n")
    check(b"200 OK" in kept.recv(1000), "a connection from before is broken")
    kept.close()
    with open(w.agent_cert, "w") as f:
        f.write("nonsense")
    now = serial()
    a.process.send_signal(signal.SIGHUP)
    eventually("the log tells what is wrong", lambda: "cert_file" in a.tail(50) and "stay" in a.tail(50))
    check(serial() == now, "a broken file took the old certificate away")


def test_files_that_are_missing_or_do_not_fit_end_the_start_with_a_sentence(cluster):
    w = World(cluster)
    other_cert, _ = certificate(cluster.dir, w.ca, "third")
    for name, value, part in (("cert_file", "/no/such.pem", "/no/such.pem: No such file"), ("key_file", w.agent_cert, "key_file"),
                              ("cert_file", other_cert, "key_file"), ("ca_file", "/dev/null", "ca_file"),
                              ("tls_min_version", "ssl3", 'expected "tls12" or "tls13"')):
        conf = os.path.join(cluster.dir, "bad.conf")
        values = {"ca_file": w.ca, "cert_file": w.agent_cert, "key_file": w.agent_key, "tls_min_version": "tls12", name: value}
        with open(conf, "w") as f:
            f.write('data_dir = "%s/bad"\nbind_addr = "127.0.0.1"\nports { http = 0 }\nserver { enabled = true }\n'
                    "tls { http = true verify_https_client = true %s }\n" % (
                        cluster.dir, " ".join('%s = "%s"' % item for item in values.items())))
        r = subprocess.run([DROVER, "agent", "-config", conf], capture_output=True, text=True, timeout=30)
        check(r.returncode == 1 and part in r.stderr, "%s = %s: exit %d %s" % (name, value, r.returncode, r.stderr))
