#include "check.h"

static bool pair(const char *data, const char *text)
{
	char encoded[64], decoded[64];
	size_t n = strlen(data);

	return base64_encode(data, n, encoded, sizeof(encoded)) == (ptrdiff_t)strlen(text) &&
	    strcmp(encoded, text) == 0 && base64_decode(text, decoded, sizeof(decoded)) == (ptrdiff_t)n &&
	    memcmp(decoded, data, n) == 0;
}

int main(void)
{
	char out[8];

	/* RFC 4648, section 10. */
	CHECK(pair("", ""));
	CHECK(pair("f", "Zg=="));
	CHECK(pair("fo", "Zm8="));
	CHECK(pair("foo", "Zm9v"));
	CHECK(pair("foob", "Zm9vYg=="));
	CHECK(pair("fooba", "Zm9vYmE="));
	CHECK(pair("foobar", "Zm9vYmFy"));
	CHECK(pair("\xfb\xff\xbf", "+/+/"));
	CHECK(base64_decode("Zm9", out, sizeof(out)) == -1);
	CHECK(base64_decode("Zh==", out, sizeof(out)) == -1); /* bits that no encoder leaves */
	CHECK(base64_decode("Z===", out, sizeof(out)) == -1);
	CHECK(base64_decode("Zm 9", out, sizeof(out)) == -1);
	CHECK(base64_decode("Zm9vYmFyZm9v", out, sizeof(out)) == -1); /* 9 bytes */
	CHECK(base64_encode("foobar", 6, out, sizeof(out)) == -1);
	return check_result();
}
