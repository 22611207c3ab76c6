/* Taking nodes away: which ones go, and that no service is left without a place. */
#include "tests/lib/scale.h"

#include <errno.h>

#include "tests/lib/test.h"

/* ---- which ones ---- */

static void test_idle_nodes_go_first_and_are_free_at_once(void **state)
{
	struct world *w = scale_world(4);

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 2);
	struct scale_in *op = scale_take(w, 2);

	assert_non_null(scale_node(op, 1));
	assert_non_null(scale_node(op, 3));
	op = scale_again(w, op);
	assert_string_equal(op->status, "complete");
	assert_int_equal(op->free, 2);
	assert_string_equal(scale_node(op, 1)->status, "free");
	assert_false(world_node(w, 1)->eligible);
	assert_true(world_node(w, 0)->eligible);
	world_free(w);
}

static void test_all_of_it_is_one_entry(void **state)
{
	struct world *w = scale_world(9);
	uint64_t before;

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		scale_build(w, arena_printf(w->a, "b%u", i), i);
	before = core_state(w->c)->index;
	struct scale_in_request r = scale_request(7);
	struct scale_in *out;
	uint64_t index;

	assert_int_equal(core_scale_in(w->c, &r, w->now, w->a, &out, &index, NULL), 0);
	assert_int_equal(index, before + 1);
	assert_int_equal(out->draining, 7);
	world_free(w);
}

static void test_services_that_have_another_place_go_before_builds(void **state)
{
	struct world *w = scale_world(3);
	struct job *web = scale_job(w, "web", "service", 1, 500);

	(void)state;
	scale_build(w, "a", 0);
	scale_build(w, "b", 2);
	/* Wherever it goes by itself: it is moved to the node of its own by the two that are full. */
	scale_on_node(w, web, 1);
	scale_run(w, web);
	web = scale_job(w, "web", "service", 1, 500);
	scale_run(w, web);
	struct scale_in *op = scale_take(w, 1);

	assert_non_null(scale_node(op, 1));
	assert_string_equal(scale_node(op, 1)->cost, "services");
	scale_live(w, 2 * MINUTE);
	assert_string_equal(scale_again(w, op)->status, "complete");
	assert_int_equal(scale_placed(w, "web"), 1);
	world_free(w);
}

static void test_of_builds_the_one_that_has_run_longest_is_nearest_to_its_end(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "a", 0);
	scale_live(w, 5 * MINUTE);
	scale_build(w, "b", 1);
	scale_live(w, 5 * MINUTE);
	scale_build(w, "c", 2);
	struct scale_in *op = scale_take(w, 1);

	assert_non_null(scale_node(op, 0));
	assert_true(scale_node(op, 0)->time_left == 50 * MINUTE);
	world_free(w);
}

/* Children of one parent, which took ten minutes each until now. */
static void test_earlier_runs_tell_how_long_a_build_takes(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	scale_build(w, "quick/dispatch-1", 0);
	scale_live(w, 10 * MINUTE);
	world_report(w, world_first_alloc(w, "quick/dispatch-1"), "complete");
	world_settle(w);
	scale_build(w, "slow", 0);
	scale_build(w, "slow-too", 1);
	scale_live(w, MINUTE);
	scale_build(w, "quick/dispatch-2", 2);
	struct scale_in *op = scale_take(w, 1);

	assert_non_null(scale_node(op, 2));
	assert_true(scale_node(op, 2)->time_left == 10 * MINUTE);
	/* Longer than ever: it is thought to need some more. */
	scale_live(w, 20 * MINUTE);
	assert_true(scale_node(scale_again(w, op), 2)->time_left == 2 * MINUTE);
	world_free(w);
}

static void test_a_service_is_not_left_without_a_place_while_others_can_go(void **state)
{
	struct world *w = scale_world(3);
	struct job *big = scale_job(w, "big", "service", 1, 3900);

	(void)state;
	scale_on_node(w, big, 0);
	scale_run(w, big);
	scale_build(w, "a", 1);
	scale_build(w, "b", 2);
	/* The service is cheaper than a build, and has no other place. */
	struct scale_in *op = scale_take(w, 2);

	assert_null(scale_node(op, 0));
	assert_int_equal(op->draining, 2);
	world_free(w);
}

