/* The API's forms of what the state keeps compact. */
#include "sched/state.h"

struct job *job_view(struct arena *a, const struct job_entry *j, const struct job_version *v)
{
	struct job *out = arena_copy(a, v->spec, sizeof(*out));
	bool current = v == j->current;
	MODEL_SET(job, out, stop, current ? j->stop : v->spec->stop);
	MODEL_SET(job, out, stable, v->stable);
	MODEL_SET(job, out, version, v->version);
	MODEL_SET(job, out, status, job_status_names[j->status]);
	MODEL_SET(job, out, status_description, "");
	MODEL_SET(job, out, submit_time, v->submit_time);
	MODEL_SET(job, out, create_index, (int64_t)j->create_index);
	MODEL_SET(job, out, modify_index, (int64_t)(current ? j->modify_index : v->modify_index));
	MODEL_SET(job, out, job_modify_index, (int64_t)v->modify_index);
	return out;
}

struct node *node_view(struct arena *a, const struct node_entry *n)
{
	struct node *out = arena_copy(a, n->spec, sizeof(*out));
	MODEL_SET(node, out, drain, n->draining);
	MODEL_SET(node, out, scheduling_eligibility, n->eligible ? "eligible" : "ineligible");
	MODEL_SET(node, out, status, node_status_names[n->status]);
	MODEL_SET(node, out, create_index, (int64_t)n->create_index);
	MODEL_SET(node, out, modify_index, (int64_t)n->modify_index);
	MODEL_SET(node, out, last_alloc_update_index, (int64_t)n->alloc_index);
	return out;
}

static const char *id_text(struct arena *a, struct uuid id)
{
	char text[UUID_STR];
	return arena_strdup(a, uuid_format(id, text));
}

/* The address that a node's ports are on: the first that it has. */
static const char *node_ip(const struct node_entry *n)
{
	const struct node_resources *r = n ? n->spec->node_resources : NULL;
	if (r && r->networks.n && !str_empty(((struct network *)r->networks.v[0])->ip))
		return ((struct network *)r->networks.v[0])->ip;
	if (r && r->node_networks.n) {
		const struct node_network *net = r->node_networks.v[0];
		if (net->addresses.n && ((struct node_network_address *)net->addresses.v[0])->address)
			return ((struct node_network_address *)net->addresses.v[0])->address;
	}
	return "";
}

static struct port *view_port(struct arena *a, const struct port_ask *ask, struct port_grant grant)
{
	struct port *p = MODEL_NEW(a, port);
	MODEL_SET(port, p, label, ask->label);
	MODEL_SET(port, p, value, grant.value);
	MODEL_SET(port, p, to, ask->to < 0 ? grant.value : ask->to);
	MODEL_SET(port, p, host_network, ask->host_network ? ask->host_network : "default");
	return p;
}

/* The network of the group (task NULL) or of a task as it was granted, or NULL when it asks for none. */
static struct network *view_network(struct arena *a, const struct alloc *alloc, const struct network *asked, const char *task)
{
	const struct group_ask *ask = &alloc->version->asks[alloc->group];
	struct network *n = MODEL_NEW(a, network);
	MODEL_SET(network, n, mode, asked->mode ? asked->mode : "");
	MODEL_SET(network, n, ip, node_ip(alloc->node));
	MODEL_SET(network, n, mbits, asked->mbits);
	for (uint32_t i = 0; alloc->ports && i < ask->n_ports; i++) {
		const struct port_ask *p = &ask->ports[i];
		if ((p->task == NULL) != (task == NULL) || (task && !str_eq(p->task, task)))
			continue;
		objs_push(a, p->value ? &n->reserved_ports : &n->dynamic_ports, view_port(a, p, alloc->ports[i]));
	}
	n->has |= (n->reserved_ports.n ? MODEL_BIT(network, reserved_ports) : 0) |
	    (n->dynamic_ports.n ? MODEL_BIT(network, dynamic_ports) : 0);
	return n;
}

static void view_task_resources(struct arena *a, const struct alloc *alloc, const struct task *t,
    struct allocated_resources *out)
{
	struct alloc_task_resources *r = MODEL_NEW(a, alloc_task_resources);
	r->cpu = MODEL_NEW(a, alloc_cpu);
	r->memory = MODEL_NEW(a, alloc_memory);
	r->has = MODEL_BIT(alloc_task_resources, cpu) | MODEL_BIT(alloc_task_resources, memory);
	const struct resources *asked = t->resources;
	MODEL_SET(alloc_cpu, r->cpu, cpu_shares, asked ? asked->cpu : 0);
	MODEL_SET(alloc_memory, r->memory, memory_mb, asked ? asked->memory_mb : 0);
	MODEL_SET(alloc_memory, r->memory, memory_max_mb, asked ? asked->memory_max_mb : 0);
	for (uint32_t i = 0; asked && i < asked->networks.n; i++)
		objs_push(a, &r->networks, view_network(a, alloc, asked->networks.v[i], t->name));
	if (r->networks.n)
		r->has |= MODEL_BIT(alloc_task_resources, networks);
	objmap_set(a, &out->tasks, t->name, r);
	if (t->lifecycle)
		objmap_set(a, &out->task_lifecycles, t->name, t->lifecycle);
}

