/*
 * Who is alive: heartbeats, silence, suspicion, the verdict.
 *
 *	fine --late, or Consul says critical--> suspect --asked--> asked --answers--> down, or waited
 *	fine --held request broke off--> renews --not asked again within RENEW_WITHIN--> suspect
 *	waited --ASK_AGAIN, or its time is over--> suspect
 *	any word of the node itself --> fine
 *
 * A server that is cut off sees all nodes silent, and its Consul may be cut off with it. So nobody is condemned unless another node
 * was heard, before the question, since the one in question should have been; when there is no such word, one that is fine is asked. While nobody
 * at all is heard, everybody has witness_grace: there is nowhere to go in any case. (Of a single node nothing can be told apart.)
 *
 * Every step of a node that is amiss is an event of the node. An event that the journal refuses is not told; the verdict is
 * tried again.
 */
#include <errno.h>

#include "base/clock.h"
#include "sched/absence.h"
#include "sched/core_internal.h"

#define RENEW_WITHIN SECOND
#define ASK_AGAIN    (5 * SECOND)
#define ASK_SOON     (SECOND / 2)  /* when another node has had the time to answer */
#define ASKED_WITHIN (30 * SECOND) /* nobody takes the question: nobody knows */
#define FIRST_WORD   (20 * SECOND) /* a client that finds no server tries again after 19 s at the latest */
#define SEEN_EVERY   (15 * SECOND) /* or the shortest time to live of a large fleet */
#define RETRY_AFTER  (5 * SECOND)  /* of a verdict that the journal has refused */
#define REFUSED_EVERY MINUTE       /* events of one that is refused again and again */
#define MISSED_AT_ONCE 500         /* in one entry, for its size */

/* ---- the verdict ---- */

/* Until when a silent node has time. */
enum bound {
	BOUND_LATE,    /* its TTL and the grace: the heartbeats alone decide */
	BOUND_NONE,    /* it has none */
	BOUND_PROBED,  /* its TTL and twice the grace */
	BOUND_WITNESS, /* its TTL and witness_grace */
};

static const enum bound verdicts[WITNESS_WORDS][WITNESS_WORDS] = { /* [Consul][the node itself] */
    [WITNESS_DEAD] = {[WITNESS_DEAD] = BOUND_NONE, [WITNESS_OTHER] = BOUND_NONE, [WITNESS_ALIVE] = BOUND_WITNESS},
    [WITNESS_UNKNOWN] = {[WITNESS_ALIVE] = BOUND_PROBED},
    [WITNESS_ALIVE] = {[WITNESS_DEAD] = BOUND_WITNESS, [WITNESS_UNKNOWN] = BOUND_WITNESS, [WITNESS_ALIVE] = BOUND_WITNESS},
    /* and BOUND_LATE for all others */
};

static const char *const consul_says[WITNESS_WORDS] = {
    [WITNESS_UNKNOWN] = "Consul knows nothing of its machine",
    [WITNESS_ALIVE] = "Consul sees its machine alive",
    [WITNESS_DEAD] = "Consul sees its machine dead",
};
static const char *const probe_says[WITNESS_WORDS] = {
    [WITNESS_UNKNOWN] = "it cannot be asked itself",
    [WITNESS_ALIVE] = "it answers at its address",
    [WITNESS_DEAD] = "it does not answer at its address",
    [WITNESS_OTHER] = "another node answers at its address",
};
static const char *const words[WITNESS_WORDS] = {
    [WITNESS_UNKNOWN] = "unknown", [WITNESS_ALIVE] = "alive", [WITNESS_DEAD] = "dead", [WITNESS_OTHER] = "other"};
static const char *const reasons[] = {
    [SUSPECT_LATE] = "its heartbeat is late",
    [SUSPECT_BROKE] = "the request that it held broke off",
    [SUSPECT_CONSUL] = "Consul calls its machine critical",
    [SUSPECT_SELF] = "another node is silent, and nobody was heard since",
};

