"""A history of what clients asked servers for and what they were told, and what such a history must hold to.

Many threads write and read through all servers while somebody breaks things (nemesis.py). Each operation is recorded with
its start and end on one clock, and how it ended: ok; failed (it was certainly not done); unknown (an error that decides
nothing: it may have been done, or be done later).

Keys are jobs. The value of a key is in the job's Meta and unique; its index is JobModifyIndex, which is the entry of the
journal that wrote it. So an index tells the place of each write in the one order of all writes, and check() can demand,
with `before` meaning "ended before the other one began":

- one index has one value, and one value one index: nothing is written twice, no two servers wrote the same entry;
- a write that was acknowledged is later than every write and read before it;
- a read that is not stale shows nothing older than any write or read before it; stale reads bind those after them, too,
  as what they show was committed;
- what failed is never seen; what is seen was asked for;
- a write that demanded an index (compare and set) had no other write between; one that was refused for its index
  was not refused although the key had that index all the time;
- at the end every acknowledged write is there.
"""
import collections
import http.client
import json
import random
import re
import threading
import time

KEYS = 5
OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
TIMEOUT = 12.0


class Operation:
    __slots__ = ("kind", "server", "key", "value", "expect", "start", "end", "outcome", "index", "seen", "text")

    def __init__(self, kind, server, key=None, value=None, expect=None):
        self.kind, self.server, self.key, self.value, self.expect = kind, server, key, value, expect
        self.start = self.end = 0.0
        self.outcome = UNKNOWN
        self.index = None  # of the write that was made, or of what was read
        self.seen = None   # a list of (key, index, value or None), for reads
        self.text = ""

    def __str__(self):
        what = " ".join(str(x) for x in (self.key, self.value, "expecting %s" % self.expect if self.expect is not None else None)
                        if x is not None)
        return "%s %s at %s, %.3f to %.3f s: %s %s%s" % (
            self.kind, what, self.server, self.start, self.end, self.outcome,
            "index %s " % self.index if self.index is not None else "", self.text)


WRITES = ("set", "cas", "new")
CURRENT = ("get", "list")  # reads that may not go back in time


# ---- what must hold ----

def check(history, final=None):
    """history: operations that have ended or been given up. final: {key: (index, value)} read when all was quiet.
    Returns a list of sentences, empty when everything holds."""
    problems = []
    place(history, problems)
    real_time(history, problems)
    compare_and_set(history, problems)
    if final is not None:
        at_the_end(history, final, problems)
    return problems


def observations(history):
    """(key, index, value, operation) of everything that was told to be so."""
    for op in history:
        if op.kind in WRITES and op.outcome == OK:
            yield op.key, op.index, op.value, op
        elif op.seen:
            for key, index, value in op.seen:
                yield key, index, value, op


def place(history, problems):
    """Indexes and values belong together, and nothing is seen that was not, or not any more, to be."""
    asked = {op.value: op for op in history if op.kind in WRITES}
    value_at, index_of = {}, {}
    for key, index, value, op in observations(history):
        if value is None:
            continue
        if value not in asked or asked[value].key != key:
            problems.append("nobody has written this: %s shows %s = %s" % (op, key, value))
            continue
        if asked[value].outcome == FAILED:
            problems.append("it failed and is there: %s; seen by %s" % (asked[value], op))
        other = value_at.setdefault(index, value)
        if other != value:
            problems.append("entry %d is %s and %s: the log has a fork; %s" % (index, other, value, op))
        other = index_of.setdefault(value, index)
        if other != index:
            problems.append("%s was written twice, as entry %d and %d; %s" % (value, other, index, op))


class Newest:
    """For each key what was the newest thing told in operations that ended before a moment, when moments only grow."""

    def __init__(self, history):
        told = []
        for op in history:
            if op.outcome != OK:
                continue
            if op.kind in WRITES:
                told.append((op.end, op.key, op.index, op))
            else:
                told += [(op.end, key, index, op) for key, index, _ in op.seen]
        self.told = collections.deque(sorted(told, key=lambda t: t[0]))
        self.best = {}
        self.any = (0, None)

    def advance(self, moment):
        while self.told and self.told[0][0] < moment:
            _, key, index, op = self.told.popleft()
            if index > self.best.get(key, (0, None))[0]:
                self.best[key] = (index, op)
            if index > self.any[0]:
                self.any = (index, op)


