"""Nodes, evaluations, servers and the operator's commands against real agents, in the shapes that scripts know."""
import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse

from harness import DROVER, check, eventually, free_port, shell_job
from shape import facts, same, table


def node_of(agent, name="one"):
    return next(n["ID"] for n in agent.get("/v1/nodes").json() if n["Name"] == name)


def test_node_status_lists_the_nodes(cluster):
    a = cluster.agent(config='client { meta { rack = "r1" } node_class = "ci" }').start()
    eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    same(a.cli("node", "status")[0], """
ID DC Name Class Drain Eligibility Status
<ID> dc1 one ci false eligible active
""")
    same(a.cli("node-status")[0], a.cli("node", "status")[0], "the old spelling")
    same(re.sub(r"active.*", "active", re.sub(r"127\.0\.0\.1 +\S+", "<ADDR> <VERSION>", a.cli("node", "status", "-verbose")[0])), """
ID DC Name Class Address Version Drain Eligibility Status
<UUID> dc1 one ci <ADDR> <VERSION> false eligible active
""")
    a.register(shell_job("runs", "exec sleep 1000", kind="service", count=2))
    a.wait_status("runs", "running", count=2)
    row = table(a.cli("node", "status", "-allocs", "-os")[0], "ID")[0]
    check(row["Running Allocs"] == "2" and row["OS"] and list(row)[4] == "OS", str(row))
    check(a.cli("node", "status", "-quiet")[0] == node_of(a)[:8] + "\n", "-quiet")
    check(a.cli("node", "status", "-t", "{{range .}}{{.Name}} {{.Status}}{{end}}")[0] == "one ready\n", "-t")
    check(json.loads(a.cli("node", "status", "-json")[0])[0]["Name"] == "one", "-json")


def test_node_status_shows_one_node(cluster):
    a = cluster.agent(config='client { meta { rack = "r1" } }').start()
    eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    node = node_of(a)
    a.register(shell_job("runs", "exec sleep 1000", kind="service", resources={"CPU": 70, "MemoryMB": 32}))
    a.wait_status("runs", "running")
    expected = """
ID = <UUID>
Name = one
Class = <none>
DC = dc1
Drain = false
Eligibility = eligible
Status = active
CSI Controllers = <none>
CSI Drivers = <none>
Uptime = <UP>
Host Volumes = <none>
CSI Volumes = <none>
Driver Status = <DRIVERS>

Node Events
Time Subsystem Message
<TIME> Cluster Node registered

Allocated Resources
CPU Memory Disk
<N>/<N> MHz <SIZE>/<SIZE> <SIZE>/<SIZE>

Allocation Resource Utilization
CPU Memory
<N>/<N> MHz <SIZE>/<SIZE>

Host Resource Utilization
CPU Memory Disk
<N>/<N> MHz <SIZE>/<SIZE> <SIZE>/<SIZE>

Allocations
ID Node ID Task Group Version Desired Status Created Modified
<ID> <ID> g 0 run running <AGO> <AGO>
"""

    def neutral(text):
        text = re.sub(r"(Uptime +)= \S+", r"\1= <UP>", text)
        return re.sub(r"^(Driver Status|Drivers)( +)= .*", r"\1\2= <DRIVERS>", text, flags=re.M)
    out, _ = a.cli("node", "status", node[:8])
    same(neutral(out), expected)
    known = facts(out)
    check("raw_exec" in known["Driver Status"].split(","), out)
    check(table(out, "CPU")[0]["CPU"].startswith("70/"), out)
    own, _ = a.cli("node", "status", "-self")
    extra = [line for line in own.splitlines(True) if re.match(r"Heartbeat|Last Heartbeat|Running Jobs", line)]
    same(neutral("".join(line for line in own.splitlines(True) if line not in extra)), expected, "-self")
    known = facts("".join(extra))
    check(re.fullmatch(r"1\d(\.\d+)?s", known["Heartbeat TTL"]) and known["Last Heartbeat"].endswith("ago"), own)
    check(known["Heartbeats To"].endswith(a.address) and known["Running Jobs"] == "runs", own)
    short, _ = a.cli("node", "status", "-short", node[:7])
    check("Uptime" not in short and "Drivers         = " in short and "Node Events" not in short, short)
    verbose, _ = a.cli("node", "status", "-verbose", node)
    for title in ("Drivers", "Node Events", "Attributes", "Meta"):
        check("\n%s\n" % title in verbose, title)
    check("Driver Status" not in verbose and re.search(r"^rack += r1$", verbose, re.M), verbose)
    check(list(table(verbose, "Driver ")[0]) == ["Driver", "Detected", "Healthy", "Message", "Time"], verbose)
    check("Details" in table(verbose, "Time  ")[0], verbose)
    check(list(table(verbose, "ID                     ")[0])[:4] == ["ID", "Eval ID", "Node ID", "Task Group"], verbose)
    attributes = verbose[verbose.index("\nAttributes\n") + 12:]
    check(list(facts(attributes)) == sorted(facts(attributes)), "attributes are sorted")
    stats, _ = a.cli("node", "status", "-stats", node)
    check(re.search(r"\nCPU Stats\nCPU    = cpu0\nUser   = \d+\.\d\d%\nSystem = \d+\.\d\d%\nIdle   = \d+\.\d\d%\n", stats), stats)
    check(re.search(r"\nMemory Stats\nTotal     = .*\nAvailable = .*\nUsed      = .*\nFree      = .*\n\nDisk Stats\n", stats), stats)
    out, _ = a.cli("node", "status", "-t", "{{.Name}} {{.Status}} {{.NodeClass}}|{{index .Meta \"rack\"}}", node)
    check(out == "one ready |r1\n", out)


