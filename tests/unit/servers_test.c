/* servers: which server a client asks, by what the sources name and what came of asking. */
#include "agent/servers.h"

#include "base/clock.h"
#include "tests/lib/loop.h"
#include "tests/lib/test.h"

/* Sources whose lists the test sets; time is the test's too. */
struct place {
	struct event_base *base;
	struct sources *sources;
	struct servers *servers;
	int64_t now;
};

static void on_change(void *arg UNUSED)
{
}

static struct strs list(const char **v, uint32_t n)
{
	return (struct strs){.v = v, .n = n};
}
#define LIST(...) list((const char *[]){__VA_ARGS__}, ARRAY_LEN(((const char *[]){__VA_ARGS__})))

static struct place setup(uint64_t seed, const char *own, struct strs configured)
{
	struct place p = {.base = loop_new(), .servers = servers_new(seed), .now = 1000 * SECOND};
	const struct sources_config c = {.own = own, .configured = &configured, .service = "drover", .domain = "consul", .region = "global"};

	assert_int_equal(sources_new(p.base, &c, on_change, NULL, &p.sources, NULL), 0);
	servers_take(p.servers, p.sources, p.now);
	return p;
}

static void teardown(struct place *p)
{
	servers_free(p->servers);
	sources_free(p->sources);
	loop_free(p->base);
}

static bool push(struct place *p, enum source_kind kind, struct strs l)
{
	sources_set(p->sources, kind, &l);
	return servers_take(p->servers, p->sources, p->now);
}

static const char *pick(struct place *p, bool any)
{
	const struct server *s = servers_pick(p->servers, NULL, any, p->now);

	return s ? s->address : "nobody";
}

static void fails(struct place *p, const char *address)
{
	servers_failed(p->servers, address, false, "it is away", p->now);
}

static const struct server *server_of(const struct place *p, const char *address)
{
	for (uint32_t i = 0; i < servers_count(p->servers); i++)
		if (str_eq(servers_at(p->servers, i)->address, address))
			return servers_at(p->servers, i);
	fail_msg("%s is not known", address);
	return NULL;
}

static void test_sources_are_merged_and_what_none_names_is_forgotten(void **state UNUSED)
{
	struct place p = setup(1, NULL, LIST("10.0.0.2", "10.0.0.1"));

	assert_int_equal(servers_count(p.servers), 2);
	assert_true(push(&p, SOURCE_PUSHED, LIST("10.0.0.2:4646", "10.0.0.3:1"))); /* one has come */
	assert_int_equal(servers_count(p.servers), 3);
	assert_string_equal(servers_at(p.servers, 0)->address, "10.0.0.1:4646");
	assert_string_equal(servers_at(p.servers, 2)->address, "10.0.0.3:1");
	assert_false(push(&p, SOURCE_PUSHED, LIST("10.0.0.2:4646")));
	assert_int_equal(servers_count(p.servers), 2);
	teardown(&p);
}

static void test_the_present_server_stays_though_no_source_names_it(void **state UNUSED)
{
	struct place p = setup(1, NULL, LIST("10.0.0.1"));

	push(&p, SOURCE_PUSHED, LIST("10.0.0.2"));
	servers_answered(p.servers, "10.0.0.2:4646");
	assert_false(push(&p, SOURCE_PUSHED, LIST("10.0.0.3")));
	assert_string_equal(servers_present(p.servers)->address, "10.0.0.2:4646");
	assert_string_equal(pick(&p, false), "10.0.0.2:4646");
	/* Until another one has answered. */
	fails(&p, "10.0.0.2:4646");
	servers_answered(p.servers, "10.0.0.3:4646");
	push(&p, SOURCE_PUSHED, LIST("10.0.0.4"));
	push(&p, SOURCE_PUSHED, LIST("10.0.0.3"));
	assert_int_equal(servers_count(p.servers), 2);
	teardown(&p);
}

