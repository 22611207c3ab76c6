/*
 * api_servers: the servers: who they are, who leads, how far each has read the log. There is no Raft here; its routes
 * answer for the journal that the servers share, because scripts ask there.
 */
#include <errno.h>

#include <jansson.h>

#include "base/json.h"
#include "daemon/api_servers.h"
#include "daemon/daemon.h"
#include "daemon/peer.h"
#include "daemon/proxy.h"
#include "daemon/server.h"
#include "discovery/fetch.h"
#include "discovery/server_address.h"

#define ASK_TIMEOUT (1500 * MILLI) /* for what another server says of itself */
#define MAX_ASKED   64
#define GOSSIP_PORT 4648

/* ---- members ---- */

void api_put_member(struct jwriter *w, const struct member *m)
{
	const char *colon = strrchr(m->address, ':');
	cleanup_free char *host = xstrndup(m->address, (size_t)(colon - m->address));
	cleanup_free char *name = xasprintf("%s.%s", m->name, m->region);
	cleanup_free char *expect = xasprintf("%lld", (long long)m->expect);

	jw_begin(w, '{');
	jw_str(w, "Addr", host);
	jw_int(w, "DelegateCur", 4);
	jw_int(w, "DelegateMax", 5);
	jw_int(w, "DelegateMin", 2);
	jw_str(w, "Name", name);
	jw_int(w, "Port", atoi(colon + 1));
	jw_int(w, "ProtocolCur", 2);
	jw_int(w, "ProtocolMax", 5);
	jw_int(w, "ProtocolMin", 1);
	jw_str(w, "Status", m->status);
	jw_object(w, "Tags");
	if (m->expect == 1)
		jw_str(w, "bootstrap", "1");
	jw_str(w, "build", m->version);
	jw_str(w, "dc", m->datacenter);
	jw_str(w, "expect", expect);
	jw_str(w, "id", m->id);
	jw_str(w, "port", colon + 1);
	jw_str(w, "region", m->region);
	jw_str(w, "role", "drover");
	jw_str(w, "rpc_addr", host);
	jw_end(w, '}');
	jw_end(w, '}');
}

static void get_members(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct member *list;
	uint32_t n;

	members_list(d->members, call_arena(c), &list, &n);
	if (!n && !d->server) {
		proxy_to_server(c);
		return;
	}
	jw_begin(&w, '{');
	jw_list(&w, "Members");
	for (uint32_t i = 0; i < n; i++) {
		jw_item(&w);
		api_put_member(&w, &list[i]);
	}
	jw_end(&w, ']');
	jw_str(&w, "ServerDC", d->config->datacenter);
	jw_str(&w, "ServerName", d->config->name);
	jw_str(&w, "ServerRegion", d->config->region);
	jw_end(&w, '}');
	call_json(c, 200);
}

/* "host:port" */
static const char *leader_address(const struct daemon *d)
{
	const char *server = d->link ? d->link->ops->server(d->link) : NULL;

	if (d->server)
		return server_leader(d->server);
	return server ? server_address_bare(server) : "";
}

static void get_leader(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	const char *leader = leader_address(d), *why = d->server ? server_trouble(d->server) : "";

	if (!*leader) {
		call_error(c, 500, "No cluster leader%s%s", *why ? ": " : "", why);
		return;
	}
	json_put_str(call_out(c), leader);
	call_json(c, 200);
}

static void get_peers(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct member *list;
	uint32_t n;

	members_list(d->members, call_arena(c), &list, &n);
	jw_begin(&w, '[');
	for (uint32_t i = 0; i < n; i++)
		if (str_eq(list[i].status, "alive")) {
			jw_item(&w);
			json_put_str(w.b, list[i].address);
		}
	if (!n && *leader_address(d)) {
		jw_item(&w);
		json_put_str(w.b, leader_address(d));
	}
	jw_end(&w, ']');
	call_json(c, 200);
}

static void get_regions(struct call *c)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '[');
	jw_item(&w);
	json_put_str(w.b, call_daemon(c)->config->region);
	jw_end(&w, ']');
	call_json(c, 200);
}

/* Only servers are members. */
static bool is_member(struct call *c)
{
	if (call_daemon(c)->server)
		return true;
	call_error(c, 501, "Invalid method");
	return false;
}

/* Whether an address as people write it means this member: its host, and its port when that is given and is not the one
 * of Nomad's own gossip, which old scripts name. */
static bool is_at(const struct member *m, const char *text)
{
	struct server_address given, its;

	return server_address_read(text, false, &given, NULL) == 0 && server_address_read(m->address, false, &its, NULL) == 0 &&
	    str_eq(given.host, its.host) && (given.port == its.port || given.port == SERVER_PORT || given.port == GOSSIP_PORT);
}