def test_node_ids_that_name_none(cluster):
    a = cluster.one()
    for args, err in (
            (["node", "status", "00000000"], 'No node(s) with prefix "00000000" found\n'),
            (["node", "eligibility", "-enable", "00000000"], 'No node(s) with prefix or id "00000000" found\n'),
            (["node", "status", "1"], "Identifier must contain at least two characters.\n"),
            (["node", "status", "zzz"], "Error querying node info: Unexpected response code: 500 (node lookup failed: index "
                                        "error: Invalid UUID: encoding/hex: invalid byte: U+007A 'z')\n"),
            (["node", "eligibility", "-enable", "zzz"], "Error updating scheduling eligibility: Unexpected response code: 500 "
                                                        "(node lookup failed: index error: Invalid UUID: encoding/hex: "
                                                        "invalid byte: U+007A 'z')\n"),
            (["node", "status", "a", "b"], "This command takes either one or no arguments\n"
                                           "For additional help try 'drover node status -help'\n"),
            (["node", "eligibility", "x"], "Either the '-enable' or '-disable' flag must be set\n"
                                           "For additional help try 'drover node eligibility -help'\n"),
            (["node", "eligibility", "-enable"], "Node ID must be specified if -self isn't being used\n"
                                                 "For additional help try 'drover node eligibility -help'\n"),
            (["node", "config"], "The '-servers' or '-update-servers' flag(s) must be set\n"
                                 "For additional help try 'drover node config -help'\n")):
        out, got = a.cli(*args, expect=1)
        check(got == err and not out, "%s: %r" % (args, got))
    dead = "http://127.0.0.1:%d" % free_port()
    for words, id_, err in (
            ("node status", [], "Error querying node status: Get \"%s/v1/nodes\": "),
            ("node status -self", [], "Error querying agent info: failed querying self endpoint: Get \"%s/v1/agent/self\": "),
            ("server members", [], "Error querying servers: Get \"%s/v1/agent/members\": "),
            ("alloc status", ["1234"], "Error querying allocation: Get \"%s/v1/allocations?prefix=1234\": "),
            ("eval status", ["1234"], "Error querying evaluation: Get \"%s/v1/evaluations?prefix=1234\": "),
            ("operator raft list-peers", [], "Failed to retrieve raft configuration: Get \"%s/v1/operator/raft/configuration\": "),
            ("operator metrics", [], "Error getting metrics: Get \"%s/v1/metrics\": ")):
        _, got = a.cli(*words.split(), "-address", dead, *id_, expect=1)
        check(got == err % dead + "dial tcp %s: connect: connection refused\n" % dead[7:], "%s: %r" % (words, got))


