/*
 * reconcile: each allocation of a group is a member with a fate; members are sorted by the index of their names, the count
 * cuts the tail off, and what is missing gets the lowest free indexes.
 */
#include "sched/reconcile.h"

#include "sched/drain.h"
#include "sched/reconcile_internal.h"
#include "sched/update.h"

#define LOOK_FIRST (5 * SECOND)
#define LOOK_LAST  (5 * MINUTE)

/* ---- versions ---- */

static bool is_older(const struct reconcile *c, const struct alloc *a)
{
	return a->version != c->r->version && a->version->modify_index < c->r->version->modify_index;
}

bool reconcile_in_place(struct reconcile *c, struct side *g, struct alloc *a)
{
	const struct job_version *from = a->version, *to = c->r->version;
	if (g->compared != from) { /* allocations of one version come in rows */
		g->compared = from;
		g->destructive = update_is_destructive(from->spec, alloc_group(a), to->spec, g->spec);
	}
	if (g->destructive || a->version->asks[a->group].n_ports != to->asks[g->index].n_ports)
		return false;
	if (!a->node)
		return true; /* it failed on a node that is forgotten */
	return feasible_place(&g->feasible, a->node) == FILTER_NONE &&
	    feasible_check(&g->feasible, a->node).kind != FILTER_CONSTRAINT;
}

/* ---- the plan ---- */

void reconcile_stop(struct reconcile *c, struct alloc *a, int observed, const char *description)
{
	LIST_ADD(c->a, c->plan->stops, c->plan->n_stops, c->plan->cap_stops) =
	    (struct plan_stop){.alloc = a, .desired = DESIRED_STOP, .observed = observed, .description = description};
}

void reconcile_mark(struct reconcile *c, struct alloc *a)
{
	LIST_ADD(c->a, c->plan->marks, c->plan->n_marks, c->plan->cap_marks) =
	    (struct plan_mark){.alloc = a, .move_version = true};
}

uint32_t reconcile_keep(struct reconcile *c, struct alloc *a)
{
	LIST_ADD(c->a, c->out->keeps, c->out->n_keeps, c->out->cap_keeps) = a;
	return c->out->n_keeps;
}

struct want *reconcile_want(struct reconcile *c, const struct side *g, uint32_t index, struct alloc *previous)
{
	struct want *w = &LIST_ADD(c->a, c->out->wants, c->out->n_wants, c->out->cap_wants);
	*w = (struct want){.group = (uint16_t)g->index, .index = index, .previous = previous};
	return w;
}

struct want *reconcile_replacement(struct reconcile *c, const struct side *g, uint32_t index, struct alloc *previous)
{
	struct want *w = reconcile_want(c, g, index, previous);
	w->stop_with = SAY_UPDATING;
	w->kept = alloc_is_live(previous) ? reconcile_keep(c, previous) : 0;
	return w;
}

static bool is_asked_to_go(const struct alloc *a)
{
	const struct desired_transition *t = a->extra ? a->extra->transition : NULL;
	return t && t->migrate && !t->drain;
}

/* What will never say its end is lost. */
static void stop_absent(struct reconcile *c, struct alloc *a, const char *description)
{
	reconcile_stop(c, a, absence_is_silent(a) ? OBSERVED_LOST : -1, description);
}

void reconcile_lose(struct reconcile *c, struct alloc *a)
{
	stop_absent(c, a, is_asked_to_go(a) ? SAY_MIGRATING : SAY_LOST);
}

void reconcile_leave_unknown(struct reconcile *c, struct alloc *a, int64_t until)
{
	if (a->observed != OBSERVED_UNKNOWN)
		LIST_ADD(c->a, c->plan->stops, c->plan->n_stops, c->plan->cap_stops) = (struct plan_stop){
		    .alloc = a, .desired = DESIRED_RUN, .observed = OBSERVED_UNKNOWN, .description = SAY_UNKNOWN};
	if (until != NEVER)
		LIST_ADD(c->a, c->out->laters, c->out->n_laters, c->out->cap_laters) =
		    (struct later){.alloc = a, .at = until, .away = true};
}

