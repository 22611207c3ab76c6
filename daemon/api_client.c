/*
 * api_client: what concerns one client: files, logs, statistics, restart, signal, collection. Asked of an agent that does
 * not have the allocation, a request is passed on to the node that has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <jansson.h>

#include "agent/files.h"
#include "base/codec.h"
#include "base/json.h"
#include "daemon/daemon.h"
#include "daemon/jwriter.h"
#include "daemon/logs.h"
#include "daemon/proxy.h"
#include "daemon/server.h"

#define BODY_MAX (256 * 1024) /* more of a file is streamed */

/* ---- who has it ---- */

static void pass_to_node(struct call *c, const struct node_entry *n)
{
	if (!n || str_empty(n->spec->http_addr))
		call_error(c, 404, "No path to node");
	else if (n->status == NODE_DOWN || n->status == NODE_DISCONNECTED)
		call_error(c, 404, "No path to node"); /* nobody hears it */
	else
		proxy_to(c, n->spec->http_addr);
}

/* Passes it on to the server that knows everything, unless that is this one or it comes from there. */
static bool pass_to_leader(struct call *c)
{
	const struct daemon *d = call_daemon(c);

	if (proxy_is_forwarded(c) || (d->server && server_leads(d->server)))
		return false;
	if (!d->server)
		proxy_to_server(c);
	else if (*server_leader(d->server) && !str_eq(server_leader(d->server), d->config->advertise_http))
		proxy_to(c, server_leader(d->server));
	else
		call_error(c, 500, "No cluster leader");
	return true;
}

/* True when this agent's client has the allocation; else the call is answered or passed on. */
bool client_has_alloc(struct call *c, const char *id, char **dir)
{
	struct daemon *d = call_daemon(c);
	cleanup_err struct err e = ERR_INIT;
	const struct alloc *a;
	struct uuid u;

	if (d->client && client_alloc_dir(d->client, id, dir, &e) >= 0)
		return true;
	if (str_empty(id)) {
		call_error(c, 400, "must provide a valid alloc id");
		return false;
	}
	if (uuid_parse(id, &u) < 0) {
		call_error(c, 500, "alloc lookup failed: index error: UUID must be 36 characters");
		return false;
	}
	a = d->server ? state_alloc(core_state(server_core(d->server)), u) : NULL;
	if (!a && pass_to_leader(c)) {
		/* it knows more */
	} else if (!a) {
		call_error(c, 404, "Unknown allocation \"%s\"", id);
	} else if (d->client && a->node && uuid_parse(client_node_id(d->client), &u) == 0 && uuid_eq(a->node->id, u)) {
		call_error(c, 404, "allocation \"%s\" is not on this node any more", id);
	} else {
		pass_to_node(c, a->node);
	}
	return false;
}

/* The same for requests about a node: no node_id means this one. unknown: the status for one that nobody knows. */
bool client_is_this_node(struct call *c, int unknown)
{
	struct daemon *d = call_daemon(c);
	const char *id = call_query(c, "node_id");
	const struct node_entry *n;
	struct uuid u;

	if (d->client && (str_empty(id) || str_eq(id, client_node_id(d->client))))
		return true;
	if (str_empty(id)) {
		call_error(c, 400, "this agent is no client; name a node by node_id=");
		return false;
	}
	if (uuid_parse(id, &u) < 0) {
		call_error(c, 500, "node lookup failed: index error: UUID must be 36 characters");
		return false;
	}
	n = d->server ? state_node(core_state(server_core(d->server)), u) : NULL;
	if (n)
		pass_to_node(c, n);
	else if (!pass_to_leader(c))
		call_error(c, unknown, "Unknown node %s", id);
	return false;
}

/* ---- files ---- */

static void get_ls(struct call *c)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *path = call_query(c, "path");

	if (!client_has_alloc(c, call_param(c, "id"), &dir))
		return;
	if (files_list(dir, str_empty(path) ? "/" : path, call_out(c), &e) < 0)
		call_error(c, 500, "%s", err_str(&e));
	else
		call_json(c, 200);
}

