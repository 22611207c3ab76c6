/* value: construction, comparison and the text and binary forms of dynamic data. */
#include "base/value.h"

#include "base/json.h"

#include <jansson.h>

/* No tree that comes from outside is deeper: jansson's own limit, kept for the binary form too. */
#define MAX_DEPTH 2048

static struct value *new_value(struct arena *a, enum value_kind kind)
{
	struct value *v = arena_alloc(a, sizeof(*v));

	v->kind = kind;
	return v;
}

struct value *value_null(struct arena *a)
{
	return new_value(a, VAL_NULL);
}

struct value *value_bool(struct arena *a, bool b)
{
	struct value *v = new_value(a, VAL_BOOL);

	v->b = b;
	return v;
}

struct value *value_int(struct arena *a, int64_t i)
{
	struct value *v = new_value(a, VAL_INT);

	v->i = i;
	return v;
}

struct value *value_float(struct arena *a, double f)
{
	struct value *v = new_value(a, VAL_FLOAT);

	v->f = f;
	return v;
}

/* n bytes, which may hold NUL; a NUL follows them. */
static struct value *string_of(struct arena *a, const char *s, size_t n)
{
	struct value *v = new_value(a, VAL_STR);
	char *copy = arena_alloc(a, n + 1);

	if (n)
		memcpy(copy, s, n);
	v->s = copy;
	v->n = (uint32_t)n;
	return v;
}

struct value *value_str(struct arena *a, const char *s)
{
	return string_of(a, s, strlen(s));
}

struct value *value_list(struct arena *a, struct value **items, uint32_t n)
{
	struct value *v = new_value(a, VAL_LIST);

	v->items = arena_copy(a, items, n * sizeof(struct value *));
	v->n = n;
	return v;
}

struct pair {
	const char *key;
	struct value *item;
	uint32_t order;
};

static int pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

struct value *value_map(struct arena *a, const char **keys, struct value **items, uint32_t n)
{
	struct value *v = new_value(a, VAL_MAP);
	struct pair *pairs = xcalloc(n, sizeof(*pairs));

	for (uint32_t i = 0; i < n; i++)
		pairs[i] = (struct pair){.key = keys[i], .item = items[i], .order = i};
	qsort(pairs, n, sizeof(*pairs), pair_cmp);
	v->keys = arena_alloc(a, n * sizeof(*v->keys));
	v->items = arena_alloc(a, n * sizeof(struct value *));
	for (uint32_t i = 0; i < n; i++) {
		if (i + 1 < n && strcmp(pairs[i].key, pairs[i + 1].key) == 0)
			continue;
		v->keys[v->n] = pairs[i].key;
		v->items[v->n++] = pairs[i].item;
	}
	free(pairs);
	return v;
}

struct value *value_copy(struct arena *a, const struct value *v)
{
	struct value *copy;

	if (!v)
		return NULL;
	copy = arena_copy(a, v, sizeof(*v));
	if (v->kind == VAL_STR)
		copy->s = arena_copy(a, v->s, v->n + 1);
	if (v->kind != VAL_LIST && v->kind != VAL_MAP)
		return copy;
	copy->items = arena_alloc(a, v->n * sizeof(struct value *));
	for (uint32_t i = 0; i < v->n; i++)
		copy->items[i] = value_copy(a, v->items[i]);
	if (v->kind == VAL_MAP) {
		copy->keys = arena_alloc(a, v->n * sizeof(*v->keys));
		for (uint32_t i = 0; i < v->n; i++)
			copy->keys[i] = arena_strdup(a, v->keys[i]);
	}
	return copy;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (!a || !b)
		return a == b;
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case VAL_NULL:
		return true;
	case VAL_BOOL:
		return a->b == b->b;
	case VAL_INT:
		return a->i == b->i;
	case VAL_FLOAT:
		return a->f == b->f;
	case VAL_STR:
		return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;
	case VAL_LIST:
	case VAL_MAP:
		break;
	}
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->kind == VAL_MAP && strcmp(a->keys[i], b->keys[i]) != 0)
			return false;
		if (!value_equal(a->items[i], b->items[i]))
			return false;
	}
	return true;
}

