#include "tests/lib/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

void world_open_core(struct world *w)
{
	struct err e = ERR_INIT;
	if (core_open(&w->config, w->j, w->now, &w->c, &e))
		fail_msg("%s", err_str(&e));
}

struct world *world_with(struct core_config config)
{
	struct world *w = xcalloc(1, sizeof(*w));
	w->j = journal_memory_new();
	w->config = config;
	w->config.seed = 42;
	w->now = WORLD_START;
	w->a = arena_new();
	world_open_core(w);
	return w;
}

struct world *world_new(void)
{
	return world_with((struct core_config){0});
}

void world_free(struct world *w)
{
	core_close(w->c);
	w->j->ops->close(w->j);
	arena_free(w->a);
	free(w);
}

void world_commit(struct world *w)
{
	if (!core_commit_begin(w->c))
		return;
	assert_int_equal(core_commit_run(w->c, NULL), 0);
	core_commit_end(w->c);
}

/* Everything that there is to do at this instant. */
void world_settle(struct world *w)
{
	for (int i = 0; core_step(w->c, w->now); i++)
		assert_true(i < 100000);
	world_commit(w);
}

static void answer_questions(struct world *w)
{
	struct uuid id;
	while (!w->unasked && core_next_question(w->c, &id, w->now)) {
		w->questions++;
		core_node_witness(w->c, id, w->consul, w->probe, w->now);
	}
}

void world_pass_time(struct world *w, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		int64_t next = core_next_deadline(w->c);
		w->now = MIN(MAX(next, w->now + 1), end);
		core_tick(w->c, w->now);
		answer_questions(w);
		world_settle(w);
	}
}

static bool beat(void *arg, struct node_entry *n)
{
	struct world *w = arg;
	struct core_node_reply reply;
	if (n->status == NODE_READY || n->status == NODE_INIT)
		assert_int_equal(core_node_heartbeat(w->c, n->id, w->now, &reply, NULL), 0);
	return true;
}

void world_live(struct world *w, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		state_each_node(core_state(w->c), beat, w);
		world_pass_time(w, MIN(end - w->now, 5 * SECOND));
	}
}

int64_t world_add_node(struct world *w, unsigned n)
{
	struct core_node_reply reply;
	struct err e = ERR_INIT;
	if (core_node_register(w->c, fixture_node(w->a, n), w->now, &reply, &e))
		fail_msg("%s", err_str(&e));
	return reply.heartbeat_ttl;
}

struct core_eval_reply world_run_job(struct world *w, struct job *j)
{
	struct core_eval_reply reply;
	struct err e = ERR_INIT;
	struct core_register_request req = {.job = j};
	if (core_job_register(w->c, &req, w->now, &reply, &e))
		fail_msg("%s", err_str(&e));
	return reply;
}

struct job_entry *world_job(struct world *w, const char *id)
{
	return state_job(core_state(w->c), "default", id);
}

struct node_entry *world_node(struct world *w, unsigned n)
{
	return state_node(core_state(w->c), fixture_node_id(n));
}

uint32_t world_count(struct world *w, const char *id, enum observed o)
{
	uint32_t n = 0;
	for (LINK_EACH(&world_job(w, id)->allocs, struct alloc, by_job, a))
		n += a->observed == o && (o != OBSERVED_PENDING || a->desired == DESIRED_RUN);
	return n;
}

int world_report(struct world *w, const struct alloc *a, const char *status)
{
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	char id[UUID_STR];
	uint64_t index;
	MODEL_SET(alloc_update, &u, id, uuid_format(a->id, id));
	MODEL_SET(alloc_update, &u, client_status, status);
	objs_push(w->a, &all.allocs, &u);
	return core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL);
}

void world_return_node(struct world *w, unsigned n, const char *status)
{
	struct alloc_updates all = {0};
	struct core_node_reply reply;
	uint64_t index;
	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(n), w->now, &reply, NULL), 0);
	world_settle(w);
	if (!status)
		return;
	for (LINK_EACH(&world_node(w, n)->allocs, struct alloc, by_node, a)) {
		struct alloc_update *u = MODEL_NEW(w->a, alloc_update);
		char id[UUID_STR];
		if (!alloc_holds(a))
			continue;
		MODEL_SET(alloc_update, u, id, arena_strdup(w->a, uuid_format(a->id, id)));
		MODEL_SET(alloc_update, u, client_status, status);
		objs_push(w->a, &all.allocs, u);
	}
	MODEL_SET(alloc_updates, &all, complete, (int64_t)reply.report);
	assert_int_equal(core_allocs_update(w->c, fixture_node_id(n), &all, w->now, &index, NULL), 0);
	world_settle(w);
}

struct alloc *world_first_alloc(struct world *w, const char *id)
{
	struct link *head = &world_job(w, id)->allocs;
	assert_false(link_empty(head));
	return CONTAINER_OF(head->next, struct alloc, by_job);
}

