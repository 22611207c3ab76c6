/* consul: every kind of call against a real Consul (one server, one client agent, no ACLs). */
#include "discovery/consul.h"

#include <errno.h>

#include "base/clock.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/responder.h"
#include "tests/lib/test.h"

static struct consul_server *real;
static struct asker at; /* talks to the client agent */

static int start(void **state UNUSED)
{
	real = consul_server_start("--clients 1");
	at = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 1")});
	return 0;
}

static int stop(void **state UNUSED)
{
	asker_free(&at);
	consul_server_stop(real);
	return 0;
}

#define ARGS(...)  (&(struct consul_args){__VA_ARGS__})
#define QUERY(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- agent, catalog, health ---- */

static void register_web(struct arena *a, const char *id, const char *owner)
{
	struct consul_service_registration s = {0};
	struct consul_check_registration ttl = {0}, http = {0};

	MODEL_SET(consul_service_registration, &s, id, id);
	MODEL_SET(consul_service_registration, &s, name, "web");
	MODEL_SET(consul_service_registration, &s, address, "10.1.2.3");
	MODEL_SET(consul_service_registration, &s, port, 8080);
	MODEL_SET(consul_service_registration, &s, enable_tag_override, true);
	strs_push(a, &s.tags, "http");
	strs_push(a, &s.tags, "with space & more");
	strmap_set(a, &s.meta, "owner", owner);
	MODEL_SET(consul_check_registration, &ttl, check_id, arena_printf(a, "%s-ttl", id));
	MODEL_SET(consul_check_registration, &ttl, name, "heartbeat");
	MODEL_SET(consul_check_registration, &ttl, ttl, 30 * SECOND);
	MODEL_SET(consul_check_registration, &ttl, status, "passing");
	MODEL_SET(consul_check_registration, &ttl, deregister_after, 2 * MINUTE);
	MODEL_SET(consul_check_registration, &http, check_id, arena_printf(a, "%s-http", id));
	MODEL_SET(consul_check_registration, &http, name, "answers");
	MODEL_SET(consul_check_registration, &http, http, "http://127.0.0.1:1/");
	MODEL_SET(consul_check_registration, &http, interval, 10 * SECOND);
	MODEL_SET(consul_check_registration, &http, timeout, SECOND);
	objs_push(a, &s.checks, &ttl);
	objs_push(a, &s.checks, &http);
	asker_do(&at, &consul_service_register, ARGS(.name = id, .object = &s));
}

static void test_a_service_is_registered_seen_and_deregistered(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();

	register_web(a, "web/1", "us");
	register_web(a, "web 2", "them");
	struct consul_answer answer = asker_must(
	    &at, &consul_agent_services, ARGS(.query = QUERY("filter", "Meta.owner == \"us\"")));
	struct consul_services *services = CONSUL_OBJECT(&answer, consul_services);

	assert_int_equal(services->items.n, 1);
	struct consul_service *s = objmap_get(&services->items, "web/1");

	assert_non_null(s);
	assert_string_equal(s->service, "web");
	assert_string_equal(s->address, "10.1.2.3");
	assert_int_equal(s->port, 8080);
	assert_true(s->enable_tag_override);
	assert_true(strs_has(&s->tags, "with space & more"));
	assert_string_equal(strmap_get(&s->meta, "owner"), "us");
	consul_answer_free(&answer);

	answer = asker_must(&at, &consul_agent_checks, NULL);
	struct consul_checks_by_id *checks = CONSUL_OBJECT(&answer, consul_checks_by_id);
	struct consul_check *ttl = objmap_get(&checks->items, "web/1-ttl");

	assert_int_equal(checks->items.n, 4);
	assert_string_equal(ttl->status, "passing");
	assert_string_equal(ttl->service_id, "web/1");
	assert_string_equal(ttl->type, "ttl");
	consul_answer_free(&answer);

	asker_do(&at, &consul_service_deregister, ARGS(.name = "web/1"));
	asker_do(&at, &consul_service_deregister, ARGS(.name = "web 2"));
	asker_do(&at, &consul_service_deregister, ARGS(.name = "web 2"));
	answer = asker_must(&at, &consul_agent_services, NULL);
	services = CONSUL_OBJECT(&answer, consul_services);
	assert_int_equal(services->items.n, 0);
	consul_answer_free(&answer);
}

