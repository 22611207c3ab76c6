/* The client role on a real loop, with real keepers and real processes; only the servers are played by the test. */
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

static void test_a_batch_task_runs_and_completes(void **state)
{
	struct play *x = *state;
	const char *g = arena_printf(x->arena, "\"Meta\":{\"where\":\"group\"},\"Tasks\":[%s]",
	    play_sh(x, "t", "echo $NOMAD_ALLOC_INDEX $NOMAD_META_where $NOMAD_META_WHERE ${NOMAD_TASK_NAME} $HELLO; pwd; echo err >&2",
	        "\"Env\":{\"HELLO\":\"${node.datacenter}-${NOMAD_JOB_NAME}\"}"));

	play_desire(x, ID1, play_job(x, "batch", g));
	wait_status(x, ID1, "complete");
	assert_string_equal("All tasks have completed", play_seen(x, ID1)->client_description);
	assert_string_equal("Received,Task Setup,Started,Terminated", events_of(x, ID1, "t"));
	assert_string_equal("Exit Code: 0", event_of(x, ID1, "t", "Terminated")->display_message);
	assert_string_equal("dead", task_of(x, ID1, "t")->state);
	assert_false(task_of(x, ID1, "t")->failed);
	const char *out = play_slurp(x, "%s/alloc/logs/t.stdout.0", ID1);

	assert_non_null(strstr(out, "3 group group t dc1-j\n"));
	assert_string_equal("err\n", play_slurp(x, "%s/alloc/logs/t.stderr.0", ID1));
}

static void test_the_secrets_folder_is_private(void **state)
{
	struct play *x = *state;
	struct stat st;

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "true", ""))));
	wait_status(x, ID1, "complete");
	cleanup_free char *secrets = xasprintf("%s/%s/t/secrets", x->config.alloc_dir, ID1);
	cleanup_free char *client = xasprintf("%s/client", x->dir);
	cleanup_free char *node = xasprintf("%s/client/node", x->dir);

	assert_int_equal(0, stat(secrets, &st));
	assert_int_equal(0700, st.st_mode & 0777);
	assert_int_equal(0, stat(client, &st));
	assert_int_equal(0700, st.st_mode & 0777);
	assert_int_equal(0, stat(node, &st));
	assert_int_equal(0600, st.st_mode & 0777);
}

static void test_a_failing_task_is_restarted_by_policy_and_then_fails(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":2,\"Interval\":600000000000,\"Delay\":20000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    play_sh(x, "t", "exit 3", ""))));
	wait_status(x, ID1, "failed");
	const struct task_state *t = task_of(x, ID1, "t");

	assert_string_equal("Failed tasks", play_seen(x, ID1)->client_description);
	assert_true(t->failed);
	assert_int_equal(2, t->restarts);
	assert_int_equal(3, event_of(x, ID1, "t", "Terminated")->exit_code);
	assert_string_equal("Exceeded allowed attempts 2 in interval 10m0s and mode is \"fail\"",
	    event_of(x, ID1, "t", "Not Restarting")->display_message);
	assert_true(str_starts(event_of(x, ID1, "t", "Restarting")->display_message, "Task restarting in 2"));
}

static void test_a_missing_command_fails_at_once(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", "\"RestartPolicy\":{\"Attempts\":5,\"Interval\":600000000000,\"Delay\":20000000},"
	    "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/no/such/program\"}}]"));
	wait_status(x, ID1, "failed");
	assert_string_equal("Received,Task Setup,Driver Failure,Not Restarting", events_of(x, ID1, "t"));
	assert_string_equal("Error was unrecoverable", event_of(x, ID1, "t", "Not Restarting")->display_message);
	assert_non_null(strstr(event_of(x, ID1, "t", "Driver Failure")->display_message, "/no/such/program"));
}

