/*
 * link: how the client role reaches the servers. Two implementations: in-process, for an agent that has both
 * roles (daemon/link_local.c), and HTTP to whichever server answers (agent/link_http.c). Calls return at once;
 * `done` is called later from the loop, exactly once, never from inside the call.
 *
 * The HTTP form (all bodies are types of base/model.def, CODEC_PEER; header X-Nomad-Token: the node's secret):
 *   PUT /v1/internal/node/<id>/register   Node            -> NodeHello
 *   PUT /v1/internal/node/<id>/heartbeat  {}              -> NodeHello      (404: register again)
 *   GET /v1/internal/node/<id>/work?index=N&wait=DUR      -> NodeWork       (blocking; unchanged: same index)
 *   PUT /v1/internal/node/<id>/allocs     AllocUpdates    -> NodeHello      (only Index filled)
 *   PUT /v1/internal/node/<id>/farewell   NodeFarewell    -> NodeHello
 */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include "base/err.h"
#include "base/model.h"

struct link_answer {
	struct err err;              /* code 0 = fine; -ENOENT: the servers do not know this node */
	const struct node_hello *hello;
	const struct node_work *work; /* of link work calls; valid during the callback only */
};
typedef void link_done_fn(void *arg, const struct link_answer *answer);

struct server_link;
struct server_link_ops {
	void (*node_register)(struct server_link *l, const struct node *node, link_done_fn *done, void *arg);
	void (*heartbeat)(struct server_link *l, link_done_fn *done, void *arg);
	void (*work)(struct server_link *l, uint64_t index, int64_t wait, link_done_fn *done, void *arg);
	void (*update)(struct server_link *l, const struct alloc_updates *u, link_done_fn *done, void *arg);
	/* The node drains itself, asks how far that is, or leaves. hello says what became of the drain. */
	void (*farewell)(struct server_link *l, const struct node_farewell *f, link_done_fn *done, void *arg);
	/* Address of the server that answered last (discovery/server_address.h), NULL when none did: what agent-info prints. */
	const char *(*server)(struct server_link *l);
	void (*close)(struct server_link *l); /* cancels what is under way; no done is called any more */
};
struct server_link {
	const struct server_link_ops *ops;
	/* Set by who makes the calls, may be NULL: somebody has become known who may answer, so what waits for its next try, and
	 * the next heartbeat, is worth trying now. From the loop, also from inside `done`. */
	void (*on_change)(void *arg);
	void *arg;
};

#endif
