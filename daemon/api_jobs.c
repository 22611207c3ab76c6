/* api_jobs: list, registration, reading, deregistration, parsing and validation of jobs. */
#include "daemon/api_jobs.h"

#include "base/clock.h"
#include "daemon/jobspec.h"
#include "sched/admit.h"

#include <errno.h>


struct job_entry *api_job(struct call *c)
{
	return state_job(call_state(c), call_namespace(c), call_param(c, "id"));
}

/* ---- list ---- */

struct job_summary *api_job_summary(struct arena *a, const struct job_entry *j)
{
	struct job_summary *s = MODEL_NEW(a, job_summary);

	MODEL_SET(job_summary, s, job_id, j->id);
	MODEL_SET(job_summary, s, namespace, j->ns);
	MODEL_SET(job_summary, s, create_index, (int64_t)j->create_index);
	MODEL_SET(job_summary, s, modify_index, (int64_t)MAX(j->summary_index, j->create_index));
	s->children = MODEL_NEW(a, job_children);
	for (uint32_t i = 0; i < j->summary.n; i++) {
		const struct group_summary *g = j->summary.v[i].value;
		struct group_counts *n = MODEL_NEW(a, group_counts);

		MODEL_SET(group_counts, n, queued, g->queued);
		MODEL_SET(group_counts, n, complete, g->complete);
		MODEL_SET(group_counts, n, failed, g->failed);
		MODEL_SET(group_counts, n, running, g->running);
		MODEL_SET(group_counts, n, starting, g->starting);
		MODEL_SET(group_counts, n, lost, g->lost);
		if (g->unknown)
			MODEL_SET(group_counts, n, unknown, g->unknown);
		objmap_set(a, &s->summary, j->summary.v[i].key, n);
	}
	return s;
}

static void put_job_stub(struct call *c, struct buf *b, const void *item, int indent, int depth)
{
	const struct job_entry *j = item;
	cleanup_arena struct arena *a = arena_new();
	const struct job *v = job_view(a, j, j->current);
	struct job_stub s = {.datacenters = v->datacenters, .multiregion = v->multiregion};

	MODEL_SET(job_stub, &s, id, v->id);
	MODEL_SET(job_stub, &s, parent_id, v->parent_id);
	MODEL_SET(job_stub, &s, name, v->name);
	MODEL_SET(job_stub, &s, namespace, v->namespace);
	if (MODEL_HAS(job, v, node_pool))
		MODEL_SET(job_stub, &s, node_pool, v->node_pool);
	MODEL_SET(job_stub, &s, type, v->type);
	MODEL_SET(job_stub, &s, priority, v->priority);
	MODEL_SET(job_stub, &s, periodic, v->periodic != NULL);
	MODEL_SET(job_stub, &s, parameterized_job, v->parameterized_job && !v->dispatched);
	MODEL_SET(job_stub, &s, stop, v->stop);
	MODEL_SET(job_stub, &s, status, v->status);
	MODEL_SET(job_stub, &s, status_description, v->status_description);
	MODEL_SET(job_stub, &s, create_index, v->create_index);
	MODEL_SET(job_stub, &s, modify_index, v->modify_index);
	MODEL_SET(job_stub, &s, job_modify_index, v->job_modify_index);
	MODEL_SET(job_stub, &s, submit_time, v->submit_time);
	s.job_summary = api_job_summary(a, j);
	if (call_query_bool(c, "meta"))
		s.meta = v->meta;
	codec_to_json(b, &type_job_stub, &s, CODEC_API, indent, depth);
}

static void job_key(const void *item, struct page_key *out)
{
	const struct job_entry *j = item;

	*out = (struct page_key){.ns = j->ns, .name = j->id};
}

static const void *find_job(const struct state *s, const struct page_key *k)
{
	return state_job(s, k->ns, k->name);
}

static const void *view_job(struct arena *a, const void *item)
{
	const struct job_entry *j = item;

	return job_view(a, j, j->current);
}

static const struct page_kind page_jobs = {put_job_stub, job_key, find_job, &type_job, view_job};

struct job_walk {
	struct page page;
	const char *prefix;
};

