/* farewell: what the servers do for a node that stops, whichever way it says so (agent/link.h). */
#ifndef DAEMON_FAREWELL_H
#define DAEMON_FAREWELL_H

#include "sched/core.h"

/* Sets the drain asked for, or marks the node as gone, and says in hello how far the drain is. */
int farewell_take(struct core *core, struct uuid node, const struct node_farewell *f, struct arena *a,
    struct node_hello *hello, struct err *e);

#endif
