#include "tests/lib/http_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "base/clock.h"
#include "daemon/server.h"

static void on_fatal(void *arg)
{
	((struct fixture *)arg)->died = true;
}

struct fixture *http_start(const char *journal, const char *data_dir)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const struct httpd_config hc = {
	    .bind_addr = "127.0.0.1",
	    .max_header = 16 * 1024,
	    .max_body = 64 * 1024,
	    .header_timeout = 300 * MILLI,
	    .idle_timeout = 10 * SECOND,
	    .max_connections = 40,
	    .max_per_client = 30,
	};

	signal(SIGPIPE, SIG_IGN);
	f->d.config = config_new();
	f->d.config->server.journal = journal;
	f->d.config->data_dir = data_dir;
	f->d.config->advertise_http = "127.0.0.1:1";
	f->d.config->name = "test";
	f->d.base = event_base_new();
	const struct server_config sc = {.config = f->d.config, .on_fatal = on_fatal, .arg = f};

	assert_int_equal(server_start(f->d.base, &sc, &f->d.server, NULL), 0);
	assert_int_equal(httpd_start(f->d.base, &hc, &f->d, &f->d.httpd, NULL), 0);
	return f;
}

void http_stop(struct fixture *f)
{
	httpd_stop(f->d.httpd);
	server_stop(f->d.server);
	event_base_free(f->d.base);
	config_free(f->d.config);
	free(f);
}

void turn(struct fixture *f)
{
	event_base_loop(f->d.base, EVLOOP_NONBLOCK);
}

int open_conn(struct fixture *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)httpd_port(f->d.httpd))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	turn(f);
	return fd;
}

void say(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	turn(f);
}

/* Turns the loop until `text` was received, the peer closed (returns false), or 3 s have passed. */
bool hear(struct fixture *f, int fd, const char *text)
{
	int64_t end = clock_monotonic() + 3 * SECOND;

	f->n = 0;
	for (;;) {
		ssize_t n = recv(fd, f->got + f->n, sizeof(f->got) - 1 - f->n, 0);

		if (n > 0)
			f->n += (size_t)n;
		f->got[f->n] = '\0';
		if (text && strstr(f->got, text))
			return true;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (clock_monotonic() > end)
			fail_msg("waited in vain for \"%s\", got \"%.300s\"", text ? text : "the end", f->got);
		turn(f);
	}
}

void hear_nothing(struct fixture *f, int fd, int64_t ns)
{
	int64_t end = clock_monotonic() + ns;
	ssize_t n = 0;

	while (clock_monotonic() < end) {
		turn(f);
		n = recv(fd, f->got, sizeof(f->got) - 1, 0);
		if (n >= 0)
			break;
	}
	if (n >= 0)
		fail_msg("nothing should come, but \"%.*s\" does", (int)MIN(n, 300), f->got);
}

void expect(struct fixture *f, const char *request, const char *status, const char *body)
{
	int fd = open_conn(f);

	say(f, fd, request);
	if (!hear(f, fd, body))
		fail_msg("closed; got \"%s\"", f->got);
	if (!strstr(f->got, status))
		fail_msg("expected %s, got \"%.300s\"", status, f->got);
	close(fd);
	turn(f);
}
