/*
 * Servers that do nothing but answer: the floors of the HTTP figures. One thread, loopback, until killed.
 *
 *   bench-bare epoll PORT SIZE         answers of SIZE bytes; requests are not even read
 *   bench-bare evhttp PORT SIZE        the same through libevent's evhttp, as it comes
 *   bench-bare sync PORT SIZE FILE     as epoll, but what came in a turn of the loop is first appended to FILE and synced
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "base/buf.h"

#define LOG_BYTES (256 << 20) /* of the file; written from the start again when it is full */

static struct buf body = BUF_INIT, answer = BUF_INIT;

static int listen_on(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 512) < 0)
		die("bench-bare: port %d: %s", port, strerror(errno));
	return fd;
}

static void log_turn(int file, const struct buf *turn)
{
	static off_t at;

	if (at + (off_t)turn->len > LOG_BYTES)
		at = 0;
	if (pwrite(file, turn->data, turn->len, at) != (ssize_t)turn->len || fdatasync(file) < 0)
		die("bench-bare: log: %s", strerror(errno));
	at += (off_t)turn->len;
}

static void serve_epoll(int listener, int file)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
	int ep = epoll_create1(EPOLL_CLOEXEC), one = 1;
	cleanup_buf struct buf turn = BUF_INIT;

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		struct epoll_event evs[64];
		int n = epoll_wait(ep, evs, 64, -1), asked[64], n_asked = 0;

		buf_clear(&turn);
		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;

			if (fd == listener) {
				ev.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
				setsockopt(ev.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
				continue;
			}
			ssize_t got = recv(fd, buf_room(&turn, 16384), 16384, 0);

			if (got <= 0) {
				close(fd);
				continue;
			}
			if (file >= 0)
				turn.len += (size_t)got;
			asked[n_asked++] = fd;
		}
		if (turn.len)
			log_turn(file, &turn);
		for (int i = 0; i < n_asked; i++)
			if (send(asked[i], answer.data, answer.len, MSG_NOSIGNAL) < 0)
				close(asked[i]);
	}
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct evbuffer *out = evbuffer_new();

	(void)arg;
	evbuffer_add(out, body.data, body.len);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evhttp_send_reply(req, 200, "OK", out);
	evbuffer_free(out);
}

static void serve_evhttp(int listener)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);

	evutil_make_socket_nonblocking(listener);
	if (evhttp_accept_socket(http, listener) < 0)
		die("bench-bare: evhttp does not take the socket");
	evhttp_set_gencb(http, on_request, NULL);
	event_base_dispatch(base);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		die("usage: bench-bare epoll|evhttp PORT SIZE | bench-bare sync PORT SIZE FILE");
	int listener = listen_on(atoi(argv[2])), size = atoi(argv[3]), file = -1;

	for (int i = 0; i < size; i++)
		buf_putc(&body, 'x');
	buf_printf(&answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body.data);
	if (str_eq(argv[1], "evhttp")) {
		serve_evhttp(listener);
		return 0;
	}
	if (argc == 5 && str_eq(argv[1], "sync")) {
		file = open(argv[4], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (file < 0 || posix_fallocate(file, 0, LOG_BYTES))
			die("bench-bare: %s: %s", argv[4], strerror(errno));
	}
	serve_epoll(listener, file);
}
