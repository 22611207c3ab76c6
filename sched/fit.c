/*
 * fit: whether an allocation fits on a node, and which ports it gets. A port set is a small open-addressed table of
 * ports and how often each was added: a node has dozens of ports taken, not thousands, and there are many nodes.
 */
#include "sched/fit.h"

#include <errno.h>

struct port_slot {
	uint16_t port, count; /* count 0: free slot */
};

struct port_set {
	struct port_slot *slots;
	uint32_t cap, n; /* cap is 0 or a power of two; n distinct ports */
};

#define UNLIMITED        (INT64_C(1) << 40) /* allocations on a node */
#define PORT_MAX         65535
#define DYNAMIC_PORT_MIN 20000
#define DYNAMIC_PORT_MAX 32000

const char *const fit_dimension_names[] = {
    "", "cpu", "memory", "disk", "ports", "devices", "max allocations", NULL};

struct port_set *port_set_new(void)
{
	return xcalloc(1, sizeof(struct port_set));
}

struct port_set *port_set_copy(const struct port_set *p)
{
	struct port_set *copy = port_set_new();
	if (!p || !p->cap)
		return copy;
	*copy = *p;
	copy->slots = xcalloc(p->cap, sizeof(*p->slots));
	memcpy(copy->slots, p->slots, p->cap * sizeof(*p->slots));
	return copy;
}

void port_set_free(struct port_set *p)
{
	if (p)
		free(p->slots);
	free(p);
}

static uint32_t slot_of(const struct port_set *p, uint16_t port)
{
	uint32_t i = (port * 2654435761u >> 7) & (p->cap - 1);
	while (p->slots[i].count && p->slots[i].port != port)
		i = (i + 1) & (p->cap - 1);
	return i;
}

static void grow(struct port_set *p)
{
	struct port_set old = *p;
	p->cap = old.cap ? old.cap * 2 : 8;
	p->slots = xcalloc(p->cap, sizeof(*p->slots));
	for (uint32_t i = 0; i < old.cap; i++)
		if (old.slots[i].count)
			p->slots[slot_of(p, old.slots[i].port)] = old.slots[i];
	free(old.slots);
}

void port_set_add(struct port_set *p, uint16_t port)
{
	if ((p->n + 1) * 4 > p->cap * 3)
		grow(p);
	struct port_slot *s = &p->slots[slot_of(p, port)];
	if (!s->count)
		p->n++;
	s->port = port;
	if (s->count < UINT16_MAX)
		s->count++;
}

void port_set_remove(struct port_set *p, uint16_t port)
{
	if (!p->cap)
		return;
	uint32_t i = slot_of(p, port);
	if (!p->slots[i].count || --p->slots[i].count)
		return;
	p->n--;
	/* Whatever lay behind it may have been pushed on by it: put the run in again. */
	for (uint32_t k = (i + 1) & (p->cap - 1); p->slots[k].count; k = (k + 1) & (p->cap - 1)) {
		struct port_slot moved = p->slots[k];
		p->slots[k] = (struct port_slot){0};
		p->slots[slot_of(p, moved.port)] = moved;
	}
}

bool port_set_has(const struct port_set *p, uint16_t port)
{
	return p && p->n && p->slots[slot_of(p, port)].count;
}

static int read_port(const char **s, const char *spec, long *out, struct err *e)
{
	char *end;
	if (**s < '0' || **s > '9')
		return err_set(e, -EINVAL, "ports \"%.200s\": expected a port number at \"%.20s\"", spec, *s);
	*out = strtol(*s, &end, 10);
	if (*out < 0 || *out > PORT_MAX)
		return err_set(e, -EINVAL, "ports \"%.200s\": port must be at most 65535", spec);
	*s = end + strspn(end, " ");
	return 0;
}

