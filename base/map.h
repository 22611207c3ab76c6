/*
 * map: a hash table from byte-string keys to pointers. Keys are copied; values are the caller's.
 * Open addressing, grows by doubling; iteration order is unspecified, so whatever must be
 * deterministic sorts. Deleting while iterating with map_next is allowed for the current item.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/util.h"

struct map_item {
	char *key; /* NUL-terminated copy, NULL = free slot */
	void *value;
	uint32_t hash;
};

struct map {
	struct map_item *items;
	uint32_t cap, n, used; /* used counts tombstones too */
};

#define MAP_INIT ((struct map){0})
void map_free(struct map *m); /* keys only; the caller frees values first */
void *map_get(const struct map *m, const char *key); /* NULL when absent */
/* Sets key to value (not NULL) and returns the value that was there before, or NULL. */
void *map_set(struct map *m, const char *key, void *value);
void *map_del(struct map *m, const char *key); /* the value that was there, or NULL */
/* Iteration: `for (uint32_t i = 0; map_next(m, &i, &key, &value);)` */
bool map_next(const struct map *m, uint32_t *i, const char **key, void **value);
/* FNV-1a style mixing hash used by the tables of this project. */
uint32_t hash_bytes(const void *p, size_t n);

#endif
