/*
 * cgroup: a control group for each task, for accounting, for killing everything at once, and for limits where a driver
 * asks for them. Version 2 first; version 1 where its controllers are mounted; none where neither can be written
 * (an ordinary user): found out at run time. Under systemd's delegation the groups live below the agent's own.
 */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include "agent/keeper.h"

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

struct cgroup_host {
	enum cgroup_version version;
	char root[256];   /* v2: mount point; v1: folder of the controllers' mounts */
	char parent[256]; /* name below it that holds all tasks, "drover.slice" (v2) or "drover" (v1) */
	bool limits;      /* cpu and memory controllers can be set */
};

/* Looks at the mounts below root ("/sys/fs/cgroup"; another folder in tests) and tries to make the parent. */
void cgroup_detect(struct cgroup_host *h, const char *root, const char *parent);
/* What Nomad's attribute and people call it: "v2", "v1" or "none". */
const char *cgroup_version_name(enum cgroup_version v);

/* Makes the group of a task and fills in spec->cgroup and spec->cgroup_procs (arena). limits may be NULL: account only.
 * With CGROUP_NONE it leaves the spec alone and returns 0. */
int cgroup_make(const struct cgroup_host *h, const char *alloc_id, const char *task, const struct keeper_limits *limits,
    struct keeper_spec *spec, struct arena *a, struct err *e);
/* Removes the groups of a task that ended; -EBUSY while something lives in them. */
int cgroup_remove(const struct cgroup_host *h, const char *alloc_id, const char *task);
/* SIGKILL to everything in it. */
void cgroup_kill(const struct cgroup_host *h, const char *alloc_id, const char *task);

struct cgroup_usage {
	int64_t cpu_user, cpu_system;  /* ns since the group was made */
	int64_t throttled_periods, throttled_time; /* count, ns */
	int64_t memory_usage, memory_rss, memory_cache, memory_swap, memory_max; /* bytes */
};
/* -ENOENT when there is no such group (then /proc is the source: agent/usage.h). */
int cgroup_usage(const struct cgroup_host *h, const char *alloc_id, const char *task, struct cgroup_usage *out);

#endif
