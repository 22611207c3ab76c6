/* dns: look-ups at a real Consul's DNS port, and at a server that lies, cuts, delays and keeps silent. */
#include "discovery/dns.h"

#include <errno.h>
#include <event2/event.h>

#include "base/clock.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/consul_server.h"
#include "tests/lib/dns_server.h"
#include "tests/lib/loop.h"
#include "tests/lib/test.h"

struct lookup {
	int done;
	int code;
	char error[256];
	struct dns_target targets[DNS_MAX_TARGETS];
	uint32_t n;
	int64_t ttl;
};

static void on_done(void *arg, const struct dns_answer *a)
{
	struct lookup *l = arg;

	assert_int_equal(l->done, 0);
	l->done = 1;
	l->code = a->err.code;
	snprintf(l->error, sizeof(l->error), "%s", a->err.code ? err_str(&a->err) : "");
	l->n = a->n;
	l->ttl = a->ttl;
	if (a->n)
		memcpy(l->targets, a->targets, a->n * sizeof(*a->targets));
}

struct place {
	struct event_base *base;
	struct dns_server *server;
	struct dns *dns;
};

static struct place setup(dns_answer_fn *answer, void *arg)
{
	struct place p = {.base = loop_new(), .server = dns_server_start(answer, arg)};

	assert_int_equal(dns_new(p.base, dns_server_address(p.server), &p.dns, NULL), 0);
	return p;
}

static void teardown(struct place *p)
{
	dns_free(p->dns);
	loop_free(p->base);
	dns_server_stop(p->server);
}

static struct lookup srv(struct place *p, const char *name, int64_t timeout)
{
	struct lookup l = {0};

	dns_srv(p->dns, name, timeout, on_done, &l);
	assert_int_equal(l.done, 0);
	loop_until(p->base, &l.done);
	return l;
}

static struct lookup host(struct place *p, const char *name, uint16_t port)
{
	struct lookup l = {0};

	dns_host(p->dns, name, port, 0, on_done, &l);
	assert_int_equal(l.done, 0);
	loop_until(p->base, &l.done);
	return l;
}

#define ANSWERED(l)                                                                                                    \
	do {                                                                                                           \
		if ((l).code)                                                                                          \
			fail_msg("%s", (l).error);                                                                     \
	} while (0)

/* ---- the real one ---- */

static void register_instance(struct asker *a, const char *name, int n)
{
	struct consul_service_registration s = {0};
	char id[32], address[32];

	snprintf(id, sizeof(id), "%s-%d", name, n);
	snprintf(address, sizeof(address), "10.0.%d.%d", n / 250, n % 250 + 1);
	MODEL_SET(consul_service_registration, &s, id, id);
	MODEL_SET(consul_service_registration, &s, name, name);
	MODEL_SET(consul_service_registration, &s, address, address);
	MODEL_SET(consul_service_registration, &s, port, 1000 + n);
	asker_do(a, &consul_service_register, &(struct consul_args){.object = &s});
}

static bool has_target(const struct lookup *l, const char *address, int port)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (str_eq(l->targets[i].address, address) && l->targets[i].port == port)
			return true;
	return false;
}

