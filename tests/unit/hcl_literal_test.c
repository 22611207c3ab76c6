/* What is written as a value: numbers, text, words, comments, lists and objects, and what is wrong with them. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void numbers_are_written_plainly(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"0", "0"},
	    {"7", "7"},
	    {"007", "7"},
	    {"-3", "-3"},
	    {"1.50", "1.5"},
	    {"0.1", "0.1"},
	    {"1e3", "1000"},
	    {"1E3", "1000"},
	    {"1.5e-3", "0.0015"},
	    {"2e+2", "200"},
	    {"12e0", "12"},
	    {"9007199254740993", "9007199254740993"},
	    {"9223372036854775807", "9223372036854775807"},
	    {"9223372036854775808", "9223372036854775808"},
	    {"123456789012345678901234567890", "123456789012345678901234567890"},
	    {"0.1234567890123456789", "0.1234567890123456789"},
	    {"1e21", "1000000000000000000000"},
	    {"1e-9", "0.000000001"},
	};

	EXPECT_HCL(cases);
}

static void what_is_no_number_is_an_error(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {".5", "!1,1-2: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"1.", "!1,2-3: Invalid attribute name; expected a name after the dot"},
	    {"1e", "!1,2-3: Extra characters after expression; the expression ends before this"},
	    {"0x10", "!1,2-5: Extra characters after expression; the expression ends before this"},
	    {"1_000", "!1,2-6: Extra characters after expression; the expression ends before this"},
	    {"1.2.3", "!1,1-6: Invalid index; this is a number, which has no indices"},
	    {"1e99999", "!1,1-8: Invalid number; this number is out of range"},
	    {"+1", "!1,1-2: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	};

	EXPECT_HCL(cases);
}

static void strings_know_the_escapes(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"plain\"", "\"plain\""},
	    {"\"\"", "\"\""},
	    {"\"q\\\" b\\\\ n\\n r\\r t\\t\"", "\"q\\\" b\\\\ n\\n r\\r t\\t\""},
	    {"\"\\u00e9 \\u20AC \\U0001F680\"", "\"é € 🚀\""},
	    {"\"$${x} %%{y}\"", "\"${x} %{y}\""},
	    {"\"$ % $$ %% $a %b\"", "\"$ % $$ %% $a %b\""},
	    {"\"a$\"", "\"a$\""},
	    {"\"${\"$\"}{x}\"", "\"${x}\""},
	    {"\"tab\there\"", "\"tab\\there\""},
	    {"\"ünï 码 🚀\"", "\"ünï 码 🚀\""},
	    {"\"\\u0041\\U00000042\"", "\"AB\""},
	    {"\"e\\u0301\"", "\"é\""},
	    {"\"\\\"\\\"\"", "\"\\\"\\\"\""},
	    {"\"{}\"", "\"{}\""},
	    {"\"}\"", "\"}\""},
	};

	EXPECT_HCL(cases);
}

static void bad_strings_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"\\x41\"", "!1,2-4: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"\\q\"", "!1,2-4: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"\\u12\"", "!1,2-6: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"\\uZZZZ\"", "!1,2-4: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"\\U00110000\"", "!1,2-12: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"\\uD800\"", "!1,2-8: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"open", "!1,1-2: Unterminated template string; the text has no closing quote"},
	    {"\"over\nlines\"", "!1,1-6: Invalid multi-line string; text in quotes ends on its line: write \\n for a line break, or <<EOF for text of several lines"},
	    {"\"ends with \\\"", "!1,1-2: Unterminated template string; the text has no closing quote"},
	    {"'single'", "!1,1-2: Invalid character; text is put in double quotes"},
	    {"`back`", "!1,1-2: Invalid character; text is put in double quotes, and text of several lines after <<EOF"},
	    {"\"\\u0000\"", "!1,2-8: Invalid escape sequence; The backslash introduces \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN; a backslash itself is written \\\\."},
	    {"\"${\"", "!1,4-5: Unterminated template string; the text has no closing quote"},
	    {"\"${1\"", "!1,5-6: Extra characters after interpolation expression; expected } here"},
	    {"\"%{\"", "!1,4-5: Invalid template directive; expected if, else, endif, for or endfor after %{"},
	    {"\"${}\"", "!1,4-5: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"\"${1 2}\"", "!1,6-7: Extra characters after interpolation expression; expected } here"},
	};

	EXPECT_HCL(cases);
}

static void words_are_values(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"true", "true"},
	    {"false", "false"},
	    {"null", "null"},
	    {"[true, null]", "[true,null]"},
	};

	EXPECT_HCL(cases);
}

static void words_are_names_where_names_are(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"{ true = 1 }", "{\"true\":1}"},
	    {"{ null = 2 }", "{\"null\":2}"},
	    {"{ for-each = 3 }", "{\"for-each\":3}"},
	    {"{ if = 1, else = 2, in = 3 }", "{\"else\":2,\"if\":1,\"in\":3}"},
	    {"{ a = 1 }.a", "1"},
	    {"{ for = 1 }", "!1,7-8: Invalid 'for' expression; expected one or two names and `in`, as in: for key, value in collection"},
	};

	EXPECT_HCL(cases);
}

static void comments_may_stand_between(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 /* a */ + /* b */ 2", "3"},
	    {"[1, # one\n2, // two\n3 /* three */]", "[1,2,3]"},
	    {"(1 # x\n+ 2)", "3"},
	    {"\"# none // here /* either */\"", "\"# none // here /* either */\""},
	    {"1 /* open", "!1,3-5: Unterminated comment; this comment has no closing */"},
	    {"1 /* a /* b */ + 1", "2"},
	};

	EXPECT_HCL(cases);
}

