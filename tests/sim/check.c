/*
 * check: the invariants and promises of the simulated cluster, worked out here from job and node specs alone: nothing
 * of the scheduler's own arithmetic (sched/fit, place, feasible, constraint) is used.
 *
 * always   no node oversubscribed in cpu, memory or disk; no port twice on a node, none reserved or out of range;
 *          indexes only grow; what was acknowledged is there; names are unique among what should run
 * settled  desired counts are met, or a reason is stored and it is true: whatever would fit on a node is placed; nodes
 *          run exactly what the server thinks
 */
#include "tests/sim/sim.h"

#include "base/uuid.h"

struct load {
	int64_t cpu, memory, disk;
	uint32_t ports[64]; /* fixed room: a node has at most 28 dynamic ports here */
	uint32_t n_ports;
};

static struct load *loads; /* by client number, of the present walk */
static struct sim *sim;

static uint32_t client_of(const char *id)
{
	for (uint32_t i = 0; i < sim->n_clients; i++)
		if (str_eq(sim->clients[i].id, id))
			return i;
	return UINT32_MAX;
}

static bool holds(const struct alloc *al)
{
	return al->observed == OBSERVED_PENDING || al->observed == OBSERVED_RUNNING || al->observed == OBSERVED_UNKNOWN;
}

static void ask_of(const struct task_group *g, int64_t *cpu, int64_t *memory, int64_t *disk)
{
	const struct task *t = g->tasks.v[0]; /* the simulation's groups have one task */

	*cpu = t->resources->cpu;
	*memory = t->resources->memory_mb;
	*disk = g->ephemeral_disk->size_mb;
}

static void add_port(struct load *l, uint32_t n, uint32_t port, const char *id)
{
	const struct node_resources *r = sim->clients[n].node->node_resources;

	for (uint32_t i = 0; i < l->n_ports; i++)
		if (l->ports[i] == port)
			sim_fail(sim, "port %u is given twice on node %u, the second time to %s", port, n, id);
	if (port == 22 || port == 20003 || port == 20004)
		sim_fail(sim, "port %u of node %u is reserved, yet allocation %s has it", port, n, id);
	if (port < (uint32_t)r->min_dynamic_port || port > 20011 + 28 || !port)
		sim_fail(sim, "allocation %s has port %u, which nobody asked for", id, port);
	if (l->n_ports < ARRAY_LEN(l->ports))
		l->ports[l->n_ports++] = port;
}

static bool sum_alloc(void *arg UNUSED, struct alloc *al)
{
	char id[UUID_STR];
	int64_t cpu, memory, disk;
	struct node_entry *node = al->node;
	const struct task_group *g = al->version->spec->task_groups.v[al->group];

	uuid_format(al->id, id);
	if (al->modify_index > core_state(sim->core)->index || al->create_index > al->modify_index)
		sim_fail(sim, "allocation %s has indexes beyond the state's", id);
	if (!holds(al) || !node)
		return true;
	uint32_t n = client_of(node->spec->id);

	if (n == UINT32_MAX) {
		sim_fail(sim, "allocation %s is on a node nobody registered", id);
		return false;
	}
	ask_of(g, &cpu, &memory, &disk);
	loads[n].cpu += cpu;
	loads[n].memory += memory;
	loads[n].disk += disk;
	cleanup_arena struct arena *a = arena_new();
	const struct allocation *view = alloc_view(a, al, false);
	uint32_t want = 0;

	OBJS_EACH (&g->networks, struct network, net)
		want += net->dynamic_ports.n + net->reserved_ports.n;
	const struct allocated_resources *r = view->allocated_resources;
	uint32_t have = r && r->shared ? r->shared->ports.n : 0;

	if (have != want)
		sim_fail(sim, "allocation %s asked for %u ports and got %u", id, want, have);
	for (uint32_t i = 0; i < have; i++)
		add_port(&loads[n], n, (uint32_t)((struct alloc_port *)r->shared->ports.v[i])->value, id);
	return true;
}

static void room_of(uint32_t n, int64_t *cpu, int64_t *memory, int64_t *disk)
{
	const struct node *node = sim->clients[n].node;

	*cpu = node->node_resources->cpu->cpu_shares - node->reserved_resources->cpu->cpu_shares;
	*memory = node->node_resources->memory->memory_mb;
	*disk = node->node_resources->disk->disk_mb;
}

static void check_loads(void)
{
	for (uint32_t i = 0; i < sim->n_clients; i++) {
		int64_t cpu, memory, disk;

		room_of(i, &cpu, &memory, &disk);
		if (loads[i].cpu > cpu || loads[i].memory > memory || loads[i].disk > disk)
			sim_fail(sim,
			    "node %u is oversubscribed: cpu %lld of %lld, memory %lld of %lld, disk %lld of %lld", i,
			    (long long)loads[i].cpu, (long long)cpu, (long long)loads[i].memory, (long long)memory,
			    (long long)loads[i].disk, (long long)disk);
	}
}

