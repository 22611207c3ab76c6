/*
 * api_agent: the agent about itself: configuration (never a token), statistics, health, the servers that its client knows.
 */
#include <errno.h>
#include <sys/utsname.h>

#include "agent/link_http.h"
#include "base/clock.h"
#include "base/json.h"
#include "daemon/api_servers.h"
#include "daemon/daemon.h"
#include "daemon/jwriter.h"
#include "daemon/monitor.h"
#include "daemon/proxy.h"
#include "daemon/server.h"
#include "discovery/server_address.h"

/* Who answers for this agent: the leader, or the server that its client talks to. NULL: nobody. */
static const char *server_address(const struct daemon *d)
{
	if (d->server && *server_leader(d->server))
		return server_leader(d->server);
	return d->link ? d->link->ops->server(d->link) : NULL;
}

static const char *redacted(const char *secret)
{
	return str_empty(secret) ? "" : "<redacted>";
}

static void put_duration(struct jwriter *w, const char *key, int64_t v)
{
	char text[DURATION_STR];

	jw_str(w, key, duration_format(v, text));
}

static void put_map(struct jwriter *w, const char *key, const struct strmap *m)
{
	jw_object(w, key);
	for (uint32_t i = 0; i < m->n; i++)
		jw_str(w, m->v[i].key, m->v[i].value);
	jw_end(w, '}');
}

static void put_strs(struct jwriter *w, const char *key, const struct strs *l)
{
	jw_list(w, key);
	for (uint32_t i = 0; i < l->n; i++) {
		jw_item(w);
		json_put_str(w->b, l->v[i]);
	}
	jw_end(w, ']');
}

static void put_client_config(struct jwriter *w, const struct config *c)
{
	jw_object(w, "Client");
	jw_str(w, "AllocDir", c->client.alloc_dir);
	jw_str(w, "CgroupParent", c->client.cgroup_parent);
	jw_int(w, "CpuCompute", c->client.cpu_total_compute);
	jw_bool(w, "Enabled", c->client.enabled);
	jw_double(w, "GCDiskUsageThreshold", c->client.gc_disk_usage_threshold);
	jw_double(w, "GCInodeUsageThreshold", c->client.gc_inode_usage_threshold);
	jw_int(w, "GCInterval", c->client.gc_interval);
	jw_int(w, "GCMaxAllocs", c->client.gc_max_allocs);
	jw_int(w, "MaxDynamicPort", c->client.max_dynamic_port);
	put_duration(w, "MaxKillTimeout", c->client.max_kill_timeout);
	jw_int(w, "MemoryMB", c->client.memory_total_mb);
	put_map(w, "Meta", &c->client.meta);
	jw_int(w, "MinDynamicPort", c->client.min_dynamic_port);
	jw_str(w, "NetworkInterface", c->client.network_interface);
	jw_str(w, "NodeClass", c->client.node_class);
	jw_str(w, "NodePool", c->client.node_pool);
	put_map(w, "Options", &c->client.options);
	jw_object(w, "Reserved");
	jw_int(w, "CPU", c->client.reserved_cpu);
	jw_int(w, "DiskMB", c->client.reserved_disk);
	jw_int(w, "MemoryMB", c->client.reserved_memory);
	jw_str(w, "ReservedPorts", c->client.reserved_ports);
	jw_end(w, '}');
	put_strs(w, "Servers", &c->client.servers);
	jw_str(w, "StateDir", c->client.state_dir);
	jw_end(w, '}');
}

static void put_server_config(struct jwriter *w, const struct config *c)
{
	jw_object(w, "Server");
	put_duration(w, "BatchEvalGCThreshold", c->server.batch_eval_gc_threshold);
	jw_int(w, "BootstrapExpect", c->server.bootstrap_expect);
	put_duration(w, "DeploymentGCThreshold", c->server.deployment_gc_threshold);
	jw_bool(w, "Enabled", c->server.enabled);
	put_duration(w, "EvalGCThreshold", c->server.eval_gc_threshold);
	jw_int(w, "FailoverHeartbeatTTL", c->server.failover_heartbeat_ttl);
	jw_int(w, "HeartbeatGrace", c->server.heartbeat_grace);
	jw_int(w, "JobDefaultPriority", c->server.job_default_priority);
	put_duration(w, "JobGCInterval", c->server.job_gc_interval);
	put_duration(w, "JobGCThreshold", c->server.job_gc_threshold);
	jw_int(w, "JobMaxCount", c->server.job_max_count);
	jw_int(w, "JobMaxPriority", c->server.job_max_priority);
	jw_str(w, "Journal", c->server.journal);
	jw_double(w, "MaxHeartbeatsPerSecond", c->server.max_heartbeats_per_second);
	jw_int(w, "MinHeartbeatTTL", c->server.min_heartbeat_ttl);
	put_duration(w, "NodeGCThreshold", c->server.node_gc_threshold);
	jw_int(w, "WitnessGrace", c->server.witness_grace);
	jw_end(w, '}');
}

