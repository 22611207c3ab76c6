/*
 * server: one turn after the other: schedule a slice, begin a commit, and at its end let go of what rested on it.
 *
 *   kick -> turn: core_step() for at most SLICE, commit_begin() unless one is under way
 *        -> journal thread (at once with the memory journal)
 *        -> on_committed: commit_end(), answers in order of arrival, then those who watch; then the next turn
 */
#include "daemon/server.h"

#include <assert.h>
#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/journal_thread.h"

#define SLICE (2 * MILLI)

struct server {
	struct event_base *base;
	struct journal *journal;
	struct core *core;
	struct watch *watch;
	struct journal_thread *thread; /* NULL with the memory journal */
	struct event *turn, *again, *timer;
	struct link resting; /* struct rest, in order of arrival */
	bool committing, fatal;
	int64_t commit_began, timer_at;
	struct server_stats stats;
	void (*on_fatal)(void *);
	void *on_fatal_arg;
};

static const struct timeval at_once = {0, 0};

struct core *server_core(const struct server *s)
{
	return s->core;
}

struct watch *server_watch(const struct server *s)
{
	return s->watch;
}

struct uuid server_id(const struct server *s)
{
	return core_state(s->core)->cluster_id;
}

void server_kick(struct server *s)
{
	event_active(s->turn, 0, 0);
}

bool server_is_committed(const struct server *s, uint64_t index)
{
	/* Nobody overtakes: what rests on a later index waits, and order is kept for those behind it. */
	return index <= core_committed(s->core);
}

/* ---- what rests on a commit ---- */

void server_rest(struct server *s, struct rest *r, uint64_t index, rest_fn *fn)
{
	assert(!r->link.next);
	r->index = index;
	r->fn = fn;
	r->link.prev = s->resting.prev;
	r->link.next = &s->resting;
	s->resting.prev->next = &r->link;
	s->resting.prev = &r->link;
	server_kick(s);
}

void server_rest_cancel(struct rest *r)
{
	if (!r->link.next)
		return;
	r->link.prev->next = r->link.next;
	r->link.next->prev = r->link.prev;
	r->link.prev = r->link.next = NULL;
}

static void release(struct server *s)
{
	uint64_t committed = core_committed(s->core);

	while (s->resting.next != &s->resting) {
		struct rest *r = CONTAINER_OF(s->resting.next, struct rest, link);

		if (r->index > committed)
			break;
		server_rest_cancel(r);
		r->fn(r);
	}
}

/* ---- the turn ---- */

static void arm_timer(struct server *s)
{
	int64_t at = core_next_deadline(s->core), left;
	struct timeval tv;

	if (at == s->timer_at)
		return;
	s->timer_at = at;
	if (at == NEVER) {
		evtimer_del(s->timer);
		return;
	}
	left = MIN(MAX(0, at - clock_now()), HOUR);
	tv = (struct timeval){left / SECOND, left % SECOND / 1000 + 1};
	evtimer_add(s->timer, &tv);
}

static void after_commit(struct server *s)
{
	cleanup_err struct err e = ERR_INIT;

	release(s);
	if (watch_has_woken(s->watch) && watch_deliver(s->watch, SLICE))
		evtimer_add(s->again, &at_once);
	if (core_maybe_snapshot(s->core, &e) < 0)
		log_error("server", "snapshot: %s", err_str(&e));
}

static void fail(struct server *s, const struct err *e)
{
	s->fatal = true;
	log_error("server", "the journal failed and what it holds is unknown: %s; stopping", err_str(e));
	s->on_fatal(s->on_fatal_arg);
}

static void on_committed(void *arg, int rc, const struct err *e)
{
	struct server *s = arg;
	int64_t took = clock_monotonic() - s->commit_began;

	s->committing = false;
	if (rc < 0) {
		fail(s, e);
		return;
	}
	core_commit_end(s->core);
	s->stats.commits++;
	s->stats.commit_ns += (uint64_t)took;
	s->stats.commit_max_ns = MAX(s->stats.commit_max_ns, (uint64_t)took);
	after_commit(s);
	server_kick(s);
}

