/*
 * drains: operators drain nodes with deadlines of all kinds, change their minds and cancel; and what must hold then:
 *
 *   a node that is drained takes nothing; its drain is done when no process of it is left, and not before; nothing is asked to
 *   go before its time: batch work at the deadline, less the time that stopping takes, system work after the rest, and of a
 *   group of a service as many at once as its migrate block says, each of them stopped when its replacement has proved itself;
 *   everything that is left is asked to go at the deadline, and on a machine that can be reached all of it is gone by then; a
 *   drain that was acknowledged is there, whatever crashed, until it is done or cancelled; and where one goes on for ever, there
 *   is no place to go to
 */
#include <inttypes.h>

#include "base/uuid.h"
#include "sched/drain.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

#define LATE (15 * SECOND) /* of the servers, while they crash, are short of disk, or do a few evaluations at a time */

/* ---- operators ---- */

static void ask(struct node_sim *i)
{
	i->drain.asked++;
	i->drain.known = DRAIN_NOTHING;
}

static void send(struct sim *s, struct node_sim *i, const struct core_drain_request *req)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct strs ids = {0};
	uint64_t index;

	if (!state_node(core_state(s->core), i->id))
		return;
	ask(i);
	int r = core_node_drain(s->core, i->id, req, s->now, &ids, a, &index, &e);

	if (r < 0) {
		if (s->now >= s->disk_full_until)
			sim_fail(s, "drain of %s: %s", i->node->name, err_str(&e));
		return;
	}
	struct held *h = sim_hold(s, index, NULL);

	h->drain = true;
	h->node = (uint32_t)(i - s->identities);
	h->asked = i->drain.asked;
	h->set = req->spec != NULL;
	h->deadline = req->spec ? req->spec->deadline : 0;
}

static void set_drain(struct sim *s, struct node_sim *i)
{
	static const int64_t deadlines[] = {-SECOND, 0, 20 * SECOND, MINUTE, 3 * MINUTE, 15 * MINUTE};
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};

	MODEL_SET(drain_spec, &spec, deadline, SIM_PICK(s, deadlines));
	MODEL_SET(drain_spec, &spec, ignore_system_jobs, sim_chance(s, 0.3));
	if (spec.deadline > 0 && sim_chance(s, 0.4))
		MODEL_SET(drain_spec, &spec, finish_batch, true);
	sim_say(s, "drain %s, deadline %" PRId64 " s", i->node->name, spec.deadline / SECOND);
	send(s, i, &req);
}

static void cancel_drain(struct sim *s, struct node_sim *i)
{
	struct core_drain_request req = {.mark_eligible = sim_chance(s, 0.7)};

	sim_say(s, "cancel the drain of %s", i->node->name);
	send(s, i, &req);
}

static struct node_sim *any_node(struct sim *s)
{
	return &s->identities[s->clients[sim_below(s, s->n_clients)].identity];
}

void drains_act(struct sim *s)
{
	struct node_sim *i = any_node(s);
	const struct node_entry *n = state_node(core_state(s->core), i->id);

	if (n && n->draining && sim_chance(s, 0.5))
		cancel_drain(s, i);
	else
		set_drain(s, i);
	/* Two at once are another story than one. */
	if (sim_chance(s, 0.3))
		set_drain(s, any_node(s));
}

void drains_calm(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_identities; i++) {
		const struct node_entry *n = state_node(core_state(s->core), s->identities[i].id);

		if (n && n->draining && sim_chance(s, 0.4))
			cancel_drain(s, &s->identities[i]);
	}
}

void drains_answer(struct sim *s, const struct held *h)
{
	struct node_sim *i = &s->identities[h->node];

	if (i->drain.asked != h->asked)
		return;
	i->drain.known = h->set ? DRAIN_SET : DRAIN_CANCELLED;
	i->drain.deadline = h->deadline;
}

