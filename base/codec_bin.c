/*
 * codec, binary half. An object is its length and then, for each set field in order of numbers, a
 * tag (number << 2 | wire kind) and the value:
 *   0 integer   BOOL as 0 or 1, INT DUR TIME STAMP zigzag
 *   1 double    eight bytes
 *   2 bytes     length-prefixed: STR and BYTES as they are, ANY as value_put, OBJ as an object
 *               without its own length, lists and maps as a count and their items
 * Reading refuses what writing cannot have written: unsorted maps, rests, wrong wire kinds.
 */
#include "base/codec.h"

#include <assert.h>
#include <errno.h>

enum wire_kind { WIRE_INT, WIRE_DOUBLE, WIRE_BYTES };

static enum wire_kind wire_kind(const struct field *f)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
	case FIELD_STAMP:
		return WIRE_INT;
	case FIELD_DBL:
		return WIRE_DOUBLE;
	default:
		return WIRE_BYTES;
	}
}

/* Puts the length of what was written since `start` in front of it. */
static void put_length(struct buf *b, size_t start)
{
	size_t len = b->len - start, n = 0;
	uint8_t digits[10];

	for (uint64_t v = len; v >= 0x80; v >>= 7)
		digits[n++] = (uint8_t)(v | 0x80);
	digits[n] = (uint8_t)((uint64_t)len >> (7 * n));
	n++;
	if (b->full || !buf_room(b, n))
		return;
	memmove(b->data + start + n, b->data + start, len);
	memcpy(b->data + start, digits, n);
	b->len += n;
	b->data[b->len] = 0;
}

static void put_body(struct buf *b, const struct type *t, const void *obj);

static void put_strs(struct buf *b, const struct strs *l)
{
	wire_put_u64(b, l->n);
	for (uint32_t i = 0; i < l->n; i++)
		wire_put_str(b, l->v[i]);
}

static void put_items(struct buf *b, const struct field *f, const void *p)
{
	const struct strmap *map = p;
	const struct objs *objs = p;
	const struct objmap *objmap = p;
	const struct intmap *ints = p;
	const struct dblmap *dbls = p;
	const struct hdrmap *hdrs = p;
	uint32_t n = ((const struct any_list *)p)->n;

	wire_put_u64(b, n);
	for (uint32_t i = 0; i < n; i++) {
		switch ((enum field_kind)f->kind) {
		case FIELD_MAP:
			wire_put_str(b, map->v[i].key);
			wire_put_str(b, map->v[i].value);
			break;
		case FIELD_OBJS:
			codec_put(b, f->type, objs->v[i]);
			break;
		case FIELD_OBJMAP:
			wire_put_str(b, objmap->v[i].key);
			codec_put(b, f->type, objmap->v[i].value);
			break;
		case FIELD_INTMAP:
			wire_put_str(b, ints->v[i].key);
			wire_put_i64(b, ints->v[i].value);
			break;
		case FIELD_DBLMAP:
			wire_put_str(b, dbls->v[i].key);
			wire_put_f64(b, dbls->v[i].value);
			break;
		case FIELD_HDRMAP:
			wire_put_str(b, hdrs->v[i].key);
			put_strs(b, &hdrs->v[i].value);
			break;
		default:
			assert(!"not a list or map");
		}
	}
}

static void put_bytes(struct buf *b, const struct field *f, const void *p)
{
	const struct bytes *bytes = p;
	size_t start = b->len;

	switch ((enum field_kind)f->kind) {
	case FIELD_STR:
		wire_put_str(b, *(char *const *)p);
		return;
	case FIELD_BYTES:
		wire_put_bytes(b, bytes->p, bytes->n);
		return;
	case FIELD_ANY:
		value_put(b, *(struct value *const *)p);
		break;
	case FIELD_OBJ:
		put_body(b, f->type, *(void *const *)p);
		break;
	case FIELD_STRS:
		put_strs(b, p);
		break;
	default:
		put_items(b, f, p);
	}
	put_length(b, start);
}

static void put_body(struct buf *b, const struct type *t, const void *obj)
{
	for (uint32_t i = 0; obj && i < t->n; i++) {
		const struct field *f = &t->fields[i];
		const void *p = (const char *)obj + f->offset;
		enum wire_kind kind = wire_kind(f);

		if (!model_is_set(t, f, obj))
			continue;
		wire_put_u64(b, (uint64_t)i << 2 | kind);
		if (kind == WIRE_DOUBLE)
			wire_put_f64(b, *(const double *)p);
		else if (kind == WIRE_BYTES)
			put_bytes(b, f, p);
		else if (f->kind == FIELD_BOOL)
			wire_put_u64(b, *(const bool *)p);
		else
			wire_put_i64(b, *(const int64_t *)p);
	}
}

void codec_put(struct buf *b, const struct type *t, const void *obj)
{
	size_t start = b->len;

	put_body(b, t, obj);
	put_length(b, start);
}

static void take_body(struct wire *w, const struct type *t, void *obj, struct arena *a);

static struct wire sub_reader(struct wire *w)
{
	size_t n;
	const void *p = wire_bytes(w, &n);

	return wire_reader(p, n);
}

