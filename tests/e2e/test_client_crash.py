"""The client and what happens to it: killed at any moment, its disk lost, its machine restarted. Through the HTTP API."""
import os
import random
import shutil
import signal
import time

from harness import Failed, check, eventually, lasts, process_alive, shell_job, start_time

NO_RESTART = {"Attempts": 0, "Mode": "fail"}
NO_RESCHEDULE = {"Attempts": 0, "Unlimited": False}


def batch(name, script, count=1, **group):
    return shell_job(name, script, count=count, RestartPolicy=NO_RESTART, ReschedulePolicy=NO_RESCHEDULE, **group)


def terminated(alloc, task="main"):
    return [e for e in alloc["TaskStates"][task]["Events"] if e["Type"] == "Terminated"]


@lasts(40)
def test_kill_9_at_random_moments_reruns_nothing_loses_nothing_and_touches_nothing(cluster):
    """Sixty kills while jobs of all kinds start, run and end. Every run of every task writes a line by itself, so what
    really happened is on disk and not in what the agent says."""
    seed = int(os.environ.get("SEED") or time.time())
    print("seed %d" % seed, flush=True)
    dice = random.Random(seed)
    cluster.client_options = "gc_max_allocs = 10000"
    a = cluster.one()
    ledger = os.path.join(cluster.dir, "ledger")
    os.mkdir(ledger, 0o777)
    note = 'echo run >>"%s/$NOMAD_ALLOC_ID-$NOMAD_TASK_NAME"; ' % ledger
    a.register(shell_job("steady", note + "exec sleep 10000", kind="service", count=3))
    a.wait_status("steady", "running", count=3)
    steady = {r["path"]: r["task"] for r in a.run_records()}
    expected = {}  # job -> exit code
    try:
        for n in range(60):
            code = dice.choice([0, 0, 1, 7])
            name = "short-%d" % n
            try:
                count = dice.randint(1, 3)
                a.put("/v1/jobs", {"Job": batch(name, note + "sleep %.3f; exit %d" % (dice.random() * 0.3, code), count)})
                expected[name] = code
            except OSError:
                pass
            time.sleep(dice.random() ** 3 * 0.25)
            a.kill()
            time.sleep(dice.random() ** 4 * 0.3)
            a.start()
        there = {j["ID"] for j in a.get("/v1/jobs").json()}
        for name, code in expected.items():
            check(name in there, "%s was acknowledged and is gone" % name)
            for alloc in a.wait_status(name, "failed" if code else "complete"):
                runs = open(os.path.join(ledger, alloc["ID"] + "-main")).read().splitlines()
                check(len(runs) == 1, "%s ran %d times: %s" % (name, len(runs), alloc["TaskStates"]))
                ends = terminated(alloc)
                check([e["ExitCode"] for e in ends] == [code], "%s ended with %s, not %d" % (name, ends, code))
        a.wait_status("steady", "running", count=3)
        for alloc in a.allocs("steady"):
            runs = open(os.path.join(ledger, alloc["ID"] + "-main")).read().splitlines()
            check(len(runs) == 1, "a steady task ran %d times" % len(runs))
        for path, (pid, start) in steady.items():
            check(process_alive(pid) and start_time(pid) == start, "the process of %s was touched" % path)
    except Failed as e:
        raise Failed("%s (seed %d)" % (e, seed)) from None


def test_restart_counts_and_delays_survive_kill_9(cluster):
    a = cluster.one()
    ledger = os.path.join(cluster.dir, "runs")
    a.register(shell_job("flaky", 'echo run >>"%s"; exit 3' % ledger, ReschedulePolicy=NO_RESCHEDULE,
                         RestartPolicy={"Attempts": 4, "Interval": 600 * 10**9, "Delay": 3 * 10**8, "Mode": "fail"}))
    for _ in range(8):
        time.sleep(0.2)
        a.kill()
        a.start()
    alloc = a.wait_status("flaky", "failed", count=1)[0]
    runs = len(open(ledger).read().splitlines())
    check(runs == 5 and alloc["TaskStates"]["main"]["Restarts"] == 4, "%d runs: %s" % (runs, alloc["TaskStates"]))


