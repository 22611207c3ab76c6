#include "tests/lib/dns_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct dns_server {
	int udp, tcp;
	char address[32];
	dns_answer_fn *answer;
	void *arg;
	pthread_t thread;
	atomic_bool stop;
	atomic_int messages, tcp_messages;
};

struct peer {
	int fd;
	struct sockaddr_in from;
};

static void put16(struct dns_exchange *x, uint32_t v)
{
	x->out[x->n++] = (uint8_t)(v >> 8);
	x->out[x->n++] = (uint8_t)v;
}

static void put_name(struct dns_exchange *x, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");

		x->out[x->n++] = (uint8_t)n;
		memcpy(x->out + x->n, name, n);
		x->n += n;
		name += n + (name[n] == '.');
	}
	x->out[x->n++] = 0;
}

static size_t begin_record(struct dns_exchange *x, const char *owner, int type, uint32_t ttl)
{
	put_name(x, owner);
	put16(x, (uint32_t)type);
	put16(x, 1);
	put16(x, ttl >> 16);
	put16(x, ttl);
	put16(x, 0); /* the length */
	return x->n;
}

static void end_record(struct dns_exchange *x, size_t from)
{
	x->out[from - 2] = (uint8_t)((x->n - from) >> 8);
	x->out[from - 1] = (uint8_t)(x->n - from);
}

void answer_srv(struct dns_exchange *x, uint32_t ttl, int priority, int port, const char *target)
{
	size_t from = begin_record(x, x->name, 33, ttl);

	put16(x, (uint32_t)priority);
	put16(x, 1);
	put16(x, (uint32_t)port);
	put_name(x, target);
	end_record(x, from);
	x->answers++;
}

static void put_a(struct dns_exchange *x, const char *owner, uint32_t ttl, const char *address)
{
	size_t from = begin_record(x, owner, 1, ttl);

	inet_pton(AF_INET, address, x->out + x->n);
	x->n += 4;
	end_record(x, from);
}

void answer_a(struct dns_exchange *x, const char *owner, uint32_t ttl, const char *address)
{
	put_a(x, owner, ttl, address);
	x->answers++;
}

void further_a(struct dns_exchange *x, const char *owner, uint32_t ttl, const char *address)
{
	put_a(x, owner, ttl, address);
	x->others++;
}

void answer_cname(struct dns_exchange *x, const char *owner, const char *target)
{
	size_t from = begin_record(x, owner, 5, 60);

	put_name(x, target);
	end_record(x, from);
	x->answers++;
}

void answer_code(struct dns_exchange *x, int rcode)
{
	x->out[3] = (uint8_t)((x->out[3] & 0xf0) | rcode);
}

void answer_truncated(struct dns_exchange *x)
{
	x->out[2] |= 2;
}

void answer_bytes(struct dns_exchange *x, const void *p, size_t n)
{
	memcpy(x->out + x->n, p, n);
	x->n += n;
}

void answer_send(struct dns_exchange *x)
{
	const struct peer *to = x->private;
	uint8_t head[2] = {(uint8_t)(x->n >> 8), (uint8_t)x->n};

	x->out[6] = (uint8_t)(x->answers >> 8);
	x->out[7] = (uint8_t)x->answers;
	x->out[10] = (uint8_t)(x->others >> 8);
	x->out[11] = (uint8_t)x->others;
	if (x->tcp) {
		send(to->fd, head, 2, MSG_NOSIGNAL);
		send(to->fd, x->out, x->n, MSG_NOSIGNAL);
	} else {
		sendto(to->fd, x->out, x->n, MSG_NOSIGNAL, (const struct sockaddr *)&to->from, sizeof(to->from));
	}
}

static void take_message(struct dns_server *s, struct peer *from, bool tcp, const uint8_t *p, size_t n)
{
	struct dns_exchange x = {.server = s, .arg = s->arg, .tcp = tcp, .nth = s->messages, .private = from};
	size_t at = 12, len = 0;

	s->messages++;
	s->tcp_messages += tcp;
	while (at < n && p[at] && len + p[at] < 250) {
		len += (size_t)snprintf(x.name + len, sizeof(x.name) - len, "%s%.*s", len ? "." : "", p[at], p + at + 1);
		at += p[at] + 1u;
	}
	at += 5;
	if (at > n)
		return;
	x.type = (uint16_t)(p[at - 4] << 8 | p[at - 3]);
	memcpy(x.out, p, at);
	x.n = at;
	x.out[2] = 0x84; /* an answer, authoritative */
	x.out[3] = 0;
	memset(x.out + 6, 0, 6); /* no records; the query's OPT is not repeated */
	s->answer(&x);
	if (!x.silent)
		answer_send(&x);
}

static void take_tcp(struct dns_server *s)
{
	struct peer from = {.fd = accept(s->tcp, NULL, NULL)};
	uint8_t head[2], message[4096];

	if (from.fd < 0)
		return;
	if (recv(from.fd, head, 2, MSG_WAITALL) == 2) {
		size_t n = (size_t)(head[0] << 8 | head[1]);

		if (n <= sizeof(message) && recv(from.fd, message, n, MSG_WAITALL) == (ssize_t)n)
			take_message(s, &from, true, message, n);
	}
	shutdown(from.fd, SHUT_WR);
	close(from.fd);
}

static void *run(void *arg)
{
	struct dns_server *s = arg;
	struct pollfd fds[] = {{.fd = s->udp, .events = POLLIN}, {.fd = s->tcp, .events = POLLIN}};

	while (!s->stop) {
		struct peer from = {.fd = s->udp};
		socklen_t len = sizeof(from.from);
		uint8_t message[4096];

		if (poll(fds, 2, 20) <= 0)
			continue;
		if (fds[1].revents)
			take_tcp(s);
		if (!fds[0].revents)
			continue;
		ssize_t n = recvfrom(s->udp, message, sizeof(message), 0, (struct sockaddr *)&from.from, &len);

		if (n > 12)
			take_message(s, &from, false, message, (size_t)n);
	}
	return NULL;
}

struct dns_server *dns_server_start(dns_answer_fn *answer, void *arg)
{
	struct dns_server *s = xcalloc(1, sizeof(*s));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	s->answer = answer;
	s->arg = arg;
	do { /* a port that is free for both */
		if (s->tcp > 0)
			close(s->tcp);
		if (s->udp > 0)
			close(s->udp);
		at.sin_port = 0;
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (bind(s->tcp, (struct sockaddr *)&at, n) || listen(s->tcp, 8) || getsockname(s->tcp, (struct sockaddr *)&at, &n))
			die("a test cannot listen: %s", strerror(errno));
	} while (bind(s->udp, (struct sockaddr *)&at, n));
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", ntohs(at.sin_port));
	if (pthread_create(&s->thread, NULL, run, s))
		die("a thread cannot be started");
	return s;
}

void dns_server_stop(struct dns_server *s)
{
	s->stop = true;
	pthread_join(s->thread, NULL);
	close(s->udp);
	close(s->tcp);
	free(s);
}

const char *dns_server_address(const struct dns_server *s)
{
	return s->address;
}

int dns_server_messages(const struct dns_server *s)
{
	return s->messages;
}

int dns_server_tcp_messages(const struct dns_server *s)
{
	return s->tcp_messages;
}
