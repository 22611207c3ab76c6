/*
 * clients: the simulated client role. It follows the rules of the real one (agent/): pulls its work, starts what is
 * desired, stops only what it is told to stop, reports until it is confirmed, keeps records over a crash. What its
 * tasks do is written in the job's meta: "run" = seconds until the task ends (0 = never), "fail" = it ends badly
 * while the faults last.
 */
#include "tests/sim/sim.h"

#include <errno.h>

#include "base/uuid.h"

static struct node *make_node(struct sim *s, uint32_t n)
{
	struct node *node = MODEL_NEW(s->arena, node);
	struct node_resources *r = MODEL_NEW(s->arena, node_resources);
	struct node_reserved *reserved = MODEL_NEW(s->arena, node_reserved);
	struct driver_info *driver = MODEL_NEW(s->arena, driver_info);

	MODEL_SET(node, node, id, s->clients[n].id);
	MODEL_SET(node, node, secret_id, s->clients[n].secret);
	MODEL_SET(node, node, name, arena_printf(s->arena, "node-%u", n));
	MODEL_SET(node, node, datacenter, n % 5 == 4 ? "dc2" : "dc1");
	MODEL_SET(node, node, node_pool, "default");
	MODEL_SET(node, node, http_addr, arena_printf(s->arena, "127.0.0.1:%u", 10000 + n));
	strmap_set(s->arena, &node->attributes, "kernel.name", "linux");
	strmap_set(s->arena, &node->attributes, "cpu.arch", n % 3 ? "amd64" : "arm64");
	strmap_set(s->arena, &node->attributes, "driver.raw_exec", "1");
	MODEL_SET(driver_info, driver, detected, true);
	MODEL_SET(driver_info, driver, healthy, true);
	objmap_set(s->arena, &node->drivers, "raw_exec", driver);
	r->cpu = MODEL_NEW(s->arena, node_cpu);
	MODEL_SET(node_cpu, r->cpu, cpu_shares, 1000 + 1000 * (int64_t)sim_below(s, 4));
	r->memory = MODEL_NEW(s->arena, node_memory);
	MODEL_SET(node_memory, r->memory, memory_mb, 1024 + 1024 * (int64_t)sim_below(s, 4));
	r->disk = MODEL_NEW(s->arena, node_disk);
	MODEL_SET(node_disk, r->disk, disk_mb, 20000);
	MODEL_SET(node_resources, r, min_dynamic_port, 20000);
	MODEL_SET(node_resources, r, max_dynamic_port, 20000 + 7 + (int64_t)sim_below(s, 20));
	reserved->cpu = MODEL_NEW(s->arena, node_cpu);
	MODEL_SET(node_cpu, reserved->cpu, cpu_shares, 100 * (int64_t)sim_below(s, 3));
	reserved->networks = MODEL_NEW(s->arena, node_reserved_networks);
	MODEL_SET(node_reserved_networks, reserved->networks, reserved_host_ports, "22,20003-20004");
	MODEL_SET(node, node, node_resources, r);
	MODEL_SET(node, node, reserved_resources, reserved);
	MODEL_SET(node, node, computed_class, arena_printf(s->arena, "v1:%u:%u", n % 3 == 0, n % 5 == 4));
	return node;
}

void clients_new(struct sim *s)
{
	s->n_clients = 2 + (uint32_t)sim_below(s, 8);
	s->clients = xcalloc(s->n_clients, sizeof(*s->clients));
	for (uint32_t i = 0; i < s->n_clients; i++) {
		struct uuid seed = {s->seed + 77, i + 1};

		uuid_format(uuid_derive(seed, 0), s->clients[i].id);
		uuid_format(uuid_derive(seed, 1), s->clients[i].secret);
		s->clients[i].node = make_node(s, i);
		sim_event(s, sim_event_new(s, EVENT_CLIENT_START, i), s->now + sim_between(s, 0, 3 * SECOND));
	}
}

void clients_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_clients; i++)
		free(s->clients[i].allocs);
	free(s->clients);
}

