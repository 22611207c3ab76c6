#include "discovery/kvlog_format.h"

#include <endian.h>
#include <errno.h>
#include <zstd.h>

#include "base/codec.h"
#include "base/wire.h"

#define MAGIC "DRKV"

enum { FLAG_COMPRESSED = 1, FLAG_PARTS = 2, HEAD = 10 /* bytes before what the checksum covers */ };

/* Below this, compression is not worth its head. */
#define COMPRESS_FROM 256

const char *kvlog_batch_name(uint64_t seq, char out[KVLOG_NAME])
{
	snprintf(out, KVLOG_NAME, "log/%016llx", (unsigned long long)seq);
	return out;
}

const char *kvlog_piece_name(const char *kind, uint64_t seq, struct uuid nonce, uint32_t n, char out[KVLOG_NAME])
{
	char id[UUID_STR];

	snprintf(out, KVLOG_NAME, "%s/%016llx-%s/%08x", kind, (unsigned long long)seq, uuid_format(nonce, id), n);
	return out;
}

/* ---- runs ---- */

void kvlog_run_add_record(struct kvlog_run *r, const void *p, size_t n)
{
	wire_put_bytes(&r->raw, p, n);
}

void kvlog_run_add(struct kvlog_run *r, uint64_t index, const void *p, size_t n)
{
	if (!r->raw.len)
		r->first = index;
	r->last = index;
	kvlog_run_add_record(r, p, n);
}

void kvlog_run_free(struct kvlog_run *r)
{
	buf_free(&r->raw);
	*r = (struct kvlog_run){0};
}

/* ---- packing ---- */

static void begin(struct buf *out, uint8_t flags, const struct kvlog_run *r, struct uuid nonce)
{
	const uint8_t head[HEAD] = {MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], KVLOG_FORMAT, flags};

	buf_put(out, head, sizeof(head));
	wire_put_uuid(out, nonce);
	wire_put_u64(out, r->first);
	wire_put_u64(out, r->last);
	wire_put_u64(out, r->raw.len);
}

static void end(struct buf *out, size_t start)
{
	uint32_t crc = htole32(crc32c(0, out->data + start + HEAD, out->len - start - HEAD));

	memcpy(out->data + start + HEAD - sizeof(crc), &crc, sizeof(crc));
}

/* Appends the entries compressed; false: that made them no smaller, and nothing was appended. */
static bool put_compressed(struct buf *out, const struct buf *raw)
{
	size_t room = ZSTD_compressBound(raw->len), n;
	void *to = buf_room(out, room);

	n = ZSTD_compress(to, room, raw->data, raw->len, KVLOG_COMPRESS_LEVEL);
	if (ZSTD_isError(n) || n >= raw->len)
		return false;
	out->len += n;
	return true;
}

void kvlog_pack(const struct kvlog_run *r, struct uuid nonce, struct buf *out)
{
	size_t start = out->len, body;

	begin(out, FLAG_COMPRESSED, r, nonce);
	body = out->len;
	if (r->raw.len < COMPRESS_FROM || !put_compressed(out, &r->raw)) {
		out->data[start + 5] = 0;
		out->len = body;
		buf_put(out, r->raw.data, r->raw.len);
	}
	end(out, start);
}

void kvlog_pack_parts(const struct kvlog_run *r, struct uuid nonce, const struct buf *packed, uint32_t parts, struct buf *out)
{
	size_t start = out->len;

	begin(out, FLAG_PARTS, r, nonce);
	wire_put_u64(out, parts);
	wire_put_u64(out, packed->len);
	wire_put_u64(out, crc32c(0, packed->data, packed->len));
	end(out, start);
}

/* ---- reading ---- */

static int newer(uint64_t format, const char *what, struct err *e)
{
	return err_set(e, -EPROTONOSUPPORT, "the %s in Consul has format %llu, and this release reads up to %d: run a newer "
	    "release of drover here", what, (unsigned long long)format, KVLOG_FORMAT);
}

