/* Nodes that fall silent, in virtual time: what their allocations are called meanwhile, and what takes their place when. */
#include "sched/absence.h"

#include "tests/lib/away.h"
#include "tests/lib/test.h"

/* ---- words ---- */

static const struct eval_entry *followup(struct world *w, const struct alloc *a)
{
	return a->extra ? state_eval(core_state(w->c), a->extra->followup_eval) : NULL;
}

static struct job *plain(struct world *w)
{
	return away_job(w, "service", 1);
}

static struct job *lost_after_10m(struct world *w)
{
	struct job *j = away_job(w, "service", 1);

	away_block(w, j, 10 * MINUTE);
	return j;
}

static struct job *lost_after_without_replacement(struct world *w)
{
	struct job *j = away_job(w, "service", 1);
	struct disconnect_strategy *d = away_block(w, j, 10 * MINUTE);

	MODEL_SET(disconnect_strategy, d, replace, false);
	return j;
}

static struct job *never_replaced(struct world *w)
{
	struct job *j = away_job(w, "service", 1);
	struct disconnect_strategy *d = away_block(w, j, 0);

	MODEL_SET(disconnect_strategy, d, replace, false);
	return j;
}

static struct job *stops_by_itself(struct world *w)
{
	struct job *j = away_job(w, "service", 1);
	struct task *t = away_group(j)->tasks.v[0];
	struct disconnect_strategy *d = away_block(w, j, 0);

	MODEL_SET(disconnect_strategy, d, stop_on_client_after, 5 * MINUTE);
	MODEL_SET(task, t, kill_timeout, 20 * SECOND);
	return j;
}

static struct job *older_words(struct world *w)
{
	struct job *j = away_job(w, "service", 1);

	MODEL_SET(task_group, away_group(j), max_client_disconnect, 10 * MINUTE);
	return j;
}

/* ---- stories ---- */

static void test_without_a_block_the_node_is_down_and_the_copy_runs_at_once(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(plain, &a);

	away_fall_silent(w, 0);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_with_lost_after_the_node_is_disconnected_and_the_allocation_unknown_while_a_copy_runs(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_10m, &a);

	away_fall_silent(w, 0);
	assert_int_equal(world_node(w, 0)->status, NODE_DISCONNECTED);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	assert_int_equal(a->desired, DESIRED_RUN);
	assert_string_equal(a->extra->desired_description, SAY_UNKNOWN);
	const struct group_summary *sum = objmap_get(&world_job(w, "web")->summary, "g");

	assert_int_equal(sum->unknown, 1);
	assert_int_equal(away_live(w), 1);
	struct alloc *copy = state_alloc(core_state(w->c), a->extra->next);

	assert_non_null(copy);
	assert_true(uuid_eq(copy->extra->previous, a->id));
	assert_int_equal(copy->index, a->index);
	world_free(w);
}

static void test_when_lost_after_is_over_it_is_lost_and_the_node_down(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_10m, &a);

	away_fall_silent(w, 0);
	const struct eval_entry *e = followup(w, a);

	assert_non_null(e);
	assert_string_equal(e->spec->triggered_by, "max-disconnect-timeout");
	assert_int_equal(e->spec->wait_until, world_node(w, 0)->status_since + 10 * MINUTE);
	away_silence(w, 0, 9 * MINUTE);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	away_silence(w, 0, 2 * MINUTE);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_string_equal(away_event(w, 0), "Node down: none of its allocations is waited for any longer");
	assert_int_equal(away_live(w), 1);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_free(w);
}

