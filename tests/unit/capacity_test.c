/* How much there is, how many more would fit, what is missing: the answers are what placement then does. */
#include "sched/capacity.h"

#include "tests/lib/test.h"
#include "tests/lib/world.h"

/* ---- words ---- */

static struct node *node_of(struct world *w, unsigned n, const char *class, int64_t cpu, int64_t memory)
{
	struct node *node = fixture_node(w->a, n);

	MODEL_SET(node, node, node_class, class);
	MODEL_SET(node_cpu, node->node_resources->cpu, cpu_shares, cpu);
	MODEL_SET(node_memory, node->node_resources->memory, memory_mb, memory);
	return node;
}

static void enter(struct world *w, struct node *node)
{
	struct core_node_reply reply;
	struct err e = ERR_INIT;

	if (core_node_register(w->c, node, w->now, &reply, &e))
		fail_msg("%s", err_str(&e));
	world_settle(w);
}

static void add(struct world *w, unsigned n, const char *class, int64_t cpu, int64_t memory)
{
	enter(w, node_of(w, n, class, cpu, memory));
}

static void run(struct world *w, struct job *j)
{
	world_run_job(w, j);
	world_settle(w);
}

static void constrain(struct world *w, struct objs *list, const char *l, const char *op, const char *r)
{
	struct constraint *c = MODEL_NEW(w->a, constraint);

	MODEL_SET(constraint, c, ltarget, l);
	MODEL_SET(constraint, c, operand, op);
	MODEL_SET(constraint, c, rtarget, r);
	objs_push(w->a, list, c);
}

static struct task_group *group_of(struct job *j)
{
	return j->task_groups.v[0];
}

static void add_static_port(struct world *w, struct job *j, int64_t value)
{
	fixture_add_port(w->a, j, "static");
	struct network *net = group_of(j)->networks.v[0];
	struct port *p = net->dynamic_ports.v[--net->dynamic_ports.n];

	MODEL_SET(port, p, value, value);
	objs_push(w->a, &net->reserved_ports, p);
	net->has |= MODEL_BIT(network, reserved_ports);
}

static struct capacity *now(struct world *w)
{
	return capacity_now(core_state(w->c), w->a);
}

static struct capacity_group *of_group(struct world *w, const char *job, const char *group)
{
	struct capacity_job *j = capacity_of_job(core_state(w->c), world_job(w, job), 50000, w->now, w->a);

	return objmap_get(&j->groups, group);
}

static int64_t fits(struct world *w, const char *job)
{
	return of_group(w, job, "g")->fits;
}

static void set_eligible(struct world *w, unsigned n, bool eligible)
{
	uint64_t index;

	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(n), eligible, w->now, &index, NULL), 0);
}

static const struct capacity_class *class_of(const struct capacity *c, const char *class)
{
	OBJS_EACH(&c->classes, struct capacity_class, k)
		if (str_eq(k->node_class, class))
			return k;
	fail_msg("no class %s", class);
	return NULL;
}

static struct group_summary *summary(struct world *w, const char *job)
{
	return objmap_get(&world_job(w, job)->summary, "g");
}

static uint32_t placed(struct world *w, const char *job)
{
	return world_count(w, job, OBSERVED_PENDING) + world_count(w, job, OBSERVED_RUNNING);
}

/* ---- what there is ---- */

static void test_an_empty_cluster_has_nothing_and_wants_nothing(void **state)
{
	struct world *w = world_new();
	struct capacity *c = now(w);

	(void)state;
	assert_int_equal(c->nodes + c->active + c->free->cpu + c->pending + c->wanted_nodes, 0);
	assert_int_equal(c->classes.n, 0);
	world_free(w);
}

