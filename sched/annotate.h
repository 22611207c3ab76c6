/*
 * annotate: what a plan says about the lines of a diff: how many allocations of a group are created, destroyed, updated;
 * which change forces which of these.
 */
#ifndef SCHED_ANNOTATE_H
#define SCHED_ANNOTATE_H

#include "base/diff.h"

/* Fills in updates and annotations of d, in its arena. old: the present job, or NULL; new: the planned one. */
void annotate_diff(struct arena *a, struct job_diff *d, const struct plan_annotations *p, const struct job *old,
    const struct job *new_job);

#endif
