/* What a new version means for what runs, when an allocation has proved itself, and the arithmetic of rescheduling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sched/update.h"
#include "tests/lib/fixture.h"

/* ---- destructive or not ---- */

static struct job *with_arena(struct arena *a)
{
	struct job *j = fixture_job(a, "web", "service", 2, 100, 100);
	struct task_group *g = j->task_groups.v[0];
	struct task *t = g->tasks.v[0];
	strmap_set(a, &j->meta, "shared", "1");
	strmap_set(a, &g->meta, "shared", "2");
	strmap_set(a, &t->env, "PATH", "/bin");
	t->restart_policy = MODEL_NEW(a, restart_policy);
	t->log_config = MODEL_NEW(a, log_config);
	return j;
}

struct change {
	const char *what;
	void (*make)(struct arena *a, struct job *j, struct task_group *g, struct task *t);
};

#define CHANGE(name) static void name(struct arena *a UNUSED, struct job *j UNUSED, struct task_group *g UNUSED, struct task *t UNUSED)

CHANGE(nothing) {}
CHANGE(count) { MODEL_SET(task_group, g, count, 7); }
CHANGE(priority) { MODEL_SET(job, j, priority, 90); }
CHANGE(constraint)
{
	struct constraint *c = MODEL_NEW(a, constraint);
	MODEL_SET(constraint, c, ltarget, "${attr.arch}");
	MODEL_SET(constraint, c, rtarget, "amd64");
	objs_push(a, &j->constraints, c);
}
CHANGE(kill_timeout) { MODEL_SET(task, t, kill_timeout, 9 * SECOND); }
CHANGE(restart)
{
	t->restart_policy = MODEL_NEW(a, restart_policy);
	MODEL_SET(restart_policy, t->restart_policy, attempts, 5);
}
CHANGE(service)
{
	struct service *s = MODEL_NEW(a, service);
	MODEL_SET(service, s, name, "web");
	objs_push(a, &g->services, s);
}
CHANGE(same_meta_elsewhere)
{
	/* What a task sees in the end is the same. */
	j->meta = (struct strmap){0};
	strmap_set(a, &t->meta, "shared", "2");
}
CHANGE(logs) { MODEL_SET(log_config, t->log_config, max_files, 3); }
CHANGE(driver) { MODEL_SET(task, t, driver, "exec"); }
CHANGE(config)
{
	struct value *command = value_str(a, "/bin/false");
	t->config = value_map(a, (const char *[]){"command"}, &command, 1);
}
CHANGE(env) { strmap_set(a, &t->env, "PATH", "/usr/bin"); }
CHANGE(meta) { strmap_set(a, &t->meta, "mine", "1"); }
CHANGE(user) { MODEL_SET(task, t, user, "nobody"); }
CHANGE(memory) { MODEL_SET(resources, t->resources, memory_mb, 101); }
CHANGE(cpu) { MODEL_SET(resources, t->resources, cpu, 99); }
CHANGE(disk) { MODEL_SET(ephemeral_disk, g->ephemeral_disk, size_mb, 999); }
CHANGE(network) { objs_push(a, &g->networks, MODEL_NEW(a, network)); }
CHANGE(artifact) { objs_push(a, &t->artifacts, MODEL_NEW(a, artifact)); }
CHANGE(template) { objs_push(a, &t->templates, MODEL_NEW(a, template_block)); }
CHANGE(one_more_task)
{
	struct task *u = MODEL_NEW(a, task);
	MODEL_SET(task, u, name, "second");
	objs_push(a, &g->tasks, u);
}
CHANGE(another_name) { MODEL_SET(task, t, name, "other"); }
CHANGE(leader) { MODEL_SET(task, t, leader, true); }
CHANGE(lifecycle) { t->lifecycle = MODEL_NEW(a, lifecycle); }
CHANGE(logs_off) { MODEL_SET(log_config, t->log_config, disabled, true); }
CHANGE(render) { MODEL_SET(restart_policy, t->restart_policy, render_templates, true); }
CHANGE(volume) { objmap_set(a, &g->volumes, "data", MODEL_NEW(a, volume_request)); }

