/* sweep: for each node that is gone for long enough: what does it have? -> remove one -> ... -> look again later. */
#include "daemon/sweep.h"

#include <event2/event.h>
#include <event2/util.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/server.h"

#define LOOK (30 * SECOND)

struct sweep {
	const struct daemon *d;
	struct witness *witness;
	struct event *timer;
	struct consul_call *call;
	int64_t led_since; /* monotonic; 0 = this server does not lead: what another one has seen is not known to be so since */
	/* of the node that is being swept */
	char *node;
	struct arena *arena;
	struct strs ids; /* that are still to be removed */
	uint32_t next;
};

static void next_node(struct sweep *s);

static void later(struct sweep *s)
{
	int64_t pause = MIN(LOOK, MAX(s->d->config->consul.sweep_after / 4, SECOND));
	uint32_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	pause = (int64_t)((double)pause * (0.75 + 0.5 * r / 4294967296.0));
	evtimer_add(s->timer, &((struct timeval){.tv_sec = pause / SECOND, .tv_usec = pause % SECOND / 1000}));
}

static void leave_node(struct sweep *s)
{
	free(STEAL(s->node));
	arena_free(STEAL(s->arena));
	s->ids = (struct strs){0};
	s->next = 0;
}

/* ---- one node ---- */

static void remove_next(struct sweep *s);

static void on_removed(void *arg, const struct consul_answer *answer)
{
	struct sweep *s = arg;

	s->call = NULL;
	if (answer->err.code) {
		log_warn("consul", "what node %s left cannot be removed: %s", s->node, err_str(&answer->err));
		leave_node(s);
		later(s);
		return;
	}
	log_info("consul", "node %s is gone: removed its entry %s", s->node, s->ids.v[s->next - 1]);
	remove_next(s);
}

static void remove_next(struct sweep *s)
{
	struct consul_catalog_deregistration gone = {0};
	struct gone *g = witness_find(s->witness, s->node);

	if (s->next == s->ids.n || !server_leads(s->d->server)) {
		if (g && s->next == s->ids.n)
			g->swept = true;
		leave_node(s);
		next_node(s);
		return;
	}
	MODEL_SET(consul_catalog_deregistration, &gone, node, s->node);
	MODEL_SET(consul_catalog_deregistration, &gone, service_id, s->ids.v[s->next++]);
	s->call = consul_call(
	    s->d->consul, &consul_catalog_deregister, &(struct consul_args){.name = s->node, .object = &gone}, on_removed, s);
}

static void on_node(void *arg, const struct consul_answer *answer)
{
	struct sweep *s = arg;
	const struct consul_node_services *node = answer->object;

	s->call = NULL;
	if (answer->err.code) {
		log_warn("consul", "what node %s left cannot be read: %s", s->node, err_str(&answer->err));
		leave_node(s);
		later(s);
		return;
	}
	s->arena = arena_new();
	for (uint32_t i = 0; node && i < node->services.n; i++)
		if (witness_is_ours(s->d, node->services.v[i].value))
			strs_push(s->arena, &s->ids, ((const struct consul_service *)node->services.v[i].value)->id);
	remove_next(s);
}

/* ---- all of them ---- */

static void next_node(struct sweep *s)
{
	int64_t due = clock_monotonic() - s->d->config->consul.sweep_after;
	const char *name;
	struct gone *g;

	for (uint32_t i = 0; (g = witness_next(s->witness, &i, &name));) {
		if (g->swept || MAX(g->since, s->led_since) > due)
			continue;
		s->node = xstrdup(name);
		s->call = consul_call(s->d->consul, &consul_catalog_node, &(struct consul_args){.name = name}, on_node, s);
		return;
	}
	later(s);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct sweep *s = arg;

	if (!server_leads(s->d->server))
		s->led_since = 0;
	else if (!s->led_since)
		s->led_since = clock_monotonic();
	if (s->led_since)
		next_node(s);
	else
		later(s);
}

/* ---- life ---- */

struct sweep *sweep_start(const struct daemon *d, struct witness *witness)
{
	struct sweep *s;

	if (!witness || !d->consul || d->config->consul.sweep_after <= 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->d = d;
	s->witness = witness;
	s->timer = evtimer_new(d->base, on_timer, s);
	later(s);
	return s;
}

void sweep_stop(struct sweep *s)
{
	if (!s)
		return;
	consul_cancel(s->call);
	leave_node(s);
	event_free(s->timer);
	free(s);
}
