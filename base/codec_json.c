/*
 * codec, JSON half: objects from jansson trees and streamed JSON text, both by walking the field
 * tables. Printing allocates nothing but the buffer. Holds no state.
 */
#include "base/codec.h"

#include "base/clock.h"
#include "base/json.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>

#define MAX_TEXT    (16U << 20)
#define MAX_DECODED (256U << 20) /* bytes of structs: "[{},{},...]" costs hundreds for three */

#define MAX_NESTS   500000 /* objects and lists in one text; each costs the parser hundreds of bytes */

/* ---- in ---- */

/* Where the decoder stands; printed only when something is wrong. */
struct path {
	const struct path *up;
	const char *name; /* field, or key of a map; NULL for an item of a list */
	uint32_t index;
};

struct decoder {
	struct arena *arena;
	struct err *err;
	size_t decoded;
};

static void put_path(struct buf *b, const struct path *p)
{
	if (!p)
		return;
	put_path(b, p->up);
	if (!p->name)
		buf_printf(b, "[%u]", p->index);
	else
		buf_printf(b, "%s%s", b->len ? "." : "", p->name);
}

static void put_found(struct buf *b, const json_t *j)
{
	const char *s;

	switch (json_typeof(j)) {
	case JSON_OBJECT:
		buf_puts(b, "an object");
		break;
	case JSON_ARRAY:
		buf_puts(b, "a list");
		break;
	case JSON_STRING:
		s = json_string_value(j);
		buf_printf(b, "the string \"%.40s\"%s", s, strlen(s) > 40 ? " (cut)" : "");
		break;
	case JSON_INTEGER:
		buf_puts(b, "the number ");
		json_put_int(b, json_integer_value(j));
		break;
	case JSON_REAL:
		buf_puts(b, "the number ");
		json_put_double(b, json_real_value(j));
		break;
	case JSON_TRUE:
		buf_puts(b, "true");
		break;
	case JSON_FALSE:
		buf_puts(b, "false");
		break;
	case JSON_NULL:
		buf_puts(b, "null");
		break;
	}
}

static int wrong(struct decoder *d, const struct path *p, const char *expected, const json_t *j)
{
	struct buf b = BUF_INIT;
	int r;

	put_path(&b, p);
	if (b.len)
		buf_puts(&b, ": ");
	buf_printf(&b, "expected %s, got ", expected);
	put_found(&b, j);
	r = err_set(d->err, -EINVAL, "%s", b.data);
	buf_free(&b);
	return r;
}

static int take_object(struct decoder *d, const struct type *t, void *obj, const json_t *j,
    const struct path *p);

static int take_int(struct decoder *d, int64_t *out, const json_t *j, const struct path *p)
{
	double v;

	if (json_is_integer(j)) {
		*out = json_integer_value(j);
		return 0;
	}
	v = json_real_value(j); /* 0 for anything else */
	if (!json_is_real(j) || v != rint(v) || fabs(v) >= 9.2e18)
		return wrong(d, p, "an integer", j);
	*out = (int64_t)v;
	return 0;
}

static int take_duration(struct decoder *d, int64_t *out, const json_t *j, const struct path *p)
{
	if (json_is_string(j) && duration_parse(json_string_value(j), out) == 0)
		return 0;
	if (json_is_string(j))
		return wrong(d, p, "a duration such as \"30s\" or \"1h30m\"", j);
	if (!json_is_number(j))
		return wrong(d, p, "nanoseconds or a duration such as \"30s\"", j);
	return take_int(d, out, j, p);
}

