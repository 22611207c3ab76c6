/*
 * away: machines that cannot be reached for a while, and what must hold then and when they are back, by the `disconnect` block
 * of each group:
 *
 *   what is unknown may be so, and is lost when its time is over, and not before; nothing that the block forbids to be replaced is
 *   replaced before it is lost; what stops by itself has stopped before its copy runs; of several copies of one name the
 *   one goes on that the block says; and some seconds after the machines are back no two of them run
 */
#include <inttypes.h>

#include "base/uuid.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

#define TWICE_CALM   (20 * SECOND) /* that two copies may run when both machines can be reached: a beat, a report, a stop */
#define TWICE_FAULTY (3 * MINUTE)  /* with messages lost and servers crashing */
#define LOOK_EVERY   8             /* steps */

/* ---- what the block says, once more ---- */

struct says {
	int64_t lost_after, stop_after;
	bool replace;
	const char *keep; /* "" = the older one */
};

static struct says says_of(const struct task_group *g)
{
	const struct disconnect_strategy *d = g->disconnect;

	if (!d)
		return (struct says){g->max_client_disconnect, g->stop_after_client_disconnect, !g->prevent_reschedule_on_lost,
		    g->max_client_disconnect ? "best_score" : ""};
	return (struct says){d->lost_after, d->stop_on_client_after, d->replace, d->reconcile};
}

static bool is_silent(const struct node_entry *n)
{
	return n->status == NODE_DOWN || n->status == NODE_DISCONNECTED;
}

static bool is_everywhere(const struct alloc *a)
{
	return a->version->job->type == JOB_SYSTEM || a->version->job->type == JOB_SYSBATCH;
}

static bool has_twin(const struct alloc *a)
{
	for (LINK_EACH(&a->version->job->allocs, struct alloc, by_job, b))
		if (b != a && rules_runs(b) && b->observed != OBSERVED_UNKNOWN && b->index == a->index &&
		    str_eq(alloc_group(b)->name, alloc_group(a)->name))
			return true;
	return false;
}

bool away_has_next(const struct sim *s, const struct alloc *a)
{
	const struct alloc *next = a->extra ? state_alloc(core_state(s->core), a->extra->next) : NULL;

	return next && next->desired == DESIRED_RUN && next->observed != OBSERVED_UNKNOWN;
}

bool away_is_shadow(const struct alloc *a)
{
	struct says x = says_of(alloc_group(a));

	if (a->observed != OBSERVED_UNKNOWN || a->desired != DESIRED_RUN || is_everywhere(a))
		return false;
	return has_twin(a) || (a->node && is_silent(a->node) && x.lost_after > 0 && x.replace);
}

bool away_beside(const struct alloc *a, const struct alloc *b)
{
	return away_is_shadow(a) || away_is_shadow(b);
}

bool away_may_stay(const struct alloc *a)
{
	struct says x = says_of(alloc_group(a));

	if (is_everywhere(a) && a->observed == OBSERVED_UNKNOWN)
		return true;
	return a->observed == OBSERVED_UNKNOWN && a->node && is_silent(a->node) && !x.replace && !x.lost_after && !x.stop_after;
}

/* ---- shapes ---- */

void away_shape(struct sim *s, struct arena *a, struct task_group *g)
{
	static const char *const keeps[] = {"best_score", "keep_original", "keep_replacement", "longest_running"};
	int64_t lost = sim_between(s, 20, 400) * SECOND, stop = sim_between(s, 10, 120) * SECOND;
	struct disconnect_strategy *d = MODEL_NEW(a, disconnect_strategy);
	uint64_t kind = sim_below(s, 20);

	if (kind < 6) {
		g->disconnect = d;
		MODEL_SET(disconnect_strategy, d, lost_after, lost);
		MODEL_SET(disconnect_strategy, d, replace, !sim_chance(s, 0.3));
		MODEL_SET(disconnect_strategy, d, reconcile, SIM_PICK(s, keeps));
	} else if (kind < 8) {
		g->disconnect = d;
		MODEL_SET(disconnect_strategy, d, stop_on_client_after, stop);
	} else if (kind == 8) {
		g->disconnect = d;
		MODEL_SET(disconnect_strategy, d, replace, false);
	} else if (kind == 9) {
		MODEL_SET(task_group, g, max_client_disconnect, lost);
	} else if (kind == 10) {
		MODEL_SET(task_group, g, stop_after_client_disconnect, stop);
	} else if (kind == 11) {
		MODEL_SET(task_group, g, prevent_reschedule_on_lost, true);
	}
}

/* ---- what the servers say ---- */

static struct node_sim *identity(struct sim *s, const struct alloc *a)
{
	return a->node ? identity_of(s, a->node->spec->id) : NULL;
}

static int64_t silent_for(struct sim *s, const struct alloc *a)
{
	const struct node_sim *i = identity(s, a);

	return i && i->down ? s->now - i->down_since : INT64_MAX;
}

