/* Draining nodes, in virtual time: what goes when, what waits and why, and what done means. */
#include "sched/drain.h"

#include <errno.h>

#include "tests/lib/test.h"
#include "tests/lib/world.h"

#define DAY (24 * HOUR)

/* ---- words ---- */

static struct job *service(struct world *w, const char *id, int64_t count, int64_t parallel)
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

static void drain(struct world *w, unsigned node, int64_t deadline, bool ignore_system)
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

static void cancel(struct world *w, unsigned node, bool eligible)
{
	struct core_drain_request req = {.mark_eligible = eligible};
	struct strs ids = {0};
	struct err e = ERR_INIT;
	uint64_t index;

	assert_int_equal(core_node_drain(w->c, fixture_node_id(node), &req, w->now, &ids, w->a, &index, &e), 0);
	world_settle(w);
}

static void report(struct world *w, struct alloc *a, const char *status, int healthy)
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
		report(w, a, "running", -1);
	else if (a->desired != DESIRED_RUN && (a->observed == OBSERVED_RUNNING || a->observed == OBSERVED_PENDING))
		report(w, a, "complete", -1);
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

static void obey(struct world *w)
{
	do {
		acted = false;
		state_each_alloc(core_state(w->c), act_once, w);
	} while (acted);
}

/* Time goes on with clients that obey at once. */
static void live(struct world *w, int64_t d)
{
	for (int64_t end = w->now + d; w->now < end;) {
		world_live(w, MIN(SECOND, end - w->now));
		obey(w);
	}
}

static uint32_t on_node(struct world *w, unsigned node)
{
	uint32_t n = 0;

	for (LINK_EACH(&world_node(w, node)->allocs, struct alloc, by_node, a))
		n += alloc_holds(a);
	return n;
}

static uint32_t running(struct world *w, const char *id)
{
	uint32_t n = 0;

	for (LINK_EACH(&world_job(w, id)->allocs, struct alloc, by_job, a))
		n += a->observed == OBSERVED_RUNNING && a->desired == DESIRED_RUN;
	return n;
}

static const char *status(struct world *w, unsigned node)
{
	const struct drain_metadata *m = world_node(w, node)->spec->last_drain;

	return m ? m->status : "none";
}

static struct drain_answer *describe(struct world *w, unsigned node)
{
	return core_drain(w->c, fixture_node_id(node), w->now, w->a);
}

static const char *code(struct world *w, unsigned node)
{
	struct drain_answer *d = describe(w, node);

	return d->waits.n ? ((struct drain_wait *)d->waits.v[0])->code : "";
}

/* A world of n nodes on which the job runs; the first node has it all until others come. */
static struct world *world_of(unsigned nodes)
{
	struct world *w = world_new();

	for (unsigned i = 0; i < nodes; i++)
		world_add_node(w, i);
	return w;
}

/* ---- stories ---- */

static void test_an_empty_node_is_drained_at_once_and_stays_ineligible(void **state UNUSED)
{
	struct world *w = world_of(1);

	drain(w, 0, HOUR, false);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	assert_false(world_node(w, 0)->draining);
	assert_false(world_node(w, 0)->eligible);
	world_free(w);
}

static void test_a_service_moves_one_by_one_and_each_is_replaced_before_it_goes(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 3, 1));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	/* One replacement is placed; the old one runs on. */
	obey(w);
	assert_int_equal(on_node(w, 0), 3);
	assert_int_equal(on_node(w, 1), 1);
	assert_string_equal(status(w, 0), DRAIN_DRAINING);
	for (int i = 0; i < 60; i++) {
		live(w, SECOND);
		assert_true(running(w, "web") >= 3);
		assert_true(running(w, "web") <= 4);
	}
	assert_int_equal(on_node(w, 0), 0);
	assert_int_equal(on_node(w, 1), 3);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_two_drains_of_a_service_of_two_leave_two_healthy(void **state UNUSED)
{
	struct world *w = world_of(2);
	struct job *j = service(w, "web", 2, 1);
	struct constraint *c = MODEL_NEW(w->a, constraint);

	MODEL_SET(constraint, c, operand, "distinct_hosts");
	MODEL_SET(constraint, c, rtarget, "true");
	objs_push(w->a, &j->constraints, c);
	world_run_job(w, j);
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	assert_int_equal(on_node(w, 0), 1);
	assert_int_equal(on_node(w, 1), 1);
	world_add_node(w, 2);
	world_add_node(w, 3);
	drain(w, 0, HOUR, false);
	drain(w, 1, HOUR, false);
	for (int i = 0; i < 60; i++) {
		live(w, SECOND);
		assert_true(running(w, "web") >= 2);
		assert_true(on_node(w, 2) + on_node(w, 3) <= 2);
	}
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	assert_string_equal(status(w, 1), DRAIN_COMPLETE);
	world_free(w);
}

