/*
 * base64: three bytes become four digits.
 */
#include "daemon/base64.h"

#include <errno.h>

void base64_put(struct buf *b, const void *data, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	char *out = buf_room(b, (n + 2) / 3 * 4);

	if (!out)
		return;
	for (; n >= 3; n -= 3, p += 3) {
		*out++ = digits[p[0] >> 2];
		*out++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
		*out++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
		*out++ = digits[p[2] & 63];
	}
	if (n) {
		*out++ = digits[p[0] >> 2];
		*out++ = digits[(p[0] & 3) << 4 | (n == 2 ? p[1] >> 4 : 0)];
		*out++ = n == 2 ? digits[(p[1] & 15) << 2] : '=';
		*out++ = '=';
	}
	b->len = (size_t)(out - b->data);
	b->data[b->len] = '\0';
}

static int digit_of(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A'
	    : c >= 'a' && c <= 'z'  ? c - 'a' + 26
	    : c >= '0' && c <= '9'  ? c - '0' + 52
	    : c == '+'              ? 62
	    : c == '/'              ? 63
	                            : -1;
}

int base64_take(struct buf *out, const char *s, size_t n)
{
	if (n % 4)
		return -EINVAL;
	for (; n; n -= 4, s += 4) {
		int pad = n > 4 || s[3] != '=' ? 0 : s[2] == '=' ? 2 : 1;
		uint32_t bits = 0;

		for (int i = 0; i < 4 - pad; i++) {
			int d = digit_of(s[i]);

			if (d < 0)
				return -EINVAL;
			bits |= (uint32_t)d << (18 - 6 * i);
		}
		for (int i = 0; i < 3 - pad; i++)
			buf_putc(out, (char)(bits >> (16 - 8 * i)));
	}
	return 0;
}
