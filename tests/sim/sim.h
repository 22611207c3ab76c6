/*
 * sim: a whole cluster in one process under virtual time and one printed seed. The server is the real core on the
 * real file journal; machines, network, disks and operators are simulated. Messages are delayed, lost and doubled; machines
 * and the server crash between any two steps, the server also in the middle of a write; the disk fills up. After every step
 * tests/sim/check.c looks at what must always hold, and whenever the faults pause and time has passed, tests/sim/settled.c
 * looks at what was promised. The checkers read the state, and share no line of arithmetic with the scheduler.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "base/heap.h"
#include "base/model.h"
#include "sched/core.h"

#define SIM_JOBS     24 /* names that operators play with */
#define SIM_TASKS    3
#define SIM_MACHINES 40

struct sim;

/* ---- chance ---- */
uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t n); /* 0..n-1 */
bool sim_chance(struct sim *s, double p);
int64_t sim_between(struct sim *s, int64_t low, int64_t high);
#define SIM_PICK(s, array) ((array)[sim_below((s), ARRAY_LEN(array))])

/* ---- machines ---- */
enum local_state { LOCAL_PENDING, LOCAL_RUNNING, LOCAL_COMPLETE, LOCAL_FAILED };

struct local_task {
	char name[16];
	char hook[16]; /* "" = main */
	bool sidecar;
};

struct local_alloc { /* what a client knows of one allocation; survives a crash of the client, as a record on disk */
	char id[UUID_STR];
	struct local_task tasks[SIM_TASKS];
	uint32_t n_tasks;
	enum local_state state;
	int64_t started, ends; /* ends: when the task stops by itself, NEVER for services */
	int64_t runs;          /* how long one run takes, 0 = for ever */
	bool fails;            /* how this run ends */
	bool prone;            /* runs may fail while the faults last */
	bool stopping, stuck;  /* stuck: does not end when it is killed, for a while */
	bool system;
	int64_t stop_time;     /* that its tasks may take to stop */
	int64_t stop_after;    /* of silence; 0 = never */
	int64_t twice_since;   /* another one of its name runs, too; NEVER */
	uint32_t changes, acked; /* changes that the server has not confirmed are sent again */
	uint32_t starts, restarts;
	int64_t cpu, memory, disk; /* what it was granted */
	uint32_t ports[8], n_ports;
};

struct client_sim {
	char id[UUID_STR], secret[UUID_STR];
	uint32_t identity; /* in sim.identities */
	bool up;           /* the process runs */
	int64_t down_until, cut_until; /* crashed; cut off from the server */
	int64_t off_since; /* the machine is off; 0 = it is not */
	bool in_consul;    /* a Consul agent runs on it */
	bool registered;
	uint32_t life;     /* counts restarts: answers to an earlier life are dropped */
	uint64_t work_index, told; /* told: a change of its work that it was woken for */
	int64_t ttl, told_all; /* told_all: when it last reported everything */
	int64_t report;        /* what the server wants to be told everything for; 0 = nothing */
	int64_t contact;       /* when a server answered last; survives a crash */
	int64_t up_since;
	struct local_alloc *allocs;
	uint32_t n_allocs, cap_allocs;
};

enum drain_known { DRAIN_NOTHING, DRAIN_SET, DRAIN_CANCELLED };
struct drain_sim {
	uint32_t asked; /* requests so far */
	enum drain_known known; /* what an operator was told */
	int64_t deadline;
	bool on, ignore_system; /* at the last check */
	int64_t late_since; /* something should have been told to go, NEVER: nothing */
};

struct node_sim { /* a node as the servers know it: a machine that loses its disk comes back as another */
	struct uuid id;
	struct node *node; /* as it says of itself */
	uint32_t client;
	/* Its time to live is over between these two: one instant, but after a start of the server. */
	int64_t due, due_latest;
	int64_t spoke;        /* when it was heard last */
	int64_t bound;        /* to be called down after; NEVER: it is not expected */
	int64_t suspected;    /* when it was last, and nothing came of it yet */
	int64_t condemned;    /* when both witnesses called it dead */
	int64_t evidence;     /* when another one was heard after that, 0 = not since */
	int64_t answered, allowed; /* when there was an answer last; not to be called down by it before */
	bool down;            /* as the server had it at the last check */
	int64_t down_since;
	struct drain_sim drain;
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
	EVENT_TASK,          /* a task starts or ends on a machine */
	EVENT_CLIENT_CRASH,
	EVENT_CLIENT_BEAT,
	EVENT_SERVER_CRASH,
	EVENT_SUSPICION,     /* the server sees that a connection broke off, or that Consul calls a machine critical */
	EVENT_WITNESS,       /* what was asked about a node is answered */
	EVENT_KINDS,
};
extern const char *const event_names[];

