/*
 * clients: the simulated client role. It follows the rules of the real one (agent/): asks for its work, starts what is
 * desired, stops only what it is told to stop, reports until it is confirmed, keeps records over a crash. What its
 * tasks do is written in the job's meta: "run" = seconds until they end (0 = never), "fail" = they may end badly while the
 * faults last, "restarts" = how often they are then started again in place.
 *
 * Reports may overtake each other, so now and then everything is reported again. Two more rules make a machine that was away
 * whole again: what a complete answer does not name has to go, before anything new comes; and what is stopped, or lost, and
 * not known here is reported as ended.
 */
#include <errno.h>

#include "base/uuid.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

void clients_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_clients; i++)
		free(s->clients[i].allocs);
	free(s->clients);
	free(s->identities);
}

/* ---- the network: delayed, sometimes lost, sometimes doubled, hence out of order ---- */

static void send(struct sim *s, struct event *e)
{
	int64_t delay = s->faults ? sim_between(s, 100000, sim_chance(s, 0.1) ? 5 * SECOND : 200 * MILLI)
	                          : sim_between(s, 100000, 5 * MILLI);

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
	struct event *e = sim_event_new(s, kind, client);

	e->since = s->clients[client].work_index;
	send(s, e);
}

void client_wake(struct sim *s, uint32_t client)
{
	request(s, EVENT_PULL, client);
}

/* ---- records ---- */

static struct local_alloc *find(struct client_sim *c, const char *id)
{
	for (uint32_t i = 0; i < c->n_allocs; i++)
		if (str_eq(c->allocs[i].id, id))
			return &c->allocs[i];
	return NULL;
}

static struct local_alloc *add_record(struct client_sim *c, const char *id)
{
	if (c->n_allocs == c->cap_allocs) {
		c->cap_allocs = c->cap_allocs ? 2 * c->cap_allocs : 16;
		c->allocs = xrealloc(c->allocs, c->cap_allocs, sizeof(*c->allocs));
	}
	struct local_alloc *l = &c->allocs[c->n_allocs++];

	memset(l, 0, sizeof(*l));
	snprintf(l->id, sizeof(l->id), "%s", id);
	l->ends = l->twice_since = NEVER;
	return l;
}

static bool ended(const struct local_alloc *l)
{
	return l->state == LOCAL_COMPLETE || l->state == LOCAL_FAILED;
}

static const struct job *find_job(const struct node_work *w, const struct allocation *a)
{
	if (a->job)
		return a->job;
	OBJS_EACH (&w->jobs, struct job, j)
		if (str_eq(j->id, a->job_id) && j->version == a->job_version)
			return j;
	return NULL;
}

static void take_resources(struct sim *s, struct local_alloc *l, const struct allocation *a)
{
	const struct allocated_resources *r = a->allocated_resources;

	if (!r || !r->shared) {
		sim_fail(s, "allocation %s came without its resources", a->id);
		return;
	}
	int64_t before = 0, main = 0, after = 0, always = 0, before_cpu = 0, main_cpu = 0, after_cpu = 0, always_cpu = 0;

	for (uint32_t i = 0; i < r->tasks.n; i++) {
		const struct alloc_task_resources *t = r->tasks.v[i].value;
		const struct lifecycle *x = objmap_get(&r->task_lifecycles, r->tasks.v[i].key);
		bool is_before = x && !x->sidecar && str_eq(x->hook, "prestart"), is_after = x && !x->sidecar && str_eq(x->hook, "poststop");

		*(x && x->sidecar ? &always : is_before ? &before : is_after ? &after : &main) += t->memory->memory_mb;
		*(x && x->sidecar ? &always_cpu : is_before ? &before_cpu : is_after ? &after_cpu : &main_cpu) += t->cpu->cpu_shares;
	}
	l->memory = always + MAX(MAX(before, main), after);
	l->cpu = always_cpu + MAX(MAX(before_cpu, main_cpu), after_cpu);
	l->disk = r->shared->disk_mb;
	l->n_ports = MIN(r->shared->ports.n, (uint32_t)ARRAY_LEN(l->ports));
	for (uint32_t i = 0; i < l->n_ports; i++)
		l->ports[i] = (uint32_t)((struct alloc_port *)r->shared->ports.v[i])->value;
}

