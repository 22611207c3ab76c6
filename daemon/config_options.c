/*
 * config_options: the table, and how a value of each type is read from text.
 */
#include "daemon/config_options.h"

#include <errno.h>
#include <math.h>
#include <strings.h>

#include "base/clock.h"

#define O(sec, nm, ty, field, ...) \
	{.section = sec, .name = nm, .type = ty, .offset = offsetof(struct config, field), __VA_ARGS__}
#define PATH_HELP(what, below) what "; <data_dir>/" below " when left out"

const struct option config_options[] = {
    O("", "region", OPT_STR, region, .unset = "global", .help = "region that this agent belongs to"),
    O("", "datacenter", OPT_STR, datacenter, .unset = "dc1", .help = "datacenter of this agent"),
    O("", "name", OPT_STR, name, .example = "web-1", .help = "name of this agent; the host name when left out"),
    O("", "data_dir", OPT_STR, data_dir, .example = "/var/lib/drover", .help = "absolute path of the folder for everything that must survive a restart"),
    O("", "bind_addr", OPT_STR, bind_addr, .unset = "0.0.0.0", .help = "address to listen on; 127.0.0.1 with -dev"),
    O("", "log_level", OPT_LEVEL, log_level, .unset = "INFO", .live = true, .help = "TRACE, DEBUG, INFO, WARN or ERROR"),
    O("", "log_json", OPT_BOOL, log_json, .unset = "false", .live = true, .help = "one JSON object a line instead of text"),
    O("", "leave_on_interrupt", OPT_BOOL, leave_on_interrupt, .unset = "false", .help = "leave the cluster on SIGINT"),
    O("", "leave_on_terminate", OPT_BOOL, leave_on_terminate, .unset = "false", .help = "leave the cluster on SIGTERM"),
    O("ports", "http", OPT_INT32, http_port, .unset = "4646", .max = 65535, .help = "port of the HTTP API; 0 takes any free one"),
    O("advertise", "http", OPT_STR, advertise_http, .example = "10.0.0.5", .help = "address, or address:port, at which others reach this agent"),

    O("server", "enabled", OPT_BOOL, server.enabled, .unset = "false", .help = "take the server role"),
    O("server", "bootstrap_expect", OPT_INT32, server.bootstrap_expect, .unset = "1", .min = 1, .max = 9, .help = "number of servers"),
    O("server", "journal", OPT_STR, server.journal, .unset = "file", .help = "where the truth is kept: \"file\", \"memory\", or \"consul\" for several servers"),
    O("server", "journal_segment_size", OPT_INT, server.journal_segment_size, .unset = "67108864", .min = 65536, .max = 1e10, .help = "bytes that the file journal takes from the disk at a time"),
    O("server", "journal_snapshot_after", OPT_INT, server.journal_snapshot_after, .unset = "0", .min = 0, .max = 1e10, .help = "bytes of journal that are worth a snapshot, and at least as many as the last one had; 0: 64 MiB of a file, 8 MiB in Consul"),
    O("server", "heartbeat_grace", OPT_DUR, server.heartbeat_grace, .unset = "10s", .min = 0, .max = 86400, .help = "time beyond the TTL before a silent node is down"),
    O("server", "witness_grace", OPT_DUR, server.witness_grace, .unset = "2m", .min = 1, .max = 86400, .help = "time beyond the TTL before a silent node is down of which Consul or the node itself says that it lives"),
    O("server", "min_heartbeat_ttl", OPT_DUR, server.min_heartbeat_ttl, .unset = "10s", .min = 0.1, .max = 86400, .help = "shortest TTL between heartbeats"),
    O("server", "failover_heartbeat_ttl", OPT_DUR, server.failover_heartbeat_ttl, .unset = "5m", .min = 0.1, .max = 86400, .help = "a server that begins to lead waits for a node's first heartbeat at most so long; less when it was last seen long ago"),
    O("server", "max_heartbeats_per_second", OPT_DBL, server.max_heartbeats_per_second, .unset = "50", .min = 0.01, .max = 1000000, .help = "TTLs are lengthened so that nodes by TTL stay below this rate; a client beats three times within a TTL"),
    O("server", "node_gc_threshold", OPT_DUR, server.node_gc_threshold, .unset = "24h", .max = 3e8, .help = "a node that is down this long is forgotten"),
    O("server", "job_gc_interval", OPT_DUR, server.job_gc_interval, .unset = "5m", .min = 1, .max = 3e8, .help = "time between two collections"),
    O("server", "job_gc_threshold", OPT_DUR, server.job_gc_threshold, .unset = "4h", .max = 3e8, .help = "a dead job is forgotten after this time"),
    O("server", "eval_gc_threshold", OPT_DUR, server.eval_gc_threshold, .unset = "1h", .max = 3e8, .help = "the same for evaluations"),
    O("server", "batch_eval_gc_threshold", OPT_DUR, server.batch_eval_gc_threshold, .unset = "24h", .max = 3e8, .help = "the same for evaluations of batch jobs"),
    O("server", "deployment_gc_threshold", OPT_DUR, server.deployment_gc_threshold, .unset = "1h", .max = 3e8, .help = "the same for deployments"),
    O("server", "job_max_priority", OPT_INT, server.job_max_priority, .unset = "100", .min = 100, .max = 32766, .help = "highest priority a job may have"),
    O("server", "job_default_priority", OPT_INT, server.job_default_priority, .unset = "50", .min = 1, .max = 32766, .help = "priority of a job that names none"),
    O("server", "job_max_count", OPT_INT, server.job_max_count, .unset = "50000", .min = 1, .max = 1e7, .help = "most allocations that one job may ask for"),
    O("server", "max_pending_evals", OPT_INT, server.max_pending_evals, .unset = "1000000", .min = 1, .max = 1e9, .help = "registrations are refused while more evaluations wait"),

    O("client", "enabled", OPT_BOOL, client.enabled, .unset = "false", .help = "take the client role: run tasks"),
    O("client", "servers", OPT_LIST, client.servers, .example = "10.0.0.1:4646", .help = "servers: \"host:port\" or names, all addresses of which are used; not needed with a consul block"),
    O("client", "node_class", OPT_STR, client.node_class, .unset = "", .help = "class of this node, for constraints"),
    O("client", "node_pool", OPT_STR, client.node_pool, .unset = "default", .help = "pool that this node belongs to"),
    O("client", "alloc_dir", OPT_STR, client.alloc_dir, .example = "/var/lib/drover/alloc", .help = PATH_HELP("folders of allocations", "alloc")),
    O("client", "state_dir", OPT_STR, client.state_dir, .example = "/var/lib/drover/client", .help = PATH_HELP("what the client remembers", "client")),
    O("client", "network_interface", OPT_STR, client.network_interface, .example = "eth0", .help = "interface to fingerprint; that of the default route when left out"),
    O("client", "cgroup_parent", OPT_STR, client.cgroup_parent, .example = "drover", .help = "cgroup below which tasks get theirs"),
    O("client", "cpu_total_compute", OPT_INT, client.cpu_total_compute, .unset = "0", .max = 1e9, .help = "MHz of this machine; 0 = as detected"),
    O("client", "memory_total_mb", OPT_INT, client.memory_total_mb, .unset = "0", .max = 1e9, .help = "memory in MiB; 0 = as detected"),
    O("client", "disk_total_mb", OPT_INT, client.disk_total_mb, .unset = "0", .max = 1e12, .help = "disk in MiB; 0 = as detected"),
    O("client", "min_dynamic_port", OPT_INT, client.min_dynamic_port, .unset = "20000", .min = 1, .max = 65535, .help = "first port given to tasks"),
    O("client", "max_dynamic_port", OPT_INT, client.max_dynamic_port, .unset = "32000", .min = 1, .max = 65535, .help = "last port given to tasks"),
    O("client", "max_kill_timeout", OPT_DUR, client.max_kill_timeout, .unset = "30s", .max = 86400, .help = "longest kill_timeout that a task may have"),
    O("client", "gc_interval", OPT_DUR, client.gc_interval, .unset = "1m", .min = 0.1, .max = 86400, .help = "time between two looks at ended allocations"),
    O("client", "gc_max_allocs", OPT_INT, client.gc_max_allocs, .unset = "50", .max = 1e6, .help = "folders of ended allocations kept"),
    O("client", "gc_max_age", OPT_DUR, client.gc_max_age, .unset = "0s", .max = 3e8, .help = "folders of ended allocations older than this go; 0 = no limit"),
    O("client", "gc_disk_usage_threshold", OPT_DBL, client.gc_disk_usage_threshold, .unset = "80", .max = 100, .help = "percent of disk in use above which folders go"),
    O("client", "gc_inode_usage_threshold", OPT_DBL, client.gc_inode_usage_threshold, .unset = "70", .max = 100, .help = "the same for inodes"),
    O("client.drain_on_shutdown", "deadline", OPT_DUR, client.drain.deadline, .unset = "1h", .max = 3e8, .help = "what still runs by then is gone then; 0 = as long as it takes"),
    O("client.drain_on_shutdown", "force", OPT_BOOL, client.drain.force, .unset = "false", .help = "stop everything at once"),
    O("client.drain_on_shutdown", "ignore_system_jobs", OPT_BOOL, client.drain.ignore_system_jobs, .unset = "false", .help = "leave system jobs running"),
    O("client.reserved", "cpu", OPT_INT, client.reserved_cpu, .unset = "0", .max = 1e9, .help = "MHz kept for the system"),
    O("client.reserved", "memory", OPT_INT, client.reserved_memory, .unset = "0", .max = 1e9, .help = "MiB of memory kept for the system"),
    O("client.reserved", "disk", OPT_INT, client.reserved_disk, .unset = "0", .max = 1e12, .help = "MiB of disk kept for the system"),
    O("client.reserved", "reserved_ports", OPT_STR, client.reserved_ports, .example = "22,80,8500-8600", .help = "ports never given to tasks: \"22,80,8500-8600\""),
    O("client.meta", "*", OPT_MAP, client.meta, .example = "rack = \"r1\"", .help = "free words about this node, for constraints: rack = \"r1\""),
    O("client.options", "*", OPT_MAP, client.options, .example = "driver.allowlist = \"raw_exec\"", .help = "options of drivers and fingerprints"),

    O("consul", "address", OPT_STR, consul.address, .unset = "127.0.0.1:8500", .help = "HTTP address of the Consul agent"),
    O("consul", "dns", OPT_STR, consul.dns, .unset = "127.0.0.1:8600", .help = "address of Consul's DNS, asked for servers beside its HTTP API; \"\" = not asked"),
    O("consul", "dns_domain", OPT_STR, consul.dns_domain, .unset = "consul", .help = "domain that Consul's DNS answers for"),
    O("consul", "token", OPT_STR, consul.token, .secret = true, .help = "ACL token; token_file keeps it out of this file"),
    O("consul", "token_file", OPT_STR, consul.token_file, .example = "/etc/drover/consul.token", .help = "file that holds the ACL token"),
    O("consul", "server_service_name", OPT_STR, consul.server_service_name, .unset = "drover", .help = "service name of servers"),
    O("consul", "client_service_name", OPT_STR, consul.client_service_name, .unset = "drover-client", .help = "service name of clients"),
    O("consul", "tags", OPT_LIST, consul.tags, .example = "ci", .help = "further tags of the agent's own services"),
    O("consul", "deregister_after", OPT_DUR, consul.deregister_after, .unset = "72h", .min = 60, .max = 3e8, .help = "an agent that is gone for so long is removed from Consul by Consul"),
    O("consul", "sweep_after", OPT_DUR, consul.sweep_after, .unset = "10m", .max = 3e8, .help = "the leading server removes what a machine has in Consul when its Consul agent has been gone for so long; 0 = never"),
    O("consul", "kv_prefix", OPT_STR, consul.kv_prefix, .example = "drover/global", .help = "where the \"consul\" journal lies in the KV; clusters on one Consul need one each; default \"drover/<region>\""),
    O("consul", "ssl", OPT_BOOL, consul.ssl, .unset = "false", .help = "talk to Consul over TLS"),
    O("consul", "verify_ssl", OPT_BOOL, consul.verify_ssl, .unset = "true", .help = "check Consul's certificate"),
    O("consul", "ca_file", OPT_STR, consul.ca_file, .example = "/etc/drover/consul-ca.pem", .help = "PEM file with the CA of Consul's certificate"),
    O("consul", "cert_file", OPT_STR, consul.cert_file, .example = "/etc/drover/consul.pem", .help = "PEM file with our certificate for Consul"),
    O("consul", "key_file", OPT_STR, consul.key_file, .example = "/etc/drover/consul-key.pem", .help = "PEM file with its key"),
    O("consul", "tls_server_name", OPT_STR, consul.tls_server_name, .example = "consul.example.net", .help = "name to expect in Consul's certificate"),
    O("consul", "auto_advertise", OPT_BOOL, consul.auto_advertise, .unset = "true", .help = "register the agent itself"),
    O("consul", "server_auto_join", OPT_BOOL, consul.server_auto_join, .unset = "true", .help = "find other servers through Consul"),
    O("consul", "client_auto_join", OPT_BOOL, consul.client_auto_join, .unset = "true", .help = "find servers through Consul"),

    O("limits", "http_max_conns_per_client", OPT_INT, limits.http_max_conns_per_client, .unset = "100", .max = 65000, .live = true, .help = "connections from one address; 0 = no limit"),
    O("limits", "http_max_connections", OPT_INT, limits.http_max_connections, .unset = "20000", .max = 1e6, .live = true, .help = "connections in all; 0 = no limit"),
    O("limits", "http_max_body", OPT_INT, limits.max_body, .unset = "16777216", .min = 1024, .max = 1073741824, .live = true, .help = "bytes of a request's body"),
    O("limits", "http_header_timeout", OPT_DUR, limits.header_timeout, .unset = "10s", .min = 0.05, .max = 3600, .live = true, .help = "a request must have arrived within this time; a body may take longer at 8 KiB/s or more"),
    O("limits", "http_idle_timeout", OPT_DUR, limits.idle_timeout, .unset = "2m", .min = 1, .max = 86400, .live = true, .help = "a connection may be silent for this time"),

    O("tls", "http", OPT_BOOL, tls.http, .unset = "false", .help = "the HTTP API is HTTPS, for people and among agents; certificates are read again on SIGHUP"),
    O("tls", "ca_file", OPT_STR, tls.ca_file, .example = "/etc/drover/ca.pem", .live = true, .help = "PEM file with the CA of all agents and clients"),
    O("tls", "cert_file", OPT_STR, tls.cert_file, .example = "/etc/drover/agent.pem", .live = true, .help = "PEM file with the certificate of this agent and its chain"),
    O("tls", "key_file", OPT_STR, tls.key_file, .example = "/etc/drover/agent-key.pem", .live = true, .help = "PEM file with its key; chmod 600"),
    O("tls", "verify_https_client", OPT_BOOL, tls.verify_https_client, .unset = "false", .live = true, .help = "refuse who shows no certificate of that CA"),
    O("tls", "verify_server_hostname", OPT_BOOL, tls.verify_server_hostname, .unset = "false", .help = "other agents must have a certificate for the address at which they are asked"),
    O("tls", "tls_min_version", OPT_STR, tls.min_version, .unset = "tls12", .live = true, .help = "oldest version spoken: tls12 or tls13"),

    O("telemetry", "prometheus_metrics", OPT_BOOL, prometheus_metrics, .unset = "false", .live = true, .help = "answer /v1/metrics?format=prometheus"),
    O("telemetry", "publish_allocation_metrics", OPT_BOOL, publish_allocation_metrics, .unset = "false", .live = true, .help = "tell in the metrics what each task uses"),
    O("telemetry", "publish_node_metrics", OPT_BOOL, publish_node_metrics, .unset = "false", .live = true, .help = "tell in the metrics what the machine uses"),
    O("plugin.config", "enabled", OPT_MAP, drivers_enabled, .example = "false", .help = "run tasks with the driver that the plugin block names"),
};
const size_t config_n_options = ARRAY_LEN(config_options);

