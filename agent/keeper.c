/*
 * The agent's side of drover-keeper: starting one, following one that was started (by us or by our predecessor),
 * signalling and killing what it holds. A keeper that we started is followed by the end of its pipe of events; one that
 * was found by a pidfd; where neither works by looking at the lock of its record from time to time.
 */
#include "agent/keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/keeper_proto.h"
#include "base/clock.h"
#include "base/file.h"

struct process {
	pid_t pid; /* 0 = not known */
	unsigned long long start;
};

struct keeper {
	struct event_base *base;
	keeper_fn *fn;
	void *arg;
	char *path; /* of the record */
	pid_t pid;  /* of the keeper; 0 = not known */
	bool child; /* ours to reap */
	struct process task;
	int pidfd, events; /* -1 = none */
	struct event *on_end, *on_line;
	bool started;      /* KEEPER_STARTED was reported */
	bool *freed;       /* set when the callback released us */
	char line[800];
	size_t line_len;
	char *error;
	int error_code;
	struct keeper_exit exit;
	bool has_exit;
};

enum { SAFE_FD = 10, POLL_MS = 20 };

/* ---- records ---- */

const char *keeper_boot_id(void)
{
	static char id[40];
	cleanup_buf struct buf text = BUF_INIT;

	if (!id[0] && file_read("/proc/sys/kernel/random/boot_id", 128, &text, NULL) == 0 && text.len)
		snprintf(id, sizeof(id), "%.*s", (int)strcspn(text.data, "\n"), text.data);
	return id[0] ? id : "unknown";
}

struct record {
	char text[KEEPER_RECORD + 1];
	bool held;      /* its keeper lives */
	uint64_t start; /* 0 = of a form that we do not know */
	bool this_boot;
};

static const char *line_at(const struct record *r, size_t at, const char *word)
{
	const char *p = r->text + at;
	size_t n = strlen(word);

	return strncmp(p, word, n) == 0 && p[n] == ' ' ? p + n + 1 : NULL;
}

static struct process process_at(const struct record *r, size_t at, const char *word)
{
	const char *p = line_at(r, at, word);
	struct process x = {0};
	int pid;

	if (p && sscanf(p, "%d %llu", &pid, &x.start) >= 1 && pid > 1)
		x.pid = pid;
	return x;
}

static bool parse_exit(const char *p, struct keeper_exit *x)
{
	struct keeper_exit got = {0};
	long long wall;
	int oom;

	if (!p || sscanf(p, "%d %d %d %lld", &got.code, &got.signal, &oom, &wall) != 4)
		return false;
	got.oom = oom != 0;
	got.at = wall;
	*x = got;
	return true;
}

/* -ENOENT without one. */
static int read_record(const char *path, struct record *r)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned format;
	unsigned long long start;
	char boot[48];

	if (fd < 0)
		return -ENOENT;
	*r = (struct record){.held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK};
	ssize_t n = pread(fd, r->text, KEEPER_RECORD, 0);

	r->text[n > 0 ? n : 0] = 0;
	if (sscanf(r->text, "drover-run %u %llu %47s", &format, &start, boot) == 3 && format == KEEPER_FORMAT) {
		r->start = start;
		r->this_boot = str_eq(boot, keeper_boot_id());
	}
	return 0;
}

/* Made or taken over, and locked: the keeper inherits the lock. A descriptor, or negative. */
static int make_record(const char *path, uint64_t start, struct err *e)
{
	char text[KEEPER_RECORD];
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int n;

	if (fd < 0)
		return err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? -EBUSY : -errno, "%s cannot be locked (the process of an earlier start still "
		    "lives?): %s", path, strerror(errno));
	memset(text, ' ', sizeof(text));
	for (size_t at = KEEPER_LINE; at <= KEEPER_AT_ERROR; at += KEEPER_LINE)
		text[at - 1] = '\n';
	text[sizeof(text) - 1] = '\n';
	n = snprintf(text, KEEPER_LINE - 1, "drover-run %d %llu %s", KEEPER_FORMAT, (unsigned long long)start, keeper_boot_id());
	text[n] = ' ';
	errno = ENOSPC; /* of a short write */
	if (pwrite(fd, text, sizeof(text), 0) != (ssize_t)sizeof(text))
		return err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
	int high = fcntl(fd, F_DUPFD_CLOEXEC, SAFE_FD);

	return high < 0 ? err_set(e, -errno, "out of file descriptors: %s", strerror(errno)) : high;
}

/* ---- processes ---- */