static void test_with_no_room_elsewhere_it_waits_until_the_deadline_and_says_why(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 2, 1));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	drain(w, 0, 10 * MINUTE, false);
	live(w, 5 * MINUTE);
	assert_int_equal(on_node(w, 0), 2);
	struct drain_answer *d = describe(w, 0);
	assert_int_equal(d->remaining, 2);
	struct drain_wait *first = d->waits.v[0], *second = d->waits.v[1];
	const struct drain_wait *unplaced = str_eq(first->code, "replacement-unplaced") ? first : second;
	assert_string_equal(unplaced->code, "replacement-unplaced");
	assert_non_null(strstr(unplaced->reason, "draining"));
	assert_string_equal(unplaced == first ? second->code : first->code, "max-parallel");
	live(w, 5 * MINUTE);
	assert_int_equal(on_node(w, 0), 0);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	/* Not lost: it comes back with room. */
	world_add_node(w, 1);
	live(w, 10 * SECOND);
	assert_int_equal(running(w, "web"), 2);
	world_free(w);
}

static void test_at_the_deadline_processes_are_gone_the_time_to_kill_included(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct job *j = service(w, "slow", 1, 1);
	struct task *t = ((struct task_group *)j->task_groups.v[0])->tasks.v[0];

	MODEL_SET(task, t, kill_timeout, 20 * SECOND);
	MODEL_SET(task, t, shutdown_delay, 10 * SECOND);
	world_run_job(w, j);
	world_settle(w);
	obey(w);
	drain(w, 0, 10 * MINUTE, false);
	live(w, 10 * MINUTE - 32 * SECOND);
	assert_int_equal(world_first_alloc(w, "slow")->desired, DESIRED_RUN);
	world_live(w, 2 * SECOND);
	assert_int_equal(world_first_alloc(w, "slow")->desired, DESIRED_STOP);
	assert_string_equal(code(w, 0), "stopping");
	world_free(w);
}

static struct task *another_task(struct world *w, struct task_group *g, const char *name, int64_t kill_timeout)
{
	struct task *t = model_copy(w->a, &type_task, g->tasks.v[0]);

	MODEL_SET(task, t, name, name);
	MODEL_SET(task, t, kill_timeout, kill_timeout);
	objs_push(w->a, &g->tasks, t);
	return t;
}

static void test_tasks_that_are_stopped_one_after_the_other_are_told_earlier(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct job *j = fixture_job(w->a, "build", "batch", 1, 10, 10);
	struct task_group *g = j->task_groups.v[0];
	struct service *s = MODEL_NEW(w->a, service);

	struct task *helper = another_task(w, g, "helper", 30 * SECOND), *leader = another_task(w, g, "leader", 20 * SECOND);
	MODEL_SET(task, leader, leader, true);
	helper->lifecycle = MODEL_NEW(w->a, lifecycle);
	MODEL_SET(lifecycle, helper->lifecycle, hook, "prestart");
	MODEL_SET(lifecycle, helper->lifecycle, sidecar, true);
	MODEL_SET(service, s, name, "web");
	objs_push(w->a, &g->services, s);
	MODEL_SET(task_group, g, shutdown_delay, 40 * SECOND);
	world_run_job(w, j);
	world_settle(w);
	obey(w);
	drain(w, 0, 10 * MINUTE, false);
	/* 20 s, the 5 s of the one that says nothing, 30 s, 40 s, 3 s for Consul, 1 s on the way */
	live(w, 10 * MINUTE - 100 * SECOND);
	assert_int_equal(world_first_alloc(w, "build")->desired, DESIRED_RUN);
	world_live(w, 2 * SECOND);
	assert_int_equal(world_first_alloc(w, "build")->desired, DESIRED_STOP);
	world_free(w);
}

