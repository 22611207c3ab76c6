/* consul_watch: blocking reads of a real Consul that restarts and loses its leader, and of a false one that lies. */
#include "discovery/consul.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/responder.h"
#include "tests/lib/test.h"

#define QUERY(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What a watch of one key has reported. */
struct seen {
	struct consul_watch *watch;
	int answers, failures;
	int last_code; /* 0 after an answer */
	char value[64]; /* "" = absent */
	bool end_inside;
};

static void on_report(void *arg, const struct consul_answer *a)
{
	struct seen *s = arg;

	s->last_code = a->err.code;
	if (a->err.code) {
		s->failures++;
	} else {
		s->answers++;
		s->value[0] = 0;
		struct consul_pairs *pairs = a->object && a->type == &type_consul_pairs ? a->object : NULL;
		struct consul_pair *pair = pairs && pairs->items.n ? pairs->items.v[0] : NULL;

		if (pair)
			snprintf(s->value, sizeof(s->value), "%.*s", (int)pair->value.n, (const char *)pair->value.p);
	}
	if (s->end_inside)
		consul_unwatch(STEAL(s->watch));
}

static void watch_key(struct asker *a, struct seen *s, const char *key)
{
	s->watch = consul_watch(a->consul,
	    &(struct consul_watch_config){.op = &consul_kv_get, .args = {.name = key}, .report = on_report, .arg = s, .pace = 50 * MILLI});
}