/* Puts a message on the simulated network: delayed, sometimes lost, sometimes doubled, hence out of order. */
static void send(struct sim *s, struct event *e)
{
	int64_t delay = s->faults ? sim_between(s, 100000, 2 * SECOND) : sim_between(s, 100000, 5 * MILLI);

	if ((s->faults && sim_chance(s, 0.05)) || s->now < s->clients[e->client].cut_until) {
		sim_event_free(e);
		return;
	}
	if (s->faults && sim_chance(s, 0.05)) {
		struct event *twin = xmalloc(sizeof(*twin));

		*twin = *e;
		twin->timer = (struct heap_item){0};
		if (e->arena) { /* an update: the other requests carry nothing */
			twin->arena = arena_new();
			twin->sent = model_copy(twin->arena, &type_alloc_updates, e->sent);
			twin->versions =
			    arena_copy(twin->arena, e->versions, (e->sent->allocs.n + 1) * sizeof(uint32_t));
		}
		sim_event(s, twin, s->now + delay + sim_between(s, 0, 5 * SECOND));
	}
	sim_event(s, e, s->now + delay);
}

static void request(struct sim *s, enum event_kind kind, uint32_t client)
{
	send(s, sim_event_new(s, kind, client));
}

static struct local_alloc *find(struct client_sim *c, const char *id)
{
	for (uint32_t i = 0; i < c->n_allocs; i++)
		if (str_eq(c->allocs[i].id, id))
			return &c->allocs[i];
	return NULL;
}

static bool ended(const struct local_alloc *a)
{
	return a->state == LOCAL_COMPLETE || a->state == LOCAL_FAILED;
}

static const struct job *find_job(const struct node_work *w, const struct allocation *a)
{
	/* The allocation names its job; a reply holds each version once, and one version a job is all that this
	 * client needs, because behaviour does not change between versions. */
	OBJS_EACH (&w->jobs, struct job, j)
		if (str_eq(j->id, a->job_id))
			return j;
	return NULL;
}

static void start_alloc(struct sim *s, uint32_t n, const struct node_work *w, const struct allocation *a)
{
	struct client_sim *c = &s->clients[n];
	const struct job *job = a->job ? a->job : find_job(w, a);

	if (!job) {
		sim_fail(s, "allocation %s of job %s came to its node without the job", a->id, a->job_id);
		return;
	}
	const struct task_group *g = job_group(job, a->task_group);

	if (!g || !g->tasks.n) {
		sim_fail(s, "allocation %s names group %s, which its job does not have", a->id, a->task_group);
		return;
	}
	if (c->n_allocs == c->cap_allocs) {
		c->cap_allocs = c->cap_allocs ? 2 * c->cap_allocs : 16;
		c->allocs = xrealloc(c->allocs, c->cap_allocs, sizeof(*c->allocs));
	}
	struct local_alloc *l = &c->allocs[c->n_allocs++];
	const char *run = strmap_get(&job->meta, "run");

	memset(l, 0, sizeof(*l));
	snprintf(l->id, sizeof(l->id), "%s", a->id);
	snprintf(l->task, sizeof(l->task), "%s", ((struct task *)g->tasks.v[0])->name);
	l->started = s->now + sim_between(s, 0, s->faults ? 2 * SECOND : 20 * MILLI);
	l->ends = run && atoi(run) ? l->started + sim_between(s, 1, atoi(run)) * SECOND : NEVER;
	l->fails = s->faults && str_eq(strmap_get(&job->meta, "fail"), "true") && sim_chance(s, 0.4);
	if (l->fails)
		l->ends = l->started + sim_between(s, 1, 30) * SECOND;
	sim_event(s, sim_event_new(s, EVENT_TASK, n), l->started);
	if (l->ends != NEVER)
		sim_event(s, sim_event_new(s, EVENT_TASK, n), l->ends);
}

static void take_work(struct sim *s, uint32_t n, const struct node_work *w)
{
	struct client_sim *c = &s->clients[n];

	if ((uint64_t)w->index < c->work_index)
		return; /* an older answer overtaken by a newer one */
	c->work_index = (uint64_t)w->index;
	OBJS_EACH (&w->allocs, struct allocation, a) {
		struct local_alloc *l = find(c, a->id);

		if (str_eq(a->desired_status, "run")) {
			if (!l && !str_eq(a->client_status, "lost") && !str_eq(a->client_status, "complete") &&
			    !str_eq(a->client_status, "failed"))
				start_alloc(s, n, w, a);
			continue;
		}
		if (l && !ended(l) && !l->stopping) {
			l->stopping = true;
			l->ends = s->now + sim_between(s, 0, s->faults ? 10 * SECOND : 50 * MILLI);
			l->fails = false;
			sim_event(s, sim_event_new(s, EVENT_TASK, n), l->ends);
		} else if (!l) {
			/* Stopped before it ever reached us: say so, or it would hold its resources for ever. */
			start_alloc(s, n, w, a);
			l = find(c, a->id);
			if (l) {
				l->stopping = true;
				l->state = LOCAL_COMPLETE;
				l->ends = s->now;
				l->changes++;
			}
		}
	}
	for (uint32_t i = 0; i < w->gone.n; i++) {
		struct local_alloc *l = find(c, w->gone.v[i]);

		if (l)
			*l = c->allocs[--c->n_allocs];
	}
}

