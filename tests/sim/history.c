/*
 * history: what the checker has seen of each allocation and evaluation, so that it can tell what may follow what. Both come
 * from the state in the order of their making, so that what is new is at the end.
 */
#include <inttypes.h>

#include "sched/state.h"
#include "tests/sim/sim.h"

struct seen {
	struct uuid id, node, eval;
	uint64_t create_index, modify_index, version;
	char job[16], group[8];
	uint32_t index;
	uint8_t desired, observed, mark;
	bool replaced;
	bool lost_only; /* stopped, since its node was silent and for nothing else */
};

struct seen_eval {
	struct uuid id;
	uint64_t create_index;
	enum eval_status status;
};

struct history {
	struct seen *v, *next;
	uint32_t n, n_next, cap, cap_next, at;
	struct seen_eval *evals, *next_evals;
	uint32_t n_evals, n_next_evals, cap_evals, cap_next_evals, at_eval;
	uint64_t index; /* of the state at the last look */
	bool adopt;     /* nothing is known of before */
};

struct look {
	struct sim *s;
	struct history *h;
	const struct loads *loads;
};

struct history *history_new(void)
{
	struct history *h = xcalloc(1, sizeof(*h));

	h->adopt = true;
	return h;
}

void history_free(struct history *h)
{
	free(h->v);
	free(h->next);
	free(h->evals);
	free(h->next_evals);
	free(h);
}

void history_forget(struct sim *s)
{
	s->history->n = s->history->n_evals = 0;
	s->history->adopt = true;
}

static bool before(uint64_t index, struct uuid id, uint64_t other_index, struct uuid other)
{
	return index != other_index ? index < other_index : uuid_cmp(id, other) < 0;
}

/* ---- allocations ---- */

static bool is_over(uint8_t observed)
{
	return observed == OBSERVED_COMPLETE || observed == OBSERVED_FAILED || observed == OBSERVED_LOST;
}

static struct seen see(const struct alloc *a)
{
	struct seen x = {
	    .id = a->id,
	    .node = a->node ? a->node->id : (struct uuid){0},
	    .eval = a->eval,
	    .create_index = a->create_index,
	    .modify_index = a->modify_index,
	    .version = a->version->modify_index,
	    .index = a->index,
	    .desired = a->desired,
	    .observed = a->observed,
	    .mark = (uint8_t)drains_mark(a),
	    .replaced = a->extra && !uuid_is_nil(a->extra->next),
	    .lost_only = a->extra && str_eq(a->extra->desired_description, "alloc is lost since its node is down"),
	};

	snprintf(x.job, sizeof(x.job), "%s", a->version->spec->id);
	snprintf(x.group, sizeof(x.group), "%s", alloc_group(a)->name);
	return x;
}

/* A failed one is replaced no earlier than its policy says, and no more often. A new version is a new chance, and by force
 * anything goes. */
static void check_rescheduled(struct sim *s, const struct alloc *a, const struct alloc *failed)
{
	const struct reschedule_policy *p = alloc_group(a)->reschedule_policy;
	const struct reschedule_tracker *t = a->extra->tracker;
	const struct wish *w = &s->wishes[atoi(a->version->spec->id + strlen("job-"))];
	int64_t since = failed->extra->ended, within = 0;

	/* One that was to go anyway may also end badly. */
	if (failed->observed != OBSERVED_FAILED || failed->version != a->version || w->forced >= since ||
	    !str_eq(failed->extra->desired_description, "alloc was rescheduled because it failed"))
		return;
	if (!p || (!p->unlimited && p->attempts < 1)) {
		sim_fail(s, "a failed allocation of %s was replaced without a policy that allows it", a->version->spec->id);
		return;
	}
	if (s->now - since < p->delay - SECOND)
		sim_fail(s, "a failed allocation of %s was replaced after %.3f s, and %.3f s are the delay", a->version->spec->id,
		    (double)(s->now - since) / 1e9, (double)p->delay / 1e9);
	if (!t || !t->events.n) {
		sim_fail(s, "the replacement of a failed allocation of %s has no tracker", a->version->spec->id);
		return;
	}
	OBJS_EACH (&t->events, struct reschedule_event, e) {
		within += e->reschedule_time > since - p->interval;
		if (!str_eq(p->delay_function, "constant") && e->delay > p->max_delay)
			sim_fail(s, "%s was rescheduled with a delay beyond the longest", a->version->spec->id);
	}
	if (!p->unlimited && within > p->attempts)
		sim_fail(s, "%s was rescheduled %lld times within the interval, and %lld are allowed", a->version->spec->id,
		    (long long)within, (long long)p->attempts);
}

