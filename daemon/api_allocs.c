/* api_allocs: allocations: list, read, stop. */
#include "daemon/api.h"

struct alloc_walk {
	struct page page;
	const char *prefix;
};

static bool offer_alloc(void *arg, struct alloc *a)
{
	struct alloc_walk *w = arg;
	char id[UUID_STR];

	if (api_in_namespace(w->page.call, a->version->job->ns) &&
	    (!w->prefix || str_starts(uuid_format(a->id, id), w->prefix)))
		page_offer(&w->page, a);
	return true;
}

/* By prefix the table finds what there is without a walk over a million others. */
static void offer_prefix(struct alloc_walk *w, const struct state *s)
{
	enum { FIRST = 256 };
	uint32_t room = FIRST;
	struct alloc **found = xcalloc(room, sizeof(struct alloc *));
	int n = state_prefix_allocs(s, w->prefix, found, room);

	if (n == (int)room) {
		room = state_count_allocs(s);
		found = xrealloc(found, MAX(room, FIRST), sizeof(struct alloc *));
		n = state_prefix_allocs(s, w->prefix, found, room);
	}
	for (int i = 0; i < n; i++)
		offer_alloc(w, found[i]);
	free(found);
}

static void list_allocs(struct call *c)
{
	const struct state *s = call_state(c);
	struct alloc_walk w;

	if (api_prefix(c, "alloc", &w.prefix) ||
	    page_begin(&w.page, c, &page_allocs, watch_table(TABLE_ALLOCS), s->table_index[TABLE_ALLOCS]))
		return;
	if (w.prefix)
		offer_prefix(&w, s);
	else
		state_each_alloc(s, offer_alloc, &w);
	page_end(&w.page);
}

static void read_alloc(struct call *c)
{
	const struct state *s = call_state(c);
	const struct alloc *a;
	struct allocation *v;
	struct uuid id;

	if (api_id(c, "id", "alloc", &id))
		return;
	a = state_alloc(s, id);
	if (call_block(c, watch_id(WATCH_ALLOC, id), a ? a->modify_index : s->table_index[TABLE_ALLOCS]))
		return;
	if (!a) {
		call_error(c, 404, "alloc not found");
		return;
	}
	v = alloc_view(call_arena(c), a, true);
	api_legacy_allocation(call_arena(c), v);
	api_answer(c, &type_allocation, v);
}

static void stop_alloc(struct call *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply r;
	struct buf *b = call_out(c);
	int indent = call_indent(c);
	char text[UUID_STR];
	bool no_delay, first = true;
	struct uuid id;

	if (api_id(c, "id", "alloc", &id) || api_bool(c, "no_shutdown_delay", &no_delay))
		return;
	if (!state_alloc(call_state(c), id)) {
		call_error(c, 404, "allocation not found");
		return;
	}
	if (core_alloc_stop(call_core(c), id, no_delay, call_now(c), &r, &e)) {
		api_refuse(c, &e);
		return;
	}
	call_set_index(c, r.index);
	buf_putc(b, '{');
	json_put_key(b, "EvalID", &first, indent, 1);
	json_put_str(b, uuid_format(r.eval, text));
	json_put_key(b, "Index", &first, indent, 1);
	json_put_int(b, (int64_t)r.index);
	json_put_end(b, '}', false, indent, 0);
	call_json(c, 200);
}

/* Every other word below an allocation. */
static void no_such_resource(struct call *c)
{
	call_error(c, 404, "resource not found");
}

const struct route routes_allocs[] = {
    {ROUTE_GET | ROUTE_BLOCKING | ROUTE_SERVER, "/v1/allocations", list_allocs, NULL, NULL,
	"list allocations: prefix=, filter=, per_page=, next_token=, reverse=, task_states=, resources="},
    {ROUTE_GET | ROUTE_BLOCKING | ROUTE_SERVER, "/v1/allocation/:id", read_alloc, NULL, NULL,
	"read an allocation"},
    {ROUTE_PUT | ROUTE_SERVER, "/v1/allocation/:id/stop", NULL, stop_alloc, NULL,
	"stop an allocation; its group gets another one"},
    {ROUTE_GET | ROUTE_SERVER, "/v1/allocation/:id/:what", no_such_resource, NULL, NULL,
	"nothing else is below an allocation"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