static struct allocated_resources *view_resources(struct arena *a, const struct alloc *alloc)
{
	const struct task_group *g = alloc_group(alloc);
	const struct group_ask *ask = &alloc->version->asks[alloc->group];
	struct allocated_resources *out = MODEL_NEW(a, allocated_resources);
	struct alloc_shared_resources *shared = out->shared = MODEL_NEW(a, alloc_shared_resources);
	OBJS_EACH(&g->tasks, struct task, t)
		view_task_resources(a, alloc, t, out);
	MODEL_SET(alloc_shared_resources, shared, disk_mb, ask->amount.disk);
	for (uint32_t i = 0; i < g->networks.n; i++)
		objs_push(a, &shared->networks, view_network(a, alloc, g->networks.v[i], NULL));
	for (uint32_t i = 0; alloc->ports && i < ask->n_ports; i++) {
		const struct port_ask *p = &ask->ports[i];
		if (p->task)
			continue;
		struct alloc_port *m = MODEL_NEW(a, alloc_port);
		MODEL_SET(alloc_port, m, label, p->label);
		MODEL_SET(alloc_port, m, value, alloc->ports[i].value);
		MODEL_SET(alloc_port, m, to, p->to < 0 ? alloc->ports[i].value : p->to);
		MODEL_SET(alloc_port, m, host_ip, node_ip(alloc->node));
		objs_push(a, &shared->ports, m);
	}
	shared->has |= (shared->networks.n ? MODEL_BIT(alloc_shared_resources, networks) : 0) |
	    (shared->ports.n ? MODEL_BIT(alloc_shared_resources, ports) : 0);
	out->has = MODEL_BIT(allocated_resources, shared) | MODEL_BIT(allocated_resources, tasks) |
	    (out->task_lifecycles.n ? MODEL_BIT(allocated_resources, task_lifecycles) : 0);
	return out;
}

static void view_extra(struct arena *a, const struct alloc_extra *x, struct allocation *out)
{
#define VIEW_OBJ(field, from)                                                                                          \
	do {                                                                                                           \
		if (from)                                                                                              \
			MODEL_SET(allocation, out, field, from);                                                       \
	} while (0)
#define VIEW_ID(field, from)                                                                                           \
	do {                                                                                                           \
		if (!uuid_is_nil(from))                                                                                \
			MODEL_SET(allocation, out, field, id_text(a, from));                                           \
	} while (0)
	out->task_states = x->task_states;
	if (x->task_states.n)
		out->has |= MODEL_BIT(allocation, task_states);
	VIEW_OBJ(deployment_status, x->deployment_status);
	VIEW_OBJ(network_status, x->network_status);
	VIEW_OBJ(reschedule_tracker, x->tracker);
	VIEW_OBJ(client_description, x->client_description);
	VIEW_OBJ(desired_description, x->desired_description);
	VIEW_OBJ(desired_transition, x->transition);
	if (x->in_consul)
		MODEL_SET(allocation, out, in_consul, true);
	VIEW_ID(previous_allocation, x->previous);
	VIEW_ID(next_allocation, x->next);
	VIEW_ID(followup_eval_id, x->followup_eval);
	VIEW_ID(deployment_id, x->deployment);
	VIEW_ID(preempted_by_allocation, x->preempted_by);
	for (uint32_t i = 0; i < x->preempted.n; i++)
		strs_push(a, &out->preempted_allocations, id_text(a, *(struct uuid *)x->preempted.v[i]));
	if (x->preempted.n)
		out->has |= MODEL_BIT(allocation, preempted_allocations);
#undef VIEW_OBJ
#undef VIEW_ID
}

struct allocation *alloc_view(struct arena *a, const struct alloc *alloc, bool with_job)
{
	struct allocation *out = MODEL_NEW(a, allocation);
	const struct job_version *v = alloc->version;
	MODEL_SET(allocation, out, id, id_text(a, alloc->id));
	MODEL_SET(allocation, out, namespace, v->spec->namespace);
	MODEL_SET(allocation, out, eval_id, id_text(a, alloc->eval));
	MODEL_SET(allocation, out, name,
	    arena_printf(a, "%s.%s[%u]", v->spec->id, alloc_group(alloc)->name, alloc->index));
	MODEL_SET(allocation, out, node_id, alloc->node ? id_text(a, alloc->node->id) : "");
	MODEL_SET(allocation, out, node_name, alloc->node && alloc->node->spec->name ? alloc->node->spec->name : "");
	MODEL_SET(allocation, out, job_id, v->spec->id);
	MODEL_SET(allocation, out, task_group, alloc_group(alloc)->name);
	if (with_job)
		MODEL_SET(allocation, out, job, job_view(a, v->job, v));
	MODEL_SET(allocation, out, allocated_resources, view_resources(a, alloc));
	if (alloc->metric)
		MODEL_SET(allocation, out, metrics, alloc->metric->metric);
	MODEL_SET(allocation, out, desired_status, desired_names[alloc->desired]);
	MODEL_SET(allocation, out, client_status, observed_names[alloc->observed]);
	if (alloc->extra)
		view_extra(a, alloc->extra, out);
	MODEL_SET(allocation, out, create_index, (int64_t)alloc->create_index);
	MODEL_SET(allocation, out, modify_index, (int64_t)alloc->modify_index);
	MODEL_SET(allocation, out, alloc_modify_index, (int64_t)alloc->alloc_modify_index);
	MODEL_SET(allocation, out, create_time, alloc->create_time);
	MODEL_SET(allocation, out, modify_time, alloc->modify_time);
	return out;
}
