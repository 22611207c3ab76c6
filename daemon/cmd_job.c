/* cmd_job: what is done to one registered job: stop, start, inspect, eval, scale, allocs, deployments. */
#include "daemon/cli_find.h"
#include "daemon/cli_job.h"
#include "daemon/cli_monitor.h"
#include "daemon/cli_show.h"

#include <errno.h>

#include "base/codec.h"

/* ---- stop ---- */

static int stop_one(struct cli *c, const char *text)
{
	const struct cmd_args *a = c->args;
	const struct job_stub *j = cli_find_job(c, "Error deregistering job", text);
	struct eval_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;
	const char *priority = "";
	int code;

	if (!j)
		return 1;
	if (!str_eq(j->id, text) && !arg_bool(a, "yes") &&
	    cli_confirm(arena_printf(c->arena, "Are you sure you want to stop job \"%s\"?", j->id), "Cancelling job stop", &code) < 0)
		return code;
	if (arg_given(a, "eval-priority"))
		priority = arena_printf(c->arena, "&eval_priority=%lld", (long long)arg_int(a, "eval-priority", 0));
	if (cli_send(c, "DELETE", NULL, NULL, &type_eval_answer, &answer, &e, "/v1/job/%s?purge=%s%s%s", cli_escape(c, j->id),
		arg_bool(a, "purge") ? "true" : "false", priority,
		arg_bool(a, "no-shutdown-delay") ? "&no_shutdown_delay=true" : "") < 0)
		return cli_fail("Error deregistering job", &e);
	if (str_empty(answer.eval_id)) /* nothing was to be done about allocations */
		return 0;
	if (arg_bool(a, "detach")) {
		puts(answer.eval_id);
		return 0;
	}
	return cli_monitor_stop(c, answer.eval_id);
}

static int run_stop(struct cmd_args *a)
{
	int code = 0;

	for (int i = 0; i < a->n_pos; i++) {
		struct cli c; /* each job anew: finding it may have changed the namespace */
		int one;

		if (cli_open(&c, a) < 0)
			return 1;
		one = stop_one(&c, a->pos[i]);
		code = MAX(code, one);
	}
	return code;
}

/* ---- start ---- */

static int run_start(struct cmd_args *a)
{
	const struct job_stub *stub;
	struct job j = {0};
	struct register_request r = {.job = &j};
	struct eval_answer answer = {0};
	struct job_submission source = {0};
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	stub = cli_find_job(&c, "Error starting job", a->pos[0]);
	if (!stub)
		return 1;
	if (cli_get(&c, &type_job, &j, &e, "/v1/job/%s", cli_escape(&c, stub->id)) < 0)
		return cli_fail("Error starting job", &e);
	if (!j.stop) {
		fprintf(stderr, "Job \"%s\" is not stopped\n", j.id);
		return 1;
	}
	MODEL_UNSET(job, &j, stop);
	if (cli_get(&c, &type_job_submission, &source, NULL, "/v1/job/%s/submission?version=%lld", cli_escape(&c, j.id),
		(long long)j.version) == 0)
		r.submission = &source;
	MODEL_SET(register_request, &r, enforce_index, true);
	MODEL_SET(register_request, &r, job_modify_index, j.job_modify_index);
	if (cli_send(&c, "PUT", &type_register_request, &r, &type_eval_answer, &answer, &e, "/v1/jobs") < 0)
		return cli_fail("Error starting job", &e);
	if (str_empty(answer.eval_id)) {
		puts("Job start successful");
		return 0;
	}
	if (arg_bool(a, "detach")) {
		printf("Job start successful\nEvaluation ID: %s\n", answer.eval_id);
		return 0;
	}
	return cli_monitor(&c, answer.eval_id);
}

/* ---- inspect ---- */

