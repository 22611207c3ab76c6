/*
 * operator: the people and scripts of the simulation: they register jobs of random shape, change, scale, stop and purge
 * them, stop allocations, take nodes out of service and back, change, replace and purge them, collect garbage; and the
 * accidents: cables, power, disks.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/uuid.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

/* Refusals that there may be. */
static bool refused(struct sim *s, int r, const struct err *e, const char *what)
{
	if (r >= 0)
		return false;
	if (r != -ENOENT && !(r == -ENOSPC && s->now < s->disk_full_until))
		sim_fail(s, "%s: %s", what, err_str(e));
	return true;
}

static void expect(struct sim *s, uint32_t job, enum known known, const char *revision, const struct core_eval_reply *out)
{
	struct held *h = sim_hold(s, out->index, NULL);

	h->job = job;
	h->asked = s->wishes[job].asked;
	h->known = known;
	h->modify_index = out->job_modify_index;
	snprintf(h->revision, sizeof(h->revision), "%s", revision ? revision : "");
}

/* From now on nothing that was known of the job before can be relied on, whether or not this request is answered. */
static void ask(struct sim *s, uint32_t job)
{
	s->wished++;
	s->wishes[job].asked++;
	s->wishes[job].known = KNOWN_NOTHING;
	s->wishes[job].purged = false;
}

static void submit(struct sim *s, uint32_t n, struct arena *a, struct job *j)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_register_request req = {.job = j};
	struct core_eval_reply out;

	strmap_set(a, &j->meta, "revision", arena_printf(a, "%u", ++s->revisions));
	ask(s, n);
	int r = core_job_register(s->core, &req, s->now, &out, &e);

	if (r != -EPERM && !refused(s, r, &e, j->id))
		expect(s, n, KNOWN_REGISTERED, strmap_get(&j->meta, "revision"), &out);
}

static struct job_entry *present(struct sim *s, uint32_t n)
{
	char id[16];

	snprintf(id, sizeof(id), "job-%u", n);
	return state_job(core_state(s->core), "default", id);
}

static void register_job(struct sim *s)
{
	cleanup_arena struct arena *a = arena_new();
	uint32_t n = (uint32_t)sim_below(s, SIM_JOBS);

	sim_say(s, "register job-%u", n);
	submit(s, n, a, shape_job(s, a, n));
}

/* What a running job is mostly asked for: another count, another value in one place. */
static void change_job(struct sim *s)
{
	cleanup_arena struct arena *a = arena_new();
	uint32_t n = (uint32_t)sim_below(s, SIM_JOBS);
	const struct job_entry *old = present(s, n);

	if (!old || old->stop)
		return;
	struct job *j = model_copy(a, &type_job, old->current->spec);
	struct task_group *g = j->task_groups.v[sim_below(s, j->task_groups.n)];
	struct task *t = g->tasks.v[0];
	bool system = old->type == JOB_SYSTEM || old->type == JOB_SYSBATCH;

	/* "revision" is in the job's meta, so that all of these are destructive, but for those that restore the old one. */
	switch (sim_below(s, 4)) {
	case 0:
		if (!system)
			MODEL_SET(task_group, g, count, (int64_t)sim_below(s, 14));
		break;
	case 1:
		MODEL_SET(resources, t->resources, memory_mb, 32 + 64 * (int64_t)sim_below(s, 8));
		break;
	case 2:
		MODEL_SET(job, j, priority, sim_between(s, 1, 100));
		break;
	default:
		strmap_set(a, &t->env, "X", arena_printf(a, "%u", s->revisions));
	}
	sim_say(s, "change job-%u", n);
	submit(s, n, a, j);
}

