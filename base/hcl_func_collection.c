/* Functions over lists, sets and maps. */
#include "base/hcl.h"

enum { MAX_ITEMS = 1 << 20 }; /* of one result */

static struct hcl_value **room(struct hcl_call *c, size_t n)
{
	return arena_alloc(c->h->arena, (n + 1) * sizeof(struct hcl_value *));
}

static bool whole(struct hcl_call *c, uint32_t arg, int64_t *out)
{
	if (hcl_number_int(c->args[arg], out))
		return true;
	hcl_call_error(c, "argument %u must be a whole number", arg + 1);
	return false;
}

static bool has(const struct hcl_value *list, const struct hcl_value *v)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (hcl_equal(list->items[i], v))
			return true;
	return false;
}

static struct hcl_value *fn_length(struct hcl_call *c)
{
	struct hcl_value *v = c->args[0];

	if (v->kind < HCL_LIST)
		return hcl_call_error(c, "argument must be a list, a map or an object, not %s", hcl_kind_name(v));
	return hcl_int(c->h, v->n);
}

static struct hcl_value *fn_concat(struct hcl_call *c)
{
	size_t total = 0, n = 0;

	for (uint32_t i = 0; i < c->n; i++)
		total += c->args[i]->n;
	if (total > MAX_ITEMS)
		return hcl_call_error(c, "the result is too large");
	struct hcl_value **items = room(c, total);

	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t k = 0; k < c->args[i]->n; k++)
			items[n++] = c->args[i]->items[k];
	return hcl_list(c->h, HCL_LIST, items, (uint32_t)n);
}

static struct hcl_value *fn_chunklist(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], **chunks = room(c, l->n);
	uint32_t n = 0;
	int64_t size;

	if (!whole(c, 1, &size))
		return NULL;
	if (size < 0)
		return hcl_call_error(c, "the size argument must be positive");
	if (size == 0)
		size = MAX(l->n, 1u);
	for (uint32_t i = 0; i < l->n; i += (uint32_t)size)
		chunks[n++] = hcl_list(c->h, HCL_LIST, l->items + i, (uint32_t)MIN(size, (int64_t)(l->n - i)));
	return hcl_list(c->h, HCL_LIST, chunks, n);
}

/* The first that is neither null nor an empty string; a mixture of primitives becomes strings. */
static struct hcl_value *fn_coalesce(struct hcl_call *c)
{
	struct hcl_value *found = NULL;
	bool mixed = false;

	for (uint32_t i = 0; i < c->n; i++) {
		struct hcl_value *v = c->args[i];

		mixed = mixed || (v->kind == HCL_STRING);
		if (!found && v->kind != HCL_NULL && !(v->kind == HCL_STRING && !v->n))
			found = v;
	}
	if (!found)
		return hcl_call_error(c, "no non-null, non-empty-string arguments");
	return mixed && found->kind < HCL_STRING ? hcl_to(c->h, HCL_STRING, found) : found;
}

static struct hcl_value *fn_coalescelist(struct hcl_call *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if ((c->args[i]->kind == HCL_LIST || c->args[i]->kind == HCL_SET) && c->args[i]->n)
			return c->args[i];
	return hcl_call_error(c, "no non-null arguments");
}

static struct hcl_value *fn_compact(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], **items = room(c, l->n);
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		struct hcl_value *s = l->items[i]->kind == HCL_NULL ? NULL : hcl_to(c->h, HCL_STRING, l->items[i]);

		if (s && s->n)
			items[n++] = s;
	}
	return hcl_list(c->h, HCL_LIST, items, n);
}

static struct hcl_value *fn_contains(struct hcl_call *c)
{
	return hcl_bool(c->h, has(c->args[0], c->args[1]));
}

