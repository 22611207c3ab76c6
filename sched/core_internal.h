/* core_internal: what the files of the core share. */
#ifndef SCHED_CORE_INTERNAL_H
#define SCHED_CORE_INTERNAL_H

#include "sched/broker.h"
#include "sched/core.h"
#include "sched/entry.h"
#include "sched/nodes.h"
#include "sched/state_internal.h"

struct core {
	struct core_config config;
	struct journal *journal;
	struct state *state;
	struct broker broker;
	struct nodes nodes;
	struct buf entry;   /* the entry being written */
	struct arena *warnings_arena;
	uint64_t committed;
	uint64_t snapshot_bytes; /* size of the newest snapshot's entries */
	uint64_t snapshot_retry; /* log size at which a refused one is tried again */
	int64_t next_gc;
	bool committing;
	struct core_stats stats;
	struct { /* sched/core_drain.c */
		bool any, changed; /* some node drains; something that matters to drains has changed */
		int64_t at, looked; /* look again then; when it was looked last */
	} drains;
	int64_t returns_at; /* when the first node has been initializing for too long; NEVER */
	struct { /* sched/core_scale_in.c */
		bool any, changed; /* some operation may run; nodes or allocations have changed */
		int64_t looked;
	} scale_ins;
};

/* The n-th id (below CORE_IDS) that belongs to the entry that is written next. An entry that is refused leaves its ids unused. */
#define CORE_IDS    (1u << 20)
#define CORE_ID_PLAN (CORE_IDS - 1)
struct uuid core_id(const struct core *c, uint32_t n);
/* Begins c->entry; records are put; core_append writes and applies it. -ENOSPC: nothing changed. */
void core_begin(struct core *c, int64_t now);
int core_append(struct core *c, uint64_t *index, struct err *e);

/* An evaluation of the job is ready: when it is worked on it sees what happens until then, so that another one adds nothing. */
bool core_eval_is_due(const struct job_entry *j);
/* A pending evaluation of the job, its id the n-th of the entry. */
struct eval *core_eval(struct core *c, struct arena *a, uint32_t n, const struct job_entry *j, const char *trigger,
    int64_t now);
int core_refuse_when_full(const struct core *c, struct err *e); /* -EAGAIN: the queue is full */
/* Names and fields of the reply after an entry that made the evaluation (or none: NULL). */
void core_reply(const struct core *c, const struct eval *ev, const struct job_entry *j, uint64_t index,
    struct core_eval_reply *out);

/* Puts an evaluation for each job with live allocations on the node, and for each system job: for all of them when somebody
 * wants to know the ids, else for those that have none due. */
uint32_t core_put_node_evals(struct core *c, struct arena *a, const struct node_entry *n, uint32_t first_id,
    int64_t now, struct strs *ids);
/* System jobs do not try again by themselves what ended; marks it, of a node or of a job (the other NULL), to be tried again. */
void core_put_retries(struct core *c, const struct node_entry *n, const struct job_entry *j);

/* sched/core_liveness.c */
/* The node has spoken: when it is expected next, and the answer. */
void core_node_heard(struct core *c, struct node_entry *n, int64_t now, uint64_t index, struct core_node_reply *out);
void core_node_await(struct core *c, struct node_entry *n, int64_t now); /* this server begins to lead */
/* Down, with an event that says why. */
void core_node_missed(struct core *c, struct node_entry *n, const char *why, int64_t now);
/* The id of a known node is asked for from elsewhere while that node heartbeats: -EEXIST with what to do, and an event. */
int core_node_refuse_twin(struct core *c, struct node_entry *old, const struct node *given, int64_t now, struct err *e);
void core_liveness_tick(struct core *c, int64_t now);

/* sched/core_returns.c: nodes that were away. */
bool core_node_has_news(const struct node_entry *n); /* that it has to tell before it is ready */
uint64_t core_node_report(const struct node_entry *n); /* core_node_reply.report */
/* Puts the node's return: it is `initializing`, or ready when it has nothing to tell. */
void core_put_return(struct core *c, struct arena *a, const struct node_entry *n, const char *message, int64_t now);
/* Puts that the node has told everything. Returns the number of evaluations put, with ids from the first on. */
uint32_t core_put_ready(struct core *c, struct arena *a, const struct node_entry *n, const char *message, int64_t now);
/* A disconnected node of which nothing is waited for any more is down. */
void core_node_unawaited(struct core *c, const struct node_entry *n, int64_t now);
void core_returns_changed(struct core *c, const struct node_entry *n);
void core_returns_tick(struct core *c, int64_t now); /* who tells nothing for too long is ready, too */
/* May the allocation go on that was given up and of which its node, back again, says this? */
bool core_alloc_revives(const struct alloc *a, const struct alloc_update *u);

/* Puts the drain of a node, or its end, into the entry that is written; evaluations have ids from first_id on: how many. */
uint32_t core_put_drain(struct core *c, struct arena *a, struct node_entry *n, const struct core_drain_request *req, uint32_t first_id,
    int64_t now, struct strs *eval_ids);

/* sched/core_scale_in.c */
void core_scale_ins_changed(struct core *c, enum state_table table);
void core_scale_ins_step(struct core *c, int64_t now); /* swaps, when it is time */
int64_t core_scale_ins_deadline(const struct core *c);

void core_drains_changed(struct core *c, enum state_table table, const void *obj);
/* Decides about draining nodes when it is time; busy: evaluations are ready, so that more will change soon. */
void core_drains_step(struct core *c, bool busy, int64_t now);
int64_t core_drains_deadline(const struct core *c);

/* sched/gc.c: collects what is older than the thresholds. */
struct gc_thresholds {
	int64_t eval, batch_eval, job, node;
};
int gc_run(struct core *c, const struct gc_thresholds *t, int64_t now, struct err *e);

#endif
