/* why: counting what rules nodes out, and saying it. */
#include "sched/why.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "sched/update.h"

#define START_PATIENCE (10 * SECOND) /* a node gets this long to start an allocation before anybody wonders */

static const char *const fit_codes[] = {"", "cpu", "memory", "disk", "ports", "devices", "max-allocations"};

struct cause {
	enum filter_kind filter; /* FILTER_NONE: it is about room */
	enum fit_dimension dimension;
	const char *key;         /* causes of one kind and key are one */
	int64_t nodes, short_by;
};

struct diagnosis {
	struct arena *a;
	struct cause *causes;
	uint32_t n, cap;
	int64_t nodes, fitting;
};

static void add_cause(struct diagnosis *d, struct cause c)
{
	for (uint32_t i = 0; i < d->n; i++) {
		struct cause *x = &d->causes[i];
		if (x->filter == c.filter && x->dimension == c.dimension && str_eq(x->key, c.key)) {
			x->nodes++;
			x->short_by = MIN(x->short_by, c.short_by);
			return;
		}
	}
	c.nodes = 1;
	LIST_ADD(d->a, d->causes, d->n, d->cap) = c;
}

static const char *port_key(struct arena *a, const struct port_ask *port)
{
	if (!port)
		return "a port taken";
	return port->value ? arena_printf(a, "port %u (%s) taken", port->value, port->label)
	                   : arena_printf(a, "no dynamic port left for %s", port->label);
}

static void count_metric(struct arena *a, struct alloc_metric *m, const struct node_entry *n, const char *filter,
    const struct fit_result *fit)
{
	struct intmap *by_text = filter ? &m->constraint_filtered : &m->dimension_exhausted;
	struct intmap *by_class = filter ? &m->class_filtered : &m->class_exhausted;
	const char *text = filter ? filter : fit_text(a, fit);
	m->nodes_evaluated++;
	m->nodes_filtered += filter != NULL;
	m->nodes_exhausted += filter == NULL;
	intmap_set(a, by_text, text, intmap_get(by_text, text) + 1);
	if (!str_empty(n->spec->node_class))
		intmap_set(a, by_class, n->spec->node_class, intmap_get(by_class, n->spec->node_class) + 1);
}

static void examine(struct diagnosis *d, struct place *p, const struct place_request *r, const struct node_entry *n,
    struct alloc_metric *m)
{
	struct feasible *f = place_feasible(p);
	const struct group_ask *ask = &r->version->asks[r->group];
	struct filter filter = {.kind = feasible_node(f, n)};
	d->nodes++;
	if (filter.kind != FILTER_NONE) { /* not even looked at */
		add_cause(d, (struct cause){.filter = filter.kind});
		return;
	}
	filter = feasible_check(f, n);
	if (filter.kind == FILTER_NONE)
		filter = place_distinct(p, n);
	if (filter.kind != FILTER_NONE) {
		if (m)
			count_metric(d->a, m, n, filter.text, NULL);
		add_cause(d, (struct cause){.filter = filter.kind, .key = filter.detail ? filter.detail : filter.text});
		return;
	}
	struct fit_result fit = proposed_fit(r->proposed, n, ask, 0, NULL);
	if (fit.dimension == FIT_OK) {
		if (m)
			m->nodes_evaluated++;
		d->fitting++;
		return;
	}
	if (m)
		count_metric(d->a, m, n, NULL, &fit);
	add_cause(d, (struct cause){.dimension = fit.dimension, .short_by = fit.short_by,
	                 .key = fit.dimension == FIT_PORTS ? port_key(d->a, fit.port) : NULL});
}

static const char *unit_of(enum fit_dimension d)
{
	return d == FIT_CPU ? "MHz" : "MiB";
}

