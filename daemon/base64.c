/*
 * base64: three bytes become four digits.
 */
#include "daemon/base64.h"

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