void drains_by_hand(struct sim *s, struct uuid alloc)
{
	if (s->n_by_hand == s->cap_by_hand) {
		s->cap_by_hand = s->cap_by_hand ? 2 * s->cap_by_hand : 64;
		s->by_hand = xrealloc(s->by_hand, s->cap_by_hand, sizeof(*s->by_hand));
	}
	s->by_hand[s->n_by_hand++] = alloc;
}

static bool is_by_hand(const struct sim *s, const struct alloc *a)
{
	for (uint32_t i = 0; i < s->n_by_hand; i++)
		if (uuid_eq(s->by_hand[i], a->id))
			return true;
	return false;
}

/* ---- one allocation ---- */

static const struct desired_transition *mark_of(const struct alloc *a)
{
	return a->extra && a->extra->transition && a->extra->transition->migrate ? a->extra->transition : NULL;
}

enum drain_mark drains_mark(const struct alloc *a)
{
	const struct desired_transition *t = mark_of(a);

	return !t ? MARK_NONE : t->drain ? MARK_SOFT : MARK_HARD;
}

int64_t drains_stop_time(const struct task_group *g)
{
	int64_t mains = 0, sidecars = 0;

	OBJS_EACH (&g->tasks, struct task, t) {
		bool sidecar = t->lifecycle && t->lifecycle->sidecar, after = t->lifecycle && str_eq(t->lifecycle->hook, "poststop");
		int64_t takes = after ? 0 : t->shutdown_delay + t->kill_timeout;

		mains = sidecar ? mains : MAX(mains, takes);
		sidecars = sidecar ? MAX(sidecars, takes) : sidecars;
	}
	return g->shutdown_delay + mains + sidecars;
}

static bool is_system(const struct alloc *a)
{
	return str_eq(a->version->spec->type, "system");
}

/* When it has to be asked to go: so early that its processes may use all the time that they have. */
static int64_t due(const struct alloc *a, const struct drain_strategy *d)
{
	if (d->deadline < 0)
		return d->started_at;
	if (d->deadline == 0 || (d->finish_batch && str_eq(strmap_get(&alloc_group(a)->meta, "drover_drain"), "finish") &&
	                            !str_eq(a->version->spec->type, "service") && !is_system(a)))
		return NEVER;
	return MAX(d->started_at, d->force_deadline - drains_stop_time(alloc_group(a)) - DRAIN_SLACK);
}

/* Of a group, running beside what replaces it, or waiting for that. */
static int64_t on_the_way(const struct alloc *x)
{
	int64_t n = 0;

	for (LINK_EACH(&x->version->job->allocs, struct alloc, by_job, a))
		n += rules_runs(a) && drains_mark(a) == MARK_SOFT && str_eq(alloc_group(a)->name, alloc_group(x)->name);
	return n;
}

static int64_t allowed(const struct alloc *a)
{
	const struct job_entry *j = a->version->job;
	const struct task_group *g = job_group(j->current->spec, alloc_group(a)->name);
	const struct migrate_strategy *m = g ? g->migrate : alloc_group(a)->migrate;

	return m ? m->max_parallel : 1;
}

static bool others_hold(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (!is_system(a) && rules_holds(a))
			return true;
	return false;
}

void drains_check_mark(struct sim *s, const struct alloc *a)
{
	const struct drain_strategy *d = a->node ? a->node->spec->drain_strategy : NULL;
	const struct job_entry *j = a->version->job;
	char id[UUID_STR];

	uuid_format(a->id, id);
	if (drains_mark(a) == MARK_NONE || is_by_hand(s, a))
		return;
	if (!d) {
		sim_fail(s, "allocation %s of %s is to move, and nobody drains its node", id, j->id);
		return;
	}
	bool is_due = s->now >= due(a, d);

	if (drains_mark(a) == MARK_SOFT) {
		if (!str_eq(a->version->spec->type, "service"))
			sim_fail(s, "allocation %s of %s is no service, and is to be replaced before its time", id, j->id);
		if (on_the_way(a) > allowed(a))
			sim_fail(s, "%lld of %s.%s are on their way, and %lld may be", (long long)on_the_way(a), j->id,
			    alloc_group(a)->name, (long long)allowed(a));
	} else if (!is_due && !is_system(a)) {
		sim_fail(s, "allocation %s of %s is told to go %.1f s before its time", id, j->id, (double)(due(a, d) - s->now) / 1e9);
	} else if (!is_due && others_hold(a->node)) {
		sim_fail(s, "allocation %s of the system job %s is told to go before the others", id, j->id);
	}
	if (is_system(a) && d->ignore_system_jobs)
		sim_fail(s, "allocation %s of the system job %s is told to go, and was to be ignored", id, j->id);
}

