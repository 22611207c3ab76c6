#include "agent/usage_host.h"

#include <mntent.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/codec.h"

#define CORES_MAX  4096
#define MOUNTS_MAX 64

void usage_host_release(struct usage_host *h)
{
	free(h->last);
	*h = (struct usage_host){ 0 };
}

bool usage_host_parse_cpu(const char *line, uint32_t *core, struct cpu_times *out)
{
	unsigned long long v[8] = { 0 };
	unsigned n;

	/* "cpu " without a number is the sum of all. */
	if (strncmp(line, "cpu", 3) || line[3] == ' ' || sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &n, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
	        &v[6], &v[7]) < 5 || n >= CORES_MAX)
		return false;
	*core = n;
	/* user nice system idle iowait irq softirq steal */
	*out = (struct cpu_times){
		.user = v[0] + v[1],
		.system = v[2] + v[5] + v[6],
		.idle = v[3] + v[4],
		.total = v[0] + v[1] + v[2] + v[3] + v[4] + v[5] + v[6] + v[7],
	};
	return true;
}

static double share(uint64_t now, uint64_t then, uint64_t total)
{
	return total && now >= then ? 100.0 * (double)(now - then) / (double)total : 0;
}

static void put_cpus(struct usage_host *h, double mhz, struct buf *json)
{
	cleanup_fclose FILE *f = fopen("/proc/stat", "re");
	double busy_cores = 0;
	bool any = false;
	char line[512];

	buf_puts(json, "\"CPU\":[");
	while (f && fgets(line, sizeof(line), f)) {
		struct cpu_times now, then = { 0 };
		uint32_t core;

		if (!usage_host_parse_cpu(line, &core, &now))
			continue;
		if (core >= h->n) {
			h->last = xrealloc(h->last, core + 1, sizeof(*h->last));
			memset(h->last + h->n, 0, (core + 1 - h->n) * sizeof(*h->last));
			h->n = core + 1;
		}
		then = h->last[core];
		uint64_t total = now.total - then.total;
		double idle = share(now.idle, then.idle, total);

		buf_printf(json, "%s{\"CPU\":\"cpu%u\",\"Idle\":%.6g,\"System\":%.6g,\"Total\":%.6g,\"User\":%.6g}",
		    any ? "," : "", core, idle, share(now.system, then.system, total), total ? 100.0 - idle : 0.0,
		    share(now.user, then.user, total));
		busy_cores += total ? (100.0 - idle) / 100.0 : 0;
		h->last[core] = now;
		any = true;
	}
	buf_printf(json, "],\"CPUTicksConsumed\":%.8g,\"DeviceStats\":null,", busy_cores * mhz);
}

static bool put_disk(struct buf *json, const char *device, const char *mount)
{
	struct statvfs st;

	if (statvfs(str_empty(mount) ? device : mount, &st) < 0 || !st.f_blocks)
		return false;
	uint64_t unit = st.f_frsize, used = st.f_blocks - st.f_bfree;

	buf_printf(json, "{\"Available\":%llu,\"Device\":", (unsigned long long)(st.f_bavail * unit));
	json_put_string(json, str_empty(mount) ? "" : device, str_empty(mount) ? 0 : strlen(device));
	buf_printf(json, ",\"InodesUsedPercent\":%.6g,\"Mountpoint\":",
	    st.f_files ? 100.0 * (double)(st.f_files - st.f_ffree) / (double)st.f_files : 0.0);
	json_put_string(json, mount, strlen(mount));
	buf_printf(json, ",\"Size\":%llu,\"Used\":%llu,\"UsedPercent\":%.6g}", (unsigned long long)(st.f_blocks * unit),
	    (unsigned long long)(used * unit),
	    used + st.f_bavail ? 100.0 * (double)used / (double)(used + st.f_bavail) : 0.0);
	return true;
}

/* Real disks only: asking a network file system that is away would block. */
static void put_disks(struct buf *json)
{
	FILE *f = setmntent("/proc/mounts", "re");
	int shown = 0;

	buf_puts(json, "\"DiskStats\":[");
	for (struct mntent *m = f ? getmntent(f) : NULL; m && shown < MOUNTS_MAX; m = getmntent(f)) {
		if (!str_starts(m->mnt_fsname, "/dev/") || str_starts(m->mnt_type, "fuse"))
			continue;
		struct buf one cleanup_buf = BUF_INIT;

		if (put_disk(&one, m->mnt_fsname, m->mnt_dir))
			buf_printf(json, "%s%s", shown++ ? "," : "", one.data);
	}
	if (f)
		endmntent(f);
	buf_puts(json, "],");
}

static int64_t meminfo(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoll(p + strlen(key), NULL, 10) * 1024 : 0;
}

static void put_memory(struct buf *json)
{
	cleanup_fclose FILE *f = fopen("/proc/meminfo", "re");
	char text[4096];
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	int64_t total = meminfo(text, "MemTotal:"), free_bytes = meminfo(text, "MemFree:");
	int64_t used = total - free_bytes - meminfo(text, "Buffers:") - meminfo(text, "\nCached:");

	buf_printf(json, "\"Memory\":{\"Available\":%lld,\"Free\":%lld,\"Total\":%lld,\"Used\":%lld},",
	    (long long)meminfo(text, "MemAvailable:"), (long long)free_bytes, (long long)total,
	    (long long)MAX(used, INT64_C(0)));
}

void usage_host_put(struct usage_host *h, const char *alloc_dir, double mhz, struct buf *json)
{
	cleanup_fclose FILE *f = fopen("/proc/uptime", "re");
	long long uptime = 0;

	if (f && fscanf(f, "%lld", &uptime) != 1)
		uptime = 0;
	buf_puts(json, "{\"AllocDirStats\":");
	if (!put_disk(json, alloc_dir, ""))
		buf_puts(json, "null");
	buf_putc(json, ',');
	put_cpus(h, mhz, json);
	put_disks(json);
	put_memory(json);
	buf_printf(json, "\"Timestamp\":%lld,\"Uptime\":%lld}", (long long)clock_now(), uptime);
}
