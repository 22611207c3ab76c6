/* gotmpl_format: values as text: what Go's fmt prints for %v and the other verbs. */
#include "daemon/gotmpl_parse.h"

#include "base/clock.h"
#include "base/json.h"

enum { MAX_WIDTH = 1000 }; /* of one printed value */

bool gotmpl_is_true(const struct tmpl_value *v)
{
	if (!v->v)
		return false;
	switch (v->v->kind) {
	case VAL_NULL:
		return false;
	case VAL_BOOL:
		return v->v->b;
	case VAL_INT:
		return v->v->i != 0;
	case VAL_FLOAT:
		return v->v->f != 0;
	case VAL_STR:
	case VAL_LIST:
	case VAL_MAP:
		break;
	}
	return v->v->n > 0;
}

const char *gotmpl_kind(const struct tmpl_value *v)
{
	static const char *const kinds[] = {[VAL_NULL] = "nil", [VAL_BOOL] = "a boolean", [VAL_INT] = "an integer",
	    [VAL_FLOAT] = "a number", [VAL_STR] = "a string", [VAL_LIST] = "a list", [VAL_MAP] = "a map"};

	return v->v ? kinds[v->v->kind] : "no value";
}

/* The names of Go's types, as %T and complaints about a verb have them. */
static const char *go_type(const struct value *v)
{
	static const char *const types[] = {[VAL_NULL] = "<nil>", [VAL_BOOL] = "bool", [VAL_INT] = "int",
	    [VAL_FLOAT] = "float64", [VAL_STR] = "string", [VAL_LIST] = "[]interface {}",
	    [VAL_MAP] = "map[string]interface {}"};

	return types[v ? v->kind : VAL_NULL];
}

/* ---- floats and quotes ---- */

/* The fewest digits that read back the same; with an exponent below 1e-4 and from 1e6 on, whatever the digits. */
void gotmpl_put_float(struct buf *b, double f)
{
	char text[40];
	int precision = 0, exponent;

	for (; precision < 17; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, f);
		if (strtod(text, NULL) == f)
			break;
	}
	exponent = atoi(strchr(text, 'e') ? strchr(text, 'e') + 1 : "0");
	if (exponent < -4 || exponent >= 6)
		buf_puts(b, text);
	else
		buf_printf(b, "%.*f", MAX(precision - exponent, 0), f);
}

void gotmpl_put_quoted(struct buf *b, const char *s, size_t n)
{
	static const char letters[] = "abfnrtv\\\"", bytes[] = "\a\b\f\n\r\t\v\\\"";

	buf_putc(b, '"');
	for (size_t i = 0; i < n; i++) {
		const char *l = s[i] ? strchr(bytes, s[i]) : NULL;

		if (l)
			buf_printf(b, "\\%c", letters[l - bytes]);
		else if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			buf_printf(b, "\\x%02x", (unsigned char)s[i]);
		else
			buf_putc(b, s[i]);
	}
	buf_putc(b, '"');
}

/* ---- %v ---- */

static void put_inner(struct buf *b, const struct value *v)
{
	switch (v ? v->kind : VAL_NULL) {
	case VAL_NULL:
		buf_puts(b, "<nil>");
		break;
	case VAL_BOOL:
		buf_puts(b, v->b ? "true" : "false");
		break;
	case VAL_INT:
		json_put_int(b, v->i);
		break;
	case VAL_FLOAT:
		gotmpl_put_float(b, v->f);
		break;
	case VAL_STR:
		buf_put(b, v->s, v->n);
		break;
	case VAL_LIST:
		buf_putc(b, '[');
		for (uint32_t i = 0; i < v->n; i++) {
			if (i)
				buf_putc(b, ' ');
			put_inner(b, v->items[i]);
		}
		buf_putc(b, ']');
		break;
	case VAL_MAP:
		buf_puts(b, "map[");
		for (uint32_t i = 0; i < v->n; i++) {
			buf_printf(b, "%s%s:", i ? " " : "", v->keys[i]);
			put_inner(b, v->items[i]);
		}
		buf_putc(b, ']');
		break;
	}
}

void gotmpl_print(struct buf *b, const struct tmpl_value *v)
{
	char text[DURATION_STR];

	if (!v->v || (v->v->kind == VAL_NULL && !v->of))
		buf_puts(b, "<no value>");
	else if (v->duration && v->v->kind == VAL_INT)
		buf_puts(b, duration_format(v->v->i, text));
	else
		put_inner(b, v->v);
}

/* ---- printf ---- */

struct verb {
	bool minus, plus, sharp, space, zero;
	int width, precision; /* -1 = none */
	char verb;
};

