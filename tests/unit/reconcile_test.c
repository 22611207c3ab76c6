/* What a job wants against what it has: counts, names, updates, batch, jobs that run everywhere, failures, losses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/world.h"

/* ---- words ---- */

static struct task_group *group_of(struct job *j)
{
	return j->task_groups.v[0];
}

static struct task *task_of(struct job *j)
{
	return group_of(j)->tasks.v[0];
}

static uint32_t running(struct world *w, const char *job)
{
	return world_job(w, job)->n_live;
}

/* The indexes that are in use, as bits. */
static uint32_t names(struct world *w, const char *job)
{
	uint32_t bits = 0;
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		if (!alloc_is_terminal(a)) {
			assert_false(bits & 1u << a->index);
			bits |= 1u << a->index;
		}
	return bits;
}

static struct alloc *by_index(struct world *w, const char *job, uint32_t index)
{
	struct alloc *found = NULL;
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		if (a->index == index && a->desired == DESIRED_RUN)
			found = a;
	assert_non_null(found);
	return found;
}

static void report_all(struct world *w, const char *job, const char *status)
{
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		if (alloc_is_live(a) && a->node)
			world_report(w, a, a->desired == DESIRED_RUN ? status : "complete");
	world_settle(w);
}

static const char *said_of(const struct alloc *a)
{
	return a->extra && a->extra->desired_description ? a->extra->desired_description : "";
}

static struct world *world_of_nodes(unsigned n)
{
	struct world *w = world_new();
	for (unsigned i = 0; i < n; i++)
		world_add_node(w, i);
	return w;
}

static void run(struct world *w, struct job *j)
{
	world_run_job(w, j);
	world_settle(w);
}

static void reschedule(struct world *w, struct job *j, int64_t attempts, int64_t delay)
{
	struct reschedule_policy *p = group_of(j)->reschedule_policy = MODEL_NEW(w->a, reschedule_policy);
	MODEL_SET(reschedule_policy, p, delay, delay);
	MODEL_SET(reschedule_policy, p, delay_function, "constant");
	MODEL_SET(reschedule_policy, p, unlimited, attempts < 0);
	MODEL_SET(reschedule_policy, p, attempts, MAX(attempts, 0));
	MODEL_SET(reschedule_policy, p, interval, HOUR);
}

/* ---- counts ---- */

