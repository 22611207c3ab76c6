/* The core under virtual time: requests, scheduling, timers, durability, and what a restart brings back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "base/file.h"
#include "sched/core_internal.h"
#include "tests/lib/fixture.h"

#define START (INT64_C(1700000000) * SECOND)

struct world {
	struct journal *j;
	struct core *c;
	struct core_config config;
	int64_t now;
	struct arena *a;
	uint64_t rng;
};

static void open_core(struct world *w)
{
	struct err e = ERR_INIT;
	if (core_open(&w->config, w->j, w->now, &w->c, &e))
		fail_msg("%s", err_str(&e));
}

static struct world *world_with(struct core_config config)
{
	struct world *w = xcalloc(1, sizeof(*w));
	w->j = journal_memory_new();
	w->config = config;
	w->config.seed = 42;
	w->now = START;
	w->a = arena_new();
	open_core(w);
	return w;
}

static struct world *world_new(void)
{
	return world_with((struct core_config){0});
}

static void world_free(struct world *w)
{
	core_close(w->c);
	w->j->ops->close(w->j);
	arena_free(w->a);
	free(w);
}

static void commit(struct world *w)
{
	if (!core_commit_begin(w->c))
		return;
	assert_int_equal(core_commit_run(w->c, NULL), 0);
	core_commit_end(w->c);
}

/* Everything that there is to do at this instant. */
static void settle(struct world *w)
{
	for (int i = 0; core_step(w->c, w->now); i++)
		assert_true(i < 100000);
	commit(w);
}

static void pass_time(struct world *w, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		int64_t next = core_next_deadline(w->c);
		w->now = MIN(MAX(next, w->now + 1), end);
		core_tick(w->c, w->now);
		settle(w);
	}
}

static int64_t add_node(struct world *w, unsigned n)
{
	struct core_node_reply reply;
	struct err e = ERR_INIT;
	if (core_node_register(w->c, fixture_node(w->a, n), w->now, &reply, &e))
		fail_msg("%s", err_str(&e));
	return reply.heartbeat_ttl;
}

static struct core_eval_reply run_job(struct world *w, struct job *j)
{
	struct core_eval_reply reply;
	struct err e = ERR_INIT;
	struct core_register_request req = {.job = j};
	if (core_job_register(w->c, &req, w->now, &reply, &e))
		fail_msg("%s", err_str(&e));
	return reply;
}

static struct job_entry *job(struct world *w, const char *id)
{
	return state_job(core_state(w->c), "default", id);
}

static struct node_entry *node(struct world *w, unsigned n)
{
	return state_node(core_state(w->c), fixture_node_id(n));
}

static uint32_t count(struct world *w, const char *id, enum observed o)
{
	uint32_t n = 0;
	for (LINK_EACH(&job(w, id)->allocs, struct alloc, by_job, a))
		n += a->observed == o && (o != OBSERVED_PENDING || a->desired == DESIRED_RUN);
	return n;
}

static int report(struct world *w, const struct alloc *a, const char *status)
{
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	char id[UUID_STR];
	uint64_t index;
	MODEL_SET(alloc_update, &u, id, uuid_format(a->id, id));
	MODEL_SET(alloc_update, &u, client_status, status);
	objs_push(w->a, &all.allocs, &u);
	return core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL);
}

static struct alloc *first_alloc(struct world *w, const char *id)
{
	struct link *head = &job(w, id)->allocs;
	assert_false(link_empty(head));
	return CONTAINER_OF(head->next, struct alloc, by_job);
}

/* ---- registration ---- */

static void test_a_job_is_placed_and_its_evaluation_completes(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	struct core_eval_reply r = run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	assert_int_equal(job(w, "web")->status, JOB_PENDING);
	settle(w);
	assert_int_equal(count(w, "web", OBSERVED_PENDING), 3);
	assert_int_equal(job(w, "web")->status, JOB_RUNNING);
	assert_int_equal(state_eval(core_state(w->c), r.eval)->status, EVAL_COMPLETE);
	assert_int_equal(node(w, 0)->n_live, 3);
	world_free(w);
}

