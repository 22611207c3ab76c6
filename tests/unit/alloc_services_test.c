/* alloc_services: what the services of a job file come to in Consul: the words, the addresses, the checks. */
#include "agent/alloc_services.h"

#include "base/clock.h"
#include "base/codec.h"
#include "discovery/services.h"
#include "sched/admit.h"
#include "tests/lib/test.h"

#define ALLOC "0c50d378-c151-4ce6-a2a6-4a1a3042f3dd"

static struct arena *a;

static void *read_as(const struct type *t, const char *json)
{
	void *obj = arena_alloc(a, t->size);
	struct err e = ERR_INIT;

	if (codec_from_text(t, obj, json, strlen(json), a, &e))
		fail_msg("%s", err_str(&e));
	return obj;
}

/* A job with one group "front" and one task "server", made canonical as the servers do it. */
static struct job *job_of(const char *group, const char *task)
{
	struct job *j = read_as(&type_job, arena_printf(a,
	    "{\"ID\":\"site\",\"Name\":\"site\",\"Type\":\"service\",\"Datacenters\":[\"dc1\"],\"Meta\":{\"team\":\"blue\"},"
	    "\"TaskGroups\":[{\"Name\":\"front\",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"http\"},{\"Label\":\"admin\",\"To\":90}]}],%s"
	    "\"Tasks\":[{\"Name\":\"server\",\"Driver\":\"raw_exec\",\"Env\":{\"COLOUR\":\"green\"},%s"
	    "\"Config\":{\"command\":\"/bin/true\"}}]}]}", group, task));

	admit_canonicalize(j, &(struct admit_limits){0}, a);
	return j;
}

static struct allocation *alloc_of(const char *more)
{
	return read_as(&type_allocation, arena_printf(a,
	    "{\"ID\":\"" ALLOC "\",\"Name\":\"site.front[1]\",\"TaskGroup\":\"front\",%s\"AllocatedResources\":{\"Tasks\":{\"server\":{}},"
	    "\"Shared\":{\"Networks\":[{\"IP\":\"10.0.0.5\"}],\"Ports\":[{\"Label\":\"http\",\"Value\":22286,\"HostIP\":\"10.0.0.5\"},"
	    "{\"Label\":\"admin\",\"Value\":29413,\"To\":90,\"HostIP\":\"10.0.0.5\"}]}}}", more));
}

static struct objs services_of(const char *group, const char *task, const char *more)
{
	const struct job *j = job_of(group, task);
	const struct services_source src = {
	    .alloc = alloc_of(more),
	    .job = j,
	    .group = j->task_groups.v[0],
	    .node = read_as(&type_node, "{\"ID\":\"n1\",\"Name\":\"node1\",\"Datacenter\":\"dc1\",\"Attributes\":{\"kernel.name\":\"linux\"},"
	                                "\"Meta\":{\"rack\":\"r1\"},\"NodeResources\":{\"Networks\":[{\"IP\":\"10.0.0.5\"}]}}"),
	    .region = "global",
	    .bind_ip = "10.0.0.5",
	};
	struct objs out = {0};

	alloc_services(&src, a, &out);
	return out;
}

static const struct wanted_service *first(struct objs list)
{
	assert_true(list.n > 0);
	const struct wanted_service *w = list.v[0];

	if (w->problem)
		fail_msg("%s", w->problem);
	return w;
}

static const struct wanted_service *one(const char *service)
{
	return first(services_of(arena_printf(a, "\"Services\":[%s],", service), "", ""));
}

static const struct consul_check_registration *check_of(const struct wanted_service *w, const char *name)
{
	OBJS_EACH (&w->checks, struct wanted_check, c)
		if (str_eq(c->reg->name, name))
			return c->reg;
	fail_msg("there is no check \"%s\"", name);
	return NULL;
}

static const char *problem_of(const char *service)
{
	struct objs list = services_of(arena_printf(a, "\"Services\":[%s],", service), "", "");
	const struct wanted_service *w = list.v[0];

	assert_null(w->reg);
	return w->problem;
}

static int setup(void **state UNUSED)
{
	a = arena_new();
	return 0;
}

static int teardown(void **state UNUSED)
{
	arena_free(a);
	return 0;
}

/* ---- stories ---- */

