"""How clients find their servers, and servers each other: every source by itself, all of them late, and servers that hang,
go away or are replaced."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import consul as real
from harness import Failed, check, eventually, lasts, process_alive, shell_job
from test_replicas import leader, servers
from test_tls import World

NOWHERE = "127.0.0.1:9"  # nobody listens there


def view(agent, timeout=5):
    """What the agent says of its client's servers; None while it does not answer."""
    try:
        return agent.get("/v1/client/servers", timeout=timeout).json()
    except OSError:
        return None


def joined(agent, *addresses, deadline=30.0):
    """Waits until the client heartbeats to one of these servers; returns its view."""
    def is_joined():
        if agent.process.poll() is not None:
            raise Failed("agent %s ended:\n%s" % (agent.name, agent.tail()))
        v = view(agent)
        return v if v and v["LastHeartbeat"] and v["Server"] in addresses else None
    try:
        return eventually("%s is with one of %s" % (agent.name, ", ".join(addresses)), is_joined, deadline)
    except Failed as e:
        raise Failed("%s\n%s\n%s" % (e, json.dumps(view(agent), indent=1), agent.tail())) from None


def source(agent, name):
    return [s for s in view(agent)["Sources"] if s["Name"] == name][0]


def late_consul(cluster, **kw):
    """A Consul that is not started yet; its addresses are known."""
    c = real.Consul(os.path.join(cluster.dir, "consul-%d" % len(cluster.consuls)), **kw)
    cluster.consuls.append(c)
    return c


def client(cluster, name, config="", **kw):
    return cluster.agent(name, server=False, config=config, **kw)


# ---- each source by itself ----

def test_a_client_with_nothing_but_a_consul_block_joins_through_its_http_api(cluster):
    c = cluster.consul()
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    one = client(cluster, "c", 'consul { address = "%s"  dns = "%s" }' % (c.agents[0].address, NOWHERE)).start(wait=False)
    joined(one, s.address)
    check(source(one, "Consul")["Servers"] == [s.address], "Consul")
    eventually("DNS says why not", lambda: source(one, "Consul DNS")["Error"])


def test_a_client_with_nothing_but_the_address_of_consuls_dns_joins_through_it(cluster):
    c = cluster.consul()
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    one = client(cluster, "c", 'consul { address = "%s"  dns = "%s" }' % (NOWHERE, c.agents[0].dns)).start(wait=False)
    joined(one, s.address)
    check(source(one, "Consul DNS")["Servers"] == [s.address], "Consul DNS")
    check("Failed to connect" in source(one, "Consul")["Error"], "Consul: %s" % source(one, "Consul"))


def test_all_addresses_of_a_configured_name_are_used(cluster):
    s = cluster.agent("s", client=False).start()
    one = client(cluster, "c", servers=["localhost:%d" % s.port]).start(wait=False)
    joined(one, s.address)
    check(s.address in source(one, "configured")["Servers"], str(source(one, "configured")))
    out, _ = one.cli("node", "config", "-servers")
    check(out.splitlines()[0] == s.address, out)


def test_the_list_on_disk_is_enough(cluster):
    c = cluster.consul()
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    one = client(cluster, "c", c.agents[0].block()).start(wait=False)
    joined(one, s.address)
    path = os.path.join(one.data, "client", "servers.json")
    with open(eventually("the list is kept", lambda: os.path.exists(path) and path)) as f:
        check(json.load(f) == {"Servers": [s.address]}, "the list")
    one.kill()
    for agent in c.agents:
        agent.kill()
    one.start(wait=False)
    joined(one, s.address)
    check([x["Name"] for x in view(one)["Sources"] if x["Servers"]] == ["pushed", "disk"], str(view(one)))
    # A list that is damaged is told, and written anew as soon as there is a good one.
    one.kill()
    with open(path, "w") as f:
        f.write('{"Servers": ["10.0.0.1')
    one.start(wait=False)
    eventually("the damage is told", lambda: view(one) and "is damaged" in source(one, "disk")["Error"])
    one.cli("node", "config", "-update-servers", s.address)
    joined(one, s.address)
    eventually("the list is good", lambda: json.load(open(path)) == {"Servers": [s.address]})