static char *cause_text(struct arena *a, const struct cause *c)
{
	long long n = c->nodes;
	switch (c->filter) {
	case FILTER_DOWN:
		return arena_printf(a, "%lld not ready", n);
	case FILTER_INELIGIBLE:
		return arena_printf(a, "%lld not eligible", n);
	case FILTER_DRAINING:
		return arena_printf(a, "%lld draining", n);
	case FILTER_DATACENTER:
		return arena_printf(a, "%lld in no datacenter of the job", n);
	case FILTER_POOL:
		return arena_printf(a, "%lld in another node pool", n);
	case FILTER_CONSTRAINT:
		return arena_printf(a, "%lld excluded by constraint %s", n, c->key);
	case FILTER_DRIVER:
		return arena_printf(a, "%lld without a healthy driver %s", n, c->key);
	case FILTER_VOLUME:
		return arena_printf(a, "%lld without the volumes asked for", n);
	case FILTER_NETWORK:
		return arena_printf(a, "%lld without the network asked for", n);
	case FILTER_CORES:
		return arena_printf(a, "%lld with too few cpu cores", n);
	case FILTER_DISTINCT_HOSTS:
		return arena_printf(a, "%lld already with an allocation of it (distinct_hosts)", n);
	case FILTER_DISTINCT_PROPERTY:
		return arena_printf(a, "%lld excluded by %s", n, c->key);
	case FILTER_NONE:
	case FILTER_KINDS:
		break;
	}
	switch (c->dimension) {
	case FIT_PORTS:
		return arena_printf(a, "%lld with %s", n, c->key);
	case FIT_DEVICES:
		return arena_printf(a, "%lld without devices to hand out", n);
	case FIT_MAX_ALLOCS:
		return arena_printf(a, "%lld at the limit of allocations they take", n);
	default:
		return arena_printf(a, "%lld short of %s by %lld %s at best", n, fit_codes[c->dimension],
		    (long long)c->short_by, unit_of(c->dimension));
	}
}

static const char *cause_code(const struct cause *c)
{
	return c->filter != FILTER_NONE ? filter_codes[c->filter] : fit_codes[c->dimension];
}

static struct wait_reason *new_reason(struct arena *a, const char *code, const char *text)
{
	struct wait_reason *w = MODEL_NEW(a, wait_reason);
	MODEL_SET(wait_reason, w, code, code);
	MODEL_SET(wait_reason, w, text, text);
	return w;
}

static int by_nodes(const void *x, const void *y)
{
	const struct cause *a = x, *b = y;
	/* Room first when it is a tie: it is what comes back by itself. */
	return a->nodes != b->nodes ? (a->nodes > b->nodes ? -1 : 1) : (a->filter > b->filter) - (a->filter < b->filter);
}

static struct wait_reason *say(struct diagnosis *d)
{
	cleanup_buf struct buf b = BUF_INIT;
	if (!d->nodes)
		return new_reason(d->a, "no-nodes", "no nodes are registered");
	if (d->n)
		qsort(d->causes, d->n, sizeof(*d->causes), by_nodes);
	buf_printf(&b, "%lld node%s: ", (long long)d->nodes, d->nodes == 1 ? "" : "s");
	struct wait_reason *w = new_reason(d->a, d->n ? cause_code(&d->causes[0]) : "evaluation", "");
	MODEL_SET(wait_reason, w, nodes, d->nodes);
	for (uint32_t i = 0; i < d->n; i++) {
		const struct cause *c = &d->causes[i];
		struct wait_cause *o = MODEL_NEW(d->a, wait_cause);
		const char *text = cause_text(d->a, c);
		MODEL_SET(wait_cause, o, code, cause_code(c));
		MODEL_SET(wait_cause, o, text, text);
		MODEL_SET(wait_cause, o, nodes, c->nodes);
		if (c->dimension >= FIT_CPU && c->dimension <= FIT_DISK)
			MODEL_SET(wait_cause, o, short_by, c->short_by);
		objs_push(d->a, &w->causes, o);
		buf_printf(&b, "%s%s", i ? ", " : "", text);
	}
	MODEL_SET(wait_reason, w, text, arena_strndup(d->a, b.data, b.len));
	return w;
}

