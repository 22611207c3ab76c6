/* Keepers and what they hold, with real processes: whatever a task does, and whatever happens to agent, keeper and disk. */
#include "tests/lib/test.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/keeper.h"
#include "agent/keeper_proto.h"
#include "agent/stray.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/lib/hold.h"

/* ---- exits ---- */

static void test_exit_codes_and_signals_are_as_they_were(void **state)
{
	static const struct {
		const char *script;
		int code, signal;
	} ends[] = {{"exit 0", 0, 0}, {"exit 7", 7, 0}, {"kill -TERM $$", 143, 15}, {"kill -KILL $$", 137, 9}};
	struct hold *h = *state;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		hold_forget(h);
		hold_run(h, ends[i].script);
		assert_true(h->started && h->exited);
		assert_int_equal(ends[i].code, h->exit.code);
		assert_int_equal(ends[i].signal, h->exit.signal);
		assert_false(h->exit.lost);
		assert_in_range(h->exit.at, clock_now() - 10 * SECOND, clock_now());
	}
}

static void test_what_cannot_be_started_says_why(void **state)
{
	struct hold *h = *state;
	struct err e cleanup_err = ERR_INIT;
	cleanup_free char *script = path_join(h->dir, "no-such-interpreter");

	h->spec.command = "/no/such/program";
	assert_int_equal(-ENOENT, keeper_start(h->base, h->record, 1, &h->spec, hold_on_event, h, &h->k, &e));
	assert_non_null(strstr(err_str(&e), "/no/such/program"));
	h->spec.command = "no-such-program";
	assert_int_equal(-ENOENT, keeper_start(h->base, h->record, 1, &h->spec, hold_on_event, h, &h->k, &e));
	assert_non_null(strstr(err_str(&e), "PATH"));
	/* What only the exec itself finds out comes from the keeper. */
	assert_int_equal(0, file_write_atomic(script, "#!/no/such/interpreter\n", 23, 0755, false, NULL));
	h->spec.command = script;
	hold_run(h, "");
	assert_true(h->failed && !h->started);
	assert_int_equal(ENOENT, h->exit.error_code);
	assert_non_null(strstr(h->error, "cannot start"));
	assert_non_null(strstr(h->error, "No such file"));
	/* And an agent that comes later hears the same. */
	hold_forget(h);
	assert_int_equal(0, hold_adopt(h, 1));
	until(h, h->failed);
	assert_int_equal(ENOENT, h->exit.error_code);
	assert_non_null(strstr(h->error, "cannot start"));
}

static void test_a_task_sees_three_descriptors_and_default_signals(void **state)
{
	struct hold *h = *state;

	signal(SIGHUP, SIG_IGN);
	hold_run(h, "ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status");
	signal(SIGHUP, SIG_DFL);
	/* 3 is the folder that ls reads. */
	assert_string_equal("0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", hold_log(h, "t.stdout.0"));
}

static void test_a_task_gets_its_own_limits(void **state)
{
	struct hold *h = *state;

	h->spec.open_files = 123;
	h->spec.oom_score_adj = 321;
	hold_run(h, "ulimit -Sn; cat /proc/self/oom_score_adj");
	assert_string_equal("123\n321\n", hold_log(h, "t.stdout.0"));
}

static void test_a_huge_environment_arrives_and_one_too_huge_is_refused(void **state)
{
	struct hold *h = *state;
	struct err e cleanup_err = ERR_INIT;
	char *big = arena_alloc(h->arena, 5 << 20);

	memset(big, 'x', 5 << 20);
	memcpy(big, "A=", 2);
	big[100000] = 0;
	for (int i = 0; i < 10; i++)
		strs_push(h->arena, &h->spec.env, arena_printf(h->arena, "V%d=%s", i, big));
	hold_run(h, "echo ${#V0} ${#V9}");
	assert_string_equal("100000 100000\n", hold_log(h, "t.stdout.0"));
	hold_forget(h);
	h->spec.env.n = 1;
	big[100000] = 'x';
	big[(5 << 20) - 1] = 0;
	strs_push(h->arena, &h->spec.env, big);
	assert_int_equal(-E2BIG, keeper_start(h->base, h->record, 2, &h->spec, hold_on_event, h, &h->k, &e));
	assert_non_null(strstr(err_str(&e), "environment"));
	/* Below our bound and above the kernel's (128 KiB for one string). */
	big[200000] = 0;
	h->spec.env.n = 1;
	strs_push(h->arena, &h->spec.env, big);
	hold_run(h, "true");
	assert_true(h->failed);
	assert_int_equal(E2BIG, h->exit.error_code);
}

