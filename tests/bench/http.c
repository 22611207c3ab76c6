/*
 * A load generator for the benchmark: keep-alive connections on one epoll loop, each with one request outstanding.
 *
 *   bench-http get PORT PATH CONNECTIONS SECONDS       reads of one path
 *   bench-http register PORT CONNECTIONS SECONDS       registrations of ever new jobs, each acknowledged when durable
 *   bench-http latency PORT COMMAND N                  one job after the other: registration to "running" in the API
 *   bench-http floor CONNECTIONS SECONDS               the same reads against a bare epoll server in a child process
 *
 * Prints "<requests> <seconds> <per second> <p50 us> <p99 us> <max us> <errors>".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"

struct conn {
	int fd;
	struct buf in, out;
	size_t sent;
	int64_t started;
	size_t need; /* bytes of the answer, 0 = header not complete */
	bool chunked;
	int status;
};

struct load {
	int port, epoll;
	const char *path;
	bool registering;
	struct conn *conns;
	int n;
	uint64_t serial, done, errors;
	uint32_t *micros;
	size_t n_micros, cap_micros;
};

static const char job_body[] =
    "{\"Job\":{\"ID\":\"bench-%d-%llu\",\"Type\":\"batch\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\","
    "\"Count\":%d,\"EphemeralDisk\":{\"SizeMB\":10},\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"LogConfig\":{\"MaxFiles\":1,"
    "\"MaxFileSizeMB\":1},\"Config\":{\"command\":\"%s\"%s},\"Resources\":{\"CPU\":1,\"MemoryMB\":10}}]}]}}";

static int connect_to(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("bench-http: connect to port %d: %s", port, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void put_request(struct buf *b, const char *method, const char *path, const char *body)
{
	buf_printf(b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, path);
	if (body)
		buf_printf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	buf_puts(b, "\r\n");
	if (body)
		buf_puts(b, body);
}

/* 0 = more to come, 1 = a whole answer is in c->in, -1 = not HTTP. */
static int answer_whole(struct conn *c)
{
	if (!c->need && !c->chunked) {
		char *end = c->in.len ? strstr(c->in.data, "\r\n\r\n") : NULL;

		if (!end)
			return 0;
		if (sscanf(c->in.data, "HTTP/1.1 %d", &c->status) != 1)
			return -1;
		char *length = strcasestr(c->in.data, "\r\nContent-Length:");

		if (length && length < end)
			c->need = (size_t)(end + 4 - c->in.data) + strtoul(length + 17, NULL, 10);
		else
			c->chunked = true;
	}
	if (c->chunked)
		return c->in.len >= 5 && memcmp(c->in.data + c->in.len - 5, "0\r\n\r\n", 5) == 0;
	return c->in.len >= c->need;
}

static void start(struct load *l, struct conn *c)
{
	buf_clear(&c->out);
	buf_clear(&c->in);
	c->sent = c->need = 0;
	c->chunked = false;
	if (l->registering) {
		cleanup_free char *body = xasprintf(job_body, (int)getpid(), (unsigned long long)l->serial++, 0, "/bin/true", "");
		put_request(&c->out, "PUT", "/v1/jobs", body);
	} else {
		put_request(&c->out, "GET", l->path, NULL);
	}
	c->started = clock_monotonic();
}

static void note(struct load *l, int64_t started)
{
	if (l->n_micros == l->cap_micros) {
		l->cap_micros = l->cap_micros ? 2 * l->cap_micros : 65536;
		l->micros = xrealloc(l->micros, l->cap_micros, sizeof(*l->micros));
	}
	l->micros[l->n_micros++] = (uint32_t)((clock_monotonic() - started) / 1000);
}

static void flush(struct conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			die("bench-http: the server closed: %s", strerror(errno));
		c->sent += (size_t)n;
	}
}

static void on_readable(struct load *l, struct conn *c)
{
	char *room = buf_room(&c->in, 65536);
	ssize_t n = recv(c->fd, room, 65536, 0);

	if (n <= 0)
		die("bench-http: the server closed the connection");
	c->in.len += (size_t)n;
	c->in.data[c->in.len] = 0;
	int whole = answer_whole(c);

	if (whole == 0)
		return;
	note(l, c->started);
	l->done++;
	if (whole < 0 || c->status != 200) {
		if (!l->errors++)
			fprintf(stderr, "bench-http: first error: %.300s\n", c->in.data);
	}
	start(l, c);
	flush(c);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(struct load *l, double seconds)
{
	qsort(l->micros, l->n_micros, sizeof(*l->micros), by_value);
	size_t n = l->n_micros;

	printf("%zu %.3f %.0f %u %u %u %llu\n", n, seconds, (double)n / seconds, n ? l->micros[n / 2] : 0,
	    n ? l->micros[n * 99 / 100] : 0, n ? l->micros[n - 1] : 0, (unsigned long long)l->errors);
}

static void run(struct load *l, int connections, double seconds)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->n = connections;
	l->conns = xcalloc((size_t)connections, sizeof(*l->conns));
	for (int i = 0; i < connections; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		l->conns[i].fd = connect_to(l->port);
		epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->conns[i].fd, &ev);
		start(l, &l->conns[i]);
		flush(&l->conns[i]);
	}
	int64_t began = clock_monotonic(), end = began + (int64_t)(seconds * 1e9);

	while (clock_monotonic() < end) {
		struct epoll_event evs[64];
		int n = epoll_wait(l->epoll, evs, 64, 1000);

		for (int i = 0; i < n; i++)
			on_readable(l, &l->conns[evs[i].data.u32]);
	}
	report(l, (double)(clock_monotonic() - began) / 1e9);
	for (int i = 0; i < connections; i++) {
		close(l->conns[i].fd);
		buf_free(&l->conns[i].in);
		buf_free(&l->conns[i].out);
	}
	free(l->conns);
	free(l->micros);
	close(l->epoll);
}

