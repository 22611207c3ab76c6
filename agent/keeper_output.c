#include "agent/keeper_output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	PIPE_BUSY = 1 << 20,   /* size of the pipes of a task that writes a lot */
	PIPE_IDLE = 65536,     /* what the kernel gives */
	STUCK_MS = 1000,       /* a write that takes longer counts as stuck */
	LOOK_MS = 50,          /* while it is, its end is looked for this often */
	SMALL = 8192,          /* after less than this ... */
	REST_NS = 300 * 1000,  /* ... the thread lets some more come together */
	INDEX_MAX = 1000000000,
	STACK = 32768,
};

struct output { /* stdout or stderr */
	int pipe, file; /* file: -1 = cannot be opened */
	const char *name;
	uint64_t index, size;  /* of the file that is written now */
	uint64_t oldest;       /* number of the oldest file when the task started */
	bool found;            /* there were files then */
	_Atomic uint64_t dropped; /* bytes lost since the last marker */
	_Atomic int error;        /* why; 0 = the disk did not keep up */
	bool busy;
	bool ended; /* as the main thread sees it */
};

static struct output_config config;
static struct output outputs[2];
static DIR *folder; /* of the log files; NULL when logs are disabled */
static int null_fd = -1, timer = -1, end_fd = -1, inner[2];
static _Atomic bool armed, writing; /* the timer runs; the thread is inside a write */
static _Atomic uint64_t progress;   /* counts finished writes */
/* Of the main thread. */
static enum { NOT_YET, RUNS, CANNOT } thread;
static uint64_t seen; /* progress when the timer rang last */
static bool stuck;    /* the thread is in the same write since then */

/* ---- files ---- */

static void file_name(const struct output *o, uint64_t index, char *out, size_t size)
{
	snprintf(out, size, "%s.%llu", o->name, (unsigned long long)index);
}

/* A new file. What has its name goes: other tasks may write in this folder, and nothing of theirs is written to. */
static int create_log(const struct output *o)
{
	char name[300];

	file_name(o, o->index, name, sizeof(name));
	for (int tries = 0; tries < 3; tries++) {
		int fd = openat(dirfd(folder), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

		if (fd >= 0 || errno != EEXIST)
			return fd;
		unlinkat(dirfd(folder), name, 0);
	}
	return -1;
}

/* The newest file, when it is one that we wrote: no link, no pipe, nobody else's. */
static int continue_log(struct output *o)
{
	char name[300];
	struct stat st;

	file_name(o, o->index, name, sizeof(name));
	int fd = openat(dirfd(folder), name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid()) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, 0);
	o->size = (uint64_t)st.st_size;
	lseek(fd, 0, SEEK_END);
	return fd;
}

/* Calls fn for each file of an output. */
static void each_log(void (*fn)(struct output *o, uint64_t n))
{
	rewinddir(folder);
	for (struct dirent *e; (e = readdir(folder));) {
		for (int i = 0; i < 2; i++) {
			size_t len = strlen(outputs[i].name);
			char *rest;

			if (strncmp(e->d_name, outputs[i].name, len) || e->d_name[len] != '.')
				continue;
			unsigned long long n = strtoull(e->d_name + len + 1, &rest, 10);

			if (rest != e->d_name + len + 1 && !*rest && n < INDEX_MAX)
				fn(&outputs[i], n);
		}
	}
}

static void note_log(struct output *o, uint64_t n)
{
	if (!o->found || n < o->oldest)
		o->oldest = n;
	if (n > o->index)
		o->index = n;
	o->found = true;
}

static void remove_old(struct output *o, uint64_t n)
{
	char name[300];

	if (n + config.max_files > o->index)
		return;
	file_name(o, n, name, sizeof(name));
	unlinkat(dirfd(folder), name, 0);
}

/* A restarted task goes on in its newest files. */
static void open_logs(void)
{
	bool old = false;

	each_log(note_log);
	for (int i = 0; i < 2; i++) {
		struct output *o = &outputs[i];

		o->file = o->found ? continue_log(o) : -1;
		if (o->file < 0) {
			o->index += o->found;
			o->file = create_log(o);
		}
		if (o->file < 0)
			o->error = errno;
		old |= o->found && o->oldest + config.max_files <= o->index;
	}
	if (old)
		each_log(remove_old);
}

