/*
 * keeper: the agent's side of drover-keeper, the tiny static process that holds one task. The keeper is started
 * with nothing in its argv but the folder of its record, reads the spec from there (0600, removed once read
 * because it holds the environment), puts itself into its own session, creates the pipes, starts the task in its
 * cgroup, copies stdout and stderr to the log files with rotation without ever blocking the writer, and keeps the
 * exit status in its record until the agent has taken it. It needs nobody: the agent may die and come back.
 *
 * Record folder: <data_dir>/client/allocs/<alloc>/<task>/ (0700), files:
 *   spec     what to run (binary, base/wire bricks), removed by the keeper once read
 *   keeper   "<pid> <start time in clock ticks>\n" of the keeper, written before the task starts
 *   task     "<pid> <start time>\n" of the task
 *   exit     "<exit code> <signal> <oom 0/1> <wall time ns>\n", written by temp file + rename when the task ended
 *   error    a sentence, when the task could not be started (then no exit file)
 * Dropped output is counted in the log itself with a marker line.
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include "base/err.h"
#include "base/model.h"

struct keeper_limits {
	int64_t cpu_mhz;    /* share weight */
	int64_t memory_mb;  /* 0 = no limit */
	int64_t memory_max_mb;
};

struct keeper_spec {
	const char *command;     /* absolute, or looked up in PATH of env */
	struct strs args;        /* without argv[0] */
	struct strs env;         /* "K=V" */
	const char *work_dir;
	const char *user;        /* NULL = the agent's own */
	const char *stdout_path; /* "<alloc>/alloc/logs/<task>.stdout" : the keeper appends ".<n>" */
	const char *stderr_path;
	int64_t max_files, max_file_size; /* rotation; bytes */
	bool logs_disabled;
	const char *cgroup;      /* folder of the task's cgroup ("" = none): the task is born in it */
	const char *cgroup_procs[4]; /* v1: cgroup.procs of each controller; v2: only [0] */
	int oom_score_adj;
};

struct keeper; /* a running one, known to this agent */
struct event_base;

enum keeper_event { KEEPER_STARTED, KEEPER_START_FAILED, KEEPER_EXITED };
struct keeper_exit {
	int code, signal;
	bool oom;
	int64_t at;        /* Unix ns */
	const char *error; /* of START_FAILED */
	bool lost;         /* the keeper is gone and left no status (machine rebooted, keeper killed) */
};
typedef void keeper_fn(void *arg, struct keeper *k, enum keeper_event event, const struct keeper_exit *exit);

/* Starts a keeper. Events come from the loop. path of the executable: next to drover, or DROVER_KEEPER. */
int keeper_start(struct event_base *base, const char *record_dir, const struct keeper_spec *spec, keeper_fn *fn,
    void *arg, struct keeper **out, struct err *e);
/* After a restart of the agent: finds the keeper of a record again (by pid and start time, never by pid alone).
 * -ENOENT: there never was one. Otherwise its events follow, also when it ended meanwhile. */
int keeper_adopt(struct event_base *base, const char *record_dir, keeper_fn *fn, void *arg, struct keeper **out,
    struct err *e);
int keeper_signal(struct keeper *k, int signal, struct err *e); /* to the task */
/* SIGKILL to everything in the task's cgroup (or its session when there is none). */
int keeper_kill(struct keeper *k, struct err *e);
int keeper_pid(const struct keeper *k); /* of the task, 0 before it runs */
/* Forgets it on the agent's side without touching the process. */
void keeper_release(struct keeper *k);
/* Removes the record of a task that ended. */
int keeper_forget(const char *record_dir, struct err *e);

#endif
