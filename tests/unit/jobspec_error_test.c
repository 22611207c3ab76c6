/*
 * What is said about job files that are wrong: the place, the title, what was expected, the line of the source with a
 * marker, and all problems at once.
 */
#include "tests/lib/job_try.h"
#include "tests/lib/test.h"

/* The places and titles of all problems, one a line, without the source. */
static const char *headlines(struct arena *a, const char *text)
{
	const char *problems = job_try(a, text, NULL, NULL), *p = problems;
	cleanup_buf struct buf out = BUF_INIT;

	if (*problems != '!')
		return "no problem";
	for (const char *at; (at = strstr(p, "t.nomad:")); p = at) {
		at += strlen("t.nomad:");
		size_t n = strcspn(at, "\n");

		buf_printf(&out, "%s%.*s", out.len ? "\n" : "", (int)n, at);
		at += n;
	}
	return arena_strdup(a, out.data ? out.data : problems);
}

struct bad {
	const char *text, *headlines;
};

static void check(const struct bad *cases, size_t n)
{
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++) {
		cleanup_arena struct arena *a = arena_new();
		const char *said = headlines(a, cases[i].text);

		if (str_eq(said, cases[i].headlines))
			continue;
		print_error("%s\n  should be %s\n  but is    %s\n", cases[i].text, cases[i].headlines, said);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}
#define CHECK(cases) check(cases, ARRAY_LEN(cases))

static void a_file_has_one_job_with_a_name(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"", "1,1-2: Missing job block; the file has no job \"name\" { ... }"},
	    {"# nothing\n", "2,1-2: Missing job block; the file has no job \"name\" { ... }"},
	    {"group \"g\" {\n}\n", "1,1-6: Unsupported block type; Blocks of type \"group\" are not expected here."},
	    {"job {\n}\n", "1,1-5: Missing name for job; a job block has one label, as in: job \"name\" { ... }"},
	    {"job \"a\" \"b\" {\n}\n", "1,1-13: Missing name for job; a job block has one label, as in: job \"name\" { ... }"},
	    {"job \"a\" {}\njob \"b\" {}\n", "2,1-9: Duplicate job block; a file has one job"},
	    {"job \"${var.x}\" {\n}\n", "1,5-15: Invalid string literal; no ${ } here: this text is fixed; $${ stands for the characters themselves"},
	    {"type = \"x\"\njob \"a\" {}\n", "1,1-5: Unsupported argument; An argument named \"type\" is not expected here: a file has blocks of the types job, variable and locals."},
	    {"jobs \"a\" {}\n", "1,1-5: Unsupported block type; Blocks of type \"jobs\" are not expected here."},
	};

	CHECK(cases);
}

static void syntax_errors_stop_at_the_first(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  datacenters = [\"dc1\"\n  group \"g\" {\n  }\n}\n", "3,3-8: Missing item separator; Expected a comma to mark the beginning of the next item."},
	    {"job \"x\" {\n  group \"g\" {\n", "2,13-14: Unclosed configuration block; this block is open at the end of the file: a } is missing, perhaps further up"},
	    {"job \"x\" {\n}\n}\n", "3,1-2: Argument or block definition required; expected an argument, as name = value, or a block, as type { ... }"},
	    {"job \"x\" {\n  meta { a = 1 b = 2 }\n}\n", "2,16-17: Invalid single-argument block definition; a block on one line holds one argument and ends with } on that line; more need lines of their own"},
	    {"job 'x' {\n}\n", "1,1-4: Argument or block definition required; expected an argument, as name = value, or a block, as type { ... }"},
	    {"job \"x\" {\n  type = \"a\";\n}\n", "2,13-14: Missing newline after argument; the line must end after the value"},
	    {"job \"x\" {\n  type = \"a\",\n}\n", "2,13-14: Missing newline after argument; the line must end after the value"},
	    {"job \"x\" {\n  type \"a\"\n}\n", "2,11-12: Invalid block definition; expected { on the line of the block's type and labels"},
	    {"job \"x\" {\n  type : \"a\"\n}\n", "2,3-7: Argument or block definition required; expected an argument, as name = value, or a block, as type { ... }"},
	    {"job \"x\" {\n  type =\n}\n", "2,9-10: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"job \"x\"\n{\n}\n", "1,8-9: Invalid block definition; expected { on the line of the block's type and labels"},
	    {"job \"x\" {\n  \"type\" = \"a\"\n}\n", "2,3-4: Invalid argument name; Argument names must not be quoted, and a block begins with its type."},
	    {"job \"x\" {\n  5 = \"a\"\n}\n", "2,3-4: Argument or block definition required; expected an argument, as name = value, or a block, as type { ... }"},
	    {"job \"x\" {\n  group \"g\" {}\n  } extra\n", "3,5-10: Missing newline after block definition; the line must end after the closing brace"},
	    {"job \"x\" {\n  type = \"a\" region = \"b\"\n}\n", "2,14-20: Missing newline after argument; the line must end after the value"},
	    {"job \"x\" {\n  group \"a {\n}\n", "2,9-13: Invalid multi-line string; text in quotes ends on its line: write \\n for a line break, or <<EOF for text of several lines"},
	    {"job \"x\" {\n  /* open\n}\n", "2,3-5: Unterminated comment; this comment has no closing */"},
	};

	CHECK(cases);
}