static void test_what_is_not_supported_fails_with_a_sentence(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s]",
	    play_sh(x, "t", "true", "\"Artifacts\":[{\"GetterSource\":\"http://localhost/x\"}]"))));
	wait_status(x, ID1, "failed");
	assert_string_equal("artifact blocks are not supported yet by this client",
	    event_of(x, ID1, "t", "Setup Failure")->display_message);
	play_desire(x, ID2, play_job(x, "batch", "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"docker\",\"Config\":{}}]"));
	wait_status(x, ID2, "failed");
	assert_string_equal("driver \"docker\" is not available on this client; available: raw_exec",
	    event_of(x, ID2, "t", "Setup Failure")->display_message);
}

static void test_desired_stop_sends_the_kill_signal_then_kills(void **state)
{
	struct play *x = *state;
	struct allocation *a = play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    play_sh(x, "t", "trap 'echo got TERM' TERM; while true; do sleep 0.05; done",
	        "\"KillSignal\":\"SIGTERM\",\"KillTimeout\":300000000"))));

	wait_status(x, ID1, "running");
	play_run_ms(x, 100);
	play_desire_stop(x, a);
	wait_status(x, ID1, "complete");
	assert_string_equal("got TERM\n", play_slurp(x, "%s/alloc/logs/t.stdout.0", ID1));
	assert_string_equal("Received,Task Setup,Started,Killing,Terminated,Killed", events_of(x, ID1, "t"));
	assert_string_equal("Exit Code: 137, Signal: 9", event_of(x, ID1, "t", "Terminated")->display_message);
	assert_string_equal("Sent interrupt. Waiting 300ms before force killing",
	    event_of(x, ID1, "t", "Killing")->display_message);
	assert_false(task_of(x, ID1, "t")->failed);
}

static void test_an_allocation_missing_from_an_answer_goes_on(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	x->work.allocs.n = 0;
	x->work.index++;
	play_wake(x);
	play_run_ms(x, 200);
	assert_true(client_task_live(x->client, ID1, "t"));
	assert_true(play_is(x, ID1, "running"));
}

static void test_an_older_answer_stops_nothing(void **state)
{
	struct play *x = *state;
	struct allocation *a = play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    play_sh(x, "t", "exec sleep 60", ""))));

	wait_status(x, ID1, "running");
	x->work.index = 1;
	MODEL_SET(allocation, a, desired_status, "stop");
	MODEL_SET(allocation, a, alloc_modify_index, 1000);
	strs_push(x->arena, &x->work.gone, ID1);
	play_wake(x);
	play_run_ms(x, 300);
	assert_true(play_is(x, ID1, "running"));
	assert_true(client_task_live(x->client, ID1, "t"));
}

static void test_an_allocation_the_servers_forgot_is_stopped_and_removed(void **state)
{
	struct play *x = *state;
	char *path = NULL;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	x->work.allocs.n = 0;
	strs_push(x->arena, &x->work.gone, ID1);
	x->work.index++;
	play_wake(x);
	wait_status(x, ID1, "complete");
	play_run_ms(x, 50);
	client_gc_all(x->client);
	assert_int_equal(-ENOENT, client_alloc_dir(x->client, ID1, &path, NULL));
	cleanup_free char *dir = xasprintf("%s/%s", x->config.alloc_dir, ID1);

	assert_int_equal(-1, access(dir, F_OK));
}

