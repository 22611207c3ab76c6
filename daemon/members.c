#include "daemon/members.h"

#include <errno.h>

#include "base/log.h"
#include "daemon/peer.h"
#include "daemon/server.h"
#include "discovery/sources.h"

#define META_PREFIX  SERVER_META_LOG
#define META_REGION  SERVER_META_REGION
#define META_DC      "drover-dc"
#define META_VERSION "drover-version"
#define META_EXPECT  "drover-expect"
#define META_FEATURE "drover-feature" /* level of what it can read in the log */
#define SESSION_CHECK "_drover-session-"

struct forget {
	struct members *owner;
	struct forget *next;
	struct consul_call *call;
	void (*done)(void *arg, const struct err *e);
	void *arg;
};

struct members {
	struct daemon *d;
	struct consul_watch *watch;
	struct arena *arena; /* of list */
	struct member *list; /* others and, when it is registered, this one */
	uint32_t n;
	bool known;  /* Consul has answered */
	bool told_of_twin;
	char *error; /* of the last look, NULL after an answer */
	struct forget *forgets;
	unsigned leaving; /* entries of ours that are still there */
	void (*left)(void *arg);
	void *left_arg;
};

const char *members_server_service(const struct daemon *d, struct arena *a)
{
	return arena_printf(a, "_drover-server-%s", d->id_text);
}

const char *members_client_service(const struct daemon *d, struct arena *a)
{
	return arena_printf(a, "_drover-client-%s", d->id_text);
}

const char *members_session_check(const struct daemon *d, struct arena *a)
{
	return arena_printf(a, SESSION_CHECK "%s", d->id_text);
}

static bool is_shared(const struct daemon *d)
{
	return d->config->server.enabled && str_eq(d->config->server.journal, "consul");
}

/* ---- what is registered ---- */

static void split_address(const char *address, struct arena *a, const char **host, int64_t *port)
{
	const char *colon = strrchr(address, ':');
	const char *h = arena_strndup(a, address, (size_t)(colon - address));

	if (*h == '[')
		h = arena_strndup(a, h + 1, strlen(h) - 2);
	*host = h;
	*port = atoi(colon + 1);
}

static struct consul_service_registration *describe(
    const struct daemon *d, struct arena *a, const char *id, const char *name)
{
	const struct config *c = d->config;
	struct consul_service_registration *r = MODEL_NEW(a, consul_service_registration);
	const char *host;
	int64_t port;

	split_address(c->advertise_http, a, &host, &port);
	MODEL_SET(consul_service_registration, r, id, id);
	MODEL_SET(consul_service_registration, r, name, name);
	MODEL_SET(consul_service_registration, r, address, host);
	MODEL_SET(consul_service_registration, r, port, port);
	strs_push(a, &r->tags, "http");
	for (uint32_t i = 0; i < c->consul.tags.n; i++)
		strs_push(a, &r->tags, c->consul.tags.v[i]);
	strmap_set(a, &r->meta, META_REGION, c->region);
	strmap_set(a, &r->meta, META_DC, c->datacenter);
	strmap_set(a, &r->meta, META_VERSION, DROVER_VERSION);
	return r;
}

/* Consul asks the agent itself whether the role works: costs no call, and tells the truth also when the process hangs. */
static void add_health_check(
    const struct daemon *d, struct arena *a, struct consul_service_registration *r, const char *role)
{
	const struct config *c = d->config;
	struct consul_check_registration *check = MODEL_NEW(a, consul_check_registration);

	MODEL_SET(consul_check_registration, check, name, arena_printf(a, "drover %s works", role));
	MODEL_SET(consul_check_registration, check, http,
	    arena_printf(a, "%s/v1/agent/health?type=%s", peer_url(c, a, c->advertise_http), role));
	if (c->tls.http)
		MODEL_SET(consul_check_registration, check, tls_skip_verify, true); /* it asks its own machine */
	MODEL_SET(consul_check_registration, check, interval, 10 * SECOND);
	MODEL_SET(consul_check_registration, check, timeout, 5 * SECOND);
	MODEL_SET(consul_check_registration, check, deregister_after, c->consul.deregister_after);
	MODEL_SET(consul_check_registration, check, status, "passing");
	objs_push(a, &r->checks, check);
}

