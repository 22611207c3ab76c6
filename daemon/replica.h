/*
 * replica: a server that shares its journal with others in Consul. It follows the log in a core that can be read, stands for
 * the leader lock whenever that is free, and turns its core into a leading one when it gets it. One leader writes; who lost the
 * lock reads the log anew. A log that somebody deleted is put back by who has read it, best of all by who led until then.
 */
#ifndef DAEMON_REPLICA_H
#define DAEMON_REPLICA_H

#include "discovery/kvlog.h"
#include "sched/core.h"

struct event_base;
struct replica;

enum replica_state {
	REPLICA_READING,   /* the log has not been read to its end yet */
	REPLICA_FOLLOWING,
	REPLICA_CLAIMING,  /* follows, and has asked for the lock */
	REPLICA_LEADING,
	REPLICA_LEAVING,   /* follows, and does not stand any more */
	REPLICA_HALTED,    /* cannot read the log: a newer format */
	REPLICA_STATES,
};
extern const char *const replica_state_names[REPLICA_STATES];

struct replica_config {
	const char *prefix;   /* of the log's keys, without a slash at the end */
	const char *check_id; /* TTL check that the session hangs on (discovery/leader_session.h) */
	int64_t ttl;          /* of that check */
	struct log_head me;   /* id, name, address; feature: the level that this cluster may use */
	struct core_config core;
};
struct replica_ops {
	/* A core that has read the whole log takes the place of the one before, which the owner closes. Replica keeps reading into it
	 * until on_lead or the next on_core. */
	void (*on_core)(void *arg, struct core *core);
	void (*on_followed)(void *arg); /* it has grown; may come often */
	/* It leads, over this journal, which is the owner's from now on. */
	void (*on_lead)(void *arg, struct core *core, struct journal *j);
	/* The lock is lost or may be lost: the owner closes the journal, retires the core, then calls replica_rejoin(). */
	void (*on_lost)(void *arg, const char *why);
	void (*on_state)(void *arg); /* state, leader or trouble are different */
	void (*on_missing_check)(void *arg); /* Consul does not know the TTL check */
};

struct replica *replica_new(struct event_base *base, struct consul *c, const struct replica_config *config,
    const struct replica_ops *ops, void *arg);
void replica_free(struct replica *r); /* not from inside the callbacks */
/* Whether it may begin a log where there is none: not before enough servers are there, for example; why is shown while it may not. For
 * the lock of a log that exists it always stands. */
void replica_stand(struct replica *r, bool may, const char *why);
/* Whether no other server has the id of this one, as far as is known: then a lock that bears it was held by an earlier life of this server,
 * whose session is ended. Until it is said, it is not known. */
void replica_set_alone(struct replica *r, bool alone);
/* The feature level that all servers of this cluster read; counts from the next time on that this one takes the lock. */
void replica_set_feature(struct replica *r, int64_t level);
/* past: the core that led, retired, which stays the owner's and alive until on_core gives another; seq: of the last batch that it
 * wrote. It is read until the log has been read, if all of it was committed; and when the log is not there any more, it is what the
 * log is begun anew with, for nobody has read more. */
void replica_rejoin(struct replica *r, const struct core *past, uint64_t seq);
/* Gives up lock and session for good; done is called when Consul knows, or does not answer within 2 s. */
void replica_leave(struct replica *r, void (*done)(void *arg), void *arg);

enum replica_state replica_state(const struct replica *r);
bool replica_is_read(const struct replica *r); /* the owner's core may be read: one that was given, or what is past */
/* "host:port" of the server that holds the lock, "" when nobody does. */
const char *replica_leader(const struct replica *r);
const struct log_head *replica_head(const struct replica *r); /* of the lock as read last */
void replica_position(const struct replica *r, struct kvlog_position *out);
const char *replica_trouble(const struct replica *r); /* why it does not follow or lead; "" */

#endif
