/*
 * witness: who can tell whether a machine lives that is not heard. Consul's own failure detection says within seconds which of
 * its nodes are gone (serfHealth critical): one blocking read. Two things follow from it on the server that leads:
 *
 * - Drover's nodes there are suspected (core_node_suspect); so are, without Consul, those whose held request broke off and those whose
 *   heartbeats are late. Of each that is suspected both are asked: Consul for the health of its machine, and the agent itself at its
 *   address, with a second to answer. What follows from their words is the core's to decide (sched/core_liveness.c).
 * - What the machine has left in the catalog is removed when it has been gone for long enough (daemon/sweep.h).
 *
 * A node's machine has the name in Consul that the node's fingerprint found there (unique.consul.name). While nobody is suspected
 * nobody is asked.
 */
#ifndef DAEMON_WITNESS_H
#define DAEMON_WITNESS_H

#include "daemon/daemon.h"

struct witness;

/* NULL without a server role. Without Consul only the nodes themselves are asked. */
struct witness *witness_start(const struct daemon *d);
void witness_stop(struct witness *w); /* NULL is fine */
/* This server begins to lead, or ceases: the nodes of machines that are gone are suspected anew. */
void witness_on_role(struct witness *w); /* NULL is fine */
/* Asks about the node and tells the core, also when the node is not known any more. */
void witness_ask(struct witness *w, struct uuid node);

/* A machine that is gone. */
struct gone {
	int64_t since; /* monotonic, as this server has seen it */
	bool seen;     /* in the last answer */
	bool swept;    /* the owner's of the sweep */
};
/* for (uint32_t i = 0; (g = witness_next(w, &i, &name));) in any order. NULL: no more. Valid until the loop runs. */
struct gone *witness_next(struct witness *w, uint32_t *i, const char **name);
struct gone *witness_find(struct witness *w, const char *name); /* NULL: it is not gone, or not any more */
/* Whether an entry of the catalog bears the mark of this cluster. */
bool witness_is_ours(const struct daemon *d, const struct consul_service *x);

#endif
