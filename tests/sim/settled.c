/*
 * settled: what was promised, when the faults have paused and time has passed: counts are met or the reason that is given
 * is true; what would fit somewhere is placed; machines run exactly what the servers think; nothing is left undone.
 */
#include <inttypes.h>

#include "base/uuid.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

/* ---- reasons ---- */

struct counts { /* what rules out nodes, by the checker's own look */
	struct {
		const char *code;
		int64_t nodes, short_by;
	} v[20];
	uint32_t n;
	int64_t nodes, fitting;
};

static void count_node(struct counts *c, const char *code, int64_t short_by)
{
	c->nodes++;
	if (!code) {
		c->fitting++;
		return;
	}
	uint32_t i = 0;

	while (i < c->n && strcmp(c->v[i].code, code))
		i++;
	if (i == c->n) {
		c->v[c->n].code = code;
		c->v[c->n].short_by = short_by;
		c->v[c->n++].nodes = 0;
	}
	c->v[i].nodes++;
	c->v[i].short_by = MIN(c->v[i].short_by, short_by);
}

static struct counts count_nodes(struct sim *s, const struct loads *l, const struct job_entry *j, const struct task_group *g)
{
	const struct state *st = core_state(s->core);
	struct counts c = {0};

	for (uint32_t i = 0; i < st->cap_nodes; i++) {
		int64_t short_by = 0;

		if (!st->nodes[i])
			continue;
		const char *code = rules_verdict(s, l, j, j->current->spec, g, st->nodes[i], NULL, true, &short_by);

		count_node(&c, code, short_by);
	}
	return c;
}

static void compare_cause(struct sim *s, const char *what, const struct counts *c, const struct wait_reason *why, uint32_t i)
{
	int64_t said = 0, nearest = INT64_MAX;

	/* One code may have several causes: one for each driver, condition or port. */
	OBJS_EACH (&why->causes, struct wait_cause, x)
		if (str_eq(x->code, c->v[i].code)) {
			said += x->nodes;
			nearest = MIN(nearest, x->short_by);
		}
	if (said != c->v[i].nodes)
		sim_fail(s, "%s: %lld nodes are ruled out by %s; the reason given is: %s", what, (long long)c->v[i].nodes,
		    c->v[i].code, why->text);
	else if (c->v[i].short_by && nearest != c->v[i].short_by)
		sim_fail(s, "%s: the nearest miss of %s is %lld; the reason given is: %s", what, c->v[i].code,
		    (long long)c->v[i].short_by, why->text);
}

/* Nodes for each cause, and the nearest miss, are as the checker counts them. Of a job with a count: a job that runs on
 * every node waits for certain ones. */
static void check_reason(struct sim *s, const struct loads *l, struct job_entry *j, const struct task_group *g)
{
	cleanup_arena struct arena *a = arena_new();
	const struct wait_reason *why = core_why(s->core, a, j, g->name, s->now);
	struct counts c = count_nodes(s, l, j, g);
	int64_t said = 0;
	char what[64];

	if (!why || !why->causes.n)
		return;
	s->reasons++;
	snprintf(what, sizeof(what), "%s.%s waits", j->id, g->name);
	OBJS_EACH (&why->causes, struct wait_cause, x)
		said += x->nodes;
	if (why->nodes != c.nodes)
		sim_fail(s, "%s: there are %lld nodes; the reason given is: %s", what, (long long)c.nodes, why->text);
	if (said + c.fitting != c.nodes)
		sim_fail(s, "%s: it would fit on %lld nodes; the reason given is: %s", what, (long long)c.fitting, why->text);
	for (uint32_t i = 0; i < c.n; i++)
		compare_cause(s, what, &c, why, i);
}

/* Does a place depend on where the others are? With an update on its way that is another question for each that is replaced. */
static bool looks_at_others(const struct job *spec, const struct task_group *g)
{
	OBJS_EACH (&spec->constraints, struct constraint, c)
		if (str_starts(c->operand, "distinct_"))
			return true;
	OBJS_EACH (&g->constraints, struct constraint, d)
		if (str_starts(d->operand, "distinct_"))
			return true;
	return false;
}

static bool is_changing(const struct job_entry *j, const char *group)
{
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		if (rules_runs(a) && a->version != j->current && str_eq(alloc_group(a)->name, group))
			return true;
	return false;
}

