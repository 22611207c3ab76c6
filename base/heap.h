/*
 * heap: timed items in order of their deadline, the brick behind every timer of the server role
 * and the queues of the broker. Items are embedded; position is kept so that an item can be moved
 * or removed in O(log n). Order is by `key`, then by `seq` (first come, first served).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/util.h"

struct heap_item {
	int64_t key;
	uint64_t seq;
	uint32_t pos; /* 1-based; 0 = not in a heap */
};

struct heap {
	struct heap_item **items; /* [1..n] */
	uint32_t n, cap;
	uint64_t next_seq;
};

#define HEAP_INIT ((struct heap){0})
void heap_free(struct heap *h); /* the array, not the items */
/* Inserts, or moves when the item is already in this heap. */
void heap_set(struct heap *h, struct heap_item *item, int64_t key);
void heap_remove(struct heap *h, struct heap_item *item); /* fine when not in it */
static inline struct heap_item *heap_first(const struct heap *h)
{
	return h->n ? h->items[1] : NULL;
}

#endif
