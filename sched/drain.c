#include "sched/drain.h"

#include "base/clock.h"
#include "sched/reconcile.h"
#include "sched/update.h"
#include "sched/why.h"

/* ---- one allocation ---- */

bool drain_is_soft(const struct alloc *a)
{
	const struct desired_transition *t = a->extra ? a->extra->transition : NULL;

	return t && t->migrate && t->drain && a->desired == DESIRED_RUN;
}

bool drain_is_hard(const struct alloc *a)
{
	const struct desired_transition *t = a->extra ? a->extra->transition : NULL;

	return a->desired != DESIRED_RUN || (t && t->migrate && !t->drain);
}

struct alloc *drain_successor(const struct state *s, const struct alloc *a)
{
	struct alloc *last = NULL;

	for (const struct alloc *x = a; x && x->extra && !uuid_is_nil(x->extra->next);) {
		last = state_alloc(s, x->extra->next);
		x = last;
	}
	return last && last->desired == DESIRED_RUN && last->observed != OBSERVED_LOST ? last : NULL;
}

bool drain_is_awaited(const struct state *s, const struct alloc *a)
{
	for (const struct alloc *x = a; x && x->extra && !uuid_is_nil(x->extra->previous);) {
		x = state_alloc(s, x->extra->previous);
		if (x && drain_is_soft(x))
			return true;
	}
	return false;
}

static bool has_services(const struct task_group *g)
{
	OBJS_EACH (&g->tasks, struct task, t)
		if (t->services.n)
			return true;
	return g->services.n > 0;
}

bool drain_is_healthy(const struct alloc *replacement, int64_t now, int64_t *when)
{
	const struct task_group *g = alloc_group(replacement);
	const struct migrate_strategy *m = g->migrate;
	const struct deployment_status *said = replacement->extra ? replacement->extra->deployment_status : NULL;
	struct update_strategy u = {.min_healthy_time = m ? m->min_healthy_time : 0};

	*when = NEVER;
	if (m && !str_eq(m->health_check, "task_states") && has_services(g) &&
	    !(said && MODEL_HAS(deployment_status, said, healthy)))
		return false;
	return update_is_healthy(replacement, &u, now, when);
}

static bool is_system(const struct alloc *a)
{
	return a->version->job->type == JOB_SYSTEM || a->version->job->type == JOB_SYSBATCH;
}

static bool is_there(const struct alloc *a)
{
	return alloc_holds(a) || (a->extra && a->extra->in_consul);
}

bool drain_waits_for(const struct alloc *a, bool ignore_system)
{
	if (a->version->job->type == JOB_SYSTEM && ignore_system)
		return false;
	if (a->node->status == NODE_DOWN)
		return false;
	return is_there(a);
}

bool drain_is_confirmed(const struct node_entry *n)
{
	const struct drain_strategy *d = n->spec->drain_strategy;

	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (is_there(a) && !(d && d->ignore_system_jobs && a->version->job->type == JOB_SYSTEM))
			return false;
	return true;
}

/* Tasks are stopped one kind after the other (agent/lifecycle.h): the leader, the others, sidecars. What runs after the stop
 * takes its own time. */
enum { STOP_LEADER, STOP_OTHERS, STOP_SIDECARS, STOP_KINDS };

static int stop_kind(const struct task *t)
{
	return t->leader ? STOP_LEADER : t->lifecycle && t->lifecycle->sidecar ? STOP_SIDECARS : STOP_OTHERS;
}

int64_t drain_time_to_stop(const struct alloc *a)
{
	const struct task_group *g = alloc_group(a);
	int64_t slowest[STOP_KINDS] = {0};

	OBJS_EACH (&g->tasks, struct task, t) {
		int64_t *most = &slowest[stop_kind(t)];

		if (!t->lifecycle || !str_eq(t->lifecycle->hook, "poststop"))
			*most = MAX(*most, t->shutdown_delay + t->kill_timeout);
	}
	return (has_services(g) ? DRAIN_CONSUL : 0) + g->shutdown_delay + slowest[STOP_LEADER] + slowest[STOP_OTHERS] + slowest[STOP_SIDECARS];
}

