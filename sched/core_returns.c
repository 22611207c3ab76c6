/*
 * Nodes that were away and come back. What they had was given up as lost, or is unknown, and may run on there: so the node
 * tells first what it has (status `initializing`), and only then is asked to stop anything and given more. What still runs of what was
 * given up should run again (ENTRY_ALLOC_REVIVE); whether it goes on, or the copy that was made meanwhile, is decided by an evaluation
 * (`reconnect`; sched/reconcile_names.c). Batch work that has completed meanwhile counts as done.
 */
#include "sched/absence.h"
#include "sched/core_internal.h"
#include "sched/drain.h"

/* A node that is back and tells nothing for so long has nothing to tell. */
#define REPORT_PATIENCE (30 * SECOND)
#define RETRY_AFTER     (5 * SECOND)

bool core_node_has_news(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (alloc_holds(a))
			return true;
	return false;
}

uint64_t core_node_report(const struct node_entry *n)
{
	return n->status == NODE_INIT ? (uint64_t)n->spec->last_missed_heartbeat_index : 0;
}

uint32_t core_put_ready(struct core *c, struct arena *a, const struct node_entry *n, const char *message, int64_t now)
{
	entry_node_status(&c->entry, n->id, NODE_READY, message);
	return core_put_node_evals(c, a, n, 0, now, NULL);
}

void core_put_return(struct core *c, struct arena *a, const struct node_entry *n, const char *message, int64_t now)
{
	if (core_node_has_news(n))
		entry_node_status(&c->entry, n->id, NODE_INIT, message);
	else
		core_put_ready(c, a, n, message, now);
}

void core_returns_changed(struct core *c, const struct node_entry *n)
{
	if (n->status == NODE_INIT)
		c->returns_at = MIN(c->returns_at, n->status_since + REPORT_PATIENCE);
}

static int give_up_waiting(struct core *c, const struct node_entry *n, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();

	core_begin(c, now);
	core_put_ready(c, a, n, "Node ready, although it did not report its allocations", now);
	return core_append(c, NULL, NULL);
}

void core_returns_tick(struct core *c, int64_t now)
{
	if (c->returns_at > now)
		return;
	c->returns_at = NEVER;
	for (uint32_t i = 0; i < c->state->cap_nodes; i++) {
		const struct node_entry *n = c->state->nodes[i];

		if (!n || n->status != NODE_INIT)
			continue;
		if (n->status_since + REPORT_PATIENCE > now)
			core_returns_changed(c, n);
		else if (give_up_waiting(c, n, now)) /* a journal that has no room now is asked again */
			c->returns_at = MIN(c->returns_at, now + RETRY_AFTER);
	}
}

void core_node_unawaited(struct core *c, const struct node_entry *n, int64_t now)
{
	if (!n || n->status != NODE_DISCONNECTED || absence_is_awaited(n))
		return;
	core_begin(c, now);
	entry_node_status(&c->entry, n->id, NODE_DOWN, "Node down: none of its allocations is waited for any longer");
	core_append(c, NULL, NULL); /* refused: it is called disconnected until it is back */
}

static bool is_emptied(const struct node_entry *n)
{
	const struct drain_metadata *last = n->spec->last_drain;

	return n->draining || (!n->eligible && last && str_eq(last->status, DRAIN_COMPLETE));
}

bool core_alloc_revives(const struct alloc *a, const struct alloc_update *u)
{
	const struct job_entry *j = a->version->job;
	bool batch = j->type == JOB_BATCH || j->type == JOB_SYSBATCH;
	int observed = name_index(observed_names, u->client_status);

	if (!a->node || a->node->status != NODE_INIT || is_emptied(a->node) || !absence_is_given_up(a) || u->stopped)
		return false;
	if (j->stop || j->purged || a->version->modify_index < j->create_index ||
	    !job_group(j->current->spec, alloc_group(a)->name))
		return false;
	return observed == OBSERVED_PENDING || observed == OBSERVED_RUNNING || (batch && observed == OBSERVED_COMPLETE);
}
