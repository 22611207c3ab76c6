/* The core's requests about drains, and carrying out what sched/drain.c decides. */
#include <errno.h>

#include "sched/core_internal.h"
#include "sched/drain.h"
#include "sched/scale_in.h"

/* A look at all draining nodes is made when something has changed, at most this often while evaluations are ready. */
#define LOOK_PAUSE (50 * MILLI)
#define RETRY_AFTER (5 * SECOND)

void core_drains_changed(struct core *c, enum state_table table, const void *obj)
{
	if (table == TABLE_NODES) {
		const struct node_entry *n = obj;

		c->drains.any |= n->draining;
	}
	c->drains.changed |= c->drains.any && (table == TABLE_NODES || table == TABLE_ALLOCS);
}

int64_t core_drains_deadline(const struct core *c)
{
	return c->drains.any ? c->drains.at : NEVER;
}

/* ---- what is decided ---- */

static int by_job(const void *a, const void *b)
{
	const struct job_entry *x = *(struct job_entry *const *)a, *y = *(struct job_entry *const *)b;
	int r = strcmp(x->ns, y->ns);

	return r ? r : strcmp(x->id, y->id);
}

static void put_marks(struct core *c, struct alloc *const *list, uint32_t n, bool soft, struct job_entry **jobs, uint32_t *n_jobs)
{
	struct desired_transition t = {0};

	MODEL_SET(desired_transition, &t, migrate, true);
	if (soft)
		MODEL_SET(desired_transition, &t, drain, true);
	for (uint32_t i = 0; i < n; i++) {
		entry_alloc_transition(&c->entry, list[i]->id, &t);
		jobs[(*n_jobs)++] = list[i]->version->job;
	}
}

/* An evaluation of each job that has none due; one may stand in the list more than once. How many, with ids from first_id on. */
static uint32_t put_evals(struct core *c, struct arena *a, struct job_entry **jobs, uint32_t n, uint32_t first_id, int64_t now,
    struct strs *ids)
{
	uint32_t made = 0;

	qsort(jobs, n, sizeof(*jobs), by_job);
	for (uint32_t i = 0; i < n && first_id + made < CORE_ID_PLAN; i++) {
		if ((i && jobs[i] == jobs[i - 1]) || core_eval_is_due(jobs[i]))
			continue;
		const struct eval *e = core_eval(c, a, first_id + made++, jobs[i], "node-drain", now);

		entry_eval(&c->entry, e);
		if (ids)
			strs_push(a, ids, e->id);
	}
	return made;
}

static struct drain_metadata *next_metadata(struct arena *a, const struct node_entry *n, const char *status, int64_t now)
{
	struct drain_metadata *m = n->spec->last_drain ? model_copy(a, &type_drain_metadata, n->spec->last_drain)
	                                              : MODEL_NEW(a, drain_metadata);

	MODEL_SET(drain_metadata, m, status, status);
	MODEL_SET(drain_metadata, m, updated_at, now);
	return m;
}

static void put_done(struct core *c, const struct node_entry *n, struct arena *a, int64_t now)
{
	struct drain_metadata *m = next_metadata(a, n, DRAIN_COMPLETE, now);
	bool confirmed = drain_is_confirmed(n);

	if (!confirmed)
		MODEL_SET(drain_metadata, m, unconfirmed, true);
	entry_node_drain(&c->entry, n->id, NULL, m, n->eligible,
	    confirmed ? "Node drain complete" : "Node drain ended: the node is down, and nobody can say what still runs there");
}

static int carry_out(struct core *c, const struct drain_decision *d, struct arena *a, int64_t now)
{
	cleanup_free struct job_entry **jobs = xcalloc((size_t)d->n_soft + d->n_hard + 1, sizeof(*jobs));
	uint32_t n = 0;

	core_begin(c, now);
	put_marks(c, d->soft, d->n_soft, true, jobs, &n);
	put_marks(c, d->hard, d->n_hard, false, jobs, &n);
	for (uint32_t i = 0; i < d->n_done; i++)
		put_done(c, d->done[i], a, now);
	put_evals(c, a, jobs, n, 0, now, NULL);
	return entry_is_empty(&c->entry) ? 0 : core_append(c, NULL, NULL);
}

static bool any_draining(const struct state *s)
{
	for (uint32_t i = 0; i < s->cap_nodes; i++)
		if (s->nodes[i] && s->nodes[i]->draining)
			return true;
	return false;
}

void core_drains_step(struct core *c, bool busy, int64_t now)
{
	if (!c->drains.any || (!c->drains.changed && c->drains.at > now) || (busy && now - c->drains.looked < LOOK_PAUSE))
		return;
	cleanup_arena struct arena *a = arena_new();
	struct drain_decision d;

	c->drains.changed = false;
	c->drains.looked = now;
	c->drains.any = any_draining(c->state);
	drain_decide(c->state, now, a, &d);
	c->drains.at = d.at;
	/* What the journal refuses now is decided again. */
	if (carry_out(c, &d, a, now))
		c->drains.at = now + RETRY_AFTER;
}

