/*
 * httpd: evhttp and its connections. A `struct conn` follows each connection from accept to close: it counts for the
 * limits, knows since when a request is being read, and holds the call that is under way. evhttp tells of an end by the
 * close callback alone, so that is where everything of a connection dies.
 *
 * evhttp has no hook for a new connection; the bufferevent it asks us to make is one: right after the accept its callback
 * argument is the connection. Answers are written by flush_ready() at the end of the loop turn, straight to the socket,
 * which spares the usual detour through another poll.
 */
#include "daemon/httpd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/call.h"
#include "daemon/gzip.h"

#define STREAM_BOUND (1024 * 1024)
#define POOL_MAX     64
#define COPY_MAX     (16 * 1024) /* bodies beyond are handed over instead of copied */

enum conn_state { CONN_IDLE, CONN_READING, CONN_ANSWERING, CONN_WRITING };

struct conn {
	struct link link;  /* in httpd.conns or httpd.fresh */
	struct link ready; /* in httpd.ready while an answer is to be written */
	struct httpd *httpd;
	struct bufferevent *bev;
	struct evhttp_connection *evcon;
	struct call *call;   /* under way, or NULL */
	struct event *hangup; /* while a call is held */
	bool broken;          /* cut when everything is written */
	enum conn_state state;
	int64_t since; /* monotonic: of the state */
	uint32_t peer; /* hash of the address */
};

struct httpd {
	struct event_base *base;
	struct daemon *daemon;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *adopt, *flush, *sweep, *accept_again;
	struct router *router;
	struct link conns, fresh, ready;
	struct call *pool;
	uint32_t n_pool, n_conns;
	uint16_t *per_peer; /* connections by hash of the address */
	struct conn **by_fd;
	size_t cap_fd;
	struct httpd_config config;
	int port;
};
#define PEER_SLOTS 4096

const struct route *const route_tables[] = {
    routes_jobs, routes_nodes, routes_allocs, routes_evals, routes_agent, routes_client, routes_system, routes_servers,
    routes_internal, routes_absent, NULL,
};

static void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static void list_add(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

static struct conn **conn_slot(struct httpd *h, evutil_socket_t fd)
{
	assert(fd >= 0);
	if ((size_t)fd >= h->cap_fd) {
		size_t cap = MAX((size_t)fd + 1, MAX(h->cap_fd * 2, (size_t)64));

		h->by_fd = xrealloc(h->by_fd, cap, sizeof(*h->by_fd));
		memset(h->by_fd + h->cap_fd, 0, (cap - h->cap_fd) * sizeof(*h->by_fd));
		h->cap_fd = cap;
	}
	return &h->by_fd[fd];
}

/* ---- calls ---- */

static struct call *call_take(struct httpd *h, struct conn *conn, struct evhttp_request *req)
{
	struct call *c = h->pool;

	if (c) {
		h->pool = c->next_free;
		h->n_pool--;
	} else {
		c = xcalloc(1, sizeof(*c));
	}
	c->next_free = NULL;
	c->httpd = h;
	c->conn = conn;
	c->req = req;
	conn->call = c;
	return c;
}

static void call_give(struct call *c)
{
	struct httpd *h = c->httpd;

	if (c->conn)
		c->conn->call = NULL;
	if (h->n_pool == POOL_MAX) {
		call_release(c);
		return;
	}
	call_reset(c);
	c->next_free = h->pool;
	h->pool = c;
	h->n_pool++;
}

struct daemon *httpd_daemon(const struct httpd *h)
{
	return h->daemon;
}

const char *httpd_header(const struct call *c, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(c->req), name);
}

const char *httpd_target(const struct call *c)
{
	return evhttp_request_get_uri(c->req);
}

const void *httpd_body(const struct call *c, size_t *n)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(c->req);

	*n = evbuffer_get_length(in);
	return *n ? (const void *)evbuffer_pullup(in, -1) : "";
}

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

static void put_headers(struct call *c)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(c->req);
	char num[24];

	if (c->content_type)
		evhttp_add_header(h, "Content-Type", c->content_type);
	evhttp_add_header(h, "Vary", "Accept-Encoding");
	if (c->index) {
		snprintf(num, sizeof(num), "%llu", (unsigned long long)c->index);
		evhttp_add_header(h, "X-Nomad-Index", num);
		if (c->read) {
			evhttp_add_header(h, "X-Nomad-Knownleader", c->leader_known ? "true" : "false");
			evhttp_add_header(h, "X-Nomad-Lastcontact", "0");
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
	log_call(c);
	if (c->out.len > COPY_MAX) {
		size_t len = c->out.len;
		char *text = buf_take(&c->out);

		evbuffer_add_reference(out, text, len, free_text, text);
	} else if (c->out.len) {
		evbuffer_add(out, c->out.data, c->out.len);
	}
	evhttp_send_reply(req, c->status, reason(c->status), NULL);
	call_give(c);
	mark_ready(conn);
}

/* The connection's output goes out now; what the socket does not take, evhttp writes as usual. */
static void write_now(struct conn *conn)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);

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

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	evhttp_connection_free(conn->evcon); /* on_close() does the rest */
}