static void heredocs_and_templates_that_are_not_closed_are_named(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  type = <<EOF\n text\n}\n", "2,10-12: Unterminated template string; the heredoc has no end: a line that holds its marker alone"},
	    {"job \"x\" {\n  type = \"a ${ b\"\n}\n", "2,17-18: Extra characters after interpolation expression; expected } here"},
	    {"job \"x\" {\n  type = \"%{ if true }a\"\n}\n", "2,11-13: Unterminated template directive; this %{ if } or %{ for } has no %{ endif } or %{ endfor }"},
	    {"job \"x\" {\n  type = <<EOF\n${ 1\nEOF\n}\n", "4,1-4: Extra characters after interpolation expression; expected } here"},
	    {"job \"x\" {\n  type = \"${1\n}\n", "2,10-14: Invalid multi-line string; text in quotes ends on its line: write \\n for a line break, or <<EOF for text of several lines"},
	};

	CHECK(cases);
}

static void unknown_names_get_the_nearest_one(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  replicas = 3\n}\n", "2,3-11: Unsupported argument; An argument named \"replicas\" is not expected here."},
	    {"job \"x\" {\n  datacenter = [\"a\"]\n}\n", "2,3-13: Unsupported argument; An argument named \"datacenter\" is not expected here. Did you mean \"datacenters\"?"},
	    {"job \"x\" {\n  group \"g\" {\n    cuont = 2\n  }\n}\n", "3,5-10: Unsupported argument; An argument named \"cuont\" is not expected here. Did you mean \"count\"?"},
	    {"job \"x\" {\n  group \"g\" {\n    container \"c\" {\n    }\n  }\n}\n", "3,5-14: Unsupported block type; Blocks of type \"container\" are not expected here."},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      drivr = \"x\"\n      resorces {\n      }\n    }\n  }\n}\n", "4,7-12: Unsupported argument; An argument named \"drivr\" is not expected here. Did you mean \"driver\"?\n5,7-15: Unsupported block type; Blocks of type \"resorces\" are not expected here. Did you mean \"resources\"?"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      resources {\n        memry = 5\n        cpus = 6\n      }\n      servce {\n      }\n    }\n  }\n}\n", "5,9-14: Unsupported argument; An argument named \"memry\" is not expected here. Did you mean \"memory\"?\n6,9-13: Unsupported argument; An argument named \"cpus\" is not expected here. Did you mean \"cpu\"?\n8,7-13: Unsupported block type; Blocks of type \"servce\" are not expected here. Did you mean \"service\"?"},
	    {"job \"x\" {\n  group \"g\" {\n    network {\n      prot \"a\" {\n      }\n    }\n  }\n}\n", "4,7-11: Unsupported block type; Blocks of type \"prot\" are not expected here. Did you mean \"port\"?"},
	    {"job \"x\" {\n  constraint {\n    atribute = \"x\"\n    distinct_host = true\n  }\n}\n", "3,5-13: Unsupported argument; An argument named \"atribute\" is not expected here. Did you mean \"attribute\"?\n4,5-18: Unsupported argument; An argument named \"distinct_host\" is not expected here. Did you mean \"distinct_hosts\"?"},
	    {"job \"x\" {\n  periodic {\n    crom = \"x\"\n  }\n}\n", "3,5-9: Unsupported argument; An argument named \"crom\" is not expected here. Did you mean \"cron\"?"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      vault {\n        policy = [\"a\"]\n      }\n    }\n  }\n}\n", "5,9-15: Unsupported argument; An argument named \"policy\" is not expected here."},
	    {"job \"x\" {\n  datacenters_and_a_name_that_is_much_longer_than_any_that_a_job_file_knows_of = 1\n}\n", "2,3-79: Unsupported argument; An argument named \"datacenters_and_a_name_that_is_much_longer_than_any_that_a_job_file_knows_of\" is not expected here."},
	};

	CHECK(cases);
}

