/*
 * proposed: how the cluster will look while a plan is made: which allocations of the job stay or come, and what the plan's
 * placements take from nodes besides what the state says. A stopped allocation holds its resources until its process is
 * gone, so a plan frees none.
 */
#ifndef SCHED_PROPOSED_H
#define SCHED_PROPOSED_H

#include "sched/fit.h"
#include "sched/plan.h"

struct proposed_item { /* an allocation of the job that stays or comes */
	struct node_entry *node;
	const char *group;
	bool gone; /* its replacement has taken over */
};

struct proposed {
	const struct state *state;
	struct arena *arena;
	struct amount *extra;    /* by slot */
	struct port_set **ports; /* by slot; NULL where the plan takes none */
	struct port_set *freed;  /* ports of allocations that the plan stops or replaces */
	uint32_t n_slots;
	struct proposed_item *items; /* in the order of proposed_keep and proposed_take */
	uint32_t n_items, cap_items;
	bool everywhere; /* nodes of no item may have been written to */
};

void proposed_init(struct proposed *p, const struct state *s, struct arena *a);
void proposed_release(struct proposed *p);
void proposed_keep(struct proposed *p, const struct alloc *a);
/* An item that holds nothing by itself. */
void proposed_count(struct proposed *p, struct node_entry *n, const char *group);
/* Items of another job come next; what was taken stays taken. */
void proposed_turn(struct proposed *p);
void proposed_free_ports(struct proposed *p, const struct alloc *a);
void proposed_take(struct proposed *p, struct node_entry *n, const char *group, const struct group_ask *ask,
    const struct port_grant *grants);
/* What proposed_take took; its item is not looked for. */
void proposed_give(struct proposed *p, struct node_entry *n, const struct group_ask *ask, const struct port_grant *grants);
/* sched/fit.h asked of a node as it will be. */
struct fit_result proposed_fit(const struct proposed *p, const struct node_entry *n, const struct group_ask *ask,
    uint64_t pick, struct port_grant *grants);

#endif
