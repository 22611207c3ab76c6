/* gotmpl_func: the functions of templates: those of text/template, and of Sprig those that scripts use most. */
#include "daemon/gotmpl_parse.h"

#include <ctype.h>
#include <errno.h>
#include <utf8proc.h>

enum { MAX_RESULT = 16 << 20 };

/* ---- arguments and results ---- */

static int fail(struct tmpl_call *c, const char *fmt, ...) PRINTF(2, 3);
static int fail(struct tmpl_call *c, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	free(c->problem);
	c->problem = buf_take(&b);
	return -EINVAL;
}

static enum value_kind kind_of(const struct tmpl_value *v)
{
	return v->v ? v->v->kind : VAL_NULL;
}

static int give_value(struct tmpl_value *out, const struct value *v)
{
	*out = (struct tmpl_value){.v = v};
	return 0;
}

static int give_bool(struct tmpl_call *c, struct tmpl_value *out, bool b)
{
	return give_value(out, value_bool(c->arena, b));
}

static struct value *string_of(struct arena *a, const char *s, size_t n)
{
	struct value *v = value_str(a, "");

	v->s = arena_strndup(a, s, 0);
	if (n) {
		char *copy = arena_alloc(a, n + 1);

		memcpy(copy, s, n);
		v->s = copy;
		v->n = (uint32_t)n;
	}
	return v;
}

static int give_text(struct tmpl_call *c, struct tmpl_value *out, const struct buf *b)
{
	if (b->full || b->len > MAX_RESULT)
		return fail(c, "the result is larger than %d bytes", MAX_RESULT);
	return give_value(out, string_of(c->arena, b->data ? b->data : "", b->len));
}

/* The string that argument i is; NULL when it is none, which is then the problem. */
static const struct value *need_text(struct tmpl_call *c, int i)
{
	if (kind_of(&c->args[i]) == VAL_STR)
		return c->args[i].v;
	fail(c, "argument %d is %s: expected a string", i + 1, gotmpl_kind(&c->args[i]));
	return NULL;
}

static int need_index(struct tmpl_call *c, int i, uint32_t limit, uint32_t *out)
{
	const struct value *v = c->args[i].v;

	if (kind_of(&c->args[i]) != VAL_INT)
		return fail(c, "cannot index with %s: expected an integer", gotmpl_kind(&c->args[i]));
	if (v->i < 0 || v->i > limit)
		return fail(c, "index out of range: %lld", (long long)v->i);
	*out = (uint32_t)v->i;
	return 0;
}

/* ---- comparison ---- */

static double number_of(const struct value *v)
{
	return v->kind == VAL_INT ? (double)v->i : v->f;
}

static bool is_number(enum value_kind k)
{
	return k == VAL_INT || k == VAL_FLOAT;
}

static int order_of_bytes(const struct value *a, const struct value *b)
{
	int r = memcmp(a->s, b->s, MIN(a->n, b->n));

	return r ? r : a->n < b->n ? -1 : a->n > b->n;
}

/* Whole numbers are compared as such: a float would lose their last digits. */
static int order_of_numbers(const struct value *a, const struct value *b)
{
	if (a->kind == VAL_INT && b->kind == VAL_INT)
		return a->i < b->i ? -1 : a->i > b->i;
	return number_of(a) < number_of(b) ? -1 : number_of(a) > number_of(b);
}

static int incomparable(struct tmpl_call *c, const struct tmpl_value *a, const struct tmpl_value *b)
{
	return fail(c, "incompatible types for comparison: %s and %s", gotmpl_kind(a), gotmpl_kind(b));
}

static int compare(struct tmpl_call *c, int i, int *out)
{
	const struct tmpl_value *a = &c->args[0], *b = &c->args[i];

	if (is_number(kind_of(a)) && is_number(kind_of(b)))
		*out = order_of_numbers(a->v, b->v);
	else if (kind_of(a) == VAL_STR && kind_of(b) == VAL_STR)
		*out = order_of_bytes(a->v, b->v);
	else
		return incomparable(c, a, b);
	return 0;
}

