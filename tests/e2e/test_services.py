"""Services and checks of tasks in a real Consul: registered while the task runs, taken out before it is stopped, judged by
Consul, repaired when somebody or something alters them."""
import json
import os
import re
import subprocess
import time

from harness import Failed, check, eventually

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
