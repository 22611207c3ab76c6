/*
 * nodes: timers of the nodes that are expected to live, and who is to be asked about. What follows from them is decided in
 * sched/core_liveness.c. Nothing here is journaled: a new leader begins with what the state says was seen (core_node_await).
 *
 * Times are counted: the clock's, less what all nodes were excused for, so that an excuse puts everything off at once.
 */
#ifndef SCHED_NODES_H
#define SCHED_NODES_H

#include "sched/core.h"

enum life_phase {
	LIFE_NONE,    /* nothing is expected of it: it is down */
	LIFE_FINE,    /* timer: its heartbeat is late by the grace */
	LIFE_RENEWS,  /* its held request broke off; timer: it should have asked again */
	LIFE_SUSPECT, /* in nodes.suspects; timer: nobody has asked */
	LIFE_ASKED,   /* timer: no answer */
	LIFE_WAITED,  /* the answers leave it some time; timer: ask again */
};

struct nodes {
	struct heap timers;   /* node_life.timer; key: counted time */
	int64_t excused;
	struct link suspects; /* node_life.queue, oldest first */
	uint32_t asked;       /* in LIFE_ASKED */
	int64_t heard;        /* the last word of any node (counted) */
	int64_t self_asked;   /* when another node was asked whether this server hears anybody (counted) */
	int64_t seen_at;      /* when last words are written next (not counted); NEVER: there is nothing new */
};

void nodes_init(struct nodes *n);
void nodes_release(struct nodes *n);
/* The time to live that a node is given: max(min_heartbeat_ttl, nodes / max_heartbeats_per_second), and a share of the same
 * again that depends on the node and the instant, so that heartbeats spread. */
int64_t nodes_ttl(const struct core_config *c, uint32_t n_nodes, struct uuid node, int64_t now);
int64_t nodes_shortest_ttl(const struct core_config *c, uint32_t n_nodes); /* the longest is twice that */
static inline int64_t nodes_time(const struct nodes *n, int64_t now) /* counted */
{
	return now - n->excused;
}
/* at: counted; of LIFE_NONE none. */
void nodes_set(struct nodes *n, struct node_entry *node, enum life_phase phase, int64_t at);
void nodes_forget(struct nodes *n, struct node_entry *node); /* it is down or gone; fine when not expected */
void nodes_excuse(struct nodes *n, int64_t time); /* puts everything off; negative: brings it back */
struct node_entry *nodes_due(const struct nodes *n, int64_t now); /* one whose timer has run out, or NULL */
int64_t nodes_deadline(const struct nodes *n);    /* when core_tick is wanted; NEVER */

/* A class of nodes that are alike for placement: datacenter, pool, class and what is not unique in attributes and meta. */
const char *nodes_computed_class(struct arena *a, const struct node *n);

#endif
