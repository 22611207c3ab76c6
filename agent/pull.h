/*
 * pull: the client's conversation with the servers over a link (agent/link.h): register, heartbeat, ask for work,
 * report what was observed. Whatever fails is tried again with growing pauses, for ever; nothing that fails here stops
 * a task. At most one call of each kind is under way, so a slow server is asked less, not more.
 */
#ifndef AGENT_PULL_H
#define AGENT_PULL_H

#include "agent/client.h"

struct pull;
struct alloc_updates;

struct pull_ops { /* what the conversation is about; called from the loop */
	/* stale: the answer is older than one seen before; it must not stop anything. whole: it names all that the servers
	 * know of this node, not what has changed. */
	void (*on_work)(void *arg, const struct node_work *work, bool stale, bool whole);
	/* With each answer to a registration or heartbeat. */
	void (*on_hello)(void *arg, const struct node_hello *hello);
	/* The servers know the node (again): everything should be reported. */
	void (*on_registered)(void *arg);
	/* Fills in what waits to be reported, at most a batch; false when nothing does. */
	bool (*collect)(void *arg, struct arena *a, struct alloc_updates *out);
	void (*on_reported)(void *arg, bool accepted);
};

struct pull *pull_start(struct event_base *base, struct server_link *link, const struct node *node,
    const struct pull_ops *ops, void *arg);
/* The caller closes the link before, or without running the loop in between: an answer must not come any more. */
void pull_stop(struct pull *p);
/* There is something to report. Cheap; the report leaves in this or the next turn of the loop, or, when it is not urgent,
 * within 100 ms, together with what comes until then. */
void pull_push(struct pull *p, bool urgent);
/* Monotonic: when a server answered last; 0 = none has yet. */
int64_t pull_contact(const struct pull *p);
/* A server is asked at least this often (ns), so that silence means something; 0 = as often as the servers want. Cheap. */
void pull_pace(struct pull *p, int64_t pace);
/* The node is another one than it was: the servers are told. */
void pull_renew(struct pull *p);
void pull_stats(const struct pull *p, struct client_stats *out); /* heartbeat, server, waiting_for */

#endif
