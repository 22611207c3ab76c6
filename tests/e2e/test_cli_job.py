"""The job half of the command line against a real agent, compared with the shapes that Nomad's recorded runs have: ids,
times and indexes masked, everything else to the byte."""
import http.server
import json
import os
import re
import subprocess
import threading
import time

from harness import DROVER, check, eventually, shell_job

RUN = """job "%(id)s" {
  datacenters = ["%(dc)s"]
  type        = "%(type)s"

  group "g" {
    count = %(count)d

    task "t" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "%(script)s"]
      }

      env {
        VERSION = "%(version)s"
      }

      resources {
        cpu    = 20
        memory = %(memory)d
      }
    }
  }
}
"""


def job_file(cluster, job_id, script="exec sleep 1000", **kw):
    values = dict({"id": job_id, "dc": "dc1", "type": "service", "count": 1, "script": script, "version": "1",
                   "memory": 16}, **kw)
    path = os.path.join(cluster.dir, job_id + ".nomad")
    with open(path, "w") as f:
        f.write(RUN % values)
    return path


def mask(text):
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<UUID>", text)
    text = re.sub(r"\b[0-9a-f]{8}\b", "<ID>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", "<TIME>", text)
    text = re.sub(r"\b(\d+[smhd])+ ago\b *", "<AGO> ", text)
    return re.sub(r"(check-index|Modify Index:) \d+", r"\1 <N>", text)


def same(got, expected, what="output"):
    """Equal but for the masked parts and the spaces that pad them."""
    a = [line.rstrip() for line in mask(got).rstrip("\n").split("\n")]
    b = [line.rstrip() for line in expected.strip("\n").split("\n")]
    check(a == b, "%s differs:\n%s\n--- expected ---\n%s" % (what, "\n".join(a), "\n".join(b)))


def settle(agent, job, n, status="running"):
    agent.wait_status(job, status, count=n)


# ---- run ----

def test_run_follows_the_evaluation_to_its_end(cluster):
    a = cluster.one()
    path = job_file(cluster, "once", "exit 0", type="batch", count=2)
    started = time.monotonic()
    out, err = a.cli("job", "run", path)
    check(time.monotonic() - started < 5, "it took %.1f s" % (time.monotonic() - started))
    # An evaluation that is done at the first look has one headline; one that is not has two.
    out = re.sub(r'(?<=\n)==> \S+ Monitoring evaluation "\w+"\n', "", out)
    out = re.sub(r'.*status changed: "pending" -> "(running|complete)" .*\n', "", out)
    same(out, """
==> <TIME>: Monitoring evaluation "<ID>"
    <TIME>: Evaluation triggered by job "once"
    <TIME>: Allocation "<ID>" created: node "<ID>", group "g"
    <TIME>: Allocation "<ID>" created: node "<ID>", group "g"
    <TIME>: Evaluation status changed: "pending" -> "complete"
==> <TIME>: Evaluation "<ID>" finished with status "complete"
""")
    check(err == "", err)
    settle(a, "once", 2, "complete")
    out, _ = a.cli("run", "-verbose", path)
    check(re.search(r'Monitoring evaluation "[0-9a-f-]{36}"', out), out)


def test_run_detached_prints_the_evaluation_alone(cluster):
    a = cluster.one()
    out, _ = a.cli("run", "-detach", job_file(cluster, "once", "exit 0", type="batch"))
    same(out, "Job registration successful\nEvaluation ID: <UUID>\n")


def test_run_exits_2_and_says_why_when_something_finds_no_place(cluster):
    a = cluster.one()
    out, _ = a.cli("job", "run", job_file(cluster, "big", memory=99999999, count=2), expect=2)
    out = re.sub(r'(?<=\n)==> \S+ Monitoring evaluation "\w+"\n', "", out)
    out = re.sub(r"by \d+ MiB", "by <N> MiB", out)
    same(out, """
==> <TIME>: Monitoring evaluation "<ID>"
    <TIME>: Evaluation triggered by job "big"
    <TIME>: Evaluation status changed: "pending" -> "complete"
==> <TIME>: Evaluation "<ID>" finished with status "complete" but failed to place all allocations:
    <TIME>: Task Group "g" (failed to place 2 allocations):
      * Resources exhausted on 1 nodes
      * Dimension "memory" exhausted on 1 nodes
      * Why (memory): 1 node: 1 short of memory by <N> MiB at best
    <TIME>: Evaluation "<ID>" waiting for additional capacity to place remainder
""")
    out, _ = a.cli("job", "run", job_file(cluster, "away", type="batch", dc="dc9"), expect=2)
    check("      * No nodes were eligible for evaluation\n      * No nodes are available in datacenter \"dc9\"\n" in out, out)


