/* api_job_actions: what can be done to a job by a POST below /v1/job/:id. */
#include "daemon/api_jobs.h"

#include "base/diff.h"

#include <errno.h>

/* ---- plan ---- */

static void put_failed(struct buf *b, const struct objmap *m, int indent)
{
	bool first = true;

	if (!m->n) {
		buf_puts(b, "null");
		return;
	}
	buf_putc(b, '{');
	for (uint32_t i = 0; i < m->n; i++) {
		json_put_key(b, m->v[i].key, &first, indent, 2);
		codec_to_json(b, &type_alloc_metric, m->v[i].value, CODEC_API, indent, 2);
	}
	json_put_end(b, '}', false, indent, 1);
}

static void put_plan(struct call *c, const struct core_plan_reply *r)
{
	struct buf *b = call_out(c);
	int indent = call_indent(c);
	bool first = true;

	buf_putc(b, '{');
	json_put_key(b, "Annotations", &first, indent, 1);
	codec_to_json(b, &type_plan_annotations, r->annotations, CODEC_API, indent, 1);
	json_put_key(b, "CreatedEvals", &first, indent, 1);
	buf_puts(b, "null");
	json_put_key(b, "Diff", &first, indent, 1);
	if (r->diff)
		diff_to_json(b, r->diff, indent, 1);
	else
		buf_puts(b, "null");
	json_put_key(b, "FailedTGAllocs", &first, indent, 1);
	put_failed(b, &r->failed_tg_allocs, indent);
	json_put_key(b, "Index", &first, indent, 1);
	json_put_int(b, (int64_t)r->index);
	json_put_key(b, "JobModifyIndex", &first, indent, 1);
	json_put_int(b, (int64_t)r->job_modify_index);
	json_put_key(b, "NextPeriodicLaunch", &first, indent, 1);
	buf_puts(b, "null");
	json_put_key(b, "Warnings", &first, indent, 1);
	json_put_str(b, r->warnings);
	json_put_end(b, '}', false, indent, 0);
}

void api_job_plan(struct call *c)
{
	struct job_plan_request *r = MODEL_NEW(call_arena(c), job_plan_request);
	cleanup_err struct err e = ERR_INIT;
	struct core_plan_reply reply;

	if (call_decode(c, &type_job_plan_request, r))
		return;
	if (!r->job) {
		call_error(c, 400, "Job must be specified");
		return;
	}
	if (api_job_accept(c, r->job, "Job ID does not match"))
		return;
	if (core_job_plan(call_core(c), call_arena(c), r->job, r->diff, call_now(c), &reply, &e)) {
		api_refuse(c, &e);
		return;
	}
	call_set_index(c, reply.index);
	put_plan(c, &reply);
	call_json(c, 200);
}

/* ---- evaluate, revert, stable ---- */

void api_job_evaluate(struct call *c)
{
	struct evaluate_request *r = MODEL_NEW(call_arena(c), evaluate_request);
	const struct job_entry *j = api_job(c);
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply reply;

	if (api_decode_optional(c, &type_evaluate_request, r))
		return;
	if (!str_empty(r->job_id) && !str_eq(r->job_id, call_param(c, "id")))
		call_error(c, 400, "JobID not same as job name");
	else if (!j)
		call_error(c, 500, "job not found");
	else if (j->current->spec->periodic)
		call_error(c, 500, "can't evaluate periodic job");
	else if (j->current->spec->parameterized_job && !j->current->spec->dispatched)
		call_error(c, 500, "can't evaluate parameterized job");
	else if (core_job_evaluate(call_core(c), call_namespace(c), j->id,
		     r->eval_options && r->eval_options->force_reschedule, call_now(c), &reply, &e))
		api_refuse(c, &e);
	else
		api_answer_eval(c, &reply, false);
}

/* The JobID of a body has to be there and to be that of the path. */
static bool id_matches(struct call *c, const char *id)
{
	if (str_empty(id)) {
		call_error(c, 400, "JobID must be specified");
		return false;
	}
	if (!str_eq(id, call_param(c, "id"))) {
		call_error(c, 400, "Job ID does not match");
		return false;
	}
	return true;
}

void api_job_revert(struct call *c)
{
	struct revert_request *r = MODEL_NEW(call_arena(c), revert_request);
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply reply;

	if (call_decode(c, &type_revert_request, r) || !id_matches(c, r->job_id))
		return;
	if (!api_job(c))
		call_error(c, 500, "job \"%s\" not found", r->job_id);
	else if (r->job_version < 0)
		call_error(c, 400, "JobVersion must not be negative");
	else if (core_job_revert(call_core(c), call_namespace(c), r->job_id, (uint64_t)r->job_version,
		     MODEL_HAS(revert_request, r, enforce_prior_version) ? r->enforce_prior_version : -1,
		     call_now(c), &reply, &e)) {
		api_refuse(c, &e);
	} else {
		call_set_read(c, false);
		api_answer_eval(c, &reply, false);
	}
}