/* ---- requests ---- */

static int find_node(const struct core *c, struct uuid id, struct node_entry **n, struct err *e)
{
	*n = state_node(c->state, id);
	return *n ? 0 : err_set(e, -ENOENT, "node not found");
}

static struct drain_strategy *make_strategy(
    struct arena *a, const struct drain_spec *spec, const struct drain_strategy *old, int64_t now)
{
	struct drain_strategy *d = MODEL_NEW(a, drain_strategy);

	MODEL_SET(drain_strategy, d, deadline, spec->deadline);
	MODEL_SET(drain_strategy, d, ignore_system_jobs, spec->ignore_system_jobs);
	MODEL_SET(drain_strategy, d, started_at, old ? old->started_at : now);
	if (spec->deadline > 0)
		MODEL_SET(drain_strategy, d, force_deadline, now + spec->deadline);
	if (spec->finish_batch)
		MODEL_SET(drain_strategy, d, finish_batch, true);
	return d;
}

/* What has not been replaced yet stays; what has goes on to its end. The jobs of what stays, and how many: their replacements
 * are wanted no longer. */
static uint32_t put_unmarks(struct core *c, const struct node_entry *n, struct job_entry **jobs)
{
	const struct desired_transition none = {0};
	uint32_t n_jobs = 0;

	for (LINK_EACH(&n->allocs, struct alloc, by_node, x))
		if (drain_is_soft(x) && !drain_successor(c->state, x)) {
			entry_alloc_transition(&c->entry, x->id, &none);
			jobs[n_jobs++] = x->version->job;
		}
	return n_jobs;
}

/* Who changes a drain of an operation that takes nodes away makes it his own. */
static void disown(struct arena *a, struct drain_metadata *last)
{
	struct strmap kept = {0};

	if (!strmap_get(&last->meta, SCALE_IN_META))
		return;
	for (uint32_t i = 0; i < last->meta.n; i++)
		if (!str_eq(last->meta.v[i].key, SCALE_IN_META))
			strmap_set(a, &kept, last->meta.v[i].key, last->meta.v[i].value);
	last->meta = kept;
}

uint32_t core_put_drain(struct core *c, struct arena *a, struct node_entry *n, const struct core_drain_request *req, uint32_t first_id,
    int64_t now, struct strs *eval_ids)
{
	const struct drain_strategy *old = n->spec->drain_strategy;
	bool eligible = req->spec ? false : n->eligible || req->mark_eligible;
	cleanup_free struct job_entry **stay = xcalloc((size_t)n->n_allocs + 1, sizeof(*stay));
	uint32_t n_stay = 0;
	struct drain_metadata *last = next_metadata(a, n, req->spec ? DRAIN_DRAINING : DRAIN_CANCELED, now);

	if (req->spec && !old) {
		*last = (struct drain_metadata){0};
		MODEL_SET(drain_metadata, last, status, DRAIN_DRAINING);
		MODEL_SET(drain_metadata, last, started_at, now);
		MODEL_SET(drain_metadata, last, updated_at, now);
	}
	disown(a, last);
	if (req->meta && req->meta->n)
		MODEL_SET(drain_metadata, last, meta, *req->meta);
	if (!str_empty(req->accessor))
		MODEL_SET(drain_metadata, last, accessor_id, req->accessor);
	if (!req->spec)
		n_stay = put_unmarks(c, n, stay);
	entry_node_drain(&c->entry, n->id, req->spec ? make_strategy(a, req->spec, old, now) : NULL, last, eligible,
	    !req->spec ? "Node drain disabled" : old ? "Node drain strategy updated" : "Node drain strategy set");
	return eligible ? core_put_node_evals(c, a, n, first_id, now, eval_ids)
			: put_evals(c, a, stay, n_stay, first_id, now, eval_ids);
}

int core_node_drain(struct core *c, struct uuid id, const struct core_drain_request *req, int64_t now,
    struct strs *eval_ids, struct arena *a, uint64_t *index, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);

	if (r)
		return r;
	bool eligible = n->eligible || req->mark_eligible;

	*index = c->state->index;
	if (!req->spec && !n->spec->drain_strategy)
		return eligible == n->eligible ? 0 : core_node_eligibility(c, id, eligible, now, index, e);
	core_begin(c, now);
	core_put_drain(c, a, n, req, 0, now, eval_ids);
	return core_append(c, index, e);
}

struct drain_answer *core_drain(struct core *c, struct uuid id, int64_t now, struct arena *a)
{
	const struct node_entry *n = state_node(c->state, id);

	return n ? drain_describe(c->state, n, now, a) : NULL;
}
