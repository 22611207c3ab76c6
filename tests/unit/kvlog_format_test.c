/* The values of the fenced log: what is packed is read back, and nothing that is damaged is taken for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "discovery/kvlog_format.h"

struct seen {
	uint64_t n, first, last, bytes;
};

static int see(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	if (!s->n++)
		s->first = index;
	s->last = index;
	s->bytes += n;
	assert_true(!n || *(const char *)p == 'a' + (char)(index % 26));
	return 0;
}

static struct kvlog_run make_run(uint64_t first, uint64_t n, size_t size)
{
	struct kvlog_run r = {0};
	cleanup_free char *text = xmalloc(size + 1);

	for (uint64_t i = first; i < first + n; i++) {
		memset(text, 'a' + (int)(i % 26), size);
		kvlog_run_add(&r, i, text, size);
	}
	return r;
}

static void round_trip(uint64_t first, uint64_t n, size_t size, bool compressed)
{
	struct kvlog_run r = make_run(first, n, size);
	struct uuid nonce = uuid_random();
	cleanup_buf struct buf packed = BUF_INIT;
	struct kvlog_value v;
	struct seen s = {0};
	struct err e = ERR_INIT;

	kvlog_pack(&r, nonce, &packed);
	assert_int_equal(kvlog_read(packed.data, packed.len, &v, &e), 0);
	assert_true(uuid_eq(v.nonce, nonce));
	assert_int_equal(v.compressed, compressed);
	assert_int_equal(v.first, first);
	assert_int_equal(v.last, first + n - 1);
	assert_int_equal(kvlog_unpack(&v, see, &s, &e), 0);
	assert_int_equal(s.n, n);
	assert_int_equal(s.first, first);
	assert_int_equal(s.last, first + n - 1);
	assert_int_equal(s.bytes, n * size);
	kvlog_run_free(&r);
}

static void test_what_is_packed_is_read_back(void **unused)
{
	(void)unused;
	round_trip(1, 1, 0, false);
	round_trip(7, 3, 20, false);
	round_trip(1000, 500, 100, true);
}

static void test_every_damaged_byte_is_noticed(void **unused)
{
	struct kvlog_run r = make_run(5, 4, 100);
	cleanup_buf struct buf packed = BUF_INIT;
	struct err e = ERR_INIT;

	(void)unused;
	kvlog_pack(&r, uuid_random(), &packed);
	for (size_t i = 0; i < packed.len; i++) {
		struct kvlog_value v;

		packed.data[i] ^= 0x41;
		assert_true(kvlog_read(packed.data, packed.len, &v, &e) < 0);
		packed.data[i] ^= 0x41;
	}
	for (size_t n = 0; n < packed.len; n++) {
		struct kvlog_value v;

		assert_true(kvlog_read(packed.data, n, &v, &e) < 0);
	}
	err_clear(&e);
	kvlog_run_free(&r);
}

static void test_a_newer_format_is_refused_by_name(void **unused)
{
	struct kvlog_run r = make_run(1, 1, 1);
	cleanup_buf struct buf packed = BUF_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct kvlog_value v;
	struct log_head h;
	struct err e = ERR_INIT;
	static const char head[] = "{\"Format\":2,\"Seq\":1,\"Index\":1}", feature[] = "{\"Format\":1,\"Feature\":99}";

	(void)unused;
	kvlog_pack(&r, uuid_random(), &packed);
	packed.data[4] = KVLOG_FORMAT + 1;
	assert_int_equal(kvlog_read(packed.data, packed.len, &v, &e), -EPROTONOSUPPORT);
	assert_non_null(strstr(err_str(&e), "newer release"));
	assert_int_equal(kvlog_take_head(head, strlen(head), a, &h, &e), -EPROTONOSUPPORT);
	assert_int_equal(kvlog_take_head(feature, strlen(feature), a, &h, &e), -EPROTONOSUPPORT);
	assert_non_null(strstr(err_str(&e), "feature level 99"));
	err_clear(&e);
	kvlog_run_free(&r);
}

static void test_a_run_in_parts_names_them(void **unused)
{
	struct kvlog_run r = make_run(3, 2, 10);
	cleanup_buf struct buf packed = BUF_INIT, stand_in = BUF_INIT;
	struct uuid nonce = uuid_random();
	struct kvlog_value v;
	struct err e = ERR_INIT;

	(void)unused;
	kvlog_pack(&r, nonce, &packed);
	kvlog_pack_parts(&r, nonce, &packed, 4, &stand_in);
	assert_int_equal(kvlog_read(stand_in.data, stand_in.len, &v, &e), 0);
	assert_int_equal(v.parts, 4);
	assert_int_equal(v.parts_bytes, packed.len);
	assert_true(uuid_eq(v.nonce, nonce));
	assert_int_equal(v.first, 3);
	assert_int_equal(v.last, 4);
	kvlog_run_free(&r);
}

static int see_record(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	assert_int_equal(index, 0);
	buf_put(b, p, n);
	return 0;
}

static void test_a_snapshot_is_a_run_without_indexes(void **unused)
{
	struct kvlog_run r = {0};
	cleanup_buf struct buf packed = BUF_INIT, got = BUF_INIT;
	struct kvlog_value v;
	struct err e = ERR_INIT;

	(void)unused;
	kvlog_run_add_record(&r, "one ", 4);
	kvlog_run_add_record(&r, "two", 3);
	kvlog_pack(&r, uuid_random(), &packed);
	assert_int_equal(kvlog_read(packed.data, packed.len, &v, &e), 0);
	assert_int_equal(kvlog_unpack(&v, see_record, &got, &e), 0);
	assert_string_equal(got.data, "one two");
	kvlog_run_free(&r);
}

static void test_head_and_manifest_are_read_back(void **unused)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf b = BUF_INIT;
	struct log_head h = {.format = 1, .feature = 1, .seq = 9, .index = 77, .id = "x", .name = "n", .address = "h:1"}, got;
	struct log_manifest m = {.format = 1, .seq = 4, .index = 5, .chunks = 2, .bytes = 10, .crc = 3, .nonce = "q"}, m2;
	struct err e = ERR_INIT;

	(void)unused;
	kvlog_put_head(&b, &h);
	assert_int_equal(kvlog_take_head(b.data, b.len, a, &got, &e), 0);
	assert_int_equal(got.index, 77);
	assert_string_equal(got.address, "h:1");
	buf_clear(&b);
	kvlog_put_manifest(&b, &m);
	assert_int_equal(kvlog_take_manifest(b.data, b.len, a, &m2, &e), 0);
	assert_int_equal(m2.chunks, 2);
	assert_int_equal(kvlog_take_manifest("{\"Format\":1}", 12, a, &m2, &e), -EBADMSG);
	err_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_packed_is_read_back),
	    cmocka_unit_test(test_every_damaged_byte_is_noticed),
	    cmocka_unit_test(test_a_newer_format_is_refused_by_name),
	    cmocka_unit_test(test_a_run_in_parts_names_them),
	    cmocka_unit_test(test_a_snapshot_is_a_run_without_indexes),
	    cmocka_unit_test(test_head_and_manifest_are_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
