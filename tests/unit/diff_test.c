/* diff: what `job plan` shows, for the changes that people make. */
#include "base/codec.h"
#include "base/diff.h"
#include "tests/lib/random_object.h"
#include "tests/lib/test.h"

static const char *const base_job =
    "{\"ID\":\"web\",\"Name\":\"web\",\"Type\":\"service\",\"Priority\":50,\"Datacenters\":[\"dc1\"],"
    "\"TaskGroups\":[{\"Name\":\"app\",\"Count\":2,\"Tasks\":[{\"Name\":\"server\",\"Driver\":\"raw_exec\","
    "\"Config\":{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"sleep 2\"]},\"Env\":{\"VERSION\":\"1b\"},"
    "\"Resources\":{\"CPU\":100,\"MemoryMB\":64}}]}]}";

static struct job *parse(struct arena *a, const char *text)
{
	struct job *j = MODEL_NEW(a, job);
	cleanup_err struct err e = ERR_INIT;

	if (codec_from_text(&type_job, j, text, strlen(text), a, &e))
		fail_msg("%s", err_str(&e));
	return j;
}

static void put_object(struct buf *b, const struct diff_object *o, int depth)
{
	static const char *const signs[] = {" ", "+", "-", "~"};

	buf_printf(b, "%*s%s %s\n", depth * 2, "", signs[o->type], o->name);
	for (uint32_t i = 0; i < o->fields.n; i++) {
		const struct diff_field *f = o->fields.v[i];

		buf_printf(b, "%*s%s %s: %s => %s\n", depth * 2 + 2, "", signs[f->type], f->name, f->old,
		    f->new);
	}
	for (uint32_t i = 0; i < o->objects.n; i++)
		put_object(b, o->objects.v[i], depth + 1);
	for (uint32_t i = 0; i < o->tasks.n; i++)
		put_object(b, o->tasks.v[i], depth + 1);
}

/* The diff as an indented text: + added, - deleted, ~ edited. */
static void show(struct buf *b, const struct job_diff *d)
{
	struct diff_object top = {
	    .type = d->type, .name = d->id, .fields = d->fields, .objects = d->objects};

	put_object(b, &top, 0);
	for (uint32_t i = 0; i < d->task_groups.n; i++)
		put_object(b, d->task_groups.v[i], 1);
}

static void expect(const struct job *old, const struct job *new, bool contextual, const char *want)
{
	struct arena *a = arena_new();
	cleanup_buf struct buf b = BUF_INIT;

	show(&b, diff_jobs(a, old, new, contextual));
	assert_string_equal(b.data, want);
	arena_free(a);
}

static void test_equal_jobs_differ_in_nothing_but_list_their_groups(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	expect(parse(a, base_job), parse(a, base_job), true, "  web\n    app\n      server\n");
	arena_free(a);
}

static void test_a_count_is_a_field_of_its_group(void **state)
{
	struct arena *a = arena_new();
	struct job *new = parse(a, base_job);

	(void)state;
	job_group(new, "app")->count = 3;
	expect(parse(a, base_job), new, true, "~ web\n  ~ app\n    ~ Count: 2 => 3\n      server\n");
	arena_free(a);
}

static void test_config_env_and_resources_are_shown_with_their_context(void **state)
{
	struct arena *a = arena_new();
	struct job *new = parse(a, base_job);
	struct task *t = group_task(job_group(new, "app"), "server");

	(void)state;
	strmap_set(a, &t->env, "VERSION", "2");
	strmap_set(a, &t->env, "DEBUG", "yes");
	t->resources->cpu = 150;
	t->config = value_copy(a, t->config);
	t->config->items[0]->items[1] = value_str(a, "sleep 3");
	expect(parse(a, base_job), new, true,
	    "~ web\n"
	    "  ~ app\n"
	    "    ~ server\n"
	    "      + Env[DEBUG]:  => yes\n"
	    "      ~ Env[VERSION]: 1b => 2\n"
	    "      ~ Config\n"
	    "          args[0]: -c => -c\n"
	    "        ~ args[1]: sleep 2 => sleep 3\n"
	    "          command: /bin/sh => /bin/sh\n"
	    "      ~ Resources\n"
	    "        ~ CPU: 100 => 150\n"
	    "          Cores: 0 => 0\n"
	    "          DiskMB: 0 => 0\n"
	    "          IOPS: 0 => 0\n"
	    "          MemoryMB: 64 => 64\n"
	    "          MemoryMaxMB: 0 => 0\n");
	arena_free(a);
}

static void test_a_new_job_is_added_field_by_field_as_recorded(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	expect(NULL, parse(a, base_job), true,
	    "+ web\n"
	    "  + AllAtOnce:  => false\n"
	    "  + Dispatched:  => false\n"
	    "  + Name:  => web\n"
	    "  + Priority:  => 50\n"
	    "  + Stop:  => false\n"
	    "  + Type:  => service\n"
	    "  + Datacenters\n"
	    "    + Datacenters:  => dc1\n"
	    "  + app\n"
	    "    + Count:  => 2\n"
	    "    + server\n"
	    "      + Driver:  => raw_exec\n"
	    "      + Env[VERSION]:  => 1b\n"
	    "      + KillTimeout:  => 0\n"
	    "      + Leader:  => false\n"
	    "      + ShutdownDelay:  => 0\n"
	    "      + Config\n"
	    "        + args[0]:  => -c\n"
	    "        + args[1]:  => sleep 2\n"
	    "        + command:  => /bin/sh\n"
	    "      + Resources\n"
	    "        + CPU:  => 100\n"
	    "        + Cores:  => 0\n"
	    "        + DiskMB:  => 0\n"
	    "        + IOPS:  => 0\n"
	    "        + MemoryMB:  => 64\n"
	    "        + MemoryMaxMB:  => 0\n");
	arena_free(a);
}

