#include "kit.h"

uint32_t crc32(const void *data, size_t n)
{
	const unsigned char *in = data;
	uint32_t sum = 0xFFFFFFFF;

	for (size_t i = 0; i < n; i++) {
		sum ^= in[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320 : 0);
	}
	return ~sum;
}
