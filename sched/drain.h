/*
 * drain: nodes that are being emptied. A drain is a stored operation: who asked, why, since when, until when
 * (node.drain_strategy and node.last_drain in the state), so it goes on under another leader. Looking at the state, step()
 * decides which allocations may go now:
 *
 *   service   moves by the group's migrate block: marked (DesiredTransition {Migrate, Drain}), replaced elsewhere by the
 *             scheduler, and stopped by it when the replacement is healthy. Of a group at most max_parallel are on their way,
 *             over all draining nodes together, so it never has fewer healthy ones than its count less max_parallel.
 *   batch     is left to finish; beyond the deadline, too, when its group or job says so (meta { drover_drain = "finish" }) and
 *             the deadline is one that nobody has named (FinishBatch).
 *   system    goes when nothing else is left, unless IgnoreSystemJobs.
 *   at its deadline, less the time that it takes to stop it (shutdown delays and kill timeout), everything is
 *             marked {Migrate}: stopped at once and placed again where there is room, batch too.
 *
 * Done means that no allocation holds the node any more (its client says that the processes are gone) and that no entry
 * of them stands in Consul. A node that is down holds nothing: its drain is done too, and called unconfirmed when something was
 * there that its client has not called gone.
 *
 * codes of what it waits for
 *   batch-running          left to finish
 *   max-parallel           others of its group are on their way
 *   replacement-unplaced   no node has room for the replacement; or it has ended, and is not replaced (yet)
 *   replacement-unhealthy  it runs, and has yet to prove itself
 *   system-last            waits for the others
 *   stopping               asked to stop
 *   node-away              unknown: its node is disconnected, and it is given time
 *   consul-entries         stopped; its entries stand in Consul
 */
#ifndef SCHED_DRAIN_H
#define SCHED_DRAIN_H

#include "sched/state.h"

#define DRAIN_DRAINING "draining" /* of drain_metadata.status */
#define DRAIN_COMPLETE "complete"
#define DRAIN_CANCELED "canceled"
#define DRAIN_META     "drover_drain"
#define DRAIN_FINISH   "finish"
#define DRAIN_WAITS    200 /* that drain_describe names */
#define DRAIN_SLACK    SECOND       /* from the order to stop until it reaches the tasks */
#define DRAIN_CONSUL   (3 * SECOND) /* that a client waits for Consul to forget a service before it signals its tasks */

/* Softly on its way: is to be replaced first. */
bool drain_is_soft(const struct alloc *a);
/* Stopped, or asked to stop whatever comes. */
bool drain_is_hard(const struct alloc *a);
/* The newest in the chain of what replaces a, as long as it should run; NULL: there is none (yet). */
struct alloc *drain_successor(const struct state *s, const struct alloc *a);
/* Does one that is softly on its way wait for it? */
bool drain_is_awaited(const struct state *s, const struct alloc *a);
/* Whether a replacement has proved itself by its group's migrate block; *when as update_is_healthy(). Checks of services are
 * its client's to judge: before it has said so, the replacement of a group that has services is not healthy. */
bool drain_is_healthy(const struct alloc *replacement, int64_t now, int64_t *when);
/* Has the client said of everything on the node that it is gone? */
bool drain_is_confirmed(const struct node_entry *n);
/* Does the allocation keep the drain of its node from being done? */
bool drain_waits_for(const struct alloc *a, bool ignore_system);

/* How long it may take to stop it: Consul's answer, the group's delay, then the slowest task of each kind. */
int64_t drain_time_to_stop(const struct alloc *a);

struct drain_decision { /* of one look at all draining nodes; lists in the arena */
	struct alloc **soft, **hard;
	uint32_t n_soft, cap_soft, n_hard, cap_hard;
	struct node_entry **done; /* their drains are complete */
	uint32_t n_done, cap_done;
	int64_t at; /* look again then, whatever happens; NEVER */
};
void drain_decide(const struct state *s, int64_t now, struct arena *a, struct drain_decision *out);

/* Allocations of the node that have changed after the index; with 0 those that have not ended. struct drain_change. */
void drain_changes(const struct node_entry *n, uint64_t since, struct arena *a, struct objs *out);
/* The operation and what it waits for, in the arena. */
struct drain_answer *drain_describe(const struct state *s, const struct node_entry *n, int64_t now, struct arena *a);

#endif
