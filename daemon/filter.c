/* filter: asking an object. */
#include "daemon/filter_parse.h"

#include <errno.h>

#include "base/clock.h"

/* Where the steps led: a member of a struct or an item of a container, or a value without a table. */
struct found {
	enum field_kind kind;
	const void *at;            /* NULL: nowhere */
	const struct value *value; /* of FIELD_ANY */
	bool is_unset;
};

int filter_new(const char *text, const struct type *t, struct filter **out, struct err *e)
{
	struct filter *f = xcalloc(1, sizeof(*f));
	int rc;

	f->arena = arena_new();
	f->type = t;
	rc = filter_parse(f, text, t, e);
	if (rc < 0)
		filter_free(f);
	else
		*out = f;
	return rc;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	for (struct filter_node *n = f->patterns; n; n = n->next)
		pattern_free(n->pattern);
	arena_free(f->arena);
	free(f);
}

bool filter_matches_node(const char *text, const struct node *n)
{
	struct filter *f;

	if (filter_new(text, &type_node, &f, NULL) < 0)
		return false;
	bool matches = filter_matches(f, n);

	filter_free(f);
	return matches;
}

/* ---- walking ---- */

static struct found nowhere(void)
{
	return (struct found){.is_unset = true};
}

static struct found of_field(const struct type *t, const struct field *f, const void *obj)
{
	const char *member = (const char *)obj + f->offset;
	struct found r = {.kind = (enum field_kind)f->kind, .at = member, .is_unset = !model_is_set(t, f, obj)};

	if (r.kind == FIELD_OBJ)
		r.at = *(void *const *)member;
	else if (r.kind == FIELD_ANY)
		r.value = *(struct value *const *)member;
	return r;
}

static struct found of_list(struct found from, uint32_t i)
{
	if (from.kind == FIELD_STRS) {
		const struct strs *l = from.at;

		return i < l->n ? (struct found){.kind = FIELD_STR, .at = &l->v[i]} : nowhere();
	}
	const struct objs *l = from.at;

	return i < l->n ? (struct found){.kind = FIELD_OBJ, .at = l->v[i]} : nowhere();
}

static struct found of_map(struct found from, const char *key)
{
	const struct any_list *any = from.at;

	for (uint32_t i = 0; i < any->n; i++)
		switch (from.kind) {
		case FIELD_MAP:
			if (str_eq(((const struct strmap *)from.at)->v[i].key, key))
				return (struct found){.kind = FIELD_STR, .at = &((const struct strmap *)from.at)->v[i].value};
			break;
		case FIELD_INTMAP:
			if (str_eq(((const struct intmap *)from.at)->v[i].key, key))
				return (struct found){.kind = FIELD_INT, .at = &((const struct intmap *)from.at)->v[i].value};
			break;
		case FIELD_DBLMAP:
			if (str_eq(((const struct dblmap *)from.at)->v[i].key, key))
				return (struct found){.kind = FIELD_DBL, .at = &((const struct dblmap *)from.at)->v[i].value};
			break;
		case FIELD_HDRMAP:
			if (str_eq(((const struct hdrmap *)from.at)->v[i].key, key))
				return (struct found){.kind = FIELD_STRS, .at = &((const struct hdrmap *)from.at)->v[i].value};
			break;
		default:
			if (str_eq(((const struct objmap *)from.at)->v[i].key, key))
				return (struct found){.kind = FIELD_OBJ, .at = ((const struct objmap *)from.at)->v[i].value};
			break;
		}
	return nowhere();
}

static struct found of_value(const struct value *v, const struct filter_step *s)
{
	const struct value *item = NULL;

	if (v && v->kind == VAL_MAP)
		item = value_get(v, s->key);
	else if (v && v->kind == VAL_LIST && s->index < v->n && s->key[0] >= '0' && s->key[0] <= '9')
		item = v->items[s->index];
	return item ? (struct found){.kind = FIELD_ANY, .at = item, .value = item} : nowhere();
}

static struct found walk(const struct filter_node *n, const struct type *t, const void *obj)
{
	struct found r = {.kind = FIELD_OBJ, .at = obj};

	for (uint32_t i = 0; i < n->n_steps; i++) {
		const struct filter_step *s = &n->steps[i];

		if (!r.at)
			return nowhere();
		if (s->field) {
			r = of_field(t, s->field, r.at);
			t = s->field->type;
		} else if (r.kind == FIELD_ANY) {
			r = of_value(r.value, s);
		} else if (r.kind == FIELD_STRS || r.kind == FIELD_OBJS) {
			r = of_list(r, s->index);
		} else {
			r = of_map(r, s->key);
		}
	}
	return r;
}