static int64_t late_at(const struct core *c, const struct node_entry *n) /* counted */
{
	return n->life.due + c->config.heartbeat_grace;
}

static int64_t bound_at(const struct core *c, const struct node_entry *n, enum bound b)
{
	switch (b) {
	case BOUND_LATE:
		return late_at(c, n);
	case BOUND_PROBED:
		return late_at(c, n) + c->config.heartbeat_grace;
	case BOUND_WITNESS:
		return n->life.due + MAX(c->config.witness_grace, c->config.heartbeat_grace);
	case BOUND_NONE:
	default:
		return INT64_MIN;
	}
}

/* ---- events ---- */

static struct node_event *event_new(struct arena *a, const char *message)
{
	struct node_event *ev = MODEL_NEW(a, node_event);
	MODEL_SET(node_event, ev, message, message);
	MODEL_SET(node_event, ev, subsystem, "Cluster");
	ev->has |= MODEL_BIT(node_event, details);
	return ev;
}

static const char *clock_text(struct core *c, struct arena *a, int64_t counted)
{
	return time_format_rfc3339((counted + c->nodes.excused) / SECOND * SECOND, arena_alloc(a, TIME_STR));
}

static void put_missed(struct core *c, struct arena *a, struct node_entry *n)
{
	struct node_event *ev = event_new(a, "Node heartbeat missed");
	strmap_set(a, &ev->details, "last_heard", clock_text(c, a, n->life.heard));
	strmap_set(a, &ev->details, "expected", clock_text(c, a, n->life.due));
	strmap_set(a, &ev->details, "grace", duration_format(c->config.heartbeat_grace, arena_alloc(a, DURATION_STR)));
	entry_node_event(&c->entry, n->id, ev);
	n->life.missed = true;
}

static void put_asked(struct core *c, struct arena *a, struct node_entry *n)
{
	struct node_event *ev = event_new(a, arena_printf(a, "Witnesses asked: %s", reasons[n->life.why]));
	entry_node_event(&c->entry, n->id, ev);
	n->life.told = true;
}

static void put_said(struct core *c, struct arena *a, struct node_entry *n, bool alone, int64_t until)
{
	struct node_life *l = &n->life;
	struct node_event *ev = event_new(a, arena_printf(a, "%s, %s%s: it has until %s", consul_says[l->consul], probe_says[l->probe],
	    alone ? ", and no other node is heard" : "", clock_text(c, a, until)));
	strmap_set(a, &ev->details, "consul", words[l->consul]);
	strmap_set(a, &ev->details, "probe", words[l->probe]);
	entry_node_event(&c->entry, n->id, ev);
}

/* ---- the node speaks ---- */

static int find_node(const struct core *c, struct uuid id, struct node_entry **n, struct err *e)
{
	*n = state_node(c->state, id);
	return *n ? 0 : err_set(e, -ENOENT, "node not found");
}

static void tell_back(struct core *c, struct node_entry *n, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	n->life.told = n->life.missed = false;
	core_begin(c, now);
	entry_node_event(&c->entry, n->id, event_new(a, "Node is heard again"));
	core_append(c, NULL, NULL);
}

static void set_fine(struct core *c, struct node_entry *n)
{
	n->life.doubted = NEVER;
	nodes_set(&c->nodes, n, LIFE_FINE, late_at(c, n));
}

static int64_t seen_every(const struct core *c)
{
	return MAX(SEEN_EVERY, nodes_shortest_ttl(&c->config, c->state->n_nodes));
}

void core_node_heard(struct core *c, struct node_entry *n, int64_t now, uint64_t index, struct core_node_reply *out)
{
	int64_t ttl = nodes_ttl(&c->config, c->state->n_nodes, n->id, now);
	if (n->life.told)
		tell_back(c, n, now);
	n->life.heard = c->nodes.heard = nodes_time(&c->nodes, now);
	n->life.due = n->life.heard + ttl;
	n->life.consul = n->life.probe = WITNESS_UNKNOWN;
	set_fine(c, n);
	if (c->nodes.seen_at == NEVER)
		c->nodes.seen_at = now + seen_every(c);
	*out = (struct core_node_reply){.heartbeat_ttl = ttl, .index = index, .report = core_node_report(n)};
}