/* Servers that share a journal have found each other, or will: joining is to see that it is so. */
static void put_join(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	bool shared = d->server && server_replica(d->server);
	const char *addresses[MAX_ASKED], *error = "";
	uint32_t n_addresses = call_query_all(c, "address", addresses, ARRAY_LEN(addresses)), n = 0, joined = 0;
	struct member *list;

	if (!is_member(c))
		return;
	if (shared)
		members_list(d->members, call_arena(c), &list, &n);
	for (uint32_t i = 0; i < n_addresses; i++) {
		bool found = false;

		for (uint32_t k = 0; k < n && !found; k++)
			found = str_eq(list[k].status, "alive") && is_at(&list[k], addresses[i]);
		joined += found;
	}
	if (!shared)
		error = "this server keeps its journal by itself and cannot join others";
	else if (!joined)
		error = "servers with one journal in Consul find each other there, and none of these is among them (see drover server members)";
	jw_begin(&w, '{');
	jw_str(&w, "error", error);
	if (shared)
		jw_str(&w, "note", "servers with one journal in Consul find each other there; there was nothing to do");
	jw_int(&w, "num_joined", joined);
	jw_end(&w, '}');
	call_json(c, 200);
}

/* ---- forgetting one ---- */

struct forgetting {
	struct call *call; /* NULL once the peer is gone */
};

static void on_forget_closed(void *arg)
{
	((struct forgetting *)arg)->call = NULL;
}

static void answer_forgotten(struct call *c, const struct err *e)
{
	const char *text = e->code ? err_str(e) : "";

	call_set_stream_header(c, e->code ? 500 : 200, e->code ? "text/plain; charset=utf-8" : NULL);
	if (*text)
		call_stream_put(c, text, strlen(text));
	call_stream_end(c);
}

static void on_forgotten(void *arg, const struct err *e)
{
	struct forgetting *f = arg;

	if (f->call)
		answer_forgotten(f->call, e);
	free(f);
}

static void put_force_leave(struct call *c)
{
	const char *name = call_query(c, "node");
	cleanup_err struct err e = ERR_INIT;
	struct forgetting *f;

	if (!is_member(c))
		return;
	if (str_empty(name)) {
		call_error(c, 400, "missing node to force leave");
		return;
	}
	f = xcalloc(1, sizeof(*f));
	if (members_forget(call_daemon(c)->members, name, on_forgotten, f, &e) < 0) {
		free(f);
		if (e.code == -ENOENT) /* forgotten already, which is what is wanted */
			call_none(c, 200);
		else
			call_error(c, 500, "%s", err_str(&e));
		return;
	}
	f->call = c;
	call_stream_hold(c, on_forget_closed, f);
}

/* Servers come and go by themselves: one that is alive stays, one that has failed is forgotten by force-leave. */
static void delete_peer(struct call *c)
{
	const char *id = call_query(c, "id"), *address = call_query(c, "address");
	struct member *list;
	uint32_t n;

	if (str_empty(id) && str_empty(address)) {
		call_error(c, 400, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove");
		return;
	}
	if (!str_empty(id) && !str_empty(address)) {
		call_error(c, 400, "Must specify only one of ?id or ?address");
		return;
	}
	members_list(call_daemon(c)->members, call_arena(c), &list, &n);
	for (uint32_t i = 0; i < n; i++) {
		if (!str_eq(id, list[i].id) && !str_eq(address, list[i].address))
			continue;
		call_error(c, 500, "server %s is %s: stop it, or when it has failed make it leave by force", list[i].name, list[i].status);
		return;
	}
	call_error(c, 500, "%s \"%s\" was not found in the Raft configuration", str_empty(id) ? "address" : "id",
	    str_empty(id) ? address : id);
}

/* ---- how far each has read ---- */

/* What a server says of itself. */
static void get_server(struct call *c)
{
	const struct server *s = call_daemon(c)->server;
	struct core *core = server_core(s);
	struct replica *r = server_replica(s);
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	jw_int(&w, "CommitIndex", (int64_t)core_committed(core));
	jw_int(&w, "LastContact", server_last_contact(s) / MILLI);
	jw_str(&w, "State", r ? replica_state_names[replica_state(r)] : "leading");
	jw_str(&w, "Trouble", server_trouble(s));
	jw_end(&w, '}');
	call_json(c, 200);
}

struct peer { /* one that is asked */
	struct survey *survey;
	struct member member;
	struct fetch *fetch; /* NULL: it has answered, or is this server */
	const char *state, *trouble;
	int64_t index, contact; /* -1 = unknown */
};

struct survey {
	struct call *call;
	struct arena *arena;
	struct peer *peers;
	uint32_t n, waiting;
};

static void survey_free(struct survey *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		fetch_cancel(s->peers[i].fetch);
	arena_free(s->arena);
	free(s);
}

static void on_survey_closed(void *arg)
{
	survey_free(arg);
}

static bool is_leader(const struct survey *s, const struct member *m)
{
	return str_eq(m->address, leader_address(call_daemon(s->call)));
}

static void put_peer(struct jwriter *w, const struct survey *s, const struct peer *p, int64_t head)
{
	cleanup_free char *name = xasprintf("%s.%s", p->member.name, p->member.region);

	jw_begin(w, '{');
	jw_str(w, "Address", p->member.address);
	jw_str(w, "ID", p->member.id);
	jw_int(w, "Lag", p->index < 0 || head < 0 ? -1 : MAX(0, head - p->index));
	jw_int(w, "LastContact", p->contact);
	jw_int(w, "LastIndex", p->index);
	jw_bool(w, "Leader", is_leader(s, &p->member));
	jw_str(w, "Node", name);
	jw_str(w, "RaftProtocol", "");
	jw_str(w, "State", p->state);
	jw_str(w, "Trouble", p->trouble);
	jw_bool(w, "Voter", true);
	jw_end(w, '}');
}

static void finish_survey(struct survey *s)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct jwriter w = jw_new(&b, call_indent(s->call));
	struct call *c = s->call;
	int64_t head = -1;

	for (uint32_t i = 0; i < s->n; i++)
		head = MAX(head, s->peers[i].index);
	jw_begin(&w, '{');
	jw_int(&w, "Index", MAX(head, 0));
	jw_list(&w, "Servers");
	for (uint32_t i = 0; i < s->n; i++) {
		jw_item(&w);
		put_peer(&w, s, &s->peers[i], head);
	}
	jw_end(&w, ']');
	jw_end(&w, '}');
	call_set_stream_header(c, 200, "application/json");
	call_stream_put(c, b.data, b.len);
	call_stream_end(c); /* frees the survey */
}

