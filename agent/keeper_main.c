/*
 * drover-keeper: holds one task. It is paid for once for each running task, so it links libc alone (static), keeps
 * no heap beyond its spec, and sleeps until something happens.
 *
 * Life: read the spec (agent/keeper_proto.h) -> own session, child subreaper -> record who we are -> start the task in
 * its cgroup -> move its output into the log files -> the task ends -> kill what it left behind, drain the output ->
 * record the exit status -> end.
 *
 * The writer of the output is never blocked by the disk: one thread moves pipe to file with splice(); when it has
 * been stuck in a write for a second, the other thread empties the pipes, and the loss is counted in the log.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <grp.h>

#include "agent/keeper_proto.h"

enum {
	PIPE_BYTES = 256 * 1024,
	PIECE = 1 << 20,     /* most that one splice moves */
	MAX_GROUPS = 64,
	STUCK_SECONDS = 1,   /* a write that takes longer counts as stuck */
	DRAIN_MS = 1000,     /* for output that somebody else still holds open */
	KILL_ROUNDS = 200,   /* of 10 ms */
};

struct spec {
	char *command, **args, **env, *work_dir, *out_path[2], *cgroup, **cgroup_procs;
	uint64_t uid, gid, max_files, max_file_size, logs_disabled, oom_score_adj;
	gid_t groups[MAX_GROUPS];
	size_t n_groups;
};

struct output { /* stdout or stderr: a pipe and the log file that is written now */
	int pipe, file;
	const char *path;
	uint64_t index, size;
	uint64_t dropped; /* bytes lost since the last marker */
	int error;        /* why */
};

static struct spec spec;
static struct output outputs[2];
static int record = -1, timer = -1, null_fd = -1;
static volatile bool armed, busy; /* the watchdog's timer runs; the writer is inside a write */
static volatile uint64_t writes;  /* counts finished writes: progress as the watchdog sees it */

/* ---- events and records ---- */

static void tell(const char *line)
{
	ssize_t n = write(KEEPER_FD_EVENTS, line, strlen(line));

	(void)n; /* the agent may be gone: the record tells its successor */
}

static void put_record(const char *name, const char *text)
{
	char temp[32];
	int fd;

	snprintf(temp, sizeof(temp), ".%s.tmp", name);
	fd = openat(record, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	ssize_t n = write(fd, text, strlen(text));

	close(fd);
	if (n == (ssize_t)strlen(text))
		renameat(record, temp, record, name);
}

static void fail(const char *what, const char *name, int error)
{
	char line[768];

	snprintf(line, sizeof(line), "E %s%s%s: %s\n", what, name ? " " : "", name ? name : "", strerror(error));
	put_record("error", line + 2);
	tell(line);
	_exit(1);
}

/* Start time of a process in clock ticks: with the pid it names a process for good (proc(5), field 22). */
static unsigned long long start_time(const char *stat_path)
{
	char text[1024];
	unsigned long long start = 0;
	int fd = open(stat_path, O_RDONLY | O_CLOEXEC);

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
		fail("the spec is of another version", NULL, EINVAL);
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
	spec.out_path[0] = get_str();
	spec.out_path[1] = get_str();
	spec.max_files = get_int(8);
	spec.max_file_size = get_int(8);
	spec.logs_disabled = get_int(8);
	spec.cgroup = get_str();
	spec.cgroup_procs = get_list();
	spec.oom_score_adj = get_int(8);
}

/* ---- log files ---- */

static int open_log(const struct output *o, bool fresh)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s.%llu", o->path, (unsigned long long)o->index);
	return open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0644);
}

/* A restarted task goes on in the newest file. */
static void find_log(struct output *o)
{
	char folder[4096];
	char *slash;
	DIR *d;

	snprintf(folder, sizeof(folder), "%s", o->path);
	slash = strrchr(folder, '/');
	if (!slash)
		return;
	*slash = 0;
	const char *base = slash + 1;
	size_t len = strlen(base);

	d = opendir(folder);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (strncmp(e->d_name, base, len) || e->d_name[len] != '.')
			continue;
		char *rest;
		unsigned long long n = strtoull(e->d_name + len + 1, &rest, 10);

		if (!*rest && n > o->index)
			o->index = n;
	}
	if (d)
		closedir(d);
}

static void start_log(struct output *o)
{
	struct stat st;

	if (spec.logs_disabled) {
		o->file = null_fd;
		return;
	}
	find_log(o);
	o->file = open_log(o, false);
	if (o->file < 0) {
		o->error = errno;
		return;
	}
	/* Every task has its files, whoever wrote them first; the reader wants the end of what is there. */
	o->size = fstat(o->file, &st) == 0 ? (uint64_t)st.st_size : 0;
	lseek(o->file, 0, SEEK_END);
}

static void rotate(struct output *o)
{
	char old[4096];

	if (o->file >= 0)
		close(o->file);
	o->index++;
	o->size = 0;
	o->file = open_log(o, true);
	if (o->file < 0)
		o->error = errno;
	if (o->index >= spec.max_files) {
		snprintf(old, sizeof(old), "%s.%llu", o->path, (unsigned long long)(o->index - spec.max_files));
		unlink(old);
	}
}

