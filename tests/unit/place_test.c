/* Which node gets an allocation: scores by their formulas, spreads, affinities, what is avoided, what is distinct, ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#include "tests/lib/world.h"

/* ---- words ---- */

static struct task_group *group_of(struct job *j)
{
	return j->task_groups.v[0];
}

static void constrain(struct world *w, struct objs *list, const char *l, const char *op, const char *r)
{
	struct constraint *c = MODEL_NEW(w->a, constraint);
	MODEL_SET(constraint, c, ltarget, l);
	MODEL_SET(constraint, c, operand, op);
	MODEL_SET(constraint, c, rtarget, r);
	objs_push(w->a, list, c);
}

static void like(struct world *w, struct objs *list, const char *l, const char *r, int64_t weight)
{
	struct affinity *f = MODEL_NEW(w->a, affinity);
	MODEL_SET(affinity, f, ltarget, l);
	MODEL_SET(affinity, f, operand, "=");
	MODEL_SET(affinity, f, rtarget, r);
	MODEL_SET(affinity, f, weight, weight);
	objs_push(w->a, list, f);
}

static struct spread *spread_over(struct world *w, struct objs *list, const char *attribute, int64_t weight)
{
	struct spread *s = MODEL_NEW(w->a, spread);
	MODEL_SET(spread, s, attribute, attribute);
	MODEL_SET(spread, s, weight, weight);
	objs_push(w->a, list, s);
	return s;
}

static void aim(struct world *w, struct spread *s, const char *value, int64_t percent)
{
	struct spread_target *t = MODEL_NEW(w->a, spread_target);
	MODEL_SET(spread_target, t, value, value);
	MODEL_SET(spread_target, t, percent, percent);
	objs_push(w->a, &s->spread_target, t);
}

static void add_node_in_rack(struct world *w, unsigned n, const char *rack)
{
	struct node *node = fixture_node(w->a, n);
	struct core_node_reply reply;
	if (rack)
		strmap_set(w->a, &node->meta, "rack", rack);
	assert_int_equal(core_node_register(w->c, node, w->now, &reply, NULL), 0);
}

static void use_spread_algorithm(struct world *w)
{
	struct scheduler_config c = {0};
	uint64_t index;
	MODEL_SET(scheduler_config, &c, scheduler_algorithm, "spread");
	assert_int_equal(core_scheduler_config(w->c, &c, w->now, &index, NULL), 0);
}

static uint32_t count_in_rack(struct world *w, const char *job, const char *rack)
{
	uint32_t n = 0;
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		n += a->desired == DESIRED_RUN && str_eq(strmap_get(&a->node->spec->meta, "rack"), rack);
	return n;
}

static uint32_t count_on(struct world *w, const char *job, unsigned node)
{
	uint32_t n = 0;
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		n += a->desired == DESIRED_RUN && alloc_is_live(a) && a->node == world_node(w, node);
	return n;
}

/* A part of the score that the node had when the group's placements began; NAN when it is not listed. */
static double part(struct world *w, const char *job, unsigned node, const char *name)
{
	const struct alloc_metric *m = world_first_alloc(w, job)->metric->metric;
	char id[UUID_STR];
	uuid_format(fixture_node_id(node), id);
	OBJS_EACH (&m->score_meta_data, struct score_meta, s) {
		if (!str_eq(s->node_id, id))
			continue;
		if (!name)
			return s->norm_score;
		for (uint32_t i = 0; i < s->scores.n; i++)
			if (str_eq(s->scores.v[i].key, name))
				return s->scores.v[i].value;
	}
	return NAN;
}

static void assert_near(double is, double should)
{
	if (!(fabs(is - should) < 1e-6))
		fail_msg("%.9f is not %.9f", is, should);
}

/* ---- the fit ---- */

static void test_bin_packing_scores_what_is_left_free(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "quarter", "service", 1, 1000, 2048));
	world_settle(w);
	/* 3/4 of the processor and of the memory stay free: (20 - 2 * 10^0.75) / 18 */
	assert_near(part(w, "quarter", 0, "binpack"), (20 - 2 * pow(10, 0.75)) / 18);
	assert_near(part(w, "quarter", 0, NULL), (20 - 2 * pow(10, 0.75)) / 18);
	world_run_job(w, fixture_job(w->a, "rest", "service", 1, 3000, 6144));
	world_settle(w);
	assert_near(part(w, "rest", 0, "binpack"), 1);
	world_free(w);
}

