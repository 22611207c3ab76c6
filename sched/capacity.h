/*
 * capacity: how much there is now, and how much is missing. Both are asked of the very functions that place allocations
 * (sched/place.h, sched/feasible.h, sched/fit.h), so that the answers are what placement will do.
 *
 *   free and total   sums over nodes: total of the active ones (ready), free of those that take new work
 *   fits             how many more allocations of a group the scheduler would place on top of those that are there: a count
 *                    greater by this number is met, by one more it is not. Each group of a job by itself. Of a job that runs
 *                    everywhere: on how many nodes it is not, and would be.
 *   wanted           what found no place when the scheduler looked last, gathered by what it asks for, and how many empty
 *                    nodes, like those that are known, would take it. A node that is down or drained is as good a model
 *                    as any. Different shapes share nodes, the large ones are packed first. Of models the one is
 *                    taken that needs the least cpu for what is left of a shape, then the least memory.
 */
#ifndef SCHED_CAPACITY_H
#define SCHED_CAPACITY_H

#include "sched/state.h"

#define CAPACITY_SHAPES 100 /* that are told apart; the rest is counted */
#define CAPACITY_MODELS 256 /* nodes that differ, as models of new ones */

/* Without .job. Everything is in the arena, or shared with the state. */
struct capacity *capacity_now(const struct state *s, struct arena *a);
/* max: no more than so many are counted for a group. */
struct capacity_job *capacity_of_job(const struct state *s, struct job_entry *j, int64_t max, int64_t now, struct arena *a);

/* sched/wanted.c: fills in what is pending and wanted; the classes are there. class_of: of each node by slot. */
void wanted_fill(const struct state *s, struct capacity *c, struct capacity_class *const *class_of, struct arena *a);

#endif
