/*
 * client_table: the allocations and job versions that one client holds, and what the client does with them: takes up
 * records of an earlier agent, applies what the servers desire, removes what has ended. Owned by agent/client.c.
 */
#ifndef AGENT_CLIENT_TABLE_H
#define AGENT_CLIENT_TABLE_H

#include "agent/alloc_gc.h"
#include "agent/alloc_run.h"
#include "base/heap.h"
#include "base/map.h"

struct client_table {
	struct run_host host;
	struct map allocs; /* id -> struct alloc_run */
	struct map jobs;   /* version key -> struct job_ref */
	struct trash *trash, *record_trash; /* of folders of allocations, and of their records */
	/* New allocations that wait for their begin: starting a thousand at once would hold the loop for a second. */
	struct alloc_run **waiting; /* NULL where one was removed meanwhile */
	size_t waiting_n, waiting_cap, waiting_head;
	struct event *begin;
	uint64_t answers; /* of the servers so far */
	struct heap removable; /* what client_table_gc may remove, by its end; those that the servers forgot come first */
	/* Called before an allocation leaves the table. */
	void (*on_remove)(void *arg, struct alloc_run *a);
};

/* Releases all; processes go on. */
void client_table_release(struct client_table *t);
/* Takes up every record below host.records that says enough, and every process. The others wait until the servers
 * describe their allocations. */
void client_table_restore(struct client_table *t);
/* What the servers desire. stale: from an answer older than one seen before; stops nothing. whole: names all that they
 * know of this node, so that what they once knew and do not name is forgotten. */
void client_table_apply(struct client_table *t, const struct node_work *work, bool stale, bool whole);
/* Removes an ended allocation from memory and disk. -EBUSY while it runs. */
int client_table_remove(struct client_table *t, struct alloc_run *a, struct err *e);
/* To be called when an allocation may have become removable: it was reported. */
void client_table_look(struct client_table *t, struct alloc_run *a);
/* Removes ended and reported allocations beyond the limits, and those that the servers forgot; all: whatever the limits.
 * Stops when the budget (ns) is spent: true then, there is more to do. */
bool client_table_gc(struct client_table *t, const struct alloc_gc_limits *limits, bool all, int64_t budget);

#endif
