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

static const struct hcl_type *elem_of(const struct hcl_value *v)
{
	return v->type->elem;
}

static bool has(struct hcl_call *c, const struct hcl_value *list, struct hcl_value *v)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (hcl_equal(c->h, list->items[i], v))
			return true;
	return false;
}

/* A list when the first argument is one (or a set), else a tuple. */
static struct hcl_value *like(struct hcl_call *c, struct hcl_value **items, uint32_t n)
{
	struct hcl_value *v = c->args[0];

	return v->kind == HCL_TUPLE ? hcl_tuple(c->h, items, n) : hcl_list(c->h, elem_of(v), items, n);
}

static struct hcl_value *fn_length(struct hcl_call *c)
{
	struct hcl_value *v = c->args[0];

	if (v->kind < HCL_LIST)
		return hcl_call_error(c, "argument must be a list, a map or an object, not %s", hcl_kind_name(v));
	return hcl_int(c->h, v->n);
}

/* Lists alone give a list of the type they have in common, anything else a tuple. */
static struct hcl_value *fn_concat(struct hcl_call *c)
{
	const struct hcl_type **types = arena_alloc(c->h->arena, (c->n + 1) * sizeof(*types)), *common = NULL;
	size_t total = 0, n = 0;
	bool lists = true;

	for (uint32_t i = 0; i < c->n; i++) {
		if (c->args[i]->kind == HCL_SET)
			return hcl_call_error(c, "all arguments must be lists or tuples; got a set");
		total += c->args[i]->n;
		types[i] = c->args[i]->type;
		lists = lists && c->args[i]->kind == HCL_LIST;
	}
	if (!c->n || total > MAX_ITEMS)
		return hcl_call_error(c, c->n ? "the result is too large" : "at least one argument is required");
	struct hcl_value **items = room(c, total);

	if (lists)
		common = hcl_unify(c->h, types, c->n);
	for (uint32_t i = 0; i < c->n; i++) {
		const char *why;
		struct hcl_value *l = common ? hcl_as(c->h, common, c->args[i], &why) : c->args[i];

		if (!l)
			return hcl_call_error(c, "argument %u: %s", i + 1, why);
		for (uint32_t k = 0; k < l->n; k++)
			items[n++] = l->items[k];
	}
	return common ? hcl_list(c->h, common->elem, items, (uint32_t)n) : hcl_tuple(c->h, items, (uint32_t)n);
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
		chunks[n++] = hcl_list(c->h, elem_of(l), l->items + i, (uint32_t)MIN(size, (int64_t)(l->n - i)));
	return hcl_list(c->h, l->type, chunks, n);
}

/* The first that is not null, as the type that all of them have in common. */
static struct hcl_value *fn_coalesce(struct hcl_call *c)
{
	const struct hcl_type **types = arena_alloc(c->h->arena, (c->n + 1) * sizeof(*types)), *common;
	const char *why = "";

	for (uint32_t i = 0; i < c->n; i++)
		types[i] = hcl_type_of(c->h, c->args[i]);
	common = hcl_unify(c->h, types, c->n);
	if (!common)
		return hcl_call_error(c, "all arguments must have the same type");
	for (uint32_t i = 0; i < c->n; i++)
		if (c->args[i]->kind != HCL_NULL) {
			struct hcl_value *v = hcl_as(c->h, common, c->args[i], &why);

			return v ? v : hcl_call_error(c, "%s", why);
		}
	return hcl_call_error(c, "no non-null arguments");
}

static struct hcl_value *fn_coalescelist(struct hcl_call *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct hcl_value *v = c->args[i];

		if (v->kind != HCL_LIST && v->kind != HCL_TUPLE && v->kind != HCL_NULL)
			return hcl_call_error(c, "arguments must be lists or tuples");
		if (v->kind != HCL_NULL && v->n)
			return v;
	}
	return hcl_call_error(c, "no non-null arguments");
}

static struct hcl_value *fn_compact(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], **items = room(c, l->n);
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n; i++)
		if (l->items[i]->kind != HCL_NULL && l->items[i]->n)
			items[n++] = l->items[i];
	return hcl_list(c->h, &hcl_type_string, items, n);
}

static struct hcl_value *fn_contains(struct hcl_call *c)
{
	return hcl_bool(c->h, has(c, c->args[0], c->args[1]));
}

