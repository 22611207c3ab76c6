/* version: parsing, ordering, and lists of conditions. Nothing is allocated. */
#include "sched/version.h"

#include <ctype.h>
#include <errno.h>

static bool is_pre_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '~' || c == '.';
}

static int malformed(const char *s, size_t len, struct err *e)
{
	return err_set(e, -EINVAL, "Malformed version: %.*s", (int)MIN(len, 200u), s);
}

int version_parse(const char *s, size_t len, bool strict, struct version *out, struct err *e)
{
	const char *p = s, *end = s + len;
	struct version v = {.n = 0};
	if (p < end && *p == 'v')
		p++;
	for (;;) {
		if (p == end || !isdigit((unsigned char)*p) || v.n == VERSION_SEGMENTS)
			return malformed(s, len, e);
		int64_t n = 0;
		for (; p < end && isdigit((unsigned char)*p); p++)
			if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
				return malformed(s, len, e);
		v.segments[v.n++] = n;
		if (p == end || *p != '.')
			break;
		p++;
	}
	if (p < end && (*p == '-' || (!strict && (isalpha((unsigned char)*p) || *p == '~')))) {
		p += *p == '-';
		v.pre = p;
		while (p < end && is_pre_char(*p))
			p++;
		v.pre_len = (size_t)(p - v.pre);
		if (!v.pre_len || v.pre[v.pre_len - 1] == '.')
			return malformed(s, len, e);
	}
	if (p < end && *p == '+')
		for (p++; p < end && is_pre_char(*p);)
			p++;
	if (p != end)
		return malformed(s, len, e);
	*out = v;
	return 0;
}

static size_t part_len(const char *s, size_t n)
{
	const char *dot = memchr(s, '.', n);
	return dot ? (size_t)(dot - s) : n;
}

static bool is_number(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return n > 0;
}

static int cmp_part(const char *a, size_t an, const char *b, size_t bn)
{
	bool na = is_number(a, an), nb = is_number(b, bn);
	if (na != nb)
		return na ? -1 : 1;
	if (na) {
		for (; an > 1 && *a == '0'; an--)
			a++;
		for (; bn > 1 && *b == '0'; bn--)
			b++;
		if (an != bn)
			return an < bn ? -1 : 1;
	}
	int r = memcmp(a, b, MIN(an, bn));
	return r ? r : (an > bn) - (an < bn);
}

static int cmp_pre(const struct version *a, const struct version *b)
{
	const char *p = a->pre, *q = b->pre;
	size_t pn = a->pre_len, qn = b->pre_len;
	if (!p || !q)
		return (q != NULL) - (p != NULL);
	while (pn && qn) {
		size_t x = part_len(p, pn), y = part_len(q, qn);
		int r = cmp_part(p, x, q, y);
		if (r)
			return r;
		p += MIN(x + 1, pn), pn -= MIN(x + 1, pn);
		q += MIN(y + 1, qn), qn -= MIN(y + 1, qn);
	}
	return (pn > 0) - (qn > 0);
}

static int cmp_segments(const struct version *a, const struct version *b, int n)
{
	for (int i = 0; i < n; i++)
		if (a->segments[i] != b->segments[i])
			return a->segments[i] < b->segments[i] ? -1 : 1;
	return 0;
}

int version_cmp(const struct version *a, const struct version *b)
{
	int r = cmp_segments(a, b, VERSION_SEGMENTS);
	return r ? r : cmp_pre(a, b);
}

enum op { OP_EQ, OP_NE, OP_GE, OP_LE, OP_PESSIMISTIC, OP_GT, OP_LT };
/* Longer words first. */
static const struct {
	const char *word;
	enum op op;
} ops[] = {{"!=", OP_NE}, {">=", OP_GE}, {"<=", OP_LE}, {"~>", OP_PESSIMISTIC}, {"=", OP_EQ}, {">", OP_GT}, {"<", OP_LT}};

/* May v be ordered against c? */
static bool pre_allowed(const struct version *v, const struct version *c, bool semver)
{
	if (semver || !v->pre)
		return true;
	return c->pre && cmp_segments(v, c, VERSION_SEGMENTS) == 0;
}

static bool satisfies(const struct version *v, enum op op, const struct version *c, bool semver)
{
	int r = version_cmp(v, c);
	switch (op) {
	case OP_EQ:
		return r == 0;
	case OP_NE:
		return r != 0;
	case OP_GT:
		return r > 0 && pre_allowed(v, c, semver);
	case OP_LT:
		return r < 0 && pre_allowed(v, c, semver);
	case OP_GE:
		return r >= 0 && pre_allowed(v, c, semver);
	case OP_LE:
		return r <= 0 && pre_allowed(v, c, semver);
	case OP_PESSIMISTIC:
		/* All but the last number written stay; a release does not satisfy a condition on a pre-release of it. */
		return r >= 0 && pre_allowed(v, c, false) && cmp_segments(v, c, c->n - 1) == 0 && !(c->pre && !v->pre);
	}
	return false;
}

static int one_condition(const struct version *v, const char *s, size_t n, bool semver, struct err *e)
{
	enum op op = OP_EQ;
	const char *whole = s;
	size_t whole_n = n;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (n >= strlen(ops[i].word) && !memcmp(s, ops[i].word, strlen(ops[i].word))) {
			op = ops[i].op;
			s += strlen(ops[i].word), n -= strlen(ops[i].word);
			break;
		}
	for (; n && *s == ' '; n--)
		s++;
	struct version c;
	if ((semver && op == OP_PESSIMISTIC) || version_parse(s, n, semver, &c, NULL))
		return err_set(e, -EINVAL, "Malformed constraint: %.*s", (int)MIN(whole_n, 200u), whole);
	return !v || satisfies(v, op, &c, semver);
}

int version_satisfies(const struct version *v, const char *list, bool semver, struct err *e)
{
	int all = 1;
	for (const char *s = list;; s++) {
		size_t n = strcspn(s, ",");
		const char *next = s + n;
		for (; n && *s == ' '; n--)
			s++;
		while (n && s[n - 1] == ' ')
			n--;
		int r = one_condition(v, s, n, semver, e);
		if (r < 0)
			return r;
		all = all && r;
		s = next;
		if (!*s)
			return all;
	}
}
