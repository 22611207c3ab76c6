#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/wire.h"
#include "sched/journal_format.h"

/* ---- names, headers, frames ---- */

void journal_segment_name(uint64_t first, char out[JOURNAL_NAME])
{
	snprintf(out, JOURNAL_NAME, "segment-%016" PRIx64 ".log", first);
}

void journal_snapshot_name(uint64_t index, char out[JOURNAL_NAME])
{
	snprintf(out, JOURNAL_NAME, "snapshot-%016" PRIx64 ".snap", index);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

void journal_put_header(uint8_t out[JOURNAL_HEADER], const char *magic, struct uuid cluster, uint64_t index)
{
	memcpy(out, magic, 8);
	put32(out + 8, JOURNAL_VERSION);
	put32(out + 12, JOURNAL_FEATURES);
	put64(out + 16, cluster.hi);
	put64(out + 24, cluster.lo);
	put64(out + 32, index);
	put32(out + 40, crc32c(0, out, 40));
}

void journal_put_frame(struct buf *b, uint64_t index, uint32_t back, const void *p, size_t n)
{
	uint8_t head[JOURNAL_FRAME];
	put32(head, (uint32_t)n);
	put64(head + 8, index);
	put32(head + 16, back);
	put32(head + 4, crc32c(crc32c(0, head + 8, 12), p, n));
	buf_put(b, head, sizeof(head));
	buf_put(b, p, n);
}

struct frame {
	uint64_t index, first; /* first of its batch */
	const uint8_t *payload;
	uint32_t n;
};

enum frame_kind { FRAME_GOOD, FRAME_NONE, FRAME_BAD };

static enum frame_kind take_frame(const uint8_t *p, size_t left, struct frame *f)
{
	if (left < 4 || !get32(p))
		return FRAME_NONE;
	uint32_t n = get32(p);
	if (left < JOURNAL_FRAME || n > JOURNAL_PAYLOAD_MAX || n > left - JOURNAL_FRAME)
		return FRAME_BAD;
	if (get32(p + 4) != crc32c(crc32c(0, p + 8, 12), p + JOURNAL_FRAME, n))
		return FRAME_BAD;
	f->index = get64(p + 8);
	f->first = f->index - get32(p + 16);
	f->payload = p + JOURNAL_FRAME;
	f->n = n;
	return FRAME_GOOD;
}

/* ---- the folder ---- */

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void add_file(uint64_t **v, uint32_t *n, uint64_t index)
{
	*v = xrealloc(*v, *n + 1, sizeof(**v));
	(*v)[(*n)++] = index;
}

int journal_list(const char *dir, struct journal_files *out, struct err *e)
{
	DIR *d = opendir(dir);
	if (!d)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	struct journal_files f = {0};
	for (struct dirent *x; (x = readdir(d));) {
		uint64_t index;
		int end = 0;
		if (sscanf(x->d_name, "segment-%16" SCNx64 ".log%n", &index, &end) == 1 && end && !x->d_name[end])
			add_file(&f.segments, &f.n_segments, index);
		end = 0;
		if (sscanf(x->d_name, "snapshot-%16" SCNx64 ".snap%n", &index, &end) == 1 && end && !x->d_name[end])
			add_file(&f.snapshots, &f.n_snapshots, index);
	}
	closedir(d);
	if (f.n_segments)
		qsort(f.segments, f.n_segments, sizeof(uint64_t), ascending);
	if (f.n_snapshots)
		qsort(f.snapshots, f.n_snapshots, sizeof(uint64_t), ascending);
	*out = f;
	return 0;
}

void journal_files_free(struct journal_files *f)
{
	free(f->segments);
	free(f->snapshots);
	*f = (struct journal_files){0};
}

/* ---- reading ---- */

struct mapped {
	int fd;
	uint8_t *p;
	size_t n;
	char *path;
};

static int map_file(const char *dir, const char *name, struct mapped *m, struct err *e)
{
	struct stat st;
	*m = (struct mapped){.path = path_join(dir, name)};
	m->fd = open(m->path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0 || fstat(m->fd, &st))
		return err_set(e, -errno, "%s: %s", m->path, strerror(errno));
	m->n = (size_t)st.st_size;
	if (!m->n)
		return 0;
	m->p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, m->fd, 0);
	if (m->p == MAP_FAILED) {
		m->p = NULL;
		return err_set(e, -errno, "%s: %s", m->path, strerror(errno));
	}
	return 0;
}

static void unmap_file(struct mapped *m)
{
	if (m->p)
		munmap(m->p, m->n);
	if (m->fd >= 0)
		close(m->fd);
	free(m->path);
}

struct reader {
	const char *dir;
	journal_entry_fn *fn;
	void *arg;
	struct journal_tail *t;
	struct err *e;
	uint64_t expect; /* index of the next frame */
	bool broken;     /* a bad point was met: from here on, only frames of later batches are looked for */
	uint64_t broken_at; /* offset of it, in the segment t->segment */
	char broken_name[JOURNAL_NAME];
};

