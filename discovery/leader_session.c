#include "discovery/leader_session.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"

#define BEATS      5 /* reports within one TTL */
#define RETRY_WAIT (200 * MILLI)
/* Consul's session_ttl_min, unless configured otherwise; renewed so often. */
#define SESSION_TTL   "10s"
#define RENEW_EVERY   (3 * SECOND)
#define RENEW_TIMEOUT (2500 * MILLI)

struct leader_session {
	struct consul *consul;
	char *name, *check_id;
	int64_t ttl;
	const struct leader_session_ops *ops;
	void *arg;

	struct event *beat, *retry, *renew;
	struct consul_call *reporting, *making, *renewing, *ending;
	struct consul_watch *watch; /* of the session that is ready */
	char *id;                   /* NULL while there is none */
	bool released, troubled;
	void (*done)(void *arg);
	void *done_arg;
};

static void make(struct leader_session *s);

static void set_timer(struct event *timer, int64_t after)
{
	const struct timeval tv = {after / SECOND, after % SECOND / 1000};

	evtimer_add(timer, &tv);
}

const char *leader_session_id(const struct leader_session *s)
{
	return s->id ? s->id : "";
}

static void set_trouble(struct leader_session *s, const struct err *e)
{
	if (!e && !s->troubled)
		return;
	s->troubled = e != NULL;
	s->ops->on_trouble(s->arg, e);
}

/* ---- the check ---- */

static void on_reported(void *arg, const struct consul_answer *answer)
{
	struct leader_session *s = arg;

	s->reporting = NULL;
	if (answer->err.code == -ENOENT)
		s->ops->on_missing(s->arg);
	else if (answer->err.code)
		set_trouble(s, &answer->err);
	else if (s->id)
		set_trouble(s, NULL);
}

static void report(struct leader_session *s)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_check_update *u = MODEL_NEW(a, consul_check_update);
	const struct consul_args args = {.name = s->check_id, .object = u, .timeout = s->ttl};

	MODEL_SET(consul_check_update, u, status, "passing");
	s->reporting = consul_call(s->consul, &consul_check_update, &args, on_reported, s);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct leader_session *s = arg;

	(void)fd;
	(void)what;
	set_timer(s->beat, s->ttl / BEATS);
	/* One that hangs must not keep the next one from going out: the check would turn critical meanwhile. */
	consul_cancel(STEAL(s->reporting));
	report(s);
}

/* ---- the session ---- */

static void lose(struct leader_session *s, const char *why)
{
	consul_unwatch(STEAL(s->watch));
	consul_cancel(STEAL(s->renewing));
	evtimer_del(s->renew);
	free(STEAL(s->id));
	s->ops->on_lost(s->arg, why);
	if (!s->released)
		make(s);
}

static void on_watched(void *arg, const struct consul_answer *answer)
{
	struct leader_session *s = arg;
	const struct consul_sessions *list = answer->object;

	/* A failure says nothing about the session. */
	if (!answer->err.code && (!list || !list->items.n))
		lose(s, "Consul has ended our session: a check of ours or of this Consul node was critical");
}

static void on_renewed(void *arg, const struct consul_answer *answer)
{
	struct leader_session *s = arg;
	const struct consul_sessions *list = answer->object;

	s->renewing = NULL;
	if (!answer->err.code && (!list || !list->items.n))
		lose(s, "Consul has ended our session, which was not renewed in time");
}

static void on_renew(evutil_socket_t fd, short what, void *arg)
{
	struct leader_session *s = arg;

	(void)fd;
	(void)what;
	set_timer(s->renew, RENEW_EVERY);
	consul_cancel(STEAL(s->renewing));
	s->renewing = consul_call(s->consul, &consul_session_renew,
	    &(struct consul_args){.name = s->id, .timeout = RENEW_TIMEOUT}, on_renewed, s);
}

