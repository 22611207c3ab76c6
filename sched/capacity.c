/* capacity: sums over nodes, and what more of a job would fit. */
#include "sched/capacity.h"

#include "sched/place.h"
#include "sched/reconcile.h"
#include "sched/why.h"

/* ---- sums ---- */

static void add_amount(struct capacity_amount *to, struct amount x)
{
	MODEL_SET(capacity_amount, to, cpu, to->cpu + MAX(x.cpu, 0));
	MODEL_SET(capacity_amount, to, memory_mb, to->memory_mb + MAX(x.memory, 0));
	MODEL_SET(capacity_amount, to, disk_mb, to->disk_mb + MAX(x.disk, 0));
}

static struct capacity_class *new_class(struct capacity *c, struct arena *a, const struct node *spec)
{
	struct capacity_class *k = MODEL_NEW(a, capacity_class);

	MODEL_SET(capacity_class, k, node_class, spec->node_class ? spec->node_class : "");
	MODEL_SET(capacity_class, k, datacenter, spec->datacenter ? spec->datacenter : "");
	MODEL_SET(capacity_class, k, node_pool, spec->node_pool ? spec->node_pool : "default");
	MODEL_SET(capacity_class, k, wanted, 0);
	k->free = MODEL_NEW(a, capacity_amount);
	k->total = MODEL_NEW(a, capacity_amount);
	objs_push(a, &c->classes, k);
	return k;
}

static int by_class(const void *x, const void *y)
{
	const struct capacity_class *a = *(void *const *)x, *b = *(void *const *)y;
	int r = strcmp(a->node_class, b->node_class);

	r = r ? r : strcmp(a->datacenter, b->datacenter);
	return r ? r : strcmp(a->node_pool, b->node_pool);
}

static void count_node(struct capacity *c, struct capacity_class *k, const struct node_entry *n)
{
	bool active = n->status == NODE_READY, eligible = active && n->eligible && !n->draining;
	struct amount free = n->total;

	amount_take(&free, &n->used);
	MODEL_SET(capacity, c, nodes, c->nodes + 1);
	MODEL_SET(capacity, c, active, c->active + active);
	MODEL_SET(capacity, c, eligible, c->eligible + eligible);
	MODEL_SET(capacity_class, k, nodes, k->nodes + 1);
	MODEL_SET(capacity_class, k, active, k->active + active);
	MODEL_SET(capacity_class, k, eligible, k->eligible + eligible);
	add_amount(c->total, active ? n->total : (struct amount){0});
	add_amount(k->total, active ? n->total : (struct amount){0});
	add_amount(c->free, eligible ? free : (struct amount){0});
	add_amount(k->free, eligible ? free : (struct amount){0});
}

struct capacity *capacity_now(const struct state *s, struct arena *a)
{
	struct capacity *c = MODEL_NEW(a, capacity);
	struct capacity_class **class_of = arena_alloc(a, (s->cap_nodes + 1) * sizeof(*class_of));
	struct map known = {0};

	c->free = MODEL_NEW(a, capacity_amount);
	c->total = MODEL_NEW(a, capacity_amount);
	add_amount(c->free, (struct amount){0});
	add_amount(c->total, (struct amount){0});
	for (uint32_t i = 0; i < s->cap_nodes; i++) {
		const struct node_entry *n = s->nodes[i];

		if (!n)
			continue;
		const char *key =
		    arena_printf(a, "%u\x1f%u\x1f%s", n->dc_id, n->pool_id, n->spec->node_class ? n->spec->node_class : "");

		if (!(class_of[i] = map_get(&known, key)))
			map_set(&known, key, class_of[i] = new_class(c, a, n->spec));
		count_node(c, class_of[i], n);
	}
	map_free(&known);
	if (c->classes.n)
		qsort(c->classes.v, c->classes.n, sizeof(*c->classes.v), by_class);
	wanted_fill(s, c, class_of, a);
	return c;
}

/* ---- what more of a job would fit ---- */

struct more { /* of one group */
	const struct state *s;
	struct job_entry *job;
	struct reconciled rec;
	struct proposed proposed;
	struct place *place;
	uint32_t group;
	int64_t max;
};

static bool is_there(const struct more *m, const struct node_entry *n)
{
	const struct task_group *g = m->job->current->spec->task_groups.v[m->group];

	for (LINK_EACH(&n->allocs, struct alloc, by_node, x))
		if (x->version->job == m->job && x->desired == DESIRED_RUN && alloc_is_live(x) &&
		    str_eq(alloc_group(x)->name, g->name))
			return true;
	return false;
}

static int64_t fill_everywhere(struct more *m)
{
	struct placement found;
	int64_t n = 0;

	for (uint32_t i = 0; i < m->s->cap_nodes; i++) {
		struct node_entry *node = m->s->nodes[i];

		n += node && !is_there(m, node) && place_on(m->place, node, &found);
	}
	return n;
}

static int64_t fill(struct more *m)
{
	struct placement found;
	int64_t n = 0;

	if (m->job->type == JOB_SYSTEM || m->job->type == JOB_SYSBATCH)
		return fill_everywhere(m);
	while (n < m->max && place_next(m->place, NULL, 0, &found))
		n++;
	return n;
}

static struct capacity_group *of_group(struct more *m, struct arena *a)
{
	struct capacity_group *out = MODEL_NEW(a, capacity_group);
	const struct amount *ask = &m->job->current->asks[m->group].amount;
	const struct want one = {.group = (uint16_t)m->group}, *wants = &one;

	proposed_init(&m->proposed, m->s, a);
	for (uint32_t i = 0; i < m->rec.n_keeps; i++)
		proposed_keep(&m->proposed, m->rec.keeps[i]);
	struct place_request r = {.proposed = &m->proposed, .version = m->job->current, .group = m->group, .arena = a};

	m->place = place_begin(&r);
	MODEL_SET(capacity_group, out, fits, fill(m));
	MODEL_SET(capacity_group, out, cpu, ask->cpu);
	MODEL_SET(capacity_group, out, memory_mb, ask->memory);
	MODEL_SET(capacity_group, out, disk_mb, ask->disk);
	if (out->fits < m->max)
		out->reason = why_metric(m->place, &r, &wants, 1)->reason;
	place_end(m->place);
	proposed_release(&m->proposed);
	return out;
}

struct capacity_job *capacity_of_job(const struct state *s, struct job_entry *j, int64_t max, int64_t now, struct arena *a)
{
	struct capacity_job *out = MODEL_NEW(a, capacity_job);
	struct plan plan = {0};
	struct eval ev = {0};
	struct plan_request r = {.state = s, .eval = &ev, .job = j, .version = j->current, .now = now};
	struct more m = {.s = s, .job = j, .max = max};

	MODEL_SET(capacity_job, out, id, j->id);
	MODEL_SET(capacity_job, out, namespace, j->ns);
	reconcile(&r, a, &plan, &m.rec);
	OBJS_EACH(&j->current->spec->task_groups, struct task_group, g) {
		m.group = g_i;
		objmap_set(a, &out->groups, g->name, of_group(&m, a));
	}
	return out;
}
