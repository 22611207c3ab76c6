/* Who is alive, under virtual time: the verdict, what a new leader begins with, events, twins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/lib/world.h"

#define GRACE (10 * SECOND)

/* A core whose TTLs are all of 10 to 20 s, and one node. */
static struct world *start(void)
{
	struct world *w = world_new();

	world_add_node(w, 0);
	world_settle(w);
	return w;
}

static const char *event_text(struct world *w, unsigned node, unsigned from_end)
{
	const struct objs *events = &world_node(w, node)->spec->events;

	return from_end < events->n ? ((struct node_event *)events->v[events->n - 1 - from_end])->message : "";
}

static void expect_event(struct world *w, unsigned from_end, const char *part)
{
	if (!strstr(event_text(w, 0, from_end), part))
		fail_msg("event %u from the end is \"%s\", not \"%s\"", from_end, event_text(w, 0, from_end), part);
}

static int64_t beat(struct world *w, unsigned n)
{
	struct core_node_reply reply = {0};

	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(n), w->now, &reply, NULL), 0);
	return reply.heartbeat_ttl;
}

/* How long after its last word node 0 is called down; 0 = not within ten minutes. */
static int64_t time_to_down(struct world *w)
{
	int64_t begin = w->now;

	for (int i = 0; i < 6000; i++) {
		world_pass_time(w, 100 * MILLI);
		if (world_node(w, 0)->status == NODE_DOWN)
			return w->now - begin;
	}
	return 0;
}

/* ---- the verdict ---- */

