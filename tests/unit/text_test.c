/* The bricks that make and read text and files: clock, json, value, log, file. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/value.h"
#include "tests/lib/random_object.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_durations_are_written_as_go_writes_them(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {{0, "0s"}, {15 * SECOND, "15s"}, {90 * MINUTE, "1h30m0s"}, {1500000, "1.5ms"},
	    {61 * SECOND, "1m1s"}, {7, "7ns"}, {-1500 * MILLI, "-1.5s"}, {1500, "1.5\xc2\xb5s"},
	    {HOUR + 1, "1h0m0.000000001s"}, {INT64_MAX, "2562047h47m16.854775807s"},
	    {INT64_MIN, "-2562047h47m16.854775808s"}};
	char text[DURATION_STR];
	int64_t back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(duration_format(cases[i].ns, text), cases[i].text);
		if (cases[i].ns == INT64_MIN)
			continue;
		assert_int_equal(duration_parse(text, &back), 0);
		assert_true(back == cases[i].ns);
	}
}

static void test_durations_are_read_as_go_reads_them(void **state)
{
	static const struct {
		const char *text;
		int code;
		int64_t ns;
	} cases[] = {{"1h30m", 0, 90 * MINUTE}, {"-1.5s", 0, -1500 * MILLI}, {"100ms", 0, 100 * MILLI},
	    {"2us", 0, 2000}, {"2\xc2\xb5s", 0, 2000}, {"7ns", 0, 7}, {"0", 0, 0}, {"+5s", 0, 5 * SECOND},
	    {".5s", 0, 500 * MILLI}, {"1.s", 0, SECOND}, {"", -EINVAL, 0}, {"5", -EINVAL, 0},
	    {"s", -EINVAL, 0}, {"1d", -EINVAL, 0}, {"1 s", -EINVAL, 0}, {"-", -EINVAL, 0},
	    {".s", -EINVAL, 0}, {"1s2", -EINVAL, 0}, {"300000000h", -ERANGE, 0},
	    {"99999999999999999999s", -ERANGE, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ns = 0;

		assert_int_equal(duration_parse(cases[i].text, &ns), cases[i].code);
		assert_true(ns == cases[i].ns);
	}
}

static void test_times_read_back_in_every_zone(void **state)
{
	static const char *const bad[] = {"", "2026", "2026-11-22", "2026-13-22T10:16:32Z",
	    "2026-11-22T10:16:32", "2026-11-22T10:16:32.Z", "2026-11-22T10:16:32+1:00",
	    "2026-11-22T25:16:32Z", "9999-11-22T10:16:32Z"};
	struct rng r = {1};
	char text[TIME_STR];
	int64_t t = 5;

	(void)state;
	assert_string_equal(time_format_rfc3339(0, text), "0001-01-01T00:00:00Z");
	assert_int_equal(time_parse_rfc3339(text, &t), 0);
	assert_int_equal(t, 0);
	assert_int_equal(time_parse_rfc3339("2026-11-22T10:16:32.5Z", &t), 0);
	assert_string_equal(time_format_rfc3339(t, text), "2026-11-22T10:16:32.5Z");
	assert_int_equal(time_parse_rfc3339("2026-11-22T12:16:32.5+02:00", &t), 0);
	assert_string_equal(time_format_rfc3339(t, text), "2026-11-22T10:16:32.5Z");
	for (int i = 0; i < 1000; i++) {
		int64_t at = (int64_t)rng_next(&r) / 2, back;

		assert_int_equal(time_parse_rfc3339(time_format_rfc3339(at, text), &back), 0);
		assert_true(back == at);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(time_parse_rfc3339(bad[i], &t) < 0);
}

static void test_relative_times_have_at_most_two_units(void **state)
{
	static const struct {
		int64_t ago;
		const char *text;
	} cases[] = {{192 * SECOND, "3m12s ago"}, {26 * HOUR, "1d2h ago"}, {-5 * SECOND, "5s from now"},
	    {0, "0s ago"}, {400 * MILLI, "0s ago"}, {HOUR, "1h ago"}};
	int64_t now = 1795342592 * SECOND;
	char text[TIME_STR];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(time_format_relative(now - cases[i].ago, now, text), cases[i].text);
}

static void expect_number(double v, const char *text)
{
	cleanup_buf struct buf b = BUF_INIT;

	json_put_double(&b, v);
	assert_string_equal(b.data, text);
}

static void test_numbers_look_as_go_writes_them_and_read_back(void **state)
{
	struct rng r = {8};

	(void)state;
	expect_number(0, "0");
	expect_number(0.1, "0.1");
	expect_number(100, "100");
	expect_number(1e20, "100000000000000000000");
	expect_number(18446744073709551616.0, "18446744073709552000");
	expect_number(-123456789012345678901.0, "-123456789012345680000");
	expect_number(1e15, "1000000000000000");
	expect_number(1e21, "1e+21");
	expect_number(1e-6, "0.000001");
	expect_number(1e-7, "1e-7");
	expect_number(1.25e-5, "0.0000125");
	expect_number(-2.5e-9, "-2.5e-9");
	expect_number(0.30000000000000004, "0.30000000000000004");
	expect_number(NAN, "null");
	for (int i = 0; i < 5000; i++) {
		uint64_t bits = rng_next(&r);
		cleanup_buf struct buf b = BUF_INIT;
		double v;

		memcpy(&v, &bits, sizeof(v));
		if (!isfinite(v))
			continue;
		json_put_double(&b, v);
		assert_true(strtod(b.data, NULL) == v);
	}
}

static void test_whole_numbers_beyond_64_bits_are_read_as_real_ones(void **state)
{
	static const char text[] = "{\"a\": [9223372036854775807, 9223372036854775808, -18446744073709551616, 1e30], \"9223372036854775808\": "
				   "\"\\\"9223372036854775808\"}";
	json_error_t error;
	json_t *j = json_read(text, sizeof(text) - 1, 0, &error), *a = json_object_get(j, "a");

	(void)state;
	assert_non_null(j);
	assert_true(json_integer_value(json_array_get(a, 0)) == INT64_MAX);
	assert_true(json_real_value(json_array_get(a, 1)) == 9223372036854775808.0);
	assert_true(json_real_value(json_array_get(a, 2)) == -18446744073709551616.0);
	assert_true(json_real_value(json_array_get(a, 3)) == 1e30);
	assert_string_equal(json_string_value(json_object_get(j, "9223372036854775808")), "\"9223372036854775808");
	json_decref(j);
	assert_null(json_read("[1e999]", 7, 0, &error));
}

static void test_strings_are_escaped_as_go_escapes_them(void **state)
{
	static const char in[] = "<a&b>\"\\\n\t\r\x01\x7f\xc3\xbc\xff\xe2\x80\xa8\xed\xa0\x80";
	cleanup_buf struct buf b = BUF_INIT;

	(void)state;
	json_put_string(&b, in, sizeof(in) - 1);
	assert_string_equal(b.data, "\"<a&b>\\\"\\\\\\n\\t\\r\\u0001\x7f\xc3\xbc\\ufffd\\u2028\\ufffd\\ufffd\\ufffd\"");
	buf_clear(&b);
	json_put_string_html(&b, in, sizeof(in) - 1);
	assert_string_equal(b.data,
	    "\"\\u003ca\\u0026b\\u003e\\\"\\\\\\n\\t\\r\\u0001\x7f\xc3\xbc\\ufffd\\u2028\\ufffd\\ufffd\\ufffd\"");
}

static void test_random_bytes_always_give_valid_json(void **state)
{
	struct rng r = {9};

	(void)state;
	for (int i = 0; i < 3000; i++) {
		cleanup_buf struct buf b = BUF_INIT;
		char bytes[16];
		json_t *j;

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (char)(1 + rng_below(&r, 255));
		json_put_string(&b, bytes, sizeof(bytes));
		j = json_loadb(b.data, b.len, JSON_DECODE_ANY, NULL);
		assert_non_null(j);
		json_decref(j);
	}
}

static void test_values_go_through_json_and_wire_unchanged(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 300; seed++) {
		struct rng r = {seed};
		struct arena *a = arena_new();
		struct value *v = random_value(&r, a, 4), *back;
		cleanup_buf struct buf b = BUF_INIT, bin = BUF_INIT;
		struct wire w;
		json_t *j;

		value_print_json(&b, v, seed % 2 ? 0 : 2, 0);
		j = json_loadb(b.data, b.len, JSON_DECODE_ANY, NULL);
		assert_non_null(j);
		assert_true(value_equal(v, value_from_json(a, j)));
		json_decref(j);
		value_put(&bin, v);
		w = wire_reader(bin.data, bin.len);
		back = value_take(&w, a);
		assert_true(wire_end(&w));
		assert_true(value_equal(v, back));
		assert_true(value_equal(v, value_copy(a, v)));
		for (size_t n = 0; n < bin.len; n++) {
			w = wire_reader(bin.data, n);
			value_take(&w, a);
			assert_true(w.bad);
		}
		arena_free(a);
	}
}

static void test_a_map_value_is_sorted_and_its_last_double_wins(void **state)
{
	struct arena *a = arena_new();
	const char *keys[] = {"b", "a", "b"};
	struct value *items[] = {value_int(a, 1), value_int(a, 2), value_int(a, 3)};
	struct value *m = value_map(a, keys, items, 3);

	(void)state;
	assert_int_equal(m->n, 2);
	assert_string_equal(m->keys[0], "a");
	assert_int_equal(value_get(m, "b")->i, 3);
	assert_null(value_get(m, "c"));
	assert_null(value_get(NULL, "c"));
	arena_free(a);
}

static char *temp_dir(void)
{
	char *path = xstrdup("/tmp/drover-test-XXXXXX");

	assert_non_null(mkdtemp(path));
	return path;
}

static void test_a_file_is_replaced_whole_with_its_mode(void **state)
{
	cleanup_free char *dir = temp_dir(), *path = path_join(dir, "f");
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(file_write_atomic(path, "one", 3, 0600, true, &e), 0);
	assert_int_equal(file_write_atomic(path, "second", 6, 0640, false, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(path, 100, &b, &e), 0);
	assert_string_equal(b.data, "second");
	assert_int_equal(file_read(path, 5, &b, &e), -EFBIG);
	cleanup_buf struct buf nothing = BUF_INIT;

	assert_int_equal(file_write_atomic(path, "", 0, 0600, false, &e), 0);
	assert_int_equal(file_read(path, 5, &nothing, &e), 0);
	assert_string_equal(nothing.data, "");
	assert_int_equal(nothing.len, 0);
	assert_int_equal(file_read(dir, 5, &b, &e), -EISDIR);
	assert_int_equal(file_read("/nosuch/file", 5, &b, &e), -ENOENT);
	assert_non_null(strstr(err_str(&e), "/nosuch/file"));
	assert_int_equal(dir_remove(dir, &e), 0);
	assert_int_equal(file_write_atomic(path, "x", 1, 0600, true, &e), -ENOENT);
}

static void test_a_deep_locked_tree_with_links_is_removed_and_nothing_else(void **state)
{
	cleanup_free char *dir = temp_dir(), *outside = temp_dir();
	cleanup_free char *keep = path_join(outside, "keep"), *root = path_join(dir, "root");
	cleanup_err struct err e = ERR_INIT;
	int fd, next;

	(void)state;
	assert_int_equal(file_write_atomic(keep, "x", 1, 0600, false, &e), 0);
	assert_int_equal(dir_make(root, 0755, &e), 0);
	fd = open(root, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 500; i++) {
		assert_int_equal(mkdirat(fd, "down", 0755), 0);
		assert_int_equal(symlinkat(outside, fd, "link"), 0);
		next = openat(fd, "down", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		if (i % 50 == 49)
			assert_int_equal(fchmod(fd, 0500), 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_true(dir_usage(root) >= 0);
	assert_int_equal(dir_remove(dir, &e), 0);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(access(keep, F_OK), 0);
	assert_int_equal(dir_remove(outside, &e), 0);
	assert_int_equal(dir_remove(outside, &e), -ENOENT);
}

/* Somebody's folder of the same file system, mounted into the tree: seen in a child with mounts of its own. */
static int remove_with_a_mount(const char *dir, const char *outside)
{
	cleanup_free char *at = path_join(dir, "mounted"), *keep = path_join(at, "keep"), *rest = path_join(dir, "rest");
	cleanup_err struct err e = ERR_INIT;

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return 1;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir(at, 0755) < 0 || mkdir(rest, 0755) < 0 ||
	    mount(outside, at, NULL, MS_BIND, NULL) < 0 || access(keep, F_OK) < 0)
		return 2;
	if (dir_remove(dir, &e) != -EXDEV || !strstr(err_str(&e), "something is mounted"))
		return 3;
	if (access(keep, F_OK) < 0 || access(rest, F_OK) == 0)
		return 4;
	return umount(at) < 0 || dir_remove(dir, &e) < 0 ? 5 : 0;
}