static void test_clients_spread_and_those_of_a_dead_server_spread_again(void **state UNUSED)
{
	enum { CLIENTS = 3000, SERVERS = 3 };
	int first[SERVERS] = {0}, second[SERVERS][SERVERS] = {{0}};

	for (uint64_t seed = 1; seed <= CLIENTS; seed++) {
		struct place p = setup(seed, NULL, LIST("10.0.0.1", "10.0.0.2", "10.0.0.3"));
		const char *a = pick(&p, false), *b;
		int x = a[7] - '1';

		assert_string_equal(pick(&p, false), a); /* always the same for one client */
		fails(&p, a);
		b = pick(&p, false);
		assert_true(x >= 0 && x < SERVERS && !str_eq(a, b));
		first[x]++;
		second[x][b[7] - '1']++;
		teardown(&p);
	}
	for (int i = 0; i < SERVERS; i++) {
		assert_in_range(first[i], CLIENTS / SERVERS * 9 / 10, CLIENTS / SERVERS * 11 / 10);
		for (int k = 0; k < SERVERS; k++)
			if (k != i)
				assert_in_range(second[i][k], first[i] * 2 / 5, first[i] * 3 / 5);
	}
}

static void test_a_further_server_takes_its_share_from_all(void **state UNUSED)
{
	enum { CLIENTS = 2000 };
	int moved = 0;

	for (uint64_t seed = 1; seed <= CLIENTS; seed++) {
		struct place p = setup(seed, NULL, LIST("10.0.0.1", "10.0.0.2", "10.0.0.3"));
		const char *before = pick(&p, false);
		const struct server *home;

		servers_answered(p.servers, before);
		assert_null(servers_home(p.servers, p.now)); /* it is at home; starts the time */
		assert_false(push(&p, SOURCE_PUSHED, LIST("10.0.0.4"))); /* no reason to hurry */
		assert_null(servers_home(p.servers, p.now));
		p.now += SERVERS_HOME * 3 / 2;
		home = servers_home(p.servers, p.now);
		assert_true(!home || str_eq(home->address, "10.0.0.4:4646"));
		moved += home != NULL;
		assert_null(servers_home(p.servers, p.now)); /* once in a while */
		teardown(&p);
	}
	assert_in_range(moved, CLIENTS / 4 * 85 / 100, CLIENTS / 4 * 115 / 100);
}

static void test_a_server_that_fails_is_left_alone_for_longer_and_longer_and_never_forgotten(void **state UNUSED)
{
	struct place p = setup(1, NULL, LIST("10.0.0.1"));
	int64_t expected = SERVERS_AGAIN_FIRST;

	for (int i = 0; i < 12; i++) {
		fails(&p, "10.0.0.1:4646");
		fails(&p, "10.0.0.1:4646"); /* another call that failed for the same cause */
		int64_t pause = server_of(&p, "10.0.0.1:4646")->again - p.now;

		assert_in_range(pause, expected * 3 / 4, expected * 5 / 4);
		assert_string_equal(pick(&p, false), "nobody");
		assert_string_equal(pick(&p, true), "10.0.0.1:4646"); /* for who must ask somebody */
		p.now += pause;
		assert_string_equal(pick(&p, false), "10.0.0.1:4646");
		expected = MIN(expected * 2, SERVERS_AGAIN_MAX);
	}
	/* One that answers that it cannot will be able to soon. */
	servers_failed(p.servers, "10.0.0.1:4646", true, "no leader", p.now);
	assert_true(server_of(&p, "10.0.0.1:4646")->again - p.now <= SERVERS_AGAIN_LIVES * 5 / 4);
	servers_answered(p.servers, "10.0.0.1:4646");
	assert_null(server_of(&p, "10.0.0.1:4646")->error);
	assert_string_equal(pick(&p, false), "10.0.0.1:4646");
	teardown(&p);
}

