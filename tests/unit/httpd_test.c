/*
 * httpd: real sockets against the real routes on a core with the memory journal. One thread: the test turns the loop
 * itself while it waits for bytes.
 */
#include "tests/lib/http_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/server.h"

static int set_up(void **state)
{
	*state = http_start("memory", NULL);
	return 0;
}

static int tear_down(void **state)
{
	http_stop(*state);
	return 0;
}

static void test_known_paths_answer_and_others_do_not(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "\r\n\r\n[]");
	expect(f, "GET /v1/jobs?pretty HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 3\r\n", "\r\n\r\n[]\n");
	expect(f, "GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", "Content-Length: 0\r\n\r\n");
	expect(f, "GET /v1/jobs/ HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", "Content-Length: 0\r\n\r\n");
	expect(f, "GET /v1//jobs HTTP/1.1\r\nHost: x\r\n\r\n", "301 Moved Permanently", "Location: /v1/jobs\r\n");
	expect(f, "GET http://h/v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "\r\n\r\n[]");
	expect(f, "GET /v1/jobs?region=mars HTTP/1.1\r\nHost: x\r\n\r\n", "500 Internal", "No path to region");
}

static void test_a_wrong_verb_is_405(void **state)
{
	static const char *const verbs[] = {"DELETE", "PATCH", "OPTIONS", "TRACE"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		cleanup_free char *request = xasprintf("%s /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", verbs[i]);

		expect(f, request, "405 Method Not Allowed", "\r\n\r\nInvalid method");
	}
	expect(f, "POST /v1/system/gc HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405", "Invalid method");
	expect(f, "HEAD /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "405", "\r\n\r\n");
}

static void test_index_and_wait_are_checked(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET /v1/jobs?index=abc HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad", "Invalid index");
	expect(f, "GET /v1/jobs?index=-1 HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad", "Invalid index");
	expect(f, "GET /v1/jobs?index=1&wait=abc HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad", "Invalid wait time");
}

static void test_requests_on_one_connection_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	int fd = open_conn(f);

	say(f, fd, "GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\nGET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n"
	           "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(hear(f, fd, "\"127.0.0.1:1\""));
	assert_true(strstr(f->got, "[\"global\"]") < strstr(f->got, "404"));
	assert_true(strstr(f->got, "404") < strstr(f->got, "\"127.0.0.1:1\""));
	close(fd);
}

