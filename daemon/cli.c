/* cli: requests of the command line. */
#include "daemon/cli.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>

#include "base/codec.h"
#include "daemon/gotmpl.h"

enum {
	MAX_ANSWER = 1 << 30, /* bytes: a list of a million allocations must come through */
};

/* ---- where and as whom ---- */

const char *cli_env(const char *name)
{
	static const char *const prefixes[] = {"DROVER_", "NOMAD_"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		cleanup_free char *key = xasprintf("%s%s", prefixes[i], name);
		const char *v = getenv(key);

		if (!str_empty(v))
			return v;
	}
	return NULL;
}

static const char *setting(const struct cmd_args *a, const char *flag, const char *env, const char *unset)
{
	const char *v = arg_str(a, flag, NULL);

	if (str_empty(v))
		v = cli_env(env);
	return v ? v : unset;
}

static bool is_on(const char *word)
{
	return word && !str_eq(word, "0") && !str_eq(word, "false");
}

int cli_open(struct cli *c, struct cmd_args *a)
{
	bool color = isatty(STDOUT_FILENO);
	size_t n;

	*c = (struct cli){.args = a, .arena = a->arena, .next_token = ""};
	c->address = setting(a, "address", "ADDR", "http://127.0.0.1:4646");
	c->region = setting(a, "region", "REGION", NULL);
	c->ns = setting(a, "namespace", "NAMESPACE", NULL);
	c->token = setting(a, "token", "TOKEN", NULL);
	c->tls = (struct fetch_tls){
	    .ca_file = setting(a, "ca-cert", "CACERT", NULL),
	    .ca_path = setting(a, "ca-path", "CAPATH", NULL),
	    .cert_file = setting(a, "client-cert", "CLIENT_CERT", NULL),
	    .key_file = setting(a, "client-key", "CLIENT_KEY", NULL),
	    .server_name = setting(a, "tls-server-name", "TLS_SERVER_NAME", NULL),
	    .skip_verify = arg_bool(a, "tls-skip-verify") || arg_bool(a, "insecure") || is_on(cli_env("SKIP_VERIFY")),
	};
	if (arg_bool(a, "force-color") || is_on(cli_env("CLI_FORCE_COLOR")))
		color = true;
	c->color = color && !arg_bool(a, "no-color") && !is_on(cli_env("CLI_NO_COLOR"));
	if (str_starts(c->address, "unix://")) {
		c->unix_socket = c->address + strlen("unix://");
		c->address = "http://localhost";
	}
	if (!str_starts(c->address, "http://") && !str_starts(c->address, "https://")) {
		fprintf(stderr, "The address \"%s\" is none: expected http://host:port, https://host:port or unix://path "
		                "(-address, DROVER_ADDR, NOMAD_ADDR)\n", c->address);
		return -EINVAL;
	}
	for (n = strlen(c->address); n && c->address[n - 1] == '/'; n--)
		;
	c->address = arena_strndup(c->arena, c->address, n);
	return 0;
}

const char *cli_escape(struct cli *c, const char *s)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (; *s; s++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *s))
			buf_putc(&b, *s);
		else
			buf_printf(&b, "%%%02X", (unsigned char)*s);
	}
	return arena_strdup(c->arena, b.data ? b.data : "");
}

const char *cli_query(struct cli *c, const struct query_flag *flags)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (const struct query_flag *f = flags; f->flag; f++)
		if (arg_given(c->args, f->flag))
			buf_printf(&b, "%c%s=%s", b.len ? '&' : '?', f->name, cli_escape(c, arg_str(c->args, f->flag, "")));
	return arena_strdup(c->arena, b.data ? b.data : "");
}

/* ---- one request ---- */

struct ask {
	const char *method, *body;
	const char *url;
};

