"""Several servers that are one, and what surrounds them: what passes through a standby, who is listed and forgotten, two clusters on one Consul,
jobs that are large, TLS to Consul."""
import http.client
import json
import os
import threading
import time
import urllib.request

from harness import check, eventually, shell_job
from test_join import joined
from test_replicas import leader, servers, write


def other_than(agents, boss):
    return next(a for a in agents if a is not boss)


def ready(agent):
    eventually("the node is ready", lambda: [n for n in agent.get("/v1/nodes").json() or [] if n["Status"] == "ready"])


def test_what_a_standby_may_not_answer_goes_through_it(cluster):
    consul, agents = servers(cluster, n=2)
    client = cluster.agent("c", server=False, servers=[a.address for a in agents]).start()
    boss = leader(agents)
    standby = other_than(agents, boss)
    ready(standby)
    standby.register(shell_job("talk", "while :; do echo word; sleep 0.1; done", kind="service"))
    alloc = standby.wait_status("talk", "running")[0]
    # A held read wakes with what the leader writes.
    before = standby.get("/v1/jobs")
    held = []
    thread = threading.Thread(target=lambda: held.append(standby.get("/v1/jobs?wait=60s&index=%d" % before.index, timeout=90)))
    began = time.monotonic()
    thread.start()
    time.sleep(1)
    check(not held, "it was answered before there was news")
    check(write(boss, "news").status == 200, "not written")
    thread.join()
    check(time.monotonic() - began < 20 and {j["ID"] for j in held[0].json()} == {"talk", "news"}, held[0].text)
    # A stream that follows comes piece by piece; so does the command line's.
    out, _ = standby.cli("alloc", "logs", alloc["ID"])
    check("word\nword\n" in out, out)
    path = "/v1/client/fs/logs/%s?task=main&type=stdout&follow=true&origin=end&plain=true" % alloc["ID"]
    with urllib.request.urlopen(standby.url + path, timeout=20) as stream:
        check(b"word" in stream.read(12), "the stream")
    # Headers of what was passed on are the leader's.
    r = standby.get("/v1/jobs")
    check(r.headers["X-Nomad-KnownLeader"] == "true" and r.headers["X-Nomad-LastContact"] == "0", str(r.headers))
    check(joined(client, *[a.address for a in agents])["Server"], "the client beats")


def test_an_agent_stands_in_consul_with_all_that_belongs_to_it_and_goes_when_it_leaves(cluster):
    consul = cluster.consul().agents[0]
    one = cluster.agent("one", config=consul.block('deregister_after = "61s"  tags = {"blue"}')).start()
    ready(one)
    cluster_id = eventually("the cluster has its id", lambda: [
        s["Meta"].get("drover-cluster") for s in consul.services().values() if s["Meta"].get("drover-cluster")])[0]
    for role, name in (("server", "drover"), ("client", "drover-client")):
        s = eventually("the %s bears the cluster's id" % role, lambda name=name: [
            s for s in consul.services().values() if s["Service"] == name and s["Meta"].get("drover-cluster") == cluster_id])[0]
        owner = s["Meta"]["drover-owner"]
        check(s["ID"] == "_drover-%s-%s" % (role, owner) and s["Meta"]["external-source"] == "drover", str(s))
        check((s["Address"], s["Port"]) == ("127.0.0.1", one.port) and {"http", "blue"} <= set(s["Tags"]), str(s))
    # Consul keeps what it was told of checks in files, and nowhere shows all of it.
    kept = []
    for folder, _, files in os.walk(os.path.join(consul.dir, "data", "checks")):
        for name in files:
            with open(os.path.join(folder, name)) as f:
                kept.append(json.load(f)["ChkType"])
    check(sorted(c["DeregisterCriticalServiceAfter"] for c in kept) == [61 * 10**9] * 2, str(kept))
    check(all(c["HTTP"].startswith(one.url + "/v1/agent/health?type=") for c in kept), str(kept))
    one.kill(15)
    eventually("it is gone from Consul", lambda: not consul.services())


def members(agent):
    return {m["Name"]: m["Status"] for m in agent.get("/v1/agent/members").json()["Members"]}


def test_who_failed_is_listed_until_it_is_forgotten_and_who_left_is_not(cluster):
    _, agents = servers(cluster, n=3)
    boss = leader(agents)
    dead, gone = [a for a in agents if a is not boss]
    dead.kill()
    eventually("it has failed", lambda: members(boss) == {"%s.global" % a.name: "failed" if a is dead else "alive" for a in agents})
    _, err = boss.cli("server", "force-leave", gone.name, expect=1)
    check("is alive" in err, err)
    boss.cli("server", "force-leave", dead.name)
    eventually("it is forgotten", lambda: members(boss) == {"%s.global" % a.name: "alive" for a in (boss, gone)})
    out, _ = boss.cli("operator", "raft", "list-peers")
    check(dead.name not in out and "leader" in out and "follower" in out, out)
    gone.kill(15)
    eventually("it has left", lambda: members(boss) == {"%s.global" % boss.name: "alive"})
    check(write(boss, "alone").status == 200, "not written")
    dead.start(wait=False)
    eventually("who was forgotten is a member again", lambda: members(boss) == {"%s.global" % a.name: "alive" for a in (boss, dead)})