static void test_the_second_node_counts_with_what_came_from_the_first(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct job *j = scale_job(w, arena_printf(w->a, "web-%u", i), "service", 1, 1500);

		scale_on_node(w, j, i);
		scale_run(w, j);
		scale_run(w, scale_job(w, arena_printf(w->a, "web-%u", i), "service", 1, 1500));
	}
	/* Two fit on one node, not three. */
	struct scale_in_request r = scale_request(2);

	MODEL_SET(scale_in_request, &r, dry_run, true);
	struct scale_in *plan = scale_ask(w, r);

	assert_int_equal(plan->nodes.n, 2);
	assert_string_equal(((struct scale_in_node *)plan->nodes.v[0])->cost, "services");
	assert_string_equal(((struct scale_in_node *)plan->nodes.v[1])->cost, "stuck");
	assert_non_null(strstr(((struct scale_in_node *)plan->nodes.v[1])->reason, "would have no other place"));
	world_free(w);
}

static void test_what_is_distinct_needs_a_node_of_its_own(void **state)
{
	struct world *w = scale_world(3);
	struct job *j = scale_job(w, "web", "service", 3, 100);
	struct constraint *c = MODEL_NEW(w->a, constraint);
	struct scale_in_request r = scale_request(1);

	(void)state;
	MODEL_SET(constraint, c, operand, "distinct_hosts");
	objs_push(w->a, &j->constraints, c);
	scale_run(w, j);
	MODEL_SET(scale_in_request, &r, dry_run, true);
	assert_string_equal(((struct scale_in_node *)scale_ask(w, r)->nodes.v[0])->cost, "stuck");
	world_add_node(w, 3);
	scale_build(w, "a", 3);
	assert_string_equal(((struct scale_in_node *)scale_ask(w, r)->nodes.v[0])->cost, "services");
	world_free(w);
}

static void test_who_leaves_leaves_its_value_of_what_is_distinct(void **state)
{
	struct world *w = scale_world(0);
	struct job *j = scale_job(w, "web", "service", 1, 100);
	struct constraint *c = MODEL_NEW(w->a, constraint);
	struct scale_in_request r = scale_request(1);
	struct core_node_reply reply;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct node *n = fixture_node(w->a, i);

		strmap_set(w->a, &n->meta, "rack", "r1");
		assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), 0);
	}
	scale_build(w, "a", 1);
	MODEL_SET(constraint, c, ltarget, "${meta.rack}");
	MODEL_SET(constraint, c, operand, "distinct_property");
	objs_push(w->a, &j->constraints, c);
	scale_on_node(w, j, 0);
	scale_run(w, j);
	/* Bound to its node no longer. */
	j = scale_job(w, "web", "service", 1, 100);
	objs_push(w->a, &j->constraints, c);
	scale_run(w, j);
	MODEL_SET(scale_in_request, &r, dry_run, true);
	assert_string_equal(((struct scale_in_node *)scale_ask(w, r)->nodes.v[0])->cost, "services");
	world_free(w);
}

/* The first one that is looked at cannot go; what was thought of on the way is forgotten. */
static void test_what_cannot_go_leaves_no_trace(void **state)
{
	struct world *w = scale_world(3);

	(void)state;
	/* On node 0: one that fits nowhere else, after one that takes all of node 2. */
	const struct {
		const char *id;
		unsigned node;
		int64_t cpu;
	} jobs[] = {{"a", 0, 1900}, {"b", 0, 2000}, {"c", 1, 2100}, {"d", 2, 2000}};

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		struct job *j = scale_job(w, jobs[i].id, i < 2 ? "service" : "batch", 1, jobs[i].cpu);

		scale_on_node(w, j, jobs[i].node);
		scale_run(w, j);
	}
	struct job *e = scale_job(w, "e", "service", 1, 200);

	scale_on_node(w, e, 1);
	scale_run(w, e);
	scale_run(w, scale_job(w, "a", "service", 1, 1900));
	scale_run(w, scale_job(w, "e", "service", 1, 200));
	struct scale_in *op = scale_take(w, 1);

	assert_null(scale_node(op, 0));
	world_free(w);
}

static void test_a_roomy_idle_node_stays_when_services_need_it(void **state)
{
	struct world *w = scale_world(2);
	struct node *big = fixture_node(w->a, 2);
	struct core_node_reply reply;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct job *j = scale_job(w, arena_printf(w->a, "web-%u", i), "service", 1, 3000);

		scale_on_node(w, j, i);
		scale_run(w, j);
		scale_run(w, scale_job(w, arena_printf(w->a, "web-%u", i), "service", 1, 3000));
	}
	MODEL_SET(node_cpu, big->node_resources->cpu, cpu_shares, 9000);
	assert_int_equal(core_node_register(w->c, big, w->now, &reply, NULL), 0);
	struct scale_in *op = scale_take(w, 2);

	assert_null(scale_node(op, 2));
	scale_live(w, 5 * MINUTE);
	assert_string_equal(scale_again(w, op)->status, "complete");
	assert_int_equal(scale_placed(w, "web-0") + scale_placed(w, "web-1"), 2);
	world_free(w);
}

