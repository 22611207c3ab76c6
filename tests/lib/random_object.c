/* random_object: see the header. */
#include "tests/lib/random_object.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t x = r->s += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

static const char *text(struct rng *r, struct arena *a)
{
	static const char *const texts[] = {"", "a", "web", "with \"quotes\" and \\", "line\nbreak\ttab",
	    "<html> & more", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x9a\x80", "\xe2\x80\xa8", "\x01\x1f"};

	if (rng_below(r, 3))
		return arena_strdup(a, texts[rng_below(r, ARRAY_LEN(texts))]);
	return arena_printf(a, "t%llx", (unsigned long long)rng_next(r));
}

static int64_t integer(struct rng *r)
{
	switch (rng_below(r, 5)) {
	case 0:
		return (int64_t)rng_next(r);
	case 1:
		return -(int64_t)rng_below(r, 1000);
	case 2:
		return rng_below(r, 2) ? INT64_MAX : INT64_MIN;
	default:
		return rng_below(r, 100000);
	}
}

static double number(struct rng *r)
{
	static const double some[] = {0, 1, -1, 0.1, 1e-9, 1e300, -2.5e-7, 123456789.125, 1e21};

	return rng_below(r, 2) ? some[rng_below(r, ARRAY_LEN(some))]
			       : (double)(int64_t)rng_next(r) / 1048577.0;
}

struct value *random_value(struct rng *r, struct arena *a, int depth)
{
	uint32_t n = rng_below(r, 4);
	struct value *items[4];
	const char *keys[4];

	switch (rng_below(r, depth > 0 ? 7 : 5)) {
	case 0:
		return value_null(a);
	case 1:
		return value_bool(a, rng_below(r, 2));
	case 2:
		return value_int(a, integer(r));
	case 3:
		return value_float(a, number(r) + 0.5);
	case 4:
		return value_str(a, text(r, a));
	}
	for (uint32_t i = 0; i < n; i++) {
		items[i] = random_value(r, a, depth - 1);
		keys[i] = text(r, a);
	}
	return rng_below(r, 2) ? value_list(a, items, n) : value_map(a, keys, items, n);
}

/* A value that is not null: null leaves a field unset. */
static struct value *given_value(struct rng *r, struct arena *a)
{
	struct value *v;

	do
		v = random_value(r, a, 3);
	while (v->kind == VAL_NULL);
	return v;
}

static struct strs strings(struct rng *r, struct arena *a)
{
	struct strs l = {0};

	for (uint32_t n = rng_below(r, 4); n; n--)
		strs_push(a, &l, text(r, a));
	return l;
}

static void fill_list(
    struct rng *r, struct arena *a, const struct field *f, void *p, int depth)
{
	for (uint32_t n = depth > 0 ? rng_below(r, 3) : 0; n; n--) {
		switch ((enum field_kind)f->kind) {
		case FIELD_MAP:
			strmap_set(a, p, text(r, a), text(r, a));
			break;
		case FIELD_OBJS:
			objs_push(a, p, random_object(r, a, f->type, depth - 1));
			break;
		case FIELD_OBJMAP:
			objmap_set(a, p, text(r, a), random_object(r, a, f->type, depth - 1));
			break;
		case FIELD_INTMAP:
			intmap_set(a, p, text(r, a), integer(r));
			break;
		case FIELD_DBLMAP:
			dblmap_set(a, p, text(r, a), number(r));
			break;
		default:
			hdrmap_set(a, p, text(r, a), strings(r, a));
		}
	}
}

static void fill(struct rng *r, struct arena *a, const struct field *f, void *p, int depth)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		*(bool *)p = rng_below(r, 2);
		break;
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
		*(int64_t *)p = integer(r);
		break;
	case FIELD_STAMP:
		*(int64_t *)p = (int64_t)(rng_next(r) >> 3) - (INT64_C(1) << 59);
		break;
	case FIELD_DBL:
		*(double *)p = number(r);
		break;
	case FIELD_STR:
		*(const char **)p = text(r, a);
		break;
	case FIELD_STRS:
		*(struct strs *)p = strings(r, a);
		break;
	case FIELD_BYTES: {
		uint64_t bytes[2] = {rng_next(r), rng_next(r)};
		uint32_t n = rng_below(r, sizeof(bytes) + 1);

		*(struct bytes *)p = (struct bytes){.p = arena_copy(a, bytes, n), .n = n};
		break;
	}
	case FIELD_ANY:
		*(struct value **)p = given_value(r, a);
		break;
	case FIELD_OBJ:
		*(void **)p = random_object(r, a, f->type, depth - 1);
		break;
	default:
		fill_list(r, a, f, p, depth);
	}
}

void *random_object(struct rng *r, struct arena *a, const struct type *t, int depth)
{
	char *obj = arena_alloc(a, t->size);
	uint32_t density = 1 + rng_below(r, 4);

	for (uint32_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];

		if (rng_below(r, 4) >= density || (f->kind == FIELD_OBJ && depth <= 0))
			continue;
		fill(r, a, f, obj + f->offset, depth);
		*(uint64_t *)obj |= UINT64_C(1) << i;
	}
	return obj;
}
