"""A peer that means harm, or is broken: each kind costs a clear error, and neither a crash, nor a leak, nor the work of
others."""
import base64
import json
import os
import signal
import socket
import threading
import time

from harness import OUT, check, eventually, shell_job

UNKNOWN = "12345678-1234-1234-1234-123456789abc"


def connect(agent, small_window=False):
    s = socket.socket()
    if small_window:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(20)
    s.connect(("127.0.0.1", agent.port))
    return s


def raw(agent, data, close=True):
    """Sends bytes; returns what comes back until the server closes or is silent for long."""
    with connect(agent) as s:
        try:
            s.sendall(data)
            if close:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all was sent: what it said is still to be read
        out = b""
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    return out
                out += piece
        except OSError:
            return out


def ask(agent, target, method="GET", headers="", body=b""):
    """A request as bytes; returns (status, body)."""
    length = b"Content-Length: %d\r\n" % len(body) if body or method in ("PUT", "POST") else b""
    answer = raw(agent, b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s\r\n%s" % (
        method.encode(), target if isinstance(target, bytes) else target.encode(), headers.encode(), length, body))
    head, _, rest = answer.partition(b"\r\n\r\n")
    check(head.startswith(b"HTTP/1."), "%s %r: %r" % (method, target, answer[:200]))
    return int(head.split()[1]), rest


def resident(agent):
    """KiB."""
    with open("/proc/%d/status" % agent.process.pid) as f:
        return int([line for line in f if line.startswith("VmRSS")][0].split()[1])


def descriptors(agent):
    return len(os.listdir("/proc/%d/fd" % agent.process.pid))


def ends_clean(agent):
    """Stopped in order: with sanitizers, a leak would be its exit status."""
    agent.kill(signal.SIGTERM)
    check(agent.process.returncode == 0, "exit %d:\n%s" % (agent.process.returncode, agent.tail()))


class Others:
    """Somebody else who asks all the time; tells how long the slowest answer took."""

    def __init__(self, agent):
        self.agent, self.worst, self.failed, self.n = agent, 0, None, 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                check(self.agent.get("/v1/jobs?prefix=nosuch").status == 200, "status")
            except Exception as e:  # told by the main thread
                self.failed = e
                return
            self.worst = max(self.worst, time.monotonic() - began)
            self.n += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        check(self.failed is None, "others got: %s" % self.failed)
        check(self.n > 0 and self.worst < 10, "others waited %.1f s" % self.worst)


def test_requests_that_are_no_http_are_refused(cluster):
    a = cluster.one()
    for data in (b"\0" * 5000, os.urandom(3000), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n" * 1000,
                 b"GET / HTTP/9.9.9\r\n\r\n", b"GET\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"G\0T /v1/jobs HTTP/1.1\r\n\r\n",
                 b"GET " + b"/x" * 200000, b"GET /v1/jobs HTTP/1.1\r\n" + b"X: y\r\n" * 100000,
                 b"GET /v1/jobs HTTP/1.1\r\nX: " + b"y" * 1000000, b"GET /v1/jobs HTTP/1.1\r\nno colon\r\n\r\n",
                 b"PUT /v1/jobs HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"PUT /v1/jobs HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"PUT /v1/jobs HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\n{}",
                 b"PUT /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
                 b"PUT /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
                 b"PUT /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
                 b"PUT /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n5\r\n{\"Job\r\n"):
        check(b"200 OK" not in raw(a, data), "%r is taken for a request" % data[:60])
    check(ask(a, "/v1/jobs")[0] == 200, "it does not answer any more")
    ends_clean(a)