static void test_an_end_for_want_of_memory_is_told(void **state)
{
	struct hold *h = *state;
	cleanup_free char *count = path_join(h->dir, "memory.events");

	/* By the count of its cgroup, which may be an earlier run's. */
	assert_int_equal(0, file_write_atomic(count, "low 0\noom 2\noom_kill 2\noom_group_kill 9\n", 40, 0644, false, NULL));
	h->spec.cgroup_oom = count;
	hold_run(h, "kill -9 $$");
	assert_false(h->exit.oom);
	hold_forget(h);
	hold_run(h, "printf 'low 0\\noom 3\\noom_kill 3\\n' >memory.events; kill -9 $$");
	assert_true(h->exit.oom);
	/* Without one, by the kernel's log. */
	hold_forget(h);
	h->spec.cgroup_oom = NULL;
	hold_run(h, "kill -9 $$");
	assert_false(h->exit.oom);
	hold_forget(h);
	hold_run(h, "echo \"drover test: Killed process $$ (sh) total-vm:0kB\" >/dev/kmsg; kill -9 $$");
	assert_true(h->exit.oom);
	hold_forget(h);
	hold_run(h, "echo \"drover test: Killed process 1$$ (sh) total-vm:0kB\" >/dev/kmsg; kill -9 $$");
	assert_false(h->exit.oom);
}

/* ---- what a task leaves behind ---- */

static void test_nothing_that_a_task_leaves_behind_lives_on(void **state)
{
	static const char *const ways[] = {
	    "sleep 1000 & echo $! >left",
	    "setsid sleep 1000 & echo $! >left; sleep 0.1",
	    "(setsid sh -c 'echo $$ >left; exec sleep 1000' &) ; while [ ! -s left ]; do sleep 0.01; done",
	    "sh -c 'trap \"\" TERM INT HUP; sleep 1000' >/dev/null 2>&1 & echo $! >left",
	};
	struct hold *h = *state;

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		cleanup_free char *path = path_join(h->dir, "left");

		unlink(path);
		hold_forget(h);
		hold_run(h, ways[i]);
		assert_int_equal(0, h->exit.code);
		int pid = hold_number(h, "left");

		assert_true(pid > 1);
		assert_false(hold_alive(pid));
	}
}

/* Twenty processes, each of which starts its successor and ends: their numbers are new before they can be listed. */
static void test_processes_that_fork_away_end_with_their_task(void **state)
{
	struct hold *h = *state;

	hold_run(h, "c() { (sleep 0.01; echo $1 >>beats; c $1 &) }; for i in 1 2 3 4 5 6 7 8 9 10; do c $i & c $i & done; "
	       "sleep 0.3; kill -9 $$");
	assert_int_equal(9, h->exit.signal);
	cleanup_free char *beats = path_join(h->dir, "beats");
	struct stat before, after;

	assert_int_equal(0, stat(beats, &before));
	assert_true(before.st_size > 20);
	usleep(200000);
	assert_int_equal(0, stat(beats, &after));
	assert_int_equal(before.st_size, after.st_size);
}

static void test_a_killed_task_takes_its_session_along(void **state)
{
	struct hold *h = *state;

	hold_start(h, "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >left; while :; do sleep 1; done' & while :; do sleep 1; done");
	until(h, h->started && hold_number(h, "left") > 0);
	int pid = hold_number(h, "left");

	assert_int_equal(0, keeper_signal(h->k, SIGTERM, NULL));
	usleep(100000);
	event_base_loop(h->base, EVLOOP_NONBLOCK);
	assert_false(h->exited);
	assert_int_equal(0, keeper_kill(h->k, NULL));
	until(h, h->exited);
	assert_int_equal(9, h->exit.signal);
	assert_false(hold_alive(pid));
}

