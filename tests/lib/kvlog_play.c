#include "tests/lib/kvlog_play.h"

#include <errno.h>

#include "base/clock.h"
#include "tests/lib/test.h"

struct asker at;

/* ---- a reader that remembers ---- */

static void on_restart(void *arg)
{
	struct follower *f = arg;

	f->restarts++;
	f->n = f->index = 0;
	buf_clear(&f->entries);
}

static int on_entry(void *arg, uint64_t index, const void *p UNUSED, size_t n, struct err *e)
{
	struct follower *f = arg;

	if (f->refuse) {
		f->refuse--;
		return err_set(e, -EBADMSG, "refused by the test");
	}
	f->index = index;
	f->n++;
	buf_printf(&f->entries, "%llu:%zu ", (unsigned long long)index, n);
	return 0;
}

static void on_lock(void *arg, const struct kvlog_lock *lock)
{
	struct follower *f = arg;

	f->lock = *lock;
	snprintf(f->leader, sizeof(f->leader), "%s", lock->head.name ? lock->head.name : "");
	f->locks++;
}

static void on_trouble(void *arg, const struct err *e)
{
	struct follower *f = arg;

	f->troubles += e != NULL;
	if (e)
		snprintf(f->sentence, sizeof(f->sentence), "%s", err_str(e));
}

static void on_unreadable(void *arg, const struct err *e)
{
	struct follower *f = arg;

	f->unreadable++;
	snprintf(f->sentence, sizeof(f->sentence), "%s", err_str(e));
}

void follow(struct follower *f, const char *prefix)
{
	static const struct kvlog_reader_ops ops = {on_restart, on_entry, on_lock, on_trouble, on_unreadable};

	f->reader = kvlog_reader_new(at.base, at.consul, prefix, &ops, f);
}

void unfollow(struct follower *f)
{
	kvlog_reader_free(f->reader);
	buf_free(&f->entries);
}

/* ---- leaders ---- */

const char *make_session(void)
{
	static char ids[4][64];
	static unsigned next;
	struct consul_session ask = {0};
	struct consul_answer answer;

	MODEL_SET(consul_session, &ask, lock_delay, 0);
	answer = asker_must(&at, &consul_session_create, ARGS(.name = "test", .object = &ask));
	snprintf(ids[next % 4], sizeof(ids[0]), "%s", CONSUL_OBJECT(&answer, consul_id)->id);
	consul_answer_free(&answer);
	return ids[next++ % 4];
}

void end_session(const char *id)
{
	asker_do(&at, &consul_session_destroy, ARGS(.name = id));
}

struct claimed {
	int done, code;
};

static void on_claimed(void *arg, const struct err *e)
{
	struct claimed *c = arg;

	c->done = 1;
	c->code = e->code;
}

int claim(const char *prefix, const struct kvlog_lock *lock, const char *name, const char *session)
{
	const struct log_head me = {.id = "x", .name = name, .address = "127.0.0.1:1", .feature = KVLOG_FEATURE};
	struct claimed c = {0};

	kvlog_claim(at.consul, prefix, lock, &me, session, on_claimed, &c);
	loop_until(at.base, &c.done);
	return c.code;
}

struct kvlog_writer *writer_of(const char *prefix, const struct kvlog_lock *lock, const char *session)
{
	struct log_head head = {.format = KVLOG_FORMAT,
	    .feature = KVLOG_FEATURE,
	    .seq = lock->head.seq,
	    .index = lock->head.index,
	    .name = "one",
	    .has = UINT64_MAX};

	return kvlog_writer_new(at.consul, prefix, &head, session);
}

struct kvlog_run run_of(uint64_t first, uint64_t n, size_t size)
{
	struct kvlog_run r = {0};
	cleanup_free char *text = xcalloc(size + 1, 1);
	uint64_t random = first * 7919 + 1;

	for (uint64_t i = first; i < first + n; i++) {
		for (size_t k = 0; k < size; k++)
			text[k] = (char)((random = random * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 56);
		kvlog_run_add(&r, i, text, size);
	}
	return r;
}

int append(struct kvlog_writer *w, uint64_t first, uint64_t n, size_t size, struct err *e)
{
	struct kvlog_run r = run_of(first, n, size);
	int rc = kvlog_write(w, &r, e);

	kvlog_run_free(&r);
	return rc;
}

struct kvlog_writer *lead(const char *prefix, struct follower *f, const char *session)
{
	UNTIL(f->locks > 0 && !*f->lock.session);
	assert_int_equal(claim(prefix, &f->lock, "one", session), 0);
	return writer_of(prefix, &f->lock, session);
}

void finish_chores(struct kvlog_writer *w)
{
	struct err e = ERR_INIT;
	int rc;

	while ((rc = kvlog_chore(w, &e)) > 0)
		;
	if (rc < 0)
		fail_msg("%s", err_str(&e));
}

uint32_t count_keys(const char *below)
{
	struct consul_answer answer = asker_ask(&at, &consul_kv_keys, ARGS(.name = below));
	uint32_t n = answer.object ? CONSUL_OBJECT(&answer, consul_strings)->items.n : 0;

	consul_answer_free(&answer);
	return n;
}

void put_record(struct kvlog_run *r, const char *text)
{
	kvlog_run_add_record(r, text, strlen(text));
}
