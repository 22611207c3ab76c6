/*
 * gc: what has ended and is old enough goes: evaluations with their allocations, jobs, nodes. What a job still needs stays:
 * a failed allocation that is to be rescheduled, and the finished ones of a batch job, which say that the work is done and
 * so go with the job only. What may still run somewhere stays too: a lost allocation until its node has said that it ended, or
 * is gone itself.
 */
#include "sched/core_internal.h"

#define DELETES_PER_ENTRY 4096

struct gc {
	struct core *core;
	const struct gc_thresholds *t;
	int64_t now;
	struct buf allocs, evals, jobs; /* bodies and records of the entry */
	uint32_t n;
	int rc;
	struct err *e;
};

static void put_uuids(struct buf *b, enum entry_kind kind, struct buf *ids)
{
	if (!ids->len)
		return;
	size_t o = entry_open(b, kind);
	buf_put(b, ids->data, ids->len);
	entry_close(b, o);
	buf_clear(ids);
}

static void flush(struct gc *g)
{
	if (!g->n || g->rc)
		return;
	core_begin(g->core, g->now);
	put_uuids(&g->core->entry, ENTRY_ALLOC_DELETE, &g->allocs);
	put_uuids(&g->core->entry, ENTRY_EVAL_DELETE, &g->evals);
	if (g->jobs.len)
		buf_put(&g->core->entry, g->jobs.data, g->jobs.len);
	buf_clear(&g->jobs);
	g->n = 0;
	g->rc = core_append(g->core, NULL, g->e);
}

static bool old_enough(const struct gc *g, int64_t since, int64_t threshold)
{
	return since <= g->now - threshold;
}

static bool is_batch(const struct job_entry *j)
{
	return j->type == JOB_BATCH || j->type == JOB_SYSBATCH;
}

static bool is_wanted(const struct job_entry *j)
{
	return !j->stop && !j->purged;
}

/* It has ended, nothing of it holds a node any more, and that long ago. */
static bool alloc_is_old(const struct gc *g, const struct alloc *a)
{
	const struct job_entry *j = a->version->job;
	bool current = is_batch(j) && is_wanted(j) && a->version == j->current;
	if (alloc_is_live(a) || (a->node && alloc_holds(a)))
		return false;
	return old_enough(g, a->modify_time, current ? g->t->batch_eval : g->t->eval);
}

/* What its job would do again without it: finished work, or one that failed and may not, or not yet, be tried again. */
static bool alloc_is_needed(const struct alloc *a)
{
	const struct job_entry *j = a->version->job;
	if (!is_wanted(j) || a->desired != DESIRED_RUN)
		return false;
	return is_batch(j) ? a->version == j->current : a->observed == OBSERVED_FAILED;
}

static bool eval_is_old(const struct gc *g, const struct eval_entry *e)
{
	const struct job_entry *j = e->job;
	return e->status != EVAL_PENDING && e->status != EVAL_BLOCKED &&
	    old_enough(g, e->spec->modify_time, is_batch(j) && is_wanted(j) ? g->t->batch_eval : g->t->eval);
}

/* May the job go, with all that it has? */
static bool job_is_old(const struct gc *g, const struct job_entry *j)
{
	const struct job *spec = j->current->spec;
	bool ends_by_itself = is_batch(j) && !spec->periodic && !spec->parameterized_job;
	if (j->purged || j->status != JOB_DEAD || !(j->stop || ends_by_itself) ||
	    !old_enough(g, j->current->submit_time, g->t->job))
		return false;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		if (!alloc_is_old(g, a))
			return false;
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
		if (!eval_is_old(g, e))
			return false;
	return true;
}

static void delete_alloc(struct gc *g, const struct alloc *a)
{
	wire_put_uuid(&g->allocs, a->id);
	g->n++;
}

static void delete_eval(struct gc *g, const struct eval_entry *e)
{
	wire_put_uuid(&g->evals, e->id);
	g->n++;
}

/* An evaluation stays as long as one of its allocations. */
static void collect_parts(struct gc *g, struct job_entry *j)
{
	struct uuid_table *evals = uuid_table_new(true);
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
		if (eval_is_old(g, e))
			uuid_table_add(evals, e);
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		if (alloc_is_old(g, a) && !alloc_is_needed(a))
			delete_alloc(g, a);
		else if (uuid_table_count(evals))
			uuid_table_del(evals, a->eval);
	}
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
		if (uuid_table_get(evals, e->id))
			delete_eval(g, e);
	uuid_table_free(evals);
}

static void collect_job(struct gc *g, struct job_entry *j)
{
	if (!job_is_old(g, j)) {
		collect_parts(g, j);
		return;
	}
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		delete_alloc(g, a);
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
		delete_eval(g, e);
	/* The purge comes last in the entry, when nothing refers to the job any more. */
	entry_job_purge(&g->jobs, j->ns, j->id);
	g->n++;
}

static bool runs_something(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (alloc_is_live(a))
			return true;
	return false;
}

static void collect_nodes(struct gc *g)
{
	struct state *s = g->core->state;
	for (uint32_t i = 0; i < s->cap_nodes; i++) {
		const struct node_entry *n = s->nodes[i];
		if (!n || n->status != NODE_DOWN || !old_enough(g, n->status_since, g->t->node) || runs_something(n))
			continue;
		entry_node_delete(&g->jobs, n->id);
		g->n++;
	}
}

int gc_run(struct core *c, const struct gc_thresholds *t, int64_t now, struct err *e)
{
	struct gc g = {.core = c, .t = t, .now = now, .e = e};
	cleanup_free struct job_entry **jobs = xcalloc(c->state->jobs.n + 1, sizeof(struct job_entry *));
	uint32_t n = 0;
	const char *key;
	void *obj;
	for (uint32_t i = 0; map_next(&c->state->jobs, &i, &key, &obj);)
		jobs[n++] = obj;
	/* A flush may free a purged job, so only jobs that this entry does not end are looked at after it. */
	for (uint32_t i = 0; i < n && !g.rc; i++) {
		collect_job(&g, jobs[i]);
		if (g.n >= DELETES_PER_ENTRY)
			flush(&g);
	}
	collect_nodes(&g);
	flush(&g);
	buf_free(&g.allocs);
	buf_free(&g.evals);
	buf_free(&g.jobs);
	return g.rc;
}
