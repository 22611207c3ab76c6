/* Why something waits: a stable code, a sentence, the nodes for each cause and the nearest miss, true at every moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

static struct core_node_reply register_node(struct world *w, struct node *n)
{
	struct core_node_reply reply;
	struct err e = ERR_INIT;
	if (core_node_register(w->c, n, w->now, &reply, &e))
		fail_msg("%s", err_str(&e));
	return reply;
}

static void add_node_with(struct world *w, unsigned n, int64_t cpu, int64_t memory, const char *arch)
{
	struct node *node = fixture_node(w->a, n);
	MODEL_SET(node_cpu, node->node_resources->cpu, cpu_shares, cpu);
	MODEL_SET(node_memory, node->node_resources->memory, memory_mb, memory);
	strmap_set(w->a, &node->attributes, "arch", arch);
	register_node(w, node);
}

static const struct wait_reason *why(struct world *w, const char *job)
{
	return core_why(w->c, w->a, world_job(w, job), "g", w->now);
}

static void assert_why(struct world *w, const char *job, const char *code, const char *text)
{
	const struct wait_reason *r = why(w, job);
	if (!r)
		fail_msg("%s waits for nothing; expected: %s", job, text);
	assert_string_equal(r->text, text);
	assert_string_equal(r->code, code);
}

/* What the evaluation noted that could not place all of it. */
static const struct alloc_metric *noted(struct world *w, const char *job)
{
	const struct eval_entry *e = world_job(w, job)->blocked;
	struct uuid id;
	assert_non_null(e);
	if (!e->spec->failed_tg_allocs.n && !uuid_parse(e->spec->previous_eval, &id))
		e = state_eval(core_state(w->c), id);
	const struct alloc_metric *m = objmap_get(&e->spec->failed_tg_allocs, "g");
	assert_non_null(m);
	return m;
}

static void assert_cause(const struct wait_reason *r, uint32_t i, const char *code, int64_t nodes, int64_t short_by)
{
	assert_true(i < r->causes.n);
	const struct wait_cause *c = r->causes.v[i];
	assert_string_equal(c->code, code);
	assert_int_equal(c->nodes, nodes);
	assert_int_equal(c->short_by, short_by);
}

/* ---- places ---- */

static void test_each_cause_has_its_nodes_and_the_nearest_miss(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_with(w, 0, 4000, 1024, "arm64");
	add_node_with(w, 1, 4000, 1536, "arm64");
	add_node_with(w, 2, 4000, 512, "arm64");
	add_node_with(w, 3, 4000, 8192, "amd64");
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 2048);
	constrain(w, &j->constraints, "${attr.arch}", "=", "arm64");
	world_run_job(w, j);
	world_settle(w);
	assert_why(w, "web", "memory", "1 allocation not placed: 4 nodes: 3 short of memory by 512 MiB at best, "
	                               "1 excluded by constraint ${attr.arch} = arm64");
	const struct wait_reason *r = why(w, "web");
	assert_int_equal(r->nodes, 4);
	assert_int_equal(r->causes.n, 2);
	assert_cause(r, 0, "memory", 3, 512);
	assert_cause(r, 1, "constraint", 1, 0);
	/* The evaluation that waits says the same. */
	const struct alloc_metric *m = noted(w, "web");
	assert_string_equal(m->reason->text,
	    "4 nodes: 3 short of memory by 512 MiB at best, 1 excluded by constraint ${attr.arch} = arm64");
	assert_int_equal(m->nodes_evaluated, 4);
	assert_int_equal(m->nodes_filtered, 1);
	assert_int_equal(m->nodes_exhausted, 3);
	assert_int_equal(intmap_get(&m->dimension_exhausted, "memory"), 3);
	assert_int_equal(intmap_get(&m->constraint_filtered, "${attr.arch} = arm64"), 1);
	world_free(w);
}

static void test_without_nodes_that_is_the_reason(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_run_job(w, fixture_job(w->a, "web", "service", 3, 100, 100));
	world_settle(w);
	assert_why(w, "web", "no-nodes", "3 allocations not placed: no nodes are registered");
	world_free(w);
}

