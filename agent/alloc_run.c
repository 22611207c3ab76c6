#include "agent/alloc_run.h"

#include <errno.h>
#include <event2/event.h>

#include "agent/alloc_dir.h"
#include "agent/alloc_health.h"
#include "agent/registry.h"
#include "agent/task_launch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

void job_ref_release(struct job_ref *r)
{
	if (!r || --r->refs)
		return;
	if (r->in)
		map_del(r->in, r->key);
	arena_free(r->arena);
	free(r->key);
	free(r);
}

/* ---- life ---- */

/* What this client has no use for would be most of an allocation's memory. */
static struct allocation *copy_model(struct arena *arena, const struct allocation *from)
{
	struct allocation slim = *from;

	slim.job = NULL;
	slim.metrics = NULL;
	slim.resources = slim.shared_resources = NULL;
	slim.task_resources = (struct objmap){0};
	slim.task_states = (struct objmap){ 0 };
	slim.reschedule_tracker = NULL;
	slim.has &= ~(MODEL_BIT(allocation, job) | MODEL_BIT(allocation, metrics) | MODEL_BIT(allocation, resources) |
	    MODEL_BIT(allocation, shared_resources) | MODEL_BIT(allocation, task_resources) |
	    MODEL_BIT(allocation, task_states) | MODEL_BIT(allocation, reschedule_tracker));
	return model_copy(arena, &type_allocation, &slim);
}

static uint64_t model_index(const struct allocation *m)
{
	return (uint64_t)(m->alloc_modify_index ? m->alloc_modify_index : m->modify_index);
}

int alloc_run_new(const struct run_host *host, const struct allocation *model, struct job_ref *job,
    struct alloc_run **out, struct err *e)
{
	const struct task_group *g = job_group(job->job, model->task_group);

	if (!alloc_dir_name_ok(model->id))
		return err_set(e, -EINVAL, "an allocation without a usable id");
	if (!g)
		return err_set(e, -EINVAL, "its job \"%s\" has no group \"%s\"", job->job->id ? job->job->id : "",
		    model->task_group ? model->task_group : "");
	OBJS_EACH(&g->tasks, struct task, task) {
		if (!alloc_dir_name_ok(task->name))
			return err_set(e, -EINVAL, "the name of a task of group \"%s\" cannot be a folder's name", g->name);
	}
	struct alloc_run *a = xcalloc(1, sizeof(*a));

	a->host = host;
	a->id = xstrdup(model->id);
	a->record_dir = xasprintf("%s/%s", host->records, model->id);
	a->arena = arena_new();
	a->model = copy_model(a->arena, model);
	a->job = job;
	a->group = g;
	a->index = model_index(model);
	a->stop_asked = alloc_run_wants_stop(model);
	a->tasks = xcalloc(g->tasks.n + 1, sizeof(struct task_run *));
	OBJS_EACH(&g->tasks, struct task, task) {
		a->tasks[a->n++] = task_run_new(a, task);
	}
	alloc_health_init(a);
	*out = a;
	return 0;
}

void alloc_run_free(struct alloc_run *a)
{
	if (!a)
		return;
	registry_forget(a);
	for (uint32_t i = 0; i < a->n; i++)
		task_run_free(a->tasks[i]);
	free(a->tasks);
	if (a->stop_timer)
		event_free(a->stop_timer);
	if (a->health_timer)
		event_free(a->health_timer);
	job_ref_release(a->job);
	arena_free(a->arena);
	free(a->id);
	free(a->record_dir);
	free(a);
}

bool alloc_run_wants_stop(const struct allocation *model)
{
	return str_eq(model->desired_status, "stop") || str_eq(model->desired_status, "evict");
}

bool alloc_run_ended(const struct alloc_run *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->tasks[i]->phase != TASK_DEAD)
			return false;
	return true;
}

struct task_run *alloc_run_task(const struct alloc_run *a, const char *name)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (str_eq(a->tasks[i]->name, name))
			return a->tasks[i];
	return NULL;
}