static size_t runes(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)s[i] & 0xc0) != 0x80;
	return count;
}

/* sign stays before zeros that fill up. */
static void pad(struct buf *b, const struct verb *f, const char *sign, const char *s, size_t n, bool number)
{
	int fill = f->width - (int)(runes(s, n) + strlen(sign));
	bool zeros = f->zero && number && !f->minus;

	for (int i = 0; i < fill && !f->minus && !zeros; i++)
		buf_putc(b, ' ');
	buf_puts(b, sign);
	for (int i = 0; i < fill && zeros; i++)
		buf_putc(b, '0');
	buf_put(b, s, n);
	for (int i = 0; i < fill && f->minus; i++)
		buf_putc(b, ' ');
}

static void put_rune_text(struct buf *b, const struct verb *f, int64_t r)
{
	cleanup_buf struct buf t = BUF_INIT;

	if (f->verb == 'U')
		buf_printf(&t, "U+%04llX", (unsigned long long)r);
	else
		gotmpl_put_rune(&t, r < 0 || r > 0x10ffff ? 0xfffd : (uint32_t)r);
	pad(b, f, "", t.data, t.len, false);
}

static const char *sign_of(const struct verb *f, bool negative)
{
	return negative ? "-" : f->plus ? "+" : f->space ? " " : "";
}

static void put_integer(struct buf *b, const struct verb *f, int64_t v)
{
	unsigned base = f->verb == 'x' || f->verb == 'X' ? 16 : f->verb == 'o' ? 8 : f->verb == 'b' ? 2 : 10;
	const char *figures = f->verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char text[64 + MAX_WIDTH + 4], *p = text + sizeof(text);
	struct verb plain = *f;

	do
		*--p = figures[left % base];
	while (left /= base);
	while (text + sizeof(text) - p < f->precision)
		*--p = '0';
	if (f->precision >= 0)
		plain.zero = false;
	if (f->sharp && base == 16) {
		*--p = f->verb;
		*--p = '0';
	} else if (f->sharp && base == 8) {
		*--p = '0';
	}
	pad(b, &plain, sign_of(f, v < 0), p, (size_t)(text + sizeof(text) - p), true);
}

static void put_real(struct buf *b, const struct verb *f, double v)
{
	char text[MAX_WIDTH + 400], form[8] = "%.*e";
	cleanup_buf struct buf shortest = BUF_INIT;
	bool negative = v < 0;

	if (strchr("gGv", f->verb) && f->precision < 0) {
		gotmpl_put_float(&shortest, negative ? -v : v);
		snprintf(text, sizeof(text), "%s", shortest.data);
		if (f->verb == 'G' && strchr(text, 'e'))
			*strchr(text, 'e') = 'E';
	} else {
		form[3] = f->verb == 'v' ? 'g' : f->verb == 'F' ? 'f' : f->verb;
		snprintf(text, sizeof(text), form, f->precision < 0 ? 6 : f->precision, negative ? -v : v);
	}
	pad(b, f, sign_of(f, negative), text, strlen(text), true);
}

static void put_text(struct buf *b, const struct verb *f, const char *s, size_t n)
{
	cleanup_buf struct buf t = BUF_INIT;

	if (f->precision >= 0 && f->verb != 'x' && f->verb != 'X')
		for (size_t i = 0, count = 0; i < n; i++)
			if (((unsigned char)s[i] & 0xc0) != 0x80 && count++ == (size_t)f->precision)
				n = i;
	if (f->verb == 'q' || (f->verb == 'v' && f->sharp))
		gotmpl_put_quoted(&t, s, n);
	else if (f->verb == 'x' || f->verb == 'X')
		for (size_t i = 0; i < n; i++)
			buf_printf(&t, f->verb == 'x' ? "%02x" : "%02X", (unsigned char)s[i]);
	else
		buf_put(&t, s, n);
	pad(b, f, "", t.data ? t.data : "", t.len, false);
}

static void put_bad_verb(struct buf *b, const struct verb *f, const struct value *v)
{
	buf_printf(b, "%%!%c(%s", f->verb, go_type(v));
	if (v && v->kind != VAL_NULL) {
		buf_putc(b, '=');
		put_inner(b, v);
	}
	buf_putc(b, ')');
}

static bool is_one_of(char verb, const char *verbs)
{
	return strchr(verbs, verb) != NULL;
}