const char *cli_url(struct cli *c, const char *path)
{
	cleanup_buf struct buf b = BUF_INIT;
	char sep;

	buf_puts(&b, c->address);
	buf_puts(&b, path);
	sep = strchr(b.data, '?') ? '&' : '?';
	if (c->ns && !strstr(b.data, "namespace=")) {
		buf_printf(&b, "%cnamespace=%s", sep, cli_escape(c, c->ns));
		sep = '&';
	}
	if (c->region)
		buf_printf(&b, "%cregion=%s", sep, cli_escape(c, c->region));
	return arena_strdup(c->arena, b.data);
}

static const char *url_of(struct cli *c, const char *fmt, va_list ap)
{
	cleanup_buf struct buf b = BUF_INIT;

	buf_vprintf(&b, fmt, ap);
	return cli_url(c, b.data);
}

/* `Put "url"`: the method as Go's client words it. */
static void put_what(struct buf *b, const struct ask *q)
{
	buf_putc(b, q->method[0]);
	for (const char *m = q->method + 1; *m; m++)
		buf_putc(b, (char)(*m + 32));
	buf_printf(b, " \"%s\"", q->url);
}

static int transport_error(const struct cli *c, const struct ask *q, const struct fetch_answer *answer, struct err *e)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *host = strstr(c->address, "://") + 3;

	put_what(&b, q);
	if (answer->err.code == -ECONNREFUSED)
		buf_printf(&b, ": dial %s %s: connect: connection refused", c->unix_socket ? "unix" : "tcp",
		    c->unix_socket ? c->unix_socket : host);
	else
		buf_printf(&b, ": %s", err_str(&answer->err));
	return err_set(e, answer->err.code, "%s", b.data);
}

static int refused(int status, const char *body, size_t n, struct err *e)
{
	if (status == 413)
		return err_set(e, -EREMOTEIO, "Unexpected response code: 413 (the request is larger than the agent takes: limits { http_max_body })");
	return err_set(e, status == 404 ? -ENOENT : -EREMOTEIO, "Unexpected response code: %d (%.*s)", status, (int)n,
	    n ? body : "");
}

/* headers: room for three; they must outlive the request. */
static struct fetch_request request(struct cli *c, const struct ask *q, const char **headers)
{
	headers[0] = "Accept-Encoding: identity";
	headers[1] = c->token ? arena_printf(c->arena, "X-Nomad-Token: %s", c->token) : NULL;
	headers[2] = NULL;
	return (struct fetch_request){
	    .method = q->method,
	    .url = q->url,
	    .unix_socket = c->unix_socket,
	    .headers = headers,
	    .body = q->body,
	    .body_len = q->body ? strlen(q->body) : 0,
	    .timeout = 15 * MINUTE, /* blocking queries wait for minutes */
	    .max_body = MAX_ANSWER,
	    .tls = &c->tls,
	};
}

/* What the answer comes to, its figures kept. */
static int judge(struct cli *c, const struct ask *q, const struct fetch_answer *answer, struct err *e)
{
	char next_token[1024];

	if (answer->err.code)
		return transport_error(c, q, answer, e);
	c->status = answer->status;
	c->index = answer->index;
	fetch_header(&answer->headers, "X-Nomad-NextToken", next_token, sizeof(next_token));
	c->next_token = arena_strdup(c->arena, next_token);
	if (answer->status < 200 || answer->status > 299)
		return refused(answer->status, answer->body.data, answer->body.len, e);
	return 0;
}

/* Of the process: a command asks one thing after the other, on one connection. */
static void perform(const struct fetch_request *r, struct fetch_answer *answer)
{
	static struct fetch_channel *channel;

	if (!channel)
		channel = fetch_channel_new();
	fetch_channel_do(channel, r, answer);
}

/* Whether servers refuse to answer a read because they cannot tell who leads: then they still tell what they knew last. */
static bool may_be_stale(const struct ask *q, const struct fetch_answer *answer)
{
	const char *text = answer->body.len ? answer->body.data : "";

	return str_eq(q->method, "GET") && !strstr(q->url, "stale") &&
	    ((answer->status == 503 && strstr(text, "?stale")) || (answer->status == 500 && str_starts(text, "No cluster leader")));
}

