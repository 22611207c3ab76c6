"""Recorded answers, as shapes, and their comparison with real ones.

A file of tests/e2e/recorded/ holds requests and what an existing server answered to each:

    >>> PUT /v1/jobs?x=y          method and target; {name} stands for an id, {name:8} for its first eight characters
    >>> Origin: http://a.example  further request headers
    {"Job": ...}                  the body, on one line
    <<< 200                       the status; `waits`: a blocking query; `stays`: the stream does not end by itself
    Content-Type: ...             the headers; "~" for a value means any
                                  then the body, on one line:
    json SHAPE | text "..." | ~frames SHAPE | ~stream | ~empty | ~unchecked

A SHAPE is JSON in which "~string", "~number" and "~bool" stand for any value of that kind, a list has one element, the
shape of each of its elements, "key?" may be absent, {"~any": [...]} is one of several, {"~each": S} is an object with any
keys, and "~more" tells that an object may have others beside those named. Every other value is compared as it is.
"""
import http.client
import json
import os
import re
import time

from harness import Failed

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = {"null", "bool", "number", "string", "object", "list"}
UNTOLD = {"content-length", "transfer-encoding", "date", "connection", "keep-alive"}


class Step:
    def __init__(self, method, target, headers, body, status, mode, answer_headers, expected):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.status, self.mode, self.answer_headers, self.expected = status, mode, answer_headers, expected

    @property
    def name(self):
        return "%s %s" % (self.method, self.target)


def read(name):
    """The steps of a recording."""
    with open(os.path.join(HERE, "recorded", name + ".txt"), encoding="utf-8") as f:
        blocks = f.read().split("\n\n")
    for block in filter(str.strip, blocks):
        lines = block.strip("\n").split("\n")
        method, target = lines[0][4:].split(" ", 1)
        at = 1
        headers = {}
        while lines[at].startswith(">>> "):
            key, value = lines[at][4:].split(": ", 1)
            headers[key] = value
            at += 1
        body = None
        if not lines[at].startswith("<<< "):
            body = lines[at].replace("\\n", "\n") if not lines[at].startswith(("{", "[")) else lines[at]
            at += 1
        status, _, mode = lines[at][4:].partition(" ")
        answer_headers = dict(line.split(": ", 1) for line in lines[at + 1:-1])
        yield Step(method, target, headers, body, int(status), mode, answer_headers, lines[-1])


def kind(x):
    if isinstance(x, str) and x[:1] == "~" and x[1:] in KINDS:
        return x[1:]
    if isinstance(x, dict):
        return "object"
    if isinstance(x, list):
        return "list"
    if x is None:
        return "null"
    return "bool" if isinstance(x, bool) else "string" if isinstance(x, str) else "number"


def compare(want, got, path="$"):
    """Every difference between a shape and a value, as "path: sentence"."""
    choices = want["~any"] if isinstance(want, dict) and "~any" in want else [want]
    fitting = [c for c in choices if kind(c) == kind(got)]
    if not fitting:
        yield "%s: expected %s, got %s" % (path, " or ".join(sorted({kind(c) for c in choices})), brief(got))
        return
    want = fitting[0]
    if isinstance(got, dict):
        yield from compare_objects(want, got, path)
    elif isinstance(got, list):
        if bool(want) != bool(got):
            yield "%s: expected %s, got %s" % (path, "elements" if want else "no elements", brief(got))
        for item in got if want else ():
            yield from compare(want[0], item, path + "[]")
    elif not (isinstance(want, str) and want[:1] == "~") and want != got:
        yield "%s: expected %s, got %s" % (path, brief(want), brief(got))


def compare_objects(want, got, path):
    if "~each" in want:
        for key in got:
            yield from compare(want["~each"], got[key], path + ".*")
        return
    names = {key.rstrip("?"): key for key in want if key != "~more"}
    for name, key in names.items():
        if name in got:
            yield from compare(want[key], got[name], "%s.%s" % (path, name))
        elif not key.endswith("?"):
            yield "%s: lacks %s" % (path, name)
    for name in got:
        if name not in names and "~more" not in want:
            yield "%s: has %s" % (path, name)


def brief(x):
    text = json.dumps(x)
    return text if len(text) < 120 else text[:117] + "..."


def frames(text):
    """The JSON objects that stand one after the other in a stream."""
    decoder, at, out = json.JSONDecoder(), 0, []
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        out.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return out


