/*
 * sources: one entry for each source; an entry that asks over the network has at most one question under way, so a
 * resolver that hangs costs one thread for each name.
 */
#include "discovery/sources.h"

#include <errno.h>

#include <event2/event.h>
#include <event2/util.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "discovery/consul.h"
#include "discovery/dns.h"
#include "discovery/resolve.h"
#include "discovery/server_address.h"

#define LOOK_FIRST (1 * SECOND)
#define LOOK_MAX   (8 * SECOND)
#define LOOK_IDLE  (60 * SECOND)
#define DISK_MAX   65536 /* bytes */

struct entry {
	struct source pub; /* strings of the arena of the sources, but for what follows */
	struct sources *owner;
	struct arena *arena; /* of pub.heard */
	char *error;
	int code; /* of error */
	struct server_address asked; /* of a configured name */
	struct resolve *resolve;
	struct dns_query *query;
};

struct sources {
	struct event_base *base;
	struct arena *arena;
	struct sources_config config;
	void (*on_change)(void *arg);
	void *arg;
	struct entry entries[SOURCES_MAX + SOURCE_KINDS];
	uint32_t n;
	struct dns *dns;
	struct consul_watch *watch;
	struct event *timer;
	bool hurry, started;
	int64_t pause;
};

/* ---- results ---- */

struct list { /* being gathered */
	struct arena *arena;
	struct heard *v;
	uint32_t n;
};

static struct list list_new(void)
{
	struct list l = {.arena = arena_new()};

	l.v = arena_alloc(l.arena, SOURCE_MAX_SERVERS * sizeof(*l.v));
	return l;
}

static void list_add(struct list *l, const struct server_address *a, bool ill)
{
	char text[SERVER_ADDRESS_STR];

	server_address_format(a, text);
	for (uint32_t i = 0; i < l->n; i++) {
		if (str_eq(l->v[i].address, text)) {
			l->v[i].ill &= ill;
			return;
		}
	}
	if (l->n < SOURCE_MAX_SERVERS)
		l->v[l->n++] = (struct heard){.address = arena_strdup(l->arena, text), .ill = ill};
}

static int list_add_text(struct list *l, const char *text, bool secure, struct err *e)
{
	struct server_address a;
	int rc = server_address_read(text, secure, &a, e);

	if (rc == 0)
		list_add(l, &a, false);
	return rc;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct heard *)a)->address, ((const struct heard *)b)->address);
}

static bool is_same(const struct source *s, const struct list *l)
{
	if (s->n != l->n)
		return false;
	for (uint32_t i = 0; i < l->n; i++)
		if (!str_eq(s->heard[i].address, l->v[i].address) || s->heard[i].ill != l->v[i].ill)
			return false;
	return true;
}

/* What comes from elsewhere is news; of the rest somebody else speaks. */
static void say(const struct entry *x)
{
	bool news = x->pub.kind == SOURCE_CONSUL || x->pub.kind == SOURCE_DNS || x->resolve || x->asked.is_name;
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < x->pub.n; i++)
		buf_printf(&b, "%s%s%s", i ? ", " : "", x->pub.heard[i].address, x->pub.heard[i].ill ? " (critical)" : "");
	log_line(news ? LOG_INFO : LOG_DEBUG, "client", "servers, %s: %s", x->pub.name, b.len ? b.data : "none");
}

static void set_error(struct entry *x, const struct err *e)
{
	if (e && e->code && e->code != x->code)
		log_warn("client", "servers, %s: %s", x->pub.name, err_str(e));
	free(x->error);
	x->error = e && e->code ? xstrdup(err_str(e)) : NULL;
	x->code = e ? e->code : 0;
	x->pub.error = x->error;
	x->pub.at = clock_now();
}

/* Takes the list; e says what is to be known beside it, or why it is empty. */
static void take(struct entry *x, struct list *l, const struct err *e)
{
	bool same;

	qsort(l->v, l->n, sizeof(*l->v), by_address);
	same = is_same(&x->pub, l);
	set_error(x, e);
	if (same) {
		arena_free(l->arena);
		return;
	}
	arena_free(x->arena);
	x->arena = l->arena;
	x->pub.heard = l->v;
	x->pub.n = l->n;
	say(x);
	if (x->owner->started)
		x->owner->on_change(x->owner->arg);
}

