"""Machines that are to go, for real: drover-scale-in beside a real agent with builds that run, against a stand-in of what AWS
shows to an instance (cloud.py), and against hooks of one's own."""
import datetime
import http.server
import json
import os
import re
import signal
import stat
import subprocess
import threading
import time

from cloud import GROUP, HOOK, Cloud, signature, stamp
from harness import OUT, ROOT, Failed, check, eventually, process_alive, shell_job
from test_tls import World

SCALE_IN = os.path.join(OUT, "drover-scale-in")


class Machine:
    """An agent with a node, drover-scale-in beside it, and (unless cloud=False) a stand-in of AWS."""

    def __init__(self, cluster, provider="aws-asg", agent=None, agent_options="", cloud=True, **aws):
        self.agent = agent or cluster.one()
        self.dir = self.agent.dir
        self.cloud = Cloud() if cloud else None
        self.state_file = os.path.join(self.dir, "scale-in", "state.json")
        self.log = os.path.join(self.dir, "scale-in.log")
        self.conf = os.path.join(self.dir, "scale-in.conf")
        self.process = None
        lines = ['provider = "%s"' % provider, 'state_file = "%s"' % self.state_file, 'interval = "200ms"', 'heartbeat = "500ms"',
                 'log_level = "DEBUG"', 'agent { address = "%s" %s }' % (self.agent.url, agent_options)]
        if cloud:
            aws = dict({"group": GROUP, "hook": HOOK, "metadata": self.cloud.url(self.cloud.metadata),
                        "endpoint": self.cloud.url(self.cloud.api)}, **aws)
            lines.append("aws { %s }" % "  ".join('%s = "%s"' % kv for kv in aws.items() if kv[1] is not None))
        with open(self.conf, "w") as f:
            f.write("\n".join(lines) + "\n")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop(signal.SIGKILL)
        if self.cloud:
            self.cloud.close()
        if kind and os.path.exists(self.log):
            raise Failed("%s\n--- drover-scale-in ---\n%s" % (value, self.said()[-3000:])) from value

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([SCALE_IN, "-config", self.conf], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True)
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(30)
        return self.process.returncode if self.process else 0

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def phase(self):
        try:
            with open(self.state_file) as f:
                return json.load(f)["phase"]
        except FileNotFoundError:
            return ""

    def wait(self, phase, deadline=40):
        eventually("the phase is " + phase, lambda: self.phase() == phase, deadline)

    def node(self):
        return next(n for n in self.agent.get("/v1/nodes").json() if n["Name"] == self.agent.name)

    def drain(self):
        return self.agent.get("/v1/node/%s/drain" % self.node()["ID"]).json()

    def build(self, name, script, **kw):
        """A build that is tried once: a step that fails is a result."""
        self.agent.register(shell_job(name, "echo $$ >local/pid; " + script, RestartPolicy={"Attempts": 0, "Mode": "fail"},
                                      ReschedulePolicy={"Attempts": 0, "Unlimited": False}, **kw))
        self.agent.wait_status(name, "running")
        return eventually("%s is up" % name, lambda: self.agent.pid_file(name))

    def check_ended_by_itself(self, name, code):
        allocs = self.agent.allocs(name)
        check(len(allocs) == 1, "%s was done again" % name)
        task = allocs[0]["TaskStates"]["main"]
        ends = [e["ExitCode"] for e in task["Events"] if e["Type"] == "Terminated"]
        check(ends == [code] and task["Restarts"] == 0, "%s: exit codes %s, %d restarts" % (name, ends, task["Restarts"]))

    def check_forms(self):
        check(not self.cloud.wrong, "requests that AWS would refuse: %s" % self.cloud.wrong)


