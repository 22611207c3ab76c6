"""Services and checks of tasks in a real Consul: registered while the task runs, taken out before it is stopped, judged by
Consul, repaired when somebody or something alters them."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import DROVER, Failed, check, eventually, is_keeper, start_time

SECOND = 10**9
WEB = "import http.server,os\n" \
    "class H(http.server.BaseHTTPRequestHandler):\n" \
    "  def do_GET(s):\n" \
    "    s.send_response(503 if os.path.exists(os.environ['NOMAD_TASK_DIR']+'/sick') else 200); s.end_headers(); s.wfile.write(b'hello')\n" \
    "  def log_message(s,*a): pass\n" \
    "http.server.HTTPServer(('', int(os.environ['NOMAD_PORT_http'])), H).serve_forever()\n"


def one(cluster, **kw):
    """A started Consul and an agent with both roles on it, whose node is ready."""
    consul = cluster.consul()
    agent = cluster.one(config=consul.servers[0].block(), **kw)
    return consul.servers[0], agent


def task(script=None, name="main", **more):
    if script is None:
        config = {"command": "/usr/bin/python3", "args": ["-c", WEB]}
    else:
        config = {"command": "/bin/sh", "args": ["-c", script]}
    return {"Name": name, "Driver": "raw_exec", "Config": config, "Resources": {"CPU": 20, "MemoryMB": 32},
            "KillTimeout": 2 * SECOND, **more}


def job(job_id, services, tasks=None, kind="service", count=1, task_services=None, update=None, **group):
    tasks = tasks or [task()]
    if task_services:
        tasks[0]["Services"] = task_services
    g = {"Name": "g", "Count": count, "Tasks": tasks, "EphemeralDisk": {"SizeMB": 150}, "Services": services,
         "Networks": [{"DynamicPorts": [{"Label": "http"}]}],
         "RestartPolicy": {"Attempts": 3, "Interval": 600 * SECOND, "Delay": SECOND // 5, "Mode": "fail"}}
    if update is not None:
        g["Update"] = update
    g.update(group)
    return {"ID": job_id, "Name": job_id, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [g]}


def http_check(**more):
    return {"Type": "http", "Path": "/", "Interval": SECOND, "Timeout": SECOND, **more}


def script_check(command, **more):
    return {"Type": "script", "Command": "/bin/sh", "Args": ["-c", command], "TaskName": "main", "Interval": SECOND,
            "Timeout": SECOND, **more}


def of_job(consul, name):
    """Instances of the service in the catalog, by id."""
    return {s["ServiceID"]: s for s in consul.get("/v1/catalog/service/" + name).json()}


def checks_of(consul, name):
    return {c["Name"]: c for c in consul.get("/v1/health/checks/" + name).json()}


def passing(consul, name, count=1):
    def look():
        found = consul.health(name, passing=1)
        return found if len(found) == count else None
    try:
        return eventually("%d instances of service %s pass" % (count, name), look)
    except Failed as e:
        raise Failed("%s: %s" % (e, json.dumps(consul.health(name), indent=1))) from None


def dig(consul, *args):
    host, port = consul.dns.split(":")
    return subprocess.run(["dig", "+short", "@" + host, "-p", port, *args], capture_output=True, text=True, check=True,
                          timeout=20).stdout.split("\n")


def port_of(agent, alloc_id, label="http"):
    ports = agent.alloc(alloc_id)["AllocatedResources"]["Shared"]["Ports"]
    return next(p["Value"] for p in ports if p["Label"] == label)


# ---- what is registered ----

def test_a_running_job_is_found_by_catalog_and_dns_with_the_right_port(cluster):
    consul, agent = one(cluster)
    agent.register(job("web", [{"Name": "web", "PortLabel": "http", "Tags": ["live", "v-${NOMAD_ALLOC_INDEX}"],
                                "Meta": {"rack": "${node.unique.name}"}, "Checks": [http_check()]}], count=2,
                       task_services=[{"Name": "${JOB}-admin", "PortLabel": "http"}]))
    allocs = agent.wait_status("web", "running", count=2)
    passing(consul, "web", 2)
    found = of_job(consul, "web")
    for a in allocs:
        s = found["_nomad-task-%s-group-g-web-http" % a["ID"]]
        check(s["ServicePort"] == port_of(agent, a["ID"]), str(s))
        index = re.search(r"\[(\d+)\]", a["Name"])[1]
        check(s["ServiceTags"] == ["live", "v-" + index], str(s))
        meta = s["ServiceMeta"]
        check(meta["external-source"] == "drover" and meta["drover-alloc"] == a["ID"] and meta["rack"] == "one", str(meta))
        check("_nomad-task-%s-main-web-admin-http" % a["ID"] in of_job(consul, "web-admin"), str(of_job(consul, "web-admin")))
    ports = sorted(port_of(agent, a["ID"]) for a in allocs)
    srv = sorted(int(line.split()[2]) for line in dig(consul, "web.service.consul", "SRV") if line)
    check(srv == ports, "%s, not %s" % (srv, ports))
    address = agent.alloc(allocs[0]["ID"])["AllocatedResources"]["Shared"]["Ports"][0]["HostIP"]
    check(set(line for line in dig(consul, "live.web.service.consul", "A") if line) == {address}, address)
    check(sorted(int(line.split()[2]) for line in dig(consul, "drover.service.consul", "SRV") if line) == [agent.port], "")
    agent.delete("/v1/job/web")
    eventually("nothing is left in the catalog", lambda: not of_job(consul, "web") and not of_job(consul, "web-admin"))
    eventually("the servers know it", lambda: not any(agent.alloc(a["ID"]).get("InConsul") for a in allocs))


def test_each_type_of_check_turns_with_what_it_looks_at(cluster):
    consul, agent = one(cluster)
    script = "test -e $NOMAD_TASK_DIR/sick && { echo unwell; exit 2; }; test -e $NOMAD_TASK_DIR/pale && exit 1; echo fine"
    agent.register(job("web", [{"Name": "web", "PortLabel": "http", "Checks": [
        http_check(Name="page"), {"Name": "port", "Type": "tcp", "Interval": SECOND, "Timeout": SECOND},
        {"Name": "rpc", "Type": "grpc", "Interval": SECOND, "Timeout": SECOND},
        script_check(script, Name="script"), script_check("pwd; echo $NOMAD_TASK_NAME", Name="where"),
        {"Name": "beat", "Type": "ttl", "Interval": 60 * SECOND, "Id": "beat-${NOMAD_ALLOC_ID}"}]}]))
    alloc = agent.wait_status("web", "running", count=1)[0]

    def status(name):
        c = checks_of(consul, "web").get(name)
        return c and c["Status"]
    for name in ("page", "port", "script", "where"):
        eventually("check %s passes" % name, lambda: status(name) == "passing")
    check(status("rpc") == "critical" and status("beat") == "critical", str(checks_of(consul, "web")))
    check(checks_of(consul, "web")["script"]["Output"] == "fine\n", str(checks_of(consul, "web")["script"]))
    folder = os.path.join(agent.data, "alloc", alloc["ID"], "main")
    check(checks_of(consul, "web")["where"]["Output"] == "%s\nmain\n" % folder, checks_of(consul, "web")["where"]["Output"])
    consul.put("/v1/agent/check/update/beat-" + alloc["ID"], {"Status": "passing", "Output": "I live"})
    eventually("the ttl check passes", lambda: status("beat") == "passing")
    local = os.path.join(folder, "local")
    open(os.path.join(local, "pale"), "w").close()
    eventually("the script warns", lambda: status("script") == "warning")
    open(os.path.join(local, "sick"), "w").close()
    eventually("the page is critical", lambda: status("page") == "critical")
    eventually("the script is critical", lambda: status("script") == "critical")
    check(status("port") == "passing", "the port is still open")
    # What Consul says is what drover shows.
    shown = eventually("drover shows it", lambda: (lambda r: r if r["script"]["ConsulStatus"] == "critical" else None)(
        {c["Check"]: c for c in agent.get("/v1/allocation/%s/checks" % alloc["ID"]).json().values()}))
    check(shown["script"]["Status"] == "failure" and shown["script"]["Output"] == "unwell\n", str(shown["script"]))
    check(shown["beat"]["Status"] == "success" and shown["page"]["Service"] == "web", str(shown))
    check(agent.alloc(alloc["ID"])["TaskStates"]["main"]["Restarts"] == 0, "a failing check without check_restart restarts nothing")


# ---- order of life ----

def test_the_signal_comes_after_the_entry_is_gone_and_the_delay_is_over(cluster):
    consul, agent = one(cluster)
    script = "trap 'date +%s.%N >$NOMAD_TASK_DIR/signal; exit 0' INT; while :; do sleep 0.05; done"
    agent.register(job("slow", [{"Name": "slow", "PortLabel": "http"}], [task(script, ShutdownDelay=SECOND)],
                       task_services=[{"Name": "slow-task", "PortLabel": "http"}], ShutdownDelay=SECOND))
    alloc = agent.wait_status("slow", "running", count=1)[0]
    eventually("both services stand", lambda: of_job(consul, "slow") and of_job(consul, "slow-task"))
    agent.put("/v1/allocation/%s/stop" % alloc["ID"])
    eventually("they leave the catalog", lambda: not [
        i for name in ("slow", "slow-task") for i in of_job(consul, name) if alloc["ID"] in i])
    gone = time.time()
    signal = os.path.join(agent.data, "alloc", alloc["ID"], "main", "local", "signal")
    check(not os.path.exists(signal), "the signal came before the entries were gone")
    eventually("the task gets its signal", lambda: os.path.exists(signal) and open(signal).read())
    waited = float(open(signal).read()) - gone
    check(1.5 < waited < 6, "the signal came %.1f s after the entries were gone; both delays together are 2 s" % waited)
    eventually("it is complete", lambda: agent.alloc(alloc["ID"])["ClientStatus"] == "complete")
    check(not agent.alloc(alloc["ID"]).get("InConsul"), "it counts as ended only when nothing of it stands")


def test_a_service_stands_only_while_its_task_runs(cluster):
    consul, agent = one(cluster)
    crash = "while ! test -e $NOMAD_TASK_DIR/die; do sleep 0.05; done; rm $NOMAD_TASK_DIR/die; exit 1"
    agent.register(job("frail", [{"Name": "frail", "PortLabel": "http"}], [task(crash), task("sleep 1000", "other")],
                       task_services=[{"Name": "frail-task"}],
                       RestartPolicy={"Attempts": 3, "Interval": 600 * SECOND, "Delay": 4 * SECOND, "Mode": "fail"}))
    alloc = agent.wait_status("frail", "running", count=1)[0]
    eventually("both stand", lambda: of_job(consul, "frail") and of_job(consul, "frail-task"))
    open(os.path.join(agent.data, "alloc", alloc["ID"], "main", "local", "die"), "w").close()
    eventually("both are gone while it waits for its restart",
               lambda: not of_job(consul, "frail") and not of_job(consul, "frail-task"), 4)
    eventually("it waits for its restart", lambda: agent.alloc(alloc["ID"])["TaskStates"]["main"]["State"] == "pending", 3)
    eventually("both stand again", lambda: of_job(consul, "frail") and of_job(consul, "frail-task"))


def test_an_update_in_place_renews_the_entry_and_restarts_nothing(cluster):
    consul, agent = one(cluster)
    services = [{"Name": "web", "PortLabel": "http", "Tags": ["one"], "Checks": [http_check(Name="page"), http_check(Name="old")]},
                {"Name": "web-extra", "PortLabel": "http"}]
    agent.register(job("web", services))
    alloc = agent.wait_status("web", "running", count=1)[0]
    passing(consul, "web")
    services[0]["Tags"] = ["two"]
    services[0]["Checks"] = [http_check(Name="page"), http_check(Name="new", Path="/new")]
    services[1] = {"Name": "web-other", "PortLabel": "http"}
    agent.register(job("web", services))
    eventually("the entry is renewed", lambda: [s["ServiceTags"] for s in of_job(consul, "web").values()] == [["two"]])
    eventually("its checks too", lambda: set(checks_of(consul, "web")) == {"page", "new"})
    eventually("one service is gone, another there", lambda: not of_job(consul, "web-extra") and of_job(consul, "web-other"))
    passing(consul, "web")
    state = agent.alloc(alloc["ID"])["TaskStates"]["main"]
    check(state["Restarts"] == 0 and state["State"] == "running" and len(agent.allocs("web")) == 1, str(state))


def test_a_check_that_fails_for_too_long_restarts_its_task_through_the_policy(cluster):
    consul, agent = one(cluster)
    mood = script_check("echo unwell; exit 2", Name="mood", CheckRestart={"Limit": 2, "Grace": 2 * SECOND})
    agent.register(job("sick", [{"Name": "sick", "Checks": [mood]}], [task("exec sleep 3600")],
                       RestartPolicy={"Attempts": 1, "Interval": 600 * SECOND, "Delay": SECOND, "Mode": "fail"},
                       ReschedulePolicy={"Attempts": 0, "Unlimited": False}))
    alloc = agent.wait_status("sick", "failed")[0]
    events = agent.alloc(alloc["ID"])["TaskStates"]["main"]["Events"]
    said = [(e["Type"], e["DisplayMessage"]) for e in events]
    check(said.count(("Restart Signaled", 'healthcheck: check "mood" unhealthy')) == 2, str(said))
    check(("Not Restarting", 'Exceeded allowed attempts 1 in interval 10m0s and mode is "fail"') in said, str(said))
    first = next(e["Time"] for e in events if e["Type"] == "Started")
    restart = next(e["Time"] for e in events if e["Type"] == "Restart Signaled")
    check(restart - first > 2.9 * SECOND, "grace of 2 s and a second failure: %.1f s" % ((restart - first) / SECOND))
    eventually("nothing is left", lambda: not of_job(consul, "sick"))


def test_health_of_an_allocation_waits_for_its_checks(cluster):
    consul, agent = one(cluster)
    update = {"MaxParallel": 1, "MinHealthyTime": SECOND, "HealthyDeadline": 8 * SECOND, "ProgressDeadline": 60 * SECOND}

    def health(alloc_id):
        d = agent.alloc(alloc_id).get("DeploymentStatus") or {}
        return d.get("Healthy")
    agent.register(job("good", [{"Name": "good", "PortLabel": "http", "Checks": [
        http_check(Name="page"), {"Name": "no", "Type": "tcp", "PortLabel": "1", "Interval": SECOND, "Timeout": SECOND,
                                  "OnUpdate": "ignore"}]}], update=update))
    agent.register(job("soft", [{"Name": "soft", "Checks": [script_check("exit 1", Name="so so")],
                                 "OnUpdate": "ignore_warnings"}], [task("exec sleep 3600")], update=update))
    agent.register(job("bad", [{"Name": "bad", "Checks": [script_check("exit 1", Name="so so")]}], [task("exec sleep 3600")],
                       update=update))
    ids = {name: agent.wait_status(name, "running", count=1)[0]["ID"] for name in ("good", "soft", "bad")}
    eventually("good is healthy", lambda: health(ids["good"]) is True)
    eventually("soft is healthy", lambda: health(ids["soft"]) is True)
    eventually("bad is not", lambda: health(ids["bad"]) is False)
    events = [e["DisplayMessage"] for e in agent.alloc(ids["bad"])["TaskStates"]["main"]["Events"] if e["Type"] == "Alloc Unhealthy"]
    check(events == ['Checks not passing for min_healthy_time of 1s by deadline: check "so so" of service "bad" is warning'],
          str(events))


def test_a_stop_does_not_wait_long_for_a_consul_that_hangs(cluster):
    consul, agent = one(cluster)
    agent.register(job("web", [{"Name": "web", "PortLabel": "http"}]))
    alloc = agent.wait_status("web", "running", count=1)[0]
    eventually("it stands", lambda: of_job(consul, "web"))
    consul.kill(signal.SIGSTOP)
    began = time.monotonic()
    agent.delete("/v1/job/web")
    eventually("it is complete all the same", lambda: agent.alloc(alloc["ID"])["ClientStatus"] == "complete")
    took = time.monotonic() - began
    check(2.5 < took < 9, "%.1f s" % took)
    check(agent.alloc(alloc["ID"])["InConsul"] is True, "the servers know that its entry may still stand")
    consul.kill(signal.SIGCONT)
    eventually("Consul forgets it in the end", lambda: not of_job(consul, "web"))
    eventually("and the servers hear of it", lambda: not agent.alloc(alloc["ID"]).get("InConsul"))


# ---- repair and audit ----

def audit(agent):
    """(exit code, output) of `drover consul audit`."""
    r = subprocess.run([DROVER, "consul", "audit"], capture_output=True, text=True, timeout=60,
                       env=dict(agent.env, DROVER_ADDR=agent.url))
    return r.returncode, r.stdout + r.stderr


def clean(agent, deadline=60, judged=None):
    """The audit is clean, and has judged everything, within the deadline."""
    last = [None]

    def look():
        last[0] = audit(agent)
        code, text = last[0]
        return code == 0 and "Not judged" not in text and (judged is None or "%d entries" % judged in text)
    try:
        eventually("the audit is clean", look, deadline)
    except Failed as e:
        raise Failed("%s: %s" % (e, last[0])) from None


def test_the_audit_finds_what_is_missing_stray_or_different_and_all_of_it_is_repaired(cluster):
    consul, agent = one(cluster)
    agent.register(job("web", [{"Name": "web", "PortLabel": "http", "Tags": ["live"], "Checks": [http_check(Name="page")]},
                               {"Name": "plain", "Tags": ["${NOMAD_TASK_DIR}", "${HOME}"]}]))
    alloc = agent.wait_status("web", "running", count=1)[0]
    passing(consul, "web")
    clean(agent, judged=4)
    ids = {name: "_nomad-task-%s-group-g-%s" % (alloc["ID"], name) for name in ("web-http", "plain-")}
    registered = consul.services()[ids["web-http"]]
    # Others' entries are left alone, whatever happens here.
    consul.put("/v1/agent/service/register", {"ID": "_nomad-task-x", "Name": "web", "Meta": {"external-source": "nomad"}})
    consul.put("/v1/agent/service/register", {"ID": "theirs", "Name": "web", "Meta": {
        "external-source": "drover", "drover-owner": "somebody", "drover-cluster": "another", "drover-agent": "one"}})
    # The client repairs within its interval; the audit sees it before. Deleted, altered, without its check, and a leftover.
    consul.put("/v1/agent/service/deregister/" + ids["plain-"])
    consul.put("/v1/agent/service/register", {"ID": ids["web-http"], "Name": "web", "Port": 1, "Tags": ["live"],
                                              "Address": registered["Address"], "Meta": registered["Meta"]})
    consul.put("/v1/agent/service/register", {"ID": "_nomad-task-old", "Name": "old", "Meta": dict(
        registered["Meta"], **{"drover-alloc": "11111111-1111-1111-1111-111111111111"})})
    code, text = eventually("the audit tells", lambda: (lambda r: r if r[0] == 1 and "3 differences" in r[1] else None)(audit(agent)))
    lines = {line.split()[1]: line for line in text.splitlines() if line.split()[0] in ("missing", "stray", "differs")}
    check(lines["plain"].startswith("missing") and "its task runs" in lines["plain"], text)
    check('port: wanted "%d", is "1"' % registered["Port"] in lines["web"], text)
    check("its allocation does not exist" in lines["old"], text)
    clean(agent, 60)
    check("_nomad-task-x" in consul.services() and "theirs" in consul.services(), str(consul.services().keys()))
    check("_nomad-task-old" not in consul.services(), "the leftover is gone")
    state = agent.alloc(alloc["ID"])["TaskStates"]["main"]
    check(state["Restarts"] == 0 and state["State"] == "running", str(state))


def running_pair(cluster):
    """A server and a client apart, each with a Consul agent of its own, and a job of two that runs on the client."""
    consul = cluster.consul(clients=1)
    server = cluster.agent("server", client=False, config=consul.servers[0].block()).start()
    client = cluster.agent("client", server=False, servers=[server.address], config=consul.clients[0].block()).start()
    eventually("the node is ready", lambda: [n for n in server.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    server.register(job("web", [{"Name": "web", "PortLabel": "http", "Checks": [http_check(Name="page"), script_check("exit 0", Name="ok")]}],
                        count=2, task_services=[{"Name": "web-task", "PortLabel": "http"}]))
    server.wait_status("web", "running", count=2)
    passing(consul.servers[0], "web", 2)
    clean(server, judged=6)
    return consul, server, client


def end_tasks(agent):
    """What the end of the machine does to everything that the agent started."""
    for record in agent.run_records():
        if is_keeper(record.get("keeper", 0)):
            os.kill(record["keeper"], signal.SIGKILL)
        pid, start = record.get("task", (0, 0))
        if pid and start_time(pid) == start:
            os.kill(pid, signal.SIGKILL)


def restarts(server, job_id="web"):
    return [a["TaskStates"]["main"]["Restarts"] for a in server.allocs(job_id) if a["ClientStatus"] == "running"]


def test_after_the_agent_was_killed_and_came_back_the_audit_is_clean_and_nothing_restarted(cluster):
    consul, server, client = running_pair(cluster)
    client.kill()
    client.start()
    clean(server, 60, judged=6)
    check(restarts(server) == [0, 0], str(restarts(server)))
    passing(consul.servers[0], "web", 2)


def test_a_machine_that_is_gone_is_down_soon_and_one_whose_consul_agent_died_is_not(cluster):
    consul = cluster.consul(clients=2)
    server = cluster.agent("server", client=False, config=consul.servers[0].block()).start()
    agents = [cluster.agent("c%d" % i, server=False, config=consul.clients[i].block()).start() for i in range(2)]

    def nodes():
        return {n["Name"]: n for n in server.get("/v1/nodes").json()}
    eventually("both are ready", lambda: [n["Status"] for n in nodes().values()] == ["ready", "ready"])
    eventually("both stand in Consul", lambda: len(consul.servers[0].health("drover-client", passing="1")) == 2)
    consul.clients[1].kill()
    consul.clients[0].kill()
    agents[0].kill()
    killed = time.monotonic()
    eventually("the machine is down", lambda: nodes()["c0"]["Status"] == "down")
    took = time.monotonic() - killed
    check(took < 13, "it took %.1f s, and no less without Consul" % took)
    events = server.get("/v1/node/" + nodes()["c0"]["ID"]).json()["Events"]
    check("Consul sees its machine dead, it does not answer at its address" in events[-1]["Message"], str(events))
    print("       %.1f s from the death of a machine to its node being down" % took)
    time.sleep(5)
    check(nodes()["c1"]["Status"] == "ready" and len(server.get("/v1/node/" + nodes()["c1"]["ID"]).json()["Events"]) == 1, "c1 was down")


def test_after_a_reboot_the_audit_is_clean(cluster):
    consul, server, client = running_pair(cluster)
    client.kill()
    end_tasks(client)
    consul.clients[0].kill()
    consul.clients[0].start()
    client.start()
    server.wait_status("web", "running")
    clean(server, 60, judged=6)
    passing(consul.servers[0], "web", 2)


def test_after_the_data_folder_was_wiped_the_audit_is_clean(cluster):
    consul, server, client = running_pair(cluster)
    client.kill()
    end_tasks(client)
    shutil.rmtree(client.data)
    old = {a["ID"] for a in server.allocs("web")}
    client.start()
    live = eventually("the job runs again", lambda: (lambda l: l if len(l) == 2 else None)(
        [a for a in server.allocs("web") if a["ClientStatus"] == "running" and a["ID"] not in old]), 60)
    clean(server, 60)
    passing(consul.servers[0], "web", 2)
    stand = set(of_job(consul.servers[0], "web"))
    check(stand == {"_nomad-task-%s-group-g-web-http" % a["ID"] for a in live}, str(stand))
    check(len(of_job(consul.servers[0], "drover-client")) == 1, str(of_job(consul.servers[0], "drover-client")))


def test_after_its_address_has_changed_the_audit_is_clean(cluster):
    consul, server, client = running_pair(cluster)
    client.kill()
    with open(client.conf) as f:
        conf = f.read()
    with open(client.conf, "w") as f:
        f.write(conf.replace('bind_addr = "127.0.0.1"', 'bind_addr = "0.0.0.0"\nadvertise { http = "127.0.0.2" }'))
    client.start()
    clean(server, 60, judged=6)
    address = [s["ServiceAddress"] for s in of_job(consul.servers[0], "drover-client").values()]
    check(address == ["127.0.0.2"], str(address))
    check(restarts(server) == [0, 0], str(restarts(server)))


def test_a_consul_that_is_away_for_a_minute_restarts_nothing_and_all_is_right_when_it_is_back(cluster):
    consul, server, client = running_pair(cluster)
    consul.clients[0].kill()
    server.register(job("late", [{"Name": "late", "PortLabel": "http"}]))
    server.wait_status("late", "running", count=1)
    time.sleep(60)
    check(restarts(server) == [0, 0] and restarts(server, "late") == [0], str(restarts(server)))
    check(audit(server)[0] == 1 or "Not judged" in audit(server)[1], "it is not clean while Consul is away")
    consul.clients[0].start()
    clean(server, 30, judged=7)
    check(restarts(server) == [0, 0] and restarts(server, "late") == [0], str(restarts(server)))
    passing(consul.servers[0], "web", 2)


def test_in_a_steady_state_consul_is_hardly_asked(cluster):
    consul, server, client = running_pair(cluster)

    def calls():
        return sum(c["Sum"] for c in client.get("/v1/metrics").json()["Counters"] if c["Name"] == "drover.consul.calls")
    server.delete("/v1/job/web")
    server.register(job("many", [{"Name": "many", "PortLabel": "http", "Checks": [http_check(Name="page", Interval=2 * SECOND)]}], count=20))
    server.wait_status("many", "running", count=20)
    passing(consul.servers[0], "many", 20)
    time.sleep(20)
    before = calls()
    time.sleep(60)
    asked = calls() - before
    check(asked <= 6, "%d calls in 60 s; at most one in 10 s is allowed" % asked)
    check(asked > 0, "nothing was counted")


# ---- for people ----

def test_alloc_status_and_alloc_checks_show_services_and_checks_with_their_output(cluster):
    consul, agent = one(cluster)
    agent.register(job("web", [{"Name": "web", "PortLabel": "http", "Checks": [
        http_check(Name="page"), script_check("echo not quite; echo second line; exit 1", Name="mood")]},
        {"Name": "odd", "PortLabel": "http", "AddressMode": "driver"}]))
    alloc = agent.wait_status("web", "running", count=1)[0]
    passing_page = lambda: checks_of(consul, "web").get("page", {}).get("Status") == "passing" and \
        checks_of(consul, "web")["mood"]["Status"] == "warning"  # noqa: E731
    eventually("the checks have turned", passing_page)

    def shown():
        text = agent.cli("alloc", "status", alloc["ID"])[0]
        return text if re.search(r"page +http +passing +HTTP GET", text) and re.search(r"mood +script +warning +not quite\n", text) else None
    text = eventually("alloc status shows the checks", shown)
    check(re.search(r"web +\(group\) +[\d.]+:%d +registered\n" % port_of(agent, alloc["ID"]), text), text)
    check(re.search(r'odd +\(group\) .*refused: address_mode = "driver" needs', text), text)
    check(re.search(r'Service Not Registered +service "odd": address_mode = "driver"', text), text)
    text = agent.cli("alloc", "checks", alloc["ID"])[0]
    check("Status of 2 Service Checks" in text and "Output  = not quite\nsecond line\n" in text, text)
    listed = json.loads(agent.cli("alloc", "checks", "-json", alloc["ID"])[0])
    check({c["Check"]: c["Status"] for c in listed.values()} == {"page": "success", "mood": "failure"}, str(listed))


# ---- rights ----

def preflight(cluster, *args, expect=0, env=None):
    r = subprocess.run([DROVER, "consul", "preflight", *args], capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, **(env or {})))
    check(r.returncode == expect, "preflight %s: exit %d, expected %d\n%s%s" % (args, r.returncode, expect, r.stdout, r.stderr))
    return r.stdout + r.stderr


def token_file(cluster, name, token):
    path = os.path.join(cluster.dir, name)
    with open(path, "w") as f:
        f.write(token)
    os.chmod(path, 0o600)
    return path


def test_with_default_deny_the_printed_policies_suffice_for_everything(cluster):
    consul = cluster.consul(clients=1, acl=True)
    server = cluster.agent("server", client=False, journal="consul", config=consul.servers[0].block(
        'sweep_after = "5s"', token_file=os.path.join(cluster.dir, "server.token")))
    client = cluster.agent("client", server=False, servers=[server.address], config=consul.clients[0].block(
        token_file=os.path.join(cluster.dir, "client.token")))
    tokens = {}
    for agent, role in ((server, "server"), (client, "client")):
        policy = preflight(cluster, "-config", agent.conf, "-policy")
        tokens[role] = consul.new_token(policy)
        token_file(cluster, role + ".token", tokens[role])
        text = eventually("the token has come to every Consul", lambda: (lambda r: r.stdout if r.returncode == 0 else None)(
            subprocess.run([DROVER, "consul", "preflight", "-config", agent.conf], capture_output=True, text=True)))
        check(policy.strip() in text and " NO " not in text, text)
    check('key_prefix "drover/global/" write yes' in re.sub(" +", " ", preflight(cluster, "-config", server.conf)), "the journal's keys")
    # A token that has less is told what it lacks; one that does not exist, that it is not known.
    less = token_file(cluster, "less", consul.new_token('node_prefix "" { policy = "read" }'))
    address = {"CONSUL_HTTP_ADDR": consul.servers[0].address}
    eventually("the lesser token is known", lambda: subprocess.run(
        [DROVER, "consul", "preflight"], env=dict(os.environ, CONSUL_HTTP_TOKEN_FILE=less, **address), capture_output=True).returncode == 1)
    text = preflight(cluster, "-role", "client", expect=1, env=dict(CONSUL_HTTP_TOKEN_FILE=less, **address))
    check("2 rights are missing" in text, text)
    preflight(cluster, expect=2, env=dict(CONSUL_HTTP_TOKEN="11111111-2222-3333-4444-555555555555", **address))
    server.start()
    client.start()
    eventually("the node is ready", lambda: [n for n in server.get("/v1/nodes").json() or [] if n["Status"] == "ready"])
    server.register(job("web", [{"Name": "web", "PortLabel": "http", "Checks": [
        http_check(Name="page"), script_check("exit 0", Name="ok")]}], update={
            "MinHealthyTime": SECOND, "HealthyDeadline": 20 * SECOND, "ProgressDeadline": 60 * SECOND}))
    alloc = server.wait_status("web", "running", count=1)[0]
    passing(consul.servers[0], "web")
    eventually("it is healthy", lambda: (server.alloc(alloc["ID"]).get("DeploymentStatus") or {}).get("Healthy"))
    clean(server, judged=3)
    # The machine goes, with its Consul agent: the leader takes away what it left.
    client.kill()
    end_tasks(client)
    consul.clients[0].kill()
    eventually("Consul notices", lambda: [c for c in consul.servers[0].get("/v1/health/state/critical").json() if c["CheckID"] == "serfHealth"])
    check(of_job(consul.servers[0], "web"), "its entries outlive it at first")
    eventually("the leader removes its entries", lambda: not of_job(consul.servers[0], "web") and not of_job(
        consul.servers[0], "drover-client"), 60)
    check(len(of_job(consul.servers[0], "drover")) == 1, "those of others stay")


def test_one_service_that_the_token_may_not_register_does_not_hold_up_the_others(cluster):
    consul = cluster.consul(acl=True)
    rules = 'agent_prefix "" { policy = "read" } node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } ' \
        'service_prefix "drover" { policy = "write" } service "good" { policy = "write" }'
    token = token_file(cluster, "token", consul.new_token(rules))
    agent = cluster.one(config=consul.servers[0].block(token_file=token))
    agent.register(job("two", [{"Name": "bad", "PortLabel": "http"}, {"Name": "good", "PortLabel": "http", "Checks": [http_check()]}]))
    alloc = agent.wait_status("two", "running", count=1)[0]
    passing(consul.servers[0], "good")
    text = eventually("alloc status tells", lambda: (lambda t: t if re.search(r"bad .*failing: .*Permission denied", t) else None)(
        agent.cli("alloc", "status", alloc["ID"])[0]))
    check(re.search(r"good .* registered\n", text) and re.search(r'Service Not Registered +service "bad": Consul', text), text)
    # Within the first seconds of a change nothing is judged.
    code, said = eventually("the audit tells", lambda: (lambda r: r if "missing  bad" in r[1] else None)(audit(agent)))
    check(code == 1 and "1 differences" in said, said)
    # A better token in the same file is taken up without a restart.
    better = consul.new_token(rules + ' service "bad" { policy = "write" }')
    token_file(cluster, "token", better)
    eventually("bad is registered too", lambda: of_job(consul.servers[0], "bad"), 60)
    check(agent.alloc(alloc["ID"])["TaskStates"]["main"]["Restarts"] == 0, "nothing was restarted")
