/* uuid: text forms, random ids and derived ids. The pool of random bytes is the process's. */
#include "base/uuid.h"

#include <errno.h>
#include <sys/random.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool is_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

/* Reads up to 36 characters; returns how many were good, the digits are left-aligned in *out. */
static size_t scan(const char *s, struct uuid *out)
{
	unsigned digits = 0;
	size_t i;

	*out = (struct uuid){0};
	for (i = 0; i < 36 && s[i]; i++) {
		int d;

		if (is_dash(i)) {
			if (s[i] != '-')
				break;
			continue;
		}
		d = hex_digit(s[i]);
		if (d < 0)
			break;
		if (digits < 16)
			out->hi |= (uint64_t)d << (60 - 4 * digits);
		else
			out->lo |= (uint64_t)d << (60 - 4 * (digits - 16));
		digits++;
	}
	return i;
}

int uuid_parse(const char *s, struct uuid *out)
{
	struct uuid u;

	if (scan(s, &u) != 36 || s[36])
		return -EINVAL;
	*out = u;
	return 0;
}

int uuid_prefix(const char *s, struct uuid *first, struct uuid *last)
{
	struct uuid u;
	size_t n = scan(s, &u), digits = 0;

	if (!n || s[n])
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		digits += !is_dash(i);
	*first = u;
	*last = u;
	if (digits < 16)
		last->hi |= UINT64_MAX >> (4 * digits);
	if (digits <= 16)
		last->lo = UINT64_MAX;
	else if (digits < 32)
		last->lo |= UINT64_MAX >> (4 * (digits - 16));
	return 0;
}

const char *uuid_format(struct uuid u, char out[UUID_STR])
{
	static const char hex[] = "0123456789abcdef";
	unsigned digits = 0;

	if (uuid_is_nil(u)) {
		out[0] = 0;
		return out;
	}
	for (size_t i = 0; i < 36; i++) {
		uint64_t half = digits < 16 ? u.hi : u.lo;

		if (is_dash(i)) {
			out[i] = '-';
			continue;
		}
		out[i] = hex[half >> (60 - 4 * (digits & 15)) & 15];
		digits++;
	}
	out[36] = 0;
	return out;
}

/* Version 4, variant 1, as RFC 4122 has it for ids without a meaning. */
static struct uuid mark_v4(struct uuid u)
{
	u.hi = (u.hi & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
	u.lo = (u.lo & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62);
	return u;
}

struct uuid uuid_random(void)
{
	static _Thread_local struct uuid pool[64];
	static _Thread_local unsigned left;

	if (!left) {
		if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool))
			die("the kernel gives no random bytes: %s", strerror(errno));
		left = ARRAY_LEN(pool);
	}
	return mark_v4(pool[--left]);
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection that mixes every bit. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct uuid uuid_derive(struct uuid seed, uint64_t n)
{
	uint64_t step = n + UINT64_C(0x9e3779b97f4a7c15);
	uint64_t a = mix(seed.hi ^ mix(step));
	uint64_t b = mix(seed.lo + mix(a ^ step));

	return mark_v4((struct uuid){.hi = mix(a + b), .lo = b});
}