/* evhttp does not read while a request is being answered, so it would not notice the peer's end. */
void httpd_hold(struct call *c)
{
	struct conn *conn = c->conn;

	if (conn->hangup)
		return;
	conn->hangup = event_new(conn->httpd->base, bufferevent_getfd(conn->bev), EV_CLOSED, on_hangup, conn);
	if (!conn->hangup || event_add(conn->hangup, NULL) < 0)
		die("out of memory");
}

void httpd_stream_begin(struct call *c)
{
	put_headers(c);
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
	call_give(c);
	mark_ready(conn);
}

void httpd_stream_break(struct call *c)
{
	c->conn->broken = true;
	if (!evbuffer_get_length(bufferevent_get_output(c->conn->bev)))
		event_active(c->conn->hangup, EV_CLOSED, 0);
}

/* ---- connections ---- */

/* The one place where a connection ends, whatever the cause. */
static void on_close(struct evhttp_connection *evcon, void *arg)
{
	struct conn *conn = arg;
	struct httpd *h = conn->httpd;
	struct call *c = conn->call;

	(void)evcon;
	drop_hangup(conn);
	if (c) {
		struct evhttp_request *req = c->req;

		call_abandon(c);
		call_give(c);
		/* When the network failed under a request that is being answered, evhttp has let go of it. */
		if (!evhttp_request_get_connection(req))
			evhttp_request_free(req);
	}
	list_remove(&conn->ready);
	list_remove(&conn->link);
	*conn_slot(h, bufferevent_getfd(conn->bev)) = NULL;
	h->per_peer[conn->peer % PEER_SLOTS]--;
	h->n_conns--;
	free(conn);
}

static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *conn = arg;

	(void)in;
	if (info->n_added && (conn->state == CONN_IDLE || conn->state == CONN_WRITING)) {
		conn->state = CONN_READING;
		conn->since = clock_monotonic();
	}
}

static struct bufferevent *on_new_bufferevent(struct event_base *base, void *arg)
{
	struct httpd *h = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct conn *conn = xcalloc(1, sizeof(*conn));

	if (!bev)
		die("out of memory");
	conn->httpd = h;
	conn->bev = bev;
	list_add(&h->fresh, &conn->link);
	event_active(h->adopt, 0, 0);
	return bev;
}

static uint32_t hash_peer(const struct sockaddr *sa)
{
	if (sa && sa->sa_family == AF_INET)
		return hash_bytes(&((const struct sockaddr_in *)sa)->sin_addr, 4);
	if (sa && sa->sa_family == AF_INET6)
		return hash_bytes(&((const struct sockaddr_in6 *)sa)->sin6_addr, 8); /* a /64 is one client */
	return 0;
}

