/* kvlog: somebody deletes, damages or limits what the log in a real Consul is made of, and it comes back. */
#include "discovery/kvlog.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/kvlog_play.h"
#include "tests/lib/test.h"

static struct consul_server *real;

/* Values of 16 KiB and transactions of 32 KiB are the most that this Consul takes. */
static int start(void **state UNUSED)
{
	real = consul_server_start("--config '{\"limits\":{\"kv_max_value_size\":16384,\"txn_max_req_len\":32768}}'");
	at = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	return 0;
}

static int stop(void **state UNUSED)
{
	asker_free(&at);
	consul_server_stop(real);
	return 0;
}

static void delete_key(const char *key)
{
	asker_do(&at, &consul_kv_delete, ARGS(.name = key));
}

static void test_a_consul_that_takes_less_gets_smaller_pieces(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct kvlog_run snapshot = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "r1");
	w = lead("r1", &f, make_session());
	assert_int_equal(append(w, 1, 3, 50000, &e), 0);
	assert_int_equal(append(w, 4, 1, 20000, &e), 0);
	UNTIL(f.index == 4);
	assert_string_equal(f.entries.data, "1:50000 2:50000 3:50000 4:20000 ");
	snapshot = run_of(1, 4, 50000);
	kvlog_snapshot(w, 2, 4, &snapshot);
	finish_chores(w);
	assert_true(count_keys("r1/snap/") >= 200000 / 16384);
	follow(&late, "r1");
	UNTIL(late.locks && late.n == 4);
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void mend(struct kvlog_writer *w, uint64_t index)
{
	struct kvlog_run snapshot = {0};

	assert_true(kvlog_bytes(w) == UINT64_MAX);
	put_record(&snapshot, "all of it");
	kvlog_snapshot(w, kvlog_seq(w), index, &snapshot);
	assert_true(kvlog_bytes(w) == 0);
	finish_chores(w);
	assert_true(kvlog_bytes(w) == 0);
}