static void test_the_spread_algorithm_turns_the_fit_round(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	use_spread_algorithm(w);
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "quarter", "service", 1, 1000, 2048));
	world_settle(w);
	assert_near(part(w, "quarter", 0, "binpack"), (2 * pow(10, 0.75) - 2) / 18);
	world_free(w);
}

static void test_what_a_node_keeps_for_itself_is_not_there(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node *n = fixture_node(w->a, 0);
	struct core_node_reply reply;
	n->reserved_resources = MODEL_NEW(w->a, node_reserved);
	n->reserved_resources->cpu = MODEL_NEW(w->a, node_cpu);
	MODEL_SET(node_cpu, n->reserved_resources->cpu, cpu_shares, 2000);
	assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), 0);
	world_run_job(w, fixture_job(w->a, "half", "service", 1, 1000, 4096));
	world_settle(w);
	assert_near(part(w, "half", 0, "binpack"), (20 - 2 * pow(10, 0.5)) / 18);
	world_free(w);
}

static void test_bin_packing_fills_a_node_before_it_begins_another(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 4; i++)
		world_add_node(w, i);
	for (int i = 0; i < 8; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		world_run_job(w, fixture_job(w->a, id, "batch", 1, 500, 1024));
		world_settle(w);
	}
	unsigned used = 0;
	for (unsigned i = 0; i < 4; i++)
		used += world_node(w, i)->used.allocs > 0;
	assert_int_equal(used, 1);
	world_free(w);
}

static void test_the_spread_algorithm_takes_the_emptiest_node(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	use_spread_algorithm(w);
	for (unsigned i = 0; i < 4; i++)
		world_add_node(w, i);
	for (int i = 0; i < 8; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		world_run_job(w, fixture_job(w->a, id, "batch", 1, 500, 1024));
		world_settle(w);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(world_node(w, i)->used.allocs, 2);
	world_free(w);
}

static void test_every_node_is_looked_at_not_a_sample(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 300; i++)
		add_node_in_rack(w, i, i == 217 ? "here" : "there");
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 100);
	constrain(w, &j->constraints, "${meta.rack}", "=", "here");
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 217), 1);
	assert_int_equal(world_first_alloc(w, "web")->metric->metric->nodes_evaluated, 300);
	world_free(w);
}

static void test_equal_nodes_take_turns(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint32_t used[4] = {0};
	for (unsigned i = 0; i < 4; i++)
		world_add_node(w, i);
	for (int i = 0; i < 60; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		world_run_job(w, fixture_job(w->a, id, "batch", 1, 500, 1024));
		world_settle(w);
		struct alloc *a = world_first_alloc(w, id);
		for (unsigned n = 0; n < 4; n++)
			used[n] += a->node == world_node(w, n);
		world_report(w, a, "complete");
	}
	for (unsigned n = 0; n < 4; n++)
		assert_in_range(used[n], 5, 30);
	world_free(w);
}

/* ---- the other parts ---- */

static void test_allocations_of_a_group_keep_their_distance(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_add_node(w, 1);
	world_run_job(w, fixture_job(w->a, "web", "service", 4, 100, 100));
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 2);
	assert_int_equal(count_on(w, "web", 1), 2);
	/* Two are there and one more comes: -(2 + 1) / count, and the mean of two parts. */
	struct job *more = fixture_job(w->a, "web", "service", 5, 100, 100);
	world_run_job(w, more);
	world_settle(w);
	const struct alloc *last = CONTAINER_OF(world_job(w, "web")->allocs.prev, struct alloc, by_job);
	const struct score_meta *s = last->metric->metric->score_meta_data.v[0];
	double distance = NAN, fit = NAN;
	for (uint32_t i = 0; i < s->scores.n; i++) {
		if (str_eq(s->scores.v[i].key, "job-anti-affinity"))
			distance = s->scores.v[i].value;
		if (str_eq(s->scores.v[i].key, "binpack"))
			fit = s->scores.v[i].value;
	}
	assert_near(distance, -3.0 / 5);
	assert_near(s->norm_score, (fit + distance) / 2);
	world_free(w);
}

