/* kvlog_internal: what the files that write the log share: the claim of the lock, the writer, fenced transactions, chores. */
#ifndef DISCOVERY_KVLOG_INTERNAL_H
#define DISCOVERY_KVLOG_INTERNAL_H

#include <stdatomic.h>

#include "base/clock.h"
#include "discovery/kvlog.h"
#include "discovery/kvlog_stream.h"

#define KVLOG_TIMEOUT (5 * SECOND) /* of one call */

enum kvlog_chore { CHORE_NONE, CHORE_CHUNKS, CHORE_MANIFEST, CHORE_LIST, CHORE_DELETE };

struct kvlog_writer {
	struct consul *consul;
	struct consul_channel *channel;
	char *prefix, *session;
	struct arena *arena; /* of head */
	struct log_head head;
	atomic_bool stopped;
	uint64_t bytes;
	size_t value_max; /* of one value; less when this Consul takes less */
	bool incomplete;  /* the log in Consul lacks something: a snapshot mends it */

	enum kvlog_chore chore;
	struct { /* being written */
		uint64_t seq, index, raw, bytes;
		struct uuid nonce;
		struct kvlog_packing packing;
		uint32_t chunks, crc;
	} snapshot;
	struct arena *doomed_arena;
	struct strs doomed; /* keys to remove */
	uint32_t removed;
};

/* ---- fenced transactions: they begin with a check that our session holds the lock ---- */

struct kvlog_fenced {
	struct arena *arena;
	struct consul_txn_request *txn;
};
struct kvlog_fenced kvlog_fence(const struct kvlog_writer *w); /* its arena is to be freed */
/* The value is not copied; NULL: none. name: relative to the prefix. */
struct consul_txn_kv *kvlog_put_op(
    const struct kvlog_writer *w, struct kvlog_fenced *f, const char *verb, const char *name, const struct buf *value);
/* Repeats a transaction that may be done more than once until it is done. -E2BIG: larger than this Consul takes. */
int kvlog_insist(struct kvlog_writer *w, const struct kvlog_fenced *f, struct err *e);
/* *out: NULL when the key is absent; lives as long as the answer. */
int kvlog_read_key(struct kvlog_writer *w, const char *name, struct consul_answer *answer, const struct consul_pair **out,
    struct err *e);

bool kvlog_shrink(struct kvlog_writer *w); /* value_max; false: it is as small as may be */

const char *kvlog_refusal(const struct consul_txn_answer *t); /* why a transaction was refused; NULL: it was done */
struct bytes kvlog_bytes_of(struct arena *a, const struct buf *b); /* a copy */

#endif
