/* node_link: the drover node of this machine, through the API of the local agent. Each function blocks for a bounded time. */
#ifndef PACKAGING_SCALE_IN_NODE_LINK_H
#define PACKAGING_SCALE_IN_NODE_LINK_H

#include "packaging/scale-in/course.h"
#include "packaging/scale-in/settings.h"

#define NODE_SET_BY "drover-scale-in" /* in the drain's metadata: what is ours to take back */

struct node_link;

struct node_link *node_link_new(const struct settings *s); /* kept by the caller */
void node_link_free(struct node_link *n);
/* Which node the agent is; valid until the next call. */
int node_link_find(struct node_link *n, const char **id, struct err *e);
int node_link_look(struct node_link *n, const char *id, struct drain_view *out, struct err *e);
/* deadline: wall clock, 0 = none; one that is over stops everything within a second. */
int node_link_drain(struct node_link *n, const char *id, int64_t deadline, const char *reason, struct err *e);
int node_link_undrain(struct node_link *n, const char *id, struct err *e);

#endif
