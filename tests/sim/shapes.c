/*
 * shapes: random jobs of all types: conditions, spreads, ports, disks, lifecycles, restart, reschedule and update policies.
 * Each condition brings its own answer for a node, so that the checker need not know operators.
 */
#include "tests/sim/sim.h"

#include "base/value.h"

/* ---- conditions ---- */

static const char *attr(const struct node *n, const char *key)
{
	return strmap_get(&n->attributes, key);
}

static const char *meta(const struct node *n, const char *key)
{
	return strmap_get(&n->meta, key);
}

static bool is_amd64(const struct node *n)
{
	return str_eq(attr(n, "cpu.arch"), "amd64");
}

static bool is_not_arm64(const struct node *n)
{
	return !str_eq(attr(n, "cpu.arch"), "arm64");
}

static bool always(const struct node *n)
{
	(void)n;
	return true;
}

static bool never(const struct node *n)
{
	(void)n;
	return false;
}

static bool has_rack(const struct node *n)
{
	return meta(n, "rack") != NULL;
}

static bool is_in_front(const struct node *n)
{
	return str_eq(meta(n, "rack"), "r0") || str_eq(meta(n, "rack"), "r1");
}

static bool has_slots(const struct node *n)
{
	return meta(n, "slots") != NULL;
}

static bool has_many_slots(const struct node *n)
{
	return str_eq(meta(n, "slots"), "16"); /* as numbers: "8" is not more than "10" */
}

static bool is_new_kernel(const struct node *n)
{
	return str_eq(attr(n, "kernel.version"), "5.10.0") || str_eq(attr(n, "kernel.version"), "6.1.0");
}

static bool is_new_kernel_or_candidate(const struct node *n)
{
	return !str_eq(attr(n, "kernel.version"), "4.19.0");
}

static bool has_a_and_c(const struct node *n)
{
	return str_eq(meta(n, "features"), "a,b,c");
}

static bool has_a_or_c(const struct node *n)
{
	return !str_eq(meta(n, "features"), "");
}

static bool is_node_0(const struct node *n)
{
	return str_eq(n->name, "node-0");
}

static bool is_small(const struct node *n)
{
	return str_eq(n->node_class, "small");
}

static const struct shape_condition {
	const char *l, *op, *r;
	bool (*holds)(const struct node *n);
} conditions[] = {
	{"${attr.cpu.arch}", "=", "amd64", is_amd64},
	{"${attr.cpu.arch}", "!=", "arm64", is_not_arm64},
	{"${attr.nothing}", "!=", "arm64", always},
	{"${attr.kernel.name}", "regexp", "^lin", always},
	{"${attr.nothing}", "is_not_set", "", always},
	{"${attr.cpu.arch}", "=", "sparc", never},
	{"${meta.rack}", "is_set", "", has_rack},
	{"${meta.rack}", "regexp", "r[01]", is_in_front},
	{"${meta.slots}", ">", "6", has_slots},
	{"${meta.slots}", ">=", "10", has_many_slots},
	{"${attr.kernel.version}", "version", ">= 5.0, < 7", is_new_kernel},
	{"${attr.kernel.version}", "semver", ">= 5.0.0", is_new_kernel_or_candidate},
	{"${meta.features}", "set_contains", "a,c", has_a_and_c},
	{"${meta.features}", "set_contains_any", "c, a", has_a_or_c},
	{"${node.unique.name}", "=", "node-0", is_node_0},
	{"${node.class}", "==", "small", is_small},
};

bool shape_holds(const struct constraint *c, const struct node *n)
{
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
		if (str_eq(conditions[i].l, c->ltarget) && str_eq(conditions[i].op, c->operand) &&
		    str_eq(conditions[i].r, c->rtarget))
			return conditions[i].holds(n);
	die("sim: a condition that nobody made: %s %s %s", c->ltarget, c->operand, c->rtarget);
}