static void arguments_are_not_blocks(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  type {\n  }\n}\n", "2,3-7: Unsupported block type; Blocks of type \"type\" are not expected here. It is an argument: type = ..."},
	    {"job \"x\" {\n  group = \"x\"\n}\n", "2,3-8: Unsupported argument; An argument named \"group\" is not expected here. It is a block: group { ... }"},
	    {"job \"x\" {\n  group \"g\" {\n    count {\n    }\n  }\n}\n", "3,5-10: Unsupported block type; Blocks of type \"count\" are not expected here. It is an argument: count = ..."},
	    {"job \"x\" {\n  update = { max_parallel = 1 }\n}\n", "2,3-9: Unsupported argument; An argument named \"update\" is not expected here. It is a block: update { ... }"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      template = []\n    }\n  }\n}\n", "4,7-15: Unsupported argument; An argument named \"template\" is not expected here. It is a block: template { ... }"},
	};

	CHECK(cases);
}

static void things_that_are_there_twice(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  type = \"a\"\n  type = \"b\"\n}\n", "3,3-7: Attribute redefined; \"type\" is set on line 2 already"},
	    {"job \"x\" {\n  update {}\n  update {}\n}\n", "3,3-10: Duplicate block; only one update block may stand here"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      config {}\n      config {}\n    }\n  }\n}\n", "5,7-14: Duplicate block; only one config block may stand here"},
	    {"job \"x\" {\n  meta { a = 1 }\n  meta { b = 1 }\n}\n", "3,3-8: Duplicate block; only one meta block may stand here"},
	    {"job \"x\" {\n  group \"g\" {\n    scaling {\n      max = 1\n    }\n    scaling {\n      max = 1\n    }\n  }\n}\n", "6,5-13: Duplicate block; only one scaling block may stand here"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      scaling \"cpu\" {\n        max = 1\n      }\n      scaling \"cpu\" {\n        max = 2\n      }\n    }\n  }\n}\n", "7,7-21: Duplicate scaling block; there is a scaling \"cpu\" block already"},
	    {"job \"x\" {\n  meta {\n    a = 1\n    a = 2\n  }\n}\n", "4,5-6: Attribute redefined; \"a\" is set on line 3 already"},
	};

	CHECK(cases);
}

static void labels_that_are_missing_or_too_many(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  group {\n  }\n}\n", "2,3-9: Missing label for block; group blocks have 1 label(s), as in: group \"name\" { ... }"},
	    {"job \"x\" {\n  group \"a\" \"b\" {\n  }\n}\n", "2,3-17: Extraneous label for block; group blocks have 1 label(s)"},
	    {"job \"x\" {\n  update \"x\" {\n  }\n}\n", "2,3-14: Extraneous label for block; update blocks have no labels"},
	    {"job \"x\" {\n  group \"g\" {\n    network {\n      port {\n      }\n    }\n  }\n}\n", "4,7-12: Missing label for block; port blocks have 1 label(s), as in: port \"name\" { ... }"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      config \"x\" {\n      }\n    }\n  }\n}\n", "4,7-18: Extraneous label for block; config blocks have no labels"},
	    {"job \"x\" {\n  group \"g\" {\n    volume {\n    }\n  }\n}\n", "3,5-12: Missing label for block; volume blocks have 1 label(s), as in: volume \"name\" { ... }"},
	};

	CHECK(cases);
}

