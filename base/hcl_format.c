/*
 * format and formatlist: Go's printf verbs over values. %v prints a string or number as it is and everything else as JSON,
 * %#v always JSON; %[n] takes the nth argument.
 */
#include <ctype.h>

#include "base/hcl.h"

enum { MAX_WIDTH = 10000 };

struct verb { /* one %... */
	const char *raw;
	uint32_t n; /* bytes of raw */
	bool minus, plus, space, zero, sharp;
	int width, precision, arg; /* -1: not given */
	char mode;
};

static const char *read_number(const char *p, int *out)
{
	for (*out = 0; isdigit((unsigned char)*p); p++)
		*out = MIN(10 * *out + *p - '0', MAX_WIDTH);
	return p;
}

/* At the % sign; NULL when the sequence is no verb. */
static const char *read_verb(const char *p, struct verb *v)
{
	*v = (struct verb){.raw = p, .width = -1, .precision = -1, .arg = -1};
	for (p++;; p++) {
		if (*p == '-')
			v->minus = true;
		else if (*p == '+')
			v->plus = true;
		else if (*p == ' ')
			v->space = true;
		else if (*p == '0')
			v->zero = true;
		else if (*p == '#')
			v->sharp = true;
		else
			break;
	}
	if (isdigit((unsigned char)*p))
		p = read_number(p, &v->width);
	if (*p == '.') {
		if (!isdigit((unsigned char)p[1]))
			return NULL;
		p = read_number(p + 1, &v->precision);
	}
	if (*p == '[') {
		if (!isdigit((unsigned char)p[1]))
			return NULL;
		p = read_number(p + 1, &v->arg);
		if (*p++ != ']' || !v->arg)
			return NULL;
	}
	if (!isalpha((unsigned char)*p))
		return NULL;
	v->mode = *p++;
	v->n = (uint32_t)(p - v->raw);
	return p;
}

/* Pads to the width; sign goes before zeros. */
static void put_padded(struct buf *out, const struct verb *v, const char *sign, const char *body, size_t n)
{
	size_t have = hcl_graphemes(body, n) + strlen(sign), missing = v->width > 0 && (size_t)v->width > have ? (size_t)v->width - have : 0;

	if (!v->minus && !v->zero)
		for (size_t i = 0; i < missing; i++)
			buf_putc(out, ' ');
	buf_puts(out, sign);
	if (!v->minus && v->zero)
		for (size_t i = 0; i < missing; i++)
			buf_putc(out, '0');
	buf_put(out, body, n);
	if (v->minus)
		for (size_t i = 0; i < missing; i++)
			buf_putc(out, ' ');
}

static bool unsupported(struct hcl_call *c, const struct verb *v, const char *why)
{
	hcl_call_error(c, "unsupported value for \"%.*s\": %s", (int)v->n, v->raw, why);
	return false;
}

static bool put_number(struct hcl_call *c, struct buf *out, const struct verb *v, struct hcl_value *arg)
{
	struct hcl_value *number = hcl_to(c->h, HCL_NUMBER, arg);
	int base = v->mode == 'b' ? 2 : v->mode == 'o' ? 8 : v->mode == 'd' ? 10 : (v->mode | 32) == 'x' ? 16 : 0;
	const char *body;

	if (!number)
		return unsupported(c, v, "a number is required");
	const char *sign = hcl_number_is_negative(number) ? "-" : v->plus ? "+" : v->space ? " " : "";

	if (!base) {
		int precision = v->precision < 0 && (v->mode | 32) != 'g' ? 6 : v->precision;

		body = hcl_number_format(c->h, number, v->mode, precision);
	} else {
		const char *prefix = !v->sharp ? "" : v->mode == 'b' ? "0b" : v->mode == 'o' ? "0" : v->mode == 'x' ? "0x" : v->mode == 'X' ? "0X" : "";

		body = hcl_number_digits(c->h, number, base);
		if (!body)
			return unsupported(c, v, "an integer is required");
		int missing = MAX(v->precision - (int)strlen(body), 0); /* precision: the least number of digits */
		char *digits = arena_alloc(c->h->arena, strlen(prefix) + (size_t)missing + strlen(body) + 1);

		memcpy(digits, prefix, strlen(prefix));
		memset(digits + strlen(prefix), '0', (size_t)missing);
		memcpy(digits + strlen(prefix) + missing, body, strlen(body));
		for (char *p = digits; v->mode == 'X' && *p; p++)
			*p = (char)toupper((unsigned char)*p);
		body = digits;
	}
	put_padded(out, v, sign, body, strlen(body));
	return true;
}