static struct hcl_value *fn_distinct(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], **items = room(c, l->n);
	struct hcl_value so_far = {.kind = HCL_LIST, .items = items};

	if ((uint64_t)l->n * l->n > MAX_ITEMS * UINT64_C(64))
		return hcl_call_error(c, "the list is too long");
	for (uint32_t i = 0; i < l->n; i++)
		if (!has(&so_far, l->items[i]))
			items[so_far.n++] = l->items[i];
	return hcl_list(c->h, HCL_LIST, items, so_far.n);
}

static struct hcl_value *fn_element(struct hcl_call *c)
{
	int64_t i;

	if (!whole(c, 1, &i))
		return NULL;
	if (!c->args[0]->n)
		return hcl_call_error(c, "cannot use element function with an empty list");
	if (i < 0)
		return hcl_call_error(c, "cannot use element function with a negative index");
	return c->args[0]->items[i % c->args[0]->n];
}

static bool flatten(struct hcl_call *c, const struct hcl_value *l, struct hcl_value ***items, uint32_t *n, uint32_t *cap)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct hcl_value *v = l->items[i];

		if (hcl_over_budget(c->h, c->at))
			return false;
		if (v->kind == HCL_LIST || v->kind == HCL_SET) {
			if (!flatten(c, v, items, n, cap))
				return false;
			continue;
		}
		if (*n == *cap)
			*items = xrealloc(*items, *cap = *cap ? 2 * *cap : 16, sizeof(**items));
		(*items)[(*n)++] = v;
	}
	return true;
}

static struct hcl_value *fn_flatten(struct hcl_call *c)
{
	struct hcl_value **items = NULL, *out = NULL;
	uint32_t n = 0, cap = 0;

	if (flatten(c, c->args[0], &items, &n, &cap))
		out = hcl_list(c->h, HCL_LIST, items, n);
	free(items);
	return out;
}

static struct hcl_value *fn_index(struct hcl_call *c)
{
	for (uint32_t i = 0; i < c->args[0]->n; i++)
		if (hcl_equal(c->args[0]->items[i], c->args[1]))
			return hcl_int(c->h, i);
	return hcl_call_error(c, c->args[0]->n ? "item not found" : "cannot search an empty list");
}

static struct hcl_value *fn_keys(struct hcl_call *c)
{
	struct hcl_value *m = c->args[0], **items = room(c, m->n);

	for (uint32_t i = 0; i < m->n; i++)
		items[i] = hcl_string(c->h, m->keys[i], strlen(m->keys[i]));
	return hcl_list(c->h, HCL_LIST, items, m->n);
}

static struct hcl_value *fn_values(struct hcl_call *c)
{
	return hcl_list(c->h, HCL_LIST, c->args[0]->items, c->args[0]->n);
}

static struct hcl_value *fn_lookup(struct hcl_call *c)
{
	struct hcl_value *v = hcl_get(c->args[0], c->args[1]->s);

	if (v)
		return v;
	return c->n > 2 ? c->args[2] : hcl_call_error(c, "lookup failed to find key \"%s\"", c->args[1]->s);
}

static struct hcl_value *fn_merge(struct hcl_call *c)
{
	size_t total = 0, n = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		if (c->args[i]->kind != HCL_MAP && c->args[i]->kind != HCL_NULL)
			return hcl_call_error(c, "arguments must be maps or objects, got %s", hcl_kind_name(c->args[i]));
		total += c->args[i]->n;
	}
	const char **keys = arena_alloc(c->h->arena, (total + 1) * sizeof(*keys));
	struct hcl_value **items = room(c, total);

	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t k = 0; k < c->args[i]->n; k++, n++) {
			keys[n] = c->args[i]->keys[k];
			items[n] = c->args[i]->items[k];
		}
	return hcl_map(c->h, keys, items, (uint32_t)n);
}

/* range(limit), range(start, limit), range(start, limit, step) */
static struct hcl_value *fn_range(struct hcl_call *c)
{
	struct hcl_value *start = c->n > 1 ? c->args[0] : hcl_int(c->h, 0), *limit = c->args[c->n > 1], *zero = hcl_int(c->h, 0);
	bool down = hcl_compare(start, limit) > 0;
	struct hcl_value *step = c->n > 2 ? c->args[2] : hcl_int(c->h, down ? -1 : 1), **items = NULL, *out;
	uint32_t n = 0, cap = 0;