static bool header_ok(const struct mapped *m, const char *magic, uint64_t index, struct reader *r)
{
	if (m->n < JOURNAL_HEADER || memcmp(m->p, magic, 8) || get32(m->p + 40) != crc32c(0, m->p, 40) ||
	    get64(m->p + 32) != index)
		return false;
	struct uuid cluster = {.hi = get64(m->p + 16), .lo = get64(m->p + 24)};
	if (uuid_is_nil(r->t->cluster))
		r->t->cluster = cluster;
	return true;
}

/* What a newer program wrote, and what belongs to another cluster, is refused, not cut. */
static int header_refused(const struct mapped *m, const struct reader *r)
{
	char ours[UUID_STR], theirs[UUID_STR];
	struct uuid cluster = {.hi = get64(m->p + 16), .lo = get64(m->p + 24)};
	if (get32(m->p + 8) > JOURNAL_VERSION || get32(m->p + 12) > JOURNAL_FEATURES)
		return err_set(r->e, -EPROTO, "%s: it is in format %u, feature level %u; this program knows format %u, level %u: use a newer one",
		    m->path, get32(m->p + 8), get32(m->p + 12), JOURNAL_VERSION, JOURNAL_FEATURES);
	if (!uuid_eq(cluster, r->t->cluster))
		return err_set(r->e, -EBADMSG, "%s: it belongs to cluster %s, the files before it to %s", m->path,
		    uuid_format(cluster, theirs), uuid_format(r->t->cluster, ours));
	return 0;
}

static int read_snapshot_frames(struct reader *r, const struct mapped *m)
{
	size_t at = JOURNAL_HEADER;
	uint64_t number = 1;
	for (struct frame f;; number++) {
		enum frame_kind kind = take_frame(m->p + at, m->n - at, &f);
		bool end = kind == FRAME_GOOD && f.index == JOURNAL_SNAPSHOT_END;
		if (kind != FRAME_GOOD || (!end && f.index != number) ||
		    (end && (f.n != 8 || get64(f.payload) != number - 1)))
			return err_set(r->e, -EBADMSG, "%s: damaged at offset %zu, entry %" PRIu64 " of the snapshot", m->path, at, number);
		if (end)
			return 0;
		int rc = r->fn ? r->fn(r->arg, 0, f.payload, f.n, r->e) : 0;
		if (rc < 0) {
			err_wrap(r->e, "%s: offset %zu", m->path, at);
			return rc;
		}
		at += JOURNAL_FRAME + f.n;
	}
}

static int read_snapshot(struct reader *r, uint64_t index)
{
	char name[JOURNAL_NAME];
	struct mapped m;
	journal_snapshot_name(index, name);
	int rc = map_file(r->dir, name, &m, r->e);
	if (!rc && !header_ok(&m, JOURNAL_SNAPSHOT_MAGIC, index, r))
		rc = err_set(r->e, -EBADMSG, "%s: damaged at offset 0: the header is not a snapshot's of index %" PRIu64, m.path, index);
	if (!rc)
		rc = header_refused(&m, r);
	if (!rc)
		rc = read_snapshot_frames(r, &m);
	r->t->snapshot_bytes = m.n;
	r->t->snapshot_index = r->t->last_index = index;
	unmap_file(&m);
	return rc;
}

/* The end of the data that begins at or after `at`; unwritten room is skipped without being read. */
static size_t next_data(const struct mapped *m, size_t at, size_t *end)
{
	off_t from = lseek(m->fd, (off_t)at, SEEK_DATA);
	if (from < 0 && errno == ENXIO)
		return *end = m->n;
	if (from < 0) {
		*end = m->n;
		return at;
	}
	off_t to = lseek(m->fd, from, SEEK_HOLE);
	*end = to < 0 ? m->n : MIN((size_t)to, m->n);
	return (size_t)from;
}

/* A valid frame of a batch that was begun after the bad point's index: proof that the bad point had been durable. */
static bool find_later_batch(const struct reader *r, const struct mapped *m, size_t at)
{
	struct frame f;
	size_t end;
	for (at = next_data(m, at, &end); at < m->n; at = next_data(m, at, &end)) {
		/* A frame may begin in the last bytes before a hole; four more than enough are looked at. */
		for (; at < end && at + JOURNAL_FRAME < m->n; at++) {
			if (!m->p[at] && !m->p[at + 1] && !m->p[at + 2] && !m->p[at + 3])
				continue;
			uint64_t index = get64(m->p + at + 8);
			if (index > r->expect && index - r->expect < (UINT64_C(1) << 40) &&
			    take_frame(m->p + at, m->n - at, &f) == FRAME_GOOD && f.first > r->expect)
				return true;
		}
		at = end;
	}
	return false;
}

static size_t torn_size(const struct mapped *m, size_t at)
{
	size_t last = at, end;
	for (size_t from = next_data(m, at, &end); from < m->n; from = next_data(m, end, &end))
		for (size_t i = from; i < end; i++)
			if (m->p[i])
				last = i + 1;
	return last - at;
}

