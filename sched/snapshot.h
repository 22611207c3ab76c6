/*
 * snapshot: the whole state as entries that rebuild it, written in one pass by the thread that owns the state. Reading them back is
 * state_apply() with index 0. Order: head, configuration, nodes; then for each job its versions, evaluations, metrics and
 * allocations; end.
 */
#ifndef SCHED_SNAPSHOT_H
#define SCHED_SNAPSHOT_H

#include "sched/state.h"

/* Each entry is handed to put, which copies what it keeps. */
void snapshot_write(const struct state *s, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg);

#endif