static void add_session_check(const struct daemon *d, struct arena *a, struct consul_service_registration *r)
{
	struct consul_check_registration *check = MODEL_NEW(a, consul_check_registration);

	MODEL_SET(consul_check_registration, check, check_id, members_session_check(d, a));
	MODEL_SET(consul_check_registration, check, name, "drover server is alive");
	MODEL_SET(consul_check_registration, check, notes, "The session of the leader lock hangs on this.");
	MODEL_SET(consul_check_registration, check, ttl, MEMBERS_SESSION_TTL);
	MODEL_SET(consul_check_registration, check, status, "passing");
	objs_push(a, &r->checks, check);
}

static void register_server(const struct daemon *d, struct arena *a)
{
	const struct config *c = d->config;
	struct consul_service_registration *r =
	    describe(d, a, members_server_service(d, a), c->consul.server_service_name);

	if (c->tls.http)
		strmap_set(a, &r->meta, SERVER_META_SCHEME, "https");
	strmap_set(a, &r->meta, META_EXPECT, arena_printf(a, "%d", c->server.bootstrap_expect));
	if (is_shared(d)) {
		strmap_set(a, &r->meta, META_PREFIX, c->consul.kv_prefix);
		strmap_set(a, &r->meta, META_FEATURE, arena_printf(a, "%d", KVLOG_FEATURE));
		add_session_check(d, a, r);
	}
	add_health_check(d, a, r, "server");
	services_want(d->services, r);
}

static void register_client(const struct daemon *d, struct arena *a)
{
	struct consul_service_registration *r =
	    describe(d, a, members_client_service(d, a), d->config->consul.client_service_name);

	add_health_check(d, a, r, "client");
	services_want(d->services, r);
}

static void register_self(struct members *m)
{
	const struct daemon *d = m->d;
	cleanup_arena struct arena *a = arena_new();

	/* The leader lock hangs on the registration of the server, whether people want to see it or not. */
	if (d->services && d->config->server.enabled && (d->config->consul.auto_advertise || is_shared(d)))
		register_server(d, a);
	if (d->services && d->config->client.enabled && d->config->consul.auto_advertise)
		register_client(d, a);
}

/* ---- and taken back ---- */

void members_on_service(struct members *m, const char *id, enum services_event event)
{
	cleanup_arena struct arena *a = arena_new();

	if (!m || !m->left || event != SERVICES_REMOVED)
		return;
	if (str_eq(id, members_server_service(m->d, a)) || str_eq(id, members_client_service(m->d, a)))
		if (--m->leaving == 0)
			STEAL(m->left)(m->left_arg);
}

void members_leave(struct members *m, void (*done)(void *arg), void *arg)
{
	cleanup_arena struct arena *a = arena_new();
	struct services *s = m->d->services;

	m->left_arg = arg;
	m->leaving = s ? services_unwant(s, members_server_service(m->d, a)) + services_unwant(s, members_client_service(m->d, a)) : 0;
	if (m->leaving)
		m->left = done;
	else
		done(arg);
}

/* ---- who is there ---- */

/*
 * A server is there when its machine is and the check of its session passes. Whether it works is another question: one that waits
 * for others to begin, or for a leader, is no failed one. A server that shares nothing has the check of its health alone.
 */
static bool tells_of_life(const struct daemon *d, const struct consul_check *c)
{
	return !is_shared(d) || str_eq(c->check_id, "serfHealth") || str_starts(c->check_id ? c->check_id : "", SESSION_CHECK);
}

/* A check that is missing tells of nothing: a Consul agent brings back piece by piece what was removed from the catalog. */
static const char *status_of(const struct daemon *d, const struct consul_instance_health *x)
{
	bool alive = !is_shared(d);

	OBJS_EACH(&x->checks, struct consul_check, c)
	{
		if (str_eq(c->status, "critical") && tells_of_life(d, c))
			return "failed";
		alive |= str_starts(c->check_id ? c->check_id : "", SESSION_CHECK);
	}
	return alive ? "alive" : "failed";
}

static bool has_agent(const struct consul_instance_health *x)
{
	OBJS_EACH(&x->checks, struct consul_check, c)
		if (str_eq(c->check_id, "serfHealth") && str_eq(c->status, "passing"))
			return true;
	return false;
}

static const char *meta(const struct consul_service *s, const char *key)
{
	const char *v = strmap_get(&s->meta, key);

	return v ? v : "";
}

static bool is_one_of_us(const struct daemon *d, const struct consul_service *s)
{
	return str_eq(meta(s, SERVICES_SOURCE), "drover") && str_eq(meta(s, META_REGION), d->config->region) &&
	    (!is_shared(d) || str_eq(meta(s, META_PREFIX), d->config->consul.kv_prefix));
}

static struct member self(const struct daemon *d)
{
	const struct config *c = d->config;

