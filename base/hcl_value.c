/*
 * Values of the HCL evaluator: making, converting, comparing, printing. Numbers are 512-bit binary floats (MPFR), as in
 * the language's own implementation, so that decimal fractions behave as people expect.
 */
#define MPFR_USE_INTMAX_T
#include <stdint.h>
#include <mpfr.h>

#include "base/codec.h"
#include "base/hcl.h"

#include <utf8proc.h>

enum { PRECISION = 512 };

struct hcl_number {
	__mpfr_struct m[1];
};

static struct hcl_value *value_new(struct hcl *h, enum hcl_kind kind)
{
	struct hcl_value *v = arena_alloc(h->arena, sizeof(*v));

	v->kind = kind;
	return v;
}

/* The limbs live in the arena, so that nothing needs freeing. */
static struct hcl_number *number_new(struct hcl *h)
{
	struct hcl_number *n = arena_alloc(h->arena, sizeof(*n));
	void *limbs = arena_alloc(h->arena, mpfr_custom_get_size(PRECISION));

	mpfr_custom_init(limbs, PRECISION);
	mpfr_custom_init_set(n->m, MPFR_ZERO_KIND, 0, PRECISION, limbs);
	return n;
}

static struct hcl_value *number_value(struct hcl *h, const struct hcl_number *n)
{
	struct hcl_value *v = value_new(h, HCL_NUMBER);

	v->num = n;
	return v;
}

struct hcl_value *hcl_null(struct hcl *h)
{
	return value_new(h, HCL_NULL);
}

struct hcl_value *hcl_bool(struct hcl *h, bool b)
{
	struct hcl_value *v = value_new(h, HCL_BOOL);

	v->b = b;
	return v;
}

struct hcl_value *hcl_int(struct hcl *h, int64_t i)
{
	struct hcl_number *n = number_new(h);

	mpfr_set_sj(n->m, i, MPFR_RNDN);
	return number_value(h, n);
}

struct hcl_value *hcl_string(struct hcl *h, const char *s, size_t n)
{
	struct hcl_value *v = value_new(h, HCL_STRING);
	bool ascii = true;

	for (size_t i = 0; i < n && ascii; i++)
		ascii = !(s[i] & 0x80);
	utf8proc_uint8_t *nfc = NULL;

	if (!ascii && utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &nfc, UTF8PROC_STABLE | UTF8PROC_COMPOSE) >= 0) {
		v->s = arena_strdup(h->arena, (char *)nfc);
		v->n = (uint32_t)strlen(v->s);
	} else {
		v->s = arena_strndup(h->arena, s ? s : "", n);
		v->n = (uint32_t)n;
	}
	free(nfc);
	return v;
}

/* The order of sets: by kind, then by value. */
static int order(const struct hcl_value *a, const struct hcl_value *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case HCL_BOOL:
		return (int)a->b - (int)b->b;
	case HCL_NUMBER:
		return hcl_compare(a, b);
	case HCL_STRING:
		return strcmp(a->s, b->s);
	case HCL_NULL:
		return 0;
	default:
		for (uint32_t i = 0; i < a->n && i < b->n; i++) {
			int c = a->kind == HCL_MAP ? strcmp(a->keys[i], b->keys[i]) : 0;

			c = c ? c : order(a->items[i], b->items[i]);
			if (c)
				return c;
		}
		return a->n < b->n ? -1 : a->n > b->n;
	}
}

static int by_order(const void *a, const void *b)
{
	return order(*(struct hcl_value *const *)a, *(struct hcl_value *const *)b);
}

struct hcl_value *hcl_list(struct hcl *h, enum hcl_kind kind, struct hcl_value **items, uint32_t n)
{
	struct hcl_value *v = value_new(h, kind);