static void test_the_same_spec_again_makes_no_version_but_an_evaluation(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply one = run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	struct core_eval_reply two = run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	assert_false(uuid_eq(one.eval, two.eval));
	assert_int_equal(job(w, "web")->current->version, 0);
	assert_int_equal(two.job_modify_index, one.job_modify_index);
	struct core_eval_reply three = run_job(w, fixture_job(w->a, "web", "service", 4, 100, 100));
	assert_int_equal(job(w, "web")->current->version, 1);
	assert_true(three.job_modify_index > one.job_modify_index);
	/* The three were never worked on: the newest does it for all. */
	add_node(w, 0);
	settle(w);
	assert_int_equal(state_eval(core_state(w->c), one.eval)->status, EVAL_CANCELED);
	assert_int_equal(state_eval(core_state(w->c), two.eval)->status, EVAL_CANCELED);
	assert_int_equal(state_eval(core_state(w->c), three.eval)->status, EVAL_COMPLETE);
	world_free(w);
}

static void test_an_enforced_index_is_enforced(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply reply = run_job(w, fixture_job(w->a, "web", "service", 1, 100, 100)), out;
	struct core_register_request req = {.job = fixture_job(w->a, "web", "service", 2, 100, 100), .enforce_index = true};
	struct err e = ERR_INIT;
	assert_true(core_job_register(w->c, &req, w->now, &out, &e) < 0);
	assert_string_equal(err_str(&e), "Enforcing job modify index 0: job already exists");
	req.job_modify_index = reply.job_modify_index + 7;
	assert_true(core_job_register(w->c, &req, w->now, &out, &e) < 0);
	req.job_modify_index = reply.job_modify_index;
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), 0);
	err_clear(&e);
	world_free(w);
}

static void test_a_stopped_job_is_dead_and_a_purged_one_is_gone(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply out;
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	settle(w);
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	settle(w);
	assert_int_equal(job(w, "web")->status, JOB_DEAD);
	assert_true(job(w, "web")->stop);
	struct alloc *a = first_alloc(w, "web");
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_int_equal(node(w, 0)->n_live, 2); /* until the client says that they ended */
	assert_int_equal(report(w, a, "complete"), 0);
	assert_int_equal(node(w, 0)->n_live, 1);
	assert_int_equal(core_job_deregister(w->c, "default", "web", true, 0, w->now, &out, NULL), 0);
	assert_null(job(w, "web"));
	settle(w);
	assert_int_equal(core_job_deregister(w->c, "default", "web", true, 0, w->now, &out, NULL), -ENOENT);
	world_free(w);
}

static void test_more_pending_evaluations_than_the_limit_are_refused(void **unused)
{
	(void)unused;
	struct world *w = world_with((struct core_config){.max_pending_evals = 2});
	struct core_eval_reply out;
	struct err e = ERR_INIT;
	run_job(w, fixture_job(w->a, "a", "batch", 1, 10, 10));
	run_job(w, fixture_job(w->a, "b", "batch", 1, 10, 10));
	struct core_register_request req = {.job = fixture_job(w->a, "c", "batch", 1, 10, 10)};
	assert_true(core_job_register(w->c, &req, w->now, &out, &e) < 0);
	assert_non_null(strstr(err_str(&e), "queue full"));
	assert_null(job(w, "c"));
	err_clear(&e);
	world_free(w);
}

/* ---- order ---- */

static void test_evaluations_are_worked_on_by_priority_then_age(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	static const struct {
		const char *id;
		int64_t priority;
	} jobs[] = {{"low", 10}, {"first", 50}, {"second", 50}, {"high", 90}};
	static const char *const order[] = {"high", "first", "second", "low"};
	add_node(w, 0);
	settle(w);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		struct job *j = fixture_job(w->a, jobs[i].id, "batch", 1, 10, 10);
		MODEL_SET(job, j, priority, jobs[i].priority);
		run_job(w, j);
	}
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		core_step(w->c, w->now);
		for (size_t k = 0; k < ARRAY_LEN(order); k++)
			assert_int_equal(job(w, order[k])->n_allocs, k <= i);
	}
	world_free(w);
}

/* ---- blocked ---- */

