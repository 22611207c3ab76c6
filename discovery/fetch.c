/*
 * The glue between curl's multi interface and libevent. Two rules keep it sane: curl is never called from inside its
 * timer callback (a zero timer is armed instead), and finished transfers are collected after every socket action.
 * Completion callbacks run from an event of their own, so fetch_start never calls back into its caller.
 */
#include "discovery/fetch.h"

#include <errno.h>
#include <event2/event.h>
#include <strings.h>

#include "discovery/libcurl.h"

struct fetcher {
	struct event_base *base;
	const struct libcurl *curl; /* NULL until the first request */
	CURLM *multi;
	struct event *timer;
	struct fetch *all; /* under way or finished but not reported */
	struct event *report;
};

struct fetch {
	struct fetcher *owner; /* NULL: a blocking request */
	struct fetch *prev, *next;
	const struct libcurl *curl;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	char *body;
	size_t body_len, max_body;
	void (*on_data)(void *, const void *, size_t);
	bool only_success;
	fetch_done_fn *done;
	void *arg;
	struct fetch_answer answer;
	bool finished, paused;
	char text[CURL_ERROR_SIZE];
};

/* ---- one request ---- */

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

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	static const char *const names[] = {"X-Nomad-Index:", "X-Consul-Index:"};
	struct fetch *f = arg;

	n *= size;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i]);
		char digits[32] = "";

		if (n > len && strncasecmp(p, names[i], len) == 0) {
			snprintf(digits, sizeof(digits), "%.*s", (int)(n - len), p + len);
			f->answer.index = strtoull(digits, NULL, 10);
		}
	}
	if (f->answer.headers.len + n < 65536)
		buf_put(&f->answer.headers, p, n);
	return n;
}

static void set_tls(const struct libcurl *c, CURL *easy, const struct fetch_tls *t)
{
	if (t->ca_file)
		c->easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
	if (t->ca_path)
		c->easy_setopt(easy, CURLOPT_CAPATH, t->ca_path);
	if (t->cert_file)
		c->easy_setopt(easy, CURLOPT_SSLCERT, t->cert_file);
	if (t->key_file)
		c->easy_setopt(easy, CURLOPT_SSLKEY, t->key_file);
	if (t->skip_verify) {
		c->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		c->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_method(const struct libcurl *c, struct fetch *f, const struct fetch_request *r)
{
	if (r->method && !str_eq(r->method, "GET"))
		c->easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, r->method);
	if (str_eq(r->method, "HEAD"))
		c->easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
	if (!r->body)
		return;
	f->body = xmalloc(r->body_len + 1);
	f->body_len = r->body_len;
	memcpy(f->body, r->body, r->body_len);
	c->easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body);
	c->easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
	f->headers = c->slist_append(f->headers, "Content-Type: application/json");
	f->headers = c->slist_append(f->headers, "Expect:"); /* no extra round trip for large bodies */
}

static void prepare(const struct libcurl *c, struct fetch *f, const struct fetch_request *r)
{
	int64_t timeout = r->timeout ? r->timeout : 10 * SECOND;
	int64_t connect = r->connect_timeout ? r->connect_timeout : 3 * SECOND;

	f->max_body = r->max_body ? r->max_body : 16u << 20;
	f->on_data = r->on_data;
	f->only_success = r->only_success;
	f->curl = c;
	f->easy = c->easy_init();
	if (!f->easy)
		die("libcurl is out of memory");
	c->easy_setopt(f->easy, CURLOPT_URL, r->url);
	c->easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	c->easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->text);
	c->easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
	c->easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	c->easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
	c->easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
	c->easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	c->easy_setopt(f->easy, CURLOPT_TCP_NODELAY, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	c->easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	c->easy_setopt(f->easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	c->easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, timeout == NEVER ? 0L : (long)(timeout / MILLI));
	c->easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect / MILLI));
	if (r->idle_timeout) {
		c->easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		c->easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, (long)(r->idle_timeout / SECOND));
	}
	c->easy_setopt(f->easy, CURLOPT_NOPROXY, "*");
	if (r->unix_socket)
		c->easy_setopt(f->easy, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
	if (r->tls)
		set_tls(c, f->easy, r->tls);
	set_method(c, f, r);
	for (const char *const *h = r->headers; h && *h; h++)
		f->headers = c->slist_append(f->headers, *h);
	if (f->headers)
		c->easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
}

static void conclude(const struct libcurl *c, struct fetch *f, CURLcode code)
{
	f->answer.status = status_of(f);
	if (code != CURLE_OK && !f->answer.err.code) {
		int error = code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : code == CURLE_COULDNT_CONNECT ? -ECONNREFUSED : -EIO;

		err_set(&f->answer.err, error, "%s: %s", f->url, f->text[0] ? f->text : c->easy_strerror(code));
	}
	f->finished = true;
}

static struct fetch *fetch_new(const struct fetch_request *r, fetch_done_fn *done, void *arg)
{
	struct fetch *f = xcalloc(1, sizeof(*f));

	f->url = xstrdup(r->url);
	f->done = done;
	f->arg = arg;
	return f;
}

