/*
 * The evaluator. Every node costs a step; steps and memory are bounded, so that no expression can stall or exhaust
 * whoever reads a stranger's file.
 */
#include <errno.h>
#include <time.h>

#include "base/hcl.h"

static const char each_name[] = "*"; /* the item of a splat: no name of the language */

static void too_expensive(struct hcl *h, struct hcl_range at)
{
	hcl_error(h, at, "Expression too expensive", "evaluating this file takes more than %d steps, %d MiB or %d seconds, or makes a job of more than %d MiB",
	    HCL_MAX_STEPS, HCL_MAX_MEMORY >> 20, HCL_MAX_TIME, HCL_MAX_RESULT >> 20);
}

static int64_t processor_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool too_late(struct hcl *h)
{
	enum { LOOK_EVERY = 1024 };

	if (h->steps < h->next_look)
		return false;
	h->next_look = h->steps + LOOK_EVERY;
	if (!h->started)
		h->started = processor_time();
	return processor_time() - h->started > HCL_MAX_TIME * INT64_C(1000000000);
}

bool hcl_over_budget(struct hcl *h, struct hcl_range at)
{
	if (h->exhausted)
		return true;
	if (++h->steps < HCL_MAX_STEPS && arena_size(h->arena) < HCL_MAX_MEMORY &&
	    (!h->result || arena_size(h->result) - h->result_start < HCL_MAX_RESULT) && !too_late(h))
		return false;
	h->exhausted = true; /* said once; everything after fails silently */
	too_expensive(h, at);
	return true;
}

bool hcl_work(struct hcl *h, struct hcl_range at, uint64_t steps)
{
	h->steps += steps;
	h->next_look = 0;
	return hcl_over_budget(h, at);
}

int hcl_text_order(struct hcl *h, const char *a, const char *b)
{
	enum { LOOK_EVERY = 64 };

	if (a == b || h->exhausted || (++h->compared % LOOK_EVERY == 0 && hcl_work(h, h->at, 0)))
		return 0;
	return strcmp(a, b);
}

static struct hcl_value *fail(struct hcl *h, struct hcl_range at, const char *title, const char *detail)
{
	hcl_error(h, at, title, "%s", detail);
	return NULL;
}

static struct hcl_value *find(const struct hcl_scope *s, const char *name)
{
	for (; s; s = s->parent)
		if (str_eq(s->name, name))
			return s->value;
	return NULL;
}

/* ---- names and steps ---- */