def test_a_termination_is_released_when_the_last_build_has_ended(cluster):
    with Machine(cluster, group=None) as m:
        cloud = m.cloud
        m.agent.cli("job", "run", "-detach", "-var", "source=" + os.path.join(ROOT, "etc/example"), "-var", "slices=2",
                    os.path.join(ROOT, "etc/example-build.nomad"))
        pids = [m.build("build-%d" % i, "sleep %d; exit %d" % (2 + i, 5 * i)) for i in range(3)]
        seen = {}

        def on_complete():
            seen["alive"] = [p for p in pids if process_alive(p)]
            seen["tasks"] = [r for r in m.agent.run_records() if "task" in r and process_alive(r["task"][0])]
        cloud.on_complete = on_complete
        m.start()
        eventually("it looks", lambda: len(cloud.gets) > 4)
        check(m.node()["SchedulingEligibility"] == "eligible" and not cloud.calls, "it acts without need")
        cloud.terminate()
        m.wait("released")
        check(seen == {"alive": [], "tasks": []}, "released while these ran: %s" % seen)
        for i in range(3):
            m.check_ended_by_itself("build-%d" % i, 5 * i)
        check([a["ClientStatus"] for a in m.agent.allocs("example-build")] == ["complete"] * 2, "the example failed")
        check(len(cloud.completions) == 1 and len(cloud.heartbeats) >= 3, str(cloud.calls))
        check(cloud.calls[0][1] == "RecordLifecycleActionHeartbeat", "the first call: %s" % cloud.calls[0][1])
        check(cloud.tokens_given == 1, "%d tokens for the metadata" % cloud.tokens_given)
        m.check_forms()
        d = m.drain()
        check(d["Meta"]["set_by"] == "drover-scale-in" and "Terminated" in d["Meta"]["message"], str(d["Meta"]))
        check(stat.S_IMODE(os.stat(m.state_file).st_mode) == 0o600, "others can read the state file")
        with open(m.state_file) as f, open("/proc/%d/cmdline" % m.process.pid) as argv:
            shown = m.said() + f.read() + argv.read()
        check(not [s for s in cloud.secrets() if s in shown], "a secret is shown")
        check(m.stop() == 0, "it did not stop as asked")


def test_kill_9_changes_nothing_nothing_is_drained_or_completed_twice(cluster):
    with Machine(cluster) as m:
        cloud = m.cloud
        m.build("build", "sleep 6; exit 3")
        cloud.terminate()
        m.start()
        eventually("it is held", lambda: cloud.heartbeats)
        eventually("the drain is remembered", lambda: '"drain_set": true' in open(m.state_file).read())
        began = m.drain()["StartedAt"]
        m.stop(signal.SIGKILL)
        before = len(cloud.heartbeats)
        cloud.hold = threading.Event()
        m.start()
        eventually("heartbeats go on", lambda: len(cloud.heartbeats) > before + 1)
        m.agent.kill()  # the build goes on, and nobody can say whether the node is empty
        before = len(cloud.heartbeats)
        eventually("heartbeats go on without the agent", lambda: len(cloud.heartbeats) > before + 2)
        m.agent.start()
        eventually("the completion is on its way", lambda: cloud.completions)
        check(m.phase() == "releasing", m.phase())
        m.stop(signal.SIGKILL)  # before the answer
        cloud.hold.set()
        m.start()
        m.wait("released")
        check(len(cloud.completions) == 1, "completed %d times" % len(cloud.completions))
        refused = [c for c in cloud.calls if c[2] == "ValidationError"]
        check(len(refused) <= 2, "asked again and again: %s" % cloud.calls)
        m.check_ended_by_itself("build", 3)
        check(m.drain()["StartedAt"] == began, "drained anew")
        m.stop(signal.SIGKILL)
        calls, looks = len(cloud.calls), len(cloud.gets)
        m.start()
        eventually("it looks", lambda: len(cloud.gets) > looks + 6)
        check(len(cloud.calls) == calls, "after all was told: %s" % cloud.calls[calls:])
        m.check_forms()


def test_an_api_that_throttles_and_fails_is_asked_again_at_a_bounded_pace(cluster):
    with Machine(cluster) as m:
        cloud = m.cloud
        cloud.failures = [(503, "ServiceUnavailable"), (400, "Throttling"), (500, "InternalFailure")]
        m.build("build", "sleep 3")
        cloud.terminate()
        m.start()
        eventually("a heartbeat gets through", lambda: cloud.heartbeats)
        eventually("the build ends", lambda: m.agent.allocs("build")[0]["ClientStatus"] == "complete")
        with cloud.lock:
            failed = [c for c in cloud.calls if c[2] != "ok"]
            cloud.failures = [(400, "Throttling"), (503, "ServiceUnavailable"), (400, "Throttling"), (400, "Throttling")]
        check([c[2] for c in failed] == ["ServiceUnavailable", "Throttling", "InternalFailure"], str(cloud.calls))
        m.wait("released")
        check(len(cloud.completions) == 1, str(cloud.calls))
        for action, least in (("CompleteLifecycleAction", 0.4), ("RecordLifecycleActionHeartbeat", 0.2)):
            times = [c[0] for c in cloud.calls if c[1] == action]
            gaps = [b - a for a, b in zip(times, times[1:])]
            check(min(gaps or [1]) >= least and max(gaps or [1]) < 20, "%s: %s" % (action, gaps))
        check("Rate exceeded" in m.said() or "status 503" in m.said(), "it does not say what is wrong")
        m.check_forms()


