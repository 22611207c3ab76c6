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
enum observed { /* ClientStatus; COMPLETE, FAILED and LOST are terminal, but what is lost may come back with its node; UNKNOWN: its
                  * node is silent, and it is waited for (sched/absence.h) */
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
	int64_t allocs; /* allocations */
};
static inline void amount_add(struct amount *to, const struct amount *x)
{
	to->cpu += x->cpu;
	to->memory += x->memory;
	to->disk += x->disk;
	to->allocs += x->allocs;
}
static inline void amount_take(struct amount *from, const struct amount *x)
{
	from->cpu -= x->cpu;
	from->memory -= x->memory;
	from->disk -= x->disk;
	from->allocs -= x->allocs;
}

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
	uint32_t mark;           /* scratch of the snapshot writer */
	uint64_t modify_index;   /* JobModifyIndex of this version */
	int64_t submit_time;
	struct job_submission *submission;  /* NULL when none was given */
	struct group_summary **summaries;   /* of each group, in job->summary */
	bool stable;
};

struct group_summary { /* JobSummary counters, kept up to date by state_apply */
	uint32_t queued, starting, running, failed, complete, lost, unknown;
};

/* A purged job keeps its entry, with `purged` and `stop` set, while allocations or evaluations refer to it, so that they
 * can be stopped and shown; state_job() does not find it, state_job_any() does. */
struct job_entry {
	struct arena *arena; /* ns, id, summary */
	const char *ns, *id;
	struct job_version *current;
	struct job_version *versions[8]; /* newest first, [0] == current; JOB_VERSIONS_KEPT used */
	uint32_t n_versions;
	enum job_type type;
	enum job_status status;
	bool stop;      /* of the current version, or purged */
	bool purged;
	bool evaluated; /* some evaluation ended: a job with nothing left is dead, not pending */
	uint64_t create_index, modify_index;
	struct link allocs; /* struct alloc.by_job, oldest first */
	struct link evals;  /* struct eval_entry.by_job, oldest first */
	uint32_t n_allocs, n_live; /* n_live: allocations that are not terminal (see alloc_is_terminal) */
	uint32_t n_open_evals;     /* pending or blocked */
	struct objmap summary;     /* group name -> struct group_summary */
	uint64_t summary_index;    /* last change of the summary */
	struct eval_entry *blocked; /* the one blocked evaluation, or NULL */
};
#define JOB_VERSIONS_KEPT 6

/* What a leader knows of a node's life; no part of the state. Phases: sched/nodes.h; times: its counted ones. */
struct node_life {
	struct heap_item timer; /* when the node is looked at next */
	struct link queue;      /* among those that are to be asked about */
	uint8_t phase, why;     /* enum life_phase; enum suspicion */
	uint8_t consul, probe;  /* enum witness_word: what was said last */
	bool told;              /* events say that something is amiss */
	bool missed;            /* that its heartbeat is late is told */
	bool alone;             /* when it was asked about, nobody else had been heard since */
	int64_t heard, due;     /* its last word; when its time to live is over */
	int64_t doubted;        /* since when; NEVER: it is not */
	int64_t refused;        /* when somebody else was refused its id last */
};

