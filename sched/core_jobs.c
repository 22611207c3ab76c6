/* The core's requests about jobs. */
#include <errno.h>

#include "base/diff.h"
#include "sched/admit.h"
#include "sched/annotate.h"
#include "sched/core_internal.h"

/* ---- registration ---- */

static struct admit_limits limits_of(const struct core *c)
{
	return (struct admit_limits){
	    .max_priority = c->config.job_max_priority,
	    .default_priority = c->config.job_default_priority,
	    .max_count = c->config.job_max_count,
	    .region = c->config.region,
	};
}

/* The job as a server stores it: a copy, canonical, checked. warnings live in the core's arena until the next call. */
static int admit(struct core *c, const struct job *given, struct arena *a, struct job **out, const char **warnings,
    struct err *e)
{
	struct admit_limits limits = limits_of(c);
	struct job *j = model_copy(a, &type_job, given);
	const char *text = "";
	admit_canonicalize(j, &limits, a);
	int r = admit_validate(j, &limits, &text, a, e);
	if (r)
		return r;
	MODEL_UNSET(job, j, stop);
	arena_free(c->warnings_arena);
	c->warnings_arena = arena_new();
	*warnings = arena_strdup(c->warnings_arena, text ? text : "");
	*out = j;
	return 0;
}

static int check_enforced(const struct core_register_request *req, const struct job_entry *j, struct err *e)
{
	unsigned long long want = req->job_modify_index;
	if (!req->enforce_index)
		return 0;
	if (!want)
		return j ? err_set(e, -EINVAL, "Enforcing job modify index 0: job already exists") : 0;
	if (!j)
		return err_set(e, -EINVAL, "Enforcing job modify index %llu: job does not exist", want);
	if (j->current->modify_index != want)
		return err_set(e, -EINVAL, "Enforcing job modify index %llu: job exists with conflicting job modify index: %llu",
		    want, (unsigned long long)j->current->modify_index);
	return 0;
}

/* What a job is cannot change while its name stays. */
static int check_same_kind(const struct job_entry *old, const struct job *new, struct err *e)
{
	if (!old || old->stop)
		return 0;
	const struct job *spec = old->current->spec;
	if (!str_eq(spec->type, new->type))
		return err_set(e, -EINVAL, "cannot update job from type \"%s\" to \"%s\": stop and purge it first, or take another name",
		    spec->type, new->type);
	if (!spec->periodic != !new->periodic)
		return err_set(e, -EINVAL, "cannot update %s job to being %s", spec->periodic ? "periodic" : "non-periodic",
		    new->periodic ? "periodic" : "non-periodic");
	if (!spec->parameterized_job != !new->parameterized_job)
		return err_set(e, -EINVAL, "cannot update %s job to being %s",
		    spec->parameterized_job ? "parameterized" : "non-parameterized",
		    new->parameterized_job ? "parameterized" : "non-parameterized");
	return 0;
}

static void keep_counts(struct job *new, const struct job_entry *old)
{
	OBJS_EACH(&new->task_groups, struct task_group, g) {
		struct task_group *before = job_group(old->current->spec, g->name);
		if (before)
			MODEL_SET(task_group, g, count, before->count);
	}
}

static bool same_spec(const struct job_entry *old, const struct job *new)
{
	return !old->stop && model_equal(&type_job, old->current->spec, new, FIELD_RUN | MODEL_UNSET_IS_ZERO);
}

static bool runs_by_itself(const struct job *j)
{
	return !j->periodic && !j->parameterized_job;
}

/* Writes the job (when it is new or differs) and its evaluation. */
static int put_job(struct core *c, struct arena *a, struct job *spec, const struct job_submission *submission,
    const char *trigger, int64_t priority, int64_t now, struct core_eval_reply *out, struct err *e)
{
	struct job_entry *old = state_job(c->state, spec->namespace, spec->id);
	bool write = !old || !same_spec(old, spec);
	/* The evaluation speaks of the version that this entry makes. */
	struct job_version version = {.spec = spec, .modify_index = c->state->index + 1};
	struct job_entry named = {.ns = spec->namespace, .id = spec->id, .current = write ? &version : old->current};
	struct eval *ev = NULL;
	uint64_t index;
	if (!write && !runs_by_itself(spec)) {
		core_reply(c, NULL, old, c->state->index, out);
		return 0;
	}
	core_begin(c, now);
	if (write)
		entry_job(&c->entry, spec, submission);
	else
		core_put_retries(c, NULL, old);
	if (runs_by_itself(spec)) {
		ev = core_eval(c, a, 0, &named, trigger, now);
		if (priority)
			MODEL_SET(eval, ev, priority, priority);
		entry_eval(&c->entry, ev);
	}
	int r = core_append(c, &index, e);
	if (!r)
		core_reply(c, ev, state_job(c->state, spec->namespace, spec->id), index, out);
	return r;
}