def test_tokens_and_credentials_are_renewed_before_they_end(cluster):
    with Machine(cluster) as m:
        cloud = m.cloud
        cloud.token_ttl, cloud.key_life = 1, 302  # credentials are renewed five minutes early
        m.build("build", "sleep 5")
        cloud.terminate()
        m.start()
        m.wait("released")
        check(cloud.tokens_given >= 4, "%d tokens" % cloud.tokens_given)
        check(len(cloud.keys) >= 2, "%d keys" % len(cloud.keys))
        check([c for c in cloud.calls if c[2] != "ok"] == [], str(cloud.calls))
        m.check_forms()


def test_credentials_that_are_refused_are_read_again(cluster):
    with Machine(cluster) as m:
        cloud = m.cloud
        m.build("build", "sleep 4")
        cloud.terminate()
        m.start()
        eventually("it is held", lambda: cloud.heartbeats)
        with cloud.lock:
            for key, (secret, session, _) in cloud.keys.items():
                cloud.keys[key] = (secret, session, 0)  # revoked
        m.wait("released")
        check([c[2] for c in cloud.calls if c[2] != "ok"] == ["ExpiredToken"], str(cloud.calls))
        m.check_forms()


def test_a_spot_notice_is_the_deadline_of_the_drain_and_what_is_cut_off_is_done_elsewhere(cluster):
    a = cluster.one()
    b = cluster.agent("two", server=False, servers=[a.address]).start()  # asks its server for all that has to do with drains
    eventually("two nodes", lambda: len([n for n in a.get("/v1/nodes").json() if n["Status"] == "ready"]) == 2)
    with Machine(cluster, agent=b, spot_margin="2s") as m:
        cloud, quick = m.cloud, {"KillTimeout": 10**9}
        a.cli("node", "eligibility", "-disable", "-self")
        m.build("short", "sleep 3; exit 4", task=quick)
        m.build("long", "exec sleep 1000", task=quick)
        alloc, pid = m.agent.allocs("long")[0], int(m.agent.pid_file("long"))
        a.cli("node", "eligibility", "-enable", "-self")
        m.start()
        eventually("it looks", lambda: cloud.gets)
        end = int(time.time()) + 14
        cloud.spot = json.dumps({"action": "terminate", "time": stamp(end)})
        d = eventually("it drains", lambda: (lambda d: d if d["Status"] == "draining" else None)(m.drain()))
        deadline = datetime.datetime.fromisoformat(d["ForceDeadline"][:19] + "+00:00").timestamp()
        check(abs(deadline - (end - 2)) <= 1, "%s, of an end at %s" % (d["ForceDeadline"], stamp(end)))
        check("spot interruption (terminate)" in d["Meta"]["message"], str(d["Meta"]))
        m.wait("released")
        check(time.time() < end, "it took longer than there was time")
        check(not process_alive(pid), "what was cut off still runs")
        m.check_ended_by_itself("short", 4)
        moved = eventually("it is done elsewhere", lambda: [x for x in a.allocs("long") if x["ClientStatus"] == "running"])
        check(moved[0]["NodeID"] != alloc["NodeID"], str(moved))
        check(not cloud.calls, "there is no lifecycle action to speak of: %s" % cloud.calls)
        cloud.terminate()  # the group has noticed, and waits
        eventually("the action is completed", lambda: cloud.completions)
        m.check_forms()


def test_back_in_service_the_node_takes_work_again_and_what_an_operator_says_counts(cluster):
    with Machine(cluster) as m:
        cloud = m.cloud
        pid = m.build("build", "sleep 8; exit 6")
        m.start()
        cloud.terminate()
        m.wait("draining")
        eventually("it drains", lambda: m.drain()["Status"] == "draining")
        cloud.return_to_service()
        m.wait("idle")
        check(m.node()["SchedulingEligibility"] == "eligible" and m.drain()["Status"] == "canceled", str(m.drain()))
        cloud.terminate()
        eventually("it drains again", lambda: m.drain()["Status"] == "draining")
        eventually("it is held", lambda: '"drain_set": true' in open(m.state_file).read())
        m.agent.cli("node", "drain", "-disable", "-yes", "-self")
        m.wait("held")
        before = len(cloud.heartbeats)
        eventually("heartbeats go on", lambda: len(cloud.heartbeats) > before + 2)
        check(m.drain()["Status"] == "canceled" and m.phase() == "held", "it was drained anew")
        check(process_alive(pid) and not cloud.completions, "it was let go")
        m.agent.cli("node", "drain", "-enable", "-yes", "-self", "-no-deadline", "-detach")
        m.wait("released")
        m.check_ended_by_itself("build", 6)
        check(len(cloud.completions) == 1, str(cloud.calls))
        m.check_forms()


