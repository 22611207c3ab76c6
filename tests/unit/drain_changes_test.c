/* What happens to drains on their way, in virtual time: changes, failures, other leaders, nodes that go and come. */
#include "tests/lib/drains.h"
#include "tests/lib/test.h"

static void test_a_drain_that_is_canceled_leaves_things_as_they_are(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 2, 1));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	drains_set(w, 0, HOUR, false);
	drains_live(w, MINUTE);
	drains_cancel(w, 0, true);
	drains_live(w, MINUTE);
	assert_string_equal(drains_status(w, 0), DRAIN_CANCELED);
	assert_true(world_node(w, 0)->eligible);
	assert_int_equal(drains_running(w, "web"), 2);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	/* And not even its own node is a place for a replacement that nobody needs. */
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		assert_false(drain_is_soft(a));
	world_free(w);
}

static void test_replacements_of_a_canceled_drain_wait_no_longer_though_the_node_stays_ineligible(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 3, 2));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	drains_set(w, 0, HOUR, false);
	drains_live(w, MINUTE);
	const struct group_summary *sum = objmap_get(&world_job(w, "web")->summary, "g");
	assert_int_equal(sum->queued, 2);
	assert_non_null(world_job(w, "web")->blocked);
	drains_cancel(w, 0, false);
	assert_false(world_node(w, 0)->eligible);
	assert_int_equal(sum->queued, 0);
	assert_null(world_job(w, "web")->blocked);
	assert_int_equal(drains_running(w, "web"), 3);
	world_free(w);
}

static void test_a_drain_can_be_changed_while_it_goes_on(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, 0, false);
	int64_t started = world_node(w, 0)->spec->drain_strategy->started_at;
	drains_live(w, HOUR);
	drains_set(w, 0, MINUTE, false);
	assert_int_equal(world_node(w, 0)->spec->drain_strategy->started_at, started);
	drains_live(w, 2 * MINUTE);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_replacement_that_fails_is_replaced_and_the_old_one_waits(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct job *j = drains_service(w, "web", 1, 1);

	world_run_job(w, j);
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	assert_non_null(next);
	drains_report(w, next, "running", -1);
	drains_report(w, next, "failed", -1);
	world_live(w, SECOND);
	assert_int_equal(old->desired, DESIRED_RUN);
	assert_string_equal(drains_code(w, 0), "replacement-unplaced");
	const struct drain_wait *wait = drains_describe(w, 0)->waits.v[0];
	assert_non_null(strstr(wait->reason, " is failed, and the next one is not placed: "));
	drains_live(w, 5 * MINUTE);
	assert_int_equal(old->desired, DESIRED_STOP);
	assert_int_equal(drains_running(w, "web"), 1);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_health_that_the_client_reports_counts(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 1, 1));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	drains_report(w, next, "running", 0);
	world_live(w, 5 * MINUTE);
	assert_int_equal(old->desired, DESIRED_RUN);
	assert_string_equal(drains_code(w, 0), "replacement-unhealthy");
	drains_report(w, next, "running", 1);
	assert_int_equal(old->desired, DESIRED_STOP);
	world_free(w);
}

static void test_with_services_to_check_only_the_client_says_what_is_healthy(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct job *j = drains_service(w, "web", 1, 1);
	struct task_group *g = j->task_groups.v[0];
	struct service *s = MODEL_NEW(w->a, service);
	struct node_work work;

	MODEL_SET(service, s, name, "web");
	objs_push(w->a, &g->services, s);
	MODEL_SET(migrate_strategy, g->migrate, health_check, "checks");
	world_run_job(w, j);
	world_settle(w);
	drains_obey(w);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	/* The client hears that somebody waits for its verdict, and what by. */
	core_node_work(w->c, w->a, fixture_node_id(1), 0, &work);
	assert_true(((struct allocation *)work.allocs.v[0])->migrated);
	core_node_work(w->c, w->a, fixture_node_id(0), 0, &work);
	assert_false(((struct allocation *)work.allocs.v[0])->migrated);
	drains_report(w, next, "running", -1);
	world_live(w, 5 * MINUTE);
	assert_int_equal(old->desired, DESIRED_RUN);
	assert_string_equal(drains_code(w, 0), "replacement-unhealthy");
	drains_report(w, next, "running", 1);
	assert_int_equal(old->desired, DESIRED_STOP);
	world_free(w);
}