def test_run_says_what_an_evaluation_waits_for(cluster):
    a = cluster.one()
    config = a.get("/v1/operator/scheduler/configuration").json()["SchedulerConfig"]
    config["PauseEvalBroker"] = True
    check(a.put("/v1/operator/scheduler/configuration", config).status == 200, "the broker is not paused")
    p = subprocess.Popen([DROVER, "job", "run", job_file(cluster, "later", "exit 0", type="batch")], text=True,
                         stdout=subprocess.PIPE, env=dict(a.env, DROVER_ADDR=a.url))
    try:
        lines = []
        while not any("Waiting" in line for line in lines):
            line = p.stdout.readline()
            check(line, "it ended: %s" % lines)
            lines.append(line)
        check('Waiting, group "g" (paused)' in lines[-1], str(lines))
        config["PauseEvalBroker"] = False
        a.put("/v1/operator/scheduler/configuration", config)
        rest = p.stdout.read()
        check(p.wait(30) == 0 and 'finished with status "complete"' in rest, rest)
    finally:
        p.kill()
        p.wait()


def test_run_follows_a_rolling_update_to_its_end(cluster):
    a = cluster.one()
    update = 'update {\n    max_parallel     = 1\n    health_check     = "task_states"\n    min_healthy_time = "200ms"\n  }\n'
    path = job_file(cluster, "roll", count=3)

    def version(v):
        with open(path, "w") as f:
            f.write((RUN % {"id": "roll", "dc": "dc1", "type": "service", "count": 3, "script": "exec sleep 1000",
                            "version": v, "memory": 16}).replace("  group", "  " + update + "\n  group", 1))
    version("1")
    a.cli("job", "run", path)
    settle(a, "roll", 3)
    version("2")
    a.cli("job", "run", path)
    new = [x for x in a.allocs("roll") if x["JobVersion"] == 1 and x["DesiredStatus"] == "run"]
    check(len(new) == 3, "%d of 3 are of the new version" % len(new))


DEPLOYMENT = {"ID": "bc82b017-82a0-caa2-2071-a95e9b590b39", "JobID": "web", "JobVersion": 0, "Namespace": "default",
              "StatusDescription": "Deployment is running", "Status": "running", "ModifyIndex": 20}
GROUP = {"DesiredTotal": 2, "PlacedAllocs": 2, "HealthyAllocs": 0, "UnhealthyAllocs": 0, "ProgressDeadline": 600 * 10**9,
         "RequireProgressBy": "2026-11-22T09:57:34Z"}


class Recorded:
    """Gives the recorded answers of a Nomad server: path -> answers in turn, the last one again and again."""

    def __init__(self, answers):
        outer = self
        self.answers, self.asked = {k: list(v) for k, v in answers.items()}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked.append(self.path)
                left = outer.answers.get(self.path.split("?")[0])
                body = json.dumps((left.pop(0) if len(left) > 1 else left[0]) if left else None).encode()
                self.send_response(200 if left else 404)
                self.send_header("X-Nomad-Index", str(20 + len(outer.asked)))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            do_GET = do_PUT = do_DELETE = answer

            def log_message(self, *args):
                pass
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def cli(self, *args):
        r = subprocess.run([DROVER, *args], capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, DROVER_ADDR="http://127.0.0.1:%d" % self.server.server_port))
        self.server.shutdown()
        self.server.server_close()
        return r