static void test_a_renamed_group_is_one_deleted_and_one_added(void **state)
{
	struct arena *a = arena_new();
	struct job *new = parse(a, base_job);
	cleanup_buf struct buf b = BUF_INIT;

	(void)state;
	job_group(new, "app")->name = "zapp";
	show(&b, diff_jobs(a, parse(a, base_job), new, false));
	assert_non_null(strstr(b.data, "\n  - app\n"));
	assert_non_null(strstr(b.data, "\n  + zapp\n"));
	arena_free(a);
}

static void test_constraints_are_matched_by_content_and_services_by_name(void **state)
{
	struct arena *a = arena_new();
	const char *old = "{\"ID\":\"j\",\"Constraints\":[{\"LTarget\":\"a\"},{\"LTarget\":\"b\"}],"
			  "\"TaskGroups\":[{\"Name\":\"g\",\"Services\":[{\"Name\":\"s\",\"PortLabel\":\"x\"}]}]}";
	const char *new = "{\"ID\":\"j\",\"Constraints\":[{\"LTarget\":\"b\"},{\"LTarget\":\"c\"}],"
			  "\"TaskGroups\":[{\"Name\":\"g\",\"Services\":[{\"Name\":\"s\",\"PortLabel\":\"y\"}]}]}";

	(void)state;
	expect(parse(a, old), parse(a, new), false,
	    "~ j\n"
	    "  - Constraint\n"
	    "    - LTarget: a => \n"
	    "  + Constraint\n"
	    "    + LTarget:  => c\n"
	    "  ~ g\n"
	    "    ~ Service\n"
	    "      ~ PortLabel: x => y\n");
	arena_free(a);
}

static void test_bookkeeping_and_secrets_do_not_count_but_a_stop_does(void **state)
{
	struct arena *a = arena_new();
	struct job *new = parse(a, base_job);

	(void)state;
	MODEL_SET(job, new, version, 7);
	MODEL_SET(job, new, status, "running");
	MODEL_SET(job, new, modify_index, 99);
	MODEL_SET(job, new, vault_token, "secret");
	expect(parse(a, base_job), new, true, "  web\n    app\n      server\n");
	MODEL_SET(job, new, stop, true);
	expect(parse(a, base_job), new, true, "~ web\n  ~ Stop: false => true\n    app\n      server\n");
	arena_free(a);
}

static void test_json_has_the_shape_of_a_plan_answer(void **state)
{
	struct arena *a = arena_new();
	struct job *new = parse(a, "{\"ID\":\"j\",\"Priority\":60}");
	cleanup_buf struct buf b = BUF_INIT;

	(void)state;
	diff_to_json(&b, diff_jobs(a, parse(a, "{\"ID\":\"j\",\"Priority\":50}"), new, true), 0, 0);
	assert_string_equal(b.data,
	    "{\"Fields\":[{\"Annotations\":null,\"Name\":\"Priority\",\"New\":\"60\",\"Old\":\"50\","
	    "\"Type\":\"Edited\"}],\"ID\":\"j\",\"Objects\":null,\"TaskGroups\":null,\"Type\":\"Edited\"}");
	arena_free(a);
}

/* Groups of a job and tasks of a group have different names; admission sees to that. */
static void name_all(struct arena *a, struct job *j)
{
	OBJS_EACH(&j->task_groups, struct task_group, g) {
		MODEL_SET(task_group, g, name, arena_printf(a, "g%u", g_i));
		OBJS_EACH(&g->tasks, struct task, t)
			MODEL_SET(task, t, name, arena_printf(a, "t%u", t_i));
	}
}

static void test_random_jobs_differ_from_themselves_in_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 60; seed++) {
		struct rng r = {seed};
		struct arena *a = arena_new();
		struct job *j = random_object(&r, a, &type_job, 4);
		struct job *k = random_object(&r, a, &type_job, 4);
		cleanup_buf struct buf b = BUF_INIT;

		name_all(a, j);
		name_all(a, k);
		assert_int_equal(
		    diff_jobs(a, j, model_copy(a, &type_job, j), true)->type, DIFF_NONE);
		diff_to_json(&b, diff_jobs(a, j, k, true), 4, 0);
		assert_true(b.len > 0);
		arena_free(a);
	}
}

static void test_huge_lists_do_not_take_forever(void **state)
{
	struct arena *a = arena_new();
	struct job *old = MODEL_NEW(a, job), *new = MODEL_NEW(a, job);
	char text[32];

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "a%u", i);
		strs_push(a, &old->datacenters, text);
		text[0] = 'b';
		strs_push(a, &new->datacenters, text);
	}
	assert_int_equal(diff_jobs(a, old, new, false)->type, DIFF_EDITED);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_equal_jobs_differ_in_nothing_but_list_their_groups),
	    cmocka_unit_test(test_a_count_is_a_field_of_its_group),
	    cmocka_unit_test(test_config_env_and_resources_are_shown_with_their_context),
	    cmocka_unit_test(test_a_new_job_is_added_field_by_field_as_recorded),
	    cmocka_unit_test(test_a_renamed_group_is_one_deleted_and_one_added),
	    cmocka_unit_test(test_constraints_are_matched_by_content_and_services_by_name),
	    cmocka_unit_test(test_bookkeeping_and_secrets_do_not_count_but_a_stop_does),
	    cmocka_unit_test(test_json_has_the_shape_of_a_plan_answer),
	    cmocka_unit_test(test_random_jobs_differ_from_themselves_in_nothing),
	    cmocka_unit_test(test_huge_lists_do_not_take_forever),
	};

	return RUN_TESTS(tests);
}
