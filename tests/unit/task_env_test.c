#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/task_env.h"
#include "base/codec.h"

static struct arena *a;

static void *read_as(const struct type *t, const char *json)
{
	void *obj = arena_alloc(a, t->size);
	struct err e = ERR_INIT;

	if (codec_from_text(t, obj, json, strlen(json), a, &e))
		fail_msg("%s", err_str(&e));
	return obj;
}

static struct strmap build(void)
{
	static const char *const host[] = { "PATH=/bin", "HOME=/root", "AWS_SECRET_ACCESS_KEY=s", "NOMAD_TOKEN=t", "DROVER_X=1",
		"CONSUL_HTTP_TOKEN=c", "NOTHING", NULL };
	struct job *j = read_as(&type_job, "{\"ID\":\"web\",\"Name\":\"web\",\"Type\":\"service\",\"Meta\":{\"a\":\"job\",\"b-c\":\"job\"},"
	    "\"TaskGroups\":[{\"Name\":\"g\",\"Meta\":{\"a\":\"group\"},\"Tasks\":[{\"Name\":\"t\",\"Meta\":{\"d\":\"${node.class}\"},"
	    "\"Env\":{\"HOME\":\"/home\",\"ADDR\":\"${NOMAD_ADDR_http}/x\",\"A\":\"${Z}\",\"Z\":\"${attr.kernel.name}\","
	    "\"NOMAD_ALLOC_ID\":\"forged\"}}]}]}");
	struct allocation *al = read_as(&type_allocation, "{\"ID\":\"0c50d378-c151-4ce6-a2a6-4a1a3042f3dd\",\"Name\":\"web.g[12]\","
	    "\"Namespace\":\"default\",\"AllocatedResources\":{\"Tasks\":{\"t\":{\"Cpu\":{\"CpuShares\":250,\"ReservedCores\":[1,3]},"
	    "\"Memory\":{\"MemoryMB\":64,\"MemoryMaxMB\":128}}},\"Shared\":{\"Ports\":[{\"Label\":\"http\",\"Value\":21131,"
	    "\"HostIP\":\"10.0.0.5\"},{\"Label\":\"db-x\",\"Value\":3000,\"To\":5432}]}}}");
	struct node *n = read_as(&type_node, "{\"ID\":\"n\",\"Datacenter\":\"dc1\",\"NodeClass\":\"ci\",\"Attributes\":{\"kernel.name\":\"linux\"},"
	    "\"Meta\":{\"rack\":\"r1\"}}");
	struct task_group *g = job_group(j, "g");
	const struct task_env_source src = { .alloc = al, .job = j, .group = g, .task = group_task(g, "t"), .node = n,
		.region = "global", .alloc_dir = "/a/alloc", .task_dir = "/a/t/local", .secrets_dir = "/a/t/secrets",
		.parent_cgroup = "drover.slice", .bind_ip = "192.0.2.1", .host_env = host };
	struct strmap env;

	task_env_build(&src, a, &env);
	return env;
}

#define EQ(key, value) assert_string_equal(value, strmap_get(&env, key) ? strmap_get(&env, key) : "(unset)")

static void test_all_variables_are_there(void **state)
{
	struct strmap env = build();

	(void)state;
	EQ("NOMAD_ALLOC_DIR", "/a/alloc");
	EQ("NOMAD_TASK_DIR", "/a/t/local");
	EQ("NOMAD_SECRETS_DIR", "/a/t/secrets");
	EQ("NOMAD_MEMORY_LIMIT", "64");
	EQ("NOMAD_MEMORY_MAX_LIMIT", "128");
	EQ("NOMAD_CPU_LIMIT", "250");
	EQ("NOMAD_CPU_CORES", "1,3");
	EQ("NOMAD_ALLOC_ID", "0c50d378-c151-4ce6-a2a6-4a1a3042f3dd");
	EQ("NOMAD_SHORT_ALLOC_ID", "0c50d378");
	EQ("NOMAD_ALLOC_NAME", "web.g[12]");
	EQ("NOMAD_ALLOC_INDEX", "12");
	EQ("NOMAD_TASK_NAME", "t");
	EQ("NOMAD_GROUP_NAME", "g");
	EQ("NOMAD_JOB_ID", "web");
	EQ("NOMAD_JOB_NAME", "web");
	EQ("NOMAD_DC", "dc1");
	EQ("NOMAD_REGION", "global");
	EQ("NOMAD_NAMESPACE", "default");
	EQ("NOMAD_PARENT_CGROUP", "drover.slice");
	assert_null(strmap_get(&env, "NOMAD_JOB_PARENT_ID"));
}