static void test_ids_and_names_are_nomads(void **state UNUSED)
{
	struct objs list = services_of(
	    "\"Services\":[{\"Name\":\"site\",\"PortLabel\":\"http\"},{\"Name\":\"${JOB}-${TASKGROUP}-plain\"}],",
	    "\"Services\":[{\"Name\":\"site-admin\",\"PortLabel\":\"admin\"},{\"PortLabel\":\"http\"}],", "");
	static const char *const ids[] = {
	    "_nomad-task-" ALLOC "-group-front-site-http",
	    "_nomad-task-" ALLOC "-group-front-site-front-plain-",
	    "_nomad-task-" ALLOC "-server-site-admin-admin",
	    "_nomad-task-" ALLOC "-server-site-front-server-http",
	};

	assert_int_equal(4, list.n);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const struct wanted_service *w = list.v[i];

		assert_null(w->problem);
		assert_string_equal(ids[i], w->reg->id);
		assert_string_equal(i < 2 ? "" : "server", str_or(w->task, ""));
		assert_string_equal(ALLOC, strmap_get(&w->reg->meta, SERVICES_ALLOC));
		assert_string_equal("10.0.0.5", w->reg->address);
	}
	assert_int_equal(22286, ((const struct wanted_service *)list.v[0])->reg->port);
	assert_int_equal(0, ((const struct wanted_service *)list.v[1])->reg->port);
	assert_int_equal(29413, ((const struct wanted_service *)list.v[2])->reg->port);
}

static void test_variables_are_filled_in_everywhere(void **state UNUSED)
{
	struct objs list = services_of("",
	    "\"Services\":[{\"Name\":\"web-${NOMAD_ALLOC_INDEX}\",\"PortLabel\":\"http\",\"Tags\":[\"${COLOUR}\",\"${attr.kernel.name}\","
	    "\"${node.unique.name}\",\"${meta.rack}\",\"${NOMAD_META_team}\",\"port=${NOMAD_PORT_http}\",\"${TASK}\",\"${nobody}\"],"
	    "\"Meta\":{\"addr\":\"${NOMAD_ADDR_http}\",\"${TASKGROUP}\":\"${BASE}\"},\"TaggedAddresses\":{\"wan\":\"${NOMAD_IP_http}:1\"},"
	    "\"Checks\":[{\"Name\":\"c-${JOB}\",\"Type\":\"http\",\"Path\":\"/${COLOUR}\",\"Interval\":1000000000,\"Timeout\":1000000000,"
	    "\"Header\":{\"X\":[\"${COLOUR}\"]},\"Body\":\"${TASK}\",\"Notes\":\"of ${NOMAD_JOB_ID}\"}]}],", "");
	const struct wanted_service *w = first(list);
	static const char *const tags[] = {"green", "linux", "node1", "r1", "blue", "port=22286", "server", "${nobody}"};

	assert_string_equal("web-1", w->reg->name);
	assert_int_equal(ARRAY_LEN(tags), w->reg->tags.n);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		assert_string_equal(tags[i], w->reg->tags.v[i]);
	assert_string_equal("10.0.0.5:22286", strmap_get(&w->reg->meta, "addr"));
	assert_string_equal("site-front-server", strmap_get(&w->reg->meta, "front"));
	const struct consul_address *wan = objmap_get(&w->reg->tagged_addresses, "wan");

	assert_string_equal("10.0.0.5", wan->address);
	assert_int_equal(1, wan->port);
	const struct consul_check_registration *c = check_of(w, "c-site");

	assert_string_equal("http://10.0.0.5:22286/green", c->http);
	assert_string_equal("green", hdrmap_get(&c->header, "X")->v[0]);
	assert_string_equal("server", c->body);
	assert_string_equal("of site", c->notes);
}

