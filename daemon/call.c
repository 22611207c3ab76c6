/*
 * call: what a handler sees of one request: parameters, body, blocking, the answer. Knows nothing of evhttp.
 */
#include "daemon/call.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/members.h"
#include "daemon/proxy.h"

#define WAIT_DEFAULT (5 * MINUTE)
#define WAIT_MAX     (10 * MINUTE)
#define LEADER_WAIT  (5 * SECOND)

static void answer(struct call *c, int status, const char *content_type);
static void run_route(struct call *c);

struct daemon *call_daemon(const struct call *c)
{
	return httpd_daemon(c->httpd);
}

static struct server *call_server(const struct call *c)
{
	return httpd_daemon(c->httpd)->server;
}

struct core *call_core(const struct call *c)
{
	struct server *s = call_server(c);

	return s ? server_core(s) : NULL;
}

struct state *call_state(const struct call *c)
{
	struct core *core = call_core(c);

	return core ? core_state(core) : NULL;
}

int64_t call_now(const struct call *c)
{
	return c->now;
}

struct arena *call_arena(const struct call *c)
{
	if (!c->arena)
		((struct call *)c)->arena = arena_new();
	return c->arena;
}

const char *call_method(const struct call *c)
{
	return c->method;
}

const char *call_param(const struct call *c, const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < c->match.n_params; i++) {
		const struct route_param *p = &c->match.params[i];

		if (p->name_len == len && memcmp(p->name, name, len) == 0)
			return p->value;
	}
	return NULL;
}

static const struct url_param *find_query(const struct call *c, const char *name)
{
	for (uint32_t i = 0; i < c->n_query; i++)
		if (strcmp(c->query[i].name, name) == 0)
			return &c->query[i];
	return NULL;
}

const char *call_query(const struct call *c, const char *name)
{
	const struct url_param *p = find_query(c, name);

	return !p ? NULL : p->value ? p->value : "";
}

uint32_t call_query_all(const struct call *c, const char *name, const char **out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_query && n < max; i++)
		if (strcmp(c->query[i].name, name) == 0 && c->query[i].value)
			out[n++] = c->query[i].value;
	return n;
}

/* The words Go's ParseBool knows; -1 for another. */
static int parse_bool(const char *s)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcmp(s, yes[i]) == 0)
			return 1;
		if (strcmp(s, no[i]) == 0)
			return 0;
	}
	return -1;
}

bool call_query_bool(const struct call *c, const char *name)
{
	const struct url_param *p = find_query(c, name);

	return p && (str_empty(p->value) || parse_bool(p->value) == 1);
}

int call_query_flag(struct call *c, const char *name, bool unset, bool *out)
{
	const char *s = call_query(c, name);
	int b;

	if (str_empty(s)) {
		*out = unset;
		return 0;
	}
	b = parse_bool(s);
	if (b < 0) {
		call_error(c, 400, "failed to parse %s field to boolean: strconv.ParseBool: parsing \"%s\": invalid syntax",
		    name, s);
		return -EINVAL;
	}
	*out = b;
	return 0;
}

const char *call_namespace(const struct call *c)
{
	const char *ns = call_query(c, "namespace");

	return str_empty(ns) ? "default" : ns;
}

const char *call_header(const struct call *c, const char *name)
{
	return httpd_header(c, name);
}

const void *call_body(const struct call *c, size_t *n)
{
	return httpd_body(c, n);
}

int call_decode(struct call *c, const struct type *t, void *obj)
{
	cleanup_err struct err e = ERR_INIT;
	size_t n;
	const void *body = call_body(c, &n);
	int rc;

	if (!n) {
		call_error(c, 400, "Request body is empty");
		return -EINVAL;
	}
	rc = codec_from_text(t, obj, body, n, call_arena(c), &e);
	if (rc < 0)
		call_error(c, 400, "%s", err_str(&e));
	return rc;
}

/* ---- blocking queries ---- */

static void run(struct call *c)
{
	c->state = CALL_RUNNING;
	c->now = clock_now();
	c->fn(c);
}

static void on_wake(struct waiter *w, bool expired)
{
	struct call *c = CONTAINER_OF(w, struct call, waiter);

	assert(c->state == CALL_HELD);
	c->expired = expired;
	buf_clear(&c->out);
	c->n_headers = 0;
	arena_free(STEAL(c->arena));
	/* Another server may lead by now. */
	c->state = CALL_RUNNING;
	run_route(c);
}