static struct task_state *state_of(struct arena *a, const struct local_alloc *l)
{
	struct task_state *t = MODEL_NEW(a, task_state);

	MODEL_SET(task_state, t, state,
	    l->state == LOCAL_PENDING ? "pending" : l->state == LOCAL_RUNNING ? "running" : "dead");
	MODEL_SET(task_state, t, failed, l->state == LOCAL_FAILED);
	if (l->state != LOCAL_PENDING)
		MODEL_SET(task_state, t, started_at, l->started);
	if (ended(l))
		MODEL_SET(task_state, t, finished_at, l->ends);
	return t;
}

/* Everything that the server has not confirmed yet, as it is now. */
static void send_update(struct sim *s, uint32_t n)
{
	static const char *const names[] = {"pending", "running", "complete", "failed"};
	struct client_sim *c = &s->clients[n];
	struct event *e = sim_event_new(s, EVENT_UPDATE, n);

	e->arena = arena_new();
	e->sent = MODEL_NEW(e->arena, alloc_updates);
	e->versions = arena_alloc(e->arena, (c->n_allocs + 1) * sizeof(uint32_t));
	for (uint32_t i = 0; i < c->n_allocs; i++) {
		struct local_alloc *l = &c->allocs[i];

		if (l->changes == l->acked)
			continue;
		struct alloc_update *u = MODEL_NEW(e->arena, alloc_update);

		MODEL_SET(alloc_update, u, id, arena_strdup(e->arena, l->id));
		MODEL_SET(alloc_update, u, client_status, names[l->state]);
		objmap_set(e->arena, &u->task_states, l->task, state_of(e->arena, l));
		u->has |= MODEL_BIT(alloc_update, task_states);
		e->versions[e->sent->allocs.n] = l->changes;
		objs_push(e->arena, &e->sent->allocs, u);
	}
	if (e->sent->allocs.n)
		send(s, e);
	else
		sim_event_free(e);
}

static void on_task(struct sim *s, uint32_t n)
{
	struct client_sim *c = &s->clients[n];
	bool changed = false;

	/* Tasks live without their client: what happened meanwhile is seen when it is back. */
	for (uint32_t i = 0; i < c->n_allocs; i++) {
		struct local_alloc *l = &c->allocs[i];

		if (l->state == LOCAL_PENDING && l->started <= s->now) {
			l->state = LOCAL_RUNNING;
			l->starts++;
			l->changes++;
			changed = true;
		}
		if (l->state == LOCAL_RUNNING && l->ends <= s->now) {
			l->state = l->fails ? LOCAL_FAILED : LOCAL_COMPLETE;
			l->changes++;
			changed = true;
		}
		if (l->starts > 1)
			sim_fail(s, "allocation %s was started twice", l->id);
	}
	if (changed && c->up && c->registered)
		send_update(s, n);
}

static void reply(struct sim *s, uint64_t index, struct event *e)
{
	sim_hold(s, index, e, NULL, 0);
}

static void serve_register(struct sim *s, uint32_t n)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_node_reply out;
	struct event *answer = sim_event_new(s, EVENT_HELLO, n);

	if (core_node_register(s->core, s->clients[n].node, s->now, &out, &e) < 0) {
		sim_fail(s, "node %u cannot register: %s", n, err_str(&e));
		sim_event_free(answer);
		return;
	}
	answer->ttl = out.heartbeat_ttl;
	if (out.heartbeat_ttl <= 0)
		sim_fail(s, "node %u was told a heartbeat TTL of %lld", n, (long long)out.heartbeat_ttl);
	reply(s, out.index, answer);
}

