/*
 * keeper: the agent's side of drover-keeper, the tiny static process that holds one task. The keeper reads what to run
 * from a memory file (it holds the environment, so it never has a name), puts itself into its own session, makes the
 * pipes, starts the task in its cgroup, moves stdout and stderr into log files with rotation without ever letting the
 * disk block the writer, and keeps the exit status in its record until the agent has taken it. It needs nobody: the
 * agent may die and come back.
 *
 * The record is one file, <state>/allocs/<alloc>/<task>.run (0600), described in agent/keeper_proto.h. It is locked for
 * as long as its keeper lives, so "does it run" is never a guess from a pid, and nothing is started twice.
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include "base/err.h"
#include "base/model.h"

struct keeper_spec {
	const char *command;     /* absolute, or looked up in PATH of env */
	struct strs args;        /* without argv[0] */
	struct strs env;         /* "K=V" */
	const char *work_dir;
	const char *user;        /* NULL = the agent's own */
	const char *log_folder;  /* holds "<name>.<n>" */
	const char *log_names[2]; /* of stdout and stderr */
	int64_t max_files, max_file_size; /* rotation; bytes */
	bool logs_disabled;
	const char *cgroup;      /* folder of the v2 group that the task is born in; NULL = none */
	const char *cgroup_procs[4]; /* cgroup.procs of v1 groups that it enters */
	const char *cgroup_oom;  /* file with a line "oom_kill N", NULL = none */
	int oom_score_adj;
	int64_t open_files;      /* soft limit, 0 = the agent's own */
};

struct keeper; /* a running one, known to this agent */
struct event_base;

enum keeper_event { KEEPER_STARTED, KEEPER_START_FAILED, KEEPER_EXITED };
struct keeper_exit {
	int code, signal;
	bool oom;
	int64_t at;        /* Unix ns */
	const char *error; /* of START_FAILED */
	int error_code;    /* errno of it, positive */
	bool lost;         /* the keeper is gone and left no status ... */
	bool rebooted;     /* ... because the machine was restarted; else it was killed */
};
/* Called from the loop. After START_FAILED and EXITED nothing more comes; the receiver may release k in any of them. */
typedef void keeper_fn(void *arg, struct keeper *k, enum keeper_event event, const struct keeper_exit *exit);

/* Starts a keeper; the executable is next to drover, or DROVER_KEEPER. start: the number of this start, at least 1, by
 * which keeper_adopt tells this record from that of an earlier start. -EBUSY: the keeper of an earlier start lives. */
int keeper_start(struct event_base *base, const char *record, uint64_t start, const struct keeper_spec *spec,
    keeper_fn *fn, void *arg, struct keeper **out, struct err *e);
/* Runs the command of a spec at once beside its task: in the same context (user, folder, cgroups, limits), as a session of its own,
 * with stdout and stderr to `output`. It dies with the agent. The caller reaps it. A command that cannot be run says so in its
 * output and ends with 127. */
int keeper_run(const struct keeper_spec *spec, int output, int *pid, struct err *e);
/* After a restart of the agent: takes up the keeper of a record again. -ENOENT: that start never came to a keeper.
 * Otherwise its events follow, also when it ended meanwhile. *start: the number wanted, 0 = whatever there is; the
 * number found is put there. */
int keeper_adopt(struct event_base *base, const char *record, uint64_t *start, keeper_fn *fn, void *arg,
    struct keeper **out, struct err *e);
const char *keeper_boot_id(void); /* of this boot: what was written down with another one is of processes that are gone */
int keeper_signal(struct keeper *k, int signal, struct err *e); /* to the task's main process */
/* SIGKILL to the task's session, after which the keeper kills the rest of it; to the keeper where no task has come up. */
int keeper_kill(struct keeper *k, struct err *e);
int keeper_pid(struct keeper *k); /* of the task; 0 before it runs and when it is gone */
/* Whether a record is held by this very keeper. True for a keeper that has not written yet who it is. */
bool keeper_is(const char *record, int pid);
/* Forgets it on the agent's side without touching the process. NULL is fine. */
void keeper_release(struct keeper *k);

/* The spec as agent/keeper_proto.h describes it. It holds the environment: the caller wipes it. */
int keeper_spec_encode(const struct keeper_spec *s, struct buf *out, struct err *e);

#endif
