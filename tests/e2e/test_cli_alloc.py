"""Allocations, logs and files on the command line, against real agents, in the shapes that scripts know."""
import json
import os
import re
import signal
import subprocess
import time

from harness import DROVER, check, eventually, shell_job
from shape import facts, mask, same, table

WEB = "echo listening on $NOMAD_PORT_http; echo warming up >&2; while :; do date; sleep 0.2; done"


def web(agent, **kw):
    """A service with a port; returns the short id of its running allocation."""
    job = shell_job("web", WEB, kind="service", Networks=[{"DynamicPorts": [{"Label": "http"}]}], **kw)
    agent.register(job)
    alloc = agent.wait_status("web", "running")[0]["ID"]
    eventually("it wrote something", lambda: "listening" in agent.logs(alloc, "main"))
    return alloc[:8]


def task(name, script, **kw):
    return dict({"Name": name, "Driver": "raw_exec", "Config": {"command": "/bin/sh", "args": ["-c", script]},
                 "Resources": {"CPU": 20, "MemoryMB": 16}}, **kw)


def drover(agent, *args):
    """A command that goes on, as a process of its own."""
    return subprocess.Popen([DROVER, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=dict(agent.env, DROVER_ADDR=agent.url))


HEAD = """
ID = %s
Eval ID = <ID>
Name = web.g[0]
Node ID = <ID>
Node Name = one
Job ID = web
Job Version = 0
Client Status = running
Client Description = Tasks are running
Desired Status = run
Desired Description = <none>
Created = <AGO>
Modified = <AGO>

Allocation Addresses
Label Dynamic Address
*http yes <ADDRESS>

Task "main" is "running"
Task Resources
CPU Memory Disk Addresses
<N>/<N> MHz <SIZE>/<SIZE> <SIZE> 
"""
TAIL = """
Task Events:
Started At = <TIME>
Finished At = N/A
Total Restarts = 0
Last Restart = N/A

Recent Events:
Time Type Description
<TIME> Started Task started by client
<TIME> Task Setup Building Task Directory
<TIME> Received Task received by client
"""


def without_deployment(text):
    """Whether a service has a deployment is no question of how an allocation is shown."""
    return re.sub(r"Deployment (ID|Health) += .*\n", "", text)


def test_alloc_status_shows_the_allocation_its_ports_and_its_task(cluster):
    a = cluster.one()
    alloc = web(a)
    out, _ = a.cli("alloc", "status", alloc)
    same(without_deployment(out), HEAD % "<UUID>" + TAIL)
    check(facts(out)["ID"].startswith(alloc), out)
    check(table(out, "Label")[0]["Dynamic"] == "yes", out)
    check(table(out, "Time")[0]["Type"] == "Started", out)
    whole, _ = a.cli("alloc-status", facts(out)["ID"])
    same(without_deployment(whole), HEAD % "<UUID>" + TAIL)
    short, _ = a.cli("alloc", "status", "-short", alloc)
    same(short, """
ID = <UUID>
Name = web.g[0]
Created = <AGO>
Modified = <AGO>

Tasks
Name State Last Event Time Lifecycle
main running Started <TIME> main
""")
    stats, _ = a.cli("alloc", "status", "-stats", alloc)
    check("\nMemory Stats\n" in stats and "\nCPU Stats\nPercent  System Mode  User Mode\n" in stats, stats)
    check(re.match(r"^\d+\.\d\d%$", table(stats, "Percent")[0]["Percent"]), stats)
    verbose, _ = a.cli("alloc", "status", "-verbose", alloc)
    known = facts(verbose)
    check(len(known["Eval ID"]) == 36 and known["Evaluated Nodes"] == "1" and known["Failures"] == "0", verbose)
    check(re.match(r"\d{4}-\d\d-\d\dT", known["Created"]), verbose)
    scores = table(verbose, "Node  ")
    check(list(scores[0])[-1] == "final score" and "binpack" in scores[0], verbose)
    check(float(scores[0]["final score"]) == float(scores[0]["binpack"]), verbose)


def test_alloc_status_names_the_place_of_a_task_in_the_lifecycle(cluster):
    a = cluster.one()
    job = shell_job("stages", "echo working; sleep 1", task={"Name": "main"})
    job["TaskGroups"][0]["Tasks"] = [
        task("init", "true", Lifecycle={"Hook": "prestart"}),
        task("logger", "exec sleep 60", Lifecycle={"Hook": "prestart", "Sidecar": True}),
        job["TaskGroups"][0]["Tasks"][0],
        task("after", "true", Lifecycle={"Hook": "poststop"})]
    a.register(job)
    alloc = a.wait_status("stages", "complete")[0]["ID"]
    out, _ = a.cli("alloc", "status", alloc)
    check(re.findall(r'^Task "(.*)$', out, re.M) == [
        'after" (poststop) is "dead"', 'init" (prestart) is "dead"', 'logger" (prestart sidecar) is "dead"',
        'main" is "dead"'], out)
    rows = table(a.cli("alloc", "status", "-short", alloc)[0], "Name    State")
    check([(r["Name"], r["Lifecycle"]) for r in rows] == [
        ("after", "poststop"), ("init", "prestart"), ("logger", "prestart sidecar"), ("main", "main")], str(rows))
    # Several tasks: which one is meant must be said.
    _, err = a.cli("alloc", "logs", alloc, expect=1)
    check(err == 'Failed to validate task: Allocation "%s" is running the following tasks:\n  * init\n  * logger\n'
                 '  * main\n  * after\n\nPlease specify the task.\n' % alloc[:8], err)
    check(a.cli("alloc", "logs", alloc, "main")[0] == "working\n", "logs of main")
    check(a.cli("alloc", "logs", "-task", "main", "-job", "stages")[0] == "working\n", "logs by -task and -job")
    _, err = a.cli("alloc", "logs", alloc, "nosuch", expect=1)
    check(err == 'Error reading file: Unexpected response code: 400 (unknown task name "nosuch")\n', err)


def test_alloc_status_tells_restarts_replacements_and_attempts(cluster):
    a = cluster.one()
    a.register(shell_job("fails", "exit 3", RestartPolicy={"Attempts": 1, "Interval": 600 * 10**9, "Delay": 10**8, "Mode": "fail"},
                         ReschedulePolicy={"Attempts": 1, "Interval": 3600 * 10**9, "Delay": 5 * 10**9,
                                           "DelayFunction": "constant", "Unlimited": False}))
    first = eventually("it failed", lambda: [x for x in a.allocs("fails") if x["ClientStatus"] == "failed"])[0]["ID"]
    second = eventually("it was replaced", lambda: [x for x in a.allocs("fails") if x["ID"] != first])[0]["ID"]
    eventually("so did the other", lambda: a.alloc(second)["ClientStatus"] == "failed")
    out, _ = a.cli("alloc", "status", first)
    known = facts(out)
    check(known["Client Status"] == "failed" and known["Replacement Alloc ID"] == second[:8], out)
    check("Total Restarts = 1\n" in out, out)
    events = table(out, "Time")
    check(events[0]["Type"] == "Not Restarting" and events[1]["Description"] == "Exit Code: 3", out)
    out, _ = a.cli("alloc", "status", second)
    check(facts(out)["Reschedule Attempts"] == "1/1", out)


def test_ids_that_name_none_or_several(cluster):
    a = cluster.one()
    a.register(shell_job("many", "true", count=40))
    a.wait_status("many", "complete", count=40)
    ids = sorted(x["ID"] for x in a.allocs("many"))
    prefix = next((i[:2] for i, k in zip(ids, ids[1:]) if i[:2] == k[:2]), None)
    unknown = next(p for p in ("%02x" % n for n in range(256)) if not any(i.startswith(p) for i in ids))
    for words in (["alloc", "status"], ["alloc", "logs"], ["alloc", "fs"], ["alloc", "stop"], ["alloc", "restart"],
                  ["alloc", "signal"]):
        out, err = a.cli(*words, unknown, expect=1)
        check(err == 'No allocation(s) with prefix or id "%s" found\n' % unknown and not out, err)
        _, err = a.cli(*words, "1", expect=1)
        what = "Alloc ID" if words[1] in ("logs", "fs") else "Identifier"
        check(err == what + " must contain at least two characters.\n", err)
        _, err = a.cli(*words, "zzz", expect=1)
        check(err == "Error querying allocation: Unexpected response code: 500 (alloc lookup failed: index error: "
                     "Invalid UUID: encoding/hex: invalid byte: U+007A 'z')\n", err)
    # An odd digit is cut off.
    check(facts(a.cli("alloc", "status", ids[0][:7])[0])["ID"] == ids[0] or prefix, "odd prefix")
    if prefix:
        out, err = a.cli("alloc", "status", prefix, expect=0)
        check(out.startswith("Prefix matched multiple allocations\n\nID        Node ID   Task Group  Version  Desired  "
                             "Status    Created"), out)
        out, err = a.cli("alloc", "logs", prefix, expect=1)
        check(not out and len(table(err, "ID")) >= 2, err)
    out, _ = a.cli("alloc", "status", "-verbose", "")
    rows = table(out, "ID")
    check(len(rows) == 40 and list(rows[0]) == ["ID", "Eval ID", "Node ID", "Node Name", "Task Group", "Version", "Desired",
                                                "Status", "Created", "Modified"], str(rows[0]))
    _, err = a.cli("alloc", "status", expect=1)
    check(err == "This command takes one of the following argument conditions:\n * A single <allocation>\n"
                 " * No arguments, with output format specified\n"
                 "For additional help try 'drover alloc status -help'\n", err)


def test_json_and_templates_print_what_the_api_answers(cluster):
    a = cluster.one()
    alloc = web(a)
    whole = a.get("/v1/allocations").json()[0]["ID"]
    out, _ = a.cli("alloc", "status", "-json", alloc)
    check(json.loads(out)["ID"] == whole and out.startswith('{\n    "AllocModifyIndex"'), out[:200])
    api = a.alloc(whole)
    check(set(json.loads(out)) == set(api), set(json.loads(out)) ^ set(api))
    check(a.cli("alloc", "status", "-t", "{{.ID}} {{.ClientStatus}}", alloc)[0] == whole + " running\n", "-t")
    out, _ = a.cli("alloc", "status", "-t", "{{range .}}{{.ID}} {{(index .TaskStates \"main\").State}}{{end}}")
    check(out == whole + " running\n", out)
    check(json.loads(a.cli("alloc", "status", "-json")[0])[0]["ID"] == whole, "-json of all")
    _, err = a.cli("alloc", "status", "-t", "{{.Id}}", alloc, expect=1)
    check("line 1, column 3: can't evaluate field Id" in err and "ClientStatus" in err, err)
    _, err = a.cli("alloc", "status", "-json", "-t", "x", alloc, expect=1)
    check(err == "Both json and template formatting are not allowed\n", err)


def test_logs_print_one_stream_from_where_it_is_wanted(cluster):
    a = cluster.one()
    alloc = web(a)
    eventually("some lines", lambda: a.logs(alloc_id(a, alloc), "main").count("\n") > 12)
    out = a.cli("alloc", "logs", alloc)[0]
    check(out.startswith("listening on ") and "warming" not in out, out[:100])
    check(a.cli("logs", "-stderr", alloc)[0] == "warming up\n", "-stderr")
    check(a.cli("logs", "-stderr", alloc, "main")[0] == "warming up\n", "with the task")
    check(a.cli("alloc", "logs", "-tail", alloc)[0].count("\n") == 10, "-tail")
    check(a.cli("alloc", "logs", "-tail", "-n", "3", alloc)[0].count("\n") == 3, "-tail -n 3")
    check(a.cli("alloc", "logs", "-tail", "-n", "0", alloc)[0] == "", "-tail -n 0")
    check(a.cli("alloc", "logs", "-n", "3", alloc)[0].startswith("listening on "), "-n alone counts for nothing")
    last = a.cli("alloc", "logs", "-tail", "-c", "7", alloc)[0]
    check(len(last) == 7 and last.endswith("\n"), repr(last))
    both, err = a.cli("alloc", "logs", "-stdout", "-stderr", alloc)
    check(both.startswith("listening on ") and err == "warming up\n", err)
    check(a.cli("alloc", "logs", "-job", "web")[0].startswith("listening on "), "-job")
    _, err = a.cli("logs", "-job", "web", "-stderr", expect=1)
    check(err == 'Error reading file: Unexpected response code: 400 (unknown task name "-stderr")\n', err)
    _, err = a.cli("logs", "-job", "nosuch", expect=1)
    check(err == 'Error fetching allocations: job "nosuch" doesn\'t exist or it has no allocations\n', err)
    _, err = a.cli("logs", expect=1)
    check(err == "An allocation ID is required\nFor additional help try 'drover alloc logs -help'\n", err)
    _, err = a.cli("logs", "a", "b", "c", expect=1)
    check(err.startswith("This command takes one or two arguments\n"), err)


def alloc_id(agent, prefix):
    return agent.get("/v1/allocations?prefix=" + prefix).json()[0]["ID"]


def test_following_logs_ends_with_the_reader_the_interrupt_and_the_task(cluster):
    a = cluster.one()
    alloc = web(a)
    # The reader has seen enough.
    p = drover(a, "alloc", "logs", "-f", alloc)
    check(p.stdout.readline().startswith("listening on "), "first line")
    p.stdout.close()
    check(p.wait(10) == 0 and p.stderr.read() == "", "a closed pipe is no error")
    # The person has seen enough.
    for args in (["-f", "-tail", "-n", "2"], ["-f", "-stdout", "-stderr"]):
        p = drover(a, "alloc", "logs", *args, alloc)
        for _ in range(4):
            check(p.stdout.readline().endswith("\n"), "a line")
        if "-stderr" in args:
            check(p.stderr.readline() == "warming up\n", "stderr goes to stderr")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=10)
        check(p.returncode == 0 and err == "", "exit %d: %s" % (p.returncode, err))
    # A follower uses no cpu while nothing comes.
    p = drover(a, "alloc", "logs", "-f", "-stderr", alloc)
    check(p.stdout.readline() == "warming up\n", "stderr")
    before = cpu(p.pid)
    time.sleep(1.5)
    check(cpu(p.pid) - before <= 3, "%d ticks of cpu in 1.5 s without a byte" % (cpu(p.pid) - before))
    # The task ends, and with it the log.
    a.cli("job", "stop", "-detach", "web")
    out, err = p.communicate(timeout=20)
    check(p.returncode == 0 and out == "" and err == "", "exit %d: %s%s" % (p.returncode, out, err))


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_the_last_lines_are_found_across_rotated_files(cluster):
    a = cluster.one()
    long = "x" * 3000
    script = ("i=0; while [ $i -lt 900 ]; do echo \"$i %s\"; i=$((i+1)); done; printf 'no line break at the end'" % long)
    a.register(shell_job("rotates", script, task={"LogConfig": {"MaxFiles": 4, "MaxFileSizeMB": 1}}))
    alloc = a.wait_status("rotates", "complete")[0]["ID"]
    files = a.cli("alloc", "fs", alloc, "alloc/logs")[0]
    check(files.count("main.stdout.") >= 3, files)
    every = a.cli("alloc", "logs", alloc)[0].split("\n")
    check(every[-1] == "no line break at the end" and len(every) == 901, "%d lines" % len(every))
    for n in (1, 2, 10, 300):
        lines = a.cli("alloc", "logs", "-tail", "-n", str(n), alloc)[0].split("\n")
        check(lines == every[-n:], "-n %d gives %d lines" % (n, len(lines)))
    lines = a.cli("alloc", "logs", "-tail", "-n", "100000", alloc)[0]
    check(len(lines) == 1 << 20, "more than a mebibyte back: %d" % len(lines))


