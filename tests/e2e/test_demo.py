"""The demo as people run it: it shows a build, says honestly how it went, and leaves nothing behind."""
import os
import re
import shutil
import signal
import subprocess

from harness import DROVER, KEEPER, ROOT, check, eventually


class Demo:
    """A copy of the executables and of the example in a folder with a space, which an ordinary user may read."""

    def __init__(self, cluster, name="demo"):
        self.dir = os.path.join(cluster.dir, name + " folder")
        self.tmp = os.path.join(self.dir, "tmp dir")
        os.chmod(cluster.dir, 0o755)
        os.makedirs(self.tmp)
        os.chmod(self.tmp, 0o1777)
        for file in (DROVER, KEEPER):
            shutil.copy(file, self.dir)
        shutil.copytree(os.path.join(ROOT, "etc"), os.path.join(self.dir, "etc"))
        os.makedirs(os.path.join(self.dir, "scripts"))
        shutil.copy(os.path.join(ROOT, "scripts", "demo"), os.path.join(self.dir, "scripts"))
        self.job = os.path.join(self.dir, "etc", "example-build.nomad")
        self.edit("etc/example-build.nomad", '"/usr/local/share/drover/example"', '"%s/etc/example"' % self.dir)

    def edit(self, file, old, new):
        path = os.path.join(self.dir, file)
        with open(path) as f:
            text = f.read()
        check(old in text, "%s does not hold %s" % (file, old))
        with open(path, "w") as f:
            f.write(text.replace(old, new))

    def start(self, **kw):
        self.log = os.path.join(self.dir, "log")
        with open(self.log, "w") as log:
            # A Ctrl-C reaches all of the terminal's process group: the session stands for the terminal.
            self.process = subprocess.Popen([os.path.join(self.dir, "scripts", "demo"), os.path.join(self.dir, "drover"),
                                             self.job], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            env=dict(os.environ, TMPDIR=self.tmp), start_new_session=True, **kw)
        return self

    @property
    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def processes(self):
        """Of this demo: their command line or folder names ours."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid) as f:
                    line = f.read().replace("\0", " ")
                if self.tmp in line + os.readlink("/proc/%s/cwd" % pid):
                    found.append("%s %s" % (pid, line))
            except OSError:
                continue
        return found

    def ended(self, code):
        self.process.wait(120)
        check(self.process.returncode == code, "exit %s, expected %d\n%s" % (self.process.returncode, code, self.output))
        check(not os.listdir(self.tmp), "left behind: %s" % os.listdir(self.tmp))
        check(not self.processes(), "still there: %s" % self.processes())


def test_the_demo_shows_a_build_and_leaves_nothing_behind(cluster):
    demo = Demo(cluster).start()
    demo.ended(0)
    out = demo.output
    for piece in ("The build passed.", "Status        = dead", "==> slice ", '"result": "passed"', "Exit Code: 0",
                  "Nothing of this job waits."):
        check(piece in out, "the demo does not show %r\n%s" % (piece, out))
    check(len(re.findall(r"^[0-9a-f]{8} .* complete ", out, re.M)) >= 10, out)


def test_the_demo_runs_as_an_ordinary_user_and_the_tasks_are_that_user(cluster):
    demo = Demo(cluster)
    user = dict(user="nobody", group="nogroup", extra_groups=[]) if os.getuid() == 0 else {}
    name = "nobody" if user else subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    demo.start(**user).ended(0)
    check(re.search(r"==> slice \d of 10 on .* as %s$" % name, demo.output, re.M), demo.output)


def test_the_demo_fails_when_a_step_of_the_build_fails(cluster):
    demo = Demo(cluster)
    demo.edit("etc/example/src/crc32.c", "0xEDB88320", "0xEDB88321")
    demo.start().ended(1)
    check("does not hold: crc32" in demo.output and "FAILED test crc32: exit code 1" in demo.output and
          "the build failed in 1 of its 10 slices" in demo.output, demo.output)


def test_two_demos_at_the_same_time_do_not_meet(cluster):
    demos = [Demo(cluster, name).start() for name in ("one", "two")]
    for demo in demos:
        demo.ended(0)


def test_an_interrupted_demo_leaves_nothing_behind(cluster):
    for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        demo = Demo(cluster, how.name)
        demo.edit("etc/example/build-agent", "\nnumber=0\n", "\nstep wait sleep 1000\nnumber=0\n")
        demo.start()
        eventually("the tasks of the demo run", lambda: any("sleep 1000" in p for p in demo.processes()))
        os.killpg(demo.process.pid, how) if how == signal.SIGINT else demo.process.send_signal(how)
        demo.ended(code)


def test_a_demo_whose_agent_was_killed_fails_and_leaves_nothing_behind(cluster):
    demo = Demo(cluster)
    demo.edit("etc/example/build-agent", "\nnumber=0\n", "\nstep wait sleep 1000\nnumber=0\n")
    demo.start()
    agents = eventually("the tasks of the demo run", lambda: [p for p in demo.processes() if " agent -config" in p] if
                        any("sleep 1000" in p for p in demo.processes()) else None)
    os.kill(int(agents[0].split()[0]), signal.SIGKILL)
    demo.ended(1)
