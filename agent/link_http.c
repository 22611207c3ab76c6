#include "agent/link_http.h"

#include <errno.h>

#include "base/codec.h"
#include "base/log.h"
#include "discovery/fetch.h"

enum { MAX_SERVERS = 64 };

struct request { /* one call under way */
	struct link_http *link;
	struct request *next;
	struct fetch *fetch;
	link_done_fn *done;
	void *arg;
	bool work;   /* the answer is a NodeWork, else a NodeHello */
	char server[128];
};

struct link_http {
	struct server_link link; /* first */
	struct fetcher *fetcher;
	struct request *requests;
	char *servers[MAX_SERVERS];
	uint32_t n_servers, present; /* the server in use */
	bool answered;
	char id[64], secret[64]; /* of the node, known from its registration on */
};

static struct link_http *of(struct server_link *l)
{
	return CONTAINER_OF(l, struct link_http, link);
}

/* ---- the list ---- */

static void add_server(struct link_http *h, const char *server)
{
	cleanup_free char *full =
	    strchr(server, ':') ? xstrdup(server) : xasprintf("%s:4646", server);

	for (uint32_t i = 0; i < h->n_servers; i++)
		if (str_eq(h->servers[i], full))
			return;
	if (h->n_servers < MAX_SERVERS)
		h->servers[h->n_servers++] = STEAL(full);
}

static void take_servers(struct link_http *h, const struct node_hello *hello)
{
	for (uint32_t i = 0; i < hello->servers.n; i++)
		add_server(h, hello->servers.v[i]);
}

void link_http_servers(const struct server_link *l, struct arena *a, struct strs *out)
{
	const struct link_http *h = CONTAINER_OF(l, struct link_http, link);

	for (uint32_t i = 0; i < h->n_servers; i++)
		strs_push(a, out, h->servers[(h->present + i) % h->n_servers]);
}

void link_http_set_servers(struct server_link *l, const struct strs *servers)
{
	struct link_http *h = of(l);

	for (uint32_t i = 0; i < h->n_servers; i++)
		free(h->servers[i]);
	h->n_servers = h->present = 0;
	h->answered = false;
	for (uint32_t i = 0; i < servers->n; i++)
		add_server(h, servers->v[i]);
}

/* The server did not answer, or answered for itself that it cannot: the next one is asked from now on. */
static void leave_server(struct link_http *h, const char *server, const char *why)
{
	if (!h->n_servers || !str_eq(h->servers[h->present], server))
		return; /* already left */
	h->answered = false;
	h->present = (h->present + 1) % h->n_servers;
	if (h->n_servers > 1)
		log_warn("client", "server %s: %s; going on with %s", server, why, h->servers[h->present]);
}

/* ---- answers ---- */

static void unlink_request(struct request *r)
{
	struct request **at = &r->link->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
}

static int decode(struct request *r, struct fetch_answer *a, struct arena *arena, struct link_answer *out)
{
	const struct type *t = r->work ? &type_node_work : &type_node_hello;
	void *obj = arena_alloc(arena, t->size);
	int e = codec_from_text(t, obj, a->body.len ? a->body.data : "", a->body.len, arena, &out->err);

	if (e < 0)
		return err_wrap(&out->err, "server %s", r->server);
	if (r->work) {
		out->work = obj;
	} else {
		out->hello = obj;
		take_servers(r->link, obj);
	}
	return 0;
}

static void on_answer(void *arg, struct fetch_answer *a)
{
	struct request *r = arg;
	struct link_http *h = r->link;
	cleanup_arena struct arena *arena = arena_new();
	struct link_answer out = {0};

	unlink_request(r);
	if (a->err.code) {
		err_set(&out.err, a->err.code, "%s", err_str(&a->err));
		leave_server(h, r->server, err_str(&a->err));
	} else if (a->status == 200) {
		h->answered = true;
		decode(r, a, arena, &out);
	} else {
		int code = a->status == 404 ? -ENOENT : a->status == 403 ? -EPERM : -EIO;

		err_set(&out.err, code, "server %s answered %d: %.*s", r->server, a->status, (int)MIN(a->body.len, 300),
		    a->body.len ? a->body.data : "");
		if (a->status >= 500)
			leave_server(h, r->server, err_str(&out.err));
	}
	r->done(r->arg, &out);
	err_clear(&out.err);
	free(r);
}

