/*
 * feasible: which nodes may run a group at all, before anybody asks for room: state of the node, datacenter, pool,
 * conditions of job, group and tasks, drivers, volumes, host networks. What conditions and drivers answer is remembered for each
 * computed class, as long as no condition looks at something that is unique to a node.
 */
#ifndef SCHED_FEASIBLE_H
#define SCHED_FEASIBLE_H

#include "sched/answers.h"

enum filter_kind { /* why a node is out; the words of filter_codes */
	FILTER_NONE,
	FILTER_DOWN,
	FILTER_INELIGIBLE,
	FILTER_DRAINING,
	FILTER_DATACENTER,
	FILTER_POOL,
	FILTER_CONSTRAINT,
	FILTER_DRIVER,
	FILTER_VOLUME,
	FILTER_NETWORK,
	FILTER_CORES,
	FILTER_DISTINCT_HOSTS,
	FILTER_DISTINCT_PROPERTY,
	FILTER_KINDS,
};
extern const char *const filter_codes[FILTER_KINDS];

struct filter {
	enum filter_kind kind;
	const char *text;   /* what metrics count it by: the condition, "missing drivers", ... */
	const char *detail; /* FILTER_DRIVER: which one */
};

struct distinct_property {
	const char *target;
	int64_t allowed;
	bool of_job; /* counted over the job, else over the group */
};

struct feasible {
	const struct state *state;
	const struct job *job;
	const struct task_group *group;
	int64_t cores;
	struct answer **tests;
	uint32_t n_tests;
	struct answer **drivers; /* of each task */
	bool distinct_hosts_job, distinct_hosts_group;
	struct distinct_property *properties;
	uint32_t n_properties;
	bool unique;        /* answers differ inside a class */
	uint16_t *by_class; /* 0 unknown, 1 it passes, else what does not hold: see sched/feasible.c */
	uint32_t n_classes;
	uint8_t *by_dc, *by_pool; /* 0 unknown, 1 it is one of the job's, 2 it is not; by number */
	uint32_t n_dcs, n_pools;
};

/* In the arena; strings are shared with the job and the answers. group is an index. */
void feasible_init(struct feasible *f, const struct state *s, const struct job_version *v, uint32_t group, struct arena *a);
/* Is the node there for the job: ready, eligible, not draining, in one of its datacenters, in its pool? */
enum filter_kind feasible_node(struct feasible *f, const struct node_entry *n);
/* Only datacenter and pool. */
enum filter_kind feasible_place(struct feasible *f, const struct node_entry *n);
/* May it run the group? distinct_* are not looked at: they depend on the other allocations. */
struct filter feasible_check(struct feasible *f, const struct node_entry *n);

#endif