def test_eligibility_is_set_and_told(cluster):
    a = cluster.one()
    node = node_of(a)
    for args, word in ((["-disable", node[:8]], "ineligible"), (["-enable", "-self"], "eligible")):
        out, _ = a.cli("node", "eligibility", *args)
        check(out == 'Node "%s" scheduling eligibility set: %s for scheduling\n' % (node, word), out)
        check(table(a.cli("node", "status")[0], "ID")[0]["Eligibility"] == word, word)
    events = [r["Message"] for r in table(a.cli("node", "status", node)[0], "Time")]
    check(events[:2] == ["Node marked as eligible for scheduling", "Node marked as ineligible for scheduling"], str(events))


def test_a_node_that_is_gone_is_down_and_still_shown(cluster):
    cluster.server_options = 'heartbeat_grace = "1s"  min_heartbeat_ttl = "1s"'
    a = cluster.one()
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    eventually("two nodes", lambda: len([n for n in a.get("/v1/nodes").json() if n["Status"] == "ready"]) == 2)
    check(b.cli("node", "status", "-self")[0].startswith("ID              = " + node_of(a, "two")), "-self through a client")
    check(b.cli("node", "config", "-servers")[0] == a.address + "\n", "node config -servers")
    check(b.cli("client-config", "-update-servers", a.address)[0] == "Updated server list\n", "-update-servers")
    b.kill()
    eventually("it is down", lambda: [r for r in table(a.cli("node", "status")[0], "ID") if r["Status"] == "down"])
    out, err = a.cli("node", "status", node_of(a, "two"))
    check(facts(out)["Status"] == "down" and "Uptime" not in facts(out) and "Host Resource" not in out, out)
    check(err.startswith("error fetching node stats: Unexpected response code: "), err)
    # Two nodes begin with nothing in common: both are listed when nothing is asked for.
    _, err = a.cli("node", "status", "", expect=1)
    check(err.startswith("Prefix matched multiple nodes\n\nID        DC   Name") and len(table(err, "ID")) == 2, err)


def test_lists_are_filtered_and_come_in_pages(cluster):
    a = cluster.one()
    for name in ("a1", "a2", "b1"):
        a.register(shell_job(name, "true"))
        a.wait_status(name, "complete")
    out, _ = a.cli("eval", "list", "-filter", 'JobID matches "^a"')
    check({r["Job ID"] for r in table(out, "ID")} == {"a1", "a2"}, out)
    check([r["Job ID"] for r in table(a.cli("eval", "list", "-job", "b1")[0], "ID")] == ["b1"], "-job")
    seen, token = [], []
    for _ in range(10):
        out, _ = a.cli("eval", "list", "-per-page", "1", *token)
        seen += [r["Job ID"] for r in table(out, "ID")]
        more = re.search(r"\n\nResults have been paginated\. To get the next page run:\n\n(drover eval list .*)\n$", out)
        if not more:
            break
        words = more.group(1).split()[3:]
        token = words[words.index("-page-token"):][:2]
    check(sorted(set(seen)) == ["a1", "a2", "b1"], str(seen))
    check(a.cli("node", "status", "-filter", "Name == nobody")[0] == "No nodes registered\n", "-filter of nodes")
    _, err = a.cli("node", "status", "-filter", "Nome == x", expect=1)
    check("400 (failed to read filter expression: column 1: Node has no field \"Nome\"" in err, err)
    check(a.get("/v1/evaluations?job=a1&filter=Type%20==%20batch").status == 400, "filter with job")
    for path, expression, n in (("jobs", 'dc1 in Datacenters and Type == "batch"', 3),
                             ("allocations", "ClientStatus == complete and JobID != b1", 2),
                             ("allocations", "TaskStates.main.Failed == false", 3), ("deployments", "Status == x", 0)):
        answer = a.get("/v1/%s?filter=%s" % (path, urllib.parse.quote(expression)))
        check(answer.status == 200 and len(answer.json()) == n, "%s: %s" % (expression, answer.text[:300]))


