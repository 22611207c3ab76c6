/*
 * kvlog_read: follows the log. One call is under way at a time; step() looks at what is known and asks for the next thing:
 * the manifest, pieces of a snapshot or of a batch, batches, or nothing until the head moves.
 */
#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/wire.h"
#include "discovery/kvlog.h"

enum {
	GETS = 24,   /* values of one transaction: 24 * 512 KiB of base64 stay below what an answer may have */
	ATTEMPTS = 3 /* readings that end in damage before it is taken for real */
};
#define PAUSE_FIRST (500 * MILLI)
#define PAUSE_MAX   (8 * SECOND)

struct pieces { /* what is being put together from several values */
	const char *kind; /* NULL: nothing */
	uint64_t seq;
	struct uuid nonce;
	uint32_t n, got;
	uint64_t bytes, index; /* index: of a snapshot's last entry */
	uint32_t crc;
	struct buf buf;
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
	int64_t pause;
	unsigned damages;    /* in a row */
	bool troubled, ended;

	bool known;      /* the lock has been read */
	bool told;       /* and reported as it is */
	struct kvlog_lock lock;
	struct arena *lock_arena, *reported_arena;

	bool based;      /* snapshot read, or there is none */
	uint64_t seq, index;
	struct pieces pieces;

	unsigned calling; /* callbacks of the owner that run */
	bool dead;
};

static void step(struct kvlog_reader *r);

/* ---- life ---- */

static void destroy(struct kvlog_reader *r)
{
	consul_unwatch(r->watch);
	consul_cancel(r->call);
	event_free(r->retry);
	buf_free(&r->pieces.buf);
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
	if (!e)
		r->pause = 0;
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
	r->based = false;
	r->seq = r->index = 0;
	r->pieces.kind = NULL;
	buf_free(&r->pieces.buf);
}