static void collections_are_written(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[]", "[]"},
	    {"{}", "{}"},
	    {"[1, 2,]", "[1,2]"},
	    {"[\n1,\n2\n]", "[1,2]"},
	    {"{ a = 1, b = 2 }", "{\"a\":1,\"b\":2}"},
	    {"{ a = 1\n b = 2 }", "{\"a\":1,\"b\":2}"},
	    {"{\na = 1,\nb = 2,\n}", "{\"a\":1,\"b\":2}"},
	    {"{ a : 1, \"b\" : 2 }", "{\"a\":1,\"b\":2}"},
	    {"{ (\"x\") = 1, \"${\"y\"}\" = 2, 5 = 3, 1.5 = 4 }", "{\"1.5\":4,\"5\":3,\"x\":1,\"y\":2}"},
	    {"{ a = 1, a = 2 }", "{\"a\":2}"},
	    {"[[[]]]", "[[[]]]"},
	    {"{ a = { b = [ { c = 1 } ] } }", "{\"a\":{\"b\":[{\"c\":1}]}}"},
	    {"{ é = 1, a-b = 2, _c = 3 }", "{\"_c\":3,\"a-b\":2,\"é\":1}"},
	};

	EXPECT_HCL(cases);
}

static void broken_collections_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[1 2]", "!1,4-5: Missing item separator; Expected a comma to mark the beginning of the next item."},
	    {"[1,,2]", "!1,4-5: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"[,]", "!1,2-3: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"[1", "!1,3-4: Missing item separator; Expected a comma to mark the beginning of the next item."},
	    {"{ a = 1 b = 2 }", "!1,9-10: Missing attribute separator; expected a comma or a new line before the next key"},
	    {"{ a }", "!1,5-6: Missing attribute value; expected = and a value after the key"},
	    {"{ a = }", "!1,7-8: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"{ = 1 }", "!1,3-4: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"{ a = 1", "!1,8-9: Missing attribute separator; expected a comma or a new line before the next key"},
	    {"(1", "!1,3-4: Unbalanced parentheses; expected ) here"},
	    {"1)", "!1,2-3: Extra characters after expression; the expression ends before this"},
	    {"{ a = 1,, b = 2 }", "!1,9-10: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"{ (null) = 1 }", "!1,3-9: Incorrect key type; Can't use a null as a key: keys are strings."},
	    {"{ ([]) = 1 }", "!1,3-7: Incorrect key type; Can't use a tuple as a key: keys are strings."},
	};

	EXPECT_HCL(cases);
}

static void what_follows_is_an_error(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 2", "!1,3-4: Extra characters after expression; the expression ends before this"},
	    {"1, 2", "!1,2-3: Extra characters after expression; the expression ends before this"},
	    {"a b", "!1,3-4: Extra characters after expression; the expression ends before this"},
	    {"\"a\" \"b\"", "!1,5-6: Extra characters after expression; the expression ends before this"},
	    {"1 =", "!1,3-4: Extra characters after expression; the expression ends before this"},
	    {"!", "!1,2-3: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"*", "!1,1-2: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"1 +", "!1,4-5: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"", "!1,1-2: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_are_written_plainly),
	    cmocka_unit_test(what_is_no_number_is_an_error),
	    cmocka_unit_test(strings_know_the_escapes),
	    cmocka_unit_test(bad_strings_are_errors),
	    cmocka_unit_test(words_are_values),
	    cmocka_unit_test(words_are_names_where_names_are),
	    cmocka_unit_test(comments_may_stand_between),
	    cmocka_unit_test(collections_are_written),
	    cmocka_unit_test(broken_collections_are_errors),
	    cmocka_unit_test(what_follows_is_an_error),
	};

	return RUN_TESTS(tests);
}
