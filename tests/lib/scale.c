#include "tests/lib/scale.h"

#include "tests/lib/test.h"

static bool matches(const char *filter, const struct node *n)
{
	return str_eq(strmap_get(&n->meta, "rack"), filter);
}

struct world *scale_world(unsigned nodes)
{
	struct world *w = world_with((struct core_config){.node_matches = matches});

	for (unsigned i = 0; i < nodes; i++)
		world_add_node(w, i);
	return w;
}

struct job *scale_job(struct world *w, const char *id, const char *type, int64_t count, int64_t cpu)
{
	struct job *j = fixture_job(w->a, id, type, count, cpu, 100);
	struct task_group *g = j->task_groups.v[0];

	if (str_eq(type, "service")) {
		g->migrate = MODEL_NEW(w->a, migrate_strategy);
		MODEL_SET(migrate_strategy, g->migrate, max_parallel, 1);
		MODEL_SET(migrate_strategy, g->migrate, health_check, "task_states");
		MODEL_SET(migrate_strategy, g->migrate, min_healthy_time, 10 * SECOND);
		MODEL_SET(migrate_strategy, g->migrate, healthy_deadline, 5 * MINUTE);
	}
	return j;
}

void scale_on_node(struct world *w, struct job *j, unsigned n)
{
	struct constraint *c = MODEL_NEW(w->a, constraint);

	MODEL_SET(constraint, c, ltarget, "${node.unique.name}");
	MODEL_SET(constraint, c, operand, "=");
	MODEL_SET(constraint, c, rtarget, arena_printf(w->a, "node-%u", n));
	objs_push(w->a, &j->constraints, c);
}

static bool acted;
static bool act_once(void *arg, struct alloc *a)
{
	struct world *w = arg;

	if (a->desired == DESIRED_RUN && a->observed == OBSERVED_PENDING)
		world_report(w, a, "running");
	else if (a->desired != DESIRED_RUN && (a->observed == OBSERVED_RUNNING || a->observed == OBSERVED_PENDING))
		world_report(w, a, "complete");
	else
		return true;
	acted = true;
	return false;
}

/* Clients start what is desired and end what is not. */
static void obey(struct world *w)
{
	do {
		acted = false;
		state_each_alloc(core_state(w->c), act_once, w);
		world_settle(w);
	} while (acted);
}

void scale_live(struct world *w, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		world_live(w, MIN(SECOND, end - w->now));
		obey(w);
	}
}

void scale_run(struct world *w, struct job *j)
{
	world_run_job(w, j);
	world_settle(w);
	obey(w);
}

/* A build on that node. */
void scale_build(struct world *w, const char *id, unsigned n)
{
	struct job *j = scale_job(w, id, "batch", 1, 500);

	scale_on_node(w, j, n);
	scale_run(w, j);
}

struct scale_in_request scale_request(int64_t count)
{
	struct scale_in_request r = {0};

	MODEL_SET(scale_in_request, &r, count, count);
	return r;
}

struct scale_in *scale_ask(struct world *w, struct scale_in_request r)
{
	struct scale_in *out;
	struct err e = ERR_INIT;
	uint64_t index;

	if (core_scale_in(w->c, &r, w->now, w->a, &out, &index, &e))
		fail_msg("%s", err_str(&e));
	world_settle(w);
	return out;
}

struct scale_in *scale_take(struct world *w, int64_t count)
{
	return scale_ask(w, scale_request(count));
}

struct scale_in *scale_again(struct world *w, const struct scale_in *op)
{
	struct uuid id;

	assert_int_equal(uuid_parse(op->id, &id), 0);
	return scale_in_describe(core_state(w->c), state_scale_in(core_state(w->c), id)->spec, w->now, w->a);
}

const struct scale_in_node *scale_node(const struct scale_in *op, unsigned n)
{
	char id[UUID_STR];

	uuid_format(fixture_node_id(n), id);
	OBJS_EACH(&op->nodes, struct scale_in_node, x)
		if (str_eq(x->node_id, id))
			return x;
	return NULL;
}

uint32_t scale_placed(struct world *w, const char *id)
{
	uint32_t n = 0;

	for (LINK_EACH(&world_job(w, id)->allocs, struct alloc, by_job, a))
		n += a->desired == DESIRED_RUN && alloc_is_live(a);
	return n;
}