	if (c->n > 3)
		return hcl_call_error(c, "takes one to three numbers");
	if (hcl_compare(step, zero) == 0)
		return hcl_call_error(c, "step must not be zero");
	if (c->n > 2 && hcl_compare(start, limit) != 0 && (hcl_compare(step, zero) < 0) != down)
		return hcl_call_error(c, "the step leads away from the limit");
	for (struct hcl_value *v = start; down ? hcl_compare(v, limit) > 0 : hcl_compare(v, limit) < 0;
	     v = hcl_arith(c->h, '+', v, step)) {
		if (n >= 1024) {
			free(items);
			return hcl_call_error(c, "more than 1024 values were generated; either decrease the difference between start and end or use a smaller step");
		}
		if (n == cap)
			items = xrealloc(items, cap = cap ? 2 * cap : 16, sizeof(*items));
		items[n++] = v;
	}
	out = hcl_list(c->h, HCL_LIST, items, n);
	free(items);
	return out;
}

static struct hcl_value *fn_reverse(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], **items = room(c, l->n);

	for (uint32_t i = 0; i < l->n; i++)
		items[i] = l->items[l->n - 1 - i];
	return hcl_list(c->h, HCL_LIST, items, l->n);
}

static struct hcl_value *fn_slice(struct hcl_call *c)
{
	int64_t from, to;

	if (!whole(c, 1, &from) || !whole(c, 2, &to))
		return NULL;
	if (from < 0 || to < from || to > c->args[0]->n)
		return hcl_call_error(c, "start and end index must be between 0 and %u, start not beyond end", c->args[0]->n);
	return hcl_list(c->h, HCL_LIST, c->args[0]->items + from, (uint32_t)(to - from));
}

static int by_text(const void *a, const void *b)
{
	return strcmp((*(struct hcl_value *const *)a)->s, (*(struct hcl_value *const *)b)->s);
}

static struct hcl_value *fn_sort(struct hcl_call *c)
{
	struct hcl_value *l = hcl_list(c->h, HCL_LIST, c->args[0]->items, c->args[0]->n);

	if (l->n)
		qsort(l->items, l->n, sizeof(*l->items), by_text);
	return l;
}

static struct hcl_value *fn_zipmap(struct hcl_call *c)
{
	struct hcl_value *k = c->args[0], *v = c->args[1];
	const char **keys = arena_alloc(c->h->arena, (k->n + 1) * sizeof(*keys));

	if (k->n != v->n)
		return hcl_call_error(c, "number of keys (%u) does not match number of values (%u)", k->n, v->n);
	for (uint32_t i = 0; i < k->n; i++)
		keys[i] = k->items[i]->s;
	return hcl_map(c->h, keys, v->items, k->n);
}

/* Sets whose elements are of different primitive types meet in strings. */
static struct hcl_value *as_set(struct hcl_call *c, struct hcl_value *l)
{
	struct hcl_value *copy = hcl_list(c->h, HCL_LIST, l->items, l->n);
	bool mixed = false;

	for (uint32_t i = 1; i < l->n; i++)
		mixed = mixed || l->items[i]->kind != l->items[0]->kind;
	for (uint32_t i = 0; mixed && i < l->n; i++) {
		struct hcl_value *s = hcl_to(c->h, HCL_STRING, l->items[i]);

		copy->items[i] = s ? s : l->items[i];
	}
	return hcl_list(c->h, HCL_SET, copy->items, copy->n);
}

static struct hcl_value *combine(struct hcl_call *c, bool both)
{
	struct hcl_value *out = as_set(c, c->args[0]);

