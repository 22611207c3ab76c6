/* Types: conversions, constraints as they are written, which type a value has. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void values_convert_as_asked(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"convert(\"5\", number)", "5"},
	    {"convert(5, string)", "\"5\""},
	    {"convert(true, string)", "\"true\""},
	    {"convert(\"true\", bool)", "true"},
	    {"convert(\"1\", bool)", "true"},
	    {"convert(\"0\", bool)", "false"},
	    {"convert([1, \"2\"], list(number))", "[1,2]"},
	    {"convert([1, true], list(string))", "[\"1\",\"true\"]"},
	    {"convert([\"b\", \"a\", \"b\"], set(string))", "[\"a\",\"b\"]"},
	    {"convert({ a = 1 }, map(string))", "{\"a\":\"1\"}"},
	    {"convert({ a = \"1\", b = 2 }, object({ a = number }))", "{\"a\":1}"},
	    {"convert([\"1\", 2], tuple([number, string]))", "[1,\"2\"]"},
	    {"convert([1, \"x\"], list(any))", "[\"1\",\"x\"]"},
	    {"convert([1, 2], set(any))", "[1,2]"},
	    {"convert(null, string)", "null"},
	    {"convert([null], list(string))", "[null]"},
	    {"convert([[1], [\"x\"]], list(list(string)))", "[[\"1\"],[\"x\"]]"},
	    {"convert([{ a = 1 }, { a = \"x\" }], list(object({ a = string })))", "[{\"a\":\"1\"},{\"a\":\"x\"}]"},
	    {"convert(tomap({ a = 1 }), object({ a = string }))", "{\"a\":\"1\"}"},
	    {"convert(toset([2, 1]), list(number))", "[1,2]"},
	    {"convert([], list(string))", "[]"},
	    {"convert({}, map(number))", "{}"},
	    {"convert(1, any)", "1"},
	    {"convert({ a = null }, map(string))", "{\"a\":null}"},
	};

	EXPECT_HCL(cases);
}

static void what_cannot_convert_is_an_error(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"convert({ a = 1, b = true }, map(any))", "!1,1-39: Error in function call; Call to function \"convert\" failed: map required."},
	    {"convert(tolist([1, 2]), tuple([number, number]))", "!1,1-49: Error in function call; Call to function \"convert\" failed: tuple of 2 elements required."},
	    {"convert(\"x\", number)", "!1,1-21: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert(\"yes\", bool)", "!1,1-21: Error in function call; Call to function \"convert\" failed: a bool is required."},
	    {"convert(5, bool)", "!1,1-17: Error in function call; Call to function \"convert\" failed: a bool is required."},
	    {"convert(true, number)", "!1,1-22: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert([1], string)", "!1,1-21: Error in function call; Call to function \"convert\" failed: string required."},
	    {"convert(\"a\", list(string))", "!1,1-27: Error in function call; Call to function \"convert\" failed: list of string required."},
	    {"convert({ a = 1 }, list(number))", "!1,1-33: Error in function call; Call to function \"convert\" failed: list of number required."},
	    {"convert([1], map(number))", "!1,1-26: Error in function call; Call to function \"convert\" failed: map of number required."},
	    {"convert({ a = 1 }, object({ b = number }))", "!1,1-43: Error in function call; Call to function \"convert\" failed: attribute \"b\" is required."},
	    {"convert([1], tuple([number, number]))", "!1,1-38: Error in function call; Call to function \"convert\" failed: tuple of 2 elements required."},
	    {"convert([1, [2]], list(any))", "!1,1-29: Error in function call; Call to function \"convert\" failed: list required."},
	    {"convert({ a = \"x\" }, map(number))", "!1,1-34: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert([[\"x\"]], list(list(number)))", "!1,1-37: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert([\"a\", \"x\"], list(number))", "!1,1-34: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert(\"1.0.0\", number)", "!1,1-25: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert(\"\", number)", "!1,1-20: Error in function call; Call to function \"convert\" failed: a number is required."},
	    {"convert(\"TRUE\", bool)", "!1,1-22: Error in function call; Call to function \"convert\" failed: a bool is required."},
	};

	EXPECT_HCL(cases);
}

static void constraints_are_written_so(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"convert(1, foo)", "!1,12-15: Invalid type specification; there is no type \"foo\": expected string, number, bool, any, list(), set(), map(), object({}) or tuple([])"},
	    {"convert(1, list)", "!1,1-17: Error in function call; Call to function \"convert\" failed: list required."},
	    {"convert([1], list())", "!1,14-20: Invalid type specification; the type list has one argument, the type of its elements"},
	    {"convert([1], list(string, string))", "!1,14-34: Invalid type specification; the type list has one argument, the type of its elements"},
	    {"convert(1, object({}))", "!1,1-23: Error in function call; Call to function \"convert\" failed: object required."},
	    {"convert(1, object)", "!1,12-18: Invalid type specification; there is no type \"object\": expected string, number, bool, any, list(), set(), map(), object({}) or tuple([])"},
	    {"convert([1], tuple(number))", "!1,20-26: Invalid type specification; expected tuple([type, ...])"},
	    {"convert([1], tuple([]))", "!1,1-24: Error in function call; Call to function \"convert\" failed: tuple of 0 elements required."},
	    {"convert(1, \"string\")", "\"1\""},
	    {"convert(1, list(foo))", "!1,17-20: Invalid type specification; there is no type \"foo\": expected string, number, bool, any, list(), set(), map(), object({}) or tuple([])"},
	    {"convert({ a = 1 }, object({ a = number, a = string }))", "!1,27-53: Invalid type specification; each member is named once"},
	    {"convert(1, optional(string))", "!1,12-28: Invalid type specification; there is no type \"optional\": expected string, number, bool, any, list(), set(), map(), object({}) or tuple([])"},
	    {"convert(1, object([string]))", "!1,19-27: Invalid type specification; expected object({ name = type, ... })"},
	    {"convert(1)", "!1,1-11: Error in function call; Call to function \"convert\" failed: takes a value and a type."},
	    {"convert(1, number, string)", "!1,1-27: Error in function call; Call to function \"convert\" failed: takes a value and a type."},
	};

	EXPECT_HCL(cases);
}

static void types_have_names(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"1", "number"},
	    {"\"a\"", "string"},
	    {"true", "bool"},
	    {"null", "any type"},
	    {"[1, \"a\"]", "tuple"},
	    {"{ a = 1, b = [true] }", "object"},
	    {"tolist([1])", "list of number"},
	    {"toset([\"a\"])", "set of string"},
	    {"tomap({ a = 1 })", "map of number"},
	    {"[]", "tuple"},
	    {"{}", "object"},
	    {"tolist([])", "list"},
	    {"[for v in [1] : v]", "tuple"},
	    {"true ? [1] : [\"a\"]", "tuple"},
	    {"true ? [1, 2] : [\"a\"]", "list of string"},
	    {"convert([{ a = 1 }], list(object({ a = string })))", "list of object"},
	    {"keys({ a = 1 })", "tuple"},
	    {"values({ a = 1 })", "tuple"},
	    {"split(\",\", \"a\")", "list of string"},
	    {"range(2)", "list of number"},
	    {"concat([1], [\"a\"])", "tuple"},
	    {"concat(tolist([1]), tolist([2]))", "list of number"},
	    {"merge({ a = 1 }, { b = \"x\" })", "object"},
	    {"setunion([1], [2])", "set of number"},
	    {"flatten([[1], [\"a\"]])", "tuple"},
	    {"true ? null : 1", "number"},
	};

	EXPECT_TYPES(cases);
}

static void short_conversions(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"tostring(1)", "\"1\""},
	    {"tostring(true)", "\"true\""},
	    {"tostring(null)", "null"},
	    {"tonumber(\"1.5\")", "1.5"},
	    {"tobool(\"true\")", "true"},
	    {"tolist([\"a\", 1])", "[\"a\",\"1\"]"},
	    {"tolist(toset([2, 1]))", "[1,2]"},
	    {"toset([1, \"1\"])", "[\"1\"]"},
	    {"tomap({ a = 1, b = \"x\" })", "{\"a\":\"1\",\"b\":\"x\"}"},
	    {"tonumber(\"a\")", "!1,1-14: Error in function call; Call to function \"tonumber\" failed: a string cannot be converted to number."},
	    {"tobool(1)", "!1,1-10: Error in function call; Call to function \"tobool\" failed: a number cannot be converted to bool."},
	    {"tostring([])", "!1,1-13: Error in function call; Call to function \"tostring\" failed: a tuple cannot be converted to string."},
	    {"tolist({})", "!1,8-10: Invalid function argument; Invalid value for argument 1 of \"tolist\": list required. This is a object."},
	    {"tomap([1])", "!1,7-10: Invalid function argument; Invalid value for argument 1 of \"tomap\": a map or object is required. This is a tuple."},
	    {"toset(\"a\")", "!1,7-10: Invalid function argument; Invalid value for argument 1 of \"toset\": set required. This is a string."},
	};

	EXPECT_HCL(cases);
}

static void try_takes_the_first_that_works(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"try(1)", "1"},
	    {"try([1][5], 2)", "2"},
	    {"try({ a = 1 }.b, null, 3)", "null"},
	    {"try(\"x\" + 1, \"fallback\")", "\"fallback\""},
	    {"try([1][5], {}.x)", "!1,1-18: Error in function call; Call to function \"try\" failed: none of its arguments works."},
	    {"try()", "!1,1-6: Error in function call; Call to function \"try\" failed: none of its arguments works."},
	    {"can([1][5])", "false"},
	    {"can([1][0])", "true"},
	    {"can(\"x\" + 1)", "false"},
	    {"can(1, 2)", "!1,1-10: Error in function call; Call to function \"can\" failed: takes one argument."},
	    {"try(nope(), 1)", "1"},
	    {"can(nope())", "false"},
	    {"try(jsondecode(\"{\"), \"bad\")", "\"bad\""},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_convert_as_asked),
	    cmocka_unit_test(what_cannot_convert_is_an_error),
	    cmocka_unit_test(constraints_are_written_so),
	    cmocka_unit_test(types_have_names),
	    cmocka_unit_test(short_conversions),
	    cmocka_unit_test(try_takes_the_first_that_works),
	};

	return RUN_TESTS(tests);
}
