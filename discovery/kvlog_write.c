/* kvlog_write: takes the lock, appends while it holds. */
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/wire.h"
#include "discovery/kvlog.h"

enum {
	KEPT = 256,      /* batches before the snapshot that stay, for readers that are slow */
	DELETES = 60,    /* keys that one transaction removes, beside the fence */
	REFUSALS = 5     /* transactions refused although lock and log are as they should be */
};
#define TIMEOUT     (5 * SECOND)
#define PAUSE_FIRST (50 * MILLI)
#define PAUSE_MAX   SECOND

/* ---- taking the lock ---- */

struct kvlog_claim {
	struct consul_call *call;
	kvlog_claim_fn *done;
	void *arg;
};

static const char *refusal(const struct consul_txn_answer *t)
{
	const struct consul_txn_error *first = t && t->errors.n ? t->errors.v[0] : NULL;

	return first && first->what ? first->what : "no reason given";
}

static bool is_refused(const struct consul_txn_answer *t)
{
	return !t || t->errors.n;
}

static void on_claimed(void *arg, const struct consul_answer *answer)
{
	struct kvlog_claim *claim = arg;
	const struct consul_txn_answer *t = answer->object;
	kvlog_claim_fn *done = claim->done;
	void *owner = claim->arg;
	cleanup_err struct err e = ERR_INIT;

	free(claim);
	if (answer->err.code)
		err_set(&e, answer->err.code, "%s", err_str(&answer->err));
	else if (is_refused(t))
		err_set(&e, -EBUSY, "%s", refusal(t));
	done(owner, &e);
}

static struct bytes bytes_of(struct arena *a, const struct buf *b)
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
	struct log_head head = *me;
	struct consul_txn_kv *op;
	struct consul_args args = {.name = key, .object = txn, .timeout = TIMEOUT};

	head.format = lock->exists ? lock->head.format : KVLOG_FORMAT;
	head.feature = MAX(lock->exists ? lock->head.feature : 0, me->feature);
	head.seq = lock->head.seq;
	head.index = lock->head.index;
	kvlog_put_head(&value, &head);
	if (lock->exists) {
		op = consul_txn_add(a, txn, "check-index", key);
		MODEL_SET(consul_txn_kv, op, index, (int64_t)lock->modify_index);
	} else {
		consul_txn_add(a, txn, "check-not-exists", key);
	}
	op = consul_txn_add(a, txn, "lock", key);
	MODEL_SET(consul_txn_kv, op, session, session);
	MODEL_SET(consul_txn_kv, op, value, bytes_of(a, &value));
	claim->done = done;
	claim->arg = arg;
	claim->call = consul_call(c, &consul_txn, &args, on_claimed, claim);
	return claim;
}

void kvlog_claim_cancel(struct kvlog_claim *claim)
{
	if (!claim)
		return;
	consul_cancel(claim->call);
	free(claim);
}

/* ---- the writer ---- */

enum chore { CHORE_NONE, CHORE_CHUNKS, CHORE_MANIFEST, CHORE_LIST, CHORE_DELETE };

struct kvlog_writer {
	struct consul *consul;
	struct consul_channel *channel;
	char *prefix, *session;
	struct arena *arena; /* of head */
	struct log_head head;
	atomic_bool stopped;
	uint64_t bytes;

	enum chore chore;
	struct { /* being written */
		uint64_t seq, index;
		struct uuid nonce;
		struct buf packed;
		uint32_t chunks, done;
		uint32_t crc;
	} snapshot;
	struct arena *doomed_arena;
	struct strs doomed; /* keys to remove */
	uint32_t removed;
};

struct kvlog_writer *kvlog_writer_new(
    struct consul *c, const char *prefix, const struct log_head *head, const char *session)
{
	struct kvlog_writer *w = xcalloc(1, sizeof(*w));

