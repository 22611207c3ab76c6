/*
 * drover-keeper: holds one task. It is paid for once for each running task, so it links libc alone (static), keeps
 * no heap beyond its spec, and sleeps until something happens.
 *
 * With `-run` it holds nothing and becomes what its spec says (run_in_place).
 *
 * Life: read the spec (agent/keeper_proto.h) -> own session, child subreaper -> record who we are -> start the task in
 * its cgroup -> move its output into the log files (agent/keeper_output.h) -> the task ends -> kill what it left
 * behind, drain the output -> record the exit status -> end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <grp.h>

#include "agent/keeper_output.h"
#include "agent/keeper_proto.h"

enum {
	MAX_GROUPS = 64,
	DRAIN_MS = 1000,   /* for output that somebody else still holds open */
	KILL_ROUNDS = 500, /* of 10 ms, for what the task left behind ... */
	KILL_AT_ONCE = 20, /* ... the first ones without a pause: it may be forking */
};

struct spec {
	char *command, **args, **env, *work_dir, *cgroup, *cgroup_oom, **cgroup_procs;
	uint64_t uid, gid, oom_score_adj, open_files;
	gid_t groups[MAX_GROUPS];
	size_t n_groups;
	struct output_config output;
};

static struct spec spec;
static bool holds = true; /* a task, as opposed to `-run` */
static long oom_before; /* kills in the task's cgroup, which may be an older run's */
static volatile unsigned long long task_start; /* in clock ticks since boot */

#ifdef KEEPER_SANITIZED
/* Of the build with sanitizers: stderr is /dev/null and the environment is empty, so reports go to a file. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "log_path=/tmp/drover-keeper-asan:detect_leaks=0:abort_on_error=1";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "log_path=/tmp/drover-keeper-ubsan:halt_on_error=1:print_stacktrace=1";
}
#endif

/* ---- events and the record ---- */

static void tell(const char *line)
{
	ssize_t n = write(KEEPER_FD_EVENTS, line, strlen(line));

	(void)n; /* the agent may be gone: the record tells its successor */
}

/* The text is one line; the rest of its place in the record is blank already. */
static bool put_record(off_t place, const char *text)
{
	size_t n = strlen(text), most = (size_t)(place == KEEPER_AT_ERROR ? KEEPER_RECORD - KEEPER_AT_ERROR : KEEPER_LINE) - 1;

	if (n > most)
		n = most;
	return pwrite(KEEPER_FD_RECORD, text, n, place) == (ssize_t)n;
}

static void fail(const char *what, const char *name, int error)
{
	char line[KEEPER_RECORD - KEEPER_AT_ERROR];

	if (!holds) {
		dprintf(2, "%s%s%s%s: %s\n", what, name ? " \"" : "", name ? name : "", name ? "\"" : "", strerror(error));
		_exit(127);
	}
	snprintf(line, sizeof(line) - 1, "error %d %s%s%.300s%s: %s", error, what, name ? " \"" : "", name ? name : "", name ? "\"" : "",
	    strerror(error));
	put_record(KEEPER_AT_ERROR, line);
	strcat(line, "\n");
	line[4] = 'E';
	tell(line + 4);
	_exit(1);
}