static void test_what_can_be_short_is_named_with_its_unit(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "cpu", "service", 1, 4100, 100));
	struct job *disk = fixture_job(w->a, "disk", "service", 1, 100, 100);
	MODEL_SET(ephemeral_disk, group_of(disk)->ephemeral_disk, size_mb, 100 * 1024 + 7);
	world_run_job(w, disk);
	world_settle(w);
	assert_why(w, "cpu", "cpu", "1 allocation not placed: 1 node: 1 short of cpu by 100 MHz at best");
	assert_why(w, "disk", "disk", "1 allocation not placed: 1 node: 1 short of disk by 7 MiB at best");
	world_free(w);
}

static void test_what_keeps_a_node_out_is_named(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint64_t index;
	struct node *pool = fixture_node(w->a, 0), *far = fixture_node(w->a, 1), *driver = fixture_node(w->a, 2);
	MODEL_SET(node, pool, node_pool, "gpu");
	MODEL_SET(node, far, datacenter, "dc9");
	MODEL_SET(driver_info, (struct driver_info *)objmap_get(&driver->drivers, "raw_exec"), healthy, false);
	register_node(w, pool);
	register_node(w, far);
	register_node(w, driver);
	world_add_node(w, 3);
	world_add_node(w, 4);
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(3), false, w->now, &index, NULL), 0);
	struct job *j = fixture_job(w->a, "web", "service", 1, 100, 100);
	struct volume_request *v = MODEL_NEW(w->a, volume_request);
	MODEL_SET(volume_request, v, type, "host");
	MODEL_SET(volume_request, v, source, "data");
	objmap_set(w->a, &group_of(j)->volumes, "data", v);
	world_run_job(w, j);
	world_settle(w);
	assert_why(w, "web", "node-ineligible", "1 allocation not placed: 5 nodes: 1 not eligible, 1 in no datacenter of the job, "
	    "1 in another node pool, 1 without a healthy driver raw_exec, 1 without the volumes asked for");
	world_free(w);
}

static void test_a_node_that_is_down_is_counted_as_such(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_settle(w);
	world_pass_time(w, 2 * MINUTE);
	world_run_job(w, fixture_job(w->a, "web", "service", 1, 100, 100));
	world_settle(w);
	assert_why(w, "web", "node-down", "1 allocation not placed: 1 node: 1 not ready");
	world_free(w);
}

static void test_ports_are_named_with_their_number_and_label(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node *n = fixture_node(w->a, 0);
	MODEL_SET(node_resources, n->node_resources, min_dynamic_port, 25000);
	MODEL_SET(node_resources, n->node_resources, max_dynamic_port, 25001);
	register_node(w, n);
	struct job *dynamic = fixture_job(w->a, "dynamic", "service", 3, 10, 10);
	fixture_add_port(w->a, dynamic, "http");
	world_run_job(w, dynamic);
	struct job *fixed = fixture_job(w->a, "fixed", "service", 2, 10, 10);
	fixture_add_port(w->a, fixed, "admin");
	struct network *net = group_of(fixed)->networks.v[0];
	struct port *p = net->dynamic_ports.v[0];
	net->dynamic_ports.n = 0;
	MODEL_SET(port, p, value, 8080);
	objs_push(w->a, &net->reserved_ports, p);
	world_run_job(w, fixed);
	world_settle(w);
	assert_why(w, "dynamic", "ports", "1 allocation not placed: 1 node: 1 with no dynamic port left for http");
	assert_why(w, "fixed", "ports", "1 allocation not placed: 1 node: 1 with port 8080 (admin) taken");
	world_free(w);
}

static void test_distinct_rules_say_what_is_in_their_way(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	struct job *hosts = fixture_job(w->a, "hosts", "service", 2, 10, 10), *property = fixture_job(w->a, "property", "service", 2, 10, 10);
	constrain(w, &hosts->constraints, "", "distinct_hosts", "true");
	constrain(w, &property->constraints, "${attr.arch}", "distinct_property", "1");
	world_run_job(w, hosts);
	world_run_job(w, property);
	world_settle(w);
	assert_why(w, "hosts", "distinct-hosts",
	    "1 allocation not placed: 1 node: 1 already with an allocation of it (distinct_hosts)");
	assert_why(w, "property", "distinct-property",
	    "1 allocation not placed: 1 node: 1 excluded by distinct_property: ${attr.arch}");
	world_free(w);
}

