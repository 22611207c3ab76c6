/*
 * watch: who is woken by what, in which order, and who is not.
 */
#include "daemon/watch.h"

#include <event2/event.h>

#include "tests/lib/test.h"

struct fixture {
	struct event_base *base;
	struct watch *watch;
};

static struct {
	int woken, expired;
	struct waiter *last;
} seen;

static void on_wake(struct waiter *w, bool expired)
{
	seen.woken += !expired;
	seen.expired += expired;
	seen.last = w;
}

static struct watch *again; /* re-adds itself */
static void on_wake_again(struct waiter *w, bool expired)
{
	seen.woken++;
	(void)expired;
	watch_add(again, w, w->key, MINUTE, on_wake_again);
	watch_wake(again, w->key);
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	memset(&seen, 0, sizeof(seen));
	f->base = event_base_new();
	f->watch = watch_new(f->base);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	watch_free(f->watch);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void test_only_who_waits_for_the_key_is_woken(void **state)
{
	struct fixture *f = *state;
	struct waiter job = {0}, other = {0}, table = {0};

	watch_add(f->watch, &job, watch_job(WATCH_JOB, "default", "web"), MINUTE, on_wake);
	watch_add(f->watch, &other, watch_job(WATCH_JOB, "default", "db"), MINUTE, on_wake);
	watch_add(f->watch, &table, watch_table(TABLE_NODES), MINUTE, on_wake);
	watch_wake(f->watch, watch_job(WATCH_JOB, "default", "web"));
	assert_true(watch_has_woken(f->watch));
	assert_int_equal(seen.woken, 0); /* nobody runs before the commit */
	assert_false(watch_deliver(f->watch, SECOND));
	assert_int_equal(seen.woken, 1);
	assert_ptr_equal(seen.last, &job);
	assert_int_equal(watch_count(f->watch), 2);
	watch_remove(f->watch, &other);
	watch_remove(f->watch, &table);
}

static void test_a_namespace_is_part_of_a_job(void **state)
{
	struct fixture *f = *state;
	struct waiter w = {0};

	watch_add(f->watch, &w, watch_job(WATCH_JOB_ALL, "a", "web"), MINUTE, on_wake);
	watch_wake(f->watch, watch_job(WATCH_JOB_ALL, "b", "web"));
	assert_false(watch_has_woken(f->watch));
	watch_remove(f->watch, &w);
}

static void test_a_woken_waiter_that_leaves_does_not_run(void **state)
{
	struct fixture *f = *state;
	struct waiter a = {0}, b = {0};

	watch_add(f->watch, &a, watch_table(TABLE_JOBS), MINUTE, on_wake);
	watch_add(f->watch, &b, watch_table(TABLE_JOBS), MINUTE, on_wake);
	watch_wake(f->watch, watch_table(TABLE_JOBS));
	watch_remove(f->watch, &a);
	watch_deliver(f->watch, SECOND);
	assert_int_equal(seen.woken, 1);
	assert_ptr_equal(seen.last, &b);
}

static void test_who_waits_again_runs_in_the_next_delivery(void **state)
{
	struct fixture *f = *state;
	struct waiter w = {0};

	again = f->watch;
	watch_add(f->watch, &w, watch_table(TABLE_JOBS), MINUTE, on_wake_again);
	watch_wake(f->watch, watch_table(TABLE_JOBS));
	assert_true(watch_deliver(f->watch, SECOND));
	assert_int_equal(seen.woken, 1);
	watch_remove(f->watch, &w);
}

static void test_the_deadline_wakes_once(void **state)
{
	struct fixture *f = *state;
	struct waiter soon = {0}, later = {0};

	watch_add(f->watch, &later, watch_table(TABLE_JOBS), MINUTE, on_wake);
	watch_add(f->watch, &soon, watch_table(TABLE_JOBS), MILLI, on_wake);
	event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(seen.expired, 1);
	assert_ptr_equal(seen.last, &soon);
	watch_wake(f->watch, watch_table(TABLE_JOBS));
	watch_deliver(f->watch, SECOND);
	assert_int_equal(seen.woken, 1);
	assert_ptr_equal(seen.last, &later);
}

static void test_thousands_wait_each_for_its_own_node(void **state)
{
	enum { N = 5000 };
	struct fixture *f = *state;
	struct waiter *w = xcalloc(N, sizeof(*w));
	struct uuid seed = {1, 2};

	for (uint64_t i = 0; i < N; i++)
		watch_add(f->watch, &w[i], watch_id(WATCH_NODE_WORK, uuid_derive(seed, i)), HOUR, on_wake);
	for (uint64_t i = 0; i < N; i += 2)
		watch_wake(f->watch, watch_id(WATCH_NODE_WORK, uuid_derive(seed, i)));
	while (watch_deliver(f->watch, SECOND))
		;
	assert_int_equal(seen.woken, N / 2);
	assert_int_equal(watch_count(f->watch), N / 2);
	for (uint64_t i = 1; i < N; i += 2)
		watch_remove(f->watch, &w[i]);
	free(w);
}

static void test_an_allocation_wakes_its_node_its_job_and_its_table(void **state)
{
	struct fixture *f = *state;
	struct job_entry job = {.ns = "default", .id = "web"};
	struct job_version version = {.job = &job};
	struct node_entry node = {.id = {3, 4}};
	struct alloc alloc = {.id = {5, 6}, .version = &version, .node = &node};
	struct waiter w[5];

	memset(w, 0, sizeof(w));
	watch_add(f->watch, &w[0], watch_table(TABLE_ALLOCS), MINUTE, on_wake);
	watch_add(f->watch, &w[1], watch_id(WATCH_ALLOC, alloc.id), MINUTE, on_wake);
	watch_add(f->watch, &w[2], watch_id(WATCH_NODE_WORK, node.id), MINUTE, on_wake);
	watch_add(f->watch, &w[3], watch_job(WATCH_JOB_ALLOCS, "default", "web"), MINUTE, on_wake);
	watch_add(f->watch, &w[4], watch_job(WATCH_JOB_ALL, "default", "web"), MINUTE, on_wake);
	watch_on_change(f->watch, TABLE_ALLOCS, &alloc, false);
	watch_deliver(f->watch, SECOND);
	assert_int_equal(seen.woken, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_only_who_waits_for_the_key_is_woken, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_namespace_is_part_of_a_job, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_woken_waiter_that_leaves_does_not_run, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_who_waits_again_runs_in_the_next_delivery, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_the_deadline_wakes_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_thousands_wait_each_for_its_own_node, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_an_allocation_wakes_its_node_its_job_and_its_table, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
