/*
 * audit: what should stand in Consul, by the state of the servers, against what does, by Consul's catalog: services of
 * allocations that run, with their checks, and what the agents register of themselves. Nothing is changed. Runs on the loop
 * beside everything else, in calls of bounded number and slices of bounded length.
 *
 * An entry is missing, differs in a field, or is stray: marked as ours and wanted by nobody. Entries of others, other clusters
 * of drover among them, are not looked at. What has changed within the last seconds is not judged, and neither are nodes
 * that are down, that have no Consul, or whose Consul node cannot be read; these are named.
 */
#ifndef DAEMON_AUDIT_H
#define DAEMON_AUDIT_H

#include "daemon/daemon.h"

struct audit;

/* err code 0: a report, valid during the call. -ENOTSUP: this agent is no server or has no Consul; -EACCES: the token may not
 * read what the audit must see. Called once, from the loop. */
typedef void audit_done_fn(void *arg, const struct audit_report *report, const struct err *e);
struct audit *audit_start(const struct daemon *d, audit_done_fn *done, void *arg);
void audit_cancel(struct audit *a); /* done is not called any more; not from inside it */

#endif
