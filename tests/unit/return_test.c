/* Nodes that come back, in virtual time: what they have to tell first, and which of several allocations of one name goes on. */
#include "sched/absence.h"
#include "tests/lib/away.h"
#include "tests/lib/test.h"

/* ---- words ---- */

static const char *keep; /* disconnect.reconcile; NULL: no block at all */

static struct job *make_job(struct world *w, const char *type)
{
	struct job *j = away_job(w, type, 1);

	if (!keep)
		return j;
	struct disconnect_strategy *d = away_block(w, j, 10 * MINUTE);

	MODEL_SET(disconnect_strategy, d, reconcile, keep);
	return j;
}

static struct job *make_service(struct world *w)
{
	return make_job(w, "service");
}

static struct job *make_batch(struct world *w)
{
	return make_job(w, "batch");
}

static struct job *make_unreplaced(struct world *w)
{
	struct job *j = away_job(w, "service", 1);
	struct disconnect_strategy *d = away_block(w, j, 10 * MINUTE);
	struct reschedule_policy *p = away_group(j)->reschedule_policy = MODEL_NEW(w->a, reschedule_policy);

	MODEL_SET(disconnect_strategy, d, replace, false);
	MODEL_SET(reschedule_policy, p, delay, 30 * SECOND);
	MODEL_SET(reschedule_policy, p, delay_function, "constant");
	MODEL_SET(reschedule_policy, p, unlimited, true);
	return j;
}

/* An original whose node is away, and its copy that runs. */
static struct world *with_copy(struct job *(*make)(struct world *w), const char *how, struct alloc **original, struct alloc **copy)
{
	keep = how;
	struct world *w = away_world(make, original);

	away_fall_silent(w, 0);
	away_silence(w, 0, MINUTE);
	*copy = state_alloc(core_state(w->c), (*original)->extra->next);
	assert_non_null(*copy);
	assert_int_equal((*copy)->observed, OBSERVED_RUNNING);
	return w;
}

struct saying { /* in a report */
	const struct alloc *alloc;
	const char *status;
	int64_t started; /* of its task; 0 = nothing is said of it */
	bool stopped;
};

static uint64_t hear(struct world *w, unsigned node)
{
	struct core_node_reply reply;

	assert_int_equal(core_node_heartbeat(w->c, fixture_node_id(node), w->now, &reply, NULL), 0);
	world_settle(w);
	return reply.report;
}

static void tell(struct world *w, unsigned node, uint64_t report, const struct saying *s)
{
	struct alloc_updates all = {0};
	uint64_t index;

	for (; s && s->alloc; s++) {
		struct alloc_update *u = MODEL_NEW(w->a, alloc_update);
		struct task_state *t = MODEL_NEW(w->a, task_state);
		char id[UUID_STR];

		MODEL_SET(alloc_update, u, id, arena_strdup(w->a, uuid_format(s->alloc->id, id)));
		MODEL_SET(alloc_update, u, client_status, s->status);
		MODEL_SET(alloc_update, u, stopped, s->stopped);
		MODEL_SET(task_state, t, state, "running");
		MODEL_SET(task_state, t, started_at, s->started);
		if (s->started) {
			objmap_set(w->a, &u->task_states, "t", t);
			u->has |= MODEL_BIT(alloc_update, task_states);
		}
		objs_push(w->a, &all.allocs, u);
	}
	MODEL_SET(alloc_updates, &all, complete, (int64_t)report);
	assert_int_equal(core_allocs_update(w->c, fixture_node_id(node), &all, w->now, &index, NULL), 0);
	world_settle(w);
}

static void come_back(struct world *w, const struct alloc *a, const char *status)
{
	tell(w, 0, hear(w, 0), (const struct saying[]){{.alloc = a, .status = status}, {0}});
}

#define assert_goes_on(a)                                                                                              \
	do {                                                                                                           \
		assert_int_equal((a)->desired, DESIRED_RUN);                                                           \
		assert_int_equal((a)->observed, OBSERVED_RUNNING);                                                     \
	} while (0)
#define assert_stopped(a) assert_int_equal((a)->desired, DESIRED_STOP)

static const struct eval_entry *newest_eval(struct world *w)
{
	return CONTAINER_OF(world_job(w, "web")->evals.prev, struct eval_entry, by_job);
}

/* ---- which one goes on ---- */