static void fetch_free(const struct libcurl *c, struct fetch *f)
{
	if (f->easy)
		c->easy_cleanup(f->easy);
	if (f->headers)
		c->slist_free_all(f->headers);
	if (f->body)
		memset(f->body, 0, f->body_len); /* may hold a token */
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

int fetch_now(const struct fetch_request *r, struct fetch_answer *out)
{
	memset(out, 0, sizeof(*out));
	const struct libcurl *c = libcurl_load(&out->err);

	if (!c)
		return out->err.code;
	struct fetch *f = fetch_new(r, NULL, r->on_data_arg);

	prepare(c, f, r);
	conclude(c, f, c->easy_perform(f->easy));
	*out = f->answer;
	memset(&f->answer, 0, sizeof(f->answer));
	fetch_free(c, f);
	return out->err.code;
}

/* ---- the loop ---- */

static void collect(struct fetcher *o)
{
	bool any = false;
	int left;

	for (CURLMsg *m; (m = o->curl->multi_info_read(o->multi, &left));) {
		struct fetch *f = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;

		o->curl->easy_getinfo(easy, CURLINFO_PRIVATE, &f);
		o->curl->multi_remove_handle(o->multi, easy);
		conclude(o->curl, f, code);
		any = true;
	}
	if (any)
		event_active(o->report, EV_TIMEOUT, 0);
}

/* A callback may cancel other requests, so the list is read from its head again each time. */
static void on_report(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct fetcher *o = arg;

	for (struct fetch *f = o->all; f;) {
		if (!f->finished) {
			f = f->next;
			continue;
		}
		if (f->prev)
			f->prev->next = f->next;
		else
			o->all = f->next;
		if (f->next)
			f->next->prev = f->prev;
		f->done(f->arg, &f->answer);
		fetch_free(o->curl, f);
		f = o->all;
	}
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct fetcher *o = arg;
	int running;

	o->curl->multi_socket_action(o->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(o);
}

static int set_timer(CURLM *m UNUSED, long ms, void *arg)
{
	struct fetcher *o = arg;

	if (ms < 0)
		event_del(o->timer);
	else
		event_add(o->timer, &(struct timeval){ms / 1000, ms % 1000 * 1000});
	return 0;
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *o = arg;
	int running, bits = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	o->curl->multi_socket_action(o->multi, fd, bits, &running);
	collect(o);
}

static int set_socket(CURL *easy UNUSED, curl_socket_t fd, int what, void *arg, void *known)
{
	struct fetcher *o = arg;
	struct event *event = known;

	if (event)
		event_free(event);
	if (what == CURL_POLL_REMOVE) {
		o->curl->multi_assign(o->multi, fd, NULL);
		return 0;
	}
	short wanted = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

	event = event_new(o->base, fd, wanted, on_socket, o);
	event_add(event, NULL);
	o->curl->multi_assign(o->multi, fd, event);
	return 0;
}

struct fetcher *fetcher_new(struct event_base *base)
{
	struct fetcher *o = xcalloc(1, sizeof(*o));

	o->base = base;
	o->timer = evtimer_new(base, on_timer, o);
	o->report = evtimer_new(base, on_report, o);
	return o;
}

static int start_multi(struct fetcher *o, struct err *e)
{
	if (o->multi)
		return 0;
	o->curl = libcurl_load(e);
	if (!o->curl)
		return e->code;
	o->multi = o->curl->multi_init();
	if (!o->multi)
		die("libcurl is out of memory");
	o->curl->multi_setopt(o->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	o->curl->multi_setopt(o->multi, CURLMOPT_SOCKETDATA, o);
	o->curl->multi_setopt(o->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	o->curl->multi_setopt(o->multi, CURLMOPT_TIMERDATA, o);
	return 0;
}

struct fetch *fetch_start(struct fetcher *o, const struct fetch_request *r, fetch_done_fn *done, void *arg)
{
	struct fetch *f = fetch_new(r, done, arg);

	f->owner = o;
	f->next = o->all;
	if (o->all)
		o->all->prev = f;
	o->all = f;
	if (start_multi(o, &f->answer.err) < 0) {
		f->finished = true;
		event_active(o->report, EV_TIMEOUT, 0);
		return f;
	}
	prepare(o->curl, f, r);
	o->curl->multi_add_handle(o->multi, f->easy);
	return f;
}

void fetch_cancel(struct fetch *f)
{
	if (!f)
		return;
	struct fetcher *o = f->owner;

	if (f->easy && !f->finished)
		o->curl->multi_remove_handle(o->multi, f->easy);
	if (f->prev)
		f->prev->next = f->next;
	else
		o->all = f->next;
	if (f->next)
		f->next->prev = f->prev;
	fetch_free(o->curl, f);
}

int fetch_head(const struct fetch *f, const struct buf **headers)
{
	*headers = &f->answer.headers;
	return status_of(f);
}

void fetch_pause(struct fetch *f, bool pause)
{
	if (f->paused == pause || f->finished)
		return;
	f->paused = pause;
	if (!pause)
		f->owner->curl->easy_pause(f->easy, CURLPAUSE_CONT);
}

void fetcher_free(struct fetcher *o)
{
	if (!o)
		return;
	while (o->all)
		fetch_cancel(o->all);
	if (o->multi)
		o->curl->multi_cleanup(o->multi);
	event_free(o->timer);
	event_free(o->report);
	free(o);
}
