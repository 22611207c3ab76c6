/* What a task writes, on its way into the log files: every byte or a counted loss, whatever task and disk do. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/keeper_proto.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/lib/hold.h"

/* The log files of stdout from the oldest to the newest as one text; how many there are. */
static int all_logs(struct hold *h, struct buf *out)
{
	int files = 0;

	for (int i = 0; i < 2000; i++) {
		cleanup_free char *path = xasprintf("%s/t.stdout.%d", h->logs, i);

		files += file_read(path, 256 << 20, out, NULL) == 0;
	}
	return files;
}

static int64_t size_of(struct hold *h, const char *name)
{
	cleanup_free char *path = path_join(h->logs, name);
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void test_stdout_and_stderr_go_to_their_files(void **state)
{
	struct hold *h = *state;

	hold_run(h, "echo out; echo err >&2; printf 'no newline'");
	assert_string_equal("out\nno newline", hold_log(h, "t.stdout.0"));
	assert_string_equal("err\n", hold_log(h, "t.stderr.0"));
}

static void test_every_byte_arrives_through_rotation(void **state)
{
	struct hold *h = *state;
	struct buf b cleanup_buf = BUF_INIT;
	char line[16];

	h->spec.max_files = 1000;
	h->spec.max_file_size = 100000;
	hold_run(h, "seq 1 500000");
	assert_int_equal(34, all_logs(h, &b));
	assert_int_equal(100000, size_of(h, "t.stdout.0"));
	const char *p = b.data;

	for (int i = 1; i <= 500000; i++) {
		int n = snprintf(line, sizeof(line), "%d\n", i);

		if (strncmp(p, line, (size_t)n) != 0)
			fail_msg("line %d is wrong: %.20s", i, p);
		p += n;
	}
	assert_int_equal(0, *p);
}

static void test_only_the_newest_files_are_kept_and_a_restart_goes_on_in_the_last(void **state)
{
	struct hold *h = *state;

	h->spec.max_files = 3;
	h->spec.max_file_size = 10000;
	hold_run(h, "head -c 95000 /dev/zero");
	assert_int_equal(-1, size_of(h, "t.stdout.6"));
	assert_int_equal(10000, size_of(h, "t.stdout.7"));
	assert_int_equal(5000, size_of(h, "t.stdout.9"));
	hold_forget(h);
	h->spec.max_files = 2;
	hold_run(h, "head -c 1000 /dev/zero");
	assert_int_equal(6000, size_of(h, "t.stdout.9"));
	assert_int_equal(-1, size_of(h, "t.stdout.7"));
}

static void test_a_task_may_close_its_output_and_go_on(void **state)
{
	struct hold *h = *state;

	hold_start(h, "echo before; exec >&- 2>&-; echo $$ >pid; while [ ! -e go ]; do sleep 0.01; done; exit 6");
	until(h, hold_number(h, "pid") > 0);
	usleep(300000);
	assert_true(hold_alive(hold_number(h, "pid")));
	cleanup_free char *go = path_join(h->dir, "go");

	assert_int_equal(0, file_write_atomic(go, "", 0, 0644, false, NULL));
	until(h, h->exited);
	assert_int_equal(6, h->exit.code);
	assert_string_equal("before\n", hold_log(h, "t.stdout.0"));
}

static void test_logs_that_are_disabled_are_read_and_thrown_away(void **state)
{
	struct hold *h = *state;

	h->spec.logs_disabled = true;
	hold_run(h, "head -c 5000000 /dev/zero; exit 2");
	assert_int_equal(2, h->exit.code);
	assert_int_equal(-1, size_of(h, "t.stdout.0"));
}

static void test_nothing_is_written_to_what_another_task_put_in_the_way(void **state)
{
	struct hold *h = *state;
	cleanup_free char *victim = path_join(h->dir, "victim"), *first = path_join(h->logs, "t.stdout.0"),
	                  *second = path_join(h->logs, "t.stdout.1"), *third = path_join(h->logs, "t.stdout.2"),
	                  *err = path_join(h->logs, "t.stderr.0"), *numbers = path_join(h->logs, "t.stdout.99999999999999999999");
	struct stat st;

	assert_int_equal(0, file_write_atomic(victim, "precious", 8, 0600, false, NULL));
	assert_int_equal(0, symlink(victim, first));
	assert_int_equal(0, symlink(victim, second));
	assert_int_equal(0, symlink("/dev/null", numbers));
	assert_int_equal(0, mkfifo(err, 0666));
	h->spec.max_file_size = 5000;
	h->spec.max_files = 100;
	hold_run(h, "echo first; head -c 6000 /dev/zero; echo err >&2");
	assert_int_equal(0, lstat(third, &st));
	assert_true(S_ISREG(st.st_mode));
	assert_string_equal("err\n", hold_log(h, "t.stderr.1"));
	/* A hard link is no better than a symbolic one. */
	hold_forget(h);
	cleanup_free char *newest = path_join(h->logs, "t.stdout.3"), *away = path_join(h->dir, "away");

	assert_int_equal(0, rename(newest, away));
	assert_int_equal(0, link(victim, newest));
	hold_run(h, "echo again");
	assert_int_equal(8, stat(victim, &st) == 0 ? st.st_size : 0);
	assert_string_equal("again\n", hold_log(h, "t.stdout.4"));
	/* And a folder of logs that is a link is refused. */
	hold_forget(h);
	cleanup_free char *moved = path_join(h->dir, "moved");

	assert_int_equal(0, rename(h->logs, moved));
	assert_int_equal(0, symlink(moved, h->logs));
	hold_run(h, "echo x");
	assert_true(h->failed);
	assert_non_null(strstr(h->error, "folder of the logs"));
}

/* ---- disks that are full ---- */

/* A small file system at a folder, until the process ends. */
static void mount_small(const char *path, const char *size)
{
	cleanup_free char *options = xasprintf("size=%s,mode=777", size);
	static bool own;

	if (!own && unshare(CLONE_NEWNS) < 0)
		fail_msg("these tests mount file systems, which needs root: %s", strerror(errno));
	own = true;
	assert_int_equal(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("drover-test", path, "tmpfs", 0, options) < 0)
		fail_msg("cannot mount a tmpfs at %s: %s", path, strerror(errno));
}

/* Sum of the counts of all markers. */
static int64_t marked(const struct buf *b)
{
	static const char word[] = "[drover: ";
	int64_t sum = 0;

	for (size_t i = 0; i + sizeof(word) < b->len; i++)
		if (!memcmp(b->data + i, word, sizeof(word) - 1))
			sum += atoll(b->data + i + sizeof(word) - 1);
	return sum;
}

static int64_t count_byte(const struct buf *b, char c)
{
	int64_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == c;
	return n;
}

static void test_a_full_disk_costs_output_and_not_the_task_and_the_loss_is_counted(void **state)
{
	struct hold *h = *state;
	struct buf b cleanup_buf = BUF_INIT;

	mount_small(h->logs, "1m");
	h->spec.max_files = 1000;
	hold_start(h, "head -c 5000000 /dev/zero | tr '\\0' Q; echo written >full; while [ ! -e go ]; do sleep 0.01; done; "
	              "head -c 1000 /dev/zero | tr '\\0' Q; exit 3");
	cleanup_free char *go = path_join(h->dir, "go"), *full = path_join(h->dir, "full");

	until(h, access(full, F_OK) == 0); /* it was not blocked */
	cleanup_free char *zero = path_join(h->logs, "t.stdout.0");

	assert_int_equal(0, truncate(zero, 100)); /* there is room again */
	assert_int_equal(0, file_write_atomic(go, "", 0, 0644, false, NULL));
	until(h, h->exited);
	assert_int_equal(3, h->exit.code);
	all_logs(h, &b);
	assert_non_null(memmem(b.data, b.len, "No space left", 13));
	/* What stood in the file when it was cut was at most the size of the disk. */
	int64_t known = count_byte(&b, 'Q') + marked(&b);

	assert_in_range(known, 5001000 - (1 << 20), 5001000);
	umount2(h->logs, MNT_DETACH);
}

static void test_a_full_disk_at_the_start_is_a_clear_failure_and_at_the_end_loses_no_status(void **state)
{
	struct hold *h = *state;
	struct err e cleanup_err = ERR_INIT;
	cleanup_free char *state_dir = path_join(h->dir, "state"), *filler = path_join(state_dir, "filler");

	assert_int_equal(0, mkdir(state_dir, 0700));
	mount_small(state_dir, "64k");
	free(h->record);
	h->record = path_join(state_dir, "t.run");
	/* Filled while the task runs. */
	hold_start(h, "while [ ! -e go ]; do sleep 0.01; done; exit 9");
	until(h, h->started);
	int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char page[4096] = "";

	while (write(fd, page, sizeof(page)) > 0)
		;
	assert_int_equal(ENOSPC, errno);
	cleanup_free char *go = path_join(h->dir, "go");

	hold_forget(h);
	assert_int_equal(0, file_write_atomic(go, "", 0, 0644, false, NULL));
	assert_int_equal(0, hold_adopt(h, 1));
	until(h, h->exited);
	assert_int_equal(9, h->exit.code);
	assert_false(h->exit.lost);
	/* Full when it is to start. */
	hold_forget(h);
	unlink(h->record);
	while (write(fd, page, sizeof(page)) > 0)
		;
	assert_int_equal(-ENOSPC, keeper_start(h->base, h->record, 2, &h->spec, hold_on_event, h, &h->k, &e));
	assert_non_null(strstr(err_str(&e), "No space left"));
	close(fd);
	umount2(state_dir, MNT_DETACH);
}

/* ---- disks that are stuck ---- */

static void shell(const char *fmt, ...) PRINTF(1, 2);
static void shell(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	int status = system(command);

	if (status != 0)
		fail_msg("%s: exit %d (this test freezes a file system in a file, which needs root, loop devices, mkfs.ext4)", command,
		    WEXITSTATUS(status));
}

/* A file system in a file, frozen as one is whose disk does not answer. */
static void test_a_stuck_disk_does_not_stop_the_task_and_the_loss_is_counted(void **state)
{
	struct hold *h = *state;
	struct buf b cleanup_buf = BUF_INIT;
	cleanup_free char *full = path_join(h->dir, "full");

	shell("cd %s && truncate -s 64M disk && mkfs.ext4 -q disk && mount -o loop disk logs && chmod 777 logs", h->dir);
	int fd = open(h->logs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	hold_start(h, "echo begin; while [ ! -e freeze ]; do sleep 0.01; done; head -c 8000000 /dev/zero | tr '\\0' Q; "
	              "echo written >full; while [ ! -e go ]; do sleep 0.01; done; exit 4");
	until(h, size_of(h, "t.stdout.0") == 6);
	assert_int_equal(0, ioctl(fd, FIFREEZE, 0));
	cleanup_free char *freeze = path_join(h->dir, "freeze"), *go = path_join(h->dir, "go");

	assert_int_equal(0, file_write_atomic(freeze, "", 0, 0644, false, NULL));
	int64_t began = clock_monotonic();

	for (int i = 0; i < 3000 && access(full, F_OK) < 0; i++)
		usleep(5000);
	bool blocked = access(full, F_OK) < 0;

	assert_int_equal(0, ioctl(fd, FITHAW, 0));
	close(fd);
	if (blocked)
		fail_msg("the task was blocked by the disk for %lld s", (long long)((clock_monotonic() - began) / SECOND));
	assert_int_equal(0, file_write_atomic(go, "", 0, 0644, false, NULL));
	until(h, h->exited);
	assert_int_equal(4, h->exit.code);
	all_logs(h, &b);
	assert_int_equal(8000000, count_byte(&b, 'Q') + marked(&b));
	assert_non_null(memmem(b.data, b.len, "the disk did not keep up", 24));
	shell("umount %s", h->logs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HELD(test_stdout_and_stderr_go_to_their_files),
		HELD(test_every_byte_arrives_through_rotation),
		HELD(test_only_the_newest_files_are_kept_and_a_restart_goes_on_in_the_last),
		HELD(test_a_task_may_close_its_output_and_go_on),
		HELD(test_logs_that_are_disabled_are_read_and_thrown_away),
		HELD(test_nothing_is_written_to_what_another_task_put_in_the_way),
		HELD(test_a_full_disk_costs_output_and_not_the_task_and_the_loss_is_counted),
		HELD(test_a_full_disk_at_the_start_is_a_clear_failure_and_at_the_end_loses_no_status),
		HELD(test_a_stuck_disk_does_not_stop_the_task_and_the_loss_is_counted),
	};

	return RUN_TESTS(tests);
}