static bool offer_job(void *arg, struct job_entry *j)
{
	struct job_walk *w = arg;

	if (!j->purged && j->current && api_in_namespace(w->page.call, j->ns) &&
	    (!w->prefix || str_starts(j->id, w->prefix)))
		page_offer(&w->page, j);
	return true;
}

static void list_jobs(struct call *c)
{
	const struct state *s = call_state(c);
	struct job_walk w = {.prefix = call_query(c, "prefix")};

	if (page_begin(&w.page, c, &page_jobs, watch_table(TABLE_JOBS), s->table_index[TABLE_JOBS]))
		return;
	state_each_job(s, offer_job, &w);
	page_end(&w.page);
}

/* ---- registration ---- */

int api_job_accept(struct call *c, struct job *j, const char *mismatch)
{
	const char *path_id = call_param(c, "id"), *ns = call_namespace(c);
	struct admit_limits limits;

	if (str_empty(j->id)) {
		call_error(c, 400, "Job ID hasn't been provided");
		return -EINVAL;
	}
	if (path_id && strcmp(path_id, j->id) != 0) {
		call_error(c, 400, "%s", mismatch);
		return -EINVAL;
	}
	api_limits(c, &limits);
	if (!str_empty(j->region) && !str_eq(j->region, limits.region)) {
		call_error(c, 500, "No path to region");
		return -EINVAL;
	}
	/* The namespace of the job wins over that of the request. */
	if (str_empty(j->namespace))
		MODEL_SET(job, j, namespace, strcmp(ns, "*") == 0 ? "default" : ns);
	if (strcmp(j->namespace, "default") != 0) {
		call_error(c, 500, "job \"%s\" is in nonexistent namespace \"%s\"", j->id, j->namespace);
		return -EINVAL;
	}
	return 0;
}

static void register_job(struct call *c)
{
	struct register_request *r = MODEL_NEW(call_arena(c), register_request);
	struct core_register_request req = {0};
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply reply;

	if (call_decode(c, &type_register_request, r))
		return;
	if (!r->job) {
		call_error(c, 400, "Job must be specified");
		return;
	}
	if (api_job_accept(c, r->job, "Job ID does not match name"))
		return;
	req = (struct core_register_request){
	    .job = r->job,
	    .submission = r->submission,
	    .enforce_index = r->enforce_index,
	    .job_modify_index = (uint64_t)r->job_modify_index,
	    .preserve_counts = r->preserve_counts,
	    .eval_priority = r->eval_priority,
	};
	if (core_job_register(call_core(c), &req, call_now(c), &reply, &e))
		api_refuse(c, &e);
	else
		api_answer_eval(c, &reply, false);
}

/* ---- one job ---- */

static void read_job(struct call *c)
{
	const struct state *s = call_state(c);
	const char *ns = call_namespace(c), *id = call_param(c, "id");
	const struct job_entry *j = api_job(c);

	if (call_block(c, watch_job(WATCH_JOB, ns, id),
		j ? j->modify_index : s->table_index[TABLE_JOBS]))
		return;
	if (!j) {
		call_error(c, 404, "job not found");
		return;
	}
	api_answer(c, &type_job, job_view(call_arena(c), j, j->current));
}

static void deregister_job(struct call *c)
{
	uint64_t priority;
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply r;
	struct deregister_answer a = {0};
	char id[UUID_STR];
	bool purge;

	if (str_empty(call_param(c, "id"))) {
		call_error(c, 500, "missing job ID for deregistering");
		return;
	}
	if (api_bool(c, "purge", &purge) || api_uint(c, "eval_priority", 0, INT16_MAX, &priority) < 0)
		return;
	if (core_job_deregister(call_core(c), call_namespace(c), call_param(c, "id"), purge,
		(int64_t)priority, call_now(c), &r, &e)) {
		if (e.code != -ENOENT) {
			api_refuse(c, &e);
			return;
		}
		/* Stopping what is not there is done already: scripts rely on it. */
		r = (struct core_eval_reply){.index = call_state(c)->index};
	}
	MODEL_SET(deregister_answer, &a, eval_id, uuid_format(r.eval, id));
	MODEL_SET(deregister_answer, &a, eval_create_index, (int64_t)r.eval_create_index);
	MODEL_SET(deregister_answer, &a, job_modify_index, (int64_t)r.job_modify_index);
	MODEL_SET(deregister_answer, &a, index, (int64_t)r.index);
	call_set_index(c, r.index);
	api_answer(c, &type_deregister_answer, &a);
}