/* The version asked for by -version, or the present one. */
static int read_version(struct cli *c, const char *id, struct job *out, struct err *e)
{
	struct versions_answer v = {0};
	int64_t version = arg_int(c->args, "version", -1);
	int rc;

	if (!arg_given(c->args, "version"))
		return cli_get(c, &type_job, out, e, "/v1/job/%s", cli_escape(c, id));
	if ((rc = cli_get(c, &type_versions_answer, &v, e, "/v1/job/%s/versions", cli_escape(c, id))) < 0)
		return rc;
	OBJS_EACH(&v.versions, struct job, j) {
		if (j->version == version) {
			*out = *j;
			return 0;
		}
	}
	return err_set(e, -ENOENT, "job \"%s\" with version %lld couldn't be found", id, (long long)version);
}

/* The job file as it was sent. */
static int print_source(struct cli *c, const struct job *j)
{
	struct job_submission s = {0};
	cleanup_err struct err e = ERR_INIT;

	if (cli_get(c, &type_job_submission, &s, &e, "/v1/job/%s/submission?version=%lld", cli_escape(c, j->id),
		(long long)j->version) < 0)
		return cli_fail("Error inspecting job", &e);
	if (arg_bool(c->args, "with-vars")) {
		for (uint32_t i = 0; i < s.variable_flags.n; i++)
			printf("# -var '%s=%s'\n", s.variable_flags.v[i].key, s.variable_flags.v[i].value);
		if (!str_empty(s.variables))
			printf("# -var-file:\n%s\n", s.variables);
	}
	fputs(str_or(s.source, ""), stdout);
	return 0;
}

static int run_inspect(struct cmd_args *a)
{
	const struct job_stub *stub;
	struct job j = {0};
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (!a->n_pos && cli_wants_format(&c)) {
		struct value *v = NULL;

		if (cli_get_value(&c, &v, &e, "/v1/jobs") < 0)
			return cli_fail("Error inspecting jobs", &e);
		cli_format_list(&c, &type_job_stub, v, &code);
		return code;
	}
	if (!a->n_pos)
		return cmd_misused(a->cmd, "This command takes one argument: <job>");
	stub = cli_find_job(&c, "Error inspecting job", a->pos[0]);
	if (!stub)
		return 1;
	if (read_version(&c, stub->id, &j, &e) < 0)
		return cli_fail("Error inspecting job", &e);
	if (arg_bool(a, "hcl") || arg_bool(a, "with-vars"))
		return print_source(&c, &j);
	if (cli_format(&c, &type_job, &j, &code))
		return code;
	buf_puts(&b, "{\n    \"Job\": ");
	codec_to_json(&b, &type_job, &j, CODEC_API, 4, 1);
	printf("%s\n}\n", b.data);
	return 0;
}

/* ---- eval ---- */

static int run_eval(struct cmd_args *a)
{
	struct evaluate_options options = {0};
	struct evaluate_request r = {.eval_options = &options};
	struct eval_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	MODEL_SET(evaluate_request, &r, job_id, a->pos[0]);
	MODEL_SET(evaluate_options, &options, force_reschedule, arg_bool(a, "force-reschedule"));
	if (cli_send(&c, "PUT", &type_evaluate_request, &r, &type_eval_answer, &answer, &e, "/v1/job/%s/evaluate",
		cli_escape(&c, a->pos[0])) < 0)
		return cli_fail("Error evaluating job", &e);
	if (!arg_bool(a, "detach"))
		return cli_monitor(&c, answer.eval_id);
	printf("Created eval ID: \"%s\" \n", short_id(&c, answer.eval_id)); /* the space is what scripts know */
	return 0;
}

/* ---- scale ---- */

/* The group that a count without a group means: the only one there is. */
static const char *choose_group(const struct cmd_args *a, const struct job_scale *s)
{
	const char *given = a->n_pos == 3 ? a->pos[1] : NULL;

	if (given && !objmap_get(&s->task_groups, given)) {
		fprintf(stderr, "Group %s not found within job\n", given);
		return NULL;
	}
	if (!given && s->task_groups.n != 1) {
		fprintf(stderr, "Job %s has %u groups: name the one to scale\n", s->job_id, s->task_groups.n);
		return NULL;
	}
	return given ? given : s->task_groups.v[0].key;
}