static struct consul_checks *checks_of_node(struct consul_answer *answer, const char *node)
{
	*answer = asker_must(&at, &consul_health_node, ARGS(.name = node));
	return CONSUL_OBJECT(answer, consul_checks);
}

static const char *status_in(const struct consul_checks *checks, const char *id)
{
	OBJS_EACH (&checks->items, struct consul_check, c)
		if (str_eq(c->check_id, id))
			return c->status;
	return "absent";
}

static void test_a_ttl_check_is_updated_and_the_servers_see_it(void **state UNUSED)
{
	struct consul_check_registration r = {0};
	struct consul_check_update u = {0};
	struct consul_answer answer;
	const char *node = consul_server_ask(real, "name 1");
	bool seen = false;

	MODEL_SET(consul_check_registration, &r, id, "beat");
	MODEL_SET(consul_check_registration, &r, name, "beat");
	MODEL_SET(consul_check_registration, &r, ttl, 30 * SECOND);
	asker_do(&at, &consul_check_register, ARGS(.name = "beat", .object = &r));
	MODEL_SET(consul_check_update, &u, status, "warning");
	MODEL_SET(consul_check_update, &u, output, "disk \"/\" is full\n");
	asker_do(&at, &consul_check_update, ARGS(.name = "beat", .object = &u));
	for (int i = 0; i < 100 && !seen; i++) {
		seen = str_eq(status_in(checks_of_node(&answer, node), "beat"), "warning");
		consul_answer_free(&answer);
		loop_for(at.base, 20 * MILLI);
	}
	assert_true(seen);
	asker_do(&at, &consul_check_deregister, ARGS(.name = "beat"));
	assert_int_equal(asker_refused(&at, &consul_check_update, ARGS(.name = "beat", .object = &u), "beat"), -ENOENT);
}

static void test_health_of_a_service_lists_node_service_and_checks(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_answer answer = {0};
	struct consul_service_health *h = NULL;
	struct consul_check_update u = {0};

	register_web(a, "web-3", "us");
	MODEL_SET(consul_check_update, &u, status, "passing");
	asker_do(&at, &consul_check_deregister, ARGS(.name = "web-3-http"));
	for (int i = 0; i < 200 && (!h || !h->items.n); i++) {
		consul_answer_free(&answer);
		answer = asker_must(&at, &consul_health_service, ARGS(.name = "web", .query = QUERY("passing", "", "tag", "http")));
		h = CONSUL_OBJECT(&answer, consul_service_health);
		loop_for(at.base, 20 * MILLI);
	}
	assert_int_equal(h->items.n, 1);
	struct consul_instance_health *i = h->items.v[0];

	assert_string_equal(i->node->node, consul_server_ask(real, "name 1"));
	assert_string_equal(i->service->id, "web-3");
	assert_int_equal(i->service->port, 8080);
	assert_true(i->checks.n >= 2);
	assert_true(answer.index > 0);
	assert_true(answer.known_leader);
	consul_answer_free(&answer);

	answer = asker_must(&at, &consul_catalog_services, NULL);
	struct consul_service_names *names = CONSUL_OBJECT(&answer, consul_service_names);

	assert_non_null(hdrmap_get(&names->items, "web"));
	assert_true(strs_has(hdrmap_get(&names->items, "web"), "http"));
	consul_answer_free(&answer);
	asker_do(&at, &consul_service_deregister, ARGS(.name = "web-3"));
}