class Player:
    """Sends the steps of recordings to an agent and gathers what differs."""

    def __init__(self, agent, deliberate, later, **ids):
        self.agent, self.ids = agent, dict({"nobody": "00000000-0000-0000-0000-000000000000"}, **ids)
        self.deliberate = [(re.compile(where), re.compile(what), reason) for where, what, reason in deliberate]
        self.later = [(re.compile(where), reason) for where, reason in later]
        self.used, self.played = set(), []

    def fill(self, text):
        def replace(m):
            value = self.ids[m.group(1)]
            return value[:int(m.group(2))] if m.group(2) else value
        return text and re.sub(r"\{([a-z0-9]+)(?::(\d+))?\}", replace, text)

    def send(self, step):
        conn = http.client.HTTPConnection("127.0.0.1", self.agent.port, timeout=1.6 if step.mode == "stays" else 30)
        try:
            body = self.fill(step.body)
            conn.putrequest(step.method, self.fill(step.target), skip_accept_encoding=True)
            for key, value in step.headers.items():
                conn.putheader(key, value)
            if body is not None or step.method in ("PUT", "POST"):
                conn.putheader("Content-Length", str(len((body or "").encode())))
            conn.endheaders((body or "").encode())
            r = conn.getresponse()
            return r.status, r.getheaders(), self.read_body(r, step.mode == "stays")
        finally:
            conn.close()

    @staticmethod
    def read_body(r, stays):
        if not stays:
            return r.read()
        out, end = b"", time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                out += r.read1(65536)
            except OSError:
                break
        return out

    def differences(self, step):
        """What the agent answers otherwise than recorded, without what is deliberate."""
        status, headers, body = self.send(step)
        found = []
        if status != step.status:
            found.append("status: expected %d, got %d %s" % (step.status, status, brief(body.decode("utf-8", "replace"))))
        else:
            found += self.compare_headers(step, headers)
            found += self.compare_body(step, body)
        if any(where.search("%s %s" % (self.recording, step.name)) for where, _ in self.later):
            if found and status not in (404, 501) and body != b"[]":
                return ["does not exist yet, but answers %d %s" % (status, brief(body.decode("utf-8", "replace")))]
            return []
        return [f for f in dict.fromkeys(found) if not self.is_deliberate(step, f)]

    @staticmethod
    def compare_headers(step, headers):
        got = {}
        for key, value in headers:
            got[key.lower()] = value if key.lower() not in got else got[key.lower()] + ", " + value
        want = {key.lower(): value for key, value in step.answer_headers.items()}
        for key in sorted(set(want) | set(got)):
            if key in UNTOLD:
                continue
            if key not in got:
                yield "header %s: lacks %s" % (key, want[key])
            elif key not in want:
                yield "header %s: has %s" % (key, got[key])
            elif want[key] != "~" and want[key] != got[key]:
                yield "header %s: expected %s, got %s" % (key, want[key], got[key])

    def compare_body(self, step, body):
        form, _, rest = step.expected.partition(" ")
        text = body.decode("utf-8", "replace")
        if form == "~empty":
            if body:
                yield "body: expected none, got %s" % brief(text)
        elif form == "text":
            want = self.fill(json.loads(rest))
            if self.plain(text) != self.plain(want):
                yield "body: expected %s, got %s" % (json.dumps(want), json.dumps(text))
        elif form == "json" or form == "~frames":
            try:
                values = [json.loads(text)] if form == "json" else frames(text)
            except ValueError:
                yield "body: no JSON: %s" % brief(text)
                return
            for value in values:
                yield from compare(json.loads(rest), value)

    def plain(self, text):
        """Error texts name folders and indexes that differ from machine to machine."""
        text = text.replace(self.agent.data, "/var/lib/nomad")
        return re.sub(r"index: \d+", "index: N", text).strip()

    def is_deliberate(self, step, difference):
        for i, (where, what, _) in enumerate(self.deliberate):
            if where.search("%s %s" % (self.recording, step.name)) and what.search(difference):
                self.used.add(i)
                return True
        return False

    def play(self, recording, before=None, only=None, skip=()):
        """Sends every step in order; before[name of the step] is called first. GETs are asked again until they answer as
        recorded, for things take their time."""
        self.recording = recording
        out = []
        for step in read(recording):
            self.played.append("%s %s" % (recording, step.name))
            if step.name in skip or (only and not re.search(only, step.name)):
                continue
            if before and step.name in before:
                before[step.name]()
            found = self.differences(step)
            end = time.monotonic() + (8 if step.method == "GET" and step.mode != "stays" else 0)
            while found and time.monotonic() < end:
                time.sleep(0.1)
                found = self.differences(step)
            out += ["%s %s\n      %s" % (recording, step.name, f) for f in found]
        return out

    def report(self, found):
        if found:
            raise Failed("%d differences from the recordings:\n%s" % (len(found), "\n".join(found)))
        for i, (where, what, reason) in enumerate(self.deliberate):
            # A row that names its recordings must have been needed by one of them.
            if i not in self.used and where.pattern.startswith("^") and any(where.search(s) for s in self.played):
                raise Failed("nothing differs any more as the table says: %s, %s (%s)" % (where.pattern, what.pattern, reason))