static void values_of_the_wrong_kind_are_all_named(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  datacenters = \"dc1\"\n  priority    = \"high\"\n  group \"g\" {\n    count = \"two\"\n    task \"t\" {\n      driver = \"raw_exec\"\n      resources {\n        cpu = \"lots\"\n      }\n    }\n  }\n}\n", "2,18-21: Unsuitable value type; Unsuitable value: list of string required\n3,18-22: Unsuitable value type; Unsuitable value: a number is required\n5,14-17: Unsuitable value type; Unsuitable value: a number is required\n9,16-20: Unsuitable value type; Unsuitable value: a number is required"},
	    {"job \"x\" {\n  priority = 1.5\n}\n", "2,14-17: Unsuitable value type; Unsuitable value: a whole number is required"},
	    {"job \"x\" {\n  priority = 1e30\n}\n", "2,14-18: Unsuitable value type; Unsuitable value: a whole number is required"},
	    {"job \"x\" {\n  priority = [1]\n}\n", "2,14-15: Unsuitable value type; Unsuitable value: a number is required"},
	    {"job \"x\" {\n  priority = { a = 1 }\n}\n", "2,14-15: Unsuitable value type; Unsuitable value: a number is required"},
	    {"job \"x\" {\n  type = [\"x\"]\n}\n", "2,10-11: Unsuitable value type; Unsuitable value: string required"},
	    {"job \"x\" {\n  all_at_once = \"maybe\"\n}\n", "2,18-23: Unsuitable value type; Unsuitable value: a bool is required"},
	    {"job \"x\" {\n  all_at_once = 2\n}\n", "2,17-18: Unsuitable value type; Unsuitable value: a bool is required"},
	    {"job \"x\" {\n  datacenters = [[\"a\"]]\n}\n", "2,17-18: Unsuitable value type; Unsuitable value: string required"},
	    {"job \"x\" {\n  datacenters = { a = \"b\" }\n}\n", "2,17-18: Unsuitable value type; Unsuitable value: list of string required"},
	    {"job \"x\" {\n  datacenters = [null]\n}\n", "2,17-18: Unsuitable value type; Unsuitable value: null value is not allowed"},
	    {"job \"x\" {\n  meta = [\"a\"]\n}\n", "2,10-11: Unsuitable value type; Unsuitable value: map of string required"},
	    {"job \"x\" {\n  meta = \"a\"\n}\n", "2,11-12: Unsuitable value type; Unsuitable value: map of string required"},
	    {"job \"x\" {\n  meta {\n    a = [\"x\"]\n    b = {}\n  }\n}\n", "3,9-10: Unsuitable value type; Unsuitable value: string required\n4,9-10: Unsuitable value type; Unsuitable value: string required"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      env {\n        a = [\"x\"]\n        b { c = 1 }\n      }\n    }\n  }\n}\n", "5,13-14: Unsuitable value type; Unsuitable value: string required\n6,9-11: Unsupported block type; Blocks of type \"b\" are not expected here: env holds key = value pairs."},
	    {"job \"x\" {\n  group \"g\" {\n    network {\n      port \"a\" { static = \"x\" }\n      port \"b\" { to = [] }\n    }\n  }\n}\n", "4,28-29: Unsuitable value type; Unsuitable value: a number is required\n5,23-24: Unsuitable value type; Unsuitable value: a number is required"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      service {\n        check {\n          header {\n            A = \"x\"\n          }\n        }\n      }\n    }\n  }\n}\n", "7,18-19: Unsuitable value type; Unsuitable value: list of string required"},
	    {"job \"x\" {\n  type = \"a\" + 1\n}\n", "2,10-13: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	    {"job \"x\" {\n  type = upper(1 + \"b\")\n}\n", "2,20-23: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	};

	CHECK(cases);
}

static void durations_are_written_with_units(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = \"soon\"\n    }\n  }\n}\n", "4,16-20: Unsuitable value type; Unsuitable duration value: time: invalid duration \"soon\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = \"5 s\"\n    }\n  }\n}\n", "4,16-19: Unsuitable value type; Unsuitable duration value: time: invalid duration \"5 s\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = \"5m5\"\n    }\n  }\n}\n", "4,16-19: Unsuitable value type; Unsuitable duration value: time: invalid duration \"5m5\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = true\n    }\n  }\n}\n", "4,15-19: Unsuitable value type; Unsuitable value: a duration is required, as \"30s\" or \"1h30m\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = [\"5s\"]\n    }\n  }\n}\n", "4,15-16: Unsuitable value type; Unsuitable value: a duration is required, as \"30s\" or \"1h30m\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = \"1d\"\n    }\n  }\n}\n", "4,16-18: Unsuitable value type; Unsuitable duration value: time: invalid duration \"1d\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = \"\"\n    }\n  }\n}\n", "4,15-17: Unsuitable value type; Unsuitable duration value: time: invalid duration \"\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = \"999999999h\"\n    }\n  }\n}\n", "4,16-26: Unsuitable value type; Unsuitable duration value: time: invalid duration \"999999999h\""},
	    {"job \"x\" {\n  group \"g\" {\n    restart {\n      delay = 1.5\n    }\n  }\n}\n", "4,15-18: Unsuitable value type; Unsuitable value: a duration is required, as \"30s\" or \"1h30m\""},
	};

	CHECK(cases);
}

static void names_in_expressions_must_exist(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  type = var.nope\n  region = local.nope\n}\n", "2,10-18: Unsupported attribute; there is no \"nope\": no variable block declares it.\n3,12-22: Unsupported attribute; there is no \"nope\": no locals block defines it."},
	    {"variable \"image\" {\n  default = \"x\"\n}\njob \"a\" {\n  type = var.imgae\n}\n", "5,10-19: Unsupported attribute; there is no \"imgae\": no variable block declares it. Did you mean \"image\"?"},
	    {"locals {\n  tag = \"x\"\n}\njob \"a\" {\n  type = local.tga\n}\n", "5,10-19: Unsupported attribute; there is no \"tga\": no locals block defines it. Did you mean \"tag\"?"},
	    {"job \"x\" {\n  type = uper(\"x\")\n}\n", "2,10-19: Call to unknown function; There is no function named \"uper\". Did you mean \"upper\"?"},
	    {"job \"x\" {\n  type = upper()\n}\n", "2,10-17: Not enough function arguments; Function \"upper\" expects 1 argument(s), and 0 were given."},
	    {"job \"x\" {\n  type = upper(\"a\", \"b\")\n}\n", "2,10-25: Too many function arguments; Function \"upper\" expects only 1 argument(s), and 2 were given."},
	    {"job \"x\" {\n  type = upper([\"a\"])\n}\n", "2,16-21: Invalid function argument; Invalid value for argument 1 of \"upper\": string required. This is a tuple."},
	    {"job \"x\" {\n  type = { a = 1 }.b\n}\n", "2,10-21: Unsupported attribute; there is no \"b\" in this object. Did you mean \"a\"?"},
	    {"job \"x\" {\n  type = [1][5]\n}\n", "2,10-16: Invalid index; the list has 1 elements, and the index is 5"},
	    {"job \"x\" {\n  type = var\n}\n", "2,10-13: Unsuitable value type; Unsuitable value: string required"},
	    {"job \"x\" {\n  priority = 1 / 0\n}\n", "2,14-19: Operation failed; the result is not a number that can be held: division by zero, or out of range"},
	    {"job \"x\" {\n  type = var[\"x\"]\n}\n", "2,10-18: Invalid index; there is no element \"x\" in it"},
	};

	CHECK(cases);
}