/* Field 22 of /proc/<pid>/stat; 0 when there is no such process (zombies count as gone). */
static unsigned long long start_time(pid_t pid)
{
	char path[40], stat[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);

	if (n <= 0)
		return 0;
	stat[n] = 0;
	char *p = strrchr(stat, ')');

	if (!p || p[2] == 'Z' || p[2] == 'X')
		return 0;
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

/* Signals that very process, whoever has its number meanwhile. -ESRCH when it is gone. */
static int send_to(struct process p, int signal)
{
	cleanup_close int fd = p.pid > 1 ? (int)syscall(SYS_pidfd_open, p.pid, 0) : -1;

	if (p.pid <= 1 || start_time(p.pid) != p.start)
		return -ESRCH;
	int r = fd >= 0 ? (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) : kill(p.pid, signal);

	return r < 0 ? -errno : 0;
}

/* SIGKILL to a process and its session's group. */
static int kill_all_of(struct process p)
{
	if (p.pid <= 1 || start_time(p.pid) != p.start)
		return -ESRCH;
	kill(-p.pid, SIGKILL);
	return send_to(p, SIGKILL);
}

/* The keeper died without a word: what it held must not run on unseen. */
static void kill_left(const struct record *r)
{
	if (r->this_boot)
		kill_all_of(process_at(r, KEEPER_AT_TASK, "task"));
}

/* ---- events ---- */

static void keeper_free(struct keeper *k)
{
	if (k->on_end)
		event_free(k->on_end);
	if (k->on_line)
		event_free(k->on_line);
	if (k->pidfd >= 0)
		close(k->pidfd);
	if (k->events >= 0)
		close(k->events);
	if (k->freed)
		*k->freed = true;
	free(k->path);
	free(k->error);
	free(k);
}

/* Reports; false when the receiver released the keeper meanwhile. */
static bool report(struct keeper *k, enum keeper_event what, const struct keeper_exit *x)
{
	bool freed = false;

	k->freed = &freed;
	k->fn(k->arg, k, what, x);
	if (!freed)
		k->freed = NULL;
	return !freed;
}

static bool report_started(struct keeper *k)
{
	if (k->started)
		return true;
	k->started = true;
	return report(k, KEEPER_STARTED, NULL);
}

/* " <errno> <sentence>", padded with blanks. */
static void take_error(struct keeper *k, const char *text)
{
	char *sentence;
	int code = (int)strtol(text, &sentence, 10);
	size_t n;

	if (k->error)
		return;
	sentence += *sentence == ' ';
	n = strcspn(sentence, "\n");
	while (n && sentence[n - 1] == ' ')
		n--;
	k->error_code = code;
	k->error = xstrndup(sentence, n);
}

/* False when k is gone. */
static bool on_text(struct keeper *k, const char *line)
{
	struct process p;
	int pid;

	switch (line[0]) {
	case 'S':
		if (sscanf(line, "S %d %llu", &pid, &p.start) == 2 && pid > 1)
			k->task = (struct process){pid, p.start};
		return report_started(k);
	case 'E':
		take_error(k, line + 1);
		return true;
	case 'X':
		k->has_exit |= parse_exit(line + 1, &k->exit);
		return true;
	default:
		return true;
	}
}

/* Hands on whole lines of what has come. False when k is gone. */
static bool take_lines(struct keeper *k)
{
	for (char *newline; (newline = memchr(k->line, '\n', k->line_len));) {
		char line[sizeof(k->line)];
		size_t len = (size_t)(newline - k->line);

		memcpy(line, k->line, len);
		line[len] = 0;
		k->line_len -= len + 1;
		memmove(k->line, newline + 1, k->line_len);
		if (!on_text(k, line))
			return false;
	}
	if (k->line_len == sizeof(k->line) - 1)
		k->line_len = 0; /* no keeper of ours talks like that */
	return true;
}

/* What the record says of the end, when the keeper said nothing to us. */
static void read_end(struct keeper *k, struct record *r)
{
	const char *error;

	if (read_record(k->path, r) < 0)
		*r = (struct record){0};
	k->has_exit = parse_exit(line_at(r, KEEPER_AT_EXIT, "exit"), &k->exit);
	error = line_at(r, KEEPER_AT_ERROR, "error");
	if (error)
		take_error(k, error);
}

static void finish(struct keeper *k)
{
	struct record r = {0};

	if (k->on_end)
		event_del(k->on_end);
	if (k->child)
		waitpid(k->pid, NULL, 0); /* its descriptors are closed, so it is all but gone */
	k->child = false;
	if (!k->has_exit && !k->error)
		read_end(k, &r);
	struct keeper_exit x = k->has_exit ? k->exit : (struct keeper_exit){.at = clock_now(), .code = -1, .lost = true};

	if (!k->has_exit && k->error) {
		x.lost = false;
		x.error = k->error;
		x.error_code = k->error_code;
		report(k, KEEPER_START_FAILED, &x);
		return;
	}
	x.rebooted = x.lost && r.start && !r.this_boot;
	if (x.lost)
		kill_left(&r);
	else if (!report_started(k))
		return;
	report(k, KEEPER_EXITED, &x);
}

static void on_line(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct keeper *k = arg;

	for (;;) {
		ssize_t n = read(k->events, k->line + k->line_len, sizeof(k->line) - 1 - k->line_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (n == 0)
			break;
		k->line_len += (size_t)n;
		if (!take_lines(k))
			return;
	}
	event_del(k->on_line);
	close(k->events);
	k->events = -1;
	finish(k);
}

static void watch_found(struct keeper *k);

static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct keeper *k = arg;
	struct record r;

	if (k->pidfd < 0 && read_record(k->path, &r) == 0 && r.held) {
		k->pid = process_at(&r, KEEPER_AT_KEEPER, "keeper").pid;
		watch_found(k);
		return;
	}
	finish(k);
}

/* Of a keeper that another agent started. While the lock is held its pid cannot be anybody else's. */
static void watch_found(struct keeper *k)
{
	struct record r;

	if (k->on_end)
		event_free(k->on_end);
	k->pidfd = k->pid > 0 ? (int)syscall(SYS_pidfd_open, k->pid, 0) : -1;
	if (k->pidfd >= 0 && (read_record(k->path, &r) < 0 || !r.held)) { /* gone since we looked; the pid may be new */
		close(k->pidfd);
		k->pidfd = -1;
	}
	k->on_end = event_new(k->base, k->pidfd, k->pidfd >= 0 ? EV_READ : 0, on_end, k);
	event_add(k->on_end, k->pidfd >= 0 ? NULL : &(struct timeval){0, POLL_MS * 1000});
}

static struct keeper *keeper_new(struct event_base *base, const char *path, keeper_fn *fn, void *arg)
{
	struct keeper *k = xcalloc(1, sizeof(*k));

	k->base = base;
	k->fn = fn;
	k->arg = arg;
	k->path = xstrdup(path);
	k->pidfd = k->events = -1;
	return k;
}

/* ---- starting ---- */

/* Beside the executable, as the build leaves it, or where `make install` puts it; DROVER_KEEPER overrules. */
static const char *__attribute__((noinline)) keeper_path(void)
{
	static char path[4096];
	static const char *const places[] = {"drover-keeper", "../libexec/drover/drover-keeper"};
	const char *given = getenv("DROVER_KEEPER");
	char exe[3800];

	if (given)
		return given;
	if (path[0])
		return path;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash = n > 0 ? (exe[n] = 0, strrchr(exe, '/')) : NULL;

	for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
		*slash = 0;
		snprintf(path, sizeof(path), "%s/%s", exe, places[i]);
		if (access(path, X_OK) == 0)
			return path;
	}
	return path[0] ? path : "drover-keeper";
}

