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

struct alloc_gc_look { /* at the client, before one more is removed */
	size_t total;      /* allocations, running ones included */
	size_t removed;    /* so far in this round */
	double disk_used, inodes_used; /* percent, at the beginning of the round */
	int64_t now;
};
/* Whether the oldest ended one should go. Under disk pressure a few in each round, because room is measured again. */
bool alloc_gc_wants(const struct alloc_gc_limits *l, const struct alloc_gc_look *at, int64_t ended_at);
/* Used share of the file system in percent; 0 when it cannot be told. */
void alloc_gc_measure(const char *dir, double *disk_used, double *inodes_used);

struct trash;
struct trash *trash_new(const char *folder); /* takes up what an earlier agent left */
/* Moves <folder>/<name> away at once and removes it later. Fine when it is not there. */
int trash_put(struct trash *t, const char *name, struct err *e);
void trash_free(struct trash *t); /* waits for the removal under way */

#endif