static bool take_tasks(struct sim *s, struct local_alloc *l, const struct job *job, const struct allocation *a)
{
	const struct task_group *g = job ? job_group(job, a->task_group) : NULL;

	if (!g || !g->tasks.n) {
		sim_fail(s, "allocation %s of job %s version %lld came to its node without its job or group", a->id, a->job_id,
		    (long long)a->job_version);
		return false;
	}
	OBJS_EACH (&g->tasks, struct task, t) {
		struct local_task *k = &l->tasks[l->n_tasks++];

		snprintf(k->name, sizeof(k->name), "%s", t->name);
		snprintf(k->hook, sizeof(k->hook), "%s", t->lifecycle ? t->lifecycle->hook : "");
		k->sidecar = t->lifecycle && t->lifecycle->sidecar;
	}
	return true;
}

/* ---- tasks ---- */

static void begin_run(struct sim *s, uint32_t n, struct local_alloc *l)
{
	l->started = s->now + sim_between(s, 0, s->faults ? 2 * SECOND : 20 * MILLI);
	l->ends = l->runs ? l->started + sim_between(s, 1, l->runs) * SECOND : NEVER;
	l->fails = s->faults && l->prone && sim_chance(s, 0.4);
	if (l->fails)
		l->ends = l->started + sim_between(s, 1, 30) * SECOND;
	sim_event(s, sim_event_new(s, EVENT_TASK, n), l->started);
	if (l->ends != NEVER)
		sim_event(s, sim_event_new(s, EVENT_TASK, n), l->ends);
}

static void start_alloc(struct sim *s, uint32_t n, const struct node_work *w, const struct allocation *a)
{
	const struct job *job = find_job(w, a);
	struct local_alloc *l = add_record(&s->clients[n], a->id);

	if (!take_tasks(s, l, job, a))
		return;
	take_resources(s, l, a);
	const char *run = strmap_get(&job->meta, "run"), *again = strmap_get(&job->meta, "restarts");

	l->system = str_eq(job->type, "system");
	const struct task_group *g = job_group(job, a->task_group);

	l->stop_time = drains_stop_time(g);
	l->stop_after = g->disconnect ? g->disconnect->stop_on_client_after : g->stop_after_client_disconnect;
	l->runs = run ? atoi(run) : 0;
	l->prone = str_eq(strmap_get(&job->meta, "fail"), "true");
	l->restarts = again ? (uint32_t)atoi(again) : 0;
	begin_run(s, n, l);
}

static void stop_local(struct sim *s, uint32_t n, struct local_alloc *l)
{
	if (ended(l) || l->stopping)
		return;
	l->stopping = true;
	l->stuck = s->faults && sim_chance(s, 0.03);
	if (l->stuck)
		l->ends = s->now + sim_between(s, 1, 8) * MINUTE;
	else if (sim_chance(s, 0.3))
		l->ends = s->now + l->stop_time;
	else
		l->ends = s->now + sim_between(s, 0, s->faults ? l->stop_time : MIN(l->stop_time, 50 * MILLI));
	l->fails = false;
	sim_event(s, sim_event_new(s, EVENT_TASK, n), l->ends);
}

/* One end of a run: for good, or until it is started again in place. */
static void end_run(struct sim *s, uint32_t n, struct local_alloc *l)
{
	l->changes++;
	if (l->fails && !l->stopping && l->restarts) {
		l->restarts--;
		l->starts--;
		l->state = LOCAL_PENDING;
		begin_run(s, n, l);
		return;
	}
	l->state = l->fails ? LOCAL_FAILED : LOCAL_COMPLETE;
}

static void send_update(struct sim *s, uint32_t n);

