#include "check.h"

int main(void)
{
	unsigned char data[4];
	char text[9];

	CHECK(hex_encode("\x00\xff\x1a\xb2", 4, text, sizeof(text)) == 8);
	CHECK(strcmp(text, "00ff1ab2") == 0);
	CHECK(hex_decode("00FF1aB2", data, sizeof(data)) == 4);
	CHECK(memcmp(data, "\x00\xff\x1a\xb2", 4) == 0);
	CHECK(hex_decode("", data, sizeof(data)) == 0);
	CHECK(hex_decode("0", data, sizeof(data)) == -1);
	CHECK(hex_decode("0g", data, sizeof(data)) == -1);
	CHECK(hex_decode("0011223344", data, sizeof(data)) == -1);
	CHECK(hex_encode("abcd", 4, text, 8) == -1);
	return check_result();
}