static void test_a_node_that_goes_down_ends_the_wait_for_it(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	drains_set(w, 0, 0, false);
	world_pass_time(w, HOUR); /* nobody beats */
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	/* Nobody has said that its process is gone. */
	assert_true(drains_describe(w, 0)->unconfirmed);
	world_add_node(w, 0);
	drains_report(w, world_first_alloc(w, "build"), "complete", -1);
	drains_set(w, 0, 0, false);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	assert_false(drains_describe(w, 0)->unconfirmed);
	world_free(w);
}

static void test_a_drain_goes_on_under_another_leader(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 2, 1));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	drains_obey(w);
	core_close(w->c);
	world_open_core(w);
	drains_live(w, 2 * MINUTE);
	assert_int_equal(drains_on_node(w, 0), 0);
	assert_int_equal(drains_running(w, "web"), 2);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_drain_that_is_done_stays_done_when_its_node_registers_again(void **state UNUSED)
{
	struct world *w = drains_world(1);

	drains_set(w, 0, 0, false);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_pass_time(w, HOUR);
	world_add_node(w, 0);
	assert_false(world_node(w, 0)->draining);
	assert_int_equal(core_snapshot(w->c, NULL), 0);
	core_close(w->c);
	world_open_core(w);
	assert_false(world_node(w, 0)->draining);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_node_that_drains_itself_takes_nothing_until_another_agent_registers(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct drain_spec spec = {0};
	struct strmap meta = {0};
	struct core_drain_request req = {.spec = &spec, .meta = &meta};
	struct core_node_reply out;
	struct strs ids = {0};
	uint64_t index;

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	drains_obey(w);
	strmap_set(w->a, &meta, CORE_DRAIN_UNTIL, CORE_DRAIN_RESTART);
	MODEL_SET(drain_spec, &spec, deadline, 0);
	assert_int_equal(core_node_drain(w->c, fixture_node_id(0), &req, w->now, &ids, w->a, &index, NULL), 0);
	/* Its fingerprint has changed, for instance. */
	struct node *same = fixture_node(w->a, 0);
	MODEL_SET(node, same, scheduling_eligibility, "ineligible");
	strmap_set(w->a, &same->meta, "rack", "r9");
	assert_int_equal(core_node_register(w->c, same, w->now, &out, NULL), 0);
	assert_true(world_node(w, 0)->draining);
	assert_false(world_node(w, 0)->eligible);
	drains_report(w, world_first_alloc(w, "build"), "complete", -1);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	assert_int_equal(core_node_register(w->c, same, w->now, &out, NULL), 0);
	assert_false(world_node(w, 0)->eligible);
	world_add_node(w, 0);
	assert_true(world_node(w, 0)->eligible);
	world_free(w);
}

/* One on its way, and its replacement, which has yet to prove itself. */
static struct alloc *on_its_way(struct world *w, struct alloc **old)
{
	world_run_job(w, drains_service(w, "web", 1, 1));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	*old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), *old);
	assert_non_null(next);
	drains_report(w, next, "running", 0);
	return next;
}

static void only_beats(struct world *w, unsigned node, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end; world_settle(w)) {
		struct core_node_reply out;

		world_pass_time(w, SECOND);
		assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(node), w->now, &out, NULL), 0);
	}
}

static void test_a_drained_node_that_goes_down_leaves_the_one_replacement(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct alloc *old, *next = on_its_way(w, &old);

	only_beats(w, 1, MINUTE);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(old->observed, OBSERVED_LOST);
	assert_int_equal(next->desired, DESIRED_RUN);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_free(w);
}

/* Nobody waits for what is out of reach and is not to be replaced: the one that runs on is all that there is of its job. */
static void test_one_whose_replacement_is_out_of_reach_after_a_canceled_drain_follows_its_job(void **state UNUSED)
{
	struct world *w = drains_world(1);
	struct job *j = drains_service(w, "web", 1, 1);
	struct task_group *g = j->task_groups.v[0];

	MODEL_SET(task_group, g, prevent_reschedule_on_lost, true);
	world_run_job(w, j);
	world_settle(w);
	drains_obey(w);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	drains_cancel(w, 0, true);
	only_beats(w, 0, MINUTE);
	assert_int_equal(next->observed, OBSERVED_UNKNOWN);
	assert_int_equal(old->desired, DESIRED_RUN);
	MODEL_SET(resources, ((struct task *)g->tasks.v[0])->resources, cpu, 20);
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(old->desired, DESIRED_STOP);
	assert_ptr_equal(drain_successor(core_state(w->c), old)->version, world_job(w, "web")->current);
	world_free(w);
}