/* ---- asking ---- */

static const char *text_of(const struct found *r)
{
	const char *s = *(const char *const *)r->at;

	return s ? s : "";
}

static bool value_equals(const struct filter_node *n, const struct value *v)
{
	switch (v ? v->kind : VAL_NULL) {
	case VAL_BOOL:
		return n->is_truth && v->b == n->truth;
	case VAL_INT:
		return n->is_integer && v->i == n->integer;
	case VAL_FLOAT:
		return n->is_number && v->f == n->number;
	case VAL_STR:
		return str_eq(v->s, n->text);
	default:
		return false;
	}
}

static bool equals(const struct filter_node *n, const struct found *r)
{
	char text[TIME_STR];

	switch (r->kind) {
	case FIELD_BOOL:
		return *(const bool *)r->at == n->truth;
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
		return *(const int64_t *)r->at == n->integer;
	case FIELD_DBL:
		return *(const double *)r->at == n->number;
	case FIELD_STR:
		return str_eq(text_of(r), n->text);
	case FIELD_STAMP:
		return str_eq(time_format_rfc3339(*(const int64_t *)r->at, text), n->text);
	case FIELD_ANY:
		return value_equals(n, r->value);
	default:
		return false;
	}
}

static bool value_contains(const struct filter_node *n, const struct value *v)
{
	if (!v)
		return false;
	if (v->kind == VAL_STR)
		return strstr(v->s, n->text) != NULL;
	if (v->kind == VAL_MAP)
		return value_get(v, n->text) != NULL;
	for (uint32_t i = 0; v->kind == VAL_LIST && i < v->n; i++)
		if (value_equals(n, v->items[i]))
			return true;
	return false;
}

static bool contains(const struct filter_node *n, const struct found *r)
{
	if (r->kind == FIELD_STR)
		return strstr(text_of(r), n->text) != NULL;
	if (r->kind == FIELD_STRS)
		return strs_has(r->at, n->text);
	if (r->kind == FIELD_ANY)
		return value_contains(n, r->value);
	return of_map(*r, n->text).at != NULL;
}

static bool is_empty(const struct found *r)
{
	if (r->kind == FIELD_STR)
		return !*text_of(r);
	if (r->kind == FIELD_ANY)
		return !r->value || r->value->kind == VAL_NULL || (r->value->kind >= VAL_STR && !r->value->n);
	if (r->kind == FIELD_BYTES)
		return !((const struct bytes *)r->at)->n;
	return !((const struct any_list *)r->at)->n;
}

static bool is_nil(const struct found *r)
{
	return !r->at || r->is_unset || (r->kind == FIELD_ANY && (!r->value || r->value->kind == VAL_NULL));
}

static bool matches(const struct filter_node *n, const struct found *r)
{
	if (r->kind == FIELD_STR)
		return pattern_matches(n->pattern, text_of(r));
	return r->kind == FIELD_ANY && r->value && r->value->kind == VAL_STR && pattern_matches(n->pattern, r->value->s);
}

static bool holds(const struct filter_node *n, const struct type *t, const void *obj)
{
	struct found r = walk(n, t, obj);
	bool yes;

	if (n->op == FILTER_NIL)
		yes = is_nil(&r);
	else if (!r.at) /* what is not there equals nothing and is empty */
		yes = n->op == FILTER_EMPTY;
	else if (n->op == FILTER_EQUAL)
		yes = equals(n, &r);
	else if (n->op == FILTER_CONTAINS)
		yes = contains(n, &r);
	else if (n->op == FILTER_MATCHES)
		yes = matches(n, &r);
	else
		yes = is_empty(&r);
	return yes != n->negated;
}

static bool ask(const struct filter_node *n, const struct type *t, const void *obj)
{
	switch (n->op) {
	case FILTER_AND:
		return ask(n->left, t, obj) && ask(n->right, t, obj);
	case FILTER_OR:
		return ask(n->left, t, obj) || ask(n->right, t, obj);
	case FILTER_NOT:
		return !ask(n->left, t, obj);
	default:
		return holds(n, t, obj);
	}
}

bool filter_matches(const struct filter *f, const void *obj)
{
	return ask(f->root, f->type, obj);
}