static void test_a_limit_of_allocations_and_missing_cores_are_causes(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct node *n = fixture_node(w->a, 0);
	MODEL_SET(node, n, node_max_allocs, 1);
	MODEL_SET(node_cpu, n->node_resources->cpu, total_cpu_cores, 2);
	register_node(w, n);
	world_run_job(w, fixture_job(w->a, "many", "service", 2, 10, 10));
	struct job *cores = fixture_job(w->a, "cores", "service", 1, 0, 10);
	struct task *t = group_of(cores)->tasks.v[0];
	MODEL_UNSET(resources, t->resources, cpu);
	MODEL_SET(resources, t->resources, cores, 4);
	world_run_job(w, cores);
	world_settle(w);
	assert_why(w, "many", "max-allocations", "1 allocation not placed: 1 node: 1 at the limit of allocations they take");
	assert_why(w, "cores", "cores", "1 allocation not placed: 1 node: 1 with too few cpu cores");
	world_free(w);
}

/* ---- always current ---- */

static void test_a_reason_follows_the_cluster_without_an_evaluation(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	uint64_t index;
	add_node_with(w, 0, 1000, 1024, "amd64");
	struct job *j = fixture_job(w->a, "web", "service", 1, 2000, 2048);
	constrain(w, &j->constraints, "${attr.arch}", "=", "arm64");
	world_run_job(w, j);
	world_settle(w);
	assert_why(w, "web", "constraint", "1 allocation not placed: 1 node: 1 excluded by constraint ${attr.arch} = arm64");
	/* Nobody was woken by it, and yet it is said. */
	add_node_with(w, 1, 1500, 8192, "arm64");
	assert_why(w, "web", "cpu",
	    "1 allocation not placed: 2 nodes: 1 short of cpu by 500 MHz at best, 1 excluded by constraint ${attr.arch} = arm64");
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(1), false, w->now, &index, NULL), 0);
	assert_why(w, "web", "node-ineligible",
	    "1 allocation not placed: 2 nodes: 1 not eligible, 1 excluded by constraint ${attr.arch} = arm64");
	world_free(w);
}

static void test_where_there_is_room_the_evaluation_is_what_is_waited_for(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_settle(w);
	world_run_job(w, fixture_job(w->a, "one", "service", 1, 100, 100));
	assert_why(w, "one", "evaluation", "1 allocation not placed: its evaluation is queued");
	world_run_job(w, fixture_job(w->a, "two", "service", 2, 100, 100));
	assert_why(w, "two", "evaluation", "2 allocations not placed: its evaluation is one of 2 that are queued");
	world_settle(w);
	assert_null(why(w, "one"));
	assert_null(why(w, "two"));
	world_free(w);
}

static void test_a_paused_scheduler_is_a_reason_of_its_own(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct scheduler_config c = {0};
	uint64_t index;
	world_add_node(w, 0);
	MODEL_SET(scheduler_config, &c, pause_eval_broker, true);
	assert_int_equal(core_scheduler_config(w->c, &c, w->now, &index, NULL), 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 1, 100, 100));
	world_settle(w);
	assert_why(w, "web", "paused",
	    "1 allocation not placed: scheduling is paused (scheduler configuration: PauseEvalBroker)");
	MODEL_SET(scheduler_config, &c, pause_eval_broker, false);
	assert_int_equal(core_scheduler_config(w->c, &c, w->now, &index, NULL), 0);
	world_settle(w);
	assert_null(why(w, "web"));
	world_free(w);
}

/* ---- failures ---- */

static struct job *failing_job(struct world *w, int64_t attempts, bool unlimited)
{
	struct job *j = fixture_job(w->a, "web", "service", 2, 100, 100);
	struct reschedule_policy *p = group_of(j)->reschedule_policy = MODEL_NEW(w->a, reschedule_policy);
	MODEL_SET(reschedule_policy, p, delay, 30 * SECOND);
	MODEL_SET(reschedule_policy, p, delay_function, "constant");
	MODEL_SET(reschedule_policy, p, unlimited, unlimited);
	MODEL_SET(reschedule_policy, p, attempts, attempts);
	MODEL_SET(reschedule_policy, p, interval, HOUR);
	return j;
}

