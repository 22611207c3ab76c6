/*
 * script_check: commands that the client runs at an interval beside a task to learn how it is. Exit code 0 is passing, 1
 * warning, everything else critical, also a run that takes longer than its timeout, which is then killed with all that it
 * started. Never two runs of one check at a time; at most so many runs at once for the whole client that the loop and the
 * machine do not notice them.
 */
#ifndef AGENT_SCRIPT_CHECK_H
#define AGENT_SCRIPT_CHECK_H

#include "agent/keeper.h"

#define SCRIPT_OUTPUT_MAX 4096 /* bytes of a run's output that are kept; the rest is read and dropped */

struct event_base;
struct script_pool; /* one for each client */
struct script_check;

struct script_pool *script_pool_new(struct event_base *base);
void script_pool_free(struct script_pool *p); /* checks are gone by then; runs that still end are killed */

struct script_check_config {
	const char *command; /* as in struct keeper_spec */
	struct strs args;    /* without argv[0] */
	int64_t interval;    /* from one start to the next; a run that takes longer is followed at once */
	int64_t timeout;
	/* Fills in all of the spec but command and arguments; called before each run. */
	int (*context)(void *arg, struct arena *a, struct keeper_spec *spec, struct err *e);
	/* "passing", "warning" or "critical", and the output or a sentence; called from the loop after each run. */
	void (*report)(void *arg, const char *status, const char *output);
	void *arg;
};
/* The first run begins in the next turn of the loop. The configuration is copied. */
struct script_check *script_check_start(struct script_pool *p, const struct script_check_config *c);
/* Nothing is reported any more; a run under way is killed. NULL is fine. Fine from inside report. */
void script_check_stop(struct script_check *c);

#endif
