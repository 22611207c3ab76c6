/*
 * task_run: one task of one allocation on this client: its phase, its restart policy, its events, and the keeper that
 * holds the process. Owned by its allocation (agent/alloc_run.h). A process exists only in the phases starting to
 * killing, and what is needed to find it again is on disk before it is started. Every change is told to the allocation
 * by alloc_run_changed(), which decides what happens next.
 */
#ifndef AGENT_TASK_RUN_H
#define AGENT_TASK_RUN_H

#include "agent/client_state.h"
#include "agent/keeper.h"
#include "agent/lifecycle.h"
#include "agent/task_event.h"

struct alloc_run;
struct event;

enum task_phase { /* numbers are in the records on disk */
	TASK_PENDING,  /* its turn has not come */
	TASK_STARTING, /* given to a keeper, no word yet */
	TASK_RUNNING,
	TASK_STOPPING, /* out of Consul, then shutdown_delay: still runs, no signal yet */
	TASK_KILLING,  /* kill signal sent; SIGKILL at the end of kill_timeout */
	TASK_BACKOFF,  /* ended; starts again after a delay */
	TASK_DEAD,
	TASK_PHASES,
};

enum task_restart { /* numbers are in the records on disk */
	TASK_RESTART_NONE,
	TASK_RESTART_FREE,   /* a person asked */
	TASK_RESTART_COUNTS, /* it does not do its work: as if it had failed */
};

struct task_usage_sample { /* what agent/usage.c saw last */
	int64_t at;           /* monotonic ns, 0 = never */
	int64_t user, system; /* cpu time, ns */
	double user_percent, system_percent;
};

struct task_run {
	struct alloc_run *alloc;
	const struct task *def; /* of the job version that the allocation has now */
	char *name;
	char *record; /* path of the keeper's */
	enum task_phase phase;
	enum lifecycle_role role;
	struct arena *arena; /* holds state only; renewed when old events fill it */
	struct task_state *state;
	struct restart_tracker restarts;
	uint64_t starts;       /* number of the last start; what tells its keeper's record from earlier ones */
	struct keeper *keeper; /* NULL when no process is known */
	struct event *timer;   /* of the phase; NULL until first needed */
	int64_t restart_at;    /* Unix ns, of the next start while it waits for that */
	int64_t exited_at;     /* Unix ns, of the last process; 0 while one runs */
	bool stop_wanted;      /* and no restart follows */
	enum task_restart restart_asked;
	bool leaving;          /* STOPPING: its services are on their way out of Consul */
	int64_t delay;         /* and what comes then, before the signal */
	bool sigkilled, stuck; /* SIGKILL was sent; and 5 s later it was still there */
	int64_t kill_at;       /* monotonic: a start that hangs is ended by force; 0 = no stop is wanted */
	struct task_usage_sample usage;
};

struct task_run *task_run_new(struct alloc_run *alloc, const struct task *def);
/* Forgets the task; a process that it has goes on. */
void task_run_free(struct task_run *t);

const char *task_phase_name(enum task_phase p);
bool task_run_has_process(const struct task_run *t);

/* PENDING only. */
void task_run_start(struct task_run *t);
/* Marks a pending task as dead without having run. */
void task_run_skip(struct task_run *t);
/* Stops for good, with shutdown_delay unless at_once; the reason becomes an event. Fine in every phase. */
void task_run_stop(struct task_run *t, enum lifecycle_reason reason, const char *sibling, bool at_once);
/* Fails a task that could not be set up; no restart. */
void task_run_fail_setup(struct task_run *t, const char *sentence);
/* -ESRCH: "Task not running". */
int task_run_restart(struct task_run *t, struct err *e);
/* The same because a check says so: through the restart policy. Does nothing when it does not run. */
void task_run_restart_failing(struct task_run *t, const char *why);
/* Entries in Consul have gone, or have been waited for long enough. */
void task_run_left(struct task_run *t);
int task_run_signal(struct task_run *t, int signal, struct err *e);
/* Takes up what the record says; processes are adopted. Called once, before anything else. */
void task_run_restore(struct task_run *t, const struct task_record *r);
/* Looks for a keeper's record when there is no record of ours: true when a process was found. */
bool task_run_adopt(struct task_run *t);
/* What goes to disk: pointers into t. */
void task_run_record(const struct task_run *t, struct task_record *out);
void task_run_event(struct task_run *t, enum task_event_kind kind, const char *text, int64_t duration);

#endif