static int take_stamp(struct decoder *d, int64_t *out, const json_t *j, const struct path *p)
{
	if (!json_is_string(j) || time_parse_rfc3339(json_string_value(j), out) != 0)
		return wrong(d, p, "an RFC 3339 time such as \"2026-11-22T10:16:32Z\"", j);
	return 0;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int take_bytes(
    struct decoder *d, struct bytes *out, const json_t *j, const struct path *p)
{
	const char *s = json_string_value(j);
	size_t n = json_string_length(j), made = 0;
	uint8_t *to;

	if (!s || n % 4)
		return wrong(d, p, "base64", j);
	to = arena_alloc(d->arena, n / 4 * 3);
	for (size_t i = 0; i < n; i += 4) {
		int pad = i + 4 < n ? 0 : (s[i + 3] == '=') + (s[i + 3] == '=' && s[i + 2] == '=');
		uint32_t word = 0;

		for (int k = 0; k < 4; k++) {
			int v = k >= 4 - pad ? 0 : base64_digit(s[i + (size_t)k]);

			if (v < 0)
				return wrong(d, p, "base64", j);
			word = word << 6 | (uint32_t)v;
		}
		for (int k = 0; k < 3 - pad; k++)
			to[made++] = (uint8_t)(word >> (16 - 8 * k));
	}
	*out = (struct bytes){.p = to, .n = (uint32_t)made};
	return 0;
}

static int take_strs(struct decoder *d, struct strs *out, const json_t *j, const struct path *p)
{
	size_t n = json_array_size(j);

	if (!json_is_array(j))
		return wrong(d, p, "a list of strings", j);
	*out = (struct strs){0};
	out->v = n ? arena_alloc(d->arena, n * sizeof(*out->v)) : NULL;
	out->cap = (uint32_t)n;
	for (; out->n < n; out->n++) {
		const json_t *item = json_array_get(j, out->n);
		struct path at = {.up = p, .index = out->n};

		if (!json_is_string(item))
			return wrong(d, &at, "a string", item);
		out->v[out->n] = arena_strdup(d->arena, json_string_value(item));
	}
	return 0;
}

static int new_object(struct decoder *d, const struct type *t, void **out, const json_t *j,
    const struct path *p)
{
	d->decoded += t->size;
	if (d->decoded > MAX_DECODED)
		return err_set(d->err, -E2BIG,
		    "the JSON holds more objects than fit into %u MiB of memory", MAX_DECODED >> 20);
	*out = arena_alloc(d->arena, t->size);
	return take_object(d, t, *out, j, p);
}

static int take_list(struct decoder *d, const struct type *t, struct objs *out, const json_t *j,
    const struct path *p)
{
	size_t n = json_array_size(j);

	if (!json_is_array(j))
		return wrong(d, p, "a list of objects", j);
	*out = (struct objs){0};
	out->v = n ? arena_alloc(d->arena, n * sizeof(*out->v)) : NULL;
	out->cap = (uint32_t)n;
	for (; out->n < n; out->n++) {
		struct path at = {.up = p, .index = out->n};
		int r = new_object(d, t, &out->v[out->n], json_array_get(j, out->n), &at);

		if (r)
			return r;
	}
	return 0;
}

/* The value of one key, of any of the map kinds, written to `to`. */
static int take_map_value(struct decoder *d, const struct field *f, void *to, const json_t *j,
    const struct path *p)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_MAP:
		if (!json_is_string(j))
			return wrong(d, p, "a string", j);
		*(const char **)to = arena_strdup(d->arena, json_string_value(j));
		return 0;
	case FIELD_OBJMAP:
		return new_object(d, f->type, to, j, p);
	case FIELD_INTMAP:
		return take_int(d, to, j, p);
	case FIELD_DBLMAP:
		if (!json_is_number(j))
			return wrong(d, p, "a number", j);
		*(double *)to = json_number_value(j);
		return 0;
	case FIELD_HDRMAP: /* null is an empty list here: the map has no other way to say it */
		return json_is_null(j) ? 0 : take_strs(d, to, j, p);
	default:
		assert(!"not a map");
		return -EINVAL;
	}
}

_Static_assert(offsetof(struct strmap_item, value) == sizeof(char *) &&
	offsetof(struct objmap_item, value) == sizeof(char *) &&
	offsetof(struct intmap_item, value) == sizeof(char *) &&
	offsetof(struct dblmap_item, value) == sizeof(char *) &&
	offsetof(struct hdrmap_item, value) == sizeof(char *),
    "the value of a map item follows its key");

