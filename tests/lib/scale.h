/* scale: the words of the tests that take nodes away: jobs that are built on nodes, clients that obey, operations. */
#ifndef TESTS_LIB_SCALE_H
#define TESTS_LIB_SCALE_H

#include "sched/scale_in.h"
#include "tests/lib/world.h"

struct world *scale_world(unsigned nodes); /* whose filters are the meta "rack" that matches */
/* Services migrate one by one, healthy after 10 s. */
struct job *scale_job(struct world *w, const char *id, const char *type, int64_t count, int64_t cpu);
void scale_on_node(struct world *w, struct job *j, unsigned n);
void scale_run(struct world *w, struct job *j);
void scale_build(struct world *w, const char *id, unsigned n); /* a batch job on that node */
void scale_live(struct world *w, int64_t d);                   /* time goes on with clients that obey at once */
uint32_t scale_placed(struct world *w, const char *id);

struct scale_in_request scale_request(int64_t count);
struct scale_in *scale_ask(struct world *w, struct scale_in_request r);
struct scale_in *scale_take(struct world *w, int64_t count);
struct scale_in *scale_again(struct world *w, const struct scale_in *op);      /* as it is now */
const struct scale_in_node *scale_node(const struct scale_in *op, unsigned n); /* NULL: not of it */

#endif
