/* The client role on a real loop, with real keepers and real processes; only the servers are played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "agent/client.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/log.h"

#define ID1 "11111111-1111-1111-1111-111111111111"
#define ID2 "22222222-2222-2222-2222-222222222222"

struct servers { /* what the test plays */
	struct server_link link;
	struct event_base *base;
	struct arena *arena;
	struct node_work work;      /* what is desired now */
	uint64_t answered;          /* index of the last answer */
	struct objmap seen;         /* id -> latest alloc_update */
	struct strs trail;          /* "id8 status" each time that it changed */
	bool broken;                /* every call fails */
	bool forgot;                /* the node is unknown */
	bool closed;                /* nobody waits for answers any more */
	int registrations, updates;
	struct { link_done_fn *done; void *arg; } waiting; /* the blocking read */
};

struct answer_later {
	struct servers *s;
	link_done_fn *done;
	void *arg;
	bool work;
};

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct answer_later *l = arg;
	struct node_hello hello = { .index = l->s->work.index, .heartbeat_ttl = 10 * SECOND };
	struct link_answer a = { .hello = &hello, .work = l->work ? &l->s->work : NULL };

	(void)fd;
	(void)what;
	if (l->s->closed) {
		free(l);
		return;
	}
	if (l->s->broken)
		err_set(&a.err, -ECONNREFUSED, "connection refused");
	else if (l->s->forgot)
		err_set(&a.err, -ENOENT, "unknown node");
	if (l->work)
		l->s->answered = (uint64_t)l->s->work.index;
	l->done(l->arg, &a);
	err_clear(&a.err);
	free(l);
}

static void later(struct servers *s, link_done_fn *done, void *arg, bool work)
{
	struct answer_later *l = xcalloc(1, sizeof(*l));

	*l = (struct answer_later){ s, done, arg, work };
	event_base_once(s->base, -1, EV_TIMEOUT, on_later, l, &(struct timeval){ 0 });
}

static void link_register(struct server_link *l, const struct node *node, link_done_fn *done, void *arg)
{
	struct servers *s = (struct servers *)l;

	assert_non_null(node->secret_id);
	s->registrations++;
	s->forgot = false;
	later(s, done, arg, false);
}

static void link_heartbeat(struct server_link *l, link_done_fn *done, void *arg)
{
	later((struct servers *)l, done, arg, false);
}

static void link_work(struct server_link *l, uint64_t index, int64_t wait, link_done_fn *done, void *arg)
{
	struct servers *s = (struct servers *)l;

	(void)wait;
	if (s->broken || s->forgot || index != (uint64_t)s->work.index) {
		later(s, done, arg, true);
		return;
	}
	s->waiting.done = done;
	s->waiting.arg = arg;
}

static void link_update(struct server_link *l, const struct alloc_updates *u, link_done_fn *done, void *arg)
{
	struct servers *s = (struct servers *)l;

	later(s, done, arg, false);
	if (s->broken || s->forgot)
		return;
	s->updates++;
	OBJS_EACH(&u->allocs, struct alloc_update, x) {
		struct alloc_update *old = objmap_get(&s->seen, x->id), *copy = model_copy(s->arena, &type_alloc_update, x);

		if (!old || !str_eq(old->client_status, x->client_status))
			strs_push(s->arena, &s->trail, arena_printf(s->arena, "%.8s %s", x->id, x->client_status));
		objmap_set(s->arena, &s->seen, arena_strdup(s->arena, x->id), copy);
	}
}

static const char *link_server(struct server_link *l)
{
	(void)l;
	return "127.0.0.1:1";
}

static const struct server_link_ops link_ops = {
	.node_register = link_register,
	.heartbeat = link_heartbeat,
	.work = link_work,
	.update = link_update,
	.server = link_server,
};

/* ---- the scene ---- */

struct scene {
	struct event_base *base;
	struct servers s;
	struct client *client;
	struct client_config config;
	struct arena *arena;
	char dir[64];
};

static void start_client(struct scene *x)
{
	struct err e = ERR_INIT;

	if (client_start(x->base, &x->config, &x->s.link, &x->client, &e))
		fail_msg("client_start: %s", err_str(&e));
}

