#include "daemon/jobspec_decode.h"

#include "base/clock.h"

/* ---- problems ---- */

void decode_unsuitable(struct decoder *d, struct hcl_range at, const char *what)
{
	hcl_error(d->h, at, "Unsuitable value type", "Unsuitable value: %s", what);
}

/* Where an existing Nomad says that a value is unsuitable: at its first token, which is without the quotes of a text. */
static struct hcl_range first_token(const struct decoder *d, const struct hcl_expr *e)
{
	struct hcl_range r = e->range;
	uint32_t n = 0;

	switch (e->kind) {
	case HCL_EXPR_INDEX:
	case HCL_EXPR_ATTR:
	case HCL_EXPR_SPLAT:
	case HCL_EXPR_BINARY:
	case HCL_EXPR_IF:
		return first_token(d, e->a[0]);
	case HCL_EXPR_TEMPLATE:
		return e->n ? e->a[0]->range : r;
	case HCL_EXPR_NAME:
	case HCL_EXPR_CALL:
		n = (uint32_t)strlen(e->name);
		break;
	case HCL_EXPR_VALUE:
		if (r.to - r.from > 2 && d->h->file->src[r.from] == '"')
			return (struct hcl_range){r.from + 1, r.to - 1};
		return r;
	default:
		n = 1;
	}
	return (struct hcl_range){r.from, MIN(r.to, r.from + n)};
}

static bool is_block_kind(const struct field *f)
{
	return f->kind == FIELD_OBJ || f->kind == FIELD_OBJS || f->kind == FIELD_OBJMAP;
}

struct candidate {
	const char *name, *near;
	size_t best;
	bool other_way; /* it exists, but is written the other way */
};

static void consider(struct candidate *c, const char *name, bool same_way)
{
	size_t distance = hcl_distance(name, c->name);

	c->other_way = c->other_way || (!same_way && distance == 0);
	if (same_way && distance < c->best) {
		c->best = distance;
		c->near = name;
	}
}

void decode_unknown(struct decoder *d, const struct type *t, const char *name, struct hcl_range at, bool block)
{
	const char *title = block ? "Unsupported block type" : "Unsupported argument", *special;
	struct candidate c = {.name = name, .best = 3};
	char hint[300] = "";

	for (uint16_t i = 0; i < t->n && d->h->n_errors < HCL_MAX_ERRORS; i++)
		if (t->fields[i].hcl)
			consider(&c, t->fields[i].hcl, is_block_kind(&t->fields[i]) == block);
	for (size_t i = 0; (special = special_name(t, true, i)); i++)
		consider(&c, special, block);
	for (size_t i = 0; (special = special_name(t, false, i)); i++)
		consider(&c, special, !block);
	if (c.other_way && block)
		snprintf(hint, sizeof(hint), " It is an argument: %.60s = ...", name);
	else if (c.other_way)
		snprintf(hint, sizeof(hint), " It is a block: %.60s { ... }", name);
	else if (c.near)
		snprintf(hint, sizeof(hint), " Did you mean \"%.60s\"?", c.near);
	hcl_error(d->h, at, title, block ? "Blocks of type \"%s\" are not expected here.%s" : "An argument named \"%s\" is not expected here.%s", name, hint);
}

/* ---- values into fields ---- */

static const struct field *find_field(const struct type *t, const char *hcl)
{
	for (uint16_t i = 0; i < t->n; i++)
		if (t->fields[i].hcl && str_eq(t->fields[i].hcl, hcl))
			return &t->fields[i];
	return NULL;
}

static void set_bit(void *obj, const struct type *t, const struct field *f)
{
	*(uint64_t *)obj |= UINT64_C(1) << (f - t->fields);
}

const char *decode_string(struct decoder *d, struct hcl_value *v, struct hcl_range at)
{
	struct hcl_value *s = hcl_to(d->h, HCL_STRING, v);

	if (!s || s->kind != HCL_STRING) {
		decode_unsuitable(d, at, s ? "null value is not allowed" : "string required");
		return NULL;
	}
	return arena_strdup(d->arena, s->s);
}

bool decode_strings(struct decoder *d, struct strs *out, struct hcl_value *v, struct hcl_range at)
{
	if (!hcl_is_sequence(v)) {
		decode_unsuitable(d, at, "list of string required");
		return false;
	}
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < v->n; i++) {
		const char *s = decode_string(d, v->items[i], at);

		if (!s)
			return false;
		strs_push(d->arena, out, s);
	}
	return true;
}