void api_job_stable(struct call *c)
{
	struct stable_request *r = MODEL_NEW(call_arena(c), stable_request);
	cleanup_err struct err e = ERR_INIT;
	uint64_t index;

	if (call_decode(c, &type_stable_request, r) || !id_matches(c, r->job_id))
		return;
	if (core_job_stable(call_core(c), call_namespace(c), r->job_id, (uint64_t)r->job_version,
		r->stable, call_now(c), &index, &e)) {
		api_refuse(c, &e);
		return;
	}
	api_answer_index(c, index);
}

/* ---- scale ---- */

/* Everything about a request that can be wrong before the job is looked at; NULL when nothing is. */
static const char *scale_problem(const struct scaling_request *r)
{
	bool has_count = MODEL_HAS(scaling_request, r, count);

	if (str_empty(strmap_get(&r->target, "Group")))
		return "missing task group name for scaling action";
	if (r->error && has_count)
		return "scaling action should not contain count if error is true";
	if (has_count && r->count < 0)
		return "scaling action count can't be negative";
	return NULL;
}

/* Answers and returns false when the group may not have this count. */
static bool count_allowed(struct call *c, const struct task_group *g, int64_t count)
{
	const struct scaling_policy *p = g->scaling;

	if (p && MODEL_HAS(scaling_policy, p, min) && count < p->min) {
		call_error(c, 400, "group count was less than scaling policy minimum: %lld < %lld",
		    (long long)count, (long long)p->min);
		return false;
	}
	if (p && MODEL_HAS(scaling_policy, p, max) && count > p->max) {
		call_error(c, 400, "group count was greater than scaling policy maximum: %lld > %lld",
		    (long long)count, (long long)p->max);
		return false;
	}
	return true;
}

/* Changing a count is registering the job with another count. */
static void scale(struct call *c, const struct job_entry *j, const char *group, int64_t count)
{
	struct job *changed = model_copy(call_arena(c), &type_job, j->current->spec);
	struct core_register_request req = {
	    .job = changed,
	    .submission = j->current->submission,
	    .enforce_index = true,
	    .job_modify_index = j->current->modify_index,
	};
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply reply;
	struct task_group *g = job_group(changed, group);

	MODEL_SET(task_group, g, count, count);
	if (core_job_register(call_core(c), &req, call_now(c), &reply, &e))
		api_refuse(c, &e);
	else
		api_answer_eval(c, &reply, true);
}

void api_job_scale(struct call *c)
{
	struct scaling_request *r = MODEL_NEW(call_arena(c), scaling_request);
	const struct job_entry *j = api_job(c);
	const struct task_group *g;
	const char *problem, *group;

	if (call_decode(c, &type_scaling_request, r))
		return;
	problem = scale_problem(r);
	if (problem) {
		call_error(c, 400, "%s", problem);
		return;
	}
	if (!j) {
		call_error(c, 404, "job \"%s\" not found", call_param(c, "id"));
		return;
	}
	group = strmap_get(&r->target, "Group");
	g = job_group(j->current->spec, group);
	if (!g) {
		call_error(c, 400,
		    "task group \"%s\" specified for scaling does not exist in job", group);
	} else if (j->stop) {
		call_error(c, 400, "job \"%s\" is stopped; run it again before it is scaled", j->id);
	} else if (!MODEL_HAS(scaling_request, r, count)) {
		/* A message of a scaler about itself changes nothing. */
		struct core_eval_reply nothing = {.job_modify_index = j->current->modify_index,
		    .index = call_state(c)->index};

		api_answer_eval(c, &nothing, true);
	} else if (count_allowed(c, g, r->count)) {
		scale(c, j, group, r->count);
	}
}

/* ---- what needs another kind of job ---- */

void api_job_dispatch(struct call *c)
{
	const struct job_entry *j = api_job(c);

	if (!j)
		call_error(c, 500, "parameterized job not found");
	else if (!j->current->spec->parameterized_job)
		call_error(c, 500, "Specified job \"%s\" is not a parameterized job", j->id);
	else
		call_error(c, 501, "dispatching of parameterized jobs is not available in this version");
}

void api_job_periodic_force(struct call *c)
{
	const struct job_entry *j = api_job(c);

	if (!j)
		call_error(c, 500, "job not found");
	else if (!j->current->spec->periodic)
		call_error(c, 500, "can't force launch non-periodic job");
	else
		call_error(c, 501, "periodic jobs are not launched in this version");
}
