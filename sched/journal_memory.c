/*
 * The journal in memory: for tests and for `agent -dev` without a data folder. Entries are [u64 index][u64 length][bytes]
 * one after another: those of the snapshot (index 0) in one buffer, the log's in another; three marks divide the log into what is
 * committed, what is being committed, and what gathers.
 */
#include <errno.h>

#include "sched/journal.h"

struct memory {
	struct journal j;
	struct buf snapshot, log;
	uint64_t index, committing_index, committed_index;
	size_t committing, committed; /* bytes of log */
	bool running;
	uint64_t limit;
};

static void put_entry(struct buf *b, uint64_t index, const void *p, size_t n)
{
	uint64_t head[2] = {index, n};
	buf_put(b, head, sizeof(head));
	buf_put(b, p, n);
}

static int replay_buf(const struct buf *b, journal_entry_fn *fn, void *arg, struct err *e)
{
	for (size_t at = 0; at < b->len;) {
		uint64_t head[2];
		memcpy(head, b->data + at, sizeof(head));
		at += sizeof(head);
		int r = fn(arg, head[0], b->data + at, head[1], e);
		if (r < 0)
			return r;
		at += head[1];
	}
	return 0;
}

static int memory_replay(struct journal *j, journal_entry_fn *fn, void *arg, struct err *e)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	int r = replay_buf(&m->snapshot, fn, arg, e);
	return r < 0 ? r : replay_buf(&m->log, fn, arg, e);
}

static int memory_append(struct journal *j, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	if (m->limit && m->log.len + n > m->limit)
		return err_set(e, -ENOSPC, "the journal in memory has reached its limit of %llu bytes",
		    (unsigned long long)m->limit);
	put_entry(&m->log, index, p, n);
	m->index = index;
	return 0;
}

static bool memory_commit_begin(struct journal *j)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	if (m->running || m->committed == m->log.len)
		return false;
	m->running = true;
	m->committing = m->log.len;
	m->committing_index = m->index;
	return true;
}

static int memory_commit_run(struct journal *j UNUSED, struct err *e UNUSED)
{
	return 0; /* memory is as durable as it gets */
}

static uint64_t memory_commit_end(struct journal *j)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	m->running = false;
	m->committed = m->committing;
	m->committed_index = m->committing_index;
	return m->committed_index;
}

static void put_snapshot(void *arg, const void *p, size_t n)
{
	put_entry(arg, 0, p, n);
}

static int memory_snapshot(struct journal *j, uint64_t index,
    void (*write)(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg), void *arg,
    struct err *e)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	if (m->running || index != m->index)
		return err_set(e, -EBUSY, "a snapshot stands for everything that was appended, and a commit is running");
	struct buf b = BUF_INIT;
	write(arg, put_snapshot, &b);
	buf_free(&m->snapshot);
	buf_free(&m->log);
	m->snapshot = b;
	m->committed = m->committing = 0;
	m->committed_index = index;
	return 0;
}

static uint64_t memory_log_bytes(const struct journal *j)
{
	return CONTAINER_OF(j, const struct memory, j)->log.len;
}

static void memory_close(struct journal *j)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	buf_free(&m->snapshot);
	buf_free(&m->log);
	free(m);
}

static const struct journal_ops memory_ops = {
    .name = "memory",
    .snapshot_after = 64u << 20,
    .replay = memory_replay,
    .append = memory_append,
    .commit_begin = memory_commit_begin,
    .commit_run = memory_commit_run,
    .commit_end = memory_commit_end,
    .snapshot = memory_snapshot,
    .log_bytes = memory_log_bytes,
    .close = memory_close,
};

struct journal *journal_memory_new(void)
{
	struct memory *m = xcalloc(1, sizeof(*m));
	m->j.ops = &memory_ops;
	return &m->j;
}

void journal_memory_crash(struct journal *j)
{
	struct memory *m = CONTAINER_OF(j, struct memory, j);
	m->running = false;
	m->log.len = m->committing = m->committed;
	m->index = m->committing_index = m->committed_index;
}

void journal_memory_set_limit(struct journal *j, uint64_t bytes)
{
	CONTAINER_OF(j, struct memory, j)->limit = bytes;
}