static void test_ports_have_their_variables(void **state)
{
	struct strmap env = build();

	(void)state;
	EQ("NOMAD_IP_http", "10.0.0.5");
	EQ("NOMAD_PORT_http", "21131");
	EQ("NOMAD_ADDR_http", "10.0.0.5:21131");
	EQ("NOMAD_HOST_PORT_http", "21131");
	EQ("NOMAD_PORT_db_x", "5432");
	EQ("NOMAD_HOST_PORT_db_x", "3000");
	EQ("NOMAD_ADDR_db_x", "192.0.2.1:3000");
	EQ("NOMAD_ALLOC_PORT_db_x", "5432");
	EQ("NOMAD_HOST_ADDR_db_x", "192.0.2.1:3000");
}

static void test_meta_is_inherited_in_both_cases(void **state)
{
	struct strmap env = build();

	(void)state;
	EQ("NOMAD_META_a", "group");
	EQ("NOMAD_META_A", "group");
	EQ("NOMAD_META_b_c", "job");
	EQ("NOMAD_META_B_C", "job");
	EQ("NOMAD_META_d", "ci");
}

static void test_the_job_file_wins_over_the_agent_but_not_over_nomad(void **state)
{
	struct strmap env = build();

	(void)state;
	EQ("PATH", "/bin");
	EQ("HOME", "/home");
	EQ("ADDR", "10.0.0.5:21131/x");
	EQ("A", "linux");
	EQ("NOMAD_ALLOC_ID", "0c50d378-c151-4ce6-a2a6-4a1a3042f3dd");
}

static void test_secrets_of_the_agent_stay_with_it(void **state)
{
	struct strmap env = build();

	(void)state;
	assert_null(strmap_get(&env, "AWS_SECRET_ACCESS_KEY"));
	assert_null(strmap_get(&env, "NOMAD_TOKEN"));
	assert_null(strmap_get(&env, "DROVER_X"));
	assert_null(strmap_get(&env, "CONSUL_HTTP_TOKEN"));
}

static void test_expansion_knows_its_targets_and_leaves_the_rest(void **state)
{
	struct strmap env = { 0 };
	struct node *n = read_as(&type_node, "{\"ID\":\"n1\",\"Datacenter\":\"dc1\",\"Meta\":{\"rack\":\"r1\"}}");
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain", "plain" },
		{ "${X}", "1" },
		{ "a${X}b${X}c", "a1b1c" },
		{ "${env[\"X\"]}", "1" },
		{ "${env[\"NOPE\"]}", "" },
		{ "${node.unique.id}/${meta.rack}", "n1/r1" },
		{ "${node.region}", "eu" },
		{ "${HOME}", "${HOME}" },
		{ "${unfinished", "${unfinished" },
		{ "${}", "${}" },
		{ "$X $${X}", "$X $1" },
		{ "${meta.nope}", "${meta.nope}" },
	};

	(void)state;
	strmap_set(a, &env, "X", "1");
	strmap_set(a, &env, "NOMAD_REGION", "eu");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(cases[i].out, task_env_expand(&env, n, cases[i].in, a));
}

static void test_values_are_expanded_at_every_depth(void **state)
{
	struct strmap env = { 0 };
	struct buf b = BUF_INIT;
	struct task *t = read_as(&type_task, "{\"Config\":{\"args\":[\"-x\",\"${X}\",{\"k\":\"${X}\",\"n\":3}],\"b\":true}}");

	(void)state;
	strmap_set(a, &env, "X", "1");
	value_print_json(&b, task_env_expand_value(&env, NULL, t->config, a), 0, 0);
	assert_string_equal("{\"args\":[\"-x\",\"1\",{\"k\":\"1\",\"n\":3}],\"b\":true}", b.data);
	buf_free(&b);
}

static int begin(void **state)
{
	(void)state;
	a = arena_new();
	return 0;
}

static int finish(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_all_variables_are_there),
		T(test_ports_have_their_variables),
		T(test_meta_is_inherited_in_both_cases),
		T(test_the_job_file_wins_over_the_agent_but_not_over_nomad),
		T(test_secrets_of_the_agent_stay_with_it),
		T(test_expansion_knows_its_targets_and_leaves_the_rest),
		T(test_values_are_expanded_at_every_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
