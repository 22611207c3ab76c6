/* kvlog_write: the writer: appends while the lock is ours. */
#include <errno.h>
#include <time.h>

#include "base/wire.h"
#include "discovery/kvlog_internal.h"

enum { REFUSALS = 5 /* transactions refused although lock and log are as they should be */ };
#define PAUSE_FIRST (50 * MILLI)
#define PAUSE_MAX   SECOND
#define VALUE_MIN   (4u << 10) /* a Consul that takes less is not worked with */

/* ---- life ---- */

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
	w->value_max = KVLOG_MAX_VALUE;
	/* What an earlier leader left half done. */
	w->chore = CHORE_LIST;
	return w;
}

void kvlog_writer_free(struct kvlog_writer *w)
{
	if (!w)
		return;
	consul_channel_free(w->channel);
	kvlog_packing_free(&w->snapshot.packing);
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
	return w->incomplete ? UINT64_MAX : w->bytes;
}

void kvlog_set_incomplete(struct kvlog_writer *w)
{
	w->incomplete = true;
}

/* What went wrong on the way there is no error any more. */
static int done(struct err *e)
{
	if (e)
		err_clear(e);
	return 0;
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

static const char *full_key(const struct kvlog_writer *w, struct arena *a, const char *name)
{
	return arena_printf(a, "%s/%s", w->prefix, name);
}

struct consul_txn_kv *kvlog_put_op(
    const struct kvlog_writer *w, struct kvlog_fenced *f, const char *verb, const char *name, const struct buf *value)
{
	struct consul_txn_kv *op = consul_txn_add(f->arena, f->txn, verb, full_key(w, f->arena, name));

	if (value)
		MODEL_SET(consul_txn_kv, op, value, ((struct bytes){.p = value->data, .n = (uint32_t)value->len}));
	return op;
}

static struct kvlog_fenced begin(void)
{
	struct arena *a = arena_new();

	return (struct kvlog_fenced){.arena = a, .txn = MODEL_NEW(a, consul_txn_request)};
}

struct kvlog_fenced kvlog_fence(const struct kvlog_writer *w)
{
	struct kvlog_fenced f = begin();
	struct consul_txn_kv *op = kvlog_put_op(w, &f, "check-session", KVLOG_LOCK, NULL);

	MODEL_SET(consul_txn_kv, op, session, w->session);
	return f;
}

/* One attempt. 1: done. 0: refused. -E2BIG: larger than this Consul takes. Other negatives: not known. */
static int attempt(struct kvlog_writer *w, const struct kvlog_fenced *f, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	struct consul_args args = {.name = w->prefix, .object = f->txn, .timeout = KVLOG_TIMEOUT};
	const char *refusal;

	if (consul_channel_call(w->channel, &consul_txn, &args, &answer) < 0)
		return err_set(e, answer.err.code, "%s", err_str(&answer.err));
	refusal = kvlog_refusal(answer.object);
	if (!refusal)
		return 1;
	err_set(e, -EIO, "%s: refused: %s", w->prefix, refusal);
	return 0;
}

int kvlog_read_key(struct kvlog_writer *w, const char *name, struct consul_answer *answer, const struct consul_pair **out,
    struct err *e)
{
	cleanup_free char *key = xasprintf("%s/%s", w->prefix, name);
	struct consul_args args = {.name = key, .consistent = true, .timeout = KVLOG_TIMEOUT};
	const struct consul_pairs *pairs;

	if (consul_channel_call(w->channel, &consul_kv_get, &args, answer) < 0)
		return err_set(e, answer->err.code, "%s", err_str(&answer->err));
	pairs = answer->object;
	*out = pairs && pairs->items.n ? pairs->items.v[0] : NULL;
	return 0;
}

/* ---- the lock ---- */

/* 0: ours. -ESTALE: not ours, or of a newer format. -ENOENT: there is none. -EBADMSG: ours, and what it says is damaged. Others: not
 * known. seq, when not NULL: of its head. */
static int check_lock(struct kvlog_writer *w, int64_t *seq, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	cleanup_arena struct arena *a = arena_new();
	const struct consul_pair *pair;
	struct log_head head;
	int rc = kvlog_read_key(w, KVLOG_LOCK, &answer, &pair, e);

	if (rc < 0)
		return rc;
	if (!pair)
		return err_set(e, -ENOENT, "%s/%s: the lock is gone: somebody deleted it", w->prefix, KVLOG_LOCK);
	if (!str_eq(pair->session, w->session))
		return err_set(e, -ESTALE, "%s/%s: the lock is lost%s", w->prefix, KVLOG_LOCK,
		    str_empty(pair->session) ? "" : " to another server");
	if (!seq)
		return 0;
	rc = kvlog_take_head(pair->value.p, pair->value.n, a, &head, e);
	if (rc < 0)
		return err_set(e, rc == -EPROTONOSUPPORT ? -ESTALE : -EBADMSG, "%s/%s: somebody else has written to it", w->prefix, KVLOG_LOCK);
	*seq = head.seq;
	return 0;
}

/*
 * Somebody deleted the lock, and perhaps the log: nobody can have taken it, or it would be there again. It is made anew, with
 * the head at seq and index, and what else is missing comes back with a snapshot. Whatever becomes of this, the caller looks
 * at the lock again.
 */
static void recreate_lock(struct kvlog_writer *w, int64_t seq, int64_t index)
{
	cleanup_err struct err ignored = ERR_INIT;
	cleanup_buf struct buf text = BUF_INIT;
	struct kvlog_fenced f = begin();
	struct log_head head = w->head;
	struct consul_txn_kv *op;

	head.seq = seq;
	head.index = index;
	kvlog_put_head(&text, &head);
	kvlog_put_op(w, &f, "check-not-exists", KVLOG_LOCK, NULL);
	op = kvlog_put_op(w, &f, "lock", KVLOG_LOCK, &text);
	MODEL_SET(consul_txn_kv, op, session, w->session);
	w->incomplete = true;
	attempt(w, &f, &ignored);
	arena_free(f.arena);
}

/* Somebody wrote to the lock who does not hold it, or Consul's data was replaced by older data: nobody can have appended, and what this
 * server knows counts. */
static void put_head_back(struct kvlog_writer *w)
{
	cleanup_err struct err ignored = ERR_INIT;
	cleanup_buf struct buf text = BUF_INIT;
	struct kvlog_fenced f = kvlog_fence(w);

	kvlog_put_head(&text, &w->head);
	kvlog_put_op(w, &f, "set", KVLOG_LOCK, &text);
	w->incomplete = true;
	attempt(w, &f, &ignored);
	arena_free(f.arena);
}

int kvlog_confirm(struct kvlog_writer *w, struct err *e)
{
	int64_t seq;
	int rc;

	if (atomic_load(&w->stopped))
		return stopped(e);
	rc = check_lock(w, &seq, e);
	if (rc == -ENOENT || rc == -EBADMSG || (rc == 0 && seq != w->head.seq)) {
		if (rc == -ENOENT)
			recreate_lock(w, w->head.seq, w->head.index);
		else
			put_head_back(w);
		rc = check_lock(w, &seq, e);
		if (rc == 0)
			done(e);
	}
	if (rc == 0 && seq != w->head.seq)
		return err_set(e, -ESTALE, "%s/%s: the log ends at sequence %lld and not at %lld, as this server left it", w->prefix,
		    KVLOG_LOCK, (long long)seq, (long long)w->head.seq);
	return rc;
}

int kvlog_insist(struct kvlog_writer *w, const struct kvlog_fenced *f, struct err *e)
{
	int64_t pause = PAUSE_FIRST;

	for (unsigned refusals = 0;;) {
		cleanup_err struct err lost = ERR_INIT;
		int rc = attempt(w, f, e), lock;

		if (rc > 0)
			return done(e);
		if (rc == -E2BIG)
			return rc;
		if (atomic_load(&w->stopped))
			return stopped(e);
		refusals += rc == 0;
		lock = check_lock(w, NULL, &lost);
		if (lock == -ENOENT)
			recreate_lock(w, w->head.seq, w->head.index);
		if (lock == -ESTALE)
			return err_set(e, -ESTALE, "%s", err_str(&lost));
		if (refusals > REFUSALS)
			return -EIO;
		pause_for(&pause);
	}
}

/* ---- batches ---- */

struct batch {
	struct uuid nonce;
	struct log_head head; /* with it */
	struct buf packed, stand_in, head_text;
};

static void batch_free(struct batch *b)
{
	buf_free(&b->packed);
	buf_free(&b->stand_in);
	buf_free(&b->head_text);
}
#define cleanup_batch CLEANUP(batch_free)

/* Is the batch that was sent there? 1: yes. 0: no. -ESTALE: another one is. Others: not known. */
static int find_batch(struct kvlog_writer *w, const struct batch *b, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	const struct consul_pair *pair;
	struct kvlog_value v;
	char name[KVLOG_NAME];
	int rc = kvlog_read_key(w, kvlog_batch_name((uint64_t)b->head.seq, name), &answer, &pair, e);

	if (rc < 0 || !pair)
		return rc;
	rc = kvlog_read(pair->value.p, pair->value.n, &v, e);
	if (rc == 0 && uuid_eq(v.nonce, b->nonce))
		return 1;
	return err_set(e, -ESTALE, "%s/%s: another server has written it", w->prefix, name);
}

/* What became of a transaction that was refused or not answered. 1: the batch is there. 0: it is not, and may be sent again. The lock
 * is looked at before the batch: with the lock lost nothing that is still under way can take effect any more, so what is absent
 * then stays absent. */
static int find_out(struct kvlog_writer *w, const struct batch *b, struct err *e)
{
	cleanup_err struct err lost = ERR_INIT;
	int lock = check_lock(w, NULL, &lost), there;

	if (lock < 0 && lock != -ESTALE && lock != -ENOENT)
		return err_set(e, lock, "%s", err_str(&lost));
	there = find_batch(w, b, e);
	if (there < 0)
		return there;
	if (lock == -ENOENT)
		recreate_lock(w, there ? b->head.seq : w->head.seq, there ? b->head.index : w->head.index);
	if (!there && lock == -ESTALE)
		return err_set(e, -ESTALE, "%s", err_str(&lost));
	return there;
}

/* Sends the transaction that makes the batch count. */
static int commit_batch(struct kvlog_writer *w, const struct batch *b, struct err *e)
{
	struct kvlog_fenced f = kvlog_fence(w);
	char name[KVLOG_NAME];
	struct consul_txn_kv *op = kvlog_put_op(w, &f, "cas", kvlog_batch_name((uint64_t)b->head.seq, name),
	    b->stand_in.len ? &b->stand_in : &b->packed);
	int64_t pause = PAUSE_FIRST;
	int rc;

	MODEL_SET(consul_txn_kv, op, index, 0);
	kvlog_put_op(w, &f, "set", KVLOG_LOCK, &b->head_text);
	for (unsigned refusals = 0;;) {
		rc = attempt(w, &f, e);
		if (rc > 0 || rc == -E2BIG)
			break;
		refusals += rc == 0;
		rc = find_out(w, b, e);
		if (rc > 0 || rc == -ESTALE)
			break;
		if (atomic_load(&w->stopped)) {
			rc = stopped(e);
			break;
		}
		if (rc == 0 && refusals > REFUSALS) {
			rc = err_set(e, -EIO, "%s: Consul refuses to append to the log although the lock is ours", w->prefix);
			break;
		}
		pause_for(&pause);
	}
	arena_free(f.arena);
	return rc > 0 ? done(e) : rc;
}

static int write_parts(struct kvlog_writer *w, const struct batch *b, uint32_t parts, struct err *e)
{
	for (uint32_t i = 0; i < parts; i++) {
		size_t at = (size_t)i * w->value_max;
		struct buf part = {.data = b->packed.data + at, .len = MIN(b->packed.len - at, w->value_max)};
		struct kvlog_fenced f = kvlog_fence(w);
		char name[KVLOG_NAME];
		int rc;

		kvlog_put_op(w, &f, "set", kvlog_piece_name(KVLOG_PART, (uint64_t)b->head.seq, b->nonce, i, name), &part);
		rc = kvlog_insist(w, &f, e);
		arena_free(f.arena);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* With values as large as this Consul is thought to take. */
static int write_batch(struct kvlog_writer *w, const struct kvlog_run *run, struct err *e)
{
	cleanup_batch struct batch b = {.nonce = uuid_random(), .head = w->head};
	uint32_t parts;
	int rc = 0;

	kvlog_pack(run, b.nonce, &b.packed);
	parts = (uint32_t)((b.packed.len + w->value_max - 1) / w->value_max);
	b.head.seq++;
	b.head.index = (int64_t)run->last;
	kvlog_put_head(&b.head_text, &b.head);
	if (parts > 1) {
		kvlog_pack_parts(run, b.nonce, &b.packed, parts, &b.stand_in);
		rc = write_parts(w, &b, parts, e);
	}
	if (rc == 0)
		rc = commit_batch(w, &b, e);
	if (rc < 0)
		return rc;
	w->head.seq = b.head.seq;
	w->head.index = b.head.index;
	w->bytes += run->raw.len + KVLOG_KEY_COST;
	return 0;
}

int kvlog_write(struct kvlog_writer *w, const struct kvlog_run *run, struct err *e)
{
	int rc = 0;

	if (atomic_load(&w->stopped))
		return stopped(e);
	do {
		rc = write_batch(w, run, e);
	} while (rc == -E2BIG && kvlog_shrink(w));
	return rc < 0 ? rc : done(e);
}

bool kvlog_shrink(struct kvlog_writer *w)
{
	if (w->value_max <= VALUE_MIN)
		return false;
	w->value_max /= 2;
	return true;
}