	return (struct member){
	    .name = c->name,
	    .id = d->id_text,
	    .address = c->advertise_http,
	    .region = c->region,
	    .datacenter = c->datacenter,
	    .version = DROVER_VERSION,
	    .status = "alive",
	    .node = "",
	    .service_id = "",
	    .expect = c->server.bootstrap_expect,
	    .cluster = "",
	    .feature = KVLOG_FEATURE,
	    .self = true,
	};
}

static void take_instance(struct members *m, const struct consul_instance_health *x)
{
	const struct consul_service *s = x->service;
	const char *host;

	if (!s || !is_one_of_us(m->d, s))
		return;
	host = !str_empty(s->address) ? s->address : x->node && x->node->address ? x->node->address : "";
	m->list[m->n++] = (struct member){
	    .name = meta(s, SERVICES_AGENT),
	    .id = meta(s, SERVICES_OWNER),
	    .address = arena_printf(m->arena, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, (int)s->port),
	    .region = meta(s, META_REGION),
	    .datacenter = meta(s, META_DC),
	    .version = meta(s, META_VERSION),
	    .status = status_of(m->d, x),
	    .node = x->node && x->node->node ? x->node->node : "",
	    .service_id = s->id ? s->id : "",
	    .has_agent = has_agent(x),
	    .expect = atoi(meta(s, META_EXPECT)),
	    .cluster = meta(s, SERVICES_CLUSTER),
	    .feature = *meta(s, META_FEATURE) ? atoi(meta(s, META_FEATURE)) : 1,
	};
	m->list[m->n - 1].self =
	    str_eq(m->list[m->n - 1].id, m->d->id_text) && str_eq(m->list[m->n - 1].address, m->d->config->advertise_http);
}

/* Who has read a log, when this server sees none: it will put it back. NULL: nobody, or this server itself. */
static const struct member *keeper_of_the_log(const struct members *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!m->list[i].self && *m->list[i].cluster && str_eq(m->list[i].status, "alive"))
			return &m->list[i];
	return NULL;
}

/* Another machine with our id: a data folder was copied, as with an image of a machine that had run. */
static bool has_twin(struct members *m)
{
	const struct member *twin = NULL;

	for (uint32_t i = 0; i < m->n && !twin; i++)
		if (!m->list[i].self && str_eq(m->list[i].id, m->d->id_text) && str_eq(m->list[i].status, "alive"))
			twin = &m->list[i];
	if (twin && !m->told_of_twin)
		log_error("server", "server %s at %s has the id of this one: its data folder is a copy of ours, or ours of its; stop one of them, remove "
		    "%s/agent-id there, and start it again", twin->name, twin->address, m->d->config->data_dir);
	m->told_of_twin = twin;
	return twin;
}

/* A log is begun when as many servers are there as each of them expects, and none of them has read one. What is written into it, all
 * of them can read, also those that are away at the moment. */
static void stand(struct members *m)
{
	struct replica *r = m->d->server ? server_replica(m->d->server) : NULL;
	uint32_t expect = (uint32_t)MAX(1, m->d->config->server.bootstrap_expect), alive = 0;
	const struct member *keeper = keeper_of_the_log(m);
	int64_t feature = KVLOG_FEATURE;
	cleanup_free char *why = NULL;

	if (!r)
		return;
	for (uint32_t i = 0; i < m->n; i++) {
		alive += str_eq(m->list[i].status, "alive");
		feature = MIN(feature, m->list[i].feature);
	}
	replica_set_feature(r, feature);
	replica_set_alone(r, m->known && !has_twin(m));
	if (keeper)
		why = xasprintf("waiting for server %s, which has read a log that is not in Consul any more, to put it back", keeper->name);
	else if (m->known)
		why = xasprintf("waiting for servers in Consul: %u of %u (server { bootstrap_expect }) are there%s%s", alive, expect,
		    m->error ? "; " : "", m->error ? m->error : "");
	else
		why = xasprintf("waiting for Consul: %s", m->error ? m->error : "no answer yet");
	replica_stand(r, m->known && !keeper && alive >= expect, why);
}

static void on_servers(void *arg, const struct consul_answer *answer)
{
	struct members *m = arg;
	const struct consul_service_health *h = answer->object;

	free(m->error);
	m->error = answer->err.code ? xstrdup(err_str(&answer->err)) : NULL;
	if (answer->err.code || !h) { /* what was known stays */
		stand(m);
		return;
	}
	arena_free(m->arena);
	m->arena = STEAL(((struct consul_answer *)answer)->arena);
	m->list = arena_alloc(m->arena, (h->items.n + 1) * sizeof(*m->list));
	m->n = 0;
	m->known = true;
	OBJS_EACH(&h->items, struct consul_instance_health, x)
		take_instance(m, x);
	stand(m);
}

