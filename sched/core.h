/*
 * core: the brain of the server role as one object: state, journal, broker, timers. It is pure: time comes in
 * with each call, ids are derived from a seed that is journaled, and nothing happens between calls. The daemon and
 * the simulator drive it in the same way:
 *
 *   requests come in         core_job_register(), core_node_heartbeat(), ...   (append entries, change the state)
 *   scheduling               while (core_step(core, now)) ...                  one evaluation per call
 *   timers                   core_tick(core, now) at core_next_deadline(core)
 *   end of the turn          if (core_commit_begin(core)) { core_commit_run() on any thread; core_commit_end() }
 *   replies go out           each one that rests on index i waits until core_committed(core) >= i
 *
 * Every request returns 0 or a negative errno with a sentence. -ENOSPC: the journal has no room; nothing changed.
 */
#ifndef SCHED_CORE_H
#define SCHED_CORE_H

#include "sched/journal.h"
#include "sched/state.h"

struct core_config { /* durations in ns; zero means the default in brackets */
	int64_t heartbeat_grace;           /* [10s] */
	int64_t min_heartbeat_ttl;         /* [10s] */
	double max_heartbeats_per_second;  /* [50] */
	int64_t failover_heartbeat_ttl;    /* at most so long a new leader waits for a node's first word [5m] */
	int64_t witness_grace;             /* beyond the TTL, for a silent node that somebody still sees alive [2m] */
	int64_t node_gc_threshold;         /* [24h] */
	int64_t job_gc_interval;           /* [5m] */
	int64_t job_gc_threshold;          /* [4h] */
	int64_t eval_gc_threshold;         /* [1h] */
	int64_t batch_eval_gc_threshold;   /* [24h] */
	int64_t deployment_gc_threshold;   /* [1h] */
	int64_t job_max_priority;          /* [100] */
	int64_t job_default_priority;      /* [50] */
	int64_t job_max_count;             /* allocations of one job [50000] */
	int64_t max_pending_evals;         /* registrations beyond are refused: queue full [1000000] */
	uint64_t snapshot_after;           /* bytes of journal that are worth a snapshot [the journal's own figure] */
	const char *region;                /* ["global"] */
	bool (*node_matches)(const char *filter, const struct node *node); /* the language of filters; NULL: nothing matches one */
	uint64_t seed;                     /* of derived ids; the daemon gives a random one */
};

struct core;

/*
 * A core either leads: it owns the journal and decides; or it follows: entries that are committed elsewhere are handed to it
 * in order, it can be read, and nothing below but core_follow, core_lead, core_copy, core_state, core_committed, core_why, core_why_job, core_drain,
 * core_node_work, core_stats and core_close may be called. A follower becomes a leader by core_lead; a leader never follows again, since its
 * state may hold what was never committed.
 */
struct core *core_new(const struct core_config *c); /* follows, with an empty state */
/* The next entry; index 0: one of a snapshot, which all come before the first of the log. -EBADMSG: it cannot be applied; only
 * core_close may follow. */
int core_follow(struct core *core, uint64_t index, const void *p, size_t n, struct err *e);
/* Everything in the journal has been followed: decide from here on. An empty log gets its first entry. Keeps j, which
 * stays the caller's. */
int core_lead(struct core *core, struct journal *j, int64_t now, struct err *e);
bool core_leads(const struct core *core);
/* A leader ceases to be one: it is only read from here on, and neither fed nor asked to lead. What it decided and never committed
 * stays in its state. */
void core_retire(struct core *core);
struct core *core_copy(const struct core *core); /* a follower with the same state */
/* All of it: replays the journal and leads. Takes ownership of neither. */
int core_open(const struct core_config *c, struct journal *j, int64_t now, struct core **out, struct err *e);
void core_close(struct core *core);
struct state *core_state(struct core *core); /* read only for callers */

/* ---- driving ---- */
bool core_step(struct core *core, int64_t now); /* true: there is more to do at this instant */
void core_tick(struct core *core, int64_t now);
int64_t core_next_deadline(const struct core *core); /* NEVER when nothing is timed */
/* Nodes could not be heard for so long, or the wall clock was set forward by so much (negative: back): it does not count
 * against them. */
