/*
 * server: the core on the loop. Requests change the core from HTTP handlers and from the local link; the turn that
 * follows schedules in bounded slices, starts one commit for everything that came together, and when the journal has
 * it, lets go of the answers that rest on it and wakes those who watch.
 *
 * With a journal of its own (file, memory) a server always leads. With the shared journal in Consul it follows the leader,
 * or leads (daemon/replica.h): a follower's state is committed and may be read by who accepts that it is a moment old; everything else is the
 * leader's. Answers of a leader that are not meant to be stale wait until a round trip that began after their request has
 * shown that it still leads.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/config.h"
#include "daemon/replica.h"
#include "daemon/watch.h"
#include "sched/core.h"

struct event_base;
struct server;

/* Something that leaves when a journal index is committed, and what it says is known to be current. Embedded in its owner. */
struct rest;
typedef void rest_fn(struct rest *r);
struct rest {
	struct link link; /* both NULL when not waiting */
	uint64_t index, round;
	int64_t since; /* monotonic */
	rest_fn *fn;
	/* When fn is called: NULL, or why this will never be committed or confirmed here. What was asked for may have been done or
	 * not; valid during the call. */
	const char *failure;
};

struct server_config {
	const struct config *config;
	struct consul *consul; /* of a shared journal, else NULL */
	struct uuid id;        /* of this server */
	const char *check_id;  /* its TTL check in Consul, and the TTL */
	int64_t check_ttl;
	/* Called once when the journal cannot be trusted any more: the process must end, nothing that is not committed may leave. */
	void (*on_fatal)(void *arg);
	/* Called once: the shared journal has a format that this release cannot read. The role stays down: what is asked of it is passed on to
	 * another server, or refused with the reason. */
	void (*on_newer)(void *arg, const char *why);
	void (*on_missing_check)(void *arg);
	void (*on_role)(void *arg); /* leader, role or trouble are different */
	/* The core wants to know of a node, and is told by core_node_witness, also from inside. NULL: nobody knows anything. */
	void (*on_question)(void *arg, struct uuid node);
	void *arg;
};

/* Opens the journal and replays it; a shared one is read later, on the loop. */
int server_start(struct event_base *base, const struct server_config *c, struct server **out, struct err *e);
void server_stop(struct server *s);
struct core *server_core(const struct server *s); /* never NULL; another one after each change of role */
struct watch *server_watch(const struct server *s);
struct uuid server_id(const struct server *s);
/* Something may have changed in the core: a turn follows. Cheap, may be called any number of times. */
void server_kick(struct server *s);

/* What the core is told of time: the wall clock. When that was set, what is timed is put right first. */
int64_t server_now(struct server *s);

/* ---- who leads ---- */
bool server_leads(const struct server *s);
bool server_is_read(const struct server *s);         /* its state may be read */
const char *server_leader(const struct server *s);   /* "host:port"; "" when nobody leads */
const char *server_trouble(const struct server *s);  /* why it does not follow, lead or write; "" */
/* How old the state that it reads from may be, ns: since a leader knew that it leads, a follower that it has read everything. */
int64_t server_last_contact(const struct server *s);
bool server_knows_leader(const struct server *s); /* somebody leads, and was heard of lately */
struct replica *server_replica(const struct server *s); /* NULL with a journal of its own */
/* On a leader. 0: it may be asked to write, or for what is current. -EAGAIN, with the reason: the journal has not answered for too
 * long, for a write after some seconds, for the rest later: another server may lead by then, and nodes must find it. */
int server_check(const struct server *s, bool write, struct err *e);
bool server_is_halted(const struct server *s); /* it cannot read the journal; server_trouble tells why */
/* It leads, but its state holds what was never committed and the journal does not answer: not even a stale answer may come
 * from it. */
bool server_is_stuck(const struct server *s);
/* Hands leadership over and takes part no more; done is called when that is known, or cannot be known soon. */
void server_leave(struct server *s, void (*done)(void *arg), void *arg);

/* ---- answers ---- */
/* Whether an answer that rests on index must wait. stale: it need not be current. */
bool server_must_rest(const struct server *s, uint64_t index, bool stale);
/* Calls fn from the loop, never from inside, once index is committed and, unless stale, the leadership confirmed; or with a
 * failure. Order is kept. */
void server_rest(struct server *s, struct rest *r, uint64_t index, bool stale, rest_fn *fn);
void server_rest_cancel(struct rest *r);

struct server_stats {
	uint64_t commits, commit_ns, commit_max_ns; /* group commits since the start, their time */
	uint64_t confirms;
	uint64_t turns, watchers;
};
void server_stats(const struct server *s, struct server_stats *out);

#endif
