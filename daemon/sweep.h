/*
 * sweep: what a machine that is gone has left in Consul's catalog. A Consul agent that lives is asked and told by the drover
 * agent beside it; of one that is gone nobody takes anything away for days. The leading server does: when a node has been gone
 * (daemon/witness.h) for consul { sweep_after }, it removes the entries there that bear the mark of this cluster, and no other.
 * Should the node come back, its Consul agent brings them back by itself. One removal at a time.
 */
#ifndef DAEMON_SWEEP_H
#define DAEMON_SWEEP_H

#include "daemon/witness.h"

struct sweep;

/* NULL where there is nothing to do: no server role, no Consul, sweep_after = 0. The witness outlives it. */
struct sweep *sweep_start(const struct daemon *d, struct witness *witness);
void sweep_stop(struct sweep *s);

#endif
