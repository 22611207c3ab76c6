/* cmd_eval: evaluations: one, and the list. */
#include "base/clock.h"
#include "daemon/cli_monitor.h"
#include "daemon/cli_show.h"

static int64_t eval_index(const void *item)
{
	return ((const struct eval *)item)->create_index;
}

/* ---- one ---- */

static void put_head(struct cli *c, const struct eval *e)
{
	const char *description = !str_empty(e->status_description) ? e->status_description : e->status;
	struct table t = table_new(c->arena, "<none>");
	bool verbose = arg_bool(c->args, "verbose");

	kv(&t, "ID", "%s", short_id(c, e->id));
	kv(&t, "Create Time", "%s", list_time(c, e->create_time));
	kv(&t, "Modify Time", "%s", list_time(c, e->modify_time));
	kv(&t, "Status", "%s", e->status);
	kv(&t, "Status Description", "%s", description);
	kv(&t, "Type", "%s", e->type);
	kv(&t, "TriggeredBy", "%s", e->triggered_by);
	/* An evaluation that waits for capacity belongs to the one before it; scripts expect no job there. */
	if (!str_eq(e->triggered_by, "queued-allocs"))
		kv(&t, "Job ID", "%s", e->job_id);
	if (!str_empty(e->node_id))
		kv(&t, "Node ID", "%s", short_id(c, e->node_id));
	kv(&t, "Priority", "%lld", (long long)e->priority);
	kv(&t, "Placement Failures", "%s", show_has_failures(e));
	if (e->wait_until > clock_now())
		kv(&t, "Wait Until", "%s", local_time(c, e->wait_until));
	if (verbose) {
		kv(&t, "Previous Eval", "%s", e->previous_eval ? e->previous_eval : "");
		kv(&t, "Next Eval", "%s", e->next_eval ? e->next_eval : "");
		kv(&t, "Blocked Eval", "%s", e->blocked_eval ? e->blocked_eval : "");
	}
	kv_print(&t, stdout);
}

static void put_eval(struct cli *c, const struct eval *e)
{
	put_head(c, e);
	if (!e->failed_tg_allocs.n)
		return;
	print_title(c, "Failed Placements");
	show_failures(e, "\n", stdout);
	putchar('\n');
	if (!str_empty(e->blocked_eval))
		printf("Evaluation \"%s\" waiting for additional capacity to place remainder\n", short_id(c, e->blocked_eval));
}

static void put_several(struct cli *c, struct objs *evals)
{
	struct table t = table_new(c->arena, "<none>");

	show_newest_first(evals, eval_index);
	fputs("Prefix matched multiple evaluations\n\n", stderr);
	table_row(&t, "ID|Priority|Triggered By|Status|Placement Failures");
	OBJS_EACH(evals, const struct eval, e) {
		table_cell(&t, "%s", short_id(c, e->id));
		table_cell(&t, "%lld", (long long)e->priority);
		table_cell(&t, "%s", e->triggered_by);
		table_cell(&t, "%s", e->status);
		table_cell(&t, "%s", show_has_failures(e));
		table_end_row(&t);
	}
	table_print(&t, stderr);
}

static int run_status(struct cmd_args *a)
{
	struct eval *eval;
	cleanup_err struct err e = ERR_INIT;
	struct objs evals;
	const char *prefix;
	struct cli c;
	int code;

	if (a->n_pos != 1)
		return cmd_misused(a->cmd, "This command takes one argument");
	if (cli_open(&c, a) < 0 || !(prefix = cli_id_prefix(&c, a->pos[0])))
		return 1;
	if (cli_get_list(&c, &type_eval, &evals, &e, "/v1/evaluations?prefix=%s", cli_escape(&c, prefix)) < 0)
		return cli_fail("Error querying evaluation", &e);
	if (!evals.n) {
		fprintf(stderr, "No evaluation(s) with prefix or id \"%s\" found\n", prefix);
		return 1;
	}
	if (evals.n > 1) {
		put_several(&c, &evals);
		return 1;
	}
	if (arg_bool(a, "monitor"))
		return cli_monitor(&c, ((const struct eval *)evals.v[0])->id);
	eval = MODEL_NEW(c.arena, eval);
	if (cli_get(&c, &type_eval, eval, &e, "/v1/evaluation/%s", ((const struct eval *)evals.v[0])->id) < 0)
		return cli_fail("Error querying evaluation", &e);
	if (cli_format(&c, &type_eval, eval, &code))
		return code;
	put_eval(&c, eval);
	return 0;
}

