/* Functions over strings. Lengths and positions count characters (code points), not bytes. */
#include <ctype.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include "base/hcl.h"

static struct hcl_value *text(struct hcl_call *c, const struct buf *b)
{
	if (b->full || b->len > HCL_MAX_STRING)
		return hcl_call_error(c, "the result is longer than 16 MiB");
	return hcl_string(c->h, b->len ? b->data : "", b->len);
}

static size_t rune_bytes(const char *s, size_t n)
{
	size_t i = 1;

	while (i < n && (s[i] & 0xc0) == 0x80)
		i++;
	return i;
}

static size_t runes(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i += rune_bytes(s + i, n - i))
		count++;
	return count;
}

static struct hcl_value *map_case(struct hcl_call *c, utf8proc_int32_t (*fn)(utf8proc_int32_t), bool titles)
{
	cleanup_buf struct buf out = BUF_INIT;
	const struct hcl_value *v = c->args[0];
	bool inside = false;

	buf_init(&out, HCL_MAX_STRING);
	for (size_t i = 0; i < v->n;) {
		utf8proc_int32_t rune;
		utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)v->s + i, (utf8proc_ssize_t)(v->n - i), &rune);
		utf8proc_uint8_t bytes[4];

		if (n <= 0) {
			buf_putc(&out, v->s[i++]);
			continue;
		}
		i += (size_t)n;
		if (!titles || !inside)
			rune = fn(rune);
		inside = !(rune < 0x80 && isspace(rune)) && rune != 0x85 && rune != 0xa0;
		buf_put(&out, bytes, (size_t)utf8proc_encode_char(rune, bytes));
	}
	return text(c, &out);
}

static struct hcl_value *fn_upper(struct hcl_call *c)
{
	return map_case(c, utf8proc_toupper, false);
}

static struct hcl_value *fn_lower(struct hcl_call *c)
{
	return map_case(c, utf8proc_tolower, false);
}

static struct hcl_value *fn_title(struct hcl_call *c)
{
	return map_case(c, utf8proc_totitle, true);
}

static struct hcl_value *piece(struct hcl_call *c, const char *s, size_t from, size_t to)
{
	return hcl_string(c->h, s + from, to - from);
}

static struct hcl_value *fn_chomp(struct hcl_call *c)
{
	size_t n = c->args[0]->n;

	while (n && (c->args[0]->s[n - 1] == '\n' || c->args[0]->s[n - 1] == '\r'))
		n--;
	return piece(c, c->args[0]->s, 0, n);
}

static bool in_set(const char *s, size_t n, const char *set, size_t set_n)
{
	for (size_t i = 0; i < set_n; i += rune_bytes(set + i, set_n - i))
		if (rune_bytes(set + i, set_n - i) == n && memcmp(set + i, s, n) == 0)
			return true;
	return false;
}

/* trim(s, set): the characters of the set are taken off both ends. */
static struct hcl_value *fn_trim(struct hcl_call *c)
{
	const char *s = c->args[0]->s, *set = c->args[1]->s;
	size_t from = 0, to = c->args[0]->n, set_n = c->args[1]->n;

	while (from < to && in_set(s + from, rune_bytes(s + from, to - from), set, set_n))
		from += rune_bytes(s + from, to - from);
	while (to > from) {
		size_t last = to - 1;

		while (last > from && (s[last] & 0xc0) == 0x80)
			last--;
		if (!in_set(s + last, to - last, set, set_n))
			break;
		to = last;
	}
	return piece(c, s, from, to);
}

static struct hcl_value *fn_trimspace(struct hcl_call *c)
{
	const char *s = c->args[0]->s;
	size_t from = 0, to = c->args[0]->n;

	while (from < to && isspace((unsigned char)s[from]))
		from++;
	while (to > from && isspace((unsigned char)s[to - 1]))
		to--;
	return piece(c, s, from, to);
}