static int set_up(void **state)
{
	struct scene *x = xcalloc(1, sizeof(*x));

	log_set_level(getenv("DEBUG") ? LOG_TRACE : LOG_ERROR);
	strcpy(x->dir, "/tmp/drover-client-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	assert_int_equal(0, chmod(x->dir, 0755));
	x->base = event_base_new();
	x->arena = arena_new();
	x->s.link.ops = &link_ops;
	x->s.base = x->base;
	x->s.arena = x->arena;
	x->s.work.index = 1;
	x->config = (struct client_config){
		.region = "global",
		.datacenter = "dc1",
		.name = "test",
		.data_dir = x->dir,
		.alloc_dir = arena_printf(x->arena, "%s/alloc", x->dir),
		.http_addr = "127.0.0.1:4646",
		.bind_ip = "127.0.0.1",
		.min_dynamic_port = 20000,
		.max_dynamic_port = 32000,
		.max_kill_timeout = 30 * SECOND,
		.gc_interval = MINUTE,
		.gc_max_allocs = 50,
		.cgroup_parent = "",
	};
	strmap_set(x->arena, &x->config.drivers_enabled, "raw_exec", "true");
	start_client(x);
	*state = x;
	return 0;
}

static void wake(struct scene *x)
{
	if (!x->s.waiting.done)
		return;
	later(&x->s, x->s.waiting.done, x->s.waiting.arg, true);
	x->s.waiting.done = NULL;
}

/* One job with the group "g" whose body is JSON; job_type service or batch. */
static struct job *job(struct scene *x, const char *type, const char *group)
{
	struct job *j = MODEL_NEW(x->arena, job);
	struct err e = ERR_INIT;
	const char *text = arena_printf(x->arena,
	    "{\"ID\":\"j\",\"Name\":\"j\",\"Namespace\":\"default\",\"Type\":\"%s\",\"Version\":0,\"Meta\":{\"where\":\"job\"},"
	    "\"TaskGroups\":[{\"Name\":\"g\",\"Count\":1,%s}]}",
	    type, group);

	if (codec_from_text(&type_job, j, text, strlen(text), x->arena, &e))
		fail_msg("job: %s", err_str(&e));
	MODEL_SET(job, j, job_modify_index, x->s.work.index);
	return j;
}

/* A task as JSON: a shell command with more attributes. */
static const char *sh(struct scene *x, const char *name, const char *command, const char *more)
{
	struct buf b = BUF_INIT;

	json_put_string(&b, command, strlen(command));
	const char *s = arena_printf(x->arena,
	    "{\"Name\":\"%s\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sh\",\"args\":[\"-c\",%s]}%s%s}", name, b.data,
	    *more ? "," : "", more);

	buf_free(&b);
	return s;
}

static struct allocation *desire(struct scene *x, const char *id, struct job *j)
{
	struct allocation *a = MODEL_NEW(x->arena, allocation);
	struct err e = ERR_INIT;
	const char *text = arena_printf(x->arena,
	    "{\"ID\":\"%s\",\"Namespace\":\"default\",\"Name\":\"j.g[3]\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"run\","
	    "\"ClientStatus\":\"pending\",\"AllocModifyIndex\":%lld,\"JobVersion\":0}",
	    id, (long long)x->s.work.index + 1);

	assert_int_equal(0, codec_from_text(&type_allocation, a, text, strlen(text), x->arena, &e));
	x->s.work.index++;
	x->s.work.jobs.n = 0;
	objs_push(x->arena, &x->s.work.jobs, j);
	objs_push(x->arena, &x->s.work.allocs, a);
	wake(x);
	return a;
}

static void desire_stop(struct scene *x, struct allocation *a)
{
	x->s.work.index++;
	MODEL_SET(allocation, a, alloc_modify_index, x->s.work.index);
	MODEL_SET(allocation, a, desired_status, "stop");
	wake(x);
}

static const struct alloc_update *seen(struct scene *x, const char *id)
{
	return objmap_get(&x->s.seen, id);
}

static bool status_is(struct scene *x, const char *id, const char *status)
{
	return seen(x, id) && str_eq(seen(x, id)->client_status, status);
}

static void run_ms(struct scene *x, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_loopexit(x->base, &tv);
	event_base_dispatch(x->base);
}

static int tear_down(void **state)
{
	struct scene *x = *state;

	client_stop(x->client);
	x->s.closed = true;
	run_ms(x, 0);
	event_base_free(x->base);
	dir_remove(x->dir, NULL);
	arena_free(x->arena);
	free(x);
	return 0;
}

static void wait_status(struct scene *x, const char *id, const char *status)
{
	for (int i = 0; i < 1000 && !status_is(x, id, status); i++) {
		if (status_is(x, id, "failed") || status_is(x, id, "complete"))
			break; /* nothing comes after these */
		run_ms(x, 10);
	}
	if (!status_is(x, id, status))
		fail_msg("expected status %s, is %s", status, seen(x, id) ? seen(x, id)->client_status : "never reported");
}

static const struct task_state *task_of(struct scene *x, const char *id, const char *task)
{
	return objmap_get(&seen(x, id)->task_states, task);
}

/* "Received,Task Setup,Started,Terminated" */
static const char *events_of(struct scene *x, const char *id, const char *task)
{
	const char *s = "";

	OBJS_EACH(&task_of(x, id, task)->events, struct task_event, ev) {
		s = arena_printf(x->arena, "%s%s%s", s, *s ? "," : "", ev->type);
	}
	return s;
}

static const struct task_event *event_of(struct scene *x, const char *id, const char *task, const char *type)
{
	OBJS_EACH(&task_of(x, id, task)->events, struct task_event, ev) {
		if (str_eq(ev->type, type))
			return ev;
	}
	fail_msg("no event %s: %s", type, events_of(x, id, task));
	return NULL;
}

static char *slurp(struct scene *x, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	char path[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	cleanup_free char *full = path_join(x->config.alloc_dir, path);

	if (file_read(full, 1 << 20, &b, NULL) < 0)
		return (char *)"";
	char *s = arena_strdup(x->arena, b.data ? b.data : "");

	buf_free(&b);
	return s;
}

/* ---- tests ---- */

static void test_a_batch_task_runs_and_completes(void **state)
{
	struct scene *x = *state;
	const char *g = arena_printf(x->arena, "\"Meta\":{\"where\":\"group\"},\"Tasks\":[%s]",
	    sh(x, "t", "echo $NOMAD_ALLOC_INDEX $NOMAD_META_where $NOMAD_META_WHERE ${NOMAD_TASK_NAME} $HELLO; pwd; echo err >&2",
	        "\"Env\":{\"HELLO\":\"${node.datacenter}-${NOMAD_JOB_NAME}\"}"));

	desire(x, ID1, job(x, "batch", g));
	wait_status(x, ID1, "complete");
	assert_string_equal("All tasks have completed", seen(x, ID1)->client_description);
	assert_string_equal("Received,Task Setup,Started,Terminated", events_of(x, ID1, "t"));
	assert_string_equal("Exit Code: 0", event_of(x, ID1, "t", "Terminated")->display_message);
	assert_string_equal("dead", task_of(x, ID1, "t")->state);
	assert_false(task_of(x, ID1, "t")->failed);
	const char *out = slurp(x, "%s/alloc/logs/t.stdout.0", ID1);

	assert_non_null(strstr(out, "3 group group t dc1-j\n"));
	assert_string_equal("err\n", slurp(x, "%s/alloc/logs/t.stderr.0", ID1));
}

static void test_the_secrets_folder_is_private(void **state)
{
	struct scene *x = *state;
	struct stat st;

	desire(x, ID1, job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "true", ""))));
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
	struct scene *x = *state;

	desire(x, ID1, job(x, "batch", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":2,\"Interval\":600000000000,\"Delay\":20000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    sh(x, "t", "exit 3", ""))));
	wait_status(x, ID1, "failed");
	const struct task_state *t = task_of(x, ID1, "t");

	assert_string_equal("Failed tasks", seen(x, ID1)->client_description);
	assert_true(t->failed);
	assert_int_equal(2, t->restarts);
	assert_int_equal(3, event_of(x, ID1, "t", "Terminated")->exit_code);
	assert_string_equal("Exceeded allowed attempts 2 in interval 10m0s and mode is \"fail\"",
	    event_of(x, ID1, "t", "Not Restarting")->display_message);
	assert_true(str_starts(event_of(x, ID1, "t", "Restarting")->display_message, "Task restarting in 2"));
}

static void test_a_missing_command_fails_at_once(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", "\"RestartPolicy\":{\"Attempts\":5,\"Interval\":600000000000,\"Delay\":20000000},"
	    "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/no/such/program\"}}]"));
	wait_status(x, ID1, "failed");
	assert_string_equal("Received,Task Setup,Driver Failure,Not Restarting", events_of(x, ID1, "t"));
	assert_string_equal("Error was unrecoverable", event_of(x, ID1, "t", "Not Restarting")->display_message);
	assert_non_null(strstr(event_of(x, ID1, "t", "Driver Failure")->display_message, "/no/such/program"));
}

