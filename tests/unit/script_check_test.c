/* script_check: commands run beside a task, with real processes. */
#include "agent/script_check.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/model.h"
#include "tests/lib/loop.h"
#include "tests/lib/play.h"
#include "tests/lib/test.h"

struct fixture {
	struct event_base *base;
	struct script_pool *pool;
	struct arena *a;
	char dir[64];
	int starts;
	struct probe {
		struct fixture *f;
		struct script_check *check;
		int reports;
		char status[16], output[SCRIPT_OUTPUT_MAX + 200];
		bool stop_in_report;
	} probes[200];
};

static int context(void *arg, struct arena *a, struct keeper_spec *spec, struct err *e UNUSED)
{
	struct probe *p = arg;

	p->f->starts++;
	strs_push(a, &spec->env, "PATH=/bin:/usr/bin");
	strs_push(a, &spec->env, "COLOUR=green");
	spec->work_dir = p->f->dir;
	return 0;
}

static int no_context(void *arg UNUSED, struct arena *a UNUSED, struct keeper_spec *spec UNUSED, struct err *e)
{
	return err_set(e, -ENOENT, "its task is gone");
}

static void report(void *arg, const char *status, const char *output)
{
	struct probe *p = arg;

	p->reports++;
	snprintf(p->status, sizeof(p->status), "%s", status);
	snprintf(p->output, sizeof(p->output), "%s", output);
	if (p->stop_in_report)
		script_check_stop(STEAL(p->check));
}

static struct probe *probe(struct fixture *f, int n, const char *script, int64_t interval, int64_t timeout)
{
	struct probe *p = &f->probes[n];
	struct script_check_config c = {
	    .command = "/bin/sh", .interval = interval, .timeout = timeout, .context = context, .report = report, .arg = p};

	p->f = f;
	strs_push(f->a, &c.args, "-c");
	strs_push(f->a, &c.args, script);
	p->check = script_check_start(f->pool, &c);
	return p;
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	play_find_keeper();
	f->base = loop_new();
	f->pool = script_pool_new(f->base);
	f->a = arena_new();
	snprintf(f->dir, sizeof(f->dir), "/tmp/drover-script-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(f->probes); i++)
		script_check_stop(f->probes[i].check);
	loop_for(f->base, 100 * MILLI);
	script_pool_free(f->pool);
	loop_free(f->base);
	dir_remove(f->dir, NULL);
	arena_free(f->a);
	free(f);
	return 0;
}

static void until(struct fixture *f, const struct probe *p, int reports)
{
	for (int64_t end = clock_monotonic() + 20 * SECOND; p->reports < reports && clock_monotonic() < end;)
		loop_for(f->base, 5 * MILLI);
	assert_true(p->reports >= reports);
}

static const char *slurp(struct fixture *f, const char *name)
{
	cleanup_free char *path = path_join(f->dir, name);
	cleanup_buf struct buf b = BUF_INIT;

	file_read(path, 1 << 20, &b, NULL);
	return arena_strdup(f->a, b.data ? b.data : "");
}

/* ---- stories ---- */

static void test_the_exit_code_is_the_status_and_what_is_printed_the_output(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *script, *status, *output;
	} rows[] = {
	    {"echo well; exit 0", "passing", "well\n"},
	    {"echo so so >&2; exit 1", "warning", "so so\n"},
	    {"exit 2", "critical", ""},
	    {"echo $COLOUR; pwd; exit 77", "critical", NULL},
	    {"kill -9 $$", "critical", "ended by signal 9"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe *p = probe(f, (int)i, rows[i].script, 10 * SECOND, 5 * SECOND);

		until(f, p, 1);
		assert_string_equal(rows[i].status, p->status);
		assert_string_equal(rows[i].output ? rows[i].output : arena_printf(f->a, "green\n%s\n", f->dir), p->output);
	}
}

static void test_what_cannot_be_run_is_critical_and_says_why(void **state)
{
	struct fixture *f = *state;
	struct probe *p = &f->probes[0];
	struct script_check_config c = {.command = "/no/such/program", .interval = SECOND, .timeout = SECOND, .context = context,
	    .report = report, .arg = p};

	p->f = f;
	p->check = script_check_start(f->pool, &c);
	until(f, p, 1);
	assert_string_equal("critical", p->status);
	assert_non_null(strstr(p->output, "/no/such/program"));
	script_check_stop(STEAL(p->check));
	c.context = no_context;
	p->check = script_check_start(f->pool, &c);
	until(f, p, 2);
	assert_string_equal("its task is gone", p->output);
	/* A file that is there and cannot be executed as a program. */
	script_check_stop(STEAL(p->check));
	cleanup_free char *odd = path_join(f->dir, "odd");
	assert_int_equal(0, file_write_atomic(odd, "\x01\x02", 2, 0755, false, NULL));
	c.context = context;
	c.command = odd;
	p->check = script_check_start(f->pool, &c);
	until(f, p, 3);
	assert_string_equal("critical", p->status);
	assert_non_null(strstr(p->output, "cannot start"));
}

static void test_it_runs_again_at_its_interval_and_never_twice_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct probe *p = probe(f, 0, "mkdir busy 2>/dev/null || echo twice >>log; sleep 0.15; rmdir busy; echo run >>log", 100 * MILLI, 5 * SECOND);

