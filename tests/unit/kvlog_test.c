/* kvlog: the fenced log in the KV of a real Consul: written, followed, fought over. */
#include "discovery/kvlog.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/test.h"

static struct consul_server *real;
static struct asker at;

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

#define ARGS(...) (&(struct consul_args){__VA_ARGS__})

/* ---- a reader that remembers ---- */

struct follower {
	struct kvlog_reader *reader;
	struct buf entries;  /* "index:length " of each entry, 0 for a snapshot's */
	uint64_t index, restarts, n;
	struct kvlog_lock lock; /* head without its strings */
	char leader[64];
	int locks, troubles, unreadable;
	char sentence[256];
	int refuse; /* so many entries are refused */
};

static void on_restart(void *arg)
{
	struct follower *f = arg;

	f->restarts++;
	f->n = f->index = 0;
	buf_clear(&f->entries);
}

static int on_entry(void *arg, uint64_t index, const void *p UNUSED, size_t n, struct err *e)
{
	struct follower *f = arg;

	if (f->refuse) {
		f->refuse--;
		return err_set(e, -EBADMSG, "refused by the test");
	}
	f->index = index;
	f->n++;
	buf_printf(&f->entries, "%llu:%zu ", (unsigned long long)index, n);
	return 0;
}

static void on_lock(void *arg, const struct kvlog_lock *lock)
{
	struct follower *f = arg;

	f->lock = *lock;
	snprintf(f->leader, sizeof(f->leader), "%s", lock->head.name ? lock->head.name : "");
	f->locks++;
}

static void on_trouble(void *arg, const struct err *e)
{
	struct follower *f = arg;

	f->troubles += e != NULL;
	if (e)
		snprintf(f->sentence, sizeof(f->sentence), "%s", err_str(e));
}

static void on_unreadable(void *arg, const struct err *e)
{
	struct follower *f = arg;

	f->unreadable++;
	snprintf(f->sentence, sizeof(f->sentence), "%s", err_str(e));
}

static void follow(struct follower *f, const char *prefix)
{
	static const struct kvlog_reader_ops ops = {on_restart, on_entry, on_lock, on_trouble, on_unreadable};

	f->reader = kvlog_reader_new(at.base, at.consul, prefix, &ops, f);
}

static void unfollow(struct follower *f)
{
	kvlog_reader_free(f->reader);
	buf_free(&f->entries);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		for (int64_t end_ = clock_monotonic() + 20 * SECOND; !(condition);) {              \
			loop_for(at.base, 5 * MILLI);                                              \
			if (clock_monotonic() > end_)                                              \
				fail_msg("did not happen: %s", #condition);                        \
		}                                                                                  \
	} while (0)

/* ---- leaders ---- */

static const char *make_session(void)
{
	static char ids[4][64];
	static unsigned next;
	struct consul_session ask = {0};
	struct consul_answer answer;

	MODEL_SET(consul_session, &ask, lock_delay, 0);
	answer = asker_must(&at, &consul_session_create, ARGS(.name = "test", .object = &ask));
	snprintf(ids[next % 4], sizeof(ids[0]), "%s", CONSUL_OBJECT(&answer, consul_id)->id);
	consul_answer_free(&answer);
	return ids[next++ % 4];
}

static void end_session(const char *id)
{
	asker_do(&at, &consul_session_destroy, ARGS(.name = id));
}

struct claimed {
	int done, code;
};

static void on_claimed(void *arg, const struct err *e)
{
	struct claimed *c = arg;

	c->done = 1;
	c->code = e->code;
}

static int claim(const char *prefix, const struct kvlog_lock *lock, const char *name, const char *session)
{
	const struct log_head me = {.id = "x", .name = name, .address = "127.0.0.1:1", .feature = KVLOG_FEATURE};
	struct claimed c = {0};

	kvlog_claim(at.consul, prefix, lock, &me, session, on_claimed, &c);
	loop_until(at.base, &c.done);
	return c.code;
}

static struct kvlog_writer *writer_of(const char *prefix, const struct kvlog_lock *lock, const char *session)
{
	struct log_head head = {.format = KVLOG_FORMAT,
	    .feature = KVLOG_FEATURE,
	    .seq = lock->head.seq,
	    .index = lock->head.index,
	    .name = "one",
	    .has = UINT64_MAX};

	return kvlog_writer_new(at.consul, prefix, &head, session);
}

static struct kvlog_run run_of(uint64_t first, uint64_t n, size_t size)
{
	struct kvlog_run r = {0};
	cleanup_free char *text = xcalloc(size + 1, 1);
	uint64_t random = first * 7919 + 1;

	for (uint64_t i = first; i < first + n; i++) {
		for (size_t k = 0; k < size; k++)
			text[k] = (char)((random = random * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 56);
		kvlog_run_add(&r, i, text, size);
	}
	return r;
}

static int append(struct kvlog_writer *w, uint64_t first, uint64_t n, size_t size, struct err *e)
{
	struct kvlog_run r = run_of(first, n, size);
	int rc = kvlog_write(w, &r, e);

	kvlog_run_free(&r);
	return rc;
}

static struct kvlog_writer *lead(const char *prefix, struct follower *f, const char *session)
{
	UNTIL(f->locks > 0 && !*f->lock.session);
	assert_int_equal(claim(prefix, &f->lock, "one", session), 0);
	return writer_of(prefix, &f->lock, session);
}

static void finish_chores(struct kvlog_writer *w)
{
	struct err e = ERR_INIT;
	int rc;

	while ((rc = kvlog_chore(w, &e)) > 0)
		;
	if (rc < 0)
		fail_msg("%s", err_str(&e));
}

static uint32_t count_keys(const char *below)
{
	struct consul_answer answer = asker_ask(&at, &consul_kv_keys, ARGS(.name = below));
	uint32_t n = answer.object ? CONSUL_OBJECT(&answer, consul_strings)->items.n : 0;

	consul_answer_free(&answer);
	return n;
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

static void put_record(struct kvlog_run *r, const char *text)
{
	kvlog_run_add_record(r, text, strlen(text));
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

static void test_an_entry_that_cannot_be_applied_is_read_once_more(void **state UNUSED)
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
	UNTIL(h.unreadable);
	assert_non_null(strstr(h.sentence, "refused by the test"));
	assert_non_null(strstr(h.sentence, "t8/log/0000000000000001"));
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
	    cmocka_unit_test(test_an_entry_that_cannot_be_applied_is_read_once_more),
	    cmocka_unit_test(test_a_log_of_a_newer_format_ends_the_reading_with_a_sentence),
	    cmocka_unit_test(test_data_that_went_back_in_time_is_read_anew),
	    cmocka_unit_test(test_two_prefixes_are_two_logs),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
