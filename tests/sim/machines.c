/* machines: what the simulated nodes are made of, and how they change under a running cluster. */
#include "base/uuid.h"
#include "tests/sim/sim.h"

static void add_driver(struct sim *s, struct node *node, const char *name, bool healthy)
{
	struct driver_info *d = MODEL_NEW(s->arena, driver_info);

	MODEL_SET(driver_info, d, detected, true);
	MODEL_SET(driver_info, d, healthy, healthy);
	objmap_set(s->arena, &node->drivers, name, d);
}

/* What an operator gives a machine, and may change later. */
static void set_properties(struct sim *s, struct node *node)
{
	static const char *const racks[] = {"r0", "r1", "r2", "r3"};
	static const char *const kernels[] = {"4.19.0", "5.10.0", "6.1.0-rc1", "6.1.0"};
	static const char *const pools[] = {"default", "default", "default", "gpu"};
	static const char *const features[] = {"a,b", "b, c", "a,b,c", ""};

	node->meta = (struct strmap){0};
	if (s->alike) {
		strmap_set(s->arena, &node->meta, "rack", sim_chance(s, 0.5) ? "r0" : "r1");
		strmap_set(s->arena, &node->meta, "features", "a,b");
		strmap_set(s->arena, &node->attributes, "kernel.version", "5.10.0");
		MODEL_SET(node, node, node_class, "");
		MODEL_SET(node, node, node_pool, "default");
		node->drivers = (struct objmap){0};
		add_driver(s, node, "raw_exec", true);
		return;
	}
	if (sim_chance(s, 0.9))
		strmap_set(s->arena, &node->meta, "rack", SIM_PICK(s, racks));
	if (sim_chance(s, 0.5))
		strmap_set(s->arena, &node->meta, "slots", sim_chance(s, 0.5) ? "8" : "16");
	strmap_set(s->arena, &node->meta, "features", SIM_PICK(s, features));
	strmap_set(s->arena, &node->attributes, "kernel.version", SIM_PICK(s, kernels));
	MODEL_SET(node, node, node_class, sim_chance(s, 0.5) ? "small" : "");
	MODEL_SET(node, node, node_pool, SIM_PICK(s, pools));
	node->drivers = (struct objmap){0};
	add_driver(s, node, "raw_exec", sim_chance(s, 0.95));
	if (sim_chance(s, 0.5))
		add_driver(s, node, "exec", sim_chance(s, 0.8));
	node->host_volumes = (struct objmap){0};
	if (sim_chance(s, 0.5)) {
		struct host_volume *v = MODEL_NEW(s->arena, host_volume);

		MODEL_SET(host_volume, v, name, "data");
		MODEL_SET(host_volume, v, path, "/srv/data");
		MODEL_SET(host_volume, v, read_only, sim_chance(s, 0.4));
		objmap_set(s->arena, &node->host_volumes, "data", v);
	}
}

static struct node_resources *make_resources(struct sim *s)
{
	struct node_resources *r = MODEL_NEW(s->arena, node_resources);

	r->cpu = MODEL_NEW(s->arena, node_cpu);
	MODEL_SET(node_cpu, r->cpu, cpu_shares, 1000 + 1000 * (int64_t)sim_below(s, 6));
	r->memory = MODEL_NEW(s->arena, node_memory);
	MODEL_SET(node_memory, r->memory, memory_mb, 1024 + 1024 * (int64_t)sim_below(s, 6));
	r->disk = MODEL_NEW(s->arena, node_disk);
	MODEL_SET(node_disk, r->disk, disk_mb, 5000 + 5000 * (int64_t)sim_below(s, 4));
	MODEL_SET(node_resources, r, min_dynamic_port, 20000);
	MODEL_SET(node_resources, r, max_dynamic_port, 20000 + 7 + (int64_t)sim_below(s, 40));
	return r;
}

static struct node *make_node(struct sim *s, uint32_t n)
{
	struct node *node = MODEL_NEW(s->arena, node);
	struct node_reserved *reserved = MODEL_NEW(s->arena, node_reserved);
	static const char *const arch[] = {"amd64", "amd64", "arm64"};

