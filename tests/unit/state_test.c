/* The state: entries change it, a replay and a snapshot rebuild it bit for bit, damaged entries are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "sched/entry.h"
#include "sched/snapshot.h"
#include "sched/uuid_table.h"
#include "tests/lib/fixture.h"

/* A state with its history. */
struct world {
	struct state *s;
	struct buf *entries;
	uint32_t n;
	struct buf e; /* being written */
	uint64_t rng;
	uint64_t ids;
};

static struct uuid new_id(struct world *w)
{
	return uuid_derive((struct uuid){.hi = 7, .lo = 7}, ++w->ids);
}

static void begin(struct world *w)
{
	entry_begin(&w->e, (int64_t)w->n * SECOND);
}

static void apply(struct world *w)
{
	struct err e = ERR_INIT;
	if (state_apply(w->s, w->s->index + 1, w->e.data, w->e.len, &e))
		fail_msg("entry %u: %s", w->n + 1, err_str(&e));
	w->entries = xrealloc(w->entries, w->n + 1, sizeof(*w->entries));
	w->entries[w->n] = BUF_INIT;
	buf_put(&w->entries[w->n++], w->e.data, w->e.len);
}

static struct world *world_new(uint64_t seed)
{
	struct world *w = xcalloc(1, sizeof(*w));
	w->s = state_new();
	w->rng = seed;
	begin(w);
	entry_genesis(&w->e, (struct uuid){1, 2}, (struct uuid){3, 4});
	apply(w);
	return w;
}

static void world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		buf_free(&w->entries[i]);
	free(w->entries);
	buf_free(&w->e);
	state_free(w->s);
	free(w);
}

static struct state *replayed(const struct world *w)
{
	struct state *s = state_new();
	for (uint32_t i = 0; i < w->n; i++)
		assert_int_equal(state_apply(s, i + 1, w->entries[i].data, w->entries[i].len, NULL), 0);
	return s;
}

static void put_into(void *arg, const void *p, size_t n)
{
	struct err e = ERR_INIT;
	if (state_apply(arg, 0, p, n, &e))
		fail_msg("snapshot: %s", err_str(&e));
}

static struct state *restored(const struct state *from)
{
	struct state *s = state_new();
	snapshot_write(from, put_into, s);
	return s;
}

/* ---- random histories ---- */

static void *pick(struct world *w, struct uuid_table *t)
{
	uint32_t n = uuid_table_count(t), i = 0;
	if (!n)
		return NULL;
	void *obj = NULL;
	for (uint64_t k = fixture_below(&w->rng, n) + 1; k-- > 0;)
		obj = uuid_table_next(t, &i);
	return obj;
}

static struct job_entry *pick_job(struct world *w)
{
	char id[32];
	snprintf(id, sizeof(id), "job-%u", (unsigned)fixture_below(&w->rng, 6));
	return state_job(w->s, "default", id);
}

static bool do_job(struct world *w, struct arena *a)
{
	static const char *types[] = {"service", "batch", "system", "sysbatch"};
	char id[32];
	unsigned n = (unsigned)fixture_below(&w->rng, 6);
	snprintf(id, sizeof(id), "job-%u", n);
	struct job *j = fixture_job(a, id, types[n % 4], 1 + (int64_t)fixture_below(&w->rng, 20), 10, 20);
	if (n % 2)
		fixture_add_port(a, j, "http");
	if (!fixture_below(&w->rng, 4))
		MODEL_SET(job, j, stop, true);
	struct job_submission *sub = MODEL_NEW(a, job_submission);
	MODEL_SET(job_submission, sub, source, "job {}");
	entry_job(&w->e, j, fixture_below(&w->rng, 2) ? sub : NULL);
	return true;
}

static bool do_node(struct world *w, struct arena *a)
{
	struct node *n = fixture_node(a, (unsigned)fixture_below(&w->rng, 8));
	MODEL_SET(node, n, status, "ready");
	MODEL_SET(node, n, computed_class, "v1:1");
	entry_node(&w->e, n);
	return true;
}