static int run_scale(struct cmd_args *a)
{
	struct job_scale s = {0};
	struct scaling_request r = {0};
	struct eval_answer answer = {0};
	cleanup_err struct err e = ERR_INIT;
	const char *count, *group;
	struct cli c;
	char *end;
	long long n;

	if (a->n_pos < 2 || a->n_pos > 3) {
		fprintf(stderr, "Command requires at least two arguments and no more than three\n");
		return 1;
	}
	if (cli_open(&c, a) < 0)
		return 1;
	count = a->pos[a->n_pos - 1];
	errno = 0;
	n = strtoll(count, &end, 10);
	if (errno || *end || !*count) {
		fprintf(stderr, "Failed to convert count string to int: strconv.Atoi: parsing \"%s\": invalid syntax\n", count);
		return 1;
	}
	if (cli_get(&c, &type_job_scale, &s, &e, "/v1/job/%s/scale", cli_escape(&c, a->pos[0])) < 0)
		return cli_fail("Error querying job", &e);
	group = choose_group(a, &s);
	if (!group)
		return 1;
	MODEL_SET(scaling_request, &r, count, n);
	strmap_set(c.arena, &r.target, "Group", group);
	MODEL_SET(scaling_request, &r, message, "submitted using the drover CLI");
	if (cli_send(&c, "PUT", &type_scaling_request, &r, &type_eval_answer, &answer, &e, "/v1/job/%s/scale",
		cli_escape(&c, a->pos[0])) < 0)
		return cli_fail("Error submitting scaling request", &e);
	if (str_empty(answer.eval_id))
		return 0;
	if (arg_bool(a, "detach")) {
		printf("Evaluation ID: %s\n", answer.eval_id);
		return 0;
	}
	return cli_monitor(&c, answer.eval_id);
}

/* ---- lists ---- */

static int run_allocs(struct cmd_args *a)
{
	const struct job_stub *j;
	cleanup_err struct err e = ERR_INIT;
	struct value *v = NULL;
	struct objs allocs = {0};
	const char *all = arg_bool(a, "all") ? "?all=true" : "";
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	j = cli_find_job(&c, "Error listing jobs", a->pos[0]);
	if (!j)
		return 1;
	if (cli_wants_format(&c)) {
		if (cli_get_value(&c, &v, &e, "/v1/job/%s/allocations%s", cli_escape(&c, j->id), all) < 0)
			return cli_fail("Error retrieving allocations", &e);
		cli_format_list(&c, &type_alloc_stub, v, &code);
		return code;
	}
	if (cli_get_list(&c, &type_alloc_stub, &allocs, &e, "/v1/job/%s/allocations%s", cli_escape(&c, j->id), all) < 0)
		return cli_fail("Error retrieving allocations", &e);
	show_allocs(&c, &allocs, true, stdout);
	return 0;
}

static int64_t deployment_index(const void *item)
{
	return ((const struct deployment *)item)->create_index;
}

static int run_deployments(struct cmd_args *a)
{
	const struct job_stub *j;
	cleanup_err struct err e = ERR_INIT;
	struct value *v = NULL;
	struct objs list = {0};
	struct deployment latest = {0};
	bool only_latest = arg_bool(a, "latest");
	const char *path, *all = arg_bool(a, "all") ? "?all=true" : "";
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	j = cli_find_job(&c, "Error listing jobs", a->pos[0]);
	if (!j)
		return 1;
	path = arena_printf(c.arena, "/v1/job/%s/%s", cli_escape(&c, j->id), only_latest ? "deployment" : "deployments");
	if (cli_wants_format(&c)) {
		if (cli_get_value(&c, &v, &e, "%s%s", path, all) < 0)
			return cli_fail("Error retrieving deployments", &e);
		cli_format_list(&c, &type_deployment, v, &code);
		return code;
	}
	if (only_latest) {
		if (cli_get(&c, &type_deployment, &latest, &e, "%s", path) < 0)
			return cli_fail("Error retrieving deployments", &e);
		if (!str_empty(latest.id)) {
			show_deployment(&c, &latest, true, stdout);
			return 0;
		}
	} else if (cli_get_list(&c, &type_deployment, &list, &e, "%s%s", path, all) < 0) {
		return cli_fail("Error retrieving deployments", &e);
	}
	show_newest_first(&list, deployment_index);
	show_deployments(&c, &list);
	return 0;
}

