#include "tests/lib/http_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int load_connect(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("bench: connect to port %d: %s", port, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

void load_request(struct load_conn *c, const char *method, const char *path, const char *token, const char *body)
{
	buf_clear(&c->out);
	buf_clear(&c->in);
	c->sent = c->need = 0;
	c->chunked = false;
	buf_printf(&c->out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, path);
	if (token)
		buf_printf(&c->out, "X-Nomad-Token: %s\r\n", token);
	if (body)
		buf_printf(&c->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	buf_puts(&c->out, "\r\n");
	if (body)
		buf_puts(&c->out, body);
	c->started = clock_monotonic();
}

void load_send(struct load_conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			die("bench: the server closed: %s", strerror(errno));
		c->sent += (size_t)n;
	}
}

static bool is_whole(struct load_conn *c)
{
	if (!c->need && !c->chunked) {
		char *end = strstr(c->in.data, "\r\n\r\n"), *length;

		if (!end)
			return false;
		if (sscanf(c->in.data, "HTTP/1.1 %d", &c->status) != 1)
			die("bench: no HTTP: %.100s", c->in.data);
		length = strcasestr(c->in.data, "\r\nContent-Length:");
		if (length && length < end)
			c->need = (size_t)(end + 4 - c->in.data) + strtoul(length + 17, NULL, 10);
		else
			c->chunked = true;
	}
	if (c->chunked)
		return c->in.len >= 5 && memcmp(c->in.data + c->in.len - 5, "0\r\n\r\n", 5) == 0;
	return c->in.len >= c->need;
}

bool load_receive(struct load_conn *c)
{
	size_t room = c->chunked ? 65536 : MAX(c->need, c->in.len + 4096) - c->in.len;
	ssize_t n = recv(c->fd, buf_room(&c->in, room), room, 0);

	if (n <= 0)
		die("bench: the server closed the connection");
	c->in.len += (size_t)n;
	c->in.data[c->in.len] = 0;
	return is_whole(c);
}

void load_call(struct load_conn *c, const char *method, const char *path, const char *token, const char *body)
{
	load_request(c, method, path, token, body);
	load_send(c);
	while (!load_receive(c))
		;
}

unsigned long long load_index(struct load_conn *c)
{
	char *at = strcasestr(c->in.data, "X-Nomad-Index:");

	return at ? strtoull(at + 14, NULL, 10) : 0;
}

void load_close(struct load_conn *c)
{
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
}

void load_note(struct load_times *t, int64_t started)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 65536;
		t->micros = xrealloc(t->micros, t->cap, sizeof(*t->micros));
	}
	t->micros[t->n++] = (uint32_t)((clock_monotonic() - started) / 1000);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void load_report(struct load_times *t, double seconds, uint64_t errors)
{
	size_t n = t->n;

	qsort(t->micros, n, sizeof(*t->micros), by_value);
	printf("%zu %.3f %.0f %u %u %u %llu", n, seconds, (double)n / seconds, n ? t->micros[n / 2] : 0,
	    n ? t->micros[n * 99 / 100] : 0, n ? t->micros[n - 1] : 0, (unsigned long long)errors);
	free(t->micros);
	*t = (struct load_times){0};
}

/* ---- the other side ---- */

/* The number after `key` in a file below /proc/PID. */
static double proc_number(int pid, const char *file, const char *key)
{
	char text[4096], *at;
	cleanup_free char *path = xasprintf("/proc/%d/%s", pid, file);
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		die("bench: %s: %s", path, strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	at = strstr(text, key);
	return at ? strtod(at + strlen(key), NULL) : 0;
}

double load_rss_kb(int pid)
{
	return proc_number(pid, "status", "VmRSS:");
}

double load_cpu_ns(int pid)
{
	return proc_number(pid, "schedstat", "");
}

void load_until_idle(int pid)
{
	double before, now = load_cpu_ns(pid);

	do {
		before = now;
		usleep(300 * 1000);
		now = load_cpu_ns(pid);
	} while (now - before > 10e6);
}
