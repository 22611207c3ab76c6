/*
 * The parser: bodies of attributes and blocks, by recursive descent straight on the source. Expressions are in
 * base/hcl_expr.c, templates in base/hcl_template.c.
 */
#include "base/hcl_parse.h"

#include <ctype.h>

#include "base/map.h"

/* ---- problems ---- */

/* What a file holds can be long: such a sentence is cut. */
static void put_detail(struct buf *b, const char *detail, va_list ap)
{
	enum { LONGEST = 1000 };
	size_t from = b->len, to;

	buf_vprintf(b, detail, ap);
	if (b->len - from <= LONGEST)
		return;
	for (to = from + LONGEST; (b->data[to] & 0xc0) == 0x80;)
		to--;
	b->len = to;
	buf_puts(b, "...");
}

void hcl_error(struct hcl *h, struct hcl_range at, const char *title, const char *detail, ...)
{
	const struct hcl_file *f = h->file;
	uint32_t line = 1, from = 0, to, column = 1, end_column;
	va_list ap;

	if (h->n_errors++ >= HCL_MAX_ERRORS)
		return;
	at.from = MIN(at.from, f->len);
	if (at.from && at.from < f->len && f->src[at.from] == '\n' && f->src[at.from - 1] == '\r') /* one end of line */
		at.from--;
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
	put_detail(&h->errors, detail, ap);
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

bool starts_name(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (c & 0x80);
}

bool in_name(char c)
{
	return starts_name(c) || isdigit((unsigned char)c) || c == '-';
}

/* The next token, as far as a message needs it: a whole name, else one character. */
struct hcl_range here(const struct parser *p)
{
	uint32_t to = p->at;

	while (to < p->len && starts_name(p->src[p->at]) && in_name(p->src[to]))
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

void skip_lines(struct parser *p)
{
	p->newlines++;
	skip_blanks(p);
	p->newlines--;
}

const char *parse_name(struct parser *p)
{
	uint32_t from = p->at;

	if (p->at >= p->len || !starts_name(p->src[p->at]))
		return NULL;
	while (p->at < p->len && in_name(p->src[p->at]))
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

bool eat_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	if (!peek(p, word) || (p->at + n < p->len && in_name(p->src[p->at + n])))
		return false;
	p->at += (uint32_t)n;
	return true;
}

/* ---- bodies ---- */

static bool end_of_item(struct parser *p, bool one_line)
{
	skip_blanks(p);
	if (p->at >= p->len || p->src[p->at] == '\n' || (one_line && p->src[p->at] == '}'))
		return true;
	parse_fail(p, here(p), one_line ? "Invalid single-argument block definition" : "Missing newline after argument",
	    one_line ? "a block on one line holds one argument and ends with } on that line; more need lines of their own"
	             : "the line must end after the value");
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

/* 0 when nobody will read it: problems past the first few are not shown. */
static uint32_t line_of(const struct parser *p, uint32_t at)
{
	uint32_t line = 1;

	if (p->h->n_errors >= HCL_MAX_ERRORS)
		return 0;
	for (uint32_t i = 0; i < at; i++)
		line += p->src[i] == '\n';
	return line;
}

/* seen: the attributes of the body so far, by name. */
static void parse_attr(struct parser *p, struct hcl_body *body, struct map *seen, const char *name, uint32_t from, bool one_line)
{
	struct hcl_attr *a = arena_alloc(p->h->arena, sizeof(*a));

	a->name = name;
	a->name_range = (struct hcl_range){from, from + (uint32_t)strlen(name)};
	skip_blanks(p);
	if (p->at >= p->len || p->src[p->at] == '\n') {
		parse_fail(p, here(p), "Invalid expression", "expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call");
		return;
	}
	a->expr = parse_expr(p);
	if (!a->expr || !end_of_item(p, one_line))
		return;
	const struct hcl_attr *earlier = map_get(seen, name);

	if (earlier) {
		hcl_error(p->h, a->name_range, "Attribute redefined",
		    "\"%s\" is set on line %u already", name, line_of(p, earlier->name_range.from));
		return;
	}
	map_set(seen, name, a);
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
				parse_fail(p, e->range, "Invalid string literal", "no ${ } here: this text is fixed; $${ stands for the characters themselves");
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
		    "expected { on the line of the block's type and labels");
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
		parse_fail(p, here(p), "Missing newline after block definition", "the line must end after the closing brace");
		return;
	}
	add_item(p->h, (void ***)&body->blocks, &body->n_blocks, b);
}

/* One attribute or block. */
static void parse_item(struct parser *p, struct hcl_body *body, struct map *seen, bool one_line)
{
	uint32_t from = p->at;
	const char *name = parse_name(p);

	if (!name) {
		parse_fail(p, here(p), p->src[p->at] == '"' ? "Invalid argument name" : "Argument or block definition required",
		    p->src[p->at] == '"' ? "Argument names must not be quoted, and a block begins with its type."
					 : "expected an argument, as name = value, or a block, as type { ... }");
		return;
	}
	if (peek(p, "=") && !peek(p, "==")) {
		p->at++;
		parse_attr(p, body, seen, name, from, one_line);
	} else if (peek(p, "{") || peek(p, "\"") || (p->at < p->len && starts_name(p->src[p->at]))) {
		parse_block(p, body, name, from);
	} else {
		parse_fail(p, (struct hcl_range){from, from + (uint32_t)strlen(name)}, "Argument or block definition required",
		    "expected an argument, as name = value, or a block, as type { ... }");
	}
}

static struct hcl_body *parse_body(struct parser *p, bool top)
{
	struct hcl_body *body = arena_alloc(p->h->arena, sizeof(*body));
	struct map seen = MAP_INIT;
	uint32_t opened = p->at;

	body->range.from = p->at;
	skip_blanks(p);
	bool one_line = !top && p->at < p->len && p->src[p->at] != '\n';

	for (;;) {
		skip_lines(p);
		if (p->failed || (top ? p->at >= p->len : eat(p, "}")))
			break;
		if (p->at >= p->len)
			parse_fail(p, (struct hcl_range){opened - 1, opened}, "Unclosed configuration block",
			    "this block is open at the end of the file: a } is missing, perhaps further up");
		else
			parse_item(p, body, &seen, one_line);
	}
	map_free(&seen);
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
	uint32_t bad = (uint32_t)hcl_bad_text(f->src, f->len);

	if (bad < f->len) {
		if (f->src[bad])
			hcl_error(h, (struct hcl_range){bad, bad + 1}, "Invalid character encoding", "the file is not UTF-8 here: save it in that encoding");
		else
			hcl_error(h, (struct hcl_range){bad, bad + 1}, "Invalid character", "the file holds a NUL byte: it is not text");
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
			e = parse_fail(&p, here(&p), "Extra characters after expression", "the expression ends before this");
	}
	return e;
}
