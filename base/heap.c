/* heap: a binary heap of embedded items, 1-based. items[i]->pos == i always holds. */
#include "base/heap.h"

void heap_free(struct heap *h)
{
	free(h->items);
	*h = HEAP_INIT;
}

static bool before(const struct heap_item *a, const struct heap_item *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void put_at(struct heap *h, uint32_t pos, struct heap_item *item)
{
	h->items[pos] = item;
	item->pos = pos;
}

/* Brings the item, which lies at a free position, to its place. */
static void settle(struct heap *h, uint32_t pos, struct heap_item *item)
{
	while (pos > 1 && before(item, h->items[pos / 2])) {
		put_at(h, pos, h->items[pos / 2]);
		pos /= 2;
	}
	for (uint32_t child; (child = pos * 2) <= h->n; pos = child) {
		if (child < h->n && before(h->items[child + 1], h->items[child]))
			child++;
		if (!before(h->items[child], item))
			break;
		put_at(h, pos, h->items[child]);
	}
	put_at(h, pos, item);
}

void heap_set(struct heap *h, struct heap_item *item, int64_t key)
{
	if (item->pos && item->key == key)
		return;
	if (!item->pos) {
		if (h->n + 1 >= h->cap) {
			h->cap = MAX(h->cap * 2, UINT32_C(16));
			h->items = xrealloc(h->items, h->cap, sizeof(*h->items));
		}
		item->pos = ++h->n;
	}
	item->key = key;
	item->seq = h->next_seq++;
	settle(h, item->pos, item);
}

void heap_remove(struct heap *h, struct heap_item *item)
{
	uint32_t pos = item->pos;
	struct heap_item *last;

	if (!pos)
		return;
	last = h->items[h->n--];
	item->pos = 0;
	if (last != item)
		settle(h, pos, last);
}