void reconcile_wait_for(struct reconcile *c, const struct side *g, struct alloc *a, int64_t until)
{
	struct away_wait *w = objmap_get(&c->out->aways, g->spec->name);
	reconcile_leave_unknown(c, a, until);
	reconcile_keep(c, a);
	if (!w) {
		w = arena_alloc(c->a, sizeof(*w));
		*w = (struct away_wait){.until = NEVER};
		objmap_set(c->a, &c->out->aways, g->spec->name, w);
	}
	w->n++;
	w->until = MIN(w->until, until);
	w->node = a->node;
}

static void set_updates(struct reconcile *c, const char *group, struct desired_updates *u)
{
	MODEL_SET(desired_updates, u, ignore, u->ignore);
	MODEL_SET(desired_updates, u, place, u->place);
	MODEL_SET(desired_updates, u, migrate, u->migrate);
	MODEL_SET(desired_updates, u, stop, u->stop);
	MODEL_SET(desired_updates, u, in_place_update, u->in_place_update);
	MODEL_SET(desired_updates, u, destructive_update, u->destructive_update);
	MODEL_SET(desired_updates, u, canary, u->canary);
	MODEL_SET(desired_updates, u, disconnect, u->disconnect);
	MODEL_SET(desired_updates, u, reconnect, u->reconnect);
	objmap_set(c->a, &c->out->updates, group, u);
}

/* ---- members ---- */

static void add_failed(struct reconcile *c, struct side *g, struct member *m)
{
	struct alloc *a = m->alloc;
	int64_t at, delay;
	m->failed = true;
	switch (reschedule_verdict(a, g->spec->reschedule_policy, c->r->now, &at, &delay)) {
	case RESCHEDULE_NEVER:
		m->fate = FATE_HOLDS;
		break;
	case RESCHEDULE_LATER:
		m->fate = FATE_HOLDS;
		m->later = at;
		break;
	case RESCHEDULE_NOW:
		m->fate = FATE_RESCHEDULE;
		m->delay = delay;
		break;
	}
}

/* The drain of its node was canceled when it had been replaced, and its replacement cannot be reached, or is lost meanwhile: it stays,
 * as long as that is so. */
static bool is_to_stay(const struct reconcile *c, const struct alloc *a)
{
	const struct drain_metadata *last = drain_is_soft(a) && a->node ? a->node->spec->last_drain : NULL;

	if (!last || !str_eq(last->status, DRAIN_CANCELED))
		return false;
	const struct alloc *next = drain_successor(c->r->state, a);

	return !next || absence_is(next);
}

/* One on its way from a draining node: when its replacement is there, that one has its name. It goes when the replacement has proved
 * itself, or when it was told to go whatever comes. */
static bool has_successor(struct reconcile *c, struct alloc *a)
{
	const struct alloc *next = drain_successor(c->r->state, a);
	int64_t when;

	if (!next)
		return false;
	if (alloc_is_live(a) && absence_is(a)) {
		reconcile_lose(c, a);
	} else if (!drain_is_soft(a) || !alloc_is_live(a) || drain_is_healthy(next, c->r->now, &when)) {
		reconcile_stop(c, a, -1, SAY_MIGRATING);
	} else {
		reconcile_keep(c, a);
		if (when > c->r->now)
			c->out->update_at = MIN(c->out->update_at, when);
	}
	return true;
}

static void judge_absent(struct reconcile *c, struct member *m)
{
	struct absence x = absence_of(m->alloc);
	bool over = x.until <= c->r->now || is_asked_to_go(m->alloc);
	m->fate = over ? FATE_LOST : FATE_AWAY;
	m->later = x.until;
	m->replace = x.replace;
}

