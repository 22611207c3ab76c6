"""Files, logs and statistics of allocations over HTTP, in the form that a real Nomad has them (transcripts http/10 to 12)."""
import base64
import json
import os
import threading
import time
import urllib.request

from harness import check, eventually, shell_job

NO_RESTART = {"Attempts": 0, "Mode": "fail"}
HARDENED = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            "X-Content-Type-Options": "nosniff", "X-Xss-Protection": "1; mode=block"}


def one_alloc(a, script, name="files", status="complete", **kw):
    a.register(shell_job(name, script, RestartPolicy=NO_RESTART, **kw))
    return a.wait_status(name, status)[0]["ID"]


def frames(text):
    """The JSON objects that follow each other without a separator."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while at < len(text):
        frame, at = decoder.raw_decode(text, at)
        found.append(frame)
    return found


def test_fs_answers_as_recorded(cluster):
    a = cluster.one()
    alloc = one_alloc(a, "printf 'job=stages\\n' >\"$NOMAD_TASK_DIR/conf.txt\"; head -c 700000 /dev/zero >\"$NOMAD_TASK_DIR/big\"")
    top = a.get("/v1/client/fs/ls/%s?path=/" % alloc).json()
    check([e["Name"] for e in top] == ["alloc", "main"] and all(e["IsDir"] for e in top), str(top))
    check(a.get("/v1/client/fs/ls/%s" % alloc).json() == top, "ls without a path is not the top")
    entry = [e for e in a.get("/v1/client/fs/ls/%s?path=main/local" % alloc).json() if e["Name"] == "conf.txt"][0]
    check(entry["FileMode"] == "-rw-r--r--" and entry["Size"] == 11 and entry["IsDir"] is False, str(entry))
    stat = a.get("/v1/client/fs/stat/%s?path=main/local/conf.txt" % alloc).json()
    check(stat == dict(entry, ContentType="text/plain; charset=utf-8"), str(stat))
    check(a.get("/v1/client/fs/stat/%s?path=alloc" % alloc).json()["ContentType"] == "application/octet-stream", "a folder's type")
    cat = a.get("/v1/client/fs/cat/%s?path=main/local/conf.txt" % alloc)
    check(cat.body == b"job=stages\n" and cat.headers["Content-Type"] == "text/plain; charset=utf-8", cat.text)
    check(all(cat.headers[k] == v for k, v in HARDENED.items()), str(cat.headers))
    check(a.get("/v1/client/fs/readat/%s?path=main/local/conf.txt&offset=4&limit=3" % alloc).text == "sta", "readat")
    check(a.get("/v1/client/fs/readat/%s?path=main/local/conf.txt&offset=4&limit=300" % alloc).text == "stages\n", "readat")
    check(a.get("/v1/client/fs/readat/%s?path=main/local/conf.txt&offset=400&limit=3" % alloc).text == "", "readat past the end")
    big = a.get("/v1/client/fs/cat/%s?path=main/local/big" % alloc)
    check(big.body == bytes(700000) and all(big.headers[k] == v for k, v in HARDENED.items()), "a large file")
    check(a.get("/v1/client/fs/readat/%s?path=main/local/big&offset=100&limit=600000" % alloc).body == bytes(600000), "a large part")
    folder = os.path.join(a.data, "alloc", alloc)
    errors = {
        "ls/%s?path=no/such" % alloc: (500, "open %s/no/such: no such file or directory" % folder),
        "ls/%s?path=../../.." % alloc: (500, "Path escapes the alloc directory"),
        "ls/%s?path=main/local/conf.txt" % alloc: (500, "readdirent %s/main/local/conf.txt: not a directory" % folder),
        "stat/%s" % alloc: (400, "must provide a file name"),
        "stat/%s?path=no/such" % alloc: (500, "stat %s/no/such: no such file or directory" % folder),
        "stream/%s?path=no/such" % alloc: (400, "stat %s/no/such: no such file or directory" % folder),
        "stream/%s?path=alloc" % alloc: (400, 'file "alloc" is a directory'),
        "ls/00000000-0000-0000-0000-000000000000": (404, 'Unknown allocation "00000000-0000-0000-0000-000000000000"'),
        "ls/zzz": (500, "alloc lookup failed: index error: UUID must be 36 characters"),
    }
    for path, expected in errors.items():
        r = a.get("/v1/client/fs/" + path)
        check((r.status, r.text) == expected, "%s: %d %s, expected %s" % (path, r.status, r.text, expected))


def test_a_task_cannot_make_the_agent_read_what_is_not_its_own(cluster):
    a = cluster.one()
    alloc = one_alloc(a, 'cd "$NOMAD_TASK_DIR"; ln -s /etc/shadow shadow; ln -s /etc etc; ln -s ../secrets/key key; '
                         'echo hidden >"$NOMAD_SECRETS_DIR/key"; mkfifo pipe; rm -f "$NOMAD_ALLOC_DIR/logs/main.stderr.0"; '
                         'ln -s /etc/shadow "$NOMAD_ALLOC_DIR/logs/main.stderr.0"')
    for path in ("main/local/shadow", "main/local/etc/shadow", "main/local/key", "main/secrets/key", "main/local/pipe",
                 "alloc/logs/main.stderr.0"):
        for call in ("cat/%s?path=%s", "readat/%s?path=%s&offset=0&limit=100", "stream/%s?path=%s&follow=false"):
            r = a.get("/v1/client/fs/" + call % (alloc, path))
            check(r.status >= 400 and "root:" not in r.text and "hidden" not in r.text, "%s %s: %s" % (call, path, r.text))
    r = a.get("/v1/client/fs/logs/%s?task=main&type=stderr&plain=true" % alloc)
    check("root:" not in r.text, r.text)
    check(a.get("/v1/client/fs/ls/%s?path=main/secrets" % alloc).status == 500, "secrets are listed")


def test_logs_answer_as_recorded(cluster):
    a = cluster.one()
    alloc = one_alloc(a, "echo working; echo done")
    logs = "/v1/client/fs/logs/%s?task=main&type=stdout" % alloc
    whole = a.get(logs)
    check(whole.headers["Content-Type"] == "application/json", str(whole.headers))
    check(frames(whole.text) == [{"Data": base64.b64encode(b"working\ndone\n").decode(), "File": "alloc/logs/main.stdout.0",
                                  "Offset": 13}], whole.text)
    plain = a.get(logs + "&plain=true")
    check(plain.text == "working\ndone\n" and plain.headers["Content-Type"] == "text/plain", plain.text)
    for query, expected in (("offset=3&origin=start", "king\ndone\n"), ("offset=5&origin=end", "done\n"),
                            ("offset=500&origin=end", "working\ndone\n"), ("offset=500&origin=start", "")):
        got = a.get(logs + "&plain=true&" + query).text
        check(got == expected, "%s: %r" % (query, got))
    check(a.get(logs.replace("stdout", "stderr")).body == b"", "empty stderr is not empty")
    base = "/v1/client/fs/logs/" + alloc
    for query, text in (("type=stdout", "must provide task name"), ("task=nosuch&type=stdout", 'unknown task name "nosuch"'),
                        ("task=main", "must provide log type (stdout/stderr)"),
                        ("task=main&type=stdboth", "must provide log type (stdout/stderr)"),
                        ("task=main&type=stdout&origin=middle", "origin must be start or end"),
                        ("task=main&type=stdout&follow=maybe", 'failed to parse follow field to boolean: strconv.ParseBool: '
                                                               'parsing "maybe": invalid syntax'),
                        ("task=main&type=stdout&offset=x", 'error parsing offset: strconv.ParseInt: parsing "x": invalid syntax')):
        r = a.get(base + "?" + query)
        check((r.status, r.text) == (400, text), "%s: %d %s" % (query, r.status, r.text))


def test_logs_are_followed_to_the_last_byte_through_rotation(cluster):
    a = cluster.one()
    script = ('sleep 0.3; i=0; while [ $i -lt 3000 ]; do echo "$i of a line that is long enough to fill files soon, ......... and '
              '.................................................................................................... more"; '
              'i=$((i+1)); done; seq 1 400000; printf last')
    a.register(shell_job("talk", script, task={"LogConfig": {"MaxFiles": 50, "MaxFileSizeMB": 1}}))
    alloc = eventually("it is placed", lambda: a.allocs("talk"))[0]["ID"]
    eventually("it is known to the client", lambda: a.get("/v1/client/fs/ls/" + alloc).status == 200)
    followers = [b"", b""]

    def follow(n):
        url = "%s/v1/client/fs/logs/%s?task=main&type=stdout&follow=true&plain=true" % (a.url, alloc)
        with urllib.request.urlopen(url, timeout=60) as r:
            followers[n] = r.read()
    threads = [threading.Thread(target=follow, args=(n,)) for n in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    check(not any(t.is_alive() for t in threads), "following does not end with the task")
    a.wait_status("talk", "complete")
    folder = os.path.join(a.data, "alloc", alloc, "alloc", "logs")
    names = sorted((n for n in os.listdir(folder) if n.startswith("main.stdout.")), key=lambda n: int(n.rsplit(".", 1)[1]))
    written = b"".join(open(os.path.join(folder, n), "rb").read() for n in names)
    check(len(names) > 2 and written.endswith(b"400000\nlast"), "%d files, end %r" % (len(names), written[-20:]))
    for got in followers:
        check(got == written, "followed %d bytes of %d" % (len(got), len(written)))


def keys_of(value):
    """The shape of an answer: names of objects, one element of lists."""
    if isinstance(value, dict):
        return {k: keys_of(v) for k, v in value.items()}
    if isinstance(value, list):
        return [keys_of(value[0])] if value else []
    return type(value).__name__ if not isinstance(value, (int, float)) or isinstance(value, bool) else "number"


CPU = {"Measured": ["str"], "Percent": "number", "SystemMode": "number", "ThrottledPeriods": "number", "ThrottledTime": "number",
       "TotalTicks": "number", "UserMode": "number"}
MEMORY = {"Cache": "number", "KernelMaxUsage": "number", "KernelUsage": "number", "MaxUsage": "number", "Measured": ["str"],
          "RSS": "number", "Swap": "number", "Usage": "number"}


def test_statistics_have_the_recorded_form_and_true_figures(cluster):
    a = cluster.one()
    script = ("python3 -c 'import os,sys,time\nx = bytearray(64 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
              "end = time.time() + 60\nwhile time.time() < end: pass' & sleep 1000")
    a.register(shell_job("busy", script, kind="service", task={"KillTimeout": 10**8}))
    alloc = a.wait_status("busy", "running")[0]["ID"]
    path = "/v1/client/allocation/%s/stats" % alloc

    def busy():
        s = a.get(path).json()
        time.sleep(0.4)
        return s if s["ResourceUsage"]["CpuStats"]["Percent"] > 15 and s["ResourceUsage"]["MemoryStats"]["RSS"] > 64 << 20 else None
    s = eventually("the work is seen", busy)
    task = s["Tasks"]["main"]
    check(keys_of(s["ResourceUsage"]) == {"CpuStats": CPU, "DeviceStats": [], "MemoryStats": MEMORY}, str(keys_of(s["ResourceUsage"])))
    check(keys_of(task["ResourceUsage"]) == {"CpuStats": CPU, "DeviceStats": "NoneType", "MemoryStats": MEMORY}, str(task))
    check(set(task) == {"Pids", "ResourceUsage", "Timestamp"} and len(task["Pids"]) == 3, str(task))
    pids = {int(p): u for p, u in task["Pids"].items()}
    greedy = max(pids.values(), key=lambda u: u["MemoryStats"]["RSS"])
    check(greedy["CpuStats"]["Percent"] > 10 and greedy["MemoryStats"]["RSS"] > 64 << 20, str(pids))
    check(keys_of(greedy) == {"CpuStats": CPU, "DeviceStats": "NoneType", "MemoryStats": MEMORY}, str(greedy))
    total = sum(u["MemoryStats"]["RSS"] for u in pids.values())
    check(abs(total - task["ResourceUsage"]["MemoryStats"]["RSS"]) < 8 << 20, "%d %s" % (total, task["ResourceUsage"]))
    host = a.get("/v1/client/stats").json()
    disk = {"Available": "number", "Device": "str", "InodesUsedPercent": "number", "Mountpoint": "str", "Size": "number",
            "Used": "number", "UsedPercent": "number"}
    check(keys_of(host) == {"AllocDirStats": disk, "CPU": [{"CPU": "str", "Idle": "number", "System": "number", "Total": "number",
                                                           "User": "number"}], "CPUTicksConsumed": "number",
                            "DeviceStats": "NoneType", "DiskStats": [disk],
                            "Memory": {"Available": "number", "Free": "number", "Total": "number", "Used": "number"},
                            "Timestamp": "number", "Uptime": "number"}, str(keys_of(host)))
    check(len(host["CPU"]) == os.cpu_count() and host["Memory"]["Total"] > host["Memory"]["Used"] > 0, str(host))
    a.delete("/v1/job/busy")
    a.wait_status("busy", "complete")
    none = a.get(path).json()
    check(none["Tasks"] == {} and none["Timestamp"] == 0 and none["ResourceUsage"]["CpuStats"]["Measured"] is None, str(none))
