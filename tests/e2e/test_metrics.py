"""The figures that operators graph: their names, from the start; the same in both forms; and that they tell the truth."""
import re

from harness import check, eventually, shell_job

ALWAYS = """nomad.client.allocated.cpu nomad.client.allocated.disk nomad.client.allocated.memory nomad.client.allocations.blocked
nomad.client.allocations.migrating nomad.client.allocations.pending nomad.client.allocations.running
nomad.client.allocations.terminal nomad.client.host.cpu.idle nomad.client.host.cpu.system nomad.client.host.cpu.total
nomad.client.host.cpu.user nomad.client.host.disk.available nomad.client.host.disk.inodes_percent nomad.client.host.disk.size
nomad.client.host.disk.used nomad.client.host.disk.used_percent nomad.client.host.memory.available nomad.client.host.memory.free
nomad.client.host.memory.total nomad.client.host.memory.used nomad.client.unallocated.cpu nomad.client.unallocated.disk
nomad.client.unallocated.memory nomad.client.uptime nomad.nomad.blocked_evals.total_blocked nomad.nomad.broker.total_blocked
nomad.nomad.broker.total_ready nomad.nomad.broker.total_unacked nomad.nomad.broker.total_waiting nomad.nomad.heartbeat.active
nomad.nomad.job_status.dead nomad.nomad.job_status.pending nomad.nomad.job_status.running nomad.nomad.plan.queue_depth
nomad.raft.appliedIndex nomad.raft.lastIndex nomad.runtime.alloc_bytes nomad.runtime.sys_bytes nomad.state.snapshotIndex""".split()
COUNTERS = """nomad.client.allocs.complete nomad.client.allocs.failed nomad.client.allocs.restart nomad.client.allocs.running
nomad.client.allocs.oom_killed nomad.nomad.rpc.query nomad.nomad.rpc.request nomad.nomad.rpc.request_error nomad.raft.apply
nomad.nomad.plan.submit nomad.nomad.plan.node_rejected""".split()
OF_JOBS = ["nomad.nomad.job_summary." + x for x in ("complete", "failed", "lost", "queued", "running", "starting")]
OF_TASKS = ["nomad.client.allocs." + x for x in (
    "cpu.allocated", "cpu.system", "cpu.throttled_periods", "cpu.throttled_time", "cpu.total_percent", "cpu.total_ticks", "cpu.user",
    "memory.allocated", "memory.rss", "memory.swap")]
SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\{([a-z_]+="([^"\\\n]|\\.)*",?)*\} -?[0-9.e+-]+$')


def gauges(agent, name, **labels):
    return [g["Value"] for g in agent.get("/v1/metrics").json()["Gauges"] if g["Name"] == name and
            all(g["Labels"].get(k) == v for k, v in labels.items())]


def counter(agent, name):
    return [c["Count"] for c in agent.get("/v1/metrics").json()["Counters"] if c["Name"] == name][0]


