/* witness: the watch -> who is gone -> (while this server leads) who lived there? -> doubt. */
#include "daemon/witness.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/server.h"
#include "discovery/services.h"

#define LOOK (2 * SECOND) /* whether somebody is to be doubted, while somebody is gone */

struct witness {
	const struct daemon *d;
	struct consul_watch *watch;
	struct event *timer;
	struct map gone; /* name -> struct gone */
	struct consul_call *call;
	char *asked; /* about which machine */
};

struct gone *witness_next(struct witness *w, uint32_t *i, const char **name)
{
	void *value;

	return map_next(&w->gone, i, name, &value) ? value : NULL;
}

struct gone *witness_find(struct witness *w, const char *name)
{
	return map_get(&w->gone, name);
}

bool witness_is_ours(const struct daemon *d, const struct consul_service *x)
{
	const struct uuid cluster = core_state(server_core(d->server))->cluster_id;
	char id[UUID_STR];

	return !uuid_is_nil(cluster) && str_eq(strmap_get(&x->meta, SERVICES_SOURCE), "drover") &&
	    str_eq(strmap_get(&x->meta, SERVICES_CLUSTER), uuid_format(cluster, id));
}

/* ---- doubt ---- */

struct search {
	struct core *core;
	const char *address;
};

static bool doubt_at(void *arg, struct node_entry *n)
{
	const struct search *s = arg;

	if (str_eq(n->spec->http_addr, s->address))
		core_node_suspect(s->core, n->id, SUSPECT_CONSUL, clock_now());
	return true;
}

/* An agent is known by the address of its API, which stands in the meta of all that it registers. */
static void doubt_nodes(struct witness *w, const struct consul_node_services *node)
{
	struct search s = {.core = server_core(w->d->server)};

	for (uint32_t i = 0; i < node->services.n; i++) {
		const struct consul_service *x = node->services.v[i].value;
		const char *address = strmap_get(&x->meta, SERVICES_ADDRESS);

		if (str_empty(address) || str_eq(address, s.address) || !witness_is_ours(w->d, x))
			continue;
		s.address = address;
		state_each_node(core_state(s.core), doubt_at, &s);
	}
	server_kick(w->d->server);
}

static void later(struct witness *w)
{
	const struct timeval tv = {LOOK / SECOND, 0};

	if (w->gone.n)
		evtimer_add(w->timer, &tv);
}

static void look(struct witness *w);

static void on_node(void *arg, const struct consul_answer *answer)
{
	struct witness *w = arg;
	struct gone *g = map_get(&w->gone, w->asked);

	w->call = NULL;
	free(STEAL(w->asked));
	if (g && !answer->err.code && server_leads(w->d->server)) {
		g->doubted = true;
		if (answer->object)
			doubt_nodes(w, answer->object);
		look(w);
	} else {
		later(w);
	}
}

/* The next machine whose nodes are to be doubted. Who comes to lead begins anew: doubt is not in the journal. */
static void look(struct witness *w)
{
	bool leads = server_leads(w->d->server);
	const char *name;
	struct gone *g;

	if (w->call)
		return;
	for (uint32_t i = 0; (g = witness_next(w, &i, &name));) {
		if (!leads)
			g->doubted = false;
		if (g->doubted || !leads)
			continue;
		w->asked = xstrdup(name);
		w->call = consul_call(w->d->consul, &consul_catalog_node, &(struct consul_args){.name = name}, on_node, w);
		return;
	}
	later(w);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	look(arg);
}

/* ---- who is gone ---- */

static void note(struct witness *w, const struct consul_check *c)
{
	struct gone *g = map_get(&w->gone, str_or(c->node, ""));

	if (!str_eq(c->check_id, "serfHealth") || str_empty(c->node))
		return;
	if (!g) {
		g = xcalloc(1, sizeof(*g));
		g->since = clock_monotonic();
		map_set(&w->gone, c->node, g);
		log_info("consul", "Consul says that node %s is gone", c->node);
	}
	g->seen = true;
}

static void on_states(void *arg, const struct consul_answer *answer)
{
	struct witness *w = arg;
	const struct consul_checks *checks = answer->object;
	const char *name;
	struct gone *g;

	if (answer->err.code || !checks)
		return; /* nobody is known to be back, or gone */
	for (uint32_t i = 0; (g = witness_next(w, &i, &name));)
		g->seen = false;
	OBJS_EACH(&checks->items, const struct consul_check, c)
		note(w, c);
	for (uint32_t i = 0; (g = witness_next(w, &i, &name));) {
		if (g->seen)
			continue;
		log_info("consul", "Consul says that node %s is there again", name);
		map_del(&w->gone, name);
		free(g);
	}
	look(w);
}

/* ---- life ---- */

struct witness *witness_start(const struct daemon *d)
{
	static const char *const query[] = {"filter", "CheckID == \"serfHealth\"", NULL};
	struct witness *w;

	if (!d->server || !d->consul)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->d = d;
	w->timer = evtimer_new(d->base, on_timer, w);
	w->watch = consul_watch(d->consul, &(struct consul_watch_config){
	                                       .op = &consul_health_state,
	                                       .args = {.name = "critical", .query = query},
	                                       .report = on_states,
	                                       .arg = w,
	                                   });
	return w;
}

void witness_stop(struct witness *w)
{
	const char *name;
	struct gone *g;

	if (!w)
		return;
	consul_unwatch(w->watch);
	consul_cancel(w->call);
	event_free(w->timer);
	for (uint32_t i = 0; (g = witness_next(w, &i, &name));)
		free(g);
	map_free(&w->gone);
	free(w->asked);
	free(w);
}
