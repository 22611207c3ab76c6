/* reconcile_names: allocations of one name, as there are when a node is away or has come back, and which of them has it. */
#include "sched/reconcile_internal.h"
#include "sched/update.h"

/* Fates from the one that has the name before all others down; those of a class are told apart by what the group says. */
static const unsigned char classes[] = {
    [FATE_DONE] = 0, /* the work is done */
    [FATE_RUNS] = 1,
    [FATE_MOVES] = 1,
    [FATE_REPLACE] = 2,
    [FATE_LEAVES] = 2,
    [FATE_MIGRATE] = 2,
    [FATE_HOLDS] = 3,
    [FATE_RESCHEDULE] = 3,
    [FATE_LEFT] = 4,
    [FATE_AWAY] = 5,
    [FATE_LOST] = 6,
};

/* When the last of its tasks began its run; NEVER: it does not run. */
static int64_t runs_since(const struct alloc *a)
{
	int64_t since = 0;

	if (a->observed != OBSERVED_RUNNING)
		return NEVER;
	for (uint32_t i = 0; a->extra && i < a->extra->task_states.n; i++) {
		const struct task_state *s = a->extra->task_states.v[i].value;

		if (str_eq(s->state, "running"))
			since = MAX(since, MAX(s->started_at, s->last_restart));
	}
	return since ? since : a->create_time;
}

/* Its tasks run; how long they have done so is another question. */
static bool is_healthy(const struct reconcile *c, const struct alloc *a)
{
	const struct update_strategy at_once = {.min_healthy_time = 0};
	int64_t when;

	return update_is_healthy(a, &at_once, c->r->now, &when) || (when != NEVER && when > c->r->now);
}

/* Of two that may go on; x is older. */
static bool older_goes_on(const struct reconcile *c, const struct side *g, const struct alloc *x, const struct alloc *y)
{
	enum keep keep = absence_keep(g->spec);
	bool well = is_healthy(c, x);

	if (keep == KEEP_REPLACEMENT)
		return false;
	if (well != is_healthy(c, y))
		return well;
	if (keep == KEEP_BEST_SCORE)
		return x->score >= y->score;
	return keep == KEEP_LONGEST ? runs_since(x) <= runs_since(y) : true;
}

/* What failed and makes room for another version has nothing before others that failed. */
static unsigned class_of(const struct member *m)
{
	return m->failed ? MAX(classes[m->fate], classes[FATE_HOLDS]) : classes[m->fate];
}

/* x is older than y. */
static bool older_has_name(const struct reconcile *c, const struct side *g, const struct member *x, const struct member *y)
{
	if (class_of(x) != class_of(y))
		return class_of(x) < class_of(y);
	return class_of(x) < classes[FATE_HOLDS] && older_goes_on(c, g, x->alloc, y->alloc);
}

static void settle_other(struct reconcile *c, struct member *m, const struct alloc *best, struct desired_updates *u)
{
	switch (m->fate) {
	case FATE_DONE:
		break;
	case FATE_AWAY:
		u->disconnect += m->alloc->observed != OBSERVED_UNKNOWN;
		reconcile_leave_unknown(c, m->alloc, m->later);
		break;
	case FATE_LOST:
		reconcile_lose(c, m->alloc);
		u->stop++;
		break;
	default:
		reconcile_stop(c, m->alloc, -1, m->failed ? SAY_NOT_NEEDED : SAY_RECONNECTED);
		u->stop++;
		u->reconnect += !m->failed;
		reconcile_stop_waiting(c, m->alloc, best);
	}
}

static bool is_older(const struct member *m, const struct member *than)
{
	const struct alloc *x = m->alloc, *y = than->alloc;

	return x->create_index != y->create_index ? x->create_index < y->create_index : uuid_cmp(x->id, y->id) < 0;
}

void reconcile_names(struct reconcile *c, struct side *g, struct desired_updates *u)
{
	uint32_t n = 0;

	for (uint32_t i = 0, end; i < g->n; i = end) {
		uint32_t best = i;

		for (end = i + 1; end < g->n && g->members[end].index == g->members[i].index; end++) {
			struct member *x = &g->members[best], *y = &g->members[end];
			bool first = is_older(x, y) ? older_has_name(c, g, x, y) : !older_has_name(c, g, y, x);

			best = first ? best : end;
		}
		for (uint32_t k = i; k < end; k++)
			if (k != best)
				settle_other(c, &g->members[k], g->members[best].alloc, u);
		g->members[n++] = g->members[best];
	}
	g->n = n;
}