static void examine_without(struct diagnosis *d, struct place *p, const struct place_request *r, const struct want *w,
    const struct node_entry *on, struct alloc_metric *m)
{
	const struct state *s = r->proposed->state;
	bool counts = w->kept && !r->proposed->items[w->kept - 1].gone;
	if (counts)
		place_forget(p, w->kept - 1);
	for (uint32_t i = 0; i < s->cap_nodes && !on; i++)
		if (s->nodes[i])
			examine(d, p, r, s->nodes[i], m);
	if (on)
		examine(d, p, r, on, m);
	if (counts)
		place_remember(p, w->kept - 1);
}

/* Wants of one group that found no place. Those of a job that runs everywhere have a node each; all others look for the same,
 * so that one speaks for them. */
static void diagnose(struct diagnosis *d, struct place *p, const struct place_request *r, const struct want *const *wants,
    uint32_t n, struct alloc_metric *m)
{
	if (!wants[0]->node)
		examine_without(d, p, r, wants[0], NULL, m);
	else
		for (uint32_t i = 0; i < n; i++)
			examine_without(d, p, r, wants[i], wants[i]->node, m);
}

struct alloc_metric *why_metric(struct place *p, const struct place_request *r, const struct want *const *wants, uint32_t n)
{
	struct diagnosis d = {.a = r->arena};
	struct alloc_metric *m = arena_copy(r->arena, place_metric(p), sizeof(*m));
	m->nodes_evaluated = m->nodes_filtered = m->nodes_exhausted = 0;
	m->constraint_filtered = m->class_filtered = m->dimension_exhausted = m->class_exhausted = (struct intmap){0};
	m->score_meta_data = (struct objs){0};
	MODEL_SET(alloc_metric, m, coalesced_failures, n - 1);
	diagnose(&d, p, r, wants, n, m);
	m->reason = say(&d);
	return m;
}

/* ---- of a group, now ---- */

struct odd { /* an allocation that failed or has not started */
	const struct alloc *alloc;
	struct odd *next;
};

struct inquiry {
	const struct state *s;
	struct job_entry *job;
	const struct objs *groups;
	uint64_t evals; /* that are queued */
	int64_t now;
	struct arena *a;
	struct reconciled rec;
	struct proposed proposed; /* what of the job stays */
	struct odd **odd;         /* by group */
	/* Of the group that is looked at; groups come in their order. */
	uint32_t group;
	uint32_t want;             /* rec.wants before it are of groups before */
	struct wait_reason *first; /* with what the others say added to its text */
};

static void add_reason(struct inquiry *q, struct wait_reason *w)
{
	if (q->first)
		MODEL_SET(wait_reason, q->first, text, arena_printf(q->a, "%s; %s", q->first->text, w->text));
	else
		q->first = w;
}

/* To the second: nobody reads more of it in a sentence. */
static const char *instant(int64_t t, char out[TIME_STR])
{
	return time_format_rfc3339(t - t % SECOND, out);
}

/* There is room: what is missing is a look of the scheduler. */
static struct wait_reason *say_evaluation(struct inquiry *q)
{
	char when[TIME_STR];
	int64_t later = NEVER;
	bool queued = false;
	if (q->s->config->pause_eval_broker)
		return new_reason(q->a, "paused", "scheduling is paused (scheduler configuration: PauseEvalBroker)");
	for (LINK_EACH(&q->job->evals, struct eval_entry, by_job, e)) {
		if (e->status != EVAL_PENDING)
			continue;
		if (e->spec->wait_until > q->now)
			later = MIN(later, e->spec->wait_until);
		else
			queued = true;
	}
	if (queued && q->evals > 1)
		return new_reason(q->a, "evaluation",
		    arena_printf(q->a, "its evaluation is one of %llu that are queued", (unsigned long long)q->evals));
	if (queued)
		return new_reason(q->a, "evaluation", "its evaluation is queued");
	if (later != NEVER)
		return new_reason(q->a, "evaluation",
		    arena_printf(q->a, "its next evaluation is due at %s", instant(later, when)));
	return new_reason(q->a, "evaluation", "there is room for it now: the scheduler comes to it next");
}