static void test_a_delayed_reschedule_says_until_when(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, failing_job(w, 0, true));
	world_settle(w);
	world_report(w, world_first_alloc(w, "web"), "failed");
	world_report(w, CONTAINER_OF(world_job(w, "web")->allocs.prev, struct alloc, by_job), "running");
	world_settle(w);
	/* 2023-11-14T22:13:20Z and 30 s */
	assert_why(w, "web", "reschedule-delay",
	    "1 failed allocation waits for the reschedule delay, until 2023-11-14T22:13:50Z at the earliest");
	world_live(w, 31 * SECOND);
	assert_null(why(w, "web"));
	world_free(w);
}

static void test_a_policy_that_is_used_up_says_so(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, failing_job(w, 0, false));
	world_settle(w);
	world_report(w, world_first_alloc(w, "web"), "failed");
	world_settle(w);
	assert_why(w, "web", "reschedule-exhausted", "1 allocation failed and the reschedule policy allows no further attempt");
	world_free(w);
}

static void test_several_reasons_are_all_said_the_first_gives_the_code(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_with(w, 0, 250, 8192, "amd64");
	struct job *j = failing_job(w, 0, false);
	MODEL_SET(task_group, group_of(j), count, 3);
	world_run_job(w, j);
	world_settle(w);
	/* What the failed one leaves goes to one that comes first. */
	struct job *first = fixture_job(w->a, "first", "service", 1, 100, 100);
	MODEL_SET(job, first, priority, 100);
	world_run_job(w, first);
	world_settle(w);
	world_report(w, world_first_alloc(w, "web"), "failed");
	world_settle(w);
	assert_why(w, "web", "cpu", "1 allocation not placed: 1 node: 1 short of cpu by 50 MHz at best; "
	    "1 allocation failed and the reschedule policy allows no further attempt");
	world_free(w);
}

static void test_an_update_that_waits_for_health_says_for_how_many(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	struct job *j = fixture_job(w->a, "web", "service", 3, 100, 100);
	group_of(j)->update = MODEL_NEW(w->a, update_strategy);
	MODEL_SET(update_strategy, group_of(j)->update, max_parallel, 1);
	MODEL_SET(update_strategy, group_of(j)->update, min_healthy_time, 10 * SECOND);
	world_run_job(w, j);
	world_settle(w);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		world_report(w, a, "running");
	world_pass_time(w, MINUTE / 4);
	strmap_set(w->a, &j->meta, "version", "2");
	world_run_job(w, j);
	world_settle(w);
	assert_why(w, "web", "update-health", "2 allocations of an older version: 1 of the new one may be unproven at a time "
	                                      "(update.max_parallel) and 1 is not healthy yet");
	world_free(w);
}

static void test_a_client_that_does_not_start_what_it_was_given_is_named(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 1, 100, 100));
	world_settle(w);
	assert_null(why(w, "web")); /* it gets some seconds */
	w->now += 12 * SECOND;
	assert_why(w, "web", "client", "1 placed allocation waits for the node to start it (node node-0)");
	world_report(w, world_first_alloc(w, "web"), "running");
	assert_null(why(w, "web"));
	world_free(w);
}

/* ---- jobs that run everywhere ---- */

static void test_a_system_job_speaks_of_the_nodes_that_it_wants(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	add_node_with(w, 0, 1000, 8192, "amd64");
	add_node_with(w, 1, 150, 8192, "amd64");
	add_node_with(w, 2, 120, 8192, "amd64");
	add_node_with(w, 3, 1000, 8192, "arm64");
	struct job *j = fixture_job(w->a, "mon", "system", 1, 200, 100);
	constrain(w, &j->constraints, "${attr.arch}", "=", "amd64");
	world_run_job(w, j);
	world_settle(w);
	assert_int_equal(world_job(w, "mon")->n_allocs, 1);
	/* Node 3 is none of its business, node 0 has it. */
	assert_why(w, "mon", "cpu", "2 allocations not placed: 2 nodes: 2 short of cpu by 50 MHz at best");
	const struct alloc_metric *m = noted(w, "mon");
	assert_string_equal(m->reason->text, "2 nodes: 2 short of cpu by 50 MHz at best");
	assert_int_equal(m->coalesced_failures, 1);
	/* One node comes, and nobody has looked yet. */
	add_node_with(w, 4, 1000, 8192, "amd64");
	assert_why(w, "mon", "cpu", "3 allocations not placed: 3 nodes: 2 short of cpu by 50 MHz at best; for 1 of them its "
	                            "evaluation is queued");
	world_settle(w);
	assert_why(w, "mon", "cpu", "2 allocations not placed: 2 nodes: 2 short of cpu by 50 MHz at best");
	world_free(w);
}

