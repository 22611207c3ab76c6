/* filter_parse: recursive descent: or, and, not, match; selectors are looked up in the field tables while they are read. */
#include "daemon/filter_parse.h"

#include <ctype.h>
#include <errno.h>

#include "base/clock.h"

struct parser {
	const char *text, *p;
	const struct type *type;
	struct filter *f;
	struct err *e;
	int depth;
};

/* A word of the expression: quoted or bare. */
struct word {
	const char *at, *text;
	bool quoted;
};

static int fail(struct parser *ps, const char *at, const char *fmt, ...) PRINTF(3, 4);
static int fail(struct parser *ps, const char *at, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return err_set(ps->e, -EINVAL, "column %d: %s", (int)(at - ps->text) + 1, b.data);
}

/* ---- words ---- */

static void skip_space(struct parser *ps)
{
	while (isspace((unsigned char)*ps->p))
		ps->p++;
}

static bool is_bare(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || (c && strchr("_/-:*@", c));
}

/* Takes the keyword when it stands here. */
static bool take(struct parser *ps, const char *word)
{
	size_t n = strlen(word);

	skip_space(ps);
	if (strncmp(ps->p, word, n) != 0 || (isalpha((unsigned char)*word) && (is_bare(ps->p[n]) || ps->p[n] == '.')))
		return false;
	ps->p += n;
	return true;
}

/* "not in" and its like: both words or none. */
static bool take_two(struct parser *ps, const char *first, const char *second)
{
	const char *from = ps->p;

	if (take(ps, first) && take(ps, second))
		return true;
	ps->p = from;
	return false;
}

static int take_quoted(struct parser *ps, const char **out)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *from = ps->p;
	char quote = *ps->p++;

	for (; *ps->p != quote; ps->p++) {
		if (!*ps->p)
			return fail(ps, from, "the string has no end: expected %c", quote);
		if (*ps->p == '\\' && quote == '"') {
			static const char letters[] = "nrt\\\"", bytes[] = "\n\r\t\\\"";
			const char *l = ps->p[1] ? strchr(letters, ps->p[1]) : NULL;

			if (!l)
				return fail(ps, ps->p, "unknown escape in a string: expected \\n, \\r, \\t, \\\\ or \\\"");
			buf_putc(&b, bytes[l - letters]);
			ps->p++;
			continue;
		}
		buf_putc(&b, *ps->p);
	}
	ps->p++;
	*out = arena_strdup(ps->f->arena, b.data ? b.data : "");
	return 0;
}

/* A value; a bare word ends at a space or bracket, and may have dots. */
static int take_value(struct parser *ps, struct word *out)
{
	const char *from;
	int rc = 0;

	skip_space(ps);
	from = ps->p;
	*out = (struct word){.at = from, .quoted = *from == '"' || *from == '`'};
	if (out->quoted) {
		rc = take_quoted(ps, &out->text);
	} else {
		while (is_bare(*ps->p) || *ps->p == '.' || *ps->p == '+')
			ps->p++;
		out->text = arena_strndup(ps->f->arena, from, (size_t)(ps->p - from));
		if (ps->p == from)
			rc = fail(ps, from, *from ? "unexpected \"%c\": expected a value" : "the expression ends: expected a value", *from);
	}
	return rc;
}

/* ---- selectors ---- */