static void test_affinities_weigh_by_their_share_of_all_weights(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_in_rack(w, 0, "r0");
	add_node_in_rack(w, 1, "r1");
	add_node_in_rack(w, 2, "r2");
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 100);
	struct task *t = group_of(j)->tasks.v[0];
	like(w, &j->affinities, "${meta.rack}", "r0", 50);
	like(w, &group_of(j)->affinities, "${meta.rack}", "r1", -100);
	like(w, &t->affinities, "${attr.kernel.name}", "linux", 50);
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 1);
	assert_near(part(w, "web", 0, "node-affinity"), 100.0 / 200);
	assert_near(part(w, "web", 1, "node-affinity"), -50.0 / 200);
	assert_near(part(w, "web", 2, "node-affinity"), 50.0 / 200);
	assert_near(part(w, "web", 0, NULL), (part(w, "web", 0, "binpack") + 0.5) / 2);
	world_free(w);
}

static void test_a_dislike_excludes_nothing(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_in_rack(w, 0, "r0");
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 100);
	like(w, &j->affinities, "${meta.rack}", "r0", -100);
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 1);
	world_free(w);
}

static void test_where_it_failed_before_is_avoided_while_there_is_another_place(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 100);
	group_of(j)->reschedule_policy = MODEL_NEW(w->a, reschedule_policy);
	MODEL_SET(reschedule_policy, group_of(j)->reschedule_policy, delay, 5 * SECOND);
	MODEL_SET(reschedule_policy, group_of(j)->reschedule_policy, delay_function, "constant");
	MODEL_SET(reschedule_policy, group_of(j)->reschedule_policy, unlimited, true);
	for (unsigned i = 0; i < 3; i++)
		world_add_node(w, i);
	world_run_job(w, j);
	world_settle(w);
	struct node_entry *seen[3] = {0};
	for (int round = 0; round < 3; round++) {
		struct alloc *a = CONTAINER_OF(world_job(w, "web")->allocs.prev, struct alloc, by_job);
		for (int i = 0; i < round; i++)
			assert_ptr_not_equal(seen[i], a->node);
		seen[round] = a->node;
		world_report(w, a, "failed");
		world_settle(w);
		world_pass_time(w, 6 * SECOND);
	}
	/* All three have seen it fail: the fourth goes somewhere nevertheless. */
	assert_int_equal(world_count(w, "web", OBSERVED_PENDING), 1);
	world_free(w);
}

/* ---- spreads ---- */

static void test_targets_share_a_group_out_by_percent(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 6; i++)
		add_node_in_rack(w, i, i % 2 ? "r1" : "r0");
	struct job *j = fixture_job(w->a, "web", "service", 10, 100, 100);
	struct spread *s = spread_over(w, &j->spreads, "${meta.rack}", 100);
	aim(w, s, "r0", 70);
	aim(w, s, "r1", 30);
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_in_rack(w, "web", "r0"), 7);
	assert_int_equal(count_in_rack(w, "web", "r1"), 3);
	world_free(w);
}

static void test_the_boost_of_a_target_is_what_it_lacks(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_in_rack(w, 0, "r0");
	add_node_in_rack(w, 1, "r1");
	add_node_in_rack(w, 2, "r2");
	add_node_in_rack(w, 3, NULL);
	struct job *j = fixture_job(w->a, "web", "service", 10, 100, 100);
	struct spread *s = spread_over(w, &j->spreads, "${meta.rack}", 60), *t = spread_over(w, &group_of(j)->spreads, "${node.datacenter}", 20);
	aim(w, s, "r0", 70);
	aim(w, s, "r1", 30);
	aim(w, t, "dc1", 50);
	world_run_job(w, j);
	world_settle(w);
	double dc = (5.0 - 1) / 5 * 20 / 80;
	assert_near(part(w, "web", 0, "allocation-spread"), (7.0 - 1) / 7 * 60 / 80 + dc);
	assert_near(part(w, "web", 1, "allocation-spread"), (3.0 - 1) / 3 * 60 / 80 + dc);
	assert_near(part(w, "web", 2, "allocation-spread"), -1 + dc); /* outside of the targets, which leave nothing over */
	assert_near(part(w, "web", 3, "allocation-spread"), -1 + dc);
	assert_near(part(w, "web", 0, NULL), (part(w, "web", 0, "binpack") + part(w, "web", 0, "allocation-spread")) / 2);
	world_free(w);
}

