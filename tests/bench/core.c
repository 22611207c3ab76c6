/*
 * bench-core: the core alone, with the file journal and no HTTP, on clusters of equal nodes. Beside the wall clock stands the processor time of this process, which other
 * load on the machine does not change.
 *
 *   bench-core                            everything
 *   bench-core NODES JOBS COUNT           the rows of one cluster
 *   bench-core loss                       a node that is lost
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "sched/core.h"
#include "tests/lib/figure.h"

struct shape {
	uint32_t nodes, jobs, count;
	const char *aim, *peer; /* NULL: none */
};

#define JOBS_IN_A_TURN 8 /* registrations that one group commit covers */

struct bench {
	struct shape shape;
	char dir[64];
	struct journal *j;
	struct core *core;
	int64_t now;                     /* virtual */
	int64_t worst_step, worst_commit; /* ns */
	uint64_t commits;
};

/* ---- clocks ---- */

struct watch {
	int64_t wall;
	double cpu;
};

static double cpu_seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct watch watch_start(void)
{
	return (struct watch){clock_monotonic(), cpu_seconds()};
}

static double wall_of(const struct watch *w)
{
	return (double)(clock_monotonic() - w->wall) / SECOND;
}

static double cpu_of(const struct watch *w)
{
	return cpu_seconds() - w->cpu;
}

static double megabytes(void)
{
	char line[128];
	double kb = 0;
	cleanup_fclose FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %lf", &kb) == 1)
			break;
	return kb / 1024;
}

/* ---- the cluster ---- */

static struct node *new_node(struct arena *a, uint32_t i, const struct shape *s)
{
	struct node *n = MODEL_NEW(a, node);
	char id[UUID_STR];
	/* Room for twice what comes. */
	int64_t each = (int64_t)s->jobs * s->count / s->nodes + 1;
	MODEL_SET(node, n, id, arena_strdup(a, uuid_format(uuid_derive((struct uuid){1, 2}, i), id)));
	MODEL_SET(node, n, secret_id, arena_strdup(a, uuid_format(uuid_derive((struct uuid){3, 4}, i), id)));
	MODEL_SET(node, n, name, arena_printf(a, "node-%u", i));
	MODEL_SET(node, n, datacenter, "dc1");
	MODEL_SET(node, n, http_addr, "127.0.0.1:4646");
	strmap_set(a, &n->attributes, "kernel.name", "linux");
	strmap_set(a, &n->attributes, "cpu.arch", "amd64");
	/* Real machines differ in something, so that no answer for one is an answer for all. */
	strmap_set(a, &n->attributes, "cpu.frequency", arena_printf(a, "%u", 2000 + i));
	n->node_resources = MODEL_NEW(a, node_resources);
	n->node_resources->cpu = MODEL_NEW(a, node_cpu);
	n->node_resources->memory = MODEL_NEW(a, node_memory);
	n->node_resources->disk = MODEL_NEW(a, node_disk);
	MODEL_SET(node_cpu, n->node_resources->cpu, cpu_shares, each * 20);
	MODEL_SET(node_memory, n->node_resources->memory, memory_mb, each * 20);
	MODEL_SET(node_disk, n->node_resources->disk, disk_mb, each * 200);
	struct driver_info *d = MODEL_NEW(a, driver_info);
	MODEL_SET(driver_info, d, detected, true);
	MODEL_SET(driver_info, d, healthy, true);
	objmap_set(a, &n->drivers, "raw_exec", d);
	return n;
}