def test_eval_status_says_what_came_of_it(cluster):
    a = cluster.one()
    a.register(shell_job("fine", "true"))
    a.wait_status("fine", "complete")
    job = shell_job("big", "true", count=2, resources={"CPU": 20, "MemoryMB": 99999999})
    a.register(job)
    evals = eventually("it waits", lambda: [e for e in a.get("/v1/job/big/evaluations").json() if e["Status"] == "blocked"])
    fine = a.get("/v1/job/fine/evaluations").json()[-1]["ID"]
    same(a.cli("eval", "status", fine[:8])[0], """
ID = <ID>
Create Time = <AGO>
Modify Time = <AGO>
Status = complete
Status Description = complete
Type = batch
TriggeredBy = job-register
Job ID = fine
Priority = 50
Placement Failures = false
""")
    big = next(e["ID"] for e in a.get("/v1/job/big/evaluations").json() if e["Status"] == "complete")
    out, _ = a.cli("eval-status", big)
    check(facts(out)["Placement Failures"] == "true", out)
    check('\n\nFailed Placements\nTask Group "g" (failed to place 2 allocations):\n  * Resources exhausted on 1 nodes\n'
          '  * Dimension "memory" exhausted on 1 nodes\n' in out, out)
    check(out.endswith('\n\nEvaluation "%s" waiting for additional capacity to place remainder\n' % evals[0]["ID"][:8]), out)
    known = facts(a.cli("eval", "status", "-verbose", big)[0])
    check(known["Blocked Eval"] == evals[0]["ID"] and known["Next Eval"] == "<none>", str(known))
    out, _ = a.cli("eval", "status", evals[0]["ID"])
    known = facts(out)
    check("\n  * Dimension \"memory\" exhausted on 1 nodes\n" in out, "the one that waits says what for:\n" + out)
    check(known["Placement Failures"] == "N/A - In Progress" and "Job ID" not in known, str(known))
    check(json.loads(a.cli("eval", "status", "-json", big)[0])["ID"] == big, "-json")
    check(a.cli("eval", "status", "-t", "{{.Status}} {{.TriggeredBy}} {{.NextEval}}", big)[0] == "complete job-register \n", "-t")
    out, _ = a.cli("eval", "status", "-monitor", fine)
    check('finished with status "complete"' in out, out)
    a.cli("eval", "status", "-monitor", big, expect=2)
    for args, err in ((["00000000"], 'No evaluation(s) with prefix or id "00000000" found\n'),
                      (["1"], "Identifier must contain at least two characters.\n"),
                      ([], "This command takes one argument\nFor additional help try 'drover eval status -help'\n"),
                      (["a", "b"], "This command takes one argument\nFor additional help try 'drover eval status -help'\n")):
        check(a.cli("eval", "status", *args, expect=1)[1] == err, str(args))


