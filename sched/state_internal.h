/*
 * state_internal: what the files that make up the state (state, apply, snapshot) share: making, changing and dropping
 * its objects while counters, lists and indexes stay true. Nobody else includes this.
 */
#ifndef SCHED_STATE_INTERNAL_H
#define SCHED_STATE_INTERNAL_H

#include "base/wire.h"
#include "sched/state.h"
#include "sched/uuid_table.h"

/* One entry that is being applied. */
struct apply {
	struct state *s;
	uint64_t index;
	int64_t time; /* of the entry */
	struct err *e;
};
int apply_bad(struct apply *c, const char *fmt, ...) PRINTF(2, 3); /* -EBADMSG */
void state_changed(struct apply *c, enum state_table table, const void *obj, bool deleted);

/* Jobs. */
struct job_entry *job_entry_new(struct state *s, const char *ns, const char *id);
/* Forgets a purged entry that nothing refers to any more. */
void job_entry_drop_if_unused(struct apply *c, struct job_entry *j);
void job_entry_free(struct job_entry *j);
/* Takes arena and spec; works out asks and summaries. refs is 0. NULL when the spec cannot be a job's (no id, a group
 * without name, ...). The caller frees the arena then. */
struct job_version *job_version_new(
    struct job_entry *j, struct arena *arena, struct job *spec, uint32_t version, uint64_t modify_index);
void job_version_unref(struct job_version *v);
/* Puts v in front of the history, drops the oldest beyond JOB_VERSIONS_KEPT. */
void job_push_version(struct job_entry *j, struct job_version *v);
void job_drop_versions(struct job_entry *j);
/* Works out the status; a change of it counts as a modification. */
void job_refresh(struct apply *c, struct job_entry *j);

/* Nodes. Replaces the spec (taking the arena) and works out totals, ports, class. */
struct node_entry *node_entry_new(struct state *s, struct uuid id, uint32_t slot); /* slot UINT32_MAX: the lowest free */
int node_set_spec(struct apply *c, struct node_entry *n, struct arena *arena, struct node *spec);
void node_entry_free(struct node_entry *n);
void node_capacity_grew(struct state *s, struct node_entry *n);

/* Allocations. */
void alloc_slab_pop(struct state *s); /* frees one slab of allocations */
/* In the table, and nothing but its id; alloc_insert() has to follow. NULL: the id is taken. */
struct alloc *alloc_new(struct state *s, struct uuid id);
struct alloc_extra *alloc_extra_get(struct alloc *a);
/* Into the lists; takes references; counts. */
void alloc_insert(struct alloc *a);
/* Changes desired and observed; counters and the node's resources follow. */
void alloc_move(struct apply *c, struct alloc *a, enum desired desired, enum observed observed);
/* Moves to another version of its job (same number of ports); its ask and what it holds follow. */
void alloc_rebase(struct state *s, struct alloc *a, struct job_version *v, uint16_t group);
void alloc_delete(struct apply *c, struct alloc *a);
void alloc_unlink_node(struct apply *c, struct alloc *a);
struct metric_ref *metric_ref_new(struct arena *arena, struct alloc_metric *m);
void metric_ref_unref(struct metric_ref *m);

/* Evaluations. Inserts or replaces; takes the arena. */
int eval_set(struct apply *c, struct arena *arena, struct eval *spec);
void eval_set_status(struct apply *c, struct eval_entry *e, enum eval_status status, const char *description);
void eval_delete(struct apply *c, struct eval_entry *e);

/* Applies one record of each kind: sched/apply*.c, sched/snapshot.c. */
typedef int apply_fn(struct apply *c, struct wire *w);
apply_fn apply_plan, apply_alloc_updates, apply_alloc_transition, apply_alloc_revive, apply_alloc_delete;
apply_fn apply_scale_in;
apply_fn apply_snap_head, apply_snap_node, apply_snap_job, apply_snap_version, apply_snap_eval, apply_snap_metric,
    apply_snap_allocs, apply_snap_end;
void restore_free(struct restore *r);

#endif
