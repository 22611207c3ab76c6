/* What followed files and logs travel in: base64, and JSON objects without a separator, cut anywhere. */
#include "daemon/base64.h"
#include "daemon/frames.h"
#include "tests/lib/test.h"

#include <errno.h>

static void test_base64_comes_back_as_it_was(void **state)
{
	unsigned char bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t n = 0; n < sizeof(bytes); n++) {
		cleanup_buf struct buf text = BUF_INIT, back = BUF_INIT;

		base64_put(&text, bytes, n);
		assert_int_equal(text.len, (n + 2) / 3 * 4);
		assert_int_equal(base64_take(&back, text.data, text.len), 0);
		assert_int_equal(back.len, n);
		assert_true(!n || memcmp(back.data, bytes, n) == 0);
	}
}

static void test_what_is_no_base64_is_refused(void **state)
{
	static const char *const bad[] = {"A", "AB", "ABC", "A===", "====", "AB=C", "A B=", "AB\n=", "ABC=ABCD", "\xff\xff\xff\xff"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_buf struct buf b = BUF_INIT;

		if (base64_take(&b, bad[i], strlen(bad[i])) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

struct heard {
	struct buf data, events;
};

static void on_data(void *arg, const void *p, size_t n)
{
	buf_put(&((struct heard *)arg)->data, p, n);
}

static void on_event(void *arg, const char *event)
{
	buf_printf(&((struct heard *)arg)->events, "[%s]", event);
}

/* Feeds the text in pieces of n bytes. */
static int feed(const char *text, size_t n, struct heard *h, struct err *e)
{
	struct frames f = {.on_data = on_data, .on_event = on_event, .arg = h};
	size_t len = strlen(text);
	int rc = 0;

	for (size_t i = 0; i < len && rc == 0; i += n)
		rc = frames_feed(&f, text + i, MIN(n, len - i), e);
	frames_clear(&f);
	return rc;
}

static void test_frames_may_be_cut_anywhere(void **state)
{
	static const char text[] = "{\"Data\":\"d29ya2luZwo=\",\"File\":\"a}\\\"{b\",\"Offset\":8}{}{}\n{\"FileEvent\":\"file truncated\"}"
	                           "{\"Data\":\"ZG9uZQo=\",\"Nested\":{\"a\":{}}}";

	(void)state;
	for (size_t n = 1; n <= sizeof(text); n++) {
		struct heard h = {0};

		assert_int_equal(feed(text, n, &h, NULL), 0);
		assert_string_equal(h.data.data, "working\ndone\n");
		assert_string_equal(h.events.data, "[file truncated]");
		buf_free(&h.data);
		buf_free(&h.events);
	}
}

static void test_what_are_no_frames_is_refused(void **state)
{
	static const char *const bad[] = {"x", "[]", "{}x", "{\"Data\":}", "{\"Data\":\"?\"}", "{\"Data\" \"x\"}", "}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_err struct err e = ERR_INIT;
		struct heard h = {0};

		assert_int_equal(feed(bad[i], 3, &h, &e), -EPROTO);
		assert_non_null(strstr(err_str(&e), "stream"));
		assert_int_equal(h.data.len, 0);
	}
}

static void test_a_frame_has_a_bound(void **state)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_free char *text = xmalloc((5 << 20) + 1);
	struct heard h = {0};

	(void)state;
	memset(text, 'A', 5 << 20);
	memcpy(text, "{\"Data\":\"", 9);
	text[5 << 20] = '\0';
	assert_int_equal(feed(text, 65536, &h, &e), -EPROTO);
	assert_non_null(strstr(err_str(&e), "larger than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_base64_comes_back_as_it_was),
	    cmocka_unit_test(test_what_is_no_base64_is_refused),
	    cmocka_unit_test(test_frames_may_be_cut_anywhere),
	    cmocka_unit_test(test_what_are_no_frames_is_refused),
	    cmocka_unit_test(test_a_frame_has_a_bound),
	};

	return RUN_TESTS(tests);
}