static void test_names_are_the_lowest_free_ones(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct core_eval_reply out;
	run(w, fixture_job(w->a, "web", "service", 4, 10, 10));
	assert_int_equal(names(w, "web"), 0xf);
	struct alloc *second = by_index(w, "web", 1);
	assert_int_equal(core_alloc_stop(w->c, second->id, false, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(names(w, "web"), 0xf);
	assert_ptr_not_equal(by_index(w, "web", 1), second);
	run(w, fixture_job(w->a, "web", "service", 6, 10, 10));
	assert_int_equal(names(w, "web"), 0x3f);
	world_free(w);
}

static void test_scaling_down_stops_failed_ones_first_and_then_the_highest_names(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "web", "service", 5, 10, 10);
	reschedule(w, j, 0, 5 * SECOND);
	run(w, j);
	struct alloc *failed = by_index(w, "web", 1);
	world_report(w, failed, "failed");
	world_settle(w);
	j = fixture_job(w->a, "web", "service", 3, 10, 10);
	reschedule(w, j, 0, 5 * SECOND);
	run(w, j);
	assert_int_equal(failed->desired, DESIRED_STOP);
	assert_int_equal(names(w, "web"), 0xd); /* 0, 2, 3 */
	run(w, fixture_job(w->a, "web", "service", 0, 10, 10));
	assert_int_equal(running(w, "web"), 0);
	world_free(w);
}

static void test_a_change_of_the_count_alone_touches_nothing_that_runs(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	run(w, fixture_job(w->a, "web", "service", 2, 10, 10));
	struct alloc *first = by_index(w, "web", 0);
	run(w, fixture_job(w->a, "web", "service", 3, 10, 10));
	assert_ptr_equal(by_index(w, "web", 0), first);
	assert_int_equal(first->desired, DESIRED_RUN);
	assert_ptr_equal(first->version, world_job(w, "web")->current);
	world_free(w);
}

static void test_a_group_that_is_gone_is_stopped(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "web", "service", 1, 10, 10);
	struct task_group *g = model_copy(w->a, &type_task_group, group_of(j));
	MODEL_SET(task_group, g, name, "other");
	objs_push(w->a, &j->task_groups, g);
	run(w, j);
	assert_int_equal(running(w, "web"), 2);
	run(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	assert_int_equal(running(w, "web"), 1);
	assert_string_equal(alloc_group(by_index(w, "web", 0))->name, "g");
	world_free(w);
}

/* ---- updates ---- */

static void test_an_update_without_a_limit_replaces_all_at_once(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	struct job *j = fixture_job(w->a, "web", "service", 4, 10, 10);
	group_of(j)->update = MODEL_NEW(w->a, update_strategy);
	MODEL_SET(update_strategy, group_of(j)->update, max_parallel, 0);
	run(w, j);
	report_all(w, "web", "running");
	strmap_set(w->a, &task_of(j)->env, "X", "2");
	run(w, j);
	assert_int_equal(names(w, "web"), 0xf);
	for (LINK_EACH(&world_job(w, "web")->allocs, struct alloc, by_job, a)) {
		if (a->version != world_job(w, "web")->current) {
			assert_int_equal(a->desired, DESIRED_STOP);
			assert_string_equal(said_of(a), "alloc is being updated due to job update");
		} else {
			assert_false(uuid_is_nil(a->extra->previous));
			assert_true(uuid_eq(state_alloc(core_state(w->c), a->extra->previous)->extra->next, a->id));
		}
	}
	world_free(w);
}

static uint32_t of_current(struct world *w, const char *job)
{
	uint32_t n = 0;
	for (LINK_EACH(&world_job(w, job)->allocs, struct alloc, by_job, a))
		n += !alloc_is_terminal(a) && a->version == world_job(w, job)->current;
	return n;
}

static void test_an_update_goes_on_when_the_new_ones_have_proved_themselves(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	struct job *j = fixture_job(w->a, "web", "service", 5, 10, 10);
	group_of(j)->update = MODEL_NEW(w->a, update_strategy);
	MODEL_SET(update_strategy, group_of(j)->update, max_parallel, 2);
	MODEL_SET(update_strategy, group_of(j)->update, min_healthy_time, 10 * SECOND);
	run(w, j);
	report_all(w, "web", "running");
	world_live(w, 20 * SECOND);
	strmap_set(w->a, &task_of(j)->env, "X", "2");
	run(w, j);
	assert_int_equal(of_current(w, "web"), 2);
	world_live(w, 30 * SECOND); /* they do not come up: nothing goes on */
	assert_int_equal(of_current(w, "web"), 2);
	report_all(w, "web", "running");
	world_live(w, 9 * SECOND);
	assert_int_equal(of_current(w, "web"), 2);
	world_live(w, 30 * SECOND);
	assert_int_equal(of_current(w, "web"), 4);
	report_all(w, "web", "running");
	world_live(w, 40 * SECOND);
	assert_int_equal(of_current(w, "web"), 5);
	assert_int_equal(running(w, "web"), 5);
	world_free(w);
}

static void test_what_has_no_room_for_its_successor_goes_on(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "web", "service", 2, 1000, 10);
	group_of(j)->update = MODEL_NEW(w->a, update_strategy);
	MODEL_SET(update_strategy, group_of(j)->update, max_parallel, 0);
	run(w, j);
	report_all(w, "web", "running");
	MODEL_SET(resources, task_of(j)->resources, cpu, 5000); /* more than any node has */
	run(w, j);
	assert_int_equal(running(w, "web"), 2);
	assert_int_equal(of_current(w, "web"), 0);
	MODEL_SET(resources, task_of(j)->resources, cpu, 2000); /* one fits, and then another in the place of the old ones */
	run(w, j);
	report_all(w, "web", "running");
	report_all(w, "web", "running");
	assert_int_equal(of_current(w, "web"), 2);
	world_free(w);
}