/* When that is not answered either, the refusal stands. */
static void ask_stale(struct cli *c, const struct ask *q, struct fetch_answer *answer)
{
	const char *headers[3], *url = arena_printf(c->arena, "%s%cstale=true", q->url, strchr(q->url, '?') ? '&' : '?');
	const struct ask again = {.method = q->method, .url = url};
	struct fetch_request r = request(c, &again, headers);
	struct fetch_answer stale = {0};
	char age[32];

	perform(&r, &stale);
	if (stale.err.code || stale.status != 200) {
		fetch_answer_free(&stale);
		return;
	}
	fetch_header(&stale.headers, "X-Nomad-LastContact", age, sizeof(age));
	if (!c->warned)
		fprintf(stderr, "Warning: this is as a server knew it %.1f s ago, and may be different now: %.*s\n", strtod(age, NULL) / 1000,
		    (int)answer->body.len, answer->body.data);
	c->warned = true;
	fetch_answer_free(answer);
	*answer = stale;
}

static int ask(struct cli *c, const struct ask *q, struct fetch_answer *answer, struct err *e)
{
	const char *headers[3];
	struct fetch_request r = request(c, q, headers);

	perform(&r, answer);
	if (!answer->err.code && may_be_stale(q, answer))
		ask_stale(c, q, answer);
	return judge(c, q, answer, e);
}

static int not_json(const struct ask *q, const json_error_t *je, struct err *e)
{
	cleanup_buf struct buf b = BUF_INIT;

	put_what(&b, q);
	return err_set(e, -EPROTO, "%s: the answer is not the JSON that was expected: %s (is there a drover or Nomad agent?)",
	    b.data, je->text);
}

static int decode(struct cli *c, const struct ask *q, const struct buf *body, const struct type *t, void *obj,
    struct err *e)
{
	json_error_t je;
	json_t *j = json_loadb(body->data ? body->data : "", body->len, JSON_DECODE_ANY, &je);
	int rc = 0;

	if (!j)
		return not_json(q, &je, e);
	if (!t)
		*(struct value **)obj = value_from_json(c->arena, j);
	else if (!json_is_null(j))
		rc = codec_from_json(t, obj, j, c->arena, e);
	json_decref(j);
	return rc;
}

int cli_get(struct cli *c, const struct type *t, void *obj, struct err *e, const char *path, ...)
{
	struct fetch_answer answer = {0};
	struct ask q = {.method = "GET"};
	va_list ap;
	int rc;

	va_start(ap, path);
	q.url = url_of(c, path, ap);
	va_end(ap);
	rc = ask(c, &q, &answer, e);
	if (rc == 0)
		rc = decode(c, &q, &answer.body, t, obj, e);
	fetch_answer_free(&answer);
	return rc;
}

int cli_get_list(struct cli *c, const struct type *t, struct objs *out, struct err *e, const char *path, ...)
{
	struct fetch_answer answer = {0};
	struct ask q = {.method = "GET"};
	struct objs list = {0};
	json_error_t je = {.text = "a list was expected"};
	json_t *j = NULL, *item;
	size_t i;
	va_list ap;
	int rc;

	va_start(ap, path);
	q.url = url_of(c, path, ap);
	va_end(ap);
	rc = ask(c, &q, &answer, e);
	if (rc == 0) {
		j = json_loadb(answer.body.data ? answer.body.data : "", answer.body.len, JSON_DECODE_ANY, &je);
		if (!j || !(json_is_array(j) || json_is_null(j)))
			rc = not_json(&q, &je, e);
	}
	if (rc == 0 && json_is_array(j)) {
		json_array_foreach(j, i, item) {
			void *obj = arena_alloc(c->arena, t->size);

			rc = codec_from_json(t, obj, item, c->arena, e);
			if (rc < 0)
				break;
			objs_push(c->arena, &list, obj);
		}
	}
	json_decref(j);
	fetch_answer_free(&answer);
	if (rc == 0)
		*out = list;
	return rc;
}