static void test_stages_run_in_order(void **state)
{
	struct play *x = *state;
	const char *log = "echo $NOMAD_TASK_NAME >> $NOMAD_ALLOC_DIR/data/order; ";

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s,%s,%s,%s,%s]",
	    play_sh(x, "after", log, "\"Lifecycle\":{\"Hook\":\"poststop\"}"),
	    play_sh(x, "init", arena_printf(x->arena, "sleep 0.2; %s", log), "\"Lifecycle\":{\"Hook\":\"prestart\"}"),
	    play_sh(x, "side", "trap 'echo side >> $NOMAD_ALLOC_DIR/data/order; exit 0' INT; while true; do sleep 0.02; done",
	        "\"Lifecycle\":{\"Hook\":\"prestart\",\"Sidecar\":true}"),
	    play_sh(x, "late", log, "\"Lifecycle\":{\"Hook\":\"poststart\"}"),
	    play_sh(x, "main", arena_printf(x->arena, "%s sleep 0.5", log), ""))));
	wait_status(x, ID1, "complete");
	assert_string_equal("init\nmain\nlate\nside\nafter\n", play_slurp(x, "%s/alloc/data/order", ID1));
	assert_non_null(strstr(events_of(x, ID1, "side"), "Main Tasks Dead,Killing,Terminated,Killed"));
	assert_string_equal("Received,Task Setup,Started,Terminated", events_of(x, ID1, "after"));
	/* Once running it never looks pending again. */
	assert_int_equal(3, x->trail.n + (x->trail.n == 2));
}

static void test_a_failed_task_takes_its_siblings_along(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s,%s]",
	    play_sh(x, "bad", "sleep 0.1; exit 1", ""), play_sh(x, "good", "exec sleep 60", ""))));
	wait_status(x, ID1, "failed");
	assert_true(task_of(x, ID1, "bad")->failed);
	assert_false(task_of(x, ID1, "good")->failed);
	assert_string_equal("Task's sibling \"bad\" failed", event_of(x, ID1, "good", "Sibling Task Failed")->display_message);
}

static void test_restart_and_signal_on_request(void **state)
{
	struct play *x = *state;
	struct err e = ERR_INIT;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    play_sh(x, "t", "trap 'echo HUP' HUP; trap 'exit 0' INT; echo up; while true; do sleep 0.02; done", ""))));
	wait_status(x, ID1, "running");
	play_run_ms(x, 150);
	assert_int_equal(0, client_alloc_signal(x->client, ID1, "t", "SIGHUP", &e));
	play_run_ms(x, 150);
	assert_string_equal("up\nHUP\n", play_slurp(x, "%s/alloc/logs/t.stdout.0", ID1));
	assert_int_equal(0, client_alloc_restart(x->client, ID1, NULL, false, &e));
	for (int i = 0; i < 200 && !(task_of(x, ID1, "t")->restarts == 1 && play_is(x, ID1, "running")); i++)
		play_run_ms(x, 10);
	assert_string_equal("Received,Task Setup,Started,Signaling,Restart Signaled,Terminated,Restarting,Started",
	    events_of(x, ID1, "t"));
	assert_string_equal("Task restarting in 0s", event_of(x, ID1, "t", "Restarting")->display_message);
	assert_int_equal(-EINVAL, client_alloc_signal(x->client, ID1, "t", "SIGNOPE", &e));
	assert_int_equal(-ENOENT, client_alloc_signal(x->client, ID1, "nosuch", "SIGHUP", &e));
	assert_int_equal(-ENOENT, client_alloc_restart(x->client, ID2, NULL, false, &e));
	err_clear(&e);
}

static void test_health_after_min_healthy_time(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena,
	    "\"Update\":{\"MaxParallel\":1,\"MinHealthyTime\":200000000,\"HealthyDeadline\":60000000000,"
	    "\"HealthCheck\":\"task_states\"},\"Tasks\":[%s]", play_sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	assert_null(play_seen(x, ID1)->deployment_status);
	for (int i = 0; i < 200 && !play_seen(x, ID1)->deployment_status; i++)
		play_run_ms(x, 10);
	assert_true(play_seen(x, ID1)->deployment_status->healthy);
}

static void test_servers_that_are_away_stop_nothing_and_hear_everything_later(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "sleep 0.3; exit 4",
	    "\"RestartPolicy\":{\"Attempts\":0,\"Mode\":\"fail\"}"))));
	wait_status(x, ID1, "running");
	x->broken = true;
	play_wake(x);
	play_run_ms(x, 600);
	assert_true(play_is(x, ID1, "running"));
	x->broken = false;
	wait_status(x, ID1, "failed");
	assert_int_equal(4, event_of(x, ID1, "t", "Terminated")->exit_code);
}

