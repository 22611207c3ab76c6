/* The core under virtual time: requests, scheduling, blocked evaluations, nodes, collection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/lib/world.h"

/* ---- registration ---- */

static void test_a_job_is_placed_and_its_evaluation_completes(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	struct core_eval_reply r = world_run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	assert_int_equal(world_job(w, "web")->status, JOB_PENDING);
	world_settle(w);
	assert_int_equal(world_count(w, "web", OBSERVED_PENDING), 3);
	assert_int_equal(world_job(w, "web")->status, JOB_RUNNING);
	assert_int_equal(state_eval(core_state(w->c), r.eval)->status, EVAL_COMPLETE);
	assert_int_equal(world_node(w, 0)->used.allocs, 3);
	world_free(w);
}

static void test_the_same_spec_again_makes_no_version_but_an_evaluation(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply one = world_run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	struct core_eval_reply two = world_run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	assert_false(uuid_eq(one.eval, two.eval));
	assert_int_equal(world_job(w, "web")->current->version, 0);
	assert_int_equal(two.job_modify_index, one.job_modify_index);
	struct core_eval_reply three = world_run_job(w, fixture_job(w->a, "web", "service", 4, 100, 100));
	assert_int_equal(world_job(w, "web")->current->version, 1);
	assert_true(three.job_modify_index > one.job_modify_index);
	/* The three were never worked on: the newest does it for all. */
	world_add_node(w, 0);
	world_settle(w);
	assert_int_equal(state_eval(core_state(w->c), one.eval)->status, EVAL_CANCELED);
	assert_int_equal(state_eval(core_state(w->c), two.eval)->status, EVAL_CANCELED);
	assert_int_equal(state_eval(core_state(w->c), three.eval)->status, EVAL_COMPLETE);
	world_free(w);
}

static void test_an_enforced_index_is_enforced(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply reply = world_run_job(w, fixture_job(w->a, "web", "service", 1, 100, 100)), out;
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
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	world_settle(w);
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(world_job(w, "web")->status, JOB_DEAD);
	assert_true(world_job(w, "web")->stop);
	struct alloc *a = world_first_alloc(w, "web");
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_int_equal(world_node(w, 0)->used.allocs, 2); /* until the client says that they ended */
	assert_int_equal(world_report(w, a, "complete"), 0);
	assert_int_equal(world_node(w, 0)->used.allocs, 1);
	assert_int_equal(core_job_deregister(w->c, "default", "web", true, 0, w->now, &out, NULL), 0);
	assert_null(world_job(w, "web"));
	world_settle(w);
	assert_int_equal(core_job_deregister(w->c, "default", "web", true, 0, w->now, &out, NULL), -ENOENT);
	world_free(w);
}

static void test_more_pending_evaluations_than_the_limit_are_refused(void **unused)
{
	(void)unused;
	struct world *w = world_with((struct core_config){.max_pending_evals = 2});
	struct core_eval_reply out;
	struct err e = ERR_INIT;
	world_run_job(w, fixture_job(w->a, "a", "batch", 1, 10, 10));
	world_run_job(w, fixture_job(w->a, "b", "batch", 1, 10, 10));
	struct core_register_request req = {.job = fixture_job(w->a, "c", "batch", 1, 10, 10)};
	assert_true(core_job_register(w->c, &req, w->now, &out, &e) < 0);
	assert_non_null(strstr(err_str(&e), "queue full"));
	assert_null(world_job(w, "c"));
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
	world_add_node(w, 0);
	world_settle(w);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		struct job *j = fixture_job(w->a, jobs[i].id, "batch", 1, 10, 10);
		MODEL_SET(job, j, priority, jobs[i].priority);
		world_run_job(w, j);
	}
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		core_step(w->c, w->now);
		for (size_t k = 0; k < ARRAY_LEN(order); k++)
			assert_int_equal(world_job(w, order[k])->n_allocs, k <= i);
	}
	world_free(w);
}

/* ---- blocked ---- */

static void test_a_blocked_evaluation_wakes_when_something_ends(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "big", "batch", 1, 3000, 8000));
	world_settle(w);
	world_run_job(w, fixture_job(w->a, "next", "batch", 1, 3000, 8000));
	world_settle(w);
	assert_int_equal(world_job(w, "next")->n_allocs, 0);
	assert_non_null(world_job(w, "next")->blocked);
	struct core_stats before, after;
	core_stats(w->c, &before);
	assert_int_equal(before.evals_blocked, 1);
	world_settle(w);
	core_stats(w->c, &after);
	assert_int_equal(before.plans, after.plans); /* nothing changed, nothing is tried */
	world_report(w, world_first_alloc(w, "big"), "complete");
	world_settle(w);
	assert_int_equal(world_job(w, "next")->n_allocs, 1);
	assert_null(world_job(w, "next")->blocked);
	world_free(w);
}

