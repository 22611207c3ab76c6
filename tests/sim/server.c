/*
 * server: the server's side of the simulation: the core on its journal, the disk below, commits, answers, crashes; and the
 * queue of events.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/file.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

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
	sim_say(s, "%s", s->failure);
}

void sim_say(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->verbose)
		return;
	fprintf(stderr, "%12.6f %6llu ", (double)(s->now - s->start) / 1e9,
	    s->core ? (unsigned long long)core_state(s->core)->index : 0);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* ---- events ---- */

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

struct held *sim_hold(struct sim *s, uint64_t index, struct event *e)
{
	if (s->n_held == s->cap_held) {
		s->cap_held = s->cap_held ? 2 * s->cap_held : 64;
		s->held = xrealloc(s->held, s->cap_held, sizeof(*s->held));
	}
	struct held *h = &s->held[s->n_held++];

	memset(h, 0, sizeof(*h));
	h->index = index;
	h->event = e;
	return h;
}

/* ---- a disk that is full at times: the core's journal is the file journal behind this one ---- */

struct disk {
	struct journal j;
	struct journal *file;
	struct sim *sim;
};

static struct journal *file_of(const struct journal *j)
{
	return CONTAINER_OF(j, const struct disk, j)->file;
}

static int disk_replay(struct journal *j, journal_entry_fn *fn, void *arg, struct err *e)
{
	return file_of(j)->ops->replay(file_of(j), fn, arg, e);
}

static int disk_append(struct journal *j, uint64_t index, const void *p, size_t n, struct err *e)
{
	const struct sim *s = CONTAINER_OF(j, struct disk, j)->sim;

	if (s->now < s->disk_full_until)
		return err_set(e, -ENOSPC, "the disk is full");
	return file_of(j)->ops->append(file_of(j), index, p, n, e);
}

static bool disk_commit_begin(struct journal *j)
{
	return file_of(j)->ops->commit_begin(file_of(j));
}

static int disk_commit_run(struct journal *j, struct err *e)
{
	return file_of(j)->ops->commit_run(file_of(j), e);
}

static uint64_t disk_commit_end(struct journal *j)
{
	return file_of(j)->ops->commit_end(file_of(j));
}

static int disk_snapshot(struct journal *j, uint64_t index,
    void (*write)(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg), void *arg,
    struct err *e)
{
	const struct sim *s = CONTAINER_OF(j, struct disk, j)->sim;

	if (s->now < s->disk_full_until)
		return err_set(e, -ENOSPC, "the disk is full");
	return file_of(j)->ops->snapshot(file_of(j), index, write, arg, e);
}

static uint64_t disk_log_bytes(const struct journal *j)
{
	return file_of(j)->ops->log_bytes(file_of(j));
}

static void disk_close(struct journal *j)
{
	file_of(j)->ops->close(file_of(j));
	free(CONTAINER_OF(j, struct disk, j));
}

static const struct journal_ops disk_ops = {
	.name = "disk",
	.replay = disk_replay,
	.append = disk_append,
	.commit_begin = disk_commit_begin,
	.commit_run = disk_commit_run,
	.commit_end = disk_commit_end,
	.snapshot = disk_snapshot,
	.log_bytes = disk_log_bytes,
	.close = disk_close,
};

/* ---- open and close ---- */

void sim_server_open(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct journal_file_config file = {
	    .dir = s->dir, .segment_size = 256 * 1024, .cluster_id = {1, s->seed | 1}, .sync = false};
	struct disk *d = xcalloc(1, sizeof(*d));

	d->j.ops = &disk_ops;
	d->sim = s;
	s->disk_full_until = 0; /* whoever starts it again has made room */
	if (journal_file_open(&file, &d->file, &e) < 0) {
		sim_fail(s, "the server does not start again: %s", err_str(&e));
		free(d);
		return;
	}
	s->journal = &d->j;
	if (core_open(&s->config, s->journal, s->now, &s->core, &e) < 0) {
		sim_fail(s, "the server does not start again: %s", err_str(&e));
		return;
	}
	s->last_index = core_state(s->core)->index;
	s->wished++;
	witness_server_starts(s);
}

void sim_server_close(struct sim *s)
{
	core_close(s->core);
	if (s->journal)
		s->journal->ops->close(s->journal);
	s->core = NULL;
	s->journal = NULL;
}

/* ---- commit ---- */