const char *option_type_name(enum option_type t)
{
	static const char *const names[] = {
	    "string", "boolean", "integer", "integer", "number", "duration", "list of strings", "log level", "block of strings"};

	return names[t];
}

union scalar {
	bool b;
	int64_t i;
	double d;
	enum log_level level;
};

static int in_range(const struct option *o, double v, struct err *e)
{
	const char *unit = o->type == OPT_DUR ? " seconds" : "";

	if (o->max <= 0 && v >= 0)
		return 0;
	if (v < o->min || v > o->max || isnan(v))
		return err_set(e, -ERANGE, "%s: %g is out of range; expected %.10g to %.10g%s", o->name, v, o->min, o->max, unit);
	return 0;
}

static int read_number(const struct option *o, const char *text, union scalar *out, struct err *e)
{
	char *end;

	errno = 0;
	if (o->type == OPT_DBL) {
		out->d = strtod(text, &end);
		if (errno || end == text || *end)
			return err_set(e, -EINVAL, "%s: expected a number, got \"%s\"", o->name, text);
		return in_range(o, out->d, e);
	}
	out->i = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return err_set(e, -EINVAL, "%s: expected an integer, got \"%s\"", o->name, text);
	return in_range(o, (double)out->i, e);
}

static int read_scalar(const struct option *o, const char *text, union scalar *out, struct err *e)
{
	static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};

	switch (o->type) {
	case OPT_BOOL:
		for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
			if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
				out->b = strcasecmp(text, yes[i]) == 0;
				return 0;
			}
		}
		return err_set(e, -EINVAL, "%s: expected true or false, got \"%s\"", o->name, text);
	case OPT_INT:
	case OPT_INT32:
	case OPT_DBL:
		return read_number(o, text, out, e);
	case OPT_DUR:
		if (duration_parse(text, &out->i) < 0)
			return err_set(e, -EINVAL, "%s: expected a duration like \"30s\" or \"1h30m\", got \"%s\"", o->name, text);
		return in_range(o, (double)out->i / (double)SECOND, e);
	case OPT_LEVEL:
		if (log_level_parse(text, &out->level) < 0)
			return err_set(e, -EINVAL, "%s: expected TRACE, DEBUG, INFO, WARN or ERROR, got \"%s\"", o->name, text);
		return 0;
	case OPT_STR:
	case OPT_LIST:
	case OPT_MAP:
		return 0;
	}
	return 0;
}

