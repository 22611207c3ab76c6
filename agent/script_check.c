/*
 * script_check: a check waits for its time, then in the queue of the pool, then for its run to end. A run is an object of
 * its own, so that what was killed can be reaped after its check is gone.
 */
#include "agent/script_check.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/model.h"

enum {
	MAX_RUNS = 32, /* at once */
	MAX_STARTS = 4, /* in one turn of the loop: each takes about half a millisecond of it */
	POLL_MS = 50,  /* on kernels without pidfd */
};

struct run {
	TAILQ_ENTRY(run) list;
	struct script_pool *pool;
	struct script_check *check; /* NULL: nobody waits for it any more */
	pid_t pid;
	int pidfd, output; /* -1 = none */
	struct event *on_end, *on_output;
	bool timed_out;
	struct buf text;
};

struct script_check {
	TAILQ_ENTRY(script_check) queue;
	struct script_pool *pool;
	struct arena *arena;
	struct script_check_config config;
	struct event *timer; /* for its time, then for the timeout of the run */
	struct run *run;
	bool queued;
	int64_t started; /* monotonic, of the last run */
};

struct script_pool {
	struct event_base *base;
	TAILQ_HEAD(, run) runs;
	TAILQ_HEAD(, script_check) queue;
	unsigned n_runs;
	struct event *pump;
};

static void set_timer(struct event *timer, int64_t after)
{
	struct timeval tv = { .tv_sec = MAX(after, 0) / SECOND, .tv_usec = MAX(after, 0) % SECOND / 1000 };

	evtimer_add(timer, &tv);
}

static void pump_soon(struct script_pool *p)
{
	if (!TAILQ_EMPTY(&p->queue) && p->n_runs < MAX_RUNS && !evtimer_pending(p->pump, NULL))
		set_timer(p->pump, 0);
}

/* ---- the end of a run ---- */

static void run_free(struct run *r)
{
	TAILQ_REMOVE(&r->pool->runs, r, list);
	r->pool->n_runs--;
	if (r->on_end)
		event_free(r->on_end);
	if (r->on_output)
		event_free(r->on_output);
	if (r->pidfd >= 0)
		close(r->pidfd);
	if (r->output >= 0)
		close(r->output);
	buf_free(&r->text);
	free(r);
}

/* Keeps the first bytes. False at the end, or when there is nothing more for the moment. */
static bool read_output(struct run *r)
{
	char piece[4096];
	ssize_t n = read(r->output, piece, sizeof(piece));

	if (n < 0 && errno == EINTR)
		return true;
	if (n > 0)
		buf_put(&r->text, piece, MIN((size_t)n, SCRIPT_OUTPUT_MAX - r->text.len));
	else if (n == 0)
		event_del(r->on_output);
	return n > 0;
}

static void on_output(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	read_output(arg);
}

static void judge(struct run *r, int status)
{
	static const char *const words[] = { "passing", "warning" };
	struct script_check *c = r->check;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (WIFSIGNALED(status))
		buf_printf(&r->text, "%sended by signal %d", r->text.len ? "\n" : "", WTERMSIG(status));
	c->config.report(c->config.arg, code == 0 || code == 1 ? words[code] : "critical", r->text.len ? r->text.data : "");
}

static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct run *r = arg;
	struct script_pool *p = r->pool;
	struct script_check *c = r->check;
	int status = 0, got = waitpid(r->pid, &status, WNOHANG);

	if (got == 0 || (got < 0 && errno == EINTR)) {
		event_add(r->on_end, r->pidfd >= 0 ? NULL : &(struct timeval){ 0, POLL_MS * 1000 });
		return;
	}
	/* Somebody who outlives it may hold the pipe: what is there now counts. */
	for (int i = 0; i < 64 && read_output(r); i++)
		;
	if (c) {
		c->run = NULL;
		set_timer(c->timer, c->started + c->config.interval - clock_monotonic());
		if (!r->timed_out)
			judge(r, status); /* the last thing done with the check: it may go */
	}
	run_free(r);
	pump_soon(p);
}

/* ---- the begin ---- */

static int spawn(struct script_check *c, int output, pid_t *pid, struct err *e)
{
	struct arena *a cleanup_arena = arena_new();
	struct keeper_spec spec = { 0 };
	int r = c->config.context(c->config.arg, a, &spec, e);

	if (r < 0)
		return r;
	spec.command = c->config.command;
	spec.args = c->config.args;
	return keeper_run(&spec, output, pid, e);
}

