/* The journal in files: what was committed comes back, what was torn is cut, what is damaged is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/file.h"
#include "sched/journal_format.h"

static char dir[128];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s/drover-journal-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	dir_remove(dir, NULL);
	return 0;
}

#define SEGMENT 4096

static struct journal *open_journal(uint64_t segment, uint64_t budget)
{
	struct journal *j = NULL;
	struct err e = ERR_INIT;
	struct journal_file_config c = {.dir = dir, .segment_size = segment, .budget = budget, .sync = false};
	if (journal_file_open(&c, &j, &e))
		fail_msg("%s", err_str(&e));
	return j;
}

/* Payloads that can be told apart: the index, repeated as often as it says. */
static size_t payload(uint64_t index, uint8_t out[300])
{
	size_t n = 8 + index * 37 % 200;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(index + i);
	return n;
}

static int append(struct journal *j, uint64_t index)
{
	uint8_t p[300];
	size_t n = payload(index, p);
	return j->ops->append(j, index, p, n, NULL);
}

static void commit(struct journal *j)
{
	assert_true(j->ops->commit_begin(j));
	assert_int_equal(j->ops->commit_run(j, NULL), 0);
	j->ops->commit_end(j);
}

struct seen {
	uint64_t last, entries, snapshot_entries;
	bool wrong;
};

static int on_entry(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct seen *s = arg;
	uint8_t want[300];
	(void)e;
	if (!index) {
		s->snapshot_entries++;
		return 0;
	}
	s->wrong |= s->last && index != s->last + 1;
	s->wrong |= payload(index, want) != n || memcmp(want, p, n);
	s->last = index;
	s->entries++;
	return 0;
}

static int replay(struct journal *j, struct seen *s, struct err *e)
{
	*s = (struct seen){0};
	return j->ops->replay(j, on_entry, s, e);
}

/* Writes batches of the given sizes and closes. */
static uint64_t write_batches(uint64_t segment, const int *sizes, int n)
{
	struct journal *j = open_journal(segment, 0);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	uint64_t index = s.last;
	for (int b = 0; b < n; b++) {
		for (int i = 0; i < sizes[b]; i++)
			assert_int_equal(append(j, ++index), 0);
		commit(j);
	}
	j->ops->close(j);
	return index;
}

static void only_segment(char path[256], uint64_t first)
{
	char name[JOURNAL_NAME];
	journal_segment_name(first, name);
	snprintf(path, 256, "%s/%s", dir, name);
}

static void read_whole(const char *path, struct buf *b)
{
	assert_int_equal(file_read(path, 1 << 26, b, NULL), 0);
}

static void write_whole(const char *path, const void *p, size_t n)
{
	assert_int_equal(file_write_atomic(path, p, n, 0600, false, NULL), 0);
}

static void test_what_was_committed_comes_back_in_order(void **state)
{
	(void)state;
	uint64_t last = write_batches(SEGMENT, (const int[]){1, 3, 50, 2, 40}, 5);
	struct journal *j = open_journal(SEGMENT, 0);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_false(s.wrong);
	assert_int_equal(s.last, last);
	assert_int_equal(append(j, last + 1), 0);
	commit(j);
	j->ops->close(j);
	j = open_journal(SEGMENT, 0);
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(s.entries, last + 1);
	assert_false(s.wrong);
	j->ops->close(j);
}

static void test_what_was_not_committed_is_not_there(void **state)
{
	(void)state;
	uint64_t last = write_batches(SEGMENT, (const int[]){5}, 1);
	struct journal *j = open_journal(SEGMENT, 0);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	for (int i = 1; i <= 60; i++) /* into a new segment, too */
		assert_int_equal(append(j, last + (uint64_t)i), 0);
	j->ops->close(j);
	assert_int_equal(write_batches(SEGMENT, (const int[]){2}, 1), last + 2);
	j = open_journal(SEGMENT, 0);
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(s.last, last + 2);
	assert_false(s.wrong);
	j->ops->close(j);
}

static void test_a_tail_cut_at_any_byte_leaves_whole_entries_and_goes_on(void **state)
{
	(void)state;
	uint64_t before = write_batches(SEGMENT, (const int[]){4, 2}, 2);
	struct journal_tail t;
	assert_int_equal(journal_read(dir, NULL, NULL, &t, NULL), 0);
	size_t start = t.offset;
	uint64_t last = write_batches(SEGMENT, (const int[]){3}, 1);
	assert_int_equal(journal_read(dir, NULL, NULL, &t, NULL), 0);
	size_t end = t.offset;
	char path[256];
	only_segment(path, 1);
	struct buf whole = BUF_INIT;
	read_whole(path, &whole);
	for (size_t cut = start; cut < end; cut++) {
		write_whole(path, whole.data, cut);
		struct journal *j = open_journal(SEGMENT, 0);
		struct seen s;
		assert_int_equal(replay(j, &s, NULL), 0);
		assert_false(s.wrong);
		assert_in_range(s.last, before, last - 1);
		uint64_t next = s.last + 1;
		assert_int_equal(append(j, next), 0);
		commit(j);
		j->ops->close(j);
		j = open_journal(SEGMENT, 0);
		assert_int_equal(replay(j, &s, NULL), 0);
		assert_int_equal(s.last, next);
		assert_false(s.wrong);
		j->ops->close(j);
	}
	buf_free(&whole);
}