static void check_acknowledged(void)
{
	for (uint32_t i = 0; i < sim->n_acked; i++) {
		const struct job_entry *j = state_job(core_state(sim->core), "default", sim->acked[i].id);

		if (!j || j->current->modify_index < sim->acked[i].modify_index)
			sim_fail(sim, "the registration of %s at index %llu was acknowledged and is not there",
			    sim->acked[i].id, (unsigned long long)sim->acked[i].modify_index);
	}
}

void check_always(struct sim *s)
{
	struct state *st = core_state(s->core);

	sim = s;
	loads = xcalloc(s->n_clients, sizeof(*loads));
	state_each_alloc(st, sum_alloc, NULL);
	check_loads();
	check_acknowledged();
	if (st->index < s->last_index)
		sim_fail(s, "the index went back from %llu to %llu", (unsigned long long)s->last_index,
		    (unsigned long long)st->index);
	s->last_index = st->index;
	for (int t = 0; t < TABLE_COUNT; t++)
		if (st->table_index[t] > st->index)
			sim_fail(s, "table %d has an index beyond the state's", t);
	free(loads);
	loads = NULL;
}

/* ---- settled ---- */

static bool constraint_holds(const struct constraint *c, const struct node *node)
{
	const char *arch = strmap_get(&node->attributes, "cpu.arch");

	if (str_eq(c->operand, "=") && str_eq(c->ltarget, "${attr.cpu.arch}"))
		return str_eq(arch, c->rtarget);
	if (str_eq(c->operand, "!="))
		return !str_eq(arch, c->rtarget);
	return true; /* the others of operator.c hold on every node; distinct_hosts is looked at apart */
}

static bool node_allowed(const struct job *j, const struct task_group *g, const struct node *node)
{
	bool dc = false;

	for (uint32_t i = 0; i < j->datacenters.n; i++)
		dc = dc || str_eq(j->datacenters.v[i], node->datacenter);
	if (!dc)
		return false;
	OBJS_EACH (&j->constraints, struct constraint, c)
		if (!constraint_holds(c, node))
			return false;
	OBJS_EACH (&g->constraints, struct constraint, c)
		if (!constraint_holds(c, node))
			return false;
	return true;
}

static bool is_distinct(const struct job *j)
{
	OBJS_EACH (&j->constraints, struct constraint, c)
		if (str_eq(c->operand, "distinct_hosts"))
			return true;
	return false;
}

static bool port_taken(const struct load *l, int64_t port)
{
	for (uint32_t i = 0; i < l->n_ports; i++)
		if (l->ports[i] == port)
			return true;
	return port == 22 || port == 20003 || port == 20004;
}

static bool ports_free(uint32_t n, const struct task_group *g)
{
	const struct node_resources *r = sim->clients[n].node->node_resources;
	int64_t want = 0, free_ports = 0;

	OBJS_EACH (&g->networks, struct network, net) {
		OBJS_EACH (&net->reserved_ports, struct port, p)
			if (port_taken(&loads[n], p->value))
				return false;
		want += net->dynamic_ports.n + net->reserved_ports.n;
	}
	for (int64_t p = r->min_dynamic_port; p <= r->max_dynamic_port; p++)
		free_ports += !port_taken(&loads[n], p);
	return free_ports >= want;
}

/* Would one more of the group fit on the node? Errs on the side of "no". */
static bool would_fit(const struct job_entry *j, const struct task_group *g, uint32_t n)
{
	struct uuid id;
	int64_t cpu, memory, disk, room_cpu, room_memory, room_disk;

	uuid_parse(sim->clients[n].id, &id);
	const struct node_entry *node = state_node(core_state(sim->core), id);

	if (!node || node->status != NODE_READY || !node->eligible || !node_allowed(j->current->spec, g, node->spec))
		return false;
	if (is_distinct(j->current->spec))
		for (struct link *l = node->allocs.next; l != &node->allocs; l = l->next)
			if (CONTAINER_OF(l, struct alloc, by_node)->version->job == j)
				return false;
	ask_of(g, &cpu, &memory, &disk);
	room_of(n, &room_cpu, &room_memory, &room_disk);
	return loads[n].cpu + cpu <= room_cpu && loads[n].memory + memory <= room_memory &&
	    loads[n].disk + disk <= room_disk && ports_free(n, g);
}

struct tally {
	uint32_t live, complete, failed;
};

static void tally_group(const struct job_entry *j, uint32_t group, struct tally *t)
{
	const char *name = ((struct task_group *)j->current->spec->task_groups.v[group])->name;

	memset(t, 0, sizeof(*t));
	for (struct link *l = j->allocs.next; l != &j->allocs; l = l->next) {
		const struct alloc *al = CONTAINER_OF(l, struct alloc, by_job);

		if (!str_eq(alloc_group(al)->name, name))
			continue;
		if (al->desired == DESIRED_RUN && holds(al))
			t->live++;
		else if (al->observed == OBSERVED_COMPLETE && al->desired == DESIRED_RUN)
			t->complete++;
		else if (al->observed == OBSERVED_FAILED && al->desired == DESIRED_RUN)
			t->failed++;
	}
}