static void test_batch_work_is_left_to_finish(void **state UNUSED)
{
	struct world *w = world_of(2);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	unsigned node = on_node(w, 0) ? 0 : 1;
	struct alloc *a = world_first_alloc(w, "build");
	drain(w, node, 0, false);
	live(w, DAY);
	assert_int_equal(a->desired, DESIRED_RUN);
	assert_string_equal(code(w, node), "batch-running");
	assert_string_equal(status(w, node), DRAIN_DRAINING);
	report(w, a, "complete", -1);
	assert_string_equal(status(w, node), DRAIN_COMPLETE);
	assert_int_equal(world_job(w, "build")->n_allocs, 1);
	world_free(w);
}

static void test_batch_work_cut_off_by_the_deadline_is_done_again(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	drain(w, 0, MINUTE, false);
	live(w, 2 * MINUTE);
	assert_int_equal(on_node(w, 0), 0);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	assert_int_equal(world_job(w, "build")->status, JOB_PENDING);
	world_add_node(w, 1);
	live(w, 5 * SECOND);
	assert_int_equal(running(w, "build"), 1);
	assert_int_equal(on_node(w, 1), 1);
	world_free(w);
}

/* As the command does it when no deadline is given. */
static void drain_unhurried(struct world *w, unsigned node)
{
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};
	struct strs ids = {0};
	uint64_t index;

	MODEL_SET(drain_spec, &spec, deadline, HOUR);
	MODEL_SET(drain_spec, &spec, finish_batch, true);
	assert_int_equal(core_node_drain(w->c, fixture_node_id(node), &req, w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
}

static void test_builds_that_are_to_be_finished_are_cut_off_only_by_a_deadline_that_somebody_named(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct job *marked = fixture_job(w->a, "build", "batch", 1, 10, 10), *plain = fixture_job(w->a, "other", "batch", 1, 10, 10);

	strmap_set(w->a, &((struct task_group *)marked->task_groups.v[0])->meta, "drover_drain", "finish");
	world_run_job(w, marked);
	world_run_job(w, plain);
	world_settle(w);
	obey(w);
	drain_unhurried(w, 0);
	live(w, 2 * HOUR);
	assert_int_equal(running(w, "build"), 1);
	assert_int_equal(running(w, "other"), 0);
	struct drain_answer *d = describe(w, 0);
	assert_int_equal(d->remaining, 1);
	assert_string_equal(code(w, 0), "batch-running");
	assert_false(d->past_deadline);
	/* It goes on under another leader. */
	core_close(w->c);
	world_open_core(w);
	live(w, HOUR);
	assert_int_equal(running(w, "build"), 1);
	drain(w, 0, MINUTE, false);
	live(w, 2 * MINUTE);
	assert_int_equal(running(w, "build"), 0);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_another_word_than_finish_is_refused(void **state UNUSED)
{
	struct world *w = world_of(0);
	struct job *j = fixture_job(w->a, "build", "batch", 1, 10, 10);
	struct core_register_request req = {.job = j};
	struct core_eval_reply out;
	struct err e = ERR_INIT;

	strmap_set(w->a, &j->meta, "drover_drain", "finnish");
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "\"finish\", which leaves batch work to finish when a node is drained; got \"finnish\""));
	err_clear(&e);
	world_free(w);
}

static void test_system_work_goes_last(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, fixture_job(w->a, "everywhere", "system", 1, 10, 10));
	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	drain(w, 0, DAY, false);
	live(w, HOUR);
	assert_int_equal(running(w, "everywhere"), 1);
	report(w, world_first_alloc(w, "build"), "complete", -1);
	live(w, 5 * SECOND);
	assert_int_equal(running(w, "everywhere"), 0);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_system_work_stays_when_it_is_ignored(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, fixture_job(w->a, "everywhere", "system", 1, 10, 10));
	world_settle(w);
	obey(w);
	drain(w, 0, DAY, true);
	live(w, MINUTE);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	assert_int_equal(running(w, "everywhere"), 1);
	world_free(w);
}