static void test_total_is_of_active_nodes_and_free_of_those_that_take_work(void **state)
{
	struct world *w = world_new();
	uint64_t index;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		add(w, i, "ci", 1000, 2000);
	run(w, fixture_job(w->a, "web", "service", 1, 300, 500));
	set_eligible(w, 1, false);
	assert_int_equal(core_node_leave(w->c, fixture_node_id(2), w->now, &index, NULL), 0);
	world_settle(w);
	struct capacity *c = now(w);

	assert_int_equal(c->nodes, 4);
	assert_int_equal(c->active, 3);
	assert_int_equal(c->eligible, 2);
	assert_int_equal(c->total->cpu, 3000);
	assert_int_equal(c->total->memory_mb, 6000);
	/* Wherever it is: on one of the two that take work, or not. */
	int64_t used = world_first_alloc(w, "web")->node->eligible ? 300 : 0;

	assert_int_equal(c->free->cpu, 2000 - used);
	world_free(w);
}

static void test_classes_are_counted_by_themselves(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "ci", 1000, 2000);
	add(w, 1, "big", 9000, 9000);
	add(w, 2, "ci", 1000, 2000);
	struct capacity *c = now(w);

	assert_int_equal(c->classes.n, 2);
	assert_int_equal(class_of(c, "ci")->eligible, 2);
	assert_int_equal(class_of(c, "ci")->free->memory_mb, 4000);
	assert_int_equal(class_of(c, "big")->total->cpu, 9000);
	world_free(w);
}

/* ---- what fits ---- */

static void test_what_fits_is_counted_on_top_of_what_is_there(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "", 1000, 1000);
	add(w, 1, "", 1000, 1000);
	run(w, fixture_job(w->a, "web", "service", 3, 300, 100));
	assert_int_equal(fits(w, "web"), 3);
	assert_int_equal(of_group(w, "web", "g")->cpu, 300);
	assert_string_equal(of_group(w, "web", "g")->reason->code, "cpu");
	run(w, fixture_job(w->a, "web", "service", 6, 300, 100));
	assert_int_equal(fits(w, "web"), 0);
	run(w, fixture_job(w->a, "web", "service", 9, 300, 100));
	assert_int_equal(summary(w, "web")->queued, 3);
	assert_int_equal(fits(w, "web"), 0);
	world_free(w);
}

static void test_hosts_ports_and_conditions_count_as_they_do_for_placement(void **state)
{
	struct world *w = world_new();
	struct job *apart = fixture_job(w->a, "apart", "service", 1, 10, 10);
	struct job *port = fixture_job(w->a, "port", "service", 1, 10, 10);
	struct job *none = fixture_job(w->a, "none", "service", 1, 10, 10);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		add(w, i, i < 3 ? "ci" : "web", 1000, 1000);
	constrain(w, &apart->constraints, "", "distinct_hosts", "");
	run(w, apart);
	assert_int_equal(fits(w, "apart"), 4);
	add_static_port(w, port, 8080);
	constrain(w, &port->constraints, "${node.class}", "=", "ci");
	run(w, port);
	assert_int_equal(fits(w, "port"), 2);
	constrain(w, &none->constraints, "${node.class}", "=", "gpu");
	run(w, none);
	assert_int_equal(fits(w, "none"), 0);
	assert_string_equal(of_group(w, "none", "g")->reason->code, "constraint");
	world_free(w);
}

static void test_what_runs_everywhere_fits_where_it_is_not(void **state)
{
	struct world *w = world_new();
	struct job *j = fixture_job(w->a, "logs", "system", 1, 600, 10);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		add(w, i, i ? "" : "small", i ? 1000 : 500, 1000);
	set_eligible(w, 1, false);
	run(w, j);
	assert_int_equal(placed(w, "logs"), 2);
	assert_int_equal(fits(w, "logs"), 0);
	world_free(w);
}

static void test_a_group_is_counted_up_to_the_limit_of_a_job(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "", 1000000, 1000000);
	run(w, fixture_job(w->a, "web", "service", 1, 1, 10));
	struct capacity_job *j = capacity_of_job(core_state(w->c), world_job(w, "web"), 7, w->now, w->a);

	assert_int_equal(((struct capacity_group *)objmap_get(&j->groups, "g"))->fits, 7);
	assert_null(((struct capacity_group *)objmap_get(&j->groups, "g"))->reason);
	world_free(w);
}

/* ---- the same, on clusters by chance ---- */

