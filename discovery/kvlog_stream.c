#include "discovery/kvlog_stream.h"

#include <errno.h>
#include <zstd.h>

#include "base/wire.h"

#define PACK_AT_ONCE (1u << 20)

/* ---- packing ---- */

void kvlog_packing_begin(struct kvlog_packing *p, struct kvlog_run *run)
{
	kvlog_packing_free(p);
	p->raw = run->raw;
	run->raw = BUF_INIT;
	kvlog_run_free(run);
	p->zstd = ZSTD_createCCtx();
	if (!p->zstd)
		die("out of memory");
	ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, KVLOG_COMPRESS_LEVEL);
}

static void pack_some(struct kvlog_packing *p)
{
	size_t n = MIN(p->raw.len - p->at, (size_t)PACK_AT_ONCE), room = ZSTD_compressBound(n) + 64, left;
	ZSTD_inBuffer in = {p->raw.data + p->at, n, 0};
	ZSTD_outBuffer out = {buf_room(&p->out, room), room, 0};

	left = ZSTD_compressStream2(p->zstd, &out, &in, p->at + n == p->raw.len ? ZSTD_e_end : ZSTD_e_continue);
	if (ZSTD_isError(left))
		die("zstd: %s", ZSTD_getErrorName(left));
	p->at += in.pos;
	p->out.len += out.pos;
	p->ended = p->at == p->raw.len && left == 0;
}

void kvlog_packing_fill(struct kvlog_packing *p, size_t n)
{
	while (!p->ended && p->out.len < n)
		pack_some(p);
	if (p->ended)
		buf_free(&p->raw);
}

void kvlog_packing_free(struct kvlog_packing *p)
{
	ZSTD_freeCCtx(p->zstd);
	buf_free(&p->raw);
	buf_free(&p->out);
	*p = (struct kvlog_packing){0};
}

/* ---- unpacking ---- */

static void begin(struct kvlog_unpacking *u, uint64_t first, uint64_t last, uint64_t raw, bool compressed)
{
	*u = (struct kvlog_unpacking){.active = true, .index = first, .last = last, .left = raw};
	if (!compressed)
		return;
	u->zstd = ZSTD_createDCtx();
	if (!u->zstd)
		die("out of memory");
}

void kvlog_unpack_begin(struct kvlog_unpacking *u, const struct kvlog_value *v)
{
	begin(u, v->first, v->last, v->raw, v->compressed);
	kvlog_unpack_piece(u, v->body, v->body_len);
}

void kvlog_unpack_begin_snapshot(struct kvlog_unpacking *u, uint64_t raw)
{
	begin(u, 0, 0, raw, true);
}

void kvlog_unpack_piece(struct kvlog_unpacking *u, const void *p, size_t n)
{
	u->in = p;
	u->in_end = u->in + n;
}

/* Moves about so many bytes from the piece to out; *full: more may come without another piece. */
static int unpack_some(struct kvlog_unpacking *u, size_t bytes, bool *full, struct err *e)
{
	size_t room = MIN(bytes, (size_t)u->left + 1), got;
	ZSTD_inBuffer in = {u->in, (size_t)(u->in_end - u->in), 0};
	ZSTD_outBuffer out = {buf_room(&u->out, room), room, 0};

	if (u->zstd) {
		size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);

		if (ZSTD_isError(rc))
			return err_set(e, -EBADMSG, "damaged: it cannot be unpacked");
		got = out.pos;
		u->in += in.pos;
	} else {
		got = MIN(room, in.size);
		memcpy(out.dst, in.src, got);
		u->in += got;
	}
	if (got > u->left)
		return err_set(e, -EBADMSG, "damaged: it is longer than it says");
	u->out.len += got;
	u->left -= got;
	*full = got == room;
	return 0;
}

static int hand_over(struct kvlog_unpacking *u, kvlog_entry_fn *fn, void *arg, struct err *e)
{
	struct wire w = wire_reader(u->out.data, u->out.len);

	while (w.p < w.end) {
		size_t len;
		const void *entry = wire_bytes(&w, &len);
		int rc;

		if (w.bad)
			break; /* the rest of it comes */
		if (u->last && u->index > u->last)
			return err_set(e, -EBADMSG, "damaged: it has more entries than it says");
		rc = fn(arg, u->index, entry, len, e);
		if (rc < 0)
			return rc;
		u->index += u->last != 0;
		u->at = (size_t)((const char *)w.p - u->out.data);
	}
	buf_drop_front(&u->out, u->at);
	u->at = 0;
	return 0;
}

int kvlog_unpack_step(struct kvlog_unpacking *u, size_t bytes, kvlog_entry_fn *fn, void *arg, struct err *e)
{
	bool full = false;
	int rc = unpack_some(u, bytes, &full, e);

	if (rc == 0 && u->out.len)
		rc = hand_over(u, fn, arg, e);
	return rc < 0 ? rc : full || u->in < u->in_end;
}

int kvlog_unpack_end(struct kvlog_unpacking *u, struct err *e)
{
	bool whole = !u->left && !u->out.len && u->in == u->in_end && (!u->last || u->index == u->last + 1);

	ZSTD_freeDCtx(u->zstd);
	buf_free(&u->out);
	*u = (struct kvlog_unpacking){0};
	return whole ? 0 : err_set(e, -EBADMSG, "damaged: entries are missing at its end");
}