static void test_consul_tells_addresses_and_ports_of_a_service(void **state UNUSED)
{
	struct consul_server *real = consul_server_start(
	    "--config '{\"dns_config\":{\"enable_truncate\":true,\"service_ttl\":{\"kept\":\"30s\"}}}'");
	struct asker a = asker_new(&(struct consul_config){.address = consul_server_ask(real, "address 0")});
	struct place p = {.base = a.base};
	struct lookup l = {0};

	assert_int_equal(dns_new(a.base, consul_server_ask(real, "dns 0"), &p.dns, NULL), 0);
	for (int i = 0; i < 60; i++)
		register_instance(&a, "many", i);
	register_instance(&a, "drover", 1);
	register_instance(&a, "drover", 2);
	register_instance(&a, "kept", 7);
	for (int i = 0; i < 200 && l.n < 1; i++, loop_for(a.base, 20 * MILLI))
		l = srv(&p, "kept.service.consul", 0);
	ANSWERED(l);
	assert_true(has_target(&l, "10.0.0.8", 1007));
	assert_in_range(l.ttl, 25 * SECOND, 30 * SECOND);

	l = srv(&p, "drover.service.consul", 0);
	ANSWERED(l);
	assert_int_equal(l.n, 2);
	assert_true(has_target(&l, "10.0.0.2", 1001) && has_target(&l, "10.0.0.3", 1002));
	assert_int_equal(l.ttl, 0);

	l = srv(&p, "many.service.consul", 0); /* too many for UDP: cut there, whole over TCP */
	ANSWERED(l);
	assert_int_equal(l.n, 60);
	for (int i = 0; i < 60; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%d", i + 1);
		assert_true(has_target(&l, address, 1000 + i));
	}

	l = host(&p, "drover.service.consul", 4646);
	ANSWERED(l);
	assert_int_equal(l.n, 2);
	assert_true(has_target(&l, "10.0.0.2", 4646) && has_target(&l, "10.0.0.3", 4646));

	l = srv(&p, "absent.service.consul", 0);
	assert_int_equal(l.code, -ENOENT);
	assert_non_null(strstr(l.error, "absent.service.consul"));
	consul_server_ask(real, "kill 0");
	l = srv(&p, "drover.service.consul", 0);
	assert_int_equal(l.code, -ECONNREFUSED);
	dns_free(p.dns);
	asker_free(&a);
	consul_server_stop(real);
}

/* ---- the false one ---- */

static void answer_by_name(struct dns_exchange *x)
{
	static const uint8_t loop[] = {0xc0, 0x0c, 0, 33, 0, 1, 0, 0, 0, 0, 0, 8, 0, 1, 0, 1, 0, 1, 0xc0, 0};
	static const uint8_t liar[] = {1, 'x', 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};

	if (str_starts(x->name, "cut")) {
		if (!x->tcp) {
			answer_truncated(x);
			return;
		}
		answer_srv(x, 0, 1, 80, "a.example");
		further_a(x, "a.example", 0, "10.0.0.1");
	} else if (str_starts(x->name, "nothing")) {
		answer_code(x, 3);
	} else if (str_starts(x->name, "servfail")) {
		answer_code(x, 2);
	} else if (str_starts(x->name, "empty")) {
		return;
	} else if (str_starts(x->name, "silent")) {
		x->silent = true;
	} else if (str_starts(x->name, "wrongid")) {
		x->out[0] ^= 0x55;
		answer_srv(x, 0, 1, 666, "evil.example");
		further_a(x, "evil.example", 0, "6.6.6.6");
		answer_send(x);
		x->silent = x->nth == 0;
		x->out[0] ^= 0x55;
	} else if (str_starts(x->name, "garbage")) {
		memset(x->out + 4, 0xee, 40);
	} else if (str_starts(x->name, "loop")) {
		x->answers = 1;
		answer_bytes(x, loop, sizeof(loop));
	} else if (str_starts(x->name, "liar")) {
		x->answers = 1;
		answer_bytes(x, liar, sizeof(liar));
	} else if (str_starts(x->name, "slow")) {
		usleep(700000);
		answer_srv(x, 0, 1, 80, "a.example");
		further_a(x, "a.example", 0, "10.0.0.1");
	} else if (str_starts(x->name, "ordered")) {
		answer_srv(x, 9, 20, 1, "a.example");
		answer_srv(x, 8, 10, 2, "b.example");
		answer_srv(x, 7, 20, 3, "c.example");
		answer_srv(x, 7, 10, 4, "A.EXAMPLE");
		further_a(x, "a.example", 100, "10.0.0.1");
		further_a(x, "b.example", 6, "10.0.0.2");
		further_a(x, "c.example", 100, "10.0.0.3");
	} else if (str_starts(x->name, "far")) {
		answer_srv(x, 0, 1, 80, "host.example");
		answer_srv(x, 0, 1, 81, "host.example");
		answer_srv(x, 0, 1, 82, "nothing.example");
	} else if (str_starts(x->name, "lost")) {
		answer_srv(x, 0, 1, 80, "nothing.example");
	} else if (str_starts(x->name, "nowhere")) {
		answer_srv(x, 0, 0, 0, "");
	} else if (str_starts(x->name, "alias") && x->type == 1) {
		answer_cname(x, x->name, "second.example");
		answer_cname(x, "second.example", "third.example");
		answer_a(x, "third.example", 60, "10.0.0.9");
	} else if (str_starts(x->name, "host") && x->type == 1) {
		answer_a(x, x->name, 60, "10.0.0.7");
	} else if (str_starts(x->name, "short")) {
		answer_srv(x, 1, 1, 80, "a.example");
		further_a(x, "a.example", 1, "10.0.0.1");
	} else if (str_starts(x->name, "many")) {
		for (int i = 0; i < 100; i++)
			answer_srv(x, 0, 1, i, "a.b");
		further_a(x, "a.b", 0, "10.0.0.1");
	}
}

