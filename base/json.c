/* json: writers of JSON text, and the reader around jansson. Holds no state but where jansson's memory comes from. */
#include "base/json.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>

/* What a byte needs: 0 nothing, 1 an escape, 2 a look at the UTF-8 sequence that it begins. */
static uint8_t need(uint8_t c, bool html)
{
	if (c >= 0x80)
		return 2;
	return c < 0x20 || c == '"' || c == '\\' || (html && (c == '<' || c == '>' || c == '&'));
}

/* Length of the valid UTF-8 sequence at s, 0 when there is none. */
static size_t utf8_len(const uint8_t *s, size_t n)
{
	size_t len = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and what lies past U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void put_escape(struct buf *b, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
	case '\\':
		buf_put(b, (char[]){'\\', (char)c}, 2);
		break;
	case '\n':
		buf_put(b, "\\n", 2);
		break;
	case '\r':
		buf_put(b, "\\r", 2);
		break;
	case '\t':
		buf_put(b, "\\t", 2);
		break;
	default:
		buf_put(b, out, sizeof(out));
	}
}

static void put_string(struct buf *b, const char *s, size_t n, bool html)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t from = 0, i = 0;

	buf_putc(b, '"');
	while (i < n) {
		uint8_t what = need(p[i], html);
		size_t len;

		if (!what) {
			i++;
			continue;
		}
		len = what == 2 ? utf8_len(p + i, n - i) : 0;
		/* U+2028 and U+2029 end a line in JavaScript; Go escapes them. */
		if (len && !(len == 3 && memcmp(p + i, "\xe2\x80", 2) == 0 &&
			       (p[i + 2] == 0xa8 || p[i + 2] == 0xa9))) {
			i += len;
			continue;
		}
		if (i > from)
			buf_put(b, s + from, i - from);
		if (len)
			buf_puts(b, p[i + 2] == 0xa8 ? "\\u2028" : "\\u2029");
		else if (what == 2)
			buf_puts(b, "\\ufffd");
		else
			put_escape(b, p[i]);
		i += len ? len : 1;
		from = i;
	}
	if (n > from)
		buf_put(b, s + from, n - from);
	buf_putc(b, '"');
}

void json_put_string(struct buf *b, const char *s, size_t n)
{
	put_string(b, s, n, false);
}

void json_put_string_html(struct buf *b, const char *s, size_t n)
{
	put_string(b, s, n, true);
}

void json_put_str(struct buf *b, const char *s)
{
	json_put_string(b, s, s ? strlen(s) : 0);
}

void json_put_int(struct buf *b, int64_t v)
{
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char out[24], *p = out + sizeof(out);

	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	buf_put(b, p, (size_t)(out + sizeof(out) - p));
}

/* "1.25e+16" in full: its digits, and zeros as far as the exponent goes. */
static void put_padded(struct buf *b, const char *text, const char *exp)
{
	const char *point = memchr(text, '.', (size_t)(exp - text));
	size_t after = point ? (size_t)(exp - point) - 1 : 0;

	buf_put(b, text, (size_t)((point ? point : exp) - text));
	if (point)
		buf_put(b, point + 1, after);
	for (size_t zeros = strtoul(exp + 1, NULL, 10) - after; zeros; zeros--)
		buf_putc(b, '0');
}

void json_put_double(struct buf *b, double v)
{
	char out[64];
	double size = fabs(v);

	/* JSON has no words for these. */
	if (!isfinite(v)) {
		buf_puts(b, "null");
		return;
	}
	if (v == rint(v) && size < 1e15) {
		json_put_int(b, (int64_t)v);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, sizeof(out), "%.*g", digits, v);
		if (strtod(out, NULL) == v)
			break;
	}
	char *exp = strchr(out, 'e');
	/* Go switches to exponents below 1e-6 and from 1e21 on; printf does below 1e-4 and at 1e15. */
	if (exp && size >= 1e-6 && size < 1) {
		int places = (int)(exp - out) - (strchr(out, '.') ? 2 : 1) - (v < 0);

		snprintf(out, sizeof(out), "%.*f", places - atoi(exp + 1), v);
	} else if (exp && size < 1e21 && size >= 1) {
		put_padded(b, out, exp);
		return;
	} else if (exp && exp[2] == '0') {
		memmove(exp + 2, exp + 3, strlen(exp + 3) + 1);
	}
	buf_puts(b, out);
}

void json_put_bool(struct buf *b, bool v)
{
	buf_put(b, v ? "true" : "false", v ? 4 : 5);
}

void json_put_break(struct buf *b, int indent, int depth)
{
	size_t n;
	char *to;

	if (!indent)
		return;
	n = (size_t)indent * (size_t)depth;
	to = b->full ? NULL : buf_room(b, n + 1);
	if (!to)
		return;
	to[0] = '\n';
	memset(to + 1, ' ', n);
	to[n + 1] = 0;
	b->len += n + 1;
}

void json_put_sep(struct buf *b, bool *first, int indent, int depth)
{
	if (!*first)
		buf_putc(b, ',');
	*first = false;
	json_put_break(b, indent, depth);
}

void json_put_key(struct buf *b, const char *key, bool *first, int indent, int depth)
{
	json_put_sep(b, first, indent, depth);
	json_put_str(b, key);
	buf_put(b, ": ", indent ? 2 : 1);
}

void json_put_end(struct buf *b, char bracket, bool empty, int indent, int depth)
{
	if (!empty)
		json_put_break(b, indent, depth);
	buf_putc(b, bracket);
}

/* Does no int64 hold these digits? They have no needless zeros before them. */
static bool is_large(const char *digits, size_t n, bool negative)
{
	static const char most[] = "9223372036854775807", least[] = "9223372036854775808";

	return n >= sizeof(most) || (n == sizeof(most) - 1 && memcmp(digits, negative ? least : most, n) > 0);
}

/* The text with "e0" behind each whole number that is too large. */
static void widen(struct buf *out, const char *text, size_t n)
{
	bool quoted = false;

	for (size_t i = 0, k; i < n; i = k) {
		for (k = i; k < n && isdigit((unsigned char)text[k]);)
			k++;
		bool whole = k > i && !quoted && (k == n || !strchr(".eE", text[k])) && (!i || !strchr(".eE+", text[i - 1]));
		bool large = whole && is_large(text + i, k - i, i && text[i - 1] == '-');

		if (k == i) {
			quoted ^= text[i] == '"';
			k += 1 + (quoted && text[i] == '\\' && i + 1 < n);
		}
		buf_put(out, text + i, k - i);
		if (large)
			buf_puts(out, "e0");
	}
}

json_t *json_read(const char *text, size_t n, size_t flags, json_error_t *error)
{
	cleanup_buf struct buf wide = BUF_INIT;
	json_t *j = json_loadb(text, n, flags, error);

	if (j || json_error_code(error) != json_error_numeric_overflow)
		return j;
	widen(&wide, text, n);
	return json_loadb(wide.data, wide.len, flags, error);
}

/* ---- jansson's memory ---- */

static _Thread_local struct arena *reading; /* NULL: the heap */

static void *take(size_t n)
{
	return reading ? arena_take(reading, n) : malloc(n);
}

static void drop(void *p)
{
	if (!reading)
		free(p);
}

static void set_memory(void)
{
	json_set_alloc_funcs(take, drop);
}

json_t *json_read_into(struct arena *a, const char *text, size_t n, size_t flags, json_error_t *error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	json_t *j;

	pthread_once(&once, set_memory);
	reading = a;
	j = json_read(text, n, flags, error);
	reading = NULL;
	return j;
}
