#include "check.h"

int main(void)
{
	char out[16];

	CHECK(percent_encode("a b&c", out, sizeof(out)) == 9);
	CHECK(strcmp(out, "a%20b%26c") == 0);
	CHECK(percent_encode("-._~09azAZ", out, sizeof(out)) == 10);
	CHECK(strcmp(out, "-._~09azAZ") == 0);
	CHECK(percent_encode("\xc3\xa4", out, sizeof(out)) == 6);
	CHECK(strcmp(out, "%C3%A4") == 0);
	CHECK(percent_encode("      ", out, sizeof(out)) == -1);
	CHECK(percent_encode("12345", out, 5) == -1);
	CHECK(percent_encode("1234", out, 5) == 4);
	CHECK(percent_decode("a%20b%26c", out, sizeof(out)) == 5);
	CHECK(strcmp(out, "a b&c") == 0);
	CHECK(percent_decode("a+b", out, sizeof(out)) == 3);
	CHECK(strcmp(out, "a+b") == 0);
	CHECK(percent_decode("%", out, sizeof(out)) == -1);
	CHECK(percent_decode("%4", out, sizeof(out)) == -1);
	CHECK(percent_decode("%zz", out, sizeof(out)) == -1);
	CHECK(percent_decode("%00", out, sizeof(out)) == -1);
	CHECK(percent_decode("123", out, 3) == -1);
	return check_result();
}
