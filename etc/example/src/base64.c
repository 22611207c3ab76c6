#include "kit.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

ptrdiff_t base64_encode(const void *data, size_t n, char *out, size_t room)
{
	const unsigned char *in = data;
	char *o = out;

	if (room < (n + 2) / 3 * 4 + 1)
		return -1;
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t bits = (uint32_t)in[i] << 16;

		bits |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		bits |= left > 2 ? in[i + 2] : 0;
		*o++ = digits[bits >> 18];
		*o++ = digits[bits >> 12 & 63];
		*o++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*o++ = left > 2 ? digits[bits & 63] : '=';
	}
	*o = 0;
	return o - out;
}

ptrdiff_t base64_decode(const char *text, void *out, size_t room)
{
	unsigned char *o = out;
	size_t n = strlen(text), padding = 0;
	uint32_t bits = 0;

	while (padding < 2 && n && text[n - 1] == '=') {
		padding++;
		n--;
	}
	if ((n + padding) % 4 || n * 3 / 4 > room)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const char *digit = strchr(digits, text[i]);

		if (!digit)
			return -1;
		bits = bits << 6 | (uint32_t)(digit - digits);
		/* Six bits came in; with eight or more pending, the highest eight go out. */
		if (i % 4)
			*o++ = (unsigned char)(bits >> (6 - 2 * (i % 4)));
	}
	/* The bits that the padding cuts off are zero, so that there is one text for each data. */
	if (padding && bits & ((1u << 2 * padding) - 1))
		return -1;
	return o - (unsigned char *)out;
}
