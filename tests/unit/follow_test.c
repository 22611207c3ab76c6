/* A core that follows a journal which another one writes, and takes over from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/lib/world.h"

/* Hands what the journal holds to a follower. */
static int follow(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	return core_follow(arg, index, p, n, e);
}

static struct core *follower_of(struct world *w)
{
	struct core *c = core_new(&w->config);
	struct err e = ERR_INIT;

	assert_int_equal(w->j->ops->replay(w->j, follow, c, &e), 0);
	return c;
}

static void test_a_follower_has_the_state_of_the_leader(void **unused)
{
	struct world *w = world_new();

	(void)unused;
	for (unsigned i = 0; i < 5; i++)
		world_add_node(w, i);
	world_run_job(w, fixture_job(w->a, "web", "service", 3, 10, 10));
	world_settle(w);
	struct core *f = follower_of(w);
	assert_false(core_leads(f));
	assert_true(state_digest(core_state(f)) == state_digest(core_state(w->c)));
	assert_true(core_committed(f) == core_committed(w->c));
	core_close(f);
	world_free(w);
}

static void test_a_follower_reads_a_snapshot_and_the_log_after_it(void **unused)
{
	struct world *w = world_new();
	struct err e = ERR_INIT;

	(void)unused;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "before", "service", 2, 10, 10));
	world_settle(w);
	assert_int_equal(core_snapshot(w->c, &e), 0);
	world_run_job(w, fixture_job(w->a, "after", "service", 2, 10, 10));
	world_settle(w);
	struct core *f = follower_of(w);
	assert_true(state_digest(core_state(f)) == state_digest(core_state(w->c)));
	core_close(f);
	world_free(w);
}

static void test_a_follower_that_takes_over_goes_on_with_what_was_pending(void **unused)
{
	struct world *w = world_new();
	struct err e = ERR_INIT;

	(void)unused;
	world_add_node(w, 0);
	/* Registered and committed, and the leader dies before it is scheduled. */
	world_run_job(w, fixture_job(w->a, "web", "service", 3, 10, 10));
	world_commit(w);
	struct core *f = follower_of(w);
	assert_int_equal(state_count_allocs(core_state(f)), 0);
	core_close(w->c);
	w->c = f;
	assert_int_equal(core_lead(f, w->j, w->now, &e), 0);
	assert_true(core_leads(f));
	world_settle(w);
	assert_int_equal(world_job(w, "web")->n_live, 3);
	/* And nobody is condemned for the silence of the change. */
	world_pass_time(w, 30 * SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	world_free(w);
}

static void test_leading_an_empty_log_begins_it(void **unused)
{
	struct core_config config = {.seed = 1};
	struct journal *j = journal_memory_new();
	struct core *c = core_new(&config);
	struct err e = ERR_INIT;

	(void)unused;
	assert_true(uuid_is_nil(core_state(c)->cluster_id));
	assert_int_equal(core_lead(c, j, WORLD_START, &e), 0);
	assert_false(uuid_is_nil(core_state(c)->cluster_id));
	core_close(c);
	j->ops->close(j);
}

static void test_an_entry_out_of_order_is_refused(void **unused)
{
	struct world *w = world_new();
	struct err e = ERR_INIT;

	(void)unused;
	struct core *f = core_new(&w->config);
	assert_int_equal(core_follow(f, 7, "x", 1, &e), -EBADMSG);
	assert_non_null(strstr(err_str(&e), "journal entry 7"));
	err_clear(&e);
	core_close(f);
	world_free(w);
}

static void test_who_led_is_read_and_copied_with_what_was_never_committed(void **unused)
{
	struct world *w = world_new();
	struct core_eval_reply reply;
	struct err e = ERR_INIT;

	(void)unused;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "before", "service", 2, 10, 10));
	world_settle(w);
	struct core_register_request req = {.job = fixture_job(w->a, "web", "service", 1, 10, 10)};
	assert_int_equal(core_job_register(w->c, &req, w->now, &reply, &e), 0);
	uint64_t digest = state_digest(core_state(w->c)), committed = core_committed(w->c);
	assert_true(core_state(w->c)->index > committed);
	core_retire(w->c);
	assert_false(core_leads(w->c));
	assert_true(core_committed(w->c) == committed);
	struct core *copy = core_copy(w->c);
	assert_true(state_digest(core_state(copy)) == digest && state_digest(core_state(w->c)) == digest);
	assert_true(core_committed(copy) == core_state(w->c)->index);
	/* The copy can lead. */
	struct journal *j = journal_memory_new();
	assert_int_equal(core_lead(copy, j, w->now, &e), 0);
	while (core_step(copy, w->now))
		;
	assert_int_equal(state_job(core_state(copy), "default", "web")->n_allocs, 1);
	core_close(copy);
	j->ops->close(j);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_follower_has_the_state_of_the_leader),
	    cmocka_unit_test(test_a_follower_reads_a_snapshot_and_the_log_after_it),
	    cmocka_unit_test(test_a_follower_that_takes_over_goes_on_with_what_was_pending),
	    cmocka_unit_test(test_who_led_is_read_and_copied_with_what_was_never_committed),
	    cmocka_unit_test(test_leading_an_empty_log_begins_it),
	    cmocka_unit_test(test_an_entry_out_of_order_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
