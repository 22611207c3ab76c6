/*
 * course: what becomes of this machine, and what is to be done about it. Pure: what was seen and the time come in, what is
 * to be done comes out, so that every turn can be tested. The course is also what the state file remembers.
 *
 * phases
 *   idle       nobody wants the machine
 *   draining   it is wanted: the node takes nothing new and ends what it has
 *   held       the drain was cancelled, or the node takes work again, by somebody else: their word counts. Whoever holds the
 *              machine for us is asked to go on doing so; nothing is drained anew until somebody drains the node, or a
 *              deadline comes that was not known before
 *   releasing  empty: whoever waits for that is to be told
 *   released   told
 *   returning  it is to stay after all: the drain is to be taken back, if it is ours
 *
 * Not to know (the metadata or the agent does not answer) is never taken for an answer: the course stays as it is.
 */
#ifndef PACKAGING_SCALE_IN_COURSE_H
#define PACKAGING_SCALE_IN_COURSE_H

#include "base/err.h"

enum phase { PHASE_IDLE, PHASE_DRAINING, PHASE_HELD, PHASE_RELEASING, PHASE_RELEASED, PHASE_RETURNING };

struct course {
	enum phase phase;
	char *machine;    /* the provider's name of this machine, "" when it has none; owned, like the others */
	char *node;       /* id of the drover node */
	char *reason;     /* why it is wanted */
	int64_t since;    /* when that was noticed; wall clock, ns */
	int64_t deadline; /* when the machine is gone whatever runs, 0 = not known */
	int64_t longest;  /* by configuration: what runs may take so long from since on, 0 = as long as it takes */
	bool hooked;      /* somebody holds the machine until told that it is empty */
	bool drain_set;   /* the node is being drained, with this deadline */
	bool confirmed;   /* who holds it has said so: extending worked */
};

/* What the provider says. */
enum wish_word {
	WISH_UNSAID, /* nothing about staying or leaving */
	WISH_STAY,
	WISH_LEAVE,
};
struct wish {
	enum wish_word word;
	bool hooked;
	int64_t deadline; /* of WISH_LEAVE, 0 = none */
	char *reason;     /* owned */
};

/* What the cluster says of the node's drain (GET /v1/node/:id/drain) and, where asked for, of the node. */
enum drain_status { DRAIN_NONE, DRAIN_ACTIVE, DRAIN_DONE, DRAIN_CANCELLED };
struct drain_view {
	enum drain_status status;
	bool ours;          /* set by this program */
	int64_t started_at; /* wall clock, ns */
	int64_t deadline;   /* 0 = none */
	int64_t remaining;  /* allocations waited for */
	bool node_ready, node_eligible; /* known when status is DRAIN_DONE; the drain of a node that is down says nothing */
};

enum {
	TODO_DRAIN = 1,   /* set the drain, or give it this deadline; then course_drain_is_set() */
	TODO_UNDRAIN = 2, /* take it back and let the node take work; then course_is_undrained() */
	TODO_EXTEND = 4,  /* ask to be waited for; then course_is_extended() */
	TODO_RELEASE = 8, /* say that the machine is empty; then course_is_released() */
};

/* Looks at what is known (NULL: not known at this time) and returns what is to be done. May move the phase. */
unsigned course_step(struct course *c, const struct wish *wish, const struct drain_view *drain, int64_t now);
int64_t course_deadline(const struct course *c); /* that the drain should have, 0 = none */

void course_drain_is_set(struct course *c);
void course_is_undrained(struct course *c);
void course_is_extended(struct course *c);
void course_is_released(struct course *c);
/* Which machine or node this is; NULL: not known now. What is remembered of another one is forgotten: true when there was. */
bool course_is_of(struct course *c, const char *machine, const char *node);

const char *phase_name(enum phase p);
bool phase_parse(const char *name, enum phase *out);
void course_init(struct course *c);
void course_free(struct course *c);
void wish_free(struct wish *w);

/*
 * What hooks print: the first word "stay", "leave" or "unknown"; after leave, where there is one, a deadline (RFC 3339)
 * or "-", and the reason. "leave 2026-11-25T12:00:00Z rack 4 is moved". A leave of a hook is always hooked.
 */
int wish_parse(const char *text, struct wish *out, struct err *e);

/* ---- when to try again ---- */

struct pace {
	int64_t next; /* not before this instant */
	unsigned failures;
};
#define PACE_FIRST SECOND
#define PACE_MOST  MINUTE
bool pace_is_due(const struct pace *p, int64_t now);
void pace_succeeded(struct pace *p, int64_t now, int64_t again);
/* Doubles from PACE_FIRST to `most` (at most PACE_MOST); chance, in [0, 1), spreads it over its upper half. */
void pace_failed(struct pace *p, int64_t now, int64_t most, double chance);

#endif