void alloc_run_touch(struct alloc_run *a)
{
	a->unsaved = true;
	a->version++;
	a->host->on_change(a->host->arg, a);
}

int alloc_run_save(struct alloc_run *a, struct err *e)
{
	a->unsaved = true;
	if (a->stepping && a->restoring)
		return 0; /* half-restored tasks would overwrite what the record knows; saved when it is whole */
	struct task_record *tasks = xcalloc(a->n + 1, sizeof(*tasks));
	const struct alloc_record rec = {
		.stopping = a->stop_asked,
		.health = a->health,
		.health_at = a->health_at,
		.in_consul = registry_stands(a),
		.tasks = tasks,
		.n = a->n,
	};

	for (uint32_t i = 0; i < a->n; i++)
		task_run_record(a->tasks[i], &tasks[i]);
	int r = client_state_save(a->record_dir, &rec, e);

	free(tasks);
	if (r == 0)
		a->unsaved = false;
	return r;
}

/* ---- what happens next ---- */

static void view(const struct task_run *t, struct lifecycle_task *out)
{
	*out = (struct lifecycle_task){
		.role = t->role,
		.stage = t->phase == TASK_PENDING ? STAGE_WAITING : t->phase == TASK_DEAD ? STAGE_DEAD : STAGE_ACTIVE,
		.leader = t->def->leader,
		.up = t->phase >= TASK_RUNNING && t->phase <= TASK_KILLING,
		.failed = t->state->failed,
		.started = t->state->started_at != 0,
	};
}

static void fail_setup(struct alloc_run *a, const char *sentence)
{
	log_warn("client", "allocation %.8s: %s", a->id, sentence);
	for (uint32_t i = 0; i < a->n; i++)
		task_run_fail_setup(a->tasks[i], sentence);
	alloc_run_touch(a);
}

/* Once, before the first task starts. */
static void set_up(struct alloc_run *a)
{
	const struct client_config *c = a->host->config;
	struct err e cleanup_err = ERR_INIT;

	a->set_up = true;
	if (alloc_dir_make_shared(c->alloc_dir, a->id, &e) < 0 || task_launch_probe_ports(a->model, c->bind_ip, &e) < 0)
		fail_setup(a, err_str(&e));
}

static void obey(struct alloc_run *a, const enum lifecycle_order *orders, const struct lifecycle_plan *plan)
{
	const char *sibling = plan->reason == WHY_SIBLING_FAILED ? a->tasks[plan->culprit]->name : NULL;
	const struct desired_transition *dt = a->model->desired_transition;
	bool at_once = dt && dt->no_shutdown_delay;

	for (uint32_t i = 0; i < a->n; i++) {
		switch (orders[i]) {
		case ORDER_START:
			task_run_start(a->tasks[i]);
			break;
		case ORDER_STOP:
			task_run_stop(a->tasks[i], plan->reason, sibling, at_once);
			break;
		case ORDER_SKIP:
			task_run_skip(a->tasks[i]);
			break;
		case ORDER_NONE:
			break;
		}
	}
}

static bool wants_start(const struct alloc_run *a, const enum lifecycle_order *orders)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (orders[i] == ORDER_START)
			return true;
	return false;
}

static void step(struct alloc_run *a)
{
	struct lifecycle_task *tasks = xcalloc(a->n + 1, sizeof(*tasks));
	enum lifecycle_order *orders = xcalloc(a->n + 1, sizeof(*orders));
	struct lifecycle_plan plan;

	for (uint32_t i = 0; i < a->n; i++)
		view(a->tasks[i], &tasks[i]);
	lifecycle_decide(tasks, a->n, a->stop_wanted, orders, &plan);
	a->ending |= plan.reason != WHY_NONE;
	if (!a->set_up && wants_start(a, orders)) {
		set_up(a);
		a->again = true;
	} else {
		obey(a, orders, &plan);
	}
	free(tasks);
	free(orders);
}

