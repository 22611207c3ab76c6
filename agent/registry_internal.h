/* registry_internal: what the files of the registry share: services (registry.c) and their checks (registry_checks.c). */
#ifndef AGENT_REGISTRY_INTERNAL_H
#define AGENT_REGISTRY_INTERNAL_H

#include <sys/queue.h>

#include "agent/alloc_run.h"
#include "agent/alloc_services.h"
#include "agent/check_watch.h"
#include "agent/registry.h"
#include "agent/script_check.h"
#include "base/map.h"

struct event;

struct registry {
	struct event_base *base;
	struct services *services;
	const struct registry_ops *ops;
	void *arg;
	struct check_watch *watch;
	struct script_pool *scripts;
	struct map entries; /* id of the service -> struct entry */
	struct map checks;  /* id of the check -> struct live_check */
	struct event *restarts; /* when the next failing check is due to restart its task */
};

struct live_check {
	struct entry *entry;
	const struct wanted_check *want;
	char *id;
	char status[12]; /* as Consul says; "" = it has not said anything yet */
	char *output;    /* never NULL */
	int64_t since;   /* Unix ns, of the status */
	int64_t grace_until, bad_since; /* monotonic; bad_since 0 = not failing */
	struct script_check *script;
};

struct entry { /* a service that stands in Consul, or may */
	TAILQ_ENTRY(entry) list;
	struct presence *presence;
	char *id, *name, *task; /* task NULL: of the group */
	const struct wanted_service *want; /* of presence.list; NULL: it is on its way out */
	bool registered;
	bool waited;     /* on its way out for longer than REGISTRY_PATIENCE */
	int64_t left_at; /* monotonic */
	int64_t since;   /* Unix ns, of what it is now */
	char *error;     /* Consul's last word; NULL = none */
	struct live_check *checks;
	uint32_t n;
};

struct presence { /* of one allocation */
	struct registry *owner;
	struct alloc_run *alloc;
	struct arena *arena;
	struct objs list; /* struct wanted_service */
	bool *told;       /* of each: its problem became an event */
	const struct job *job; /* of which the list was made, and when */
	uint64_t index;
	TAILQ_HEAD(, entry) entries;
	struct event *patience;
};

/* ---- registry_checks.c ---- */
/* Makes the entry's checks those of entry->want; what was known of those that stay is kept. */
void registry_begin_checks(struct entry *e);
void registry_end_checks(struct entry *e);
void registry_on_checks(void *arg, const struct consul_checks *checks);
void registry_on_restarts(int fd, short what, void *arg); /* of a timer */
void registry_describe_checks(const struct entry *e, struct arena *arena, struct objs *out);

#endif
