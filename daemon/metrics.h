/*
 * metrics: the figures of the agent under the names that operators graph, as /v1/metrics answers them. Read from the
 * state when asked; nothing is sampled in between, so Points and Samples stay empty.
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include "daemon/daemon.h"

void metrics_json(const struct daemon *d, struct buf *out, int indent, struct arena *a);
void metrics_prometheus(const struct daemon *d, struct buf *out, struct arena *a);

#endif
