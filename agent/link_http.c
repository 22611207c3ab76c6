/*
 * link_http: a call is asked of one server after the other, or of several at once; each asking is an attempt. Attempts keep
 * the address, not the server: the list may change under them.
 */
#include "agent/link_http.h"

#include <errno.h>

#include <event2/event.h>
#include <event2/http.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "discovery/server_address.h"

#define TTL_DEFAULT  (10 * SECOND)
#define SECOND_ASKED (250 * MILLI) /* the least time before a second server is asked as well */
#define ATTEMPT_MAX  (10 * SECOND)
#define PATIENCE     (1 * SECOND) /* for the sources to answer for the first time */

enum call_kind { CALL_REGISTER, CALL_HEARTBEAT, CALL_WORK, CALL_UPDATE, CALL_FAREWELL };

struct attempt {
	struct call *call;
	struct attempt *next;
	struct fetch *fetch;
	const char *server; /* of the arena of the call */
	int64_t since;      /* monotonic */
};

struct call {
	struct link_http *link;
	struct call *next;
	struct arena *arena;
	enum call_kind kind;
	const char *method, *what; /* path below the node's, with query */
	const void *body;
	size_t body_len;
	int64_t timeout; /* of an attempt */
	int64_t until;   /* no attempt begins after it, monotonic */
	struct attempt *attempts;
	const char *tried_home; /* server that was asked only because it comes before the present one; NULL */
	struct event *timer; /* the first step; then, of calls that ask several, the next one to ask */
	link_done_fn *done;
	void *arg;
};

struct link_http {
	struct server_link link; /* first */
	struct fetcher *fetcher;
	struct sources *sources;
	struct servers *servers;
	struct fetch_tls tls;
	struct call *calls;
	int64_t ttl;
	int64_t patient_until; /* monotonic: so long calls wait for a first server to become known */
	char *registering;       /* what is asked to register: where this client belongs, so that no other cluster takes it */
	char id[64], secret[64]; /* of the node, known from its registration on */
};

static struct link_http *of(struct server_link *l)
{
	return CONTAINER_OF(l, struct link_http, link);
}

static void set_timer(struct event *timer, int64_t after)
{
	event_add(timer, &(struct timeval){after / SECOND, after % SECOND / 1000});
}

/* ---- calls and attempts ---- */

static bool asks_several(const struct call *c)
{
	return c->kind == CALL_REGISTER || c->kind == CALL_HEARTBEAT;
}

static void unlink_attempt(struct attempt *t)
{
	struct attempt **at = &t->call->attempts;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
}

static void cancel_attempt(struct attempt *t)
{
	fetch_cancel(t->fetch);
	unlink_attempt(t);
	free(t);
}

static void call_free(struct call *c)
{
	struct call **at = &c->link->calls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (c->attempts)
		cancel_attempt(c->attempts);
	event_free(c->timer);
	arena_free(c->arena);
	free(c);
}

static void finish(struct call *c, struct link_answer *out)
{
	link_done_fn *done = c->done;
	void *arg = c->arg;

	call_free(c);
	done(arg, out);
	err_clear(&out->err);
}

/* Everybody who may be asked has failed. */
static void fail(struct call *c)
{
	struct link_http *h = c->link;
	cleanup_buf struct buf b = BUF_INIT;
	struct link_answer out = {0};

	servers_explain(h->servers, h->sources, &b);
	err_set(&out.err, -EHOSTUNREACH, "%s", b.data);
	if (!servers_present(h->servers))
		sources_hurry(h->sources, true);
	finish(c, &out);
}

static void on_answer(void *arg, struct fetch_answer *a);