/* No answer, or one that names none. */
static void take_failure(struct entry *x, const struct err *e)
{
	struct list none;

	if (e->code != -ENOENT) {
		set_error(x, e);
		return;
	}
	none = list_new();
	take(x, &none, e);
}

/* ---- names ---- */

static void on_resolved(void *arg, const struct resolve_answer *answer)
{
	struct entry *x = arg;
	struct server_address a = x->asked;
	struct list l;

	x->resolve = NULL;
	if (answer->err.code) {
		take_failure(x, &answer->err);
		return;
	}
	l = list_new();
	for (uint32_t i = 0; i < answer->n; i++) {
		snprintf(a.host, sizeof(a.host), "%s", answer->addresses[i]);
		list_add(&l, &a, false);
	}
	take(x, &l, NULL);
}

static void look_up_name(struct entry *x)
{
	cleanup_err struct err e = ERR_INIT;

	if (x->resolve)
		return;
	if (resolve_start(x->owner->base, x->asked.host, on_resolved, x, &x->resolve, &e) < 0)
		set_error(x, &e);
}

/* ---- Consul DNS ---- */

static void on_srv(void *arg, const struct dns_answer *answer)
{
	struct entry *x = arg;
	struct server_address a = {.secure = x->owner->config.secure};
	struct list l;

	x->query = NULL;
	if (answer->err.code) {
		take_failure(x, &answer->err);
		return;
	}
	l = list_new();
	for (uint32_t i = 0; i < answer->n; i++) {
		snprintf(a.host, sizeof(a.host), "%s", answer->targets[i].address);
		a.port = answer->targets[i].port;
		list_add(&l, &a, false);
	}
	take(x, &l, NULL);
}

static void look_up_service(struct entry *x)
{
	const struct sources_config *c = &x->owner->config;
	cleanup_free char *name = xasprintf("%s.service.%s", c->service, c->domain);

	if (!x->query)
		x->query = dns_srv(x->owner->dns, name, 0, on_srv, x);
}

/* ---- Consul ---- */

/* Whether it says of itself that it is of another cluster. */
static bool is_other(const struct sources_config *c, const struct consul_service *s)
{
	const char *region = strmap_get(&s->meta, SERVER_META_REGION), *log = strmap_get(&s->meta, SERVER_META_LOG);

	return (region && !str_eq(region, c->region)) || (log && c->log && !str_eq(log, c->log));
}

static bool is_critical(const struct consul_instance_health *x)
{
	OBJS_EACH(&x->checks, struct consul_check, c)
		if (str_eq(c->status, "critical"))
			return true;
	return false;
}

/* Returns whether it is one of ours. */
static bool add_instance(struct list *l, const struct sources_config *c, const struct consul_instance_health *x)
{
	const struct consul_service *s = x->service;
	struct server_address a = {.secure = c->secure};
	const char *host, *scheme;

	if (!s || is_other(c, s))
		return false;
	host = !str_empty(s->address) ? s->address : x->node && x->node->address ? x->node->address : "";
	scheme = strmap_get(&s->meta, SERVER_META_SCHEME);
	if (scheme)
		a.secure = str_eq(scheme, "https");
	a.port = s->port > 0 && s->port < 65536 ? (uint16_t)s->port : SERVER_PORT;
	snprintf(a.host, sizeof(a.host), "%s", host);
	if (*a.host)
		list_add(l, &a, is_critical(x));
	return true;
}

static void on_instances(void *arg, const struct consul_answer *answer)
{
	struct entry *x = arg;
	const struct sources_config *c = &x->owner->config;
	cleanup_err struct err e = ERR_INIT;
	const struct consul_service_health *h = answer->object;
	struct list l;
	bool others = false;

	if (answer->err.code || !h) {
		set_error(x, &answer->err);
		return;
	}
	l = list_new();
	OBJS_EACH(&h->items, struct consul_instance_health, one)
		others |= !add_instance(&l, c, one);
	if (!l.n && others)
		err_set(&e, -ENOENT, "all instances of the service \"%s\" are of another cluster (region \"%s\" is ours)", c->service, c->region);
	else if (!l.n)
		err_set(&e, -ENOENT, "no instance of the service \"%s\", or none that the token may see", c->service);
	take(x, &l, &e);
}

/* ---- disk ---- */

