#include "tests/lib/fixture.h"

struct uuid fixture_node_id(unsigned n)
{
	return uuid_derive((struct uuid){.hi = 1, .lo = 1}, n);
}

struct node *fixture_node(struct arena *a, unsigned n)
{
	struct node *node = MODEL_NEW(a, node);
	char id[UUID_STR], secret[UUID_STR];
	MODEL_SET(node, node, id, arena_strdup(a, uuid_format(fixture_node_id(n), id)));
	MODEL_SET(node, node, secret_id,
	    arena_strdup(a, uuid_format(uuid_derive((struct uuid){.hi = 2, .lo = 2}, n), secret)));
	MODEL_SET(node, node, datacenter, "dc1");
	MODEL_SET(node, node, name, arena_printf(a, "node-%u", n));
	MODEL_SET(node, node, node_class, "");
	MODEL_SET(node, node, node_pool, "default");
	MODEL_SET(node, node, http_addr, "127.0.0.1:4646");
	node->node_resources = MODEL_NEW(a, node_resources);
	struct node_resources *r = node->node_resources;
	r->cpu = MODEL_NEW(a, node_cpu);
	r->memory = MODEL_NEW(a, node_memory);
	r->disk = MODEL_NEW(a, node_disk);
	MODEL_SET(node_cpu, r->cpu, cpu_shares, 4000);
	MODEL_SET(node_memory, r->memory, memory_mb, 8192);
	MODEL_SET(node_disk, r->disk, disk_mb, 100 * 1024);
	r->has = MODEL_BIT(node_resources, cpu) | MODEL_BIT(node_resources, memory) | MODEL_BIT(node_resources, disk);
	MODEL_SET(node_resources, r, min_dynamic_port, 20000);
	MODEL_SET(node_resources, r, max_dynamic_port, 32000);
	node->has |= MODEL_BIT(node, node_resources);
	strmap_set(a, &node->attributes, "kernel.name", "linux");
	strmap_set(a, &node->attributes, "arch", "amd64");
	strmap_set(a, &node->attributes, "unique.hostname", node->name);
	strmap_set(a, &node->attributes, "driver.raw_exec", "1");
	struct driver_info *d = MODEL_NEW(a, driver_info);
	MODEL_SET(driver_info, d, detected, true);
	MODEL_SET(driver_info, d, healthy, true);
	objmap_set(a, &node->drivers, "raw_exec", d);
	node->has |= MODEL_BIT(node, attributes) | MODEL_BIT(node, drivers);
	return node;
}

struct job *fixture_job(struct arena *a, const char *id, const char *type, int64_t count, int64_t cpu, int64_t memory)
{
	struct job *j = MODEL_NEW(a, job);
	MODEL_SET(job, j, id, arena_strdup(a, id));
	MODEL_SET(job, j, name, arena_strdup(a, id));
	MODEL_SET(job, j, namespace, "default");
	MODEL_SET(job, j, type, arena_strdup(a, type));
	MODEL_SET(job, j, priority, 50);
	strs_push(a, &j->datacenters, "dc1");
	struct task_group *g = MODEL_NEW(a, task_group);
	MODEL_SET(task_group, g, name, "g");
	MODEL_SET(task_group, g, count, count);
	g->ephemeral_disk = MODEL_NEW(a, ephemeral_disk);
	MODEL_SET(ephemeral_disk, g->ephemeral_disk, size_mb, 200);
	struct task *t = MODEL_NEW(a, task);
	MODEL_SET(task, t, name, "t");
	MODEL_SET(task, t, driver, "raw_exec");
	struct value *command = value_str(a, "/bin/true");
	t->config = value_map(a, (const char *[]){"command"}, &command, 1);
	t->resources = MODEL_NEW(a, resources);
	MODEL_SET(resources, t->resources, cpu, cpu);
	MODEL_SET(resources, t->resources, memory_mb, memory);
	t->has |= MODEL_BIT(task, config) | MODEL_BIT(task, resources);
	objs_push(a, &g->tasks, t);
	g->has |= MODEL_BIT(task_group, tasks) | MODEL_BIT(task_group, ephemeral_disk);
	objs_push(a, &j->task_groups, g);
	j->has |= MODEL_BIT(job, task_groups) | MODEL_BIT(job, datacenters);
	return j;
}

void fixture_add_port(struct arena *a, struct job *j, const char *label)
{
	struct task_group *g = j->task_groups.v[0];
	struct network *n = g->networks.n ? g->networks.v[0] : NULL;
	if (!n) {
		n = MODEL_NEW(a, network);
		objs_push(a, &g->networks, n);
		g->has |= MODEL_BIT(task_group, networks);
	}
	struct port *p = MODEL_NEW(a, port);
	MODEL_SET(port, p, label, arena_strdup(a, label));
	objs_push(a, &n->dynamic_ports, p);
	n->has |= MODEL_BIT(network, dynamic_ports);
}

uint64_t fixture_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t fixture_below(uint64_t *state, uint64_t n)
{
	return fixture_random(state) % n;
}