	v->items = arena_copy(h->arena, items, n * sizeof(*items));
	v->n = n;
	if (kind == HCL_SET && n) {
		uint32_t kept = 0;

		qsort(v->items, n, sizeof(*items), by_order);
		for (uint32_t i = 0; i < n; i++)
			if (!kept || order(v->items[kept - 1], v->items[i]))
				v->items[kept++] = v->items[i];
		v->n = kept;
	}
	return v;
}

struct pair {
	const char *key;
	struct hcl_value *value;
	uint32_t at;
};

static int by_key(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : x->at < y->at ? -1 : 1;
}

/* Of equal keys the last one wins. */
struct hcl_value *hcl_map(struct hcl *h, const char **keys, struct hcl_value **items, uint32_t n)
{
	struct hcl_value *v = value_new(h, HCL_MAP);
	cleanup_free struct pair *pairs = xcalloc(n + 1, sizeof(*pairs));

	for (uint32_t i = 0; i < n; i++)
		pairs[i] = (struct pair){keys[i], items[i], i};
	qsort(pairs, n, sizeof(*pairs), by_key);
	v->keys = arena_alloc(h->arena, (n + 1) * sizeof(*v->keys));
	v->items = arena_alloc(h->arena, (n + 1) * sizeof(*v->items));
	for (uint32_t i = 0; i < n; i++) {
		if (i + 1 < n && str_eq(pairs[i].key, pairs[i + 1].key))
			continue;
		v->keys[v->n] = pairs[i].key;
		v->items[v->n++] = pairs[i].value;
	}
	return v;
}

struct hcl_value *hcl_get(const struct hcl_value *map, const char *key)
{
	uint32_t low = 0, high = map && map->kind == HCL_MAP ? map->n : 0;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = strcmp(map->keys[mid], key);

