/*
 * registry_checks: the checks of services that stand: scripts are run, what Consul says is kept, and a check that fails for
 * too long restarts its task. Consul's word comes from agent/check_watch.h alone, also about scripts, so what is shown here is
 * what everybody else sees.
 */
#include <event2/event.h>

#include "agent/alloc_health.h"
#include "agent/registry_internal.h"
#include "agent/task_launch.h"
#include "base/clock.h"
#include "base/log.h"

#define GRACE_DEFAULT (1 * SECOND)

/* ---- scripts ---- */

static int script_context(void *arg, struct arena *a, struct keeper_spec *spec, struct err *e)
{
	const struct live_check *c = arg;
	struct task_run *t = alloc_run_task(c->entry->presence->alloc, c->want->task);

	return task_launch_context(t, a, spec, e);
}

static void on_script(void *arg, const char *status, const char *output)
{
	const struct live_check *c = arg;

	services_report(c->entry->presence->owner->services, c->id, status, output);
}

static void start_script(struct live_check *c)
{
	const struct check *spec = c->want->spec;
	struct registry *r = c->entry->presence->owner;
	const struct script_check_config config = {
		.command = c->want->command,
		.args = c->want->args,
		.interval = spec->interval,
		.timeout = spec->timeout,
		.context = script_context,
		.report = on_script,
		.arg = c,
	};

	if (!c->want->task || !alloc_run_task(c->entry->presence->alloc, c->want->task))
		services_report(r->services, c->id, "critical", "the task that the script is to run in does not exist");
	else
		c->script = script_check_start(r->scripts, &config);
}

/* ---- begin and end ---- */

static void drop(struct live_check *c)
{
	struct map *m = &c->entry->presence->owner->checks;

	if (!c->id)
		return;
	script_check_stop(c->script);
	if (map_get(m, c->id) == c)
		map_del(m, c->id);
	free(c->id);
	free(c->output);
}

/* Takes over what is known of the same check of an earlier description. */
static void take_over(struct live_check *c, struct live_check *old, uint32_t n_old)
{
	for (uint32_t i = 0; i < n_old; i++) {
		struct live_check *o = &old[i];

		if (!str_eq(o->id, c->id))
			continue;
		memcpy(c->status, o->status, sizeof(c->status));
		free(c->output);
		c->output = STEAL(o->output);
		c->since = o->since;
		c->grace_until = o->grace_until;
		c->bad_since = o->bad_since;
		return;
	}
}

void registry_begin_checks(struct entry *e)
{
	struct live_check *old = e->checks;
	uint32_t n_old = e->n;
	int64_t now = clock_monotonic();

	e->n = e->want->checks.n;
	e->checks = xcalloc(e->n + 1, sizeof(*e->checks));
	OBJS_EACH(&e->want->checks, struct wanted_check, w) {
		struct live_check *c = &e->checks[w_i];
		const struct check_restart *restart = w->restart;

		c->entry = e;
		c->want = w;
		c->id = xstrdup(w->reg->check_id);
		c->output = xstrdup("");
		c->since = clock_now();
		c->grace_until = now + (restart && MODEL_HAS(check_restart, restart, grace) ? restart->grace : GRACE_DEFAULT);
		take_over(c, old, n_old);
	}
	for (uint32_t i = 0; i < n_old; i++)
		drop(&old[i]);
	free(old);
	for (uint32_t i = 0; i < e->n; i++) {
		map_set(&e->presence->owner->checks, e->checks[i].id, &e->checks[i]);
		if (e->checks[i].want->command)
			start_script(&e->checks[i]);
	}
}

void registry_end_checks(struct entry *e)
{
	for (uint32_t i = 0; i < e->n; i++)
		drop(&e->checks[i]);
	free(STEAL(e->checks));
	e->n = 0;
}

/* ---- restarts ---- */

static bool is_failing(const struct live_check *c)
{
	return c->want->restart &&
	    (str_eq(c->status, "critical") || (str_eq(c->status, "warning") && !c->want->restart->ignore_warnings));
}

/* Monotonic: when its task is to be restarted; NEVER. The first failure counts when it is seen after the grace. */
static int64_t restart_due(struct live_check *c, int64_t now)
{
	if (!is_failing(c)) {
		c->bad_since = 0;
		return NEVER;
	}
	if (!c->bad_since)
		c->bad_since = MAX(now, c->grace_until);
	return c->bad_since + (c->want->restart->limit - 1) * c->want->spec->interval;
}

static struct live_check *find_due(struct registry *r, int64_t now, int64_t *next)
{
	const char *key;
	void *value;

	*next = NEVER;
	for (uint32_t i = 0; map_next(&r->checks, &i, &key, &value);) {
		int64_t due = restart_due(value, now);

		if (due <= now)
			return value;
		*next = MIN(*next, due);
	}
	return NULL;
}

static void restart(struct live_check *c, int64_t now)
{
	struct alloc_run *a = c->entry->presence->alloc;
	cleanup_free char *why = xasprintf("healthcheck: check \"%s\" unhealthy", c->want->reg->name);
	struct task_run *one = c->want->task ? alloc_run_task(a, c->want->task) : NULL;

	log_info("client", "allocation %.8s: %s", a->id, why);
	c->bad_since = 0;
	c->grace_until = now + SECOND; /* should there be nothing to restart */
	/* The check goes with the first of them. */
	for (uint32_t i = 0; i < a->n; i++)
		if (a->tasks[i] == one || (!one && (a->tasks[i]->role == ROLE_MAIN || lifecycle_is_sidecar(a->tasks[i]->role))))
			task_run_restart_failing(a->tasks[i], why);
}