/* Equal elements are one in a set of all: what stands there already is left out. */
static struct hcl_value *fn_distinct(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], **items = room(c, l->n);
	bool primitive = elem_of(l)->kind <= HCL_STRING;
	uint32_t n = 0;

	if (primitive && l->n > 64) { /* long lists: by way of the set, in the order of first appearance */
		struct hcl_value *set = hcl_set(c->h, elem_of(l), l->items, l->n);
		cleanup_free bool *seen = xcalloc(set->n + 1, sizeof(bool));

		for (uint32_t i = 0; i < l->n; i++) {
			int64_t at = hcl_set_find(c->h, set, l->items[i]);

			if (at >= 0 && !seen[at]) {
				seen[at] = true;
				items[n++] = l->items[i];
			}
		}
		return hcl_list(c->h, elem_of(l), items, n);
	}
	struct hcl_value so_far = {.kind = HCL_LIST, .items = items};

	for (uint32_t i = 0; i < l->n; i++) {
		if (hcl_over_budget(c->h, c->at) || (c->h->steps += so_far.n, false))
			return NULL;
		if (!has(c, &so_far, l->items[i]))
			items[so_far.n++] = l->items[i];
	}
	return hcl_list(c->h, elem_of(l), items, so_far.n);
}

static struct hcl_value *fn_element(struct hcl_call *c)
{
	int64_t i;

	if (c->args[0]->kind == HCL_SET)
		return hcl_call_error(c, "a set has no order");
	if (!whole(c, 1, &i))
		return NULL;
	if (!c->args[0]->n)
		return hcl_call_error(c, "the list is empty");
	if (i < 0)
		return hcl_call_error(c, "the index is negative");
	return c->args[0]->items[i % c->args[0]->n];
}

static bool flatten(struct hcl_call *c, const struct hcl_value *l, struct hcl_value ***items, uint32_t *n, uint32_t *cap)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct hcl_value *v = l->items[i];

		if (hcl_over_budget(c->h, c->at))
			return false;
		if (hcl_is_sequence(v)) {
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
		out = hcl_tuple(c->h, items, n);
	free(items);
	return out;
}

/* index(list, number) and index(map, key): the element there. */
static struct hcl_value *fn_index(struct hcl_call *c)
{
	struct hcl_value *v = c->args[0], *key = c->args[1];
	int64_t i;

	if (v->kind == HCL_MAP && key->kind == HCL_STRING) {
		struct hcl_value *found = hcl_get(v, key->s);

		return found ? found : hcl_call_error(c, "invalid index");
	}
	if ((v->kind == HCL_LIST || v->kind == HCL_TUPLE) && key->kind == HCL_NUMBER) {
		if (!hcl_number_int(key, &i) || i < 0 || i >= v->n)
			return hcl_call_error(c, "the index is from 0 to %u", v->n ? v->n - 1 : 0);
		return v->items[i];
	}
	return hcl_call_error(c, "takes a list or tuple and a number, or a map and a string");
}

static struct hcl_value *fn_keys(struct hcl_call *c)
{
	struct hcl_value *m = c->args[0], **items = room(c, m->n);

	for (uint32_t i = 0; i < m->n; i++)
		items[i] = hcl_string(c->h, m->keys[i], strlen(m->keys[i]));
	return m->kind == HCL_MAP ? hcl_list(c->h, &hcl_type_string, items, m->n) : hcl_tuple(c->h, items, m->n);
}

static struct hcl_value *fn_values(struct hcl_call *c)
{
	struct hcl_value *m = c->args[0];

	return m->kind == HCL_MAP ? hcl_list(c->h, elem_of(m), m->items, m->n) : hcl_tuple(c->h, m->items, m->n);
}

/* lookup(map, key, default): the default becomes one of the map's elements in type. */
static struct hcl_value *fn_lookup(struct hcl_call *c)
{
	struct hcl_value *m = c->args[0], *v = hcl_get(m, c->args[1]->s);
	const char *why = "";

	if (v)
		return v;
	if (c->n < 3)
		return hcl_call_error(c, "there is no \"%s\" and no default", c->args[1]->s);
	v = m->kind == HCL_MAP ? hcl_as(c->h, elem_of(m), c->args[2], &why) : c->args[2];
	return v ? v : hcl_call_error(c, "the default does not fit the map's elements: %s", why);
}

