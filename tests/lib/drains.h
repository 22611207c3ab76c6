/*
 * drains: the words that stories of draining nodes are written in, on a world under virtual time. Nodes have the numbers
 * that they were added with.
 */
#ifndef TESTS_LIB_DRAINS_H
#define TESTS_LIB_DRAINS_H

#include "sched/drain.h"
#include "tests/lib/world.h"

#define DAY (24 * HOUR)

struct job *drains_service(struct world *w, const char *id, int64_t count, int64_t parallel);
void drains_set(struct world *w, unsigned node, int64_t deadline, bool ignore_system);
void drains_cancel(struct world *w, unsigned node, bool eligible);
/* What its client says of one; healthy: 1, 0, or -1 for nothing. */
void drains_report(struct world *w, struct alloc *a, const char *status, int healthy);
/* Clients start what is desired and end what is not. */
void drains_obey(struct world *w);
/* Time goes on with clients that obey at once. */
void drains_live(struct world *w, int64_t d);
uint32_t drains_on_node(struct world *w, unsigned node);
uint32_t drains_running(struct world *w, const char *id);
/* Of the node's last drain; "none". */
const char *drains_status(struct world *w, unsigned node);
struct drain_answer *drains_describe(struct world *w, unsigned node);
/* Of the first that it waits for; "" when it waits for nothing. */
const char *drains_code(struct world *w, unsigned node);
struct world *drains_world(unsigned nodes);

#endif
