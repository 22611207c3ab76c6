/* kvlog: the fenced log in the KV of a real Consul: written, followed, fought over. */
#include "discovery/kvlog.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/kvlog_play.h"
#include "tests/lib/test.h"

static struct consul_server *real;

static int start(void **state UNUSED)
{
	real = consul_server_start("");
	at = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	return 0;
}

static int stop(void **state UNUSED)
{
	asker_free(&at);
	consul_server_stop(real);
	return 0;
}

/* ---- stories ---- */

static void test_what_is_appended_reaches_who_follows_in_order(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	const char *session = make_session();
	struct kvlog_writer *w;

	follow(&f, "t1");
	w = lead("t1", &f, session);
	assert_int_equal(append(w, 1, 3, 10, &e), 0);
	assert_int_equal(append(w, 4, 1, 0, &e), 0);
	UNTIL(f.index == 4);
	assert_string_equal(f.entries.data, "1:10 2:10 3:10 4:0 ");
	for (uint64_t i = 0; i < 60; i++)
		assert_int_equal(append(w, 5 + i, 1, 20, &e), 0);
	UNTIL(f.index == 64);
	assert_int_equal(f.n, 64);
	follow(&late, "t1");
	UNTIL(late.index == 64 && late.locks);
	assert_int_equal(late.n, 64);
	assert_string_equal(late.leader, "one");
	assert_int_equal(f.restarts, 1);
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_a_batch_larger_than_a_transaction_is_one_batch(void **state UNUSED)
{
	struct follower f = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "t2");
	w = lead("t2", &f, make_session());
	assert_int_equal(append(w, 1, 20, 100000, &e), 0);
	assert_int_equal(append(w, 21, 1, 1, &e), 0);
	UNTIL(f.index == 21);
	assert_int_equal(f.n, 21);
	assert_int_equal(f.lock.head.seq, 2);
	assert_int_equal(count_keys("t2/log/"), 2);
	assert_true(count_keys("t2/part/") >= 5);
	kvlog_writer_free(w);
	unfollow(&f);
}

static void test_who_lost_the_lock_can_not_append(void **state UNUSED)
{
	struct follower f = {0};
	struct err e = ERR_INIT;
	const char *first = make_session(), *second = make_session();
	struct kvlog_writer *old, *new;

	follow(&f, "t3");
	old = lead("t3", &f, first);
	assert_int_equal(append(old, 1, 2, 5, &e), 0);
	assert_int_equal(kvlog_confirm(old, &e), 0);
	end_session(first);
	assert_int_equal(kvlog_confirm(old, &e), -ESTALE);
	UNTIL(f.index == 2 && !*f.lock.session);
	/* Nobody leads, and still the old one cannot write. */
	assert_int_equal(append(old, 3, 1, 5, &e), -ESTALE);
	assert_int_equal(claim("t3", &f.lock, "two", second), 0);
	new = writer_of("t3", &f.lock, second);
	assert_int_equal(append(new, 3, 1, 7, &e), 0);
	assert_int_equal(append(old, 3, 1, 5, &e), -ESTALE);
	assert_non_null(strstr(err_str(&e), "another server has written it"));
	UNTIL(f.index == 3);
	assert_string_equal(f.entries.data, "1:5 2:5 3:7 ");
	err_clear(&e);
	kvlog_writer_free(old);
	kvlog_writer_free(new);
	unfollow(&f);
}

static void test_the_lock_is_not_given_to_who_has_not_read_everything(void **state UNUSED)
{
	struct follower f = {0};
	struct err e = ERR_INIT;
	const char *first = make_session(), *second = make_session();
	struct kvlog_lock before;
	struct kvlog_writer *w;

	follow(&f, "t4");
	UNTIL(f.locks > 0);
	before = f.lock;
	w = lead("t4", &f, first);
	assert_int_equal(append(w, 1, 1, 5, &e), 0);
	/* What was read before somebody led, and before he wrote. */
	assert_int_equal(claim("t4", &before, "two", second), -EBUSY);
	UNTIL(f.index == 1 && f.lock.head.seq == 1);
	before = f.lock;
	assert_int_equal(claim("t4", &before, "two", second), -EBUSY);
	end_session(first);
	UNTIL(!*f.lock.session);
	assert_int_equal(claim("t4", &before, "two", second), -EBUSY);
	assert_int_equal(claim("t4", &f.lock, "two", second), 0);
	kvlog_writer_free(w);
	unfollow(&f);
}