def test_the_list_that_servers_push_is_enough(cluster):
    _, agents = servers(cluster, n=3)
    one = client(cluster, "c", servers=[agents[0].address]).start(wait=False)
    joined(one, agents[0].address)
    eventually("all are pushed", lambda: source(one, "pushed")["Servers"] == sorted(a.address for a in agents))
    agents[0].kill()
    joined(one, agents[1].address, agents[2].address)


def test_client_auto_join_off_is_said_and_meant(cluster):
    c = cluster.consul()
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    other = cluster.agent("elsewhere", client=False).start()
    one = client(cluster, "c", c.agents[0].block("client_auto_join = false"), servers=[other.address]).start(wait=False)
    joined(one, other.address)
    for name in ("Consul", "Consul DNS"):
        check(source(one, name)["Off"] == "consul { client_auto_join = false }" and not source(one, name)["Servers"], name)
    check(s.address not in [x["Address"] for x in view(one)["Servers"]], "it knows a server that it should not")


def test_servers_that_speak_tls_are_found_and_asked_over_it(cluster):
    w, c = World(cluster), cluster.consul()
    names = "verify_https_client = true  verify_server_hostname = true"

    def secure(name, consul_block, more=names, **kw):
        a = cluster.agent(name, config=w.config(more) + "\n" + consul_block, **kw)
        a.scheme, a.context = "https", w.context()
        return a.start(wait=False)
    agents = [secure("s%d" % i, c.agents[0].block(), client=False, journal="consul") for i in range(2)]
    addresses = ["https://" + a.address for a in agents]
    by_http = secure("http", 'consul { address = "%s"  dns = "%s" }' % (c.agents[0].address, NOWHERE), server=False)
    by_dns = secure("dns", 'consul { address = "%s"  dns = "%s" }' % (NOWHERE, c.agents[0].dns), server=False)
    # What a server pushes says how it is to be asked: this one has no HTTPS of its own.
    plain = client(cluster, "plain", w.config().replace("http = true", ""), servers=[addresses[0]]).start(wait=False)
    for one in (by_http, by_dns, plain):
        joined(one, *addresses)
        eventually("both are pushed", lambda: source(one, "pushed")["Servers"] == sorted(addresses))
        check(one.get("/v1/status/leader").json() in [a.address for a in agents], "the leader's address")
    eventually("three nodes", lambda: len([n for n in by_dns.get("/v1/nodes").json() if n["Status"] == "ready"]) == 3)


# ---- nothing at boot needs to be up ----

def test_consul_and_servers_come_after_the_client(cluster):
    c = late_consul(cluster)
    one = client(cluster, "c", c.agents[0].block()).start(wait=False)
    eventually("it says what it waits for", lambda: view(one) and "no server is known yet" in view(one)["WaitingFor"]
               and "Failed to connect" in view(one)["WaitingFor"])
    health = one.get("/v1/agent/health")
    check(health.status == 500 and health.json()["client"]["message"].startswith("waiting for the servers: no server is known"),
          health.text)
    out, _ = one.cli("client", "servers", expect=1)
    check("Waiting For    = waiting for the servers: no server is known yet" in out, out)
    c.start()
    eventually("Consul answers that there is none", lambda: "no instance of the service" in source(one, "Consul")["Error"])
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    started = time.monotonic()
    joined(one, s.address)
    print("       %.2f s from the server's first answer to the client's first heartbeat" % (time.monotonic() - started))
    with open(one.log) as f:
        lines = [line for line in f if "[WARN]" in line]
    check(len(lines) < 20, "it logs too much while it waits:\n" + "".join(lines))