static struct hcl_value *fn_trimprefix(struct hcl_call *c)
{
	size_t n = c->args[1]->n;
	bool there = c->args[0]->n >= n && memcmp(c->args[0]->s, c->args[1]->s, n) == 0;

	return piece(c, c->args[0]->s, there ? n : 0, c->args[0]->n);
}

static struct hcl_value *fn_trimsuffix(struct hcl_call *c)
{
	size_t n = c->args[1]->n, len = c->args[0]->n;
	bool there = len >= n && memcmp(c->args[0]->s + len - n, c->args[1]->s, n) == 0;

	return piece(c, c->args[0]->s, 0, there ? len - n : len);
}

static struct hcl_value *fn_strlen(struct hcl_call *c)
{
	return hcl_int(c->h, (int64_t)runes(c->args[0]->s, c->args[0]->n));
}

static struct hcl_value *fn_strrev(struct hcl_call *c)
{
	cleanup_buf struct buf out = BUF_INIT;
	const char *s = c->args[0]->s;

	for (size_t to = c->args[0]->n; to > 0;) {
		size_t from = to - 1;

		while (from > 0 && (s[from] & 0xc0) == 0x80)
			from--;
		buf_put(&out, s + from, to - from);
		to = from;
	}
	return text(c, &out);
}

/* substr(s, offset, length): a negative offset counts from the end, length -1 means the rest. */
static struct hcl_value *fn_substr(struct hcl_call *c)
{
	const char *s = c->args[0]->s;
	size_t n = c->args[0]->n, from = 0, to;
	int64_t offset, length, total = (int64_t)runes(s, n);

	if (!hcl_number_int(c->args[1], &offset) || !hcl_number_int(c->args[2], &length))
		return hcl_call_error(c, "offset and length must be whole numbers");
	if (offset < 0)
		offset = MAX(total + offset, 0);
	if (length < 0)
		length = total;
	for (; offset > 0 && from < n; offset--)
		from += rune_bytes(s + from, n - from);
	for (to = from; length > 0 && to < n; length--)
		to += rune_bytes(s + to, n - to);
	return piece(c, s, from, to);
}

static struct hcl_value *fn_indent(struct hcl_call *c)
{
	cleanup_buf struct buf out = BUF_INIT;
	int64_t n;

	if (!hcl_number_int(c->args[0], &n) || n < 0 || n > 10000)
		return hcl_call_error(c, "the number of spaces must be a whole number from 0 to 10000");
	buf_init(&out, HCL_MAX_STRING);
	for (const char *s = c->args[1]->s; *s; s++) {
		buf_putc(&out, *s);
		for (int64_t i = 0; *s == '\n' && i < n; i++)
			buf_putc(&out, ' ');
	}
	return text(c, &out);
}

static struct hcl_value *fn_join(struct hcl_call *c)
{
	cleanup_buf struct buf out = BUF_INIT;
	bool first = true;

	if (c->n < 2)
		return hcl_call_error(c, "at least one list is required");
	buf_init(&out, HCL_MAX_STRING);
	for (uint32_t i = 1; i < c->n; i++)
		for (uint32_t k = 0; k < c->args[i]->n; k++) {
			struct hcl_value *v = c->args[i]->items[k];

			v = v->kind == HCL_NULL ? NULL : hcl_to(c->h, HCL_STRING, v);
			if (!v)
				return hcl_call_error(c, "element %u of list %u is no string", k, i);
			if (!first)
				buf_put(&out, c->args[0]->s, c->args[0]->n);
			buf_put(&out, v->s, v->n);
			first = false;
		}
	return text(c, &out);
}

static struct hcl_value *fn_split(struct hcl_call *c)
{
	const char *sep = c->args[0]->s, *s = c->args[1]->s, *at;
	struct hcl_value **items = NULL, *out;
	uint32_t n = 0, cap = 0;

