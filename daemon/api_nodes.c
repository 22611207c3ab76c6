/* api_nodes: nodes, their allocations, and whether they take work. */
#include "daemon/api.h"
#include "daemon/jwriter.h"
#include "sched/drain.h"
#include "sched/uuid_table.h"

#include <errno.h>

/* "10.0.0.1" of "10.0.0.1:4646", without the brackets of an IPv6 address. */
static const char *host_of(struct arena *a, const char *addr)
{
	const char *colon;

	if (str_empty(addr))
		return "";
	colon = strrchr(addr, ':');
	if (*addr == '[' && colon && colon[-1] == ']')
		return arena_strndup(a, addr + 1, (size_t)(colon - addr - 2));
	return colon ? arena_strndup(a, addr, (size_t)(colon - addr)) : addr;
}

static void put_node_stub(struct call *c, struct buf *b, const void *item, int indent, int depth)
{
	cleanup_arena struct arena *a = arena_new();
	const struct node *n = node_view(a, item);
	const char *version = strmap_get(&n->attributes, "nomad.version");
	const char *os = strmap_get(&n->attributes, "os.name");
	struct node_stub s = {
	    .drivers = n->drivers, .host_volumes = n->host_volumes, .last_drain = n->last_drain};

	MODEL_SET(node_stub, &s, address, host_of(a, n->http_addr));
	MODEL_SET(node_stub, &s, id, n->id);
	MODEL_SET(node_stub, &s, datacenter, n->datacenter);
	MODEL_SET(node_stub, &s, name, n->name);
	MODEL_SET(node_stub, &s, node_class, n->node_class);
	if (!str_empty(n->node_pool))
		MODEL_SET(node_stub, &s, node_pool, n->node_pool);
	MODEL_SET(node_stub, &s, version, version ? version : "");
	MODEL_SET(node_stub, &s, drain, n->drain);
	MODEL_SET(node_stub, &s, scheduling_eligibility, n->scheduling_eligibility);
	MODEL_SET(node_stub, &s, status, n->status);
	MODEL_SET(node_stub, &s, status_description, n->status_description);
	MODEL_SET(node_stub, &s, create_index, n->create_index);
	MODEL_SET(node_stub, &s, modify_index, n->modify_index);
	if (call_query_bool(c, "os") && os)
		strmap_set(a, &s.attributes, "os.name", os);
	if (call_query_bool(c, "resources")) {
		s.node_resources = n->node_resources;
		s.reserved_resources = n->reserved_resources;
	}
	codec_to_json(b, &type_node_stub, &s, CODEC_API, indent, depth);
}

static void node_key(const void *item, struct page_key *out)
{
	*out = (struct page_key){.id = ((const struct node_entry *)item)->id};
}

static const void *find_node(const struct state *s, const struct page_key *k)
{
	return state_node(s, k->id);
}

static const void *view_node(struct arena *a, const void *item)
{
	return node_view(a, item);
}

static const struct page_kind page_nodes = {put_node_stub, node_key, find_node, &type_node, view_node};

struct node_walk {
	struct page page;
	const char *prefix;
};

static bool offer_node(void *arg, struct node_entry *n)
{
	struct node_walk *w = arg;
	char id[UUID_STR];

	if (!w->prefix || str_starts(uuid_format(n->id, id), w->prefix))
		page_offer(&w->page, n);
	return true;
}

static void list_nodes(struct call *c)
{
	const struct state *s = call_state(c);
	struct node_walk w;

	if (api_prefix(c, "node", &w.prefix) ||
	    page_begin(&w.page, c, &page_nodes, watch_table(TABLE_NODES), s->table_index[TABLE_NODES]))
		return;
	state_each_node(s, offer_node, &w);
	page_end(&w.page);
}

/* The node of the path; answers and returns NULL when there is none. */
static struct node_entry *need_node(struct call *c, struct uuid *id)
{
	struct node_entry *n;

	if (api_id(c, "id", "node", id))
		return NULL;
	n = state_node(call_state(c), *id);
	if (!n)
		call_error(c, 500, "node not found");
	return n;
}