def recorded_rollout(end, description):
    eval_id = "8ae987f2-898f-370b-d362-95a2f33905a7"
    alloc = {"ID": "a7d844c2-b559-8c0e-1b68-4c67c7a10313", "NodeID": "2e015db1-8231-7fb0-ec6a-acf29d32b0e4",
             "TaskGroup": "app", "DesiredStatus": "run", "CreateIndex": 19, "ClientStatus": "pending"}
    pending = {"ID": eval_id, "Status": "pending", "JobID": "web", "CreateIndex": 18, "ModifyIndex": 18}
    return Recorded({
        "/v1/jobs": [{"EvalID": eval_id}],
        "/v1/evaluation/" + eval_id: [pending, dict(pending, Status="complete", DeploymentID=DEPLOYMENT["ID"], ModifyIndex=20)],
        "/v1/evaluation/%s/allocations" % eval_id: [
            [alloc], [dict(alloc, ClientStatus="running", ClientDescription="Tasks are running")]],
        "/v1/deployment/" + DEPLOYMENT["ID"]: [
            dict(DEPLOYMENT, TaskGroups={"app": GROUP}), dict(DEPLOYMENT, TaskGroups={"app": GROUP}),
            dict(DEPLOYMENT, Status=end, StatusDescription=description, ModifyIndex=22,
                 TaskGroups={"app": dict(GROUP, HealthyAllocs=2)})]})


def test_run_watches_a_deployment_as_a_nomad_server_has_it(cluster):
    path = job_file(cluster, "web")
    server = recorded_rollout("successful", "Deployment completed successfully")
    r = server.cli("job", "run", path)
    same(r.stdout, """
==> <TIME>: Monitoring evaluation "<ID>"
    <TIME>: Evaluation triggered by job "web"
    <TIME>: Allocation "<ID>" created: node "<ID>", group "app"
==> <TIME>: Monitoring evaluation "<ID>"
    <TIME>: Evaluation within deployment: "<ID>"
    <TIME>: Allocation "<ID>" status changed: "pending" -> "running" (Tasks are running)
    <TIME>: Evaluation status changed: "pending" -> "complete"
==> <TIME>: Evaluation "<ID>" finished with status "complete"
==> <TIME>: Monitoring deployment "<ID>"

<TIME>
ID          = <ID>
Job ID      = web
Job Version = 0
Status      = running
Description = Deployment is running

Deployed
Task Group  Desired  Placed  Healthy  Unhealthy  Progress Deadline
app         2        2       0        0          <TIME>

<TIME>
ID          = <ID>
Job ID      = web
Job Version = 0
Status      = successful
Description = Deployment completed successfully

Deployed
Task Group  Desired  Placed  Healthy  Unhealthy  Progress Deadline
app         2        2       2        0          <TIME>
""")
    check(r.returncode == 0, "exit %d: %s" % (r.returncode, r.stderr))
    waits = [p for p in server.asked if "index=" in p and "index=0" not in p]
    check(len(waits) == 3, "every second look waits for a change: %s" % server.asked)


def test_a_deployment_that_fails_or_is_replaced_fails_the_command(cluster):
    path = job_file(cluster, "web")
    for end in ("failed", "cancelled"):
        r = recorded_rollout(end, "Failed due to progress deadline").cli("job", "run", path)
        check(r.returncode == 1 and "Status      = %s\n" % end in r.stdout, "exit %d: %s" % (r.returncode, r.stdout))


def test_run_takes_standard_input_a_url_json_and_variables(cluster):
    a = cluster.one()
    path = job_file(cluster, "web")
    with open(path) as f:
        text = f.read()
    a.cli("run", "-detach", "-", input=text)
    with open(path, "w") as f:
        f.write('variable "n" { default = 1 }\n' + text.replace("count = 1", "count = var.n"))
    a.cli("run", "-detach", path, env={"NOMAD_VAR_n": "2"})
    check(a.get("/v1/job/web").json()["TaskGroups"][0]["Count"] == 2, "NOMAD_VAR_n")
    a.cli("run", "-detach", "-var", "n=3", path, env={"DROVER_VAR_n": "2"})
    check(a.get("/v1/job/web").json()["TaskGroups"][0]["Count"] == 3, "-var")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            check("X-Nomad-Token" not in self.headers, "the token goes to strangers")
            body = text.encode() if self.path == "/web.nomad" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_port
    a.cli("run", "-detach", "-token", "secret", url + "/web.nomad")
    check(a.get("/v1/job/web").json()["TaskGroups"][0]["Count"] == 1, "the URL was not read")
    _, err = a.cli("run", url + "/nosuch", expect=1)
    check("expected status 200, got 404" in err, err)
    server.shutdown()
    server.server_close()
    out, _ = a.cli("job", "inspect", "web")
    a.cli("run", "-detach", "-json", "-", input=out)
    check(a.get("/v1/job/web").json()["Version"] == 3, "what inspect printed is not the same job")


