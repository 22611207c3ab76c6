/* Filters: what an expression says about an object, and where it says no. */
#include "base/codec.h"
#include "daemon/filter.h"
#include "tests/lib/test.h"

#include <errno.h>

static const char node[] =
    "{\"ID\": \"2e015db1\", \"SecretID\": \"hidden\", \"Name\": \"web-1\", \"Status\": \"ready\", \"Drain\": false,"
    " \"Attributes\": {\"os.name\": \"debian\", \"cpu.arch\": \"amd64\", \"empty\": \"\"}, \"Meta\": {\"rack\": \"r1\", \"a/b\": \"s\"},"
    " \"Drivers\": {\"raw_exec\": {\"Healthy\": true, \"HealthDescription\": \"Healthy\", \"UpdateTime\": \"2026-11-22T10:00:00Z\"}},"
    " \"NodeResources\": {\"Cpu\": {\"CpuShares\": 4000}, \"Networks\": [{\"Device\": \"lo\"}, {\"Device\": \"eth0\"}]},"
    " \"Events\": [{\"Message\": \"Node registered\"}], \"CSINodePlugins\": {\"p\": {\"n\": 3, \"f\": 1.5, \"l\": [\"x\", 2], \"b\": true}},"
    " \"CreateIndex\": 7}";
static const char job[] =
    "{\"ID\": \"web\", \"Type\": \"service\", \"Priority\": 50, \"Datacenters\": [\"dc1\", \"dc2\"], \"Stop\": false,"
    " \"TaskGroups\": [{\"Name\": \"app\", \"Count\": 2, \"Tasks\": [{\"Name\": \"server\", \"KillTimeout\": 5000000000,"
    " \"Resources\": {\"CPU\": 100}}]}]}";

static const struct {
	const char *text;
	bool yes;
} of_node[] = {
    {"Name == \"web-1\"", true},
    {"Name == web-1", true},
    {"Name == `web-1`", true},
    {"Name==web-1", true},
    {"Name != \"web-1\"", false},
    {"Name == \"web\"", false},
    {"\"web\" in Name", true},
    {"Name contains web", true},
    {"Name not contains web", false},
    {"web not in Name", false},
    {"Name matches \"^web-[0-9]+$\"", true},
    {"Name not matches \"^db\"", true},
    {"Name matches `\\d`", true},
    {"Drain == false", true},
    {"Drain != false", false},
    {"CreateIndex == 7", true},
    {"CreateIndex != 7", false},
    {"CreateIndex == -7", false},
    {"NodeClass is empty", true},
    {"NodeClass is not empty", false},
    {"NodeClass == \"\"", true},
    {"Name is empty", false},
    {"Attributes is empty", false},
    {"Links is empty", true},
    {"HostVolumes is not empty", false},
    /* maps */
    {"Attributes[\"os.name\"] == debian", true},
    {"Attributes[`os.name`] == debian", true},
    {"Attributes[ \"os.name\" ] != debian", false},
    {"\"/Attributes/os.name\" == debian", true},
    {"Meta.rack == r1", true},
    {"Meta.a/b == s", true},
    {"Meta contains rack", true},
    {"rack in Meta", true},
    {"other in Meta", false},
    {"Meta not contains other", true},
    {"Attributes.empty is empty", true},
    /* what is not there equals nothing and is empty */
    {"Meta.none == x", false},
    {"Meta.none != x", true},
    {"Meta.none is empty", true},
    {"Meta.none is not empty", false},
    {"Meta.none contains x", false},
    {"x not in Meta.none", true},
    {"Meta.none matches \".*\"", false},
    {"Meta.none is nil", true},
    {"DrainStrategy.IgnoreSystemJobs == true", false},
    {"DrainStrategy.IgnoreSystemJobs != true", true},
    {"DrainStrategy is nil", true},
    {"NodeResources is not nil", true},
    {"NodePool is nil and Name is not nil", true},
    /* objects in objects, in maps, in lists */
    {"NodeResources.Cpu.CpuShares == 4000", true},
    {"Drivers.raw_exec.Healthy == true", true},
    {"Drivers.docker.Healthy == true", false},
    {"Drivers contains raw_exec", true},
    {"raw_exec in Drivers and docker not in Drivers", true},
    {"Drivers.raw_exec.UpdateTime == \"2026-11-22T10:00:00Z\"", true},
    {"NodeResources.Networks.1.Device == eth0", true},
    {"NodeResources.Networks.7.Device == eth0", false},
    {"Events is not empty", true},
    {"Events.0.Message contains registered", true},
    /* values without a table */
    {"CSINodePlugins.p.n == 3", true},
    {"CSINodePlugins.p.n == three", false},
    {"CSINodePlugins.p.f == 1.5", true},
    {"CSINodePlugins.p.b == true", true},
    {"CSINodePlugins.p.l.0 == x", true},
    {"CSINodePlugins.p.l.9 == x", false},
    {"CSINodePlugins.p.l contains 2", true},
    {"CSINodePlugins.p contains l", true},
    {"CSINodePlugins.p.l is not empty", true},
    {"CSINodePlugins.q.x is empty", true},
    {"CSINodePlugins.p.l.0 matches \"^x$\"", true},
    {"CSIControllerPlugins is nil and CSIControllerPlugins is empty", true},
    /* and, or, not */
    {"Name == web-1 and Status == ready", true},
    {"Name == x or Status == ready", true},
    {"Name == x and Status == ready or Drain == false", true},
    {"Name == x and (Status == ready or Drain == false)", false},
    {"not Name == x", true},
    {"not (Name == web-1 and Status == ready)", false},
    {"not not Name == web-1", true},
    {"( ( Name == web-1 ) )", true},
    {"Name == web-1 and not Drain == true and Meta.rack == r1", true},
    {"notes in Name or not Name in Name", true},
};