static void on_peer(void *arg, struct fetch_answer *answer)
{
	struct peer *p = arg;
	struct survey *s = p->survey;
	json_t *j = answer->status == 200 ? json_loadb(answer->body.data, answer->body.len, 0, NULL) : NULL;

	p->fetch = NULL;
	if (j) {
		const char *state = json_string_value(json_object_get(j, "State"));
		const char *trouble = json_string_value(json_object_get(j, "Trouble"));

		p->state = arena_strdup(s->arena, state ? state : "");
		p->trouble = arena_strdup(s->arena, trouble ? trouble : "");
		p->index = json_integer_value(json_object_get(j, "CommitIndex"));
		p->contact = json_integer_value(json_object_get(j, "LastContact"));
		json_decref(j);
	} else {
		p->trouble = answer->err.code ? arena_strdup(s->arena, err_str(&answer->err)) : "it answers something else";
	}
	if (--s->waiting == 0)
		finish_survey(s);
}

static void ask_peer(struct survey *s, struct peer *p)
{
	const struct daemon *d = call_daemon(s->call);
	const struct fetch_tls tls = peer_tls(d->config);
	const struct fetch_request r = {
	    .url = arena_printf(s->arena, "%s/v1/internal/server", peer_url(d->config, s->arena, p->member.address)),
	    .tls = &tls,
	    .timeout = ASK_TIMEOUT,
	};

	p->survey = s;
	p->state = "unknown";
	p->trouble = "";
	p->index = p->contact = -1;
	if (p->member.self) {
		struct replica *replica = server_replica(d->server);

		p->state = replica ? replica_state_names[replica_state(replica)] : "leading";
		p->trouble = arena_strdup(s->arena, server_trouble(d->server));
		p->index = (int64_t)core_committed(server_core(d->server));
		p->contact = server_last_contact(d->server) / MILLI;
		return;
	}
	s->waiting++;
	p->fetch = fetch_start(d->fetcher, &r, on_peer, p);
}

static void get_raft(struct call *c)
{
	struct survey *s = xcalloc(1, sizeof(*s));
	struct member *list;
	uint32_t n;

	s->call = c;
	s->arena = arena_new();
	members_list(call_daemon(c)->members, s->arena, &list, &n);
	s->n = MIN(n, (uint32_t)MAX_ASKED);
	s->peers = arena_alloc(s->arena, (s->n + 1) * sizeof(*s->peers));
	call_stream_hold(c, on_survey_closed, s);
	for (uint32_t i = 0; i < s->n; i++) {
		s->peers[i].member = list[i];
		ask_peer(s, &s->peers[i]);
	}
	if (!s->waiting)
		finish_survey(s);
}

const struct route routes_servers[] = {
    {ROUTE_GET, "/v1/agent/members", get_members, NULL, NULL, "the servers"},
    {ROUTE_PUT, "/v1/agent/join", NULL, put_join, NULL, "join servers"},
    {ROUTE_PUT, "/v1/agent/force-leave", NULL, put_force_leave, NULL, "forget a server that has failed: node="},
    {ROUTE_GET, "/v1/status/leader", get_leader, NULL, NULL, "address of the leader"},
    {ROUTE_GET, "/v1/status/peers", get_peers, NULL, NULL, "addresses of the servers"},
    {ROUTE_GET, "/v1/regions", get_regions, NULL, NULL, "known regions"},
    {ROUTE_GET | ROUTE_SERVER | ROUTE_LOCAL, "/v1/internal/server", get_server, NULL, NULL, "how far this server has read the log"},
    {ROUTE_GET | ROUTE_SERVER | ROUTE_LOCAL, "/v1/operator/raft/configuration", get_raft, NULL, NULL,
        "the servers that share the journal, and how far each has read it"},
    {ROUTE_DELETE | ROUTE_SERVER | ROUTE_LOCAL, "/v1/operator/raft/peer", NULL, NULL, delete_peer, "remove a server: id= or address="},
    {.pattern = NULL},
};
