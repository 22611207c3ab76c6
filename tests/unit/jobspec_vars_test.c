/*
 * Variables of job files: where values come from and which one wins, how text becomes a value of the declared type, and
 * what is said about values that nobody asked for or that do not fit.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/job_try.h"
#include "tests/lib/test.h"

static const char *const files[] = {"build/vars-1.hcl", "build/vars-2.hcl", "build/vars-3.json"};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
}

static struct strs list(struct arena *a, const char *const *v)
{
	struct strs out = {0};

	while (v && *v)
		strs_push(a, &out, *v++);
	return out;
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The job's meta, or the first line of what is said. */
static const char *meta(struct arena *a, const char *text, const char *const *vars, const char *const *var_files,
    const char *const *env, struct jobspec_options o)
{
	struct strs v = list(a, vars), f = list(a, var_files);

	o.vars = &v;
	o.var_files = &f;
	o.env = env;
	const char *result = job_try(a, text, &o, "Meta");

	return *result == '!' ? arena_strndup(a, result, strcspn(result, "\n")) : result;
}

#define ONE(declaration) "variable \"v\" " declaration "\njob \"x\" {\n  meta {\n    v = var.v\n  }\n}\n"

static void the_last_source_wins(void **state UNUSED)
{
	static const char text[] = ONE("{\n  default = \"default\"\n}");
	const char *const env[] = {"PATH=/bin", "NOMAD_VAR_v=env", NULL};
	const struct {
		const char *const *vars, *const *var_files, *const *env;
		const char *api, *value;
	} cases[] = {
	    {NULL, NULL, NULL, NULL, "default"},
	    {NULL, NULL, env, NULL, "env"},
	    {NULL, NULL, env, "v = \"api\"", "api"},
	    {NULL, LIST("build/vars-1.hcl"), env, "v = \"api\"", "file 1"},
	    {NULL, LIST("build/vars-1.hcl", "build/vars-2.hcl"), env, NULL, "file 2"},
	    {NULL, LIST("build/vars-2.hcl", "build/vars-1.hcl"), env, NULL, "file 1"},
	    {NULL, LIST("build/vars-1.hcl", "build/vars-3.json"), NULL, NULL, "file 3"},
	    {LIST("v=argument"), LIST("build/vars-1.hcl"), env, "v = \"api\"", "argument"},
	    {LIST("v=first", "v=second"), NULL, NULL, NULL, "second"},
	    {LIST("v="), NULL, NULL, NULL, ""},
	    {LIST("v=a=b"), NULL, NULL, NULL, "a=b"},
	};

	write_file(files[0], "v = \"file 1\"\n");
	write_file(files[1], "# nothing else\nv = \"file ${1 + 1}\"");
	write_file(files[2], "{\"v\": \"file 3\"}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_arena struct arena *a = arena_new();
		struct jobspec_options o = {.variables_text = cases[i].api};

		assert_string_equal(meta(a, text, cases[i].vars, cases[i].var_files, cases[i].env, o),
		    arena_printf(a, "{\"v\":\"%s\"}", cases[i].value));
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(files[i]);
}

struct fits {
	const char *declaration, *argument, *value;
};

static void expect_values(const char *format, const struct fits *cases, size_t n)
{
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++) {
		cleanup_arena struct arena *a = arena_new();
		const char *text = arena_printf(a, "variable \"v\" %s\njob \"x\" {\n  meta {\n    v = %s\n  }\n}\n", cases[i].declaration, format);
		const char *got = meta(a, text, cases[i].argument ? LIST(cases[i].argument) : NULL, NULL, NULL, (struct jobspec_options){0});

		if (str_eq(got, cases[i].value))
			continue;
		print_error("%s, -var '%s'\n  should be %s\n  but is    %s\n", cases[i].declaration, cases[i].argument, cases[i].value, got);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void text_becomes_a_value_of_the_declared_type(void **state UNUSED)
{
	static const struct fits cases[] = {
	    {"{\n  type = string\n}", "v=0012", "{\"v\":\"\\\"0012\\\"\"}"},
	    {"{\n  type = string\n}", "v=[1]", "{\"v\":\"\\\"[1]\\\"\"}"},
	    {"{\n  type = string\n}", "v= a ", "{\"v\":\"\\\" a \\\"\"}"},
	    {"{\n  type = string\n}", "v=${x} $${y}", "{\"v\":\"\\\"${x} $${y}\\\"\"}"},
	    {"{}", "v=true", "{\"v\":\"\\\"true\\\"\"}"},
	    {"{\n  type = number\n}", "v=7", "{\"v\":\"7\"}"},
	    {"{\n  type = number\n}", "v=1.50", "{\"v\":\"1.5\"}"},
	    {"{\n  type = bool\n}", "v=true", "{\"v\":\"true\"}"},
	    {"{\n  type = list(string)\n}", "v=[\"a\", 1]", "{\"v\":\"[\\\"a\\\",\\\"1\\\"]\"}"},
	    {"{\n  type = set(number)\n}", "v=[2, \"1\", 2]", "{\"v\":\"[1,2]\"}"},
	    {"{\n  type = map(number)\n}", "v={a = \"1\", \"b c\" = 2}", "{\"v\":\"{\\\"a\\\":1,\\\"b c\\\":2}\"}"},
	    {"{\n  type = object({ a = string, b = bool })\n}", "v={a = 1, b = \"true\", c = 5}", "{\"v\":\"{\\\"a\\\":\\\"1\\\",\\\"b\\\":true}\"}"},
	    {"{\n  type = tuple([string, number])\n}", "v=[1, \"2\"]", "{\"v\":\"[\\\"1\\\",2]\"}"},
	    {"{\n  type = any\n}", "v=[1, \"a\"]", "{\"v\":\"[1,\\\"a\\\"]\"}"},
	    {"{\n  type = list(any)\n}", "v=[1, \"a\"]", "{\"v\":\"[\\\"1\\\",\\\"a\\\"]\"}"},
	};

	expect_values("jsonencode(var.v)", cases, ARRAY_LEN(cases));
}

static void defaults_have_the_declared_type_too(void **state UNUSED)
{
	static const struct fits cases[] = {
	    {"{\n  type = string\n  default = 5\n}", NULL, "{\"v\":\"\\\"5\\\"\"}"},
	    {"{\n  type = number\n  default = \"5\"\n}", NULL, "{\"v\":\"5\"}"},
	    {"{\n  type = list(string)\n  default = [1, true]\n}", NULL, "{\"v\":\"[\\\"1\\\",\\\"true\\\"]\"}"},
	    {"{\n  default = [1, \"a\"]\n}", NULL, "{\"v\":\"[1,\\\"a\\\"]\"}"},
	    {"{\n  type = string\n  default = null\n}", NULL, "{\"v\":\"null\"}"},
	    {"{\n  default = 5\n}", "v=6", "{\"v\":\"6\"}"},
	    {"{\n  default = true\n}", "v=false", "{\"v\":\"false\"}"},
	    {"{\n  default = [\"a\"]\n}", "v=[\"b\", \"c\"]", "{\"v\":\"[\\\"b\\\",\\\"c\\\"]\"}"},
	    {"{\n  default = { a = 1 }\n}", "v={b = 2}", "{\"v\":\"{\\\"b\\\":2}\"}"},
	    {"{\n  default = \"x\"\n}", "v=7", "{\"v\":\"\\\"7\\\"\"}"},
	};

	expect_values("jsonencode(var.v)", cases, ARRAY_LEN(cases));
}

static void a_value_that_does_not_fit_is_named_with_its_source(void **state UNUSED)
{
	static const struct fits cases[] = {
	    {"{\n  type = number\n}", "v=many", "!<value for var.v from arguments>:1,1-5: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: a number is required."},
	    {"{\n  type = number\n}", "v=", "!<value for var.v from arguments>:1,1-2: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: a number is required."},
	    {"{\n  type = number\n}", "v=1 2", "!<value for var.v from arguments>:1,1-4: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: a number is required."},
	    {"{\n  type = number\n}", "v=[1]", "!<value for var.v from arguments>:1,1-4: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: a number is required."},
	    {"{\n  type = bool\n}", "v=yes", "!<value for var.v from arguments>:1,1-4: Variables not allowed; Variables may not be used here. A word that is meant as text is put in quotes."},
	    {"{\n  type = bool\n}", "v=2", "!<value for var.v from arguments>:1,1-2: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: a bool is required."},
	    {"{\n  type = list(string)\n}", "v=a", "!<value for var.v from arguments>:1,1-2: Variables not allowed; Variables may not be used here. A word that is meant as text is put in quotes."},
	    {"{\n  type = list(string)\n}", "v=[\"a\"", "!<value for var.v from arguments>:1,5-6: Missing item separator; Expected a comma to mark the beginning of the next item."},
	    {"{\n  type = list(number)\n}", "v=[\"a\"]", "!<value for var.v from arguments>:1,1-6: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: a number is required."},
	    {"{\n  type = map(string)\n}", "v=[1]", "!<value for var.v from arguments>:1,1-4: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: map of string required."},
	    {"{\n  type = object({ a = number })\n}", "v={b = 1}", "!<value for var.v from arguments>:1,1-8: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: attribute \"a\" is required."},
	    {"{\n  type = tuple([string])\n}", "v=[\"a\", \"b\"]", "!<value for var.v from arguments>:1,1-11: Invalid argument value for -var variable; The value for v is not compatible with the variable's type constraint: tuple of 1 elements required."},
	    {"{\n  type = list(string)\n}", "v=[var.x]", "!<value for var.v from arguments>:1,2-7: Variables not allowed; Variables may not be used here. A word that is meant as text is put in quotes."},
	};

	expect_values("jsonencode(var.v)", cases, ARRAY_LEN(cases));
}

static void values_for_nobody_are_errors_unless_that_is_allowed(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = ONE("{\n  default = \"d\"\n}");
	struct jobspec_options lax = {.lax_vars = true};

	assert_string_equal(meta(a, text, LIST("nosuch=1"), NULL, NULL, (struct jobspec_options){0}),
	    "!t.nomad:1,1-2: Undefined -var variable; A \"nosuch\" variable was passed in the command line but was not found in known "
	    "variables. To declare variable \"nosuch\", place this block in t.nomad: variable \"nosuch\" {}");
	assert_string_equal(meta(a, text, LIST("nosuch=1", "v=x"), NULL, NULL, lax), "{\"v\":\"x\"}");
	assert_string_equal(meta(a, text, NULL, NULL, NULL, (struct jobspec_options){.variables_text = "a = 1\nv = \"y\"\n"}),
	    "!variables:1,1-2: Undefined variable; A \"a\" variable was set but was not found in known variables. To declare variable "
	    "\"a\", place this block in t.nomad: variable \"a\" {}");
	lax.variables_text = "a = 1\nv = \"y\"\n";
	assert_string_equal(meta(a, text, NULL, NULL, NULL, lax), "{\"v\":\"y\"}");
	assert_string_equal(meta(a, text, NULL, NULL, LIST("NOMAD_VAR_other=1"), (struct jobspec_options){0}), "{\"v\":\"d\"}");
}

static void the_environment_has_a_name_of_our_own_too(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = ONE("{\n  type = number\n}");

	assert_string_equal(meta(a, text, NULL, NULL, LIST("DROVER_VAR_v=5"), (struct jobspec_options){0}), "{\"v\":\"5\"}");
	assert_string_equal(meta(a, text, NULL, NULL, LIST("NOMAD_VAR_v=x"), (struct jobspec_options){0}),
	    "!<value for var.v from env>:1,1-2: Invalid value for variable; The value for v is not compatible with the variable's type "
	    "constraint: a number is required.");
	assert_string_equal(meta(a, text, NULL, NULL, LIST("NOMAD_VAR_=5", "NOMAD_VAR_v"), (struct jobspec_options){0}),
	    "!t.nomad:1,1-14: Unset variable; A used variable must be set or have a default value: variable \"v\" has neither; give it with "
	    "-var 'v=...'.");
}

static void files_that_are_wrong_are_named(void **state UNUSED)
{
	static const char text[] = ONE("{\n  default = \"d\"\n}");
	static const struct {
		const char *name, *content, *said;
	} cases[] = {
	    {"build/vars-1.hcl", "v = \n", "!build/vars-1.hcl:1,5-6: Invalid expression; "},
	    {"build/vars-1.hcl", "variable \"v\" {}\n", "!build/vars-1.hcl:1,1-14: Variable declaration in a variables file; "},
	    {"build/vars-1.hcl", "v = [1]\n", "!build/vars-1.hcl:1,5-8: Invalid value for variable; The value for v is not compatible"},
	    {"build/vars-1.hcl", "v = var.v\n", "!build/vars-1.hcl:1,5-10: Variables not allowed; "},
	    {"build/vars-1.hcl", "v = \"a\"\nv = \"b\"\n", "!build/vars-1.hcl:2,1-2: Attribute redefined; "},
	    {"build/vars-3.json", "{\"v\": [}", "!build/vars-3.json:1,1-2: Invalid variables file; line 1, column 8: "},
	    {"build/vars-3.json", "{\"v\": {}}", "!build/vars-3.json:1,1-2: Invalid value for variable; "},
	    {"build/vars-3.json", "{\"w\": 1}", "!build/vars-3.json:1,1-2: Undefined variable; A \"w\" variable was set"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_arena struct arena *a = arena_new();

		write_file(cases[i].name, cases[i].content);
		const char *said = meta(a, text, NULL, LIST(cases[i].name), NULL, (struct jobspec_options){0});

		if (!str_starts(said, cases[i].said))
			print_error("%s\n  should begin %s\n  but is       %s\n", cases[i].content, cases[i].said, said);
		assert_true(str_starts(said, cases[i].said));
	}
	cleanup_arena struct arena *a = arena_new();
	const char *said = meta(a, text, NULL, LIST("build/no-such-file.hcl"), NULL, (struct jobspec_options){0});

	assert_non_null(strstr(said, "build/no-such-file.hcl"));
	assert_non_null(strstr(said, "No such file"));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(files[i]);
}

static void an_argument_without_a_name_is_an_error(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = ONE("{\n  default = \"d\"\n}");

	assert_string_equal(meta(a, text, LIST("novalue"), NULL, NULL, (struct jobspec_options){0}),
	    "!t.nomad:1,1-2: Invalid -var argument; \"novalue\": expected name=value");
	assert_non_null(strstr(meta(a, text, LIST("=x"), NULL, NULL, (struct jobspec_options){0}), "A \"\" variable was passed"));
}

static void all_problems_with_values_are_told_at_once(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = "variable \"a\" {\n  type = number\n}\nvariable \"b\" {\n  type = bool\n}\njob \"x\" {}\n";
	struct strs vars = list(a, LIST("a=x", "b=2", "c=z"));
	struct jobspec_options o = {.vars = &vars};
	const char *said = job_try(a, text, &o, NULL);

	assert_non_null(strstr(said, "The value for a is not compatible"));
	assert_non_null(strstr(said, "The value for b is not compatible"));
	assert_non_null(strstr(said, "A \"c\" variable was passed"));
}

static void rules_see_the_value_that_was_given(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	static const char text[] = "variable \"v\" {\n  type    = number\n  default = 10\n  validation {\n    condition     = var.v >= 10 && var.v < 20\n"
				   "    error_message = \"It is from 10 to 19.\"\n  }\n  validation {\n    condition     = var.v % 2 == 0\n"
				   "    error_message = \"It is even.\"\n  }\n}\njob \"x\" {\n  meta {\n    v = var.v\n  }\n}\n";

	assert_string_equal(meta(a, text, NULL, NULL, NULL, (struct jobspec_options){0}), "{\"v\":\"10\"}");
	assert_string_equal(meta(a, text, LIST("v=12"), NULL, NULL, (struct jobspec_options){0}), "{\"v\":\"12\"}");
	assert_string_equal(meta(a, text, LIST("v=13"), NULL, NULL, (struct jobspec_options){0}), "!t.nomad:1,1-14: Invalid value for variable; It is even.");
	assert_string_equal(meta(a, text, LIST("v=30"), NULL, NULL, (struct jobspec_options){0}), "!t.nomad:1,1-14: Invalid value for variable; It is from 10 to 19.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_source_wins),
	    cmocka_unit_test(text_becomes_a_value_of_the_declared_type),
	    cmocka_unit_test(defaults_have_the_declared_type_too),
	    cmocka_unit_test(a_value_that_does_not_fit_is_named_with_its_source),
	    cmocka_unit_test(values_for_nobody_are_errors_unless_that_is_allowed),
	    cmocka_unit_test(the_environment_has_a_name_of_our_own_too),
	    cmocka_unit_test(files_that_are_wrong_are_named),
	    cmocka_unit_test(an_argument_without_a_name_is_an_error),
	    cmocka_unit_test(all_problems_with_values_are_told_at_once),
	    cmocka_unit_test(rules_see_the_value_that_was_given),
	};

	return RUN_TESTS(tests);
}
