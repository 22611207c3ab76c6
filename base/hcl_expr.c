/* Expressions: literals, names and their steps, calls, lists, objects, for, operators. */
#include "base/hcl_parse.h"

#include <ctype.h>

struct hcl_expr *expr_new(struct parser *p, enum hcl_expr_kind kind, uint32_t from)
{
	struct hcl_expr *e = arena_alloc(p->h->arena, sizeof(*e));

	if (arena_size(p->h->arena) > HCL_MAX_MEMORY)
		parse_fail(p, here(p), "File too large", "reading this file takes too much memory");
	e->kind = kind;
	e->range = (struct hcl_range){from, p->at};
	return e;
}

void expr_add(struct parser *p, struct hcl_expr *e, struct hcl_expr *child)
{
	if ((e->n & (e->n - 1)) == 0) { /* full at every power of two */
		struct hcl_expr **a = arena_alloc(p->h->arena, MAX(4u, 2 * e->n) * sizeof(*a));

		if (e->n)
			memcpy(a, e->a, e->n * sizeof(*a));
		e->a = a;
	}
	e->a[e->n++] = child;
	e->range.to = p->at;
}

static struct hcl_expr *literal(struct parser *p, uint32_t from, struct hcl_value *v)
{
	struct hcl_expr *e = expr_new(p, HCL_EXPR_VALUE, from);

	e->value = v;
	return e;
}

static struct hcl_expr *parse_number(struct parser *p)
{
	uint32_t from = p->at;

	while (p->at < p->len && isdigit((unsigned char)p->src[p->at]))
		p->at++;
	if (p->at + 1 < p->len && p->src[p->at] == '.' && isdigit((unsigned char)p->src[p->at + 1]))
		for (p->at++; p->at < p->len && isdigit((unsigned char)p->src[p->at]);)
			p->at++;
	if (p->at < p->len && (p->src[p->at] | 32) == 'e') {
		uint32_t mark = p->at++;

		if (p->at < p->len && (p->src[p->at] == '+' || p->src[p->at] == '-'))
			p->at++;
		if (p->at < p->len && isdigit((unsigned char)p->src[p->at]))
			while (p->at < p->len && isdigit((unsigned char)p->src[p->at]))
				p->at++;
		else
			p->at = mark;
	}
	struct hcl_value *v = hcl_number_parse(p->h, p->src + from, p->at - from);

	if (!v)
		return parse_fail(p, (struct hcl_range){from, p->at}, "Invalid number", "this number is out of range");
	return literal(p, from, v);
}

/* "for k, v in collection :" after the opening bracket. */
static bool parse_for_head(struct parser *p, struct hcl_expr *e)
{
	skip_blanks(p);
	e->name = parse_name(p);
	if (e->name && eat(p, ",")) {
		skip_blanks(p);
		e->name2 = parse_name(p);
	}
	if (!e->name || !eat_word(p, "in")) {
		parse_fail(p, here(p), "Invalid 'for' expression",
		    "expected one or two names and `in`, as in: for key, value in collection");
		return false;
	}
	if (!e->name2) { /* one name is the value's */
		e->name2 = e->name;
		e->name = NULL;
	}
	struct hcl_expr *in = parse_expr(p);

	if (!in)
		return false;
	expr_add(p, e, in);
	if (!eat(p, ":")) {
		parse_fail(p, here(p), "Invalid 'for' expression", "expected a colon after the collection");
		return false;
	}
	return true;
}

static struct hcl_expr *parse_for(struct parser *p, uint32_t from, const char *close)
{
	struct hcl_expr *e = expr_new(p, HCL_EXPR_FOR, from), *key = NULL, *value, *when = NULL;

	if (!parse_for_head(p, e))
		return NULL;
	value = parse_expr(p);
	if (!value)
		return NULL;
	if (*close == '}') {
		key = value;
		if (!eat(p, "=>"))
			return parse_fail(p, here(p), "Invalid 'for' expression", "an object's `for` needs key => value");
		value = parse_expr(p);
		if (!value)
			return NULL;
		e->flag = eat(p, "...");
	}
	if (eat_word(p, "if") && !(when = parse_expr(p)))
		return NULL;
	if (!eat(p, close))
		return parse_fail(p, here(p), "Invalid 'for' expression", "expected the closing bracket of the `for` expression");
	expr_add(p, e, key);
	expr_add(p, e, value);
	expr_add(p, e, when);
	return e;
}

