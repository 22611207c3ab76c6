/* api_servers: a server as the API shows it. */
#ifndef DAEMON_API_SERVERS_H
#define DAEMON_API_SERVERS_H

#include "daemon/jwriter.h"
#include "daemon/members.h"

void api_put_member(struct jwriter *w, const struct member *m);

#endif