static void get_stat(struct call *c)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *path = call_query(c, "path");

	if (str_empty(path)) {
		call_error(c, 400, "must provide a file name");
		return;
	}
	if (!client_has_alloc(c, call_param(c, "id"), &dir))
		return;
	if (files_stat(dir, path, call_out(c), &e) < 0)
		call_error(c, 500, "%s", err_str(&e));
	else
		call_json(c, 200);
}

static void harden(struct call *c)
{
	call_set_header(c, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox");
	call_set_header(c, "X-Content-Type-Options", "nosniff");
	call_set_header(c, "X-Xss-Protection", "1; mode=block");
}

/* A range of a file as the answer's body; limit 0 = to the end. */
static void send_range(struct call *c, int fd, const char *dir, const char *path, int64_t offset, int64_t limit)
{
	struct buf *out = call_out(c);
	struct stat st;
	int64_t left;

	if (fstat(fd, &st) < 0) {
		call_error(c, 500, "%s: %s", path, strerror(errno));
		return;
	}
	left = MAX(0, st.st_size - offset);
	if (limit > 0)
		left = MIN(left, limit);
	if (left > BODY_MAX) {
		harden(c);
		logs_send_file(c, dir, path, offset, left);
		return;
	}
	while (left > 0) {
		char *to = buf_room(out, (size_t)left);
		ssize_t n = pread(fd, to, (size_t)left, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			call_error(c, 500, "%s: %s", path, strerror(errno));
			return;
		}
		if (n == 0)
			break;
		out->len += (size_t)n;
		left -= n;
		offset += n;
	}
	if (out->len)
		harden(c);
	call_body_as(c, 200, "text/plain; charset=utf-8");
}

static void send_file(struct call *c, int64_t offset, int64_t limit)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	cleanup_close int fd = -1;
	const char *path = call_query(c, "path");

	if (str_empty(path)) {
		call_error(c, 400, "must provide a file name");
		return;
	}
	if (!client_has_alloc(c, call_param(c, "id"), &dir))
		return;
	if (files_open(dir, path, &fd, &e) < 0)
		call_error(c, e.code == -EISDIR ? 400 : 500, "%s", err_str(&e));
	else
		send_range(c, fd, dir, path, offset, limit);
}

static void get_cat(struct call *c)
{
	send_file(c, 0, 0);
}

/* An integer of the query; answers 400 and returns negative for anything else. */
int call_query_int(struct call *c, const char *name, int64_t *out)
{
	const char *text = call_query(c, name);
	char *end;

	errno = 0;
	*out = strtoll(text ? text : "", &end, 10);
	if (!str_empty(text) && !errno && !*end && *out >= 0)
		return 0;
	call_error(c, 400, "error parsing %s: strconv.ParseInt: parsing \"%s\": invalid syntax", name, text ? text : "");
	return -EINVAL;
}

static void get_readat(struct call *c)
{
	int64_t offset, limit = 0;

	if (call_query_int(c, "offset", &offset) < 0)
		return;
	if (!str_empty(call_query(c, "limit")) && call_query_int(c, "limit", &limit) < 0)
		return;
	send_file(c, offset, limit);
}

/* ---- allocations ---- */

static void get_alloc_stats(struct call *c)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *id = call_param(c, "id");

	if (!client_has_alloc(c, id, &dir))
		return;
	if (client_alloc_stats(call_daemon(c)->client, id, call_out(c), &e) < 0)
		call_fail(c, &e);
	else
		call_json(c, 200);
}

struct task_request {
	const char *task, *signal;
	bool all_tasks;
};

/* {"TaskName": ..., "Task": ..., "Signal": ..., "AllTasks": ...}; an empty body names nothing. */
static int decode_task(struct call *c, struct task_request *out)
{
	json_error_t je = {0};
	json_t *root;
	struct value *v;
	const struct value *f;
	size_t n;
	const char *body = call_body(c, &n);

	*out = (struct task_request){0};
	if (!n)
		return 0;
	root = json_loadb(body, n, 0, &je);
	v = root ? value_from_json(call_arena(c), root) : NULL;
	json_decref(root);
	if (!v || v->kind != VAL_MAP) {
		call_error(c, 400, "the body is no JSON object: %s", v ? "" : je.text);
		return -EINVAL;
	}
	static const char *const names[] = {"TaskName", "Task"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((f = value_get(v, names[i])) && f->kind == VAL_STR && f->n)
			out->task = f->s;
	if ((f = value_get(v, "Signal")) && f->kind == VAL_STR)
		out->signal = f->s;
	if ((f = value_get(v, "AllTasks")) && f->kind == VAL_BOOL)
		out->all_tasks = f->b;
	return 0;
}

/* no_task: what is said when there is no task of that name. */
static void say_done(struct call *c, int rc, const struct err *e, const char *no_task)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	if (rc < 0) {
		call_error(c, rc == -EINVAL ? 400 : 500, "%s", rc == -ENOENT ? no_task : err_str(e));
		return;
	}
	jw_begin(&w, '{');
	jw_int(&w, "Index", 0);
	jw_end(&w, '}');
	call_json(c, 200);
}