/* Maps of one type give a map, anything else an object. */
static struct hcl_value *fn_merge(struct hcl_call *c)
{
	const struct hcl_type *first = NULL;
	size_t total = 0, n = 0;
	bool same = true;

	for (uint32_t i = 0; i < c->n; i++) {
		struct hcl_value *v = c->args[i];
		const struct hcl_type *t = hcl_type_of(c->h, v);

		if (t->kind != HCL_MAP && t->kind != HCL_OBJECT && t->kind != HCL_NULL)
			return hcl_call_error(c, "arguments must be maps or objects, got %s", hcl_kind_name(v));
		if (v->kind == HCL_NULL)
			continue;
		total += v->n;
		same = same && (!first || hcl_type_equal(c->h, first, t));
		first = first ? first : t;
	}
	if (total > MAX_ITEMS)
		return hcl_call_error(c, "the result is too large");
	const char **keys = arena_alloc(c->h->arena, (total + 1) * sizeof(*keys));
	struct hcl_value **items = room(c, total);

	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t k = 0; k < c->args[i]->n; k++, n++) {
			keys[n] = c->args[i]->keys[k];
			items[n] = c->args[i]->items[k];
		}
	if (first && same && first->kind == HCL_MAP)
		return hcl_map(c->h, first->elem, keys, items, (uint32_t)n);
	return hcl_object(c->h, keys, items, (uint32_t)n);
}

/* range(limit), range(start, limit), range(start, limit, step) */
static struct hcl_value *fn_range(struct hcl_call *c)
{
	struct hcl_value *start = c->n > 1 ? c->args[0] : hcl_int(c->h, 0), *limit = c->args[c->n > 1], *zero = hcl_int(c->h, 0);
	bool down = hcl_compare(start, limit) > 0;
	struct hcl_value *step = c->n > 2 ? c->args[2] : hcl_int(c->h, down ? -1 : 1), **items = NULL, *out;
	uint32_t n = 0, cap = 0;

	if (hcl_compare(step, zero) == 0)
		return hcl_call_error(c, "step must not be zero");
	if (c->n > 2 && hcl_compare(start, limit) != 0 && (hcl_compare(step, zero) < 0) != down)
		return hcl_call_error(c, "the step leads away from the limit");
	for (struct hcl_value *v = start; v && (down ? hcl_compare(v, limit) > 0 : hcl_compare(v, limit) < 0);
	     v = hcl_arith(c->h, '+', v, step)) {
		if (n >= 1024) {
			free(items);
			return hcl_call_error(c, "a range has at most 1024 numbers");
		}
		if (n == cap)
			items = xrealloc(items, cap = cap ? 2 * cap : 16, sizeof(*items));
		items[n++] = v;
	}
	out = hcl_list(c->h, &hcl_type_number, items, n);
	free(items);
	return out;
}

static struct hcl_value *fn_reverse(struct hcl_call *c)
{
	struct hcl_value *l = c->args[0], *text = hcl_to(c->h, HCL_STRING, l), **items;

	if (text) {
		c->args[0] = text;
		return hcl_reverse_string(c);
	}
	if (!hcl_is_sequence(l))
		return hcl_call_error(c, "can only reverse strings, lists and tuples, not a %s", hcl_kind_name(l));
	items = room(c, l->n);
	for (uint32_t i = 0; i < l->n; i++)
		items[i] = l->items[l->n - 1 - i];
	return like(c, items, l->n);
}

static struct hcl_value *fn_slice(struct hcl_call *c)
{
	int64_t from, to;

	if (c->args[0]->kind == HCL_SET)
		return hcl_call_error(c, "a set has no order");
	if (!whole(c, 1, &from) || !whole(c, 2, &to))
		return NULL;
	if (from < 0 || to < from || to > c->args[0]->n)
		return hcl_call_error(c, "start and end are from 0 to %u, start not beyond end", c->args[0]->n);
	return like(c, c->args[0]->items + from, (uint32_t)(to - from));
}

static int by_text(const void *a, const void *b, void *h)
{
	return hcl_text_order(h, (*(struct hcl_value *const *)a)->s, (*(struct hcl_value *const *)b)->s);
}

