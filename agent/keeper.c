/*
 * The agent's side of drover-keeper: starting one, following one that was started (by us or by our predecessor),
 * signalling and killing what it holds. Waiting is a pidfd on the loop: it works for children and for strangers.
 */
#include "agent/keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/keeper_proto.h"
#include "base/clock.h"
#include "base/file.h"

struct keeper {
	struct event_base *base;
	keeper_fn *fn;
	void *arg;
	char *record;
	pid_t pid;            /* of the keeper */
	bool child;           /* ours to reap */
	int pidfd, events;    /* -1 = none */
	struct event *on_end, *on_line;
	bool started;         /* KEEPER_STARTED was reported */
	bool *freed;          /* set when the callback released us */
	char line[800];
	size_t line_len;
	char *error;
};

enum { SAFE_FD = 10, POLL_MS = 50 };

/* ---- who is a process ---- */

/* Field 22 of /proc/<pid>/stat; 0 when there is no such process (zombies count as gone). */
static unsigned long long start_time(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char stat[1024];
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

/* Reads "<pid> <start time>"; returns the pid when that very process lives, 0 when it does not, -ENOENT without file. */
static int living(const char *record, const char *name)
{
	cleanup_free char *path = path_join(record, name);
	cleanup_buf struct buf text = BUF_INIT;
	int pid;
	unsigned long long start;
	int r = file_read(path, 128, &text, NULL);

	if (r < 0)
		return r;
	if (!text.len || sscanf(text.data, "%d %llu", &pid, &start) != 2 || pid <= 1)
		return -ENOENT;
	return start_time(pid) == start ? pid : 0;
}

/* ---- the spec ---- */

static void put_int(struct buf *b, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		buf_putc(b, (char)(v >> (8 * i)));
}

static void put_str(struct buf *b, const char *s)
{
	put_int(b, s ? strlen(s) : 0, 4);
	buf_put(b, s ? s : "", (s ? strlen(s) : 0) + 1);
}

/* Static programs cannot ask the name service, so the user becomes numbers here. */
static int put_user(struct buf *b, const char *name, struct err *e)
{
	struct passwd pw, *found = NULL;
	char text[16384];
	gid_t groups[64];
	int n = ARRAY_LEN(groups);

	if (str_empty(name)) {
		put_int(b, KEEPER_SAME_USER, 8);
		put_int(b, KEEPER_SAME_USER, 8);
		put_int(b, 0, 4);
		return 0;
	}
	if (getpwnam_r(name, &pw, text, sizeof(text), &found) != 0 || !found)
		return err_set(e, -ENOENT, "user \"%s\" does not exist on this machine", name);
	if (geteuid() != 0 && pw.pw_uid != geteuid())
		return err_set(e, -EPERM,
		    "the task wants user \"%s\", but the agent runs as an ordinary user and can start tasks as itself only", name);
	if (geteuid() != 0)
		return put_user(b, NULL, e);
	if (getgrouplist(name, pw.pw_gid, groups, &n) < 0)
		n = ARRAY_LEN(groups);
	put_int(b, pw.pw_uid, 8);
	put_int(b, pw.pw_gid, 8);
	put_int(b, (uint64_t)n, 4);
	for (int i = 0; i < n; i++)
		put_int(b, groups[i], 8);
	return 0;
}

static const char *env_value(const struct strs *env, const char *name)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
			return env->v[i] + n + 1;
	return NULL;
}

/* The program as execve wants it. Relative names with a slash are beneath the working folder. */
static int find_command(const struct keeper_spec *s, char **out, struct err *e)
{
	const char *path = env_value(&s->env, "PATH");

	if (str_empty(s->command))
		return err_set(e, -EINVAL, "no command was given");
	if (strchr(s->command, '/')) {
		cleanup_free char *full = s->command[0] == '/' ? xstrdup(s->command) : path_join(s->work_dir, s->command);

		if (access(full, X_OK) < 0)
			return err_set(e, -errno, "command \"%s\" cannot be started: %s", s->command, strerror(errno));
		*out = STEAL(full);
		return 0;
	}
	cleanup_free char *list = xstrdup(path ? path : "/usr/local/bin:/usr/bin:/bin");

	for (char *rest = list, *dir; (dir = strsep(&rest, ":"));) {
		cleanup_free char *full = path_join(*dir ? dir : ".", s->command);
		struct stat st;

		if (access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
			*out = STEAL(full);
			return 0;
		}
	}
	return err_set(e, -ENOENT, "command \"%s\" was not found in PATH (%s)", s->command, path ? path : "unset");
}

