/*
 * The glue between curl's multi interface and libevent. libcurl must not be called from inside its own callbacks, so what
 * a caller asks for in there (a start, a cancel, a resume) is put on a list, and done from an event of its own. So are the
 * reports of finished requests: fetch_start never calls back into its caller. Finished transfers are collected after
 * every socket action.
 */
#include "discovery/fetch.h"

#include <assert.h>
#include <event2/event.h>

#include "discovery/fetch_request.h"

TAILQ_HEAD(fetch_list, fetch);

struct fetcher {
	struct event_base *base;
	const struct libcurl *curl; /* NULL until the first request */
	CURLM *multi;
	struct event *timer, *settle;
	struct fetch_list all, todo; /* todo: what the settle event looks at */
	int in_curl;                 /* depth of calls in which libcurl may call on_data */
};

static void queue(struct fetch *f)
{
	struct fetcher *o = f->owner;

	if (!f->queued)
		TAILQ_INSERT_TAIL(&o->todo, f, todo);
	f->queued = true;
	event_active(o->settle, EV_TIMEOUT, 0);
}

static void drop(struct fetch *f)
{
	struct fetcher *o = f->owner;

	if (f->easy)
		o->curl->multi_remove_handle(o->multi, f->easy); /* also when it is not in there */
	if (f->queued)
		TAILQ_REMOVE(&o->todo, f, todo);
	TAILQ_REMOVE(&o->all, f, all);
	fetch_free(f);
}

/* ---- libcurl and the loop ---- */

static void collect(struct fetcher *o)
{
	int left;

	for (CURLMsg *m; (m = o->curl->multi_info_read(o->multi, &left));) {
		struct fetch *f = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		CURL *easy = m->easy_handle;
		CURLcode code = m->data.result;

		o->curl->easy_getinfo(easy, CURLINFO_PRIVATE, &f);
		if (f->state == FETCH_CANCELLED)
			continue;
		o->curl->multi_remove_handle(o->multi, easy);
		fetch_conclude(f, code);
		queue(f);
	}
}

static void act(struct fetcher *o, evutil_socket_t fd, int bits)
{
	int running;

	o->in_curl++;
	o->curl->multi_socket_action(o->multi, fd, bits, &running);
	o->in_curl--;
	collect(o);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	act(arg, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
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

/* One request whose turn has come, outside of libcurl. */
static void settle(struct fetch *f)
{
	struct fetcher *o = f->owner;

	switch (f->state) {
	case FETCH_NEW:
		f->state = FETCH_RUNNING;
		o->curl->multi_add_handle(o->multi, f->easy);
		break;
	case FETCH_RUNNING: /* to be resumed; libcurl hands over what it held back, inside */
		if (f->paused)
			break;
		o->in_curl++;
		o->curl->easy_pause(f->easy, CURLPAUSE_CONT);
		o->in_curl--;
		break;
	case FETCH_CANCELLED:
		drop(f);
		break;
	case FETCH_FINISHED:
		TAILQ_REMOVE(&o->all, f, all);
		f->owner = NULL;
		f->done(f->arg, &f->answer);
		fetch_free(f);
		break;
	}
}

/* Those that are queued meanwhile wait for the next turn of the loop, so that others get theirs. */
static void on_settle(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct fetcher *o = arg;
	struct fetch *f;
	size_t n = 0;

	TAILQ_FOREACH(f, &o->todo, todo)
		n++;
	for (; n && (f = TAILQ_FIRST(&o->todo)); n--) {
		TAILQ_REMOVE(&o->todo, f, todo);
		f->queued = false;
		settle(f);
	}
	if (!TAILQ_EMPTY(&o->todo))
		event_active(o->settle, EV_TIMEOUT, 0);
}

/* ---- the interface ---- */

struct fetcher *fetcher_new(struct event_base *base)
{
	struct fetcher *o = xcalloc(1, sizeof(*o));

	o->base = base;
	o->timer = evtimer_new(base, on_timer, o);
	o->settle = evtimer_new(base, on_settle, o);
	TAILQ_INIT(&o->all);
	TAILQ_INIT(&o->todo);
	return o;
}

struct event_base *fetcher_base(const struct fetcher *o)
{
	return o->base;
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
	o->curl->multi_setopt(o->multi, CURLMOPT_MAXCONNECTS, 64L); /* kept while idle */
	return 0;
}

struct fetch *fetch_start(struct fetcher *o, const struct fetch_request *r, fetch_done_fn *done, void *arg)
{
	struct fetch *f = fetch_new(r, done, arg);

	f->owner = o;
	TAILQ_INSERT_TAIL(&o->all, f, all);
	if (start_multi(o, &f->answer.err) < 0) {
		f->state = FETCH_FINISHED;
		queue(f);
		return f;
	}
	fetch_prepare(f, o->curl, NULL, r);
	if (o->in_curl)
		queue(f);
	else
		settle(f);
	return f;
}

void fetch_cancel(struct fetch *f)
{
	if (!f || !f->owner)
		return;
	if (f->owner->in_curl) {
		f->state = FETCH_CANCELLED;
		queue(f);
	} else {
		drop(f);
	}
}

int fetch_head(const struct fetch *f, const struct buf **headers)
{
	long status = 0;

	if (f->easy)
		f->curl->easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	*headers = &f->answer.headers;
	return (int)status;
}

void fetch_pause(struct fetch *f, bool pause)
{
	if (f->paused == pause || (f->state != FETCH_NEW && f->state != FETCH_RUNNING))
		return;
	f->paused = pause;
	if (!pause)
		queue(f);
}

void fetcher_free(struct fetcher *o)
{
	if (!o)
		return;
	assert(!o->in_curl);
	while (!TAILQ_EMPTY(&o->all))
		drop(TAILQ_FIRST(&o->all));
	if (o->multi)
		o->curl->multi_cleanup(o->multi);
	event_free(o->timer);
	event_free(o->settle);
	free(o);
}