def test_output_prints_the_job_and_registers_nothing(cluster):
    path = job_file(cluster, "out")
    r = subprocess.run([DROVER, "job", "run", "-output", path], capture_output=True, text=True,
                       env=dict(os.environ, DROVER_ADDR="http://127.0.0.1:1"))
    check(r.returncode == 0 and r.stdout.startswith('{\n    "Job": {\n        "Affinities": null,'), r.stdout + r.stderr)
    job = json.loads(r.stdout)["Job"]
    check(job["ID"] == "out" and job["Priority"] is None and job["TaskGroups"][0]["Tasks"][0]["Resources"]["CPU"] == 20,
          str(job))


def test_check_index_refuses_what_somebody_else_changed(cluster):
    a = cluster.one()
    path = job_file(cluster, "web")
    out, _ = a.cli("job", "plan", path, expect=1)
    index = re.search(r"drover job run -check-index (\d+) ", out).group(1)
    check(index == "0", out)
    a.cli("run", "-detach", "-check-index", index, path)
    _, err = a.cli("run", "-check-index", "0", path, expect=1)
    check(err == "Enforcing job modify index 0: job already exists\nJob not updated\n", err)
    _, err = a.cli("run", "-check-index", "1", path, expect=1)
    check(re.fullmatch(r"Enforcing job modify index 1: job exists with conflicting job modify index: \d+\nJob not updated\n",
                       err), err)
    _, err = a.cli("run", "-check-index=x", path, expect=1)
    check(err == 'Error parsing check-index value "x": strconv.ParseUint: parsing "x": invalid syntax\n', err)


# ---- validate, plan ----

def test_validate_works_without_an_agent_and_with_one(cluster):
    path = job_file(cluster, "web")
    away = ["-address", "http://127.0.0.1:1"]
    a = cluster.one()
    out, _ = a.cli("validate", path)
    check(out == "Job validation successful\n", out)
    out, _ = a.cli("validate", *away, path)
    check(out == "Driver configuration not validated since connection to drover agent couldn't be established.\n\n"
          "Job validation successful\n", out)
    with open(path, "w") as f:
        f.write('job "x" {\n  type = "sometimes"\n\n  group "g" {\n  }\n}\n')
    for address in (away, []):
        _, err = a.cli("job", "validate", *address, path, expect=1)
        check(err.startswith('Job validation errors:\n3 errors occurred:\n\t* Invalid job type: "sometimes"\n'), err)
    _, err = a.cli("validate", path + "x", expect=1)
    check("source path error: stat %sx: no such file or directory" % path in err, err)


def test_plan_prints_what_would_change_and_its_code(cluster):
    a = cluster.one()
    path = job_file(cluster, "web")
    tail = """
Scheduler dry-run:
- All tasks successfully allocated.

Job Modify Index: <N>
To submit the job with version verification run:

drover job run -check-index <N> %s

With -check-index the job is registered only if nobody has changed it since: its
modify index on the server must still be this one. Otherwise this plan may not
hold any more.
""" % path
    out, _ = a.cli("plan", path, expect=1)
    same(out, """
+ Job: "web"
+ Task Group: "g" (1 create)
  + Task: "t" (forces create)
""" + tail)
    a.cli("run", path)
    settle(a, "web", 1)
    out, _ = a.cli("plan", path)
    same(out, 'Job: "web"\nTask Group: "g" (1 ignore)\n  Task: "t"\n' + tail)
    job_file(cluster, "web", version="2")
    out, _ = a.cli("plan", path, expect=1)
    same(out, """
+/- Job: "web"
+/- Task Group: "g" (1 create/destroy update)
  +/- Task: "t" (forces create/destroy update)
    +/- Env[VERSION]: "1" => "2"
""" + tail)
    job_file(cluster, "web", count=3)
    out, _ = a.cli("plan", path, expect=1)
    same(out, """
+/- Job: "web"
+/- Task Group: "g" (2 create, 1 in-place update)
  +/- Count: "1" => "3" (forces create)
      Task: "t"
""" + tail)
    out, _ = a.cli("plan", "-diff=false", path, expect=1)
    same(out, tail)
    out, _ = a.cli("plan", job_file(cluster, "big", memory=99999999), expect=1)
    check('- WARNING: Failed to place all allocations.\n  Task Group "g" (failed to place 1 allocation):\n'
          "    * Resources exhausted on 1 nodes\n" in out, out)
    out, _ = a.cli("plan", "-var", "a=it's", "-hcl2-strict=false", path, expect=1)
    check("drover job run -check-index " in out and " '-var" not in out and "-var='a=it'\\''s' " in out, out)
    a.cli("plan", path + "x", expect=255)
    a.cli("plan", expect=255)
    a.cli("plan", "-address", "http://127.0.0.1:1", path, expect=255)