/* ---- parse and validate ---- */

static struct update_strategy *whole_update(struct arena *a, const struct update_strategy *given)
{
	struct update_strategy *u = MODEL_NEW(a, update_strategy);

	if (given)
		*u = *given;
	MODEL_DEFAULT(update_strategy, u, stagger, 30 * SECOND);
	MODEL_DEFAULT(update_strategy, u, max_parallel, 1);
	MODEL_DEFAULT(update_strategy, u, health_check, "checks");
	MODEL_DEFAULT(update_strategy, u, min_healthy_time, 10 * SECOND);
	MODEL_DEFAULT(update_strategy, u, healthy_deadline, 5 * MINUTE);
	MODEL_DEFAULT(update_strategy, u, progress_deadline, 10 * MINUTE);
	MODEL_DEFAULT(update_strategy, u, auto_revert, false);
	MODEL_DEFAULT(update_strategy, u, auto_promote, false);
	MODEL_DEFAULT(update_strategy, u, canary, 0);
	return u;
}

/*
 * The canonical form of a job file differs from that of a registered job in this: every field of the job itself is given,
 * and its update block is whole, or absent when jobs of that type are not updated.
 */
static void complete_parsed(struct arena *a, struct job *j, const struct update_strategy *given)
{
	j->update = given || str_eq(j->type, "service") ? whole_update(a, given) : NULL;
	if (!j->update)
		j->has &= ~MODEL_BIT(job, update);
	for (uint32_t i = 0; i < type_job.n; i++)
		if (type_job.fields[i].kind < FIELD_STRS && !(type_job.fields[i].flags & FIELD_OMIT))
			j->has |= UINT64_C(1) << i;
	j->has &= ~MODEL_BIT(job, submit_time);
}

static void parse_job(struct call *c)
{
	struct parse_request *r = MODEL_NEW(call_arena(c), parse_request);
	cleanup_err struct err e = ERR_INIT;
	struct jobspec_options o = {.filename = "input.hcl"};
	const struct update_strategy *update;
	struct admit_limits limits;
	struct job *j;

	if (call_decode(c, &type_parse_request, r))
		return;
	if (str_empty(r->job_hcl)) {
		call_error(c, 400, "Job spec is empty");
		return;
	}
	if (r->hclv1) {
		call_error(c, 400, "HCL version 1 is not supported; send the job file as HCL2");
		return;
	}
	o.variables_text = str_empty(r->variables) ? NULL : r->variables;
	if (jobspec_parse(r->job_hcl, strlen(r->job_hcl), &o, call_arena(c), &j, &e)) {
		call_error(c, 400, "%s", err_str(&e));
		return;
	}
	api_limits(c, &limits);
	update = j->update ? model_copy(call_arena(c), &type_update_strategy, j->update) : NULL;
	if (r->canonicalize) {
		admit_canonicalize(j, &limits, call_arena(c));
		complete_parsed(call_arena(c), j, update);
	}
	api_answer_mode(c, &type_job, j, CODEC_PARSED);
}

/*
 * One problem of a list "N errors occurred:\n\t* first\n\t* second\n\n". A problem that is itself such a list holds
 * its own items, at the same indent: their number is in its heading. Returns the end of the item.
 */
static const char *problem_end(const char *s)
{
	static const char mark[] = "\n\t* ";
	const char *next = strstr(s, mark), *line = next ? next : s + strlen(s);
	const char *head = NULL;
	long inner = 0;

	for (const char *p = s; p + 10 <= line; p++)
		if (memcmp(p, " occurred:", 10) == 0)
			head = p;
	if (head) {
		const char *p = head;

		while (p > s && p[-1] != ' ')
			p--;
		while (p > s && (p[-1] == ' ' || (p[-1] >= '0' && p[-1] <= '9')))
			p--;
		inner = strtol(p, NULL, 10);
	}
	for (; inner > 0 && next; inner--) {
		line = problem_end(next + strlen(mark));
		next = strncmp(line, mark, strlen(mark)) == 0 ? line : NULL;
	}
	return line;
}

