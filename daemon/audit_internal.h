/* audit_internal: what the two halves of the audit share: reading the catalog (audit.c), judging it (audit_judge.c). */
#ifndef DAEMON_AUDIT_INTERNAL_H
#define DAEMON_AUDIT_INTERNAL_H

#include "base/map.h"
#include "daemon/audit.h"
#include "daemon/server.h"
#include "discovery/services.h"

struct present { /* one service of drover in the catalog */
	const struct consul_service *service;
	struct side *side;
	bool judged; /* it is what somebody wants, or nobody is to judge it */
	struct present *next;  /* of all */
	struct present *other; /* of the same allocation, or of a client of the same name */
};

struct side { /* one node of Consul */
	struct audit *owner;
	const char *name;
	const char *error; /* why it could not be read; NULL = it was */
	struct consul_checks_by_id checks;
	struct consul_call *call;
};

struct audit {
	const struct daemon *d;
	struct arena *arena;
	audit_done_fn *done;
	void *arg;
	int64_t started; /* Unix ns */
	struct consul_call *call;
	struct objs answers; /* struct arena, of what was read */
	struct side *sides;
	uint32_t n_sides, next_side, busy;
	struct map by_name;  /* of Consul's node -> struct side */
	struct present *all;
	struct map by_alloc; /* id -> struct present, the first of them */
	struct map clients;  /* name -> struct present, the first of its own entries */
	struct event *timer;
	struct uuid *allocs; /* that are still to be judged */
	uint32_t n_allocs, next_alloc;
	struct map noted;    /* "node\nreason" */
	struct audit_report *report;
};

const struct state *audit_state(const struct audit *au);
bool audit_is_client(const struct present *p); /* an entry of a client itself */
/* audit_judge.c: one allocation; then everything else. */
void audit_judge_alloc(struct audit *au, const struct alloc *al);
void audit_judge_rest(struct audit *au);

#endif