static void test_one_whose_replacement_is_lost_after_a_canceled_drain_stays(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 1, 1));
	world_settle(w);
	drains_obey(w);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	drains_cancel(w, 0, true);
	only_beats(w, 0, MINUTE);
	assert_int_equal(next->observed, OBSERVED_LOST);
	world_run_job(w, drains_service(w, "web", 2, 1));
	drains_live(w, MINUTE);
	assert_int_equal(old->desired, DESIRED_RUN);
	assert_int_equal(drains_running(w, "web"), 2);
	assert_int_equal(world_job(w, "web")->n_allocs, 3);
	world_free(w);
}

static struct alloc *named(struct world *w, const char *id, uint32_t index)
{
	for (LINK_EACH(&world_job(w, id)->allocs, struct alloc, by_job, a))
		if (a->index == index)
			return a;
	return NULL;
}

static void test_one_that_fails_when_it_has_been_replaced_is_not_replaced_again(void **state UNUSED)
{
	struct world *w = drains_world(1);
	unsigned names = 0;

	world_run_job(w, drains_service(w, "web", 2, 2));
	world_settle(w);
	drains_obey(w);
	struct alloc *failing = named(w, "web", 0), *ending = named(w, "web", 1);
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	assert_non_null(drain_successor(core_state(w->c), failing));
	drains_cancel(w, 0, true);
	assert_true(drain_is_soft(failing));
	/* One of the two names is free then; a place is missing, and it is not that of the one that has failed. */
	drains_report(w, drain_successor(core_state(w->c), ending), "complete", -1);
	drains_report(w, ending, "complete", -1);
	drains_report(w, failing, "failed", -1);
	drains_live(w, 5 * MINUTE);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		names += a->observed == OBSERVED_RUNNING && a->desired == DESIRED_RUN ? 1u << a->index : 0;
	assert_int_equal(names, 3);
	assert_int_equal(drains_running(w, "web"), 2);
	world_free(w);
}

static void test_max_parallel_is_what_the_job_says_today(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 4, 3));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	world_run_job(w, drains_service(w, "web", 4, 1));
	world_settle(w);
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	drains_obey(w);
	assert_int_equal(drains_on_node(w, 1), 1);
	world_free(w);
}

static void test_a_thousand_go_together_when_their_groups_allow_it(void **state UNUSED)
{
	struct world *w = drains_world(1);

	world_run_job(w, drains_service(w, "web", 300, 300));
	world_settle(w);
	drains_obey(w);
	drains_live(w, 30 * SECOND);
	world_add_node(w, 1);
	drains_set(w, 0, HOUR, false);
	drains_obey(w);
	assert_int_equal(drains_on_node(w, 1), 300);
	drains_live(w, 12 * SECOND);
	assert_int_equal(drains_on_node(w, 0), 0);
	assert_string_equal(drains_status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_drain_that_is_canceled_leaves_things_as_they_are),
	    cmocka_unit_test(test_replacements_of_a_canceled_drain_wait_no_longer_though_the_node_stays_ineligible),
	    cmocka_unit_test(test_a_drain_can_be_changed_while_it_goes_on),
	    cmocka_unit_test(test_a_replacement_that_fails_is_replaced_and_the_old_one_waits),
	    cmocka_unit_test(test_health_that_the_client_reports_counts),
	    cmocka_unit_test(test_with_services_to_check_only_the_client_says_what_is_healthy),
	    cmocka_unit_test(test_a_node_that_goes_down_ends_the_wait_for_it),
	    cmocka_unit_test(test_a_drain_goes_on_under_another_leader),
	    cmocka_unit_test(test_a_drain_that_is_done_stays_done_when_its_node_registers_again),
	    cmocka_unit_test(test_a_node_that_drains_itself_takes_nothing_until_another_agent_registers),
	    cmocka_unit_test(test_a_drained_node_that_goes_down_leaves_the_one_replacement),
	    cmocka_unit_test(test_one_whose_replacement_is_out_of_reach_after_a_canceled_drain_follows_its_job),
	    cmocka_unit_test(test_one_whose_replacement_is_lost_after_a_canceled_drain_stays),
	    cmocka_unit_test(test_one_that_fails_when_it_has_been_replaced_is_not_replaced_again),
	    cmocka_unit_test(test_max_parallel_is_what_the_job_says_today),
	    cmocka_unit_test(test_a_thousand_go_together_when_their_groups_allow_it),
	};

	return RUN_TESTS(tests);
}
