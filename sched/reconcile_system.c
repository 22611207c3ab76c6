/* reconcile_system: groups that run once on each node: system, and sysbatch, which is done with a node when it ended there. */
#include "sched/reconcile_internal.h"
#include "sched/update.h"

struct sweep {
	struct reconcile *c;
	struct side *g;
	struct desired_updates *u;
	bool *there; /* by slot: the group is, or was, on that node */
	int64_t room; /* replacements that may still begin */
	struct want_wait wait;
};

static struct want *want_on(struct sweep *s, struct node_entry *n, struct alloc *previous, bool runs_on)
{
	struct want *w = runs_on ? reconcile_replacement(s->c, s->g, 0, previous) : reconcile_want(s->c, s->g, 0, previous);
	w->node = n;
	s->there[n->slot] = true;
	return w;
}

static bool is_current(const struct sweep *s, const struct alloc *a)
{
	return a->version == s->c->r->version || a->version->modify_index >= s->c->r->version->modify_index;
}

/* One that ended by itself: an ended sysbatch allocation has done its part. One of a system job waits for its reason to be
 * looked at: it comes back with the next registration, evaluation by hand, or change of its node. */
static void sweep_ended(struct sweep *s, struct alloc *a)
{
	const struct eval *ev = s->c->r->eval;
	bool again = str_eq(ev->triggered_by, "job-register") || str_eq(ev->triggered_by, "node-update");
	if (!a->node || !is_current(s, a) || a->observed == OBSERVED_LOST || (!s->c->batch && again))
		return;
	s->there[a->node->slot] = true;
	s->u->ignore++;
}

static void sweep_update(struct sweep *s, struct alloc *a)
{
	if (s->room <= 0) {
		want_on(s, a->node, a, true)->spare = true;
		s->u->ignore++;
		s->wait.remaining++;
		return;
	}
	s->room--;
	s->wait.unhealthy++;
	s->u->destructive_update++;
	want_on(s, a->node, a, true);
}

static bool is_asked_to_move(const struct alloc *a)
{
	return a->extra && a->extra->transition && a->extra->transition->migrate;
}

static void sweep_live(struct sweep *s, struct alloc *a)
{
	struct feasible *f = &s->g->feasible;
	if (reconcile_node_is_gone(a)) {
		reconcile_stop(s->c, a, OBSERVED_LOST, SAY_LOST);
		s->u->stop++;
	} else if (is_asked_to_move(a)) {
		reconcile_stop(s->c, a, -1, a->node->draining ? SAY_MIGRATING : SAY_NOT_NEEDED);
		s->u->stop++;
		if (feasible_node(f, a->node) == FILTER_NONE && s->g->spec->count > 0)
			want_on(s, a->node, a, false), s->u->place++;
	} else if (s->g->spec->count < 1 || feasible_place(f, a->node) != FILTER_NONE ||
	    feasible_check(f, a->node).kind == FILTER_CONSTRAINT) {
		reconcile_stop(s->c, a, -1, SAY_NOT_NEEDED);
		s->u->stop++;
	} else if (a->version == s->c->r->version) {
		s->there[a->node->slot] = true;
		reconcile_keep(s->c, a);
		s->u->ignore++;
	} else if (reconcile_in_place(s->c, s->g, a)) {
		s->there[a->node->slot] = true;
		reconcile_mark(s->c, a);
		reconcile_keep(s->c, a);
		s->u->in_place_update++;
	} else {
		sweep_update(s, a);
	}
}

static void find_room(struct sweep *s)
{
	const struct update_strategy *u = s->g->spec->update;
	s->room = INT64_MAX;
	if (!u || u->max_parallel <= 0)
		return;
	s->wait.max_parallel = u->max_parallel;
	s->wait.at = NEVER;
	for (uint32_t i = 0; i < s->g->n; i++) {
		struct alloc *a = s->g->members[i].alloc;
		int64_t at = NEVER;
		if (!alloc_is_live(a) || reconcile_node_is_gone(a))
			continue;
		/* One of an older version that has to go anyway need not prove itself any more. */
		bool proves = a->version == s->c->r->version || reconcile_in_place(s->c, s->g, a);
		if (!is_asked_to_move(a) && (!proves || update_is_healthy(a, u, s->c->r->now, &at)))
			continue;
		s->wait.unhealthy++;
		s->wait.at = MIN(s->wait.at, at);
	}
	s->room = MAX(u->max_parallel - s->wait.unhealthy, 0);
	if (s->wait.at == NEVER || s->wait.at <= s->c->r->now)
		s->wait.at = reconcile_look_again(s->c, u, s->room > 0);
}

void reconcile_everywhere(struct reconcile *c, struct side *g, struct desired_updates *u)
{
	const struct state *st = c->r->state;
	struct sweep s = {.c = c, .g = g, .u = u};
	s.there = arena_alloc(c->a, st->cap_nodes + 1);
	find_room(&s);
	for (uint32_t i = 0; i < g->n; i++) {
		struct alloc *a = g->members[i].alloc;
		if (alloc_is_live(a))
			sweep_live(&s, a);
		else
			sweep_ended(&s, a);
	}
	for (uint32_t i = 0; i < st->cap_nodes && g->spec->count > 0; i++) {
		struct node_entry *n = st->nodes[i];
		if (!n || s.there[i] || feasible_node(&g->feasible, n) != FILTER_NONE ||
		    feasible_check(&g->feasible, n).kind != FILTER_NONE)
			continue;
		want_on(&s, n, NULL, false);
		u->place++;
	}
	if (s.wait.remaining) {
		c->out->update_at = MIN(c->out->update_at, s.wait.at);
		objmap_set(c->a, &c->out->waits, g->spec->name, arena_copy(c->a, &s.wait, sizeof(s.wait)));
	}
}