static void test_force_stops_everything_now(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 3, 1));
	world_run_job(w, fixture_job(w->a, "build", "batch", 2, 10, 10));
	world_run_job(w, fixture_job(w->a, "everywhere", "system", 1, 10, 10));
	world_settle(w);
	obey(w);
	drain(w, 0, -1, false);
	live(w, 2 * SECOND);
	assert_int_equal(on_node(w, 0), 0);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_done_is_said_when_the_client_says_that_processes_are_gone(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	struct alloc *a = world_first_alloc(w, "build");
	drain(w, 0, -1, false);
	assert_int_equal(a->desired, DESIRED_STOP);
	world_live(w, MINUTE);
	assert_string_equal(status(w, 0), DRAIN_DRAINING);
	assert_string_equal(code(w, 0), "stopping");
	report(w, a, "complete", -1);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_entries_in_consul_keep_a_drain_from_being_done(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	char id[UUID_STR];
	uint64_t index;

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	struct alloc *a = world_first_alloc(w, "build");
	drain(w, 0, -1, false);
	MODEL_SET(alloc_update, &u, id, uuid_format(a->id, id));
	MODEL_SET(alloc_update, &u, client_status, "complete");
	MODEL_SET(alloc_update, &u, in_consul, true);
	objs_push(w->a, &all.allocs, &u);
	assert_int_equal(core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL), 0);
	world_settle(w);
	assert_string_equal(status(w, 0), DRAIN_DRAINING);
	assert_string_equal(code(w, 0), "consul-entries");
	MODEL_SET(alloc_update, &u, in_consul, false);
	assert_int_equal(core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL), 0);
	world_settle(w);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_drain_that_is_canceled_leaves_things_as_they_are(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 2, 1));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	drain(w, 0, HOUR, false);
	live(w, MINUTE);
	cancel(w, 0, true);
	live(w, MINUTE);
	assert_string_equal(status(w, 0), DRAIN_CANCELED);
	assert_true(world_node(w, 0)->eligible);
	assert_int_equal(running(w, "web"), 2);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	/* And not even its own node is a place for a replacement that nobody needs. */
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		assert_false(drain_is_soft(a));
	world_free(w);
}

static void test_a_drain_can_be_changed_while_it_goes_on(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	drain(w, 0, 0, false);
	int64_t started = world_node(w, 0)->spec->drain_strategy->started_at;
	live(w, HOUR);
	drain(w, 0, MINUTE, false);
	assert_int_equal(world_node(w, 0)->spec->drain_strategy->started_at, started);
	live(w, 2 * MINUTE);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_replacement_that_fails_is_replaced_and_the_old_one_waits(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct job *j = service(w, "web", 1, 1);

	world_run_job(w, j);
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	assert_non_null(next);
	report(w, next, "running", -1);
	report(w, next, "failed", -1);
	world_live(w, SECOND);
	assert_int_equal(old->desired, DESIRED_RUN);
	live(w, 5 * MINUTE);
	assert_int_equal(old->desired, DESIRED_STOP);
	assert_int_equal(running(w, "web"), 1);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_health_that_the_client_reports_counts(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 1, 1));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	report(w, next, "running", 0);
	world_live(w, 5 * MINUTE);
	assert_int_equal(old->desired, DESIRED_RUN);
	assert_string_equal(code(w, 0), "replacement-unhealthy");
	report(w, next, "running", 1);
	assert_int_equal(old->desired, DESIRED_STOP);
	world_free(w);
}

static void test_with_services_to_check_only_the_client_says_what_is_healthy(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct job *j = service(w, "web", 1, 1);
	struct task_group *g = j->task_groups.v[0];
	struct service *s = MODEL_NEW(w->a, service);
	struct node_work work;

	MODEL_SET(service, s, name, "web");
	objs_push(w->a, &g->services, s);
	MODEL_SET(migrate_strategy, g->migrate, health_check, "checks");
	world_run_job(w, j);
	world_settle(w);
	obey(w);
	struct alloc *old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), old);
	/* The client hears that somebody waits for its verdict, and what by. */
	core_node_work(w->c, w->a, fixture_node_id(1), 0, &work);
	assert_true(((struct allocation *)work.allocs.v[0])->migrated);
	core_node_work(w->c, w->a, fixture_node_id(0), 0, &work);
	assert_false(((struct allocation *)work.allocs.v[0])->migrated);
	report(w, next, "running", -1);
	world_live(w, 5 * MINUTE);
	assert_int_equal(old->desired, DESIRED_RUN);
	assert_string_equal(code(w, 0), "replacement-unhealthy");
	report(w, next, "running", 1);
	assert_int_equal(old->desired, DESIRED_STOP);
	world_free(w);
}