static void test_what_a_bad_server_answers_becomes_a_code_and_a_sentence(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	static const struct {
		const char *name;
		int code;
	} cases[] = {
	    {"nothing.example", -ENOENT},
	    {"empty.example", -ENOENT},
	    {"nowhere.example", -ENOENT},
	    {"lost.example", -ENOENT},
	    {"loop.example", -EPROTO},
	    {"liar.example", -EPROTO},
	    {"servfail.example", -EIO},
	    {"silent.example", -ETIMEDOUT},
	    {"garbage.example", -ETIMEDOUT}, /* nobody knows whom it answers */
	    {"a..b", -EINVAL},
	    {"label-of-more-than-63-characters-which-no-name-may-have-in-it-at-all.example", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lookup l = srv(&p, cases[i].name, SECOND);

		if (l.code != cases[i].code)
			fail_msg("%s: %d %s", cases[i].name, l.code, l.error);
		assert_int_equal(l.n, 0);
		assert_non_null(strstr(l.error, cases[i].name));
		assert_non_null(strstr(l.error, dns_server_address(p.server)));
	}
	teardown(&p);
}

static void test_a_cut_answer_is_asked_for_again_over_tcp(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "cut.example", 0);

	ANSWERED(l);
	assert_true(has_target(&l, "10.0.0.1", 80));
	assert_int_equal(dns_server_tcp_messages(p.server), 1);
	teardown(&p);
}

static void test_an_answer_with_the_wrong_id_is_not_believed(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "wrongid.example", 0);

	ANSWERED(l);
	assert_true(dns_server_messages(p.server) >= 2); /* the first was answered with the wrong one alone */
	teardown(&p);
}

static void test_a_slow_answer_is_waited_for(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "slow.example", 0);

	ANSWERED(l);
	assert_true(has_target(&l, "10.0.0.1", 80));
	teardown(&p);
}

static void test_targets_come_in_the_order_of_their_priority(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "ordered.example", 0);
	static const uint16_t ports[] = {2, 4, 1, 3};

	ANSWERED(l);
	assert_int_equal(l.n, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(l.targets[i].port, ports[i]);
	assert_string_equal(l.targets[1].address, "10.0.0.1"); /* names in any case */
	assert_int_equal(l.ttl, 6 * SECOND);
	teardown(&p);
}

static void test_addresses_that_did_not_come_with_the_answer_are_looked_up(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "far.example", 0);

	ANSWERED(l);
	assert_int_equal(l.n, 2);
	assert_true(has_target(&l, "10.0.0.7", 80) && has_target(&l, "10.0.0.7", 81));
	assert_int_equal(dns_server_messages(p.server), 5); /* SRV; A and AAAA of two names */
	teardown(&p);
}

static void test_a_name_is_followed_through_its_aliases(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = host(&p, "alias.example", 99);

	ANSWERED(l);
	assert_int_equal(l.n, 1);
	assert_true(has_target(&l, "10.0.0.9", 99));
	assert_string_equal(l.targets[0].host, "alias.example");
	teardown(&p);
}

static void test_an_address_is_its_own_answer(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup four = host(&p, "192.0.2.1", 5), six = host(&p, "2001:db8::1", 6);

	assert_true(has_target(&four, "192.0.2.1", 5));
	assert_true(has_target(&six, "2001:db8::1", 6));
	assert_int_equal(dns_server_messages(p.server), 0);
	teardown(&p);
}

