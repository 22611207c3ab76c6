/*
 * kvlog_read: follows the log. One call is under way at a time; step() looks at what is known and asks for the next thing:
 * the manifest, pieces of a snapshot or of a batch, batches, or nothing until the head moves. What was read is handed over
 * in slices, so that the loop has other turns between.
 */
#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/wire.h"
#include "discovery/kvlog.h"
#include "discovery/kvlog_stream.h"

enum { GETS_FIRST = 8, GETS_MAX = 24 }; /* values of one transaction: 24 * 512 KiB of base64 are below what an answer may have */
#define ANSWER_LARGE (4u << 20)    /* fewer next time, as the loop waits while it is decoded */
#define UNPACK_BYTES (128u << 10)  /* at once, then the time is looked at */
#define SLICE        (5 * MILLI)
#define PAUSE_FIRST (500 * MILLI)
#define PAUSE_MAX   (8 * SECOND)

struct pieces { /* what is being put together from several values */
	const char *kind; /* NULL: nothing */
	uint64_t seq;
	struct uuid nonce;
	uint32_t n, got;
	uint64_t bytes, index, raw; /* index, raw: of a snapshot: its last entry, its size when unpacked */
	uint32_t crc;
	uint64_t seen;              /* of bytes */
	uint32_t seen_crc;
	struct buf buf;             /* of a batch: joined */
};

struct kvlog_reader {
	struct event_base *base;
	struct consul *consul;
	char *prefix;
	const struct kvlog_reader_ops *ops;
	void *arg;

	struct consul_watch *watch;
	struct consul_call *call;
	struct event *retry; /* pending after a failure */
	struct event *more;  /* pending while values wait to be handed over */
	int64_t pause;
	bool troubled, ended;

	bool known;      /* the lock has been read */
	bool told;       /* and reported as it is */
	bool doubted;    /* it went back: read once more, so that no server of Consul answers from its past */
	bool probed;     /* without a lock: nothing follows what was read */
	struct kvlog_lock lock;
	struct arena *lock_arena, *reported_arena;

	bool based;      /* snapshot read, or there is none */
	uint64_t seq, index;
	struct pieces pieces;
	uint32_t gets;
	struct { /* read, and handed over from next on */
		struct arena *arena;
		const struct consul_txn_answer *txn; /* NULL: none */
		uint32_t next;
	} values;
	struct kvlog_unpacking unpacking;
	bool unpacks; /* a piece of it */

	unsigned calling; /* callbacks of the owner that run */
	bool dead;
};

static void step(struct kvlog_reader *r);
static void on_doubted(void *arg, const struct consul_answer *answer);

/* ---- life ---- */

static void drop_values(struct kvlog_reader *r)
{
	arena_free(r->values.arena);
	memset(&r->values, 0, sizeof(r->values));
}

static void drop_pieces(struct kvlog_reader *r)
{
	cleanup_err struct err ignored = ERR_INIT;

	kvlog_unpack_end(&r->unpacking, &ignored);
	buf_free(&r->pieces.buf);
	r->pieces.kind = NULL;
	r->unpacks = false;
}

static void destroy(struct kvlog_reader *r)
{
	consul_unwatch(r->watch);
	consul_cancel(r->call);
	event_free(r->retry);
	event_free(r->more);
	drop_values(r);
	drop_pieces(r);
	arena_free(r->lock_arena);
	arena_free(r->reported_arena);
	free(r->prefix);
	free(r);
}

void kvlog_reader_free(struct kvlog_reader *r)
{
	if (!r)
		return;
	r->dead = true;
	if (!r->calling)
		destroy(r);
}

/* Around what may call the owner; false: the reader is gone. */
static void enter(struct kvlog_reader *r)
{
	r->calling++;
}

static bool leave(struct kvlog_reader *r)
{
	if (--r->calling || !r->dead)
		return !r->dead;
	destroy(r);
	return false;
}

/* ---- when something goes wrong ---- */

static void set_trouble(struct kvlog_reader *r, const struct err *e)
{
	if (!e && !r->troubled)
		return;
	r->troubled = e != NULL;
	r->ops->on_trouble(r->arg, e);
}

static void stop_for_good(struct kvlog_reader *r, const struct err *e)
{
	r->ended = true;
	consul_unwatch(STEAL(r->watch));
	r->ops->on_unreadable(r->arg, e);
}

static void try_later(struct kvlog_reader *r, const struct err *e)
{
	struct timeval tv;

	r->pause = r->pause ? MIN(r->pause * 2, PAUSE_MAX) : PAUSE_FIRST;
	tv = (struct timeval){r->pause / SECOND, r->pause % SECOND / 1000};
	evtimer_add(r->retry, &tv);
	set_trouble(r, e);
}

