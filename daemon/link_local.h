/*
 * link_local: the server link of an agent that has both roles: calls go straight into the core; answers come from the
 * loop once what they rest on is committed.
 */
#ifndef DAEMON_LINK_LOCAL_H
#define DAEMON_LINK_LOCAL_H

#include "agent/link.h"
#include "daemon/server.h"

/* address: "host:port" of this agent, copied. */
struct server_link *link_local_new(struct server *s, const char *address);

#endif
