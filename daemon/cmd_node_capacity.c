/* cmd_node_capacity: `node capacity`: one line for scripts; tables of classes and of what is wanted for people. */
#include "daemon/cli_find.h"
#include "daemon/cli_node.h"

/* ---- the line ---- */

static int64_t least_fits(const struct capacity_job *j)
{
	int64_t n = INT64_MAX;

	for (uint32_t i = 0; i < j->groups.n; i++)
		n = MIN(n, ((const struct capacity_group *)j->groups.v[i].value)->fits);
	return j->groups.n ? n : 0;
}

static void put_line(const struct capacity *c)
{
	printf("active=%lld eligible=%lld cpu_free=%lld cpu_total=%lld memory_free=%lld memory_total=%lld pending=%lld "
	       "wanted_nodes=%lld",
	    (long long)c->active, (long long)c->eligible, (long long)c->free->cpu, (long long)c->total->cpu,
	    (long long)c->free->memory_mb, (long long)c->total->memory_mb, (long long)c->pending, (long long)c->wanted_nodes);
	if (c->job)
		printf(" fits=%lld", (long long)least_fits(c->job));
	for (uint32_t i = 0; c->job && i < c->job->groups.n; i++)
		printf(" fits.%s=%lld", c->job->groups.v[i].key,
		    (long long)((const struct capacity_group *)c->job->groups.v[i].value)->fits);
	putchar('\n');
}

/* ---- tables ---- */

