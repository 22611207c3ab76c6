/*
 * proxy: one fetch for each request that is passed on. The answer is streamed as it comes; when our caller reads slower
 * than the other agent sends, the fetch pauses.
 */
#include "daemon/proxy.h"

#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/peer.h"
#include "daemon/server.h"
#include "discovery/fetch.h"

#define FORWARDED "X-Drover-Forwarded"
/* To a server, from there to the leader, from there to the client that has it. */
#define MAX_HOPS 3

struct proxy {
	struct call *call;     /* gone when it closes us */
	struct server *server; /* of this agent, or NULL */
	struct fetch *fetch;
	bool streaming;
	const char *leader;   /* who led when it was passed on to it; NULL: passed on to somebody else */
	struct waiter waiter; /* for another leader */
};

/* Request headers that the other agent needs; the token among them, so none of this is ever logged. */
static const char *const passed_on[] = {"X-Nomad-Token", "Authorization", "Content-Type", "Accept"};
/* Headers of the answer that our caller gets. */
static const char *const passed_back[] = {"X-Nomad-Index", "X-Nomad-Knownleader", "X-Nomad-Lastcontact",
    "X-Nomad-Nexttoken", "Content-Security-Policy", "X-Content-Type-Options", "X-Xss-Protection"};

static void on_leader(struct waiter *w, bool expired);

static void watch_for_leader(struct proxy *p, bool yes)
{
	if (!p->leader)
		return;
	watch_remove(server_watch(p->server), &p->waiter);
	if (yes)
		watch_add(server_watch(p->server), &p->waiter, watch_leader(), HOUR, on_leader);
}

static void on_close(void *arg)
{
	struct proxy *p = arg;

	watch_for_leader(p, false);
	if (p->fetch)
		fetch_cancel(STEAL(p->fetch));
	free(p);
}

static void on_drain(void *arg)
{
	struct proxy *p = arg;

	if (p->fetch)
		fetch_pause(p->fetch, false);
}

static void begin(struct proxy *p, int status, const struct buf *headers)
{
	char text[512], type[256] = "";

	for (size_t i = 0; i < ARRAY_LEN(passed_back); i++)
		if (fetch_header(headers, passed_back[i], text, sizeof(text)))
			call_set_header(p->call, passed_back[i], text);
	fetch_header(headers, "Content-Type", type, sizeof(type));
	call_set_stream_header(p->call, status, *type ? arena_strdup(call_arena(p->call), type) : NULL);
	p->streaming = true;
}

static void on_data(void *arg, const void *data, size_t n)
{
	struct proxy *p = arg;
	const struct buf *headers;
	int status = fetch_head(p->fetch, &headers);

	if (!p->streaming)
		begin(p, status, headers);
	if (!call_stream_put(p->call, data, n))
		fetch_pause(p->fetch, true);
}

/* Reads, and what agents say of their node, which may be said twice. */
static bool is_repeatable(const struct call *c)
{
	return str_eq(call_method(c), "GET") || str_starts(call_target(c), "/v1/internal/node/");
}

/* The call is to be answered in another way. */
static struct call *take_back(struct proxy *p)
{
	struct call *c = p->call;

	watch_for_leader(p, false);
	if (p->fetch)
		fetch_cancel(p->fetch);
	free(p);
	call_take_back(c);
	return c;
}

/* Who led may hang, and would answer when it is too late: a held read would wait there for minutes. */
static void on_leader(struct waiter *w, bool expired)
{
	struct proxy *p = CONTAINER_OF(w, struct proxy, waiter);
	const char *leader = server_leader(p->server);

	(void)expired;
	if (p->streaming)
		return;
	if (*leader && !str_eq(leader, p->leader))
		call_run_again(take_back(p));
	else
		watch_for_leader(p, true);
}

static void on_done(void *arg, struct fetch_answer *a)
{
	struct proxy *p = arg;
	struct call *c = p->call;

	p->fetch = NULL;
	if (!p->streaming && a->err.code && p->leader && (!a->sent || is_repeatable(c))) {
		log_debug("http", "the leader does not answer: %s", err_str(&a->err));
		call_hold_for_leader(take_back(p));
		return;
	}
	watch_for_leader(p, false);
	if (!p->streaming && a->err.code) {
		cleanup_free char *text = xasprintf("the agent that this request concerns does not answer: %s", err_str(&a->err));

		call_set_stream_header(c, 502, "text/plain; charset=utf-8");
		call_stream_put(c, text, strlen(text));
	} else if (!p->streaming) {
		begin(p, a->status, &a->headers);
	} else if (a->err.code) {
		log_warn("http", "a forwarded answer broke off: %s", err_str(&a->err));
		call_stream_break(c);
		return;
	}
	call_stream_end(c);
}

/* How often the request was passed on before it came here. */
static int hops(const struct call *c)
{
	const char *n = call_header(c, FORWARDED);

	return n ? MAX(1, atoi(n)) : 0;
}

bool proxy_is_passed_on(const struct call *c)
{
	return hops(c) > 0;
}

bool proxy_is_forwarded(const struct call *c)
{
	return hops(c) >= MAX_HOPS;
}

static void pass_on(struct call *c, const char *host_port, bool to_leader)
{
	const char *headers[ARRAY_LEN(passed_on) + 2];
	struct fetch_tls tls;
	struct proxy *p;
	struct fetch_request r = {.method = call_method(c), .headers = headers, .timeout = HOUR * 24, .on_data = on_data};
	size_t n = 0, len;

	if (proxy_is_forwarded(c)) {
		call_error(c, 500, "this request was passed on to the wrong agent");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
		const char *v = call_header(c, passed_on[i]);

		if (v)
			headers[n++] = arena_printf(call_arena(c), "%s: %s", passed_on[i], v);
	}
	headers[n++] = arena_printf(call_arena(c), FORWARDED ": %d", hops(c) + 1);
	headers[n] = NULL;
	tls = peer_tls(call_daemon(c)->config);
	r.tls = &tls;
	r.url = arena_printf(call_arena(c), "%s%s", peer_url(call_daemon(c)->config, call_arena(c), host_port), call_target(c));
	r.body = call_body(c, &len);
	r.body_len = len;
	if (!len)
		r.body = NULL;
	p = xcalloc(1, sizeof(*p));
	p->call = c;
	p->server = call_daemon(c)->server;
	p->leader = to_leader ? arena_strdup(call_arena(c), host_port) : NULL;
	watch_for_leader(p, is_repeatable(c));
	call_stream_hold(c, on_close, p);
	call_stream_on_drain(c, on_drain, p);
	p->fetch = fetch_start(call_daemon(c)->fetcher, &r, on_done, p);
}

void proxy_to(struct call *c, const char *host_port)
{
	pass_on(c, host_port, false);
}

void proxy_to_leader(struct call *c, const char *host_port)
{
	pass_on(c, host_port, true);
}

void proxy_to_server(struct call *c)
{
	struct daemon *d = call_daemon(c);
	const char *server = d->link ? d->link->ops->server(d->link) : NULL;

	if (!server)
		call_error(c, 501, "this agent is no server and knows none that answers");
	else
		proxy_to(c, server);
}
