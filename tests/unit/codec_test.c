/* codec: every type of base/model.def, generated from its table, through JSON and through the binary form. */
#include "base/codec.h"
#include "tests/lib/random_object.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>

#define ROUNDS 30

static void to_text(struct buf *b, const struct type *t, const void *obj, enum codec_mode mode, int indent)
{
	buf_clear(b);
	codec_to_json(b, t, obj, mode, indent, 0);
}

static void each_type(void (*fn)(struct rng *r, struct arena *a, const struct type *t))
{
	for (uint32_t i = 0; model_types[i]; i++) {
		for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
			struct rng r = {seed * 1000003 + i};
			struct arena *a = arena_new();

			fn(&r, a, model_types[i]);
			arena_free(a);
		}
	}
}

static void json_round_trip(struct rng *r, struct arena *a, const struct type *t)
{
	void *obj = random_object(r, a, t, 3);
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;

	/* What is unset comes back as a given zero from CODEC_PEER, so only PARSED with its nulls is exact for PTR and OPT
	 * fields; values are the same in every mode. */
	for (int mode = CODEC_API; mode <= CODEC_PEER; mode++) {
		void *back = arena_alloc(a, t->size);
		cleanup_buf struct buf again = BUF_INIT;

		to_text(&b, t, obj, (enum codec_mode)mode, mode == CODEC_API ? 4 : 0);
		if (codec_from_text(t, back, b.data, b.len, a, &e))
			fail_msg("%s: %s in %s", t->name, err_str(&e), b.data);
		to_text(&again, t, back, (enum codec_mode)mode, mode == CODEC_API ? 4 : 0);
		assert_string_equal(b.data, again.data);
	}
}

static void test_json_of_every_type_reads_back_as_it_was_written(void **state)
{
	(void)state;
	each_type(json_round_trip);
}

/* Makes an object set in every field, so that JSON has no unset ones. */
static void full_json_round_trip(struct rng *r, struct arena *a, const struct type *t)
{
	char *obj = random_object(r, a, t, 0), *back = arena_alloc(a, t->size);
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->fields[i].kind <= FIELD_STR)
			*(uint64_t *)obj |= UINT64_C(1) << i;
	to_text(&b, t, obj, CODEC_PEER, 0);
	assert_int_equal(codec_from_text(t, back, b.data, b.len, a, NULL), 0);
	assert_true(model_equal(t, obj, back, 0));
}

static void test_json_of_given_fields_gives_an_equal_object(void **state)
{
	(void)state;
	each_type(full_json_round_trip);
}

static void keys_ascend(const json_t *j, bool is_object)
{
	const char *key, *before = NULL;
	json_t *item;

	if (!is_object)
		return;
	json_object_foreach((json_t *)j, key, item) {
		if (before)
			assert_true(strcmp(before, key) < 0);
		before = key;
	}
}

static void ordered(struct rng *r, struct arena *a, const struct type *t)
{
	void *obj = random_object(r, a, t, 2);
	cleanup_buf struct buf b = BUF_INIT;
	json_t *j;

	to_text(&b, t, obj, CODEC_API, 0);
	j = json_loadb(b.data, b.len, 0, NULL);
	assert_non_null(j);
	keys_ascend(j, true);
	json_decref(j);
}

static void test_keys_are_written_in_ascending_order(void **state)
{
	(void)state;
	each_type(ordered);
}

static void binary_round_trip(struct rng *r, struct arena *a, const struct type *t)
{
	void *obj = random_object(r, a, t, 3), *back = arena_alloc(a, t->size);
	cleanup_buf struct buf b = BUF_INIT;
	struct wire w;

	codec_put(&b, t, obj);
	w = wire_reader(b.data, b.len);
	assert_int_equal(codec_take(&w, t, back, a), 0);
	assert_true(wire_end(&w));
	if (!model_equal(t, obj, back, 0))
		fail_msg("%s differs after the binary round trip", t->name);
	assert_true(model_equal(t, obj, model_copy(a, t, obj), 0));
}

static void test_binary_of_every_type_gives_an_equal_object(void **state)
{
	(void)state;
	each_type(binary_round_trip);
}

/* The input lies in memory of exactly its size, so that the sanitizer sees a read past its end. */
static int take_exact(const struct type *t, const char *data, size_t n)
{
	struct arena *a = arena_new();
	char *copy = xmalloc(n);
	struct wire w;
	int r;

	memcpy(copy, data, n);
	w = wire_reader(copy, n);
	r = codec_take(&w, t, arena_alloc(a, t->size), a);
	free(copy);
	arena_free(a);
	return r;
}

