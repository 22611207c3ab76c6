/*
 * link_http: the server link of a machine that has the client role alone: HTTP to whichever server answers. The list
 * of servers is the configured one until a server pushes its own (NodeHello.Servers); both are kept, and a server
 * that does not answer is left for the next.
 */
#ifndef AGENT_LINK_HTTP_H
#define AGENT_LINK_HTTP_H

#include "agent/link.h"

struct fetcher;

/* servers: "host:port" each (port 4646 when left out), copied. */
struct server_link *link_http_new(struct fetcher *f, const struct strs *servers);
/* "host:port" of every known server, the one in use first: arena strings. */
void link_http_servers(const struct server_link *l, struct arena *a, struct strs *out);
/* Replaces the list (`node config -update-servers`). */
void link_http_set_servers(struct server_link *l, const struct strs *servers);

#endif
