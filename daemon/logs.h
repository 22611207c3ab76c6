/*
 * logs: files and task output as streams over HTTP: JSON frames {"Data", "File", "Offset"} one after the other with an
 * empty object as heartbeat, or plain bytes.
 */
#ifndef DAEMON_LOGS_H
#define DAEMON_LOGS_H

#include "daemon/httpd.h"

void logs_get(struct call *c);        /* /v1/client/fs/logs/:id */
void logs_get_stream(struct call *c); /* /v1/client/fs/stream/:id */

/* In api_client.c: true when this agent's client has the allocation (dir is then owned by the caller); else the call
 * is answered or passed on. */
bool client_has_alloc(struct call *c, const char *id, char **dir);
/* The same of the node that the query names by node_id; none means this one. */
bool client_is_this_node(struct call *c, int unknown);
int call_query_int(struct call *c, const char *name, int64_t *out);
/* A part of a file as the answer, however large. */
void logs_send_file(struct call *c, const char *dir, const char *path, int64_t offset, int64_t limit);

#endif