static uint64_t below(struct world *w, uint64_t n)
{
	return fixture_below(&w->rng, n);
}

static void add_by_chance(struct world *w, unsigned n)
{
	static const char *const classes[] = {"ci", "web", ""}, *const racks[] = {"r1", "r2", "r3", "r4"};
	struct node *node =
	    node_of(w, n, classes[below(w, 3)], 500 + 250 * (int64_t)below(w, 8), 256 + 256 * (int64_t)below(w, 8));

	MODEL_SET(node_disk, node->node_resources->disk, disk_mb, 1000 + 500 * (int64_t)below(w, 6));
	strmap_set(w->a, &node->meta, "rack", racks[below(w, 4)]);
	if (below(w, 3) == 0)
		MODEL_SET(node, node, node_max_allocs, 1 + (int64_t)below(w, 5));
	if (below(w, 3) == 0) {
		MODEL_SET(node_resources, node->node_resources, min_dynamic_port, 20000);
		MODEL_SET(node_resources, node->node_resources, max_dynamic_port, 20000 + (int64_t)below(w, 6));
	}
	enter(w, node);
	if (below(w, 8) == 0)
		set_eligible(w, n, false);
}

static struct job *job_by_chance(struct world *w, const char *id)
{
	struct job *j = fixture_job(w->a, id, below(w, 2) ? "service" : "batch", (int64_t)below(w, 4),
	    50 + 50 * (int64_t)below(w, 8), 32 + 32 * (int64_t)below(w, 8));
	struct task_group *g = group_of(j);

	if (below(w, 3) == 0)
		constrain(w, &j->constraints, "${node.class}", "=", "ci");
	if (below(w, 4) == 0)
		constrain(w, &g->constraints, "", "distinct_hosts", "");
	else if (below(w, 3) == 0)
		constrain(w, &g->constraints, "${meta.rack}", "distinct_property", below(w, 2) ? "1" : "3");
	if (below(w, 3) == 0)
		fixture_add_port(w->a, j, "http");
	if (below(w, 6) == 0)
		add_static_port(w, j, 9000 + (int64_t)below(w, 3));
	if (below(w, 3) == 0) {
		struct spread *s = MODEL_NEW(w->a, spread);

		MODEL_SET(spread, s, attribute, "${meta.rack}");
		MODEL_SET(spread, s, weight, 50);
		objs_push(w->a, &g->spreads, s);
	}
	if (below(w, 3) == 0) {
		struct affinity *f = MODEL_NEW(w->a, affinity);

		MODEL_SET(affinity, f, ltarget, "${node.class}");
		MODEL_SET(affinity, f, operand, "=");
		MODEL_SET(affinity, f, rtarget, "web");
		MODEL_SET(affinity, f, weight, 40);
		objs_push(w->a, &g->affinities, f);
	}
	return j;
}

static struct job *world_by_chance(struct world *w, uint64_t seed)
{
	struct job *j;

	w->rng = seed;
	for (unsigned i = 0, n = 1 + (unsigned)below(w, 12); i < n; i++)
		add_by_chance(w, i);
	for (unsigned i = 0, n = (unsigned)below(w, 4); i < n; i++)
		run(w, job_by_chance(w, arena_printf(w->a, "other-%u", i)));
	j = job_by_chance(w, "job");
	run(w, j);
	return j;
}

static void register_more(struct world *w, struct job *j, int64_t more)
{
	MODEL_SET(task_group, group_of(j), count, placed(w, "job") + more);
	run(w, j);
}

static void test_so_many_fit_and_one_more_waits(void **state)
{
	uint32_t some = 0, none = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		for (int64_t beyond = 0; beyond < 2; beyond++) {
			struct world *w = world_new();
			struct job *j = world_by_chance(w, seed);
			int64_t n = fits(w, "job"), before = placed(w, "job");

			register_more(w, j, n + beyond);
			if (placed(w, "job") != before + n || summary(w, "job")->queued != beyond)
				fail_msg("seed %llu: %lld fit, %lld more were asked for: %u of %lld are placed, %u wait",
				    (unsigned long long)seed, (long long)n, (long long)(n + beyond), placed(w, "job"),
				    (long long)(before + n), summary(w, "job")->queued);
			assert_int_equal(fits(w, "job"), 0);
			some += n > 0;
			none += n == 0;
			world_free(w);
		}
	}
	assert_true(some > 100 && none > 20);
}

