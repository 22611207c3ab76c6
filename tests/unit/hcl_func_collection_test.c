/* Functions over lists, sets, maps and objects. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void parts_of_lists(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"reverse(1)", "\"1\""},
	    {"chunklist([\"a\", \"b\", \"c\"], 2)", "[[\"a\",\"b\"],[\"c\"]]"},
	    {"chunklist([], 2)", "[]"},
	    {"chunklist([1, 2], 0)", "[[1,2]]"},
	    {"element([\"a\", \"b\"], 3)", "\"b\""},
	    {"element([\"a\"], 0)", "\"a\""},
	    {"slice([\"a\", \"b\", \"c\"], 1, 2)", "[\"b\"]"},
	    {"slice([\"a\"], 0, 0)", "[]"},
	    {"compact([\"a\", \"\", \"b\"])", "[\"a\",\"b\"]"},
	    {"distinct([\"a\", \"b\", \"a\"])", "[\"a\",\"b\"]"},
	    {"distinct([1, \"1\", 1])", "[\"1\"]"},
	    {"reverse([1, 2])", "[2,1]"},
	    {"flatten([[\"a\"], [], [\"b\", [\"c\"]]])", "[\"a\",\"b\",\"c\"]"},
	    {"flatten([1, [2]])", "[1,2]"},
	    {"flatten([])", "[]"},
	    {"sort([\"b\", \"C\", \"a\", \"10\", \"9\"])", "[\"10\",\"9\",\"C\",\"a\",\"b\"]"},
	    {"sort([10, 9])", "[\"10\",\"9\"]"},
	    {"index([\"a\", \"b\"], 1)", "\"b\""},
	    {"range(3)", "[0,1,2]"},
	    {"range(1, 4)", "[1,2,3]"},
	    {"range(0, 10, 4)", "[0,4,8]"},
	    {"range(3, 0)", "[3,2,1]"},
	    {"range(3, 0, -2)", "[3,1]"},
	    {"range(1, 2, 0.5)", "[1,1.5]"},
	    {"range(0)", "[]"},
	};

	EXPECT_HCL(cases);
}

static void first_of_several(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"coalesce(null, \"a\")", "\"a\""},
	    {"coalesce(\"\", \"a\")", "\"\""},
	    {"coalesce(null, 1, \"b\")", "\"1\""},
	    {"coalescelist([], [\"x\"])", "[\"x\"]"},
	    {"coalescelist([1], [\"x\"])", "[1]"},
	};

	EXPECT_HCL(cases);
}

static void joining_collections(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"zipmap([1], [\"a\"])", "{\"1\":\"a\"}"},
	    {"concat([\"a\"], [1])", "[\"a\",1]"},
	    {"concat([])", "[]"},
	    {"concat(tolist([\"a\"]), tolist([\"b\"]))", "[\"a\",\"b\"]"},
	    {"merge({ a = 1, b = 1 }, { b = \"two\" })", "{\"a\":1,\"b\":\"two\"}"},
	    {"merge()", "{}"},
	    {"merge({ a = 1 }, null)", "{\"a\":1}"},
	    {"merge(tomap({ a = 1 }), tomap({ b = 2 }))", "{\"a\":1,\"b\":2}"},
	    {"zipmap([\"a\", \"b\"], [1, \"x\"])", "{\"a\":1,\"b\":\"x\"}"},
	    {"zipmap([], [])", "{}"},
	    {"zipmap(tolist([\"a\"]), tolist([1]))", "{\"a\":1}"},
	    {"setproduct([\"a\", \"b\"], [1, 2])", "[[\"a\",1],[\"a\",2],[\"b\",1],[\"b\",2]]"},
	    {"setproduct([\"a\"], [])", "[]"},
	    {"setproduct(toset([\"b\", \"a\"]), toset([1]))", "[[\"a\",1],[\"b\",1]]"},
	};

	EXPECT_HCL(cases);
}

static void looking_into_collections(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"contains([\"a\"], \"a\")", "true"},
	    {"contains([1], \"1\")", "false"},
	    {"contains(toset([\"a\"]), \"b\")", "false"},
	    {"keys({ b = 1, a = 2 })", "[\"a\",\"b\"]"},
	    {"values({ b = 1, a = 2 })", "[2,1]"},
	    {"values({ b = 1, a = \"x\" })", "[\"x\",1]"},
	    {"length([1, 2])", "2"},
	    {"length({ a = 1 })", "1"},
	    {"length(toset([1, 1]))", "1"},
	    {"length([])", "0"},
	    {"lookup({ a = 1 }, \"a\", 0)", "1"},
	    {"lookup({ a = 1 }, \"b\", \"d\")", "\"d\""},
	    {"lookup(tomap({ a = 1 }), \"b\", \"7\")", "7"},
	    {"lookup({ a = 1 }, \"a\")", "1"},
	    {"index({ a = 1 }, \"a\")", "!1,1-22: Error in function call; Call to function \"index\" failed: takes a list or tuple and a number, or a map and a string."},
	};

	EXPECT_HCL(cases);
}

static void sets(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"setunion([\"b\", \"a\"], [\"c\", \"a\"])", "[\"a\",\"b\",\"c\"]"},
	    {"setunion([1], [\"a\"])", "[\"1\",\"a\"]"},
	    {"setintersection([\"a\", \"b\"], [\"b\", \"c\"])", "[\"b\"]"},
	    {"setintersection([\"a\"], [\"b\"])", "[]"},
	    {"setsubtract([\"a\", \"b\"], [\"b\"])", "[\"a\"]"},
	    {"toset([10, 9, 100])", "[9,10,100]"},
	    {"toset([\"é\", \"e\", \"z\"])", "[\"e\",\"z\",\"é\"]"},
	    {"toset([true, false])", "[false,true]"},
	    {"toset([[2], [1, 5]])", "[[1,5],[2]]"},
	    {"setunion([])", "[]"},
	};

	EXPECT_HCL(cases);
}

static void wrong_collections_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"index({ a = 1 }, \"a\")", "!1,1-22: Error in function call; Call to function \"index\" failed: takes a list or tuple and a number, or a map and a string."},
	    {"element([], 0)", "!1,1-15: Error in function call; Call to function \"element\" failed: the list is empty."},
	    {"element([\"a\"], -1)", "!1,1-19: Error in function call; Call to function \"element\" failed: the index is negative."},
	    {"slice([\"a\"], 0, 2)", "!1,1-19: Error in function call; Call to function \"slice\" failed: start and end are from 0 to 1, start not beyond end."},
	    {"slice([\"a\"], 1, 0)", "!1,1-19: Error in function call; Call to function \"slice\" failed: start and end are from 0 to 1, start not beyond end."},
	    {"slice([\"a\"], -1, 1)", "!1,1-20: Error in function call; Call to function \"slice\" failed: start and end are from 0 to 1, start not beyond end."},
	    {"chunklist([\"a\"], -1)", "!1,1-21: Error in function call; Call to function \"chunklist\" failed: the size argument must be positive."},
	    {"flatten(\"a\")", "!1,9-12: Invalid function argument; Invalid value for argument 1 of \"flatten\": a list, tuple or set is required. This is a string."},
	    {"keys([1])", "!1,6-9: Invalid function argument; Invalid value for argument 1 of \"keys\": a map or object is required. This is a tuple."},
	    {"values(1)", "!1,8-9: Invalid function argument; Invalid value for argument 1 of \"values\": a map or object is required. This is a number."},
	    {"length(5)", "!1,1-10: Error in function call; Call to function \"length\" failed: argument must be a list, a map or an object, not number."},
	    {"lookup({ a = 1 }, \"b\")", "!1,1-23: Error in function call; Call to function \"lookup\" failed: there is no \"b\" and no default."},
	    {"merge([1])", "!1,1-11: Error in function call; Call to function \"merge\" failed: arguments must be maps or objects, got tuple."},
	    {"merge({}, 1)", "!1,1-13: Error in function call; Call to function \"merge\" failed: arguments must be maps or objects, got number."},
	    {"zipmap([\"a\"], [])", "!1,1-18: Error in function call; Call to function \"zipmap\" failed: there are 1 keys and 0 values."},
	    {"concat(\"a\")", "!1,8-11: Invalid function argument; Invalid value for argument 1 of \"concat\": a list, tuple or set is required. This is a string."},
	    {"concat()", "!1,1-9: Error in function call; Call to function \"concat\" failed: at least one argument is required."},
	    {"coalesce()", "!1,1-11: Error in function call; Call to function \"coalesce\" failed: all arguments must have the same type."},
	    {"coalesce(null)", "!1,1-15: Error in function call; Call to function \"coalesce\" failed: no non-null arguments."},
	    {"coalescelist([])", "!1,1-17: Error in function call; Call to function \"coalescelist\" failed: no non-null arguments."},
	    {"range(0, 1, 0)", "!1,1-15: Error in function call; Call to function \"range\" failed: step must not be zero."},
	    {"range(0, 10, -1)", "!1,1-17: Error in function call; Call to function \"range\" failed: the step leads away from the limit."},
	    {"range(0, 99999999)", "!1,1-19: Error in function call; Call to function \"range\" failed: a range has at most 1024 numbers."},
	    {"range(\"x\")", "!1,7-10: Invalid function argument; Invalid value for argument 1 of \"range\": a number is required. This is a string."},
	    {"range()", "!1,1-8: Not enough function arguments; Function \"range\" expects 1 argument(s), and 0 were given."},
	    {"sort([[1]])", "!1,6-11: Invalid function argument; Invalid value for argument 1 of \"sort\": list of string required. This is a tuple."},
	    {"sort(\"a\")", "!1,6-9: Invalid function argument; Invalid value for argument 1 of \"sort\": list of string required. This is a string."},
	    {"distinct(\"a\")", "!1,10-13: Invalid function argument; Invalid value for argument 1 of \"distinct\": list required. This is a string."},
	    {"contains(\"a\", \"a\")", "!1,10-13: Invalid function argument; Invalid value for argument 1 of \"contains\": a list, tuple or set is required. This is a string."},
	    {"setunion(\"a\")", "!1,10-13: Invalid function argument; Invalid value for argument 1 of \"setunion\": set required. This is a string."},
	    {"setintersection()", "!1,1-18: Not enough function arguments; Function \"setintersection\" expects at least 1 argument(s)."},
	    {"index([1], 3)", "!1,1-14: Error in function call; Call to function \"index\" failed: the index is from 0 to 0."},
	    {"setproduct()", "!1,1-13: Error in function call; Call to function \"setproduct\" failed: at least two arguments are required."},
	    {"setproduct([1])", "!1,1-16: Error in function call; Call to function \"setproduct\" failed: at least two arguments are required."},
	    {"compact([[1]])", "!1,9-14: Invalid function argument; Invalid value for argument 1 of \"compact\": list of string required. This is a tuple."},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_of_lists),
	    cmocka_unit_test(first_of_several),
	    cmocka_unit_test(joining_collections),
	    cmocka_unit_test(looking_into_collections),
	    cmocka_unit_test(sets),
	    cmocka_unit_test(wrong_collections_are_errors),
	};

	return RUN_TESTS(tests);
}