static int read_disk(const char *path, bool secure, struct list *l, struct err *e)
{
	cleanup_buf struct buf b = BUF_INIT;
	json_t *root, *list, *item;
	size_t i;
	int rc = file_read(path, DISK_MAX, &b, e);

	if (rc < 0)
		return rc;
	root = json_loadb(b.data ? b.data : "", b.len, 0, NULL);
	list = json_object_get(root, "Servers");
	if (!json_is_array(list))
		rc = err_set(e, -EPROTO, "%s is damaged: expected {\"Servers\":[\"host:port\", ...]}; it is written anew", path);
	json_array_foreach(list, i, item)
		if (rc == 0 && list_add_text(l, json_is_string(item) ? json_string_value(item) : "", secure, e) < 0)
			rc = err_set(e, -EPROTO, "%s is damaged: item %zu of the list is no address of a server; it is written anew", path, i);
	json_decref(root);
	return rc;
}

static void load_disk(struct entry *x)
{
	cleanup_err struct err e = ERR_INIT;
	struct list l = list_new();
	int rc = read_disk(x->pub.where, x->owner->config.secure, &l, &e);

	if (rc < 0 && rc != -ENOENT) {
		arena_free(l.arena);
		set_error(x, &e);
		return;
	}
	take(x, &l, NULL); /* no file is an empty one */
}

static struct entry *find(struct sources *s, enum source_kind kind)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->entries[i].pub.kind == kind)
			return &s->entries[i];
	return NULL;
}

void sources_save(struct sources *s, const struct strs *list)
{
	struct entry *x = find(s, SOURCE_DISK);
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	struct list l;

	if (!x || !list->n)
		return;
	l = list_new();
	for (uint32_t i = 0; i < list->n; i++)
		list_add_text(&l, list->v[i], s->config.secure, NULL);
	qsort(l.v, l.n, sizeof(*l.v), by_address);
	if (!l.n || (is_same(&x->pub, &l) && !x->code)) {
		arena_free(l.arena);
		return;
	}
	buf_puts(&b, "{\"Servers\":[");
	for (uint32_t i = 0; i < l.n; i++) {
		buf_puts(&b, i ? "," : "");
		json_put_str(&b, l.v[i].address);
	}
	buf_puts(&b, "]}\n");
	/* Not synced: after a power cut the list before it is as good. */
	if (file_write_atomic(x->pub.where, b.data, b.len, 0600, false, &e) < 0) {
		arena_free(l.arena);
		set_error(x, &e);
		return;
	}
	take(x, &l, NULL);
}

/* ---- what the owner says ---- */

static struct entry *add_entry(struct sources *s, enum source_kind kind, const char *where, const char *off)
{
	static const char *const names[SOURCE_KINDS] = {"own server", "set by hand", "configured", "pushed", "Consul", "Consul DNS", "disk"};
	struct entry *x = &s->entries[s->n++];

	x->owner = s;
	x->pub.kind = kind;
	x->pub.name = names[kind];
	x->pub.where = arena_strdup(s->arena, where);
	x->pub.off = arena_strdup(s->arena, off);
	return x;
}

void sources_set(struct sources *s, enum source_kind kind, const struct strs *list)
{
	struct entry *x = find(s, kind);
	cleanup_err struct err e = ERR_INIT;
	struct list l = list_new();

	for (uint32_t i = 0; i < list->n; i++)
		list_add_text(&l, list->v[i], s->config.secure, &e);
	take(x, &l, &e);
}

static int add_configured(struct sources *s, const char *text, struct err *e)
{
	struct server_address a;
	char address[SERVER_ADDRESS_STR];
	struct entry *x;
	struct list l;

	if (server_address_read(text, s->config.secure, &a, e) < 0)
		return err_wrap(e, "client { servers }");
	x = add_entry(s, SOURCE_CONFIGURED, server_address_format(&a, address), NULL);
	x->asked = a;
	/* The certificate of a server bears its name: curl looks that up, and tries all addresses. */
	if (a.is_name && !a.secure)
		return 0;
	l = list_new();
	list_add(&l, &a, false);
	take(x, &l, NULL);
	return 0;
}

/* ---- looking ---- */

