/* scale_in: what nodes cost, and how far an operation is. */
#include "sched/scale_in.h"

#include "base/clock.h"
#include "sched/drain.h"

const char *const scale_kind_names[] = {"idle", "services", "batch", "stuck", NULL};
const char *const scale_status_names[] = {"draining", "free", "gone", "kept", NULL};

/* ---- the operation's nodes ---- */

bool scale_in_owns(const struct scale_in *op, const struct node_entry *n)
{
	const struct drain_metadata *m = n->spec->last_drain;

	return m && str_eq(strmap_get(&m->meta, SCALE_IN_META), op->id);
}

enum scale_status scale_in_status(const struct state *s, const struct scale_in_node *x, struct node_entry **n)
{
	const struct drain_metadata *m;
	struct uuid id;

	*n = str_empty(x->node_id) || uuid_parse(x->node_id, &id) ? NULL : state_node(s, id);
	if (!*n)
		return SCALE_GONE;
	if ((*n)->draining)
		return SCALE_DRAINING;
	m = (*n)->spec->last_drain;
	return m && str_eq(m->status, DRAIN_COMPLETE) && !(*n)->eligible ? SCALE_FREE : SCALE_KEPT;
}

bool scale_in_runs(const struct state *s, const struct scale_in *op)
{
	struct node_entry *n;

	OBJS_EACH(&op->nodes, struct scale_in_node, x)
		if (!op->canceled && scale_in_status(s, x, &n) == SCALE_DRAINING)
			return true;
	return false;
}

/* ---- run times ---- */

struct times { /* of one group of a family of jobs */
	int64_t sum, n;
};

struct scale_times {
	struct arena *arena;
	struct map by_family;
};

/* Children of a parent are runs of one thing. */
static const char *family_of(const struct alloc *x, struct arena *a)
{
	const struct job *j = x->version->spec;
	const char *id = x->version->job->id, *cut = strstr(id, "/dispatch-");

	cut = cut ? cut : strstr(id, "/periodic-");
	if (!str_empty(j->parent_id))
		id = j->parent_id;
	else if (cut)
		id = arena_strndup(a, id, (size_t)(cut - id));
	return arena_printf(a, "%s\x1f%s\x1f%s", x->version->job->ns, id, alloc_group(x)->name);
}

static bool is_batch(const struct alloc *x)
{
	return x->version->job->type == JOB_BATCH || x->version->job->type == JOB_SYSBATCH;
}

static void add_run(struct scale_times *t, const struct alloc *x)
{
	cleanup_arena struct arena *a = arena_new();
	const char *family = family_of(x, a);
	struct times *of = map_get(&t->by_family, family);

	if (!of) {
		of = arena_alloc(t->arena, sizeof(*of));
		map_set(&t->by_family, family, of);
	}
	of->sum += x->extra->ended - x->create_time;
	of->n++;
}

struct scale_times *scale_times_new(const struct state *s)
{
	struct scale_times *t = xcalloc(1, sizeof(*t));
	const char *key;
	void *obj;

	t->arena = arena_new();
	for (uint32_t i = 0; map_next(&s->jobs, &i, &key, &obj);) {
		const struct job_entry *j = obj;

		if (j->type != JOB_BATCH && j->type != JOB_SYSBATCH)
			continue;
		for (LINK_EACH(&j->allocs, struct alloc, by_job, x))
			if (x->observed == OBSERVED_COMPLETE && x->desired == DESIRED_RUN && x->extra &&
			    x->extra->ended > x->create_time)
				add_run(t, x);
	}
	return t;
}

void scale_times_free(struct scale_times *t)
{
	map_free(&t->by_family);
	arena_free(t->arena);
	free(t);
}

/* ---- costs ---- */

static int64_t batch_left(const struct scale_times *t, const struct alloc *x, int64_t deadline, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	const struct times *known = map_get(&t->by_family, family_of(x, a));
	int64_t age = MAX(now - x->create_time, 0);
	int64_t mean = known ? known->sum / known->n : deadline > 0 ? deadline : SCALE_IN_TYPICAL;

	return mean > age ? mean - age : age / 10;
}

static int64_t service_left(const struct alloc *x)
{
	const struct task_group *g = alloc_group(x);
	const struct migrate_strategy *m = g->migrate;

	return g->shutdown_delay + (m ? m->min_healthy_time : 0);
}

struct scale_cost scale_in_cost(const struct scale_times *t, const struct node_entry *n, int64_t deadline, int64_t now)
{
	struct scale_cost c = {.kind = SCALE_IDLE};

	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		bool batch = is_batch(x);