static void list_problems(struct arena *a, const char *sentence, struct strs *out)
{
	/* The two line ends that close the whole list are no part of its last item. */
	size_t n = strlen(sentence), tail = 0;
	const char *text, *s;

	while (tail < 2 && tail < n && sentence[n - 1 - tail] == '\n')
		tail++;
	text = arena_strndup(a, sentence, n - tail);
	s = strstr(text, "\n\t* ");
	if (!s) {
		strs_push(a, out, text);
		return;
	}
	while (s && strncmp(s, "\n\t* ", 4) == 0) {
		const char *end = problem_end(s + 4);

		strs_push(a, out, arena_strndup(a, s + 4, (size_t)(end - s - 4)));
		s = end;
	}
}

static void validate_job(struct call *c)
{
	struct register_request *r = MODEL_NEW(call_arena(c), register_request);
	struct validate_answer a = {0};
	cleanup_err struct err e = ERR_INIT;
	const char *warnings = "";
	struct admit_limits limits;

	if (call_decode(c, &type_register_request, r))
		return;
	if (!r->job) {
		call_error(c, 400, "Job must be specified");
		return;
	}
	api_limits(c, &limits);
	admit_canonicalize(r->job, &limits, call_arena(c));
	MODEL_SET(validate_answer, &a, driver_config_validated, true);
	if (admit_validate(r->job, &limits, &warnings, call_arena(c), &e)) {
		MODEL_SET(validate_answer, &a, error, err_str(&e));
		list_problems(call_arena(c), err_str(&e), &a.validation_errors);
	}
	MODEL_SET(validate_answer, &a, warnings, warnings ? warnings : "");
	api_answer(c, &type_validate_answer, &a);
}

#define READ  (ROUTE_GET | ROUTE_BLOCKING | ROUTE_SERVER)
#define WRITE (ROUTE_PUT | ROUTE_SERVER)

const struct route routes_jobs[] = {
    {READ | ROUTE_PUT, "/v1/jobs", list_jobs, register_job, NULL, "list jobs: prefix=, filter=, per_page=, next_token=, reverse=, meta=; register a job"},
    {WRITE, "/v1/jobs/parse", NULL, parse_job, NULL, "a job file as JSON"},
    {WRITE, "/v1/validate/job", NULL, validate_job, NULL, "check a job without registering it"},
    {READ | ROUTE_PUT | ROUTE_DELETE, "/v1/job/:id*", read_job, register_job, deregister_job,
	"read, register or stop a job"},
    {WRITE, "/v1/job/:id*/plan", NULL, api_job_plan, NULL, "what registering would do"},
    {READ, "/v1/job/:id*/versions", api_job_versions, NULL, NULL, "the versions kept, with diffs"},
    {READ, "/v1/job/:id*/allocations", api_job_allocations, NULL, NULL, "its allocations"},
    {READ, "/v1/job/:id*/evaluations", api_job_evaluations, NULL, NULL, "its evaluations"},
    {READ, "/v1/job/:id*/deployments", api_job_deployments, NULL, NULL, "its deployments"},
    {READ, "/v1/job/:id*/deployment", api_job_deployment, NULL, NULL, "its latest deployment"},
    {READ, "/v1/job/:id*/summary", api_job_summary_get, NULL, NULL, "allocations by group and status"},
    {READ, "/v1/job/:id*/submission", api_job_submission, NULL, NULL, "the job file as it was sent"},
    {READ, "/v1/job/:id*/why", api_job_why, NULL, NULL, "why groups wait"},
    {READ | ROUTE_PUT, "/v1/job/:id*/scale", api_job_scale_get, api_job_scale, NULL,
	"counts by group; change a count"},
    {WRITE, "/v1/job/:id*/evaluate", NULL, api_job_evaluate, NULL, "schedule it again"},
    {WRITE, "/v1/job/:id*/revert", NULL, api_job_revert, NULL, "register an earlier version"},
    {WRITE, "/v1/job/:id*/stable", NULL, api_job_stable, NULL, "mark a version as good"},
    {WRITE, "/v1/job/:id*/dispatch", NULL, api_job_dispatch, NULL, "start a parameterized job"},
    {WRITE, "/v1/job/:id*/periodic/force", NULL, api_job_periodic_force, NULL,
	"start a periodic job now"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
