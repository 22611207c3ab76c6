/*
 * usage_host: what the whole machine uses: HostStats of the API. Cpu shares are over the time since the question
 * before (since boot for the first).
 */
#ifndef AGENT_USAGE_HOST_H
#define AGENT_USAGE_HOST_H

#include "base/buf.h"

struct cpu_times {
	uint64_t user, system, idle, total; /* clock ticks since boot */
};

struct usage_host {
	struct cpu_times *last; /* of each core at the question before */
	uint32_t n;
};

void usage_host_release(struct usage_host *h);
void usage_host_put(struct usage_host *h, const char *alloc_dir, double mhz, struct buf *json);
/* One "cpuN ..." line of /proc/stat; false when it is none. */
bool usage_host_parse_cpu(const char *line, uint32_t *core, struct cpu_times *out);

#endif