void registry_on_restarts(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct registry *r = arg;
	int64_t now = clock_monotonic(), next;
	struct live_check *c;

	if (!check_watch_knows(r->watch))
		return; /* what is not known restarts nothing */
	while ((c = find_due(r, now, &next)))
		restart(c, now);
	if (next == NEVER)
		return;
	evtimer_add(r->restarts, &((struct timeval){ .tv_sec = (next - now) / SECOND, .tv_usec = (next - now) % SECOND / 1000 + 1000 }));
}

/* ---- what Consul says ---- */

static bool update(struct live_check *c, const struct consul_check *said)
{
	const char *status = said ? str_or(said->status, "") : "", *output = said ? str_or(said->output, "") : "";
	bool other = !str_eq(c->status, status);

	if (!str_eq(c->output, output)) {
		free(c->output);
		c->output = xstrdup(output);
	}
	if (other) {
		snprintf(c->status, sizeof(c->status), "%s", status);
		c->since = clock_now();
		log_debug("client", "allocation %.8s: check \"%s\" is %s", c->entry->presence->alloc->id, c->want->reg->name,
		    *status ? status : "unknown");
	}
	return other;
}

/* Consul is away: nothing counts any longer, and what fails when it is back fails from then on. */
static void forget_failures(struct registry *r)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&r->checks, &i, &key, &value);) {
		struct live_check *c = value;

		c->bad_since = 0;
		alloc_health_step(c->entry->presence->alloc);
	}
}

void registry_on_checks(void *arg, const struct consul_checks *checks)
{
	struct registry *r = arg;
	struct map said = MAP_INIT;
	const char *key;
	void *value;

	if (!checks) {
		forget_failures(r);
		return;
	}
	OBJS_EACH(&checks->items, struct consul_check, s) {
		if (s->check_id && map_get(&r->checks, s->check_id))
			map_set(&said, s->check_id, s);
	}
	for (uint32_t i = 0; map_next(&r->checks, &i, &key, &value);) {
		struct live_check *c = value;

		if (update(c, map_get(&said, key)))
			alloc_health_step(c->entry->presence->alloc);
	}
	map_free(&said);
	evtimer_add(r->restarts, &((struct timeval){ 0 }));
}

/* ---- health ---- */

static bool check_is_fine(const struct live_check *c)
{
	const char *rule = c->want->spec->on_update;

	if (str_eq(rule, "ignore") || str_eq(c->status, "passing"))
		return true;
	return str_eq(rule, "ignore_warnings") && str_eq(c->status, "warning");
}

static bool entry_is_fine(const struct entry *e, const struct wanted_service *w, struct buf *why)
{
	if (w->problem || !e || !e->registered) {
		buf_printf(why, "service \"%s\" is not registered%s%s", w->name, w->problem || (e && e->error) ? ": " : "",
		    w->problem ? w->problem : e && e->error ? e->error : "");
		return false;
	}
	for (uint32_t i = 0; i < e->n; i++) {
		const struct live_check *c = &e->checks[i];

		if (check_is_fine(c))
			continue;
		buf_printf(why, "check \"%s\" of service \"%s\" is %s", c->want->reg->name, e->name,
		    *c->status ? c->status : "not known to Consul");
		return false;
	}
	return true;
}

enum registry_health registry_health(const struct alloc_run *a, struct buf *why)
{
	const struct presence *p = a->presence;
	bool fine = true;

	if (!p || !p->list.n)
		return REGISTRY_FINE;
	if (!check_watch_knows(p->owner->watch)) {
		const char *error = check_watch_refusal(p->owner->watch);

		buf_printf(why, "Consul does not tell how its checks are%s%s", error ? ": " : "", error ? error : "");
		return error ? REGISTRY_BAD : REGISTRY_UNKNOWN;
	}
	OBJS_EACH(&p->list, struct wanted_service, w) {
		fine = fine && entry_is_fine(map_get(&p->owner->entries, w->id), w, why);
	}
	return fine ? REGISTRY_FINE : REGISTRY_BAD;
}

/* ---- for people ---- */

/* In the words of Nomad's own checks, for who reads those. */
static const char *nomad_status(const char *status)
{
	if (str_eq(status, "passing"))
		return "success";
	return *status ? "failure" : "pending";
}

void registry_describe_checks(const struct entry *e, struct arena *arena, struct objs *out)
{
	for (uint32_t i = 0; i < e->n; i++) {
		const struct live_check *c = &e->checks[i];
		struct check_result *r = MODEL_NEW(arena, check_result);
		bool known = check_watch_knows(e->presence->owner->watch);

		MODEL_SET(check_result, r, id, arena_strdup(arena, c->id));
		MODEL_SET(check_result, r, check, arena_strdup(arena, c->want->reg->name));
		MODEL_SET(check_result, r, type, arena_strdup(arena, c->want->spec->type));
		MODEL_SET(check_result, r, service, arena_strdup(arena, e->name));
		MODEL_SET(check_result, r, group, arena_strdup(arena, str_or(e->presence->alloc->model->name, "")));
		MODEL_SET(check_result, r, task, arena_strdup(arena, str_or(c->want->task, "")));
		MODEL_SET(check_result, r, mode, str_eq(c->want->spec->on_update, "ignore") ? "readiness" : "healthiness");
		MODEL_SET(check_result, r, status, nomad_status(known ? c->status : ""));
		MODEL_SET(check_result, r, consul_status, known ? arena_strdup(arena, c->status) : "");
		MODEL_SET(check_result, r, output, arena_strdup(arena, c->output));
		MODEL_SET(check_result, r, timestamp, c->since / SECOND);
		objs_push(arena, out, r);
	}
}