def test_a_copied_data_folder_is_told_of_and_leaders_do_not_fight(cluster):
    consul = cluster.consul(clients=2)
    agents = [cluster.agent("s%d" % i, client=False, journal="consul", config=consul.clients[i].block()) for i in range(2)]
    for a in agents:
        os.makedirs(a.data, mode=0o700)
        with open(os.path.join(a.data, "agent-id"), "w") as f:
            f.write("11111111-2222-3333-4444-555555555555")
        a.start(wait=False)
    boss = leader(agents)
    other = other_than(agents, boss)
    for a in agents:
        eventually("it is told", lambda a=a: "has the id of this one" in a.tail(1000))
    lock = consul.servers[0].get("/v1/kv/drover/global/lock").json()[0]["Session"]
    for n in range(20):
        check(write(agents[n % 2], "job-%d" % n).status == 200, "not written")
        time.sleep(0.1)
    check(consul.servers[0].get("/v1/kv/drover/global/lock").json()[0]["Session"] == lock, "the leader was dethroned")
    boss.kill()
    check(write(other, "after").status == 200, "not written")
    check(len(other.get("/v1/jobs").json()) == 21, "jobs")


def test_two_clusters_on_one_consul_know_nothing_of_each_other(cluster):
    consul = cluster.consul()

    def config(prefix):
        return consul.agents[0].block('kv_prefix = "drover/%s"' % prefix)
    red, blue = ([cluster.agent("%s-%d" % (prefix, i), client=False, journal="consul", config=config(prefix)) for i in range(2)]
                 for prefix in ("red", "blue"))
    for a in red + blue:
        a.start(wait=False)
    bosses = [leader(red), leader(blue)]
    check(bosses[0] is not bosses[1], "one leads both")
    clients = [cluster.agent("client-" + prefix, server=False, config=config(prefix)).start(wait=False) for prefix in ("red", "blue")]
    for i, agents in enumerate((red, blue)):
        check(write(agents[0], "job-%d" % i).status == 200, "not written")
        joined(clients[i], *[a.address for a in agents])
    for i, agents in enumerate((red, blue)):
        for a in agents:
            check([j["ID"] for j in a.get("/v1/jobs").json()] == ["job-%d" % i], a.get("/v1/jobs").text)
            eventually("the servers of a cluster know each other, and no more",
                       lambda a=a, agents=agents: set(members(a)) == {"%s.global" % x.name for x in agents})
        check([n["Name"] for n in agents[0].get("/v1/nodes").json()] == [clients[i].name], agents[0].get("/v1/nodes").text)
    bosses[0].kill()
    check(write(other_than(red, bosses[0]), "more").status == 200, "not written")
    check(leader(blue) is bosses[1], "the other cluster has changed its leader")


def noise(size):
    """Text that cannot be packed."""
    return os.urandom(size // 2).hex()


def test_a_job_larger_than_a_transaction_is_there_as_a_whole_or_not_at_all(cluster):
    _, agents = servers(cluster, n=2)
    boss = leader(agents)
    standby = other_than(agents, boss)
    large = shell_job("large", "true", count=0)
    large["Meta"] = {"noise": noise(3 << 20)}
    r = boss.put("/v1/jobs", {"Job": large})
    check(r.status == 200, "%d %s" % (r.status, r.text))
    stale = eventually("the standby has read it", lambda: (lambda r: r if r.status == 200 else None)(standby.get("/v1/job/large?stale")))
    check(stale.json()["Meta"] == large["Meta"], "it is not whole")
    # The size is known before the body comes.
    conn = http.client.HTTPConnection(boss.host, boss.port, timeout=20)
    conn.putrequest("PUT", "/v1/jobs")
    conn.putheader("Content-Length", str(100 << 20))
    conn.endheaders()
    check(conn.getresponse().status == 413, "not refused")
    conn.close()
    boss.kill()
    check(write(standby, "after").status == 200, "not written")
    check({j["ID"] for j in standby.get("/v1/jobs").json()} == {"large", "after"}, "jobs")
    check(standby.get("/v1/job/large").json()["Meta"]["noise"] == stale.json()["Meta"]["noise"], "it is not whole")


def test_everything_goes_over_tls_when_consul_wants_it(cluster):
    consul = cluster.consul(tls=True)
    config = 'consul { address = "%s"  dns = ""  ssl = true  ca_file = "%s"  cert_file = "%s"  key_file = "%s"  ' \
        'tls_server_name = "server.dc1.consul" }' % (consul.servers[0].https, *map(consul.tls_file, ("ca", "client", "client-key")))
    agents = [cluster.agent("s%d" % i, client=False, journal="consul", config=config).start(wait=False) for i in range(2)]
    boss = leader(agents)
    client = cluster.agent("c", server=False, config=config).start(wait=False)
    joined(client, *[a.address for a in agents])
    boss.register(shell_job("web", "exec sleep 1000", kind="service", Services=[{"Name": "web"}]))
    boss.wait_status("web", "running")
    eventually("its service stands", lambda: len(consul.servers[0].health("web", passing="1")) == 1)
    boss.kill()
    check(write(other_than(agents, boss), "after").status == 200, "not written")
    # Who does not know the authority trusts nobody.
    stranger = cluster.agent("x", client=False, journal="consul", config='consul { address = "%s"  ssl = true }' % consul.servers[0].https)
    stranger.start(wait=False)
    eventually("it says what is wrong", lambda: "certificate" in stranger.get("/v1/agent/health").json()["server"]["message"]
               if stranger.process.poll() is None and listens(stranger) else None)


def listens(agent):
    try:
        return agent.get("/v1/agent/health")
    except OSError:
        return None