static void put_restart(struct call *c)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *id = call_param(c, "id");
	struct task_request r;

	if (decode_task(c, &r) < 0 || !client_has_alloc(c, id, &dir))
		return;
	say_done(c, client_alloc_restart(call_daemon(c)->client, id, r.task, r.all_tasks, &e), &e,
	    arena_printf(call_arena(c), "Could not find task runner for task: %s", r.task ? r.task : ""));
}

static void put_signal(struct call *c)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *id = call_param(c, "id");
	struct task_request r;

	if (decode_task(c, &r) < 0 || !client_has_alloc(c, id, &dir))
		return;
	say_done(c, client_alloc_signal(call_daemon(c)->client, id, r.task, str_empty(r.signal) ? "SIGKILL" : r.signal, &e), &e,
	    "Task not found");
}

static void get_alloc_gc(struct call *c)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *id = call_param(c, "id");

	if (!client_has_alloc(c, id, &dir))
		return;
	if (client_alloc_gc(call_daemon(c)->client, id, &e) < 0)
		call_error(c, 500, "%s", err_str(&e));
	else
		call_none(c, 200);
}

/* ---- the node ---- */

static void get_stats(struct call *c)
{
	if (!client_is_this_node(c, 404))
		return;
	client_host_stats(call_daemon(c)->client, call_out(c));
	call_json(c, 200);
}

static void get_gc(struct call *c)
{
	if (!client_is_this_node(c, 500))
		return;
	client_gc_all(call_daemon(c)->client);
	call_none(c, 200);
}

static void no_such_resource(struct call *c)
{
	call_error(c, 404, "resource not found");
}

static void no_such_file_action(struct call *c)
{
	call_error(c, 404, "Invalid method");
}

const struct route routes_client[] = {
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/fs/ls/:id", get_ls, NULL, NULL, "files of an allocation: path="},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/fs/stat/:id", get_stat, NULL, NULL, "one file: path="},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/fs/cat/:id", get_cat, NULL, NULL, "a file's content: path="},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/fs/readat/:id", get_readat, NULL, NULL, "a part of a file: path=, offset=, limit="},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/fs/stream/:id", logs_get_stream, NULL, NULL, "a file in frames: path=, offset=, origin=, lines=, follow="},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/fs/logs/:id", logs_get, NULL, NULL,
        "output of a task: task=, type=, offset=, origin=, lines=, follow=, plain="},
    {ROUTE_GET, "/v1/client/stats", get_stats, NULL, NULL, "cpu, memory and disks of a node: node_id="},
    {ROUTE_GET | ROUTE_PUT, "/v1/client/gc", get_gc, get_gc, NULL, "remove what ended allocations left: node_id="},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/allocation/:id/stats", get_alloc_stats, NULL, NULL, "use of cpu and memory"},
    {ROUTE_GET | ROUTE_PUT | ROUTE_CLIENT, "/v1/client/allocation/:id/restart", put_restart, put_restart, NULL, "restart tasks in place"},
    {ROUTE_PUT | ROUTE_CLIENT, "/v1/client/allocation/:id/signal", NULL, put_signal, NULL, "send a signal to tasks"},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/allocation/:id/gc", get_alloc_gc, NULL, NULL, "remove what an ended allocation left"},
    {ROUTE_GET, "/v1/client/allocation/:id/:what", no_such_resource, NULL, NULL, "nothing else is below an allocation"},
    {ROUTE_GET, "/v1/client/fs/:what/:id", no_such_file_action, NULL, NULL, "nothing else can be done with files"},
    {.pattern = NULL},
};