static const struct {
	const char *text;
	bool yes;
} of_job[] = {
    {"dc1 in Datacenters", true},
    {"Datacenters contains \"dc2\"", true},
    {"Datacenters contains dc", false},
    {"\"dc3\" not in Datacenters", true},
    {"Datacenters.1 == dc2", true},
    {"TaskGroups.0.Tasks.0.Name == server", true},
    {"TaskGroups.0.Tasks.0.KillTimeout == 5s", true},
    {"TaskGroups.0.Tasks.0.KillTimeout == 5000000000", true},
    {"TaskGroups.0.Tasks.0.Resources.CPU == 100 and TaskGroups.0.Count != 3", true},
    {"Periodic is nil", true},
    {"Priority == 50 and Stop == false", true},
};

static const struct {
	const char *text, *problem;
} errors[] = {
    {"", "column 1: the expression ends: expected a field"},
    {"Name", "column 5: expected an operator"},
    {"Name =", "column 6: expected an operator"},
    {"Name = x", "column 6: expected an operator"},
    {"Name ==", "column 8: the expression ends: expected a value"},
    {"Name == x y", "column 11: unexpected \"y\": expected and, or, or the end"},
    {"Name == x and", "the expression ends"},
    {"and Name == x", "column 1: Node has no field \"and\""},
    {"(Name == x", "column 1: the parenthesis has no end"},
    {"Name == x)", "unexpected \")\""},
    {"Naem == x", "Node has no field \"Naem\"; it has Attributes,"},
    {"Drivers.x.Helthy == true", "DriverInfo has no field \"Helthy\"; it has Attributes,"},
    {"SecretID == hidden", "Node has no field \"SecretID\""},
    {"Name.x == y", "\"Name\" has no parts: \"x\" is none"},
    {"Events.first == y", "\"Events\" is a list: expected the number of an item, not \"first\""},
    {"Meta[rack] == y", "expected a quoted key"},
    {"Meta[\"rack\" == y", "expected ]"},
    {"Meta[\"rack\"", "column 12: expected ]"},
    {"Meta. == y", "expected a field"},
    {"Name == \"x", "the string has no end"},
    {"Name == \"\\q\"", "unknown escape"},
    {"\"Name\" == x", "is no selector"},
    {"Drain == maybe", "\"maybe\" is not what the field holds: expected true or false"},
    {"CreateIndex == x", "expected an integer"},
    {"CreateIndex == 1.5", "expected an integer"},
    {"Meta == x", "equals no value"},
    {"DrainStrategy == x", "equals no value"},
    {"DrainStrategy.Deadline == soon", "expected a duration"},
    {"CreateIndex contains 7", "only strings, maps and lists of strings contain something"},
    {"7 in CreateIndex", "only strings, maps and lists of strings contain something"},
    {"Meta matches x", "only strings match a pattern"},
    {"Name matches \"(\"", "error parsing regexp"},
    {"CreateIndex is empty", "only strings, lists and maps can be empty"},
    {"Name is full", "expected empty or nil"},
    {"Name is not", "expected empty or nil"},
};

