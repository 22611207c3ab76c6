/*
 * witness: what Consul and the nodes themselves say when the core asks about a node: the truth, late, or nothing. Consul sees
 * a machine that is off after some seconds and knows nothing of some machines; a node answers at its address while its agent
 * runs and it is not cut off, or another one that its machine has become. And what has to follow from that: nobody is called down before its time, unless both call it
 * dead, and nobody is left for longer than the longest time that a witness gave it. A server that has heard nobody since a node's last
 * word calls none of several down before witness_grace is over: it may be the one that is cut off.
 */
#include "base/uuid.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

#define NOTICED   (4 * SECOND)  /* a machine that is off, by Consul */
#define SLACK     (17 * SECOND) /* a question that is lost, and a disk that is full */
#define SEEN      (15 * SECOND) /* how old the last word that a new leader knows may be */
#define FIND      (20 * SECOND) /* what a client has to find a server that has started */

static bool is_down(const struct node_entry *n)
{
	return n && (n->status == NODE_DOWN || n->status == NODE_DISCONNECTED);
}

static int64_t grace(const struct sim *s)
{
	return s->config.heartbeat_grace;
}

void witness_promise(struct sim *s, struct node_sim *i, int64_t ttl)
{
	i->due = i->due_latest = s->now + ttl;
	i->spoke = s->heard = s->now;
	i->bound = i->due + grace(s);
	i->evidence = 0;
	i->down = false;
}

void witness_server_starts(struct sim *s)
{
	s->lives++;
	s->heard = 0;
	for (uint32_t n = 0; n < s->n_identities; n++) {
		struct node_sim *i = &s->identities[n];

		i->due = s->now + FIND - grace(s);
		i->due_latest = s->now + SEEN + 2 * s->config.min_heartbeat_ttl;
		i->bound = i->due_latest + grace(s);
		i->spoke = s->now;
		i->evidence = 0;
		/* A return that was not committed is forgotten. */
		const struct node_entry *entry = state_node(core_state(s->core), i->id);

		i->down = is_down(entry);
		i->down_since = entry ? entry->status_since : 0;
	}
}

/* ---- suspicion ---- */

static void suspect(struct sim *s, uint32_t client, enum suspicion why, int64_t at)
{
	struct event *e = sim_event_new(s, EVENT_SUSPICION, client);

	e->identity = s->clients[client].identity;
	e->why = why;
	sim_event(s, e, at);
}

void witness_client_crashes(struct sim *s, uint32_t client)
{
	const struct client_sim *c = &s->clients[client];

	if (s->now >= c->cut_until && (!c->off_since || sim_chance(s, 0.5)))
		suspect(s, client, SUSPECT_BROKE, s->now + sim_between(s, 0, 50 * MILLI));
	if (c->off_since && c->in_consul)
		suspect(s, client, SUSPECT_CONSUL, s->now + NOTICED + sim_between(s, 0, 2 * SECOND));
}

static bool is_off(const struct sim *s, const struct client_sim *c)
{
	return c->off_since && s->now - c->off_since >= NOTICED;
}

static void on_suspicion(struct sim *s, const struct event *e)
{
	if (e->why == SUSPECT_CONSUL && !is_off(s, &s->clients[e->client]))
		return;
	struct node_sim *i = &s->identities[e->identity];

	i->suspected = s->now;
	core_node_suspect(s->core, i->id, e->why, s->now);
}

/* ---- answers ---- */

void witness_ask(struct sim *s)
{
	struct uuid id;

	while (s->core && core_next_question(s->core, &id, s->now)) {
		char text[UUID_STR];
		struct node_sim *i = identity_of(s, uuid_format(id, text));
		struct event *e = sim_event_new(s, EVENT_WITNESS, i->client);

		e->identity = (uint32_t)(i - s->identities);
		e->asked = (uint64_t)s->now;
		e->of = s->lives;
		e->heard = s->heard;
		bool lost = s->faults && sim_chance(s, 0.05);

		if (lost) {
			i->suspected = 0; /* it comes to nothing */
			sim_event_free(e);
		} else {
			sim_event(s, e, s->now + sim_between(s, MILLI, SECOND));
		}
	}
}