static void rotate(struct output *o)
{
	if (o->file >= 0)
		close(o->file);
	o->index++;
	o->size = 0;
	o->file = create_log(o);
	if (o->file < 0)
		o->error = errno;
	if (o->index >= config.max_files)
		remove_old(o, o->index - config.max_files);
}

/* ---- moving ---- */

static void mark_loss(struct output *o)
{
	uint64_t dropped = o->dropped;
	int error = o->error;
	char line[160];

	if (!dropped || o->file < 0)
		return;
	int n = snprintf(line, sizeof(line), "\n[drover: %llu bytes of output were dropped here: %s]\n",
	    (unsigned long long)dropped, error ? strerror(error) : "the disk did not keep up");

	if (write(o->file, line, (size_t)n) != n) { /* still no room: half a marker says nothing */
		if (ftruncate(o->file, (off_t)o->size) == 0)
			lseek(o->file, 0, SEEK_END);
		return;
	}
	o->size += (uint64_t)n;
	o->dropped -= dropped;
	o->error = 0;
}

static void find_room(struct output *o)
{
	if (o->file == null_fd)
		return;
	if (o->file >= 0 && o->size >= config.max_file_size)
		rotate(o);
	if (o->file < 0)
		o->file = create_log(o);
	mark_loss(o);
}

/* Throws away what is in a pipe, at most n bytes; the number of them. */
static ssize_t drop(struct output *o, int from, size_t n)
{
	ssize_t moved = splice(from, NULL, null_fd, NULL, n, SPLICE_F_NONBLOCK);

	if (moved > 0 && !config.disabled)
		o->dropped += (uint64_t)moved;
	return moved;
}

/* For a file system without splice. */
static ssize_t copy_piece(struct output *o, size_t want)
{
	static char piece[16384];
	ssize_t n = read(inner[0], piece, want < sizeof(piece) ? want : sizeof(piece));

	for (ssize_t done = 0; n > 0 && done < n;) {
		ssize_t w = write(o->file, piece + done, (size_t)(n - done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			o->error = errno;
			o->dropped += (uint64_t)(n - done);
			o->size -= (uint64_t)(n - done); /* the caller counts all of n */
			break;
		}
		done += w;
	}
	return n;
}

/* The second pipe holds n bytes: into the file with them. */
static void write_out(struct output *o, size_t n)
{
	while (n > 0) {
		ssize_t m = splice(inner[0], NULL, o->file, NULL, n, SPLICE_F_MOVE);

		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0 && errno == EINVAL)
			m = copy_piece(o, n);
		if (m > 0) {
			o->size += (uint64_t)m;
		} else {
			o->error = errno;
			m = drop(o, inner[0], n);
			if (m <= 0)
				return;
		}
		n -= (size_t)m;
	}
}

/* A task that fills its pipe gets a larger one. Where the user has no more of them, the small one works too. */
static void notice_busy(struct output *o, ssize_t n)
{
	if (o->busy || n < PIPE_IDLE)
		return;
	o->busy = true;
	fcntl(o->pipe, F_SETPIPE_SZ, PIPE_BUSY);
	fcntl(inner[1], F_SETPIPE_SZ, PIPE_BUSY);
}

/* Moves what is in the task's pipe: the number of bytes, 0 at its end, -1 when it is empty for now. */
static ssize_t move(struct output *o)
{
	find_room(o);
	if (o->file < 0 || o->file == null_fd)
		return drop(o, o->pipe, PIPE_BUSY);
	uint64_t room = o->size < config.max_file_size ? config.max_file_size - o->size : 1;
	ssize_t n = splice(o->pipe, NULL, inner[1], NULL, room < PIPE_BUSY ? room : PIPE_BUSY, SPLICE_F_NONBLOCK);

	if (n <= 0)
		return n;
	write_out(o, (size_t)n);
	notice_busy(o, n);
	return n;
}

