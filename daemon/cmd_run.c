/* cmd_run: from a job file to a running job: run, validate. */
#include "daemon/cli_job.h"
#include "daemon/cli_jobfile.h"
#include "daemon/cli_monitor.h"

#include <errno.h>

#include "base/codec.h"
#include "sched/admit.h"

/* ---- run ---- */

/* -check-index: false and a message when it is no number. */
static bool read_check_index(const struct cmd_args *a, struct register_request *r)
{
	const char *text = arg_str(a, "check-index", "");
	char *end;
	long long v;

	if (!*text)
		return true;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || *end || v < 0) {
		fprintf(stderr, "Error parsing check-index value \"%s\": strconv.ParseUint: parsing \"%s\": invalid syntax\n", text, text);
		return false;
	}
	MODEL_SET(register_request, r, enforce_index, true);
	MODEL_SET(register_request, r, job_modify_index, v);
	return true;
}

static int print_output(const struct job *j)
{
	cleanup_buf struct buf b = BUF_INIT;

	buf_puts(&b, "{\n    \"Job\": ");
	codec_to_json(&b, &type_job, j, CODEC_PARSED, 4, 1);
	buf_puts(&b, "\n}");
	puts(b.data);
	return 0;
}

/* The server's word about -check-index stands alone, since scripts look for it. */
static int submit_failed(const struct err *e)
{
	const char *text = err_str(e), *enforced = strstr(text, "(Enforcing job modify index");

	if (!enforced)
		return cli_fail("Error submitting job", e);
	fprintf(stderr, "%.*s\nJob not updated\n", (int)strcspn(enforced + 1, ")"), enforced + 1);
	return 1;
}

static int run_run(struct cmd_args *a)
{
	struct register_request r = {0};
	struct eval_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;
	struct jobfile f;
	struct cli c;

	if (cli_open(&c, a) < 0 || jobfile_read(&c, &f) < 0)
		return 1;
	if (arg_given(a, "consul-namespace"))
		MODEL_SET(job, f.job, consul_namespace, arg_str(a, "consul-namespace", ""));
	if (arg_bool(a, "output"))
		return print_output(f.job);
	if (!read_check_index(a, &r))
		return 1;
	r.job = f.job;
	r.submission = f.submission;
	MODEL_SET(register_request, &r, preserve_counts, arg_bool(a, "preserve-counts"));
	MODEL_SET(register_request, &r, policy_override, arg_bool(a, "policy-override"));
	MODEL_SET(register_request, &r, eval_priority, arg_int(a, "eval-priority", 0));
	if (cli_send(&c, "PUT", &type_register_request, &r, &type_eval_answer, &answer, &e, "/v1/jobs") < 0)
		return submit_failed(&e);
	jobfile_warnings(&c, answer.warnings);
	if (arg_bool(a, "detach") || str_empty(answer.eval_id)) {
		puts("Job registration successful");
		if (!str_empty(answer.eval_id))
			printf("Evaluation ID: %s\n", answer.eval_id);
		return 0;
	}
	return cli_monitor(&c, answer.eval_id);
}

/* ---- validate ---- */

/* What can be checked without a server, with a server's usual limits. */
static void validate_here(struct cli *c, struct job *j, struct validate_answer *v)
{
	struct admit_limits limits = {.max_priority = 100, .default_priority = 50, .max_count = 50000,
	    .region = str_or(c->region, "global")};
	cleanup_err struct err e = ERR_INIT;
	const char *warnings = "";

	admit_canonicalize(j, &limits, c->arena);
	if (admit_validate(j, &limits, &warnings, c->arena, &e) < 0)
		v->error = arena_strdup(c->arena, err_str(&e));
	v->warnings = warnings;
}

static int run_validate(struct cmd_args *a)
{
	struct validate_answer v = {0};
	struct register_request r = {0};
	cleanup_err struct err e = ERR_INIT;
	struct jobfile f;
	struct cli c;

	if (cli_open(&c, a) < 0 || jobfile_read(&c, &f) < 0)
		return 1;
	r.job = f.job;
	if (cli_send(&c, "PUT", &type_register_request, &r, &type_validate_answer, &v, &e, "/v1/validate/job") < 0)
		validate_here(&c, f.job, &v);
	if (!v.driver_config_validated)
		printf("%s\n\n", colored(&c, "1;33", "Driver configuration not validated since connection to drover agent couldn't be established."));
	if (!str_empty(v.error)) {
		fflush(stdout);
		fprintf(stderr, "Job validation errors:\n%s\n", v.error);
		return 1;
	}
	jobfile_warnings(&c, v.warnings);
	puts(colored(&c, "1;32", "Job validation successful"));
	return 0;
}

/* ---- table ---- */

static const struct cmd_flag run_flags[] = {
    {"check-index", CMD_STR, "<index>", "Register only when the job's modify index on the server is this one; 0: only when there is\n"
                                        "no such job yet. `job plan` prints the index to give."},
    FLAG_DETACH,
    {"eval-priority", CMD_INT, "<n>", "Priority of the evaluation; the job keeps its own."},
    {"output", CMD_BOOL, NULL, "Print the job as JSON and do not register it."},
    {"policy-override", CMD_BOOL, NULL, "Accepted for scripts; there are no policies to override."},
    {"preserve-counts", CMD_BOOL, NULL, "Keep the counts that the groups of the registered job have."},
    {"consul-namespace", CMD_STR, "<name>", "Kept in the job as its Consul namespace."},
    {"consul-token", CMD_STR, "<secret>", "Accepted for scripts and not used: the agents have tokens of their own."},
    {"vault-token", CMD_STR, "<secret>", "Accepted for scripts and not used."},
    FLAGS_JOBFILE,
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag validate_flags[] = {
    FLAGS_JOBFILE,
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_run[] = {
    {
        .words = "job run",
        .aliases = "run",
        .usage = "[options] <path>",
        .synopsis = "Run a new job or update a running one",
        .help = "Registers the job of the file, then follows its evaluation until everything is placed, and the\n"
                "deployment, if there is one, until it ends. Ctrl-C ends the watching, not the job.\n\n" JOBFILE_HELP
                "\nRegion and namespace of the file win over those of the command line.\n\n"
                "Exit code: 0 all is placed; 2 something could not be placed (it stays registered and is placed when\n"
                "there is room; the output says why); 1 any error, also when the deployment fails.\n",
        .flags = run_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_run,
    },
    {
        .words = "job validate",
        .aliases = "validate",
        .usage = "[options] <path>",
        .synopsis = "Check a job file",
        .help = "Reads the job file and says everything that is wrong with it. Without an agent to ask, the file is\n"
                "checked here, against the usual limits.\n\n" JOBFILE_HELP "\nExit code: 0 valid, 1 not.\n",
        .flags = validate_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_validate,
    },
    {.words = NULL},
};