int port_set_add_spec(struct port_set *p, const char *spec, struct err *e)
{
	const char *s = spec ? spec + strspn(spec, " ") : "";
	while (*s) {
		long first, last;
		int r = read_port(&s, spec, &first, e);
		if (r)
			return r;
		last = first;
		if (*s == '-') {
			s += 1 + strspn(s + 1, " ");
			r = read_port(&s, spec, &last, e);
			if (r)
				return r;
			if (last < first)
				return err_set(e, -EINVAL, "ports \"%.200s\": the range %ld-%ld runs backwards", spec,
				    first, last);
		}
		for (long port = first; port <= last; port++)
			port_set_add(p, (uint16_t)port);
		if (*s && *s != ',')
			return err_set(e, -EINVAL, "ports \"%.200s\": expected a comma at \"%.20s\"", spec, s);
		s += *s ? 1 + strspn(s + 1, " ") : 0;
	}
	return 0;
}

int fit_node_totals(const struct node *n, struct amount *total, struct port_set *ports, struct err *e)
{
	const struct node_resources *r = n->node_resources;
	const struct node_reserved *v = n->reserved_resources;
	struct amount t = {
	    .cpu = (r && r->cpu ? r->cpu->cpu_shares : 0) - (v && v->cpu ? v->cpu->cpu_shares : 0),
	    .memory = (r && r->memory ? r->memory->memory_mb : 0) - (v && v->memory ? v->memory->memory_mb : 0),
	    .disk = (r && r->disk ? r->disk->disk_mb : 0) - (v && v->disk ? v->disk->disk_mb : 0),
	    .allocs = n->node_max_allocs > 0 ? n->node_max_allocs : UNLIMITED,
	};
	int rc = v && v->networks ? port_set_add_spec(ports, v->networks->reserved_host_ports, e) : 0;
	for (uint32_t i = 0; !rc && i < n->host_networks.n; i++)
		rc = port_set_add_spec(ports, ((struct host_network *)n->host_networks.v[i].value)->reserved_ports, e);
	for (uint32_t i = 0; !rc && r && i < r->node_networks.n; i++) {
		const struct node_network *net = r->node_networks.v[i];
		for (uint32_t k = 0; !rc && k < net->addresses.n; k++)
			rc = port_set_add_spec(
			    ports, ((struct node_network_address *)net->addresses.v[k])->reserved_ports, e);
	}
	if (rc)
		return rc;
	*total = t;
	return 0;
}

/* ---- ports ---- */

struct picker {
	const struct port_set *node, *extra, *freed;
	const struct group_ask *ask;
	const struct port_grant *grants; /* those below n are chosen; NULL: nobody wants to know */
	uint32_t n;
	uint32_t min, max;
	uint64_t *own; /* one bit for each port asked for or chosen; NULL: there are few, and looking through them is cheaper */
};

enum { FEW_PORTS = 16, PORT_WORDS = (PORT_MAX + 1) / 64 };

static void mark_own(struct picker *p, uint16_t port)
{
	if (p->own)
		p->own[port / 64] |= UINT64_C(1) << (port % 64);
}

static bool is_asked_statically(const struct group_ask *ask, uint16_t port)
{
	for (uint32_t i = 0; i < ask->n_ports; i++)
		if (ask->ports[i].value == port)
			return true;
	return false;
}

