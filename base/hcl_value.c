/*
 * Values of the HCL evaluator: making, converting, comparing, printing. Numbers are in base/hcl_number.c, types in
 * base/hcl_type.c.
 */
#include "base/codec.h"
#include "base/hcl.h"

#include <math.h>
#include <utf8proc.h>

size_t hcl_bad_text(const char *s, size_t n)
{
	utf8proc_int32_t rune;

	for (size_t i = 0; i < n;) {
		utf8proc_ssize_t bytes = 1;

		if (s[i] & 0x80)
			bytes = utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &rune);
		if (bytes <= 0 || !s[i])
			return i;
		i += (size_t)bytes;
	}
	return n;
}

static struct hcl_value *value_new(struct hcl *h, enum hcl_kind kind, const struct hcl_type *type)
{
	struct hcl_value *v = arena_alloc(h->arena, sizeof(*v));

	v->kind = kind;
	v->type = type;
	return v;
}

struct hcl_value *hcl_null_of(struct hcl *h, const struct hcl_type *t)
{
	return value_new(h, HCL_NULL, t);
}

struct hcl_value *hcl_null(struct hcl *h)
{
	return value_new(h, HCL_NULL, &hcl_any);
}

struct hcl_value *hcl_bool(struct hcl *h, bool b)
{
	struct hcl_value *v = value_new(h, HCL_BOOL, &hcl_type_bool);

	v->b = b;
	return v;
}

struct hcl_value *hcl_string(struct hcl *h, const char *s, size_t n)
{
	struct hcl_value *v = value_new(h, HCL_STRING, &hcl_type_string);
	bool ascii = true;

	for (size_t i = 0; i < n && ascii; i++)
		ascii = !(s[i] & 0x80);
	utf8proc_uint8_t *nfc = NULL;

	if (!ascii && utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &nfc, UTF8PROC_STABLE | UTF8PROC_COMPOSE) >= 0) {
		v->s = arena_strdup(h->arena, (char *)nfc);
		v->n = (uint32_t)strlen(v->s);
	} else {
		v->s = arena_strndup(h->arena, s ? s : "", n);
		v->n = (uint32_t)n;
	}
	free(nfc);
	return v;
}

static struct hcl_value *sequence(struct hcl *h, enum hcl_kind kind, const struct hcl_type *type, struct hcl_value **items,
    uint32_t n)
{
	struct hcl_value *v = value_new(h, kind, type);

	v->items = arena_copy(h->arena, items, n * sizeof(*items));
	v->n = n;
	return v;
}

struct hcl_value *hcl_tuple(struct hcl *h, struct hcl_value **items, uint32_t n)
{
	return sequence(h, HCL_TUPLE, NULL, items, n);
}

struct hcl_value *hcl_list(struct hcl *h, const struct hcl_type *elem, struct hcl_value **items, uint32_t n)
{
	return sequence(h, HCL_LIST, hcl_type_of_elements(h, HCL_LIST, elem), items, n);
}

/* ---- sets ---- */

/* What elements that are no primitives are ordered by: text that tells values apart, in go-cty's notation, so that the
 * order is the one people know. */
static void put_hash(struct hcl *h, struct buf *b, const struct hcl_value *v)
{
	static const char open[] = {[HCL_LIST] = '[', [HCL_SET] = '[', [HCL_TUPLE] = '<', [HCL_MAP] = '{', [HCL_OBJECT] = '<'};
	static const char close[] = {[HCL_LIST] = ']', [HCL_SET] = ']', [HCL_TUPLE] = '>', [HCL_MAP] = '}', [HCL_OBJECT] = '>'};

	if (b->full || hcl_over_budget(h, h->at))
		return;
	switch (v->kind) {
	case HCL_NULL:
		buf_putc(b, '~');
		return;
	case HCL_BOOL:
		buf_putc(b, v->b ? 'T' : 'F');
		return;
	case HCL_NUMBER:
		buf_printf(b, "%s%s", hcl_number_is_negative(v) ? "-" : "", hcl_number_format(h, v, 'g', 10));
		return;
	case HCL_STRING:
		json_put_string(b, v->s, v->n);
		return;
	default:
		break;
	}
	buf_putc(b, open[v->kind]);
	for (uint32_t i = 0; i < v->n; i++) {
		if (v->kind == HCL_MAP) {
			json_put_string(b, v->keys[i], strlen(v->keys[i]));
			buf_putc(b, ':');
		}
		put_hash(h, b, v->items[i]);
		buf_putc(b, ';');
	}
	buf_putc(b, close[v->kind]);
}

struct element {
	struct hcl_value *v;
	const char *hash; /* of an element that is no primitive */
};

