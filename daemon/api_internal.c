/*
 * api_internal: how clients on other machines reach the server role: the HTTP form of agent/link.h. The node's secret is
 * its pass: given with every request, compared in constant time, never logged.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/codec.h"
#include "daemon/daemon.h"
#include "daemon/farewell.h"
#include "daemon/members.h"
#include "daemon/peer.h"
#include "daemon/server.h"

static bool same_secret(const char *a, const char *b)
{
	size_t n = strlen(a);
	unsigned char diff = 0;

	if (strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

/* The node of the path; answers and returns NULL when it is unknown or the secret is not its own. */
static const struct node_entry *find_node(struct call *c, struct uuid *id)
{
	const char *text = call_param(c, "id"), *secret = call_header(c, "X-Nomad-Token");
	const struct node_entry *n;

	if (uuid_parse(text, id) < 0) {
		call_error(c, 400, "node id \"%s\" is no UUID", text);
		return NULL;
	}
	n = state_node(call_state(c), *id);
	if (!n) {
		call_error(c, 404, "node %s is not registered", text);
		return NULL;
	}
	if (!secret || str_empty(n->spec->secret_id) || !same_secret(n->spec->secret_id, secret)) {
		call_error(c, 403, "the secret is not that of node %s", text);
		return NULL;
	}
	return n;
}

/* With the scheme, which a client may not know. */
static void push_server(struct call *c, struct strs *out, const char *address)
{
	const char *url = peer_url(call_daemon(c)->config, call_arena(c), address);

	if (!strs_has(out, url))
		strs_push(call_arena(c), out, url);
}

/* The servers that a client may turn to: this one, and those that share its journal and live. */
static void list_servers(struct call *c, struct strs *out)
{
	const struct daemon *d = call_daemon(c);
	struct member *list;
	uint32_t n;

	push_server(c, out, d->config->advertise_http);
	if (!server_replica(d->server))
		return;
	members_list(d->members, call_arena(c), &list, &n);
	for (uint32_t i = 0; i < n; i++)
		if (str_eq(list[i].status, "alive"))
			push_server(c, out, list[i].address);
}

static void say_hello(struct call *c, const struct core_node_reply *reply)
{
	struct node_hello *hello = MODEL_NEW(call_arena(c), node_hello);

	MODEL_SET(node_hello, hello, index, (int64_t)reply->index);
	MODEL_SET(node_hello, hello, heartbeat_ttl, reply->heartbeat_ttl);
	if (reply->report)
		MODEL_SET(node_hello, hello, report, (int64_t)reply->report);
	list_servers(c, &hello->servers);
	MODEL_SET(node_hello, hello, cluster_id, uuid_format(call_state(c)->cluster_id, arena_alloc(call_arena(c), UUID_STR)));
	codec_to_json(call_out(c), &type_node_hello, hello, CODEC_PEER, call_indent(c), 0);
	call_set_index(c, reply->index);
	call_json(c, 200);
}

/* A client with a kv_prefix belongs to the servers whose journal lies there; it may have heard of others, as DNS does not tell. */
static bool is_elsewhere(struct call *c)
{
	const char *log = call_query(c, "log"), *own = call_daemon(c)->config->consul.kv_prefix;

	if (!log || !server_replica(call_daemon(c)->server) || str_eq(log, own))
		return false;
	call_error(c, 503, "this server belongs to another cluster: its journal lies at \"%s\" in Consul, and not at \"%s\"", own, log);
	return true;
}

static void put_register(struct call *c)
{
	struct node *node = MODEL_NEW(call_arena(c), node);
	cleanup_err struct err e = ERR_INIT;
	struct core_node_reply reply;
	const char *secret = call_header(c, "X-Nomad-Token");

	if (is_elsewhere(c) || call_decode(c, &type_node, node) < 0)
		return;
	if (!str_eq(node->id, call_param(c, "id"))) {
		call_error(c, 400, "the node's ID \"%s\" is not that of the path", node->id ? node->id : "");
		return;
	}
	if (!secret || str_empty(node->secret_id) || !same_secret(node->secret_id, secret)) {
		call_error(c, 403, "the secret is not that of node %s", node->id);
		return;
	}
	if (core_node_register(call_core(c), node, call_now(c), &reply, &e) < 0)
		call_fail(c, &e);
	else
		say_hello(c, &reply);
}

