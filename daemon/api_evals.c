/* api_evals: evaluations, deployments, search. */
#include "daemon/api_search.h"

struct eval_walk {
	struct page page;
	const char *prefix, *status, *job;
};

static bool offer_eval(void *arg, struct eval_entry *e)
{
	struct eval_walk *w = arg;
	char id[UUID_STR];

	if (!api_in_namespace(w->page.call, e->job->ns) ||
	    (w->prefix && !str_starts(uuid_format(e->id, id), w->prefix)) ||
	    (w->status && !str_eq(eval_status_names[e->status], w->status)) ||
	    (w->job && !str_eq(e->job->id, w->job)))
		return true;
	page_offer(&w->page, e);
	return true;
}

static void list_evals(struct call *c)
{
	const struct state *s = call_state(c);
	struct eval_walk w = {.status = call_query(c, "status"), .job = call_query(c, "job")};

	if (!str_empty(call_query(c, "filter")) && (w.status || w.job)) {
		call_error(c, 400, "Filter expression cannot be used with other filter parameters: ask for Status and JobID in it");
		return;
	}
	if (api_prefix(c, "eval", &w.prefix) ||
	    page_begin(&w.page, c, &page_evals, watch_table(TABLE_EVALS), s->table_index[TABLE_EVALS]))
		return;
	state_each_eval(s, offer_eval, &w);
	page_end(&w.page);
}

static void read_eval(struct call *c)
{
	const struct state *s = call_state(c);
	const struct eval_entry *e;
	struct uuid id;

	if (api_id(c, "id", "eval", &id))
		return;
	e = state_eval(s, id);
	if (call_block(c, watch_id(WATCH_EVAL, id), e ? e->modify_index : s->table_index[TABLE_EVALS]))
		return;
	if (!e) {
		call_error(c, 404, "eval not found");
		return;
	}
	api_put_eval(c, call_out(c), e, call_indent(c), 0);
	call_json(c, 200);
}

static void eval_allocations(struct call *c)
{
	const struct state *s = call_state(c);
	const struct eval_entry *e;
	uint64_t index = 0;
	struct page p;
	struct uuid id;

	if (api_id(c, "id", "eval", &id))
		return;
	e = state_eval(s, id);
	if (e) {
		for (LINK_EACH(&e->job->allocs, struct alloc, by_job, a))
			if (uuid_eq(a->eval, id))
				index = MAX(index, a->modify_index);
	}
	if (page_begin(&p, c, &page_allocs, watch_table(TABLE_ALLOCS),
	        index ? index : s->table_index[TABLE_ALLOCS]))
		return;
	if (e) {
		for (LINK_EACH(&e->job->allocs, struct alloc, by_job, a))
			if (uuid_eq(a->eval, id))
				page_offer(&p, a);
	}
	page_end(&p);
}

/* ---- deployments ---- */

static void list_deployments(struct call *c)
{
	const struct state *s = call_state(c);
	const char *prefix;
	struct page p;

	if (api_prefix(c, "", &prefix) ||
	    page_begin(&p, c, &page_deployments, watch_table(TABLE_DEPLOYMENTS), s->table_index[TABLE_DEPLOYMENTS]))
		return;
	api_offer_deployments(&p, s, NULL, NULL, prefix);
	page_end(&p);
}

static void read_deployment(struct call *c)
{
	const struct state *s = call_state(c);
	const struct deployment_entry *d;
	struct uuid id;

	if (str_empty(call_param(c, "id"))) {
		call_error(c, 500, "missing deployment ID");
		return;
	}
	if (api_id(c, "id", "deployment", &id))
		return;
	d = state_deployment(s, id);
	if (call_block(c, watch_id(WATCH_DEPLOYMENT, id),
		d ? d->modify_index : s->table_index[TABLE_DEPLOYMENTS]))
		return;
	if (!d) {
		call_error(c, 404, "deployment not found");
		return;
	}
	api_put_deployment(c, call_out(c), d, call_indent(c), 0);
	call_json(c, 200);
}

static void deployment_allocations(struct call *c)
{
	const struct state *s = call_state(c);
	const struct deployment_entry *d;
	struct page p;
	struct uuid id;
	const struct job_entry *j;

	if (api_id(c, "id", "deployment", &id))
		return;
	if (page_begin(&p, c, &page_allocs, watch_table(TABLE_ALLOCS), s->table_index[TABLE_ALLOCS]))
		return;
	d = state_deployment(s, id);
	j = d ? state_job_any(s, d->spec->namespace, d->spec->job_id) : NULL;
	if (j) {
		for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
			if (a->extra && uuid_eq(a->extra->deployment, id))
				page_offer(&p, a);
	}
	page_end(&p);
}

#define READ (ROUTE_GET | ROUTE_BLOCKING | ROUTE_SERVER)

const struct route routes_evals[] = {
    {READ, "/v1/evaluations", list_evals, NULL, NULL,
	"list evaluations: prefix=, job=, status=, filter=, per_page=, next_token=, reverse="},
    {READ, "/v1/evaluation/:id", read_eval, NULL, NULL, "read an evaluation"},
    {READ, "/v1/evaluation/:id/allocations", eval_allocations, NULL, NULL, "what it placed"},
    {READ, "/v1/deployments", list_deployments, NULL, NULL,
	"list deployments: prefix=, filter=, per_page=, next_token=, reverse="},
    {READ, "/v1/deployment/:id", read_deployment, NULL, NULL, "read a deployment"},
    {READ, "/v1/deployment/allocations/:id", deployment_allocations, NULL, NULL,
	"allocations of a deployment"},
    {ROUTE_PUT | ROUTE_SERVER, "/v1/search", NULL, api_search, NULL,
	"ids that begin with a text, by kind"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
