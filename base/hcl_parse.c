/*
 * The parser: bodies and expressions, by recursive descent straight on the source. Templates are in
 * base/hcl_template.c.
 */
#include "base/hcl_parse.h"

#include <ctype.h>

/* ---- problems ---- */

void hcl_error(struct hcl *h, struct hcl_range at, const char *title, const char *detail, ...)
{
	const struct hcl_file *f = h->file;
	uint32_t line = 1, from = 0, to, column = 1, end_column;
	va_list ap;

	if (h->n_errors++ >= HCL_MAX_ERRORS)
		return;
	at.from = MIN(at.from, f->len);
	for (uint32_t i = 0; i < at.from; i++)
		if (f->src[i] == '\n') {
			line++;
			from = i + 1;
		}
	for (to = from; to < f->len && f->src[to] != '\n' && f->src[to] != '\r';)
		to++;
	for (uint32_t i = from; i < at.from; i++)
		column += (f->src[i] & 0xc0) != 0x80;
	end_column = column;
	for (uint32_t i = at.from; i < at.to && i < to; i++)
		end_column += (f->src[i] & 0xc0) != 0x80;
	if (h->errors.len)
		buf_puts(&h->errors, "\n\n");
	buf_printf(&h->errors, "%s:%u,%u-%u: %s; ", f->name, line, column, MAX(end_column, column + (end_column == column)),
	    title);
	va_start(ap, detail);
	buf_vprintf(&h->errors, detail, ap);
	va_end(ap);
	/* A very long line (generated files) is shown around the place. */
	uint32_t start = at.from - from > 100 ? at.from - 100 : from, stop = MIN(to, at.from + 100);

	buf_printf(&h->errors, "\n\n  %4u | %.*s\n       | ", line, (int)(stop - start), f->src + start);
	for (uint32_t i = start; i < at.from; i++)
		if ((f->src[i] & 0xc0) != 0x80)
			buf_putc(&h->errors, f->src[i] == '\t' ? '\t' : ' ');
	buf_putc(&h->errors, '^');
}

void *parse_fail(struct parser *p, struct hcl_range at, const char *title, const char *detail)
{
	if (!p->failed)
		hcl_error(p->h, at, title, "%s", detail);
	p->failed = true;
	return NULL;
}


/* ---- characters ---- */

static bool is_name_start(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (c & 0x80);
}

static bool is_name_part(char c)
{
	return is_name_start(c) || isdigit((unsigned char)c) || c == '-';
}

/* The next token, as far as a message needs it: a whole name, else one character. */
struct hcl_range here(const struct parser *p)
{
	uint32_t to = p->at;

	while (to < p->len && is_name_start(p->src[p->at]) && is_name_part(p->src[to]))
		to++;
	return (struct hcl_range){p->at, MIN(MAX(to, p->at + 1), p->len)};
}

bool deeper(struct parser *p)
{
	if (++p->depth <= HCL_MAX_DEPTH)
		return true;
	parse_fail(p, here(p), "Nested too deeply", "blocks and expressions may be nested 200 levels deep");
	return false;
}

static bool skip_comment(struct parser *p)
{
	const char *s = p->src + p->at;
	uint32_t left = p->len - p->at;

	if (*s == '#' || (left > 1 && s[0] == '/' && s[1] == '/')) {
		while (p->at < p->len && p->src[p->at] != '\n')
			p->at++;
		return true;
	}
	if (left > 1 && s[0] == '/' && s[1] == '*') {
		uint32_t from = p->at;

		for (p->at += 2; p->at + 1 < p->len; p->at++)
			if (p->src[p->at] == '*' && p->src[p->at + 1] == '/') {
				p->at += 2;
				return true;
			}
		p->at = p->len;
		parse_fail(p, (struct hcl_range){from, from + 2}, "Unterminated comment", "this comment has no closing */");
		return false;
	}
	return false;
}

void skip_blanks(struct parser *p)
{
	while (p->at < p->len) {
		char c = p->src[p->at];

		if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && p->newlines > 0))
			p->at++;
		else if (!skip_comment(p))
			return;
	}
}