static void variables_are_declared_well(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"variable \"a\" {\n  default = var.a\n}\njob \"x\" {}\n", "2,13-18: Variables not allowed; Variables may not be used here. A word that is meant as text is put in quotes."},
	    {"variable \"a\" {\n  type = strng\n}\njob \"x\" {}\n", "2,10-15: Invalid type specification; there is no type \"strng\": expected string, number, bool, any, list(), set(), map(), object({}) or tuple([])"},
	    {"variable \"a\" {\n  type = number\n  default = \"x\"\n}\njob \"x\" {}\n", "3,13-16: Invalid default value for variable; the default does not fit the variable's type: a number is required"},
	    {"variable \"a\" {}\nvariable \"a\" {}\njob \"x\" {}\n", "2,1-14: Duplicate variable; the variable \"a\" is declared already"},
	    {"variable {}\njob \"x\" {}\n", "1,1-10: Missing name for variable; a variable block has one label, as in: variable \"name\" { ... }"},
	    {"variable \"a\" \"b\" {}\njob \"x\" {}\n", "1,1-18: Missing name for variable; a variable block has one label, as in: variable \"name\" { ... }"},
	    {"variable \"a\" {\n  typ = string\n  default = 1\n}\njob \"x\" {}\n", "2,3-6: Unsupported argument; An argument named \"typ\" is not expected here. Did you mean \"type\"?"},
	    {"variable \"a\" {\n  foo {}\n  default = 1\n}\njob \"x\" {}\n", "2,3-7: Unsupported block type; Blocks of type \"foo\" are not expected here."},
	    {"variables {\n  a {}\n}\njob \"x\" {}\n", "2,3-5: Unsupported block type; A variables block holds name = value alone; a variable with a type has a block of its own: variable \"a\" { ... }"},
	    {"variables {\n  a = 1\n}\nvariable \"a\" {\n  default = 2\n}\njob \"x\" {}\n", "4,1-14: Duplicate variable; the variable \"a\" is declared already"},
	    {"variable \"a\" {\n  default = b\n}\njob \"x\" {}\n", "2,13-14: Variables not allowed; Variables may not be used here. A word that is meant as text is put in quotes."},
	    {"variable \"a\" {\n  type = object({ n = number })\n  default = { n = \"x\" }\n}\njob \"x\" {}\n", "3,13-24: Invalid default value for variable; the default does not fit the variable's type: a number is required"},
	    {"variable \"a\" {\n  type = list(number)\n  default = [1, \"x\"]\n}\njob \"x\" {}\n", "3,13-21: Invalid default value for variable; the default does not fit the variable's type: a number is required"},
	};

	CHECK(cases);
}

