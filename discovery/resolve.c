/*
 * resolve: the thread and the loop share one object, held by two hands; who lets go last frees it. The thread writes the
 * result, then lets go, then wakes the loop through an eventfd.
 */
#include "discovery/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include <event2/event.h>

#define STACK (256 * 1024) /* getaddrinfo keeps answers of up to 64 KiB there */

struct resolve {
	char *host;
	resolve_done_fn *done;
	void *arg;
	struct event *event;
	int fd;
	atomic_int hands;
	/* Written by the thread before it writes to fd. */
	int error, error_errno;
	char addresses[RESOLVE_MAX][46];
	uint32_t n;
};

static void let_go(struct resolve *r)
{
	if (atomic_fetch_sub(&r->hands, 1) > 1)
		return;
	close(r->fd);
	free(r->host);
	free(r);
}

/* ---- the thread ---- */

static void add_address(struct resolve *r, const struct addrinfo *a)
{
	const void *binary = a->ai_family == AF_INET ? (const void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
	                                             : (const void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
	char *text = r->addresses[r->n];

	if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) || !inet_ntop(a->ai_family, binary, text, sizeof(*r->addresses)))
		return;
	for (uint32_t i = 0; i < r->n; i++)
		if (str_eq(r->addresses[i], text))
			return;
	r->n++;
}

static void *run(void *arg)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct resolve *r = arg;
	struct addrinfo *list = NULL;
	const uint64_t one = 1;

	r->error = getaddrinfo(r->host, NULL, &hints, &list);
	r->error_errno = errno;
	for (const struct addrinfo *a = r->error ? NULL : list; a && r->n < RESOLVE_MAX; a = a->ai_next)
		add_address(r, a);
	if (list)
		freeaddrinfo(list);
	if (write(r->fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd: %s", strerror(errno));
	let_go(r);
	return NULL;
}

/* ---- the loop ---- */

static int code_of(int error)
{
	switch (error) {
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

static void on_result(evutil_socket_t fd, short what UNUSED, void *arg)
{
	struct resolve *r = arg;
	struct resolve_answer answer = {.addresses = r->addresses, .n = r->n};
	uint64_t n;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (r->error)
		err_set(&answer.err, code_of(r->error), "looking up %s: %s", r->host,
		    r->error == EAI_SYSTEM ? strerror(r->error_errno) : gai_strerror(r->error));
	else if (!r->n)
		err_set(&answer.err, -ENOENT, "looking up %s: it has no address", r->host);
	event_free(r->event);
	r->done(r->arg, &answer);
	err_clear(&answer.err);
	let_go(r);
}

static int start_thread(struct resolve *r)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	sigfillset(&all); /* signals belong to the loop */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, run, r);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int resolve_start(struct event_base *base, const char *host, resolve_done_fn *done, void *arg, struct resolve **out,
    struct err *e)
{
	struct resolve *r = xcalloc(1, sizeof(*r));
	int rc;

	r->host = xstrdup(host);
	r->done = done;
	r->arg = arg;
	r->hands = 2;
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = r->fd < 0 ? -errno : start_thread(r);
	if (rc < 0) {
		if (r->fd >= 0)
			close(r->fd);
		free(r->host);
		free(r);
		return err_set(e, rc, "looking up %s: cannot start a thread: %s", host, strerror(-rc));
	}
	r->event = event_new(base, r->fd, EV_READ, on_result, r);
	if (!r->event || event_add(r->event, NULL) < 0)
		die("out of memory");
	*out = r;
	return 0;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	event_free(r->event);
	let_go(r);
}
