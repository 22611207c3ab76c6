/*
 * registry: what the allocations of this client have in Consul: their services for as long as their tasks run, taken out
 * before those are stopped; and what Consul says of their checks, which feeds the health of allocations and restarts. One
 * for each client with a Consul. Without one, run_host.registry is NULL, and the functions that take an allocation do
 * nothing and say that nothing stands.
 *
 * A service stands while its task runs: a group's service while the task that it names does, or else all main tasks. Never
 * does anything here stop or restart a task because Consul is away: what is not known of a check has no consequences.
 */
#ifndef AGENT_REGISTRY_H
#define AGENT_REGISTRY_H

#include "base/buf.h"
#include "discovery/consul.h"
#include "discovery/services.h"

/* How long the stop of a task and the end of an allocation wait for Consul's word that an entry is gone. */
#define REGISTRY_PATIENCE (3 * SECOND)

struct alloc_run;
struct event_base;
struct registry;

struct registry_ops {
	void (*on_agent)(void *arg, const struct consul_agent_self *self); /* of check_watch_ops */
};
struct registry *registry_new(struct event_base *base, struct consul *c, struct services *s, const struct registry_ops *ops, void *arg);
void registry_free(struct registry *r); /* allocations are gone by then; what stands in Consul stays */
/* What became of a service of the agent's; those that are none of an allocation are ignored. */
void registry_on_service(struct registry *r, const char *id, enum services_event event, const struct err *e);

/* ---- of one allocation ---- */

/* Something about it has changed: wants what runs now, takes out the rest. */
void registry_sync(struct alloc_run *a);
/* After a restart of the agent, before the first sync: what may still stand from before, and runs no more, is taken out. */
void registry_restore(struct alloc_run *a);
void registry_forget(struct alloc_run *a); /* it is released */

/* Whether an entry of the task (and of the group), or any one with task NULL, is on its way out and worth waiting for. When
 * that changes, alloc_run_left() is called. */
bool registry_is_leaving(const struct alloc_run *a, const char *task);
/* Whether an entry of it stands in Consul, or may. */
bool registry_stands(const struct alloc_run *a);

enum registry_health {
	REGISTRY_FINE,    /* all is registered, and all checks that count pass */
	REGISTRY_BAD,
	REGISTRY_UNKNOWN, /* Consul cannot be asked */
};
enum registry_health registry_health(const struct alloc_run *a, struct buf *why);

/* What stands, and how it is: struct service_registration of base/model.def, with its checks. */
void registry_describe(const struct alloc_run *a, struct arena *arena, struct objs *out);

#endif