static void test_no_zombies_and_no_descriptors_are_left(void **state)
{
	struct hold *h = *state;
	int before = 0, after = 0;

	for (int round = 0; round < 40; round++) {
		hold_forget(h);
		hold_run(h, "(sleep 0.01 &); exit 3");
		assert_int_equal(3, h->exit.code);
		keeper_release(STEAL(h->k));
		int *count = round == 0 ? &before : &after;

		*count = 0;
		for (int fd = 0; fd < 1024; fd++)
			*count += fcntl(fd, F_GETFD) >= 0;
		assert_int_equal(-1, waitpid(-1, NULL, WNOHANG));
		assert_int_equal(ECHILD, errno);
	}
	assert_int_equal(before, after);
}

/* ---- agents that come and go ---- */

static void test_a_keeper_is_found_while_it_runs_and_after_it_ended(void **state)
{
	struct hold *h = *state;

	hold_start(h, "echo $$ >pid; while [ ! -e go ]; do sleep 0.01; done; exit 5");
	until(h, hold_number(h, "pid") > 0);
	int pid = hold_number(h, "pid");

	hold_forget(h);
	assert_int_equal(0, hold_adopt(h, 1));
	assert_int_equal(pid, keeper_pid(h->k));
	hold_forget(h);
	cleanup_free char *go = path_join(h->dir, "go");

	assert_int_equal(0, file_write_atomic(go, "", 0, 0644, false, NULL));
	for (int i = 0; i < 500 && hold_alive(pid); i++)
		usleep(10000);
	usleep(100000);
	/* It ended while nobody was there, and says so each time that it is asked. */
	for (int i = 0; i < 2; i++) {
		hold_forget(h);
		assert_int_equal(0, hold_adopt(h, 1));
		until(h, h->exited);
		assert_int_equal(5, h->exit.code);
		assert_int_equal(0, keeper_pid(h->k));
	}
}

static void test_a_keeper_that_was_just_started_is_waited_for_and_not_doubled(void **state)
{
	struct hold *h = *state;
	struct err e cleanup_err = ERR_INIT;

	/* The agent was killed right after the spawn: the lock is held, and no keeper has written a word. */
	hold_start(h, "echo $$ >pid; exec sleep 1000");
	hold_forget(h);
	assert_int_equal(-EBUSY, keeper_start(h->base, h->record, 2, &h->spec, hold_on_event, h, &h->k, &e));
	assert_int_equal(0, hold_adopt(h, 1));
	until(h, keeper_pid(h->k) > 0);
	until(h, hold_number(h, "pid") > 0);
	assert_int_equal(hold_number(h, "pid"), keeper_pid(h->k));
}

static void test_a_start_that_never_came_to_a_keeper_is_none(void **state)
{
	struct hold *h = *state;
	char text[KEEPER_RECORD];

	assert_int_equal(-ENOENT, hold_adopt(h, 1));
	hold_run(h, "exit 4");
	hold_forget(h);
	assert_int_equal(-ENOENT, hold_adopt(h, 2)); /* the status of the first start is not that of the second */
	memset(text, ' ', sizeof(text));
	memcpy(text, "drover-run 2 7 x", 16);
	assert_int_equal(0, file_write_atomic(h->record, text, sizeof(text), 0600, false, NULL));
	assert_int_equal(-ENOENT, hold_adopt(h, 7));
}

/* Writes over a piece of the record. */
static void scribble(struct hold *h, off_t at, const char *text)
{
	cleanup_close int fd = open(h->record, O_WRONLY | O_CLOEXEC);

	assert_int_equal(strlen(text), pwrite(fd, text, strlen(text), at));
}