def test_servers_that_were_all_replaced_are_found(cluster):
    c, old = servers(cluster, n=2)
    block = c.agents[0].block()
    running, stopped = (client(cluster, name, block).start(wait=False) for name in ("running", "stopped"))
    for one in (running, stopped):
        joined(one, *(a.address for a in old))
    stopped.kill()
    for a in old:
        a.kill()
    new = [cluster.agent("n%d" % i, client=False, journal="consul", config=block).start(wait=False) for i in range(2)]
    leader(new)
    for one in (running, stopped.start(wait=False)):
        joined(one, *(a.address for a in new))
    nodes = new[0].get("/v1/nodes").json()
    check(sorted(n["Name"] for n in nodes) == ["running", "stopped"], "nodes: %s" % nodes)


def test_a_client_with_everything_dead_comes_back_when_dns_alone_does(cluster):
    c = cluster.consul(clients=1)
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    other = cluster.agent("other", client=False, config=c.agents[0].block())
    one = client(cluster, "c", 'consul { address = "%s"  dns = "%s" }' % (NOWHERE, c.clients[0].dns)).start(wait=False)
    joined(one, s.address)
    c.clients[0].kill()
    s.kill(signal.SIGTERM)
    eventually("it is alone", lambda: view(one)["Server"] == "" and view(one)["WaitingFor"])
    other.start()
    c.clients[0].start()
    joined(one, other.address)


# ---- servers that hang, come and go ----

@lasts(35)
def test_a_server_that_hangs_is_left_within_half_a_ttl(cluster):
    _, agents = servers(cluster, n=3)
    one = client(cluster, "c", servers=[a.address for a in agents]).start(wait=False)
    by_address = {a.address: a for a in agents}
    for attempt in range(4):
        v = joined(one, *by_address)
        time.sleep(random.uniform(0, 4))  # somewhere between two heartbeats
        v = joined(one, *by_address)
        hung = by_address[v["Server"]]
        what = "leader" if leader(agents) is hung else "follower"
        hung.process.send_signal(signal.SIGSTOP)
        started, wall = time.monotonic(), time.time()

        def moved():
            now = view(one)
            return now["Server"] and now["Server"] != hung.address and now["LastHeartbeat"] > wall * 1e9
        eventually("it is with another server", moved)
        took = time.monotonic() - started
        print("       left a hanging %s after %.2f s, with a TTL of %.1f s" % (what, took, v["HeartbeatTTL"] / 1e9))
        hung.process.send_signal(signal.SIGCONT)
        check(took < v["HeartbeatTTL"] / 2e9, "%.2f s, with a TTL of %.2f s" % (took, v["HeartbeatTTL"] / 1e9))
        eventually("it is well", lambda: hung.get("/v1/status/leader").status == 200)


def test_work_follows_to_another_server_when_one_hangs(cluster):
    _, agents = servers(cluster, n=3)
    one = client(cluster, "c", servers=[a.address for a in agents]).start(wait=False)
    v = joined(one, *(a.address for a in agents))
    hung = [a for a in agents if a.address == v["Server"]][0]
    others = [a for a in agents if a is not hung]
    hung.process.send_signal(signal.SIGSTOP)
    try:
        boss = leader(others) if leader_is_gone(others) else others[0]
        joined(one, *(a.address for a in others))
        check(boss.put("/v1/jobs", {"Job": shell_job("quick", "true")}).status == 200, "not registered")
        started = time.monotonic()
        boss.wait_status("quick", "complete", count=1)
        check(time.monotonic() - started < 10, "the client asked for work where nobody answers")
    finally:
        hung.process.send_signal(signal.SIGCONT)


