/* Taking nodes away, in virtual time: which come back, what other hands do, and that the operation is kept. */
#include "tests/lib/scale.h"

#include "sched/drain.h"
#include "tests/lib/test.h"

/* ---- words ---- */

static struct scale_in *cancel(struct world *w, const struct scale_in *op)
{
	struct scale_in *out;
	struct err e = ERR_INIT;
	struct uuid id;
	uint64_t index;

	assert_int_equal(uuid_parse(op->id, &id), 0);
	assert_int_equal(core_scale_in_cancel(w->c, id, w->now, w->a, &out, &index, &e), 0);
	world_settle(w);
	return out;
}

static bool drains(struct world *w, unsigned n)
{
	return world_node(w, n)->draining;
}

/* ---- which come back ---- */

static void test_a_lower_count_gives_back_the_most_expensive(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "a", 0);
	scale_live(w, MINUTE);
	scale_build(w, "b", 1);
	scale_live(w, MINUTE);
	scale_build(w, "c", 2);
	struct scale_in *op = scale_take(w, 3);

	world_report(w, world_first_alloc(w, "a"), "complete");
	world_settle(w);
	scale_live(w, SECOND);
	op = scale_take(w, 2);
	assert_int_equal(op->count, 2);
	assert_null(scale_node(op, 2));
	assert_false(drains(w, 2));
	assert_true(world_node(w, 2)->eligible);
	assert_true(drains(w, 1));
	/* What is free stays free, however low the count. */
	op = scale_take(w, 0);
	assert_false(drains(w, 1));
	assert_int_equal(op->free, 1);
	assert_string_equal(op->status, "complete");
	assert_int_equal(scale_placed(w, "b") + scale_placed(w, "c"), 2);
	world_free(w);
}

static void test_a_higher_count_takes_more(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		scale_build(w, arena_printf(w->a, "b%u", i), i);
	struct scale_in *op = scale_take(w, 1);
	struct scale_in *more = scale_take(w, 3);

	assert_string_equal(op->id, more->id);
	assert_int_equal(more->draining, 3);
	world_free(w);
}

static void test_a_cancellation_gives_back_all_that_is_not_free(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 1);
	struct scale_in *op = scale_take(w, 3);

	op = cancel(w, op);
	assert_string_equal(op->status, "canceled");
	assert_int_equal(op->free, 1);
	assert_true(world_node(w, 0)->eligible && world_node(w, 1)->eligible && !world_node(w, 2)->eligible);
	assert_string_equal(cancel(w, op)->status, "canceled");
	world_free(w);
}

static void test_a_node_that_becomes_idle_goes_instead_of_one_that_waits(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "a", 0);
	scale_live(w, MINUTE);
	scale_build(w, "b", 1);
	scale_build(w, "c", 2);
	struct scale_in *op = scale_take(w, 1);

	assert_non_null(scale_node(op, 0));
	world_report(w, world_first_alloc(w, "c"), "complete");
	scale_live(w, 2 * SECOND);
	op = scale_again(w, op);
	assert_non_null(scale_node(op, 2));
	assert_string_equal(op->status, "complete");
	assert_int_equal(op->nodes.n, 1);
	assert_false(drains(w, 0));
	assert_true(world_node(w, 0)->eligible);
	assert_int_equal(scale_placed(w, "a"), 1);
	assert_null(strmap_get(&world_node(w, 0)->spec->last_drain->meta, SCALE_IN_META));
	world_free(w);
}

static void test_no_build_is_cut_off_for_a_swap(void **state)
{
	struct world *w = scale_world(3);
	struct scale_in_request r = scale_request(1);
	struct drain_spec spec = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		scale_build(w, arena_printf(w->a, "b%u", i), i);
	MODEL_SET(drain_spec, &spec, deadline, 0);
	r.drain_spec = &spec;
	struct scale_in *op = scale_ask(w, r);

	scale_live(w, 30 * HOUR);
	assert_int_equal(scale_again(w, op)->draining, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(scale_placed(w, arena_printf(w->a, "b%u", i)), 1);
	world_free(w);
}

static void test_work_that_is_being_stopped_is_not_given_back(void **state)
{
	struct world *w = scale_world(2);
	struct scale_in_request r = scale_request(1);
	struct drain_spec spec = {0};

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 1);
	MODEL_SET(drain_spec, &spec, deadline, MINUTE);
	r.drain_spec = &spec;
	struct scale_in *op = scale_ask(w, r);
	unsigned n = scale_node(op, 0) ? 0 : 1;

	/* It takes long to stop. */
	world_live(w, 2 * MINUTE);
	world_report(w, world_first_alloc(w, n ? "a" : "b"), "complete");
	world_live(w, MINUTE);
	assert_true(drains(w, n));
	assert_non_null(scale_node(scale_again(w, op), n));
	world_free(w);
}

