/* The forms in which the command line prints: sizes, tables, order, figures in a tree, reasons. */
#include "base/map.h"
#include "daemon/cli_alloc.h"
#include "tests/lib/test.h"

#include <jansson.h>

struct setting {
	struct map flags;
	struct arena *arena;
	struct cmd_args args;
	struct cli c;
};

static int setup(void **state)
{
	static const struct cmd cmd = {.words = "node status", .usage = ""};
	struct setting *s = xcalloc(1, sizeof(*s));

	s->arena = arena_new();
	s->args = (struct cmd_args){.cmd = &cmd, .flags = &s->flags, .arena = s->arena};
	s->c = (struct cli){.args = &s->args, .arena = s->arena};
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct setting *s = *state;

	map_free(&s->flags);
	arena_free(s->arena);
	free(s);
	return 0;
}

static void give_flag(struct setting *s, const char *name, const char *value)
{
	struct strs *l = arena_alloc(s->arena, sizeof(*l));

	strs_push(s->arena, l, value);
	map_set(&s->flags, name, l);
}

static void test_sizes_are_written_as_nomad_writes_them(void **state)
{
	static const struct {
		int64_t bytes;
		const char *text;
	} cases[] = {{0, "0 B"}, {7, "7 B"}, {11, "11 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {2484, "2.4 KiB"},
	    {4096, "4.0 KiB"}, {10240, "10 KiB"}, {32 << 20, "32 MiB"}, {943718400, "900 MiB"}, {1572864000, "1.5 GiB"},
	    {25276510208, "24 GiB"}, {270553174016, "252 GiB"}, {INT64_C(1) << 50, "1.0 PiB"}, {INT64_MAX, "8.0 EiB"}};
	char text[SIZE_STR];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(size_format(cases[i].bytes, text), cases[i].text);
}

/* What is printed into a file while fn runs. */
static char *printed(void (*fn)(struct setting *s, FILE *out), struct setting *s)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	fn(s, out);
	fclose(out);
	return text;
}

static void put_table(struct setting *s, FILE *out)
{
	struct table t = table_new(s->arena, "<none>");

	table_row(&t, "ID|Name|Last");
	table_row(&t, "1|\xc3\xa9t\xc3\xa9|");
	table_cell(&t, "%d", 22);
	table_cell(&t, "%s", "a longer one");
	table_cell(&t, "%s", "z");
	table_end_row(&t);
	table_print(&t, out);
	t = table_new(s->arena, "");
	table_row(&t, "A|B");
	table_row(&t, "1|");
	table_print_indented(&t, out, 2);
	t = table_new(s->arena, "<none>");
	kv(&t, "ID", "%s", "x");
	kv(&t, "Node Class", "%s", "");
	kv_print(&t, out);
}

static void test_columns_stand_below_each_other(void **state)
{
	cleanup_free char *text = printed(put_table, *state);

	assert_string_equal(text, "ID  Name          Last\n"
	                          "1   \xc3\xa9t\xc3\xa9           <none>\n"
	                          "22  a longer one  z\n"
	                          "  A  B\n"
	                          "  1  \n"
	                          "ID         = x\n"
	                          "Node Class = <none>\n");
}

static int64_t index_of(const void *item)
{
	return ((const struct alloc_stub *)item)->create_index;
}

static void test_lists_begin_with_the_newest_and_equals_keep_their_order(void **state)
{
	static const int64_t indexes[] = {3, 9, 3, 7, 9, 3};
	static const char *const sorted[] = {"1", "4", "3", "0", "2", "5"};
	struct setting *s = *state;
	struct objs list = {0};

	for (size_t i = 0; i < ARRAY_LEN(indexes); i++) {
		struct alloc_stub *a = MODEL_NEW(s->arena, alloc_stub);

		a->id = arena_printf(s->arena, "%zu", i);
		a->create_index = indexes[i];
		objs_push(s->arena, &list, a);
	}
	show_newest_first(&list, index_of);
	for (uint32_t i = 0; i < list.n; i++)
		assert_string_equal(((struct alloc_stub *)list.v[i])->id, sorted[i]);
}

static void put_allocs(struct setting *s, FILE *out)
{
	struct objs list = {0};
	struct alloc_stub *a = MODEL_NEW(s->arena, alloc_stub);

	show_allocs(&s->c, &list, true, out);
	a->id = a->eval_id = "2e015db1-8231-7fb0-ec6a-acf29d32b0e4";
	a->node_id = "7c22f537-0cfd-36ed-df29-b815ef9a4c7a";
	a->node_name = "node1";
	a->task_group = "app";
	a->job_version = 3;
	a->desired_status = "run";
	a->client_status = "running";
	objs_push(s->arena, &list, a);
	show_allocs(&s->c, &list, true, out);
}

static void test_allocations_are_listed_short_and_whole(void **state)
{
	struct setting *s = *state;
	cleanup_free char *brief = printed(put_allocs, s), *whole = NULL;

	assert_string_equal(brief, "No allocations placed\n"
	                           "ID        Node ID   Task Group  Version  Desired  Status   Created  Modified\n"
	                           "2e015db1  7c22f537  app         3        run      running  <none>   <none>\n");
	give_flag(s, "verbose", "true");
	whole = printed(put_allocs, s);
	assert_non_null(strstr(whole, "Node Name  Task Group"));
	assert_non_null(strstr(whole, "  7c22f537-0cfd-36ed-df29-b815ef9a4c7a  node1      app"));
}

