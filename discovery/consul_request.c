/* consul_request: a call as an HTTP request, and what comes back as an answer or a sentence. */
#include "discovery/consul_internal.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>

#include "base/clock.h"
#include "base/codec.h"

/* A type whose only field is `items` stands for JSON that is no object; it is read and written as {"items":...}. */
#define BARE_BEGIN "{\"items\":"
#define BARE_END   "}"

static bool is_bare(const struct type *t)
{
	return t->n == 1 && str_eq(t->fields[0].json, "items");
}

/* ---- the request ---- */

/* A slash stays one: Consul takes the rest of the path as the name. */
static void put_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~/", *s))
			buf_putc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

/* Consul's HTTP server answers dot segments with a redirect to another path, even when they are escaped. */
static bool has_dot_segment(const char *s)
{
	for (; s; s = strchr(s, '/'), s = s ? s + 1 : NULL) {
		size_t n = strcspn(s, "/");

		if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return true;
	}
	return false;
}

static void put_parameter(struct buf *b, const char *name, const char *value)
{
	buf_putc(b, strchr(b->data, '?') ? '&' : '?');
	put_escaped(b, name);
	if (str_empty(value))
		return;
	buf_putc(b, '=');
	put_escaped(b, value);
}

static void put_index(struct buf *b, const struct consul_args *args, int64_t wait)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)args->index);
	put_parameter(b, "index", text);
	snprintf(text, sizeof(text), "%lldms", (long long)(wait / MILLI));
	put_parameter(b, "wait", text);
}

static int make_url(struct consul_request *r, struct consul *c, const struct consul_args *args, int64_t wait, struct err *e)
{
	const char *path = r->op->path, *star = strchr(path, '*'), *name = args->name ? args->name : "";
	const char *dc = args->datacenter ? args->datacenter : c->datacenter;
	struct buf b = BUF_INIT;

	if (star && !*name && !str_starts(path, "/v1/kv/"))
		return err_set(e, -EINVAL, "%s: the name is missing", r->what);
	if (star && has_dot_segment(name))
		return err_set(e, -EINVAL, "%s: a name with \".\" or \"..\" between slashes cannot be asked for", r->what);
	buf_printf(&b, "%s%.*s", c->url, star ? (int)(star - path) : (int)strlen(path), path);
	if (star) {
		put_escaped(&b, name);
		buf_puts(&b, star + 1);
	}
	if (!str_empty(dc) && !str_starts(path, "/v1/agent/"))
		put_parameter(&b, "dc", dc);
	for (const char *const *q = args->query; q && q[0]; q += 2)
		put_parameter(&b, q[0], q[1]);
	if (args->stale || args->consistent)
		put_parameter(&b, args->stale ? "stale" : "consistent", NULL);
	if (args->index)
		put_index(&b, args, wait);
	r->url = buf_take(&b);
	return 0;
}

/* The object as JSON. A bare one loses what is_bare stands for, so the body may begin behind the buffer's begin. */
static void make_body(struct consul_request *r, const struct consul_args *args)
{
	const struct type *t = r->op->request;

	r->fetch.body = args->body;
	r->fetch.body_len = args->body_len;
	if (!t)
		return;
	assert(args->object);
	codec_to_json(&r->body, t, args->object, CODEC_PEER, 0, 0);
	r->fetch.body = r->body.data;
	r->fetch.body_len = r->body.len;
	if (is_bare(t)) {
		r->fetch.body = r->body.data + strlen(BARE_BEGIN);
		r->fetch.body_len = r->body.len - strlen(BARE_BEGIN) - strlen(BARE_END);
	}
}

static int check_limits(const struct consul_request *r, const struct consul_args *args, struct err *e)
{
	const struct consul_txn_request *txn = args->object;
	size_t limit = r->op == &consul_txn ? CONSUL_TXN_MAX_BODY : r->op == &consul_kv_put ? CONSUL_VALUE_MAX : SIZE_MAX;

	if (r->op == &consul_txn && txn->items.n > CONSUL_TXN_MAX_OPS)
		return err_set(e, -E2BIG, "%s: it has %u operations, %d are Consul's limit", r->what, txn->items.n, CONSUL_TXN_MAX_OPS);
	if (r->fetch.body_len > limit)
		return err_set(e, -E2BIG, "%s: its %zu bytes are more than Consul's limit of %zu", r->what, r->fetch.body_len, limit);
	return 0;
}

int consul_request_init(
    struct consul_request *r, struct consul *c, const struct consul_op *op, const struct consul_args *args, struct err *e)
{
	static const struct consul_args none;
	cleanup_err struct err why = ERR_INIT;
	char *token = NULL;
	int rc;

