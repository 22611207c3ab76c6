/*
 * absence: what becomes of the allocations of a node that is silent, and of those that come back with it. The group's
 * `disconnect` block says it, or the older fields that the block has taken the place of:
 *
 *   nothing               lost at once, and replaced
 *   lost_after            unknown for so long (max_client_disconnect), while a copy runs unless replace = false; then lost
 *   stop_on_client_after  the client stops it by itself after so long a silence (stop_after_client_disconnect): unknown, and
 *                         not replaced, until it has surely done so; then lost
 *   replace = false       unknown, and not replaced, as long as nothing else is said (prevent_reschedule_on_lost): until its
 *                         node is back or is forgotten, or somebody stops it
 *
 * A node that has an allocation with lost_after is `disconnected`, any other one is `down`. Times count from that moment.
 */
#ifndef SCHED_ABSENCE_H
#define SCHED_ABSENCE_H

#include "sched/state.h"

/* Which of several allocations of one name goes on. Of a healthy one and others the healthy one does, save for
 * KEEP_REPLACEMENT. */
enum keep {
	KEEP_ORIGINAL,    /* the older one: also when nothing is said */
	KEEP_REPLACEMENT, /* the newest, healthy or not */
	KEEP_BEST_SCORE,  /* the one on the node that scored best when it was placed; the older one when it is a tie */
	KEEP_LONGEST,     /* the one whose tasks have run longest */
};
enum keep absence_keep(const struct task_group *g);
bool absence_keep_is_known(const char *word); /* of disconnect.reconcile */

struct absence { /* of an allocation whose node is silent */
	int64_t until; /* it is lost from then on, 0 = now; NEVER: not by time */
	bool replace;  /* a copy runs meanwhile */
};
bool absence_is_silent(const struct alloc *a); /* nobody hears its node */
/* Nobody hears its node, or what it says of this allocation has yet to come. */
bool absence_is(const struct alloc *a);
struct absence absence_of(const struct alloc *a);
/* What a node that is silent is called. */
enum node_status absence_status(const struct node_entry *n);
/* Is one of its allocations still given time? When not, a node that is disconnected is down. */
bool absence_is_awaited(const struct node_entry *n);

/* Given up since its node was silent, for no other reason: when the node is back and still has it, it may go on. */
bool absence_is_given_up(const struct alloc *a);

#define SAY_LOST    "alloc is lost since its node is down"
#define SAY_UNKNOWN "alloc is unknown since its node is disconnected"

#endif