static struct hcl_expr *parse_list(struct parser *p)
{
	uint32_t from = p->at++;
	struct hcl_expr *e;

	p->newlines++;
	if (eat_word(p, "for")) {
		e = parse_for(p, from, "]");
		p->newlines--;
		return e;
	}
	e = expr_new(p, HCL_EXPR_LIST, from);
	while (!p->failed && !eat(p, "]")) {
		struct hcl_expr *item = parse_expr(p);

		if (!item)
			break;
		expr_add(p, e, item);
		if (!eat(p, ",") && !peek(p, "]"))
			parse_fail(p, here(p), "Missing item separator", "Expected a comma to mark the beginning of the next item.");
	}
	p->newlines--;
	e->range.to = p->at;
	return p->failed ? NULL : e;
}

static struct hcl_expr *parse_key(struct parser *p)
{
	struct hcl_expr *key = parse_expr(p);

	/* A bare word is the key itself, true and null too; (name) in brackets is the variable of that name. */
	if (key && ((key->kind == HCL_EXPR_NAME && key->n == 0) || (key->kind == HCL_EXPR_VALUE && starts_name(p->src[key->range.from]))))
		return literal(p, key->range.from, hcl_string(p->h, p->src + key->range.from, key->range.to - key->range.from));
	if (key && key->kind == HCL_EXPR_NAME)
		return parse_fail(p, key->range, "Ambiguous attribute key",
		    "a key with dots is put in quotes when it is text, and in parentheses when it is an expression");
	return key;
}

static struct hcl_expr *parse_object(struct parser *p)
{
	uint32_t from = p->at++;
	int newlines = p->newlines;
	struct hcl_expr *e = expr_new(p, HCL_EXPR_OBJECT, from);

	skip_lines(p);
	if (eat_word(p, "for")) {
		p->newlines++;
		e = parse_for(p, from, "}");
		p->newlines--;
		return e;
	}
	p->newlines = 0; /* a line end separates items, whatever is outside */
	while (!p->failed) {
		skip_lines(p);
		if (eat(p, "}"))
			break;
		struct hcl_expr *key = parse_key(p), *value;

		if (!key)
			break;
		if (!eat(p, "=") && !eat(p, ":")) {
			parse_fail(p, here(p), "Missing attribute value",
			    "expected = and a value after the key");
			break;
		}
		skip_blanks(p);
		value = parse_expr(p);
		if (!value)
			break;
		expr_add(p, e, key);
		expr_add(p, e, value);
		skip_blanks(p);
		if (eat(p, ",") || peek(p, "\n"))
			continue;
		skip_lines(p);
		if (!peek(p, "}"))
			parse_fail(p, here(p), "Missing attribute separator",
			    "expected a comma or a new line before the next key");
	}
	p->newlines = newlines;
	e->range.to = p->at;
	return p->failed ? NULL : e;
}

static struct hcl_expr *parse_call(struct parser *p, uint32_t from, const char *name)
{
	struct hcl_expr *e = expr_new(p, HCL_EXPR_CALL, from);

	e->name = name;
	p->at++;
	p->newlines++;
	while (!p->failed && !eat(p, ")")) {
		struct hcl_expr *arg = parse_expr(p);

		if (!arg)
			break;
		expr_add(p, e, arg);
		if (eat(p, "...")) {
			e->flag = true;
			if (!eat(p, ")"))
				parse_fail(p, here(p), "Missing closing parenthesis",
				    "the argument with ... is the last: expected ) after it");
			break;
		}
		if (!eat(p, ",") && !peek(p, ")"))
			parse_fail(p, here(p), "Missing argument separator",
			    "expected a comma or ) after an argument");
	}
	p->newlines--;
	e->range.to = p->at;
	return p->failed ? NULL : e;
}

static struct hcl_expr *parse_named(struct parser *p)
{
	uint32_t from = p->at;
	const char *name = parse_name(p);
	struct hcl_expr *e;

	if (str_eq(name, "true") || str_eq(name, "false"))
		return literal(p, from, hcl_bool(p->h, name[0] == 't'));
	if (str_eq(name, "null"))
		return literal(p, from, hcl_null(p->h));
	e = expr_new(p, HCL_EXPR_NAME, from);
	e->name = name;
	uint32_t end = p->at;

	if (peek(p, "("))
		return parse_call(p, from, name);
	p->at = end;
	return e;
}