static struct hcl_value *fn_sort(struct hcl_call *c)
{
	struct hcl_value *l = hcl_list(c->h, &hcl_type_string, c->args[0]->items, c->args[0]->n);

	for (uint32_t i = 0; i < l->n; i++)
		if (l->items[i]->kind == HCL_NULL)
			return hcl_call_error(c, "element %u is null, which has no place in an order", i);
	if (l->n)
		qsort_r(l->items, l->n, sizeof(*l->items), by_text, c->h);
	return l;
}

static struct hcl_value *fn_zipmap(struct hcl_call *c)
{
	struct hcl_value *k = c->args[0], *v = c->args[1];
	const char **keys = arena_alloc(c->h->arena, (k->n + 1) * sizeof(*keys));

	if (v->kind == HCL_SET)
		return hcl_call_error(c, "the values are a list or tuple");
	if (k->n != v->n)
		return hcl_call_error(c, "there are %u keys and %u values", k->n, v->n);
	for (uint32_t i = 0; i < k->n; i++) {
		if (k->items[i]->kind == HCL_NULL)
			return hcl_call_error(c, "key %u is null", i);
		keys[i] = k->items[i]->s;
	}
	return v->kind == HCL_LIST ? hcl_map(c->h, elem_of(v), keys, v->items, k->n) : hcl_object(c->h, keys, v->items, k->n);
}

/* ---- sets ---- */

/* All arguments as sets of the type that their elements have in common. */
static bool same_sets(struct hcl_call *c)
{
	const struct hcl_type **types = arena_alloc(c->h->arena, (c->n + 1) * sizeof(*types)), *elem = &hcl_any;
	const char *why = "";
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->args[i]->n || elem_of(c->args[i])->kind != HCL_NULL)
			types[n++] = elem_of(c->args[i]);
	if (n && !(elem = hcl_unify(c->h, types, n))) {
		hcl_call_error(c, "the elements have no common type");
		return false;
	}
	for (uint32_t i = 0; n && i < c->n; i++) {
		struct hcl_value *v = hcl_as(c->h, hcl_type_of_elements(c->h, HCL_SET, elem), c->args[i], &why);

		if (!v) {
			hcl_call_error(c, "argument %u: %s", i + 1, why);
			return false;
		}
		c->args[i] = v;
	}
	return true;
}

static struct hcl_value *fn_setunion(struct hcl_call *c)
{
	size_t total = 0, n = 0;

	if (!same_sets(c))
		return NULL;
	for (uint32_t i = 0; i < c->n; i++)
		total += c->args[i]->n;
	struct hcl_value **items = room(c, total);

	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t k = 0; k < c->args[i]->n; k++)
			items[n++] = c->args[i]->items[k];
	return hcl_set(c->h, elem_of(c->args[0]), items, (uint32_t)n);
}

/* The elements of the first set that are in all others, or in none. */
static struct hcl_value *sift(struct hcl_call *c, bool in_all)
{
	if (!same_sets(c))
		return NULL;
	struct hcl_value *first = c->args[0], **items = room(c, first->n);
	uint32_t n = 0;

	for (uint32_t k = 0; k < first->n; k++) {
		bool keep = true;

		for (uint32_t i = 1; i < c->n && keep; i++) {
			if (hcl_over_budget(c->h, c->at))
				return NULL;
			keep = (first->items[k]->kind <= HCL_STRING ? hcl_set_find(c->h, c->args[i], first->items[k]) >= 0
								    : has(c, c->args[i], first->items[k])) == in_all;
		}
		if (keep)
			items[n++] = first->items[k];
	}
	return hcl_set(c->h, elem_of(first), items, n);
}

static struct hcl_value *fn_setintersection(struct hcl_call *c)
{
	return sift(c, true);
}

static struct hcl_value *fn_setsubtract(struct hcl_call *c)
{
	return sift(c, false);
}