static bool put_map(struct decoder *d, struct strmap *out, struct hcl_value *v, struct hcl_range at)
{
	if (!hcl_is_mapping(v)) {
		decode_unsuitable(d, at, "map of string required");
		return false;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		const char *s = decode_string(d, v->items[i], at);

		if (!s)
			return false;
		strmap_set(d->arena, out, v->keys[i], s);
	}
	return true;
}

static bool put_headers(struct decoder *d, struct hdrmap *out, struct hcl_value *v, struct hcl_range at)
{
	if (!hcl_is_mapping(v)) {
		decode_unsuitable(d, at, "map of list of string required");
		return false;
	}
	out->v = arena_alloc(d->arena, (v->n + 1) * sizeof(*out->v));
	for (uint32_t i = 0; i < v->n; i++) {
		out->v[i].key = arena_strdup(d->arena, v->keys[i]);
		if (!decode_strings(d, &out->v[i].value, v->items[i], at))
			return false;
		out->n++;
	}
	return true;
}

static bool put_duration(struct decoder *d, int64_t *out, struct hcl_value *v, struct hcl_range at)
{
	int64_t ns;

	if (v->kind == HCL_NUMBER && hcl_number_int(v, out))
		return true;
	if (v->kind == HCL_STRING && duration_parse(v->s, out) == 0)
		return true;
	struct hcl_value *number = v->kind == HCL_STRING ? hcl_to(d->h, HCL_NUMBER, v) : NULL;

	if (number && hcl_number_int(number, &ns)) {
		*out = ns;
		return true;
	}
	if (v->kind == HCL_STRING)
		hcl_error(d->h, at, "Unsuitable value type", "Unsuitable duration value: time: invalid duration \"%s\"", v->s);
	else
		decode_unsuitable(d, at, "a duration is required, as \"30s\" or \"1h30m\"");
	return false;
}

static bool put_scalar(struct decoder *d, const struct field *f, void *at, struct hcl_value *v, struct hcl_range range)
{
	struct hcl_value *c;

	switch ((enum field_kind)f->kind) {
	case FIELD_STR:
		return (*(const char **)at = decode_string(d, v, range)) != NULL;
	case FIELD_BOOL:
		c = hcl_to(d->h, HCL_BOOL, v);
		if (!c)
			decode_unsuitable(d, range, "a bool is required");
		else
			*(bool *)at = c->b;
		return c != NULL;
	case FIELD_INT:
		c = hcl_to(d->h, HCL_NUMBER, v);
		if (!c)
			decode_unsuitable(d, range, "a number is required");
		else if (!hcl_number_int(c, at))
			decode_unsuitable(d, range, "a whole number is required");
		else
			return true;
		return false;
	case FIELD_DBL:
		c = hcl_to(d->h, HCL_NUMBER, v);
		if (!c)
			decode_unsuitable(d, range, "a number is required");
		else
			*(double *)at = hcl_number_double(c);
		return c != NULL;
	case FIELD_DUR:
		return put_duration(d, at, v, range);
	default:
		return false;
	}
}

static void decode_attr(struct decoder *d, const struct type *t, void *obj, const struct field *f, const struct hcl_attr *a,
    const struct hcl_scope *scope)
{
	struct hcl_value *v = hcl_eval(d->h, a->expr, scope);
	void *at = (char *)obj + f->offset;
	struct hcl_range range = first_token(d, a->expr);
	bool ok;

	if (!v || v->kind == HCL_NULL) /* null: as if it were not written */
		return;
	switch ((enum field_kind)f->kind) {
	case FIELD_STRS:
		ok = decode_strings(d, at, v, range);
		break;
	case FIELD_MAP:
		ok = put_map(d, at, v, range);
		break;
	case FIELD_HDRMAP:
		ok = put_headers(d, at, v, range);
		break;
	case FIELD_ANY:
		*(struct value **)at = hcl_to_value(d->arena, d->h, v);
		ok = true;
		break;
	default:
		ok = put_scalar(d, f, at, v, range);
	}
	if (ok)
		set_bit(obj, t, f);
}

/* ---- blocks of key = value pairs ---- */

static void no_blocks(struct decoder *d, const struct expanded *b)
{
	for (uint32_t i = 0; i < b->body->n_blocks; i++)
		hcl_error(d->h, b->body->blocks[i]->type_range, "Unsupported block type",
		    "Blocks of type \"%s\" are not expected here: %s holds key = value pairs.", b->body->blocks[i]->type, b->type);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct strmap_item *)a)->key, ((const struct strmap_item *)b)->key);
}