void core_excuse(struct core *core, int64_t time);
bool core_commit_begin(struct core *core);
int core_commit_run(struct core *core, struct err *e); /* any thread */
void core_commit_end(struct core *core);
/* For a journal that another server can take over (core_is_shared): 0 when it was ours at some moment after the call began, -ESTALE when
 * it was not. Any thread, not while a commit runs. */
int core_confirm(struct core *core, struct err *e);
bool core_is_shared(const struct core *core);
int core_check_room(struct core *core, struct err *e); /* of a leader; 0: the journal would take an entry of the usual size */
uint64_t core_committed(const struct core *core);
/* Writes a snapshot when the log has grown enough; cheap when it has not. */
int core_maybe_snapshot(struct core *core, struct err *e);
/* Writes one now, whatever the log's size. -EBUSY while a commit is running. */
int core_snapshot(struct core *core, struct err *e);

/* ---- requests. `out` structs are filled on success only. ---- */
struct core_eval_reply {
	struct uuid eval; /* nil when none was made (periodic, parameterized) */
	uint64_t eval_create_index, job_modify_index, index;
	const char *warnings; /* "" or text, valid until the next call */
};
struct core_register_request {
	const struct job *job; /* as given; canonicalized and validated here (sched/admit.h) */
	const struct job_submission *submission; /* may be NULL */
	bool enforce_index;
	uint64_t job_modify_index; /* with enforce_index: 0 = must not exist */
	bool preserve_counts;
	int64_t eval_priority; /* 0 = the job's */
};
int core_job_register(struct core *core, const struct core_register_request *req, int64_t now,
    struct core_eval_reply *out, struct err *e);
int core_job_deregister(struct core *core, const char *ns, const char *id, bool purge, int64_t eval_priority,
    int64_t now, struct core_eval_reply *out, struct err *e);
int core_job_evaluate(struct core *core, const char *ns, const char *id, bool force_reschedule, int64_t now,
    struct core_eval_reply *out, struct err *e);
int core_job_revert(struct core *core, const char *ns, const char *id, uint64_t version, int64_t enforce_prior,
    int64_t now, struct core_eval_reply *out, struct err *e);
int core_job_stable(struct core *core, const char *ns, const char *id, uint64_t version, bool stable, int64_t now,
    uint64_t *index, struct err *e);

struct core_plan_reply { /* `job plan`: nothing is changed */
	struct plan_annotations *annotations;
	struct objmap failed_tg_allocs; /* struct alloc_metric */
	struct job_diff *diff;          /* NULL unless asked for */
	uint64_t job_modify_index, index;
	const char *warnings;
};
int core_job_plan(struct core *core, struct arena *a, const struct job *job, bool diff, int64_t now,
    struct core_plan_reply *out, struct err *e);

struct core_node_reply {
	int64_t heartbeat_ttl;
	uint64_t index;
	uint64_t written; /* the entry that this made, to be waited for; 0 = none */
	uint64_t report;  /* it was away, since this index, and is `initializing` until it has reported all of its allocations; or 0 */
};
/* Registers or re-registers; checks the secret when the id is known (-EPERM on another). -EEXIST: the id is that of a node at
 * another address, which still heartbeats. */
int core_node_register(struct core *core, const struct node *node, int64_t now, struct core_node_reply *out,
    struct err *e);
/* -ENOENT: register again. */
int core_node_heartbeat(struct core *core, struct uuid id, int64_t now, struct core_node_reply *out, struct err *e);
int core_node_eligibility(struct core *core, struct uuid id, bool eligible, int64_t now, uint64_t *index, struct err *e);
/* Sets, changes or cancels a drain (sched/drain.h). */
struct core_drain_request {
	const struct drain_spec *spec; /* NULL: cancel */
	bool mark_eligible;            /* of a cancel */
	const struct strmap *meta;     /* why; NULL or empty leaves what was said */
	const char *accessor;          /* who; "" or NULL: unknown */
};
int core_node_drain(struct core *core, struct uuid id, const struct core_drain_request *req, int64_t now,
    struct strs *eval_ids, struct arena *a, uint64_t *index, struct err *e);
/* Meta of a drain that ends when the node comes back: it is eligible again then. A client that drains itself registers, should it
 * have to, as ineligible: it is not back. */
#define CORE_DRAIN_UNTIL   "until"
#define CORE_DRAIN_RESTART "restart"
/*
 * A node that is suspected is asked about, before it is called down: the owner of the core takes the questions, asks both
 * witnesses (Consul's health of the node's machine, and the node itself at its address), and tells what they say.
 */
