/*
 * Numbers of the HCL evaluator: binary floats (MPFR), as in the language's own implementation, so that decimal fractions
 * behave as people expect. What is written has 512 bits; counts have 64 and results of floating point functions 53, and
 * an operation has the precision of its more precise operand. Limbs live in the arena: nothing needs freeing.
 */
#define MPFR_USE_INTMAX_T
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <gmp.h>
#include <mpfr.h>

#include "base/hcl.h"

enum {
	PRECISION = 512,
	MAX_DIGITS = 160,     /* that 512 bits need */
	MAX_EXPONENT = 4096,  /* of a literal: beyond, its text would be of thousands of digits */
	MAX_RESULT = 8192,    /* of an operation */
};

struct hcl_number {
	__mpfr_struct m[1];
	const char *text; /* of a decimal as it was written, when that is short enough to be the shortest; else NULL */
};

static struct hcl_number *number_new(struct hcl *h, mpfr_prec_t precision)
{
	struct hcl_number *n = arena_alloc(h->arena, sizeof(*n));
	void *limbs = arena_alloc(h->arena, mpfr_custom_get_size(precision));

	mpfr_custom_init(limbs, precision);
	mpfr_custom_init_set(n->m, MPFR_ZERO_KIND, 0, precision, limbs);
	return n;
}

static struct hcl_value *number_value(struct hcl *h, const struct hcl_number *n)
{
	struct hcl_value *v = arena_alloc(h->arena, sizeof(*v));

	v->kind = HCL_NUMBER;
	v->type = &hcl_type_number;
	v->num = n;
	return v;
}

static bool out_of_range(mpfr_srcptr m, long limit)
{
	return !mpfr_number_p(m) || (!mpfr_zero_p(m) && labs(mpfr_get_exp(m)) > limit);
}

struct hcl_value *hcl_int(struct hcl *h, int64_t i)
{
	struct hcl_number *n = number_new(h, 64);

	mpfr_set_sj(n->m, i, MPFR_RNDN);
	return number_value(h, n);
}

struct hcl_value *hcl_double(struct hcl *h, double d)
{
	struct hcl_number *n = number_new(h, 53);

	mpfr_set_d(n->m, d, MPFR_RNDN);
	return mpfr_number_p(n->m) ? number_value(h, n) : NULL;
}

/* Without needless zeros before and after; so few digits that no others mean the same number. */
static const char *trimmed(struct hcl *h, const char *s)
{
	const char *point = strchr(s, '.');
	size_t n = strlen(s);

	while (*s == '0' && isdigit((unsigned char)s[1])) {
		s++;
		n--;
	}
	while (point && n && s[n - 1] == '0')
		n--;
	return arena_strndup(h->arena, s, n - (point && s[n - 1] == '.'));
}

struct hcl_value *hcl_number_parse(struct hcl *h, const char *text, size_t n)
{
	char copy[1200], *end;

	if (!n || n >= sizeof(copy))
		return NULL;
	for (size_t i = 0; i < n; i++) /* no hex, no "inf", no blanks: digits alone */
		if (!strchr("0123456789.eE+-", text[i]))
			return NULL;
	memcpy(copy, text, n);
	copy[n] = 0;
	struct hcl_number *num = number_new(h, PRECISION);

