"""One machine runs real jobs: from the job file to the exit code, and what the person sees on the way."""
import json
import os
import time

from harness import ROOT, check, eventually, shell_job


def test_the_example_build_runs_and_reports(cluster):
    a = cluster.one()
    out, _ = a.cli("job", "run", "-var", "source=%s/etc/example" % ROOT, ROOT + "/etc/example-build.nomad")
    check("Evaluation" in out, out)
    allocs = a.wait_status("example-build", "complete", count=10)
    check(sorted(x["Name"] for x in allocs) == sorted("example-build.build[%d]" % i for i in range(10)),
          str([x["Name"] for x in allocs]))
    out, _ = a.cli("status", "example-build")
    check("dead" in out and "complete" in out, out)
    for x in allocs:
        states = list(x["TaskStates"].values())
        check(all(s["State"] == "dead" and not s["Failed"] for s in states), str(states))


def test_a_build_step_that_fails_fails_the_allocation(cluster):
    a = cluster.one()
    a.register(shell_job("fails", "echo step one >&2; exit 3", RestartPolicy={"Attempts": 0, "Mode": "fail"},
                         ReschedulePolicy={"Attempts": 0}))
    alloc = a.wait_status("fails", "failed")[0]
    events = alloc["TaskStates"]["main"]["Events"]
    ended = [e for e in events if e["Type"] == "Terminated"]
    check(ended and ended[0]["ExitCode"] == 3, str(events))
    check(a.logs(alloc["ID"], "main", "stderr") == "step one\n", "stderr is not what was written")


def test_the_service_example_answers_http_on_its_dynamic_port(cluster):
    a = cluster.one()
    a.cli("run", "-detach", ROOT + "/etc/example-service.nomad")
    job = json.loads(a.cli("job", "inspect", "example-service")[0])["Job"]
    alloc = eventually("it runs", lambda: next((x for x in a.allocs(job["ID"]) if x["ClientStatus"] == "running"), None))
    ports = a.alloc(alloc["ID"])["AllocatedResources"]["Shared"]["Ports"]
    import urllib.request

    def answers():
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/" % ports[0]["Value"], timeout=5) as r:
                return r.status == 200 and r.read()
        except OSError:
            return False
    eventually("the service answers", answers)
    check(20000 <= ports[0]["Value"] <= 32000, str(ports))


def test_the_task_environment_is_complete(cluster):
    a = cluster.one()
    job = shell_job("env", "env; pwd", count=2, Meta={"who": "group"}, Networks=[{"DynamicPorts": [{"Label": "http"}]}])
    job["Meta"] = {"who": "job", "other": "x"}
    a.register(job)
    for alloc in a.wait_status("env", "complete", count=2):
        out = a.logs(alloc["ID"], "main")
        env = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        port = a.alloc(alloc["ID"])["AllocatedResources"]["Shared"]["Ports"][0]["Value"]
        expected = {"NOMAD_ALLOC_ID": alloc["ID"], "NOMAD_ALLOC_NAME": alloc["Name"], "NOMAD_TASK_NAME": "main",
                    "NOMAD_ALLOC_INDEX": alloc["Name"].split("[")[1].rstrip("]"), "NOMAD_GROUP_NAME": "g",
                    "NOMAD_JOB_ID": "env", "NOMAD_JOB_NAME": "env", "NOMAD_DC": "dc1", "NOMAD_REGION": "global",
                    "NOMAD_NAMESPACE": "default", "NOMAD_META_who": "group", "NOMAD_META_WHO": "group",
                    "NOMAD_META_other": "x", "NOMAD_PORT_http": str(port), "NOMAD_HOST_PORT_http": str(port),
                    "NOMAD_ADDR_http": "%s:%d" % (env.get("NOMAD_IP_http"), port), "NOMAD_MEMORY_LIMIT": "16",
                    "NOMAD_CPU_LIMIT": "20", "NOMAD_SHORT_ALLOC_ID": alloc["ID"][:8]}
        wrong = {k: (v, env.get(k)) for k, v in expected.items() if env.get(k) != v}
        check(not wrong, "wrong variables (expected, found): %s" % wrong)
        for k in ("NOMAD_ALLOC_DIR", "NOMAD_TASK_DIR", "NOMAD_SECRETS_DIR"):
            check(os.path.isdir(env[k]), "%s = %s is no folder" % (k, env[k]))