static struct hcl_expr *bad_start(struct parser *p, char c)
{
	if (c == '\'')
		return parse_fail(p, here(p), "Invalid character", "text is put in double quotes");
	if (c == '`')
		return parse_fail(p, here(p), "Invalid character", "text is put in double quotes, and text of several lines after <<EOF");
	return parse_fail(p, here(p), "Invalid expression", "expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call");
}

static struct hcl_expr *parse_primary(struct parser *p)
{
	skip_blanks(p);
	uint32_t from = p->at;
	char c = p->at < p->len ? p->src[p->at] : 0;

	if (isdigit((unsigned char)c))
		return parse_number(p);
	if (c == '"')
		return parse_quoted(p);
	if (c == '[')
		return parse_list(p);
	if (c == '{')
		return parse_object(p);
	if (c == '<' && peek(p, "<<"))
		return parse_heredoc(p);
	if (starts_name(c))
		return parse_named(p);
	if (c == '(') {
		p->at++;
		p->newlines++;
		struct hcl_expr *inner = parse_expr(p), *e;

		if (inner && !eat(p, ")"))
			inner = parse_fail(p, here(p), "Unbalanced parentheses", "expected ) here");
		p->newlines--;
		if (!inner)
			return NULL;
		e = expr_new(p, HCL_EXPR_PARENS, from);
		expr_add(p, e, inner);
		return e;
	}
	return bad_start(p, c);
}

static struct hcl_expr *parse_steps(struct parser *p, struct hcl_expr *e);

static struct hcl_expr *add_index(struct parser *p, struct hcl_expr *of, struct hcl_expr *key)
{
	/* Steps with literal keys belong to the name, so that a name nobody knows can be kept as it is written. */
	if (of->kind == HCL_EXPR_NAME && key->kind == HCL_EXPR_VALUE) {
		expr_add(p, of, key);
		return of;
	}
	struct hcl_expr *e = expr_new(p, HCL_EXPR_INDEX, of->range.from);

	expr_add(p, e, of);
	expr_add(p, e, key);
	return e;
}

/* list.0, the old form of list[0]; at the digits. */
static struct hcl_expr *parse_dot_index(struct parser *p, struct hcl_expr *of)
{
	uint32_t start = p->at;

	while (p->at < p->len && isdigit((unsigned char)p->src[p->at]))
		p->at++;
	struct hcl_value *v = hcl_number_parse(p->h, p->src + start, p->at - start);

	if (!v)
		return parse_fail(p, (struct hcl_range){start, p->at}, "Invalid number", "this index is out of range");
	return add_index(p, of, literal(p, start, v));
}

/* [*] applies every later step to each item; .* only the attribute steps. */
static struct hcl_expr *parse_splat(struct parser *p, struct hcl_expr *of, bool full)
{
	struct hcl_expr *e = expr_new(p, HCL_EXPR_SPLAT, of->range.from);
	struct hcl_expr *item = expr_new(p, HCL_EXPR_ITEM, p->at), *each = item;

	if (full) {
		each = parse_steps(p, item);
	} else {
		while (p->at + 1 < p->len && p->src[p->at] == '.' && in_name(p->src[p->at + 1]) && p->src[p->at + 1] != '-') {
			p->at++;
			if (isdigit((unsigned char)p->src[p->at])) {
				each = parse_dot_index(p, each);
				continue;
			}
			struct hcl_expr *attr = expr_new(p, HCL_EXPR_ATTR, e->range.from);

			attr->name = parse_name(p);
			expr_add(p, attr, each);
			each = attr;
		}
	}
	if (!each)
		return NULL;
	expr_add(p, e, of);
	expr_add(p, e, each);
	return e;
}

static struct hcl_expr *add_attr(struct parser *p, struct hcl_expr *of, const char *name)
{
	struct hcl_expr *e = expr_new(p, HCL_EXPR_ATTR, of->range.from);

	e->name = name;
	expr_add(p, e, of);
	return e;
}

static struct hcl_expr *parse_dot(struct parser *p, struct hcl_expr *e)
{
	uint32_t from = p->at++;

	skip_blanks(p);
	char c = p->at < p->len ? p->src[p->at] : 0;

	if (c == '*') {
		p->at++;
		return parse_splat(p, e, false);
	}
	if (isdigit((unsigned char)c))
		return parse_dot_index(p, e);
	const char *name = parse_name(p);

