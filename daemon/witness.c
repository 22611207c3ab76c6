/* witness: who is gone by Consul's watch -> suspicion; a question -> Consul and the node at once -> both words to the core. */
#include "daemon/witness.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/peer.h"
#include "daemon/server.h"
#include "discovery/services.h"

#define PROBE_WITHIN  SECOND
#define CONSUL_WITHIN (2 * SECOND)

struct question {
	struct witness *owner;
	struct question *next, **prev;
	struct uuid node;
	struct consul_call *call; /* NULL: answered, or not asked */
	struct fetch *probe;
	enum witness_word consul, self;
};

struct witness {
	const struct daemon *d;
	struct consul_watch *watch;
	struct map gone; /* name -> struct gone */
	struct question *questions;
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

/* ---- questions ---- */

static void question_free(struct question *q)
{
	consul_cancel(q->call);
	fetch_cancel(q->probe);
	*q->prev = q->next;
	if (q->next)
		q->next->prev = q->prev;
	free(q);
}

static void answer_when_complete(struct question *q)
{
	struct server *s = q->owner->d->server;

	if (q->call || q->probe)
		return;
	core_node_witness(server_core(s), q->node, q->consul, q->self, server_now(s));
	server_kick(s);
	question_free(q);
}

static void on_health(void *arg, const struct consul_answer *answer)
{
	struct question *q = arg;
	const struct consul_checks *checks = answer->object;

	q->call = NULL;
	/* Without the right to see it, a machine's list is empty: no word is no death. */
	if (!answer->err.code && checks)
		OBJS_EACH(&checks->items, const struct consul_check, c)
			if (str_eq(c->check_id, "serfHealth"))
				q->consul = str_eq(c->status, "passing") ? WITNESS_ALIVE
				    : str_eq(c->status, "critical")      ? WITNESS_DEAD
				                                         : WITNESS_UNKNOWN;
	answer_when_complete(q);
}

static void on_probe(void *arg, struct fetch_answer *answer)
{
	struct question *q = arg;

	q->probe = NULL;
	if (!answer->err.code)
		q->self = answer->status == 200 ? WITNESS_ALIVE : answer->status == 404 ? WITNESS_OTHER : WITNESS_UNKNOWN;
	else if (answer->err.code == -ECONNREFUSED || answer->err.code == -ETIMEDOUT)
		q->self = WITNESS_DEAD;
	answer_when_complete(q);
}

static void ask_consul(struct question *q, const struct node *n)
{
	const char *name = strmap_get(&n->attributes, "unique.consul.name");
	const struct consul_args args = {
	    .name = name,
	    .datacenter = strmap_get(&n->attributes, "consul.datacenter"),
	    .timeout = CONSUL_WITHIN,
	};

	if (q->owner->d->consul && !str_empty(name))
		q->call = consul_call(q->owner->d->consul, &consul_health_node, &args, on_health, q);
}

static void ask_node(struct question *q, const struct node *n)
{
	const struct daemon *d = q->owner->d;
	cleanup_arena struct arena *a = arena_new();
	const struct fetch_tls tls = peer_tls(d->config);
	const struct fetch_request r = {
	    .url = arena_printf(a, "%s/v1/internal/node/%s/alive", peer_url(d->config, a, str_or(n->http_addr, "")), n->id),
	    .timeout = PROBE_WITHIN,
	    .connect_timeout = PROBE_WITHIN,
	    .max_body = 4096,
	    .tls = &tls,
	};

	if (!str_empty(n->http_addr))
		q->probe = fetch_start(d->fetcher, &r, on_probe, q);
}

void witness_ask(struct witness *w, struct uuid node)
{
	const struct node_entry *n = state_node(core_state(server_core(w->d->server)), node);
	struct question *q = xcalloc(1, sizeof(*q));

	q->owner = w;
	q->node = node;
	q->consul = q->self = WITNESS_UNKNOWN;
	q->next = w->questions;
	q->prev = &w->questions;
	if (w->questions)
		w->questions->prev = &q->next;
	w->questions = q;
	if (n) {
		ask_consul(q, n->spec);
		ask_node(q, n->spec);
	}
	answer_when_complete(q);
}

/* ---- who is gone ---- */

struct on_machine {
	struct core *core;
	const char *name;
};

static bool suspect(void *arg, struct node_entry *n)
{
	const struct on_machine *m = arg;

	if (str_eq(strmap_get(&n->spec->attributes, "unique.consul.name"), m->name))
		core_node_suspect(m->core, n->id, SUSPECT_CONSUL, clock_now());
	return true;
}

static void suspect_nodes(struct witness *w, const char *name)
{
	struct on_machine m = {.core = server_core(w->d->server), .name = name};

	if (!server_leads(w->d->server))
		return;
	state_each_node(core_state(m.core), suspect, &m);
	server_kick(w->d->server);
}

void witness_on_role(struct witness *w)
{
	const char *name;

	for (uint32_t i = 0; w && witness_next(w, &i, &name);)
		suspect_nodes(w, name);
}

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
		suspect_nodes(w, c->node);
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
}

/* ---- life ---- */

struct witness *witness_start(const struct daemon *d)
{
	static const char *const query[] = {"filter", "CheckID == \"serfHealth\"", NULL};
	struct witness *w;

	if (!d->server)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->d = d;
	if (d->consul)
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
	while (w->questions)
		question_free(w->questions);
	for (uint32_t i = 0; (g = witness_next(w, &i, &name));)
		free(g);
	map_free(&w->gone);
	free(w);
}
