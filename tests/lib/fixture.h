/* fixture: nodes and jobs for the tests of the scheduler, small and canonical enough for the state. */
#ifndef TESTS_LIB_FIXTURE_H
#define TESTS_LIB_FIXTURE_H

#include "base/model.h"
#include "base/uuid.h"

/* The n-th node: 4000 MHz, 8192 MiB, 100 GiB, raw_exec, datacenter dc1, linux. Its id is uuid_derive({1, 1}, n). */
struct node *fixture_node(struct arena *a, unsigned n);
struct uuid fixture_node_id(unsigned n);
/* One group "g" with one task "t" (raw_exec, /bin/true). type: "service", "batch", "system", "sysbatch". */
struct job *fixture_job(struct arena *a, const char *id, const char *type, int64_t count, int64_t cpu, int64_t memory);
/* Gives the job's group a dynamic port with this label. */
void fixture_add_port(struct arena *a, struct job *j, const char *label);

/* Random numbers of the tests (splitmix64): same seed, same numbers. */
uint64_t fixture_random(uint64_t *state);
uint64_t fixture_below(uint64_t *state, uint64_t n);

#endif
