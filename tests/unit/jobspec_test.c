/*
 * Job files as a whole: every tests/jobspec/NAME.nomad must come out as NAME.json says, value by value. What the expected
 * JSON does not name may only be there as null, false, 0 or empty. Options stand in comments at the head of a file:
 * "# -var name=value" and "# -var-file FILE" (below tests/jobspec).
 */
#include <dirent.h>
#include <jansson.h>

#include "base/codec.h"
#include "base/file.h"
#include "daemon/jobspec.h"
#include "tests/lib/test.h"

#define FOLDER "tests/jobspec/"

static bool is_nothing(const json_t *j)
{
	if (json_is_string(j))
		return !*json_string_value(j);
	if (json_is_number(j))
		return json_number_value(j) == 0;
	if (json_is_array(j))
		return json_array_size(j) == 0;
	return json_is_object(j) ? json_object_size(j) == 0 : !json_is_true(j);
}

static void differ(struct buf *out, const char *path, const json_t *want, const json_t *got)
{
	cleanup_free char *a = want ? json_dumps(want, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
	cleanup_free char *b = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

	buf_printf(out, "\n  %s: expected %s, got %s", path, a ? a : "nothing", b ? b : "nothing");
}

static bool same(const json_t *want, const json_t *got)
{
	if (json_is_integer(want) && json_is_integer(got))
		return json_integer_value(want) == json_integer_value(got);
	return json_is_number(want) ? json_number_value(want) == json_number_value(got) : json_equal(want, got);
}

static void compare(struct buf *out, const char *path, const json_t *want, const json_t *got)
{
	const char *key;
	json_t *v;
	size_t i;

	if (!want || !got || (json_typeof(want) != json_typeof(got) && !(json_is_number(want) && json_is_number(got)))) {
		if ((want || !is_nothing(got)) && !(json_is_boolean(want) && json_equal(want, got)))
			differ(out, path, want, got);
		return;
	}
	if (json_is_object(want)) {
		json_object_foreach ((json_t *)want, key, v) {
			cleanup_free char *below = xasprintf("%s.%s", path, key);

			compare(out, below, v, json_object_get(got, key));
		}
		json_object_foreach ((json_t *)got, key, v)
			if (!json_object_get(want, key) && !is_nothing(v)) {
				cleanup_free char *below = xasprintf("%s.%s", path, key);

				differ(out, below, NULL, v);
			}
	} else if (json_is_array(want)) {
		if (json_array_size(want) != json_array_size(got))
			differ(out, path, want, got);
		else
			json_array_foreach (want, i, v) {
				cleanup_free char *below = xasprintf("%s[%zu]", path, i);

				compare(out, below, v, json_array_get(got, i));
			}
	} else if (!same(want, got)) {
		differ(out, path, want, got);
	}
}

/* The options in the comments at the head of the file. */
static void read_options(struct arena *a, const char *text, struct strs *vars, struct strs *files)
{
	while (*text == '#') {
		const char *end = strchrnul(text, '\n');
		cleanup_free char *line = xasprintf("%.*s", (int)(end - text), text);

		if (str_starts(line, "# -var "))
			strs_push(a, vars, line + 7);
		if (str_starts(line, "# -var-file "))
			strs_push(a, files, arena_printf(a, FOLDER "%s", line + 12));
		text = *end ? end + 1 : end;
	}
}

static json_t *parse(const char *name, struct buf *text, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf json = BUF_INIT;
	struct strs vars = {0}, files = {0};
	struct jobspec_options o = {.filename = name, .vars = &vars, .var_files = &files, .allow_file_functions = true};
	struct job *job;

	read_options(a, text->data, &vars, &files);
	if (jobspec_parse(text->data, text->len, &o, a, &job, e))
		return NULL;
	codec_to_json(&json, &type_job, job, CODEC_PARSED, 0, 0);
	json_t *j = json_loadb(json.data, json.len, 0, NULL);

	assert_non_null(j);
	return j;
}

static bool check_file(const char *name)
{
	cleanup_free char *hcl = xasprintf(FOLDER "%s.nomad", name), *json = xasprintf(FOLDER "%s.json", name);
	cleanup_buf struct buf text = BUF_INIT, problems = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;

	assert_int_equal(file_read(hcl, 1 << 20, &text, &e), 0);
	json_t *want = json_load_file(json, 0, NULL), *got = parse(hcl, &text, &e);

	if (!want)
		print_error("%s: there is no expected JSON beside it\n", hcl);
	else if (!got)
		print_error("%s: %s\n", hcl, err_str(&e));
	else
		compare(&problems, "Job", json_object_get(want, "Job"), got);
	if (problems.len)
		print_error("%s:%s\n", hcl, problems.data);
	bool ok = want && got && !problems.len;

	json_decref(want);
	json_decref(got);
	return ok;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void every_job_file_comes_out_as_its_json(void **state UNUSED)
{
	char *names[1000];
	size_t n = 0, bad = 0;
	DIR *d = opendir(FOLDER);

	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d));) {
		size_t len = strlen(f->d_name);

		if (len > 6 && str_eq(f->d_name + len - 6, ".nomad") && n < ARRAY_LEN(names))
			names[n++] = xstrndup(f->d_name, len - 6);
	}
	closedir(d);
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		bad += !check_file(names[i]);
		free(names[i]);
	}
	assert_true(n >= 15);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_job_file_comes_out_as_its_json),
	};

	return RUN_TESTS(tests);
}