int cli_get_value(struct cli *c, struct value **out, struct err *e, const char *path, ...)
{
	struct fetch_answer answer = {0};
	struct ask q = {.method = "GET"};
	va_list ap;
	int rc;

	va_start(ap, path);
	q.url = url_of(c, path, ap);
	va_end(ap);
	rc = ask(c, &q, &answer, e);
	if (rc == 0)
		rc = decode(c, &q, &answer.body, NULL, out, e);
	fetch_answer_free(&answer);
	return rc;
}

int cli_get_text(struct cli *c, const char **out, size_t *n, struct err *e, const char *path, ...)
{
	struct fetch_answer answer = {0};
	struct ask q = {.method = "GET"};
	va_list ap;
	int rc;

	va_start(ap, path);
	q.url = url_of(c, path, ap);
	va_end(ap);
	rc = ask(c, &q, &answer, e);
	if (rc == 0) {
		*n = answer.body.len;
		*out = arena_strndup(c->arena, answer.body.data ? answer.body.data : "", answer.body.len);
	}
	fetch_answer_free(&answer);
	return rc;
}

static int send_text(struct cli *c, const struct ask *q, const struct type *out_type, void *out, struct err *e)
{
	struct fetch_answer answer = {0};
	int rc = ask(c, q, &answer, e);

	if (rc == 0 && out)
		rc = decode(c, q, &answer.body, out_type, out, e);
	fetch_answer_free(&answer);
	return rc;
}

int cli_send_text(struct cli *c, const char *method, const char *body, const struct type *out_type, void *out,
    struct err *e, const char *path, ...)
{
	struct ask q = {.method = method, .body = body};
	va_list ap;

	va_start(ap, path);
	q.url = url_of(c, path, ap);
	va_end(ap);
	return send_text(c, &q, out_type, out, e);
}

int cli_send(struct cli *c, const char *method, const struct type *in_type, const void *in, const struct type *out_type,
    void *out, struct err *e, const char *path, ...)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct ask q = {.method = method};
	va_list ap;

	va_start(ap, path);
	q.url = url_of(c, path, ap);
	va_end(ap);
	if (in) {
		codec_to_json(&body, in_type, in, CODEC_PARSED, 0, 0);
		q.body = body.data;
	}
	return send_text(c, &q, out_type, out, e);
}

int cli_raw(struct cli *c, struct cli_raw *raw, struct err *e)
{
	const struct ask q = {.method = raw->method, .url = raw->url, .body = raw->body};
	const char **headers = arena_alloc(c->arena, (3 + raw->headers->n) * sizeof(*headers));
	struct fetch_request r = request(c, &q, headers);
	struct fetch_answer answer;
	uint32_t n = 0;
	int rc = 0;

	while (headers[n])
		n++;
	for (uint32_t i = 0; i < raw->headers->n; i++)
		headers[n + i] = raw->headers->v[i];
	perform(&r, &answer);
	if (answer.err.code) {
		rc = transport_error(c, &q, &answer, e);
	} else {
		raw->status = answer.status;
		raw->answer_head = arena_strdup(c->arena, answer.headers.data ? answer.headers.data : "");
		raw->answer_len = answer.body.len;
		raw->answer = arena_copy(c->arena, answer.body.data ? answer.body.data : "", answer.body.len);
	}
	fetch_answer_free(&answer);
	return rc;
}

/* ---- streams ---- */

struct streams {
	struct cli *cli;
	struct event_base *base;
	size_t left;
	int rc;
	struct err *e;
};
struct one_stream {
	struct streams *all;
	const struct cli_stream *s;
	struct ask q;
};

static void on_piece(void *arg, const void *p, size_t n)
{
	struct one_stream *o = arg;

	if (o->all->rc == 0 && (o->all->rc = o->s->fn(o->s->arg, p, n)) < 0)
		event_base_loopbreak(o->all->base);
}