static void test_class_and_filter_say_which_nodes_may_go(void **state)
{
	struct world *w = scale_world(2);
	struct scale_in_request r = scale_request(1);
	struct core_node_reply reply;

	(void)state;
	for (unsigned i = 2; i < 5; i++) {
		struct node *n = fixture_node(w->a, i);

		MODEL_SET(node, n, node_class, "ci");
		strmap_set(w->a, &n->meta, "rack", i == 4 ? "r2" : "r1");
		assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), 0);
	}
	scale_build(w, "a", 2);
	scale_build(w, "b", 3);
	scale_build(w, "c", 4);
	MODEL_SET(scale_in_request, &r, node_class, "ci");
	MODEL_SET(scale_in_request, &r, filter, "r2");
	assert_non_null(scale_node(scale_ask(w, r), 4));
	MODEL_SET(scale_in_request, &r, filter, "");
	MODEL_SET(scale_in_request, &r, count, 2);
	struct scale_in *op = scale_ask(w, r);

	assert_non_null(scale_node(op, 2));
	assert_non_null(scale_node(op, 3));
	world_free(w);
}

static void test_too_few_nodes_are_refused_and_nothing_changes(void **state)
{
	struct world *w = scale_world(2);
	struct scale_in_request r = scale_request(3);
	struct scale_in *out;
	struct err e = ERR_INIT;
	uint64_t index, before = core_state(w->c)->index;

	(void)state;
	assert_int_equal(core_scale_in(w->c, &r, w->now, w->a, &out, &index, &e), -EINVAL);
	assert_string_equal(err_str(&e), "3 more nodes are asked to go, and 2 can: active, eligible, not draining");
	err_clear(&e);
	MODEL_SET(scale_in_request, &r, count, 0);
	assert_int_equal(core_scale_in(w->c, &r, w->now, w->a, &out, &index, &e), -EINVAL);
	err_clear(&e);
	assert_int_equal(core_state(w->c)->index, before);
	world_free(w);
}

static void test_a_plan_names_what_then_goes_and_changes_nothing(void **state)
{
	struct world *w = scale_world(4);
	struct scale_in_request r = scale_request(2);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		scale_build(w, arena_printf(w->a, "b%u", i), i);
	uint64_t before = core_state(w->c)->index;

	MODEL_SET(scale_in_request, &r, dry_run, true);
	struct scale_in *plan = scale_ask(w, r);

	assert_int_equal(core_state(w->c)->index, before);
	assert_string_equal(plan->status, "planned");
	assert_string_equal(((struct scale_in_node *)plan->nodes.v[0])->cost, "batch");
	struct scale_in *op = scale_take(w, 2);

	for (uint32_t i = 0; i < 2; i++)
		assert_string_equal(
		    ((struct scale_in_node *)plan->nodes.v[i])->node_id, ((struct scale_in_node *)op->nodes.v[i])->node_id);
	world_free(w);
}

/* ---- by chance ---- */

static uint64_t below(struct world *w, uint64_t n)
{
	return fixture_below(&w->rng, n);
}

static void add_by_chance(struct world *w, unsigned i)
{
	struct node *n = fixture_node(w->a, i);
	struct core_node_reply reply;

	MODEL_SET(node_cpu, n->node_resources->cpu, cpu_shares, 1000 + 1000 * (int64_t)below(w, 4));
	assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), 0);
}

/* The cluster, some nodes of it less: is there a place for all services? Found out by really placing them, the large ones
 * first, on empty nodes. */
