/*
 * gc: what has ended and is old enough goes: evaluations with their allocations, jobs, nodes. Rules of section 5.13 of the
 * reference. What a job still needs stays: a failed allocation that is to be rescheduled, and the finished
 * allocations of a batch job that is not over, because they are what says that the work is done.
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

static bool is_over(const struct job_entry *j)
{
	return j->stop || j->purged || j->status == JOB_DEAD;
}

static bool old_enough(const struct gc *g, int64_t since, int64_t threshold)
{
	return since <= g->now - threshold;
}

static bool alloc_collectable(const struct gc *g, const struct alloc *a)
{
	const struct job_entry *j = a->version->job;
	bool batch = j->type == JOB_BATCH || j->type == JOB_SYSBATCH;
	bool needed = a->desired == DESIRED_RUN && !is_over(j);
	bool replaced = a->extra && !uuid_is_nil(a->extra->next);
	if (alloc_holds(a))
		return false;
	if (needed && batch && a->version == j->current)
		return false;
	if (needed && a->observed == OBSERVED_FAILED && !replaced)
		return false;
	bool finished_batch = batch && !j->stop && !j->purged && a->version == j->current;
	return old_enough(g, a->modify_time, finished_batch ? g->t->batch_eval : g->t->eval);
}

static bool eval_collectable(const struct gc *g, const struct eval_entry *e)
{
	const struct job_entry *j = e->job;
	bool batch = (j->type == JOB_BATCH || j->type == JOB_SYSBATCH) && !j->stop && !j->purged;
	return e->status != EVAL_PENDING && e->status != EVAL_BLOCKED &&
	    old_enough(g, e->spec->modify_time, batch ? g->t->batch_eval : g->t->eval);
}

/* The ids of evaluations whose allocations stay, so that they stay together. */
static struct uuid_table *kept_evals(const struct gc *g, const struct job_entry *j)
{
	struct uuid_table *kept = uuid_table_new(true);
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		struct eval_entry *e = state_eval(g->core->state, a->eval);
		if (e && !alloc_collectable(g, a) && !uuid_table_get(kept, e->id))
			uuid_table_add(kept, e);
	}
	return kept;
}

static bool job_collectable(const struct gc *g, const struct job_entry *j)
{
	bool ends_by_itself = (j->type == JOB_BATCH || j->type == JOB_SYSBATCH) && !j->current->spec->periodic &&
	    !j->current->spec->parameterized_job;
	return !j->purged && j->status == JOB_DEAD && (j->stop || ends_by_itself) &&
	    old_enough(g, j->current->submit_time, g->t->job);
}

static void collect_job(struct gc *g, struct job_entry *j)
{
	struct uuid_table *kept = kept_evals(g, j);
	uint32_t left = 0;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		if (!alloc_collectable(g, a)) {
			left++;
			continue;
		}
		wire_put_uuid(&g->allocs, a->id);
		g->n++;
	}
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e)) {
		if (!eval_collectable(g, e) || uuid_table_get(kept, e->id)) {
			left++;
			continue;
		}
		wire_put_uuid(&g->evals, e->id);
		g->n++;
	}
	uuid_table_free(kept);
	if (left || !job_collectable(g, j))
		return;
	/* The purge comes last in the entry, when nothing refers to the job any more. */
	entry_job_purge(&g->jobs, j->ns, j->id);
	g->n++;
}

static void collect_nodes(struct gc *g)
{
	struct state *s = g->core->state;
	for (uint32_t i = 0; i < s->cap_nodes; i++) {
		const struct node_entry *n = s->nodes[i];
		if (!n || n->status != NODE_DOWN || n->n_live || !old_enough(g, n->status_since, g->t->node))
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
