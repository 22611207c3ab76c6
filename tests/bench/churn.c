/*
 * Jobs that come and go: in each round so many are registered, run to their end, are purged and collected. What the agent
 * holds afterwards must not depend on how many there were.
 *
 *   bench-churn PORT PID COMMAND ROUNDS JOBS
 *
 * Prints the agent's resident KB after each round.
 */
#include "tests/lib/http_load.h"

#define PATIENCE (60 * SECOND)

static const char job_body[] =
    "{\"Job\":{\"ID\":\"churn-%d\",\"Datacenters\":[\"dc1\"],\"Type\":\"batch\",\"TaskGroups\":[{\"Name\":\"g\",\"Count\":1,"
    "\"EphemeralDisk\":{\"SizeMB\":10},\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"LogConfig\":{\"MaxFiles\":1,"
    "\"MaxFileSizeMB\":1},\"Config\":{\"command\":\"%s\"},\"Resources\":{\"CPU\":1,\"MemoryMB\":10}}]}]}}";

static void ask(struct load_conn *c, const char *method, const char *path, const char *body)
{
	load_call(c, method, path, NULL, body);
	if (c->status != 200)
		die("bench-churn: %s %s: %.300s", method, path, c->in.data);
}

/* Waits until the answer holds the text so many times. */
static void until(struct load_conn *c, const char *path, const char *text, int times)
{
	int64_t began = clock_monotonic();

	for (;;) {
		int seen = 0;

		ask(c, "GET", path, NULL);
		for (const char *at = c->in.data; (at = strstr(at, text)); at += strlen(text))
			seen++;
		if (seen == times)
			return;
		if (clock_monotonic() - began > PATIENCE)
			die("bench-churn: %s has %s %d times, not %d", path, text, seen, times);
		usleep(200 * 1000);
	}
}

static void one_round(struct load_conn *c, const char *command, int jobs)
{
	for (int i = 0; i < jobs; i++) {
		cleanup_free char *body = xasprintf(job_body, i, command);

		ask(c, "PUT", "/v1/jobs", body);
	}
	until(c, "/v1/allocations", "\"ClientStatus\":\"complete\"", jobs);
	for (int i = 0; i < jobs; i++) {
		cleanup_free char *path = xasprintf("/v1/job/churn-%d?purge=true", i);

		ask(c, "DELETE", path, NULL);
	}
	ask(c, "PUT", "/v1/system/gc", NULL);
	until(c, "/v1/allocations", "\"ID\"", 0);
	until(c, "/v1/evaluations", "\"ID\"", 0);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		die("usage: bench-churn PORT PID COMMAND ROUNDS JOBS");
	struct load_conn c = {.fd = load_connect(atoi(argv[1]))};
	int pid = atoi(argv[2]);

	for (int left = atoi(argv[4]); left; left--) {
		one_round(&c, argv[3], atoi(argv[5]));
		load_until_idle(pid);
		printf("%.0f%c", load_rss_kb(pid), left > 1 ? ' ' : '\n');
		fflush(stdout);
	}
	load_close(&c);
	return 0;
}
