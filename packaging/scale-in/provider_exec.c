/* The provider "exec": a command that prints the wanted state, and two that are run at heartbeats and at the end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "packaging/scale-in/provider.h"

#define OUTPUT_MAX 4096

extern char **environ;

static struct provider *exec_open(const struct settings *s)
{
	struct provider *p = xcalloc(1, sizeof(*p));

	*p = (struct provider){&provider_exec, s};
	return p;
}

static void exec_close(struct provider *p)
{
	free(p);
}

static int exec_machine(struct provider *p UNUSED, const char **out, struct err *e UNUSED)
{
	*out = "";
	return 0;
}

/* In a process group of its own, with no signal blocked, and standard output to fd. */
static int spawn(const struct strs *command, char **env, int fd, pid_t *out)
{
	cleanup_free char **argv = xcalloc(command->n + 1, sizeof(*argv));
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	for (uint32_t i = 0; i < command->n; i++)
		argv[i] = (char *)(uintptr_t)command->v[i];
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fd, 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	rc = posix_spawnp(out, argv[0], &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* Until the command has closed its output, or until then. What is too much is read and dropped. */
static void gather(int fd, int64_t until, struct buf *out)
{
	char piece[1024];

	for (;;) {
		int64_t left = (until - clock_monotonic()) / MILLI;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int rc = poll(&p, 1, (int)MAX(left, 0));

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return;
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n <= 0)
			return;
		buf_put(out, piece, (size_t)n);
	}
}

/* The exit status, or -1 when it had to be killed. Leaves no zombie, and nobody of the command's group. */
static int reap(pid_t pid, int64_t until)
{
	siginfo_t info = {0};
	int status = -1;
	bool ended;

	for (;;) {
		info.si_pid = 0;
		/* Not reaped before its group is killed: so the number stays taken. */
		ended = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
		if (ended || clock_monotonic() >= until)
			break;
		usleep(5000);
	}
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return ended ? status : -1;
}

static int run(struct provider *p, const struct strs *command, char **env, struct buf *out, struct err *e)
{
	int64_t until = clock_monotonic() + p->settings->exec.timeout;
	char time[DURATION_STR];
	int fds[2], status, rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, -errno, "pipe: %s", strerror(errno));
	rc = spawn(command, env, fds[1], &pid);
	close(fds[1]);
	if (rc >= 0) {
		gather(fds[0], until, out);
		status = reap(pid, until);
	}
	close(fds[0]);
	if (rc < 0)
		return err_set(e, rc, "%s cannot be run: %s", command->v[0], strerror(-rc));
	if (status == -1)
		return err_set(e, -ETIMEDOUT, "%s has not ended after %s", command->v[0],
		    duration_format(p->settings->exec.timeout, time));
	if (WIFSIGNALED(status))
		return err_set(e, -EIO, "%s was ended by signal %d", command->v[0], WTERMSIG(status));
	return WEXITSTATUS(status) ? err_set(e, -EIO, "%s exited with %d", command->v[0], WEXITSTATUS(status)) : 0;
}

static int exec_look(struct provider *p, struct wish *out, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;

	buf_init(&text, OUTPUT_MAX);
	int rc = run(p, &p->settings->exec.state, environ, &text, e);

	if (rc < 0)
		return rc;
	rc = wish_parse(str_or(text.data, ""), out, e);
	return rc < 0 ? err_wrap(e, "%s", p->settings->exec.state.v[0]) : 0;
}

/* The command learns by its environment what there is to know. */
static int tell(struct provider *p, const struct strs *command, const struct course *c, const char *event, int64_t remaining,
    struct err *e)
{
	cleanup_buf struct buf ignored = BUF_INIT;
	char *own[] = {
	    xasprintf("DROVER_SCALE_IN_EVENT=%s", event),
	    xasprintf("DROVER_SCALE_IN_PHASE=%s", phase_name(c->phase)),
	    xasprintf("DROVER_SCALE_IN_REASON=%s", c->reason),
	    xasprintf("DROVER_SCALE_IN_REMAINING=%lld", (long long)remaining),
	    xasprintf("DROVER_NODE_ID=%s", c->node),
	};
	size_t n = 0;
	int rc = 0;

	while (environ[n])
		n++;
	cleanup_free char **env = xcalloc(n + ARRAY_LEN(own) + 1, sizeof(*env));

	memcpy(env, own, sizeof(own)); /* of two with the same name the first counts */
	memcpy(env + ARRAY_LEN(own), environ, n * sizeof(*env));
	buf_init(&ignored, OUTPUT_MAX);
	if (command->n)
		rc = run(p, command, env, &ignored, e);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		free(own[i]);
	return rc;
}

static int exec_extend(struct provider *p, const struct course *c, int64_t remaining, struct err *e)
{
	return tell(p, &p->settings->exec.heartbeat, c, "heartbeat", remaining, e);
}

static int exec_release(struct provider *p, const struct course *c, struct err *e)
{
	return tell(p, &p->settings->exec.complete, c, "complete", 0, e);
}

const struct provider_ops provider_exec = {"exec", exec_open, exec_close, exec_machine, exec_look, exec_extend, exec_release};