const struct value *value_get(const struct value *map, const char *key)
{
	uint32_t low = 0, high = map && map->kind == VAL_MAP ? map->n : 0;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int c = strcmp(map->keys[mid], key);

		if (!c)
			return map->items[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static struct value *list_from_json(struct arena *a, const json_t *j)
{
	uint32_t n = (uint32_t)json_array_size(j);
	struct value *v = new_value(a, VAL_LIST);

	v->n = n;
	v->items = arena_alloc(a, n * sizeof(struct value *));
	for (uint32_t i = 0; i < n; i++)
		v->items[i] = value_from_json(a, json_array_get(j, i));
	return v;
}

static struct value *map_from_json(struct arena *a, const json_t *j)
{
	size_t n = json_object_size(j);
	const char **keys = xcalloc(n, sizeof(*keys));
	struct value **items = xcalloc(n, sizeof(*items));
	struct value *v;
	const char *key;
	json_t *item;
	uint32_t i = 0;

	json_object_foreach((json_t *)j, key, item) {
		keys[i] = arena_strdup(a, key);
		items[i++] = value_from_json(a, item);
	}
	v = value_map(a, keys, items, i);
	free(keys);
	free(items);
	return v;
}

struct value *value_from_json(struct arena *a, const struct json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return map_from_json(a, j);
	case JSON_ARRAY:
		return list_from_json(a, j);
	case JSON_STRING:
		return string_of(a, json_string_value(j), json_string_length(j));
	case JSON_INTEGER:
		return value_int(a, json_integer_value(j));
	case JSON_REAL:
		return value_float(a, json_real_value(j));
	case JSON_TRUE:
		return value_bool(a, true);
	case JSON_FALSE:
		return value_bool(a, false);
	case JSON_NULL:
		break;
	}
	return value_null(a);
}

static void print_items(struct buf *b, const struct value *v, int indent, int depth)
{
	bool first = true;

	buf_putc(b, v->kind == VAL_MAP ? '{' : '[');
	for (uint32_t i = 0; i < v->n; i++) {
		if (v->kind == VAL_MAP)
			json_put_key(b, v->keys[i], &first, indent, depth + 1);
		else
			json_put_sep(b, &first, indent, depth + 1);
		value_print_json(b, v->items[i], indent, depth + 1);
	}
	json_put_end(b, v->kind == VAL_MAP ? '}' : ']', first, indent, depth);
}

void value_print_json(struct buf *b, const struct value *v, int indent, int depth)
{
	switch (v ? v->kind : VAL_NULL) {
	case VAL_NULL:
		buf_puts(b, "null");
		break;
	case VAL_BOOL:
		json_put_bool(b, v->b);
		break;
	case VAL_INT:
		json_put_int(b, v->i);
		break;
	case VAL_FLOAT:
		json_put_double(b, v->f);
		break;
	case VAL_STR:
		json_put_string(b, v->s, v->n);
		break;
	case VAL_LIST:
	case VAL_MAP:
		print_items(b, v, indent, depth);
		break;
	}
}

void value_put(struct buf *b, const struct value *v)
{
	wire_put_u64(b, v ? v->kind : VAL_NULL);
	switch (v ? v->kind : VAL_NULL) {
	case VAL_NULL:
		break;
	case VAL_BOOL:
		wire_put_u64(b, v->b);
		break;
	case VAL_INT:
		wire_put_i64(b, v->i);
		break;
	case VAL_FLOAT:
		wire_put_f64(b, v->f);
		break;
	case VAL_STR:
		wire_put_bytes(b, v->s, v->n);
		break;
	case VAL_LIST:
	case VAL_MAP:
		wire_put_u64(b, v->n);
		for (uint32_t i = 0; i < v->n; i++) {
			if (v->kind == VAL_MAP)
				wire_put_str(b, v->keys[i]);
			value_put(b, v->items[i]);
		}
		break;
	}
}

static struct value *take_value(struct wire *w, struct arena *a, int depth);

static struct value *take_items(struct wire *w, struct arena *a, enum value_kind kind, int depth)
{
	uint64_t n = wire_u64(w);
	struct value *v = new_value(a, kind);

	/* Every item has at least one byte, so a count past the input is a lie. */
	if (w->bad || n > (size_t)(w->end - w->p)) {
		w->bad = true;
		return v;
	}
	v->items = arena_alloc(a, n * sizeof(struct value *));
	if (kind == VAL_MAP)
		v->keys = arena_alloc(a, n * sizeof(*v->keys));
	for (uint64_t i = 0; i < n && !w->bad; i++) {
		if (kind == VAL_MAP) {
			v->keys[i] = wire_str(w, a);
			/* The order is an invariant that value_get rests on. */
			if (i && strcmp(v->keys[i - 1], v->keys[i]) >= 0)
				w->bad = true;
		}
		v->items[i] = take_value(w, a, depth + 1);
		v->n++;
	}
	return v;
}

static struct value *take_value(struct wire *w, struct arena *a, int depth)
{
	uint64_t kind = wire_u64(w);
	const char *s;
	size_t n;

	if (depth > MAX_DEPTH || kind > VAL_MAP)
		w->bad = true;
	if (w->bad)
		return value_null(a);
	switch ((enum value_kind)kind) {
	case VAL_NULL:
		break;
	case VAL_BOOL:
		return value_bool(a, wire_u64(w) != 0);
	case VAL_INT:
		return value_int(a, wire_i64(w));
	case VAL_FLOAT:
		return value_float(a, wire_f64(w));
	case VAL_STR:
		s = wire_bytes(w, &n);
		return string_of(a, s, n);
	case VAL_LIST:
	case VAL_MAP:
		return take_items(w, a, (enum value_kind)kind, depth);
	}
	return value_null(a);
}

struct value *value_take(struct wire *w, struct arena *a)
{
	return take_value(w, a, 0);
}