static void test_the_catalog_takes_and_drops_a_node_without_an_agent(void **state UNUSED)
{
	struct consul_catalog_registration r = {0};
	struct consul_service s = {0};
	struct consul_check c = {0};
	struct consul_catalog_deregistration d = {0};

	MODEL_SET(consul_catalog_registration, &r, node, "printer");
	MODEL_SET(consul_catalog_registration, &r, address, "10.9.9.9");
	MODEL_SET(consul_service, &s, id, "lp");
	MODEL_SET(consul_service, &s, service, "lp");
	MODEL_SET(consul_service, &s, port, 631);
	MODEL_SET(consul_check, &c, node, "printer");
	MODEL_SET(consul_check, &c, check_id, "paper");
	MODEL_SET(consul_check, &c, name, "paper");
	MODEL_SET(consul_check, &c, status, "critical");
	r.service = &s;
	r.check = &c;
	asker_do(&at, &consul_catalog_register, ARGS(.name = "printer", .object = &r));

	struct consul_answer answer = asker_must(&at, &consul_catalog_node, ARGS(.name = "printer"));
	struct consul_node_services *n = CONSUL_OBJECT(&answer, consul_node_services);

	assert_string_equal(n->node->address, "10.9.9.9");
	assert_non_null(objmap_get(&n->services, "lp"));
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_health_state, ARGS(.name = "critical"));
	assert_string_equal(status_in(CONSUL_OBJECT(&answer, consul_checks), "paper"), "critical");
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_catalog_service, ARGS(.name = "lp"));
	struct consul_instances *instances = CONSUL_OBJECT(&answer, consul_instances);

	assert_int_equal(instances->items.n, 1);
	assert_int_equal(((struct consul_instance *)instances->items.v[0])->service_port, 631);
	consul_answer_free(&answer);

	MODEL_SET(consul_catalog_deregistration, &d, node, "printer");
	asker_do(&at, &consul_catalog_deregister, ARGS(.name = "printer", .object = &d));
	answer = asker_must(&at, &consul_catalog_node, ARGS(.name = "printer"));
	assert_null(answer.object);
	consul_answer_free(&answer);
}

static void test_the_agent_tells_who_it_is(void **state UNUSED)
{
	struct consul_answer answer = asker_must(&at, &consul_agent_self, NULL);
	struct consul_agent_self *self = CONSUL_OBJECT(&answer, consul_agent_self);

	assert_string_equal(self->config->node_name, consul_server_ask(real, "name 1"));
	assert_string_equal(self->config->datacenter, "dc1");
	assert_false(self->config->server);
	assert_int_equal(self->debug->dns_port, 18600);
	assert_int_equal(self->debug->txn_max_req_len, CONSUL_TXN_MAX_BODY);
	assert_int_equal(self->debug->kv_max_value_size, CONSUL_VALUE_MAX);
	consul_answer_free(&answer);

	answer = asker_must(&at, &consul_agent_members, NULL);
	assert_int_equal(CONSUL_OBJECT(&answer, consul_members)->items.n, 2);
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_status_leader, NULL);
	assert_non_null(strchr(CONSUL_OBJECT(&answer, consul_string)->items, ':'));
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_status_peers, NULL);
	assert_int_equal(CONSUL_OBJECT(&answer, consul_strings)->items.n, 1);
	consul_answer_free(&answer);
}

static void test_maintenance_makes_a_service_critical_until_it_ends(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_answer answer;

	register_web(a, "web-4", "us");
	asker_do(&at, &consul_service_maintenance, ARGS(.name = "web-4", .query = QUERY("enable", "true", "reason", "we & they")));
	answer = asker_must(&at, &consul_agent_checks, NULL);
	struct consul_check *c = objmap_get(&CONSUL_OBJECT(&answer, consul_checks_by_id)->items, "_service_maintenance:web-4");

	assert_non_null(c);
	assert_string_equal(c->status, "critical");
	assert_string_equal(c->notes, "we & they");
	consul_answer_free(&answer);
	asker_do(&at, &consul_service_maintenance, ARGS(.name = "web-4", .query = QUERY("enable", "false")));
	answer = asker_must(&at, &consul_agent_checks, NULL);
	assert_null(objmap_get(&CONSUL_OBJECT(&answer, consul_checks_by_id)->items, "_service_maintenance:web-4"));
	consul_answer_free(&answer);
	asker_do(&at, &consul_service_deregister, ARGS(.name = "web-4"));
}