static void test_of_those_that_failed_the_one_whose_time_comes_first_is_asked_when_there_is_no_other(void **state UNUSED)
{
	struct place p = setup(1, NULL, LIST("10.0.0.1", "10.0.0.2", "10.0.0.3"));
	struct strs except = LIST("10.0.0.2:4646");

	fails(&p, "10.0.0.2:4646");
	p.now += SECOND;
	fails(&p, "10.0.0.1:4646");
	fails(&p, "10.0.0.3:4646");
	assert_string_equal(pick(&p, false), "10.0.0.2:4646"); /* its time has come */
	fails(&p, "10.0.0.2:4646");
	assert_string_equal(pick(&p, false), "nobody");
	assert_non_null(servers_pick(p.servers, &except, true, p.now));
	assert_string_not_equal(servers_pick(p.servers, &except, true, p.now)->address, "10.0.0.2:4646");
	teardown(&p);
}

static void test_its_own_server_and_those_set_by_hand_come_first(void **state UNUSED)
{
	for (uint64_t seed = 1; seed < 50; seed++) {
		struct place p = setup(seed, "10.0.0.9:1", LIST("10.0.0.1", "10.0.0.2"));

		assert_string_equal(pick(&p, false), "10.0.0.9:1");
		servers_answered(p.servers, "10.0.0.9:1");
		/* It fails, another one answers, and it is turned to again. */
		assert_true(servers_failed(p.servers, "10.0.0.9:1", true, "no leader", p.now));
		assert_string_not_equal(pick(&p, false), "10.0.0.9:1");
		servers_answered(p.servers, pick(&p, false));
		assert_null(servers_home(p.servers, p.now));
		p.now += SERVERS_HOME * 3 / 2;
		assert_string_equal(servers_home(p.servers, p.now)->address, "10.0.0.9:1");
		teardown(&p);

		p = setup(seed, NULL, LIST("10.0.0.1"));
		servers_answered(p.servers, "10.0.0.1:4646");
		assert_true(push(&p, SOURCE_HAND, LIST("10.0.0.7"))); /* at once */
		assert_string_equal(servers_home(p.servers, p.now)->address, "10.0.0.7:4646");
		teardown(&p);
	}
}

static void test_the_reason_names_servers_or_sources(void **state UNUSED)
{
	struct place p = setup(1, NULL, LIST("10.0.0.1"));
	cleanup_buf struct buf b = BUF_INIT;

	servers_explain(p.servers, p.sources, &b);
	assert_string_equal(b.data, "none of 1 known server answers: 10.0.0.1:4646: not asked yet");
	fails(&p, "10.0.0.1:4646");
	buf_clear(&b);
	servers_explain(p.servers, p.sources, &b);
	assert_string_equal(b.data, "none of 1 known server answers: 10.0.0.1:4646: it is away");
	push(&p, SOURCE_PUSHED, LIST("10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"));
	buf_clear(&b);
	servers_explain(p.servers, p.sources, &b);
	assert_non_null(strstr(b.data, "none of 6 known servers answers: 10.0.0.1:4646: it is away; 10.0.0.2:4646: "));
	assert_non_null(strstr(b.data, "; and 2 more"));
	teardown(&p);

	p = setup(1, NULL, (struct strs){0});
	buf_clear(&b);
	servers_explain(p.servers, p.sources, &b);
	assert_string_equal(b.data, "no server is known yet (Consul: no consul {} block; Consul DNS: no consul {} block)");
	teardown(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sources_are_merged_and_what_none_names_is_forgotten),
	    cmocka_unit_test(test_the_present_server_stays_though_no_source_names_it),
	    cmocka_unit_test(test_clients_spread_and_those_of_a_dead_server_spread_again),
	    cmocka_unit_test(test_a_further_server_takes_its_share_from_all),
	    cmocka_unit_test(test_a_server_that_fails_is_left_alone_for_longer_and_longer_and_never_forgotten),
	    cmocka_unit_test(test_of_those_that_failed_the_one_whose_time_comes_first_is_asked_when_there_is_no_other),
	    cmocka_unit_test(test_its_own_server_and_those_set_by_hand_come_first),
	    cmocka_unit_test(test_the_reason_names_servers_or_sources),
	};

	return RUN_TESTS(tests);
}