static void test_what_is_not_supported_fails_with_a_sentence(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s]",
	    sh(x, "t", "true", "\"Artifacts\":[{\"GetterSource\":\"http://localhost/x\"}]"))));
	wait_status(x, ID1, "failed");
	assert_string_equal("artifact blocks are not supported yet by this client",
	    event_of(x, ID1, "t", "Setup Failure")->display_message);
	desire(x, ID2, job(x, "batch", "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"docker\",\"Config\":{}}]"));
	wait_status(x, ID2, "failed");
	assert_string_equal("driver \"docker\" is not available on this client; available: raw_exec",
	    event_of(x, ID2, "t", "Setup Failure")->display_message);
}

static void test_desired_stop_sends_the_kill_signal_then_kills(void **state)
{
	struct scene *x = *state;
	struct allocation *a = desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    sh(x, "t", "trap 'echo got TERM' TERM; while true; do sleep 0.05; done",
	        "\"KillSignal\":\"SIGTERM\",\"KillTimeout\":300000000"))));

	wait_status(x, ID1, "running");
	run_ms(x, 100);
	desire_stop(x, a);
	wait_status(x, ID1, "complete");
	assert_string_equal("got TERM\n", slurp(x, "%s/alloc/logs/t.stdout.0", ID1));
	assert_string_equal("Received,Task Setup,Started,Killing,Terminated,Killed", events_of(x, ID1, "t"));
	assert_string_equal("Exit Code: 137, Signal: 9", event_of(x, ID1, "t", "Terminated")->display_message);
	assert_string_equal("Sent interrupt. Waiting 300ms before force killing",
	    event_of(x, ID1, "t", "Killing")->display_message);
	assert_false(task_of(x, ID1, "t")->failed);
}

