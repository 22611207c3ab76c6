#include "discovery/fetch_request.h"

#include <errno.h>
#include <stdatomic.h>
#include <strings.h>

#define SIGNING_VERSION 0x075700 /* libcurl that signs all headers it is given */

/* ---- what comes in ---- */

static int status_of(const struct fetch *f)
{
	long status = 0;

	if (f->easy)
		f->curl->easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	n *= size;
	if (f->state == FETCH_CANCELLED)
		return n ? 0 : 1; /* anything but n ends the transfer */
	if (f->paused)
		return CURL_WRITEFUNC_PAUSE; /* the piece comes again */
	if (f->on_data && !(f->only_success && status_of(f) / 100 != 2)) {
		f->on_data(f->arg, p, n);
		return n;
	}
	if (f->answer.body.len + n > f->max_body) {
		err_set(&f->answer.err, -EFBIG, "%s: the answer is larger than %zu bytes", f->url, f->max_body);
		return 0;
	}
	buf_put(&f->answer.body, p, n);
	return n;
}

/* A header that is a decimal number and nothing else; 0 otherwise. */
static uint64_t number_of(const struct buf *headers, const char *name)
{
	char text[24], *end;

	if (!fetch_header(headers, name, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	uint64_t v = strtoull(text, &end, 10);

	return errno || *end ? 0 : v;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	n *= size;
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_clear(&f->answer.headers); /* what came before was a 1xx */
	if (f->answer.headers.len + n > FETCH_MAX_HEADERS) {
		err_set(&f->answer.err, -EFBIG, "%s: the headers of the answer are larger than %d bytes", f->url, FETCH_MAX_HEADERS);
		return 0;
	}
	buf_put(&f->answer.headers, p, n);
	return n;
}

bool fetch_header(const struct buf *headers, const char *name, char *out, size_t size)
{
	size_t len = strlen(name), from = 0;

	for (; from < headers->len; from++) {
		const char *p = headers->data + from;
		size_t n = strcspn(p, "\r\n");

		if (n > len && p[len] == ':' && strncasecmp(p, name, len) == 0) {
			p += len + 1;
			p += strspn(p, " \t");
			snprintf(out, size, "%.*s", (int)strcspn(p, "\r\n"), p);
			return true;
		}
		from += n;
	}
	*out = 0;
	return false;
}

/* ---- what goes out ---- */

/*
 * The body is given by a function and not as CURLOPT_POSTFIELDS, and there is no function to go back in it: so libcurl
 * cannot send it a second time by itself, however the connection dies.
 */
static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	n = MIN(n * size, f->body_len - f->body_sent);
	memcpy(to, f->body + f->body_sent, n);
	f->body_sent += n;
	return n;
}

static bool names_header(const struct fetch_request *r, const char *name)
{
	for (const char *const *h = r->headers; h && *h; h++)
		if (strncasecmp(*h, name, strlen(name)) == 0)
			return true;
	return false;
}

static void add_header(struct fetch *f, const char *line)
{
	f->headers = f->curl->slist_append(f->headers, line);
}

static void set_body(struct fetch *f, const struct fetch_request *r, const char *method)
{
	const struct libcurl *c = f->curl;
	bool has_body = r->body && r->body_len;

	if (!has_body && !str_eq(method, "PUT") && !str_eq(method, "POST"))
		return;
	c->easy_setopt(f->easy, CURLOPT_POST, 1L);
	c->easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(has_body ? r->body_len : 0));
	if (!r->aws)
		add_header(f, "Expect:"); /* no extra round trip for large bodies */
	if (!names_header(r, "Content-Type:"))
		add_header(f, has_body ? "Content-Type: application/json" : "Content-Type:");
	if (!has_body) {
		c->easy_setopt(f->easy, CURLOPT_POSTFIELDS, "");
		return;
	}
	f->body = xmalloc(r->body_len);
	f->body_len = r->body_len;
	memcpy(f->body, r->body, r->body_len);
	if (r->aws) { /* libcurl signs no body but this; set_signature() keeps it from being sent twice */
		c->easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body);
		return;
	}
	c->easy_setopt(f->easy, CURLOPT_READFUNCTION, on_read);
	c->easy_setopt(f->easy, CURLOPT_READDATA, f);
}

/*
 * What is signed is what libcurl is given as headers: a Host of its own would lack the port, and a line that removes a
 * header would be signed, too. On a connection that nobody used before, libcurl sends nothing a second time.
 */
