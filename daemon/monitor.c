/*
 * monitor: a log sink for each follower. Lines are gathered by the sink, which may run on any thread, and sent from the
 * loop, so that sending never logs into itself.
 */
#include "daemon/monitor.h"

#include <pthread.h>

#include <event2/event.h>

#include "base/log.h"
#include "daemon/base64.h"
#include "daemon/daemon.h"
#include "daemon/logs.h"
#include "daemon/proxy.h"
#include "daemon/server.h"

#define BOUND (256 * 1024)

struct monitor {
	struct call *call;
	struct log_sink sink;
	struct event *send, *heartbeat;
	pthread_mutex_t lock;
	struct buf lines; /* under lock */
	uint64_t dropped; /* under lock */
	bool plain, paused, sent;
};

static void on_line(void *arg, enum log_level level, const char *line, size_t len)
{
	struct monitor *m = arg;

	(void)level;
	pthread_mutex_lock(&m->lock);
	if (m->lines.len + len > BOUND) {
		m->dropped++;
	} else {
		buf_put(&m->lines, line, len);
		if (!len || line[len - 1] != '\n')
			buf_putc(&m->lines, '\n');
	}
	pthread_mutex_unlock(&m->lock);
	event_active(m->send, 0, 0);
}

static void put(struct monitor *m, const struct buf *lines)
{
	cleanup_buf struct buf frame = BUF_INIT;

	m->sent = true;
	if (m->plain) {
		m->paused = !call_stream_put(m->call, lines->data, lines->len);
		return;
	}
	buf_puts(&frame, "{\"Data\":\"");
	base64_put(&frame, lines->data, lines->len);
	buf_puts(&frame, "\"}");
	m->paused = !call_stream_put(m->call, frame.data, frame.len);
}

static void on_send(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *m = arg;
	cleanup_buf struct buf lines = BUF_INIT;

	(void)fd;
	(void)what;
	if (m->paused)
		return;
	pthread_mutex_lock(&m->lock);
	lines = m->lines;
	m->lines = BUF_INIT;
	if (m->dropped)
		buf_printf(&lines, "[%llu lines were dropped: the follower is too slow]\n", (unsigned long long)m->dropped);
	m->dropped = 0;
	pthread_mutex_unlock(&m->lock);
	if (lines.len)
		put(m, &lines);
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *m = arg;

	(void)fd;
	(void)what;
	if (!m->sent && !m->plain && !m->paused)
		m->paused = !call_stream_put(m->call, "{}", 2);
	m->sent = false;
}

static void on_drain(void *arg)
{
	struct monitor *m = arg;

	m->paused = false;
	event_active(m->send, 0, 0);
}

static void on_close(void *arg)
{
	struct monitor *m = arg;

	log_sink_remove(&m->sink);
	event_free(m->send);
	event_free(m->heartbeat);
	pthread_mutex_destroy(&m->lock);
	buf_free(&m->lines);
	free(m);
}

/* By name ("one.global"), id, or the word leader. */
static bool is_this_server(const struct daemon *d, const char *id)
{
	const struct config *c = d->config;
	cleanup_free char *name = xasprintf("%s.%s", c->name, c->region);
	char uuid[UUID_STR];

	return d->server && (str_eq(id, "leader") || str_eq(id, c->name) || str_eq(id, name) ||
	                        str_eq(id, uuid_format(server_id(d->server), uuid)));
}

/* True when it is this agent's log that is wanted; else the call is passed on or answered. */
static bool is_here(struct call *c)
{
	struct daemon *d = call_daemon(c);
	const char *node = call_query(c, "node_id"), *server = call_query(c, "server_id");

	if (!str_empty(node) && !str_empty(server)) {
		call_error(c, 400, "Cannot target node and server simultaneously");
		return false;
	}
	if (!str_empty(node))
		return client_is_this_node(c, 404);
	if (str_empty(server) || is_this_server(d, server))
		return true;
	if (!d->server && !proxy_is_forwarded(c))
		proxy_to_server(c);
	else
		call_error(c, 400, "unknown drover server %s", server);
	return false;
}

void monitor_get(struct call *c)
{
	const char *word = call_query(c, "log_level");
	enum log_level level = LOG_INFO;
	const struct timeval second = {1, 0};
	struct event_base *base = call_daemon(c)->base;
	struct monitor *m;
	bool plain, json;

	if (!str_empty(word) && log_level_parse(word, &level) < 0) {
		call_error(c, 400, "Unknown log level: %s", word);
		return;
	}
	if (call_query_flag(c, "plain", false, &plain) < 0 || call_query_flag(c, "log_json", false, &json) < 0 || !is_here(c))
		return;
	m = xcalloc(1, sizeof(*m));
	m->call = c;
	m->plain = plain;
	pthread_mutex_init(&m->lock, NULL);
	m->send = event_new(base, -1, 0, on_send, m);
	m->heartbeat = event_new(base, -1, EV_PERSIST, on_heartbeat, m);
	if (!m->send || !m->heartbeat || evtimer_add(m->heartbeat, &second) < 0)
		die("out of memory");
	m->sink = (struct log_sink){.level = level, .json = json, .fn = on_line, .arg = m};
	call_stream_begin(c, 200, plain ? "text/plain" : "application/json", on_close, m);
	call_stream_on_drain(c, on_drain, m);
	log_sink_add(&m->sink);
}