static void check_unknown(struct sim *s, const struct alloc *a, bool back)
{
	struct says x = says_of(alloc_group(a));

	if (!back && !x.lost_after && !x.stop_after && x.replace)
		sim_fail(s, "an allocation of %s is unknown, and its group asks for nothing of that kind", a->version->job->id);
}

/* Given up as lost, since its node was silent. */
static void check_lost(struct sim *s, const struct alloc *a, uint8_t was)
{
	struct says x = says_of(alloc_group(a));
	bool counts = was == OBSERVED_RUNNING || was == OBSERVED_UNKNOWN;
	int64_t silent = silent_for(s, a), wait = 0;

	if (!a->node)
		return;
	if (counts && x.lost_after && a->node->status == NODE_DISCONNECTED)
		wait = x.lost_after;
	else if (x.stop_after && !x.lost_after)
		wait = x.stop_after + drains_stop_time(alloc_group(a));
	else if (!x.replace && !x.lost_after)
		wait = INT64_MAX;
	if (silent < wait)
		sim_fail(s, "an allocation of %s is lost after %.3f s, and was to be waited for", a->version->job->id, (double)silent / 1e9);
}

static int64_t began(const struct alloc *a)
{
	const struct task_state *t = a->extra ? objmap_get(&a->extra->task_states, "main") : NULL;

	return t ? t->started_at : a->create_time;
}

static bool is_older(const struct alloc *a, const struct alloc *b)
{
	return a->create_index != b->create_index ? a->create_index < b->create_index : uuid_cmp(a->id, b->id) < 0;
}

/* One that has failed has the name before another that has stopped by itself. */
static const struct alloc *survivor(const struct alloc *a)
{
	for (LINK_EACH(&a->version->job->allocs, struct alloc, by_job, b))
		if (b != a && b->desired == DESIRED_RUN && b->index == a->index && str_eq(alloc_group(b)->name, alloc_group(a)->name) &&
		    (rules_live(b) || b->observed == OBSERVED_COMPLETE || (b->observed == OBSERVED_FAILED && !rules_live(a))) &&
		    b->observed != OBSERVED_UNKNOWN)
			return b;
	return NULL;
}

/* The same plan has stopped the other one, too, for a reason of its own: a lower count, another version. */
static bool both_went(const struct alloc *a)
{
	for (LINK_EACH(&a->version->job->allocs, struct alloc, by_job, b))
		if (b != a && b->index == a->index && str_eq(alloc_group(b)->name, alloc_group(a)->name) && b->desired != DESIRED_RUN &&
		    b->modify_index == a->modify_index)
			return true;
	return false;
}

/* It was stopped in favour of another one of its name: of the right one? */
static void check_choice(struct sim *s, const struct alloc *lost)
{
	const struct job_entry *j = lost->version->job;
	const struct alloc *won = survivor(lost);
	const struct task_group *g = job_group(j->current->spec, alloc_group(lost)->name);
	struct says x = g ? says_of(g) : (struct says){0};
	bool runs = lost->observed == OBSERVED_RUNNING;

	if (!won && !both_went(lost))
		sim_fail(s, "one of %s was stopped in favour of another of its name, and there is none", j->id);
	/* One that has stopped by itself has no claim. */
	if (!won || !g || !rules_live(lost) || won->version != lost->version || won->version != j->current || won->observed == OBSERVED_COMPLETE)
		return;
	bool won_runs = won->observed == OBSERVED_RUNNING, older = is_older(won, lost);
	const char *wrong = NULL;

	s->choices++;
	if (str_eq(x.keep, "keep_replacement"))
		wrong = older ? "the replacement" : NULL;
	else if (runs != won_runs)
		wrong = runs ? "the one that runs" : NULL;
	else if (str_eq(x.keep, "best_score"))
		wrong = won->score < lost->score || (won->score == lost->score && !older) ? "the one of the better score" : NULL;
	else if (str_eq(x.keep, "longest_running"))
		wrong = runs && began(won) > began(lost) ? "the one that has run longer" : NULL;
	else
		wrong = older ? NULL : "the original";
	if (wrong)
		sim_fail(s, "two of %s.%s[%u] were there, and %s was stopped (%s)", j->id, g->name, lost->index, wrong,
		    str_empty(x.keep) ? "nothing is said" : x.keep);
}

void away_followed(struct sim *s, const struct alloc *a, uint8_t was_desired, uint8_t was_observed, bool marked)
{
	const char *said = a->extra && a->extra->desired_description ? a->extra->desired_description : "";

	if (a->observed == OBSERVED_UNKNOWN && was_observed != OBSERVED_UNKNOWN)
		check_unknown(s, a, was_desired != DESIRED_RUN);
	if (a->observed == OBSERVED_LOST && was_observed != OBSERVED_LOST && str_eq(said, "alloc is lost since its node is down") && !marked)
		check_lost(s, a, was_observed);
	if (was_desired == DESIRED_RUN && a->desired == DESIRED_STOP && str_starts(said, "alloc not needed: another one of its name") && !marked)
		check_choice(s, a);
}

