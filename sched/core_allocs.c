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

/* Does the report tell an update that waits for the health of its allocations when to go on? */
/* Tells about the replacement of one that waits for it on a draining node. */
static bool moves_drain(const struct state *s, const struct alloc *a, const struct alloc_update *u)
{
	bool comes_up = a->observed != OBSERVED_RUNNING && str_eq(u->client_status, observed_names[OBSERVED_RUNNING]);
	if (!comes_up && !u->deployment_status)
		return false;
	for (const struct alloc *x = a; x && x->extra && !uuid_is_nil(x->extra->previous);) {
		x = state_alloc(s, x->extra->previous);
		if (x && drain_is_soft(x))
			return true;
	}
	return false;
}

static bool moves_update(const struct alloc *a, const struct alloc_update *u)
{
	bool comes_up = a->observed != OBSERVED_RUNNING && str_eq(u->client_status, observed_names[OBSERVED_RUNNING]);
	return (comes_up || u->deployment_status) && a->desired == DESIRED_RUN && has_update_waiting(a->version->job);
}

struct touched { /* a job that has to be looked at after a report */
	struct job_entry *job;
	bool failed;
};

static int by_name(const void *a, const void *b)
{
	const struct touched *x = a, *y = b;
	int r = strcmp(x->job->ns, y->job->ns);
	r = r ? r : strcmp(x->job->id, y->job->id);
	return r ? r : y->failed - x->failed;
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

int core_allocs_update(struct core *c, struct uuid node, const struct alloc_updates *u, int64_t now, uint64_t *index,
    struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	int r = check_updates(u, e);
	if (r)
		return r;
	cleanup_free struct touched *jobs = xcalloc(u->allocs.n + 1, sizeof(*jobs));
	uint32_t n_jobs = 0, taken = 0;
	core_begin(c, now);
	size_t o = entry_open(&c->entry, ENTRY_ALLOC_UPDATES);
	OBJS_EACH(&u->allocs, struct alloc_update, x) {
		struct uuid id;
		uuid_parse(x->id, &id);
		struct alloc *alloc = state_alloc(c->state, id);
		/* What the servers have collected, or gave to another node, is not this node's to report any more. */
		if (!alloc || !alloc->node || !uuid_eq(alloc->node->id, node) || is_known(alloc, x))
			continue;
		struct alloc_update put = *x;
		MODEL_UNSET(alloc_update, &put, id);
		if (str_empty(put.client_status))
			MODEL_UNSET(alloc_update, &put, client_status);
		entry_alloc_update(&c->entry, id, &put);
		taken++;
		bool failed = wants_eval(alloc, put.client_status);
		if (failed || moves_update(alloc, &put) || moves_drain(c->state, alloc, &put))
			jobs[n_jobs++] = (struct touched){alloc->version->job, failed};
	}
	entry_close(&c->entry, o);
	*index = c->state->index;
	if (!taken)
		return 0;
	qsort(jobs, n_jobs, sizeof(*jobs), by_name);
	for (uint32_t i = 0; i < n_jobs; i++) {
		if ((i && jobs[i].job == jobs[i - 1].job) || core_eval_is_due(jobs[i].job))
			continue;
		entry_eval(&c->entry, core_eval(c, a, i, jobs[i].job, jobs[i].failed ? "alloc-failure" : "rolling-update", now));
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