/* What becomes of an allocation that should run; false: it has nothing to do with the count any more. */
static bool judge(struct reconcile *c, struct side *g, struct member *m)
{
	struct alloc *a = m->alloc;
	const struct desired_transition *t = a->extra && !is_to_stay(c, a) ? a->extra->transition : NULL;
	if (a->observed == OBSERVED_LOST)
		return false;
	if (!alloc_is_live(a) && t && t->reschedule) {
		m->fate = FATE_LEFT;
		return true;
	}
	if (t && t->migrate && has_successor(c, a))
		return false;
	switch ((enum observed)a->observed) {
	case OBSERVED_LOST:
	case OBSERVED_COMPLETE:
		m->fate = FATE_DONE;
		return c->batch && !is_older(c, a);
	case OBSERVED_FAILED:
		if (c->batch && is_older(c, a))
			return false;
		/* A new version is a new chance. */
		if (a->version != c->r->version && !reconcile_in_place(c, g, a)) {
			m->fate = FATE_REPLACE;
			m->failed = true;
		} else {
			add_failed(c, g, m);
		}
		return true;
	case OBSERVED_PENDING:
	case OBSERVED_RUNNING:
	case OBSERVED_UNKNOWN:
		break;
	}
	if (absence_is(a))
		judge_absent(c, m);
	else if (t && t->migrate)
		m->fate = t->drain ? FATE_LEAVES : FATE_MIGRATE;
	else if (a->version == c->r->version)
		m->fate = FATE_RUNS;
	else
		m->fate = reconcile_in_place(c, g, a) ? FATE_MOVES : FATE_REPLACE;
	return true;
}

static int by_index(const void *x, const void *y)
{
	const struct member *a = x, *b = y;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->failed != b->failed)
		return a->failed ? 1 : -1;
	return a->alloc->create_index != b->alloc->create_index
	    ? (a->alloc->create_index < b->alloc->create_index ? -1 : 1)
	    : uuid_cmp(a->alloc->id, b->alloc->id);
}

/* The members beyond the count go: failed ones first, then from the highest index down. */
static void cut(struct side *g)
{
	uint32_t want = (uint32_t)MIN(MAX(g->spec->count, 0), UINT32_MAX), excess = g->n > want ? g->n - want : 0;
	for (int failed = 1; failed >= 0; failed--)
		for (uint32_t i = g->n; i-- > 0 && excess;)
			if (g->members[i].failed == (failed == 1) && !g->members[i].cut) {
				g->members[i].cut = true;
				excess--;
			}
}

void reconcile_stop_waiting(struct reconcile *c, const struct alloc *next, const struct alloc *but)
{
	for (const struct alloc *x = next; x && x->extra && !uuid_is_nil(x->extra->previous);) {
		struct alloc *before = state_alloc(c->r->state, x->extra->previous);
		if (before && before != but && drain_is_soft(before) && alloc_is_live(before) && !absence_is(before))
			reconcile_stop(c, before, -1, SAY_NOT_NEEDED);
		x = before;
	}
}

static void stop_member(struct reconcile *c, struct member *m)
{
	if (m->fate == FATE_LOST || m->fate == FATE_AWAY)
		stop_absent(c, m->alloc, SAY_NOT_NEEDED);
	else if (m->fate != FATE_DONE)
		reconcile_stop(c, m->alloc, -1, SAY_NOT_NEEDED);
	reconcile_stop_waiting(c, m->alloc, NULL);
}

/* A place that is taken over for another reason than a failure keeps count of the failures before. */
static void keep_tracker(struct reconcile *c, struct want *w)
{
	if (w->previous->extra && w->previous->extra->tracker)
		w->tracker = model_copy(c->a, &type_reschedule_tracker, w->previous->extra->tracker);
}