static void test_an_allocation_missing_from_an_answer_goes_on(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	x->s.work.allocs.n = 0;
	x->s.work.index++;
	wake(x);
	run_ms(x, 200);
	assert_true(client_task_live(x->client, ID1, "t"));
	assert_true(status_is(x, ID1, "running"));
}

static void test_an_older_answer_stops_nothing(void **state)
{
	struct scene *x = *state;
	struct allocation *a = desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    sh(x, "t", "exec sleep 60", ""))));

	wait_status(x, ID1, "running");
	x->s.work.index = 1;
	MODEL_SET(allocation, a, desired_status, "stop");
	MODEL_SET(allocation, a, alloc_modify_index, 1000);
	strs_push(x->arena, &x->s.work.gone, ID1);
	wake(x);
	run_ms(x, 300);
	assert_true(status_is(x, ID1, "running"));
	assert_true(client_task_live(x->client, ID1, "t"));
}

static void test_an_allocation_the_servers_forgot_is_stopped_and_removed(void **state)
{
	struct scene *x = *state;
	char *path = NULL;

	desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	x->s.work.allocs.n = 0;
	strs_push(x->arena, &x->s.work.gone, ID1);
	x->s.work.index++;
	wake(x);
	wait_status(x, ID1, "complete");
	run_ms(x, 50);
	client_gc_all(x->client);
	assert_int_equal(-ENOENT, client_alloc_dir(x->client, ID1, &path, NULL));
	cleanup_free char *dir = xasprintf("%s/%s", x->config.alloc_dir, ID1);

	assert_int_equal(-1, access(dir, F_OK));
}

static pid_t pid_written(struct scene *x, const char *id)
{
	for (int i = 0; i < 200; i++) {
		int pid = atoi(slurp(x, "%s/alloc/logs/t.stdout.0", id));

		if (pid > 0)
			return pid;
		run_ms(x, 10);
	}
	fail_msg("the task wrote no pid");
	return 0;
}

