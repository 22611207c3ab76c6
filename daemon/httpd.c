/*
 * httpd: evhttp and its connections. A `struct conn` follows each connection from accept to close: it counts for the
 * limits, knows since when a request is being read, and holds the call that is under way. evhttp tells of an end by the
 * close callback alone, so that is where everything of a connection dies.
 *
 * evhttp has no hook for a new connection; the bufferevent it asks us to make is one: right after the accept its callback
 * argument is the connection.
 */
#include "daemon/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/tls.h"

#define POOL_MAX 64
#define SLOWEST  (8 * 1024) /* bytes a second: at this rate a body may take longer than a header */
#define FDS_KEPT 256        /* descriptors that connections leave to everything else */
#define BIND_PATIENCE (1 * SECOND)

#define PEER_SLOTS 4096

const struct route *const route_tables[] = {
    routes_jobs, routes_nodes, routes_allocs, routes_evals, routes_agent, routes_client, routes_system, routes_servers,
    routes_internal, routes_consul, routes_capacity, routes_absent, NULL,
};

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

void httpd_give_back(struct call *c)
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

/* ---- connections ---- */

/* The one place where a connection ends, whatever the cause. */
static void on_close(struct evhttp_connection *evcon, void *arg)
{
	struct conn *conn = arg;
	struct httpd *h = conn->httpd;
	struct call *c = conn->call;

	(void)evcon;
	reply_forget(conn);
	if (c) {
		struct evhttp_request *req = c->req;

		call_abandon(c);
		httpd_give_back(c);
		/* When the network failed under a request that is being answered, evhttp has let go of it. */
		if (!evhttp_request_get_connection(req))
			evhttp_request_free(req);
	}
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
	if (!info->n_added)
		return;
	if (conn->state == CONN_IDLE || conn->state == CONN_WRITING) {
		conn->state = CONN_READING;
		conn->since = clock_monotonic();
		conn->got = 0;
	}
	conn->got += info->n_added;
}

static struct bufferevent *on_new_bufferevent(struct event_base *base, void *arg)
{
	struct httpd *h = arg;
	struct bufferevent *bev = h->tls ? tls_accept(h->tls, base) : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct conn *conn = xcalloc(1, sizeof(*conn));

