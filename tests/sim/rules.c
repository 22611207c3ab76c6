/*
 * rules: what an allocation asks for, what a node has, and whether the two go together, worked out from the specs alone:
 * the same questions as sched/ask, feasible, constraint and fit answer, in other words.
 */
#include "sched/state.h"
#include "tests/sim/sim.h"

bool rules_live(const struct alloc *a)
{
	return a->observed == OBSERVED_PENDING || a->observed == OBSERVED_RUNNING || a->observed == OBSERVED_UNKNOWN;
}

bool rules_holds(const struct alloc *a)
{
	return a->observed != OBSERVED_COMPLETE && a->observed != OBSERVED_FAILED;
}

bool rules_runs(const struct alloc *a)
{
	return rules_live(a) && a->desired == DESIRED_RUN;
}

/* ---- amounts ---- */

static void add(struct amounts *to, const struct amounts *x)
{
	to->cpu += x->cpu;
	to->memory += x->memory;
	to->disk += x->disk;
}

struct amounts rules_ask(const struct task_group *g)
{
	struct amounts before = {0}, main = {0}, after = {0}, always = {0};

	OBJS_EACH (&g->tasks, struct task, t) {
		const struct lifecycle *l = t->lifecycle;
		struct amounts x = {t->resources->cpu, t->resources->memory_mb, 0};

		if (l && l->sidecar)
			add(&always, &x);
		else if (l && str_eq(l->hook, "prestart"))
			add(&before, &x);
		else if (l && str_eq(l->hook, "poststop"))
			add(&after, &x);
		else
			add(&main, &x);
	}
	return (struct amounts){always.cpu + MAX(main.cpu, MAX(before.cpu, after.cpu)),
	    always.memory + MAX(main.memory, MAX(before.memory, after.memory)), g->ephemeral_disk->size_mb};
}

struct amounts rules_room(const struct node *n)
{
	const struct node_resources *r = n->node_resources;
	const struct node_reserved *kept = n->reserved_resources;

	return (struct amounts){r->cpu->cpu_shares - (kept && kept->cpu ? kept->cpu->cpu_shares : 0),
	    r->memory->memory_mb - (kept && kept->memory ? kept->memory->memory_mb : 0),
	    r->disk->disk_mb - (kept && kept->disk ? kept->disk->disk_mb : 0)};
}

uint32_t rules_ports(const struct task_group *g, struct port **out, uint32_t max)
{
	uint32_t n = 0;

	OBJS_EACH (&g->networks, struct network, net) {
		OBJS_EACH (&net->reserved_ports, struct port, r)
			if (n < max)
				out[n++] = r;
		OBJS_EACH (&net->dynamic_ports, struct port, d)
			if (n < max)
				out[n++] = d;
	}
	return n;
}

/* ---- loads ---- */

static bool add_load(void *arg, struct alloc *a)
{
	struct loads *l = arg;
	struct port *asked[8];

	if (!a->node || !rules_holds(a))
		return true;
	const struct task_group *g = a->version->spec->task_groups.v[a->group];
	struct load *x = &l->of[a->node->slot];
	struct amounts ask = rules_ask(g);
	uint32_t n = rules_ports(g, asked, ARRAY_LEN(asked));

	add(&x->used, &ask);
	x->n++;
	for (uint32_t i = 0; i < n && a->ports; i++) {
		if (x->n_ports == x->cap_ports) {
			x->cap_ports = x->cap_ports ? 2 * x->cap_ports : 16;
			x->ports = xrealloc(x->ports, x->cap_ports, sizeof(*x->ports));
		}
		x->ports[x->n_ports++] = a->ports[i].value;
	}
	return true;
}

void rules_loads(struct sim *s, struct loads *out)
{
	const struct state *st = core_state(s->core);

	*out = (struct loads){.n = st->cap_nodes, .of = xcalloc(st->cap_nodes + 1, sizeof(*out->of))};
	state_each_alloc(st, add_load, out);
}

void rules_take_away(struct load *l, const struct alloc *a)
{
	struct port *asked[8];
	const struct task_group *g = a->version->spec->task_groups.v[a->group];
	struct amounts had = rules_ask(g);
	uint32_t n = rules_ports(g, asked, ARRAY_LEN(asked));

	l->used.cpu -= had.cpu;
	l->used.memory -= had.memory;
	l->used.disk -= had.disk;
	l->n--;
	for (uint32_t i = 0; i < n && a->ports; i++)
		for (uint32_t k = 0; k < l->n_ports; k++)
			if (l->ports[k] == a->ports[i].value) {
				uint16_t last = l->ports[--l->n_ports];

				l->ports[l->n_ports] = l->ports[k];
				l->ports[k] = last;
				break;
			}
}

void rules_loads_free(struct loads *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->of[i].ports);
	free(l->of);
}

/* ---- the verdict ---- */

static bool in_datacenter(const struct job *j, const struct node *n)
{
	for (uint32_t i = 0; i < j->datacenters.n; i++)
		if (str_eq(j->datacenters.v[i], n->datacenter) ||
		    (str_eq(j->datacenters.v[i], "dc*") && str_starts(n->datacenter, "dc")))
			return true;
	return false;
}

static bool in_pool(const struct job *j, const struct node *n)
{
	const char *want = str_empty(j->node_pool) ? "default" : j->node_pool;

	return str_eq(want, "all") || str_eq(want, str_empty(n->node_pool) ? "default" : n->node_pool);
}

static bool is_distinct(const struct constraint *c)
{
	return str_starts(c->operand, "distinct_");
}

