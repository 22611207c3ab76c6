/*
 * ask: what one allocation of a group asks of a node, worked out once for each job version (plan_asks in sched/plan.h).
 * Tasks that do not run at the same time share a reservation: those before the main ones (prestart) and those after
 * (poststop) take part with the larger sum; sidecars run all the while and are added.
 */
#include "sched/plan.h"

enum phase { PHASE_BEFORE, PHASE_MAIN, PHASE_AFTER, PHASE_ALWAYS, PHASES };

static enum phase phase_of(const struct task *t)
{
	if (!t->lifecycle || str_empty(t->lifecycle->hook))
		return PHASE_MAIN;
	if (t->lifecycle->sidecar)
		return PHASE_ALWAYS;
	if (str_eq(t->lifecycle->hook, "prestart"))
		return PHASE_BEFORE;
	return str_eq(t->lifecycle->hook, "poststop") ? PHASE_AFTER : PHASE_MAIN;
}

/* Whole cores are booked by this many MHz, whatever the node's clock: an amount is the same on every node. */
#define CORE_MHZ 1000

static void sum_tasks(const struct task_group *g, struct group_ask *ask)
{
	struct amount sum[PHASES] = {0};
	int64_t cores[PHASES] = {0};
	OBJS_EACH (&g->tasks, struct task, t) {
		const struct resources *r = t->resources;
		if (!r)
			continue;
		enum phase p = phase_of(t);
		sum[p].cpu += r->cores > 0 ? r->cores * CORE_MHZ : r->cpu;
		sum[p].memory += r->memory_mb + r->secrets_mb;
		cores[p] += r->cores;
		ask->has_devices = ask->has_devices || r->devices.n > 0;
	}
	for (int p = PHASE_BEFORE; p <= PHASE_AFTER; p++) {
		ask->amount.cpu = MAX(ask->amount.cpu, sum[p].cpu);
		ask->amount.memory = MAX(ask->amount.memory, sum[p].memory);
		ask->cores = MAX(ask->cores, cores[p]);
	}
	ask->amount.cpu += sum[PHASE_ALWAYS].cpu;
	ask->amount.memory += sum[PHASE_ALWAYS].memory;
	ask->cores += cores[PHASE_ALWAYS];
	ask->amount.disk = g->ephemeral_disk ? g->ephemeral_disk->size_mb : 0;
	ask->amount.allocs = 1;
}

static uint32_t count_ports(const struct objs *networks)
{
	uint32_t n = 0;
	OBJS_EACH (networks, struct network, net)
		n += net->reserved_ports.n + net->dynamic_ports.n;
	return n;
}

static void add_ports(struct group_ask *ask, const struct objs *ports, const char *task)
{
	OBJS_EACH (ports, struct port, p)
		ask->ports[ask->n_ports++] = (struct port_ask){
		    .label = p->label,
		    .host_network = p->host_network,
		    .task = task,
		    .value = (uint16_t)p->value,
		    .to = (int32_t)p->to,
		    .ignore_collision = p->ignore_collision,
		};
}

static void add_networks(struct group_ask *ask, const struct objs *networks, const char *task)
{
	OBJS_EACH (networks, struct network, net) {
		add_ports(ask, &net->reserved_ports, task);
		add_ports(ask, &net->dynamic_ports, task);
	}
}

void plan_asks(struct job_version *v)
{
	const struct objs *groups = &v->spec->task_groups;
	v->asks = arena_alloc(v->arena, sizeof(*v->asks) * MAX(groups->n, 1u));
	OBJS_EACH (groups, struct task_group, g) {
		struct group_ask *ask = &v->asks[g_i];
		uint32_t n = count_ports(&g->networks);
		sum_tasks(g, ask);
		OBJS_EACH (&g->tasks, struct task, t)
			n += t->resources ? count_ports(&t->resources->networks) : 0;
		ask->ports = n ? arena_alloc(v->arena, n * sizeof(*ask->ports)) : NULL;
		add_networks(ask, &g->networks, NULL);
		OBJS_EACH (&g->tasks, struct task, task)
			if (task->resources)
				add_networks(ask, &task->resources->networks, task->name);
	}
}
