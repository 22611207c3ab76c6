/* The core's requests about allocations and about the scheduler itself. */
#include <errno.h>

#include "sched/core_internal.h"
#include "sched/drain.h"

/* What a client may say. `lost` and `unknown` are the servers' words for a client that says nothing. */
static bool is_observable(const char *status)
{
	int i = name_index(observed_names, status);
	return i == OBSERVED_PENDING || i == OBSERVED_RUNNING || i == OBSERVED_COMPLETE || i == OBSERVED_FAILED;
}

/* A run that should go on and has ended asks for its job to be looked at: a failed one, or a service that stopped by itself.
 * Jobs that run everywhere are not tried again so soon: see core_put_retries(). */
static bool wants_eval(const struct alloc *a, const char *status)
{
	const struct job_entry *j = a->version->job;
	if (a->desired != DESIRED_RUN || j->stop || !alloc_is_live(a) || (j->type != JOB_SERVICE && j->type != JOB_BATCH))
		return false;
	return str_eq(status, observed_names[OBSERVED_FAILED]) ||
	    (j->type == JOB_SERVICE && str_eq(status, observed_names[OBSERVED_COMPLETE]));
}

static bool has_update_waiting(const struct job_entry *j)
{
	uint32_t open = j->n_open_evals;
	for (const struct link *l = j->evals.prev; open && l != &j->evals; l = l->prev) {
		const struct eval_entry *e = CONTAINER_OF(l, struct eval_entry, by_job);
		if (e->status == EVAL_PENDING && str_eq(e->spec->triggered_by, "rolling-update"))
			return true;
		open -= e->status == EVAL_PENDING || e->status == EVAL_BLOCKED;
	}
	return false;
}

/* Tells about the replacement of one that waits for it on a draining node. */
static bool moves_drain(const struct state *s, const struct alloc *a, const struct alloc_update *u)
{
	bool comes_up = a->observed != OBSERVED_RUNNING && str_eq(u->client_status, observed_names[OBSERVED_RUNNING]);
	return (comes_up || u->deployment_status) && drain_is_awaited(s, a);
}

/* Does the report tell an update that waits for the health of its allocations when to go on? */
static bool moves_update(const struct alloc *a, const struct alloc_update *u)
{
	bool comes_up = a->observed != OBSERVED_RUNNING && str_eq(u->client_status, observed_names[OBSERVED_RUNNING]);
	return (comes_up || u->deployment_status) && a->desired == DESIRED_RUN && has_update_waiting(a->version->job);
}

/* Why a job has to be looked at after a report, what matters most first. */
enum cause { CAUSE_NONE, CAUSE_FAILED, CAUSE_RECONNECT, CAUSE_PROGRESS };
static const char *const cause_triggers[] = {
    [CAUSE_FAILED] = "alloc-failure", [CAUSE_RECONNECT] = "reconnect", [CAUSE_PROGRESS] = "rolling-update"};

struct touched {
	struct job_entry *job;
	enum cause cause;
};

static int by_name(const void *a, const void *b)
{
	const struct touched *x = a, *y = b;
	int r = strcmp(x->job->ns, y->job->ns);
	r = r ? r : strcmp(x->job->id, y->job->id);
	return r ? r : (x->cause > y->cause) - (x->cause < y->cause);
}

static int check_updates(const struct alloc_updates *u, struct err *e)
{
	OBJS_EACH(&u->allocs, struct alloc_update, x) {
		struct uuid id;
		if (str_empty(x->id) || uuid_parse(x->id, &id))
			return err_set(e, -EINVAL, "allocation update with the id \"%.64s\", which is none", x->id ? x->id : "");
		if (!str_empty(x->client_status) && !is_observable(x->client_status))
			return err_set(e, -EINVAL, "allocation %s cannot be \"%.64s\": expected pending, running, complete or failed",
			    x->id, x->client_status);
	}
	return 0;
}

