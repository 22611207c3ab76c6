/*
 * Job files in JSON: as the API takes them, as `job inspect` and `job run -output` print them; and that what is printed
 * reads back as the same job.
 */
#include <dirent.h>
#include <jansson.h>

#include "base/file.h"
#include "tests/lib/job_try.h"
#include "tests/lib/test.h"

#define FOLDER "tests/jobspec/"

static const char *first_line(struct arena *a, const char *text)
{
	return arena_strndup(a, text, strcspn(text, "\n"));
}

static void the_job_may_be_bare_or_in_an_object(void **state UNUSED)
{
	static const char *const texts[] = {"{\"Job\": {\"ID\": \"x\", \"Meta\": {\"a\": \"b\"}}}", "{\"job\": {\"ID\": \"x\", \"Meta\": {\"a\": \"b\"}}}",
	    "{\"ID\": \"x\", \"Meta\": {\"a\": \"b\"}}", "\n\t \r\n{\"ID\": \"x\", \"Meta\": {\"a\": \"b\"}}\n",
	    "{\"Job\": {\"ID\": \"x\", \"Meta\": {\"a\": \"b\"}}, \"EnforceIndex\": true, \"JobModifyIndex\": 7}"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup_arena struct arena *a = arena_new();

		assert_string_equal(job_try(a, texts[i], NULL, "ID"), "\"x\"");
		assert_string_equal(job_try(a, texts[i], NULL, "Meta"), "{\"a\":\"b\"}");
	}
}

static void what_is_null_or_not_there_stays_unset(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = "{\"Job\": {\"ID\": \"x\", \"Priority\": null, \"Type\": \"batch\", \"Count\": 5, \"TaskGroups\": [{\"Name\": \"g\", \"Tasks\": null}]}}";

	assert_string_equal(job_try(a, text, NULL, "Priority"), "null");
	assert_string_equal(job_try(a, text, NULL, "Datacenters"), "null");
	assert_string_equal(job_try(a, text, NULL, "Type"), "\"batch\"");
	assert_non_null(strstr(job_try(a, text, NULL, "TaskGroups"), "\"Count\":null"));
}

static void durations_are_nanoseconds_or_text(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = "{\"ID\": \"x\", \"Update\": {\"MinHealthyTime\": 10000000000, \"HealthyDeadline\": \"5m\"}}";
	const char *update = job_try(a, text, NULL, "Update");

	assert_non_null(strstr(update, "\"MinHealthyTime\":10000000000"));
	assert_non_null(strstr(update, "\"HealthyDeadline\":300000000000"));
}

static void driver_config_is_taken_as_it_is(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char config[] = "{\"a\":1,\"b\":[true,null,1.5],\"c\":[{\"d\":\"\\u00e9\"}],\"e\":9223372036854775807,\"f\":18446744073709552000.0}";
	const char *text = arena_printf(a, "{\"ID\": \"x\", \"TaskGroups\": [{\"Name\": \"g\", \"Tasks\": [{\"Name\": \"t\", \"Config\": %s}]}]}", config);
	const char *groups = job_try(a, text, NULL, "TaskGroups");

	assert_non_null(strstr(groups, "\"Config\":{\"a\":1,\"b\":[true,null,1.5],\"c\":[{\"d\":\"\u00e9\"}],\"e\":9223372036854775807,\"f\":"));
	assert_non_null(strstr(groups, "\"f\":1.8446744073709552e19}"));
}