static bool has_proved_itself(const struct sim *s, const struct alloc *a)
{
	const struct migrate_strategy *m = alloc_group(a)->migrate;

	if (!a || !rules_runs(a) || a->observed != OBSERVED_RUNNING || !a->extra)
		return false;
	for (uint32_t i = 0; i < a->extra->task_states.n; i++) {
		const struct task_state *t = a->extra->task_states.v[i].value;

		if (str_eq(a->extra->task_states.v[i].key, "main") &&
		    (!str_eq(t->state, "running") || t->started_at + (m ? m->min_healthy_time : 0) > s->now))
			return false;
	}
	return true;
}

/* The last one of those that replaced it, one after the other. */
static const struct alloc *newest(const struct sim *s, const struct alloc *a)
{
	const struct alloc *last = NULL;

	while (a && a->extra && !uuid_is_nil(a->extra->next))
		last = a = state_alloc(core_state(s->core), a->extra->next);
	return last;
}

bool drains_replaced_by_away(const struct sim *s, const struct alloc *a)
{
	const struct alloc *next = drains_mark(a) == MARK_SOFT ? newest(s, a) : NULL;

	return next && rules_runs(next) && away_may_stay(next);
}

void drains_check_stop(struct sim *s, const struct alloc *a)
{
	char id[UUID_STR];
	const struct alloc *next = newest(s, a);

	if (drains_mark(a) != MARK_SOFT || is_by_hand(s, a) || !rules_live(a))
		return;
	if (!next || !has_proved_itself(s, next))
		sim_fail(s, "allocation %s of %s is stopped for a drain, and %s", uuid_format(a->id, id), a->version->job->id,
		    next ? "its replacement has yet to prove itself" : "nothing replaces it");
}

bool drains_beside(const struct sim *s, const struct alloc *a, const struct alloc *b)
{
	const struct alloc *x = a;

	/* Its deadline may have come in the step in which it was replaced. */
	if (drains_mark(b) == MARK_NONE)
		return false;
	while (x && x->extra && !uuid_is_nil(x->extra->previous)) {
		x = state_alloc(core_state(s->core), x->extra->previous);
		if (x == b)
			return true;
	}
	return false;
}

/* ---- after every step ---- */

static const struct client_sim *machine_of(const struct sim *s, const struct node_sim *i)
{
	const struct client_sim *c = &s->clients[i->client];

	return &s->identities[c->identity] == i ? c : NULL;
}

/* A process that the servers know of. What they have forgotten, with a node that was purged, they cannot wait for. */
static const struct local_alloc *find_process(const struct sim *s, const struct node_sim *i, bool ignore_system, bool stuck)
{
	const struct client_sim *c = machine_of(s, i);

	for (uint32_t k = 0; c && k < c->n_allocs; k++) {
		const struct local_alloc *l = &c->allocs[k];
		struct uuid id;

		uuid_parse(l->id, &id);
		const struct alloc *a = state_alloc(core_state(s->core), id);

		if (l->state != LOCAL_COMPLETE && l->state != LOCAL_FAILED && !(l->system && ignore_system) &&
		    (stuck || !l->stuck) && a && a->node)
			return l;
	}
	return NULL;
}