static void push_condition(struct arena *a, struct objs *list, const char *l, const char *op, const char *r)
{
	struct constraint *c = MODEL_NEW(a, constraint);

	MODEL_SET(constraint, c, ltarget, l);
	MODEL_SET(constraint, c, operand, op);
	MODEL_SET(constraint, c, rtarget, r);
	objs_push(a, list, c);
}

static void add_conditions(struct sim *s, struct arena *a, struct objs *list, double p)
{
	if (!sim_chance(s, p))
		return;
	const struct shape_condition *c = &SIM_PICK(s, conditions);

	/* What holds nowhere teaches little, so seldom. */
	if (c->holds != never || sim_chance(s, 0.3))
		push_condition(a, list, c->l, c->op, c->r);
}

static void add_distinct(struct sim *s, struct arena *a, struct objs *list)
{
	static const char *const allowed[] = {"", "1", "2", "4"};

	if (sim_chance(s, 0.08))
		push_condition(a, list, "", "distinct_hosts", sim_chance(s, 0.9) ? "true" : "false");
	if (sim_chance(s, 0.05))
		push_condition(a, list, "${meta.rack}", "distinct_property", SIM_PICK(s, allowed));
}

/* ---- preferences ---- */

static void add_affinity(struct sim *s, struct arena *a, struct objs *list)
{
	const struct shape_condition *c = &SIM_PICK(s, conditions);
	struct affinity *f = MODEL_NEW(a, affinity);

	if (!sim_chance(s, 0.15))
		return;
	MODEL_SET(affinity, f, ltarget, c->l);
	MODEL_SET(affinity, f, operand, c->op);
	MODEL_SET(affinity, f, rtarget, c->r);
	MODEL_SET(affinity, f, weight, sim_chance(s, 0.5) ? sim_between(s, 1, 100) : sim_between(s, -100, -1));
	objs_push(a, list, f);
}

static void add_spread(struct sim *s, struct arena *a, struct objs *list)
{
	struct spread *x = MODEL_NEW(a, spread);

	if (!sim_chance(s, 0.15))
		return;
	MODEL_SET(spread, x, attribute, sim_chance(s, 0.7) ? "${meta.rack}" : "${node.datacenter}");
	MODEL_SET(spread, x, weight, sim_between(s, 1, 100));
	for (int64_t i = sim_chance(s, 0.5) ? 2 : 0, left = 100; i > 0; i--) {
		struct spread_target *t = MODEL_NEW(a, spread_target);
		int64_t share = sim_between(s, 0, left);

		MODEL_SET(spread_target, t, value, i == 1 ? "r0" : "r1");
		MODEL_SET(spread_target, t, percent, share);
		left -= share;
		objs_push(a, &x->spread_target, t);
	}
	objs_push(a, list, x);
}

/* ---- groups ---- */

static void add_port(struct arena *a, struct objs *list, const char *label, int64_t value)
{
	struct port *p = MODEL_NEW(a, port);

	MODEL_SET(port, p, label, label);
	if (value)
		MODEL_SET(port, p, value, value);
	objs_push(a, list, p);
}

static void add_ports(struct sim *s, struct arena *a, struct task_group *g)
{
	struct network *n = MODEL_NEW(a, network);

	for (uint64_t i = sim_below(s, 3); i > 0; i--)
		add_port(a, &n->dynamic_ports, arena_printf(a, "dyn%llu", (unsigned long long)i), 0);
	if (sim_chance(s, 0.3))
		add_port(a, &n->reserved_ports, "fixed", 20000 + (int64_t)sim_below(s, 12));
	if (sim_chance(s, 0.1))
		add_port(a, &n->reserved_ports, "low", 8000 + (int64_t)sim_below(s, 2));
	if (n->dynamic_ports.n || n->reserved_ports.n)
		objs_push(a, &g->networks, n);
}

static struct task *make_task(struct sim *s, struct arena *a, const char *name, bool small)
{
	struct task *t = MODEL_NEW(a, task);
	const char *key[] = {"command"};
	struct value *command[] = {value_str(a, "/bin/true")};

