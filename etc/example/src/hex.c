#include "kit.h"

ptrdiff_t hex_encode(const void *data, size_t n, char *out, size_t room)
{
	const unsigned char *in = data;

	if (room < 2 * n + 1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = "0123456789abcdef"[in[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
	}
	out[2 * n] = 0;
	return (ptrdiff_t)(2 * n);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

ptrdiff_t hex_decode(const char *text, void *out, size_t room)
{
	unsigned char *o = out;
	size_t n = 0;

	for (; *text; text += 2) {
		int high = digit_value(text[0]), low = high < 0 ? -1 : digit_value(text[1]);

		if (low < 0 || n == room)
			return -1;
		o[n++] = (unsigned char)(high << 4 | low);
	}
	return (ptrdiff_t)n;
}