static void begin_stop(struct alloc_run *a);

/* Starting one task can end another at once: decisions are repeated until nothing changes, never nested. */
void alloc_run_changed(struct alloc_run *a)
{
	a->again = true;
	if (a->stepping)
		return;
	a->stepping = true;
	while (a->again) {
		a->again = false;
		if (a->stop_asked && !a->stop_wanted)
			begin_stop(a);
		step(a);
	}
	a->stepping = false;
	registry_sync(a);
	alloc_health_step(a);
	if (!a->ended_at && alloc_run_ended(a))
		a->ended_at = clock_now();
	alloc_run_touch(a);
}

/* ---- stop ---- */

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct alloc_run *a = arg;

	(void)fd;
	(void)what;
	a->stop_wanted = true;
	alloc_run_changed(a);
}

/* Its entries leave Consul; then comes the group's shutdown_delay, time for traffic to go elsewhere, and only then the first
 * signal. */
static void begin_stop(struct alloc_run *a)
{
	const struct desired_transition *dt = a->model->desired_transition;
	int64_t delay = dt && dt->no_shutdown_delay ? 0 : a->group->shutdown_delay;
	bool running = false;

	for (uint32_t i = 0; i < a->n; i++)
		running |= task_run_has_process(a->tasks[i]);
	if (running && !a->stop_timer) {
		registry_sync(a);
		if (registry_is_leaving(a, NULL))
			return; /* alloc_run_left() comes back here */
	}
	if (!running || delay <= 0) {
		a->stop_wanted = true;
		return;
	}
	if (a->stop_timer)
		return;
	struct timeval tv = { .tv_sec = delay / SECOND, .tv_usec = delay % SECOND / 1000 };

	a->stop_timer = evtimer_new(a->host->base, on_stop_timer, a);
	evtimer_add(a->stop_timer, &tv);
}

void alloc_run_left(struct alloc_run *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		task_run_left(a->tasks[i]);
	alloc_run_changed(a);
}

void alloc_run_stop(struct alloc_run *a, const char *why)
{
	if (a->stop_asked)
		return;
	a->stop_asked = true;
	if (!alloc_run_ended(a))
		log_info("client", "allocation %.8s: stopping: %s", a->id, why);
	alloc_run_changed(a);
}

/* ---- begin, restore, update ---- */

void alloc_run_begin(struct alloc_run *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->tasks[i]->phase == TASK_PENDING && !a->tasks[i]->state->events.n)
			task_run_event(a->tasks[i], EVENT_RECEIVED, NULL, 0);
	alloc_run_changed(a);
}

void alloc_run_restore(struct alloc_run *a, const struct alloc_record *record)
{
	a->stepping = a->restoring = true;
	if (record) {
		a->stop_asked |= record->stopping;
		a->health = record->health;
		a->health_at = record->health_at;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		const struct task_record *found = NULL;

		for (uint32_t r = 0; record && r < record->n; r++)
			if (str_eq(record->tasks[r].name, a->tasks[i]->name))
				found = &record->tasks[r];
		if (found)
			task_run_restore(a->tasks[i], found);
		else if (task_run_adopt(a->tasks[i]))
			log_warn("client", "allocation %.8s: task \"%s\": its record is lost; found its process again", a->id,
			    a->tasks[i]->name);
		/* Folders and ports were looked at before the first task ever started. */
		a->set_up |= a->tasks[i]->phase != TASK_PENDING;
	}
	a->stepping = a->restoring = false;
	if (record && record->in_consul)
		registry_restore(a);
	if (alloc_run_ended(a))
		for (uint32_t i = 0; i < a->n; i++)
			a->ended_at = MAX(a->ended_at, a->tasks[i]->state->finished_at);
}

