/* Functions over strings. Lengths and positions count characters as people see them (grapheme clusters), not bytes. */
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

/* Reads one code point; a byte that begins none stands for itself. Returns its bytes. */
static size_t read_rune(const char *s, size_t n, utf8proc_int32_t *rune)
{
	utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, rune);

	if (bytes > 0)
		return (size_t)bytes;
	*rune = (unsigned char)*s;
	return 1;
}

size_t hcl_grapheme(const char *s, size_t n)
{
	utf8proc_int32_t state = 0, rune, next;
	size_t at = read_rune(s, n, &rune);

	while (at < n) {
		size_t bytes = read_rune(s + at, n - at, &next);

		if (utf8proc_grapheme_break_stateful(rune, next, &state))
			break;
		at += bytes;
		rune = next;
	}
	return at;
}

size_t hcl_graphemes(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i += hcl_grapheme(s + i, n - i))
		count++;
	return count;
}

static bool is_blank(utf8proc_int32_t rune)
{
	if (rune < 0x80)
		return isspace(rune);
	return rune == 0x85 || rune == 0xa0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 || rune == 0x2029 ||
	       rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

/* Does a word end before the character after this one? */
static bool ends_word(utf8proc_int32_t rune)
{
	utf8proc_category_t k = utf8proc_category(rune);

	if (rune < 0x80)
		return !isalnum(rune) && rune != '_';
	if ((k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || k == UTF8PROC_CATEGORY_ND)
		return false;
	return is_blank(rune);
}

static utf8proc_int32_t to_upper(utf8proc_int32_t rune)
{
	return rune == 0xdf ? rune : utf8proc_toupper(rune); /* a sharp s has no capital of one letter */
}

static struct hcl_value *map_case(struct hcl_call *c, utf8proc_int32_t (*fn)(utf8proc_int32_t), bool titles)
{
	cleanup_buf struct buf out = BUF_INIT;
	const struct hcl_value *v = c->args[0];
	bool inside = false;

	buf_init(&out, HCL_MAX_STRING);
	for (size_t i = 0; i < v->n;) {
		utf8proc_int32_t rune;
		utf8proc_uint8_t bytes[4];
		size_t n = read_rune(v->s + i, v->n - i, &rune);

		if (n == 1 && (v->s[i] & 0x80)) {
			buf_putc(&out, v->s[i++]);
			continue;
		}
		i += n;
		bool word = !ends_word(rune);

		if (!titles || !inside)
			rune = fn(rune);
		inside = word;
		buf_put(&out, bytes, (size_t)utf8proc_encode_char(rune, bytes));
	}
	return text(c, &out);
}

static struct hcl_value *fn_upper(struct hcl_call *c)
{
	return map_case(c, to_upper, false);
}

static struct hcl_value *fn_lower(struct hcl_call *c)
{
	return map_case(c, utf8proc_tolower, false);
}

static struct hcl_value *fn_title(struct hcl_call *c)
{
	return map_case(c, to_upper, true);
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

/* trim(s, set): the characters of the set are taken off both ends. */
static struct hcl_value *fn_trim(struct hcl_call *c)
{
	enum { CHARACTERS = 0x110000 };
	cleanup_free unsigned char *set = xcalloc(CHARACTERS / 8, 1);
	const char *s = c->args[0]->s, *members = c->args[1]->s;
	size_t from = 0, to = c->args[0]->n, last;
	utf8proc_int32_t r;

	for (size_t i = 0; i < c->args[1]->n; set[r / 8] |= (unsigned char)(1 << r % 8))
		i += read_rune(members + i, c->args[1]->n - i, &r);
	for (size_t n; from < to && (n = read_rune(s + from, to - from, &r), set[r / 8] >> r % 8 & 1);)
		from += n;
	for (; to > from; to = last) {
		for (last = to - 1; last > from && (s[last] & 0xc0) == 0x80;)
			last--;
		read_rune(s + last, to - last, &r);
		if (!(set[r / 8] >> r % 8 & 1))
			break;
	}
	return piece(c, s, from, to);
}

static struct hcl_value *fn_trimspace(struct hcl_call *c)
{
	const char *s = c->args[0]->s;
	size_t from = 0, to = c->args[0]->n, at;
	utf8proc_int32_t rune;

	for (size_t n; from < to && (n = read_rune(s + from, to - from, &rune), is_blank(rune));)
		from += n;
	for (; to > from; to = at) {
		for (at = to - 1; at > from && (s[at] & 0xc0) == 0x80;)
			at--;
		read_rune(s + at, to - at, &rune);
		if (!is_blank(rune))
			break;
	}
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
	return hcl_int(c->h, (int64_t)hcl_graphemes(c->args[0]->s, c->args[0]->n));
}

struct hcl_value *hcl_reverse_string(struct hcl_call *c)
{
	size_t n = c->args[0]->n, to = n;
	char *out = arena_alloc(c->h->arena, n + 1);

	for (size_t from = 0, bytes; from < n; from += bytes) {
		bytes = hcl_grapheme(c->args[0]->s + from, n - from);
		to -= bytes;
		memcpy(out + to, c->args[0]->s + from, bytes);
	}
	return hcl_string(c->h, out, n);
}

/* substr(s, offset, length): a negative offset counts from the end, length -1 means the rest. */
static struct hcl_value *fn_substr(struct hcl_call *c)
{
	const char *s = c->args[0]->s;
	size_t n = c->args[0]->n, from = 0, to;
	int64_t offset, length;

	if (!hcl_number_int(c->args[1], &offset) || !hcl_number_int(c->args[2], &length))
		return hcl_call_error(c, "offset and length must be whole numbers");
	if (offset >= 0 && length == 0)
		return piece(c, s, 0, 0);
	if (offset < 0) {
		offset += (int64_t)hcl_graphemes(s, n);
		length = length ? length : -1; /* as the language has it: no length from the end means all of it */
	}
	for (; offset > 0 && from < n; offset--)
		from += hcl_grapheme(s + from, n - from);
	if (length < 0)
		return piece(c, s, from, n);
	for (to = from; length > 0 && to < n; length--)
		to += hcl_grapheme(s + to, n - to);
	return piece(c, s, from, to);
}

static struct hcl_value *fn_indent(struct hcl_call *c)
{
	cleanup_buf struct buf out = BUF_INIT;
	int64_t n;

	if (!hcl_number_int(c->args[0], &n) || n < 0 || n > 10000)
		return hcl_call_error(c, "the number of spaces must be a whole number from 0 to 10000");
	buf_init(&out, HCL_MAX_STRING);
	for (const char *s = c->args[1]->s; *s && !out.full; s++) {
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

			if (v->kind == HCL_NULL)
				return hcl_call_error(c, "element %u of list %u is null", k, i);
			if (!first)
				buf_put(&out, c->args[0]->s, c->args[0]->n);
			buf_put(&out, v->s, v->n);
			first = false;
		}
	return text(c, &out);
}

static struct hcl_value *fn_split(struct hcl_call *c)
{
	const char *sep = c->args[0]->s, *s = c->args[1]->s, *end = s + c->args[1]->n, *at;
	size_t sep_n = c->args[0]->n;
	struct hcl_value **items = NULL, *out;
	uint32_t n = 0, cap = 0;

	for (bool more = *s || sep_n; more && !hcl_over_budget(c->h, c->at);) {
		if (n == cap)
			items = xrealloc(items, cap = cap ? 2 * cap : 16, sizeof(*items));
		if (sep_n) {
			at = memmem(s, (size_t)(end - s), sep, sep_n);
		} else { /* an empty separator takes every character for itself */
			at = s + rune_bytes(s, (size_t)(end - s));
			at = at < end ? at : NULL;
		}
		more = at != NULL;
		items[n++] = hcl_string(c->h, s, (size_t)((at ? at : end) - s));
		s = at ? at + sep_n : end;
	}
	out = hcl_list(c->h, &hcl_type_string, items, n);
	free(items);
	return c->h->exhausted ? NULL : out;
}

/* Puts a replacement: $1, $name and ${name} stand for groups, $$ for a dollar sign; groups there are not are empty. */
static void put_replacement(struct buf *out, const char *with, const pcre2_code *re, pcre2_match_data *m, const char *subject)
{
	const PCRE2_SIZE *spans = pcre2_get_ovector_pointer(m);
	uint32_t groups = pcre2_get_ovector_count(m);

	for (const char *p = with; *p;) {
		const char *name = p + 1;
		bool brace = *p == '$' && *name == '{';
		size_t n = strspn(name += brace, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
		char group[64];
		long number;

		if (*p != '$' || !n || n >= sizeof(group) || (brace && name[n] != '}')) {
			p += *p == '$' && p[1] == '$';
			buf_putc(out, *p++);
			continue;
		}
		memcpy(group, name, n);
		group[n] = 0;
		number = strspn(group, "0123456789") == n ? strtol(group, NULL, 10)
							  : pcre2_substring_number_from_name(re, (PCRE2_SPTR)group);
		if (number >= 0 && number < groups && spans[2 * number] != PCRE2_UNSET)
			buf_put(out, subject + spans[2 * number], spans[2 * number + 1] - spans[2 * number]);
		p = name + n + brace;
	}
}

struct search {
	struct hcl_call *c;
	const pcre2_code *re;
	pcre2_match_data *m;
	pcre2_match_context *limits;
	const char *with;
	struct buf out;
};

/* All matches, from left to right; an empty match right after another does not count. False: it takes too long. */
static bool replace_all(struct search *f, const char *s, size_t n)
{
	enum { BYTES = 1024 /* to look through for a match: worth a step */ };
	const PCRE2_SIZE *spans = pcre2_get_ovector_pointer(f->m);
	size_t done = 0;

	for (size_t at = 0; at <= n && !f->out.full;) {
		if (hcl_work(f->c->h, f->c->at, (n - at) / BYTES))
			return false;
		int r = pcre2_match(f->re, (PCRE2_SPTR)s, n, at, at ? PCRE2_NO_UTF_CHECK : 0, f->m, f->limits);

		if (r == PCRE2_ERROR_NOMATCH)
			break;
		if (r < 0)
			return false;
		buf_put(&f->out, s + done, spans[0] - done);
		if (spans[1] > done || spans[0] == 0)
			put_replacement(&f->out, f->with, f->re, f->m, s);
		done = spans[1];
		at = MAX(at + (at < n ? rune_bytes(s + at, n - at) : 1), done);
	}
	buf_put(&f->out, s + done, n - done);
	return true;
}

static struct hcl_value *replaced(struct hcl_call *c, const pcre2_code *re, const char *with)
{
	struct search f = {c, re, pcre2_match_data_create_from_pattern(re, NULL), pcre2_match_context_create(NULL), with, BUF_INIT};

	pcre2_set_match_limit(f.limits, 1000000);
	buf_init(&f.out, HCL_MAX_STRING);
	bool ok = replace_all(&f, c->args[0]->s, c->args[0]->n);
	struct hcl_value *v = ok		    ? text(c, &f.out)
			      : c->h->exhausted ? NULL
						: hcl_call_error(c, "the pattern takes too long on this text");

	pcre2_match_data_free(f.m);
	pcre2_match_context_free(f.limits);
	buf_free(&f.out);
	return v;
}

static struct hcl_value *regex_replace(struct hcl_call *c, const char *pattern, const char *with)
{
	enum { LONGEST = 64 << 10 };
	PCRE2_SIZE where;
	int code;

	if (strlen(pattern) > LONGEST)
		return hcl_call_error(c, "the pattern is longer than %d bytes", LONGEST);
	pcre2_code *re =
	    pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &code, &where, NULL);

	if (!re) {
		unsigned char message[200];

		pcre2_get_error_message(code, message, sizeof(message));
		return hcl_call_error(c, "the pattern is wrong at character %zu: %s", (size_t)where, (char *)message);
	}
	struct hcl_value *v = replaced(c, re, with);

	pcre2_code_free(re);
	return v;
}

static struct hcl_value *fn_regex_replace(struct hcl_call *c)
{
	return regex_replace(c, c->args[1]->s, c->args[2]->s);
}

static struct hcl_value *fn_replace(struct hcl_call *c)
{
	cleanup_buf struct buf out = BUF_INIT;
	const char *s = c->args[0]->s, *end = s + c->args[0]->n, *at;
	const struct hcl_value *old = c->args[1], *new = c->args[2];

	buf_init(&out, HCL_MAX_STRING);
	if (!old->n) { /* stands before every character and at the end */
		for (size_t n; s < end; s += n) {
			n = rune_bytes(s, (size_t)(end - s));
			buf_put(&out, new->s, new->n);
			buf_put(&out, s, n);
		}
		buf_put(&out, new->s, new->n);
		return text(c, &out);
	}
	while (!out.full && (at = memmem(s, (size_t)(end - s), old->s, old->n))) {
		buf_put(&out, s, (size_t)(at - s));
		buf_put(&out, new->s, new->n);
		s = at + old->n;
	}
	buf_put(&out, s, (size_t)(end - s));
	return text(c, &out);
}

const struct hcl_func hcl_funcs_string[] = {
    {"chomp", "s", fn_chomp},
    {"indent", "ns", fn_indent},
    {"join", "sL*", fn_join},
    {"lower", "s", fn_lower},
    {"regex_replace", "sss", fn_regex_replace},
    {"replace", "sss", fn_replace},
    {"split", "ss", fn_split},
    {"strlen", "s", fn_strlen},
    {"strrev", "s", hcl_reverse_string},
    {"substr", "snn", fn_substr},
    {"title", "s", fn_title},
    {"trim", "ss", fn_trim},
    {"trimprefix", "ss", fn_trimprefix},
    {"trimspace", "s", fn_trimspace},
    {"trimsuffix", "ss", fn_trimsuffix},
    {"upper", "s", fn_upper},
    {NULL, NULL, NULL},
};
