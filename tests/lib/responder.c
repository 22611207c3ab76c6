#include "tests/lib/responder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"

#define MAX_CONNECTIONS 64

struct connection {
	struct responder *owner;
	int fd, nth;
	pthread_t thread;
};

struct responder {
	int listener;
	uint16_t port;
	serve_fn *serve;
	void *arg;
	pthread_t thread;
	atomic_bool stop;
	atomic_int n;
	struct connection connections[MAX_CONNECTIONS];
	char urls[4][256];
	int url;
};

static void *run_connection(void *arg)
{
	struct connection *c = arg;

	c->owner->serve(c->owner, c->fd, c->nth);
	shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static void *run_listener(void *arg)
{
	struct responder *r = arg;
	int fd;

	while (r->n < MAX_CONNECTIONS && (fd = accept(r->listener, NULL, NULL)) >= 0) {
		struct connection *c = &r->connections[r->n];

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		*c = (struct connection){.owner = r, .fd = fd, .nth = r->n};
		if (pthread_create(&c->thread, NULL, run_connection, c))
			die("a thread cannot be started");
		r->n++;
	}
	return NULL;
}

static struct responder *start(int fd, const struct sockaddr *to, socklen_t len, serve_fn *serve, void *arg)
{
	struct responder *r = xcalloc(1, sizeof(*r));
	struct sockaddr_in at = {0};
	socklen_t n = sizeof(at);

	r->listener = fd;
	r->serve = serve;
	r->arg = arg;
	if (fd < 0 || bind(fd, to, len) || listen(fd, 64) || getsockname(fd, (struct sockaddr *)&at, &n))
		die("a test cannot listen: %s", strerror(errno));
	r->port = ntohs(at.sin_port);
	if (pthread_create(&r->thread, NULL, run_listener, r))
		die("a thread cannot be started");
	return r;
}

struct responder *responder_start(serve_fn *serve, void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return start(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&to, sizeof(to), serve, arg);
}

struct responder *responder_start_unix(const char *path, serve_fn *serve, void *arg)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	return start(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&to, sizeof(to), serve, arg);
}

void responder_stop(struct responder *r)
{
	r->stop = true;
	shutdown(r->listener, SHUT_RDWR);
	pthread_join(r->thread, NULL);
	close(r->listener);
	for (int i = 0; i < r->n; i++)
		shutdown(r->connections[i].fd, SHUT_RDWR);
	for (int i = 0; i < r->n; i++) {
		pthread_join(r->connections[i].thread, NULL);
		close(r->connections[i].fd);
	}
	free(r);
}

void *responder_arg(const struct responder *r)
{
	return r->arg;
}

uint16_t responder_port(const struct responder *r)
{
	return r->port;
}

int responder_connections(const struct responder *r)
{
	return r->n;
}

const char *responder_url(struct responder *r, const char *path)
{
	char *url = r->urls[r->url++ % 4];

	snprintf(url, sizeof(r->urls[0]), "http://127.0.0.1:%u%s", r->port, path);
	return url;
}

bool serve_read(int fd, struct buf *request)
{
	size_t length = 0;
	const char *end = NULL;
	char piece[4096];

	buf_clear(request);
	while (!end || request->len < (size_t)(end + 4 - request->data) + length) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n <= 0)
			return false;
		buf_put(request, piece, (size_t)n);
		end = strstr(request->data, "\r\n\r\n");
		const char *said = end ? strcasestr(request->data, "\r\ncontent-length:") : NULL;

		if (said)
			length = strtoul(said + strlen("\r\ncontent-length:"), NULL, 10);
	}
	return true;
}

void serve_say(int fd, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;
	size_t at = 0;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	while (at < b.len) {
		ssize_t n = send(fd, b.data + at, b.len - at, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

void serve_answer(int fd, int status, const char *headers, const char *body)
{
	serve_say(fd, "HTTP/1.1 %d Whatever\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
}

bool serve_sleep(struct responder *r, int64_t ns)
{
	for (int64_t end = clock_monotonic() + ns; clock_monotonic() < end && !r->stop;)
		usleep(2000);
	return !r->stop;
}
