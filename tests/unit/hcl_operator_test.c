/* Operators and conditions: what they give, how they bind, which types they want. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void arithmetic_is_decimal(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 + 2", "3"},
	    {"0.1 + 0.2", "0.3"},
	    {"1 - 0.9", "0.10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000003"},
	    {"1.1 * 3", "3.3000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002"},
	    {"7 / 2", "3.5"},
	    {"10 / 5", "2"},
	    {"1 / 3", "0.33333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333335"},
	    {"10 % 3", "1"},
	    {"-7 % 3", "-1"},
	    {"7 % -3", "1"},
	    {"5.5 % 2", "1.5"},
	    {"5 % 0", "5"},
	    {"2 * -3", "-6"},
	    {"-(-5)", "5"},
	    {"--1", "1"},
	    {"- 5", "-5"},
	    {"9007199254740993 + 1", "9007199254740994"},
	    {"1e21 + 1", "1000000000000000000001"},
	    {"3 - 3", "0"},
	    {"0 * -1", "-0"},
	};

	EXPECT_HCL(cases);
}

static void operators_bind_as_usual(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 + 2 * 3", "7"},
	    {"(1 + 2) * 3", "9"},
	    {"10 - 4 - 3", "3"},
	    {"100 / 10 / 2", "5"},
	    {"1 + 2 == 3", "true"},
	    {"1 < 2 == true", "true"},
	    {"true || false && false", "true"},
	    {"!true || true", "true"},
	    {"!(true || true)", "false"},
	    {"-2 * 3", "-6"},
	    {"1 + 2 > 2 && 3 >= 3", "true"},
	    {"2 * 3 % 4", "2"},
	    {"1 == 1 == true", "true"},
	    {"true ? 1 : false ? 2 : 3", "1"},
	    {"false ? 1 : true ? 2 : 3", "2"},
	};

	EXPECT_HCL(cases);
}

static void comparisons_want_numbers(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 < 2", "true"},
	    {"2 <= 2", "true"},
	    {"3 > 4", "false"},
	    {"4 >= 5", "false"},
	    {"\"2\" < 10", "true"},
	    {"\"10\" < \"9\"", "false"},
	    {"1.0 >= 1", "true"},
	};

	EXPECT_HCL(cases);
}

static void equality_looks_at_types(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 == 1.0", "true"},
	    {"1 == \"1\"", "false"},
	    {"\"a\" == \"a\"", "true"},
	    {"true == \"true\"", "false"},
	    {"1 != \"1\"", "true"},
	    {"null == null", "true"},
	    {"null == 1", "false"},
	    {"[1] == [1]", "true"},
	    {"[1] == [2]", "false"},
	    {"[1] == [\"1\"]", "false"},
	    {"{ a = 1 } == { a = 1 }", "true"},
	    {"{ a = 1 } == { b = 1 }", "false"},
	    {"[] == {}", "false"},
	    {"[1, 2] == tolist([1, 2])", "false"},
	    {"tolist([1]) == tolist([1])", "true"},
	    {"toset([1, 2]) == toset([2, 1])", "true"},
	    {"{ a = null } == { a = null }", "true"},
	    {"tomap({ a = 1 }) == { a = 1 }", "false"},
	};

	EXPECT_HCL(cases);
}

static void logic_wants_booleans(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"true && false", "false"},
	    {"true && true", "true"},
	    {"false || true", "true"},
	    {"false || false", "false"},
	    {"!true", "false"},
	    {"!!true", "true"},
	    {"\"true\" && true", "true"},
	    {"!\"false\"", "true"},
	    {"true && 1 == 1", "true"},
	};

	EXPECT_HCL(cases);
}

static void text_that_is_a_number_counts(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"\"5\" + 1", "6"},
	    {"\"2\" * \"3\"", "6"},
	    {"-\"7\"", "-7"},
	    {"\"1e2\" + 0", "100"},
	    {"\"0.5\" * 2", "1"},
	};

	EXPECT_HCL(cases);
}

static void wrong_operands_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 + \"a\"", "!1,5-8: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	    {"1 + true", "!1,5-9: Invalid operand; Unsuitable value for operand: a number is required, and this is bool."},
	    {"[1] + [2]", "!1,1-4: Invalid operand; Unsuitable value for operand: a number is required, and this is tuple."},
	    {"\"a\" + \"b\"", "!1,1-4: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	    {"1 < \"a\"", "!1,5-8: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	    {"true < false", "!1,1-5: Invalid operand; Unsuitable value for operand: a number is required, and this is bool."},
	    {"1 && true", "!1,1-2: Invalid operand; Unsuitable value for operand: a bool is required, and this is number."},
	    {"null + 1", "!1,1-5: Invalid operand; Unsuitable value for operand: a number is required, and this is null."},
	    {"-\"a\"", "!1,2-5: Invalid operand; Unsuitable value for operand: a number is required, and this is string."},
	    {"!1", "!1,2-3: Invalid operand; Unsuitable value for operand: a bool is required, and this is number."},
	    {"!null", "!1,2-6: Invalid operand; Unsuitable value for operand: a bool is required, and this is null."},
	    {"1 / 0", "!1,1-6: Operation failed; the result is not a number that can be held: division by zero, or out of range"},
	    {"{} || true", "!1,1-3: Invalid operand; Unsuitable value for operand: a bool is required, and this is object."},
	    {"null && true", "!1,1-5: Invalid operand; Unsuitable value for operand: a bool is required, and this is null."},
	    {"1 == ", "!1,6-7: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"1 === 1", "!1,5-6: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"1 <> 2", "!1,4-5: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"a & b", "!1,3-4: Extra characters after expression; the expression ends before this"},
	};

	EXPECT_HCL(cases);
}

static void operators_may_stand_at_line_ends_in_brackets(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"(1\n+ 2\n)", "3"},
	    {"[1 +\n1,\n2]", "[2,2]"},
	    {"(\ntrue\n&& false\n)", "false"},
	    {"join(\",\",\n[\"a\",\n\"b\"])", "\"a,b\""},
	};

	EXPECT_HCL(cases);
}

static void conditions_choose(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"true ? 1 : 2", "1"},
	    {"false ? 1 : 2", "2"},
	    {"1 > 2 ? \"a\" : \"b\"", "\"b\""},
	    {"\"true\" ? 1 : 2", "1"},
	    {"true ? null : 1", "null"},
	    {"false ? null : \"x\"", "\"x\""},
	    {"null == null ? 1 : 2", "1"},
	};

	EXPECT_HCL(cases);
}

static void arms_get_one_type(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"true ? 1 : \"a\"", "\"1\""},
	    {"false ? true : \"a\"", "\"a\""},
	    {"true ? [1, true] : [\"a\", \"b\"]", "[\"1\",\"true\"]"},
	    {"true ? [1, 2] : [\"a\"]", "[\"1\",\"2\"]"},
	    {"true ? [] : [1]", "[]"},
	    {"true ? { a = 1 } : { a = \"x\" }", "{\"a\":\"1\"}"},
	    {"true ? { a = 1 } : { b = \"x\" }", "{\"a\":\"1\"}"},
	    {"true ? { a = 1 } : {}", "{\"a\":1}"},
	    {"true ? toset([1]) : toset([\"a\"])", "[\"1\"]"},
	    {"true ? [1] : toset([2])", "[1]"},
	    {"true ? tolist([1]) : [\"x\"]", "[\"1\"]"},
	    {"true ? { a = [1] } : { a = [\"x\"] }", "{\"a\":[\"1\"]}"},
	    {"true ? [[1]] : [[\"a\"], [\"b\"]]", "[[\"1\"]]"},
	    {"true ? [{ a = 1 }] : []", "[{\"a\":1}]"},
	    {"true ? null : [1]", "null"},
	    {"true ? [null] : [1]", "[null]"},
	};

	EXPECT_HCL(cases);
}

static void arms_without_a_common_type_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"true ? 1 : [1]", "!1,1-15: Inconsistent conditional result types; both values must have a common type, and they are number and tuple"},
	    {"true ? [] : {}", "!1,1-15: Inconsistent conditional result types; both values must have a common type, and they are tuple and object"},
	    {"true ? { a = 1 } : [1]", "!1,1-23: Inconsistent conditional result types; both values must have a common type, and they are object and tuple"},
	    {"true ? \"x\" : { a = 1 }", "!1,1-23: Inconsistent conditional result types; both values must have a common type, and they are string and object"},
	    {"true ? { a = 1 } : { b = [1] }", "!1,1-31: Inconsistent conditional result types; both values must have a common type, and they are object and object"},
	};

	EXPECT_HCL(cases);
}

static void only_the_chosen_arm_is_asked(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"true ? 1 : [1][7]", "1"},
	    {"false ? nope() : 2", "2"},
	    {"true ? \"a\" : 1 / 0", "\"a\""},
	};

	EXPECT_HCL(cases);
}

static void bad_conditions_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1 ? 2 : 3", "!1,1-2: Incorrect condition type; The condition must be true or false; it is a number."},
	    {"null ? 1 : 2", "!1,1-5: Incorrect condition type; The condition must be true or false; it is a null."},
	    {"[] ? 1 : 2", "!1,1-3: Incorrect condition type; The condition must be true or false; it is a tuple."},
	    {"\"maybe\" ? 1 : 2", "!1,1-8: Incorrect condition type; The condition must be true or false; it is a string."},
	    {"true ? 1", "!1,9-10: Missing false expression in conditional; expected : and the other value, as in condition ? yes : no"},
	    {"true ? 1 :", "!1,11-12: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"true : 1", "!1,6-7: Extra characters after expression; the expression ends before this"},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(arithmetic_is_decimal),
	    cmocka_unit_test(operators_bind_as_usual),
	    cmocka_unit_test(comparisons_want_numbers),
	    cmocka_unit_test(equality_looks_at_types),
	    cmocka_unit_test(logic_wants_booleans),
	    cmocka_unit_test(text_that_is_a_number_counts),
	    cmocka_unit_test(wrong_operands_are_errors),
	    cmocka_unit_test(operators_may_stand_at_line_ends_in_brackets),
	    cmocka_unit_test(conditions_choose),
	    cmocka_unit_test(arms_get_one_type),
	    cmocka_unit_test(arms_without_a_common_type_are_errors),
	    cmocka_unit_test(only_the_chosen_arm_is_asked),
	    cmocka_unit_test(bad_conditions_are_errors),
	};

	return RUN_TESTS(tests);
}