static void no_attribute(struct hcl *h, const struct hcl_value *of, const char *name, struct hcl_range at)
{
	const char *near = NULL;
	size_t best = 3;

	for (uint32_t i = 0; i < of->n && of->n < 1000; i++)
		if (hcl_distance(of->keys[i], name) < best) {
			best = hcl_distance(of->keys[i], name);
			near = of->keys[i];
		}
	hcl_error(h, at, "Unsupported attribute", "there is no \"%s\" in this object.%s%s%s", name,
	    near ? " Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static struct hcl_value *get_attr(struct hcl *h, struct hcl_value *of, const char *name, struct hcl_range at)
{
	if (of->kind == HCL_NULL)
		return fail(h, at, "Attempt to get attribute from null value", "This value is null, so it does not have any attributes.");
	if (!hcl_is_mapping(of)) {
		hcl_error(h, at, "Unsupported attribute", "this is a %s, which has no attributes", hcl_kind_name(of));
		return NULL;
	}
	struct hcl_value *v = hcl_get(of, name);

	if (!v && of->kind == HCL_MAP)
		hcl_error(h, at, "Missing map element", "there is no element \"%s\" in this map", name);
	else if (!v)
		no_attribute(h, of, name, at);
	return v;
}

static struct hcl_value *get_index(struct hcl *h, struct hcl_value *of, struct hcl_value *key, struct hcl_range at)
{
	int64_t i;

	if (of->kind == HCL_NULL)
		return fail(h, at, "Attempt to index null value", "This value is null, so it does not have any indices.");
	if (key->kind == HCL_NULL)
		return fail(h, at, "Invalid index", "The index is null.");
	if (hcl_is_mapping(of)) {
		struct hcl_value *name = hcl_to(h, HCL_STRING, key), *v = name ? hcl_get(of, name->s) : NULL;

		if (!v)
			hcl_error(h, at, "Invalid index", "there is no element \"%s\" in it",
			    name ? name->s : "?");
		return v;
	}
	if (of->kind != HCL_LIST && of->kind != HCL_TUPLE) {
		hcl_error(h, at, "Invalid index", of->kind == HCL_SET ? "a set has no order; convert(..., list(any)) gives one" : "this is a %s, which has no indices", hcl_kind_name(of));
		return NULL;
	}
	struct hcl_value *number = hcl_to(h, HCL_NUMBER, key);

	if (!number || !hcl_number_int(number, &i))
		return fail(h, at, "Invalid index", "The index of a list must be a whole number.");
	if (i < 0 || i >= of->n) {
		hcl_error(h, at, "Invalid index", "the list has %u elements, and the index is %lld", of->n, (long long)i);
		return NULL;
	}
	return of->items[i];
}

/* A name that nobody knows is left for the client or the scheduler to resolve, just as it is written. */
static struct hcl_value *keep_literal(struct hcl *h, const struct hcl_expr *e)
{
	const char *text = arena_printf(
	    h->arena, "${%.*s}", (int)(e->range.to - e->range.from), h->file->src + e->range.from);

	return hcl_string(h, text, strlen(text));
}

static struct hcl_value *eval_name(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope, bool *literal)
{
	struct hcl_value *v = find(scope, e->name);
	uint32_t i = 0;

	if (!v) {
		const char *attr = e->n && e->a[0]->kind == HCL_EXPR_ATTR ? e->a[0]->name : NULL;
		bool used = false;

		if (!h->lookup || !h->lookup(h->lookup_arg, h, e->name, attr, &used, e->range, &v)) {
			if (literal)
				*literal = true;
			return keep_literal(h, e);
		}
		i = used;
	}
	for (; v && i < e->n; i++)
		v = e->a[i]->kind == HCL_EXPR_ATTR ? get_attr(h, v, e->a[i]->name, e->range)
		                                   : get_index(h, v, e->a[i]->value, e->range);
	return v;
}

static const struct hcl_type *element_type(struct hcl *h, struct hcl_value **items, uint32_t n)
{
	const struct hcl_type *t = n ? hcl_type_of(h, items[0]) : &hcl_any;

	for (uint32_t i = 1; i < n; i++)
		if (!hcl_type_equal(h, t, hcl_type_of(h, items[i])))
			return NULL;
	return t;
}

/* Of a list or set comes a list, of a tuple a tuple; anything else counts as a tuple of one. */
static struct hcl_value *eval_splat(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *of = hcl_eval(h, e->a[0], scope), **items;
	const struct hcl_type *elem = NULL;

	if (!of)
		return NULL;
	if (of->kind == HCL_NULL) {
		enum hcl_kind of_kind = of->type->kind;

		if (of_kind >= HCL_LIST && of_kind <= HCL_TUPLE)
			return fail(h, e->range, "Splat of null value", "Splat expressions (with the * symbol) cannot be applied to null sequences.");
		return hcl_tuple(h, NULL, 0);
	}
	bool single = !hcl_is_sequence(of);
	uint32_t n = single ? 1 : of->n;

	items = arena_alloc(h->arena, (n + 1) * sizeof(*items));
	for (uint32_t i = 0; i < n; i++) {
		struct hcl_scope inner = {scope, each_name, single ? of : of->items[i]};

		items[i] = hcl_eval(h, e->a[1], &inner);
		if (!items[i])
			return NULL;
	}
	if (of->kind == HCL_LIST || of->kind == HCL_SET)
		elem = element_type(h, items, n);
	return elem ? hcl_list(h, elem, items, n) : hcl_tuple(h, items, n);
}

/* ---- collections ---- */

static struct hcl_value *eval_list(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value **items = arena_alloc(h->arena, (e->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < e->n; i++)
		if (!(items[i] = hcl_eval(h, e->a[i], scope)))
			return NULL;
	return hcl_tuple(h, items, e->n);
}

static const char *eval_key(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *k = hcl_eval(h, e, scope), *s;

	if (!k)
		return NULL;
	s = k->kind == HCL_NULL ? NULL : hcl_to(h, HCL_STRING, k);
	if (!s) {
		hcl_error(h, e->range, "Incorrect key type", "Can't use a %s as a key: keys are strings.", hcl_kind_name(k));
		return NULL;
	}
	return s->s;
}

static struct hcl_value *eval_object(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	uint32_t n = e->n / 2;
	const char **keys = arena_alloc(h->arena, (n + 1) * sizeof(*keys));
	struct hcl_value **items = arena_alloc(h->arena, (n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < n; i++)
		if (!(keys[i] = eval_key(h, e->a[2 * i], scope)) || !(items[i] = hcl_eval(h, e->a[2 * i + 1], scope)))
			return NULL;
	return hcl_object(h, keys, items, n);
}

/* Calls fn for each element with key and value bound; false stops (after an error). */
typedef bool each_fn(void *arg, struct hcl *h, const struct hcl_scope *scope);

static bool for_each(struct hcl *h, const struct hcl_expr *e, struct hcl_value *in, const struct hcl_scope *scope, each_fn *fn,
    void *arg)
{
	if (in->kind < HCL_LIST) {
		if (in->kind == HCL_NULL)
			hcl_error(h, e->a[0]->range, "Iteration over null value", "a for expression goes over a list, set, map or object, and this is null");
		else
			hcl_error(h, e->a[0]->range, "Iteration over non-iterable value",
			    "a for expression goes over a list, set, map or object, and this is a %s", hcl_kind_name(in));
		return false;
	}
	for (uint32_t i = 0; i < in->n; i++) {
		struct hcl_value *key = in->keys              ? hcl_string(h, in->keys[i], strlen(in->keys[i]))
		                        : in->kind == HCL_SET ? in->items[i]
		                                              : hcl_int(h, i);
		struct hcl_scope first = {scope, e->name ? e->name : "", key}, second = {&first, e->name2, in->items[i]};

		if (hcl_over_budget(h, e->range) || !fn(arg, h, &second))
			return false;
	}
	return true;
}

static int truth(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *v = hcl_eval(h, e, scope), *b;

	if (!v)
		return -EINVAL;
	b = v->kind == HCL_NULL ? NULL : hcl_to(h, HCL_BOOL, v);
	if (!b) {
		hcl_error(h, e->range, "Incorrect condition type", "The condition must be true or false; it is a %s.", hcl_kind_name(v));
		return -EINVAL;
	}
	return b->b;
}

struct collected {
	const struct hcl_expr *e;
	const char **keys;
	struct hcl_value **items;
	uint32_t n, cap;
};

static bool collect(void *arg, struct hcl *h, const struct hcl_scope *scope)
{
	struct collected *c = arg;
	const struct hcl_expr *e = c->e;
	int wanted = e->a[3] ? truth(h, e->a[3], scope) : 1;

	if (wanted <= 0)
		return wanted == 0;
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 8;
		c->keys = xrealloc(c->keys, c->cap, sizeof(*c->keys));
		c->items = xrealloc(c->items, c->cap, sizeof(*c->items));
	}
	c->keys[c->n] = "";
	if (e->a[1] && !(c->keys[c->n] = eval_key(h, e->a[1], scope)))
		return false;
	if (!(c->items[c->n] = hcl_eval(h, e->a[2], scope)))
		return false;
	c->n++;
	return true;
}

struct keyed {
	const char *key;
	uint32_t at;
};

static int by_key(const void *a, const void *b, void *h)
{
	const struct keyed *x = a, *y = b;
	int c = hcl_text_order(h, x->key, y->key);

	return c ? c : x->at < y->at ? -1 : 1;
}

/* The object of a for expression: equal keys are an error, or with an ellipsis the items of each make a tuple. */
static struct hcl_value *gather(struct hcl *h, const struct hcl_expr *e, const struct collected *c)
{
	cleanup_free struct keyed *order = xcalloc(c->n + 1, sizeof(*order));
	struct hcl_value **items = arena_alloc(h->arena, (c->n + 1) * sizeof(*items));
	const char **keys = arena_alloc(h->arena, (c->n + 1) * sizeof(*keys));
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++)
		order[i] = (struct keyed){c->keys[i], i};
	if (c->n)
		qsort_r(order, c->n, sizeof(*order), by_key, h);
	for (uint32_t i = 0, next; i < c->n; i = next) {
		for (next = i + 1; next < c->n && hcl_text_order(h, order[i].key, order[next].key) == 0;)
			next++;
		if (next > i + 1 && !e->flag) {
			hcl_error(h, e->a[1]->range, "Duplicate object key",
			    "two items have the key \"%s\"; with ... after the value, items of one key are grouped",
			    order[i].key);
			return NULL;
		}
		struct hcl_value **group = arena_alloc(h->arena, (next - i) * sizeof(*group));

		for (uint32_t k = i; k < next; k++)
			group[k - i] = c->items[order[k].at];
		keys[n] = order[i].key;
		items[n++] = e->flag ? hcl_tuple(h, group, next - i) : group[0];
	}
	return hcl_object(h, keys, items, n);
}

static struct hcl_value *eval_for(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *in = hcl_eval(h, e->a[0], scope), *out = NULL;
	struct collected c = {.e = e};

	if (in && for_each(h, e, in, scope, collect, &c)) {
		out = e->a[1] ? gather(h, e, &c) : hcl_tuple(h, c.items, c.n);
	}
	free(c.keys);
	free(c.items);
	return out;
}

/* ---- operators ---- */

static struct hcl_value *operand(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope, enum hcl_kind kind)
{
	static const char *const wanted[] = {[HCL_BOOL] = "a bool", [HCL_NUMBER] = "a number"};
	struct hcl_value *v = hcl_eval(h, e, scope), *c;

	if (!v)
		return NULL;
	c = v->kind == HCL_NULL ? NULL : hcl_to(h, kind, v);
	if (!c)
		hcl_error(h, e->range, "Invalid operand", "Unsuitable value for operand: %s is required, and this is %s.", wanted[kind],
		    hcl_kind_name(v));
	return c;
}

static struct hcl_value *eval_unary(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *v = operand(h, e->a[0], scope, e->op == '!' ? HCL_BOOL : HCL_NUMBER);

	if (!v)
		return NULL;
	return e->op == '!' ? hcl_bool(h, !v->b) : hcl_round(h, '-', v);
}

static struct hcl_value *eval_binary(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	bool logic = e->op == '&' || e->op == '|';
	struct hcl_value *a, *b;

	if (e->op == '=' || e->op == 'n') {
		a = hcl_eval(h, e->a[0], scope);
		b = a ? hcl_eval(h, e->a[1], scope) : NULL;
		return b ? hcl_bool(h, hcl_equal(h, a, b) == (e->op == '=')) : NULL;
	}
	a = operand(h, e->a[0], scope, logic ? HCL_BOOL : HCL_NUMBER);
	b = a ? operand(h, e->a[1], scope, logic ? HCL_BOOL : HCL_NUMBER) : NULL;
	if (!b)
		return NULL;
	int c = logic ? 0 : hcl_compare(a, b);

	switch (e->op) {
	case '&':
		return hcl_bool(h, a->b && b->b);
	case '|':
		return hcl_bool(h, a->b || b->b);
	case '<':
		return hcl_bool(h, c < 0);
	case '>':
		return hcl_bool(h, c > 0);
	case 'l':
		return hcl_bool(h, c <= 0);
	case 'g':
		return hcl_bool(h, c >= 0);
	default:
		break;
	}
	struct hcl_value *v = hcl_arith(h, e->op, a, b);

	return v ? v : fail(h, e->range, "Operation failed", "the result is not a number that can be held: division by zero, or out of range");
}

struct hcl_value *hcl_attempt(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct buf kept = h->errors;
	int n = h->n_errors;
	bool exhausted = h->exhausted;

	h->errors = BUF_INIT;
	struct hcl_value *v = hcl_eval(h, e, scope);

	if (h->n_errors > n)
		v = NULL;
	buf_free(&h->errors);
	h->errors = kept;
	h->n_errors = n;
	if (h->exhausted && !exhausted) /* nothing works after this, so it must not be forgotten */
		too_expensive(h, e->range);
	return v;
}

/* Both arms of a conditional become one type. What is wrong with the arm that is not taken does not matter. */
static struct hcl_value *eval_if(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	int t = truth(h, e->a[0], scope);
	struct hcl_value *v = t < 0 ? NULL : hcl_eval(h, e->a[t ? 1 : 2], scope), *other;

	if (!v)
		return NULL;
	other = hcl_attempt(h, e->a[t ? 2 : 1], scope);
	if (!other || hcl_over_budget(h, e->range))
		return v;
	const struct hcl_type *types[] = {hcl_type_of(h, t ? v : other), hcl_type_of(h, t ? other : v)}, *common;
	const char *why = "";

	if (types[0]->kind == HCL_NULL || types[1]->kind == HCL_NULL) /* a bare null takes on the other's type */
		common = types[types[0]->kind == HCL_NULL];
	else
		common = hcl_unify(h, types, 2);
	if (common && (v = hcl_as(h, common, v, &why)))
		return v;
	hcl_error(h, e->range, "Inconsistent conditional result types",
	    "both values must have a common type, and they are %s and %s%s%s",
	    hcl_type_name(h, types[0]), hcl_type_name(h, types[1]), *why ? " " : "", why);
	return NULL;
}

/* ---- templates ---- */

static bool put_template(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope, struct buf *out);

struct template_loop {
	const struct hcl_expr *body;
	struct buf *out;
};

static bool put_loop(void *arg, struct hcl *h, const struct hcl_scope *scope)
{
	struct template_loop *l = arg;

	return put_template(h, l->body, scope, l->out);
}

/* ${name} that nobody knows stays, spaces and all. */
static struct hcl_value *eval_interp(struct hcl *h, const struct hcl_expr *part, const struct hcl_scope *scope)
{
	const struct hcl_expr *e = part->a[0];
	bool literal = false;

	if (e->kind != HCL_EXPR_NAME)
		return hcl_eval(h, e, scope);
	struct hcl_value *v = eval_name(h, e, scope, &literal);

	if (!literal)
		return v;
	uint32_t from = part->range.from + 2, to = part->range.to - 1; /* inside of the braces, trim markers left out */

	from += h->file->src[from] == '~';
	to -= h->file->src[to - 1] == '~';
	const char *text = arena_printf(h->arena, "${%.*s}", (int)(to - from), h->file->src + from);

	return hcl_string(h, text, strlen(text));
}

static bool put_interp(struct hcl *h, const struct hcl_expr *part, const struct hcl_scope *scope, struct buf *out)
{
	struct hcl_value *v = eval_interp(h, part, scope), *s;

	if (!v)
		return false;
	s = v->kind == HCL_NULL ? NULL : hcl_to(h, HCL_STRING, v);
	if (!s) {
		hcl_error(h, part->range, "Invalid template interpolation value",
		    "text can hold a string, number or boolean, and this is %s", hcl_kind_name(v));
		return false;
	}
	buf_put(out, s->s, s->n);
	return true;
}

static bool put_part(struct hcl *h, const struct hcl_expr *part, const struct hcl_scope *scope, struct buf *out)
{
	int t;

	if (hcl_over_budget(h, part->range))
		return false;
	switch (part->kind) {
	case HCL_PART_TEXT:
		buf_put(out, part->value->s, part->value->n);
		return true;
	case HCL_PART_INTERP:
		return put_interp(h, part, scope, out);
	case HCL_PART_IF:
		t = truth(h, part->a[0], scope);
		if (t < 0)
			return false;
		return t ? put_template(h, part->a[1], scope, out) : !part->a[2] || put_template(h, part->a[2], scope, out);
	default: {
		struct hcl_value *in = hcl_eval(h, part->a[0], scope);
		struct template_loop loop = {part->a[1], out};

		return in && for_each(h, part, in, scope, put_loop, &loop);
	}
	}
}

static bool put_template(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope, struct buf *out)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (!put_part(h, e->a[i], scope, out))
			return false;
	if (out->full)
		fail(h, e->range, "String too long", "a template may produce at most 16 MiB");
	return !out->full;
}

static struct hcl_value *eval_template(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	cleanup_buf struct buf out = BUF_INIT;

	if (e->n == 1 && e->a[0]->kind == HCL_PART_INTERP) /* "${x}" alone keeps its type */
		return eval_interp(h, e->a[0], scope);
	buf_init(&out, HCL_MAX_STRING);
	if (!put_template(h, e, scope, &out))
		return NULL;
	return hcl_string(h, out.len ? out.data : "", out.len);
}

/* ---- all ---- */

static struct hcl_value *eval_node(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *a, *b;

	switch (e->kind) {
	case HCL_EXPR_VALUE:
		return e->value;
	case HCL_EXPR_TEMPLATE:
		return eval_template(h, e, scope);
	case HCL_EXPR_NAME:
		return eval_name(h, e, scope, NULL);
	case HCL_EXPR_INDEX:
		a = hcl_eval(h, e->a[0], scope);
		b = a ? hcl_eval(h, e->a[1], scope) : NULL;
		return b ? get_index(h, a, b, e->range) : NULL;
	case HCL_EXPR_ATTR:
		a = hcl_eval(h, e->a[0], scope);
		return a ? get_attr(h, a, e->name, e->range) : NULL;
	case HCL_EXPR_SPLAT:
		return eval_splat(h, e, scope);
	case HCL_EXPR_ITEM:
		return find(scope, each_name);
	case HCL_EXPR_CALL:
		return hcl_call_function(h, e, scope);
	case HCL_EXPR_LIST:
		return eval_list(h, e, scope);
	case HCL_EXPR_OBJECT:
		return eval_object(h, e, scope);
	case HCL_EXPR_FOR:
		return eval_for(h, e, scope);
	case HCL_EXPR_UNARY:
		return eval_unary(h, e, scope);
	case HCL_EXPR_BINARY:
		return eval_binary(h, e, scope);
	case HCL_EXPR_IF:
		return eval_if(h, e, scope);
	case HCL_EXPR_PARENS:
		return hcl_eval(h, e->a[0], scope);
	default:
		return fail(h, e->range, "Invalid expression", "this part of a template stands alone");
	}
}

struct hcl_value *hcl_eval(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	struct hcl_value *v = NULL;

	if (hcl_over_budget(h, e->range))
		return NULL;
	if (++h->depth > 4 * HCL_MAX_DEPTH)
		fail(h, e->range, "Nested too deeply", "the expression refers to itself or is nested too deeply");
	else {
		h->at = e->range;
		v = eval_node(h, e, scope);
	}
	h->depth--;
	return v;
}
