/* wanted: pending work by shape, packed into empty nodes like those that are known. */
#include "sched/capacity.h"
#include "sched/feasible.h"
#include "sched/fit.h"
#include "sched/plan.h"
#include "sched/reconcile.h"

#define JOBS_NAMED    10 /* of a shape */
#define CLASSES_NAMED 8
#define PORTS_MAX     2048 /* of one new node */

struct model { /* a known node, as if it were new and empty */
	struct node_entry node;
	struct port_set *ports;
	struct capacity_class *class;
};

struct bin { /* n new nodes that are filled alike */
	uint32_t model;
	int64_t n;
	struct amount used;
	struct port_set *ports; /* static ones that are taken; shared by bins that were one; NULL: none */
	uint32_t dynamic;       /* dynamic ports taken */
};

struct shape {
	uint64_t key;
	struct job_version *version; /* of the first job of it */
	uint32_t group;
	struct wanted_shape *out;
	int64_t each;           /* at most so many on one node, whatever room there is */
	bool *runs_on;          /* by model */
	struct port_ask *ports; /* static ones first, then room for PORTS_MAX dynamic ones */
	uint32_t n_static, n_dynamic;
	bool collides; /* a static port: one to a node */
};

struct packing {
	const struct state *s;
	struct arena *a;
	struct capacity *c;
	struct model *models;
	uint32_t n_models;
	struct shape **shapes;
	uint32_t n_shapes, cap_shapes;
	struct bin *bins;
	uint32_t n_bins, cap_bins;
	struct port_set **sets; /* of bins, to be freed */
	uint32_t n_sets, cap_sets;
};

/* ---- shapes ---- */

/* FNV-1a. What differs is taken for the same once in 2^64 times. */
static void mix(uint64_t *h, const void *p, size_t n)
{
	for (const uint8_t *c = p, *end = c + n; c < end; c++)
		*h = (*h ^ *c) * UINT64_C(0x100000001b3);
}

static void mix_int(uint64_t *h, int64_t x)
{
	mix(h, &x, sizeof(x));
}