static void test_a_node_that_goes_down_ends_the_wait_for_it(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	drain(w, 0, 0, false);
	world_pass_time(w, HOUR); /* nobody beats */
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_drain_goes_on_under_another_leader(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 2, 1));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	obey(w);
	core_close(w->c);
	world_open_core(w);
	live(w, 2 * MINUTE);
	assert_int_equal(on_node(w, 0), 0);
	assert_int_equal(running(w, "web"), 2);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_drain_that_is_done_stays_done_when_its_node_registers_again(void **state UNUSED)
{
	struct world *w = world_of(1);

	drain(w, 0, 0, false);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_pass_time(w, HOUR);
	world_add_node(w, 0);
	assert_false(world_node(w, 0)->draining);
	assert_int_equal(core_snapshot(w->c, NULL), 0);
	core_close(w->c);
	world_open_core(w);
	assert_false(world_node(w, 0)->draining);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

static void test_a_node_that_drains_itself_takes_nothing_until_another_agent_registers(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct drain_spec spec = {0};
	struct strmap meta = {0};
	struct core_drain_request req = {.spec = &spec, .meta = &meta};
	struct core_node_reply out;
	struct strs ids = {0};
	uint64_t index;

	world_run_job(w, fixture_job(w->a, "build", "batch", 1, 10, 10));
	world_settle(w);
	obey(w);
	strmap_set(w->a, &meta, CORE_DRAIN_UNTIL, CORE_DRAIN_RESTART);
	MODEL_SET(drain_spec, &spec, deadline, 0);
	assert_int_equal(core_node_drain(w->c, fixture_node_id(0), &req, w->now, &ids, w->a, &index, NULL), 0);
	/* Its fingerprint has changed, for instance. */
	struct node *same = fixture_node(w->a, 0);
	MODEL_SET(node, same, scheduling_eligibility, "ineligible");
	strmap_set(w->a, &same->meta, "rack", "r9");
	assert_int_equal(core_node_register(w->c, same, w->now, &out, NULL), 0);
	assert_true(world_node(w, 0)->draining);
	assert_false(world_node(w, 0)->eligible);
	report(w, world_first_alloc(w, "build"), "complete", -1);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	assert_int_equal(core_node_register(w->c, same, w->now, &out, NULL), 0);
	assert_false(world_node(w, 0)->eligible);
	world_add_node(w, 0);
	assert_true(world_node(w, 0)->eligible);
	world_free(w);
}

/* One on its way, and its replacement, which has yet to prove itself. */
static struct alloc *on_its_way(struct world *w, struct alloc **old)
{
	world_run_job(w, service(w, "web", 1, 1));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	*old = world_first_alloc(w, "web");
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	struct alloc *next = drain_successor(core_state(w->c), *old);
	assert_non_null(next);
	report(w, next, "running", 0);
	return next;
}

static void test_a_drained_node_that_goes_down_leaves_the_one_replacement(void **state UNUSED)
{
	struct world *w = world_of(1);
	struct alloc *old, *next = on_its_way(w, &old);

	for (int64_t end = w->now + MINUTE; w->now < end; world_settle(w)) {
		struct core_node_reply out;

		world_pass_time(w, SECOND);
		assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(1), w->now, &out, NULL), 0);
	}
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(old->observed, OBSERVED_LOST);
	assert_int_equal(next->desired, DESIRED_RUN);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_free(w);
}

static struct alloc *named(struct world *w, const char *id, uint32_t index)
{
	for (LINK_EACH(&world_job(w, id)->allocs, struct alloc, by_job, a))
		if (a->index == index)
			return a;
	return NULL;
}

