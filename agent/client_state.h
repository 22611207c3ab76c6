/*
 * client_state: what the client keeps on disk to find everything again after it was killed:
 *   <state>/node                 "<node id> <secret>\n", 0600, written durably once
 *   <state>/allocs/<id>/alloc    the allocation with its job, as the servers described it
 *   <state>/allocs/<id>/state    what was observed: phases, restart counts, task states with events
 *   <state>/allocs/<id>/<task>/  the keeper's record (agent/keeper.h)
 * alloc and state are "DRVS", a format number, the CRC-32C of the rest, then base/wire bricks; each is replaced by
 * rename, so a kill of the agent leaves the old or the new one. They are not synced: a power cut ends the tasks as
 * well. A record that is empty or torn is reported and treated as absent, never as "nothing runs here": the keepers'
 * records are looked at, and the servers describe the allocation again.
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
	struct restart_tracker restarts;
	bool restart_asked; /* it is being stopped for a restart that somebody asked for */
	struct task_state *state;
};

struct alloc_record {
	bool stopping;
	int health; /* -1 unhealthy, 0 not known yet, 1 healthy */
	int64_t health_at;
	struct task_record *tasks;
	uint32_t n;
};

/* Id and secret of this node: read, or made and written durably. */
int client_state_identity(const char *dir, char id[UUID_STR], char secret[UUID_STR], struct err *e);

int client_state_save_alloc(const char *alloc_record_dir, const struct allocation *a, const struct job *job, struct err *e);
/* The allocation comes with its job. -ENOENT: none; -EBADMSG: damaged. */
int client_state_load_alloc(const char *alloc_record_dir, struct arena *arena, struct allocation **out, struct err *e);
int client_state_save(const char *alloc_record_dir, const struct alloc_record *r, struct err *e);
int client_state_load(const char *alloc_record_dir, struct arena *arena, struct alloc_record *out, struct err *e);

#endif
