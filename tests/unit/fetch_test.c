/* fetch: requests against peers on real sockets, most of which behave badly. */
#include "discovery/fetch.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <strings.h>

#include "base/clock.h"
#include "tests/lib/loop.h"
#include "tests/lib/responder.h"
#include "tests/lib/test.h"

/* One request and what became of it. */
struct shot {
	struct fetch *fetch;
	int done;
	struct fetch_answer answer; /* copied */
	size_t streamed;
	void (*in_data)(struct shot *);
	void (*in_done)(struct shot *);
	void *other;
};

struct place {
	struct event_base *base;
	struct fetcher *fetcher;
	struct responder *peer;
};

static struct place setup(serve_fn *serve, void *arg)
{
	struct place p = {.base = loop_new(), .peer = responder_start(serve, arg)};

	p.fetcher = fetcher_new(p.base);
	return p;
}

static void teardown(struct place *p)
{
	fetcher_free(p->fetcher);
	loop_free(p->base);
	if (p->peer)
		responder_stop(p->peer);
}

static void on_done(void *arg, struct fetch_answer *a)
{
	struct shot *s = arg;

	assert_int_equal(s->done, 0);
	s->done = 1;
	s->answer = *a;
	memset(a, 0, sizeof(*a)); /* ours now */
	if (s->in_done)
		s->in_done(s);
}

static void on_data(void *arg, const void *data UNUSED, size_t n)
{
	struct shot *s = arg;

	s->streamed += n;
	if (s->in_data)
		s->in_data(s);
}

static void shoot(struct place *p, struct shot *s, struct fetch_request r)
{
	s->fetch = fetch_start(p->fetcher, &r, on_done, s);
	assert_int_equal(s->done, 0);
}

/* Shoots and waits. */
static void get(struct place *p, struct shot *s, const char *path)
{
	shoot(p, s, (struct fetch_request){.url = responder_url(p->peer, path)});
	loop_until(p->base, &s->done);
}

static void forget(struct shot *s)
{
	fetch_answer_free(&s->answer);
}

/* ---- good peers ---- */

/* Answers each request with itself. */
static void serve_echo(struct responder *r UNUSED, int fd, int nth)
{
	cleanup_buf struct buf in = BUF_INIT;

	while (serve_read(fd, &in)) {
		char headers[64];

		snprintf(headers, sizeof(headers), "X-Consul-Index: 7\r\nX-Connection: %d\r\n", nth);
		serve_answer(fd, 200, headers, strncmp(in.data, "HEAD", 4) ? in.data : "");
	}
}

static void test_answers_bring_status_body_headers_and_index(void **state UNUSED)
{
	struct place p = setup(serve_echo, NULL);
	struct shot s = {0};
	char value[16];

	get(&p, &s, "/a?b=c");
	assert_int_equal(s.answer.err.code, 0);
	assert_int_equal(s.answer.status, 200);
	assert_int_equal(s.answer.index, 7);
	assert_true(s.answer.sent);
	assert_true(str_starts(s.answer.body.data, "GET /a?b=c HTTP/1.1\r\n"));
	assert_true(fetch_header(&s.answer.headers, "x-connection", value, sizeof(value)));
	assert_string_equal(value, "0");
	assert_false(fetch_header(&s.answer.headers, "X-Conn", value, sizeof(value)));
	assert_string_equal(value, "");
	forget(&s);
	teardown(&p);
}

static void test_every_method_goes_out_as_it_is_with_or_without_a_body(void **state UNUSED)
{
	static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "PATCH"};
	struct place p = setup(serve_echo, NULL);

	for (size_t i = 0; i < 2 * ARRAY_LEN(methods); i++) {
		const char *method = methods[i / 2], *body = i % 2 ? "{\"a\":1}" : NULL;
		struct shot s = {0};

		shoot(&p, &s,
		    (struct fetch_request){.url = responder_url(p.peer, "/x"), .method = method, .body = body, .body_len = body ? 7 : 0});
		loop_until(p.base, &s.done);
		assert_int_equal(s.answer.err.code, 0);
		assert_true(str_starts(s.answer.body.data, method));
		const char *end = strstr(s.answer.body.data, "\r\n\r\n") + 4;

		assert_string_equal(end, body ? body : "");
		assert_int_equal(strcasestr(s.answer.body.data, "content-type: application/json") != NULL, body != NULL);
		assert_null(strcasestr(s.answer.body.data, "urlencoded"));
		assert_null(strcasestr(s.answer.body.data, "expect:"));
		if (str_eq(method, "PUT") || str_eq(method, "POST"))
			assert_non_null(strcasestr(s.answer.body.data, body ? "content-length: 7" : "content-length: 0"));
		forget(&s);
	}
	assert_int_equal(responder_connections(p.peer), 1);
	teardown(&p);
}

