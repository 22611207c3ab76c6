/*
 * bench-launch: what running a task costs: launches through the real client and the real keeper with the client's state
 * on disk, and output through the keeper into rotated files; each beside its floor in the same run. The servers are
 * played in this process, so that nothing but the client is measured. Prints a row for each.
 *
 *   bench-launch [launches [N]|logs]
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/uuid.h"
#include "tests/lib/figure.h"
#include "tests/lib/play.h"

#define ROUNDS    3
#define LOG_BYTES (1LL << 30)
#define LINE_BYTES (100LL << 20)

static char task_path[4200];
static int launch_count = 1000;

static void find_task(void)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		die("bench-launch: /proc/self/exe: %s", strerror(errno));
	exe[n] = 0;
	*strrchr(exe, '/') = 0;
	snprintf(task_path, sizeof(task_path), "%s/bench-task", exe);
	if (access(task_path, X_OK) < 0)
		die("bench-launch: %s: %s", task_path, strerror(errno));
}

/* ---- the floor of launches: posix_spawn and reap, `flight` at a time ---- */

static pid_t spawn(const char *command)
{
	extern char **environ;
	char *argv[] = {(char *)command, NULL};
	posix_spawn_file_actions_t files;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	int r = posix_spawn(&pid, command, &files, NULL, argv, environ);

	posix_spawn_file_actions_destroy(&files);
	if (r)
		die("bench-launch: %s: %s", command, strerror(r));
	return pid;
}

static double spawn_rate(const char *command, int count, int flight)
{
	int64_t began = clock_monotonic();
	int started = 0, ended = 0;

	while (ended < count) {
		while (started < count && started - ended < flight) {
			spawn(command);
			started++;
		}
		if (wait(NULL) > 0)
			ended++;
	}
	return count * 1e9 / (double)(clock_monotonic() - began);
}

/* ---- launches through client and keeper ---- */

struct counter {
	struct play play; /* first */
	uint32_t complete, other, wanted;
	int64_t cpu_client, cpu_children; /* ns */
};

static void on_update(struct play *p, const struct alloc_update *u)
{
	struct counter *c = (struct counter *)(void *)p;

	if (str_eq(u->client_status, "complete"))
		c->complete++;
	else if (str_eq(u->client_status, "failed"))
		c->other++;
	if (c->complete + c->other >= c->wanted)
		event_base_loopbreak(p->base);
}

static int64_t cpu_of(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * SECOND + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static void open_play(struct counter *c)
{
	*c = (struct counter){0};
	play_open(&c->play);
	c->play.config.gc_max_allocs = 1000000;
	c->play.on_update = on_update;
	play_start(&c->play);
	play_run_ms(&c->play, 50); /* registered */
}

static double launch_rate(const char *command, uint32_t count, struct counter *c)
{
	open_play(c);
	struct play *p = &c->play;
	struct job *j = play_job(p, "batch",
	    arena_printf(p->arena, "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"%s\"}}]", command));
	char id[UUID_STR];

	c->wanted = count;
	p->waiting.done ? (void)0 : play_run_ms(p, 50);
	for (uint32_t i = 0; i < count; i++) {
		struct allocation *a = MODEL_NEW(p->arena, allocation);

		MODEL_SET(allocation, a, id, arena_strdup(p->arena, uuid_format(uuid_random(), id)));
		MODEL_SET(allocation, a, namespace, "default");
		MODEL_SET(allocation, a, name, arena_printf(p->arena, "j.g[%u]", i));
		MODEL_SET(allocation, a, job_id, "j");
		MODEL_SET(allocation, a, task_group, "g");
		MODEL_SET(allocation, a, desired_status, "run");
		MODEL_SET(allocation, a, job_version, 0);
		MODEL_SET(allocation, a, alloc_modify_index, p->work.index + 1);
		objs_push(p->arena, &p->work.allocs, a);
	}
	objs_push(p->arena, &p->work.jobs, j);
	p->work.index++;
	int64_t began = clock_monotonic(), client = cpu_of(RUSAGE_SELF), children = cpu_of(RUSAGE_CHILDREN);

	play_wake(p);
	event_base_dispatch(p->base);
	double seconds = (double)(clock_monotonic() - began) / 1e9;

	if (c->other)
		die("bench-launch: %u of %u launches failed", c->other, count);
	c->cpu_client = (cpu_of(RUSAGE_SELF) - client) / count;
	c->cpu_children = (cpu_of(RUSAGE_CHILDREN) - children) / count;
	play_leave(p); /* ext4 is slow at giving out inodes that were freed a moment ago: folders go at the end */
	return count / seconds;
}

static void launches(void)
{
	char left[2 * ROUNDS][64];
	size_t n_left = 0;

	const struct {
		const char *name, *command, *aim;
	} kinds[] = {{"glibc task", "/bin/true", ">= 500"}, {"static task", task_path, ">= 1500"}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		double one = 0, two = 0, client = 0;
		struct counter best = {0};

		for (int round = 0; round < ROUNDS; round++) {
			struct counter c;
			double rate = launch_rate(kinds[i].command, launch_count, &c);

			memcpy(left[n_left++], c.play.dir, sizeof(c.play.dir));
			one = MAX(one, spawn_rate(kinds[i].command, launch_count, 1));
			two = MAX(two, spawn_rate(kinds[i].command, launch_count, 4));
			if (rate > client) {
				client = rate;
				best = c;
			}
		}
		cleanup_free char *name = xasprintf("raw_exec launches, %s", kinds[i].name);

		figure(&(struct figure){name, client, "/s", kinds[i].aim, two, "posix_spawn and reap, 4 at a time"},
		    "%d, state on disk, best of %d; cpu of each: client %.0f us, keeper and task %.0f us; posix_spawn one at a time %.0f /s",
		    launch_count, ROUNDS, (double)best.cpu_client / 1000, (double)best.cpu_children / 1000, one);
	}
	while (n_left)
		dir_remove(left[--n_left], NULL);
}

/* ---- logs ---- */

/* The same writer, its pipe moved into one file by splice. */
static double pipe_rate(const char *dir, long long bytes, int piece)
{
	cleanup_free char *path = path_join(dir, "floor");
	cleanup_free char *total = xasprintf("%lld", bytes), *each = xasprintf("%d", piece);
	char *argv[] = {task_path, (char *)"write", total, each, NULL}, *env[] = {NULL};
	posix_spawn_file_actions_t files;
	int ends[2];
	pid_t pid;

	cleanup_close int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (file < 0 || pipe2(ends, O_CLOEXEC) < 0)
		die("bench-launch: %s: %s", path, strerror(errno));
	fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, ends[1], 1);
	int64_t began = clock_monotonic();

	if (posix_spawn(&pid, task_path, &files, NULL, argv, env))
		die("bench-launch: %s", strerror(errno));
	close(ends[1]);
	posix_spawn_file_actions_destroy(&files);
	for (long long moved = 0, n; (n = splice(ends[0], NULL, file, NULL, 1 << 20, 0)) > 0;) {
		moved += n;
		if (moved > 256 << 20 && lseek(file, 0, SEEK_SET) == 0) /* the page cache of one file, not the disk */
			moved = 0;
	}
	close(ends[0]);
	waitpid(pid, NULL, 0);
	unlink(path);
	return (double)bytes * 1e9 / (double)(clock_monotonic() - began);
}

