/* Functions over numbers, dates and ids. */
#include <ctype.h>
#include <math.h>
#include <time.h>

#include "base/clock.h"
#include "base/hcl.h"
#include "base/uuid.h"

static struct hcl_value *fn_abs(struct hcl_call *c)
{
	return hcl_round(c->h, 'a', c->args[0]);
}

static struct hcl_value *fn_ceil(struct hcl_call *c)
{
	return hcl_round(c->h, 'c', c->args[0]);
}

static struct hcl_value *fn_floor(struct hcl_call *c)
{
	return hcl_round(c->h, 'f', c->args[0]);
}

static struct hcl_value *from_double(struct hcl_call *c, double d)
{
	struct hcl_value *v = hcl_double(c->h, d);

	return v ? v : hcl_call_error(c, "the result is not a number");
}

/* The natural logarithm by the polynomial of FDLIBM (netlib.org/fdlibm/e_log.c), so that its last digit is the one that
 * other implementations of the language print. */
static double natural_log(double x)
{
	static const double odd[] = {6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01, 1.479819860511658591e-01},
			    even[] = {3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01},
			    ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
	int k;

	if (!(x > 0) || !isfinite(x))
		return log(x);
	double m = frexp(x, &k);

	if (m < M_SQRT2 / 2) {
		m *= 2;
		k--;
	}
	double f = m - 1, s = f / (2 + f), z = s * s, w = z * z, half = 0.5 * f * f;
	double rest = z * (odd[0] + w * (odd[1] + w * (odd[2] + w * odd[3]))) + w * (even[0] + w * (even[1] + w * even[2]));

	return k * ln2_high - ((half - (s * (half + rest) + k * ln2_low)) - f);
}

static struct hcl_value *fn_log(struct hcl_call *c)
{
	return from_double(c, natural_log(hcl_number_double(c->args[0])) / natural_log(hcl_number_double(c->args[1])));
}

/* x to the y by repeated squaring of the mantissa, for the whole part of y; so the last digit is the one that other
 * implementations of the language print. */
static double power(double x, double y)
{
	double whole, part = modf(fabs(y), &whole), result = 1, m;
	int exponent = 0, e;

	if (y == 0 || x == 1)
		return 1;
	if (fabs(y) == 0.5)
		return y < 0 ? 1 / sqrt(x) : sqrt(x);
	if (x == 0 || !isfinite(x) || !isfinite(y) || (part != 0 && x < 0) || whole >= 0x1p62)
		return pow(x, y);
	if (part != 0) {
		if (part > 0.5) {
			part--;
			whole++;
		}
		result = exp(part * natural_log(x));
	}
	m = frexp(x, &e);
	for (int64_t i = (int64_t)whole; i; i >>= 1) {
		if (e < -(1 << 12) || e > 1 << 12) { /* far over or below what a double holds */
			exponent += e;
			break;
		}
		if (i & 1) {
			result *= m;
			exponent += e;
		}
		m *= m;
		e *= 2;
		if (m < 0.5) {
			m += m;
			e--;
		}
	}
	return y < 0 ? ldexp(1 / result, -exponent) : ldexp(result, exponent);
}

static struct hcl_value *fn_pow(struct hcl_call *c)
{
	return from_double(c, power(hcl_number_double(c->args[0]), hcl_number_double(c->args[1])));
}

static struct hcl_value *fn_signum(struct hcl_call *c)
{
	return hcl_int(c->h, hcl_compare(c->args[0], hcl_int(c->h, 0)) < 0 ? -1 : hcl_compare(c->args[0], hcl_int(c->h, 0)) > 0);
}

static struct hcl_value *extreme(struct hcl_call *c, int sign)
{
	struct hcl_value *best = c->n ? c->args[0] : NULL;

	if (!best)
		return hcl_call_error(c, "at least one number is required");
	for (uint32_t i = 1; i < c->n; i++)
		if (hcl_compare(c->args[i], best) * sign > 0)
			best = c->args[i];
	return best;
}