static void test_what_targets_leave_over_is_a_target_for_every_other_value(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 3; i++)
		add_node_in_rack(w, i, (const char *[]){"r0", "r1", "r2"}[i]);
	struct job *j = fixture_job(w->a, "web", "service", 8, 100, 100);
	aim(w, spread_over(w, &j->spreads, "${meta.rack}", 100), "r0", 50);
	world_run_job(w, j);
	world_settle(w);
	/* The other half is a target of its own for every other value. */
	assert_near(part(w, "web", 0, "allocation-spread"), (4.0 - 1) / 4);
	assert_near(part(w, "web", 1, "allocation-spread"), (4.0 - 1) / 4);
	assert_near(part(w, "web", 2, "allocation-spread"), (4.0 - 1) / 4);
	assert_in_range(count_in_rack(w, "web", "r0"), 2, 4);
	world_free(w);
}

static void test_without_targets_a_spread_is_even(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	static const char *const racks[] = {"r0", "r0", "r0", "r0", "r1", "r2"};
	for (unsigned i = 0; i < 6; i++)
		add_node_in_rack(w, i, racks[i]);
	struct job *j = fixture_job(w->a, "web", "service", 9, 100, 100);
	spread_over(w, &j->spreads, "${meta.rack}", 100);
	world_run_job(w, j);
	world_settle(w);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(count_in_rack(w, "web", (const char *[]){"r0", "r1", "r2"}[i]), 3);
	world_free(w);
}

static void test_a_spread_without_any_node_is_no_trouble(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct job *j = fixture_job(w->a, "web", "service", 3, 100, 100);
	spread_over(w, &j->spreads, "${meta.rack}", 100);
	world_run_job(w, j);
	world_settle(w);
	assert_non_null(world_job(w, "web")->blocked);
	world_free(w);
}

/* ---- distinct ---- */

static void test_distinct_hosts_gives_each_allocation_a_node_of_its_own(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 3; i++)
		world_add_node(w, i);
	struct job *j = fixture_job(w->a, "web", "service", 5, 100, 100);
	constrain(w, &j->constraints, "", "distinct_hosts", "true");
	world_run_job(w, j);
	world_settle(w);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(count_on(w, "web", i), 1);
	assert_non_null(world_job(w, "web")->blocked);
	world_add_node(w, 3);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 3), 1);
	world_free(w);
}

static void test_distinct_hosts_of_a_group_leaves_other_groups_alone(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 100), *k = fixture_job(w->a, "x", "service", 1, 100, 100);
	MODEL_SET(task_group, group_of(k), name, "h");
	objs_push(w->a, &j->task_groups, group_of(k));
	constrain(w, &group_of(j)->constraints, "", "distinct_hosts", "true");
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 2);
	world_free(w);
}

static void test_distinct_property_counts_values_up_to_its_limit(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 6; i++)
		add_node_in_rack(w, i, i < 4 ? "r0" : "r1");
	add_node_in_rack(w, 6, NULL); /* without a value nothing goes there */
	struct job *j = fixture_job(w->a, "web", "service", 7, 100, 100);
	constrain(w, &j->constraints, "${meta.rack}", "distinct_property", "2");
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_in_rack(w, "web", "r0"), 2);
	assert_int_equal(count_in_rack(w, "web", "r1"), 2);
	assert_int_equal(count_on(w, "web", 6), 0);
	world_free(w);
}

static void test_an_end_in_one_place_frees_the_value_in_another(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_in_rack(w, 0, "r0");
	struct job *j = fixture_job(w->a, "web", "batch", 2, 3000, 100);
	constrain(w, &j->constraints, "${meta.rack}", "distinct_property", "1");
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 1);
	add_node_in_rack(w, 1, "r0");
	world_settle(w);
	assert_int_equal(count_on(w, "web", 1), 0);
	/* Node 0 has no room for the other one, whatever ends there; node 1 has, as soon as the rack is free. */
	struct alloc *first = world_first_alloc(w, "web");
	struct node *smaller = fixture_node(w->a, 0);
	struct core_node_reply reply;
	strmap_set(w->a, &smaller->meta, "rack", "r0");
	MODEL_SET(node_cpu, smaller->node_resources->cpu, cpu_shares, 2000);
	assert_int_equal(core_node_register(w->c, smaller, w->now, &reply, NULL), 0);
	world_settle(w);
	world_report(w, first, "complete");
	world_settle(w);
	assert_int_equal(count_on(w, "web", 1), 1);
	world_free(w);
}