bool call_block(struct call *c, struct watch_key key, uint64_t index)
{
	int64_t now;

	call_set_index(c, index);
	if (!c->min_index || index > c->min_index || c->expired)
		return false;
	now = clock_monotonic();
	if (!c->block_until)
		c->block_until = now + c->wait + (int64_t)((uint64_t)rand() % (uint64_t)(c->wait / 16 + 1));
	if (c->block_until <= now)
		return false;
	c->state = CALL_HELD;
	watch_add(server_watch(call_server(c)), &c->waiter, key, c->block_until - now, on_wake);
	httpd_hold(c);
	return true;
}

static int parse_blocking(struct call *c)
{
	const char *index = call_query(c, "index"), *wait = call_query(c, "wait");
	char *end;

	c->wait = WAIT_DEFAULT;
	if (!str_empty(wait) && (duration_parse(wait, &c->wait) < 0 || c->wait < 0)) {
		call_error(c, 400, "Invalid wait time");
		return -EINVAL;
	}
	c->wait = c->wait == 0 ? WAIT_DEFAULT : MIN(c->wait, WAIT_MAX);
	if (str_empty(index))
		return 0;
	errno = 0;
	c->min_index = strtoull(index, &end, 10);
	if (errno || *end || *index < '0' || *index > '9') {
		call_error(c, 400, "Invalid index");
		return -EINVAL;
	}
	return 0;
}

/* ---- dispatch ---- */

/* The path of an absolute target ("http://host/v1/jobs") and of an ordinary one. */
static const char *origin_form(const char *target)
{
	const char *p = strstr(target, "://");

	if (*target == '/' || !p)
		return target;
	p = strchr(p + 3, '/');
	return p ? p : "/";
}

static void redirect(struct call *c, const char *path)
{
	const char *query = strchr(call_target(c), '?');
	const char *to = arena_printf(call_arena(c), "%s%s", path, query ? query : "");

	for (const char *p = to; *p; p++)
		if ((unsigned char)*p <= ' ' || strchr("\"<>'\\", *p) || *p == 0x7f) {
			call_none(c, 404);
			return;
		}
	call_set_header(c, "Location", to);
	buf_puts(&c->out, "<a href=\"");
	for (const char *p = to; *p; p++)
		*p == '&' ? buf_puts(&c->out, "&amp;") : buf_putc(&c->out, *p);
	buf_puts(&c->out, "\">Moved Permanently</a>.\n\n");
	answer(c, 301, "text/html; charset=utf-8");
}

/* "/v1//jobs" -> "/v1/jobs" */
static void clean(char *path)
{
	char *out = path;

	for (const char *p = path; *p; p++)
		if (*p != '/' || p[1] != '/')
			*out++ = *p;
	*out = '\0';
}

/* "/v1/job" stands for "/v1/job/": a path below which something has a route. */
static bool lacks_slash(const struct router *router, const char *path)
{
	cleanup_free char *longer = xasprintf("%s/", path);
	struct route_match m;

	return router_find(router, longer, &m) && m.n_params;
}

static call_fn *pick(const struct route *r, const char *method)
{
	if (strcmp(method, "GET") == 0)
		return r->bits & ROUTE_GET ? r->get : NULL;
	if (strcmp(method, "PUT") == 0)
		return r->bits & (ROUTE_PUT | ROUTE_PUT_ONLY) ? r->put : NULL;
	if (strcmp(method, "POST") == 0)
		return r->bits & ROUTE_PUT && !(r->bits & ROUTE_PUT_ONLY) ? r->put : NULL;
	if (strcmp(method, "DELETE") == 0)
		return r->bits & ROUTE_DELETE ? r->del : NULL;
	return NULL;
}

/* Whether the asker is content with what was true a moment ago. A write answers for itself: its commit is all it needs. */
static bool is_stale(const struct call *c)
{
	return c->method[0] != 'G' || call_query_bool(c, "stale");
}

static void on_leader(struct waiter *w, bool expired)
{
	struct call *c = CONTAINER_OF(w, struct call, waiter);

	assert(c->state == CALL_HELD);
	c->state = CALL_RUNNING;
	c->now = clock_now();
	if (expired)
		call_error(c, 500, "No cluster leader%s%s", *server_trouble(call_server(c)) ? ": " : "",
		    server_trouble(call_server(c)));
	else
		run_route(c);
}

/* Somebody will lead soon, as a rule. */
static void hold_for_leader(struct call *c)
{
	int64_t now = clock_monotonic();

	if (!c->leader_until)
		c->leader_until = now + LEADER_WAIT;
	c->state = CALL_HELD;
	watch_add(server_watch(call_server(c)), &c->waiter, watch_leader(), MAX(c->leader_until - now, 0), on_leader);
	httpd_hold(c);
}