static void watch(struct leader_session *s)
{
	const struct consul_watch_config config = {
	    .op = &consul_session_info,
	    .args = {.name = s->id},
	    .report = on_watched,
	    .arg = s,
	};

	s->watch = consul_watch(s->consul, &config);
	set_timer(s->renew, RENEW_EVERY);
}

static void on_made(void *arg, const struct consul_answer *answer)
{
	struct leader_session *s = arg;
	const struct consul_id *made = answer->object;

	s->making = NULL;
	if (answer->err.code || !made || str_empty(made->id)) {
		/* The check may not have reached the catalog yet; that is no trouble worth a word at once. */
		set_timer(s->retry, RETRY_WAIT);
		if (answer->err.code)
			set_trouble(s, &answer->err);
		return;
	}
	s->id = xstrdup(made->id);
	set_trouble(s, NULL);
	watch(s);
	s->ops->on_ready(s->arg, s->id);
}

static void make(struct leader_session *s)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_session *ask = MODEL_NEW(a, consul_session);
	struct consul_session_check *check = MODEL_NEW(a, consul_session_check);
	const struct consul_args args = {.name = s->name, .object = ask};

	MODEL_SET(consul_session_check, check, id, s->check_id);
	MODEL_SET(consul_session, ask, name, s->name);
	MODEL_SET(consul_session, ask, behavior, "release");
	MODEL_SET(consul_session, ask, ttl, SESSION_TTL);
	/* Every write is fenced, so a lock may change hands at once. */
	MODEL_SET(consul_session, ask, lock_delay, 0);
	strs_push(a, &ask->node_checks, "serfHealth");
	objs_push(a, &ask->service_checks, check);
	ask->has |= MODEL_BIT(consul_session, node_checks) | MODEL_BIT(consul_session, service_checks);
	s->making = consul_call(s->consul, &consul_session_create, &args, on_made, s);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct leader_session *s = arg;

	(void)fd;
	(void)what;
	if (!s->id && !s->making && !s->released)
		make(s);
}

/* ---- life ---- */

struct leader_session *leader_session_new(struct event_base *base, struct consul *c,
    const struct leader_session_config *config, const struct leader_session_ops *ops, void *arg)
{
	struct leader_session *s = xcalloc(1, sizeof(*s));

	s->consul = c;
	s->name = xstrdup(config->name);
	s->check_id = xstrdup(config->check_id);
	s->ttl = config->ttl;
	s->ops = ops;
	s->arg = arg;
	s->beat = evtimer_new(base, on_beat, s);
	s->retry = evtimer_new(base, on_retry, s);
	s->renew = evtimer_new(base, on_renew, s);
	if (!s->beat || !s->retry || !s->renew)
		die("out of memory");
	set_timer(s->beat, 0);
	set_timer(s->retry, 0);
	return s;
}

void leader_session_free(struct leader_session *s)
{
	if (!s)
		return;
	consul_unwatch(s->watch);
	consul_cancel(s->reporting);
	consul_cancel(s->making);
	consul_cancel(s->renewing);
	consul_cancel(s->ending);
	event_free(s->beat);
	event_free(s->retry);
	event_free(s->renew);
	free(s->id);
	free(s->name);
	free(s->check_id);
	free(s);
}

static void on_ended(void *arg, const struct consul_answer *answer)
{
	struct leader_session *s = arg;

	(void)answer;
	s->ending = NULL;
	if (s->done)
		s->done(s->done_arg);
}

void leader_session_release(struct leader_session *s, void (*done)(void *arg), void *arg)
{
	const struct consul_args args = {.name = s->id, .timeout = 2 * SECOND};

	s->released = true;
	s->done = done;
	s->done_arg = arg;
	consul_cancel(STEAL(s->making));
	consul_cancel(STEAL(s->renewing));
	consul_unwatch(STEAL(s->watch));
	evtimer_del(s->renew);
	if (s->id)
		s->ending = consul_call(s->consul, &consul_session_destroy, &args, on_ended, s);
	else if (done)
		done(arg);
}