static void test_a_blocked_evaluation_wakes_when_something_ends(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "big", "batch", 1, 3000, 8000));
	settle(w);
	run_job(w, fixture_job(w->a, "next", "batch", 1, 3000, 8000));
	settle(w);
	assert_int_equal(job(w, "next")->n_allocs, 0);
	assert_non_null(job(w, "next")->blocked);
	struct core_stats before, after;
	core_stats(w->c, &before);
	assert_int_equal(before.evals_blocked, 1);
	settle(w);
	core_stats(w->c, &after);
	assert_int_equal(before.plans, after.plans); /* nothing changed, nothing is tried */
	report(w, first_alloc(w, "big"), "complete");
	settle(w);
	assert_int_equal(job(w, "next")->n_allocs, 1);
	assert_null(job(w, "next")->blocked);
	world_free(w);
}

static void test_a_blocked_evaluation_wakes_when_a_node_comes(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	settle(w);
	assert_non_null(job(w, "web")->blocked);
	add_node(w, 0);
	settle(w);
	assert_int_equal(count(w, "web", OBSERVED_PENDING), 2);
	assert_null(job(w, "web")->blocked);
	world_free(w);
}

static void test_a_blocked_evaluation_wakes_when_a_node_becomes_eligible(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint64_t index;
	add_node(w, 0);
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(0), false, w->now, &index, NULL), 0);
	run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	settle(w);
	assert_int_equal(job(w, "web")->n_allocs, 0);
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(0), true, w->now, &index, NULL), 0);
	settle(w);
	assert_int_equal(count(w, "web", OBSERVED_PENDING), 2);
	world_free(w);
}

static void test_one_free_place_runs_one_of_many_blocked(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "big", "batch", 1, 3000, 8000));
	settle(w);
	for (int i = 0; i < 300; i++) {
		char id[32];
		snprintf(id, sizeof(id), "wait-%d", i);
		run_job(w, fixture_job(w->a, id, "batch", 1, 3000, 8000));
	}
	settle(w);
	struct core_stats before, after;
	core_stats(w->c, &before);
	assert_int_equal(before.evals_blocked, 300);
	report(w, first_alloc(w, "big"), "complete");
	settle(w);
	core_stats(w->c, &after);
	assert_int_equal(after.evals_blocked, 299);
	assert_in_range(after.plans - before.plans, 1, 2);
	assert_int_equal(job(w, "wait-0")->n_allocs, 1);
	world_free(w);
}

static void test_after_a_restart_the_blocked_still_wake(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "big", "batch", 1, 3000, 8000));
	settle(w);
	run_job(w, fixture_job(w->a, "next", "batch", 1, 3000, 8000));
	settle(w);
	core_close(w->c);
	open_core(w);
	settle(w);
	report(w, first_alloc(w, "big"), "complete");
	settle(w);
	assert_int_equal(job(w, "next")->n_allocs, 1);
	world_free(w);
}

/* ---- nodes ---- */

static void test_a_silent_node_goes_down_and_its_work_elsewhere(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	settle(w);
	report(w, first_alloc(w, "web"), "running");
	add_node(w, 1);
	for (int i = 0; i < 20; i++) {
		pass_time(w, 5 * SECOND);
		assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(1), w->now, &reply, NULL), 0);
	}
	assert_int_equal(node(w, 0)->status, NODE_DOWN);
	assert_int_equal(node(w, 1)->status, NODE_READY);
	struct node_event *last = node(w, 0)->spec->events.v[node(w, 0)->spec->events.n - 1];
	assert_string_equal(last->message, "Node heartbeat missed");
	assert_int_equal(count(w, "web", OBSERVED_LOST), 2);
	assert_int_equal(node(w, 1)->n_live, 2);
	assert_int_equal(node(w, 0)->n_live, 0);
	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(0), w->now, &reply, NULL), 0);
	assert_int_equal(node(w, 0)->status, NODE_READY);
	world_free(w);
}

