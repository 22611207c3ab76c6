/*
 * cli_job: what commands print, fed with objects and compared with the recorded runs of Nomad.
 */
#include "daemon/cli_job.h"

#include <errno.h>
#include <jansson.h>
#include <time.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/map.h"
#include "daemon/cli_diff.h"
#include "daemon/cli_jobfile.h"
#include "daemon/cli_show.h"
#include "tests/lib/test.h"

/* A command line as it would be after its flags were read. */
struct line {
	struct map flags;
	struct cmd_args args;
	struct cli cli;
	struct arena *arena;
};

static struct line *line_new(void)
{
	struct line *l = xcalloc(1, sizeof(*l));

	l->arena = arena_new();
	l->args = (struct cmd_args){.flags = &l->flags, .arena = l->arena};
	l->cli = (struct cli){.args = &l->args, .arena = l->arena};
	return l;
}

static void line_free(struct line *l)
{
	map_free(&l->flags);
	arena_free(l->arena);
	free(l);
}

static void give(struct line *l, const char *flag, const char *value)
{
	struct strs *values = map_get(&l->flags, flag);

	if (!values) {
		values = arena_alloc(l->arena, sizeof(*values));
		map_set(&l->flags, flag, values);
	}
	strs_push(l->arena, values, value);
}

/* What f(arg) prints on a stream. */
static char *printed(void (*f)(struct line *l, const void *arg, FILE *out), struct line *l, const void *arg)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	f(l, arg, out);
	fclose(out);
	return text;
}

/* JSON with ' for ". */
static void *object(struct line *l, const struct type *t, const char *json)
{
	char *text = arena_strdup(l->arena, json);
	void *obj = arena_alloc(l->arena, t->size);
	struct err e = ERR_INIT;

	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (codec_from_text(t, obj, text, strlen(text), l->arena, &e) < 0)
		fail_msg("%s", err_str(&e));
	return obj;
}

/* ---- differences ---- */

#define FIELD(type, name, old, new) "{'Type':'" type "','Name':'" name "','Old':'" old "','New':'" new "','Annotations':null}"

static const char *diff(struct line *l, const char *json, bool verbose)
{
	char *text = arena_printf(l->arena, "{'Diff':%s}", json);
	const struct plan_answer *p = object(l, &type_plan_answer, text);

	return cli_diff(&l->cli, p->diff, verbose);
}

static void test_a_changed_job_is_printed_as_recorded(void **state)
{
	struct line *l = line_new();

	(void)state;
	assert_string_equal(
	    diff(l,
		"{'Type':'Edited','ID':'web','Fields':null,'Objects':null,'TaskGroups':[{'Type':'Edited','Name':'app',"
		"'Updates':{'ignore':1,'create/destroy update':1},'Fields':null,'Objects':null,'Tasks':[{'Type':'Edited',"
		"'Name':'server','Annotations':['forces create/destroy update'],"
		"'Fields':[" FIELD("Added", "Env[DEBUG]", "", "yes") "," FIELD("Edited", "Env[VERSION]", "1b", "2") "],"
		"'Objects':[{'Type':'Edited','Name':'Config','Fields':[" FIELD("None", "args[0]", "-c", "-c") ","
		FIELD("Edited", "args[1]", "a", "b") "," FIELD("None", "command", "/bin/sh", "/bin/sh") "],'Objects':null},"
		"{'Type':'Edited','Name':'Resources','Fields':[" FIELD("Edited", "CPU", "100", "150") ","
		FIELD("None", "MemoryMaxMB", "0", "0") "],'Objects':null}]}]}]}",
		false),
	    "+/- Job: \"web\"\n"
	    "+/- Task Group: \"app\" (1 create/destroy update, 1 ignore)\n"
	    "  +/- Task: \"server\" (forces create/destroy update)\n"
	    "    +   Env[DEBUG]:   \"yes\"\n"
	    "    +/- Env[VERSION]: \"1b\" => \"2\"\n"
	    "    +/- Config {\n"
	    "          args[0]: \"-c\"\n"
	    "      +/- args[1]: \"a\" => \"b\"\n"
	    "          command: \"/bin/sh\"\n"
	    "        }\n"
	    "    +/- Resources {\n"
	    "      +/- CPU:         \"100\" => \"150\"\n"
	    "          MemoryMaxMB: \"0\"\n"
	    "        }");
	line_free(l);
}

