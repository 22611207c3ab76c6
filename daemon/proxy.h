/*
 * proxy: passes a request on to another agent and its answer back, as it comes: to the node that has an allocation,
 * or from an agent without the server role to a server. A request is passed on once; the second agent answers or
 * refuses.
 */
#ifndef DAEMON_PROXY_H
#define DAEMON_PROXY_H

#include "daemon/httpd.h"

void proxy_to(struct call *c, const char *host_port);
/* To the server that answered this agent last; 501 when it knows none. */
void proxy_to_server(struct call *c);
bool proxy_is_forwarded(const struct call *c);

#endif