static struct job *new_job(struct arena *a, const char *prefix, uint32_t i, uint32_t count, int64_t memory)
{
	struct job *j = MODEL_NEW(a, job);
	struct task_group *g = MODEL_NEW(a, task_group);
	struct task *t = MODEL_NEW(a, task);
	struct constraint *c = MODEL_NEW(a, constraint);
	MODEL_SET(job, j, id, arena_printf(a, "%s-%u", prefix, i));
	MODEL_SET(job, j, type, "batch");
	strs_push(a, &j->datacenters, "dc1");
	MODEL_SET(constraint, c, ltarget, "${attr.kernel.name}");
	MODEL_SET(constraint, c, rtarget, "linux");
	MODEL_SET(constraint, c, operand, "=");
	objs_push(a, &j->constraints, c);
	MODEL_SET(task_group, g, name, "work");
	MODEL_SET(task_group, g, count, count);
	g->ephemeral_disk = MODEL_NEW(a, ephemeral_disk);
	MODEL_SET(ephemeral_disk, g->ephemeral_disk, size_mb, 100);
	MODEL_SET(task, t, name, "main");
	MODEL_SET(task, t, driver, "raw_exec");
	t->resources = MODEL_NEW(a, resources);
	MODEL_SET(resources, t->resources, cpu, 10);
	MODEL_SET(resources, t->resources, memory_mb, memory);
	objs_push(a, &g->tasks, t);
	objs_push(a, &j->task_groups, g);
	return j;
}

static void open_core(struct bench *b)
{
	cleanup_err struct err e = ERR_INIT;
	struct journal_file_config file = {.dir = b->dir, .cluster_id = {1, 1}, .sync = true};
	struct core_config config = {.seed = 7, .failover_heartbeat_ttl = 100 * HOUR, .job_gc_interval = 1000 * HOUR};
	if (journal_file_open(&file, &b->j, &e) || core_open(&config, b->j, b->now, &b->core, &e))
		die("open: %s", err_str(&e));
}

static void close_core(struct bench *b)
{
	core_close(b->core);
	b->j->ops->close(b->j);
}

static void commit(struct bench *b)
{
	cleanup_err struct err e = ERR_INIT;
	int64_t begin = clock_monotonic();
	if (!core_commit_begin(b->core))
		return;
	if (core_commit_run(b->core, &e))
		die("commit: %s", err_str(&e));
	core_commit_end(b->core);
	b->worst_commit = MAX(b->worst_commit, clock_monotonic() - begin);
	b->commits++;
}

static void settle(struct bench *b)
{
	for (bool more = true; more;) {
		int64_t begin = clock_monotonic();
		more = core_step(b->core, b->now);
		b->worst_step = MAX(b->worst_step, clock_monotonic() - begin);
	}
}

static void register_nodes(struct bench *b)
{
	for (uint32_t i = 0; i < b->shape.nodes; i++) {
		cleanup_arena struct arena *a = arena_new();
		cleanup_err struct err e = ERR_INIT;
		struct core_node_reply out;
		if (core_node_register(b->core, new_node(a, i, &b->shape), b->now, &out, &e))
			die("node: %s", err_str(&e));
	}
	settle(b);
	commit(b);
}

static void register_job(struct bench *b, const char *prefix, uint32_t i, uint32_t count, int64_t memory)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_err struct err e = ERR_INIT;
	struct core_eval_reply out;
	struct core_register_request req = {.job = new_job(a, prefix, i, count, memory)};
	b->now += MILLI;
	if (core_job_register(b->core, &req, b->now, &out, &e))
		die("job: %s", err_str(&e));
}

static void bench_open(struct bench *b, const struct shape *s)
{
	*b = (struct bench){.shape = *s, .now = INT64_C(1700000000) * SECOND};
	snprintf(b->dir, sizeof(b->dir), "%.40s/core-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	if (!mkdtemp(b->dir))
		die("%s: %s", b->dir, strerror(errno));
	open_core(b);
	register_nodes(b);
	b->worst_step = b->worst_commit = 0;
	b->commits = 0;
}

static void bench_close(struct bench *b)
{
	cleanup_err struct err e = ERR_INIT;
	close_core(b);
	if (dir_remove(b->dir, &e))
		die("%s", err_str(&e));
}

static uint64_t placed(const struct bench *b)
{
	struct core_stats st;
	core_stats(b->core, &st);
	return st.placements;
}

/* ---- floors ---- */

/* What a disk needs for the same bytes in the same batches, and nothing else. */
static double floor_of_log(const struct bench *b, uint64_t bytes)
{
	cleanup_free char *path = path_join(b->dir, "floor"), *piece = xcalloc(1, bytes / MAX(b->commits, 1) + 1);
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct watch w = watch_start();
	if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes + 1))
		return 0;
	for (uint64_t i = 0, n = bytes / MAX(b->commits, 1) + 1; i < b->commits; i++)
		if (pwrite(fd, piece, n, (off_t)(i * n)) < 0 || fdatasync(fd))
			return 0;
	unlink(path);
	return wall_of(&w);
}