static void test_one_that_fails_when_it_has_been_replaced_is_not_replaced_again(void **state UNUSED)
{
	struct world *w = world_of(1);
	unsigned names = 0;

	world_run_job(w, service(w, "web", 2, 2));
	world_settle(w);
	obey(w);
	struct alloc *failing = named(w, "web", 0), *ending = named(w, "web", 1);
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	assert_non_null(drain_successor(core_state(w->c), failing));
	cancel(w, 0, true);
	assert_true(drain_is_soft(failing));
	/* One of the two names is free then; a place is missing, and it is not that of the one that has failed. */
	report(w, drain_successor(core_state(w->c), ending), "complete", -1);
	report(w, ending, "complete", -1);
	report(w, failing, "failed", -1);
	live(w, 5 * MINUTE);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a))
		names += a->observed == OBSERVED_RUNNING && a->desired == DESIRED_RUN ? 1u << a->index : 0;
	assert_int_equal(names, 3);
	assert_int_equal(running(w, "web"), 2);
	world_free(w);
}

static void test_max_parallel_is_what_the_job_says_today(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 4, 3));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	world_run_job(w, service(w, "web", 4, 1));
	world_settle(w);
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	obey(w);
	assert_int_equal(on_node(w, 1), 1);
	world_free(w);
}

static void test_a_thousand_go_together_when_their_groups_allow_it(void **state UNUSED)
{
	struct world *w = world_of(1);

	world_run_job(w, service(w, "web", 300, 300));
	world_settle(w);
	obey(w);
	live(w, 30 * SECOND);
	world_add_node(w, 1);
	drain(w, 0, HOUR, false);
	obey(w);
	assert_int_equal(on_node(w, 1), 300);
	live(w, 12 * SECOND);
	assert_int_equal(on_node(w, 0), 0);
	assert_string_equal(status(w, 0), DRAIN_COMPLETE);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_empty_node_is_drained_at_once_and_stays_ineligible),
	    cmocka_unit_test(test_a_service_moves_one_by_one_and_each_is_replaced_before_it_goes),
	    cmocka_unit_test(test_two_drains_of_a_service_of_two_leave_two_healthy),
	    cmocka_unit_test(test_with_no_room_elsewhere_it_waits_until_the_deadline_and_says_why),
	    cmocka_unit_test(test_at_the_deadline_processes_are_gone_the_time_to_kill_included),
	    cmocka_unit_test(test_tasks_that_are_stopped_one_after_the_other_are_told_earlier),
	    cmocka_unit_test(test_batch_work_is_left_to_finish),
	    cmocka_unit_test(test_batch_work_cut_off_by_the_deadline_is_done_again),
	    cmocka_unit_test(test_builds_that_are_to_be_finished_are_cut_off_only_by_a_deadline_that_somebody_named),
	    cmocka_unit_test(test_another_word_than_finish_is_refused),
	    cmocka_unit_test(test_system_work_goes_last),
	    cmocka_unit_test(test_system_work_stays_when_it_is_ignored),
	    cmocka_unit_test(test_force_stops_everything_now),
	    cmocka_unit_test(test_done_is_said_when_the_client_says_that_processes_are_gone),
	    cmocka_unit_test(test_entries_in_consul_keep_a_drain_from_being_done),
	    cmocka_unit_test(test_a_drain_that_is_canceled_leaves_things_as_they_are),
	    cmocka_unit_test(test_a_drain_can_be_changed_while_it_goes_on),
	    cmocka_unit_test(test_a_replacement_that_fails_is_replaced_and_the_old_one_waits),
	    cmocka_unit_test(test_health_that_the_client_reports_counts),
	    cmocka_unit_test(test_with_services_to_check_only_the_client_says_what_is_healthy),
	    cmocka_unit_test(test_a_node_that_goes_down_ends_the_wait_for_it),
	    cmocka_unit_test(test_a_drain_goes_on_under_another_leader),
	    cmocka_unit_test(test_a_drain_that_is_done_stays_done_when_its_node_registers_again),
	    cmocka_unit_test(test_a_node_that_drains_itself_takes_nothing_until_another_agent_registers),
	    cmocka_unit_test(test_a_drained_node_that_goes_down_leaves_the_one_replacement),
	    cmocka_unit_test(test_one_that_fails_when_it_has_been_replaced_is_not_replaced_again),
	    cmocka_unit_test(test_max_parallel_is_what_the_job_says_today),
	    cmocka_unit_test(test_a_thousand_go_together_when_their_groups_allow_it),
	};

	return RUN_TESTS(tests);
}