/* ---- the list ---- */

static int run_list(struct cmd_args *a)
{
	static const struct query_flag params[] = {{"filter", "filter"}, {"job", "job"}, {"status", "status"},
	    {"page-token", "next_token"}, {"per-page", "per_page"}, {NULL, NULL}};
	cleanup_err struct err e = ERR_INIT;
	struct objs evals;
	struct table t;
	const char *query, *next;
	struct value *raw;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	query = cli_query(&c, params);
	if (cli_wants_format(&c)) {
		if (cli_get_value(&c, &raw, &e, "/v1/evaluations%s", query) < 0)
			return cli_fail("Error querying evaluations", &e);
		show_values_newest_first(raw);
		cli_format_list(&c, &type_eval, raw, &code);
		return code;
	}
	if (cli_get_list(&c, &type_eval, &evals, &e, "/v1/evaluations%s", query) < 0)
		return cli_fail("Error querying evaluations", &e);
	next = c.next_token;
	if (!evals.n) {
		puts("No evals found");
		return 0;
	}
	show_newest_first(&evals, eval_index);
	t = table_new(c.arena, "<none>");
	table_row(&t, "ID|Priority|Triggered By|Job ID|Namespace|Node ID|Status|Placement Failures");
	OBJS_EACH(&evals, const struct eval, v) {
		table_cell(&t, "%s", short_id(&c, v->id));
		table_cell(&t, "%lld", (long long)v->priority);
		table_cell(&t, "%s", v->triggered_by ? v->triggered_by : "");
		table_cell(&t, "%s", v->job_id ? v->job_id : "");
		table_cell(&t, "%s", v->namespace ? v->namespace : "");
		table_cell(&t, "%s", short_id(&c, v->node_id));
		table_cell(&t, "%s", v->status ? v->status : "");
		table_cell(&t, "%s", show_has_failures(v));
		table_end_row(&t);
	}
	table_print(&t, stdout);
	print_next_page(&c, next);
	return 0;
}

static const struct cmd_flag list_flags[] = {
    {"job", CMD_STR, "<job>", "Those of this job."},
    {"status", CMD_STR, "<status>", "Those with this status: pending, blocked, complete, failed or canceled."},
    {"filter", CMD_STR, "<expression>", "Those for which this is true, such as 'TriggeredBy == \"job-register\"'."},
    {"per-page", CMD_INT, "<n>", "At most so many."},
    {"page-token", CMD_STR, "<token>", "Go on where the page before ended."},
    {"verbose", CMD_BOOL, NULL, "Whole ids."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag status_flags[] = {
    {"monitor", CMD_BOOL, NULL, "Follow the evaluation to its end."},
    {"verbose", CMD_BOOL, NULL, "Whole ids, times as times, and the evaluations around this one."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_eval[] = {
    {
        .words = "eval status",
        .aliases = "eval-status",
        .usage = "[options] <evaluation>",
        .synopsis = "Show an evaluation and why it could not place something",
        .help = "Shows what made the scheduler look at a job, what came of it, and for each group that could not be placed\n"
                "how many nodes were ruled out by what. The evaluation may be named by the beginning of its id.\n",
        .flags = status_flags,
        .max_pos = -1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_status,
    },
    {
        .words = "eval list",
        .usage = "[options]",
        .synopsis = "List evaluations",
        .help = "Lists what made the scheduler look at which job, the newest first.\n",
        .flags = list_flags,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_list,
    },
    {.words = NULL},
};