	MODEL_SET(node, node, id, arena_strdup(s->arena, s->clients[n].id));
	MODEL_SET(node, node, secret_id, arena_strdup(s->arena, s->clients[n].secret));
	MODEL_SET(node, node, name, arena_printf(s->arena, "node-%u", n));
	MODEL_SET(node, node, datacenter, n % 5 == 4 ? "dc2" : "dc1");
	MODEL_SET(node, node, http_addr, arena_printf(s->arena, "127.0.0.1:%u", 10000 + n));
	strmap_set(s->arena, &node->attributes, "kernel.name", "linux");
	strmap_set(s->arena, &node->attributes, "cpu.arch", s->alike ? "amd64" : SIM_PICK(s, arch));
	strmap_set(s->arena, &node->attributes, "unique.hostname", node->name);
	set_properties(s, node);
	MODEL_SET(node, node, node_resources, make_resources(s));
	reserved->cpu = MODEL_NEW(s->arena, node_cpu);
	MODEL_SET(node_cpu, reserved->cpu, cpu_shares, 100 * (int64_t)sim_below(s, 3));
	reserved->networks = MODEL_NEW(s->arena, node_reserved_networks);
	MODEL_SET(node_reserved_networks, reserved->networks, reserved_host_ports, "22,20003-20004");
	MODEL_SET(node, node, reserved_resources, reserved);
	if (sim_chance(s, 0.2))
		MODEL_SET(node, node, node_max_allocs, 2 + (int64_t)sim_below(s, 8));
	return node;
}

static void new_identity(struct sim *s, uint32_t client)
{
	struct client_sim *c = &s->clients[client];
	struct uuid seed = {s->seed + 77, s->n_identities + 1};

	if (s->n_identities == s->cap_identities) {
		s->cap_identities = s->cap_identities ? 2 * s->cap_identities : 16;
		s->identities = xrealloc(s->identities, s->cap_identities, sizeof(*s->identities));
	}
	c->identity = s->n_identities++;
	uuid_format(uuid_derive(seed, 0), c->id);
	uuid_format(uuid_derive(seed, 1), c->secret);
	struct node_sim *i = &s->identities[c->identity];

	*i = (struct node_sim){.id = uuid_derive(seed, 0), .client = client, .bound = NEVER, .drain.late_since = NEVER};
	i->node = make_node(s, client);
}

void machines_new(struct sim *s)
{
	s->alike = sim_chance(s, 0.3);
	s->n_clients = 1 + (uint32_t)sim_below(s, sim_chance(s, 0.1) ? SIM_MACHINES : 12);
	s->clients = xcalloc(s->n_clients, sizeof(*s->clients));
	for (uint32_t i = 0; i < s->n_clients; i++) {
		new_identity(s, i);
		s->clients[i].in_consul = sim_chance(s, 0.8);
		sim_event(s, sim_event_new(s, EVENT_CLIENT_BEAT, i), s->now + sim_between(s, 0, 3 * SECOND));
	}
}

struct node_sim *identity_of(struct sim *s, const char *id)
{
	for (uint32_t i = s->n_identities; i-- > 0;)
		if (str_eq(s->identities[i].node->id, id))
			return &s->identities[i];
	return NULL;
}

void machine_change(struct sim *s, uint32_t client)
{
	struct client_sim *c = &s->clients[client];
	struct node_sim *i = &s->identities[c->identity];
	struct node *node = model_copy(s->arena, &type_node, i->node);

	/* A node that has less than it gave away is another story: amounts only grow. */
	if (sim_chance(s, 0.3)) {
		struct node_resources *r = node->node_resources;

		MODEL_SET(node_cpu, r->cpu, cpu_shares, r->cpu->cpu_shares + 1000);
		MODEL_SET(node_memory, r->memory, memory_mb, r->memory->memory_mb + 1024);
	} else {
		set_properties(s, node);
	}
	i->node = node;
	c->registered = false;
	sim_say(s, "node-%u changes", client);
}

void machine_replace(struct sim *s, uint32_t client)
{
	struct client_sim *c = &s->clients[client];

	if (s->n_identities > 3 * SIM_MACHINES)
		return;
	c->n_allocs = 0;
	c->work_index = c->told = 0;
	c->registered = false;
	c->life++;
	c->up = false;
	new_identity(s, client);
	sim_say(s, "node-%u comes back as %.8s", client, c->id);
}