def real_time(history, problems):
    newest = Newest(history)
    for op in sorted((o for o in history if o.outcome == OK), key=lambda o: o.start):
        newest.advance(op.start)
        if op.kind in WRITES and op.index <= newest.any[0]:
            problems.append("a write became entry %d after entry %d was known: %s; before it %s" % (
                op.index, newest.any[0], op, newest.any[1]))
        if op.kind not in CURRENT:
            continue
        shown = {key: index for key, index, _ in op.seen}
        for key in ([op.key] if op.kind == "get" else list(newest.best)):
            index, other = newest.best.get(key, (0, None))
            if shown.get(key, 0) < index:
                problems.append("a read went back in time: %s shows entry %d of %s; before it %s" % (
                    op, shown.get(key, 0), key, other))


def compare_and_set(history, problems):
    entries = collections.defaultdict(set)  # all that are known
    held = collections.defaultdict(list)    # (key, index): operations that saw the key with it
    for key, index, _, op in observations(history):
        entries[key].add(index)
        held[key, index].append(op)
    for op in history:
        if op.kind not in ("cas", "new"):
            continue
        if op.outcome == OK:
            between = [i for i in entries[op.key] if op.expect < i < op.index]
            if between:
                problems.append("it was to follow entry %d at once, and entry %d lies between: %s" % (op.expect, between[0], op))
        elif op.outcome == FAILED and op.text.startswith("refused") and op.expect:
            told = held[op.key, op.expect]
            if any(o.end < op.start for o in told) and any(o.kind in CURRENT and o.start > op.end for o in told):
                problems.append("it was refused although the key had entry %d before and after: %s" % (op.expect, op))


def at_the_end(history, final, problems):
    values = {value for _, value in final.values()}
    for op in history:
        if op.kind not in WRITES or op.outcome != OK:
            continue
        index, value = final.get(op.key, (0, None))
        if index < op.index:
            problems.append("acknowledged and lost: %s; at the end %s has entry %d" % (op, op.key, index))
        elif index == op.index and value != op.value:
            problems.append("at the end entry %d is %s: %s" % (index, value, op))
    for op in history:
        if op.kind in WRITES and op.outcome == FAILED and op.value in values:
            problems.append("it failed and is there at the end: %s" % op)


# ---- clients ----

# Answers that say of themselves that nothing was done.
NOT_DONE = ("nothing can be written", "this server is leaving", "No cluster leader")
REFUSED = ("Enforcing job modify index", "job modify index")


class Server:
    """Where a server listens; its connections are those of one thread each."""

    def __init__(self, name, host, port):
        self.name, self.host, self.port = name, host, port

    def __str__(self):
        return self.name


class Refused(Exception):
    """The connection was not made: nothing was sent."""


class Connections:
    """Of one thread: kept open, closed after any error."""

    def __init__(self):
        self.open = {}

    def request(self, server, method, path, body=None):
        conn = self.open.pop(server, None)
        if conn is None:
            conn = http.client.HTTPConnection(server.host, server.port, timeout=TIMEOUT)
            try:
                conn.connect()
            except OSError as e:
                conn.close()
                raise Refused(str(e)) from e
        try:
            conn.request(method, path, body)
            r = conn.getresponse()
            data = r.read()
        except (OSError, http.client.HTTPException):
            conn.close()
            raise
        if r.will_close:
            conn.close()
        else:
            self.open[server] = conn
        return r.status, r.headers, data

    def close(self):
        for conn in self.open.values():
            conn.close()


def job(key, value):
    """A job that never places anything."""
    task = {"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/true"}}
    return {"ID": key, "Name": key, "Type": "service", "Datacenters": ["nowhere"], "Meta": {"value": value},
            "TaskGroups": [{"Name": "g", "Count": 0, "Tasks": [task]}]}


class Manners:
    """What clients spare for a while. A leader with writes under way answers no read before they are committed, which hides
    whether he asks if he still leads: so now and then nobody writes until others may have taken over, and then not to him."""

    def __init__(self):
        self.quiet_until = 0.0  # on time.monotonic()
        self.spared = None      # name of a server

    def may_write(self, server):
        return time.monotonic() >= self.quiet_until and server.name != self.spared


