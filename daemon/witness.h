/*
 * witness: what Consul's own failure detection says of machines: which nodes of Consul are gone (serfHealth critical), known within
 * seconds by one blocking read. Two things follow from it, on the server that leads:
 *
 * - A drover node on such a machine that is not heard either is down after half of its time to live (core_node_doubt). One witness alone
 *   decides nothing: a node whose Consul agent was killed beats on, and one whose beats are lost is given its whole time.
 * - What the machine has left in the catalog is removed when it has been gone for long enough (daemon/sweep.h).
 */
#ifndef DAEMON_WITNESS_H
#define DAEMON_WITNESS_H

#include "daemon/daemon.h"

struct witness;

/* NULL without a server role or without Consul. */
struct witness *witness_start(const struct daemon *d);
void witness_stop(struct witness *w); /* NULL is fine */

/* A machine that is gone. */
struct gone {
	int64_t since; /* monotonic, as this server has seen it */
	bool seen;     /* in the last answer */
	bool doubted;  /* its nodes were, while this server led */
	bool swept;    /* the owner's of the sweep */
};
/* for (uint32_t i = 0; (g = witness_next(w, &i, &name));) in any order. NULL: no more. Valid until the loop runs. */
struct gone *witness_next(struct witness *w, uint32_t *i, const char **name);
struct gone *witness_find(struct witness *w, const char *name); /* NULL: it is not gone, or not any more */
/* Whether an entry of the catalog bears the mark of this cluster. */
bool witness_is_ours(const struct daemon *d, const struct consul_service *x);

#endif