static void read_node(struct call *c)
{
	const struct state *s = call_state(c);
	const struct node_entry *n;
	struct node *view;
	struct uuid id;

	if (str_empty(call_param(c, "id"))) {
		call_error(c, 500, "missing node ID");
		return;
	}
	if (api_id(c, "id", "node", &id))
		return;
	n = state_node(s, id);
	if (call_block(c, watch_id(WATCH_NODE, id), n ? n->modify_index : s->table_index[TABLE_NODES]))
		return;
	if (!n) {
		call_error(c, 404, "node not found");
		return;
	}
	view = node_view(call_arena(c), n);
	api_legacy_node(call_arena(c), view);
	api_answer(c, &type_node, view);
}

static void node_allocations(struct call *c)
{
	const struct state *s = call_state(c);
	const struct node_entry *n;
	uint64_t index = 0;
	struct page p;
	struct uuid id;

	if (api_id(c, "id", "node", &id))
		return;
	n = state_node(s, id);
	if (n) {
		for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
			index = MAX(index, a->modify_index);
	}
	if (page_begin(&p, c, &page_whole_allocs, watch_id(WATCH_NODE_WORK, id),
	        index ? index : s->table_index[TABLE_ALLOCS]))
		return;
	if (n) {
		for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
			if (api_in_namespace(c, a->version->job->ns) || !call_query(c, "namespace"))
				page_offer(&p, a);
	}
	page_end(&p);
}

/* ---- actions ---- */

static void answer_node(struct call *c, const struct strs *evals, uint64_t index)
{
	struct node_answer a = {.eval_ids = *evals};

	MODEL_SET(node_answer, &a, eval_create_index, evals->n ? (int64_t)index : 0);
	MODEL_SET(node_answer, &a, index, (int64_t)index);
	call_set_index(c, index);
	api_answer(c, &type_node_answer, &a);
}

static void set_eligibility(struct call *c)
{
	struct eligibility_request *r = MODEL_NEW(call_arena(c), eligibility_request);
	bool eligible = false;
	cleanup_err struct err e = ERR_INIT;
	struct strs none = {0};
	struct uuid id;
	uint64_t index;

	if (api_id(c, "id", "node", &id) || call_decode(c, &type_eligibility_request, r))
		return;
	eligible = str_eq(r->eligibility, "eligible");
	if (!eligible && !str_eq(r->eligibility, "ineligible")) {
		call_error(c, 500, "invalid scheduling eligibility \"%s\"",
		    r->eligibility ? r->eligibility : "");
		return;
	}
	if (!need_node(c, &id))
		return;
	if (core_node_eligibility(call_core(c), id, eligible, call_now(c), &index, &e))
		api_refuse(c, &e);
	else
		answer_node(c, &none, index);
}

/* More of the same, as the answers of evaluate and purge have it. */
static void answer_node_whole(struct call *c, const struct strs *evals, uint64_t index, bool servers)
{
	const struct config *cfg = call_daemon(c)->config;
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	jw_int(&w, "EvalCreateIndex", evals->n ? (int64_t)index : 0);
	jw_list(&w, "EvalIDs");
	for (uint32_t i = 0; i < evals->n; i++) {
		jw_item(&w);
		json_put_str(w.b, evals->v[i]);
	}
	jw_end(&w, ']');
	jw_int(&w, "Features", 0);
	jw_int(&w, "HeartbeatTTL", 0);
	jw_int(&w, "Index", (int64_t)index);
	jw_bool(&w, "KnownLeader", false);
	jw_int(&w, "LastContact", 0);
	jw_str(&w, "LeaderRPCAddr", servers ? cfg->advertise_http : "");
	jw_int(&w, "NodeModifyIndex", (int64_t)index);
	jw_int(&w, "NumNodes", servers ? uuid_table_count(call_state(c)->nodes_by_id) : 0);
	jw_key(&w, "Servers");
	if (servers) {
		jw_begin(&w, '[');
		jw_item(&w);
		jw_begin(&w, '{');
		jw_str(&w, "Datacenter", cfg->datacenter);
		jw_str(&w, "RPCAdvertiseAddr", cfg->advertise_http);
		jw_int(&w, "RPCMajorVersion", 1);
		jw_int(&w, "RPCMinorVersion", 1);
		jw_end(&w, '}');
		jw_end(&w, ']');
	} else {
		buf_puts(w.b, "null");
	}
	jw_end(&w, '}');
	call_set_index(c, index);
	call_json(c, 200);
}

