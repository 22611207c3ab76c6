/* update: comparison of specs over the field tables, health, and the arithmetic of rescheduling. */
#include "sched/update.h"

#define TRACKED_MAX       5        /* events kept when attempts are not counted */
#define RESCHEDULE_WINDOW SECOND   /* what is due within it is due now */

/* Fields whose change needs a new allocation; everything else changes in place. */
static const char *const task_fields[] = {"Driver", "User", "Config", "Env", "Artifacts", "Templates", "Vault", "Consul",
    "Secrets", "Identity", "Identities", "VolumeMounts", "CSIPluginConfig", "Lifecycle", "DispatchPayload", "Leader", NULL};
static const char *const group_fields[] = {"Networks", "EphemeralDisk", "Volumes", "Consul", NULL};

static bool value_differs(const struct type *t, const char *name, const void *a, const void *b, struct arena *arena)
{
	/* Two objects that hold nothing but this field are compared by the generic code. */
	const struct field *f = model_field(t, name);
	uint64_t bit = UINT64_C(1) << (f - t->fields);
	size_t end = t->size;
	for (uint16_t i = 0; i < t->n; i++)
		if (t->fields[i].offset > f->offset)
			end = MIN(end, t->fields[i].offset);
	const void *whole[2] = {a, b};
	char *only[2];
	for (int i = 0; i < 2; i++) {
		only[i] = arena_alloc(arena, t->size);
		memcpy(only[i] + f->offset, (const char *)whole[i] + f->offset, end - f->offset);
		*(uint64_t *)(void *)only[i] = *(const uint64_t *)whole[i] & bit;
	}
	return !model_equal(t, only[0], only[1], MODEL_UNSET_IS_ZERO);
}

static bool any_differs(
    const struct type *t, const char *const *names, const void *a, const void *b, struct arena *arena)
{
	for (; *names; names++)
		if (value_differs(t, *names, a, b, arena))
			return true;
	return false;
}

static const char *merged_meta(const struct job *j, const struct task_group *g, const struct task *t, const char *key)
{
	const char *v = strmap_get(&t->meta, key);
	v = v ? v : strmap_get(&g->meta, key);
	return v ? v : strmap_get(&j->meta, key);
}

/* Every key of one side has the same value on the other. */
static bool meta_within(const struct job *fj, const struct task_group *fg, const struct task *ft, const struct job *tj,
    const struct task_group *tg, const struct task *tt)
{
	const struct strmap *maps[] = {&fj->meta, &fg->meta, &ft->meta};
	for (size_t m = 0; m < ARRAY_LEN(maps); m++)
		for (uint32_t i = 0; i < maps[m]->n; i++) {
			const char *key = maps[m]->v[i].key, *other = merged_meta(tj, tg, tt, key);
			if (!other || strcmp(other, merged_meta(fj, fg, ft, key)) != 0)
				return false;
		}
	return true;
}

static bool task_differs(const struct job *fj, const struct task_group *fg, const struct task *f, const struct job *tj,
    const struct task_group *tg, const struct task *t, struct arena *arena)
{
	if (any_differs(&type_task, task_fields, f, t, arena))
		return true;
	if (!meta_within(fj, fg, f, tj, tg, t) || !meta_within(tj, tg, t, fj, fg, f))
		return true;
	if (f->resources && t->resources && !model_equal(&type_resources, f->resources, t->resources, MODEL_UNSET_IS_ZERO))
		return true;
	if (f->log_config && t->log_config && f->log_config->disabled != t->log_config->disabled)
		return true;
	return f->restart_policy && t->restart_policy &&
	    f->restart_policy->render_templates != t->restart_policy->render_templates;
}

static bool connect_differs(const struct objs *a, const struct objs *b)
{
	uint32_t with_a = 0, with_b = 0;
	OBJS_EACH (a, struct service, s)
		with_a += s->connect != NULL;
	OBJS_EACH (b, struct service, t)
		with_b += t->connect != NULL;
	if (!with_a && !with_b)
		return false;
	if (with_a != with_b || a->n != b->n)
		return true;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct service *x = a->v[i], *y = b->v[i];
		if (!x->connect != !y->connect || (x->connect && !model_equal(&type_connect, x->connect, y->connect, MODEL_UNSET_IS_ZERO)))
			return true;
	}
	return false;
}

bool update_is_destructive(
    const struct job *from_job, const struct task_group *from, const struct job *to_job, const struct task_group *to)
{
	cleanup_arena struct arena *arena = arena_new();
	if (from == to)
		return false;
	if (from->tasks.n != to->tasks.n || any_differs(&type_task_group, group_fields, from, to, arena) ||
	    connect_differs(&from->services, &to->services))
		return true;
	OBJS_EACH (&from->tasks, struct task, f) {
		const struct task *t = group_task(to, f->name);
		if (!t || task_differs(from_job, from, f, to_job, to, t, arena))
			return true;
	}
	return false;
}

/* ---- health ---- */