# ---- status ----

HEAD = """
ID            = %s
Name          = %s
Submit Date   = <TIME>
Type          = %s
Priority      = 50
Datacenters   = dc1
Namespace     = default
Status        = %s
Periodic      = false
Parameterized = false
"""


def test_status_shows_a_job_as_scripts_know_it(cluster):
    a = cluster.one()
    same(a.cli("status")[0], "No running jobs\n")
    a.cli("run", job_file(cluster, "web", count=2))
    settle(a, "web", 2)
    head = HEAD % ("web", "web", "service", "running")
    summary = """
Summary
Task Group  Queued  Starting  Running  Failed  Complete  Lost
g           0       0         2        0       0         0
"""
    allocs = """
Allocations
ID        Node ID   Task Group  Version  Desired  Status   Created  Modified
<ID>  <ID>  g           0        run      running  <AGO> <AGO>
<ID>  <ID>  g           0        run      running  <AGO> <AGO>
"""
    same(a.cli("job", "status", "web")[0], head + summary + allocs)
    same(a.cli("status", "we")[0], head + summary + allocs)
    same(a.cli("job", "status", "-short", "web")[0], head)
    same(a.cli("job", "status", "-evals", "web")[0], head + summary + """
Evaluations
ID        Priority  Triggered By  Status    Placement Failures
<ID>  50        job-register  complete  false
""" + allocs)
    out, _ = a.cli("job", "status", "-verbose", "web")
    check("ID                                    Eval ID                               Node ID                               "
          "Node Name  Task Group  Version  Desired  Status   Created               Modified\n" in out, out)
    same(a.cli("status")[0], "ID   Type     Priority  Status   Submit Date\nweb  service  50        running  <TIME>\n")
    same(a.cli("status", "-namespace", "*")[0],
         "ID   Namespace  Type     Priority  Status   Submit Date\nweb  default    service  50        running  <TIME>\n")
    same(a.cli("job", "allocs", "web")[0], allocs.replace("\nAllocations\n", ""))
    same(a.cli("job", "deployments", "web")[0], "No deployments found\n")
    status = json.loads(a.cli("job", "status", "-json", "web")[0])
    check([sorted(s) for s in status] == [["Allocations", "Evaluations", "LatestDeployment", "Summary"]] and
          len(status[0]["Allocations"]) == 2, str(status))
    out, _ = a.cli("job", "status", "-t", "{{range .}}{{.Summary.JobID}} {{len .Allocations}}{{end}}", "web")
    check(out == "web 2\n", out)


