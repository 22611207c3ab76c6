"""Blocking queries: when they answer, with which index, and what wakes them."""
import threading
import time

from harness import check, eventually, shell_job


def timed(agent, path):
    began = time.monotonic()
    answer = agent.get(path)
    return answer, time.monotonic() - began


def changes(agent, path, change, after=0.4):
    """Asks with the present index; the change is made a moment later. Returns the answer."""
    index = agent.get(path).index
    began = []
    timer = threading.Timer(after, lambda: (began.append(time.monotonic()), change()))
    timer.start()
    answer, took = timed(agent, "%s%sindex=%d&wait=30s" % (path, "&" if "?" in path else "?", index))
    answered = time.monotonic()
    timer.join()
    check(answer.index > index, "%s: index %d after %d" % (path, answer.index, index))
    check(began and began[0] <= answered and took < 15, "%s took %.1f s" % (path, took))
    return answer


def test_an_index_decides_whether_there_is_anything_to_wait_for(cluster):
    a = cluster.one()
    a.register(shell_job("web", "exec sleep 1000", kind="service", count=0))
    path = "/v1/job/web/summary"
    index = a.get(path).index
    for query, least, most in (("", 0, 1), ("?index=%d&wait=30s" % (index - 1), 0, 1), ("?index=1", 0, 1), ("?index=0&wait=30s", 0, 1),
                               ("?index=%d&wait=1s" % index, 1, 4), ("?index=%d&wait=500ms" % index, 0.5, 4),
                               ("?index=%d&wait=1s" % (index + 100), 1, 4), ("?index=&wait=", 0, 1)):
        answer, took = timed(a, path + query)
        check(answer.status == 200 and answer.index == index, "%s: %d, index %d" % (query, answer.status, answer.index))
        check(least <= took < most, "%s took %.2f s" % (query, took))
    for query in ("?index=abc", "?index=-1", "?index=1&wait=abc", "?index=%d&wait=2" % index):
        check(a.get("/v1/jobs" + query).status == 400, query)
    # Where there is nothing to wait for, an index is no reason to wait.
    for path in ("/v1/status/leader", "/v1/agent/self", "/v1/regions"):
        check(timed(a, path + "?index=99999999&wait=30s")[1] < 3, path)


def test_what_is_watched_wakes_and_nothing_else_does(cluster):
    a = cluster.one()
    a.register(shell_job("other", "true", count=0))
    changes(a, "/v1/jobs", lambda: a.register(shell_job("new", "true", count=0)))
    answer = changes(a, "/v1/job/new", lambda: a.register(shell_job("new", "true", count=0, Meta={"a": "b"})))
    check(answer.json()["TaskGroups"][0]["Meta"] == {"a": "b"}, answer.text)
    changes(a, "/v1/job/new/versions", lambda: a.register(shell_job("new", "true", count=0, Meta={"a": "c"})))
    changes(a, "/v1/job/new/evaluations", lambda: a.put("/v1/job/new/evaluate"))
    changes(a, "/v1/evaluations", lambda: a.put("/v1/job/new/evaluate"))
    # What does not exist can be waited for.
    answer = changes(a, "/v1/job/later", lambda: a.register(shell_job("later", "exec sleep 1000", kind="service")))
    check(answer.status == 200, "%d %s" % (answer.status, answer.text))
    a.wait_status("later", "running")
    alloc = a.allocs("later")[0]["ID"]
    node = a.get("/v1/nodes").json()[0]["ID"]
    changes(a, "/v1/allocation/" + alloc, lambda: a.put("/v1/allocation/%s/stop" % alloc))
    a.register(shell_job("calm", "exec sleep 1000", kind="service"))
    a.wait_status("calm", "running")
    eventually("nothing is told of it for a second", lambda: timed(a, "/v1/job/calm/allocations?index=%d&wait=1s" % a.get(
        "/v1/job/calm/allocations").index)[1] >= 1)
    changes(a, "/v1/job/calm/allocations", lambda: a.delete("/v1/job/calm"))
    for path in ("/v1/nodes", "/v1/node/" + node):
        changes(a, path, lambda: a.put("/v1/node/%s/eligibility" % node, {
            "Eligibility": "ineligible" if a.get("/v1/node/" + node).json()["SchedulingEligibility"] == "eligible" else "eligible"}))
    changes(a, "/v1/node/%s/allocations" % node, lambda: (
        a.put("/v1/node/%s/eligibility" % node, {"Eligibility": "eligible"}), a.register(shell_job("more", "true"))))
    # A change of another job leaves a watcher of this one alone.
    index = a.get("/v1/job/other").index
    timer = threading.Timer(0.3, lambda: a.register(shell_job("new", "true", count=0, Meta={"a": "d"})))
    timer.start()
    answer, took = timed(a, "/v1/job/other?index=%d&wait=1500ms" % index)
    timer.join()
    check(took >= 1.5 and answer.index == index, "woken after %.2f s with index %d" % (took, answer.index))