static bool put_string(struct hcl_call *c, struct buf *out, const struct verb *v, struct hcl_value *arg)
{
	cleanup_buf struct buf quoted = BUF_INIT;
	struct hcl_value *s = hcl_to(c->h, HCL_STRING, arg);
	size_t n = 0;

	if (!s)
		return unsupported(c, v, "string required");
	for (int left = v->precision; left > 0 && n < s->n; left--)
		n += hcl_grapheme(s->s + n, s->n - n);
	if (v->precision <= 0)
		n = s->n;
	if (v->mode == 's') {
		put_padded(out, v, "", s->s, n);
		return true;
	}
	hcl_put_json(c->h, &quoted, hcl_string(c->h, s->s, n));
	put_padded(out, v, "", quoted.data, quoted.len);
	return true;
}

static bool put_as_is(struct hcl_call *c, struct buf *out, const struct verb *v, struct hcl_value *arg)
{
	cleanup_buf struct buf json = BUF_INIT;

	if (!v->sharp && arg->kind == HCL_STRING) {
		put_padded(out, v, "", arg->s, arg->n);
		return true;
	}
	if (!v->sharp && arg->kind == HCL_NUMBER)
		buf_printf(&json, "%s%s", hcl_number_is_negative(arg) ? "-" : "", hcl_number_format(c->h, arg, 'g', -1));
	else
		hcl_put_json(c->h, &json, arg);
	put_padded(out, v, "", json.data, json.len);
	return true;
}

static bool put_verb(struct hcl_call *c, struct buf *out, const struct verb *v, struct hcl_value *arg)
{
	struct hcl_value *b;

	if (!strchr("vtbdoxXeEfgGsq", v->mode)) {
		hcl_call_error(c, "unsupported format verb '%c' in \"%.*s\"", v->mode, (int)v->n, v->raw);
		return false;
	}
	if (v->mode == 'v')
		return put_as_is(c, out, v, arg);
	if (arg->kind == HCL_NULL)
		return unsupported(c, v, "null value cannot be formatted");
	switch (v->mode) {
	case 's':
	case 'q':
		return put_string(c, out, v, arg);
	case 't':
		b = hcl_to(c->h, HCL_BOOL, arg);
		if (!b)
			return unsupported(c, v, "a bool is required");
		buf_puts(out, b->b ? "true" : "false");
		return true;
	default:
		return put_number(c, out, v, arg);
	}
}

static struct hcl_value *format(struct hcl_call *c, struct hcl_value **args, uint32_t n)
{
	cleanup_buf struct buf out = BUF_INIT;
	uint32_t next = 1, highest = 0; /* arguments count from one */

	buf_init(&out, HCL_MAX_STRING);
	for (const char *p = c->args[0]->s; *p;) {
		struct verb v;

		if (*p != '%' || p[1] == '%') {
			buf_putc(&out, *p);
			p += *p == '%' ? 2 : 1;
			continue;
		}
		const char *at = p;

		p = read_verb(p, &v);
		if (!p)
			return hcl_call_error(c, "the %% at offset %u begins no verb", (uint32_t)(at - c->args[0]->s));
		if (v.arg > 0)
			next = (uint32_t)v.arg;
		if (next > n)
			return hcl_call_error(c, "\"%.*s\" wants argument %u, and there are %u", (int)v.n, v.raw, next, n);
		if (!put_verb(c, &out, &v, args[next - 1]))
			return NULL;
		highest = MAX(highest, next);
		next++;
	}
	if (highest < n)
		return hcl_call_error(c, "the text uses %u arguments, and there are more", highest);
	if (out.full)
		return hcl_call_error(c, "the result is longer than 16 MiB");
	return hcl_string(c->h, out.len ? out.data : "", out.len);
}

static struct hcl_value *fn_format(struct hcl_call *c)
{
	return format(c, c->args + 1, c->n - 1);
}

/* One string for each element of the lists among the arguments; other arguments repeat. */
static struct hcl_value *fn_formatlist(struct hcl_call *c)
{
	uint32_t length = 1;
	bool lists = false;

	for (uint32_t i = 1; i < c->n; i++)
		if (hcl_is_sequence(c->args[i])) {
			if (lists && c->args[i]->n != length)
				return hcl_call_error(c, "argument %u has %u elements, and an earlier one %u", i, c->args[i]->n, length);
			length = c->args[i]->n;
			lists = true;
		}
	struct hcl_value **out = arena_alloc(c->h->arena, (length + 1) * sizeof(*out));
	struct hcl_value **args = arena_alloc(c->h->arena, c->n * sizeof(*args));

	for (uint32_t row = 0; row < length; row++) {
		for (uint32_t i = 1; i < c->n; i++)
			args[i - 1] = hcl_is_sequence(c->args[i]) ? c->args[i]->items[row] : c->args[i];
		out[row] = format(c, args, c->n - 1);
		if (!out[row] || hcl_over_budget(c->h, c->at))
			return NULL;
	}
	return hcl_list(c->h, &hcl_type_string, out, length);
}

const struct hcl_func hcl_funcs_format[] = {
    {"format", "sA*", fn_format},
    {"formatlist", "sA*", fn_formatlist},
    {NULL, NULL, NULL},
};