/* ---- what is wanted ---- */

static void test_pending_work_is_gathered_by_what_it_asks_for(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "ci", 1000, 1000);
	run(w, fixture_job(w->a, "a", "batch", 3, 600, 100));
	run(w, fixture_job(w->a, "b", "batch", 2, 600, 100));
	run(w, fixture_job(w->a, "c", "batch", 1, 700, 100));
	struct capacity *c = now(w);

	assert_int_equal(c->pending, 5);
	assert_int_equal(c->wanted.n, 2);
	struct wanted_shape *first = c->wanted.v[0], *second = c->wanted.v[1];

	assert_int_equal(first->cpu, 700);
	assert_int_equal(second->count, 4);
	assert_int_equal(second->n_jobs, 2);
	assert_string_equal(second->jobs.v[0], "a");
	assert_string_equal(((struct wanted_class *)second->classes.v[0])->node_class, "ci");
	assert_int_equal(((struct wanted_class *)second->classes.v[0])->nodes, 4);
	assert_int_equal(c->wanted_nodes, 5);
	world_free(w);
}

static void test_small_work_goes_beside_large_work(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "ci", 1000, 1000);
	run(w, fixture_job(w->a, "full", "service", 1, 1000, 10));
	run(w, fixture_job(w->a, "large", "batch", 2, 700, 100));
	run(w, fixture_job(w->a, "small", "batch", 3, 100, 100));
	assert_int_equal(now(w)->pending, 5);
	assert_int_equal(now(w)->wanted_nodes, 2);
	world_free(w);
}

static void test_the_class_that_needs_least_is_taken_and_all_are_named(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "small", 1000, 1000);
	add(w, 1, "big", 8000, 8000);
	add(w, 2, "tiny", 100, 1000);
	run(w, fixture_job(w->a, "full", "service", 9, 1000, 10));
	run(w, fixture_job(w->a, "more", "batch", 3, 900, 10));
	struct capacity *c = now(w);
	struct wanted_shape *x = c->wanted.v[0];

	assert_int_equal(class_of(c, "small")->wanted, 3);
	assert_int_equal(class_of(c, "big")->wanted, 0);
	assert_int_equal(x->classes.n, 2);
	assert_string_equal(((struct wanted_class *)x->classes.v[1])->node_class, "big");
	assert_int_equal(((struct wanted_class *)x->classes.v[1])->nodes, 1);
	world_free(w);
}

static void test_what_no_known_class_can_take_is_said(void **state)
{
	struct world *w = world_new();
	struct job *gpu = fixture_job(w->a, "gpu", "batch", 2, 10, 10);

	(void)state;
	add(w, 0, "ci", 1000, 1000);
	constrain(w, &gpu->constraints, "${node.class}", "=", "gpu");
	run(w, gpu);
	run(w, fixture_job(w->a, "huge", "batch", 1, 2000, 10));
	assert_int_equal(now(w)->pending, 3);
	assert_int_equal(now(w)->unplaceable, 3);
	assert_int_equal(now(w)->wanted_nodes, 0);
	world_free(w);
}

static void test_a_node_that_is_down_is_a_model_too(void **state)
{
	struct world *w = world_new();
	uint64_t index;

	(void)state;
	add(w, 0, "ci", 1000, 1000);
	assert_int_equal(core_node_leave(w->c, fixture_node_id(0), w->now, &index, NULL), 0);
	run(w, fixture_job(w->a, "job", "batch", 3, 400, 10));
	assert_int_equal(class_of(now(w), "ci")->wanted, 2);
	world_free(w);
}

