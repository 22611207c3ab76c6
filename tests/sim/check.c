/*
 * check: what must hold after every step, whatever went wrong before:
 *
 *   no node is oversubscribed and no port given twice, as the servers believe and as the machines run; what was placed is
 *   right where it is; indexes only grow; what was acknowledged is there; nothing runs twice, comes back or is forgotten too
 *   early (tests/sim/history.c); jobs have the status that follows from their allocations; a node is down when it has been
 *   silent for its time, and not before (tests/sim/witness.c)
 */
#include <inttypes.h>

#include "base/uuid.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

static void check_load(struct sim *s, const struct node_entry *n, const struct load *l)
{
	struct amounts room = rules_room(n->spec);

	if (l->used.cpu > room.cpu || l->used.memory > room.memory || l->used.disk > room.disk)
		sim_fail(s, "%s is oversubscribed: cpu %lld of %lld, memory %lld of %lld, disk %lld of %lld", n->spec->name,
		    (long long)l->used.cpu, (long long)room.cpu, (long long)l->used.memory, (long long)room.memory,
		    (long long)l->used.disk, (long long)room.disk);
	if (n->spec->node_max_allocs > 0 && l->n > n->spec->node_max_allocs)
		sim_fail(s, "%s has %u allocations and takes %lld", n->spec->name, l->n, (long long)n->spec->node_max_allocs);
	for (uint32_t i = 0; i < l->n_ports; i++) {
		if (l->ports[i] == 22 || l->ports[i] == 20003 || l->ports[i] == 20004)
			sim_fail(s, "port %u of %s is reserved, and given away", l->ports[i], n->spec->name);
		for (uint32_t k = 0; k < i; k++)
			if (l->ports[k] == l->ports[i])
				sim_fail(s, "port %u of %s is given away twice", l->ports[i], n->spec->name);
	}
}

static void check_nodes(struct sim *s, const struct loads *l)
{
	const struct state *st = core_state(s->core);

	for (uint32_t i = 0; i < st->cap_nodes; i++)
		if (st->nodes[i])
			check_load(s, st->nodes[i], &l->of[i]);
}

/* What really runs on the machines, whatever the servers believe. */
static void check_machines(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_clients; i++) {
		const struct client_sim *c = &s->clients[i];
		struct amounts room = rules_room(s->identities[c->identity].node), used = {0};
		uint32_t ports[512], n = 0;

		for (uint32_t k = 0; k < c->n_allocs; k++) {
			const struct local_alloc *a = &c->allocs[k];

			if (a->state == LOCAL_COMPLETE || a->state == LOCAL_FAILED)
				continue;
			used.cpu += a->cpu;
			used.memory += a->memory;
			used.disk += a->disk;
			for (uint32_t p = 0; p < a->n_ports; p++) {
				for (uint32_t q = 0; q < n; q++)
					if (ports[q] == a->ports[p])
						sim_fail(s, "two allocations run on node-%u with port %u, one is %s", i, a->ports[p], a->id);
				if (n < ARRAY_LEN(ports))
					ports[n++] = a->ports[p];
			}
		}
		if (used.cpu > room.cpu || used.memory > room.memory || used.disk > room.disk)
			sim_fail(s, "node-%u runs more than it has: cpu %lld of %lld, memory %lld of %lld, disk %lld of %lld", i,
			    (long long)used.cpu, (long long)room.cpu, (long long)used.memory, (long long)room.memory,
			    (long long)used.disk, (long long)room.disk);
	}
}

/* ---- jobs ---- */

static void check_status(struct sim *s, const struct job_entry *j)
{
	uint32_t runs = 0, open = 0, done = 0;
	const char *want;

	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		runs += rules_runs(a);
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e)) {
		open += e->status == EVAL_PENDING || e->status == EVAL_BLOCKED;
		done += e->status != EVAL_PENDING && e->status != EVAL_BLOCKED;
	}
	if (j->type == JOB_SYSTEM)
		want = j->stop ? "dead" : "running";
	else if (runs || open)
		want = runs ? "running" : "pending";
	else if (done || j->stop || j->evaluated)
		want = "dead";
	else
		want = "pending";
	if (!str_eq(job_status_names[j->status], want))
		sim_fail(s, "%s is %s, and should be %s: %u allocations run, %u evaluations are open", j->id,
		    job_status_names[j->status], want, runs, open);
}