struct node_entry { /* in chunks by slot, what every search reads first, so that searching is reading straight on */
	struct uuid id;
	uint32_t slot;       /* index in state.nodes, stable for the life of the entry */
	enum node_status status;
	bool eligible, draining;
	uint32_t class_id, dc_id, pool_id; /* numbers of its computed class, datacenter and pool: see state.classes */
	struct amount total; /* resources less what is reserved */
	struct amount used;  /* sum of the asks of allocations that hold (see alloc_holds) */
	double open_cpu, open_memory; /* owned by sched/place: 10^ of the fractions that are free; 0 = to be worked out */
	struct node *spec;
	struct arena *arena; /* of spec: replaced as a whole at each registration */
	struct port_set *ports; /* taken ports: reserved by the node and of live allocations (sched/fit.h) */
	struct link allocs;  /* struct alloc.by_node */
	uint32_t n_allocs;
	uint64_t create_index, modify_index, alloc_index; /* alloc_index: last change of what is desired */
	int64_t status_since;
	int64_t seen; /* last heard of, by the clock of the servers: at its registration, then now and then (ENTRY_NODES_SEEN) */
	struct node_gone *gone;    /* deleted allocations for the client to forget, the newest of them, newest last; in no snapshot */
	uint32_t n_gone;
	uint64_t gone_index;       /* deletions up to here are not in it: who has heard less is told all that there is */
	/* Not journaled: */
	struct node_life life;     /* owned by sched/nodes */
	bool freed;                /* on state.freed, or known to the broker as dirty */
	struct node_entry *freed_next;
};
#define NODES_IN_CHUNK   64
#define NODE_NO_CLASS    UINT32_MAX
#define NODE_GONE_KEPT   64
#define NODE_EVENTS_KEPT 20
struct node_gone {
	uint64_t index;
	struct uuid alloc;
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
	int64_t ended; /* when the servers heard that it is not live any more, by their clock; 0 = it is */
	struct objs preempted; /* struct uuid */
	bool in_consul;        /* entries of its services stand there, or may: what its client says */
};

struct metric_ref { /* one placement metric shared by the allocations of one group in one plan */
	struct arena *arena;
	struct alloc_metric *metric;
	uint32_t refs;
	uint32_t mark; /* scratch of the snapshot writer */
};

struct alloc { /* from a slab; id first, as sched/uuid_table.h wants it in every entry */
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
	struct job_entry *job; /* never NULL */
	struct link by_job;
	uint64_t create_index, modify_index;
	/* Not journaled, owned by sched/broker: */
	struct heap_item timer; /* position among the ready ones, or the instant to wait for */
	struct link queue;      /* among the blocked ones */
	uint8_t place;          /* enum broker_place */
	bool own_ended;         /* blocked: an allocation of the job has ended since it was looked at */
};

struct deployment_entry {
	struct uuid id;
	struct arena *arena;
	struct deployment *spec;
	uint64_t create_index, modify_index;
};

struct scale_in_entry { /* an operation that takes nodes away: sched/scale_in.h */
	struct uuid id;
	struct arena *arena;
	struct scale_in *spec; /* replaced as a whole */
};
#define SCALE_INS_KEPT 16 /* the oldest that is over goes first */

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

struct scratch { /* zeroed amounts by slot, for one plan at a time: see sched/proposed.c; no part of the state either */
	struct amount *amounts;
	uint32_t n;
	bool taken;
};
struct answers;    /* sched/answers.h: what is known of classes of nodes; no part of the state */
struct uuid_table; /* sched/uuid_table.h: open addressing from struct uuid to pointer, ordered prefix search */

struct state {
	uint64_t index;                   /* of the last applied entry */
	uint64_t table_index[TABLE_COUNT];
	struct map jobs;                  /* "namespace\x1fid" -> struct job_entry, purged ones included */
	struct uuid_table *nodes_by_id, *allocs, *evals, *deployments;
	struct node_entry **nodes;        /* dense by slot; NULL = free slot */
	struct node_entry **chunks;       /* where they lie: NODES_IN_CHUNK each */
	uint32_t n_nodes, cap_nodes;      /* slots in use up to cap_nodes */
	struct answers *answers;
	struct scratch *scratch;
	struct map classes, datacenters, pools; /* each word that a node has used -> its number + 1 */
	struct scale_in_entry scale_ins[SCALE_INS_KEPT]; /* oldest first */
	uint32_t n_scale_ins;
	struct scheduler_config *config;  /* never NULL */
	struct arena *config_arena;
	struct uuid cluster_id;           /* nil before the first entry */
	struct uuid seed;                 /* of derived ids */
	state_watch_fn *watch;            /* the daemon's; may be NULL */
	void *watch_arg;
	state_watch_fn *observe;          /* the core's (broker, nodes), called before watch; may be NULL */
	void *observe_arg;
	struct node_entry *freed;         /* nodes whose capacity grew, for the broker to take; not part of the state */
	struct alloc_slab *slab;
	struct link *free_allocs;         /* unused places in the slabs, chained by by_job.next */
	struct restore *restore;          /* while a snapshot is read (sched/snapshot.h) */
};

