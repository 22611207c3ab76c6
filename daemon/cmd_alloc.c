/* cmd_alloc: what is done to one allocation: stop, restart, signal. Looking at it is in cmd_alloc_status.c and _files.c. */
#include "base/codec.h"
#include "daemon/cli_alloc.h"
#include "daemon/cli_monitor.h"

/* {"TaskName": ..., "Signal": ...} */
static const char *task_body(struct cli *c, const char *task, const char *signal, bool all_tasks)
{
	cleanup_buf struct buf b = BUF_INIT;
	bool first = true;

	buf_putc(&b, '{');
	if (task) {
		json_put_key(&b, "TaskName", &first, 0, 1);
		json_put_str(&b, task);
	}
	if (signal) {
		json_put_key(&b, "Signal", &first, 0, 1);
		json_put_str(&b, signal);
	}
	if (all_tasks) {
		json_put_key(&b, "AllTasks", &first, 0, 1);
		json_put_bool(&b, true);
	}
	buf_putc(&b, '}');
	return arena_strdup(c->arena, b.data);
}

/* The task named by -task or after the allocation, NULL when none is; false when it does not exist. */
static bool task_argument(const struct cmd_args *a, const struct allocation *alloc, const char **task)
{
	*task = arg_str(a, "task", a->n_pos > 1 ? a->pos[1] : NULL);
	return str_empty(*task) || cli_alloc_has_task(alloc, *task);
}

static int run_stop(struct cmd_args *a)
{
	const char *delay = arg_bool(a, "no-shutdown-delay") ? "?no_shutdown_delay=true" : "";
	struct eval_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;
	struct allocation *alloc;
	struct cli c;

	if (cli_open(&c, a) < 0 || cli_alloc_find(&c, a->pos[0], stderr, &alloc))
		return 1;
	if (cli_send_text(&c, "PUT", "{}", &type_eval_answer, &answer, &e, "/v1/allocation/%s/stop%s", alloc->id, delay) < 0)
		return cli_fail("Error stopping allocation", &e);
	if (!arg_bool(a, "detach"))
		return cli_monitor(&c, answer.eval_id);
	puts(answer.eval_id);
	return 0;
}

static int run_restart(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct allocation *alloc;
	const char *task;
	struct cli c;

	if (cli_open(&c, a) < 0 || cli_alloc_find(&c, a->pos[0], stderr, &alloc) || !task_argument(a, alloc, &task))
		return 1;
	if (task && arg_bool(a, "all-tasks"))
		return cmd_misused(a->cmd, "Either a task or -all-tasks can be given, not both");
	if (cli_send_text(&c, "PUT", task_body(&c, task, NULL, arg_bool(a, "all-tasks")), NULL, NULL, &e,
	        "/v1/client/allocation/%s/restart", alloc->id) < 0) {
		fprintf(stderr, "Failed to restart allocation:\n\n%s\n", err_str(&e));
		return 1;
	}
	return 0;
}

static int run_signal(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct allocation *alloc;
	const char *task;
	struct cli c;

	if (cli_open(&c, a) < 0 || cli_alloc_find(&c, a->pos[0], stderr, &alloc) || !task_argument(a, alloc, &task))
		return 1;
	if (cli_send_text(&c, "PUT", task_body(&c, task, arg_str(a, "s", "SIGKILL"), false), NULL, NULL, &e,
	        "/v1/client/allocation/%s/signal", alloc->id) < 0)
		return cli_fail("Error signalling allocation", &e);
	return 0;
}

static const struct cmd_flag stop_flags[] = {
    {"detach", CMD_BOOL, NULL, "Print the id of the evaluation and do not wait for its end."},
    {"no-shutdown-delay", CMD_BOOL, NULL, "Do not wait the group's shutdown_delay between deregistering and stopping."},
    {"verbose", CMD_BOOL, NULL, "Whole ids."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag restart_flags[] = {
    {"task", CMD_STR, "<task>", "Restart this task only; the same as naming it after the allocation."},
    {"all-tasks", CMD_BOOL, NULL, "Restart every task, those that have ended included, in the order of their lifecycle."},
    {"verbose", CMD_BOOL, NULL, "Whole ids."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag signal_flags[] = {
    {"s", CMD_STR, "<signal>", "Signal to send: SIGHUP, HUP, SIGUSR1, ... Default: SIGKILL"},
    {"task", CMD_STR, "<task>", "Signal this task only; the same as naming it after the allocation."},
    {"verbose", CMD_BOOL, NULL, "Whole ids."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_alloc[] = {
    {
        .words = "alloc stop",
        .usage = "[options] <alloc-id>",
        .synopsis = "Stop an allocation; its group gets another one",
        .help = "Stops the allocation and lets the scheduler place another one in its stead, on this node or a better one.\n"
                "Then follows the evaluation to its end.\n",
        .flags = stop_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_stop,
    },
    {
        .words = "alloc restart",
        .usage = "[options] <alloc-id> <task-name>",
        .synopsis = "Restart tasks in place",
        .help = "Stops the running tasks of the allocation, or the one named, and starts them again on the same node with\n"
                "the same folder. Such a restart does not count as a failure.\n",
        .flags = restart_flags,
        .min_pos = 1,
        .max_pos = 2,
        .bits = CMD_CLIENT,
        .run = run_restart,
    },
    {
        .words = "alloc signal",
        .usage = "[options] <alloc-id> <task>",
        .synopsis = "Send a signal to tasks",
        .help = "Sends a signal to the running tasks of the allocation, or to the one named. What the task makes of it is\n"
                "its own affair; when it ends, its restart policy applies.\n",
        .takes = "up to two arguments: <alloc-id> <task>",
        .flags = signal_flags,
        .min_pos = 1,
        .max_pos = 2,
        .bits = CMD_CLIENT,
        .run = run_signal,
    },
    {.words = NULL},
};
