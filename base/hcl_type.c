/*
 * Types of values, as the language's type system (go-cty) has them: what a value is, when two types are one, the type
 * that several have in common, and conversion. The rules are those of its documentation of "unification" and
 * "conversion": primitives meet in string, a tuple stands for a list where one is asked for, an object for a map.
 */
#include "base/hcl.h"

const struct hcl_type hcl_any = {.kind = HCL_NULL}, hcl_type_bool = {.kind = HCL_BOOL}, hcl_type_number = {.kind = HCL_NUMBER},
		      hcl_type_string = {.kind = HCL_STRING};

const struct hcl_type *hcl_type_of_elements(struct hcl *h, enum hcl_kind kind, const struct hcl_type *elem)
{
	struct hcl_type *t = arena_alloc(h->arena, sizeof(*t));

	t->kind = kind;
	t->elem = elem;
	return t;
}

static struct hcl_type *structural(struct hcl *h, enum hcl_kind kind, uint32_t n)
{
	struct hcl_type *t = arena_alloc(h->arena, sizeof(*t));

	t->kind = kind;
	t->n = n;
	t->types = arena_alloc(h->arena, (n + 1) * sizeof(*t->types));
	return t;
}

const struct hcl_type *hcl_type_of(struct hcl *h, struct hcl_value *v)
{
	if (v->type)
		return v->type;
	struct hcl_type *t = structural(h, v->kind, v->n);

	for (uint32_t i = 0; i < v->n; i++)
		t->types[i] = hcl_type_of(h, v->items[i]);
	t->names = v->keys;
	return v->type = t;
}

bool hcl_type_equal(struct hcl *h, const struct hcl_type *a, const struct hcl_type *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || a->n != b->n || hcl_over_budget(h, h->at))
		return false;
	if (a->elem)
		return hcl_type_equal(h, a->elem, b->elem);
	for (uint32_t i = 0; i < a->n; i++)
		if ((a->names && !str_eq(a->names[i], b->names[i])) || !hcl_type_equal(h, a->types[i], b->types[i]))
			return false;
	return true;
}

static bool is_any(const struct hcl_type *t)
{
	return t->kind == HCL_NULL;
}

static bool is_primitive(const struct hcl_type *t)
{
	return t->kind > HCL_NULL && t->kind <= HCL_STRING;
}

static int find_name(const struct hcl_type *object, const char *name)
{
	uint32_t low = 0, high = object->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = strcmp(object->names[mid], name);

		if (!c)
			return (int)mid;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return -1;
}

static bool is_optional(const struct hcl_type *object, uint32_t i)
{
	return object->optional && object->optional[i];
}

const char *hcl_type_name(struct hcl *h, const struct hcl_type *t)
{
	static const char *const names[] = {[HCL_NULL] = "any type", [HCL_BOOL] = "bool", [HCL_NUMBER] = "number",
	    [HCL_STRING] = "string", [HCL_LIST] = "list", [HCL_SET] = "set", [HCL_TUPLE] = "tuple", [HCL_MAP] = "map",
	    [HCL_OBJECT] = "object"};

	return t->elem && !is_any(t->elem) ? arena_printf(h->arena, "%s of %s", names[t->kind], hcl_type_name(h, t->elem)) : names[t->kind];
}

/* ---- is there a conversion ---- */

static bool can_convert(struct hcl *h, const struct hcl_type *in, const struct hcl_type *out);

static bool all_convert(struct hcl *h, const struct hcl_type *in, const struct hcl_type *elem)
{
	if (is_any(elem)) {
		if (!in->n)
			return true;
		elem = hcl_unify(h, in->types, in->n);
		if (!elem)
			return false;
		for (uint32_t i = 0; is_any(elem) && i < in->n; i++)
			if (!is_any(in->types[i]))
				return false;
	}
	for (uint32_t i = 0; i < in->n; i++)
		if (!can_convert(h, in->types[i], elem))
			return false;
	return true;
}

static bool can_become_object(struct hcl *h, const struct hcl_type *in, const struct hcl_type *out)
{
	for (uint32_t i = 0; i < out->n; i++) {
		int at = in->kind == HCL_OBJECT ? find_name(in, out->names[i]) : 0;
		const struct hcl_type *from = in->kind == HCL_MAP ? in->elem : at >= 0 ? in->types[at] : NULL;

		if (is_optional(out, i) && (!from || in->kind == HCL_MAP))
			continue;
		if (!from || !can_convert(h, from, out->types[i]))
			return false;
	}
	return true;
}

