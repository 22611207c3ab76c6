/*
 * commit: nothing leaves before its commit. A journal whose commits are held back or fail by the test's will stands under
 * the real server and its HTTP interface.
 */
#include "tests/lib/http_peer.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/file.h"
#include "daemon/server_internal.h"

static char dir[] = "/tmp/drover-commit-test-XXXXXX";

/* ---- the journal between ---- */

static struct {
	const struct journal_ops *real;
	struct journal_ops ops;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held; /* commits wait */
	int fails; /* and end with this */
	int runs;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int gated_commit(struct journal *j, struct err *e)
{
	int fails;

	pthread_mutex_lock(&gate.lock);
	gate.runs++;
	while (gate.held)
		pthread_cond_wait(&gate.changed, &gate.lock);
	fails = gate.fails;
	pthread_mutex_unlock(&gate.lock);
	return fails ? err_set(e, fails, "the disk says no") : gate.real->commit_run(j, e);
}

static void set_gate(bool held, int fails)
{
	pthread_mutex_lock(&gate.lock);
	gate.held = held;
	gate.fails = fails;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static int set_up(void **state)
{
	struct fixture *f = http_start("file", dir);
	struct journal *j = f->d.server->journal;

	for (int i = 0; i < 20; i++)
		turn(f);
	gate.real = j->ops;
	gate.ops = *j->ops;
	gate.ops.commit_run = gated_commit;
	j->ops = &gate.ops;
	set_gate(false, 0);
	*state = f;
	return 0;
}

static int set_up_memory(void **state)
{
	*state = http_start("memory", NULL);
	return 0;
}

static int tear_down(void **state)
{
	set_gate(false, 0);
	http_stop(*state);
	return dir_remove(dir, NULL) < 0 || dir_make(dir, 0700, NULL) < 0;
}

/* ---- tests ---- */

static int send_job(struct fixture *f, const char *id)
{
	cleanup_free char *body = xasprintf("{\"Job\":{\"ID\":\"%s\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\","
	                                    "\"Count\":0,\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\"}]}]}}", id);
	cleanup_free char *request = xasprintf("PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	int fd = open_conn(f);

	say(f, fd, request);
	return fd;
}

static int ask(struct fixture *f, const char *target)
{
	cleanup_free char *request = xasprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
	int fd = open_conn(f);

	say(f, fd, request);
	return fd;
}

static void expect_heard(struct fixture *f, int fd, const char *text)
{
	if (!hear(f, fd, text))
		fail_msg("closed before \"%s\": \"%.300s\"", text, f->got);
	close(fd);
}

static void test_an_answer_waits_until_the_journal_has_it(void **state)
{
	struct fixture *f = *state;
	int writer, reader, lister, watcher = ask(f, "/v1/job/one?index=1&wait=60s");

	/* What does not exist yet has the index of its table, which a later one must pass. */
	set_gate(true, 0);
	writer = send_job(f, "one");
	hear_nothing(f, writer, 200 * MILLI);
	assert_non_null(state_job(core_state(server_core(f->d.server)), "default", "one"));
	/* The state has it: whoever reads it now waits with the writer. */
	reader = ask(f, "/v1/job/one");
	lister = ask(f, "/v1/jobs");
	hear_nothing(f, reader, 100 * MILLI);
	hear_nothing(f, lister, 50 * MILLI);
	hear_nothing(f, watcher, 50 * MILLI);
	hear_nothing(f, writer, 50 * MILLI);
	/* What rests on no entry does not wait. */
	expect(f, "GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "[\"global\"]");
	set_gate(false, 0);
	expect_heard(f, writer, "\"EvalID\"");
	expect_heard(f, reader, "\"ID\":\"one\"");
	expect_heard(f, lister, "\"ID\":\"one\"");
	expect_heard(f, watcher, "\"ID\":\"one\"");
}

static void test_a_long_list_waits_piece_by_piece(void **state)
{
	struct fixture *f = *state;
	char id[64];
	int fd;

	for (int i = 0; i < 900; i++) {
		snprintf(id, sizeof(id), "a-job-with-a-rather-long-name-%d", i);
		fd = send_job(f, id);
		expect_heard(f, fd, "\"EvalID\"");
	}
	set_gate(true, 0);
	fd = send_job(f, "one-more");
	turn(f);
	int list = ask(f, "/v1/jobs");

	hear_nothing(f, list, 200 * MILLI);
	set_gate(false, 0);
	expect_heard(f, fd, "\"EvalID\"");
	if (!hear(f, list, "\r\n0\r\n\r\n"))
		fail_msg("the list was cut off after %zu bytes", f->n);
	assert_non_null(strstr(f->got, "one-more"));
	close(list);
}

static void test_nothing_that_rests_on_a_failed_commit_leaves(void **state)
{
	struct fixture *f = *state;
	int writer, reader;

	set_gate(true, 0);
	writer = send_job(f, "lost");
	reader = ask(f, "/v1/job/lost");
	hear_nothing(f, writer, 100 * MILLI);
	set_gate(false, -EIO);
	for (int64_t end = clock_monotonic() + 3 * SECOND; !f->died && clock_monotonic() < end;)
		turn(f);
	assert_true(f->died);
	hear_nothing(f, writer, 100 * MILLI);
	hear_nothing(f, reader, 100 * MILLI);
	close(writer);
	close(reader);
}

static void test_one_commit_serves_all_that_came_meanwhile(void **state)
{
	struct fixture *f = *state;
	char id[24];
	int fds[20], runs;

	set_gate(true, 0);
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "job-%d", i);
		fds[i] = send_job(f, id);
	}
	runs = gate.runs;
	set_gate(false, 0);
	for (int i = 0; i < 20; i++)
		expect_heard(f, fds[i], "\"EvalID\"");
	assert_true(gate.runs - runs <= 3);
}

static void test_a_journal_without_room_refuses_and_goes_on(void **state)
{
	struct fixture *f = *state;
	int fd;

	expect_heard(f, send_job(f, "first"), "\"EvalID\"");
	journal_memory_set_limit(f->d.server->journal, 1);
	fd = send_job(f, "second");
	if (!hear(f, fd, "bytes") || !strstr(f->got, "500 Internal"))
		fail_msg("\"%s\"", f->got);
	close(fd);
	expect(f, "GET /v1/job/first HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "\"ID\":\"first\"");
	expect(f, "GET /v1/job/second HTTP/1.1\r\nHost: x\r\n\r\n", "404", "job not found");
	journal_memory_set_limit(f->d.server->journal, 0);
	expect_heard(f, send_job(f, "second"), "\"EvalID\"");
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return dir_remove(dir, NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_an_answer_waits_until_the_journal_has_it),
	    T(test_a_long_list_waits_piece_by_piece),
	    T(test_nothing_that_rests_on_a_failed_commit_leaves),
	    T(test_one_commit_serves_all_that_came_meanwhile),
	    cmocka_unit_test_setup_teardown(test_a_journal_without_room_refuses_and_goes_on, set_up_memory, tear_down),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
