/*
 * notify: what the service manager is told, by the protocol of sd_notify(3): datagrams of lines "NAME=value" to the socket that
 * NOTIFY_SOCKET names. Where there is none, nothing happens.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "base/util.h"

/* "READY=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000", ... */
void notify_send(const char *lines);

#endif