static bool wants_to_finish(const struct alloc *a)
{
	const char *group = strmap_get(&alloc_group(a)->meta, DRAIN_META), *job = strmap_get(&a->version->spec->meta, DRAIN_META);
	enum job_type type = a->version->job->type;

	return (type == JOB_BATCH || type == JOB_SYSBATCH) && str_eq(group ? group : job, DRAIN_FINISH);
}

/* When it is stopped whatever it does; NEVER without a deadline. */
static int64_t force_at(const struct alloc *a, const struct drain_strategy *d)
{
	if (d->deadline < 0)
		return 0;
	if (!d->force_deadline || (d->finish_batch && wants_to_finish(a)))
		return NEVER;
	return MAX(d->started_at, d->force_deadline - drain_time_to_stop(a) - DRAIN_SLACK);
}

/* ---- groups on their way ---- */

struct travel { /* of one group of a job */
	const struct job_entry *job;
	const char *group;
	int64_t room; /* that may still be marked */
};

struct travels {
	struct travel *v;
	uint32_t n, cap;
};

static int64_t count_on_the_way(const struct job_entry *j, const char *group)
{
	int64_t n = 0;

	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		n += drain_is_soft(a) && alloc_is_live(a) && str_eq(alloc_group(a)->name, group);
	return n;
}

/* As the job says today, whatever it said when the allocation was placed. */
static int64_t max_parallel(const struct alloc *x)
{
	const struct job_entry *j = x->version->job;
	const struct task_group *g = alloc_group(x), *today = j->current ? job_group(j->current->spec, g->name) : NULL;
	const struct migrate_strategy *m = today ? today->migrate : g->migrate;

	return m && m->max_parallel > 0 ? m->max_parallel : 1;
}

/* Counted once for each group in a look; allocations of one job come in rows on a node, so the last one is tried first. */
static struct travel *travel_of(struct travels *t, struct arena *a, const struct alloc *x)
{
	const struct job_entry *j = x->version->job;
	const char *group = alloc_group(x)->name;

	for (uint32_t i = t->n; i-- > 0;)
		if (t->v[i].job == j && str_eq(t->v[i].group, group))
			return &t->v[i];
	struct travel *new = &LIST_ADD(a, t->v, t->n, t->cap);

	*new = (struct travel){j, group, max_parallel(x) - count_on_the_way(j, group)};
	return new;
}

/* ---- a look at everything ---- */

struct look {
	const struct state *s;
	int64_t now;
	struct arena *a;
	struct travels travels;
	struct drain_decision *out;
};

static void decide_hard(struct look *l, struct alloc *x)
{
	LIST_ADD(l->a, l->out->hard, l->out->n_hard, l->out->cap_hard) = x;
}

static void decide_alloc(struct look *l, struct alloc *x, const struct drain_strategy *d)
{
	int64_t at = force_at(x, d), when;

	if (drain_is_hard(x))
		return;
	if (at <= l->now) {
		decide_hard(l, x);
		return;
	}
	l->out->at = MIN(l->out->at, at);
	if (drain_is_soft(x)) {
		struct alloc *next = drain_successor(l->s, x);

		/* Time alone may make it healthy; the evaluation that then stops the old one comes from the plan. */
		if (next && !drain_is_healthy(next, l->now, &when))
			l->out->at = MIN(l->out->at, MAX(when, l->now + SECOND));
		return;
	}
	if (x->version->job->type != JOB_SERVICE || x->version->job->stop)
		return;
	struct travel *t = travel_of(&l->travels, l->a, x);

	if (t->room <= 0)
		return;
	t->room--;
	LIST_ADD(l->a, l->out->soft, l->out->n_soft, l->out->cap_soft) = x;
}