static void test_the_other_lists_are_answered_too(void **state UNUSED)
{
	struct consul_answer answer = asker_must(&at, &consul_catalog_datacenters, NULL);

	assert_int_equal(CONSUL_OBJECT(&answer, consul_strings)->items.n, 1);
	assert_string_equal(CONSUL_OBJECT(&answer, consul_strings)->items.v[0], "dc1");
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_catalog_nodes, ARGS(.datacenter = "dc1"));
	assert_int_equal(CONSUL_OBJECT(&answer, consul_nodes)->items.n, 2);
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_health_checks, ARGS(.name = "none"));
	assert_int_equal(CONSUL_OBJECT(&answer, consul_checks)->items.n, 0);
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_session_list, NULL);
	assert_int_equal(CONSUL_OBJECT(&answer, consul_sessions)->items.n, 0);
	consul_answer_free(&answer);
	assert_int_equal(asker_refused(&at, &consul_catalog_nodes, ARGS(.datacenter = "dc9"), "No path to datacenter"), -EAGAIN);
}

/* ---- kv and sessions ---- */

static bool said_true(const struct consul_op *op, const struct consul_args *args)
{
	struct consul_answer answer = asker_must(&at, op, args);
	bool yes = CONSUL_OBJECT(&answer, consul_bool)->items;

	consul_answer_free(&answer);
	return yes;
}

static void test_keys_are_written_read_compared_listed_and_deleted(void **state UNUSED)
{
	static const char value[] = "zero \0 and \xff byte";
	struct consul_answer answer = asker_must(&at, &consul_kv_get, ARGS(.name = "t/none"));

	assert_null(answer.object);
	assert_int_equal(answer.status, 404);
	assert_true(answer.index > 0);
	consul_answer_free(&answer);

	assert_true(said_true(&consul_kv_put, ARGS(.name = "t/a b?&%\xc3\xbc", .body = value, .body_len = sizeof(value))));
	answer = asker_must(&at, &consul_kv_get, ARGS(.name = "t/a b?&%\xc3\xbc"));
	struct consul_pair *pair = CONSUL_OBJECT(&answer, consul_pairs)->items.v[0];

	assert_string_equal(pair->key, "t/a b?&%\xc3\xbc");
	assert_int_equal(pair->value.n, sizeof(value));
	assert_memory_equal(pair->value.p, value, sizeof(value));
	int64_t modified = pair->modify_index;

	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_kv_raw, ARGS(.name = "t/a b?&%\xc3\xbc"));
	assert_int_equal(answer.raw_len, sizeof(value));
	assert_memory_equal(answer.raw, value, sizeof(value));
	consul_answer_free(&answer);

	char now[32];

	snprintf(now, sizeof(now), "%lld", (long long)modified);
	assert_false(said_true(&consul_kv_put, ARGS(.name = "t/a b?&%\xc3\xbc", .query = QUERY("cas", "1"))));
	assert_true(said_true(&consul_kv_put, ARGS(.name = "t/a b?&%\xc3\xbc", .query = QUERY("cas", now))));
	asker_put(&at, "t/c", "");
	answer = asker_must(&at, &consul_kv_keys, ARGS(.name = "t/"));
	struct strs keys = CONSUL_OBJECT(&answer, consul_strings)->items;

	assert_int_equal(keys.n, 2);
	assert_string_equal(keys.v[1], "t/c");
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_kv_list, ARGS(.name = "t/", .stale = true));
	assert_int_equal(CONSUL_OBJECT(&answer, consul_pairs)->items.n, 2);
	consul_answer_free(&answer);
	assert_true(said_true(&consul_kv_delete, ARGS(.name = "t/c")));
	assert_true(said_true(&consul_kv_delete_below, ARGS(.name = "t/")));
	answer = asker_must(&at, &consul_kv_list, ARGS(.name = "t/", .consistent = true));
	assert_null(answer.object);
	consul_answer_free(&answer);
}

static char *make_session(struct asker *a)
{
	struct consul_session s = {0};

	MODEL_SET(consul_session, &s, name, "leader");
	MODEL_SET(consul_session, &s, lock_delay, 0);
	MODEL_SET(consul_session, &s, behavior, "release");
	struct consul_answer answer = asker_must(a, &consul_session_create, ARGS(.object = &s));
	char *id = xstrdup(CONSUL_OBJECT(&answer, consul_id)->id);

	consul_answer_free(&answer);
	return id;
}

