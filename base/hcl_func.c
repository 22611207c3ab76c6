/*
 * Calling functions: finds the table entry, evaluates and converts the arguments as its parameters say. `try` and `can`
 * evaluate their arguments themselves, since these may fail; `convert` needs its second one as it is written.
 */
#include "base/hcl.h"

static const struct hcl_func *const tables[] = {
    hcl_funcs_collection, hcl_funcs_string, hcl_funcs_format, hcl_funcs_number, hcl_funcs_encoding, hcl_funcs_yaml, hcl_funcs_system};

struct hcl_value *hcl_call_error(struct hcl_call *c, const char *fmt, ...)
{
	cleanup_buf struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	hcl_error(c->h, c->at, "Error in function call", "Call to function \"%s\" failed: %s.", c->name, text.data);
	return NULL;
}

static const struct hcl_func *find(const char *name)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct hcl_func *f = tables[t]; f->name; f++)
			if (str_eq(f->name, name))
				return f;
	return NULL;
}

size_t hcl_distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[64];

	if (n > 60 || strlen(a) > 60)
		return 99;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j], best = MIN(above, row[j - 1]) + 1;

			row[j] = MIN(best, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n];
}

static struct hcl_value *unknown(struct hcl *h, const struct hcl_expr *e)
{
	const char *near = NULL;
	size_t best = 3;

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct hcl_func *f = tables[t]; f->name; f++)
			if (hcl_distance(f->name, e->name) < best) {
				best = hcl_distance(f->name, e->name);
				near = f->name;
			}
	hcl_error(h, e->range, "Call to unknown function", "There is no function named \"%s\".%s%s%s", e->name,
	    near ? " Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return NULL;
}

static const struct hcl_type list_of_any = {.kind = HCL_LIST, .elem = &hcl_any}, set_of_any = {.kind = HCL_SET, .elem = &hcl_any},
			    list_of_string = {.kind = HCL_LIST, .elem = &hcl_type_string},
			    list_of_number = {.kind = HCL_LIST, .elem = &hcl_type_number};
static const struct {
	char letter;
	const struct hcl_type *type;
} param_types[] = {{'s', &hcl_type_string}, {'n', &hcl_type_number}, {'b', &hcl_type_bool}, {'l', &list_of_any}, {'S', &set_of_any},
    {'L', &list_of_string}, {'N', &list_of_number}};

/* One argument as its letter asks; NULL on success, else what was expected. */
static const char *fit(struct hcl *h, char letter, struct hcl_value **v)
{
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_LEN(param_types); i++)
		if (param_types[i].letter == letter) {
			struct hcl_value *made = hcl_as(h, param_types[i].type, *v, &why);

			if (!made)
				return why ? why : "it takes too much to convert it";
			*v = made;
		}
	if ((*v)->kind == HCL_NULL && letter != 'A')
		return "argument must not be null";
	if (letter == 'q' && !hcl_is_sequence(*v))
		return "a list, tuple or set is required";
	if (letter == 'm' && !hcl_is_mapping(*v))
		return "a map or object is required";
	return NULL;
}

static struct hcl_value *count_error(struct hcl_call *c, const struct hcl_func *f)
{
	uint32_t least = 0, most = 0;
	bool any = strchr(f->params, '*') != NULL;

	for (const char *p = f->params; *p; p++) {
		if (*p == '?' || *p == '*')
			continue;
		most++;
		least += p[1] != '?' && p[1] != '*';
	}
	if (any)
		hcl_error(c->h, c->at, "Not enough function arguments", "Function \"%s\" expects at least %u argument(s).", f->name, least);
	else if (c->n < least)
		hcl_error(c->h, c->at, "Not enough function arguments", "Function \"%s\" expects %u argument(s), and %u were given.", f->name,
		    least, c->n);
	else
		hcl_error(c->h, c->at, "Too many function arguments", "Function \"%s\" expects only %u argument(s), and %u were given.",
		    f->name, most, c->n);
	return NULL;
}

static struct hcl_range arg_range(const struct hcl_call *c, uint32_t i)
{
	return c->expr->n ? c->expr->a[MIN(i, c->expr->n - 1)]->range : c->at;
}

static bool fit_all(struct hcl_call *c, const struct hcl_func *f)
{
	const char *p = f->params;
	uint32_t i = 0;

	while (i < c->n) {
		if (!*p) {
			count_error(c, f);
			return false;
		}
		const char *problem = fit(c->h, *p, &c->args[i]);

		if (problem) {
			hcl_error(c->h, arg_range(c, i), "Invalid function argument", "Invalid value for argument %u of \"%s\": %s. This is a %s.",
			    i + 1, f->name, problem, hcl_kind_name(c->args[i]));
			return false;
		}
		i++;
		if (p[1] != '*')
			p += p[1] == '?' ? 2 : 1;
	}
	while (*p && (p[1] == '?' || p[1] == '*'))
		p += 2;
	if (*p)
		count_error(c, f);
	return !*p;
}

/* Evaluates the arguments; the last may be a list that stands for several. */
static bool eval_args(struct hcl_call *c)
{
	const struct hcl_expr *e = c->expr;
	uint32_t n = e->n;

	c->args = arena_alloc(c->h->arena, (n + 1) * sizeof(*c->args));
	for (uint32_t i = 0; i < n; i++)
		if (!(c->args[i] = hcl_eval(c->h, e->a[i], c->scope)))
			return false;
	c->n = n;
	if (!e->flag)
		return true;
	struct hcl_value *last = c->args[n - 1];

	if (!hcl_is_sequence(last)) {
		hcl_error(c->h, c->at, "Invalid expanding argument value", "what ... expands is a list, tuple or set");
		return false;
	}
	struct hcl_value **all = arena_alloc(c->h->arena, (n + last->n) * sizeof(*all));

	memcpy(all, c->args, (n - 1) * sizeof(*all));
	memcpy(all + n - 1, last->items, last->n * sizeof(*all));
	c->args = all;
	c->n = n - 1 + last->n;
	return true;
}

/* Functions walk over what they are given. */
static bool pay(struct hcl_call *c)
{
	enum { BYTES = 64 /* that are worth a step */ };

	for (uint32_t i = 0; i < c->n; i++)
		c->h->steps += c->args[i]->kind == HCL_STRING ? c->args[i]->n / BYTES : c->args[i]->kind >= HCL_LIST ? c->args[i]->n : 0;
	return !hcl_over_budget(c->h, c->at);
}

struct hcl_value *hcl_call_function(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope)
{
	const struct hcl_func *f = find(e->name);
	struct hcl_call c = {.h = h, .at = e->range, .expr = e, .scope = scope, .name = e->name};

	if (!f)
		return unknown(h, e);
	if (!f->params) /* takes its arguments unevaluated */
		return f->fn(&c);
	if (!eval_args(&c) || !fit_all(&c, f) || !pay(&c))
		return NULL;
	return f->fn(&c);
}