static void test_a_blocked_evaluation_wakes_when_a_node_comes(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	world_settle(w);
	assert_non_null(world_job(w, "web")->blocked);
	world_add_node(w, 0);
	world_settle(w);
	assert_int_equal(world_count(w, "web", OBSERVED_PENDING), 2);
	assert_null(world_job(w, "web")->blocked);
	world_free(w);
}

static void test_a_blocked_evaluation_wakes_when_a_node_becomes_eligible(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint64_t index;
	world_add_node(w, 0);
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(0), false, w->now, &index, NULL), 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	world_settle(w);
	assert_int_equal(world_job(w, "web")->n_allocs, 0);
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(0), true, w->now, &index, NULL), 0);
	world_settle(w);
	assert_int_equal(world_count(w, "web", OBSERVED_PENDING), 2);
	world_free(w);
}

static void test_one_free_place_runs_one_of_many_blocked(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "big", "batch", 1, 3000, 8000));
	world_settle(w);
	for (int i = 0; i < 300; i++) {
		char id[32];
		snprintf(id, sizeof(id), "wait-%d", i);
		world_run_job(w, fixture_job(w->a, id, "batch", 1, 3000, 8000));
	}
	world_settle(w);
	struct core_stats before, after;
	core_stats(w->c, &before);
	assert_int_equal(before.evals_blocked, 300);
	world_report(w, world_first_alloc(w, "big"), "complete");
	world_settle(w);
	core_stats(w->c, &after);
	assert_int_equal(after.evals_blocked, 299);
	assert_in_range(after.plans - before.plans, 1, 2);
	assert_int_equal(world_job(w, "wait-0")->n_allocs, 1);
	world_free(w);
}

static void test_after_a_restart_the_blocked_still_wake(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "big", "batch", 1, 3000, 8000));
	world_settle(w);
	world_run_job(w, fixture_job(w->a, "next", "batch", 1, 3000, 8000));
	world_settle(w);
	core_close(w->c);
	world_open_core(w);
	world_settle(w);
	world_report(w, world_first_alloc(w, "big"), "complete");
	world_settle(w);
	assert_int_equal(world_job(w, "next")->n_allocs, 1);
	world_free(w);
}

/* ---- nodes ---- */

static void test_a_silent_node_goes_down_and_its_work_elsewhere(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	world_settle(w);
	world_report(w, world_first_alloc(w, "web"), "running");
	world_add_node(w, 1);
	for (int i = 0; i < 20; i++) {
		world_pass_time(w, 5 * SECOND);
		assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(1), w->now, &reply, NULL), 0);
	}
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(world_node(w, 1)->status, NODE_READY);
	struct node_event *last = world_node(w, 0)->spec->events.v[world_node(w, 0)->spec->events.n - 1];
	assert_non_null(strstr(last->message, "Node down: no heartbeat"));
	assert_int_equal(world_count(w, "web", OBSERVED_LOST), 2);
	assert_int_equal(world_node(w, 1)->used.allocs, 2);
	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(0), w->now, &reply, NULL), 0);
	assert_true(reply.report);
	assert_int_equal(world_node(w, 0)->status, NODE_INIT);
	world_return_node(w, 0, "complete");
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	world_free(w);
}

static void test_a_lost_allocation_holds_its_room_until_its_node_says_that_it_ended(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "big", "service", 1, 3000, 8000));
	world_settle(w);
	struct alloc *lost = world_first_alloc(w, "big");
	world_report(w, lost, "running");
	world_pass_time(w, 2 * MINUTE);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(lost->observed, OBSERVED_LOST);
	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(0), w->now, &reply, NULL), 0);
	world_settle(w);
	/* The node is back, and the process may be there still: nothing is put on top of it. */
	assert_int_equal(world_node(w, 0)->used.allocs, 1);
	assert_int_equal(world_job(w, "big")->n_allocs, 1);
	assert_int_equal(lost->observed, OBSERVED_LOST);
	world_pass_time(w, SECOND);
	assert_int_equal(world_report(w, lost, "complete"), 0);
	world_return_node(w, 0, "complete");
	world_settle(w);
	assert_int_equal(world_job(w, "big")->n_allocs, 2);
	assert_int_equal(world_node(w, 0)->used.allocs, 1);
	world_free(w);
}

static void test_heartbeats_are_not_journaled(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	world_add_node(w, 0);
	uint64_t index = core_state(w->c)->index;
	for (int i = 0; i < 10; i++)
		assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(0), w->now += SECOND, &reply, NULL), 0);
	world_add_node(w, 0); /* nor is the same registration again */
	assert_int_equal(core_state(w->c)->index, index);
	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(9), w->now, &reply, NULL), -ENOENT);
	world_free(w);
}

