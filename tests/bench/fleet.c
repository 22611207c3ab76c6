/*
 * Many peers of one agent: those that wait for a change, and nodes.
 *
 *   bench-fleet watchers PORT PID N             N blocking queries of one job, woken by one change of it
 *   bench-fleet heartbeats PORT PID N SECONDS   N nodes, each beating once a second over a connection of its own
 *
 * Prints a line of bench-http's numbers, and after them for watchers "<KB of the agent for each> <longest us that another
 * request waited meanwhile>", for heartbeats "<KB of the agent for each> <agent's CPU, percent of one core>".
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/uuid.h"
#include "tests/lib/http_load.h"

static struct load_conn *conns;
static int n_conns, epoll_fd;

static void add_conn(int i, int port)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

	conns[i].fd = load_connect(port);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &ev);
}

static void open_conns(int port, int n)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	n_conns = n;
	conns = xcalloc((size_t)n, sizeof(*conns));
	for (int i = 0; i < n; i++)
		add_conn(i, port);
}

static void put_job(struct load_conn *c, int priority)
{
	cleanup_free char *body =
	    xasprintf("{\"Job\":{\"ID\":\"watched\",\"Type\":\"batch\",\"Priority\":%d,\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{"
	              "\"Name\":\"g\",\"Count\":0,\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"x\"}}]}]}}",
	        priority);

	load_request(c, "PUT", "/v1/jobs", NULL, body);
	load_send(c);
}

/* Conn 0 makes the change and asks for another job all the while; the others wait. */
static void watchers(int port, int pid, int n)
{
	struct load_times times = {0};
	uint64_t errors = 0;
	double before, held;
	int64_t began, longest = 0;
	int left = n;

	open_conns(port, 1);
	put_job(&conns[0], 50);
	while (!load_receive(&conns[0]))
		;
	load_until_idle(pid);
	load_call(&conns[0], "GET", "/v1/job/watched", NULL, NULL);
	cleanup_free char *path = xasprintf("/v1/job/watched?index=%llu&wait=300s", load_index(&conns[0]));
	load_close(&conns[0]);
	free(conns);
	before = load_rss_kb(pid);
	open_conns(port, n + 1);
	for (int i = 1; i <= n; i++) {
		load_request(&conns[i], "GET", path, NULL, NULL);
		load_send(&conns[i]);
	}
	load_until_idle(pid);
	held = load_rss_kb(pid);
	began = clock_monotonic();
	put_job(&conns[0], 60);
	while (left) {
		struct epoll_event evs[64];
		int got = epoll_wait(epoll_fd, evs, 64, 10000);

		if (got <= 0)
			die("bench-fleet: %d watchers were not woken", left);
		for (int k = 0; k < got; k++) {
			struct load_conn *c = &conns[evs[k].data.u32];

			if (!load_receive(c))
				continue;
			errors += c->status != 200;
			if (c != conns) {
				load_note(&times, began);
				left--;
				continue;
			}
			longest = MAX(longest, clock_monotonic() - c->started);
			load_request(c, "GET", "/v1/job/watched/versions", NULL, NULL);
			load_send(c);
		}
	}
	load_report(&times, (double)(clock_monotonic() - began) / 1e9, errors);
	printf(" %.2f %lld\n", (held - before) / n, (long long)(longest / 1000));
}

struct node {
	char id[UUID_STR], secret[UUID_STR];
	int64_t due;
	bool beating;
};

static void start_node(struct load_conn *c, const struct node *nd, int i)
{
	cleanup_free char *path = xasprintf("/v1/internal/node/%s/register", nd->id);
	cleanup_free char *body =
	    xasprintf("{\"ID\":\"%s\",\"SecretID\":\"%s\",\"Name\":\"node-%d\",\"Datacenter\":\"dc1\",\"NodeClass\":\"bench\","
	              "\"Status\":\"ready\",\"Attributes\":{\"kernel.name\":\"linux\",\"cpu.arch\":\"amd64\",\"driver.raw_exec\":\"1\"},"
	              "\"NodeResources\":{\"Cpu\":{\"CpuShares\":4000},\"Memory\":{\"MemoryMB\":8192},\"Disk\":{\"DiskMB\":100000}}}",
	        nd->id, nd->secret, i);

	load_request(c, "PUT", path, nd->secret, body);
	load_send(c);
}

static void beat(struct load_conn *c, const struct node *nd)
{
	cleanup_free char *path = xasprintf("/v1/internal/node/%s/heartbeat", nd->id);

	load_request(c, "PUT", path, nd->secret, "{}");
	load_send(c);
}

/* Answers that are there; returns how many. */
static int take_answers(struct node *nodes, struct load_times *times, uint64_t *errors, int timeout_ms)
{
	struct epoll_event evs[256];
	int got = epoll_wait(epoll_fd, evs, 256, timeout_ms), whole = 0;

	for (int k = 0; k < got; k++) {
		struct load_conn *c = &conns[evs[k].data.u32];

		if (!load_receive(c))
			continue;
		whole++;
		nodes[evs[k].data.u32].beating = false;
		load_note(times, c->started);
		if (c->status != 200 && !(*errors)++)
			fprintf(stderr, "bench-fleet: first error: %.300s\n", c->in.data);
	}
	return whole;
}

static void heartbeats(int port, int pid, int n, double seconds)
{
	struct node *nodes = xcalloc((size_t)n, sizeof(*nodes));
	struct load_times registrations = {0}, times = {0};
	uint64_t errors = 0;
	double before = load_rss_kb(pid), cpu, each;
	int64_t began, end;

	open_conns(port, n);
	for (int done = 0, sent = 0; done < n;) {
		for (; sent < n && sent - done < 64; sent++) {
			uuid_format(uuid_random(), nodes[sent].id);
			uuid_format(uuid_random(), nodes[sent].secret);
			start_node(&conns[sent], &nodes[sent], sent);
		}
		done += take_answers(nodes, &registrations, &errors, 1000);
	}
	free(registrations.micros);
	load_until_idle(pid);
	each = (load_rss_kb(pid) - before) / n;
	cpu = load_cpu_ns(pid);
	began = clock_monotonic();
	end = began + (int64_t)(seconds * 1e9);
	for (int i = 0; i < n; i++)
		nodes[i].due = began + (int64_t)i * SECOND / n;
	for (int next = 0; clock_monotonic() < end;) {
		int64_t now = clock_monotonic();

		for (int budget = 64; budget && nodes[next].due <= now; budget--, next = (next + 1) % n) {
			if (nodes[next].beating) { /* the last one is not answered yet */
				errors++;
			} else {
				nodes[next].beating = true;
				beat(&conns[next], &nodes[next]);
			}
			nodes[next].due += SECOND;
		}
		take_answers(nodes, &times, &errors, nodes[next].due > now ? 1 : 0);
	}
	cpu = load_cpu_ns(pid) - cpu;
	seconds = (double)(clock_monotonic() - began) / 1e9;
	load_report(&times, seconds, errors);
	printf(" %.2f %.0f\n", each, cpu / seconds / 1e7);
	free(nodes);
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (argc == 5 && str_eq(argv[1], "watchers"))
		watchers(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
	else if (argc == 6 && str_eq(argv[1], "heartbeats"))
		heartbeats(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
	else
		die("usage: bench-fleet watchers PORT PID N | heartbeats PORT PID N SECONDS");
	for (int i = 0; i < n_conns; i++)
		load_close(&conns[i]);
	free(conns);
	return 0;
}
