#include "agent/self_drain.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"

#define PACE     (500 * MILLI)
#define PATIENCE (15 * SECOND) /* beyond the deadline */

enum step { STEP_ASK /* for the drain */, STEP_WAIT, STEP_LEAVE, STEP_DONE };

struct self_drain {
	struct server_link *link;
	struct self_drain_config config;
	void (*done)(void *arg, bool complete);
	void *arg;
	struct event *timer;
	enum step step;
	bool busy, troubled;
	int64_t until;     /* monotonic; NEVER without a deadline */
	int64_t remaining; /* as logged last */
};

static void again(struct self_drain *d, int64_t after)
{
	const struct timeval tv = {after / SECOND, after % SECOND / 1000};

	evtimer_add(d->timer, &tv);
}

static void finish(struct self_drain *d, bool complete)
{
	d->step = STEP_DONE;
	d->done(d->arg, complete);
}

static void on_waiting(struct self_drain *d, const struct node_hello *hello)
{
	if (str_eq(hello->drain_status, "complete")) {
		d->step = STEP_LEAVE;
	} else if (!str_eq(hello->drain_status, "draining")) {
		/* Somebody cancelled it; the agent stops all the same. */
		d->step = STEP_ASK;
	} else if (hello->drain_remaining != d->remaining) {
		d->remaining = hello->drain_remaining;
		log_info("client", "drain: %lld allocations are left", (long long)d->remaining);
	}
}

static void on_answer(void *arg, const struct link_answer *answer)
{
	struct self_drain *d = arg;

	d->busy = false;
	if (answer->err.code || !answer->hello) {
		if (!d->troubled)
			log_warn("client", "drain: %s; trying again", err_str(&answer->err));
		d->troubled = true;
		again(d, PACE);
		return;
	}
	d->troubled = false;
	switch (d->step) {
	case STEP_ASK:
		log_info("client", "drain: the node takes no new work and is being emptied");
		d->step = STEP_WAIT;
		on_waiting(d, answer->hello);
		break;
	case STEP_WAIT:
		on_waiting(d, answer->hello);
		break;
	case STEP_LEAVE:
		log_info("client", "drain: the node is empty and has left");
		finish(d, true);
		return;
	case STEP_DONE:
		return;
	}
	again(d, d->step == STEP_WAIT ? PACE : 0);
}

static void ask(struct self_drain *d)
{
	struct drain_spec spec = {0};
	struct node_farewell f = {0};

	if (d->step == STEP_ASK) {
		MODEL_SET(drain_spec, &spec, deadline, d->config.force ? -SECOND : d->config.deadline);
		MODEL_SET(drain_spec, &spec, ignore_system_jobs, d->config.ignore_system_jobs);
		f.drain_spec = &spec;
	}
	MODEL_SET(node_farewell, &f, leave, d->step == STEP_LEAVE);
	d->busy = true;
	d->link->ops->farewell(d->link, &f, on_answer, d);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct self_drain *d = arg;

	(void)fd;
	(void)what;
	if (d->step == STEP_DONE)
		return;
	if (clock_monotonic() > d->until) {
		log_warn("client", "drain: the deadline is over; %lld allocations are left", (long long)d->remaining);
		finish(d, false);
	} else if (!d->busy) {
		ask(d);
	}
}

struct self_drain *self_drain_start(struct event_base *base, struct server_link *link, const struct self_drain_config *config,
    void (*done)(void *arg, bool complete), void *arg)
{
	struct self_drain *d = xcalloc(1, sizeof(*d));

	d->link = link;
	d->config = *config;
	d->done = done;
	d->arg = arg;
	d->remaining = -1;
	d->until = config->force ? clock_monotonic() + MINUTE
	    : config->deadline   ? clock_monotonic() + config->deadline + PATIENCE
	                         : NEVER;
	d->timer = evtimer_new(base, on_timer, d);
	if (!d->timer)
		die("out of memory");
	again(d, 0);
	return d;
}

void self_drain_free(struct self_drain *d)
{
	if (!d)
		return;
	event_free(d->timer);
	free(d);
}
