/*
 * silence: allocations that must not go on without the servers: those whose group says stop_on_client_after (or
 * stop_after_client_disconnect) stop by themselves when no server has answered for so long. Nobody but this client can keep
 * that promise, so the time counts on while the agent is away: when a server answered last is on disk, <state>/contact, by
 * the clock of this boot. And so that silence means something, servers are asked three times within the shortest of these times.
 */
#ifndef AGENT_SILENCE_H
#define AGENT_SILENCE_H

#include "agent/client_table.h"
#include "agent/pull.h"

struct silence;

/* Reads what an earlier agent left; looks at once. table and pull outlive it. */
struct silence *silence_start(struct event_base *base, const char *state_dir, const struct client_table *table, struct pull *pull);
void silence_stop(struct silence *s); /* NULL is fine */
/* There may be allocations that were not there before. */
void silence_look(struct silence *s);

#endif