static bool is_taken(const struct picker *p, uint16_t port)
{
	if (port_set_has(p->node, port) || port_set_has(p->extra, port))
		return true;
	if (p->own)
		return p->own[port / 64] >> (port % 64) & 1;
	if (is_asked_statically(p->ask, port))
		return true;
	for (uint32_t i = 0; p->grants && i < p->n; i++)
		if (p->grants[i].value == port)
			return true;
	return false;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* 0 when the range is used up. Ports that the same plan frees are taken only when there is no other. */
static uint16_t pick_dynamic(const struct picker *p, uint64_t pick)
{
	uint32_t range = p->max - p->min + 1, second_best = 0;
	uint32_t start = (uint32_t)(mix(pick + p->n * UINT64_C(0x9e3779b97f4a7c15)) % range);
	for (uint32_t i = 0; i < range; i++) {
		uint16_t port = (uint16_t)(p->min + (start + i) % range);
		if (is_taken(p, port))
			continue;
		if (!port_set_has(p->freed, port))
			return port;
		if (!second_best)
			second_best = port;
	}
	return (uint16_t)second_best;
}

static uint32_t free_dynamic(const struct picker *p, uint32_t enough)
{
	if (enough > p->max - p->min + 1)
		return p->max - p->min + 1; /* whatever is taken of them */
	uint32_t taken = (p->node ? p->node->n : 0) + (p->extra ? p->extra->n : 0) + p->ask->n_ports;
	if (taken + enough <= p->max - p->min + 1)
		return enough;
	uint32_t n = 0;
	for (uint32_t port = p->min; port <= p->max && n < enough; port++)
		n += !is_taken(p, (uint16_t)port);
	return n;
}

static struct fit_result no_port(const struct port_ask *ask, int64_t short_by)
{
	return (struct fit_result){.dimension = FIT_PORTS, .short_by = short_by, .port = ask};
}

const char *fit_text(struct arena *a, const struct fit_result *f)
{
	if (f->dimension != FIT_PORTS || !f->port)
		return fit_dimension_names[f->dimension];
	if (!f->port->value)
		return "network: dynamic port selection failed";
	return arena_printf(a, "network: reserved port collision %s=%u", f->port->label, f->port->value);
}

static struct fit_result check_ports(const struct node_entry *node, const struct group_ask *ask,
    const struct port_set *extra, const struct port_set *freed, uint64_t pick, struct port_grant *grants)
{
	const struct node_resources *r = node->spec->node_resources;
	struct picker p = {.node = node->ports, .extra = extra, .freed = freed, .ask = ask, .grants = grants,
	    .min = r && r->min_dynamic_port > 0 ? (uint32_t)r->min_dynamic_port : DYNAMIC_PORT_MIN,
	    .max = r && r->max_dynamic_port > 0 ? (uint32_t)r->max_dynamic_port : DYNAMIC_PORT_MAX};
	uint64_t own[PORT_WORDS];
	uint32_t dynamic = 0;
	const struct port_ask *last = NULL;
	if (ask->n_ports > FEW_PORTS)
		p.own = memset(own, 0, sizeof(own));
	if (p.max > PORT_MAX)
		p.max = PORT_MAX;
	if (p.min > p.max)
		p.min = p.max;
	for (uint32_t i = 0; i < ask->n_ports; i++) {
		const struct port_ask *a = &ask->ports[i];
		if (!a->value)
			dynamic++, last = a;
		else if (!a->ignore_collision && (port_set_has(p.node, a->value) || port_set_has(extra, a->value)))
			return no_port(a, 1);
		if (a->value)
			mark_own(&p, a->value);
	}
	uint32_t room = dynamic ? free_dynamic(&p, dynamic) : 0;
	if (room < dynamic)
		return no_port(last, dynamic - room);
	for (; grants && p.n < ask->n_ports; p.n++) {
		uint16_t port = ask->ports[p.n].value ? ask->ports[p.n].value : pick_dynamic(&p, pick);
		if (!port)
			return no_port(&ask->ports[p.n], 1);
		grants[p.n].value = port;
		mark_own(&p, port);
	}
	return (struct fit_result){FIT_OK, 0, NULL};
}

struct fit_result fit_check(const struct node_entry *node, const struct group_ask *ask, struct amount extra,
    const struct port_set *extra_ports, const struct port_set *freed_ports, uint64_t pick, struct port_grant *grants)
{
	int64_t cpu = node->used.cpu + extra.cpu + ask->amount.cpu - node->total.cpu;
	int64_t memory = node->used.memory + extra.memory + ask->amount.memory - node->total.memory;
	int64_t disk = node->used.disk + extra.disk + ask->amount.disk - node->total.disk;
	if (cpu > 0)
		return (struct fit_result){FIT_CPU, cpu, NULL};
	if (memory > 0)
		return (struct fit_result){FIT_MEMORY, memory, NULL};
	if (disk > 0)
		return (struct fit_result){FIT_DISK, disk, NULL};
	if (ask->n_ports) {
		struct fit_result r = check_ports(node, ask, extra_ports, freed_ports, pick, grants);
		if (r.dimension != FIT_OK)
			return r;
	}
	/* Instances of devices are not handed out: what asks for one waits, and says so. */
	if (ask->has_devices)
		return (struct fit_result){FIT_DEVICES, 1, NULL};
	if (node->used.allocs + extra.allocs + ask->amount.allocs > node->total.allocs)
		return (struct fit_result){FIT_MAX_ALLOCS, 1, NULL};
	return (struct fit_result){FIT_OK, 0, NULL};
}
