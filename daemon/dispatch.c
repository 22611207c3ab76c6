/*
 * dispatch: from a request's target to its handler: the route, who answers it (this server, the leader, another agent), and
 * the holding of blocking queries.
 */
#include "daemon/call.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "daemon/members.h"
#include "daemon/proxy.h"

#define WAIT_DEFAULT (5 * MINUTE)
#define WAIT_MAX     (10 * MINUTE)
#define LEADER_WAIT  (5 * SECOND)
#define LEADER_AGAIN (250 * MILLI)

static void run_route(struct call *c);

/* ---- blocking queries ---- */

static void run(struct call *c)
{
	c->state = CALL_RUNNING;
	c->from_state = c->match.route->bits & ROUTE_SERVER;
	c->now = c->from_state ? server_now(call_daemon(c)->server) : clock_now();
	if (c->from_state)
		c->run_index = core_state(call_core(c))->index;
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
	watch_add(server_watch(call_daemon(c)->server), &c->waiter, key, c->block_until - now, on_wake);
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

const char *call_target(const struct call *c)
{
	return origin_form(httpd_target(c));
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
	call_body_as(c, 301, "text/html; charset=utf-8");
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

bool call_is_read(const struct call *c)
{
	return c->method[0] == 'G';
}

bool call_is_stale(const struct call *c)
{
	return call_is_read(c) && call_query_bool(c, "stale");
}

static void on_leader(struct waiter *w, bool expired)
{
	struct call *c = CONTAINER_OF(w, struct call, waiter);

	assert(c->state == CALL_HELD);
	c->state = CALL_RUNNING;
	c->now = clock_now();
	if (!expired || clock_monotonic() < c->leader_until)
		run_route(c);
	else if (*server_leader(call_daemon(c)->server))
		call_error(c, 500, "No cluster leader: %s, which led last, does not answer", server_leader(call_daemon(c)->server));
	else
		call_error(c, 500, "No cluster leader%s%s", *server_trouble(call_daemon(c)->server) ? ": " : "",
		    server_trouble(call_daemon(c)->server));
}

/* Somebody will lead soon, as a rule. */
void call_hold_for_leader(struct call *c)
{
	int64_t now = clock_monotonic();

	if (!c->leader_until)
		c->leader_until = now + LEADER_WAIT;
	c->state = CALL_HELD;
	watch_add(server_watch(call_daemon(c)->server), &c->waiter, watch_leader(),
	    MIN(MAX(c->leader_until - now, 0), LEADER_AGAIN), on_leader);
	httpd_hold(c);
}

/* To another server that may know, unless this came from one. */
static bool pass_to_other(struct call *c, bool whatever_consul_said)
{
	const char *other = members_other(call_daemon(c)->members, whatever_consul_said);

	if (!*other || proxy_is_passed_on(c))
		return false;
	proxy_to(c, other);
	return true;
}

/* Whether this server answers it. If not, the call is refused, held, or passed on to who does. */
static bool belongs_here(struct call *c)
{
	struct server *s = call_daemon(c)->server;
	cleanup_err struct err e = ERR_INIT;

	if (!s) {
		proxy_to_server(c);
		return false;
	}
	if (c->match.route->bits & ROUTE_LOCAL)
		return true;
	if (server_is_halted(s)) {
		if (!pass_to_other(c, false))
			call_error(c, 503, "this server cannot read the journal: %s", server_trouble(s));
		return false;
	}
	/* Who is cut off from Consul may believe that all others are. */
	if (call_is_stale(c) && (server_leads(s) ? server_is_stuck(s) : !server_is_read(s)) && pass_to_other(c, true))
		return false;
	if (server_leads(s)) {
		bool write = !call_is_read(c) && !(c->match.route->bits & ROUTE_ALWAYS);

		if (call_is_stale(c) || server_check(s, write, &e) == 0)
			return true;
		call_error(c, 503, "%s", err_str(&e));
		return false;
	}
	if (call_is_stale(c) && server_is_read(s))
		return true;
	if (*server_leader(s) && !str_eq(server_leader(s), call_daemon(c)->config->advertise_http) && !proxy_is_forwarded(c))
		proxy_to_leader(c, server_leader(s));
	else
		call_hold_for_leader(c);
	return false;
}

static bool is_loopback_name(const char *host)
{
	return str_starts(host, "127.") || str_starts(host, "[::1]") || (str_starts(host, "localhost") && (!host[9] || host[9] == ':'));
}

/*
 * Whether a browser asks for a page that is not ours: it names the page's origin with everything that is not a mere read, and
 * needs nobody's leave to send it. On the loopback, where every page that somebody looks at can reach us, a name that an
 * attacker lets point here is not ours either.
 */
static bool is_for_another_page(struct call *c)
{
	const char *origin = call_header(c, "Origin"), *host = call_header(c, "Host"), *page;

	if (!origin)
		return false;
	page = strstr(origin, "://");
	if (!page || !host || strcasecmp(page + 3, host) != 0)
		return true;
	return is_loopback_name(call_daemon(c)->config->bind_addr) && !is_loopback_name(host);
}

static void run_route(struct call *c)
{
	const struct route *r = c->match.route;
	const char *region = call_query(c, "region");

	c->from_state = false;
	c->rest_index = 0;
	c->fn = pick(r, c->method);
	if (!c->fn) {
		call_error(c, 405, "Invalid method");
		return;
	}
	if (!call_is_read(c) && is_for_another_page(c)) {
		call_error(c, 403, "Refused: a page of another origin (%s) cannot change anything here", call_header(c, "Origin"));
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

void call_run_again(struct call *c)
{
	c->leader_until = 0;
	c->now = clock_now();
	run_route(c);
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