def test_consul_tells_of_a_server_that_hangs_long_before_a_long_ttl_does(cluster):
    cluster.server_options = 'min_heartbeat_ttl = "2m"'
    c = cluster.consul()
    agents = [cluster.agent("s%d" % i, client=False, journal="consul", config=c.agents[0].block()).start(wait=False)
              for i in range(2)]
    one = client(cluster, "c", c.agents[0].block()).start(wait=False)
    v = joined(one, *(a.address for a in agents))
    eventually("both are known", lambda: len(view(one)["Servers"]) == 2)
    hung = [a for a in agents if a.address == v["Server"]][0]
    hung.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    try:
        joined(one, *(a.address for a in agents if a is not hung))
    finally:
        hung.process.send_signal(signal.SIGCONT)
    print("       left after %.2f s, with a TTL of %.0f s" % (time.monotonic() - started, v["HeartbeatTTL"] / 1e9))


def test_a_leader_that_hangs_behind_another_server_costs_no_heartbeat(cluster):
    _, agents = servers(cluster, n=3)
    boss = leader(agents)
    others = [a for a in agents if a is not boss]
    one = client(cluster, "c", servers=[others[0].address]).start(wait=False)
    v = joined(one, *(a.address for a in agents))
    if v["Server"] == boss.address:
        one.cli("node", "config", "-update-servers", others[0].address)
        joined(one, others[0].address)
    boss.process.send_signal(signal.SIGSTOP)
    stopped = time.time()
    try:
        eventually("the client beats again", lambda: view(one)["LastHeartbeat"] > (stopped + 1) * 1e9)
        gap = time.time() - v["LastHeartbeat"] / 1e9
        print("       %.2f s without a heartbeat, with a TTL of %.1f s" % (gap, v["HeartbeatTTL"] / 1e9))
        new = leader(others)
        check(new.put("/v1/jobs", {"Job": shell_job("quick", "true")}).status == 200, "not registered")
        started = time.monotonic()
        new.wait_status("quick", "complete", count=1)
        print("       %.2f s from registering a job to its end" % (time.monotonic() - started))
        check([n["Status"] for n in new.get("/v1/nodes").json()] == ["ready"], "the node")
    finally:
        boss.process.send_signal(signal.SIGCONT)


def leader_is_gone(agents):
    return all(a.get("/v1/internal/server").json()["State"] != "leading" for a in agents)


def test_a_further_server_is_known_within_about_a_second(cluster):
    c, agents = servers(cluster, n=1)
    one = client(cluster, "c", c.agents[0].block()).start(wait=False)
    joined(one, agents[0].address)
    more = cluster.agent("more", client=False, journal="consul", config=c.agents[0].block()).start(wait=False)
    eventually("it is registered", lambda: len(c.servers[0].health("drover")) == 2)
    started = time.monotonic()
    eventually("it is known", lambda: more.address in [x["Address"] for x in view(one)["Servers"]])
    took = time.monotonic() - started
    print("       %.2f s from the registration to the client's list" % took)
    check(took < 2, "%.2f s" % took)


def test_twenty_clients_spread_over_three_servers(cluster):
    c, agents = servers(cluster, n=3)
    # One list for all from the start: no order of arrival decides.
    clients = [client(cluster, "c%02d" % i, servers=[a.address for a in agents]) for i in range(20)]
    for one in clients:
        one.start(wait=False)
    count = {a.address: 0 for a in agents}
    for one in clients:
        count[joined(one, *count, deadline=90)["Server"]] += 1
    print("       %s" % sorted(count.values()))
    check(min(count.values()) >= 1 and max(count.values()) <= 15, "%s" % count)


def test_servers_set_by_hand_are_asked_first(cluster):
    _, agents = servers(cluster, n=2)
    one = client(cluster, "c", servers=[a.address for a in agents]).start(wait=False)
    first = joined(one, *(a.address for a in agents))["Server"]
    other = [a.address for a in agents if a.address != first][0]
    out, _ = one.cli("node", "config", "-update-servers", other)
    check(out == "Updated server list\n", out)
    joined(one, other)
    check(one.cli("node", "config", "-servers")[0].splitlines() == [other, first], "the list")
    _, err = one.cli("node", "config", "-update-servers", "not an address", expect=1)
    check("is no address of a server" in err, err)


