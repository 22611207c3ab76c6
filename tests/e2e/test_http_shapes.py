"""The HTTP interface answers as the recordings say: status, headers, the shape of every JSON body, error texts."""
import os

from harness import eventually, lasts, shell_job
from shapes import HERE, Player

# What differs on purpose: where (recording and step), what (a difference as the comparison words it), why.
DELIBERATE = [
    (r"", r": has (NodePool|CgroupParent|HostNetworks|LastAllocUpdateIndex|LastMissedHeartbeatIndex|NodeMaxAllocs|"
     r"MinDynamicPort|MaxDynamicPort|NodesInPool|NextAllocation|SysBatchSchedulerEnabled|PauseEvalBroker|"
     r"RejectJobRegistration)$", "later versions of the interface have these fields"),
    (r"GET /v1/jobs\?meta=true", r"has Meta$", "later versions of the interface have ?meta"),
    (r"GET /v1/jobs\?per_page=1", r"x-nomad-nexttoken", "later versions of the interface have pages"),
    (r"", r"invalid character|cannot unmarshal", "errors in JSON name line and column, or the path of the value"),
    (r"", r"FailedTGAllocs\.\w+: has Reason$", "everything that waits says why"),
    (r"", r"FailedTGAllocs\.\w+\.ResourcesExhausted", "tells the same as DimensionExhausted and Reason"),
    (r"", r"\.Tags(: lacks (mvn|vsn|raft_vsn)|\.role: )", "there is no gossip and no raft whose versions could be told"),
    (r"", r"Servers\[\]: has (Lag|LastContact|LastIndex|State|Trouble)$", "how far each server has read the log"),
    (r"", r"TaskStates\.\w+: lacks TaskHandle", "always null; handles of drivers are the client's"),
    (r"", r"Cpu: (lacks ReservedCpuCores|has (ReservableCpuCores|TotalCpuCores))", "no cores are reserved"),
    (r"^01-agent GET /v1/agent/self", r"\$\.config[.:]", "the configuration is this agent's own"),
    (r"^19-client-only-agent GET /v1/agent/self", r"\$\.config[.:]", "the configuration is this agent's own"),
    (r"GET /v1/agent/self", r"\$\.stats", "the statistics are this agent's own"),
    (r"^00-conventions GET /v1/status/leader", r"content-encoding", "what fits into one packet is not compressed"),
    (r"^00-conventions GET /(ui/?)?$", r"", "there is no web page"),
    (r"", r"\.LastDrain: expected object, got null", "the node of the recording had been drained"),
    (r"^(10|11|12|19)", r"header (vary|access-control)", "pages of other origins do not read what clients have"),
    (r"^10-client-stats OPTIONS", r"", "pages of other origins do not read what clients have"),
    (r"(cat|readat)/", r"status: expected 200, got (400|404|500)", "an error has the status of an error"),
    (r"^04-job-read POST /v1/job/web/summary", r"status", "what is read is not posted"),
    (r"^11-client-fs POST", r"status", "what is read is not posted"),
    (r"^0[2-8]", r"Deployment(ID|Status)|\.Stable: |(NextEval|PreviousEval|WaitUntil)$|QueuedAllocations: expected object, got null",
     "updates go by the stagger; deployments are not made yet"),
    (r"^04-job-read GET /v1/job/web/deployment", r"", "deployments are not made yet"),
    (r"^05-job-actions POST /v1/job/once/plan", r"(create|DestructiveUpdate|Place|CreatedEvals)\b|Fields: expected list",
     "what is left of a purged job is nothing that would be updated"),
    (r"^05-job-actions POST /v1/job/web/scale", r"status: expected 400", "no deployment is active, so none forbids it"),
    (r"^05-job-actions GET /v1/job/web/scale", r"app\.Events", "acts of scaling are not kept yet"),
    (r"^05-job-actions GET /v1/job/(encode|tick)/summary", r"Children\.Dead", "jobs have no children yet"),
    (r"^05-job-actions GET /v1/job/encode(/|%2F)dispatch-", r"", "jobs have no children yet"),
    (r"^05-job-actions GET /v1/jobs\?prefix=tick/", r"", "jobs have no children yet"),
    (r"^14-search", r"Matches\.(deployment|scaling_policy): expected list, got null", "none of them exist yet"),
    (r"^07-allocations GET /v1/allocations\?prefix=", r"ClientDescription|ClientStatus|Migrate|FinishedAt|State",
     "it stops at once; the stop is the desired state, not a transition"),
    (r"^07-allocations GET /v1/allocation/\{failed\}", r"lacks FollowupEvalID", "the evaluation that followed up is over"),
    (r"^19-client-only-agent GET /v1/metrics", r"Counters: expected no", "every series exists from the start"),
    (r"^19-.*(raft/configuration)", r"RaftProtocol", "there is no raft"),
    (r"^19-.*fs/logs", r"header content-type", "an error is text"),
    (r"^19-.*purge", r"EvalIDs", "what ran there has its evaluations since the node was lost"),
    (r"^19-a-node-that-is-gone GET /v1/node/\{node2\}/allocations", r"expected elements",
     "what was on a node that is forgotten is found under its jobs"),
    (r"^08-evaluations GET /v1/evaluation/\{blocked\}", r"has QueuedAllocations", "it says how many wait"),
    (r"^15.*scaled/scale", r"Healthy", "deployments, which know health, are not made yet"),
    (r"^15", r": lacks Hash$", "a namespace has no rules whose hash could be told"),
    (r"^15.*(POST /v1/jobs|(jobs|once)\?namespace=|namespace/team2$)", r"", "namespaces cannot be made yet"),
    (r"^17", r"RaftProtocol", "there is no raft"),
    (r"^17.*GET /v1/operator/raft/peer", r"status: expected 404, got 405", "a wrong verb is a wrong verb"),
    (r"^06-nodes POST /v1/node/\{node\}/drain", r"status: expected 400, got 200", "durations may be written as 1h"),
    (r"^06-nodes GET /v1/node/\{node\}/drain", r"status", "how a drain goes on can be asked"),
    (r"^06-nodes GET", r"\.Meta: lacks connect\.", "there is no mesh whose images could be named"),
    (r"^06-nodes GET /v1/node/\{node\}/nosuch", r"status", "there is no such path"),
    (r"^0[67]", r"\.Status: expected \"pending\"", "the job is shown as it is, not as it was when the allocation was made"),
    (r"^0[67]", r"lacks NetworkStatus", "an allocation on the host's network has no other"),
    (r"^06.*eligibility", r"EvalIDs", "only jobs that a node can concern get an evaluation: system jobs"),
    (r"^(11|19).*GET /v1/client/fs/ls", r"FileMode", "folders belong to their task's user alone"),
    (r"^07-allocations GET /v1/allocation/\{web\}/services", r"status", "later versions of the interface have this path"),
    (r"^10-client-stats GET /v1/client/allocation/\{web\}/checks", r"status", "later versions of the interface have this path"),
    (r"^10-client-stats GET .*gc", r"still runs", "the reason is told"),
    (r"^10-client-stats GET /v1/client/allocation/\{done\}", r"\$\.", "what has ended uses nothing"),
    (r"^10-client-stats .*task=nosuch", r"\$\.", "the whole allocation is told in any case"),
    (r"^12-client-logs", r"header content-type: expected .*, got text/plain; charset=utf-8", "an error is text"),
    (r"^03.*jobs/parse", r"Resources\.(DiskMB|IOPS|MemoryMaxMB)|\.MBits|\.HostNetwork|(Restart|Reschedule)Policy\.",
     "a canonical group is what the server makes of it"),
    (r"^03.*jobs/parse", r"^body: expected", "errors show the line of the file"),
]