	memset(r, 0, sizeof(*r));
	args = args ? args : &none;
	r->op = op;
	r->what = args->name ? xasprintf("Consul %s, %s \"%s\"", c->shown, op->words, args->name)
			     : xasprintf("Consul %s, %s", c->shown, op->words);
	int64_t wait = args->wait ? args->wait : 5 * MINUTE, timeout = args->timeout ? args->timeout : 10 * SECOND;

	rc = make_url(r, c, args, wait, e);
	if (rc < 0)
		return rc;
	if (consul_token(c, &token, &why) < 0)
		return err_set(e, why.code, "%s: %s", r->what, err_str(&why));
	if (token)
		r->token_header = xasprintf("X-Consul-Token: %s", token);
	consul_wipe(token);
	r->headers[0] = r->token_header;
	make_body(r, args);
	r->fetch.method = op->method;
	r->fetch.url = r->url;
	r->fetch.unix_socket = c->unix_socket;
	r->fetch.headers = r->headers;
	r->fetch.timeout = args->index ? wait + wait / 16 + timeout : timeout;
	r->fetch.max_body = args->max_body;
	r->fetch.tls = &c->tls;
	return check_limits(r, args, e);
}

void consul_request_free(struct consul_request *r)
{
	consul_wipe(r->token_header);
	buf_free(&r->body);
	free(r->url);
	free(r->what);
	memset(r, 0, sizeof(*r));
}

/* ---- the answer ---- */

/* What Consul means by a status and, where that says too little, by its words. First match counts. */
static const struct {
	int status; /* 0 = any of 5xx */
	const char *words; /* part of the body; NULL = any */
	int code;
	bool certain; /* nothing was done */
} meanings[] = {
    {400, NULL, -EINVAL, true},
    {401, NULL, -EACCES, true},
    {403, NULL, -EACCES, true},
    {404, NULL, -ENOENT, true},
    {405, NULL, -ENOSYS, true},
    {413, NULL, -E2BIG, true},
    {429, NULL, -EBUSY, true},
    {0, "Permission denied", -EACCES, true},
    {0, "ACL not found", -EACCES, true},
    {0, "Unknown service", -ENOENT, true},
    {0, "Unknown check", -ENOENT, true},
    {0, "does not have associated TTL", -ENOENT, true},
    {0, "does not exist. Ensure that the check ID is passed", -ENOENT, true},
    {0, "invalid session", -ENOENT, true},
    {0, "invalid check ID", -EINVAL, true},
    {0, "Missing check '", -ENOENT, true},
    {0, "is in critical state", -EINVAL, true},
    {0, "Missing node registration", -ENOENT, true},
    {0, "No cluster leader", -EAGAIN, true},
    {0, "No known Consul servers", -EAGAIN, true},
    {0, "rpc error getting client", -EAGAIN, true},
    {0, "No path to datacenter", -EAGAIN, true},
    {0, "leadership lost", -EAGAIN, false},
    {0, "not the leader", -EAGAIN, false},
    {503, NULL, -EAGAIN, false},
};

/* Text of a peer for a sentence: one line, of a bounded length. */
static void put_text(struct buf *b, const char *s, size_t n)
{
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	for (size_t i = 0; i < MIN(n, 300); i++)
		buf_putc(b, iscntrl((unsigned char)s[i]) ? ' ' : s[i]);
	if (n > 300)
		buf_puts(b, " ...");
}

static bool means(size_t i, const struct consul_answer *out)
{
	if (meanings[i].status ? meanings[i].status != out->status : out->status < 500)
		return false;
	return !meanings[i].words || strcasestr(out->raw, meanings[i].words);
}

static void refuse(const struct consul_request *r, struct consul_answer *out)
{
	cleanup_buf struct buf text = BUF_INIT;
	size_t i = 0;

	while (i < ARRAY_LEN(meanings) && !means(i, out))
		i++;
	bool known = i < ARRAY_LEN(meanings);

	put_text(&text, out->raw, out->raw_len);
	out->uncertain = !str_eq(r->op->method, "GET") && !(known && meanings[i].certain);
	err_set(&out->err, known ? meanings[i].code : -EIO, "%s: %d %s", r->what, out->status, text.len ? text.data : "");
}

static void decode(const struct consul_request *r, struct consul_answer *out)
{
	const struct type *t = r->op->answer;
	cleanup_err struct err why = ERR_INIT;
	struct buf text = BUF_INIT;
	int rc;

	if (is_bare(t))
		buf_puts(&text, BARE_BEGIN);
	buf_put(&text, out->raw, out->raw_len);
	if (is_bare(t))
		buf_puts(&text, BARE_END);
	out->arena = arena_new();
	out->type = t;
	out->object = arena_alloc(out->arena, t->size);
	rc = codec_from_text(t, out->object, text.len ? text.data : "", text.len, out->arena, &why);
	buf_free(&text);
	if (rc == 0)
		return;
	err_set(&out->err, -EIO, "%s: the answer cannot be read: %s", r->what, err_str(&why));
	out->uncertain = !str_eq(r->op->method, "GET");
	out->object = NULL;
}