static void test_a_system_job_that_fits_waits_for_its_evaluation_alone(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_settle(w);
	world_run_job(w, fixture_job(w->a, "mon", "system", 1, 200, 100));
	assert_why(w, "mon", "evaluation", "1 allocation not placed: its evaluation is queued");
	world_settle(w);
	assert_null(why(w, "mon"));
	world_free(w);
}

static void test_what_waits_for_nothing_has_no_reason(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply out;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "web", "service", 1, 100, 100));
	world_run_job(w, fixture_job(w->a, "none", "service", 0, 100, 100));
	world_settle(w);
	assert_null(why(w, "web"));
	assert_null(why(w, "none"));
	assert_null(core_why(w->c, w->a, world_job(w, "web"), "no such group", w->now));
	world_run_job(w, fixture_job(w->a, "big", "service", 1, 9999, 100));
	world_settle(w);
	assert_non_null(why(w, "big"));
	assert_int_equal(core_job_deregister(w->c, "default", "big", false, 0, w->now, &out, NULL), 0);
	assert_null(why(w, "big"));
	world_free(w);
}

static void add_group(struct world *w, struct job *j, const char *name, int64_t memory)
{
	struct job *from = fixture_job(w->a, j->id, "service", 1, 10, memory);
	struct task_group *g = from->task_groups.v[0];
	MODEL_SET(task_group, g, name, name);
	objs_push(w->a, &j->task_groups, g);
}

static void test_all_groups_at_once_say_what_each_says_alone(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct job *j = fixture_job(w->a, "many", "service", 2, 100, 100);
	struct objmap all = {0};
	world_add_node(w, 0);
	for (unsigned i = 0; i < 300; i++)
		add_group(w, j, arena_printf(w->a, "g%u", i), i % 3 == 0 ? 20000 + i : 10);
	world_run_job(w, j);
	world_settle(w);
	w->now += MINUTE; /* nobody starts what was placed */
	core_why_job(w->c, w->a, world_job(w, "many"), w->now, &all);
	assert_int_equal(all.n, 301);
	OBJS_EACH (&j->task_groups, struct task_group, g) {
		const struct wait_reason *one = core_why(w->c, w->a, world_job(w, "many"), g->name, w->now);
		const struct wait_reason *same = objmap_get(&all, g->name);
		assert_string_equal(one->code, same->code);
		assert_string_equal(one->text, same->text);
		assert_string_equal(one->code, g_i > 0 && (g_i - 1) % 3 == 0 ? "memory" : "client");
	}
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_cause_has_its_nodes_and_the_nearest_miss),
	    cmocka_unit_test(test_without_nodes_that_is_the_reason),
	    cmocka_unit_test(test_what_can_be_short_is_named_with_its_unit),
	    cmocka_unit_test(test_what_keeps_a_node_out_is_named),
	    cmocka_unit_test(test_a_node_that_is_down_is_counted_as_such),
	    cmocka_unit_test(test_ports_are_named_with_their_number_and_label),
	    cmocka_unit_test(test_distinct_rules_say_what_is_in_their_way),
	    cmocka_unit_test(test_a_limit_of_allocations_and_missing_cores_are_causes),
	    cmocka_unit_test(test_a_reason_follows_the_cluster_without_an_evaluation),
	    cmocka_unit_test(test_where_there_is_room_the_evaluation_is_what_is_waited_for),
	    cmocka_unit_test(test_a_paused_scheduler_is_a_reason_of_its_own),
	    cmocka_unit_test(test_a_delayed_reschedule_says_until_when),
	    cmocka_unit_test(test_a_policy_that_is_used_up_says_so),
	    cmocka_unit_test(test_several_reasons_are_all_said_the_first_gives_the_code),
	    cmocka_unit_test(test_an_update_that_waits_for_health_says_for_how_many),
	    cmocka_unit_test(test_a_client_that_does_not_start_what_it_was_given_is_named),
	    cmocka_unit_test(test_a_system_job_speaks_of_the_nodes_that_it_wants),
	    cmocka_unit_test(test_a_system_job_that_fits_waits_for_its_evaluation_alone),
	    cmocka_unit_test(test_what_waits_for_nothing_has_no_reason),
	    cmocka_unit_test(test_all_groups_at_once_say_what_each_says_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