static void check_done(struct sim *s, struct node_sim *i, const struct node_entry *n)
{
	const struct local_alloc *l = find_process(s, i, i->drain.ignore_system, true);

	bool confirmed = !n->spec->last_drain->unconfirmed;

	s->drains++;
	if (l && confirmed)
		sim_fail(s, "the drain of %s is done, and %s is still there", n->spec->name, l->id);
	if (!confirmed && n->status != NODE_DOWN)
		sim_fail(s, "the drain of %s is called unconfirmed, and the node is not down", n->spec->name);
}

static bool is_late(struct sim *s, const struct node_entry *n, const struct drain_strategy *d)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (rules_runs(a) && drains_mark(a) != MARK_HARD && !(is_system(a) && d->ignore_system_jobs) && s->now > due(a, d))
			return true;
	return false;
}

/* Whatever is left when its time has come is told to go. */
static void check_told(struct sim *s, struct node_sim *i, const struct node_entry *n, const struct drain_strategy *d)
{
	bool excused = s->now < s->disk_full_until || core_state(s->core)->config->pause_eval_broker;

	if (excused || !is_late(s, n, d)) {
		i->drain.late_since = NEVER;
	} else if (i->drain.late_since == NEVER) {
		i->drain.late_since = s->now;
	} else if (s->now - i->drain.late_since > LATE) {
		sim_fail(s, "the deadline of the drain of %s has come, and something was not told to go", n->spec->name);
	}
}

/* When all is quiet, processes are gone at the deadline, however long they take to stop. */
static void check_deadline(struct sim *s, struct node_sim *i, const struct node_entry *n, const struct drain_strategy *d)
{
	const struct local_alloc *l;

	if (s->faults || d->deadline <= 0 || s->now <= d->force_deadline || d->force_deadline < s->calm_since + 3 * MINUTE)
		return;
	l = find_process(s, i, d->ignore_system_jobs, false);
	if (l)
		sim_fail(s, "%s of %s is there %.3f s after the deadline of the drain", l->id, n->spec->name,
		    (double)(s->now - d->force_deadline) / 1e9);
}

static void check_known(struct sim *s, struct node_sim *i, const struct node_entry *n)
{
	const struct drain_metadata *m = n ? n->spec->last_drain : NULL;

	if (!n || scale_ins_own(n))
		i->drain.known = DRAIN_NOTHING; /* forgotten or purged; or taken by an operation, which may give it back */
	if (i->drain.known == DRAIN_SET && !n->draining && !(m && str_eq(m->status, "complete")))
		sim_fail(s, "the drain of %s was acknowledged, and is neither going on nor done", n->spec->name);
	if (i->drain.known == DRAIN_SET && n->draining && n->spec->drain_strategy->deadline != i->drain.deadline)
		sim_fail(s, "the drain of %s was acknowledged with another deadline", n->spec->name);
	if (i->drain.known == DRAIN_CANCELLED && n->draining)
		sim_fail(s, "the drain of %s was cancelled, and goes on", n->spec->name);
}

static void check_node(struct sim *s, struct node_sim *i)
{
	const struct node_entry *n = state_node(core_state(s->core), i->id);
	const struct drain_strategy *d = n ? n->spec->drain_strategy : NULL;
	const struct drain_metadata *m = n ? n->spec->last_drain : NULL;

	check_known(s, i, n);
	if (n && n->draining != (d != NULL))
		sim_fail(s, "%s is %s and %s", n->spec->name, n->draining ? "drained" : "not drained", d ? "has a drain" : "has none");
	if (i->drain.on && n && !d && m && str_eq(m->status, "complete"))
		check_done(s, i, n);
	i->drain.on = d != NULL;
	if (!d)
		return;
	i->drain.ignore_system = d->ignore_system_jobs;
	if (n->eligible)
		sim_fail(s, "%s is drained, and takes work", n->spec->name);
	check_told(s, i, n, d);
	check_deadline(s, i, n, d);
}