	MODEL_SET(task, t, name, name);
	MODEL_SET(task, t, driver, sim_chance(s, 0.93) ? "raw_exec" : "exec");
	t->config = value_map(a, key, command, 1);
	t->has |= MODEL_BIT(task, config);
	if (sim_chance(s, 0.3))
		MODEL_SET(task, t, kill_timeout, sim_between(s, 0, 20) * SECOND);
	if (sim_chance(s, 0.2))
		MODEL_SET(task, t, shutdown_delay, sim_between(s, 0, 10) * SECOND);
	t->resources = MODEL_NEW(a, resources);
	MODEL_SET(resources, t->resources, cpu, 50 + 50 * (int64_t)sim_below(s, small ? 4 : 14));
	MODEL_SET(resources, t->resources, memory_mb, 32 + 64 * (int64_t)sim_below(s, small ? 4 : 12));
	add_conditions(s, a, &t->constraints, 0.03);
	return t;
}

static void add_helper(struct sim *s, struct arena *a, struct task_group *g)
{
	static const char *const hooks[] = {"prestart", "poststart", "poststop"};
	struct task *t = make_task(s, a, "helper", false);

	t->lifecycle = MODEL_NEW(a, lifecycle);
	MODEL_SET(lifecycle, t->lifecycle, hook, SIM_PICK(s, hooks));
	MODEL_SET(lifecycle, t->lifecycle, sidecar, sim_chance(s, 0.3) && !str_eq(t->lifecycle->hook, "poststop"));
	objs_push(a, &g->tasks, t);
}

static void add_volume(struct sim *s, struct arena *a, struct task_group *g)
{
	struct volume_request *v = MODEL_NEW(a, volume_request);

	MODEL_SET(volume_request, v, name, "data");
	MODEL_SET(volume_request, v, type, "host");
	MODEL_SET(volume_request, v, source, "data");
	MODEL_SET(volume_request, v, read_only, sim_chance(s, 0.5));
	objmap_set(a, &g->volumes, "data", v);
}

static void add_reschedule(struct sim *s, struct arena *a, struct task_group *g, const char *type)
{
	static const char *const functions[] = {"constant", "exponential", "fibonacci"};
	struct reschedule_policy *p = MODEL_NEW(a, reschedule_policy);

	if (str_eq(type, "system") || str_eq(type, "sysbatch") || sim_chance(s, 0.2))
		return;
	g->reschedule_policy = p;
	MODEL_SET(reschedule_policy, p, delay, sim_between(s, 5, 20) * SECOND);
	MODEL_SET(reschedule_policy, p, max_delay, 2 * MINUTE);
	MODEL_SET(reschedule_policy, p, delay_function, SIM_PICK(s, functions));
	if (sim_chance(s, 0.7)) {
		MODEL_SET(reschedule_policy, p, unlimited, true);
	} else {
		MODEL_SET(reschedule_policy, p, unlimited, false);
		MODEL_SET(reschedule_policy, p, attempts, sim_between(s, 0, 3));
		MODEL_SET(reschedule_policy, p, interval, sim_between(s, 1, 20) * MINUTE);
	}
}

static void add_update(struct sim *s, struct arena *a, struct task_group *g)
{
	struct update_strategy *u = MODEL_NEW(a, update_strategy);

	if (!sim_chance(s, 0.5))
		return;
	g->update = u;
	MODEL_SET(update_strategy, u, max_parallel, (int64_t)sim_below(s, 4));
	MODEL_SET(update_strategy, u, min_healthy_time, sim_between(s, 0, 15) * SECOND);
	MODEL_SET(update_strategy, u, healthy_deadline, MINUTE);
	MODEL_SET(update_strategy, u, progress_deadline, 2 * MINUTE);
}