static void test_heartbeats_are_not_journaled(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	add_node(w, 0);
	uint64_t index = core_state(w->c)->index;
	for (int i = 0; i < 10; i++)
		assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(0), w->now += SECOND, &reply, NULL), 0);
	add_node(w, 0); /* nor is the same registration again */
	assert_int_equal(core_state(w->c)->index, index);
	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(9), w->now, &reply, NULL), -ENOENT);
	world_free(w);
}

static void test_the_ttl_grows_with_the_nodes(void **unused)
{
	(void)unused;
	struct core_config c = {.min_heartbeat_ttl = 10 * SECOND, .max_heartbeats_per_second = 50};
	for (unsigned i = 0; i < 100; i++) {
		assert_in_range(nodes_ttl(&c, 10, fixture_node_id(i), START), 10 * SECOND, 20 * SECOND);
		assert_in_range(nodes_ttl(&c, 5000, fixture_node_id(i), START), 100 * SECOND, 200 * SECOND);
	}
}

static void test_a_stranger_cannot_take_a_nodes_name(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	add_node(w, 0);
	struct node *n = fixture_node(w->a, 0);
	MODEL_SET(node, n, secret_id, "11111111-1111-1111-1111-111111111111");
	assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), -EPERM);
	world_free(w);
}

static void test_after_a_start_nodes_have_the_failover_ttl(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	settle(w);
	w->now += 24 * HOUR; /* the server was away */
	core_close(w->c);
	open_core(w);
	pass_time(w, 5 * MINUTE - SECOND);
	assert_int_equal(node(w, 0)->status, NODE_READY);
	pass_time(w, 2 * SECOND);
	assert_int_equal(node(w, 0)->status, NODE_DOWN);
	world_free(w);
}

static void test_a_node_hears_what_changed_and_what_is_gone(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node_work work;
	struct core_eval_reply out;
	uint64_t index;
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	settle(w);
	core_node_work(w->c, w->a, fixture_node_id(0), 0, &work);
	assert_int_equal(work.allocs.n, 3);
	assert_int_equal(work.jobs.n, 1);
	uint64_t since = (uint64_t)work.index;
	report(w, first_alloc(w, "web"), "running");
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_int_equal(work.allocs.n, 0); /* the client's own news are none to it */
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	settle(w);
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_int_equal(work.allocs.n, 3);
	since = (uint64_t)work.index;
	while (job(w, "web")->n_live || node(w, 0)->n_live)
		for (LINK_EACH(&job(w, "web")->allocs, struct alloc, by_job, a))
			report(w, a, "complete");
	settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_int_equal(work.gone.n, 3);
	world_free(w);
}

/* ---- collection ---- */

static void test_what_ended_is_collected_when_it_is_old(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "done", "batch", 2, 10, 10));
	run_job(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	settle(w);
	for (LINK_EACH(&job(w, "done")->allocs, struct alloc, by_job, a))
		report(w, a, "complete");
	report(w, first_alloc(w, "web"), "running");
	settle(w);
	assert_int_equal(job(w, "done")->status, JOB_DEAD);
	struct core_node_reply reply;
	for (int i = 0; i < 25 * 60 * 6; i++) {
		pass_time(w, 10 * SECOND);
		core_node_heartbeat(w->c, fixture_node_id(0), w->now, &reply, NULL);
		if (i == 20 * 60 * 6)
			assert_non_null(job(w, "done"));
	}
	assert_null(job(w, "done"));
	assert_non_null(job(w, "web"));
	assert_int_equal(job(w, "web")->n_live, 1);
	world_free(w);
}

static void test_system_gc_leaves_what_is_needed(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint64_t index;
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "half", "batch", 2, 10, 10));
	settle(w);
	report(w, first_alloc(w, "half"), "complete");
	settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_int_equal(job(w, "half")->n_allocs, 2); /* the finished one says that its work is done */
	report(w, CONTAINER_OF(job(w, "half")->allocs.prev, struct alloc, by_job), "complete");
	settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_null(job(w, "half"));
	assert_int_equal(state_count_allocs(core_state(w->c)), 0);
	assert_int_equal(state_count_evals(core_state(w->c)), 0);
	world_free(w);
}

/* ---- the journal ---- */

