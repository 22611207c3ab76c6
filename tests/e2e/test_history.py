"""Histories under faults (run_history.py), and that their checker finds what it is there for."""
import os
import subprocess
import sys

import history
from harness import ROOT, check, lasts
from history import FAILED, OK, UNKNOWN, Operation


def faults(seconds, *options):
    @lasts(seconds + 15)
    def test(cluster):
        r = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "e2e", "run_history.py"), str(seconds), *options], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        check(r.returncode == 0, r.stdout)
        print("".join("       %s\n" % line for line in r.stdout.splitlines()), end="")
    return test


test_with_one_consul_server_a_history_under_faults_holds = faults(15)
test_on_machines_that_are_cut_off_a_history_under_faults_holds = faults(25, "--net", "--consul-servers", "3")


def op(kind, start, end, outcome=OK, key="k", value=None, index=None, seen=None, expect=None, text=""):
    o = Operation(kind, "s", key, value, expect)
    o.start, o.end, o.outcome, o.index, o.seen, o.text = start, end, outcome, index, seen, text
    return o


def told(words, *operations, final=None):
    problems = history.check(list(operations), final)
    if words is None:
        check(not problems, "a sound history was refused: %s" % problems)
    else:
        check(any(words in p for p in problems), "expected \"%s\", told %s" % (words, problems))


def test_a_checker_takes_what_is_sound_and_finds_what_is_not(cluster):
    a, b = op("set", 0, 1, value="a", index=5), op("set", 2, 3, value="b", index=7)
    told(None, a, b, op("get", 4, 5, seen=[("k", 7, "b")]), op("get", 0.5, 2.5, seen=[("k", 5, "a")]), final={"k": (7, "b")})
    told(None, a, op("get?stale", 4, 5, seen=[("k", 0, None)]), final={"k": (5, "a")})
    told(None, a, op("set", 2, 3, UNKNOWN, value="b"), op("get", 8, 9, seen=[("k", 9, "b")]), final={"k": (9, "b")})
    told("went back in time", a, b, op("get", 4, 5, seen=[("k", 5, "a")]))
    told("went back in time", a, op("list", 4, 5, key=None, seen=[("other", 9, None)]))
    told("went back in time", a, op("get", 2, 3, seen=[("k", 8, "x")]), op("get", 4, 5, seen=[("k", 5, "a")]),
         op("set", 1, 9, UNKNOWN, value="x"))
    told("fork", a, op("set", 2, 3, value="b", index=5))
    told("after entry", b, op("set", 4, 5, value="c", index=6))
    told("written twice", a, op("set", 2, 3, UNKNOWN, value="b"), op("get", 4, 5, seen=[("k", 6, "b")]),
         op("get", 6, 7, seen=[("k", 8, "b")]))
    told("acknowledged and lost", a, final={})
    told("acknowledged and lost", a, b, final={"k": (5, "a")})
    told("it failed and is there", op("set", 0, 1, FAILED, value="a"), op("get", 2, 3, seen=[("k", 5, "a")]))
    told("it failed and is there at the end", op("set", 0, 1, FAILED, value="a"), final={"k": (5, "a")})
    told("nobody has written this", op("get", 2, 3, seen=[("k", 5, "a")]))
    told("lies between", a, b, op("cas", 4, 5, value="c", index=9, expect=5))
    told("refused although", a, op("get", 1.1, 1.2, seen=[("k", 5, "a")]), op("get", 8, 9, seen=[("k", 5, "a")]),
         op("cas", 4, 5, FAILED, value="c", expect=5, text="refused"))