static void on_task(struct sim *s, uint32_t n)
{
	struct client_sim *c = &s->clients[n];
	bool changed = false;

	/* Tasks live without their client: what happened meanwhile is seen when it is back. */
	for (uint32_t i = 0; i < c->n_allocs; i++) {
		struct local_alloc *l = &c->allocs[i];

		if (l->state == LOCAL_PENDING && l->started <= s->now && (!l->stopping || l->ends > l->started)) {
			l->state = LOCAL_RUNNING;
			l->starts++;
			l->changes++;
			changed = true;
		}
		if (!ended(l) && l->ends <= s->now) {
			end_run(s, n, l);
			changed = true;
		}
		if (l->starts > 1)
			sim_fail(s, "allocation %s was started twice", l->id);
	}
	if (!changed || !c->up || !c->registered)
		return;
	send_update(s, n);
	if (!c->work_index)
		request(s, EVENT_PULL, n);
}

void client_reboot(struct sim *s, uint32_t client)
{
	struct client_sim *c = &s->clients[client];

	for (uint32_t i = 0; i < c->n_allocs; i++) {
		struct local_alloc *l = &c->allocs[i];

		if (ended(l))
			continue;
		l->state = l->stopping ? LOCAL_COMPLETE : LOCAL_FAILED;
		l->ends = s->now;
		l->changes++;
	}
}

/* ---- work ---- */

static bool says_ended(const struct allocation *a)
{
	return str_eq(a->client_status, "complete") || str_eq(a->client_status, "failed");
}

static void take_alloc(struct sim *s, uint32_t n, const struct node_work *w, const struct allocation *a)
{
	struct client_sim *c = &s->clients[n];
	struct local_alloc *l = find(c, a->id);

	if (!str_eq(a->node_id, c->id))
		sim_fail(s, "allocation %s of node %s came to node %s", a->id, a->node_id, c->id);
	if (l) {
		if (!str_eq(a->desired_status, "run"))
			stop_local(s, n, l);
		return;
	}
	if (says_ended(a))
		return;
	if (str_eq(a->desired_status, "run") && !a->task_states.n) {
		start_alloc(s, n, w, a);
		return;
	}
	/* It is to stop, or ran here once, and nothing is known of it: say so, or it would hold its room for ever. */
	l = add_record(c, a->id);
	if (!take_tasks(s, l, find_job(w, a), a))
		return;
	l->state = str_eq(a->desired_status, "run") ? LOCAL_FAILED : LOCAL_COMPLETE;
	l->stopping = true;
	l->ends = s->now;
	l->changes++;
}

static bool is_named(const struct node_work *w, const char *id)
{
	OBJS_EACH (&w->allocs, struct allocation, a)
		if (str_eq(a->id, id))
			return true;
	return false;
}

/* What the servers have forgotten is stopped, and forgotten when it has ended. Whether all of it has. */
static bool forget(struct sim *s, uint32_t n, const struct node_work *w, bool complete)
{
	struct client_sim *c = &s->clients[n];
	bool all = true;

	for (uint32_t i = 0; i < c->n_allocs;) {
		struct local_alloc *l = &c->allocs[i];
		bool gone = strs_has(&w->gone, l->id) || (complete && !is_named(w, l->id));

		if (gone && ended(l)) {
			*l = c->allocs[--c->n_allocs];
			continue;
		}
		if (gone) {
			stop_local(s, n, l);
			all = false;
		}
		i++;
	}
	return all;
}

static void take_work(struct sim *s, uint32_t n, const struct event *e)
{
	struct client_sim *c = &s->clients[n];

	/* An answer that leaves a gap, or one overtaken by a newer answer. */
	if (e->since > c->work_index || (uint64_t)e->work->index < c->work_index)
		return;
	if (!forget(s, n, e->work, e->work->complete) && e->work->complete)
		return; /* asked again when they have ended */
	c->work_index = (uint64_t)e->work->index;
	OBJS_EACH (&e->work->allocs, struct allocation, a)
		take_alloc(s, n, e->work, a);
	send_update(s, n);
}

/* ---- reports ---- */

static struct task_state *state_of(struct arena *a, const struct local_alloc *l, const struct local_task *k)
{
	struct task_state *t = MODEL_NEW(a, task_state);
	bool before = str_eq(k->hook, "prestart") && !k->sidecar, after = str_eq(k->hook, "poststop");
	bool waits = l->state == LOCAL_PENDING || (after && !ended(l)), dead = ended(l) || (before && !waits);