static void test_a_snapshot_replaces_the_log_before_it(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct kvlog_run snapshot = {0};
	struct err e = ERR_INIT;
	const char *session = make_session();
	struct kvlog_writer *w;
	cleanup_free char *big = xmalloc(1000001);

	follow(&f, "t5");
	w = lead("t5", &f, session);
	for (uint64_t i = 1; i <= 300; i++)
		assert_int_equal(append(w, i, 1, 10, &e), 0);
	assert_true(kvlog_bytes(w) > 0);
	UNTIL(f.index == 300);
	put_record(&snapshot, "one");
	for (size_t i = 0; i < 1000000; i++)
		big[i] = (char)(1 + rand() % 255);
	big[1000000] = '\0';
	put_record(&snapshot, big);
	kvlog_snapshot(w, kvlog_seq(w), 300, &snapshot);
	assert_true(kvlog_has_chores(w));
	finish_chores(w);
	assert_int_equal(count_keys("t5/log/"), 256);
	assert_true(count_keys("t5/snap/") >= 3);
	assert_int_equal(append(w, 301, 1, 10, &e), 0);
	follow(&late, "t5");
	UNTIL(late.index == 301);
	assert_string_equal(late.entries.data, "0:3 0:1000000 301:10 ");
	UNTIL(f.index == 301);
	assert_int_equal(f.n, 301);
	assert_int_equal(f.restarts, 1);
	/* The next snapshot takes the first one's chunks away. */
	put_record(&snapshot, "two");
	kvlog_snapshot(w, kvlog_seq(w), 301, &snapshot);
	finish_chores(w);
	assert_int_equal(count_keys("t5/snap/"), 1);
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_a_snapshot_in_the_middle_of_a_batch_hides_what_it_holds(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct kvlog_run snapshot = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "t6");
	w = lead("t6", &f, make_session());
	assert_int_equal(append(w, 1, 2, 1, &e), 0);
	assert_int_equal(append(w, 3, 4, 1, &e), 0);
	put_record(&snapshot, "to four");
	kvlog_snapshot(w, 1, 4, &snapshot);
	finish_chores(w);
	follow(&late, "t6");
	UNTIL(late.index == 6);
	assert_string_equal(late.entries.data, "0:7 5:1 6:1 ");
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_what_a_dead_leader_left_half_done_is_removed(void **state UNUSED)
{
	struct follower f = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	asker_put(&at, "t7/snap/0000000000000005-00000000-0000-0000-0000-000000000001/00000000", "half");
	asker_put(&at, "t7/part/0000000000000009-00000000-0000-0000-0000-000000000001/00000000", "half");
	follow(&f, "t7");
	w = lead("t7", &f, make_session());
	assert_int_equal(append(w, 1, 1, 1, &e), 0);
	finish_chores(w);
	assert_int_equal(count_keys("t7/snap/"), 0);
	assert_int_equal(count_keys("t7/part/"), 0);
	assert_int_equal(count_keys("t7/log/"), 1);
	kvlog_writer_free(w);
	unfollow(&f);
}

static void test_an_entry_that_cannot_be_applied_is_read_again_until_it_can(void **state UNUSED)
{
	struct follower f = {0}, g = {.refuse = 1}, h = {.refuse = 1000};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "t8");
	w = lead("t8", &f, make_session());
	assert_int_equal(append(w, 1, 3, 1, &e), 0);
	follow(&g, "t8");
	follow(&h, "t8");
	UNTIL(g.index == 3);
	assert_int_equal(g.restarts, 2);
	UNTIL(h.troubles >= 2);
	assert_int_equal(h.unreadable, 0);
	assert_non_null(strstr(h.sentence, "refused by the test"));
	assert_non_null(strstr(h.sentence, "t8/log/0000000000000001"));
	h.refuse = 0;
	UNTIL(h.index == 3);
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&g);
	unfollow(&h);
}

static void test_a_log_of_a_newer_format_ends_the_reading_with_a_sentence(void **state UNUSED)
{
	struct follower f = {0};

	asker_put(&at, "t9/lock", "{\"Format\":99,\"Feature\":1,\"Seq\":0,\"Index\":0}");
	follow(&f, "t9");
	UNTIL(f.unreadable);
	assert_non_null(strstr(f.sentence, "format 99"));
	assert_int_equal(f.locks, 0);
	unfollow(&f);
}

static void test_data_that_went_back_in_time_is_read_anew(void **state UNUSED)
{
	struct follower f = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "t10");
	w = lead("t10", &f, make_session());
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(append(w, i, 1, 1, &e), 0);
	UNTIL(f.index == 5);
	asker_do(&at, &consul_kv_delete_below, ARGS(.name = "t10/log/"));
	asker_put(&at, "t10/lock", "{\"Format\":1,\"Feature\":1,\"Seq\":0,\"Index\":0}");
	UNTIL(f.restarts == 2 && f.lock.head.seq == 0);
	assert_int_equal(f.index, 0);
	kvlog_writer_free(w);
	unfollow(&f);
}

static void test_two_prefixes_are_two_logs(void **state UNUSED)
{
	struct follower f = {0}, g = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w, *v;

	follow(&f, "t11/a");
	follow(&g, "t11/b");
	w = lead("t11/a", &f, make_session());
	v = lead("t11/b", &g, make_session());
	assert_int_equal(append(w, 1, 2, 1, &e), 0);
	assert_int_equal(append(v, 1, 5, 2, &e), 0);
	UNTIL(f.index == 2 && g.index == 5);
	kvlog_writer_free(w);
	kvlog_writer_free(v);
	unfollow(&f);
	unfollow(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_appended_reaches_who_follows_in_order),
	    cmocka_unit_test(test_a_batch_larger_than_a_transaction_is_one_batch),
	    cmocka_unit_test(test_who_lost_the_lock_can_not_append),
	    cmocka_unit_test(test_the_lock_is_not_given_to_who_has_not_read_everything),
	    cmocka_unit_test(test_a_snapshot_replaces_the_log_before_it),
	    cmocka_unit_test(test_a_snapshot_in_the_middle_of_a_batch_hides_what_it_holds),
	    cmocka_unit_test(test_what_a_dead_leader_left_half_done_is_removed),
	    cmocka_unit_test(test_an_entry_that_cannot_be_applied_is_read_again_until_it_can),
	    cmocka_unit_test(test_a_log_of_a_newer_format_ends_the_reading_with_a_sentence),
	    cmocka_unit_test(test_data_that_went_back_in_time_is_read_anew),
	    cmocka_unit_test(test_two_prefixes_are_two_logs),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