class Client(threading.Thread):
    """Does one random operation after the other until stop is set."""

    def __init__(self, number, servers, history, stop, seed, began, manners):
        super().__init__(daemon=True)
        self.number, self.servers, self.history, self.stop, self.began = number, servers, history, stop, began
        self.manners = manners
        self.random = random.Random("%s client %d" % (seed, number))
        self.connections = Connections()
        self.count = 0
        self.known = {}  # key: index, as read last

    def run(self):
        while not self.stop.is_set():
            op = self.choose()
            self.do(op)
            self.history.append(op)
            if op.outcome != OK:
                time.sleep(self.random.uniform(0.01, 0.2))
        self.connections.close()

    def choose(self):
        server = self.random.choice(self.servers)
        key = "key-%d" % self.random.randrange(KEYS)
        kind = self.random.choices(("set", "cas", "new", "get", "get?stale", "list", "list?stale"), (30, 10, 6, 40, 10, 2, 1))[0]
        value = expect = None
        if kind == "cas" and key not in self.known:
            kind = "set"
        if kind in WRITES and not self.manners.may_write(server):
            kind = "get"
        if kind in WRITES:
            self.count += 1
            value = "%d-%d" % (self.number, self.count)
        if kind == "new":
            key, expect = "only-" + value, 0
        elif kind == "cas":
            expect = self.known[key]
        return Operation(kind, server, key if not kind.startswith("list") else None, value, expect)

    def do(self, op):
        op.start = time.monotonic() - self.began
        try:
            if op.kind in WRITES:
                self.write(op)
            else:
                self.read(op)
        except Refused as e:
            op.outcome, op.text = FAILED, str(e)
        except (OSError, http.client.HTTPException) as e:
            op.outcome, op.text = UNKNOWN, "%s %s" % (type(e).__name__, e)
        op.end = time.monotonic() - self.began

    def write(self, op):
        body = {"Job": job(op.key, op.value)}
        if op.expect is not None:
            body.update(EnforceIndex=True, JobModifyIndex=op.expect)
        status, _, data = self.connections.request(op.server, "PUT", "/v1/jobs", json.dumps(body))
        if status == 200:
            op.outcome, op.index = OK, json.loads(data)["JobModifyIndex"]
            return
        op.text = "%d %s" % (status, data[:300].decode("utf-8", "replace"))
        if any(s in op.text for s in NOT_DONE):
            op.outcome = FAILED
        elif op.expect is not None and any(s in op.text for s in REFUSED):
            op.outcome, op.text = FAILED, "refused " + op.text

    def read(self, op):
        what, _, stale = op.kind.partition("?")
        path = "/v1/jobs" if what == "list" else "/v1/job/" + op.key
        status, _, data = self.connections.request(op.server, "GET", path + ("?stale" if stale else ""))
        if status == 200 and what == "list":
            op.outcome = OK
            op.seen = [(j["ID"], j["JobModifyIndex"], None) for j in json.loads(data)]
        elif status == 200:
            j = json.loads(data)
            op.outcome, op.index = OK, j["JobModifyIndex"]
            op.seen = [(op.key, op.index, j["Meta"]["value"])]
            if not stale:
                self.known[op.key] = op.index
        elif status == 404 and what == "get":
            op.outcome, op.seen = OK, [(op.key, 0, None)]
        else:
            op.text = "%d %s" % (status, data[:300].decode("utf-8", "replace"))


def read_all(server):
    """{key: (index, value)} of every job there."""
    c = Connections()
    try:
        status, _, data = c.request(server, "GET", "/v1/jobs?meta=true")
        if status != 200:
            raise OSError("%d %s" % (status, data[:300]))
        jobs = json.loads(data)
        if any("Meta" not in j for j in jobs):
            jobs = [json.loads(c.request(server, "GET", "/v1/job/" + j["ID"])[2]) for j in jobs]
        return {j["ID"]: (j["JobModifyIndex"], (j.get("Meta") or {}).get("value")) for j in jobs}
    finally:
        c.close()


def summary(history):
    """One line: how much of what."""
    counts = collections.Counter((op.kind in WRITES, op.outcome) for op in history)
    longest = max((op.end - op.start for op in history if op.outcome == OK), default=0)
    return "%d operations; writes: %d ok, %d failed, %d unknown; reads: %d ok, %d not answered; longest %.1f s" % (
        len(history), counts[True, OK], counts[True, FAILED], counts[True, UNKNOWN], counts[False, OK],
        counts[False, FAILED] + counts[False, UNKNOWN], longest)


def reasons(history):
    """How often what was not done, or not known, was said to be so for what: [(text, number)], most frequent first."""
    def shorten(text):
        return re.sub(r"[0-9a-f]{8,}|\d+", "N", text)[:160]
    return collections.Counter("%s: %s" % (op.outcome, shorten(op.text)) for op in history if op.outcome != OK).most_common(20)