def test_files_are_listed_shown_and_followed(cluster):
    a = cluster.one()
    alloc = web(a)
    out, _ = a.cli("alloc", "fs", alloc)
    check([(r["Mode"][0], r["Name"]) for r in table(out, "Mode")] == [("d", "alloc/"), ("d", "main/")], out)
    same(a.cli("fs", alloc, "alloc")[0], """
Mode Size Modified Time Name
drwxrwxrwx <SIZE> <TIME> data/
drwxrwxrwx <SIZE> <TIME> logs/
drwxrwxrwx <SIZE> <TIME> tmp/
""")
    same(a.cli("fs", alloc, "alloc/logs/")[0], """
Mode Size Modified Time Name
-rw-r--r-- <SIZE> <TIME> main.stderr.0
-rw-r--r-- <SIZE> <TIME> main.stdout.0
""")
    check(table(a.cli("fs", "-H", alloc, "alloc/logs")[0], "Mode")[0]["Size"] == "11", "-H")
    same(a.cli("fs", "-stat", alloc, "alloc/logs/main.stderr.0")[0], """
Mode Size Modified Time Content Type Name
-rw-r--r-- 11 B <TIME> text/plain; charset=utf-8 main.stderr.0
""")
    same(a.cli("fs", "-stat", "-H", alloc, "alloc")[0].replace("4096", "n"), """
Mode Size Modified Time Content Type Name
drwxrwxrwx n <TIME> application/octet-stream alloc/
""")
    check(a.cli("alloc", "fs", alloc, "alloc/logs/main.stderr.0")[0] == "warming up\n", "cat")
    check(a.cli("alloc", "fs", "-job", "web", "alloc/logs/main.stderr.0")[0] == "warming up\n", "-job")
    check(a.cli("fs", "-tail", "-n", "2", alloc, "alloc/logs/main.stdout.0")[0].count("\n") == 2, "-tail -n 2")
    check(len(a.cli("fs", "-tail", "-c", "5", alloc, "alloc/logs/main.stdout.0")[0]) == 5, "-tail -c 5")
    p = drover(a, "alloc", "fs", "-f", "-tail", "-n", "1", alloc, "alloc/logs/main.stdout.0")
    for _ in range(3):
        check(p.stdout.readline().endswith("\n"), "a line")
    p.send_signal(signal.SIGINT)
    check(p.communicate(timeout=10)[1] == "" and p.returncode == 0, "exit %d" % p.returncode)
    folder = os.path.join(a.data, "alloc", alloc_id(a, alloc))
    _, err = a.cli("fs", alloc, "no/such/path", expect=1)
    check(err == "Unexpected response code: 500 (stat %s/no/such/path: no such file or directory)\n" % folder, err)
    _, err = a.cli("fs", alloc, "../../../etc", expect=1)
    check(err == "Unexpected response code: 500 (Path escapes the alloc directory)\n", err)
    _, err = a.cli("fs", alloc, "main/secrets", expect=1)
    check("secret" in err, err)
    _, err = a.cli("fs", expect=1)
    check(err == "An allocation ID is required\nFor additional help try 'drover alloc fs -help'\n", err)