static void adopt(struct httpd *h, struct conn *conn)
{
	int one = 1;
	void *evcon = NULL;
	const char *over = NULL;

	bufferevent_getcb(conn->bev, NULL, NULL, NULL, &evcon);
	assert(evcon && evhttp_connection_get_bufferevent(evcon) == conn->bev);
	conn->evcon = evcon;
	conn->since = clock_monotonic();
	conn->peer = hash_peer(evhttp_connection_get_addr(evcon));
	list_add(&h->conns, &conn->link);
	*conn_slot(h, bufferevent_getfd(conn->bev)) = conn;
	h->n_conns++;
	h->per_peer[conn->peer % PEER_SLOTS]++;
	evhttp_connection_set_closecb(evcon, on_close, conn);
	setsockopt(bufferevent_getfd(conn->bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	evbuffer_add_cb(bufferevent_get_input(conn->bev), on_input, conn);
	if (h->config.max_connections && h->n_conns > (uint32_t)h->config.max_connections)
		over = "limits { http_max_connections }";
	else if (h->config.max_per_client && h->per_peer[conn->peer % PEER_SLOTS] > h->config.max_per_client)
		over = "limits { http_max_conns_per_client }";
	if (over) {
		log_debug("http", "connection refused: %s is reached", over);
		evhttp_connection_free(evcon);
	}
}

static void on_adopt(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;

	(void)fd;
	(void)what;
	while (h->fresh.next != &h->fresh) {
		struct conn *conn = CONTAINER_OF(h->fresh.next, struct conn, link);

		list_remove(&conn->link);
		adopt(h, conn);
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;
	int64_t now = clock_monotonic();
	struct link *next;

	(void)fd;
	(void)what;
	for (struct link *l = h->conns.next; l != &h->conns; l = next) {
		struct conn *conn = CONTAINER_OF(l, struct conn, link);
		int64_t limit = conn->state == CONN_READING ? h->config.header_timeout : h->config.idle_timeout;

		next = l->next;
		/* A peer that does not read its answer runs into evhttp's write timeout. */
		if (conn->state == CONN_WRITING && !evbuffer_get_length(bufferevent_get_output(conn->bev))) {
			conn->state = CONN_IDLE;
			conn->since = now;
		}
		if (conn->state != CONN_ANSWERING && conn->state != CONN_WRITING && limit && now - conn->since > limit)
			evhttp_connection_free(conn->evcon);
	}
}

static const char *method_name(enum evhttp_cmd_type type)
{
	switch (type) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	}
	return "?";
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct httpd *h = arg;
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
	struct conn *conn = *conn_slot(h, bufferevent_getfd(bev));
	struct call *c;

	assert(conn && conn->bev == bev && !conn->call);
	conn->state = CONN_ANSWERING;
	c = call_take(h, conn, req);
	c->method = method_name(evhttp_request_get_command(req));
	call_dispatch(c, h->router, evhttp_request_get_uri(req));
}

/* ---- start and stop ---- */

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(h->listener);
}

/* Out of descriptors, most likely: give others time to end instead of spinning. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
	struct httpd *h = arg;
	struct timeval soon = {0, 100000};

	log_warn("http", "cannot accept connections: %s", strerror(errno));
	evconnlistener_disable(l);
	evtimer_add(h->accept_again, &soon);
}

static int listen_on(struct httpd *h, struct err *e)
{
	const struct httpd_config *c = &h->config;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *ai = NULL;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char port[16];
	int rc;

	snprintf(port, sizeof(port), "%d", c->port);
	rc = getaddrinfo(c->bind_addr, port, &hints, &ai);
	if (rc)
		return err_set(e, -EINVAL, "bind_addr \"%s\": %s", c->bind_addr, gai_strerror(rc));
	h->listener = evconnlistener_new_bind(h->base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, 1024, ai->ai_addr,
	    (int)ai->ai_addrlen);
	rc = errno;
	freeaddrinfo(ai);
	if (!h->listener)
		return err_set(e, -rc, "listen tcp %s:%d: bind: %s", c->bind_addr, c->port,
		    rc == EADDRINUSE ? "address already in use; is another agent running?" : strerror(rc));
	evconnlistener_set_error_cb(h->listener, on_accept_error);
	if (!evhttp_bind_listener(h->http, h->listener))
		die("out of memory");
	if (getsockname(evconnlistener_get_fd(h->listener), (struct sockaddr *)&ss, &len) < 0)
		return err_set(e, -errno, "getsockname: %s", strerror(errno));
	h->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
	                                         : ((struct sockaddr_in *)&ss)->sin_port);
	return 0;
}

static void set_up_http(struct httpd *h)
{
	const struct httpd_config *c = &h->config;

	evhttp_set_gencb(h->http, on_request, h);
	evhttp_set_bevcb(h->http, on_new_bufferevent, h);
	evhttp_set_default_content_type(h->http, NULL);
	evhttp_set_max_headers_size(h->http, (ev_ssize_t)c->max_header);
	evhttp_set_max_body_size(h->http, (ev_ssize_t)c->max_body);
	evhttp_set_timeout(h->http, (int)MAX(1, c->idle_timeout / SECOND));
	evhttp_set_allowed_methods(h->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
	    EVHTTP_REQ_HEAD | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT);
}

int httpd_start(struct event_base *base, const struct httpd_config *c, struct daemon *d, struct httpd **out,
    struct err *e)
{
	struct httpd *h = xcalloc(1, sizeof(*h));
	int64_t shortest = c->header_timeout ? c->header_timeout : c->idle_timeout;
	int64_t every = MAX(50 * MILLI, MIN(SECOND, shortest / 4));
	struct timeval tv = {every / SECOND, every % SECOND / 1000};
	int rc;

	h->base = base;
	h->daemon = d;
	h->config = *c;
	list_init(&h->conns);
	list_init(&h->fresh);
	list_init(&h->ready);
	h->per_peer = xcalloc(PEER_SLOTS, sizeof(*h->per_peer));
	h->router = router_new(route_tables);
	h->http = evhttp_new(base);
	h->adopt = event_new(base, -1, 0, on_adopt, h);
	h->flush = event_new(base, -1, 0, flush_ready, h);
	h->sweep = event_new(base, -1, EV_PERSIST, on_sweep, h);
	h->accept_again = evtimer_new(base, on_accept_again, h);
	if (!h->http || !h->adopt || !h->flush || !h->sweep || !h->accept_again)
		die("out of memory");
	set_up_http(h);
	rc = listen_on(h, e);
	if (rc < 0) {
		httpd_stop(h);
		return rc;
	}
	evtimer_add(h->sweep, &tv);
	*out = h;
	return 0;
}

int httpd_port(const struct httpd *h)
{
	return h->port;
}

void httpd_stop(struct httpd *h)
{
	if (!h)
		return;
	if (h->listener)
		evconnlistener_disable(h->listener);
	on_adopt(-1, 0, h);
	while (h->conns.next != &h->conns)
		evhttp_connection_free(CONTAINER_OF(h->conns.next, struct conn, link)->evcon);
	event_free(h->adopt);
	event_free(h->flush);
	event_free(h->sweep);
	event_free(h->accept_again);
	evhttp_free(h->http); /* the listener too */
	for (struct call *c = h->pool, *next; c; c = next) {
		next = c->next_free;
		call_release(c);
	}
	router_free(h->router);
	free(h->per_peer);
	free(h->by_fd);
	free(h);
}
