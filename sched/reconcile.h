/*
 * reconcile: what a job wants against what it has, without looking for room: which allocations stop, which change in place,
 * which are wanted and why, and what has to be looked at again later. The result still needs nodes (sched/place).
 */
#ifndef SCHED_RECONCILE_H
#define SCHED_RECONCILE_H

#include "sched/absence.h"
#include "sched/feasible.h"
#include "sched/plan.h"

struct want { /* an allocation that should be */
	uint16_t group;
	uint32_t index;
	struct alloc *previous;            /* replaces this one, or NULL */
	struct reschedule_tracker *tracker;
	struct node_entry *node;           /* system jobs: on this node, else NULL */
	const char *stop_with; /* previous is stopped, with these words, when the want has found its place; NULL: it is stopped
	                        * already */
	uint32_t kept;     /* previous runs on until then: its position in reconciled.keeps + 1, or 0 */
	bool spare;        /* an update beyond what may change at once: comes into play when another one finds no place */
	bool penalty;      /* previous failed: its node, and those before it, are avoided */
};

struct later { /* an allocation that waits for an instant: its reschedule delay is over, or it is not waited for any more */
	struct alloc *alloc;
	int64_t at;
	bool away; /* the latter */
};

struct reconciled {
	struct want *wants; /* by group */
	uint32_t n_wants, cap_wants;
	struct alloc **keeps; /* that stay on their nodes, or do so until their replacement has found its place */
	uint32_t n_keeps, cap_keeps;
	struct later *laters;
	uint32_t n_laters, cap_laters;
	int64_t update_at;  /* a held-up update goes on then; NEVER when none is */
	struct objmap updates; /* struct desired_updates by group */
	struct objmap waits;   /* groups whose update waits for health -> struct want_wait */
	struct objmap aways;   /* groups of which something is unknown, and not replaced -> struct away_wait */
};

struct want_wait {
	int64_t unhealthy, max_parallel, remaining, at;
};

struct away_wait {
	int64_t n, until; /* until: the first of them is given up then; NEVER */
	const struct node_entry *node; /* of one of them */
};

/* Stops and marks go into the plan, the rest into out; lists are in the arena. */
void reconcile(const struct plan_request *r, struct arena *a, struct plan *plan, struct reconciled *out);

/* Growing lists in an arena, as plan and reconciled have them. */
#define LIST_ADD(arena, list, n, cap)                                                              \
	(*({                                                                                       \
		if ((n) == (cap)) {                                                                \
			uint32_t cap_ = (cap) ? (cap) * 2 : 16;                                    \
			void *grown_ = arena_alloc((arena), cap_ * sizeof(*(list)));               \
			if (n)                                                                     \
				memcpy(grown_, (list), (n) * sizeof(*(list)));                     \
			(list) = grown_;                                                           \
			(cap) = cap_;                                                              \
		}                                                                                  \
		&(list)[(n)++];                                                                    \
	}))

#define SAY_NOT_NEEDED  "alloc not needed due to job update"
#define SAY_MIGRATING   "alloc is being migrated"
#define SAY_RECONNECTED "alloc not needed: another one of its name goes on after its node came back"
#define SAY_LEFT        "alloc was stopped by its client, which had not heard the servers for long"
#define SAY_UPDATING    "alloc is being updated due to job update"
#define SAY_RESCHEDULED "alloc was rescheduled because it failed" /* and SAY_LOST, SAY_UNKNOWN */

#endif