static void test_what_did_not_change_stands_where_the_others_do(void **state)
{
	struct line *l = line_new();

	(void)state;
	assert_string_equal(
	    diff(l,
		"{'Type':'Edited','ID':'web','Fields':[" FIELD("Added", "Meta[owner]", "", "me") ","
		FIELD("Edited", "Priority", "50", "60") "],'TaskGroups':[{'Type':'None','Name':'app','Updates':{'ignore':1},"
		"'Tasks':[{'Type':'None','Name':'server','Annotations':null}]}]}",
		false),
	    "+/- Job: \"web\"\n"
	    "+   Meta[owner]: \"me\"\n"
	    "+/- Priority:    \"50\" => \"60\"\n"
	    "    Task Group: \"app\" (1 ignore)\n"
	    "      Task: \"server\"");
	line_free(l);
}

static void test_groups_that_come_and_go_are_heads_alone_unless_all_is_asked_for(void **state)
{
	static const char json[] =
	    "{'Type':'Edited','ID':'web','TaskGroups':["
	    "{'Type':'Deleted','Name':'app','Updates':{'destroy':4},'Fields':[" FIELD("Deleted", "Count", "2", "") "],"
	    "'Tasks':[{'Type':'Deleted','Name':'server','Annotations':['forces destroy']}]},"
	    "{'Type':'Added','Name':'application','Updates':{'create':2},'Fields':[" FIELD("Added", "Count", "", "2") "],"
	    "'Tasks':[{'Type':'Added','Name':'server','Annotations':['forces create'],"
	    "'Fields':[" FIELD("Added", "Driver", "", "raw_exec") "]}]}]}";
	struct line *l = line_new();

	(void)state;
	assert_string_equal(diff(l, json, false),
	    "+/- Job: \"web\"\n"
	    "- Task Group: \"app\" (4 destroy)\n"
	    "  - Task: \"server\" (forces destroy)\n"
	    "\n"
	    "+ Task Group: \"application\" (2 create)\n"
	    "  + Task: \"server\" (forces create)");
	assert_non_null(strstr(diff(l, json, true), "  + Count: \"2\"\n  + Task: \"server\" (forces create)\n"
	                                            "    + Driver: \"raw_exec\""));
	line_free(l);
}

static void test_a_value_of_several_lines_stays_on_one(void **state)
{
	struct line *l = line_new();

	(void)state;
	assert_string_equal(diff(l,
	                        "{'Type':'Edited','ID':'x','Fields':[" FIELD("Edited", "Meta[a]", "one\\ntwo\\u0001", "\\\\") "]}", false),
	    "+/- Job: \"x\"\n+/- Meta[a]: \"one\\ntwo\\x01\" => \"\\\\\"");
	assert_string_equal(diff(l, "null", true), "");
	line_free(l);
}

static void test_colours_surround_markers_and_titles(void **state)
{
	struct line *l = line_new();

	(void)state;
	l->cli.color = true;
	assert_string_equal(diff(l, "{'Type':'Added','ID':'x'}", false), "\033[32m+\033[0m \033[1mJob: \"x\"\033[0m");
	line_free(l);
}

/* ---- lists ---- */

static void print_jobs(struct line *l, const void *arg, FILE *out)
{
	show_jobs(&l->cli, arg, out);
}

static void add_job(struct line *l, struct objs *list, const char *json)
{
	objs_push(l->arena, list, object(l, &type_job_stub, json));
}

