#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/lifecycle.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct lifecycle_task prestart = { .role = ROLE_PRESTART }, sidecar = { .role = ROLE_PRESTART_SIDECAR },
				   main_task = { .role = ROLE_MAIN }, poststart = { .role = ROLE_POSTSTART },
				   poststop = { .role = ROLE_POSTSTOP };

static struct lifecycle_task up(struct lifecycle_task t)
{
	t.stage = STAGE_ACTIVE;
	t.up = t.started = true;
	return t;
}

static struct lifecycle_task dead(struct lifecycle_task t, bool failed)
{
	t.stage = STAGE_DEAD;
	t.up = false;
	t.started = true;
	t.failed = failed;
	return t;
}

/* One letter for each task: . nothing, s start, k stop, x skip. */
static const char *orders(const struct lifecycle_task *t, uint32_t n, bool stop, enum lifecycle_reason *why)
{
	static char text[16];
	enum lifecycle_order o[16];
	struct lifecycle_plan plan;

	lifecycle_decide(t, n, stop, o, &plan);
	for (uint32_t i = 0; i < n; i++)
		text[i] = ".skx"[o[i]];
	text[n] = '\0';
	if (why)
		*why = plan.reason;
	return text;
}

static void test_starts_go_prestart_main_poststart(void **state)
{
	struct lifecycle_task t[] = { prestart, sidecar, main_task, poststart, poststop };

	(void)state;
	assert_string_equal("ss...", orders(t, N(t), false, NULL));
	t[0] = up(t[0]);
	t[1] = up(t[1]);
	assert_string_equal(".....", orders(t, N(t), false, NULL));
	t[0] = dead(t[0], false);
	assert_string_equal("..s..", orders(t, N(t), false, NULL));
	t[2] = up(t[2]);
	assert_string_equal("...s.", orders(t, N(t), false, NULL));
}

static void test_main_waits_until_the_sidecar_is_up(void **state)
{
	struct lifecycle_task t[] = { sidecar, main_task };

	(void)state;
	t[0].stage = STAGE_ACTIVE;
	assert_string_equal("..", orders(t, N(t), false, NULL));
}

static void test_the_end_of_main_stops_sidecars_then_runs_poststop(void **state)
{
	struct lifecycle_task t[] = { up(sidecar), dead(main_task, false), poststop };
	enum lifecycle_reason why;

	(void)state;
	assert_string_equal("k..", orders(t, N(t), false, &why));
	assert_int_equal(WHY_MAIN_DEAD, why);
	t[0] = dead(sidecar, false);
	assert_string_equal("..s", orders(t, N(t), false, NULL));
	t[2] = dead(poststop, false);
	assert_string_equal("...", orders(t, N(t), false, NULL));
}

static void test_stopping_goes_leader_main_sidecar(void **state)
{
	struct lifecycle_task t[] = { up(sidecar), up(main_task), up(main_task), poststop };

	(void)state;
	t[1].leader = true;
	assert_string_equal(".k..", orders(t, N(t), true, NULL));
	t[1] = dead(t[1], false);
	assert_string_equal("..k.", orders(t, N(t), true, NULL));
	t[2] = dead(t[2], false);
	assert_string_equal("k...", orders(t, N(t), true, NULL));
}

static void test_a_dead_leader_ends_the_others(void **state)
{
	struct lifecycle_task t[] = { dead(main_task, false), up(main_task) };
	enum lifecycle_reason why;

	(void)state;
	t[0].leader = true;
	assert_string_equal(".k", orders(t, N(t), false, &why));
	assert_int_equal(WHY_LEADER_DEAD, why);
}

static void test_a_failed_prestart_skips_main_and_cleans_up(void **state)
{
	struct lifecycle_task t[] = { dead(prestart, true), main_task, poststop };
	enum lifecycle_reason why;

	(void)state;
	assert_string_equal(".x.", orders(t, N(t), false, &why));
	assert_int_equal(WHY_SIBLING_FAILED, why);
	t[1].stage = STAGE_DEAD;
	assert_string_equal("..s", orders(t, N(t), false, NULL));
}

static void test_what_never_started_needs_no_cleaning(void **state)
{
	struct lifecycle_task t[] = { main_task, poststop };

	(void)state;
	assert_string_equal("x.", orders(t, N(t), true, NULL));
	t[0].stage = STAGE_DEAD;
	assert_string_equal(".x", orders(t, N(t), true, NULL));
}

static void test_a_running_poststop_is_never_stopped(void **state)
{
	struct lifecycle_task t[] = { dead(main_task, false), up(poststop) };

	(void)state;
	assert_string_equal("..", orders(t, N(t), true, NULL));
}

/* Whatever the tasks do, an allocation that is told to stop comes to its end. */
static void test_every_stop_ends(void **state)
{
	static const enum lifecycle_role roles[] = { ROLE_PRESTART, ROLE_PRESTART_SIDECAR, ROLE_MAIN, ROLE_POSTSTART,
		ROLE_POSTSTART_SIDECAR, ROLE_POSTSTOP };

	(void)state;
	for (unsigned mask = 0; mask < 3u * 3 * 3 * 3 * 3 * 3; mask++) {
		struct lifecycle_task t[6] = { 0 };
		unsigned m = mask;
		int rounds = 0;
		bool live = true;

		for (unsigned i = 0; i < 6; i++, m /= 3) {
			t[i].role = roles[i];
			if (m % 3)
				t[i] = m % 3 == 1 ? up(t[i]) : dead(t[i], false);
		}
		for (; live && rounds < 20; rounds++) {
			enum lifecycle_order o[6];
			struct lifecycle_plan plan;

			lifecycle_decide(t, 6, true, o, &plan);
			live = false;
			for (int i = 0; i < 6; i++) {
				if (o[i] == ORDER_STOP)
					t[i] = dead(t[i], false);
				else if (o[i] == ORDER_SKIP)
					t[i].stage = STAGE_DEAD;
				else if (o[i] == ORDER_START)
					t[i] = up(t[i]);
				else if (t[i].role == ROLE_POSTSTOP && t[i].stage == STAGE_ACTIVE)
					t[i] = dead(t[i], false);
				live |= t[i].stage != STAGE_DEAD;
			}
		}
		assert_true(rounds < 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_go_prestart_main_poststart),
		cmocka_unit_test(test_main_waits_until_the_sidecar_is_up),
		cmocka_unit_test(test_the_end_of_main_stops_sidecars_then_runs_poststop),
		cmocka_unit_test(test_stopping_goes_leader_main_sidecar),
		cmocka_unit_test(test_a_dead_leader_ends_the_others),
		cmocka_unit_test(test_a_failed_prestart_skips_main_and_cleans_up),
		cmocka_unit_test(test_what_never_started_needs_no_cleaning),
		cmocka_unit_test(test_a_running_poststop_is_never_stopped),
		cmocka_unit_test(test_every_stop_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