static void send_request(struct link_http *h, const char *method, const char *what, const struct buf *body, int64_t wait,
    link_done_fn *done, void *arg)
{
	struct request *r = xcalloc(1, sizeof(*r));
	const char *server = h->n_servers ? h->servers[h->present] : "";
	cleanup_free char *url = xasprintf("http://%s/v1/internal/node/%s/%s", server, h->id, what);
	cleanup_free char *token = xasprintf("X-Nomad-Token: %s", h->secret);
	const char *headers[] = {token, NULL};
	struct fetch_request fetch = {.method = method,
	    .url = url,
	    .headers = headers,
	    .body = body ? body->data : NULL,
	    .body_len = body ? body->len : 0,
	    .timeout = wait + 10 * SECOND,
	    .max_body = 256u << 20};

	r->link = h;
	r->done = done;
	r->arg = arg;
	r->work = str_starts(what, "work");
	snprintf(r->server, sizeof(r->server), "%s", server);
	r->next = h->requests;
	h->requests = r;
	r->fetch = fetch_start(h->fetcher, &fetch, on_answer, r);
	memset(token, 0, strlen(token));
}

/* ---- calls ---- */

static void http_register(struct server_link *l, const struct node *node, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct link_http *h = of(l);

	snprintf(h->id, sizeof(h->id), "%s", node->id);
	snprintf(h->secret, sizeof(h->secret), "%s", node->secret_id ? node->secret_id : "");
	codec_to_json(&body, &type_node, node, CODEC_PEER, 0, 0);
	send_request(h, "PUT", "register", &body, 0, done, arg);
}

static void http_heartbeat(struct server_link *l, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;

	buf_puts(&body, "{}");
	send_request(of(l), "PUT", "heartbeat", &body, 0, done, arg);
}

static void http_work(struct server_link *l, uint64_t index, int64_t wait, link_done_fn *done, void *arg)
{
	cleanup_free char *what =
	    xasprintf("work?index=%llu&wait=%lldms", (unsigned long long)index, (long long)(wait / MILLI));

	send_request(of(l), "GET", what, NULL, wait + wait / 16, done, arg);
}

static void http_update(struct server_link *l, const struct alloc_updates *u, link_done_fn *done, void *arg)
{
	cleanup_buf struct buf body = BUF_INIT;

	codec_to_json(&body, &type_alloc_updates, u, CODEC_PEER, 0, 0);
	send_request(of(l), "PUT", "allocs", &body, 0, done, arg);
}

static const char *http_server(struct server_link *l)
{
	struct link_http *h = of(l);

	return h->answered && h->n_servers ? h->servers[h->present] : NULL;
}

static void http_close(struct server_link *l)
{
	struct link_http *h = of(l);

	while (h->requests) {
		struct request *r = h->requests;

		h->requests = r->next;
		fetch_cancel(r->fetch);
		free(r);
	}
	for (uint32_t i = 0; i < h->n_servers; i++)
		free(h->servers[i]);
	free(h);
}

static const struct server_link_ops http_ops = {
    .node_register = http_register,
    .heartbeat = http_heartbeat,
    .work = http_work,
    .update = http_update,
    .server = http_server,
    .close = http_close,
};

struct server_link *link_http_new(struct fetcher *f, const struct strs *servers)
{
	struct link_http *h = xcalloc(1, sizeof(*h));

	h->link.ops = &http_ops;
	h->fetcher = f;
	for (uint32_t i = 0; i < servers->n; i++)
		add_server(h, servers->v[i]);
	return &h->link;
}