/* What fits waits for nothing but the scheduler: all of it where one place is as good as another, else what fits on its node. */
static struct wait_reason *say_where(struct inquiry *q, struct diagnosis *d, bool everywhere)
{
	if (everywhere ? !d->n : d->fitting > 0)
		return say_evaluation(q);
	struct wait_reason *w = say(d);
	if (d->fitting)
		MODEL_SET(wait_reason, w, text,
		    arena_printf(q->a, "%s; for %lld of them %s", w->text, (long long)d->fitting, say_evaluation(q)->text));
	return w;
}

static void ask_placement(struct inquiry *q)
{
	struct diagnosis d = {.a = q->a};
	const struct want **wants = NULL;
	uint32_t n = 0, cap = 0;
	for (; q->want < q->rec.n_wants && q->rec.wants[q->want].group <= q->group; q->want++)
		if (q->rec.wants[q->want].group == q->group && !q->rec.wants[q->want].spare)
			LIST_ADD(q->a, wants, n, cap) = &q->rec.wants[q->want];
	if (!n)
		return;
	struct place_request r = {
	    .proposed = &q->proposed, .version = q->job->current, .group = q->group, .arena = q->a, .look = true};
	struct place *p = place_begin(&r);
	diagnose(&d, p, &r, wants, n, NULL);
	place_end(p);
	struct wait_reason *w = say_where(q, &d, wants[0]->node != NULL);
	MODEL_SET(wait_reason, w, text, arena_printf(q->a, "%u allocation%s not placed: %s", n, n == 1 ? "" : "s", w->text));
	add_reason(q, w);
}

static void ask_failed(struct inquiry *q)
{
	const struct task_group *g = q->groups->v[q->group];
	uint32_t waiting = 0, exhausted = 0;
	int64_t first = NEVER;
	char when[TIME_STR];
	for (const struct odd *o = q->odd[q->group]; o; o = o->next) {
		int64_t at, delay;
		if (o->alloc->observed != OBSERVED_FAILED)
			continue;
		enum reschedule_verdict v = reschedule_verdict(o->alloc, g->reschedule_policy, q->now, &at, &delay);
		exhausted += v == RESCHEDULE_NEVER;
		if (v == RESCHEDULE_LATER) {
			waiting++;
			first = MIN(first, at);
		}
	}
	if (waiting)
		add_reason(q, new_reason(q->a, "reschedule-delay",
		                  arena_printf(q->a, "%u failed allocation%s for the reschedule delay, until %s at the earliest",
		                      waiting, waiting == 1 ? " waits" : "s wait", instant(first, when))));
	if (exhausted)
		add_reason(q, new_reason(q->a, "reschedule-exhausted",
		                  arena_printf(q->a, "%u allocation%s failed and the reschedule policy allows no further attempt",
		                      exhausted, exhausted == 1 ? "" : "s")));
}

static void ask_update(struct inquiry *q)
{
	const struct task_group *g = q->groups->v[q->group];
	const struct want_wait *w = objmap_get(&q->rec.waits, g->name);
	if (!w)
		return;
	add_reason(q, new_reason(q->a, "update-health",
	                  arena_printf(q->a,
	                      "%lld allocation%s of an older version: %lld of the new one may be unproven at a time "
	                      "(update.max_parallel) and %lld %s not healthy yet",
	                      (long long)w->remaining, w->remaining == 1 ? "" : "s", (long long)w->max_parallel,
	                      (long long)w->unhealthy, w->unhealthy == 1 ? "is" : "are")));
}

static void ask_clients(struct inquiry *q)
{
	uint32_t n = 0;
	const struct node_entry *node = NULL;
	for (const struct odd *o = q->odd[q->group]; o; o = o->next)
		if (o->alloc->observed == OBSERVED_PENDING && o->alloc->node && o->alloc->create_time + START_PATIENCE < q->now) {
			n++;
			if (!node)
				node = o->alloc->node;
		}
	if (n)
		add_reason(q, new_reason(q->a, "client",
		                  arena_printf(q->a, "%u placed allocation%s for the node to start %s (node %s)", n,
		                      n == 1 ? " waits" : "s wait", n == 1 ? "it" : "them",
		                      node->spec->name ? node->spec->name : node->spec->id)));
}