/* Forgets what was read and begins with the snapshot. */
static void start_over(struct kvlog_reader *r)
{
	r->based = r->probed = false;
	r->seq = r->index = 0;
	drop_values(r);
	drop_pieces(r);
}

/* Damage may be mended by the leader's next snapshot; a newer format will stay one. */
static void on_damage(struct kvlog_reader *r, const struct err *e)
{
	start_over(r);
	if (e->code == -EPROTONOSUPPORT)
		stop_for_good(r, e);
	else
		try_later(r, e);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct kvlog_reader *r = arg;

	(void)fd;
	(void)what;
	enter(r);
	step(r);
	leave(r);
}

/* ---- handing over ---- */

static int hand_over(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct kvlog_reader *r = arg;
	int rc;

	if (r->dead)
		return err_set(e, -ECANCELED, "reading has ended");
	if (index && index <= r->index)
		return 0; /* the snapshot held it */
	if (index && index != r->index + 1)
		return err_set(e, -EBADMSG, "entry %llu follows entry %llu", (unsigned long long)index, (unsigned long long)r->index);
	rc = r->ops->on_entry(r->arg, index, p, n, e);
	if (rc == 0 && index)
		r->index = index;
	return rc;
}

static int begin_pieces(struct kvlog_reader *r, const struct pieces *p, struct err *e)
{
	if (p->bytes > KVLOG_MAX_RUN || p->n > p->bytes)
		return err_set(e, -EBADMSG, "damaged: the number and size of its pieces cannot be");
	buf_free(&r->pieces.buf);
	r->pieces = *p;
	return 0;
}

static bool is_snapshot(const struct kvlog_reader *r)
{
	return str_eq(r->pieces.kind, KVLOG_CHUNK);
}

static const struct bytes *value_of(const struct consul_txn_answer *t, uint32_t i)
{
	static const struct bytes none;
	const struct consul_txn_result *result = i < t->results.n ? t->results.v[i] : NULL;

	return result && result->kv ? &result->kv->value : &none;
}

/* The next value is a batch. */
static int begin_batch(struct kvlog_reader *r, const struct bytes *b, struct err *e)
{
	struct kvlog_value v;
	int rc = kvlog_read(b->p, b->n, &v, e);

	if (rc < 0)
		return rc;
	if (!v.parts) {
		kvlog_unpack_begin(&r->unpacking, &v);
		r->unpacks = true;
		return 1;
	}
	/* The values behind it are read once more, after its parts. */
	r->values.next = r->values.txn->results.n;
	return begin_pieces(r, &(struct pieces){.kind = KVLOG_PART, .seq = r->seq + 1, .nonce = v.nonce, .n = v.parts,
	                           .bytes = v.parts_bytes, .crc = v.parts_crc}, e);
}

static int join_batch(struct kvlog_reader *r, struct err *e)
{
	struct kvlog_value v;
	int rc = kvlog_read(r->pieces.buf.data, r->pieces.buf.len, &v, e);

	if (rc == 0 && v.parts)
		rc = err_set(e, -EBADMSG, "damaged: its parts lie in parts");
	if (rc < 0)
		return rc;
	kvlog_unpack_begin(&r->unpacking, &v);
	r->unpacks = true;
	return 1;
}

/* The next value is a piece of what is in pieces. */
static int begin_piece(struct kvlog_reader *r, const struct bytes *b, struct err *e)
{
	struct pieces *p = &r->pieces;

	p->seen += b->n;
	p->seen_crc = crc32c(p->seen_crc, b->p, b->n);
	p->got++;
	if (p->seen > p->bytes || (p->got == p->n && (p->seen != p->bytes || p->seen_crc != p->crc)))
		return err_set(e, -EBADMSG, "damaged: its %u pieces do not give what was written", p->n);
	if (is_snapshot(r)) {
		if (p->got == 1)
			kvlog_unpack_begin_snapshot(&r->unpacking, p->raw);
		kvlog_unpack_piece(&r->unpacking, b->p, b->n);
		r->unpacks = true;
		return 1;
	}
	buf_put(&p->buf, b->p, b->n);
	r->values.next++;
	return p->got == p->n ? join_batch(r, e) : 1;
}