int core_node_heartbeat(struct core *c, struct uuid id, int64_t now, struct core_node_reply *out, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	if (r)
		return r;
	uint64_t index = c->state->index, written = 0;
	if (n->status == NODE_DOWN || n->status == NODE_DISCONNECTED) {
		cleanup_arena struct arena *a = arena_new();
		core_begin(c, now);
		core_put_return(c, a, n, "Node reregistered by heartbeat", now);
		r = core_append(c, &index, e);
		if (r)
			return r;
		written = index;
	}
	core_node_heard(c, n, now, index, out);
	out->written = written;
	return 0;
}

void core_node_asks(struct core *c, struct uuid id)
{
	struct node_entry *n = state_node(c->state, id);
	if (n && n->life.phase == LIFE_RENEWS)
		set_fine(c, n);
}

int core_node_leave(struct core *c, struct uuid id, int64_t now, uint64_t *index, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	*index = c->state->index;
	if (r || n->status == NODE_DOWN)
		return r;
	cleanup_arena struct arena *a = arena_new();
	core_begin(c, now);
	entry_node_status(&c->entry, id, NODE_DOWN, "Node left");
	core_put_node_evals(c, a, n, 0, now, NULL);
	return core_append(c, index, e);
}

int core_node_refuse_twin(struct core *c, struct node_entry *old, const struct node *given, int64_t now, struct err *e)
{
	const char *known = old->spec->http_addr, *asks = given->http_addr;
	struct node_life *l = &old->life;
	int64_t t = nodes_time(&c->nodes, now);
	if (l->phase == LIFE_NONE || t >= l->due || str_empty(known) || str_empty(asks) || str_eq(known, asks))
		return 0;
	err_set(e, -EEXIST, "node %s is at %s (\"%s\") and heartbeats from there, and this registration comes from %s (\"%s\"): two "
	    "machines have one id, as when a disk or a data_dir was copied. Stop the agent of the copy, remove its state folder, "
	    "and start it again: it makes an id of its own. If the node has moved: it is taken in when its old heartbeats are over",
	    given->id, known, str_or(old->spec->name, ""), asks, given->name);
	if (!l->refused || t - l->refused >= REFUSED_EVERY) {
		cleanup_arena struct arena *a = arena_new();
		struct node_event *ev = event_new(a, arena_printf(a, "Registration from %s refused: another machine has the id of this node", asks));
		strmap_set(a, &ev->details, "address", asks);
		strmap_set(a, &ev->details, "name", given->name);
		l->refused = t;
		core_begin(c, now);
		entry_node_event(&c->entry, old->id, ev);
		core_append(c, NULL, NULL);
	}
	return -EEXIST;
}

/* ---- silence ---- */

void core_node_missed(struct core *c, struct node_entry *n, const char *why, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	core_begin(c, now);
	entry_node_status(&c->entry, n->id, absence_status(n), why);
	core_put_node_evals(c, a, n, 0, now, NULL);
	/* A journal that has no room is asked again; until then the node only counts as late. */
	if (core_append(c, NULL, NULL))
		nodes_set(&c->nodes, n, LIFE_WAITED, nodes_time(&c->nodes, now) + RETRY_AFTER);
}

static void suspect(struct core *c, struct node_entry *n, enum suspicion why, int64_t now)
{
	if (!n->life.told)
		n->life.why = (uint8_t)why;
	n->life.doubted = MIN(n->life.doubted, nodes_time(&c->nodes, now));
	nodes_set(&c->nodes, n, LIFE_SUSPECT, nodes_time(&c->nodes, now) + ASKED_WITHIN);
}

