/* model: the tables, lists and maps, copies and comparison. */
#include "base/model.h"
#include "tests/lib/random_object.h"
#include "tests/lib/test.h"

static void test_every_type_is_found_by_its_name_and_every_field_by_its_own(void **state)
{
	(void)state;
	for (uint32_t i = 0; model_types[i]; i++) {
		const struct type *t = model_types[i];

		assert_ptr_equal(model_type(t->name), t);
		assert_true(t->n > 0 && t->n <= 64);
		for (uint32_t k = 0; k < t->n; k++) {
			assert_ptr_equal(model_field(t, t->fields[k].json), &t->fields[k]);
			assert_true(t->fields[k].offset >= sizeof(uint64_t));
			assert_true(t->fields[k].offset < t->size);
		}
	}
	assert_null(model_type("NoSuchType"));
	assert_null(model_field(&type_job, "NoSuchField"));
	assert_null(model_field(&type_job, "id"));
}

static void test_names_are_unique_within_a_type(void **state)
{
	(void)state;
	for (uint32_t i = 0; model_types[i]; i++) {
		const struct type *t = model_types[i];

		for (uint32_t k = 1; k < t->n; k++)
			assert_true(strcmp(t->fields[t->by_name[k - 1]].json,
					t->fields[t->by_name[k]].json) < 0);
	}
}

static void test_a_copy_is_equal_and_shares_nothing(void **state)
{
	(void)state;
	for (uint32_t i = 0; model_types[i]; i++) {
		struct rng r = {i + 1};
		struct arena *a = arena_new(), *b = arena_new();
		void *obj = random_object(&r, a, model_types[i], 3);
		void *copy = model_copy(b, model_types[i], obj);
		struct rng again = {i + 1};
		struct arena *c = arena_new();

		assert_true(model_equal(model_types[i], obj, copy, 0));
		arena_free(a); /* what the copy shares is gone now, and the sanitizer watches */
		assert_true(model_equal(
		    model_types[i], copy, random_object(&again, c, model_types[i], 3), 0));
		arena_free(b);
		arena_free(c);
	}
}

static void test_one_changed_scalar_makes_objects_differ(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	for (uint32_t i = 0; model_types[i]; i++) {
		const struct type *t = model_types[i];
		struct rng r = {i + 77};
		char *obj = random_object(&r, a, t, 1);

		for (uint32_t k = 0; k < t->n; k++) {
			const struct field *f = &t->fields[k];
			char *other = model_copy(a, t, obj);

			if (f->kind != FIELD_INT)
				continue;
			*(uint64_t *)(other + f->offset) += 1;
			assert_false(model_equal(t, obj, other, 0));
			if (f->flags)
				assert_true(model_equal(t, obj, other, f->flags));
		}
	}
	arena_free(a);
}

static void test_has_tells_a_given_zero_from_none(void **state)
{
	struct job a = {0}, b = {0};

	(void)state;
	MODEL_SET(job, &a, priority, 0);
	assert_true(MODEL_HAS(job, &a, priority));
	assert_false(model_equal(&type_job, &a, &b, 0));
	MODEL_DEFAULT(job, &a, priority, 50);
	MODEL_DEFAULT(job, &b, priority, 50);
	assert_int_equal(a.priority, 0);
	assert_int_equal(b.priority, 50);
	MODEL_UNSET(job, &b, priority);
	assert_int_equal(b.has, 0);
	assert_int_equal(b.priority, 0);
}

static void test_a_given_zero_is_none_where_that_is_asked_for(void **state)
{
	struct task a = {0}, b = {0};
	struct task_group g = {0}, h = {0};

	(void)state;
	MODEL_SET(task, &b, user, "");
	assert_false(model_equal(&type_task, &a, &b, 0));
	assert_true(model_equal(&type_task, &a, &b, MODEL_UNSET_IS_ZERO));
	MODEL_SET(task, &b, user, "root");
	assert_false(model_equal(&type_task, &a, &b, MODEL_UNSET_IS_ZERO));
	/* Where unset prints as null it means something else than zero. */
	MODEL_SET(task_group, &h, shutdown_delay, 0);
	assert_false(model_equal(&type_task_group, &g, &h, MODEL_UNSET_IS_ZERO));
}

static void test_maps_stay_sorted_and_replace(void **state)
{
	struct arena *a = arena_new();
	struct rng r = {5};
	struct strmap m = {0};
	char key[16];

	(void)state;
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%u", rng_below(&r, 100));
		strmap_set(a, &m, key, i == 499 ? "last" : "x");
	}
	assert_true(m.n <= 100);
	for (uint32_t i = 1; i < m.n; i++)
		assert_true(strcmp(m.v[i - 1].key, m.v[i].key) < 0);
	assert_string_equal(strmap_get(&m, key), "last");
	assert_null(strmap_get(&m, "nosuch"));
	arena_free(a);
}

static void test_a_list_that_was_built_by_hand_can_be_pushed_to(void **state)
{
	struct arena *a = arena_new();
	const char *items[3] = {"a", "b", "c"};
	struct strs l = {.v = items, .n = 3};

	(void)state;
	for (int i = 0; i < 100; i++)
		strs_push(a, &l, "more");
	assert_int_equal(l.n, 103);
	assert_string_equal(l.v[2], "c");
	assert_string_equal(l.v[102], "more");
	assert_string_equal(items[2], "c");
	assert_true(strs_has(&l, "b"));
	assert_false(strs_has(&l, "z"));
	arena_free(a);
}

static void test_groups_and_tasks_are_found_by_name(void **state)
{
	struct arena *a = arena_new();
	struct job *j = MODEL_NEW(a, job);
	struct task_group *g = MODEL_NEW(a, task_group);
	struct task *t = MODEL_NEW(a, task);
	uint32_t seen = 0;

	(void)state;
	MODEL_SET(task_group, g, name, "g");
	MODEL_SET(task, t, name, "t");
	objs_push(a, &g->tasks, t);
	objs_push(a, &j->task_groups, g);
	assert_ptr_equal(job_group(j, "g"), g);
	assert_ptr_equal(group_task(g, "t"), t);
	assert_null(job_group(j, "t"));
	OBJS_EACH(&j->task_groups, struct task_group, each)
		seen += each == g;
	assert_int_equal(seen, 1);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_type_is_found_by_its_name_and_every_field_by_its_own),
	    cmocka_unit_test(test_names_are_unique_within_a_type),
	    cmocka_unit_test(test_a_copy_is_equal_and_shares_nothing),
	    cmocka_unit_test(test_one_changed_scalar_makes_objects_differ),
	    cmocka_unit_test(test_has_tells_a_given_zero_from_none),
	    cmocka_unit_test(test_a_given_zero_is_none_where_that_is_asked_for),
	    cmocka_unit_test(test_maps_stay_sorted_and_replace),
	    cmocka_unit_test(test_a_list_that_was_built_by_hand_can_be_pushed_to),
	    cmocka_unit_test(test_groups_and_tasks_are_found_by_name),
	};

	return RUN_TESTS(tests);
}
