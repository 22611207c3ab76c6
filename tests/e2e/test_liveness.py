"""Who is alive: machines that die, agents that die beside living tasks, servers that stand still, two machines with one id."""
import os
import shutil
import signal
import subprocess
import sys
import time

from harness import ROOT, check, eventually, lasts, process_alive, shell_job

# What Consul ships with; the tests' own is faster.
SHIPPED = {"gossip_lan": {"probe_interval": "1s", "probe_timeout": "500ms", "gossip_interval": "200ms"}}


def nodes(server):
    return {n["Name"]: n for n in server.get("/v1/nodes").json() or []}


def events(server, name):
    return [e["Message"] for e in server.get("/v1/node/" + nodes(server)[name]["ID"]).json()["Events"]]


def fleet(cluster, clients=2, **consul):
    """A server, and clients each with a Consul agent of its own; all nodes are ready and known to Consul."""
    c = cluster.consul(clients=clients, **consul)
    server = cluster.agent("server", client=False, config=c.servers[0].block()).start()
    agents = [cluster.agent("c%d" % i, server=False, config=c.clients[i].block()).start() for i in range(clients)]
    eventually("all are ready", lambda: [n["Status"] for n in nodes(server).values()] == ["ready"] * clients)
    for n in nodes(server).values():
        eventually("the machine of %s is known" % n["Name"], lambda: server.get("/v1/node/" + n["ID"]).json()["Attributes"].get("unique.consul.name"))
    return c, server, agents


def machine_of(server, agents, job):
    """Number of the agent that has the job's allocation."""
    name = {n["ID"]: n["Name"] for n in nodes(server).values()}[server.wait_status(job, "running")[0]["NodeID"]]
    return [a.name for a in agents].index(name)


def test_what_ran_on_a_machine_that_died_runs_elsewhere_within_8_seconds(cluster):
    consul, server, agents = fleet(cluster, config=SHIPPED)
    server.register(shell_job("web", "exec sleep 1000", kind="service"))
    dead = machine_of(server, agents, "web")
    other = nodes(server)["c%d" % (1 - dead)]["ID"]
    agents[dead].kill()
    consul.clients[dead].kill()
    killed = time.monotonic()
    eventually("it runs elsewhere", lambda: [a for a in server.allocs("web") if a["NodeID"] == other and a["ClientStatus"] == "running"])
    took = time.monotonic() - killed
    print("       %.1f s from the death of a machine to the replacement that runs" % took)
    check(took <= 8, "it took %.1f s: %s" % (took, events(server, "c%d" % dead)))
    check("Consul sees its machine dead, it does not answer at its address" in events(server, "c%d" % dead)[-1], str(events(server, "c%d" % dead)))


@lasts(40)
def test_a_server_that_is_cut_off_with_its_consul_condemns_nobody_and_a_client_that_is_cut_off_is_replaced(cluster):
    r = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "e2e", "run_cut.py"), "20"], text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=200)
    check(r.returncode == 0, r.stdout)
    print("".join("       %s\n" % line for line in r.stdout.splitlines()), end="")


def test_an_agent_that_is_killed_beside_its_tasks_is_back_within_its_grace_and_nothing_restarts(cluster):
    cluster.server_options = 'min_heartbeat_ttl = "2s"  heartbeat_grace = "1s"  witness_grace = "1m"'
    _, server, agents = fleet(cluster)
    server.register(shell_job("web", "echo $$ >local/pid; exec sleep 1000", kind="service"))
    at = machine_of(server, agents, "web")
    pid = eventually("it says its pid", lambda: server.pid_file("web"))
    agents[at].kill()
    killed = time.monotonic()
    eventually("the witnesses were asked", lambda: "Witnesses asked" in str(events(server, agents[at].name)))
    while time.monotonic() - killed < 8:  # its TTL is of at most 4 s, and the grace of one
        check(nodes(server)[agents[at].name]["Status"] == "ready", str(events(server, agents[at].name)))
        time.sleep(0.2)
    agents[at].start()
    eventually("it is heard again", lambda: events(server, agents[at].name)[-1] == "Node is heard again")
    told = events(server, agents[at].name)
    check(any("Consul sees its machine alive, it does not answer at its address: it has until" in e for e in told), str(told))
    check(not any("down" in e for e in told), str(told))
    allocs = server.wait_status("web", "running", count=1)
    check(process_alive(pid) and server.pid_file("web") == pid, "the task was restarted")
    check(allocs[0]["TaskStates"]["main"]["Restarts"] == 0, str(allocs[0]["TaskStates"]))
    time.sleep(5)
    check(nodes(server)[agents[at].name]["Status"] == "ready" and len(server.allocs("web")) == 1, str(server.allocs("web")))