static void test_without_a_block_the_healthy_original_goes_on_and_the_copy_stops(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);

	assert_int_equal(original->observed, OBSERVED_LOST);
	come_back(w, original, "running");
	assert_goes_on(original);
	assert_stopped(copy);
	assert_string_equal(newest_eval(w)->spec->triggered_by, "reconnect");
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	assert_string_equal(away_event(w, 0), "Node reported its allocations");
	const struct group_summary *sum = objmap_get(&world_job(w, "web")->summary, "g");

	assert_int_equal(sum->running, 2); /* until the copy has ended */
	assert_int_equal(sum->lost, 0);
	assert_int_equal(world_job(w, "web")->n_live, 1);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_free(w);
}

static void test_without_a_block_a_copy_that_runs_goes_on_when_the_original_does_not(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);

	come_back(w, original, "pending");
	assert_stopped(original);
	assert_goes_on(copy);
	world_free(w);
}

static void test_keep_original_keeps_it(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, "keep_original", &original, &copy);

	assert_int_equal(original->observed, OBSERVED_UNKNOWN);
	copy->score = original->score + 1;
	come_back(w, original, "running");
	assert_goes_on(original);
	assert_stopped(copy);
	world_free(w);
}

static void test_keep_replacement_stops_the_original(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, "keep_replacement", &original, &copy);

	original->score = copy->score + 1;
	come_back(w, original, "running");
	assert_stopped(original);
	assert_goes_on(copy);
	world_free(w);
}

static void test_best_score_keeps_the_one_on_the_better_node(void **state UNUSED)
{
	for (int better = 0; better < 2; better++) {
		struct alloc *original, *copy;
		struct world *w = with_copy(make_service, "best_score", &original, &copy);

		original->score = better ? 0.75f : 0.25f;
		copy->score = 0.5f;
		come_back(w, original, "running");
		assert_goes_on(better ? original : copy);
		assert_stopped(better ? copy : original);
		world_free(w);
	}
}

static void test_longest_running_keeps_the_one_that_began_first(void **state UNUSED)
{
	for (int longer = 0; longer < 2; longer++) {
		struct alloc *original, *copy;
		struct world *w = with_copy(make_service, "longest_running", &original, &copy);

		tell(w, 1, 0, (const struct saying[]){{.alloc = copy, .status = "running", .started = w->now - 30 * SECOND}, {0}});
		int64_t since = w->now - (longer ? MINUTE : SECOND); /* it may have been started again meanwhile */

		tell(w, 0, hear(w, 0), (const struct saying[]){{.alloc = original, .status = "running", .started = since}, {0}});
		assert_goes_on(longer ? original : copy);
		assert_stopped(longer ? copy : original);
		world_free(w);
	}
}

static void test_of_three_that_come_back_one_goes_on(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, "keep_original", &original, &copy);
	struct core_node_reply reply;

	world_add_node(w, 2);
	for (int i = 0; i < 60 && copy->observed == OBSERVED_RUNNING; i++) {
		core_node_heartbeat(w->c, fixture_node_id(2), w->now, &reply, NULL);
		world_pass_time(w, SECOND);
		away_start(w);
	}
	struct alloc *third = state_alloc(core_state(w->c), copy->extra->next);

	assert_goes_on(third);
	tell(w, 1, hear(w, 1), (const struct saying[]){{.alloc = copy, .status = "running"}, {0}});
	assert_goes_on(copy);
	assert_stopped(third);
	come_back(w, original, "running");
	assert_goes_on(original);
	assert_stopped(copy);
	assert_int_equal(away_live(w), 1);
	world_free(w);
}

static void test_an_original_that_is_back_before_its_copy_has_found_a_place_goes_on_alone(void **state UNUSED)
{
	struct world *w = world_new();

	keep = NULL;
	world_add_node(w, 0);
	away_run(w, make_service(w));
	away_start(w);
	struct alloc *original = world_first_alloc(w, "web");

	away_fall_silent(w, 0);
	assert_non_null(world_job(w, "web")->blocked);
	come_back(w, original, "running");
	assert_goes_on(original);
	assert_int_equal(world_job(w, "web")->n_allocs, 1);
	assert_null(world_job(w, "web")->blocked);
	world_free(w);
}

/* ---- what has changed meanwhile ---- */

static void test_an_original_that_failed_meanwhile_leaves_its_name_to_the_copy(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, "keep_original", &original, &copy);

	come_back(w, original, "failed");
	assert_stopped(original);
	assert_int_equal(original->observed, OBSERVED_FAILED);
	assert_goes_on(copy);
	away_silence(w, 9, 2 * MINUTE);
	assert_int_equal(world_job(w, "web")->n_allocs, 2);
	world_free(w);
}