void core_node_suspect(struct core *c, struct uuid id, enum suspicion why, int64_t now)
{
	struct node_entry *n = state_node(c->state, id);
	enum life_phase phase = n ? (enum life_phase)n->life.phase : LIFE_NONE;
	if (phase == LIFE_FINE)
		n->life.doubted = nodes_time(&c->nodes, now);
	if (why == SUSPECT_BROKE && phase == LIFE_FINE)
		nodes_set(&c->nodes, n, LIFE_RENEWS, MIN(nodes_time(&c->nodes, now) + RENEW_WITHIN, late_at(c, n)));
	else if (why == SUSPECT_CONSUL && (phase == LIFE_FINE || phase == LIFE_RENEWS || phase == LIFE_WAITED))
		suspect(c, n, why, now);
}

/* Has this server heard anybody else since the node should have been heard? */
static bool hears_others(const struct core *c, const struct node_entry *n)
{
	return c->nodes.timers.n < 2 || c->nodes.heard >= MIN(n->life.doubted, n->life.due);
}

bool core_next_question(struct core *c, struct uuid *id, int64_t now)
{
	struct nodes *nodes = &c->nodes;
	if (nodes->asked >= CORE_QUESTIONS || link_empty(&nodes->suspects))
		return false;
	struct node_entry *n = CONTAINER_OF(nodes->suspects.next, struct node_entry, life.queue);
	nodes_set(nodes, n, LIFE_ASKED, nodes_time(nodes, now) + CORE_ANSWER_WITHIN);
	n->life.alone = !hears_others(c, n);
	*id = n->id;
	return true;
}

/* Nothing that is worth a word: it lives and may only have begun another connection, or nobody knows anything. */
static bool is_quiet(const struct core *c, const struct node_entry *n, int64_t t)
{
	bool mute = n->life.probe == WITNESS_UNKNOWN && n->life.consul != WITNESS_DEAD;
	return !n->life.told && t < late_at(c, n) && (n->life.probe == WITNESS_ALIVE || mute);
}

/* One of those that are fine is asked whether it hears this server. Returns when to look again. */
static int64_t ask_another(struct core *c, int64_t now)
{
	struct nodes *nodes = &c->nodes;
	int64_t t = nodes_time(nodes, now);
	for (uint32_t i = 0; t - nodes->self_asked >= ASK_AGAIN && i < c->state->cap_nodes; i++) {
		struct node_entry *other = c->state->nodes[i];
		if (!other || other->life.phase != LIFE_FINE)
			continue;
		suspect(c, other, SUSPECT_SELF, now);
		nodes->self_asked = t;
	}
	return t - nodes->self_asked < SECOND ? ASK_SOON : ASK_AGAIN;
}

static void judge(struct core *c, struct node_entry *n, enum witness_word consul, enum witness_word probe, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	struct node_life *l = &n->life;
	int64_t t = nodes_time(&c->nodes, now), until = bound_at(c, n, verdicts[consul][probe]), again = ASK_AGAIN;
	bool same = l->told && l->consul == consul && l->probe == probe, alone = t >= until && (l->alone || !hears_others(c, n));
	l->consul = (uint8_t)consul;
	l->probe = (uint8_t)probe;
	if (alone) {
		until = bound_at(c, n, BOUND_WITNESS);
		/* What was said before the way was open says nothing. */
		again = hears_others(c, n) ? ASK_SOON : ask_another(c, now);
	}
	if (t >= until) {
		const char *silent = t >= late_at(c, n) ? "no heartbeat" : reasons[l->why];
		core_node_missed(c, n, arena_printf(a, "Node down: %s, %s, %s", silent, consul_says[consul], probe_says[probe]), now);
		return;
	}
	if (is_quiet(c, n, t)) {
		set_fine(c, n);
		return;
	}
	nodes_set(&c->nodes, n, LIFE_WAITED, MIN(t + again, until));
	if (again == ASK_SOON)
		return;
	core_begin(c, now);
	if (t >= late_at(c, n) && !l->missed)
		put_missed(c, a, n);
	if (!l->told)
		put_asked(c, a, n);
	if (!same)
		put_said(c, a, n, alone, until);
	if (entry_is_empty(&c->entry))
		return;
	core_append(c, NULL, NULL);
}

