/* cmd_job_status: `job status`: the list of jobs, and one job with everything that hangs on it. */
#include "daemon/cli_find.h"
#include "daemon/cli_job.h"
#include "daemon/cli_show.h"
#include "daemon/job_report.h"

#include "base/clock.h"

enum { MAX_FAILED_GROUPS = 5 }; /* shown of a placement failure */

/* ---- head ---- */

static const char *joined(struct cli *c, const struct strs *l)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", l->v[i]);
	return arena_strdup(c->arena, b.data ? b.data : "");
}

static void show_head(struct job_report *r)
{
	const struct job *j = &r->job;
	struct table t = table_new(r->c->arena, "<none>");
	bool parameterized = j->parameterized_job && !j->dispatched;

	kv(&t, "ID", "%s", j->id);
	kv(&t, "Name", "%s", str_or(j->name, ""));
	kv(&t, "Submit Date", "%s", local_time(r->c, j->submit_time));
	kv(&t, "Type", "%s", str_or(j->type, ""));
	kv(&t, "Priority", "%lld", (long long)j->priority);
	kv(&t, "Datacenters", "%s", joined(r->c, &j->datacenters));
	kv(&t, "Namespace", "%s", str_or(j->namespace, ""));
	if (!str_empty(j->node_pool) && !str_eq(j->node_pool, "default"))
		kv(&t, "Node Pool", "%s", j->node_pool);
	kv(&t, "Status", "%s", show_job_status(r->c, j->status, j->stop));
	kv(&t, "Periodic", "%s", j->periodic ? "true" : "false");
	kv(&t, "Parameterized", "%s", parameterized ? "true" : "false");
	if (!str_empty(j->dispatch_idempotency_token))
		kv(&t, "Idempotency Token", "%s", j->dispatch_idempotency_token);
	if (j->periodic && !parameterized && j->stop)
		kv(&t, "Next Periodic Launch", "none (job stopped)");
	kv_print(&t, stdout);
}

/* ---- parents ---- */

static void show_children(struct job_report *r)
{
	bool parameterized = !r->job.periodic;
	const struct job_children *n = r->summary.children;
	struct table counts = table_new(r->c->arena, "<none>"), jobs = table_new(r->c->arena, "<none>");
	long long pending = n ? n->pending : 0, running = n ? n->running : 0, dead = n ? n->dead : 0;

	print_title(r->c, parameterized ? "Parameterized Job Summary" : "Children Job Summary");
	table_row(&counts, "Pending|Running|Dead");
	table_row(&counts, arena_printf(r->c->arena, "%lld|%lld|%lld", pending, running, dead));
	table_print(&counts, stdout);
	if (!r->children.n) {
		puts(parameterized ? "\nNo dispatched instances of parameterized job found" : "\nNo instances of periodic job found");
		return;
	}
	print_title(r->c, parameterized ? "Dispatched Jobs" : "Previously Launched Jobs");
	table_row(&jobs, "ID|Status");
	OBJS_EACH(&r->children, struct job_stub, child) {
		table_cell(&jobs, "%s", child->id);
		table_cell(&jobs, "%s", show_job_status(r->c, child->status, child->stop));
		table_end_row(&jobs);
	}
	table_print(&jobs, stdout);
}

static void show_parent(struct job_report *r)
{
	const struct parameterized_job *p = r->job.parameterized_job;

	if (!r->job.periodic) {
		struct table t = table_new(r->c->arena, "<none>");

		print_title(r->c, "Parameterized Job");
		kv(&t, "Payload", "%s", str_or(p->payload, ""));
		kv(&t, "Required Metadata", "%s", joined(r->c, &p->meta_required));
		kv(&t, "Optional Metadata", "%s", joined(r->c, &p->meta_optional));
		kv_print(&t, stdout);
	}
	show_children(r);
}

/* ---- jobs with allocations ---- */

