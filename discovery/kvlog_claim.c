/* kvlog_claim: takes the lock, on the loop. */
#include <errno.h>

#include "discovery/kvlog_internal.h"

struct kvlog_claim {
	struct consul_call *call;
	kvlog_claim_fn *done;
	void *arg;
};

const char *kvlog_refusal(const struct consul_txn_answer *t)
{
	const struct consul_txn_error *first = t && t->errors.n ? t->errors.v[0] : NULL;

	if (t && !t->errors.n)
		return NULL;
	return first && first->what ? first->what : "no reason given";
}

static void on_claimed(void *arg, const struct consul_answer *answer)
{
	struct kvlog_claim *claim = arg;
	const char *refusal = answer->err.code ? NULL : kvlog_refusal(answer->object);
	kvlog_claim_fn *done = claim->done;
	void *owner = claim->arg;
	cleanup_err struct err e = ERR_INIT;

	free(claim);
	if (answer->err.code)
		err_set(&e, answer->err.code, "%s", err_str(&answer->err));
	else if (refusal)
		err_set(&e, -EBUSY, "%s", refusal);
	done(owner, &e);
}

struct bytes kvlog_bytes_of(struct arena *a, const struct buf *b)
{
	return (struct bytes){.p = arena_copy(a, b->data, b->len), .n = (uint32_t)b->len};
}

struct kvlog_claim *kvlog_claim(struct consul *c, const char *prefix, const struct kvlog_lock *lock,
    const struct log_head *me, const char *session, kvlog_claim_fn *done, void *arg)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf value = BUF_INIT;
	struct kvlog_claim *claim = xcalloc(1, sizeof(*claim));
	struct consul_txn_request *txn = MODEL_NEW(a, consul_txn_request);
	const char *key = arena_printf(a, "%s/%s", prefix, KVLOG_LOCK);
	struct log_head head = kvlog_claimed_head(lock, me);
	struct consul_txn_kv *op;
	struct consul_args args = {.name = key, .object = txn, .timeout = KVLOG_TIMEOUT};

	kvlog_put_head(&value, &head);
	if (lock->exists) {
		op = consul_txn_add(a, txn, "check-index", key);
		MODEL_SET(consul_txn_kv, op, index, (int64_t)lock->modify_index);
	} else {
		consul_txn_add(a, txn, "check-not-exists", key);
	}
	op = consul_txn_add(a, txn, "lock", key);
	MODEL_SET(consul_txn_kv, op, session, session);
	MODEL_SET(consul_txn_kv, op, value, kvlog_bytes_of(a, &value));
	claim->done = done;
	claim->arg = arg;
	claim->call = consul_call(c, &consul_txn, &args, on_claimed, claim);
	return claim;
}

struct log_head kvlog_claimed_head(const struct kvlog_lock *lock, const struct log_head *me)
{
	struct log_head head = *me;

	head.format = lock->exists ? lock->head.format : KVLOG_FORMAT;
	head.feature = MAX(lock->exists ? lock->head.feature : 0, me->feature);
	head.seq = lock->head.seq;
	head.index = lock->head.index;
	head.has = UINT64_MAX;
	return head;
}

void kvlog_claim_cancel(struct kvlog_claim *claim)
{
	if (!claim)
		return;
	consul_cancel(claim->call);
	free(claim);
}
