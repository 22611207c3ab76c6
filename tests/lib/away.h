/* away: words of the stories in which nodes fall silent and come back; their one job is "web", of one group. */
#ifndef TESTS_LIB_AWAY_H
#define TESTS_LIB_AWAY_H

#include "tests/lib/world.h"

#define AWAY_NODES 3

struct task_group *away_group(struct job *j);
struct job *away_job(struct world *w, const char *type, int64_t count);
/* A disconnect block with lost_after, or without one when it is 0. */
struct disconnect_strategy *away_block(struct world *w, struct job *j, int64_t lost_after);
void away_run(struct world *w, struct job *j);
void away_start(struct world *w); /* clients start what they are told to */
/* One node, with the job running on it; then a second node. */
struct world *away_world(struct job *(*make)(struct world *w), struct alloc **out);
void away_silence(struct world *w, unsigned node, int64_t d); /* all beat but this one */
void away_fall_silent(struct world *w, unsigned node);        /* until the servers have a word for it */
uint32_t away_live(struct world *w); /* allocations of the job that are there, as far as the servers hear */
const char *away_event(struct world *w, unsigned node); /* the last one */

#endif