/* It is right where it is, and nothing of its name was there before. */
static void check_placed(struct look *l, struct alloc *a)
{
	struct sim *s = l->s;
	const struct job_entry *j = a->version->job;
	const struct task_group *g = alloc_group(a);
	char id[UUID_STR];
	const char *v = NULL;

	uuid_format(a->id, id);
	if (a->create_index <= l->h->index)
		sim_fail(s, "allocation %s of %s.%s[%u] comes out of the past", id, j->id, g->name, a->index);
	if (j->stop)
		sim_fail(s, "allocation %s was placed for %s, which is stopped", id, j->id);
	if (a->version != j->current)
		sim_fail(s, "allocation %s was placed for an old version of %s", id, j->id);
	if (a->node)
		v = rules_verdict(s, l->loads, j, a->version->spec, g, a->node, a, false, NULL);
	if (v)
		sim_fail(s, "allocation %s of %s.%s was placed on %s, against its %s", id, j->id, g->name, a->node->spec->name, v);
	bool everywhere = j->type == JOB_SYSTEM || j->type == JOB_SYSBATCH;

	for (LINK_EACH(&j->allocs, struct alloc, by_job, b)) {
		if (b == a || !rules_runs(b) || !rules_runs(a) || !str_eq(alloc_group(b)->name, g->name))
			continue;
		if (drains_beside(s, a, b) || away_beside(a, b))
			continue;
		if (everywhere ? b->node == a->node : b->index == a->index)
			sim_fail(s, "%s.%s[%u] runs twice: %s beside %08x", j->id, g->name, a->index, id, (unsigned)(b->id.hi >> 32));
	}
	s->placements++;
	const struct alloc *previous = a->extra ? state_alloc(core_state(s->core), a->extra->previous) : NULL;

	s->replaced += previous != NULL;
	if (previous && !everywhere)
		check_rescheduled(s, a, previous);
	if (previous && g->ephemeral_disk->sticky && previous->node && previous->node != a->node && !everywhere &&
	    !rules_verdict(s, l->loads, j, a->version->spec, g, previous->node, a, true, NULL))
		sim_fail(s, "allocation %s of %s.%s has left its disk on %s, where there is room", id, j->id, g->name,
		    previous->node->spec->name);
}

/* ---- updates ---- */

static bool is_proven(const struct alloc *a, const struct update_strategy *u, int64_t now)
{
	if (a->observed != OBSERVED_RUNNING || !a->extra)
		return false;
	for (uint32_t i = 0; i < a->extra->task_states.n; i++) {
		const struct task_state *t = a->extra->task_states.v[i].value;

		if (str_eq(a->extra->task_states.v[i].key, "main") && (!str_eq(t->state, "running") || t->started_at + u->min_healthy_time > now))
			return false;
	}
	return true;
}

/* Did it take the place of one that ran? On a node that is new to the job, or where it had ended, it does not. */
static bool took_over(struct sim *s, const struct alloc *a)
{
	const struct alloc *b = a->extra ? state_alloc(core_state(s->core), a->extra->previous) : NULL;

	return b && (!b->extra->ended || b->extra->ended > a->create_time);
}

static bool is_followed(struct sim *s, const struct alloc *a)
{
	const struct alloc *next = a->extra ? state_alloc(core_state(s->core), a->extra->next) : NULL;

	return next && rules_runs(next) && !away_is_shadow(next);
}

/* One has just been stopped for an update: no more than allowed are missing or have yet to prove themselves. */
static void check_pace(struct sim *s, const struct job_entry *j, const struct task_group *g)
{
	int64_t there = 0, unproven = 0;

	if (j->stop || !g || !g->update || g->update->max_parallel < 1 || (j->type != JOB_SERVICE && j->type != JOB_SYSTEM))
		return;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		if (a->desired != DESIRED_RUN || !str_eq(alloc_group(a)->name, g->name))
			continue;
		bool failed = a->observed == OBSERVED_FAILED && !away_has_next(s, a);

		if (j->type == JOB_SYSTEM && !took_over(s, a))
			continue;
		/* Of two for one place, as one leaves a node, the one that comes counts. */
		if (away_is_shadow(a) || (drains_mark(a) == MARK_SOFT && is_followed(s, a)))
			continue;
		there += rules_live(a);
		if (a->version == j->current && !away_may_stay(a) && (rules_live(a) || (failed && j->type == JOB_SERVICE)))
			unproven += !is_proven(a, g->update, s->now);
		there += failed;
	}
	if (j->type == JOB_SERVICE)
		unproven += MAX(g->count - there, 0);
	if (unproven > g->update->max_parallel)
		sim_fail(s, "an update of %s.%s goes on, although %lld are missing or unproven and %lld may be", j->id, g->name,
		    (long long)unproven, (long long)g->update->max_parallel);
}

