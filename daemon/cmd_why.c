/* cmd_why: `why`: everything that is known about why parts of a job wait. */
#include "daemon/cli_find.h"
#include "daemon/cli_job.h"

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

static int run_why(struct cmd_args *a)
{
	const struct job_stub *j;
	struct why_answer why = {0};
	cleanup_err struct err e = ERR_INIT;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	j = cli_find_job(&c, "Error querying job", a->pos[0]);
	if (!j)
		return 1;
	if (cli_get(&c, &type_why_answer, &why, &e, "/v1/job/%s/why", cli_escape(&c, j->id)) < 0)
		return cli_fail("Error asking for reasons", &e);
	if (cli_format(&c, &type_why_answer, &why, &code))
		return code;
	printf("Job    = %s\nStatus = %s\n", j->id, show_job_status(&c, j->status, j->stop));
	if (!why.groups.n)
		puts("\nNothing of this job waits.");
	for (uint32_t i = 0; i < why.groups.n; i++)
		show_reason(&c, why.groups.v[i].key, why.groups.v[i].value);
	return 0;
}

const struct cmd cmds_why[] = {
    {
        .words = "why",
        .usage = "[options] <job>",
        .synopsis = "Say why parts of a job wait",
        .help = "Tells for each group of the job that waits: the reason as a stable word for scripts, a sentence, and how\n"
                "many nodes are ruled out by what, with the node that comes nearest. The answer is worked out from the\n"
                "cluster as it is now, not from what was found when the job was registered.\n\n"
                "Reasons: no-nodes cpu memory disk ports devices max-allocations datacenter node-pool node-down\n"
                "node-ineligible node-draining constraint driver volume network cores distinct-hosts distinct-property\n"
                "evaluation paused reschedule-delay reschedule-exhausted update-health client\n",
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_why,
    },
    {.words = NULL},
};
