"""Taking nodes away for real: builds end, services move, what is no longer to go takes work again."""
import json
import os
import signal
import subprocess

from harness import DROVER, check, eventually, shell_job
from test_replicas import leader, servers


def fleet(cluster, n=3):
    a = cluster.one()
    for i in range(1, n):
        cluster.agent("node-%d" % i, server=False, servers=[a.address]).start()
    eventually("%d nodes" % n, lambda: len([x for x in a.get("/v1/nodes").json() if x["Status"] == "ready"]) == n)
    return a


def nodes(agent):
    return {n["Name"]: n for n in agent.get("/v1/nodes").json()}


def build(agent, cluster, name, node):
    """A batch job on that node that ends well when its file is there."""
    job = shell_job(name, "while [ ! -e %s/%s ]; do sleep 0.05; done" % (cluster.dir, name))
    job["Constraints"] = [{"LTarget": "${node.unique.name}", "Operand": "=", "RTarget": node}]
    agent.register(job)
    agent.wait_status(name, "running")


def finish(cluster, name):
    open(os.path.join(cluster.dir, name), "w").close()


def scale_in(agent, *flags):
    return subprocess.Popen([DROVER, "node", "scale-in", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(agent.env, DROVER_ADDR=agent.url))


def test_nodes_go_when_their_builds_have_ended(cluster):
    a = fleet(cluster)
    build(a, cluster, "first", "one")
    build(a, cluster, "second", "node-1")
    before = nodes(a)
    p = scale_in(a, "-count", "2", "-yes", "-m", "less to do")
    lines = [p.stdout.readline() for _ in range(4)]
    check("1 of 2 nodes drain" in lines[0] or "2 of 2 nodes drain" in lines[0], str(lines))
    text = "".join(lines)
    eventually("the idle one is free", lambda: nodes(a)["node-2"]["LastDrain"] and nodes(a)["node-2"]["LastDrain"]["Status"] == "complete")
    op = a.get("/v1/nodes/scale-in").json()[0]
    check(op["Status"] == "running" and op["Free"] == 1 and op["Draining"] == 1, str(op))
    waiting = next(n for n in op["Nodes"] if n["Status"] == "draining")
    check(waiting["Cost"] == "batch" and waiting["Allocations"] == 1 and waiting["TimeLeft"] > 0, str(waiting))
    drain = a.get("/v1/node/%s" % waiting["NodeID"]).json()["LastDrain"]
    check(drain["Meta"]["scale-in"] == op["ID"] and drain["Meta"]["message"] == "less to do" and "@" in drain["Meta"]["set_by"], str(drain))
    out = a.cli("node", "scale-in", "-list")[0]
    check("running" in out and op["ID"][:8] in out, out)
    out = a.cli("node", "scale-in", "-list", "-id", op["ID"][:8])[0]
    check("batch work for about" in out and "node-2" in out and "free" in out, out)
    name = "first" if waiting["Name"] == "one" else "second"
    finish(cluster, name)
    text += p.communicate(timeout=30)[0]
    check(p.returncode == 0, text)
    check('(node-2) is free' in text and '(%s) is free' % waiting["Name"] in text and "Scale-in complete: 2 nodes are free" in text, text)
    alloc = a.allocs(name)[0]
    check(alloc["ClientStatus"] == "complete" and len(a.allocs(name)) == 1, "the build was not left to finish")
    rest = [n for n in nodes(a).values() if n["SchedulingEligibility"] == "eligible"]
    check(len(rest) == 1 and rest[0]["ID"] in [n["ID"] for n in before.values()], "one node goes on")
    _, err = a.cli("node", "scale-in", "-count", "3", "-id", op["ID"], "-yes", expect=1)
    check("is complete: ask for more without -id" in err, err)
    check(json.loads(a.cli("node", "scale-in", "-list", "-json")[0])[0]["Status"] == "complete", "-list -json")


def test_what_is_no_longer_to_go_takes_work_again(cluster):
    a = fleet(cluster)
    for name, node in (("x", "one"), ("y", "node-1"), ("z", "node-2")):
        build(a, cluster, name, node)
    # Asked first, and told which ones.
    out, _ = a.cli("node", "scale-in", "-count", "2", input="n\n")
    check(out.count("would go") == 2 and "Canceling scale-in" in out and not a.get("/v1/nodes/scale-in").json(), out)
    a.cli("node", "scale-in", "-count", "3", "-yes", "-detach")
    watcher = scale_in(a, "-monitor")
    eventually("three drain", lambda: len([n for n in nodes(a).values() if n["Drain"]]) == 3)
    # Lower: one comes back. A build that ends on it frees it earlier than those that wait, and it goes for one of them.
    a.cli("node", "scale-in", "-count", "2", "-yes", "-detach")
    back = next(n for n in nodes(a).values() if not n["Drain"])
    check(back["SchedulingEligibility"] == "eligible", str(back))
    finish(cluster, {"one": "x", "node-1": "y", "node-2": "z"}[back["Name"]])
    eventually("it went for another one", lambda: len([n for n in nodes(a).values() if n["Drain"]]) == 1)
    check(nodes(a)[back["Name"]]["SchedulingEligibility"] == "ineligible", "the idle one has gone")
    out = a.cli("node", "scale-in", "-cancel")[0]
    check("canceled: 1 node is free" in out, out)
    text = watcher.communicate(timeout=30)[0]
    check(watcher.returncode == 1 and "stays: it takes work again" in text and "Scale-in canceled: 1 node is free" in text, text)
    check(len([n for n in nodes(a).values() if n["SchedulingEligibility"] == "eligible"]) == 2, "two take work")
    running = [s for job in "xyz" for s in [x["ClientStatus"] for x in a.allocs(job)]]
    check(sorted(running) == ["complete", "running", "running"], "no build was lost: %s" % running)


def test_an_operation_goes_on_after_its_servers_were_killed(cluster):
    a = fleet(cluster)
    build(a, cluster, "x", "node-1")
    build(a, cluster, "y", "node-2")
    a.cli("node", "scale-in", "-count", "2", "-filter", 'Name contains "node-"', "-no-deadline", "-yes", "-detach")
    a.kill(signal.SIGKILL)
    a.start()
    op = a.get("/v1/nodes/scale-in").json()[0]
    check(op["Draining"] == 2 and op["ForceDeadline"] is None, str(op))
    check({n["Name"] for n in op["Nodes"]} == {"node-1", "node-2"}, str(op))
    finish(cluster, "x")
    finish(cluster, "y")
    eventually("both are free", lambda: a.get("/v1/nodes/scale-in/" + op["ID"]).json()["Status"] == "complete")


def test_what_cannot_be_is_said(cluster):
    a = cluster.one()
    cases = [
        (["-count", "2", "-yes"], "2 more nodes are asked to go, and 1 can: active, eligible, not draining"),
        (["-count", "1", "-class", "gpu", "-yes"], "and 0 can: active, eligible, not draining, of class gpu"),
        (["-count", "1", "-filter", "Nme == x", "-yes"], "failed to read filter expression"),
        (["-count", "0", "-yes"], "Count is 0: expected a number of nodes from 1 to 1000"),
        ([], "One of -count, -monitor, -list and -cancel must be given"),
        (["-cancel", "-deadline", "1h"], "Flags that say how nodes are drained go with -count"),
        (["-cancel"], "No operation runs"),
        (["-cancel", "-id", "abcd"], 'No operation with prefix or id "abcd" found'),
    ]
    for words, sentence in cases:
        _, err = a.cli("node", "scale-in", *words, expect=1)
        check(sentence in err, "%s: %s" % (words, err))
    check(a.get("/v1/nodes/scale-in/11111111-1111-1111-1111-111111111111").status == 404, "an unknown one")
    check(a.cli("node", "scale-in", "-list")[0] == "No nodes were taken away\n", "-list")


def test_another_leader_goes_on_with_it(cluster):
    c, agents = servers(cluster, n=2)
    for i in range(3):
        cluster.agent("node-%d" % i, server=False, config=c.agents[0].block()).start()
    boss = leader(agents)
    eventually("three nodes", lambda: len([n for n in boss.get("/v1/nodes").json() if n["Status"] == "ready"]) == 3)
    for name, node in (("x", "node-0"), ("y", "node-1"), ("z", "node-2")):
        build(boss, cluster, name, node)
    boss.cli("node", "scale-in", "-count", "1", "-yes", "-detach")
    boss.kill(signal.SIGKILL)
    other = next(a for a in agents if a is not boss)
    op = eventually("another leads and knows it", lambda: leader([other]) and other.get("/v1/nodes/scale-in").json())[0]
    check(op["Status"] == "running" and op["Draining"] == 1, str(op))
    # One that it did not choose becomes idle, and goes in its place.
    name = "x" if op["Nodes"][0]["Name"] != "node-0" else "y"
    finish(cluster, name)
    done = eventually("one is free", lambda: [o for o in other.get("/v1/nodes/scale-in").json() if o["Status"] == "complete"])[0]
    check([n["Name"] for n in done["Nodes"]] == ["node-0" if name == "x" else "node-1"], str(done))
    check(sorted(n["SchedulingEligibility"] for n in other.get("/v1/nodes").json()) == ["eligible", "eligible", "ineligible"], "two stay")
