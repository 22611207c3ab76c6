/*
 * call: the insides of a call, shared by httpd.c (evhttp, connections), dispatch.c (who answers) and call.c (what handlers
 * use). Nobody else includes this.
 *
 * A call is RUNNING while its handler runs, HELD while a blocking query waits, RESTING while its answer waits for a
 * commit, WAITING between call_stream_hold and the head of the stream, STREAMING
 * after it. It ends by httpd_reply(), httpd_stream_end() or the peer's death, whichever
 * comes first; then it goes back to the pool of its httpd.
 */
#ifndef DAEMON_CALL_H
#define DAEMON_CALL_H

#include "daemon/daemon.h"
#include "daemon/route.h"
#include "daemon/server.h"

struct conn;
struct evhttp_request;

#define CALL_QUERY   32
#define CALL_HEADERS 8

enum call_state { CALL_RUNNING, CALL_HELD, CALL_RESTING, CALL_ANSWERED, CALL_WAITING, CALL_STREAMING };

struct call {
	struct httpd *httpd;
	struct conn *conn;
	struct evhttp_request *req;
	struct call *next_free;
	enum call_state state;

	const char *method;
	call_fn *fn;
	struct route_match match;
	struct buf uri; /* the target, cut up in place */
	struct url_param query[CALL_QUERY];
	uint32_t n_query;
	struct arena *arena; /* made when first asked for */
	int64_t now, started; /* wall clock of this run; monotonic of the request */

	uint64_t min_index; /* of the query, 0 = does not block */
	int64_t wait, block_until;
	int64_t leader_until; /* monotonic: held so long for a leader to appear; 0 = not held yet */
	bool expired;
	struct waiter waiter;
	struct rest rest;
	uint64_t rest_index;
	bool from_state;    /* the handler ran: what it says comes from the server's state */
	uint64_t run_index; /* of the state when it began */

	int status;
	const char *content_type;
	uint64_t index; /* X-Nomad-Index, 0 = none */
	bool read, leader_known; /* the two headers beside it */
	struct buf out;
	struct call_header {
		const char *name, *value; /* value in the arena */
	} headers[CALL_HEADERS];
	uint32_t n_headers;

	void (*on_close)(void *);
	void *on_close_arg;
	void (*on_gone)(struct call *c); /* the peer died while the call was held or rested */
	void (*on_drain)(void *);
	void *on_drain_arg;
	bool draining; /* the consumer was told to pause */
};

/* ---- httpd.c, for call.c ---- */
void httpd_reply(struct call *c); /* status, headers, out: sent; the call is gone */
void httpd_hold(struct call *c);  /* notice the peer's death while it waits */
const char *httpd_header(const struct call *c, const char *name);
const void *httpd_body(const struct call *c, size_t *n);
const char *httpd_target(const struct call *c);
struct daemon *httpd_daemon(const struct httpd *h);
void httpd_stream_begin(struct call *c);
bool httpd_stream_put(struct call *c, const void *p, size_t n);
void httpd_stream_end(struct call *c); /* the call is gone */
void httpd_stream_break(struct call *c); /* the call goes with its connection, when all is written */

/* ---- dispatch.c, for call.c ---- */
bool call_is_read(const struct call *c);

/* ---- dispatch.c and call.c, for httpd.c ---- */
/* Finds the route and runs the handler; target is the raw request target. */
void call_dispatch(struct call *c, const struct router *router, const char *target);
/* The peer is gone or the server stops: forgets waiters and tells a stream's owner. */
void call_abandon(struct call *c);
void call_reset(struct call *c); /* back to the pool */
void call_release(struct call *c);

#endif
