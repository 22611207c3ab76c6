#include "packaging/scale-in/node_link.h"

#include <errno.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/codec.h"
#include "discovery/fetch.h"
#include "packaging/scale-in/provider.h"

#define TIMEOUT (10 * SECOND)

struct node_link {
	const struct settings *settings;
	struct fetch_channel *channel;
	char *id;
};

struct node_link *node_link_new(const struct settings *s)
{
	struct node_link *n = xcalloc(1, sizeof(*n));

	n->settings = s;
	n->channel = fetch_channel_new();
	return n;
}

void node_link_free(struct node_link *n)
{
	if (!n)
		return;
	fetch_channel_free(n->channel);
	free(n->id);
	free(n);
}

static int ask(struct node_link *n, const char *path, const struct buf *body, struct buf *out, struct err *e)
{
	const struct settings *s = n->settings;
	size_t len = strlen(s->agent.address);
	cleanup_free char *token = NULL, *line = NULL;
	cleanup_free char *url = xasprintf("%.*s%s", (int)(len - (len && s->agent.address[len - 1] == '/')), s->agent.address, path);
	const char *headers[2] = {NULL};
	struct fetch_answer answer;
	struct fetch_tls tls;
	int rc = 0;

	peer_tls_of(&s->agent.tls, &tls);
	if (s->agent.token_file && (rc = secret_read(s->agent.token_file, &token, e)) < 0)
		return rc;
	if (token)
		headers[0] = line = xasprintf("X-Nomad-Token: %s", token);
	const struct fetch_request r = {.method = body ? "PUT" : "GET",
	    .url = url,
	    .headers = headers,
	    .body = body ? body->data : NULL,
	    .body_len = body ? body->len : 0,
	    .timeout = TIMEOUT,
	    .tls = &tls};

	rc = fetch_channel_do(n->channel, &r, &answer);
	if (line) {
		explicit_bzero(line, strlen(line));
		explicit_bzero(token, strlen(token));
	}
	if (rc < 0)
		err_set(e, rc, "drover agent: %s", err_str(&answer.err));
	else if (answer.status / 100 != 2)
		rc = err_set(e, answer.status == 403 ? -EACCES : -EIO, "drover agent: %s answers with status %d: %.*s", path, answer.status,
		    (int)MIN(answer.body.len, 300u), str_or(answer.body.data, ""));
	else if (out)
		buf_put(out, str_or(answer.body.data, ""), answer.body.len);
	fetch_answer_free(&answer);
	return MIN(rc, 0);
}

int node_link_find(struct node_link *n, const char **id, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_error_t where;
	const char *found = NULL;
	int rc = ask(n, "/v1/agent/self", NULL, &text, e);

	if (rc < 0)
		return rc;
	json_t *j = json_read(str_or(text.data, ""), text.len, 0, &where);

	if (!j || json_unpack(j, "{s:{s:{s:s}}}", "stats", "client", "node_id", &found) < 0 || str_empty(found)) {
		rc = err_set(e, -ENODEV, "drover agent: the agent at %s is no client: it has no node to drain", n->settings->agent.address);
	} else {
		free(n->id);
		n->id = xstrdup(found);
		*id = n->id;
	}
	json_decref(j);
	return rc;
}

static int read_object(struct node_link *n, const char *path, const struct type *t, void *obj, struct arena *a, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;
	int rc = ask(n, path, NULL, &text, e);

	if (rc < 0)
		return rc;
	rc = codec_from_text(t, obj, str_or(text.data, ""), text.len, a, e);
	return rc < 0 ? err_wrap(e, "drover agent: %s", path) : 0;
}

static const struct {
	const char *name;
	enum drain_status status;
} statuses[] = {
    {"", DRAIN_NONE}, {"draining", DRAIN_ACTIVE}, {"complete", DRAIN_DONE}, {"canceled", DRAIN_CANCELLED}};

int node_link_look(struct node_link *n, const char *id, struct drain_view *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct drain_answer *d = arena_alloc(a, sizeof(*d));
	struct drain_view v = {0};
	size_t i = 0;
	int rc = read_object(n, arena_printf(a, "/v1/node/%s/drain", id), &type_drain_answer, d, a, e);

	if (rc < 0)
		return rc;
	while (i < ARRAY_LEN(statuses) && !str_eq(statuses[i].name, d->status))
		i++;
	if (i == ARRAY_LEN(statuses))
		return err_set(e, -EINVAL, "drover agent: the drain's status is \"%s\", which is not known here", d->status);
	v.status = statuses[i].status;
	v.ours = str_eq(strmap_get(&d->meta, "set_by"), NODE_SET_BY);
	v.started_at = d->started_at;
	v.deadline = d->force_deadline;
	v.remaining = d->remaining;
	if (v.status == DRAIN_DONE) {
		struct node *now = arena_alloc(a, sizeof(*now));

		rc = read_object(n, arena_printf(a, "/v1/node/%s", id), &type_node, now, a, e);
		v.node_ready = str_eq(now->status, "ready");
		v.node_eligible = str_eq(now->scheduling_eligibility, "eligible");
	}
	if (rc >= 0)
		*out = v;
	return rc;
}

static int put_drain(struct node_link *n, const char *id, struct drain_request *r, const char *reason, struct arena *a, struct err *e)
{
	cleanup_buf struct buf body = BUF_INIT;

	strmap_set(a, &r->meta, "message", reason);
	strmap_set(a, &r->meta, "set_by", NODE_SET_BY);
	codec_to_json(&body, &type_drain_request, r, CODEC_API, 0, 0);
	return ask(n, arena_printf(a, "/v1/node/%s/drain", id), &body, NULL, e);
}

int node_link_drain(struct node_link *n, const char *id, int64_t deadline, const char *reason, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct drain_request r = {0};
	struct drain_spec spec = {0};

	MODEL_SET(drain_spec, &spec, deadline, deadline ? MAX(deadline - clock_now(), SECOND) : 0);
	MODEL_SET(drain_spec, &spec, ignore_system_jobs, n->settings->drain.ignore_system_jobs);
	r.drain_spec = &spec;
	return put_drain(n, id, &r, reason, a, e);
}

int node_link_undrain(struct node_link *n, const char *id, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct drain_request r = {0};

	MODEL_SET(drain_request, &r, mark_eligible, true);
	return put_drain(n, id, &r, "the machine stays", a, e);
}
