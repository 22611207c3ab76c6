/*
 * server: one turn after the other: schedule a slice, begin a job of the journal, and at its end let go of what rested on it.
 *
 *   kick -> turn: core_step() for at most SLICE, then a commit unless a job is under way; when there is nothing to commit
 *           and an answer waits for it, a confirmation
 *        -> journal thread (at once with the memory journal)
 *        -> on_done: commit_end(), answers in order of arrival, then those who watch; then the next turn
 */
#include "daemon/filter.h"
#include "daemon/server.h"

#include <assert.h>
#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/server_internal.h"

#define SLICE          (2 * MILLI)
#define CONFIRM_AGAIN  (200 * MILLI)

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
	return s->config.id;
}

void server_kick(struct server *s)
{
	event_active(s->turn, 0, 0);
}

static void set_timer(struct event *timer, int64_t after)
{
	const struct timeval tv = {after / SECOND, after % SECOND / 1000};

	evtimer_add(timer, &tv);
}

/* ---- what rests on a commit ---- */

bool server_must_rest(const struct server *s, uint64_t index, bool stale)
{
	if (s->role != ROLE_LEADS)
		return s->role == ROLE_STEPS_DOWN;
	/* Nobody overtakes: what rests on a later index waits, and order is kept for those behind it. */
	return index > core_committed(s->core) || (!stale && core_is_shared(s->core));
}

