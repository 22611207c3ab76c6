/*
 * update: what a new version of a job means for an allocation of an older one: nothing but a new version number, or a new
 * allocation in its place; and whether an allocation has proved itself.
 */
#ifndef SCHED_UPDATE_H
#define SCHED_UPDATE_H

#include "sched/state.h"

/* Whether allocations of `from` must be replaced to become ones of `to`: groups of the same name, with their jobs, because
 * meta is inherited. */
bool update_is_destructive(
    const struct job *from_job, const struct task_group *from, const struct job *to_job, const struct task_group *to);
/* All tasks have been running for the group's min_healthy_time, or the client says that it is healthy. *when, when not
 * NULL: the instant from which it will be if it goes on like this; NEVER when that cannot be told. */
bool update_is_healthy(const struct alloc *a, const struct update_strategy *u, int64_t now, int64_t *when);

/* ---- reschedule policy ---- */
enum reschedule_verdict { RESCHEDULE_NEVER, RESCHEDULE_NOW, RESCHEDULE_LATER };
/* Of a failed allocation; *at is when (with LATER), *delay what the tracker will say. */
enum reschedule_verdict reschedule_verdict(const struct alloc *a, const struct reschedule_policy *p, int64_t now,
    int64_t *at, int64_t *delay);
/* The tracker of the replacement. */
struct reschedule_tracker *reschedule_track(
    const struct alloc *a, const struct reschedule_policy *p, int64_t now, int64_t delay, struct arena *arena);

#endif
