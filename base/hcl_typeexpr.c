/* Type constraints as they are written: string, list(number), object({ name = string }), tuple([string, bool]). */
#include "base/hcl.h"

static const char expected[] = "expected string, number, bool, any, list(), set(), map(), object({}) or tuple([])";

static const struct hcl_type *bad(struct hcl *h, struct hcl_range at, const char *what)
{
	hcl_error(h, at, "Invalid type specification", "%s", what);
	return NULL;
}

static const struct hcl_type *named(struct hcl *h, const char *name, struct hcl_range at)
{
	static const struct {
		const char *name;
		const struct hcl_type *type;
	} words[] = {{"string", &hcl_type_string}, {"number", &hcl_type_number}, {"bool", &hcl_type_bool}, {"any", &hcl_any}};
	static const struct {
		const char *name;
		enum hcl_kind kind;
	} old[] = {{"list", HCL_LIST}, {"set", HCL_SET}, {"map", HCL_MAP}}; /* without an element type */

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(words[i].name, name))
			return words[i].type;
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		if (str_eq(old[i].name, name))
			return hcl_type_of_elements(h, old[i].kind, &hcl_any);
	hcl_error(h, at, "Invalid type specification", "there is no type \"%s\": %s", name, expected);
	return NULL;
}

static const char *key_of(const struct hcl_expr *e)
{
	return e->kind == HCL_EXPR_VALUE && e->value->kind == HCL_STRING ? e->value->s : NULL;
}

struct member {
	const char *name;
	const struct hcl_type *type;
	bool optional;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static const struct hcl_type *object_type(struct hcl *h, const struct hcl_expr *attrs)
{
	if (attrs->kind != HCL_EXPR_OBJECT)
		return bad(h, attrs->range, "expected object({ name = type, ... })");
	uint32_t n = attrs->n / 2;
	struct member *m = arena_alloc(h->arena, (n + 1) * sizeof(*m));
	struct hcl_type *t = arena_alloc(h->arena, sizeof(*t));
	const char **names = arena_alloc(h->arena, (n + 1) * sizeof(*names));
	bool *optional = arena_alloc(h->arena, n + 1);

	for (uint32_t i = 0; i < n; i++) {
		const struct hcl_expr *type = attrs->a[2 * i + 1];

		m[i].optional = type->kind == HCL_EXPR_CALL && str_eq(type->name, "optional") && type->n >= 1;
		m[i].name = key_of(attrs->a[2 * i]);
		if (!m[i].name)
			return bad(h, attrs->a[2 * i]->range, "The keys of an object type are names.");
		m[i].type = hcl_type_parse(h, m[i].optional ? type->a[0] : type);
		if (!m[i].type)
			return NULL;
	}
	if (n)
		qsort(m, n, sizeof(*m), by_name);
	t->kind = HCL_OBJECT;
	t->types = arena_alloc(h->arena, (n + 1) * sizeof(*t->types));
	t->names = names;
	t->optional = optional;
	for (uint32_t i = 0; i < n; i++) {
		if (t->n && str_eq(names[t->n - 1], m[i].name))
			return bad(h, attrs->range, "each member is named once");
		names[t->n] = m[i].name;
		optional[t->n] = m[i].optional;
		t->types[t->n++] = m[i].type;
	}
	return t;
}

static const struct hcl_type *tuple_type(struct hcl *h, const struct hcl_expr *list)
{
	if (list->kind != HCL_EXPR_LIST)
		return bad(h, list->range, "expected tuple([type, ...])");
	struct hcl_type *t = arena_alloc(h->arena, sizeof(*t));

	t->kind = HCL_TUPLE;
	t->types = arena_alloc(h->arena, (list->n + 1) * sizeof(*t->types));
	for (; t->n < list->n; t->n++)
		if (!(t->types[t->n] = hcl_type_parse(h, list->a[t->n])))
			return NULL;
	return t;
}

const struct hcl_type *hcl_type_parse(struct hcl *h, const struct hcl_expr *e)
{
	if (e->kind == HCL_EXPR_PARENS)
		return hcl_type_parse(h, e->a[0]);
	if (e->kind == HCL_EXPR_VALUE && e->value->kind == HCL_STRING) /* type = "string", the old spelling */
		return named(h, e->value->s, e->range);
	if (e->kind == HCL_EXPR_NAME && e->n == 0)
		return named(h, e->name, e->range);
	if (e->kind != HCL_EXPR_CALL)
		return bad(h, e->range, expected);
	bool object = str_eq(e->name, "object"), tuple = str_eq(e->name, "tuple");
	const struct hcl_type *t = object || tuple ? &hcl_any : named(h, e->name, e->range), *elem;

	if (!t)
		return NULL;
	if (e->n != 1 || (!object && !tuple && !t->elem)) {
		hcl_error(h, e->range, "Invalid type specification", "the type %s %s", e->name,
		    object || tuple || t->elem ? "has one argument, the type of its elements" : "has no arguments");
		return NULL;
	}
	if (object)
		return object_type(h, e->a[0]);
	if (tuple)
		return tuple_type(h, e->a[0]);
	elem = hcl_type_parse(h, e->a[0]);
	return elem ? hcl_type_of_elements(h, t->kind, elem) : NULL;
}
