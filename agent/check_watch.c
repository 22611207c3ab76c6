#include "agent/check_watch.h"

#include <errno.h>
#include <event2/event.h>

#include "base/log.h"

#define FIRST_RETRY (500 * MILLI)
#define LAST_RETRY  (30 * SECOND)

struct check_watch {
	struct consul *consul;
	const struct check_watch_ops *ops;
	void *arg;
	struct event *timer;
	struct consul_call *call; /* who are you? */
	struct consul_watch *watch;
	char *node;      /* in Consul; NULL = not known yet */
	unsigned failures; /* to hear who the agent is, in a row */
	bool knows, away;  /* away: since the last answer, the watch has failed */
	char *refusal;     /* NULL = none */
};

static void ask(struct check_watch *w);

static void note_refusal(struct check_watch *w, const struct err *e)
{
	free(w->refusal);
	w->refusal = e->code == -EACCES ? xstrdup(err_str(e)) : NULL;
}

static void on_checks(void *arg, const struct consul_answer *answer)
{
	struct check_watch *w = arg;
	bool knew = w->knows;

	w->knows = !answer->err.code && answer->object;
	note_refusal(w, &answer->err);
	if (!w->knows) {
		w->away = true;
		if (knew)
			w->ops->on_checks(w->arg, NULL);
		return;
	}
	/* It may be another Consul that answers now. */
	if (w->away && !w->call)
		ask(w);
	w->away = false;
	w->ops->on_checks(w->arg, answer->object);
}

static void watch(struct check_watch *w)
{
	const struct consul_watch_config config = {
		.op = &consul_health_node,
		.args = { .name = w->node },
		.report = on_checks,
		.arg = w,
	};

	consul_unwatch(w->watch);
	w->watch = consul_watch(w->consul, &config);
}

static void on_self(void *arg, const struct consul_answer *answer)
{
	struct check_watch *w = arg;
	const struct consul_agent_self *self = answer->object;
	const char *node = self && self->config ? self->config->node_name : NULL;

	w->call = NULL;
	if (answer->err.code || str_empty(node)) {
		note_refusal(w, &answer->err);
		int64_t pause = MIN(FIRST_RETRY << MIN(w->failures, 8u), LAST_RETRY);

		if (!w->failures++)
			log_warn("consul", "checks cannot be watched yet: %s", err_str(&answer->err));
		evtimer_add(w->timer, &((struct timeval){ .tv_sec = pause / SECOND, .tv_usec = pause % SECOND / 1000 }));
		return;
	}
	w->failures = 0;
	if (!w->watch || !str_eq(node, w->node)) {
		free(w->node);
		w->node = xstrdup(node);
		watch(w);
	}
	w->ops->on_agent(w->arg, self);
}

static void ask(struct check_watch *w)
{
	w->call = consul_call(w->consul, &consul_agent_self, &(struct consul_args){ 0 }, on_self, w);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	ask(arg);
}

struct check_watch *check_watch_start(struct event_base *base, struct consul *c, const struct check_watch_ops *ops, void *arg)
{
	struct check_watch *w = xcalloc(1, sizeof(*w));

	w->consul = c;
	w->ops = ops;
	w->arg = arg;
	w->timer = evtimer_new(base, on_timer, w);
	ask(w);
	return w;
}

void check_watch_stop(struct check_watch *w)
{
	if (!w)
		return;
	consul_cancel(w->call);
	consul_unwatch(w->watch);
	event_free(w->timer);
	free(w->node);
	free(w->refusal);
	free(w);
}

const char *check_watch_refusal(const struct check_watch *w)
{
	return w->refusal;
}

bool check_watch_knows(const struct check_watch *w)
{
	return w->knows;
}
