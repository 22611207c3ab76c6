/*
 * api_agent: the agent about itself: configuration (never a token), members, health, servers, the leader. There is one
 * server in this version, so it is the leader and the only member.
 */
#include <errno.h>
#include <sys/utsname.h>

#include "agent/link_http.h"
#include "base/clock.h"
#include "base/json.h"
#include "daemon/daemon.h"
#include "daemon/jwriter.h"
#include "daemon/monitor.h"
#include "daemon/server.h"

static const char *server_address(const struct daemon *d)
{
	if (d->server)
		return d->config->advertise_http;
	return d->link ? d->link->ops->server(d->link) : NULL;
}

static const char *redacted(const char *secret)
{
	return str_empty(secret) ? "" : "<redacted>";
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
	jw_int(w, "MaxKillTimeout", c->client.max_kill_timeout);
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
	jw_int(w, "BatchEvalGCThreshold", c->server.batch_eval_gc_threshold);
	jw_int(w, "BootstrapExpect", c->server.bootstrap_expect);
	jw_int(w, "DeploymentGCThreshold", c->server.deployment_gc_threshold);
	jw_bool(w, "Enabled", c->server.enabled);
	jw_int(w, "EvalGCThreshold", c->server.eval_gc_threshold);
	jw_int(w, "FailoverHeartbeatTTL", c->server.failover_heartbeat_ttl);
	jw_int(w, "HeartbeatGrace", c->server.heartbeat_grace);
	jw_int(w, "JobDefaultPriority", c->server.job_default_priority);
	jw_int(w, "JobGCInterval", c->server.job_gc_interval);
	jw_int(w, "JobGCThreshold", c->server.job_gc_threshold);
	jw_int(w, "JobMaxCount", c->server.job_max_count);
	jw_int(w, "JobMaxPriority", c->server.job_max_priority);
	jw_str(w, "Journal", c->server.journal);
	jw_double(w, "MaxHeartbeatsPerSecond", c->server.max_heartbeats_per_second);
	jw_int(w, "MinHeartbeatTTL", c->server.min_heartbeat_ttl);
	jw_int(w, "NodeGCThreshold", c->server.node_gc_threshold);
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
	jw_str(w, "Version", DROVER_VERSION);
	jw_end(w, '}');
	jw_end(w, '}');
}

static void put_member(struct jwriter *w, const struct daemon *d)
{
	const struct config *c = d->config;
	const char *colon = strrchr(c->advertise_http, ':');
	char host[256], name[512], id[UUID_STR] = "";

	snprintf(host, sizeof(host), "%.*s", (int)(colon - c->advertise_http), c->advertise_http);
	snprintf(name, sizeof(name), "%s.%s", c->name, c->region);
	if (d->server)
		uuid_format(server_id(d->server), id);
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
	jw_str(w, "Status", "alive");
	jw_object(w, "Tags");
	jw_str(w, "bootstrap", "1");
	jw_str(w, "build", DROVER_VERSION);
	jw_str(w, "dc", c->datacenter);
	jw_str(w, "expect", "1");
	jw_str(w, "id", id);
	jw_str(w, "port", colon + 1);
	jw_str(w, "region", c->region);
	jw_str(w, "role", "drover");
	jw_str(w, "rpc_addr", host);
	jw_end(w, '}');
	jw_end(w, '}');
}

static void jw_count(struct jwriter *w, const char *key, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	jw_str(w, key, text);
}

