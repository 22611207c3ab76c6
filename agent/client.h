/*
 * client: the client role as one object: registers the node, heartbeats, pulls its work, runs allocations, pushes
 * what it observes. Lives on the libevent loop of the process.
 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include "agent/link.h"
#include "discovery/services.h"

struct event_base;

struct client_config {
	const char *region, *datacenter, *name, *node_class, *node_pool;
	const char *data_dir;   /* absolute */
	const char *state_dir;  /* <data_dir>/client unless configured */
	const char *alloc_dir;  /* <data_dir>/alloc unless configured */
	const char *http_addr;  /* advertised, "host:port" */
	const char *bind_ip;    /* address that tasks' ports are on */
	struct strmap meta;
	struct strmap drivers_enabled; /* "raw_exec" -> "true" / "false" */
	struct strmap options;
	struct amount_override { int64_t cpu, memory_mb, disk_mb; } total, reserved;
	const char *reserved_ports;
	const char *network_interface;
	int64_t min_dynamic_port, max_dynamic_port;
	int64_t max_kill_timeout;
	int64_t gc_interval, gc_max_allocs;
	double gc_disk_usage_threshold, gc_inode_usage_threshold; /* percent */
	int64_t gc_max_age; /* of ended allocations; 0 = no limit by age */
	const char *cgroup_parent;
	int64_t task_files;     /* soft limit of open files for tasks; 0 = the agent's own */
	struct consul *consul;  /* NULL: services are not registered */
	struct services *services; /* of that Consul; both outlive the client */
	const char *service_name; /* that the client itself is registered as; NULL = it is not */
};

/* Whether an option that is a list names a word: "raw_exec, exec". */
bool client_option_lists(const char *list, const char *word);

struct client;

/* Copies what it needs of c. */
int client_start(struct event_base *base, const struct client_config *c, struct server_link *link,
    struct client **out, struct err *e);
/* Stops watching; tasks go on. The caller closes the link before, or after without running the loop in between. */
void client_stop(struct client *c);
/* For an agent that keeps nothing: hears no server any more and stops every task, politely at first. Calls done when none
 * lives; who does not want to wait so long just goes on to client_stop(). */
void client_end(struct client *c, void (*done)(void *), void *arg);
/* What became of a service of this agent: services_ops.on_event. NULL is fine. */
void client_on_service(struct client *c, const char *id, enum services_event event, const struct err *e);
const char *client_node_id(const struct client *c);
const struct node *client_node(const struct client *c);

/* What the HTTP layer asks (all answers in the caller's arena or buffer; -ENOENT: unknown allocation or task). */
int client_alloc_stats(struct client *c, const char *alloc_id, struct buf *json, struct err *e);
/* Its services in Consul with their checks: struct service_registration, in the arena. */
int client_alloc_services(struct client *c, const char *alloc_id, struct arena *a, struct objs *out, struct err *e);
void client_host_stats(struct client *c, struct buf *json);
int client_alloc_restart(struct client *c, const char *alloc_id, const char *task, bool all_tasks, struct err *e);
int client_alloc_signal(struct client *c, const char *alloc_id, const char *task, const char *signal, struct err *e);
int client_alloc_gc(struct client *c, const char *alloc_id, struct err *e);
void client_gc_all(struct client *c);
/* Folder of an allocation that this client has; for agent/files.h. */
int client_alloc_dir(struct client *c, const char *alloc_id, char **path, struct err *e);
bool client_has_task(const struct client *c, const char *alloc_id, const char *task);
/* state of a task for log following: whether it still runs */
bool client_task_live(struct client *c, const char *alloc_id, const char *task);

/* Each allocation that this client has; its description is valid during the call. ended: none of its tasks lives. */
void client_each_alloc(const struct client *c, void (*fn)(void *arg, const struct allocation *a, bool ended), void *arg);

/* Empties the node before the agent stops: sets a drain and waits until it is done (agent/self_drain.h). Once. */
struct self_drain_config;
void client_drain(struct client *c, const struct self_drain_config *config, void (*done)(void *arg, bool complete), void *arg);

struct client_stats {
	uint64_t allocs, running;           /* allocations; tasks that run */
	uint64_t pending, active, terminal; /* allocations: no task has begun yet, some live, all have ended */
	uint64_t started, failed, complete, restarted, oom_killed; /* tasks, since the start of the agent */
	int64_t last_heartbeat, heartbeat_ttl; /* Unix ns; ns */
	const char *server;                    /* who answered last, or NULL */
	const char *waiting_for;               /* sentence while not joined, else NULL */
};
void client_stats(const struct client *c, struct client_stats *out);

#endif