static void test_a_tail_garbled_at_any_byte_is_cut_and_reported(void **state)
{
	(void)state;
	uint64_t before = write_batches(SEGMENT, (const int[]){4, 2}, 2);
	struct journal_tail t;
	assert_int_equal(journal_read(dir, NULL, NULL, &t, NULL), 0);
	size_t start = t.offset;
	uint64_t last = write_batches(SEGMENT, (const int[]){4}, 1);
	assert_int_equal(journal_read(dir, NULL, NULL, &t, NULL), 0);
	char path[256];
	only_segment(path, 1);
	struct buf whole = BUF_INIT;
	read_whole(path, &whole);
	for (size_t at = start; at < t.offset; at++) {
		whole.data[at] ^= 0x55;
		write_whole(path, whole.data, whole.len);
		whole.data[at] ^= 0x55;
		struct journal_report r;
		assert_int_equal(journal_file_verify(dir, &r, NULL), 0);
		assert_null(r.damage);
		assert_true(r.torn_bytes > 0);
		struct journal *j = open_journal(SEGMENT, 0);
		struct seen s;
		assert_int_equal(replay(j, &s, NULL), 0);
		assert_false(s.wrong);
		assert_in_range(s.last, before, last - 1);
		j->ops->close(j);
		assert_int_equal(journal_file_verify(dir, &r, NULL), 0);
		assert_int_equal(r.torn_bytes, 0);
	}
	buf_free(&whole);
}

static void test_damage_before_a_committed_batch_is_refused_with_its_place(void **state)
{
	(void)state;
	write_batches(SEGMENT, (const int[]){4}, 1);
	struct journal_tail t;
	assert_int_equal(journal_read(dir, NULL, NULL, &t, NULL), 0);
	size_t end = t.offset;
	write_batches(SEGMENT, (const int[]){1, 1}, 2);
	char path[256];
	only_segment(path, 1);
	struct buf whole = BUF_INIT;
	read_whole(path, &whole);
	for (size_t at = JOURNAL_HEADER; at < end; at++) {
		whole.data[at] ^= 0x20;
		write_whole(path, whole.data, whole.len);
		whole.data[at] ^= 0x20;
		struct journal_report r;
		assert_int_equal(journal_file_verify(dir, &r, NULL), 0);
		if (!r.damage)
			fail_msg("damage at offset %zu was not seen", at);
		assert_non_null(strstr(r.damage, "segment-0000000000000001.log: damaged at offset "));
		assert_non_null(strstr(r.damage, "index "));
		free(r.damage);
		struct journal *j = open_journal(SEGMENT, 0);
		struct seen s;
		assert_int_equal(replay(j, &s, NULL), -EBADMSG);
		j->ops->close(j);
	}
	buf_free(&whole);
}

static void test_a_missing_segment_is_damage(void **state)
{
	(void)state;
	write_batches(SEGMENT, (const int[]){30, 30, 30}, 3);
	struct journal_files f;
	assert_int_equal(journal_list(dir, &f, NULL), 0);
	assert_true(f.n_segments >= 3);
	char path[256];
	only_segment(path, f.segments[1]);
	assert_int_equal(unlink(path), 0);
	journal_files_free(&f);
	struct journal_report r;
	assert_int_equal(journal_file_verify(dir, &r, NULL), 0);
	assert_non_null(r.damage);
	free(r.damage);
}

static void test_pages_of_one_batch_may_be_missing_in_any_order(void **state)
{
	(void)state;
	uint64_t before = write_batches(1 << 16, (const int[]){3}, 1);
	struct journal_tail t;
	assert_int_equal(journal_read(dir, NULL, NULL, &t, NULL), 0);
	size_t start = t.offset;
	write_batches(1 << 16, (const int[]){100}, 1);
	char path[256];
	only_segment(path, 1);
	struct buf whole = BUF_INIT;
	read_whole(path, &whole);
	memset(whole.data + start, 0, 4096 - start); /* the first page of the batch did not make it, later ones did */
	write_whole(path, whole.data, whole.len);
	buf_free(&whole);
	struct journal *j = open_journal(1 << 16, 0);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(s.last, before);
	j->ops->close(j);
	/* And nothing of it comes up again behind what is written now. */
	uint64_t now = write_batches(1 << 16, (const int[]){1}, 1);
	assert_int_equal(now, before + 1);
	j = open_journal(1 << 16, 0);
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(s.last, now);
	j->ops->close(j);
}

static void write_three(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		put(put_arg, "entry", 5);
}

