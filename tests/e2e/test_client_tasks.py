"""What a client does with tasks: events and exits as people and tools know them, limits, users, refusals."""
import os
import re
import time

from harness import check, eventually, process_alive, shell_job

NO_RESTART = {"Attempts": 0, "Mode": "fail"}
NO_RESCHEDULE = {"Attempts": 0, "Unlimited": False}


def batch(name, script, count=1, **group):
    return shell_job(name, script, count=count, RestartPolicy=NO_RESTART, ReschedulePolicy=NO_RESCHEDULE, **group)


def shell_task(name, script, **more):
    return dict({"Name": name, "Driver": "raw_exec", "Resources": {"CPU": 20, "MemoryMB": 16},
                 "Config": {"command": "/bin/sh", "args": ["-c", script]}}, **more)


def told(alloc, task="main"):
    """[(type, description)] of a task, oldest first."""
    state = (alloc["TaskStates"] or {}).get(task)
    return [(e["Type"], e["DisplayMessage"]) for e in state["Events"]] if state else []


def check_told(alloc, expected, task="main"):
    """expected: types, or (type, regular expression)."""
    got = told(alloc, task)
    ok = len(got) == len(expected)
    for (kind, text), want in zip(got, expected):
        want = want if isinstance(want, tuple) else (want, "")
        ok = ok and kind == want[0] and re.search(want[1], text)
    check(ok, "%s: expected %s, got %s" % (task, expected, got))


BEGIN = [("Received", "^Task received by client$"), ("Task Setup", "^Building Task Directory$")]
STARTED = [("Started", "^Task started by client$")]


def test_events_read_as_recorded(cluster):
    a = cluster.one()
    job = shell_job("stages", "sleep 0.5", RestartPolicy=NO_RESTART, ReschedulePolicy=NO_RESCHEDULE)
    job["TaskGroups"][0]["Tasks"] += [
        shell_task("init", "sleep 0.1", Lifecycle={"Hook": "prestart"}),
        shell_task("logger", "exec sleep 60", Lifecycle={"Hook": "prestart", "Sidecar": True}),
        shell_task("after", "true", Lifecycle={"Hook": "poststart"}),
        shell_task("cleanup", "true", Lifecycle={"Hook": "poststop"})]
    a.register(job)
    alloc = a.wait_status("stages", "complete")[0]
    done = [("Terminated", "^Exit Code: 0$")]
    for task in ("main", "init", "after", "cleanup"):
        check_told(alloc, BEGIN + STARTED + done, task)
    check_told(alloc, BEGIN + STARTED + [
        ("Main Tasks Dead", "^Main tasks in the group died$"), ("Killing", "^Sent interrupt. Waiting 5s before force killing$"),
        ("Terminated", "^Exit Code: 130, Signal: 2$"), ("Killed", "^Task successfully killed$")], "logger")
    a.register(shell_job("fails", "exit 3", ReschedulePolicy=NO_RESCHEDULE,
                         RestartPolicy={"Attempts": 1, "Interval": 600 * 10**9, "Delay": 10**8, "Mode": "fail"}))
    alloc = a.wait_status("fails", "failed")[0]
    check_told(alloc, BEGIN + STARTED + [
        ("Terminated", "^Exit Code: 3$"), ("Restarting", r"^Task restarting in 1\d\d(\.\d+)?ms$"),
        ("Started", "^Task started by client$"), ("Terminated", "^Exit Code: 3$"),
        ("Not Restarting", '^Exceeded allowed attempts 1 in interval 10m0s and mode is "fail"$')])
    check(alloc["TaskStates"]["main"]["Failed"] and alloc["ClientDescription"] == "Failed tasks", str(alloc))
    ended = [e for e in alloc["TaskStates"]["main"]["Events"] if e["Type"] == "Terminated"][0]
    check(ended["Details"] == {"exit_code": "3", "signal": "0", "oom_killed": "false"}, str(ended))


def test_what_cannot_run_says_why_and_is_not_tried_again(cluster):
    a = cluster.one()
    jobs = {
        "nobinary": (batch("nobinary", "", task={"Config": {"command": "/no/such/program"}}),
                     ("Driver Failure", '"/no/such/program" cannot be started: No such file')),
        "nowhere": (batch("nowhere", "", task={"Config": {"command": "no-such-program"}}),
                    ("Driver Failure", "was not found in PATH")),
        "badconfig": (batch("badconfig", "", task={"Config": {"args": ["x"]}}),
                      ("Failed Validation", 'no "command"')),
        "badkey": (batch("badkey", "", task={"Config": {"comand": "/bin/true"}}),
                   ("Failed Validation", 'unknown key "comand"')),
        "override": (batch("override", "", task={"Config": {"command": "/bin/true", "cgroup_v2_override": "x"}}),
                     ("Failed Validation", "not supported")),
        "folder": (batch("folder", "", task={"Config": {"command": "/bin/true", "work_dir": "/no/such/folder"}}),
                   ("Driver Failure", '"/no/such/folder" is not a folder')),
        "artifact": (batch("artifact", "true", task={"Artifacts": [{"GetterSource": "http://127.0.0.1:9/x"}]}),
                     ("Setup Failure", "^artifact blocks are not supported yet")),
        "template": (batch("template", "true", task={"Templates": [{"EmbeddedTmpl": "x", "DestPath": "local/x",
                                                                    "ChangeMode": "restart"}]}),
                     ("Setup Failure", "^template blocks are not supported yet")),
        "nobody-here": (batch("nobody-here", "true", task={"User": "no-such-user"}),
                        ("Setup Failure", '"no-such-user" does not exist')),
    }
    for job, _ in jobs.values():
        job["TaskGroups"][0]["RestartPolicy"] = {"Attempts": 3, "Interval": 600 * 10**9, "Delay": 10**8, "Mode": "fail"}
        a.register(job)
    for name, (_, event) in jobs.items():
        alloc = a.wait_status(name, "failed", count=1)[0]
        check_told(alloc, BEGIN + [event, ("Not Restarting", "^Error was unrecoverable$")])
        check(alloc["TaskStates"]["main"]["Failed"], str(alloc))


