/*
 * reply: answers and streams on a connection. Answers are written by flush_ready() at the end of the loop turn, straight to
 * the socket, which spares the usual detour through another poll. A call that is held watches for its peer's end itself,
 * because evhttp does not read while a request is being answered.
 */
#include "daemon/conn.h"

#include <errno.h>
#include <poll.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/gzip.h"

#define STREAM_BOUND (256 * 1024)
#define COPY_MAX     (16 * 1024)  /* bodies beyond are handed over instead of copied */
#define TURN_SLICE   (2 * MILLI) /* of the loop, for all that work in slices together */

/* ---- answers ---- */

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} t[] = {
	    {200, "OK"}, {204, "No Content"}, {301, "Moved Permanently"}, {307, "Temporary Redirect"},
	    {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
	    {409, "Conflict"}, {413, "Request Entity Too Large"}, {415, "Unsupported Media Type"},
	    {429, "Too Many Requests"}, {500, "Internal Server Error"}, {501, "Not Implemented"},
	    {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (t[i].status == status)
			return t[i].text;
	return "Status";
}

static void count(struct call *c)
{
	struct httpd_stats *s = &c->httpd->stats;

	s->requests++;
	s->reads += c->method && c->method[0] == 'G';
	s->errors += c->status >= 500;
}

/* As evhttp would write it, but once a second instead of for every answer. */
static const char *date(struct httpd *h)
{
	int64_t second = clock_now() / SECOND;

	if (h->date_of != second) {
		evutil_date_rfc1123(h->date, sizeof(h->date), NULL);
		h->date_of = second;
	}
	return h->date;
}

static void put_headers(struct call *c)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(c->req);
	char num[24];

	if (c->content_type)
		evhttp_add_header(h, "Content-Type", c->content_type);
	evhttp_add_header(h, "Vary", "Accept-Encoding");
	evhttp_add_header(h, "Date", date(c->httpd));
	if (c->index) {
		snprintf(num, sizeof(num), "%llu", (unsigned long long)c->index);
		evhttp_add_header(h, "X-Nomad-Index", num);
		if (c->read) {
			evhttp_add_header(h, "X-Nomad-Knownleader", c->leader_known && call_knows_leader(c) ? "true" : "false");
			snprintf(num, sizeof(num), "%lld", (long long)(call_age(c) / MILLI));
			evhttp_add_header(h, "X-Nomad-Lastcontact", num);
		}
	}
	for (uint32_t i = 0; i < c->n_headers; i++)
		evhttp_add_header(h, c->headers[i].name, c->headers[i].value);
}

static void free_text(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	free(arg);
}

static void log_call(const struct call *c)
{
	const char *uri;

	if (log_get_level() > LOG_DEBUG)
		return;
	uri = evhttp_request_get_uri(c->req);
	log_debug("http", "request complete: method=%s path=%.*s status=%d duration=%lldus", c->method,
	    (int)MIN(strcspn(uri ? uri : "", "?"), (size_t)200), uri ? uri : "", c->status,
	    (long long)((clock_monotonic() - c->started) / 1000));
}

static void mark_ready(struct conn *conn)
{
	if (!conn->ready.next)
		list_add(&conn->httpd->ready, &conn->ready);
	event_active(conn->httpd->flush, 0, 0);
}

static void drop_hangup(struct conn *conn)
{
	if (conn->hangup)
		event_free(STEAL(conn->hangup));
}

static void compress(struct call *c)
{
	struct buf packed = BUF_INIT;

	if (c->out.len < GZIP_MIN || c->out.len > GZIP_MAX || !gzip_is_accepted(httpd_header(c, "Accept-Encoding")))
		return;
	if (gzip_put(&packed, &c->out)) {
		buf_free(&c->out);
		c->out = packed;
		call_set_header(c, "Content-Encoding", "gzip");
	} else {
		buf_free(&packed);
	}
}

void httpd_reply(struct call *c)
{
	struct conn *conn = c->conn;
	struct evhttp_request *req = c->req;
	struct evbuffer *out = evhttp_request_get_output_buffer(req);

	drop_hangup(conn);
	compress(c);
	put_headers(c);
	count(c);
	log_call(c);
	if (c->out.len > COPY_MAX) {
		size_t len = c->out.len;
		char *text = buf_take(&c->out);

		evbuffer_add_reference(out, text, len, free_text, text);
	} else if (c->out.len) {
		evbuffer_add(out, c->out.data, c->out.len);
	}
	evhttp_send_reply(req, c->status, reason(c->status), NULL);
	httpd_give_back(c);
	mark_ready(conn);
}

/* The connection's output goes out now; what the socket does not take, evhttp writes as usual. */
static void write_now(struct conn *conn)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);

	if (conn->secure)
		return; /* its bufferevent writes */
	while (evbuffer_get_length(out)) {
		int n;

		evbuffer_unfreeze(out, 1);
		n = evbuffer_write(out, bufferevent_getfd(conn->bev));
		evbuffer_freeze(out, 1);
		if (n <= 0)
			return;
	}
	/* Runs evhttp's completion, which may free the connection. */
	bufferevent_trigger(conn->bev, EV_WRITE, 0);
}