static int is_equal(struct tmpl_call *c, int i, bool *out)
{
	const struct tmpl_value *a = &c->args[0], *b = &c->args[i];
	enum value_kind k = kind_of(a), l = kind_of(b);
	int order;

	if (k == VAL_LIST || k == VAL_MAP || l == VAL_LIST || l == VAL_MAP)
		return fail(c, "%s cannot be compared", gotmpl_kind(k == VAL_LIST || k == VAL_MAP ? a : b));
	if (k == VAL_NULL || l == VAL_NULL) {
		*out = k == l;
		return 0;
	}
	if (k == VAL_BOOL && l == VAL_BOOL) {
		*out = a->v->b == b->v->b;
		return 0;
	}
	if (compare(c, i, &order) < 0)
		return -EINVAL;
	*out = order == 0;
	return 0;
}

static int run_eq(struct tmpl_call *c, struct tmpl_value *out)
{
	bool same = false;

	for (int i = 1; i < c->n && !same; i++)
		if (is_equal(c, i, &same) < 0)
			return -EINVAL;
	return give_bool(c, out, same);
}

static int run_ne(struct tmpl_call *c, struct tmpl_value *out)
{
	bool same;

	return is_equal(c, 1, &same) < 0 ? -EINVAL : give_bool(c, out, !same);
}

static int run_lt(struct tmpl_call *c, struct tmpl_value *out)
{
	int order;

	return compare(c, 1, &order) < 0 ? -EINVAL : give_bool(c, out, order < 0);
}

static int run_le(struct tmpl_call *c, struct tmpl_value *out)
{
	int order;

	return compare(c, 1, &order) < 0 ? -EINVAL : give_bool(c, out, order <= 0);
}

static int run_gt(struct tmpl_call *c, struct tmpl_value *out)
{
	int order;

	return compare(c, 1, &order) < 0 ? -EINVAL : give_bool(c, out, order > 0);
}

static int run_ge(struct tmpl_call *c, struct tmpl_value *out)
{
	int order;

	return compare(c, 1, &order) < 0 ? -EINVAL : give_bool(c, out, order >= 0);
}

static int run_not(struct tmpl_call *c, struct tmpl_value *out)
{
	return give_bool(c, out, !gotmpl_is_true(&c->args[0]));
}

static int run_default(struct tmpl_call *c, struct tmpl_value *out)
{
	*out = c->args[gotmpl_is_true(&c->args[1])];
	return 0;
}

/* ---- parts ---- */

static int run_len(struct tmpl_call *c, struct tmpl_value *out)
{
	enum value_kind k = kind_of(&c->args[0]);

	if (k != VAL_STR && k != VAL_LIST && k != VAL_MAP)
		return fail(c, "%s has no length", gotmpl_kind(&c->args[0]));
	return give_value(out, value_int(c->arena, c->args[0].v->n));
}

static int index_one(struct tmpl_call *c, struct tmpl_value *v, int i)
{
	enum value_kind k = kind_of(v);
	const struct value *item = NULL;
	uint32_t at;

	if (k == VAL_MAP) {
		const struct value *key = need_text(c, i);

		if (!key)
			return -EINVAL;
		item = value_get(v->v, key->s);
	} else if (k == VAL_LIST || k == VAL_STR) {
		if (need_index(c, i, v->v->n ? v->v->n - 1 : 0, &at) < 0)
			return -EINVAL;
		if (at >= v->v->n)
			return fail(c, "index out of range: %u", at);
		item = k == VAL_LIST ? v->v->items[at] : value_int(c->arena, (unsigned char)v->v->s[at]);
	} else {
		return fail(c, "cannot index %s", gotmpl_kind(v));
	}
	*v = (struct tmpl_value){.v = item, .of = v->items ? v->of : NULL};
	return 0;
}