/* Another count, another priority, and nothing else: allocations change in place. */
static void scale_job(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	uint32_t n = (uint32_t)sim_below(s, SIM_JOBS);
	const struct job_entry *old = present(s, n);
	struct core_eval_reply out;

	if (!old || old->stop)
		return;
	struct job *j = model_copy(a, &type_job, old->current->spec);
	struct task_group *g = j->task_groups.v[sim_below(s, j->task_groups.n)];
	struct core_register_request req = {.job = j};

	if (old->type == JOB_SERVICE || old->type == JOB_BATCH)
		MODEL_SET(task_group, g, count, (int64_t)sim_below(s, 14));
	else
		MODEL_SET(job, j, priority, sim_between(s, 1, 100));
	ask(s, n);
	sim_say(s, "scale job-%u", n);
	int r = core_job_register(s->core, &req, s->now, &out, &e);

	if (r != -EPERM && !refused(s, r, &e, j->id))
		expect(s, n, KNOWN_REGISTERED, strmap_get(&j->meta, "revision"), &out);
}

static void stop_job(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	uint32_t n = (uint32_t)sim_below(s, SIM_JOBS);
	bool purge = sim_chance(s, 0.4);
	char id[16];

	snprintf(id, sizeof(id), "job-%u", n);
	sim_say(s, "%s %s", purge ? "purge" : "stop", id);
	ask(s, n);
	s->wishes[n].purged = purge;
	int r = core_job_deregister(s->core, "default", id, purge, 0, s->now, &out, &e);

	if (!refused(s, r, &e, id))
		expect(s, n, purge ? KNOWN_PURGED : KNOWN_STOPPED, NULL, &out);
}

static void evaluate_job(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	uint32_t n = (uint32_t)sim_below(s, SIM_JOBS);
	bool force = sim_chance(s, 0.5);
	char id[16];

	snprintf(id, sizeof(id), "job-%u", n);
	sim_say(s, "evaluate %s", id);
	if (force)
		s->wishes[n].forced = s->now;
	refused(s, core_job_evaluate(s->core, "default", id, force, s->now, &out, &e), &e, id);
}

static void revert_job(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	uint32_t n = (uint32_t)sim_below(s, SIM_JOBS);
	const struct job_entry *j = present(s, n);

	if (!j || j->n_versions < 2)
		return;
	const struct job_version *v = j->versions[1 + sim_below(s, j->n_versions - 1)];
	/* The version may be gone with the request that makes a new one. */
	cleanup_free char *revision = xstrdup(strmap_get(&v->spec->meta, "revision"));

	ask(s, n);
	sim_say(s, "revert %s to version %u", j->id, v->version);
	int r = core_job_revert(s->core, "default", j->id, v->version, -1, s->now, &out, &e);

	if (!refused(s, r, &e, j->id))
		expect(s, n, KNOWN_REGISTERED, revision, &out);
}

/* ---- allocations ---- */

struct pick {
	struct sim *s;
	struct uuid id;
};

static bool pick_alloc(void *arg, struct alloc *a)
{
	struct pick *p = arg;

	if (rules_runs(a) && sim_chance(p->s, 0.1)) {
		p->id = a->id;
		return false;
	}
	return true;
}

static void stop_alloc(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	struct pick pick = {.s = s};

	state_each_alloc(core_state(s->core), pick_alloc, &pick);
	if (uuid_is_nil(pick.id))
		return;
	drains_by_hand(s, pick.id);
	refused(s, core_alloc_stop(s->core, pick.id, false, s->now, &out, &e), &e, "alloc stop");
}

/* ---- nodes ---- */

static uint32_t any_client(struct sim *s)
{
	return (uint32_t)sim_below(s, s->n_clients);
}

static void set_eligible(struct sim *s, const struct node_sim *i, bool eligible)
{
	cleanup_err struct err e = ERR_INIT;
	uint64_t index;
	int r = core_node_eligibility(s->core, i->id, eligible, s->now, &index, &e);

	if (r == -EINVAL && i->drain.on && eligible)
		return;
	refused(s, r, &e, "eligibility");
}

static void node_eligibility(struct sim *s)
{
	set_eligible(s, &s->identities[sim_below(s, s->n_identities)], sim_chance(s, 0.6));
}

static void node_purge(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct strs ids = {0};
	uint64_t index;
	struct node_sim *i = &s->identities[sim_below(s, s->n_identities)];

	sim_say(s, "purge node %s", i->node->name);
	if (!refused(s, core_node_purge(s->core, i->id, s->now, &ids, a, &index, &e), &e, "node purge"))
		i->bound = NEVER;
}

