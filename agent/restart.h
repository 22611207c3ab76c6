/*
 * restart: the restart policy of one task as a pure decision: what ended, what the policy and the kind of task say, and
 * the count inside the present interval go in; whether, when and why it starts again comes out. The tracker is part of
 * the record on disk, so that counts go on after a restart of the agent.
 */
#ifndef AGENT_RESTART_H
#define AGENT_RESTART_H

#include "base/model.h"

struct restart_tracker {
	int64_t window_start; /* Unix ns of the first end inside the interval; 0 = none yet */
	int64_t count;        /* ends inside it */
};

enum restart_cause {
	RESTART_EXIT_OK,       /* exit code 0, no signal */
	RESTART_EXIT_FAILED,   /* anything else, also an exit nobody saw */
	RESTART_START_FAILED,  /* could not be started, may work next time */
	RESTART_UNRECOVERABLE, /* could not be started, and no repetition helps */
	RESTART_ASKED,         /* a person asked: free of charge and at once */
};

enum restart_verdict {
	RESTART_AGAIN, /* after `delay` */
	RESTART_DONE,  /* ended as it should */
	RESTART_FAIL,  /* ended for good: the task has failed */
};

struct restart_decision {
	enum restart_verdict verdict;
	int64_t delay; /* ns, jitter included */
	char reason[96]; /* as task events show it; "" for RESTART_ASKED */
};

/* Whether a successful exit is followed by another start: yes for service and system jobs and for sidecars, no for
 * batch, sysbatch, ephemeral prestart and poststart tasks, and poststop tasks. lifecycle may be NULL (main task). */
bool restart_on_success(const char *job_type, const struct lifecycle *lifecycle);

/* jitter is uniform in [0, 1): the delay becomes delay * (1 + 0.25 * jitter). policy may be NULL (no restarts). */
void restart_decide(struct restart_tracker *t, const struct restart_policy *policy, bool on_success,
    enum restart_cause cause, int64_t now, double jitter, struct restart_decision *out);

#endif