static size_t map_item_size(const struct field *f)
{
	return f->kind == FIELD_HDRMAP ? sizeof(struct hdrmap_item) : sizeof(struct strmap_item);
}

static int key_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int take_map(struct decoder *d, const struct field *f, struct any_list *out, const json_t *j,
    const struct path *p)
{
	size_t size = map_item_size(f), n = json_object_size(j);
	const char *key;
	json_t *item;

	if (!json_is_object(j))
		return wrong(d, p, "an object", j);
	*out = (struct any_list){0};
	out->v = n ? arena_alloc(d->arena, n * size) : NULL;
	out->cap = (uint32_t)n;
	json_object_foreach((json_t *)j, key, item) {
		char *to = (char *)out->v + out->n * size;
		struct path at = {.up = p, .name = key};
		int r;

		if (f->kind == FIELD_OBJMAP && json_is_null(item))
			continue; /* TaskLifecycles tells so that a task has none */
		r = take_map_value(d, f, to + sizeof(char *), item, &at);
		if (r)
			return r;
		*(char **)to = arena_strdup(d->arena, key);
		out->n++;
	}
	if (out->n > 1)
		qsort(out->v, out->n, size, key_cmp);
	return 0;
}

static int take_field(struct decoder *d, const struct field *f, void *to, const json_t *j,
    const struct path *p)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		if (!json_is_boolean(j))
			return wrong(d, p, "true or false", j);
		*(bool *)to = json_is_true(j);
		return 0;
	case FIELD_INT:
	case FIELD_TIME:
		return take_int(d, to, j, p);
	case FIELD_DBL:
		if (!json_is_number(j))
			return wrong(d, p, "a number", j);
		*(double *)to = json_number_value(j);
		return 0;
	case FIELD_DUR:
		return take_duration(d, to, j, p);
	case FIELD_STAMP:
		return take_stamp(d, to, j, p);
	case FIELD_STR:
		if (!json_is_string(j))
			return wrong(d, p, "a string", j);
		*(const char **)to = arena_strdup(d->arena, json_string_value(j));
		return 0;
	case FIELD_STRS:
		return take_strs(d, to, j, p);
	case FIELD_BYTES:
		return take_bytes(d, to, j, p);
	case FIELD_ANY:
		*(struct value **)to = value_from_json(d->arena, j);
		return 0;
	case FIELD_OBJ:
		return new_object(d, f->type, to, j, p);
	case FIELD_OBJS:
		return take_list(d, f->type, to, j, p);
	default:
		return take_map(d, f, to, j, p);
	}
}

static int take_object(struct decoder *d, const struct type *t, void *obj, const json_t *j,
    const struct path *p)
{
	const char *key;
	json_t *item;

	if (!json_is_object(j))
		return wrong(d, p, "an object", j);
	json_object_foreach((json_t *)j, key, item) {
		const struct field *f = json_is_null(item) ? NULL : model_field(t, key);
		struct path at = {.up = p, .name = key};
		int r;

		if (!f)
			continue;
		r = take_field(d, f, (char *)obj + f->offset, item, &at);
		if (r)
			return r;
		*(uint64_t *)obj |= UINT64_C(1) << (f - t->fields);
	}
	return 0;
}

int codec_from_json(const struct type *t, void *obj, const struct json_t *j, struct arena *a,
    struct err *e)
{
	struct decoder d = {.arena = a, .err = e};

	return take_object(&d, t, obj, j, NULL);
}

/* Objects and lists that a text opens, outside of its strings. */
static uint32_t count_nests(const char *text, size_t n)
{
	bool quoted = false;
	uint32_t nests = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		else if (quoted && text[i] == '\\')
			i++;
		else if (!quoted && (text[i] == '{' || text[i] == '['))
			nests++;
	}
	return nests;
}