void server_rest(struct server *s, struct rest *r, uint64_t index, bool stale, rest_fn *fn)
{
	assert(!r->link.next);
	r->index = index;
	r->round = !stale && core_is_shared(s->core) ? s->round + 1 : 0;
	r->since = clock_monotonic();
	r->fn = fn;
	r->failure = NULL;
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

struct rest *server_first_resting(const struct server *s)
{
	return s->resting.next != &s->resting ? CONTAINER_OF(s->resting.next, struct rest, link) : NULL;
}

static void release(struct server *s)
{
	uint64_t committed = core_committed(s->core);
	struct rest *r;

	while ((r = server_first_resting(s)) && r->index <= committed && r->round <= s->confirmed) {
		server_rest_cancel(r);
		r->fn(r);
	}
}

void server_fail_rest(struct rest *r, const char *failure)
{
	server_rest_cancel(r);
	r->failure = failure;
	r->fn(r);
}

void server_fail_rests(struct server *s, const char *failure)
{
	struct rest *r;

	while ((r = server_first_resting(s)))
		server_fail_rest(r, failure);
}

/* ---- the turn ---- */

static void arm_timer(struct server *s)
{
	int64_t at = core_next_deadline(s->core), left;

	if (at == s->timer_at)
		return;
	s->timer_at = at;
	if (at == NEVER) {
		evtimer_del(s->timer);
		return;
	}
	left = MIN(MAX(0, at - clock_now()), HOUR) + MILLI;
	s->timer_due = clock_monotonic() + left;
	set_timer(s->timer, left);
}

static void deliver(struct server *s)
{
	if (watch_has_woken(s->watch) && watch_deliver(s->watch, SLICE))
		set_timer(s->again, 0);
}

static void after_commit(struct server *s)
{
	cleanup_err struct err e = ERR_INIT;

	release(s);
	deliver(s);
	if (core_maybe_snapshot(s->core, &e) < 0)
		log_error("server", "snapshot: %s", err_str(&e));
}

void server_fail(struct server *s, const char *why)
{
	if (s->fatal)
		return;
	s->fatal = true;
	log_error("server", "%s; stopping", why);
	s->config.on_fatal(s->config.arg);
}

static void on_committed(struct server *s, int64_t took)
{
	uint64_t before = core_committed(s->core);

	core_commit_end(s->core);
	if (core_committed(s->core) > before)
		s->confirmed = s->round;
	s->stats.commits++;
	s->stats.commit_ns += (uint64_t)took;
	s->stats.commit_max_ns = MAX(s->stats.commit_max_ns, (uint64_t)took);
}

/* Whether the job did what it was for. */
static bool settle_job(struct server *s, enum journal_job job, int rc, const struct err *e)
{
	/* What became of a commit that failed for whatever reason, the log in Consul tells: it is read anew. */
	if (rc == -ESTALE || (rc < 0 && job == JOURNAL_COMMIT && core_is_shared(s->core))) {
		server_step_down(s, err_str(e));
		return false;
	}
	if (rc < 0 && job == JOURNAL_COMMIT) {
		cleanup_free char *text =
		    xasprintf("the journal failed and what it holds is unknown: %s", err_str(e));

		server_fail(s, text);
		return false;
	}
	free(STEAL(s->trouble));
	if (rc < 0) {
		s->trouble = xstrdup(err_str(e));
		s->retry_at = clock_monotonic() + CONFIRM_AGAIN;
		set_timer(s->again, CONFIRM_AGAIN);
		return false;
	}
	return true;
}

static void on_done(void *arg, enum journal_job job, int rc, const struct err *e)
{
	struct server *s = arg;
	int64_t took = clock_monotonic() - s->work_began;

	s->working = false;
	if (s->role == ROLE_STEPS_DOWN) {
		server_kick(s);
		return;
	}
	if (!settle_job(s, job, rc, e))
		return;
	server_on_answer(s);
	if (job == JOURNAL_COMMIT) {
		on_committed(s, took);
	} else {
		s->confirmed = s->round;
		s->stats.confirms++;
	}
	after_commit(s);
	server_kick(s);
}

static void begin(struct server *s, enum journal_job job)
{
	cleanup_err struct err e = ERR_INIT;
	int rc;

	s->working = true;
	s->job = job;
	s->work_began = clock_monotonic();
	if (!s->unanswered)
		s->unanswered = s->work_began;
	s->round++;
	if (s->thread) {
		journal_thread_begin(s->thread, job);
		return;
	}
	rc = core_commit_run(s->core, &e);
	on_done(s, job, rc, &e);
}

static bool wants_confirmation(const struct server *s)
{
	const struct rest *r = server_first_resting(s);

	return (r && r->round > s->confirmed) || server_wants_proof(s);
}

/* A commit confirms what it writes. One that only does the journal's own chores does not: those who wait come before it, in turns. */
static void work(struct server *s)
{
	bool unwritten, confirm;

	if (s->working || s->fatal)
		return;
	unwritten = core_state(s->core)->index > core_committed(s->core);
	confirm = !unwritten && wants_confirmation(s) && clock_monotonic() >= s->retry_at;
	if (confirm && s->job != JOURNAL_CONFIRM)
		begin(s, JOURNAL_CONFIRM);
	else if (core_commit_begin(s->core))
		begin(s, JOURNAL_COMMIT);
	else if (confirm)
		begin(s, JOURNAL_CONFIRM);
	else if (server_first_resting(s) || watch_has_woken(s->watch))
		after_commit(s);
}

static void ask_witnesses(struct server *s, int64_t now)
{
	struct uuid node;

	while (!server_is_stalled(s) && core_next_question(s->core, &node, now))
		if (s->config.on_question)
			s->config.on_question(s->config.arg, node);
		else
			core_node_witness(s->core, node, WITNESS_UNKNOWN, WITNESS_UNKNOWN, now);
}

static void lead(struct server *s)
{
	int64_t now = clock_now(), start = clock_monotonic();
	bool more = false;

	server_check_clock(s);
	if (!server_is_stalled(s) && !s->left) {
		do
			more = core_step(s->core, now);
		while (more && clock_monotonic() - start < SLICE);
	}
	ask_witnesses(s, now);
	work(s);
	/* By a timer, so that the loop looks at its sockets in between. */
	if (more)
		set_timer(s->again, 0);
	arm_timer(s);
}

/* Everything that was begun is done: others may take over. */
static void leave(struct server *s)
{
	if (replica_state(s->replica) != REPLICA_LEAVING)
		replica_leave(s->replica, s->left, s->left_arg);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	if (s->fatal)
		return;
	s->stats.turns++;
	if (s->role == ROLE_LEADS) {
		lead(s);
	} else if (s->role == ROLE_STEPS_DOWN) {
		if (!s->working)
			server_go_on_stepping_down(s);
	} else {
		deliver(s);
	}
	if (s->left && !s->working)
		leave(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	s->timer_at = NEVER;
	if (s->role != ROLE_LEADS)
		return;
	if (server_is_stalled(s)) {
		s->timer_due = clock_monotonic() + SECOND;
		set_timer(s->timer, SECOND);
		return;
	}
	server_check_stop(s);
	server_check_clock(s);
	core_tick(s->core, clock_now());
	server_kick(s);
}

/* ---- start and stop ---- */

static int open_journal(const struct config *c, struct journal **out, struct err *e)
{
	cleanup_free char *server = NULL, *dir = NULL;
	struct journal_file_config jc = {.sync = true, .segment_size = (uint64_t)c->server.journal_segment_size};

	if (str_eq(c->server.journal, "memory")) {
		*out = journal_memory_new();
		return 0;
	}
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
	    .witness_grace = c->server.witness_grace,
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
	    .snapshot_after = (uint64_t)c->server.journal_snapshot_after,
	    .region = c->region,
	    .node_matches = filter_matches_node,
	    .seed = seed.hi ^ seed.lo,
	};
}

void server_watch_core(struct server *s)
{
	core_state(s->core)->watch = watch_on_change;
	core_state(s->core)->watch_arg = s->watch;
}

int server_begin_leading(struct server *s, struct err *e)
{
	int rc = 0;

	s->role = ROLE_LEADS;
	s->timer_at = NEVER;
	if (!str_eq(s->journal->ops->name, "memory"))
		rc = journal_thread_start(s->base, s->core, on_done, s, &s->thread, e);
	server_begin_pulse(s);
	server_kick(s);
	return rc;
}

void server_end_leading(struct server *s)
{
	if (s->thread)
		journal_thread_stop(STEAL(s->thread));
	core_retire(s->core);
	s->journal->ops->close(STEAL(s->journal));
	evtimer_del(s->timer);
	evtimer_del(s->pulse);
	s->timer_at = NEVER;
	s->confirmed = s->round;
}

static int start_local(struct server *s, struct err *e)
{
	int rc = open_journal(s->config.config, &s->journal, e);

	if (rc >= 0)
		rc = core_open(&s->core_config, s->journal, clock_now(), &s->core, e);
	if (rc >= 0)
		rc = server_begin_leading(s, e);
	if (rc >= 0)
		server_watch_core(s);
	return rc;
}

int server_start(struct event_base *base, const struct server_config *c, struct server **out, struct err *e)
{
	struct server *s = xcalloc(1, sizeof(*s));
	int rc = 0;

	s->base = base;
	s->config = *c;
	s->config.check_id = s->check_id = c->check_id ? xstrdup(c->check_id) : NULL;
	s->resting.prev = s->resting.next = &s->resting;
	s->timer_at = NEVER;
	s->watch = watch_new(base);
	s->turn = event_new(base, -1, 0, on_turn, s);
	s->again = evtimer_new(base, on_turn, s);
	s->timer = evtimer_new(base, on_timer, s);
	s->pulse = evtimer_new(base, server_on_pulse, s);
	if (!s->turn || !s->again || !s->timer || !s->pulse)
		die("out of memory");
	fill_core_config(c->config, &s->core_config);
	if (!str_eq(c->config->server.journal, "consul"))
		rc = start_local(s, e);
	else if (c->consul)
		server_start_replica(s);
	else
		rc = err_set(e, -EINVAL, "server { journal = \"consul\" } needs a consul {} block: where Consul is");
	if (rc < 0) {
		server_stop(s);
		return rc;
	}
	*out = s;
	return 0;
}

/* What is appended already is committed before the journal closes: nobody is told, but nothing is lost needlessly. */
static void finish_commits(struct server *s)
{
	cleanup_err struct err e = ERR_INIT;
	int rc;

	if (s->core && s->journal && core_is_shared(s->core)) {
		/* Consul may not answer for long; what is not there by now is not. */
		s->journal->ops->interrupt(s->journal);
		server_end_leading(s);
		return;
	}
	rc = s->thread ? journal_thread_stop(STEAL(s->thread)) : 0;
	if (s->fatal || !s->core || !s->journal || rc < 0)
		return;
	if (s->working)
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
	replica_free(s->replica);
	core_close(s->core);
	if (s->journal)
		s->journal->ops->close(s->journal);
	event_free(s->turn);
	event_free(s->again);
	event_free(s->timer);
	event_free(s->pulse);
	watch_free(s->watch);
	free(s->trouble);
	free(s->check_id);
	free(s);
}

void server_stats(const struct server *s, struct server_stats *out)
{
	*out = s->stats;
	out->watchers = watch_count(s->watch);
}