static bool can_convert(struct hcl *h, const struct hcl_type *in, const struct hcl_type *out)
{
	bool in_list = in->kind == HCL_LIST || in->kind == HCL_SET;

	if (hcl_over_budget(h, h->at))
		return false;
	if (is_any(out) || is_any(in) || hcl_type_equal(h, in, out))
		return true;
	if (is_primitive(in) && is_primitive(out))
		return in->kind == HCL_STRING || out->kind == HCL_STRING;
	switch (out->kind) {
	case HCL_LIST:
	case HCL_SET:
		if (in->kind == HCL_TUPLE)
			return all_convert(h, in, out->elem);
		return in_list && can_convert(h, in->elem, out->elem);
	case HCL_TUPLE:
		if (in->kind != HCL_TUPLE || in->n != out->n)
			return false;
		for (uint32_t i = 0; i < in->n; i++)
			if (!can_convert(h, in->types[i], out->types[i]))
				return false;
		return true;
	case HCL_MAP:
		if (in->kind == HCL_OBJECT)
			return all_convert(h, in, out->elem);
		return in->kind == HCL_MAP && can_convert(h, in->elem, out->elem);
	case HCL_OBJECT:
		return (in->kind == HCL_OBJECT || in->kind == HCL_MAP) && can_become_object(h, in, out);
	default:
		return false;
	}
}

/* ---- what several types have in common ---- */

/* < 0: a is the more general one. */
static int compare(struct hcl *h, const struct hcl_type *a, const struct hcl_type *b)
{
	if (is_any(a) || is_any(b))
		return is_any(a) == is_any(b) ? 0 : is_any(a) ? 1 : -1;
	if (is_primitive(a) && is_primitive(b))
		return a->kind == b->kind ? 0 : a->kind == HCL_STRING ? -1 : b->kind == HCL_STRING ? 1 : 0;
	if (a->elem && a->kind == b->kind)
		return compare(h, a->elem, b->elem);
	if (a->kind == HCL_SET && (b->kind == HCL_LIST || b->kind == HCL_TUPLE))
		return 1;
	if (b->kind == HCL_SET && (a->kind == HCL_LIST || a->kind == HCL_TUPLE))
		return -1;
	if (a->kind == HCL_LIST && b->kind == HCL_TUPLE)
		return -1;
	if (a->kind == HCL_TUPLE && b->kind == HCL_LIST)
		return 1;
	if (a->kind == HCL_MAP && b->kind == HCL_OBJECT)
		return -1;
	if (a->kind == HCL_OBJECT && b->kind == HCL_MAP)
		return 1;
	if (a->kind != b->kind || a->kind < HCL_LIST || a->n != b->n || hcl_over_budget(h, h->at))
		return 0;
	bool above = false, below = false;

	for (uint32_t i = 0; i < a->n; i++) {
		if (a->names && !str_eq(a->names[i], b->names[i]))
			return 0;
		int c = compare(h, a->types[i], b->types[i]);

		above = above || c < 0;
		below = below || c > 0;
	}
	return above == below ? 0 : above ? -1 : 1;
}

/* The members of all tuples or objects meet in the element of one list or map. */
static const struct hcl_type *members(struct hcl *h, enum hcl_kind kind, const struct hcl_type *const *types, uint32_t n)
{
	uint32_t total = 0, k = 0;

	for (uint32_t i = 0; i < n; i++)
		total += types[i]->n;
	const struct hcl_type **all = arena_alloc(h->arena, (total + 1) * sizeof(*all)), *elem;

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t m = 0; m < types[i]->n; m++)
			all[k++] = types[i]->types[m];
	elem = hcl_unify(h, all, total);
	return elem ? hcl_type_of_elements(h, kind, elem) : NULL;
}

static const struct hcl_type *unify_elements(struct hcl *h, const struct hcl_type *const *types, uint32_t n)
{
	const struct hcl_type **all = arena_alloc(h->arena, n * sizeof(*all)), *elem;

	for (uint32_t i = 0; i < n; i++)
		all[i] = types[i]->elem;
	elem = hcl_unify(h, all, n);
	return elem ? hcl_type_of_elements(h, types[0]->kind, elem) : NULL;
}

