/*
 * nodes: who is alive. A deadline for each node that is not down, moved by its heartbeats; what is missed is told to the core,
 * which writes the node down. Deadlines are not journaled: after a start every node has failover_heartbeat_ttl to speak.
 */
#ifndef SCHED_NODES_H
#define SCHED_NODES_H

#include "sched/core.h"

struct nodes {
	struct heap deadlines; /* struct node_entry.deadline, without excused */
	int64_t excused;       /* what all of them were put off by */
};

/* The time to live that a node is given: max(min_heartbeat_ttl, nodes / max_heartbeats_per_second), and a share of the same
 * again that depends on the node and the instant, so that heartbeats spread. */
int64_t nodes_ttl(const struct core_config *c, uint32_t n_nodes, struct uuid node, int64_t now);
void nodes_expect(struct nodes *n, struct node_entry *node, int64_t deadline);
void nodes_heard(struct nodes *n, struct node_entry *node, int64_t now, int64_t ttl, int64_t grace); /* and expects the next */
/* The deadline becomes half of the time to live after the last heartbeat, or ttl from now when there was none. Once until it is heard. */
void nodes_doubt(struct nodes *n, struct node_entry *node, int64_t now, int64_t ttl, int64_t grace);
void nodes_forget(struct nodes *n, struct node_entry *node); /* it is down or gone; fine when not expected */
void nodes_excuse(struct nodes *n, int64_t time); /* puts all deadlines off; negative: brings them back */
struct node_entry *nodes_missed(const struct nodes *n, int64_t now); /* one whose deadline has passed, or NULL */
int64_t nodes_deadline(const struct nodes *n);
void nodes_release(struct nodes *n);

/* A class of nodes that are alike for placement: datacenter, pool, class and what is not unique in attributes and meta. */
const char *nodes_computed_class(struct arena *a, const struct node *n);

#endif