def test_lifecycle_hooks_run_in_order(cluster):
    a = cluster.one()

    def task(name, lifecycle, script):
        return {"Name": name, "Driver": "raw_exec", "Lifecycle": lifecycle, "Resources": {"CPU": 20, "MemoryMB": 16},
                "Config": {"command": "/bin/sh", "args": ["-c", script]}}
    note = 'echo %s >>"$NOMAD_ALLOC_DIR/order"'
    job = shell_job("hooks", note % "main-start" + "; sleep 0.5; " + note % "main-end")
    job["TaskGroups"][0]["Tasks"] += [
        task("before", {"Hook": "prestart"}, "sleep 0.2; " + note % "prestart"),
        task("side", {"Hook": "prestart", "Sidecar": True}, "exec sleep 60"),
        task("after", {"Hook": "poststop"}, note % "poststop")]
    a.register(job)
    alloc = a.wait_status("hooks", "complete")[0]
    order = a.get("/v1/client/fs/cat/%s?path=alloc/order" % alloc["ID"]).text.split()
    check(order == ["prestart", "main-start", "main-end", "poststop"], str(order))


def test_a_failing_service_restarts_by_its_policy_and_then_fails(cluster):
    a = cluster.one()
    a.register(shell_job("flaky", "echo x; exit 1", kind="service",
                         RestartPolicy={"Attempts": 2, "Interval": 600 * 10**9, "Delay": 10**8, "Mode": "fail"},
                         ReschedulePolicy={"Attempts": 0, "Unlimited": False}))
    alloc = a.wait_status("flaky", "failed")[0]
    check(alloc["TaskStates"]["main"]["Restarts"] == 2, str(alloc["TaskStates"]))
    check(a.logs(alloc["ID"], "main") == "x\n" * 3, a.logs(alloc["ID"], "main"))


def test_stop_sends_the_signal_waits_and_then_kills(cluster):
    a = cluster.one()
    a.register(shell_job("stubborn", "trap 'echo got it' INT; echo up; while :; do sleep 0.1; done", kind="service",
                         task={"KillTimeout": 10**9}))
    alloc = a.wait_status("stubborn", "running")[0]
    eventually("it is up", lambda: "up" in a.logs(alloc["ID"], "main"))
    started = time.monotonic()
    a.cli("job", "stop", "-detach", "stubborn")
    a.wait_status("stubborn", "complete")
    check(time.monotonic() - started >= 1.0, "killed before its kill_timeout")
    check("got it" in a.logs(alloc["ID"], "main"), "the signal did not arrive")


def test_alloc_restart_signal_and_stop_do_what_they_say(cluster):
    a = cluster.one()
    a.register(shell_job("svc", "trap 'echo usr1' USR1; echo start; while :; do sleep 0.1; done", kind="service",
                         task={"KillTimeout": 10**8}))
    alloc = a.wait_status("svc", "running")[0]["ID"]
    eventually("it started", lambda: "start" in a.logs(alloc, "main"))
    a.cli("alloc", "signal", "-s", "SIGUSR1", alloc)
    eventually("the signal arrived", lambda: "usr1" in a.logs(alloc, "main"))
    a.cli("alloc", "restart", alloc)
    eventually("it started again", lambda: a.logs(alloc, "main").count("start") == 2)
    a.cli("alloc", "stop", "-detach", alloc)
    eventually("it was replaced", lambda: [x for x in a.allocs("svc") if x["ID"] != alloc and
                                           x["ClientStatus"] == "running"])
    check(a.alloc(alloc)["DesiredStatus"] == "stop", "the stopped one is still desired")


def test_job_run_says_why_and_exits_2_when_something_does_not_fit(cluster):
    a = cluster.one()
    path = os.path.join(cluster.dir, "big.nomad")
    with open(path, "w") as f:
        f.write('job "big" { datacenters = ["dc1"]\n type = "batch"\n group "g" { task "t" { driver = "raw_exec"\n'
                'config { command = "/bin/true" }\n resources { memory = 99999999 } } } }\n')
    out, err = a.cli("job", "run", path, expect=2)
    check("memory" in out + err, out + err)
    out, _ = a.cli("why", "big")
    check("memory" in out and "1 node" in out, out)
    out, _ = a.cli("job", "status", "big")
    check("memory" in out and "pending" in out, out)


def test_work_that_waits_is_placed_when_capacity_comes(cluster):
    a = cluster.one()
    node = a.get("/v1/nodes").json()[0]["ID"]
    a.cli("node", "eligibility", "-disable", node)
    a.register(shell_job("later", "true"))
    eventually("a reason is given", lambda: "eligible" in a.cli("why", "later")[0])
    check(not a.allocs("later"), "placed on an ineligible node")
    a.cli("node", "eligibility", "-enable", node)
    a.wait_status("later", "complete")