		if (x->version->job->type == JOB_SYSTEM || !alloc_holds(x))
			continue;
		c.allocs++;
		c.kind = MAX(c.kind, batch ? SCALE_BATCH : SCALE_SERVICES);
		if (x->desired == DESIRED_RUN)
			c.left = MAX(c.left, batch ? batch_left(t, x, deadline, now) : service_left(x));
	}
	if (deadline > 0)
		c.left = MIN(c.left, deadline);
	return c;
}

/* ---- words ---- */

static const char *reason_of(const struct scale_cost *c, struct arena *a)
{
	char text[DURATION_STR];

	switch (c->kind) {
	case SCALE_IDLE:
		return "nothing runs there";
	case SCALE_SERVICES:
		return arena_printf(a, "%u allocation%s of services go%s elsewhere", c->allocs, c->allocs == 1 ? "" : "s",
		    c->allocs == 1 ? "es" : "");
	case SCALE_BATCH:
		return arena_printf(a, "%u allocation%s, batch work for about %s more", c->allocs, c->allocs == 1 ? "" : "s",
		    duration_format(c->left / SECOND * SECOND, text));
	case SCALE_STUCK:
		break;
	}
	return arena_printf(a, "the job \"%s\" would have no other place", c->stuck ? c->stuck : "");
}

static void describe_node(struct scale_in_node *o, const struct node_entry *n, const struct scale_cost *c, struct arena *a)
{
	MODEL_SET(scale_in_node, o, node_class, n->spec->node_class ? n->spec->node_class : "");
	MODEL_SET(scale_in_node, o, cost, scale_kind_names[c->kind]);
	MODEL_SET(scale_in_node, o, allocations, c->allocs);
	MODEL_SET(scale_in_node, o, time_left, c->left);
	MODEL_SET(scale_in_node, o, reason, reason_of(c, a));
}

void scale_in_name(struct scale_in *op, const struct scale_chosen *x, bool describe, struct arena *a)
{
	struct scale_in_node *o = MODEL_NEW(a, scale_in_node);
	char id[UUID_STR];

	MODEL_SET(scale_in_node, o, node_id, arena_strdup(a, uuid_format(x->node->id, id)));
	MODEL_SET(scale_in_node, o, name, x->node->spec->name ? x->node->spec->name : "");
	if (describe)
		describe_node(o, x->node, &x->cost, a);
	objs_push(a, &op->nodes, o);
	op->has |= MODEL_BIT(scale_in, nodes);
}

static bool any_batch(const struct state *s, const struct scale_in *op)
{
	struct node_entry *n;

	OBJS_EACH(&op->nodes, struct scale_in_node, x)
		if (scale_in_status(s, x, &n) == SCALE_DRAINING)
			for (LINK_EACH(&n->allocs, struct alloc, by_node, y))
				if (is_batch(y) && alloc_holds(y))
					return true;
	return false;
}

struct scale_in *scale_in_describe(const struct state *s, const struct scale_in *op, int64_t now, struct arena *a)
{
	struct scale_in *out = model_copy(a, &type_scale_in, op);
	/* Earlier runs are looked up only where somebody waits for one. */
	struct scale_times none = {0}, *known = any_batch(s, op) ? scale_times_new(s) : NULL;
	int64_t deadline = op->force_deadline ? MAX(op->force_deadline - now, 1) : 0;
	struct node_entry *n;

	MODEL_SET(scale_in, out, draining, 0);
	MODEL_SET(scale_in, out, free, 0);
	OBJS_EACH(&out->nodes, struct scale_in_node, x) {
		enum scale_status status = scale_in_status(s, x, &n);

		MODEL_SET(scale_in_node, x, status, scale_status_names[status]);
		MODEL_SET(scale_in, out, draining, out->draining + (status == SCALE_DRAINING));
		MODEL_SET(scale_in, out, free, out->free + (status == SCALE_FREE || status == SCALE_GONE));
		if (status != SCALE_DRAINING)
			continue;
		struct scale_cost c = scale_in_cost(known ? known : &none, n, deadline, now);

		describe_node(x, n, &c, a);
	}
	MODEL_SET(scale_in, out, status, op->canceled ? "canceled" : out->draining ? "running" : "complete");
	MODEL_SET(scale_in, out, past_deadline, op->force_deadline && now >= op->force_deadline);
	if (known)
		scale_times_free(known);
	return out;
}
