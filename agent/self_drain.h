/*
 * self_drain: an agent that is to stop empties its node first: asks the servers for a drain, waits until they say that it is
 * done (every process gone, every entry out of Consul), and says goodbye. Servers that do not answer are asked again until
 * the deadline is over: work is not lost because a server was away for a moment.
 */
#ifndef AGENT_SELF_DRAIN_H
#define AGENT_SELF_DRAIN_H

#include "agent/link.h"

struct event_base;
struct self_drain;

struct self_drain_config {
	int64_t deadline; /* of the drain, ns; 0 = none */
	bool force, ignore_system_jobs;
};
/* done is called once, from the loop: complete, or given up some time after the deadline. */
struct self_drain *self_drain_start(struct event_base *base, struct server_link *link, const struct self_drain_config *config,
    void (*done)(void *arg, bool complete), void *arg);
/* Not from inside done. The link must be closed before, or no answer can come any more. */
void self_drain_free(struct self_drain *d);

#endif