static void damage(struct rng *r, struct arena *a, const struct type *t)
{
	void *obj = random_object(r, a, t, 2);
	cleanup_buf struct buf b = BUF_INIT;

	codec_put(&b, t, obj);
	for (size_t n = 0; n < b.len; n += 1 + n / 16)
		assert_int_equal(take_exact(t, b.data, n), -EBADMSG);
	for (int i = 0; i < 20; i++) {
		size_t at = rng_below(r, (uint32_t)b.len);
		char old = b.data[at];

		b.data[at] = (char)(old ^ 1 << rng_below(r, 8));
		take_exact(t, b.data, b.len);
		b.data[at] = old;
	}
}

static void test_truncated_binary_is_refused_and_flipped_bits_do_no_harm(void **state)
{
	(void)state;
	each_type(damage);
}

static void test_an_unknown_field_number_is_skipped(void **state)
{
	struct arena *a = arena_new();
	struct constraint c = {0};
	cleanup_buf struct buf b = BUF_INIT;
	struct wire w;

	(void)state;
	wire_put_u64(&b, 7);
	wire_put_u64(&b, 60 << 2 | 2); /* field 60, bytes */
	wire_put_str(&b, "x");
	wire_put_u64(&b, 1 << 2 | 2); /* rtarget */
	wire_put_str(&b, "y");
	b.data[0] = (char)(b.len - 1);
	w = wire_reader(b.data, b.len);
	assert_int_equal(codec_take(&w, &type_constraint, &c, a), 0);
	assert_string_equal(c.rtarget, "y");
	assert_int_equal(c.has, MODEL_BIT(constraint, rtarget));
	arena_free(a);
}

static void test_a_wrong_type_is_named_with_its_path(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
	    {"{\"TaskGroups\":[{\"Tasks\":[{},{\"Resources\":{\"CPU\":\"x\"}}]}]}",
		"TaskGroups[0].Tasks[1].Resources.CPU: expected an integer, got the string \"x\""},
	    {"{\"Priority\":1.5}", "Priority: expected an integer, got the number 1.5"},
	    {"{\"Meta\":{\"a\":1}}", "Meta.a: expected a string, got the number 1"},
	    {"{\"Datacenters\":\"dc1\"}", "Datacenters: expected a list of strings, got the string \"dc1\""},
	    {"{\"Datacenters\":[\"a\",null]}", "Datacenters[1]: expected a string, got null"},
	    {"{\"AllAtOnce\":0}", "AllAtOnce: expected true or false, got the number 0"},
	    {"{\"TaskGroups\":{}}", "TaskGroups: expected a list of objects, got an object"},
	    {"{\"TaskGroups\":[[]]}", "TaskGroups[0]: expected an object, got a list"},
	    {"{\"Update\":{\"Stagger\":\"soon\"}}",
		"Update.Stagger: expected a duration such as \"30s\" or \"1h30m\", got the string \"soon\""},
	    {"{\"Payload\":\"a\"}", "Payload: expected base64, got the string \"a\""},
	    {"[]", "expected an object, got a list"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a = arena_new();
		struct job *j = MODEL_NEW(a, job);
		cleanup_err struct err e = ERR_INIT;

		assert_int_equal(codec_from_text(&type_job, j, cases[i].text, strlen(cases[i].text), a, &e),
		    -EINVAL);
		assert_string_equal(err_str(&e), cases[i].sentence);
		arena_free(a);
	}
}

static void test_a_syntax_error_names_line_and_column(void **state)
{
	struct arena *a = arena_new();
	cleanup_err struct err e = ERR_INIT;
	const char *text = "{\n  \"ID\": what\n}";

	(void)state;
	assert_int_equal(
	    codec_from_text(&type_job, MODEL_NEW(a, job), text, strlen(text), a, &e), -EINVAL);
	assert_non_null(strstr(err_str(&e), "line 2, column"));
	arena_free(a);
}

