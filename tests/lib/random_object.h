/*
 * random_object: objects of any type, filled by walking its field table with a seed, so that every test that is generic
 * over the tables meets every field. Set scalars are not always zero, unset ones are left out at random; depth ends the
 * walk where types refer to each other.
 */
#ifndef TESTS_LIB_RANDOM_OBJECT_H
#define TESTS_LIB_RANDOM_OBJECT_H

#include "base/model.h"

struct rng {
	uint64_t s;
};

uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 <= result < n */
void *random_object(struct rng *r, struct arena *a, const struct type *t, int depth);
struct value *random_value(struct rng *r, struct arena *a, int depth);

#endif
