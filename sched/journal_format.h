/*
 * journal_format: names, headers and frames of the journal's files (described in sched/journal.h), and reading them. Shared
 * by the journal, its verification and their tests.
 */
#ifndef SCHED_JOURNAL_FORMAT_H
#define SCHED_JOURNAL_FORMAT_H

#include "sched/journal.h"

#define JOURNAL_SEGMENT_MAGIC  "DRVRLOG1"
#define JOURNAL_SNAPSHOT_MAGIC "DRVRSNP1"
#define JOURNAL_VERSION        1u
#define JOURNAL_FEATURES       0u
#define JOURNAL_HEADER         44u
#define JOURNAL_FRAME          20u
#define JOURNAL_PAYLOAD_MAX    (1u << 30)
#define JOURNAL_SNAPSHOT_END   UINT64_MAX
#define JOURNAL_NAME           64

void journal_segment_name(uint64_t first, char out[JOURNAL_NAME]);
void journal_snapshot_name(uint64_t index, char out[JOURNAL_NAME]);
void journal_put_header(uint8_t out[JOURNAL_HEADER], const char *magic, struct uuid cluster, uint64_t index);
/* The frame's head and payload. */
void journal_put_frame(struct buf *b, uint64_t index, uint32_t back, const void *p, size_t n);

/* The files of a folder, ascending. */
struct journal_files {
	uint64_t *segments, *snapshots;
	uint32_t n_segments, n_snapshots;
};
int journal_list(const char *dir, struct journal_files *out, struct err *e);
void journal_files_free(struct journal_files *f);

/* Where the log ends, as reading found it. */
struct journal_tail {
	struct uuid cluster;     /* nil in an empty folder */
	uint64_t snapshot_index; /* 0 = no snapshot */
	uint64_t last_index;
	bool has_segment;        /* one that goes on: */
	uint64_t segment;        /* its first index; later ones hold nothing and are to be removed */
	uint64_t offset;         /* end of its last good frame */
	uint64_t torn_bytes;     /* behind it; 0 = a clean end */
	uint64_t log_bytes;      /* of the frames after the snapshot */
	uint64_t snapshot_bytes, entries;
	uint32_t segments;
};
/* Hands every entry to fn (NULL: they are only checked). -EBADMSG with file, offset and index on damage; out then says how far
 * it came. */
int journal_read(const char *dir, journal_entry_fn *fn, void *arg, struct journal_tail *out, struct err *e);

#endif