void drains_check(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_identities; i++)
		check_node(s, &s->identities[i]);
}

/* ---- when all is quiet ---- */

static bool fits_somewhere(struct sim *s, const struct loads *l, const struct alloc *a)
{
	const struct state *st = core_state(s->core);
	struct job_entry *j = a->version->job;
	const struct task_group *g = job_group(j->current->spec, alloc_group(a)->name);

	for (uint32_t i = 0; g && i < st->cap_nodes; i++)
		if (st->nodes[i] && !rules_verdict(s, l, j, j->current->spec, g, st->nodes[i], NULL, true, NULL))
			return true;
	return false;
}

static const char *code_of(const struct drain_answer *d, const struct alloc *a)
{
	char id[UUID_STR];

	uuid_format(a->id, id);
	OBJS_EACH (&d->waits, struct drain_wait, w)
		if (str_eq(w->alloc_id, id))
			return str_empty(w->reason) ? "" : w->code;
	return "";
}

/* It has waited for half an hour, and nothing can be done about it. */
static void check_waits(struct sim *s, const struct loads *l, const struct drain_answer *said, const struct alloc *a)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct wait_reason *why = core_why(s->core, arena, a->version->job, alloc_group(a)->name, s->now);
	bool exhausted = newest(s, a) && newest(s, a)->observed == OBSERVED_FAILED && why && str_eq(why->code, "reschedule-exhausted");
	bool soft = drains_mark(a) == MARK_SOFT, away = drains_replaced_by_away(s, a);
	const char *want = !str_eq(a->version->spec->type, "service") ? NULL
	    : away ? "replacement-unhealthy"
	    : soft ? "replacement-unplaced"
		   : "max-parallel";
	char id[UUID_STR];

	uuid_format(a->id, id);
	if (!want)
		sim_fail(s, "%s of %s keeps %s from being drained", id, a->version->job->id, a->node->spec->name);
	else if (!str_eq(code_of(said, a), want))
		sim_fail(s, "%s of %s waits for \"%s\"; the cause given is \"%s\"", id, a->version->job->id, want, code_of(said, a));
	else if (soft && !away && newest(s, a) && rules_runs(newest(s, a)))
		sim_fail(s, "%s of %s has a replacement that runs, and is not stopped", id, a->version->job->id);
	else if (soft && !away && !exhausted && fits_somewhere(s, l, a))
		sim_fail(s, "%s of %s could be replaced elsewhere, and is not", id, a->version->job->id);
	else if (!soft && on_the_way(a) < allowed(a))
		sim_fail(s, "%s of %s waits for others, and too few are on their way", id, a->version->job->id);
}

void drains_check_settled(struct sim *s, const struct loads *l)
{
	const struct state *st = core_state(s->core);
	cleanup_arena struct arena *arena = arena_new();

	for (uint32_t i = 0; i < st->cap_nodes; i++) {
		const struct node_entry *n = st->nodes[i];
		int64_t waits = 0;

		if (!n || !n->draining)
			continue;
		const struct drain_strategy *d = n->spec->drain_strategy;
		const struct drain_answer *said = core_drain(s->core, n->id, s->now, arena);

		if (n->status == NODE_DOWN || d->deadline < 0 || (d->deadline && s->now > d->force_deadline + LATE))
			sim_fail(s, "the drain of %s has come to its end, and is not done", n->spec->name);
		for (LINK_EACH(&n->allocs, struct alloc, by_node, a)) {
			if (!rules_holds(a) || (is_system(a) && d->ignore_system_jobs))
				continue;
			waits++;
			if (!is_system(a) || !others_hold(n))
				check_waits(s, l, said, a);
		}
		if (!waits)
			sim_fail(s, "nothing is left on %s, and its drain is not done", n->spec->name);
		if (said->remaining != waits)
			sim_fail(s, "%lld allocations keep %s from being drained, and %lld are said to", (long long)waits, n->spec->name,
			    (long long)said->remaining);
	}
}