static struct hcl_value *fn_max(struct hcl_call *c)
{
	return extreme(c, 1);
}

static struct hcl_value *fn_min(struct hcl_call *c)
{
	return extreme(c, -1);
}

static struct hcl_value *fn_parseint(struct hcl_call *c)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	int64_t base;
	const char *s = c->args[0]->s;
	bool negative = *s == '-';
	struct hcl_value *v = hcl_int(c->h, 0), *b;

	if (!hcl_number_int(c->args[1], &base) || base < 2 || base > 62)
		return hcl_call_error(c, "the base is a whole number from 2 to 62");
	b = hcl_int(c->h, base);
	s += negative || *s == '+';
	if (!*s)
		return hcl_call_error(c, "\"%s\" is no whole number to base %lld", c->args[0]->s, (long long)base);
	for (; *s && v; s++) {
		/* Beyond base 36 capital letters follow the small ones. */
		const char *at = strchr(digits, base <= 36 ? tolower((unsigned char)*s) : *s);
		int64_t d = at ? at - digits : base > 36 && *s >= 'A' && *s <= 'Z' ? 36 + *s - 'A' : 99;

		if (d >= base)
			return hcl_call_error(c, "\"%s\" is no whole number to base %lld", c->args[0]->s, (long long)base);
		v = hcl_arith(c->h, '*', v, b);
		v = v ? hcl_arith(c->h, '+', v, hcl_int(c->h, d)) : NULL;
	}
	if (!v)
		return hcl_call_error(c, "the number is too large");
	return negative ? hcl_round(c->h, '-', v) : v;
}

/* ---- dates ---- */

static bool read_time(struct hcl_call *c, const char *text, int64_t *out)
{
	if (time_parse_rfc3339(text, out) == 0)
		return true;
	hcl_call_error(c, "\"%s\" is not a valid RFC3339 timestamp, as 2026-01-31T12:00:00Z is", text);
	return false;
}