def test_kill_timeout_is_capped_and_kill_signal_is_sent(cluster):
    cluster.client_options = 'max_kill_timeout = "1s"'
    a = cluster.one()
    a.register(shell_job("stubborn", "trap 'echo got USR2' USR2; echo up; while :; do sleep 0.05; done", kind="service",
                         task={"KillTimeout": 3600 * 10**9, "KillSignal": "SIGUSR2"}))
    alloc = a.wait_status("stubborn", "running")[0]
    eventually("it is up", lambda: "up" in a.logs(alloc["ID"], "main"))
    began = time.monotonic()
    a.delete("/v1/job/stubborn")
    alloc = a.wait_status("stubborn", "complete")[0]
    check(1.0 <= time.monotonic() - began < 20, "took %.1f s" % (time.monotonic() - began))
    check("got USR2" in a.logs(alloc["ID"], "main"), "the kill_signal did not arrive")
    check_told(alloc, BEGIN + STARTED + [("Killing", "Waiting 1s before"), ("Terminated", "^Exit Code: 137, Signal: 9$"), "Killed"])


def test_the_leader_ends_the_group_and_shutdown_delay_comes_before_the_signal(cluster):
    a = cluster.one()
    job = batch("led", "sleep 0.3", task={"Leader": True})
    job["TaskGroups"][0]["Tasks"].append(shell_task("helper", "trap 'date +%s%N; exit 0' INT; while :; do sleep 0.02; done",
                                                    ShutdownDelay=10**9))
    a.register(job)
    alloc = a.wait_status("led", "complete")[0]
    check_told(alloc, BEGIN + STARTED + [("Leader Task Dead", "^Leader Task in Group dead$"), "Killing", "Terminated", "Killed"],
               "helper")
    signalled = int(a.logs(alloc["ID"], "helper"))
    ended = [e for e in alloc["TaskStates"]["main"]["Events"] if e["Type"] == "Terminated"][0]["Time"]
    check(signalled - ended >= 10**9, "the signal came %d ms after the leader's end" % ((signalled - ended) // 10**6))


def test_restart_mode_delay_waits_for_the_next_interval(cluster):
    a = cluster.one()
    a.register(shell_job("patient", 'echo run >>"$NOMAD_TASK_DIR/runs"; exit 1', kind="service",
                         RestartPolicy={"Attempts": 1, "Interval": 5 * 10**9, "Delay": 10**8, "Mode": "delay"}))
    alloc = eventually("it waits", lambda: next(
        (x for x in a.allocs("patient") if any('mode is "delay"' in t for _, t in told(x))), None))
    check(alloc["ClientStatus"] != "failed" and not alloc["TaskStates"]["main"]["Failed"], str(alloc))
    eventually("it is tried again in the next interval", lambda: a.alloc(alloc["ID"])["TaskStates"]["main"]["Restarts"] >= 3)


def test_a_task_that_forks_away_ends_with_its_main_process(cluster):
    a = cluster.one()
    a.register(batch("daemon", "setsid sh -c 'echo $$ >\"$NOMAD_TASK_DIR/pid\"; exec sleep 1000' </dev/null >/dev/null 2>&1 & "
                               "while [ ! -s \"$NOMAD_TASK_DIR/pid\" ]; do sleep 0.01; done; exit 0"))
    a.wait_status("daemon", "complete")
    check(not process_alive(int(a.pid_file("daemon"))), "what it left behind lives on")


def test_memory_is_limited_where_the_client_says_so_and_the_end_is_told(cluster):
    cluster.client_options = 'options { "driver.raw_exec.memory_limit" = "true" }'
    a = cluster.one()
    script = "echo begin; exec python3 -c 'x = bytearray(300 << 20); print(len(x))'"
    a.register(batch("greedy", script, resources={"CPU": 20, "MemoryMB": 64}))
    alloc = a.wait_status("greedy", "failed", count=1)[0]
    check_told(alloc, BEGIN + STARTED + [("Terminated", '^Exit Code: 137, Signal: 9, Exit Message: "OOM Killed"$'),
                                         "Not Restarting"])
    a.register(batch("modest", script, resources={"CPU": 20, "MemoryMB": 1024}))
    alloc = a.wait_status("modest", "complete", count=1)[0]
    check("314572800" in a.logs(alloc["ID"], "main"), a.logs(alloc["ID"], "main"))


def test_tasks_run_as_their_user_and_keep_their_secrets_from_others(cluster):
    a = cluster.agent()
    os.chmod(cluster.dir, 0o755)
    a.start()
    eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    script = ('id -un; echo key >"$NOMAD_SECRETS_DIR/key"; echo x >"$NOMAD_TASK_DIR/x"; echo x >"$NOMAD_ALLOC_DIR/data/$NOMAD_TASK_NAME"; '
              'ls -d "$NOMAD_SECRETS_DIR" | wc -l; cat "$NOMAD_ALLOC_DIR/../other/secrets/key" 2>&1; '
              'ls "$NOMAD_ALLOC_DIR/../.." 2>&1; exit 0')
    job = batch("users", script, task={"User": "nobody"})
    job["TaskGroups"][0]["Tasks"].append(shell_task("other", 'umask 0; echo key >"$NOMAD_SECRETS_DIR/key"; sleep 0.5',
                                                    User="daemon", Lifecycle={"Hook": "prestart", "Sidecar": True}))
    a.register(job)
    alloc = a.wait_status("users", "complete")[0]
    out = a.logs(alloc["ID"], "main").splitlines()
    check(out[:2] == ["nobody", "1"] and all("Permission denied" in line for line in out[2:]) and len(out) == 4, str(out))
    folder = os.path.join(a.data, "alloc", alloc["ID"])
    check(os.stat(folder + "/main/secrets").st_mode & 0o777 == 0o700, "secrets are not private")
    check(os.stat(folder + "/alloc/data/main").st_uid == os.stat(folder + "/main/local").st_uid != 0, "files are not the user's")
    check(os.stat(a.data + "/client").st_mode & 0o777 == 0o700, "the client's state is not private")


def test_an_agent_without_rights_runs_tasks_as_itself(cluster):
    a = cluster.agent(user="nobody").start()
    eventually("the node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    a.register(batch("me", "id -un; (setsid sleep 1000 &) ; exit 5"))
    alloc = a.wait_status("me", "failed")[0]
    check(a.logs(alloc["ID"], "main") == "nobody\n", a.logs(alloc["ID"], "main"))
    check_told(alloc, BEGIN + STARTED + [("Terminated", "^Exit Code: 5$"), "Not Restarting"])
    a.register(batch("root", "id -un", task={"User": "root"}))
    check_told(a.wait_status("root", "failed")[0],
               BEGIN + [("Setup Failure", "does not run as root"), ("Not Restarting", "unrecoverable")])
    a.register(shell_job("runs", "exec sleep 1000", kind="service"))
    alloc = a.wait_status("runs", "running")[0]
    stats = a.get("/v1/client/allocation/%s/stats" % alloc["ID"]).json()
    check(stats["ResourceUsage"]["MemoryStats"]["RSS"] > 0, str(stats))
    a.kill()
    a.start()
    a.wait_status("runs", "running", count=1)


def test_a_group_stops_itself_when_the_servers_are_silent(cluster):
    server = cluster.agent("server", client=False).start()
    client = cluster.agent("client", server=False, servers=[server.address]).start()
    eventually("the node is ready", lambda: [n for n in server.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    script = 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000'
    server.register(shell_job("alone", script, kind="service", StopAfterClientDisconnect=2 * 10**9))
    server.register(shell_job("stays", script, kind="service"))
    server.wait_status("alone", "running")
    server.wait_status("stays", "running")
    alone, stays = (int(server.pid_file(j)) for j in ("alone", "stays"))
    server.kill()
    eventually("the one that must not run alone stopped", lambda: not process_alive(alone))
    check(process_alive(stays), "the other one was stopped, too")
    check(client.get("/v1/agent/health").status in (200, 500), "the client does not answer")


def test_old_allocations_leave_the_disk_by_count_and_by_age(cluster):
    cluster.client_options = 'gc_max_allocs = 4  gc_interval = "200ms"'
    a = cluster.one()
    a.register(shell_job("stays", "exec sleep 1000", kind="service"))
    a.wait_status("stays", "running")
    for n in range(8):
        a.register(batch("old-%d" % n, "true"))
        a.wait_status("old-%d" % n, "complete")
    folder = os.path.join(a.data, "alloc")
    eventually("the oldest are gone", lambda: len([x for x in os.listdir(folder) if not x.startswith(".")]) == 4)
    kept = {a.allocs("old-%d" % n)[0]["ID"] for n in (5, 6, 7)} | {a.allocs("stays")[0]["ID"]}
    check(set(os.listdir(folder)) - {".trash"} == kept, "not the oldest went: %s" % os.listdir(folder))
    eventually("the trash is empty", lambda: not os.path.exists(folder + "/.trash") or not os.listdir(folder + "/.trash"))