static void set_timer(struct sources *s, int64_t after)
{
	uint32_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	after = (int64_t)((double)after * (0.75 + r / 4294967296.0 / 2));
	event_add(s->timer, &(struct timeval){after / SECOND, after % SECOND / 1000});
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct sources *s = arg;

	for (uint32_t i = 0; i < s->n; i++) {
		struct entry *x = &s->entries[i];

		if (x->pub.kind == SOURCE_CONFIGURED && x->asked.is_name && !x->asked.secure)
			look_up_name(x);
		else if (x->pub.kind == SOURCE_DNS && s->dns)
			look_up_service(x);
	}
	set_timer(s, s->hurry ? s->pause : LOOK_IDLE);
	s->pause = MIN(s->pause * 2, LOOK_MAX);
}

void sources_hurry(struct sources *s, bool hurry)
{
	if (hurry == s->hurry)
		return;
	s->hurry = hurry;
	s->pause = LOOK_FIRST;
	if (hurry)
		set_timer(s, 0);
}

/* ---- life ---- */

static const char *const no_consul = "no consul {} block";

static int add_consul(struct sources *s, struct err *e)
{
	const struct sources_config *c = &s->config;
	const char *off = c->consul_off ? c->consul_off : c->consul ? NULL : no_consul;
	struct entry *http = add_entry(s, SOURCE_CONSUL, c->consul ? consul_address(c->consul) : "", off);
	cleanup_free char *where = off ? xstrdup("") : xasprintf("%s.service.%s by %s", c->service, c->domain, c->dns);

	add_entry(s, SOURCE_DNS, where, off ? off : str_empty(c->dns) ? "consul { dns = \"\" }" : NULL);
	if (off)
		return 0;
	if (!str_empty(c->dns) && dns_new(s->base, c->dns, &s->dns, e) < 0)
		return err_wrap(e, "consul { dns }");
	s->watch = consul_watch(c->consul, &(struct consul_watch_config){
	                                       .op = &consul_health_service,
	                                       .args = {.name = c->service, .stale = true}, /* also while Consul has no leader */
	                                       .report = on_instances,
	                                       .arg = http,
	                                   });
	return 0;
}

static void copy_config(struct sources *s, const struct sources_config *c)
{
	const char **const texts[] = {&s->config.own, &s->config.disk, &s->config.dns, &s->config.service, &s->config.domain,
	    &s->config.region, &s->config.log, &s->config.consul_off};

	s->config = *c;
	s->config.configured = NULL;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = arena_strdup(s->arena, *texts[i]);
}

int sources_new(struct event_base *base, const struct sources_config *config, void (*on_change)(void *arg), void *arg,
    struct sources **out, struct err *e)
{
	struct sources *s = xcalloc(1, sizeof(*s));
	int rc = 0;

	s->base = base;
	s->arena = arena_new();
	s->on_change = on_change;
	s->arg = arg;
	s->hurry = true;
	s->pause = LOOK_FIRST;
	s->timer = evtimer_new(base, on_timer, s);
	if (!s->timer)
		die("out of memory");
	copy_config(s, config);
	if (s->config.own) {
		add_entry(s, SOURCE_OWN, "", NULL);
		sources_set(s, SOURCE_OWN, &(struct strs){.v = &s->config.own, .n = 1});
	}
	add_entry(s, SOURCE_HAND, "", NULL);
	for (uint32_t i = 0; i < config->configured->n && i < SOURCES_MAX && rc == 0; i++)
		rc = add_configured(s, config->configured->v[i], e);
	add_entry(s, SOURCE_PUSHED, "", NULL);
	if (rc == 0)
		rc = add_consul(s, e);
	if (rc < 0) {
		sources_free(s);
		return rc;
	}
	if (s->config.disk)
		load_disk(add_entry(s, SOURCE_DISK, s->config.disk, NULL));
	set_timer(s, 0);
	s->started = true;
	*out = s;
	return 0;
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	consul_unwatch(s->watch);
	for (uint32_t i = 0; i < s->n; i++) {
		resolve_cancel(s->entries[i].resolve);
		dns_cancel(s->entries[i].query);
		arena_free(s->entries[i].arena);
		free(s->entries[i].error);
	}
	dns_free(s->dns);
	event_free(s->timer);
	arena_free(s->arena);
	free(s);
}

uint32_t sources_count(const struct sources *s)
{
	return s->n;
}

const struct source *sources_at(const struct sources *s, uint32_t i)
{
	return &s->entries[i].pub;
}