	for (bool more = true; more;) {
		if (n == cap)
			items = xrealloc(items, cap = cap ? 2 * cap : 16, sizeof(*items));
		if (*sep) {
			at = strstr(s, sep);
		} else { /* an empty separator takes every character for itself */
			size_t len = *s ? rune_bytes(s, strlen(s)) : 0;

			at = s[len] ? s + len : NULL;
		}
		more = at != NULL;
		items[n++] = hcl_string(c->h, s, at ? (size_t)(at - s) : strlen(s));
		s = at + strlen(sep);
	}
	out = hcl_list(c->h, HCL_LIST, items, n);
	free(items);
	return out;
}

/* Go's replacement templates: $1, ${1}, ${name}; $$ is a dollar sign. PCRE2 wants ${1}. */
static char *replacement(const char *s)
{
	struct buf b = BUF_INIT;

	while (*s) {
		if (*s == '$' && (isalnum((unsigned char)s[1]) || s[1] == '_')) {
			size_t n = strspn(s + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

			buf_printf(&b, "${%.*s}", (int)n, s + 1);
			s += n + 1;
		} else {
			if (*s == '$' && s[1] == '$')
				buf_putc(&b, *s++);
			buf_putc(&b, *s++);
		}
	}
	return buf_take(&b);
}

static struct hcl_value *regex_replace(struct hcl_call *c, const char *pattern, const char *with)
{
	PCRE2_SIZE where, n = c->args[0]->n * 2 + 1024;
	int code;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &where, NULL);

	if (!re) {
		unsigned char message[200];

		pcre2_get_error_message(code, message, sizeof(message));
		return hcl_call_error(c, "the pattern is wrong at character %zu: %s", (size_t)where, (char *)message);
	}
	pcre2_match_context *limits = pcre2_match_context_create(NULL);

	pcre2_set_match_limit(limits, 1000000);
	cleanup_free char *template = replacement(with), *out = NULL;
	int r;

	do { /* twice at most: the first try says how much room is needed */
		out = xrealloc(out, n, 1);
		r = pcre2_substitute(re, (PCRE2_SPTR)c->args[0]->s, c->args[0]->n, 0,
		    PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | PCRE2_SUBSTITUTE_UNSET_EMPTY |
		        PCRE2_SUBSTITUTE_UNKNOWN_UNSET,
		    NULL, limits, (PCRE2_SPTR)template, PCRE2_ZERO_TERMINATED, (PCRE2_UCHAR *)out, &n);
	} while (r == PCRE2_ERROR_NOMEMORY && n <= HCL_MAX_STRING);
	pcre2_match_context_free(limits);
	pcre2_code_free(re);
	if (r < 0)
		return hcl_call_error(c, "the pattern takes too long on this text, or the result is too large");
	return hcl_string(c->h, out, n);
}

static struct hcl_value *fn_regex_replace(struct hcl_call *c)
{
	return regex_replace(c, c->args[1]->s, c->args[2]->s);
}

static struct hcl_value *fn_replace(struct hcl_call *c)
{
	cleanup_buf struct buf out = BUF_INIT;
	const char *s = c->args[0]->s, *old = c->args[1]->s, *new = c->args[2]->s, *at;

	if (!*old)
		return c->args[0];
	buf_init(&out, HCL_MAX_STRING);
	while ((at = strstr(s, old))) {
		buf_put(&out, s, (size_t)(at - s));
		buf_puts(&out, new);
		s = at + strlen(old);
	}
	buf_puts(&out, s);
	return text(c, &out);
}

/* ---- format ---- */

struct spec { /* one %verb */
	bool minus, plus, space, zero, alternate;
	int width, precision;
	char verb;
};

