/* reconcile_internal: what sched/reconcile.c (jobs with a count) and sched/reconcile_system.c (one on each node) share. */
#ifndef SCHED_RECONCILE_INTERNAL_H
#define SCHED_RECONCILE_INTERNAL_H

#include "sched/reconcile.h"

enum fate {
	FATE_RUNS,       /* stays as it is */
	FATE_MOVES,      /* stays, and becomes one of the new version */
	FATE_REPLACE,    /* has to make room for one of the new version */
	FATE_HOLDS,      /* failed, and not replaced (yet): its name is taken */
	FATE_DONE,       /* batch: has done its work */
	FATE_LOST,
	FATE_AWAY,       /* its node is silent: it may come back, and is waited for */
	FATE_MIGRATE,
	FATE_LEAVES,     /* is replaced first, and stopped when its replacement is healthy */
	FATE_RESCHEDULE, /* failed, and replaced now */
	FATE_LEFT,       /* its client stopped it by itself: replaced now, whatever it says of its end */
};

struct member {
	struct alloc *alloc;
	enum fate fate;
	uint32_t index;
	bool failed, cut;
	int64_t later, delay; /* later: FATE_HOLDS: rescheduled then; FATE_AWAY: lost then, or NEVER */
	bool replace;         /* FATE_AWAY: a copy runs meanwhile */
};

struct side { /* a group of the wanted version and the allocations that should run in it */
	const struct task_group *spec;
	uint32_t index;
	struct feasible feasible;
	struct member *members;
	uint32_t n, cap;
	struct alloc **leavers; /* stopped to be replaced, and not replaced yet */
	uint32_t n_leavers, cap_leavers;
	const struct job_version *compared; /* the last one that was, with its result */
	bool destructive;
};

struct reconcile {
	const struct plan_request *r;
	struct arena *a;
	struct plan *plan;
	struct reconciled *out;
	bool batch;
	struct side *sides;
	uint32_t n_sides;
};

void reconcile_stop(struct reconcile *c, struct alloc *a, int observed, const char *description);
void reconcile_mark(struct reconcile *c, struct alloc *a);
uint32_t reconcile_keep(struct reconcile *c, struct alloc *a); /* its position + 1 */
struct want *reconcile_want(struct reconcile *c, const struct side *g, uint32_t index, struct alloc *previous);
/* One that takes the place of previous as soon as it has found one for itself. */
struct want *reconcile_replacement(struct reconcile *c, const struct side *g, uint32_t index, struct alloc *previous);
/* Lost, or unknown for now (a change of the plan only when it is not yet) and looked at again when its time is over. */
void reconcile_lose(struct reconcile *c, struct alloc *a);
void reconcile_leave_unknown(struct reconcile *c, struct alloc *a, int64_t until);
/* The same of one that nothing takes the place of. */
void reconcile_wait_for(struct reconcile *c, const struct side *g, struct alloc *a, int64_t until);
/* Stops, but for one, who waits on draining nodes for `next`, which is not needed, to prove itself. */
void reconcile_stop_waiting(struct reconcile *c, const struct alloc *next, const struct alloc *but);
/* sched/reconcile_names.c. Members in order of their indexes: where several have one name, as after a node came back, one of
 * them has it from here on, and the others are dealt with. */
void reconcile_names(struct reconcile *c, struct side *g, struct desired_updates *u);
/* When an update is looked at again that nothing tells about: after as long as an allocation needs to prove itself; while it does
 * not move, after twice as long as the time before, up to some minutes. */
int64_t reconcile_look_again(const struct reconcile *c, const struct update_strategy *u, bool moves);
/* Can an allocation of another version become one of the wanted version where it is? */
bool reconcile_in_place(struct reconcile *c, struct side *g, struct alloc *a);
void reconcile_everywhere(struct reconcile *c, struct side *g, struct desired_updates *u);

#endif
