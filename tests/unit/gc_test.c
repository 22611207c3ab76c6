/* What ended and is old enough goes, and nothing that somebody still needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/world.h"

static const struct core_config config = {
    .job_gc_interval = MINUTE,
    .job_gc_threshold = 4 * HOUR,
    .eval_gc_threshold = HOUR,
    .batch_eval_gc_threshold = 24 * HOUR,
    .node_gc_threshold = 24 * HOUR,
    .min_heartbeat_ttl = 100 * HOUR, /* nodes live without beating, unless a test says otherwise */
};

static struct world *gc_world(void)
{
	struct world *w = world_with(config);
	world_add_node(w, 0);
	return w;
}

static void run(struct world *w, struct job *j)
{
	world_run_job(w, j);
	world_settle(w);
}

static void end_all(struct world *w, const char *job, const char *status)
{
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		if (alloc_holds(a))
			world_report(w, a, status);
	world_settle(w);
}

static void test_a_stopped_service_leaves_in_steps(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	struct core_eval_reply out;
	run(w, fixture_job(w->a, "web", "service", 2, 10, 10));
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	world_settle(w);
	world_pass_time(w, 5 * HOUR); /* they have not said that they ended */
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	end_all(w, "web", "complete");
	world_pass_time(w, HOUR - MINUTE);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_pass_time(w, 3 * MINUTE);
	assert_null(world_job(w, "web"));
	assert_int_equal(state_count_allocs(core_state(w->c)), 0);
	assert_int_equal(state_count_evals(core_state(w->c)), 0);
	world_free(w);
}

static void test_a_service_that_runs_keeps_its_evaluation_and_loses_its_past(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	struct core_eval_reply out, first;
	world_run_job(w, fixture_job(w->a, "web", "service", 2, 10, 10));
	world_settle(w);
	struct alloc *a = world_first_alloc(w, "web");
	struct uuid id = a->id, of = a->eval;
	assert_int_equal(core_alloc_stop(w->c, id, false, w->now, &first, NULL), 0);
	world_settle(w);
	world_report(w, a, "complete");
	world_pass_time(w, 2 * HOUR);
	assert_null(state_alloc(core_state(w->c), id));
	assert_non_null(state_eval(core_state(w->c), of)); /* the other one is of it too */
	assert_int_equal(world_job(w, "web")->n_live, 2);
	(void)out;
	world_free(w);
}

static void test_finished_batch_work_goes_with_its_job_and_not_before(void **unused)
{
	(void)unused;
	struct core_config short_evals = config;
	short_evals.batch_eval_gc_threshold = HOUR; /* less than the job's */
	struct world *w = world_with(short_evals);
	world_add_node(w, 0);
	run(w, fixture_job(w->a, "build", "batch", 2, 10, 10));
	end_all(w, "build", "complete");
	assert_int_equal(world_job(w, "build")->status, JOB_DEAD);
	world_pass_time(w, 3 * HOUR);
	assert_int_equal(world_job(w, "build")->n_allocs, 2);
	run(w, fixture_job(w->a, "build", "batch", 2, 10, 10)); /* the same again: the work is known to be done */
	assert_int_equal(world_job(w, "build")->n_live, 0);
	world_pass_time(w, 3 * HOUR);
	assert_null(world_job(w, "build"));
	world_free(w);
}

