/* cmd_job_history: the versions of a job: history, revert. */
#include "daemon/cli_diff.h"
#include "daemon/cli_find.h"
#include "daemon/cli_job.h"
#include "daemon/cli_monitor.h"

#include <errno.h>

#include "base/codec.h"

/* ---- history ---- */

static void show_version(struct cli *c, const struct job *j, const struct value *diff)
{
	struct table t = table_new(c->arena, "<none>");

	kv(&t, "Version", "%lld", (long long)j->version);
	kv(&t, "Stable", "%s", j->stable ? "true" : "false");
	kv(&t, "Submit Date", "%s", local_time(c, j->submit_time));
	if (j->version_tag) {
		kv(&t, "Tag Name", "%s", str_or(j->version_tag->name, ""));
		kv(&t, "Tag Description", "%s", str_or(j->version_tag->description, ""));
	}
	if (diff)
		kv(&t, "Diff", "\n%s", cli_diff(c, diff, false));
	if (arg_bool(c->args, "full")) {
		cleanup_buf struct buf b = BUF_INIT;

		codec_to_json(&b, &type_job, j, CODEC_API, 4, 0);
		kv(&t, "Full", "JSON Job:\n%s", b.data);
	}
	kv_print(&t, stdout);
}

/* The difference of version i from the one before it, NULL when there is none. */
static const struct value *diff_of(const struct versions_answer *v, uint32_t i)
{
	return v->diffs && v->diffs->kind == VAL_LIST && i < v->diffs->n ? v->diffs->items[i] : NULL;
}

static int show_history(struct cli *c, const struct versions_answer *v)
{
	bool one = arg_given(c->args, "version"), found = false;
	int64_t version = arg_int(c->args, "version", 0);

	for (uint32_t i = 0; i < v->versions.n; i++) {
		const struct job *j = v->versions.v[i];

		if (one && j->version != version)
			continue;
		if (found)
			putchar('\n');
		show_version(c, j, diff_of(v, i));
		found = true;
	}
	if (found)
		return 0;
	fflush(stdout);
	fprintf(stderr, "Error printing job history for non-existing job or job version\n");
	return 1;
}

/* -json and -t: one version, or the list of all. */
static int format_history(struct cli *c, const struct versions_answer *v)
{
	int64_t version = arg_int(c->args, "version", 0);
	struct value **items = arena_alloc(c->arena, MAX(v->versions.n, 1) * sizeof(*items));
	int code = 1;

	if (arg_given(c->args, "version")) {
		OBJS_EACH(&v->versions, struct job, j) {
			if (j->version == version) {
				cli_format(c, &type_job, j, &code);
				return code;
			}
		}
		fprintf(stderr, "Error printing job history for non-existing job or job version\n");
		return 1;
	}
	OBJS_EACH(&v->versions, struct job, j)
		items[j_i] = cli_value(c, &type_job, j);
	cli_format_list(c, &type_job, value_list(c->arena, items, v->versions.n), &code);
	return code;
}

static int run_history(struct cmd_args *a)
{
	const struct job_stub *j;
	struct versions_answer v = {0};
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_wants_format(&c) && (arg_bool(a, "p") || arg_bool(a, "full"))) {
		fprintf(stderr, "-json and -t are exclusive with -p and -full\n");
		return 1;
	}
	j = cli_find_job(&c, "Error listing jobs", a->pos[0]);
	if (!j)
		return 1;
	if (cli_get(&c, &type_versions_answer, &v, &e, "/v1/job/%s/versions?diffs=%s", cli_escape(&c, j->id),
		arg_bool(a, "p") ? "true" : "false") < 0)
		return cli_fail("Error retrieving job versions", &e);
	return cli_wants_format(&c) ? format_history(&c, &v) : show_history(&c, &v);
}

/* ---- revert ---- */

static int run_revert(struct cmd_args *a)
{
	const struct job_stub *j;
	struct revert_request r = {0};
	struct eval_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;
	const char *text = a->pos[1];
	long long version;
	struct cli c;
	char *end;

	if (cli_open(&c, a) < 0)
		return 1;
	j = cli_find_job(&c, "Error listing jobs", a->pos[0]);
	if (!j)
		return 1;
	errno = 0;
	version = strtoll(text, &end, 10);
	if (errno || *end || !*text || version < 0) {
		fprintf(stderr, "Failed to parse job-version flag: strconv.ParseUint: parsing \"%s\": invalid syntax\n", text);
		return 1;
	}
	MODEL_SET(revert_request, &r, job_id, j->id);
	MODEL_SET(revert_request, &r, job_version, version);
	if (cli_send(&c, "PUT", &type_revert_request, &r, &type_eval_answer, &answer, &e, "/v1/job/%s/revert",
		cli_escape(&c, j->id)) < 0)
		return cli_fail("Error retrieving job versions", &e);
	if (arg_bool(a, "detach") || str_empty(answer.eval_id))
		return 0;
	return cli_monitor(&c, answer.eval_id);
}

/* ---- table ---- */

static const struct cmd_flag history_flags[] = {
    {"p", CMD_BOOL, NULL, "Show what each version changed."},
    {"full", CMD_BOOL, NULL, "Show each version in full, as JSON."},
    {"version", CMD_INT, "<n>", "Show this version alone."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag revert_flags[] = {
    {"detach", CMD_BOOL, NULL, "Do not follow what happens: print nothing and return."},
    {"consul-token", CMD_STR, "<secret>", "Accepted for scripts and not used: the agents have tokens of their own."},
    {"vault-token", CMD_STR, "<secret>", "Accepted for scripts and not used."},
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_job_history[] = {
    {
        .words = "job history",
        .usage = "[options] <job>",
        .synopsis = "Show the versions of a job that are kept",
        .help = "Lists the versions of the job that the servers keep, the newest first. `job revert` goes back to one.\n",
        .flags = history_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_history,
    },
    {
        .words = "job revert",
        .usage = "[options] <job> <version>",
        .synopsis = "Go back to an earlier version of a job",
        .help = "Registers the job as it was in the given version, as a new version, and follows the evaluation.\n"
                "`job history` lists the versions.\n\nExit code: as of `job run`.\n",
        .flags = revert_flags,
        .min_pos = 2,
        .max_pos = 2,
        .bits = CMD_CLIENT,
        .run = run_revert,
    },
    {.words = NULL},
};