void check_reasons(struct sim *s, const struct loads *l, bool settled)
{
	for (uint32_t i = 0; i < SIM_JOBS; i++) {
		char id[16];

		snprintf(id, sizeof(id), "job-%u", i);
		struct job_entry *j = state_job(core_state(s->core), "default", id);

		if (!j || j->stop || (j->type != JOB_SERVICE && j->type != JOB_BATCH))
			continue;
		/* What is about to stop still counts for one side and not for the other, until the scheduler has looked. */
		OBJS_EACH (&j->current->spec->task_groups, struct task_group, g)
			if (!looks_at_others(j->current->spec, g) || (settled && !is_changing(j, g->name)))
				check_reason(s, l, j, g);
	}
}

/* ---- jobs with a count ---- */

struct tally {
	uint32_t live, complete, failed, old, leaving;
};

/* Does it wait to be replaced? Not when it has been, nor when the drain was canceled after that and nothing is left of what came. */
static bool wants_next(const struct sim *s, const struct alloc *a)
{
	const struct drain_metadata *drain = a->node->spec->last_drain;
	const struct alloc *last = a;

	if (drains_mark(a) != MARK_SOFT || (drain && str_eq(drain->status, "canceled")))
		return false;
	while (last && last->extra && !uuid_is_nil(last->extra->next))
		last = state_alloc(core_state(s->core), last->extra->next);
	return !last || last == a || !rules_runs(last);
}

/* Of several copies of one name, as there are when a machine was away, the work of one counts; and none of an older version. */
static bool counts_as_done(const struct job_entry *j, const struct alloc *a)
{
	if (a->observed != OBSERVED_COMPLETE || a->version != j->current)
		return false;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, b))
		if (b->observed == OBSERVED_COMPLETE && b->desired == DESIRED_RUN && b->version == j->current && b->group == a->group &&
		    b->index == a->index)
			return b == a;
	return false;
}

static void tally_group(const struct sim *s, const struct job_entry *j, const char *group, struct tally *t)
{
	memset(t, 0, sizeof(*t));
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		if (!str_eq(alloc_group(a)->name, group) || a->desired != DESIRED_RUN)
			continue;
		/* Of two of one name the replacement is the one that counts; when that is out of reach, the other one, unless it is, too. */
		bool counts = a->observed == OBSERVED_UNKNOWN ? !drains_replaced_by_away(s, a) && !(away_may_stay(a) && away_is_shadow(a)) : true;

		t->live += rules_live(a) && counts;
		t->complete += counts_as_done(j, a);
		t->failed += a->observed == OBSERVED_FAILED && !away_has_next(s, a);
		/* One that is to be replaced first may be of any version; its replacement is a new one. */
		t->leaving += rules_live(a) && a->observed != OBSERVED_UNKNOWN && a->node && wants_next(s, a);
		/* What nobody can reach stays as it is. */
		t->old += rules_live(a) && a->observed != OBSERVED_UNKNOWN && a->version != j->current && drains_mark(a) != MARK_SOFT;
	}
}

static void check_missing(struct sim *s, const struct loads *l, struct job_entry *j, const struct task_group *g,
    int64_t missing, const struct tally *t)
{
	cleanup_arena struct arena *a = arena_new();
	const struct wait_reason *why = core_why(s->core, a, j, g->name, s->now);
	struct counts c = count_nodes(s, l, j, g);

	if (!why || str_empty(why->text) || str_empty(why->code)) {
		sim_fail(s, "%s.%s misses %lld and no reason is given", j->id, g->name, (long long)missing);
		return;
	}
	if (missing <= t->failed && str_eq(why->code, "reschedule-exhausted"))
		return;
	if (c.fitting)
		sim_fail(s, "%s.%s misses %lld, although there is room on %lld nodes; the reason given is: %s", j->id, g->name,
		    (long long)missing, (long long)c.fitting, why->text);
	if (!j->blocked)
		sim_fail(s, "%s.%s misses %lld, and no evaluation waits for room", j->id, g->name, (long long)missing);
}

/* The missing are queued, and so are replacements of what leaves a draining node. */
static void check_queued(struct sim *s, const struct job_entry *j, const struct task_group *g, int64_t missing, const struct tally *t)
{
	const struct group_summary *sum = objmap_get(&j->summary, g->name);
	uint32_t queued = sum ? sum->queued : 0;

	if (!t->failed && !t->old && queued != missing + t->leaving)
		sim_fail(s, "%s.%s misses %lld, and %u leave, and %u are queued", j->id, g->name, (long long)missing, t->leaving, queued);
}