static void variables_without_a_value_are_named(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"variable \"a\" {}\njob \"x\" {\n  type = var.a\n}\n", "1,1-14: Unset variable; A used variable must be set or have a default value: variable \"a\" has neither; give it with -var 'a=...'."},
	    {"variable \"a\" {\n  type = string\n}\nvariable \"b\" {}\njob \"x\" {\n  type = var.a\n}\n", "1,1-14: Unset variable; A used variable must be set or have a default value: variable \"a\" has neither; give it with -var 'a=...'.\n4,1-14: Unset variable; A used variable must be set or have a default value: variable \"b\" has neither; give it with -var 'b=...'."},
	};

	CHECK(cases);
}

static void validation_rules_are_kept(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"variable \"a\" {\n  default = 3\n  validation {\n    condition     = var.a > 5\n    error_message = \"The value of a is too small.\"\n  }\n}\njob \"x\" {}\n", "1,1-14: Invalid value for variable; The value of a is too small."},
	    {"variable \"a\" {\n  default = 3\n  validation {\n    condition     = var.a\n    error_message = \"Nothing.\"\n  }\n}\njob \"x\" {}\n", "4,21-26: Invalid variable validation result; a condition is true or false, and this is number"},
	    {"variable \"a\" {\n  default = 3\n  validation {\n    condition = true\n  }\n}\njob \"x\" {}\n", "3,3-14: Missing required argument; A validation block has a condition and an error_message."},
	    {"variable \"a\" {\n  default = 3\n  validation {\n    error_message = \"x\"\n  }\n}\njob \"x\" {}\n", "3,3-14: Missing required argument; A validation block has a condition and an error_message."},
	    {"variable \"a\" {\n  default = 3\n  validation {\n    condition     = var.b > 1\n    error_message = \"x\"\n  }\n}\njob \"x\" {}\n", "4,21-26: Unsupported attribute; there is no \"b\": no variable block declares it. Did you mean \"a\"?"},
	    {"variable \"a\" {\n  default = 3\n  validation {\n    condition     = null\n    error_message = \"x\"\n  }\n}\njob \"x\" {}\n", "4,21-25: Invalid variable validation result; a condition is true or false, and this is null"},
	};

	CHECK(cases);
}

static void locals_do_not_go_in_circles(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"locals {\n  a = local.b\n  b = local.a\n}\njob \"x\" {}\n", "3,7-14: Circular reference; local.a refers to itself."},
	    {"locals {\n  a = local.a\n}\njob \"x\" {}\n", "2,7-14: Circular reference; local.a refers to itself."},
	    {"locals {\n  a = 1\n}\nlocals {\n  a = 2\n}\njob \"x\" {}\n", "5,3-4: Duplicate value in locals; \"a\" is defined already"},
	    {"locals {\n  a {}\n}\njob \"x\" {}\n", "2,3-5: Unsupported block type; A locals block holds name = value alone."},
	    {"locals \"x\" {\n}\njob \"x\" {}\n", "1,1-12: Extraneous label for block; locals blocks have no labels"},
	    {"variables \"x\" {\n}\njob \"x\" {}\n", "1,1-15: Extraneous label for block; variables blocks have no labels"},
	    {"locals {\n  a = 1 + \"x\"\n}\njob \"x\" {}\n", "2,11-14: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	    {"locals {\n  a = [for x in [1] : local.a]\n}\njob \"x\" {}\n", "2,23-30: Circular reference; local.a refers to itself."},
	};

	CHECK(cases);
}