/* Whether this server answers it. If not, the call is refused, held, or passed on to who does. */
static bool belongs_here(struct call *c)
{
	struct server *s = call_server(c);
	cleanup_err struct err e = ERR_INIT;

	if (!s) {
		proxy_to_server(c);
		return false;
	}
	if (c->match.route->bits & ROUTE_LOCAL)
		return true;
	if (server_leads(s)) {
		if (c->method[0] == 'G' && is_stale(c) && server_is_stuck(s) && !proxy_is_passed_on(c) &&
		    *members_other(call_daemon(c)->members)) {
			proxy_to(c, members_other(call_daemon(c)->members));
			return false;
		}
		if (c->method[0] == 'G' || c->match.route->bits & ROUTE_ALWAYS || server_check_write(s, &e) == 0)
			return true;
		call_error(c, 503, "%s", err_str(&e));
		return false;
	}
	if (c->method[0] == 'G' && is_stale(c) && server_is_read(s))
		return true;
	if (*server_leader(s) && !str_eq(server_leader(s), call_daemon(c)->config->advertise_http) && !proxy_is_forwarded(c))
		proxy_to(c, server_leader(s));
	else
		hold_for_leader(c);
	return false;
}

static void run_route(struct call *c)
{
	const struct route *r = c->match.route;
	const char *region = call_query(c, "region");

	c->fn = pick(r, c->method);
	if (!c->fn) {
		call_error(c, 405, "Invalid method");
		return;
	}
	if (!str_empty(region) && !str_eq(region, call_daemon(c)->config->region)) {
		call_error(c, 500, "No path to region");
		return;
	}
	if (r->bits & ROUTE_SERVER && !belongs_here(c))
		return;
	if (r->bits & ROUTE_BLOCKING && parse_blocking(c) < 0)
		return;
	run(c);
}

void call_dispatch(struct call *c, const struct router *router, const char *target)
{
	char *query, *path;
	size_t len;

	target = origin_form(target);
	buf_clear(&c->uri);
	buf_puts(&c->uri, target);
	path = c->uri.data;
	if (!path || *path != '/') {
		call_none(c, 404);
		return;
	}
	c->started = clock_monotonic();
	query = strchr(path, '?');
	if (query) {
		*query++ = '\0';
		c->n_query = url_split_query(query, c->query, CALL_QUERY);
	}
	len = url_decode(path, false);
	if (strlen(path) != len) {
		call_error(c, 400, "Invalid path: it holds a zero byte");
		return;
	}
	if (strstr(path, "//")) {
		clean(path);
		redirect(c, path);
	} else if (router_find(router, path, &c->match)) {
		run_route(c);
	} else if (lacks_slash(router, path)) {
		redirect(c, arena_printf(call_arena(c), "%s/", path));
	} else {
		call_none(c, 404);
	}
}

/* ---- answers ---- */

struct buf *call_out(struct call *c)
{
	return &c->out;
}

int call_indent(const struct call *c)
{
	return find_query(c, "pretty") ? 4 : 0;
}

void call_set_header(struct call *c, const char *name, const char *value)
{
	for (uint32_t i = 0; i < c->n_headers; i++) {
		if (strcasecmp(c->headers[i].name, name) == 0) {
			c->headers[i].value = arena_strdup(call_arena(c), value);
			return;
		}
	}
	assert(c->n_headers < CALL_HEADERS);
	c->headers[c->n_headers++] = (struct call_header){
	    arena_strdup(call_arena(c), name), arena_strdup(call_arena(c), value)};
}

void call_set_index(struct call *c, uint64_t index)
{
	c->index = index ? index : 1; /* zero would make a blocking caller spin */
	if (c->method[0] == 'G')
		call_set_read(c, true);
}

void call_set_read(struct call *c, bool leader_known)
{
	c->read = true;
	c->leader_known = leader_known;
}

const struct route *call_route(const struct call *c)
{
	return c->match.route;
}

void call_set_rest(struct call *c, uint64_t index)
{
	c->rest_index = MAX(c->rest_index, index);
}

static void on_rest(struct rest *r)
{
	struct call *c = CONTAINER_OF(r, struct call, rest);

	if (r->failure) {
		c->status = 503;
		c->content_type = "text/plain; charset=utf-8";
		buf_clear(&c->out);
		buf_puts(&c->out, r->failure);
	}
	c->state = CALL_ANSWERED;
	httpd_reply(c);
}