/* Where would one more fit, were this allocation of an older version not there? */
static const char *room_without(struct sim *s, const struct loads *l, struct job_entry *j, const struct task_group *g,
    const struct alloc *old)
{
	const struct state *st = core_state(s->core);
	for (uint32_t i = 0; i < st->cap_nodes; i++) {
		struct load *x = &l->of[i], was = *x;
		const char *v = "none";

		if (st->nodes[i] && st->nodes[i] == old->node)
			rules_take_away(x, old);
		if (st->nodes[i])
			v = rules_verdict(s, l, j, j->current->spec, g, st->nodes[i], old, true, NULL);
		*x = was;
		if (!v)
			return st->nodes[i]->spec->name;
	}
	return NULL;
}

/* Allocations of an older version go on only while there is no room for new ones, nowhere, nor where they are; or while
 * enough new ones are missing or have failed to hold the update up. */
static void check_old(struct sim *s, const struct loads *l, struct job_entry *j, const struct task_group *g,
    const struct tally *t, int64_t missing)
{
	cleanup_arena struct arena *a = arena_new();
	const struct wait_reason *why = core_why(s->core, a, j, g->name, s->now);
	int64_t unproven = MAX(missing, 0) + t->failed + t->leaving;
	bool held_up = g->update && g->update->max_parallel > 0 && unproven >= g->update->max_parallel;

	if (!why) {
		sim_fail(s, "%s.%s has %u allocations of an older version, and no reason is given", j->id, g->name, t->old);
		return;
	}
	for (LINK_EACH(&j->allocs, struct alloc, by_job, al)) {
		if (!rules_runs(al) || al->version == j->current || !str_eq(alloc_group(al)->name, g->name) || held_up)
			continue;
		const char *node = room_without(s, l, j, g, al);

		if (node)
			sim_fail(s, "%s.%s[%u] is of an older version, although there is room for a new one on %s; the reason given is: %s",
			    j->id, g->name, al->index, node, why->text);
	}
}

static void check_counted(struct sim *s, const struct loads *l, struct job_entry *j, const struct task_group *g)
{
	struct tally t;

	tally_group(s, j, g->name, &t);
	int64_t missing = g->count - t.live - (j->type == JOB_BATCH ? t.complete : 0);

	if (t.live > g->count)
		sim_fail(s, "%s.%s wants %lld and has %u live", j->id, g->name, (long long)g->count, t.live);
	if (missing > 0)
		check_missing(s, l, j, g, missing, &t);
	check_queued(s, j, g, MAX(missing, 0), &t);
	if (t.old)
		check_old(s, l, j, g, &t, missing);
}

/* ---- jobs that run everywhere ---- */

static bool is_there(const struct job_entry *j, const char *group, const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a)) {
		bool ended = a->observed == OBSERVED_FAILED || (j->type == JOB_SYSBATCH && a->observed == OBSERVED_COMPLETE);

		if (a->version->job == j && a->desired == DESIRED_RUN && str_eq(alloc_group(a)->name, group) &&
		    (rules_live(a) || ended))
			return true;
	}
	return false;
}

static void check_everywhere(struct sim *s, const struct loads *l, struct job_entry *j, const struct task_group *g)
{
	const struct state *st = core_state(s->core);

	for (uint32_t i = 0; i < st->cap_nodes; i++) {
		const struct node_entry *n = st->nodes[i];

		if (!n || is_there(j, g->name, n) || g->count < 1)
			continue;
		const char *v = rules_verdict(s, l, j, j->current->spec, g, n, NULL, true, NULL);

		if (!v)
			sim_fail(s, "%s.%s should be on %s and is not", j->id, g->name, n->spec->name);
		if (!v || rules_verdict(s, l, j, j->current->spec, g, n, NULL, false, NULL))
			continue;
		/* It belongs there, and there is no room: somebody has to say so. */
		cleanup_arena struct arena *a = arena_new();
		const struct wait_reason *why = core_why(s->core, a, j, g->name, s->now);
		bool said = false;

		if (why)
			OBJS_EACH (&why->causes, struct wait_cause, c)
				said = said || str_eq(c->code, v);
		if (!said || !j->blocked)
			sim_fail(s, "%s.%s has no room on %s for %s; the reason given is: %s", j->id, g->name, n->spec->name, v,
			    why ? why->text : "(none)");
	}
}

