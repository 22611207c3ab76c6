/*
 * journal: where entries become durable. A journal is a const struct of functions with three
 * implementations: memory (sched/journal_memory.c), file (sched/journal_file.c) and, over Consul's KV,
 * consul. Entries are opaque bytes here; what they mean is sched/entry.h.
 *
 * Order of life: open -> replay -> { append... commit_begin commit_run commit_end }... -> close.
 *
 *   append        takes an entry into the batch that gathers. It reserves room first, so that it can refuse
 *                 with -ENOSPC before anything changed; what was accepted will not fail for lack of room.
 *   commit_begin  closes the gathering batch; false when it is empty or a commit is still running.
 *   commit_run    writes and syncs that batch. The only function, with confirm, that may block and that may be called from
 *                 another thread. An error here is final: -ESTALE and -ECANCELED: the journal is another server's now, or
 *                 its end was asked for, and this one must forget what it believed; others (EIO): the caller stops the
 *                 process, because after a failed sync nobody knows what the disk holds.
 *   commit_end    returns the index up to which everything is now durable.
 *   confirm       for journals that can be lost to another server, else NULL: 0 when at some moment after the call began the
 *                 journal was still ours, -ESTALE when it was not, another error when that cannot be told now. A commit_run
 *                 that wrote something and succeeded has confirmed the same. Never while a commit runs.
 *
 * File format, version 1, all integers little-endian:
 *   folder   <data_dir>/server/journal/: lock, segment-<first index, 16 hex>.log, snapshot-<index, 16 hex>.snap
 *   segment  header: "DRVRLOG1", u32 format version, u32 feature level, 16 bytes cluster id, u64 first index,
 *            u32 crc32c of the above; then frames; then zeros up to the preallocated end.
 *   frame    u32 length (of the payload), u32 crc32c (of index, back and payload), u64 index, u32 back, payload. Indexes are
 *            consecutive; index - back is the first index of the batch that the frame was committed with. Length 0
 *            ends the segment.
 *   snapshot header as a segment's with "DRVRSNP1" and the index it stands for; frames, numbered from 1, whose payloads
 *            are entries that rebuild the state; a last frame, numbered 2^64-1, with the u64 count of the others.
 *            Temp file, fsync, rename, fsync of the folder; only then are the segments and the snapshot that it
 *            replaces removed.
 *
 * A batch is written when the one before it is durable, so the pages of one batch alone can be half on the disk after a power
 * cut, in any order. Hence: a bad or missing frame after which no frame of a LATER batch is valid is a torn tail; it is cut
 * and reported, because nothing in it was ever acknowledged. With a valid frame of a later batch behind it, it is
 * damage: replay refuses and names file, offset and index.
 */
#ifndef SCHED_JOURNAL_H
#define SCHED_JOURNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

struct journal;

/* Called for each entry in order, first those of the newest snapshot (index 0), then the log's. A negative
 * return stops the replay and becomes its result. */
typedef int journal_entry_fn(void *arg, uint64_t index, const void *p, size_t n, struct err *e);

struct journal_ops {
	const char *name; /* "memory", "file", "consul" */
	uint64_t snapshot_after; /* bytes of log that are worth a snapshot */
	/* A snapshot may stand for entries that are not committed; it counts once they are, and is written by the commits that
	 * follow. Otherwise everything is committed before a snapshot begins, and it is written when the function returns. */
	bool defers_snapshots;
	int (*replay)(struct journal *j, journal_entry_fn *fn, void *arg, struct err *e);
	int (*append)(struct journal *j, uint64_t index, const void *p, size_t n, struct err *e);
	/* 0: an entry of n bytes would be taken now. NULL: that is so, or only trying tells. */
	int (*room)(struct journal *j, size_t n, struct err *e);
	bool (*commit_begin)(struct journal *j);
	int (*commit_run)(struct journal *j, struct err *e);
	uint64_t (*commit_end)(struct journal *j);
	int (*confirm)(struct journal *j, struct err *e);
	/* From the owner's thread: what runs on another one ends soon, with -ECANCELED when it cannot be told what became of it. NULL:
	 * nothing can take long. */
	void (*interrupt)(struct journal *j);
	/* Replaces everything up to index by a snapshot; -EBUSY while one is being written. write is called on the caller's thread and hands every
	 * entry of the snapshot to put. */
	int (*snapshot)(struct journal *j, uint64_t index,
	    void (*write)(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg),
	    void *arg, struct err *e);
	uint64_t (*log_bytes)(const struct journal *j); /* since the last snapshot; UINT64_MAX: one is needed now */
	void (*close)(struct journal *j);
};

struct journal {
	const struct journal_ops *ops;
};

/* Keeps what it is given, a snapshot and the entries after it. It outlives core_close, so that a test can open it again. */
struct journal *journal_memory_new(void);
/* As after a power cut: what was appended and not committed is gone. */
void journal_memory_crash(struct journal *j);
/* Refuses (-ENOSPC) what would take the entries beyond so many bytes; 0 = no limit. */
void journal_memory_set_limit(struct journal *j, uint64_t bytes);

struct journal_file_config {
	const char *dir;       /* created 0700 when missing */
	uint64_t segment_size; /* bytes preallocated at a time; 0 = 64 MiB */
	struct uuid cluster_id; /* written into new files; a folder of another cluster is refused. nil: the folder's own, or a
	                         * random one when it is new */
	uint64_t budget;       /* bytes that all segments together may take; 0 = what the file system has */
	bool sync;             /* false only in benchmarks that say so */
};
/* Opens and locks the folder. A second process is refused with a sentence that names the holder. */
int journal_file_open(const struct journal_file_config *c, struct journal **out, struct err *e);

struct journal_report { /* of journal_file_verify */
	uint64_t segments, snapshots, entries, bytes, first_index, last_index;
	uint64_t torn_bytes; /* cut at the next start */
	char *damage;        /* owned; NULL = none, else file, offset and index of the first bad frame */
};
int journal_file_verify(const char *dir, struct journal_report *out, struct err *e); /* reads only */

#endif