static void decide_node(struct look *l, struct node_entry *n)
{
	const struct drain_strategy *d = n->spec->drain_strategy;
	uint32_t others = 0, system = 0;

	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		if (!drain_waits_for(x, d->ignore_system_jobs))
			continue;
		if (is_system(x) && x->version->job->type == JOB_SYSTEM) {
			system++;
			continue;
		}
		others++;
		decide_alloc(l, x, d);
	}
	if (!others && !system) {
		LIST_ADD(l->a, l->out->done, l->out->n_done, l->out->cap_done) = n;
		return;
	}
	if (d->ignore_system_jobs)
		return;
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		if (x->version->job->type != JOB_SYSTEM || !drain_waits_for(x, false) || drain_is_hard(x))
			continue;
		int64_t at = force_at(x, d);

		if (!others || at <= l->now)
			decide_hard(l, x);
		else
			l->out->at = MIN(l->out->at, at);
	}
}

void drain_decide(const struct state *s, int64_t now, struct arena *a, struct drain_decision *out)
{
	struct look l = {.s = s, .now = now, .a = a, .out = out};

	*out = (struct drain_decision){.at = NEVER};
	for (uint32_t i = 0; i < s->cap_nodes; i++)
		if (s->nodes[i] && s->nodes[i]->draining)
			decide_node(&l, s->nodes[i]);
}

/* ---- what it waits for ---- */

struct words {
	const char *code, *reason;
};

static const char *until(struct arena *a, int64_t t)
{
	char text[TIME_STR];

	return t == NEVER ? "without a deadline" : arena_printf(a, "at the latest until %s", time_format_rfc3339(t / SECOND * SECOND, text));
}

static struct words why_soft(const struct state *s, const struct alloc *x, int64_t now, struct arena *a)
{
	const struct alloc *next = drain_successor(s, x);
	char id[UUID_STR];

	if (next && alloc_is_live(next))
		return (struct words){"replacement-unhealthy",
		    arena_printf(a, "its replacement %s is %s and has yet to prove itself healthy", uuid_format(next->id, id),
		        observed_names[next->observed])};
	const struct wait_reason *w = why_group(s, x->version->job, alloc_group(x)->name, 0, now, a);
	const char *why = w && w->text ? w->text : "the scheduler has yet to come to it";

	return (struct words){"replacement-unplaced", !next ? arena_printf(a, "its replacement is not placed: %s", why)
	    : arena_printf(a, "its replacement %s is %s, and the next one is not placed: %s", uuid_format(next->id, id),
		  observed_names[next->observed], why)};
}

/* What its client says of the tasks that have not ended. */
static const char *last_words(const struct alloc *x, struct arena *a)
{
	const char *out = "";

	for (uint32_t i = 0; x->extra && i < x->extra->task_states.n; i++) {
		const struct task_state *t = x->extra->task_states.v[i].value;
		const struct task_event *e = t->events.n ? t->events.v[t->events.n - 1] : NULL;

		if (e && !str_eq(t->state, "dead"))
			out = arena_printf(a, "%s; task \"%s\": %s", out, x->extra->task_states.v[i].key, e->display_message);
	}
	return out;
}

static struct words why_waits(const struct state *s, const struct alloc *x, const struct drain_strategy *d, int64_t now,
    struct arena *a)
{
	const struct job_entry *j = x->version->job;

	if (!alloc_holds(x))
		return (struct words){"consul-entries", "it has ended, and its entries still stand in Consul"};
	if (x->observed == OBSERVED_UNKNOWN && absence_is_silent(x)) {
		int64_t given_up = absence_of(x).until;

		return (struct words){"node-away", given_up == NEVER ? "its node is away, and nobody knows whether it runs"
		    : arena_printf(a, "its node is away, and nobody knows whether it runs: waited for %s", until(a, given_up))};
	}
	if (drain_is_hard(x))
		return (struct words){"stopping",
		    arena_printf(a, "asked to stop; its tasks may take %llds, and its client has not said that they are gone%s",
		        (long long)(drain_time_to_stop(x) / SECOND), last_words(x, a))};
	if (drain_is_soft(x))
		return why_soft(s, x, now, a);
	if (j->type == JOB_SYSTEM)
		return (struct words){"system-last", "runs everywhere, and goes when everything else has gone"};
	if (j->type != JOB_SERVICE)
		return (struct words){"batch-running", arena_printf(a, "left to finish, %s", until(a, d ? force_at(x, d) : NEVER))};
	return (struct words){"max-parallel", arena_printf(a, "others of its group are on their way (migrate { max_parallel = %lld })",
	    (long long)max_parallel(x))};
}

