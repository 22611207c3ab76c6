/* What people may read of an allocation's folder: its files, and nothing that a task makes them point at. */
#include "tests/lib/test.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/files.h"
#include "base/file.h"

struct scene {
	char dir[64];
	char *alloc;
	struct buf json;
	struct err e;
};

static void put(struct scene *s, const char *path, const char *text)
{
	cleanup_free char *full = path_join(s->alloc, path);

	assert_int_equal(0, file_write_atomic(full, text, strlen(text), 0644, false, NULL));
}

static void make_folder(struct scene *s, const char *path)
{
	cleanup_free char *full = path_join(s->alloc, path);

	assert_int_equal(0, dir_make(full, 0755, NULL));
}

static void put_link(struct scene *s, const char *to, const char *path)
{
	cleanup_free char *full = path_join(s->alloc, path);

	assert_int_equal(0, symlink(to, full));
}

static int open_scene(void **state)
{
	struct scene *s = xcalloc(1, sizeof(*s));

	strcpy(s->dir, "/tmp/drover-files-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->alloc = path_join(s->dir, "alloc-id");
	make_folder(s, "alloc/logs");
	make_folder(s, "alloc/data");
	make_folder(s, "t/local");
	make_folder(s, "t/secrets");
	put(s, "t/local/conf", "hello\n");
	put(s, "t/secrets/key", "secret");
	cleanup_free char *outside = path_join(s->dir, "outside");

	assert_int_equal(0, file_write_atomic(outside, "outside", 7, 0644, false, NULL));
	*state = s;
	return 0;
}

static int close_scene(void **state)
{
	struct scene *s = *state;

	dir_remove(s->dir, NULL);
	buf_free(&s->json);
	err_clear(&s->e);
	free(s->alloc);
	free(s);
	return 0;
}

#define S(f) cmocka_unit_test_setup_teardown(f, open_scene, close_scene)

/* Of each way to read. */
static void assert_refused(struct scene *s, const char *path, const char *why)
{
	int fd = -1;

	for (int way = 0; way < 4; way++) {
		int r = way == 0 ? files_open(s->alloc, path, &fd, &s->e)
		    : way == 1   ? files_stat(s->alloc, path, &s->json, &s->e)
		    : way == 2   ? files_list(s->alloc, path, &s->json, &s->e)
		                 : files_open_folder(s->alloc, path, &fd, &s->e);

		if (r >= 0)
			fail_msg("%s can be read in way %d", path, way);
		if (!strstr(err_str(&s->e), why))
			fail_msg("%s in way %d: \"%s\" does not say \"%s\"", path, way, err_str(&s->e), why);
	}
	assert_int_equal(-1, fd);
}

static void test_a_file_is_read(void **state)
{
	struct scene *s = *state;
	char text[16] = "";
	int fd;

	assert_int_equal(0, files_open(s->alloc, "/t/local/conf", &fd, NULL));
	assert_int_equal(6, read(fd, text, sizeof(text)));
	assert_string_equal("hello\n", text);
	close(fd);
	assert_int_equal(0, files_stat(s->alloc, "t/local/conf", &s->json, NULL));
	assert_non_null(strstr(s->json.data, "\"ContentType\":\"text/plain; charset=utf-8\""));
	assert_non_null(strstr(s->json.data, "\"Size\":6"));
	buf_clear(&s->json);
	assert_int_equal(0, files_list(s->alloc, "/", &s->json, NULL));
	assert_non_null(strstr(s->json.data, "\"Name\":\"alloc\""));
	assert_non_null(strstr(s->json.data, "\"Name\":\"t\""));
}

static void test_nothing_outside_is_read_however_it_is_pointed_at(void **state)
{
	static const char escapes[] = "Path escapes the alloc directory";
	struct scene *s = *state;

	put_link(s, "/etc/shadow", "t/local/shadow");
	put_link(s, "../../../outside", "t/local/up");
	put_link(s, "/etc", "t/local/etc");
	put_link(s, "../../../../../../../../etc", "alloc/etc");
	put_link(s, "/proc/self/root/etc", "alloc/proc");
	put_link(s, "loop", "t/local/loop");
	assert_refused(s, "../outside", escapes);
	assert_refused(s, "t/../../outside", escapes);
	assert_refused(s, "t/local/shadow", escapes);
	assert_refused(s, "t/local/up", escapes);
	assert_refused(s, "t/local/etc/passwd", escapes);
	assert_refused(s, "alloc/etc", escapes);
	assert_refused(s, "alloc/proc/passwd", escapes);
	assert_refused(s, "t/local/loop", escapes);
	assert_refused(s, "../../../../../../etc/hostname", escapes);
}

static void test_links_that_stay_inside_are_followed(void **state)
{
	struct scene *s = *state;
	int fd;

	put_link(s, "../local/conf", "t/local/again");
	assert_int_equal(0, files_open(s->alloc, "t/local/again", &fd, NULL));
	close(fd);
}

static void test_secrets_are_for_the_task_alone(void **state)
{
	static const char prohibited[] = "Reading secret file prohibited";
	struct scene *s = *state;
	int fd;

	put_link(s, "../secrets/key", "t/local/key");
	put_link(s, "secrets", "t/open");
	assert_refused(s, "t/secrets/key", prohibited);
	assert_refused(s, "t/secrets", prohibited);
	assert_refused(s, "t/local/../secrets/key", prohibited);
	assert_refused(s, "t/local/key", prohibited);
	assert_refused(s, "t/open/key", prohibited);
	assert_refused(s, "./t//secrets/", prohibited);
	/* A folder of that name elsewhere is a folder like any other. */
	make_folder(s, "alloc/secrets");
	put(s, "alloc/secrets/list", "x");
	assert_int_equal(0, files_open(s->alloc, "alloc/secrets/list", &fd, NULL));
	close(fd);
	make_folder(s, "t/local/secrets");
	assert_int_equal(0, files_list(s->alloc, "t/local/secrets", &s->json, NULL));
}

static void test_pipes_and_devices_are_named_and_never_opened(void **state)
{
	struct scene *s = *state;
	cleanup_free char *pipe = path_join(s->alloc, "t/local/pipe"), *device = path_join(s->alloc, "t/local/device");
	int fd;

	assert_int_equal(0, mkfifo(pipe, 0600));
	assert_int_equal(0, mknod(device, S_IFCHR | 0600, makedev(1, 5)));
	/* A reader that opens the pipe would let this writer in. */
	assert_int_equal(0, files_stat(s->alloc, "t/local/pipe", &s->json, NULL));
	assert_int_equal(-1, open(pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	assert_int_equal(ENXIO, errno);
	assert_non_null(strstr(s->json.data, "\"FileMode\":\"prw-------\""));
	assert_true(files_open(s->alloc, "t/local/pipe", &fd, &s->e) < 0);
	assert_non_null(strstr(err_str(&s->e), "pipe"));
	assert_true(files_open(s->alloc, "t/local/device", &fd, &s->e) < 0);
	assert_int_equal(-EISDIR, files_open(s->alloc, "t/local", &fd, &s->e));
	assert_string_equal("file \"t/local\" is a directory", err_str(&s->e));
	assert_true(files_open(s->alloc, "no/such", &fd, &s->e) < 0);
	assert_non_null(strstr(err_str(&s->e), "no/such: no such file or directory"));
	assert_int_equal(-ENOTDIR, files_open_folder(s->alloc, "t/local/conf", &fd, &s->e));
}

static void test_a_folder_with_too_many_entries_is_refused(void **state)
{
	struct scene *s = *state;

	make_folder(s, "alloc/data/many");
	for (int i = 0; i < 20001; i++) {
		cleanup_free char *path = xasprintf("%s/alloc/data/many/%d", s->alloc, i);

		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	assert_int_equal(-E2BIG, files_list(s->alloc, "alloc/data/many", &s->json, &s->e));
}

/* ---- streams ---- */

struct taken {
	struct buf data;
	bool ended, truncated, deleted;
	int pauses;
	struct file_stream *stream;
};

static bool on_stream(void *arg, const struct file_stream_event *ev)
{
	struct taken *t = arg;

	if (ev->what == FILE_STREAM_DATA)
		buf_put(&t->data, ev->p, ev->n);
	t->truncated |= ev->what == FILE_STREAM_TRUNCATED;
	t->deleted |= ev->what == FILE_STREAM_DELETED;
	t->ended |= ev->what == FILE_STREAM_END || ev->what == FILE_STREAM_DELETED || ev->what == FILE_STREAM_ERROR;
	return t->pauses-- <= 0;
}

static bool is_live(void *arg)
{
	return *(bool *)arg;
}

static void spin(struct event_base *base, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static void test_logs_are_followed_over_rotation_and_links_among_them_are_passed_over(void **state)
{
	struct scene *s = *state;
	struct event_base *base = event_base_new();
	struct taken t = {0};
	bool live = true;
	struct file_stream_config c = {
	    .alloc_dir = s->alloc, .task = "t", .type = "stdout", .follow = true, .live = is_live, .live_arg = &live};

	put(s, "alloc/logs/t.stdout.0", "one ");
	put_link(s, "/etc/passwd", "alloc/logs/t.stdout.1");
	put_link(s, "../../t/secrets/key", "alloc/logs/t.stdout.2");
	assert_int_equal(0, file_stream_open(base, &c, on_stream, &t, &t.stream, &s->e));
	spin(base, 50);
	put(s, "alloc/logs/t.stdout.3", "two ");
	spin(base, 50);
	put(s, "alloc/logs/t.stdout.4", "three");
	live = false;
	spin(base, 500);
	assert_true(t.ended);
	assert_string_equal("one two three", t.data.data);
	file_stream_close(t.stream);
	/* From the end, and the last lines. */
	c.from_end = true;
	c.offset = 6;
	c.follow = false;
	buf_clear(&t.data);
	t.ended = false;
	assert_int_equal(0, file_stream_open(base, &c, on_stream, &t, &t.stream, &s->e));
	spin(base, 50);
	assert_string_equal(" three", t.data.data);
	file_stream_close(t.stream);
	buf_free(&t.data);
	event_base_free(base);
}

static void test_a_file_is_followed_through_truncation_pause_and_removal(void **state)
{
	struct scene *s = *state;
	struct event_base *base = event_base_new();
	struct taken t = {.pauses = 1};
	struct file_stream_config c = {.alloc_dir = s->alloc, .path = "t/local/conf", .follow = true};
	cleanup_free char *path = path_join(s->alloc, "t/local/conf");

	assert_int_equal(0, file_stream_open(base, &c, on_stream, &t, &t.stream, &s->e));
	spin(base, 50);
	assert_int_equal(6, t.data.len);
	FILE *f = fopen(path, "ae");

	fputs("more", f);
	fclose(f);
	spin(base, 300);
	assert_int_equal(6, t.data.len); /* paused */
	file_stream_resume(t.stream);
	spin(base, 100);
	assert_string_equal("hello\nmore", t.data.data);
	assert_int_equal(0, truncate(path, 2));
	spin(base, 400);
	assert_true(t.truncated);
	assert_int_equal(0, unlink(path));
	spin(base, 400);
	assert_true(t.deleted && t.ended);
	file_stream_close(t.stream);
	buf_free(&t.data);
	event_base_free(base);
}

static void test_a_stream_with_a_limit_ends_there(void **state)
{
	struct scene *s = *state;
	struct event_base *base = event_base_new();
	struct taken t = {0};
	struct file_stream_config c = {.alloc_dir = s->alloc, .path = "t/local/conf", .offset = 1, .limit = 3};

	assert_int_equal(0, file_stream_open(base, &c, on_stream, &t, &t.stream, &s->e));
	spin(base, 50);
	assert_string_equal("ell", t.data.data);
	assert_true(t.ended);
	file_stream_close(t.stream);
	buf_free(&t.data);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(test_a_file_is_read),
		S(test_nothing_outside_is_read_however_it_is_pointed_at),
		S(test_links_that_stay_inside_are_followed),
		S(test_secrets_are_for_the_task_alone),
		S(test_pipes_and_devices_are_named_and_never_opened),
		S(test_a_folder_with_too_many_entries_is_refused),
		S(test_logs_are_followed_over_rotation_and_links_among_them_are_passed_over),
		S(test_a_file_is_followed_through_truncation_pause_and_removal),
		S(test_a_stream_with_a_limit_ends_there),
	};

	return RUN_TESTS(tests);
}
