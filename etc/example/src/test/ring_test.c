#include "check.h"

int main(void)
{
	char room[8], out[8];
	struct ring r;

	ring_init(&r, room, sizeof(room));
	CHECK(ring_take(&r, out, 8) == 0);
	CHECK(ring_put(&r, "abcdef", 6) == 6);
	CHECK(ring_take(&r, out, 4) == 4 && memcmp(out, "abcd", 4) == 0);
	CHECK(ring_put(&r, "ghijkl", 6) == 6); /* around the end */
	CHECK(ring_put(&r, "x", 1) == 0);      /* full */
	CHECK(ring_take(&r, out, 8) == 8 && memcmp(out, "efghijkl", 8) == 0);
	CHECK(r.len == 0);
	/* What goes in comes out in order, whatever the portions. */
	unsigned char next_in = 0, next_out = 0;

	for (int round = 0; round < 1000; round++) {
		unsigned char some[7], got[5];

		for (int i = 0; i < 7; i++)
			some[i] = (unsigned char)(next_in + i);
		next_in = (unsigned char)(next_in + ring_put(&r, some, (size_t)(round % 8)));
		size_t n = ring_take(&r, got, (size_t)(round % 6));

		for (size_t i = 0; i < n; i++)
			CHECK(got[i] == next_out++);
	}
	return check_result();
}
