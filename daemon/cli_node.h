/* cli_node: what all commands about one node share: finding it, and how its status reads. */
#ifndef DAEMON_CLI_NODE_H
#define DAEMON_CLI_NODE_H

#include "daemon/cli_show.h"

/* What people read as the status of a node: "active" for one that is ready and heartbeats. */
const char *cli_node_status(const char *status);
/* The id of the agent's own node; prints what is wrong and returns NULL. */
const char *cli_node_self(struct cli *c);
/* Who asks, for what is kept of a request: "user@host". */
const char *cli_who(struct cli *c);
/*
 * The id of the node that text is the (beginning of the) id of. what begins the sentence of an error; "No node(s) with
 * <how> "x" found". Prints what is wrong and returns NULL.
 */
const char *cli_node_find(struct cli *c, const char *text, const char *what, const char *how);
/* The table of nodes (struct node_stub). running: the number of running allocations by node id, or NULL. */
void cli_node_table(struct cli *c, const struct objs *stubs, const struct intmap *running, FILE *out);

#endif