	until(f, p, 4);
	assert_null(strstr(slurp(f, "log"), "twice"));
	p = probe(f, 1, "true", 200 * MILLI, 5 * SECOND);
	int64_t began = clock_monotonic();
	until(f, p, 4);
	assert_true(clock_monotonic() - began >= 600 * MILLI - 20 * MILLI);
}

static void test_a_run_that_takes_too_long_is_killed_with_its_children(void **state)
{
	struct fixture *f = *state;
	struct probe *p = probe(f, 0, "echo begun; sleep 300 & echo $! >child; wait", 60 * SECOND, 300 * MILLI);
	int64_t began = clock_monotonic();

	until(f, p, 1);
	assert_true(clock_monotonic() - began < 5 * SECOND);
	assert_string_equal("critical", p->status);
	assert_string_equal("timed out after 300ms: begun\n", p->output);
	int child = atoi(slurp(f, "child"));

	assert_true(child > 1);
	for (int i = 0; i < 500 && kill(child, 0) == 0; i++)
		loop_for(f->base, 10 * MILLI);
	cleanup_free char *stat = xasprintf("/proc/%d/stat", child);
	cleanup_buf struct buf b = BUF_INIT;
	char *gone = file_read(stat, 4096, &b, NULL) == 0 && b.len ? strrchr(b.data, ')') : NULL;

	assert_true(!gone || gone[2] == 'Z');
	loop_for(f->base, 200 * MILLI);
	assert_int_equal(1, p->reports); /* the end of the killed run is no second word */
}

static void test_of_a_flood_of_output_the_beginning_is_kept(void **state)
{
	struct fixture *f = *state;
	struct probe *p = probe(f, 0, "head -c 3000000 /dev/zero | tr '\\0' x; exit 1", 60 * SECOND, 20 * SECOND);

	until(f, p, 1);
	assert_string_equal("warning", p->status);
	assert_int_equal(SCRIPT_OUTPUT_MAX, strlen(p->output));
}

static void test_somebody_who_keeps_the_pipe_open_does_not_hold_up_the_result(void **state)
{
	struct fixture *f = *state;
	struct probe *p = probe(f, 0, "echo done; setsid sleep 5 & exit 0", 60 * SECOND, 20 * SECOND);
	int64_t began = clock_monotonic();

	until(f, p, 1);
	assert_true(clock_monotonic() - began < 4 * SECOND);
	assert_string_equal("done\n", p->output);
}

static void test_a_check_may_be_stopped_while_it_runs_and_while_it_reports(void **state)
{
	struct fixture *f = *state;
	struct probe *p = probe(f, 0, "echo $$ >pid; sleep 300", 60 * SECOND, 60 * SECOND);

	for (int i = 0; i < 500 && !atoi(slurp(f, "pid")); i++)
		loop_for(f->base, 10 * MILLI);
	int pid = atoi(slurp(f, "pid"));

	assert_true(pid > 1);
	script_check_stop(STEAL(p->check));
	for (int i = 0; i < 500 && kill(pid, 0) == 0; i++)
		loop_for(f->base, 10 * MILLI);
	assert_int_equal(-1, kill(pid, 0)); /* killed, and reaped */
	assert_int_equal(0, p->reports);
	p = probe(f, 1, "true", 10 * MILLI, 60 * SECOND);
	p->stop_in_report = true;
	until(f, p, 1);
	loop_for(f->base, 200 * MILLI);
	assert_int_equal(1, p->reports);
	p = probe(f, 2, "sleep 300", 60 * SECOND, 100 * MILLI);
	p->stop_in_report = true; /* of a timeout */
	until(f, p, 1);
}

static void test_hundreds_of_checks_do_not_hold_the_loop(void **state)
{
	struct fixture *f = *state;
	int64_t began = clock_monotonic();
	int reported = 0, most_at_once = 0, most_in_a_turn = 0;

	for (int i = 0; i < (int)ARRAY_LEN(f->probes); i++)
		probe(f, i, "exit 0", 300 * SECOND, 60 * SECOND);
	while (reported < (int)ARRAY_LEN(f->probes) && clock_monotonic() - began < 60 * SECOND) {
		int before = f->starts;

		event_base_loop(f->base, EVLOOP_ONCE);
		reported = 0;
		for (size_t i = 0; i < ARRAY_LEN(f->probes); i++)
			reported += f->probes[i].reports > 0;
		most_in_a_turn = MAX(most_in_a_turn, f->starts - before);
		most_at_once = MAX(most_at_once, f->starts - reported);
	}
	assert_int_equal(ARRAY_LEN(f->probes), reported);
	assert_int_equal(ARRAY_LEN(f->probes), f->starts);
	assert_in_range(most_in_a_turn, 1, 4);
	assert_in_range(most_at_once, 1, 32 + 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    CASE(test_the_exit_code_is_the_status_and_what_is_printed_the_output),
	    CASE(test_what_cannot_be_run_is_critical_and_says_why),
	    CASE(test_it_runs_again_at_its_interval_and_never_twice_at_a_time),
	    CASE(test_a_run_that_takes_too_long_is_killed_with_its_children),
	    CASE(test_of_a_flood_of_output_the_beginning_is_kept),
	    CASE(test_somebody_who_keeps_the_pipe_open_does_not_hold_up_the_result),
	    CASE(test_a_check_may_be_stopped_while_it_runs_and_while_it_reports),
	    CASE(test_hundreds_of_checks_do_not_hold_the_loop),
	};

	return RUN_TESTS(tests);
}
