/*
 * broker: which evaluation is worked on next. Ready ones by priority, then first come, first served; those that wait for an
 * instant by that instant; blocked ones, one for each job, until capacity grows somewhere that could help them. Nothing here
 * is journaled: everything follows from the evaluations' status, so that after a replay the broker is as it was.
 *
 * Waking the blocked. Whenever a node's capacity grows (something ended there, it came, it changed) the node is dirty. A pass goes
 * through the blocked evaluations by priority and age and asks of each whether one of the groups it could not place would now
 * fit on a dirty node; when so, that one is worked on at once, before the next is asked, so that the question is always about
 * what is really free. What gets dirty during a pass counts for the next. So no wake-up is missed; an evaluation runs
 * only when there is something to hope for; and a step looks at a bounded number, however many are blocked.
 */
#ifndef SCHED_BROKER_H
#define SCHED_BROKER_H

#include "sched/state.h"

enum broker_place { BROKER_NONE, BROKER_READY, BROKER_WAITING, BROKER_BLOCKED };

#define BROKER_PRIORITIES 128
struct broker {
	struct heap ready, waiting;
	struct link todo[BROKER_PRIORITIES], done[BROKER_PRIORITIES]; /* blocked: before and behind the pass; a higher
	                                                                * priority than the last counts as the last */
	uint32_t n_blocked;
	bool blocked_turn;
	struct uuid *dirty, *next; /* nodes of this pass, and of the next one */
	uint32_t n_dirty, n_next, cap_dirty, cap_next;
};

void broker_init(struct broker *b);
void broker_release(struct broker *b);
/* The evaluation is new or changed: puts it where it belongs. */
void broker_put(struct broker *b, struct eval_entry *e);
void broker_drop(struct broker *b, struct eval_entry *e); /* it is deleted */
/* Leaves an evaluation that could not be written until an instant. */
void broker_delay(struct broker *b, struct eval_entry *e, int64_t until);
/* Takes the state's freed nodes over. */
void broker_take_freed(struct broker *b, struct state *s);
/* What to work on, or NULL. It stays where it is: processing it changes its status, which moves it. A blocked one that is
 * returned counts as asked in this pass. `more`: there is work left that this call did not look at. */
struct eval_entry *broker_next(struct broker *b, const struct state *s, int64_t now, bool *more);
int64_t broker_deadline(const struct broker *b); /* of the first that waits, or NEVER */

#endif