static void set_signature(struct fetch *f, const struct fetch_aws *aws)
{
	const struct libcurl *c = f->curl;
	cleanup_free char *scope = xasprintf("aws:amz:%s:%s", aws->region, aws->service);
	const char *host = strstr(f->url, "://");
	char line[2048];

	if (c->version_info(CURLVERSION_NOW)->version_num < SIGNING_VERSION ||
	    c->easy_setopt(f->easy, CURLOPT_AWS_SIGV4, scope) != CURLE_OK) {
		err_set(&f->answer.err, -ENOSYS, "libcurl %s cannot sign requests for AWS; 7.87 or later can",
		    c->version_info(CURLVERSION_NOW)->version);
		c->easy_setopt(f->easy, CURLOPT_URL, NULL); /* it does not leave unsigned */
		return;
	}
	c->easy_setopt(f->easy, CURLOPT_USERNAME, aws->key_id);
	c->easy_setopt(f->easy, CURLOPT_PASSWORD, aws->secret);
	c->easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, 1L);
	c->easy_setopt(f->easy, CURLOPT_FORBID_REUSE, 1L);
	host = host ? host + 3 : f->url;
	snprintf(line, sizeof(line), "Host: %.*s", (int)strcspn(host, "/?#"), host);
	add_header(f, line);
	if (str_empty(aws->session))
		return;
	cleanup_free char *session = xasprintf("X-Amz-Security-Token: %s", aws->session);

	add_header(f, session);
	explicit_bzero(session, strlen(session));
}

static void set_method(struct fetch *f, const struct fetch_request *r)
{
	const char *method = r->method ? r->method : "GET";

	if (str_eq(method, "HEAD"))
		f->curl->easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
	set_body(f, r, method);
	if (!str_eq(method, "GET") || f->body)
		f->curl->easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, method);
}

/*
 * libcurl takes the name to ask for and to verify from the URL, so the name goes there, and the place to connect to is
 * given apart.
 */
static void set_server_name(struct fetch *f, const char *name)
{
	char *host = strstr(f->url, "://");

	if (str_empty(name) || !host)
		return;
	host += 3;
	size_t host_len = strcspn(host, "/?#");
	cleanup_free char *authority = xstrndup(host, host_len);
	const char *colon = strrchr(authority, ':'), *port = colon && !strchr(colon, ']') ? colon : "";
	cleanup_free char *place = xasprintf("::%s%s", authority, *port ? "" : str_starts(f->url, "https") ? ":443" : ":80");
	cleanup_free char *url = xasprintf("%.*s%s%s%s", (int)(host - f->url), f->url, name, port, host + host_len);

	f->connect_to = f->curl->slist_append(NULL, place);
	f->curl->easy_setopt(f->easy, CURLOPT_CONNECT_TO, f->connect_to);
	f->curl->easy_setopt(f->easy, CURLOPT_URL, url);
}