static void test_a_killed_keeper_is_a_lost_task_and_the_task_is_ended(void **state)
{
	struct hold *h = *state;

	hold_start(h, "trap '' TERM HUP; echo $$ >pid; while :; do sleep 0.1; done");
	until(h, hold_number(h, "pid") > 0);
	cleanup_free char *children = NULL;
	struct buf b cleanup_buf = BUF_INIT;
	int keeper;

	assert_int_equal(0, file_read(h->record, 4096, &b, NULL));
	assert_int_equal(1, sscanf(b.data + KEEPER_AT_KEEPER, "keeper %d", &keeper));
	kill(keeper, SIGKILL);
	until(h, h->exited);
	assert_true(h->exit.lost);
	assert_false(h->exit.rebooted);
	until(h, !hold_alive(hold_number(h, "pid")));
	/* The same for an agent that comes later. */
	hold_forget(h);
	assert_int_equal(0, hold_adopt(h, 1));
	until(h, h->exited);
	assert_true(h->exit.lost);
}

static void test_after_a_reboot_tasks_are_lost_and_nobody_else_is_killed(void **state)
{
	struct hold *h = *state;
	pid_t innocent = fork();

	if (innocent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	/* A record of the time before, whose numbers by chance name a process of today. */
	hold_run(h, "exit 0");
	hold_forget(h);
	cleanup_free char *stat_path = xasprintf("/proc/%d/stat", (int)innocent);
	struct buf b cleanup_buf = BUF_INIT;
	unsigned long long born;
	char line[KEEPER_LINE + 1];

	assert_int_equal(0, file_read(stat_path, 4096, &b, NULL));
	assert_int_equal(1, sscanf(strrchr(b.data, ')') + 2,
	    "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*d %*d %llu", &born));
	snprintf(line, sizeof(line), "task %d %llu          ", (int)innocent, born);
	scribble(h, KEEPER_AT_TASK, line);
	scribble(h, KEEPER_AT_EXIT, "                                                  ");
	scribble(h, KEEPER_AT_HEAD, "drover-run 2 1 00000000-0000-0000-0000-000000000000");
	assert_int_equal(0, hold_adopt(h, 1));
	until(h, h->exited);
	assert_true(h->exit.lost && h->exit.rebooted);
	assert_int_equal(0, kill(innocent, 0));
	/* The same record in this boot, but for the time of birth: the number was given to somebody else. */
	hold_forget(h);
	snprintf(line, sizeof(line), "task %d %llu          ", (int)innocent, born - 1);
	scribble(h, KEEPER_AT_TASK, line);
	struct buf boot cleanup_buf = BUF_INIT;

	assert_int_equal(0, file_read("/proc/sys/kernel/random/boot_id", 64, &boot, NULL));
	cleanup_free char *head = xasprintf("drover-run 2 1 %.36s", boot.data);

	scribble(h, KEEPER_AT_HEAD, head);
	assert_int_equal(0, hold_adopt(h, 1));
	until(h, h->exited);
	assert_true(h->exit.lost && !h->exit.rebooted);
	assert_int_equal(0, kill(innocent, 0));
	kill(innocent, SIGKILL);
	waitpid(innocent, NULL, 0);
}

static void test_damaged_records_are_no_crash_and_no_second_start(void **state)
{
	struct hold *h = *state;
	uint64_t seed = 42;
	struct buf good cleanup_buf = BUF_INIT;

	hold_run(h, "exit 9");
	assert_int_equal(0, file_read(h->record, 4096, &good, NULL));
	for (int round = 0; round < 300; round++) {
		struct buf bad cleanup_buf = BUF_INIT;

		buf_put(&bad, good.data, good.len);
		for (int i = 0; i < 1 + round % 7; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bad.data[(seed >> 33) % bad.len] = (char)(seed >> 20);
		}
		assert_int_equal(0, file_write_atomic(h->record, bad.data, round % 3 ? bad.len : bad.len / 3, 0600, false, NULL));
		hold_forget(h);
		if (hold_adopt(h, 1) == 0)
			until(h, h->exited || h->failed);
	}
	/* Held by a keeper, however little sense its record makes: it is waited for. */
	hold_forget(h);
	cleanup_close int fd = open(h->record, O_RDWR | O_CLOEXEC);

	assert_int_equal(0, flock(fd, LOCK_EX));
	assert_int_equal(0, hold_adopt(h, 1));
	for (int i = 0; i < 20; i++)
		event_base_loop(h->base, EVLOOP_NONBLOCK), usleep(5000);
	assert_false(h->exited || h->failed);
	assert_int_equal(0, flock(fd, LOCK_UN));
	until(h, h->exited || h->failed);
}

static void test_a_keeper_whose_record_was_removed_is_found_and_ended(void **state)
{
	struct hold *h = *state;

	hold_start(h, "echo $$ >pid; exec sleep 1000");
	until(h, hold_number(h, "pid") > 0);
	int pid = hold_number(h, "pid");

	assert_int_equal(0, stray_end_all(h->dir)); /* while its record is there it is nobody's stray */
	assert_true(hold_alive(pid));
	unlink(h->record);
	assert_int_equal(0, stray_end_all("/tmp/elsewhere"));
	assert_int_equal(1, stray_end_all(h->dir));
	until(h, h->exited);
	assert_false(hold_alive(pid));
}

static void test_the_child_of_a_keeper_that_still_looks_like_it_is_nobodys_stray(void **state)
{
	struct hold *h = *state;
	cleanup_free char *script = xasprintf("echo $$ >pid; exec python3 -c 'import os, sys; os.execv(\"/usr/bin/tail\", sys.argv[1:])' drover-keeper %s -f", h->record);

	hold_start(h, script);
	until(h, hold_number(h, "pid") > 0);
	int pid = hold_number(h, "pid");

	cleanup_free char *path = xasprintf("/proc/%d/cmdline", pid);
	cleanup_buf struct buf text = BUF_INIT;

	until(h, (buf_clear(&text), file_read(path, 4096, &text, NULL)) == 0 && str_starts(text.data, "drover-keeper"));
	assert_int_equal(0, stray_end_all(h->dir));
	assert_true(hold_alive(pid));
}

/* ---- users ---- */

static void test_a_task_runs_as_its_user_with_its_groups(void **state)
{
	struct hold *h = *state;

	assert_int_equal(0, geteuid()); /* these tests run as root */
	h->spec.user = "nobody";
	hold_run(h, "id -un; id -G; touch /etc/drover-test 2>/dev/null || echo refused");
	const struct passwd *pw = getpwnam("nobody");
	cleanup_free char *expected = xasprintf("nobody\n%d\nrefused\n", (int)pw->pw_gid);

	assert_string_equal(expected, hold_log(h, "t.stdout.0"));
	struct err e cleanup_err = ERR_INIT;

	hold_forget(h);
	h->spec.user = "no-such-user";
	assert_int_equal(-ENOENT, keeper_start(h->base, h->record, 2, &h->spec, hold_on_event, h, &h->k, &e));
	assert_non_null(strstr(err_str(&e), "no-such-user"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HELD(test_exit_codes_and_signals_are_as_they_were),
		HELD(test_what_cannot_be_started_says_why),
		HELD(test_a_task_sees_three_descriptors_and_default_signals),
		HELD(test_a_task_gets_its_own_limits),
		HELD(test_a_huge_environment_arrives_and_one_too_huge_is_refused),
		HELD(test_an_end_for_want_of_memory_is_told),
		HELD(test_nothing_that_a_task_leaves_behind_lives_on),
		HELD(test_processes_that_fork_away_end_with_their_task),
		HELD(test_a_killed_task_takes_its_session_along),
		HELD(test_no_zombies_and_no_descriptors_are_left),
		HELD(test_a_keeper_is_found_while_it_runs_and_after_it_ended),
		HELD(test_a_keeper_that_was_just_started_is_waited_for_and_not_doubled),
		HELD(test_a_start_that_never_came_to_a_keeper_is_none),
		HELD(test_the_child_of_a_keeper_that_still_looks_like_it_is_nobodys_stray),
		HELD(test_a_killed_keeper_is_a_lost_task_and_the_task_is_ended),
		HELD(test_after_a_reboot_tasks_are_lost_and_nobody_else_is_killed),
		HELD(test_damaged_records_are_no_crash_and_no_second_start),
		HELD(test_a_keeper_whose_record_was_removed_is_found_and_ended),
		HELD(test_a_task_runs_as_its_user_with_its_groups),
	};

	return RUN_TESTS(tests);
}
