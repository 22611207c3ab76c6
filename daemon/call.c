/*
 * call: what a handler sees of one request: parameters, body, the answer. Knows nothing of evhttp.
 */
#include "daemon/call.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/log.h"

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

int64_t call_age(const struct call *c)
{
	return call_is_stale(c) && call_server(c) ? server_last_contact(call_server(c)) : 0;
}

bool call_knows_leader(const struct call *c)
{
	return !call_server(c) || server_knows_leader(call_server(c));
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

/*
 * What the answer rests on. A stale one shows what its index says; others show all that was known when they were given. To be
 * current they wait for a confirmation, but for what wrote something: its commit is all that it needs. A write that was
 * refused, or found nothing to do, says how things are, as a read does.
 */
static bool rests(struct call *c, struct server *s)
{
	uint64_t index = core_state(server_core(s))->index;
	bool stale = call_is_stale(c) || (!call_is_read(c) && index > c->run_index);

	if (c->match.route->bits & (ROUTE_ALWAYS | ROUTE_LOCAL))
		stale = true; /* nothing but what the handler asked for */
	else
		call_set_rest(c, call_is_stale(c) && c->index ? c->index : index);
	if (!call_is_read(c))
		server_kick(s);
	if (!c->rest_index || !server_must_rest(s, c->rest_index, stale))
		return false;
	c->state = CALL_RESTING;
	server_rest(s, &c->rest, c->rest_index, stale, on_rest);
	return true;
}

static void answer(struct call *c, int status, const char *content_type)
{
	assert(c->state == CALL_RUNNING);
	c->status = status;
	c->content_type = content_type;
	if (c->from_state && rests(c, call_server(c)))
		return;
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
    {-EEXIST, 409},
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

void call_on_gone(struct call *c, void (*fn)(struct call *c))
{
	c->on_gone = fn;
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

void call_take_back(struct call *c)
{
	assert(c->state == CALL_WAITING);
	c->state = CALL_RUNNING;
	c->on_close = c->on_drain = NULL;
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

	if (c->on_gone && (c->state == CALL_HELD || c->state == CALL_RESTING))
		c->on_gone(c);
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