static void test_a_canary_has_its_own_tags_and_meta_until_it_is_promoted(void **state UNUSED)
{
	const char *service = "\"Services\":[{\"Name\":\"site\",\"Tags\":[\"live\"],\"CanaryTags\":[\"canary\"],\"Meta\":{\"v\":\"1\"},"
	                      "\"CanaryMeta\":{\"v\":\"next\"}}],";
	const struct wanted_service *w = first(services_of(service, "", "\"DeploymentStatus\":{\"Canary\":true},"));

	assert_string_equal("canary", w->reg->tags.v[0]);
	assert_string_equal("next", strmap_get(&w->reg->meta, "v"));
	w = first(services_of(service, "", "\"DeploymentStatus\":{\"Canary\":false,\"Healthy\":true},"));
	assert_string_equal("live", w->reg->tags.v[0]);
	assert_string_equal("1", strmap_get(&w->reg->meta, "v"));
	/* A canary without words of its own is like all the others. */
	w = first(services_of("\"Services\":[{\"Name\":\"site\",\"Tags\":[\"live\"]}],", "", "\"DeploymentStatus\":{\"Canary\":true},"));
	assert_string_equal("live", w->reg->tags.v[0]);
}

static void test_each_type_of_check_comes_to_what_consul_runs(void **state UNUSED)
{
	const struct wanted_service *w = one(
	    "{\"Name\":\"site\",\"PortLabel\":\"http\",\"TaskName\":\"server\",\"Checks\":["
	    "{\"Name\":\"page\",\"Type\":\"http\",\"Path\":\"health\",\"Protocol\":\"https\",\"Method\":\"POST\",\"TLSSkipVerify\":true,"
	    "\"Interval\":3000000000,\"Timeout\":2000000000,\"SuccessBeforePassing\":2,\"FailuresBeforeCritical\":3,\"InitialStatus\":\"warning\"},"
	    "{\"Type\":\"tcp\",\"PortLabel\":\"admin\",\"Interval\":4000000000,\"Timeout\":2000000000},"
	    "{\"Name\":\"rpc\",\"Type\":\"grpc\",\"GRPCService\":\"x.Y\",\"GRPCUseTLS\":true,\"PortLabel\":\"50051\",\"Interval\":1000000000,\"Timeout\":1000000000},"
	    "{\"Name\":\"disk\",\"Type\":\"script\",\"Command\":\"/bin/df\",\"Args\":[\"${NOMAD_PORT_http}\"],\"Interval\":5000000000,"
	    "\"Timeout\":2000000000,\"CheckRestart\":{\"Limit\":3}},"
	    "{\"Name\":\"beat\",\"Type\":\"ttl\",\"Interval\":15000000000,\"Id\":\"beat-${NOMAD_SHORT_ALLOC_ID}\"}]}");
	const struct consul_check_registration *c = check_of(w, "page");

	assert_int_equal(5, w->checks.n);
	assert_int_equal(5, w->reg->checks.n);
	assert_string_equal("https://10.0.0.5:22286/health", c->http);
	assert_string_equal("POST", c->method);
	assert_true(c->tls_skip_verify);
	assert_int_equal(3 * SECOND, c->interval);
	assert_int_equal(2 * SECOND, c->timeout);
	assert_int_equal(2, c->success_before_passing);
	assert_int_equal(3, c->failures_before_critical);
	assert_string_equal("warning", c->status);
	assert_true(str_starts(c->check_id, "_nomad-check-"));
	c = check_of(w, "service: \"site\" check");
	assert_string_equal("10.0.0.5:29413", c->tcp);
	assert_null(c->status);
	c = check_of(w, "rpc");
	assert_string_equal("10.0.0.5:50051/x.Y", c->grpc);
	assert_true(c->grpc_use_tls);
	c = check_of(w, "disk");
	assert_int_equal(36 * SECOND, c->ttl);
	assert_int_equal(0, c->interval);
	const struct wanted_check *script = w->checks.v[3];

	assert_string_equal("/bin/df", script->command);
	assert_string_equal("22286", script->args.v[0]);
	assert_string_equal("server", script->task);
	assert_int_equal(3, script->restart->limit);
	c = check_of(w, "beat");
	assert_int_equal(15 * SECOND, c->ttl);
	assert_string_equal("beat-0c50d378", c->check_id);
}

static void test_ids_of_checks_tell_what_they_are(void **state UNUSED)
{
	static const char form[] = "{\"Name\":\"site\",\"PortLabel\":\"http\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":%d000000000,"
	                           "\"Timeout\":1000000000}]}";
	const struct wanted_check *x = one(arena_printf(a, form, 4))->checks.v[0], *same = one(arena_printf(a, form, 4))->checks.v[0],
	                          *other = one(arena_printf(a, form, 5))->checks.v[0];

	assert_string_equal(x->reg->check_id, same->reg->check_id);
	assert_string_not_equal(x->reg->check_id, other->reg->check_id);
}