int option_check(const struct option *o, const char *text, struct err *e)
{
	union scalar v;

	return read_scalar(o, text, &v, e);
}

int option_apply(struct config *c, const struct option *o, const char *text, struct err *e)
{
	char *at = (char *)c + o->offset;
	union scalar v = {0};
	int rc = read_scalar(o, text, &v, e);

	if (rc < 0)
		return rc;
	switch (o->type) {
	case OPT_STR:
		*(const char **)at = arena_strdup(c->arena, text);
		break;
	case OPT_BOOL:
		*(bool *)at = v.b;
		break;
	case OPT_INT:
	case OPT_DUR:
		*(int64_t *)at = v.i;
		break;
	case OPT_INT32:
		*(int *)at = (int)v.i;
		break;
	case OPT_DBL:
		*(double *)at = v.d;
		break;
	case OPT_LEVEL:
		*(enum log_level *)at = v.level;
		break;
	case OPT_LIST:
		strs_push(c->arena, (struct strs *)at, text);
		break;
	case OPT_MAP:
		return err_set(e, -EINVAL, "%s: is a block", o->name);
	}
	c->given[o - config_options] = true;
	return 0;
}

void option_put_name(struct buf *b, const struct option *o)
{
	buf_printf(b, "%s%s%s", o->section, *o->section ? "." : "", o->name);
}