static void check_changes(const struct change *changes, size_t n, bool destructive)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_arena struct arena *a = arena_new();
		struct job *from = with_arena(a), *to = with_arena(a);
		struct task_group *g = to->task_groups.v[0];
		changes[i].make(a, to, g, g->tasks.v[0]);
		if (update_is_destructive(from, from->task_groups.v[0], to, g) != destructive)
			fail_msg("%s should %sbe destructive", changes[i].what, destructive ? "" : "not ");
	}
}

static void test_what_tasks_do_not_see_changes_in_place(void **unused)
{
	static const struct change changes[] = {{"nothing", nothing}, {"count", count}, {"priority", priority},
	    {"a constraint", constraint}, {"kill_timeout", kill_timeout}, {"the restart policy", restart}, {"a service", service},
	    {"the place of a meta value", same_meta_elsewhere}, {"log rotation", logs}};
	(void)unused;
	check_changes(changes, ARRAY_LEN(changes), false);
}

static void test_what_tasks_are_made_of_needs_new_ones(void **unused)
{
	static const struct change changes[] = {{"driver", driver}, {"config", config}, {"env", env}, {"meta", meta}, {"user", user},
	    {"memory", memory}, {"cpu", cpu}, {"disk", disk}, {"network", network}, {"artifact", artifact}, {"template", template},
	    {"one more task", one_more_task}, {"another name", another_name}, {"leader", leader}, {"lifecycle", lifecycle},
	    {"logs that are switched off", logs_off}, {"templates that are rendered anew", render}, {"volume", volume}};
	(void)unused;
	check_changes(changes, ARRAY_LEN(changes), true);
}

/* ---- allocations without a state ---- */

struct one {
	struct arena *a;
	struct job *spec;
	struct job_version version;
	struct group_ask ask;
	struct alloc_extra extra;
	struct alloc alloc;
};

static struct one *one_new(void)
{
	struct one *o = xcalloc(1, sizeof(*o));
	o->a = arena_new();
	o->spec = fixture_job(o->a, "web", "service", 1, 100, 100);
	o->version = (struct job_version){.spec = o->spec, .asks = &o->ask};
	o->extra.arena = o->a;
	o->alloc = (struct alloc){.version = &o->version, .extra = &o->extra};
	return o;
}

static void one_free(struct one *o)
{
	arena_free(o->a);
	free(o);
}

static void set_task(struct one *o, const char *name, const char *state, bool failed, int64_t started)
{
	struct task_state *t = MODEL_NEW(o->a, task_state);
	MODEL_SET(task_state, t, state, state);
	MODEL_SET(task_state, t, failed, failed);
	MODEL_SET(task_state, t, started_at, started);
	objmap_set(o->a, &o->extra.task_states, name, t);
}

static void add_task(struct one *o, const char *name, const char *hook, bool sidecar)
{
	struct task *t = MODEL_NEW(o->a, task);
	MODEL_SET(task, t, name, name);
	t->lifecycle = MODEL_NEW(o->a, lifecycle);
	MODEL_SET(lifecycle, t->lifecycle, hook, hook);
	MODEL_SET(lifecycle, t->lifecycle, sidecar, sidecar);
	objs_push(o->a, &((struct task_group *)o->spec->task_groups.v[0])->tasks, t);
}

/* ---- health ---- */

static void test_an_allocation_has_proved_itself_when_all_its_tasks_ran_long_enough(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct update_strategy u = {.min_healthy_time = 10 * SECOND};
	int64_t when;
	assert_false(update_is_healthy(&o->alloc, &u, 100 * SECOND, &when)); /* pending */
	assert_true(when == NEVER);
	o->alloc.observed = OBSERVED_RUNNING;
	set_task(o, "t", "running", false, 95 * SECOND);
	assert_false(update_is_healthy(&o->alloc, &u, 100 * SECOND, &when));
	assert_true(when == 105 * SECOND);
	assert_true(update_is_healthy(&o->alloc, &u, 105 * SECOND, &when));
	/* The one that started last counts. */
	add_task(o, "side", "poststart", true);
	set_task(o, "side", "running", false, 101 * SECOND);
	assert_false(update_is_healthy(&o->alloc, &u, 105 * SECOND, &when));
	assert_true(when == 111 * SECOND);
	one_free(o);
}