static void put_classes(struct cli *cli, const struct capacity *c)
{
	struct table t = table_new(cli->arena, "<none>");

	putchar('\n');
	table_row(&t, "Class|DC|Pool|Nodes|Active|Eligible|CPU Free|CPU|Memory Free|Memory|Wanted");
	OBJS_EACH(&c->classes, const struct capacity_class, k) {
		table_cell(&t, "%s", str_or(k->node_class, ""));
		table_cell(&t, "%s", str_or(k->datacenter, ""));
		table_cell(&t, "%s", str_or(k->node_pool, ""));
		table_cell(&t, "%lld", (long long)k->nodes);
		table_cell(&t, "%lld", (long long)k->active);
		table_cell(&t, "%lld", (long long)k->eligible);
		table_cell(&t, "%lld MHz", (long long)k->free->cpu);
		table_cell(&t, "%lld MHz", (long long)k->total->cpu);
		table_cell(&t, "%lld MiB", (long long)k->free->memory_mb);
		table_cell(&t, "%lld MiB", (long long)k->total->memory_mb);
		table_cell(&t, "%lld", (long long)k->wanted);
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* "2 ci or 1 big" */
static const char *ways_of(struct cli *cli, const struct wanted_shape *w)
{
	const char *text = "";

	OBJS_EACH(&w->classes, const struct wanted_class, k)
		text = arena_printf(cli->arena, "%s%s%lld %s", text, *text ? " or " : "", (long long)k->nodes,
		    str_empty(k->node_class) ? arena_printf(cli->arena, "in %s", str_or(k->datacenter, "")) : k->node_class);
	return *text ? text : "no known class would take it";
}

static const char *conditions_of(struct cli *cli, const struct wanted_shape *w)
{
	const char *text = "";

	OBJS_EACH(&w->constraints, const struct constraint, k)
		text = arena_printf(cli->arena, "%s%s%s%s%s%s%s", text, *text ? ", " : "", str_or(k->ltarget, ""),
		    str_empty(k->ltarget) ? "" : " ", str_or(k->operand, ""), str_empty(k->rtarget) ? "" : " ",
		    str_or(k->rtarget, ""));
	return text;
}

static void put_wanted(struct cli *cli, const struct capacity *c)
{
	struct table t = table_new(cli->arena, "<none>");

	if (!c->wanted.n) {
		puts("\nNothing waits for room.");
		return;
	}
	putchar('\n');
	table_row(&t, "Pending|CPU|Memory|Disk|Constraints|Jobs|Nodes Wanted");
	OBJS_EACH(&c->wanted, const struct wanted_shape, w) {
		table_cell(&t, "%lld", (long long)w->count);
		table_cell(&t, "%lld MHz", (long long)w->cpu);
		table_cell(&t, "%lld MiB", (long long)w->memory_mb);
		table_cell(&t, "%lld MiB", (long long)w->disk_mb);
		table_cell(&t, "%s", conditions_of(cli, w));
		table_cell(
		    &t, w->n_jobs > 1 ? "%s and %lld more" : "%s", w->jobs.n ? w->jobs.v[0] : "", (long long)w->n_jobs - 1);
		table_cell(&t, "%s", ways_of(cli, w));
		table_end_row(&t);
	}
	table_print(&t, stdout);
	if (c->more_shapes)
		printf("\n%lld more groups wait, of other shapes.\n", (long long)c->more_shapes);
}

static void put_reasons(struct cli *cli, const struct capacity_job *j)
{
	struct table t = table_new(cli->arena, "<none>");

	putchar('\n');
	table_row(&t, "Task Group|Fits|CPU|Memory|Disk|Why No More");
	for (uint32_t i = 0; i < j->groups.n; i++) {
		const struct capacity_group *g = j->groups.v[i].value;

		table_cell(&t, "%s", j->groups.v[i].key);
		table_cell(&t, "%lld", (long long)g->fits);
		table_cell(&t, "%lld MHz", (long long)g->cpu);
		table_cell(&t, "%lld MiB", (long long)g->memory_mb);
		table_cell(&t, "%lld MiB", (long long)g->disk_mb);
		table_cell(&t, "%s", g->reason ? str_or(g->reason->text, "") : "no job may have more");
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static int run_capacity(struct cmd_args *a)
{
	const char *name = arg_str(a, "job", NULL), *query = "";
	struct capacity *now;
	cleanup_err struct err e = ERR_INIT;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (name) {
		const struct job_stub *j = cli_find_job(&c, "Error querying job", name);

		if (!j)
			return 1;
		query = arena_printf(c.arena, "?job=%s", cli_escape(&c, j->id));
	}
	now = MODEL_NEW(c.arena, capacity);
	if (cli_get(&c, &type_capacity, now, &e, "/v1/nodes/capacity%s", query) < 0)
		return cli_fail("Error querying capacity", &e);
	if (cli_format(&c, &type_capacity, now, &code))
		return code;
	put_line(now);
	if (now->job && arg_bool(a, "verbose"))
		put_reasons(&c, now->job);
	if (arg_bool(a, "classes"))
		put_classes(&c, now);
	if (arg_bool(a, "wanted"))
		put_wanted(&c, now);
	return 0;
}

static const struct cmd_flag flags[] = {
    {"job", CMD_STR, "<job>", "How many more allocations of each of its groups would be placed now."},
    {"classes", CMD_BOOL, NULL, "A table of node classes after the line."},
    {"wanted", CMD_BOOL, NULL, "A table of what waits for room, and how many nodes of which class would clear it."},
    {"verbose", CMD_BOOL, NULL, "With -job: what one takes, and why no more fit."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_node_capacity[] = {
    {
	.words = "node capacity",
	.usage = "[options]",
	.synopsis = "Say how much capacity there is now, and how much is missing",
	.help = "Prints one line of key=value words: active nodes, those of them that take new work, free and total cpu (MHz)\n"
		"and memory (MiB), allocations that wait for room, and how many new nodes like those that are known would take\n"
		"them. Totals are of active nodes, free is what new work could have.\n\n"
		"With -job follow fits=N and fits.GROUP=N: so many more allocations of each group, by itself, the scheduler\n"
		"would place now, by the same rules: resources, ports, constraints, what is distinct. fits= is the least of\n"
		"them. Words may be added at the end of the line.\n",
	.flags = flags,
	.max_pos = 0,
	.bits = CMD_CLIENT | CMD_JSON,
	.run = run_capacity,
    },
    {.words = NULL},
};
