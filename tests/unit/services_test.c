/* services: what an agent wants in Consul and what stands there, against a real one. */
#include "discovery/services.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "discovery/services_compare.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/test.h"

#define ARGS(...) (&(struct consul_args){__VA_ARGS__})

struct fixture {
	struct consul_server *real;
	struct asker at;
	struct services *s;
	struct arena *a;
	int registered, removed, failed, troubles, left;
	char last[128];
};

static void on_event(void *arg, const char *id, enum services_event event, const struct err *e)
{
	struct fixture *f = arg;

	f->registered += event == SERVICES_REGISTERED;
	f->removed += event == SERVICES_REMOVED;
	f->failed += event == SERVICES_FAILED;
	snprintf(f->last, sizeof(f->last), "%s %s", id, e ? err_str(e) : "");
}

static void on_trouble(void *arg, const struct err *e)
{
	((struct fixture *)arg)->troubles += e != NULL;
}

static const struct services_ops ops = {on_event, on_trouble};

static struct services *make(struct fixture *f, const char *owner, const char *agent, const char *address)
{
	const struct services_config c = {
	    .owner = owner, .agent = agent, .address = address, .interval = SECOND, .settle = 300 * MILLI};

	return services_new(f->at.base, f->at.consul, &c, &ops, f);
}

static struct fixture start(const char *options)
{
	struct fixture f = {.real = consul_server_start(options), .a = arena_new()};

	f.at = asker_new(&(struct consul_config){.address = consul_server_ask(f.real, "address 0")});
	return f;
}

static void stop(struct fixture *f)
{
	services_free(f->s);
	asker_free(&f->at);
	consul_server_stop(f->real);
	arena_free(f->a);
}