static void test_the_deadline_ends_it(void **state)
{
	struct world *w = scale_world(2);
	struct scale_in_request r = scale_request(1);
	struct drain_spec spec = {0};

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 1);
	MODEL_SET(drain_spec, &spec, deadline, 10 * MINUTE);
	r.drain_spec = &spec;
	struct scale_in *op = scale_ask(w, r);

	scale_live(w, 9 * MINUTE);
	assert_string_equal(scale_again(w, op)->status, "running");
	scale_live(w, MINUTE);
	assert_string_equal(scale_again(w, op)->status, "complete");
	assert_true(scale_again(w, op)->past_deadline);
	world_free(w);
}

static void test_builds_that_are_to_be_finished_are_cut_off_only_by_a_deadline_that_somebody_named(void **state)
{
	struct drain_spec named = {0};

	(void)state;
	MODEL_SET(drain_spec, &named, deadline, HOUR);
	for (int i = 0; i < 2; i++) {
		struct world *w = scale_world(1);
		struct scale_in_request r = scale_request(1);
		struct job *j = scale_job(w, "a", "batch", 1, 500);

		strmap_set(w->a, &j->meta, DRAIN_META, DRAIN_FINISH);
		j->has |= MODEL_BIT(job, meta);
		scale_on_node(w, j, 0);
		scale_run(w, j);
		r.drain_spec = i ? &named : NULL;
		struct scale_in *op = scale_ask(w, r);

		scale_live(w, 2 * HOUR);
		assert_string_equal(scale_again(w, op)->status, i ? "complete" : "running");
		assert_int_equal(scale_placed(w, "a"), i ? 0 : 1);
		world_free(w);
	}
}

/* ---- other hands ---- */

static void drain_by_hand(struct world *w, unsigned n, bool set)
{
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = set ? &spec : NULL, .mark_eligible = true};
	struct strs ids = {0};
	uint64_t index;

	assert_int_equal(core_node_drain(w->c, fixture_node_id(n), &req, w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
}

static void test_a_drain_changed_by_hand_counts_and_is_never_undone(void **state)
{
	struct world *w = scale_world(2);

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 1);
	struct scale_in *op = scale_take(w, 2);

	drain_by_hand(w, 0, true);
	assert_int_equal(scale_again(w, op)->draining, 2);
	op = cancel(w, op);
	assert_true(drains(w, 0));
	assert_false(drains(w, 1));
	world_free(w);
}

static void test_a_node_kept_by_hand_is_not_taken_again_by_itself(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 1);
	scale_build(w, "c", 2);
	struct scale_in *op = scale_take(w, 2);
	unsigned kept = scale_node(op, 0) ? 0 : 1;

	drain_by_hand(w, kept, false);
	scale_live(w, MINUTE);
	op = scale_again(w, op);
	assert_string_equal(scale_node(op, kept)->status, "kept");
	assert_int_equal(op->draining, 1);
	/* Also when it would come in handy. */
	world_report(w, world_first_alloc(w, kept ? "b" : "a"), "complete");
	scale_live(w, MINUTE);
	assert_false(drains(w, kept));
	assert_int_equal(scale_again(w, op)->draining, 1);
	world_free(w);
}

