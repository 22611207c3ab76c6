/* Draining nodes, in virtual time: what goes when, what waits and why, and what done means. */
#include <errno.h>

#include "tests/lib/drains.h"
#include "tests/lib/test.h"

static void test_an_empty_node_is_drained_at_once_and_stays_ineligible(void **state UNUSED)
{
	struct world *w = drains_world(1);

	drains_set(w, 0, HOUR, false);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	assert_false(world_node(w, 0)->draining);
	assert_false(world_node(w, 0)->eligible);
	world_free(w);
}

static void test_a_service_moves_one_by_one_and_each_is_replaced_before_it_goes(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 3, 1));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	/* One replacement is placed; the old one runs on. */
	drains_obey(w);
	assert_int_equal(drains_on_node(w, 0), 3);
	assert_int_equal(drains_on_node(w, 1), 1);
	assert_string_equal(drains_status(w, 0), DRAIN_DRAINING);
	for (int i = 0; i < 60; i++) {
		drains_live(w, SECOND);
		assert_true(drains_running(w, "web") >= 3);
		assert_true(drains_running(w, "web") <= 4);
	}
	assert_int_equal(drains_on_node(w, 0), 0);
	assert_int_equal(drains_on_node(w, 1), 3);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_two_drains_of_a_service_of_two_leave_two_healthy(void **state UNUSED)
{
	struct world *w = drains_world(2);
	struct job *j = drains_service(w, "web", 2, 1);
	struct constraint *c = MODEL_NEW(w->a, constraint);

	MODEL_SET(constraint, c, operand, "distinct_hosts");
	MODEL_SET(constraint, c, rtarget, "true");
	objs_push(w->a, &j->constraints, c);
	world_run_job(w, j);
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	assert_int_equal(drains_on_node(w, 0), 1);
	assert_int_equal(drains_on_node(w, 1), 1);
	world_add_node(w, 2);
	world_add_node(w, 3);
	drains_set(w, 0, HOUR, false);
	drains_set(w, 1, HOUR, false);
	for (int i = 0; i < 60; i++) {
		drains_live(w, SECOND);
		assert_true(drains_running(w, "web") >= 2);
		assert_true(drains_on_node(w, 2) + drains_on_node(w, 3) <= 2);
	}
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	assert_string_equal(drains_status(w, 1), DRAIN_COMPLETE);
	world_free(w);
}

static void test_with_no_room_elsewhere_it_waits_until_the_deadline_and_says_why(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 2, 1));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	drains_set(w, 0, 10 * MINUTE, false);
	drains_live(w, 5 * MINUTE);
	assert_int_equal(drains_on_node(w, 0), 2);
	struct drain_answer *d = drains_describe(w, 0);
	assert_int_equal(d->remaining, 2);
	struct drain_wait *first = d->waits.v[0], *second = d->waits.v[1];
	const struct drain_wait *unplaced = str_eq(first->code, "replacement-unplaced") ? first : second;
	assert_string_equal(unplaced->code, "replacement-unplaced");
	assert_non_null(strstr(unplaced->reason, "draining"));
	assert_string_equal(unplaced == first ? second->code : first->code, "max-parallel");
	drains_live(w, 5 * MINUTE);
	assert_int_equal(drains_on_node(w, 0), 0);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	/* Not lost: it comes back with room. */
	world_add_node(w, 1);
	drains_live(w, 10 * SECOND);
	assert_int_equal(drains_running(w, "web"), 2);
	world_free(w);
}

static void test_at_the_deadline_processes_are_gone_the_time_to_kill_included(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct job *j = drains_service(w, "slow", 1, 1);
	struct task *t = ((struct task_group *)j->task_groups.v[0])->tasks.v[0];

	MODEL_SET(task, t, kill_timeout, 20 * SECOND);
	MODEL_SET(task, t, shutdown_delay, 10 * SECOND);
	world_run_job(w, j);
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, 10 * MINUTE, false);
	drains_live(w, 10 * MINUTE - 32 * SECOND);
	assert_int_equal(world_first_alloc(w, "slow")->desired, DESIRED_RUN);
	world_live(w, 2 * SECOND);
	assert_int_equal(world_first_alloc(w, "slow")->desired, DESIRED_STOP);
	assert_string_equal(drains_code(w, 0), "stopping");
	world_free(w);
}

static struct task *another_task(struct world *w, struct task_group *g, const char *name, int64_t kill_timeout)
{
	struct task *t = model_copy(w->a, &type_task, g->tasks.v[0]);