static void on_damage(struct kvlog_reader *r, const struct err *e)
{
	start_over(r);
	if (e->code == -EPROTONOSUPPORT || ++r->damages >= ATTEMPTS)
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

static int hand_over_value(struct kvlog_reader *r, const struct kvlog_value *v, uint64_t seq, struct err *e)
{
	int rc = kvlog_unpack(v, hand_over, r, e);

	if (rc == 0)
		r->seq = seq;
	return rc;
}

static int begin_pieces(struct kvlog_reader *r, struct pieces p, struct err *e)
{
	if (p.bytes > KVLOG_MAX_RUN || p.n > p.bytes)
		return err_set(e, -EBADMSG, "damaged: the number and size of its pieces cannot be");
	buf_free(&r->pieces.buf);
	r->pieces = p;
	return 0;
}

/* All pieces are there. */
static int finish_pieces(struct kvlog_reader *r, struct err *e)
{
	struct pieces *p = &r->pieces;
	bool snapshot = str_eq(p->kind, KVLOG_CHUNK);
	struct kvlog_value v;
	int rc = 0;

	if (p->buf.len != p->bytes || crc32c(0, p->buf.data, p->buf.len) != p->crc)
		rc = err_set(e, -EBADMSG, "damaged: its %u pieces do not give what was written", p->n);
	if (rc == 0)
		rc = kvlog_read(p->buf.data, p->buf.len, &v, e);
	if (rc == 0 && (v.parts || (snapshot && v.first)))
		rc = err_set(e, -EBADMSG, "damaged: it is not what its name says");
	if (rc == 0)
		rc = hand_over_value(r, &v, p->seq, e);
	if (rc < 0)
		return err_wrap(e, "%s/%s/%016llx", r->prefix, p->kind, (unsigned long long)p->seq);
	if (snapshot) {
		r->index = p->index;
		r->based = true;
	}
	p->kind = NULL;
	buf_free(&p->buf);
	return 0;
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

static const struct bytes *value_of(const struct consul_txn_answer *t, uint32_t i)
{
	static const struct bytes none;
	const struct consul_txn_result *result = i < t->results.n ? t->results.v[i] : NULL;

	return result && result->kv ? &result->kv->value : &none;
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

static int take_batches(struct kvlog_reader *r, const struct consul_txn_answer *t, struct err *e)
{
	for (uint32_t i = 0; i < t->results.n && !r->dead; i++) {
		const struct bytes *b = value_of(t, i);
		uint64_t seq = r->seq + 1;
		struct kvlog_value v;
		int rc = kvlog_read(b->p, b->n, &v, e);

		if (rc == 0 && v.parts)
			return begin_pieces(r, (struct pieces){KVLOG_PART, seq, v.nonce, v.parts, 0, v.parts_bytes, 0, v.parts_crc, BUF_INIT}, e);
		if (rc == 0)
			rc = hand_over_value(r, &v, seq, e);
		if (rc < 0)
			return err_wrap(e, "%s/log/%016llx", r->prefix, (unsigned long long)seq);
	}
	return 0;
}

static int take_pieces(struct kvlog_reader *r, const struct consul_txn_answer *t, struct err *e)
{
	for (uint32_t i = 0; i < t->results.n; i++) {
		const struct bytes *b = value_of(t, i);

		if (r->pieces.buf.len + b->n > r->pieces.bytes)
			return err_set(e, -EBADMSG, "%s/%s/%016llx: damaged: its pieces are too long", r->prefix, r->pieces.kind,
			    (unsigned long long)r->pieces.seq);
		buf_put(&r->pieces.buf, b->p, b->n);
		r->pieces.got++;
	}
	return r->pieces.got == r->pieces.n ? finish_pieces(r, e) : 0;
}

static void on_values(void *arg, const struct consul_answer *answer)
{
	struct kvlog_reader *r = arg;
	const struct consul_txn_answer *t = answer->object;
	bool pieces = r->pieces.kind != NULL;
	cleanup_err struct err e = ERR_INIT;
	int rc;

	r->call = NULL;
	enter(r);
	if (answer->err.code || !t) {
		try_later(r, &answer->err);
	} else if (t->errors.n) {
		if (is_missing(t)) {
			on_missing(r, pieces ? "a piece" : "what comes");
		} else {
			const struct consul_txn_error *first = t->errors.v[0];

			err_set(&e, -EIO, "%s: reading failed: %s", r->prefix, first->what ? first->what : "no reason given");
			try_later(r, &e);
		}
	} else {
		rc = pieces ? take_pieces(r, t, &e) : take_batches(r, t, &e);
		if (r->dead) {
			/* the owner ended it */
		} else if (rc < 0) {
			on_damage(r, &e);
		} else {
			set_trouble(r, NULL);
			step(r);
		}
	}
	leave(r);
}

/* Reads up to GETS values by name; name(i) gives the i-th. */
static void get_values(struct kvlog_reader *r, uint32_t n, const char *(*name)(struct kvlog_reader *, uint32_t, char *))
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_txn_request *txn = MODEL_NEW(a, consul_txn_request);
	struct consul_args args = {.name = r->prefix, .object = txn};
	char text[KVLOG_NAME];

	for (uint32_t i = 0; i < MIN(n, (uint32_t)GETS); i++)
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
	return begin_pieces(r, (struct pieces){KVLOG_CHUNK, (uint64_t)m.seq, nonce, (uint32_t)m.chunks, 0, (uint64_t)m.bytes,
	                           (uint64_t)m.index, (uint32_t)m.crc, BUF_INIT}, e);
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
	r->damages = 0;
	r->ops->on_lock(r->arg, &r->lock);
}

static void step(struct kvlog_reader *r)
{
	uint64_t head = (uint64_t)r->lock.head.seq;

	if (r->dead || r->ended || r->call || !r->known || evtimer_pending(r->retry, NULL))
		return;
	if (r->based && head < r->seq)
		start_over(r); /* Consul's data was replaced by older data */
	if (r->pieces.kind)
		get_values(r, r->pieces.n - r->pieces.got, piece_name);
	else if (!r->based)
		get_manifest(r);
	else if (r->seq < head)
		get_values(r, (uint32_t)MIN(head - r->seq, (uint64_t)GETS), batch_name);
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
	r->told = false;
	return 0;
}

static void on_head(void *arg, const struct consul_answer *answer)
{
	struct kvlog_reader *r = arg;
	cleanup_err struct err e = ERR_INIT;

	enter(r);
	if (answer->err.code) {
		set_trouble(r, &answer->err);
	} else if (take_lock(r, answer->object, &e) < 0) {
		if (e.code == -EPROTONOSUPPORT)
			stop_for_good(r, &e);
		else
			set_trouble(r, &e);
	} else {
		if (!evtimer_pending(r->retry, NULL))
			set_trouble(r, NULL);
		step(r);
	}
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
	if (!r->retry)
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