static int run_index(struct tmpl_call *c, struct tmpl_value *out)
{
	struct tmpl_value v = c->args[0];

	for (int i = 1; i < c->n; i++)
		if (index_one(c, &v, i) < 0)
			return -EINVAL;
	*out = v;
	return 0;
}

static int run_slice(struct tmpl_call *c, struct tmpl_value *out)
{
	const struct tmpl_value *v = &c->args[0];
	enum value_kind k = kind_of(v);
	uint32_t from = 0, to;

	if (k != VAL_STR && k != VAL_LIST)
		return fail(c, "cannot slice %s", gotmpl_kind(v));
	to = v->v->n;
	if ((c->n > 2 && need_index(c, 2, to, &to) < 0) || (c->n > 1 && need_index(c, 1, v->v->n, &from) < 0))
		return -EINVAL;
	if (from > to)
		return fail(c, "invalid slice index: %u > %u", from, to);
	if (k == VAL_STR)
		return give_value(out, string_of(c->arena, v->v->s + from, to - from));
	*out = *v;
	out->v = value_list(c->arena, v->v->items + from, to - from);
	return 0;
}

/* ---- printing ---- */

/* As Sprint: a space between two when neither is a string; with `lines` always, and a line break at the end. */
static void print_all(struct tmpl_call *c, struct buf *b, bool lines)
{
	static const struct value null = {.kind = VAL_NULL};

	buf_init(b, MAX_RESULT + 1);
	for (int i = 0; i < c->n; i++) {
		struct tmpl_value v = c->args[i];

		if (i && (lines || (kind_of(&c->args[i - 1]) != VAL_STR && kind_of(&v) != VAL_STR)))
			buf_putc(b, ' ');
		if (kind_of(&v) == VAL_NULL) {
			gotmpl_printf(b, "%v", 2, &(struct tmpl_value){.v = &null}, 1);
			continue;
		}
		gotmpl_print(b, &v);
	}
	if (lines)
		buf_putc(b, '\n');
}

static int run_print(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf b = BUF_INIT;

	print_all(c, &b, false);
	return give_text(c, out, &b);
}

static int run_println(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf b = BUF_INIT;

	print_all(c, &b, true);
	return give_text(c, out, &b);
}

static int run_printf(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf b = BUF_INIT;
	const struct value *format = need_text(c, 0);

	if (!format)
		return -EINVAL;
	buf_init(&b, MAX_RESULT + 1);
	gotmpl_printf(&b, format->s, format->n, c->args + 1, c->n - 1);
	return give_text(c, out, &b);
}