static void test_an_original_without_a_copy_that_failed_meanwhile_follows_its_policy(void **state UNUSED)
{
	struct alloc *original;
	struct world *w = away_world(make_unreplaced, &original);

	away_fall_silent(w, 0);
	come_back(w, original, "failed");
	assert_int_equal(away_live(w), 0);
	away_silence(w, 9, 31 * SECOND);
	assert_int_equal(away_live(w), 1);
	assert_stopped(original);
	world_free(w);
}

static void test_batch_work_that_was_completed_meanwhile_is_done_and_its_copy_stops(void **state UNUSED)
{
	static const char *const how[] = {NULL, "best_score"}; /* lost, and unknown */

	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		struct alloc *original, *copy;
		struct world *w = with_copy(make_batch, how[i], &original, &copy);

		come_back(w, original, "complete");
		assert_int_equal(original->observed, OBSERVED_COMPLETE);
		assert_int_equal(original->desired, DESIRED_RUN);
		assert_stopped(copy);
		world_report(w, copy, "complete");
		world_settle(w);
		assert_int_equal(world_job(w, "web")->n_allocs, 2);
		assert_int_equal(world_job(w, "web")->status, JOB_DEAD);
		world_free(w);
	}
}

static void test_batch_work_that_its_client_stopped_is_not_done(void **state UNUSED)
{
	struct world *w = world_new();
	struct job *j = away_job(w, "batch", 1);
	struct disconnect_strategy *d = away_block(w, j, 0);

	MODEL_SET(disconnect_strategy, d, stop_on_client_after, 10 * MINUTE);
	world_add_node(w, 0);
	away_run(w, j);
	away_start(w);
	struct alloc *original = world_first_alloc(w, "web");

	away_fall_silent(w, 0);
	tell(w, 0, hear(w, 0), (const struct saying[]){{.alloc = original, .status = "complete", .stopped = true}, {0}});
	assert_stopped(original);
	assert_int_equal(original->observed, OBSERVED_COMPLETE);
	assert_int_equal(away_live(w), 1);
	assert_int_equal(world_job(w, "web")->status, JOB_RUNNING);
	world_free(w);
}

static void test_what_is_being_stopped_there_does_not_go_on(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_batch, NULL, &original, &copy);

	tell(w, 0, hear(w, 0), (const struct saying[]){{.alloc = original, .status = "running", .stopped = true}, {0}});
	assert_stopped(original);
	assert_goes_on(copy);
	tell(w, 0, 0, (const struct saying[]){{.alloc = original, .status = "complete", .stopped = true}, {0}});
	assert_stopped(original);
	assert_goes_on(copy);
	world_free(w);
}

static void test_an_original_whose_job_was_stopped_meanwhile_is_stopped(void **state UNUSED)
{
	static const char *const how[] = {NULL, "keep_original"};

	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		struct alloc *original, *copy;
		struct world *w = with_copy(make_service, how[i], &original, &copy);
		struct core_eval_reply out;

		assert_int_equal(core_job_deregister(w->c, "default", "web", false, 0, w->now, &out, NULL), 0);
		world_settle(w);
		come_back(w, original, "running");
		assert_stopped(original);
		assert_stopped(copy);
		assert_int_equal(away_live(w), 0);
		world_free(w);
	}
}

static void test_an_original_of_an_older_version_is_stopped_where_one_of_the_new_version_runs(void **state UNUSED)
{
	static const char *const how[] = {NULL, "keep_original"};

	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		struct alloc *original, *copy;
		struct world *w = with_copy(make_service, how[i], &original, &copy);
		struct job *j = make_service(w);
		struct task *t = away_group(j)->tasks.v[0];

		strmap_set(w->a, &t->env, "REVISION", "2");
		away_run(w, j);
		away_silence(w, 0, MINUTE);
		assert_stopped(copy);
		come_back(w, original, "running");
		assert_stopped(original);
		assert_int_equal(away_live(w), 1);
		world_free(w);
	}
}

static void test_an_original_that_only_changes_its_number_goes_on(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);
	struct job *j = away_job(w, "service", 2);

	away_run(w, j);
	away_start(w);
	come_back(w, original, "running");
	assert_goes_on(original);
	assert_ptr_equal(original->version, world_job(w, "web")->current);
	assert_stopped(copy);
	assert_int_equal(away_live(w), 2);
	world_free(w);
}

