/*
 * alloc_gc: which ended allocations leave the disk, and how: a pure choice, and a trash that removes trees on a thread
 * of its own, because a big build's folder takes seconds. What is not removed when the agent dies is removed by the
 * next one. A running allocation is never chosen.
 */
#ifndef AGENT_ALLOC_GC_H
#define AGENT_ALLOC_GC_H

#include "base/err.h"

struct alloc_gc_limits {
	int64_t max_allocs; /* all allocations on this client; 0 = no limit */
	int64_t max_age;    /* of ended ones, ns; 0 = no limit */
	double disk_percent, inode_percent; /* of the file system of alloc_dir; 0 = no limit */
};

/* ended_at: when the removable allocations ended, oldest first; total: all allocations, running ones included.
 * Returns how many of the oldest should go. Under disk pressure a few at a time, because room is measured again. */
size_t alloc_gc_choose(const struct alloc_gc_limits *l, const int64_t *ended_at, size_t n, size_t total, double disk_used,
    double inodes_used, int64_t now);
/* Used share of the file system in percent; 0 when it cannot be told. */
void alloc_gc_measure(const char *dir, double *disk_used, double *inodes_used);

struct trash;
struct trash *trash_new(const char *alloc_dir); /* takes up what an earlier agent left */
/* Moves <alloc_dir>/<id> away at once and removes it later. */
int trash_put(struct trash *t, const char *id, struct err *e);
void trash_free(struct trash *t); /* waits for the removal under way */

#endif