static void test_a_lock_that_is_deleted_is_put_back_by_the_leader(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "r2");
	w = lead("r2", &f, make_session());
	assert_int_equal(append(w, 1, 2, 5, &e), 0);
	finish_chores(w);
	UNTIL(f.index == 2);
	delete_key("r2/lock");
	UNTIL(!f.lock.exists);
	assert_int_equal(f.lock.head.seq, 1); /* where a new one would go on */
	assert_int_equal(f.lock.head.index, 2);
	assert_int_equal(append(w, 3, 1, 5, &e), 0);
	UNTIL(f.index == 3);
	assert_int_equal(f.restarts, 1);
	delete_key("r2/lock");
	assert_int_equal(kvlog_confirm(w, &e), 0);
	UNTIL(f.lock.exists && f.lock.head.seq == 2);
	mend(w, 3);
	follow(&late, "r2");
	UNTIL(late.locks);
	assert_string_equal(late.entries.data, "0:9 ");
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_a_log_that_is_deleted_as_a_whole_comes_back(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "r3");
	w = lead("r3", &f, make_session());
	assert_int_equal(append(w, 1, 2, 5, &e), 0);
	UNTIL(f.index == 2);
	asker_do(&at, &consul_kv_delete_below, ARGS(.name = "r3/"));
	assert_int_equal(append(w, 3, 1, 5, &e), 0);
	mend(w, 3);
	UNTIL(f.index == 3);
	follow(&late, "r3");
	UNTIL(late.locks && late.lock.head.seq == 2);
	assert_string_equal(late.entries.data, "0:9 ");
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_without_a_leader_whoever_has_read_the_log_goes_on_where_it_ended(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	const char *first = make_session(), *second = make_session();
	struct kvlog_writer *w;

	follow(&f, "r4");
	w = lead("r4", &f, first);
	assert_int_equal(append(w, 1, 2, 5, &e), 0);
	assert_int_equal(append(w, 3, 1, 5, &e), 0);
	UNTIL(f.index == 3);
	kvlog_writer_free(w);
	end_session(first);
	asker_do(&at, &consul_kv_delete_below, ARGS(.name = "r4/"));
	UNTIL(!f.lock.exists);
	assert_int_equal(claim("r4", &f.lock, "one", second), 0);
	w = writer_of("r4", &f.lock, second);
	kvlog_set_incomplete(w);
	assert_int_equal(append(w, 4, 1, 5, &e), 0);
	mend(w, 4);
	follow(&late, "r4");
	UNTIL(late.locks && late.lock.head.seq == 3);
	assert_string_equal(late.entries.data, "0:9 ");
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

/* What is there without a lock was written while there was one: it is read before the lock may be made anew. */
static void test_who_starts_while_only_the_lock_is_gone_reads_the_whole_log(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	const char *first = make_session(), *second = make_session();
	struct kvlog_writer *w;

	follow(&f, "r5");
	w = lead("r5", &f, first);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(append(w, i, 1, 5, &e), 0);
	kvlog_writer_free(w);
	end_session(first);
	delete_key("r5/lock");
	follow(&late, "r5");
	UNTIL(late.locks);
	assert_false(late.lock.exists);
	assert_int_equal(late.lock.head.seq, 5);
	assert_string_equal(late.entries.data, "1:5 2:5 3:5 4:5 5:5 ");
	assert_int_equal(claim("r5", &late.lock, "one", second), 0);
	w = writer_of("r5", &late.lock, second);
	assert_int_equal(append(w, 6, 1, 5, &e), 0);
	UNTIL(late.index == 6 && f.index == 6);
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_a_batch_that_somebody_deleted_is_noticed_and_replaced_by_a_snapshot(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "r6");
	w = lead("r6", &f, make_session());
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(append(w, i, 1, 5, &e), 0);
	finish_chores(w);
	assert_true(kvlog_bytes(w) < UINT64_MAX);
	delete_key("r6/log/0000000000000003");
	follow(&late, "r6");
	UNTIL(late.troubles);
	assert_non_null(strstr(late.sentence, "missing"));
	kvlog_look_after(w);
	finish_chores(w);
	mend(w, 5);
	UNTIL(late.locks && late.lock.head.seq == 5);
	assert_string_equal(late.entries.data, "0:9 ");
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_a_damaged_snapshot_is_read_again_until_the_next_one_replaces_it(void **state UNUSED)
{
	struct follower f = {0}, late = {0};
	struct kvlog_run snapshot = run_of(1, 2, 10000);
	struct err e = ERR_INIT;
	struct kvlog_writer *w;
	struct consul_answer keys;

	follow(&f, "r7");
	w = lead("r7", &f, make_session());
	assert_int_equal(append(w, 1, 2, 5, &e), 0);
	kvlog_snapshot(w, 1, 2, &snapshot);
	finish_chores(w);
	keys = asker_must(&at, &consul_kv_keys, ARGS(.name = "r7/snap/"));
	asker_put(&at, CONSUL_OBJECT(&keys, consul_strings)->items.v[0], "garbage");
	consul_answer_free(&keys);
	follow(&late, "r7");
	UNTIL(late.troubles);
	assert_int_equal(late.locks, 0);
	put_record(&snapshot, "sound");
	kvlog_snapshot(w, 1, 2, &snapshot);
	finish_chores(w);
	UNTIL(late.locks);
	assert_string_equal(late.entries.data, "0:5 ");
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

/* The lock is still ours, but the log is not as we left it: Consul's data was replaced. */
static void put_by_hand(const char *value)
{
	asker_do(&at, &consul_kv_put, ARGS(.name = "r8/lock", .body = value, .body_len = strlen(value)));
}

static void test_a_head_that_somebody_moved_or_damaged_is_put_back_by_the_leader(void **state UNUSED)
{
	static const char *const heads[] = {"{\"Format\":1,\"Feature\":1,\"Seq\":7,\"Index\":9}",
	    "{\"Format\":1,\"Feature\":1,\"Seq\":0,\"Index\":0}", "[1,2]", "no JSON", "", "{\"Format\":-1}"};
	struct follower f = {0}, late = {0};
	struct err e = ERR_INIT;
	struct kvlog_writer *w;

	follow(&f, "r8");
	w = lead("r8", &f, make_session());
	assert_int_equal(append(w, 1, 2, 5, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		put_by_hand(heads[i]);
		assert_int_equal(kvlog_confirm(w, &e), 0);
		put_by_hand(heads[i]);
		assert_int_equal(append(w, 3 + i, 1, 5, &e), 0);
		assert_int_equal(kvlog_confirm(w, &e), 0);
	}
	assert_true(kvlog_bytes(w) == UINT64_MAX);
	mend(w, 8);
	UNTIL(f.lock.exists && f.lock.head.index == 8);
	follow(&late, "r8");
	UNTIL(late.locks && late.lock.head.seq == 7);
	/* A newer format is not overwritten. */
	put_by_hand("{\"Format\":9,\"Feature\":1,\"Seq\":8,\"Index\":9}");
	assert_int_equal(kvlog_confirm(w, &e), -ESTALE);
	err_clear(&e);
	kvlog_writer_free(w);
	unfollow(&f);
	unfollow(&late);
}

static void test_a_damaged_lock_that_nobody_holds_is_removed(void **state UNUSED)
{
	struct follower f = {0};
	struct err e = ERR_INIT;
	const char *first = make_session(), *second = make_session();
	struct kvlog_writer *w;

	follow(&f, "r9");
	w = lead("r9", &f, first);
	assert_int_equal(append(w, 1, 2, 5, &e), 0);
	UNTIL(f.index == 2);
	kvlog_writer_free(w);
	end_session(first);
	asker_do(&at, &consul_kv_put, ARGS(.name = "r9/lock", .body = "?", .body_len = 1));
	UNTIL(!f.lock.exists);
	assert_int_equal(f.lock.head.index, 2);
	assert_int_equal(claim("r9", &f.lock, "one", second), 0);
	w = writer_of("r9", &f.lock, second);
	assert_int_equal(append(w, 3, 1, 5, &e), 0);
	UNTIL(f.index == 3);
	kvlog_writer_free(w);
	unfollow(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_consul_that_takes_less_gets_smaller_pieces),
	    cmocka_unit_test(test_a_lock_that_is_deleted_is_put_back_by_the_leader),
	    cmocka_unit_test(test_a_log_that_is_deleted_as_a_whole_comes_back),
	    cmocka_unit_test(test_without_a_leader_whoever_has_read_the_log_goes_on_where_it_ended),
	    cmocka_unit_test(test_who_starts_while_only_the_lock_is_gone_reads_the_whole_log),
	    cmocka_unit_test(test_a_batch_that_somebody_deleted_is_noticed_and_replaced_by_a_snapshot),
	    cmocka_unit_test(test_a_damaged_snapshot_is_read_again_until_the_next_one_replaces_it),
	    cmocka_unit_test(test_a_head_that_somebody_moved_or_damaged_is_put_back_by_the_leader),
	    cmocka_unit_test(test_a_damaged_lock_that_nobody_holds_is_removed),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