int kvlog_read(const void *p, size_t n, struct kvlog_value *out, struct err *e)
{
	const uint8_t *b = p;
	struct kvlog_value v = {0};
	struct wire w;
	uint32_t crc;

	if (n < HEAD || memcmp(b, MAGIC, 4))
		return err_set(e, -EBADMSG, "this is no part of a drover log");
	if (b[4] > KVLOG_FORMAT)
		return newer(b[4], "log", e);
	memcpy(&crc, b + HEAD - sizeof(crc), sizeof(crc));
	if (le32toh(crc) != crc32c(0, b + HEAD, n - HEAD))
		return err_set(e, -EBADMSG, "damaged: the checksum does not match");
	w = wire_reader(b + HEAD, n - HEAD);
	v.nonce = wire_uuid(&w);
	v.first = wire_u64(&w);
	v.last = wire_u64(&w);
	v.raw = wire_u64(&w);
	v.compressed = b[5] & FLAG_COMPRESSED;
	if (b[5] & FLAG_PARTS) {
		uint64_t parts = wire_u64(&w);

		v.parts = (uint32_t)MIN(parts, UINT32_MAX);
		v.parts_bytes = wire_u64(&w);
		v.parts_crc = (uint32_t)wire_u64(&w);
	}
	v.body = w.p;
	v.body_len = (size_t)(w.end - w.p);
	if (w.bad || v.raw > KVLOG_MAX_RUN || v.last < v.first || (b[5] & ~(FLAG_COMPRESSED | FLAG_PARTS)) ||
	    (b[5] & FLAG_PARTS && (!v.parts || v.body_len)))
		return err_set(e, -EBADMSG, "damaged: its head cannot be");
	*out = v;
	return 0;
}

/* ---- head and manifest ---- */

void kvlog_put_head(struct buf *b, const struct log_head *h)
{
	struct log_head all = *h;

	all.has = UINT64_MAX;
	codec_to_json(b, &type_log_head, &all, CODEC_PEER, 0, 0);
}

int kvlog_take_head(const void *p, size_t n, struct arena *a, struct log_head *out, struct err *e)
{
	struct log_head h = {0};
	int rc = codec_from_text(&type_log_head, &h, n ? p : "", n, a, e);

	if (rc < 0)
		return err_wrap(e, "%s", KVLOG_LOCK);
	if (h.format > KVLOG_FORMAT)
		return newer((uint64_t)h.format, "log", e);
	if (h.format < 1 || h.seq < 0 || h.index < 0)
		return err_set(e, -EBADMSG, "%s: damaged: format, sequence or index cannot be", KVLOG_LOCK);
	if (h.feature > KVLOG_FEATURE)
		return err_set(e, -EPROTONOSUPPORT, "the log in Consul has entries of feature level %lld, and this release knows "
		    "up to %d: run a newer release of drover here", (long long)h.feature, KVLOG_FEATURE);
	*out = h;
	return 0;
}

void kvlog_put_manifest(struct buf *b, const struct log_manifest *m)
{
	struct log_manifest all = *m;

	all.has = UINT64_MAX;
	codec_to_json(b, &type_log_manifest, &all, CODEC_PEER, 0, 0);
}

int kvlog_take_manifest(const void *p, size_t n, struct arena *a, struct log_manifest *out, struct err *e)
{
	struct log_manifest m = {0};
	int rc = codec_from_text(&type_log_manifest, &m, p, n, a, e);

	if (rc < 0)
		return err_wrap(e, "%s", KVLOG_MANIFEST);
	if (m.format > KVLOG_FORMAT)
		return newer((uint64_t)m.format, "snapshot", e);
	if (m.format < 1 || m.seq < 0 || m.index < 0 || m.chunks < 1 || m.chunks > m.bytes || m.bytes > (int64_t)KVLOG_MAX_RUN ||
	    m.raw < 0 || m.raw > (int64_t)KVLOG_MAX_RUN)
		return err_set(e, -EBADMSG, "%s: damaged: what it says cannot be", KVLOG_MANIFEST);
	*out = m;
	return 0;
}
