/* feasible: the tests of a group, compiled once, and the answers of node classes. */
#include "sched/feasible.h"

#include <fnmatch.h>

const char *const filter_codes[FILTER_KINDS] = {"", "node-down", "node-ineligible", "node-draining", "datacenter",
    "node-pool", "constraint", "driver", "volume", "network", "cores", "distinct-hosts", "distinct-property"};

/* Of by_class: the number of a condition that does not hold, or of a task whose driver is missing, is added. */
#define UNKNOWN      0u
#define PASSES       1u
#define NO_CONDITION 2u
#define NO_DRIVER    0x8000u

static void add_test(struct feasible *f, const struct constraint *c, bool of_job)
{
	struct answer *x = answers_of(f->state->answers, c->ltarget, c->operand, c->rtarget);
	if (x->test.op == CONSTRAINT_DISTINCT_HOSTS) {
		bool on = !str_eq(c->rtarget, "false");
		f->distinct_hosts_job = f->distinct_hosts_job || (on && of_job);
		f->distinct_hosts_group = f->distinct_hosts_group || (on && !of_job);
	} else if (x->test.op == CONSTRAINT_DISTINCT_PROPERTY) {
		int64_t allowed = str_empty(c->rtarget) ? 1 : strtoll(c->rtarget, NULL, 10);
		f->properties[f->n_properties++] = (struct distinct_property){c->ltarget, MAX(allowed, 1), of_job};
	} else {
		f->tests[f->n_tests++] = x;
		f->unique = f->unique || x->unique;
	}
}

void feasible_init(struct feasible *f, const struct state *s, const struct job_version *v, uint32_t group, struct arena *a)
{
	const struct job *j = v->spec;
	const struct task_group *g = j->task_groups.v[group];
	uint32_t n = j->constraints.n + g->constraints.n;
	*f = (struct feasible){.state = s, .job = j, .group = g, .cores = v->asks[group].cores};
	OBJS_EACH (&g->tasks, struct task, t)
		n += t->constraints.n;
	f->tests = arena_alloc(a, (n + 1) * sizeof(*f->tests));
	f->drivers = arena_alloc(a, (g->tasks.n + 1) * sizeof(*f->drivers));
	f->properties = arena_alloc(a, (n + 1) * sizeof(*f->properties));
	OBJS_EACH (&j->constraints, struct constraint, jc)
		add_test(f, jc, true);
	OBJS_EACH (&g->constraints, struct constraint, gc)
		add_test(f, gc, false);
	OBJS_EACH (&g->tasks, struct task, task) {
		f->drivers[task_i] = answers_of_driver(s->answers, task->driver);
		OBJS_EACH (&task->constraints, struct constraint, tc)
			add_test(f, tc, false);
	}
	f->n_classes = s->classes.n;
	f->by_class = arena_alloc(a, (f->n_classes + 1) * sizeof(*f->by_class));
	f->n_dcs = s->datacenters.n;
	f->by_dc = arena_alloc(a, f->n_dcs + 1);
	f->n_pools = s->pools.n;
	f->by_pool = arena_alloc(a, f->n_pools + 1);
}

static bool is_datacenter(const struct job *j, const char *dc)
{
	for (uint32_t i = 0; i < j->datacenters.n; i++) {
		const char *want = j->datacenters.v[i];
		if (strcmp(want, dc) == 0 || (strpbrk(want, "*?[") && fnmatch(want, dc, 0) == 0))
			return true;
	}
	return false;
}

static bool is_pool(const struct job *j, const char *pool)
{
	const char *want = str_empty(j->node_pool) ? "default" : j->node_pool;
	return strcmp(want, "all") == 0 || strcmp(want, str_empty(pool) ? "default" : pool) == 0;
}

enum filter_kind feasible_place(struct feasible *f, const struct node_entry *n)
{
	if (n->dc_id >= f->n_dcs || n->pool_id >= f->n_pools)
		return FILTER_DATACENTER; /* it came after f was made: cannot be */
	uint8_t *dc = &f->by_dc[n->dc_id], *pool = &f->by_pool[n->pool_id];
	if (!*dc)
		*dc = is_datacenter(f->job, n->spec->datacenter ? n->spec->datacenter : "") ? 1 : 2;
	if (*dc == 2)
		return FILTER_DATACENTER;
	if (!*pool)
		*pool = is_pool(f->job, n->spec->node_pool) ? 1 : 2;
	return *pool == 1 ? FILTER_NONE : FILTER_POOL;
}