def test_a_body_in_good_chunks_is_a_body(cluster):
    a = cluster.one()
    job = json.dumps({"Job": shell_job("chunked", "true", count=0)}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(job[i:i + 7]), job[i:i + 7]) for i in range(0, len(job), 7)) + b"0\r\n\r\n"
    answer = raw(a, b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    check(b"200 OK" in answer and b"EvalID" in answer, answer)
    # A client that waits to be told to go on, as curl does with large bodies.
    with connect(a) as s:
        s.sendall(b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(job))
        check(b"100 Continue" in s.recv(1000), "it is not told to go on")
        s.sendall(job)
        check(b"200 OK" in s.recv(10000), "the body that was waited for is not taken")


def test_other_verbs_and_forms_of_targets(cluster):
    a = cluster.one()
    for method in ("HEAD", "OPTIONS", "TRACE", "PATCH", "DELETE"):
        status, body = ask(a, "/v1/jobs", method)
        check(status == 405 and (method == "HEAD" or body == b"Invalid method"), "%s: %d %r" % (method, status, body))
    check(b"404" in raw(a, b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").split(b"\r\n")[0], "CONNECT")
    check(ask(a, "http://somewhere.example/v1/regions") == (200, b'["global"]'), "an absolute target")
    check(ask(a, "http://somewhere.example")[0] == 404 and ask(a, "*")[0] == 404, "no path")
    check(ask(a, "/v1/regions#x?y")[0] in (200, 404), "a fragment")
    check(b"HTTP/1.0 200" in raw(a, b"GET /v1/regions HTTP/1.0\r\n\r\n"), "an old client")
    check(raw(a, b"GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\n" * 50).count(b'["global"]') == 50, "requests in a row")
    ends_clean(a)


def test_ids_are_taken_apart_once(cluster):
    a = cluster.one()
    for name in ("a/b", "dots..", "per%cent", "plus+and space", "ünï", "a/summary/b", "q?x=1&y"):
        a.register(dict(shell_job("x", "true", count=0), ID=name, Name=name)) if " " not in name else None
    for target, want in (("/v1/job/a/b", "a/b"), ("/v1/job/a%2Fb", "a/b"), ("/v1/job/a%2fb/", None), ("/v1/job/dots..", "dots.."),
                         ("/v1/job/per%25cent", "per%cent"), ("/v1/job/per%2525cent", None), ("/v1/job/%C3%BCn%C3%AF", "ünï"),
                         ("/v1/job/a%2Fsummary%2Fb", "a/summary/b"), ("/v1/job/q%3Fx%3D1%26y", "q?x=1&y"),
                         ("/v1/job/../../../etc/passwd", None), ("/v1/job/%2e%2e%2f%2e%2e", None), ("/v1/job/%zz", None),
                         ("/v1/job/%", None), ("/v1/job/%c0%ae", None), ("/v1/job/a%0d%0aSet-Cookie:x", None)):
        status, body = ask(a, target)
        check((status, json.loads(body)["ID"] if status == 200 else None) == (200 if want else 404, want),
              "%s: %d %r" % (target, status, body[:80]))
    status, body = ask(a, "/v1/job/a%00b")
    check(status == 400 and b"zero byte" in body, "%d %r" % (status, body))
    answer = raw(a, b"GET /v1//x%0d%0aSet-Cookie:%20x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(b"Set-Cookie" not in answer.split(b"\r\n\r\n")[0], answer)
    ends_clean(a)


def test_pages_of_other_origins_change_nothing(cluster):
    a = cluster.one()
    own = "127.0.0.1:%d" % a.port
    job = json.dumps({"Job": shell_job("paged", "true", count=0)}).encode()

    def post(origin, host=own, method="POST"):
        answer = raw(a, b"%s /v1/jobs HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (method.encode(), host.encode(), origin.encode(), len(job), job))
        return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2].decode()
    for origin, host in (("http://evil.example", own), ("null", own), ("http://127.0.0.1:1", own), ("http://" + own + ".evil.example", own),
                         # A name that its owner lets point to the loopback.
                         ("http://evil.example:%d" % a.port, "evil.example:%d" % a.port),
                         ("http://localhost.evil.example", "localhost.evil.example"), ("file://", "")):
        for method in ("POST", "PUT"):
            status, text = post(origin, host, method)
            check(status == 403 and "another origin" in text, "%s %s: %d %r" % (origin, host, status, text))
    check(a.get("/v1/jobs").json() == [], "a page registered a job")
    check(ask(a, "/v1/job/x", "DELETE", headers="Origin: http://evil.example\r\n")[0] == 403, "a page deletes")
    check(post("http://" + own)[0] == 200 and post("http://localhost:%d" % a.port, "localhost:%d" % a.port)[0] == 200, "our own pages")
    check(ask(a, "/v1/jobs", headers="Origin: http://evil.example\r\n")[0] == 200, "what is read without a way to see it")


def test_names_do_not_steer_terminals(cluster):
    a = cluster.one()
    for place in ("ID", "Name", "group", "task"):
        for bad in ("a\x1b[2Jb", "a\nb", "a\x7fb"):
            job = shell_job("fine", "true", count=0)
            group = job["TaskGroups"][0]
            where, key = {"group": (group, "Name"), "task": (group["Tasks"][0], "Name")}.get(place, (job, place))
            where[key] = bad
            answer = a.put("/v1/jobs", {"Job": job})
            check(answer.status == 500 and "contains a control character" in answer.text, "%s %r: %d %s" % (place, bad, answer.status, answer.text))
    answer = a.put("/v1/jobs", b'{"Job":{"ID":"a\\u0000b"}}')
    check(answer.status == 400 and "a text holds a zero byte" in answer.text, answer.text)
    # What only the client can judge comes back in events.
    job = shell_job("bad", "true", task={"Config": {"command": "/no/such\x1b]0;title\x07"}}, RestartPolicy={"Attempts": 0, "Mode": "fail"},
                    ReschedulePolicy={"Attempts": 0, "Unlimited": False})
    a.register(job)
    out, _ = a.cli("alloc", "status", a.wait_status("bad", "failed")[0]["ID"])
    check("/no/such?]0;title?" in out and "\x1b" not in out, repr(out))


def test_jobs_of_ten_thousand_groups_are_told_about_in_one_go(cluster):
    a = cluster.one()
    job = shell_job("wide", "true", resources={"CPU": 20, "MemoryMB": 90_000_000})
    job["TaskGroups"] = [dict(job["TaskGroups"][0], Name="g%d" % n) for n in range(10000)]
    before = resident(a)
    with Others(a):
        a.register(job)
        why = a.get("/v1/job/wide/why").json()["Groups"]
    check(len(why) == 10000 and why["g9999"]["Code"] == "memory", str(why)[:300])
    check(resident(a) - before < 1_000_000, "it costs %d KiB" % (resident(a) - before))
    job["TaskGroups"].append(dict(job["TaskGroups"][0], Name="one more", Count=-1))
    for group in job["TaskGroups"]:
        group["Tasks"] = []
    answer = a.put("/v1/jobs", {"Job": job})
    check(answer.status == 500 and "at most 10000 are possible" in answer.text and "and 9902 more" in answer.text, answer.text[-300:])
    check(len(answer.text) < 50_000, "%d bytes of problems" % len(answer.text))


def test_numbers_that_are_none_or_too_large_are_named(cluster):
    a = cluster.one()
    a.register(shell_job("one", "true", count=0))
    for target, part in (("/v1/jobs?index=18446744073709551616", "index"), ("/v1/jobs?index=0x10", "index"),
                         ("/v1/jobs?index=1&wait=99999999999999999999h", "wait"), ("/v1/jobs?index=1&wait=5", "wait"),
                         ("/v1/jobs?index=1&wait=1e9s", "wait"), ("/v1/jobs?per_page=-1", "per_page"),
                         ("/v1/jobs?per_page=18446744073709551617", "per_page"), ("/v1/jobs?per_page=many", "per_page"),
                         ("/v1/job/one/submission?version=-1", "version"), ("/v1/job/one/submission?version=x", "version"),
                         ("/v1/jobs?next_token=" + "x" * 5000, "next_token"), ("/v1/jobs?next_token=%ff%fe%00x", "next_token"),
                         ("/v1/allocations?next_token=1.zzz", "next_token"), ("/v1/nodes?next_token=default.one", "next_token"),
                         ("/v1/evaluations?next_token=" + UNKNOWN, "next_token")):
        status, body = ask(a, target)
        empty = target.startswith("/v1/allocations")
        check((status == 400 and part.encode() in body.lower()) or (empty and body == b"[]"), "%s: %d %r" % (target, status, body[:99]))
    status, body = ask(a, "/v1/job/one?eval_priority=x", "DELETE")
    check(status == 400 and b"eval_priority" in body, "%d %r" % (status, body))
    alloc = "/v1/client/fs/readat/%s?path=x&offset=%%s&limit=%%s" % UNKNOWN
    for offset, limit in (("9223372036854775808", "1"), ("-1", "1"), ("1e3", "1"), ("1", "99999999999999999999"), ("", "")):
        status, body = ask(a, alloc % (offset, limit))
        check(status in (400, 404), "%s %s: %d %r" % (offset, limit, status, body))
    check(ask(a, "/v1/jobs?" + "&".join("p%d=%d" % (n, n) for n in range(1500)))[0] == 200, "many parameters")
    check(ask(a, "/v1/jobs?&&=&=x&a&a=b=c&%zz=%zz")[0] == 200, "odd parameters")
    ends_clean(a)


def test_offsets_beyond_all_files_end_where_they_do(cluster):
    a = cluster.one()
    most = str(2**63 - 1)
    a.register(shell_job("talks", "echo first; echo second; exec sleep 100", kind="service"))
    talks = a.wait_status("talks", "running")[0]["ID"]
    logs = "/v1/client/fs/logs/%s?task=main&type=stdout&plain=true&" % talks
    stream = "/v1/client/fs/stream/%s?path=alloc/logs/main.stdout.0&plain=true&follow=false&" % talks
    eventually("it has written", lambda: a.get(logs).text == "first\nsecond\n")
    for url, text in ((logs + "lines=" + most, "first\nsecond\n"), (logs + "offset=" + most, ""),
                      (logs + "origin=end&offset=" + most, "first\nsecond\n"), (stream + "lines=" + most, "first"),
                      (stream + "origin=end&offset=" + most, "first"), (stream + "offset=" + most, ""),
                      ("/v1/client/fs/readat/%s?path=alloc/logs/main.stdout.0&offset=6&limit=%s" % (talks, most), "second\n")):
        answer = a.get(url)
        said = "".join(base64.b64decode(part.split('"')[0]).decode() for part in answer.text.split('"Data":"')[1:]) or answer.text
        check(answer.status == 200 and said.startswith(text) and (text or not said), "%s: %d %r" % (url[20:], answer.status, said[:200]))
    ends_clean(a)


def test_json_that_is_broken_huge_or_deep_is_named(cluster):
    a = cluster.one()
    job = json.dumps(shell_job("x", "true", count=0))
    for body, part in ((b"", "empty"), (b"\0", "line 1"), (b'{"Job": {"ID": "a\0b"}}', "line 1"), (b'{"Job":{"ID":"a\\u0000b"}}', "line 1"),
                       (b'{"Job":{"ID":"\xff\xfe"}}', "line 1"), (b'{"Job":{"ID":"\xed\xa0\x80"}}', "line 1"), (b'{"Job":{"ID":"\\ud800"}}', "line 1"),
                       (b"[" * 10000 + b"]" * 10000, "line 1"), (b'{"a":' * 10000 + b"1" + b"}" * 10000, "line 1"),
                       (b'{"Job":{"ID":"x","Priority":1e400}}', ""), (b'{"Job":{"ID":"x","Priority":99999999999999999999}}', ""),
                       (b'{"Job":{"ID":"x","Priority":1.5}}', "Priority"), (b'{"Job":{"ID":"' + b"x" * 10_000_000 + b'"}}', ""),
                       (b'{"Job":{"ID":"x","TaskGroups":[' + b"{}," * 600_000 + b"{}]}}", "objects"), (job.encode()[:-9], "line 1"),
                       (job.encode() + b"x", "line 1")):
        status, answer = ask(a, "/v1/jobs", "PUT", body=body)
        check(400 <= status <= 500 and part.encode() in answer and len(answer) < 2000, "%r: %d %r" % (body[:40], status, answer[:200]))
    # The last of two equal keys counts, as everywhere.
    check(ask(a, "/v1/jobs", "PUT", body=b'{"Job":{"ID":"no"},"Job":%s}' % job.encode())[0] == 200, "twice the same key")
    check(a.get("/v1/job/x").status == 200 and a.get("/v1/job/no").status == 404, "the first of two keys counts")
    status, answer = ask(a, "/v1/jobs", "PUT", headers="Content-Length: 80000000\r\n")
    check(status == 413, "%d %r" % (status, answer))
    ends_clean(a)


def test_who_never_finishes_is_cut_off_and_nobody_waits(cluster):
    a = cluster.one(config='limits { http_header_timeout = "2s"  http_max_conns_per_client = 1000 }')
    before, began = descriptors(a), time.monotonic()
    held = []
    for n in range(300):
        s = connect(a)
        s.sendall((b"GET /v1/jobs HT", b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n", b"PUT /v1/jobs HTTP/1.1\r\nContent-Length: 5000\r\n\r\n{\"J",
                   b"PUT /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"J")[n % 4])
        held.append(s)
    with Others(a):
        open_ones = held
        while open_ones and time.monotonic() - began < 20:
            time.sleep(0.2)
            still = []
            for s in open_ones:
                try:
                    s.send(b"x")
                    s.settimeout(0)
                    if s.recv(1000):
                        still.append(s)
                except BlockingIOError:
                    still.append(s)
                except OSError:
                    pass
            open_ones = still
    check(not open_ones, "%d of %d are still connected after %.0f s" % (len(open_ones), len(held), time.monotonic() - began))
    eventually("descriptors are free again", lambda: descriptors(a) <= before + 3)
    for s in held:
        s.close()
    ends_clean(a)


def test_a_reader_of_one_byte_a_second_costs_a_bounded_buffer(cluster):
    a = cluster.one(config="limits { http_max_conns_per_client = 1000 }")
    for n in range(400):
        a.register(shell_job("long-%d" % n, "true", count=0, Meta={"pad": "x" * 100}))
    a.register(shell_job("talks", "yes 'a line of output that fills the pipe' | head -c 30000000; exec sleep 100", kind="service"))
    talks = a.wait_status("talks", "running")[0]["ID"]
    size = len(a.get("/v1/jobs?meta=true").body) + len(a.get("/v1/evaluations").body)
    check(size > 300_000, "the lists have %d bytes: too short for this test" % size)
    a.get("/v1/jobs")
    before, readers = resident(a), []
    with Others(a):
        for n in range(60):
            s = connect(a, small_window=True)
            s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % (
                b"/v1/jobs?meta=true", b"/v1/evaluations?pretty", b"/v1/client/fs/logs/%s?task=main&type=stdout&follow=true" % talks.encode(),
                b"/v1/client/fs/logs/%s?task=main&type=stdout&plain=true" % talks.encode())[n % 4])
            readers.append(s)
        for _ in range(3):
            time.sleep(1)
            for s in readers:
                check(s.recv(1), "a slow reader was cut off")
    grown = resident(a) - before
    room = 8 if "asan" in OUT else 1  # what is freed is kept for a while there
    check(grown < (60 * 500 + 8192) * room, "60 slow readers cost %d KiB" % grown)
    for s in readers:
        s.close()
    eventually("the task's output is all there", lambda: sum(
        f["Size"] for f in a.get("/v1/client/fs/ls/%s?path=alloc/logs" % talks).json() if "stdout" in f["Name"]) == 30000000)
    ends_clean(a)


def test_a_list_that_is_read_slowly_is_whole(cluster):
    a = cluster.one()
    for n in range(700):
        a.register(shell_job("long-%d" % n, "true", count=0))
    ids = {j["ID"] for j in a.get("/v1/jobs").json()}
    with connect(a, small_window=True) as s:
        s.sendall(b"GET /v1/jobs HTTP/1.0\r\n\r\n")
        out = s.recv(100)
        a.delete("/v1/job/long-699?purge=true")  # while it is listed
        time.sleep(0.5)
        while True:
            piece = s.recv(50000)
            if not piece:
                break
            out += piece
    listed = {j["ID"] for j in json.loads(out.partition(b"\r\n\r\n")[2])}
    check(ids - listed <= {"long-699"} and not listed - ids, "%d of %d" % (len(listed), len(ids)))
    pages, token = [], ""
    while True:
        answer = a.get("/v1/jobs?per_page=100" + ("&next_token=" + token if token else ""))
        pages += [j["ID"] for j in answer.json()]
        token = answer.headers.get("X-Nomad-NextToken")
        if not token:
            break
    check(sorted(pages) == sorted(ids - {"long-699"}), "pages hold %d of %d" % (len(pages), len(ids)))
    ends_clean(a)


def test_thousands_of_connections_leave_room_for_work(cluster):
    a = cluster.one(config="limits { http_max_connections = 3000  http_max_conns_per_client = 2900 }")
    before, held = descriptors(a), []
    with Others(a):
        for n in range(3200):
            try:
                held.append(connect(a))
            except OSError:
                break
            if n % 2:
                held[-1].sendall(b"GET /v1/jobs?index=1000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n")
            if len(held) == 2500:
                # With most of them there, work goes on.
                a.register(shell_job("works", "true"))
                a.wait_status("works", "complete")
                for s in held[:500]:
                    s.close()
                held = held[500:]
    check(len(held) > 2000, "only %d connections" % len(held))
    for s in held:
        s.close()
    eventually("descriptors are free again", lambda: descriptors(a) <= before + 5)
    ends_clean(a)


def test_blocking_queries_that_vanish_leave_nothing_behind(cluster):
    a = cluster.one(config="limits { http_max_conns_per_client = 1000 }")
    def watchers():
        return [g["Value"] for g in a.get("/v1/metrics").json()["Gauges"] if g["Name"] == "drover.watchers"][0]
    def settled():  # the agent's own client waits as well, once it is there
        looks = []
        for _ in range(10):
            looks.append(watchers())
            time.sleep(0.1)
        return looks[0] == looks[-1] and looks
    eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() if n["Status"] == "ready"])
    own = max(eventually("the agent has come to rest", settled))
    for _ in range(5):
        held = []
        for n in range(200):
            s = connect(a)
            s.sendall(b"GET %s?index=1000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n" % (
                b"/v1/jobs", b"/v1/job/nosuch", b"/v1/allocations", b"/v1/node/%s" % UNKNOWN.encode())[n % 4])
            held.append(s)
        eventually("they wait", lambda: watchers() >= own + 200)
        a.register(shell_job("wake", "true", count=0))
        for s in held:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        eventually("nobody waits any more", lambda: watchers() <= own)
    ends_clean(a)
