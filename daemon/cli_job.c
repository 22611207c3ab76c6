/* cli_job: forms of jobs and deployments. */
#include "daemon/cli_job.h"

#include "base/clock.h"

/* ---- jobs ---- */

const char *show_job_type(struct cli *c, const char *type, bool periodic, bool parameterized)
{
	return arena_printf(c->arena, "%s%s%s", str_or(type, ""), periodic ? "/periodic" : "",
	    parameterized ? "/parameterized" : "");
}

const char *show_job_status(struct cli *c, const char *status, bool stopped)
{
	return arena_printf(c->arena, "%s%s", str_or(status, ""), stopped ? " (stopped)" : "");
}

void show_jobs(struct cli *c, const struct objs *stubs, FILE *out)
{
	struct table t = table_new(c->arena, "<none>");
	bool everywhere = str_eq(c->ns, "*");

	table_row(&t, everywhere ? "ID|Namespace|Type|Priority|Status|Submit Date" : "ID|Type|Priority|Status|Submit Date");
	OBJS_EACH(stubs, struct job_stub, j) {
		table_cell(&t, "%s", str_or(j->id, ""));
		if (everywhere)
			table_cell(&t, "%s", str_or(j->namespace, ""));
		table_cell(&t, "%s", show_job_type(c, j->type, j->periodic, j->parameterized_job));
		table_cell(&t, "%lld", (long long)j->priority);
		table_cell(&t, "%s", show_job_status(c, j->status, j->stop));
		table_cell(&t, "%s", local_time(c, j->submit_time));
		table_end_row(&t);
	}
	table_print(&t, out);
}

/* ---- deployments ---- */

void show_deployments(struct cli *c, const struct objs *list)
{
	struct table t = table_new(c->arena, "<none>");

	if (!list->n) {
		puts("No deployments found");
		return;
	}
	table_row(&t, "ID|Job ID|Job Version|Status|Description");
	OBJS_EACH(list, struct deployment, d) {
		table_cell(&t, "%s", short_id(c, d->id));
		table_cell(&t, "%s", str_or(d->job_id, ""));
		table_cell(&t, "%lld", (long long)d->job_version);
		table_cell(&t, "%s", str_or(d->status, ""));
		table_cell(&t, "%s", str_or(d->status_description, ""));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* The columns that only some deployments have. */
struct deployed_columns {
	bool auto_revert, canaries, deadline;
};

static void deployed_row(struct cli *c, struct table *t, const struct deployed_columns *has, const char *group,
    const struct deployment_state *s)
{
	table_cell(t, "%s", group);
	if (has->auto_revert)
		table_cell(t, "%s", s->auto_revert ? "true" : "false");
	if (has->canaries)
		table_cell(t, "%s", !s->desired_canaries ? "N/A" : s->promoted ? "true" : "false");
	table_cell(t, "%lld", (long long)s->desired_total);
	if (has->canaries && s->desired_canaries)
		table_cell(t, "%lld", (long long)s->desired_canaries);
	else if (has->canaries)
		table_cell(t, "N/A");
	table_cell(t, "%lld", (long long)s->placed_allocs);
	table_cell(t, "%lld", (long long)s->healthy_allocs);
	table_cell(t, "%lld", (long long)s->unhealthy_allocs);
	if (has->deadline)
		table_cell(t, "%s", s->require_progress_by ? local_time(c, s->require_progress_by) : "N/A");
	table_end_row(t);
}

static void show_deployed(struct cli *c, const struct objmap *groups, FILE *out)
{
	struct table t = table_new(c->arena, "<none>");
	struct deployed_columns has = {0};

	for (uint32_t i = 0; i < groups->n; i++) {
		const struct deployment_state *s = groups->v[i].value;

		has.auto_revert |= s->auto_revert;
		has.canaries |= s->desired_canaries > 0;
		has.deadline |= s->progress_deadline != 0;
	}
	table_row(&t, arena_printf(c->arena, "Task Group%s%s|Desired%s|Placed|Healthy|Unhealthy%s",
	                  has.auto_revert ? "|Auto Revert" : "", has.canaries ? "|Promoted" : "",
	                  has.canaries ? "|Canaries" : "", has.deadline ? "|Progress Deadline" : ""));
	for (uint32_t i = 0; i < groups->n; i++)
		deployed_row(c, &t, &has, groups->v[i].key, groups->v[i].value);
	table_print(&t, out);
}

void show_deployment(struct cli *c, const struct deployment *d, bool with_job, FILE *out)
{
	struct table t = table_new(c->arena, "<none>");

	kv(&t, "ID", "%s", short_id(c, d->id));
	if (with_job) {
		kv(&t, "Job ID", "%s", str_or(d->job_id, ""));
		kv(&t, "Job Version", "%lld", (long long)d->job_version);
	}
	kv(&t, "Status", "%s", str_or(d->status, ""));
	kv(&t, "Description", "%s", str_or(d->status_description, ""));
	kv_print(&t, out);
	if (d->task_groups.n) {
		fprintf(out, "\n%s\n", colored(c, "1", "Deployed"));
		show_deployed(c, &d->task_groups, out);
	}
}

/* ---- times ---- */

const char *show_until(struct cli *c, int64_t t, int64_t now)
{
	int64_t ns = t - now;
	char text[DURATION_STR];

	ns = (ns < 0 ? -ns : ns) / SECOND * SECOND;
	return arena_printf(c->arena, "%s %s", duration_format(ns, text), t < now ? "ago" : "from now");
}