static int spec_file(const struct keeper_spec *spec, struct err *e)
{
	cleanup_buf struct buf b = BUF_INIT;
	int r = keeper_spec_encode(spec, &b, e);

	if (r < 0)
		return r;
	cleanup_close int fd = (int)syscall(SYS_memfd_create, "drover-spec", 1u /* MFD_CLOEXEC */);

	r = fd < 0 ? -errno : file_write_all(fd, b.data, b.len);
	explicit_bzero(b.data, b.len); /* it holds the environment */
	if (r < 0)
		return err_set(e, r, "cannot hand the task's spec over: %s", strerror(-r));
	int high = fcntl(fd, F_DUPFD_CLOEXEC, SAFE_FD);

	return high < 0 ? err_set(e, -errno, "out of file descriptors: %s", strerror(errno)) : high;
}

/* vfork by hand instead of posix_spawn(), which resets each signal by a system call of its own: all signals stay
 * blocked from here into the keeper, which resets what is ignored for its task. word: its argument; fds[i] becomes
 * descriptor i, /dev/null where it is negative. 0, or a negative errno. */
static int __attribute__((noinline)) spawn(const char *word, const int *fds, int n, pid_t *pid)
{
	char *const argv[] = {(char *)"drover-keeper", (char *)word, NULL}, *const no_env[] = {NULL};
	const char *path = keeper_path();
	volatile int error = 0;
	sigset_t all, old;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	*pid = vfork();
	if (*pid == 0) {
		setsid();
		for (int fd = 0; fd < n; fd++)
			if (dup2(fds[fd] < 0 ? null : fds[fd], fd) < 0)
				error = errno;
		/* Not left to exec, which wakes the parent before it closes anything: what the parent closes in between stayed
		 * open here, and its loop would be told of it without end. */
		syscall(SYS_close_range, n, ~0u, 0u);
		if (!error)
			execve(path, argv, no_env);
		error = error ? error : errno;
		_exit(127);
	}
	int failed = *pid < 0 ? errno : error;

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(null);
	if (failed && *pid > 0)
		waitpid(*pid, NULL, 0);
	return -failed;
}