static void skip_lines(struct parser *p)
{
	p->newlines++;
	skip_blanks(p);
	p->newlines--;
}

const char *parse_name(struct parser *p)
{
	uint32_t from = p->at;

	if (p->at >= p->len || !is_name_start(p->src[p->at]))
		return NULL;
	while (p->at < p->len && is_name_part(p->src[p->at]))
		p->at++;
	return arena_strndup(p->h->arena, p->src + from, p->at - from);
}

bool peek(struct parser *p, const char *token)
{
	size_t n = strlen(token);

	skip_blanks(p);
	return p->len - p->at >= n && memcmp(p->src + p->at, token, n) == 0;
}

bool eat(struct parser *p, const char *token)
{
	if (!peek(p, token))
		return false;
	p->at += (uint32_t)strlen(token);
	return true;
}

static bool eat_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	if (!peek(p, word) || (p->at + n < p->len && is_name_part(p->src[p->at + n])))
		return false;
	p->at += (uint32_t)n;
	return true;
}

/* ---- expressions ---- */

struct hcl_expr *expr_new(struct parser *p, enum hcl_expr_kind kind, uint32_t from)
{
	struct hcl_expr *e = arena_alloc(p->h->arena, sizeof(*e));

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

	/* A bare name is the key itself; (name) in brackets is the variable of that name. */
	if (key && key->kind == HCL_EXPR_NAME && key->n == 0)
		return literal(p, key->range.from, hcl_string(p->h, key->name, strlen(key->name)));
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
			    "Expected an attribute value, introduced by an equals sign (\"=\").");
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
			    "Expected a newline or comma to mark the beginning of the next attribute.");
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
				    "An expanded function argument (with ...) must be immediately followed by closing parentheses.");
			break;
		}
		if (!eat(p, ",") && !peek(p, ")"))
			parse_fail(p, here(p), "Missing argument separator",
			    "A comma is required to separate each function argument from the next.");
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
	if (p->at < p->len && p->src[p->at] == '(')
		return parse_call(p, from, name);
	e = expr_new(p, HCL_EXPR_NAME, from);
	e->name = name;
	return e;
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
	if (is_name_start(c))
		return parse_named(p);
	if (c == '(') {
		p->at++;
		p->newlines++;
		struct hcl_expr *inner = parse_expr(p), *e;

		if (inner && !eat(p, ")"))
			inner = parse_fail(p, here(p), "Unbalanced parentheses", "Expected a closing parenthesis to terminate the expression.");
		p->newlines--;
		if (!inner)
			return NULL;
		e = expr_new(p, HCL_EXPR_PARENS, from);
		expr_add(p, e, inner);
		return e;
	}
	return parse_fail(p, here(p), "Invalid expression", "Expected the start of an expression, but found an invalid expression token.");
}

static struct hcl_expr *parse_steps(struct parser *p, struct hcl_expr *e);

/* [*] applies every later step to each item; .* only the attribute steps. */
static struct hcl_expr *parse_splat(struct parser *p, struct hcl_expr *of, bool full)
{
	struct hcl_expr *e = expr_new(p, HCL_EXPR_SPLAT, of->range.from);
	struct hcl_expr *item = expr_new(p, HCL_EXPR_ITEM, p->at), *each = item;

