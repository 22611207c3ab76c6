/*
 * spreading: the part of a score that `spread` blocks give, by the values that nodes have for their attributes. Nodes with
 * the same values form a zone: all of them have the same part, so that it is worked out once for each zone.
 */
#ifndef SCHED_SPREADING_H
#define SCHED_SPREADING_H

#include "sched/proposed.h"

struct spreading;

/* Of a group of a job version; NULL when there is no spread block. Allocations of the group in p are counted. */
struct spreading *spreading_new(const struct job_version *v, uint32_t group, const struct proposed *p);
void spreading_free(struct spreading *s);
/* The zone of a node: 0, 1, ... in order of first sight. 0 for all without spreads (s NULL). */
uint32_t spreading_zone(struct spreading *s, const struct node *n);
/* One more allocation is in the zone; by = -1: one less. */
void spreading_count(struct spreading *s, uint32_t zone, int by);
/* The boost of a zone, as it is after the last count: the sum over the blocks of section "allocation-spread". */
double spreading_boost(struct spreading *s, uint32_t zone);

#endif
