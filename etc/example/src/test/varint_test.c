#include "check.h"

static bool returns(uint64_t value, ptrdiff_t bytes)
{
	unsigned char data[10];
	uint64_t back = ~value;

	return varint_encode(value, data, sizeof(data)) == bytes &&
	    varint_decode(data, (size_t)bytes, &back) == bytes && back == value &&
	    varint_encode(value, data, (size_t)bytes - 1) == -1 && varint_decode(data, (size_t)bytes - 1, &back) == -1;
}

int main(void)
{
	unsigned char data[10];
	uint64_t value;

	CHECK(varint_encode(300, data, sizeof(data)) == 2 && data[0] == 0xAC && data[1] == 0x02);
	for (int bits = 0; bits < 64; bits++) {
		CHECK(returns((uint64_t)1 << bits, bits / 7 + 1));
		CHECK(returns(((uint64_t)1 << bits) - 1, bits ? (bits - 1) / 7 + 1 : 1));
	}
	CHECK(returns(UINT64_MAX, 10));
	CHECK(varint_decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &value) == -1); /* 65 bits */
	CHECK(varint_decode("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, &value) == -1);
	CHECK(varint_decode("", 0, &value) == -1);
	return check_result();
}