def test_a_client_beside_a_server_asks_that_first(cluster):
    c = cluster.consul()
    agents = [cluster.agent("s%d" % i, journal="consul", config=c.agents[0].block()).start(wait=False) for i in range(3)]
    for a in agents:
        joined(a, *(x.address for x in agents))
    for a in agents:
        joined(a, a.address)
        check(source(a, "own server")["Servers"] == [a.address], "own server")


# ---- what people see ----

def test_client_servers_prints_the_sources(cluster):
    c = cluster.consul()
    s = cluster.agent("s", client=False, config=c.agents[0].block()).start()
    one = client(cluster, "c", c.agents[0].block(), servers=[s.address]).start(wait=False)
    joined(one, s.address)
    eventually("DNS has answered", lambda: source(one, "Consul DNS")["LastResult"])
    out, _ = one.cli("client", "servers")
    check(out.startswith("Server         = %s\nHeartbeat TTL  = " % s.address) and "\nLast Heartbeat = " in out, out)
    rows = {line[:12].strip(): line for line in out.split("\n\n")[1].splitlines()}
    check(list(rows) == ["Source", "set by hand", "configured", "pushed", "Consul", "Consul DNS", "disk"], out)
    check(rows["Source"].split() == ["Source", "Address", "Last", "Result", "When"], out)
    check("nothing yet" in rows["set by hand"], out)
    check(c.agents[0].address in rows["Consul"] and s.address in rows["Consul"] and rows["Consul"].endswith(" ago"), out)
    check("drover.service.consul by %s" % c.agents[0].dns in rows["Consul DNS"] and s.address in rows["Consul DNS"], out)
    check(os.path.join(one.data, "client", "servers.json") in rows["disk"] and s.address in rows["disk"], out)
    out, _ = one.cli("client", "servers", "-verbose")
    check("Server " in out and "configured, pushed, Consul, Consul DNS, disk  answers, in use" in out, out)
    check(json.loads(one.cli("client", "servers", "-json")[0])["Server"] == s.address, "-json")
    check(one.cli("client", "servers", "-t", "{{.Server}}")[0].strip() == s.address, "-t")
    _, err = s.cli("client", "servers", expect=1)
    check("this agent has no client role" in err, err)
    out, _ = cluster.agent("both").start().cli("client", "servers")
    check("(this agent)" in out, out)


def test_consuls_dns_tells_the_servers_with_their_ports(cluster):
    c, agents = servers(cluster, n=2)

    def ports():
        ip, _, port = c.agents[0].dns.partition(":")
        r = subprocess.run(["dig", "@" + ip, "-p", port, "drover.service.consul", "SRV", "+short"], capture_output=True,
                           text=True, check=True)
        return sorted(int(line.split()[2]) for line in r.stdout.splitlines())
    eventually("dig prints both ports", lambda: ports() == sorted(a.port for a in agents))


# ---- servers find each other ----

def test_servers_wait_for_each_other_and_say_so_also_with_a_late_consul(cluster):
    c = late_consul(cluster)
    cluster.server_options = "bootstrap_expect = 2"
    first, second = (cluster.agent("s%d" % i, client=False, journal="consul", config=c.agents[0].block()) for i in range(2))
    first.start(wait=False)

    def health():
        try:
            return first.get("/v1/agent/health").json()["server"]["message"]
        except OSError:
            return ""
    eventually("it says that Consul is away", lambda: "Failed to connect" in health())
    c.start()
    eventually("it says that one is missing", lambda: "1 of 2" in health())
    out, err = first.cli("server", "members", expect=1)
    check("s0.global" in out and "1 of 2 (server { bootstrap_expect }) are there" in err, out + err)
    eventually("Consul's check tells the truth, and why", lambda: [
        x for x in c.agents[0].checks().values()  # the catalog hears of another output only every few minutes
        if x["Name"] == "drover server works" and x["Status"] == "critical" and "1 of 2" in x["Output"]])
    second.start(wait=False)
    leader([first, second])
    check(len(first.cli("server", "members")[0].splitlines()) == 3, "members")
    with open(first.log) as f:
        lines = [line for line in f if "1 of 2" in line]
    check(len(lines) == 1, "the log: %s" % lines)


