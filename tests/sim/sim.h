/*
 * sim: a whole cluster in one process under virtual time and one printed seed. The server is the real core on the
 * real file journal; clients, network and operators are simulated. Messages are delayed, lost and doubled; clients
 * and the server crash between any two steps, the server also in the middle of a write. After every step the
 * invariants of tests/sim/check.c are looked at; when the faults have ended and time has passed, the promises too.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "base/heap.h"
#include "base/model.h"
#include "sched/core.h"

struct sim;

/* ---- chance ---- */
uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t n);        /* 0..n-1 */
bool sim_chance(struct sim *s, double p);
int64_t sim_between(struct sim *s, int64_t low, int64_t high);

/* ---- the simulated clients ---- */
enum local_state { LOCAL_PENDING, LOCAL_RUNNING, LOCAL_COMPLETE, LOCAL_FAILED };

struct local_alloc { /* what a client knows of one allocation; survives a crash of the client, as a record on disk */
	char id[UUID_STR];
	char task[64];
	enum local_state state;
	int64_t started, ends; /* ends: when the task stops by itself, NEVER for services */
	bool fails;            /* how it ends */
	bool stopping;
	uint32_t changes, acked; /* changes that the server has not confirmed are sent again */
	uint32_t starts;         /* how often it was started: more than once is an error but for reboots */
};

struct client_sim {
	char id[UUID_STR], secret[UUID_STR];
	struct node *node; /* spec, in the world's arena */
	bool up;           /* the process runs */
	int64_t down_until, cut_until; /* crashed; cut off from the server */
	bool registered;
	uint32_t life;     /* counts restarts: answers to an earlier life are dropped */
	uint64_t work_index;
	struct local_alloc *allocs;
	uint32_t n_allocs, cap_allocs;
};

/* ---- events ---- */
enum event_kind {
	EVENT_OPERATOR,      /* a person or a script does something */
	EVENT_REGISTER,      /* client -> server */
	EVENT_HEARTBEAT,     /* client -> server */
	EVENT_PULL,          /* client -> server */
	EVENT_UPDATE,        /* client -> server */
	EVENT_WORK,          /* server -> client: answer of a pull */
	EVENT_HELLO,         /* server -> client: answer of a registration or a heartbeat */
	EVENT_ACK,           /* server -> client: answer of an update */
	EVENT_TASK,          /* a task starts or ends on a client */
	EVENT_CLIENT_CRASH,
	EVENT_CLIENT_START,
	EVENT_SERVER_CRASH,
	EVENT_KINDS,
};
extern const char *const event_names[];

struct event {
	struct heap_item timer;
	enum event_kind kind;
	uint32_t client, life;
	struct arena *arena;
	struct node_work *work;     /* EVENT_WORK */
	struct alloc_updates *sent; /* EVENT_UPDATE, EVENT_ACK */
	uint32_t *versions;         /* EVENT_UPDATE, EVENT_ACK: local_alloc.changes at the time of sending */
	int64_t ttl;                /* EVENT_HELLO; 0 = not known to the server */
};

/* A reply that waits for its commit. */
struct held {
	uint64_t index;
	struct event *event; /* sent to its client then; NULL: an operator's acknowledgement */
	char job[32];        /* operator: the job whose registration is acknowledged */
	uint64_t modify_index;
};

struct acked_job { /* what the operator was told is durable */
	char id[32];
	uint64_t modify_index;
	bool stopped;
};

struct sim {
	uint64_t seed, rng;
	int64_t now, start;
	struct heap events;
	struct arena *arena;
	struct client_sim *clients;
	uint32_t n_clients;
	struct core *core;
	struct journal *journal;
	char dir[256];
	struct held *held;
	uint32_t n_held, cap_held;
	struct acked_job acked[64];
	uint32_t n_acked;
	uint64_t last_committed, last_index;
	bool faults;
	uint64_t steps, crashes, placements;
	bool verbose;
	char failure[1024]; /* first broken invariant, "" = none */
};

/* ---- world.c ---- */
void sim_event(struct sim *s, struct event *e, int64_t at);
struct event *sim_event_new(struct sim *s, enum event_kind kind, uint32_t client);
void sim_event_free(struct event *e);
void sim_hold(struct sim *s, uint64_t index, struct event *e, const char *job, uint64_t modify_index);
void sim_server_open(struct sim *s);
void sim_server_crash(struct sim *s);
void sim_fail(struct sim *s, const char *fmt, ...) PRINTF(2, 3);

/* ---- clients.c ---- */
void clients_new(struct sim *s);
void clients_on_event(struct sim *s, struct event *e);
void clients_free(struct sim *s);

/* ---- operator.c ---- */
void operator_act(struct sim *s);

/* ---- check.c ---- */
void check_always(struct sim *s); /* after every step */
void check_settled(struct sim *s); /* when all is quiet */

#endif
