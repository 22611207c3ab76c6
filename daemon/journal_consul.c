/*
 * journal_consul: three runs of entries: what gathers, what is being written, and a snapshot that waits until what it
 * stands for is committed. The thread owns the writer between commit_begin and commit_end, the loop at other times.
 */
#include "daemon/journal_consul.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"

#define GATHER_MAX  (64u << 20) /* bytes that wait for Consul */
#define CHORE_PAUSE (10 * SECOND) /* after one that failed */
#define LOOK_EVERY  (10 * MINUTE) /* whether all of the log is there */

struct consul_journal {
	struct journal j;
	struct kvlog_writer *writer;
	struct kvlog_run gathering, writing;
	uint64_t seq, log_bytes;                      /* as of the last commit_end */
	uint64_t appended, writing_index, committed;  /* indexes */
	bool running;
	struct {
		struct kvlog_run run;
		uint64_t seq, index;
		bool waiting; /* for the commit of index */
		bool passed;  /* to the thread, with the commit that begins */
	} snapshot;
	int64_t chores_from, look_at; /* monotonic */
};

static struct consul_journal *of(const struct journal *j)
{
	return CONTAINER_OF(j, struct consul_journal, j);
}

/* A follower has read the log before it leads. */
static int consul_replay(struct journal *j UNUSED, journal_entry_fn *fn UNUSED, void *arg UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int consul_append(struct journal *base, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct consul_journal *j = of(base);

	if (j->gathering.raw.len + n > GATHER_MAX && j->gathering.raw.len)
		return err_set(e, -ENOSPC, "%zu bytes of changes wait for Consul, which is as much as may wait; try again later",
		    j->gathering.raw.len);
	kvlog_run_add(&j->gathering, index, p, n);
	j->appended = index;
	return 0;
}

uint64_t journal_consul_seq(const struct journal *j)
{
	return kvlog_seq(of(j)->writer);
}

static bool has_chores(const struct consul_journal *j)
{
	return kvlog_has_chores(j->writer) && clock_monotonic() >= j->chores_from;
}

static bool consul_commit_begin(struct journal *base)
{
	struct consul_journal *j = of(base);

	if (j->running)
		return false;
	if (clock_monotonic() >= j->look_at) {
		j->look_at = clock_monotonic() + LOOK_EVERY;
		kvlog_look_after(j->writer);
	}
	j->snapshot.passed = j->snapshot.waiting && j->committed >= j->snapshot.index;
	if (!j->gathering.raw.len && !j->snapshot.passed && !has_chores(j))
		return false;
	j->running = true;
	j->writing = j->gathering;
	j->gathering = (struct kvlog_run){0};
	j->writing_index = j->appended;
	return true;
}

static int do_chore(struct consul_journal *j, struct err *e)
{
	int rc;

	if (!has_chores(j))
		return 0;
	rc = kvlog_chore(j->writer, e);
	if (rc >= 0)
		return 0;
	if (rc == -ESTALE || rc == -ECANCELED)
		return rc;
	log_warn("server", "keeping the log in Consul short and whole: %s; trying again later", err_str(e));
	err_clear(e);
	j->chores_from = clock_monotonic() + CHORE_PAUSE;
	return 0;
}

static int consul_commit_run(struct journal *base, struct err *e)
{
	struct consul_journal *j = of(base);
	int rc = 0;

	if (j->writing.raw.len)
		rc = kvlog_write(j->writer, &j->writing, e);
	if (rc < 0)
		return rc;
	if (j->snapshot.passed)
		kvlog_snapshot(j->writer, j->snapshot.seq, j->snapshot.index, &j->snapshot.run);
	return do_chore(j, e);
}

static uint64_t consul_commit_end(struct journal *base)
{
	struct consul_journal *j = of(base);

	j->running = false;
	if (j->snapshot.passed)
		j->snapshot.waiting = j->snapshot.passed = false;
	kvlog_run_free(&j->writing);
	j->committed = j->writing_index;
	j->seq = kvlog_seq(j->writer);
	j->log_bytes = kvlog_bytes(j->writer);
	return j->committed;
}

static int consul_confirm(struct journal *base, struct err *e)
{
	return kvlog_confirm(of(base)->writer, e);
}

static void put_record(void *arg, const void *p, size_t n)
{
	kvlog_run_add_record(arg, p, n);
}

/* The snapshot may end in the middle of a batch that is not written yet: it then stands for the batches before that one,
 * and readers pass over the entries that it holds already. */
static int consul_snapshot(struct journal *base, uint64_t index,
    void (*write)(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg), void *arg, struct err *e)
{
	struct consul_journal *j = of(base);

	if (j->snapshot.waiting || (!j->running && kvlog_has_chores(j->writer)))
		return err_set(e, -EBUSY, "a snapshot is being written");
	write(arg, put_record, &j->snapshot.run);
	j->snapshot.index = index;
	j->snapshot.seq = j->seq + (j->running && j->writing.raw.len ? 1 : 0);
	j->snapshot.waiting = true;
	j->log_bytes = 0;
	return 0;
}

static uint64_t consul_log_bytes(const struct journal *base)
{
	return of(base)->log_bytes;
}

static void consul_close(struct journal *base)
{
	struct consul_journal *j = of(base);

	kvlog_writer_free(j->writer);
	kvlog_run_free(&j->gathering);
	kvlog_run_free(&j->writing);
	kvlog_run_free(&j->snapshot.run);
	free(j);
}

static void consul_interrupt(struct journal *j)
{
	kvlog_writer_stop(of(j)->writer);
}

static const struct journal_ops ops = {
    .name = "consul",
    .snapshot_after = 8u << 20,
    .defers_snapshots = true,
    .replay = consul_replay,
    .append = consul_append,
    .commit_begin = consul_commit_begin,
    .commit_run = consul_commit_run,
    .commit_end = consul_commit_end,
    .confirm = consul_confirm,
    .interrupt = consul_interrupt,
    .snapshot = consul_snapshot,
    .log_bytes = consul_log_bytes,
    .close = consul_close,
};

struct journal *journal_consul_new(struct kvlog_writer *w, uint64_t index)
{
	struct consul_journal *j = xcalloc(1, sizeof(*j));

	j->j.ops = &ops;
	j->writer = w;
	j->seq = kvlog_seq(w);
	j->log_bytes = kvlog_bytes(w);
	j->look_at = clock_monotonic() + LOOK_EVERY;
	j->appended = j->committed = index;
	return &j->j;
}
