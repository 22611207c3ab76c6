/* Functions over numbers. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void rounding_and_signs(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"abs(-5)", "5"},
	    {"abs(0.25)", "0.25"},
	    {"ceil(1.1)", "2"},
	    {"ceil(-1.9)", "-1"},
	    {"floor(1.9)", "1"},
	    {"floor(-1.1)", "-2"},
	    {"signum(-7)", "-1"},
	    {"signum(0)", "0"},
	    {"signum(3)", "1"},
	    {"ceil(5)", "5"},
	};

	EXPECT_HCL(cases);
}

static void powers_and_logarithms(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"pow(2, 10)", "1024"},
	    {"pow(2, -1)", "0.5"},
	    {"pow(2, 0.5)", "1.4142135623730951"},
	    {"\"${pow(2, 64)}!\"", "\"18446744073709550000!\""},
	    {"pow(0, 0)", "1"},
	    {"log(8, 2)", "3"},
	    {"log(100, 10)", "2"},
	    {"log(1000, 10)", "2.9999999999999996"},
	    {"log(1, 5)", "0"},
	    {"\"${pow(3, 39)}!\"", "\"4052555153018976000!\""},
	    {"\"${pow(10, 23)}!\"", "\"100000000000000000000000!\""},
	};

	EXPECT_HCL(cases);
}

static void extremes_and_sums(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"max(1, 3, 2)", "3"},
	    {"min(3, 1, 2)", "1"},
	    {"max(0.5)", "0.5"},
	    {"min(\"2\", 10)", "2"},
	    {"max([1, 5, 3]...)", "5"},
	    {"sum([1, 2.5])", "3.5"},
	};

	EXPECT_HCL(cases);
}

static void reading_of_other_bases(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"parseint(10, 10)", "10"},
	    {"parseint(\"ff\", 16)", "255"},
	    {"parseint(\"-777\", 8)", "-511"},
	    {"parseint(\"1010\", 2)", "10"},
	    {"parseint(\"zz\", 36)", "1295"},
	    {"parseint(\"Zz\", 62)", "3817"},
	    {"parseint(\"ffffffffffffffff\", 16)", "18446744073709551615"},
	    {"parseint(\"10\", 10)", "10"},
	};

	EXPECT_HCL(cases);
}

static void wrong_numbers_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"abs(\"x\")", "!1,5-8: Invalid function argument; Invalid value for argument 1 of \"abs\": a number is required. This is a string."},
	    {"abs()", "!1,1-6: Not enough function arguments; Function \"abs\" expects 1 argument(s), and 0 were given."},
	    {"max()", "!1,1-6: Error in function call; Call to function \"max\" failed: at least one number is required."},
	    {"min(\"a\")", "!1,5-8: Invalid function argument; Invalid value for argument 1 of \"min\": a number is required. This is a string."},
	    {"log(0, 2)", "!1,1-10: Error in function call; Call to function \"log\" failed: the result is not a number."},
	    {"log(-1, 2)", "!1,1-11: Error in function call; Call to function \"log\" failed: the result is not a number."},
	    {"pow(0, -1)", "!1,1-11: Error in function call; Call to function \"pow\" failed: the result is not a number."},
	    {"pow(10, 400)", "!1,1-13: Error in function call; Call to function \"pow\" failed: the result is not a number."},
	    {"parseint(\"9\", 8)", "!1,1-17: Error in function call; Call to function \"parseint\" failed: \"9\" is no whole number to base 8."},
	    {"parseint(\"a\", 1)", "!1,1-17: Error in function call; Call to function \"parseint\" failed: the base is a whole number from 2 to 62."},
	    {"parseint(\"a\", 63)", "!1,1-18: Error in function call; Call to function \"parseint\" failed: the base is a whole number from 2 to 62."},
	    {"parseint(\"\", 10)", "!1,1-17: Error in function call; Call to function \"parseint\" failed: \"\" is no whole number to base 10."},
	    {"parseint(\"1.5\", 10)", "!1,1-20: Error in function call; Call to function \"parseint\" failed: \"1.5\" is no whole number to base 10."},
	    {"floor(null)", "!1,7-11: Invalid function argument; Invalid value for argument 1 of \"floor\": argument must not be null. This is a null."},
	    {"sum([])", "!1,1-8: Error in function call; Call to function \"sum\" failed: cannot sum an empty list."},
	    {"sum([\"x\"])", "!1,5-10: Invalid function argument; Invalid value for argument 1 of \"sum\": a number is required. This is a tuple."},
	    {"log(10, 1)", "!1,1-11: Error in function call; Call to function \"log\" failed: the result is not a number."},
	    {"pow(-1, 0.5)", "!1,1-13: Error in function call; Call to function \"pow\" failed: the result is not a number."},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rounding_and_signs),
	    cmocka_unit_test(powers_and_logarithms),
	    cmocka_unit_test(extremes_and_sums),
	    cmocka_unit_test(reading_of_other_bases),
	    cmocka_unit_test(wrong_numbers_are_errors),
	};

	return RUN_TESTS(tests);
}
