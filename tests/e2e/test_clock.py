"""Clocks that are set while everything runs: of a leader, of a standby, of a client, forward and back. Nothing counts as late for it."""
import os
import subprocess
import time

from harness import ROOT, check, eventually, process_alive, shell_job
from test_replicas import leader, servers, write


def shim(cluster):
    path = os.path.join(cluster.dir, "clock.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", path, os.path.join(ROOT, "tests", "e2e", "clock_shim.c"), "-ldl"], check=True)
    return path


def with_clock(agent, path):
    """The agent's clock can be set."""
    agent.ahead = os.path.join(agent.dir, "ahead")
    agent.env.update(LD_PRELOAD=path, CLOCK_AHEAD=agent.ahead,
                     ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    return agent


def set_clock(agent, seconds):
    with open(agent.ahead + ".new", "w") as f:
        f.write("%d" % seconds)
    os.rename(agent.ahead + ".new", agent.ahead)


def test_clocks_that_are_set_make_nobody_late(cluster):
    path = shim(cluster)
    consul, agents = servers(cluster, n=2, prepare=lambda a: with_clock(a, path))
    client = with_clock(cluster.agent("c", server=False, servers=[a.address for a in agents], config=consul.agents[0].block()), path)
    client.start()
    boss = leader(agents)
    eventually("the node is ready", lambda: [n for n in boss.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    boss.register(shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service"))
    boss.wait_status("long", "running")
    pid = boss.pid_file("long")
    node = boss.get("/v1/nodes").json()[0]["ID"]
    jumps = [(boss, 3600), (client, 3600), (boss, -3600), (agents[0] if boss is agents[1] else agents[1], 7200), (client, -3600),
             (boss, 0)]
    for n, (agent, seconds) in enumerate(jumps):
        set_clock(agent, seconds)
        time.sleep(2)
        check(write(agents[n % 2], "job-%d" % n).status == 200, "not written")
        check(leader(agents) is boss, "the leader has changed")
    with open(boss.log) as f:
        text = f.read()
    check("the clock was set forward by 3600" in text and "the clock was set back by 7200" in text, "it was not noticed")
    time.sleep(6)
    events = boss.get("/v1/node/" + node).json()["Events"]
    check(len(events) == 1 and boss.get("/v1/nodes").json()[0]["Status"] == "ready", "the node was down: %s" % events)
    check(process_alive(pid) and boss.pid_file("long") == pid, "the task was touched")
    boss.register(shell_job("next", "true"))
    boss.wait_status("next", "complete")
