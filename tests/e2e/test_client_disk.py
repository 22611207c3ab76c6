"""The client and its disks: full, read-only, another one. File systems of their own in a mount of each test (needs root)."""
import os
import subprocess
import time

from harness import Failed, check, eventually, process_alive, shell_job

NO_RESTART = {"Attempts": 0, "Mode": "fail"}
NO_RESCHEDULE = {"Attempts": 0, "Unlimited": False}


def batch(name, script, count=1, **group):
    return shell_job(name, script, count=count, RestartPolicy=NO_RESTART, ReschedulePolicy=NO_RESCHEDULE, **group)


def run(*argv):
    r = subprocess.run(argv, capture_output=True, text=True)
    if r.returncode:
        raise Failed("%s: %s (this test mounts file systems, which needs root)" % (" ".join(argv), r.stderr))


def on_a_small_disk(cluster, size, story):
    """story(agent, folder) with an agent whose allocations live on a tmpfs of that size."""
    folder = os.path.join(cluster.dir, "small")
    os.mkdir(folder)
    run("mount", "-t", "tmpfs", "-o", "size=" + size, "drover-test", folder)
    try:
        cluster.client_options = 'alloc_dir = "%s/alloc"  gc_max_allocs = 1000  gc_disk_usage_threshold = 100  disk_total_mb = 10000' % folder
        a = cluster.one()
        story(a, folder)
    finally:
        for a in cluster.agents:
            a.kill()
        cluster.kill_tasks()
        time.sleep(0.3)
        subprocess.run(["umount", "-l", folder])


def last_event(alloc):
    return [e["DisplayMessage"] for e in alloc["TaskStates"]["main"]["Events"] if "Failure" in e["Type"]][-1]


def fill(path):
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                f.write(b"\0")
        except OSError:
            pass


def test_a_full_disk_fails_new_work_clearly_and_leaves_running_work_alone(cluster):
    def story(a, folder):
        a.register(shell_job("runs", 'echo $$ >"$NOMAD_TASK_DIR/pid"; while :; do printf "%01500d\\n" 0; sleep 0.02; done', kind="service",
                             task={"LogConfig": {"MaxFiles": 2, "MaxFileSizeMB": 1}}))
        a.wait_status("runs", "running")
        pid = int(a.pid_file("runs"))
        fill(folder + "/filler")
        # Folders still fit into a tmpfs that is full: what a task writes does not.
        a.register(batch("new", 'echo x >"$NOMAD_TASK_DIR/x" || exit 3'))
        alloc = a.wait_status("new", "failed")[0]
        ended = [e for e in alloc["TaskStates"]["main"]["Events"] if e["Type"] == "Terminated"]
        check(ended and ended[0]["ExitCode"] in (1, 2, 3), str(alloc["TaskStates"]))
        time.sleep(0.5)
        check(process_alive(pid), "the running task suffered")
        os.unlink(folder + "/filler")
        alloc = a.allocs("runs")[0]["ID"]
        text = eventually("the loss is counted in the log", lambda: next(
            (t for t in [a.logs(alloc, "main")] if "bytes of output were dropped here: No space left" in t), None))
        eventually("the log goes on", lambda: len(a.logs(alloc, "main")) > len(text) + 20)
        a.register(batch("after", 'echo x >"$NOMAD_TASK_DIR/x"'))
        a.wait_status("after", "complete")
    on_a_small_disk(cluster, "2m", story)


def test_no_inodes_left_is_a_clear_failure_that_is_tried_again(cluster):
    def story(a, folder):
        run("mount", "-o", "remount,nr_inodes=40", folder)
        names = []
        try:
            while True:
                names.append("%s/i%d" % (folder, len(names)))
                os.close(os.open(names[-1], os.O_CREAT | os.O_WRONLY))
        except OSError:
            pass
        a.register(shell_job("late", "true", RestartPolicy={"Attempts": 20, "Interval": 600 * 10**9, "Delay": 2 * 10**8,
                                                            "Mode": "fail"}))
        alloc = eventually("it says why", lambda: next(
            (x for x in a.allocs("late") if x["TaskStates"] and "No space left" in str(x["TaskStates"])), None))
        for name in names[:-1]:
            os.unlink(name)
        run("mount", "-o", "remount,nr_inodes=0", folder)
        if alloc["ClientStatus"] != "failed":
            a.wait_status("late", "complete")
    on_a_small_disk(cluster, "2m", story)


def test_a_read_only_disk_fails_new_work_clearly_and_the_client_goes_on_when_it_can_write(cluster):
    def story(a, folder):
        a.register(shell_job("runs", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000 >/dev/null 2>&1', kind="service"))
        a.wait_status("runs", "running")
        pid = int(a.pid_file("runs"))
        # Open log files forbid the remount, so what holds them is bound elsewhere read-only.
        run("mount", "--bind", folder, folder)
        run("mount", "-o", "remount,bind,ro", folder)
        try:
            a.register(batch("new", "true"))
            alloc = a.wait_status("new", "failed")[0]
            check("Read-only file system" in last_event(alloc), str(alloc["TaskStates"]))
            check(process_alive(pid), "the running task suffered")
        finally:
            run("umount", folder)
        a.register(batch("after", "true"))
        a.wait_status("after", "complete")
        a.wait_status("runs", "running", count=1)
    on_a_small_disk(cluster, "8m", story)


def test_a_client_that_cannot_write_at_its_start_says_so_and_ends(cluster):
    a = cluster.agent()
    os.makedirs(a.data)
    run("mount", "-t", "tmpfs", "-o", "ro", "drover-test", a.data)
    try:
        a.start(wait=False)
        code = a.process.wait(30)
        check(code == 1 and "Read-only file system" in a.tail() and a.data in a.tail(), "exit %d: %s" % (code, a.tail()))
    finally:
        run("umount", a.data)


def test_another_data_folder_is_another_node_and_touches_nothing_of_the_first(cluster):
    a = cluster.one()
    a.register(shell_job("kept", 'echo $$ >"$NOMAD_TASK_DIR/pid"; exec sleep 1000', kind="service"))
    a.wait_status("kept", "running")
    pid = int(a.pid_file("kept"))
    node = a.get("/v1/nodes").json()[0]["ID"]
    a.kill(15)
    first = a.data
    with open(a.conf) as f:
        text = f.read()
    with open(a.conf, "w") as f:
        f.write(text.replace(first, first + "-2"))
    a.data = first + "-2"
    a.start()
    other = eventually("another node is ready", lambda: [n for n in a.get("/v1/nodes").json() or [] if n["Status"] == "ready"])[0]
    check(other["ID"] != node, "it is the same node")
    a.register(batch("new", "true"))
    a.wait_status("new", "complete")
    check(process_alive(pid), "the task of the first was ended")
    a.kill(15)
    with open(a.conf, "w") as f:
        f.write(text)
    a.data = first
    a.start()
    a.wait_status("kept", "running", count=1)
    check(int(a.pid_file("kept")) == pid and process_alive(pid), "the task was started again")
