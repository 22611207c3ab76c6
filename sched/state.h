/*
 * state: everything the servers know, in memory, owned by one thread. Changed by state_apply() of a
 * journal entry and by nothing else; reading is free. Pure: no clock, no random numbers, no I/O.
 *
 * Sizes rule the layout: a million allocations must fit in a few hundred bytes each, so the state keeps
 * allocations in a compact form (struct alloc) that points to what is shared: the job version, the
 * group's ask, the node, the evaluation's placement metric. alloc_view() makes the API's struct
 * allocation from it when somebody asks.
 */
#ifndef SCHED_STATE_H
#define SCHED_STATE_H

#include "base/err.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/model.h"
#include "base/uuid.h"

/* Intrusive doubly linked list; a head is a link that points to itself when empty. */
struct link {
	struct link *prev, *next;
};

enum job_type { JOB_SERVICE, JOB_BATCH, JOB_SYSTEM, JOB_SYSBATCH };
enum job_status { JOB_PENDING, JOB_RUNNING, JOB_DEAD };
enum node_status { NODE_INIT, NODE_READY, NODE_DOWN, NODE_DISCONNECTED };
enum desired { DESIRED_RUN, DESIRED_STOP, DESIRED_EVICT };
enum observed { /* ClientStatus; COMPLETE, FAILED and LOST are terminal */
	OBSERVED_PENDING,
	OBSERVED_RUNNING,
	OBSERVED_COMPLETE,
	OBSERVED_FAILED,
	OBSERVED_LOST,
	OBSERVED_UNKNOWN,
};
enum eval_status { EVAL_PENDING, EVAL_BLOCKED, EVAL_COMPLETE, EVAL_FAILED, EVAL_CANCELED };
extern const char *const job_type_names[], *const job_status_names[], *const node_status_names[],
    *const desired_names[], *const observed_names[], *const eval_status_names[];
int name_index(const char *const *names, const char *word); /* position, or -1; names end with NULL */

/* Amounts that are added and compared as one. */
struct amount {
	int64_t cpu;    /* MHz */
	int64_t memory; /* MiB */
	int64_t disk;   /* MiB */
};

/* What one allocation of a group asks for, worked out once for each job version. */
struct port_ask {
	const char *label, *host_network;
	const char *task; /* NULL: the group's network */
	uint16_t value;   /* static port, 0 = dynamic */
	int32_t to;       /* -1 = same as the allocated port */
	bool ignore_collision;
};
struct group_ask {
	struct amount amount;
	struct port_ask *ports;
	uint32_t n_ports;
	int64_t cores;
	bool has_devices;
};

struct port_grant { /* ports of an allocation, in the order of group_ask.ports */
	uint16_t value;
};

/* One version of a job. Immutable but for `stable`; freed when no allocation and no history needs it. */
struct job_version {
	struct arena *arena;
	struct job *spec;        /* canonical; runtime fields (Status, ...) are not kept here */
	struct group_ask *asks;  /* one for each of spec->task_groups */
	struct job_entry *job;
	uint32_t version;
	uint32_t refs;           /* allocations + membership in job_entry.versions */
	uint64_t modify_index;   /* JobModifyIndex of this version */
	int64_t submit_time;
	bool stable;
};

struct group_summary { /* JobSummary counters, kept up to date by state_apply */
	uint32_t queued, starting, running, failed, complete, lost, unknown;
};

struct job_entry {
	const char *ns, *id;
	struct job_version *current;
	struct job_version *versions[8]; /* newest first, [0] == current; JOB_VERSIONS_KEPT used */
	uint32_t n_versions;
	enum job_type type;
	enum job_status status;
	bool stop;
	uint64_t create_index, modify_index;
	struct link allocs; /* struct alloc.by_job */
	struct link evals;  /* struct eval_entry.by_job */
	uint32_t n_allocs, n_live; /* n_live: allocations that are not terminal (see alloc_is_terminal) */
	struct objmap summary;     /* group name -> struct group_summary */
	struct map *submission;    /* version -> struct job_submission, NULL when none was kept */
	struct eval_entry *blocked; /* the one blocked evaluation, or NULL */
};
#define JOB_VERSIONS_KEPT 6

struct node_entry {
	struct uuid id;
	uint32_t slot;       /* index in state.nodes, stable for the life of the entry */
	struct arena *arena; /* of spec: replaced as a whole at each registration */
	struct node *spec;
	enum node_status status;
	bool eligible, draining;
	uint32_t class_id;   /* of spec->computed_class, interned in state */
	struct amount total; /* resources less what is reserved */
	struct amount used;  /* sum of the asks of allocations that are not terminal */
	struct port_set *ports; /* taken ports: reserved by the node and of live allocations (sched/fit.h) */
	struct link allocs;  /* struct alloc.by_node */
	uint32_t n_live;
	uint64_t create_index, modify_index, alloc_index; /* alloc_index: last change of what is desired */
	int64_t status_since;
	struct heap_item deadline; /* of the heartbeat; not journaled, owned by sched/nodes */
};