	w->consul = c;
	w->channel = consul_channel_new(c);
	w->prefix = xstrdup(prefix);
	w->session = xstrdup(session);
	w->arena = arena_new();
	w->head = *(struct log_head *)model_copy(w->arena, &type_log_head, head);
	/* What an earlier leader left half done. */
	w->chore = CHORE_LIST;
	return w;
}

void kvlog_writer_free(struct kvlog_writer *w)
{
	if (!w)
		return;
	consul_channel_free(w->channel);
	buf_free(&w->snapshot.packed);
	arena_free(w->doomed_arena);
	arena_free(w->arena);
	free(w->prefix);
	free(w->session);
	free(w);
}

void kvlog_writer_stop(struct kvlog_writer *w)
{
	atomic_store(&w->stopped, true);
	consul_channel_stop(w->channel);
}

uint64_t kvlog_seq(const struct kvlog_writer *w)
{
	return (uint64_t)w->head.seq;
}

uint64_t kvlog_bytes(const struct kvlog_writer *w)
{
	return w->bytes;
}

static int stopped(struct err *e)
{
	return err_set(e, -ECANCELED, "the writer of the log was stopped");
}

static void pause_for(int64_t *pause)
{
	struct timespec ts = {*pause / SECOND, *pause % SECOND};

	nanosleep(&ts, NULL);
	*pause = MIN(*pause * 2, PAUSE_MAX);
}

/* ---- fenced transactions ---- */

struct fenced {
	struct arena *arena;
	struct consul_txn_request *txn;
};

static const char *full_key(const struct kvlog_writer *w, struct arena *a, const char *name)
{
	return arena_printf(a, "%s/%s", w->prefix, name);
}

static struct consul_txn_kv *put_op(
    const struct kvlog_writer *w, struct fenced *f, const char *verb, const char *name, const struct buf *value)
{
	struct consul_txn_kv *op = consul_txn_add(f->arena, f->txn, verb, full_key(w, f->arena, name));

	if (value)
		MODEL_SET(consul_txn_kv, op, value, ((struct bytes){.p = value->data, .n = (uint32_t)value->len}));
	return op;
}

static struct fenced fence(const struct kvlog_writer *w)
{
	struct fenced f = {.arena = arena_new()};
	struct consul_txn_kv *op;

	f.txn = MODEL_NEW(f.arena, consul_txn_request);
	op = put_op(w, &f, "check-session", KVLOG_LOCK, NULL);
	MODEL_SET(consul_txn_kv, op, session, w->session);
	return f;
}

/* One attempt. 1: done. 0: refused. Negative: not known. */
static int attempt(struct kvlog_writer *w, const struct fenced *f, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	struct consul_args args = {.name = w->prefix, .object = f->txn, .timeout = TIMEOUT};

	if (consul_channel_call(w->channel, &consul_txn, &args, &answer) < 0)
		return err_set(e, answer.err.code, "%s", err_str(&answer.err));
	if (!is_refused(answer.object))
		return 1;
	err_set(e, -EIO, "%s: refused: %s", w->prefix, refusal(answer.object));
	return 0;
}

static int read_key(struct kvlog_writer *w, const char *name, struct consul_answer *answer, const struct consul_pair **out,
    struct err *e)
{
	cleanup_free char *key = xasprintf("%s/%s", w->prefix, name);
	struct consul_args args = {.name = key, .consistent = true, .timeout = TIMEOUT};
	const struct consul_pairs *pairs;

	if (consul_channel_call(w->channel, &consul_kv_get, &args, answer) < 0)
		return err_set(e, answer->err.code, "%s", err_str(&answer->err));
	pairs = answer->object;
	*out = pairs && pairs->items.n ? pairs->items.v[0] : NULL;
	return 0;
}