# What belongs to features that do not exist yet: answered with 501, or 404 with a sentence.
LATER = [
    (r"/v1/event/stream", "event stream"),
    (r"/v1/deployment/(promote|pause|fail|unblock|allocation-health)/", "actions on deployments"),
    (r"^09.* GET /v1/deployment(s|/\{|/allocations|/nosuch)", "deployments"),
    (r"/v1/scaling/", "scaling policies"),
    (r" (POST|PUT|DELETE) /v1/namespace", "namespaces"),
    (r"/v1/operator/(snapshot|autopilot)", "snapshots and autopilot"),
    (r"/v1/search/fuzzy", "fuzzy search"),
    (r"/v1/job/encode/dispatch", "parameterized jobs"),
    (r"/v1/job/tick/periodic/force", "periodic jobs"),
    (r"/v1/(quotas|sentinel|recommendations|operator/license)", "enterprise features"),
    (r"/v1/agent/(keyring|host|pprof)", "diagnostics of other programs"),
    (r"/v1/client/allocation/\{web\}/(exec|snapshot)", "exec; sticky disks that move"),
]


def run_file(agent, name, job_id=None):
    """Registers a job file; the server turns it into JSON."""
    with open(os.path.join(HERE, "jobs", name + ".nomad")) as f:
        job = agent.put("/v1/jobs/parse", {"JobHCL": f.read()}).json()
    if job_id:
        job["ID"] = job["Name"] = job_id
    return agent.register(job)


def this_node(agent):
    return agent.get("/v1/nodes").json()[0]["ID"]


def player(agent, **ids):
    return Player(agent, DELIBERATE, LATER, **ids)


def test_conventions(cluster):
    a = cluster.one()
    p = player(a)
    p.report(p.play("00-conventions"))


def test_agent(cluster):
    a = cluster.one()
    p = player(a)
    p.report(p.play("01-agent"))