/* When it may be called down for these words, by the time that its TTL ends. */
static int64_t time_left(const struct sim *s, enum witness_word consul, enum witness_word probe, int64_t due)
{
	if ((consul == WITNESS_ALIVE && probe != WITNESS_OTHER) || (consul == WITNESS_DEAD && probe == WITNESS_ALIVE))
		return due + s->config.witness_grace;
	return due + (probe == WITNESS_ALIVE ? 2 * grace(s) : grace(s));
}

static void on_answer(struct sim *s, const struct event *e)
{
	struct node_sim *i = &s->identities[e->identity];
	const struct client_sim *c = &s->clients[i->client];
	enum witness_word consul = is_off(s, c) ? WITNESS_DEAD : WITNESS_ALIVE, probe = WITNESS_DEAD;

	if (c->up && s->now >= c->cut_until)
		probe = c->identity == e->identity ? WITNESS_ALIVE : WITNESS_OTHER;

	if (!c->in_consul || (s->faults && sim_chance(s, 0.1)))
		consul = WITNESS_UNKNOWN;
	if (s->faults && sim_chance(s, 0.05))
		probe = WITNESS_UNKNOWN;
	if (e->of == s->lives && i->spoke < (int64_t)e->asked) {
		i->answered = s->now;
		i->allowed = time_left(s, consul, probe, i->due);
		i->bound = MAX(i->bound, time_left(s, consul, probe, i->due_latest));
		if (consul == WITNESS_DEAD && (probe == WITNESS_DEAD || probe == WITNESS_OTHER))
			i->condemned = s->now;
	}
	if (probe == WITNESS_ALIVE)
		s->heard = s->now;
	core_node_witness(s->core, i->id, consul, probe, s->now);
	const struct node_entry *n = state_node(core_state(s->core), i->id);
	/* Since when another one has to have been heard: the core may take an earlier suspicion. */
	int64_t since = i->suspected > i->spoke ? MIN(i->suspected, i->due_latest) : i->due_latest;

	if (n && !is_down(n) && i->condemned == s->now && s->now >= s->disk_full_until && e->heard > since)
		sim_fail(s, "both witnesses call %s dead, and it is not down", n->spec->name);
	if (i->condemned != s->now)
		i->suspected = 0;
}

void witness_on_event(struct sim *s, struct event *e)
{
	if (e->kind == EVENT_SUSPICION)
		on_suspicion(s, e);
	else
		on_answer(s, e);
}

/* ---- what must hold ---- */

static bool any_up(const struct sim *s)
{
	const struct state *st = core_state(s->core);

	for (uint32_t i = 0; i < st->cap_nodes; i++)
		if (st->nodes[i] && !is_down(st->nodes[i]))
			return true;
	return false;
}

static void check_one(struct sim *s, struct node_sim *i, const struct node_entry *n)
{
	int64_t from = i->answered == s->now ? i->allowed : i->due + grace(s), by = MAX(i->bound, s->disk_full_until);
	bool down = is_down(n);

	if (!i->evidence && s->heard > i->due_latest)
		i->evidence = s->now;
	by = MAX(by, i->evidence ? i->evidence : i->due_latest + s->config.witness_grace);

	if (down && !i->down) {
		s->verdicts++;
		i->down_since = s->now;
		if (i->condemned != s->now && s->now < from)
			sim_fail(s, "%s is called down %.1f s before its time", n->spec->name, (double)(from - s->now) / 1e9);
	}
	if (down && !i->down && s->heard <= i->spoke && s->now < i->due + s->config.witness_grace && any_up(s))
		sim_fail(s, "%s is called down, and nobody was heard since it was", n->spec->name);
	if (!down && i->bound != NEVER && s->now > by + SLACK)
		sim_fail(s, "%s should be down for %.1f s, and is not", n->spec->name, (double)(s->now - by) / 1e9);
	i->down = down;
}

void witness_check(struct sim *s)
{
	for (uint32_t n = 0; n < s->n_identities; n++) {
		struct node_entry *entry = state_node(core_state(s->core), s->identities[n].id);

		if (entry)
			check_one(s, &s->identities[n], entry);
	}
}