/* Tuples of one length, objects of the same names: member by member. Else as list or map. */
static const struct hcl_type *unify_members(struct hcl *h, const struct hcl_type *const *types, uint32_t n)
{
	const struct hcl_type *first = types[0];
	enum hcl_kind fallback = first->kind == HCL_TUPLE ? HCL_LIST : HCL_MAP;

	for (uint32_t i = 1; i < n; i++) {
		if (types[i]->n != first->n)
			return members(h, fallback, types, n);
		for (uint32_t m = 0; first->names && m < first->n; m++)
			if (!str_eq(first->names[m], types[i]->names[m]))
				return members(h, fallback, types, n);
	}
	struct hcl_type *t = structural(h, first->kind, first->n);
	const struct hcl_type **across = arena_alloc(h->arena, n * sizeof(*across));

	t->names = first->names;
	for (uint32_t m = 0; m < first->n; m++) {
		for (uint32_t i = 0; i < n; i++)
			across[i] = types[i]->types[m];
		t->types[m] = hcl_unify(h, across, n);
		if (!t->types[m])
			return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!can_convert(h, types[i], t))
			return members(h, fallback, types, n);
	return t;
}

/* Lists beside tuples, maps beside objects. */
static const struct hcl_type *unify_mixture(struct hcl *h, enum hcl_kind kind, const struct hcl_type *const *types, uint32_t n)
{
	const struct hcl_type **some = arena_alloc(h->arena, n * sizeof(*some)), **all = arena_alloc(h->arena, n * sizeof(*all));
	const struct hcl_type *common;
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++)
		if (types[i]->kind == HCL_TUPLE || types[i]->kind == HCL_OBJECT)
			some[k++] = types[i];
	common = members(h, kind, some, k);
	if (!common)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		all[i] = types[i]->kind == HCL_TUPLE || types[i]->kind == HCL_OBJECT ? common : types[i];
	common = hcl_unify(h, all, n);
	return common && common->kind == kind ? common : NULL;
}

/* One of the types that all others convert to: the more general ones are asked first. */
static const struct hcl_type *choose(struct hcl *h, const struct hcl_type *const *types, uint32_t n)
{
	const struct hcl_type **kinds = arena_alloc(h->arena, n * sizeof(*kinds));
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++) { /* equal ones need asking once */
		bool seen = false;

		for (uint32_t k = 0; k < m && !seen; k++)
			seen = hcl_type_equal(h, kinds[k], types[i]);
		if (seen)
			continue;
		if (m >= 64) /* more different types than any real file has in one place */
			return NULL;
		uint32_t at = m++;

		for (; at > 0 && compare(h, types[i], kinds[at - 1]) < 0; at--)
			kinds[at] = kinds[at - 1];
		kinds[at] = types[i];
	}
	for (uint32_t i = 0; i < m; i++) {
		bool fits = true;

		for (uint32_t k = 0; k < m && fits; k++)
			fits = can_convert(h, kinds[k], kinds[i]);
		if (fits)
			return kinds[i];
	}
	return NULL;
}

const struct hcl_type *hcl_unify(struct hcl *h, const struct hcl_type *const *types, uint32_t n)
{
	uint32_t count[HCL_OBJECT + 1] = {0};
	bool same = true;

	if (!n || hcl_over_budget(h, h->at))
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		count[types[i]->kind]++;
		same = same && hcl_type_equal(h, types[0], types[i]);
	}
	if (same)
		return types[0];
	uint32_t any = count[HCL_NULL];
	const struct hcl_type *t;

	for (enum hcl_kind k = HCL_LIST; k <= HCL_OBJECT; k++) {
		if (!count[k] || count[k] + any != n)
			continue;
		if (any) /* nothing can be said of the type of null beside a collection */
			return &hcl_any;
		return k == HCL_TUPLE || k == HCL_OBJECT ? unify_members(h, types, n) : unify_elements(h, types, n);
	}
	if (count[HCL_MAP] && count[HCL_MAP] + count[HCL_OBJECT] + any == n && (t = unify_mixture(h, HCL_MAP, types, n)))
		return t;
	if (count[HCL_LIST] && count[HCL_LIST] + count[HCL_TUPLE] + any == n && (t = unify_mixture(h, HCL_LIST, types, n)))
		return t;
	if (count[HCL_OBJECT] && count[HCL_TUPLE])
		return NULL;
	return choose(h, types, n);
}

/* ---- converting ---- */

static struct hcl_value *no(const char **why, const char *reason)
{
	*why = reason;
	return NULL;
}

/* The type that `any` inside of `want` stands for, given what was made. */
static const struct hcl_type *common_type(struct hcl *h, struct hcl_value **items, uint32_t n)
{
	const struct hcl_type **types = arena_alloc(h->arena, (n + 1) * sizeof(*types));

	for (uint32_t i = 0; i < n; i++)
		types[i] = hcl_type_of(h, items[i]);
	return hcl_unify(h, types, n);
}

