"""The tour of the README is true: its commands are run in their order, and they print what it shows.

A block that begins with ```console holds commands ("$ ...") and what they print; "..." stands for lines left out. What
differs from run to run (ids, times, sizes, ports, which slice of the build) may differ; everything else may not. Ids and
ports that the README shows and later types again stand for those of this run.
"""
import os
import re
import subprocess

from harness import DROVER, KEEPER, ROOT, check, eventually, free_port

HOME = "/home/ann/drover"  # where the reader's clone lies, in what the README shows
LOOKS = re.compile(r"drover (node|job|alloc) status|drover (why|logs|alloc logs|alloc fs)|curl")
MODULES = "|".join(sorted(f[:-2] for f in os.listdir(os.path.join(ROOT, "etc", "example", "src")) if f.endswith(".c")))
VARIES = [  # in what is shown -> what may stand there
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", r"([0-9a-f]{8}-[0-9a-f-]{27})"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b", r"([0-9a-f]{8})"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    (r"\b[\dms]+s ago", r"[\dms]+s ago"),
    (r"\d[\d.]* [KMG]?i?B\b", r"\d[\d.]* [KMG]?i?B"),
    (r"\b127\.0\.0\.1:(\d+)", r"127\.0\.0\.1:(\d+)"),
    (r"\d+(?:\.\d+)?", r"\d+(?:\.\d+)?"),
    (r"\b(?:%s)\b" % MODULES, r"(?:%s)" % MODULES),
    (r"\s+", r"\s+"),
]
ANY = re.compile("|".join("(?P<v%d>%s)" % (n, re.sub(r"\((?!\?)", "(?:", shown)) for n, (shown, _) in enumerate(VARIES)))


def blocks(text):
    """[(command, lines shown)] of the console blocks, in order."""
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
    return steps


def pattern(line):
    """A regular expression for a line like this one; and its ids and ports, in the order of the groups."""
    out, ids, at = "", [], 0
    line = line.rstrip()
    for m in ANY.finditer(line):
        out += re.escape(line[at:m.start()])
        n = next(i for i in range(len(VARIES)) if m["v%d" % i] is not None)
        out += VARIES[n][1]
        if "(" in VARIES[n][1].replace("(?:", ""):
            ids.append(m[0].removeprefix("127.0.0.1:"))
        at = m.end()
    return re.compile(out + re.escape(line[at:]) + r"\s*"), ids


def matches(shown, printed, known):
    """Whether it is as shown; what the ids of the README stand for goes into known."""
    def match(i, j, found):
        while i < len(shown):
            if shown[i] == "...":
                return next((r for k in range(j, len(printed) + 1) if (r := match(i + 1, k, dict(found))) is not None), None)
            m = None
            if j < len(printed):
                rx, ids = pattern(shown[i])
                m = rx.fullmatch(printed[j])
            if not m:
                return None
            for old, new in zip(ids, m.groups()):
                found.setdefault(old, new)
            i, j = i + 1, j + 1
        return found if j == len(printed) else None
    found = match(0, 0, dict(known))
    known.update(found or {})
    return found is not None


class Shell:
    """One bash for the whole tour."""

    def __init__(self, env, cwd):
        self.process = subprocess.Popen(["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.STDOUT, env=env, cwd=cwd, errors="replace")

    def run(self, command):
        self.process.stdin.write(command + "\nprintf '\\n@end@\\n'\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) and line != "@end@\n":
            lines.append(line.rstrip())
        while lines and not lines[-1]:
            lines.pop()
        return [x for x in lines if not re.search(r":\s+\d+ (Killed|Terminated) ", x)]  # what only a script is told

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def test_the_tour_of_the_readme_prints_what_it_shows(cluster):
    path = os.path.join(ROOT, "README.md")
    with open(path) as f:
        text = f.read()
    steps = [s for s in blocks(text) if not re.match(r"git clone|cd |make ", s[0])]
    check(len(steps) > 10, "the README has %d commands to try" % len(steps))
    user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    here = "on %s, task agent, as %s" % (os.uname().nodename, user)
    port, known = free_port(), {}
    tour = os.path.join(cluster.dir, "tour")
    cluster.agent("tour", client=False).data = tour  # close() ends what the tour may leave
    shell = Shell(dict(os.environ, DROVER_KEEPER=KEEPER, DROVER_ADDR="http://127.0.0.1:%d" % port), ROOT)
    try:
        for command, shown in steps:
            typed = command.replace("$PWD/build", os.path.dirname(DROVER)).replace("/tmp/drover-tour", tour)
            typed = typed.replace("agent -dev", "agent -dev -http-port %d" % port)
            for old, new in known.items():
                typed = re.sub(r"\b%s\b" % re.escape(old), new, typed)
            said = []

            def as_shown():
                said.append([x.replace(ROOT, HOME).replace(here, "on tour, task agent, as ann") for x in shell.run(typed)])
                return matches(shown, said[-1], known)

            try:
                # What only looks is looked at until it is so, as a person would: things take a moment.
                eventually("it prints what is shown", as_shown, 30 if LOOKS.match(command) else 0)
            except AssertionError:
                raise AssertionError("$ %s\nthe README shows:\n%s\nand it prints:\n%s" % (
                    typed, "\n".join(shown), "\n".join(said[-1]))) from None
            if "agent -dev" in command:
                eventually("the agent answers", lambda: " active" in "".join(shell.run("drover node status")))
    finally:
        shell.run("kill %1 %2 2>/dev/null; wait")
        shell.close()
