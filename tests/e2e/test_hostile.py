"""Bad input gets a clear error and costs neither a crash nor the work of others."""
import os
import socket
import time

from harness import check, eventually, shell_job


def raw(agent, data, timeout=20):
    """Sends bytes, as many as are taken, and returns what comes back until the server closes or the time is up."""
    with socket.create_connection(("127.0.0.1", agent.port), timeout=timeout) as s:
        out = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut off while it was sent
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    return out
                out += piece
        except OSError:
            return out


def still_works(agent):
    name = "fine-%d" % int(time.time() * 1e6)
    agent.register(shell_job(name, "true"))
    agent.wait_status(name, "complete")


def test_broken_bodies_are_answered_with_a_sentence(cluster):
    a = cluster.one()
    for body, part in ((b"{", "line 1"), (b"[]", "object"), (b'{"Job": 3}', "Job"), (b'{"Job": null}', "Job"),
                       (b'{"Job": {"ID": 7}}', "ID"), (b'{"Job":{"ID":"x","TaskGroups":[{"Count":"one"}]}}', "Count"),
                       (b"[" * 100000, ""), (b'{"a":' * 50000, ""), (b"\xff\xfe\x00", "")):
        answer = a.put("/v1/jobs", body)
        check(400 <= answer.status <= 500 and len(answer.text) > 5, "%r: %d %r" % (body[:30], answer.status, answer.text))
        check(part in answer.text, "%r: %r does not name %s" % (body[:30], answer.text, part))
    still_works(a)


def test_ids_that_are_none_are_answered_as_nomad_does(cluster):
    a = cluster.one()
    check(a.get("/v1/job/nosuch").status == 404, "job")
    for path in ("/v1/allocation/zz", "/v1/node/zz", "/v1/evaluation/zz"):
        check(a.get(path).status in (404, 500), path)
    unknown = "12345678-1234-1234-1234-123456789abc"
    for path in ("/v1/allocation/", "/v1/node/", "/v1/evaluation/"):
        check(a.get(path + unknown).status == 404, path)
    check(a.get("/v1/nosuch").status == 404, "unknown path")
    check(a.request("PATCH", "/v1/jobs", b"{}").status in (405, 501), "verb")
    out, err = a.cli("alloc", "status", "1", expect=1)
    check("at least two characters" in out + err, out + err)


def test_jobs_that_cannot_run_say_why(cluster):
    a = cluster.one()
    job = shell_job("nodriver", "true")
    job["TaskGroups"][0]["Tasks"][0]["Driver"] = "warp"
    a.register(job)
    eventually("the driver is named", lambda: "warp" in a.cli("why", "nodriver")[0])
    job = shell_job("nocommand", "true", RestartPolicy={"Attempts": 0, "Mode": "fail"}, ReschedulePolicy={"Attempts": 0})
    job["TaskGroups"][0]["Tasks"][0]["Config"] = {"command": "/no/such/program"}
    a.register(job)
    alloc = a.wait_status("nocommand", "failed")[0]
    check("/no/such/program" in str(alloc["TaskStates"]["main"]["Events"]), str(alloc["TaskStates"]))
    still_works(a)


def test_a_taken_port_is_named(cluster):
    a = cluster.one()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        job = shell_job("port", "sleep 100", kind="service", RestartPolicy={"Attempts": 0, "Mode": "fail"},
                        ReschedulePolicy={"Attempts": 0, "Unlimited": False},
                        Networks=[{"ReservedPorts": [{"Label": "p", "Value": port}]}])
        a.register(job)
        alloc = a.wait_status("port", "failed")[0]
        check(str(port) in str(alloc["TaskStates"]), str(alloc["TaskStates"]))
    # A static port that another allocation has is known before anything starts.
    a.register(shell_job("first", "exec sleep 1000", kind="service",
                         Networks=[{"ReservedPorts": [{"Label": "p", "Value": 23456}]}]))
    a.wait_status("first", "running")
    a.register(shell_job("second", "exec sleep 1000", kind="service",
                         Networks=[{"ReservedPorts": [{"Label": "p", "Value": 23456}]}]))
    eventually("the port is named", lambda: "23456" in a.cli("why", "second")[0])


