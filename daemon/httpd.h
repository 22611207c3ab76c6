/*
 * httpd: the HTTP server of the agent: evhttp, one route table, limits. The only file that touches evhttp: a held
 * request (blocking query, stream) can vanish with its peer, and the close callback here is where that ends.
 *
 * A handler gets a `struct call`, and either answers at once (call_json, call_error, ...) or holds it. Every answer
 * may be tied to a journal index: it leaves when that index is committed (call_set_rest).
 */
#ifndef DAEMON_HTTPD_H
#define DAEMON_HTTPD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/model.h"
#include "daemon/watch.h"
#include "sched/core.h"

struct event_base;
struct httpd;
struct call;
struct daemon; /* daemon/daemon.h: the process: config, roles, httpd, watch */

typedef void call_fn(struct call *c);
enum route_bits {
	ROUTE_GET = 1,
	ROUTE_PUT = 2, /* PUT and POST alike */
	ROUTE_DELETE = 4,
	ROUTE_BLOCKING = 8, /* understands index and wait */
	ROUTE_SERVER = 16,  /* needs the server role (else 501), reads need a leader */
	ROUTE_CLIENT = 32,  /* concerns one client: passed on to the node that has the allocation */
	ROUTE_PUT_ONLY = 64,
	ROUTE_LOCAL = 256,   /* of a server: about itself, whoever leads */
	ROUTE_ALWAYS = 128,  /* answered also while nothing can be written; waits only for what it wrote itself (call_set_rest) */
};
struct route {
	unsigned bits;
	const char *pattern; /* "/v1/job/:id/allocations": a `:name` takes the segment, `:id*` everything up to a
	                      * known suffix (job ids may hold slashes) */
	call_fn *get, *put, *del;
	const char *help; /* one line, for the generated API page */
};
/* Each daemon/api_*.c exports a table ended by pattern NULL. */
extern const struct route routes_jobs[], routes_nodes[], routes_allocs[], routes_evals[], routes_agent[],
    routes_client[], routes_system[], routes_servers[], routes_internal[], routes_consul[], routes_capacity[],
    routes_absent[];
extern const struct route *const route_tables[]; /* all of them, ended by NULL */

/* ---- what a handler may ask ---- */
struct daemon *call_daemon(const struct call *c);
struct core *call_core(const struct call *c);   /* of ROUTE_SERVER routes never NULL */
struct state *call_state(const struct call *c); /* read only; the same */
int64_t call_now(const struct call *c);         /* wall clock when this run of the handler began */
struct arena *call_arena(const struct call *c); /* freed with the call */
const char *call_method(const struct call *c);
const char *call_param(const struct call *c, const char *name); /* path parameter, decoded; NULL when absent */
const char *call_query(const struct call *c, const char *name); /* query parameter, decoded; NULL when absent */
bool call_query_bool(const struct call *c, const char *name);   /* present without value counts as true */
/* A boolean that must be one: unset gives `unset`; another word answers 400 and returns negative. */
int call_query_flag(struct call *c, const char *name, bool unset, bool *out);
/* Whether the asker of a read is content with what was true a moment ago. */
bool call_is_stale(const struct call *c);
/* How old what a read shows may be, ns: 0 unless it is stale. */
int64_t call_age(const struct call *c);
bool call_knows_leader(const struct call *c); /* the server that answers does */
/* Every value of a parameter that may be repeated; returns how many of at most max. */
uint32_t call_query_all(const struct call *c, const char *name, const char **out, uint32_t max);
const char *call_namespace(const struct call *c);               /* "default", or "*" */
const char *call_header(const struct call *c, const char *name);
const void *call_body(const struct call *c, size_t *n);
/* Decodes the JSON body by table; answers 400 with the sentence itself and returns negative on failure. */
int call_decode(struct call *c, const struct type *t, void *obj);

/*
 * Blocking queries, for ROUTE_BLOCKING routes. Called before anything is written, with what the answer shows and the
 * index that this thing has now: sets X-Nomad-Index, and when the caller asked to wait and nothing is newer, holds
 * the call and returns true: the handler returns at once and is run again from its start when the thing changed or
 * the time is up. A handler that reads the state without blocking just answers.
 *
 *	if (call_block(c, watch_job(WATCH_JOB, ns, id), j ? j->modify_index : table_index))
 *		return;
 */
bool call_block(struct call *c, struct watch_key key, uint64_t index);

