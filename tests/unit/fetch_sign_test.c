/* fetch: requests that are signed for AWS. That the signature is right is checked by tests/e2e/cloud.py, from what it receives. */
#include <strings.h>

#include "discovery/fetch.h"
#include "tests/lib/responder.h"
#include "tests/lib/test.h"

#define BODY "Action=Do&Name=a%20b"

static const struct fetch_aws aws = {"eu-west-1", "autoscaling", "AKIDEXAMPLE", "the secret", "the session"};

/* Says what it got; hangs up on a second connection's request without a word. */
static void serve_echo(struct responder *r UNUSED, int fd, int nth)
{
	struct buf request = BUF_INIT;

	if (serve_read(fd, &request) && nth == 0)
		serve_answer(fd, 200, "", request.data);
	buf_free(&request);
}

static void shoot(struct responder *peer, struct fetch_channel *c, struct fetch_answer *out)
{
	const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};

	fetch_channel_do(c,
	    &(struct fetch_request){.method = "POST",
		.url = responder_url(peer, "/"),
		.headers = headers,
		.body = BODY,
		.body_len = strlen(BODY),
		.aws = &aws},
	    out);
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	for (const char *p = text; (p = strcasestr(p, word)); p += strlen(word))
		n++;
	return n;
}

static void test_what_is_signed_is_what_is_sent_and_the_secret_is_not(void **state UNUSED)
{
	struct responder *peer = responder_start(serve_echo, NULL);
	struct fetch_channel *c = fetch_channel_new();
	struct fetch_answer answer;
	char host[64];

	shoot(peer, c, &answer);
	assert_int_equal(answer.err.code, 0);
	const char *text = answer.body.data;

	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", responder_port(peer));
	assert_int_equal(count(text, "\r\nhost:"), 1);
	assert_int_equal(count(text, host), 1);
	assert_int_equal(count(text, "\r\nauthorization: "), 1);
	assert_non_null(strstr(text, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
	assert_non_null(strstr(text, "/eu-west-1/autoscaling/aws4_request,"));
	assert_non_null(strstr(text, "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"));
	assert_int_equal(count(text, "\r\nx-amz-security-token: the session\r\n"), 1);
	assert_int_equal(count(text, "\r\nx-amz-date: "), 1);
	assert_int_equal(count(text, "\r\nexpect:"), 0);
	assert_string_equal(strstr(text, "\r\n\r\n") + 4, BODY);
	assert_null(strstr(text, aws.secret));
	fetch_answer_free(&answer);
	fetch_channel_free(c);
	responder_stop(peer);
}

static void test_a_signed_request_is_sent_once_whatever_becomes_of_its_connection(void **state UNUSED)
{
	struct responder *peer = responder_start(serve_echo, NULL);
	struct fetch_channel *c = fetch_channel_new();
	struct fetch_answer answer;

	for (int i = 0; i < 2; i++) {
		shoot(peer, c, &answer);
		assert_int_equal(answer.status, i ? 0 : 200);
		assert_int_equal(answer.err.code != 0, i);
		assert_true(answer.sent);
		fetch_answer_free(&answer);
		assert_int_equal(responder_connections(peer), i + 1);
	}
	fetch_channel_free(c);
	responder_stop(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_signed_is_what_is_sent_and_the_secret_is_not),
	    cmocka_unit_test(test_a_signed_request_is_sent_once_whatever_becomes_of_its_connection),
	};

	return RUN_TESTS(tests);
}