static void test_what_is_replaced_counts_until_it_is(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 2; i++)
		world_add_node(w, i);
	struct job *j = fixture_job(w->a, "web", "service", 2, 2500, 100);
	constrain(w, &j->constraints, "", "distinct_hosts", "true");
	world_run_job(w, j);
	world_settle(w);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		world_report(w, a, "running");
	/* The new ones do not fit beside the old ones, so each old one makes room; two on one node there are never. */
	struct job *next = fixture_job(w->a, "web", "service", 2, 2600, 100);
	constrain(w, &next->constraints, "", "distinct_hosts", "true");
	world_run_job(w, next);
	world_settle(w);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		if (a->desired == DESIRED_STOP)
			world_report(w, a, "complete");
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 1);
	assert_int_equal(count_on(w, "web", 1), 1);
	world_free(w);
}

/* ---- disks ---- */

static struct job *sticky_job(struct world *w, int64_t cpu)
{
	struct job *j = fixture_job(w->a, "db", "service", 1, cpu, 100);
	MODEL_SET(ephemeral_disk, group_of(j)->ephemeral_disk, sticky, true);
	return j;
}

static void test_a_sticky_disk_is_gone_back_to(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 5; i++)
		world_add_node(w, i);
	world_run_job(w, sticky_job(w, 100));
	world_settle(w);
	for (int i = 0; i < 8; i++) {
		struct alloc *a = CONTAINER_OF(world_job(w, "db")->allocs.prev, struct alloc, by_job);
		struct core_eval_reply out;
		struct node_entry *home = a->node;
		assert_int_equal(core_alloc_stop(w->c, a->id, false, w->now, &out, NULL), 0);
		world_settle(w);
		struct alloc *b = CONTAINER_OF(world_job(w, "db")->allocs.prev, struct alloc, by_job);
		assert_ptr_not_equal(a, b);
		assert_ptr_equal(b->node, home);
		assert_true(uuid_eq(b->extra->previous, a->id));
	}
	world_free(w);
}

static void test_a_sticky_disk_is_waited_for_until_the_old_one_has_made_room(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	for (unsigned i = 0; i < 3; i++)
		world_add_node(w, i);
	world_run_job(w, sticky_job(w, 3000));
	world_settle(w);
	struct alloc *old = world_first_alloc(w, "db");
	world_report(w, old, "running");
	world_run_job(w, sticky_job(w, 3100));
	world_settle(w);
	assert_int_equal(old->desired, DESIRED_STOP);
	assert_int_equal(world_job(w, "db")->n_allocs, 1);
	world_report(w, old, "complete");
	world_settle(w);
	struct alloc *new = CONTAINER_OF(world_job(w, "db")->allocs.prev, struct alloc, by_job);
	assert_ptr_equal(new->node, old->node);
	assert_true(uuid_eq(new->extra->previous, old->id));
	world_free(w);
}

/* ---- ports ---- */

static void test_dynamic_ports_are_free_ones_of_the_nodes_range(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node *n = fixture_node(w->a, 0);
	struct core_node_reply reply;
	MODEL_SET(node_resources, n->node_resources, min_dynamic_port, 25000);
	MODEL_SET(node_resources, n->node_resources, max_dynamic_port, 25009);
	n->reserved_resources = MODEL_NEW(w->a, node_reserved);
	n->reserved_resources->networks = MODEL_NEW(w->a, node_reserved_networks);
	MODEL_SET(node_reserved_networks, n->reserved_resources->networks, reserved_host_ports, "25000-25003");
	assert_int_equal(core_node_register(w->c, n, w->now, &reply, NULL), 0);
	struct job *j = fixture_job(w->a, "web", "service", 9, 10, 10);
	fixture_add_port(w->a, j, "http");
	world_run_job(w, j);
	world_settle(w);
	bool seen[10] = {0};
	assert_int_equal(world_job(w, "web")->n_allocs, 6);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a)) {
		assert_in_range(a->ports[0].value, 25004, 25009);
		assert_false(seen[a->ports[0].value - 25000]);
		seen[a->ports[0].value - 25000] = true;
	}
	assert_non_null(world_job(w, "web")->blocked);
	world_free(w);
}