static void decode_pairs(struct decoder *d, struct strmap *out, const struct expanded *b)
{
	out->v = arena_alloc(d->arena, (b->body->n_attrs + 1) * sizeof(*out->v));
	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		const struct hcl_attr *a = b->body->attrs[i];
		struct hcl_value *v = hcl_eval(d->h, a->expr, b->scope);
		const char *s = v ? decode_string(d, v, first_token(d, a->expr)) : NULL;

		if (s)
			out->v[out->n++] = (struct strmap_item){arena_strdup(d->arena, a->name), s};
	}
	qsort(out->v, out->n, sizeof(*out->v), by_key);
	no_blocks(d, b);
}

static void decode_headers(struct decoder *d, struct hdrmap *out, const struct expanded *b)
{
	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		const struct hcl_attr *a = b->body->attrs[i];
		struct hcl_value *v = hcl_eval(d->h, a->expr, b->scope);
		struct strs list = {0};

		if (v && decode_strings(d, &list, v, first_token(d, a->expr)))
			hdrmap_set(d->arena, out, a->name, list);
	}
	no_blocks(d, b);
}

/* ---- by table ---- */

static const struct field *label_field(const struct type *t)
{
	for (uint16_t i = 0; i < t->n; i++)
		if (t->fields[i].flags & FIELD_LBL)
			return &t->fields[i];
	return NULL;
}

static void *decode_object(struct decoder *d, const struct type *t, const struct expanded *b)
{
	const struct field *label = label_field(t);

	if (!block_labels_fit(d, b, label ? 1 : 0))
		return NULL;
	void *obj = arena_alloc(d->arena, t->size);

	if (label) {
		*(const char **)((char *)obj + label->offset) = arena_strdup(d->arena, b->labels[0]);
		set_bit(obj, t, label);
	}
	decode_body(d, t, obj, b->body, b->scope);
	return obj;
}

static bool takes_block(const struct field *f)
{
	return is_block_kind(f) || f->kind == FIELD_MAP || f->kind == FIELD_HDRMAP || f->kind == FIELD_ANY;
}

bool decode_knows_block(const struct type *t, const char *name)
{
	const struct field *f = find_field(t, name);
	const char *special;

	for (size_t i = 0; (special = special_name(t, true, i)); i++)
		if (str_eq(special, name))
			return true;
	return f && takes_block(f);
}

static void decode_block(struct decoder *d, const struct type *t, void *obj, const struct expanded *b)
{
	const struct field *f = find_field(t, b->type);
	bool many = f && (f->kind == FIELD_OBJS || f->kind == FIELD_OBJMAP);
	void *at = f ? (char *)obj + f->offset : NULL, *child = NULL;

	if (special_block(d, t, obj, b))
		return;
	if (!f || !takes_block(f)) {
		decode_unknown(d, t, b->type, block_type_range(b), true);
		return;
	}
	if (!many && *(uint64_t *)obj >> (f - t->fields) & 1) {
		block_duplicate(d, b);
		return;
	}
	if (f->type && !(child = decode_object(d, f->type, b)))
		return;
	if (!f->type && !block_labels_fit(d, b, 0))
		return;
	switch ((enum field_kind)f->kind) {
	case FIELD_OBJ:
		*(void **)at = child;
		break;
	case FIELD_OBJS:
		objs_push(d->arena, at, child);
		break;
	case FIELD_OBJMAP:
		objmap_set(d->arena, at, arena_strdup(d->arena, b->labels[0]), child);
		break;
	case FIELD_MAP:
		decode_pairs(d, at, b);
		break;
	case FIELD_HDRMAP:
		decode_headers(d, at, b);
		break;
	case FIELD_ANY:
		*(struct value **)at = data_body(d, b->body, b->scope);
		break;
	default:
		decode_unknown(d, t, b->type, block_type_range(b), true);
		return;
	}
	set_bit(obj, t, f);
}

void decode_body(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope)
{
	if (special_body(d, t, obj, body, scope))
		return;
	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		const struct field *f = find_field(t, a->name);

		if (f && !is_block_kind(f))
			decode_attr(d, t, obj, f, a, scope);
		else
			decode_unknown(d, t, a->name, a->name_range, false);
	}
	block_each(d, t, obj, body, scope, decode_block);
	special_finish(d, t, obj);
}