def test_status_says_why_groups_wait(cluster):
    a = cluster.one()
    a.cli("run", job_file(cluster, "big", memory=99999999), expect=2)
    out, _ = a.cli("job", "status", "big")
    same(re.sub(r"by \d+ MiB", "by <N> MiB", out), HEAD % ("big", "big", "service", "pending") + """
Summary
Task Group  Queued  Starting  Running  Failed  Complete  Lost
g           1       0         0        0       0         0

Placement Failure
Task Group "g":
  * Resources exhausted on 1 nodes
  * Dimension "memory" exhausted on 1 nodes

Waiting
Task Group  Reason  Explanation
g           memory  1 allocation not placed: 1 node: 1 short of memory by <N> MiB at best

Allocations
No allocations placed
""")
    out, _ = a.cli("why", "bi")
    same(re.sub(r"\b\d+ MiB", "<N> MiB", out), """
Job    = big
Status = pending

Task Group "g"
Reason      = memory
Explanation = 1 allocation not placed: 1 node: 1 short of memory by <N> MiB at best

Nodes  Cause   Short By      Explanation
1      memory  <N> MiB  1 short of memory by <N> MiB at best
""")
    why = json.loads(a.cli("why", "-json", "big")[0])
    cause = why["Groups"]["g"]["Causes"][0]
    check(cause["Code"] == "memory" and cause["Nodes"] == 1 and cause["ShortBy"] > 90000000, str(why))
    a.cli("run", job_file(cluster, "fits", "exit 0", type="batch"))
    settle(a, "fits", 1, "complete")
    check("Nothing of this job waits." in a.cli("why", "fits")[0], "a job that does not wait")
    a.cli("run", job_file(cluster, "away", dc="dc9"), expect=2)
    urgent = shell_job("urgent", "true", Constraints=[{"LTarget": "${attr.kernel.name}", "RTarget": "plan9", "Operand": "="}])
    a.register(dict(urgent, Priority=90))
    eventually("all of them wait", lambda: len(a.cli("why")[0].splitlines()) == 4)
    rows = [line.split() for line in a.cli("why")[0].splitlines()]
    check(rows[0][:4] == ["Job", "ID", "Priority", "Task"] and [r[:4] for r in rows[1:]] == [
        ["urgent", "90", "g", "constraint"], ["big", "50", "g", "memory"], ["away", "50", "g", "datacenter"]], str(rows))


def test_names_are_found_by_their_beginning_and_a_whole_one_wins(cluster):
    a = cluster.one()
    for name in ("web", "web-two", "web-three"):
        a.register(shell_job(name, "true", kind="batch", count=0))
    many = """
Prefix matched multiple jobs

ID         Type   Priority  Status  Submit Date
web-three  batch  50        dead    <TIME>
web-two    batch  50        dead    <TIME>
"""
    eventually("they are evaluated", lambda: all(j["Status"] == "dead" for j in a.get("/v1/jobs").json()))
    for words in (("job", "status"), ("job", "inspect"), ("job", "stop"), ("job", "history"), ("job", "deployments"),
                  ("job", "allocs"), ("why",), ("job", "start")):
        _, err = a.cli(*words, "web-", expect=1)
        same(err, many, " ".join(words))
        _, err = a.cli(*words, "nosuch", expect=1)
        check(err == 'No job(s) with prefix or id "nosuch" found\n', err)
    check(json.loads(a.cli("inspect", "web")[0])["Job"]["ID"] == "web", "the whole name does not win")
    check(a.cli("status", "web")[0].startswith("ID            = web\n"), "status: the whole name does not win")
    _, err = a.cli("status", "web-", expect=1)
    check(err.startswith('Multiple matches found for id "web-"\n\nJobs:\nweb-three, web-two\n'), err)
    _, err = a.cli("status", "nosuch", expect=1)
    check(err == 'Unable to resolve ID: "nosuch"\n', err)


def test_status_of_any_id_goes_to_its_kind(cluster):
    a = cluster.one()
    a.cli("run", job_file(cluster, "web"))
    settle(a, "web", 1)
    alloc = a.allocs("web")[0]
    for one in (alloc["ID"], alloc["EvalID"], alloc["NodeID"]):
        out, _ = a.cli("status", one)
        check(re.match(r"ID +=", out) and one[:8] in out, "status %s:\n%s" % (one, out))
    check("Client Status" in a.cli("status", alloc["ID"])[0], "no allocation")
    check("Placement Failures" in a.cli("status", alloc["EvalID"])[0], "no evaluation")
    check("Drain" in a.cli("status", alloc["NodeID"])[0], "no node")


# ---- stop, start, history, revert, eval, scale ----