static void put_consul_config(struct jwriter *w, const struct config *c)
{
	jw_object(w, "Consul");
	jw_str(w, "Addr", c->consul.address);
	jw_bool(w, "AutoAdvertise", c->consul.auto_advertise);
	jw_bool(w, "ClientAutoJoin", c->consul.client_auto_join);
	jw_str(w, "ClientServiceName", c->consul.client_service_name);
	jw_bool(w, "ServerAutoJoin", c->consul.server_auto_join);
	jw_str(w, "ServerServiceName", c->consul.server_service_name);
	jw_str(w, "Token", redacted(c->consul.token));
	jw_end(w, '}');
}

static void put_config(struct jwriter *w, const struct config *c)
{
	char http[300];

	snprintf(http, sizeof(http), "%.255s", c->advertise_http);
	jw_object(w, "config");
	jw_object(w, "ACL");
	jw_bool(w, "Enabled", false);
	jw_end(w, '}');
	jw_object(w, "Addresses");
	jw_str(w, "HTTP", c->bind_addr);
	jw_end(w, '}');
	jw_object(w, "AdvertiseAddrs");
	jw_str(w, "HTTP", http);
	jw_end(w, '}');
	jw_str(w, "BindAddr", c->bind_addr);
	put_client_config(w, c);
	put_consul_config(w, c);
	jw_str(w, "DataDir", c->data_dir);
	jw_str(w, "Datacenter", c->datacenter);
	jw_bool(w, "DevMode", c->dev);
	put_strs(w, "Files", &c->files);
	jw_bool(w, "LeaveOnInt", c->leave_on_interrupt);
	jw_bool(w, "LeaveOnTerm", c->leave_on_terminate);
	jw_object(w, "Limits");
	jw_int(w, "HTTPMaxConnsPerClient", c->limits.http_max_conns_per_client);
	jw_end(w, '}');
	jw_bool(w, "LogJson", c->log_json);
	jw_str(w, "LogLevel", log_level_name(c->log_level));
	jw_str(w, "NodeName", c->name);
	jw_object(w, "Ports");
	jw_int(w, "HTTP", c->http_port);
	jw_end(w, '}');
	jw_str(w, "Region", c->region);
	put_server_config(w, c);
	jw_object(w, "Telemetry");
	jw_bool(w, "PrometheusMetrics", c->prometheus_metrics);
	jw_end(w, '}');
	jw_object(w, "Version");
	jw_str(w, "Revision", "");
	jw_str(w, "Version", DROVER_VERSION);
	jw_str(w, "VersionMetadata", "");
	jw_str(w, "VersionPrerelease", "");
	jw_end(w, '}');
	jw_end(w, '}');
}

/* A client is no member; the same fields, empty. */
static void put_no_member(struct jwriter *w)
{
	jw_begin(w, '{');
	jw_key(w, "Addr");
	buf_puts(w->b, "null");
	jw_int(w, "DelegateCur", 0);
	jw_int(w, "DelegateMax", 0);
	jw_int(w, "DelegateMin", 0);
	jw_str(w, "Name", "");
	jw_int(w, "Port", 0);
	jw_int(w, "ProtocolCur", 0);
	jw_int(w, "ProtocolMax", 0);
	jw_int(w, "ProtocolMin", 0);
	jw_str(w, "Status", "none");
	jw_key(w, "Tags");
	buf_puts(w->b, "null");
	jw_end(w, '}');
}

static void jw_count(struct jwriter *w, const char *key, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	jw_str(w, key, text);
}

/* A client in the same process as a server that always leads needs no list. */
static bool has_list(const struct daemon *d)
{
	return d->link && !(d->server && !server_replica(d->server));
}

static const char *known_servers(const struct daemon *d, struct arena *a, const char *only)
{
	const char *out = "";
	struct strs list = {0};

	if (!has_list(d))
		return only;
	link_http_servers(d->link, a, &list);
	for (uint32_t i = 0; i < list.n; i++)
		out = arena_printf(a, "%s%s%s", out, i ? "," : "", list.v[i]);
	return out;
}

static void put_client_stats(struct jwriter *w, const struct daemon *d)
{
	cleanup_arena struct arena *a = arena_new();
	struct client_stats s;
	char text[DURATION_STR];

	client_stats(d->client, &s);
	jw_object(w, "client");
	jw_str(w, "heartbeat_ttl", duration_format(s.heartbeat_ttl, text));
	jw_str(w, "known_servers", known_servers(d, a, s.server));
	jw_str(w, "last_heartbeat", s.last_heartbeat ? duration_format(clock_now() - s.last_heartbeat, text) : "never");
	jw_str(w, "node_id", client_node_id(d->client));
	jw_count(w, "num_allocations", s.allocs);
	jw_end(w, '}');
}

