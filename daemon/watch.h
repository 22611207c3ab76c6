/*
 * watch: who waits for what. A waiter names one thing (a table, a job, a node's work, ...) and is woken once, when
 * that thing changed or its deadline came. Changes are noted while journal entries are applied (the state's watch
 * callback); nobody runs before watch_deliver(), which the server calls once the change is committed.
 *
 * A look-up costs the length of one hash chain, so thousands of nodes that wait for their own work cost nothing to
 * a change that concerns one of them. Waiters are embedded in their owner, which removes them before it dies.
 */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "sched/state.h"

struct event_base;
struct watch;

enum watch_kind {
	WATCH_TABLE,      /* a = enum state_table */
	WATCH_JOB,        /* the job itself, its versions and its status */
	WATCH_JOB_ALLOCS, /* allocations of a job */
	WATCH_JOB_EVALS,
	WATCH_JOB_ALL,    /* any of the three: summaries, "why" */
	WATCH_NODE,
	WATCH_NODE_WORK,  /* allocations placed on a node */
	WATCH_NODE_ALL,   /* the node or its allocations */
	WATCH_ALLOC,
	WATCH_EVAL,
	WATCH_DEPLOYMENT,
	WATCH_LEADER,     /* who leads */
};

struct watch_key {
	enum watch_kind kind;
	uint64_t a, b; /* a job is known by a hash of its name: a collision costs a needless wake-up, nothing else */
};
struct watch_key watch_table(enum state_table table);
struct watch_key watch_job(enum watch_kind kind, const char *ns, const char *id);
struct watch_key watch_id(enum watch_kind kind, struct uuid id);
struct watch_key watch_leader(void);

struct waiter;
typedef void waiter_fn(struct waiter *w, bool expired);
struct waiter { /* fields belong to watch.c */
	struct link link;
	struct heap_item deadline; /* key: monotonic ns */
	struct watch_key key;
	waiter_fn *fn;
	bool expired;
};

struct watch *watch_new(struct event_base *base);
void watch_free(struct watch *w); /* every waiter must be gone */
/* Waits at most `wait` ns. The waiter must not be waiting already. */
void watch_add(struct watch *w, struct waiter *waiter, struct watch_key key, int64_t wait, waiter_fn *fn);
void watch_remove(struct watch *w, struct waiter *waiter); /* fine when it does not wait */
/* Moves those who wait for the key to the woken; they run at the next watch_deliver(). */
void watch_wake(struct watch *w, struct watch_key key);
/* All of them: the state that they watched was replaced by another one. */
void watch_wake_all(struct watch *w);
/* The state's callback: wakes everything that an object's change concerns. arg is the watch. */
void watch_on_change(void *arg, enum state_table table, const void *obj, bool deleted);
bool watch_has_woken(const struct watch *w);
/* Runs the woken, at most `budget` ns long; true when some are left. */
bool watch_deliver(struct watch *w, int64_t budget);
uint32_t watch_count(const struct watch *w);

#endif