static void mix_str(uint64_t *h, const char *s)
{
	mix(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

/* distinct_*: it is one job's affair where its allocations are, so that they cannot be mixed with another's. */
static bool mix_constraints(uint64_t *h, const struct objs *list)
{
	bool distinct = false;

	mix_int(h, list->n);
	OBJS_EACH(list, struct constraint, c) {
		mix_str(h, c->ltarget);
		mix_str(h, c->operand);
		mix_str(h, c->rtarget);
		distinct = distinct || (c->operand && str_starts(c->operand, "distinct_"));
	}
	return distinct;
}

static void mix_networks(uint64_t *h, const struct task_group *g, const struct group_ask *ask)
{
	OBJS_EACH(&g->networks, struct network, net)
		mix_str(h, net->mode);
	mix_int(h, ask->n_ports);
	for (uint32_t i = 0; i < ask->n_ports; i++) {
		mix_int(h, ask->ports[i].value);
		mix_str(h, ask->ports[i].host_network);
		mix_int(h, ask->ports[i].ignore_collision);
	}
}

static void mix_volumes(uint64_t *h, const struct task_group *g)
{
	for (uint32_t i = 0; i < g->volumes.n; i++) {
		const struct volume_request *v = g->volumes.v[i].value;

		mix_str(h, v->type);
		mix_str(h, v->source);
		mix_int(h, v->read_only);
	}
}

/* Of everything that placement looks at. */
static uint64_t key_of(const struct job_version *v, uint32_t group)
{
	const struct job *j = v->spec;
	const struct task_group *g = j->task_groups.v[group];
	const struct group_ask *ask = &v->asks[group];
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	bool distinct;

	mix(&h, &ask->amount, sizeof(ask->amount));
	mix_int(&h, ask->cores);
	mix_int(&h, ask->has_devices);
	mix_str(&h, j->node_pool);
	for (uint32_t i = 0; i < j->datacenters.n; i++)
		mix_str(&h, j->datacenters.v[i]);
	distinct = mix_constraints(&h, &j->constraints);
	distinct = mix_constraints(&h, &g->constraints) || distinct;
	OBJS_EACH(&g->tasks, struct task, t) {
		mix_str(&h, t->driver);
		distinct = mix_constraints(&h, &t->constraints) || distinct;
	}
	mix_networks(&h, g, ask);
	mix_volumes(&h, g);
	if (distinct) {
		mix_str(&h, v->job->ns);
		mix_str(&h, v->job->id);
		mix_int(&h, group);
	}
	return h;
}

static void add_constraints(struct packing *p, struct objs *to, const struct objs *list)
{
	OBJS_EACH(list, struct constraint, c)
		objs_push(p->a, to, c);
}

static void describe(struct packing *p, struct shape *x)
{
	const struct job *j = x->version->spec;
	const struct task_group *g = j->task_groups.v[x->group];
	const struct group_ask *ask = &x->version->asks[x->group];
	struct wanted_shape *o = x->out;

	MODEL_SET(wanted_shape, o, cpu, ask->amount.cpu);
	MODEL_SET(wanted_shape, o, memory_mb, ask->amount.memory);
	MODEL_SET(wanted_shape, o, disk_mb, ask->amount.disk);
	MODEL_SET(wanted_shape, o, cores, ask->cores);
	MODEL_SET(wanted_shape, o, ports, ask->n_ports);
	MODEL_SET(wanted_shape, o, node_pool, str_empty(j->node_pool) ? "default" : j->node_pool);
	o->datacenters = j->datacenters;
	add_constraints(p, &o->constraints, &j->constraints);
	add_constraints(p, &o->constraints, &g->constraints);
	OBJS_EACH(&g->tasks, struct task, t) {
		add_constraints(p, &o->constraints, &t->constraints);
		if (!strs_has(&o->drivers, t->driver))
			strs_push(p->a, &o->drivers, t->driver);
	}
}

static void sort_ports(struct packing *p, struct shape *x)
{
	const struct group_ask *ask = &x->version->asks[x->group];

	if (!ask->n_ports)
		return;
	x->ports = arena_alloc(p->a, (ask->n_ports + PORTS_MAX) * sizeof(*x->ports));
	for (uint32_t i = 0; i < ask->n_ports; i++) {
		if (!ask->ports[i].value)
			x->n_dynamic++;
		else
			x->ports[x->n_static++] = ask->ports[i];
		x->collides = x->collides || (ask->ports[i].value && !ask->ports[i].ignore_collision);
	}
}

/* Which models may run it, and how many of it on one node. */
static void ask_models(struct packing *p, struct shape *x)
{
	struct feasible f;

	feasible_init(&f, p->s, x->version, x->group, p->a);
	x->each = x->collides || f.distinct_hosts_job || f.distinct_hosts_group ? 1 : INT64_MAX;
	/* As if each new node had a value of its own. */
	for (uint32_t i = 0; i < f.n_properties; i++)
		x->each = MIN(x->each, f.properties[i].allowed);
	x->runs_on = arena_alloc(p->a, p->n_models + 1);
	for (uint32_t i = 0; i < p->n_models; i++)
		x->runs_on[i] = feasible_place(&f, &p->models[i].node) == FILTER_NONE &&
				feasible_check(&f, &p->models[i].node).kind == FILTER_NONE;
}

static struct shape *find_shape(struct packing *p, struct job_version *v, uint32_t group)
{
	uint64_t key = key_of(v, group);

	for (uint32_t i = 0; i < p->n_shapes; i++)
		if (p->shapes[i]->key == key)
			return p->shapes[i];
	if (p->n_shapes == CAPACITY_SHAPES)
		return NULL;
	struct shape *x = arena_alloc(p->a, sizeof(*x));

	*x = (struct shape){.key = key, .version = v, .group = group, .out = MODEL_NEW(p->a, wanted_shape)};
	LIST_ADD(p->a, p->shapes, p->n_shapes, p->cap_shapes) = x;
	describe(p, x);
	sort_ports(p, x);
	ask_models(p, x);
	return x;
}

static void add_pending(struct packing *p, struct job_version *v, uint32_t group, int64_t count)
{
	struct shape *x = find_shape(p, v, group);

	MODEL_SET(capacity, p->c, pending, p->c->pending + count);
	if (!x) {
		MODEL_SET(capacity, p->c, more_shapes, p->c->more_shapes + 1);
		return;
	}
	MODEL_SET(wanted_shape, x->out, count, x->out->count + count);
	MODEL_SET(wanted_shape, x->out, n_jobs, x->out->n_jobs + 1);
	if (x->out->jobs.n < JOBS_NAMED && !strs_has(&x->out->jobs, v->job->id))
		strs_push(p->a, &x->out->jobs, v->job->id);
}

static bool add_job(void *arg, struct job_entry *j)
{
	struct packing *p = arg;

	if (j->stop || j->purged || !j->current || (j->type != JOB_SERVICE && j->type != JOB_BATCH))
		return true;
	for (uint32_t i = 0; i < j->current->spec->task_groups.n; i++) {
		const struct group_summary *sum = j->current->summaries[i];

		if (sum && sum->queued)
			add_pending(p, j->current, i, sum->queued);
	}
	return true;
}

/* ---- models ---- */

static void add_model(struct packing *p, const struct node_entry *n, struct capacity_class *class)
{
	struct model *m = &p->models[p->n_models];

	*m = (struct model){.node = *n, .ports = port_set_new(), .class = class};
	m->node.used = (struct amount){0};
	if (fit_node_totals(n->spec, &m->node.total, m->ports, NULL)) {
		port_set_free(m->ports);
		return;
	}
	m->node.ports = m->ports;
	p->n_models++;
}

static void find_models(struct packing *p, struct capacity_class *const *class_of)
{
	const struct state *s = p->s;
	cleanup_free bool *seen = xcalloc(s->classes.n + 1, sizeof(*seen));

	p->models = arena_alloc(p->a, CAPACITY_MODELS * sizeof(*p->models));
	for (uint32_t i = 0; i < s->cap_nodes && p->n_models < CAPACITY_MODELS; i++) {
		const struct node_entry *n = s->nodes[i];

		if (!n || (n->class_id < s->classes.n && seen[n->class_id]))
			continue;
		if (n->class_id < s->classes.n)
			seen[n->class_id] = true;
		add_model(p, n, class_of[i]);
	}
}

/* ---- packing ---- */

/* Do k more of the shape fit on each node of the bin? */
static bool holds(const struct packing *p, const struct bin *b, const struct shape *x, int64_t k)
{
	struct group_ask ask = x->version->asks[x->group];
	const struct amount one = ask.amount;

	if (k > x->each || b->dynamic + k * x->n_dynamic > PORTS_MAX)
		return false;
	ask.amount = (struct amount){one.cpu * k, one.memory * k, one.disk * k, one.allocs * k};
	ask.ports = x->ports;
	ask.n_ports = ask.ports ? x->n_static + b->dynamic + (uint32_t)k * x->n_dynamic : 0;
	return fit_check(&p->models[b->model].node, &ask, b->used, b->ports, NULL, 0, NULL).dimension == FIT_OK;
}

/* How many more of the shape, at most max, fit on each node of the bin. */
static int64_t room_in(const struct packing *p, const struct bin *b, const struct shape *x, int64_t max)
{
	int64_t low = 0, high = 1;

	while (high < max && holds(p, b, x, high)) {
		low = high;
		high *= 2;
	}
	high = MIN(high, max);
	if (holds(p, b, x, high))
		return high;
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		if (holds(p, b, x, middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void put_in(struct packing *p, struct bin *b, const struct shape *x, int64_t k)
{
	const struct amount *one = &x->version->asks[x->group].amount;

	b->used.cpu += one->cpu * k;
	b->used.memory += one->memory * k;
	b->used.disk += one->disk * k;
	b->used.allocs += one->allocs * k;
	b->dynamic += (uint32_t)k * x->n_dynamic;
	if (!x->n_static)
		return;
	struct port_set *fresh = port_set_copy(b->ports);

	for (uint32_t i = 0; i < x->n_static; i++)
		port_set_add(fresh, x->ports[i].value);
	LIST_ADD(p->a, p->sets, p->n_sets, p->cap_sets) = fresh;
	b->ports = fresh;
}

/* n nodes of the bin get k more each; the others of it stay as they are, as a bin of their own. */
static void fill(struct packing *p, uint32_t bin, const struct shape *x, int64_t n, int64_t k)
{
	struct bin rest = p->bins[bin];

	if (!n || !k)
		return;
	rest.n -= n;
	p->bins[bin].n = n;
	put_in(p, &p->bins[bin], x, k);
	if (rest.n)
		LIST_ADD(p->a, p->bins, p->n_bins, p->cap_bins) = rest;
}

static int64_t use_open_bins(struct packing *p, const struct shape *x, int64_t rest)
{
	for (uint32_t i = 0, n = p->n_bins; i < n && rest; i++) {
		int64_t k = x->runs_on[p->bins[i].model] ? room_in(p, &p->bins[i], x, rest) : 0;
		int64_t full = k ? MIN(rest / k, p->bins[i].n) : 0;

		fill(p, i, x, full, k);
		rest -= full * k;
	}
	return rest;
}

static void open_bins(struct packing *p, const struct shape *x, uint32_t model, int64_t rest)
{
	struct bin empty = {.model = model};
	int64_t k = room_in(p, &empty, x, rest), full = rest / k;

	MODEL_SET(capacity_class, p->models[model].class, wanted, p->models[model].class->wanted + full + (rest % k != 0));
	for (int part = 0; part < 2; part++) {
		empty.n = part ? rest % k != 0 : full;
		if (!empty.n)
			continue;
		LIST_ADD(p->a, p->bins, p->n_bins, p->cap_bins) = empty;
		put_in(p, &p->bins[p->n_bins - 1], x, part ? rest % k : k);
	}
}

struct offer { /* of one model, for one shape alone */
	uint32_t model;
	int64_t nodes;
};

static int by_price(const void *a, const void *b, void *arg)
{
	const struct packing *p = arg;
	const struct offer *x = a, *y = b;
	const struct amount *s = &p->models[x->model].node.total, *t = &p->models[y->model].node.total;

	if (x->nodes * s->cpu != y->nodes * t->cpu)
		return x->nodes * s->cpu < y->nodes * t->cpu ? -1 : 1;
	if (x->nodes * s->memory != y->nodes * t->memory)
		return x->nodes * s->memory < y->nodes * t->memory ? -1 : 1;
	return (x->model > y->model) - (x->model < y->model);
}

/* What each model offers for `rest` allocations; the cheapest first. */
static uint32_t get_offers(const struct packing *p, const struct shape *x, int64_t rest, struct offer *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_models; i++) {
		int64_t k = x->runs_on[i] ? room_in(p, &(struct bin){.model = i}, x, rest) : 0;

		if (k)
			out[n++] = (struct offer){i, (rest + k - 1) / k};
	}
	if (n)
		qsort_r(out, n, sizeof(*out), by_price, (void *)p);
	return n;
}

static void name_classes(struct packing *p, const struct shape *x, const struct offer *offers, uint32_t n)
{
	for (uint32_t i = 0; i < n && x->out->classes.n < CLASSES_NAMED; i++) {
		const struct capacity_class *k = p->models[offers[i].model].class;
		bool known = false;

		for (uint32_t j = 0; j < i; j++)
			known = known || p->models[offers[j].model].class == k;
		if (known)
			continue;
		struct wanted_class *o = MODEL_NEW(p->a, wanted_class);

		MODEL_SET(wanted_class, o, node_class, k->node_class);
		MODEL_SET(wanted_class, o, datacenter, k->datacenter);
		MODEL_SET(wanted_class, o, node_pool, k->node_pool);
		MODEL_SET(wanted_class, o, nodes, offers[i].nodes);
		objs_push(p->a, &x->out->classes, o);
	}
}

static void pack(struct packing *p, struct shape *x)
{
	struct offer *offers = arena_alloc(p->a, (p->n_models + 1) * sizeof(*offers));
	uint32_t n = get_offers(p, x, x->out->count, offers);
	int64_t rest;

	name_classes(p, x, offers, n);
	if (!n) {
		MODEL_SET(capacity, p->c, unplaceable, p->c->unplaceable + x->out->count);
		return;
	}
	rest = use_open_bins(p, x, x->out->count);
	if (!rest)
		return;
	get_offers(p, x, rest, offers);
	open_bins(p, x, offers[0].model, rest);
}

static int by_size(const void *a, const void *b)
{
	const struct shape *x = *(struct shape *const *)a, *y = *(struct shape *const *)b;
	const struct amount *s = &x->version->asks[x->group].amount, *t = &y->version->asks[y->group].amount;

	if (s->cpu != t->cpu)
		return s->cpu > t->cpu ? -1 : 1;
	if (s->memory != t->memory)
		return s->memory > t->memory ? -1 : 1;
	return x->out->count != y->out->count ? (x->out->count > y->out->count ? -1 : 1)
					      : strcmp(x->out->jobs.v[0], y->out->jobs.v[0]);
}

void wanted_fill(const struct state *s, struct capacity *c, struct capacity_class *const *class_of, struct arena *a)
{
	struct packing p = {.s = s, .a = a, .c = c};
	int64_t wanted = 0;

	MODEL_SET(capacity, c, pending, 0);
	MODEL_SET(capacity, c, unplaceable, 0);
	MODEL_SET(capacity, c, more_shapes, 0);
	find_models(&p, class_of);
	state_each_job(s, add_job, &p);
	if (p.n_shapes)
		qsort(p.shapes, p.n_shapes, sizeof(struct shape *), by_size);
	for (uint32_t i = 0; i < p.n_shapes; i++) {
		pack(&p, p.shapes[i]);
		objs_push(a, &c->wanted, p.shapes[i]->out);
	}
	OBJS_EACH(&c->classes, struct capacity_class, k)
		wanted += k->wanted;
	MODEL_SET(capacity, c, wanted_nodes, wanted);
	for (uint32_t i = 0; i < p.n_models; i++)
		port_set_free(p.models[i].ports);
	for (uint32_t i = 0; i < p.n_sets; i++)
		port_set_free(p.sets[i]);
}