/* The parts of a selector, as they are written. */
static int take_selector(struct parser *ps, struct strs *parts)
{
	const char *pointer;

	skip_space(ps);
	if (*ps->p == '"') {
		const char *at = ps->p;

		if (take_quoted(ps, &pointer) < 0)
			return -EINVAL;
		if (*pointer != '/')
			return fail(ps, at, "\"%s\" is no selector: expected a field, or a pointer such as \"/Meta/owner\"", pointer);
		for (const char *p = pointer; *p;) {
			size_t n = strcspn(++p, "/");

			strs_push(ps->f->arena, parts, arena_strndup(ps->f->arena, p, n));
			p += n;
		}
		return 0;
	}
	for (;;) {
		const char *from = ps->p, *key;

		while (isalnum((unsigned char)*ps->p) || *ps->p == '_' || (parts->n && (*ps->p == '-' || *ps->p == '/')))
			ps->p++;
		if (ps->p == from)
			return fail(ps, from, *from ? "unexpected \"%c\": expected a field" : "the expression ends: expected a field", *from);
		strs_push(ps->f->arena, parts, arena_strndup(ps->f->arena, from, (size_t)(ps->p - from)));
		while (*ps->p == '[') {
			ps->p++;
			skip_space(ps);
			if (*ps->p != '"' && *ps->p != '`')
				return fail(ps, ps->p, "expected a quoted key: [\"key\"]");
			if (take_quoted(ps, &key) < 0)
				return -EINVAL;
			strs_push(ps->f->arena, parts, key);
			skip_space(ps);
			if (*ps->p != ']')
				return fail(ps, ps->p, "expected ]");
			ps->p++;
		}
		if (*ps->p != '.')
			return 0;
		ps->p++;
	}
}

static int no_such_field(struct parser *ps, const char *at, const struct type *t, const char *name)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint16_t i = 0; i < t->n; i++)
		if (!(t->fields[t->by_name[i]].flags & FIELD_HIDE))
			buf_printf(&b, "%s%s", b.len ? ", " : "", t->fields[t->by_name[i]].json);
	return fail(ps, at, "%s has no field \"%s\"; it has %s", t->name, name, b.data ? b.data : "none");
}

static bool is_map(enum field_kind k)
{
	return k == FIELD_MAP || k == FIELD_OBJMAP || k == FIELD_INTMAP || k == FIELD_DBLMAP || k == FIELD_HDRMAP;
}

/* What the items of a list or map are. */
static enum field_kind item_kind(enum field_kind k)
{
	switch (k) {
	case FIELD_OBJS:
	case FIELD_OBJMAP:
		return FIELD_OBJ;
	case FIELD_INTMAP:
		return FIELD_INT;
	case FIELD_DBLMAP:
		return FIELD_DBL;
	case FIELD_HDRMAP:
		return FIELD_STRS;
	default:
		return FIELD_STR;
	}
}