static void commit(struct server *s)
{
	cleanup_err struct err e = ERR_INIT;
	int rc;

	if (s->committing || s->fatal)
		return;
	if (!core_commit_begin(s->core)) {
		if (s->resting.next != &s->resting || watch_has_woken(s->watch))
			after_commit(s);
		return;
	}
	s->committing = true;
	s->commit_began = clock_monotonic();
	if (s->thread) {
		journal_thread_begin(s->thread);
		return;
	}
	rc = core_commit_run(s->core, &e);
	on_committed(s, rc, &e);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	int64_t now = clock_now(), start = clock_monotonic();
	bool more;

	(void)fd;
	(void)what;
	if (s->fatal)
		return;
	s->stats.turns++;
	do
		more = core_step(s->core, now);
	while (more && clock_monotonic() - start < SLICE);
	commit(s);
	/* By a timer, so that the loop looks at its sockets in between. */
	if (more)
		evtimer_add(s->again, &at_once);
	arm_timer(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	s->timer_at = NEVER;
	core_tick(s->core, clock_now());
	server_kick(s);
}

/* ---- start and stop ---- */

static int open_journal(const struct config *c, struct journal **out, struct err *e)
{
	cleanup_free char *server = NULL, *dir = NULL;
	struct journal_file_config jc = {.sync = true};

	if (str_eq(c->server.journal, "memory")) {
		*out = journal_memory_new();
		return 0;
	}
	if (!str_eq(c->server.journal, "file"))
		return err_set(e, -ENOTSUP, "server { journal = \"%s\" }: this build has \"file\" and \"memory\"",
		    c->server.journal);
	server = path_join(c->data_dir, "server");
	dir = path_join(server, "journal");
	jc.dir = dir;
	return journal_file_open(&jc, out, e);
}

static void fill_core_config(const struct config *c, struct core_config *out)
{
	struct uuid seed = uuid_random();

	*out = (struct core_config){
	    .heartbeat_grace = c->server.heartbeat_grace,
	    .min_heartbeat_ttl = c->server.min_heartbeat_ttl,
	    .max_heartbeats_per_second = c->server.max_heartbeats_per_second,
	    .failover_heartbeat_ttl = c->server.failover_heartbeat_ttl,
	    .node_gc_threshold = c->server.node_gc_threshold,
	    .job_gc_interval = c->server.job_gc_interval,
	    .job_gc_threshold = c->server.job_gc_threshold,
	    .eval_gc_threshold = c->server.eval_gc_threshold,
	    .batch_eval_gc_threshold = c->server.batch_eval_gc_threshold,
	    .deployment_gc_threshold = c->server.deployment_gc_threshold,
	    .job_max_priority = c->server.job_max_priority,
	    .job_default_priority = c->server.job_default_priority,
	    .job_max_count = c->server.job_max_count,
	    .max_pending_evals = c->server.max_pending_evals,
	    .region = c->region,
	    .seed = seed.hi ^ seed.lo,
	};
}

int server_start(struct event_base *base, const struct config *c, void (*on_fatal)(void *), void *arg,
    struct server **out, struct err *e)
{
	struct server *s = xcalloc(1, sizeof(*s));
	struct core_config cc;
	int rc;

	s->base = base;
	s->on_fatal = on_fatal;
	s->on_fatal_arg = arg;
	s->resting.prev = s->resting.next = &s->resting;
	s->timer_at = NEVER;
	s->watch = watch_new(base);
	s->turn = event_new(base, -1, 0, on_turn, s);
	s->again = evtimer_new(base, on_turn, s);
	s->timer = evtimer_new(base, on_timer, s);
	if (!s->turn || !s->again || !s->timer)
		die("out of memory");
	fill_core_config(c, &cc);
	rc = open_journal(c, &s->journal, e);
	if (rc >= 0)
		rc = core_open(&cc, s->journal, clock_now(), &s->core, e);
	if (rc >= 0 && !str_eq(s->journal->ops->name, "memory"))
		rc = journal_thread_start(base, s->core, on_committed, s, &s->thread, e);
	if (rc < 0) {
		server_stop(s);
		return rc;
	}
	core_state(s->core)->watch = watch_on_change;
	core_state(s->core)->watch_arg = s->watch;
	server_kick(s);
	*out = s;
	return 0;
}

/* What is appended already is committed before the journal closes: nobody is told, but nothing is lost needlessly. */
static void finish_commits(struct server *s)
{
	cleanup_err struct err e = ERR_INIT;

	int rc = s->thread ? journal_thread_stop(STEAL(s->thread)) : 0;

	if (s->fatal || !s->core || rc < 0)
		return;
	if (s->committing)
		core_commit_end(s->core);
	while (core_commit_begin(s->core)) {
		if (core_commit_run(s->core, &e) < 0) {
			log_error("server", "last commit: %s", err_str(&e));
			return;
		}
		core_commit_end(s->core);
	}
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	finish_commits(s);
	if (s->core)
		core_close(s->core);
	if (s->journal)
		s->journal->ops->close(s->journal);
	event_free(s->turn);
	event_free(s->again);
	event_free(s->timer);
	watch_free(s->watch);
	free(s);
}

void server_stats(const struct server *s, struct server_stats *out)
{
	*out = s->stats;
	out->watchers = watch_count(s->watch);
}
