/*
 * A load generator for the benchmark: keep-alive connections on one epoll loop, each with one request outstanding.
 *
 *   bench-http get PORT PATH CONNECTIONS SECONDS       reads of one path
 *   bench-http register PORT CONNECTIONS SECONDS       registrations of ever new jobs, each acknowledged when durable
 *   bench-http latency PORT COMMAND N                  one job after the other: registration to "running" in the API
 *   bench-http chain PORT COMMAND N                    what that cannot do without: request, folders, exec, request
 *   bench-http ready PORT PATH COMMAND...              starts the command, asks until it answers, leaves it running;
 *                                                      prints "<pid> <us from exec to the answer>"
 *
 * The others print "<requests> <seconds> <per second> <p50 us> <p99 us> <max us> <errors>".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/lib/http_load.h"

struct load {
	int port, epoll;
	const char *path;
	bool registering;
	struct load_conn *conns;
	int n;
	uint64_t serial, errors;
	struct load_times times;
};

static const char job_body[] =
    "{\"Job\":{\"ID\":\"bench-%d-%llu\",\"Type\":\"batch\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\","
    "\"Count\":%d,\"EphemeralDisk\":{\"SizeMB\":10},\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"LogConfig\":{\"MaxFiles\":1,"
    "\"MaxFileSizeMB\":1},\"Config\":{\"command\":\"%s\"%s},\"Resources\":{\"CPU\":1,\"MemoryMB\":10}}]}]}}";

static void start(struct load *l, struct load_conn *c)
{
	if (l->registering) {
		cleanup_free char *body = xasprintf(job_body, (int)getpid(), (unsigned long long)l->serial++, 0, "/bin/true", "");
		load_request(c, "PUT", "/v1/jobs", NULL, body);
	} else {
		load_request(c, "GET", l->path, NULL, NULL);
	}
	load_send(c);
}

static void on_readable(struct load *l, struct load_conn *c)
{
	if (!load_receive(c))
		return;
	load_note(&l->times, c->started);
	if (c->status != 200 && !l->errors++)
		fprintf(stderr, "bench-http: first error: %.300s\n", c->in.data);
	start(l, c);
}

static void run(struct load *l, int connections, double seconds)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->n = connections;
	l->conns = xcalloc((size_t)connections, sizeof(*l->conns));
	for (int i = 0; i < connections; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		l->conns[i].fd = load_connect(l->port);
		epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->conns[i].fd, &ev);
		start(l, &l->conns[i]);
	}
	int64_t began = clock_monotonic(), end = began + (int64_t)(seconds * 1e9);

	while (clock_monotonic() < end) {
		struct epoll_event evs[64];
		int n = epoll_wait(l->epoll, evs, 64, 1000);

		for (int i = 0; i < n; i++)
			on_readable(l, &l->conns[evs[i].data.u32]);
	}
	load_report(&l->times, (double)(clock_monotonic() - began) / 1e9, l->errors);
	puts("");
	for (int i = 0; i < connections; i++)
		load_close(&l->conns[i]);
	free(l->conns);
	close(l->epoll);
}

/* ---- latency: registration to running ---- */

static void latency(int port, const char *command, int count)
{
	struct load_times times = {0};
	struct load_conn c = {.fd = load_connect(port)};
	int64_t began = clock_monotonic();

	for (int i = 0; i < count; i++) {
		bool sleeper = strstr(command, "sleep") != NULL;
		cleanup_free char *body =
		    xasprintf(job_body, (int)getpid(), (unsigned long long)i, 1, command, sleeper ? ",\"args\":[\"1000\"]" : "");
		unsigned long long index = 0;
		int64_t started = clock_monotonic();

		load_call(&c, "PUT", "/v1/jobs", NULL, body);
		if (c.status != 200)
			die("bench-http: registration: %.300s", c.in.data);
		for (;;) {
			cleanup_free char *path = xasprintf(
			    "/v1/job/bench-%d-%d/allocations?index=%llu&wait=5s", (int)getpid(), i, index ? index : 1);

			load_call(&c, "GET", path, NULL, NULL);
			index = load_index(&c);
			if (strstr(c.in.data, "\"ClientStatus\":\"running\"") || strstr(c.in.data, "\"ClientStatus\":\"complete\""))
				break;
			if (clock_monotonic() - started > 10 * SECOND)
				die("bench-http: job %d does not run: %.600s", i, c.in.data);
		}
		load_note(&times, started);
	}
	load_report(&times, (double)(clock_monotonic() - began) / 1e9, 0);
	puts("");
	load_close(&c);
}