static void check_counted(struct job_entry *j, uint32_t group)
{
	const struct task_group *g = j->current->spec->task_groups.v[group];
	bool batch = j->type == JOB_BATCH;
	struct tally t;

	tally_group(j, group, &t);
	int64_t missing = g->count - t.live - (batch ? t.complete : 0);

	if (!batch && t.live > g->count)
		sim_fail(sim, "%s.%s wants %lld and has %u live", j->id, g->name, (long long)g->count, t.live);
	if (missing <= 0)
		return;
	cleanup_arena struct arena *a = arena_new();
	const struct wait_reason *why = core_why(sim->core, a, j, g->name, sim->now);

	if (!why || str_empty(why->text) || str_empty(why->code))
		sim_fail(sim, "%s.%s misses %lld and no reason is given", j->id, g->name, (long long)missing);
	for (uint32_t n = 0; n < sim->n_clients; n++)
		if (would_fit(j, g, n))
			sim_fail(sim, "%s.%s misses %lld, although one fits on node %u; the reason given is: %s", j->id,
			    g->name, (long long)missing, n, why ? why->text : "(none)");
}

static void check_everywhere(struct job_entry *j, uint32_t group)
{
	const struct task_group *g = j->current->spec->task_groups.v[group];

	if (g->count < 1)
		return;
	for (uint32_t n = 0; n < sim->n_clients; n++) {
		struct uuid id;
		bool there = false;

		uuid_parse(sim->clients[n].id, &id);
		const struct node_entry *node = state_node(core_state(sim->core), id);

		if (!node)
			continue;
		for (struct link *l = node->allocs.next; l != &node->allocs; l = l->next) {
			const struct alloc *al = CONTAINER_OF(l, struct alloc, by_node);

			if (al->version->job == j && str_eq(alloc_group(al)->name, g->name) &&
			    (holds(al) || al->observed == OBSERVED_COMPLETE || al->observed == OBSERVED_FAILED))
				there = true;
		}
		/* Another group of the same job may be in the way of distinct_hosts: would_fit looks at that. */
		if (!there && would_fit(j, g, n))
			sim_fail(sim, "%s.%s should be on node %u and is not", j->id, g->name, n);
	}
}

static bool settled_job(void *arg UNUSED, struct job_entry *j)
{
	if (j->stop) {
		for (struct link *l = j->allocs.next; l != &j->allocs; l = l->next) {
			const struct alloc *al = CONTAINER_OF(l, struct alloc, by_job);

			if (holds(al))
				sim_fail(sim, "%s is stopped, yet an allocation still holds its node", j->id);
		}
		return true;
	}
	for (uint32_t i = 0; i < j->current->spec->task_groups.n; i++) {
		if (j->type == JOB_SERVICE || j->type == JOB_BATCH)
			check_counted(j, i);
		else
			check_everywhere(j, i);
	}
	return true;
}

static bool settled_alloc(void *arg UNUSED, struct alloc *al)
{
	char id[UUID_STR];
	bool found = false;

	if (!holds(al) || !al->node)
		return true;
	uuid_format(al->id, id);
	uint32_t n = client_of(al->node->spec->id);

	for (uint32_t i = 0; n < sim->n_clients && i < sim->clients[n].n_allocs; i++) {
		const struct local_alloc *l = &sim->clients[n].allocs[i];

		if (str_eq(l->id, id))
			found = l->state == LOCAL_PENDING || l->state == LOCAL_RUNNING;
	}
	if (!found)
		sim_fail(sim, "the server believes %s lives on node %u, and the node does not run it", id, n);
	return true;
}

static void check_local(void)
{
	for (uint32_t n = 0; n < sim->n_clients; n++)
		for (uint32_t i = 0; i < sim->clients[n].n_allocs; i++) {
			const struct local_alloc *l = &sim->clients[n].allocs[i];
			struct uuid id;

			uuid_parse(l->id, &id);
			const struct alloc *al = state_alloc(core_state(sim->core), id);

			if (l->state == LOCAL_RUNNING && !l->stopping && (!al || al->desired != DESIRED_RUN))
				sim_fail(sim, "node %u still runs %s, which is not wanted", n, l->id);
		}
}

void check_settled(struct sim *s)
{
	sim = s;
	loads = xcalloc(s->n_clients, sizeof(*loads));
	state_each_alloc(core_state(s->core), sum_alloc, NULL);
	state_each_job(core_state(s->core), settled_job, NULL);
	state_each_alloc(core_state(s->core), settled_alloc, NULL);
	check_local();
	free(loads);
	loads = NULL;
}