/* Best fit by a look at every node for every placement, in plain arrays: arithmetic that knows of nothing else. Measured
 * on some placements and scaled to all. */
static double floor_of_scan(const struct shape *s)
{
	uint64_t all = (uint64_t)s->jobs * s->count, some = MIN(all, 20000);
	float room = (float)(all / s->nodes + 1) * 20, *cpu = xcalloc(s->nodes, sizeof(*cpu)), *memory = xcalloc(s->nodes, sizeof(*memory));
	for (uint32_t i = 0; i < s->nodes; i++)
		cpu[i] = memory[i] = room;
	struct watch w = watch_start();
	for (uint64_t k = 0; k < some; k++) {
		uint32_t best = 0;
		float least = 3 * room;
		for (uint32_t i = 0; i < s->nodes; i++) {
			float left = cpu[i] + memory[i];
			if (left < least && cpu[i] >= 10 && memory[i] >= 10) {
				least = left;
				best = i;
			}
		}
		cpu[best] -= 10;
		memory[best] -= 10;
	}
	double took = wall_of(&w);
	free(cpu);
	free(memory);
	return took * (double)all / (double)some;
}

/* ---- rows ---- */

#define ROW(what, n, in) (&(struct figure){.name = what, .value = n, .unit = in})

static void bench_placing(struct bench *b)
{
	const struct shape *s = &b->shape;
	cleanup_free char *what = xasprintf("core: place %u jobs x %u on %u nodes", s->jobs, s->count, s->nodes);
	double before = megabytes();
	struct core_stats st;
	struct watch w = watch_start();
	for (uint32_t i = 0; i < s->jobs; i++) {
		register_job(b, "job", i, s->count, 10);
		settle(b);
		if (i % JOBS_IN_A_TURN == JOBS_IN_A_TURN - 1)
			commit(b);
	}
	commit(b);
	double wall = wall_of(&w), cpu = cpu_of(&w), memory = megabytes();
	core_stats(b->core, &st);
	uint64_t all = (uint64_t)s->jobs * s->count;
	double log = floor_of_log(b, st.journal_bytes), scan = floor_of_scan(s);
	figure(&(struct figure){what, wall, "s", s->aim, log + scan, "a bare scan of all nodes, the disk alone"},
	    "%llu of %llu placed and durable, %.0f/s, %.2f s of processor%s%s", (unsigned long long)st.placements, (unsigned long long)all,
	    (double)st.placements / wall, cpu, s->peer ? "; " : "", s->peer ? s->peer : "");
	figure(&(struct figure){.name = "  memory", .value = memory, .unit = "MB", .aim = "<= 700"}, "%.0f B for each allocation, its job and evaluation included",
	    (memory - before) * 1048576 / (double)all);
	figure(ROW("  journal", (double)st.journal_bytes / 1e6, "MB"), "%llu commits, worst %.1f ms; the disk alone needs %.2f s for them",
	    (unsigned long long)b->commits, (double)b->worst_commit / 1e6, log);
	figure(ROW("  longest evaluation", (double)b->worst_step / 1e6, "ms"), "nothing else happens in the loop meanwhile");
}

static void bench_restart(struct bench *b)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_free char *path = NULL;
	struct stat st;
	close_core(b);
	struct watch w = watch_start();
	open_core(b);
	figure(ROW("  replay of that journal", wall_of(&w), "s"), "%.2f s of processor, %.0f MB", cpu_of(&w), megabytes());
	w = watch_start();
	if (core_snapshot(b->core, &e))
		die("snapshot: %s", err_str(&e));
	double wall = wall_of(&w), cpu = cpu_of(&w);
	path = xasprintf("%s/snapshot-%016llx.snap", b->dir, (unsigned long long)core_state(b->core)->index);
	figure(ROW("  snapshot", wall, "s"), "%.2f s of processor, %.0f MB; the loop stands still meanwhile", cpu,
	    stat(path, &st) ? 0 : (double)st.st_size / 1e6);
	close_core(b);
	w = watch_start();
	open_core(b);
	figure(ROW("  start from that snapshot", wall_of(&w), "s"), "%.2f s of processor, %.0f MB", cpu_of(&w), megabytes());
}

