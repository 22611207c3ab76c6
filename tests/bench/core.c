/*
 * bench-core: the core alone, with the file journal and no HTTP: registers jobs on a cluster of equal nodes and places
 * all their allocations, durable at the end. Prints one row for each shape.
 *
 *   bench-core [NODES JOBS COUNT]...      without arguments: 500 318 315 and 5000 1000 1000
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "sched/core.h"

struct shape {
	uint32_t nodes, jobs, count;
};

#define JOBS_IN_A_TURN 8 /* registrations that one group commit covers */

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
	MODEL_SET(node, n, computed_class, "v1:bench");
	MODEL_SET(node, n, http_addr, "127.0.0.1:4646");
	strmap_set(a, &n->attributes, "kernel.name", "linux");
	strmap_set(a, &n->attributes, "cpu.arch", "amd64");
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

static struct job *new_job(struct arena *a, uint32_t i, const struct shape *s)
{
	struct job *j = MODEL_NEW(a, job);
	struct task_group *g = MODEL_NEW(a, task_group);
	struct task *t = MODEL_NEW(a, task);
	struct constraint *c = MODEL_NEW(a, constraint);
	MODEL_SET(job, j, id, arena_printf(a, "job-%u", i));
	MODEL_SET(job, j, type, "batch");
	strs_push(a, &j->datacenters, "dc1");
	MODEL_SET(constraint, c, ltarget, "${attr.kernel.name}");
	MODEL_SET(constraint, c, rtarget, "linux");
	MODEL_SET(constraint, c, operand, "=");
	objs_push(a, &j->constraints, c);
	MODEL_SET(task_group, g, name, "work");
	MODEL_SET(task_group, g, count, s->count);
	g->ephemeral_disk = MODEL_NEW(a, ephemeral_disk);
	MODEL_SET(ephemeral_disk, g->ephemeral_disk, size_mb, 100);
	MODEL_SET(task, t, name, "main");
	MODEL_SET(task, t, driver, "raw_exec");
	t->resources = MODEL_NEW(a, resources);
	MODEL_SET(resources, t->resources, cpu, 10);
	MODEL_SET(resources, t->resources, memory_mb, 10);
	objs_push(a, &g->tasks, t);
	objs_push(a, &j->task_groups, g);
	return j;
}

static void commit(struct core *core)
{
	cleanup_err struct err e = ERR_INIT;
	if (!core_commit_begin(core))
		return;
	if (core_commit_run(core, &e))
		die("commit: %s", err_str(&e));
	core_commit_end(core);
	if (core_maybe_snapshot(core, &e))
		die("snapshot: %s", err_str(&e));
}

static void register_nodes(struct core *core, const struct shape *s)
{
	for (uint32_t i = 0; i < s->nodes; i++) {
		cleanup_arena struct arena *a = arena_new();
		cleanup_err struct err e = ERR_INIT;
		struct core_node_reply out;
		const struct node *n = new_node(a, i, s);
		struct uuid id;
		if (core_node_register(core, n, SECOND, &out, &e))
			die("node: %s", err_str(&e));
		uuid_parse(n->id, &id);
		/* It has to beat once to be ready. */
		if (core_node_heartbeat(core, id, SECOND, &out, &e))
			die("heartbeat: %s", err_str(&e));
		if (i % 1000 == 999)
			commit(core);
	}
	commit(core);
}

static void run_jobs(struct core *core, const struct shape *s)
{
	for (uint32_t i = 0; i < s->jobs; i++) {
		cleanup_arena struct arena *a = arena_new();
		cleanup_err struct err e = ERR_INIT;
		struct core_eval_reply out;
		struct core_register_request req = {.job = new_job(a, i, s)};
		int64_t now = 2 * SECOND + i * MILLI;
		if (core_job_register(core, &req, now, &out, &e))
			die("job: %s", err_str(&e));
		while (core_step(core, now))
			;
		if (i % JOBS_IN_A_TURN == JOBS_IN_A_TURN - 1)
			commit(core);
	}
	commit(core);
}

static void run(const struct shape *s)
{
	char dir[] = "/var/tmp/drover-bench-XXXXXX";
	cleanup_err struct err e = ERR_INIT;
	struct journal *j;
	struct core *core;
	struct core_stats st;
	struct rusage use;
	struct journal_file_config file = {.dir = dir, .cluster_id = {1, 1}, .sync = true};
	struct core_config config = {.seed = 7};
	if (!mkdtemp(dir))
		die("mkdtemp: %s", strerror(errno));
	if (journal_file_open(&file, &j, &e) || core_open(&config, j, SECOND, &core, &e))
		die("open: %s", err_str(&e));
	register_nodes(core, s);
	int64_t begin = clock_monotonic();
	run_jobs(core, s);
	double seconds = (double)(clock_monotonic() - begin) / SECOND;
	core_stats(core, &st);
	getrusage(RUSAGE_SELF, &use);
	printf("%u jobs x %u on %u nodes | %llu of %llu placed | %.2f s | %.0f/s | %.0f MB peak | %.1f MB journal | %llu snapshots\n",
	    s->jobs, s->count, s->nodes, (unsigned long long)st.placements, (unsigned long long)s->jobs * s->count, seconds,
	    (double)st.placements / seconds, (double)use.ru_maxrss / 1024, (double)st.journal_bytes / 1e6,
	    (unsigned long long)st.snapshots);
	fflush(stdout);
	core_close(core);
	j->ops->close(j);
	if (dir_remove(dir, &e))
		die("%s", err_str(&e));
}

/* Each shape in a process of its own, so that its peak is its own. */
static int run_apart(const struct shape *s)
{
	int status;
	pid_t pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		run(s);
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	static const struct shape shapes[] = {{500, 318, 315}, {5000, 1000, 1000}};
	int failed = 0;
	if (argc > 1 && (argc - 1) % 3) {
		fprintf(stderr, "usage: %s [NODES JOBS COUNT]...\n", argv[0]);
		return 1;
	}
	for (int i = 1; i + 2 < argc; i += 3) {
		struct shape s = {(uint32_t)atoi(argv[i]), (uint32_t)atoi(argv[i + 1]), (uint32_t)atoi(argv[i + 2])};
		if (!s.nodes || !s.jobs || !s.count) {
			fprintf(stderr, "%s: the three numbers must be 1 or more\n", argv[0]);
			return 1;
		}
		failed |= run_apart(&s);
	}
	for (size_t i = 0; argc == 1 && i < ARRAY_LEN(shapes); i++)
		failed |= run_apart(&shapes[i]);
	return failed;
}