	MODEL_SET(task_state, t, state, waits ? "pending" : dead ? "dead" : "running");
	MODEL_SET(task_state, t, failed, l->state == LOCAL_FAILED && !*k->hook);
	if (!waits)
		MODEL_SET(task_state, t, started_at, l->started);
	if (dead)
		MODEL_SET(task_state, t, finished_at, before ? l->started : l->ends);
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
		for (uint32_t k = 0; k < l->n_tasks; k++)
			objmap_set(e->arena, &u->task_states, l->tasks[k].name, state_of(e->arena, l, &l->tasks[k]));
		u->has |= MODEL_BIT(alloc_update, task_states);
		if (l->stopping)
			MODEL_SET(alloc_update, u, stopped, true);
		e->versions[e->sent->allocs.n] = l->changes;
		objs_push(e->arena, &e->sent->allocs, u);
	}
	if (c->report)
		MODEL_SET(alloc_updates, e->sent, complete, c->report);
	if (e->sent->allocs.n || c->report)
		send(s, e);
	else
		sim_event_free(e);
}

/* ---- the server answers ---- */

/* A refusal for want of room on the disk is the only one that there may be. */
static bool refused(struct sim *s, int r, const struct err *e, const char *what, uint32_t n)
{
	if (r >= 0)
		return false;
	if (r != -ENOSPC || s->now >= s->disk_full_until)
		sim_fail(s, "%s of node %u: %s", what, n, err_str(e));
	return true;
}

static void promise(struct sim *s, uint32_t n, int64_t ttl)
{
	struct node_sim *i = &s->identities[s->clients[n].identity];

	if (ttl < s->config.min_heartbeat_ttl || ttl > 2 * s->config.min_heartbeat_ttl)
		sim_fail(s, "node %u was told a heartbeat TTL of %lld", n, (long long)ttl);
	witness_promise(s, i, ttl);
}

static void serve_register(struct sim *s, uint32_t n)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_node_reply out;
	int r = core_node_register(s->core, s->identities[s->clients[n].identity].node, s->now, &out, &e);

	if (refused(s, r, &e, "the registration", n))
		return;
	struct event *answer = sim_event_new(s, EVENT_HELLO, n);

	answer->ttl = out.heartbeat_ttl;
	answer->report = (int64_t)out.report;
	promise(s, n, out.heartbeat_ttl);
	sim_hold(s, out.index, answer);
}

static void serve_heartbeat(struct sim *s, uint32_t n)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_node_reply out = {0};
	int r = core_node_heartbeat(s->core, s->identities[s->clients[n].identity].id, s->now, &out, &e);

	if (r != -ENOENT && refused(s, r, &e, "the heartbeat", n))
		return;
	struct event *answer = sim_event_new(s, EVENT_HELLO, n);

	answer->ttl = r < 0 ? 0 : out.heartbeat_ttl;
	answer->report = (int64_t)out.report;
	if (r >= 0)
		promise(s, n, out.heartbeat_ttl);
	sim_hold(s, r < 0 ? core_state(s->core)->index : out.index, answer);
}

static void serve_pull(struct sim *s, const struct event *e)
{
	struct event *answer = sim_event_new(s, EVENT_WORK, e->client);
	struct node_work work;
	cleanup_arena struct arena *a = arena_new();

	core_node_work(s->core, a, s->identities[s->clients[e->client].identity].id, e->since, &work);
	/* The answer may be delivered after the state it was read from is gone. */
	answer->arena = arena_new();
	answer->work = model_copy(answer->arena, &type_node_work, &work);
	answer->since = e->since;
	answer->life = e->life;
	sim_hold(s, core_state(s->core)->index, answer);
}