struct event {
	struct heap_item timer;
	enum event_kind kind;
	uint32_t client, life;
	struct arena *arena;
	uint64_t since;             /* EVENT_PULL, EVENT_WORK: what the client had seen when it asked */
	struct node_work *work;     /* EVENT_WORK */
	struct alloc_updates *sent; /* EVENT_UPDATE, EVENT_ACK */
	uint32_t *versions;         /* EVENT_UPDATE, EVENT_ACK: local_alloc.changes at the time of sending */
	int64_t ttl;                /* EVENT_HELLO; 0 = not known to the server */
	int64_t report;             /* EVENT_HELLO */
	uint32_t identity;          /* EVENT_SUSPICION, EVENT_WITNESS */
	enum suspicion why;         /* EVENT_SUSPICION */
	uint64_t asked, of;         /* EVENT_WITNESS: when, and of which life of the server */
	int64_t heard;              /* EVENT_WITNESS: when any node had been heard last */
};

/* What an operator was told about a job, and may rely on until he asks for something else. */
enum known { KNOWN_NOTHING, KNOWN_REGISTERED, KNOWN_STOPPED, KNOWN_PURGED };
struct wish {
	uint32_t asked;  /* requests so far: an answer to an older one says nothing any more */
	enum known known;
	uint64_t index;
	char revision[24]; /* KNOWN_REGISTERED: the job's meta "revision" */
	int64_t forced; /* when failed ones were last rescheduled by force */
	/* Of the last check: may it be collected, and since when is it over? */
	bool over, purged; /* purged: the last request was to purge it */
	int64_t submitted;
};

/* A reply that waits for its commit. */
struct held {
	uint64_t index;
	struct event *event; /* sent to its client then; NULL: an operator's answer */
	uint32_t job, asked;
	enum known known;
	char revision[24];
	uint64_t modify_index;
	bool drain, set; /* the answer is about the drain of a node */
	int64_t deadline;
	uint32_t node;
};

struct digest_at {
	uint64_t index, digest;
};

struct sim {
	uint64_t seed, rng;
	int64_t now, start;
	struct core_config config;
	struct heap events;
	struct arena *arena;
	struct client_sim *clients;
	uint32_t n_clients;
	struct node_sim *identities;
	uint32_t n_identities, cap_identities;
	struct core *core;
	struct journal *journal; /* as the core sees it: refuses while the disk is full */
	struct journal *file;
	int64_t disk_full_until;
	char dir[256];
	struct held *held;
	uint32_t n_held, cap_held;
	struct wish wishes[SIM_JOBS];
	uint32_t revisions;
	uint64_t last_committed, last_index;
	uint64_t wished, last_wished; /* requests and answers of operators */
	int64_t collected; /* when everything that ended was last collected by hand */
	struct digest_at *digests; /* of the states since the last commit, while a crash is due */
	uint32_t n_digests, cap_digests;
	bool crash_due;
	bool faults;
	int64_t calm_since;
	struct uuid *by_hand; /* allocations that operators have stopped */
	uint32_t n_by_hand, cap_by_hand;
	bool alike; /* machines have little to tell them apart, so that many are of one class */
	struct history *history;
	uint64_t lives; /* of the server */
	int64_t heard;  /* when it heard any node last, or got a sign of life */
	uint64_t steps, verdicts, crashes, placements, replaced, revived, choices, reasons, drains;
	bool verbose;
	char failure[2048]; /* first broken invariant, "" = none */
};

/* ---- server.c ---- */
void sim_event(struct sim *s, struct event *e, int64_t at);
struct event *sim_event_new(struct sim *s, enum event_kind kind, uint32_t client);
void sim_event_free(struct event *e);
struct held *sim_hold(struct sim *s, uint64_t index, struct event *e);
void sim_server_open(struct sim *s);
void sim_server_close(struct sim *s);
void sim_server_crash(struct sim *s);
void sim_commit(struct sim *s, bool all); /* all: else now and then, as the daemon does at the end of a turn */
void sim_fail(struct sim *s, const char *fmt, ...) PRINTF(2, 3);
void sim_say(struct sim *s, const char *fmt, ...) PRINTF(2, 3); /* with --verbose */

/* ---- machines.c, clients.c ---- */
void machines_new(struct sim *s);
void machine_change(struct sim *s, uint32_t client);  /* other hardware, drivers or meta */
void machine_replace(struct sim *s, uint32_t client); /* another disk: another identity */
struct node_sim *identity_of(struct sim *s, const char *id);
void clients_on_event(struct sim *s, struct event *e);
void client_wake(struct sim *s, uint32_t client); /* its question about work is answered, as there is news */
void client_reboot(struct sim *s, uint32_t client);
void clients_free(struct sim *s);

