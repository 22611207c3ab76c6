"""Leaders that lose Consul, the lock, or what they have written there, while everything else goes on."""
import time

from harness import check, eventually, process_alive, shell_job
from test_replicas import leader, write


def servers_with_agents(cluster, options=""):
    """Three servers, each with a Consul client agent of its own; returns (consul, servers)."""
    consul = cluster.consul(servers=1, clients=3)
    cluster.server_options = "bootstrap_expect = 3 " + options
    agents = [cluster.agent("s%d" % i, client=False, journal="consul",
                            config='consul { address = "%s" }' % consul.clients[i].address) for i in range(3)]
    for a in agents:
        a.start(wait=False)
    return consul, agents


def start_node(cluster, servers):
    """A node that talks to the first of these servers, with a task; returns its agent."""
    node = cluster.agent("node", server=False, servers=[a.address for a in servers])
    node.start(wait=False)
    eventually("the node is ready", lambda: [n for n in servers[0].get("/v1/nodes").json() if n["Status"] == "ready"])
    servers[0].register(shell_job("long", "exec sleep 1000", kind="service"))
    servers[0].wait_status("long", "running")
    return node


def started(agent):
    return [(a["ID"], a["TaskStates"]["main"]["StartedAt"], a["ClientStatus"]) for a in agent.allocs("long")]


def test_a_leader_whose_consul_agent_stands_still_sends_nodes_to_who_leads_now(cluster):
    consul, agents = servers_with_agents(cluster, "failover_heartbeat_ttl = \"25s\"")
    boss = leader(agents)
    others = [a for a in agents if a is not boss]
    start_node(cluster, [boss] + others)
    before = started(boss)
    beside = consul.clients[agents.index(boss)]
    beside.kill(19)
    new = leader(others)
    taken = time.monotonic()
    check(write(new, "meanwhile").status == 200, "not written")
    r = eventually("the old leader sends away who asks", lambda: (lambda r: r if r.status == 503 else None)(boss.get("/v1/jobs", timeout=30)))
    check("still leads" in r.text, r.text)
    time.sleep(max(0, 45 - (time.monotonic() - taken)))  # the new leader has called down by now whom it did not hear
    nodes = new.get("/v1/nodes").json()
    check([n["Status"] for n in nodes] == ["ready"], "the node is not ready: %s" % nodes)
    check(started(new) == before, "the task was touched: %s, before %s" % (started(new), before))
    beside.kill(18)
    eventually("the old leader follows", lambda: boss.get("/v1/internal/server").json()["State"] == "following")
    check({j["ID"] for j in boss.get("/v1/jobs").json()} == {"long", "meanwhile"}, "jobs differ")


def test_a_log_that_somebody_deletes_is_put_back_with_everything_in_it(cluster):
    consul, agents = servers_with_agents(cluster)
    boss = leader(agents)
    others = [a for a in agents if a is not boss]
    start_node(cluster, agents)
    before = started(boss)
    consul.servers[0].delete("/v1/kv/drover/global?recurse")
    eventually("a write is accepted", lambda: write(others[0], "after").status == 200)
    for a in agents:
        check({j["ID"] for j in a.get("/v1/jobs").json()} == {"long", "after"}, "%s has lost jobs" % a.name)
    # Nobody is there who could put it back but followers.
    boss = leader(agents)
    others = [a for a in agents if a is not boss]
    boss.kill()
    consul.servers[0].delete("/v1/kv/drover/global?recurse")
    new = leader(others)
    eventually("a write is accepted again", lambda: write(new, "last").status == 200)
    check({j["ID"] for j in new.get("/v1/jobs").json()} == {"long", "after", "last"}, "jobs were lost")
    boss.start(wait=False)
    eventually("who starts anew reads all of it",
               lambda: boss.alive() and {j["ID"] for j in boss.get("/v1/jobs?stale").json()} == {"long", "after", "last"})
    check(started(new) == before, "the task was touched: %s, before %s" % (started(new), before))