static bool conditions_hold(const struct objs *list, const struct node *n)
{
	OBJS_EACH (list, struct constraint, c)
		if (!is_distinct(c) && !shape_holds(c, n))
			return false;
	return true;
}

static bool has_driver(const struct node *n, const char *name)
{
	const struct driver_info *d = objmap_get(&n->drivers, name);

	return d && d->detected && d->healthy;
}

static bool has_volumes(const struct task_group *g, const struct node *n)
{
	for (uint32_t i = 0; i < g->volumes.n; i++) {
		const struct volume_request *v = g->volumes.v[i].value;
		const struct host_volume *h = objmap_get(&n->host_volumes, v->source);

		if (!h || (h->read_only && !v->read_only))
			return false;
	}
	return true;
}

static const char *condition_verdict(const struct job *spec, const struct task_group *g, const struct node_entry *n)
{
	if (!in_datacenter(spec, n->spec))
		return "datacenter";
	if (!in_pool(spec, n->spec))
		return "node-pool";
	if (n->status != NODE_READY)
		return "node-down";
	if (n->draining)
		return "node-draining";
	if (!n->eligible)
		return "node-ineligible";
	if (!conditions_hold(&spec->constraints, n->spec) || !conditions_hold(&g->constraints, n->spec))
		return "constraint";
	OBJS_EACH (&g->tasks, struct task, t)
		if (!conditions_hold(&t->constraints, n->spec))
			return "constraint";
	OBJS_EACH (&g->tasks, struct task, u)
		if (!has_driver(n->spec, u->driver))
			return "driver";
	return has_volumes(g, n->spec) ? NULL : "volume";
}

/* Allocations of the job, or of one of its groups, on nodes that have this rack, or on this node. */
static int64_t count_running(const struct job_entry *j, const char *group, const struct node_entry *on, const char *rack,
    const struct alloc *but)
{
	int64_t n = 0;

	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		n += a != but && rules_runs(a) && !away_is_shadow(a) && a->node && (!group || str_eq(alloc_group(a)->name, group)) &&
		    (!on || a->node == on) && (!rack || str_eq(strmap_get(&a->node->spec->meta, "rack"), rack));
	return n;
}

static const char *distinct_verdict(const struct objs *list, const struct job_entry *j, const char *group,
    const struct node_entry *n, const struct alloc *but, const char *operand)
{
	OBJS_EACH (list, struct constraint, c) {
		const char *rack = strmap_get(&n->spec->meta, "rack");
		int64_t allowed = str_empty(c->rtarget) ? 1 : atoll(c->rtarget);

		if (!str_eq(c->operand, operand))
			continue;
		if (str_eq(operand, "distinct_hosts")) {
			if (!str_eq(c->rtarget, "false") && count_running(j, group, n, NULL, but))
				return "distinct-hosts";
		} else if (!rack || count_running(j, group, NULL, rack, but) >= allowed) {
			return "distinct-property";
		}
	}
	return NULL;
}

static bool taken(const struct load *l, int64_t port)
{
	for (uint32_t i = 0; i < l->n_ports; i++)
		if (l->ports[i] == port)
			return true;
	return port == 22 || port == 20003 || port == 20004;
}

static bool ports_fit(const struct load *l, const struct task_group *g, const struct node *n)
{
	const struct node_resources *r = n->node_resources;
	struct port *asked[8];
	uint32_t want = rules_ports(g, asked, ARRAY_LEN(asked)), dynamic = 0, open = 0;

	for (uint32_t i = 0; i < want; i++) {
		if (asked[i]->value && taken(l, asked[i]->value))
			return false;
		dynamic += !asked[i]->value;
	}
	for (int64_t p = r->min_dynamic_port; p <= r->max_dynamic_port; p++) {
		bool mine = false;

		for (uint32_t i = 0; i < want; i++)
			mine = mine || asked[i]->value == p;
		open += !mine && !taken(l, p);
	}
	return open >= dynamic;
}

static const char *room_verdict(const struct load *l, const struct task_group *g, const struct node *n, int64_t *short_by)
{
	struct amounts ask = rules_ask(g), room = rules_room(n);
	const struct {
		const char *code;
		int64_t missing;
	} amounts[] = {
	    {"cpu", l->used.cpu + ask.cpu - room.cpu},
	    {"memory", l->used.memory + ask.memory - room.memory},
	    {"disk", l->used.disk + ask.disk - room.disk},
	};

	for (size_t i = 0; i < ARRAY_LEN(amounts); i++)
		if (amounts[i].missing > 0) {
			*short_by = amounts[i].missing;
			return amounts[i].code;
		}
	if (!ports_fit(l, g, n))
		return "ports";
	return n->node_max_allocs > 0 && l->n >= n->node_max_allocs ? "max-allocations" : NULL;
}

const char *rules_verdict(struct sim *s, const struct loads *l, const struct job_entry *j, const struct job *spec,
    const struct task_group *g, const struct node_entry *n, const struct alloc *but, bool room, int64_t *short_by)
{
	int64_t unused;
	const char *v = condition_verdict(spec, g, n);

	(void)s;
	if (!v)
		v = distinct_verdict(&spec->constraints, j, NULL, n, but, "distinct_hosts");
	if (!v)
		v = distinct_verdict(&g->constraints, j, g->name, n, but, "distinct_hosts");
	if (!v)
		v = distinct_verdict(&spec->constraints, j, NULL, n, but, "distinct_property");
	if (!v)
		v = distinct_verdict(&g->constraints, j, g->name, n, but, "distinct_property");
	if (!v && room)
		v = room_verdict(&l->of[n->slot], g, n->spec, short_by ? short_by : &unused);
	return v;
}