static void put_journal_stats(struct jwriter *w, const struct daemon *d)
{
	struct core *core = server_core(d->server);
	struct server_stats st;
	struct core_stats cs;

	server_stats(d->server, &st);
	core_stats(core, &cs);
	jw_object(w, "journal");
	jw_count(w, "applied_index", core_state(core)->index);
	jw_count(w, "commit_index", core_committed(core));
	jw_count(w, "commits", st.commits);
	jw_count(w, "entries", cs.journal_entries);
	jw_str(w, "kind", d->config->server.journal);
	jw_count(w, "snapshots", cs.snapshots);
	jw_end(w, '}');
}

static void put_stats(struct jwriter *w, const struct daemon *d)
{
	const char *leader = server_address(d);
	struct utsname u;

	if (uname(&u) < 0)
		memset(&u, 0, sizeof(u));
	jw_object(w, "stats");
	if (d->client)
		put_client_stats(w, d);
	if (d->server)
		put_journal_stats(w, d);
	jw_object(w, "nomad");
	jw_str(w, "bootstrap", d->server ? "true" : "false");
	jw_str(w, "known_regions", "1");
	jw_str(w, "leader", d->server && server_leads(d->server) ? "true" : "false");
	jw_str(w, "leader_addr", leader ? server_address_bare(leader) : "");
	jw_str(w, "server", d->server ? "true" : "false");
	jw_end(w, '}');
	jw_object(w, "runtime");
	jw_str(w, "arch", str_eq(u.machine, "x86_64") ? "amd64" : str_eq(u.machine, "aarch64") ? "arm64" : u.machine);
	jw_count(w, "cpu_count", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	jw_str(w, "kernel.name", "linux");
	jw_str(w, "version", "drover " DROVER_VERSION);
	jw_end(w, '}');
	jw_end(w, '}');
}

static void put_self(struct jwriter *w, const struct daemon *d, struct arena *a)
{
	struct member *list, only = {
	    .name = d->config->name,
	    .id = d->id_text,
	    .address = d->config->advertise_http,
	    .region = d->config->region,
	    .datacenter = d->config->datacenter,
	    .version = DROVER_VERSION,
	    .status = "alive",
	};
	uint32_t n;

	if (!d->server) {
		put_no_member(w);
		return;
	}
	members_list(d->members, a, &list, &n);
	for (uint32_t i = 0; i < n; i++)
		if (list[i].self)
			only = list[i];
	api_put_member(w, &only);
}

static void get_self(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	put_config(&w, d->config);
	jw_key(&w, "member");
	put_self(&w, d, call_arena(c));
	put_stats(&w, d);
	jw_end(&w, '}');
	call_json(c, 200);
}

/* A role is reported when it was asked for, or when nothing was and this agent has it. */
static bool put_health(struct jwriter *w, const struct call *c, const char *role, const char *trouble)
{
	const char *types[8];
	uint32_t n = call_query_all(c, "type", types, ARRAY_LEN(types));
	bool asked = false, has = strcmp(role, "server") == 0 ? call_daemon(c)->server != NULL : call_daemon(c)->client != NULL;

	for (uint32_t i = 0; i < n; i++)
		asked |= str_eq(types[i], role);
	if (n ? !asked : !has)
		return true;
	if (!has)
		trouble = arena_printf(call_arena(c), "%s not enabled", role);
	jw_object(w, role);
	jw_str(w, "message", trouble ? trouble : "ok");
	jw_bool(w, "ok", !trouble);
	jw_end(w, '}');
	return !trouble;
}

/* What keeps the server from its work; NULL when nothing does. */
static const char *server_health(const struct server *s, struct err *e)
{
	if (server_leads(s))
		return server_check(s, true, e) < 0 || core_check_room(server_core(s), e) < 0 ? err_str(e) : NULL;
	if (!server_is_read(s) || !*server_leader(s))
		return *server_trouble(s) ? server_trouble(s) : "no cluster leader";
	return NULL;
}

/* The same of the client. */
static const char *client_health(const struct daemon *d)
{
	struct client_stats s = {0};

	if (!d->client)
		return NULL;
	client_stats(d->client, &s);
	return s.server ? NULL : s.waiting_for ? s.waiting_for : "no server has answered yet";
}

static void get_health(struct call *c)
{
	cleanup_err struct err e = ERR_INIT;
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	bool ok;

	jw_begin(&w, '{');
	ok = put_health(&w, c, "client", client_health(d));
	ok &= put_health(&w, c, "server", d->server ? server_health(d->server, &e) : NULL);
	jw_end(&w, '}');
	if (ok)
		call_json(c, 200);
	else
		call_body_as(c, 500, "text/plain; charset=utf-8");
}

/* ---- the servers that the client of this agent knows ---- */

static void get_servers(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct strs list = {0};

	if (has_list(d))
		link_http_servers(d->link, call_arena(c), &list);
	else if (d->server)
		strs_push(call_arena(c), &list, d->config->advertise_http);
	jw_begin(&w, '[');
	for (uint32_t i = 0; i < list.n; i++) {
		jw_item(&w);
		json_put_str(w.b, list.v[i]);
	}
	jw_end(&w, ']');
	call_json(c, 200);
}

static void put_servers(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	const char *addresses[32];
	uint32_t n = call_query_all(c, "address", addresses, ARRAY_LEN(addresses));
	cleanup_err struct err e = ERR_INIT;
	struct strs list = {0};

	if (!n) {
		call_error(c, 400, "missing server address");
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		strs_push(call_arena(c), &list, addresses[i]);
	if (has_list(d) && link_http_set_servers(d->link, &list, &e) < 0)
		call_error(c, 400, "%s", err_str(&e));
	else /* without a list the client talks to its own server, whatever is said */
		call_none(c, 200);
}

static void put_source(struct jwriter *w, const struct source *x)
{
	jw_begin(w, '{');
	jw_str(w, "Error", x->error);
	jw_int(w, "LastResult", x->at);
	jw_str(w, "Name", x->name);
	jw_str(w, "Off", x->off);
	jw_list(w, "Servers");
	for (uint32_t i = 0; i < x->n; i++) {
		jw_item(w);
		json_put_str(w->b, x->heard[i].address);
	}
	jw_end(w, ']');
	jw_str(w, "Where", x->where);
	jw_end(w, '}');
}

static void put_known_server(struct jwriter *w, const struct server *x, const struct sources *from, bool present)
{
	jw_begin(w, '{');
	jw_str(w, "Address", x->address);
	jw_str(w, "Error", x->error);
	jw_int(w, "LastAnswer", x->answered);
	jw_int(w, "LastFailure", x->failed);
	jw_bool(w, "Present", present);
	jw_list(w, "Sources");
	for (uint32_t i = 0; i < sources_count(from); i++) {
		const struct source *source = sources_at(from, i);

		for (uint32_t k = 0; k < source->n; k++) {
			if (!str_eq(source->heard[k].address, x->address))
				continue;
			jw_item(w);
			json_put_str(w->b, source->name);
		}
	}
	jw_end(w, ']');
	jw_end(w, '}');
}

static void put_list(struct jwriter *w, const struct daemon *d)
{
	const struct sources *from = link_http_sources(d->link);
	const struct servers *list = link_http_list(d->link);

	jw_list(w, "Servers");
	for (uint32_t i = 0; i < servers_count(list); i++) {
		jw_item(w);
		put_known_server(w, servers_at(list, i), from, servers_at(list, i) == servers_present(list));
	}
	jw_end(w, ']');
	jw_list(w, "Sources");
	for (uint32_t i = 0; i < sources_count(from); i++) {
		jw_item(w);
		put_source(w, sources_at(from, i));
	}
	jw_end(w, ']');
}

/* Where the client of this agent hears of servers, what came of it, and whom it asks. */
static void get_client_servers(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct client_stats s;

	if (!d->client) {
		call_error(c, 501, "this agent has no client role: it needs no servers");
		return;
	}
	client_stats(d->client, &s);
	jw_begin(&w, '{');
	jw_int(&w, "HeartbeatTTL", s.heartbeat_ttl);
	jw_bool(&w, "InProcess", !has_list(d));
	jw_int(&w, "LastHeartbeat", s.last_heartbeat);
	jw_str(&w, "Server", s.server);
	if (has_list(d))
		put_list(&w, d);
	jw_str(&w, "WaitingFor", s.waiting_for);
	jw_end(&w, '}');
	call_json(c, 200);
}

const struct route routes_agent[] = {
    {ROUTE_GET, "/v1/agent/self", get_self, NULL, NULL, "configuration, member and statistics of this agent"},
    {ROUTE_GET, "/v1/agent/health", get_health, NULL, NULL, "200 when the roles asked for (type=) work, else 500"},
    {ROUTE_GET | ROUTE_PUT, "/v1/agent/servers", get_servers, put_servers, NULL, "the servers that the client knows; set by hand whom it asks first: address="},
    {ROUTE_GET, "/v1/client/servers", get_client_servers, NULL, NULL, "where the client hears of servers, what came of it, and whom it asks"},
    {ROUTE_GET, "/v1/agent/monitor", monitor_get, NULL, NULL, "the log as it is written: log_level=, log_json=, node_id=, server_id=, plain="},
    {.pattern = NULL},
};
