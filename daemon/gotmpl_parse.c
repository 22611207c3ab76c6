/* gotmpl_parse: recursive descent over the text of a template. */
#include "daemon/gotmpl_parse.h"

#include <ctype.h>
#include <errno.h>

struct parser {
	const char *text, *p;
	struct arena *a;
	struct err *e;
	struct strs variables; /* in scope */
	int depth, loops;
	bool trim; /* the text that comes next loses its leading space */
};

int gotmpl_error(struct err *e, const char *text, const char *at, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	int line = 1;
	const char *begin = text;
	va_list ap;

	for (const char *p = text; p < at; p++)
		if (*p == '\n') {
			line++;
			begin = p + 1;
		}
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return err_set(e, -EINVAL, "line %d, column %d: %s", line, (int)(at - begin) + 1, b.data ? b.data : "");
}

#define FAIL(ps, at, ...) gotmpl_error((ps)->e, (ps)->text, (at), __VA_ARGS__)

/* ---- small pieces ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_letter(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
	return is_letter(c) || isdigit((unsigned char)c);
}

static void skip_space(struct parser *ps)
{
	while (is_space(*ps->p))
		ps->p++;
}

static size_t name_length(const char *p)
{
	size_t n = 0;

	if (is_letter(*p))
		while (is_name(p[n]))
			n++;
	return n;
}

static bool is_word(const char *p, const char *word)
{
	size_t n = strlen(word);

	return name_length(p) == n && strncmp(p, word, n) == 0;
}

/* The end of an action: "}}", or "-}}" after a space. */
static size_t closing(const struct parser *ps)
{
	if (str_starts(ps->p, "}}"))
		return 2;
	return str_starts(ps->p, "-}}") && ps->p > ps->text && is_space(ps->p[-1]) ? 3 : 0;
}

static int close_action(struct parser *ps)
{
	size_t n;

	skip_space(ps);
	n = closing(ps);
	if (!n)
		return *ps->p ? FAIL(ps, ps->p, "unexpected \"%.*s\": expected }}",
		                    (int)MIN(MAX(strcspn(ps->p, " \n}"), (size_t)1), (size_t)20), ps->p)
		              : FAIL(ps, ps->p, "the template ends inside an action: expected }}");
	ps->p += n;
	ps->trim = n == 3;
	return 0;
}

static int enter(struct parser *ps)
{
	return ++ps->depth > TMPL_NESTING ? FAIL(ps, ps->p, "nested deeper than %d", TMPL_NESTING) : 0;
}

/* ---- literals ---- */

static int take_digits(const char **p, int n, int base, uint32_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		int d = isdigit((unsigned char)**p) ? **p - '0' : isxdigit((unsigned char)**p) ? (**p | 32) - 'a' + 10 : 99;

		if (d >= base)
			return -EINVAL;
		v = v * (uint32_t)base + (uint32_t)d;
	}
	*out = v;
	return 0;
}

void gotmpl_put_rune(struct buf *b, uint32_t r)
{
	if (r > 0x10ffff || (r >= 0xd800 && r < 0xe000))
		r = 0xfffd;
	if (r < 0x80) {
		buf_putc(b, (char)r);
		return;
	}
	if (r < 0x800) {
		buf_putc(b, (char)(0xc0 | r >> 6));
	} else {
		if (r < 0x10000) {
			buf_putc(b, (char)(0xe0 | r >> 12));
		} else {
			buf_putc(b, (char)(0xf0 | r >> 18));
			buf_putc(b, (char)(0x80 | (r >> 12 & 0x3f)));
		}
		buf_putc(b, (char)(0x80 | (r >> 6 & 0x3f)));
	}
	buf_putc(b, (char)(0x80 | (r & 0x3f)));
}

/* After a backslash; *rune: a character rather than a byte. */
static int take_escape(const char **p, uint32_t *out, bool *rune)
{
	static const char letters[] = "abfnrtv\\\"'", bytes[] = "\a\b\f\n\r\t\v\\\"'";
	const char *l = **p ? strchr(letters, **p) : NULL;
	char c = **p;

	*rune = false;
	if (l) {
		*out = (unsigned char)bytes[l - letters];
		(*p)++;
		return 0;
	}
	if (c >= '0' && c <= '7')
		return take_digits(p, 3, 8, out);
	if (c != 'x' && c != 'u' && c != 'U')
		return -EINVAL;
	(*p)++;
	*rune = c != 'x';
	return take_digits(p, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, out);
}

