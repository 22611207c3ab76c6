"""How much there is, how much would fit, and what is missing: by command, API and metrics, against what then happens."""
import json
import re

from harness import check, eventually, shell_job


def words(line):
    return dict(w.split("=") for w in line.split())


def test_one_line_says_what_there_is_and_what_fits(cluster):
    cluster.client_options = 'cpu_total_compute = 1000  memory_total_mb = 1000  node_class = "ci"'
    a = cluster.one(config="telemetry { prometheus_metrics = true }")
    now = words(a.cli("node", "capacity")[0])
    check(now["active"] == now["eligible"] == "1" and now["pending"] == now["wanted_nodes"] == "0", str(now))
    check(now["cpu_free"] == now["cpu_total"] == "1000" and int(now["memory_free"]) > 500, str(now))
    a.register(shell_job("web", "exec sleep 1000", kind="service", count=1, resources={"CPU": 300, "MemoryMB": 32}))
    a.wait_status("web", "running")
    out = a.cli("node", "capacity", "-job", "web")[0]
    now = words(out)
    check(out.count("\n") == 1 and now["fits"] == now["fits.g"] == "2" and now["cpu_free"] == "700", out)
    verbose = a.cli("node", "capacity", "-job", "we", "-verbose")[0]
    check("short of cpu by 200 MHz" in verbose, verbose)
    # What was said is what happens: three in all are placed, a fourth waits.
    a.register(shell_job("web", "exec sleep 1000", kind="service", count=4, resources={"CPU": 300, "MemoryMB": 32}))
    a.wait_status("web", "running", count=3)
    now = words(a.cli("node", "capacity", "-job", "web")[0])
    check((now["fits"], now["pending"], now["wanted_nodes"]) == ("0", "1", "1"), str(now))
    check(a.cli("node", "capacity", "-t", "{{.Pending}} {{len .Wanted}}")[0] == "1 1\n", "-t")
    whole = json.loads(a.cli("node", "capacity", "-json")[0])
    check(whole == a.get("/v1/nodes/capacity").json() and "Job" not in whole, str(whole))
    check(whole["Wanted"][0]["Jobs"] == ["web"] and whole["Wanted"][0]["Classes"][0]["NodeClass"] == "ci", str(whole["Wanted"]))
    table = a.cli("node", "capacity", "-wanted", "-classes")[0]
    check(re.search(r"^1 +300 MHz +32 MiB .*web +1 ci$", table, re.M), table)
    check(re.search(r"^ci +dc1 +default +1 +1 +1 +100 MHz +1000 MHz ", table, re.M), table)
    _, err = a.cli("node", "capacity", "-job", "none", expect=1)
    check('No job(s) with prefix or id "none" found' in err, err)
    check(a.get("/v1/nodes/capacity?job=none").status == 404, "an unknown job")
    metrics = a.get("/v1/metrics?format=prometheus").text
    for name, value in (("cpu_free", 100), ("nodes_active", 1), ("pending", 1), ("wanted_nodes", 1), ("unplaceable", 0)):
        check(re.search(r'^drover_capacity_%s\{host="one"\} %d$' % (name, value), metrics, re.M), name)
    check(re.search(r'^drover_capacity_class_wanted_nodes\{.*node_class="ci".*\} 1$', metrics, re.M), "by class")