static void test_a_list_of_jobs_has_their_kinds_and_namespaces(void **state)
{
	struct line *l = line_new();
	struct objs list = {0};
	cleanup_free char *text = NULL, *all = NULL;

	(void)state;
	add_job(l, &list, "{'ID':'encode','Namespace':'default','Type':'batch','Priority':50,'Status':'running','ParameterizedJob':true,"
	                  "'SubmitTime':1795341067000000000}");
	add_job(l, &list, "{'ID':'everywhere','Namespace':'ops','Type':'system','Priority':70,'Status':'dead','Stop':true,"
	                  "'SubmitTime':1795341074000000000}");
	text = printed(print_jobs, l, &list);
	assert_string_equal(text, "ID          Type                 Priority  Status          Submit Date\n"
	                          "encode      batch/parameterized  50        running         2026-11-22T09:51:07Z\n"
	                          "everywhere  system               70        dead (stopped)  2026-11-22T09:51:14Z\n");
	l->cli.ns = "*";
	all = printed(print_jobs, l, &list);
	assert_true(str_starts(all, "ID          Namespace  Type                 Priority  Status          Submit Date\n"
	                            "encode      default    batch/parameterized"));
	line_free(l);
}

static void print_allocs(struct line *l, const void *arg, FILE *out)
{
	struct objs copy = *(const struct objs *)arg;

	show_allocs(&l->cli, &copy, true, out);
}

static void test_allocations_are_listed_newest_first_with_whole_ids_when_asked(void **state)
{
	struct line *l = line_new();
	struct objs list = {0}, none = {0};
	cleanup_free char *text = NULL, *nothing = printed(print_allocs, l, &none);

	(void)state;
	for (int i = 0; i < 2; i++)
		objs_push(l->arena, &list,
		    object(l, &type_alloc_stub,
			arena_printf(l->arena,
			    "{'ID':'%c9ce9c4b-478e-1fa9-4173-98988c1e8860','EvalID':'7cd28e27-7493-6c67-5b7e-69e9d065f36d',"
			    "'NodeID':'2e015db1-8231-7fb0-ec6a-acf29d32b0e4','NodeName':'node1','TaskGroup':'app','JobVersion':%d,"
			    "'DesiredStatus':'run','ClientStatus':'running','CreateIndex':%d,'CreateTime':1795340864000000000,"
			    "'ModifyTime':1795340866000000000}", 'a' + i, i, 10 + i)));
	give(l, "verbose", "true");
	text = printed(print_allocs, l, &list);
	assert_string_equal(text,
	    "ID                                    Eval ID                               Node ID                               Node Name  "
	    "Task Group  Version  Desired  Status   Created               Modified\n"
	    "b9ce9c4b-478e-1fa9-4173-98988c1e8860  7cd28e27-7493-6c67-5b7e-69e9d065f36d  2e015db1-8231-7fb0-ec6a-acf29d32b0e4  node1      "
	    "app         1        run      running  2026-11-22T09:47:44Z  2026-11-22T09:47:46Z\n"
	    "a9ce9c4b-478e-1fa9-4173-98988c1e8860  7cd28e27-7493-6c67-5b7e-69e9d065f36d  2e015db1-8231-7fb0-ec6a-acf29d32b0e4  node1      "
	    "app         0        run      running  2026-11-22T09:47:44Z  2026-11-22T09:47:46Z\n");
	assert_string_equal(nothing, "No allocations placed\n");
	line_free(l);
}

/* ---- deployments ---- */

static void print_deployment(struct line *l, const void *arg, FILE *out)
{
	show_deployment(&l->cli, arg, true, out);
}

