/*
 * world: the server's side of the simulation: opening, crashing, committing, and the queue of events.
 */
#include "tests/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"

uint64_t sim_random(struct sim *s)
{
	uint64_t z = (s->rng += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
	return sim_random(s) % n;
}

bool sim_chance(struct sim *s, double p)
{
	return (double)(sim_random(s) >> 11) * 0x1p-53 < p;
}

int64_t sim_between(struct sim *s, int64_t low, int64_t high)
{
	return low + (int64_t)sim_below(s, (uint64_t)(high - low + 1));
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->failure[0])
		return; /* the first one is the cause */
	va_start(ap, fmt);
	vsnprintf(s->failure, sizeof(s->failure), fmt, ap);
	va_end(ap);
}

struct event *sim_event_new(struct sim *s, enum event_kind kind, uint32_t client)
{
	struct event *e = xcalloc(1, sizeof(*e));

	e->kind = kind;
	e->client = client;
	e->life = client < s->n_clients ? s->clients[client].life : 0;
	return e;
}

void sim_event_free(struct event *e)
{
	if (!e)
		return;
	arena_free(e->arena);
	free(e);
}

void sim_event(struct sim *s, struct event *e, int64_t at)
{
	heap_set(&s->events, &e->timer, at);
}

void sim_hold(struct sim *s, uint64_t index, struct event *e, const char *job, uint64_t modify_index)
{
	if (s->n_held == s->cap_held) {
		s->cap_held = s->cap_held ? 2 * s->cap_held : 64;
		s->held = xrealloc(s->held, s->cap_held, sizeof(*s->held));
	}
	struct held *h = &s->held[s->n_held++];

	memset(h, 0, sizeof(*h));
	h->index = index;
	h->event = e;
	h->modify_index = modify_index;
	if (job)
		snprintf(h->job, sizeof(h->job), "%s", job);
}

void sim_server_open(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct core_config config = {.seed = s->seed, .failover_heartbeat_ttl = MINUTE};
	struct journal_file_config file = {
	    .dir = s->dir, .segment_size = 256 * 1024, .cluster_id = {1, s->seed | 1}, .sync = false};

	if (journal_file_open(&file, &s->journal, &e) < 0 ||
	    core_open(&config, s->journal, s->now, &s->core, &e) < 0) {
		sim_fail(s, "the server does not start again: %s", err_str(&e));
		return;
	}
	/* The state that a replay gives may be newer than what was acknowledged, never older. */
	if (core_state(s->core)->index < s->last_committed)
		sim_fail(s, "index %llu was committed, the replay ends at %llu",
		    (unsigned long long)s->last_committed, (unsigned long long)core_state(s->core)->index);
	s->last_index = core_state(s->core)->index;
}

/* What a power cut leaves of a write that was under way: frames beyond the committed index are cut or garbled at a
 * random place. Reads the segment by the format of sched/journal.h. */
static void tear_segment(struct sim *s, const char *path)
{
	enum { HEADER = 8 + 4 + 4 + 16 + 8 + 4, FRAME = 4 + 4 + 8 };
	cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
	uint64_t at = HEADER, first = 0, end = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	for (;;) {
		uint8_t head[FRAME];
		uint32_t length;
		uint64_t index;

		if (pread(fd, head, FRAME, (off_t)at) != FRAME)
			break;
		memcpy(&length, head, 4);
		memcpy(&index, head + 8, 8);
		if (!length || at + FRAME + length > (uint64_t)st.st_size)
			break;
		if (index > s->last_committed && !first)
			first = at;
		at += FRAME + length;
		end = at;
	}
	if (!first || end <= first)
		return;
	uint64_t from = first + sim_below(s, end - first);
	cleanup_free char *zero = xcalloc(1, end - from);

	if (pwrite(fd, zero, end - from, (off_t)from) < 0)
		sim_fail(s, "cannot tear %s: %s", path, strerror(errno));
}

static void tear_journal(struct sim *s)
{
	DIR *d = opendir(s->dir);

	if (!d)
		return;
	for (struct dirent *entry; (entry = readdir(d));) {
		if (!str_starts(entry->d_name, "segment-"))
			continue;
		cleanup_free char *path = path_join(s->dir, entry->d_name);
		tear_segment(s, path);
	}
	closedir(d);
}

void sim_server_crash(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	bool tear = false;

	s->crashes++;
	/* Half of the crashes come while a batch is being written. */
	if (sim_chance(s, 0.5) && core_commit_begin(s->core)) {
		if (core_commit_run(s->core, &e) < 0)
			sim_fail(s, "commit failed: %s", err_str(&e));
		tear = sim_chance(s, 0.7);
	}
	core_close(s->core);
	s->journal->ops->close(s->journal);
	s->core = NULL;
	s->journal = NULL;
	if (tear)
		tear_journal(s);
	for (uint32_t i = 0; i < s->n_held; i++) /* nobody gets these answers */
		sim_event_free(s->held[i].event);
	s->n_held = 0;
	sim_server_open(s);
}