	MODEL_SET(task, t, name, name);
	MODEL_SET(task, t, kill_timeout, kill_timeout);
	objs_push(w->a, &g->tasks, t);
	return t;
}

static void test_tasks_that_are_stopped_one_after_the_other_are_told_earlier(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct job *j = fixture_job(w->a, "build", "batch", 1, 10, 10);
	struct task_group *g = j->task_groups.v[0];
	struct service *s = MODEL_NEW(w->a, service);

	struct task *helper = another_task(w, g, "helper", 30 * SECOND), *leader = another_task(w, g, "leader", 20 * SECOND);
	MODEL_SET(task, leader, leader, true);
	helper->lifecycle = MODEL_NEW(w->a, lifecycle);
	MODEL_SET(lifecycle, helper->lifecycle, hook, "prestart");
	MODEL_SET(lifecycle, helper->lifecycle, sidecar, true);
	MODEL_SET(service, s, name, "web");
	objs_push(w->a, &g->services, s);
	MODEL_SET(task_group, g, shutdown_delay, 40 * SECOND);
	world_run_job(w, j);
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, 10 * MINUTE, false);
	/* 20 s, the 5 s of the one that says nothing, 30 s, 40 s, 3 s for Consul, 1 s on the way */
	drains_live(w, 10 * MINUTE - 100 * SECOND);
	assert_int_equal(world_first_alloc(w, "build")->desired, DESIRED_RUN);
	world_live(w, 2 * SECOND);
	assert_int_equal(world_first_alloc(w, "build")->desired, DESIRED_STOP);
	world_free(w);
}

static void test_batch_work_is_left_to_finish(void **state UNUSED)
{
	struct world *w = drains_world(2);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	unsigned node = drains_on_node(w, 0) ? 0 : 1;
	struct alloc *a = world_first_alloc(w, "build");
	drains_set(w, node, 0, false);
	drains_live(w, DAY);
	assert_int_equal(a->desired, DESIRED_RUN);
	assert_string_equal(drains_code(w, node), "batch-running");
	assert_string_equal(drains_status(w, node), DRAIN_DRAINING);
	drains_report(w, a, "complete", -1);
	assert_string_equal(drains_status(w, node), DRAIN_COMPLETE);
	assert_int_equal(world_job(w, "build")->n_allocs, 1);
	world_free(w);
}

static void test_batch_work_cut_off_by_the_deadline_is_done_again(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, MINUTE, false);
	drains_live(w, 2 * MINUTE);
	assert_int_equal(drains_on_node(w, 0), 0);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	assert_int_equal(world_job(w, "build")->status, JOB_PENDING);
	world_add_node(w, 1);
	drains_live(w, 5 * SECOND);
	assert_int_equal(drains_running(w, "build"), 1);
	assert_int_equal(drains_on_node(w, 1), 1);
	world_free(w);
}

/* As the command does it when no deadline is given. */
static void drain_unhurried(struct world *w, unsigned node)
{
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};
	struct strs ids = {0};
	uint64_t index;

	MODEL_SET(drain_spec, &spec, deadline, HOUR);
	MODEL_SET(drain_spec, &spec, finish_batch, true);
	assert_int_equal(core_node_drain(w->c, fixture_node_id(node), &req, w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
}

static void test_builds_that_are_to_be_finished_are_cut_off_only_by_a_deadline_that_somebody_named(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct job *marked = fixture_job(w->a, "build", "batch", 1, 10, 10), *plain = fixture_job(w->a, "other", "batch", 1, 10, 10);

	strmap_set(w->a, &((struct task_group *)marked->task_groups.v[0])->meta, "drover_drain", "finish");
	world_run_job(w, marked);
	world_run_job(w, plain);
	world_settle(w);
	drains_obey(w);
	drain_unhurried(w, 0);
	drains_live(w, 2 * HOUR);
	assert_int_equal(drains_running(w, "build"), 1);
	assert_int_equal(drains_running(w, "other"), 0);
	struct drain_answer *d = drains_describe(w, 0);
	assert_int_equal(d->remaining, 1);
	assert_string_equal(drains_code(w, 0), "batch-running");
	assert_false(d->past_deadline);
	/* It goes on under another leader. */
	core_close(w->c);
	world_open_core(w);
	drains_live(w, HOUR);
	assert_int_equal(drains_running(w, "build"), 1);
	drains_set(w, 0, MINUTE, false);
	drains_live(w, 2 * MINUTE);
	assert_int_equal(drains_running(w, "build"), 0);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_another_word_than_finish_is_refused(void **state UNUSED)
{
	struct world *w = drains_world(0);
	struct job *j = fixture_job(w->a, "build", "batch", 1, 10, 10);
	struct core_register_request req = {.job = j};
	struct core_eval_reply out;
	struct err e = ERR_INIT;

	strmap_set(w->a, &j->meta, "drover_drain", "finnish");
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "\"finish\", which leaves batch work to finish when a node is drained; got \"finnish\""));
	err_clear(&e);
	world_free(w);
}