static int by_name(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->id, y->id);
}

void members_list(const struct members *m, struct arena *a, struct member **out, uint32_t *n)
{
	struct member *list;
	bool there;

	*n = 0;
	*out = NULL;
	if (!m)
		return;
	there = !m->d->server;
	list = arena_alloc(a, (m->n + 1) * sizeof(*list));
	for (uint32_t i = 0; i < m->n; i++) {
		list[(*n)++] = m->list[i].self ? self(m->d) : m->list[i];
		there |= m->list[i].self;
	}
	if (!there)
		list[(*n)++] = self(m->d);
	qsort(list, *n, sizeof(*list), by_name);
	*out = list;
}

const char *members_other(const struct members *m, bool any)
{
	const char *failed = "";

	for (uint32_t i = 0; m && i < m->n; i++) {
		if (m->list[i].self)
			continue;
		if (str_eq(m->list[i].status, "alive"))
			return m->list[i].address;
		failed = m->list[i].address;
	}
	return any ? failed : "";
}

/* ---- forgetting one ---- */

static void unlink_forget(struct forget *f)
{
	struct forget **at = &f->owner->forgets;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
}

static void on_forgotten(void *arg, const struct consul_answer *answer)
{
	struct forget *f = arg;

	unlink_forget(f);
	f->done(f->arg, &answer->err);
	free(f);
}

static const struct member *find_member(const struct members *m, const char *name)
{
	for (uint32_t i = 0; i < m->n; i++) {
		cleanup_free char *full = xasprintf("%s.%s", m->list[i].name, m->list[i].region);

		if (str_eq(name, full) || str_eq(name, m->list[i].name))
			return &m->list[i];
	}
	return NULL;
}

static bool is_beside_us(const struct members *m, const struct member *x)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->list[i].self)
			return str_eq(m->list[i].node, x->node);
	return false;
}

/* Of a machine that is gone the catalog can be told; where a Consul agent lives, that has the last word. */
int members_forget(struct members *m, const char *name, void (*done)(void *arg, const struct err *e), void *arg,
    struct err *e)
{
	const struct member *x = find_member(m, name);
	struct consul_catalog_deregistration gone = {0};
	bool beside;
	struct forget *f;

	if (!x)
		return err_set(e, -ENOENT, "no server named \"%s\" is known", name);
	if (str_eq(x->status, "alive"))
		return err_set(e, -EBUSY, "server \"%s\" is alive; stop it there", name);
	beside = is_beside_us(m, x);
	if (!beside && x->has_agent)
		return err_set(e, -EBUSY, "server \"%s\" has failed, but the Consul agent of its machine (node %s) lives and would bring it back: "
		    "remove it there, with `consul services deregister -id=%s`; else Consul does so after consul { deregister_after }", name,
		    x->node, x->service_id);
	MODEL_SET(consul_catalog_deregistration, &gone, node, x->node);
	MODEL_SET(consul_catalog_deregistration, &gone, service_id, x->service_id);
	f = xcalloc(1, sizeof(*f));
	f->owner = m;
	f->done = done;
	f->arg = arg;
	f->next = m->forgets;
	m->forgets = f;
	f->call = beside ?
	    consul_call(m->d->consul, &consul_service_deregister, &(struct consul_args){.name = x->service_id}, on_forgotten, f) :
	    consul_call(m->d->consul, &consul_catalog_deregister, &(struct consul_args){.name = name, .object = &gone}, on_forgotten, f);
	return 0;
}

/* ---- life ---- */

struct members *members_start(struct daemon *d)
{
	struct members *m = xcalloc(1, sizeof(*m));

	m->d = d;
	register_self(m);
	if (d->consul && d->config->server.enabled)
		m->watch = consul_watch(d->consul, &(struct consul_watch_config){
		                                       .op = &consul_health_service,
		                                       .args = {.name = d->config->consul.server_service_name},
		                                       .report = on_servers,
		                                       .arg = m,
		                                   });
	stand(m);
	return m;
}

void members_stop(struct members *m)
{
	if (!m)
		return;
	consul_unwatch(m->watch);
	while (m->forgets) {
		struct forget *f = m->forgets;

		m->forgets = f->next;
		consul_cancel(f->call);
		free(f);
	}
	arena_free(m->arena);
	free(m->error);
	free(m);
}