int codec_from_text(const struct type *t, void *obj, const char *text, size_t n, struct arena *a,
    struct err *e)
{
	cleanup_arena struct arena *memory = NULL;
	json_error_t where;
	json_t *j;

	if (n > MAX_TEXT)
		return err_set(e, -EFBIG, "the JSON has %zu bytes, at most %u are allowed", n, MAX_TEXT);
	if (count_nests(text, n) > MAX_NESTS)
		return err_set(
		    e, -E2BIG, "the JSON has more than %d objects and lists", MAX_NESTS);
	memory = arena_new();
	j = json_read_into(memory, text, n, 0, &where);
	if (!j)
		return err_set(e, -EINVAL, "line %d, column %d: %s", where.line, where.column,
		    json_error_code(&where) == json_error_null_character ? "a text holds a zero byte (\\u0000)" : where.text);
	return codec_from_json(t, obj, j, a, e);
}

/* ---- out ---- */

struct printer {
	struct buf *b;
	enum codec_mode mode;
	int indent;
};

static void put_object(const struct printer *pr, const struct type *t, const void *obj, int depth);

static void put_stamp(struct buf *b, int64_t t)
{
	char text[TIME_STR];

	buf_putc(b, '"');
	buf_puts(b, time_format_rfc3339(t, text));
	buf_putc(b, '"');
}

static void put_base64(struct buf *b, const struct bytes *in)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = in->p;

	buf_putc(b, '"');
	for (uint32_t i = 0; i < in->n; i += 3) {
		uint32_t left = in->n - i, word = (uint32_t)p[i] << 16;
		char out[4];

		word |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		word |= left > 2 ? p[i + 2] : 0;
		for (int k = 0; k < 4; k++)
			out[k] = digits[word >> (18 - 6 * k) & 63];
		if (left < 3)
			out[3] = '=';
		if (left < 2)
			out[2] = '=';
		buf_put(b, out, 4);
	}
	buf_putc(b, '"');
}

static void put_strs(const struct printer *pr, const struct strs *l, int depth)
{
	bool first = true;

	buf_putc(pr->b, '[');
	for (uint32_t i = 0; i < l->n; i++) {
		json_put_sep(pr->b, &first, pr->indent, depth + 1);
		json_put_str(pr->b, l->v[i]);
	}
	json_put_end(pr->b, ']', first, pr->indent, depth);
}

static void put_list(
    const struct printer *pr, const struct type *t, const struct objs *l, int depth)
{
	bool first = true;

	buf_putc(pr->b, '[');
	for (uint32_t i = 0; i < l->n; i++) {
		json_put_sep(pr->b, &first, pr->indent, depth + 1);
		put_object(pr, t, l->v[i], depth + 1);
	}
	json_put_end(pr->b, ']', first, pr->indent, depth);
}

static void put_map_value(
    const struct printer *pr, const struct field *f, const void *p, int depth)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_MAP:
		json_put_str(pr->b, *(char *const *)p);
		break;
	case FIELD_OBJMAP:
		put_object(pr, f->type, *(void *const *)p, depth);
		break;
	case FIELD_INTMAP:
		json_put_int(pr->b, *(const int64_t *)p);
		break;
	case FIELD_DBLMAP:
		json_put_double(pr->b, *(const double *)p);
		break;
	case FIELD_HDRMAP:
		put_strs(pr, p, depth);
		break;
	default:
		assert(!"not a map");
	}
}

static void put_map(
    const struct printer *pr, const struct field *f, const struct any_list *m, int depth)
{
	size_t size = map_item_size(f);
	bool first = true;

	buf_putc(pr->b, '{');
	for (uint32_t i = 0; i < m->n; i++) {
		const char *item = (const char *)m->v + i * size;

		json_put_key(pr->b, *(char *const *)item, &first, pr->indent, depth + 1);
		put_map_value(pr, f, item + sizeof(char *), depth + 1);
	}
	json_put_end(pr->b, '}', first, pr->indent, depth);
}