static void test_unset_and_null_and_empty_are_told_apart(void **state)
{
	struct arena *a = arena_new();
	struct job *j = MODEL_NEW(a, job);
	const char *text =
	    "{\"Meta\":{},\"Datacenters\":[],\"Constraints\":null,\"Priority\":null,\"AllAtOnce\":false,"
	    "\"Unknown\":{\"x\":[1]}}";
	cleanup_buf struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(codec_from_text(&type_job, j, text, strlen(text), a, NULL), 0);
	assert_int_equal(j->has, MODEL_BIT(job, meta) | MODEL_BIT(job, datacenters) | MODEL_BIT(job, all_at_once));
	to_text(&b, &type_job, j, CODEC_PARSED, 0);
	assert_non_null(strstr(b.data, "\"Meta\":{}"));
	assert_non_null(strstr(b.data, "\"Datacenters\":[]"));
	assert_non_null(strstr(b.data, "\"Constraints\":null"));
	assert_non_null(strstr(b.data, "\"Priority\":null"));
	assert_non_null(strstr(b.data, "\"AllAtOnce\":false"));
	assert_non_null(strstr(b.data, "\"Region\":null"));
	to_text(&b, &type_job, j, CODEC_API, 0);
	assert_non_null(strstr(b.data, "\"Region\":\"\""));
	assert_non_null(strstr(b.data, "\"Priority\":0"));
	arena_free(a);
}

static void test_durations_are_read_as_text_too(void **state)
{
	struct arena *a = arena_new();
	struct update_strategy *u = MODEL_NEW(a, update_strategy);
	const char *text = "{\"Stagger\":\"1m30s\",\"MinHealthyTime\":5000000000}";

	(void)state;
	assert_int_equal(codec_from_text(&type_update_strategy, u, text, strlen(text), a, NULL), 0);
	assert_int_equal(u->stagger, 90 * SECOND);
	assert_int_equal(u->min_healthy_time, 5 * SECOND);
	arena_free(a);
}

static void test_secrets_are_printed_for_peers_only(void **state)
{
	struct arena *a = arena_new();
	struct node *n = MODEL_NEW(a, node);
	cleanup_buf struct buf b = BUF_INIT;

	(void)state;
	MODEL_SET(node, n, secret_id, "very-secret");
	to_text(&b, &type_node, n, CODEC_API, 0);
	assert_null(strstr(b.data, "very-secret"));
	to_text(&b, &type_node, n, CODEC_PEER, 0);
	assert_non_null(strstr(b.data, "very-secret"));
	arena_free(a);
}

static void test_too_much_text_and_too_deep_text_are_refused(void **state)
{
	size_t n = (16U << 20) + 1;
	struct arena *a = arena_new();
	cleanup_free char *big = xmalloc(n);
	cleanup_err struct err e = ERR_INIT;

	(void)state;
	memset(big, ' ', n);
	assert_int_equal(codec_from_text(&type_job, MODEL_NEW(a, job), big, n, a, &e), -EFBIG);
	memset(big, '[', 100000);
	assert_int_equal(codec_from_text(&type_job, MODEL_NEW(a, job), big, 100000, a, &e), -EINVAL);
	arena_free(a);
}

static void test_a_list_of_empty_objects_cannot_eat_the_memory(void **state)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct arena *a = arena_new();
	cleanup_err struct err e = ERR_INIT;

	(void)state;
	buf_puts(&b, "{\"TaskGroups\":[{}");
	for (int i = 0; i < 600000; i++)
		buf_put(&b, ",{}", 3);
	buf_puts(&b, "]}");
	assert_int_equal(codec_from_text(&type_job, MODEL_NEW(a, job), b.data, b.len, a, &e), -E2BIG);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_json_of_every_type_reads_back_as_it_was_written),
	    cmocka_unit_test(test_json_of_given_fields_gives_an_equal_object),
	    cmocka_unit_test(test_keys_are_written_in_ascending_order),
	    cmocka_unit_test(test_binary_of_every_type_gives_an_equal_object),
	    cmocka_unit_test(test_truncated_binary_is_refused_and_flipped_bits_do_no_harm),
	    cmocka_unit_test(test_an_unknown_field_number_is_skipped),
	    cmocka_unit_test(test_a_wrong_type_is_named_with_its_path),
	    cmocka_unit_test(test_a_syntax_error_names_line_and_column),
	    cmocka_unit_test(test_unset_and_null_and_empty_are_told_apart),
	    cmocka_unit_test(test_durations_are_read_as_text_too),
	    cmocka_unit_test(test_secrets_are_printed_for_peers_only),
	    cmocka_unit_test(test_too_much_text_and_too_deep_text_are_refused),
	    cmocka_unit_test(test_a_list_of_empty_objects_cannot_eat_the_memory),
	};

	return RUN_TESTS(tests);
}