static void arm(void)
{
	struct itimerspec t = {.it_value.tv_sec = STUCK_MS / 1000};

	if (!armed) {
		armed = true;
		timerfd_settime(timer, 0, &t, NULL);
	}
}

static void *mover(void *unused)
{
	struct pollfd fds[2] = {{outputs[0].pipe, POLLIN, 0}, {outputs[1].pipe, POLLIN, 0}};
	const struct timespec rest = {0, REST_NS};
	uint64_t one = 1;

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		ssize_t moved = 0;
		short ends = 0;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		arm();
		writing = true;
		for (int i = 0; i < 2; i++) {
			ssize_t n = fds[i].fd >= 0 && fds[i].revents ? move(&outputs[i]) : -1;

			if (n == 0)
				fds[i].fd = -1;
			moved += n > 0 ? n : 0;
			ends |= fds[i].revents & POLLHUP;
		}
		progress++;
		writing = false;
		if (moved > 0 && moved < SMALL && !ends)
			nanosleep(&rest, NULL);
	}
	for (int i = 0; i < 2; i++)
		find_room(&outputs[i]); /* a loss at the very end is said, too */
	ssize_t n = write(end_fd, &one, sizeof(one));

	(void)n;
	return unused;
}

/* ---- the main thread ---- */

static void start_thread(void)
{
	pthread_t id;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	thread = pthread_create(&id, &attr, mover, NULL) == 0 ? RUNS : CANNOT;
}

/* The pipes are looked at before the thread does, while it is stuck, and when there can be none. */
void output_fds(struct pollfd fds[OUTPUT_FDS])
{
	fds[0] = (struct pollfd){timer, POLLIN, 0};
	for (int i = 0; i < 2; i++) {
		bool look = !outputs[i].ended && (thread != RUNS || stuck);

		fds[1 + i] = (struct pollfd){look ? outputs[i].pipe : -1, POLLIN, 0};
	}
}

static void look_at_timer(const struct pollfd *ring)
{
	uint64_t rings;

	if (ring->revents && read(timer, &rings, sizeof(rings)) > 0) {
		armed = false;
		stuck = writing && progress == seen;
		seen = progress;
		if (writing)
			arm();
	}
	if (stuck && progress != seen)
		stuck = false;
}

int output_wake(const struct pollfd fds[OUTPUT_FDS])
{
	look_at_timer(&fds[0]);
	for (int i = 0; i < 2; i++) {
		struct output *o = &outputs[i];
		short what = fds[1 + i].revents;

		if (what & POLLIN && thread == NOT_YET)
			start_thread();
		if (what & POLLIN && thread == CANNOT)
			move(o);
		else if (what & POLLIN && stuck)
			drop(o, o->pipe, PIPE_BUSY);
		else if (what && !(what & POLLIN))
			o->ended = true;
	}
	return stuck ? LOOK_MS : -1;
}

void output_drain(int ms)
{
	struct pollfd fds[OUTPUT_FDS], end = {end_fd, POLLIN, 0};
	struct timespec now, until;

	output_fds(fds);
	if (thread != RUNS && poll(fds + 1, 2, 0) > 0) {
		output_wake(fds);
		while (thread == CANNOT && (move(&outputs[0]) > 0 || move(&outputs[1]) > 0))
			;
	}
	if (thread != RUNS)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	do {
		if (poll(&end, 1, ms) > 0)
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < until.tv_sec);
}

/* ---- life ---- */

const char *output_open(const struct output_config *c, int task_ends[2])
{
	config = *c;
	null_fd = openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	end_fd = eventfd(0, EFD_CLOEXEC);
	if (null_fd < 0 || timer < 0 || end_fd < 0 || pipe2(inner, O_CLOEXEC) < 0)
		return "cannot set up the output";
	for (int i = 0; i < 2; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			return "cannot make a pipe";
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		outputs[i].pipe = ends[0];
		task_ends[i] = ends[1];
		outputs[i].name = c->name[i];
		outputs[i].file = null_fd;
	}
	if (c->disabled)
		return NULL;
	int fd = openat(AT_FDCWD, c->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder)
		return "cannot open the folder of the logs";
	open_logs();
	return NULL;
}