static void set_tls(struct fetch *f, const struct fetch_tls *t)
{
	const struct {
		CURLoption option;
		const char *path;
	} files[] = {
	    {CURLOPT_CAINFO, t->ca_file},
	    {CURLOPT_CAPATH, t->ca_path},
	    {CURLOPT_SSLCERT, t->cert_file},
	    {CURLOPT_SSLKEY, t->key_file},
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (!str_empty(files[i].path))
			f->curl->easy_setopt(f->easy, files[i].option, files[i].path);
	if (t->any_name)
		f->curl->easy_setopt(f->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	if (t->skip_verify) {
		f->curl->easy_setopt(f->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		f->curl->easy_setopt(f->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	set_server_name(f, t->server_name);
}

/* libcurl's milliseconds: 0 is no limit there, so what is over at once becomes 1. */
static long millis(int64_t ns, int64_t unset)
{
	if (!ns)
		ns = unset;
	if (ns == NEVER)
		return 0;
	return (long)MIN(MAX((ns + MILLI - 1) / MILLI, 1), INT32_MAX);
}

static void set_connection(struct fetch *f, const struct fetch_request *r)
{
	const struct {
		CURLoption option;
		long value;
	} options[] = {
	    {CURLOPT_NOSIGNAL, 1},
	    {CURLOPT_TCP_NODELAY, 1},
	    {CURLOPT_PATH_AS_IS, 1},
	    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
	    {CURLOPT_TIMEOUT_MS, millis(r->timeout, 10 * SECOND)},
	    {CURLOPT_CONNECTTIMEOUT_MS, millis(r->connect_timeout, 3 * SECOND)},
	    {CURLOPT_LOW_SPEED_LIMIT, r->idle_timeout ? 1 : 0},
	    {CURLOPT_LOW_SPEED_TIME, r->idle_timeout / SECOND},
	    /* A peer that vanished without a word is noticed under a read that waits for minutes. */
	    {CURLOPT_TCP_KEEPALIVE, 1},
	    {CURLOPT_TCP_KEEPIDLE, 15},
	    {CURLOPT_TCP_KEEPINTVL, 5},
#if LIBCURL_VERSION_NUM >= 0x075700
	    /* Cancelling does not wait for the thread in which a name is being looked up. */
	    {CURLOPT_QUICK_EXIT, 1},
#endif
#if LIBCURL_VERSION_NUM < 0x075500
	    {CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS},
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		f->curl->easy_setopt(f->easy, options[i].option, options[i].value);
#if LIBCURL_VERSION_NUM >= 0x075500
	f->curl->easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
#endif
	f->curl->easy_setopt(f->easy, CURLOPT_NOPROXY, "*");
	if (r->unix_socket)
		f->curl->easy_setopt(f->easy, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
}

void fetch_prepare(struct fetch *f, const struct libcurl *curl, CURL *easy, const struct fetch_request *r)
{
	f->curl = curl;
	f->borrowed = easy != NULL;
	f->easy = easy ? easy : curl->easy_init();
	if (!f->easy)
		die("libcurl is out of memory");
	curl->easy_setopt(f->easy, CURLOPT_URL, f->url);
	curl->easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->text);
	curl->easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	curl->easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl->easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
	curl->easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	set_connection(f, r);
	if (r->tls)
		set_tls(f, r->tls);
	set_method(f, r);
	if (r->aws)
		set_signature(f, r->aws);
	for (const char *const *h = r->headers; h && *h; h++)
		add_header(f, *h);
	if (f->headers)
		curl->easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
}

/* ---- the end ---- */

static int errno_of(CURLcode code, bool sent)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_ABORTED_BY_CALLBACK:
		return -ECANCELED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return sent ? -EIO : -EINVAL; /* an answer that is no HTTP/1 counts as unsupported, too */
	default:
		return -EIO;
	}
}

void fetch_conclude(struct fetch *f, CURLcode code)
{
	long sent = 0;

	f->answer.status = status_of(f);
	f->curl->easy_getinfo(f->easy, CURLINFO_REQUEST_SIZE, &sent);
	f->answer.sent = sent > 0;
	f->answer.index = number_of(&f->answer.headers, "X-Nomad-Index");
	if (!f->answer.index)
		f->answer.index = number_of(&f->answer.headers, "X-Consul-Index");
	if (code != CURLE_OK && !f->answer.err.code)
		err_set(&f->answer.err, errno_of(code, sent > 0), "%s: %s", f->url, f->text[0] ? f->text : f->curl->easy_strerror(code));
	f->state = FETCH_FINISHED;
}

struct fetch *fetch_new(const struct fetch_request *r, fetch_done_fn *done, void *arg)
{
	struct fetch *f = xcalloc(1, sizeof(*f));

	f->url = xstrdup(r->url);
	f->max_body = r->max_body ? r->max_body : 16u << 20;
	f->on_data = r->on_data;
	f->only_success = r->only_success;
	f->done = done;
	f->arg = arg;
	return f;
}

/* Headers and bodies may hold tokens. */
static void wipe(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
}

void fetch_free(struct fetch *f)
{
	if (f->easy && !f->borrowed)
		f->curl->easy_cleanup(f->easy);
	for (struct curl_slist *l = f->headers; l; l = l->next)
		wipe(l->data, strlen(l->data));
	if (f->headers)
		f->curl->slist_free_all(f->headers);
	if (f->connect_to)
		f->curl->slist_free_all(f->connect_to);
	wipe(f->body, f->body_len);
	free(f->body);
	free(f->url);
	fetch_answer_free(&f->answer);
	free(f);
}

void fetch_answer_free(struct fetch_answer *a)
{
	err_clear(&a->err);
	buf_free(&a->body);
	buf_free(&a->headers);
	memset(a, 0, sizeof(*a));
}

/* ---- blocking ---- */

struct fetch_channel {
	const struct libcurl *curl;
	CURL *easy; /* NULL until the first request */
	atomic_bool stop;
};

static int on_progress(void *arg, curl_off_t a UNUSED, curl_off_t b UNUSED, curl_off_t c UNUSED, curl_off_t d UNUSED)
{
	struct fetch_channel *ch = arg;

	return atomic_load(&ch->stop);
}

struct fetch_channel *fetch_channel_new(void)
{
	return xcalloc(1, sizeof(struct fetch_channel));
}

void fetch_channel_free(struct fetch_channel *ch)
{
	if (!ch)
		return;
	if (ch->easy)
		ch->curl->easy_cleanup(ch->easy);
	free(ch);
}

void fetch_channel_stop(struct fetch_channel *ch)
{
	atomic_store(&ch->stop, true);
}

int fetch_channel_do(struct fetch_channel *ch, const struct fetch_request *r, struct fetch_answer *out)
{
	memset(out, 0, sizeof(*out));
	if (!ch->curl)
		ch->curl = libcurl_load(&out->err);
	if (!ch->curl)
		return out->err.code;
	if (!ch->easy)
		ch->easy = ch->curl->easy_init();
	if (!ch->easy)
		die("libcurl is out of memory");
	ch->curl->easy_reset(ch->easy); /* its connection stays */
	struct fetch *f = fetch_new(r, NULL, r->on_data_arg);

	f->state = FETCH_RUNNING;
	fetch_prepare(f, ch->curl, ch->easy, r);
	ch->curl->easy_setopt(ch->easy, CURLOPT_NOPROGRESS, 0L);
	ch->curl->easy_setopt(ch->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	ch->curl->easy_setopt(ch->easy, CURLOPT_XFERINFODATA, ch);
	fetch_conclude(f, ch->curl->easy_perform(ch->easy));
	*out = f->answer;
	memset(&f->answer, 0, sizeof(f->answer));
	fetch_free(f);
	return out->err.code;
}

int fetch_now(const struct fetch_request *r, struct fetch_answer *out)
{
	struct fetch_channel *ch = fetch_channel_new();
	int rc = fetch_channel_do(ch, r, out);

	fetch_channel_free(ch);
	return rc;
}