static void test_a_snapshot_replaces_the_log(void **state)
{
	(void)state;
	write_batches(SEGMENT, (const int[]){30, 30}, 2);
	struct journal *j = open_journal(SEGMENT, 0);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(j->ops->snapshot(j, 60, write_three, NULL, NULL), 0);
	assert_int_equal(j->ops->log_bytes(j), 0);
	j->ops->close(j);
	struct journal_files f;
	assert_int_equal(journal_list(dir, &f, NULL), 0);
	assert_int_equal(f.n_segments, 0);
	assert_int_equal(f.n_snapshots, 1);
	journal_files_free(&f);
	struct seen want = {0};
	j = open_journal(SEGMENT, 0);
	assert_int_equal(replay(j, &want, NULL), 0);
	assert_int_equal(want.snapshot_entries, 3);
	assert_int_equal(append(j, 61), 0);
	commit(j);
	j->ops->close(j);
	j = open_journal(SEGMENT, 0);
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(s.last, 61);
	assert_int_equal(s.entries, 1);
	j->ops->close(j);
}

static void test_a_damaged_snapshot_is_refused(void **state)
{
	(void)state;
	test_a_snapshot_replaces_the_log(state);
	char path[256], name[JOURNAL_NAME];
	journal_snapshot_name(60, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	struct buf whole = BUF_INIT;
	read_whole(path, &whole);
	for (size_t at = 0; at < whole.len; at++) {
		whole.data[at] ^= 1;
		write_whole(path, whole.data, whole.len);
		whole.data[at] ^= 1;
		struct journal_report r = {0};
		if (!journal_file_verify(dir, &r, NULL) && !r.damage)
			fail_msg("damage at offset %zu of the snapshot was not seen", at);
		free(r.damage);
	}
	buf_free(&whole);
}

static void test_a_full_journal_refuses_before_anything_changed_and_goes_on_later(void **state)
{
	(void)state;
	struct journal *j = open_journal(SEGMENT, 2 * SEGMENT);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	uint64_t index = 0;
	int r;
	while (!(r = append(j, index + 1)))
		index++;
	assert_int_equal(r, -ENOSPC);
	commit(j);
	assert_int_equal(append(j, index + 1), -ENOSPC);
	assert_int_equal(j->ops->snapshot(j, index, write_three, NULL, NULL), 0);
	assert_int_equal(append(j, index + 1), 0);
	commit(j);
	j->ops->close(j);
	j = open_journal(SEGMENT, 0);
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(s.last, index + 1);
	j->ops->close(j);
}

static void test_a_second_process_is_refused_by_name_of_the_first(void **state)
{
	(void)state;
	struct journal *j = open_journal(SEGMENT, 0), *second = NULL;
	struct err e = ERR_INIT;
	struct journal_file_config c = {.dir = dir};
	char pid[32];
	snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_int_equal(journal_file_open(&c, &second, &e), -EBUSY);
	assert_non_null(strstr(err_str(&e), pid));
	err_clear(&e);
	j->ops->close(j);
	assert_int_equal(journal_file_open(&c, &second, &e), 0);
	second->ops->close(second);
}

static void test_the_folder_of_another_cluster_is_refused(void **state)
{
	(void)state;
	write_batches(SEGMENT, (const int[]){1}, 1);
	struct journal_file_config c = {.dir = dir, .cluster_id = {.hi = 1, .lo = 2}};
	struct journal *j = NULL;
	struct seen s;
	assert_int_equal(journal_file_open(&c, &j, NULL), 0);
	assert_int_equal(replay(j, &s, NULL), -EPERM);
	j->ops->close(j);
}

static void test_an_entry_larger_than_a_segment_gets_its_own(void **state)
{
	(void)state;
	struct journal *j = open_journal(SEGMENT, 0);
	struct seen s;
	assert_int_equal(replay(j, &s, NULL), 0);
	assert_int_equal(append(j, 1), 0);
	char *big = xcalloc(1, 100000);
	memset(big, 7, 100000);
	assert_int_equal(j->ops->append(j, 2, big, 100000, NULL), 0);
	assert_int_equal(append(j, 3), 0);
	commit(j);
	j->ops->close(j);
	free(big);
	struct journal_report r;
	assert_int_equal(journal_file_verify(dir, &r, NULL), 0);
	assert_null(r.damage);
	assert_int_equal(r.entries, 3);
	assert_int_equal(r.last_index, 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_what_was_committed_comes_back_in_order),
	    T(test_what_was_not_committed_is_not_there),
	    T(test_a_tail_cut_at_any_byte_leaves_whole_entries_and_goes_on),
	    T(test_a_tail_garbled_at_any_byte_is_cut_and_reported),
	    T(test_damage_before_a_committed_batch_is_refused_with_its_place),
	    T(test_a_missing_segment_is_damage),
	    T(test_pages_of_one_batch_may_be_missing_in_any_order),
	    T(test_a_snapshot_replaces_the_log),
	    T(test_a_damaged_snapshot_is_refused),
	    T(test_a_full_journal_refuses_before_anything_changed_and_goes_on_later),
	    T(test_a_second_process_is_refused_by_name_of_the_first),
	    T(test_the_folder_of_another_cluster_is_refused),
	    T(test_an_entry_larger_than_a_segment_gets_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
