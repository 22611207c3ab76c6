#include "check.h"

int main(void)
{
	const char *fox = "The quick brown fox jumps over the lazy dog";

	CHECK(crc32("", 0) == 0);
	CHECK(crc32("123456789", 9) == 0xCBF43926);
	CHECK(crc32("a", 1) == 0xE8B7BE43);
	CHECK(crc32(fox, strlen(fox)) == 0x414FA339);
	CHECK(crc32("\0\0\0\0", 4) == 0x2144DF1C);
	return check_result();
}