static void test_a_lock_belongs_to_its_session_and_is_free_at_once_when_it_ends(void **state UNUSED)
{
	cleanup_free char *one = make_session(&at), *two = make_session(&at);
	struct consul_answer answer = asker_must(&at, &consul_session_info, ARGS(.name = one));
	struct consul_session *s = CONSUL_OBJECT(&answer, consul_sessions)->items.v[0];

	assert_string_equal(s->name, "leader");
	assert_int_equal(s->lock_delay, 0);
	assert_string_equal(s->node, consul_server_ask(real, "name 1"));
	assert_true(strs_has(&s->node_checks, "serfHealth"));
	consul_answer_free(&answer);

	assert_true(said_true(&consul_kv_put, ARGS(.name = "lock", .query = QUERY("acquire", one), .body = "one", .body_len = 3)));
	assert_false(said_true(&consul_kv_put, ARGS(.name = "lock", .query = QUERY("acquire", two))));
	assert_true(said_true(&consul_session_destroy, ARGS(.name = one)));
	assert_true(said_true(&consul_kv_put, ARGS(.name = "lock", .query = QUERY("acquire", two))));
	answer = asker_must(&at, &consul_session_renew, ARGS(.name = one));
	assert_null(answer.object);
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_session_info, ARGS(.name = one));
	assert_int_equal(CONSUL_OBJECT(&answer, consul_sessions)->items.n, 0);
	consul_answer_free(&answer);
	assert_int_equal(asker_refused(&at, &consul_kv_put, ARGS(.name = "lock", .query = QUERY("acquire", one)), "invalid session"), -ENOENT);
	said_true(&consul_session_destroy, ARGS(.name = two));
}

/* ---- transactions ---- */

static void put_entry(struct arena *a, struct consul_txn_request *t, const char *key, const void *p, size_t n)
{
	struct consul_txn_kv *kv = consul_txn_add(a, t, "cas", key);

	MODEL_SET(consul_txn_kv, kv, index, 0);
	MODEL_SET(consul_txn_kv, kv, value, ((struct bytes){.p = p, .n = (uint32_t)n}));
}

static void check_lock(struct arena *a, struct consul_txn_request *t, const char *session)
{
	struct consul_txn_kv *kv = consul_txn_add(a, t, "check-session", "fence");

	MODEL_SET(consul_txn_kv, kv, session, session);
}

static void test_a_fenced_transaction_holds_only_while_the_lock_does(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *session = make_session(&at);
	struct consul_txn_request first = {0}, again = {0}, late = {0};

	said_true(&consul_kv_put, ARGS(.name = "fence", .query = QUERY("acquire", session)));
	check_lock(a, &first, session);
	put_entry(a, &first, "log/1", "entry", 5);
	struct consul_answer answer = asker_must(&at, &consul_txn, ARGS(.object = &first));
	struct consul_txn_answer *t = CONSUL_OBJECT(&answer, consul_txn_answer);

	assert_int_equal(t->errors.n, 0);
	assert_int_equal(t->results.n, 2);
	assert_string_equal(((struct consul_txn_result *)t->results.v[1])->kv->key, "log/1");
	consul_answer_free(&answer);

	check_lock(a, &again, session);
	put_entry(a, &again, "log/1", "other", 5);
	answer = asker_must(&at, &consul_txn, ARGS(.object = &again));
	t = CONSUL_OBJECT(&answer, consul_txn_answer);
	assert_int_equal(t->errors.n, 1);
	assert_int_equal(((struct consul_txn_error *)t->errors.v[0])->op_index, 1);
	assert_int_equal(answer.status, 409);
	consul_answer_free(&answer);

	said_true(&consul_session_destroy, ARGS(.name = session));
	check_lock(a, &late, session);
	put_entry(a, &late, "log/2", "entry", 5);
	answer = asker_must(&at, &consul_txn, ARGS(.object = &late));
	t = CONSUL_OBJECT(&answer, consul_txn_answer);
	assert_int_equal(t->errors.n, 1);
	assert_int_equal(((struct consul_txn_error *)t->errors.v[0])->op_index, 0);
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_kv_raw, ARGS(.name = "log/1"));
	assert_string_equal(answer.raw, "entry");
	consul_answer_free(&answer);
	answer = asker_must(&at, &consul_kv_get, ARGS(.name = "log/2"));
	assert_null(answer.object);
	consul_answer_free(&answer);
	said_true(&consul_kv_delete_below, ARGS(.name = "log/"));
}

