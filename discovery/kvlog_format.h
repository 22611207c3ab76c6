/*
 * kvlog_format: names and values of the fenced log in Consul's KV (discovery/kvlog.h). Pure.
 *
 *   lock                      the leader lock; its value is a LogHead in JSON: where the log ends, and who leads
 *   log/<seq, 16 hex>         a committed batch of entries
 *   part/<seq>-<nonce>/<n>    pieces of a batch that does not fit one transaction; they count when log/<seq> names them
 *   snapshot                  a LogManifest in JSON
 *   snap/<seq>-<nonce>/<n>    chunks of the snapshot that the manifest names; joined, they are its entries as
 *                             discovery/kvlog_stream.h packs them
 *
 * A packed run of entries, which is what a batch is:
 *   "DRKV", u8 format, u8 flags (1 = compressed by zstd, 2 = the body lies in parts), u32 little-endian CRC-32C of all
 *   that follows, then in the bricks of base/wire.h:
 *     uuid nonce, u64 first index, u64 last index, u64 length of the entries when unpacked
 *     without flag 2: the entries, each u64 length + bytes, to the end
 *     with flag 2:    u64 parts, u64 bytes of all parts together, u64 their CRC-32C; joined, the parts are such a run without
 *                     flag 2
 */
#ifndef DISCOVERY_KVLOG_FORMAT_H
#define DISCOVERY_KVLOG_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/model.h"
#include "base/uuid.h"

#define MODEL_DEF "discovery/kvlog.def"
#include "base/model_structs.h"

#define KVLOG_FORMAT    1 /* a reader stops at a newer one */
#define KVLOG_FEATURE   1 /* level of entries that this release writes and reads */
/* Consul takes a transaction of 512 KiB of JSON, values in base64; the rest is for names and the head. */
#define KVLOG_MAX_VALUE (375u << 10)
#define KVLOG_NAME      96
#define KVLOG_COMPRESS_LEVEL 1
#define KVLOG_MAX_RUN   (2u << 30) /* bytes of a run when unpacked */

/* Names, relative to the prefix of the log. */
const char *kvlog_batch_name(uint64_t seq, char out[KVLOG_NAME]);
const char *kvlog_piece_name(const char *kind, uint64_t seq, struct uuid nonce, uint32_t n, char out[KVLOG_NAME]);
#define KVLOG_LOCK     "lock"
#define KVLOG_MANIFEST "snapshot"
#define KVLOG_PART     "part"
#define KVLOG_CHUNK    "snap"

struct kvlog_run { /* entries that are packed together */
	struct buf raw;
	uint64_t first, last; /* 0, 0: of a snapshot */
};
void kvlog_run_add(struct kvlog_run *r, uint64_t index, const void *p, size_t n);
void kvlog_run_add_record(struct kvlog_run *r, const void *p, size_t n); /* of a snapshot */
void kvlog_run_free(struct kvlog_run *r);

void kvlog_pack(const struct kvlog_run *r, struct uuid nonce, struct buf *out);
/* The value that stands for a packed run which lies in parts. */
void kvlog_pack_parts(const struct kvlog_run *r, struct uuid nonce, const struct buf *packed, uint32_t parts, struct buf *out);

struct kvlog_value { /* what the head of a value says */
	struct uuid nonce;
	uint64_t first, last, raw;
	uint32_t parts; /* 0: the entries are in the value itself */
	uint64_t parts_bytes;
	uint32_t parts_crc;
	bool compressed;
	const void *body;
	size_t body_len;
};
/* Checks all of it. -EPROTONOSUPPORT: a newer format; -EBADMSG: damaged. */
int kvlog_read(const void *p, size_t n, struct kvlog_value *out, struct err *e);
/* Head and manifest as JSON, every field whatever `has` says; reading refuses a newer format with a sentence that names both. */
void kvlog_put_head(struct buf *b, const struct log_head *h);
int kvlog_take_head(const void *p, size_t n, struct arena *a, struct log_head *out, struct err *e);
void kvlog_put_manifest(struct buf *b, const struct log_manifest *m);
int kvlog_take_manifest(const void *p, size_t n, struct arena *a, struct log_manifest *out, struct err *e);

#endif