static void ask(struct call *c, const struct server *s)
{
	struct link_http *h = c->link;
	char base[SERVER_URL_STR];
	cleanup_free char *url = xasprintf("%s/v1/internal/node/%s/%s", server_address_url(s->address, base), h->id, c->what);
	cleanup_free char *token = xasprintf("X-Nomad-Token: %s", h->secret);
	const char *headers[] = {token, NULL};
	const struct fetch_request r = {
	    .method = c->method,
	    .url = url,
	    .headers = headers,
	    .body = c->body,
	    .body_len = c->body_len,
	    .timeout = c->timeout,
	    .max_body = 256u << 20,
	    .tls = server_address_is_secure(s->address) ? &h->tls : NULL,
	};
	struct attempt *t = xcalloc(1, sizeof(*t));

	t->call = c;
	t->server = arena_strdup(c->arena, s->address);
	t->since = clock_monotonic();
	t->next = c->attempts;
	c->attempts = t;
	t->fetch = fetch_start(h->fetcher, &r, on_answer, t);
	memset(token, 0, strlen(token));
}

/* Asks one more server, if there is one; the first of a call is asked whether its time has come or not. */
static void ask_next(struct call *c, bool first)
{
	cleanup_arena struct arena *a = arena_new();
	int64_t now = clock_monotonic();
	const struct server *s = NULL;
	struct strs asked = {0};

	if (now >= c->until)
		return;
	for (const struct attempt *t = c->attempts; t; t = t->next)
		strs_push(a, &asked, t->server);
	if (first && c->kind == CALL_HEARTBEAT) {
		s = servers_home(c->link->servers, now);
		c->tried_home = s ? arena_strdup(c->arena, s->address) : NULL;
	}
	if (!s)
		s = servers_pick(c->link->servers, &asked, first, now);
	if (s)
		ask(c, s);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct call *c = arg;
	int64_t patience = c->link->patient_until - clock_monotonic();

	ask_next(c, !c->attempts);
	if (!c->attempts && !servers_count(c->link->servers) && patience > 0)
		set_timer(c->timer, patience);
	else if (!c->attempts)
		fail(c);
	else if (asks_several(c))
		set_timer(c->timer, MAX(c->link->ttl / 8, SECOND_ASKED));
}

/* ---- answers ---- */

/* Calls that are under way elsewhere go on with the server that answers. */
static void move_calls(struct link_http *h, const struct server *to)
{
	for (struct call *c = h->calls; c; c = c->next) {
		if (asks_several(c) || !c->attempts || str_eq(c->attempts->server, to->address))
			continue;
		while (c->attempts)
			cancel_attempt(c->attempts);
		ask(c, to);
	}
}

static void note_failure(struct link_http *h, const char *server, bool lives, const char *why)
{
	if (servers_failed(h->servers, server, lives, why, clock_monotonic()))
		log_warn("client", "server %s: %s", server, why);
}

/* Somebody was asked before, is asked still, and was slower. */
static void note_slow(struct call *c, const struct attempt *winner)
{
	int64_t now = clock_monotonic();

	for (struct attempt *t = c->attempts; t; t = t->next) {
		char text[DURATION_STR];
		cleanup_free char *why = NULL;

		if (t->since >= winner->since)
			continue;
		why = xasprintf("no answer within %s", duration_format((now - t->since) / MILLI * MILLI, text));
		note_failure(c->link, t->server, false, why);
	}
}

static void note_answer(struct call *c, const struct attempt *t)
{
	struct link_http *h = c->link;

	note_slow(c, t);
	if (servers_answered(h->servers, t->server))
		log_info("client", "server %s answers and is asked from now on", t->server);
	if (servers_present(h->servers))
		move_calls(h, servers_present(h->servers));
	sources_hurry(h->sources, false);
}

static void take_hello(struct link_http *h, const struct node_hello *hello)
{
	cleanup_arena struct arena *a = arena_new();
	const struct server *present;
	struct strs good = {0};

	if (hello->heartbeat_ttl > 0)
		h->ttl = hello->heartbeat_ttl;
	if (!hello->servers.n)
		return;
	for (uint32_t i = 0; i < hello->servers.n; i++)
		strs_push(a, &good, hello->servers.v[i]);
	sources_set(h->sources, SOURCE_PUSHED, &good);
	present = servers_present(h->servers);
	if (present && !strs_has(&good, present->address))
		strs_push(a, &good, present->address);
	sources_save(h->sources, &good);
}

