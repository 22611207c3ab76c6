/*
 * cmd_alloc_files: `alloc logs` and `alloc fs`: output and files of an allocation, as far as wanted, and on as they grow.
 */
#include <errno.h>

#include "base/clock.h"
#include "daemon/cli_alloc.h"
#include "daemon/cli_follow.h"

/* ---- where to begin ---- */

/* By -tail, -n, -c and -f: "&follow=true&lines=10". Negative: misused. */
static int range_query(struct cli *c, const char **out)
{
	const struct cmd_args *a = c->args;
	long long lines = arg_int(a, "n", -1), bytes = arg_int(a, "c", -1);
	const char *follow = arg_bool(a, "f") ? "true" : "false", *origin = "&origin=start&offset=0";

	if ((arg_given(a, "n") && lines < 0) || (arg_given(a, "c") && bytes < 0)) {
		cmd_misused(a->cmd, "-n and -c take a number that is not negative");
		return -EINVAL;
	}
	if (arg_bool(a, "tail")) {
		if (lines > 0 || (lines < 0 && bytes < 0))
			origin = arena_printf(c->arena, "&lines=%lld", lines < 0 ? 10 : lines);
		else
			origin = arena_printf(c->arena, "&origin=end&offset=%lld", lines == 0 ? 0 : bytes);
	}
	*out = arena_printf(c->arena, "&follow=%s%s", follow, origin);
	return 0;
}

static int follow(struct cli *c, const struct cli_followed *f, size_t n)
{
	cleanup_err struct err e = ERR_INIT;

	return cli_follow(c, f, n, &e) < 0 ? cli_fail("Error reading file", &e) : 0;
}

/* ---- logs ---- */

static int run_logs(struct cmd_args *a)
{
	bool err = arg_bool(a, "stderr"), both = err && arg_bool(a, "stdout"), beats = arg_bool(a, "f");
	static const char *const types[] = {"stdout", "stderr"};
	const char **rest, *task, *range;
	struct cli_followed f[2];
	struct allocation *alloc;
	size_t first = err && !both, n = both ? 2 : 1;
	struct cli c;

	if (a->n_pos > 2)
		return cmd_misused(a->cmd, "This command takes one or two arguments");
	if (cli_open(&c, a) < 0 || range_query(&c, &range) < 0 || cli_alloc_argument(&c, &alloc, &rest))
		return 1;
	task = arg_str(a, "task", *rest);
	if (!task && !(task = cli_alloc_only_task(alloc)))
		return 1;
	for (size_t i = 0; i < n; i++)
		f[i] = (struct cli_followed){
		    .path = arena_printf(c.arena, "/v1/client/fs/logs/%s?task=%s&type=%s%s", alloc->id, cli_escape(&c, task),
		        types[first + i], range),
		    .fd = i ? STDERR_FILENO : STDOUT_FILENO, /* one kind alone is what a script wants to read */
		    .beats = beats,
		};
	return follow(&c, f, n);
}

/* ---- files ---- */

static const char *size_text(const struct cli *c, const struct value *file, char out[SIZE_STR])
{
	double size = show_number(file, "Size");

	if (arg_bool(c->args, "H"))
		snprintf(out, SIZE_STR, "%.0f", size);
	else
		size_format((int64_t)size, out);
	return out;
}

static void put_file(struct cli *c, struct table *t, const struct value *file, bool content_type)
{
	char size[SIZE_STR];
	int64_t at = 0;

	time_parse_rfc3339(show_text(file, "ModTime"), &at);
	table_cell(t, "%s", show_text(file, "FileMode"));
	table_cell(t, "%s", size_text(c, file, size));
	table_cell(t, "%s", local_time(c, at));
	if (content_type)
		table_cell(t, "%s", show_text(file, "ContentType"));
	table_cell(t, "%s%s", show_text(file, "Name"), show_flag(file, "IsDir") ? "/" : "");
	table_end_row(t);
}