static void put_verb(struct buf *b, const struct verb *f, const struct value *v, bool duration)
{
	static const char *const words[] = {"false", "true"};
	char text[DURATION_STR];

	switch (v ? v->kind : VAL_NULL) {
	case VAL_BOOL:
		if (is_one_of(f->verb, "vt"))
			pad(b, f, "", words[v->b], strlen(words[v->b]), false);
		else
			put_bad_verb(b, f, v);
		return;
	case VAL_INT:
		duration_format(v->i, text);
		if (duration && is_one_of(f->verb, "vs"))
			put_text(b, f, text, strlen(text));
		else if (is_one_of(f->verb, "vdxXob"))
			put_integer(b, f, v->i);
		else if (is_one_of(f->verb, "eEfFgG"))
			put_real(b, f, (double)v->i);
		else if (is_one_of(f->verb, "cU"))
			put_rune_text(b, f, v->i);
		else
			put_bad_verb(b, f, v);
		return;
	case VAL_FLOAT:
		if (f->verb == 'd' && v->f > -9e18 && v->f < 9e18 && v->f == (double)(int64_t)v->f)
			put_integer(b, f, (int64_t)v->f);
		else if (is_one_of(f->verb, "veEfFgG"))
			put_real(b, f, v->f);
		else
			put_bad_verb(b, f, v);
		return;
	case VAL_STR:
		if (is_one_of(f->verb, "vsqxX"))
			put_text(b, f, v->s, v->n);
		else
			put_bad_verb(b, f, v);
		return;
	case VAL_LIST:
	case VAL_MAP:
		buf_puts(b, v->kind == VAL_LIST ? "[" : "map[");
		for (uint32_t i = 0; i < v->n; i++) {
			if (i)
				buf_putc(b, ' ');
			if (v->kind == VAL_MAP) {
				put_text(b, f, v->keys[i], strlen(v->keys[i]));
				buf_putc(b, ':');
			}
			put_verb(b, f, v->items[i], false);
		}
		buf_putc(b, ']');
		return;
	case VAL_NULL:
		break;
	}
	if (f->verb == 'v')
		pad(b, f, "", "<nil>", 5, false);
	else
		put_bad_verb(b, f, v);
}

/* A number of the format, or of an argument for '*'; at most MAX_WIDTH. */
static int take_number(const char **p, const char *end, const struct tmpl_value *args, int n_args, int *used)
{
	int v = 0;

	if (*p < end && **p == '*') {
		(*p)++;
		if (*used < n_args && args[*used].v && args[*used].v->kind == VAL_INT)
			v = (int)MIN(MAX(args[*used].v->i, 0), MAX_WIDTH);
		(*used)++;
		return v;
	}
	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++)
		v = MIN(v * 10 + (**p - '0'), MAX_WIDTH);
	return v;
}

/* After the percent sign. */
static const char *take_verb(const char *p, const char *end, const struct tmpl_value *args, int n_args, int *used,
    struct verb *f)
{
	*f = (struct verb){.width = 0, .precision = -1};
	for (; p < end; p++) {
		if (*p == '-')
			f->minus = true;
		else if (*p == '+')
			f->plus = true;
		else if (*p == '#')
			f->sharp = true;
		else if (*p == ' ')
			f->space = true;
		else if (*p == '0')
			f->zero = true;
		else
			break;
	}
	f->width = take_number(&p, end, args, n_args, used);
	if (p < end && *p == '.') {
		p++;
		f->precision = take_number(&p, end, args, n_args, used);
	}
	f->verb = p < end ? *p++ : '\0';
	return p;
}

void gotmpl_printf(struct buf *b, const char *format, size_t n, const struct tmpl_value *args, int n_args)
{
	const char *p = format, *end = format + n;
	int used = 0;
	struct verb f;

	while (p < end) {
		if (*p != '%') {
			buf_putc(b, *p++);
			continue;
		}
		p = take_verb(p + 1, end, args, n_args, &used, &f);
		if (!f.verb)
			buf_puts(b, "%!(NOVERB)");
		else if (f.verb == '%')
			buf_putc(b, '%');
		else if (used >= n_args)
			buf_printf(b, "%%!%c(MISSING)", f.verb);
		else if (f.verb == 'T')
			put_text(b, &f, go_type(args[used].v), strlen(go_type(args[used].v))), used++;
		else
			put_verb(b, &f, args[used].v, args[used].duration), used++;
	}
	if (used >= n_args)
		return;
	buf_puts(b, "%!(EXTRA ");
	for (int i = used; i < n_args; i++) {
		buf_printf(b, "%s%s", i > used ? ", " : "", go_type(args[i].v));
		if (args[i].v && args[i].v->kind != VAL_NULL) {
			buf_putc(b, '=');
			put_inner(b, args[i].v);
		}
	}
	buf_putc(b, ')');
}