static void answer(struct call *c, int status, const char *content_type)
{
	struct server *s = call_server(c);

	assert(c->state == CALL_RUNNING);
	c->status = status;
	c->content_type = content_type;
	if (s && c->match.route && c->match.route->bits & ROUTE_SERVER) {
		/* A stale answer shows what its index says; others show all that was known when they were given. */
		if (c->method[0] == 'G' && is_stale(c) && c->index)
			call_set_rest(c, c->index);
		else if (!(c->match.route->bits & (ROUTE_ALWAYS | ROUTE_LOCAL)))
			call_set_rest(c, core_state(server_core(s))->index);
		if (c->method[0] != 'G')
			server_kick(s);
	}
	if (s && c->rest_index && server_must_rest(s, c->rest_index, is_stale(c))) {
		c->state = CALL_RESTING;
		server_rest(s, &c->rest, c->rest_index, is_stale(c), on_rest);
		return;
	}
	c->state = CALL_ANSWERED;
	httpd_reply(c);
}

void call_json(struct call *c, int status)
{
	if (call_indent(c))
		buf_putc(&c->out, '\n');
	answer(c, status, "application/json");
}

void call_body_as(struct call *c, int status, const char *content_type)
{
	answer(c, status, content_type);
}

void call_none(struct call *c, int status)
{
	buf_clear(&c->out);
	answer(c, status, NULL);
}

void call_text(struct call *c, int status, const char *text)
{
	buf_clear(&c->out);
	buf_puts(&c->out, text);
	answer(c, status, "text/plain; charset=utf-8");
}

void call_error(struct call *c, int status, const char *fmt, ...)
{
	va_list ap;

	buf_clear(&c->out);
	va_start(ap, fmt);
	buf_vprintf(&c->out, fmt, ap);
	va_end(ap);
	answer(c, status, "text/plain; charset=utf-8");
}

static const struct {
	int code, status;
} statuses[] = {
    {-ENOENT, 404},
    {-EPERM, 403},
    {-EACCES, 403},
    {-EINVAL, 400},
    {-EMSGSIZE, 413},
    {-EAGAIN, 503},
};

void call_fail(struct call *c, const struct err *e)
{
	int status = 500;

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].code == e->code)
			status = statuses[i].status;
	call_error(c, status, "%s", err_str(e));
}

/* ---- streams ---- */

void call_stream_hold(struct call *c, void (*on_close)(void *), void *arg)
{
	assert(c->state == CALL_RUNNING);
	c->state = CALL_WAITING;
	c->on_close = on_close;
	c->on_close_arg = arg;
	httpd_hold(c);
}

void call_set_stream_header(struct call *c, int status, const char *content_type)
{
	assert(c->state == CALL_WAITING);
	c->state = CALL_STREAMING;
	c->status = status;
	c->content_type = content_type;
	httpd_stream_begin(c);
}

void call_stream_begin(struct call *c, int status, const char *content_type, void (*on_close)(void *), void *arg)
{
	call_stream_hold(c, on_close, arg);
	call_set_stream_header(c, status, content_type);
}

const char *call_target(const struct call *c)
{
	return origin_form(httpd_target(c));
}

bool call_stream_put(struct call *c, const void *p, size_t n)
{
	assert(c->state == CALL_STREAMING);
	return httpd_stream_put(c, p, n);
}

void call_stream_on_drain(struct call *c, void (*on_drain)(void *), void *arg)
{
	c->on_drain = on_drain;
	c->on_drain_arg = arg;
}

void call_stream_end(struct call *c)
{
	void (*fn)(void *) = c->on_close;
	void *arg = c->on_close_arg;

	assert(c->state == CALL_STREAMING);
	c->on_close = NULL;
	httpd_stream_end(c);
	if (fn)
		fn(arg);
}

void call_stream_break(struct call *c)
{
	void (*fn)(void *) = c->on_close;
	void *arg = c->on_close_arg;

	assert(c->state == CALL_STREAMING);
	c->on_close = NULL;
	c->on_drain = NULL;
	httpd_stream_break(c);
	if (fn)
		fn(arg);
}

/* ---- life ---- */

void call_abandon(struct call *c)
{
	void (*fn)(void *) = c->on_close;

	if (c->state == CALL_HELD && call_server(c))
		watch_remove(server_watch(call_server(c)), &c->waiter);
	server_rest_cancel(&c->rest);
	c->on_close = NULL;
	c->on_drain = NULL;
	if (fn)
		fn(c->on_close_arg);
}

void call_reset(struct call *c)
{
	struct buf uri = c->uri, out = c->out;

	arena_free(c->arena);
	if (out.cap > 64 * 1024)
		buf_free(&out);
	if (uri.cap > 4096)
		buf_free(&uri);
	buf_clear(&out);
	buf_clear(&uri);
	memset(c, 0, offsetof(struct call, query));
	memset(&c->n_query, 0, sizeof(*c) - offsetof(struct call, n_query));
	c->uri = uri;
	c->out = out;
}

void call_release(struct call *c)
{
	call_reset(c);
	buf_free(&c->uri);
	buf_free(&c->out);
	free(c);
}
