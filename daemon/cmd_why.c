/* cmd_why: `why`: what waits in the cluster, and everything that is known about why parts of one job wait. */
#include "daemon/cli_find.h"
#include "daemon/cli_job.h"

#include <errno.h>

enum { MAX_JOBS = 100 }; /* asked about for the list: each question looks at every node */

/* "99 MiB" short of memory or disk, "200 MHz" of cpu; "" where there is no such figure. */
static const char *short_by(struct cli *c, const struct wait_cause *w)
{
	if (!MODEL_HAS(wait_cause, w, short_by))
		return "";
	return arena_printf(c->arena, "%lld %s", (long long)w->short_by, str_eq(w->code, "cpu") ? "MHz" : "MiB");
}

static void show_causes(struct cli *c, const struct objs *causes)
{
	struct table t = table_new(c->arena, "-");

	if (!causes->n)
		return;
	putchar('\n');
	table_row(&t, "Nodes|Cause|Short By|Explanation");
	OBJS_EACH(causes, struct wait_cause, w) {
		table_cell(&t, "%lld", (long long)w->nodes);
		table_cell(&t, "%s", str_or(w->code, ""));
		table_cell(&t, "%s", short_by(c, w));
		table_cell(&t, "%s", str_or(w->text, ""));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void show_reason(struct cli *c, const char *group, const struct wait_reason *r)
{
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "Task Group \"%s\"", group);
	kv(&t, "Reason", "%s", str_or(r->code, ""));
	kv(&t, "Explanation", "%s", str_or(r->text, ""));
	kv_print(&t, stdout);
	show_causes(c, &r->causes);
}

static int why_job(struct cli *c, const char *text)
{
	const struct job_stub *j = cli_find_job(c, "Error querying job", text);
	struct why_answer why = {0};
	cleanup_err struct err e = ERR_INIT;
	int code;

	if (!j)
		return 1;
	if (cli_get(c, &type_why_answer, &why, &e, "/v1/job/%s/why", cli_escape(c, j->id)) < 0)
		return cli_fail("Error asking for reasons", &e);
	if (cli_format(c, &type_why_answer, &why, &code))
		return code;
	printf("Job    = %s\nStatus = %s\n", j->id, show_job_status(c, j->status, j->stop));
	if (!why.groups.n)
		puts("\nNothing of this job waits.");
	for (uint32_t i = 0; i < why.groups.n; i++)
		show_reason(c, why.groups.v[i].key, why.groups.v[i].value);
	return 0;
}

/* ---- everything that waits ---- */

static bool may_wait(const struct job_stub *j)
{
	const struct objmap *groups = j->job_summary ? &j->job_summary->summary : NULL;

	for (uint32_t i = 0; groups && i < groups->n; i++)
		if (((const struct group_counts *)groups->v[i].value)->queued)
			return true;
	return str_eq(j->status, "pending");
}

/* The order in which they are served: priority, then age. */
static int by_turn(const void *a, const void *b)
{
	const struct job_stub *x = *(struct job_stub *const *)a, *y = *(struct job_stub *const *)b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return (x->submit_time > y->submit_time) - (x->submit_time < y->submit_time);
}

static int add_reasons(struct cli *c, const struct job_stub *j, struct table *t, struct err *e)
{
	struct why_answer why = {0};
	int rc = cli_get(c, &type_why_answer, &why, e, "/v1/job/%s/why?namespace=%s", cli_escape(c, j->id),
	    cli_escape(c, str_or(j->namespace, "default")));

	for (uint32_t i = 0; i < why.groups.n; i++) {
		const struct wait_reason *r = why.groups.v[i].value;

		table_cell(t, "%s", j->id);
		if (str_eq(c->ns, "*"))
			table_cell(t, "%s", str_or(j->namespace, ""));
		table_cell(t, "%lld", (long long)j->priority);
		table_cell(t, "%s", why.groups.v[i].key);
		table_cell(t, "%s", str_or(r->code, ""));
		table_cell(t, "%s", str_or(r->text, ""));
		table_end_row(t);
	}
	return rc == -ENOENT ? 0 : rc; /* gone in between */
}

static int why_all(struct cli *c)
{
	struct table t = table_new(c->arena, "<none>");
	struct objs jobs = {0}, waiting = {0};
	cleanup_err struct err e = ERR_INIT;

	if (cli_wants_format(c))
		return cmd_misused(c->args->cmd, "-json and -t take one argument: <job>");
	if (cli_get_list(c, &type_job_stub, &jobs, &e, "/v1/jobs") < 0)
		return cli_fail("Error querying jobs", &e);
	OBJS_EACH(&jobs, struct job_stub, j)
		if (may_wait(j))
			objs_push(c->arena, &waiting, j);
	if (waiting.n)
		qsort(waiting.v, waiting.n, sizeof(*waiting.v), by_turn);
	table_row(&t, str_eq(c->ns, "*") ? "Job ID|Namespace|Priority|Task Group|Reason|Explanation"
	                                 : "Job ID|Priority|Task Group|Reason|Explanation");
	for (uint32_t i = 0; i < MIN(waiting.n, (uint32_t)MAX_JOBS); i++)
		if (add_reasons(c, waiting.v[i], &t, &e) < 0)
			return cli_fail("Error asking for reasons", &e);
	if (t.rows.n < 2)
		puts("Nothing waits");
	else
		table_print(&t, stdout);
	if (waiting.n > MAX_JOBS)
		printf("\n%u more jobs wait behind these.\n", waiting.n - MAX_JOBS);
	return 0;
}

static int run_why(struct cmd_args *a)
{
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	return a->n_pos ? why_job(&c, a->pos[0]) : why_all(&c);
}

const struct cmd cmds_why[] = {
    {
        .words = "why",
        .usage = "[options] [<job>]",
        .synopsis = "Say what waits, and why",
        .help = "Without a job, lists what waits, in the order in which it is served: by priority, then by age. With one,\n"
                "tells for each group of the job that waits: the reason as a stable word for scripts, a sentence, and how\n"
                "many nodes are ruled out by what, with the node that comes nearest. The answer is worked out from the\n"
                "cluster as it is now, not from what was found when the job was registered.\n\n"
                "Reasons: no-nodes cpu memory disk ports devices max-allocations datacenter node-pool node-down\n"
                "node-ineligible node-draining constraint driver volume network cores distinct-hosts distinct-property\n"
                "evaluation paused reschedule-delay reschedule-exhausted update-health client\n",
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_why,
    },
    {.words = NULL},
};