int core_job_register(struct core *c, const struct core_register_request *req, int64_t now,
    struct core_eval_reply *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct job *spec;
	const char *warnings;
	if (c->state->config->reject_job_registration)
		return err_set(e, -EPERM, "job registration, dispatch, and scale are disabled by the scheduler configuration");
	if (req->eval_priority < 0 || req->eval_priority > c->config.job_max_priority)
		return err_set(e, -EINVAL, "eval priority %lld is not between 1 and %lld",
		    (long long)req->eval_priority, (long long)c->config.job_max_priority);
	int r = admit(c, req->job, a, &spec, &warnings, e);
	if (r)
		return r;
	struct job_entry *old = state_job(c->state, spec->namespace, spec->id);
	if ((r = check_enforced(req, old, e)) || (r = check_same_kind(old, spec, e)) ||
	    (r = core_refuse_when_full(c, e)))
		return r;
	if (req->preserve_counts && old)
		keep_counts(spec, old);
	r = put_job(c, a, spec, req->submission, "job-register", req->eval_priority, now, out, e);
	if (!r)
		out->warnings = warnings;
	return r;
}

static struct job_entry *find_job(const struct core *c, const char *ns, const char *id, struct err *e)
{
	struct job_entry *j = state_job(c->state, ns, id);
	if (!j)
		err_set(e, -ENOENT, "job not found");
	return j;
}

int core_job_deregister(struct core *c, const char *ns, const char *id, bool purge, int64_t eval_priority, int64_t now,
    struct core_eval_reply *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct job_entry *j = find_job(c, ns, id, e);
	if (!j)
		return -ENOENT;
	struct job *stopped = arena_copy(a, j->current->spec, sizeof(*stopped));
	MODEL_SET(job, stopped, stop, true);
	struct job_version version = {.spec = stopped, .modify_index = c->state->index + 1};
	struct job_entry named = {.ns = j->ns, .id = j->id, .current = purge || j->stop ? j->current : &version};
	struct eval *ev = NULL;
	uint64_t index;
	core_begin(c, now);
	if (!purge && !j->stop)
		entry_job(&c->entry, stopped, j->current->submission);
	if (runs_by_itself(stopped)) {
		ev = core_eval(c, a, 0, &named, "job-deregister", now);
		if (eval_priority)
			MODEL_SET(eval, ev, priority, eval_priority);
		entry_eval(&c->entry, ev);
	}
	if (purge)
		entry_job_purge(&c->entry, ns, id);
	int r = core_append(c, &index, e);
	if (!r)
		core_reply(c, ev, state_job_any(c->state, ns, id), index, out);
	if (!r && purge)
		out->job_modify_index = index;
	return r;
}

/* ---- evaluations by hand ---- */

static void put_force_reschedule(struct core *c, const struct job_entry *j)
{
	struct desired_transition t = {0};
	MODEL_SET(desired_transition, &t, force_reschedule, true);
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		if (j->type != JOB_SYSTEM && a->observed == OBSERVED_FAILED && a->desired == DESIRED_RUN)
			entry_alloc_transition(&c->entry, a->id, &t);
}

int core_job_evaluate(struct core *c, const char *ns, const char *id, bool force_reschedule, int64_t now,
    struct core_eval_reply *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct job_entry *j = find_job(c, ns, id, e);
	if (!j)
		return -ENOENT;
	if (j->current->spec->periodic)
		return err_set(e, -EINVAL, "can't evaluate periodic job");
	if (j->current->spec->parameterized_job)
		return err_set(e, -EINVAL, "can't evaluate parameterized job");
	int r = core_refuse_when_full(c, e);
	if (r)
		return r;
	uint64_t index;
	core_begin(c, now);
	core_put_retries(c, NULL, j);
	if (force_reschedule)
		put_force_reschedule(c, j);
	struct eval *ev = core_eval(c, a, 0, j, "job-register", now);
	entry_eval(&c->entry, ev);
	r = core_append(c, &index, e);
	if (!r)
		core_reply(c, ev, j, index, out);
	return r;
}

/* ---- versions ---- */