static void dynamic_blocks_are_written_well(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = 5\n    content {}\n  }\n}\n", "3,16-17: Invalid dynamic for_each value; for_each goes over a list, set, map or object, and this is a number"},
	    {"job \"x\" {\n  dynamic \"group\" {\n    content {}\n  }\n}\n", "2,3-19: Invalid dynamic block; A dynamic block has one label, the type of the blocks it makes, an argument for_each, and one block content."},
	    {"job \"x\" {\n  dynamic \"grop\" {\n    for_each = []\n    content {}\n  }\n}\n", "2,3-18: Unsupported block type; Blocks of type \"grop\" are not expected here. Did you mean \"group\"?"},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    labels   = [group.valu]\n    content {}\n  }\n}\n", "4,17-27: Unsupported attribute; there is no \"valu\" in this object. Did you mean \"value\"?"},
	    {"job \"x\" {\n  dynamic {\n    for_each = []\n    content {}\n  }\n}\n", "2,3-11: Invalid dynamic block; A dynamic block has one label, the type of the blocks it makes, an argument for_each, and one block content."},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n  }\n}\n", "2,3-19: Invalid dynamic block; A dynamic block has one label, the type of the blocks it makes, an argument for_each, and one block content."},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    content {}\n    content {}\n  }\n}\n", "2,3-19: Invalid dynamic block; A dynamic block has one label, the type of the blocks it makes, an argument for_each, and one block content."},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    foreach  = 1\n    content {}\n  }\n}\n", "4,5-12: Unsupported argument; An argument named \"foreach\" is not expected here: a dynamic block has for_each, iterator, labels and a block content."},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    iterator = \"g\"\n    content {}\n  }\n}\n", "4,16-19: Invalid dynamic iterator name; iterator is a lone name"},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    content {}\n  }\n}\n", "2,3-19: Missing label for block; group blocks have 1 label(s), as in: group \"name\" { ... }"},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = null\n    labels   = [\"a\"]\n    content {}\n  }\n}\n", "3,16-20: Invalid dynamic for_each value; for_each goes over a list, set, map or object, and this is a null"},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    labels   = \"a\"\n    content {}\n  }\n}\n", "4,16-19: Unsuitable value type; Unsuitable value: list of string required"},
	    {"job \"x\" {\n  dynamic \"group\" {\n    for_each = [\"a\"]\n    labels   = [1, 2]\n    content {}\n  }\n}\n", "2,3-19: Extraneous label for block; group blocks have 1 label(s)"},
	    {"job \"x\" {\n  dynamic \"meta\" {\n    for_each = [1, 2]\n    content {\n      a = meta.value\n    }\n  }\n}\n", "2,3-18: Duplicate block; only one meta block may stand here"},
	};

	CHECK(cases);
}

static void what_only_some_blocks_have(void **state UNUSED)
{
	static const struct bad cases[] = {
	    {"job \"x\" {\n  group \"g\" {\n    scaling {\n    }\n  }\n}\n", "3,5-13: Missing required argument; a scaling block of a group needs max"},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      scaling \"gpu\" {\n        max = 1\n      }\n    }\n  }\n}\n", "4,7-21: Invalid scaling policy name; scaling policy name must be \"cpu\" or \"mem\""},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      scaling {\n        max = 1\n      }\n    }\n  }\n}\n", "4,7-15: Missing label for block; scaling blocks have 1 label(s), as in: scaling \"name\" { ... }"},
	    {"job \"x\" {\n  group \"g\" {\n    scaling {\n      max  = 1\n      type = \"vertical\"\n    }\n  }\n}\n", "3,5-13: Invalid group scaling type; task group scaling policy had invalid type: \"vertical\"; the type of a group's is \"horizontal\""},
	    {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      scaling \"cpu\" {\n        max  = 1\n        type = \"horizontal\"\n      }\n    }\n  }\n}\n", "4,7-21: Invalid scaling policy type; Invalid policy type, expected \"vertical_cpu\" but found \"horizontal\""},
	};

	CHECK(cases);
}

static void expect_text(const char *text, size_t n, const char *expected)
{
	cleanup_arena struct arena *a = arena_new();

	assert_string_equal(job_try_bytes(a, text, n, NULL, NULL), expected);
}
#define EXPECT_TEXT(text, expected) expect_text(text, sizeof(text) - 1, expected)

static void the_source_is_shown_with_a_marker_under_the_place(void **state UNUSED)
{
	EXPECT_TEXT("job \"x\" {\n  priority = \"high\"\n}\n",
	    "!t.nomad:2,15-19: Unsuitable value type; Unsuitable value: a number is required\n\n     2 |   priority = \"high\"\n       |               ^");
}