static void test_a_new_agent_finds_the_running_task_again(void **state)
{
	struct scene *x = *state;
	struct allocation *a = desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    sh(x, "t", "echo $$; trap 'exit 7' INT; while true; do sleep 0.05; done", ""))));

	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	client_stop(x->client);
	x->s.waiting.done = NULL;
	x->s.seen.n = 0;
	assert_int_equal(0, kill(pid, 0));
	start_client(x);
	wait_status(x, ID1, "running");
	run_ms(x, 100);
	assert_int_equal(pid, pid_written(x, ID1));
	assert_int_equal(0, task_of(x, ID1, "t")->restarts);
	assert_string_equal("Received,Task Setup,Started", events_of(x, ID1, "t"));
	desire_stop(x, a);
	wait_status(x, ID1, "complete");
	assert_int_equal(7, event_of(x, ID1, "t", "Terminated")->exit_code);
}

static void test_what_ended_without_an_agent_is_reported_and_not_run_again(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "batch", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    sh(x, "t", "echo once >> $NOMAD_ALLOC_DIR/data/runs; sleep 0.3; exit 5", ""))));
	wait_status(x, ID1, "running");
	client_stop(x->client);
	x->s.waiting.done = NULL;
	x->s.seen.n = 0;
	usleep(600000);
	start_client(x);
	wait_status(x, ID1, "failed");
	assert_int_equal(5, event_of(x, ID1, "t", "Terminated")->exit_code);
	assert_string_equal("once\n", slurp(x, "%s/alloc/data/runs", ID1));
	/* And once more: nothing is left to do for it. */
	client_stop(x->client);
	x->s.waiting.done = NULL;
	x->s.seen.n = 0;
	start_client(x);
	wait_status(x, ID1, "failed");
	assert_string_equal("once\n", slurp(x, "%s/alloc/data/runs", ID1));
}

static void test_restart_counts_go_on_in_a_new_agent(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "batch", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":2,\"Interval\":600000000000,\"Delay\":100000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    sh(x, "t", "echo run >> $NOMAD_ALLOC_DIR/data/runs; exit 1", ""))));
	for (int i = 0; i < 200 && !(seen(x, ID1) && task_of(x, ID1, "t")->restarts == 1); i++)
		run_ms(x, 5);
	client_stop(x->client);
	x->s.waiting.done = NULL;
	x->s.seen.n = 0;
	start_client(x);
	wait_status(x, ID1, "failed");
	assert_int_equal(2, task_of(x, ID1, "t")->restarts);
	assert_string_equal("run\nrun\nrun\n", slurp(x, "%s/alloc/data/runs", ID1));
}

static void test_a_keeper_that_was_killed_is_an_unknown_exit(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	cleanup_free char *path = xasprintf("%s/client/allocs/%s/t/keeper", x->dir, ID1);
	struct buf b = BUF_INIT;

	assert_int_equal(0, file_read(path, 100, &b, NULL));
	kill(atoi(b.data), SIGKILL);
	buf_free(&b);
	wait_status(x, ID1, "failed");
	assert_true(str_starts(event_of(x, ID1, "t", "Terminated")->display_message, "Exit Code: unknown"));
}

static void test_stages_run_in_order(void **state)
{
	struct scene *x = *state;
	const char *log = "echo $NOMAD_TASK_NAME >> $NOMAD_ALLOC_DIR/data/order; ";

	desire(x, ID1, job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s,%s,%s,%s,%s]",
	    sh(x, "after", log, "\"Lifecycle\":{\"Hook\":\"poststop\"}"),
	    sh(x, "init", arena_printf(x->arena, "sleep 0.2; %s", log), "\"Lifecycle\":{\"Hook\":\"prestart\"}"),
	    sh(x, "side", "trap 'echo side >> $NOMAD_ALLOC_DIR/data/order; exit 0' INT; while true; do sleep 0.02; done",
	        "\"Lifecycle\":{\"Hook\":\"prestart\",\"Sidecar\":true}"),
	    sh(x, "late", log, "\"Lifecycle\":{\"Hook\":\"poststart\"}"),
	    sh(x, "main", arena_printf(x->arena, "%s sleep 0.5", log), ""))));
	wait_status(x, ID1, "complete");
	assert_string_equal("init\nmain\nlate\nside\nafter\n", slurp(x, "%s/alloc/data/order", ID1));
	assert_non_null(strstr(events_of(x, ID1, "side"), "Main Tasks Dead,Killing,Terminated,Killed"));
	assert_string_equal("Received,Task Setup,Started,Terminated", events_of(x, ID1, "after"));
	/* Once running it never looks pending again. */
	assert_int_equal(3, x->s.trail.n + (x->s.trail.n == 2));
}

