/*
 * server: the core on the loop. Requests change the core from HTTP handlers and from the local link; the turn that
 * follows schedules in bounded slices, starts one commit for everything that came together, and when the journal has
 * it, lets go of the answers that rest on it and wakes those who watch.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/config.h"
#include "daemon/watch.h"
#include "sched/core.h"

struct event_base;
struct server;

/* Something that leaves when a journal index is committed. Embedded in its owner. */
struct rest;
typedef void rest_fn(struct rest *r);
struct rest {
	struct link link; /* both NULL when not waiting */
	uint64_t index;
	rest_fn *fn;
};

/* Opens the journal and replays it. on_fatal is called once when the journal cannot be trusted any more: the
 * process must end, nothing that is not committed may leave. */
int server_start(struct event_base *base, const struct config *c, void (*on_fatal)(void *), void *arg,
    struct server **out, struct err *e);
void server_stop(struct server *s);
struct core *server_core(const struct server *s);
struct watch *server_watch(const struct server *s);
struct uuid server_id(const struct server *s);
/* Something may have changed in the core: a turn follows. Cheap, may be called any number of times. */
void server_kick(struct server *s);
bool server_is_committed(const struct server *s, uint64_t index);
/* Calls fn from the loop, never from inside, once index is committed. Order is kept. */
void server_rest(struct server *s, struct rest *r, uint64_t index, rest_fn *fn);
void server_rest_cancel(struct rest *r);

struct server_stats {
	uint64_t commits, commit_ns, commit_max_ns; /* group commits since the start, their time */
	uint64_t turns, watchers;
};
void server_stats(const struct server *s, struct server_stats *out);

#endif
