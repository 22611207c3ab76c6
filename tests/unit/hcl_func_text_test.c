/* Functions over text. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void case_and_blanks(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"upper([\"a\"]...)", "\"A\""},
	    {"upper(\"aé ß\")", "\"AÉ ß\""},
	    {"lower(\"AÉ\")", "\"aé\""},
	    {"title(\"hello wide-world o'clock\")", "\"Hello Wide-World O'Clock\""},
	    {"trim(\"xxaxx\", \"x\")", "\"a\""},
	    {"trim(\"  a \", \" \")", "\"a\""},
	    {"trimprefix(\"foobar\", \"foo\")", "\"bar\""},
	    {"trimprefix(\"foobar\", \"bar\")", "\"foobar\""},
	    {"trimsuffix(\"foobar\", \"bar\")", "\"foo\""},
	    {"trimspace(\"\\t a \\n\")", "\"a\""},
	    {"chomp(\"x\\r\\n\\n\")", "\"x\""},
	    {"chomp(\"x\")", "\"x\""},
	    {"indent(2, \"a\\nb\\nc\")", "\"a\\n  b\\n  c\""},
	    {"indent(0, \"a\\nb\")", "\"a\\nb\""},
	    {"strrev(\"añb\")", "\"bña\""},
	    {"strrev(\"\")", "\"\""},
	    {"reverse(\"abc\")", "\"cba\""},
	};

	EXPECT_HCL(cases);
}

static void lengths_and_parts_count_characters(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"strlen(\"\")", "0"},
	    {"strlen(\"äé\")", "2"},
	    {"strlen(\"e\\u0301\")", "1"},
	    {"strlen(\"🇵🇹\")", "1"},
	    {"substr(\"hello\", 1, 3)", "\"ell\""},
	    {"substr(\"hello\", -3, -1)", "\"llo\""},
	    {"substr(\"hello\", 0, 99)", "\"hello\""},
	    {"substr(\"héllo\", 1, 1)", "\"é\""},
	    {"substr(\"hello\", 0, 0)", "\"\""},
	    {"substr(\"hello\", 9, 1)", "\"\""},
	    {"substr(\"hello\", -9, 2)", "\"he\""},
	};

	EXPECT_HCL(cases);
}

static void joining_and_splitting(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"join(\"-\", [\"a\", 1, true])", "\"a-1-true\""},
	    {"join(\",\", [])", "\"\""},
	    {"join(\",\", [\"a\"], [\"b\", \"c\"])", "\"a,b,c\""},
	    {"join(\"\", toset([\"b\", \"a\"]))", "\"ab\""},
	    {"split(\",\", \"a,b,,c\")", "[\"a\",\"b\",\"\",\"c\"]"},
	    {"split(\",\", \"\")", "[\"\"]"},
	    {"split(\"\", \"abc\")", "[\"a\",\"b\",\"c\"]"},
	    {"split(\"ab\", \"xabyab\")", "[\"x\",\"y\",\"\"]"},
	};

	EXPECT_HCL(cases);
}

static void replacing(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"replace(\"a-b-c\", \"-\", \"+\")", "\"a+b+c\""},
	    {"replace(\"aaa\", \"aa\", \"b\")", "\"ba\""},
	    {"replace(\"abc\", \"\", \".\")", "\".a.b.c.\""},
	    {"replace(\"a/b\", \"/\", \"\")", "\"ab\""},
	    {"regex_replace(\"abc-123\", \"([a-z]+)-(\\\\d+)\", \"$2-$1\")", "\"123-abc\""},
	    {"regex_replace(\"aaa\", \"a\", \"b\")", "\"bbb\""},
	    {"regex_replace(\"a.b\", \"\\\\.\", \"/\")", "\"a/b\""},
	    {"regex_replace(\"ab\", \"(?P<x>a)\", \"$${x}$${x}\")", "\"aab\""},
	    {"regex_replace(\"x\", \"y*\", \"-\")", "\"-x-\""},
	    {"regex_replace(\"ABC\", \"(?i)b\", \"_\")", "\"A_C\""},
	    {"regex_replace(\"a\\nb\", \"(?m)^\", \"> \")", "\"\\u003e a\\n\\u003e b\""},
	};

	EXPECT_HCL(cases);
}

static void formats(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"format(\"%s\", \"a\")", "\"a\""},
	    {"format(\"%s %s\", 1, true)", "\"1 true\""},
	    {"format(\"%d\", 42)", "\"42\""},
	    {"format(\"%5d|%-5d|%05d|%+d\", 1, 2, 3, 4)", "\"    1|2    |00003|+4\""},
	    {"format(\"%x %X %o %b\", 255, 255, 8, 5)", "\"ff FF 10 101\""},
	    {"format(\"%f %.2f %8.3f\", 1.5, 2.345, 3.14159)", "\"1.500000 2.34    3.142\""},
	    {"format(\"%e %g %G\", 1234.5, 0.00001, 1e21)", "\"1.234500e+03 1e-05 1E+21\""},
	    {"format(\"%t\", true)", "\"true\""},
	    {"format(\"%q\", \"a\\\"b\")", "\"\\\"a\\\\\\\"b\\\"\""},
	    {"format(\"%v %v %v\", \"a\", 1.5, [1, \"x\"])", "\"a 1.5 [1,\\\"x\\\"]\""},
	    {"format(\"%#v\", { a = 1 })", "\"{\\\"a\\\":1}\""},
	    {"format(\"%%\")", "\"%\""},
	    {"format(\"%5s|%-5s|%.2s\", \"a\", \"b\", \"cde\")", "\"    a|b    |cd\""},
	    {"format(\"%[2]s %[1]s\", \"a\", \"b\")", "\"b a\""},
	    {"format(\"%*d\", 5, 1)", "!1,1-20: Error in function call; Call to function \"format\" failed: the % at offset 0 begins no verb."},
	    {"format(\"%s\", null)", "!1,1-19: Error in function call; Call to function \"format\" failed: unsupported value for \"%s\": null value cannot be formatted."},
	    {"format(\"%d\", \"7\")", "\"7\""},
	    {"format(\"\")", "\"\""},
	    {"formatlist(\"%s=%d\", [\"a\", \"b\"], [1, 2])", "[\"a=1\",\"b=2\"]"},
	    {"formatlist(\"%s-x\", [\"a\"])", "[\"a-x\"]"},
	    {"formatlist(\"%s%s\", [\"a\", \"b\"], \"c\")", "[\"ac\",\"bc\"]"},
	    {"formatlist(\"%s\", [])", "[]"},
	    {"formatlist(\"c%s\", \"a\")", "[\"ca\"]"},
	};

	EXPECT_HCL(cases);
}

static void wrong_arguments_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"upper()", "!1,1-8: Not enough function arguments; Function \"upper\" expects 1 argument(s), and 0 were given."},
	    {"upper(\"a\", \"b\")", "!1,1-16: Too many function arguments; Function \"upper\" expects only 1 argument(s), and 2 were given."},
	    {"upper([1])", "!1,7-10: Invalid function argument; Invalid value for argument 1 of \"upper\": string required. This is a tuple."},
	    {"upper(null)", "!1,7-11: Invalid function argument; Invalid value for argument 1 of \"upper\": argument must not be null. This is a null."},
	    {"indent(\"x\", \"a\")", "!1,8-11: Invalid function argument; Invalid value for argument 1 of \"indent\": a number is required. This is a string."},
	    {"substr(\"a\", \"b\", 1)", "!1,13-16: Invalid function argument; Invalid value for argument 2 of \"substr\": a number is required. This is a string."},
	    {"split(\",\", null)", "!1,12-16: Invalid function argument; Invalid value for argument 2 of \"split\": argument must not be null. This is a null."},
	    {"join(\",\", \"a\")", "!1,11-14: Invalid function argument; Invalid value for argument 2 of \"join\": list of string required. This is a string."},
	    {"join()", "!1,1-7: Not enough function arguments; Function \"join\" expects at least 1 argument(s)."},
	    {"replace(\"a\", \"b\")", "!1,1-18: Not enough function arguments; Function \"replace\" expects 3 argument(s), and 2 were given."},
	    {"regex_replace(\"a\", \"(\", \"b\")", "!1,1-29: Error in function call; Call to function \"regex_replace\" failed: the pattern is wrong at character 1: missing closing parenthesis."},
	    {"format(\"%d\", \"x\")", "!1,1-18: Error in function call; Call to function \"format\" failed: unsupported value for \"%d\": a number is required."},
	    {"format(\"%s\")", "!1,1-13: Error in function call; Call to function \"format\" failed: \"%s\" wants argument 1, and there are 0."},
	    {"format(\"%s\", 1, 2)", "!1,1-19: Error in function call; Call to function \"format\" failed: the text uses 1 arguments, and there are more."},
	    {"format(\"%z\", 1)", "!1,1-16: Error in function call; Call to function \"format\" failed: unsupported format verb 'z' in \"%z\"."},
	    {"format(\"%\", 1)", "!1,1-15: Error in function call; Call to function \"format\" failed: the % at offset 0 begins no verb."},
	    {"format(5 > 4, 1)", "!1,1-17: Error in function call; Call to function \"format\" failed: the text uses 0 arguments, and there are more."},
	    {"format(\"%d\", 1.5)", "!1,1-18: Error in function call; Call to function \"format\" failed: unsupported value for \"%d\": an integer is required."},
	    {"formatlist(\"%s%s\", [\"a\"], [\"b\", \"c\"])", "!1,1-38: Error in function call; Call to function \"formatlist\" failed: argument 2 has 2 elements, and an earlier one 1."},
	    {"formatlist(\"%d\", [\"x\"])", "!1,1-24: Error in function call; Call to function \"formatlist\" failed: unsupported value for \"%d\": a number is required."},
	    {"trim(\"a\")", "!1,1-10: Not enough function arguments; Function \"trim\" expects 2 argument(s), and 1 were given."},
	    {"format(\"%[9]s\", 1)", "!1,1-19: Error in function call; Call to function \"format\" failed: \"%[9]s\" wants argument 9, and there are 1."},
	    {"join(\",\", [[1]])", "!1,11-16: Invalid function argument; Invalid value for argument 2 of \"join\": list of string required. This is a tuple."},
	    {"strlen({})", "!1,8-10: Invalid function argument; Invalid value for argument 1 of \"strlen\": string required. This is a object."},
	    {"nope(\"x\")", "!1,1-10: Call to unknown function; There is no function named \"nope\"."},
	    {"uper(\"x\")", "!1,1-10: Call to unknown function; There is no function named \"uper\". Did you mean \"upper\"?"},
	    {"upper(\"a\"...)", "!1,1-14: Invalid expanding argument value; what ... expands is a list, tuple or set"},
	    {"max([]...)", "!1,1-11: Error in function call; Call to function \"max\" failed: at least one number is required."},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(case_and_blanks),
	    cmocka_unit_test(lengths_and_parts_count_characters),
	    cmocka_unit_test(joining_and_splitting),
	    cmocka_unit_test(replacing),
	    cmocka_unit_test(formats),
	    cmocka_unit_test(wrong_arguments_are_errors),
	};

	return RUN_TESTS(tests);
}