/* The offset of a timestamp's own zone, in seconds. */
static int zone_of(const char *text)
{
	size_t n = strlen(text);
	int hours, minutes;

	if (n < 6 || !strchr("+-", text[n - 6]) || sscanf(text + n - 5, "%2d:%2d", &hours, &minutes) != 2)
		return 0;
	return (text[n - 6] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

static void put_zone(struct buf *b, int zone, char style, size_t n)
{
	int minutes = abs(zone) / 60;

	if (style == 'Z' && n == 1 && !zone)
		buf_putc(b, 'Z');
	else if (style == 'Z' && n == 3 && !zone)
		buf_puts(b, "UTC");
	else if (n == 5 || (style == 'Z' && n == 1))
		buf_printf(b, "%c%02d:%02d", zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
	else
		buf_printf(b, "%c%02d%02d", zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

/* One run of equal letters of formatdate's language; false when it means nothing. */
static bool put_date(struct buf *b, const struct tm *t, int zone, char letter, size_t n)
{
	static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September",
	    "October", "November", "December"};
	static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
	int hour12 = t->tm_hour % 12 ? t->tm_hour % 12 : 12, value;

	switch (letter) {
	case 'Y':
		buf_printf(b, n == 2 ? "%02d" : "%04d", n == 2 ? (t->tm_year + 1900) % 100 : t->tm_year + 1900);
		return n == 2 || n == 4;
	case 'M':
		value = t->tm_mon + 1;
		if (n > 2)
			buf_printf(b, "%.*s", n == 3 ? 3 : 20, months[t->tm_mon]);
		break;
	case 'D':
		value = t->tm_mday;
		break;
	case 'E':
		buf_printf(b, "%.*s", n == 3 ? 3 : 20, days[t->tm_wday]);
		return n == 3 || n == 4;
	case 'h':
		value = t->tm_hour;
		break;
	case 'H':
		value = hour12;
		break;
	case 'm':
		value = t->tm_min;
		break;
	case 's':
		value = t->tm_sec;
		break;
	case 'A':
	case 'a':
		buf_puts(b, letter == 'A' ? (t->tm_hour < 12 ? "AM" : "PM") : t->tm_hour < 12 ? "am" : "pm");
		return n == 2;
	case 'Z':
		put_zone(b, zone, letter, n);
		return n == 1 || (n >= 3 && n <= 5);
	default:
		return false;
	}
	if (n <= 2)
		buf_printf(b, n == 2 ? "%02d" : "%d", value);
	return n <= 2 || (letter == 'M' && n <= 4);
}

static struct hcl_value *fn_formatdate(struct hcl_call *c)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *p = c->args[0]->s;
	int zone = zone_of(c->args[1]->s);
	int64_t at;
	struct tm t;

	if (!read_time(c, c->args[1]->s, &at))
		return NULL;
	time_t seconds = (time_t)(at / SECOND - (at % SECOND < 0)) + zone;

	gmtime_r(&seconds, &t);
	while (*p) {
		size_t n = strspn(p, (char[]){*p, 0});

		if (*p == '\'' && p[1] == '\'') {
			buf_putc(&b, '\'');
			p += 2;
		} else if (*p == '\'') { /* quoted text; a doubled quote in it stands for itself */
			const char *end = p + 1;

			while (*end && !(*end == '\'' && end[1] != '\'')) {
				end += *end == '\'';
				buf_putc(&b, *end++);
			}
			if (!*end)
				return hcl_call_error(c, "invalid date format: unterminated quote");
			p = end + 1;
		} else if (isalpha((unsigned char)*p)) {
			if (!put_date(&b, &t, zone, *p, n))
				return hcl_call_error(c, "invalid date format verb \"%.*s\"", (int)n, p);
			p += n;
		} else {
			buf_putc(&b, *p++);
		}
	}
	return hcl_string(c->h, b.len ? b.data : "", b.len);
}

static struct hcl_value *fn_timeadd(struct hcl_call *c)
{
	int64_t at, duration, sum;
	char text[TIME_STR];
	int zone = zone_of(c->args[0]->s);

	if (!read_time(c, c->args[0]->s, &at))
		return NULL;
	if (duration_parse(c->args[1]->s, &duration) < 0 || __builtin_add_overflow(at, duration, &sum))
		return hcl_call_error(c, "\"%s\" is not a valid duration, as 1h30m is", c->args[1]->s);
	sum -= ((sum % SECOND) + SECOND) % SECOND; /* fractions of a second are not printed */
	if (!zone) {
		time_format_rfc3339(sum, text);
	} else {
		time_format_rfc3339(sum + zone * SECOND, text);
		text[strlen(text) - 1] = 0;
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%c%02d:%02d", zone < 0 ? '-' : '+', abs(zone) / 3600,
		    abs(zone) / 60 % 60);
	}
	return hcl_string(c->h, text, strlen(text));
}

static struct hcl_value *fn_timestamp(struct hcl_call *c)
{
	char text[TIME_STR];

	time_format_rfc3339(clock_now() / SECOND * SECOND, text);
	return hcl_string(c->h, text, strlen(text));
}

static struct hcl_value *fn_uuidv4(struct hcl_call *c)
{
	char text[UUID_STR];

	uuid_format(uuid_random(), text);
	return hcl_string(c->h, text, 36);
}

const struct hcl_func hcl_funcs_number[] = {
    {"abs", "n", fn_abs},
    {"ceil", "n", fn_ceil},
    {"floor", "n", fn_floor},
    {"formatdate", "ss", fn_formatdate},
    {"log", "nn", fn_log},
    {"max", "n*", fn_max},
    {"min", "n*", fn_min},
    {"parseint", "sn", fn_parseint},
    {"pow", "nn", fn_pow},
    {"signum", "n", fn_signum},
    {"timeadd", "ss", fn_timeadd},
    {"timestamp", "", fn_timestamp},
    {"uuidv4", "", fn_uuidv4},
    {NULL, NULL, NULL},
};