static void replace(struct reconcile *c, struct side *g, struct member *m, struct desired_updates *u)
{
	struct alloc *a = m->alloc;
	struct want *w = reconcile_want(c, g, m->index, a);
	const struct reschedule_policy *p = g->spec->reschedule_policy;
	switch (m->fate) {
	case FATE_LOST:
		reconcile_lose(c, a);
		u->place++;
		break;
	case FATE_MIGRATE:
		reconcile_stop(c, a, -1, SAY_MIGRATING);
		u->migrate++;
		break;
	case FATE_LEFT:
		reconcile_stop(c, a, -1, SAY_LEFT);
		u->place++;
		break;
	default:
		w->stop_with = SAY_RESCHEDULED;
		w->tracker = reschedule_track(a, p, c->r->now, m->delay, c->a);
		w->penalty = true;
		u->place++;
	}
	if (m->fate != FATE_RESCHEDULE)
		keep_tracker(c, w);
}

int64_t reconcile_look_again(const struct reconcile *c, const struct update_strategy *u, bool moves)
{
	const struct eval *e = c->r->eval;
	int64_t wait = MAX(u->min_healthy_time, LOOK_FIRST);
	if (!moves && str_eq(e->triggered_by, "rolling-update"))
		wait = MAX(wait, MIN(2 * (e->wait_until - e->create_time), LOOK_LAST));
	return c->r->now + wait;
}

/* Has the member, or what comes in its place, yet to prove itself? *at: when it will have done so; left alone when that cannot
 * be told. */
static bool is_unproven(const struct reconcile *c, const struct member *m, const struct update_strategy *u, int64_t *at)
{
	switch (m->fate) {
	case FATE_RUNS:
	case FATE_MOVES:
		return !update_is_healthy(m->alloc, u, c->r->now, at);
	case FATE_HOLDS:
		return m->alloc->version == c->r->version;
	case FATE_LOST:
	case FATE_MIGRATE:
	case FATE_LEAVES:
	case FATE_RESCHEDULE:
	case FATE_LEFT:
		return true;
	case FATE_AWAY:
		/* What may be away for ever is not waited for; what is about to speak is. */
		return m->later != NEVER || !absence_is_silent(m->alloc);
	case FATE_REPLACE:
	case FATE_DONE:
		break;
	}
	return false;
}

/* How many allocations may be replaced now, when at most max_parallel may have something to prove. */
static int64_t update_room(struct reconcile *c, struct side *g, uint32_t missing, struct want_wait *wait)
{
	const struct update_strategy *u = g->spec->update;
	if (!u || u->max_parallel <= 0)
		return INT64_MAX;
	wait->max_parallel = u->max_parallel;
	wait->unhealthy = missing;
	wait->at = NEVER;
	for (uint32_t i = 0; i < g->n; i++) {
		int64_t at = NEVER;
		if (g->members[i].cut || !is_unproven(c, &g->members[i], u, &at))
			continue;
		wait->unhealthy++;
		wait->at = MIN(wait->at, at);
	}
	int64_t room = MAX(u->max_parallel - wait->unhealthy, 0);
	if (wait->at == NEVER || wait->at <= c->r->now)
		wait->at = reconcile_look_again(c, u, room > 0);
	return room;
}

static void update_members(struct reconcile *c, struct side *g, uint32_t missing, struct desired_updates *u)
{
	struct want_wait wait = {0};
	int64_t room = update_room(c, g, missing, &wait);
	for (uint32_t i = 0; i < g->n; i++) {
		struct member *m = &g->members[i];
		if (m->cut || m->fate != FATE_REPLACE)
			continue;
		if (room > 0) {
			reconcile_replacement(c, g, m->index, m->alloc);
			u->destructive_update++;
			wait.unhealthy++;
			room--;
		} else {
			reconcile_replacement(c, g, m->index, m->alloc)->spare = true;
			u->ignore++;
			wait.remaining++;
		}
	}
	if (wait.remaining) {
		c->out->update_at = MIN(c->out->update_at, wait.at);
		objmap_set(c->a, &c->out->waits, g->spec->name, arena_copy(c->a, &wait, sizeof(wait)));
	}
}

