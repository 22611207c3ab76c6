/* clock: reads the clocks, and the texts of instants and durations. Holds no state. */
#include "base/clock.h"

#include <errno.h>
#include <time.h>

#define GO_ZERO_TIME "0001-01-01T00:00:00Z"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* U+00B5 */
    {"\xce\xbcs", 1000}, /* U+03BC */
    {"ms", MILLI},
    {"s", SECOND},
    {"m", MINUTE},
    {"h", HOUR},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The unit at s: the letters up to the next digit or point. */
static const struct unit *find_unit(const char *s, size_t *len)
{
	*len = strcspn(s, "0123456789.");
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strlen(units[i].name) == *len && memcmp(units[i].name, s, *len) == 0)
			return &units[i];
	return NULL;
}

/* Reads one "12.5s" at *s and adds it to the total, which is kept negative-safe in 128 bits. */
static int add_part(const char **s, __int128 *total)
{
	const char *p = *s;
	__int128 whole = 0, part = 0, scale = 1;
	const struct unit *unit;
	size_t len, digits = 0;

	for (; is_digit(*p); p++, digits++) {
		whole = whole * 10 + (*p - '0');
		if (whole > INT64_MAX)
			return -ERANGE;
	}
	if (*p == '.') {
		for (p++; is_digit(*p); p++, digits++) {
			/* Digits below a nanosecond of an hour do not count. */
			if (scale < (__int128)1000000000000000000) {
				part = part * 10 + (*p - '0');
				scale *= 10;
			}
		}
	}
	unit = digits ? find_unit(p, &len) : NULL;
	if (!unit)
		return -EINVAL;
	*total += whole * unit->ns + part * unit->ns / scale;
	*s = p + len;
	return *total > INT64_MAX ? -ERANGE : 0;
}

int duration_parse(const char *s, int64_t *out)
{
	bool negative = *s == '-';
	__int128 total = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (strcmp(s, "0") == 0) {
		*out = 0;
		return 0;
	}
	if (!*s)
		return -EINVAL;
	while (*s) {
		int r = add_part(&s, &total);

		if (r)
			return r;
	}
	*out = (int64_t)(negative ? -total : total);
	return 0;
}

/* "1.5" for 1500 of 1000: the quotient with its fraction, trailing zeros dropped. */
static int put_fraction(char *out, size_t size, uint64_t v, uint64_t unit)
{
	uint64_t rest = v % unit;
	int digits = 0, n;

	for (uint64_t u = unit; u > 1; u /= 10)
		digits++;
	n = snprintf(out, size, "%llu", (unsigned long long)(v / unit));
	if (!rest)
		return n;
	while (rest % 10 == 0) {
		rest /= 10;
		digits--;
	}
	return n +
	    snprintf(out + n, size - (size_t)n, ".%0*llu", digits, (unsigned long long)rest);
}

const char *duration_format(int64_t ns, char out[DURATION_STR])
{
	uint64_t v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char *p = out;
	size_t left = DURATION_STR;
	int n = 0;

	if (ns < 0) {
		*p++ = '-';
		left--;
	}
	if (v >= (uint64_t)HOUR)
		n = snprintf(p, left, "%lluh%llum", (unsigned long long)(v / (uint64_t)HOUR),
		    (unsigned long long)(v % (uint64_t)HOUR / (uint64_t)MINUTE));
	else if (v >= (uint64_t)MINUTE)
		n = snprintf(p, left, "%llum", (unsigned long long)(v / (uint64_t)MINUTE));
	p += n;
	left -= (size_t)n;
	if (v >= (uint64_t)SECOND || !v) {
		p += put_fraction(p, left, v % (uint64_t)MINUTE, (uint64_t)SECOND);
		strcpy(p, "s");
	} else if (v >= (uint64_t)MILLI) {
		p += put_fraction(p, left, v, (uint64_t)MILLI);
		strcpy(p, "ms");
	} else if (v >= 1000) {
		p += put_fraction(p, left, v, 1000);
		strcpy(p, "\xc2\xb5s");
	} else {
		snprintf(p, left, "%lluns", (unsigned long long)v);
	}
	return out;
}

/* Floor division, so that instants before 1970 have their second and a positive rest. */
static void split(int64_t t, time_t *sec, int64_t *rest)
{
	*sec = t / SECOND - (t % SECOND < 0);
	*rest = t - *sec * SECOND;
}

