/*
 * leader_session: the session that the leader lock hangs on. It lives as long as two checks pass: a TTL check of ours, which
 * this file keeps passing, and serfHealth of the Consul node. So a dead server loses the lock within the TTL, and one whose machine
 * is cut off within Consul's own detection. Where other agents still see the machine but Consul's servers do not hear of it, neither
 * check ends: for that the session has a time to live of its own, the shortest that Consul grants, which this file renews; Consul
 * ends it after at most twice that time. The TTL check belongs to a service that somebody else registers
 * (discovery/services.h); this file only reports to it.
 *
 * A session is made at once and kept ready, so that a standby can take a free lock without another step.
 */
#ifndef DISCOVERY_LEADER_SESSION_H
#define DISCOVERY_LEADER_SESSION_H

#include "discovery/consul.h"

struct event_base;
struct leader_session;

struct leader_session_config {
	const char *name;     /* of the session, for people */
	const char *check_id; /* the TTL check */
	int64_t ttl;          /* of that check; it is reported to five times in this time */
};
struct leader_session_ops {
	void (*on_ready)(void *arg, const char *session); /* a new one */
	void (*on_lost)(void *arg, const char *why);      /* the one that was ready is no more; another one follows */
	void (*on_missing)(void *arg);                    /* Consul does not know the check: register it again */
	/* It cannot be had at the moment, and goes on trying; NULL: it can again. */
	void (*on_trouble)(void *arg, const struct err *e);
};

struct leader_session *leader_session_new(struct event_base *base, struct consul *c,
    const struct leader_session_config *config, const struct leader_session_ops *ops, void *arg);
/* Without a word to Consul: the session ends by its checks. Not from inside the callbacks. */
void leader_session_free(struct leader_session *s);
const char *leader_session_id(const struct leader_session *s); /* "" while there is none */
/* Ends the session in Consul, so that its lock is free at once, and makes no other. done may be NULL. */
void leader_session_release(struct leader_session *s, void (*done)(void *arg), void *arg);

#endif