static void test_each_pair_of_words_leaves_a_silent_node_its_time(void **unused UNUSED)
{
	static const struct {
		enum witness_word consul, probe;
		int64_t beyond_ttl;
	} rows[] = {
	    {WITNESS_UNKNOWN, WITNESS_UNKNOWN, GRACE},
	    {WITNESS_UNKNOWN, WITNESS_DEAD, GRACE},
	    {WITNESS_UNKNOWN, WITNESS_ALIVE, 2 * GRACE},
	    {WITNESS_DEAD, WITNESS_DEAD, GRACE}, /* nobody was suspicious before */
	    {WITNESS_DEAD, WITNESS_UNKNOWN, GRACE},
	    {WITNESS_DEAD, WITNESS_ALIVE, 2 * MINUTE},
	    {WITNESS_ALIVE, WITNESS_DEAD, 2 * MINUTE},
	    {WITNESS_ALIVE, WITNESS_OTHER, GRACE},
	    {WITNESS_UNKNOWN, WITNESS_OTHER, GRACE},
	    {WITNESS_ALIVE, WITNESS_UNKNOWN, 2 * MINUTE},
	    {WITNESS_ALIVE, WITNESS_ALIVE, 2 * MINUTE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = start();

		w->consul = rows[i].consul;
		w->probe = rows[i].probe;
		int64_t due = beat(w, 0) + rows[i].beyond_ttl, took = time_to_down(w);

		if (took < due || took > due + 200 * MILLI)
			fail_msg("row %zu: down after %lld ms, expected %lld", i, (long long)(took / MILLI), (long long)(due / MILLI));
		world_free(w);
	}
}

static void test_a_node_that_both_call_dead_is_down_as_soon_as_anybody_suspects_it(void **unused UNUSED)
{
	for (int why = SUSPECT_BROKE; why <= SUSPECT_CONSUL; why++) {
		struct world *w = start();

		w->consul = w->probe = WITNESS_DEAD;
		core_node_suspect(w->c, fixture_node_id(0), why, w->now);
		int64_t took = time_to_down(w);

		assert_in_range(took, MILLI, 1200 * MILLI);
		expect_event(w, 0, why == SUSPECT_BROKE ? "the request that it held broke off" : "Consul calls its machine critical");
		world_free(w);
	}
}

static void test_the_same_word_again_is_asked_for_every_five_seconds_and_told_once(void **unused UNUSED)
{
	struct world *w = start();

	w->consul = WITNESS_ALIVE;
	w->probe = WITNESS_DEAD;
	int64_t ttl = beat(w, 0);

	world_pass_time(w, ttl + GRACE + SECOND);
	expect_event(w, 2, "Node heartbeat missed");
	expect_event(w, 1, "Witnesses asked: its heartbeat is late");
	expect_event(w, 0, "Consul sees its machine alive, it does not answer at its address: it has until ");
	assert_int_equal(w->questions, 1);
	uint32_t events = world_node(w, 0)->spec->events.n;

	world_pass_time(w, 50 * SECOND);
	assert_int_equal(w->questions, 11);
	assert_int_equal(world_node(w, 0)->spec->events.n, events);
	w->consul = WITNESS_DEAD;
	world_pass_time(w, 5 * SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	expect_event(w, 0, "Node down: no heartbeat, Consul sees its machine dead, it does not answer at its address");
	beat(w, 0);
	expect_event(w, 0, "Node reregistered by heartbeat");
	world_free(w);
}

static void test_that_its_heartbeat_is_late_is_told_also_of_a_node_that_was_suspected_before(void **unused UNUSED)
{
	struct world *w = start();

	w->consul = WITNESS_ALIVE;
	w->probe = WITNESS_DEAD;
	int64_t ttl = beat(w, 0);

	core_node_suspect(w->c, fixture_node_id(0), SUSPECT_BROKE, w->now);
	world_pass_time(w, 2 * SECOND);
	expect_event(w, 1, "Witnesses asked: the request that it held broke off");
	uint32_t events = world_node(w, 0)->spec->events.n;

	world_pass_time(w, ttl + GRACE);
	assert_int_equal(world_node(w, 0)->spec->events.n, events + 1);
	expect_event(w, 0, "Node heartbeat missed");
	world_pass_time(w, MINUTE);
	assert_int_equal(world_node(w, 0)->spec->events.n, events + 1);
	world_free(w);
}

static void test_a_silent_node_that_speaks_before_its_time_is_over_keeps_its_work(void **unused UNUSED)
{
	struct world *w = start();

	world_run_job(w, fixture_job(w->a, "web", "service", 2, 100, 100));
	world_settle(w);
	w->consul = WITNESS_ALIVE;
	w->probe = WITNESS_DEAD;
	int64_t ttl = beat(w, 0);

	world_pass_time(w, ttl + 2 * MINUTE - SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	beat(w, 0);
	expect_event(w, 0, "Node is heard again");
	w->questions = 0;
	world_pass_time(w, 5 * SECOND);
	assert_int_equal(w->questions, 0);
	assert_int_equal(world_count(w, "web", OBSERVED_PENDING), 2);
	world_free(w);
}

static void test_a_held_request_that_is_renewed_within_a_second_is_no_suspicion(void **unused UNUSED)
{
	struct world *w = start();
	uint64_t index = core_state(w->c)->index;

	w->consul = w->probe = WITNESS_DEAD;
	core_node_suspect(w->c, fixture_node_id(0), SUSPECT_BROKE, w->now);
	world_pass_time(w, 900 * MILLI);
	core_node_asks(w->c, fixture_node_id(0));
	world_pass_time(w, 5 * SECOND);
	assert_int_equal(w->questions, 0);
	assert_int_equal(core_state(w->c)->index, index);
	world_free(w);
}

static void test_an_early_suspicion_that_comes_to_nothing_leaves_no_trace(void **unused UNUSED)
{
	struct world *w = start();
	uint64_t index = core_state(w->c)->index;

	w->probe = WITNESS_ALIVE;
	core_node_suspect(w->c, fixture_node_id(0), SUSPECT_BROKE, w->now);
	world_pass_time(w, 3 * SECOND);
	assert_int_equal(w->questions, 1);
	w->consul = WITNESS_DEAD; /* its Consul agent has died, and it lives */
	core_node_suspect(w->c, fixture_node_id(0), SUSPECT_CONSUL, w->now);
	world_pass_time(w, 3 * SECOND);
	assert_int_equal(w->questions, 2);
	assert_int_equal(core_state(w->c)->index, index);
	world_free(w);
}

static void test_questions_are_bounded_and_one_that_nobody_takes_is_given_up(void **unused UNUSED)
{
	struct world *w = world_new();
	struct uuid id;
	unsigned n = CORE_QUESTIONS + 10, asked = 0;

	for (unsigned i = 0; i < n; i++)
		world_add_node(w, i);
	world_settle(w);
	w->unasked = true;
	for (unsigned i = 0; i < n; i++)
		core_node_suspect(w->c, fixture_node_id(i), SUSPECT_CONSUL, w->now);
	while (core_next_question(w->c, &id, w->now))
		asked++;
	assert_int_equal(asked, CORE_QUESTIONS);
	core_node_witness(w->c, id, WITNESS_DEAD, WITNESS_DEAD, w->now);
	assert_true(core_next_question(w->c, &id, w->now));
	assert_false(core_next_question(w->c, &id, w->now));
	/* An answer to what was not asked, or is over, is none. */
	core_node_witness(w->c, fixture_node_id(n + 1), WITNESS_DEAD, WITNESS_DEAD, w->now);
	beat(w, 1);
	core_node_witness(w->c, fixture_node_id(1), WITNESS_DEAD, WITNESS_DEAD, w->now);
	assert_int_equal(world_node(w, 1)->status, NODE_READY);
	assert_int_equal(world_node(w, 1)->spec->events.n, 1);
	assert_int_equal(world_node(w, 1)->life.phase, LIFE_FINE);
	world_pass_time(w, 3 * MINUTE);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(world_node(w, i)->status, NODE_DOWN);
	world_free(w);
}

static void test_a_stop_of_the_server_is_no_silence_of_the_nodes(void **unused UNUSED)
{
	struct world *w = start();
	int64_t ttl = beat(w, 0);

	w->now += HOUR;
	core_excuse(w->c, HOUR);
	core_tick(w->c, w->now);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	world_pass_time(w, ttl + GRACE - SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	world_pass_time(w, 2 * SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	world_free(w);
}

static void test_a_server_that_hears_nobody_condemns_nobody_for_a_while(void **unused UNUSED)
{
	struct world *w = world_new();

	for (unsigned i = 0; i < 3; i++)
		world_add_node(w, i);
	world_live(w, MINUTE);
	/* It is cut off, and its Consul with it. */
	w->consul = w->probe = WITNESS_DEAD;
	for (unsigned i = 0; i < 3; i++)
		core_node_suspect(w->c, fixture_node_id(i), SUSPECT_CONSUL, w->now + SECOND);
	world_pass_time(w, 2 * MINUTE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(world_node(w, i)->status, NODE_READY);
	expect_event(w, 0, "and no other node is heard: it has until");
	/* One of them is heard: it was not the server. */
	beat(w, 2);
	world_pass_time(w, 6 * SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(world_node(w, 1)->status, NODE_DOWN);
	assert_int_equal(world_node(w, 2)->status, NODE_READY);
	world_free(w);
}

static void test_who_is_fine_is_asked_before_the_first_one_is_condemned(void **unused UNUSED)
{
	struct world *w = world_new();
	unsigned of_the_other = 0;
	struct uuid id;

	w->unasked = true;
	for (unsigned i = 0; i < 2; i++)
		world_add_node(w, i);
	world_settle(w);
	w->now += SECOND;
	core_node_suspect(w->c, fixture_node_id(0), SUSPECT_CONSUL, w->now);
	for (int i = 0; i < 20 && world_node(w, 0)->status == NODE_READY; i++) {
		while (core_next_question(w->c, &id, w->now)) {
			bool dead = uuid_eq(id, fixture_node_id(0));

			of_the_other += !dead;
			core_node_witness(w->c, id, dead ? WITNESS_DEAD : WITNESS_ALIVE, dead ? WITNESS_DEAD : WITNESS_ALIVE, w->now);
		}
		world_pass_time(w, 100 * MILLI);
	}
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_in_range(w->now, WORLD_START, WORLD_START + 2 * SECOND);
	assert_int_equal(of_the_other, 1);
	assert_int_equal(world_node(w, 1)->spec->events.n, 1);
	world_free(w);
}

/* ---- a new leader ---- */

static void lead_anew(struct world *w)
{
	uint64_t digest, index = core_state(w->c)->index;

	world_commit(w);
	digest = state_digest(core_state(w->c));
	core_close(w->c);
	world_open_core(w);
	assert_int_equal(core_state(w->c)->index, index);
	assert_true(state_digest(core_state(w->c)) == digest);
}

static void test_last_words_are_written_now_and_then_and_not_when_there_are_none(void **unused UNUSED)
{
	struct world *w = start();
	uint64_t index = core_state(w->c)->index;
	int64_t begin = w->now;

	world_live(w, 5 * MINUTE);
	assert_in_range(core_state(w->c)->index - index, 15, 20);
	assert_in_range(world_node(w, 0)->seen, begin + 280 * SECOND, w->now);
	assert_int_equal(core_state(w->c)->table_index[TABLE_NODES], world_node(w, 0)->modify_index); /* nobody is woken by it */
	lead_anew(w);
	assert_int_equal(core_snapshot(w->c, NULL), 0);
	lead_anew(w);
	w->consul = WITNESS_ALIVE;
	world_pass_time(w, MINUTE);
	index = core_state(w->c)->index;
	world_pass_time(w, MINUTE);
	assert_int_equal(core_state(w->c)->index, index);
	world_free(w);
}

static void test_what_is_written_is_when_a_node_spoke_and_not_when_that_was_written(void **unused UNUSED)
{
	struct world *w = start();

	world_add_node(w, 1);
	w->consul = WITNESS_ALIVE;
	w->now += 3 * SECOND;
	beat(w, 0);
	int64_t first = w->now;

	w->now += 4 * SECOND + 300 * MILLI;
	beat(w, 1);
	int64_t second = w->now;

	world_pass_time(w, 20 * SECOND);
	assert_in_range(world_node(w, 0)->seen, first - SECOND, first);
	assert_in_range(world_node(w, 1)->seen, second - SECOND, second);
	world_free(w);
}

static void test_a_new_leader_gives_a_node_the_rest_of_its_time(void **unused UNUSED)
{
	struct world *w = start();

	world_live(w, MINUTE);
	lead_anew(w);
	/* Its TTL may have been of 20 s, its last word 15 s later than is known; then comes the grace. */
	assert_in_range(time_to_down(w), 25 * SECOND, 46 * SECOND);
	world_free(w);
}

static void test_after_a_long_outage_nobody_is_condemned_before_it_can_have_found_the_servers(void **unused UNUSED)
{
	struct world *w = start();

	world_live(w, MINUTE);
	w->now += 24 * HOUR;
	lead_anew(w);
	assert_in_range(time_to_down(w), 20 * SECOND, 21 * SECOND);
	world_free(w);
}

static void test_failover_heartbeat_ttl_bounds_the_time_of_a_large_fleet(void **unused UNUSED)
{
	struct world *w = world_with((struct core_config){.min_heartbeat_ttl = HOUR, .failover_heartbeat_ttl = MINUTE});

	world_add_node(w, 0);
	world_settle(w);
	lead_anew(w);
	assert_in_range(time_to_down(w), 59 * SECOND, 61 * SECOND);
	world_free(w);
}

/* ---- the TTL ---- */

static void test_the_heartbeats_of_a_fleet_stay_below_the_rate(void **unused UNUSED)
{
	static const uint32_t fleets[] = {1, 100, 500, 2000, 10000};
	const struct core_config c = {.min_heartbeat_ttl = 10 * SECOND, .max_heartbeats_per_second = 50};

	for (size_t i = 0; i < ARRAY_LEN(fleets); i++) {
		double rate = 0;
		uint32_t sampled = MIN(fleets[i], 500u);

		for (uint32_t n = 0; n < sampled; n++) {
			int64_t ttl = nodes_ttl(&c, fleets[i], fixture_node_id(n), WORLD_START + n);

			assert_in_range(ttl, 10 * SECOND, MAX(20.0, fleets[i] / 25.0) * 1e9);
			rate += 1e9 / (double)ttl * fleets[i] / sampled;
		}
		assert_true(rate <= 50);
	}
}

/* ---- twins ---- */

static struct node *at(struct world *w, const char *address)
{
	struct node *n = fixture_node(w->a, 0);

	MODEL_SET(node, n, http_addr, address);
	return n;
}

static void test_a_second_machine_with_the_id_of_a_node_that_beats_is_refused(void **unused UNUSED)
{
	struct world *w = world_new();
	struct core_node_reply reply;
	struct err e = ERR_INIT;

	assert_int_equal(core_node_register(w->c, at(w, "10.0.0.5:4646"), w->now, &reply, NULL), 0);
	assert_int_equal(core_node_register(w->c, at(w, "10.0.0.5:4646"), w->now, &reply, NULL), 0); /* the same agent again */
	for (int i = 0; i < 5; i++) {
		world_live(w, 5 * SECOND);
		assert_int_equal(core_node_register(w->c, at(w, "10.0.0.9:4646"), w->now, &reply, &e), -EEXIST);
		assert_non_null(strstr(err_str(&e), "10.0.0.5:4646"));
		assert_non_null(strstr(err_str(&e), "10.0.0.9:4646"));
		assert_non_null(strstr(err_str(&e), "remove its state folder"));
		err_clear(&e);
	}
	expect_event(w, 0, "Registration from 10.0.0.9:4646 refused");
	expect_event(w, 1, "Node registered"); /* told once */
	assert_string_equal(world_node(w, 0)->spec->http_addr, "10.0.0.5:4646");
	/* The machine has moved, in truth. */
	world_pass_time(w, 25 * SECOND);
	assert_int_equal(core_node_register(w->c, at(w, "10.0.0.9:4646"), w->now, &reply, NULL), 0);
	assert_string_equal(world_node(w, 0)->spec->http_addr, "10.0.0.9:4646");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_pair_of_words_leaves_a_silent_node_its_time),
	    cmocka_unit_test(test_a_node_that_both_call_dead_is_down_as_soon_as_anybody_suspects_it),
	    cmocka_unit_test(test_the_same_word_again_is_asked_for_every_five_seconds_and_told_once),
	    cmocka_unit_test(test_that_its_heartbeat_is_late_is_told_also_of_a_node_that_was_suspected_before),
	    cmocka_unit_test(test_a_silent_node_that_speaks_before_its_time_is_over_keeps_its_work),
	    cmocka_unit_test(test_a_held_request_that_is_renewed_within_a_second_is_no_suspicion),
	    cmocka_unit_test(test_an_early_suspicion_that_comes_to_nothing_leaves_no_trace),
	    cmocka_unit_test(test_questions_are_bounded_and_one_that_nobody_takes_is_given_up),
	    cmocka_unit_test(test_a_stop_of_the_server_is_no_silence_of_the_nodes),
	    cmocka_unit_test(test_a_server_that_hears_nobody_condemns_nobody_for_a_while),
	    cmocka_unit_test(test_who_is_fine_is_asked_before_the_first_one_is_condemned),
	    cmocka_unit_test(test_last_words_are_written_now_and_then_and_not_when_there_are_none),
	    cmocka_unit_test(test_what_is_written_is_when_a_node_spoke_and_not_when_that_was_written),
	    cmocka_unit_test(test_a_new_leader_gives_a_node_the_rest_of_its_time),
	    cmocka_unit_test(test_after_a_long_outage_nobody_is_condemned_before_it_can_have_found_the_servers),
	    cmocka_unit_test(test_failover_heartbeat_ttl_bounds_the_time_of_a_large_fleet),
	    cmocka_unit_test(test_the_heartbeats_of_a_fleet_stay_below_the_rate),
	    cmocka_unit_test(test_a_second_machine_with_the_id_of_a_node_that_beats_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
