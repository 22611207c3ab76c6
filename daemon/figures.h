/*
 * figures: what an agent knows in numbers, under the names that operators graph. Gathered when somebody asks; every series
 * exists from the start.
 */
#ifndef DAEMON_FIGURES_H
#define DAEMON_FIGURES_H

#include "daemon/metrics.h"

struct figure {
	const char *name;
	double value;
	bool counter; /* since the start of the agent */
	struct strmap labels;
};

struct figures {
	struct arena *arena;
	const struct daemon *daemon;
	struct objs list; /* struct figure */
	uint64_t jobs[3]; /* by enum job_status */
	bool joined;      /* a server knows this node */
};

/* arena and daemon are set; fills in the list. */
void figures_gather(struct figures *f);

#endif