def test_plan_shows_the_difference_and_its_exit_code(cluster):
    a = cluster.one()
    path = os.path.join(cluster.dir, "p.nomad")
    text = ('job "p" { datacenters = ["dc1"]\n group "g" { count = 1\n task "t" { driver = "raw_exec"\n'
            'config { command = "/bin/sleep"\n args = ["%s"] }\n resources { cpu = 20\n memory = 16 } } } }\n')
    with open(path, "w") as f:
        f.write(text % "1000")
    out, _ = a.cli("job", "plan", path, expect=1)
    check('+ Job: "p"' in out, out)
    a.cli("job", "run", "-detach", path)
    a.wait_status("p", "running")
    a.cli("job", "plan", path, expect=0)
    with open(path, "w") as f:
        f.write(text % "2000")
    out, _ = a.cli("job", "plan", path, expect=1)
    check("forces create/destroy update" in out and "2000" in out, out)


def test_a_system_job_runs_on_every_node_and_a_second_machine_joins_over_http(cluster):
    a = cluster.one()
    a.register(shell_job("everywhere", "exec sleep 1000", kind="system"))
    a.wait_status("everywhere", "running", count=1)
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    a.wait_status("everywhere", "running", count=2)
    out, _ = a.cli("node", "status")
    check(out.count("active") == 2, out)
    alloc = [x for x in a.allocs("everywhere") if x["NodeName"] == "two"][0]
    # Files of the other machine come through this one.
    check(a.get("/v1/client/fs/ls/%s?path=/" % alloc["ID"]).status == 200, "fs/ls is not passed on")
    check(b.get("/v1/jobs").status == 200, "the client does not pass requests on")


def test_logs_follow_covers_rotation_and_ends_with_the_task(cluster):
    a = cluster.one()
    script = 'i=0; while [ $i -lt 20000 ]; do echo "line $i of a log that is rotated while it is read, often"; i=$((i+1)); done'
    a.register(shell_job("talk", script, task={"LogConfig": {"MaxFiles": 5, "MaxFileSizeMB": 1}}))
    alloc = eventually("it is placed", lambda: a.allocs("talk"))[0]["ID"]
    eventually("it started", lambda: a.alloc(alloc)["ClientStatus"] in ("running", "complete"))
    out, _ = a.cli("alloc", "logs", "-f", alloc)
    lines = out.splitlines()
    check(len(lines) == 20000 and lines[0].startswith("line 0 ") and lines[-1].startswith("line 19999 "),
          "%d lines, first %r, last %r" % (len(lines), lines[:1], lines[-1:]))
    out, _ = a.cli("logs", "-tail", "-n", "3", alloc)
    check(out.splitlines() == lines[-3:], out)
    out, _ = a.cli("logs", "-job", "talk")
    check(out.splitlines() == lines, "logs -job differs")


def test_a_blocking_query_wakes_on_the_change_and_not_before(cluster):
    a = cluster.one()
    a.register(shell_job("w", "true"))
    a.wait_status("w", "complete")
    first = a.get("/v1/job/w")
    started = time.monotonic()
    same = a.get("/v1/job/w?index=%d&wait=300ms" % first.index)
    check(time.monotonic() - started >= 0.29 and same.index == first.index, "did not wait")
    import threading
    got = []
    waiter = threading.Thread(target=lambda: got.append(a.get("/v1/job/w?index=%d&wait=60s" % first.index)))
    waiter.start()
    time.sleep(0.2)
    check(not got, "woke without a change")
    a.register(shell_job("w", "true", Meta={"x": "y"}))
    waiter.join(10)
    check(got and got[0].index > first.index, "did not wake on the change")


def test_garbage_collection_forgets_what_is_dead(cluster):
    a = cluster.one()
    a.register(shell_job("gone", "true"))
    alloc = a.wait_status("gone", "complete")[0]["ID"]
    a.cli("job", "stop", "-detach", "gone")
    eventually("it is dead", lambda: a.get("/v1/job/gone").json()["Status"] == "dead")
    a.cli("system", "gc")
    eventually("the job is forgotten", lambda: a.get("/v1/job/gone").status == 404)
    eventually("its folder is gone", lambda: not os.path.exists(os.path.join(a.data, "alloc", alloc)))