static int by_value(const void *a, const void *b, void *h)
{
	const struct element *x = a, *y = b;

	if (x->v->kind == HCL_NULL || y->v->kind == HCL_NULL)
		return (x->v->kind == HCL_NULL) - (y->v->kind == HCL_NULL);
	switch (x->v->kind) {
	case HCL_BOOL:
		return (int)x->v->b - (int)y->v->b;
	case HCL_NUMBER:
		return hcl_compare(x->v, y->v);
	case HCL_STRING:
		return hcl_text_order(h, x->v->s, y->v->s);
	default:
		return hcl_text_order(h, x->hash, y->hash);
	}
}

struct hcl_value *hcl_set(struct hcl *h, const struct hcl_type *elem, struct hcl_value **items, uint32_t n)
{
	cleanup_free struct element *all = xcalloc(n + 1, sizeof(*all));
	struct hcl_value *v = sequence(h, HCL_SET, hcl_type_of_elements(h, HCL_SET, elem), items, n);

	for (uint32_t i = 0; i < n; i++) {
		all[i].v = items[i];
		if (items[i]->kind >= HCL_LIST) {
			cleanup_buf struct buf b = BUF_INIT;

			buf_init(&b, HCL_MAX_STRING);
			put_hash(h, &b, items[i]);
			all[i].hash = arena_strdup(h->arena, b.data ? b.data : "");
			if (b.full) /* elements would look alike */
				hcl_work(h, h->at, HCL_MAX_STEPS);
		}
	}
	if (n)
		qsort_r(all, n, sizeof(*all), by_value, h);
	v->n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!i || by_value(&all[i - 1], &all[i], h))
			v->items[v->n++] = all[i].v;
	return v;
}

int64_t hcl_set_find(struct hcl *h, const struct hcl_value *set, struct hcl_value *v)
{
	struct element wanted = {.v = v};
	uint32_t low = 0, high = set->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		struct element there = {.v = set->items[mid]};
		int c = by_value(&there, &wanted, h);

		if (!c)
			return mid;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return -1;
}

/* ---- maps and objects ---- */

struct pair {
	const char *key;
	struct hcl_value *value;
	uint32_t at;
};

static int by_key(const void *a, const void *b, void *h)
{
	const struct pair *x = a, *y = b;
	int c = hcl_text_order(h, x->key, y->key);

	return c ? c : x->at < y->at ? -1 : 1;
}

static struct hcl_value *mapping(struct hcl *h, enum hcl_kind kind, const struct hcl_type *type, const char *const *keys,
    struct hcl_value **items, uint32_t n)
{
	struct hcl_value *v = value_new(h, kind, type);
	cleanup_free struct pair *pairs = xcalloc(n + 1, sizeof(*pairs));
	const char **sorted = arena_alloc(h->arena, (n + 1) * sizeof(*sorted));

	for (uint32_t i = 0; i < n; i++)
		pairs[i] = (struct pair){keys[i], items[i], i};
	if (n)
		qsort_r(pairs, n, sizeof(*pairs), by_key, h);
	v->items = arena_alloc(h->arena, (n + 1) * sizeof(*v->items));
	v->keys = sorted;
	for (uint32_t i = 0; i < n; i++) {
		if (i + 1 < n && hcl_text_order(h, pairs[i].key, pairs[i + 1].key) == 0)
			continue;
		sorted[v->n] = pairs[i].key;
		v->items[v->n++] = pairs[i].value;
	}
	return v;
}

struct hcl_value *hcl_object(struct hcl *h, const char *const *keys, struct hcl_value **items, uint32_t n)
{
	return mapping(h, HCL_OBJECT, NULL, keys, items, n);
}

struct hcl_value *hcl_map(struct hcl *h, const struct hcl_type *elem, const char *const *keys, struct hcl_value **items, uint32_t n)
{
	return mapping(h, HCL_MAP, hcl_type_of_elements(h, HCL_MAP, elem), keys, items, n);
}

struct hcl_value *hcl_get(const struct hcl_value *map, const char *key)
{
	uint32_t low = 0, high = map && hcl_is_mapping(map) ? map->n : 0;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
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

/* ---- conversion ---- */

struct hcl_value *hcl_to(struct hcl *h, enum hcl_kind kind, struct hcl_value *v)
{
	if (v->kind == kind || v->kind == HCL_NULL)
		return v;
	if (kind == HCL_STRING && v->kind == HCL_NUMBER) {
		const char *text = hcl_number_text(h, v);

		return hcl_string(h, text, strlen(text));
	}
	if (kind == HCL_STRING && v->kind == HCL_BOOL)
		return hcl_string(h, v->b ? "true" : "false", v->b ? 4 : 5);
	if (kind == HCL_NUMBER && v->kind == HCL_STRING)
		return hcl_number_parse(h, v->s, v->n);
	if (kind == HCL_BOOL && v->kind == HCL_STRING) {
		if (str_eq(v->s, "true") || str_eq(v->s, "1"))
			return hcl_bool(h, true);
		if (str_eq(v->s, "false") || str_eq(v->s, "0"))
			return hcl_bool(h, false);
	}
	return NULL;
}

static bool same_content(struct hcl *h, const struct hcl_value *a, const struct hcl_value *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || a->n != b->n || hcl_over_budget(h, h->at))
		return false;
	switch (a->kind) {
	case HCL_NULL:
		return true;
	case HCL_BOOL:
		return a->b == b->b;
	case HCL_NUMBER:
		return hcl_compare(a, b) == 0;
	case HCL_STRING:
		return hcl_text_order(h, a->s, b->s) == 0;
	default:
		break;
	}
	for (uint32_t i = 0; i < a->n; i++)
		if ((a->keys && !str_eq(a->keys[i], b->keys[i])) || !same_content(h, a->items[i], b->items[i]))
			return false;
	return true;
}