/* The value of a string that lives in the arena. */
static struct value *string_value(struct parser *ps, const struct buf *b)
{
	struct value *v = value_str(ps->a, "");

	if (b->len) {
		v->s = arena_copy(ps->a, b->data, b->len + 1);
		v->n = (uint32_t)b->len;
	}
	return v;
}

static int parse_string(struct parser *ps, struct operand *o)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *from = ps->p, quote = *ps->p++;
	uint32_t c;
	bool rune;

	for (; *ps->p != quote;) {
		if (!*ps->p || (*ps->p == '\n' && quote != '`'))
			return FAIL(ps, from, "the string has no end: expected %c", quote);
		if (*ps->p != '\\' || quote == '`') {
			buf_putc(&b, *ps->p++);
			continue;
		}
		ps->p++;
		if (take_escape(&ps->p, &c, &rune) < 0)
			return FAIL(ps, ps->p, "unknown escape in a string: expected one of \\n \\t \\\\ \\\" \\xHH \\uHHHH");
		if (rune)
			gotmpl_put_rune(&b, c);
		else
			buf_putc(&b, (char)c);
	}
	ps->p++;
	o->value = string_value(ps, &b);
	return 0;
}

/* 'c' is the number of the character. */
static int parse_character(struct parser *ps, struct operand *o)
{
	const char *from = ps->p++;
	uint32_t c = (unsigned char)*ps->p;
	int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
	bool rune;

	if (c == '\\') {
		ps->p++;
		if (take_escape(&ps->p, &c, &rune) < 0)
			return FAIL(ps, from, "unknown escape in a character constant");
	} else if (c) {
		ps->p++;
		c &= more ? 0x3fu >> more : 0xffu;
		for (; more && ((unsigned char)*ps->p & 0xc0) == 0x80; more--)
			c = c << 6 | ((unsigned char)*ps->p++ & 0x3f);
	}
	if (*ps->p != '\'' || more)
		return FAIL(ps, from, "a character constant holds one character: 'x'");
	ps->p++;
	o->value = value_int(ps->a, c);
	return 0;
}

static int parse_number(struct parser *ps, struct operand *o)
{
	const char *from = ps->p;
	cleanup_buf struct buf b = BUF_INIT;
	bool hex, real = false;
	char *end;

	if (*ps->p == '+' || *ps->p == '-')
		buf_putc(&b, *ps->p++);
	hex = ps->p[0] == '0' && (ps->p[1] | 32) == 'x';
	for (; is_name(*ps->p) || *ps->p == '.' || ((*ps->p == '+' || *ps->p == '-') && !hex && (ps->p[-1] | 32) == 'e'); ps->p++) {
		real |= *ps->p == '.' || (!hex && (*ps->p | 32) == 'e');
		if (*ps->p != '_')
			buf_putc(&b, *ps->p);
	}
	errno = 0;
	if (real) {
		o->value = value_float(ps->a, strtod(b.data, &end));
	} else {
		const char *digits = b.data + strcspn(b.data, "0123456789");
		int base = hex ? 16 : 10;

		if (digits[0] == '0' && digits[1] && !hex) {
			base = (digits[1] | 32) == 'b' ? 2 : 8;
			if ((digits[1] | 32) == 'b' || (digits[1] | 32) == 'o')
				memmove(b.data + (digits - b.data), digits + 2, strlen(digits + 2) + 1);
		}
		o->value = value_int(ps->a, strtoll(b.data, &end, base));
	}
	if (errno || *end || end == b.data || !isdigit((unsigned char)b.data[strcspn(b.data, "0123456789")]))
		return FAIL(ps, from, "\"%.*s\" is no number", (int)(ps->p - from), from);
	return 0;
}

/* ---- operands, commands, pipelines ---- */

static int parse_pipeline(struct parser *ps, int max_variables, struct pipeline **out);

