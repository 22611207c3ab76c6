/*
 * link_http: the server link of a client that reaches its servers over HTTP. It holds the sources of servers and the list
 * that they make (discovery/sources.h, agent/servers.h) and asks whichever server answers.
 *
 * A server that hangs must be left well before the node's time to live is over, and one that is merely slow must not be
 * asked twice as much by everybody. So a heartbeat or registration that has no answer after an eighth of the TTL is sent to
 * the next server as well, while the first may still answer; who answers first is the present server, and the held read for
 * work and reports under way move there. A call fails when all that may be asked have failed.
 */
#ifndef AGENT_LINK_HTTP_H
#define AGENT_LINK_HTTP_H

#include "agent/link.h"
#include "agent/servers.h"
#include "discovery/fetch.h"

struct link_http_config {
	struct sources_config sources; /* copied */
	struct fetch_tls tls;          /* for servers that speak TLS; its strings outlive the link */
	uint64_t seed;                 /* see agent/servers.h */
};

/* -EINVAL: an address in the configuration is none. */
int link_http_new(struct fetcher *f, const struct link_http_config *config, struct server_link **out, struct err *e);
/* "host:port" of every known server, the one in use first: arena strings. */
void link_http_servers(const struct server_link *l, struct arena *a, struct strs *out);
/* The list that is set by hand: asked first from here on, beside what the other sources name. -EINVAL, and nothing done, when
 * one is no address. */
int link_http_set_servers(struct server_link *l, const struct strs *servers, struct err *e);
/* Valid until the next turn of the loop. */
const struct sources *link_http_sources(const struct server_link *l);
const struct servers *link_http_list(const struct server_link *l);

#endif
