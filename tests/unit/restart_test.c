#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/restart.h"

static struct restart_policy policy(int64_t attempts, const char *mode)
{
	struct restart_policy p = { 0 };

	MODEL_SET(restart_policy, &p, attempts, attempts);
	MODEL_SET(restart_policy, &p, interval, 10 * MINUTE);
	MODEL_SET(restart_policy, &p, delay, 4 * SECOND);
	MODEL_SET(restart_policy, &p, mode, mode);
	return p;
}

static struct restart_decision end(struct restart_tracker *t, const struct restart_policy *p, enum restart_cause cause,
    int64_t now, double jitter)
{
	struct restart_decision d;

	restart_decide(t, p, false, cause, now, jitter, &d);
	return d;
}

static void test_attempts_within_the_interval_are_counted(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy p = policy(2, "fail");

	(void)state;
	assert_int_equal(RESTART_AGAIN, end(&t, &p, RESTART_EXIT_FAILED, 100 * SECOND, 0).verdict);
	assert_int_equal(RESTART_AGAIN, end(&t, &p, RESTART_EXIT_FAILED, 200 * SECOND, 0).verdict);
	struct restart_decision d = end(&t, &p, RESTART_EXIT_FAILED, 300 * SECOND, 0);

	assert_int_equal(RESTART_FAIL, d.verdict);
	assert_string_equal("Exceeded allowed attempts 2 in interval 10m0s and mode is \"fail\"", d.reason);
}

static void test_a_new_interval_begins_the_count_anew(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy p = policy(1, "fail");

	(void)state;
	assert_int_equal(RESTART_AGAIN, end(&t, &p, RESTART_EXIT_FAILED, SECOND, 0).verdict);
	assert_int_equal(RESTART_AGAIN, end(&t, &p, RESTART_EXIT_FAILED, 2 * SECOND + 10 * MINUTE, 0).verdict);
	assert_int_equal(RESTART_FAIL, end(&t, &p, RESTART_EXIT_FAILED, 3 * SECOND + 10 * MINUTE, 0).verdict);
}

static void test_the_delay_has_up_to_a_quarter_of_jitter(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy p = policy(9, "fail");

	(void)state;
	assert_int_equal(4 * SECOND, end(&t, &p, RESTART_EXIT_FAILED, SECOND, 0).delay);
	assert_int_equal(4500 * MILLI, end(&t, &p, RESTART_EXIT_FAILED, SECOND, 0.5).delay);
	assert_true(end(&t, &p, RESTART_EXIT_FAILED, SECOND, 0.999999).delay < 5 * SECOND);
}

static void test_mode_delay_waits_for_the_end_of_the_interval(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy p = policy(1, "delay");

	(void)state;
	end(&t, &p, RESTART_EXIT_FAILED, SECOND, 0);
	struct restart_decision d = end(&t, &p, RESTART_EXIT_FAILED, MINUTE + SECOND, 0);

	assert_int_equal(RESTART_AGAIN, d.verdict);
	assert_int_equal(9 * MINUTE, d.delay);
}

static void test_a_success_ends_a_batch_task_but_restarts_a_service(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy p = policy(3, "fail");
	struct restart_decision d;

	(void)state;
	restart_decide(&t, &p, restart_on_success("batch", NULL), RESTART_EXIT_OK, SECOND, 0, &d);
	assert_int_equal(RESTART_DONE, d.verdict);
	assert_int_equal(0, t.count);
	restart_decide(&t, &p, restart_on_success("service", NULL), RESTART_EXIT_OK, SECOND, 0, &d);
	assert_int_equal(RESTART_AGAIN, d.verdict);
}

static void test_hooks_restart_on_success_only_as_sidecars(void **state)
{
	struct lifecycle l = { 0 };

	(void)state;
	l.hook = "prestart";
	assert_false(restart_on_success("service", &l));
	l.sidecar = true;
	assert_true(restart_on_success("batch", &l));
	l.hook = "poststop";
	assert_false(restart_on_success("service", &l));
}

static void test_unrecoverable_errors_and_empty_policies_fail_at_once(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy p = policy(3, "delay"), none = policy(0, "fail");

	(void)state;
	assert_int_equal(RESTART_FAIL, end(&t, &p, RESTART_UNRECOVERABLE, SECOND, 0).verdict);
	assert_string_equal("Policy allows no restarts", end(&t, &none, RESTART_EXIT_FAILED, SECOND, 0).reason);
	assert_int_equal(RESTART_FAIL, end(&t, NULL, RESTART_EXIT_FAILED, SECOND, 0).verdict);
}

static void test_a_restart_that_was_asked_for_is_free(void **state)
{
	struct restart_tracker t = { 0 };
	struct restart_policy none = policy(0, "fail");
	struct restart_decision d = end(&t, &none, RESTART_ASKED, SECOND, 0.9);

	(void)state;
	assert_int_equal(RESTART_AGAIN, d.verdict);
	assert_int_equal(0, d.delay);
	assert_int_equal(0, t.count);
}

static void test_a_clock_set_back_does_not_hold_the_window_open(void **state)
{
	struct restart_tracker t = { .window_start = 1000 * SECOND, .count = 1 };
	struct restart_policy p = policy(1, "fail");

	(void)state;
	assert_int_equal(RESTART_AGAIN, end(&t, &p, RESTART_EXIT_FAILED, 10 * SECOND, 0).verdict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts_within_the_interval_are_counted),
		cmocka_unit_test(test_a_new_interval_begins_the_count_anew),
		cmocka_unit_test(test_the_delay_has_up_to_a_quarter_of_jitter),
		cmocka_unit_test(test_mode_delay_waits_for_the_end_of_the_interval),
		cmocka_unit_test(test_a_success_ends_a_batch_task_but_restarts_a_service),
		cmocka_unit_test(test_hooks_restart_on_success_only_as_sidecars),
		cmocka_unit_test(test_unrecoverable_errors_and_empty_policies_fail_at_once),
		cmocka_unit_test(test_a_restart_that_was_asked_for_is_free),
		cmocka_unit_test(test_a_clock_set_back_does_not_hold_the_window_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