static const char *read_spec(const char *p, struct spec *s)
{
	memset(s, 0, sizeof(*s));
	s->precision = -1;
	for (;; p++) {
		if (*p == '-')
			s->minus = true;
		else if (*p == '+')
			s->plus = true;
		else if (*p == ' ')
			s->space = true;
		else if (*p == '0')
			s->zero = true;
		else if (*p == '#')
			s->alternate = true;
		else
			break;
	}
	for (; isdigit((unsigned char)*p) && s->width < 10000; p++)
		s->width = 10 * s->width + *p - '0';
	if (*p == '.')
		for (s->precision = 0, p++; isdigit((unsigned char)*p) && s->precision < 10000; p++)
			s->precision = 10 * s->precision + *p - '0';
	s->verb = *p;
	return *p ? p + 1 : p;
}

static void pad(struct buf *out, const struct spec *s, const char *body, size_t n)
{
	int64_t missing = s->width - (int64_t)runes(body, n);

	if (s->zero && !s->minus && n && (*body == '-' || *body == '+')) {
		buf_putc(out, *body++);
		n--;
	}
	for (int64_t i = 0; !s->minus && i < missing; i++)
		buf_putc(out, s->zero ? '0' : ' ');
	buf_put(out, body, n);
	for (int64_t i = 0; s->minus && i < missing; i++)
		buf_putc(out, ' ');
}

static void put_integer(struct buf *body, const struct spec *s, int64_t i)
{
	uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i;
	char digits[80];
	size_t n = 0;
	unsigned base = s->verb == 'b' ? 2 : s->verb == 'o' ? 8 : s->verb == 'd' ? 10 : 16;

	do {
		digits[n++] = (s->verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
	} while (u /= base);
	if (i < 0 || s->plus || s->space)
		buf_putc(body, i < 0 ? '-' : s->plus ? '+' : ' ');
	if (s->alternate && base == 16)
		buf_printf(body, "0%c", s->verb);
	while (n)
		buf_putc(body, digits[--n]);
}

static bool put_number(struct hcl_call *c, struct buf *body, const struct spec *s, struct hcl_value *v)
{
	char how[16];
	int64_t i;

	v = v->kind == HCL_NULL ? NULL : hcl_to(c->h, HCL_NUMBER, v);
	if (!v) {
		hcl_call_error(c, "unsupported value for \"%%%c\": a number is required", s->verb);
		return false;
	}
	if (strchr("dboxX", s->verb)) {
		if (hcl_number_int(v, &i))
			put_integer(body, s, i);
		else
			buf_puts(body, hcl_number_text(c->h, hcl_round(c->h, hcl_compare(v, hcl_int(c->h, 0)) < 0 ? 'c' : 'f', v)));
		return true;
	}
	snprintf(how, sizeof(how), "%%%s.*%c", s->plus ? "+" : s->space ? " " : "", s->verb);
	double d = hcl_number_double(v);

	if (s->precision < 0 && (s->verb == 'g' || s->verb == 'G')) {
		for (int digits = 1; digits <= 17; digits++) {
			char try[64];

			snprintf(try, sizeof(try), how, digits, d);
			if (strtod(try, NULL) == d || digits == 17) {
				buf_puts(body, try);
				return true;
			}
		}
	}
	buf_printf(body, how, s->precision < 0 ? 6 : s->precision, d);
	return true;
}

static bool put_verb(struct hcl_call *c, struct buf *out, const struct spec *s, struct hcl_value *v)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct hcl_value *t;

	switch (s->verb) {
	case 'v':
		if (v->kind == HCL_STRING && !s->alternate)
			buf_put(&body, v->s, v->n);
		else
			hcl_put_json(c->h, &body, v);
		break;
	case 's':
	case 'q':
		t = v->kind == HCL_NULL ? NULL : hcl_to(c->h, HCL_STRING, v);
		if (!t) {
			hcl_call_error(c, "unsupported value for \"%%%c\": string required", s->verb);
			return false;
		}
		if (s->verb == 'q') {
			hcl_put_json(c->h, &body, t);
		} else {
			size_t n = 0;

			for (int left = s->precision; n < t->n && left != 0; left--)
				n += rune_bytes(t->s + n, t->n - n);
			buf_put(&body, t->s, n);
		}
		break;
	case 't':
		t = v->kind == HCL_NULL ? NULL : hcl_to(c->h, HCL_BOOL, v);
		if (!t) {
			hcl_call_error(c, "unsupported value for \"%%t\": bool required");
			return false;
		}
		buf_puts(&body, t->b ? "true" : "false");
		break;
	default:
		if (!s->verb || !strchr("dboxXeEfFgG", s->verb)) {
			hcl_call_error(c, "unsupported format verb '%c'", s->verb ? s->verb : '%');
			return false;
		}
		if (!put_number(c, &body, s, v))
			return false;
	}
	pad(out, s, body.len ? body.data : "", body.len);
	return true;
}

