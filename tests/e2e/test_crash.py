"""What must hold when things are killed, torn and full."""
import glob
import os
import signal
import time

from harness import DROVER, Failed, check, eventually, process_alive, shell_job


def test_kill_9_of_the_agent_leaves_tasks_alone_and_loses_nothing(cluster):
    a = cluster.one()
    a.register(shell_job("runs", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service"))
    a.register(shell_job("ends", "sleep 1; exit 0", count=3))
    a.register(shell_job("bad", "sleep 1; exit 7", RestartPolicy={"Attempts": 0, "Mode": "fail"},
                         ReschedulePolicy={"Attempts": 0}))
    a.wait_status("runs", "running")
    pid = int(a.pid_file("runs"))
    before = {x["ID"] for j in ("runs", "ends", "bad") for x in a.allocs(j)}
    a.kill()
    time.sleep(1.5)  # the short ones end while nobody looks
    check(process_alive(pid), "the task died with its agent")
    a.start()
    a.wait_status("ends", "complete", count=3)
    bad = a.wait_status("bad", "failed", count=1)[0]
    ended = [e for e in bad["TaskStates"]["main"]["Events"] if e["Type"] == "Terminated"]
    check([e["ExitCode"] for e in ended] == [7], str(bad["TaskStates"]))
    a.wait_status("runs", "running")
    check(process_alive(pid) and int(a.pid_file("runs")) == pid, "the task was restarted")
    after = {x["ID"] for j in ("runs", "ends", "bad") for x in a.allocs(j)}
    check(before == after, "allocations were made anew: %s" % (after - before))


def test_every_acknowledged_registration_survives_kill_9_under_load(cluster):
    a = cluster.one()
    import threading
    acked, stop = [], threading.Event()

    def load(worker):
        n = 0
        while not stop.is_set():
            job = shell_job("load-%d-%d" % (worker, n), "true", kind="batch", count=0)
            try:
                if a.put("/v1/jobs", {"Job": job}).status == 200:
                    acked.append(job["ID"])
            except OSError:
                return
            n += 1
    threads = [threading.Thread(target=load, args=(w,)) for w in range(8)]
    for t in threads:
        t.start()
    for _ in range(3):
        time.sleep(0.4)
    a.kill()
    stop.set()
    for t in threads:
        t.join()
    a.start()
    there = {j["ID"] for j in a.get("/v1/jobs").json()}
    missing = set(acked) - there
    check(acked and not missing, "%d of %d acknowledged jobs are gone" % (len(missing), len(acked)))


def test_the_agent_can_be_killed_again_and_again(cluster):
    a = cluster.one()
    a.register(shell_job("steady", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service"))
    a.wait_status("steady", "running")
    pid = int(a.pid_file("steady"))
    for n in range(6):
        a.register(shell_job("short-%d" % n, "exit 0", count=2))
        time.sleep(0.05 * n)
        a.kill()
        a.start()
    for n in range(6):
        a.wait_status("short-%d" % n, "complete", count=2)
    a.wait_status("steady", "running", count=1)
    check(process_alive(pid), "the steady task was restarted")


def segments(agent):
    return sorted(glob.glob(os.path.join(agent.data, "server", "journal", "segment-*")))


HEADER, FRAME = 44, 20  # bytes before the first frame, and before each frame's payload: sched/journal.h


def last_entry(path):
    """Offset of the last frame, end of the frames, and the file."""
    with open(path, "rb") as f:
        data = f.read()
    at, last = HEADER, None
    while at + FRAME <= len(data):
        length = int.from_bytes(data[at:at + 4], "little")
        if not length:
            break
        last, at = at, at + FRAME + length
    check(last and at <= len(data), "the frames of %s do not end within it" % path)
    return last, at, data


def test_a_torn_journal_tail_is_cut_and_reported(cluster):
    a = cluster.one()
    a.register(shell_job("kept", "true", count=0))
    eventually("quiet", lambda: a.get("/v1/job/kept").status == 200)
    a.kill()
    path = segments(a)[-1]
    last, end, data = last_entry(path)
    with open(path, "r+b") as f:
        f.seek(last + FRAME)
        f.write(b"\0" * (end - last - FRAME))
    a.start()
    check("torn" in a.tail(200), a.tail(200))
    check(a.get("/v1/job/kept").status in (200, 404), "it does not answer")


def test_damage_in_the_middle_is_refused_and_verify_names_the_place(cluster):
    a = cluster.one()
    for n in range(20):
        a.register(shell_job("job-%d" % n, "true", count=0))
    a.kill()
    path = segments(a)[-1]
    with open(path, "r+b") as f:
        f.seek(HEADER + FRAME + 3)
        byte = f.read(1)
        f.seek(HEADER + FRAME + 3)
        f.write(bytes([byte[0] ^ 0xFF]))
    a.start(wait=False)
    code = a.process.wait(30)
    check(code == 1 and os.path.basename(path) in a.tail(), "exit %d: %s" % (code, a.tail()))
    out, err = a.cli("operator", "journal", "verify", a.data, expect=1)
    check(os.path.basename(path) in out + err and "44" in out + err, out + err)


def test_a_full_disk_refuses_writes_and_the_server_goes_on_when_there_is_room(cluster):
    import subprocess
    cluster.server_options = "journal_segment_size = 262144"
    a = cluster.agent()
    os.makedirs(a.data, mode=0o700)
    journal = os.path.join(a.data, "server")
    os.makedirs(journal, mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "drover-e2e", journal]).returncode:
        raise Failed("this test needs the right to mount a tmpfs (run it as root)")
    try:
        a.start()
        acked, refused = [], None
        for n in range(3000):
            job = shell_job("fill-%d" % n, "true", count=0, Meta={"pad": "x" * 8000})
            answer = a.put("/v1/jobs", {"Job": job})
            if answer.status != 200:
                refused = answer
                break
            acked.append(job["ID"])
        check(refused is not None, "4 MiB took %d jobs of 8 KB" % len(acked))
        check(refused.status == 500 and "space" in refused.text.lower(), "%d %s" % (refused.status, refused.text))
        check(a.get("/v1/jobs").status == 200, "reads stopped")
        r = a.get("/v1/agent/health?type=server")
        check(r.status == 500 and "no room" in r.json()["server"]["message"], "%d %s" % (r.status, r.text))
        subprocess.run(["mount", "-o", "remount,size=64m", journal], check=True)
        check(a.get("/v1/agent/health?type=server").status == 200, "there is room again")
        eventually("writes go on", lambda: a.put("/v1/jobs", {"Job": shell_job("after", "true", count=0)}).status == 200)
        a.kill()
        a.start()
        there = {j["ID"] for j in a.get("/v1/jobs").json()}
        check(set(acked) <= there and "after" in there, "lost: %s" % (set(acked) - there))
    finally:
        a.kill()
        cluster.kill_tasks()
        subprocess.run(["umount", journal])


def test_a_second_agent_on_the_same_folder_is_refused(cluster):
    import subprocess
    a = cluster.one()
    r = subprocess.run([DROVER, "agent", "-config", a.conf], capture_output=True, text=True, timeout=30, env=a.env)
    check(r.returncode == 1 and a.data in r.stdout + r.stderr, "exit %d: %s%s" % (r.returncode, r.stdout, r.stderr))
    check(a.get("/v1/agent/health").status == 200, "the first one suffered")


def test_sigterm_stops_the_agent_and_not_the_tasks(cluster):
    a = cluster.one()
    a.register(shell_job("stay", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service"))
    a.wait_status("stay", "running")
    pid = int(a.pid_file("stay"))
    a.kill(signal.SIGTERM)
    check(process_alive(pid), "the task died with the agent")
    a.start()
    a.wait_status("stay", "running", count=1)
    check(process_alive(pid), "the task was restarted")


def test_a_killed_keeper_is_noticed_and_the_task_does_not_run_twice(cluster):
    a = cluster.one()
    a.register(shell_job("k", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service",
                         RestartPolicy={"Attempts": 3, "Interval": 600 * 10**9, "Delay": 10**8, "Mode": "fail"}))
    a.wait_status("k", "running")
    pid = int(a.pid_file("k"))
    os.kill(a.run_records()[0]["keeper"], signal.SIGKILL)
    eventually("the old task is ended", lambda: not process_alive(pid))
    eventually("a new one runs", lambda: int(a.pid_file("k")) != pid and process_alive(a.pid_file("k")))


def test_a_node_whose_agent_is_gone_is_shown_down_and_its_work_goes_elsewhere(cluster):
    cluster.server_options = 'heartbeat_grace = "1s"  min_heartbeat_ttl = "1s"'
    a = cluster.one()
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    eventually("two nodes", lambda: len([n for n in a.get("/v1/nodes").json() if n["Status"] == "ready"]) == 2)
    a.register(shell_job("pair", "exec sleep 1000", kind="service", count=2,
                         Constraints=[{"Operand": "distinct_hosts", "RTarget": "true"}]))
    a.wait_status("pair", "running", count=2)
    b.kill()
    eventually("the node is down", lambda: "down" in a.cli("node", "status")[0])
    eventually("its allocation is lost", lambda: [x for x in a.allocs("pair") if x["ClientStatus"] == "lost"])
    eventually("the missing one has a reason", lambda: "node" in a.cli("why", "pair")[0])
    b.start()
    eventually("it is active again", lambda: a.cli("node", "status")[0].count("active") == 2)


def test_an_agent_that_keeps_nothing_takes_its_tasks_along(cluster):
    import subprocess
    a = cluster.agent()
    a.env["TMPDIR"] = cluster.dir
    with open(a.log, "ab") as log:
        a.process = subprocess.Popen([DROVER, "agent", "-dev", "-http-port", str(a.port)], stdout=log, stderr=log, env=a.env)
    eventually("the agent answers", a.alive)
    a.register(shell_job("goes", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service", count=2))
    a.wait_status("goes", "running", count=2)
    pid = int(a.pid_file("goes"))
    a.kill(signal.SIGTERM)
    check(not process_alive(pid), "the task lives on without a folder")
    check("requesting shutdown" in a.tail(), a.tail())