static void node_evaluate(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct strs ids = {0};
	uint64_t index;

	refused(s, core_node_evaluate(s->core, s->identities[sim_below(s, s->n_identities)].id, s->now, &ids, a, &index, &e),
	    &e, "node evaluate");
}

static void node_change(struct sim *s)
{
	if (sim_chance(s, 0.3))
		machine_replace(s, any_client(s));
	else
		machine_change(s, any_client(s));
}

/* ---- the scheduler ---- */

static void set_config(struct sim *s, bool spread, bool pause, bool reject)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct scheduler_config *c = model_copy(a, &type_scheduler_config, core_state(s->core)->config);
	uint64_t index;

	MODEL_SET(scheduler_config, c, scheduler_algorithm, spread ? "spread" : "binpack");
	MODEL_SET(scheduler_config, c, pause_eval_broker, pause);
	MODEL_SET(scheduler_config, c, reject_job_registration, reject);
	refused(s, core_scheduler_config(s->core, c, s->now, &index, &e), &e, "scheduler configuration");
}

static void configure(struct sim *s)
{
	set_config(s, sim_chance(s, 0.5), sim_chance(s, 0.2), sim_chance(s, 0.05));
}

static void collect(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	uint64_t index;

	sim_say(s, "collect garbage");
	s->collected = s->now;
	refused(s, core_gc(s->core, s->now, &index, &e), &e, "gc");
}

/* ---- accidents ---- */

static void cut(struct sim *s)
{
	if (sim_chance(s, 0.2)) { /* a switch, for minutes */
		for (uint32_t i = 0; i < s->n_clients; i++)
			if (sim_chance(s, 0.4))
				s->clients[i].cut_until = s->now + 3 * MINUTE;
		return;
	}
	s->clients[any_client(s)].cut_until = s->now + sim_between(s, 0, sim_chance(s, 0.3) ? 300 : 40) * SECOND;
}

static void crash_client(struct sim *s)
{
	sim_event(s, sim_event_new(s, EVENT_CLIENT_CRASH, any_client(s)), s->now);
}

static void reboot(struct sim *s)
{
	uint32_t n = any_client(s);

	sim_say(s, "node-%u reboots", n);
	client_reboot(s, n);
	s->clients[n].off_since = s->now;
	sim_event(s, sim_event_new(s, EVENT_CLIENT_CRASH, n), s->now);
}

static void crash_server(struct sim *s)
{
	s->crash_due = true;
	sim_event(s, sim_event_new(s, EVENT_SERVER_CRASH, 0), s->now + sim_between(s, 0, SECOND));
}

static void fill_disk(struct sim *s)
{
	s->disk_full_until = s->now + sim_between(s, 1, 30) * SECOND;
	sim_say(s, "the disk is full");
}

static const struct {
	unsigned share; /* of all that is done */
	void (*act)(struct sim *s);
} acts[] = {
	{30, register_job},
	{10, change_job},
	{10, scale_job},
	{7, stop_job},
	{3, evaluate_job},
	{3, revert_job},
	{8, stop_alloc},
	{5, node_eligibility},
	{6, drains_act},
	{3, scale_ins_act},
	{1, node_purge},
	{1, node_evaluate},
	{3, node_change},
	{2, configure},
	{2, collect},
	{5, cut},
	{4, crash_client},
	{2, reboot},
	{3, crash_server},
	{1, fill_disk},
};

void operator_act(struct sim *s)
{
	uint64_t all = 0, n;

	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		all += acts[i].share;
	n = sim_below(s, all);
	for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
		if (n < acts[i].share) {
			acts[i].act(s);
			return;
		}
		n -= acts[i].share;
	}
}

void operator_calm(struct sim *s)
{
	s->disk_full_until = 0;
	set_config(s, sim_chance(s, 0.5), false, false);
	drains_calm(s);
	scale_ins_calm(s);
	for (uint32_t i = 0; i < s->n_identities; i++)
		if (sim_chance(s, 0.8))
			set_eligible(s, &s->identities[i], true);
	for (uint32_t i = 0; i < s->n_clients; i++)
		s->clients[i].cut_until = s->clients[i].down_until = 0;
}