def test_a_stop_that_was_asked_before_the_kill_happens_after_it(cluster):
    a = cluster.one()
    a.register(shell_job("stopping", "trap 'sleep 0.3; exit 9' INT; echo up; while :; do sleep 0.05; done", kind="service",
                         task={"KillTimeout": 20 * 10**9}))
    alloc = a.wait_status("stopping", "running")[0]["ID"]
    eventually("it is up", lambda: "up" in a.logs(alloc, "main"))
    check(a.delete("/v1/job/stopping").status == 200, "the job cannot be stopped")
    time.sleep(0.1)
    a.kill()
    time.sleep(0.6)
    a.start()
    alloc = a.wait_status("stopping", "complete")[0]
    check([e["ExitCode"] for e in terminated(alloc)] == [9], str(alloc["TaskStates"]))


def test_a_machine_that_was_restarted_reruns_by_policy(cluster):
    """The tasks are gone and the records are of another boot."""
    a = cluster.one()
    restart = {"Attempts": 2, "Interval": 600 * 10**9, "Delay": 10**8, "Mode": "fail"}
    note = 'echo $$ >>"$NOMAD_TASK_DIR/runs"; '
    a.register(shell_job("service", note + "exec sleep 1000", kind="service", RestartPolicy=restart))
    a.register(shell_job("build", note + "[ -e again ] || { touch again; exec sleep 1000; }; exit 0", RestartPolicy=restart))
    a.register(batch("once", note + "exec sleep 1000"))
    for job in ("service", "build", "once"):
        a.wait_status(job, "running", count=1)
    old = a.run_records()
    a.kill()
    cluster.kill_tasks()
    for r in old:
        with open(r["path"], "r+") as f:
            head = f.read(96).split()
            f.seek(0)
            f.write(" ".join(head[:3] + ["00000000-0000-0000-0000-000000000000"]).ljust(95))
            f.seek(3 * 96)
            f.write(" " * 95)  # the keepers that were killed in order wrote how their tasks ended; a power cut does not
    a.start()
    alloc = eventually("the service runs again", lambda: next(
        (x for x in a.allocs("service") if x["ClientStatus"] == "running" and x["TaskStates"]["main"]["Restarts"]), None))
    ends = terminated(alloc)
    check(len(ends) == 1 and "the machine was restarted" in ends[0]["DisplayMessage"], str(ends))
    check(alloc["TaskStates"]["main"]["Restarts"] == 1, str(alloc["TaskStates"]))
    a.wait_status("build", "complete", count=1)
    failed = a.wait_status("once", "failed", count=1)[0]
    check("the machine was restarted" in terminated(failed)[0]["DisplayMessage"], str(failed["TaskStates"]))


def test_a_lost_client_folder_ends_what_nobody_knows_any_more(cluster):
    a = cluster.one()
    a.register(shell_job("ghost", 'trap "" INT TERM HUP; echo $$ >"$NOMAD_TASK_DIR/pid"; while :; do sleep 0.2; done',
                         kind="service"))
    a.wait_status("ghost", "running")
    pid = int(a.pid_file("ghost"))
    a.kill()
    shutil.rmtree(os.path.join(a.data, "client"))
    a.start()
    eventually("the process that no record knows is ended", lambda: not process_alive(pid))


def test_damaged_records_of_allocations_stop_nothing(cluster):
    a = cluster.one()
    a.register(shell_job("kept", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service", count=2))
    a.wait_status("kept", "running", count=2)
    pids = {r["task"][0] for r in a.run_records()}
    before = {x["ID"] for x in a.allocs("kept")}
    a.kill()
    for n, alloc in enumerate(sorted(before)):
        path = os.path.join(a.data, "client", "allocs", alloc, "record")
        with open(path, "r+b") as f:
            if n == 0:
                f.truncate(30)
            else:
                data = bytearray(f.read())
                data[len(data) // 2] ^= 0xFF
                f.seek(0)
                f.write(data)
    a.start()
    a.wait_status("kept", "running", count=2)
    time.sleep(0.5)
    check({x["ID"] for x in a.allocs("kept")} == before, "allocations were made anew")
    check(all(process_alive(p) for p in pids), "a process was ended because of its record")
    check({r["task"][0] for r in a.run_records()} == pids, "a task was started again")


def test_a_sigstopped_agent_costs_no_task_and_reports_what_ended_meanwhile(cluster):
    a = cluster.one()
    a.register(batch("ends", "sleep 0.5; exit 6"))
    a.wait_status("ends", "running")
    a.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    a.process.send_signal(signal.SIGCONT)
    alloc = a.wait_status("ends", "failed", count=1)[0]
    check([e["ExitCode"] for e in terminated(alloc)] == [6], str(alloc["TaskStates"]))
