/*
 * registry: an entry for each service of an allocation that stands in Consul, or is on its way in or out. What is wanted is
 * worked out anew when the allocation or its job is another one; whether it stands follows from the tasks at every sync.
 */
#include "agent/registry_internal.h"

#include <errno.h>
#include <event2/event.h>

#include "agent/alloc_health.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- entries ---- */

static struct entry *entry_new(struct presence *p, const struct wanted_service *w)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	e->presence = p;
	e->id = xstrdup(w->id);
	e->name = xstrdup(w->name);
	e->task = w->task ? xstrdup(w->task) : NULL;
	e->since = clock_now();
	TAILQ_INSERT_TAIL(&p->entries, e, list);
	map_set(&p->owner->entries, e->id, e);
	return e;
}

static void entry_free(struct entry *e)
{
	registry_end_checks(e);
	TAILQ_REMOVE(&e->presence->entries, e, list);
	map_del(&e->presence->owner->entries, e->id);
	free(e->id);
	free(e->name);
	free(e->task);
	free(e->error);
	free(e);
}

static void put_in(struct entry *e, const struct wanted_service *w)
{
	if (!e->want)
		e->since = clock_now();
	e->want = w;
	e->waited = false;
	services_want(e->presence->owner->services, w->reg);
	registry_begin_checks(e);
}

static void be_patient(struct presence *p)
{
	struct timeval tv = { .tv_sec = REGISTRY_PATIENCE / SECOND, .tv_usec = REGISTRY_PATIENCE % SECOND / 1000 };

	if (!evtimer_pending(p->patience, NULL))
		evtimer_add(p->patience, &tv);
}

static void take_out(struct entry *e)
{
	registry_end_checks(e);
	e->want = NULL;
	e->registered = false;
	e->left_at = clock_monotonic();
	e->since = clock_now();
	services_remove(e->presence->owner->services, e->id);
	be_patient(e->presence);
}

/* ---- what is wanted ---- */

static bool has_services(const struct task_group *g)
{
	if (g->services.n)
		return true;
	OBJS_EACH(&g->tasks, struct task, t) {
		if (t->services.n)
			return true;
	}
	return false;
}

static enum task_stand stand_of(void *arg, const char *task)
{
	const struct task_run *t = alloc_run_task(arg, task);

	if (t && t->phase == TASK_RUNNING && !t->stop_wanted && !t->restart_asked)
		return TASK_IS_UP;
	return t && t->phase == TASK_DEAD && !t->state->failed ? TASK_IS_DONE : TASK_IS_DOWN;
}

/* Works out the list when it is of an older form of the allocation. The arena of the old list, which entries still point into;
 * NULL when the list stays. */
static struct arena *renew_list(struct presence *p, bool *renewed)
{
	const struct alloc_run *a = p->alloc;
	const struct client_config *c = a->host->config;
	const struct services_source src = {
		.alloc = a->model,
		.job = a->job->job,
		.group = a->group,
		.node = a->host->node,
		.region = c->region,
		.bind_ip = c->bind_ip,
		.alloc_dir = c->alloc_dir,
	};
	struct arena *old = p->arena;

	*renewed = !p->arena || p->job != a->job->job || p->index != a->index;
	if (!*renewed)
		return NULL;
	p->arena = arena_new();
	p->list = (struct objs){ 0 };
	alloc_services(&src, p->arena, &p->list);
	p->told = arena_alloc(p->arena, (p->list.n + 1) * sizeof(*p->told));
	p->job = a->job->job;
	p->index = a->index;
	return old;
}

static struct presence *presence_of(struct alloc_run *a);

/* An event of the task that the service belongs to. */
static void add_event(struct alloc_run *a, const char *task, const char *service, const char *text)
{
	cleanup_free char *sentence = xasprintf("service \"%s\": %s", service, text);
	struct task_run *t = task ? alloc_run_task(a, task) : NULL;

	for (uint32_t i = 0; i < a->n && !t; i++)
		if (a->tasks[i]->role == ROLE_MAIN)
			t = a->tasks[i];
	log_warn("client", "allocation %.8s: %s", a->id, sentence);
	if (t)
		task_run_event(t, EVENT_NOT_REGISTERED, sentence, 0);
}