int core_job_revert(struct core *c, const char *ns, const char *id, uint64_t version, int64_t enforce_prior,
    int64_t now, struct core_eval_reply *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct job_entry *j = find_job(c, ns, id, e);
	if (!j)
		return -ENOENT;
	if (enforce_prior >= 0 && (uint64_t)enforce_prior != j->current->version)
		return err_set(e, -EINVAL, "Current job has version %u; enforcing version %lld", j->current->version,
		    (long long)enforce_prior);
	if (version == j->current->version)
		return err_set(e, -EINVAL, "can't revert to current version");
	struct job_version *v = job_find_version(j, version);
	if (!v)
		return err_set(e, -ENOENT, "job \"%s\" in namespace \"%s\" at version %llu not found", id, ns,
		    (unsigned long long)version);
	int r = core_refuse_when_full(c, e);
	if (r)
		return r;
	struct job *spec = model_copy(a, &type_job, v->spec);
	MODEL_UNSET(job, spec, stop);
	return put_job(c, a, spec, v->submission, "job-register", 0, now, out, e);
}

int core_job_stable(struct core *c, const char *ns, const char *id, uint64_t version, bool stable, int64_t now,
    uint64_t *index, struct err *e)
{
	struct job_entry *j = find_job(c, ns, id, e);
	if (!j)
		return -ENOENT;
	if (!job_find_version(j, version))
		return err_set(e, -ENOENT, "job \"%s\" in namespace \"%s\" at version %llu not found", id, ns,
		    (unsigned long long)version);
	core_begin(c, now);
	entry_job_stable(&c->entry, ns, id, version, stable);
	return core_append(c, index, e);
}

/* ---- the dry run ---- */

/* The job as it would be: a version, and a job entry when there is none yet, that only this call knows. */
struct dry_run {
	struct job_entry entry;
	struct job_version version;
	struct plan plan;
};

static void plan_dry(struct core *c, struct arena *a, struct job *spec, struct job_entry *old, int64_t now, struct dry_run *d)
{
	d->entry = (struct job_entry){.ns = spec->namespace, .id = spec->id};
	link_init(&d->entry.allocs);
	link_init(&d->entry.evals);
	struct job_entry *j = old ? old : &d->entry;
	bool changed = !old || !same_spec(old, spec);
	d->version = (struct job_version){
	    .arena = a,
	    .spec = spec,
	    .job = j,
	    .version = old ? old->current->version + 1 : 0,
	    .modify_index = c->state->index + 1,
	    .submit_time = now,
	};
	plan_asks(&d->version);
	d->entry.current = &d->version;
	d->entry.type = (enum job_type)name_index(job_type_names, spec->type);
	struct job_version *version = changed ? &d->version : old->current;
	struct job_entry named = {.ns = j->ns, .id = j->id, .current = version};
	struct eval *ev = core_eval(c, a, 0, &named, "job-register", now);
	MODEL_SET(eval, ev, annotate_plan, true);
	/* A stopped job that is planned again would run again. */
	bool stop = j->stop;
	j->stop = false;
	plan_make(&(struct plan_request){
		      .state = c->state,
		      .eval = ev,
		      .job = j,
		      .version = version,
		      .now = now,
		      .seed = core_id(c, CORE_ID_PLAN),
		      .annotate = true,
		  },
	    a, &d->plan);
	j->stop = stop;
}

int core_job_plan(struct core *c, struct arena *a, const struct job *job, bool diff, int64_t now,
    struct core_plan_reply *out, struct err *e)
{
	struct job *spec;
	const char *warnings;
	int r = admit(c, job, a, &spec, &warnings, e);
	if (r)
		return r;
	struct job_entry *old = state_job(c->state, spec->namespace, spec->id);
	r = check_same_kind(old, spec, e);
	if (r)
		return r;
	*out = (struct core_plan_reply){
	    .job_modify_index = old ? old->current->modify_index : 0,
	    .index = c->state->index,
	    .warnings = warnings,
	};
	if (diff)
		out->diff = diff_jobs(a, old ? old->current->spec : NULL, spec, true);
	if (!runs_by_itself(spec))
		return 0;
	struct dry_run *d = arena_alloc(a, sizeof(*d));
	plan_dry(c, a, spec, old, now, d);
	out->annotations = d->plan.eval->plan_annotations;
	out->failed_tg_allocs = d->plan.eval->failed_tg_allocs;
	if (out->diff)
		annotate_diff(a, out->diff, out->annotations, old ? old->current->spec : NULL, spec);
	return 0;
}
