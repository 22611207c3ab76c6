/*
 * play: a client on a real loop, with real keepers and real processes, whose servers are played: they desire what the
 * test or benchmark says, hear what the client reports, and can be away. Trouble in setting the stage ends the process.
 */
#ifndef TESTS_LIB_PLAY_H
#define TESTS_LIB_PLAY_H

#include "agent/client.h"

#define PLAY_ID1 "11111111-1111-1111-1111-111111111111"
#define PLAY_ID2 "22222222-2222-2222-2222-222222222222"

struct play {
	struct event_base *base;
	struct arena *arena;
	struct client *client; /* NULL while there is none */
	struct client_config config; /* may be changed before play_start */
	char dir[64];          /* data_dir */
	/* The servers. */
	struct server_link link;
	struct node_work work; /* what is desired now */
	struct objmap seen;    /* id -> latest alloc_update */
	struct strs trail;     /* "id8 status" each time that it changed */
	/* Called instead of keeping `seen` and `trail`. */
	void (*on_update)(struct play *p, const struct alloc_update *u);
	bool broken;           /* every call fails */
	bool forgot;           /* the node is unknown */
	int64_t report, completed; /* what the node is asked to report for; what it has last said to be complete */
	int registrations, updates;
	struct {
		link_done_fn *done;
		void *arg;
	} waiting; /* the blocking read */
	struct play_answer *answers; /* on their way */
};

/* A stage: loop, folder, configuration; no client yet. */
void play_open(struct play *p);
void play_start(struct play *p);
/* The client ends as an agent that is stopped; tasks go on. What was reported so far is forgotten. */
void play_halt(struct play *p);
void play_close(struct play *p);
/* The same without removing the folder. */
void play_leave(struct play *p);

void play_run_ms(struct play *p, int ms);
/* Lets the client's blocking read return. */
void play_wake(struct play *p);

/* One job "j" with the group "g" whose body is JSON. */
struct job *play_job(struct play *p, const char *type, const char *group);
/* A task as JSON: a shell command, and more attributes ("" or `"KillTimeout":1`). */
const char *play_sh(struct play *p, const char *name, const char *command, const char *more);
/* Desires an allocation of the job; more: further attributes as JSON, or "". It is in work.allocs afterwards. */
struct allocation *play_want(struct play *p, const char *id, struct job *j, const char *more);
struct allocation *play_desire(struct play *p, const char *id, struct job *j);
void play_desire_stop(struct play *p, struct allocation *a);
/* The servers forget all allocations. */
void play_forget(struct play *p, const char *id);

const struct alloc_update *play_seen(struct play *p, const char *id);
bool play_is(struct play *p, const char *id, const char *status);
/* The text of a file below the alloc_dir; "" when there is none. */
char *play_slurp(struct play *p, const char *fmt, ...) PRINTF(2, 3);
/* Sets DROVER_KEEPER to the keeper of the build that this executable is of, unless it is set. */
void play_find_keeper(void);

#endif