static void test_a_deployment_has_the_columns_that_its_groups_use(void **state)
{
	struct line *l = line_new();
	cleanup_free char *plain = NULL, *full = NULL;

	(void)state;
	plain = printed(print_deployment, l,
	    object(l, &type_deployment,
		"{'ID':'bc82b017-82a0-caa2-2071-a95e9b590b39','JobID':'web','JobVersion':0,'Status':'running',"
		"'StatusDescription':'Deployment is running','TaskGroups':{'app':{'DesiredTotal':2,'PlacedAllocs':2,"
		"'ProgressDeadline':600000000000,'RequireProgressBy':'2026-11-22T09:57:34Z'},"
		"'idle':{'DesiredTotal':1,'ProgressDeadline':600000000000,'RequireProgressBy':'0001-01-01T00:00:00Z'}}}"));
	assert_string_equal(plain, "ID          = bc82b017\n"
	                           "Job ID      = web\n"
	                           "Job Version = 0\n"
	                           "Status      = running\n"
	                           "Description = Deployment is running\n"
	                           "\n"
	                           "Deployed\n"
	                           "Task Group  Desired  Placed  Healthy  Unhealthy  Progress Deadline\n"
	                           "app         2        2       0        0          2026-11-22T09:57:34Z\n"
	                           "idle        1        0       0        0          N/A\n");
	full = printed(print_deployment, l,
	    object(l, &type_deployment,
		"{'ID':'bc82b017-82a0-caa2-2071-a95e9b590b39','JobID':'web','TaskGroups':{"
		"'a':{'AutoRevert':true,'DesiredCanaries':2,'Promoted':true,'DesiredTotal':4},'b':{'DesiredTotal':1}}}"));
	assert_non_null(strstr(full, "Task Group  Auto Revert  Promoted  Desired  Canaries  Placed  Healthy  Unhealthy\n"
	                             "a           true         true      4        2         0       0        0\n"
	                             "b           false        N/A       1        N/A       0       0        0\n"));
	line_free(l);
}

/* ---- placements that failed ---- */

static void print_failed(struct line *l, const void *arg, FILE *out)
{
	(void)l;
	show_failed_group("huge", arg, out);
	show_metric(arg, "  ", out);
}

static void test_a_failed_placement_names_every_cause(void **state)
{
	struct line *l = line_new();
	cleanup_free char *text = NULL, *nowhere = NULL;

	(void)state;
	text = printed(print_failed, l,
	    object(l, &type_alloc_metric,
		"{'NodesEvaluated':9,'NodesAvailable':{'dc1':9},'ClassFiltered':{'small':2},"
		"'ConstraintFiltered':{'${attr.kernel.name} = plan9':3},'NodesExhausted':4,'ClassExhausted':{'big':1},"
		"'DimensionExhausted':{'memory':4},'CoalescedFailures':1,"
		"'Reason':{'Code':'memory','Text':'9 nodes: 4 short of memory by 512 MiB at best'}}"));
	assert_string_equal(text, "Task Group \"huge\" (failed to place 2 allocations):\n"
	                          "  * Class \"small\": 2 nodes excluded by filter\n"
	                          "  * Constraint \"${attr.kernel.name} = plan9\": 3 nodes excluded by filter\n"
	                          "  * Resources exhausted on 4 nodes\n"
	                          "  * Class \"big\" exhausted on 1 nodes\n"
	                          "  * Dimension \"memory\" exhausted on 4 nodes\n"
	                          "  * Why (memory): 9 nodes: 4 short of memory by 512 MiB at best\n");
	nowhere = printed(print_failed, l, object(l, &type_alloc_metric, "{'NodesEvaluated':0,'NodesAvailable':{'dc9':0}}"));
	assert_string_equal(nowhere, "Task Group \"huge\" (failed to place 1 allocation):\n"
	                             "  * No nodes were eligible for evaluation\n"
	                             "  * No nodes are available in datacenter \"dc9\"\n");
	line_free(l);
}