static bool same_states(const struct objmap *x, const struct objmap *y)
{
	if (x->n != y->n)
		return false;
	for (uint32_t i = 0; i < x->n; i++)
		if (!str_eq(x->v[i].key, y->v[i].key) || !model_equal(&type_task_state, x->v[i].value, y->v[i].value, 0))
			return false;
	return true;
}

/* Does the report say what is known already? Clients report everything now and then, since reports may overtake each other;
 * what is no news is not written. */
static bool is_known(const struct alloc *a, const struct alloc_update *u)
{
	static const struct alloc_extra nothing;
	const struct alloc_extra *x = a->extra ? a->extra : &nothing;
	if (!str_empty(u->client_status) && name_index(observed_names, u->client_status) != a->observed &&
	    (alloc_is_live(a) || alloc_holds(a)))
		return false;
	if (MODEL_HAS(alloc_update, u, in_consul) && u->in_consul != x->in_consul)
		return false;
	if (u->client_description && !str_eq(u->client_description, x->client_description))
		return false;
	if (MODEL_HAS(alloc_update, u, task_states) && !same_states(&u->task_states, &x->task_states))
		return false;
	if (u->deployment_status && (!x->deployment_status ||
	        !model_equal(&type_deployment_status, u->deployment_status, x->deployment_status, 0)))
		return false;
	return !u->network_status || (x->network_status &&
	    model_equal(&type_network_status, u->network_status, x->network_status, 0));
}

/* What the servers have collected, or gave to another node, is not this node's to report any more; NULL, too, for what is no news. */
static struct alloc *reported(const struct core *c, struct uuid node, const struct alloc_update *x)
{
	struct uuid id;
	uuid_parse(x->id, &id);
	struct alloc *a = state_alloc(c->state, id);
	return a && a->node && uuid_eq(a->node->id, node) && !is_known(a, x) ? a : NULL;
}

/* Ended by its client's own decision, though it should run: that is neither its failure nor its work done. */
static bool has_left(const struct alloc *a, const struct alloc_update *x)
{
	return x->stopped && a->desired == DESIRED_RUN && alloc_is_live(a) &&
	    (str_eq(x->client_status, observed_names[OBSERVED_COMPLETE]) || str_eq(x->client_status, observed_names[OBSERVED_FAILED]));
}

static enum cause cause_of(const struct core *c, const struct alloc *a, const struct alloc_update *x)
{
	if (wants_eval(a, x->client_status) || has_left(a, x))
		return CAUSE_FAILED;
	if (a->observed == OBSERVED_UNKNOWN || core_alloc_revives(a, x))
		return CAUSE_RECONNECT;
	return moves_update(a, x) || moves_drain(c->state, a, x) ? CAUSE_PROGRESS : CAUSE_NONE;
}

static void put_update(struct core *c, const struct alloc *a, const struct alloc_update *x)
{
	struct alloc_update put = *x;
	MODEL_UNSET(alloc_update, &put, id);
	MODEL_UNSET(alloc_update, &put, stopped);
	if (str_empty(put.client_status))
		MODEL_UNSET(alloc_update, &put, client_status);
	entry_alloc_update(&c->entry, a->id, &put);
}

struct news { /* one report that says something */
	const struct alloc *alloc;
	const struct alloc_update *update;
};

static uint32_t sift(const struct core *c, struct uuid node, const struct alloc_updates *u, struct news *out)
{
	uint32_t n = 0;
	OBJS_EACH(&u->allocs, struct alloc_update, x) {
		const struct alloc *a = reported(c, node, x);
		if (a)
			out[n++] = (struct news){a, x};
	}
	return n;
}