def test_an_operators_own_drain_is_not_taken_back(cluster):
    with Machine(cluster) as m:
        cloud = m.cloud
        m.build("build", "exec sleep 1000")
        m.agent.cli("node", "drain", "-enable", "-yes", "-self", "-no-deadline", "-detach", "-m", "kernel update")
        m.start()
        cloud.terminate()
        eventually("it is held", lambda: cloud.heartbeats)
        check(m.drain()["Meta"]["message"] == "kernel update", "the drain was overwritten")
        cloud.return_to_service()
        m.wait("idle")
        check(m.drain()["Status"] == "draining", "it was taken back")


def test_without_metadata_it_says_so_and_waits_and_a_rebalance_can_drain(cluster):
    cloud = Cloud()
    address = cloud.url(cloud.metadata)
    cloud.close()
    with Machine(cluster, rebalance="drain", metadata=address) as m:
        m.start()
        eventually("it says so", lambda: re.search(r"WARN.*instance metadata: %s\S* .*trying again" % address, m.said()))
        time.sleep(1.5)
        check(len(re.findall("WARN", m.said())) == 1, "it says so again and again")
        m.stop()
        with open(m.conf) as f:
            text = f.read()
        with open(m.conf, "w") as f:
            f.write(text.replace(address, m.cloud.url(m.cloud.metadata)))
        m.cloud.lifecycle = None
        m.cloud.rebalance = json.dumps({"noticeTime": stamp(time.time())})
        m.build("build", "sleep 2; exit 2")
        m.start()
        d = eventually("it drains", lambda: (lambda d: d if d["Status"] == "draining" else None)(m.drain()))
        check(d["Deadline"] == 0 and "rebalance" in d["Meta"]["message"], str(d))
        m.wait("released")
        m.check_ended_by_itself("build", 2)
        m.cloud.rebalance = None
        m.wait("idle")
        check(m.node()["SchedulingEligibility"] == "eligible", "the node is of no use now")
        check(not m.cloud.calls, str(m.cloud.calls))


def test_commands_of_ones_own(cluster):
    with Machine(cluster, "exec", cloud=False) as m:
        wanted, told = os.path.join(m.dir, "wanted"), os.path.join(m.dir, "told")
        tell = 'echo "$DROVER_SCALE_IN_EVENT $DROVER_SCALE_IN_REMAINING $DROVER_NODE_ID $DROVER_SCALE_IN_REASON" >>%s' % told
        once = os.path.join(m.dir, "failed-once")
        with open(m.conf, "a") as f:
            f.write('exec {\n state = {"cat", "%s"}\n heartbeat = {"sh", "-c", \'%s\'}\n'
                    ' complete = {"sh", "-c", \'%s; test -e %s || { touch %s; exit 1; }\'}\n timeout = "2s"\n}\n'
                    % (wanted, tell, tell, once, once))
        m.build("build", "sleep 3; exit 9")
        m.start()
        eventually("it says that it cannot know", lambda: "cat exited with 1" in m.said())
        check(m.drain()["Status"] == "", "it drains without knowing")
        with open(wanted + ".new", "w") as f:
            f.write("leave - rack 4 is moved\n")
        os.rename(wanted + ".new", wanted)
        m.wait("released")
        m.check_ended_by_itself("build", 9)
        with open(told) as f:
            lines = f.read().splitlines()
        node = m.node()["ID"]
        check(lines.count("heartbeat 1 %s rack 4 is moved" % node) >= 2, str(lines))
        check([line for line in lines if line.startswith("complete")] == ["complete 0 %s rack 4 is moved" % node] * 2, str(lines))
        with open(wanted + ".new", "w") as f:
            f.write("stay\n")
        os.rename(wanted + ".new", wanted)
        m.wait("idle")
        check(m.node()["SchedulingEligibility"] == "eligible", "the node takes no work")