static void test_a_time_to_come_is_shown_to_the_second(void **state)
{
	struct line *l = line_new();

	(void)state;
	assert_string_equal(show_until(&l->cli, 7739 * SECOND + 5 * MILLI, 0), "2h8m59s from now");
	assert_string_equal(show_until(&l->cli, 0, 61 * SECOND), "1m1s ago");
	line_free(l);
}

/* ---- job files ---- */

static char folder[] = "/tmp/drover-cli-test-XXXXXX";

static const char vars_job[] = "variable \"who\" {}\n"
                               "job \"vars\" {\n  region = \"eu\"\n  namespace = \"ops\"\n  meta { who = var.who }\n}\n";

static int read_job(struct line *l, const char *name, struct jobfile *out)
{
	const char **pos = arena_alloc(l->arena, 2 * sizeof(*pos));

	pos[0] = arena_printf(l->arena, "%s/%s", folder, name);
	l->args.pos = pos;
	l->args.n_pos = 1;
	return jobfile_read(&l->cli, out);
}

static void write_file(const char *name, const char *text)
{
	cleanup_free char *path = path_join(folder, name);

	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, false, NULL), 0);
}

static void test_variables_of_a_job_file_come_from_environment_file_and_flags(void **state)
{
	struct line *l = line_new();
	struct jobfile f;

	(void)state;
	write_file("vars.nomad", vars_job);
	write_file("vars.hcl", "who = \"file\"\n");
	setenv("NOMAD_VAR_who", "nomad", 1);
	assert_int_equal(read_job(l, "vars.nomad", &f), 0);
	assert_string_equal(strmap_get(&f.job->meta, "who"), "nomad");
	setenv("DROVER_VAR_who", "drover", 1);
	assert_int_equal(read_job(l, "vars.nomad", &f), 0);
	assert_string_equal(strmap_get(&f.job->meta, "who"), "drover");
	give(l, "var-file", arena_printf(l->arena, "%s/vars.hcl", folder));
	assert_int_equal(read_job(l, "vars.nomad", &f), 0);
	assert_string_equal(strmap_get(&f.job->meta, "who"), "file");
	give(l, "var", "who=flag");
	assert_int_equal(read_job(l, "vars.nomad", &f), 0);
	assert_string_equal(strmap_get(&f.job->meta, "who"), "flag");
	unsetenv("NOMAD_VAR_who");
	unsetenv("DROVER_VAR_who");
	line_free(l);
}

static void test_region_and_namespace_of_the_file_win_and_the_source_is_kept(void **state)
{
	struct line *l = line_new();
	struct jobfile f;

	(void)state;
	write_file("vars.nomad", vars_job);
	l->cli.region = "us";
	l->cli.ns = "default";
	give(l, "var", "who=a=b");
	assert_int_equal(read_job(l, "vars.nomad", &f), 0);
	assert_string_equal(l->cli.region, "eu");
	assert_string_equal(l->cli.ns, "ops");
	assert_string_equal(f.submission->source, vars_job);
	assert_string_equal(f.submission->format, "hcl2");
	assert_string_equal(strmap_get(&f.submission->variable_flags, "who"), "a=b");
	line_free(l);
}

/* What goes to standard error while the file is read; the reading must fail. */
static char *refusal(struct line *l, const char *name)
{
	FILE *was = stderr;
	char *text = NULL;
	size_t n;
	struct jobfile f;
	int rc;

	stderr = open_memstream(&text, &n);
	rc = read_job(l, name, &f);
	fclose(stderr);
	stderr = was;
	assert_true(rc < 0);
	return text;
}