def test_huge_strings_and_deep_job_files_are_refused(cluster):
    a = cluster.one()
    path = os.path.join(cluster.dir, "deep.nomad")
    with open(path, "w") as f:
        f.write('job "x" { meta { a = ' + "[" * 10000 + "]" * 10000 + " } }")
    out, err = a.cli("job", "validate", path, expect=1)
    check("deep.nomad:1" in out + err, (out + err)[:500])
    with open(path, "w") as f:
        f.write('job "x" {\n  datacenters = ["dc1"]\n  group "g" {\n    cuont = 3\n  }\n}\n')
    out, err = a.cli("job", "validate", path, expect=1)
    check("deep.nomad:4" in out + err and "cuont" in out + err, out + err)
    # A file that is mostly data is run; the server has the job then, and not the text as well.
    with open(path, "w") as f:
        f.write('job "data" {\n  datacenters = ["dc1"]\n  type = "batch"\n  group "g" {\n    count = 0\n    task "t" {\n      driver = "raw_exec"\n'
                '      config {\n        command = "true"\n      }\n      env {\n        A = "%s"\n      }\n    }\n  }\n}\n' % ("x" * 9_000_000))
    a.cli("job", "run", "-detach", path)
    check(a.get("/v1/job/data/submission").status == 404, "the text is kept")
    big = a.put("/v1/jobs", b'{"Job": {"ID": "' + b"x" * 10_000_000 + b'"}}')
    check(400 <= big.status <= 500, str(big.status))
    # A body beyond the limit is refused by its announced length: 413, or the connection ends before that is read.
    out = raw(a, b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 80000000\r\n\r\n" + b" " * 80_000_000)
    check(not out or b" 413 " in out.split(b"\r\n")[0], str(out[:200]))
    still_works(a)


def test_garbage_on_the_port_is_cut_off(cluster):
    a = cluster.one()
    for data in (b"\0" * 5000, os.urandom(3000), b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000, b"GET " + b"/x" * 200000,
                 b"GET /v1/jobs HTTP/1.1\r\n" + b"X: y\r\n" * 100000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                 b"POST /v1/jobs HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"):
        raw(a, data)
    still_works(a)


def test_a_client_that_sends_one_byte_a_second_is_cut_off_and_nobody_waits(cluster):
    a = cluster.one(config='limits { http_header_timeout = "2s" }')
    s = socket.create_connection(("127.0.0.1", a.port), timeout=20)
    started = time.monotonic()
    closed = False
    for byte in b"GET /v1/jobs HTTP/1.1\r\nHost: somebody-who-has-all-the-time\r\n":
        try:
            s.send(bytes([byte]))
            s.settimeout(0.5)
            if s.recv(1000) == b"":
                closed = True
                break
        except socket.timeout:
            pass
        except OSError:
            closed = True
            break
        asked = time.monotonic()
        check(a.get("/v1/jobs").status == 200 and time.monotonic() - asked < 2, "others wait")
        if time.monotonic() - started > 15:
            break
    s.close()
    check(closed, "still connected after %.0f s" % (time.monotonic() - started))


def test_paths_do_not_lead_out_of_the_allocation(cluster):
    a = cluster.one()
    a.register(shell_job("out", 'ln -s /etc/passwd "$NOMAD_TASK_DIR/link"; echo s >"$NOMAD_SECRETS_DIR/key"; exec sleep 100',
                         kind="service"))
    alloc = a.wait_status("out", "running")[0]["ID"]
    eventually("the link is there", lambda: "link" in a.get("/v1/client/fs/ls/%s?path=main/local" % alloc).text)
    for path in ("../../../../../../etc/passwd", "/../../../etc/passwd", "main/local/link", "main/secrets/key",
                 "main/local/../../main/secrets/key", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd"):
        text = a.get("/v1/client/fs/cat/%s?path=%s" % (alloc, path)).text
        check("root:" not in text and text != "s\n", "%s gives %r" % (path, text[:80]))


def test_connections_are_bounded(cluster):
    a = cluster.one(config="limits { http_max_connections = 40  http_max_conns_per_client = 30 }")
    held = []
    try:
        for _ in range(60):
            held.append(socket.create_connection(("127.0.0.1", a.port), timeout=5))
        time.sleep(0.3)
        open_ones = 0
        for s in held:
            s.settimeout(0.05)
            try:
                open_ones += s.recv(10) != b""
            except socket.timeout:
                open_ones += 1
            except OSError:
                pass
        check(open_ones <= 40, "%d idle connections are held" % open_ones)
    finally:
        for s in held:
            s.close()
    eventually("it answers again", lambda: a.get("/v1/jobs").status == 200)
    still_works(a)