/* The elements of each argument made one type: a tuple takes part as the list it stands for. */
static bool as_factors(struct hcl_call *c, size_t *total, bool *sets, const struct hcl_type **elems)
{
	static const struct hcl_type list = {.kind = HCL_LIST, .elem = &hcl_any};
	const char *why = "";

	for (uint32_t i = 0; i < c->n; i++) {
		struct hcl_value *v = c->args[i]->kind == HCL_TUPLE ? hcl_as(c->h, &list, c->args[i], &why) : c->args[i];

		if (!v) {
			hcl_call_error(c, "argument %u: all elements must be of the same type", i + 1);
			return false;
		}
		*sets = *sets || v->kind == HCL_SET;
		elems[i] = elem_of(v);
		c->args[i] = v;
		*total *= v->n;
		if (*total > MAX_ITEMS) {
			hcl_call_error(c, "the result is too large");
			return false;
		}
	}
	return true;
}

static struct hcl_value *fn_setproduct(struct hcl_call *c)
{
	const struct hcl_type **elems = arena_alloc(c->h->arena, (c->n + 1) * sizeof(*elems));
	size_t total = 1;
	bool sets = false;

	if (c->n < 2)
		return hcl_call_error(c, "at least two arguments are required");
	if (!as_factors(c, &total, &sets, elems))
		return NULL;
	struct hcl_type *row_type = arena_alloc(c->h->arena, sizeof(*row_type));
	struct hcl_value **rows = room(c, total);

	*row_type = (struct hcl_type){.kind = HCL_TUPLE, .n = c->n, .types = elems};
	for (size_t row = 0; row < total; row++) {
		struct hcl_value **items = room(c, c->n);
		size_t rest = row;

		for (uint32_t i = c->n; i-- > 0;) {
			items[i] = c->args[i]->items[rest % c->args[i]->n];
			rest /= c->args[i]->n;
		}
		rows[row] = hcl_tuple(c->h, items, c->n);
		if (hcl_over_budget(c->h, c->at))
			return NULL;
	}
	return sets ? hcl_set(c->h, row_type, rows, (uint32_t)total) : hcl_list(c->h, row_type, rows, (uint32_t)total);
}

/* The conversions to list and set are done by the parameter's letter. */
static struct hcl_value *fn_same(struct hcl_call *c)
{
	return c->args[0];
}

static struct hcl_value *fn_tomap(struct hcl_call *c)
{
	static const struct hcl_type map = {.kind = HCL_MAP, .elem = &hcl_any};
	const char *why = "";
	struct hcl_value *v = hcl_as(c->h, &map, c->args[0], &why);

	return v ? v : hcl_call_error(c, "%s", why);
}

static struct hcl_value *fn_sum(struct hcl_call *c)
{
	struct hcl_value *sum = hcl_int(c->h, 0);

	if (!c->args[0]->n)
		return hcl_call_error(c, "cannot sum an empty list");
	for (uint32_t i = 0; sum && i < c->args[0]->n; i++) {
		if (c->args[0]->items[i]->kind == HCL_NULL)
			return hcl_call_error(c, "element %u is null", i);
		sum = hcl_arith(c->h, '+', sum, c->args[0]->items[i]);
	}
	return sum ? sum : hcl_call_error(c, "the sum is too large");
}

const struct hcl_func hcl_funcs_collection[] = {
    {"chunklist", "ln", fn_chunklist},
    {"coalesce", "A*", fn_coalesce},
    {"coalescelist", "A*", fn_coalescelist},
    {"compact", "L", fn_compact},
    {"concat", "q*", fn_concat},
    {"contains", "qa", fn_contains},
    {"distinct", "l", fn_distinct},
    {"element", "qn", fn_element},
    {"flatten", "q", fn_flatten},
    {"index", "aa", fn_index},
    {"keys", "m", fn_keys},
    {"length", "a", fn_length},
    {"lookup", "msA?", fn_lookup},
    {"merge", "A*", fn_merge},
    {"range", "nn?n?", fn_range},
    {"reverse", "a", fn_reverse},
    {"setintersection", "SS*", fn_setintersection},
    {"setproduct", "q*", fn_setproduct},
    {"setsubtract", "SS", fn_setsubtract},
    {"setunion", "SS*", fn_setunion},
    {"slice", "qnn", fn_slice},
    {"sort", "L", fn_sort},
    {"sum", "N", fn_sum},
    {"tolist", "l", fn_same},
    {"tomap", "m", fn_tomap},
    {"toset", "S", fn_same},
    {"values", "m", fn_values},
    {"zipmap", "Lq", fn_zipmap},
    {NULL, NULL, NULL},
};