static void test_tasks_before_and_after_do_not_hold_health_up(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct update_strategy u = {.min_healthy_time = 10 * SECOND};
	o->alloc.observed = OBSERVED_RUNNING;
	add_task(o, "init", "prestart", false);
	add_task(o, "after", "poststop", false);
	set_task(o, "t", "running", false, 0);
	set_task(o, "init", "dead", false, 0);
	set_task(o, "after", "pending", false, 0);
	assert_true(update_is_healthy(&o->alloc, &u, 10 * SECOND, NULL));
	set_task(o, "init", "dead", true, 0);
	assert_false(update_is_healthy(&o->alloc, &u, 10 * SECOND, NULL));
	one_free(o);
}

static void test_the_clients_word_on_health_counts_more_than_the_clock(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct update_strategy u = {.min_healthy_time = 10 * SECOND};
	o->alloc.observed = OBSERVED_RUNNING;
	set_task(o, "t", "running", false, 0);
	o->extra.deployment_status = MODEL_NEW(o->a, deployment_status);
	MODEL_SET(deployment_status, o->extra.deployment_status, healthy, false);
	assert_false(update_is_healthy(&o->alloc, &u, HOUR, NULL));
	MODEL_SET(deployment_status, o->extra.deployment_status, healthy, true);
	assert_true(update_is_healthy(&o->alloc, &u, SECOND, NULL));
	one_free(o);
}

/* ---- rescheduling ---- */

static void add_event(struct one *o, int64_t at, int64_t delay)
{
	struct reschedule_event *e = MODEL_NEW(o->a, reschedule_event);
	if (!o->extra.tracker)
		o->extra.tracker = MODEL_NEW(o->a, reschedule_tracker);
	MODEL_SET(reschedule_event, e, reschedule_time, at);
	MODEL_SET(reschedule_event, e, delay, delay);
	objs_push(o->a, &o->extra.tracker->events, e);
}

static enum reschedule_verdict verdict(struct one *o, const struct reschedule_policy *p, int64_t now, int64_t *at, int64_t *delay)
{
	return reschedule_verdict(&o->alloc, p, now, at, delay);
}

static void test_the_delays_of_each_function_follow_their_series(void **unused)
{
	static const struct {
		const char *function;
		int64_t delays[7]; /* seconds: of the first, the second, ... reschedule */
	} rows[] = {
	    {"constant", {5, 5, 5, 5, 5, 5, 5}},
	    {"exponential", {5, 10, 20, 40, 60, 60, 60}},
	    {"fibonacci", {5, 5, 10, 15, 25, 40, 60}},
	};
	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct one *o = one_new();
		struct reschedule_policy p = {
		    .unlimited = true, .delay = 5 * SECOND, .max_delay = 60 * SECOND, .delay_function = rows[i].function};
		for (size_t k = 0; k < ARRAY_LEN(rows[i].delays); k++) {
			int64_t at, delay, failed = (int64_t)k * 30 * SECOND + SECOND;
			o->extra.ended = failed;
			assert_int_equal(verdict(o, &p, failed, &at, &delay), RESCHEDULE_LATER);
			if (delay != rows[i].delays[k] * SECOND)
				fail_msg("%s: delay %zu is %lld s", rows[i].function, k, (long long)(delay / SECOND));
			assert_true(at == failed + delay);
			add_event(o, failed, delay);
		}
		one_free(o);
	}
}

static void test_a_long_life_begins_the_series_anew(void **unused)
{
	static const char *const functions[] = {"exponential", "fibonacci"};
	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		struct one *o = one_new();
		struct reschedule_policy p = {
		    .unlimited = true, .delay = 5 * SECOND, .max_delay = 60 * SECOND, .delay_function = functions[i]};
		int64_t at, delay;
		add_event(o, 100 * SECOND, 40 * SECOND);
		add_event(o, 200 * SECOND, 60 * SECOND);
		o->extra.ended = 261 * SECOND;
		verdict(o, &p, 261 * SECOND, &at, &delay);
		assert_true(delay == 5 * SECOND);
		add_event(o, 266 * SECOND, delay);
		o->extra.ended = 270 * SECOND;
		verdict(o, &p, 270 * SECOND, &at, &delay);
		if (delay != (i ? 5 : 10) * SECOND)
			fail_msg("%s: after a fresh start the second delay is %lld s", functions[i], (long long)(delay / SECOND));
		one_free(o);
	}
}