static void test_a_node_that_was_emptied_gets_nothing_back(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};
	struct strs ids = {0};
	uint64_t index;

	assert_int_equal(core_node_drain(w->c, fixture_node_id(0), &req, w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
	assert_string_equal(world_node(w, 0)->spec->last_drain->status, "complete");
	come_back(w, original, "running");
	assert_stopped(original);
	assert_goes_on(copy);
	world_free(w);
}

static void test_a_copy_that_leaves_its_node_goes_when_its_replacement_gives_way(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, "keep_original", &original, &copy);
	struct drain_spec spec = {0};
	struct core_drain_request req = {.spec = &spec};
	struct strs ids = {0};
	uint64_t index;

	world_add_node(w, 7);
	assert_int_equal(core_node_drain(w->c, copy->node->id, &req, w->now, &ids, w->a, &index, NULL), 0);
	world_settle(w);
	const struct alloc *next = state_alloc(core_state(w->c), copy->extra->next);
	assert_non_null(next);
	assert_goes_on(copy);
	come_back(w, original, "running");
	assert_goes_on(original);
	assert_int_equal(next->desired, DESIRED_STOP);
	assert_int_equal(copy->desired, DESIRED_STOP);
	world_free(w);
}

/* ---- before it has told everything ---- */

static struct node_work work_of(struct world *w, uint64_t since)
{
	struct node_work work;

	core_node_work(w->c, w->a, fixture_node_id(0), since, &work);
	return work;
}

static void test_a_node_that_has_told_nothing_is_initializing_and_gets_no_work(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);

	assert_true(hear(w, 0) > 0);
	assert_int_equal(world_node(w, 0)->status, NODE_INIT);
	world_run_job(w, fixture_job(w->a, "other", "service", 800, 10, 10));
	world_settle(w);
	assert_int_equal(world_node(w, 0)->n_allocs, 1);
	come_back(w, original, "running");
	assert_true(world_node(w, 0)->n_allocs > 1);
	world_free(w);
}

static void test_it_is_not_asked_to_stop_what_was_given_up_before_it_has_told_of_it(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);
	uint64_t before = original->create_index;

	for (int i = 0; i < 2; i++) { /* away, and just back */
		assert_int_equal(work_of(w, 0).allocs.n, 0);
		assert_false(work_of(w, 0).complete);
		assert_int_equal(work_of(w, before).allocs.n, 0);
		assert_int_equal(work_of(w, before).index, before);
		if (!i)
			hear(w, 0);
	}
	come_back(w, original, "running");
	struct node_work work = work_of(w, 0);

	assert_true(work.complete);
	assert_int_equal(work.allocs.n, 1);
	assert_string_equal(((struct allocation *)work.allocs.v[0])->desired_status, "run");
	world_free(w);
}

/* It may have been forgotten and have registered anew, and still runs what it had before: that goes first, by a complete answer. */
static void test_what_it_has_not_begun_is_not_begun_before_it_has_told_what_it_has(void **state UNUSED)
{
	struct world *w = world_new();

	world_add_node(w, 0);
	struct job *j = away_job(w, "service", 1);

	MODEL_SET(disconnect_strategy, away_block(w, j, 0), replace, false);
	away_run(w, j);
	struct alloc *a = world_first_alloc(w, "web");

	assert_int_equal(work_of(w, 0).allocs.n, 1);
	away_fall_silent(w, 0);
	uint64_t report = hear(w, 0);

	assert_int_equal(a->observed, OBSERVED_UNKNOWN);
	assert_int_equal(work_of(w, 0).allocs.n, 0);
	assert_false(work_of(w, 0).complete);
	tell(w, 0, report, NULL);
	assert_int_equal(work_of(w, 0).allocs.n, 1);
	assert_true(work_of(w, 0).complete);
	world_free(w);
}

static void test_a_node_that_never_tells_is_ready_after_a_while_and_asked_to_stop_what_was_given_up(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);

	hear(w, 0);
	world_live(w, 29 * SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_INIT);
	world_live(w, 2 * SECOND);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	assert_string_equal(away_event(w, 0), "Node ready, although it did not report its allocations");
	struct node_work work = work_of(w, 0);

	assert_true(work.complete);
	assert_string_equal(((struct allocation *)work.allocs.v[0])->desired_status, "stop");
	/* Too late: it has been told. */
	tell(w, 0, 0, (const struct saying[]){{.alloc = original, .status = "running"}, {0}});
	assert_stopped(original);
	assert_goes_on(copy);
	world_free(w);
}