static void test_a_node_that_was_forgotten_registers_again(void **state)
{
	struct play *x = *state;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	x->forgot = true;
	x->seen.n = 0;
	play_wake(x);
	wait_status(x, ID1, "running");
	assert_int_equal(2, x->registrations);
}

static void test_a_taken_port_is_a_clear_failure(void **state)
{
	struct play *x = *state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sin);

	assert_int_equal(0, bind(fd, (struct sockaddr *)&sin, sizeof(sin)));
	assert_int_equal(0, listen(fd, 1));
	getsockname(fd, (struct sockaddr *)&sin, &n);
	struct job *j = play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", play_sh(x, "t", "exec sleep 60", "")));
	struct allocation *a = MODEL_NEW(x->arena, allocation);
	const char *text = arena_printf(x->arena,
	    "{\"ID\":\"%s\",\"Namespace\":\"default\",\"Name\":\"j.g[0]\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"run\","
	    "\"AllocModifyIndex\":5,\"JobVersion\":0,\"AllocatedResources\":{\"Shared\":{\"Ports\":[{\"Label\":\"http\",\"Value\":%d,"
	    "\"HostIP\":\"127.0.0.1\"}]}}}", ID1, ntohs(sin.sin_port));

	assert_int_equal(0, codec_from_text(&type_allocation, a, text, strlen(text), x->arena, NULL));
	objs_push(x->arena, &x->work.jobs, j);
	objs_push(x->arena, &x->work.allocs, a);
	x->work.index++;
	play_wake(x);
	wait_status(x, ID1, "failed");
	assert_non_null(strstr(event_of(x, ID1, "t", "Setup Failure")->display_message, "already in use"));
	close(fd);
}

static void test_use_is_measured(void **state)
{
	struct play *x = *state;
	struct buf b = BUF_INIT;

	play_desire(x, ID1, play_job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    play_sh(x, "t", "while true; do :; done", "\"KillTimeout\":10000000"))));
	wait_status(x, ID1, "running");
	play_run_ms(x, 600);
	assert_int_equal(0, client_alloc_stats(x->client, ID1, &b, NULL));
	assert_non_null(strstr(b.data, "\"Pids\":{\""));
	assert_null(strstr(b.data, "\"TotalTicks\":0,\"UserMode\":0},\"DeviceStats\":[]"));
	buf_clear(&b);
	client_host_stats(x->client, &b);
	assert_non_null(strstr(b.data, "\"CPUTicksConsumed\":"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(test_a_batch_task_runs_and_completes),
		STAGED(test_the_secrets_folder_is_private),
		STAGED(test_a_failing_task_is_restarted_by_policy_and_then_fails),
		STAGED(test_a_missing_command_fails_at_once),
		STAGED(test_what_is_not_supported_fails_with_a_sentence),
		STAGED(test_desired_stop_sends_the_kill_signal_then_kills),
		STAGED(test_an_allocation_missing_from_an_answer_goes_on),
		STAGED(test_an_older_answer_stops_nothing),
		STAGED(test_an_allocation_the_servers_forgot_is_stopped_and_removed),
		STAGED(test_stages_run_in_order),
		STAGED(test_a_failed_task_takes_its_siblings_along),
		STAGED(test_restart_and_signal_on_request),
		STAGED(test_health_after_min_healthy_time),
		STAGED(test_servers_that_are_away_stop_nothing_and_hear_everything_later),
		STAGED(test_a_node_that_was_forgotten_registers_again),
		STAGED(test_a_taken_port_is_a_clear_failure),
		STAGED(test_use_is_measured),
	};

	return RUN_TESTS(tests);
}