static struct job *job_of_ports(struct world *w, const char *id, unsigned n, unsigned n_static)
{
	struct job *j = fixture_job(w->a, id, "service", 1, 10, 10);
	for (unsigned i = 0; i < n; i++)
		fixture_add_port(w->a, j, arena_printf(w->a, "p%u", i));
	struct network *net = ((struct task_group *)j->task_groups.v[0])->networks.v[0];
	for (unsigned i = 0; i < n_static; i++) {
		struct port *p = net->dynamic_ports.v[--net->dynamic_ports.n];
		MODEL_SET(port, p, value, 20000 + 2 * i);
		objs_push(w->a, &net->reserved_ports, p);
	}
	if (n_static)
		net->has |= MODEL_BIT(network, reserved_ports);
	return j;
}

static void test_a_group_may_have_all_the_ports_of_a_node_and_not_one_more(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint8_t seen[65536] = {0};
	world_add_node(w, 0);
	world_run_job(w, job_of_ports(w, "more", 12002, 0));
	world_run_job(w, job_of_ports(w, "far-more", 100000, 0));
	world_run_job(w, job_of_ports(w, "all", 12001, 4000));
	world_settle(w);
	struct alloc *a = world_first_alloc(w, "all");
	assert_non_null(a);
	for (uint32_t i = 0; i < 12001; i++) {
		assert_in_range(a->ports[i].value, 20000, 32000);
		assert_int_equal(seen[a->ports[i].value]++, 0);
	}
	assert_int_equal(world_job(w, "more")->n_allocs, 0);
	assert_int_equal(world_job(w, "far-more")->n_allocs, 0);
	world_free(w);
}

static void test_a_static_port_is_given_once_on_each_node(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_add_node(w, 1);
	struct job *j = fixture_job(w->a, "web", "service", 3, 10, 10);
	fixture_add_port(w->a, j, "http");
	struct network *net = group_of(j)->networks.v[0];
	struct port *p = net->dynamic_ports.v[0];
	net->dynamic_ports.n = 0;
	MODEL_SET(port, p, value, 8080);
	objs_push(w->a, &net->reserved_ports, p);
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(count_on(w, "web", 0), 1);
	assert_int_equal(count_on(w, "web", 1), 1);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bin_packing_scores_what_is_left_free),
	    cmocka_unit_test(test_the_spread_algorithm_turns_the_fit_round),
	    cmocka_unit_test(test_what_a_node_keeps_for_itself_is_not_there),
	    cmocka_unit_test(test_bin_packing_fills_a_node_before_it_begins_another),
	    cmocka_unit_test(test_the_spread_algorithm_takes_the_emptiest_node),
	    cmocka_unit_test(test_every_node_is_looked_at_not_a_sample),
	    cmocka_unit_test(test_equal_nodes_take_turns),
	    cmocka_unit_test(test_allocations_of_a_group_keep_their_distance),
	    cmocka_unit_test(test_affinities_weigh_by_their_share_of_all_weights),
	    cmocka_unit_test(test_a_dislike_excludes_nothing),
	    cmocka_unit_test(test_where_it_failed_before_is_avoided_while_there_is_another_place),
	    cmocka_unit_test(test_targets_share_a_group_out_by_percent),
	    cmocka_unit_test(test_the_boost_of_a_target_is_what_it_lacks),
	    cmocka_unit_test(test_what_targets_leave_over_is_a_target_for_every_other_value),
	    cmocka_unit_test(test_without_targets_a_spread_is_even),
	    cmocka_unit_test(test_a_spread_without_any_node_is_no_trouble),
	    cmocka_unit_test(test_distinct_hosts_gives_each_allocation_a_node_of_its_own),
	    cmocka_unit_test(test_distinct_hosts_of_a_group_leaves_other_groups_alone),
	    cmocka_unit_test(test_distinct_property_counts_values_up_to_its_limit),
	    cmocka_unit_test(test_an_end_in_one_place_frees_the_value_in_another),
	    cmocka_unit_test(test_what_is_replaced_counts_until_it_is),
	    cmocka_unit_test(test_a_sticky_disk_is_gone_back_to),
	    cmocka_unit_test(test_a_sticky_disk_is_waited_for_until_the_old_one_has_made_room),
	    cmocka_unit_test(test_dynamic_ports_are_free_ones_of_the_nodes_range),
	    cmocka_unit_test(test_a_group_may_have_all_the_ports_of_a_node_and_not_one_more),
	    cmocka_unit_test(test_a_static_port_is_given_once_on_each_node),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