def test_every_series_exists_from_the_start_under_its_name(cluster):
    a = cluster.one(config="telemetry { prometheus_metrics = true  publish_allocation_metrics = true  publish_node_metrics = true }")
    m = a.get("/v1/metrics").json()
    check(sorted(m) == ["Counters", "Gauges", "Points", "Samples", "Timestamp"], sorted(m))
    check(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC$", m["Timestamp"]), m["Timestamp"])
    missing = (set(ALWAYS) - {g["Name"] for g in m["Gauges"]}) | (set(COUNTERS) - {c["Name"] for c in m["Counters"]})
    check(not missing, "missing: %s" % sorted(missing))
    for g in m["Gauges"]:
        check(sorted(g) == ["Labels", "Name", "Value"] and g["Labels"]["host"] == "one", str(g))
    for c in m["Counters"]:
        check(sorted(c) == ["Count", "Labels", "Max", "Mean", "Min", "Name", "Rate", "Stddev", "Sum"], str(c))
    node = [g for g in m["Gauges"] if g["Name"] == "nomad.client.allocated.cpu"][0]["Labels"]
    check({"datacenter", "host", "node_class", "node_id", "node_status"} <= set(node), str(node))
    a.register(shell_job("runs", "exec sleep 1000", kind="service"))
    a.wait_status("runs", "running")
    names = {g["Name"] for g in a.get("/v1/metrics").json()["Gauges"]}
    check(set(OF_JOBS + OF_TASKS) <= names, "missing: %s" % sorted(set(OF_JOBS + OF_TASKS) - names))


def test_prometheus_reads_the_same_figures(cluster):
    a = cluster.one(config="telemetry { prometheus_metrics = true  publish_allocation_metrics = true  publish_node_metrics = true }")
    a.register(dict(shell_job("odd", "exec sleep 1000", kind="service"), ID='odd"\\job', Name="odd"))
    eventually("it runs", lambda: gauges(a, "nomad.nomad.job_summary.running") == [1])
    answer = a.get("/v1/metrics?format=prometheus")
    check(answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers["Content-Type"])
    typed, seen = {}, set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            check(name not in typed, "two types of %s" % name)
            typed[name] = kind
            continue
        check(SAMPLE.match(line), line)
        name = line.split("{")[0]
        check(name in typed and line not in seen, line)
        check(list(typed)[-1] == name, "the lines of %s do not stand together" % name)
        seen.add(line.rsplit(" ", 1)[0])
    for name in ALWAYS + OF_JOBS + OF_TASKS:
        check(typed.get(name.replace(".", "_")) == "gauge", name)
    for name in COUNTERS:
        check(typed.get(name.replace(".", "_")) == "counter", name)
    check('job="odd\\"\\\\job"' in answer.text, "labels are not escaped")
    b = cluster.agent("two", config="telemetry { prometheus_metrics = false }").start()
    check(b.get("/v1/metrics?format=prometheus").status == 415 and b.get("/v1/metrics?format=xml").status == 400, "formats")


def test_figures_follow_what_happens(cluster):
    a = cluster.one()
    free = gauges(a, "nomad.client.unallocated.cpu")[0]
    started, requests = counter(a, "nomad.client.allocs.running"), counter(a, "nomad.nomad.rpc.request")
    a.register(shell_job("runs", "exec sleep 1000", kind="service", count=2, resources={"CPU": 100, "MemoryMB": 50}))
    a.register(shell_job("fails", "exit 3", RestartPolicy={"Attempts": 1, "Mode": "fail", "Delay": 10 ** 8, "Interval": 10 ** 12},
                         ReschedulePolicy={"Attempts": 0}))
    a.register(shell_job("waits", "true", Constraints=[{"LTarget": "${node.class}", "RTarget": "none", "Operand": "="}]))
    a.wait_status("runs", "running", count=2)
    a.wait_status("fails", "failed")
    eventually("the figures have settled", lambda: gauges(a, "nomad.client.allocations.terminal") == [1])
    for name, want in (("nomad.client.allocated.cpu", [200]), ("nomad.client.allocated.memory", [100]),
                       ("nomad.client.unallocated.cpu", [free - 200]), ("nomad.client.allocations.running", [2]),
                       ("nomad.nomad.blocked_evals.total_blocked", [1]), ("nomad.nomad.heartbeat.active", [1])):
        check(gauges(a, name) == want, "%s is %s, expected %s" % (name, gauges(a, name), want))
    check(gauges(a, "nomad.nomad.job_summary.running", job="runs", task_group="g", namespace="default") == [2], "summary of runs")
    check(gauges(a, "nomad.nomad.job_summary.failed", job="fails") == [1], "summary of fails")
    check(counter(a, "nomad.client.allocs.running") - started == 4, "tasks started")
    check((counter(a, "nomad.client.allocs.restart"), counter(a, "nomad.client.allocs.failed")) == (1, 1), "restarts, failures")
    check(counter(a, "nomad.nomad.rpc.request") > requests, "requests")
    broken = counter(a, "nomad.nomad.rpc.request_error")
    a.get("/v1/allocation/zzz")
    check(counter(a, "nomad.nomad.rpc.request_error") == broken + 1, "answers of 500 are not counted")