/* 0: ours. -ESTALE: not ours. Others: not known. */
static int check_lock(struct kvlog_writer *w, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	const struct consul_pair *pair;
	int rc = read_key(w, KVLOG_LOCK, &answer, &pair, e);

	if (rc < 0)
		return rc;
	if (pair && str_eq(pair->session, w->session))
		return 0;
	return err_set(e, -ESTALE, "%s/%s: the lock is lost%s", w->prefix, KVLOG_LOCK,
	    !pair ? ": the key is gone" : str_empty(pair->session) ? "" : " to another server");
}

int kvlog_confirm(struct kvlog_writer *w, struct err *e)
{
	if (atomic_load(&w->stopped))
		return stopped(e);
	return check_lock(w, e);
}

/* Repeats a transaction that may be done more than once until it is done. */
static int insist(struct kvlog_writer *w, const struct fenced *f, struct err *e)
{
	int64_t pause = PAUSE_FIRST;

	for (unsigned refusals = 0;;) {
		cleanup_err struct err lost = ERR_INIT;
		int rc = attempt(w, f, e);

		if (rc > 0)
			return 0;
		if (atomic_load(&w->stopped))
			return stopped(e);
		refusals += rc == 0;
		if (check_lock(w, &lost) == -ESTALE)
			return err_set(e, -ESTALE, "%s", err_str(&lost));
		if (refusals > REFUSALS)
			return -EIO;
		pause_for(&pause);
	}
}

/* ---- batches ---- */

/* Is the batch that was sent as seq there? 1: yes. 0: no. -ESTALE: another one is. Others: not known. */
static int find_batch(struct kvlog_writer *w, uint64_t seq, struct uuid nonce, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	const struct consul_pair *pair;
	struct kvlog_value v;
	char name[KVLOG_NAME];
	int rc = read_key(w, kvlog_batch_name(seq, name), &answer, &pair, e);

	if (rc < 0 || !pair)
		return rc;
	rc = kvlog_read(pair->value.p, pair->value.n, &v, e);
	if (rc == 0 && uuid_eq(v.nonce, nonce))
		return 1;
	return err_set(e, -ESTALE, "%s/%s: another server has written it", w->prefix, name);
}

/*
 * Sends the transaction that makes the batch count, and finds out what became of it. The lock is looked at before the
 * batch: with the lock lost nothing that is still under way can take effect any more, so what is absent then stays absent.
 */
static int commit_batch(struct kvlog_writer *w, const struct fenced *f, uint64_t seq, struct uuid nonce, struct err *e)
{
	int64_t pause = PAUSE_FIRST;

	for (unsigned refusals = 0;;) {
		cleanup_err struct err lost = ERR_INIT;
		int rc = attempt(w, f, e), lock, there;

		if (rc > 0)
			return 0;
		refusals += rc == 0;
		lock = check_lock(w, &lost);
		there = lock == 0 || lock == -ESTALE ? find_batch(w, seq, nonce, e) : lock;
		if (there > 0)
			return 0;
		if (there == -ESTALE)
			return there;
		if (there == 0 && lock == -ESTALE)
			return err_set(e, -ESTALE, "%s", err_str(&lost));
		if (there == 0 && refusals > REFUSALS)
			return err_set(e, -EIO, "%s: Consul refuses to append to the log although the lock is ours", w->prefix);
		if (atomic_load(&w->stopped))
			return stopped(e);
		pause_for(&pause);
	}
}

