#include "tests/lib/drains.h"

#include "tests/lib/test.h"

struct job *drains_service(struct world *w, const char *id, int64_t count, int64_t parallel)
{
	struct job *j = fixture_job(w->a, id, "service", count, 10, 10);
	struct task_group *g = j->task_groups.v[0];

	g->migrate = MODEL_NEW(w->a, migrate_strategy);
	MODEL_SET(migrate_strategy, g->migrate, max_parallel, parallel);
	MODEL_SET(migrate_strategy, g->migrate, health_check, "task_states");
	MODEL_SET(migrate_strategy, g->migrate, min_healthy_time, 10 * SECOND);
	MODEL_SET(migrate_strategy, g->migrate, healthy_deadline, 5 * MINUTE);
	return j;
}

void drains_set(struct world *w, unsigned node, int64_t deadline, bool ignore_system)
{
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};
	struct strs ids = {0};
	struct err e = ERR_INIT;
	uint64_t index;

	MODEL_SET(drain_spec, &spec, deadline, deadline);
	MODEL_SET(drain_spec, &spec, ignore_system_jobs, ignore_system);
	assert_int_equal(core_node_drain(w->c, fixture_node_id(node), &req, w->now, &ids, w->a, &index, &e), 0);
	world_settle(w);
}

void drains_cancel(struct world *w, unsigned node, bool eligible)
{
	struct core_drain_request req = {.mark_eligible = eligible};
	struct strs ids = {0};
	struct err e = ERR_INIT;
	uint64_t index;

	assert_int_equal(core_node_drain(w->c, fixture_node_id(node), &req, w->now, &ids, w->a, &index, &e), 0);
	world_settle(w);
}

void drains_report(struct world *w, struct alloc *a, const char *status, int healthy)
{
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	char id[UUID_STR];
	uint64_t index;

	MODEL_SET(alloc_update, &u, id, uuid_format(a->id, id));
	MODEL_SET(alloc_update, &u, client_status, status);
	if (healthy >= 0) {
		u.deployment_status = MODEL_NEW(w->a, deployment_status);
		MODEL_SET(deployment_status, u.deployment_status, healthy, healthy == 1);
	}
	objs_push(w->a, &all.allocs, &u);
	assert_int_equal(core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL), 0);
	world_settle(w);
}

/* What clients do: start what is desired, end what is not. */
static bool act(void *arg, struct alloc *a)
{
	struct world *w = arg;

	if (a->desired == DESIRED_RUN && a->observed == OBSERVED_PENDING)
		drains_report(w, a, "running", -1);
	else if (a->desired != DESIRED_RUN && (a->observed == OBSERVED_RUNNING || a->observed == OBSERVED_PENDING))
		drains_report(w, a, "complete", -1);
	else
		return true;
	return false;
}

static bool acted;
static bool act_once(void *arg, struct alloc *a)
{
	acted = !act(arg, a);
	return !acted;
}

void drains_obey(struct world *w)
{
	do {
		acted = false;
		state_each_alloc(core_state(w->c), act_once, w);
	} while (acted);
}

/* Time goes on with clients that obey at once. */
void drains_live(struct world *w, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		world_live(w, MIN(SECOND, end - w->now));
		drains_obey(w);
	}
}

uint32_t drains_on_node(struct world *w, unsigned node)
{
	uint32_t n = 0;

	for (LINK_EACH(&world_node(w, node)->allocs, struct alloc, by_node, a))
		n += alloc_holds(a);
	return n;
}

uint32_t drains_running(struct world *w, const char *id)
{
	uint32_t n = 0;

	for (LINK_EACH(&world_job(w, id)->allocs, struct alloc, by_job, a))
		n += a->observed == OBSERVED_RUNNING && a->desired == DESIRED_RUN;
	return n;
}

const char *drains_status(struct world *w, unsigned node)
{
	const struct drain_metadata *m = world_node(w, node)->spec->last_drain;

	return m ? m->status : "none";
}

struct drain_answer *drains_describe(struct world *w, unsigned node)
{
	return core_drain(w->c, fixture_node_id(node), w->now, w->a);
}

const char *drains_code(struct world *w, unsigned node)
{
	struct drain_answer *d = drains_describe(w, node);

	return d->waits.n ? ((struct drain_wait *)d->waits.v[0])->code : "";
}

/* A world of n nodes on which the job runs; the first node has it all until others come. */
struct world *drains_world(unsigned nodes)
{
	struct world *w = world_new();

	for (unsigned i = 0; i < nodes; i++)
		world_add_node(w, i);
	return w;
}