static void settle_member(struct reconcile *c, struct side *g, struct member *m, struct desired_updates *u)
{
	if (m->cut) {
		stop_member(c, m);
		u->stop += m->fate != FATE_DONE;
		return;
	}
	switch (m->fate) {
	case FATE_LOST:
	case FATE_MIGRATE:
	case FATE_RESCHEDULE:
	case FATE_LEFT:
		replace(c, g, m, u);
		break;
	case FATE_AWAY:
		u->disconnect += m->alloc->observed != OBSERVED_UNKNOWN;
		if (!m->replace) {
			reconcile_wait_for(c, g, m->alloc, m->later);
			break;
		}
		reconcile_leave_unknown(c, m->alloc, m->later);
		keep_tracker(c, reconcile_want(c, g, m->index, m->alloc));
		break;
	case FATE_LEAVES:
		keep_tracker(c, reconcile_want(c, g, m->index, m->alloc));
		reconcile_keep(c, m->alloc);
		u->migrate++;
		break;
	case FATE_MOVES:
		reconcile_mark(c, m->alloc);
		u->in_place_update++;
		reconcile_keep(c, m->alloc);
		break;
	case FATE_RUNS:
		u->ignore++;
		reconcile_keep(c, m->alloc);
		break;
	case FATE_HOLDS:
		if (m->later)
			LIST_ADD(c->a, c->out->laters, c->out->n_laters, c->out->cap_laters) =
			    (struct later){.alloc = m->alloc, .at = m->later};
		u->ignore++;
		break;
	case FATE_DONE:
		u->ignore++;
		break;
	case FATE_REPLACE:
		break;
	}
}

static int by_name(const void *x, const void *y)
{
	const struct alloc *a = *(struct alloc *const *)x, *b = *(struct alloc *const *)y;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return a->create_index != b->create_index ? (a->create_index > b->create_index ? -1 : 1) : uuid_cmp(a->id, b->id);
}

/* Whatever had the name last and was stopped to be replaced is what the new one replaces. */
static void place_missing(struct reconcile *c, struct side *g, uint32_t missing)
{
	uint32_t i = 0, k = 0;
	if (g->n_leavers > 1)
		qsort(g->leavers, g->n_leavers, sizeof(*g->leavers), by_name);
	for (uint32_t index = 0; missing; index++) {
		while (i < g->n && (g->members[i].cut || g->members[i].index < index))
			i++;
		if (i < g->n && g->members[i].index == index)
			continue;
		while (k < g->n_leavers && g->leavers[k]->index < index)
			k++;
		bool follows = k < g->n_leavers && g->leavers[k]->index == index;
		struct want *w = reconcile_want(c, g, index, follows ? g->leavers[k] : NULL);
		if (follows)
			keep_tracker(c, w);
		missing--;
	}
}

/* Counted groups: service and batch. */
static void reconcile_counted(struct reconcile *c, struct side *g, struct desired_updates *u)
{
	uint32_t n = 0, kept = 0, want = (uint32_t)MIN(MAX(g->spec->count, 0), UINT32_MAX);
	for (uint32_t i = 0; i < g->n; i++)
		if (judge(c, g, &g->members[i]))
			g->members[n++] = g->members[i];
	g->n = n;
	if (g->n > 1)
		qsort(g->members, g->n, sizeof(*g->members), by_index);
	reconcile_names(c, g, u);
	cut(g);
	for (uint32_t i = 0; i < g->n; i++)
		kept += !g->members[i].cut;
	uint32_t missing = want > kept ? want - kept : 0;
	u->place += missing;
	place_missing(c, g, missing);
	for (uint32_t i = 0; i < g->n; i++)
		settle_member(c, g, &g->members[i], u);
	update_members(c, g, missing, u);
}

/* ---- the job ---- */

/* Allocations that should not run hold their node until it says that they are gone; a node that is down never will. */
static void settle_stopped(struct reconcile *c, struct alloc *a)
{
	const char *said = a->extra && a->extra->desired_description ? a->extra->desired_description : SAY_NOT_NEEDED;
	if (alloc_is_live(a) && absence_is_silent(a))
		reconcile_stop(c, a, OBSERVED_LOST, said);
}

