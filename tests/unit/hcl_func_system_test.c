/* Functions over dates, networks, paths and files. */
#include "tests/lib/hcl_try.h"
#include "tests/lib/test.h"

static void dates_are_formatted(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"formatdate(\"YYYY-MM-DD'T'hh:mm:ssZ\", \"2021-06-15T09:05:03Z\")", "\"2021-06-15T09:05:03Z\""},
	    {"formatdate(\"EEEE, D MMMM YYYY H:mm AA\", \"2021-06-05T13:05:03Z\")", "\"Saturday, 5 June 2021 1:05 PM\""},
	    {"formatdate(\"EEE DD.MM.YY h:m:s aa ZZZ\", \"2021-01-02T03:04:05+02:00\")", "\"Sat 02.01.21 3:4:5 am +0200\""},
	    {"formatdate(\"Z ZZZZ ZZZZZ\", \"2021-01-02T03:04:05-05:30\")", "\"-05:30 -0530 -05:30\""},
	    {"formatdate(\"Z ZZZ ZZZZ ZZZZZ\", \"2021-01-02T03:04:05Z\")", "\"Z UTC +0000 +00:00\""},
	    {"formatdate(\"hh 'o''clock' ''\", \"2021-01-02T03:04:05Z\")", "\"03 o'clock '\""},
	    {"formatdate(\"HH aa\", \"2021-01-02T00:00:00Z\")", "\"12 am\""},
	    {"formatdate(\"M MM MMM\", \"2021-11-02T00:00:00Z\")", "\"11 11 Nov\""},
	    {"formatdate(\"\", \"2021-01-02T00:00:00Z\")", "\"\""},
	};

	EXPECT_HCL(cases);
}

static void times_are_added(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"timeadd(\"2021-12-31T23:59:59Z\", \"1s\")", "\"2022-01-01T00:00:00Z\""},
	    {"timeadd(\"2021-03-01T00:00:00+01:00\", \"-24h\")", "\"2021-02-28T00:00:00+01:00\""},
	    {"timeadd(\"2020-02-28T12:00:00Z\", \"24h\")", "\"2020-02-29T12:00:00Z\""},
	    {"timeadd(\"2021-01-01T00:00:00Z\", \"1h30m\")", "\"2021-01-01T01:30:00Z\""},
	    {"timeadd(\"2021-01-01T00:00:00Z\", \"500ms\")", "\"2021-01-01T00:00:00Z\""},
	    {"strlen(timestamp())", "20"},
	};

	EXPECT_HCL(cases);
}

static void networks_are_cut(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"cidrnetmask(\"fd00::/8\")", "\"ff00::\""},
	    {"cidrhost(\"10.12.127.0/20\", 16)", "\"10.12.112.16\""},
	    {"cidrhost(\"10.0.0.0/24\", -2)", "\"10.0.0.254\""},
	    {"cidrhost(\"fd00:fd12:3456:7890::/64\", 34)", "\"fd00:fd12:3456:7890::22\""},
	    {"cidrnetmask(\"172.16.0.0/12\")", "\"255.240.0.0\""},
	    {"cidrnetmask(\"10.0.0.0/0\")", "\"0.0.0.0\""},
	    {"cidrsubnet(\"172.16.0.0/12\", 4, 2)", "\"172.18.0.0/16\""},
	    {"cidrsubnet(\"fd00:fd12:3456:7800::/56\", 8, 34)", "\"fd00:fd12:3456:7822::/64\""},
	    {"cidrsubnet(\"10.0.0.0/8\", 0, 0)", "\"10.0.0.0/8\""},
	    {"cidrsubnets(\"10.1.0.0/16\", 4, 4, 8, 4)", "[\"10.1.0.0/20\",\"10.1.16.0/20\",\"10.1.32.0/24\",\"10.1.48.0/20\"]"},
	    {"cidrsubnets(\"10.0.0.0/8\")", "[]"},
	};

	EXPECT_HCL(cases);
}

static void paths_are_cut(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"basename(\"/a/b/c.txt\")", "\"c.txt\""},
	    {"dirname(\"/a/b/c.txt\")", "\"/a/b\""},
	    {"basename(\"c\")", "\"c\""},
	    {"dirname(\"c\")", "\".\""},
	    {"basename(\"/a/\")", "\"a\""},
	    {"abspath(\"/a/../b/./c\")", "\"/b/c\""},
	    {"basename(\"\")", "\".\""},
	    {"dirname(\"/\")", "\"/\""},
	    {"basename(\"/\")", "\"/\""},
	};

	EXPECT_HCL(cases);
}