/* It was given up, and is to run again: only what was nothing but lost, on a node that has just come back, of a job that wants it. */
static void check_back(struct sim *s, const struct alloc *a, const struct seen *was)
{
	const struct job_entry *j = a->version->job;
	char id[UUID_STR];

	uuid_format(a->id, id);
	if (!was->lost_only)
		sim_fail(s, "allocation %s was stopped for another reason than being lost, and is to run again", id);
	if (j->stop || a->version->modify_index < j->create_index || !job_group(j->current->spec, alloc_group(a)->name))
		sim_fail(s, "allocation %s is to run again, and %s does not want it", id, j->id);
	if (!a->node || (a->node->status != NODE_INIT && a->node->status != NODE_READY))
		sim_fail(s, "allocation %s is to run again, and its node is away", id);
	s->revived++;
}

static void check_followed(struct look *l, const struct seen *was, const struct alloc *a)
{
	struct sim *s = l->s;
	struct seen is = see(a);
	char id[UUID_STR];

	if (is.modify_index == was->modify_index && is.mark == was->mark && is.desired == was->desired && is.observed == was->observed &&
	    uuid_eq(is.node, was->node) && is.version == was->version)
		return;
	uuid_format(a->id, id);
	if (is.create_index != was->create_index || strcmp(is.job, was->job) || strcmp(is.group, was->group) ||
	    is.index != was->index || !uuid_eq(is.eval, was->eval))
		sim_fail(s, "allocation %s is another than it was", id);
	if (!uuid_eq(is.node, was->node) && a->node)
		sim_fail(s, "allocation %s has moved to another node", id);
	bool back = was->desired == DESIRED_STOP && was->observed == OBSERVED_LOST && is.desired == DESIRED_RUN;

	if (back)
		check_back(s, a, was);
	if (was->desired != DESIRED_RUN && is.desired != was->desired && !back)
		sim_fail(s, "allocation %s was %s and is %s", id, desired_names[was->desired], desired_names[is.desired]);
	bool told = was->observed == OBSERVED_LOST && (is.observed == OBSERVED_COMPLETE || is.observed == OBSERVED_FAILED);

	if (is_over(was->observed) && is.observed != was->observed && !told && !back)
		sim_fail(s, "allocation %s was %s and is %s", id, observed_names[was->observed], observed_names[is.observed]);
	if (is.observed == OBSERVED_LOST && was->observed != OBSERVED_LOST && a->node && a->node->status != NODE_DOWN &&
	    a->node->status != NODE_DISCONNECTED)
		sim_fail(s, "allocation %s is lost, and its node %s is not down", id, a->node->spec->name);
	if (was->desired == DESIRED_RUN && is.desired != DESIRED_RUN && was->observed != OBSERVED_FAILED &&
	    str_eq(a->extra->desired_description, "alloc is being updated due to job update"))
		check_pace(s, a->version->job, job_group(a->version->job->current->spec, is.group));
	away_followed(s, a, was->desired, was->observed, was->mark != MARK_NONE);
	if (is.mark != was->mark)
		drains_check_mark(s, a);
	if (was->desired == DESIRED_RUN && is.desired != DESIRED_RUN &&
	    str_eq(a->extra->desired_description, "alloc is being migrated"))
		drains_check_stop(s, a);
	if (is.modify_index < was->modify_index ||
	    (is.modify_index == was->modify_index &&
	        (is.desired != was->desired || is.observed != was->observed || is.mark != was->mark)))
		sim_fail(s, "allocation %s changed and its index did not grow", id);
}