def test_the_servers_are_listed(cluster):
    a = cluster.one()
    out, _ = a.cli("server", "members")
    row = table(out, "Name")[0]
    check(list(row) == ["Name", "Address", "Port", "Status", "Leader", "Protocol", "Build", "Datacenter", "Region"], out)
    check((row["Name"], row["Address"], row["Port"], row["Status"], row["Leader"], row["Datacenter"], row["Region"]) ==
          ("one.global", "127.0.0.1", str(a.port), "alive", "true", "dc1", "global"), out)
    same(a.cli("server-members")[0], out, "the old spelling")
    row = table(a.cli("server", "members", "-detailed")[0], "Name")[0]
    check(list(row) == ["Name", "Address", "Port", "Tags"] and "region=global" in row["Tags"].split(","), str(row))
    peers = table(a.cli("operator", "raft", "list-peers")[0], "Node")
    check([(p["Node"], p["State"], p["Voter"]) for p in peers] == [("one.global", "leader", "true")], str(peers))
    _, err = a.cli("server", "join", expect=1)
    check(err == "One or more node addresses must be given as arguments\nFor additional help try 'drover server join -help'\n", err)
    _, err = a.cli("server-join", "127.0.0.1:9", expect=1)
    check(err.startswith("Error joining: failed joining: "), err)
    check(a.cli("server", "force-leave", "nobody") == ("", ""), "force-leave")


def test_an_agent_tells_about_itself(cluster):
    a = cluster.one()
    out, _ = a.cli("agent-info")
    groups = re.findall(r"^(\S+)$", out, re.M)
    check(groups == sorted(groups) and {"client", "nomad", "runtime"} <= set(groups), out)
    check("  node_id = %s\n" % node_of(a) in out and "  leader = true\n" in out, out)
    check(json.loads(a.cli("agent-info", "-json")[0])["stats"]["client"]["node_id"] == node_of(a), "-json")
    check(a.cli("agent-info", "-t", "{{.stats.nomad.leader}}")[0] == "true\n", "-t")
    check(a.cli("check") == ("", ""), "check is silent when all is well")
    out, _ = a.cli("check", "-min-peers", "2", expect=2)
    check("expected number of peers: 2" in out, out)
    check(a.cli("config", "validate", a.conf)[0] == "Configuration is valid!\n", "config validate")
    bad = os.path.join(cluster.dir, "bad.conf")
    with open(bad, "w") as f:
        f.write('name = "x"\nclient { enabld = true }\n')
    _, err = a.cli("config", "validate", bad, expect=1)
    check("bad.conf:2" in err and "enabld" in err, err)


def monitor(agent, *args):
    return subprocess.Popen([DROVER, "monitor", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=dict(agent.env, DROVER_ADDR=agent.url))


def test_the_monitor_follows_the_log_until_it_is_interrupted(cluster):
    a = cluster.one()
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    eventually("two nodes", lambda: len(a.get("/v1/nodes").json()) == 2)

    def first_line(asked, *args):
        p = monitor(a, *args)
        lines = []
        reader = threading.Thread(target=lambda: lines.append(p.stdout.readline()))
        reader.start()
        eventually("a line of the log comes", lambda: asked.get("/v1/agent/health") and lines)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=10)
        check(p.returncode == 0, "exit %d" % p.returncode)
        return lines[0]
    check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[DEBUG\] http: ", first_line(a, "-log-level", "DEBUG")), "text")
    line = json.loads(first_line(a, "-log-level=DEBUG", "-json"))
    check(line["@level"] == "debug" and line["@module"] == "http" and line["@message"] and line["@timestamp"], str(line))
    check("path=/v1/agent/health" in first_line(b, "-log-level=DEBUG", "-node-id", node_of(a, "two")[:8]), "of another node")
    first_line(a, "-log-level=DEBUG", "-server-id", "one.global")
    for args, err in ((["-server-id=nosuch"], "==> Error starting monitor: Unexpected response code: 400 (unknown drover server nosuch)\n"),
                      (["-log-level=LOUD"], "==> Error starting monitor: Unexpected response code: 400 (Unknown log level: LOUD)\n")):
        check(a.cli("monitor", *args, expect=1)[1] == err + "==> For additional help try 'drover monitor -help'\n", str(args))