static void test_a_full_journal_refuses_and_changes_nothing(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply out;
	struct err e = ERR_INIT;
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "before", "batch", 1, 10, 10));
	journal_memory_set_limit(w->j, 1);
	uint64_t digest = state_digest(core_state(w->c));
	struct core_register_request req = {.job = fixture_job(w->a, "web", "service", 1, 10, 10)};
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), -ENOSPC);
	settle(w); /* the evaluation that waits is tried, refused, and left for later */
	assert_true(digest == state_digest(core_state(w->c)));
	assert_true(core_next_deadline(w->c) <= w->now + 10 * SECOND);
	journal_memory_set_limit(w->j, 0);
	pass_time(w, 10 * SECOND);
	assert_int_equal(job(w, "before")->n_allocs, 1);
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), 0);
	err_clear(&e);
	world_free(w);
}

static void test_what_was_not_committed_is_gone_after_a_crash(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node(w, 0);
	run_job(w, fixture_job(w->a, "kept", "service", 1, 10, 10));
	settle(w);
	uint64_t digest = state_digest(core_state(w->c));
	run_job(w, fixture_job(w->a, "lost", "service", 1, 10, 10));
	assert_true(core_committed(w->c) < core_state(w->c)->index);
	core_close(w->c);
	journal_memory_crash(w->j);
	open_core(w);
	assert_null(job(w, "lost"));
	assert_true(digest == state_digest(core_state(w->c)));
	world_free(w);
}

static void random_op(struct world *w)
{
	static const char *types[] = {"service", "batch", "system", "sysbatch"};
	static const char *statuses[] = {"running", "complete", "failed", "running"};
	struct core_eval_reply out;
	struct core_node_reply hello;
	uint64_t index;
	char id[32];
	unsigned n = (unsigned)fixture_below(&w->rng, 8);
	snprintf(id, sizeof(id), "job-%u", n);
	struct job_entry *j = job(w, id);
	struct alloc *a = j && j->n_allocs ? first_alloc(w, id) : NULL;
	for (uint64_t k = a ? fixture_below(&w->rng, j->n_allocs) : 0; k; k--)
		a = CONTAINER_OF(a->by_job.next, struct alloc, by_job);
	struct job *spec = fixture_job(w->a, id, types[n % 4], 1 + (int64_t)fixture_below(&w->rng, 6),
	    500 * (int64_t)(1 + fixture_below(&w->rng, 3)), 1000);
	if (n > 4)
		fixture_add_port(w->a, spec, "http");
	struct core_register_request req = {.job = spec};
	switch (fixture_below(&w->rng, 14)) {
	case 0: case 1:
		core_job_register(w->c, &req, w->now, &out, NULL);
		break;
	case 2:
		core_job_deregister(w->c, "default", id, fixture_below(&w->rng, 2), 0, w->now, &out, NULL);
		break;
	case 3:
		core_node_register(w->c, fixture_node(w->a, n), w->now, &hello, NULL);
		break;
	case 4: case 5: case 6: case 7:
		if (a && a->node)
			report(w, a, statuses[fixture_below(&w->rng, 4)]);
		break;
	case 8:
		core_node_heartbeat(w->c, fixture_node_id(n), w->now, &hello, NULL);
		break;
	case 9:
		core_node_eligibility(w->c, fixture_node_id(n), fixture_below(&w->rng, 2), w->now, &index, NULL);
		break;
	case 10:
		if (a)
			core_alloc_stop(w->c, a->id, false, w->now, &out, NULL);
		break;
	case 11:
		core_job_evaluate(w->c, "default", id, fixture_below(&w->rng, 2), w->now, &out, NULL);
		break;
	case 12:
		core_job_revert(w->c, "default", id, fixture_below(&w->rng, 3), -1, w->now, &out, NULL);
		break;
	default:
		if (!fixture_below(&w->rng, 4))
			core_gc(w->c, w->now, &index, NULL);
		else
			pass_time(w, (int64_t)fixture_below(&w->rng, 40) * SECOND);
	}
	for (uint64_t k = fixture_below(&w->rng, 5); k; k--)
		core_step(w->c, w->now);
}

