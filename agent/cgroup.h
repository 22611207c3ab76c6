/*
 * cgroup: control groups of tasks: for a kill that misses nothing, for accounting, and for limits where a driver asks
 * for them. Found out at run time, none needed:
 *   - Version 2 first. Tasks are born in their group (clone3), which costs next to nothing; moving a process into a
 *     group of version 1 stops it for a grace period of the kernel, some 10 ms.
 *   - Where version 1 has the controllers and version 2 is mounted beside it (systemd's hybrid form), tasks are held in
 *     version 2 and enter version 1 only for limits.
 *   - Version 1 alone: the memory and cpuacct groups hold and account.
 *   - Neither can be written (an ordinary user): no groups; sessions and orphans are what is killed, /proc accounts.
 * Under systemd's delegation (Delegate=yes) to an ordinary user the groups live below the agent's own.
 */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include "agent/keeper.h"

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

enum { CGROUP_TREES = 4 };

struct cgroup_tree { /* one hierarchy */
	char folder[256]; /* that holds the tasks' groups */
	unsigned has;     /* bits of agent/cgroup.c */
};

struct cgroup_host {
	enum cgroup_version version; /* that holds tasks */
	char parent[128];            /* name of the folders, "drover.slice" or "drover" */
	struct cgroup_tree trees[CGROUP_TREES];
	uint32_t n;
	bool limits;                 /* cpu and memory can be limited */
};

struct cgroup_limits {
	int64_t cpu_mhz;   /* weight beside others; 0 = the default one */
	int64_t memory_mb; /* hard; 0 = none */
};

/* Looks at the mounts below root ("/sys/fs/cgroup"; another folder in tests) and tries to make the parents. */
void cgroup_detect(struct cgroup_host *h, const char *root, const char *parent);

/* Makes the groups of a task and fills in those fields of the spec (arena). limits may be NULL. -ENOTSUP: limits
 * are wanted that this machine cannot set. With CGROUP_NONE and no limits it leaves the spec alone. */
int cgroup_make(const struct cgroup_host *h, const char *alloc_id, const char *task, const struct cgroup_limits *limits,
    struct keeper_spec *spec, struct arena *a, struct err *e);
/* Removes the groups of a task that ended; -EBUSY while something lives in them. */
int cgroup_remove(const struct cgroup_host *h, const char *alloc_id, const char *task);
/* SIGKILL to everything in them. */
void cgroup_kill(const struct cgroup_host *h, const char *alloc_id, const char *task);

struct cgroup_usage {
	bool has_cpu, has_memory;
	int64_t cpu_user, cpu_system;  /* ns since the group was made */
	int64_t throttled_periods, throttled_time; /* count, ns */
	int64_t memory_usage, memory_rss, memory_cache, memory_swap, memory_max; /* bytes */
};
/* What is not there stays unset: /proc is the source then (agent/usage.h). */
void cgroup_usage(const struct cgroup_host *h, const char *alloc_id, const char *task, struct cgroup_usage *out);

#endif