def test_without_consul_a_node_that_stands_still_is_down_after_its_ttl_and_grace(cluster):
    cluster.server_options = 'min_heartbeat_ttl = "2s"  heartbeat_grace = "1s"'
    server = cluster.agent("server", client=False).start()
    client = cluster.agent("c0", server=False, servers=[server.address]).start()
    eventually("it is ready", lambda: nodes(server).get("c0", {}).get("Status") == "ready")
    client.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    eventually("it is down", lambda: nodes(server)["c0"]["Status"] == "down")
    took = time.monotonic() - stopped
    check(1.5 < took < 8, "it took %.1f s" % took)  # the last heartbeat came before the stop
    told = events(server, "c0")
    check(told[1:3] == ["Node heartbeat missed", "Witnesses asked: its heartbeat is late"], str(told))
    check(told[3] == "Node down: no heartbeat, Consul knows nothing of its machine, it does not answer at its address", str(told))
    client.process.send_signal(signal.SIGCONT)
    eventually("it is back", lambda: nodes(server)["c0"]["Status"] == "ready")


def test_a_server_that_was_away_condemns_nobody_and_waits_no_minutes(cluster):
    cluster.server_options = 'min_heartbeat_ttl = "2s"  heartbeat_grace = "1s"'
    server = cluster.agent("server", client=False).start()
    clients = [cluster.agent("c%d" % i, server=False, servers=[server.address]).start() for i in range(2)]
    eventually("both are ready", lambda: [n["Status"] for n in nodes(server).values()] == ["ready"] * 2)
    server.kill()
    clients[1].kill()
    time.sleep(12)  # longer than TTL and grace
    own, err = clients[0].cli("node", "status", "-self", expect=1)
    check("Last Heartbeat = 1" in own and "Trouble        = waiting for the servers" in own, own + err)
    server.start()
    began = time.monotonic()
    eventually("the one that died is down", lambda: nodes(server)["c1"]["Status"] == "down", deadline=60)
    took = time.monotonic() - began
    check(took < 30, "it took %.1f s" % took)
    check(nodes(server)["c0"]["Status"] == "ready" and events(server, "c0") == ["Node registered"], str(events(server, "c0")))


def test_a_second_machine_with_the_id_of_a_node_is_refused_and_told_what_to_do(cluster):
    server = cluster.agent("server", client=False).start()
    first = cluster.agent("first", server=False, servers=[server.address]).start()
    eventually("it is ready", lambda: nodes(server).get("first", {}).get("Status") == "ready")
    copy = cluster.agent("copy", server=False, servers=[server.address])
    os.makedirs(os.path.join(copy.data, "client"))
    shutil.copy(os.path.join(first.data, "client", "node"), os.path.join(copy.data, "client", "node"))
    copy.start(wait=False)
    eventually("the node's events tell it", lambda: "Registration from %s refused" % copy.address in events(server, "first")[-1])
    eventually("the copy's log tells it", lambda: "two machines have one id" in copy.tail())
    check(first.address in copy.tail() and copy.address in copy.tail(), copy.tail())
    check(list(nodes(server)) == ["first"] and nodes(server)["first"]["Status"] == "ready", str(nodes(server)))
    copy.kill()
    os.unlink(os.path.join(copy.data, "client", "node"))
    copy.start()
    eventually("both are nodes", lambda: sorted(nodes(server)) == ["copy", "first"])