static void add_migrate(struct sim *s, struct arena *a, struct task_group *g)
{
	struct migrate_strategy *m = MODEL_NEW(a, migrate_strategy);

	if (!sim_chance(s, 0.5))
		return;
	g->migrate = m;
	MODEL_SET(migrate_strategy, m, max_parallel, sim_between(s, 1, 4));
	MODEL_SET(migrate_strategy, m, min_healthy_time, sim_between(s, 0, 30) * SECOND);
}

static struct task_group *make_group(struct sim *s, struct arena *a, const char *type, uint32_t n)
{
	struct task_group *g = MODEL_NEW(a, task_group);
	bool system = str_eq(type, "system") || str_eq(type, "sysbatch"), small = sim_chance(s, 0.7);

	MODEL_SET(task_group, g, name, arena_printf(a, "g%u", n));
	MODEL_SET(task_group, g, count, system ? (int64_t)sim_chance(s, 0.95) : (int64_t)sim_below(s, sim_chance(s, 0.1) ? 40 : 9));
	g->ephemeral_disk = MODEL_NEW(a, ephemeral_disk);
	MODEL_SET(ephemeral_disk, g->ephemeral_disk, size_mb, 300 + 500 * (int64_t)sim_below(s, 3));
	MODEL_SET(ephemeral_disk, g->ephemeral_disk, sticky, sim_chance(s, 0.2));
	objs_push(a, &g->tasks, make_task(s, a, "main", small));
	if (sim_chance(s, 0.2))
		add_helper(s, a, g);
	if (sim_chance(s, 0.3))
		add_ports(s, a, g);
	if (sim_chance(s, 0.05))
		add_volume(s, a, g);
	add_conditions(s, a, &g->constraints, 0.1);
	add_distinct(s, a, &g->constraints);
	if (!system)
		add_spread(s, a, &g->spreads);
	add_affinity(s, a, &g->affinities);
	add_reschedule(s, a, g, type);
	away_shape(s, a, g);
	if (sim_chance(s, 0.2))
		strmap_set(a, &g->meta, "drover_drain", "finish");
	if (sim_chance(s, 0.2))
		MODEL_SET(task_group, g, shutdown_delay, sim_between(s, 0, 10) * SECOND);
	if (str_eq(type, "service"))
		add_migrate(s, a, g);
	if (str_eq(type, "service") || str_eq(type, "system"))
		add_update(s, a, g);
	return g;
}

struct job *shape_job(struct sim *s, struct arena *a, uint32_t n)
{
	static const char *const types[] = {"service", "batch", "service", "batch", "system", "sysbatch"};
	static const char *const restarts[] = {"0", "0", "1", "3"};
	struct job *j = MODEL_NEW(a, job);
	const char *type = types[n % ARRAY_LEN(types)]; /* a job never changes its type */
	bool batch = str_eq(type, "batch") || str_eq(type, "sysbatch"), system = n % ARRAY_LEN(types) >= 4;

	MODEL_SET(job, j, id, arena_printf(a, "job-%u", n));
	MODEL_SET(job, j, type, type);
	MODEL_SET(job, j, priority, 1 + (int64_t)sim_below(s, 100));
	strs_push(a, &j->datacenters, sim_chance(s, 0.2) ? "dc*" : "dc1");
	if (sim_chance(s, 0.5))
		strs_push(a, &j->datacenters, "dc2");
	if (sim_chance(s, 0.15))
		MODEL_SET(job, j, node_pool, sim_chance(s, 0.5) ? "all" : "gpu");
	add_conditions(s, a, &j->constraints, 0.2);
	add_distinct(s, a, &j->constraints);
	add_affinity(s, a, &j->affinities);
	if (!system)
		add_spread(s, a, &j->spreads);
	for (uint32_t i = 0; i <= sim_below(s, 3); i++)
		objs_push(a, &j->task_groups, make_group(s, a, type, i));
	strmap_set(a, &j->meta, "run", batch ? "60" : "0");
	strmap_set(a, &j->meta, "fail", sim_chance(s, 0.3) ? "true" : "false");
	strmap_set(a, &j->meta, "restarts", SIM_PICK(s, restarts));
	return j;
}