/* fn is called when the peer breaks off while the call waits for news or for a commit; it may read the call. */
void call_on_gone(struct call *c, void (*fn)(struct call *c));

/* ---- answers: exactly one per call ---- */
struct buf *call_out(struct call *c); /* the body, JSON being written */
int call_indent(const struct call *c); /* 4 with ?pretty, else 0 */
void call_json(struct call *c, int status); /* sends call_out */
void call_text(struct call *c, int status, const char *text);
void call_none(struct call *c, int status); /* no body */
void call_body_as(struct call *c, int status, const char *content_type); /* sends call_out as that */
void call_error(struct call *c, int status, const char *fmt, ...) PRINTF(3, 4); /* plain text, as Nomad */
void call_fail(struct call *c, const struct err *e); /* status by code: ENOENT 404, EPERM 403, EEXIST 409, else 500 */
void call_set_header(struct call *c, const char *name, const char *value);
void call_set_index(struct call *c, uint64_t index); /* X-Nomad-Index */
/* X-Nomad-Knownleader and -Lastcontact beside the index: GETs have them anyway. */
void call_set_read(struct call *c, bool leader_known);
/* Waits for this commit before the answer leaves. Answers of ROUTE_SERVER routes rest by themselves on everything
 * that was applied when they were given, so handlers there need not call it. */
void call_set_rest(struct call *c, uint64_t index);

/* ---- streams (logs, monitor, events) ---- */
/* Starts a chunked answer. on_close is called once when the peer is gone or call_stream_end was called; after it
 * the call must not be used. */
void call_stream_begin(struct call *c, int status, const char *content_type, void (*on_close)(void *), void *arg);
/* Queues a piece; returns false when more than the bound (1 MiB) is queued: pause until on_drain. */
bool call_stream_put(struct call *c, const void *p, size_t n);
void call_stream_on_drain(struct call *c, void (*on_drain)(void *), void *arg);
void call_stream_end(struct call *c);
/* Ends a stream whose rest will not come: what was put still goes out, then the connection is cut, so that the peer does
 * not take it for whole. on_close is called at once. */
void call_stream_break(struct call *c);
/* The same in two steps, for an answer whose status is known later: hold registers on_close, set_stream_header
 * sends the head. */
void call_stream_hold(struct call *c, void (*on_close)(void *), void *arg);
void call_set_stream_header(struct call *c, int status, const char *content_type);
void call_take_back(struct call *c); /* held, and no head sent: forgets on_close; it is to be answered in another way */
/* Dispatched once more when somebody else leads, and now and then until then; 500 "No cluster leader" after some seconds. */
void call_hold_for_leader(struct call *c);
/* Taken back, because another server leads: as if it had come now. */
void call_run_again(struct call *c);
const char *call_target(const struct call *c); /* path and query as they came */
const struct route *call_route(const struct call *c);

/* ---- work that would hold up the loop ---- */
/* Calls fn in a later turn of the loop, which gives all of these together 2 ms. The owner cancels before it dies; nothing
 * happens when it is not waiting. */
struct call_turn;
typedef void call_turn_fn(struct call_turn *t);
struct call_turn { /* zeroed at first */
	struct link link;
	call_turn_fn *fn;
};
void call_next_turn(struct call *c, struct call_turn *t, call_turn_fn *fn);
void call_turn_cancel(struct call_turn *t);

struct httpd_config {
	const char *bind_addr;
	int port; /* 0 = any, see httpd_port */
	size_t max_header, max_body; /* bytes */
	int64_t header_timeout, idle_timeout; /* ns: a request must have arrived (a body: or come at 8 KiB/s); a connection may idle */
	int max_connections, max_per_client;
};
int httpd_start(struct event_base *base, const struct httpd_config *c, struct daemon *d, struct httpd **out,
    struct err *e);
int httpd_port(const struct httpd *h);
struct httpd_stats {
	uint64_t requests, reads, errors; /* since the start; errors: answers of 500 and more */
	uint64_t connections;             /* now */
};
void httpd_stats(const struct httpd *h, struct httpd_stats *out);
/* Takes limits and timeouts from c for what comes from here on; address and port stay. */
void httpd_set_limits(struct httpd *h, const struct httpd_config *c);
/* Connections that are accepted from here on speak TLS. Takes ownership; NULL: they do not. */
struct tls;
void httpd_set_tls(struct httpd *h, struct tls *tls);
void httpd_stop(struct httpd *h);

#endif