const char *time_format_rfc3339(int64_t t, char out[TIME_STR])
{
	int64_t rest;
	struct tm tm;
	time_t sec;
	int n;

	if (!t)
		return strcpy(out, GO_ZERO_TIME);
	split(t, &sec, &rest);
	gmtime_r(&sec, &tm);
	n = (int)strftime(out, TIME_STR, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest) {
		n += snprintf(out + n, TIME_STR - (size_t)n, ".%09lld", (long long)rest);
		while (out[n - 1] == '0')
			n--;
	}
	strcpy(out + n, "Z");
	return out;
}

/* Reads exactly n digits. */
static bool digits(const char **s, int n, int *out)
{
	int v = 0;

	for (int i = 0; i < n; i++, ++*s) {
		if (!is_digit(**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return true;
}

static bool literal(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

/* ".123" up to nanoseconds; more digits are cut off. */
static bool fraction(const char **s, int64_t *out)
{
	int64_t v = 0;
	int n = 0;

	for (; is_digit(**s); ++*s, n++)
		if (n < 9)
			v = v * 10 + (**s - '0');
	for (int i = n; i < 9; i++)
		v *= 10;
	*out = v;
	return n > 0;
}

static bool zone(const char **s, int64_t *seconds)
{
	bool west = **s == '-';
	int h, m;

	*seconds = 0;
	if (literal(s, 'Z') || literal(s, 'z'))
		return true;
	if (**s != '+' && **s != '-')
		return false;
	++*s;
	if (!digits(s, 2, &h) || !literal(s, ':') || !digits(s, 2, &m) || h > 23 || m > 59)
		return false;
	*seconds = (west ? -1 : 1) * (int64_t)(h * 3600 + m * 60);
	return true;
}

static int days_of(int year, int month)
{
	static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

int time_parse_rfc3339(const char *s, int64_t *out)
{
	struct tm tm = {0};
	int64_t ns = 0, offset, total;
	int year, month, day;

	if (strcmp(s, GO_ZERO_TIME) == 0) {
		*out = 0;
		return 0;
	}
	if (!digits(&s, 4, &year) || !literal(&s, '-') || !digits(&s, 2, &month) ||
	    !literal(&s, '-') || !digits(&s, 2, &day) ||
	    !(literal(&s, 'T') || literal(&s, 't') || literal(&s, ' ')) ||
	    !digits(&s, 2, &tm.tm_hour) || !literal(&s, ':') || !digits(&s, 2, &tm.tm_min) ||
	    !literal(&s, ':') || !digits(&s, 2, &tm.tm_sec))
		return -EINVAL;
	if (literal(&s, '.') && !fraction(&s, &ns))
		return -EINVAL;
	if (!zone(&s, &offset) || *s || month < 1 || month > 12 || day < 1 ||
	    day > days_of(year, month) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	if (__builtin_mul_overflow((int64_t)timegm(&tm) - offset, SECOND, &total) ||
	    __builtin_add_overflow(total, ns, &total))
		return -ERANGE;
	*out = total;
	return 0;
}

const char *time_format_local(int64_t t, char out[TIME_STR])
{
	int64_t rest;
	struct tm tm;
	time_t sec;
	size_t n;

	out[0] = 0;
	if (!t)
		return out;
	split(t, &sec, &rest);
	localtime_r(&sec, &tm);
	n = strftime(out, TIME_STR, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!tm.tm_gmtoff)
		strcpy(out + n, "Z");
	else
		snprintf(out + n, TIME_STR - n, "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
		    labs(tm.tm_gmtoff) / 3600, labs(tm.tm_gmtoff) / 60 % 60);
	return out;
}

const char *time_format_relative(int64_t t, int64_t now, char out[TIME_STR])
{
	static const struct {
		const char *name;
		int64_t seconds;
	} spans[] = {
	    {"y", 365 * 86400}, {"mo", 30 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
	bool future = t > now;
	int64_t diff, left;
	int n = 0, shown = 0;

	if (__builtin_sub_overflow(future ? t : now, future ? now : t, &diff))
		diff = INT64_MAX;
	left = diff / SECOND + (diff % SECOND >= SECOND / 2);
	for (size_t i = 0; i < ARRAY_LEN(spans) && shown < 2; i++) {
		int64_t v = left / spans[i].seconds;

		left %= spans[i].seconds;
		if (!v)
			continue;
		n += snprintf(out + n, TIME_STR - (size_t)n, "%lld%s", (long long)v, spans[i].name);
		shown++;
	}
	snprintf(out + n, TIME_STR - (size_t)n, "%s %s", shown ? "" : "0s",
	    future && shown ? "from now" : "ago");
	return out;
}
