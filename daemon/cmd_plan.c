/* cmd_plan: `job plan`: what registering a job file would do. */
#include "daemon/cli_diff.h"
#include "daemon/cli_job.h"
#include "daemon/cli_jobfile.h"
#include "daemon/cli_show.h"

#include "base/clock.h"
#include "base/codec.h"

enum { PLAN_SAME = 0, PLAN_CHANGES = 1, PLAN_ERROR = 255 }; /* exit codes */

static void show_dry_run(struct cli *c, const struct job *j, const struct plan_answer *p)
{
	puts(colored(c, "1", "Scheduler dry-run:"));
	if (!p->failed_tg_allocs.n)
		puts(colored(c, "1;32", "- All tasks successfully allocated."));
	else
		puts(colored(c, "1;33", str_eq(j->type, "system") ? "- WARNING: Failed to place allocations on all nodes."
		                                                  : "- WARNING: Failed to place all allocations."));
	for (uint32_t i = 0; i < p->failed_tg_allocs.n; i++) {
		const struct alloc_metric *m = p->failed_tg_allocs.v[i].value;

		fputs(i ? "\n  " : "  ", stdout);
		show_failed_group(p->failed_tg_allocs.v[i].key, m, stdout);
		show_metric(m, "    ", stdout);
	}
	if (p->next_periodic_launch && !j->parameterized_job)
		puts(colored(c, "32", arena_printf(c->arena, "- If submitted now, next periodic launch would be at %s (%s).",
		                          local_time(c, p->next_periodic_launch), show_until(c, p->next_periodic_launch, clock_now()))));
	putchar('\n');
}

/* The argument as a shell takes it. */
static const char *shell_word(struct cli *c, const char *s)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@%+";
	cleanup_buf struct buf b = BUF_INIT;

	if (*s && strspn(s, safe) == strlen(s))
		return s;
	buf_putc(&b, '\'');
	for (; *s; s++)
		buf_printf(&b, *s == '\'' ? "'\\''" : "%c", *s);
	buf_putc(&b, '\'');
	return arena_strdup(c->arena, b.data);
}

/* The flags with which the job file means the same again. */
static const char *flags_again(struct cli *c)
{
	static const char *const names[] = {"var", "var-file"};
	cleanup_buf struct buf b = BUF_INIT;

	if (arg_bool(c->args, "json"))
		buf_puts(&b, "-json ");
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		const struct strs *l = arg_list(c->args, names[k]);

		for (uint32_t i = 0; i < l->n; i++)
			buf_printf(&b, "-%s=%s ", names[k], shell_word(c, l->v[i]));
	}
	return arena_strdup(c->arena, b.data ? b.data : "");
}

static void show_index(struct cli *c, const char *path, int64_t index)
{
	printf("%s\nTo submit the job with version verification run:\n\ndrover job run -check-index %lld %s%s\n\n",
	    colored(c, "1", arena_printf(c->arena, "Job Modify Index: %lld", (long long)index)), (long long)index,
	    flags_again(c), shell_word(c, path));
	fputs("With -check-index the job is registered only if nobody has changed it since: its\n"
	      "modify index on the server must still be this one. Otherwise this plan may not\n"
	      "hold any more.\n", stdout);
}

static int exit_code(const struct plan_annotations *p)
{
	for (uint32_t i = 0; p && i < p->desired_tg_updates.n; i++) {
		const struct desired_updates *u = p->desired_tg_updates.v[i].value;

		if (u->place || u->migrate || u->stop || u->destructive_update || u->canary)
			return PLAN_CHANGES;
	}
	return PLAN_SAME;
}

static int run_plan(struct cmd_args *a)
{
	struct job_plan_request r = {0};
	struct plan_answer p = {0};
	cleanup_err struct err e = ERR_INIT;
	struct jobfile f;
	struct cli c;

	if (cli_open(&c, a) < 0 || jobfile_read(&c, &f) < 0)
		return PLAN_ERROR;
	r.job = f.job;
	MODEL_SET(job_plan_request, &r, diff, str_eq(arg_str(a, "diff", "true"), "true"));
	MODEL_SET(job_plan_request, &r, policy_override, arg_bool(a, "policy-override"));
	if (cli_send(&c, "PUT", &type_job_plan_request, &r, &type_plan_answer, &p, &e, "/v1/job/%s/plan",
		cli_escape(&c, str_or(f.job->id, ""))) < 0) {
		cli_fail("Error during plan", &e);
		return PLAN_ERROR;
	}
	if (arg_bool(a, "json-output")) {
		cleanup_buf struct buf b = BUF_INIT;

		codec_to_json(&b, &type_plan_answer, &p, CODEC_API, 4, 0);
		puts(b.data);
		return exit_code(p.annotations);
	}
	if (r.diff)
		printf("%s\n\n", cli_diff(&c, p.diff, arg_bool(a, "verbose")));
	show_dry_run(&c, f.job, &p);
	jobfile_warnings(&c, p.warnings);
	show_index(&c, f.path, p.job_modify_index);
	return exit_code(p.annotations);
}

static const struct cmd_flag flags[] = {
    {"diff", CMD_BOOL, NULL, "Show the difference from the registered job. Default: true"},
    {"policy-override", CMD_BOOL, NULL, "Accepted for scripts; there are no policies to override."},
    {"json-output", CMD_BOOL, NULL, "Print the answer of the servers as JSON."},
    FLAGS_JOBFILE,
    {"verbose", CMD_BOOL, NULL, "Show every field of what is added or removed."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_plan[] = {
    {
        .words = "job plan",
        .aliases = "plan",
        .usage = "[options] <path>",
        .synopsis = "Show what running a job file would change",
        .help = "Asks the scheduler what it would do with the job of the file, and shows the difference from what is\n"
                "registered. Nothing is changed.\n\n" JOBFILE_HELP
                "\nExit code: 0 no allocation is created or destroyed; 1 some are; 255 an error.\n",
        .flags = flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .misuse = PLAN_ERROR,
        .run = run_plan,
    },
    {.words = NULL},
};