static bool has_any(struct hcl *h, const struct hcl_type *t)
{
	bool any = is_any(t) || (t->elem && has_any(h, t->elem));

	for (uint32_t i = 0; i < t->n && !any && !hcl_over_budget(h, h->at); i++)
		any = has_any(h, t->types[i]) || is_optional(t, i);
	return any;
}

/* Converts the items to elem; elem becomes their real type. */
static struct hcl_value **convert_items(struct hcl *h, const struct hcl_type **elem, struct hcl_value *v, const char **why)
{
	struct hcl_value **items = arena_alloc(h->arena, (v->n + 1) * sizeof(*items));
	bool any = has_any(h, *elem);

	if (is_any(*elem) && v->type && v->type->elem) { /* already of one type */
		*elem = v->type->elem;
		return v->items;
	}
	if (!v->n)
		return items;
	if (is_any(*elem) && !(*elem = common_type(h, v->items, v->n)))
		return (void *)no(why, "cannot find a common base type for all elements");
	for (uint32_t i = 0; i < v->n; i++)
		if (!(items[i] = hcl_as(h, *elem, v->items[i], why)))
			return NULL;
	if (!any)
		return items;
	const struct hcl_type *common = common_type(h, items, v->n);

	if (!common)
		return (void *)no(why, "cannot find a common base type for all elements");
	for (uint32_t i = 0; i < v->n; i++)
		if (!(items[i] = hcl_as(h, common, items[i], why)))
			return NULL;
	*elem = common;
	return items;
}

static struct hcl_value *to_object(struct hcl *h, const struct hcl_type *want, struct hcl_value *v, const char **why)
{
	struct hcl_value **items = arena_alloc(h->arena, (want->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < want->n; i++) {
		struct hcl_value *item = hcl_get(v, want->names[i]);

		if (!item && !is_optional(want, i))
			return no(why, arena_printf(h->arena, "attribute \"%s\" is required", want->names[i]));
		items[i] = item ? hcl_as(h, want->types[i], item, why) : hcl_null_of(h, want->types[i]);
		if (!items[i])
			return NULL;
	}
	return hcl_object(h, want->names, items, want->n);
}

static struct hcl_value *to_tuple(struct hcl *h, const struct hcl_type *want, struct hcl_value *v, const char **why)
{
	struct hcl_value **items = arena_alloc(h->arena, (want->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < want->n; i++)
		if (!(items[i] = hcl_as(h, want->types[i], v->items[i], why)))
			return NULL;
	return hcl_tuple(h, items, want->n);
}

static const char *required(struct hcl *h, const struct hcl_type *want, const struct hcl_value *v)
{
	const char *name = hcl_type_name(h, want);

	if (want->kind == HCL_OBJECT && (v->kind == HCL_OBJECT || v->kind == HCL_MAP))
		for (uint32_t i = 0; i < want->n; i++)
			if (!is_optional(want, i) && !hcl_get(v, want->names[i]))
				return arena_printf(h->arena, "attribute \"%s\" is required", want->names[i]);
	if (want->kind == HCL_TUPLE)
		return arena_printf(h->arena, "tuple of %u elements required", want->n);
	if (want->kind == HCL_STRING || want->elem || want->kind == HCL_OBJECT)
		return arena_printf(h->arena, "%s required", name);
	return arena_printf(h->arena, "a %s is required", name);
}

struct hcl_value *hcl_as(struct hcl *h, const struct hcl_type *want, struct hcl_value *v, const char **why)
{
	const struct hcl_type *have, *elem = want->elem;
	struct hcl_value **items;

	if (is_any(want) || hcl_over_budget(h, h->at))
		return v;
	have = hcl_type_of(h, v);
	if (hcl_type_equal(h, have, want) && !has_any(h, want))
		return v;
	if (v->kind == HCL_NULL)
		return can_convert(h, have, want) ? hcl_null_of(h, want) : no(why, required(h, want, v));
	if (is_primitive(want)) {
		struct hcl_value *made = is_primitive(have) ? hcl_to(h, want->kind, v) : NULL;

		return made ? made : no(why, required(h, want, v));
	}
	if (!can_convert(h, have, want))
		return no(why, required(h, want, v));
	switch (want->kind) {
	case HCL_OBJECT:
		return to_object(h, want, v, why);
	case HCL_TUPLE:
		return to_tuple(h, want, v, why);
	default:
		items = convert_items(h, &elem, v, why);
		if (!items)
			return NULL;
		if (want->kind == HCL_MAP)
			return hcl_map(h, elem, v->keys, items, v->n);
		return want->kind == HCL_SET ? hcl_set(h, elem, items, v->n) : hcl_list(h, elem, items, v->n);
	}
}
