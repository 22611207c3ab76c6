/* The bricks that have no state of their own: buf, arena, map, heap, err, uuid, wire. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/uuid.h"
#include "base/wire.h"
#include "tests/lib/random_object.h"
#include "tests/lib/test.h"

#include <errno.h>

static void test_a_buffer_is_a_string_whatever_was_put(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		buf_printf(&b, "%d,", i);
		assert_int_equal(strlen(b.data), b.len);
	}
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	buf_puts(&b, "abcdef");
	buf_drop_front(&b, 2);
	assert_string_equal(b.data, "cdef");
	buf_drop_front(&b, 100);
	assert_string_equal(b.data, "");
	buf_free(&b);
	assert_null(b.data);
}

static void test_a_long_printf_is_not_cut(void **state)
{
	cleanup_buf struct buf b = BUF_INIT;
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	buf_printf(&b, "<%s>", text);
	assert_int_equal(b.len, sizeof(text) + 1);
	assert_int_equal(b.data[b.len - 1], '>');
}

static void test_past_its_ceiling_a_buffer_drops_and_says_so(void **state)
{
	cleanup_buf struct buf b = BUF_INIT;

	(void)state;
	buf_init(&b, 10);
	buf_puts(&b, "0123456789");
	assert_false(b.full);
	buf_putc(&b, 'x');
	assert_true(b.full);
	buf_puts(&b, "");
	assert_string_equal(b.data, "0123456789");
	buf_clear(&b);
	buf_puts(&b, "again");
	assert_false(b.full);
	assert_string_equal(b.data, "again");
}

static void test_taking_an_empty_buffer_gives_an_empty_string(void **state)
{
	struct buf b = BUF_INIT;
	char *s = buf_take(&b);

	(void)state;
	assert_string_equal(s, "");
	free(s);
}

static void what_arenas_give_back_serves_the_next_ones(void **state)
{
	(void)state;
	arena_keep_chunks();
	for (int round = 0; round < 3; round++) {
		struct arena *many[100]; /* more than are kept of a size */

		for (size_t i = 0; i < ARRAY_LEN(many); i++) {
			many[i] = arena_new();
			for (size_t size = 1; size < 40000; size = 3 * size + 7) {
				char *zeroed = arena_alloc(many[i], size);

				for (size_t k = 0; k < size; k += 1 + size / 7)
					assert_int_equal(zeroed[k], 0);
				memset(zeroed, 'x', size);
			}
		}
		for (size_t i = 0; i < ARRAY_LEN(many); i++)
			arena_free(many[i]);
	}
}

static void test_arena_memory_is_zeroed_aligned_and_about_as_large_as_asked(void **state)
{
	struct arena *a = arena_new();
	struct rng r = {1};
	size_t asked = 0;

	(void)state;
	assert_true(arena_size(a) <= 1024);
	for (int i = 0; i < 3000; i++) {
		size_t n = rng_below(&r, 100) ? rng_below(&r, 200) : rng_below(&r, 100000);
		unsigned char *p = arena_alloc(a, n);

		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xff, n);
		asked += n;
	}
	assert_true(arena_size(a) < asked * 2 + 4096);
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_null(arena_strdup(a, NULL));
	assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
	arena_free(a);
	arena_free(NULL);
}

/* Against an array of flags, which cannot be wrong. */
static void test_a_map_agrees_with_an_array(void **state)
{
	static char present[500];
	struct map m = MAP_INIT;
	struct rng r = {2};
	uint32_t n = 0;
	char key[16];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		uint32_t k = rng_below(&r, ARRAY_LEN(present));
		void *before;

		snprintf(key, sizeof(key), "key-%u", k);
		if (rng_below(&r, 2)) {
			before = map_set(&m, key, &present[k]);
			assert_int_equal(before != NULL, present[k]);
			n += !present[k];
			present[k] = 1;
		} else {
			before = map_del(&m, key);
			assert_int_equal(before != NULL, present[k]);
			n -= present[k];
			present[k] = 0;
		}
		assert_int_equal(m.n, n);
		assert_int_equal(map_get(&m, key) != NULL, present[k]);
	}
	assert_true(m.cap <= 4 * ARRAY_LEN(present));
	map_free(&m);
}

static void test_the_current_item_may_be_deleted_while_iterating(void **state)
{
	struct map m = MAP_INIT;
	uint32_t seen = 0;
	const char *key;
	char name[16];
	void *value;

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%d", i);
		map_set(&m, name, &m);
	}
	for (uint32_t i = 0; map_next(&m, &i, &key, &value);) {
		assert_ptr_equal(value, &m);
		assert_ptr_equal(map_del(&m, key), &m);
		seen++;
	}
	assert_int_equal(seen, 100);
	assert_int_equal(m.n, 0);
	map_free(&m);
}