/* What was being unpacked is used up. */
static int end_piece(struct kvlog_reader *r, struct err *e)
{
	struct pieces *p = &r->pieces;
	bool snapshot = p->kind && is_snapshot(r);
	int rc;

	r->unpacks = false;
	if (!p->kind || snapshot)
		r->values.next++;
	if (snapshot && p->got < p->n)
		return 1;
	rc = kvlog_unpack_end(&r->unpacking, e);
	if (rc < 0)
		return rc;
	if (snapshot) {
		r->index = p->index;
		r->based = true;
	}
	r->seq = p->kind ? p->seq : r->seq + 1;
	p->kind = NULL;
	buf_free(&p->buf);
	return 1;
}

/* 1: there is more to do with the values; 0: they are used up. */
static int use_some(struct kvlog_reader *r, struct err *e)
{
	const struct bytes *b;

	if (r->unpacks) {
		int rc = kvlog_unpack_step(&r->unpacking, UNPACK_BYTES, hand_over, r, e);
		return rc ? rc : end_piece(r, e);
	}
	if (r->values.next >= r->values.txn->results.n)
		return 0;
	b = value_of(r->values.txn, r->values.next);
	return r->pieces.kind ? begin_piece(r, b, e) : begin_batch(r, b, e);
}

/* ---- calls ---- */

static const char *key(struct kvlog_reader *r, struct arena *a, const char *name)
{
	return arena_printf(a, "%s/%s", r->prefix, name);
}

static bool is_missing(const struct consul_txn_answer *t)
{
	OBJS_EACH(&t->errors, struct consul_txn_error, x)
		if (strstr(x->what ? x->what : "", "doesn't exist"))
			return true;
	return false;
}

/* Values that the head or the manifest names are not there: they were removed, because a newer snapshot made them needless.
 * When somebody else removed them, the next snapshot of the leader mends it. */
static void on_missing(struct kvlog_reader *r, const char *what)
{
	cleanup_err struct err e = ERR_INIT;

	err_set(&e, -ENOENT, "%s: %s after sequence %llu is missing", r->prefix, what, (unsigned long long)r->seq);
	start_over(r);
	try_later(r, &e);
}

static void use_values(struct kvlog_reader *r)
{
	int64_t until = clock_monotonic() + SLICE;
	cleanup_err struct err e = ERR_INIT;
	int rc;

	do
		rc = use_some(r, &e);
	while (rc > 0 && !r->dead && clock_monotonic() < until);
	if (r->dead)
		return;
	if (rc > 0) {
		evtimer_add(r->more, &(const struct timeval){0});
	} else if (rc < 0) {
		const char *kind = r->pieces.kind ? r->pieces.kind : "log";

		err_wrap(&e, "%s/%s/%016llx", r->prefix, kind, (unsigned long long)(r->pieces.kind ? r->pieces.seq : r->seq + 1));
		on_damage(r, &e);
	} else {
		drop_values(r);
		step(r);
	}
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	struct kvlog_reader *r = arg;

	(void)fd;
	(void)what;
	enter(r);
	use_values(r);
	leave(r);
}

static void take_values(struct kvlog_reader *r, const struct consul_answer *answer)
{
	if (answer->raw_len > ANSWER_LARGE)
		r->gets = MAX(r->gets / 2, 1u);
	else
		r->gets = MIN(r->gets * 2, (uint32_t)GETS_MAX);
	r->values.txn = answer->object;
	r->values.arena = consul_keep(answer);
	use_values(r);
}

static void on_refused(struct kvlog_reader *r, const struct consul_txn_answer *t)
{
	const struct consul_txn_error *first = t->errors.v[0];
	cleanup_err struct err e = ERR_INIT;

	if (!is_missing(t)) {
		err_set(&e, -EIO, "%s: reading failed: %s", r->prefix, first->what ? first->what : "no reason given");
		try_later(r, &e);
	} else if (r->lock.exists || r->pieces.kind) {
		on_missing(r, r->pieces.kind ? "a piece" : "what comes");
	} else { /* nothing follows, as nothing says that anything does */
		r->probed = true;
		step(r);
	}
}

static void on_values(void *arg, const struct consul_answer *answer)
{
	struct kvlog_reader *r = arg;
	const struct consul_txn_answer *t = answer->object;

	r->call = NULL;
	enter(r);
	if (answer->err.code || !t)
		try_later(r, &answer->err);
	else if (t->errors.n)
		on_refused(r, t);
	else
		take_values(r, answer);
	leave(r);
}

/* Reads up to n values by name; name(i) gives the i-th. */
static void get_values(struct kvlog_reader *r, uint32_t n, const char *(*name)(struct kvlog_reader *, uint32_t, char *))
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_txn_request *txn = MODEL_NEW(a, consul_txn_request);
	struct consul_args args = {.name = r->prefix, .object = txn};
	char text[KVLOG_NAME];

	for (uint32_t i = 0; i < MIN(n, r->gets); i++)
		consul_txn_add(a, txn, "get", key(r, a, name(r, i, text)));
	r->call = consul_call(r->consul, &consul_txn, &args, on_values, r);
}