enum witness_word {
	WITNESS_UNKNOWN,
	WITNESS_ALIVE,
	WITNESS_DEAD,
	WITNESS_OTHER, /* of the probe alone: another node answers at its address, as when its machine has lost its disk */
	WITNESS_WORDS,
};
enum suspicion {
	SUSPECT_LATE,   /* its heartbeat, by the grace: the core's own */
	SUSPECT_BROKE,  /* the request that it held broke off; not one when the node asks again within a second */
	SUSPECT_CONSUL, /* Consul calls its machine critical */
	SUSPECT_SELF,   /* not the node: whether this server hears anybody. The core's own */
};
void core_node_suspect(struct core *core, struct uuid id, enum suspicion why, int64_t now);
/* The node asks for work: it has not broken off. No heartbeat. */
void core_node_asks(struct core *core, struct uuid id);
/* The next node to be asked about; false: nobody, or enough are being asked about. Each question is given out once and must be
 * answered within CORE_ANSWER_WITHIN, or nobody knows. */
bool core_next_question(struct core *core, struct uuid *id, int64_t now);
#define CORE_ANSWER_WITHIN (10 * SECOND)
#define CORE_QUESTIONS     64 /* at once */
void core_node_witness(struct core *core, struct uuid id, enum witness_word consul, enum witness_word probe, int64_t now);
/* The node says that it is gone, in an orderly way: down at once. */
int core_node_leave(struct core *core, struct uuid id, int64_t now, uint64_t *index, struct err *e);
/* The operation and what it still waits for; NULL: no such node. */
struct drain_answer *core_drain(struct core *core, struct uuid id, int64_t now, struct arena *a);
/*
 * Taking nodes away together (sched/scale_in.h). The operation with the request's ID, or else a running one of the same
 * class and filter, is changed to the count; otherwise one begins. -EINVAL: a sentence, as when fewer nodes could go than are
 * asked for. With DryRun nothing changes. An operation that is over is answered as it is. *out is as it is afterwards.
 */
int core_scale_in(struct core *core, const struct scale_in_request *req, int64_t now, struct arena *a, struct scale_in **out,
    uint64_t *index, struct err *e);
/* Gives back what is not free yet. -ENOENT. */
int core_scale_in_cancel(struct core *core, struct uuid id, int64_t now, struct arena *a, struct scale_in **out, uint64_t *index,
    struct err *e);
int core_node_evaluate(struct core *core, struct uuid id, int64_t now, struct strs *eval_ids, struct arena *a,
    uint64_t *index, struct err *e);
int core_node_purge(struct core *core, struct uuid id, int64_t now, struct strs *eval_ids, struct arena *a,
    uint64_t *index, struct err *e);
/* What a node should run, for its blocking read. What changed after since; everything (and out->complete) when since is 0, or
 * lies before the node's registration. A node that is not ready hears only what it has to stop. */
void core_node_work(struct core *core, struct arena *a, struct uuid id, uint64_t since, struct node_work *out);

/* What the node observes. u->complete: the `report` of its return that this ends; it gets work again. */
int core_allocs_update(struct core *core, struct uuid node, const struct alloc_updates *u, int64_t now,
    uint64_t *index, struct err *e);
int core_alloc_stop(struct core *core, struct uuid alloc, bool no_shutdown_delay, int64_t now,
    struct core_eval_reply *out, struct err *e);

int core_scheduler_config(struct core *core, const struct scheduler_config *c, int64_t now, uint64_t *index,
    struct err *e);
int core_gc(struct core *core, int64_t now, uint64_t *index, struct err *e); /* system gc: thresholds zero */

/* Why something waits, always current. NULL when nothing does. (sched/why.h) */
struct wait_reason *core_why(struct core *core, struct arena *a, const struct job_entry *job, const char *group,
    int64_t now);
/* The same of every group of a job that waits: struct wait_reason by name, added to out. */
void core_why_job(struct core *core, struct arena *a, const struct job_entry *job, int64_t now, struct objmap *out);

struct core_stats { /* for metrics and agent-info */
	uint64_t evals_ready, evals_blocked, evals_waiting, evals_done, placements, plans, plan_failures;
	uint64_t journal_entries, journal_bytes, snapshots;
	uint64_t heartbeats_active;
};
void core_stats(const struct core *core, struct core_stats *out);

#endif
