/*
 * model: the setters of the lists and maps that the structs are made of. Every map is kept in
 * ascending byte order of its keys.
 */
#include "base/model.h"

#define MIN_CAP 4U

/* Room for one more item of the list (v, n, cap) at position i, the others moved up. */
static void *open_slot(
    struct arena *a, void *v, uint32_t *n, uint32_t *cap, size_t size, uint32_t i)
{
	if (*n >= *cap) {
		uint32_t more = MAX(*n * 2, MIN_CAP);
		char *bigger = arena_alloc(a, more * size);

		if (*n)
			memcpy(bigger, v, *n * size);
		v = bigger;
		*cap = more;
	}
	memmove((char *)v + (i + 1) * size, (char *)v + i * size, (*n - i) * size);
	++*n;
	return v;
}

/* Position of the key in a map whose items begin with their key; *found tells whether it is there. */
static uint32_t find_key(const void *v, uint32_t n, size_t size, const char *key, bool *found)
{
	uint32_t low = 0, high = n;

	*found = false;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int c = strcmp(*(char *const *)((const char *)v + mid * size), key);

		if (!c) {
			*found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The item of the key, which is added when it is not there. */
#define MAP_ITEM(a, m, key_)                                                                       \
	({                                                                                         \
		bool found_;                                                                       \
		uint32_t i_ = find_key((m)->v, (m)->n, sizeof(*(m)->v), (key_), &found_);          \
		if (!found_) {                                                                     \
			(m)->v =                                                                   \
			    open_slot((a), (m)->v, &(m)->n, &(m)->cap, sizeof(*(m)->v), i_);       \
			(m)->v[i_].key = arena_strdup((a), (key_));                                \
		}                                                                                  \
		&(m)->v[i_];                                                                       \
	})

#define MAP_FIND(m, key_)                                                                          \
	({                                                                                         \
		bool found_;                                                                       \
		uint32_t i_ = find_key((m)->v, (m)->n, sizeof(*(m)->v), (key_), &found_);          \
		found_ ? &(m)->v[i_] : NULL;                                                       \
	})

void strs_push(struct arena *a, struct strs *l, const char *s)
{
	l->v = open_slot(a, l->v, &l->n, &l->cap, sizeof(*l->v), l->n);
	l->v[l->n - 1] = arena_strdup(a, s);
}

bool strs_has(const struct strs *l, const char *s)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], s) == 0)
			return true;
	return false;
}

void objs_push(struct arena *a, struct objs *l, void *obj)
{
	l->v = open_slot(a, l->v, &l->n, &l->cap, sizeof(*l->v), l->n);
	l->v[l->n - 1] = obj;
}

const char *strmap_get(const struct strmap *m, const char *key)
{
	const struct strmap_item *it = MAP_FIND(m, key);

	return it ? it->value : NULL;
}

void strmap_set(struct arena *a, struct strmap *m, const char *key, const char *value)
{
	MAP_ITEM(a, m, key)->value = arena_strdup(a, value);
}

void *objmap_get(const struct objmap *m, const char *key)
{
	const struct objmap_item *it = MAP_FIND(m, key);

	return it ? it->value : NULL;
}

void objmap_set(struct arena *a, struct objmap *m, const char *key, void *value)
{
	MAP_ITEM(a, m, key)->value = value;
}

int64_t intmap_get(const struct intmap *m, const char *key)
{
	const struct intmap_item *it = MAP_FIND(m, key);

	return it ? it->value : 0;
}

void intmap_set(struct arena *a, struct intmap *m, const char *key, int64_t value)
{
	MAP_ITEM(a, m, key)->value = value;
}

void dblmap_set(struct arena *a, struct dblmap *m, const char *key, double value)
{
	MAP_ITEM(a, m, key)->value = value;
}

const struct strs *hdrmap_get(const struct hdrmap *m, const char *key)
{
	const struct hdrmap_item *it = MAP_FIND(m, key);

	return it ? &it->value : NULL;
}

void hdrmap_set(struct arena *a, struct hdrmap *m, const char *key, struct strs value)
{
	MAP_ITEM(a, m, key)->value = value;
}