static bool should_stand(const struct alloc_run *a, const struct wanted_service *w)
{
	return !a->stop_asked && !a->ending && alloc_services_stand(a->group, w, stand_of, (void *)a);
}

static bool is_listed(const struct presence *p, const char *id)
{
	OBJS_EACH(&p->list, struct wanted_service, w) {
		if (str_eq(w->id, id))
			return true;
	}
	return false;
}

static void drop_unlisted(struct presence *p)
{
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&p->entries); e; e = next) {
		next = TAILQ_NEXT(e, list);
		if (e->want && !is_listed(p, e->id))
			take_out(e);
	}
}

void registry_sync(struct alloc_run *a)
{
	if (!a->host->registry || (!a->presence && !has_services(a->group)))
		return;
	struct presence *p = presence_of(a);
	bool renewed;
	struct arena *old cleanup_arena = renew_list(p, &renewed);

	if (renewed)
		drop_unlisted(p);
	OBJS_EACH(&p->list, struct wanted_service, w) {
		struct entry *e = map_get(&p->owner->entries, w->id);
		bool stand = should_stand(a, w);

		if (stand && w->problem && !p->told[w_i]) {
			p->told[w_i] = true;
			add_event(a, w->task, w->name, w->problem);
		}
		if (stand && w->reg && (!e || !e->want || renewed))
			put_in(e ? e : entry_new(p, w), w);
		else if ((!stand || !w->reg) && e && e->want)
			take_out(e);
	}
}

void registry_restore(struct alloc_run *a)
{
	if (!a->host->registry || !has_services(a->group))
		return;
	struct presence *p = presence_of(a);
	bool renewed;

	arena_free(renew_list(p, &renewed));
	OBJS_EACH(&p->list, struct wanted_service, w) {
		if (!map_get(&p->owner->entries, w->id) && !(w->reg && should_stand(a, w)))
			take_out(entry_new(p, w));
	}
}

/* ---- on the way out ---- */

bool registry_is_leaving(const struct alloc_run *a, const char *task)
{
	struct entry *e;

	if (!a->presence)
		return false;
	TAILQ_FOREACH(e, &a->presence->entries, list)
		if (!e->want && !e->waited && (!task || !e->task || str_eq(e->task, task)))
			return true;
	return false;
}

bool registry_stands(const struct alloc_run *a)
{
	return a->presence && !TAILQ_EMPTY(&a->presence->entries);
}

static void on_patience(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct presence *p = arg;
	int64_t due = clock_monotonic() - REGISTRY_PATIENCE + 50 * MILLI; /* the loop's clock is a little behind */
	bool rest = false;
	struct entry *e;

	TAILQ_FOREACH(e, &p->entries, list) {
		if (e->want || e->waited)
			continue;
		e->waited = e->left_at <= due;
		rest |= !e->waited;
		if (e->waited)
			log_warn("client", "allocation %.8s: Consul has not confirmed that service \"%s\" is gone; going on without",
			    p->alloc->id, e->name);
	}
	if (rest)
		be_patient(p);
	alloc_run_left(p->alloc);
}

/* ---- what became of it ---- */

static void on_refused(struct entry *e, const struct err *err)
{
	bool is_news = !str_eq(e->error, err_str(err));
	/* That Consul is away is no fault of the service. */
	bool is_refusal = err->code == -EACCES || err->code == -EINVAL || err->code == -E2BIG;

	free(e->error);
	e->error = xstrdup(err_str(err));
	if (is_news && is_refusal && e->want)
		add_event(e->presence->alloc, e->want->task, e->name, err_str(err));
}

void registry_on_service(struct registry *r, const char *id, enum services_event event, const struct err *err)
{
	struct entry *e = map_get(&r->entries, id);
	struct alloc_run *a = e ? e->presence->alloc : NULL;

	if (!e)
		return;
	switch (event) {
	case SERVICES_REGISTERED:
		if (!e->registered)
			e->since = clock_now();
		e->registered = e->want != NULL;
		free(STEAL(e->error));
		alloc_health_step(a);
		break;
	case SERVICES_REMOVED:
		if (!e->want) {
			entry_free(e);
			alloc_run_left(a);
		}
		break;
	case SERVICES_FAILED:
		on_refused(e, err);
		break;
	}
}

/* ---- for people ---- */