static void test_what_is_mounted_in_the_tree_is_not_touched(void **state)
{
	cleanup_free char *dir = temp_dir(), *outside = temp_dir(), *keep = path_join(outside, "keep");
	cleanup_err struct err e = ERR_INIT;
	int status = -1;

	(void)state;
	assert_int_equal(file_write_atomic(keep, "x", 1, 0600, false, &e), 0);
	pid_t pid = fork();

	if (pid == 0)
		_exit(remove_with_a_mount(dir, outside));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(keep, F_OK), 0);
	assert_int_equal(dir_remove(outside, &e), 0);
}

static void test_a_link_in_place_of_the_tree_is_not_followed(void **state)
{
	cleanup_free char *dir = temp_dir();
	cleanup_free char *target = path_join(dir, "target"), *link = path_join(dir, "link");
	cleanup_err struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(dir_make(target, 0755, &e), 0);
	assert_int_equal(symlink(target, link), 0);
	assert_true(dir_remove(link, &e) < 0);
	assert_int_equal(access(target, F_OK), 0);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static void test_folders_are_made_with_their_parents_but_not_over_files(void **state)
{
	cleanup_free char *dir = temp_dir(), *deep = path_join(dir, "a//b/c/"), *file = path_join(dir, "f");
	cleanup_free char *below = path_join(file, "x");
	cleanup_err struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(dir_make(deep, 0755, &e), 0);
	assert_int_equal(dir_make(deep, 0755, &e), 0);
	assert_int_equal(file_write_atomic(file, "x", 1, 0600, false, &e), 0);
	assert_int_equal(dir_make(file, 0755, &e), -ENOTDIR);
	assert_int_equal(dir_make(below, 0755, &e), -ENOTDIR);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static void keep_line(void *arg, enum log_level level, const char *line, size_t len)
{
	buf_put(arg, line, len);
	assert_true(level >= LOG_DEBUG);
	log_error("sink", "a sink that logs is not called again");
}

static void test_a_sink_gets_each_event_as_one_line(void **state)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct log_sink sink = {.level = LOG_DEBUG, .fn = keep_line, .arg = &b};
	enum log_level level;

	(void)state;
	log_set_level(LOG_ERROR);
	log_sink_add(&sink);
	log_info("server", "node %s\nregistered", "n1");
	log_trace("server", "not wanted");
	log_sink_remove(&sink);
	log_info("server", "nobody listens");
	assert_non_null(strstr(b.data, "Z [INFO]  server: node n1 registered\n"));
	assert_ptr_equal(strchr(b.data, '\n'), b.data + b.len - 1);
	buf_clear(&b);
	sink.json = true;
	log_sink_add(&sink);
	log_warn("server", "a \"word\"");
	log_sink_remove(&sink);
	assert_true(str_starts(b.data, "{\"@level\":\"warn\",\"@message\":\"a \\\"word\\\"\",\"@module\":\"server\",\"@timestamp\":\"20"));
	assert_ptr_equal(strchr(b.data, '\n'), b.data + b.len - 1);
	assert_int_equal(log_level_parse("warn", &level), 0);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_durations_are_written_as_go_writes_them),
	    cmocka_unit_test(test_durations_are_read_as_go_reads_them),
	    cmocka_unit_test(test_times_read_back_in_every_zone),
	    cmocka_unit_test(test_relative_times_have_at_most_two_units),
	    cmocka_unit_test(test_numbers_look_as_go_writes_them_and_read_back),
	    cmocka_unit_test(test_whole_numbers_beyond_64_bits_are_read_as_real_ones),
	    cmocka_unit_test(test_strings_are_escaped_as_go_escapes_them),
	    cmocka_unit_test(test_random_bytes_always_give_valid_json),
	    cmocka_unit_test(test_values_go_through_json_and_wire_unchanged),
	    cmocka_unit_test(test_a_map_value_is_sorted_and_its_last_double_wins),
	    cmocka_unit_test(test_a_file_is_replaced_whole_with_its_mode),
	    cmocka_unit_test(test_a_deep_locked_tree_with_links_is_removed_and_nothing_else),
	    cmocka_unit_test(test_what_is_mounted_in_the_tree_is_not_touched),
	    cmocka_unit_test(test_a_link_in_place_of_the_tree_is_not_followed),
	    cmocka_unit_test(test_folders_are_made_with_their_parents_but_not_over_files),
	    cmocka_unit_test(test_a_sink_gets_each_event_as_one_line),
	};

	return RUN_TESTS(tests);
}