def test_jobs(cluster):
    a = cluster.one()
    p = player(a)

    def more():
        a.delete("/v1/job/warned?purge=true")
        for name in ("tick", "encode"):
            run_file(a, name)

    def forget_once():
        a.delete("/v1/job/once?purge=true")
    found = p.play("02-jobs-register-and-list", before={"GET /v1/jobs?prefix=w": more})
    found += p.play("03-jobs-parse-and-validate")
    found += p.play("04-job-read")
    found += p.play("05-job-actions", before={"POST /v1/job/once/plan": forget_once})
    p.report(found)


def test_nodes(cluster):
    cluster.client_options = 'meta { rack = "r1" }'
    a = cluster.one()
    run_file(a, "web")
    a.wait_status("web", "running", count=2)
    p = player(a, node=this_node(a))
    p.report(p.play("06-nodes"))


def test_allocations_and_evaluations(cluster):
    a = cluster.one()
    run_file(a, "web")
    run_file(a, "fails")
    short = run_file(a, "toobig")["EvalID"]
    a.wait_status("web", "running", count=2)
    replaced = eventually("the failed allocation is replaced and the other has failed too", lambda: (
        lambda allocs: len(allocs) == 2 and all(x["ClientStatus"] == "failed" for x in allocs) and allocs)(a.allocs("fails")))
    first = [x for x in replaced if not x["RescheduleTracker"]][0]
    web = [x for x in a.allocs("web") if x["Name"] == "web.app[1]"][0]
    p = player(a, node=this_node(a), web=web["ID"], failed=first["ID"], eval=web["EvalID"], short=short,
               blocked=a.get("/v1/evaluation/" + short).json()["BlockedEval"])
    found = p.play("08-evaluations")
    p.report(found + p.play("07-allocations"))


def test_deployments(cluster):
    a = cluster.one()
    run_file(a, "web")
    a.wait_status("web", "running", count=2)
    p = player(a, canary="31b26df3-cb2f-c1d0-5ab3-e11fcbedf248", other="569b06a0-8bf4-629a-459b-773be75d3e13",
               healthy=a.allocs("web")[0]["ID"])
    p.report(p.play("09-deployments"))


def test_what_clients_answer(cluster):
    a = cluster.one()
    run_file(a, "web")
    run_file(a, "stages")
    web = a.wait_status("web", "running", count=2)[0]["ID"]
    stages = a.wait_status("stages", "complete")[0]["ID"]
    p = player(a, node=this_node(a), web=web, stages=stages, done=stages)
    found = p.play("11-client-fs")
    found += p.play("12-client-logs")

    def started():
        state = a.alloc(web)["TaskStates"]["server"]
        return state["State"] == "running" and state["Events"][-1]["Type"] in ("Started", "Signaling") and state["StartedAt"]
    before, turns = [started()], iter([False, True, True, True, False])

    def running():
        """A restart is answered at once; the task is back a moment later."""
        if next(turns):
            before.append(eventually("the task runs again", lambda: started() not in (False, before[-1]) and started()))
    again = ("PUT /v1/client/allocation/{web}/restart", "PUT /v1/client/allocation/{web}/signal",
             "GET /v1/client/allocation/{web}/restart")
    p.report(found + p.play("10-client-stats", before={step: running for step in again}))


def test_search(cluster):
    a = cluster.one()
    run_file(a, "web")
    run_file(a, "web", "web-two")
    web = a.wait_status("web", "running", count=2)[0]["ID"]
    p = player(a, node=this_node(a), web=web)
    p.report(p.play("14-search"))


def test_scaling_and_namespaces(cluster):
    a = cluster.one()
    for name in ("web", "scaled", "once"):
        run_file(a, name)
    p = player(a, policy="b5831b97-2984-e735-9100-83ddab084ede")
    p.report(p.play("15-scaling-and-namespaces"))


def test_events(cluster):
    p = player(cluster.one())
    p.report(p.play("16-event-stream"))


def test_system_and_operator(cluster):
    p = player(cluster.one())
    p.report(p.play("17-system-and-operator"))


@lasts(27)
def test_an_agent_that_is_only_a_client(cluster):
    a = cluster.one()
    b = cluster.agent("two", server=False, servers=[a.address]).start()
    eventually("two nodes", lambda: len([n for n in a.get("/v1/nodes").json() if n["Status"] == "ready"]) == 2)
    node2 = [n for n in a.get("/v1/nodes").json() if n["Name"] == "two"][0]["ID"]
    a.register(shell_job("crunch-long", "exec sleep 1000", count=2))
    run_file(a, "web")
    a.wait_status("web", "running", count=2)
    on_two = [x["ID"] for x in a.allocs("web") if x["NodeID"] == node2][0]
    ids = {"node": this_node(a), "web": a.allocs("web")[0]["ID"], "two": on_two, "node2": node2}
    p, q = player(b, **ids), player(a, **ids)
    found = p.play("19-client-only-agent")
    found += q.play("19-through-the-server")
    b.kill()
    eventually("the node is down", lambda: a.get("/v1/node/" + node2).json()["Status"] == "down")
    q.report(found + q.play("19-a-node-that-is-gone"))
