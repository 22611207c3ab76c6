/* What a client finds when it comes back: tasks that run, tasks that ended, records that are damaged. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "tests/lib/stage.h"

static void test_a_new_agent_finds_the_running_task_again(void **state)
{
	struct play *x = *state;
	struct allocation *a = play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    play_sh(x, "t", "echo $$; trap 'exit 7' INT; while true; do sleep 0.05; done", ""))));

	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	play_halt(x);
	assert_int_equal(0, kill(pid, 0));
	play_start(x);
	wait_status(x, ID1, "running");
	play_run_ms(x, 100);
	assert_int_equal(pid, pid_written(x, ID1));
	assert_int_equal(0, task_of(x, ID1, "t")->restarts);
	assert_string_equal("Received,Task Setup,Started", events_of(x, ID1, "t"));
	play_desire_stop(x, a);
	wait_status(x, ID1, "complete");
	assert_int_equal(7, event_of(x, ID1, "t", "Terminated")->exit_code);
}

static void test_what_ended_without_an_agent_is_reported_and_not_run_again(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    play_sh(x, "t", "echo once >> $NOMAD_ALLOC_DIR/data/runs; sleep 0.3; exit 5", ""))));
	wait_status(x, ID1, "running");
	play_halt(x);
	usleep(600000);
	play_start(x);
	wait_status(x, ID1, "failed");
	assert_int_equal(5, event_of(x, ID1, "t", "Terminated")->exit_code);
	assert_string_equal("once\n", play_slurp(x, "%s/alloc/data/runs", ID1));
	/* And once more: nothing is left to do for it. */
	play_halt(x);
	play_start(x);
	wait_status(x, ID1, "failed");
	assert_string_equal("once\n", play_slurp(x, "%s/alloc/data/runs", ID1));
}

static void test_restart_counts_go_on_in_a_new_agent(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":2,\"Interval\":600000000000,\"Delay\":100000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    play_sh(x, "t", "echo run >> $NOMAD_ALLOC_DIR/data/runs; exit 1", ""))));
	for (int i = 0; i < 200 && !(play_seen(x, ID1) && task_of(x, ID1, "t")->restarts == 1); i++)
		play_run_ms(x, 5);
	play_halt(x);
	play_start(x);
	wait_status(x, ID1, "failed");
	assert_int_equal(2, task_of(x, ID1, "t")->restarts);
	assert_string_equal("run\nrun\nrun\n", play_slurp(x, "%s/alloc/data/runs", ID1));
}

static void test_a_keeper_that_was_killed_is_an_unknown_exit(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    play_sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	kill(pid_in_run(x, ID1, "keeper"), SIGKILL);
	wait_status(x, ID1, "failed");
	assert_true(str_starts(event_of(x, ID1, "t", "Terminated")->display_message, "Exit Code: unknown"));
}

static void test_a_damaged_record_does_not_lose_the_running_task(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "echo $$; exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	play_halt(x);
	assert_int_equal(0, truncate(arena_printf(x->arena, "%s/client/allocs/%s/record", x->dir, ID1), 0));
	play_start(x);
	wait_status(x, ID1, "running");
	play_run_ms(x, 100);
	assert_int_equal(pid, pid_written(x, ID1));
	assert_int_equal(0, kill(pid, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(test_a_new_agent_finds_the_running_task_again),
		STAGED(test_what_ended_without_an_agent_is_reported_and_not_run_again),
		STAGED(test_restart_counts_go_on_in_a_new_agent),
		STAGED(test_a_keeper_that_was_killed_is_an_unknown_exit),
		STAGED(test_a_damaged_record_does_not_lose_the_running_task),
	};

	return RUN_TESTS(tests);
}