/* ---- all of it ---- */

struct settled {
	struct sim *s;
	struct loads l;
};

static bool settled_job(void *arg, struct job_entry *j)
{
	struct settled *x = arg;

	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		if (rules_live(a) && (j->stop || !job_group(j->current->spec, alloc_group(a)->name)))
			sim_fail(x->s, "%s does not want its %s any more, yet it holds its node", j->id, alloc_group(a)->name);
	for (uint32_t i = 0; i < j->summary.n; i++)
		if ((j->stop || !job_group(j->current->spec, j->summary.v[i].key)) &&
		    ((struct group_summary *)j->summary.v[i].value)->queued)
			sim_fail(x->s, "%s does not want its %s any more, yet some are queued", j->id, j->summary.v[i].key);
	if (j->stop)
		return true;
	OBJS_EACH (&j->current->spec->task_groups, struct task_group, g) {
		if (j->type == JOB_SERVICE || j->type == JOB_BATCH)
			check_counted(x->s, &x->l, j, g);
		else
			check_everywhere(x->s, &x->l, j, g);
	}
	return true;
}

static bool settled_alloc(void *arg, struct alloc *al)
{
	struct settled *x = arg;
	struct sim *s = x->s;
	char id[UUID_STR];
	bool found = false;

	if (al->observed == OBSERVED_UNKNOWN && (!away_may_stay(al) || !al->node || al->node->status != NODE_DOWN))
		sim_fail(s, "an allocation of %s on %s is still unknown", al->version->job->id, al->node ? al->node->spec->name : "-");
	if (!rules_holds(al) || !al->node || al->node->status == NODE_DOWN)
		return true;
	uuid_format(al->id, id);
	const struct node_sim *i = identity_of(s, al->node->spec->id);
	const struct client_sim *c = &s->clients[i->client];

	for (uint32_t k = 0; str_eq(c->id, al->node->spec->id) && k < c->n_allocs; k++)
		found = found || (str_eq(c->allocs[k].id, id) && (c->allocs[k].state == LOCAL_PENDING || c->allocs[k].state == LOCAL_RUNNING));
	if (!found)
		sim_fail(s, "the server believes that %s of %s (%s, %s) lives on %s, and it does not", id, al->version->job->id,
		    desired_names[al->desired], observed_names[al->observed], al->node->spec->name);
	if (al->desired != DESIRED_RUN)
		sim_fail(s, "allocation %s on %s is to stop, and does not", id, al->node->spec->name);
	return true;
}

static void check_local(struct sim *s)
{
	for (uint32_t n = 0; n < s->n_clients; n++)
		for (uint32_t i = 0; i < s->clients[n].n_allocs; i++) {
			const struct local_alloc *l = &s->clients[n].allocs[i];
			struct uuid id;

			uuid_parse(l->id, &id);
			const struct alloc *al = state_alloc(core_state(s->core), id);

			if (l->state == LOCAL_RUNNING && !l->stopping && (!al || al->desired != DESIRED_RUN))
				sim_fail(s, "node-%u still runs %s, which is not wanted", n, l->id);
		}
}

static bool settled_eval(void *arg, struct eval_entry *e)
{
	struct settled *x = arg;
	char id[UUID_STR];

	uuid_format(e->id, id);
	if (e->status == EVAL_PENDING && e->spec->wait_until <= x->s->now)
		sim_fail(x->s, "evaluation %s of %s (%s) was never worked on", id, e->job->id, e->spec->triggered_by);
	return true;
}

void check_settled(struct sim *s)
{
	struct settled x = {.s = s};

	if (!s->core || s->failure[0])
		return;
	for (uint32_t i = 0; i < s->n_clients; i++) {
		const struct node_entry *n = state_node(core_state(s->core), s->identities[s->clients[i].identity].id);

		if (!n || n->status != NODE_READY)
			sim_fail(s, "node-%u is up, and the server does not count on it", i);
	}
	rules_loads(s, &x.l);
	state_each_eval(core_state(s->core), settled_eval, &x);
	state_each_job(core_state(s->core), settled_job, &x);
	state_each_alloc(core_state(s->core), settled_alloc, &x);
	check_local(s);
	check_reasons(s, &x.l, true);
	drains_check_settled(s, &x.l);
	scale_ins_check_settled(s);
	rules_loads_free(&x.l);
}