static void test_garbage_is_refused_and_the_connection_closed(void **state)
{
	static const char *const garbage[] = {"\x16\x03\x01\x02\x01\xfc\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9.9\r\n\r\n",
	    "G\x01T /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/jobs HTTP/1.1\r\nno colon here\r\n\r\n",
	    "POST /v1/jobs HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		int fd = open_conn(f);

		say(f, fd, garbage[i]);
		shutdown(fd, SHUT_WR);
		hear(f, fd, NULL);
		assert_null(strstr(f->got, "200 OK"));
		close(fd);
	}
	expect(f, "GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "[]");
}

static void test_headers_and_bodies_have_a_limit(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *value = xcalloc(1, 20001), *request = NULL;
	int fd = open_conn(f);

	memset(value, 'a', 20000);
	request = xasprintf("GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", value);
	say(f, fd, request);
	hear(f, fd, "\r\n\r\n");
	assert_null(strstr(f->got, "200 OK"));
	close(fd);
	fd = open_conn(f);
	say(f, fd, "PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n");
	assert_true(hear(f, fd, "413"));
	close(fd);
}

static void test_a_request_that_comes_a_byte_at_a_time_is_cut_off(void **state)
{
	static const char request[] = "GET /v1/jobs HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n";
	struct fixture *f = *state;
	int64_t begin = clock_monotonic();
	int fd = open_conn(f);
	bool closed = false;

	for (size_t i = 0; i < sizeof(request) - 1 && !closed; i++) {
		int64_t next = clock_monotonic() + 20 * MILLI;
		char c;

		if (send(fd, request + i, 1, MSG_NOSIGNAL) < 0)
			closed = true;
		while (clock_monotonic() < next && !closed) {
			turn(f);
			closed = recv(fd, &c, 1, 0) == 0;
		}
	}
	assert_true(closed);
	assert_true(clock_monotonic() - begin < 1500 * MILLI);
	close(fd);
}

static void test_too_many_connections_are_closed(void **state)
{
	struct fixture *f = *state;
	int fds[35], closed = 0;
	char c;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = open_conn(f);
	for (int i = 0; i < 10; i++)
		turn(f);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		closed += recv(fds[i], &c, 1, 0) == 0;
	assert_int_equal(closed, 5);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	for (int i = 0; i < 10; i++)
		turn(f);
	expect(f, "GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "[]");
}

static int set_algorithm(struct fixture *f, const char *name)
{
	cleanup_free char *body = xasprintf("{\"SchedulerAlgorithm\":\"%s\"}", name);
	cleanup_free char *request = xasprintf("PUT /v1/operator/scheduler/configuration HTTP/1.1\r\nHost: x\r\n"
	                                       "Content-Length: %zu\r\n\r\n%s", strlen(body), body);

	expect(f, request, "200 OK", "\"Updated\":true");
	return 0;
}

static void test_a_write_is_answered_once_it_is_committed_and_can_be_read(void **state)
{
	struct fixture *f = *state;

	set_algorithm(f, "spread");
	assert_true(core_committed(server_core(f->d.server)) == core_state(server_core(f->d.server))->index);
	expect(f, "GET /v1/operator/scheduler/configuration HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK",
	    "\"SchedulerAlgorithm\":\"spread\"");
}

static void test_a_blocking_query_returns_unchanged_when_its_time_is_up(void **state)
{
	struct fixture *f = *state;
	int64_t begin = clock_monotonic();
	int fd = open_conn(f);

	say(f, fd, "GET /v1/jobs?index=1000000&wait=200ms HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(hear(f, fd, "[]"));
	assert_true(clock_monotonic() - begin >= 200 * MILLI);
	close(fd);
}

static void test_a_change_wakes_a_blocking_query(void **state)
{
	struct fixture *f = *state;
	int fd = open_conn(f);

	say(f, fd, "GET /v1/jobs?index=1000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(f);
	assert_int_equal(watch_count(server_watch(f->d.server)), 1);
	watch_wake(server_watch(f->d.server), watch_table(TABLE_JOBS));
	server_kick(f->d.server);
	for (int i = 0; i < 5; i++)
		turn(f);
	/* The index is not past the one asked for, so the handler waits again: woken, run, held. */
	assert_int_equal(watch_count(server_watch(f->d.server)), 1);
	close(fd);
	for (int i = 0; i < 5; i++)
		turn(f);
	assert_int_equal(watch_count(server_watch(f->d.server)), 0);
}

static void test_a_held_request_whose_peer_leaves_is_forgotten(void **state)
{
	struct fixture *f = *state;
	int fds[20];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = open_conn(f);
		say(f, fds[i], "GET /v1/jobs?index=1000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	turn(f);
	assert_int_equal(watch_count(server_watch(f->d.server)), ARRAY_LEN(fds));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	for (int i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(watch_count(server_watch(f->d.server)), 0);
}

/* A reset is no end of file: epoll reports it as an error, which must neither be overlooked nor keep the loop busy. */
static void test_a_held_request_whose_peer_resets_is_forgotten(void **state)
{
	struct fixture *f = *state;
	const struct linger now = {1, 0};
	int fd = open_conn(f);

	say(f, fd, "GET /v1/jobs?index=1000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(f);
	assert_int_equal(watch_count(server_watch(f->d.server)), 1);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	for (int i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(watch_count(server_watch(f->d.server)), 0);
}

static void test_what_is_sent_behind_a_held_request_waits(void **state)
{
	struct fixture *f = *state;
	int fd = open_conn(f), loops = 0;
	int64_t end;

	say(f, fd, "GET /v1/jobs?index=1000000&wait=1500ms HTTP/1.1\r\nHost: x\r\n\r\n");
	turn(f);
	say(f, fd, "GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\n");
	end = clock_monotonic() + SECOND;
	for (; clock_monotonic() < end; loops++)
		event_base_loop(f->d.base, EVLOOP_ONCE);
	assert_true(loops < 200); /* the loop sleeps */
	assert_int_equal(watch_count(server_watch(f->d.server)), 1);
	assert_true(hear(f, fd, "[\"global\"]"));
	assert_non_null(strstr(f->got, "[]"));
	close(fd);
}

static void test_the_monitor_streams_and_ends_with_its_peer(void **state)
{
	struct fixture *f = *state;
	int fd = open_conn(f);

	say(f, fd, "GET /v1/agent/monitor?log_level=info&plain=true HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(hear(f, fd, "\r\n\r\n"));
	log_set_level(LOG_ERROR); /* the sink has a level of its own */
	log_info("test", "hello follower");
	assert_true(hear(f, fd, "hello follower"));
	log_set_level(LOG_INFO);
	close(fd);
	for (int i = 0; i < 5; i++)
		turn(f);
	expect(f, "GET /v1/agent/monitor?log_level=loud HTTP/1.1\r\nHost: x\r\n\r\n", "400", "Unknown log level: loud");
}

static void test_peers_that_leave_in_the_middle_leave_nothing_behind(void **state)
{
	static const char *const halves[] = {"GET /v1/jo", "PUT /v1/jobs HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"Job",
	    "GET /v1/agent/self HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/agent/monitor HTTP/1.1\r\nHost: x\r\n\r\n"};
	struct fixture *f = *state;

	for (int round = 0; round < 50; round++) {
		int fd = open_conn(f);
		struct linger now = {1, 0};

		send(fd, halves[round % 4], strlen(halves[round % 4]), MSG_NOSIGNAL);
		if (round & 4)
			turn(f);
		if (round & 8)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		turn(f);
	}
	expect(f, "GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "[]");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

/* As the child of an agent that was killed while it started a task. */
static void test_an_address_that_is_in_use_for_a_moment_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0), status;
	struct httpd_config hc = {.bind_addr = "127.0.0.1", .max_header = 1024, .max_body = 1024, .header_timeout = SECOND,
	    .idle_timeout = SECOND, .max_connections = 4, .max_per_client = 4};
	struct httpd *h = NULL;
	cleanup_err struct err e = ERR_INIT;

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	hc.port = ntohs(at.sin_port);
	pid_t pid = fork();

	if (pid == 0) {
		usleep(200000);
		_exit(0);
	}
	close(fd);
	assert_int_equal(httpd_start(f->d.base, &hc, &f->d, &h, &e), 0);
	assert_int_equal(httpd_port(h), hc.port);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Somebody who stays is not. */
	struct httpd *second = NULL;

	assert_int_equal(httpd_start(f->d.base, &hc, &f->d, &second, &e), -EADDRINUSE);
	assert_non_null(strstr(err_str(&e), "is another agent running?"));
	httpd_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_known_paths_answer_and_others_do_not),
	    T(test_a_wrong_verb_is_405),
	    T(test_index_and_wait_are_checked),
	    T(test_requests_on_one_connection_are_answered_in_order),
	    T(test_garbage_is_refused_and_the_connection_closed),
	    T(test_headers_and_bodies_have_a_limit),
	    T(test_a_request_that_comes_a_byte_at_a_time_is_cut_off),
	    T(test_too_many_connections_are_closed),
	    T(test_a_write_is_answered_once_it_is_committed_and_can_be_read),
	    T(test_a_blocking_query_returns_unchanged_when_its_time_is_up),
	    T(test_a_change_wakes_a_blocking_query),
	    T(test_a_held_request_whose_peer_leaves_is_forgotten),
	    T(test_a_held_request_whose_peer_resets_is_forgotten),
	    T(test_what_is_sent_behind_a_held_request_waits),
	    T(test_the_monitor_streams_and_ends_with_its_peer),
	    T(test_peers_that_leave_in_the_middle_leave_nothing_behind),
	    T(test_an_address_that_is_in_use_for_a_moment_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
