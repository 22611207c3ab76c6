#include "check.h"

static int length(const char *text)
{
	uint32_t unused;

	return utf8_decode(text, strlen(text), &unused);
}

static uint32_t first(const char *text)
{
	uint32_t c = 0;

	return utf8_decode(text, strlen(text), &c) > 0 ? c : 0;
}

int main(void)
{
	CHECK(length("") == 0);
	CHECK(length("a") == 1 && first("a") == 'a');
	CHECK(length("\xc3\xa4") == 2 && first("\xc3\xa4") == 0xE4);
	CHECK(length("\xe2\x82\xac") == 3 && first("\xe2\x82\xac") == 0x20AC);
	CHECK(length("\xf0\x9f\x9a\x9a") == 4 && first("\xf0\x9f\x9a\x9a") == 0x1F69A);
	CHECK(length("\xf4\x8f\xbf\xbf") == 4 && first("\xf4\x8f\xbf\xbf") == 0x10FFFF);
	CHECK(length("\xc0\x80") == -1);         /* too long a form of NUL */
	CHECK(length("\xe0\x80\xaf") == -1);
	CHECK(length("\xed\xa0\x80") == -1);     /* a surrogate */
	CHECK(length("\xf4\x90\x80\x80") == -1); /* beyond U+10FFFF */
	CHECK(length("\x80") == -1);
	CHECK(length("\xff") == -1);
	CHECK(length("\xe2\x82") == -1); /* cut off */
	CHECK(length("\xe2""a\xac") == -1);
	return check_result();
}