static void test_the_older_field_means_the_same(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(older_words, &a);

	away_fall_silent(w, 0);
	assert_int_equal(world_node(w, 0)->status, NODE_DISCONNECTED);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_with_replace_off_nothing_runs_until_lost_after_is_over(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_without_replacement, &a);

	away_fall_silent(w, 0);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	away_silence(w, 0, 9 * MINUTE);
	assert_int_equal(away_live(w), 0);
	away_silence(w, 0, 2 * MINUTE);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_with_replace_off_alone_the_node_is_down_and_nothing_takes_its_place(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(never_replaced, &a);

	away_fall_silent(w, 0);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	away_silence(w, 0, 12 * HOUR);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	assert_int_equal(world_job(w, "web")->n_allocs, 1);
	world_free(w);
}

static void test_what_is_not_waited_for_is_replaced_when_somebody_stops_it(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(never_replaced, &a);
	struct core_eval_reply out;

	away_fall_silent(w, 0);
	assert_int_equal(core_alloc_stop(w->c, a->id, false, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_false(absence_is_given_up(a));
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_what_is_never_replaced_is_replaced_when_its_node_is_purged(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(never_replaced, &a);
	struct strs ids = {0};
	uint64_t index;

	away_fall_silent(w, 0);
	assert_int_equal(core_node_purge(w->c, fixture_node_id(0), w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_what_stops_by_itself_is_replaced_when_it_has_surely_stopped(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(stops_by_itself, &a);

	away_fall_silent(w, 0);
	int64_t since = world_node(w, 0)->status_since;

	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	assert_int_equal(followup(w, a)->spec->wait_until, since + 5 * MINUTE + 20 * SECOND);
	away_silence(w, 0, since + 5 * MINUTE + 19 * SECOND - w->now);
	assert_int_equal(away_live(w), 0);
	away_silence(w, 0, 2 * SECOND);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_what_had_not_begun_is_lost_at_once(void **state UNUSED)
{
	struct world *w = world_new();

	world_add_node(w, 0);
	away_run(w, lost_after_10m(w));
	world_add_node(w, 1);
	struct alloc *a = world_first_alloc(w, "web");

	for (int i = 0; i < 60 && a->observed == OBSERVED_PENDING; i++) {
		struct core_node_reply reply;

		world_pass_time(w, SECOND);
		core_node_heartbeat(w->c, fixture_node_id(1), w->now, &reply, NULL);
	}
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_on_one_node_each_job_fares_by_its_own_block(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_10m, &a);
	uint64_t index;

	/* Both on the first node, as the second one takes nothing now. */
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(1), false, w->now, &index, NULL), 0);
	away_run(w, fixture_job(w->a, "other", "service", 1, 10, 10));
	away_start(w);
	struct alloc *b = world_first_alloc(w, "other");

	assert_ptr_equal(b->node, a->node);
	away_fall_silent(w, 0);
	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	assert_int_equal(b->observed, OBSERVED_LOST);
	world_free(w);
}

static void test_a_job_that_is_stopped_does_not_wait_for_what_is_unknown(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_10m, &a);
	struct core_eval_reply out;

	away_fall_silent(w, 0);
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_false(absence_is_given_up(a));
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	world_free(w);
}

static void test_a_count_that_shrinks_takes_what_is_unknown_with_it(void **state UNUSED)
{
	struct world *w = world_new();
	struct job *j = away_job(w, "service", 2);

	away_block(w, j, 10 * MINUTE);
	world_add_node(w, 0);
	away_run(w, j);
	away_start(w);
	world_add_node(w, 1);
	away_fall_silent(w, 0);
	assert_int_equal(away_live(w), 2);
	j = away_job(w, "service", 0);
	away_block(w, j, 10 * MINUTE);
	away_run(w, j);
	assert_int_equal(away_live(w), 0);
	away_silence(w, 0, 11 * MINUTE);
	assert_int_equal(world_count(w, "web", OBSERVED_UNKNOWN), 0);
	world_free(w);
}

static void test_a_drain_says_that_the_node_is_away_and_ends_when_nothing_is_waited_for(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_without_replacement, &a);
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};
	struct strs ids = {0};
	uint64_t index;

	away_fall_silent(w, 0);
	assert_int_equal(core_node_drain(w->c, fixture_node_id(0), &req, w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
	const struct drain_answer *said = core_drain(w->c, fixture_node_id(0), w->now, w->a);

	assert_int_equal(said->waits.n, 1);
	assert_string_equal(((struct drain_wait *)said->waits.v[0])->code, "node-away");
	away_silence(w, 0, 11 * MINUTE);
	assert_string_equal(world_node(w, 0)->spec->last_drain->status, "complete");
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_a_system_job_waits_on_its_node(void **state UNUSED)
{
	struct world *w = world_new();
	struct job *j = away_job(w, "system", 1);

	away_block(w, j, 10 * MINUTE);
	world_add_node(w, 0);
	world_add_node(w, 1);
	away_run(w, j);
	away_start(w);
	away_fall_silent(w, 0);
	assert_int_equal(world_node(w, 0)->status, NODE_DISCONNECTED);
	assert_int_equal(world_count(w, "web", OBSERVED_UNKNOWN), 1);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	away_silence(w, 0, 11 * MINUTE);
	assert_int_equal(world_count(w, "web", OBSERVED_LOST), 1);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	world_free(w);
}

static void test_a_replay_ends_in_the_same_state(void **state UNUSED)
{
	struct alloc *a;
	struct world *w = away_world(lost_after_10m, &a);

	away_fall_silent(w, 0);
	world_return_node(w, 0, "running");
	away_fall_silent(w, 0);
	away_silence(w, 0, 11 * MINUTE);
	world_return_node(w, 0, "running");
	uint64_t digest = state_digest(core_state(w->c));

	core_close(w->c);
	world_open_core(w);
	assert_true(state_digest(core_state(w->c)) == digest);
	world_free(w);
}

static void check_refused(struct world *w, struct job *j, const char *says)
{
	struct core_register_request req = {.job = j};
	struct core_eval_reply reply;
	struct err e = ERR_INIT;

	assert_int_not_equal(core_job_register(w->c, &req, w->now, &reply, &e), 0);
	if (!strstr(err_str(&e), says))
		fail_msg("%s", err_str(&e));
	err_clear(&e);
}

static void test_blocks_that_cannot_be_are_refused(void **state UNUSED)
{
	struct world *w = world_new();
	struct job *j = stops_by_itself(w);

	MODEL_SET(disconnect_strategy, away_group(j)->disconnect, lost_after, MINUTE);
	check_refused(w, j, "only one of lost_after and stop_on_client_after");
	j = lost_after_10m(w);
	MODEL_SET(disconnect_strategy, away_group(j)->disconnect, reconcile, "newest");
	check_refused(w, j, "reconcile is \"newest\"; expected best_score");
	j = lost_after_10m(w);
	MODEL_SET(disconnect_strategy, away_group(j)->disconnect, lost_after, -SECOND);
	check_refused(w, j, "lost_after cannot be negative");
	j = lost_after_10m(w);
	MODEL_SET(task_group, away_group(j), max_client_disconnect, MINUTE);
	check_refused(w, j, "may not be given beside a disconnect block");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_a_block_the_node_is_down_and_the_copy_runs_at_once),
	    cmocka_unit_test(test_with_lost_after_the_node_is_disconnected_and_the_allocation_unknown_while_a_copy_runs),
	    cmocka_unit_test(test_when_lost_after_is_over_it_is_lost_and_the_node_down),
	    cmocka_unit_test(test_the_older_field_means_the_same),
	    cmocka_unit_test(test_with_replace_off_nothing_runs_until_lost_after_is_over),
	    cmocka_unit_test(test_with_replace_off_alone_the_node_is_down_and_nothing_takes_its_place),
	    cmocka_unit_test(test_what_is_not_waited_for_is_replaced_when_somebody_stops_it),
	    cmocka_unit_test(test_what_is_never_replaced_is_replaced_when_its_node_is_purged),
	    cmocka_unit_test(test_what_stops_by_itself_is_replaced_when_it_has_surely_stopped),
	    cmocka_unit_test(test_what_had_not_begun_is_lost_at_once),
	    cmocka_unit_test(test_on_one_node_each_job_fares_by_its_own_block),
	    cmocka_unit_test(test_a_job_that_is_stopped_does_not_wait_for_what_is_unknown),
	    cmocka_unit_test(test_a_count_that_shrinks_takes_what_is_unknown_with_it),
	    cmocka_unit_test(test_a_drain_says_that_the_node_is_away_and_ends_when_nothing_is_waited_for),
	    cmocka_unit_test(test_a_system_job_waits_on_its_node),
	    cmocka_unit_test(test_a_replay_ends_in_the_same_state),
	    cmocka_unit_test(test_blocks_that_cannot_be_are_refused),
	};
	return RUN_TESTS(tests);
}