static const char *state_of(const struct entry *e)
{
	if (!e->want)
		return "leaving";
	return e->registered ? "registered" : e->error ? "failing" : "registering";
}

static struct service_registration *describe(const struct alloc_run *a, struct arena *arena, const char *id, const char *name,
    const char *task, const char *state, const char *error)
{
	struct service_registration *s = MODEL_NEW(arena, service_registration);

	MODEL_SET(service_registration, s, id, arena_strdup(arena, id));
	MODEL_SET(service_registration, s, service_name, arena_strdup(arena, name));
	MODEL_SET(service_registration, s, namespace, str_empty(a->model->namespace) ? "default" : arena_strdup(arena, a->model->namespace));
	MODEL_SET(service_registration, s, node_id, a->host->node->id);
	MODEL_SET(service_registration, s, datacenter, a->host->node->datacenter);
	MODEL_SET(service_registration, s, job_id, arena_strdup(arena, a->job->job->id));
	MODEL_SET(service_registration, s, alloc_id, a->id);
	MODEL_SET(service_registration, s, task, arena_strdup(arena, str_or(task, "")));
	MODEL_SET(service_registration, s, state, state);
	MODEL_SET(service_registration, s, error, arena_strdup(arena, str_or(error, "")));
	return s;
}

static void describe_entry(const struct entry *e, struct arena *arena, struct objs *out)
{
	struct service_registration *s =
	    describe(e->presence->alloc, arena, e->id, e->name, e->task, state_of(e), e->error);

	if (e->want) {
		const struct consul_service_registration *reg = e->want->reg;

		MODEL_SET(service_registration, s, address, arena_strdup(arena, reg->address));
		MODEL_SET(service_registration, s, port, reg->port);
		for (uint32_t i = 0; i < reg->tags.n; i++)
			strs_push(arena, &s->tags, reg->tags.v[i]);
	}
	MODEL_SET(service_registration, s, since, e->since);
	registry_describe_checks(e, arena, &s->checks);
	s->has |= MODEL_BIT(service_registration, tags) | MODEL_BIT(service_registration, checks);
	objs_push(arena, out, s);
}

void registry_describe(const struct alloc_run *a, struct arena *arena, struct objs *out)
{
	struct entry *e;

	if (!a->presence)
		return;
	TAILQ_FOREACH(e, &a->presence->entries, list)
		describe_entry(e, arena, out);
	OBJS_EACH(&a->presence->list, struct wanted_service, w) {
		if (w->problem && should_stand(a, w))
			objs_push(arena, out, describe(a, arena, w->id, w->name, w->task, "refused", w->problem));
	}
}

/* ---- life ---- */

static struct presence *presence_of(struct alloc_run *a)
{
	struct presence *p = a->presence;

	if (p)
		return p;
	p = a->presence = xcalloc(1, sizeof(*p));
	p->owner = a->host->registry;
	p->alloc = a;
	TAILQ_INIT(&p->entries);
	p->patience = evtimer_new(p->owner->base, on_patience, p);
	return p;
}

void registry_forget(struct alloc_run *a)
{
	struct presence *p = STEAL(a->presence);

	if (!p)
		return;
	while (!TAILQ_EMPTY(&p->entries))
		entry_free(TAILQ_FIRST(&p->entries));
	event_free(p->patience);
	arena_free(p->arena);
	free(p);
}

static void on_agent(void *arg, const struct consul_agent_self *self)
{
	struct registry *r = arg;

	r->ops->on_agent(r->arg, self);
}

struct registry *registry_new(struct event_base *base, struct consul *c, struct services *s, const struct registry_ops *ops, void *arg)
{
	static const struct check_watch_ops watch_ops = { .on_agent = on_agent, .on_checks = registry_on_checks };
	struct registry *r = xcalloc(1, sizeof(*r));

	r->base = base;
	r->services = s;
	r->ops = ops;
	r->arg = arg;
	r->scripts = script_pool_new(base);
	r->restarts = evtimer_new(base, registry_on_restarts, r);
	r->watch = check_watch_start(base, c, &watch_ops, r);
	return r;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	check_watch_stop(r->watch);
	script_pool_free(r->scripts);
	event_free(r->restarts);
	map_free(&r->entries);
	map_free(&r->checks);
	free(r);
}