	if (full) {
		each = parse_steps(p, item);
	} else {
		while (p->at + 1 < p->len && p->src[p->at] == '.' && is_name_start(p->src[p->at + 1])) {
			p->at++;
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

static struct hcl_expr *parse_dot(struct parser *p, struct hcl_expr *e)
{
	uint32_t from = p->at++;
	char c = p->at < p->len ? p->src[p->at] : 0;

	if (c == '*') {
		p->at++;
		return parse_splat(p, e, false);
	}
	if (isdigit((unsigned char)c)) { /* list.0, the old form of list[0] */
		uint32_t start = p->at;

		while (p->at < p->len && isdigit((unsigned char)p->src[p->at]))
			p->at++;
		return add_index(p, e, literal(p, start, hcl_number_parse(p->h, p->src + start, p->at - start)));
	}
	const char *name = parse_name(p);

	if (!name)
		return parse_fail(p, (struct hcl_range){from, from + 1}, "Invalid attribute name", "An attribute name is required after a dot.");
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
			return parse_fail(p, here(p), "Missing close bracket on splat index", "The star for a full splat operator must be immediately followed by a closing bracket (\"]\").");
		return parse_splat(p, e, true);
	}
	struct hcl_expr *key = parse_expr(p);

	if (key && !eat(p, "]"))
		key = parse_fail(p, here(p), "Missing close bracket on index", "The index operator must end with a closing bracket (\"]\").");
	p->newlines--;
	return key ? add_index(p, e, key) : NULL;
}

static struct hcl_expr *parse_steps(struct parser *p, struct hcl_expr *e)
{
	while (e) {
		if (p->newlines > 0) /* inside brackets a chain may go on in the next line */
			skip_blanks(p);
		char c = p->at < p->len ? p->src[p->at] : 0;

		if (c == '.' && !(p->at + 2 < p->len && memcmp(p->src + p->at, "...", 3) == 0))
			e = parse_dot(p, e);
		else if (c == '[')
			e = parse_bracket(p, e);
		else
			break;
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
			yes = parse_fail(p, here(p), "Missing false expression in conditional", "The conditional operator (...?...:...) requires a false expression, delimited by a colon.");
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

/* ---- bodies ---- */

static bool end_of_item(struct parser *p, bool one_line)
{
	skip_blanks(p);
	if (p->at >= p->len || p->src[p->at] == '\n' || (one_line && p->src[p->at] == '}'))
		return true;
	parse_fail(p, here(p), one_line ? "Invalid single-argument block definition" : "Missing newline after argument",
	    one_line ? "A single-line block definition must end with a closing brace immediately after its single argument definition."
	             : "An argument definition must end with a newline.");
	return false;
}

static void add_item(struct hcl *h, void ***list, uint32_t *n, void *item)
{
	if ((*n & (*n - 1)) == 0) {
		void **a = arena_alloc(h->arena, MAX(4u, 2 * *n) * sizeof(*a));

		if (*n)
			memcpy(a, *list, *n * sizeof(*a));
		*list = a;
	}
	(*list)[(*n)++] = item;
}

static struct hcl_body *parse_body(struct parser *p, bool top);

static void parse_attr(struct parser *p, struct hcl_body *body, const char *name, uint32_t from, bool one_line)
{
	struct hcl_attr *a = arena_alloc(p->h->arena, sizeof(*a));

	a->name = name;
	a->name_range = (struct hcl_range){from, from + (uint32_t)strlen(name)};
	skip_blanks(p);
	if (p->at >= p->len || p->src[p->at] == '\n') {
		parse_fail(p, here(p), "Invalid expression", "Expected the start of an expression, but found an invalid expression token.");
		return;
	}
	a->expr = parse_expr(p);
	if (!a->expr || !end_of_item(p, one_line))
		return;
	for (uint32_t i = 0; i < body->n_attrs; i++)
		if (str_eq(body->attrs[i]->name, name)) {
			uint32_t line = 1;

			for (uint32_t k = 0; k < body->attrs[i]->name_range.from; k++)
				line += p->src[k] == '\n';
			hcl_error(p->h, a->name_range, "Attribute redefined",
			    "The argument \"%s\" was already set at line %u. Each argument may be set only once.", name, line);
			return;
		}
	add_item(p->h, (void ***)&body->attrs, &body->n_attrs, a);
}

static void parse_block(struct parser *p, struct hcl_body *body, const char *type, uint32_t from)
{
	struct hcl_block *b = arena_alloc(p->h->arena, sizeof(*b));

	b->type = type;
	for (;;) {
		const char *label;

		skip_blanks(p);
		if (p->at < p->len && p->src[p->at] == '"') {
			struct hcl_expr *e = parse_quoted(p);

			if (!e)
				return;
			if (e->kind != HCL_EXPR_VALUE) {
				parse_fail(p, e->range, "Invalid string literal", "Template sequences are not allowed in this string. To include a literal \"$\", double it (as \"$$\") to escape it.");
				return;
			}
			label = e->value->s;
		} else {
			label = parse_name(p);
		}
		if (!label)
			break;
		add_item(p->h, (void ***)&b->labels, &b->n_labels, (void *)label);
	}
	b->type_range = (struct hcl_range){from, p->at};
	if (!eat(p, "{")) {
		parse_fail(p, here(p), "Invalid block definition",
		    "A block definition must have block content delimited by \"{\" and \"}\", starting on the same line as the block header.");
		return;
	}
	if (!deeper(p))
		return;
	b->body = parse_body(p, false);
	p->depth--;
	if (!b->body)
		return;
	skip_blanks(p);
	if (p->at < p->len && p->src[p->at] != '\n' && p->src[p->at] != '}') {
		parse_fail(p, here(p), "Missing newline after block definition", "A block definition must end with a newline.");
		return;
	}
	add_item(p->h, (void ***)&body->blocks, &body->n_blocks, b);
}

static struct hcl_body *parse_body(struct parser *p, bool top)
{
	struct hcl_body *body = arena_alloc(p->h->arena, sizeof(*body));
	uint32_t opened = p->at;

	body->range.from = p->at;
	skip_blanks(p);
	bool one_line = !top && p->at < p->len && p->src[p->at] != '\n';

	while (!p->failed) {
		skip_lines(p);
		if (p->at >= p->len) {
			if (!top)
				return parse_fail(p, (struct hcl_range){opened ? opened - 1 : 0, opened}, "Unclosed configuration block",
				    "There is no closing brace for this block before the end of the file. This may be caused by incorrect brace nesting elsewhere in this file.");
			break;
		}
		if (!top && eat(p, "}"))
			break;
		uint32_t from = p->at;
		const char *name = parse_name(p);

		if (!name)
			return parse_fail(p, here(p), "Argument or block definition required",
			    p->src[p->at] == '"' ? "Invalid argument name: names are not quoted, and a block begins with its type."
			                         : "An argument or block definition is required here.");
		if (peek(p, "=") && !peek(p, "==")) {
			p->at++;
			parse_attr(p, body, name, from, one_line);
		} else if (peek(p, "{") || peek(p, "\"") || (p->at < p->len && is_name_start(p->src[p->at]))) {
			parse_block(p, body, name, from);
		} else {
			return parse_fail(p, (struct hcl_range){from, from + (uint32_t)strlen(name)}, "Argument or block definition required",
			    "An argument or block definition is required here. To set an argument, use the equals sign \"=\" to introduce the argument value.");
		}
	}
	body->range.to = p->at;
	return p->failed ? NULL : body;
}

static bool source_ok(struct hcl *h, struct hcl_file *f)
{
	h->file = f;
	if (f->len > HCL_MAX_SOURCE) {
		f->len = 0;
		hcl_error(h, (struct hcl_range){0, 0}, "Source too large", "a job file may have %d bytes", HCL_MAX_SOURCE);
		return false;
	}
	const char *nul = memchr(f->src, 0, f->len);

	if (nul) {
		uint32_t at = (uint32_t)(nul - f->src);

		hcl_error(h, (struct hcl_range){at, at + 1}, "Invalid character", "the file holds a NUL byte: it is not text");
		return false;
	}
	return true;
}

struct hcl_body *hcl_parse(struct hcl *h, struct hcl_file *file)
{
	struct parser p = {.h = h, .src = file->src, .len = file->len};

	if (!source_ok(h, file))
		return NULL;
	if (p.len >= 3 && memcmp(p.src, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
		p.at = 3;
	struct hcl_body *body = parse_body(&p, true);

	return h->n_errors ? NULL : body;
}

struct hcl_expr *hcl_parse_expr(struct hcl *h, struct hcl_file *file)
{
	struct parser p = {.h = h, .src = file->src, .len = file->len};

	if (!source_ok(h, file))
		return NULL;
	struct hcl_expr *e = parse_expr(&p);

	if (e) {
		skip_lines(&p);
		if (p.at < p.len)
			e = parse_fail(&p, here(&p), "Extra characters after expression", "An expression was successfully parsed, but extra characters were found after it.");
	}
	return e;
}