static void files_are_read(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"fileset(\"tests/none\", \"*\")", "[]"},
	    {"fileexists(\"tests/jobspec/117-a.hcl\")", "true"},
	    {"fileexists(\"tests/jobspec/none\")", "false"},
	    {"trimspace(file(\"tests/jobspec/117-b.json\"))", "\"{\\\"b\\\": [3, 4.5], \\\"c\\\": \\\"from-b\\\"}\""},
	    {"fileset(\"tests/jobspec\", \"117-*.{hcl,json}\")", "[]"},
	    {"fileset(\"tests/jobspec\", \"nothing-*\")", "[]"},
	    {"strlen(filebase64(\"tests/jobspec/117-b.json\"))", "44"},
	    {"fileset(\"tests\", \"*/117-a.hcl\")", "[\"jobspec/117-a.hcl\"]"},
	    {"fileset(\"tests\", \"**/117-a.hcl\")", "[\"jobspec/117-a.hcl\"]"},
	};

	EXPECT_HCL(cases);
}

static void wrong_arguments_are_errors(void **state UNUSED)
{
	static const struct hcl_case cases[] = {
	    {"formatdate(\"YYY\", \"2021-01-02T00:00:00Z\")", "!1,1-42: Error in function call; Call to function \"formatdate\" failed: invalid date format verb \"YYY\"."},
	    {"formatdate(\"YYYY\", \"yesterday\")", "!1,1-32: Error in function call; Call to function \"formatdate\" failed: \"yesterday\" is not a valid RFC3339 timestamp, as 2026-01-31T12:00:00Z is."},
	    {"formatdate(\"'open\", \"2021-01-02T00:00:00Z\")", "!1,1-44: Error in function call; Call to function \"formatdate\" failed: invalid date format: unterminated quote."},
	    {"formatdate(\"Q\", \"2021-01-02T00:00:00Z\")", "!1,1-40: Error in function call; Call to function \"formatdate\" failed: invalid date format verb \"Q\"."},
	    {"timeadd(\"2021-01-02\", \"1s\")", "!1,1-28: Error in function call; Call to function \"timeadd\" failed: \"2021-01-02\" is not a valid RFC3339 timestamp, as 2026-01-31T12:00:00Z is."},
	    {"timeadd(\"2021-01-02T00:00:00Z\", \"soon\")", "!1,1-40: Error in function call; Call to function \"timeadd\" failed: \"soon\" is not a valid duration, as 1h30m is."},
	    {"formatdate(\"D\", \"2021-02-30T00:00:00Z\")", "!1,1-40: Error in function call; Call to function \"formatdate\" failed: \"2021-02-30T00:00:00Z\" is not a valid RFC3339 timestamp, as 2026-01-31T12:00:00Z is."},
	    {"cidrhost(\"10.0.0.0/24\", 256)", "!1,1-29: Error in function call; Call to function \"cidrhost\" failed: a prefix of 24 bits leaves no room for host 256."},
	    {"cidrhost(\"10.0.0.0\", 1)", "!1,1-24: Error in function call; Call to function \"cidrhost\" failed: invalid CIDR expression: \"10.0.0.0\" is not like 10.1.2.0/24."},
	    {"cidrsubnet(\"10.0.0.0/30\", 4, 0)", "!1,1-32: Error in function call; Call to function \"cidrsubnet\" failed: no room for a prefix of 34 bits in /30."},
	    {"cidrsubnet(\"10.0.0.0/8\", 2, 4)", "!1,1-31: Error in function call; Call to function \"cidrsubnet\" failed: 2 more bits leave no room for subnet 4."},
	    {"cidrsubnets(\"10.0.0.0/30\", 1, 1, 1)", "!1,1-36: Error in function call; Call to function \"cidrsubnets\" failed: 1 more bits leave no room for subnet 2."},
	    {"file(\"tests/jobspec/none\")", "!1,1-27: Error in function call; Call to function \"file\" failed: no file exists at \"tests/jobspec/none\", or it cannot be read: cannot read tests/jobspec/none: No such file or directory."},
	    {"file(\"tests\")", "!1,1-14: Error in function call; Call to function \"file\" failed: no file exists at \"tests\", or it cannot be read: cannot read tests: it is a folder, not a regular file."},
	    {"filebase64(\"none\")", "!1,1-19: Error in function call; Call to function \"filebase64\" failed: no file exists at \"none\", or it cannot be read: cannot read none: No such file or directory."},
	    {"cidrhost(\"300.0.0.0/8\", 1)", "!1,1-27: Error in function call; Call to function \"cidrhost\" failed: invalid CIDR expression: \"300.0.0.0/8\" is not like 10.1.2.0/24."},
	};

	EXPECT_HCL(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dates_are_formatted),
	    cmocka_unit_test(times_are_added),
	    cmocka_unit_test(networks_are_cut),
	    cmocka_unit_test(paths_are_cut),
	    cmocka_unit_test(files_are_read),
	    cmocka_unit_test(wrong_arguments_are_errors),
	};

	return RUN_TESTS(tests);
}
