/* cli_alloc: finding an allocation and its task. */
#include "daemon/cli_alloc.h"

#include "daemon/cli_find.h"

static int read_alloc(struct cli *c, const char *id, struct allocation **out)
{
	struct allocation *a = MODEL_NEW(c->arena, allocation);
	cleanup_err struct err e = ERR_INIT;

	if (cli_get(c, &type_allocation, a, &e, "/v1/allocation/%s", id) < 0)
		return cli_fail("Error querying allocation", &e);
	*out = a;
	return 0;
}

int cli_alloc_find(struct cli *c, const char *text, FILE *several, struct allocation **out)
{
	const char *prefix = cli_id_prefix(c, text);
	cleanup_err struct err e = ERR_INIT;
	struct objs stubs;

	if (!prefix)
		return 1;
	if (cli_get_list(c, &type_alloc_stub, &stubs, &e, "/v1/allocations?prefix=%s", cli_escape(c, prefix)) < 0)
		return cli_fail("Error querying allocation", &e);
	if (!stubs.n) {
		fprintf(stderr, "No allocation(s) with prefix or id \"%s\" found\n", prefix);
		return 1;
	}
	if (stubs.n == 1)
		return read_alloc(c, ((struct alloc_stub *)stubs.v[0])->id, out);
	fputs("Prefix matched multiple allocations\n\n", several);
	show_allocs(c, &stubs, true, several);
	return 2;
}

int cli_alloc_of_job(struct cli *c, const char *job, const char *group, struct allocation **out)
{
	const struct alloc_stub *best = NULL;
	cleanup_err struct err e = ERR_INIT;
	struct objs stubs;

	/* With all namespaces the job is looked for in each. */
	if (str_eq(c->ns, "*") && !cli_find_job(c, "Error fetching allocations", job))
		return 1;
	if (cli_get_list(c, &type_alloc_stub, &stubs, &e, "/v1/job/%s/allocations", cli_escape(c, job)) < 0)
		return cli_fail("Error fetching allocations", &e);
	OBJS_EACH(&stubs, const struct alloc_stub, s) {
		bool runs = str_eq(s->client_status, "running"), best_runs = best && str_eq(best->client_status, "running");

		if (group && !str_eq(s->task_group, group))
			continue;
		if (!best || runs > best_runs || (runs == best_runs && s->create_index > best->create_index))
			best = s;
	}
	if (best)
		return read_alloc(c, best->id, out);
	if (stubs.n)
		fprintf(stderr, "Error fetching allocations: group \"%s\" of job \"%s\" has no allocations\n", group, job);
	else
		fprintf(stderr, "Error fetching allocations: job \"%s\" doesn't exist or it has no allocations\n", job);
	return 1;
}

int cli_alloc_argument(struct cli *c, struct allocation **out, const char ***rest)
{
	const struct cmd_args *a = c->args;
	bool by_job = arg_bool(a, "job");

	if (!a->n_pos)
		return cmd_misused(a->cmd, by_job ? "A job ID is required" : "An allocation ID is required");
	*rest = a->pos + 1;
	if (by_job)
		return cli_alloc_of_job(c, a->pos[0], arg_str(a, "group", NULL), out);
	if (arg_given(a, "group"))
		return cmd_misused(a->cmd, "-group chooses among the allocations of a job: it goes with -job");
	if (strlen(a->pos[0]) == 1) {
		fprintf(stderr, "Alloc ID must contain at least two characters.\n");
		return 1;
	}
	return cli_alloc_find(c, a->pos[0], stderr, out) ? 1 : 0;
}

/* ---- tasks ---- */

const struct objs *cli_alloc_tasks(const struct allocation *a)
{
	static const struct objs none;
	const struct task_group *g = a->job ? job_group(a->job, a->task_group) : NULL;

	return g ? &g->tasks : &none;
}

const char *cli_alloc_only_task(const struct allocation *a)
{
	const struct objs *tasks = cli_alloc_tasks(a);

	if (tasks->n == 1)
		return ((const struct task *)tasks->v[0])->name;
	fprintf(stderr, "Failed to validate task: Allocation \"%.8s\" is running the following tasks:\n", a->id);
	OBJS_EACH(tasks, const struct task, t)
		fprintf(stderr, "  * %s\n", t->name);
	fputs("\nPlease specify the task.\n", stderr);
	return NULL;
}

bool cli_alloc_has_task(const struct allocation *a, const char *task)
{
	const struct objs *tasks = cli_alloc_tasks(a);

	OBJS_EACH(tasks, const struct task, t)
		if (str_eq(t->name, task))
			return true;
	fprintf(stderr, "Could not find task named: %s, found:\n", task);
	OBJS_EACH(tasks, const struct task, t)
		fprintf(stderr, "%s\n", t->name);
	return false;
}