static void test_a_heap_gives_its_items_in_order_first_come_first_served(void **state)
{
	static struct heap_item items[400];
	struct heap h = HEAP_INIT;
	struct rng r = {3};
	const struct heap_item *before = NULL;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		struct heap_item *it = &items[rng_below(&r, ARRAY_LEN(items))];

		if (rng_below(&r, 4))
			heap_set(&h, it, rng_below(&r, 50));
		else
			heap_remove(&h, it);
		for (uint32_t k = 1; k <= h.n; k++)
			assert_int_equal(h.items[k]->pos, k);
	}
	while (heap_first(&h)) {
		struct heap_item *it = heap_first(&h);

		if (before)
			assert_true(before->key < it->key ||
			    (before->key == it->key && before->seq < it->seq));
		before = it;
		heap_remove(&h, it);
		assert_int_equal(it->pos, 0);
		heap_remove(&h, it);
	}
	heap_free(&h);
}

static void test_an_error_is_wrapped_from_inside_to_outside(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, -ENOENT, "task \"%s\" is not there", "t"), -ENOENT);
	assert_int_equal(err_wrap(&e, "group \"%s\"", "g"), -ENOENT);
	assert_string_equal(err_str(&e), "group \"g\": task \"t\" is not there");
	/* Its own sentence may be an argument of the next one. */
	err_set(&e, -EIO, "again: %s", err_str(&e));
	assert_string_equal(err_str(&e), "again: group \"g\": task \"t\" is not there");
	err_clear(&e);
	assert_int_equal(e.code, 0);
	assert_int_equal(err_set(NULL, -EIO, "nobody asks"), -EIO);
}

static void test_ids_have_one_text(void **state)
{
	static const char *const bad[] = {"", "2e015db1", "2e015db1-8231-7fb0-ec6a-acf29d32b0e",
	    "2e015db1-8231-7fb0-ec6a-acf29d32b0e44", "2E015DB1-8231-7fb0-ec6a-acf29d32b0e4",
	    "2e015db18231-7fb0-ec6a-acf29d32b0e4-", "2e015db1-8231-7fb0-ec6a-acf29d32b0eg"};
	struct uuid u, v;
	char text[UUID_STR];

	(void)state;
	assert_int_equal(uuid_parse("2e015db1-8231-7fb0-ec6a-acf29d32b0e4", &u), 0);
	assert_true(u.hi == UINT64_C(0x2e015db182317fb0) && u.lo == UINT64_C(0xec6aacf29d32b0e4));
	assert_string_equal(uuid_format(u, text), "2e015db1-8231-7fb0-ec6a-acf29d32b0e4");
	assert_string_equal(uuid_format((struct uuid){0}, text), "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(uuid_parse(bad[i], &v), -EINVAL);
	for (int i = 0; i < 1000; i++) {
		u = uuid_random();
		assert_int_equal(uuid_parse(uuid_format(u, text), &v), 0);
		assert_true(uuid_eq(u, v));
		assert_int_equal(text[14], '4');
	}
}

static void test_a_prefix_is_the_range_of_ids_that_begin_with_it(void **state)
{
	struct rng r = {4};

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct uuid u = uuid_derive((struct uuid){1, 2}, (uint64_t)i), first, last;
		char text[UUID_STR];
		struct uuid other = uuid_derive(u, 1);
		char other_text[UUID_STR];
		size_t n = 1 + rng_below(&r, 36);

		uuid_format(u, text);
		uuid_format(other, other_text);
		text[n] = 0;
		assert_int_equal(uuid_prefix(text, &first, &last), 0);
		assert_true(uuid_cmp(first, u) <= 0 && uuid_cmp(u, last) <= 0);
		assert_int_equal(uuid_cmp(first, other) <= 0 && uuid_cmp(other, last) <= 0,
		    str_starts(other_text, text));
	}
	assert_int_equal(uuid_prefix("", &(struct uuid){0}, &(struct uuid){0}), -EINVAL);
	assert_int_equal(uuid_prefix("zz", &(struct uuid){0}, &(struct uuid){0}), -EINVAL);
}

