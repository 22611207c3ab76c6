/*
 * proxy: passes a request on to another agent and its answer back, as it comes: to the node that has an allocation,
 * from an agent without the server role to a server, or from a server that does not lead to the one that does. A request is
 * passed on three times at most: to a server, to the leader, to the node.
 */
#ifndef DAEMON_PROXY_H
#define DAEMON_PROXY_H

#include "daemon/httpd.h"

void proxy_to(struct call *c, const char *host_port);
/* The same; whoever leads next is asked when that server was not reached, and also when a read, or what an agent says of its
 * node, broke off before its answer began or is still waited for when another server leads. */
void proxy_to_leader(struct call *c, const char *host_port);
/* To the server that answered this agent last; 501 when it knows none. */
void proxy_to_server(struct call *c);
bool proxy_is_passed_on(const struct call *c);  /* it comes from another agent */
bool proxy_is_forwarded(const struct call *c); /* as often as may be */

#endif