static void serve_heartbeat(struct sim *s, uint32_t n)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_node_reply out = {0};
	struct event *answer = sim_event_new(s, EVENT_HELLO, n);
	struct uuid id;

	uuid_parse(s->clients[n].id, &id);
	int r = core_node_heartbeat(s->core, id, s->now, &out, &e);

	if (r < 0 && r != -ENOENT)
		sim_fail(s, "heartbeat of node %u: %s", n, err_str(&e));
	answer->ttl = r < 0 ? 0 : out.heartbeat_ttl;
	reply(s, r < 0 ? 0 : out.index, answer);
}

static void serve_pull(struct sim *s, uint32_t n)
{
	struct event *answer = sim_event_new(s, EVENT_WORK, n);
	struct uuid id;

	uuid_parse(s->clients[n].id, &id);
	answer->arena = arena_new();
	answer->work = MODEL_NEW(answer->arena, node_work);
	core_node_work(s->core, answer->arena, id, s->clients[n].work_index, answer->work);
	/* The answer may be delivered after the state it was read from is gone. */
	struct node_work *copy = model_copy(answer->arena, &type_node_work, answer->work);

	answer->work = copy;
	reply(s, core_state(s->core)->index, answer);
}

static void serve_update(struct sim *s, struct event *e)
{
	cleanup_err struct err err = ERR_INIT;
	struct event *answer = sim_event_new(s, EVENT_ACK, e->client);
	struct uuid id;
	uint64_t index = 0;

	uuid_parse(s->clients[e->client].id, &id);
	int r = core_allocs_update(s->core, id, e->sent, s->now, &index, &err);

	if (r < 0) {
		if (r != -ENOENT)
			sim_fail(s, "update of node %u: %s", e->client, err_str(&err));
		sim_event_free(answer);
		return;
	}
	answer->arena = STEAL(e->arena);
	answer->sent = e->sent;
	answer->versions = e->versions;
	reply(s, index, answer);
}

static void on_hello(struct sim *s, struct event *e)
{
	struct client_sim *c = &s->clients[e->client];

	if (!e->ttl) {
		c->registered = false;
		request(s, EVENT_REGISTER, e->client);
		return;
	}
	if (!c->registered) {
		c->registered = true;
		send_update(s, e->client);
	}
}

static void on_ack(struct client_sim *c, const struct event *e)
{
	for (uint32_t i = 0; i < e->sent->allocs.n; i++) {
		const struct alloc_update *u = e->sent->allocs.v[i];
		struct local_alloc *l = find(c, u->id);

		if (l && e->versions[i] > l->acked)
			l->acked = e->versions[i];
	}
}

static void on_start(struct sim *s, uint32_t n)
{
	struct client_sim *c = &s->clients[n];

	c->up = true;
	c->registered = false;
	c->work_index = 0;
	request(s, EVENT_REGISTER, n);
	on_task(s, n);
}

/* The client's timers: what a real one does on its loop, here once every few seconds of virtual time. */
static void beat(struct sim *s, uint32_t n)
{
	struct client_sim *c = &s->clients[n];

	if (!c->up)
		on_start(s, n);
	if (!c->registered)
		request(s, EVENT_REGISTER, n);
	request(s, EVENT_HEARTBEAT, n);
	request(s, EVENT_PULL, n);
	send_update(s, n);
}

void clients_on_event(struct sim *s, struct event *e)
{
	struct client_sim *c = &s->clients[e->client];
	bool stale = e->life != c->life || !c->up;

	switch (e->kind) {
	case EVENT_REGISTER:
		serve_register(s, e->client);
		break;
	case EVENT_HEARTBEAT:
		serve_heartbeat(s, e->client);
		break;
	case EVENT_PULL:
		serve_pull(s, e->client);
		break;
	case EVENT_UPDATE:
		serve_update(s, e);
		break;
	case EVENT_WORK:
		if (!stale)
			take_work(s, e->client, e->work);
		break;
	case EVENT_HELLO:
		if (!stale)
			on_hello(s, e);
		break;
	case EVENT_ACK:
		if (!stale)
			on_ack(c, e);
		break;
	case EVENT_TASK:
		on_task(s, e->client);
		break;
	case EVENT_CLIENT_CRASH:
		c->up = false;
		c->life++;
		c->down_until = s->now + sim_between(s, 0, 90) * SECOND;
		break;
	case EVENT_CLIENT_START:
		if (s->now >= c->down_until)
			beat(s, e->client);
		sim_event(s, sim_event_new(s, EVENT_CLIENT_START, e->client), s->now + sim_between(s, SECOND, 4 * SECOND));
		break;
	default:
		break;
	}
}
