/* sweep: look -> for each node that is gone for long enough: what does it have? -> remove one -> ... -> look again later. */
#include "daemon/sweep.h"

#include <event2/event.h>
#include <event2/util.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/server.h"
#include "discovery/services.h"

#define LOOK (30 * SECOND)

struct gone { /* a node of Consul */
	int64_t since; /* monotonic, as this server has seen it */
	bool seen;     /* in the last look */
	bool swept;
};

struct sweep {
	const struct daemon *d;
	struct event *timer;
	struct consul_call *call;
	struct map gone; /* name -> struct gone */
	/* of the node that is being swept */
	char *node;
	struct arena *arena;
	struct strs ids; /* that are still to be removed */
	uint32_t next;
	char *cluster;
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

static void forget_all(struct sweep *s)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->gone, &i, &key, &value);)
		free(value);
	map_free(&s->gone);
	s->gone = MAP_INIT;
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
	struct gone *g = map_get(&s->gone, s->node);

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

static bool is_ours(const struct sweep *s, const struct consul_service *x)
{
	return !str_empty(s->cluster) && str_eq(strmap_get(&x->meta, SERVICES_SOURCE), "drover") &&
	    str_eq(strmap_get(&x->meta, SERVICES_CLUSTER), s->cluster);
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
		if (is_ours(s, node->services.v[i].value))
			strs_push(s->arena, &s->ids, ((const struct consul_service *)node->services.v[i].value)->id);
	remove_next(s);
}

/* ---- all of them ---- */

static void next_node(struct sweep *s)
{
	int64_t due = clock_monotonic() - s->d->config->consul.sweep_after;
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->gone, &i, &key, &value);) {
		const struct gone *g = value;

		if (g->swept || g->since > due)
			continue;
		s->node = xstrdup(key);
		s->call = consul_call(s->d->consul, &consul_catalog_node, &(struct consul_args){.name = key}, on_node, s);
		return;
	}
	later(s);
}

static void note_gone(struct sweep *s, const struct consul_checks *checks)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->gone, &i, &key, &value);)
		((struct gone *)value)->seen = false;
	OBJS_EACH(&checks->items, const struct consul_check, c)
	{
		struct gone *g = map_get(&s->gone, str_or(c->node, ""));

		if (!str_eq(c->check_id, "serfHealth") || str_empty(c->node))
			continue;
		if (!g) {
			g = xcalloc(1, sizeof(*g));
			g->since = clock_monotonic();
			map_set(&s->gone, c->node, g);
		}
		g->seen = true;
	}
	for (uint32_t i = 0; map_next(&s->gone, &i, &key, &value);) {
		if (((struct gone *)value)->seen)
			continue;
		free(value);
		map_del(&s->gone, key);
	}
}

static void on_states(void *arg, const struct consul_answer *answer)
{
	struct sweep *s = arg;

	s->call = NULL;
	if (answer->err.code || !answer->object) {
		later(s);
		return;
	}
	note_gone(s, answer->object);
	next_node(s);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	static const char *const query[] = {"filter", "CheckID == \"serfHealth\"", NULL};
	struct sweep *s = arg;
	char id[UUID_STR];

	/* What an earlier leadership has seen is not known to be so since. */
	if (!server_leads(s->d->server)) {
		forget_all(s);
		later(s);
		return;
	}
	free(s->cluster);
	s->cluster = xstrdup(uuid_format(core_state(server_core(s->d->server))->cluster_id, id));
	s->call = consul_call(
	    s->d->consul, &consul_health_state, &(struct consul_args){.name = "critical", .query = query}, on_states, s);
}

/* ---- life ---- */

struct sweep *sweep_start(const struct daemon *d)
{
	struct sweep *s;

	if (!d->server || !d->consul || d->config->consul.sweep_after <= 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->d = d;
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
	forget_all(s);
	event_free(s->timer);
	free(s->cluster);
	free(s);
}