static void flush_ready(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;

	(void)fd;
	(void)what;
	while (h->ready.next != &h->ready) {
		struct conn *conn = CONTAINER_OF(h->ready.next, struct conn, ready);

		list_remove(&conn->ready);
		if (!conn->call && conn->state == CONN_ANSWERING)
			conn->state = CONN_WRITING;
		write_now(conn);
	}
}

/* ---- held calls and streams ---- */

static void end_connection(struct conn *conn)
{
	evhttp_connection_free(conn->evcon); /* on_close() does the rest */
}

static bool is_gone(const struct conn *conn)
{
	struct pollfd p = {.fd = bufferevent_getfd(conn->bev), .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && p.revents;
}

/*
 * Called when there is something to read, for a reset is reported in no other way. What a peer sends ahead stays in the
 * socket until it is its turn; while it lies there, the connection is looked at once a second.
 */
static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval second = {1, 0};
	struct conn *conn = arg;
	struct event *again;

	(void)fd;
	if (what & EV_CLOSED || is_gone(conn)) {
		end_connection(conn);
		return;
	}
	again = evtimer_new(conn->httpd->base, on_hangup, conn);
	if (!again || event_add(again, &second) < 0)
		die("out of memory");
	event_free(conn->hangup);
	conn->hangup = again;
}

/* evhttp does not read while a request is being answered, so it would not notice the peer's end. */
void httpd_hold(struct call *c)
{
	struct conn *conn = c->conn;

	if (conn->hangup)
		return;
	conn->hangup = event_new(conn->httpd->base, bufferevent_getfd(conn->bev), EV_READ | EV_CLOSED, on_hangup, conn);
	if (!conn->hangup || event_add(conn->hangup, NULL) < 0)
		die("out of memory");
}

void httpd_stream_begin(struct call *c)
{
	put_headers(c);
	count(c);
	log_call(c);
	httpd_hold(c);
	evhttp_send_reply_start(c->req, c->status, reason(c->status));
	mark_ready(c->conn);
}

/* Pieces are written by evhttp after the next poll, so that a fast pair of producer and reader does not keep the loop
 * for itself. */
static void on_chunk_written(struct evhttp_connection *evcon, void *arg)
{
	struct conn *conn = arg;
	struct call *c = conn->call;

	(void)evcon;
	if (conn->broken && conn->hangup)
		event_active(conn->hangup, EV_CLOSED, 0);
	if (c && c->state == CALL_STREAMING && c->draining) {
		c->draining = false;
		if (c->on_drain)
			c->on_drain(c->on_drain_arg);
	}
}

bool httpd_stream_put(struct call *c, const void *p, size_t n)
{
	struct evbuffer *piece = evbuffer_new();

	if (!piece || evbuffer_add(piece, p, n) < 0)
		die("out of memory");
	evhttp_send_reply_chunk_with_cb(c->req, piece, on_chunk_written, c->conn);
	evbuffer_free(piece);
	if (evbuffer_get_length(bufferevent_get_output(c->conn->bev)) <= STREAM_BOUND)
		return true;
	c->draining = true;
	return false;
}

void httpd_stream_end(struct call *c)
{
	struct conn *conn = c->conn;

	drop_hangup(conn);
	evhttp_send_reply_end(c->req);
	httpd_give_back(c);
	mark_ready(conn);
}

void httpd_stream_break(struct call *c)
{
	c->conn->broken = true;
	if (!evbuffer_get_length(bufferevent_get_output(c->conn->bev)))
		event_active(c->conn->hangup, EV_CLOSED, 0);
}

/* ---- work in slices ---- */

static const struct timeval at_once = {0, 0};

void call_next_turn(struct call *c, struct call_turn *t, call_turn_fn *fn)
{
	struct httpd *h = c->httpd;

	t->fn = fn;
	list_add(&h->turns, &t->link);
	if (!evtimer_pending(h->turn, NULL))
		evtimer_add(h->turn, &at_once);
}

void call_turn_cancel(struct call_turn *t)
{
	list_remove(&t->link);
}

/* In order of arrival, so that each gets its slice before any gets a second one. By a timer, so that the loop looks at its
 * sockets in between. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;
	int64_t began = clock_monotonic();

	(void)fd;
	(void)what;
	while (h->turns.next != &h->turns && clock_monotonic() - began < TURN_SLICE) {
		struct call_turn *t = CONTAINER_OF(h->turns.next, struct call_turn, link);

		list_remove(&t->link);
		t->fn(t);
	}
	if (h->turns.next != &h->turns)
		evtimer_add(h->turn, &at_once);
}

/* ---- start and stop ---- */

void reply_start(struct httpd *h, struct event_base *base)
{
	list_init(&h->ready);
	list_init(&h->turns);
	h->flush = event_new(base, -1, 0, flush_ready, h);
	h->turn = evtimer_new(base, on_turn, h);
	if (!h->flush || !h->turn)
		die("out of memory");
}

void reply_stop(struct httpd *h)
{
	event_free(h->flush);
	event_free(h->turn);
}

void reply_forget(struct conn *conn)
{
	drop_hangup(conn);
	list_remove(&conn->ready);
}
