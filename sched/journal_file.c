/*
 * The journal in files (format: sched/journal.h). One thread appends; commit_run may be on another, and touches nothing but
 * the batch in flight and the segments that it names. Room is reserved by posix_fallocate when a segment is made, so an
 * accepted entry cannot fail for lack of it; and zeros are written a stretch ahead of the data, because a sync of blocks that
 * were only allocated has to change the file system's own records each time, which costs as much as the data.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/wire.h"
#include "sched/journal_format.h"

#define DEFAULT_SEGMENT (UINT64_C(64) << 20)
#define ZEROS_AHEAD     (UINT64_C(1) << 20)
#define SNAPSHOT_BUFFER (1u << 20)

struct segment {
	struct segment *next;
	int fd;
	uint64_t first, size;
	uint64_t reserved; /* end of what was appended */
	uint64_t zeroed;   /* up to here the blocks are written; commit_run's */
};

struct piece { /* a stretch of a batch that goes to one place */
	struct segment *segment;
	uint64_t offset;
	size_t start, n;
};

struct batch {
	struct buf data;
	struct piece *pieces;
	uint32_t n, cap;
	uint64_t first, last; /* indexes; first 0 = empty */
	bool new_file;        /* the folder has to be synced too */
};

struct file_journal {
	struct journal j;
	char *dir;
	int dir_fd, lock_fd;
	struct journal_file_config config;
	struct segment *segments; /* oldest first; the last is the current one */
	struct segment *current;
	struct batch gather, flight;
	bool running, failed;
	uint64_t last_index, committed, log_bytes, used;
};

static struct file_journal *self(const struct journal *j)
{
	return CONTAINER_OF(j, struct file_journal, j);
}

/* ---- segments ---- */

static struct segment *segment_add(struct file_journal *f, int fd, uint64_t first, uint64_t size, uint64_t reserved)
{
	struct segment *s = xcalloc(1, sizeof(*s));
	*s = (struct segment){.fd = fd, .first = first, .size = size, .reserved = reserved, .zeroed = reserved};
	struct segment **at = &f->segments;
	while (*at)
		at = &(*at)->next;
	*at = f->current = s;
	f->used += size;
	return s;
}

