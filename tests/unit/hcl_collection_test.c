/* Ways through collections: for expressions, splats and indices. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void lists_are_made_of_lists(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[for v in [1, 2] : v * 2]", "[2,4]"},
	    {"[for v in [] : v]", "[]"},
	    {"[for i, v in [\"a\", \"b\"] : \"${i}${v}\"]", "[\"0a\",\"1b\"]"},
	    {"[for v in [1, 2, 3] : v if v != 2]", "[1,3]"},
	    {"[for v in { b = 2, a = 1 } : v]", "[1,2]"},
	    {"[for k, v in { b = 2, a = 1 } : k]", "[\"a\",\"b\"]"},
	    {"[for v in toset([\"b\", \"a\"]) : v]", "[\"a\",\"b\"]"},
	    {"[for k, v in toset([\"x\"]) : k]", "[\"x\"]"},
	    {"[for a in [1, 2] : [for b in [10, 20] : a + b]]", "[[11,21],[12,22]]"},
	    {"[for v in [[1, 2], [3]] : v[0]]", "[1,3]"},
	    {"[for v in [1] : { x = v }]", "[{\"x\":1}]"},
	    {"[for x in [1] : [for x in [2] : x]]", "[[2]]"},
	    {"[for v in [null] : v]", "[null]"},
	    {"[for v in [1] : w]", "[\"${w}\"]"},
	};

	EXPECT_HCL(cases);
}

static void objects_are_made_of_lists(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"{ for v in [\"a\", \"b\"] : v => upper(v) }", "{\"a\":\"A\",\"b\":\"B\"}"},
	    {"{ for i, v in [\"x\"] : i => v }", "{\"0\":\"x\"}"},
	    {"{ for k, v in { a = 1, b = 2 } : v => k }", "{\"1\":\"a\",\"2\":\"b\"}"},
	    {"{ for v in [1, 2] : v => v if v > 1 }", "{\"2\":2}"},
	    {"{ for v in [] : v => v }", "{}"},
	    {"{ for v in [\"a\", \"b\", \"a\"] : v => 1... }", "{\"a\":[1,1],\"b\":[1]}"},
	    {"{ for i, v in [\"a\", \"b\", \"a\"] : v => i... }", "{\"a\":[0,2],\"b\":[1]}"},
	    {"{ for v in [true] : v => 1 }", "{\"true\":1}"},
	};

	EXPECT_HCL(cases);
}

static void broken_for_expressions_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[for v in 5 : v]", "!1,11-12: Iteration over non-iterable value; a for expression goes over a list, set, map or object, and this is a number"},
	    {"[for v in null : v]", "!1,11-15: Iteration over null value; a for expression goes over a list, set, map or object, and this is null"},
	    {"[for v in [1] v]", "!1,15-16: Invalid 'for' expression; expected a colon after the collection"},
	    {"[for in [1] : 1]", "!1,9-10: Invalid 'for' expression; expected one or two names and `in`, as in: for key, value in collection"},
	    {"[for v [1] : v]", "!1,8-9: Invalid 'for' expression; expected one or two names and `in`, as in: for key, value in collection"},
	    {"[for v in [1] : v if 5]", "!1,22-23: Incorrect condition type; The condition must be true or false; it is a number."},
	    {"[for v in [1] : v if null]", "!1,22-26: Incorrect condition type; The condition must be true or false; it is a null."},
	    {"{ for v in [1] : v }", "!1,20-21: Invalid 'for' expression; an object's `for` needs key => value"},
	    {"{ for v in [1, 1] : v => v }", "!1,21-22: Duplicate object key; two items have the key \"1\"; with ... after the value, items of one key are grouped"},
	    {"{ for v in [null] : v => 1 }", "!1,21-22: Incorrect key type; Can't use a null as a key: keys are strings."},
	    {"{ for v in [[1]] : v => 1 }", "!1,20-21: Incorrect key type; Can't use a tuple as a key: keys are strings."},
	    {"[for v in [1] : v...]", "!1,18-19: Invalid 'for' expression; expected the closing bracket of the `for` expression"},
	    {"[for a, b, c in [1] : a]", "!1,10-11: Invalid 'for' expression; expected one or two names and `in`, as in: for key, value in collection"},
	    {"[for v in \"text\" : v]", "!1,11-17: Iteration over non-iterable value; a for expression goes over a list, set, map or object, and this is a string"},
	    {"[for v in [1] : v if v]", "!1,22-23: Incorrect condition type; The condition must be true or false; it is a number."},
	};

	EXPECT_HCL(cases);
}

static void splats_walk(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[{ a = 1 }, { a = 2 }][*].a", "[1,2]"},
	    {"[{ a = 1 }, { a = 2 }].*.a", "[1,2]"},
	    {"[{ a = { b = 1 } }][*].a.b", "[1]"},
	    {"[[1, 2], [3, 4]][*][1]", "[2,4]"},
	    {"[[1, 2], [3, 4]].*[1]", "[3,4]"},
	    {"[{ a = [1, 2] }].*.a.1", "[2]"},
	    {"[{ a = [7, 8] }][*].a[1]", "[8]"},
	    {"[][*].a", "[]"},
	    {"\"s\"[*]", "[\"s\"]"},
	    {"{ a = 1 }[*].a", "[1]"},
	    {"null[*]", "[]"},
	    {"1[*]", "[1]"},
	    {"[1, 2][*]", "[1,2]"},
	    {"tolist([{ a = 1 }])[*].a", "[1]"},
	    {"toset([1, 2])[*]", "[1,2]"},
	    {"[{ a = [{ b = 1 }, { b = 2 }] }][*].a[*].b", "[[1,2]]"},
	    {"[[{ a = 1 }]][*].*.a", "[[1]]"},
	    {"[for x in [[1], [2]] : x[*]]", "[[1],[2]]"},
	};

	EXPECT_HCL(cases);
}

static void indices_pick(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[1, 2][1]", "2"},
	    {"[1, 2][\"1\"]", "2"},
	    {"[1, 2].1", "2"},
	    {"{ a = 1 }[\"a\"]", "1"},
	    {"{ a = 1 }.a", "1"},
	    {"{ a = { b = [5] } }.a.b[0]", "5"},
	    {"{ a = { b = [5] } }.a.b.0", "5"},
	    {"{ \"x y\" = 1 }[\"x y\"]", "1"},
	    {"tomap({ a = 1 })[\"a\"]", "1"},
	    {"tolist([1])[0]", "1"},
	    {"split(\",\", \"a,b\")[1]", "\"b\""},
	    {"([1])[0]", "1"},
	    {"[[1, [2]]][0][1][0]", "2"},
	    {"{ a = 1 } . a", "1"},
	    {"[1, 2, 3][1 + 1]", "3"},
	    {"{ \"1\" = \"x\" }[1]", "\"x\""},
	    {"{ true = 1 }[true]", "1"},
	    {"[{ a = 1 }][0].a", "1"},
	    {"[[5]].0.0", "5"},
	    {"{ a = [[5]] }.a[0].0", "5"},
	};

	EXPECT_HCL(cases);
}

static void bad_indices_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"[1][1]", "!1,1-7: Invalid index; the list has 1 elements, and the index is 1"},
	    {"[1][-1]", "!1,1-8: Invalid index; the list has 1 elements, and the index is -1"},
	    {"[1][0.5]", "!1,1-9: Invalid index; The index of a list must be a whole number."},
	    {"[1][\"a\"]", "!1,1-9: Invalid index; The index of a list must be a whole number."},
	    {"[1].a", "!1,1-6: Unsupported attribute; this is a tuple, which has no attributes"},
	    {"{ a = 1 }.b", "!1,1-12: Unsupported attribute; there is no \"b\" in this object. Did you mean \"a\"?"},
	    {"{ a = 1 }[\"b\"]", "!1,1-15: Invalid index; there is no element \"b\" in it"},
	    {"{ a = 1 }[null]", "!1,1-16: Invalid index; The index is null."},
	    {"\"s\"[0]", "!1,1-7: Invalid index; this is a string, which has no indices"},
	    {"5.a", "!1,1-4: Unsupported attribute; this is a number, which has no attributes"},
	    {"null.a", "!1,1-7: Attempt to get attribute from null value; This value is null, so it does not have any attributes."},
	    {"null[0]", "!1,1-8: Attempt to index null value; This value is null, so it does not have any indices."},
	    {"toset([1])[0]", "!1,1-14: Invalid index; a set has no order; convert(..., list(any)) gives one"},
	    {"[1][]", "!1,5-6: Invalid expression; expected a value: a number, text in quotes, true, false, null, a list, an object, a name or a call"},
	    {"[1][0", "!1,6-7: Missing close bracket on index; expected ] after the index"},
	    {"[1].", "!1,4-5: Invalid attribute name; expected a name after the dot"},
	    {"[][0]", "!1,1-6: Invalid index; the list has 0 elements, and the index is 0"},
	    {"{ image = 1 }.imgae", "!1,1-20: Unsupported attribute; there is no \"imgae\" in this object. Did you mean \"image\"?"},
	    {"true.a", "!1,1-7: Unsupported attribute; this is a bool, which has no attributes"},
	    {"[1][[0]]", "!1,1-9: Invalid index; The index of a list must be a whole number."},
	    {"{ a = 1 }[{}]", "!1,1-14: Invalid index; there is no element \"?\" in it"},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_are_made_of_lists),
	    cmocka_unit_test(objects_are_made_of_lists),
	    cmocka_unit_test(broken_for_expressions_are_errors),
	    cmocka_unit_test(splats_walk),
	    cmocka_unit_test(indices_pick),
	    cmocka_unit_test(bad_indices_are_errors),
	};

	return RUN_TESTS(tests);
}