static void decode(struct call *c, const struct attempt *t, struct fetch_answer *a, struct arena *arena, struct link_answer *out)
{
	const struct type *type = c->kind == CALL_WORK ? &type_node_work : &type_node_hello;
	void *obj = arena_alloc(arena, type->size);

	if (codec_from_text(type, obj, a->body.len ? a->body.data : "", a->body.len, arena, &out->err) < 0) {
		err_wrap(&out->err, "server %s", t->server);
		return;
	}
	if (c->kind == CALL_WORK) {
		out->work = obj;
		return;
	}
	out->hello = obj;
	take_hello(c->link, obj);
}

/* A server that comes before the present one, and was asked to see whether it is well, has to say yes or is not well. */
static bool is_failure(const struct call *c, const struct attempt *t, const struct fetch_answer *a)
{
	return a->err.code || a->status >= 500 || (a->status != 200 && str_eq(t->server, c->tried_home));
}

static void on_failure(struct call *c, struct attempt *t, const struct fetch_answer *a)
{
	if (a->err.code) {
		note_failure(c->link, t->server, false, err_str(&a->err));
	} else {
		cleanup_free char *why = xasprintf("it answers %d: %.*s", a->status, (int)MIN(a->body.len, (size_t)300),
		    a->body.len ? a->body.data : "");

		note_failure(c->link, t->server, true, why);
	}
	free(t);
	ask_next(c, false);
	if (!c->attempts)
		fail(c);
}

static void on_answer(void *arg, struct fetch_answer *a)
{
	struct attempt *t = arg;
	struct call *c = t->call;
	cleanup_arena struct arena *arena = arena_new();
	struct link_answer out = {0};

	unlink_attempt(t);
	if (is_failure(c, t, a)) {
		on_failure(c, t, a);
		return;
	}
	note_answer(c, t);
	if (a->status == 200)
		decode(c, t, a, arena, &out);
	else
		err_set(&out.err, a->status == 404 ? -ENOENT : a->status == 403 ? -EPERM : -EIO, "server %s answered %d: %.*s", t->server,
		    a->status, (int)MIN(a->body.len, (size_t)300), a->body.len ? a->body.data : "");
	free(t);
	finish(c, &out);
}

/* ---- the calls of the link ---- */

static void start(struct link_http *h, enum call_kind kind, const char *what, const struct buf *body, int64_t wait,
    link_done_fn *done, void *arg)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->link = h;
	c->arena = arena_new();
	c->kind = kind;
	c->method = body ? "PUT" : "GET";
	c->what = arena_strdup(c->arena, what);
	c->body = body ? arena_copy(c->arena, body->data, body->len) : NULL;
	c->body_len = body ? body->len : 0;
	/* A heartbeat is worth little once the next one is due. */
	c->timeout = kind == CALL_HEARTBEAT ? MAX(SECOND, MIN(h->ttl / 3, ATTEMPT_MAX)) : wait + ATTEMPT_MAX;
	c->until = clock_monotonic() + 2 * c->timeout;
	c->done = done;
	c->arg = arg;
	c->next = h->calls;
	h->calls = c;
	c->timer = evtimer_new(fetcher_base(h->fetcher), on_timer, c);
	if (!c->timer)
		die("out of memory");
	set_timer(c->timer, 0);
}

static void http_register(struct server_link *l, const struct node *node, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct link_http *h = of(l);

	snprintf(h->id, sizeof(h->id), "%s", node->id);
	snprintf(h->secret, sizeof(h->secret), "%s", node->secret_id ? node->secret_id : "");
	codec_to_json(&body, &type_node, node, CODEC_PEER, 0, 0);
	start(h, CALL_REGISTER, h->registering, &body, 0, done, arg);
}

static void http_heartbeat(struct server_link *l, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;

	buf_puts(&body, "{}");
	start(of(l), CALL_HEARTBEAT, "heartbeat", &body, 0, done, arg);
}