static void test_an_answer_is_kept_for_its_time_and_no_longer(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "short.example", 0);

	ANSWERED(l);
	assert_int_equal(l.ttl, SECOND);
	l = srv(&p, "short.example", 0);
	ANSWERED(l);
	assert_in_range(l.ttl, 1, SECOND);
	assert_true(has_target(&l, "10.0.0.1", 80));
	assert_int_equal(dns_server_messages(p.server), 1);
	loop_for(p.base, 1100 * MILLI);
	l = srv(&p, "short.example", 0);
	assert_int_equal(dns_server_messages(p.server), 2);
	for (int i = 0; i < 3; i++)
		srv(&p, "cut.example", 0); /* TTL 0 */
	assert_int_equal(dns_server_messages(p.server), 8);
	l = host(&p, "host.example", 1);
	l = host(&p, "host.example", 2);
	assert_true(has_target(&l, "10.0.0.7", 2));
	assert_int_equal(dns_server_messages(p.server), 10);
	teardown(&p);
}

static void test_more_answers_than_fit_are_kept_without_growing(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);

	for (int i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "host%d.example", i);
		struct lookup l = host(&p, name, 1);

		ANSWERED(l);
	}
	host(&p, "host199.example", 1);
	assert_int_equal(dns_server_messages(p.server), 400);
	teardown(&p);
}

static void test_targets_are_bounded(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = srv(&p, "many.example", 0);

	ANSWERED(l);
	assert_int_equal(l.n, DNS_MAX_TARGETS);
	teardown(&p);
}

static void test_what_is_cancelled_or_freed_is_not_reported(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	struct lookup l = {0};

	for (int i = 0; i < 50; i++) {
		struct dns_query *q = dns_srv(p.dns, i % 2 ? "silent.example" : "far.example", 0, on_done, &l);

		if (i % 3)
			loop_for(p.base, i % 3 * MILLI);
		if (!l.done)
			dns_cancel(q);
		l.done = 0;
	}
	for (int i = 0; i < 20; i++)
		dns_srv(p.dns, "silent.example", 0, on_done, &l);
	loop_for(p.base, 20 * MILLI);
	assert_int_equal(l.done, 0);
	teardown(&p);
	assert_int_equal(l.done, 0);
}

static void count_busy(void *arg, const struct dns_answer *a)
{
	*(int *)arg += a->err.code == -EBUSY;
}

static void test_look_ups_at_once_are_bounded(void **state UNUSED)
{
	struct place p = setup(answer_by_name, NULL);
	int busy = 0;

	for (int i = 0; i < 260; i++)
		dns_host(p.dns, "silent.example", 1, 0, count_busy, &busy);
	loop_for(p.base, 10 * MILLI);
	assert_int_equal(busy, 4);
	teardown(&p);
}

static void test_only_addresses_are_servers(void **state UNUSED)
{
	static const char *const bad[] = {"", "localhost:53", "1.2.3", "1.2.3.4:x", "1.2.3.4:99999", "1.2.3.4,5.6.7.8"};
	static const char *const good[] = {"1.2.3.4", "1.2.3.4:8600", "[::1]:8600", "[::1]"};
	struct event_base *base = loop_new();
	struct dns *d;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_err struct err e = ERR_INIT;

		assert_int_equal(dns_new(base, bad[i], &d, &e), -EINVAL);
		assert_non_null(strstr(err_str(&e), "DNS server"));
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(dns_new(base, good[i], &d, NULL), 0);
		dns_free(d);
	}
	loop_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_consul_tells_addresses_and_ports_of_a_service),
	    cmocka_unit_test(test_what_a_bad_server_answers_becomes_a_code_and_a_sentence),
	    cmocka_unit_test(test_a_cut_answer_is_asked_for_again_over_tcp),
	    cmocka_unit_test(test_an_answer_with_the_wrong_id_is_not_believed),
	    cmocka_unit_test(test_a_slow_answer_is_waited_for),
	    cmocka_unit_test(test_targets_come_in_the_order_of_their_priority),
	    cmocka_unit_test(test_addresses_that_did_not_come_with_the_answer_are_looked_up),
	    cmocka_unit_test(test_a_name_is_followed_through_its_aliases),
	    cmocka_unit_test(test_an_address_is_its_own_answer),
	    cmocka_unit_test(test_an_answer_is_kept_for_its_time_and_no_longer),
	    cmocka_unit_test(test_more_answers_than_fit_are_kept_without_growing),
	    cmocka_unit_test(test_targets_are_bounded),
	    cmocka_unit_test(test_what_is_cancelled_or_freed_is_not_reported),
	    cmocka_unit_test(test_look_ups_at_once_are_bounded),
	    cmocka_unit_test(test_only_addresses_are_servers),
	};

	return RUN_TESTS(tests);
}
