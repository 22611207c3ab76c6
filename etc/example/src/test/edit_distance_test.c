#include "check.h"

int main(void)
{
	char long_text[300];

	CHECK(edit_distance("", "") == 0);
	CHECK(edit_distance("", "abc") == 3);
	CHECK(edit_distance("abc", "") == 3);
	CHECK(edit_distance("kitten", "sitting") == 3);
	CHECK(edit_distance("sitting", "kitten") == 3);
	CHECK(edit_distance("Saturday", "Sunday") == 3);
	CHECK(edit_distance("flaw", "lawn") == 2);
	CHECK(edit_distance("same", "same") == 0);
	memset(long_text, 'x', sizeof(long_text));
	long_text[255] = 0;
	CHECK(edit_distance("x", long_text) == 254);
	long_text[255] = 'x';
	long_text[256] = 0;
	CHECK(edit_distance("x", long_text) == -1);
	return check_result();
}