static void test_attempts_are_counted_within_the_interval_before_the_failure(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct reschedule_policy p = {
	    .attempts = 2, .interval = 10 * MINUTE, .delay = 5 * SECOND, .delay_function = "constant"};
	int64_t at, delay;
	o->extra.ended = HOUR;
	assert_int_equal(verdict(o, &p, HOUR, &at, &delay), RESCHEDULE_LATER);
	assert_int_equal(verdict(o, &p, HOUR + 4 * SECOND, &at, &delay), RESCHEDULE_NOW); /* due within a second is due */
	add_event(o, HOUR - 20 * MINUTE, 5 * SECOND);
	add_event(o, HOUR - 9 * MINUTE, 5 * SECOND);
	assert_int_equal(verdict(o, &p, HOUR + 5 * SECOND, &at, &delay), RESCHEDULE_NOW);
	add_event(o, HOUR - MINUTE, 5 * SECOND);
	assert_int_equal(verdict(o, &p, HOUR + 5 * SECOND, &at, &delay), RESCHEDULE_NEVER);
	p.unlimited = true;
	assert_int_equal(verdict(o, &p, HOUR + 5 * SECOND, &at, &delay), RESCHEDULE_NOW);
	one_free(o);
}

static void test_without_a_policy_nothing_is_rescheduled_but_by_force(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct reschedule_policy none = {.delay = 5 * SECOND, .delay_function = "constant"};
	int64_t at, delay;
	assert_int_equal(verdict(o, NULL, HOUR, &at, &delay), RESCHEDULE_NEVER);
	assert_int_equal(verdict(o, &none, HOUR, &at, &delay), RESCHEDULE_NEVER);
	o->extra.transition = MODEL_NEW(o->a, desired_transition);
	MODEL_SET(desired_transition, o->extra.transition, force_reschedule, true);
	assert_int_equal(verdict(o, NULL, HOUR, &at, &delay), RESCHEDULE_NOW);
	one_free(o);
}

static void test_the_tracker_keeps_what_still_counts(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct reschedule_policy limited = {.attempts = 9, .interval = 10 * MINUTE}, unlimited = {.unlimited = true};
	for (int i = 0; i < 9; i++)
		add_event(o, HOUR - (20 - 2 * i) * MINUTE, SECOND);
	struct reschedule_tracker *t = reschedule_track(&o->alloc, &limited, HOUR, 7 * SECOND, o->a);
	assert_int_equal(t->events.n, 4); /* three within ten minutes, and this one */
	const struct reschedule_event *last = t->events.v[3];
	assert_true(last->reschedule_time == HOUR && last->delay == 7 * SECOND);
	t = reschedule_track(&o->alloc, &unlimited, HOUR, 7 * SECOND, o->a);
	assert_int_equal(t->events.n, 5); /* the last five, however old */
	one_free(o);
}

static void test_a_delay_beyond_all_bounds_does_not_overflow(void **unused)
{
	(void)unused;
	struct one *o = one_new();
	struct reschedule_policy p = {.unlimited = true, .delay = INT64_MAX / 2, .delay_function = "exponential"};
	int64_t at, delay;
	add_event(o, SECOND, INT64_MAX / 2 + 5);
	o->extra.ended = HOUR;
	assert_int_equal(verdict(o, &p, HOUR, &at, &delay), RESCHEDULE_LATER);
	assert_true(delay > 0 && at > HOUR);
	one_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_tasks_do_not_see_changes_in_place),
	    cmocka_unit_test(test_what_tasks_are_made_of_needs_new_ones),
	    cmocka_unit_test(test_an_allocation_has_proved_itself_when_all_its_tasks_ran_long_enough),
	    cmocka_unit_test(test_tasks_before_and_after_do_not_hold_health_up),
	    cmocka_unit_test(test_the_clients_word_on_health_counts_more_than_the_clock),
	    cmocka_unit_test(test_the_delays_of_each_function_follow_their_series),
	    cmocka_unit_test(test_a_long_life_begins_the_series_anew),
	    cmocka_unit_test(test_attempts_are_counted_within_the_interval_before_the_failure),
	    cmocka_unit_test(test_without_a_policy_nothing_is_rescheduled_but_by_force),
	    cmocka_unit_test(test_the_tracker_keeps_what_still_counts),
	    cmocka_unit_test(test_a_delay_beyond_all_bounds_does_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