/* A field that is not set: null, or the zero value of its kind. */
static void put_unset(const struct printer *pr, const struct field *f)
{
	if ((f->flags & FIELD_OPT) || ((f->flags & FIELD_PTR) && pr->mode == CODEC_PARSED)) {
		buf_put(pr->b, "null", 4);
		return;
	}
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		buf_put(pr->b, "false", 5);
		break;
	case FIELD_INT:
	case FIELD_DBL:
	case FIELD_DUR:
	case FIELD_TIME:
		buf_putc(pr->b, '0');
		break;
	case FIELD_STR:
		buf_put(pr->b, "\"\"", 2);
		break;
	default:
		buf_put(pr->b, "null", 4);
	}
}

static void put_field(const struct printer *pr, const struct field *f, const void *p, int depth)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		json_put_bool(pr->b, *(const bool *)p);
		break;
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
		json_put_int(pr->b, *(const int64_t *)p);
		break;
	case FIELD_DBL:
		json_put_double(pr->b, *(const double *)p);
		break;
	case FIELD_STAMP:
		put_stamp(pr->b, *(const int64_t *)p);
		break;
	case FIELD_STR:
		json_put_str(pr->b, *(char *const *)p);
		break;
	case FIELD_STRS:
		put_strs(pr, p, depth);
		break;
	case FIELD_BYTES:
		put_base64(pr->b, p);
		break;
	case FIELD_ANY:
		value_print_json(pr->b, *(struct value *const *)p, pr->indent, depth);
		break;
	case FIELD_OBJ:
		put_object(pr, f->type, *(void *const *)p, depth);
		break;
	case FIELD_OBJS:
		put_list(pr, f->type, p, depth);
		break;
	default:
		put_map(pr, f, p, depth);
	}
}

/* A value that Go's omitempty leaves out. */
static bool is_empty(const struct field *f, const void *p)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		return !(f->flags & FIELD_OPT) && !*(const bool *)p;
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
		return !(f->flags & FIELD_OPT) && *(const int64_t *)p == 0;
	case FIELD_DBL:
		return *(const double *)p == 0;
	case FIELD_STR:
		return str_empty(*(char *const *)p);
	case FIELD_STRS:
	case FIELD_MAP:
	case FIELD_OBJS:
	case FIELD_OBJMAP:
	case FIELD_INTMAP:
	case FIELD_DBLMAP:
	case FIELD_HDRMAP:
		return ((const struct any_list *)p)->n == 0;
	default:
		return false;
	}
}

static bool is_left_out(const struct printer *pr, const struct field *f, bool set, const void *p)
{
	bool parsed = pr->mode == CODEC_PARSED;

	if (!set)
		return f->flags & FIELD_OMIT || f->flags & (parsed ? FIELD_SERV : FIELD_JOBF);
	return f->flags & FIELD_OMIT && pr->mode == CODEC_API && is_empty(f, p);
}

static void put_object(const struct printer *pr, const struct type *t, const void *obj, int depth)
{
	bool first = true;

	if (!obj) {
		buf_put(pr->b, "null", 4);
		return;
	}
	buf_putc(pr->b, '{');
	for (uint32_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[t->by_name[i]];
		bool set = model_is_set(t, f, obj);

		if (pr->mode == CODEC_API && (f->flags & FIELD_HIDE))
			set = false;
		if (is_left_out(pr, f, set, (const char *)obj + f->offset))
			continue;
		if (pr->indent)
			json_put_key(pr->b, f->json, &first, pr->indent, depth + 1);
		else
			buf_put(pr->b, f->key + first, (size_t)f->key_len - first);
		first = false;
		if (set)
			put_field(pr, f, (const char *)obj + f->offset, depth + 1);
		else
			put_unset(pr, f);
	}
	json_put_end(pr->b, '}', first, pr->indent, depth);
}

void codec_to_json(
    struct buf *b, const struct type *t, const void *obj, enum codec_mode mode, int indent, int depth)
{
	struct printer pr = {.b = b, .mode = mode, .indent = indent};

	put_object(&pr, t, obj, depth);
}
