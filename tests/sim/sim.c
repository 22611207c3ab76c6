/*
 * The simulator's main loop: episodes of random life under one seed each, until the time given is used up.
 *
 *   sim [--seconds N] [--seed N] [--episodes N] [--failures N] [--verbose]
 *
 * It ends early after that many episodes (5) have failed. Every episode prints its seed when it fails; the same seed gives the same episode again.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

const char *const event_names[] = {"operator", "register", "heartbeat", "pull", "update", "work", "hello", "ack", "task",
    "client crash", "client beat", "server crash", "suspicion", "witness"};

static bool say_alloc(void *arg, struct alloc *a)
{
	char id[UUID_STR], name[64];

	(void)arg;
	fprintf(stderr, "%s %-16s version %u on %s: %s, %s, made at %" PRIu64 ", changed at %" PRIu64 "\n", uuid_format(a->id, id),
	    alloc_name(a, name, sizeof(name)), a->version->version, a->node ? a->node->spec->name : "-",
	    desired_names[a->desired], observed_names[a->observed], a->create_index, a->modify_index);
	return true;
}

static bool say_eval(void *arg, struct eval_entry *e)
{
	char id[UUID_STR];

	(void)arg;
	fprintf(stderr, "evaluation %s of %s, %s: %s, made at %" PRIu64 ", changed at %" PRIu64 ", waits until %.3f\n", uuid_format(e->id, id),
	    e->job->id, e->spec->triggered_by, eval_status_names[e->status], e->create_index, e->modify_index,
	    e->spec->wait_until ? (double)(e->spec->wait_until - INT64_C(1800000000) * SECOND) / 1e9 : 0);
	return true;
}

static void handle(struct sim *s, struct event *e)
{
	if (e->kind == EVENT_OPERATOR) {
		if (s->faults) {
			operator_act(s);
			sim_event(s, sim_event_new(s, EVENT_OPERATOR, 0), s->now + sim_between(s, 0, 5 * SECOND));
		}
	} else if (e->kind == EVENT_SERVER_CRASH) {
		sim_server_crash(s);
	} else if (e->kind == EVENT_SUSPICION || e->kind == EVENT_WITNESS) {
		witness_on_event(s, e);
	} else {
		clients_on_event(s, e);
	}
	sim_event_free(e);
}

/* Some evaluations (all, when no faults are about: a crash may fall between any two), a commit, and a look after each. */
static void turn(struct sim *s)
{
	uint64_t steps = s->faults ? sim_below(s, 6) : UINT64_MAX, index = core_state(s->core)->index;

	witness_ask(s);
	check_always(s);
	for (uint64_t i = 0; i < steps && !s->failure[0] && core_step(s->core, s->now); i++) {
		if (core_state(s->core)->index != index)
			check_always(s);
		index = core_state(s->core)->index;
		if (i > 100000)
			sim_fail(s, "the scheduler does not come to an end");
	}
	if (core_state(s->core)->index != index)
		check_always(s);
	sim_commit(s, false);
	s->steps++;
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
		} else {
			s->now = MAX(s->now, event_at);
			heap_remove(&s->events, first);
			handle(s, CONTAINER_OF(first, struct event, timer));
		}
		if (s->core && !s->failure[0])
			turn(s);
	}
	s->now = MAX(s->now, end);
}

/* The live state, the state that a replay of the journal gives, and that of a snapshot, are one. */
static void check_replay(struct sim *s)
{
	cleanup_err struct err e = ERR_INIT;

	if (s->failure[0] || !s->core)
		return;
	sim_commit(s, true);
	if (sim_chance(s, 0.5) && s->now >= s->disk_full_until && core_snapshot(s->core, &e) < 0)
		sim_fail(s, "snapshot: %s", err_str(&e));
	uint64_t digest = state_digest(core_state(s->core)), index = core_state(s->core)->index;

	sim_server_close(s);
	sim_server_open(s);
	if (s->core && (core_state(s->core)->index != index || state_digest(core_state(s->core)) != digest))
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
	free(s->digests);
	free(s->by_hand);
	clients_free(s);
	history_free(s->history);
	sim_server_close(s);
	arena_free(s->arena);
	if (dir_remove(s->dir, &e) < 0)
		fprintf(stderr, "sim: %s\n", err_str(&e));
}

static void set_config(struct sim *s)
{
	s->config = (struct core_config){
	    .seed = s->seed,
	    .heartbeat_grace = 10 * SECOND,
	    .min_heartbeat_ttl = 10 * SECOND,
	    .failover_heartbeat_ttl = MINUTE,
	    .witness_grace = sim_between(s, 20, 120) * SECOND,
	    .node_gc_threshold = sim_between(s, 1, 10) * MINUTE,
	    .job_gc_interval = sim_between(s, 20, 120) * SECOND,
	    .job_gc_threshold = sim_between(s, 1, 10) * MINUTE,
	    .eval_gc_threshold = sim_between(s, 1, 5) * MINUTE,
	    .batch_eval_gc_threshold = sim_between(s, 1, 10) * MINUTE,
	};
}