/* A transaction that was refused for want of rights says so inside an answer that else means "the checks did not hold". */
static void look_into_txn(const struct consul_request *r, struct consul_answer *out)
{
	const struct consul_txn_answer *txn = out->object;

	OBJS_EACH (&txn->errors, const struct consul_txn_error, error) {
		if (!error->what || !strcasestr(error->what, "Permission denied"))
			continue;
		err_set(&out->err, -EACCES, "%s: operation %lld: %s", r->what, (long long)error->op_index, error->what);
		out->object = NULL;
		return;
	}
}

static void read_headers(const struct fetch_answer *in, struct consul_answer *out)
{
	char text[32];

	out->status = in->status;
	if (fetch_header(&in->headers, "X-Consul-Index", text, sizeof(text)))
		out->index = MAX(in->index, 1);
	out->known_leader = fetch_header(&in->headers, "X-Consul-KnownLeader", text, sizeof(text)) && str_eq(text, "true");
	if (fetch_header(&in->headers, "X-Consul-LastContact", text, sizeof(text)))
		out->last_contact = (int64_t)MIN(strtoull(text, NULL, 10), INT32_MAX) * MILLI;
	out->filtered =
	    fetch_header(&in->headers, "X-Consul-Results-Filtered-By-ACLs", text, sizeof(text)) && str_eq(text, "true");
}

static void judge(const struct consul_request *r, const struct fetch_answer *in, struct consul_answer *out)
{
	bool is_txn = r->op->answer == &type_consul_txn_answer;
	size_t url = strlen(r->url);

	if (in->err.code) {
		const char *why = err_str(&in->err);

		if (strncmp(why, r->url, url) == 0 && str_starts(why + url, ": "))
			why += url + 2;
		err_set(&out->err, in->err.code, "%s: %s", r->what, why);
		out->uncertain = in->sent && !str_eq(r->op->method, "GET");
		return;
	}
	if (r->op->absence && (in->status == 404 || (in->status == 200 && str_eq(out->raw, "null"))))
		return;
	if (in->status / 100 != 2 && !(is_txn && in->status == 409)) {
		refuse(r, out);
		return;
	}
	if (r->op->answer)
		decode(r, out);
	if (is_txn && out->object)
		look_into_txn(r, out);
}

static void count(struct consul *c, const struct consul_answer *answer)
{
	struct consul_stats *s = &c->stats;

	pthread_mutex_lock(&c->lock);
	s->calls++;
	if (answer->err.code) {
		s->failures++;
		s->last_failure = clock_now();
		snprintf(s->last_error, sizeof(s->last_error), "%s", err_str(&answer->err));
	} else {
		s->last_answer = clock_now();
	}
	pthread_mutex_unlock(&c->lock);
}

void consul_request_judge(
    struct consul *c, const struct consul_request *r, struct fetch_answer *in, struct consul_answer *out)
{
	memset(out, 0, sizeof(*out));
	out->raw = in->body.len ? in->body.data : "";
	out->raw_len = in->body.len;
	read_headers(in, out);
	judge(r, in, out);
	count(c, out);
}

/* ---- transactions ---- */

size_t consul_txn_cost(const struct consul_txn_kv *kv)
{
	struct consul_txn_kv rest = *kv;
	struct consul_txn_op op = {.kv = &rest};
	cleanup_buf struct buf b = BUF_INIT;

	rest.value = (struct bytes){0};
	codec_to_json(&b, &type_consul_txn_op, &op, CODEC_PEER, 0, 0);
	/* With a value that is not empty the codec writes "Value":"base64" where it wrote nothing, or "". */
	size_t value = (kv->value.n + 2) / 3 * 4, key = MODEL_HAS(consul_txn_kv, kv, value) ? 0 : strlen(",\"Value\":\"\"");

	return b.len + (kv->value.n ? key + value : 0) + 1;
}

struct consul_txn_kv *consul_txn_add(struct arena *a, struct consul_txn_request *txn, const char *verb, const char *key)
{
	struct consul_txn_op *op = MODEL_NEW(a, consul_txn_op);
	struct consul_txn_kv *kv = MODEL_NEW(a, consul_txn_kv);

	op->kv = kv;
	MODEL_SET(consul_txn_kv, kv, verb, arena_strdup(a, verb));
	MODEL_SET(consul_txn_kv, kv, key, arena_strdup(a, key));
	objs_push(a, &txn->items, op);
	return kv;
}