enum filter_kind feasible_node(struct feasible *f, const struct node_entry *n)
{
	enum filter_kind place = feasible_place(f, n);
	if (place != FILTER_NONE)
		return place;
	if (n->status != NODE_READY)
		return FILTER_DOWN;
	if (n->draining)
		return FILTER_DRAINING;
	return n->eligible ? FILTER_NONE : FILTER_INELIGIBLE;
}

static bool has_volumes(const struct task_group *g, const struct node *n)
{
	for (uint32_t i = 0; i < g->volumes.n; i++) {
		const struct volume_request *v = g->volumes.v[i].value;
		const struct host_volume *h = str_eq(v->type, "host") ? objmap_get(&n->host_volumes, v->source) : NULL;
		if (!h || (h->read_only && !v->read_only))
			return false;
	}
	return true;
}

static bool has_host_network(const struct node *n, const char *name)
{
	if (str_empty(name) || str_eq(name, "default") || objmap_get(&n->host_networks, name))
		return true;
	if (!n->node_resources)
		return false;
	OBJS_EACH (&n->node_resources->node_networks, struct node_network, net)
		OBJS_EACH (&net->addresses, struct node_network_address, addr)
			if (str_eq(addr->alias, name))
				return true;
	return false;
}

static bool has_mode(const struct node *n, const char *mode)
{
	if (str_empty(mode) || str_eq(mode, "host") || str_eq(mode, "none"))
		return true;
	if (!n->node_resources)
		return false;
	OBJS_EACH (&n->node_resources->networks, struct network, net)
		if (str_eq(net->mode, mode))
			return true;
	OBJS_EACH (&n->node_resources->node_networks, struct node_network, nn)
		if (str_eq(nn->mode, mode))
			return true;
	return false;
}

static bool has_networks(const struct task_group *g, const struct node *n)
{
	OBJS_EACH (&g->networks, struct network, net) {
		if (!has_mode(n, net->mode))
			return false;
		OBJS_EACH (&net->reserved_ports, struct port, r)
			if (!has_host_network(n, r->host_network))
				return false;
		OBJS_EACH (&net->dynamic_ports, struct port, d)
			if (!has_host_network(n, d->host_network))
				return false;
	}
	return true;
}

static int64_t cores_of(const struct node *n)
{
	const struct node_resources *r = n->node_resources;
	return r && r->cpu ? r->cpu->total_cpu_cores : 0;
}

static uint32_t ask_class(const struct feasible *f, const struct node_entry *n)
{
	for (uint32_t i = 0; i < f->n_tests; i++)
		if (!answer_holds(f->tests[i], n))
			return NO_CONDITION + i;
	for (uint32_t i = 0; i < f->group->tasks.n; i++)
		if (!answer_holds(f->drivers[i], n))
			return NO_DRIVER + i;
	return PASSES;
}

struct filter feasible_check(struct feasible *f, const struct node_entry *n)
{
	bool cached = !f->unique && n->class_id < f->n_classes;
	uint32_t result = cached ? f->by_class[n->class_id] : UNKNOWN;
	if (result == UNKNOWN)
		result = ask_class(f, n);
	if (cached)
		f->by_class[n->class_id] = (uint16_t)result;
	if (result >= NO_DRIVER)
		return (struct filter){FILTER_DRIVER, "missing drivers", f->drivers[result - NO_DRIVER]->driver};
	if (result != PASSES)
		return (struct filter){.kind = FILTER_CONSTRAINT, .text = f->tests[result - NO_CONDITION]->text};
	if (f->group->volumes.n && !has_volumes(f->group, n->spec))
		return (struct filter){.kind = FILTER_VOLUME, .text = "missing compatible host volumes"};
	if (f->group->networks.n && !has_networks(f->group, n->spec))
		return (struct filter){.kind = FILTER_NETWORK, .text = "missing network"};
	if (f->cores && cores_of(n->spec) < f->cores)
		return (struct filter){.kind = FILTER_CORES, .text = "missing cpu cores"};
	return (struct filter){.kind = FILTER_NONE};
}