static void put_heartbeat(struct call *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_node_reply reply;
	struct uuid id;

	if (!find_node(c, &id))
		return;
	if (core_node_heartbeat(call_core(c), id, call_now(c), &reply, &e) < 0) {
		call_fail(c, &e);
		return;
	}
	call_set_rest(c, reply.written);
	say_hello(c, &reply);
}

/* It may be the end of the node, or of the way to it. */
static void on_gone(struct call *c)
{
	struct server *s = call_daemon(c)->server;
	struct uuid id;

	if (!s || !server_leads(s) || uuid_parse(call_param(c, "id"), &id) < 0)
		return;
	core_node_suspect(server_core(s), id, SUSPECT_BROKE, clock_now());
	server_kick(s);
}

static void get_work(struct call *c)
{
	struct uuid id;
	const struct node_entry *n = find_node(c, &id);
	const char *since = call_query(c, "index");
	struct node_work *work;

	if (!n)
		return;
	core_node_asks(call_core(c), id);
	call_on_gone(c, on_gone);
	if (call_block(c, watch_id(WATCH_NODE_WORK, id), n->alloc_index))
		return;
	work = MODEL_NEW(call_arena(c), node_work);
	core_node_work(call_core(c), call_arena(c), id, since ? strtoull(since, NULL, 10) : 0, work);
	codec_to_json(call_out(c), &type_node_work, work, CODEC_PEER, call_indent(c), 0);
	call_json(c, 200);
}

/* A server that has not heard of this node asks whether it lives: any loop that turns can say so. */
static void get_alive(struct call *c)
{
	const struct daemon *d = call_daemon(c);

	if (d->config->client.enabled && !d->client)
		call_error(c, 503, "this agent is starting");
	else if (d->client && str_eq(client_node_id(d->client), call_param(c, "id")))
		call_text(c, 200, "alive");
	else
		call_error(c, 404, "this agent is not node %s", call_param(c, "id"));
}

static void put_allocs(struct call *c)
{
	struct alloc_updates *u = MODEL_NEW(call_arena(c), alloc_updates);
	cleanup_err struct err e = ERR_INIT;
	uint64_t index;
	struct uuid id;

	if (!find_node(c, &id) || call_decode(c, &type_alloc_updates, u) < 0)
		return;
	if (core_allocs_update(call_core(c), id, u, call_now(c), &index, &e) < 0)
		call_fail(c, &e);
	else
		say_hello(c, &(struct core_node_reply){.index = index});
}

static void put_farewell(struct call *c)
{
	struct node_farewell *f = MODEL_NEW(call_arena(c), node_farewell);
	struct node_hello *hello = MODEL_NEW(call_arena(c), node_hello);
	cleanup_err struct err e = ERR_INIT;
	struct uuid id;

	if (!find_node(c, &id) || call_decode(c, &type_node_farewell, f) < 0)
		return;
	if (farewell_take(call_core(c), id, f, call_arena(c), hello, &e) < 0) {
		call_fail(c, &e);
		return;
	}
	codec_to_json(call_out(c), &type_node_hello, hello, CODEC_PEER, call_indent(c), 0);
	call_json(c, 200);
}

const struct route routes_internal[] = {
    {ROUTE_PUT | ROUTE_SERVER, "/v1/internal/node/:id/farewell", NULL, put_farewell, NULL, "a node that stops drains itself and leaves"},
    {ROUTE_PUT | ROUTE_SERVER, "/v1/internal/node/:id/register", NULL, put_register, NULL, "an agent registers its node"},
    {ROUTE_PUT | ROUTE_SERVER | ROUTE_ALWAYS, "/v1/internal/node/:id/heartbeat", NULL, put_heartbeat, NULL, "a node is alive"},
    {ROUTE_GET | ROUTE_SERVER | ROUTE_BLOCKING, "/v1/internal/node/:id/work", get_work, NULL, NULL, "what a node should run"},
    {ROUTE_GET, "/v1/internal/node/:id/alive", get_alive, NULL, NULL, "whether this agent is that node"},
    {ROUTE_PUT | ROUTE_SERVER, "/v1/internal/node/:id/allocs", NULL, put_allocs, NULL, "what a node observes of its allocations"},
    {.pattern = NULL},
};