static struct eval *make_eval(struct world *w, struct arena *a, const struct job_entry *j, const char *status)
{
	struct eval *ev = MODEL_NEW(a, eval);
	char id[UUID_STR];
	MODEL_SET(eval, ev, id, arena_strdup(a, uuid_format(new_id(w), id)));
	MODEL_SET(eval, ev, namespace, j->ns);
	MODEL_SET(eval, ev, job_id, j->id);
	MODEL_SET(eval, ev, status, status);
	MODEL_SET(eval, ev, priority, 50);
	intmap_set(a, &ev->queued_allocations, "g", (int64_t)fixture_below(&w->rng, 3));
	ev->has |= MODEL_BIT(eval, queued_allocations);
	return ev;
}

static void add_place(struct world *w, struct arena *a, struct plan *p, struct node_entry *n)
{
	struct placement *x = &p->places[p->n_places];
	bool derived = fixture_below(&w->rng, 3);
	*x = (struct placement){
	    .id = derived ? uuid_derive(p->seed, p->n_places) : new_id(w),
	    .node = n,
	    .index = p->n_places,
	    .metric = fixture_below(&w->rng, 4) ? 0 : PLACE_NO_METRIC,
	    .score = (float)fixture_below(&w->rng, 100) / 7,
	    .canary = !fixture_below(&w->rng, 10),
	};
	x->ports = arena_alloc(a, sizeof(*x->ports) * 4);
	x->ports[0].value = (uint16_t)(20000 + fixture_below(&w->rng, 5000));
	if (!fixture_below(&w->rng, 5))
		x->previous = pick(w, w->s->allocs);
	if (x->previous) {
		x->tracker = MODEL_NEW(a, reschedule_tracker);
		MODEL_SET(reschedule_tracker, x->tracker, last_reschedule, "ok");
	}
	p->n_places++;
}

static bool do_plan(struct world *w, struct arena *a)
{
	struct job_entry *j = pick_job(w);
	if (!j)
		return false;
	static const char *statuses[] = {"complete", "failed", "blocked", "pending"};
	struct placement places[8];
	struct plan_stop stops[4];
	struct plan_mark marks[4];
	struct plan p = {.seed = new_id(w), .version = j->current, .places = places, .stops = stops, .marks = marks};
	p.eval = make_eval(w, a, j, statuses[fixture_below(&w->rng, 2)]);
	struct alloc_metric *m = MODEL_NEW(a, alloc_metric);
	MODEL_SET(alloc_metric, m, nodes_evaluated, 8);
	objs_push(a, &p.metrics, m);
	for (uint64_t i = fixture_below(&w->rng, 8); i-- > 0;) {
		struct node_entry *n = pick(w, w->s->nodes_by_id);
		if (n)
			add_place(w, a, &p, n);
	}
	for (uint64_t i = fixture_below(&w->rng, 4); i-- > 0;) {
		struct alloc *x = pick(w, w->s->allocs);
		if (x)
			stops[p.n_stops++] = (struct plan_stop){.alloc = x, .desired = (enum desired)(1 + i % 2),
			    .observed = i % 2 ? OBSERVED_LOST : -1, .description = "test", .followup_eval = new_id(w)};
	}
	for (uint64_t i = fixture_below(&w->rng, 4); i-- > 0;) {
		struct alloc *x = pick(w, w->s->allocs);
		if (x && x->version->job == j)
			marks[p.n_marks++] = (struct plan_mark){.alloc = x, .followup_eval = new_id(w),
			    .move_version = j->current->asks[0].n_ports == x->version->asks[0].n_ports};
	}
	if (fixture_below(&w->rng, 2))
		objs_push(a, &p.new_evals, make_eval(w, a, j, statuses[j->blocked ? 3 : 2 + fixture_below(&w->rng, 2)]));
	entry_plan(&w->e, &p);
	return true;
}

