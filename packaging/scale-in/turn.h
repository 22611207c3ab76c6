/*
 * turn: one look at the world after the other: asks provider and agent what is due, takes a step of the course, does what it
 * says, and writes down where it is before and after. Every turn is bounded by the time limits of what it asks.
 */
#ifndef PACKAGING_SCALE_IN_TURN_H
#define PACKAGING_SCALE_IN_TURN_H

#include "packaging/scale-in/settings.h"

struct turns;

/* Reads the state file; one that cannot be used is reported and made anew. -errno when it cannot be written either. */
int turns_new(const struct settings *s, struct turns **out, struct err *e);
void turns_free(struct turns *t);
/* Returns how long to wait before the next one, ns. */
int64_t turns_take(struct turns *t);

#endif