int keeper_start(struct event_base *base, const char *record, uint64_t start, const struct keeper_spec *spec,
    keeper_fn *fn, void *arg, struct keeper **out, struct err *e)
{
	int ends[2], r;
	pid_t pid;
	cleanup_close int spec_fd = spec_file(spec, e);

	if (spec_fd < 0)
		return spec_fd;
	cleanup_close int record_fd = make_record(record, start, e);

	if (record_fd < 0)
		return record_fd;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
	cleanup_close int read_end = ends[0];
	cleanup_close int low_end = ends[1];
	cleanup_close int write_end = fcntl(low_end, F_DUPFD_CLOEXEC, SAFE_FD);

	if (write_end < 0)
		return err_set(e, -errno, "out of file descriptors: %s", strerror(errno));
	r = spawn(record, (const int[]){-1, -1, -1, spec_fd, write_end, record_fd}, 6, &pid);
	if (r)
		return err_set(e, r, "cannot start %s: %s", keeper_path(), strerror(-r));
	struct keeper *k = keeper_new(base, record, fn, arg);

	k->pid = pid;
	k->child = true;
	k->events = read_end;
	read_end = -1;
	k->on_line = event_new(base, k->events, EV_READ | EV_PERSIST, on_line, k);
	event_add(k->on_line, NULL);
	*out = k;
	return 0;
}

int keeper_run(const struct keeper_spec *spec, int output, int *pid, struct err *e)
{
	cleanup_close int spec_fd = spec_file(spec, e);

	if (spec_fd < 0)
		return spec_fd;
	cleanup_close int high = fcntl(output, F_DUPFD_CLOEXEC, SAFE_FD);

	if (high < 0)
		return err_set(e, -errno, "out of file descriptors: %s", strerror(errno));
	int r = spawn("-run", (const int[]){-1, high, high, spec_fd}, 4, pid);

	return r ? err_set(e, r, "cannot start %s: %s", keeper_path(), strerror(-r)) : 0;
}

int keeper_adopt(struct event_base *base, const char *record, uint64_t *start, keeper_fn *fn, void *arg,
    struct keeper **out, struct err *e)
{
	struct record r;

	if (read_record(record, &r) < 0)
		return err_set(e, -ENOENT, "%s does not exist", record);
	if (!r.held && (!r.start || (*start && *start != r.start)))
		return err_set(e, -ENOENT, "%s is of an earlier start", record);
	struct process self = process_at(&r, KEEPER_AT_KEEPER, "keeper");

	if (!r.held && !self.pid && !line_at(&r, KEEPER_AT_ERROR, "error"))
		return err_set(e, -ENOENT, "%s: its keeper never came up", record);
	struct keeper *k = keeper_new(base, record, fn, arg);

	k->task = process_at(&r, KEEPER_AT_TASK, "task");
	k->started = k->task.pid > 0;
	if (r.held) {
		k->pid = self.pid;
		watch_found(k);
	} else {
		k->on_end = evtimer_new(base, on_end, k);
		evtimer_add(k->on_end, &(struct timeval){0});
	}
	if (r.start)
		*start = r.start;
	*out = k;
	return 0;
}

/* ---- signals ---- */

int keeper_pid(struct keeper *k)
{
	struct record r;

	if (!k->task.pid && !k->child && read_record(k->path, &r) == 0)
		k->task = process_at(&r, KEEPER_AT_TASK, "task");
	return k->task.pid && start_time(k->task.pid) == k->task.start ? k->task.pid : 0;
}

int keeper_signal(struct keeper *k, int signal, struct err *e)
{
	int r = keeper_pid(k) ? send_to(k->task, signal) : -ESRCH;

	if (r == -ESRCH)
		return err_set(e, -ESRCH, "the task does not run");
	return r < 0 ? err_set(e, r, "cannot signal process %d: %s", (int)k->task.pid, strerror(-r)) : 0;
}

int keeper_kill(struct keeper *k, struct err *e)
{
	int r;

	if (keeper_pid(k))
		r = kill_all_of(k->task);
	else if (k->task.pid)
		return 0; /* the main process is gone; its keeper kills the rest */
	else if (k->child)
		r = kill(k->pid, SIGKILL) < 0 ? -errno : 0;
	else
		r = k->pidfd >= 0 && syscall(SYS_pidfd_send_signal, k->pidfd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
	return r < 0 && r != -ESRCH ? err_set(e, r, "cannot kill the task: %s", strerror(-r)) : 0;
}

bool keeper_is(const char *record, int pid)
{
	struct record r;

	if (read_record(record, &r) < 0 || !r.held)
		return false;
	int found = process_at(&r, KEEPER_AT_KEEPER, "keeper").pid;

	return !found || found == pid;
}

void keeper_release(struct keeper *k)
{
	if (k)
		keeper_free(k);
}
