"""The Consul that other tests rely on: several at once, with and without ACLs, answering HTTP and DNS."""
import subprocess

from consul import wait_for
from harness import check


def dig(agent, name, kind):
    host, _, port = agent.dns.partition(":")
    return subprocess.run(["dig", "+short", "@" + host, "-p", port, name, kind], capture_output=True, text=True,
                          check=True).stdout.split()


def test_two_consuls_run_at_once_and_keep_to_themselves(cluster):
    plain, closed = cluster.consul(clients=1), cluster.consul(acl=True)
    plain.clients[0].put("/v1/agent/service/register", {"Name": "web", "Port": 8080})
    wait_for("dig tells the port", lambda: "8080" in dig(plain.servers[0], "web.service.consul", "SRV"))
    check(closed.servers[0].get("/v1/catalog/services").json() == {"consul": []}, "the other knows nothing of it")
    check(closed.servers[0].put("/v1/kv/a", b"x", token="").status == 403, "nobody writes without a token")
    token = closed.new_token('key "a" { policy = "write" }')
    check(closed.servers[0].put("/v1/kv/a", b"x", token=token).text == "true", "with the right one it works")


def test_a_consul_of_three_servers_survives_the_loss_of_its_leader(cluster):
    c = cluster.consul(servers=3, clients=1)
    check(c.clients[0].put("/v1/kv/a", b"before").status == 200, "writes are taken")
    leader = c.leader()
    leader.kill()
    wait_for("another leads", lambda: c.leader() not in (None, leader))
    wait_for("writes are taken again", lambda: c.clients[0].put("/v1/kv/b", b"after").status == 200)
    check(c.clients[0].get("/v1/kv/a?raw").text == "before", "what was written is there")
    leader.start()
    wait_for("the lost one is back", leader.ready)