static void test_costs_add_up_to_what_consul_takes_to_the_byte(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	char *big = arena_alloc(a, CONSUL_TXN_MAX_BODY);
	struct consul_txn_kv probe = {0};
	size_t cost;

	for (int over = 0; over < 2; over++) {
		struct consul_txn_request t = {0};

		put_entry(a, &t, "big/\"1\"", "x", 1);
		put_entry(a, &t, "big/2", "", 0);
		put_entry(a, &t, "big/3", big, 300000);
		put_entry(a, &t, "big/4", big, 3);
		cost = 2;
		OBJS_EACH (&t.items, struct consul_txn_op, op)
			cost += consul_txn_cost(op->kv);
		/* A key of the length that fills the rest. */
		probe = *((struct consul_txn_op *)t.items.v[3])->kv;
		char *key = arena_alloc(a, CONSUL_TXN_MAX_BODY);

		memset(key, 'k', CONSUL_TXN_MAX_BODY - cost + strlen(probe.key) + (size_t)over + 1);
		MODEL_SET(consul_txn_kv, ((struct consul_txn_op *)t.items.v[3])->kv, key, key);
		MODEL_SET(consul_txn_kv, ((struct consul_txn_op *)t.items.v[3])->kv, verb, "get");
		if (over) {
			assert_int_equal(asker_refused(&at, &consul_txn, ARGS(.object = &t), "are more than Consul's limit of 524288"), -E2BIG);
			continue;
		}
		cost = 2;
		OBJS_EACH (&t.items, struct consul_txn_op, op)
			cost += consul_txn_cost(op->kv);
		assert_int_equal(cost, CONSUL_TXN_MAX_BODY + 1); /* the last one's comma is not there */
		struct consul_answer answer = asker_ask(&at, &consul_txn, ARGS(.object = &t));

		assert_int_equal(answer.status, 409); /* taken, and refused because there is no such key */
		consul_answer_free(&answer);
	}
}

static void test_a_transaction_of_too_many_operations_is_not_sent(void **state UNUSED)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_txn_request t = {0};
	struct consul_stats before, after;

	for (int i = 0; i < CONSUL_TXN_MAX_OPS; i++)
		consul_txn_add(a, &t, "delete", arena_printf(a, "many/%d", i));
	asker_do(&at, &consul_txn, ARGS(.object = &t));
	consul_txn_add(a, &t, "delete", "many/more");
	consul_stats(at.consul, &before);
	assert_int_equal(asker_refused(&at, &consul_txn, ARGS(.object = &t), "65 operations, 64 are"), -E2BIG);
	consul_stats(at.consul, &after);
	assert_int_equal(before.calls, after.calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_service_is_registered_seen_and_deregistered),
	    cmocka_unit_test(test_a_ttl_check_is_updated_and_the_servers_see_it),
	    cmocka_unit_test(test_health_of_a_service_lists_node_service_and_checks),
	    cmocka_unit_test(test_the_catalog_takes_and_drops_a_node_without_an_agent),
	    cmocka_unit_test(test_the_agent_tells_who_it_is),
	    cmocka_unit_test(test_maintenance_makes_a_service_critical_until_it_ends),
	    cmocka_unit_test(test_the_other_lists_are_answered_too),
	    cmocka_unit_test(test_keys_are_written_read_compared_listed_and_deleted),
	    cmocka_unit_test(test_a_lock_belongs_to_its_session_and_is_free_at_once_when_it_ends),
	    cmocka_unit_test(test_a_fenced_transaction_holds_only_while_the_lock_does),
	    cmocka_unit_test(test_costs_add_up_to_what_consul_takes_to_the_byte),
	    cmocka_unit_test(test_a_transaction_of_too_many_operations_is_not_sent),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
