/*
 * journal_thread: one thread, one slot. The loop sets `busy` and signals; the thread runs the job and writes to an
 * eventfd that the loop listens to.
 */
#include "daemon/journal_thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <event2/event.h>

struct journal_thread {
	struct core *core;
	journal_thread_fn *done;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool busy, stop; /* under lock */
	enum journal_job job;
	int rc, commit_rc; /* of the last job and the last commit; read by the loop after the eventfd */
	struct err err;
	int fd;
	struct event *event;
};

static void *run(void *arg)
{
	struct journal_thread *t = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (!t->busy && !t->stop)
			pthread_cond_wait(&t->wake, &t->lock);
		if (!t->busy)
			break;
		pthread_mutex_unlock(&t->lock);
		err_clear(&t->err);
		t->rc = t->job == JOURNAL_COMMIT ? core_commit_run(t->core, &t->err) : core_confirm(t->core, &t->err);
		if (t->job == JOURNAL_COMMIT)
			t->commit_rc = t->rc;
		pthread_mutex_lock(&t->lock);
		t->busy = false;
		if (write(t->fd, &one, sizeof(one)) != sizeof(one))
			die("eventfd: %s", strerror(errno));
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct journal_thread *t = arg;
	uint64_t n;
	int rc;

	(void)what;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	pthread_mutex_lock(&t->lock);
	assert(!t->busy);
	rc = t->rc;
	pthread_mutex_unlock(&t->lock);
	t->done(t->arg, t->job, rc, &t->err);
}

int journal_thread_start(struct event_base *base, struct core *core, journal_thread_fn *done, void *arg,
    struct journal_thread **out, struct err *e)
{
	struct journal_thread *t = xcalloc(1, sizeof(*t));
	sigset_t all, before;
	pthread_attr_t attr;
	int rc;

	t->core = core;
	t->done = done;
	t->arg = arg;
	t->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->fd < 0) {
		rc = -errno;
		free(t);
		return err_set(e, rc, "eventfd: %s", strerror(-rc));
	}
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	t->event = event_new(base, t->fd, EV_READ | EV_PERSIST, on_event, t);
	if (!t->event || event_add(t->event, NULL) < 0)
		die("out of memory");
	/* Signals belong to the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	rc = pthread_create(&t->thread, &attr, run, t);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		event_free(t->event);
		close(t->fd);
		free(t);
		return err_set(e, -rc, "cannot start the journal's thread: %s", strerror(rc));
	}
	*out = t;
	return 0;
}

void journal_thread_begin(struct journal_thread *t, enum journal_job job)
{
	pthread_mutex_lock(&t->lock);
	assert(!t->busy);
	t->busy = true;
	t->job = job;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

int journal_thread_stop(struct journal_thread *t)
{
	int rc;

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	event_free(t->event);
	close(t->fd);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->wake);
	err_clear(&t->err);
	rc = t->commit_rc;
	free(t);
	return rc;
}
