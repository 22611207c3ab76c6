/*
 * operator: the people and scripts of the simulation: they register jobs of random shape, change, stop and purge them,
 * stop allocations, take nodes out of service and back, collect garbage.
 */
#include "tests/sim/sim.h"

#include <errno.h>

#include "base/uuid.h"

static const char *const job_types[] = {"service", "service", "batch", "batch", "system", "sysbatch"};

static void add_constraint(struct sim *s, struct arena *a, struct objs *list)
{
	static const struct {
		const char *l, *op, *r;
	} choices[] = {
	    {"${attr.cpu.arch}", "=", "amd64"},
	    {"${attr.cpu.arch}", "!=", "arm64"},
	    {"${attr.kernel.name}", "regexp", "^lin"},
	    {"", "distinct_hosts", "true"},
	    {"${attr.nothing}", "is_not_set", ""},
	    {"${attr.cpu.arch}", "=", "sparc"}, /* nowhere */
	};
	uint64_t n = sim_below(s, ARRAY_LEN(choices) * 4);

	if (n >= ARRAY_LEN(choices))
		return;
	struct constraint *c = MODEL_NEW(a, constraint);

	MODEL_SET(constraint, c, ltarget, choices[n].l);
	MODEL_SET(constraint, c, operand, choices[n].op);
	MODEL_SET(constraint, c, rtarget, choices[n].r);
	objs_push(a, list, c);
}

static void add_ports(struct sim *s, struct arena *a, struct task_group *g)
{
	struct network *n = MODEL_NEW(a, network);

	for (uint64_t i = sim_below(s, 3); i > 0; i--) {
		struct port *p = MODEL_NEW(a, port);

		MODEL_SET(port, p, label, arena_printf(a, "dyn%llu", (unsigned long long)i));
		objs_push(a, &n->dynamic_ports, p);
	}
	if (sim_chance(s, 0.3)) {
		struct port *p = MODEL_NEW(a, port);

		MODEL_SET(port, p, label, "fixed");
		MODEL_SET(port, p, value, 20000 + (int64_t)sim_below(s, 12));
		objs_push(a, &n->reserved_ports, p);
	}
	if (n->dynamic_ports.n || n->reserved_ports.n)
		objs_push(a, &g->networks, n);
}

static struct task_group *make_group(struct sim *s, struct arena *a, const char *type, uint32_t n)
{
	struct task_group *g = MODEL_NEW(a, task_group);
	struct task *t = MODEL_NEW(a, task);
	bool system = str_eq(type, "system") || str_eq(type, "sysbatch");
	const char *key[] = {"command"};
	struct value *command[] = {value_str(a, "/bin/true")};

	MODEL_SET(task_group, g, name, arena_printf(a, "g%u", n));
	MODEL_SET(task_group, g, count, system ? 1 : (int64_t)sim_below(s, 7));
	MODEL_SET(task, t, name, "main");
	MODEL_SET(task, t, driver, "raw_exec");
	t->config = value_map(a, key, command, 1);
	t->has |= MODEL_BIT(task, config);
	t->resources = MODEL_NEW(a, resources);
	MODEL_SET(resources, t->resources, cpu, 50 + 50 * (int64_t)sim_below(s, 14));
	MODEL_SET(resources, t->resources, memory_mb, 32 + 64 * (int64_t)sim_below(s, 12));
	g->ephemeral_disk = MODEL_NEW(a, ephemeral_disk);
	MODEL_SET(ephemeral_disk, g->ephemeral_disk, size_mb, 300 + 500 * (int64_t)sim_below(s, 6));
	objs_push(a, &g->tasks, t);
	if (sim_chance(s, 0.4))
		add_ports(s, a, g);
	if (str_eq(type, "batch")) { /* so that in the end every one has to complete */
		g->reschedule_policy = MODEL_NEW(a, reschedule_policy);
		MODEL_SET(reschedule_policy, g->reschedule_policy, unlimited, true);
		MODEL_SET(reschedule_policy, g->reschedule_policy, delay, 5 * SECOND);
		MODEL_SET(reschedule_policy, g->reschedule_policy, max_delay, 2 * MINUTE);
		MODEL_SET(reschedule_policy, g->reschedule_policy, delay_function, "exponential");
	}
	return g;
}

static struct job *make_job(struct sim *s, struct arena *a, uint32_t n)
{
	struct job *j = MODEL_NEW(a, job);
	const char *type = job_types[n % ARRAY_LEN(job_types)]; /* a job never changes its type */