def test_the_scheduler_is_configured_while_it_runs(cluster):
    a = cluster.one()
    same(a.cli("operator", "scheduler", "get-config")[0], """
Scheduler Algorithm = binpack
Memory Oversubscription = false
Reject Job Registration = false
Pause Eval Broker = false
Preemption System Scheduler = true
Preemption Service Scheduler = false
Preemption Batch Scheduler = false
Preemption SysBatch Scheduler = false
Modify Index = 0
""")
    out, _ = a.cli("operator", "scheduler", "set-config", "-scheduler-algorithm", "spread", "-preempt-batch-scheduler=true")
    check(out == "Scheduler configuration updated!\n", out)
    known = facts(a.cli("operator", "scheduler", "get-config")[0])
    check(known["Scheduler Algorithm"] == "spread" and known["Preemption Batch Scheduler"] == "true" and
          known["Preemption System Scheduler"] == "true", str(known))
    _, err = a.cli("operator", "scheduler", "set-config", "-check-index", "1", "-scheduler-algorithm", "binpack", expect=1)
    check("could not be atomically updated" in err, err)
    check(facts(a.cli("operator", "scheduler", "get-config")[0]) == known, "nothing changed")


def test_the_api_is_asked_directly(cluster):
    a = cluster.one()
    check(a.cli("operator", "api", "/v1/status/leader")[0] == '"%s"' % a.address, "GET")
    check(json.loads(a.cli("operator", "api", "-filter", "Name == one", "nodes")[0])[0]["Name"] == "one", "without /v1")
    out, _ = a.cli("operator", "api", "/v1/search", input='{"Prefix": "none", "Context": "jobs"}')
    check("jobs" in json.loads(out)["Matches"], out)
    out, _ = a.cli("operator", "api", "-dryrun", "-H", "A: it's", "-X", "DELETE", "-token", "secret", "/v1/job/x")
    check(out == "curl -X DELETE -H \"X-Nomad-Token: ${DROVER_TOKEN:-$NOMAD_TOKEN}\" -H 'A: it'\\''s' '%s/v1/job/x'\n" % a.url, out)
    out, err = a.cli("operator", "api", "-verbose", "/v1/job/nosuch", expect=1)
    check(out == "job not found" and "< HTTP/1.1 404 Not Found\n" in err, out + err)
    check(json.loads(a.cli("operator", "metrics", "-pretty=false")[0])["Gauges"] is not None, "metrics")
    check(a.cli("operator", "metrics", "-pretty=false")[0].count("\n") == 1, "one line")


def test_the_journal_is_checked_without_an_agent(cluster):
    a = cluster.one()
    a.register(shell_job("x", "true"))
    a.wait_status("x", "complete")
    out, _ = a.cli("operator", "journal", "verify", a.data)
    known = facts(out)
    check(int(known["Entries"]) > 3 and known["Damage"] == "none" and known["Last Index"] >= known["First Index"], out)
    a.kill()
    folder = os.path.join(a.data, "server", "journal")
    same(a.cli("operator", "journal", "verify", folder)[0].split("\n")[0], "Folder = %s" % folder)
    _, err = a.cli("operator", "journal", "verify", cluster.dir, expect=1)
    check(err.startswith("Error reading the journal: "), err)


def test_every_command_has_help_and_every_group_lists_its_own(cluster):
    a = cluster.one()
    for group in ("alloc", "node", "eval", "server", "operator", "operator journal", "operator raft", "operator scheduler",
                  "config", "system"):
        out, _ = a.cli(*group.split(), expect=1)
        check(out.startswith("Usage: drover %s <subcommand> [options] [args]\n" % group), out)
        for line in out[out.index("\nSubcommands:\n"):].splitlines()[2:]:
            word = line.split()[0]
            text, _ = a.cli(*group.split(), word, "-help", expect=None)
            check(text.startswith("Usage: drover %s %s" % (group, word)), "%s %s: %s" % (group, word, text[:100]))
            check(all(len(x) <= 120 for x in text.splitlines()), "%s %s has a line that is too long" % (group, word))
