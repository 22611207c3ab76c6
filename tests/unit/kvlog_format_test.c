/* The values of the fenced log: what is packed is read back, and nothing that is damaged is taken for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "discovery/kvlog_stream.h"

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

/* In steps of so many bytes. */
static int unpack(const struct kvlog_value *v, size_t step, kvlog_entry_fn *fn, void *arg, struct err *e)
{
	struct kvlog_unpacking u = {0};
	int rc, end;

	kvlog_unpack_begin(&u, v);
	while ((rc = kvlog_unpack_step(&u, step, fn, arg, e)) > 0)
		;
	end = kvlog_unpack_end(&u, rc < 0 ? NULL : e);
	return rc < 0 ? rc : end;
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
	static const size_t steps[] = {1, 7, 4096, 1u << 20};
	struct kvlog_value v;
	struct err e = ERR_INIT;

	kvlog_pack(&r, nonce, &packed);
	assert_int_equal(kvlog_read(packed.data, packed.len, &v, &e), 0);
	assert_true(uuid_eq(v.nonce, nonce));
	assert_int_equal(v.compressed, compressed);
	assert_int_equal(v.first, first);
	assert_int_equal(v.last, first + n - 1);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct seen s = {0};

		assert_int_equal(unpack(&v, steps[i], see, &s, &e), 0);
		assert_int_equal(s.n, n);
		assert_int_equal(s.first, first);
		assert_int_equal(s.last, first + n - 1);
		assert_int_equal(s.bytes, n * size);
	}
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

/* Packs `records` of random length, cuts the result into pieces of `piece` bytes, and unpacks them. lost: bytes that are cut off. */
static int snapshot_round_trip(size_t records, size_t piece, size_t lost, struct err *e)
{
	struct kvlog_run r = {0};
	struct kvlog_packing p = {0};
	struct kvlog_unpacking u = {0};
	cleanup_buf struct buf want = BUF_INIT, packed = BUF_INIT, got = BUF_INIT;
	int rc = 0, end;

	for (size_t i = 0; i < records; i++) {
		cleanup_free char *text = xasprintf("record %zu %*d;", i, rand() % 300, rand());

		kvlog_run_add_record(&r, text, strlen(text));
		buf_puts(&want, text);
	}
	uint64_t raw = r.raw.len;

	kvlog_packing_begin(&p, &r);
	assert_null(r.raw.data);
	do {
		kvlog_packing_fill(&p, piece);
		size_t n = MIN(p.out.len, piece);

		buf_put(&packed, p.out.data, n);
		buf_drop_front(&p.out, n);
	} while (!p.ended || p.out.len);
	kvlog_packing_free(&p);
	assert_true(packed.len < want.len / 2);
	kvlog_unpack_begin_snapshot(&u, raw);
	for (size_t at = 0; at < packed.len - lost && rc == 0; at += piece) {
		kvlog_unpack_piece(&u, packed.data + at, MIN(piece, packed.len - lost - at));
		while ((rc = kvlog_unpack_step(&u, 1000, see_record, &got, e)) > 0)
			;
	}
	end = kvlog_unpack_end(&u, rc < 0 ? NULL : e);
	if (rc == 0 && end == 0)
		assert_string_equal(got.data, want.data);
	return rc < 0 ? rc : end;
}

static void test_a_snapshot_goes_through_in_pieces_of_any_size(void **unused)
{
	static const size_t pieces[] = {1, 10, 1000, 100000};
	struct err e = ERR_INIT;

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		assert_int_equal(snapshot_round_trip(3000, pieces[i], 0, &e), 0);
		assert_int_equal(snapshot_round_trip(3000, pieces[i], 1, &e), -EBADMSG);
		err_clear(&e);
	}
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
	    cmocka_unit_test(test_a_snapshot_goes_through_in_pieces_of_any_size),
	    cmocka_unit_test(test_head_and_manifest_are_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