#define UNTIL(asker, condition)                                                                                        \
	do {                                                                                                           \
		int64_t end_ = clock_monotonic() + 60 * SECOND;                                                        \
		while (!(condition)) {                                                                                 \
			loop_for((asker)->base, 5 * MILLI);                                                            \
			if (clock_monotonic() > end_)                                                                  \
				fail_msg("did not happen within 60 s: %s", #condition);                                \
		}                                                                                                      \
	} while (0)

/* ---- the real one ---- */

static void test_a_change_is_reported_at_once_and_what_is_none_is_not(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	struct seen s = {0};
	struct consul_watch_state w;

	watch_key(&a, &s, "k");
	UNTIL(&a, s.answers == 1);
	assert_string_equal(s.value, "");
	asker_put(&a, "k", "one");
	UNTIL(&a, str_eq(s.value, "one"));
	int64_t start = clock_monotonic();

	asker_put(&a, "k", "two");
	UNTIL(&a, str_eq(s.value, "two"));
	assert_true(clock_monotonic() - start < 5 * SECOND);
	asker_put(&a, "another", "x");
	asker_put(&a, "k", "two"); /* nothing is written, so the index stays */
	loop_for(a.base, 300 * MILLI);
	assert_int_equal(s.answers, 3);
	consul_watch_state(s.watch, &w);
	assert_int_equal(w.failures, 0);
	assert_int_equal(w.next_try, 0);
	assert_true(w.index > 0 && w.reads <= 5);
	asker_free(&a);
	consul_server_stop(real);
}

static void test_a_storm_of_changes_is_read_at_the_pace_and_its_end_is_seen(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	struct seen s = {0};
	char last[16] = "";

	s.watch = consul_watch(a.consul,
	    &(struct consul_watch_config){.op = &consul_kv_get, .args = {.name = "k"}, .report = on_report, .arg = &s, .pace = SECOND});
	int64_t start = clock_monotonic();
	int writes = 0;

	for (; clock_monotonic() - start < 2 * SECOND; writes++) {
		snprintf(last, sizeof(last), "%d", writes);
		asker_put(&a, "k", last);
	}
	assert_true(writes > 50);
	UNTIL(&a, str_eq(s.value, last));
	assert_in_range(s.answers, 3, 5 + (clock_monotonic() - start) / SECOND + 1);
	asker_free(&a);
	consul_server_stop(real);
}

static void test_a_restart_in_the_middle_of_a_blocking_read_is_survived(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	struct seen s = {0};

	asker_put(&a, "k", "before");
	watch_key(&a, &s, "k");
	UNTIL(&a, str_eq(s.value, "before"));
	loop_for(a.base, 100 * MILLI);
	consul_server_ask(real, "kill 0");
	UNTIL(&a, s.last_code);
	loop_for(a.base, SECOND);
	assert_in_range(s.failures, 1, 3); /* broken off, then refused */
	consul_server_ask(real, "start 0");
	UNTIL(&a, s.last_code == 0);
	assert_string_equal(s.value, "before");
	int answers = s.answers;

	asker_put(&a, "k", "after");
	UNTIL(&a, str_eq(s.value, "after"));
	assert_int_equal(s.answers, answers + 1);
	asker_free(&a);
	consul_server_stop(real);
}

static void test_the_loss_of_the_leader_is_told_and_the_next_one_answers(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("--servers 3 --clients 1");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 3")});
	struct seen s = {0};

	asker_put(&a, "k", "before");
	watch_key(&a, &s, "k");
	UNTIL(&a, str_eq(s.value, "before"));
	loop_for(a.base, 100 * MILLI);
	int leader = atoi(consul_server_ask(real, "leader"));

	consul_server_ask(real, "kill %d", leader);
	UNTIL(&a, s.last_code);
	assert_true(s.last_code == -EAGAIN || s.last_code == -EIO);
	UNTIL(&a, s.last_code == 0);
	assert_string_equal(s.value, "before");
	asker_put(&a, "k", "after");
	UNTIL(&a, str_eq(s.value, "after"));
	assert_int_not_equal(atoi(consul_server_ask(real, "leader")), leader);
	asker_free(&a);
	consul_server_stop(real);
}

static void test_who_waits_for_a_consul_that_is_away_hears_of_its_return_from_others(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	struct seen s = {0};
	struct consul_watch_state w;

	asker_put(&a, "k", "before");
	watch_key(&a, &s, "k");
	UNTIL(&a, s.answers == 1);
	consul_server_ask(real, "kill 0");
	UNTIL(&a, (consul_watch_state(s.watch, &w), w.failures >= 5)); /* it waits for 6 s or more */
	consul_server_ask(real, "start 0");
	consul_server_ask(real, "ready");
	consul_watch_state(s.watch, &w);
	if (w.failures) { /* it may just have tried again */
		asker_put(&a, "other", "x");
		int64_t since = clock_monotonic();

		UNTIL(&a, s.last_code == 0);
		assert_true(clock_monotonic() - since < 2 * SECOND);
	}
	asker_free(&a);
	consul_server_stop(real);
}

static void test_a_token_that_is_replaced_in_its_file_takes_over(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("--acl");
	char path[] = "/tmp/drover-token-XXXXXX";
	int fd = mkstemp(path);
	const char *bad = consul_server_ask(real, "token key \"other\" { policy = \"write\" }"),
		   *good = consul_server_ask(real, "token key \"k\" { policy = \"write\" }");

	close(fd);
	assert_int_equal(file_write_atomic(path, bad, strlen(bad), 0600, false, NULL), 0);
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0"), .token_file = path});
	struct seen s = {0};

	watch_key(&a, &s, "k");
	UNTIL(&a, s.last_code == -EACCES);
	assert_int_equal(s.failures, 1);
	loop_for(a.base, SECOND);
	assert_int_equal(s.failures, 1);
	assert_int_equal(file_write_atomic(path, good, strlen(good), 0600, false, NULL), 0);
	UNTIL(&a, s.last_code == 0);
	asker_put(&a, "k", "allowed");
	UNTIL(&a, str_eq(s.value, "allowed"));
	asker_free(&a);
	unlink(path);
	consul_server_stop(real);
}

static void test_what_has_no_index_is_polled(void **state UNUSED)
{
	struct consul_server *real = consul_server_start("");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	struct consul_service_registration r = {0};
	struct consul_watch_state w;
	struct seen s = {0};

	s.watch = consul_watch(a.consul,
	    &(struct consul_watch_config){.op = &consul_agent_services, .report = on_report, .arg = &s, .poll = 200 * MILLI});
	UNTIL(&a, s.answers == 1);
	loop_for(a.base, SECOND);
	consul_watch_state(s.watch, &w);
	assert_in_range(w.reads, 3, 8);
	assert_int_equal(s.answers, 1);
	MODEL_SET(consul_service_registration, &r, name, "web");
	asker_do(&a, &consul_service_register, &(struct consul_args){.object = &r});
	UNTIL(&a, s.answers == 2);
	asker_free(&a);
	consul_server_stop(real);
}

/* ---- the false one ---- */

struct script {
	const int *indexes; /* of the answers, one after the other; -1 = a 500; ended by 0, which is an answer without end */
	char asked[16][64]; /* query strings */
	int64_t at[16];
	int n;
};

static void serve_script(struct responder *r, int fd, int nth UNUSED)
{
	struct script *s = responder_arg(r);
	cleanup_buf struct buf in = BUF_INIT;

	while (s->n < 16 && serve_read(fd, &in)) {
		int i = s->n, index = s->indexes[i];
		char headers[64], body[64];
		const char *q = strchr(in.data, '?');

		snprintf(s->asked[i], sizeof(s->asked[i]), "%.*s", q ? (int)strcspn(q, " ") : 0, q ? q : "");
		s->at[i] = clock_monotonic();
		__atomic_add_fetch(&s->n, 1, __ATOMIC_SEQ_CST);
		if (!index) {
			serve_sleep(r, MINUTE);
			return;
		}
		snprintf(headers, sizeof(headers), "X-Consul-Index: %d\r\n", index == 9000 ? 0 : index);
		snprintf(body, sizeof(body), "[{\"Key\":\"k\",\"Value\":null,\"ModifyIndex\":%d}]", i);
		serve_answer(fd, index < 0 ? 500 : 200, headers, index < 0 ? "No cluster leader" : body);
	}
}

static struct asker ask_script(struct responder **r, struct script *s)
{
	*r = responder_start(serve_script, s);
	return asker_new(&(struct consul_config){.address = responder_url(*r, "")});
}

static void test_an_index_that_goes_back_or_is_zero_is_never_waited_for(void **state UNUSED)
{
	static const int indexes[] = {7, 9, 3, 4, 9000, 5, 0};
	static const char *const expected[] = {"", "?index=7&", "?index=9&", "", "?index=4&", "", "?index=5&"};
	struct script script = {.indexes = indexes};
	struct responder *r;
	struct asker a = ask_script(&r, &script);
	struct seen s = {0};

	watch_key(&a, &s, "k");
	UNTIL(&a, __atomic_load_n(&script.n, __ATOMIC_SEQ_CST) == 7);
	for (int i = 0; i < 7; i++)
		if (!str_starts(script.asked[i], expected[i]) || (!*expected[i] && *script.asked[i]))
			fail_msg("read %d asked \"%s\", expected \"%s\"", i, script.asked[i], expected[i]);
	assert_non_null(strstr(script.asked[1], "wait=300000ms"));
	asker_free(&a);
	responder_stop(r);
}

static void test_failures_back_off_with_jitter_and_are_reported_once(void **state UNUSED)
{
	static const int indexes[] = {-1, -1, -1, -1, 7, 0};
	struct script script = {.indexes = indexes};
	struct responder *r;
	struct asker a = ask_script(&r, &script);
	struct seen s = {0};
	struct consul_watch_state w;

	watch_key(&a, &s, "k");
	UNTIL(&a, s.failures == 1);
	assert_int_equal(s.last_code, -EAGAIN);
	consul_watch_state(s.watch, &w);
	assert_int_equal(w.failures, 1);
	assert_non_null(strstr(w.error, "500 No cluster leader"));
	assert_true(w.next_try > clock_now());
	UNTIL(&a, s.answers == 1);
	assert_int_equal(s.failures, 1);
	for (int i = 0; i < 4; i++) {
		int64_t gap = script.at[i + 1] - script.at[i], delay = (500 * MILLI) << i;

		assert_true(gap >= delay * 3 / 4);
		assert_true(gap <= delay * 5 / 4 + 2 * SECOND);
	}
	asker_free(&a);
	responder_stop(r);
}

static void test_answers_at_once_that_never_end_are_read_at_the_pace(void **state UNUSED)
{
	static const int indexes[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct script script = {.indexes = indexes};
	struct responder *r;
	struct asker a = ask_script(&r, &script);
	struct seen s = {0};

	s.watch = consul_watch(a.consul,
	    &(struct consul_watch_config){.op = &consul_kv_get, .args = {.name = "k"}, .report = on_report, .arg = &s, .pace = 300 * MILLI});
	loop_for(a.base, 1500 * MILLI);
	assert_in_range(__atomic_load_n(&script.n, __ATOMIC_SEQ_CST), 6, 11);
	asker_free(&a);
	responder_stop(r);
}

static void test_a_watch_may_be_ended_by_what_it_reports(void **state UNUSED)
{
	static const int indexes[] = {7, -1};

	for (int i = 0; i < 2; i++) {
		struct script script = {.indexes = indexes + i};
		struct responder *r;
		struct asker a = ask_script(&r, &script);
		struct seen s = {.end_inside = true};

		watch_key(&a, &s, "k");
		UNTIL(&a, !s.watch);
		loop_for(a.base, 100 * MILLI);
		assert_int_equal(s.answers + s.failures, 1);
		asker_free(&a);
		responder_stop(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_change_is_reported_at_once_and_what_is_none_is_not),
	    cmocka_unit_test(test_a_storm_of_changes_is_read_at_the_pace_and_its_end_is_seen),
	    cmocka_unit_test(test_a_restart_in_the_middle_of_a_blocking_read_is_survived),
	    cmocka_unit_test(test_the_loss_of_the_leader_is_told_and_the_next_one_answers),
	    cmocka_unit_test(test_a_token_that_is_replaced_in_its_file_takes_over),
	    cmocka_unit_test(test_who_waits_for_a_consul_that_is_away_hears_of_its_return_from_others),
	    cmocka_unit_test(test_what_has_no_index_is_polled),
	    cmocka_unit_test(test_an_index_that_goes_back_or_is_zero_is_never_waited_for),
	    cmocka_unit_test(test_failures_back_off_with_jitter_and_are_reported_once),
	    cmocka_unit_test(test_answers_at_once_that_never_end_are_read_at_the_pace),
	    cmocka_unit_test(test_a_watch_may_be_ended_by_what_it_reports),
	};

	return RUN_TESTS(tests);
}