static void test_the_ttl_grows_with_the_nodes(void **unused)
{
	(void)unused;
	struct core_config c = {.min_heartbeat_ttl = 10 * SECOND, .max_heartbeats_per_second = 50};
	for (unsigned i = 0; i < 100; i++) {
		assert_in_range(nodes_ttl(&c, 10, fixture_node_id(i), WORLD_START), 10 * SECOND, 20 * SECOND);
		assert_in_range(nodes_ttl(&c, 5000, fixture_node_id(i), WORLD_START), 100 * SECOND, 200 * SECOND);
	}
}

static void test_a_stranger_cannot_take_a_nodes_name(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_node_reply reply;
	world_add_node(w, 0);
	struct node *n = fixture_node(w->a, 0);
	MODEL_SET(node, n, secret_id, "11111111-1111-1111-1111-111111111111");
	assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), -EPERM);
	world_free(w);
}

static void test_a_node_hears_what_changed_and_what_is_gone(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node_work work;
	struct core_eval_reply out;
	uint64_t index;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	world_settle(w);
	core_node_work(w->c, w->a, fixture_node_id(0), 0, &work);
	assert_int_equal(work.allocs.n, 3);
	assert_int_equal(work.jobs.n, 1);
	uint64_t since = (uint64_t)work.index;
	world_report(w, world_first_alloc(w, "web"), "running");
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_int_equal(work.allocs.n, 0); /* the client's own news are none to it */
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	world_settle(w);
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_int_equal(work.allocs.n, 3);
	since = (uint64_t)work.index;
	while (world_job(w, "web")->n_live || world_node(w, 0)->used.allocs)
		for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
			world_report(w, a, "complete");
	world_settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_int_equal(work.gone.n, 3);
	world_free(w);
}

static void test_a_node_that_missed_more_than_is_remembered_hears_everything(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node_work work;
	uint64_t index;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "left", "service", 1, 1, 10));
	world_run_job(w, fixture_job(w->a, "done", "batch", NODE_GONE_KEPT + 1, 1, 10));
	world_settle(w);
	core_node_work(w->c, w->a, fixture_node_id(0), 0, &work);
	uint64_t since = (uint64_t)work.index;
	for (LINK_EACH(&world_job(w, "done")->allocs, struct alloc, by_job, a))
		world_report(w, a, "complete");
	world_settle(w);
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_false(work.complete);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_true(work.complete);
	assert_int_equal(work.allocs.n, 1);
	since = (uint64_t)work.index;
	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	assert_false(work.complete);
	world_free(w);
}

/* ---- collection ---- */

static void test_what_ended_is_collected_when_it_is_old(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "done", "batch", 2, 10, 10));
	world_run_job(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	world_settle(w);
	for (LINK_EACH(&world_job(w, "done")->allocs, struct alloc, by_job, a))
		world_report(w, a, "complete");
	world_report(w, world_first_alloc(w, "web"), "running");
	world_settle(w);
	assert_int_equal(world_job(w, "done")->status, JOB_DEAD);
	struct core_node_reply reply;
	for (int i = 0; i < 25 * 60 * 6; i++) {
		world_pass_time(w, 10 * SECOND);
		core_node_heartbeat(w->c, fixture_node_id(0), w->now, &reply, NULL);
		if (i == 20 * 60 * 6)
			assert_non_null(world_job(w, "done"));
	}
	assert_null(world_job(w, "done"));
	assert_non_null(world_job(w, "web"));
	assert_int_equal(world_job(w, "web")->n_live, 1);
	world_free(w);
}

static void test_system_gc_leaves_what_is_needed(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint64_t index;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "half", "batch", 2, 10, 10));
	world_settle(w);
	world_report(w, world_first_alloc(w, "half"), "complete");
	world_settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_int_equal(world_job(w, "half")->n_allocs, 2); /* the finished one says that its work is done */
	world_report(w, CONTAINER_OF(world_job(w, "half")->allocs.prev, struct alloc, by_job), "complete");
	world_settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_null(world_job(w, "half"));
	assert_int_equal(state_count_allocs(core_state(w->c)), 0);
	assert_int_equal(state_count_evals(core_state(w->c)), 0);
	world_free(w);
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
	    cmocka_unit_test(test_a_lost_allocation_holds_its_room_until_its_node_says_that_it_ended),
	    cmocka_unit_test(test_heartbeats_are_not_journaled),
	    cmocka_unit_test(test_the_ttl_grows_with_the_nodes),
	    cmocka_unit_test(test_a_stranger_cannot_take_a_nodes_name),
	    cmocka_unit_test(test_a_node_hears_what_changed_and_what_is_gone),
	    cmocka_unit_test(test_a_node_that_missed_more_than_is_remembered_hears_everything),
	    cmocka_unit_test(test_what_ended_is_collected_when_it_is_old),
	    cmocka_unit_test(test_system_gc_leaves_what_is_needed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
