/*
 * world: a core on a journal in memory under virtual time, and the few words that tests of it are written in. Helpers fail
 * the test when the core refuses.
 */
#ifndef TESTS_LIB_WORLD_H
#define TESTS_LIB_WORLD_H

#include "sched/core_internal.h"
#include "tests/lib/fixture.h"

#define WORLD_START (INT64_C(1700000000) * SECOND)

struct world {
	struct journal *j;
	struct core *c;
	struct core_config config;
	int64_t now;
	enum witness_word consul, probe; /* what is said of every node that is asked about */
	bool unasked;                    /* nobody takes the questions */
	unsigned questions;
	struct arena *a;
	uint64_t rng;
};

void world_open_core(struct world *w);
struct world *world_with(struct core_config config);
struct world *world_new(void);
void world_free(struct world *w);
void world_commit(struct world *w);
void world_settle(struct world *w);
void world_pass_time(struct world *w, int64_t d); /* nobody is heard of */
void world_live(struct world *w, int64_t d);      /* the nodes that are up beat meanwhile */
int64_t world_add_node(struct world *w, unsigned n);
struct core_eval_reply world_run_job(struct world *w, struct job *j);
struct job_entry *world_job(struct world *w, const char *id);
struct node_entry *world_node(struct world *w, unsigned n);
uint32_t world_count(struct world *w, const char *id, enum observed o);
int world_report(struct world *w, const struct alloc *a, const char *status);
/* A node that was away is heard again, and tells all that it has: every allocation of it that holds has this status; NULL: it
 * tells nothing yet. */
void world_return_node(struct world *w, unsigned n, const char *status);
struct alloc *world_first_alloc(struct world *w, const char *id);

#endif
