/* job_report: reading a job from all its sides. */
#include "daemon/job_report.h"

#include "daemon/cli_show.h"

bool job_is_parent(const struct job *j)
{
	return j->periodic || (j->parameterized_job && !j->dispatched);
}

static int64_t eval_index(const void *item)
{
	return ((const struct eval *)item)->create_index;
}

/* The jobs that a periodic or parameterized job began. */
static int read_children(struct job_report *r, struct err *e)
{
	const struct job *j = &r->job;
	const char *prefix = arena_printf(r->c->arena, "%s%s", j->id, j->parameterized_job ? "/dispatch-" : "/periodic-");
	struct objs found = {0};
	int rc = cli_get_list(r->c, &type_job_stub, &found, e, "/v1/jobs?prefix=%s", cli_escape(r->c, prefix));

	OBJS_EACH(&found, struct job_stub, child)
		if (str_eq(child->parent_id, j->id))
			objs_push(r->c->arena, &r->children, child);
	return rc;
}

static int read_work(struct job_report *r, const char *path, struct err *e)
{
	const char *all = arg_bool(r->c->args, "all-allocs") ? "?all=true" : "";
	int rc;

	if ((rc = cli_get_list(r->c, &type_alloc_stub, &r->allocs, e, "%s/allocations%s", path, all)) < 0)
		return err_wrap(e, "Error querying job allocations");
	if ((rc = cli_get_list(r->c, &type_eval, &r->evals, e, "%s/evaluations", path)) < 0)
		return err_wrap(e, "Error querying job evaluations");
	if ((rc = cli_get(r->c, &type_deployment, &r->deployment, e, "%s/deployment", path)) < 0)
		return err_wrap(e, "Error querying latest job deployment");
	cli_get(r->c, &type_why_answer, &r->why, NULL, "%s/why", path);
	show_newest_first(&r->evals, eval_index);
	return 0;
}

int job_report_read(struct cli *c, const char *id, struct job_report *out, struct err *e)
{
	const char *path = arena_printf(c->arena, "/v1/job/%s", cli_escape(c, id));
	struct job_report r = {.c = c};
	int rc = cli_get(c, &type_job, &r.job, e, "%s", path);

	if (rc < 0)
		return err_wrap(e, "Error querying job");
	if (!arg_bool(c->args, "short")) {
		if ((rc = cli_get(c, &type_job_summary, &r.summary, e, "%s/summary", path)) < 0)
			return err_wrap(e, "Error querying job summary");
		rc = job_is_parent(&r.job) ? read_children(&r, e) : read_work(&r, path, e);
		if (rc < 0)
			return rc;
	}
	*out = r;
	return 0;
}

/* ---- as JSON ---- */

static int read_value(struct cli *c, const struct job_stub *j, struct value **out, struct err *e)
{
	const char *path = arena_printf(c->arena, "/v1/job/%s", cli_escape(c, j->id));
	struct job_report r = {.c = c};
	int rc = cli_get(c, &type_job_summary, &r.summary, e, "%s/summary", path);

	if (rc < 0)
		return err_wrap(e, "Error querying job summary");
	if ((rc = read_work(&r, path, e)) < 0)
		return rc;
	*out = cli_value(c, &type_job_picture,
	    &(struct job_picture){
		.has = MODEL_BIT(job_picture, allocations) | MODEL_BIT(job_picture, evaluations),
		.summary = &r.summary,
		.allocations = r.allocs,
		.latest_deployment = str_empty(r.deployment.id) ? NULL : &r.deployment,
		.evaluations = r.evals,
		.waiting = r.why.groups,
	    });
	return 0;
}

bool job_reports_format(struct cli *c, const struct objs *stubs, int *code)
{
	struct value **items = arena_alloc(c->arena, MAX(stubs->n, 1) * sizeof(*items));
	const char *ns = c->ns;
	cleanup_err struct err e = ERR_INIT;
	int rc = 0;

	if (!cli_wants_format(c))
		return false;
	for (uint32_t i = 0; i < stubs->n && rc >= 0; i++) {
		const struct job_stub *j = stubs->v[i];

		if (str_eq(ns, "*"))
			c->ns = j->namespace;
		rc = read_value(c, j, &items[i], &e);
	}
	c->ns = ns;
	if (rc >= 0)
		return cli_format_list(c, &type_job_picture, value_list(c->arena, items, stubs->n), code);
	fprintf(stderr, "%s\n", err_str(&e));
	*code = 1;
	return true;
}