static void test_a_node_that_nobody_knows_any_more_is_gone(void **state)
{
	struct world *w = scale_world(2);
	struct strs ids = {0};
	uint64_t index;

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 1);
	struct scale_in *op = scale_take(w, 2);

	assert_int_equal(core_node_purge(w->c, fixture_node_id(0), w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
	op = scale_again(w, op);
	assert_string_equal(scale_node(op, 0)->status, "gone");
	assert_string_equal(scale_node(op, 0)->name, "node-0");
	assert_int_equal(op->free, 1);
	assert_int_equal(op->draining, 1);
	world_free(w);
}

/* ---- the operation ---- */

static void test_the_same_id_again_takes_nothing_more(void **state)
{
	struct world *w = scale_world(4);
	struct scale_in_request r = scale_request(1);

	(void)state;
	MODEL_SET(scale_in_request, &r, id, "11111111-2222-3333-4444-555555555555");
	struct scale_in *first = scale_ask(w, r), *second = scale_ask(w, r);

	assert_string_equal(first->id, r.id);
	assert_string_equal(second->status, "complete");
	assert_string_equal(
	    ((struct scale_in_node *)second->nodes.v[0])->node_id, ((struct scale_in_node *)first->nodes.v[0])->node_id);
	assert_int_equal(core_state(w->c)->n_scale_ins, 1);
	/* Another one is another one. */
	assert_string_not_equal(scale_take(w, 1)->id, r.id);
	world_free(w);
}

static void test_it_goes_on_after_a_snapshot_and_under_another_leader(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "a", 0);
	scale_live(w, MINUTE);
	scale_build(w, "b", 1);
	scale_build(w, "c", 2);
	struct scale_in *op = scale_take(w, 1);

	for (int i = 0; i < 2; i++) {
		uint64_t digest = state_digest(core_state(w->c));

		if (i)
			assert_int_equal(core_snapshot(w->c, NULL), 0);
		world_commit(w);
		core_close(w->c);
		world_open_core(w);
		assert_true(digest == state_digest(core_state(w->c)));
		assert_string_equal(scale_again(w, op)->status, "running");
	}
	world_report(w, world_first_alloc(w, "c"), "complete");
	scale_live(w, 2 * SECOND);
	assert_string_equal(scale_again(w, op)->status, "complete");
	assert_non_null(scale_node(scale_again(w, op), 2));
	world_free(w);
}

static void test_old_operations_are_forgotten_and_running_ones_are_not(void **state)
{
	struct world *w = scale_world(2 * SCALE_INS_KEPT);
	struct node *busy = fixture_node(w->a, 0);
	struct scale_in_request r = scale_request(1);
	struct core_node_reply reply;

	(void)state;
	strmap_set(w->a, &busy->meta, "rack", "r9");
	assert_int_equal(core_node_register(w->c, busy, w->now, &reply, NULL), 0);
	scale_build(w, "a", 0);
	MODEL_SET(scale_in_request, &r, filter, "r9");
	struct scale_in *first = scale_ask(w, r), *second = scale_take(w, 1);

	for (unsigned i = 2; i < 2 * SCALE_INS_KEPT; i++)
		assert_string_equal(scale_again(w, scale_take(w, 1))->status, "complete");
	assert_int_equal(core_state(w->c)->n_scale_ins, SCALE_INS_KEPT);
	assert_string_equal(scale_again(w, first)->status, "running");
	struct uuid id;

	assert_int_equal(uuid_parse(second->id, &id), 0);
	assert_null(state_scale_in(core_state(w->c), id));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_lower_count_gives_back_the_most_expensive),
	    cmocka_unit_test(test_a_higher_count_takes_more),
	    cmocka_unit_test(test_a_cancellation_gives_back_all_that_is_not_free),
	    cmocka_unit_test(test_a_node_that_becomes_idle_goes_instead_of_one_that_waits),
	    cmocka_unit_test(test_no_build_is_cut_off_for_a_swap),
	    cmocka_unit_test(test_work_that_is_being_stopped_is_not_given_back),
	    cmocka_unit_test(test_the_deadline_ends_it),
	    cmocka_unit_test(test_builds_that_are_to_be_finished_are_cut_off_only_by_a_deadline_that_somebody_named),
	    cmocka_unit_test(test_a_drain_changed_by_hand_counts_and_is_never_undone),
	    cmocka_unit_test(test_a_node_kept_by_hand_is_not_taken_again_by_itself),
	    cmocka_unit_test(test_a_node_that_nobody_knows_any_more_is_gone),
	    cmocka_unit_test(test_the_same_id_again_takes_nothing_more),
	    cmocka_unit_test(test_it_goes_on_after_a_snapshot_and_under_another_leader),
	    cmocka_unit_test(test_old_operations_are_forgotten_and_running_ones_are_not),
	};

	return RUN_TESTS(tests);
}