static const char *batch_name(struct kvlog_reader *r, uint32_t i, char *out)
{
	return kvlog_batch_name(r->seq + 1 + i, out);
}

static const char *piece_name(struct kvlog_reader *r, uint32_t i, char *out)
{
	return kvlog_piece_name(r->pieces.kind, r->pieces.seq, r->pieces.nonce, r->pieces.got + i, out);
}

/* ---- the beginning ---- */

static int take_manifest(struct kvlog_reader *r, const struct consul_answer *answer, struct err *e)
{
	const struct consul_pairs *pairs = answer->object;
	const struct consul_pair *pair = pairs && pairs->items.n ? pairs->items.v[0] : NULL;
	cleanup_arena struct arena *a = arena_new();
	struct log_manifest m;
	struct uuid nonce;
	int rc;

	r->ops->on_restart(r->arg);
	if (!pair) { /* the log is whole */
		r->based = true;
		return 0;
	}
	rc = kvlog_take_manifest(pair->value.p, pair->value.n, a, &m, e);
	if (rc < 0)
		return err_wrap(e, "%s", r->prefix);
	if (uuid_parse(m.nonce ? m.nonce : "", &nonce) < 0)
		return err_set(e, -EBADMSG, "%s/%s: damaged: its nonce is none", r->prefix, KVLOG_MANIFEST);
	return begin_pieces(r, &(struct pieces){.kind = KVLOG_CHUNK, .seq = (uint64_t)m.seq, .nonce = nonce, .n = (uint32_t)m.chunks,
	                           .bytes = (uint64_t)m.bytes, .index = (uint64_t)m.index, .raw = (uint64_t)m.raw,
	                           .crc = (uint32_t)m.crc}, e);
}

static void on_manifest(void *arg, const struct consul_answer *answer)
{
	struct kvlog_reader *r = arg;
	cleanup_err struct err e = ERR_INIT;

	r->call = NULL;
	enter(r);
	if (answer->err.code)
		try_later(r, &answer->err);
	else if (take_manifest(r, answer, &e) < 0 && !r->dead)
		on_damage(r, &e);
	else if (!r->dead)
		step(r);
	leave(r);
}

static void get_manifest(struct kvlog_reader *r)
{
	cleanup_free char *name = xasprintf("%s/%s", r->prefix, KVLOG_MANIFEST);
	struct consul_args args = {.name = name};

	r->call = consul_call(r->consul, &consul_kv_get, &args, on_manifest, r);
}

/* ---- the head ---- */

static void report_lock(struct kvlog_reader *r)
{
	r->told = true;
	r->pause = 0;
	set_trouble(r, NULL);
	if (r->dead)
		return;
	if (!r->lock.exists) { /* where a new one would have to go on */
		r->lock.head.seq = (int64_t)r->seq;
		r->lock.head.index = (int64_t)r->index;
	}
	r->ops->on_lock(r->arg, &r->lock);
}

/* The head is behind what was read. */
static void doubt(struct kvlog_reader *r)
{
	cleanup_free char *name = xasprintf("%s/%s", r->prefix, KVLOG_LOCK);

	if (r->doubted) { /* Consul's data was replaced by older data */
		start_over(r);
		step(r);
		return;
	}
	r->doubted = true;
	r->call = consul_call(r->consul, &consul_kv_get, &(struct consul_args){.name = name, .consistent = true}, on_doubted, r);
}

static void step(struct kvlog_reader *r)
{
	uint64_t head = (uint64_t)r->lock.head.seq;

	if (r->dead || r->ended || r->call || r->values.txn || !r->known || evtimer_pending(r->retry, NULL))
		return;
	if (r->pieces.kind)
		get_values(r, r->pieces.n - r->pieces.got, piece_name);
	else if (!r->based)
		get_manifest(r);
	else if (!r->lock.exists && !r->probed)
		get_values(r, 1, batch_name);
	else if (r->lock.exists && head < r->seq)
		doubt(r);
	else if (r->lock.exists && r->seq < head)
		get_values(r, (uint32_t)MIN(head - r->seq, (uint64_t)GETS_MAX), batch_name);
	else if (!r->told)
		report_lock(r);
}