static int start_run(struct script_check *c, struct err *e)
{
	struct script_pool *p = c->pool;
	pid_t pid;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
	cleanup_close int in = ends[0];
	cleanup_close int out = ends[1];

	if ((r = spawn(c, out, &pid, e)) < 0)
		return r;
	struct run *run = xcalloc(1, sizeof(*run));

	run->pool = p;
	run->check = c;
	run->pid = pid;
	run->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	run->output = STEAL(in);
	in = -1;
	fcntl(run->output, F_SETFL, O_NONBLOCK);
	run->on_output = event_new(p->base, run->output, EV_READ | EV_PERSIST, on_output, run);
	event_add(run->on_output, NULL);
	run->on_end = event_new(p->base, run->pidfd, run->pidfd >= 0 ? EV_READ : 0, on_end, run);
	event_add(run->on_end, run->pidfd >= 0 ? NULL : &(struct timeval){ 0, POLL_MS * 1000 });
	TAILQ_INSERT_TAIL(&p->runs, run, list);
	p->n_runs++;
	c->run = run;
	set_timer(c->timer, c->config.timeout);
	return 0;
}

static void start(struct script_check *c)
{
	struct err e cleanup_err = ERR_INIT;

	c->started = clock_monotonic();
	if (start_run(c, &e) == 0)
		return;
	set_timer(c->timer, c->config.interval);
	c->config.report(c->config.arg, "critical", err_str(&e));
}

static void on_pump(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct script_pool *p = arg;
	struct script_check *c;

	for (int i = 0; i < MAX_STARTS && p->n_runs < MAX_RUNS && (c = TAILQ_FIRST(&p->queue)); i++) {
		TAILQ_REMOVE(&p->queue, c, queue);
		c->queued = false;
		start(c);
	}
	pump_soon(p);
}

static void kill_run(const struct run *r)
{
	kill(-r->pid, SIGKILL);
	kill(r->pid, SIGKILL); /* it may not have made its session yet */
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct script_check *c = arg;
	cleanup_free char *text = NULL;
	char span[DURATION_STR];

	if (!c->run) {
		TAILQ_INSERT_TAIL(&c->pool->queue, c, queue);
		c->queued = true;
		pump_soon(c->pool);
		return;
	}
	kill_run(c->run);
	c->run->timed_out = true;
	text = xasprintf("timed out after %s%s%s", duration_format(c->config.timeout, span), c->run->text.len ? ": " : "",
	    c->run->text.len ? c->run->text.data : "");
	c->config.report(c->config.arg, "critical", text);
}

/* ---- life ---- */

struct script_check *script_check_start(struct script_pool *p, const struct script_check_config *config)
{
	struct script_check *c = xcalloc(1, sizeof(*c));

	c->pool = p;
	c->arena = arena_new();
	c->config = *config;
	c->config.command = arena_strdup(c->arena, config->command);
	c->config.args = (struct strs){ 0 };
	for (uint32_t i = 0; i < config->args.n; i++)
		strs_push(c->arena, &c->config.args, config->args.v[i]);
	c->timer = evtimer_new(p->base, on_timer, c);
	set_timer(c->timer, 0);
	return c;
}

void script_check_stop(struct script_check *c)
{
	if (!c)
		return;
	if (c->queued)
		TAILQ_REMOVE(&c->pool->queue, c, queue);
	if (c->run) {
		c->run->check = NULL;
		kill_run(c->run);
	}
	event_free(c->timer);
	arena_free(c->arena);
	free(c);
}

struct script_pool *script_pool_new(struct event_base *base)
{
	struct script_pool *p = xcalloc(1, sizeof(*p));

	p->base = base;
	TAILQ_INIT(&p->runs);
	TAILQ_INIT(&p->queue);
	p->pump = evtimer_new(base, on_pump, p);
	return p;
}

void script_pool_free(struct script_pool *p)
{
	if (!p)
		return;
	while (!TAILQ_EMPTY(&p->runs)) {
		struct run *r = TAILQ_FIRST(&p->runs);

		kill_run(r);
		waitpid(r->pid, NULL, WNOHANG);
		run_free(r);
	}
	event_free(p->pump);
	free(p);
}