def test_stop_asks_only_when_the_name_was_completed(cluster):
    a = cluster.one()
    a.cli("run", job_file(cluster, "web"))
    settle(a, "web", 1)
    out, _ = a.cli("job", "stop", "we", input="n\n")
    check(out == 'Are you sure you want to stop job "web"? [y/N] Cancelling job stop\n', out)
    out, _ = a.cli("job", "stop", "we", input="yes\n")
    check("For confirmation, an exact 'y' is required." in out, out)
    check(not a.get("/v1/job/web").json()["Stop"], "stopped without a yes")
    out, _ = a.cli("job", "stop", "we", input="y\n")
    out = re.sub(r'(?<=\n)==> \S+ Monitoring evaluation "\w+"\n', "", out)
    same(out, """
Are you sure you want to stop job "web"? [y/N] ==> <TIME>: Monitoring evaluation "<ID>"
    <TIME>: Evaluation triggered by job "web"
    <TIME>: Evaluation status changed: "pending" -> "complete"
==> <TIME>: Evaluation "<ID>" finished with status "complete"
""")
    settle(a, "web", 1, "complete")
    check("Status        = dead (stopped)\n" in a.cli("job", "status", "web")[0], "it is not shown as stopped")
    _, err = a.cli("job", "start", "nosuch", expect=1)
    a.cli("start", "web")
    settle(a, "web", 1, "running") if len(a.allocs("web")) == 1 else eventually(
        "it runs again", lambda: [x for x in a.allocs("web") if x["ClientStatus"] == "running"])
    _, err = a.cli("start", "web", expect=1)
    check(err == 'Job "web" is not stopped\n', err)
    out, _ = a.cli("stop", "-detach", "-purge", "web")
    check(re.fullmatch(r"[0-9a-f-]{36}\n", out), out)
    check(a.get("/v1/job/web").status == 404, "it is still there")


def test_several_jobs_are_stopped_at_once(cluster):
    a = cluster.one()
    for name in ("one", "two"):
        a.register(shell_job(name, "exec sleep 1000", kind="service"))
    a.cli("job", "stop", "-detach", "one", "two")
    check(all(j["Stop"] for j in a.get("/v1/jobs").json()), "not both are stopped")
    a.cli("job", "stop", "-detach", "nosuch", "one", expect=1)


def test_history_and_revert_go_through_the_versions(cluster):
    a = cluster.one()
    a.cli("run", "-detach", job_file(cluster, "web"))
    a.cli("run", "-detach", job_file(cluster, "web", version="2"))
    same(a.cli("job", "history", "-p", "web")[0], """
Version     = 1
Stable      = false
Submit Date = <TIME>
Diff        =
+/- Job: "web"
+/- Task Group: "g"
  +/- Task: "t"
    +/- Env[VERSION]: "1" => "2"

Version     = 0
Stable      = false
Submit Date = <TIME>
""")
    same(a.cli("job", "history", "-version=0", "web")[0], "Version     = 0\nStable      = false\nSubmit Date = <TIME>\n")
    check("Full        = JSON Job:\n{\n    \"Affinities\": null,\n" in a.cli("job", "history", "-full", "web")[0], "-full")
    check(len(json.loads(a.cli("job", "history", "-json", "web")[0])) == 2, "-json")
    check(json.loads(a.cli("job", "history", "-json", "-version=0", "web")[0])["Version"] == 0, "-json -version")
    _, err = a.cli("job", "history", "-version=9", "web", expect=1)
    check(err == "Error printing job history for non-existing job or job version\n", err)
    out, _ = a.cli("job", "inspect", "-version=0", "-t", "{{ (index .TaskGroups 0).Count }} {{.Version}}", "web")
    check(out == "1 0\n", out)
    with open(os.path.join(cluster.dir, "web.nomad")) as f:
        check(a.cli("job", "inspect", "-hcl", "web")[0] == f.read(), "the source is not what was sent")
    out, _ = a.cli("job", "revert", "web", "0")
    check('Evaluation triggered by job "web"' in out, out)
    job = a.get("/v1/job/web").json()
    check(job["Version"] == 2 and job["TaskGroups"][0]["Tasks"][0]["Env"]["VERSION"] == "1", str(job["Version"]))
    check(a.cli("job", "revert", "-detach", "web", "1")[0] == "", "a detached revert prints nothing")
    _, err = a.cli("job", "revert", "web", "99", expect=1)
    check(err == 'Error retrieving job versions: Unexpected response code: 500 (job "web" in namespace "default" at version '
          "99 not found)\n", err)
    _, err = a.cli("job", "revert", "web", "x", expect=1)
    check(err == 'Failed to parse job-version flag: strconv.ParseUint: parsing "x": invalid syntax\n', err)