	MODEL_SET(job, j, id, arena_printf(a, "job-%u", n));
	MODEL_SET(job, j, type, type);
	MODEL_SET(job, j, priority, 1 + (int64_t)sim_below(s, 100));
	strs_push(a, &j->datacenters, "dc1");
	if (sim_chance(s, 0.7))
		strs_push(a, &j->datacenters, "dc2");
	add_constraint(s, a, &j->constraints);
	for (uint32_t i = 0; i <= sim_below(s, 2); i++)
		objs_push(a, &j->task_groups, make_group(s, a, type, i));
	bool batch = str_eq(type, "batch") || str_eq(type, "sysbatch");

	strmap_set(a, &j->meta, "run", batch ? "60" : "0");
	strmap_set(a, &j->meta, "fail", sim_chance(s, 0.3) ? "true" : "false");
	if (sim_chance(s, 0.5))
		strmap_set(a, &j->meta, "tag", arena_printf(a, "%llu", (unsigned long long)sim_below(s, 4)));
	return j;
}

static void register_job(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct job *j = make_job(s, a, (uint32_t)sim_below(s, 14));
	struct core_register_request req = {.job = j};
	struct core_eval_reply out;

	if (core_job_register(s->core, &req, s->now, &out, &e) < 0)
		sim_fail(s, "job %s is refused: %s", j->id, err_str(&e));
	else
		sim_hold(s, out.index, NULL, j->id, out.job_modify_index);
}

static void stop_job(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	char id[32];

	snprintf(id, sizeof(id), "job-%u", (unsigned)sim_below(s, 14));
	int r = core_job_deregister(s->core, "default", id, sim_chance(s, 0.3), 0, s->now, &out, &e);

	if (r < 0 && r != -ENOENT)
		sim_fail(s, "stopping %s: %s", id, err_str(&e));
	/* What was acknowledged about it before no longer holds, from now on, whether or not this is. */
	for (uint32_t i = 0; i < s->n_acked; i++)
		if (str_eq(s->acked[i].id, id))
			s->acked[i] = s->acked[--s->n_acked];
}

static bool pick_alloc(void *arg, struct alloc *al)
{
	struct {
		struct sim *s;
		struct uuid id;
	} *pick = arg;

	if (!alloc_is_terminal(al) && sim_chance(pick->s, 0.2)) {
		pick->id = al->id;
		return false;
	}
	return true;
}

static void stop_alloc(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	struct {
		struct sim *s;
		struct uuid id;
	} pick = {s, {0, 0}};

	state_each_alloc(core_state(s->core), pick_alloc, &pick);
	if (!uuid_is_nil(pick.id) && core_alloc_stop(s->core, pick.id, false, s->now, &out, &e) < 0)
		sim_fail(s, "alloc stop: %s", err_str(&e));
}

static void node_act(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct uuid id;
	uint64_t index;

	uuid_parse(s->clients[sim_below(s, s->n_clients)].id, &id);
	int r = core_node_eligibility(s->core, id, sim_chance(s, 0.6), s->now, &index, &e);

	if (r < 0 && r != -ENOENT)
		sim_fail(s, "eligibility: %s", err_str(&e));
}

static void configure(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct scheduler_config *c = model_copy(a, &type_scheduler_config, core_state(s->core)->config);
	uint64_t index;

	MODEL_SET(scheduler_config, c, scheduler_algorithm, sim_chance(s, 0.5) ? "spread" : "binpack");
	if (core_scheduler_config(s->core, c, s->now, &index, &e) < 0)
		sim_fail(s, "scheduler config: %s", err_str(&e));
}

void operator_act(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	uint64_t index, n = sim_below(s, 100);
	struct client_sim *c = &s->clients[sim_below(s, s->n_clients)];

	if (n < 45)
		register_job(s);
	else if (n < 55)
		stop_job(s);
	else if (n < 65)
		stop_alloc(s);
	else if (n < 75)
		node_act(s);
	else if (n < 78)
		configure(s);
	else if (n < 82 && core_gc(s->core, s->now, &index, &e) < 0)
		sim_fail(s, "gc: %s", err_str(&e));
	else if (n < 90)
		c->cut_until = s->now + sim_between(s, 0, 60) * SECOND;
	else if (n < 96)
		sim_event(s, sim_event_new(s, EVENT_CLIENT_CRASH, (uint32_t)(c - s->clients)), s->now);
	else
		sim_event(s, sim_event_new(s, EVENT_SERVER_CRASH, 0), s->now + sim_between(s, 0, SECOND));
}