static bool all_fit_without(struct world *w, unsigned n_nodes, unsigned without)
{
	int64_t room[8], asks[64];
	uint32_t n = 0;

	for (unsigned i = 0; i < n_nodes; i++)
		room[i] = without >> i & 1 ? 0 : world_node(w, i)->total.cpu;
	for (unsigned i = 0; i < n_nodes; i++)
		for (LINK_EACH(&world_node(w, i)->allocs, struct alloc, by_node, x)) {
			int64_t cpu = x->version->asks[0].amount.cpu;

			if (!alloc_holds(x))
				continue;
			if (x->version->job->type == JOB_SERVICE && without >> i & 1)
				asks[n++] = cpu;
			else
				room[i] -= MIN(cpu, room[i]);
		}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = i + 1; k < n; k++)
			if (asks[k] > asks[i]) {
				int64_t x = asks[i];

				asks[i] = asks[k];
				asks[k] = x;
			}
	for (uint32_t i = 0; i < n; i++) {
		unsigned k = 0;

		while (k < n_nodes && room[k] < asks[i])
			k++;
		if (k == n_nodes)
			return false;
		room[k] -= asks[i];
	}
	return true;
}

static bool is_avoidable(struct world *w, unsigned n_nodes, int count)
{
	for (unsigned set = 0; set < 1u << n_nodes; set++)
		if (__builtin_popcount(set) == count && all_fit_without(w, n_nodes, set))
			return true;
	return false;
}

static void test_services_keep_their_places_on_clusters_by_chance(void **state)
{
	uint32_t avoidable = 0, missed = 0, stuck = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct world *w = world_with((struct core_config){0});
		unsigned n_nodes, n_jobs;
		int count;

		w->rng = seed;
		n_nodes = 2 + (unsigned)below(w, 5);
		for (unsigned i = 0; i < n_nodes; i++)
			add_by_chance(w, i);
		n_jobs = 1 + (unsigned)below(w, 6);
		for (unsigned i = 0; i < n_jobs; i++)
			scale_run(w, scale_job(w, arena_printf(w->a, "job-%u", i), below(w, 3) ? "service" : "batch",
					 1 + (int64_t)below(w, 3), 200 + 200 * (int64_t)below(w, 8)));
		count = 1 + (int)below(w, n_nodes - 1);
		bool can = is_avoidable(w, n_nodes, count), will = true;
		uint32_t before[8];

		for (unsigned i = 0; i < n_jobs; i++)
			before[i] = scale_placed(w, arena_printf(w->a, "job-%u", i));
		struct scale_in_request r = scale_request(count);

		MODEL_SET(scale_in_request, &r, dry_run, true);
		struct scale_in *plan = scale_ask(w, r);

		OBJS_EACH(&plan->nodes, struct scale_in_node, x)
			will = will && !str_eq(x->cost, "stuck");
		avoidable += can;
		stuck += !will;
		missed += can && !will;
		if (will) {
			/* What was thought is what happens. */
			struct scale_in *op = scale_take(w, count);

			scale_live(w, 5 * MINUTE);
			for (unsigned i = 0; i < n_jobs; i++)
				if (scale_placed(w, arena_printf(w->a, "job-%u", i)) != before[i])
					fail_msg("seed %llu: job-%u has %u of %u", (unsigned long long)seed, i,
					    scale_placed(w, arena_printf(w->a, "job-%u", i)), before[i]);
			OBJS_EACH(&scale_again(w, op)->nodes, struct scale_in_node, y)
				assert_true(str_eq(y->status, "free") || str_eq(y->cost, "batch"));
		}
		world_free(w);
	}
	assert_true(avoidable > 100 && stuck > 20);
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_idle_nodes_go_first_and_are_free_at_once),
	    cmocka_unit_test(test_all_of_it_is_one_entry),
	    cmocka_unit_test(test_services_that_have_another_place_go_before_builds),
	    cmocka_unit_test(test_of_builds_the_one_that_has_run_longest_is_nearest_to_its_end),
	    cmocka_unit_test(test_earlier_runs_tell_how_long_a_build_takes),
	    cmocka_unit_test(test_a_service_is_not_left_without_a_place_while_others_can_go),
	    cmocka_unit_test(test_the_second_node_counts_with_what_came_from_the_first),
	    cmocka_unit_test(test_what_is_distinct_needs_a_node_of_its_own),
	    cmocka_unit_test(test_who_leaves_leaves_its_value_of_what_is_distinct),
	    cmocka_unit_test(test_what_cannot_go_leaves_no_trace),
	    cmocka_unit_test(test_a_roomy_idle_node_stays_when_services_need_it),
	    cmocka_unit_test(test_class_and_filter_say_which_nodes_may_go),
	    cmocka_unit_test(test_too_few_nodes_are_refused_and_nothing_changes),
	    cmocka_unit_test(test_a_plan_names_what_then_goes_and_changes_nothing),
	    cmocka_unit_test(test_services_keep_their_places_on_clusters_by_chance),
	};

	return RUN_TESTS(tests);
}
