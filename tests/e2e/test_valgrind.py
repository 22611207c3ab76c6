"""An agent under valgrind, which sees what sanitizers do not: memory that was never written, and descriptors left open.
The executable is the one that is shipped, for the sanitized one does not run there."""
import os
import signal
import socket

from harness import OUT, check, eventually, shell_job

SHIPPED = os.path.join(os.path.dirname(OUT), "release", "drover")
VALGRIND = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
            "--errors-for-leak-kinds=definite,indirect,possible", "--num-callers=20"]


def told(log):
    """What valgrind found, without what it says of system calls that it does not know and of descriptors that it was given."""
    with open(log) as f:
        lines = [line.split("==", 2)[2].strip() for line in f if line.startswith("==")]
    found = []
    for n, line in enumerate(lines):
        if line.startswith("Open ") and n + 1 < len(lines) and lines[n + 1] == "<inherited from parent>":
            continue
        if line and line != "<inherited from parent>" and not line.startswith("FILE DESCRIPTORS:"):
            found.append(line)
    return found


def work(a):
    """A little of everything that an agent does."""
    build = shell_job("build", "echo out; echo err >&2; cat /proc/self/environ >/dev/null; exit $NOMAD_ALLOC_INDEX", count=3,
                      RestartPolicy={"Attempts": 1, "Delay": 100000000, "Interval": 60000000000, "Mode": "fail"},
                      ReschedulePolicy={"Attempts": 0, "Unlimited": False})
    a.register(build)
    a.register(shell_job("web", "trap 'exit 0' TERM; while :; do sleep 0.1; done", kind="service", count=2))
    a.register(shell_job("big", "true", resources={"CPU": 20, "MemoryMB": 100000000}))
    a.wait_status("build", "complete", "failed", count=3)
    web = a.wait_status("web", "running", count=2)
    check(a.logs(a.allocs("build")[0]["ID"], "main") == "out\n" * (1 if a.allocs("build")[0]["ClientStatus"] == "complete" else 2),
          a.logs(a.allocs("build")[0]["ID"], "main"))
    a.put("/v1/client/allocation/%s/restart" % web[0]["ID"])
    a.put("/v1/allocation/%s/stop" % web[1]["ID"])
    eventually("it is replaced", lambda: len(a.allocs("web")) == 3 and a.get("/v1/job/web/summary").json()["Summary"]["g"]["Running"] == 2)
    index = a.get("/v1/jobs").index
    check(a.get("/v1/jobs?index=%d&wait=200ms" % index).status == 200, "a held request")
    for path in ("/v1/nodes", "/v1/evaluations", "/v1/metrics", "/v1/job/big/evaluations", "/v1/agent/self", "/v1/client/stats"):
        check(a.get(path).status == 200, path)
    check(a.put("/v1/jobs/parse", {"JobHCL": 'job "x" { group "g" { count = "${1 + 1}" } }'}).status == 200, "a job file")
    check(a.put("/v1/jobs/parse", {"JobHCL": 'job "x" {'}).status == 400, "a broken job file")
    with socket.create_connection(("127.0.0.1", a.port)) as s:
        s.sendall(b"\x16\x03\x01 garbage\r\n\r\n")
        s.recv(100)
    for job in ("build", "web", "big"):
        a.delete("/v1/job/%s?purge=true" % job)
    eventually("all have ended", lambda: all(x["ClientStatus"] != "running" for x in a.get("/v1/allocations").json() or []))
    a.put("/v1/system/gc")
    eventually("all are forgotten", lambda: not a.get("/v1/allocations").json())


def under_valgrind(log, *options):
    return [*VALGRIND, *options, "--log-file=" + log, SHIPPED]


def test_an_agent_under_valgrind_reads_nothing_unwritten_and_leaves_nothing(cluster):
    a = cluster.agent()
    log = os.path.join(cluster.dir, "valgrind.log")
    a.program = under_valgrind(log, "--track-fds=yes")
    a.start()
    eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    work(a)
    a.kill(signal.SIGTERM)
    check(not told(log) and a.process.returncode == 0, "exit %s\n%s" % (a.process.returncode, "\n".join(told(log))))


def test_commands_under_valgrind_read_nothing_unwritten_and_lose_nothing(cluster):
    a = cluster.one()
    job, log = os.path.join(cluster.dir, "a.nomad"), os.path.join(cluster.dir, "valgrind.log")
    with open(job, "w") as f:
        f.write("""job "a" {
  datacenters = ["dc1"]
  type        = "batch"
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
        args    = [for x in ["a", "b"] : upper(x)]
      }
    }
  }
}
""")
    a.program = under_valgrind(log)
    for args, code in ((("job", "run", job), 0), (("node", "status", "-self", "-verbose"), 0), (("job", "run", os.devnull), 1)):
        out, err = a.cli(*args, expect=code)
        check(not told(log), "%s\n%s\n%s%s" % (args, "\n".join(told(log)), out, err))