static int take_lock(struct kvlog_reader *r, const struct consul_pairs *pairs, struct err *e)
{
	struct kvlog_lock lock = {0};
	struct arena *a = arena_new();
	int rc = 0;

	if (pairs && pairs->items.n) {
		const struct consul_pair *pair = pairs->items.v[0];

		lock.exists = true;
		lock.modify_index = (uint64_t)pair->modify_index;
		snprintf(lock.session, sizeof(lock.session), "%s", pair->session ? pair->session : "");
		rc = kvlog_take_head(pair->value.p, pair->value.n, a, &lock.head, e);
	}
	if (rc < 0) {
		arena_free(a);
		return err_wrap(e, "%s", r->prefix);
	}
	/* What was reported last may still be held by the owner. */
	arena_free(r->reported_arena);
	r->reported_arena = r->lock_arena;
	r->lock_arena = a;
	r->lock = lock;
	r->known = true;
	r->told = r->probed = false;
	if ((uint64_t)lock.head.seq >= r->seq)
		r->doubted = false;
	return 0;
}

static void on_removed(void *arg UNUSED, const struct consul_answer *answer UNUSED)
{
	/* the watch tells */
}

/* A lock that nobody holds and nobody can read would be in the way for ever: without it, who has read the log goes on where that ended. */
static void remove_damaged(struct kvlog_reader *r, const struct consul_pair *pair)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_txn_request *txn = MODEL_NEW(a, consul_txn_request);
	const char *key = arena_printf(a, "%s/%s", r->prefix, KVLOG_LOCK);
	struct consul_txn_kv *op = consul_txn_add(a, txn, "delete-cas", key);

	if (!str_empty(pair->session))
		return; /* its holder mends it */
	MODEL_SET(consul_txn_kv, op, index, pair->modify_index);
	consul_call(r->consul, &consul_txn, &(struct consul_args){.name = key, .object = txn}, on_removed, NULL);
}

static void take_head(struct kvlog_reader *r, const struct consul_answer *answer)
{
	const struct consul_pairs *pairs = answer->object;
	cleanup_err struct err e = ERR_INIT;

	if (answer->err.code) {
		set_trouble(r, &answer->err);
	} else if (take_lock(r, answer->object, &e) < 0) {
		if (e.code == -EPROTONOSUPPORT) {
			stop_for_good(r, &e);
		} else {
			remove_damaged(r, pairs->items.v[0]);
			set_trouble(r, &e);
		}
	} else {
		step(r);
	}
}

static void on_head(void *arg, const struct consul_answer *answer)
{
	struct kvlog_reader *r = arg;

	enter(r);
	take_head(r, answer);
	leave(r);
}

static void on_doubted(void *arg, const struct consul_answer *answer)
{
	struct kvlog_reader *r = arg;

	r->call = NULL;
	enter(r);
	if (answer->err.code)
		try_later(r, &answer->err);
	else if (r->doubted)
		take_head(r, answer);
	else /* the watch has seen something newer */
		step(r);
	leave(r);
}

struct kvlog_reader *kvlog_reader_new(struct event_base *base, struct consul *c, const char *prefix,
    const struct kvlog_reader_ops *ops, void *arg)
{
	struct kvlog_reader *r = xcalloc(1, sizeof(*r));
	cleanup_free char *lock = xasprintf("%s/%s", prefix, KVLOG_LOCK);
	/* Under load the head moves hundreds of times a second; whoever follows reads what came together. */
	struct consul_watch_config watch = {
	    .op = &consul_kv_get,
	    .args = {.name = lock},
	    .pace = 20 * MILLI,
	    .report = on_head,
	    .arg = r,
	};

	r->base = base;
	r->consul = c;
	r->prefix = xstrdup(prefix);
	r->ops = ops;
	r->arg = arg;
	r->retry = evtimer_new(base, on_retry, r);
	r->more = evtimer_new(base, on_more, r);
	r->gets = GETS_FIRST;
	if (!r->retry || !r->more)
		die("out of memory");
	r->watch = consul_watch(c, &watch);
	return r;
}

void kvlog_reader_position(const struct kvlog_reader *r, struct kvlog_position *out)
{
	struct consul_watch_state w = {0};

	if (r->watch)
		consul_watch_state(r->watch, &w);
	*out = (struct kvlog_position){
	    .seq = r->seq,
	    .index = r->index,
	    .head_seq = (uint64_t)r->lock.head.seq,
	    .head_index = (uint64_t)r->lock.head.index,
	    /* A blocking read that is under way says that nothing newer is there. */
	    .at = r->known && !w.failures && r->based && r->seq >= (uint64_t)r->lock.head.seq ? clock_now() : w.last_answer,
	};
}