void alloc_run_update(struct alloc_run *a, const struct allocation *model, struct job_ref *job)
{
	const struct task_group *g = job_group(job->job, model->task_group);
	bool fits = g != NULL;

	for (uint32_t i = 0; i < a->n && fits; i++)
		fits = group_task(g, a->tasks[i]->name) != NULL;
	a->index = model_index(model);
	if (!fits) {
		log_warn("client", "allocation %.8s: job \"%s\" version %lld lacks tasks that run here; the older one stays",
		    a->id, job->job->id, (long long)job->job->version);
		job_ref_release(job);
	} else {
		job_ref_release(a->job);
		a->job = job;
		a->group = g;
		for (uint32_t i = 0; i < a->n; i++)
			a->tasks[i]->def = group_task(g, a->tasks[i]->name);
	}
	struct arena *fresh = arena_new();

	a->model = copy_model(fresh, model);
	arena_free(a->arena);
	a->arena = fresh;
	if (alloc_run_wants_stop(model))
		alloc_run_stop(a, str_empty(model->desired_description) ? "the servers want it stopped"
		                                                        : model->desired_description);
	registry_sync(a); /* services of another job version, or of a canary that has been promoted */
	alloc_health_step(a);
}

/* ---- what the servers are told ---- */

static const struct status {
	const char *status, *description;
} statuses[] = {
	{ "pending", "No tasks have started" },
	{ "running", "Tasks are running" },
	{ "failed", "Failed tasks" },
	{ "complete", "All tasks have completed" },
	{ "running", "Tasks have ended; their services leave Consul" },
};

/* An allocation counts as failed or complete only when nothing of it runs any more, that is when its room is free, and when
 * Consul has forgotten it, or has been given time enough to. */
static const struct status *overall(const struct alloc_run *a)
{
	bool running = false, failed = false, over = true, between = false, waiting = false;

	for (uint32_t i = 0; i < a->n; i++) {
		enum task_phase p = a->tasks[i]->phase;

		running |= p >= TASK_RUNNING && p <= TASK_KILLING;
		over &= p == TASK_DEAD;
		waiting |= p == TASK_BACKOFF;
		/* One task has ended and the next is on its way: no reason to fall back to pending. */
		between |= p == TASK_DEAD && a->tasks[i]->state->started_at != 0;
		failed |= a->tasks[i]->state->failed;
	}
	if (over && registry_is_leaving(a, NULL))
		return &statuses[4];
	if (over)
		return &statuses[failed ? 2 : 3];
	return &statuses[running || (between && !waiting) ? 1 : 0];
}

bool alloc_run_has_news(const struct alloc_run *a)
{
	const struct status *s = overall(a);

	/* That it is pending is what the servers think of it anyway. */
	return a->health != a->told_health || (a->told ? a->told != s->status : s != &statuses[0]);
}

void alloc_run_describe(struct alloc_run *a, struct arena *arena, struct alloc_update *out)
{
	const struct status *s = overall(a);

	a->told = s->status;
	a->told_health = a->health;

	MODEL_SET(alloc_update, out, id, a->id);
	MODEL_SET(alloc_update, out, client_status, s->status);
	MODEL_SET(alloc_update, out, client_description, s->description);
	for (uint32_t i = 0; i < a->n; i++)
		objmap_set(arena, &out->task_states, a->tasks[i]->name, a->tasks[i]->state);
	out->has |= MODEL_BIT(alloc_update, task_states);
	MODEL_SET(alloc_update, out, in_consul, registry_stands(a));
	if (a->stop_asked)
		MODEL_SET(alloc_update, out, stopped, true);
	if (a->health) {
		struct deployment_status *d = MODEL_NEW(arena, deployment_status);
		const struct deployment_status *given = a->model->deployment_status;

		MODEL_SET(deployment_status, d, healthy, a->health > 0);
		MODEL_SET(deployment_status, d, timestamp, a->health_at);
		MODEL_SET(deployment_status, d, canary, given && given->canary);
		MODEL_SET(alloc_update, out, deployment_status, d);
	}
}
