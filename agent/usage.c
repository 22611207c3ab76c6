#include "agent/usage.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>

#include "agent/alloc_run.h"
#include "agent/usage_host.h"
#include "base/clock.h"
#include "base/codec.h"

#define FRESH     (250 * MILLI) /* a look at /proc serves this long */
#define PROCS_MAX 65536
#define PIDS_SHOWN 64 /* processes listed one by one in an answer */

struct table { /* processes by pid */
	int64_t at; /* of the look, monotonic; 0 = none yet */
	struct usage_proc *v;
	size_t n, cap;
};

struct usage {
	struct table now, before;
	struct usage_host host;
};

struct figures { /* of one process, task or allocation */
	double user, system; /* percent of one core */
	int64_t rss, swap, cache, usage, max; /* bytes */
	int64_t throttled_periods, throttled_time; /* count, ns */
	bool from_cgroup, any;
};

struct usage *usage_new(void)
{
	return xcalloc(1, sizeof(struct usage));
}

void usage_free(struct usage *u)
{
	if (!u)
		return;
	usage_host_release(&u->host);
	free(u->now.v);
	free(u->before.v);
	free(u);
}

/* ---- /proc ---- */

bool usage_parse_stat(const char *line, struct usage_proc *out)
{
	/* The name is in brackets and may hold anything, brackets too. */
	const char *p = strrchr(line, ')');
	struct usage_proc r = { .pid = atoi(line) };
	long long user, system, rss;
	unsigned long long start;

	if (!p || sscanf(p + 1, " %*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %lld %lld %*d %*d %*d %*d %*d %*d %llu %*u %lld",
	                  &r.ppid, &r.session, &user, &system, &start, &rss) != 6)
		return false;
	r.user = user;
	r.system = system;
	r.rss = rss;
	r.start = start;
	*out = r;
	return r.pid > 0;
}

