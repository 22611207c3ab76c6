/* Allocations that must not go on without the servers, with real processes: who stops, when, and what a new agent knows of it. */
#include "tests/lib/test.h"

#include <signal.h>

#include "base/clock.h"
#include "tests/lib/stage.h"

#define LIMIT_MS 1500

static struct allocation *desire(struct play *x, const char *id, const char *type, const char *block)
{
	struct job *j = play_job(x, type, arena_printf(x->arena, "%s\"Tasks\":[%s]", block, play_sh(x, "t", "echo $$; exec sleep 60", "")));

	MODEL_SET(job, j, job_modify_index, *block ? 1 : 2); /* two jobs, for the client */
	return play_desire(x, id, j);
}

static const char *limit(struct play *x)
{
	return arena_printf(x->arena, "\"Disconnect\":{\"StopOnClientAfter\":%d000000},", LIMIT_MS);
}

static void run_until_dead(struct play *x, pid_t pid, int max_ms)
{
	for (int ms = 0; ms < max_ms && is_alive(pid); ms += 20)
		play_run_ms(x, 20);
}

static void test_after_the_silence_it_stops_and_whoever_has_no_such_block_goes_on(void **state)
{
	struct play *x = *state;

	desire(x, ID1, "batch", limit(x));
	wait_status(x, ID1, "running");
	desire(x, ID2, "service", "");
	wait_status(x, ID2, "running");
	pid_t stops = pid_written(x, ID1), goes_on = pid_written(x, ID2);
	int64_t since = clock_monotonic();

	x->broken = true;
	run_until_dead(x, stops, 10000);
	assert_false(is_alive(stops));
	assert_true(clock_monotonic() - since > (LIMIT_MS / 2) * MILLI); /* its servers answered up to a third of it before */
	assert_true(is_alive(goes_on));
	x->broken = false;
	wait_status(x, ID1, "complete");
	assert_true(play_seen(x, ID1)->stopped);
	assert_string_equal(event_of(x, ID1, "t", "Disconnected")->display_message,
	    "no server has answered for 1.5s (stop_on_client_after)");
	wait_status(x, ID2, "running");
	assert_false(play_seen(x, ID2)->stopped);
}

static void test_the_older_field_means_the_same(void **state)
{
	struct play *x = *state;

	desire(x, ID1, "service", "\"StopAfterClientDisconnect\":700000000,");
	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	x->broken = true;
	run_until_dead(x, pid, 10000);
	assert_false(is_alive(pid));
}

static void test_while_servers_answer_it_lives_however_rarely_they_want_to_be_asked(void **state)
{
	struct play *x = *state;

	/* The servers of a play ask for a heartbeat every three seconds or so. */
	desire(x, ID1, "service", limit(x));
	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	play_run_ms(x, 3 * LIMIT_MS);
	assert_true(is_alive(pid));
}

static void test_the_silence_goes_on_while_the_agent_is_away(void **state)
{
	struct play *x = *state;

	desire(x, ID1, "service", limit(x));
	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	play_run_ms(x, 1200); /* the time of the last answer is written down now and then */
	x->broken = true;
	play_halt(x);
	usleep(LIMIT_MS * 1000);
	assert_true(is_alive(pid));
	int64_t since = clock_monotonic();

	play_start(x);
	run_until_dead(x, pid, 10000);
	assert_false(is_alive(pid));
	assert_true(clock_monotonic() - since < SECOND); /* not counted from the start of the agent */
	x->broken = false;
	wait_status(x, ID1, "complete");
	assert_true(play_seen(x, ID1)->stopped);
}

static void test_a_short_absence_of_the_agent_stops_nothing(void **state)
{
	struct play *x = *state;

	desire(x, ID1, "service", limit(x));
	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	play_run_ms(x, 1200);
	play_halt(x);
	play_start(x);
	wait_status(x, ID1, "running");
	play_run_ms(x, LIMIT_MS);
	assert_true(is_alive(pid));
}

static void test_asked_what_there_is_the_client_reports_all_of_it_and_that_this_is_all(void **state)
{
	struct play *x = *state;

	desire(x, ID1, "service", limit(x)); /* asks often */
	wait_status(x, ID1, "running");
	desire(x, ID2, "batch", "");
	wait_status(x, ID2, "running");
	play_run_ms(x, 300);
	x->seen = (struct objmap){ 0 };
	x->report = 17;
	wait_until(x, x->completed == 17);
	assert_true(play_is(x, ID1, "running") && play_is(x, ID2, "running"));
	assert_string_equal("Received,Task Setup,Started,Reconnected", events_of(x, ID1, "t"));
	/* Once for each time that it was given up. */
	x->report = 0;
	play_run_ms(x, 700);
	x->seen = (struct objmap){ 0 };
	x->report = 18;
	wait_until(x, x->completed == 18);
	assert_true(play_is(x, ID1, "running") && play_is(x, ID2, "running"));
}

static void test_a_client_without_anything_says_so_when_asked(void **state)
{
	struct play *x = *state;

	x->report = 5;
	wait_until(x, x->completed == 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(test_after_the_silence_it_stops_and_whoever_has_no_such_block_goes_on),
		STAGED(test_the_older_field_means_the_same),
		STAGED(test_while_servers_answer_it_lives_however_rarely_they_want_to_be_asked),
		STAGED(test_the_silence_goes_on_while_the_agent_is_away),
		STAGED(test_a_short_absence_of_the_agent_stops_nothing),
		STAGED(test_asked_what_there_is_the_client_reports_all_of_it_and_that_this_is_all),
		STAGED(test_a_client_without_anything_says_so_when_asked),
	};

	return RUN_TESTS(tests);
}