static bool do_update(struct world *w, struct arena *a)
{
	static const char *statuses[] = {"pending", "running", "complete", "failed"};
	struct alloc *x = pick(w, w->s->allocs);
	if (!x)
		return false;
	struct alloc_update *u = MODEL_NEW(a, alloc_update);
	struct task_state *t = MODEL_NEW(a, task_state);
	MODEL_SET(alloc_update, u, client_status, statuses[fixture_below(&w->rng, 4)]);
	MODEL_SET(task_state, t, state, "running");
	MODEL_SET(task_state, t, restarts, (int64_t)fixture_below(&w->rng, 5));
	if (fixture_below(&w->rng, 3)) {
		objmap_set(a, &u->task_states, "t", t);
		u->has |= MODEL_BIT(alloc_update, task_states);
	}
	size_t o = entry_open(&w->e, ENTRY_ALLOC_UPDATES);
	entry_alloc_update(&w->e, x->id, u);
	entry_close(&w->e, o);
	return true;
}

static bool do_small(struct world *w, struct arena *a)
{
	struct node_entry *n = pick(w, w->s->nodes_by_id);
	struct alloc *x = pick(w, w->s->allocs);
	struct eval_entry *ev = pick(w, w->s->evals);
	struct job_entry *j = pick_job(w);
	struct desired_transition t = {0};
	struct scheduler_config config = {0};
	MODEL_SET(desired_transition, &t, migrate, true);
	MODEL_SET(scheduler_config, &config, scheduler_algorithm, "spread");
	(void)a;
	switch (fixture_below(&w->rng, 9)) {
	case 0:
		return n && (entry_node_status(&w->e, n->id, (enum node_status)fixture_below(&w->rng, 4), "why"), true);
	case 1:
		return n && (entry_node_eligibility(&w->e, n->id, fixture_below(&w->rng, 2), ""), true);
	case 2:
		return n && !fixture_below(&w->rng, 4) && (entry_node_delete(&w->e, n->id), true);
	case 3:
		return ev && (entry_eval_cancel(&w->e, ev->id, "canceled"), true);
	case 4:
		return j && (entry_job_stable(&w->e, j->ns, j->id, j->current->version, true), true);
	case 5:
		return j && !fixture_below(&w->rng, 3) && (entry_job_purge(&w->e, j->ns, j->id), true);
	case 6:
		return x && (entry_alloc_transition(&w->e, x->id, &t), true);
	case 7:
		return entry_config(&w->e, &config), true;
	default:
		if (!x && !ev)
			return false;
		size_t o = entry_open(&w->e, x ? ENTRY_ALLOC_DELETE : ENTRY_EVAL_DELETE);
		wire_put_uuid(&w->e, x ? x->id : ev->id);
		entry_close(&w->e, o);
		return true;
	}
}

static void random_step(struct world *w)
{
	static bool (*const steps[])(struct world *, struct arena *) = {
	    do_job, do_node, do_plan, do_plan, do_plan, do_update, do_update, do_small, do_small, do_small};
	cleanup_arena struct arena *a = arena_new();
	begin(w);
	if (steps[fixture_below(&w->rng, ARRAY_LEN(steps))](w, a))
		apply(w);
}

/* Counters that are kept up to date must be what counting gives. */
static bool count_job(void *arg, struct job_entry *j)
{
	uint32_t n = 0, live = 0;
	(void)arg;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		n++;
		live += !alloc_is_terminal(a);
	}
	assert_int_equal(n, j->n_allocs);
	assert_int_equal(live, j->n_live);
	return true;
}

static bool count_node(void *arg, struct node_entry *n)
{
	struct amount used = {0};
	uint32_t live = 0;
	(void)arg;
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a)) {
		assert_ptr_equal(a->node, n);
		if (!alloc_holds(a))
			continue;
		live++;
		used.cpu += a->version->asks[a->group].amount.cpu;
		used.memory += a->version->asks[a->group].amount.memory;
	}
	assert_int_equal(live, n->used.allocs);
	assert_int_equal(used.cpu, n->used.cpu);
	assert_int_equal(used.memory, n->used.memory);
	return true;
}