/* A switch fails for five minutes, and nothing else is wrong. Servers count from its return. */
static void part(struct sim *s)
{
	int64_t heals = s->now + 5 * MINUTE;

	s->calm_since = heals;
	for (uint32_t i = 0; i < s->n_clients; i++)
		if (sim_chance(s, 0.4))
			s->clients[i].cut_until = heals;
	run_until(s, heals + 30 * MINUTE);
	check_settled(s);
	check_replay(s);
}

/* Faults for a while, then quiet until everything has settled. */
static void act(struct sim *s)
{
	s->faults = true;
	sim_event(s, sim_event_new(s, EVENT_OPERATOR, 0), s->now + SECOND);
	run_until(s, s->now + sim_between(s, 30, 400) * SECOND);
	check_replay(s);
	if (!s->core)
		return;
	s->faults = false;
	s->calm_since = s->now;
	operator_calm(s);
	sim_commit(s, true);
	run_until(s, s->now + 30 * MINUTE);
	check_settled(s);
	check_replay(s);
	if (s->core && !s->failure[0] && sim_chance(s, 0.6))
		part(s);
}

/* One life of a cluster. Returns whether all invariants held. */
static bool episode(uint64_t seed, const char *dir, bool verbose, struct sim *totals)
{
	struct sim s = {.seed = seed, .rng = seed, .verbose = verbose, .arena = arena_new(), .history = history_new()};

	s.now = s.start = INT64_C(1800000000) * SECOND;
	snprintf(s.dir, sizeof(s.dir), "%s/%016" PRIx64, dir, seed);
	set_config(&s);
	sim_server_open(&s);
	machines_new(&s);
	for (uint64_t acts = 1 + sim_below(&s, 3); acts && !s.failure[0]; acts--)
		act(&s);
	totals->steps += s.steps;
	totals->crashes += s.crashes;
	totals->verdicts += s.verdicts;
	totals->placements += s.placements;
	totals->replaced += s.replaced;
	totals->revived += s.revived;
	totals->choices += s.choices;
	totals->reasons += s.reasons;
	totals->drains += s.drains;
	bool ok = !s.failure[0];

	if (!ok)
		printf("sim: seed %" PRIu64 ", virtual second %.3f, step %" PRIu64 ": %s\n", seed,
		    (double)(s.now - s.start) / 1e9, s.steps, s.failure);
	fflush(stdout);
	if (!ok && verbose && s.core) {
		for (uint32_t i = 0; i < s.n_clients; i++) {
			const struct client_sim *c = &s.clients[i];
			const struct node_entry *n = state_node(core_state(s.core), s.identities[c->identity].id);

			fprintf(stderr, "node-%u %.8s %s %s work %" PRIu64 " told %" PRIu64 " allocs %u, index of its work %" PRIu64 "\n", i, c->id,
			    c->up ? "up" : "-", c->registered ? "registered" : "-", c->work_index, c->told, c->n_allocs,
			    n ? n->alloc_index : 0);
		}
		state_each_alloc(core_state(s.core), say_alloc, NULL);
		state_each_eval(core_state(s.core), say_eval, NULL);
	}
	episode_free(&s);
	return ok;
}

int main(int argc, char **argv)
{
	int64_t seconds = 10, episodes = INT64_MAX, failures = 5, done = 0, failed = 0;
	uint64_t seed = (uint64_t)clock_now();
	bool verbose = false;
	char dir[] = "/dev/shm/drover-sim-XXXXXX", other[] = "/tmp/drover-sim-XXXXXX", *in = mkdtemp(dir);
	struct sim totals = {0};

	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--verbose"))
			verbose = true;
		else if (i + 1 < argc && str_eq(argv[i], "--seconds"))
			seconds = atoll(argv[++i]);
		else if (i + 1 < argc && str_eq(argv[i], "--episodes"))
			episodes = atoll(argv[++i]);
		else if (i + 1 < argc && str_eq(argv[i], "--failures"))
			failures = atoll(argv[++i]);
		else if (i + 1 < argc && str_eq(argv[i], "--seed"))
			seed = strtoull(argv[++i], NULL, 10);
		else
			die("usage: sim [--seconds N] [--seed N] [--episodes N] [--failures N] [--verbose]");
	}
	if (!in && !(in = mkdtemp(other)))
		die("cannot make a folder in /dev/shm or /tmp: %s", strerror(errno));
	log_set_level(LOG_ERROR);
	printf("sim: seed %" PRIu64 "\n", seed);
	int64_t end = clock_monotonic() + seconds * SECOND;

	while (done < episodes && (done == 0 || clock_monotonic() < end) && failed < failures) {
		if (!episode(seed + (uint64_t)done, in, verbose, &totals))
			failed++;
		done++;
	}
	rmdir(in);
	printf("sim: %" PRId64 " episodes, %" PRIu64 " steps, %" PRIu64 " placements (%" PRIu64 " replace another), %" PRIu64 " came back, %" PRIu64
	       " choices between two, %" PRIu64 " reasons checked, %" PRIu64 " drains done, %" PRIu64 " verdicts, %" PRIu64
	       " server crashes, %" PRId64 " episodes failed\n",
	    done, totals.steps, totals.placements, totals.replaced, totals.revived, totals.choices, totals.reasons, totals.drains,
	    totals.verdicts, totals.crashes, failed);
	return failed != 0;
}