static bool read_small(const char *path, char *text, size_t size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

static int by_pid(const void *a, const void *b)
{
	return ((const struct usage_proc *)a)->pid - ((const struct usage_proc *)b)->pid;
}

static void look(struct usage *u)
{
	int64_t at = clock_monotonic();

	if (u->now.at && at - u->now.at < FRESH)
		return;
	struct table fresh = u->before;

	u->before = u->now;
	fresh.at = at;
	fresh.n = 0;
	DIR *d = opendir("/proc");

	for (struct dirent *de = d ? readdir(d) : NULL; de && fresh.n < PROCS_MAX; de = readdir(d)) {
		char path[64], text[1024];

		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/stat", de->d_name);
		if (!read_small(path, text, sizeof(text)))
			continue;
		if (fresh.n == fresh.cap) {
			fresh.cap = fresh.cap ? 2 * fresh.cap : 64;
			fresh.v = xrealloc(fresh.v, fresh.cap, sizeof(*fresh.v));
		}
		if (usage_parse_stat(text, &fresh.v[fresh.n]))
			fresh.n++;
	}
	if (d)
		closedir(d);
	if (fresh.n)
		qsort(fresh.v, fresh.n, sizeof(*fresh.v), by_pid);
	u->now = fresh;
}

static const struct usage_proc *find(const struct table *t, int pid)
{
	const struct usage_proc key = { .pid = pid };

	return t->n ? bsearch(&key, t->v, t->n, sizeof(key), by_pid) : NULL;
}

/* What one process used since the look before; nothing for one that is new. */
static struct figures figures_of(const struct usage *u, const struct usage_proc *p)
{
	const int64_t tick = SECOND / sysconf(_SC_CLK_TCK);
	const struct usage_proc *old = find(&u->before, p->pid);
	struct figures f = { .any = true, .rss = p->rss * sysconf(_SC_PAGESIZE) };

	if (old && old->start == p->start) {
		double span = (double)(u->now.at - u->before.at) / 100.0;

		f.user = (double)((p->user - old->user) * tick) / span;
		f.system = (double)((p->system - old->system) * tick) / span;
	}
	return f;
}

/* What the task's cgroups say beats the sum over the processes that we see. Times in ns. */
static void read_cgroup(const struct task_run *t, int64_t *user, int64_t *system, struct figures *f)
{
	struct cgroup_usage g;

	cgroup_usage(t->alloc->host->cgroups, t->alloc->id, t->name, &g);
	if (g.has_cpu) {
		*user = g.cpu_user;
		*system = g.cpu_system;
	}
	if (!g.has_memory || !g.memory_usage)
		return;
	f->from_cgroup = true;
	f->throttled_periods = g.throttled_periods;
	f->throttled_time = g.throttled_time;
	f->usage = g.memory_usage;
	f->max = g.memory_max;
	f->rss = g.memory_rss;
	f->cache = g.memory_cache;
	f->swap = g.memory_swap;
}

/* ---- JSON ---- */

static void put_usage(struct buf *b, const struct figures *f, double mhz, const char *devices)
{
	double percent = f->user + f->system;

	buf_printf(b,
	    "{\"CpuStats\":{\"Measured\":%s,\"Percent\":%.6g,\"SystemMode\":%.6g,\"ThrottledPeriods\":%lld,"
	    "\"ThrottledTime\":%lld,\"TotalTicks\":%.6g,\"UserMode\":%.6g},\"DeviceStats\":%s,\"MemoryStats\":{\"Cache\":%lld,\"KernelMaxUsage\":0,"
	    "\"KernelUsage\":0,\"MaxUsage\":%lld,\"Measured\":%s,\"RSS\":%lld,\"Swap\":%lld,\"Usage\":%lld}}",
	    f->any ? "[\"System Mode\",\"User Mode\",\"Percent\"]" : "null", percent, f->system,
	    (long long)f->throttled_periods, (long long)f->throttled_time, percent * mhz / 100.0, f->user, devices,
	    (long long)f->cache, (long long)f->max,
	    !f->any ? "null" : f->from_cgroup ? "[\"RSS\",\"Cache\",\"Swap\",\"Usage\",\"Max Usage\"]" : "[\"RSS\",\"Swap\"]",
	    (long long)f->rss, (long long)f->swap, (long long)f->usage);
}

/* ---- tasks ---- */

/* Turns cpu times so far into percentages since the last look at this task. */
static void rate(struct task_run *t, int64_t at, int64_t user, int64_t system, struct figures *f)
{
	struct task_usage_sample *s = &t->usage;

	if (!s->at || user < s->user || system < s->system) {
		/* The first look: over the life of the process so far. */
		int64_t lived = MAX(clock_now() - t->state->started_at, FRESH);

		s->user_percent = 100.0 * (double)user / (double)lived;
		s->system_percent = 100.0 * (double)system / (double)lived;
	} else if (at - s->at >= FRESH) {
		s->user_percent = 100.0 * (double)(user - s->user) / (double)(at - s->at);
		s->system_percent = 100.0 * (double)(system - s->system) / (double)(at - s->at);
	} else {
		f->user = s->user_percent;
		f->system = s->system_percent;
		return;
	}
	s->at = at;
	s->user = user;
	s->system = system;
	f->user = s->user_percent;
	f->system = s->system_percent;
}

/* A task's processes descend from its keeper, which adopts those whose parents ended. */
static bool belongs(const struct usage *u, const struct usage_proc *p, int keeper)
{
	for (int depth = 0; p && depth < 64; depth++) {
		if (p->ppid == keeper)
			return true;
		p = p->ppid > 1 ? find(&u->now, p->ppid) : NULL;
	}
	return false;
}

static void put_task(struct usage *u, struct task_run *t, double mhz, struct buf *json, struct figures *sum)
{
	const int64_t tick = SECOND / sysconf(_SC_CLK_TCK);
	const struct usage_proc *leader = find(&u->now, keeper_pid(t->keeper));
	const int keeper = leader ? leader->ppid : -1;
	int shown = 0;
	struct figures f = { .any = true };
	int64_t user = 0, system = 0;

	json_put_string(json, t->name, strlen(t->name));
	buf_puts(json, ":{\"Pids\":{");
	for (size_t i = 0; i < u->now.n; i++) {
		const struct usage_proc *p = &u->now.v[i];

		if (!belongs(u, p, keeper))
			continue;
		user += p->user * tick;
		system += p->system * tick;
		const struct figures one = figures_of(u, p);

		f.rss += one.rss;
		if (shown >= PIDS_SHOWN)
			continue;
		buf_printf(json, "%s\"%d\":", shown++ ? "," : "", p->pid);
		put_usage(json, &one, mhz, "null");
	}
	read_cgroup(t, &user, &system, &f);
	rate(t, u->now.at, user, system, &f);
	buf_puts(json, "},\"ResourceUsage\":");
	put_usage(json, &f, mhz, "null");
	buf_printf(json, ",\"Timestamp\":%lld}", (long long)clock_now());
	sum->any = true;
	sum->from_cgroup |= f.from_cgroup;
	sum->user += f.user;
	sum->system += f.system;
	sum->rss += f.rss;
	sum->throttled_periods += f.throttled_periods;
	sum->throttled_time += f.throttled_time;
	sum->swap += f.swap;
	sum->cache += f.cache;
	sum->usage += f.usage;
	sum->max += f.max;
}

void usage_alloc(struct usage *u, struct alloc_run *a, double mhz, struct buf *json)
{
	struct buf tasks cleanup_buf = BUF_INIT;
	struct figures sum = { 0 };

	look(u);
	for (uint32_t i = 0; i < a->n; i++) {
		struct task_run *t = a->tasks[i];

		if (!t->keeper || t->phase < TASK_RUNNING || t->phase > TASK_KILLING || keeper_pid(t->keeper) <= 0)
			continue;
		if (tasks.len)
			buf_putc(&tasks, ',');
		put_task(u, t, mhz, &tasks, &sum);
	}
	buf_puts(json, "{\"ResourceUsage\":");
	put_usage(json, &sum, mhz, "[]");
	buf_printf(json, ",\"Tasks\":{%s},\"Timestamp\":%lld}", tasks.data ? tasks.data : "",
	    sum.any ? (long long)clock_now() : 0LL);
}

void usage_host(struct usage *u, const char *alloc_dir, double mhz, struct buf *json)
{
	usage_host_put(&u->host, alloc_dir, mhz, json);
}