static uint32_t put_news(struct core *c, const struct news *news, uint32_t n, struct touched *jobs)
{
	struct desired_transition left = {0};
	uint32_t n_jobs = 0;
	MODEL_SET(desired_transition, &left, reschedule, true);
	MODEL_SET(desired_transition, &left, force_reschedule, true); /* of a job that runs everywhere */
	for (uint32_t i = 0; i < n; i++)
		if (core_alloc_revives(news[i].alloc, news[i].update))
			entry_alloc_revive(&c->entry, news[i].alloc->id);
	size_t o = entry_open(&c->entry, ENTRY_ALLOC_UPDATES);
	for (uint32_t i = 0; i < n; i++) {
		enum cause cause = cause_of(c, news[i].alloc, news[i].update);
		put_update(c, news[i].alloc, news[i].update);
		if (cause != CAUSE_NONE)
			jobs[n_jobs++] = (struct touched){news[i].alloc->version->job, cause};
	}
	entry_close(&c->entry, o);
	for (uint32_t i = 0; i < n; i++)
		if (has_left(news[i].alloc, news[i].update))
			entry_alloc_transition(&c->entry, news[i].alloc->id, &left);
	return n_jobs;
}

int core_allocs_update(struct core *c, struct uuid node, const struct alloc_updates *u, int64_t now, uint64_t *index,
    struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	int r = check_updates(u, e);
	if (r)
		return r;
	cleanup_free struct touched *jobs = xcalloc(u->allocs.n + 1, sizeof(*jobs));
	cleanup_free struct news *news = xcalloc(u->allocs.n + 1, sizeof(*news));
	const struct node_entry *n = state_node(c->state, node);
	bool returns = n && u->complete && (uint64_t)u->complete == core_node_report(n);
	uint32_t n_news = sift(c, node, u, news), n_jobs = 0, made = 0;
	*index = c->state->index;
	if (!n_news && !returns)
		return 0;
	core_begin(c, now);
	if (n_news)
		n_jobs = put_news(c, news, n_news, jobs);
	if (returns)
		made = core_put_ready(c, a, n, "Node reported its allocations", now);
	if (n_jobs)
		qsort(jobs, n_jobs, sizeof(*jobs), by_name);
	for (uint32_t i = 0; i < n_jobs; i++) {
		if ((i && jobs[i].job == jobs[i - 1].job) || core_eval_is_due(jobs[i].job))
			continue;
		entry_eval(&c->entry, core_eval(c, a, made++, jobs[i].job, cause_triggers[jobs[i].cause], now));
	}
	return core_append(c, index, e);
}

int core_alloc_stop(struct core *c, struct uuid id, bool no_shutdown_delay, int64_t now, struct core_eval_reply *out,
    struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct alloc *alloc = state_alloc(c->state, id);
	if (!alloc)
		return err_set(e, -ENOENT, "alloc not found");
	struct desired_transition t = {0};
	struct job_entry *j = alloc->version->job;
	uint64_t index;
	MODEL_SET(desired_transition, &t, migrate, true);
	if (no_shutdown_delay)
		MODEL_SET(desired_transition, &t, no_shutdown_delay, true);
	core_begin(c, now);
	entry_alloc_transition(&c->entry, id, &t);
	struct eval *ev = core_eval(c, a, 0, j, "alloc-stop", now);
	entry_eval(&c->entry, ev);
	int r = core_append(c, &index, e);
	if (!r)
		core_reply(c, ev, j, index, out);
	return r;
}

int core_scheduler_config(struct core *c, const struct scheduler_config *config, int64_t now, uint64_t *index, struct err *e)
{
	const char *algorithm = config->scheduler_algorithm;
	if (!str_empty(algorithm) && !str_eq(algorithm, "binpack") && !str_eq(algorithm, "spread"))
		return err_set(e, -EINVAL, "invalid scheduler algorithm: \"%.64s\"; expected binpack or spread", algorithm);
	struct scheduler_config put = *config;
	if (str_empty(algorithm))
		MODEL_SET(scheduler_config, &put, scheduler_algorithm, "binpack");
	core_begin(c, now);
	entry_config(&c->entry, &put);
	return core_append(c, index, e);
}