static int run_html(struct tmpl_call *c, struct tmpl_value *out)
{
	static const char *const named[256] = {['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&#34;",
	    ['\''] = "&#39;"};
	cleanup_buf struct buf in = BUF_INIT, b = BUF_INIT;

	print_all(c, &in, false);
	buf_init(&b, MAX_RESULT + 1);
	for (size_t i = 0; i < in.len; i++) {
		const char *name = named[(unsigned char)in.data[i]];

		if (name)
			buf_puts(&b, name);
		else if (!in.data[i])
			buf_puts(&b, "\xef\xbf\xbd");
		else
			buf_putc(&b, in.data[i]);
	}
	return give_text(c, out, &b);
}

static int run_js(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf in = BUF_INIT, b = BUF_INIT;

	print_all(c, &in, false);
	buf_init(&b, MAX_RESULT + 1);
	for (size_t i = 0; i < in.len; i++) {
		unsigned char ch = (unsigned char)in.data[i];

		if (ch < 0x20 || (ch && strchr("<>&=", ch)))
			buf_printf(&b, "\\u%04X", ch);
		else if (strchr("\\'\"", ch))
			buf_printf(&b, "\\%c", ch);
		else
			buf_putc(&b, (char)ch);
	}
	return give_text(c, out, &b);
}

static int run_urlquery(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf in = BUF_INIT, b = BUF_INIT;

	print_all(c, &in, false);
	buf_init(&b, MAX_RESULT + 1);
	for (size_t i = 0; i < in.len; i++) {
		unsigned char ch = (unsigned char)in.data[i];

		if (isalnum(ch) || (ch && strchr("-_.~", ch)))
			buf_putc(&b, (char)ch);
		else if (ch == ' ')
			buf_putc(&b, '+');
		else
			buf_printf(&b, "%%%02X", ch);
	}
	return give_text(c, out, &b);
}

static int to_json(struct tmpl_call *c, struct tmpl_value *out, int indent)
{
	static const struct value null = {.kind = VAL_NULL};
	cleanup_buf struct buf b = BUF_INIT;

	buf_init(&b, MAX_RESULT + 1);
	value_print_json(&b, c->args[0].v ? c->args[0].v : &null, indent, 0);
	return give_text(c, out, &b);
}

static int run_json(struct tmpl_call *c, struct tmpl_value *out)
{
	return to_json(c, out, 0);
}

static int run_pretty_json(struct tmpl_call *c, struct tmpl_value *out)
{
	return to_json(c, out, 2);
}

/* ---- text ---- */

static int map_runes(struct tmpl_call *c, struct tmpl_value *out, utf8proc_int32_t (*fn)(utf8proc_int32_t))
{
	cleanup_buf struct buf b = BUF_INIT;
	const struct value *s = need_text(c, 0);

	if (!s)
		return -EINVAL;
	for (uint32_t i = 0; i < s->n;) {
		utf8proc_int32_t r;
		utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s->s + i, (utf8proc_ssize_t)(s->n - i), &r);

		if (n <= 0)
			buf_putc(&b, s->s[i++]);
		else
			gotmpl_put_rune(&b, (uint32_t)fn(r)), i += (uint32_t)n;
	}
	return give_text(c, out, &b);
}

static int run_lower(struct tmpl_call *c, struct tmpl_value *out)
{
	return map_runes(c, out, utf8proc_tolower);
}

static int run_upper(struct tmpl_call *c, struct tmpl_value *out)
{
	return map_runes(c, out, utf8proc_toupper);
}

static int run_trim(struct tmpl_call *c, struct tmpl_value *out)
{
	const struct value *s = need_text(c, 0);
	uint32_t from = 0, to;

	if (!s)
		return -EINVAL;
	for (to = s->n; to && isspace((unsigned char)s->s[to - 1]);)
		to--;
	while (from < to && isspace((unsigned char)s->s[from]))
		from++;
	return give_value(out, string_of(c->arena, s->s + from, to - from));
}

static int run_contains(struct tmpl_call *c, struct tmpl_value *out)
{
	const struct value *part = need_text(c, 0), *whole = need_text(c, 1);

	return part && whole ? give_bool(c, out, memmem(whole->s, whole->n, part->s, part->n) != NULL) : -EINVAL;
}

static int run_has_prefix(struct tmpl_call *c, struct tmpl_value *out)
{
	const struct value *part = need_text(c, 0), *whole = need_text(c, 1);

	if (!part || !whole)
		return -EINVAL;
	return give_bool(c, out, whole->n >= part->n && memcmp(whole->s, part->s, part->n) == 0);
}

static int run_has_suffix(struct tmpl_call *c, struct tmpl_value *out)
{
	const struct value *part = need_text(c, 0), *whole = need_text(c, 1);

	if (!part || !whole)
		return -EINVAL;
	return give_bool(c, out, whole->n >= part->n && memcmp(whole->s + whole->n - part->n, part->s, part->n) == 0);
}