static int encode_spec(const struct keeper_spec *s, struct buf *b, struct err *e)
{
	cleanup_free char *command = NULL;
	int r = find_command(s, &command, e);
	uint32_t n_procs = 0;

	if (r < 0)
		return r;
	while (n_procs < ARRAY_LEN(s->cgroup_procs) && s->cgroup_procs[n_procs])
		n_procs++;
	put_int(b, KEEPER_MAGIC, 4);
	put_str(b, command);
	put_int(b, s->args.n + 1, 4);
	put_str(b, s->command);
	for (uint32_t i = 0; i < s->args.n; i++)
		put_str(b, s->args.v[i]);
	put_int(b, s->env.n, 4);
	for (uint32_t i = 0; i < s->env.n; i++)
		put_str(b, s->env.v[i]);
	put_str(b, s->work_dir);
	r = put_user(b, s->user, e);
	if (r < 0)
		return r;
	put_str(b, s->stdout_path);
	put_str(b, s->stderr_path);
	put_int(b, (uint64_t)MAX(s->max_files, 1), 8);
	put_int(b, (uint64_t)MAX(s->max_file_size, 4096), 8);
	put_int(b, s->logs_disabled, 8);
	put_str(b, s->cgroup);
	put_int(b, n_procs, 4);
	for (uint32_t i = 0; i < n_procs; i++)
		put_str(b, s->cgroup_procs[i]);
	put_int(b, (uint64_t)(s->oom_score_adj + 1000), 8);
	if (b->len > KEEPER_MAX_SPEC)
		return err_set(e, -E2BIG, "arguments and environment are larger than %u bytes", KEEPER_MAX_SPEC);
	return 0;
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
	free(k->record);
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

static bool on_text(struct keeper *k, const char *line)
{
	if (line[0] == 'S' && !k->started) {
		k->started = true;
		return report(k, KEEPER_STARTED, NULL);
	}
	if (line[0] == 'E' && !k->error)
		k->error = xstrdup(line + MIN(strlen(line), (size_t)2));
	return true;
}

/* Reads what the keeper said so far. False when k is gone. */
static bool read_lines(struct keeper *k)
{
	while (k->events >= 0) {
		ssize_t n = read(k->events, k->line + k->line_len, sizeof(k->line) - 1 - k->line_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return true;
		if (n == 0) {
			event_del(k->on_line);
			close(k->events);
			k->events = -1;
			return true;
		}
		k->line_len += (size_t)n;
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
	}
	return true;
}

static void on_line(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	read_lines(arg);
}

static int read_exit(struct keeper *k, struct keeper_exit *x)
{
	cleanup_free char *path = path_join(k->record, "exit"), *error_path = path_join(k->record, "error");
	cleanup_buf struct buf text = BUF_INIT;
	long long wall = 0;
	int oom = 0;

	if (file_read(path, 256, &text, NULL) == 0 && text.len &&
	    sscanf(text.data, "%d %d %d %lld", &x->code, &x->signal, &oom, &wall) == 4) {
		x->oom = oom != 0;
		x->at = wall;
		return 0;
	}
	buf_clear(&text);
	if (!k->error && file_read(error_path, 1024, &text, NULL) == 0 && text.len) {
		text.data[strcspn(text.data, "\n")] = 0;
		k->error = xstrdup(text.data);
	}
	return -ENOENT;
}

/* The keeper died without a word (killed, or the machine restarted): what it held must not run on unseen. */
static void kill_left(struct keeper *k)
{
	int pid = living(k->record, "task");

	if (pid > 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
}

static void finish(struct keeper *k)
{
	struct keeper_exit x = {.at = clock_now()};
	enum keeper_event what = KEEPER_EXITED;

	if (!read_lines(k))
		return;
	if (k->child)
		waitpid(k->pid, NULL, WNOHANG);
	if (k->on_end)
		event_del(k->on_end);
	if (read_exit(k, &x) < 0) {
		if (k->error && !k->started) {
			what = KEEPER_START_FAILED;
		} else {
			x.lost = true;
			x.code = -1;
			kill_left(k);
		}
	}
	x.error = k->error;
	if (what == KEEPER_EXITED && !k->started && !x.lost) {
		k->started = true;
		if (!report(k, KEEPER_STARTED, NULL))
			return;
	}
	report(k, what, &x);
}

static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct keeper *k = arg;

	/* Without pidfd (kernels before 5.3) this is a timer that looks again. */
	if (k->pidfd < 0 && k->pid > 0 && start_time(k->pid)) {
		event_add(k->on_end, &(struct timeval){0, POLL_MS * 1000});
		return;
	}
	finish(k);
}

static void watch(struct keeper *k)
{
	k->pidfd = k->pid > 0 ? (int)syscall(SYS_pidfd_open, k->pid, 0) : -1;
	if (k->pidfd >= 0) {
		fcntl(k->pidfd, F_SETFD, FD_CLOEXEC);
		k->on_end = event_new(k->base, k->pidfd, EV_READ, on_end, k);
		event_add(k->on_end, NULL);
	} else {
		k->on_end = evtimer_new(k->base, on_end, k);
		event_add(k->on_end, &(struct timeval){0, 0});
	}
	if (k->events >= 0) {
		k->on_line = event_new(k->base, k->events, EV_READ | EV_PERSIST, on_line, k);
		event_add(k->on_line, NULL);
	}
}

static struct keeper *keeper_new(struct event_base *base, const char *record_dir, keeper_fn *fn, void *arg)
{
	struct keeper *k = xcalloc(1, sizeof(*k));

	k->base = base;
	k->fn = fn;
	k->arg = arg;
	k->record = xstrdup(record_dir);
	k->pidfd = k->events = -1;
	return k;
}

/* ---- starting ---- */

/* Beside the executable, as the build leaves it, or where `make install` puts it; DROVER_KEEPER overrules. */
static const char *keeper_path(void)
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
	int r = encode_spec(spec, &b, e);

	if (r < 0)
		return r;
	cleanup_close int fd = (int)syscall(SYS_memfd_create, "drover-spec", 1u /* MFD_CLOEXEC */);

	if (fd < 0 || file_write_all(fd, b.data, b.len) < 0)
		return err_set(e, -errno, "cannot hand the task's spec over: %s", strerror(errno));
	memset(b.data, 0, b.len); /* it holds the environment */
	int high = fcntl(fd, F_DUPFD_CLOEXEC, SAFE_FD);

	return high < 0 ? err_set(e, -errno, "out of file descriptors: %s", strerror(errno)) : high;
}

static int spawn(const char *record_dir, int spec_fd, int events_fd, pid_t *pid)
{
	char *argv[] = {(char *)"drover-keeper", (char *)record_dir, NULL}, *env[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, spec_fd, KEEPER_FD_SPEC);
	posix_spawn_file_actions_adddup2(&files, events_fd, KEEPER_FD_EVENTS);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	int r = posix_spawn(pid, keeper_path(), &files, &attr, argv, env);

	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

int keeper_start(struct event_base *base, const char *record_dir, const struct keeper_spec *spec, keeper_fn *fn,
    void *arg, struct keeper **out, struct err *e)
{
	static const char *const old[] = {"exit", "error", "task", "keeper"};
	int ends[2], r;
	pid_t pid;

	r = dir_make(record_dir, 0700, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(old); i++) { /* of the run before: the exit status has been taken */
		cleanup_free char *path = path_join(record_dir, old[i]);

		unlink(path);
	}
	cleanup_close int spec_fd = spec_file(spec, e);

	if (spec_fd < 0)
		return spec_fd;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
	cleanup_close int read_end = ends[0];
	cleanup_close int low_end = ends[1];
	cleanup_close int write_end = fcntl(low_end, F_DUPFD_CLOEXEC, SAFE_FD);

	if (write_end < 0)
		return err_set(e, -errno, "out of file descriptors: %s", strerror(errno));
	r = spawn(record_dir, spec_fd, write_end, &pid);
	if (r)
		return err_set(e, -r, "cannot start %s: %s", keeper_path(), strerror(r));
	struct keeper *k = keeper_new(base, record_dir, fn, arg);

	k->pid = pid;
	k->child = true;
	k->events = read_end;
	read_end = -1;
	watch(k);
	*out = k;
	return 0;
}

int keeper_adopt(struct event_base *base, const char *record_dir, keeper_fn *fn, void *arg, struct keeper **out,
    struct err *e)
{
	int pid = living(record_dir, "keeper");

	if (pid < 0)
		return err_set(e, -ENOENT, "%s holds no record of a keeper", record_dir);
	struct keeper *k = keeper_new(base, record_dir, fn, arg);

	k->pid = pid;
	/* A keeper that lives and has a task record has started it; one without is about to. */
	k->started = pid > 0 && living(record_dir, "task") >= 0;
	watch(k);
	if (k->pidfd >= 0 && living(record_dir, "keeper") != pid) { /* recycled between look and open */
		close(k->pidfd);
		event_free(k->on_end);
		k->on_end = NULL;
		k->pid = 0;
		watch(k);
	}
	*out = k;
	return 0;
}

int keeper_pid(const struct keeper *k)
{
	int pid = living(k->record, "task");

	return pid > 0 ? pid : 0;
}

int keeper_signal(struct keeper *k, int signal, struct err *e)
{
	int pid = keeper_pid(k);

	if (!pid)
		return err_set(e, -ESRCH, "the task does not run");
	if (kill(pid, signal) < 0)
		return err_set(e, -errno, "cannot signal process %d: %s", pid, strerror(errno));
	return 0;
}

int keeper_kill(struct keeper *k, struct err *e)
{
	int pid = keeper_pid(k);

	if (!pid)
		return err_set(e, -ESRCH, "the task does not run");
	/* The session's processes now; when the main one is gone the keeper kills the rest of cgroup and orphans. */
	kill(-pid, SIGKILL);
	if (kill(pid, SIGKILL) < 0 && errno != ESRCH)
		return err_set(e, -errno, "cannot kill process %d: %s", pid, strerror(errno));
	return 0;
}

void keeper_release(struct keeper *k)
{
	if (k)
		keeper_free(k);
}

int keeper_forget(const char *record_dir, struct err *e)
{
	return dir_remove(record_dir, e);
}