#define UNTIL(f, condition)                                                                        \
	do {                                                                                       \
		for (int64_t end_ = clock_monotonic() + 20 * SECOND; !(condition);) {              \
			loop_for((f)->at.base, 10 * MILLI);                                        \
			if (clock_monotonic() > end_)                                              \
				fail_msg("did not happen: %s (last: %s)", #condition, (f)->last);   \
		}                                                                                  \
	} while (0)

static struct consul_service_registration *service(struct fixture *f, const char *id, const char *name, int64_t port)
{
	struct consul_service_registration *r = MODEL_NEW(f->a, consul_service_registration);

	MODEL_SET(consul_service_registration, r, id, id);
	MODEL_SET(consul_service_registration, r, name, name);
	MODEL_SET(consul_service_registration, r, address, "127.0.0.1");
	MODEL_SET(consul_service_registration, r, port, port);
	strs_push(f->a, &r->tags, "tag");
	strmap_set(f->a, &r->meta, SERVICES_ALLOC, "alloc-1");
	return r;
}

static struct consul_check_registration *ttl_check(struct fixture *f, struct consul_service_registration *r, const char *id)
{
	struct consul_check_registration *c = MODEL_NEW(f->a, consul_check_registration);

	MODEL_SET(consul_check_registration, c, check_id, id);
	MODEL_SET(consul_check_registration, c, name, "alive");
	MODEL_SET(consul_check_registration, c, ttl, 3 * SECOND);
	MODEL_SET(consul_check_registration, c, status, "critical");
	objs_push(f->a, &r->checks, c);
	return c;
}

static struct consul_service *present(struct fixture *f, const char *id)
{
	struct consul_answer answer = asker_must(&f->at, &consul_agent_services, ARGS(0));
	struct consul_service *s = objmap_get(&CONSUL_OBJECT(&answer, consul_services)->items, id);

	s = s ? model_copy(f->a, &type_consul_service, s) : NULL;
	consul_answer_free(&answer);
	return s;
}

static const char *check_status(struct fixture *f, const char *id)
{
	struct consul_answer answer = asker_must(&f->at, &consul_agent_checks, ARGS(0));
	const struct consul_check *c = objmap_get(&CONSUL_OBJECT(&answer, consul_checks_by_id)->items, id);
	const char *status = c ? arena_strdup(f->a, c->status) : "absent";

	consul_answer_free(&answer);
	return status;
}

static void register_foreign(struct fixture *f, const char *id, const char *source, const char *owner, const char *agent,
    const char *address, const char *cluster)
{
	struct consul_service_registration *r = service(f, id, "foreign", 1);

	if (source)
		strmap_set(f->a, &r->meta, SERVICES_SOURCE, source);
	strmap_set(f->a, &r->meta, SERVICES_OWNER, owner);
	strmap_set(f->a, &r->meta, SERVICES_AGENT, agent);
	strmap_set(f->a, &r->meta, SERVICES_ADDRESS, address);
	strmap_set(f->a, &r->meta, SERVICES_CLUSTER, cluster);
	asker_do(&f->at, &consul_service_register, ARGS(.name = id, .object = r));
}

/* ---- stories ---- */

static void test_what_is_wanted_is_registered_and_what_is_not_any_more_is_removed(void **state UNUSED)
{
	struct fixture f = start("");

	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_set_cluster(f.s, "c1");
	services_want(f.s, service(&f, "s1", "web", 80));
	services_want(f.s, service(&f, "s2", "db", 81));
	UNTIL(&f, f.registered == 2);
	struct consul_service *s = present(&f, "s1");
	assert_non_null(s);
	assert_string_equal(strmap_get(&s->meta, SERVICES_OWNER), "me");
	assert_string_equal(strmap_get(&s->meta, SERVICES_CLUSTER), "c1");
	assert_string_equal(strmap_get(&s->meta, SERVICES_ALLOC), "alloc-1");
	/* The same again is no change, another port is. */
	services_want(f.s, service(&f, "s1", "web", 80));
	services_want(f.s, service(&f, "s2", "db", 99));
	UNTIL(&f, f.registered == 3);
	assert_int_equal(present(&f, "s2")->port, 99);
	assert_true(services_unwant(f.s, "s1"));
	assert_false(services_unwant(f.s, "s1"));
	UNTIL(&f, f.removed == 1);
	assert_null(present(&f, "s1"));
	loop_for(f.at.base, 3 * SECOND);
	assert_int_equal(f.registered, 3);
	assert_int_equal(f.troubles, 0);
	stop(&f);
}

static void test_what_somebody_deleted_or_altered_is_repaired(void **state UNUSED)
{
	struct fixture f = start("");
	struct consul_service_registration *r = service(&f, "s1", "web", 80), *bad;

	ttl_check(&f, r, "s1-alive");
	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_want(f.s, r);
	UNTIL(&f, f.registered == 1);
	asker_do(&f.at, &consul_service_deregister, ARGS(.name = "s1"));
	UNTIL(&f, present(&f, "s1"));
	asker_do(&f.at, &consul_check_deregister, ARGS(.name = "s1-alive"));
	UNTIL(&f, !str_eq(check_status(&f, "s1-alive"), "absent"));
	bad = service(&f, "s1", "web", 1234);
	strmap_set(f.a, &bad->meta, SERVICES_SOURCE, "drover");
	asker_do(&f.at, &consul_service_register, ARGS(.name = "s1", .object = bad));
	UNTIL(&f, present(&f, "s1") && present(&f, "s1")->port == 80);
	/* A check that nobody wants goes. */
	struct consul_check_registration stray = {0};
	MODEL_SET(consul_check_registration, &stray, id, "stray");
	MODEL_SET(consul_check_registration, &stray, name, "stray");
	MODEL_SET(consul_check_registration, &stray, service_id, "s1");
	MODEL_SET(consul_check_registration, &stray, ttl, 100 * SECOND);
	asker_do(&f.at, &consul_check_register, ARGS(.name = "stray", .object = &stray));
	UNTIL(&f, str_eq(check_status(&f, "stray"), "absent"));
	assert_string_not_equal(check_status(&f, "s1-alive"), "absent");
	stop(&f);
}

static void test_leftovers_of_ours_go_and_those_of_others_stay(void **state UNUSED)
{
	struct fixture f = start("");

	register_foreign(&f, "earlier-run", "drover", "me", "node", "127.0.0.1:1", "c1");
	register_foreign(&f, "wiped-folder", "drover", "dead", "node", "127.0.0.1:1", "c0");
	register_foreign(&f, "wiped-and-moved", "drover", "dead", "node", "127.0.0.9:1", "c1");
	register_foreign(&f, "other-agent", "drover", "she", "other", "127.0.0.2:1", "c1");
	register_foreign(&f, "other-cluster", "drover", "she", "node", "127.0.0.2:1", "c2");
	register_foreign(&f, "nomad", "nomad", "me", "node", "127.0.0.1:1", "c1");
	register_foreign(&f, "by-hand", NULL, "me", "node", "127.0.0.1:1", "c1");
	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_set_cluster(f.s, "c1");
	UNTIL(&f, f.removed == 3);
	loop_for(f.at.base, 3 * SECOND);
	assert_int_equal(f.removed, 3);
	assert_null(present(&f, "earlier-run"));
	assert_null(present(&f, "wiped-folder"));
	assert_null(present(&f, "wiped-and-moved"));
	assert_non_null(present(&f, "other-agent"));
	assert_non_null(present(&f, "other-cluster"));
	assert_non_null(present(&f, "nomad"));
	assert_non_null(present(&f, "by-hand"));
	stop(&f);
}

static void test_two_agents_of_one_name_leave_each_other_alone(void **state UNUSED)
{
	struct fixture f = start("");
	struct services_config c = {
	    .owner = "a", .agent = "node", .address = "127.0.0.1:1", .folder = "/data/a", .interval = SECOND, .settle = 300 * MILLI};
	struct services *a = services_new(f.at.base, f.at.consul, &c, &ops, &f), *b;

	c.owner = "b";
	c.address = "127.0.0.1:2";
	c.folder = "/data/b";
	b = services_new(f.at.base, f.at.consul, &c, &ops, &f);
	services_set_cluster(a, "c1");
	services_set_cluster(b, "c1");
	services_want(a, service(&f, "of-a", "web", 80));
	services_want(b, service(&f, "of-b", "web", 81));
	UNTIL(&f, f.registered == 2);
	loop_for(f.at.base, 3 * SECOND);
	assert_non_null(present(&f, "of-a"));
	assert_non_null(present(&f, "of-b"));
	assert_int_equal(f.removed, 0);
	services_free(a);
	/* One of them comes back with nothing but its folder's name: another id, another address. */
	c.owner = "new";
	c.address = "127.0.0.7:1";
	c.folder = "/data/a";
	f.s = services_new(f.at.base, f.at.consul, &c, &ops, &f);
	services_set_cluster(f.s, "c1");
	UNTIL(&f, f.removed == 1);
	assert_null(present(&f, "of-a"));
	assert_non_null(present(&f, "of-b"));
	services_free(b);
	stop(&f);
}

static void test_what_an_earlier_life_registered_can_be_removed_without_having_been_wanted(void **state UNUSED)
{
	struct fixture f = start("");

	register_foreign(&f, "earlier", "drover", "me", "node", "127.0.0.1:1", "c1");
	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_remove(f.s, "earlier");
	services_remove(f.s, "never-there");
	UNTIL(&f, f.removed == 2);
	assert_null(present(&f, "earlier"));
	/* Wanted again before it is gone: it stays. */
	services_want(f.s, service(&f, "back", "web", 80));
	UNTIL(&f, f.registered == 1);
	services_remove(f.s, "back");
	services_want(f.s, service(&f, "back", "web", 80));
	UNTIL(&f, f.registered == 2);
	assert_non_null(present(&f, "back"));
	assert_int_equal(f.removed, 2);
	stop(&f);
}

static void test_checks_that_an_altered_service_no_longer_has_go_at_once(void **state UNUSED)
{
	struct fixture f = start("");
	struct consul_service_registration *r = service(&f, "s1", "web", 80);
	const struct services_config c = {
	    .owner = "me", .agent = "node", .address = "127.0.0.1:1", .interval = HOUR, .settle = 300 * MILLI};

	f.s = services_new(f.at.base, f.at.consul, &c, &ops, &f);
	ttl_check(&f, r, "old");
	ttl_check(&f, r, "kept");
	services_want(f.s, r);
	UNTIL(&f, f.registered == 1);
	r = service(&f, "s1", "web", 80);
	ttl_check(&f, r, "kept");
	ttl_check(&f, r, "new");
	services_want(f.s, r);
	UNTIL(&f, str_eq(check_status(&f, "old"), "absent"));
	assert_string_equal(check_status(&f, "kept"), "critical");
	assert_string_equal(check_status(&f, "new"), "critical");
	stop(&f);
}

static void test_a_text_with_an_unknown_variable_equals_any_that_has_the_rest(void **state UNUSED)
{
	static const struct {
		const char *want, *present;
		bool equal;
	} rows[] = {
	    {"a", "a", true}, {"a", "b", false}, {NULL, "", true}, {"${X}", "", true}, {"${X}", "anything", true},
	    {"a${X}b", "ab", true}, {"a${X}b", "axxb", true}, {"a${X}b", "axx", false}, {"a${X}b", "bxb", false},
	    {"${X}-${Y}", "1-2", true}, {"${X}-${Y}", "12", false}, {"/x/${A}/y/${B}.z", "/x/1/y/2/y/3.z", true},
	    {"${X}aa", "a", false}, {"a${X}a", "a", false}, {"open ${X", "open ${X", true}, {"open ${X", "open 1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (services_text_equal(rows[i].want, rows[i].present) != rows[i].equal)
			fail_msg("\"%s\" and \"%s\"", rows[i].want, rows[i].present);
}

static void test_a_ttl_check_says_what_it_was_told_also_after_consul_forgot(void **state UNUSED)
{
	struct fixture f = start("");
	struct consul_service_registration *r = service(&f, "s1", "web", 80);

	ttl_check(&f, r, "s1-alive");
	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_want(f.s, r);
	services_report(f.s, "s1-alive", "passing", "fine");
	UNTIL(&f, str_eq(check_status(&f, "s1-alive"), "passing"));
	loop_for(f.at.base, 5 * SECOND); /* more than the TTL */
	assert_string_equal(check_status(&f, "s1-alive"), "passing");
	services_report(f.s, "s1-alive", "warning", "so so");
	UNTIL(&f, str_eq(check_status(&f, "s1-alive"), "warning"));
	asker_do(&f.at, &consul_service_deregister, ARGS(.name = "s1"));
	UNTIL(&f, str_eq(check_status(&f, "s1-alive"), "warning"));
	stop(&f);
}

static void test_while_consul_is_away_nothing_is_lost(void **state UNUSED)
{
	struct fixture f = start("");

	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_want(f.s, service(&f, "before", "web", 80));
	UNTIL(&f, f.registered == 1);
	consul_server_ask(f.real, "kill 0");
	services_want(f.s, service(&f, "meanwhile", "web", 81));
	services_unwant(f.s, "before");
	UNTIL(&f, f.troubles > 0 && f.failed > 0);
	consul_server_ask(f.real, "start 0");
	UNTIL(&f, f.registered == 2 && f.removed == 1);
	assert_null(present(&f, "before"));
	assert_non_null(present(&f, "meanwhile"));
	stop(&f);
}

static void test_one_that_is_refused_does_not_hold_up_the_others(void **state UNUSED)
{
	struct fixture f = start("--acl");
	const char *token = consul_server_ask(f.real, "token service \"web\" { policy = \"write\" } node_prefix \"\" { policy = \"read\" }");
	struct services_item *list;
	uint32_t n;

	asker_free(&f.at);
	f.at = asker_new(&(struct consul_config){.address = consul_server_ask(f.real, "address 0"), .token = token});
	f.s = make(&f, "me", "node", "127.0.0.1:1");
	services_want(f.s, service(&f, "bad", "forbidden", 1));
	services_want(f.s, service(&f, "good", "web", 2));
	UNTIL(&f, f.registered == 1 && f.failed >= 1);
	services_list(f.s, f.a, &list, &n);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].id, "bad");
	assert_false(list[0].present);
	assert_non_null(strstr(list[0].error, "ermission"));
	assert_true(list[1].present);
	assert_string_equal(list[1].error, "");
	stop(&f);
}

static void on_left(void *arg)
{
	((struct fixture *)arg)->left++;
}

static void test_an_orderly_leave_takes_everything_along(void **state UNUSED)
{
	struct fixture f = start("");

	f.s = make(&f, "me", "node", "127.0.0.1:1");
	for (int i = 0; i < 30; i++)
		services_want(f.s, service(&f, arena_printf(f.a, "s%d", i), "web", 80 + i));
	UNTIL(&f, f.registered == 30);
	services_leave(f.s, 10 * SECOND, on_left, &f);
	UNTIL(&f, f.left == 1);
	assert_int_equal(f.removed, 30);
	assert_null(present(&f, "s7"));
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_wanted_is_registered_and_what_is_not_any_more_is_removed),
	    cmocka_unit_test(test_what_somebody_deleted_or_altered_is_repaired),
	    cmocka_unit_test(test_leftovers_of_ours_go_and_those_of_others_stay),
	    cmocka_unit_test(test_two_agents_of_one_name_leave_each_other_alone),
	    cmocka_unit_test(test_what_an_earlier_life_registered_can_be_removed_without_having_been_wanted),
	    cmocka_unit_test(test_checks_that_an_altered_service_no_longer_has_go_at_once),
	    cmocka_unit_test(test_a_text_with_an_unknown_variable_equals_any_that_has_the_rest),
	    cmocka_unit_test(test_a_ttl_check_says_what_it_was_told_also_after_consul_forgot),
	    cmocka_unit_test(test_while_consul_is_away_nothing_is_lost),
	    cmocka_unit_test(test_one_that_is_refused_does_not_hold_up_the_others),
	    cmocka_unit_test(test_an_orderly_leave_takes_everything_along),
	};

	return RUN_TESTS(tests);
}
