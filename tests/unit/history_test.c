/* The core and its journal: refusals, crashes, and random histories that replay to the same state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "base/file.h"
#include "tests/lib/world.h"

/* ---- the journal ---- */

static void test_a_full_journal_refuses_and_changes_nothing(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	struct core_eval_reply out;
	struct err e = ERR_INIT;
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "before", "batch", 1, 10, 10));
	journal_memory_set_limit(w->j, 1);
	uint64_t digest = state_digest(core_state(w->c));
	struct core_register_request req = {.job = fixture_job(w->a, "web", "service", 1, 10, 10)};
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), -ENOSPC);
	world_settle(w); /* the evaluation that waits is tried, refused, and left for later */
	assert_true(digest == state_digest(core_state(w->c)));
	assert_true(core_next_deadline(w->c) <= w->now + 10 * SECOND);
	journal_memory_set_limit(w->j, 0);
	world_pass_time(w, 10 * SECOND);
	assert_int_equal(world_job(w, "before")->n_allocs, 1);
	assert_int_equal(core_job_register(w->c, &req, w->now, &out, &e), 0);
	err_clear(&e);
	world_free(w);
}

static void test_what_was_not_committed_is_gone_after_a_crash(void **unused)
{
	(void)unused;
	struct world *w = world_new();
	world_add_node(w, 0);
	world_run_job(w, fixture_job(w->a, "kept", "service", 1, 10, 10));
	world_settle(w);
	uint64_t digest = state_digest(core_state(w->c));
	world_run_job(w, fixture_job(w->a, "lost", "service", 1, 10, 10));
	assert_true(core_committed(w->c) < core_state(w->c)->index);
	core_close(w->c);
	journal_memory_crash(w->j);
	world_open_core(w);
	assert_null(world_job(w, "lost"));
	assert_true(digest == state_digest(core_state(w->c)));
	world_free(w);
}

static void random_op(struct world *w)
{
	static const char *types[] = {"service", "batch", "system", "sysbatch"};
	static const char *statuses[] = {"running", "complete", "failed", "running"};
	struct core_eval_reply out;
	struct core_node_reply hello;
	uint64_t index;
	char id[32];
	unsigned n = (unsigned)fixture_below(&w->rng, 8);
	snprintf(id, sizeof(id), "job-%u", n);
	struct job_entry *j = world_job(w, id);
	struct alloc *a = j && j->n_allocs ? world_first_alloc(w, id) : NULL;
	for (uint64_t k = a ? fixture_below(&w->rng, j->n_allocs) : 0; k; k--)
		a = CONTAINER_OF(a->by_job.next, struct alloc, by_job);
	struct job *spec = fixture_job(w->a, id, types[n % 4], 1 + (int64_t)fixture_below(&w->rng, 6),
	    500 * (int64_t)(1 + fixture_below(&w->rng, 3)), 1000);
	if (n > 4)
		fixture_add_port(w->a, spec, "http");
	struct core_register_request req = {.job = spec};
	switch (fixture_below(&w->rng, 14)) {
	case 0: case 1:
		core_job_register(w->c, &req, w->now, &out, NULL);
		break;
	case 2:
		core_job_deregister(w->c, "default", id, fixture_below(&w->rng, 2), 0, w->now, &out, NULL);
		break;
	case 3:
		core_node_register(w->c, fixture_node(w->a, n), w->now, &hello, NULL);
		break;
	case 4: case 5: case 6: case 7:
		if (a && a->node)
			world_report(w, a, statuses[fixture_below(&w->rng, 4)]);
		break;
	case 8:
		core_node_heartbeat(w->c, fixture_node_id(n), w->now, &hello, NULL);
		break;
	case 9:
		core_node_eligibility(w->c, fixture_node_id(n), fixture_below(&w->rng, 2), w->now, &index, NULL);
		break;
	case 10:
		if (a)
			core_alloc_stop(w->c, a->id, false, w->now, &out, NULL);
		break;
	case 11:
		core_job_evaluate(w->c, "default", id, fixture_below(&w->rng, 2), w->now, &out, NULL);
		break;
	case 12:
		core_job_revert(w->c, "default", id, fixture_below(&w->rng, 3), -1, w->now, &out, NULL);
		break;
	default:
		if (!fixture_below(&w->rng, 4))
			core_gc(w->c, w->now, &index, NULL);
		else
			world_pass_time(w, (int64_t)fixture_below(&w->rng, 40) * SECOND);
	}
	for (uint64_t k = fixture_below(&w->rng, 5); k; k--)
		core_step(w->c, w->now);
}

/* No node gives away more than it has. */
static bool node_is_sound(void *arg, struct node_entry *n)
{
	(void)arg;
	assert_true(n->used.cpu <= n->total.cpu && n->used.memory <= n->total.memory && n->used.disk <= n->total.disk);
	return true;
}

static void random_history(uint64_t seed, struct journal *j, struct journal *(*reopen)(struct journal *))
{
	struct world *w = xcalloc(1, sizeof(*w));
	*w = (struct world){.j = j, .now = WORLD_START, .a = arena_new(), .rng = seed, .config = {.seed = seed}};
	world_open_core(w);
	for (int batch = 0; batch < 20; batch++) {
		for (int i = 0; i < 30; i++)
			random_op(w);
		state_each_node(core_state(w->c), node_is_sound, NULL);
		world_commit(w);
		if (batch % 5 == 4)
			assert_int_equal(core_snapshot(w->c, NULL), 0);
		uint64_t live = state_digest(core_state(w->c));
		core_close(w->c);
		w->j = reopen(w->j);
		world_open_core(w);
		if (live != state_digest(core_state(w->c)))
			fail_msg("seed %llu, batch %d: the replayed state is another", (unsigned long long)seed, batch);
	}
	world_settle(w);
	world_free(w);
}

static struct journal *same(struct journal *j)
{
	return j;
}

static void test_random_histories_replay_to_the_same_state(void **unused)
{
	(void)unused;
	uint64_t base = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
	for (uint64_t seed = base; seed < base + 6; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		random_history(seed, journal_memory_new(), same);
	}
}

static char dir[64];

static struct journal *open_file(void)
{
	struct journal *j = NULL;
	struct journal_file_config c = {.dir = dir, .segment_size = 1 << 16, .sync = false};
	assert_int_equal(journal_file_open(&c, &j, NULL), 0);
	return j;
}

static struct journal *reopen_file(struct journal *j)
{
	j->ops->close(j);
	return open_file();
}

static void test_random_histories_replay_from_files(void **unused)
{
	(void)unused;
	snprintf(dir, sizeof(dir), "/tmp/drover-core-XXXXXX");
	assert_non_null(mkdtemp(dir));
	random_history(77, open_file(), reopen_file);
	dir_remove(dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_full_journal_refuses_and_changes_nothing),
	    cmocka_unit_test(test_what_was_not_committed_is_gone_after_a_crash),
	    cmocka_unit_test(test_random_histories_replay_to_the_same_state),
	    cmocka_unit_test(test_random_histories_replay_from_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