/* Start time of this process in clock ticks. */
static unsigned long long start_time(void)
{
	char text[1024];
	unsigned long long start = 0;
	int fd = openat(AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *p = strrchr(text, ')');

	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		start = strtoull(p + 1, NULL, 10);
	return start;
}

static bool record_self(off_t place, const char *kind, unsigned long long start)
{
	char text[KEEPER_LINE];

	snprintf(text, sizeof(text), start ? "%s %d %llu" : "%s %d", kind, (int)getpid(), start);
	return put_record(place, text);
}

/* ---- the spec ---- */

static const uint8_t *at, *end;

static uint64_t get_int(size_t bytes)
{
	uint64_t v = 0;

	if ((size_t)(end - at) < bytes)
		fail("the spec is cut short", NULL, EINVAL);
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	at += bytes;
	return v;
}

static char *get_str(void)
{
	size_t n = get_int(4);

	if ((size_t)(end - at) < n + 1 || at[n])
		fail("the spec is cut short", NULL, EINVAL);
	char *s = (char *)at;

	at += n + 1;
	return s;
}

static char **get_list(void)
{
	size_t n = get_int(4);

	if (n > KEEPER_MAX_SPEC / 5)
		fail("the spec is damaged", NULL, EINVAL);
	char **list = calloc(n + 1, sizeof(*list));

	if (!list)
		fail("out of memory", NULL, ENOMEM);
	for (size_t i = 0; i < n; i++)
		list[i] = get_str();
	return list;
}

static void read_spec(void)
{
	struct stat st;

	if (fstat(KEEPER_FD_SPEC, &st) < 0 || st.st_size > (off_t)KEEPER_MAX_SPEC)
		fail("no spec on fd 3", NULL, EINVAL);
	uint8_t *text = malloc((size_t)st.st_size + 1);
	ssize_t n = text ? pread(KEEPER_FD_SPEC, text, (size_t)st.st_size, 0) : -1;

	close(KEEPER_FD_SPEC);
	if (n != st.st_size)
		fail("cannot read the spec", NULL, EIO);
	at = text;
	end = text + n;
	if (get_int(4) != KEEPER_MAGIC)
		fail("drover and drover-keeper are of different versions", NULL, EINVAL);
	spec.command = get_str();
	spec.args = get_list();
	spec.env = get_list();
	spec.work_dir = get_str();
	spec.uid = get_int(8);
	spec.gid = get_int(8);
	for (size_t left = get_int(4); left > 0; left--) {
		uint64_t group = get_int(8);

		if (spec.n_groups < MAX_GROUPS)
			spec.groups[spec.n_groups++] = (gid_t)group;
	}
	spec.output.folder = get_str();
	spec.output.name[0] = get_str();
	spec.output.name[1] = get_str();
	spec.output.max_files = get_int(8);
	spec.output.max_file_size = get_int(8);
	spec.output.disabled = get_int(8) != 0;
	spec.cgroup = get_str();
	spec.cgroup_oom = get_str();
	spec.cgroup_procs = get_list();
	spec.oom_score_adj = get_int(8);
	spec.open_files = get_int(8);
}

/* ---- the task ---- */

struct child_error {
	const char *what, *name;
	int error;
};

static bool put_file(const char *path, const char *text)
{
	int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return n == (ssize_t)strlen(text);
}

static void set_limits(void)
{
	struct rlimit files;
	char text[16];

	if (spec.oom_score_adj != KEEPER_UNCHANGED) {
		snprintf(text, sizeof(text), "%d", (int)spec.oom_score_adj - 1000);
		put_file("/proc/self/oom_score_adj", text);
	}
	if (spec.open_files != KEEPER_UNCHANGED && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = spec.open_files < files.rlim_max ? spec.open_files : files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int out_ends[2];
static volatile struct child_error child_error;
static volatile bool child_ran; /* it came as far as our code */

static bool enter_cgroups(void)
{
	for (int i = 0; spec.cgroup_procs[i]; i++) {
		if (put_file(spec.cgroup_procs[i], "0"))
			continue;
		child_error = (struct child_error){"cannot enter the cgroup", spec.cgroup_procs[i], errno};
		return false;
	}
	return true;
}

/* None ignored, none blocked. Not by signal(): libc keeps some of them to itself. */
static void reset_signals(void)
{
	static const unsigned long as_default[8]; /* the kernel's struct sigaction */
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, as_default, NULL, 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Signals, limits, user, working folder; and the end of whoever started it is its own. */
static bool take_on_context(void)
{
	reset_signals();
	set_limits();
	if (spec.uid != KEEPER_UNCHANGED &&
	    (syscall(SYS_setgroups, spec.n_groups, spec.groups) < 0 || syscall(SYS_setgid, (gid_t)spec.gid) < 0 ||
	        syscall(SYS_setuid, (uid_t)spec.uid) < 0)) {
		child_error = (struct child_error){"cannot become the task's user", NULL, errno};
		return false;
	}
	/* Without its keeper nobody would know how it ends; the agent starts it again by its policy. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(spec.work_dir) < 0) {
		child_error = (struct child_error){"cannot enter the working folder", spec.work_dir, errno};
		return false;
	}
	return true;
}

/* Runs in the vforked child: only system calls, and memory that the parent does not need. */
static void become_task(void)
{
	setsid();
	if (!enter_cgroups())
		return;
	/* Written before the program runs: there is no moment at which it runs and nobody could find it. */
	task_start = start_time();
	if (!record_self(KEEPER_AT_TASK, "task", task_start)) {
		child_error = (struct child_error){"cannot write the record", NULL, errno};
		return;
	}
	if (!take_on_context())
		return;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, 0);
	dup2(out_ends[0], 1);
	dup2(out_ends[1], 2);
	syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
	execve(spec.command, spec.args, spec.env);
	child_error = (struct child_error){"cannot start", spec.command, errno};
}

static void __attribute__((noinline, noreturn)) run_child(void)
{
	child_ran = true;
	become_task();
	_exit(127);
}

/* vfork into a v2 cgroup (Linux 5.7): a system call of its own, because the child comes back on the parent's stack and
 * must not return through a function. -ENOSYS where we do not know how. */
static long __attribute__((noinline)) vfork_into(int cgroup)
{
	struct { /* struct clone_args of linux/sched.h, first three versions */
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
	} args = {.flags = 0x200000000 | 0x4000 | 0x100 /* CLONE_INTO_CGROUP, VFORK, VM */, .exit_signal = SIGCHLD,
	    .cgroup = (uint64_t)cgroup};
#if defined(KEEPER_SANITIZED)
	long r = -ENOSYS; /* a child on the parent's stack is only understood of vfork() */

	(void)args;
#elif defined(__x86_64__)
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(435L), "D"(&args), "S"(sizeof(args)) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = 435;
	register long r __asm__("x0") = (long)&args;
	register long x1 __asm__("x1") = sizeof(args);

	__asm__ volatile("svc 0" : "+r"(r) : "r"(x8), "r"(x1) : "memory");
#else
	long r = -ENOSYS;

	(void)args;
#endif
	if (r == 0)
		run_child();
	return r;
}

/* 0 when the child has to enter by itself. */
static pid_t spawn_in_cgroup(void)
{
	int fd = openat(AT_FDCWD, spec.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail("cannot enter the cgroup", spec.cgroup, errno);
	long pid = vfork_into(fd);

	close(fd);
	if (pid > 0 && child_ran)
		return (pid_t)pid;
	if (pid > 0) /* since 6.14 Linux kills it at birth when cgroup.kill was ever used on its group and not on ours */
		waitpid((pid_t)pid, NULL, 0);
	else if (pid != -ENOSYS && pid != -EINVAL && pid != -E2BIG)
		fail("cannot start a process in the cgroup", spec.cgroup, (int)-pid);
	return 0;
}

/* The v2 group becomes one of those that the process enters by itself. */
static void list_cgroup(void)
{
	static char procs[4096], *list[8] = {procs};

	if (!*spec.cgroup)
		return;
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", spec.cgroup);
	for (int i = 0; i < 6 && spec.cgroup_procs[i]; i++)
		list[1 + i] = spec.cgroup_procs[i];
	spec.cgroup_procs = list;
}

static pid_t spawn_task(void)
{
	pid_t pid = *spec.cgroup ? spawn_in_cgroup() : 0;

	if (pid > 0)
		return pid;
	list_cgroup();
	pid = vfork();
	if (pid == 0)
		run_child();
	if (pid < 0)
		fail("cannot fork", NULL, errno);
	return pid;
}

static pid_t start_task(void)
{
	pid_t pid = spawn_task();

	if (child_error.error) {
		waitpid(pid, NULL, 0);
		fail(child_error.what, child_error.name, child_error.error);
	}
	close(out_ends[0]);
	close(out_ends[1]);
	return pid;
}

/* ---- the end ---- */

/* SIGKILL to the first some hundred that a cgroup.procs lists; whether there was anything. */
static bool kill_listed(const char *procs)
{
	char text[4096];
	int fd = openat(AT_FDCWD, procs, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	for (char *p = text, *rest; *p; p = *rest ? rest + 1 : rest) {
		long pid = strtol(p, &rest, 10);

		if (rest == p)
			break;
		if (pid > 1 && *rest) /* the last one may be cut off */
			kill((pid_t)pid, SIGKILL);
	}
	return n > 0;
}

/* SIGKILL to what is left in the task's groups; whether there was anything. */
static bool kill_cgroups(void)
{
	bool any = false;
	char path[4096];

	if (*spec.cgroup) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", spec.cgroup);
		any = kill_listed(path);
		/* One by one a fork bomb would win; all at once (Linux 5.14) it does not. */
		snprintf(path, sizeof(path), "%s/cgroup.kill", spec.cgroup);
		if (any)
			put_file(path, "1");
		return any;
	}
	for (int i = 0; spec.cgroup_procs[i]; i++)
		any |= kill_listed(spec.cgroup_procs[i]);
	return any;
}

/* SIGKILL to children that were handed to us because their parents ended (we are their subreaper). */
static bool kill_orphans(void)
{
	bool any = false;
	char path[64], word[16];
	siginfo_t info;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	info.si_pid = 0;
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return false; /* no children at all: the usual case */
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "re");

	while (f && fscanf(f, "%15s", word) == 1) {
		any = true;
		kill(atoi(word), SIGKILL);
	}
	if (f)
		fclose(f);
	return any;
}

/* The main process ended: nothing of its session, its cgroup or its orphans stays. What cannot be killed at once (it
 * waits for a disk) is waited for a while. */
static void clean_up(void)
{
	struct timespec pause = {0, 10 * 1000000};

	for (int i = 0; i < KILL_ROUNDS; i++) {
		bool group = kill_cgroups(), orphans = kill_orphans();

		if (!group && !orphans)
			return;
		if (i >= KILL_AT_ONCE)
			nanosleep(&pause, NULL);
	}
}

/* Kernel's count of processes of the cgroup that were killed for want of memory. */
static long oom_kills(void)
{
	char text[1024];
	int fd = *spec.cgroup_oom ? open(spec.cgroup_oom, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	char *p = strstr(text, "oom_kill ");

	return p ? atol(p + 9) : 0;
}

/* The groups go with the last process in them: there may be no agent to remove them. */
static void remove_cgroups(void)
{
	if (*spec.cgroup)
		rmdir(spec.cgroup);
	for (int i = 0; spec.cgroup_procs[i]; i++) {
		char *slash = strrchr(spec.cgroup_procs[i], '/');

		if (slash && slash != spec.cgroup_procs[i]) {
			*slash = 0;
			rmdir(spec.cgroup_procs[i]);
		}
	}
}

/* Without a count: whether the kernel's log tells of its killing this process for want of memory (only root may read it).
 * A record is "level,sequence,microseconds since boot,flags;text". */
static bool log_tells_of_oom(pid_t task)
{
	int fd = openat(AT_FDCWD, "/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned long long born = task_start * 1000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK), at_us;
	char text[8192], wanted[40];
	bool found = false;
	ssize_t n;

	snprintf(wanted, sizeof(wanted), "Killed process %d (", (int)task);
	while (fd >= 0 && !found && ((n = read(fd, text, sizeof(text) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		text[n > 0 ? n : 0] = 0;
		/* The number may have been another's before; the clocks differ a little. */
		found = sscanf(text, "%*u,%*u,%llu,", &at_us) == 1 && at_us + 2000000 > born && strstr(text, wanted);
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static bool was_oom(pid_t task, int status)
{
	if (*spec.cgroup_oom)
		return oom_kills() > oom_before;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && log_tells_of_oom(task);
}

/* The task is a zombie still, so that its pid names its session until that is killed. */
static void finish(pid_t task)
{
	struct timespec now;
	char text[KEEPER_LINE];
	int status;

	clock_gettime(CLOCK_REALTIME, &now);
	kill(-task, SIGKILL);
	while (waitpid(task, &status, 0) < 0 && errno == EINTR)
		;
	clean_up();
	output_drain(DRAIN_MS);
	snprintf(text, sizeof(text), "exit %d %d %d %lld", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0, was_oom(task, status),
	    (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
	put_record(KEEPER_AT_EXIT, text);
	remove_cgroups();
	strcat(text, "\n");
	text[3] = 'X';
	tell(text + 3);
	_exit(0);
}

/* Sleeps until the task ends; looks after the output on the way. */
static void keep(pid_t task, int signals)
{
	struct pollfd fds[1 + OUTPUT_FDS] = {{signals, POLLIN, 0}};
	int sleep = -1;

	for (;;) {
		struct signalfd_siginfo info;
		siginfo_t child = {0};

		output_fds(fds + 1);
		while (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0 && child.si_pid) {
			if (child.si_pid == task)
				finish(task);
			waitpid(child.si_pid, NULL, 0); /* an orphan */
			child.si_pid = 0;
		}
		if (poll(fds, 1 + OUTPUT_FDS, sleep) < 0)
			continue;
		sleep = output_wake(fds + 1);
		while (fds[0].revents && read(signals, &info, sizeof(info)) > 0)
			;
	}
}

/* `drover-keeper -run`: becomes the spec's command in the spec's context, with the input and output that it was given. For
 * what the agent runs beside a task; nothing is held, recorded or told. */
static void run_in_place(void)
{
	holds = false;
	syscall(SYS_close_range, KEEPER_FD_SPEC + 1u, ~0u, 0u);
	read_spec();
	list_cgroup();
	if (enter_cgroups() && take_on_context()) {
		execve(spec.command, spec.args, spec.env);
		child_error = (struct child_error){"cannot start", spec.command, errno};
	}
	fail(child_error.what, child_error.name, child_error.error);
}

int main(int argc, char **argv)
{
	sigset_t mask;

	if (argc == 2 && strcmp(argv[1], "-run") == 0)
		run_in_place();
	if (argc != 2) {
		fprintf(stderr, "drover-keeper is started by drover and holds one task; there is nothing to run by hand\n");
		return 2;
	}
	/* A keeper ends when its task does and for no other reason that can be ignored. */
	sigfillset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	for (int fd = KEEPER_FD_EVENTS; fd <= KEEPER_FD_RECORD; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	syscall(SYS_close_range, KEEPER_FD_RECORD + 1u, ~0u, 0u);
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!record_self(KEEPER_AT_KEEPER, "keeper", 0))
		fail("cannot write the record", NULL, errno);
	read_spec();
	oom_before = oom_kills();
	const char *problem = output_open(&spec.output, out_ends);

	if (problem)
		fail(problem, spec.output.folder, errno);
	pid_t task = start_task();

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

	if (signals < 0) {
		kill(task, SIGKILL);
		fail("cannot set up the keeper", NULL, errno);
	}
	char text[64];

	snprintf(text, sizeof(text), "S %d %llu\n", (int)task, task_start); /* noted by the child, which shared our memory */
	tell(text);
	keep(task, signals);
}