bool hcl_equal(struct hcl *h, struct hcl_value *a, struct hcl_value *b)
{
	if (a->kind != b->kind || a->n != b->n)
		return false;
	if (a->kind >= HCL_LIST && !hcl_type_equal(h, hcl_type_of(h, a), hcl_type_of(h, b)))
		return false;
	return same_content(h, a, b);
}

const char *hcl_kind_name(const struct hcl_value *v)
{
	static const char *const names[] = {[HCL_NULL] = "null", [HCL_BOOL] = "bool", [HCL_NUMBER] = "number", [HCL_STRING] = "string",
	    [HCL_LIST] = "list", [HCL_SET] = "set", [HCL_TUPLE] = "tuple", [HCL_MAP] = "map", [HCL_OBJECT] = "object"};

	return names[v->kind];
}

struct value *hcl_to_value(struct arena *a, struct hcl *h, const struct hcl_value *v)
{
	int64_t i;

	if (hcl_over_budget(h, h->at))
		return value_null(a);
	switch (v->kind) {
	case HCL_NULL:
		return value_null(a);
	case HCL_BOOL:
		return value_bool(a, v->b);
	case HCL_NUMBER:
		if (!hcl_number_int(v, &i) && !isfinite(hcl_number_double(v)))
			hcl_error(h, h->at, "Number out of range", "this number is larger than a job may hold");
		return hcl_number_int(v, &i) ? value_int(a, i) : value_float(a, hcl_number_double(v));
	case HCL_STRING:
		return value_str(a, v->s);
	default:
		break;
	}
	struct value **items = arena_alloc(a, (v->n + 1) * sizeof(*items));
	const char **keys = arena_alloc(a, (v->n + 1) * sizeof(*keys));
	bool maps = v->kind == HCL_MAP && v->type->elem->kind >= HCL_MAP;

	for (uint32_t k = 0; k < v->n; k++) {
		items[k] = hcl_to_value(a, h, v->items[k]);
		keys[k] = v->keys ? arena_strdup(a, v->keys[k]) : NULL;
	}
	return v->keys && !maps ? value_map(a, keys, items, v->n) : value_list(a, items, v->n);
}

struct hcl_value *hcl_from_value(struct hcl *h, const struct value *v)
{
	switch (v->kind) {
	case VAL_NULL:
		return hcl_null(h);
	case VAL_BOOL:
		return hcl_bool(h, v->b);
	case VAL_INT:
		return hcl_int(h, v->i);
	case VAL_FLOAT:
		{
		/* The shortest text that means this double is what its writer saw. */
		char text[40] = "";

		for (int digits = 1; digits <= 17 && (digits == 1 || strtod(text, NULL) != v->f); digits++)
			snprintf(text, sizeof(text), "%.*g", digits, v->f);
		struct hcl_value *number = hcl_number_parse(h, text, strlen(text));

		return number ? number : hcl_null(h);
	}
	case VAL_STR:
		return hcl_string(h, v->s, v->n);
	default:
		break;
	}
	struct hcl_value **items = arena_alloc(h->arena, (v->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < v->n; i++)
		items[i] = hcl_from_value(h, v->items[i]);
	return v->kind == VAL_MAP ? hcl_object(h, v->keys, items, v->n) : hcl_tuple(h, items, v->n);
}

void hcl_put_json(struct hcl *h, struct buf *b, const struct hcl_value *v)
{
	if (b->full || hcl_over_budget(h, h->at))
		return;
	switch (v->kind) {
	case HCL_NULL:
		buf_puts(b, "null");
		return;
	case HCL_BOOL:
		buf_puts(b, v->b ? "true" : "false");
		return;
	case HCL_NUMBER:
		buf_puts(b, hcl_number_text(h, v));
		return;
	case HCL_STRING:
		json_put_string_html(b, v->s, v->n);
		return;
	default:
		break;
	}
	buf_putc(b, v->keys ? '{' : '[');
	for (uint32_t i = 0; i < v->n; i++) {
		if (i)
			buf_putc(b, ',');
		if (v->keys) {
			json_put_string_html(b, v->keys[i], strlen(v->keys[i]));
			buf_putc(b, ':');
		}
		hcl_put_json(h, b, v->items[i]);
	}
	buf_putc(b, v->keys ? '}' : ']');
}