static void test_replay_and_snapshot_equal_the_live_state_on_random_histories(void **unused)
{
	(void)unused;
	uint64_t base = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
	for (uint64_t seed = base; seed < base + 8; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		struct world *w = world_new(seed);
		for (int batch = 0; batch < 12; batch++) {
			for (int i = 0; i < 50; i++)
				random_step(w);
			uint64_t live = state_digest(w->s);
			struct state *again = replayed(w), *copy = restored(w->s), *twice = restored(copy);
			assert_true(live == state_digest(again));
			assert_true(live == state_digest(copy));
			assert_true(live == state_digest(twice));
			state_each_job(w->s, count_job, NULL);
			state_each_node(w->s, count_node, NULL);
			state_each_node(copy, count_node, NULL);
			state_free(again);
			state_free(copy);
			state_free(twice);
		}
		world_free(w);
	}
}

static void test_the_digest_sees_a_change(void **unused)
{
	(void)unused;
	struct world *w = world_new(5);
	uint64_t last = 0;
	for (int i = 0; i < 100; i++) {
		random_step(w);
		if (w->n > 1 && state_digest(w->s) != last)
			last = state_digest(w->s);
	}
	struct state *s = replayed(w);
	struct node_entry *n = NULL;
	for (uint32_t i = 0; !n && i < s->cap_nodes; i++)
		n = s->nodes[i];
	assert_non_null(n);
	n->used.cpu++;
	assert_true(state_digest(s) != last);
	n->used.cpu--;
	assert_true(state_digest(s) == last);
	state_free(s);
	world_free(w);
}

static void test_entries_out_of_order_are_refused(void **unused)
{
	(void)unused;
	struct world *w = world_new(1);
	struct err e = ERR_INIT;
	begin(w);
	assert_int_equal(state_apply(w->s, 1, w->e.data, w->e.len, &e), -EBADMSG);
	assert_int_equal(state_apply(w->s, 3, w->e.data, w->e.len, &e), -EBADMSG);
	assert_non_null(strstr(err_str(&e), "index 3 follows index 1"));
	err_clear(&e);
	world_free(w);
}

/* Entries that the sums of the frames let through and that are wrong all the same. */
static void test_garbled_entries_never_crash(void **unused)
{
	(void)unused;
	struct world *w = world_new(3);
	for (int i = 0; i < 150; i++)
		random_step(w);
	for (int round = 0; round < 300; round++) {
		struct state *s = state_new();
		uint32_t target = (uint32_t)fixture_below(&w->rng, w->n);
		for (uint32_t i = 0; i < w->n; i++) {
			struct buf *b = &w->entries[i];
			size_t at = fixture_below(&w->rng, b->len);
			char kept = b->data[at];
			if (i == target)
				b->data[at] = (char)fixture_random(&w->rng);
			int r = state_apply(s, i + 1, b->data, b->len, NULL);
			b->data[at] = kept;
			if (r)
				break;
		}
		state_free(s);
	}
	world_free(w);
}

static void test_summaries_count_what_clients_report(void **unused)
{
	(void)unused;
	struct world *w = world_new(1);
	cleanup_arena struct arena *a = arena_new();
	begin(w);
	struct node *node = fixture_node(a, 0);
	MODEL_SET(node, node, status, "ready");
	entry_node(&w->e, node);
	entry_job(&w->e, fixture_job(a, "web", "service", 2, 100, 200), NULL);
	apply(w);
	struct job_entry *j = state_job(w->s, "default", "web");
	assert_int_equal(j->status, JOB_PENDING);
	struct placement places[2] = {
	    {.node = w->s->nodes[0], .metric = PLACE_NO_METRIC, .id = uuid_derive((struct uuid){9, 9}, 0)},
	    {.node = w->s->nodes[0], .metric = PLACE_NO_METRIC, .index = 1, .id = uuid_derive((struct uuid){9, 9}, 1)}};
	struct plan p = {.seed = {9, 9}, .version = j->current, .places = places, .n_places = 2};
	p.eval = make_eval(w, a, j, "complete");
	begin(w);
	entry_plan(&w->e, &p);
	apply(w);
	const struct group_summary *sum = objmap_get(&j->summary, "g");
	assert_int_equal(sum->starting, 2);
	assert_int_equal(j->status, JOB_RUNNING);
	assert_int_equal(w->s->nodes[0]->used.memory, 400);
	assert_int_equal(w->s->nodes[0]->alloc_index, w->s->index);
	struct alloc_update u = {0};
	MODEL_SET(alloc_update, &u, client_status, "complete");
	begin(w);
	size_t o = entry_open(&w->e, ENTRY_ALLOC_UPDATES);
	entry_alloc_update(&w->e, places[0].id, &u);
	entry_close(&w->e, o);
	apply(w);
	assert_int_equal(sum->starting, 1);
	assert_int_equal(sum->complete, 1);
	assert_int_equal(w->s->nodes[0]->used.memory, 200);
	struct alloc *done = state_alloc(w->s, places[0].id);
	assert_int_equal(done->modify_index, w->s->index);
	assert_int_not_equal(done->alloc_modify_index, w->s->index);
	/* What ended does not come back. */
	MODEL_SET(alloc_update, &u, client_status, "running");
	begin(w);
	o = entry_open(&w->e, ENTRY_ALLOC_UPDATES);
	entry_alloc_update(&w->e, places[0].id, &u);
	entry_close(&w->e, o);
	apply(w);
	assert_int_equal(done->observed, OBSERVED_COMPLETE);
	world_free(w);
}