static void on_end(void *arg, struct fetch_answer *answer)
{
	struct one_stream *o = arg;
	struct streams *all = o->all;
	int rc = judge(all->cli, &o->q, answer, all->e);

	if (rc < 0 && all->rc == 0)
		all->rc = rc;
	if (!--all->left || all->rc < 0)
		event_base_loopbreak(all->base);
}

int cli_streams(struct cli *c, struct cli_stream *s, size_t n, struct err *e)
{
	struct streams all = {.cli = c, .base = event_base_new(), .left = n, .e = e};
	struct fetcher *f = all.base ? fetcher_new(all.base) : NULL;
	struct one_stream *o = arena_alloc(c->arena, n * sizeof(*o));

	if (!f)
		die("no event loop");
	for (size_t i = 0; i < n; i++) {
		struct fetch_request r;
		const char *headers[3];

		o[i] = (struct one_stream){.all = &all, .s = &s[i], .q = {.method = "GET", .url = cli_url(c, s[i].path)}};
		r = request(c, &o[i].q, headers);
		r.timeout = NEVER;
		r.idle_timeout = s[i].beats ? 30 * SECOND : 0;
		r.on_data = on_piece;
		r.only_success = true;
		fetch_start(f, &r, on_end, &o[i]);
	}
	event_base_dispatch(all.base);
	fetcher_free(f);
	event_base_free(all.base);
	return all.rc;
}

/* ---- words ---- */

int cli_confirm(const char *question, const char *canceled, int *code)
{
	char answer[64] = "";

	printf("%s [y/N] ", question);
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		*answer = 0;
	answer[strcspn(answer, "\r\n")] = 0;
	if (str_eq(answer, "y"))
		return 0;
	*code = 0;
	if (!*answer || tolower((unsigned char)*answer) == 'n') {
		puts(canceled);
	} else {
		puts("For confirmation, an exact 'y' is required.");
		*code = tolower((unsigned char)*answer) == 'y' ? 0 : 1;
	}
	return -ECANCELED;
}

int cli_fail(const char *what, const struct err *e)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", what, err_str(e));
	return 1;
}

const char *cli_id_prefix(struct cli *c, const char *text)
{
	size_t digits = 0;

	if (strlen(text) == 1) {
		fprintf(stderr, "Identifier must contain at least two characters.\n");
		return NULL;
	}
	for (const char *p = text; *p; p++)
		digits += *p != '-';
	/* Half a byte cannot be looked up. */
	return arena_strndup(c->arena, text, strlen(text) - (digits & 1));
}

/* ---- -json and -t ---- */

bool cli_wants_format(const struct cli *c)
{
	return arg_bool(c->args, "json") || arg_given(c->args, "t");
}

static int print_format(struct cli *c, const struct value *v, const struct type *of, bool items)
{
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	const char *text = arg_str(c->args, "t", NULL);

	if (text && arg_bool(c->args, "json")) {
		fprintf(stderr, "Both json and template formatting are not allowed\n");
		return 1;
	}
	if (!text)
		value_print_json(&b, v, 4, 0);
	else if (gotmpl_run(text, v, of, items, c->arena, &b, &e) < 0)
		return cli_fail("Error formatting the data", &e);
	puts(b.data ? b.data : "");
	return 0;
}

bool cli_format_list(struct cli *c, const struct type *of, const struct value *list, int *code)
{
	if (!cli_wants_format(c))
		return false;
	*code = print_format(c, list, of, true);
	return true;
}

bool cli_format_value(struct cli *c, const struct value *v, int *code)
{
	return cli_format_list(c, NULL, v, code);
}

struct value *cli_value(struct cli *c, const struct type *t, const void *obj)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct value *v;
	json_t *j;

	codec_to_json(&b, t, obj, CODEC_API, 0, 0);
	j = json_loadb(b.data, b.len, 0, NULL);
	v = value_from_json(c->arena, j);
	json_decref(j);
	return v;
}

bool cli_format(struct cli *c, const struct type *t, const void *obj, int *code)
{
	if (!cli_wants_format(c))
		return false;
	*code = print_format(c, cli_value(c, t, obj), t, false);
	return true;
}
