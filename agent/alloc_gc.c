#include "agent/alloc_gc.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/log.h"

#define PRESSURE_STEP 10 /* removed in one round while the disk is too full */

bool alloc_gc_wants(const struct alloc_gc_limits *l, const struct alloc_gc_look *at, int64_t ended_at)
{
	bool pressed = (l->disk_percent > 0 && at->disk_used > l->disk_percent) ||
	               (l->inode_percent > 0 && at->inodes_used > l->inode_percent);

	return (l->max_age > 0 && at->now - ended_at > l->max_age) || (l->max_allocs > 0 && at->total > (size_t)l->max_allocs) ||
	       (pressed && at->removed < PRESSURE_STEP);
}

void alloc_gc_measure(const char *dir, double *disk_used, double *inodes_used)
{
	struct statvfs st;

	*disk_used = *inodes_used = 0;
	if (statvfs(dir, &st) < 0)
		return;
	uint64_t used = st.f_blocks - st.f_bfree;

	if (used + st.f_bavail)
		*disk_used = 100.0 * (double)used / (double)(used + st.f_bavail);
	if (st.f_files)
		*inodes_used = 100.0 * (double)(st.f_files - st.f_ffree) / (double)st.f_files;
}

/* ---- trash ---- */

#define TRASH_DIR ".trash"

struct trash {
	char *folder, *dir;
	pthread_t thread;
	pthread_mutex_t lock;
	bool running, joinable, stop; /* running and stop under the lock */
};

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d && n < 3 && readdir(d)) /* "." and ".." are there always */
		n++;
	if (d)
		closedir(d);
	return n < 3;
}

static bool is_stopped(struct trash *t)
{
	pthread_mutex_lock(&t->lock);
	bool stop = t->stop;

	pthread_mutex_unlock(&t->lock);
	return stop;
}

/* One pass: what cannot be removed does not stand in the way of the rest. Returns how many are gone. */
static unsigned remove_all(struct trash *t)
{
	DIR *d = opendir(t->dir);
	unsigned gone = 0;

	for (struct dirent *de; d && !is_stopped(t) && (de = readdir(d));) {
		struct err e cleanup_err = ERR_INIT;
		cleanup_free char *path = path_join(t->dir, de->d_name);

		if (str_eq(de->d_name, ".") || str_eq(de->d_name, ".."))
			continue;
		if (dir_remove(path, &e) < 0)
			log_warn("client", "cannot remove what an old allocation left: %s", err_str(&e));
		else
			gone++;
	}
	if (d)
		closedir(d);
	return gone;
}

static void *empty(void *arg)
{
	struct trash *t = arg;

	for (bool goes_on = true; goes_on;) {
		/* Nothing gone: the next round tries again; no spinning on what cannot be removed. */
		goes_on = remove_all(t) > 0;
		pthread_mutex_lock(&t->lock);
		/* Decided under the lock: what is put in later starts a thread again. */
		if (t->stop || is_empty(t->dir))
			goes_on = false;
		t->running = goes_on;
		pthread_mutex_unlock(&t->lock);
	}
	return NULL;
}

static void run(struct trash *t)
{
	pthread_mutex_lock(&t->lock);
	bool needed = !t->running;

	t->running = true;
	pthread_mutex_unlock(&t->lock);
	if (!needed)
		return;
	if (t->joinable)
		pthread_join(t->thread, NULL);
	t->joinable = pthread_create(&t->thread, NULL, empty, t) == 0;
	if (!t->joinable) {
		pthread_mutex_lock(&t->lock);
		t->running = false;
		pthread_mutex_unlock(&t->lock);
	}
}

struct trash *trash_new(const char *folder)
{
	struct trash *t = xcalloc(1, sizeof(*t));

	t->folder = xstrdup(folder);
	t->dir = path_join(folder, TRASH_DIR);
	pthread_mutex_init(&t->lock, NULL);
	if (!is_empty(t->dir))
		run(t);
	return t;
}

int trash_put(struct trash *t, const char *name, struct err *e)
{
	cleanup_free char *from = path_join(t->folder, name);
	cleanup_free char *to = path_join(t->dir, name);

	if (mkdir(t->dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make %s: %s", t->dir, strerror(errno));
	if (rename(from, to) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_set(e, -errno, "cannot move %s away: %s", from, strerror(errno));
	}
	run(t);
	return 0;
}

void trash_free(struct trash *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_mutex_unlock(&t->lock);
	if (t->joinable)
		pthread_join(t->thread, NULL);
	pthread_mutex_destroy(&t->lock);
	free(t->folder);
	free(t->dir);
	free(t);
}