static void mark_loss(struct output *o)
{
	char line[160];
	int n;

	if (!o->dropped || o->file < 0)
		return;
	n = snprintf(line, sizeof(line), "[drover: %llu bytes of output were dropped here: %s]\n",
	    (unsigned long long)o->dropped, o->error ? strerror(o->error) : "the disk did not keep up");
	if (write(o->file, line, (size_t)n) == n) {
		o->size += (uint64_t)n;
		o->dropped = 0;
		o->error = 0;
	}
}

static ssize_t copy_piece(struct output *o, size_t want)
{
	static char piece[16384];
	ssize_t n = read(o->pipe, piece, want < sizeof(piece) ? want : sizeof(piece));

	for (ssize_t done = 0; n > 0 && done < n;) {
		ssize_t w = write(o->file, piece + done, (size_t)(n - done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			o->error = errno;
			o->dropped += (uint64_t)(n - done);
			break;
		}
		done += w;
	}
	return n;
}

static ssize_t drop_piece(struct output *o)
{
	ssize_t n = splice(o->pipe, NULL, null_fd, NULL, PIECE, SPLICE_F_NONBLOCK);

	if (n > 0)
		o->dropped += (uint64_t)n;
	return n;
}

/* Moves what is in the pipe. Returns 0 at its end, -1 when it is empty for now. */
static ssize_t move_output(struct output *o)
{
	if (o->file >= 0 && o->file != null_fd && o->size >= spec.max_file_size)
		rotate(o);
	if (o->file < 0)
		o->file = open_log(o, false);
	mark_loss(o);
	size_t want = o->file == null_fd ? PIECE : (size_t)(spec.max_file_size - o->size);

	if (want > PIECE)
		want = PIECE;
	ssize_t n = o->file < 0 ? -1 : splice(o->pipe, NULL, o->file, NULL, want, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0 && o->file >= 0) {
		if (errno == EAGAIN || errno == EINTR)
			return -1;
		if (errno == EINVAL) /* a file system without splice */
			n = copy_piece(o, want);
		else
			o->error = errno;
	}
	if (n < 0)
		n = drop_piece(o);
	else
		o->size += (uint64_t)n;
	return n;
}

static void arm(void)
{
	struct itimerspec t = {.it_value.tv_sec = STUCK_SECONDS};

	if (!armed) {
		armed = true;
		timerfd_settime(timer, 0, &t, NULL);
	}
}

static void *writer(void *unused)
{
	struct pollfd fds[2] = {{outputs[0].pipe, POLLIN, 0}, {outputs[1].pipe, POLLIN, 0}};

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		arm();
		busy = true;
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents && move_output(&outputs[i]) == 0)
				fds[i].fd = -1;
		writes++;
		busy = false;
	}
	return unused;
}

/* The timer rang: if the writer sits in the same write since then, its pipes are emptied for it. */
static void watchdog(uint64_t *seen)
{
	uint64_t rings;
	ssize_t n = read(timer, &rings, sizeof(rings));

	(void)n;
	armed = false;
	if (busy && writes == *seen)
		for (int i = 0; i < 2; i++)
			drop_piece(&outputs[i]);
	*seen = writes;
	if (busy)
		arm();
}

/* ---- the task ---- */

struct child_error {
	const char *what, *name;
	int error;
};

/* Runs in the vforked child: only system calls, and memory that the parent does not need. */
static void become_task(const int *out, struct child_error *err)
{
	char text[64];

	setsid();
	for (int i = 0; spec.cgroup_procs[i]; i++) {
		int fd = open(spec.cgroup_procs[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1) {
			*err = (struct child_error){"cannot enter the cgroup", spec.cgroup_procs[i], errno};
			return;
		}
		close(fd);
	}
	/* Written before the program runs: there is no moment at which it runs and nobody could find it. */
	snprintf(text, sizeof(text), "%d %llu\n", (int)getpid(), start_time("/proc/self/stat"));
	put_record("task", text);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && spec.oom_score_adj != 1000) {
		snprintf(text, sizeof(text), "%d", (int)spec.oom_score_adj - 1000);
		ssize_t n = write(fd, text, strlen(text));

		(void)n;
	}
	if (spec.uid != KEEPER_SAME_USER &&
	    (setgroups(spec.n_groups, spec.groups) < 0 || syscall(SYS_setgid, (gid_t)spec.gid) < 0 ||
	        syscall(SYS_setuid, (uid_t)spec.uid) < 0)) {
		*err = (struct child_error){"cannot become the task's user", NULL, errno};
		return;
	}
	if (chdir(spec.work_dir) < 0) {
		*err = (struct child_error){"cannot enter the working folder", spec.work_dir, errno};
		return;
	}
	dup2(null_fd, 0);
	dup2(out[0], 1);
	dup2(out[1], 2);
	syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
	execve(spec.command, spec.args, spec.env);
	*err = (struct child_error){"cannot start", spec.command, errno};
}

