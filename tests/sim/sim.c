/*
 * The simulator's main loop: episodes of random life under one seed each, until the time given is used up.
 *
 *   sim [--seconds N] [--seed N] [--episodes N] [--verbose]
 *
 * Every episode prints its seed when it fails; the same seed gives the same episode again.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

const char *const event_names[] = {"operator", "register", "heartbeat", "pull", "update", "work", "hello", "ack", "task",
    "client crash", "client start", "server crash"};

/* Sends out what is now durable; commits now and then, as the daemon does at the end of a turn. */
static void commit(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;

	if (!s->core)
		return;
	if (!sim_chance(s, s->faults ? 0.7 : 1.0))
		return;
	if (core_commit_begin(s->core)) {
		if (core_commit_run(s->core, &e) < 0)
			sim_fail(s, "commit: %s", err_str(&e));
		core_commit_end(s->core);
	}
	s->last_committed = core_committed(s->core);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n_held; i++) {
		struct held *h = &s->held[i];

		if (h->index > s->last_committed) {
			s->held[kept++] = *h;
			continue;
		}
		if (h->event) {
			sim_event(s, h->event, s->now + sim_between(s, 100000, s->faults ? SECOND : 2 * MILLI));
			continue;
		}
		uint32_t k = 0;

		while (k < s->n_acked && !str_eq(s->acked[k].id, h->job))
			k++;
		if (k == s->n_acked && s->n_acked < ARRAY_LEN(s->acked))
			s->n_acked++;
		if (k < s->n_acked) {
			snprintf(s->acked[k].id, sizeof(s->acked[k].id), "%s", h->job);
			s->acked[k].modify_index = h->modify_index;
		}
	}
	s->n_held = kept;
	if (sim_chance(s, 0.02) && core_maybe_snapshot(s->core, &e) < 0)
		sim_fail(s, "snapshot: %s", err_str(&e));
}

static void step(struct sim *s, struct event *e)
{
	s->steps++;
	if (s->verbose)
		fprintf(stderr, "%12.6f %s %u\n", (double)(s->now - s->start) / 1e9, event_names[e->kind], e->client);
	if (e->kind == EVENT_OPERATOR) {
		operator_act(s);
		if (s->faults)
			sim_event(s, sim_event_new(s, EVENT_OPERATOR, 0), s->now + sim_between(s, 0, 20 * SECOND));
	} else if (e->kind == EVENT_SERVER_CRASH) {
		sim_server_crash(s);
	} else {
		clients_on_event(s, e);
	}
	sim_event_free(e);
	if (!s->core || s->failure[0])
		return;
	/* A crash may fall between any two evaluations, so not all of them run at once. */
	uint64_t turns = s->faults ? sim_below(s, 6) : UINT64_MAX;

	for (uint64_t i = 0; i < turns && core_step(s->core, s->now); i++)
		if (s->faults)
			check_always(s);
	commit(s);
	check_always(s);
}

static void run_until(struct sim *s, int64_t end)
{
	while (!s->failure[0] && s->core) {
		struct heap_item *first = heap_first(&s->events);
		int64_t event_at = first ? first->key : NEVER, core_at = core_next_deadline(s->core);

		if (MIN(event_at, core_at) > end)
			break;
		if (core_at < event_at) {
			s->now = MAX(s->now, core_at);
			core_tick(s->core, s->now);
			while (core_step(s->core, s->now))
				;
			commit(s);
			check_always(s);
			s->steps++;
			continue;
		}
		s->now = MAX(s->now, event_at);
		heap_remove(&s->events, first);
		step(s, CONTAINER_OF(first, struct event, timer));
	}
	s->now = MAX(s->now, end);
}

/* The live state, the state that a replay of the journal gives, and again after a snapshot, are one. */
static void check_replay(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;

	if (s->failure[0])
		return;
	while (core_commit_begin(s->core)) {
		if (core_commit_run(s->core, &e) < 0)
			sim_fail(s, "commit: %s", err_str(&e));
		core_commit_end(s->core);
	}
	uint64_t digest = state_digest(core_state(s->core)), index = core_state(s->core)->index;

	core_close(s->core);
	s->journal->ops->close(s->journal);
	s->core = NULL;
	sim_server_open(s);
	/* Opening may add entries of its own (timers that ran out); without them the two must be equal. */
	if (s->core && core_state(s->core)->index == index && state_digest(core_state(s->core)) != digest)
		sim_fail(s, "the replayed state differs from the live one at index %" PRIu64, index);
}

