/*
 * services: what this agent wants to stand in its local Consul agent, and keeping it so. The owner says what is wanted;
 * registering and removing begin at once, and on a timer all of it is compared with all that is present (never a stream of
 * differences): what is missing or differs is registered again, what is ours and not wanted is removed. One service that
 * Consul refuses does not hold up another.
 *
 * Whose an entry is, is written in its meta: external-source "drover", and who, where and for which cluster. Removed is what
 * is not wanted and
 *   has our owner id,
 *   or the address of our API: an earlier life of this agent, whose data folder is gone, or
 *   or our agent's name, data folder and cluster: the same with another address. (Two agents on one machine may have one name,
 *   never one folder.)
 * Everything else, of Nomad, of other agents and clusters, is never touched.
 *
 * Budget: in a steady state two calls to Consul for each comparison, reports of TTL checks beside; at most 8 calls under way.
 */
#ifndef DISCOVERY_SERVICES_H
#define DISCOVERY_SERVICES_H

#include "discovery/consul.h"

struct event_base;
struct services;

#define SERVICES_SOURCE  "external-source" /* meta keys */
#define SERVICES_OWNER   "drover-owner"
#define SERVICES_CLUSTER "drover-cluster"
#define SERVICES_AGENT   "drover-agent"   /* name */
#define SERVICES_ADDRESS "drover-address" /* "host:port" of its API */
#define SERVICES_FOLDER  "drover-folder"  /* of its data */
#define SERVICES_ALLOC   "drover-alloc"   /* of a task's service; the caller's */

struct services_config {
	const char *owner;    /* id of this agent */
	const char *agent, *address, *folder; /* its name, its "host:port", its data folder */
	int64_t interval;     /* of the full comparison, ns; 0 = 30 s; with a jitter of a quarter */
	int64_t settle;       /* after the start nothing is removed for so long, ns: what is wanted is not all known yet; 0 = 15 s */
};

enum services_event { SERVICES_REGISTERED, SERVICES_REMOVED, SERVICES_FAILED };
struct services_ops {
	/* A wanted service stands in Consul as wanted (again); or an unwanted one is gone; or Consul refused (err), which is tried again. */
	void (*on_event)(void *arg, const char *id, enum services_event event, const struct err *e);
	/* Consul cannot be asked at all (e), or can again (NULL). */
	void (*on_trouble)(void *arg, const struct err *e);
};

struct services *services_new(struct event_base *base, struct consul *c, const struct services_config *config,
    const struct services_ops *ops, void *arg);
void services_free(struct services *s); /* leaves in Consul what is there */
/* Known once the cluster is joined; marks what is registered from then on, and repairs what is there. */
void services_set_cluster(struct services *s, const char *cluster_id);

/* The id that a check without one gets. In the arena. */
const char *services_check_id(const char *service_id, const struct consul_check_registration *c, struct arena *a);
/* Adds it, or replaces the one with the same id. Copied; the marks are added to its meta, and a check without an id gets one
 * that is a hash of what it is. With enable_tag_override, tags that somebody changed in Consul are left alone. */
void services_want(struct services *s, const struct consul_service_registration *r);
/* Not wanted any more: SERVICES_REMOVED follows, also when it never stood there. False: it was not wanted. */
bool services_unwant(struct services *s, const char *id);
/* Removes what an earlier life of this agent may have registered, and does not want it: SERVICES_REMOVED follows. */
void services_remove(struct services *s, const char *id);
/* State of a TTL check of a wanted service: sent at once when it is another one, and again well within its TTL. */
void services_report(struct services *s, const char *check_id, const char *status, const char *output);
/* Compare now (somebody says that Consul lost something). */
void services_kick(struct services *s);
/* Removes everything of ours; done when it is gone or after `wait`: for an orderly leave. */
void services_leave(struct services *s, int64_t wait, void (*done)(void *arg), void *arg);

/* What stands where, for people and for the audit. */
struct services_item {
	const char *id, *name;
	bool wanted, present, differs; /* differs: present, but not as wanted */
	const char *error;             /* of the last attempt, "" = none */
	int64_t since;                 /* clock_now() when it came to be in this state */
};
/* In the arena; sorted by id. */
void services_list(const struct services *s, struct arena *a, struct services_item **out, uint32_t *n);

#endif