struct state *state_new(void);
void state_free(struct state *s);

/* The only thing that changes the state. p is an entry as sched/entry.h writes it; index is the next one, or 0 for the
 * entries of a snapshot, which come first. Everything read is checked: -EBADMSG with a sentence when the entry cannot
 * be (after which the state is good for nothing but state_free). */
int state_apply(struct state *s, uint64_t index, const void *p, size_t n, struct err *e);

/* Look-ups; NULL when absent. */
struct job_entry *state_job(const struct state *s, const char *ns, const char *id);
struct job_entry *state_job_any(const struct state *s, const char *ns, const char *id); /* purged ones too */
struct job_version *job_find_version(const struct job_entry *j, uint64_t version); /* of the versions kept */
struct node_entry *state_node(const struct state *s, struct uuid id);
struct alloc *state_alloc(const struct state *s, struct uuid id);
struct eval_entry *state_eval(const struct state *s, struct uuid id);
struct scale_in_entry *state_scale_in(const struct state *s, struct uuid id);
struct deployment_entry *state_deployment(const struct state *s, struct uuid id);

/* Walks in deterministic order (jobs by namespace and id; nodes by id; allocations and evaluations by create
 * index, then id). fn returns false to stop. */
void state_each_job(const struct state *s, bool (*fn)(void *arg, struct job_entry *), void *arg);
void state_each_node(const struct state *s, bool (*fn)(void *arg, struct node_entry *), void *arg);
void state_each_alloc(const struct state *s, bool (*fn)(void *arg, struct alloc *), void *arg);
void state_each_eval(const struct state *s, bool (*fn)(void *arg, struct eval_entry *), void *arg);

/* Those whose id begins with the prefix (1 to 36 characters of the text form), ascending by id, at most max; -EINVAL when
 * it is not a prefix of an id, else the count. */
int state_prefix_nodes(const struct state *s, const char *prefix, struct node_entry **out, uint32_t max);
int state_prefix_allocs(const struct state *s, const char *prefix, struct alloc **out, uint32_t max);
int state_prefix_evals(const struct state *s, const char *prefix, struct eval_entry **out, uint32_t max);
uint32_t state_count_allocs(const struct state *s);
uint32_t state_count_evals(const struct state *s);

/* for (LINK_EACH(&job->allocs, struct alloc, by_job, a)) */
#define LINK_EACH(head, type_, member, var)                                                                    \
	type_ *var = CONTAINER_OF((head)->next, type_, member);                                                \
	&var->member != (head);                                                                                \
	var = CONTAINER_OF(var->member.next, type_, member)
void link_init(struct link *l);                       /* an empty head, or an item in no list */
void link_append(struct link *head, struct link *l);  /* at the end */
void link_remove(struct link *l);                     /* and leaves it as an item in no list; fine when it is in none */
static inline bool link_empty(const struct link *l)
{
	return l->next == l;
}

/* Live: neither complete nor failed by its client's word, nor given up as lost. */
bool alloc_is_live(const struct alloc *a);
/* Terminal: stopped or evicted by desire, or not live. */
bool alloc_is_terminal(const struct alloc *a);
/* Still holds its node's resources: nobody has said that it ended. A stopped allocation holds them until its process is
 * gone; so does a lost one, which may run on where nobody sees it, until its client is back and has stopped it. */
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