static struct hcl_value *format(struct hcl_call *c, struct hcl_value **args, uint32_t n)
{
	cleanup_buf struct buf out = BUF_INIT;
	uint32_t next = 0;

	buf_init(&out, HCL_MAX_STRING);
	for (const char *p = c->args[0]->s; *p;) {
		struct spec s;

		if (*p != '%') {
			buf_putc(&out, *p++);
			continue;
		}
		if (p[1] == '%') {
			buf_putc(&out, '%');
			p += 2;
			continue;
		}
		p = read_spec(p + 1, &s);
		if (next >= n)
			return hcl_call_error(c, "not enough arguments for \"%%%c\"", s.verb ? s.verb : '?');
		if (!put_verb(c, &out, &s, args[next++]))
			return NULL;
	}
	if (next < n)
		return hcl_call_error(c, "too many arguments; only %u used by format string", next);
	return text(c, &out);
}

static struct hcl_value *fn_format(struct hcl_call *c)
{
	return format(c, c->args + 1, c->n - 1);
}

static struct hcl_value *fn_formatlist(struct hcl_call *c)
{
	uint32_t length = 1;
	bool lists = false;

	for (uint32_t i = 1; i < c->n; i++)
		if (c->args[i]->kind == HCL_LIST || c->args[i]->kind == HCL_SET) {
			if (lists && c->args[i]->n != length)
				return hcl_call_error(c, "argument %u has length %u, inconsistent with earlier length %u", i + 1, c->args[i]->n, length);
			length = c->args[i]->n;
			lists = true;
		}
	struct hcl_value **out = arena_alloc(c->h->arena, (length + 1) * sizeof(*out));
	struct hcl_value **args = arena_alloc(c->h->arena, c->n * sizeof(*args));

	for (uint32_t row = 0; row < length; row++) {
		for (uint32_t i = 1; i < c->n; i++) {
			bool list = c->args[i]->kind == HCL_LIST || c->args[i]->kind == HCL_SET;

			args[i - 1] = list ? c->args[i]->items[row] : c->args[i];
		}
		out[row] = format(c, args, c->n - 1);
		if (!out[row] || hcl_over_budget(c->h, c->at))
			return NULL;
	}
	return hcl_list(c->h, HCL_LIST, out, length);
}

const struct hcl_func hcl_funcs_string[] = {
    {"chomp", "s", fn_chomp},
    {"format", "sa*", fn_format},
    {"formatlist", "sa*", fn_formatlist},
    {"indent", "ns", fn_indent},
    {"join", "sl*", fn_join},
    {"lower", "s", fn_lower},
    {"regex_replace", "sss", fn_regex_replace},
    {"replace", "sss", fn_replace},
    {"split", "ss", fn_split},
    {"strlen", "s", fn_strlen},
    {"strrev", "s", fn_strrev},
    {"substr", "snn", fn_substr},
    {"title", "s", fn_title},
    {"trim", "ss", fn_trim},
    {"trimprefix", "ss", fn_trimprefix},
    {"trimspace", "s", fn_trimspace},
    {"trimsuffix", "ss", fn_trimsuffix},
    {"upper", "s", fn_upper},
    {NULL, NULL, NULL},
};