static int take_index(const char *text, uint32_t *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || !isdigit((unsigned char)*text) || v > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

/* Looks the parts up, from the type on. */
static int resolve(struct parser *ps, const char *at, const struct strs *parts, struct filter_node *n)
{
	enum field_kind kind = FIELD_OBJ;
	const struct type *t = ps->type;

	n->steps = arena_alloc(ps->f->arena, parts->n * sizeof(*n->steps));
	for (uint32_t i = 0; i < parts->n; i++) {
		struct filter_step *s = &n->steps[n->n_steps++];

		s->key = parts->v[i];
		if (kind == FIELD_ANY) {
			take_index(s->key, &s->index);
		} else if (kind == FIELD_OBJ) {
			s->field = model_field(t, s->key);
			if (!s->field || s->field->flags & FIELD_HIDE)
				return no_such_field(ps, at, t, s->key);
			kind = (enum field_kind)s->field->kind;
			t = s->field->type;
		} else if (kind == FIELD_OBJS || kind == FIELD_STRS) {
			if (take_index(s->key, &s->index) < 0)
				return fail(ps, at, "\"%s\" is a list: expected the number of an item, not \"%s\"", parts->v[i - 1], s->key);
			kind = item_kind(kind);
		} else if (is_map(kind)) {
			kind = item_kind(kind);
		} else {
			return fail(ps, at, "\"%s\" has no parts: \"%s\" is none", parts->v[i - 1], s->key);
		}
	}
	n->kind = kind;
	n->dynamic = kind == FIELD_ANY;
	return 0;
}

/* ---- operators and their values ---- */

static void read_forms(struct filter_node *n)
{
	const char *s = n->text;
	char *end;

	errno = 0;
	n->integer = strtoll(s, &end, 10);
	n->is_integer = *s && !*end && !errno;
	n->number = strtod(s, &end);
	n->is_number = *s && !*end;
	n->truth = str_eq(s, "true");
	n->is_truth = n->truth || str_eq(s, "false");
}

static int wrong_value(struct parser *ps, const struct word *v, const char *expected)
{
	return fail(ps, v->at, "\"%s\" is not what the field holds: expected %s", v->text, expected);
}

/* Whether a value of this kind can equal the text. */
static int check_equal(struct parser *ps, struct filter_node *n, const struct word *v)
{
	switch (n->kind) {
	case FIELD_BOOL:
		return n->is_truth ? 0 : wrong_value(ps, v, "true or false");
	case FIELD_DUR:
		if (!n->is_integer && duration_parse(n->text, &n->integer) == 0)
			return 0;
		return n->is_integer ? 0 : wrong_value(ps, v, "a duration such as 30s, or nanoseconds");
	case FIELD_INT:
	case FIELD_TIME:
		return n->is_integer ? 0 : wrong_value(ps, v, "an integer");
	case FIELD_DBL:
		return n->is_number ? 0 : wrong_value(ps, v, "a number");
	case FIELD_STR:
	case FIELD_STAMP:
	case FIELD_ANY:
		return 0;
	default:
		return fail(ps, v->at, "a list, map or object equals no value: ask what it contains, or whether it is empty");
	}
}

static int check_value(struct parser *ps, struct filter_node *n, const struct word *v)
{
	n->text = v->text;
	read_forms(n);
	switch (n->op) {
	case FILTER_EQUAL:
		return check_equal(ps, n, v);
	case FILTER_CONTAINS:
		if (n->dynamic || n->kind == FIELD_STR || n->kind == FIELD_STRS || is_map(n->kind))
			return 0;
		return fail(ps, v->at, "only strings, maps and lists of strings contain something");
	case FILTER_MATCHES:
		if (!n->dynamic && n->kind != FIELD_STR)
			return fail(ps, v->at, "only strings match a pattern");
		n->pattern = pattern_new(n->text, ps->e);
		if (!n->pattern)
			return fail(ps, v->at, "%s", err_str(ps->e));
		n->next = ps->f->patterns;
		ps->f->patterns = n;
		return 0;
	default:
		return 0;
	}
}

/* "is empty" and "is nil" have no value. */
static int check_is(struct parser *ps, struct filter_node *n, const char *at)
{
	bool counts = n->kind == FIELD_STR || n->kind == FIELD_STRS || n->kind == FIELD_OBJS || n->kind == FIELD_BYTES ||
	              is_map(n->kind);

	if (n->dynamic || n->op == FILTER_NIL || counts)
		return 0;
	return fail(ps, at, "only strings, lists and maps can be empty");
}

/* The operator after a selector; -ENOENT when none stands here. */
static int take_operator(struct parser *ps, struct filter_node *n, bool *has_value)
{
	*has_value = true;
	if (take(ps, "==") || take(ps, "!=")) {
		n->op = FILTER_EQUAL;
		n->negated = ps->p[-2] == '!';
	} else if (take_two(ps, "not", "contains") || take(ps, "contains")) {
		n->op = FILTER_CONTAINS;
	} else if (take_two(ps, "not", "matches") || take(ps, "matches")) {
		n->op = FILTER_MATCHES;
	} else if (take(ps, "is")) {
		n->negated = take(ps, "not");
		n->op = take(ps, "nil") ? FILTER_NIL : FILTER_EMPTY;
		*has_value = false;
		if (n->op == FILTER_EMPTY && !take(ps, "empty"))
			return fail(ps, ps->p, "expected empty or nil after \"is\"");
	} else {
		return -ENOENT;
	}
	return 0;
}

static struct filter_node *new_node(struct parser *ps, enum filter_op op)
{
	struct filter_node *n = arena_alloc(ps->f->arena, sizeof(*n));

	n->op = op;
	return n;
}

/* <value> in <selector>; true when it is one. */
static int try_in(struct parser *ps, struct filter_node *n, bool *was)
{
	const char *from = ps->p;
	struct strs parts = {0};
	struct word v;
	const char *at;

	*was = false;
	if (take_value(ps, &v) < 0) {
		if (ps->e)
			err_clear(ps->e);
		ps->p = from;
		return 0;
	}
	n->negated = take_two(ps, "not", "in");
	if (!n->negated && !take(ps, "in")) {
		ps->p = from;
		return 0;
	}
	*was = true;
	n->op = FILTER_CONTAINS;
	skip_space(ps);
	at = ps->p;
	if (take_selector(ps, &parts) < 0 || resolve(ps, at, &parts, n) < 0)
		return -EINVAL;
	return check_value(ps, n, &v);
}

static int parse_match(struct parser *ps, struct filter_node **out)
{
	struct filter_node *n = new_node(ps, FILTER_EQUAL);
	struct strs parts = {0};
	const char *at, *op;
	bool was, has_value;
	struct word v;
	int rc = try_in(ps, n, &was);

	*out = n;
	if (rc < 0 || was)
		return rc;
	skip_space(ps);
	at = ps->p;
	if (take_selector(ps, &parts) < 0 || resolve(ps, at, &parts, n) < 0)
		return -EINVAL;
	skip_space(ps);
	op = ps->p;
	rc = take_operator(ps, n, &has_value);
	if (rc == -ENOENT)
		return fail(ps, op, "expected an operator: ==, !=, in, contains, matches, is empty, is nil, or not with one of them");
	if (rc < 0)
		return rc;
	if (!has_value)
		return check_is(ps, n, op);
	n->negated |= str_starts(op, "not");
	return take_value(ps, &v) < 0 ? -EINVAL : check_value(ps, n, &v);
}

/* ---- and, or, not ---- */

static int parse_or(struct parser *ps, struct filter_node **out);

static int parse_not(struct parser *ps, struct filter_node **out)
{
	const char *from;
	int rc;

	skip_space(ps);
	from = ps->p;
	if (++ps->depth > FILTER_NESTING)
		return fail(ps, from, "nested deeper than %d", FILTER_NESTING);
	if (take(ps, "not")) {
		*out = new_node(ps, FILTER_NOT);
		rc = parse_not(ps, &(*out)->left);
	} else if (take(ps, "(")) {
		rc = parse_or(ps, out);
		if (rc == 0 && !take(ps, ")"))
			rc = fail(ps, from, "the parenthesis has no end: expected )");
	} else {
		rc = parse_match(ps, out);
	}
	ps->depth--;
	return rc;
}

/* A chain of one operator; it leans to the left, so its length costs no nesting. */
static int parse_chain(struct parser *ps, enum filter_op op, const char *word,
    int (*part)(struct parser *, struct filter_node **), struct filter_node **out)
{
	struct filter_node *left;
	int rc = part(ps, &left);

	while (rc == 0 && take(ps, word)) {
		struct filter_node *n = new_node(ps, op);

		n->left = left;
		rc = part(ps, &n->right);
		left = n;
	}
	if (rc == 0)
		*out = left;
	return rc;
}

static int parse_and(struct parser *ps, struct filter_node **out)
{
	return parse_chain(ps, FILTER_AND, "and", parse_not, out);
}

static int parse_or(struct parser *ps, struct filter_node **out)
{
	return parse_chain(ps, FILTER_OR, "or", parse_and, out);
}

int filter_parse(struct filter *f, const char *text, const struct type *t, struct err *e)
{
	struct err own = ERR_INIT;
	struct parser ps = {.text = text, .p = text, .type = t, .f = f, .e = e ? e : &own};
	int rc;

	if (strlen(text) > FILTER_LENGTH)
		return err_set(e, -EINVAL, "the expression is longer than %d characters", FILTER_LENGTH);
	rc = parse_or(&ps, &f->root);
	if (rc == 0)
		skip_space(&ps);
	if (rc == 0 && *ps.p)
		rc = fail(&ps, ps.p, "unexpected \"%.20s\": expected and, or, or the end", ps.p);
	err_clear(&own);
	return rc;
}