static void put_strings(struct buf *b, const struct strs *l)
{
	buf_putc(b, '{');
	for (uint32_t i = 0; i < l->n; i++)
		buf_printf(b, "%s\"%s\"", i ? ", " : "", l->v[i]);
	buf_putc(b, '}');
}

void option_put_value(struct buf *b, const struct config *c, const struct option *o)
{
	const char *at = (const char *)c + o->offset;
	const struct strmap *map = (const void *)at;
	char text[DURATION_STR];

	switch (o->type) {
	case OPT_STR:
		buf_printf(b, "\"%s\"", *(char *const *)(const void *)at ? *(char *const *)(const void *)at : "");
		break;
	case OPT_BOOL:
		buf_puts(b, *(const bool *)at ? "true" : "false");
		break;
	case OPT_INT:
		buf_printf(b, "%lld", (long long)*(const int64_t *)(const void *)at);
		break;
	case OPT_INT32:
		buf_printf(b, "%d", *(const int *)(const void *)at);
		break;
	case OPT_DBL:
		buf_printf(b, "%g", *(const double *)(const void *)at);
		break;
	case OPT_DUR:
		buf_printf(b, "\"%s\"", duration_format(*(const int64_t *)(const void *)at, text));
		break;
	case OPT_LEVEL:
		buf_printf(b, "\"%s\"", log_level_name(*(const enum log_level *)(const void *)at));
		break;
	case OPT_LIST:
		put_strings(b, (const void *)at);
		break;
	case OPT_MAP:
		buf_putc(b, '{');
		for (uint32_t i = 0; i < map->n; i++)
			buf_printf(b, "%s%s = \"%s\"", i ? ", " : "", map->v[i].key, map->v[i].value);
		buf_putc(b, '}');
		break;
	}
}