static void test_derived_ids_depend_on_nothing_but_their_inputs(void **state)
{
	struct uuid seed = {7, 9};
	struct map seen = MAP_INIT;
	char text[UUID_STR];

	(void)state;
	assert_true(uuid_eq(uuid_derive(seed, 5), uuid_derive(seed, 5)));
	for (uint64_t n = 0; n < 20000; n++) {
		assert_null(map_set(&seen, uuid_format(uuid_derive(seed, n), text), &seen));
		assert_null(map_set(&seen, uuid_format(uuid_derive((struct uuid){n, 1}, 0), text), &seen));
	}
	map_free(&seen);
}

static void test_wire_items_read_back(void **state)
{
	static const int64_t ints[] = {0, 1, -1, 63, 64, -64, -65, INT64_MAX, INT64_MIN};
	struct arena *a = arena_new();
	cleanup_buf struct buf b = BUF_INIT;
	struct wire w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		wire_put_i64(&b, ints[i]);
		wire_put_u64(&b, (uint64_t)ints[i]);
	}
	wire_put_f64(&b, -0.1);
	wire_put_str(&b, "text");
	wire_put_str(&b, NULL);
	wire_put_uuid(&b, (struct uuid){1, 2});
	w = wire_reader(b.data, b.len);
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		assert_true(wire_i64(&w) == ints[i]);
		assert_true(wire_u64(&w) == (uint64_t)ints[i]);
	}
	assert_true(wire_f64(&w) == -0.1);
	assert_string_equal(wire_str(&w, a), "text");
	assert_string_equal(wire_str(&w, a), "");
	assert_true(uuid_eq(wire_uuid(&w), (struct uuid){1, 2}));
	assert_true(wire_end(&w));
	assert_int_equal(wire_u64(&w), 0);
	assert_true(w.bad);
	arena_free(a);
}

static void test_a_reader_stops_at_the_first_bad_item(void **state)
{
	static const uint8_t over_long[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
	static const uint8_t lying[] = {0x05, 'a', 'b'};
	struct arena *a = arena_new();
	struct wire w = wire_reader(over_long, sizeof(over_long));
	size_t n = 99;

	(void)state;
	assert_int_equal(wire_u64(&w), 0);
	assert_true(w.bad);
	w = wire_reader(lying, sizeof(lying));
	assert_null(wire_bytes(&w, &n));
	assert_int_equal(n, 0);
	assert_true(w.bad);
	assert_string_equal(wire_str(&w, a), "");
	w = wire_reader(NULL, 0);
	assert_true(wire_end(&w));
	arena_free(a);
}

static void test_the_checksum_is_crc32c_in_hardware_and_by_table(void **state)
{
	static uint8_t data[4099];
	struct rng r = {6};

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_soft(0, "123456789", 9), 0xe3069283);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rng_next(&r);
	for (int i = 0; i < 500; i++) {
		size_t from = rng_below(&r, 16), n = rng_below(&r, sizeof(data) - 16), cut = rng_below(&r, (uint32_t)n + 1);
		uint32_t whole = crc32c(0, data + from, n);

		assert_int_equal(whole, crc32c_soft(0, data + from, n));
		assert_int_equal(whole, crc32c(crc32c(0, data + from, cut), data + from + cut, n - cut));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_buffer_is_a_string_whatever_was_put),
	    cmocka_unit_test(test_a_long_printf_is_not_cut),
	    cmocka_unit_test(test_past_its_ceiling_a_buffer_drops_and_says_so),
	    cmocka_unit_test(test_taking_an_empty_buffer_gives_an_empty_string),
	    cmocka_unit_test(what_arenas_give_back_serves_the_next_ones),
	    cmocka_unit_test(test_arena_memory_is_zeroed_aligned_and_about_as_large_as_asked),
	    cmocka_unit_test(test_a_map_agrees_with_an_array),
	    cmocka_unit_test(test_the_current_item_may_be_deleted_while_iterating),
	    cmocka_unit_test(test_a_heap_gives_its_items_in_order_first_come_first_served),
	    cmocka_unit_test(test_an_error_is_wrapped_from_inside_to_outside),
	    cmocka_unit_test(test_ids_have_one_text),
	    cmocka_unit_test(test_a_prefix_is_the_range_of_ids_that_begin_with_it),
	    cmocka_unit_test(test_derived_ids_depend_on_nothing_but_their_inputs),
	    cmocka_unit_test(test_wire_items_read_back),
	    cmocka_unit_test(test_a_reader_stops_at_the_first_bad_item),
	    cmocka_unit_test(test_the_checksum_is_crc32c_in_hardware_and_by_table),
	};

	return RUN_TESTS(tests);
}