static double keeper_rate(long long bytes, int piece)
{
	struct counter c;

	open_play(&c);
	struct play *p = &c.play;
	struct job *j = play_job(p, "batch",
	    arena_printf(p->arena,
	        "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"LogConfig\":{\"MaxFiles\":4,\"MaxFileSizeMB\":64},"
	        "\"Config\":{\"command\":\"%s\",\"args\":[\"write\",\"%lld\",\"%d\"]}}]",
	        task_path, bytes, piece));

	c.wanted = 1;
	int64_t began = clock_monotonic();

	play_desire(p, PLAY_ID1, j);
	event_base_dispatch(p->base);
	int64_t took = clock_monotonic() - began;

	if (c.other)
		die("bench-launch: the writer failed");
	play_close(p);
	return (double)bytes * 1e9 / (double)took;
}

static void logs(void)
{
	static const struct {
		const char *name;
		long long bytes;
		int piece;
		const char *aim;
	} shapes[] = {{"writes of 64 KB", LOG_BYTES, 65536, ">= 1"}, {"lines of 100 B", LINE_BYTES, 100, NULL}};
	char dir[64];

	snprintf(dir, sizeof(dir), "%.40s/logs-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	if (!mkdtemp(dir))
		die("bench-launch: %s: %s", dir, strerror(errno));
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		double pipe = 0, keeper = 0;

		for (int round = 0; round < ROUNDS; round++) {
			pipe = MAX(pipe, pipe_rate(dir, shapes[i].bytes, shapes[i].piece));
			keeper = MAX(keeper, keeper_rate(shapes[i].bytes, shapes[i].piece));
		}
		cleanup_free char *name = xasprintf("log throughput through the keeper, %s", shapes[i].name);

		figure(&(struct figure){name, keeper / 1e9, "GB/s", shapes[i].aim, pipe / 1e9, "the pipe spliced into one file"},
		    "%.2f M writes/s; 4 files of 64 MB in rotation, launch included; best of %d", keeper / 1e6 / shapes[i].piece, ROUNDS);
	}
	dir_remove(dir, NULL);
}

int main(int argc, char **argv)
{
	log_set_level(LOG_WARN);
	play_find_keeper();
	find_task();
	if (argc > 2)
		launch_count = atoi(argv[2]);
	if (argc < 2 || str_eq(argv[1], "launches"))
		launches();
	if (argc < 2 || str_eq(argv[1], "logs"))
		logs();
	return 0;
}