def test_servers_that_consul_has_forgotten_are_there_again(cluster):
    c, agents = servers(cluster, n=2)
    agent = c.servers[0]
    for service in list(agent.services()):
        check(agent.put("/v1/agent/service/deregister/" + service).status == 200, service)
    eventually("both are registered again", lambda: len(agent.health("drover", passing="1")) == 2, 60)
    for a in agents:
        eventually("both are members", lambda: len(a.get("/v1/agent/members").json()["Members"]) == 2)
    leader(agents)


def test_agents_find_each_other_again_when_consul_has_lost_everything(cluster):
    c, agents = servers(cluster, n=2)
    one = client(cluster, "c", c.agents[0].block()).start(wait=False)
    joined(one, *(a.address for a in agents))
    boss = leader(agents)
    check(boss.put("/v1/jobs", {"Job": shell_job("long", "echo $$ >local/pid; exec sleep 1000", kind="service")}).status == 200, "")
    boss.wait_status("long", "running", count=1)
    pid = boss.pid_file("long")
    c.agents[0].kill()
    shutil.rmtree(os.path.join(c.agents[0].dir, "data"))
    c.agents[0].start()
    real.wait_for("Consul has a leader", c.leader)
    eventually("all are registered", lambda: [len(c.agents[0].health(name, passing="1")) for name in ("drover", "drover-client")]
               == [2, 1], 90)
    for a in agents:
        eventually("both are members", lambda: len(a.get("/v1/agent/members").json()["Members"]) == 2)
    check(process_alive(pid), "the task was stopped")


def test_joining_has_nothing_to_do_with_consul(cluster):
    _, agents = servers(cluster, n=2)
    eventually("they know each other", lambda: len(agents[0].get("/v1/agent/members").json()["Members"]) == 2)
    out, _ = agents[0].cli("server", "join", agents[1].address)
    check(out == "Note: servers with one journal in Consul find each other there; there was nothing to do\n"
          "Joined 1 servers successfully\n", out)
    _, err = agents[0].cli("server", "join", "10.1.2.3", expect=1)
    check("none of these is among them" in err, err)
    alone = cluster.agent("alone").start()
    _, err = alone.cli("server", "join", agents[1].address, expect=1)
    check(err.startswith("Error joining: failed joining: "), err)


# ---- growing ----

def test_a_new_machine_takes_pending_work_with_no_other_step(cluster):
    c, agents = servers(cluster, n=3)
    boss = leader(agents)
    check(boss.put("/v1/jobs", {"Job": shell_job("pending", "date +%s.%N >local/at; exec sleep 1000", count=3)}).status == 200,
          "not registered")
    eventually("it waits", lambda: boss.get("/v1/job/pending/evaluations").json() and not boss.allocs("pending"))
    new = client(cluster, "new", c.agents[0].block())
    started = time.time()
    new.start(wait=False)
    allocs = boss.wait_status("pending", "running", count=3)

    def began(alloc):
        r = new.get("/v1/client/fs/cat/%s?path=main/local/at" % alloc["ID"])
        return r.text if r.status == 200 and r.text.endswith("\n") else None
    first = min(float(eventually("the task has written when it began", lambda a=a: began(a))) for a in allocs)
    print("       %.2f s from the start of the agent to its first task" % (first - started))
    check([n["Status"] for n in boss.get("/v1/nodes").json()] == ["ready"], "the node")
    check(first - started < 10, "too long")
