/*
 * kvlog_chores: what keeps the log short and whole: snapshots, the removal of what nobody needs any more, and a look at
 * whether everything that a reader needs is there.
 */
#include <errno.h>

#include "base/wire.h"
#include "discovery/kvlog_internal.h"

enum {
	KEPT = 256,  /* batches before the snapshot that stay, for readers that are slow */
	DELETES = 60 /* keys that one transaction removes, beside the fence */
};

/* ---- the snapshot ---- */

void kvlog_snapshot(struct kvlog_writer *w, uint64_t seq, uint64_t index, struct kvlog_run *run)
{
	w->snapshot.seq = seq;
	w->snapshot.index = index;
	w->snapshot.nonce = uuid_random();
	w->snapshot.raw = run->raw.len;
	w->snapshot.bytes = w->snapshot.chunks = w->snapshot.crc = 0;
	kvlog_packing_begin(&w->snapshot.packing, run);
	w->bytes = 0;
	w->incomplete = false;
	w->chore = CHORE_CHUNKS;
}

static int write_chunk(struct kvlog_writer *w, struct err *e)
{
	struct kvlog_packing *p = &w->snapshot.packing;
	struct kvlog_fenced f = kvlog_fence(w);
	struct buf chunk;
	char name[KVLOG_NAME];
	int rc;

	kvlog_packing_fill(p, w->value_max);
	chunk = (struct buf){.data = p->out.data, .len = MIN(p->out.len, w->value_max)};
	kvlog_put_op(w, &f, "set", kvlog_piece_name(KVLOG_CHUNK, w->snapshot.seq, w->snapshot.nonce, w->snapshot.chunks, name), &chunk);
	rc = kvlog_insist(w, &f, e);
	arena_free(f.arena);
	if (rc == -E2BIG && kvlog_shrink(w)) {
		err_clear(e);
		return 0;
	}
	if (rc < 0)
		return rc;
	w->snapshot.crc = crc32c(w->snapshot.crc, chunk.data, chunk.len);
	w->snapshot.bytes += chunk.len;
	w->snapshot.chunks++;
	buf_drop_front(&p->out, chunk.len);
	if (p->ended && !p->out.len)
		w->chore = CHORE_MANIFEST;
	return 0;
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
	    .bytes = (int64_t)w->snapshot.bytes,
	    .raw = (int64_t)w->snapshot.raw,
	    .crc = w->snapshot.crc,
	};
	struct kvlog_fenced f = kvlog_fence(w);
	int rc;

	kvlog_put_manifest(&text, &m);
	kvlog_put_op(w, &f, "set", KVLOG_MANIFEST, &text);
	rc = kvlog_insist(w, &f, e);
	arena_free(f.arena);
	if (rc < 0)
		return rc;
	kvlog_packing_free(&w->snapshot.packing);
	w->chore = CHORE_LIST;
	return 0;
}

/* ---- what is there ---- */

/* 0: there is none: all fields zero. */
static int read_manifest(struct kvlog_writer *w, struct arena *a, struct log_manifest *m, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	const struct consul_pair *pair;
	int rc = kvlog_read_key(w, KVLOG_MANIFEST, &answer, &pair, e);

	if (rc < 0 || !pair)
		return rc;
	rc = kvlog_take_manifest(pair->value.p, pair->value.n, a, m, e);
	return rc < 0 ? rc : 1;
}

/* What stands below the prefix, against what should. */
struct stock {
	const struct log_manifest *manifest;
	uint64_t head, batches; /* after the manifest, up to the head */
	int64_t chunks;         /* of the manifest */
};

/* Whether nobody needs it; what is needed is counted. */
static bool take_stock(struct stock *s, const char *name)
{
	const struct log_manifest *m = s->manifest;
	const char *slash = strchr(name, '/');
	uint64_t seq = slash ? strtoull(slash + 1, NULL, 16) : 0;
	bool old = seq + KEPT <= (uint64_t)m->seq;

	if (str_starts(name, "log/")) {
		s->batches += seq > (uint64_t)m->seq && seq <= s->head;
		return old;
	}
	if (str_starts(name, KVLOG_PART "/"))
		return old || seq > s->head;
	if (!str_starts(name, KVLOG_CHUNK "/"))
		return false;
	if (str_empty(m->nonce) || !strstr(name, m->nonce))
		return true;
	s->chunks++;
	return false;
}

static int list_keys(struct kvlog_writer *w, struct err *e)
{
	cleanup_consul_answer struct consul_answer answer = {0};
	cleanup_free char *below = xasprintf("%s/", w->prefix);
	cleanup_arena struct arena *a = arena_new();
	struct consul_args args = {.name = below, .consistent = true, .timeout = KVLOG_TIMEOUT};
	const struct consul_strings *keys;
	struct log_manifest m = {0};
	struct stock stock = {.manifest = &m, .head = (uint64_t)w->head.seq};
	int rc;

	/* One that cannot be read is as good as none: the next snapshot replaces it. */
	rc = read_manifest(w, a, &m, e);
	if (rc < 0 && rc != -EBADMSG)
		return rc;
	err_clear(e);
	if (consul_channel_call(w->channel, &consul_kv_keys, &args, &answer) < 0)
		return err_set(e, answer.err.code, "%s", err_str(&answer.err));
	arena_free(w->doomed_arena);
	w->doomed_arena = arena_new();
	w->doomed = (struct strs){0};
	w->removed = 0;
	keys = answer.object;
	for (uint32_t i = 0; keys && i < keys->items.n; i++) {
		const char *key = keys->items.v[i];

		if (str_starts(key, below) && take_stock(&stock, key + strlen(below)))
			strs_push(w->doomed_arena, &w->doomed, key + strlen(below));
	}
	if (stock.chunks != m.chunks || stock.batches + (uint64_t)m.seq < stock.head)
		w->incomplete = true;
	w->chore = w->doomed.n ? CHORE_DELETE : CHORE_NONE;
	return 0;
}

static int delete_some(struct kvlog_writer *w, struct err *e)
{
	struct kvlog_fenced f = kvlog_fence(w);
	uint32_t n = MIN(w->doomed.n - w->removed, (uint32_t)DELETES);
	int rc;

	for (uint32_t i = 0; i < n; i++)
		kvlog_put_op(w, &f, "delete", w->doomed.v[w->removed + i], NULL);
	rc = kvlog_insist(w, &f, e);
	arena_free(f.arena);
	if (rc < 0)
		return rc;
	w->removed += n;
	if (w->removed == w->doomed.n)
		w->chore = CHORE_NONE;
	return 0;
}

/* ---- one after the other ---- */

void kvlog_look_after(struct kvlog_writer *w)
{
	if (w->chore == CHORE_NONE)
		w->chore = CHORE_LIST;
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
	    [CHORE_LIST] = list_keys,
	    [CHORE_DELETE] = delete_some,
	};
	int rc;

	if (atomic_load(&w->stopped))
		return err_set(e, -ECANCELED, "the writer of the log was stopped");
	if (w->chore == CHORE_NONE)
		return 0;
	rc = steps[w->chore](w, e);
	return rc < 0 ? rc : kvlog_has_chores(w);
}