static void add_wait(struct drain_answer *out, const struct state *s, const struct alloc *x, const struct drain_strategy *d,
    int64_t now, struct arena *a)
{
	struct words words = why_waits(s, x, d, now, a);
	struct drain_wait *w = MODEL_NEW(a, drain_wait);
	char id[UUID_STR];

	MODEL_SET(drain_wait, w, alloc_id, arena_strdup(a, uuid_format(x->id, id)));
	MODEL_SET(drain_wait, w, namespace, x->version->job->ns);
	MODEL_SET(drain_wait, w, job_id, x->version->job->id);
	MODEL_SET(drain_wait, w, task_group, alloc_group(x)->name);
	MODEL_SET(drain_wait, w, code, words.code);
	MODEL_SET(drain_wait, w, reason, words.reason);
	objs_push(a, &out->waits, w);
}

void drain_changes(const struct node_entry *n, uint64_t since, struct arena *a, struct objs *out)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		if (since ? x->modify_index <= since : !alloc_holds(x))
			continue;
		struct drain_change *c = MODEL_NEW(a, drain_change);
		const struct desired_transition *t = x->extra ? x->extra->transition : NULL;
		bool went = x->extra && str_eq(x->extra->desired_description, SAY_MIGRATING);
		char id[UUID_STR];

		MODEL_SET(drain_change, c, alloc_id, arena_strdup(a, uuid_format(x->id, id)));
		MODEL_SET(drain_change, c, client_status, observed_names[x->observed]);
		MODEL_SET(drain_change, c, desired_status, desired_names[x->desired]);
		MODEL_SET(drain_change, c, migrate, went || (t && t->migrate));
		objs_push(a, out, c);
	}
}

struct drain_answer *drain_describe(const struct state *s, const struct node_entry *n, int64_t now, struct arena *a)
{
	struct drain_answer *out = MODEL_NEW(a, drain_answer);
	const struct drain_strategy *d = n->spec->drain_strategy;
	const struct drain_metadata *last = n->spec->last_drain;
	int64_t remaining = 0;
	bool late = false;
	char id[UUID_STR];

	MODEL_SET(drain_answer, out, node_id, arena_strdup(a, uuid_format(n->id, id)));
	if (last) {
		MODEL_SET(drain_answer, out, status, last->status);
		MODEL_SET(drain_answer, out, accessor_id, last->accessor_id);
		MODEL_SET(drain_answer, out, started_at, last->started_at);
		MODEL_SET(drain_answer, out, updated_at, last->updated_at);
		out->meta = last->meta;
		if (last->unconfirmed)
			MODEL_SET(drain_answer, out, unconfirmed, true);
	}
	if (!d)
		return out;
	MODEL_SET(drain_answer, out, deadline, d->deadline);
	MODEL_SET(drain_answer, out, force_deadline, d->force_deadline);
	MODEL_SET(drain_answer, out, ignore_system_jobs, d->ignore_system_jobs);
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		if (!drain_waits_for(x, d->ignore_system_jobs))
			continue;
		late |= d->force_deadline && now >= d->force_deadline && force_at(x, d) != NEVER;
		if (remaining++ < DRAIN_WAITS)
			add_wait(out, s, x, d, now, a);
	}
	MODEL_SET(drain_answer, out, past_deadline, late);
	MODEL_SET(drain_answer, out, remaining, remaining);
	return out;
}
