/* api_job_reads: what can be read below /v1/job/:id. */
#include "daemon/api_jobs.h"

#include "base/diff.h"

/* Answers 404 and returns NULL when there is no such job. */
static struct job_entry *need_job(struct call *c, const char *text)
{
	struct job_entry *j = api_job(c);

	if (!j)
		call_error(c, 404, "%s", text);
	return j;
}

static struct watch_key job_key(const struct call *c, enum watch_kind kind)
{
	return watch_job(kind, call_namespace(c), call_param(c, "id"));
}

static void put_diffs(struct call *c, struct buf *b, const struct job_entry *j, int indent)
{
	bool first = true;

	buf_putc(b, '[');
	for (uint32_t i = 0; i + 1 < j->n_versions; i++) {
		json_put_sep(b, &first, indent, 2);
		diff_to_json(b,
		    diff_jobs(call_arena(c), j->versions[i + 1]->spec, j->versions[i]->spec, true),
		    indent, 2);
	}
	json_put_end(b, ']', first, indent, 1);
}

void api_job_versions(struct call *c)
{
	const struct job_entry *j = api_job(c);
	uint64_t index = j ? j->modify_index : call_state(c)->table_index[TABLE_JOBS];
	int indent = call_indent(c);
	bool first = true, none = true;
	struct buf *b;

	if (call_block(c, job_key(c, WATCH_JOB), index))
		return;
	if (!j) {
		call_error(c, 404, "job versions not found");
		return;
	}
	b = call_out(c);
	buf_putc(b, '{');
	json_put_key(b, "Diffs", &first, indent, 1);
	if (call_query_bool(c, "diffs") && j->n_versions > 1)
		put_diffs(c, b, j, indent);
	else
		buf_puts(b, "null");
	json_put_key(b, "Index", &first, indent, 1);
	json_put_int(b, (int64_t)index);
	json_put_key(b, "KnownLeader", &first, indent, 1);
	json_put_bool(b, true);
	json_put_key(b, "LastContact", &first, indent, 1);
	json_put_int(b, 0);
	json_put_key(b, "Versions", &first, indent, 1);
	buf_putc(b, '[');
	for (uint32_t i = 0; i < j->n_versions; i++) {
		json_put_sep(b, &none, indent, 2);
		codec_to_json(b, &type_job, job_view(call_arena(c), j, j->versions[i]), CODEC_API,
		    indent, 2);
	}
	json_put_end(b, ']', none, indent, 1);
	json_put_end(b, '}', false, indent, 0);
	call_json(c, 200);
}

void api_job_summary_get(struct call *c)
{
	const struct job_entry *j = api_job(c);
	uint64_t index = j ? MAX(j->summary_index, j->create_index)
			   : call_state(c)->table_index[TABLE_JOBS];

	if (call_block(c, job_key(c, WATCH_JOB_ALL), index) || !need_job(c, "job not found"))
		return;
	api_answer(c, &type_job_summary, api_job_summary(call_arena(c), j));
}

static struct job_entry *any_job(struct call *c)
{
	return state_job_any(call_state(c), call_namespace(c), call_param(c, "id"));
}

void api_job_allocations(struct call *c)
{
	const struct job_entry *j = any_job(c);
	struct page p;
	uint64_t index = 0;

	if (j) {
		for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
			index = MAX(index, a->modify_index);
	}
	if (page_begin(&p, c, &page_allocs, job_key(c, WATCH_JOB_ALLOCS),
	        index ? index : call_state(c)->table_index[TABLE_ALLOCS]))
		return;
	if (j) {
		for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
			page_offer(&p, a);
	}
	page_end(&p);
}

void api_job_evaluations(struct call *c)
{
	const struct job_entry *j = any_job(c);
	struct page p;
	uint64_t index = 0;

	if (j) {
		for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
			index = MAX(index, e->modify_index);
	}
	if (page_begin(&p, c, &page_evals, job_key(c, WATCH_JOB_EVALS),
	        index ? index : call_state(c)->table_index[TABLE_EVALS]))
		return;
	if (j) {
		for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
			page_offer(&p, e);
	}
	page_end(&p);
}