/* ---- what runs ---- */

struct copy {
	char name[48];
	struct local_alloc *local;
	const struct client_sim *machine;
	const struct alloc *alloc;
	bool reached; /* the servers hear the machine, and it hears them */
};

static int by_name(const void *x, const void *y)
{
	const struct copy *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static uint32_t list_copies(struct sim *s, struct copy *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_clients; i++)
		for (uint32_t k = 0; k < s->clients[i].n_allocs; k++) {
			struct client_sim *c = &s->clients[i];
			struct local_alloc *l = &c->allocs[k];
			struct uuid id;

			if (uuid_parse(l->id, &id))
				continue;
			const struct alloc *a = state_alloc(core_state(s->core), id);
			const struct node_entry *node = a ? a->node : NULL;

			if (l->state != LOCAL_RUNNING || l->stopping || !a || is_everywhere(a)) {
				l->twice_since = NEVER;
				continue;
			}
			if (n == max)
				return n;
			out[n].reached = node && node->status == NODE_READY && c->up && c->registered && s->now >= c->cut_until;
			out[n].local = l;
			out[n].machine = c;
			out[n].alloc = a;
			snprintf(out[n++].name, sizeof(out->name), "%s.%s[%u]", a->version->job->id, alloc_group(a)->name, a->index);
		}
	return n;
}

/* Its client was there all the time to stop it, as the block says, and heard nobody; and it was given up for no other reason. */
static bool should_have_stopped(const struct sim *s, const struct copy *c)
{
	const struct alloc_extra *x = c->alloc->extra;
	bool silent = c->alloc->observed == OBSERVED_UNKNOWN || (x && str_eq(x->desired_description, "alloc is lost since its node is down"));

	return silent && c->local->stop_after && c->machine->up && s->now - c->machine->up_since > 30 * SECOND && !c->reached;
}

static void check_pair(struct sim *s, const struct copy *a, const struct copy *b)
{
	if (drains_beside(s, a->alloc, b->alloc) || drains_beside(s, b->alloc, a->alloc)) {
		a->local->twice_since = b->local->twice_since = NEVER;
		return;
	}
	const struct node_entry *n = a->alloc->node;
	bool waited = n && is_silent(n) && b->alloc->create_time > n->status_since; /* else it was made for another reason */

	/* One that has heard the servers since its copy was made is to be told by them. */
	if (waited && should_have_stopped(s, a) && a->machine->contact < b->alloc->create_time && rules_runs(b->alloc) &&
	    is_older(a->alloc, b->alloc))
		sim_fail(s, "%s runs on a machine that is cut off, where it was to stop by itself, and its copy runs, too", a->name);
	if (!a->reached || !b->reached) {
		a->local->twice_since = b->local->twice_since = NEVER;
		return;
	}
	int64_t *since = &a->local->twice_since;

	*since = *since == NEVER ? s->now : *since;
	if (s->disk_full_until > *since || core_state(s->core)->config->pause_eval_broker)
		*since = MAX(s->now, s->disk_full_until);
	if (!s->faults && *since < s->calm_since)
		*since = s->calm_since;
	if (s->now - *since > (s->faults ? TWICE_FAULTY : TWICE_CALM))
		sim_fail(s, "%s runs twice for %.1f s: %s and %s", a->name, (double)(s->now - *since) / 1e9, a->local->id, b->local->id);
}

void away_check(struct sim *s)
{
	static struct copy copies[4096];

	if (s->steps % LOOK_EVERY)
		return;
	uint32_t n = list_copies(s, copies, ARRAY_LEN(copies));

	if (n > 1)
		qsort(copies, n, sizeof(*copies), by_name);
	for (uint32_t i = 0; i < n; i++) {
		bool twice = i + 1 < n && str_eq(copies[i].name, copies[i + 1].name);

		if (twice) {
			check_pair(s, &copies[i], &copies[i + 1]);
			check_pair(s, &copies[i + 1], &copies[i]);
		} else if (!i || strcmp(copies[i].name, copies[i - 1].name)) {
			copies[i].local->twice_since = NEVER;
		}
	}
}

/* ---- the client ---- */

void away_look_at_silence(struct sim *s, uint32_t client, void (*stop)(struct sim *s, uint32_t n, struct local_alloc *l))
{
	struct client_sim *c = &s->clients[client];

	for (uint32_t i = 0; i < c->n_allocs; i++)
		if (c->allocs[i].stop_after && s->now - c->contact >= c->allocs[i].stop_after)
			stop(s, client, &c->allocs[i]);
}