	if (!bev)
		die("out of memory");
	conn->httpd = h;
	conn->bev = bev;
	conn->secure = h->tls != NULL;
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

/* A peer that is gone without a word is found out while nothing is sent to it: held queries, quiet streams. */
static void set_socket_options(evutil_socket_t fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 60}, /* seconds */
	    {IPPROTO_TCP, TCP_KEEPINTVL, 15},
	    {IPPROTO_TCP, TCP_KEEPCNT, 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

static void adopt(struct httpd *h, struct conn *conn)
{
	void *evcon = NULL;
	const char *over = NULL;

	bufferevent_getcb(conn->bev, NULL, NULL, NULL, &evcon);
	assert(evcon && evhttp_connection_get_bufferevent(evcon) == conn->bev);
	conn->evcon = evcon;
	conn->since = clock_monotonic();
	if (conn->secure)
		conn->state = CONN_READING; /* the handshake counts */
	conn->peer = hash_peer(evhttp_connection_get_addr(evcon));
	list_add(&h->conns, &conn->link);
	*conn_slot(h, bufferevent_getfd(conn->bev)) = conn;
	h->n_conns++;
	h->per_peer[conn->peer % PEER_SLOTS]++;
	evhttp_connection_set_closecb(evcon, on_close, conn);
	set_socket_options(bufferevent_getfd(conn->bev));
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

		if (conn->state == CONN_READING && limit)
			limit += (int64_t)(conn->got / SLOWEST * SECOND);

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

/*
 * An agent that is killed while it starts a task leaves a child behind, which holds all that the agent held open until it has
 * become the keeper. That is over in a moment: an address in use may be our own, and is tried again.
 */
static struct evconnlistener *bind_patiently(struct httpd *h, const struct addrinfo *ai)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC;
	int64_t until = clock_monotonic() + BIND_PATIENCE;

	for (;;) {
		struct evconnlistener *l =
		    evconnlistener_new_bind(h->base, NULL, NULL, flags, 1024, ai->ai_addr, (int)ai->ai_addrlen);
		int rc = errno;

		if (l || rc != EADDRINUSE || clock_monotonic() > until) {
			errno = rc;
			return l;
		}
		usleep(20000);
	}
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
	h->listener = bind_patiently(h, ai);
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
	evhttp_set_gencb(h->http, on_request, h);
	evhttp_set_bevcb(h->http, on_new_bufferevent, h);
	evhttp_set_default_content_type(h->http, NULL);
	evhttp_set_allowed_methods(h->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
	    EVHTTP_REQ_HEAD | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT);
}

/* Tasks, files and other agents need descriptors too, whatever the configuration says. */
static void bound_connections(struct httpd_config *c)
{
	struct rlimit lim;
	int most;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur > INT_MAX)
		return;
	most = MAX((int)lim.rlim_cur - FDS_KEPT, (int)lim.rlim_cur / 2);
	if (!c->max_connections || c->max_connections > most)
		c->max_connections = most;
}

void httpd_set_limits(struct httpd *h, const struct httpd_config *c)
{
	int64_t shortest = c->header_timeout ? c->header_timeout : c->idle_timeout;
	int64_t every = MAX(50 * MILLI, MIN(SECOND, shortest / 4));
	struct timeval tv = {every / SECOND, every % SECOND / 1000};
	struct httpd_config next = *c;

	next.bind_addr = h->config.bind_addr;
	next.port = h->config.port;
	bound_connections(&next);
	h->config = next;
	evhttp_set_max_headers_size(h->http, (ev_ssize_t)next.max_header);
	evhttp_set_max_body_size(h->http, (ev_ssize_t)next.max_body);
	evhttp_set_timeout(h->http, (int)MAX(1, next.idle_timeout / SECOND));
	evtimer_add(h->sweep, &tv);
}

int httpd_start(struct event_base *base, const struct httpd_config *c, struct daemon *d, struct httpd **out,
    struct err *e)
{
	struct httpd *h = xcalloc(1, sizeof(*h));
	int rc;

	h->base = base;
	h->daemon = d;
	h->config = *c;
	list_init(&h->conns);
	list_init(&h->fresh);
	h->per_peer = xcalloc(PEER_SLOTS, sizeof(*h->per_peer));
	h->router = router_new(route_tables);
	h->http = evhttp_new(base);
	h->adopt = event_new(base, -1, 0, on_adopt, h);
	h->sweep = event_new(base, -1, EV_PERSIST, on_sweep, h);
	h->accept_again = evtimer_new(base, on_accept_again, h);
	if (!h->http || !h->adopt || !h->sweep || !h->accept_again)
		die("out of memory");
	reply_start(h, base);
	set_up_http(h);
	httpd_set_limits(h, c);
	rc = listen_on(h, e);
	if (rc < 0) {
		httpd_stop(h);
		return rc;
	}
	*out = h;
	return 0;
}

void httpd_set_tls(struct httpd *h, struct tls *tls)
{
	tls_free(h->tls);
	h->tls = tls;
}

void httpd_stats(const struct httpd *h, struct httpd_stats *out)
{
	*out = h->stats;
	out->connections = h->n_conns;
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
	reply_stop(h);
	event_free(h->adopt);
	event_free(h->sweep);
	event_free(h->accept_again);
	evhttp_free(h->http); /* the listener too */
	for (struct call *c = h->pool, *next; c; c = next) {
		next = c->next_free;
		call_release(c);
	}
	router_free(h->router);
	tls_free(h->tls);
	free(h->per_peer);
	free(h->by_fd);
	free(h);
}
