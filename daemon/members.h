/*
 * members: the servers of this cluster as this agent knows them: itself, and with Consul all that are registered there
 * under server_service_name with the same log. Also what this agent registers of itself.
 */
#ifndef DAEMON_MEMBERS_H
#define DAEMON_MEMBERS_H

#include "daemon/daemon.h"
#include "discovery/services.h"

struct members;

struct member {
	const char *name, *id, *address; /* "host:port" of the API */
	const char *region, *datacenter, *version;
	const char *status;              /* alive, failed */
	const char *node, *service_id;   /* in Consul */
	bool has_agent;                  /* the Consul agent of its machine lives */
	int64_t expect;                  /* its bootstrap_expect */
	const char *cluster;             /* whose log it has read; "" = none */
	int64_t feature;                 /* level of what it can read in the log */
	bool self;
};

/* The ids of what an agent registers of itself. In the arena. */
const char *members_server_service(const struct daemon *d, struct arena *a);
const char *members_client_service(const struct daemon *d, struct arena *a);
const char *members_session_check(const struct daemon *d, struct arena *a);
#define MEMBERS_SESSION_TTL (2500 * MILLI) /* how long a dead leader holds the lock at most */

/* Registers this agent in Consul and watches for servers, as configured; without Consul it knows itself alone. */
struct members *members_start(struct daemon *d);
void members_stop(struct members *m);
/* What became of a wanted service; NULL is fine. */
void members_on_service(struct members *m, const char *id, enum services_event event);
/* Takes this agent's own entries out of Consul, those of its tasks stay; done is called when they are gone, or at once. */
void members_leave(struct members *m, void (*done)(void *arg), void *arg);
/* Sorted by name; in the arena, but for strings that live until the next turn of the loop. m NULL: none. */
void members_list(const struct members *m, struct arena *a, struct member **out, uint32_t *n);
/* "host:port" of another server that was alive when Consul last said so, or else, with any, of one that was not; "" when there is
 * none. */
const char *members_other(const struct members *m, bool any);
/* Removes a member that has failed from Consul. -ENOENT: there is none; -EBUSY: it is alive, or only its own machine can do it. done is called from the loop. */
int members_forget(struct members *m, const char *name, void (*done)(void *arg, const struct err *e), void *arg,
    struct err *e);

#endif