	for (uint32_t i = 1; i < c->n; i++) {
		struct hcl_value *other = as_set(c, c->args[i]), **items = room(c, out->n + other->n);
		uint32_t n = 0;

		for (uint32_t k = 0; k < out->n; k++)
			if (!both || has(other, out->items[k]))
				items[n++] = out->items[k];
		for (uint32_t k = 0; !both && k < other->n; k++)
			items[n++] = other->items[k];
		out = hcl_list(c->h, HCL_SET, items, n);
	}
	return out;
}

static struct hcl_value *fn_setunion(struct hcl_call *c)
{
	return combine(c, false);
}

static struct hcl_value *fn_setintersection(struct hcl_call *c)
{
	return combine(c, true);
}

static struct hcl_value *fn_setsubtract(struct hcl_call *c)
{
	struct hcl_value *a = as_set(c, c->args[0]), *b = as_set(c, c->args[1]), **items = room(c, a->n);
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->n; i++)
		if (!has(b, a->items[i]))
			items[n++] = a->items[i];
	return hcl_list(c->h, HCL_SET, items, n);
}

static struct hcl_value *fn_setproduct(struct hcl_call *c)
{
	size_t total = 1;
	bool sets = true;

	if (c->n < 2)
		return hcl_call_error(c, "at least two arguments are required");
	for (uint32_t i = 0; i < c->n; i++) {
		total *= c->args[i]->n;
		sets = sets && c->args[i]->kind == HCL_SET;
		if (total > MAX_ITEMS)
			return hcl_call_error(c, "the result is too large");
	}
	struct hcl_value **rows = room(c, total);

	for (size_t row = 0; row < total; row++) {
		struct hcl_value **items = room(c, c->n);
		size_t rest = row;

		for (uint32_t i = c->n; i-- > 0;) {
			items[i] = c->args[i]->items[rest % c->args[i]->n];
			rest /= c->args[i]->n;
		}
		rows[row] = hcl_list(c->h, HCL_LIST, items, c->n);
		if (hcl_over_budget(c->h, c->at))
			return NULL;
	}
	return hcl_list(c->h, sets ? HCL_SET : HCL_LIST, rows, (uint32_t)total);
}

static struct hcl_value *fn_toset(struct hcl_call *c)
{
	return as_set(c, c->args[0]);
}

static struct hcl_value *fn_tolist(struct hcl_call *c)
{
	return hcl_list(c->h, HCL_LIST, c->args[0]->items, c->args[0]->n);
}

static struct hcl_value *fn_sum(struct hcl_call *c)
{
	struct hcl_value *sum = hcl_int(c->h, 0);

	if (!c->args[0]->n)
		return hcl_call_error(c, "cannot sum an empty list");
	for (uint32_t i = 0; sum && i < c->args[0]->n; i++)
		sum = hcl_arith(c->h, '+', sum, c->args[0]->items[i]);
	return sum;
}

const struct hcl_func hcl_funcs_collection[] = {
    {"chunklist", "ln", fn_chunklist},
    {"coalesce", "a*", fn_coalesce},
    {"coalescelist", "a*", fn_coalescelist},
    {"compact", "l", fn_compact},
    {"concat", "l*", fn_concat},
    {"contains", "la", fn_contains},
    {"distinct", "l", fn_distinct},
    {"element", "ln", fn_element},
    {"flatten", "l", fn_flatten},
    {"index", "la", fn_index},
    {"keys", "m", fn_keys},
    {"length", "a", fn_length},
    {"lookup", "msa?", fn_lookup},
    {"merge", "a*", fn_merge},
    {"range", "nn?n?", fn_range},
    {"reverse", "l", fn_reverse},
    {"setintersection", "ll*", fn_setintersection},
    {"setproduct", "l*", fn_setproduct},
    {"setsubtract", "ll", fn_setsubtract},
    {"setunion", "ll*", fn_setunion},
    {"slice", "lnn", fn_slice},
    {"sort", "L", fn_sort},
    {"sum", "N", fn_sum},
    {"tolist", "l", fn_tolist},
    {"toset", "l", fn_toset},
    {"values", "m", fn_values},
    {"zipmap", "Ll", fn_zipmap},
    {NULL, NULL, NULL},
};
