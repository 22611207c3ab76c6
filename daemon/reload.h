/* reload: the configuration read again while the agent runs. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "daemon/daemon.h"
#include "daemon/tls.h"

/* Says in the log, option by option, what was applied and what takes a restart. An error changes nothing. */
void reload_config(struct daemon *d);
/* The limits of the HTTP server as configured, at the start and after a reload. */
void reload_http_limits(const struct config *c, struct httpd_config *out);
/* Certificates and keys as configured. */
int reload_tls(const struct config *c, struct tls **out, struct err *e);

#endif
