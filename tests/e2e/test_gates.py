"""The gates of `make check` close: each finds what it is there for. The sources are copied to a folder with a space in
its name and broken there."""
import os
import shutil
import stat
import subprocess

from harness import DROVER, ROOT, check


class Copy:
    def __init__(self, cluster):
        self.dir = os.path.join(cluster.dir, "a copy")
        os.makedirs(self.dir)
        for name in (".ci", "Makefile", "README.md", "base", "discovery", "sched", "agent", "daemon", "docs", "etc", "scripts",
                     "packaging", "tests"):
            source = os.path.join(ROOT, name)
            if os.path.isdir(source):
                shutil.copytree(source, self.path(name), ignore=shutil.ignore_patterns("corpus", "__pycache__"))
            else:
                shutil.copy(source, self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def with_line(self, name, line):
        """Adds a line at the end and returns what takes it away again."""
        before = self.read(name)
        self.write(name, before + line + "\n")
        return lambda: self.write(name, before)

    def script(self, name, text):
        self.write(name, "#!/bin/sh\n" + text)
        os.chmod(self.path(name), stat.S_IRWXU)
        return self.path(name)

    def tools(self, *names):
        """A PATH with nothing but these."""
        folder = self.path("tools")
        os.makedirs(folder, exist_ok=True)
        for name in names:
            os.symlink(shutil.which(name), os.path.join(folder, name))
        return {"PATH": folder}

    def run(self, *args, env=None):
        r = subprocess.run(args, cwd=self.dir, capture_output=True, text=True, timeout=300, env=env, errors="replace")
        return r.returncode, r.stdout + r.stderr

    def passes(self, *args, **kw):
        code, out = self.run(*args, **kw)
        check(code == 0, "%s: exit %d\n%s" % (" ".join(args), code, out))
        return out

    def fails(self, *args, **kw):
        code, out = self.run(*args, **kw)
        check(code != 0, "%s found nothing\n%s" % (" ".join(args), out))
        return out


def test_the_gate_of_layers_finds_an_include_that_points_up(cluster):
    c = Copy(cluster)
    c.passes("scripts/check-layers")
    for file, line, part in (("base/util.c", '#include "sched/state.h"', "base may include only: base"),
                             ("agent/client.c", '  #  include "sched/state.h"', "agent may include only"),
                             ("sched/state.c", "#include <daemon/httpd.h>", "sched may include only"),
                             ("discovery/dns.c", '#include "dns.h"', "discovery may include only"),
                             ("sched/plan.c", "#include <time.h>", "sched/plan.c"),
                             ("sched/broker.h", "static inline long now(void) { return time(NULL); }", "sched/broker.h")):
        undo = c.with_line(file, line)
        out = c.fails("scripts/check-layers")
        check(part in out and file in out, out)
        undo()
    c.passes("scripts/check-layers")


def test_the_gate_of_layers_finds_a_call_that_points_up(cluster):
    c = Copy(cluster)
    built = c.path("built here")
    os.makedirs(built)

    def library(layer, source):
        c.write("built here/%s.c" % layer, source)
        archive = os.path.join(built, "lib%s.a" % layer)
        if os.path.exists(archive):
            os.unlink(archive)
        subprocess.run(["cc", "-c", "-o", layer + ".o", layer + ".c"], cwd=built, check=True)
        subprocess.run(["ar", "rcs", archive, layer + ".o"], cwd=built, check=True)

    out = c.fails("scripts/check-layers", built)
    check("is it built?" in out, out)
    library("base", "void base_do(void) { }")
    library("discovery", "void base_do(void); void discovery_do(void) { base_do(); }")
    library("sched", "void base_do(void); void sched_do(void) { base_do(); }")
    library("agent", "void discovery_do(void); void agent_do(void) { discovery_do(); }")
    library("daemon", "void sched_do(void); void agent_do(void); void daemon_do(void) { sched_do(); agent_do(); }")
    c.passes("scripts/check-layers", built)
    library("base", "void daemon_do(void); void base_do(void) { daemon_do(); }")
    out = c.fails("scripts/check-layers", built)
    check("libbase.a: uses daemon_do() of daemon" in out, out)
    library("base", "void base_do(void) { }")
    library("sched", "long time(long *); long sched_do(void) { return time(0); }")
    out = c.fails("scripts/check-layers", built)
    check("libsched.a: calls time()" in out, out)


def test_the_gate_of_sizes_finds_what_is_too_long(cluster):
    c = Copy(cluster)

    def says_of(file, text):
        undo = c.with_line(file, text)
        out = c.run("scripts/check-size")[1]
        undo()
        return [line for line in out.splitlines() if line.startswith(file + ":")]
    function = "\nvoid much(void);\nvoid much(void)\n{\n%s}"
    check(says_of("base/uuid.c", function % ("\tuuid_random();\n" * 97)) == [], "a function of 100 lines is refused")
    out = says_of("base/uuid.c", function % ("\tuuid_random();\n" * 98))
    check(len(out) == 1 and "much() has 101 lines" in out[0], str(out))
    out = says_of("base/err.h", "\n" * 700)
    check(len(out) == 1 and "700 are the limit" in out[0], str(out))
    out = c.fails("scripts/check-size", env=c.tools("sh", "dirname", "grep", "wc", "awk"))
    check("Universal Ctags is missing" in out, out)


def test_the_gate_of_docs_finds_what_is_not_so(cluster):
    c = Copy(cluster)
    c.passes("scripts/check-docs", DROVER)
    for file, line, part in (("docs/commands.md", "x", "make docs"), ("etc/drover.conf", "#x = 1", "make docs"),
                             ("README.md", "`drover job dance`", 'no command "drover job dance"'),
                             ("README.md", "`drover node status -dance`", "no flag -dance"),
                             ("README.md", "```console\n$ drover nodes\n```", 'no command "drover nodes"'),
                             ("README.md", "`make dance`", "no target dance"),
                             ("README.md", "[x](docs/dance.md)", "leads nowhere"),
                             ("README.md", "`etc/dance.nomad`", "no etc/dance.nomad"),
                             ("README.md", "ask /v1/dance", "no route /v1/dance")):
        undo = c.with_line(file, line)
        out = c.fails("scripts/check-docs", DROVER)
        check(part in out and file in out, out)
        undo()


def test_the_gate_of_the_executables_size_measures_it(cluster):
    c = Copy(cluster)
    for name, size in (("small", 1), ("big", 2 << 20)):
        c.write(name + ".c", "const char big[%d] = {1}; int main(void) { return big[0]; }\n" % size)
        subprocess.run(["cc", "-o", name, name + ".c"], cwd=c.dir, check=True)
    c.passes("scripts/check-binary", c.path("small"))
    c.fails("scripts/check-binary", c.path("big"))


def test_the_runner_of_unit_tests_counts_every_way_to_fail(cluster):
    c = Copy(cluster)
    ok, failed = "echo '[       OK ] test_a'\n", "echo '[  FAILED  ] test_b'\n"

    def counted(*texts):
        tests = [c.script("t%d" % n, text) for n, text in enumerate(texts)]
        code, _ = c.run("scripts/run-unit", c.dir, *tests)
        named = c.read("unit.failed") if code else ""
        check(not code or "FAILED t" in named and ("test_b" in named) == (failed in "".join(texts)), named)
        return code, c.read("unit.count").strip()
    for texts, expected in (((ok, ok), (0, "2 0")),
                            ((ok + failed + failed + "exit 1",), (1, "1 1")),  # named where it fails, and at the end
                            ((ok + "exit 1",), (1, "1 1")),
                            (("kill -11 $$",), (1, "0 1")),
                            (("exit 0",), (1, "0 1")),
                            ((ok + "echo '[  SKIPPED ] test_c'",), (1, "1 1")),
                            ((ok, failed + "exit 1"), (1, "1 1"))):
        got = counted(*texts)
        check(got == expected, "%s: %s, expected %s" % (texts, got, expected))
    check(c.run("scripts/run-unit", c.dir)[0] != 0, "no test at all passes")


def test_the_runner_of_stories_counts_every_way_to_fail(cluster):
    c = Copy(cluster)
    c.write("tests/e2e/test_zz.py", """
import os
from harness import check
def test_passes(cluster): pass
def test_fails(cluster): check(False, "the reason")
def test_dies(cluster): os.kill(os.getpid(), 9)
def test_ends(cluster): os._exit(0)
def test_leaves(cluster): raise SystemExit(0)
""")
    out = c.fails("tests/e2e/run", "test_zz", env=dict(os.environ, O=c.dir))
    check(c.read("e2e.count").strip() == "1 4", out)
    said = c.read("e2e.failed")
    for words in ("FAILED zz fails", "the reason", "FAILED zz dies", "FAILED zz ends", "FAILED zz leaves"):
        check(words in said, said)


def test_check_counts_everything_and_names_at_its_end_what_failed(cluster):
    c = Copy(cluster)
    for name in os.listdir(c.path("scripts")):
        if name.startswith(("install-", "check-")):
            c.script("scripts/" + name, "echo good\n")
    tools = c.path("instead")
    os.makedirs(tools)
    c.script("instead/shellcheck", "exit 0\n")
    # What would build makes executables that end at once; the unit tests count as their runner does.
    c.script("instead/make", """mkdir -p build/asan build/fuzz
case "$*" in *unit*) echo "5 1" >build/asan/unit.count; printf 'FAILED a_test:\\nfirst reason\\n' >build/asan/unit.failed; exit 1 ;; esac
printf '#!/bin/sh\\necho step; echo "$0: runtime error: second reason"; exit 1\\n' >build/asan/sim; chmod +x build/asan/sim
""")
    c.script("scripts/fuzz", "echo 2 0 >build/fuzz/fuzz.count\n")
    c.script("tests/e2e/run", "echo much; seq 100; echo last words; exit 1\n")
    env = dict(os.environ, PATH=tools + ":" + os.environ["PATH"], BUILD="build")
    out = c.fails("scripts/check", env=env)
    end = out[out.index("== what failed"):]
    for words in ("FAILED a_test", "first reason", "FAILED 30 seconds of simulated clusters", "second reason",
                  "FAILED e2e ended without a count", "last words"):
        check(words in end, out)
    check(out.splitlines()[-1] == "%d passed, 3 failed" % (out.count("    ok ") + 5 + 2), out)
    c.script("tests/e2e/run", 'echo 7 0 >"$O/e2e.count"\n')
    c.script("instead/make", """mkdir -p build/asan build/fuzz
case "$*" in *unit*) echo "5 0" >build/asan/unit.count ;; esac
printf '#!/bin/sh\\n' >build/asan/sim; chmod +x build/asan/sim
""")
    out = c.passes("scripts/check", env=env)
    check("what failed" not in out and out.splitlines()[-1] == "%d passed, 0 failed" % (out.count("    ok ") + 5 + 2 + 7), out)


def test_the_bench_judges_its_figures_and_says_which_part_could_not_measure(cluster):
    c = Copy(cluster)
    row = "printf '%s\\t%s\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "
    c.script("tests/bench/zz", row + "good 3 ms '<= 5' 1.5 floor how\n" + row + "bad 3 /s '>= 5' '' '' ''\n" + row + "plain 1 KB '' '' '' $1\n")
    out = c.passes("tests/bench/run", "zz", "argument")
    lines = [line.split() for line in out.splitlines()]
    check(["good", "3.00", "ms", "<=", "5", "yes", "2.00", "floor:", "1.50", "ms;", "how"] in lines, out)
    check(["bad", "3.00", "/s", ">=", "5", "NO"] in lines and ["plain", "1.00", "KB", "argument"] in lines, out)
    check("1 of 2 aims are met" in out, out)
    c.script("tests/bench/zz", row + "good 3 ms '<= 5' 1.5 floor how\nexit 1\n")
    check("zz did not come to its end" in c.fails("tests/bench/run", "zz"), "a part that fails passes")
    c.script("tests/bench/zz", "sleep 100\n")
    check("zz did not come to its end" in c.fails("tests/bench/run", "zz", env=dict(os.environ, BENCH_LIMIT="1")), "a part has no end")


def test_the_gate_of_the_simulators_seed_compares_whole_runs(cluster):
    c = Copy(cluster)
    c.passes("scripts/check-seed", c.script("same", "echo one; echo two"))
    c.fails("scripts/check-seed", c.script("other", "echo $$; echo two"))
    c.fails("scripts/check-seed", c.script("bad", "echo one; exit 1"))
    c.fails("scripts/check-seed", c.script("silent", "exit 0"))


def test_packages_are_asked_of_the_distribution_there_is(cluster):
    c = Copy(cluster)
    env = c.tools("sh", "id", "sed", "cat", "ls")
    out = c.fails("scripts/install-deps", "build", env=env)
    check("neither apt-get nor dnf is here" in out and "libevent-dev" in out and "libcmocka-dev" not in out, out)
    c.script("tools/rpm", 'case "$2" in gcc | libevent-devel) exit 0 ;; esac\nexit 1\n')
    c.script("tools/dnf", 'echo "$@" >>"%s"\n' % c.path("asked"))
    c.script("tools/sudo", 'exec "$@"\n')
    c.passes("scripts/install-deps", "test", env=env)
    asked = c.read("asked").split()
    check(asked[:2] == ["install", "-y"] and {"jansson-devel", "libcmocka-devel"} <= set(asked) and "gcc" not in asked,
          str(asked))
    c.script("tools/dnf", "echo no network; exit 1\n")
    out = c.fails("scripts/install-deps", "test", env=env)
    check("no network" in out and "crb and epel" in out, out)
    c.script("tools/rpm", "exit 0\n")
    c.passes("scripts/install-deps", "test", env=env)