def test_eval_and_scale_make_evaluations(cluster):
    a = cluster.one()
    a.cli("run", job_file(cluster, "web"))
    settle(a, "web", 1)
    check('finished with status "complete"' in a.cli("job", "eval", "web")[0], "eval")
    same(a.cli("job", "eval", "-detach", "web")[0], 'Created eval ID: "<ID>"')
    _, err = a.cli("job", "eval", "nosuch", expect=1)
    check(err == "Error evaluating job: Unexpected response code: 500 (job not found)\n", err)
    a.cli("job", "scale", "web", "g", "2")
    settle(a, "web", 2)
    same(a.cli("job", "scale", "-detach", "web", "1")[0], "Evaluation ID: <UUID>\n")
    for args, sentence in ((("web", "g", "-1"), "Error submitting scaling request: Unexpected response code: 400 (scaling action "
                                                "count can't be negative)\n"),
                           (("web", "g", "many"), 'Failed to convert count string to int: strconv.Atoi: parsing "many": invalid '
                                                  "syntax\n"),
                           (("web", "nogroup", "2"), "Group nogroup not found within job\n"),
                           (("nosuch", "2"), "Error querying job: Unexpected response code: 404 (job not found)\n")):
        _, err = a.cli("job", "scale", *args, expect=1)
        check(err == sentence, err)


def test_a_job_file_to_begin_with_is_valid_and_runs(cluster):
    a = cluster.one()
    out, _ = a.cli("init", cwd=cluster.dir)
    check(out == "Example job file written to example.nomad\n", out)
    _, err = a.cli("job", "init", cwd=cluster.dir, expect=1)
    check(err == "Job 'example.nomad' already exists\n", err)
    a.cli("job", "init", "-short", "short.nomad", cwd=cluster.dir)
    path = os.path.join(cluster.dir, "example.nomad")
    check(a.cli("job", "validate", os.path.join(cluster.dir, "short.nomad"))[0] == "Job validation successful\n", "-short")
    a.cli("job", "run", path)
    settle(a, "example", 1)


def test_without_an_agent_every_command_says_so(cluster):
    path = job_file(cluster, "web")
    refused = ": dial tcp 127.0.0.1:1: connect: connection refused"
    url = '"http://127.0.0.1:1'
    for args, code, sentence in (
            (["status"], 1, "Error querying jobs: Get %s/v1/jobs\"%s\n" % (url, refused)),
            (["status", "web"], 1, "Error querying search with id: \"Put \\%s/v1/search\\\"%s\"\n" % (url, refused)),
            (["job", "status", "web"], 1, "Error querying job: Get %s/v1/jobs?prefix=web\"%s\n" % (url, refused)),
            (["job", "stop", "web"], 1, "Error deregistering job: Get %s/v1/jobs?prefix=web\"%s\n" % (url, refused)),
            (["job", "run", path], 1, "Error submitting job: Put %s/v1/jobs\"%s\n" % (url, refused)),
            (["job", "plan", path], 255, "Error during plan: Put %s/v1/job/web/plan\"%s\n" % (url, refused)),
            (["job", "inspect", "web"], 1, "Error inspecting job: Get %s/v1/jobs?prefix=web\"%s\n" % (url, refused)),
            (["job", "history", "web"], 1, "Error listing jobs: Get %s/v1/jobs?prefix=web\"%s\n" % (url, refused)),
            (["job", "scale", "web", "2"], 1, "Error querying job: Get %s/v1/job/web/scale\"%s\n" % (url, refused))):
        r = subprocess.run([DROVER, *args], capture_output=True, text=True,
                           env=dict(os.environ, DROVER_ADDR="http://127.0.0.1:1"))
        check((r.returncode, r.stdout, r.stderr) == (code, "", sentence), "%s: %d %s%s, expected %s" % (
            args, r.returncode, r.stdout, r.stderr, sentence))
