/*
 * A stream over one file, or over the numbered files of a task's output as if they were one. Reads at most a few
 * pieces each turn of the loop, sleeps on inotify while it follows, and looks again a few times a second at what
 * inotify cannot tell: whether the task still lives.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "agent/files.h"
#include "base/file.h"

enum { PIECE = 65536, PIECES_A_TURN = 8, LOOK_MS = 200, LINES_BACK = 1 << 20 };

struct file_stream {
	struct file_stream_config c;
	char *dir, *path, *task, *type; /* copies of c's */
	file_stream_fn *fn;
	void *arg;
	struct event *wake, *notify;
	int fd, inotify;
	int64_t number; /* of the log file that is open; logs only */
	int64_t offset; /* in the open file */
	int64_t read;   /* so far */
	char *name;     /* relative path of the open file */
	bool paused, ended;
	bool *freed;
};

/* ---- numbered log files ---- */

struct log_file {
	int64_t number, size;
};

struct log_files {
	struct log_file *v;
	uint32_t n, cap;
};

static int by_number(const void *a, const void *b)
{
	int64_t x = ((const struct log_file *)a)->number, y = ((const struct log_file *)b)->number;

	return x < y ? -1 : x > y;
}

/* The files <task>.<type>.<n> of alloc/logs, ascending; the caller frees v. */
static struct log_files find_logs(const struct file_stream *s)
{
	cleanup_free char *prefix = xasprintf("%s.%s.", s->task, s->type);
	struct log_files list = {0};
	int fd;

	if (files_open_folder(s->dir, "alloc/logs", &fd, NULL) < 0)
		return list;
	DIR *d = fdopendir(fd);

	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		char *rest;

		if (!str_starts(e->d_name, prefix) || !e->d_name[strlen(prefix)])
			continue;
		int64_t n = strtoll(e->d_name + strlen(prefix), &rest, 10);

		if (*rest || n < 0 || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (list.n == list.cap)
			list.v = xrealloc(list.v, list.cap = list.cap ? 2 * list.cap : 16, sizeof(*list.v));
		list.v[list.n++] = (struct log_file){n, st.st_size};
	}
	closedir(d);
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_number);
	return list;
}

static char *log_name(const struct file_stream *s, int64_t number)
{
	return xasprintf("alloc/logs/%s.%s.%lld", s->task, s->type, (long long)number);
}

/* ---- opening ---- */

static int open_file(struct file_stream *s, char *name, int64_t offset, struct err *e)
{
	cleanup_free char *held = name;
	int fd, r = files_open(s->dir, held, &fd, e);

	if (r < 0)
		return r;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	s->offset = offset;
	free(s->name);
	s->name = STEAL(held);
	return 0;
}

/* How far back the wanted lines begin, gathered from the newest file to the oldest. */
struct back {
	int64_t breaks; /* line breaks still to pass */
	int64_t bytes;
	bool begun, found;
};

static void look_back(struct back *b, int fd, int64_t size)
{
	static char piece[PIECE];

	while (size > 0 && !b->found) {
		int64_t n = MIN(size, PIECE);

		size -= n;
		if (pread(fd, piece, (size_t)n, size) != n)
			return;
		if (!b->begun && piece[n - 1] == '\n')
			b->breaks++; /* the one that ends the last line */
		b->begun = true;
		for (; n > 0 && !b->found; n--) {
			b->breaks -= piece[n - 1] == '\n';
			b->found = !b->breaks || b->bytes == LINES_BACK;
			b->bytes += !b->found;
		}
	}
}

/* The offset at which the last lines of the logs begin. */
static int64_t logs_lines(struct file_stream *s, const struct log_files *logs, int64_t total)
{
	struct back b = {.breaks = MIN(s->c.lines, LINES_BACK)};

	for (uint32_t i = logs->n; i-- > 0 && !b.found;) {
		cleanup_free char *name = log_name(s, logs->v[i].number);
		cleanup_close int fd = -1;

		if (files_open(s->dir, name, &fd, NULL) == 0)
			look_back(&b, fd, logs->v[i].size);
	}
	return total - b.bytes;
}