static void test_a_failed_task_takes_its_siblings_along(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s,%s]",
	    sh(x, "bad", "sleep 0.1; exit 1", ""), sh(x, "good", "exec sleep 60", ""))));
	wait_status(x, ID1, "failed");
	assert_true(task_of(x, ID1, "bad")->failed);
	assert_false(task_of(x, ID1, "good")->failed);
	assert_string_equal("Task's sibling \"bad\" failed", event_of(x, ID1, "good", "Sibling Task Failed")->display_message);
}

static void test_restart_and_signal_on_request(void **state)
{
	struct scene *x = *state;
	struct err e = ERR_INIT;

	desire(x, ID1, job(x, "service", arena_printf(x->arena,
	    "\"RestartPolicy\":{\"Attempts\":0,\"Interval\":600000000000,\"Mode\":\"fail\"},\"Tasks\":[%s]",
	    sh(x, "t", "trap 'echo HUP' HUP; trap 'exit 0' INT; echo up; while true; do sleep 0.02; done", ""))));
	wait_status(x, ID1, "running");
	run_ms(x, 150);
	assert_int_equal(0, client_alloc_signal(x->client, ID1, "t", "SIGHUP", &e));
	run_ms(x, 150);
	assert_string_equal("up\nHUP\n", slurp(x, "%s/alloc/logs/t.stdout.0", ID1));
	assert_int_equal(0, client_alloc_restart(x->client, ID1, NULL, false, &e));
	for (int i = 0; i < 200 && !(task_of(x, ID1, "t")->restarts == 1 && status_is(x, ID1, "running")); i++)
		run_ms(x, 10);
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
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", arena_printf(x->arena,
	    "\"Update\":{\"MaxParallel\":1,\"MinHealthyTime\":200000000,\"HealthyDeadline\":60000000000,"
	    "\"HealthCheck\":\"task_states\"},\"Tasks\":[%s]", sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	assert_null(seen(x, ID1)->deployment_status);
	for (int i = 0; i < 200 && !seen(x, ID1)->deployment_status; i++)
		run_ms(x, 10);
	assert_true(seen(x, ID1)->deployment_status->healthy);
}

static void test_servers_that_are_away_stop_nothing_and_hear_everything_later(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "batch", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "sleep 0.3; exit 4",
	    "\"RestartPolicy\":{\"Attempts\":0,\"Mode\":\"fail\"}"))));
	wait_status(x, ID1, "running");
	x->s.broken = true;
	wake(x);
	run_ms(x, 600);
	assert_true(status_is(x, ID1, "running"));
	x->s.broken = false;
	wait_status(x, ID1, "failed");
	assert_int_equal(4, event_of(x, ID1, "t", "Terminated")->exit_code);
}

static void test_a_node_that_was_forgotten_registers_again(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	x->s.forgot = true;
	x->s.seen.n = 0;
	wake(x);
	wait_status(x, ID1, "running");
	assert_int_equal(2, x->s.registrations);
}

static void test_a_taken_port_is_a_clear_failure(void **state)
{
	struct scene *x = *state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sin);

	assert_int_equal(0, bind(fd, (struct sockaddr *)&sin, sizeof(sin)));
	assert_int_equal(0, listen(fd, 1));
	getsockname(fd, (struct sockaddr *)&sin, &n);
	struct job *j = job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "exec sleep 60", "")));
	struct allocation *a = MODEL_NEW(x->arena, allocation);
	const char *text = arena_printf(x->arena,
	    "{\"ID\":\"%s\",\"Namespace\":\"default\",\"Name\":\"j.g[0]\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"run\","
	    "\"AllocModifyIndex\":5,\"JobVersion\":0,\"AllocatedResources\":{\"Shared\":{\"Ports\":[{\"Label\":\"http\",\"Value\":%d,"
	    "\"HostIP\":\"127.0.0.1\"}]}}}", ID1, ntohs(sin.sin_port));

	assert_int_equal(0, codec_from_text(&type_allocation, a, text, strlen(text), x->arena, NULL));
	objs_push(x->arena, &x->s.work.jobs, j);
	objs_push(x->arena, &x->s.work.allocs, a);
	x->s.work.index++;
	wake(x);
	wait_status(x, ID1, "failed");
	assert_non_null(strstr(event_of(x, ID1, "t", "Setup Failure")->display_message, "already in use"));
	close(fd);
}