static void test_addresses_follow_the_mode(void **state UNUSED)
{
	const struct wanted_service *w = one("{\"Name\":\"site\",\"PortLabel\":\"8080\"}");

	assert_string_equal("10.0.0.5", w->reg->address);
	assert_int_equal(8080, w->reg->port);
	w = one("{\"Name\":\"site\",\"PortLabel\":\"http\",\"Address\":\"${meta.rack}.example\",\"Checks\":[{\"Type\":\"tcp\","
	        "\"Interval\":1000000000,\"Timeout\":1000000000}]}");
	assert_string_equal("r1.example", w->reg->address);
	assert_string_equal("r1.example:22286", ((const struct wanted_check *)w->checks.v[0])->reg->tcp);
	/* A network of the allocation's own: its address, and the port as it is in there. */
	w = first(services_of("\"Services\":[{\"Name\":\"site\",\"PortLabel\":\"admin\",\"AddressMode\":\"alloc\"}],", "",
	    "\"NetworkStatus\":{\"Address\":\"172.26.64.2\"},"));
	assert_string_equal("172.26.64.2", w->reg->address);
	assert_int_equal(90, w->reg->port);
	assert_non_null(strstr(problem_of("{\"Name\":\"site\",\"PortLabel\":\"http\",\"AddressMode\":\"alloc\"}"), "shares its host's"));
	assert_non_null(strstr(problem_of("{\"Name\":\"site\",\"PortLabel\":\"http\",\"AddressMode\":\"driver\"}"), "use \"host\""));
	assert_string_equal("port label \"${nobody}\" is none of this allocation's", problem_of("{\"Name\":\"site\",\"PortLabel\":\"${nobody}\"}"));
}

static void test_an_address_that_the_node_has_no_more_is_not_registered(void **state UNUSED)
{
	const struct job *j = job_of("\"Services\":[{\"Name\":\"site\",\"PortLabel\":\"http\"}],", "");
	const struct services_source src = {
	    .alloc = alloc_of(""),
	    .job = j,
	    .group = j->task_groups.v[0],
	    .node = read_as(&type_node, "{\"ID\":\"n1\",\"NodeResources\":{\"Networks\":[{\"IP\":\"10.0.0.77\"},{\"IP\":\"10.0.0.78\"}]}}"),
	    .bind_ip = "10.0.0.78",
	};
	struct objs out = {0};

	alloc_services(&src, a, &out);
	assert_string_equal("10.0.0.77", first(out)->reg->address);
}

static void test_what_the_servers_cannot_know_stays_as_it_is_written(void **state UNUSED)
{
	struct objs list = services_of("", "\"Services\":[{\"Name\":\"web\",\"Tags\":[\"${NOMAD_TASK_DIR}\",\"${HOME}\"]}],", "");

	assert_string_equal("${NOMAD_TASK_DIR}", first(list)->reg->tags.v[0]);
	assert_string_equal("${HOME}", first(list)->reg->tags.v[1]);
}

static void test_marks_and_weights_go_along(void **state UNUSED)
{
	const struct wanted_service *w = one("{\"Name\":\"site\",\"EnableTagOverride\":true,\"Kind\":\"api-gateway\","
	                                     "\"Weights\":{\"Passing\":10,\"Warning\":2}}");

	assert_true(w->reg->enable_tag_override);
	assert_string_equal("api-gateway", w->reg->kind);
	assert_int_equal(10, w->reg->weights->passing);
	assert_int_equal(2, w->reg->weights->warning);
}

/* ---- what is refused at the door ---- */

static const char *refusal(const char *group, const char *task)
{
	struct job *j = job_of(group, task);
	struct err e = ERR_INIT;
	const char *warnings;

	if (admit_validate(j, &(struct admit_limits){0}, &warnings, a, &e) >= 0)
		return "none";
	const char *text = arena_strdup(a, err_str(&e));

	err_clear(&e);
	return text;
}