def test_urls_of_ones_own(cluster):
    state, news = ["stay"], []

    class Fleet(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(200 if self.headers["Authorization"] == "Bearer of-the-fleet" else 403, state[0])

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            news.append((self.path, body))
            self.answer(200, "")

        def answer(self, status, text):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fleet)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_address[1]
    try:
        with Machine(cluster, "http", cloud=False) as m:
            token = os.path.join(m.dir, "token")
            with open(token, "w") as f:
                f.write("of-the-fleet\n")
            with open(m.conf, "a") as f:
                f.write('http { state = "%s/state" heartbeat = "%s/beat" complete = "%s/complete" token_file = "%s" }\n' % (
                    url, url, url, token))
            m.build("short", "sleep 2; exit 5", task={"KillTimeout": 10**9})
            pid = m.build("long", "exec sleep 1000", task={"KillTimeout": 10**9})
            m.start()
            state[0] = "leave %s the lease ends" % stamp(time.time() + 9)
            m.wait("released")
            m.check_ended_by_itself("short", 5)
            check(not process_alive(pid), "the deadline was not kept")
            beats = [b for p, b in news if p == "/beat"]
            check(beats and beats[0]["NodeID"] == m.node()["ID"] and beats[0]["Reason"] == "the lease ends", str(news))
            check([p for p, b in news if b["Event"] == "complete"] == ["/complete"] and news[-1][1]["Remaining"] == 0, str(news))
            check("of-the-fleet" not in m.said(), "a secret is shown")
    finally:
        server.shutdown()
        server.server_close()


def test_an_agent_that_speaks_tls_and_a_machine_that_is_empty(cluster):
    w = World(cluster)
    agent = w.agent().start()
    eventually("the node is ready", lambda: [n for n in agent.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    options = 'ca_file = "%s" cert_file = "%s" key_file = "%s"' % (w.ca, *w.person)
    with Machine(cluster, agent=agent, agent_options=options) as m:
        m.cloud.terminate()
        m.start()
        m.wait("released")
        check(m.drain()["Status"] == "complete" and len(m.cloud.completions) == 1, str(m.cloud.calls))
        m.check_forms()


def test_the_stand_in_computes_signatures_as_AWS_publishes_them(cluster):
    """The case get-vanilla of AWS's own test suite for Signature Version 4."""
    headers = [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")]
    check(signature("GET", "/", headers, ["host", "x-amz-date"], b"", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830T123600Z",
                    "20150830/us-east-1/service/aws4_request") ==
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", "it does not")


def test_a_configuration_that_is_wrong_is_refused_with_its_place(cluster):
    path = os.path.join(cluster.dir, "scale-in.conf")

    def run(*args):
        return subprocess.run([SCALE_IN, *args], capture_output=True, text=True, timeout=30)
    with open(os.path.join(ROOT, "packaging/scale-in/scale-in.conf")) as f:
        sample = f.read()
    check(run("-sample").stdout == sample, "packaging/scale-in/scale-in.conf is not what -sample prints")
    with open(path, "w") as f:
        f.write(re.sub(r"^(\t*)#(?=\w+ = )", r"\1", sample, flags=re.M))
    r = run("-config", path, "-check")
    check(r.returncode == 0, "the sample is refused when nothing is commented out: " + r.stderr)
    for text, sentence in (
            ('provider = "gcp"\n', ':1: provider: expected one of aws-asg exec http , got "gcp"'),
            ('\ninterval = "1ms"\n', ":2: interval: 1ms is out of range; expected 100ms to 1m0s"),
            ('aws {\n hok = "x"\n}\n', ":2: no such option 'hok'"),
            ('provider = "exec"\n', "exec { state } is missing"),
            ('state_file = "x"\n', "state_file: expected an absolute path"),
            ('drain { deadline = "soon" }\n', ':1: deadline: expected a duration like "30s" or "1h30m", got "soon"')):
        with open(path, "w") as f:
            f.write(text)
        r = run("-config", path)
        check(r.returncode == 1 and path in r.stderr and sentence in r.stderr, "%r: %s" % (text, r.stderr))
    r = run("-config", os.path.join(cluster.dir, "none"))
    check(r.returncode == 1 and "No such file" in r.stderr, r.stderr)
    check(run("-nonsense").returncode == 2 and "drover-scale-in" in run("-help").stdout, "flags")