bool update_is_healthy(const struct alloc *a, const struct update_strategy *u, int64_t now, int64_t *when)
{
	int64_t min = u ? u->min_healthy_time : 0, since = a->modify_time;
	if (when)
		*when = NEVER;
	if (a->observed != OBSERVED_RUNNING)
		return false;
	if (a->extra && a->extra->deployment_status && MODEL_HAS(deployment_status, a->extra->deployment_status, healthy))
		return a->extra->deployment_status->healthy;
	for (uint32_t i = 0; a->extra && i < a->extra->task_states.n; i++) {
		const struct task_state *s = a->extra->task_states.v[i].value;
		const struct task *t = group_task(alloc_group(a), a->extra->task_states.v[i].key);
		if (t && t->lifecycle && (!str_eq(s->state, "running") || str_eq(t->lifecycle->hook, "poststop")) && !s->failed)
			continue; /* has done its part, or its time has not come */
		if (!str_eq(s->state, "running") || s->failed)
			return false;
		since = i && since > s->started_at ? since : s->started_at;
	}
	if (when)
		*when = since + min;
	return since + min <= now;
}

/* ---- rescheduling ---- */

/* By the servers' clock: a client's may be hours off. */
static int64_t failed_at(const struct alloc *a)
{
	return a->extra && a->extra->ended ? a->extra->ended : a->modify_time;
}

static const struct objs *events_of(const struct alloc *a)
{
	static const struct objs none;
	return a->extra && a->extra->tracker ? &a->extra->tracker->events : &none;
}

static int64_t add_delays(int64_t a, int64_t b)
{
	int64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX / 2 : sum;
}

static int64_t next_delay(const struct alloc *a, const struct reschedule_policy *p)
{
	const struct objs *ev = events_of(a);
	const struct reschedule_event *last = ev->n ? ev->v[ev->n - 1] : NULL;
	const struct reschedule_event *before = ev->n > 1 ? ev->v[ev->n - 2] : NULL;
	int64_t delay = p->delay;
	if (!last || str_eq(p->delay_function, "constant"))
		return delay;
	if (str_eq(p->delay_function, "exponential"))
		delay = add_delays(last->delay, last->delay);
	else if (before) /* a series that fell began anew */
		delay = before->delay > last->delay ? last->delay : add_delays(last->delay, before->delay);
	if (p->max_delay > 0 && failed_at(a) - last->reschedule_time > p->max_delay)
		return p->delay; /* it has lived long enough to start from the beginning */
	delay = MAX(delay, p->delay); /* the policy may have changed meanwhile */
	return p->max_delay > 0 ? MIN(delay, p->max_delay) : delay;
}

enum reschedule_verdict reschedule_verdict(
    const struct alloc *a, const struct reschedule_policy *p, int64_t now, int64_t *at, int64_t *delay)
{
	const struct desired_transition *t = a->extra ? a->extra->transition : NULL;
	const struct objs *ev = events_of(a);
	int64_t attempts = 0;
	*delay = p ? next_delay(a, p) : 0;
	*at = now;
	if (t && t->force_reschedule)
		return RESCHEDULE_NOW;
	if (!p || (!p->unlimited && p->attempts <= 0))
		return RESCHEDULE_NEVER;
	*at = add_delays(failed_at(a), *delay);
	for (uint32_t i = 0; i < ev->n; i++)
		attempts += ((struct reschedule_event *)ev->v[i])->reschedule_time > failed_at(a) - p->interval;
	if (!p->unlimited && attempts >= p->attempts)
		return RESCHEDULE_NEVER;
	return *at <= add_delays(now, RESCHEDULE_WINDOW) ? RESCHEDULE_NOW : RESCHEDULE_LATER;
}

struct reschedule_tracker *reschedule_track(
    const struct alloc *a, const struct reschedule_policy *p, int64_t now, int64_t delay, struct arena *arena)
{
	struct reschedule_tracker *t = MODEL_NEW(arena, reschedule_tracker);
	struct reschedule_event *e = MODEL_NEW(arena, reschedule_event);
	const struct objs *ev = events_of(a);
	char id[UUID_STR];
	for (uint32_t i = 0; i < ev->n; i++) {
		const struct reschedule_event *old = ev->v[i];
		bool counts = p && !p->unlimited ? old->reschedule_time > now - p->interval : ev->n - i < TRACKED_MAX;
		if (counts)
			objs_push(arena, &t->events, model_copy(arena, &type_reschedule_event, old));
	}
	MODEL_SET(reschedule_event, e, reschedule_time, now);
	MODEL_SET(reschedule_event, e, prev_alloc_id, arena_strdup(arena, uuid_format(a->id, id)));
	if (a->node)
		MODEL_SET(reschedule_event, e, prev_node_id, arena_strdup(arena, uuid_format(a->node->id, id)));
	MODEL_SET(reschedule_event, e, delay, delay);
	objs_push(arena, &t->events, e);
	return t;
}
