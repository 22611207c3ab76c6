#include "check.h"

int main(void)
{
	CHECK(natural_compare("", "") == 0);
	CHECK(natural_compare("", "a") < 0);
	CHECK(natural_compare("file9", "file10") < 0);
	CHECK(natural_compare("file10", "file9") > 0);
	CHECK(natural_compare("file010", "file10") == 0);
	CHECK(natural_compare("file10a", "file10b") < 0);
	CHECK(natural_compare("1.10.2", "1.9.3") > 0);
	CHECK(natural_compare("a", "b") < 0);
	CHECK(natural_compare("a1", "aa") < 0);
	CHECK(natural_compare("x0", "x") > 0);
	CHECK(natural_compare("99999999999999999999998", "99999999999999999999999") < 0); /* beyond 64 bits */
	CHECK(natural_compare("\xc3\xa4", "z") > 0);
	return check_result();
}