/* Makes the next segment and reserves its room. Nothing is left behind when that fails. */
static int segment_create(struct file_journal *f, uint64_t first, uint64_t need, struct err *e)
{
	char name[JOURNAL_NAME];
	uint8_t header[JOURNAL_HEADER];
	uint64_t size = MAX(f->config.segment_size, need + JOURNAL_HEADER);
	journal_segment_name(first, name);
	if (f->config.budget && f->used + size > f->config.budget)
		return err_set(e, -ENOSPC, "%s: the journal has no room: its segments would take %" PRIu64 " bytes of the %" PRIu64
		    " it may", f->dir, f->used + size, f->config.budget);
	int fd = openat(f->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno == EEXIST ? -EIO : -errno, "%s/%s: %s", f->dir, name, strerror(errno));
	journal_put_header(header, JOURNAL_SEGMENT_MAGIC, f->config.cluster_id, first);
	int r = posix_fallocate(fd, 0, (off_t)size);
	if (!r && pwrite(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		r = errno ? errno : EIO;
	if (r) {
		close(fd);
		unlinkat(f->dir_fd, name, 0);
		bool full = r == ENOSPC || r == EDQUOT || r == EFBIG;
		return err_set(e, full ? -ENOSPC : -r, full ? "%s: the journal has no room: %s; free some space there" : "%s: %s",
		    f->dir, strerror(r));
	}
	segment_add(f, fd, first, size, JOURNAL_HEADER);
	f->gather.new_file = true;
	return 0;
}

static bool is_in(const struct batch *b, const struct segment *s)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (b->pieces[i].segment == s)
			return true;
	return false;
}

/* Closes segments that nothing will be written to any more. */
static void close_finished(struct file_journal *f)
{
	for (struct segment **at = &f->segments; *at;) {
		struct segment *s = *at;
		if (s == f->current || is_in(&f->gather, s) || is_in(&f->flight, s)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		close(s->fd);
		free(s);
	}
}

/* ---- append and commit ---- */

static void batch_add(struct batch *b, struct segment *s, uint64_t index, const void *p, size_t n)
{
	size_t start = b->data.len;
	if (!b->first)
		b->first = index;
	journal_put_frame(&b->data, index, (uint32_t)(index - b->first), p, n);
	b->last = index;
	size_t grown = b->data.len - start;
	struct piece *last = b->n ? &b->pieces[b->n - 1] : NULL;
	if (last && last->segment == s) {
		last->n += grown;
	} else {
		if (b->n == b->cap) {
			b->cap = b->cap ? b->cap * 2 : 4;
			b->pieces = xrealloc(b->pieces, b->cap, sizeof(*b->pieces));
		}
		b->pieces[b->n++] = (struct piece){.segment = s, .offset = s->reserved, .start = start, .n = grown};
	}
	s->reserved += grown;
}

static int file_room(struct journal *j, size_t n, struct err *e)
{
	struct file_journal *f = self(j);
	if (f->failed)
		return err_set(e, -EIO, "%s: an earlier write failed; restart to see what the disk holds", f->dir);
	if (f->current && f->current->size - f->current->reserved >= JOURNAL_FRAME + n)
		return 0;
	return segment_create(f, f->last_index + 1, JOURNAL_FRAME + n, e);
}

static int file_append(struct journal *j, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct file_journal *f = self(j);
	if (index != f->last_index + 1)
		return err_set(e, -EINVAL, "%s: index %" PRIu64 " does not follow %" PRIu64, f->dir, index, f->last_index);
	if (!n || n > JOURNAL_PAYLOAD_MAX)
		return err_set(e, -EFBIG, "%s: an entry of %zu bytes is beyond the limit of %u", f->dir, n, JOURNAL_PAYLOAD_MAX);
	int r = file_room(j, n, e);
	if (r)
		return r;
	batch_add(&f->gather, f->current, index, p, n);
	f->last_index = index;
	f->log_bytes += JOURNAL_FRAME + n;
	return 0;
}

static bool file_commit_begin(struct journal *j)
{
	struct file_journal *f = self(j);
	if (f->running || !f->gather.first || f->failed)
		return false;
	struct batch empty = f->flight;
	f->flight = f->gather;
	f->gather = empty;
	return f->running = true;
}

static int write_at(int fd, const void *p, size_t n, uint64_t offset)
{
	for (const char *at = p; n;) {
		ssize_t w = pwrite(fd, at, n, (off_t)offset);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w ? -errno : -EIO;
		at += w;
		offset += (uint64_t)w;
		n -= (size_t)w;
	}
	return 0;
}

static int write_zeros_ahead(struct segment *s, uint64_t end)
{
	static const char zeros[64 << 10];
	uint64_t to = MIN(s->size, end + ZEROS_AHEAD);
	for (uint64_t at = MAX(s->zeroed, end); at < to; at += MIN(sizeof(zeros), to - at)) {
		int r = write_at(s->fd, zeros, (size_t)MIN(sizeof(zeros), to - at), at);
		if (r)
			return r;
	}
	s->zeroed = to;
	return 0;
}

static int write_piece(const struct file_journal *f, const struct piece *p)
{
	uint64_t end = p->offset + p->n;
	int r = write_at(p->segment->fd, f->flight.data.data + p->start, p->n, p->offset);
	if (!r && end > p->segment->zeroed)
		r = write_zeros_ahead(p->segment, end);
	if (!r && f->config.sync && fdatasync(p->segment->fd))
		r = -errno;
	return r;
}

static int file_commit_run(struct journal *j, struct err *e)
{
	struct file_journal *f = self(j);
	int r = 0;
	for (uint32_t i = 0; !r && i < f->flight.n; i++)
		r = write_piece(f, &f->flight.pieces[i]);
	if (!r && f->flight.new_file && f->config.sync && fsync(f->dir_fd))
		r = -errno;
	if (r)
		return err_set(e, r, "%s: writing the journal: %s", f->dir, strerror(-r));
	return 0;
}

static uint64_t file_commit_end(struct journal *j)
{
	struct file_journal *f = self(j);
	f->running = false;
	f->committed = f->flight.last;
	f->flight.n = 0;
	f->flight.first = 0;
	f->flight.new_file = false;
	if (f->flight.data.cap > (4u << 20))
		buf_free(&f->flight.data);
	buf_clear(&f->flight.data);
	close_finished(f);
	return f->committed;
}

static uint64_t file_log_bytes(const struct journal *j)
{
	return self(j)->log_bytes;
}

/* ---- snapshots ---- */

struct snapshot_file {
	int fd, rc;
	struct buf b;
	uint64_t n;
};

static void snapshot_flush(struct snapshot_file *s)
{
	if (!s->rc)
		s->rc = file_write_all(s->fd, s->b.data, s->b.len);
	buf_clear(&s->b);
}

static void snapshot_put(void *arg, const void *p, size_t n)
{
	struct snapshot_file *s = arg;
	journal_put_frame(&s->b, ++s->n, 0, p, n);
	if (s->b.len >= SNAPSHOT_BUFFER)
		snapshot_flush(s);
}

static void remove_but(struct file_journal *f, uint64_t keep_snapshot, uint64_t segments_from)
{
	struct journal_files files;
	char name[JOURNAL_NAME];
	if (journal_list(f->dir, &files, NULL))
		return; /* what is left over is removed next time */
	for (uint32_t i = 0; i < files.n_segments; i++) {
		journal_segment_name(files.segments[i], name);
		if (files.segments[i] < segments_from)
			unlinkat(f->dir_fd, name, 0);
	}
	for (uint32_t i = 0; i < files.n_snapshots; i++) {
		journal_snapshot_name(files.snapshots[i], name);
		if (files.snapshots[i] != keep_snapshot)
			unlinkat(f->dir_fd, name, 0);
	}
	journal_files_free(&files);
}

static int write_snapshot(struct file_journal *f, uint64_t index,
    void (*write)(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg), void *arg)
{
	uint8_t header[JOURNAL_HEADER], count[8];
	char name[JOURNAL_NAME];
	struct snapshot_file s = {.b = BUF_INIT};
	s.fd = openat(f->dir_fd, "snapshot.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s.fd < 0)
		return -errno;
	journal_put_header(header, JOURNAL_SNAPSHOT_MAGIC, f->config.cluster_id, index);
	buf_put(&s.b, header, sizeof(header));
	write(arg, snapshot_put, &s);
	for (int i = 0; i < 8; i++)
		count[i] = (uint8_t)(s.n >> 8 * i);
	journal_put_frame(&s.b, JOURNAL_SNAPSHOT_END, 0, count, sizeof(count));
	snapshot_flush(&s);
	buf_free(&s.b);
	if (!s.rc && f->config.sync && fsync(s.fd))
		s.rc = -errno;
	close(s.fd);
	journal_snapshot_name(index, name);
	if (!s.rc && renameat(f->dir_fd, "snapshot.tmp", f->dir_fd, name))
		s.rc = -errno;
	if (s.rc)
		unlinkat(f->dir_fd, "snapshot.tmp", 0);
	else if (f->config.sync && fsync(f->dir_fd))
		s.rc = -errno;
	return s.rc;
}

static int file_snapshot(struct journal *j, uint64_t index,
    void (*write)(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg), void *arg,
    struct err *e)
{
	struct file_journal *f = self(j);
	if (f->running || f->gather.first || index != f->last_index)
		return err_set(e, -EBUSY, "%s: a snapshot stands for everything, and entries wait for their commit", f->dir);
	int r = write_snapshot(f, index, write, arg);
	if (r)
		return err_set(e, r, "%s: writing a snapshot: %s", f->dir, strerror(-r));
	f->current = NULL;
	close_finished(f);
	remove_but(f, index, UINT64_MAX);
	f->log_bytes = f->used = 0;
	return 0;
}

/* ---- open, replay, close ---- */

/* Cuts the tail that was never committed, and reserves the room again. */
static int cut_tail(struct file_journal *f, int fd, const struct journal_tail *t, uint64_t *size, struct err *e)
{
	if (t->torn_bytes)
		log_warn("journal", "%s: a torn tail of %" PRIu64 " bytes after index %" PRIu64
		    " is cut: it was being written when the machine or the process stopped, and never acknowledged",
		    f->dir, t->torn_bytes, t->last_index);
	struct stat st;
	if (fstat(fd, &st))
		return err_set(e, -errno, "%s: %s", f->dir, strerror(errno));
	*size = (uint64_t)st.st_size;
	if (!t->torn_bytes && *size > t->offset)
		return 0;
	if (ftruncate(fd, (off_t)t->offset))
		return err_set(e, -errno, "%s: cutting the tail: %s", f->dir, strerror(errno));
	/* Without room the segment ends here; appending will say so. */
	*size = MAX(*size, t->offset);
	if (posix_fallocate(fd, 0, (off_t)*size))
		*size = t->offset;
	if (fsync(fd))
		return err_set(e, -errno, "%s: cutting the tail: %s", f->dir, strerror(errno));
	return 0;
}

static void remove_segments_after(struct file_journal *f, const struct journal_tail *t)
{
	struct journal_files files;
	char name[JOURNAL_NAME];
	if (journal_list(f->dir, &files, NULL))
		return;
	for (uint32_t i = 0; i < files.n_segments; i++) {
		journal_segment_name(files.segments[i], name);
		if (!t->has_segment || files.segments[i] > t->segment)
			unlinkat(f->dir_fd, name, 0);
	}
	journal_files_free(&files);
}

static int file_replay(struct journal *j, journal_entry_fn *fn, void *arg, struct err *e)
{
	struct file_journal *f = self(j);
	struct journal_tail t;
	int r = journal_read(f->dir, fn, arg, &t, e);
	if (r)
		return r;
	if (!uuid_is_nil(t.cluster) && !uuid_is_nil(f->config.cluster_id) && !uuid_eq(t.cluster, f->config.cluster_id)) {
		char theirs[UUID_STR], ours[UUID_STR];
		return err_set(e, -EPERM, "%s: it belongs to cluster %s, this server to %s", f->dir,
		    uuid_format(t.cluster, theirs), uuid_format(f->config.cluster_id, ours));
	}
	if (uuid_is_nil(f->config.cluster_id))
		f->config.cluster_id = uuid_is_nil(t.cluster) ? uuid_random() : t.cluster;
	if (t.has_segment) {
		char name[JOURNAL_NAME];
		uint64_t size = 0;
		journal_segment_name(t.segment, name);
		int fd = openat(f->dir_fd, name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_set(e, -errno, "%s/%s: %s", f->dir, name, strerror(errno));
		r = cut_tail(f, fd, &t, &size, e);
		if (r) {
			close(fd);
			return r;
		}
		segment_add(f, fd, t.segment, size, t.offset);
		f->used = (uint64_t)t.segments * f->config.segment_size;
	} else if (t.torn_bytes) {
		log_warn("journal", "%s: %" PRIu64 " bytes of a segment that was never committed are removed", f->dir, t.torn_bytes);
	}
	remove_segments_after(f, &t);
	unlinkat(f->dir_fd, "snapshot.tmp", 0);
	f->last_index = f->committed = t.last_index;
	f->log_bytes = t.log_bytes;
	return 0;
}

static void file_close(struct journal *j)
{
	struct file_journal *f = self(j);
	f->current = NULL;
	f->gather.n = f->flight.n = 0;
	close_finished(f);
	buf_free(&f->gather.data);
	buf_free(&f->flight.data);
	free(f->gather.pieces);
	free(f->flight.pieces);
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	free(f->dir);
	free(f);
}

static const struct journal_ops file_ops = {
    .name = "file",
    .snapshot_after = 64u << 20,
    .replay = file_replay,
    .append = file_append,
    .room = file_room,
    .commit_begin = file_commit_begin,
    .commit_run = file_commit_run,
    .commit_end = file_commit_end,
    .snapshot = file_snapshot,
    .log_bytes = file_log_bytes,
    .close = file_close,
};

/* A child that the last holder was just about to start when it was killed holds the lock for a moment longer. */
static bool lock_soon(int fd)
{
	for (int tries = 10; flock(fd, LOCK_EX | LOCK_NB); usleep(50000))
		if (!--tries)
			return false;
	return true;
}

/* The lock is held as long as the file is open, so it goes with the process, however that ends. */
static int lock_folder(struct file_journal *f, struct err *e)
{
	f->lock_fd = openat(f->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock_fd < 0)
		return err_set(e, -errno, "%s/lock: %s", f->dir, strerror(errno));
	char pid[32] = "";
	if (!lock_soon(f->lock_fd)) {
		ssize_t n = pread(f->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return err_set(e, -EBUSY, "%s: another process (pid %s) uses this journal; stop it first, or take another data_dir",
		    f->dir, *pid ? pid : "unknown");
	}
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(f->lock_fd, 0) || pwrite(f->lock_fd, pid, (size_t)n, 0) != n)
		log_warn("journal", "%s/lock: the pid could not be written: %s", f->dir, strerror(errno));
	return 0;
}

int journal_file_open(const struct journal_file_config *c, struct journal **out, struct err *e)
{
	int r = dir_make(c->dir, 0700, e);
	if (r)
		return r;
	struct file_journal *f = xcalloc(1, sizeof(*f));
	f->j.ops = &file_ops;
	f->dir = xstrdup(c->dir);
	f->config = *c;
	f->config.dir = f->dir;
	f->lock_fd = -1;
	if (!f->config.segment_size)
		f->config.segment_size = DEFAULT_SEGMENT;
	f->dir_fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0)
		r = err_set(e, -errno, "%s: %s", c->dir, strerror(errno));
	if (!r)
		r = lock_folder(f, e);
	if (r) {
		file_close(&f->j);
		return r;
	}
	*out = &f->j;
	return 0;
}
