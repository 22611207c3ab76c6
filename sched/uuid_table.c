#include "sched/uuid_table.h"

#include <assert.h>

#define TAG_SHIFT 48
#define PTR_MASK  ((UINT64_C(1) << TAG_SHIFT) - 1)
#define MIN_BITS  6

struct uuid_table {
	uint64_t *slots; /* tag << 48 | pointer, 0 = free */
	uint32_t n, bits;
	bool ordered;
};

static uint64_t mix(struct uuid u)
{
	uint64_t x = (u.hi ^ (u.lo * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 29;
	return x * UINT64_C(0x94d049bb133111eb);
}

static uint32_t mask_of(const struct uuid_table *t)
{
	return (UINT32_C(1) << t->bits) - 1;
}

static uint32_t home_of(const struct uuid_table *t, struct uuid id)
{
	return (uint32_t)((t->ordered ? id.hi : mix(id)) >> (64 - t->bits));
}

static uint64_t tag_of(const struct uuid_table *t, struct uuid id)
{
	return ((t->ordered ? id.lo : mix(id)) & 0xffff) << TAG_SHIFT;
}

static void *pointer_of(uint64_t slot)
{
	return (void *)(uintptr_t)(slot & PTR_MASK);
}

static struct uuid id_of(uint64_t slot)
{
	return *(const struct uuid *)pointer_of(slot);
}

struct uuid_table *uuid_table_new(bool ordered)
{
	struct uuid_table *t = xcalloc(1, sizeof(*t));
	t->ordered = ordered;
	t->bits = MIN_BITS;
	t->slots = xcalloc(UINT32_C(1) << t->bits, sizeof(*t->slots));
	return t;
}

void uuid_table_free(struct uuid_table *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t);
}

uint32_t uuid_table_count(const struct uuid_table *t)
{
	return t->n;
}

/* The slot of the id, or the free slot where its search ends. */
static uint32_t find(const struct uuid_table *t, struct uuid id)
{
	uint32_t mask = mask_of(t), i = home_of(t, id);
	uint64_t tag = tag_of(t, id);
	for (; t->slots[i]; i = (i + 1) & mask)
		if ((t->slots[i] & ~PTR_MASK) == tag && uuid_eq(id_of(t->slots[i]), id))
			break;
	return i;
}

void *uuid_table_get(const struct uuid_table *t, struct uuid id)
{
	return pointer_of(t->slots[find(t, id)]);
}

static void grow(struct uuid_table *t)
{
	struct uuid_table bigger = {.bits = t->bits + 1, .ordered = t->ordered};
	assert(bigger.bits < 32);
	bigger.slots = xcalloc(UINT32_C(1) << bigger.bits, sizeof(*bigger.slots));
	for (uint32_t i = 0; i <= mask_of(t); i++)
		if (t->slots[i])
			bigger.slots[find(&bigger, id_of(t->slots[i]))] = t->slots[i];
	free(t->slots);
	t->slots = bigger.slots;
	t->bits = bigger.bits;
}

bool uuid_table_add(struct uuid_table *t, void *obj)
{
	if (t->n + 1 > (UINT32_C(1) << t->bits) / 4 * 3)
		grow(t);
	struct uuid id = *(const struct uuid *)obj;
	uint32_t i = find(t, id);
	assert(!((uintptr_t)obj & ~PTR_MASK));
	if (t->slots[i])
		return false;
	t->slots[i] = (uintptr_t)obj | tag_of(t, id);
	t->n++;
	return true;
}

void *uuid_table_del(struct uuid_table *t, struct uuid id)
{
	uint32_t mask = mask_of(t), hole = find(t, id);
	void *obj = pointer_of(t->slots[hole]);
	if (!obj)
		return NULL;
	/* Whatever follows in the cluster and may live in the hole moves there, so that no tombstone is needed. */
	for (uint32_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
		uint32_t home = home_of(t, id_of(t->slots[i]));
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		t->slots[hole] = t->slots[i];
		hole = i;
	}
	t->slots[hole] = 0;
	t->n--;
	return obj;
}

void *uuid_table_next(const struct uuid_table *t, uint32_t *i)
{
	while (*i <= mask_of(t)) {
		uint64_t slot = t->slots[(*i)++];
		if (slot)
			return pointer_of(slot);
	}
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	return uuid_cmp(**(struct uuid *const *)a, **(struct uuid *const *)b);
}

uint32_t uuid_table_range(const struct uuid_table *t, struct uuid first, struct uuid last, void **out, uint32_t max)
{
	uint32_t mask = mask_of(t), found = 0, i = 0, home_slots = mask + 1;
	if (t->ordered) {
		i = home_of(t, first);
		home_slots = home_of(t, last) - i + 1;
	}
	/* Displaced objects of the range lie behind its homes, up to the next free slot. */
	for (uint32_t seen = 0; seen <= mask && found < max; seen++, i = (i + 1) & mask) {
		uint64_t slot = t->slots[i];
		if (!slot && seen >= home_slots)
			break;
		if (!slot || uuid_cmp(id_of(slot), first) < 0 || uuid_cmp(id_of(slot), last) > 0)
			continue;
		out[found++] = pointer_of(slot);
	}
	if (found)
		qsort(out, found, sizeof(*out), by_id);
	return found;
}
