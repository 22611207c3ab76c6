#include "kit.h"

int utf8_decode(const char *text, size_t n, uint32_t *character)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; /* that needs so many bytes */
	const unsigned char *in = (const unsigned char *)text;
	uint32_t c;
	int bytes;

	if (!n)
		return 0;
	if (in[0] < 0x80)
		bytes = 1;
	else if (in[0] >= 0xC0 && in[0] < 0xE0)
		bytes = 2;
	else if (in[0] >= 0xE0 && in[0] < 0xF0)
		bytes = 3;
	else if (in[0] >= 0xF0 && in[0] < 0xF8)
		bytes = 4;
	else
		return -1;
	if ((size_t)bytes > n)
		return -1;
	c = bytes == 1 ? in[0] : in[0] & (0x7Fu >> bytes);
	for (int i = 1; i < bytes; i++) {
		if ((in[i] & 0xC0) != 0x80)
			return -1;
		c = c << 6 | (in[i] & 0x3F);
	}
	if (c < smallest[bytes] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return -1;
	*character = c;
	return bytes;
}