static void test_an_update_that_one_node_refuses_takes_another_that_does_not(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	struct job *j = fixture_job(w->a, "web", "service", 2, 3000, 10);
	group_of(j)->update = MODEL_NEW(w->a, update_strategy);
	MODEL_SET(update_strategy, group_of(j)->update, max_parallel, 1);
	run(w, j);
	report_all(w, "web", "running");
	/* The node of the first one has no room to give for the new version, the other's has. */
	struct alloc *first = by_index(w, "web", 0), *second = by_index(w, "web", 1);
	unsigned fixed = first->node == world_node(w, 0) ? 0 : 1;
	struct node *bigger = fixture_node(w->a, 1 - fixed);
	struct core_node_reply reply;
	MODEL_SET(node_cpu, bigger->node_resources->cpu, cpu_shares, 5000);
	assert_int_equal(core_node_register(w->c, bigger, w->now, &reply, NULL), 0);
	MODEL_SET(resources, task_of(j)->resources, cpu, 4500);
	run(w, j);
	assert_int_equal(first->desired, DESIRED_RUN);
	assert_int_equal(second->desired, DESIRED_STOP);
	world_free(w);
}

/* ---- failures and losses ---- */

static void test_a_failed_allocation_is_replaced_after_its_delay_and_keeps_its_name(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "web", "service", 2, 10, 10);
	reschedule(w, j, -1, 30 * SECOND);
	run(w, j);
	struct alloc *failed = by_index(w, "web", 0);
	world_report(w, failed, "failed");
	world_settle(w);
	assert_int_equal(failed->desired, DESIRED_RUN);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	struct eval_entry *later = state_eval(core_state(w->c), failed->extra->followup_eval);
	assert_non_null(later);
	assert_string_equal(later->spec->triggered_by, "alloc-failure");
	assert_true(later->spec->wait_until == w->now + 30 * SECOND);
	world_live(w, 31 * SECOND);
	struct alloc *new = by_index(w, "web", 0);
	assert_ptr_not_equal(new, failed);
	assert_int_equal(failed->desired, DESIRED_STOP);
	assert_string_equal(said_of(failed), "alloc was rescheduled because it failed");
	assert_int_equal(new->extra->tracker->events.n, 1);
	world_free(w);
}

static void test_a_failed_allocation_keeps_its_history_while_there_is_no_room(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "web", "service", 1, 3000, 10);
	reschedule(w, j, 2, 5 * SECOND);
	run(w, j);
	for (int i = 0; i < 2; i++) {
		world_report(w, by_index(w, "web", 0), "failed");
		world_settle(w);
		run(w, fixture_job(w->a, "other", "batch", 1, 3000, 10)); /* takes the room */
		world_live(w, 10 * SECOND);
		assert_int_equal(running(w, "web"), 0);
		assert_non_null(world_job(w, "web")->blocked);
		report_all(w, "other", "complete");
		assert_int_equal(running(w, "web"), 1);
		assert_int_equal(by_index(w, "web", 0)->extra->tracker->events.n, i + 1);
		struct core_eval_reply out;
		uint64_t index;
		core_job_deregister(w->c, "default", "other", true, 0, w->now, &out, NULL);
		world_settle(w);
		core_gc(w->c, w->now, &index, NULL);
	}
	world_report(w, by_index(w, "web", 0), "failed");
	world_live(w, MINUTE);
	assert_int_equal(running(w, "web"), 0); /* both attempts are used up, however long they waited */
	world_free(w);
}