def test_a_file_of_any_size_is_printed_whole(cluster):
    a = cluster.one()
    a.register(shell_job("big", 'head -c 70000000 /dev/zero >"$NOMAD_TASK_DIR/big"'))
    alloc = a.wait_status("big", "complete")[0]["ID"]
    r = subprocess.run("'%s' alloc fs %s main/local/big | wc -c" % (DROVER, alloc), shell=True, capture_output=True, text=True,
                       timeout=60, env=dict(a.env, DROVER_ADDR=a.url))
    check(r.stdout.strip() == "70000000", r.stdout + r.stderr)


def test_restart_signal_and_stop_answer_as_scripts_expect(cluster):
    a = cluster.one()
    job = shell_job("sig", "trap 'echo got HUP' HUP; echo up; while :; do sleep 0.1; done", kind="service",
                    task={"Name": "a", "KillTimeout": 10**8})
    job["TaskGroups"][0]["Tasks"].append(task("b", "echo up; exec sleep 1000", KillTimeout=10**8))
    a.register(job)
    alloc = a.wait_status("sig", "running")[0]["ID"]
    eventually("a is up", lambda: "up" in a.logs(alloc, "a"))
    check(a.cli("alloc", "signal", "-s", "SIGHUP", alloc[:8], "a") == ("", ""), "signal prints nothing")
    eventually("the signal arrived", lambda: "got HUP" in a.logs(alloc, "a"))
    a.cli("alloc", "signal", "-s", "HUP", "-task", "a", alloc[:8])
    eventually("so did the other", lambda: a.logs(alloc, "a").count("got HUP") == 2)
    for words in (["alloc", "signal", "-s", "HUP"], ["alloc", "restart"]):
        _, err = a.cli(*words, alloc, "nosuch", expect=1)
        check(err == "Could not find task named: nosuch, found:\na\nb\n", err)
    _, err = a.cli("alloc", "signal", "-s", "SIGNOPE", alloc, "a", expect=1)
    check("SIGNOPE" in err and "SIGUSR1" in err, err)
    check(a.cli("alloc", "restart", alloc, "a") == ("", ""), "restart prints nothing")
    eventually("a started again", lambda: a.logs(alloc, "a").count("up") == 2)
    check(a.logs(alloc, "b") == "up\n", "b was not meant")
    a.cli("alloc", "restart", "-verbose", alloc[:8])
    eventually("both started again", lambda: a.logs(alloc, "a").count("up") == 3 and a.logs(alloc, "b") == "up\n" * 2)
    out, _ = a.cli("alloc", "status", alloc)
    check("User requested restart" in out and "Task being sent a signal" in out, out)
    for words, err in ((["alloc", "signal"], "This command takes up to two arguments: <alloc-id> <task>"),
                       (["alloc", "restart"], "This command takes one or two arguments: <alloc-id> <task-name>"),
                       (["alloc", "stop"], "This command takes one argument: <alloc-id>")):
        check(a.cli(*words, expect=1)[1] == "%s\nFor additional help try 'drover %s -help'\n" % (err, " ".join(words)), words)
    out, _ = a.cli("alloc", "stop", alloc[:8])
    lines = mask(out).splitlines()
    check(lines[0] == '==> <TIME>: Monitoring evaluation "<ID>"', out)
    check(any(re.match(r' <TIME>: Allocation "<ID>" created: node "<ID>", group "g"$', line) for line in lines), out)
    check('==> <TIME>: Evaluation "<ID>" finished with status "complete"' in lines, out)
    out, _ = a.cli("alloc", "status", alloc)
    check(facts(out)["Desired Status"] == "stop" and len(facts(out)["Replacement Alloc ID"]) == 8, out)
    new = facts(out)["Replacement Alloc ID"]
    out, _ = a.cli("alloc", "stop", "-detach", new)
    check(re.match(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$", out), out)
    eventually("the first is complete", lambda: a.alloc(alloc)["ClientStatus"] == "complete")
    _, err = a.cli("alloc", "restart", alloc, expect=1)
    check(err == "Failed to restart allocation:\n\nUnexpected response code: 500 (2 errors occurred:\n"
                 "\t* Task not running\n\t* Task not running\n\n)\n", err)
    _, err = a.cli("alloc", "signal", alloc, "a", expect=1)
    check(err == "Error signalling allocation: Unexpected response code: 500 (Task not running)\n", err)


def test_an_allocation_of_another_machine_is_reached_through_any_agent(cluster):
    a = cluster.agent(client=False).start()
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    alloc = web(a)
    for agent in (a, b):
        out, err = agent.cli("alloc", "status", "-stats", alloc)
        check("Memory Stats" in out and not err, out + err)
        check(agent.cli("alloc", "logs", "-stderr", alloc)[0] == "warming up\n", "logs through " + agent.name)
        check("alloc/" in agent.cli("alloc", "fs", alloc)[0], "fs through " + agent.name)
        _, err = agent.cli("alloc", "logs", alloc, "nosuch", expect=1)
        check(err == 'Error reading file: Unexpected response code: 400 (unknown task name "nosuch")\n', err)
    p = drover(a, "alloc", "logs", "-f", alloc)
    check(p.stdout.readline().startswith("listening on "), "follows")
    # The agent that has it is gone: the reader is told, and does not wait forever.
    b.kill()
    out, err = p.communicate(timeout=40)
    check(p.returncode == 1 and err.startswith("Error reading file: "), "exit %d: %s" % (p.returncode, err))
