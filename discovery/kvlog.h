/*
 * kvlog: a log in Consul's KV that only the holder of a lock can append to: what makes several servers one. Values are
 * described in discovery/kvlog_format.h.
 *
 * - The lock's value is the head of the log. A batch of entries is appended by one transaction: our session holds the lock,
 *   log/<seq> does not exist yet, and the head moves on. Whoever lost the lock cannot write, whatever he believes, and no two can write the
 *   same seq: the log has no fork.
 * - The lock is taken by one transaction that holds only when the head is still the one that was read, so whoever gets it
 *   knows exactly what he must have read before he appends.
 * - An answer that got lost decides nothing: the writer reads log/<seq> and finds its own batch, or nothing and sends the same
 *   transaction again, or somebody else's: then the lock is lost.
 * - Readers follow the head by one blocking read and fetch what is new by name. Who starts, or falls behind what is kept,
 *   begins with the snapshot.
 * - What somebody deletes or damages comes back: the leader puts the lock back and writes a snapshot; without a leader, whoever has read
 *   the log before may begin it anew where it ended.
 */
#ifndef DISCOVERY_KVLOG_H
#define DISCOVERY_KVLOG_H

#include "discovery/consul.h"
#include "discovery/kvlog_format.h"

#define KVLOG_SESSION 64 /* bytes of a session's id as text */

/* The lock as it was read last. */
struct kvlog_lock {
	bool exists;                 /* false: the log has no beginning yet, or somebody deleted it */
	uint64_t modify_index;
	char session[KVLOG_SESSION]; /* "" = nobody leads */
	/* Of the last holder; strings live until the next report. Without a lock: where the log that was read ends, else 0. */
	struct log_head head;
};

/* ---- reading, on the loop ---- */

struct event_base;
struct kvlog_reader;
struct kvlog_reader_ops {
	/* What was handed over so far is void: entries of a snapshot or the log from its beginning follow. */
	void (*on_restart)(void *arg);
	/* In order; index 0: one of a snapshot. A negative result makes the reader start over. */
	int (*on_entry)(void *arg, uint64_t index, const void *p, size_t n, struct err *e);
	/* Everything up to lock->head has been handed over. After each change of the lock, and first when the log has been read. */
	void (*on_lock)(void *arg, const struct kvlog_lock *lock);
	/* Reading goes on by itself; e is NULL when it works again. */
	void (*on_trouble)(void *arg, const struct err *e);
	/* A newer format: reading has ended. */
	void (*on_unreadable)(void *arg, const struct err *e);
};
/* prefix: of all keys, without a slash at its end ("drover/global"). */
struct kvlog_reader *kvlog_reader_new(struct event_base *base, struct consul *c, const char *prefix,
    const struct kvlog_reader_ops *ops, void *arg);
void kvlog_reader_free(struct kvlog_reader *r); /* also from inside its callbacks */
struct kvlog_position {
	uint64_t seq, index; /* handed over */
	uint64_t head_seq, head_index; /* known to exist */
	int64_t at; /* clock_now() when the head was known to be the newest, 0 = never */
};
void kvlog_reader_position(const struct kvlog_reader *r, struct kvlog_position *out);

/* ---- taking the lock, on the loop ---- */

struct kvlog_claim; /* under way */
/* rc 0: the lock is ours, with the head of `lock`. -EBUSY: somebody was faster, or the head has moved. Others: of the call; whether
 * it was done is not known, and the reader tells. */
typedef void kvlog_claim_fn(void *arg, const struct err *e);
/* lock: as read, free or ours; me: id, name, address and feature level of the future leader. */
struct kvlog_claim *kvlog_claim(struct consul *c, const char *prefix, const struct kvlog_lock *lock,
    const struct log_head *me, const char *session, kvlog_claim_fn *done, void *arg);
void kvlog_claim_cancel(struct kvlog_claim *claim); /* NULL is fine */
struct log_head kvlog_claimed_head(const struct kvlog_lock *lock, const struct log_head *me); /* strings are those of me */

/* ---- writing: every function from one thread at a time, which blocks; only _stop from any other ---- */

struct kvlog_writer;
/* After a claim. head: as claimed. */
struct kvlog_writer *kvlog_writer_new(
    struct consul *c, const char *prefix, const struct log_head *head, const char *session);
void kvlog_writer_free(struct kvlog_writer *w);
/*
 * Appends the run as the next batch. Returns when it is known to be there, or cannot come to be there any more: tries again as
 * long as Consul does not answer. -ESTALE: the lock is lost (the run is not there, unless it says so); -ECANCELED: stopped.
 */
int kvlog_write(struct kvlog_writer *w, const struct kvlog_run *run, struct err *e);
/* 0: at some moment after the call began the lock was ours and the log ended where we left it, or we have put that back. -ESTALE: not so. Others: cannot
 * be told now. */
int kvlog_confirm(struct kvlog_writer *w, struct err *e);
/* Begins to replace everything up to and with batch seq, entry index, by a snapshot. Takes the run's content. */
void kvlog_snapshot(struct kvlog_writer *w, uint64_t seq, uint64_t index, struct kvlog_run *run);
/* Does one piece of what waits to be done (a snapshot's chunks and manifest, the removal of what nobody needs any more). 1: there
 * is more. 0: nothing is left. -ESTALE as above. Other errors leave it for later. */
int kvlog_chore(struct kvlog_writer *w, struct err *e);
bool kvlog_has_chores(const struct kvlog_writer *w);
uint64_t kvlog_seq(const struct kvlog_writer *w); /* of the last batch written */
/* Written since the last snapshot was begun, unpacked, and KVLOG_KEY_COST for each batch. UINT64_MAX: something in the log is
 * missing, and a snapshot is needed now. */
uint64_t kvlog_bytes(const struct kvlog_writer *w);
#define KVLOG_KEY_COST 512
void kvlog_set_incomplete(struct kvlog_writer *w); /* something is missing */
void kvlog_look_after(struct kvlog_writer *w);     /* a chore: to see whether something is */
/* From any thread: calls under way and later ones end with -ECANCELED. */
void kvlog_writer_stop(struct kvlog_writer *w);

#endif