static void test_six_versions_of_a_job_are_kept(void **unused)
{
	(void)unused;
	struct world *w = world_new(1);
	cleanup_arena struct arena *a = arena_new();
	for (int i = 0; i < 9; i++) {
		begin(w);
		entry_job(&w->e, fixture_job(a, "web", "service", i, 100, 200), NULL);
		apply(w);
	}
	struct job_entry *j = state_job(w->s, "default", "web");
	assert_int_equal(j->n_versions, JOB_VERSIONS_KEPT);
	assert_int_equal(j->current->version, 8);
	assert_non_null(job_find_version(j, 3));
	assert_null(job_find_version(j, 2));
	assert_int_equal(j->create_index, 2);
	world_free(w);
}

/* ---- the table ---- */

static void test_the_table_finds_and_forgets_like_a_list(void **unused)
{
	(void)unused;
	for (int ordered = 0; ordered < 2; ordered++) {
		struct uuid_table *t = uuid_table_new(ordered);
		enum { N = 3000 };
		struct uuid *objs = xcalloc(N, sizeof(*objs));
		bool *in = xcalloc(N, sizeof(*in));
		uint64_t rng = 11;
		for (uint64_t i = 0; i < N; i++)
			objs[i] = ordered ? uuid_derive((struct uuid){5, 5}, i) : (struct uuid){0, i + 1};
		for (int step = 0; step < 30000; step++) {
			uint64_t i = fixture_below(&rng, N);
			assert_ptr_equal(uuid_table_get(t, objs[i]), in[i] ? &objs[i] : NULL);
			if (in[i])
				assert_ptr_equal(uuid_table_del(t, objs[i]), &objs[i]);
			else
				uuid_table_add(t, &objs[i]);
			in[i] = !in[i];
		}
		uint32_t want = 0, got = 0;
		void **found = xcalloc(N, sizeof(void *));
		struct uuid first, last;
		for (uint64_t i = 0; i < N; i++)
			want += in[i];
		assert_int_equal(uuid_table_count(t), want);
		for (int digit = 0; digit < 16; digit++) {
			assert_int_equal(uuid_prefix((char[]){"0123456789abcdef"[digit], 0}, &first, &last), 0);
			uint32_t n = uuid_table_range(t, first, last, found, N);
			for (uint32_t i = 1; i < n; i++)
				assert_true(uuid_cmp(*(struct uuid *)found[i - 1], *(struct uuid *)found[i]) < 0);
			got += n;
		}
		assert_int_equal(got, want);
		uuid_table_free(t);
		free(found);
		free(objs);
		free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replay_and_snapshot_equal_the_live_state_on_random_histories),
	    cmocka_unit_test(test_the_digest_sees_a_change),
	    cmocka_unit_test(test_entries_out_of_order_are_refused),
	    cmocka_unit_test(test_garbled_entries_never_crash),
	    cmocka_unit_test(test_summaries_count_what_clients_report),
	    cmocka_unit_test(test_six_versions_of_a_job_are_kept),
	    cmocka_unit_test(test_the_table_finds_and_forgets_like_a_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
