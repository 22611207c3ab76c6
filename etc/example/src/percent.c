#include "kit.h"

#include <string.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
static const char digits[] = "0123456789ABCDEFabcdef";

ptrdiff_t percent_encode(const char *text, char *out, size_t room)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool as_it_is = strchr(plain, *text) != NULL;

		if (n + (as_it_is ? 1 : 3) >= room)
			return -1;
		out[n++] = as_it_is ? *text : '%';
		if (!as_it_is) {
			out[n++] = digits[c >> 4];
			out[n++] = digits[c & 15];
		}
	}
	if (n >= room)
		return -1;
	out[n] = 0;
	return (ptrdiff_t)n;
}

/* Of the digit c; -1 when it is none. */
static int digit_value(char c)
{
	const char *digit = c ? strchr(digits, c) : NULL;

	if (!digit)
		return -1;
	return (int)(digit - digits) - (digit - digits > 15 ? 6 : 0);
}

ptrdiff_t percent_decode(const char *text, char *out, size_t room)
{
	size_t n = 0;

	for (; *text; text++) {
		char c = *text;

		if (c == '%') {
			int high = digit_value(text[1]), low = high < 0 ? -1 : digit_value(text[2]);

			if (low < 0 || high + low == 0) /* %00 would end the text early */
				return -1;
			c = (char)(high << 4 | low);
			text += 2;
		}
		if (n + 1 >= room)
			return -1;
		out[n++] = c;
	}
	if (n >= room)
		return -1;
	out[n] = 0;
	return (ptrdiff_t)n;
}
