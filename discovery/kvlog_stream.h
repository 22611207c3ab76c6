/*
 * kvlog_stream: entries packed and unpacked in steps of bounded size, so that neither the loop nor the log waits for a large
 * snapshot. Packed: the entries, each u64 length + bytes (base/wire.h), as one frame of zstd; cut anywhere. Pure.
 */
#ifndef DISCOVERY_KVLOG_STREAM_H
#define DISCOVERY_KVLOG_STREAM_H

#include "discovery/kvlog_format.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

/* ---- packing ---- */

struct kvlog_packing { /* zeroed: nothing is being packed */
	struct ZSTD_CCtx_s *zstd;
	struct buf raw; /* what is packed, taken from its owner */
	size_t at;      /* in raw */
	bool ended;     /* all of it is in out */
	struct buf out; /* packed and not taken away yet, by buf_drop_front() */
};
void kvlog_packing_begin(struct kvlog_packing *p, struct kvlog_run *run); /* takes the run's content */
/* Packs until n bytes are in out, or all. */
void kvlog_packing_fill(struct kvlog_packing *p, size_t n);
void kvlog_packing_free(struct kvlog_packing *p);

/* ---- unpacking ---- */

struct kvlog_unpacking { /* zeroed: nothing is being unpacked */
	bool active;
	uint64_t index, last;       /* of the next entry; of the last one. 0: of a snapshot */
	uint64_t left;              /* bytes that have not been unpacked yet */
	struct ZSTD_DCtx_s *zstd;   /* NULL: not compressed */
	const uint8_t *in, *in_end; /* the piece that was given */
	struct buf out;             /* unpacked and not handed over yet */
	size_t at;                  /* in out */
};
/* The entries of a value whose body is whole; it must stay until they are handed over. */
void kvlog_unpack_begin(struct kvlog_unpacking *u, const struct kvlog_value *v);
/* Of a snapshot that comes in pieces, raw bytes in all. */
void kvlog_unpack_begin_snapshot(struct kvlog_unpacking *u, uint64_t raw);
void kvlog_unpack_piece(struct kvlog_unpacking *u, const void *p, size_t n); /* stays until it is used up */
/* Hands over, in order, what about so many bytes give: indexes from first on, or 0 for a snapshot's. 1: there is more in the
 * piece; 0: it is used up. fn's negative result ends it. -EBADMSG: damaged. */
typedef int kvlog_entry_fn(void *arg, uint64_t index, const void *p, size_t n, struct err *e);
int kvlog_unpack_step(struct kvlog_unpacking *u, size_t bytes, kvlog_entry_fn *fn, void *arg, struct err *e);
/* Ends it in any case. 0: everything has been handed over. -EBADMSG: something is missing. */
int kvlog_unpack_end(struct kvlog_unpacking *u, struct err *e);

#endif
