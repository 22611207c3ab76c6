/*
 * scale_in: taking nodes away: which ones, and how far that is. An operation wants `Count` nodes out of those that are of its
 * class and match its filter to be free; it is stored, and the nodes that it has chosen are drained together, each with the
 * operation's id in its drain's metadata. Everything else follows from the state, so that it goes on under another leader.
 *
 * The cheapest nodes go, by the first of these that differs:
 *   kind       idle      nothing but system work is there
 *              services  only services, and all of them have a place elsewhere, beside those of the nodes chosen before
 *              batch     batch work too, which is left to finish
 *              stuck     a service would be left without a place: taken only when nothing else is left
 *   time left  of the allocation that takes longest: services need what their migrate blocks ask for; batch work what runs
 *              of the same job (or of children of the same parent) took so far, in the mean, less its age. Who is older than
 *              that is thought to need another tenth of its age; where no run is known the operation's deadline is the
 *              mean. Never more than the deadline.
 *   then the number of allocations, cpu and memory in use, and the id.
 *
 * While an operation runs, a node that has become idle goes in the place of one that still waits for batch work. What is no longer
 * to go is undrained, the most expensive first: such a swap, a lower count, a cancellation. A drain that somebody changes by
 * hand is his from then on: it counts, and is never undrained.
 *
 * status of a node   draining; free: its drain is complete; gone: nobody knows it any more; kept: it is back in service by
 *                    somebody's hand
 */
#ifndef SCHED_SCALE_IN_H
#define SCHED_SCALE_IN_H

#include "sched/state.h"

#define SCALE_IN_META    "scale-in" /* of a drain: the id of its operation */
#define SCALE_IN_NODES   1000       /* of one operation */
#define SCALE_INS_RUN    8          /* at a time */
#define SCALE_IN_TYPICAL HOUR       /* of a run of batch work, when nothing says how long one takes */

/* Does the node, as the API shows it, match the filter? The language of filters is the caller's. */
typedef bool scale_in_match_fn(const char *filter, const struct node *node);

enum scale_kind { SCALE_IDLE, SCALE_SERVICES, SCALE_BATCH, SCALE_STUCK };
extern const char *const scale_kind_names[];
struct scale_cost {
	enum scale_kind kind;
	int64_t left; /* ns */
	uint32_t allocs;
	const char *stuck; /* SCALE_STUCK: the job that has no other place */
};

enum scale_status { SCALE_DRAINING, SCALE_FREE, SCALE_GONE, SCALE_KEPT };
extern const char *const scale_status_names[];
/* Of a node of the operation; *n: NULL when it is gone. */
enum scale_status scale_in_status(const struct state *s, const struct scale_in_node *x, struct node_entry **n);
/* Is the node's drain the operation's? */
bool scale_in_owns(const struct scale_in *op, const struct node_entry *n);
/* Is a node of it still on its way? */
bool scale_in_runs(const struct state *s, const struct scale_in *op);

/* Run times of batch work, for costs; valid while the state does not change. */
struct scale_times;
struct scale_times *scale_times_new(const struct state *s);
void scale_times_free(struct scale_times *t);
/* What it costs to free the node; never SCALE_STUCK. deadline: of the operation, 0 = none. */
struct scale_cost scale_in_cost(const struct scale_times *t, const struct node_entry *n, int64_t deadline, int64_t now);

/* The operation as the API shows it, in the arena. */
struct scale_in *scale_in_describe(const struct state *s, const struct scale_in *op, int64_t now, struct arena *a);

/* ---- choosing: sched/scale_choice.c ---- */
struct scale_chosen {
	struct node_entry *node;
	struct scale_cost cost;
};
struct scale_choice {              /* lists are in the arena */
	struct scale_chosen *take; /* cheapest first */
	uint32_t n_take;
	uint32_t candidates; /* that could be chosen from */
};
/* Adds a chosen node to op.nodes; describe: with its cost. */
void scale_in_name(struct scale_in *op, const struct scale_chosen *x, bool describe, struct arena *a);
/* At most n nodes for the operation, besides those that it has. */
void scale_in_choose(const struct state *s, const struct scale_in *op, uint32_t n, scale_in_match_fn *match, int64_t now,
    struct arena *a, struct scale_choice *out);
/* At most n of its nodes that still drain, the most expensive first: those to give back. Returns how many. */
uint32_t scale_in_give_back(
    const struct state *s, const struct scale_in *op, uint32_t n, int64_t now, struct node_entry **out, struct arena *a);
/* Nodes that are idle, and as many of its own that wait for batch work and go back for them. Returns how many pairs. */
uint32_t scale_in_swap(const struct state *s, const struct scale_in *op, scale_in_match_fn *match, int64_t now,
    struct node_entry ***take, struct node_entry ***give_back, struct arena *a);

#endif