	mpfr_strtofr(num->m, copy, &end, 10, MPFR_RNDN);
	if (*end || end == copy || out_of_range(num->m, MAX_EXPONENT))
		return NULL;
	if (n < 100 && isdigit((unsigned char)*copy) && strspn(copy, "0123456789.") == n)
		num->text = trimmed(h, copy);
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

/*
 * The fewest digits between the numbers that lie halfway to the neighbours, and the decimal exponent: 0.DIGITS times ten
 * to that. At a power of two the neighbour below is taken to be as far away as the one above, and digits are compared at
 * their place alone, as the language's own implementation does it: where that matters, what it prints is the rule.
 */
static char *shortest(mpfr_srcptr m, mpfr_exp_t *exponent)
{
	mpfr_prec_t precision = mpfr_get_prec(m);
	bool inclusive = mpfr_min_prec(m) < precision; /* an even mantissa */
	bool down = false, up = false;
	mpfr_exp_t ignored;
	mpfr_t half, low, high;
	size_t n = 0;

	if (mpfr_zero_p(m)) {
		*exponent = 1;
		return mpfr_get_str(NULL, &ignored, 10, 1, m, MPFR_RNDN);
	}
	mpfr_inits2(precision + 2, half, low, high, (mpfr_ptr)NULL);
	mpfr_set_ui_2exp(half, 1, mpfr_get_exp(m) - precision - 1, MPFR_RNDN);
	(mpfr_signbit(m) ? mpfr_add : mpfr_sub)(low, m, half, MPFR_RNDN);
	(mpfr_signbit(m) ? mpfr_sub : mpfr_add)(high, m, half, MPFR_RNDN);
	char *d = mpfr_get_str(NULL, exponent, 10, MAX_DIGITS, m, MPFR_RNDZ);
	char *l = mpfr_get_str(NULL, &ignored, 10, MAX_DIGITS, low, MPFR_RNDZ);
	char *u = mpfr_get_str(NULL, &ignored, 10, MAX_DIGITS, high, MPFR_RNDZ);

	for (size_t sign = *d == '-'; !down && !up && n < MAX_DIGITS; n++) {
		const char *a = d + sign + n, *b = l + sign + n, *c = u + sign + n;
		bool low_ends = strspn(b + 1, "0") == strlen(b + 1), high_ends = strspn(c + 1, "0") == strlen(c + 1);

		down = *a != *b || (inclusive && low_ends);
		up = *a != *c && (inclusive || *a + 1 < *c || !high_ends);
	}
	mpfr_free_str(d);
	mpfr_free_str(l);
	mpfr_free_str(u);
	mpfr_clears(half, low, high, (mpfr_ptr)NULL);
	mpfr_rnd_t rounding = down && up ? MPFR_RNDN : up ? MPFR_RNDA : MPFR_RNDZ;

	return mpfr_get_str(NULL, exponent, 10, n, m, rounding);
}

const char *hcl_number_text(struct hcl *h, const struct hcl_value *v)
{
	mpfr_exp_t exponent;
	int64_t i;

	if (v->num->text)
		return v->num->text;
	if (hcl_number_int(v, &i) && (!i || mpfr_get_exp(v->num->m) <= mpfr_get_prec(v->num->m)))
		return arena_printf(h->arena, "%s%lld", !i && hcl_number_is_negative(v) ? "-" : "", (long long)i);
	char *digits = shortest(v->num->m, &exponent);
	const char *text = plain(h, digits, exponent);

	mpfr_free_str(digits);
	return text;
}

bool hcl_number_is_negative(const struct hcl_value *v)
{
	return mpfr_signbit(v->num->m);
}

/* %e with as many digits as it takes. */
static const char *scientific(struct hcl *h, const char *digits, long exponent, bool capital)
{
	size_t n = strlen(digits);

	while (n > 1 && digits[n - 1] == '0')
		n--;
	return arena_printf(h->arena, "%c%s%.*s%c%c%02ld", *digits, n > 1 ? "." : "", (int)n - 1, digits + 1, capital ? 'E' : 'e',
	    exponent < 1 ? '-' : '+', labs(exponent - 1));
}

const char *hcl_number_format(struct hcl *h, const struct hcl_value *v, char verb, int precision)
{
	char how[] = "%.*R*f", *made = NULL;
	mpfr_exp_t exponent;
	mpfr_t m;

	mpfr_init2(m, mpfr_get_prec(v->num->m));
	mpfr_abs(m, v->num->m, MPFR_RNDN);
	const char *text;

	if (precision < 0) {
		made = shortest(m, &exponent);
		text = (verb | 32) == 'e' || ((verb | 32) == 'g' && (exponent < -3 || exponent > 6))
			   ? scientific(h, made, exponent, verb < 'a')
			   : plain(h, made, exponent);
	} else {
		how[sizeof(how) - 2] = verb;
		if (mpfr_asprintf(&made, how, precision, MPFR_RNDN, m) < 0)
			die("out of memory");
		text = arena_strdup(h->arena, made);
	}
	mpfr_free_str(made);
	mpfr_clear(m);
	return text;
}

const char *hcl_number_digits(struct hcl *h, const struct hcl_value *v, int base)
{
	mpz_t z;

	if (!mpfr_integer_p(v->num->m))
		return NULL;
	mpz_init(z);
	mpfr_get_z(z, v->num->m, MPFR_RNDN);
	mpz_abs(z, z);
	char *digits = mpz_get_str(NULL, base, z);
	const char *text = arena_strdup(h->arena, digits);

	mpz_clear(z);
	free(digits);
	return text;
}

/* What is left after taking off whole multiples of b; a % 0 is a. */
static void modulo(mpfr_ptr out, mpfr_srcptr a, mpfr_srcptr b)
{
	mpfr_t quotient;

	if (mpfr_zero_p(b)) {
		mpfr_set(out, a, MPFR_RNDN);
		return;
	}
	mpfr_init2(quotient, mpfr_get_prec(out));
	mpfr_div(quotient, a, b, MPFR_RNDN);
	mpfr_trunc(quotient, quotient);
	mpfr_mul(quotient, quotient, b, MPFR_RNDN);
	mpfr_sub(out, a, quotient, MPFR_RNDN);
	mpfr_clear(quotient);
}

struct hcl_value *hcl_arith(struct hcl *h, char op, const struct hcl_value *a, const struct hcl_value *b)
{
	mpfr_srcptr x = a->num->m, y = b->num->m;
	struct hcl_number *n = number_new(h, MAX(mpfr_get_prec(x), mpfr_get_prec(y)));

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
		modulo(n->m, x, y);
		break;
	default:
		return NULL;
	}
	return out_of_range(n->m, MAX_RESULT) ? NULL : number_value(h, n);
}

struct hcl_value *hcl_round(struct hcl *h, char how, const struct hcl_value *a)
{
	struct hcl_number *n = number_new(h, mpfr_get_prec(a->num->m));

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
	}
	return number_value(h, n);
}

int hcl_compare(const struct hcl_value *a, const struct hcl_value *b)
{
	return mpfr_cmp(a->num->m, b->num->m);
}
