/*
 * client_state: what the client keeps on disk to find everything again after it was killed:
 *   <state>/node                    "<node id> <secret>\n", 0600, written durably once
 *   <state>/allocs/<id>/record      frames, appended: the allocation with its job as the servers described it, and what
 *                                   was observed: phases, restart counts, task states with events; the newest of each counts
 *   <state>/allocs/<id>/<task>.run  the keeper's record (agent/keeper.h)
 * A record is "DRVS", a format number, then frames: u32 length of the body, u32 CRC-32C of kind and body, u8 kind,
 * body of base/wire bricks; integers little-endian. A kill of the agent leaves at most a torn last frame, which is cut
 * off; a record that has grown is written anew and replaced by rename. Nothing is synced: a power cut ends the tasks as
 * well. What is damaged is reported and treated as absent, never as "nothing runs here": the keepers' records are looked
 * at, and the servers describe the allocation again.
 */
#ifndef AGENT_CLIENT_STATE_H
#define AGENT_CLIENT_STATE_H

#include "agent/restart.h"
#include "base/err.h"
#include "base/model.h"
#include "base/uuid.h"

struct task_record {
	const char *name;
	uint64_t phase; /* enum task_phase */
	uint64_t starts; /* number of the last start */
	struct restart_tracker restarts;
	int64_t restart_at; /* Unix ns: when it starts again, of one that waits for that */
	uint64_t restart_asked; /* enum task_restart: it is being stopped for that */
	struct task_state *state;
};

struct alloc_record {
	bool stopping;
	int health; /* -1 unhealthy, 0 not known yet, 1 healthy */
	int64_t health_at;
	bool in_consul; /* entries of its services may stand there */
	struct task_record *tasks;
	uint32_t n;
};

/* Id and secret of this node: read, or made and written durably. */
int client_state_identity(const char *dir, char id[UUID_STR], char secret[UUID_STR], struct err *e);

struct client_record { /* NULL: not there, or damaged */
	struct allocation *alloc; /* with its job */
	struct alloc_record *state;
	const char *trouble; /* what was found damaged, a sentence */
};

/* dir: <state>/allocs/<id>, which exists. */
int client_state_save_alloc(const char *dir, const struct allocation *a, const struct job *job, struct err *e);
int client_state_save(const char *dir, const struct alloc_record *r, struct err *e);
/* Everything found is in the arena; a torn end is cut off the file. */
void client_state_load(const char *dir, struct arena *arena, struct client_record *out);

#endif
