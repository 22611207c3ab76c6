#include "kit.h"

ptrdiff_t varint_encode(uint64_t value, void *out, size_t room)
{
	unsigned char *o = out;
	size_t n = 0;

	do {
		if (n == room)
			return -1;
		o[n++] = (unsigned char)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
		value >>= 7;
	} while (value);
	return (ptrdiff_t)n;
}

ptrdiff_t varint_decode(const void *data, size_t n, uint64_t *value)
{
	const unsigned char *in = data;
	uint64_t v = 0;

	for (size_t i = 0; i < n && i < 10; i++) {
		if (i == 9 && in[i] > 1) /* beyond 64 bits */
			return -1;
		v |= (uint64_t)(in[i] & 0x7F) << 7 * i;
		if (in[i] < 0x80) {
			*value = v;
			return (ptrdiff_t)(i + 1);
		}
	}
	return -1;
}