static bool is_defined(const struct parser *ps, const char *name)
{
	return strs_has(&ps->variables, name);
}

static const char *take_variable(struct parser *ps)
{
	const char *from = ps->p++;

	while (is_name(*ps->p))
		ps->p++;
	return arena_strndup(ps->a, from, (size_t)(ps->p - from));
}

static int parse_word(struct parser *ps, struct operand *o)
{
	static const char *const keywords[] = {"if", "else", "end", "range", "with", "break", "continue", "define", "block",
	    "template"};
	size_t n = name_length(ps->p);
	const char *from = ps->p;

	o->name = arena_strndup(ps->a, from, n);
	ps->p += n;
	if (str_eq(o->name, "true") || str_eq(o->name, "false")) {
		o->kind = OPERAND_LITERAL;
		o->value = value_bool(ps->a, *from == 't');
		return 0;
	}
	if (str_eq(o->name, "nil")) {
		o->kind = OPERAND_NIL;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (str_eq(o->name, keywords[i]))
			return FAIL(ps, from, "\"%s\" cannot stand here: expected a value", o->name);
	o->kind = OPERAND_FUNCTION;
	o->fn = gotmpl_function(o->name);
	return o->fn ? 0 : FAIL(ps, from, "function \"%s\" not defined (a field begins with a dot: .%s)", o->name, o->name);
}

static int parse_paren(struct parser *ps, struct operand *o)
{
	const char *from = ps->p++;

	o->kind = OPERAND_PAREN;
	if (enter(ps) < 0 || parse_pipeline(ps, 0, &o->pipe) < 0)
		return -EINVAL;
	ps->depth--;
	skip_space(ps);
	if (*ps->p != ')')
		return FAIL(ps, from, "the parenthesis has no end: expected )");
	ps->p++;
	return 0;
}

static int parse_first(struct parser *ps, struct operand *o)
{
	char c = *ps->p;

	if (c == '.' && !isdigit((unsigned char)ps->p[1])) {
		o->kind = OPERAND_DOT;
		if (!is_letter(ps->p[1]))
			ps->p++;
		return 0;
	}
	if (c == '$') {
		o->kind = OPERAND_VARIABLE;
		o->name = take_variable(ps);
		return is_defined(ps, o->name) ? 0 : FAIL(ps, o->at, "undefined variable \"%s\"", o->name);
	}
	if (c == '(')
		return parse_paren(ps, o);
	if (is_letter(c))
		return parse_word(ps, o);
	o->kind = OPERAND_LITERAL;
	if (c == '"' || c == '`')
		return parse_string(ps, o);
	if (c == '\'')
		return parse_character(ps, o);
	if (isdigit((unsigned char)c) || c == '.' || c == '+' || c == '-')
		return parse_number(ps, o);
	if (!c)
		return FAIL(ps, ps->p, "the template ends inside an action: expected a value");
	return FAIL(ps, ps->p, "unexpected \"%c\": expected a value", c);
}

static int parse_operand(struct parser *ps, struct operand **out)
{
	struct operand *o = arena_alloc(ps->a, sizeof(*o));
	int rc;

	o->at = ps->p;
	rc = parse_first(ps, o);
	if (rc < 0)
		return rc;
	while (*ps->p == '.' && is_letter(ps->p[1])) {
		size_t n = name_length(ps->p + 1);

		if (o->kind == OPERAND_LITERAL || o->kind == OPERAND_NIL)
			return FAIL(ps, ps->p, "a constant has no fields");
		strs_push(ps->a, &o->fields, arena_strndup(ps->a, ps->p + 1, n));
		ps->p += 1 + n;
	}
	*out = o;
	return 0;
}

static int parse_command(struct parser *ps, struct command **out)
{
	struct command *c = arena_alloc(ps->a, sizeof(*c));
	struct operand **last = &c->operands;

	for (;;) {
		skip_space(ps);
		if (*ps->p == '|' || *ps->p == ')' || closing(ps))
			break;
		if (parse_operand(ps, last) < 0)
			return -EINVAL;
		last = &(*last)->next;
	}
	if (!c->operands)
		return FAIL(ps, ps->p, "missing value: expected a field, a constant or a function");
	*out = c;
	return 0;
}

/* `$x :=`, `$x =`, `$i, $e :=`; leaves the text as it is when it is none of them. */
static int parse_variables(struct parser *ps, int max, struct pipeline *pipe)
{
	const char *from = ps->p;
	int n = 0;

	while (*ps->p == '$' && n < max) {
		pipe->variables[n++] = take_variable(ps);
		skip_space(ps);
		if (*ps->p != ',' || n == max)
			break;
		ps->p++;
		skip_space(ps);
	}
	if (n && str_starts(ps->p, ":=")) {
		ps->p += 2;
	} else if (n && *ps->p == '=') {
		ps->p++;
		pipe->assigns = true;
	} else {
		ps->p = from;
		return 0;
	}
	pipe->n_variables = n;
	for (int i = 0; i < n && pipe->assigns; i++)
		if (!is_defined(ps, pipe->variables[i]))
			return FAIL(ps, from, "undefined variable \"%s\": := makes one", pipe->variables[i]);
	return 0;
}

static int parse_pipeline(struct parser *ps, int max_variables, struct pipeline **out)
{
	struct pipeline *pipe = arena_alloc(ps->a, sizeof(*pipe));
	struct command **last = &pipe->commands;

	skip_space(ps);
	pipe->at = ps->p;
	if (parse_variables(ps, max_variables, pipe) < 0)
		return -EINVAL;
	for (;;) {
		if (parse_command(ps, last) < 0)
			return -EINVAL;
		last = &(*last)->next;
		skip_space(ps);
		if (*ps->p != '|')
			break;
		ps->p++;
	}
	for (int i = 0; i < pipe->n_variables && !pipe->assigns; i++)
		strs_push(ps->a, &ps->variables, pipe->variables[i]);
	*out = pipe;
	return 0;
}

/* ---- nodes ---- */

enum ending { AT_EOF, AT_END, AT_ELSE };

static int parse_nodes(struct parser *ps, struct tmpl_node **out, enum ending *ending);

static int parse_control(struct parser *ps, struct tmpl_node *node);

/* What follows {{else}} up to {{end}}; the word after else makes it a control of its own that shares the end. */
static int parse_else(struct parser *ps, struct tmpl_node *node, const char *from)
{
	static const struct {
		enum tmpl_node_kind kind;
		const char *word;
	} chained[] = {{NODE_IF, "if"}, {NODE_WITH, "with"}};
	enum ending ending;

	skip_space(ps);
	for (size_t i = 0; i < ARRAY_LEN(chained); i++) {
		if (chained[i].kind != node->kind || !is_word(ps->p, chained[i].word))
			continue;
		node->otherwise = arena_alloc(ps->a, sizeof(*node->otherwise));
		node->otherwise->kind = node->kind;
		node->otherwise->at = ps->p;
		ps->p += strlen(chained[i].word);
		return parse_control(ps, node->otherwise);
	}
	if (close_action(ps) < 0 || parse_nodes(ps, &node->otherwise, &ending) < 0)
		return -EINVAL;
	if (ending == AT_ELSE)
		return FAIL(ps, ps->p, "a second {{else}} after {{else}}: expected {{end}}");
	return ending == AT_END ? 0 : FAIL(ps, from, "this {{else}} has no {{end}}");
}

/* After the word of the control, up to its {{end}}. */
static int parse_control(struct parser *ps, struct tmpl_node *node)
{
	static const char *const words[] = {[NODE_IF] = "if", [NODE_RANGE] = "range", [NODE_WITH] = "with"};
	uint32_t variables = ps->variables.n;
	enum ending ending;
	int rc = enter(ps);

	if (rc == 0)
		rc = parse_pipeline(ps, node->kind == NODE_RANGE ? 2 : 1, &node->pipe);
	if (rc == 0)
		rc = close_action(ps);
	ps->loops += node->kind == NODE_RANGE;
	if (rc == 0)
		rc = parse_nodes(ps, &node->body, &ending);
	ps->loops -= node->kind == NODE_RANGE;
	if (rc == 0 && ending == AT_ELSE)
		rc = parse_else(ps, node, ps->p);
	else if (rc == 0 && ending == AT_EOF)
		rc = FAIL(ps, node->at, "this {{%s}} has no {{end}}", words[node->kind]);
	ps->variables.n = variables;
	ps->depth--;
	return rc;
}

/* One action, from after its braces: a node, or the end of the list that is being read. */
static int parse_action(struct parser *ps, struct tmpl_node *node, bool *ends, enum ending *ending)
{
	static const struct {
		const char *word;
		enum tmpl_node_kind kind;
	} words[] = {{"if", NODE_IF}, {"range", NODE_RANGE}, {"with", NODE_WITH}, {"break", NODE_BREAK},
	    {"continue", NODE_CONTINUE}};

	skip_space(ps);
	node->at = ps->p;
	*ends = is_word(ps->p, "end") || is_word(ps->p, "else");
	if (*ends) {
		*ending = ps->p[1] == 'n' ? AT_END : AT_ELSE;
		ps->p += *ending == AT_END ? 3 : 4;
		return *ending == AT_END ? close_action(ps) : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!is_word(ps->p, words[i].word))
			continue;
		ps->p += strlen(words[i].word);
		node->kind = words[i].kind;
		if (node->kind != NODE_BREAK && node->kind != NODE_CONTINUE)
			return parse_control(ps, node);
		return ps->loops ? close_action(ps) : FAIL(ps, node->at, "{{%s}} outside of {{range}}", words[i].word);
	}
	node->kind = NODE_ACTION;
	return parse_pipeline(ps, 1, &node->pipe) < 0 ? -EINVAL : close_action(ps);
}