/* ---- latency: registration to running ---- */

static void call(struct conn *c, const char *method, const char *path, const char *body)
{
	buf_clear(&c->out);
	buf_clear(&c->in);
	c->sent = c->need = 0;
	c->chunked = false;
	put_request(&c->out, method, path, body);
	flush(c);
	while (!answer_whole(c)) {
		char *room = buf_room(&c->in, 65536);
		ssize_t n = recv(c->fd, room, 65536, 0);

		if (n <= 0)
			die("bench-http: the server closed the connection");
		c->in.len += (size_t)n;
		c->in.data[c->in.len] = 0;
	}
}

static void latency(int port, const char *command, int count)
{
	struct load l = {0};
	struct conn c = {.fd = connect_to(port)};
	int64_t began = clock_monotonic();

	for (int i = 0; i < count; i++) {
		bool sleeper = strstr(command, "sleep") != NULL;
		cleanup_free char *body =
		    xasprintf(job_body, (int)getpid(), (unsigned long long)i, 1, command, sleeper ? ",\"args\":[\"1000\"]" : "");
		unsigned long long index = 0;
		int64_t started = clock_monotonic();

		call(&c, "PUT", "/v1/jobs", body);
		if (c.status != 200)
			die("bench-http: registration: %.300s", c.in.data);
		for (;;) {
			cleanup_free char *path = xasprintf(
			    "/v1/job/bench-%d-%d/allocations?index=%llu&wait=5s", (int)getpid(), i, index ? index : 1);

			call(&c, "GET", path, NULL);
			char *at = strcasestr(c.in.data, "X-Nomad-Index:");

			index = at ? strtoull(at + 14, NULL, 10) : 0;
			if (strstr(c.in.data, "\"ClientStatus\":\"running\"") || strstr(c.in.data, "\"ClientStatus\":\"complete\""))
				break;
			if (clock_monotonic() - started > 10 * SECOND)
				die("bench-http: job %d does not run: %.600s", i, c.in.data);
		}
		note(&l, started);
	}
	report(&l, (double)(clock_monotonic() - began) / 1e9);
}

/* ---- the floor: a server that does nothing but answer ---- */

static void bare_server(int listener)
{
	cleanup_buf struct buf answer = BUF_INIT;
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};

	buf_puts(&answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2500\r\n\r\n");
	for (int i = 0; i < 2500; i++)
		buf_putc(&answer, 'x');
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		struct epoll_event evs[64];
		int n = epoll_wait(ep, evs, 64, -1);

		for (int i = 0; i < n; i++) {
			char in[4096];
			int fd = evs[i].data.fd;

			if (fd == listener) {
				ev.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
				epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
			} else if (recv(fd, in, sizeof(in), 0) <= 0) {
				close(fd);
			} else if (send(fd, answer.data, answer.len, MSG_NOSIGNAL) < 0) {
				close(fd);
			}
		}
	}
}

static void floor_run(int connections, double seconds)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 512) < 0)
		die("bench-http: %s", strerror(errno));
	getsockname(listener, (struct sockaddr *)&at, &len);
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bare_server(listener);
	}
	struct load l = {.port = ntohs(at.sin_port), .path = "/"};

	run(&l, connections, seconds);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	struct load l = {0};

	if (argc == 6 && str_eq(argv[1], "get")) {
		l.port = atoi(argv[2]);
		l.path = argv[3];
		run(&l, atoi(argv[4]), atof(argv[5]));
	} else if (argc == 5 && str_eq(argv[1], "register")) {
		l.port = atoi(argv[2]);
		l.registering = true;
		run(&l, atoi(argv[3]), atof(argv[4]));
	} else if (argc == 5 && str_eq(argv[1], "latency")) {
		latency(atoi(argv[2]), argv[3], atoi(argv[4]));
	} else if (argc == 4 && str_eq(argv[1], "floor")) {
		floor_run(atoi(argv[2]), atof(argv[3]));
	} else {
		die("usage: bench-http get PORT PATH CONNECTIONS SECONDS | register PORT CONNECTIONS SECONDS | "
		    "latency PORT COMMAND N | floor CONNECTIONS SECONDS");
	}
	return 0;
}