/* Where the wanted offset lies: the files count as one, from the oldest that is still there. */
static int open_logs(struct file_stream *s, struct err *e)
{
	struct log_files logs = find_logs(s);
	int64_t total = 0, offset = s->c.offset;
	uint32_t i = 0;
	int r = 0;

	for (uint32_t k = 0; k < logs.n; k++)
		total += logs.v[k].size;
	if (s->c.lines)
		offset = logs_lines(s, &logs, total);
	else if (s->c.from_end)
		offset = MAX(total - offset, 0);
	while (i + 1 < logs.n && offset >= logs.v[i].size)
		offset -= logs.v[i++].size;
	if (logs.n) {
		s->number = logs.v[i].number;
		r = open_file(s, log_name(s, s->number), MIN(offset, logs.v[i].size), e);
	}
	free(logs.v);
	return r; /* without a file yet, a following stream waits for the first */
}

static int open_single(struct file_stream *s, struct err *e)
{
	struct back b = {.breaks = MIN(s->c.lines, LINES_BACK)};
	struct stat st;
	int r = open_file(s, xstrdup(s->path), 0, e);

	if (r < 0)
		return r;
	if (fstat(s->fd, &st) < 0)
		return 0;
	if (s->c.lines)
		look_back(&b, s->fd, st.st_size);
	s->offset = s->c.lines ? st.st_size - b.bytes : s->c.from_end ? MAX(st.st_size - s->c.offset, 0) : MIN(s->c.offset, st.st_size);
	return 0;
}

/* Goes on to the next log file that is still there; false when there is none. */
static bool next_log(struct file_stream *s)
{
	struct log_files logs = s->task ? find_logs(s) : (struct log_files){0};
	bool found = false;

	for (uint32_t i = 0; i < logs.n && !found; i++) {
		if (s->fd >= 0 && logs.v[i].number <= s->number)
			continue;
		found = open_file(s, log_name(s, logs.v[i].number), 0, NULL) == 0;
		if (found)
			s->number = logs.v[i].number;
	}
	free(logs.v);
	return found;
}

/* ---- events ---- */

static bool emit(struct file_stream *s, const struct file_stream_event *ev)
{
	bool freed = false;

	s->freed = &freed;
	bool more = s->fn(s->arg, ev);

	if (freed)
		return false;
	s->freed = NULL;
	if (!more)
		s->paused = true;
	return true;
}

static void end(struct file_stream *s, enum file_stream_what what, const char *error)
{
	s->ended = true;
	emit(s, &(struct file_stream_event){.what = what, .file = s->name, .offset = s->offset, .error = error});
}

static void again(struct file_stream *s, int ms)
{
	event_add(s->wake, &(struct timeval){0, ms * 1000});
}

/* Reads one piece: 1 = data was handed on, 0 = nothing there now, -1 = s is gone, ended or paused. */
static int read_piece(struct file_stream *s)
{
	static char piece[PIECE];
	struct stat st;

	if (s->fd < 0)
		return 0;
	size_t want = s->c.limit > 0 ? (size_t)MIN(s->c.limit - s->read, PIECE) : PIECE;

	if (!want) {
		end(s, FILE_STREAM_END, NULL);
		return -1;
	}
	ssize_t n = pread(s->fd, piece, want, s->offset);

	if (n < 0) {
		end(s, FILE_STREAM_ERROR, strerror(errno));
		return -1;
	}
	if (n == 0) {
		if (fstat(s->fd, &st) < 0 || st.st_size >= s->offset)
			return 0;
		s->offset = 0;
		return emit(s, &(struct file_stream_event){.what = FILE_STREAM_TRUNCATED, .file = s->name}) && !s->paused ? 1 : -1;
	}
	s->offset += n;
	s->read += n;
	struct file_stream_event ev = {
	    .what = FILE_STREAM_DATA, .p = piece, .n = (size_t)n, .offset = s->offset, .file = s->name};

	return emit(s, &ev) && !s->paused ? 1 : -1;
}

