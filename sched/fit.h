/*
 * fit: the one answer to "does this allocation fit on this node": cpu, memory, disk, ports, devices. Placement, plan
 * check and the in-place update use it, so that what was planned can be committed.
 */
#ifndef SCHED_FIT_H
#define SCHED_FIT_H

#include "sched/state.h"

struct port_set; /* ports taken on a node: 0..65535 */
struct port_set *port_set_new(void);
struct port_set *port_set_copy(const struct port_set *p); /* of NULL: an empty one */
void port_set_free(struct port_set *p);
void port_set_add(struct port_set *p, uint16_t port);   /* counted: a port may be added twice */
void port_set_remove(struct port_set *p, uint16_t port);
bool port_set_has(const struct port_set *p, uint16_t port);
/* "22,80,8500-8600"; -EINVAL with a sentence. */
int port_set_add_spec(struct port_set *p, const char *spec, struct err *e);

enum fit_dimension { FIT_OK, FIT_CPU, FIT_MEMORY, FIT_DISK, FIT_PORTS, FIT_DEVICES, FIT_MAX_ALLOCS };
extern const char *const fit_dimension_names[]; /* "cpu", "memory", "disk", "ports", ... */

struct fit_result {
	enum fit_dimension dimension; /* the first that does not fit, in the order above */
	int64_t short_by;             /* what is missing, in the dimension's unit */
	const struct port_ask *port;  /* FIT_PORTS: the one that is taken, or for which none is left */
};
/* The name under which a metric counts what does not fit, as the API has it. In the arena. */
const char *fit_text(struct arena *a, const struct fit_result *f);

/* Does ask fit on node, when `extra` is used besides what the state says (negative for what a plan frees) and
 * `extra_ports` are taken besides? grants, when not NULL, receives the chosen ports; dynamic ports are picked
 * deterministically from `pick`. */
struct fit_result fit_check(const struct node_entry *node, const struct group_ask *ask, struct amount extra,
    const struct port_set *extra_ports, const struct port_set *freed_ports, uint64_t pick,
    struct port_grant *grants);
/* Nodes' totals from their spec: resources less what is reserved, and the ports reserved. */
int fit_node_totals(const struct node *n, struct amount *total, struct port_set *ports, struct err *e);

#endif
