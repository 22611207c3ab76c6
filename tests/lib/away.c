#include "tests/lib/away.h"

#include "tests/lib/test.h"

struct task_group *away_group(struct job *j)
{
	return j->task_groups.v[0];
}

struct job *away_job(struct world *w, const char *type, int64_t count)
{
	return fixture_job(w->a, "web", type, count, 10, 10);
}

struct disconnect_strategy *away_block(struct world *w, struct job *j, int64_t lost_after)
{
	struct disconnect_strategy *d = away_group(j)->disconnect = MODEL_NEW(w->a, disconnect_strategy);

	if (lost_after)
		MODEL_SET(disconnect_strategy, d, lost_after, lost_after);
	return d;
}

void away_run(struct world *w, struct job *j)
{
	world_run_job(w, j);
	world_settle(w);
}

static bool start(void *arg, struct alloc *a)
{
	if (a->desired == DESIRED_RUN && a->observed == OBSERVED_PENDING && a->node->status == NODE_READY)
		world_report(arg, a, "running");
	return true;
}

void away_start(struct world *w)
{
	state_each_alloc(core_state(w->c), start, w);
	world_settle(w);
}

void away_silence(struct world *w, unsigned node, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		struct core_node_reply reply;

		for (unsigned i = 0; i < AWAY_NODES; i++) {
			const struct node_entry *n = state_node(core_state(w->c), fixture_node_id(i));

			if (i != node && n && n->status == NODE_READY)
				assert_int_equal(core_node_heartbeat(w->c, n->id, w->now, &reply, NULL), 0);
		}
		world_pass_time(w, MIN(SECOND, end - w->now));
		away_start(w);
	}
}

void away_fall_silent(struct world *w, unsigned node)
{
	for (int i = 0; i < 60 && world_node(w, node)->status == NODE_READY; i++)
		away_silence(w, node, SECOND);
}

uint32_t away_live(struct world *w)
{
	uint32_t n = 0;

	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		n += a->desired == DESIRED_RUN && (a->observed == OBSERVED_PENDING || a->observed == OBSERVED_RUNNING);
	return n;
}

const char *away_event(struct world *w, unsigned node)
{
	const struct objs *e = &world_node(w, node)->spec->events;

	return ((struct node_event *)e->v[e->n - 1])->message;
}

struct world *away_world(struct job *(*make)(struct world *w), struct alloc **out)
{
	struct world *w = world_new();

	world_add_node(w, 0);
	away_run(w, make(w));
	away_start(w);
	world_add_node(w, 1);
	*out = world_first_alloc(w, "web");
	return w;
}
