/* The core's requests about allocations and about the scheduler itself. */
#include <errno.h>

#include "sched/core_internal.h"

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

static int by_name(const void *a, const void *b)
{
	const struct job_entry *x = *(struct job_entry *const *)a, *y = *(struct job_entry *const *)b;
	int r = strcmp(x->ns, y->ns);
	return r ? r : strcmp(x->id, y->id);
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
	cleanup_free struct job_entry **jobs = xcalloc(u->allocs.n + 1, sizeof(struct job_entry *));
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
		if (wants_eval(alloc, put.client_status))
			jobs[n_jobs++] = alloc->version->job;
	}
	entry_close(&c->entry, o);
	*index = c->state->index;
	if (!taken)
		return 0;
	qsort(jobs, n_jobs, sizeof(struct job_entry *), by_name);
	for (uint32_t i = 0; i < n_jobs; i++)
		if ((!i || jobs[i] != jobs[i - 1]) && !core_eval_is_due(jobs[i]))
			entry_eval(&c->entry, core_eval(c, a, i, jobs[i], "alloc-failure", now));
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