/* ---- witness.c ---- */
void witness_promise(struct sim *s, struct node_sim *i, int64_t ttl); /* it was heard */
void witness_server_starts(struct sim *s);
void witness_client_crashes(struct sim *s, uint32_t client);
void witness_ask(struct sim *s); /* takes the questions of the core */
void witness_on_event(struct sim *s, struct event *e);
void witness_check(struct sim *s); /* nobody is called down too early or too late */

/* ---- shapes.c ---- */
struct job *shape_job(struct sim *s, struct arena *a, uint32_t n);
/* Does the condition hold there? One of those that shape_job uses. */
bool shape_holds(const struct constraint *c, const struct node *n);

/* ---- away.c: machines that are away, and come back ---- */
void away_shape(struct sim *s, struct arena *a, struct task_group *g); /* gives the group a disconnect block, or none */
bool away_has_next(const struct sim *s, const struct alloc *a); /* what took its place is there */
bool away_is_shadow(const struct alloc *a); /* unknown, and another one has its name, or may have */
bool away_beside(const struct alloc *a, const struct alloc *b); /* both may be there */
bool away_may_stay(const struct alloc *a);  /* unknown, and nobody waits for it */
void away_followed(struct sim *s, const struct alloc *a, uint8_t was_desired, uint8_t was_observed, bool marked);
void away_check(struct sim *s);
void away_look_at_silence(struct sim *s, uint32_t client, void (*stop)(struct sim *s, uint32_t n, struct local_alloc *l));

/* ---- operator.c ---- */
void operator_act(struct sim *s);
void operator_calm(struct sim *s); /* undoes what would keep the cluster from settling */

/* ---- rules.c: the rules of placement, once more ---- */
struct amounts {
	int64_t cpu, memory, disk;
};
struct load { /* of one node, as the server believes it */
	struct amounts used;
	uint16_t *ports;
	uint32_t n_ports, cap_ports, n;
};
struct loads {
	struct load *of; /* by slot */
	uint32_t n;
};
struct amounts rules_ask(const struct task_group *g);
struct amounts rules_room(const struct node *n);
uint32_t rules_ports(const struct task_group *g, struct port **out, uint32_t max); /* static ones first */
bool rules_live(const struct alloc *a);  /* has not ended, as far as the server knows */
bool rules_holds(const struct alloc *a); /* and may still be there */
bool rules_runs(const struct alloc *a);  /* live, and should be */
void rules_loads(struct sim *s, struct loads *out);
void rules_loads_free(struct loads *l);
/* As if the allocation were gone. The ports stay where they are: whoever wants the load back as it was keeps a copy. */
void rules_take_away(struct load *l, const struct alloc *a);
/* Why the group cannot go there, as a code of sched/why.h; NULL: it can. What is missing in *short_by. `but`: an allocation
 * that does not count, as it is the one that went there; with room = false room is not looked at. */
const char *rules_verdict(struct sim *s, const struct loads *l, const struct job_entry *j, const struct job *spec,
    const struct task_group *g, const struct node_entry *n, const struct alloc *but, bool room, int64_t *short_by);

/* ---- drains.c ---- */
enum drain_mark { MARK_NONE, MARK_SOFT /* goes when it is replaced */, MARK_HARD };
enum drain_mark drains_mark(const struct alloc *a);
void drains_act(struct sim *s);
void drains_calm(struct sim *s);
void drains_answer(struct sim *s, const struct held *h);
void drains_by_hand(struct sim *s, struct uuid alloc);
int64_t drains_stop_time(const struct task_group *g); /* that its tasks may take, by their specs */
void drains_check(struct sim *s);
void drains_check_mark(struct sim *s, const struct alloc *a); /* another mark than before */
void drains_check_stop(struct sim *s, const struct alloc *a); /* as it "is being migrated" */
/* Does a, under the same name, replace b, which still runs on a node that is drained? */
bool drains_beside(const struct sim *s, const struct alloc *a, const struct alloc *b);
/* Goes when its replacement proves itself, which is where nobody can reach it, and is waited for. */
bool drains_replaced_by_away(const struct sim *s, const struct alloc *a);
void drains_check_settled(struct sim *s, const struct loads *l);

/* ---- scale_ins.c ---- */
void scale_ins_act(struct sim *s);
void scale_ins_calm(struct sim *s);
bool scale_ins_own(const struct node_entry *n); /* an operation drains it */
void scale_ins_check(struct sim *s);
void scale_ins_check_settled(struct sim *s);

/* ---- history.c, check.c, settled.c ---- */
struct history *history_new(void);
void history_free(struct history *h);
void history_look(struct sim *s, struct loads *l);
void history_forget(struct sim *s); /* after a crash: what was not committed may be gone */
void check_always(struct sim *s);   /* after every step */
void check_reasons(struct sim *s, const struct loads *l, bool settled);
void check_settled(struct sim *s);  /* when all is quiet */

#endif