static pid_t start_task(void)
{
	static volatile struct child_error err;
	int out[2];
	sigset_t all, none;

	for (int i = 0; i < 2; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			fail("cannot make a pipe", NULL, errno);
		fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* more is faster; the default works too */
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		outputs[i].pipe = ends[0];
		out[i] = ends[1];
	}
	sigfillset(&all);
	sigemptyset(&none);
	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL); /* what the task inherits; ours are set afterwards */
	pid_t pid = vfork();

	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &none, NULL);
		become_task(out, (struct child_error *)&err);
		_exit(127);
	}
	if (pid < 0)
		fail("cannot fork", NULL, errno);
	if (err.error) {
		waitpid(pid, NULL, 0);
		unlinkat(record, "task", 0);
		fail(err.what, err.name, err.error);
	}
	close(out[0]);
	close(out[1]);
	return pid;
}

/* ---- the end ---- */

static void kill_cgroup(void)
{
	char path[4096], text[32];
	int fd;

	if (!*spec.cgroup)
		return;
	snprintf(path, sizeof(path), "%s/cgroup.kill", spec.cgroup); /* v2 */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = write(fd, "1", 1);

		close(fd);
		if (n == 1)
			return;
	}
	for (int i = 0; spec.cgroup_procs[i]; i++) { /* v1, or a kernel before 5.14 */
		FILE *f = fopen(spec.cgroup_procs[i], "re");

		while (f && fgets(text, sizeof(text), f))
			if (atoi(text) > 1)
				kill(atoi(text), SIGKILL);
		if (f)
			fclose(f);
	}
}

/* Children that were handed to us because their parents ended (we are their subreaper). */
static bool kill_orphans(void)
{
	bool any = false;
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "re");

	if (f && fgets(text, sizeof(text), f))
		for (char *p = strtok(text, " \n"); p; p = strtok(NULL, " \n")) {
			any = true;
			kill(atoi(p), SIGKILL);
		}
	if (f)
		fclose(f);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		any = true;
	return any;
}

/* The main process ended: nothing of its session, its cgroup or its orphans stays. */
static void clean_up(pid_t task)
{
	struct timespec pause = {0, 10 * 1000000};

	kill(-task, SIGKILL);
	kill_cgroup();
	for (int i = 0; i < KILL_ROUNDS && kill_orphans(); i++)
		nanosleep(&pause, NULL);
}

static bool was_oom(void)
{
	static const char *const names[] = {"memory.events", "memory.oom_control"};
	char path[4096], text[1024];

	for (int i = 0; i < 2 && *spec.cgroup; i++) {
		snprintf(path, sizeof(path), "%s/%s", spec.cgroup, names[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = 0;
		char *p = strstr(text, "oom_kill ");

		return p && atoi(p + 9) > 0;
	}
	return false;
}

static void finish(int status, pthread_t thread)
{
	struct timespec until, now;
	char text[96];

	clock_gettime(CLOCK_REALTIME, &now);
	until = now;
	until.tv_sec += DRAIN_MS / 1000;
	pthread_timedjoin_np(thread, NULL, &until);
	snprintf(text, sizeof(text), "%d %d %d %lld\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0, was_oom(), (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
	put_record("exit", text);
	tell("X\n");
	_exit(0);
}

/* Sleeps until the task ends; looks after the writer on the way. */
static void keep(pid_t task, int signals, pthread_t thread)
{
	struct pollfd fds[2] = {{signals, POLLIN, 0}, {timer, POLLIN, 0}};
	uint64_t seen = 0;

	for (;;) {
		struct signalfd_siginfo info;
		int status;

		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
			if (pid == task) {
				clean_up(task);
				finish(status, thread);
			}
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			watchdog(&seen);
		if (fds[0].revents && read(signals, &info, sizeof(info)) < 0)
			continue;
	}
}

int main(int argc, char **argv)
{
	char text[64];
	sigset_t mask;
	pthread_t thread;
	pthread_attr_t attr;

	if (argc != 2) {
		fprintf(stderr, "drover-keeper is started by drover and holds one task; there is nothing to run by hand\n");
		return 2;
	}
	syscall(SYS_close_range, 5u, ~0u, 0u);
	record = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	fcntl(KEEPER_FD_EVENTS, F_SETFD, FD_CLOEXEC);
	if (record < 0 || null_fd < 0)
		fail("cannot open the record folder", argv[1], errno);
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	read_spec();
	snprintf(text, sizeof(text), "%d %llu\n", (int)getpid(), start_time("/proc/self/stat"));
	put_record("keeper", text);
	for (int i = 0; i < 2; i++) {
		outputs[i].path = spec.out_path[i];
		start_log(&outputs[i]);
	}
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pid_t task = start_task();

	/* A keeper ends when its task does and for no other reason that can be ignored. */
	sigfillset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	if (signals < 0 || timer < 0 || pthread_create(&thread, &attr, writer, NULL)) {
		kill(task, SIGKILL);
		fail("cannot set up the keeper", NULL, errno);
	}
	char stat_path[32];

	snprintf(stat_path, sizeof(stat_path), "/proc/%d/stat", (int)task);
	snprintf(text, sizeof(text), "S %d %llu\n", (int)task, start_time(stat_path));
	tell(text);
	keep(task, signals, thread);
}