/* No node gives away more than it has. */
static bool node_is_sound(void *arg, struct node_entry *n)
{
	(void)arg;
	assert_true(n->used.cpu <= n->total.cpu && n->used.memory <= n->total.memory && n->used.disk <= n->total.disk);
	return true;
}

static void random_history(uint64_t seed, struct journal *j, struct journal *(*reopen)(struct journal *))
{
	struct world *w = xcalloc(1, sizeof(*w));
	*w = (struct world){.j = j, .now = START, .a = arena_new(), .rng = seed, .config = {.seed = seed}};
	open_core(w);
	for (int batch = 0; batch < 20; batch++) {
		for (int i = 0; i < 30; i++)
			random_op(w);
		state_each_node(core_state(w->c), node_is_sound, NULL);
		commit(w);
		if (batch % 5 == 4)
			assert_int_equal(core_snapshot(w->c, NULL), 0);
		uint64_t live = state_digest(core_state(w->c));
		core_close(w->c);
		w->j = reopen(w->j);
		open_core(w);
		if (live != state_digest(core_state(w->c)))
			fail_msg("seed %llu, batch %d: the replayed state is another", (unsigned long long)seed, batch);
	}
	settle(w);
	world_free(w);
}

static struct journal *same(struct journal *j)
{
	return j;
}

static void test_random_histories_replay_to_the_same_state(void **unused)
{
	(void)unused;
	uint64_t base = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
	for (uint64_t seed = base; seed < base + 6; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		random_history(seed, journal_memory_new(), same);
	}
}

static char dir[64];

static struct journal *open_file(void)
{
	struct journal *j = NULL;
	struct journal_file_config c = {.dir = dir, .segment_size = 1 << 16, .sync = false};
	assert_int_equal(journal_file_open(&c, &j, NULL), 0);
	return j;
}

static struct journal *reopen_file(struct journal *j)
{
	j->ops->close(j);
	return open_file();
}

static void test_random_histories_replay_from_files(void **unused)
{
	(void)unused;
	snprintf(dir, sizeof(dir), "/tmp/drover-core-XXXXXX");
	assert_non_null(mkdtemp(dir));
	random_history(77, open_file(), reopen_file);
	dir_remove(dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_job_is_placed_and_its_evaluation_completes),
	    cmocka_unit_test(test_the_same_spec_again_makes_no_version_but_an_evaluation),
	    cmocka_unit_test(test_an_enforced_index_is_enforced),
	    cmocka_unit_test(test_a_stopped_job_is_dead_and_a_purged_one_is_gone),
	    cmocka_unit_test(test_more_pending_evaluations_than_the_limit_are_refused),
	    cmocka_unit_test(test_evaluations_are_worked_on_by_priority_then_age),
	    cmocka_unit_test(test_a_blocked_evaluation_wakes_when_something_ends),
	    cmocka_unit_test(test_a_blocked_evaluation_wakes_when_a_node_comes),
	    cmocka_unit_test(test_a_blocked_evaluation_wakes_when_a_node_becomes_eligible),
	    cmocka_unit_test(test_one_free_place_runs_one_of_many_blocked),
	    cmocka_unit_test(test_after_a_restart_the_blocked_still_wake),
	    cmocka_unit_test(test_a_silent_node_goes_down_and_its_work_elsewhere),
	    cmocka_unit_test(test_heartbeats_are_not_journaled),
	    cmocka_unit_test(test_the_ttl_grows_with_the_nodes),
	    cmocka_unit_test(test_a_stranger_cannot_take_a_nodes_name),
	    cmocka_unit_test(test_after_a_start_nodes_have_the_failover_ttl),
	    cmocka_unit_test(test_a_node_hears_what_changed_and_what_is_gone),
	    cmocka_unit_test(test_what_ended_is_collected_when_it_is_old),
	    cmocka_unit_test(test_system_gc_leaves_what_is_needed),
	    cmocka_unit_test(test_a_full_journal_refuses_and_changes_nothing),
	    cmocka_unit_test(test_what_was_not_committed_is_gone_after_a_crash),
	    cmocka_unit_test(test_random_histories_replay_to_the_same_state),
	    cmocka_unit_test(test_random_histories_replay_from_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