static void episode_free(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;

	while (heap_first(&s->events)) {
		struct heap_item *item = heap_first(&s->events);

		heap_remove(&s->events, item);
		sim_event_free(CONTAINER_OF(item, struct event, timer));
	}
	heap_free(&s->events);
	for (uint32_t i = 0; i < s->n_held; i++)
		sim_event_free(s->held[i].event);
	free(s->held);
	clients_free(s);
	if (s->core) {
		core_close(s->core);
		s->journal->ops->close(s->journal);
	}
	arena_free(s->arena);
	if (dir_remove(s->dir, &e) < 0)
		fprintf(stderr, "sim: %s\n", err_str(&e));
}

/* One life of a cluster: minutes of faults, then hours of quiet. Returns whether all invariants held. */
static bool episode(uint64_t seed, const char *dir, bool verbose, struct sim *totals)
{
	struct sim s = {.seed = seed, .rng = seed, .verbose = verbose, .faults = true, .arena = arena_new()};

	s.now = s.start = INT64_C(1800000000) * SECOND;
	snprintf(s.dir, sizeof(s.dir), "%s/%016" PRIx64, dir, seed);
	sim_server_open(&s);
	clients_new(&s);
	sim_event(&s, sim_event_new(&s, EVENT_OPERATOR, 0), s.now + SECOND);
	run_until(&s, s.now + sim_between(&s, 1, 15) * MINUTE);
	check_replay(&s);
	s.faults = false;
	for (uint32_t i = 0; i < s.n_clients; i++)
		s.clients[i].cut_until = s.clients[i].down_until = 0;
	run_until(&s, s.now + 3 * HOUR);
	if (!s.failure[0])
		check_settled(&s);
	check_replay(&s);
	totals->steps += s.steps;
	totals->crashes += s.crashes;
	if (s.core) {
		struct core_stats stats;

		core_stats(s.core, &stats);
		totals->placements += stats.placements;
	}
	bool ok = !s.failure[0];

	if (!ok)
		printf("sim: seed %" PRIu64 ", virtual second %.3f, step %" PRIu64 ": %s\n", seed,
		    (double)(s.now - s.start) / 1e9, s.steps, s.failure);
	episode_free(&s);
	return ok;
}

int main(int argc, char **argv)
{
	int64_t seconds = 10, episodes = INT64_MAX, done = 0, failed = 0;
	uint64_t seed = (uint64_t)clock_now();
	bool verbose = false;
	char dir[] = "/tmp/drover-sim-XXXXXX";
	struct sim totals = {0};

	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--verbose"))
			verbose = true;
		else if (i + 1 < argc && str_eq(argv[i], "--seconds"))
			seconds = atoll(argv[++i]);
		else if (i + 1 < argc && str_eq(argv[i], "--episodes"))
			episodes = atoll(argv[++i]);
		else if (i + 1 < argc && str_eq(argv[i], "--seed"))
			seed = strtoull(argv[++i], NULL, 10);
		else
			die("usage: sim [--seconds N] [--seed N] [--episodes N] [--verbose]");
	}
	if (!mkdtemp(dir))
		die("cannot make a folder in /tmp: %s", strerror(errno));
	log_set_level(LOG_ERROR);
	printf("sim: seed %" PRIu64 "\n", seed);
	int64_t end = clock_monotonic() + seconds * SECOND;

	while (done < episodes && (done == 0 || clock_monotonic() < end) && failed < 5) {
		if (!episode(seed + (uint64_t)done, dir, verbose, &totals))
			failed++;
		done++;
	}
	rmdir(dir);
	printf("sim: %" PRId64 " episodes, %" PRIu64 " steps, %" PRIu64 " placements, %" PRIu64
	       " server crashes, %" PRId64 " episodes failed\n",
	    done, totals.steps, totals.placements, totals.crashes, failed);
	return failed != 0;
}
