/* Type constraints of variables: string, list(number), object({...}), ... and conversion to them. */
#include "base/hcl.h"

static struct hcl_value *mismatch(struct hcl *h, struct hcl_range at, const char *what, const char *wanted, const struct hcl_value *v)
{
	hcl_error(h, at, "Invalid value for variable", "%s: %s required, and this is %s.", what, wanted, hcl_kind_name(v));
	return NULL;
}

static const struct hcl_expr *argument(struct hcl *h, const struct hcl_expr *type)
{
	if (type->n == 1)
		return type->a[0];
	hcl_error(h, type->range, "Invalid type specification", "The %s type constructor takes one argument: the type of the elements.", type->name);
	return NULL;
}

static struct hcl_value *convert_list(struct hcl *h, const struct hcl_expr *type, struct hcl_value *v, struct hcl_range at,
    const char *what, enum hcl_kind kind)
{
	const struct hcl_expr *element = argument(h, type);

	if (!element)
		return NULL;
	if (v->kind != HCL_LIST && v->kind != HCL_SET)
		return mismatch(h, at, what, kind == HCL_SET ? "set" : "list", v);
	struct hcl_value **items = arena_alloc(h->arena, (v->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < v->n; i++)
		if (!(items[i] = hcl_convert(h, element, v->items[i], at, arena_printf(h->arena, "%s[%u]", what, i))))
			return NULL;
	return hcl_list(h, kind, items, v->n);
}

static struct hcl_value *convert_map(struct hcl *h, const struct hcl_expr *type, struct hcl_value *v, struct hcl_range at,
    const char *what)
{
	const struct hcl_expr *element = argument(h, type);

	if (!element)
		return NULL;
	if (v->kind != HCL_MAP)
		return mismatch(h, at, what, "map", v);
	struct hcl_value **items = arena_alloc(h->arena, (v->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < v->n; i++)
		if (!(items[i] = hcl_convert(h, element, v->items[i], at, arena_printf(h->arena, "%s[\"%s\"]", what, v->keys[i]))))
			return NULL;
	return hcl_map(h, v->keys, items, v->n);
}

static const char *key_of(const struct hcl_expr *e)
{
	return e->kind == HCL_EXPR_VALUE && e->value->kind == HCL_STRING ? e->value->s : NULL;
}

/* Attributes that the type does not name are dropped, missing ones are an error unless optional(). */
static struct hcl_value *convert_object(struct hcl *h, const struct hcl_expr *type, struct hcl_value *v, struct hcl_range at,
    const char *what)
{
	const struct hcl_expr *attrs = argument(h, type);

	if (!attrs)
		return NULL;
	if (attrs->kind != HCL_EXPR_OBJECT) {
		hcl_error(h, attrs->range, "Invalid type specification", "Object type constructor requires one argument whose value is an object of types.");
		return NULL;
	}
	if (v->kind != HCL_MAP)
		return mismatch(h, at, what, "object", v);
	uint32_t n = attrs->n / 2;
	const char **keys = arena_alloc(h->arena, (n + 1) * sizeof(*keys));
	struct hcl_value **items = arena_alloc(h->arena, (n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < n; i++) {
		const struct hcl_expr *t = attrs->a[2 * i + 1];
		bool optional = t->kind == HCL_EXPR_CALL && str_eq(t->name, "optional") && t->n >= 1;

		keys[i] = key_of(attrs->a[2 * i]);
		if (!keys[i]) {
			hcl_error(h, attrs->range, "Invalid type specification", "The keys of an object type are names.");
			return NULL;
		}
		struct hcl_value *item = hcl_get(v, keys[i]);

		if (!item && !optional) {
			hcl_error(h, at, "Invalid value for variable", "%s: attribute \"%s\" is required.", what, keys[i]);
			return NULL;
		}
		items[i] = item ? hcl_convert(h, optional ? t->a[0] : t, item, at, arena_printf(h->arena, "%s.%s", what, keys[i]))
		                : hcl_null(h);
		if (!items[i])
			return NULL;
	}
	return hcl_map(h, keys, items, n);
}

static struct hcl_value *convert_tuple(struct hcl *h, const struct hcl_expr *type, struct hcl_value *v, struct hcl_range at,
    const char *what)
{
	const struct hcl_expr *types = argument(h, type);

	if (!types || types->kind != HCL_EXPR_LIST) {
		if (types)
			hcl_error(h, types->range, "Invalid type specification", "Tuple type constructor requires one argument: a list of types.");
		return NULL;
	}
	if (v->kind != HCL_LIST || v->n != types->n) {
		hcl_error(h, at, "Invalid value for variable", "%s: a tuple of %u elements is required.", what, types->n);
		return NULL;
	}
	struct hcl_value **items = arena_alloc(h->arena, (v->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < v->n; i++)
		if (!(items[i] = hcl_convert(h, types->a[i], v->items[i], at, arena_printf(h->arena, "%s[%u]", what, i))))
			return NULL;
	return hcl_list(h, HCL_LIST, items, v->n);
}

static struct hcl_value *convert_named(struct hcl *h, const char *name, struct hcl_range type_at, struct hcl_value *v,
    struct hcl_range at, const char *what)
{
	static const struct {
		const char *name;
		enum hcl_kind kind;
	} primitives[] = {{"string", HCL_STRING}, {"number", HCL_NUMBER}, {"bool", HCL_BOOL}};

	for (size_t i = 0; i < ARRAY_LEN(primitives); i++)
		if (str_eq(name, primitives[i].name)) {
			struct hcl_value *c = hcl_to(h, primitives[i].kind, v);

			return c ? c : mismatch(h, at, what, name, v);
		}
	if (str_eq(name, "any"))
		return v;
	if (str_eq(name, "list") || str_eq(name, "set") || str_eq(name, "map"))
		return v; /* the old forms without an element type */
	hcl_error(h, type_at, "Invalid type specification",
	    "The keyword \"%s\" is not a valid type: expected string, number, bool, any, list(), set(), map(), object({}) or tuple([]).", name);
	return NULL;
}

struct hcl_value *hcl_convert(struct hcl *h, const struct hcl_expr *type, struct hcl_value *v, struct hcl_range at,
    const char *what)
{
	if (type->kind == HCL_EXPR_VALUE && type->value->kind == HCL_STRING) /* type = "string", the old spelling */
		return convert_named(h, type->value->s, type->range, v, at, what);
	if (type->kind == HCL_EXPR_NAME && type->n == 0)
		return convert_named(h, type->name, type->range, v, at, what);
	if (type->kind == HCL_EXPR_CALL) {
		if (v->kind == HCL_NULL)
			return v;
		if (str_eq(type->name, "list"))
			return convert_list(h, type, v, at, what, HCL_LIST);
		if (str_eq(type->name, "set"))
			return convert_list(h, type, v, at, what, HCL_SET);
		if (str_eq(type->name, "map"))
			return convert_map(h, type, v, at, what);
		if (str_eq(type->name, "object"))
			return convert_object(h, type, v, at, what);
		if (str_eq(type->name, "tuple"))
			return convert_tuple(h, type, v, at, what);
	}
	hcl_error(h, type->range, "Invalid type specification",
	    "Expected string, number, bool, any, list(), set(), map(), object({}) or tuple([]).");
	return NULL;
}