static void test_what_can_be_seen_at_the_door_is_refused_there_with_a_sentence(void **state UNUSED)
{
	static const struct {
		const char *service, *sentence;
	} rows[] = {
	    {"\"Name\":\"s\",\"PortLabel\":\"nope\"", "port label \"nope\" referenced by service is not defined in the group's network"},
	    {"\"Name\":\"s\",\"Provider\":\"nomad\"", "provider \"nomad\" is not supported"},
	    {"\"Name\":\"s\",\"Connect\":{\"Native\":true}", "connect blocks are not supported"},
	    {"\"Name\":\"s\",\"TaskName\":\"ghost\"", "Service refers to non-existent task ghost"},
	    {"\"Name\":\"s\",\"OnUpdate\":\"maybe\"", "on_update must be"},
	    {"\"Name\":\"s\",\"Address\":\"x\",\"AddressMode\":\"host\"", "address_mode must be \"auto\" if address is set"},
	    {"\"Name\":\"s\",\"Meta\":{\"a b\":\"c\"}", "meta key \"a b\""},
	    {"\"Name\":\"s\",\"Checks\":[{\"Type\":\"script\",\"Command\":\"/x\",\"Interval\":1000000000,\"Timeout\":1000000000}]",
	        "must name the task that it runs in"},
	    {"\"Name\":\"s\",\"Checks\":[{\"Type\":\"script\",\"Command\":\"/x\",\"TaskName\":\"ghost\",\"Interval\":1000000000,\"Timeout\":1000000000}]",
	        "refers to non-existent task ghost"},
	    {"\"Name\":\"s\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":1000000000,\"Timeout\":1000000000}]",
	        "neither it nor its service \"s\" has a port"},
	    {"\"Name\":\"s\",\"Checks\":[{\"Type\":\"tcp\",\"PortLabel\":\"nope\",\"Interval\":1000000000,\"Timeout\":1000000000}]",
	        "port label \"nope\" is not defined"},
	    {"\"Name\":\"s\",\"Checks\":[{\"Type\":\"script\",\"Command\":\"/x\",\"TaskName\":\"server\",\"SuccessBeforePassing\":2,"
	     "\"Interval\":1000000000,\"Timeout\":1000000000}]",
	        "success_before_passing not supported for check of type \"script\""},
	    {"\"Name\":\"s\",\"Checks\":[{\"Type\":\"smoke\"}]", "invalid type (+smoke)"},
	    {"\"Name\":\"s\"},{\"Name\":\"s\"", "service \"s\" is duplicate"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *said = refusal(arena_printf(a, "\"Services\":[{%s}],", rows[i].service), "");

		if (!strstr(said, rows[i].sentence))
			fail_msg("expected \"%s\", got \"%s\"", rows[i].sentence, said);
	}
}

static void test_what_is_right_passes_the_door(void **state UNUSED)
{
	assert_string_equal("none", refusal("\"Services\":[{\"Name\":\"s\",\"PortLabel\":\"http\",\"TaskName\":\"server\",\"Checks\":["
	    "{\"Type\":\"script\",\"Command\":\"/x\",\"Interval\":1000000000,\"Timeout\":1000000000},"
	    "{\"Type\":\"ttl\",\"Interval\":10000000000},"
	    "{\"Type\":\"http\",\"Path\":\"/\",\"Interval\":1000000000,\"Timeout\":1000000000,\"OnUpdate\":\"ignore\"}]}],",
	    "\"Services\":[{\"Name\":\"s\",\"PortLabel\":\"${x}\",\"Checks\":[{\"Type\":\"script\",\"Command\":\"/x\",\"Interval\":1000000000,"
	    "\"Timeout\":1000000000}]}],"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(test_ids_and_names_are_nomads),
	    CASE(test_variables_are_filled_in_everywhere),
	    CASE(test_a_canary_has_its_own_tags_and_meta_until_it_is_promoted),
	    CASE(test_each_type_of_check_comes_to_what_consul_runs),
	    CASE(test_ids_of_checks_tell_what_they_are),
	    CASE(test_addresses_follow_the_mode),
	    CASE(test_an_address_that_the_node_has_no_more_is_not_registered),
	    CASE(test_what_the_servers_cannot_know_stays_as_it_is_written),
	    CASE(test_marks_and_weights_go_along),
	    CASE(test_what_can_be_seen_at_the_door_is_refused_there_with_a_sentence),
	    CASE(test_what_is_right_passes_the_door),
	};

	return RUN_TESTS(tests);
}