static void test_the_end_of_an_earlier_report_makes_nobody_ready(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);
	uint64_t first = hear(w, 0);

	away_fall_silent(w, 0);
	for (int i = 0; i < 60 && world_node(w, 0)->status == NODE_INIT; i++)
		away_silence(w, 0, SECOND);
	uint64_t second = hear(w, 0);

	assert_true(second > first);
	tell(w, 0, first, NULL);
	assert_int_equal(world_node(w, 0)->status, NODE_INIT);
	tell(w, 0, second, NULL);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	world_free(w);
}

static void test_a_node_with_nothing_to_tell_is_ready_at_once(void **state UNUSED)
{
	struct world *w = world_new();

	world_add_node(w, 0);
	away_fall_silent(w, 0);
	assert_int_equal(world_node(w, 0)->status, NODE_DOWN);
	assert_int_equal(hear(w, 0), 0);
	assert_int_equal(world_node(w, 0)->status, NODE_READY);
	world_free(w);
}

static void test_a_server_that_starts_again_waits_on_for_what_a_node_has_to_tell(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);

	uint64_t report = hear(w, 0);
	uint64_t digest = state_digest(core_state(w->c));

	core_close(w->c);
	world_open_core(w);
	assert_true(state_digest(core_state(w->c)) == digest);
	original = state_alloc(core_state(w->c), world_first_alloc(w, "web")->id);
	assert_int_equal(hear(w, 0), report);
	come_back(w, original, "running");
	assert_goes_on(original);
	digest = state_digest(core_state(w->c));
	core_close(w->c);
	world_open_core(w);
	assert_true(state_digest(core_state(w->c)) == digest);
	world_free(w);
}

static void test_a_report_that_names_one_allocation_twice_is_taken(void **state UNUSED)
{
	struct alloc *original, *copy;
	struct world *w = with_copy(make_service, NULL, &original, &copy);

	tell(w, 0, hear(w, 0),
	    (const struct saying[]){{.alloc = original, .status = "running"}, {.alloc = original, .status = "running"}, {0}});
	assert_goes_on(original);
	assert_stopped(copy);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_a_block_the_healthy_original_goes_on_and_the_copy_stops),
	    cmocka_unit_test(test_without_a_block_a_copy_that_runs_goes_on_when_the_original_does_not),
	    cmocka_unit_test(test_keep_original_keeps_it),
	    cmocka_unit_test(test_keep_replacement_stops_the_original),
	    cmocka_unit_test(test_best_score_keeps_the_one_on_the_better_node),
	    cmocka_unit_test(test_longest_running_keeps_the_one_that_began_first),
	    cmocka_unit_test(test_of_three_that_come_back_one_goes_on),
	    cmocka_unit_test(test_an_original_that_is_back_before_its_copy_has_found_a_place_goes_on_alone),
	    cmocka_unit_test(test_an_original_that_failed_meanwhile_leaves_its_name_to_the_copy),
	    cmocka_unit_test(test_an_original_without_a_copy_that_failed_meanwhile_follows_its_policy),
	    cmocka_unit_test(test_batch_work_that_was_completed_meanwhile_is_done_and_its_copy_stops),
	    cmocka_unit_test(test_batch_work_that_its_client_stopped_is_not_done),
	    cmocka_unit_test(test_what_is_being_stopped_there_does_not_go_on),
	    cmocka_unit_test(test_an_original_whose_job_was_stopped_meanwhile_is_stopped),
	    cmocka_unit_test(test_an_original_of_an_older_version_is_stopped_where_one_of_the_new_version_runs),
	    cmocka_unit_test(test_an_original_that_only_changes_its_number_goes_on),
	    cmocka_unit_test(test_a_node_that_was_emptied_gets_nothing_back),
	    cmocka_unit_test(test_a_copy_that_leaves_its_node_goes_when_its_replacement_gives_way),
	    cmocka_unit_test(test_a_node_that_has_told_nothing_is_initializing_and_gets_no_work),
	    cmocka_unit_test(test_it_is_not_asked_to_stop_what_was_given_up_before_it_has_told_of_it),
	    cmocka_unit_test(test_what_it_has_not_begun_is_not_begun_before_it_has_told_what_it_has),
	    cmocka_unit_test(test_a_node_that_never_tells_is_ready_after_a_while_and_asked_to_stop_what_was_given_up),
	    cmocka_unit_test(test_the_end_of_an_earlier_report_makes_nobody_ready),
	    cmocka_unit_test(test_a_node_with_nothing_to_tell_is_ready_at_once),
	    cmocka_unit_test(test_a_server_that_starts_again_waits_on_for_what_a_node_has_to_tell),
	    cmocka_unit_test(test_a_report_that_names_one_allocation_twice_is_taken),
	};
	return RUN_TESTS(tests);
}