void core_node_witness(struct core *c, struct uuid id, enum witness_word consul, enum witness_word probe, int64_t now)
{
	struct node_entry *n = state_node(c->state, id);
	if (probe == WITNESS_ALIVE)
		c->nodes.heard = nodes_time(&c->nodes, now);
	if (n && n->life.phase == LIFE_ASKED) /* else it has spoken meanwhile */
		judge(c, n, consul, probe, now);
}

static void on_timer(struct core *c, struct node_entry *n, int64_t now)
{
	switch ((enum life_phase)n->life.phase) {
	case LIFE_RENEWS:
		suspect(c, n, SUSPECT_BROKE, now);
		break;
	case LIFE_SUSPECT:
	case LIFE_ASKED:
		judge(c, n, WITNESS_UNKNOWN, WITNESS_UNKNOWN, now);
		break;
	case LIFE_FINE:
	case LIFE_WAITED:
		suspect(c, n, SUSPECT_LATE, now);
		break;
	case LIFE_NONE:
		break;
	}
}

/* Those whose heartbeats are late, many of them in one entry: when a switch fails, they come together. */
static void tell_missed(struct core *c, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	struct node_entry *n;
	core_begin(c, now);
	for (uint32_t i = 0; i < MISSED_AT_ONCE && (n = nodes_due(&c->nodes, now)) && n->life.phase == LIFE_FINE; i++) {
		suspect(c, n, SUSPECT_LATE, now);
		put_missed(c, a, n);
		put_asked(c, a, n);
	}
	if (!entry_is_empty(&c->entry))
		core_append(c, NULL, NULL);
}

/* ---- what a new leader begins with ---- */

/* Seconds since each node's last word, of those of which the state knows less. */
static void write_seen(struct core *c, int64_t now)
{
	size_t o = 0;
	core_begin(c, now);
	for (uint32_t i = 0; i < c->state->cap_nodes; i++) {
		const struct node_entry *n = c->state->nodes[i];
		int64_t heard = n ? MIN(n->life.heard + c->nodes.excused, now) : 0;
		if (!n || n->life.phase == LIFE_NONE || heard < n->seen + SECOND)
			continue;
		if (!o)
			o = entry_open(&c->entry, ENTRY_NODES_SEEN);
		wire_put_u64(&c->entry, i);
		wire_put_u64(&c->entry, (uint64_t)((now - heard + SECOND - 1) / SECOND));
	}
	c->nodes.seen_at = NEVER;
	if (!o)
		return;
	entry_close(&c->entry, o);
	if (core_append(c, NULL, NULL))
		c->nodes.seen_at = now + seen_every(c);
}

void core_node_await(struct core *c, struct node_entry *n, int64_t now)
{
	/* As late as its last heartbeat can have been, and as long as its TTL can have been; but time to find this server. */
	int64_t due = n->seen + seen_every(c) + 2 * nodes_shortest_ttl(&c->config, c->state->n_nodes);
	int64_t late = MAX(due + c->config.heartbeat_grace, now + FIRST_WORD);
	late = MIN(late, now + c->config.failover_heartbeat_ttl);
	n->life.heard = nodes_time(&c->nodes, MIN(n->seen, now));
	n->life.due = nodes_time(&c->nodes, late) - c->config.heartbeat_grace;
	n->life.told = n->life.missed = false;
	set_fine(c, n);
}

void core_liveness_tick(struct core *c, int64_t now)
{
	struct node_entry *n;
	while ((n = nodes_due(&c->nodes, now)))
		if (n->life.phase == LIFE_FINE)
			tell_missed(c, now);
		else
			on_timer(c, n, now);
	if (c->nodes.seen_at <= now)
		write_seen(c, now);
}