static void test_head_has_no_body_and_does_not_wait_for_one(void **state UNUSED)
{
	struct place p = setup(serve_echo, NULL);
	struct shot s = {0};

	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/x"), .method = "HEAD"});
	loop_until(p.base, &s.done);
	assert_int_equal(s.answer.status, 200);
	assert_int_equal(s.answer.body.len, 0);
	forget(&s);
	teardown(&p);
}

static void test_a_connection_is_kept_for_the_next_request(void **state UNUSED)
{
	struct place p = setup(serve_echo, NULL);

	for (int i = 0; i < 20; i++) {
		struct shot s = {0};

		get(&p, &s, "/");
		assert_int_equal(s.answer.status, 200);
		forget(&s);
	}
	assert_int_equal(responder_connections(p.peer), 1);
	teardown(&p);
}

static void test_a_unix_socket_is_a_peer_like_others(void **state UNUSED)
{
	char path[] = "/tmp/drover-fetch-XXXXXX";
	int fd = mkstemp(path);
	struct place p = {.base = loop_new()};
	struct shot s = {0};

	close(fd);
	unlink(path);
	p.peer = responder_start_unix(path, serve_echo, NULL);
	p.fetcher = fetcher_new(p.base);
	shoot(&p, &s, (struct fetch_request){.url = "http://localhost/v1", .unix_socket = path});
	loop_until(p.base, &s.done);
	assert_int_equal(s.answer.status, 200);
	forget(&s);
	teardown(&p);
	unlink(path);
}