static int write_pieces(struct kvlog_writer *w, const char *kind, uint64_t seq, struct uuid nonce, const struct buf *packed,
    uint32_t from, uint32_t to, struct err *e)
{
	for (uint32_t i = from; i < to; i++) {
		size_t at = (size_t)i * KVLOG_MAX_VALUE;
		struct buf piece = {.data = packed->data + at, .len = MIN(packed->len - at, (size_t)KVLOG_MAX_VALUE)};
		struct fenced f = fence(w);
		char name[KVLOG_NAME];
		int rc;

		put_op(w, &f, "set", kvlog_piece_name(kind, seq, nonce, i, name), &piece);
		rc = insist(w, &f, e);
		arena_free(f.arena);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint32_t count_pieces(const struct buf *packed)
{
	return (uint32_t)((packed->len + KVLOG_MAX_VALUE - 1) / KVLOG_MAX_VALUE);
}

int kvlog_write(struct kvlog_writer *w, const struct kvlog_run *run, struct err *e)
{
	cleanup_buf struct buf packed = BUF_INIT, stand_in = BUF_INIT, head_text = BUF_INIT;
	struct log_head head = w->head;
	struct uuid nonce = uuid_random();
	struct fenced f;
	struct consul_txn_kv *op;
	char name[KVLOG_NAME];
	int rc;

	if (atomic_load(&w->stopped))
		return stopped(e);
	kvlog_pack(run, nonce, &packed);
	head.seq++;
	head.index = (int64_t)run->last;
	if (packed.len > KVLOG_MAX_VALUE) {
		kvlog_pack_parts(run, nonce, &packed, count_pieces(&packed), &stand_in);
		rc = write_pieces(w, KVLOG_PART, (uint64_t)head.seq, nonce, &packed, 0, count_pieces(&packed), e);
		if (rc < 0)
			return rc;
	}
	kvlog_put_head(&head_text, &head);
	f = fence(w);
	op = put_op(w, &f, "cas", kvlog_batch_name((uint64_t)head.seq, name), stand_in.len ? &stand_in : &packed);
	MODEL_SET(consul_txn_kv, op, index, 0);
	put_op(w, &f, "set", KVLOG_LOCK, &head_text);
	rc = commit_batch(w, &f, (uint64_t)head.seq, nonce, e);
	arena_free(f.arena);
	if (rc < 0)
		return rc;
	w->head.seq = head.seq;
	w->head.index = head.index;
	w->bytes += packed.len;
	return 0;
}

/* ---- snapshots and what is left over ---- */

void kvlog_snapshot(struct kvlog_writer *w, uint64_t seq, uint64_t index, struct kvlog_run *run)
{
	buf_free(&w->snapshot.packed);
	w->snapshot.seq = seq;
	w->snapshot.index = index;
	w->snapshot.nonce = uuid_random();
	kvlog_pack(run, w->snapshot.nonce, &w->snapshot.packed);
	kvlog_run_free(run);
	w->snapshot.chunks = count_pieces(&w->snapshot.packed);
	w->snapshot.crc = crc32c(0, w->snapshot.packed.data, w->snapshot.packed.len);
	w->snapshot.done = 0;
	w->bytes = 0;
	w->chore = CHORE_CHUNKS;
}

static int write_chunk(struct kvlog_writer *w, struct err *e)
{
	uint32_t n = w->snapshot.done;
	int rc = write_pieces(w, KVLOG_CHUNK, w->snapshot.seq, w->snapshot.nonce, &w->snapshot.packed, n, n + 1, e);

	if (rc == 0 && ++w->snapshot.done == w->snapshot.chunks)
		w->chore = CHORE_MANIFEST;
	return rc;
}

static int write_manifest(struct kvlog_writer *w, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;
	char nonce[UUID_STR];
	const struct log_manifest m = {
	    .format = KVLOG_FORMAT,
	    .feature = w->head.feature,
	    .seq = (int64_t)w->snapshot.seq,
	    .index = (int64_t)w->snapshot.index,
	    .nonce = uuid_format(w->snapshot.nonce, nonce),
	    .chunks = w->snapshot.chunks,
	    .bytes = (int64_t)w->snapshot.packed.len,
	    .crc = w->snapshot.crc,
	};
	struct fenced f = fence(w);
	int rc;

	kvlog_put_manifest(&text, &m);
	put_op(w, &f, "set", KVLOG_MANIFEST, &text);
	rc = insist(w, &f, e);
	arena_free(f.arena);
	if (rc < 0)
		return rc;
	buf_free(&w->snapshot.packed);
	w->chore = CHORE_LIST;
	return 0;
}

/* What the manifest stands for: seq 0 and no nonce without one. */
static int read_manifest(struct kvlog_writer *w, uint64_t *seq, char nonce[UUID_STR], struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	cleanup_arena struct arena *a = arena_new();
	const struct consul_pair *pair;
	struct log_manifest m;
	int rc = read_key(w, KVLOG_MANIFEST, &answer, &pair, e);

	*seq = 0;
	*nonce = '\0';
	if (rc < 0 || !pair)
		return rc;
	rc = kvlog_take_manifest(pair->value.p, pair->value.n, a, &m, e);
	if (rc < 0)
		return rc;
	*seq = (uint64_t)m.seq;
	snprintf(nonce, UUID_STR, "%s", m.nonce ? m.nonce : "");
	return 0;
}

static bool is_needless(const struct kvlog_writer *w, const char *name, uint64_t snapshot, const char *nonce)
{
	const char *slash = strchr(name, '/');
	uint64_t seq = slash ? strtoull(slash + 1, NULL, 16) : 0;

	if (str_starts(name, "log/"))
		return seq + KEPT <= snapshot;
	if (str_starts(name, KVLOG_PART "/"))
		return seq + KEPT <= snapshot || seq > (uint64_t)w->head.seq;
	if (str_starts(name, KVLOG_CHUNK "/"))
		return !*nonce || !strstr(name, nonce);
	return false;
}

static int list_needless(struct kvlog_writer *w, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	cleanup_free char *below = xasprintf("%s/", w->prefix);
	struct consul_args args = {.name = below, .timeout = TIMEOUT};
	const struct consul_strings *keys;
	char nonce[UUID_STR];
	uint64_t seq;
	int rc = read_manifest(w, &seq, nonce, e);

	if (rc < 0)
		return rc;
	if (consul_channel_call(w->channel, &consul_kv_keys, &args, &answer) < 0)
		return err_set(e, answer.err.code, "%s", err_str(&answer.err));
	arena_free(w->doomed_arena);
	w->doomed_arena = arena_new();
	w->doomed = (struct strs){0};
	w->removed = 0;
	keys = answer.object;
	for (uint32_t i = 0; keys && i < keys->items.n; i++) {
		const char *key = keys->items.v[i];

		if (str_starts(key, below) && is_needless(w, key + strlen(below), seq, nonce))
			strs_push(w->doomed_arena, &w->doomed, key + strlen(below));
	}
	w->chore = w->doomed.n ? CHORE_DELETE : CHORE_NONE;
	return 0;
}

static int delete_some(struct kvlog_writer *w, struct err *e)
{
	struct fenced f = fence(w);
	uint32_t n = MIN(w->doomed.n - w->removed, (uint32_t)DELETES);
	int rc;

	for (uint32_t i = 0; i < n; i++)
		put_op(w, &f, "delete", w->doomed.v[w->removed + i], NULL);
	rc = insist(w, &f, e);
	arena_free(f.arena);
	if (rc < 0)
		return rc;
	w->removed += n;
	if (w->removed == w->doomed.n)
		w->chore = CHORE_NONE;
	return 0;
}

bool kvlog_has_chores(const struct kvlog_writer *w)
{
	return w->chore != CHORE_NONE;
}

int kvlog_chore(struct kvlog_writer *w, struct err *e)
{
	static int (*const steps[])(struct kvlog_writer *, struct err *) = {
	    [CHORE_CHUNKS] = write_chunk,
	    [CHORE_MANIFEST] = write_manifest,
	    [CHORE_LIST] = list_needless,
	    [CHORE_DELETE] = delete_some,
	};
	int rc;

	if (atomic_load(&w->stopped))
		return stopped(e);
	if (w->chore == CHORE_NONE)
		return 0;
	rc = steps[w->chore](w, e);
	return rc < 0 ? rc : kvlog_has_chores(w);
}