static int run_replace(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf b = BUF_INIT;
	const struct value *from = need_text(c, 0), *to = need_text(c, 1), *s = need_text(c, 2);

	if (!from || !to || !s)
		return -EINVAL;
	if (!from->n)
		return fail(c, "argument 1 is an empty string: there is nothing to replace");
	buf_init(&b, MAX_RESULT + 1);
	for (const char *p = s->s, *end = p + s->n; p < end;) {
		const char *hit = memmem(p, (size_t)(end - p), from->s, from->n);

		buf_put(&b, p, (size_t)((hit ? hit : end) - p));
		if (!hit)
			break;
		buf_put(&b, to->s, to->n);
		p = hit + from->n;
	}
	return give_text(c, out, &b);
}

static int run_split(struct tmpl_call *c, struct tmpl_value *out)
{
	const struct value *by = need_text(c, 0), *s = need_text(c, 1);
	struct objs parts = {0};

	if (!by || !s)
		return -EINVAL;
	for (const char *p = s->s, *end = p + s->n;;) {
		const char *hit = by->n ? memmem(p, (size_t)(end - p), by->s, by->n) : p + 1 < end ? p + 1 : NULL;

		objs_push(c->arena, &parts, string_of(c->arena, p, (size_t)((hit ? hit : end) - p)));
		if (!hit)
			break;
		p = hit + by->n;
	}
	return give_value(out, value_list(c->arena, (struct value **)parts.v, parts.n));
}

static int run_join(struct tmpl_call *c, struct tmpl_value *out)
{
	cleanup_buf struct buf b = BUF_INIT;
	const struct value *by = need_text(c, 0), *l = c->args[1].v;

	if (!by)
		return -EINVAL;
	if (kind_of(&c->args[1]) == VAL_NULL)
		return give_text(c, out, &b);
	if (l->kind != VAL_LIST)
		return fail(c, "argument 2 is %s: expected a list", gotmpl_kind(&c->args[1]));
	buf_init(&b, MAX_RESULT + 1);
	for (uint32_t i = 0; i < l->n; i++) {
		if (i)
			buf_put(&b, by->s, by->n);
		gotmpl_print(&b, &(struct tmpl_value){.v = l->items[i]});
	}
	return give_text(c, out, &b);
}

/* ---- the table ---- */

static const struct tmpl_fn functions[] = {
    {"and", 1, -1, NULL},
    {"or", 1, -1, NULL},
    {"not", 1, 1, run_not},
    {"eq", 2, -1, run_eq},
    {"ne", 2, 2, run_ne},
    {"lt", 2, 2, run_lt},
    {"le", 2, 2, run_le},
    {"gt", 2, 2, run_gt},
    {"ge", 2, 2, run_ge},
    {"index", 1, -1, run_index},
    {"slice", 1, 3, run_slice},
    {"len", 1, 1, run_len},
    {"print", 0, -1, run_print},
    {"println", 0, -1, run_println},
    {"printf", 1, -1, run_printf},
    {"html", 0, -1, run_html},
    {"js", 0, -1, run_js},
    {"urlquery", 0, -1, run_urlquery},
    {"toJSON", 1, 1, run_json},
    {"toJson", 1, 1, run_json},
    {"toPrettyJSON", 1, 1, run_pretty_json},
    {"toPrettyJson", 1, 1, run_pretty_json},
    {"default", 2, 2, run_default},
    {"lower", 1, 1, run_lower},
    {"upper", 1, 1, run_upper},
    {"trim", 1, 1, run_trim},
    {"contains", 2, 2, run_contains},
    {"hasPrefix", 2, 2, run_has_prefix},
    {"hasSuffix", 2, 2, run_has_suffix},
    {"replace", 3, 3, run_replace},
    {"split", 2, 2, run_split},
    {"splitList", 2, 2, run_split},
    {"join", 2, 2, run_join},
};

const struct tmpl_fn *gotmpl_function(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++)
		if (str_eq(functions[i].name, name))
			return &functions[i];
	return NULL;
}