void api_job_deployments(struct call *c)
{
	const struct state *s = call_state(c);
	struct page p;

	if (page_begin(&p, c, &page_deployments, watch_table(TABLE_DEPLOYMENTS),
	        s->table_index[TABLE_DEPLOYMENTS]))
		return;
	api_offer_deployments(&p, s, call_namespace(c), call_param(c, "id"), NULL);
	page_end(&p);
}

void api_job_deployment(struct call *c)
{
	const struct state *s = call_state(c);
	struct page p = {.call = c};

	if (call_block(c, watch_table(TABLE_DEPLOYMENTS), s->table_index[TABLE_DEPLOYMENTS]))
		return;
	api_offer_deployments(&p, s, call_namespace(c), call_param(c, "id"), NULL);
	if (p.n)
		api_put_deployment(c, call_out(c), p.items[0], call_indent(c), 0);
	else
		buf_puts(call_out(c), "null");
	free(p.items);
	call_json(c, 200);
}

/* How the allocations of a group of the current version stand. */
static struct group_scale *scale_of(
    struct arena *a, const struct job_entry *j, const struct task_group *g)
{
	struct group_scale *s = MODEL_NEW(a, group_scale);

	s->has = UINT64_MAX >> (64 - type_group_scale.n);
	MODEL_UNSET(group_scale, s, events);
	s->desired = g->count;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, alloc)) {
		const struct deployment_status *health;

		if (alloc_is_terminal(alloc) || !str_eq(alloc_group(alloc)->name, g->name))
			continue;
		s->placed++;
		s->running += alloc->observed == OBSERVED_RUNNING;
		health = alloc->extra ? alloc->extra->deployment_status : NULL;
		if (health && MODEL_HAS(deployment_status, health, healthy)) {
			s->healthy += health->healthy;
			s->unhealthy += !health->healthy;
		}
	}
	return s;
}

void api_job_scale_get(struct call *c)
{
	const struct job_entry *j = api_job(c);
	struct job_scale s = {0};

	if (call_block(c, job_key(c, WATCH_JOB_ALL),
		j ? MAX(j->modify_index, j->summary_index) : call_state(c)->table_index[TABLE_JOBS]))
		return;
	if (!need_job(c, "job not found"))
		return;
	MODEL_SET(job_scale, &s, job_id, j->id);
	MODEL_SET(job_scale, &s, namespace, j->ns);
	MODEL_SET(job_scale, &s, job_create_index, (int64_t)j->create_index);
	MODEL_SET(job_scale, &s, job_modify_index, (int64_t)j->modify_index);
	MODEL_SET(job_scale, &s, job_stopped, j->stop);
	OBJS_EACH(&j->current->spec->task_groups, struct task_group, g)
		objmap_set(call_arena(c), &s.task_groups, g->name, scale_of(call_arena(c), j, g));
	api_answer(c, &type_job_scale, &s);
}

void api_job_submission(struct call *c)
{
	const struct job_entry *j = api_job(c);
	const struct job_version *v;
	uint64_t version;

	if (api_uint(c, "version", UINT64_MAX, INT64_MAX, &version) < 0)
		return;
	if (call_block(c, job_key(c, WATCH_JOB),
		j ? j->modify_index : call_state(c)->table_index[TABLE_JOBS]))
		return;
	if (!need_job(c, "job not found"))
		return;
	v = version < UINT64_MAX ? job_find_version(j, version) : j->current;
	if (!v || !v->submission)
		call_error(c, 404, "job source not found");
	else
		api_answer(c, &type_job_submission, v->submission);
}

/* Reasons depend on every node and job, so an answer stands for its own instant and does not block. */
void api_job_why(struct call *c)
{
	const struct job_entry *j = need_job(c, "job not found");
	struct why_answer w = {0};

	if (!j)
		return;
	w.has = MODEL_BIT(why_answer, groups);
	core_why_job(call_core(c), call_arena(c), j, call_now(c), &w.groups);
	call_set_index(c, call_state(c)->index);
	api_answer(c, &type_why_answer, &w);
}