static void put_failures(struct setting *s, FILE *out)
{
	struct eval *e = MODEL_NEW(s->arena, eval);
	struct alloc_metric *m = MODEL_NEW(s->arena, alloc_metric), *none = MODEL_NEW(s->arena, alloc_metric);

	m->nodes_evaluated = 3;
	m->nodes_exhausted = 2;
	m->coalesced_failures = 1;
	intmap_set(s->arena, &m->constraint_filtered, "${attr.kernel.name} = plan9", 1);
	intmap_set(s->arena, &m->class_filtered, "ci", 1);
	intmap_set(s->arena, &m->dimension_exhausted, "memory", 2);
	intmap_set(s->arena, &none->nodes_available, "dc9", 0);
	objmap_set(s->arena, &e->failed_tg_allocs, "huge", m);
	objmap_set(s->arena, &e->failed_tg_allocs, "nowhere", none);
	show_failures(e, "\n", out);
}

static void test_reasons_are_the_lines_that_scripts_know(void **state)
{
	cleanup_free char *text = printed(put_failures, *state);

	assert_string_equal(text, "Task Group \"huge\" (failed to place 2 allocations):\n"
	                          "  * Class \"ci\": 1 nodes excluded by filter\n"
	                          "  * Constraint \"${attr.kernel.name} = plan9\": 1 nodes excluded by filter\n"
	                          "  * Resources exhausted on 2 nodes\n"
	                          "  * Dimension \"memory\" exhausted on 2 nodes\n"
	                          "\n"
	                          "Task Group \"nowhere\" (failed to place 1 allocation):\n"
	                          "  * No nodes were eligible for evaluation\n"
	                          "  * No nodes are available in datacenter \"dc9\"\n");
}

static void test_a_tree_is_asked_by_a_path(void **state)
{
	struct setting *s = *state;
	json_t *j = json_loads("{\"a\": {\"b\": {\"n\": 7, \"f\": 1.5, \"s\": \"x\", \"t\": true, \"z\": null}}}", 0, NULL);
	const struct value *v = value_from_json(s->arena, j);

	json_decref(j);
	assert_true(show_number(v, "a.b.n") == 7 && show_number(v, "a.b.f") == 1.5 && show_number(v, "a.b.s") == 0);
	assert_string_equal(show_text(v, "a.b.s"), "x");
	assert_string_equal(show_text(v, "a.b.n"), "");
	assert_string_equal(show_text(v, "a.none.s"), "");
	assert_true(show_flag(v, "a.b.t") && !show_flag(v, "a.b.n"));
	assert_non_null(show_at(v, "a.b.z"));
	assert_null(show_at(v, "a.b.n.x"));
	assert_null(show_at(NULL, "a"));
}

static void test_queries_are_made_of_the_flags_that_were_given(void **state)
{
	static const struct query_flag flags[] = {{"filter", "filter"}, {"page-token", "next_token"}, {NULL, NULL}};
	struct setting *s = *state;

	assert_string_equal(cli_query(&s->c, flags), "");
	give_flag(s, "page-token", "9.a/b");
	assert_string_equal(cli_query(&s->c, flags), "?next_token=9.a%2Fb");
	give_flag(s, "filter", "Name == \"\xc3\xa9\"");
	assert_string_equal(cli_query(&s->c, flags), "?filter=Name%20%3D%3D%20%22%C3%A9%22&next_token=9.a%2Fb");
}

static void test_an_odd_digit_of_an_id_is_cut_off(void **state)
{
	struct setting *s = *state;

	assert_string_equal(cli_id_prefix(&s->c, "2e015db"), "2e015d");
	assert_string_equal(cli_id_prefix(&s->c, "2e015db1-8"), "2e015db1-");
	assert_string_equal(cli_id_prefix(&s->c, "2e015db1-82"), "2e015db1-82");
	assert_string_equal(cli_id_prefix(&s->c, ""), "");
}

static void test_the_tasks_of_an_allocation_are_those_of_its_group(void **state)
{
	struct setting *s = *state;
	struct allocation a = {.id = "2e015db1-8231-7fb0-ec6a-acf29d32b0e4", .task_group = "app"};
	struct job *job = MODEL_NEW(s->arena, job);
	struct task_group *g = MODEL_NEW(s->arena, task_group);
	struct task *t = MODEL_NEW(s->arena, task);

	assert_int_equal(cli_alloc_tasks(&a)->n, 0);
	g->name = "app";
	t->name = "server";
	objs_push(s->arena, &g->tasks, t);
	objs_push(s->arena, &job->task_groups, g);
	a.job = job;
	assert_string_equal(cli_alloc_only_task(&a), "server");
	assert_true(cli_alloc_has_task(&a, "server"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes_are_written_as_nomad_writes_them),
	    cmocka_unit_test_setup_teardown(test_columns_stand_below_each_other, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lists_begin_with_the_newest_and_equals_keep_their_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_allocations_are_listed_short_and_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reasons_are_the_lines_that_scripts_know, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_tree_is_asked_by_a_path, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queries_are_made_of_the_flags_that_were_given, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_an_odd_digit_of_an_id_is_cut_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_tasks_of_an_allocation_are_those_of_its_group, setup, teardown),
	};

	return RUN_TESTS(tests);
}