/* ---- table ---- */

static const struct cmd_flag stop_flags[] = {
    FLAG_DETACH,
    {"eval-priority", CMD_INT, "<n>", "Priority of the evaluation that stops the allocations."},
    {"global", CMD_BOOL, NULL, "Accepted for scripts; a job lives in one region."},
    {"no-shutdown-delay", CMD_BOOL, NULL, "Do not wait for the shutdown_delay of groups and tasks."},
    {"purge", CMD_BOOL, NULL, "Forget the job at once: it is in no list any more and has no history."},
    {"yes", CMD_BOOL, NULL, "Do not ask, also when the job was named by the beginning of its id."},
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag start_flags[] = {
    FLAG_DETACH,
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag inspect_flags[] = {
    {"version", CMD_INT, "<n>", "Show this version and not the present one."},
    {"hcl", CMD_BOOL, NULL, "Print the job file as it was sent."},
    {"with-vars", CMD_BOOL, NULL, "Print the variables that came with it, too."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag eval_flags[] = {
    FLAG_DETACH,
    {"force-reschedule", CMD_BOOL, NULL, "Replace failed allocations now, whatever their reschedule policy says."},
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag scale_flags[] = {
    FLAG_DETACH,
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag allocs_flags[] = {
    {"all", CMD_BOOL, NULL, "Show also allocations of an earlier job of this id that was purged."},
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag deployments_flags[] = {
    {"latest", CMD_BOOL, NULL, "Show the latest deployment in detail."},
    {"all", CMD_BOOL, NULL, "Show also deployments of an earlier job of this id that was purged."},
    FLAG_VERBOSE,
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_job[] = {
    {
        .words = "job stop",
        .aliases = "stop",
        .usage = "[options] <job>...",
        .synopsis = "Stop a running job",
        .help = "Stops the allocations of the job and follows the evaluation that does it. The job stays known, with its\n"
                "history, until it is collected or -purge is given; `job start` runs it again. A job may be named by\n"
                "the beginning of its id: then the command asks first.\n\n"
                "Exit code: 0 the servers have accepted it; 1 an error.\n",
        .flags = stop_flags,
        .min_pos = 1,
        .max_pos = -1,
        .takes = "one argument: <job>",
        .bits = CMD_CLIENT,
        .run = run_stop,
    },
    {
        .words = "job start",
        .aliases = "start",
        .usage = "[options] <job>",
        .synopsis = "Run a stopped job again",
        .help = "Registers the latest version of a stopped job again and follows the evaluation.\n\n"
                "Exit code: as of `job run`.\n",
        .flags = start_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_start,
    },
    {
        .words = "job inspect",
        .aliases = "inspect",
        .usage = "[options] <job>",
        .synopsis = "Print a registered job as JSON",
        .help = "Prints the job as the servers keep it, with everything that defaults filled in, in a form that\n"
                "`job run -json` takes. With -json or -t: the job itself, without the object around it.\n",
        .flags = inspect_flags,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_inspect,
    },
    {
        .words = "job eval",
        .usage = "[options] <job>",
        .synopsis = "Let the scheduler look at a job again",
        .help = "Makes an evaluation of the job and follows it.\n",
        .flags = eval_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_eval,
    },
    {
        .words = "job scale",
        .usage = "[options] <job> [<group>] <count>",
        .synopsis = "Change how many allocations a group has",
        .help = "Registers the job with another count of the group, which may be left out when there is only one, and\n"
                "follows the evaluation.\n",
        .flags = scale_flags,
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_scale,
    },
    {
        .words = "job allocs",
        .usage = "[options] <job>",
        .synopsis = "List the allocations of a job",
        .help = "Lists the allocations of the job, the newest first.\n",
        .flags = allocs_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_allocs,
    },
    {
        .words = "job deployments",
        .usage = "[options] <job>",
        .synopsis = "List the deployments of a job",
        .help = "Lists the deployments of the job, the newest first.\n",
        .flags = deployments_flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_deployments,
    },
    {.words = NULL},
};