	if (!name)
		return parse_fail(p, (struct hcl_range){from, from + 1}, "Invalid attribute name", "expected a name after the dot");
	if (e->kind != HCL_EXPR_NAME)
		return add_attr(p, e, name);
	struct hcl_expr *step = expr_new(p, HCL_EXPR_ATTR, from);

	step->name = name;
	expr_add(p, e, step);
	return e;
}

static struct hcl_expr *parse_bracket(struct parser *p, struct hcl_expr *e)
{
	p->at++;
	p->newlines++;
	if (peek(p, "*")) {
		p->at++;
		p->newlines--;
		if (!eat(p, "]"))
			return parse_fail(p, here(p), "Missing close bracket on splat index", "expected ] after [*");
		return parse_splat(p, e, true);
	}
	struct hcl_expr *key = parse_expr(p);

	if (key && !eat(p, "]"))
		key = parse_fail(p, here(p), "Missing close bracket on index", "expected ] after the index");
	p->newlines--;
	return key ? add_index(p, e, key) : NULL;
}

static struct hcl_expr *parse_steps(struct parser *p, struct hcl_expr *e)
{
	while (e) {
		uint32_t end = p->at;

		skip_blanks(p); /* inside brackets a chain may go on in the next line */
		char c = p->at < p->len ? p->src[p->at] : 0;

		if (c == '.' && !(p->at + 2 < p->len && memcmp(p->src + p->at, "...", 3) == 0))
			e = parse_dot(p, e);
		else if (c == '[')
			e = parse_bracket(p, e);
		else {
			p->at = end;
			break;
		}
	}
	return e;
}

static struct hcl_expr *parse_unary(struct parser *p)
{
	skip_blanks(p);
	uint32_t from = p->at;
	char c = p->at < p->len ? p->src[p->at] : 0;

	if (c != '-' && !(c == '!' && !peek(p, "!="))) {
		struct hcl_expr *e = parse_primary(p);

		return e ? parse_steps(p, e) : NULL;
	}
	if (!deeper(p))
		return NULL;
	p->at++;
	struct hcl_expr *of = parse_unary(p), *e;

	p->depth--;
	if (!of)
		return NULL;
	e = expr_new(p, HCL_EXPR_UNARY, from);
	e->op = c;
	expr_add(p, e, of);
	return e;
}

static const struct {
	const char *token;
	char op;
	int level;
} operators[] = {
    {"||", '|', 1}, {"&&", '&', 2}, {"==", '=', 3}, {"!=", 'n', 3}, {"<=", 'l', 4}, {">=", 'g', 4}, {"<", '<', 4},
    {">", '>', 4}, {"+", '+', 5}, {"-", '-', 5}, {"*", '*', 6}, {"/", '/', 6}, {"%", '%', 6},
};

static struct hcl_expr *parse_binary(struct parser *p, int level)
{
	struct hcl_expr *left = parse_unary(p);

	while (left) {
		size_t i = 0;

		skip_blanks(p);
		while (i < ARRAY_LEN(operators) && !(operators[i].level >= level && peek(p, operators[i].token)))
			i++;
		/* "%{" begins a directive of a template, "=>" belongs to a for expression */
		if (i == ARRAY_LEN(operators) || peek(p, "%{") || !deeper(p))
			return p->failed ? NULL : left;
		p->at += (uint32_t)strlen(operators[i].token);
		struct hcl_expr *right = parse_binary(p, operators[i].level + 1), *e;

		p->depth--;
		if (!right)
			return NULL;
		e = expr_new(p, HCL_EXPR_BINARY, left->range.from);
		e->op = operators[i].op;
		expr_add(p, e, left);
		expr_add(p, e, right);
		left = e;
	}
	return left;
}

struct hcl_expr *parse_expr(struct parser *p)
{
	struct hcl_expr *e = NULL;

	if (deeper(p))
		e = parse_binary(p, 1);
	if (e && eat(p, "?")) {
		struct hcl_expr *all = expr_new(p, HCL_EXPR_IF, e->range.from), *yes = parse_expr(p), *no = NULL;

		if (yes && !eat(p, ":"))
			yes = parse_fail(p, here(p), "Missing false expression in conditional", "expected : and the other value, as in condition ? yes : no");
		if (yes)
			no = parse_expr(p);
		if (no) {
			expr_add(p, all, e);
			expr_add(p, all, yes);
			expr_add(p, all, no);
		}
		e = no ? all : NULL;
	}
	p->depth--;
	return e;
}