		if (!c)
			return map->items[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* ---- numbers ---- */

struct hcl_value *hcl_number_parse(struct hcl *h, const char *text, size_t n)
{
	char copy[1200], *end;
	struct hcl_number *num = number_new(h);

	if (!n || n >= sizeof(copy))
		return NULL;
	for (size_t i = 0; i < n; i++) /* no hex, no "inf", no blanks: digits alone */
		if (!strchr("0123456789.eE+-", text[i]))
			return NULL;
	memcpy(copy, text, n);
	copy[n] = 0;
	mpfr_strtofr(num->m, copy, &end, 10, MPFR_RNDN);
	/* Exponents that no job file means would make texts of millions of digits. */
	if (*end || end == copy || !mpfr_number_p(num->m) ||
	    (!mpfr_zero_p(num->m) && (mpfr_get_exp(num->m) > 4096 || mpfr_get_exp(num->m) < -4096)))
		return NULL;
	return number_value(h, num);
}

bool hcl_number_int(const struct hcl_value *v, int64_t *out)
{
	if (!mpfr_integer_p(v->num->m) || !mpfr_fits_intmax_p(v->num->m, MPFR_RNDN))
		return false;
	*out = mpfr_get_sj(v->num->m, MPFR_RNDN);
	return true;
}

double hcl_number_double(const struct hcl_value *v)
{
	return mpfr_get_d(v->num->m, MPFR_RNDN);
}

/* Digits and decimal exponent as a plain decimal without exponent. */
static const char *plain(struct hcl *h, const char *digits, long exponent)
{
	cleanup_buf struct buf b = BUF_INIT;
	size_t n;

	if (*digits == '-') {
		buf_putc(&b, '-');
		digits++;
	}
	n = strlen(digits);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (exponent <= 0) {
		buf_puts(&b, "0.");
		for (long i = exponent; i < 0; i++)
			buf_putc(&b, '0');
		buf_put(&b, digits, n);
	} else {
		for (long i = 0; i < exponent; i++)
			buf_putc(&b, (size_t)i < n ? digits[i] : '0');
		if ((size_t)exponent < n) {
			buf_putc(&b, '.');
			buf_put(&b, digits + exponent, n - (size_t)exponent);
		}
	}
	return arena_strdup(h->arena, b.data);
}

const char *hcl_number_text(struct hcl *h, const struct hcl_value *v)
{
	mpfr_t back;
	int64_t i;
	const char *text = NULL;

	if (hcl_number_int(v, &i))
		return arena_printf(h->arena, "%lld", (long long)i);
	mpfr_init2(back, PRECISION);
	for (size_t digits = 1; !text && digits <= 160; digits++) {
		mpfr_exp_t exponent;
		char *s = mpfr_get_str(NULL, &exponent, 10, digits, v->num->m, MPFR_RNDN);
		cleanup_free char *again = xasprintf("%s0.%se%ld", *s == '-' ? "-" : "", s + (*s == '-'), (long)exponent);

		mpfr_set_str(back, again, 10, MPFR_RNDN);
		if (mpfr_equal_p(back, v->num->m) || digits == 160)
			text = plain(h, s, exponent);
		mpfr_free_str(s);
	}
	mpfr_clear(back);
	return text;
}

struct hcl_value *hcl_arith(struct hcl *h, char op, const struct hcl_value *a, const struct hcl_value *b)
{
	struct hcl_number *n = number_new(h);
	mpfr_srcptr x = a->num->m, y = b->num->m;

	switch (op) {
	case '+':
		mpfr_add(n->m, x, y, MPFR_RNDN);
		break;
	case '-':
		mpfr_sub(n->m, x, y, MPFR_RNDN);
		break;
	case '*':
		mpfr_mul(n->m, x, y, MPFR_RNDN);
		break;
	case '/':
		mpfr_div(n->m, x, y, MPFR_RNDN);
		break;
	case '%':
		if (!mpfr_zero_p(y))
			mpfr_fmod(n->m, x, y, MPFR_RNDN);
		else
			mpfr_set_nan(n->m);
		break;
	case '^':
		mpfr_pow(n->m, x, y, MPFR_RNDN);
		break;
	default:
		return NULL;
	}
	if (!mpfr_number_p(n->m) || (!mpfr_zero_p(n->m) && labs(mpfr_get_exp(n->m)) > 8192))
		return NULL;
	return number_value(h, n);
}

struct hcl_value *hcl_round(struct hcl *h, char how, const struct hcl_value *a)
{
	struct hcl_number *n = number_new(h);

	switch (how) {
	case 'c':
		mpfr_ceil(n->m, a->num->m);
		break;
	case 'f':
		mpfr_floor(n->m, a->num->m);
		break;
	case 'a':
		mpfr_abs(n->m, a->num->m, MPFR_RNDN);
		break;
	default:
		mpfr_neg(n->m, a->num->m, MPFR_RNDN);
		if (mpfr_zero_p(n->m))
			mpfr_set_zero(n->m, 1);
	}
	return number_value(h, n);
}

int hcl_compare(const struct hcl_value *a, const struct hcl_value *b)
{
	return mpfr_cmp(a->num->m, b->num->m);
}

/* ---- conversion ---- */

struct hcl_value *hcl_to(struct hcl *h, enum hcl_kind kind, struct hcl_value *v)
{
	if (v->kind == kind || v->kind == HCL_NULL)
		return v;
	if (kind == HCL_STRING && v->kind == HCL_NUMBER) {
		const char *text = hcl_number_text(h, v);

		return hcl_string(h, text, strlen(text));
	}
	if (kind == HCL_STRING && v->kind == HCL_BOOL)
		return hcl_string(h, v->b ? "true" : "false", v->b ? 4 : 5);
	if (kind == HCL_NUMBER && v->kind == HCL_STRING)
		return hcl_number_parse(h, v->s, v->n);
	if (kind == HCL_BOOL && v->kind == HCL_STRING) {
		if (str_eq(v->s, "true") || str_eq(v->s, "1"))
			return hcl_bool(h, true);
		if (str_eq(v->s, "false") || str_eq(v->s, "0"))
			return hcl_bool(h, false);
	}
	if ((kind == HCL_LIST && v->kind == HCL_SET) || (kind == HCL_SET && v->kind == HCL_LIST))
		return hcl_list(h, kind, v->items, v->n);
	return NULL;
}

bool hcl_equal(const struct hcl_value *a, const struct hcl_value *b)
{
	return a->kind == b->kind && order(a, b) == 0;
}

const char *hcl_kind_name(const struct hcl_value *v)
{
	static const char *const names[] = {"null", "bool", "number", "string", "list", "set", "object"};

	return names[v->kind];
}

struct value *hcl_to_value(struct arena *a, struct hcl *h, const struct hcl_value *v)
{
	int64_t i;

	switch (v->kind) {
	case HCL_NULL:
		return value_null(a);
	case HCL_BOOL:
		return value_bool(a, v->b);
	case HCL_NUMBER:
		return hcl_number_int(v, &i) ? value_int(a, i) : value_float(a, hcl_number_double(v));
	case HCL_STRING:
		return value_str(a, v->s);
	default:
		break;
	}
	struct value **items = arena_alloc(a, (v->n + 1) * sizeof(*items));
	const char **keys = arena_alloc(a, (v->n + 1) * sizeof(*keys));

	for (uint32_t k = 0; k < v->n; k++) {
		items[k] = hcl_to_value(a, h, v->items[k]);
		keys[k] = v->kind == HCL_MAP ? arena_strdup(a, v->keys[k]) : NULL;
	}
	return v->kind == HCL_MAP ? value_map(a, keys, items, v->n) : value_list(a, items, v->n);
}

static struct hcl_value *number_from_double(struct hcl *h, double d)
{
	char text[40];

	snprintf(text, sizeof(text), "%.17g", d);
	if (strtod(text, NULL) == d) { /* the shortest text that means this double, as its writer saw it */
		for (int digits = 1; digits < 17; digits++) {
			snprintf(text, sizeof(text), "%.*g", digits, d);
			if (strtod(text, NULL) == d)
				break;
		}
	}
	struct hcl_value *v = hcl_number_parse(h, text, strlen(text));

	return v ? v : hcl_null(h);
}

struct hcl_value *hcl_from_value(struct hcl *h, const struct value *v)
{
	switch (v->kind) {
	case VAL_NULL:
		return hcl_null(h);
	case VAL_BOOL:
		return hcl_bool(h, v->b);
	case VAL_INT:
		return hcl_int(h, v->i);
	case VAL_FLOAT:
		return number_from_double(h, v->f);
	case VAL_STR:
		return hcl_string(h, v->s, v->n);
	default:
		break;
	}
	struct hcl_value **items = arena_alloc(h->arena, (v->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < v->n; i++)
		items[i] = hcl_from_value(h, v->items[i]);
	return v->kind == VAL_MAP ? hcl_map(h, v->keys, items, v->n) : hcl_list(h, HCL_LIST, items, v->n);
}

void hcl_put_json(struct hcl *h, struct buf *b, const struct hcl_value *v)
{
	switch (v->kind) {
	case HCL_NULL:
		buf_puts(b, "null");
		return;
	case HCL_BOOL:
		buf_puts(b, v->b ? "true" : "false");
		return;
	case HCL_NUMBER:
		buf_puts(b, hcl_number_text(h, v));
		return;
	case HCL_STRING:
		json_put_string_html(b, v->s, v->n);
		return;
	default:
		break;
	}
	buf_putc(b, v->kind == HCL_MAP ? '{' : '[');
	for (uint32_t i = 0; i < v->n; i++) {
		if (i)
			buf_putc(b, ',');
		if (v->kind == HCL_MAP) {
			json_put_string_html(b, v->keys[i], strlen(v->keys[i]));
			buf_putc(b, ':');
		}
		hcl_put_json(h, b, v->items[i]);
	}
	buf_putc(b, v->kind == HCL_MAP ? '}' : ']');
}
