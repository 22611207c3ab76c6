/*
 * entry: what a journal entry means. An entry is one step of the state: a time and one or more records that are applied
 * together. state_apply() reads it, this file writes it.
 *
 *   entry   u8 version (1), zigzag time (Unix ns), records to the end
 *   record  u8 kind, u32 little-endian length of the body, body
 *
 * Bodies use the bricks of base/wire.h; "object" is a length-prefixed codec_put(). Kinds are numbers of the format: new ones
 * are appended, none is ever given another meaning.
 */
#ifndef SCHED_ENTRY_H
#define SCHED_ENTRY_H

#include "base/codec.h"
#include "base/wire.h"
#include "sched/plan.h"
#include "sched/state.h"

#define ENTRY_VERSION 1

enum entry_kind {
	ENTRY_GENESIS = 1,      /* uuid cluster, uuid seed: the first entry of a cluster */
	ENTRY_JOB,              /* object job, object job_submission or empty: a new version (Stop included) */
	ENTRY_JOB_PURGE,        /* str namespace, str id */
	ENTRY_JOB_STABLE,       /* str namespace, str id, u64 version, u64 stable */
	ENTRY_NODE,             /* object node, complete */
	ENTRY_NODE_STATUS,      /* uuid, u64 status, str message, str subsystem */
	ENTRY_NODE_ELIGIBILITY, /* uuid, u64 eligible, str message, str subsystem */
	ENTRY_NODE_DELETE,      /* uuid */
	ENTRY_EVAL,             /* object eval, complete */
	ENTRY_EVAL_CANCEL,      /* uuid, str description */
	ENTRY_EVAL_DELETE,      /* uuids to the end */
	ENTRY_PLAN,             /* see entry_plan() */
	ENTRY_ALLOC_UPDATES,    /* { uuid, object alloc_update } to the end */
	ENTRY_ALLOC_TRANSITION, /* uuid, object desired_transition */
	ENTRY_ALLOC_DELETE,     /* uuids to the end */
	ENTRY_CONFIG,           /* object scheduler_config */
	ENTRY_SNAP_HEAD,        /* from here: only in snapshots, see sched/snapshot.c */
	ENTRY_SNAP_NODE,
	ENTRY_SNAP_JOB,
	ENTRY_SNAP_VERSION,
	ENTRY_SNAP_EVAL,
	ENTRY_SNAP_METRIC,
	ENTRY_SNAP_ALLOCS,
	ENTRY_SNAP_END,
	ENTRY_NODE_DRAIN, /* uuid, object drain_strategy (without fields: none), object drain_metadata, u64 eligible, str message, str subsystem */
	ENTRY_ALLOC_REVIVE, /* uuid: what was given up as lost should run again, and is unknown until its client says more */
	ENTRY_NODE_EVENT, /* uuid, object node_event: message, subsystem and details */
	ENTRY_NODES_SEEN, /* { u64 slot, u64 seconds before the entry's time } to the end */
	ENTRY_SCALE_IN, /* object scale_in; stands in snapshots too */
	ENTRY_KINDS,
};
extern const char *const entry_kind_names[ENTRY_KINDS]; /* for messages: "job", "plan", ... */

/* An entry is begun, records are put one after another, and the buffer is the entry. */
void entry_begin(struct buf *b, int64_t time);
bool entry_is_empty(const struct buf *b); /* no record was put */
/* Opens a record whose body the caller writes; close with the value that open returned. */
size_t entry_open(struct buf *b, enum entry_kind kind);
void entry_close(struct buf *b, size_t opened);

void entry_genesis(struct buf *b, struct uuid cluster, struct uuid seed);
void entry_job(struct buf *b, const struct job *spec, const struct job_submission *submission);
void entry_job_purge(struct buf *b, const char *ns, const char *id);
void entry_job_stable(struct buf *b, const char *ns, const char *id, uint64_t version, bool stable);
void entry_node(struct buf *b, const struct node *n);
void entry_node_status(struct buf *b, struct uuid id, enum node_status status, const char *message);
void entry_node_eligibility(struct buf *b, struct uuid id, bool eligible, const char *message);
void entry_node_drain(struct buf *b, struct uuid id, const struct drain_strategy *strategy, const struct drain_metadata *last,
    bool eligible, const char *message);
void entry_node_event(struct buf *b, struct uuid id, const struct node_event *ev);
void entry_node_delete(struct buf *b, struct uuid id);
void entry_eval(struct buf *b, const struct eval *e);
void entry_eval_cancel(struct buf *b, struct uuid id, const char *description);
/*
 * The plan, compact: the job's name and version, node slots and the index of the metric are written once or as small numbers,
 * so that a placement costs about ten bytes.
 *
 *   uuid eval, uuid seed, u64 has_version [ str namespace, str id, u64 version ]
 *   u64 n { object alloc_metric }
 *   u64 n { u64 flags, [uuid id], u64 slot of the node, u64 group, u64 index, u64 metric, f32 score, ports u16...,
 *           [uuid previous], [object reschedule_tracker] }                             flags: enum place_flag
 *   u64 n { uuid alloc, u64 desired, u64 observed + 1 (0 = as it is), str description, uuid followup, uuid preempted by }
 *   u64 n { uuid alloc, uuid followup, u64 move_version }
 *
 * The evaluation and the new ones follow as ENTRY_EVAL records.
 */
enum place_flag { PLACE_ID = 1, PLACE_PREVIOUS = 2, PLACE_TRACKER = 4, PLACE_CANARY = 8 };
#define PLACE_NO_METRIC UINT32_MAX
void entry_plan(struct buf *b, const struct plan *p);
void entry_alloc_update(struct buf *b, struct uuid id, const struct alloc_update *u);
void entry_alloc_transition(struct buf *b, struct uuid id, const struct desired_transition *t);
void entry_alloc_revive(struct buf *b, struct uuid id);
void entry_scale_in(struct buf *b, const struct scale_in *op);
void entry_config(struct buf *b, const struct scheduler_config *c);

/* A length-prefixed object, and reading it: the object in the arena, or NULL when it is damaged. */
void entry_put_object(struct buf *b, const struct type *t, const void *obj);
void *entry_take_object(struct wire *w, const struct type *t, struct arena *a);

#endif
