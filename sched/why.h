/*
 * why: the reason why something waits, worked out from the state as it is now: a stable code, a sentence, the causes with
 * the counts of nodes they rule out and the nearest miss.
 *
 * codes  no-nodes; cpu memory disk ports devices max-allocations; datacenter node-pool node-down node-ineligible
 *        node-draining constraint driver volume network cores distinct-hosts distinct-property;
 *        evaluation (room is there, the scheduler has yet to come to it), paused, reschedule-delay, reschedule-exhausted,
 *        update-health, client (placed, not started yet), node-away (unknown, and not replaced)
 */
#ifndef SCHED_WHY_H
#define SCHED_WHY_H

#include "sched/place.h"
#include "sched/reconcile.h"

/* Of a group of a job; NULL when nothing of it waits. In the arena. evals: how many evaluations are queued. */
struct wait_reason *why_group(const struct state *s, struct job_entry *job, const char *group, uint64_t evals, int64_t now,
    struct arena *a);
/* Of all groups of a job that wait, at the price of about one: struct wait_reason by name, added to out. */
void why_job(const struct state *s, struct job_entry *job, uint64_t evals, int64_t now, struct arena *a, struct objmap *out);

/* The metric of wants of a group that found no place, one or more: what rules nodes out, with the sentence in .reason. */
struct alloc_metric *why_metric(struct place *p, const struct place_request *r, const struct want *const *wants, uint32_t n);

#endif