static void http_work(struct server_link *l, uint64_t index, int64_t wait, link_done_fn *done, void *arg)
{
	cleanup_free char *what =
	    xasprintf("work?index=%llu&wait=%lldms", (unsigned long long)index, (long long)(wait / MILLI));

	start(of(l), CALL_WORK, what, NULL, wait + wait / 16, done, arg);
}

static void http_update(struct server_link *l, const struct alloc_updates *u, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;

	codec_to_json(&body, &type_alloc_updates, u, CODEC_PEER, 0, 0);
	start(of(l), CALL_UPDATE, "allocs", &body, 0, done, arg);
}

static void http_farewell(struct server_link *l, const struct node_farewell *f, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;

	codec_to_json(&body, &type_node_farewell, f, CODEC_PEER, 0, 0);
	start(of(l), CALL_FAREWELL, "farewell", &body, 0, done, arg);
}

static const char *http_server(struct server_link *l)
{
	const struct server *s = servers_present(of(l)->servers);

	return s ? s->address : NULL;
}

static void http_close(struct server_link *l)
{
	struct link_http *h = of(l);

	while (h->calls)
		call_free(h->calls);
	sources_free(h->sources);
	servers_free(h->servers);
	free(h->registering);
	free(h);
}

static const struct server_link_ops http_ops = {
    .node_register = http_register,
    .heartbeat = http_heartbeat,
    .work = http_work,
    .update = http_update,
    .farewell = http_farewell,
    .server = http_server,
    .close = http_close,
};

/* ---- the servers ---- */

static void on_sources(void *arg)
{
	struct link_http *h = arg;

	if (!servers_take(h->servers, h->sources, clock_monotonic()))
		return;
	for (struct call *c = h->calls; c; c = c->next)
		if (!c->attempts)
			set_timer(c->timer, 0);
	if (h->link.on_change)
		h->link.on_change(h->link.arg);
}

void link_http_servers(const struct server_link *l, struct arena *a, struct strs *out)
{
	const struct link_http *h = CONTAINER_OF(l, struct link_http, link);
	const struct server *present = servers_present(h->servers);

	if (present)
		strs_push(a, out, present->address);
	for (uint32_t i = 0; i < servers_count(h->servers); i++)
		if (servers_at(h->servers, i) != present)
			strs_push(a, out, servers_at(h->servers, i)->address);
}

int link_http_set_servers(struct server_link *l, const struct strs *servers, struct err *e)
{
	struct server_address a;

	for (uint32_t i = 0; i < servers->n; i++)
		if (server_address_read(servers->v[i], false, &a, e) < 0)
			return e->code;
	sources_set(of(l)->sources, SOURCE_HAND, servers);
	return 0;
}

const struct sources *link_http_sources(const struct server_link *l)
{
	return CONTAINER_OF(l, struct link_http, link)->sources;
}

const struct servers *link_http_list(const struct server_link *l)
{
	return CONTAINER_OF(l, struct link_http, link)->servers;
}

static char *where_it_belongs(const struct sources_config *c)
{
	cleanup_free char *region = evhttp_encode_uri(str_or(c->region, "global"));
	cleanup_free char *log = c->log ? evhttp_encode_uri(c->log) : NULL;

	return xasprintf("register?region=%s%s%s", region, log ? "&log=" : "", log ? log : "");
}

int link_http_new(struct fetcher *f, const struct link_http_config *config, struct server_link **out, struct err *e)
{
	struct link_http *h = xcalloc(1, sizeof(*h));
	int rc;

	h->link.ops = &http_ops;
	h->fetcher = f;
	h->tls = config->tls;
	h->ttl = TTL_DEFAULT;
	h->patient_until = clock_monotonic() + PATIENCE;
	h->servers = servers_new(config->seed);
	rc = sources_new(fetcher_base(f), &config->sources, on_sources, h, &h->sources, e);
	if (rc < 0) {
		servers_free(h->servers);
		free(h);
		return rc;
	}
	servers_take(h->servers, h->sources, clock_monotonic());
	h->registering = where_it_belongs(&config->sources);
	*out = &h->link;
	return 0;
}
