/*
 * map: open addressing with linear probing. A slot without a key is free, or a tombstone when its
 * value is the marker. At most 3/4 of the slots are used, tombstones included.
 */
#include "base/map.h"

#define MIN_CAP 8

static char tombstone;

uint32_t hash_bytes(const void *p, size_t n)
{
	const uint8_t *s = p;
	uint32_t h = UINT32_C(2166136261);

	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * UINT32_C(16777619);
	/* FNV's low bits are weak, and the low bits choose the slot. */
	h ^= h >> 16;
	h *= UINT32_C(0x7feb352d);
	h ^= h >> 15;
	return h;
}

void map_free(struct map *m)
{
	for (uint32_t i = 0; i < m->cap; i++)
		free(m->items[i].key);
	free(m->items);
	*m = MAP_INIT;
}

static struct map_item *find(const struct map *m, const char *key, uint32_t hash)
{
	if (!m->cap)
		return NULL;
	for (uint32_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_item *it = &m->items[i];

		if (!it->key && it->value != &tombstone)
			return NULL;
		if (it->key && it->hash == hash && strcmp(it->key, key) == 0)
			return it;
	}
}

static struct map_item *free_slot(struct map *m, uint32_t hash)
{
	uint32_t i = hash & (m->cap - 1);

	while (m->items[i].key)
		i = (i + 1) & (m->cap - 1);
	return &m->items[i];
}

static void rebuild(struct map *m)
{
	struct map old = *m;

	m->cap = MIN_CAP;
	while (m->cap / 2 < old.n + 1)
		m->cap *= 2;
	m->items = xcalloc(m->cap, sizeof(*m->items));
	m->used = m->n;
	for (uint32_t i = 0; i < old.cap; i++)
		if (old.items[i].key)
			*free_slot(m, old.items[i].hash) = old.items[i];
	free(old.items);
}

void *map_get(const struct map *m, const char *key)
{
	struct map_item *it = find(m, key, hash_bytes(key, strlen(key)));

	return it ? it->value : NULL;
}

void *map_set(struct map *m, const char *key, void *value)
{
	uint32_t hash = hash_bytes(key, strlen(key));
	struct map_item *it = find(m, key, hash);

	if (it) {
		void *before = it->value;

		it->value = value;
		return before;
	}
	if ((uint64_t)(m->used + 1) * 4 > (uint64_t)m->cap * 3)
		rebuild(m);
	it = free_slot(m, hash);
	m->used += it->value != &tombstone;
	m->n++;
	*it = (struct map_item){.key = xstrdup(key), .value = value, .hash = hash};
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	struct map_item *it = find(m, key, hash_bytes(key, strlen(key)));
	void *before;

	if (!it)
		return NULL;
	before = it->value;
	free(it->key);
	*it = (struct map_item){.value = &tombstone};
	m->n--;
	return before;
}

bool map_next(const struct map *m, uint32_t *i, const char **key, void **value)
{
	for (; *i < m->cap; ++*i) {
		struct map_item *it = &m->items[*i];

		if (!it->key)
			continue;
		*key = it->key;
		*value = it->value;
		++*i;
		return true;
	}
	return false;
}
