#include "sched/absence.h"

#include "sched/drain.h"

static const char *const keep_words[] = {
    [KEEP_ORIGINAL] = "keep_original",
    [KEEP_REPLACEMENT] = "keep_replacement",
    [KEEP_BEST_SCORE] = "best_score",
    [KEEP_LONGEST] = "longest_running",
    NULL,
};

bool absence_keep_is_known(const char *word)
{
	return name_index(keep_words, word) >= 0;
}

static int64_t lost_after(const struct task_group *g)
{
	return g->disconnect ? g->disconnect->lost_after : g->max_client_disconnect;
}

static int64_t stop_after(const struct task_group *g)
{
	return g->disconnect ? g->disconnect->stop_on_client_after : g->stop_after_client_disconnect;
}

static bool is_replaced(const struct task_group *g)
{
	const struct disconnect_strategy *d = g->disconnect;

	return d ? !MODEL_HAS(disconnect_strategy, d, replace) || d->replace : !g->prevent_reschedule_on_lost;
}

enum keep absence_keep(const struct task_group *g)
{
	const struct disconnect_strategy *d = g->disconnect;

	if (d && !str_empty(d->reconcile))
		return (enum keep)MAX(0, name_index(keep_words, d->reconcile));
	return d || g->max_client_disconnect > 0 ? KEEP_BEST_SCORE : KEEP_ORIGINAL;
}

static bool is_silent(const struct node_entry *n)
{
	return n->status == NODE_DOWN || n->status == NODE_DISCONNECTED;
}

bool absence_is_silent(const struct alloc *a)
{
	return !a->node || is_silent(a->node);
}

bool absence_is(const struct alloc *a)
{
	return absence_is_silent(a) || a->observed == OBSERVED_UNKNOWN;
}

struct absence absence_of(const struct alloc *a)
{
	const struct node_entry *n = a->node;
	const struct task_group *g = alloc_group(a);

	if (!n)
		return (struct absence){0};
	if (!is_silent(n)) /* it is about to speak */
		return (struct absence){.until = NEVER};
	/* What was not heard of yet had not begun, for all that is known. */
	if (lost_after(g) > 0 && a->observed == OBSERVED_PENDING)
		return (struct absence){0};
	if (lost_after(g) > 0 && n->status == NODE_DISCONNECTED)
		return (struct absence){.until = n->status_since + lost_after(g), .replace = is_replaced(g)};
	if (stop_after(g) > 0)
		return (struct absence){.until = n->status_since + stop_after(g) + drain_time_to_stop(a)};
	if (!is_replaced(g))
		return (struct absence){.until = NEVER};
	return (struct absence){0};
}

enum node_status absence_status(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (a->desired == DESIRED_RUN && (a->observed == OBSERVED_RUNNING || a->observed == OBSERVED_UNKNOWN) &&
		    !a->version->job->stop && lost_after(alloc_group(a)) > 0)
			return NODE_DISCONNECTED;
	return NODE_DOWN;
}

bool absence_is_awaited(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (a->desired == DESIRED_RUN && alloc_is_live(a) &&
		    (lost_after(alloc_group(a)) > 0 || stop_after(alloc_group(a)) > 0))
			return true;
	return false;
}

bool absence_is_given_up(const struct alloc *a)
{
	return a->desired == DESIRED_STOP && a->observed == OBSERVED_LOST && a->extra &&
	    str_eq(a->extra->desired_description, SAY_LOST);
}
