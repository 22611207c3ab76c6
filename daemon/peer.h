/* peer: how this agent asks others: the scheme of their addresses, and with TLS whose certificates count. */
#ifndef DAEMON_PEER_H
#define DAEMON_PEER_H

#include "daemon/daemon.h"
#include "discovery/fetch.h"

/* address: "host:port", or "https://host:port". Without a slash at the end; in the arena. */
const char *peer_url(const struct config *c, struct arena *a, const char *address);
/* Strings belong to the configuration. */
struct fetch_tls peer_tls(const struct config *c);

#endif