/* What is collected has ended, and nobody needs it any more. */
static void check_gone(struct look *l, const struct seen *was)
{
	struct sim *s = l->s;
	const struct job_entry *j = state_job(core_state(s->core), "default", was->job);
	bool on_node = !uuid_is_nil(was->node) && state_node(core_state(s->core), was->node);
	char id[UUID_STR];

	uuid_format(was->id, id);
	if (on_node && was->observed != OBSERVED_COMPLETE && was->observed != OBSERVED_FAILED)
		sim_fail(s, "allocation %s of %s was collected while it was %s", id, was->job, observed_names[was->observed]);
	if (!j || j->stop || was->desired != DESIRED_RUN || was->version != j->current->modify_index)
		return;
	if (j->type == JOB_BATCH || j->type == JOB_SYSBATCH)
		sim_fail(s, "allocation %s of %s was collected, and its %s work would be done again", id, was->job,
		    observed_names[was->observed]);
	else if (was->observed == OBSERVED_FAILED && !was->replaced)
		sim_fail(s, "allocation %s of %s was collected, and was to be rescheduled", id, was->job);
}

static bool look_at(void *arg, struct alloc *a)
{
	struct look *l = arg;
	struct history *h = l->h;

	for (; h->at < h->n && before(h->v[h->at].create_index, h->v[h->at].id, a->create_index, a->id); h->at++)
		check_gone(l, &h->v[h->at]);
	if (h->at < h->n && uuid_eq(h->v[h->at].id, a->id))
		check_followed(l, &h->v[h->at++], a);
	else if (!h->adopt)
		check_placed(l, a);
	if (h->n_next == h->cap_next) {
		h->cap_next = h->cap_next ? 2 * h->cap_next : 256;
		h->next = xrealloc(h->next, h->cap_next, sizeof(*h->next));
	}
	h->next[h->n_next++] = see(a);
	return true;
}

/* ---- evaluations ---- */

static bool is_done(enum eval_status s)
{
	return s != EVAL_PENDING && s != EVAL_BLOCKED;
}

static bool look_at_eval(void *arg, struct eval_entry *e)
{
	struct look *l = arg;
	struct history *h = l->h;
	char id[UUID_STR];

	uuid_format(e->id, id);
	for (; h->at_eval < h->n_evals &&
	     before(h->evals[h->at_eval].create_index, h->evals[h->at_eval].id, e->create_index, e->id);
	     h->at_eval++)
		if (!is_done(h->evals[h->at_eval].status))
			sim_fail(l->s, "an open evaluation was collected");
	if (h->at_eval < h->n_evals && uuid_eq(h->evals[h->at_eval].id, e->id)) {
		const struct seen_eval *was = &h->evals[h->at_eval++];

		if (is_done(was->status) && e->status != was->status)
			sim_fail(l->s, "evaluation %s was %s and is %s", id, eval_status_names[was->status],
			    eval_status_names[e->status]);
	} else if (!h->adopt && e->create_index <= h->index) {
		sim_fail(l->s, "evaluation %s comes out of the past", id);
	}
	if (e->status == EVAL_FAILED)
		sim_fail(l->s, "evaluation %s of %s failed: %s", id, e->job->id, e->spec->status_description);
	if (e->status == EVAL_BLOCKED && e->job->blocked != e)
		sim_fail(l->s, "evaluation %s of %s is blocked, and not the one that its job waits with", id, e->job->id);
	if (h->n_next_evals == h->cap_next_evals) {
		h->cap_next_evals = h->cap_next_evals ? 2 * h->cap_next_evals : 256;
		h->next_evals = xrealloc(h->next_evals, h->cap_next_evals, sizeof(*h->next_evals));
	}
	h->next_evals[h->n_next_evals++] = (struct seen_eval){e->id, e->create_index, e->status};
	return true;
}

/* ---- the look ---- */

#define SWAP(a, b)                                                                                 \
	do {                                                                                       \
		__typeof__(a) swapped_ = (a);                                                      \
		(a) = (b);                                                                         \
		(b) = swapped_;                                                                    \
	} while (0)

void history_look(struct sim *s, struct loads *loads)
{
	struct history *h = s->history;
	struct look l = {.s = s, .h = h, .loads = loads};

	h->n_next = h->n_next_evals = h->at = h->at_eval = 0;
	state_each_alloc(core_state(s->core), look_at, &l);
	for (; h->at < h->n; h->at++)
		check_gone(&l, &h->v[h->at]);
	state_each_eval(core_state(s->core), look_at_eval, &l);
	SWAP(h->v, h->next);
	SWAP(h->cap, h->cap_next);
	h->n = h->n_next;
	SWAP(h->evals, h->next_evals);
	SWAP(h->cap_evals, h->cap_next_evals);
	h->n_evals = h->n_next_evals;
	h->index = core_state(s->core)->index;
	h->adopt = false;
}