static void check_summary(struct sim *s, const struct job_entry *j, uint32_t group)
{
	const char *name = ((struct task_group *)j->current->spec->task_groups.v[group])->name;
	const struct group_summary *sum = objmap_get(&j->summary, name);
	uint32_t running = 0, starting = 0;

	/* Of a job that was purged and came back under its name, only what belongs to the new one counts. */
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		bool ours = str_eq(alloc_group(a)->name, name) && a->version->modify_index >= j->create_index;

		running += ours && a->observed == OBSERVED_RUNNING;
		starting += ours && a->observed == OBSERVED_PENDING;
	}
	if (!sum || sum->running != running || sum->starting != starting)
		sim_fail(s, "the summary of %s.%s says %u running and %u starting, there are %u and %u", j->id, name,
		    sum ? sum->running : 0, sum ? sum->starting : 0, running, starting);
}

static bool over(const struct job_entry *j)
{
	if (!j->stop && j->type != JOB_BATCH && j->type != JOB_SYSBATCH)
		return false;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		if (rules_live(a))
			return false;
	for (LINK_EACH(&j->evals, struct eval_entry, by_job, e))
		if (e->status == EVAL_PENDING || e->status == EVAL_BLOCKED)
			return false;
	return true;
}

/* The job is not there: was it purged, or over and old enough to be collected? */
static void check_absent(struct sim *s, uint32_t n, struct wish *w)
{
	bool promised = w->known == KNOWN_REGISTERED || w->known == KNOWN_STOPPED;

	if (!w->over || w->purged) {
		if (promised)
			sim_fail(s, "the answer to a request for job-%u at index %" PRIu64 " was sent, and the job is not there", n, w->index);
		w->over = false;
		return;
	}
	if (s->collected != s->now && s->now - w->submitted < s->config.job_gc_threshold)
		sim_fail(s, "job-%u was collected %.1f s after it was submitted", n, (double)(s->now - w->submitted) / 1e9);
	/* Answers that are still on their way are about what was. */
	w->asked++;
	w->known = KNOWN_NOTHING;
	w->over = false;
}

static void check_wish(struct sim *s, uint32_t n)
{
	struct wish *w = &s->wishes[n];
	char id[16];

	snprintf(id, sizeof(id), "job-%u", n);
	const struct job_entry *j = state_job(core_state(s->core), "default", id);

	if (!j) {
		check_absent(s, n, w);
		return;
	}
	if (w->known == KNOWN_REGISTERED && (j->stop || j->current->modify_index < w->index ||
	        !str_eq(strmap_get(&j->current->spec->meta, "revision"), w->revision)))
		sim_fail(s, "the registration of %s at index %" PRIu64 " was acknowledged, and is not what there is", id, w->index);
	if (w->known == KNOWN_STOPPED && !j->stop)
		sim_fail(s, "the stop of %s was acknowledged, and it is not stopped", id);
	if (w->known == KNOWN_PURGED)
		sim_fail(s, "the purge of %s was acknowledged, and it is there", id);
	check_status(s, j);
	if ((s->steps & 15) == 0)
		OBJS_EACH (&j->current->spec->task_groups, struct task_group, g)
			check_summary(s, j, g_i);
	w->over = over(j);
	w->submitted = j->current->submit_time;
}

static void check_indexes(struct sim *s)
{
	const struct state *st = core_state(s->core);

	if (st->index < s->last_index)
		sim_fail(s, "the index went back from %" PRIu64 " to %" PRIu64, s->last_index, st->index);
	for (int t = 0; t < TABLE_COUNT; t++)
		if (st->table_index[t] > st->index)
			sim_fail(s, "table %d has an index beyond the state's", t);
}

static void note_digest(struct sim *s)
{
	uint64_t index = core_state(s->core)->index;

	if (s->n_digests && s->digests[s->n_digests - 1].index == index)
		return;
	if (s->n_digests == s->cap_digests) {
		s->cap_digests = s->cap_digests ? 2 * s->cap_digests : 64;
		s->digests = xrealloc(s->digests, s->cap_digests, sizeof(*s->digests));
	}
	s->digests[s->n_digests++] = (struct digest_at){index, state_digest(core_state(s->core))};
}

void check_always(struct sim *s)
{
	struct loads l;

	if (!s->core || s->failure[0])
		return;
	check_machines(s);
	witness_check(s);
	drains_check(s);
	away_check(s);
	scale_ins_check(s);
	if (s->crash_due)
		note_digest(s);
	/* What is read of the state alone needs no second look. */
	if (core_state(s->core)->index == s->last_index && s->wished == s->last_wished)
		return;
	check_indexes(s);
	rules_loads(s, &l);
	history_look(s, &l);
	check_nodes(s, &l);
	for (uint32_t i = 0; i < SIM_JOBS; i++)
		check_wish(s, i);
	if (sim_chance(s, 0.02))
		check_reasons(s, &l, false);
	s->last_index = core_state(s->core)->index;
	s->last_wished = s->wished;
	rules_loads_free(&l);
}