void option_copy(struct config *to, const struct config *from, const struct option *o)
{
	static const size_t sizes[] = {
	    [OPT_BOOL] = sizeof(bool), [OPT_INT] = sizeof(int64_t), [OPT_INT32] = sizeof(int), [OPT_DBL] = sizeof(double),
	    [OPT_DUR] = sizeof(int64_t), [OPT_LEVEL] = sizeof(enum log_level)};
	char *at = (char *)to + o->offset;
	const void *of = (const char *)from + o->offset;
	const struct strs *list = of;
	const struct strmap *map = of;

	if (o->type == OPT_STR) {
		const char *s = *(char *const *)of;

		*(const char **)(void *)at = s ? arena_strdup(to->arena, s) : NULL;
	} else if (o->type == OPT_LIST) {
		*(struct strs *)(void *)at = (struct strs){0};
		for (uint32_t i = 0; i < list->n; i++)
			strs_push(to->arena, (struct strs *)(void *)at, list->v[i]);
	} else if (o->type == OPT_MAP) {
		*(struct strmap *)(void *)at = (struct strmap){0};
		for (uint32_t i = 0; i < map->n; i++)
			strmap_set(to->arena, (struct strmap *)(void *)at, arena_strdup(to->arena, map->v[i].key),
			    arena_strdup(to->arena, map->v[i].value));
	} else {
		memcpy(at, of, sizes[o->type]);
	}
}