/* Rare details of an allocation, allocated when the first one is known. */
struct alloc_extra {
	struct arena *arena;
	struct objmap task_states; /* struct task_state */
	struct deployment_status *deployment_status;
	struct network_status *network_status;
	const char *client_description, *desired_description;
	struct reschedule_tracker *tracker;
	struct desired_transition *transition;
	struct uuid previous, next, followup_eval, deployment, preempted_by;
	struct objs preempted; /* struct uuid */
};

struct metric_ref { /* one placement metric shared by the allocations of one group in one plan */
	struct arena *arena;
	struct alloc_metric *metric;
	uint32_t refs;
};

struct alloc {
	struct uuid id, eval;
	struct job_version *version;
	struct node_entry *node;     /* NULL once the node is forgotten */
	struct link by_job, by_node;
	struct port_grant *ports;    /* asks[group].n_ports of them, NULL when none */
	struct alloc_extra *extra;   /* NULL when nothing is known */
	struct metric_ref *metric;
	uint64_t create_index, modify_index, alloc_modify_index;
	int64_t create_time, modify_time;
	uint32_t index;              /* n of the name "job.group[n]" */
	uint16_t group;              /* in version->spec->task_groups */
	uint8_t desired, observed;   /* enum desired, enum observed */
	float score;
};

struct eval_entry {
	struct uuid id;
	struct arena *arena;
	struct eval *spec; /* complete; replaced as a whole on update */
	enum eval_status status;
	struct link by_job;
	uint64_t create_index, modify_index;
	struct heap_item timer; /* wait_until or broker position; owned by sched/broker, not journaled */
};

struct deployment_entry {
	struct uuid id;
	struct arena *arena;
	struct deployment *spec;
	uint64_t create_index, modify_index;
};

enum state_table { /* each has its own last index, as X-Nomad-Index answers it */
	TABLE_JOBS,
	TABLE_NODES,
	TABLE_ALLOCS,
	TABLE_EVALS,
	TABLE_DEPLOYMENTS,
	TABLE_CONFIG,
	TABLE_COUNT,
};

/* Called for each changed object while an entry is applied; the daemon wakes its blocking queries by it
 * after the commit. obj is the table's entry struct; deleted = it goes away. */
typedef void state_watch_fn(void *arg, enum state_table table, const void *obj, bool deleted);

struct uuid_table; /* sched/uuid_table.h: open addressing from struct uuid to pointer, ordered prefix search */

struct state {
	uint64_t index;                   /* of the last applied entry */
	uint64_t table_index[TABLE_COUNT];
	struct map jobs;                  /* "namespace\x1fid" -> struct job_entry */
	struct uuid_table *nodes_by_id, *allocs, *evals, *deployments;
	struct node_entry **nodes;        /* dense by slot; NULL = free slot */
	uint32_t n_nodes, cap_nodes;      /* slots in use up to cap_nodes */
	struct map classes;               /* computed class -> id + 1 */
	struct scheduler_config *config;  /* never NULL */
	struct uuid cluster_id;
	state_watch_fn *watch;            /* may be NULL */
	void *watch_arg;
};

struct state *state_new(void);
void state_free(struct state *s);

/* Look-ups; NULL when absent. */
struct job_entry *state_job(const struct state *s, const char *ns, const char *id);
struct node_entry *state_node(const struct state *s, struct uuid id);
struct alloc *state_alloc(const struct state *s, struct uuid id);
struct eval_entry *state_eval(const struct state *s, struct uuid id);
struct deployment_entry *state_deployment(const struct state *s, struct uuid id);

/* Walks in deterministic order (jobs by namespace and id; nodes by id; allocations and evaluations by create
 * index, then id). fn returns false to stop. */
void state_each_job(const struct state *s, bool (*fn)(void *arg, struct job_entry *), void *arg);
void state_each_node(const struct state *s, bool (*fn)(void *arg, struct node_entry *), void *arg);
void state_each_alloc(const struct state *s, bool (*fn)(void *arg, struct alloc *), void *arg);
void state_each_eval(const struct state *s, bool (*fn)(void *arg, struct eval_entry *), void *arg);

/* Terminal: stopped or evicted by desire, or complete, failed or lost by observation. */
bool alloc_is_terminal(const struct alloc *a);
/* Still holds its node's resources: the client has not said that it ended (a stopped allocation holds them
 * until its process is gone), and it is not lost. */
bool alloc_holds(const struct alloc *a);
const struct task_group *alloc_group(const struct alloc *a);
const char *alloc_name(const struct alloc *a, char *out, size_t size); /* "job.group[3]" */

/* API forms, built in the arena given. */
struct allocation *alloc_view(struct arena *a, const struct alloc *alloc, bool with_job);
struct job *job_view(struct arena *a, const struct job_entry *j, const struct job_version *v);
struct node *node_view(struct arena *a, const struct node_entry *n);

/* A digest of the whole state, for the tests that compare a replay with the live state: equal states give
 * equal digests whatever the order of memory. */
uint64_t state_digest(const struct state *s);

#endif