static void test_the_clock_of_a_client_does_not_delay_a_reschedule(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "web", "service", 1, 10, 10);
	reschedule(w, j, -1, 5 * SECOND);
	run(w, j);
	struct alloc *a = by_index(w, "web", 0);
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	struct task_state *t = MODEL_NEW(w->a, task_state);
	char id[UUID_STR];
	uint64_t index;
	MODEL_SET(task_state, t, state, "dead");
	MODEL_SET(task_state, t, failed, true);
	MODEL_SET(task_state, t, finished_at, w->now + 10 * HOUR);
	MODEL_SET(alloc_update, &u, id, uuid_format(a->id, id));
	MODEL_SET(alloc_update, &u, client_status, "failed");
	objmap_set(w->a, &u.task_states, "t", t);
	u.has |= MODEL_BIT(alloc_update, task_states);
	objs_push(w->a, &all.allocs, &u);
	assert_int_equal(core_allocs_update(w->c, a->node->id, &all, w->now, &index, NULL), 0);
	world_live(w, 6 * SECOND);
	assert_ptr_not_equal(by_index(w, "web", 0), a);
	world_free(w);
}

static void test_a_service_that_ends_by_itself_is_started_again(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	run(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	world_report(w, by_index(w, "web", 0), "complete");
	world_settle(w);
	assert_int_equal(running(w, "web"), 1);
	world_free(w);
}

static void test_what_was_lost_is_replaced_and_so_called(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	run(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	struct alloc *a = by_index(w, "web", 0);
	world_pass_time(w, 2 * MINUTE);
	assert_int_equal(a->observed, OBSERVED_LOST);
	assert_string_equal(said_of(a), "alloc is lost since its node is down");
	assert_non_null(world_job(w, "web")->blocked);
	world_add_node(w, 1);
	world_settle(w);
	struct alloc *b = by_index(w, "web", 0);
	assert_true(uuid_eq(b->extra->previous, a->id));
	assert_true(uuid_eq(a->extra->next, b->id));
	world_free(w);
}

static void test_a_stopped_allocation_is_replaced_at_once(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	struct core_eval_reply out;
	run(w, fixture_job(w->a, "web", "service", 1, 10, 10));
	struct alloc *a = by_index(w, "web", 0);
	assert_int_equal(core_alloc_stop(w->c, a->id, true, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(a->desired, DESIRED_STOP);
	assert_string_equal(said_of(a), "alloc is being migrated");
	assert_int_equal(running(w, "web"), 1);
	assert_string_equal(state_eval(core_state(w->c), out.eval)->spec->triggered_by, "alloc-stop");
	world_free(w);
}

/* ---- batch ---- */

static void test_finished_batch_work_is_not_done_again(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct core_eval_reply out;
	run(w, fixture_job(w->a, "build", "batch", 3, 10, 10));
	world_report(w, by_index(w, "build", 1), "complete");
	world_settle(w);
	assert_int_equal(core_job_evaluate(w->c, "default", "build", false, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(world_job(w, "build")->n_allocs, 3);
	report_all(w, "build", "complete");
	assert_int_equal(world_job(w, "build")->status, JOB_DEAD);
	run(w, fixture_job(w->a, "build", "batch", 3, 10, 10)); /* the same again */
	assert_int_equal(world_job(w, "build")->n_allocs, 3);
	world_free(w);
}

static void test_a_new_version_of_batch_work_is_new_work(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	run(w, fixture_job(w->a, "build", "batch", 2, 10, 10));
	report_all(w, "build", "complete");
	run(w, fixture_job(w->a, "build", "batch", 2, 10, 11));
	assert_int_equal(running(w, "build"), 2);
	world_free(w);
}

static void test_batch_work_that_failed_for_good_leaves_a_dead_job(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct job *j = fixture_job(w->a, "build", "batch", 1, 10, 10);
	reschedule(w, j, 1, 5 * SECOND);
	run(w, j);
	world_report(w, by_index(w, "build", 0), "failed");
	world_settle(w);
	assert_int_equal(world_job(w, "build")->status, JOB_PENDING); /* it will be tried again */
	world_live(w, 6 * SECOND);
	assert_int_equal(running(w, "build"), 1);
	world_report(w, by_index(w, "build", 0), "failed");
	world_live(w, 10 * SECOND);
	assert_int_equal(world_job(w, "build")->status, JOB_DEAD);
	world_free(w);
}

/* ---- everywhere ---- */

static void test_a_system_job_runs_once_on_each_node_that_comes(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	uint64_t index;
	run(w, fixture_job(w->a, "mon", "system", 1, 10, 10));
	assert_int_equal(running(w, "mon"), 2);
	world_add_node(w, 2);
	world_settle(w);
	assert_int_equal(running(w, "mon"), 3);
	assert_int_equal(core_node_eligibility(w->c, fixture_node_id(0), false, w->now, &index, NULL), 0);
	world_settle(w);
	assert_int_equal(running(w, "mon"), 3); /* out of service takes nothing new, and stops nothing */
	assert_int_equal(world_job(w, "mon")->status, JOB_RUNNING);
	world_free(w);
}

static void test_a_system_job_that_failed_tries_again_when_asked_or_when_its_node_comes_back(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	struct core_eval_reply out;
	struct core_node_reply reply;
	run(w, fixture_job(w->a, "mon", "system", 1, 10, 10));
	struct alloc *a = world_first_alloc(w, "mon");
	world_report(w, a, "failed");
	world_live(w, 5 * MINUTE);
	assert_int_equal(running(w, "mon"), 1);
	world_add_node(w, 2); /* another node is no reason */
	world_settle(w);
	assert_int_equal(running(w, "mon"), 2);
	run(w, fixture_job(w->a, "mon", "system", 1, 10, 10));
	assert_int_equal(running(w, "mon"), 3);
	assert_int_equal(a->desired, DESIRED_STOP);
	struct alloc *b = CONTAINER_OF(world_job(w, "mon")->allocs.prev, struct alloc, by_job);
	assert_ptr_equal(b->node, a->node);
	world_report(w, b, "failed");
	world_settle(w);
	assert_int_equal(core_job_evaluate(w->c, "default", "mon", false, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(running(w, "mon"), 3);
	b = CONTAINER_OF(world_job(w, "mon")->allocs.prev, struct alloc, by_job);
	world_report(w, b, "failed");
	world_pass_time(w, 3 * MINUTE); /* all nodes are silent */
	assert_int_equal(core_node_heartbeat(w->c, b->node->id, w->now, &reply, NULL), 0);
	world_settle(w);
	assert_int_equal(running(w, "mon"), 1);
	world_free(w);
}

static void test_a_sysbatch_job_is_done_with_a_node_when_it_ended_there(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(2);
	struct core_eval_reply out;
	run(w, fixture_job(w->a, "sweep", "sysbatch", 1, 10, 10));
	report_all(w, "sweep", "complete");
	assert_int_equal(world_job(w, "sweep")->status, JOB_DEAD);
	assert_int_equal(core_job_evaluate(w->c, "default", "sweep", false, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(world_job(w, "sweep")->n_allocs, 2);
	world_add_node(w, 2);
	world_settle(w);
	assert_int_equal(running(w, "sweep"), 1);
	run(w, fixture_job(w->a, "sweep", "sysbatch", 1, 10, 11)); /* a new version is new work */
	report_all(w, "sweep", "running");
	assert_int_equal(running(w, "sweep"), 3);
	world_free(w);
}

static void test_a_system_job_is_updated_node_by_node(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(4);
	struct job *j = fixture_job(w->a, "mon", "system", 1, 10, 10);
	group_of(j)->update = MODEL_NEW(w->a, update_strategy);
	MODEL_SET(update_strategy, group_of(j)->update, max_parallel, 1);
	MODEL_SET(update_strategy, group_of(j)->update, min_healthy_time, SECOND);
	run(w, j);
	report_all(w, "mon", "running");
	world_live(w, 5 * SECOND);
	strmap_set(w->a, &task_of(j)->env, "X", "2");
	run(w, j);
	for (uint32_t step = 1; step <= 4; step++) {
		assert_int_equal(of_current(w, "mon"), step);
		assert_int_equal(running(w, "mon"), 4);
		report_all(w, "mon", "running");
		world_live(w, 10 * SECOND);
	}
	world_free(w);
}

/* ---- names that come back ---- */

static void test_a_purged_jobs_name_is_another_jobs_then(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct core_eval_reply out;
	struct node_work work;
	run(w, fixture_job(w->a, "web", "service", 2, 10, 10));
	report_all(w, "web", "running");
	assert_int_equal(core_job_deregister(w->c, "default", "web", true, 0, w->now, &out, NULL), 0);
	run(w, fixture_job(w->a, "web", "service", 3, 10, 20));
	const struct group_summary *sum = objmap_get(&world_job(w, "web")->summary, "g");
	assert_int_equal(world_job(w, "web")->current->version, 0);
	assert_int_equal(sum->starting, 3);
	assert_int_equal(sum->running, 0); /* the old ones, which have yet to stop, are none of its own */
	core_node_work(w->c, w->a, fixture_node_id(0), 0, &work);
	assert_true(work.complete);
	uint32_t with_job = 0;
	OBJS_EACH (&work.allocs, struct allocation, a) {
		with_job += a->job != NULL;
		assert_true((a->job != NULL) == str_eq(a->desired_status, "stop"));
	}
	assert_int_equal(with_job, 2);
	assert_int_equal(work.jobs.n, 1);
	world_free(w);
}

static void test_what_is_queued_of_a_stopped_job_is_queued_no_longer(void **unused)
{
	(void)unused;
	struct world *w = world_of_nodes(1);
	struct core_eval_reply out;
	run(w, fixture_job(w->a, "web", "service", 3, 3000, 10));
	const struct group_summary *sum = objmap_get(&world_job(w, "web")->summary, "g");
	assert_int_equal(sum->queued, 2);
	assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
	world_settle(w);
	assert_int_equal(sum->queued, 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_are_the_lowest_free_ones),
	    cmocka_unit_test(test_scaling_down_stops_failed_ones_first_and_then_the_highest_names),
	    cmocka_unit_test(test_a_change_of_the_count_alone_touches_nothing_that_runs),
	    cmocka_unit_test(test_a_group_that_is_gone_is_stopped),
	    cmocka_unit_test(test_an_update_without_a_limit_replaces_all_at_once),
	    cmocka_unit_test(test_an_update_goes_on_when_the_new_ones_have_proved_themselves),
	    cmocka_unit_test(test_what_has_no_room_for_its_successor_goes_on),
	    cmocka_unit_test(test_an_update_that_one_node_refuses_takes_another_that_does_not),
	    cmocka_unit_test(test_a_failed_allocation_is_replaced_after_its_delay_and_keeps_its_name),
	    cmocka_unit_test(test_a_failed_allocation_keeps_its_history_while_there_is_no_room),
	    cmocka_unit_test(test_the_clock_of_a_client_does_not_delay_a_reschedule),
	    cmocka_unit_test(test_a_service_that_ends_by_itself_is_started_again),
	    cmocka_unit_test(test_what_was_lost_is_replaced_and_so_called),
	    cmocka_unit_test(test_a_stopped_allocation_is_replaced_at_once),
	    cmocka_unit_test(test_finished_batch_work_is_not_done_again),
	    cmocka_unit_test(test_a_new_version_of_batch_work_is_new_work),
	    cmocka_unit_test(test_batch_work_that_failed_for_good_leaves_a_dead_job),
	    cmocka_unit_test(test_a_system_job_runs_once_on_each_node_that_comes),
	    cmocka_unit_test(test_a_system_job_that_failed_tries_again_when_asked_or_when_its_node_comes_back),
	    cmocka_unit_test(test_a_sysbatch_job_is_done_with_a_node_when_it_ended_there),
	    cmocka_unit_test(test_a_system_job_is_updated_node_by_node),
	    cmocka_unit_test(test_a_purged_jobs_name_is_another_jobs_then),
	    cmocka_unit_test(test_what_is_queued_of_a_stopped_job_is_queued_no_longer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
