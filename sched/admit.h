/*
 * admit: what happens to a job at the door: defaults are filled in (canonical form, as a server stores it), then
 * everything that could go wrong later is checked and said at once, with the path of the field.
 */
#ifndef SCHED_ADMIT_H
#define SCHED_ADMIT_H

#include "base/err.h"
#include "base/model.h"

struct admit_limits {
	int64_t max_priority, default_priority, max_count;
	const char *region;
};

/* Fills in defaults in place; j must not be shared yet. */
void admit_canonicalize(struct job *j, const struct admit_limits *l, struct arena *a);
/* All problems of a canonical job in one sentence list, as Nomad words and counts them ("2 errors occurred: ...").
 * warnings gets "" or text (arena). */
int admit_validate(const struct job *j, const struct admit_limits *l, const char **warnings, struct arena *a,
    struct err *e);

#endif