static bool put_update(struct arena *a, struct alloc_updates *u, const struct alloc *x)
{
	struct alloc_update *one = MODEL_NEW(a, alloc_update);
	struct task_state *t = MODEL_NEW(a, task_state);
	char id[UUID_STR];
	MODEL_SET(alloc_update, one, id, arena_strdup(a, uuid_format(x->id, id)));
	MODEL_SET(alloc_update, one, client_status, "running");
	MODEL_SET(task_state, t, state, "running");
	MODEL_SET(task_state, t, started_at, INT64_C(1700000000) * SECOND);
	objmap_set(a, &one->task_states, "main", t);
	one->has |= MODEL_BIT(alloc_update, task_states);
	objs_push(a, &u->allocs, one);
	return true;
}

/* All that every node has to say, a node at a time, as one report. */
static void bench_reports(struct bench *b)
{
	uint64_t n = 0, reports = 0, index;
	double before = megabytes();
	struct watch w = watch_start();
	for (uint32_t i = 0; i < core_state(b->core)->cap_nodes && n < 200000; i++) {
		struct node_entry *node = core_state(b->core)->nodes[i];
		cleanup_arena struct arena *a = arena_new();
		struct alloc_updates u = {0};
		if (!node)
			continue;
		for (LINK_EACH(&node->allocs, struct alloc, by_node, x))
			n += put_update(a, &u, x);
		if (core_allocs_update(b->core, node->id, &u, b->now, &index, NULL))
			die("report");
		if (++reports % 16 == 0)
			commit(b);
	}
	commit(b);
	figure(ROW("  allocations reported running", wall_of(&w), "s"), "%llu in %llu reports, %.2f s of processor, %.0f B each",
	    (unsigned long long)n, (unsigned long long)reports, cpu_of(&w), (megabytes() - before) * 1048576 / (double)MAX(n, 1));
}

static void bench_gc(struct bench *b)
{
	uint64_t index;
	struct watch w = watch_start();
	if (core_gc(b->core, b->now, &index, NULL))
		die("gc");
	figure(ROW("  a look for garbage", wall_of(&w) * 1000, "ms"), "of which %.0f ms of processor; every 5 minutes", cpu_of(&w) * 1000);
}

static void bench_huge(struct bench *b)
{
	b->worst_step = 0;
	struct watch w = watch_start();
	register_job(b, "huge", 0, 50000, 10);
	settle(b);
	commit(b);
	figure(ROW("  one job x 50000", wall_of(&w) * 1000, "ms"), "longest evaluation %.0f ms, %.2f s of processor", (double)b->worst_step / 1e6,
	    cpu_of(&w));
}

static void bench_singles(struct bench *b)
{
	uint32_t n = 5000;
	uint64_t before = placed(b);
	struct watch w = watch_start();
	for (uint32_t i = 0; i < n; i++) {
		register_job(b, "single", i, 1, 10);
		settle(b);
		if (i % 64 == 63)
			commit(b);
	}
	commit(b);
	figure(ROW("  jobs x 1", n / wall_of(&w), "/s"), "%u jobs, %llu placed, %.0f us of processor each, 64 in a commit", n,
	    (unsigned long long)(placed(b) - before), cpu_of(&w) / n * 1e6);
}

