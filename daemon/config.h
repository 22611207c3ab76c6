/*
 * config: the agent's configuration: defaults, then files (libConfuse, in order, *.conf of a folder in lexical order),
 * then command-line flags. One option table holds name, type, default, range and help; the sample configuration and the
 * man page are checked against it.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/err.h"
#include "base/log.h"
#include "base/model.h"

struct config {
	struct arena *arena; /* owns every string here */
	bool *given;         /* by option number: set by a file or a flag */
	struct strs files;   /* read, in order */
	struct strs paths;   /* as given: files and folders */
	struct strs set;     /* by flags: name, text, name, text, ... */
	const struct config *as_read; /* before config_finish() filled in the rest */
	bool temporary_data; /* data_dir was made for -dev: removed at the end */
	const char *region, *datacenter, *name, *data_dir, *bind_addr;
	enum log_level log_level;
	bool log_json, dev, leave_on_interrupt, leave_on_terminate;
	int http_port;
	const char *advertise_http; /* "host:port" */
	struct {
		bool enabled;
		int bootstrap_expect;
		const char *journal; /* "file", "memory", "consul" */
		int64_t journal_segment_size, journal_snapshot_after; /* bytes */
		int64_t heartbeat_grace, witness_grace, min_heartbeat_ttl, failover_heartbeat_ttl;
		double max_heartbeats_per_second;
		int64_t node_gc_threshold, job_gc_interval, job_gc_threshold, eval_gc_threshold,
		    batch_eval_gc_threshold, deployment_gc_threshold;
		int64_t job_max_priority, job_default_priority, job_max_count, max_pending_evals;
	} server;
	struct {
		bool enabled;
		struct strs servers;
		const char *node_class, *node_pool, *alloc_dir, *state_dir, *network_interface, *reserved_ports,
		    *cgroup_parent;
		struct strmap meta, options;
		struct {
			bool enabled; /* the block drain_on_shutdown {} is there */
			int64_t deadline;
			bool force, ignore_system_jobs;
		} drain;
		int64_t cpu_total_compute, memory_total_mb, disk_total_mb;
		int64_t reserved_cpu, reserved_memory, reserved_disk;
		int64_t min_dynamic_port, max_dynamic_port, max_kill_timeout;
		int64_t gc_interval, gc_max_allocs, gc_max_age;
		double gc_disk_usage_threshold, gc_inode_usage_threshold;
	} client;
	struct {
		const char *address, *dns, *dns_domain, *token, *token_file, *server_service_name, *client_service_name, *kv_prefix;
		const char *ca_file, *cert_file, *key_file, *tls_server_name;
		struct strs tags;
		int64_t deregister_after, sweep_after;
		bool configured, auto_advertise, server_auto_join, client_auto_join, ssl, verify_ssl;
	} consul;
	struct {
		int64_t http_max_conns_per_client, http_max_connections, max_body, header_timeout, idle_timeout;
	} limits;
	struct {
		bool http, verify_https_client, verify_server_hostname;
		const char *ca_file, *cert_file, *key_file, *min_version;
	} tls;
	struct strmap drivers_enabled; /* plugin "raw_exec" { config { enabled = true } } */
	bool prometheus_metrics, publish_allocation_metrics, publish_node_metrics;
};

struct config *config_new(void); /* defaults */
void config_free(struct config *c);
/* Reads a file or a folder; errors name file and line. */
int config_read(struct config *c, const char *path, struct err *e);
/* Fills in what follows from the rest (name, advertise, -dev) and checks it. */
int config_finish(struct config *c, struct err *e);
/* Option names with type, default and help, one a line: for the docs check. */
void config_list(struct buf *out);
/* Sets one option by its full name ("client.node_class"), as a flag does; lists take one value at a time, and the first one
 * replaces what files say. */
int config_set(struct config *c, const char *name, const char *text, struct err *e);
bool config_given(const struct config *c, const char *name);
/* Adds "key=value" to client { meta {} }. */
int config_add_meta(struct config *c, const char *pair, struct err *e);

/* Puts a configuration together as `now` was: the same paths, then the same flags. The caller frees it. */
int config_read_again(const struct config *now, struct config **out, struct err *e);
/*
 * Takes from `next` what differs from what `now` was read as and may change while the agent runs. Calls told for each
 * option that differs: its full name, its value as text (of a secret: that it is one), and whether it was taken.
 */
typedef void config_told_fn(void *arg, const char *name, const char *value, bool taken);
void config_take_changes(struct config *now, const struct config *next, config_told_fn *told, void *arg);

#endif