static void test_system_work_goes_last(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, fixture_job(w->a, "everywhere", "system", 1, 10, 10));
	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, DAY, false);
	drains_live(w, HOUR);
	assert_int_equal(drains_running(w, "everywhere"), 1);
	drains_report(w, world_first_alloc(w, "build"), "complete", -1);
	drains_live(w, 5 * SECOND);
	assert_int_equal(drains_running(w, "everywhere"), 0);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_system_work_stays_when_it_is_ignored(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, fixture_job(w->a, "everywhere", "system", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, DAY, true);
	drains_live(w, MINUTE);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	assert_int_equal(drains_running(w, "everywhere"), 1);
	world_free(w);
}

static void test_force_stops_everything_now(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 3, 1));
	world_run_job(w, fixture_job(w->a, "build", "batch", 2, 10, 10));
	world_run_job(w, fixture_job(w->a, "everywhere", "system", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, -1, false);
	drains_live(w, 2 * SECOND);
	assert_int_equal(drains_on_node(w, 0), 0);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_done_is_said_when_the_client_says_that_processes_are_gone(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	struct alloc *a = world_first_alloc(w, "build");
	drains_set(w, 0, -1, false);
	assert_int_equal(a->desired, DESIRED_STOP);
	world_live(w, MINUTE);
	assert_string_equal(drains_status(w, 0), DRAIN_DRAINING);
	assert_string_equal(drains_code(w, 0), "stopping");
	drains_report(w, a, "complete", -1);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_entries_in_consul_keep_a_drain_from_being_done(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	char id[UUID_STR];
	uint64_t index;

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	struct alloc *a = world_first_alloc(w, "build");
	drains_set(w, 0, -1, false);
	MODEL_SET(alloc_update, &u, id, uuid_format(a->id, id));
	MODEL_SET(alloc_update, &u, client_status, "complete");
	MODEL_SET(alloc_update, &u, in_consul, true);
	objs_push(w->a, &all.allocs, &u);
	assert_int_equal(core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL), 0);
	world_settle(w);
	assert_string_equal(drains_status(w, 0), DRAIN_DRAINING);
	assert_string_equal(drains_code(w, 0), "consul-entries");
	MODEL_SET(alloc_update, &u, in_consul, false);
	assert_int_equal(core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL), 0);
	world_settle(w);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_empty_node_is_drained_at_once_and_stays_ineligible),
	    cmocka_unit_test(test_a_service_moves_one_by_one_and_each_is_replaced_before_it_goes),
	    cmocka_unit_test(test_two_drains_of_a_service_of_two_leave_two_healthy),
	    cmocka_unit_test(test_with_no_room_elsewhere_it_waits_until_the_deadline_and_says_why),
	    cmocka_unit_test(test_at_the_deadline_processes_are_gone_the_time_to_kill_included),
	    cmocka_unit_test(test_tasks_that_are_stopped_one_after_the_other_are_told_earlier),
	    cmocka_unit_test(test_batch_work_is_left_to_finish),
	    cmocka_unit_test(test_batch_work_cut_off_by_the_deadline_is_done_again),
	    cmocka_unit_test(test_builds_that_are_to_be_finished_are_cut_off_only_by_a_deadline_that_somebody_named),
	    cmocka_unit_test(test_another_word_than_finish_is_refused),
	    cmocka_unit_test(test_system_work_goes_last),
	    cmocka_unit_test(test_system_work_stays_when_it_is_ignored),
	    cmocka_unit_test(test_force_stops_everything_now),
	    cmocka_unit_test(test_done_is_said_when_the_client_says_that_processes_are_gone),
	    cmocka_unit_test(test_entries_in_consul_keep_a_drain_from_being_done),
	};

	return RUN_TESTS(tests);
}
