/*
 * check_watch: what Consul says of all checks on this machine, by one blocking read for the whole agent. Which node of Consul
 * that is, the local Consul agent says. While Consul cannot be asked, nothing is known of any check, and nobody is to draw
 * conclusions from that.
 */
#ifndef AGENT_CHECK_WATCH_H
#define AGENT_CHECK_WATCH_H

#include "discovery/consul.h"

struct event_base;
struct check_watch;

struct check_watch_ops {
	/* The Consul agent has told who it is; again whenever Consul was away meanwhile. */
	void (*on_agent)(void *arg, const struct consul_agent_self *self);
	/* All checks of the node, each time one has changed; NULL: Consul cannot be asked, said once. */
	void (*on_checks)(void *arg, const struct consul_checks *checks);
};

struct check_watch *check_watch_start(struct event_base *base, struct consul *c, const struct check_watch_ops *ops, void *arg);
void check_watch_stop(struct check_watch *w); /* not from inside */
bool check_watch_knows(const struct check_watch *w); /* the last read was answered */
/* Our token may not read them: a sentence, as opposed to a Consul that is away; else NULL. */
const char *check_watch_refusal(const struct check_watch *w);

#endif