/* A count of items, each of which has at least one byte. */
static uint32_t take_count(struct wire *w)
{
	uint64_t n = wire_u64(w);

	if (n > (size_t)(w->end - w->p) || n > UINT32_MAX) {
		w->bad = true;
		return 0;
	}
	return (uint32_t)n;
}

static void take_object(struct wire *w, const struct type *t, void *obj, struct arena *a)
{
	struct wire body = sub_reader(w);

	take_body(&body, t, obj, a);
	w->bad |= !wire_end(&body);
}

static void take_strs(struct wire *w, struct strs *l, struct arena *a)
{
	uint32_t n = take_count(w);

	*l = (struct strs){.v = n ? arena_alloc(a, n * sizeof(*l->v)) : NULL, .cap = n};
	for (; l->n < n && !w->bad; l->n++)
		l->v[l->n] = wire_str(w, a);
}

static void take_objs(struct wire *w, const struct type *t, struct objs *l, struct arena *a)
{
	uint32_t n = take_count(w);

	*l = (struct objs){.v = n ? arena_alloc(a, n * sizeof(*l->v)) : NULL, .cap = n};
	for (; l->n < n && !w->bad; l->n++) {
		l->v[l->n] = arena_alloc(a, t->size);
		take_object(w, t, l->v[l->n], a);
	}
}

static void take_value(struct wire *w, const struct field *f, void *to, struct arena *a)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_MAP:
		*(const char **)to = wire_str(w, a);
		break;
	case FIELD_OBJMAP:
		*(void **)to = arena_alloc(a, f->type->size);
		take_object(w, f->type, *(void **)to, a);
		break;
	case FIELD_INTMAP:
		*(int64_t *)to = wire_i64(w);
		break;
	case FIELD_DBLMAP:
		*(double *)to = wire_f64(w);
		break;
	case FIELD_HDRMAP:
		take_strs(w, to, a);
		break;
	default:
		assert(!"not a map");
	}
}

static void take_map(struct wire *w, const struct field *f, struct any_list *m, struct arena *a)
{
	size_t size = f->kind == FIELD_HDRMAP ? sizeof(struct hdrmap_item) : sizeof(struct strmap_item);
	uint32_t n = take_count(w);
	const char *before = NULL;

	*m = (struct any_list){.v = n ? arena_alloc(a, n * size) : NULL, .cap = n};
	for (; m->n < n && !w->bad; m->n++) {
		char *item = (char *)m->v + m->n * size;
		const char *key = wire_str(w, a);

		*(const char **)item = key;
		take_value(w, f, item + sizeof(char *), a);
		if (before && strcmp(before, key) >= 0)
			w->bad = true;
		before = key;
	}
}

static void take_bytes(struct wire *w, const struct field *f, void *to, struct arena *a)
{
	struct wire in = sub_reader(w);
	size_t n = (size_t)(in.end - in.p);

	switch ((enum field_kind)f->kind) {
	case FIELD_STR:
		*(const char **)to = n ? arena_strndup(a, (const char *)in.p, n) : "";
		return;
	case FIELD_BYTES:
		*(struct bytes *)to = (struct bytes){.p = arena_copy(a, in.p, n), .n = (uint32_t)n};
		return;
	case FIELD_ANY:
		*(struct value **)to = value_take(&in, a);
		break;
	case FIELD_OBJ:
		*(void **)to = arena_alloc(a, f->type->size);
		take_body(&in, f->type, *(void **)to, a);
		break;
	case FIELD_STRS:
		take_strs(&in, to, a);
		break;
	case FIELD_OBJS:
		take_objs(&in, f->type, to, a);
		break;
	default:
		take_map(&in, f, to, a);
	}
	w->bad |= !wire_end(&in);
}

static void skip(struct wire *w, uint64_t kind)
{
	size_t n;

	if (kind == WIRE_INT)
		wire_u64(w);
	else if (kind == WIRE_DOUBLE)
		wire_f64(w);
	else if (kind == WIRE_BYTES)
		wire_bytes(w, &n);
	else
		w->bad = true;
}

static void take_body(struct wire *w, const struct type *t, void *obj, struct arena *a)
{
	while (!w->bad && w->p < w->end) {
		uint64_t tag = wire_u64(w), i = tag >> 2;
		const struct field *f = i < t->n ? &t->fields[i] : NULL;
		void *to = f ? (char *)obj + f->offset : NULL;

		if (!f) {
			skip(w, tag & 3);
			continue;
		}
		if ((tag & 3) != wire_kind(f)) {
			w->bad = true;
			break;
		}
		if ((tag & 3) == WIRE_DOUBLE)
			*(double *)to = wire_f64(w);
		else if ((tag & 3) == WIRE_BYTES)
			take_bytes(w, f, to, a);
		else if (f->kind == FIELD_BOOL)
			*(bool *)to = wire_u64(w) != 0;
		else
			*(int64_t *)to = wire_i64(w);
		*(uint64_t *)obj |= UINT64_C(1) << i;
	}
}

int codec_take(struct wire *w, const struct type *t, void *obj, struct arena *a)
{
	take_object(w, t, obj, a);
	return w->bad ? -EBADMSG : 0;
}
