/*
 * codec_fuzz: what strangers can put into an object. The first byte picks the type; the rest is read as JSON (read,
 * written, read again, written again: both texts must be the same) and as the binary form (read, written, read again:
 * both objects must be equal).
 */
#include "base/codec.h"
#include "base/diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct type *pick(uint8_t byte)
{
	uint32_t n = 0;

	while (model_types[n])
		n++;
	return model_types[byte % n];
}

static void *read_text(struct arena *a, const struct type *t, const char *p, size_t n)
{
	void *obj = arena_alloc(a, t->size);
	struct err e = ERR_INIT;
	int r = codec_from_text(t, obj, p, n, a, &e);

	if (r && (!e.msg || !*e.msg))
		die("an error without a sentence");
	err_clear(&e);
	return r ? NULL : obj;
}

static void try_json(const struct type *t, const char *p, size_t n)
{
	struct arena *a = arena_new();
	void *obj = read_text(a, t, p, n), *again;
	struct buf one = BUF_INIT, two = BUF_INIT;

	if (obj) {
		codec_to_json(&one, t, obj, CODEC_PEER, 0, 0);
		again = read_text(a, t, one.data, one.len);
		if (!again)
			die("%s is not read back: %s", t->name, one.data);
		codec_to_json(&two, t, again, CODEC_PEER, 0, 0);
		if (strcmp(one.data, two.data) != 0)
			die("%s changes: %s, %s", t->name, one.data, two.data);
		buf_clear(&two);
		codec_to_json(&two, t, obj, CODEC_PARSED, 4, 0);
		if (t == &type_job) {
			buf_clear(&two);
			diff_to_json(&two, diff_jobs(a, NULL, obj, true), 0, 0);
			diff_to_json(&two, diff_jobs(a, obj, again, false), 4, 0);
		}
	}
	buf_free(&one);
	buf_free(&two);
	arena_free(a);
}

static void try_binary(const struct type *t, const void *p, size_t n)
{
	struct arena *a = arena_new();
	void *obj = arena_alloc(a, t->size), *again = arena_alloc(a, t->size);
	struct wire w = wire_reader(p, n);
	struct buf b = BUF_INIT;

	if (codec_take(&w, t, obj, a) == 0) {
		codec_put(&b, t, obj);
		w = wire_reader(b.data, b.len);
		if (codec_take(&w, t, again, a) || !wire_end(&w))
			die("%s is not read back from its binary form", t->name);
		buf_clear(&b);
		codec_to_json(&b, t, again, CODEC_API, 0, 0);
		if (!model_equal(t, obj, model_copy(a, t, obj), 0) && !strstr(b.data, "null"))
			die("%s has a copy that differs", t->name);
	}
	buf_free(&b);
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	try_json(pick(data[0]), (const char *)data + 1, size - 1);
	try_binary(pick(data[0]), data + 1, size - 1);
	return 0;
}