/* A comment, from after its braces: nothing but trimming. */
static int skip_comment(struct parser *ps, bool *was)
{
	const char *from = ps->p, *end;

	*was = str_starts(ps->p, "/*");
	if (!*was)
		return 0;
	end = strstr(ps->p, "*/");
	if (!end)
		return FAIL(ps, from, "the comment has no end: expected */}}");
	ps->p = end + 2;
	return close_action(ps);
}

/* The text up to the next action; false at the end of the template. */
static bool take_text(struct parser *ps, struct tmpl_node *node)
{
	const char *from = ps->p, *end = strstr(ps->p, "{{"), *stop;
	bool trim = end && end[2] == '-' && is_space(end[3]);

	stop = end ? end : from + strlen(from);
	ps->p = stop;
	while (ps->trim && from < stop && is_space(*from))
		from++;
	ps->trim = false;
	while (trim && stop > from && is_space(stop[-1]))
		stop--;
	*node = (struct tmpl_node){.kind = NODE_TEXT, .at = from, .text = from, .n = (size_t)(stop - from)};
	if (end)
		ps->p += trim ? 4 : 2; /* the space of "{{- " included */
	return end != NULL;
}

static int parse_nodes(struct parser *ps, struct tmpl_node **out, enum ending *ending)
{
	bool more = true, comment, ends;

	while (more) {
		struct tmpl_node *node = arena_alloc(ps->a, sizeof(*node));

		more = take_text(ps, node);
		if (node->n) {
			*out = node;
			out = &node->next;
			node = arena_alloc(ps->a, sizeof(*node));
		}
		if (!more)
			break;
		if (skip_comment(ps, &comment) < 0)
			return -EINVAL;
		if (comment)
			continue;
		memset(node, 0, sizeof(*node));
		if (parse_action(ps, node, &ends, ending) < 0)
			return -EINVAL;
		if (ends)
			return 0;
		*out = node;
		out = &node->next;
	}
	*ending = AT_EOF;
	return 0;
}

int gotmpl_parse(const char *text, struct arena *a, struct tmpl_node **out, struct err *e)
{
	struct parser ps = {.text = text, .p = text, .a = a, .e = e};
	struct tmpl_node *list = NULL;
	enum ending ending;
	int rc;

	strs_push(a, &ps.variables, "$");
	rc = parse_nodes(&ps, &list, &ending);
	if (rc == 0 && ending != AT_EOF)
		rc = FAIL(&ps, ps.p, "unexpected {{%s}}: nothing is open", ending == AT_END ? "end" : "else");
	if (rc == 0)
		*out = list;
	return rc;
}