def test_a_server_that_starts_while_the_log_is_gone_waits_for_who_has_read_it(cluster):
    consul, agents = servers_with_agents(cluster)
    boss = leader(agents)
    check(write(boss, "kept").status == 200, "not written")
    fresh, standing, third = [a for a in agents if a is not boss] + [boss]
    eventually("all have read it", lambda: all(len(a.get("/v1/jobs?stale").json()) == 1 for a in agents))
    for a in agents:
        a.process.send_signal(19)
    time.sleep(4)  # no session is left
    consul.servers[0].delete("/v1/kv/drover/global?recurse")
    fresh.kill()
    fresh.start(wait=False)
    time.sleep(2)
    third.process.send_signal(18)
    standing.process.send_signal(18)
    eventually("a server leads", lambda: write(fresh, "more").status == 200)
    check({j["ID"] for j in fresh.get("/v1/jobs").json()} == {"kept", "more"}, "jobs were lost: %s" % fresh.get("/v1/jobs").text)


def lock(consul):
    return consul.servers[0].get("/v1/kv/drover/global/lock?raw").json()


def test_what_an_older_release_beside_this_one_cannot_read_is_not_written(cluster):
    consul = cluster.consul()
    consul.servers[0].put("/v1/agent/service/register", {
        "ID": "older", "Name": "drover", "Address": "127.0.0.1", "Port": 1, "Meta": {
            "external-source": "drover", "drover-region": "global", "drover-log": "drover/global", "drover-feature": "0",
            "drover-agent": "older", "drover-owner": "older"}})
    one = cluster.agent("one", client=False, journal="consul", config='consul { address = "%s" }' % consul.servers[0].address)
    one.start(wait=False)
    leader([one])
    check(write(one, "a").status == 200, "not written")
    check(lock(consul)["Feature"] == 0, "the level is not the older one's: %s" % lock(consul))
    consul.servers[0].put("/v1/agent/service/deregister/older")
    time.sleep(1)
    one.kill(15)
    one.start(wait=False)
    leader([one])
    check(write(one, "b").status == 200, "not written")
    check(lock(consul)["Feature"] == 1, "the level was not raised: %s" % lock(consul))


def newer_log(consul):
    r = consul.servers[0].put("/v1/kv/drover/global/lock", {"Format": 9, "Feature": 9, "Seq": 3, "Index": 3, "ID": "x"})
    check(r.status == 200, r.text)


def test_a_server_that_meets_a_log_of_a_newer_format_stops_and_says_so(cluster):
    consul = cluster.consul()
    newer_log(consul)
    one = cluster.agent("one", client=False, journal="consul", config='consul { address = "%s" }' % consul.servers[0].address)
    one.start(wait=False)
    eventually("it ends", lambda: one.process.poll() is not None)
    check(one.process.returncode == 3, "it ended with %s:\n%s" % (one.process.returncode, one.tail()))
    check("format 9" in one.tail() and "newer release" in one.tail(), one.tail())
    check(consul.servers[0].get("/v1/kv/drover/global/log?keys").status == 404, "it has written to the log")


def test_a_newer_format_ends_the_server_role_alone_where_there_is_a_client_role_too(cluster):
    consul = cluster.consul()
    cluster.server_options = ""
    one = cluster.agent("one", journal="consul", config='consul { address = "%s" }' % consul.servers[0].address)
    one.start(wait=False)
    leader([one])
    one.register(shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service"))
    one.wait_status("long", "running")
    pid = one.pid_file("long")
    newer_log(consul)

    def refused():
        r = one.get("/v1/jobs", timeout=20)
        return r.status == 503 and "format 9" in r.text
    eventually("it refuses with the reason", refused)
    check(one.process.poll() is None and process_alive(pid), "agent or task ended")
    health = one.get("/v1/agent/health").json()
    check("format 9" in health["server"]["message"], str(health))