/* Whether the expression holds; fails the test when it is none. */
static bool asks(const char *text, const struct type *t, const char *json)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_err struct err e = ERR_INIT;
	void *obj = arena_alloc(a, t->size);
	struct filter *f;
	bool yes;

	assert_int_equal(codec_from_text(t, obj, json, strlen(json), a, NULL), 0);
	if (filter_new(text, t, &f, &e) < 0)
		fail_msg("%s: %s", text, err_str(&e));
	yes = filter_matches(f, obj);
	filter_free(f);
	return yes;
}

static void test_an_expression_says_which_objects_are_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of_node); i++)
		if (asks(of_node[i].text, &type_node, node) != of_node[i].yes)
			fail_msg("%s: expected %s", of_node[i].text, of_node[i].yes ? "true" : "false");
	for (size_t i = 0; i < ARRAY_LEN(of_job); i++)
		if (asks(of_job[i].text, &type_job, job) != of_job[i].yes)
			fail_msg("%s: expected %s", of_job[i].text, of_job[i].yes ? "true" : "false");
}

static void test_what_is_wrong_is_said_with_its_place(void **state)
{
	struct filter *f = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		cleanup_err struct err e = ERR_INIT;

		assert_int_equal(filter_new(errors[i].text, &type_node, &f, &e), -EINVAL);
		if (!strstr(err_str(&e), errors[i].problem) || !str_starts(err_str(&e), "column "))
			fail_msg("%s: the error is \"%s\", expected \"%s\"", errors[i].text, err_str(&e), errors[i].problem);
	}
	assert_null(f);
}

static void test_an_empty_object_answers_everything(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of_node); i++)
		asks(of_node[i].text, &type_node, "{}");
	for (size_t i = 0; i < ARRAY_LEN(of_job); i++)
		asks(of_job[i].text, &type_job, "{}");
}

static void test_an_expression_is_bounded(void **state)
{
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	struct filter *f;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_putc(&b, '(');
	assert_int_equal(filter_new(b.data, &type_node, &f, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "nested deeper than 100"));
	buf_clear(&b);
	for (int i = 0; i < 600; i++)
		buf_puts(&b, i ? " or Name == x" : "Name == x");
	assert_int_equal(filter_new(b.data, &type_node, &f, &e), 0);
	filter_free(f);
	for (int i = 0; i < 600; i++)
		buf_puts(&b, " or Name == x");
	assert_int_equal(filter_new(b.data, &type_node, &f, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "longer than 8192"));
	/* A pattern that would take forever does not match. */
	assert_false(asks("ID matches \"^(a+)+$\"", &type_node, "{\"ID\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_expression_says_which_objects_are_wanted),
	    cmocka_unit_test(test_what_is_wrong_is_said_with_its_place),
	    cmocka_unit_test(test_an_empty_object_answers_everything),
	    cmocka_unit_test(test_an_expression_is_bounded),
	};

	return RUN_TESTS(tests);
}