/* Jobs that fit nowhere: what they cost while they wait, and what it costs to ask them why. */
static void bench_waiting(struct bench *b)
{
	cleanup_arena struct arena *a = arena_new();
	uint32_t said = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		register_job(b, "big", i, 10, INT64_C(1) << 30);
		settle(b);
	}
	commit(b);
	struct watch w = watch_start();
	for (uint32_t i = 0; i < 1000; i++) {
		char id[32];
		snprintf(id, sizeof(id), "big-%u", i);
		said += core_why(b->core, a, state_job(core_state(b->core), "default", id), "work", b->now) != NULL;
	}
	figure(ROW("  why a job waits", wall_of(&w) * 1000 / 1000, "ms"), "each of 1000, %u reasons, %.2f s of processor for all", said, cpu_of(&w));
	/* Something ends: all that wait are asked whether it helps them. */
	struct alloc *x = CONTAINER_OF(state_job(core_state(b->core), "default", "single-0")->allocs.next, struct alloc, by_job);
	struct alloc_update u = {0};
	struct alloc_updates all = {0};
	char id[UUID_STR];
	uint64_t index;
	MODEL_SET(alloc_update, &u, id, uuid_format(x->id, id));
	MODEL_SET(alloc_update, &u, client_status, "complete");
	objs_push(a, &all.allocs, &u);
	core_allocs_update(b->core, x->node->id, &all, b->now, &index, NULL);
	b->worst_step = 0;
	w = watch_start();
	settle(b);
	figure(ROW("  an end somewhere, asked of 1000 that wait", wall_of(&w) * 1000, "ms"), "longest step %.2f ms", (double)b->worst_step / 1e6);
}

static void bench_loss(void)
{
	static const struct shape shape = {101, 100, 1000, NULL, NULL};
	struct bench b;
	bench_open(&b, &shape);
	for (uint32_t i = 0; i < shape.jobs; i++) {
		register_job(&b, "job", i, shape.count, 10);
		settle(&b);
	}
	commit(&b);
	struct node_entry *n = core_state(b.core)->nodes[7];
	uint32_t lost = (uint32_t)n->used.allocs;
	uint64_t before = placed(&b);
	struct watch w;
	/* It falls silent, and the others do not. */
	do {
		struct core_node_reply out;
		b.now += SECOND;
		for (uint32_t i = 0; i < shape.nodes; i++)
			if (core_state(b.core)->nodes[i] != n)
				core_node_heartbeat(b.core, core_state(b.core)->nodes[i]->id, b.now, &out, NULL);
		w = watch_start();
		core_tick(b.core, b.now);
	} while (n->status == NODE_READY);
	b.worst_step = 0;
	double tick = wall_of(&w);
	settle(&b);
	commit(&b);
	figure(ROW("core: a node goes down, its work is replaced", wall_of(&w) * 1000, "ms"),
	    "%u allocations of %u jobs, %llu placed anew on 100 nodes; the verdict %.1f ms, longest evaluation %.1f ms, %.2f s of processor", lost,
	    shape.jobs, (unsigned long long)(placed(&b) - before), tick * 1000, (double)b.worst_step / 1e6, cpu_of(&w));
	bench_close(&b);
}

/* ---- all of it ---- */

static void run(const struct shape *s, bool all)
{
	struct bench b;
	bench_open(&b, s);
	bench_placing(&b);
	if (all) {
		bench_restart(&b);
		bench_reports(&b);
		bench_gc(&b);
		bench_huge(&b);
		bench_singles(&b);
		bench_waiting(&b);
	}
	bench_close(&b);
}

/* Each in a process of its own, so that its memory is its own. */
static int apart(const struct shape *s, bool all)
{
	int status;
	pid_t pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (s)
			run(s, all);
		else
			bench_loss();
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	static const struct shape small = {500, 318, 315, "<= 1", "a Nomad 1.1.2 took 410 s and 2.1 GB"},
	                          large = {5000, 1000, 1000, "<= 10", NULL};
	if (argc == 4) {
		struct shape s = {(uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]), NULL, NULL};
		if (s.nodes && s.jobs && s.count)
			return apart(&s, true);
	}
	if (argc == 2 && str_eq(argv[1], "loss"))
		return apart(NULL, false);
	if (argc != 1) {
		fprintf(stderr, "usage: %s [loss | NODES JOBS COUNT]: three numbers of 1 or more\n", argv[0]);
		return 1;
	}
	return apart(&small, false) | apart(&large, true) | apart(NULL, false);
}