static void problems_are_told_with_their_place(void **state UNUSED)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
	    {"{\"Job\": {\"ID\": \"x\", \"Priority\": \"high\"}}", "!t.nomad: Priority: expected an integer, got the string \"high\""},
	    {"{\"Job\": {\"TaskGroups\": [{\"Name\": \"g\"}, {\"Name\": 5}]}}", "!t.nomad: TaskGroups[1].Name: expected a string, got the number 5"},
	    {"{\"Job\": {\"Datacenters\": \"dc1\"}}", "!t.nomad: Datacenters: expected a list of strings, got the string \"dc1\""},
	    {"{\"Job\": {\"Update\": {\"Stagger\": \"soon\"}}}", "!t.nomad: Update.Stagger: expected a duration such as \"30s\" or \"1h30m\", got the string \"soon\""},
	    {"{\"Job\": []}", "!t.nomad: expected a JSON object {\"Job\": {...}} or the job itself"},
	    {"{\"Job\": {\"ID\": \n", "!t.nomad:2,0: Invalid JSON; unexpected token near end of file"},
	    {"{\"Job\": {\"ID\": \"x\",}}", "!t.nomad:1,20: Invalid JSON; string or '}' expected near '}'"},
	    {"{\"ID\": \"x\"} job", "!t.nomad:1,15: Invalid JSON; end of file expected near 'job'"},
	    {"{\"ID\": \"x\", \"ID\": \"y\"}", "!t.nomad:1,16: Invalid JSON; duplicate object key near '\"ID\"'"},
	    {"{\"ID\": \"\xff\"}", "!t.nomad:1,8: Invalid JSON; unable to decode byte 0xff near '\"'"},
	};
	size_t wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_arena struct arena *a = arena_new();
		const char *said = first_line(a, job_try(a, cases[i].text, NULL, NULL));

		if (str_eq(said, cases[i].said))
			continue;
		print_error("%s\n  should be %s\n  but is    %s\n", cases[i].text, cases[i].said, said);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void text_that_is_said_to_be_json_is_no_job_file_language(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct jobspec_options o = {.json = true};

	assert_true(str_starts(job_try(a, "job \"x\" {}", &o, NULL), "!t.nomad:1,3: Invalid JSON; "));
	assert_string_equal(job_try(a, "[1]", &o, NULL), "!t.nomad: expected a JSON object {\"Job\": {...}} or the job itself");
	assert_true(str_starts(job_try(a, "", &o, NULL), "!t.nomad:1,0: Invalid JSON; "));
}

static void deep_and_large_texts_are_refused(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf text = BUF_INIT;

	buf_puts(&text, "{\"TaskGroups\": [{\"Tasks\": [{\"Config\": {\"a\": ");
	for (int i = 0; i < 100000; i++)
		buf_putc(&text, '[');
	assert_non_null(strstr(job_try(a, text.data, NULL, NULL), "maximum parsing depth reached"));
}

static bool reads_back(const char *name)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	const char *json = arena_printf(a, FOLDER "%s", name);

	assert_int_equal(file_read(json, 1 << 20, &text, &e), 0);
	const char *once = job_try_bytes(a, text.data, text.len, NULL, NULL), *twice = job_try(a, once, NULL, NULL);
	json_t *want = json_load_file(json, 0, NULL), *got = json_loads(once, 0, NULL);
	bool ok = str_eq(once, twice) && json_equal(json_object_get(want, "Job"), got);

	if (!ok)
		print_error("%s is read as %.2000s\n", json, once);
	json_decref(want);
	json_decref(got);
	return ok;
}

static void every_job_that_is_printed_reads_back_as_itself(void **state UNUSED)
{
	DIR *d = opendir(FOLDER);
	size_t n = 0, bad = 0;

	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d));) {
		size_t len = strlen(f->d_name);

		if (len < 6 || !str_eq(f->d_name + len - 5, ".json") || str_eq(f->d_name, "117-b.json"))
			continue;
		n++;
		bad += !reads_back(f->d_name);
	}
	closedir(d);
	assert_true(n >= 60);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_job_may_be_bare_or_in_an_object),
	    cmocka_unit_test(what_is_null_or_not_there_stays_unset),
	    cmocka_unit_test(durations_are_nanoseconds_or_text),
	    cmocka_unit_test(driver_config_is_taken_as_it_is),
	    cmocka_unit_test(problems_are_told_with_their_place),
	    cmocka_unit_test(text_that_is_said_to_be_json_is_no_job_file_language),
	    cmocka_unit_test(deep_and_large_texts_are_refused),
	    cmocka_unit_test(every_job_that_is_printed_reads_back_as_itself),
	};

	return RUN_TESTS(tests);
}