static int break_at(struct reader *r, const struct mapped *m, const char *name, size_t at)
{
	r->broken = true;
	r->broken_at = at;
	snprintf(r->broken_name, sizeof(r->broken_name), "%s", name);
	r->t->torn_bytes += torn_size(m, at);
	return 0;
}

static int damage(const struct reader *r)
{
	return err_set(r->e, -EBADMSG, "%s/%s: damaged at offset %" PRIu64 ", index %" PRIu64
	    ": committed entries follow it, so it is not a torn tail; restore the folder from a copy", r->dir,
	    r->broken_name, r->broken_at, r->expect);
}

static int read_frames(struct reader *r, const struct mapped *m, const char *name)
{
	size_t at = JOURNAL_HEADER;
	for (struct frame f;;) {
		enum frame_kind kind = at < m->n ? take_frame(m->p + at, m->n - at, &f) : FRAME_NONE;
		r->t->offset = at;
		if (kind == FRAME_BAD || (kind == FRAME_GOOD && f.index != r->expect))
			return break_at(r, m, name, at);
		if (kind == FRAME_NONE)
			break;
		r->t->entries++;
		if (f.index > r->t->snapshot_index) {
			int rc = r->fn ? r->fn(r->arg, f.index, f.payload, f.n, r->e) : 0;
			if (rc < 0) {
				err_wrap(r->e, "%s: offset %zu", m->path, at);
				return rc;
			}
			r->t->log_bytes += JOURNAL_FRAME + f.n;
		}
		r->t->last_index = MAX(r->t->last_index, f.index);
		r->expect = f.index + 1;
		at += JOURNAL_FRAME + f.n;
	}
	/* Zeros end the segment; what lies behind them is a batch whose first pages are missing. */
	size_t behind = torn_size(m, at);
	return behind ? break_at(r, m, name, at) : 0;
}

static int read_segment(struct reader *r, uint64_t first)
{
	char name[JOURNAL_NAME];
	struct mapped m;
	journal_segment_name(first, name);
	int rc = map_file(r->dir, name, &m, r->e);
	if (rc) {
		unmap_file(&m);
		return rc;
	}
	bool ok = header_ok(&m, JOURNAL_SEGMENT_MAGIC, first, r);
	if (ok)
		rc = header_refused(&m, r);
	if (!rc && !r->broken && (!ok || first != r->expect)) {
		/* Either a new file whose first commit never happened, or entries are missing. */
		break_at(r, &m, name, 0);
	} else if (!rc && !r->broken) {
		r->t->has_segment = true;
		r->t->segment = first;
		rc = read_frames(r, &m, name);
	}
	if (!rc && r->broken && m.n && find_later_batch(r, &m, r->broken_at && r->t->segment == first ? r->broken_at : 0))
		rc = damage(r);
	unmap_file(&m);
	return rc;
}

int journal_read(const char *dir, journal_entry_fn *fn, void *arg, struct journal_tail *out, struct err *e)
{
	struct journal_files files;
	struct journal_tail tail = {0};
	struct reader r = {.dir = dir, .fn = fn, .arg = arg, .t = &tail, .e = e};
	int rc = journal_list(dir, &files, e);
	if (rc)
		return rc;
	if (files.n_snapshots)
		rc = read_snapshot(&r, files.snapshots[files.n_snapshots - 1]);
	uint32_t i = 0;
	/* Segments that the snapshot covers wholly may be left over from a stop between the two. */
	while (i + 1 < files.n_segments && files.segments[i + 1] <= tail.snapshot_index + 1)
		i++;
	r.expect = i < files.n_segments ? MIN(files.segments[i], tail.snapshot_index + 1) : tail.snapshot_index + 1;
	for (; !rc && i < files.n_segments; i++) {
		rc = read_segment(&r, files.segments[i]);
		tail.segments++;
	}
	if (!rc && tail.has_segment && tail.last_index <= tail.snapshot_index && r.expect <= tail.snapshot_index)
		tail.has_segment = false; /* it ends before the snapshot: a new one goes on */
	journal_files_free(&files);
	*out = tail;
	return rc;
}

int journal_file_verify(const char *dir, struct journal_report *out, struct err *e)
{
	struct journal_files files;
	struct journal_tail tail = {0};
	cleanup_err struct err found = ERR_INIT;
	int rc = journal_list(dir, &files, e);
	if (rc)
		return rc;
	struct journal_report report = {.segments = files.n_segments, .snapshots = files.n_snapshots};
	if (files.n_segments)
		report.first_index = files.segments[0];
	journal_files_free(&files);
	rc = journal_read(dir, NULL, NULL, &tail, &found);
	if (rc && rc != -EBADMSG)
		return err_set(e, rc, "%s", err_str(&found));
	if (rc)
		report.damage = xstrdup(err_str(&found));
	report.entries = tail.entries;
	report.bytes = tail.log_bytes + tail.snapshot_bytes;
	report.last_index = tail.last_index;
	report.torn_bytes = tail.torn_bytes;
	*out = report;
	return 0;
}