static void the_marker_stands_right_behind_tabs_and_letters_of_several_bytes(void **state UNUSED)
{
	EXPECT_TEXT("job \"x\" {\n\t\tmeta {\n\t\t\tä = \"é\" + 1\n\t\t}\n}\n",
	    "!t.nomad:3,8-11: Invalid operand; Unsuitable value for operand: a number is required, and this is string.\n\n"
	    "     3 | \t\t\tä = \"é\" + 1\n       | \t\t\t    ^");
}

static void the_carriage_return_of_a_line_is_not_shown(void **state UNUSED)
{
	EXPECT_TEXT("job \"x\" {\r\n  type = 1 +\r\n}\r\n",
	    "!t.nomad:2,13-14: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call\n\n"
	    "     2 |   type = 1 +\n       |             ^");
}

static void of_a_long_line_the_part_around_the_place_is_shown(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf text = BUF_INIT;

	buf_puts(&text, "job \"x\" { meta { a = \"");
	for (int i = 0; i < 100000; i++)
		buf_putc(&text, 'x');
	buf_puts(&text, "\" + 1 } }");
	assert_true(strlen(job_try(a, text.data, NULL, NULL)) < 500);
}

static void many_problems_are_cut_off_after_twenty(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf text = BUF_INIT;
	int shown = 0;

	buf_puts(&text, "job \"x\" {\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "unknown_%d = 1\n", i);
	buf_puts(&text, "}\n");
	const char *said = job_try(a, text.data, NULL, NULL);

	for (const char *p = said; (p = strstr(p, "t.nomad:")); p++)
		shown++;
	assert_int_equal(shown, 20);
	assert_non_null(strstr(said, "\n\n(more problems are not shown)"));
}

static void bytes_that_are_no_text_are_named_with_their_place(void **state UNUSED)
{
	EXPECT_TEXT("job \"x\" {\n  type = \"a\0b\"\n}\n",
	    "!t.nomad:2,12-13: Invalid character; the file holds a NUL byte: it is not text\n\n     2 |   type = \"a\n       |            ^");
	EXPECT_TEXT("job \"x\" {\n  type = \"a\xff\"\n}\n",
	    "!t.nomad:2,12-13: Invalid character encoding; the file is not UTF-8 here: save it in that encoding\n\n     2 |   type = \"a\xff\"\n       |            ^");
	EXPECT_TEXT("# \xed\xa0\x80\njob \"x\" {}\n",
	    "!t.nomad:1,3-4: Invalid character encoding; the file is not UTF-8 here: save it in that encoding\n\n     1 | # \xed\xa0\x80\n       |   ^");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_has_one_job_with_a_name),
	    cmocka_unit_test(syntax_errors_stop_at_the_first),
	    cmocka_unit_test(heredocs_and_templates_that_are_not_closed_are_named),
	    cmocka_unit_test(unknown_names_get_the_nearest_one),
	    cmocka_unit_test(arguments_are_not_blocks),
	    cmocka_unit_test(things_that_are_there_twice),
	    cmocka_unit_test(labels_that_are_missing_or_too_many),
	    cmocka_unit_test(values_of_the_wrong_kind_are_all_named),
	    cmocka_unit_test(durations_are_written_with_units),
	    cmocka_unit_test(names_in_expressions_must_exist),
	    cmocka_unit_test(variables_are_declared_well),
	    cmocka_unit_test(variables_without_a_value_are_named),
	    cmocka_unit_test(validation_rules_are_kept),
	    cmocka_unit_test(locals_do_not_go_in_circles),
	    cmocka_unit_test(dynamic_blocks_are_written_well),
	    cmocka_unit_test(what_only_some_blocks_have),
	    cmocka_unit_test(the_source_is_shown_with_a_marker_under_the_place),
	    cmocka_unit_test(the_marker_stands_right_behind_tabs_and_letters_of_several_bytes),
	    cmocka_unit_test(the_carriage_return_of_a_line_is_not_shown),
	    cmocka_unit_test(of_a_long_line_the_part_around_the_place_is_shown),
	    cmocka_unit_test(many_problems_are_cut_off_after_twenty),
	    cmocka_unit_test(bytes_that_are_no_text_are_named_with_their_place),
	};

	return RUN_TESTS(tests);
}
