/*
 * figure: a row of the table that `make bench` prints. Rows go to stdout, fields apart by tabs; tests/bench/run lays them
 * out, judges aims and divides by what stands beside.
 */
#ifndef TESTS_LIB_FIGURE_H
#define TESTS_LIB_FIGURE_H

#include "base/util.h"

struct figure {
	const char *name;
	double value;
	const char *unit;
	const char *aim;    /* "<= 5", ">= 1000"; NULL: none */
	double beside;      /* the floor or peer, same unit, measured in the same run; 0: none */
	const char *floor;  /* what that is; NULL: none */
};

/* Then the conditions. */
void figure(const struct figure *f, const char *conditions, ...) PRINTF(2, 3);

#endif