/* Unknown ones that have their names to themselves. */
static void ask_away(struct inquiry *q)
{
	const struct task_group *g = q->groups->v[q->group];
	const struct away_wait *w = objmap_get(&q->rec.aways, g->name);
	char when[TIME_STR];
	if (!w)
		return;
	const char *node = w->node->spec->name ? w->node->spec->name : w->node->spec->id;
	const char *away = w->node->status == NODE_INIT || w->node->status == NODE_READY ? "has yet to report" : "is away";
	const char *text = w->n == 1
	    ? arena_printf(q->a, "1 allocation is unknown, since node %s %s; by the group's disconnect block nothing takes its place", node, away)
	    : arena_printf(q->a, "%lld allocations are unknown, since their nodes (%s, for one) are away; by the group's disconnect block "
	                         "nothing takes their place", (long long)w->n, node);
	text = w->until == NEVER ? arena_printf(q->a, "%s until the node is back or purged, or somebody stops it", text)
	                         : arena_printf(q->a, "%s before %s", text, instant(w->until, when));
	add_reason(q, new_reason(q->a, "node-away", text));
}

static void sort_odd(struct inquiry *q)
{
	struct map by_name = MAP_INIT;
	q->odd = arena_alloc(q->a, (q->groups->n + 1) * sizeof(struct odd *));
	OBJS_EACH (q->groups, struct task_group, g)
		map_set(&by_name, g->name, (void *)(uintptr_t)(g_i + 1));
	for (LINK_EACH(&q->job->allocs, struct alloc, by_job, a)) {
		uintptr_t group = 0;
		if (a->desired == DESIRED_RUN && (a->observed == OBSERVED_FAILED || a->observed == OBSERVED_PENDING))
			group = (uintptr_t)map_get(&by_name, alloc_group(a)->name);
		if (group) {
			struct odd *o = arena_alloc(q->a, sizeof(*o));
			*o = (struct odd){a, q->odd[group - 1]};
			q->odd[group - 1] = o;
		}
	}
	map_free(&by_name);
}

/* False when nothing of the job can wait. */
static bool begin(struct inquiry *q)
{
	struct plan plan = {0};
	struct eval ev = {0};
	struct job_entry *j = q->job;
	if (j->stop || j->purged || !j->current)
		return false;
	const struct job *spec = j->current->spec;
	if (spec->periodic || (spec->parameterized_job && !spec->dispatched))
		return false;
	q->groups = &spec->task_groups;
	struct plan_request r = {.state = q->s, .eval = &ev, .job = j, .version = j->current, .now = q->now};
	reconcile(&r, q->a, &plan, &q->rec);
	proposed_init(&q->proposed, q->s, q->a);
	for (uint32_t i = 0; i < q->rec.n_keeps; i++)
		proposed_keep(&q->proposed, q->rec.keeps[i]);
	sort_odd(q);
	return true;
}

static struct wait_reason *ask(struct inquiry *q, uint32_t group)
{
	q->group = group;
	q->first = NULL;
	ask_placement(q);
	ask_failed(q);
	ask_update(q);
	ask_clients(q);
	ask_away(q);
	return q->first;
}

struct wait_reason *why_group(const struct state *s, struct job_entry *job, const char *group, uint64_t evals, int64_t now,
    struct arena *a)
{
	struct inquiry q = {.s = s, .job = job, .evals = evals, .now = now, .a = a};
	struct wait_reason *w = NULL;
	if (!begin(&q))
		return NULL;
	OBJS_EACH (q.groups, struct task_group, g)
		if (str_eq(g->name, group))
			w = ask(&q, g_i);
	proposed_release(&q.proposed);
	return w;
}

void why_job(const struct state *s, struct job_entry *job, uint64_t evals, int64_t now, struct arena *a, struct objmap *out)
{
	struct inquiry q = {.s = s, .job = job, .evals = evals, .now = now, .a = a};
	if (!begin(&q))
		return;
	OBJS_EACH (q.groups, struct task_group, g) {
		struct wait_reason *w = ask(&q, g_i);
		if (w)
			objmap_set(a, out, g->name, w);
	}
	proposed_release(&q.proposed);
}
