/*
 * api_legacy: fields that the API keeps for clients of its old form: an allocation's and a node's resources as the sums
 * of what AllocatedResources and NodeResources tell in detail. Made for each answer, stored nowhere.
 */
#include "daemon/api.h"

/* All fields of a resources object are given, so that none prints as null. */
static struct resources *new_resources(struct arena *a)
{
	struct resources *r = MODEL_NEW(a, resources);

	r->has = MODEL_BIT(resources, cpu) | MODEL_BIT(resources, cores) | MODEL_BIT(resources, memory_mb) |
	    MODEL_BIT(resources, memory_max_mb) | MODEL_BIT(resources, disk_mb) | MODEL_BIT(resources, iops);
	return r;
}

static struct resources *task_sum(struct arena *a, const struct alloc_task_resources *t)
{
	struct resources *r = new_resources(a);

	r->cpu = t->cpu ? t->cpu->cpu_shares : 0;
	r->memory_mb = t->memory ? t->memory->memory_mb : 0;
	r->memory_max_mb = t->memory ? t->memory->memory_max_mb : 0;
	r->networks = t->networks;
	return r;
}

/* A task without a lifecycle is told as null, not left out. */
static void complete_lifecycles(struct arena *a, struct allocated_resources *granted)
{
	for (uint32_t i = 0; i < granted->tasks.n; i++)
		if (!objmap_get(&granted->task_lifecycles, granted->tasks.v[i].key))
			objmap_set(a, &granted->task_lifecycles, granted->tasks.v[i].key, NULL);
}

void api_legacy_allocation(struct arena *a, struct allocation *v)
{
	struct allocated_resources *granted = v->allocated_resources;
	struct resources *all = new_resources(a), *shared = new_resources(a);

	if (!granted)
		return;
	complete_lifecycles(a, granted);
	for (uint32_t i = 0; i < granted->tasks.n; i++) {
		struct resources *r = task_sum(a, granted->tasks.v[i].value);

		objmap_set(a, &v->task_resources, granted->tasks.v[i].key, r);
		all->cpu += r->cpu;
		all->memory_mb += r->memory_mb;
		all->memory_max_mb += MAX(r->memory_mb, r->memory_max_mb);
		for (uint32_t k = 0; k < r->networks.n; k++)
			objs_push(a, &all->networks, r->networks.v[k]);
	}
	if (granted->shared) {
		all->disk_mb = shared->disk_mb = granted->shared->disk_mb;
		shared->networks = granted->shared->networks;
		for (uint32_t k = 0; k < shared->networks.n; k++)
			objs_push(a, &all->networks, shared->networks.v[k]);
	}
	MODEL_SET(allocation, v, resources, all);
	MODEL_SET(allocation, v, shared_resources, shared);
}

void api_legacy_node(struct arena *a, struct node *n)
{
	struct resources *all = new_resources(a), *reserved = new_resources(a);
	const struct node_resources *r = n->node_resources;
	const struct node_reserved *kept = n->reserved_resources;

	if (r) {
		all->cpu = r->cpu ? r->cpu->cpu_shares : 0;
		all->memory_mb = r->memory ? r->memory->memory_mb : 0;
		all->disk_mb = r->disk ? r->disk->disk_mb : 0;
		all->networks = r->networks;
	}
	if (kept) {
		reserved->cpu = kept->cpu ? kept->cpu->cpu_shares : 0;
		reserved->memory_mb = kept->memory ? kept->memory->memory_mb : 0;
		reserved->disk_mb = kept->disk ? kept->disk->disk_mb : 0;
	}
	MODEL_SET(node, n, resources, all);
	MODEL_SET(node, n, reserved, reserved);
	n->has |= MODEL_BIT(node, links);
}
