/* The provider "http": a URL that says the wanted state, and two that are told. */
#include <errno.h>

#include "discovery/fetch.h"
#include "packaging/scale-in/provider.h"

struct http_provider {
	struct provider base;
	struct fetch_channel *channel;
};

static struct provider *http_open(const struct settings *s)
{
	struct http_provider *p = xcalloc(1, sizeof(*p));

	p->base = (struct provider){&provider_http, s};
	p->channel = fetch_channel_new();
	return &p->base;
}

static void http_close(struct provider *base)
{
	struct http_provider *p = CONTAINER_OF(base, struct http_provider, base);

	fetch_channel_free(p->channel);
	free(p);
}

static int http_machine(struct provider *p UNUSED, const char **out, struct err *e UNUSED)
{
	*out = "";
	return 0;
}

/* Any 2xx is a yes. 404 and 410 to what is told: nobody waits. */
static int ask(struct provider *base, const char *url, const struct buf *body, struct buf *out, struct err *e)
{
	struct http_provider *p = CONTAINER_OF(base, struct http_provider, base);
	const struct settings *s = base->settings;
	cleanup_free char *token = NULL, *line = NULL;
	const char *headers[2] = {NULL};
	struct fetch_answer answer;
	struct fetch_tls tls;
	int rc = 0;

	peer_tls_of(&s->http.tls, &tls);
	if (s->http.token_file && (rc = secret_read(s->http.token_file, &token, e)) < 0)
		return rc;
	if (token)
		headers[0] = line = xasprintf("Authorization: Bearer %s", token);
	const struct fetch_request r = {.method = body ? "POST" : "GET",
	    .url = url,
	    .headers = headers,
	    .body = body ? body->data : NULL,
	    .body_len = body ? body->len : 0,
	    .timeout = s->http.timeout,
	    .max_body = 65536,
	    .tls = &tls};

	rc = fetch_channel_do(p->channel, &r, &answer);
	if (line) {
		explicit_bzero(line, strlen(line));
		explicit_bzero(token, strlen(token));
	}
	if (rc < 0)
		err_set(e, rc, "%s", err_str(&answer.err));
	else if (answer.status / 100 != 2)
		rc = err_set(e, body && (answer.status == 404 || answer.status == 410) ? -ENOENT : -EAGAIN,
		    "%s answers with status %d", url, answer.status);
	else if (out)
		buf_put(out, str_or(answer.body.data, ""), answer.body.len);
	fetch_answer_free(&answer);
	return rc;
}

static int http_look(struct provider *p, struct wish *out, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;
	int rc = ask(p, p->settings->http.state, NULL, &text, e);

	if (rc < 0)
		return rc;
	rc = wish_parse(str_or(text.data, ""), out, e);
	return rc < 0 ? err_wrap(e, "%s", p->settings->http.state) : 0;
}

static int tell(struct provider *p, const char *url, const struct course *c, const char *event, int64_t remaining, struct err *e)
{
	cleanup_buf struct buf news = BUF_INIT;

	if (str_empty(url))
		return 0;
	provider_put_news(&news, c, event, remaining);
	return ask(p, url, &news, NULL, e);
}

static int http_extend(struct provider *p, const struct course *c, int64_t remaining, struct err *e)
{
	return tell(p, p->settings->http.heartbeat, c, "heartbeat", remaining, e);
}

static int http_release(struct provider *p, const struct course *c, struct err *e)
{
	return tell(p, p->settings->http.complete, c, "complete", 0, e);
}

const struct provider_ops provider_http = {"http", http_open, http_close, http_machine, http_look, http_extend, http_release};
