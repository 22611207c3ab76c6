/*
 * monitor: the agent's log as a stream. Lines wait in a bounded buffer; a follower that does not keep up loses lines
 * and is told how many.
 */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include "daemon/httpd.h"

void monitor_get(struct call *c); /* the handler of /v1/agent/monitor */

#endif