static bool is_deleted(const struct file_stream *s)
{
	struct stat st;

	return !s->task && s->fd >= 0 && fstat(s->fd, &st) == 0 && st.st_nlink == 0;
}

/* What to do when all that is there was read. */
static void at_end(struct file_stream *s, bool was_live)
{
	if (is_deleted(s))
		end(s, FILE_STREAM_DELETED, NULL);
	else if (!s->c.follow || !was_live)
		end(s, FILE_STREAM_END, NULL);
	else
		again(s, LOOK_MS);
}

static void pump(struct file_stream *s)
{
	/* Asked before reading: what a task wrote before it ended is then read before the stream ends. */
	bool live = !s->c.live || s->c.live(s->c.live_arg);

	for (int i = 0; i < PIECES_A_TURN; i++) {
		int r = read_piece(s);

		if (r < 0)
			return;
		if (r > 0)
			continue;
		/* A newer file exists only after the older one got its last byte: look again, then go on. */
		struct log_files logs = s->task ? find_logs(s) : (struct log_files){0};
		bool newer = logs.n && (s->fd < 0 || logs.v[logs.n - 1].number > s->number);

		free(logs.v);
		if (!newer) {
			at_end(s, live);
			return;
		}
		r = read_piece(s);
		if (r < 0)
			return;
		if (r == 0 && !next_log(s)) {
			at_end(s, live);
			return;
		}
	}
	again(s, 0);
}

static void on_wake(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct file_stream *s = arg;

	if (!s->paused && !s->ended)
		pump(s);
}

static void on_notify(evutil_socket_t fd, short what UNUSED, void *arg)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
	struct file_stream *s = arg;

	if (!s->paused && !s->ended)
		again(s, 0);
}

static void watch(struct file_stream *s, struct event_base *base)
{
	cleanup_free char *relative = s->task ? xstrdup("alloc/logs") : xstrdup(s->path);
	cleanup_free char *path = path_join(s->dir, relative);

	s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->inotify < 0)
		return; /* the timer alone will do */
	inotify_add_watch(s->inotify, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ATTRIB);
	s->notify = event_new(base, s->inotify, EV_READ | EV_PERSIST, on_notify, s);
	event_add(s->notify, NULL);
}

int file_stream_open(struct event_base *base, const struct file_stream_config *c, file_stream_fn *fn, void *arg,
    struct file_stream **out, struct err *e)
{
	struct file_stream *s = xcalloc(1, sizeof(*s));

	s->c = *c;
	s->dir = xstrdup(c->alloc_dir);
	s->path = c->path ? xstrdup(c->path) : NULL;
	s->task = c->path ? NULL : xstrdup(c->task);
	s->type = c->path ? NULL : xstrdup(c->type);
	s->fn = fn;
	s->arg = arg;
	s->fd = s->inotify = -1;
	s->wake = evtimer_new(base, on_wake, s);
	int r = s->path ? open_single(s, e) : open_logs(s, e);

	if (r < 0) {
		file_stream_close(s);
		return r;
	}
	if (c->follow)
		watch(s, base);
	again(s, 0);
	*out = s;
	return 0;
}

void file_stream_resume(struct file_stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	if (!s->ended)
		again(s, 0);
}

void file_stream_close(struct file_stream *s)
{
	if (!s)
		return;
	if (s->freed)
		*s->freed = true;
	if (s->wake)
		event_free(s->wake);
	if (s->notify)
		event_free(s->notify);
	if (s->inotify >= 0)
		close(s->inotify);
	if (s->fd >= 0)
		close(s->fd);
	free(s->dir);
	free(s->path);
	free(s->task);
	free(s->type);
	free(s->name);
	free(s);
}