static void take_answer(struct sim *s, const struct held *h)
{
	struct wish *w = &s->wishes[h->job];

	if (h->drain) {
		drains_answer(s, h);
		return;
	}
	if (w->asked != h->asked)
		return;
	s->wished++;
	w->known = h->known;
	w->index = h->modify_index;
	snprintf(w->revision, sizeof(w->revision), "%s", h->revision);
}

static void send_answers(struct sim *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n_held; i++) {
		struct held *h = &s->held[i];

		if (h->index > s->last_committed)
			s->held[kept++] = *h;
		else if (h->event)
			sim_event(s, h->event, s->now + sim_between(s, 100000, s->faults ? SECOND : 2 * MILLI));
		else
			take_answer(s, h);
	}
	s->n_held = kept;
}

/* The questions about work that wait are answered when there is news, as blocking reads are. */
static void wake_clients(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_clients; i++) {
		struct client_sim *c = &s->clients[i];
		const struct node_entry *n = state_node(core_state(s->core), s->identities[c->identity].id);

		if (n && n->alloc_index > c->told && n->alloc_index > c->work_index && c->up && c->registered) {
			c->told = n->alloc_index;
			client_wake(s, i);
		}
	}
}

void sim_commit(struct sim *s, bool all)
{
	cleanup_err struct err e = ERR_INIT;

	if (!s->core || (!all && s->faults && !sim_chance(s, 0.7)))
		return;
	while (core_commit_begin(s->core)) {
		if (core_commit_run(s->core, &e) < 0)
			sim_fail(s, "commit: %s", err_str(&e));
		core_commit_end(s->core);
	}
	s->last_committed = core_committed(s->core);
	if (s->last_committed != core_state(s->core)->index)
		sim_fail(s, "index %" PRIu64 " is committed, the state has %" PRIu64, s->last_committed,
		    core_state(s->core)->index);
	send_answers(s);
	wake_clients(s);
	if (sim_chance(s, s->faults ? 0.01 : 0.001)) {
		int r = core_snapshot(s->core, &e);

		if (r < 0 && (r != -ENOSPC || s->now >= s->disk_full_until))
			sim_fail(s, "snapshot: %s", err_str(&e));
	}
}

/* ---- crashes ---- */

/* What a power cut leaves of a write that was under way: frames beyond the committed index are cut or garbled at a
 * random place. Reads the segment by the format of sched/journal.h. */
static void tear_segment(struct sim *s, const char *path)
{
	enum { HEADER = 8 + 4 + 4 + 16 + 8 + 4, FRAME = 4 + 4 + 8 + 4 };
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
	uint64_t to = sim_chance(s, 0.5) ? end : from + 1 + sim_below(s, end - from);
	cleanup_free char *zero = xcalloc(1, to - from);

	if (pwrite(fd, zero, to - from, (off_t)from) < 0)
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

/* The state that a replay gives may be newer than what was acknowledged, never older; and it is one that there was. */
static void check_replayed(struct sim *s)
{
	uint64_t index = core_state(s->core)->index;
	const char *how = s->verbose ? "" : " (run the seed with --verbose)";

	if (index < s->last_committed)
		sim_fail(s, "index %" PRIu64 " was committed, the replay ends at %" PRIu64, s->last_committed, index);
	for (uint32_t i = 0; i < s->n_digests; i++)
		if (s->digests[i].index == index && s->digests[i].digest != state_digest(core_state(s->core)))
			sim_fail(s, "after the crash, the state of index %" PRIu64 " is another than before%s", index, how);
}

void sim_server_crash(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;
	bool tear = false;

	s->crashes++;
	s->crash_due = false;
	/* Half of the crashes come while a batch is being written. */
	if (sim_chance(s, 0.5) && core_commit_begin(s->core)) {
		if (core_commit_run(s->core, &e) < 0)
			sim_fail(s, "commit failed: %s", err_str(&e));
		tear = sim_chance(s, 0.7);
	}
	sim_server_close(s);
	if (tear)
		tear_journal(s);
	for (uint32_t i = 0; i < s->n_held; i++) /* nobody gets these answers */
		sim_event_free(s->held[i].event);
	s->n_held = 0;
	sim_server_open(s);
	if (!s->core)
		return;
	check_replayed(s);
	/* What was not committed need not be there, and nobody has collected it. */
	for (uint32_t n = 0; n < SIM_JOBS; n++)
		s->wishes[n].over = false;
	s->n_digests = 0;
	s->last_committed = core_committed(s->core);
	for (uint32_t i = 0; i < s->n_clients; i++)
		s->clients[i].told = 0;
	history_forget(s);
}