/* ---- its floor: a durable request, the folders and files of an allocation, an exec, a durable report ---- */

/* As many as a client makes, below the working directory. File systems can be slow at it, above all at giving out inodes
 * that were freed a moment ago. */
static void make_folders(int i)
{
	static const char *const dirs[] = {"", "/alloc", "/alloc/data", "/alloc/logs", "/alloc/tmp", "/t", "/t/local", "/t/secrets", "/t/tmp"};
	static const char *const files[] = {"/record", "/t.run", "/alloc/logs/t.stdout.0", "/alloc/logs/t.stderr.0"};

	for (size_t k = 0; k < ARRAY_LEN(dirs); k++) {
		cleanup_free char *path = xasprintf("chain-%d-%d%s", (int)getpid(), i, dirs[k]);

		if (mkdir(path, 0700) < 0)
			die("bench-http: %s: %s", path, strerror(errno));
	}
	for (size_t k = 0; k < ARRAY_LEN(files); k++) {
		cleanup_free char *path = xasprintf("chain-%d-%d%s", (int)getpid(), i, files[k]);
		cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0)
			die("bench-http: %s: %s", path, strerror(errno));
	}
}

static void chain(int port, const char *command, int count)
{
	extern char **environ;
	char *argv[] = {(char *)command, NULL};
	struct load_times times = {0};
	struct load_conn c = {.fd = load_connect(port)};
	int64_t began = clock_monotonic();

	for (int i = 0; i < count; i++) {
		cleanup_free char *body = xasprintf(job_body, (int)getpid(), (unsigned long long)i, 1, command, "");
		int64_t started = clock_monotonic();
		pid_t pid;

		load_call(&c, "PUT", "/v1/jobs", NULL, body);
		make_folders(i);
		if (posix_spawn(&pid, command, NULL, NULL, argv, environ))
			die("bench-http: %s does not start", command);
		load_call(&c, "PUT", "/v1/jobs", NULL, body);
		load_note(&times, started);
		waitpid(pid, NULL, 0);
	}
	load_report(&times, (double)(clock_monotonic() - began) / 1e9, 0);
	puts("");
	load_close(&c);
}

/* ---- from exec to the first answer ---- */

static bool answers(int port, const char *path)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_free char *ask = xasprintf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	char said[16] = "";

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 && send(fd, ask, strlen(ask), MSG_NOSIGNAL) > 0 &&
	       recv(fd, said, 12, MSG_WAITALL) == 12 && str_eq(said, "HTTP/1.1 200");
}

/* Runs the command, prints its process id and the microseconds until it answered, and leaves it running. */
static void ready(int port, const char *path, char **command)
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, 2, 1); /* this one's stdout ends with this process */
	int64_t began = clock_monotonic();

	if (posix_spawnp(&pid, command[0], &files, NULL, command, environ))
		die("bench-http: %s does not start", command[0]);
	while (!answers(port, path)) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			die("bench-http: %s ended", command[0]);
		if (clock_monotonic() - began > 10 * SECOND)
			die("bench-http: %s does not answer", command[0]);
		usleep(100);
	}
	printf("%d %lld\n", (int)pid, (long long)((clock_monotonic() - began) / 1000));
}

int main(int argc, char **argv)
{
	struct load l = {0};

	if (argc == 6 && str_eq(argv[1], "get")) {
		l.port = atoi(argv[2]);
		l.path = argv[3];
		run(&l, atoi(argv[4]), atof(argv[5]));
	} else if (argc == 5 && str_eq(argv[1], "register")) {
		l.port = atoi(argv[2]);
		l.registering = true;
		run(&l, atoi(argv[3]), atof(argv[4]));
	} else if (argc == 5 && str_eq(argv[1], "latency")) {
		latency(atoi(argv[2]), argv[3], atoi(argv[4]));
	} else if (argc == 5 && str_eq(argv[1], "chain")) {
		chain(atoi(argv[2]), argv[3], atoi(argv[4]));
	} else if (argc >= 5 && str_eq(argv[1], "ready")) {
		ready(atoi(argv[2]), argv[3], argv + 4);
	} else {
		die("usage: bench-http get PORT PATH CONNECTIONS SECONDS | register PORT CONNECTIONS SECONDS | "
		    "latency PORT COMMAND N | chain PORT COMMAND N | ready PORT PATH COMMAND...");
	}
	return 0;
}
