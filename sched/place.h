/*
 * place: which node gets the next allocation of a group. Every feasible node is scored and the best one wins; of equal
 * ones the plan's seed decides, so that equal nodes take turns. The scores are means of these parts, of those that apply:
 *
 *   binpack                  1 - (10^cpu + 10^memory - 2) / 18, cpu and memory being what would be left free, as
 *                            fractions of the node's total; with the spread algorithm 1 minus that
 *   job-anti-affinity        -(k + 1) / count when k > 0 allocations of the group are there
 *   node-reschedule-penalty  -1 where the allocation that is replaced has failed before
 *   node-affinity            sum of the weights of matching affinities / sum of the absolute weights, unless 0
 *   allocation-spread        see sched/spreading.c, unless 0
 *
 * A placement changes the score of the node it takes and, with spread blocks, the boost of the node's zone; all the other
 * scores stay. So candidates lie in heaps, one for each zone and number of parts, inside of which the order does not
 * depend on the boost, and the best one is among the tops. For a few placements only the few best nodes become candidates:
 * whatever is placed, the best of the others is among them. When they are used up all nodes are looked at again.
 */
#ifndef SCHED_PLACE_H
#define SCHED_PLACE_H

#include "sched/feasible.h"
#include "sched/proposed.h"

struct place_request {
	struct proposed *proposed; /* with everything that stays or has been placed already; placements are added */
	struct job_version *version;
	uint32_t group;
	uint64_t seed;
	struct arena *arena; /* of metric and grants */
	uint32_t plain; /* so many placements will be asked for that replace nothing; 0: others too, or it is not known */
	bool look; /* nothing will be placed: there are no candidates and no metric */
};

struct place;
struct place *place_begin(const struct place_request *r);
void place_end(struct place *p);
/* Takes the best node. avoid: ids of nodes with the reschedule penalty. False: none has room; nothing changed. */
bool place_next(struct place *p, const struct uuid *avoid, uint32_t n_avoid, struct placement *out);
/* Takes that node, as system jobs do; false when it is not feasible or has no room. */
bool place_on(struct place *p, struct node_entry *n, struct placement *out);
/* While one looks for the place of a replacement, what it replaces does not count: item is its position in proposed.items. When
 * no place was found it counts again. */
void place_forget(struct place *p, uint32_t item);
void place_remember(struct place *p, uint32_t item);
/* How the search went when it began, with the five best nodes; made once. */
struct alloc_metric *place_metric(struct place *p);
/* The conditions of the group, compiled. */
struct feasible *place_feasible(struct place *p);
/* Why distinct_* keep the group from the node now; FILTER_NONE when they do not. */
struct filter place_distinct(struct place *p, const struct node_entry *n);

#endif