typedef int node_action_fn(struct core *core, struct uuid id, int64_t now, struct strs *eval_ids,
    struct arena *a, uint64_t *index, struct err *e);

static void act(struct call *c, node_action_fn *fn, bool servers)
{
	cleanup_err struct err e = ERR_INIT;
	struct strs evals = {0};
	struct uuid id;
	uint64_t index;

	if (!need_node(c, &id))
		return;
	if (fn(call_core(c), id, call_now(c), &evals, call_arena(c), &index, &e))
		api_refuse(c, &e);
	else
		answer_node_whole(c, &evals, index, servers);
}

static void evaluate_node(struct call *c)
{
	act(c, core_node_evaluate, true);
}

static void purge_node(struct call *c)
{
	act(c, core_node_purge, false);
}

static void drain_node(struct call *c)
{
	struct drain_request *r = MODEL_NEW(call_arena(c), drain_request);
	struct core_drain_request req;
	cleanup_err struct err e = ERR_INIT;
	struct strs evals = {0};
	struct uuid id;
	uint64_t index;

	if (!need_node(c, &id) || call_decode(c, &type_drain_request, r) < 0)
		return;
	req = (struct core_drain_request){.spec = r->drain_spec, .mark_eligible = r->mark_eligible, .meta = &r->meta};
	if (core_node_drain(call_core(c), id, &req, call_now(c), &evals, call_arena(c), &index, &e))
		api_refuse(c, &e);
	else
		answer_node(c, &evals, index);
}

/* When the node or anything on it changed last. */
static uint64_t last_change(const struct node_entry *n)
{
	uint64_t index = MAX(n->modify_index, n->alloc_index);

	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		index = MAX(index, a->modify_index);
	return index;
}

static void read_drain(struct call *c)
{
	const char *since = call_query(c, "changes");
	const struct node_entry *n;
	struct drain_answer *d;
	struct uuid id;

	if (!need_node(c, &id))
		return;
	n = state_node(call_state(c), id);
	if (!n) {
		call_error(c, 404, "node not found");
	} else if (!call_block(c, watch_id(WATCH_NODE_ALL, id), last_change(n))) {
		d = core_drain(call_core(c), id, call_now(c), call_arena(c));
		if (since)
			drain_changes(n, strtoull(since, NULL, 10), call_arena(c), &d->changes);
		api_answer(c, &type_drain_answer, d);
	}
}

#define READ  (ROUTE_GET | ROUTE_BLOCKING | ROUTE_SERVER)
#define WRITE (ROUTE_PUT | ROUTE_SERVER)

const struct route routes_nodes[] = {
    {READ, "/v1/nodes", list_nodes, NULL, NULL, "list nodes: prefix=, filter=, per_page=, next_token=, reverse=, os=, resources="},
    {READ, "/v1/node/:id", read_node, NULL, NULL, "read a node"},
    {READ, "/v1/node/:id/allocations", node_allocations, NULL, NULL, "its allocations, whole"},
    {WRITE, "/v1/node/:id/eligibility", NULL, set_eligibility, NULL, "let it take new work or not"},
    {WRITE, "/v1/node/:id/evaluate", NULL, evaluate_node, NULL, "schedule its jobs again"},
    {READ | ROUTE_PUT, "/v1/node/:id/drain", read_drain, drain_node, NULL, "what a drain waits for, and what has changed on the node since an index: changes=; set, change or cancel one"},
    {WRITE, "/v1/node/:id/purge", NULL, purge_node, NULL, "forget it"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
