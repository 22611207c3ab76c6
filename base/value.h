/*
 * value: a tree of dynamically typed data: what a driver's `config` holds, what HCL expressions
 * evaluate to, what has no table of its own. Lives in an arena, never changes once it is shared.
 */
#ifndef BASE_VALUE_H
#define BASE_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

enum value_kind { VAL_NULL, VAL_BOOL, VAL_INT, VAL_FLOAT, VAL_STR, VAL_LIST, VAL_MAP };

struct value {
	enum value_kind kind;
	uint32_t n; /* items of a list or map, bytes of a string */
	union {
		bool b;
		int64_t i;
		double f;
		const char *s;
		struct value **items; /* list items, or map values */
	};
	const char **keys; /* map only, in ascending byte order, no duplicates */
};

struct value *value_null(struct arena *a);
struct value *value_bool(struct arena *a, bool b);
struct value *value_int(struct arena *a, int64_t i);
struct value *value_float(struct arena *a, double f);
struct value *value_str(struct arena *a, const char *s);
struct value *value_list(struct arena *a, struct value **items, uint32_t n); /* copies the array */
/* Copies the arrays and sorts; of equal keys the last one wins. */
struct value *value_map(struct arena *a, const char **keys, struct value **items, uint32_t n);
struct value *value_copy(struct arena *a, const struct value *v);
bool value_equal(const struct value *a, const struct value *b);
const struct value *value_get(const struct value *map, const char *key); /* NULL when absent */

struct json_t;
/* From and to jansson. Depth is bounded by jansson's own parser limit (2048). */
struct value *value_from_json(struct arena *a, const struct json_t *j);
/* Streams JSON text; indent 0 = compact, else spaces per level (`depth` is the present level). */
void value_print_json(struct buf *b, const struct value *v, int indent, int depth);
void value_put(struct buf *b, const struct value *v);
struct value *value_take(struct wire *w, struct arena *a);

#endif
