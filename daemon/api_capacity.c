/* api_capacity: how much there is, what would fit, what is missing; and taking nodes away. */
#include <errno.h>

#include "daemon/api.h"
#include "daemon/filter.h"
#include "sched/admit.h"
#include "sched/capacity.h"
#include "sched/scale_in.h"

static void read_capacity(struct call *c)
{
	const char *name = call_query(c, "job");
	const struct state *s = call_state(c);
	struct job_entry *j = str_empty(name) ? NULL : state_job(s, call_namespace(c), name);
	struct admit_limits limits;
	struct capacity *now;

	if (!str_empty(name) && !j) {
		call_error(c, 404, "job not found");
		return;
	}
	now = capacity_now(s, call_arena(c));
	api_limits(c, &limits);
	if (j)
		now->job = capacity_of_job(s, j, limits.max_count, call_now(c), call_arena(c));
	call_set_index(c, s->index);
	api_answer(c, &type_capacity, now);
}

/* ---- taking nodes away ---- */

static void answer_scale_in(struct call *c, const struct scale_in *op, uint64_t index)
{
	struct scale_in_answer a = {.scale_in = (struct scale_in *)op};

	MODEL_SET(scale_in_answer, &a, index, (int64_t)index);
	call_set_index(c, index);
	api_answer(c, &type_scale_in_answer, &a);
}

static void put_scale_in(struct call *c)
{
	struct scale_in_request *r = MODEL_NEW(call_arena(c), scale_in_request);
	cleanup_err struct err e = ERR_INIT;
	struct filter *f = NULL;
	struct scale_in *op;
	uint64_t index;

	if (call_decode(c, &type_scale_in_request, r) < 0)
		return;
	if (!str_empty(r->filter) && filter_new(r->filter, &type_node, &f, &e) < 0) {
		call_error(c, 400, "failed to read filter expression: %s", err_str(&e));
		return;
	}
	filter_free(f);
	if (core_scale_in(call_core(c), r, call_now(c), call_arena(c), &op, &index, &e) < 0)
		call_fail(c, &e);
	else
		answer_scale_in(c, op, index);
}

/* Operations change with their nodes. */
static bool block(struct call *c)
{
	return call_block(c, watch_table(TABLE_NODES), call_state(c)->table_index[TABLE_NODES]);
}

static void list_scale_ins(struct call *c)
{
	const struct state *s = call_state(c);
	struct buf *b = call_out(c);
	bool first = true;

	if (block(c))
		return;
	buf_putc(b, '[');
	for (uint32_t i = s->n_scale_ins; i-- > 0;) {
		json_put_sep(b, &first, call_indent(c), 1);
		codec_to_json(b, &type_scale_in, scale_in_describe(s, s->scale_ins[i].spec, call_now(c), call_arena(c)),
		    CODEC_API, call_indent(c), 1);
	}
	json_put_end(b, ']', first, call_indent(c), 0);
	call_json(c, 200);
}

static void read_scale_in(struct call *c)
{
	const struct scale_in_entry *e;
	struct uuid id;

	if (api_id(c, "id", "scale-in", &id) || block(c))
		return;
	e = state_scale_in(call_state(c), id);
	if (e)
		api_answer(c, &type_scale_in, scale_in_describe(call_state(c), e->spec, call_now(c), call_arena(c)));
	else
		call_error(c, 404, "scale-in not found");
}

static void cancel_scale_in(struct call *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct scale_in *op;
	struct uuid id;
	uint64_t index;

	if (api_id(c, "id", "scale-in", &id))
		return;
	if (core_scale_in_cancel(call_core(c), id, call_now(c), call_arena(c), &op, &index, &e) < 0)
		call_fail(c, &e);
	else
		answer_scale_in(c, op, index);
}

const struct route routes_capacity[] = {
    {ROUTE_GET | ROUTE_SERVER, "/v1/nodes/capacity", read_capacity, NULL, NULL,
	"how much there is, what is missing for pending work, and how many more of job= would fit"},
    {ROUTE_GET | ROUTE_PUT | ROUTE_BLOCKING | ROUTE_SERVER, "/v1/nodes/scale-in", list_scale_ins, put_scale_in, NULL,
	"operations that take nodes away, newest first; begin one, or change its count"},
    {ROUTE_GET | ROUTE_DELETE | ROUTE_BLOCKING | ROUTE_SERVER, "/v1/nodes/scale-in/:id", read_scale_in, NULL, cancel_scale_in,
	"read one, with its nodes; cancel it: what is not free yet stays"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