static void test_job_files_that_cannot_be_read_are_refused_with_a_sentence(void **state)
{
	struct line *l = line_new();
	cleanup_free char *missing = refusal(l, "nosuch.nomad"), *broken = NULL, *old = NULL;

	(void)state;
	assert_string_equal(missing, arena_printf(l->arena,
	                                 "Error getting job struct: Error getting jobfile from \"%s/nosuch.nomad\": source path error: "
	                                 "stat %s/nosuch.nomad: no such file or directory\n", folder, folder));
	write_file("broken.nomad", "job \"x\" {\n  replicas = 3\n}\n");
	broken = refusal(l, "broken.nomad");
	assert_non_null(strstr(broken, "broken.nomad:2,3-11: Unsupported argument"));
	give(l, "hcl1", "true");
	old = refusal(l, "broken.nomad");
	assert_non_null(strstr(old, "HCL version 1"));
	line_free(l);
}

/* ---- arguments ---- */

static int run(const char *words, const char **err)
{
	static char text[4096];
	char copy[256], *argv[16], *save = NULL;
	FILE *out = stdout, *was = stderr;
	int argc = 0, code;

	snprintf(copy, sizeof(copy), "drover %s", words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	memset(text, 0, sizeof(text));
	stdout = fopen("/dev/null", "w");
	stderr = fmemopen(text, sizeof(text) - 1, "w");
	code = cmd_main(argc, argv);
	fclose(stdout);
	fclose(stderr);
	stdout = out;
	stderr = was;
	*err = text;
	return code;
}

static void test_wrong_arguments_are_told_and_end_with_the_code_of_the_command(void **state)
{
	static const struct {
		const char *words, *expected;
		int code;
	} rows[] = {
	    {"job run", "This command takes one argument: <path>\nFor additional help try 'drover job run -help'\n", 1},
	    {"run a b", "This command takes one argument: <path>\n", 1},
	    {"job run a -detach", "Options stand before the arguments.", 1},
	    {"job run -nosuchflag a", "flag provided but not defined: -nosuchflag\n", 1},
	    {"job run -eval-priority=x a", "invalid value \"x\" for flag -eval-priority", 1},
	    {"job plan", "This command takes one argument: <path>\nFor additional help try 'drover job plan -help'\n", 255},
	    {"plan -nosuchflag a", "flag provided but not defined", 255},
	    {"job stop", "This command takes one argument: <job>\nFor additional help try 'drover job stop -help'\n", 1},
	    {"inspect", "This command takes one argument: <job>\nFor additional help try 'drover job inspect -help'\n", 1},
	    {"job scale web", "Command requires at least two arguments and no more than three\n", 1},
	    {"job nosuch", "", 1},
	    {"nosuch", "", 127},
	    {"help job run", "", 0},
	    {"job run -h", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *err;
		int code = run(rows[i].words, &err);

		if (code != rows[i].code || !strstr(err, rows[i].expected))
			fail_msg("%s: exit %d with \"%s\"", rows[i].words, code, err);
	}
}

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return dir_remove(folder, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_changed_job_is_printed_as_recorded),
	    cmocka_unit_test(test_what_did_not_change_stands_where_the_others_do),
	    cmocka_unit_test(test_groups_that_come_and_go_are_heads_alone_unless_all_is_asked_for),
	    cmocka_unit_test(test_a_value_of_several_lines_stays_on_one),
	    cmocka_unit_test(test_colours_surround_markers_and_titles),
	    cmocka_unit_test(test_a_list_of_jobs_has_their_kinds_and_namespaces),
	    cmocka_unit_test(test_allocations_are_listed_newest_first_with_whole_ids_when_asked),
	    cmocka_unit_test(test_a_deployment_has_the_columns_that_its_groups_use),
	    cmocka_unit_test(test_a_failed_placement_names_every_cause),
	    cmocka_unit_test(test_a_time_to_come_is_shown_to_the_second),
	    cmocka_unit_test(test_variables_of_a_job_file_come_from_environment_file_and_flags),
	    cmocka_unit_test(test_region_and_namespace_of_the_file_win_and_the_source_is_kept),
	    cmocka_unit_test(test_job_files_that_cannot_be_read_are_refused_with_a_sentence),
	    cmocka_unit_test(test_wrong_arguments_are_told_and_end_with_the_code_of_the_command),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
