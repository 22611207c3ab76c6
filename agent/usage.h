/*
 * usage: what tasks use of the machine: cpu time and memory, per process and summed, from /proc, and from the task's
 * cgroup where it has one (which also counts processes that came and went). Nothing is measured until somebody asks;
 * percentages are over the time since the question before, at least a quarter of a second.
 */
#ifndef AGENT_USAGE_H
#define AGENT_USAGE_H

#include "base/buf.h"

struct alloc_run;
struct usage; /* one look at the machine's processes, shared by questions that come close together */

struct usage *usage_new(void);
void usage_free(struct usage *u);
/* AllocResourceUsage as the API answers it. mhz: of one core, for TotalTicks. */
void usage_alloc(struct usage *u, struct alloc_run *a, double mhz, struct buf *json);
/* HostStats as the API answers it. */
void usage_host(struct usage *u, const char *alloc_dir, double mhz, struct buf *json);

/* For tests: fields of one line of /proc/<pid>/stat; false when it is none. Times in clock ticks, rss in pages. */
struct usage_proc {
	int pid, ppid, session;
	int64_t user, system, rss;
	uint64_t start; /* clock ticks since boot */
};
bool usage_parse_stat(const char *line, struct usage_proc *out);

#endif