static void put_client_stats(struct jwriter *w, const struct daemon *d)
{
	struct client_stats s;
	char text[DURATION_STR];

	client_stats(d->client, &s);
	jw_object(w, "client");
	jw_str(w, "heartbeat_ttl", duration_format(s.heartbeat_ttl, text));
	jw_str(w, "known_servers", s.server);
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
	jw_str(w, "leader", d->server ? "true" : "false");
	jw_str(w, "leader_addr", leader);
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

static void get_self(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	put_config(&w, d->config);
	jw_key(&w, "member");
	put_member(&w, d);
	put_stats(&w, d);
	jw_end(&w, '}');
	call_json(c, 200);
}

static void get_members(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	jw_list(&w, "Members");
	jw_item(&w);
	put_member(&w, d);
	jw_end(&w, ']');
	jw_str(&w, "ServerDC", d->config->datacenter);
	jw_str(&w, "ServerName", d->config->name);
	jw_str(&w, "ServerRegion", d->config->region);
	jw_end(&w, '}');
	call_json(c, 200);
}

static void put_health(struct jwriter *w, const char *role, const char *trouble)
{
	jw_object(w, role);
	jw_str(w, "message", trouble ? trouble : "ok");
	jw_bool(w, "ok", !trouble);
	jw_end(w, '}');
}

static void get_health(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	const char *types[8], *trouble = NULL;
	uint32_t n = call_query_all(c, "type", types, ARRAY_LEN(types));
	bool client = !n, server = !n;

	for (uint32_t i = 0; i < n; i++) {
		client |= str_eq(types[i], "client");
		server |= str_eq(types[i], "server");
	}
	jw_begin(&w, '{');
	if (client && d->client) {
		trouble = server_address(d) ? NULL : "no known servers";
		put_health(&w, "client", trouble);
	}
	if (server && d->server)
		put_health(&w, "server", NULL);
	jw_end(&w, '}');
	call_json(c, trouble ? 500 : 200);
}

static void get_servers(struct call *c)
{
	const struct daemon *d = call_daemon(c);
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct strs list = {0};

	if (d->server)
		strs_push(call_arena(c), &list, d->config->advertise_http);
	else if (d->link)
		link_http_servers(d->link, call_arena(c), &list);
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
	struct strs list = {0};

	if (!n) {
		call_error(c, 400, "missing server address");
		return;
	}
	if (d->server) { /* the client of this agent talks to its own server, whatever the list says */
		call_none(c, 200);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		strs_push(call_arena(c), &list, addresses[i]);
	link_http_set_servers(d->link, &list);
	call_none(c, 200);
}

static void put_join(struct call *c)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '{');
	jw_str(&w, "error", "this server keeps its journal by itself and cannot join others");
	jw_int(&w, "num_joined", 0);
	jw_end(&w, '}');
	call_json(c, 200);
}

static void put_force_leave(struct call *c)
{
	if (str_empty(call_query(c, "node")))
		call_error(c, 400, "missing node to force leave");
	else
		call_none(c, 200);
}

static void get_leader(struct call *c)
{
	const char *leader = server_address(call_daemon(c));

	if (!leader) {
		call_error(c, 500, "No cluster leader");
		return;
	}
	json_put_str(call_out(c), leader);
	call_json(c, 200);
}

static void put_one_item(struct call *c, const char *item)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	jw_begin(&w, '[');
	if (item) {
		jw_item(&w);
		json_put_str(w.b, item);
	}
	jw_end(&w, ']');
	call_json(c, 200);
}

static void get_peers(struct call *c)
{
	put_one_item(c, server_address(call_daemon(c)));
}

static void get_regions(struct call *c)
{
	put_one_item(c, call_daemon(c)->config->region);
}

const struct route routes_agent[] = {
    {ROUTE_GET, "/v1/agent/self", get_self, NULL, NULL, "configuration, member and statistics of this agent"},
    {ROUTE_GET, "/v1/agent/members", get_members, NULL, NULL, "the servers"},
    {ROUTE_GET, "/v1/agent/health", get_health, NULL, NULL, "200 when the roles asked for (type=) work, else 500"},
    {ROUTE_GET | ROUTE_PUT, "/v1/agent/servers", get_servers, put_servers, NULL, "the servers that the client knows; replace them"},
    {ROUTE_PUT, "/v1/agent/join", NULL, put_join, NULL, "join servers"},
    {ROUTE_PUT, "/v1/agent/force-leave", NULL, put_force_leave, NULL, "forget a member"},
    {ROUTE_GET, "/v1/agent/monitor", monitor_get, NULL, NULL, "the log as it is written: log_level=, log_json=, node_id=, server_id=, plain="},
    {ROUTE_GET, "/v1/status/leader", get_leader, NULL, NULL, "address of the leader"},
    {ROUTE_GET, "/v1/status/peers", get_peers, NULL, NULL, "addresses of the servers"},
    {ROUTE_GET, "/v1/regions", get_regions, NULL, NULL, "known regions"},
    {.pattern = NULL},
};