static void serve_by_path(struct responder *r, int fd, int nth UNUSED)
{
	cleanup_buf struct buf in = BUF_INIT;

	while (serve_read(fd, &in)) {
		if (str_starts(in.data, "GET /chunked"))
			serve_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n");
		else if (str_starts(in.data, "GET /continue"))
			serve_say(fd, "HTTP/1.1 100 Continue\r\nX-Consul-Index: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
				      "HTTP/1.1 201 Created\r\nX-Consul-Index: 2\r\nContent-Length: 2\r\n\r\nok");
		else if (str_starts(in.data, "GET /redirect"))
			serve_say(fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", responder_url(r, "/chunked"));
		else if (str_starts(in.data, "GET /minus"))
			serve_answer(fd, 200, "X-Consul-Index: -1\r\n", "");
		else if (str_starts(in.data, "GET /huge"))
			serve_answer(fd, 200, "X-Consul-Index: 99999999999999999999999\r\n", "");
		else if (str_starts(in.data, "GET /refused"))
			serve_answer(fd, 403, "", "Permission denied");
		else
			return serve_say(fd, "HTTP/1.0 200 OK\r\n\r\nold"); /* ended by the end of the connection */
	}
}

static void test_all_framings_of_an_answer_are_read(void **state UNUSED)
{
	struct place p = setup(serve_by_path, NULL);
	struct {
		const char *path, *body;
		int status;
		uint64_t index;
	} cases[] = {
	    {"/chunked", "abcdefg", 200, 0},
	    {"/continue", "ok", 201, 2},
	    {"/old", "old", 200, 0},
	    {"/minus", NULL, 200, 0},
	    {"/huge", NULL, 200, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shot s = {0};

		get(&p, &s, cases[i].path);
		assert_int_equal(s.answer.err.code, 0);
		assert_int_equal(s.answer.status, cases[i].status);
		assert_int_equal(s.answer.index, cases[i].index);
		if (cases[i].body)
			assert_string_equal(s.answer.body.data, cases[i].body);
		assert_null(strstr(s.answer.headers.data, "Early"));
		forget(&s);
	}
	teardown(&p);
}

static void test_a_redirect_is_an_answer_and_not_followed(void **state UNUSED)
{
	struct place p = setup(serve_by_path, NULL);
	struct shot s = {0};
	char to[128];

	get(&p, &s, "/redirect");
	assert_int_equal(s.answer.status, 302);
	assert_int_equal(s.answer.body.len, 0);
	assert_true(fetch_header(&s.answer.headers, "Location", to, sizeof(to)));
	forget(&s);
	teardown(&p);
}

static void test_only_success_gathers_the_text_of_a_refusal(void **state UNUSED)
{
	struct place p = setup(serve_by_path, NULL);
	struct shot s = {0}, ok = {0};

	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/refused"), .on_data = on_data, .only_success = true});
	shoot(&p, &ok, (struct fetch_request){.url = responder_url(p.peer, "/chunked"), .on_data = on_data, .only_success = true});
	loop_until(p.base, &s.done);
	loop_until(p.base, &ok.done);
	assert_string_equal(s.answer.body.data, "Permission denied");
	assert_int_equal(s.streamed, 0);
	assert_int_equal(ok.streamed, 7);
	assert_int_equal(ok.answer.body.len, 0);
	forget(&s);
	forget(&ok);
	teardown(&p);
}

/* ---- bad peers ---- */

static void serve_badly(struct responder *r, int fd, int nth UNUSED)
{
	cleanup_buf struct buf in = BUF_INIT;

	if (!serve_read(fd, &in))
		return;
	if (str_starts(in.data, "GET /silent"))
		serve_sleep(r, 20 * SECOND);
	if (str_starts(in.data, "GET /half"))
		serve_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	if (str_starts(in.data, "GET /halfchunk"))
		serve_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc");
	if (str_starts(in.data, "GET /badchunk"))
		serve_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n");
	if (str_starts(in.data, "GET /garbage"))
		serve_say(fd, "\x16\x03\x01 what is this\r\n\r\n");
	if (str_starts(in.data, "GET /drip")) {
		serve_say(fd, "HTTP/1.1 200 OK\r\n");
		while (serve_sleep(r, 20 * MILLI))
			serve_say(fd, "X-Drip: 1\r\n");
	}
	if (str_starts(in.data, "GET /headers")) {
		serve_say(fd, "HTTP/1.1 200 OK\r\n");
		for (int i = 0; i < 4000; i++)
			serve_say(fd, "X-Header-%d: and one more of them\r\n", i);
		serve_say(fd, "Content-Length: 0\r\n\r\n");
	}
	if (str_starts(in.data, "GET /big")) {
		serve_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
		for (int i = 0; i < 10000; i++)
			serve_say(fd, "%01000d", i);
	}
}

static void test_peers_that_break_their_word_give_an_error_that_names_the_url(void **state UNUSED)
{
	struct place p = setup(serve_badly, NULL);
	struct {
		const char *path;
		int code, status;
	} cases[] = {
	    {"/close", -EIO, 0},
	    {"/half", -EIO, 200},
	    {"/halfchunk", -EIO, 200},
	    {"/badchunk", -EIO, 200},
	    {"/garbage", -EIO, 0},
	    {"/drip", -ETIMEDOUT, 200},
	    {"/silent", -ETIMEDOUT, 0},
	    {"/headers", -EFBIG, 200},
	    {"/big", -EFBIG, 200},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shot s = {0};
		const char *url = responder_url(p.peer, cases[i].path);
		int64_t start = clock_monotonic();

		shoot(&p, &s, (struct fetch_request){.url = url, .timeout = cases[i].code == -ETIMEDOUT ? 300 * MILLI : 20 * SECOND,
				  .max_body = 100000});
		loop_until(p.base, &s.done);
		if (s.answer.err.code != cases[i].code || s.answer.status != cases[i].status)
			fail_msg("%s: %d %d %s", url, s.answer.err.code, s.answer.status, err_str(&s.answer.err));
		assert_true(str_starts(err_str(&s.answer.err), url));
		assert_true(s.answer.sent);
		assert_true(clock_monotonic() - start < 10 * SECOND);
		forget(&s);
	}
	teardown(&p);
}

static void test_what_was_never_sent_is_known_not_to_have_been(void **state UNUSED)
{
	struct place p = setup(serve_badly, NULL);
	struct {
		const char *url, *unix_socket;
		int code;
	} cases[] = {
	    {"http://127.0.0.1:1/", NULL, -ECONNREFUSED},
	    {"http://localhost/", "/nonexistent/socket", -ECONNREFUSED},
	    {"http://127.0.0.1:1/\r\nX: y", NULL, -EINVAL},
	    {"ftp://127.0.0.1/", NULL, -EINVAL},
	    {"file:///etc/passwd", NULL, -EINVAL},
	    {"", NULL, -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shot s = {0};

		shoot(&p, &s, (struct fetch_request){.url = cases[i].url, .unix_socket = cases[i].unix_socket});
		loop_until(p.base, &s.done);
		if (s.answer.err.code != cases[i].code)
			fail_msg("%s: %d %s", cases[i].url, s.answer.err.code, err_str(&s.answer.err));
		assert_false(s.answer.sent);
		forget(&s);
	}
	teardown(&p);
}

static void test_a_deadline_that_has_passed_ends_the_request(void **state UNUSED)
{
	struct place p = setup(serve_badly, NULL);
	struct shot s = {0};

	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/silent"), .timeout = -SECOND});
	loop_until(p.base, &s.done);
	assert_int_equal(s.answer.err.code, -ETIMEDOUT);
	forget(&s);
	teardown(&p);
}

static void test_an_answer_that_stands_still_is_given_up(void **state UNUSED)
{
	struct place p = setup(serve_badly, NULL);
	struct shot s = {0};

	shoot(&p, &s,
	    (struct fetch_request){.url = responder_url(p.peer, "/silent"), .timeout = NEVER, .idle_timeout = SECOND});
	loop_until(p.base, &s.done);
	assert_int_equal(s.answer.err.code, -ETIMEDOUT);
	forget(&s);
	teardown(&p);
}

/* Answers the first request of the first connection, and closes after having read the second. */
static void serve_once_kept(struct responder *r, int fd, int nth)
{
	cleanup_buf struct buf in = BUF_INIT;
	int *requests = responder_arg(r);

	while (serve_read(fd, &in)) {
		__atomic_add_fetch(requests, 1, __ATOMIC_SEQ_CST);
		if (nth == 0 && *requests > 1)
			return;
		serve_answer(fd, 200, "", "ok");
	}
}

static void test_a_body_is_never_sent_twice_even_when_a_kept_connection_dies(void **state UNUSED)
{
	for (int with_body = 0; with_body < 2; with_body++) {
		int requests = 0;
		struct place p = setup(serve_once_kept, &requests);
		struct shot first = {0}, second = {0};

		get(&p, &first, "/");
		shoot(&p, &second, (struct fetch_request){.url = responder_url(p.peer, "/"),
				       .method = with_body ? "PUT" : "GET",
				       .body = with_body ? "x" : NULL,
				       .body_len = (size_t)with_body});
		loop_until(p.base, &second.done);
		assert_int_equal(second.answer.err.code, with_body ? -EIO : 0);
		assert_true(second.answer.sent);
		assert_int_equal(requests, with_body ? 2 : 3);
		forget(&first);
		forget(&second);
		teardown(&p);
	}
}

/* ---- callers that cancel, start and pause wherever they please ---- */

static void serve_stream(struct responder *r, int fd, int nth UNUSED)
{
	cleanup_buf struct buf in = BUF_INIT;

	if (!serve_read(fd, &in))
		return;
	serve_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	for (int i = 0; i < 200 && serve_sleep(r, MILLI); i++)
		serve_say(fd, "%01000d", i);
}

static void cancel_self(struct shot *s)
{
	fetch_cancel(s->fetch);
	s->in_data = NULL;
	*(int *)s->other = 1;
}

static void test_a_request_may_be_cancelled_from_its_own_data(void **state UNUSED)
{
	struct place p = setup(serve_stream, NULL);
	int cancelled = 0;
	struct shot s = {.in_data = cancel_self, .other = &cancelled};

	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/"), .on_data = on_data});
	loop_until(p.base, &cancelled);
	size_t streamed = s.streamed;

	loop_for(p.base, 100 * MILLI);
	assert_int_equal(s.streamed, streamed);
	assert_int_equal(s.done, 0);
	teardown(&p);
}

static void cancel_other(struct shot *s)
{
	struct shot *other = s->other;

	fetch_cancel(STEAL(other->fetch));
}

static void test_a_request_may_be_cancelled_from_the_data_of_another(void **state UNUSED)
{
	struct place p = setup(serve_stream, NULL);
	struct shot other = {0}, s = {.in_data = cancel_other, .other = &other};

	shoot(&p, &other, (struct fetch_request){.url = responder_url(p.peer, "/"), .on_data = on_data});
	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/"), .on_data = on_data});
	loop_until(p.base, &s.done);
	assert_int_equal(s.streamed, 200000);
	assert_int_equal(other.done, 0);
	assert_null(other.fetch);
	forget(&s);
	teardown(&p);
}

static void cancel_self_when_done(struct shot *s)
{
	fetch_cancel(s->fetch); /* nothing to cancel any more */
	cancel_other(s);
}

static void test_done_may_cancel_another_that_is_finished_too(void **state UNUSED)
{
	for (int i = 0; i < 20; i++) {
		struct place p = setup(serve_echo, NULL);
		struct shot b = {0}, a = {.in_done = cancel_self_when_done, .other = &b};

		b.in_done = NULL;
		shoot(&p, &a, (struct fetch_request){.url = "http://127.0.0.1:1/"});
		shoot(&p, &b, (struct fetch_request){.url = "http://127.0.0.1:1/"});
		loop_until(p.base, &a.done);
		loop_for(p.base, 10 * MILLI);
		forget(&a);
		forget(&b);
		teardown(&p);
	}
}

struct starter {
	struct place *place;
	struct shot second;
};

static void start_another(struct shot *s)
{
	struct starter *st = s->other;

	if (!st->second.fetch)
		shoot(st->place, &st->second, (struct fetch_request){.url = responder_url(st->place->peer, "/2")});
}

static void test_a_request_may_be_started_from_the_data_of_another(void **state UNUSED)
{
	struct place p = setup(serve_stream, NULL);
	struct starter st = {.place = &p};
	struct shot s = {.in_data = start_another, .other = &st};

	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/1"), .on_data = on_data});
	loop_until(p.base, &s.done);
	loop_until(p.base, &st.second.done);
	assert_int_equal(st.second.answer.status, 200);
	assert_int_equal(st.second.answer.body.len, 200000);
	forget(&s);
	forget(&st.second);
	teardown(&p);
}

static void pause_self(struct shot *s)
{
	fetch_pause(s->fetch, true);
}

static void test_a_paused_request_gets_every_byte_once_it_is_resumed(void **state UNUSED)
{
	struct place p = setup(serve_stream, NULL);
	struct shot s = {.in_data = pause_self};

	shoot(&p, &s, (struct fetch_request){.url = responder_url(p.peer, "/"), .on_data = on_data, .timeout = NEVER});
	for (size_t last = 0; !s.done; last = s.streamed) {
		loop_for(p.base, 20 * MILLI);
		assert_true(s.done || s.streamed == last || s.streamed - last <= 16384);
		if (!s.done)
			fetch_pause(s.fetch, false);
	}
	assert_int_equal(s.answer.err.code, 0);
	assert_int_equal(s.streamed, 200000);
	forget(&s);
	teardown(&p);
}

static void test_freeing_the_fetcher_cancels_everything(void **state UNUSED)
{
	struct place p = setup(serve_stream, NULL);
	struct shot shots[8] = {0};

	for (size_t i = 0; i < ARRAY_LEN(shots); i++)
		shoot(&p, &shots[i], (struct fetch_request){.url = i % 2 ? "http://127.0.0.1:1/" : responder_url(p.peer, "/")});
	loop_for(p.base, 5 * MILLI);
	for (size_t i = 0; i < ARRAY_LEN(shots); i++)
		forget(&shots[i]);
	memset(shots, 0, sizeof(shots));
	teardown(&p);
	for (size_t i = 0; i < ARRAY_LEN(shots); i++)
		assert_int_equal(shots[i].done, 0);
}

/* ---- blocking ---- */

static void test_a_channel_keeps_its_connection(void **state UNUSED)
{
	struct responder *peer = responder_start(serve_echo, NULL);
	struct fetch_channel *ch = fetch_channel_new();

	for (int i = 0; i < 10; i++) {
		struct fetch_answer a;
		struct fetch_request r = {.url = responder_url(peer, "/"), .method = i % 2 ? "PUT" : NULL, .body = i % 2 ? "x" : NULL, .body_len = i % 2};

		assert_int_equal(fetch_channel_do(ch, &r, &a), 0);
		assert_true(str_starts(a.body.data, i % 2 ? "PUT" : "GET"));
		assert_int_equal(strstr(a.body.data, "\r\n\r\n")[4], i % 2 ? 'x' : 0);
		fetch_answer_free(&a);
	}
	assert_int_equal(responder_connections(peer), 1);
	fetch_channel_free(ch);
	responder_stop(peer);
}

struct blocked {
	struct fetch_channel *channel;
	const char *url;
	int code;
};

static void *run_blocked(void *arg)
{
	struct blocked *b = arg;
	struct fetch_answer a;

	b->code = fetch_channel_do(b->channel, &(struct fetch_request){.url = b->url, .timeout = MINUTE}, &a);
	fetch_answer_free(&a);
	return NULL;
}

static void test_a_channel_is_stopped_from_another_thread(void **state UNUSED)
{
	struct responder *peer = responder_start(serve_badly, NULL);
	struct blocked b = {.channel = fetch_channel_new(), .url = responder_url(peer, "/silent")};
	pthread_t thread;
	int64_t start = clock_monotonic();

	pthread_create(&thread, NULL, run_blocked, &b);
	usleep(100000);
	fetch_channel_stop(b.channel);
	pthread_join(thread, NULL);
	assert_int_equal(b.code, -ECANCELED);
	assert_true(clock_monotonic() - start < 10 * SECOND);
	run_blocked(&b);
	assert_int_equal(b.code, -ECANCELED);
	fetch_channel_free(b.channel);
	responder_stop(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers_bring_status_body_headers_and_index),
	    cmocka_unit_test(test_every_method_goes_out_as_it_is_with_or_without_a_body),
	    cmocka_unit_test(test_head_has_no_body_and_does_not_wait_for_one),
	    cmocka_unit_test(test_a_connection_is_kept_for_the_next_request),
	    cmocka_unit_test(test_a_unix_socket_is_a_peer_like_others),
	    cmocka_unit_test(test_all_framings_of_an_answer_are_read),
	    cmocka_unit_test(test_a_redirect_is_an_answer_and_not_followed),
	    cmocka_unit_test(test_only_success_gathers_the_text_of_a_refusal),
	    cmocka_unit_test(test_peers_that_break_their_word_give_an_error_that_names_the_url),
	    cmocka_unit_test(test_what_was_never_sent_is_known_not_to_have_been),
	    cmocka_unit_test(test_a_deadline_that_has_passed_ends_the_request),
	    cmocka_unit_test(test_an_answer_that_stands_still_is_given_up),
	    cmocka_unit_test(test_a_body_is_never_sent_twice_even_when_a_kept_connection_dies),
	    cmocka_unit_test(test_a_request_may_be_cancelled_from_its_own_data),
	    cmocka_unit_test(test_a_request_may_be_cancelled_from_the_data_of_another),
	    cmocka_unit_test(test_done_may_cancel_another_that_is_finished_too),
	    cmocka_unit_test(test_a_request_may_be_started_from_the_data_of_another),
	    cmocka_unit_test(test_a_paused_request_gets_every_byte_once_it_is_resumed),
	    cmocka_unit_test(test_freeing_the_fetcher_cancels_everything),
	    cmocka_unit_test(test_a_channel_keeps_its_connection),
	    cmocka_unit_test(test_a_channel_is_stopped_from_another_thread),
	};

	return RUN_TESTS(tests);
}