static void test_batch_work_is_kept_for_its_own_time(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	run(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	end_all(w, "build", "complete");
	world_pass_time(w, 23 * HOUR);
	assert_non_null(world_job(w, "build"));
	world_pass_time(w, 2 * HOUR);
	assert_null(world_job(w, "build"));
	world_free(w);
}

static void test_work_of_an_older_version_does_not_count_any_more(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	run(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	struct uuid old = world_first_alloc(w, "build")->id;
	end_all(w, "build", "complete");
	run(w, fixture_job(w->a, "build", "batch", 1, 10, 11));
	world_report(w, CONTAINER_OF(world_job(w, "build")->allocs.prev, struct alloc, by_job), "running");
	world_pass_time(w, 2 * HOUR);
	assert_null(state_alloc(core_state(w->c), old));
	assert_int_equal(world_job(w, "build")->n_live, 1);
	world_free(w);
}

static void test_a_failed_service_allocation_stays_while_its_policy_is_asked(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	struct job *j = fixture_job(w->a, "web", "service", 1, 10, 10);
	struct reschedule_policy *p = MODEL_NEW(w->a, reschedule_policy);
	((struct task_group *)j->task_groups.v[0])->reschedule_policy = p;
	MODEL_SET(reschedule_policy, p, attempts, 0);
	MODEL_SET(reschedule_policy, p, unlimited, false);
	run(w, j);
	world_report(w, world_first_alloc(w, "web"), "failed");
	world_pass_time(w, 30 * HOUR);
	assert_int_equal(world_job(w, "web")->n_allocs, 1);
	uint64_t index;
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_int_equal(world_job(w, "web")->n_allocs, 1);
	world_free(w);
}

static void test_a_job_that_waits_is_not_over(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	uint64_t index;
	run(w, fixture_job(w->a, "big", "batch", 1, 9999, 10));
	world_pass_time(w, 100 * HOUR);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_non_null(world_job(w, "big"));
	assert_non_null(world_job(w, "big")->blocked);
	world_free(w);
}

static void test_a_node_goes_when_it_was_down_for_its_time(void **unused)
{
	(void)unused;
	struct core_config mortal = config;
	mortal.min_heartbeat_ttl = 0;
	struct world *w = world_with(mortal);
	world_add_node(w, 0);
	run(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	struct uuid id = world_first_alloc(w, "web")->id;
	world_pass_time(w, 23 * HOUR);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	/* It was lost, and may run on for all that is known: as long as the node may come back, it is remembered. */
	assert_int_equal(state_alloc(core_state(w->c), id)->observed, OBSERVED_LOST);
	world_pass_time(w, 2 * HOUR);
	assert_null(world_node(w, 0));
	assert_null(state_alloc(core_state(w->c), id));
	assert_non_null(world_job(w, "web"));
	world_free(w);
}

static void test_system_gc_collects_all_that_has_ended_at_once(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	struct core_eval_reply out;
	uint64_t index;
	run(w, fixture_job(w->a, "done", "batch", 3, 10, 10));
	run(w, fixture_job(w->a, "stopped", "service", 1, 10, 10));
	run(w, fixture_job(w->a, "runs", "service", 1, 10, 10));
	end_all(w, "done", "complete");
	core_job_deregister(w->c, "default", "stopped", false, 0, w->now, &out, NULL);
	world_settle(w);
	end_all(w, "stopped", "complete");
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_int_equal(index, core_state(w->c)->index);
	assert_null(world_job(w, "done"));
	assert_null(world_job(w, "stopped"));
	assert_non_null(world_job(w, "runs"));
	world_free(w);
}

static void test_a_purged_job_leaves_nothing_behind(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	struct core_eval_reply out;
	uint64_t index;
	run(w, fixture_job(w->a, "web", "service", 2, 10, 10));
	assert_int_equal(core_job_deregister(w->c, "default", "web", true, 0, w->now, &out, NULL), 0);
	world_settle(w);
	assert_null(world_job(w, "web"));
	struct job_entry *gone = state_job_any(core_state(w->c), "default", "web");
	assert_non_null(gone); /* its allocations have yet to end */
	for (LINK_EACH(&gone->allocs, struct alloc, by_job, a)) {
		assert_int_equal(a->desired, DESIRED_STOP);
		world_report(w, a, "complete");
	}
	world_settle(w);
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_null(state_job_any(core_state(w->c), "default", "web"));
	assert_int_equal(state_count_allocs(core_state(w->c)), 0);
	world_free(w);
}

static void test_a_large_collection_is_many_entries(void **unused)
{
	(void)unused;
	struct world *w = gc_world();
	uint64_t index;
	char id[16];
	for (int i = 0; i < 30; i++) {
		snprintf(id, sizeof(id), "j%d", i);
		run(w, fixture_job(w->a, id, "batch", 390, 10, 10));
		end_all(w, id, "complete");
	}
	uint64_t before = core_state(w->c)->index;
	assert_int_equal(core_gc(w->c, w->now, &index, NULL), 0);
	assert_in_range(index - before, 3, 6); /* some thousand allocations in each */
	assert_int_equal(state_count_allocs(core_state(w->c)), 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_stopped_service_leaves_in_steps),
	    cmocka_unit_test(test_a_service_that_runs_keeps_its_evaluation_and_loses_its_past),
	    cmocka_unit_test(test_finished_batch_work_goes_with_its_job_and_not_before),
	    cmocka_unit_test(test_batch_work_is_kept_for_its_own_time),
	    cmocka_unit_test(test_work_of_an_older_version_does_not_count_any_more),
	    cmocka_unit_test(test_a_failed_service_allocation_stays_while_its_policy_is_asked),
	    cmocka_unit_test(test_a_job_that_waits_is_not_over),
	    cmocka_unit_test(test_a_node_goes_when_it_was_down_for_its_time),
	    cmocka_unit_test(test_system_gc_collects_all_that_has_ended_at_once),
	    cmocka_unit_test(test_a_purged_job_leaves_nothing_behind),
	    cmocka_unit_test(test_a_large_collection_is_many_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