static void stop_unwanted(struct reconcile *c, struct alloc *a, struct desired_updates *u)
{
	bool ended = a->observed == OBSERVED_COMPLETE || a->observed == OBSERVED_FAILED || a->observed == OBSERVED_LOST;
	if (ended)
		return;
	stop_absent(c, a, SAY_NOT_NEEDED);
	if (u)
		u->stop++;
}

static struct side *side_of(struct reconcile *c, struct alloc *a)
{
	/* Nearly always it has the same number as in its own version. */
	const char *name = alloc_group(a)->name;
	if (a->group < c->n_sides && str_eq(c->sides[a->group].spec->name, name))
		return &c->sides[a->group];
	for (uint32_t i = 0; i < c->n_sides; i++)
		if (str_eq(c->sides[i].spec->name, name))
			return &c->sides[i];
	return NULL;
}

/* Was it stopped to be replaced? */
static bool is_leaver(const struct alloc *a)
{
	const char *said = a->extra && uuid_is_nil(a->extra->next) ? a->extra->desired_description : NULL;
	return said && !str_eq(said, SAY_NOT_NEEDED) && !str_eq(said, SAY_RECONNECTED);
}

static void sort_out(struct reconcile *c, struct alloc *a)
{
	/* What is left of a job that was purged is none of the job's that has its name now. */
	struct side *g = a->version->modify_index < c->r->job->create_index ? NULL : side_of(c, a);
	const char *name = alloc_group(a)->name;
	if (a->desired != DESIRED_RUN) {
		settle_stopped(c, a);
		if (g && is_leaver(a))
			LIST_ADD(c->a, g->leavers, g->n_leavers, g->cap_leavers) = a;
		return;
	}
	if (!g) {
		struct desired_updates *u = objmap_get(&c->out->updates, name);
		if (!u)
			u = MODEL_NEW(c->a, desired_updates);
		stop_unwanted(c, a, u);
		set_updates(c, name, u);
		return;
	}
	LIST_ADD(c->a, g->members, g->n, g->cap) = (struct member){.alloc = a, .index = a->index};
}

static void reconcile_stopped_job(struct reconcile *c)
{
	for (LINK_EACH(&c->r->job->allocs, struct alloc, by_job, a)) {
		struct desired_updates *u = objmap_get(&c->out->updates, alloc_group(a)->name);
		if (!u)
			u = MODEL_NEW(c->a, desired_updates);
		if (a->desired != DESIRED_RUN)
			settle_stopped(c, a);
		else
			stop_unwanted(c, a, u);
		set_updates(c, alloc_group(a)->name, u);
	}
}

void reconcile(const struct plan_request *r, struct arena *a, struct plan *plan, struct reconciled *out)
{
	struct reconcile c = {.r = r, .a = a, .plan = plan, .out = out};
	*out = (struct reconciled){.update_at = NEVER};
	if (r->job->stop || r->job->purged || !r->version) {
		reconcile_stopped_job(&c);
		return;
	}
	const struct objs *groups = &r->version->spec->task_groups;
	c.batch = r->job->type == JOB_BATCH || r->job->type == JOB_SYSBATCH;
	c.n_sides = groups->n;
	c.sides = arena_alloc(a, (groups->n + 1) * sizeof(*c.sides));
	OBJS_EACH (groups, struct task_group, g) {
		c.sides[g_i] = (struct side){.spec = g, .index = g_i};
		feasible_init(&c.sides[g_i].feasible, r->state, r->version, g_i, a);
	}
	for (LINK_EACH(&r->job->allocs, struct alloc, by_job, al))
		sort_out(&c, al);
	for (uint32_t i = 0; i < c.n_sides; i++) {
		struct desired_updates *u = MODEL_NEW(a, desired_updates);
		if (r->job->type == JOB_SYSTEM || r->job->type == JOB_SYSBATCH)
			reconcile_everywhere(&c, &c.sides[i], u);
		else
			reconcile_counted(&c, &c.sides[i], u);
		set_updates(&c, c.sides[i].spec->name, u);
	}
}