static void show_summary(struct job_report *r)
{
	struct table t = table_new(r->c->arena, "<none>");
	const struct objmap *groups = &r->summary.summary;
	bool unknown = false;

	for (uint32_t i = 0; i < groups->n; i++)
		unknown |= ((struct group_counts *)groups->v[i].value)->unknown > 0;
	print_title(r->c, "Summary");
	table_row(&t, unknown ? "Task Group|Queued|Starting|Running|Failed|Complete|Lost|Unknown"
	                      : "Task Group|Queued|Starting|Running|Failed|Complete|Lost");
	for (uint32_t i = 0; i < groups->n; i++) {
		const struct group_counts *n = groups->v[i].value;
		int64_t counts[] = {n->queued, n->starting, n->running, n->failed, n->complete, n->lost, n->unknown};

		table_cell(&t, "%s", groups->v[i].key);
		for (size_t k = 0; k < ARRAY_LEN(counts) - !unknown; k++)
			table_cell(&t, "%lld", (long long)counts[k]);
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void show_evals(struct job_report *r)
{
	struct table t = table_new(r->c->arena, "<none>");

	print_title(r->c, "Evaluations");
	table_row(&t, "ID|Priority|Triggered By|Status|Placement Failures");
	OBJS_EACH(&r->evals, struct eval, e) {
		table_cell(&t, "%s", short_id(r->c, e->id));
		table_cell(&t, "%lld", (long long)e->priority);
		table_cell(&t, "%s", str_or(e->triggered_by, ""));
		table_cell(&t, "%s", str_or(e->status, ""));
		table_cell(&t, "%s", show_has_failures(e));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* What the latest evaluation could not place, as long as one waits for room. */
static void show_placement_failure(struct job_report *r)
{
	const struct eval *latest = NULL;
	bool blocked = false;

	OBJS_EACH(&r->evals, struct eval, e) {
		blocked |= str_eq(e->status, "blocked");
		if (e->failed_tg_allocs.n && (!latest || latest->create_index < e->create_index))
			latest = e;
	}
	if (!blocked || !latest)
		return;
	print_title(r->c, "Placement Failure");
	for (uint32_t i = 0; i < MIN(latest->failed_tg_allocs.n, (uint32_t)MAX_FAILED_GROUPS); i++) {
		struct alloc_metric m = *(struct alloc_metric *)latest->failed_tg_allocs.v[i].value;

		m.reason = NULL; /* that was then; what is so now has a section of its own */
		printf("%sTask Group \"%s\":\n", i ? "\n" : "", latest->failed_tg_allocs.v[i].key);
		show_metric(&m, "  ", stdout);
	}
	if (latest->failed_tg_allocs.n > MAX_FAILED_GROUPS)
		printf("\nPlacement failures truncated. To see remainder run:\ndrover eval status %s\n", latest->id);
}

static void show_waiting(struct job_report *r)
{
	struct table t = table_new(r->c->arena, "<none>");

	if (!r->why.groups.n)
		return;
	print_title(r->c, "Waiting");
	table_row(&t, "Task Group|Reason|Explanation");
	for (uint32_t i = 0; i < r->why.groups.n; i++) {
		const struct wait_reason *w = r->why.groups.v[i].value;

		table_cell(&t, "%s", r->why.groups.v[i].key);
		table_cell(&t, "%s", str_or(w->code, ""));
		table_cell(&t, "%s", str_or(w->text, ""));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* The follow-up evaluation of the group's latest allocation, when its time is to come; NULL otherwise. */
static const struct eval *followup(struct job_report *r, const char *group, int64_t now)
{
	const struct alloc_stub *latest = NULL;
	struct eval *e = MODEL_NEW(r->c->arena, eval);

	OBJS_EACH(&r->allocs, struct alloc_stub, a)
		if (str_eq(a->task_group, group) && (!latest || a->modify_time > latest->modify_time))
			latest = a;
	if (!latest || str_empty(latest->followup_eval_id) ||
	    cli_get(r->c, &type_eval, e, NULL, "/v1/evaluation/%s", latest->followup_eval_id) < 0)
		return NULL;
	return e->wait_until > now ? e : NULL;
}

static const char *policy_text(struct cli *c, const struct reschedule_policy *p)
{
	char delay[DURATION_STR], interval[DURATION_STR];

	duration_format(p->max_delay, delay);
	if (p->unlimited)
		return arena_printf(c->arena, "unlimited with %s delay, max_delay = %s", str_or(p->delay_function, ""), delay);
	return arena_printf(c->arena, "%lld in %s with %s delay, max_delay = %s", (long long)p->attempts,
	    duration_format(p->interval, interval), str_or(p->delay_function, ""), delay);
}

static void show_rescheduling(struct job_report *r)
{
	struct table t = table_new(r->c->arena, "<none>");
	bool verbose = arg_bool(r->c->args, "verbose");
	int64_t now = clock_now();
	char text[TIME_STR];

	table_row(&t, verbose ? "Task Group|Reschedule Policy|Eval ID|Eval Time" : "Task Group|Eval ID|Eval Time");
	OBJS_EACH(&r->job.task_groups, struct task_group, g) {
		const struct eval *e = followup(r, g->name, now);

		if (!e)
			continue;
		table_cell(&t, "%s", g->name);
		if (verbose)
			table_cell(&t, "%s", g->reschedule_policy ? policy_text(r->c, g->reschedule_policy) : "");
		table_cell(&t, "%s", short_id(r->c, e->id));
		table_cell(&t, "%s", time_format_relative(e->wait_until, now, text));
		table_end_row(&t);
	}
	if (t.rows.n < 2)
		return;
	print_title(r->c, "Future Rescheduling Attempts");
	table_print(&t, stdout);
}

static void show_work(struct job_report *r)
{
	show_summary(r);
	if (arg_bool(r->c->args, "evals") || arg_bool(r->c->args, "verbose"))
		show_evals(r);
	show_placement_failure(r);
	show_waiting(r);
	show_rescheduling(r);
	if (!str_empty(r->deployment.id)) {
		print_title(r->c, "Latest Deployment");
		show_deployment(r->c, &r->deployment, false, stdout);
	}
	print_title(r->c, "Allocations");
	show_allocs(r->c, &r->allocs, true, stdout);
}

/* ---- commands ---- */

static int list(struct cli *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct objs jobs = {0};
	int code;

	if (cli_get_list(c, &type_job_stub, &jobs, &e, "/v1/jobs") < 0)
		return cli_fail("Error querying jobs", &e);
	if (job_reports_format(c, &jobs, &code))
		return code;
	if (jobs.n)
		show_jobs(c, &jobs, stdout);
	else
		puts("No running jobs");
	return 0;
}

static int run_status(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct job_report r = {0};
	const struct job_stub *j;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (!a->n_pos)
		return list(&c);
	j = cli_find_job(&c, "Error querying job", a->pos[0]);
	if (!j)
		return 1;
	if (job_reports_format(&c, &(struct objs){.v = (void *[]){(void *)j}, .n = 1}, &code))
		return code;
	if (job_report_read(&c, j->id, &r, &e) < 0) {
		fprintf(stderr, "%s\n", err_str(&e));
		return 1;
	}
	show_head(&r);
	if (arg_bool(a, "short"))
		return 0;
	if (job_is_parent(&r.job))
		show_parent(&r);
	else
		show_work(&r);
	return 0;
}

static const struct cmd_flag flags[] = {
    {"short", CMD_BOOL, NULL, "Show the head alone."},
    {"evals", CMD_BOOL, NULL, "Show the evaluations too."},
    {"all-allocs", CMD_BOOL, NULL, "Show also allocations of an earlier job of this id that was purged."},
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_job_status[] = {
    {
        .words = "job status",
        .usage = "[options] <job>",
        .synopsis = "Show jobs, or one job",
        .help = "Without an argument, lists the jobs. With the id of a job, or the beginning of one, shows the job: its\n"
                "groups with the states of their allocations, what waits and why, its latest deployment and its\n"
                "allocations.\n",
        .flags = flags,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_status,
    },
    {.words = NULL},
};
