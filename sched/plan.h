/*
 * plan: what one evaluation decided, as a value: made by the scheduler from a state that does not change meanwhile,
 * checked by sched/fit.h, then written as one journal entry and applied as a whole. Everything it points to lives in
 * the arena it was made in, or in the state.
 */
#ifndef SCHED_PLAN_H
#define SCHED_PLAN_H

#include "sched/state.h"

struct placement {
	struct uuid id; /* uuid_derive(plan.seed, n), so that the same evaluation gives the same ids */
	struct node_entry *node;
	struct port_grant *ports; /* asks[group].n_ports of them */
	uint32_t index;           /* of the name */
	uint32_t metric;          /* in plan.metrics */
	uint16_t group;
	float score;
	struct alloc *previous;   /* replaces this one, or NULL */
	struct reschedule_tracker *tracker;
	bool canary;
};

struct plan_stop {
	struct alloc *alloc;
	enum desired desired;  /* DESIRED_STOP or DESIRED_EVICT */
	int observed;          /* enum observed to write (lost, unknown), or -1 to leave */
	const char *description;
	struct uuid followup_eval; /* or nil */
	struct uuid preempted_by;  /* or nil */
};

struct plan_mark { /* desired state stays: only these change */
	struct alloc *alloc;
	struct uuid followup_eval; /* a delayed reschedule has this evaluation, or nil */
	bool move_version;         /* in-place update to plan.version */
};

#define PLAN_TIMEOUT "max-disconnect-timeout" /* triggered_by of the evaluation that stops waiting for what is away */

struct plan {
	struct uuid seed;
	struct job_version *version; /* of the placements and in-place updates; NULL when the job is gone */
	struct placement *places;
	uint32_t n_places, cap_places;
	struct plan_stop *stops;
	uint32_t n_stops, cap_stops;
	struct plan_mark *marks;
	uint32_t n_marks, cap_marks;
	struct objs metrics;   /* struct alloc_metric, shared by the placements of a group */
	struct eval *eval;     /* the evaluation after it: status, failed groups, queued counts, annotations */
	struct objs new_evals; /* struct eval: blocked, follow-ups */
	bool awaits;           /* something of the job is away and given time: evaluations for when that is over are needed */
};

/* The scheduler: pure. Reconciles and places for one evaluation. ids of new evaluations and placements are derived
 * from seed. dry_run (job plan): `version` replaces the job's current one and annotations are made. */
struct plan_request {
	const struct state *state;
	const struct eval *eval;
	struct job_entry *job;       /* never NULL; job->stop: deregistered; job->purged: and purged */
	struct job_version *version; /* normally job->current */
	int64_t now;
	struct uuid seed;
	bool annotate;
};
void plan_make(const struct plan_request *r, struct arena *a, struct plan *out);
bool plan_is_noop(const struct plan *p); /* no placement, stop, mark or new evaluation */

/* Works out the asks of each group of a canonical job; in the version's arena. */
void plan_asks(struct job_version *v);

#endif