static int list_files(struct cli *c, const char *id, const char *path)
{
	struct table t = table_new(c->arena, "<none>");
	cleanup_err struct err e = ERR_INIT;
	struct value *files = NULL;

	if (cli_get_value(c, &files, &e, "/v1/client/fs/ls/%s?path=%s", id, path) < 0)
		return cli_fail("Error reading alloc dir", &e);
	table_row(&t, "Mode|Size|Modified Time|Name");
	for (uint32_t i = 0; files->kind == VAL_LIST && i < files->n; i++)
		put_file(c, &t, files->items[i], false);
	table_print(&t, stdout);
	return 0;
}

static int run_fs(struct cmd_args *a)
{
	struct table t;
	cleanup_err struct err e = ERR_INIT;
	const char **rest, *path, *range;
	struct cli_followed f = {.fd = STDOUT_FILENO, .beats = arg_bool(a, "f")};
	struct value *file = NULL;
	struct allocation *alloc;
	struct cli c;

	if (a->n_pos > 2)
		return cmd_misused(a->cmd, "This command takes one or two arguments: <allocation> <path>");
	if (cli_open(&c, a) < 0 || range_query(&c, &range) < 0 || cli_alloc_argument(&c, &alloc, &rest))
		return 1;
	path = cli_escape(&c, *rest ? *rest : "/");
	if (cli_get_value(&c, &file, &e, "/v1/client/fs/stat/%s?path=%s", alloc->id, path) < 0) {
		fprintf(stderr, "%s\n", err_str(&e));
		return 1;
	}
	if (arg_bool(a, "stat")) {
		t = table_new(c.arena, "<none>");
		table_row(&t, "Mode|Size|Modified Time|Content Type|Name");
		put_file(&c, &t, file, true);
		table_print(&t, stdout);
		return 0;
	}
	if (show_flag(file, "IsDir"))
		return list_files(&c, alloc->id, path);
	f.path = arena_printf(c.arena, "/v1/client/fs/stream/%s?path=%s%s", alloc->id, path, range);
	return follow(&c, &f, 1);
}

#define RANGE_FLAGS(what)                                                                                              \
	{"f", CMD_BOOL, NULL, "Go on as it grows" what},                                                               \
	    {"tail", CMD_BOOL, NULL, "Begin near the end: with the last 10 lines, or as -n or -c says."},              \
	    {"n", CMD_INT, "<lines>", "With -tail: the last so many lines."},                                          \
	    {"c", CMD_INT, "<bytes>", "With -tail: the last so many bytes."}, {"verbose", CMD_BOOL, NULL, "Whole ids."}

static const struct cmd_flag logs_flags[] = {
    {"stdout", CMD_BOOL, NULL, "Standard output of the task. This is the default."},
    {"stderr", CMD_BOOL, NULL, "Standard error of the task. With -stdout too, both, each to its like here."},
    {"job", CMD_BOOL, NULL, "The argument is a job: take its newest running allocation."},
    {"group", CMD_STR, "<group>", "With -job: an allocation of this group."},
    {"task", CMD_STR, "<task>", "The task; the same as naming it after the allocation."},
    RANGE_FLAGS(", until the task has ended and everything was read."),
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag fs_flags[] = {
    {"H", CMD_BOOL, NULL, "Sizes as plain numbers of bytes."},
    {"stat", CMD_BOOL, NULL, "Show the file's own line instead of its content."},
    {"job", CMD_BOOL, NULL, "The argument is a job: take its newest running allocation."},
    {"group", CMD_STR, "<group>", "With -job: an allocation of this group."},
    RANGE_FLAGS(", until interrupted."),
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_alloc_files[] = {
    {
        .words = "alloc logs",
        .aliases = "logs",
        .usage = "[options] <allocation> <task>",
        .synopsis = "Print what a task wrote",
        .help = "Prints the output of a task, rotated files included. The task may be left out when there is only one.\n"
                "With -job the argument is a job: `drover logs -job web`.\n",
        .flags = logs_flags,
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_logs,
    },
    {
        .words = "alloc fs",
        .aliases = "fs",
        .usage = "[options] <allocation> <path>",
        .synopsis = "List and print files of an allocation",
        .help = "Lists a folder of the allocation, or prints a file. The path counts from the allocation's folder, which is\n"
                "also what is shown without a path. Secrets folders are not shown.\n",
        .flags = fs_flags,
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_fs,
    },
    {.words = NULL},
};