static void serve_update(struct sim *s, struct event *e)
{
	cleanup_err struct err err = ERR_INIT;
	struct event *answer;
	uint64_t index = 0;
	int r = core_allocs_update(
	    s->core, s->identities[s->clients[e->client].identity].id, e->sent, s->now, &index, &err);

	if (refused(s, r, &err, "the report", e->client))
		return;
	answer = sim_event_new(s, EVENT_ACK, e->client);
	answer->life = e->life;
	answer->arena = STEAL(e->arena);
	answer->sent = e->sent;
	answer->versions = e->versions;
	sim_hold(s, index, answer);
}

/* ---- answers and timers on the client ---- */

static void tell_all(struct sim *s, struct client_sim *c)
{
	c->told_all = s->now;
	for (uint32_t i = 0; i < c->n_allocs; i++)
		c->allocs[i].changes++;
}

static void on_hello(struct sim *s, const struct event *e)
{
	struct client_sim *c = &s->clients[e->client];

	if (!e->ttl) { /* forgotten: everything is told and asked again */
		c->registered = false;
		c->work_index = c->told = 0;
		tell_all(s, c);
		request(s, EVENT_REGISTER, e->client);
		return;
	}
	c->ttl = e->ttl;
	if (!c->registered) {
		c->registered = true;
		c->work_index = c->told = 0;
		send_update(s, e->client);
		request(s, EVENT_PULL, e->client);
	}
	if (e->report && e->report != c->report) {
		c->report = e->report;
		tell_all(s, c);
		send_update(s, e->client);
	}
}

static void on_ack(struct client_sim *c, const struct event *e)
{
	if (e->sent->complete == c->report)
		c->report = 0;
	for (uint32_t i = 0; i < e->sent->allocs.n; i++) {
		const struct alloc_update *u = e->sent->allocs.v[i];
		struct local_alloc *l = find(c, u->id);

		if (l && e->versions[i] > l->acked)
			l->acked = e->versions[i];
	}
}

/* The client's timers: what a real one does on its loop, here once every few seconds of virtual time. */
static void beat(struct sim *s, uint32_t n)
{
	struct client_sim *c = &s->clients[n];

	if (!c->up) {
		c->up = true;
		c->off_since = 0;
		c->up_since = s->now;
		c->registered = false;
		c->work_index = c->told = 0;
		on_task(s, n);
	}
	away_look_at_silence(s, n, stop_local);
	if (!c->registered)
		request(s, EVENT_REGISTER, n);
	request(s, EVENT_HEARTBEAT, n);
	if (s->faults || c->told > c->work_index || !c->work_index)
		request(s, EVENT_PULL, n); /* the question or the answer was lost */
	if (s->now - c->told_all > 2 * MINUTE)
		tell_all(s, c);
	send_update(s, n);
}

static int64_t next_beat(struct sim *s, const struct client_sim *c)
{
	if (s->faults || !c->registered)
		return s->now + sim_between(s, SECOND, 4 * SECOND);
	return s->now + (int64_t)((double)c->ttl * 0.45);
}

void clients_on_event(struct sim *s, struct event *e)
{
	struct client_sim *c = &s->clients[e->client];
	bool stale = e->life != c->life || !c->up;

	if (!stale && (e->kind == EVENT_WORK || e->kind == EVENT_HELLO || e->kind == EVENT_ACK))
		c->contact = s->now;
	switch (e->kind) {
	case EVENT_REGISTER:
		serve_register(s, e->client);
		break;
	case EVENT_HEARTBEAT:
		serve_heartbeat(s, e->client);
		break;
	case EVENT_PULL:
		if (e->life == c->life)
			serve_pull(s, e);
		break;
	case EVENT_UPDATE:
		if (e->life == c->life)
			serve_update(s, e);
		break;
	case EVENT_WORK:
		if (!stale)
			take_work(s, e->client, e);
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
		c->down_until = s->now + sim_between(s, 0, sim_chance(s, 0.2) ? 400 : 90) * SECOND;
		witness_client_crashes(s, e->client);
		break;
	case EVENT_CLIENT_BEAT:
		if (s->now >= c->down_until)
			beat(s, e->client);
		sim_event(s, sim_event_new(s, EVENT_CLIENT_BEAT, e->client), next_beat(s, c));
		break;
	default:
		break;
	}
}