static void test_static_ports_and_distinct_hosts_want_a_node_each(void **state)
{
	struct world *w = world_new();
	struct job *a = fixture_job(w->a, "a", "service", 3, 10, 10), *b = fixture_job(w->a, "b", "service", 3, 10, 10);

	(void)state;
	add(w, 0, "ci", 1000, 1000);
	add_static_port(w, a, 80);
	add_static_port(w, b, 80);
	run(w, a);
	run(w, b);
	assert_int_equal(now(w)->pending, 5);
	assert_int_equal(now(w)->wanted_nodes, 5);
	for (unsigned i = 1; i <= 5; i++)
		add(w, i, "ci", 1000, 1000);
	assert_int_equal(now(w)->pending, 0);
	world_free(w);
}

static void test_so_many_new_nodes_clear_it_and_one_less_does_not(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct world *w = world_new();
		struct job *j;
		int64_t n;

		w->rng = seed;
		add(w, 0, "ci", 500 + 250 * (int64_t)below(w, 8), 256 + 256 * (int64_t)below(w, 8));
		j = fixture_job(w->a, "job", "service", 5 + (int64_t)below(w, 40), 50 + 50 * (int64_t)below(w, 8),
		    32 + 32 * (int64_t)below(w, 6));
		if (below(w, 4) == 0)
			constrain(w, &j->constraints, "", "distinct_hosts", "");
		else if (below(w, 4) == 0)
			add_static_port(w, j, 80);
		if (below(w, 4) == 0)
			fixture_add_port(w->a, j, "http");
		run(w, j);
		n = now(w)->wanted_nodes;
		if (now(w)->pending && !n)
			fail_msg("seed %llu: no node is wanted", (unsigned long long)seed);
		for (int64_t i = 1; i <= n; i++) {
			assert_true(now(w)->pending > 0);
			assert_int_equal(now(w)->wanted_nodes, n - i + 1);
			struct node *like = model_copy(w->a, &type_node, world_node(w, 0)->spec),
				    *fresh = fixture_node(w->a, (unsigned)i);

			fresh->node_resources = like->node_resources;
			MODEL_SET(node, fresh, node_class, "ci");
			enter(w, fresh);
		}
		assert_int_equal(now(w)->pending, 0);
		world_free(w);
	}
}

static void test_too_many_shapes_are_counted(void **state)
{
	struct world *w = world_new();

	(void)state;
	add(w, 0, "ci", 1000, 1000);
	for (int i = 0; i < CAPACITY_SHAPES + 5; i++)
		run(w, fixture_job(w->a, arena_printf(w->a, "job-%03d", i), "batch", 1, 1001 + i, 10));
	assert_int_equal(now(w)->wanted.n, CAPACITY_SHAPES);
	assert_int_equal(now(w)->more_shapes, 5);
	assert_int_equal(now(w)->pending, CAPACITY_SHAPES + 5);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_empty_cluster_has_nothing_and_wants_nothing),
	    cmocka_unit_test(test_total_is_of_active_nodes_and_free_of_those_that_take_work),
	    cmocka_unit_test(test_classes_are_counted_by_themselves),
	    cmocka_unit_test(test_what_fits_is_counted_on_top_of_what_is_there),
	    cmocka_unit_test(test_hosts_ports_and_conditions_count_as_they_do_for_placement),
	    cmocka_unit_test(test_what_runs_everywhere_fits_where_it_is_not),
	    cmocka_unit_test(test_a_group_is_counted_up_to_the_limit_of_a_job),
	    cmocka_unit_test(test_so_many_fit_and_one_more_waits),
	    cmocka_unit_test(test_pending_work_is_gathered_by_what_it_asks_for),
	    cmocka_unit_test(test_small_work_goes_beside_large_work),
	    cmocka_unit_test(test_the_class_that_needs_least_is_taken_and_all_are_named),
	    cmocka_unit_test(test_what_no_known_class_can_take_is_said),
	    cmocka_unit_test(test_a_node_that_is_down_is_a_model_too),
	    cmocka_unit_test(test_static_ports_and_distinct_hosts_want_a_node_each),
	    cmocka_unit_test(test_so_many_new_nodes_clear_it_and_one_less_does_not),
	    cmocka_unit_test(test_too_many_shapes_are_counted),
	};

	return RUN_TESTS(tests);
}