static void test_a_damaged_record_does_not_lose_the_running_task(void **state)
{
	struct scene *x = *state;

	desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]", sh(x, "t", "echo $$; exec sleep 60", ""))));
	wait_status(x, ID1, "running");
	pid_t pid = pid_written(x, ID1);

	client_stop(x->client);
	x->s.waiting.done = NULL;
	x->s.seen.n = 0;
	for (int i = 0; i < 2; i++) {
		cleanup_free char *path = xasprintf("%s/client/allocs/%s/%s", x->dir, ID1, i ? "state" : "alloc");

		assert_int_equal(0, truncate(path, 0));
	}
	start_client(x);
	wait_status(x, ID1, "running");
	run_ms(x, 100);
	assert_int_equal(pid, pid_written(x, ID1));
	assert_int_equal(0, kill(pid, 0));
}

static void test_use_is_measured(void **state)
{
	struct scene *x = *state;
	struct buf b = BUF_INIT;

	desire(x, ID1, job(x, "service", arena_printf(x->arena, "\"Tasks\":[%s]",
	    sh(x, "t", "while true; do :; done", "\"KillTimeout\":10000000"))));
	wait_status(x, ID1, "running");
	run_ms(x, 600);
	assert_int_equal(0, client_alloc_stats(x->client, ID1, &b, NULL));
	assert_non_null(strstr(b.data, "\"Pids\":{\""));
	assert_null(strstr(b.data, "\"TotalTicks\":0,\"UserMode\":0},\"DeviceStats\":[]"));
	buf_clear(&b);
	client_host_stats(x->client, &b);
	assert_non_null(strstr(b.data, "\"CPUTicksConsumed\":"));
	buf_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, stop_all)

/* Tasks outlive clients, so the test asks for their end. */
static int stop_all(void **state)
{
	struct scene *x = *state;

	x->s.broken = x->s.forgot = false;
	x->s.work.index += 2000;
	x->s.work.allocs.n = 0;
	strs_push(x->arena, &x->s.work.gone, ID1);
	strs_push(x->arena, &x->s.work.gone, ID2);
	wake(x);
	for (int i = 0; i < 800 && (client_task_live(x->client, ID1, "t") || client_task_live(x->client, ID1, "good")); i++)
		run_ms(x, 10);
	return tear_down(state);
}

/* The keeper of the same build. */
static void find_keeper(void)
{
	char exe[4096], path[4200];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (getenv("DROVER_KEEPER") || n <= 0)
		return;
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../../drover-keeper", exe);
	setenv("DROVER_KEEPER", path, 1);
}

int main(void)
{
	find_keeper();
	const struct CMUnitTest tests[] = {
		T(test_a_batch_task_runs_and_completes),
		T(test_the_secrets_folder_is_private),
		T(test_a_failing_task_is_restarted_by_policy_and_then_fails),
		T(test_a_missing_command_fails_at_once),
		T(test_what_is_not_supported_fails_with_a_sentence),
		T(test_desired_stop_sends_the_kill_signal_then_kills),
		T(test_an_allocation_missing_from_an_answer_goes_on),
		T(test_an_older_answer_stops_nothing),
		T(test_an_allocation_the_servers_forgot_is_stopped_and_removed),
		T(test_a_new_agent_finds_the_running_task_again),
		T(test_what_ended_without_an_agent_is_reported_and_not_run_again),
		T(test_restart_counts_go_on_in_a_new_agent),
		T(test_a_keeper_that_was_killed_is_an_unknown_exit),
		T(test_stages_run_in_order),
		T(test_a_failed_task_takes_its_siblings_along),
		T(test_restart_and_signal_on_request),
		T(test_health_after_min_healthy_time),
		T(test_servers_that_are_away_stop_nothing_and_hear_everything_later),
		T(test_a_node_that_was_forgotten_registers_again),
		T(test_a_taken_port_is_a_clear_failure),
		T(test_a_damaged_record_does_not_lose_the_running_task),
		T(test_use_is_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
