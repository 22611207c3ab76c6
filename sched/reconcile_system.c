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

static bool may_be_on(struct sweep *s, const struct node_entry *n)
{
	struct feasible *f = &s->g->feasible;
	return s->g->spec->count > 0 && feasible_node(f, n) == FILTER_NONE && feasible_check(f, n).kind == FILTER_NONE;
}

static bool is_current(const struct sweep *s, const struct alloc *a)
{
	return a->version == s->c->r->version || a->version->modify_index >= s->c->r->version->modify_index;
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

/* Nothing takes its place, wherever it is: it belongs to its node. */
static void sweep_absent(struct sweep *s, struct alloc *a)
{
	int64_t until = absence_of(a).until;
	if (until <= s->c->r->now || is_asked_to_move(a)) {
		reconcile_lose(s->c, a);
		s->u->stop++;
	} else {
		s->u->disconnect += a->observed != OBSERVED_UNKNOWN;
		reconcile_wait_for(s->c, s->g, a, until);
		s->there[a->node->slot] = true;
	}
}

static void sweep_live(struct sweep *s, struct alloc *a)
{
	struct feasible *f = &s->g->feasible;
	if (absence_is(a)) {
		sweep_absent(s, a);
	} else if (is_asked_to_move(a)) {
		reconcile_stop(s->c, a, -1, a->node->draining ? SAY_MIGRATING : SAY_NOT_NEEDED);
		s->u->stop++;
		if (may_be_on(s, a->node))
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

/* One that ended by itself. An ended sysbatch allocation has done its part; one of a system job waits until somebody asks for
 * it: see core_put_retries(). A new version is a new chance. */
static void sweep_ended(struct sweep *s, struct alloc *a)
{
	const struct alloc_extra *x = a->extra;
	bool asked = x && x->transition && x->transition->force_reschedule;
	if (!a->node || s->there[a->node->slot] || a->observed == OBSERVED_LOST)
		return;
	if (is_current(s, a) && !asked) {
		s->there[a->node->slot] = true;
		s->u->ignore++;
	} else if (may_be_on(s, a->node)) {
		want_on(s, a->node, a, true)->stop_with = asked ? SAY_RESCHEDULED : SAY_UPDATING;
		s->u->place++;
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
		if (!alloc_is_live(a) || absence_is(a))
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
	for (uint32_t i = 0; i < g->n; i++)
		if (alloc_is_live(g->members[i].alloc))
			sweep_live(&s, g->members[i].alloc);
	for (uint32_t i = g->n; i-- > 0;) /* of several the last one counts */
		if (!alloc_is_live(g->members[i].alloc))
			sweep_ended(&s, g->members[i].alloc);
	for (uint32_t i = 0; i < st->cap_nodes; i++) {
		if (!st->nodes[i] || s.there[i] || !may_be_on(&s, st->nodes[i]))
			continue;
		want_on(&s, st->nodes[i], NULL, false);
		u->place++;
	}
	if (s.wait.remaining) {
		c->out->update_at = MIN(c->out->update_at, s.wait.at);
		objmap_set(c->a, &c->out->waits, g->spec->name, arena_copy(c->a, &s.wait, sizeof(s.wait)));
	}
}
