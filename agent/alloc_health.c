#include "agent/alloc_health.h"

#include <event2/event.h>

#include "agent/alloc_run.h"
#include "agent/registry.h"
#include "base/clock.h"

#define MIN_HEALTHY_DEFAULT (10 * SECOND)
#define DEADLINE_DEFAULT    (5 * MINUTE)

static struct update_strategy by_migrate(const struct migrate_strategy *m)
{
	struct update_strategy u = {0};

	MODEL_SET(update_strategy, &u, health_check, m->health_check);
	if (MODEL_HAS(migrate_strategy, m, min_healthy_time))
		MODEL_SET(update_strategy, &u, min_healthy_time, m->min_healthy_time);
	if (MODEL_HAS(migrate_strategy, m, healthy_deadline))
		MODEL_SET(update_strategy, &u, healthy_deadline, m->healthy_deadline);
	return u;
}

/* What the allocation is judged by; false: it is not judged. */
static bool strategy(const struct alloc_run *a, struct update_strategy *out)
{
	const struct job *j = a->job->job;
	const struct update_strategy *u = a->group->update ? a->group->update : j->update;
	const struct migrate_strategy *m = a->group->migrate ? a->group->migrate : j->migrate;

	if (!str_eq(j->type, "service"))
		return false;
	if (a->model->migrated && m) {
		*out = by_migrate(m);
		return true;
	}
	if (!u || str_eq(u->health_check, "manual") || (MODEL_HAS(update_strategy, u, max_parallel) && u->max_parallel <= 0))
		return false;
	*out = *u;
	return true;
}

static int64_t min_healthy(const struct update_strategy *u)
{
	return MODEL_HAS(update_strategy, u, min_healthy_time) ? u->min_healthy_time : MIN_HEALTHY_DEFAULT;
}

void alloc_health_init(struct alloc_run *a)
{
	const struct deployment_status *given = a->model->deployment_status;
	struct update_strategy u;

	if (given && MODEL_HAS(deployment_status, given, healthy)) {
		a->health = given->healthy ? 1 : -1;
		a->health_at = given->timestamp;
	}
	if (strategy(a, &u))
		a->health_deadline = clock_monotonic() + (MODEL_HAS(update_strategy, &u, healthy_deadline) && u.healthy_deadline > 0 ?
			u.healthy_deadline : DEADLINE_DEFAULT);
}

/* Every task that lives as long as the allocation runs; the others have done their part or run. */
static bool all_up(const struct alloc_run *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		const struct task_run *t = a->tasks[i];
		bool ephemeral = t->role == ROLE_PRESTART || t->role == ROLE_POSTSTART;

		if (t->role == ROLE_POSTSTOP)
			continue;
		if (t->phase != TASK_RUNNING && !(ephemeral && t->phase == TASK_DEAD && !t->state->failed))
			return false;
	}
	return true;
}

static bool any_failed(const struct alloc_run *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->tasks[i]->state->failed)
			return true;
	return false;
}

static void decide(struct alloc_run *a, int health, const char *why)
{
	a->health = health;
	a->health_at = clock_now();
	for (uint32_t i = 0; why && i < a->n; i++)
		if (a->tasks[i]->role != ROLE_POSTSTOP)
			task_run_event(a->tasks[i], EVENT_ALLOC_UNHEALTHY, why, 0);
	alloc_run_touch(a);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	alloc_health_step(arg);
}

static void wake_at(struct alloc_run *a, int64_t at, int64_t now)
{
	int64_t delay = MAX(at - now, 0) + MILLI;
	struct timeval tv = { .tv_sec = delay / SECOND, .tv_usec = delay % SECOND / 1000 };

	if (!a->health_timer)
		a->health_timer = evtimer_new(a->host->base, on_timer, a);
	evtimer_add(a->health_timer, &tv);
}

static enum registry_health judge_checks(const struct alloc_run *a, const struct update_strategy *u, struct buf *why)
{
	bool by_checks = str_empty(u->health_check) || str_eq(u->health_check, "checks");

	return by_checks && a->host->registry ? registry_health(a, why) : REGISTRY_FINE;
}

static void fail_by_deadline(struct alloc_run *a, const struct update_strategy *u, const struct buf *why)
{
	char span[DURATION_STR];
	cleanup_free char *text = NULL;

	duration_format(min_healthy(u), span);
	if (why->len)
		text = xasprintf("Checks not passing for min_healthy_time of %s by deadline: %s", span, why->data);
	else
		text = xasprintf("Task not running for min_healthy_time of %s by deadline", span);
	decide(a, -1, text);
}

void alloc_health_step(struct alloc_run *a)
{
	struct update_strategy u;
	int64_t now = clock_monotonic();
	struct buf why cleanup_buf = BUF_INIT;

	if (a->health || a->stop_asked || !strategy(a, &u))
		return;
	if (any_failed(a)) {
		decide(a, -1, "Unhealthy because of failed task");
		return;
	}
	bool up = all_up(a);
	enum registry_health checks = up ? judge_checks(a, &u, &why) : REGISTRY_FINE;

	if (!up || checks != REGISTRY_FINE)
		a->healthy_since = 0;
	else if (!a->healthy_since)
		a->healthy_since = now;
	if (a->healthy_since && now - a->healthy_since >= min_healthy(&u)) {
		decide(a, 1, NULL);
		return;
	}
	if (now >= a->health_deadline && checks != REGISTRY_UNKNOWN) {
		fail_by_deadline(a, &u, &why);
		return;
	}
	int64_t next = now < a->health_deadline ? a->health_deadline : now + SECOND;

	if (a->healthy_since)
		next = MIN(next, a->healthy_since + min_healthy(&u));
	wake_at(a, next, now);
}
