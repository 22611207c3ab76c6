/*
 * plan: one evaluation, from the state to a value that says what to change: reconcile, find nodes, and work out the
 * evaluation as it is afterwards with those that follow it. Preemption would be asked where a want finds no node;
 * deployments would add their limits in sched/reconcile.c, next to those of the update block.
 */
#include "sched/plan.h"

#include "sched/place.h"
#include "sched/reconcile.h"
#include "sched/why.h"

#define NEW_EVALS     (UINT64_C(1) << 32) /* where ids of evaluations begin among those derived from a plan's seed */
#define LATER_WINDOW  (5 * SECOND)        /* delayed reschedules within it share one evaluation */
#define AVOID_MAX     8
#define CLASSES_NOTED 32

struct planner {
	const struct plan_request *r;
	struct arena *a;
	struct plan *out;
	struct reconciled rec;
	struct proposed proposed;
	struct intmap queued;
	struct objmap failed; /* struct alloc_metric by group */
	bool escaped;
	struct objmap classes; /* computed class -> struct value: may it run some group that failed? */
};

/* ---- placing ---- */

static uint32_t nodes_to_avoid(const struct want *w, struct uuid *out)
{
	uint32_t n = 0;
	if (!w->penalty)
		return 0;
	if (w->previous && w->previous->node)
		out[n++] = w->previous->node->id;
	for (uint32_t i = w->tracker ? w->tracker->events.n : 0; i-- > 0 && n < AVOID_MAX;) {
		const struct reschedule_event *e = w->tracker->events.v[i];
		n += uuid_parse(e->prev_node_id ? e->prev_node_id : "", &out[n]) == 0;
	}
	return n;
}

static void stop_replaced(struct planner *p, const struct want *w)
{
	LIST_ADD(p->a, p->out->stops, p->out->n_stops, p->out->cap_stops) =
	    (struct plan_stop){.alloc = w->previous, .desired = DESIRED_STOP, .observed = -1, .description = w->stop_with};
}

/* Would there be room for the new one where the old one is, were that gone? */
static bool has_room_instead(struct planner *p, const struct group_ask *ask, const struct alloc *old)
{
	const struct group_ask *had = &old->version->asks[old->group];
	struct node_entry without = *old->node;
	amount_take(&without.used, &had->amount);
	for (uint32_t i = 0; old->ports && i < had->n_ports; i++)
		port_set_remove(without.ports, old->ports[i].value);
	bool fits = proposed_fit(&p->proposed, &without, ask, 0, NULL).dimension == FIT_OK;
	for (uint32_t i = 0; old->ports && i < had->n_ports; i++)
		port_set_add(without.ports, old->ports[i].value);
	return fits;
}

/* Stops what is to be replaced before its replacement has a place, when its own room is what is missing. What is not found
 * to be in the way goes on running. */
static bool make_room(struct planner *p, struct place *place, const struct want *w)
{
	const struct alloc *old = w->previous;
	if (!w->kept || feasible_node(place_feasible(place), old->node) != FILTER_NONE ||
	    feasible_check(place_feasible(place), old->node).kind != FILTER_NONE ||
	    place_distinct(place, old->node).kind != FILTER_NONE)
		return false;
	const struct group_ask *ask = &p->out->version->asks[w->group], *had = &old->version->asks[old->group];
	if (!has_room_instead(p, ask, old))
		return false;
	/* So that no other one makes room for the same. */
	struct amount *extra = &p->proposed.extra[old->node->slot];
	extra->cpu += MAX(ask->amount.cpu - had->amount.cpu, 0);
	extra->memory += MAX(ask->amount.memory - had->amount.memory, 0);
	extra->disk += MAX(ask->amount.disk - had->amount.disk, 0);
	stop_replaced(p, w);
	return true;
}

static void add_placement(struct planner *p, const struct want *w, const struct placement *found, uint32_t metric)
{
	struct placement *x = &LIST_ADD(p->a, p->out->places, p->out->n_places, p->out->cap_places);
	*x = *found;
	x->id = uuid_derive(p->out->seed, p->out->n_places - 1);
	x->index = w->index;
	x->metric = metric;
	x->previous = w->previous;
	x->tracker = w->tracker;
	if (w->stop_with)
		stop_replaced(p, w);
}

/* For people who look at evaluations: nothing is decided by it. Where every node is a class of its own it says nothing. */
static void note_classes(struct planner *p, const struct feasible *f)
{
	const struct state *s = p->r->state;
	p->escaped = p->escaped || f->unique;
	for (uint32_t i = 0; i < s->cap_nodes && s->classes.n <= CLASSES_NOTED; i++) {
		const struct node_entry *n = s->nodes[i];
		if (!n || n->class_id >= f->n_classes || !f->by_class[n->class_id])
			continue;
		if (f->by_class[n->class_id] == 1)
			objmap_set(p->a, &p->classes, n->spec->computed_class, value_bool(p->a, true));
		else if (!objmap_get(&p->classes, n->spec->computed_class))
			objmap_set(p->a, &p->classes, n->spec->computed_class, value_bool(p->a, false));
	}
}

static void add_failure(struct planner *p, const struct place_request *r, struct place *place, const struct want *const *wants,
    uint32_t n)
{
	const char *group = ((struct task_group *)p->out->version->spec->task_groups.v[r->group])->name;
	intmap_set(p->a, &p->queued, group, n);
	note_classes(p, place_feasible(place));
	objmap_set(p->a, &p->failed, group, why_metric(place, r, wants, n));
}

/* The node that it has to be on, or is put on first: the one that holds the data of a disk that is to stay. */
static struct node_entry *home_of(const struct planner *p, const struct want *w)
{
	const struct task_group *g = p->out->version->spec->task_groups.v[w->group];
	bool stays = g->ephemeral_disk && (g->ephemeral_disk->sticky || g->ephemeral_disk->migrate);
	if (w->node)
		return w->node;
	return stays && w->previous ? w->previous->node : NULL;
}

static bool is_plain(const struct want *wants, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (wants[i].previous || wants[i].node)
			return false;
	return true;
}

static void place_group(struct planner *p, uint32_t first, uint32_t n)
{
	const struct want *wants = &p->rec.wants[first];
	struct uuid avoid[AVOID_MAX];
	uint32_t updates_left = 0; /* that could not be made, so that spare ones may */
	const struct want **failed = NULL;
	uint32_t n_failed = 0, cap_failed = 0;
	uint32_t metric = p->out->metrics.n, placed = p->out->n_places;
	struct place_request r = {
	    .proposed = &p->proposed,
	    .version = p->out->version,
	    .group = wants[0].group,
	    .seed = p->out->seed.lo ^ (uint64_t)wants[0].group << 32,
	    .arena = p->a,
	    .plain = is_plain(wants, n) ? n : 0,
	};
	struct place *place = place_begin(&r);
	for (uint32_t i = 0; i < n; i++) {
		const struct want *w = &wants[i];
		struct placement found = {0};
		if (w->spare && !updates_left)
			continue;
		if (w->kept)
			place_forget(place, w->kept - 1);
		struct node_entry *home = home_of(p, w);
		bool ok = home && place_on(place, home, &found), room = false;
		/* Where its data is there will be room for it: it waits for that rather than go elsewhere. */
		if (!ok && home && w->kept && !w->node)
			room = make_room(p, place, w);
		if (!ok && !room && !w->node)
			ok = place_next(place, avoid, nodes_to_avoid(w, avoid), &found);
		if (ok) {
			add_placement(p, w, &found, metric);
			updates_left -= w->spare;
			continue;
		}
		if (!w->spare)
			LIST_ADD(p->a, failed, n_failed, cap_failed) = w;
		room = room || make_room(p, place, w);
		if (!room && w->kept)
			place_remember(place, w->kept - 1);
		if (w->spare)
			updates_left -= room;
		else if (w->kept && !room)
			updates_left++;
	}
	if (n_failed)
		add_failure(p, &r, place, failed, n_failed);
	if (p->out->n_places > placed)
		objs_push(p->a, &p->out->metrics, place_metric(place));
	place_end(place);
}

static void place_all(struct planner *p)
{
	struct reconciled *rec = &p->rec;
	if (!rec->n_wants)
		return;
	proposed_init(&p->proposed, p->r->state, p->a);
	for (uint32_t i = 0; i < rec->n_keeps; i++)
		proposed_keep(&p->proposed, rec->keeps[i]);
	for (uint32_t i = 0; i < rec->n_wants; i++)
		if (rec->wants[i].previous)
			proposed_free_ports(&p->proposed, rec->wants[i].previous);
	for (uint32_t i = 0, n; i < rec->n_wants; i += n) {
		for (n = 1; i + n < rec->n_wants && rec->wants[i + n].group == rec->wants[i].group;)
			n++;
		place_group(p, i, n);
	}
	proposed_release(&p->proposed);
}

/* ---- evaluations ---- */

static struct eval *new_eval(struct planner *p, const char *trigger, enum eval_status status, const char *description)
{
	const struct eval *from = p->r->eval;
	struct eval *e = MODEL_NEW(p->a, eval);
	char id[UUID_STR];
	MODEL_SET(eval, e, id, arena_strdup(p->a, uuid_format(uuid_derive(p->out->seed, NEW_EVALS + p->out->new_evals.n), id)));
	MODEL_SET(eval, e, namespace, p->r->job->ns);
	MODEL_SET(eval, e, priority, from->priority);
	MODEL_SET(eval, e, type, job_type_names[p->r->job->type]);
	MODEL_SET(eval, e, triggered_by, trigger);
	MODEL_SET(eval, e, job_id, p->r->job->id);
	MODEL_SET(eval, e, job_modify_index, (int64_t)p->out->version->modify_index);
	MODEL_SET(eval, e, status, eval_status_names[status]);
	if (description)
		MODEL_SET(eval, e, status_description, description);
	MODEL_SET(eval, e, previous_eval, from->id ? from->id : "");
	MODEL_SET(eval, e, create_time, p->r->now);
	MODEL_SET(eval, e, modify_time, p->r->now);
	objs_push(p->a, &p->out->new_evals, e);
	return e;
}

/* A pending evaluation of the job that is due at that instant already? */
static bool is_awaited(const struct planner *p, const char *trigger, int64_t at)
{
	for (LINK_EACH(&p->r->job->evals, struct eval_entry, by_job, e))
		if (e->status == EVAL_PENDING && str_eq(e->spec->triggered_by, trigger) && e->spec->wait_until > p->r->now &&
		    e->spec->wait_until <= at + LATER_WINDOW)
			return true;
	return false;
}

static bool has_followup(const struct planner *p, const struct alloc *a, const char *trigger)
{
	struct uuid id = a->extra ? a->extra->followup_eval : (struct uuid){0};
	const struct eval_entry *e = uuid_is_nil(id) ? NULL : state_eval(p->r->state, id);
	return e && e->status == EVAL_PENDING && e->spec->wait_until > p->r->now && str_eq(e->spec->triggered_by, trigger);
}

static int by_time(const void *x, const void *y)
{
	const struct later *a = x, *b = y;
	if (a->away != b->away)
		return a->away ? 1 : -1;
	return a->at != b->at ? (a->at < b->at ? -1 : 1) : uuid_cmp(a->alloc->id, b->alloc->id);
}

static void follow_up(struct planner *p)
{
	struct reconciled *rec = &p->rec;
	const struct eval *e = NULL;
	struct uuid id = {0};
	if (rec->n_laters)
		qsort(rec->laters, rec->n_laters, sizeof(*rec->laters), by_time);
	for (uint32_t i = 0; i < rec->n_laters; i++) {
		const struct later *l = &rec->laters[i];
		const char *trigger = l->away ? PLAN_TIMEOUT : "alloc-failure";
		p->out->awaits |= l->away;
		if (has_followup(p, l->alloc, trigger))
			continue;
		if (!e || l->at > e->wait_until + LATER_WINDOW || !str_eq(e->triggered_by, trigger)) {
			struct eval *fresh = new_eval(p, trigger, EVAL_PENDING,
			    l->away ? "created for when its node is not waited for any longer" : "created for delayed rescheduling");
			MODEL_SET(eval, fresh, wait_until, l->at);
			uuid_parse(fresh->id, &id);
			e = fresh;
		}
		LIST_ADD(p->a, p->out->marks, p->out->n_marks, p->out->cap_marks) =
		    (struct plan_mark){.alloc = l->alloc, .followup_eval = id};
	}
	if (rec->update_at != NEVER && !is_awaited(p, "rolling-update", rec->update_at)) {
		struct eval *next = new_eval(p, "rolling-update", EVAL_PENDING, NULL);
		MODEL_SET(eval, next, wait_until, rec->update_at);
		MODEL_SET(eval, p->out->eval, next_eval, next->id);
	}
}

static void describe_blocked(struct planner *p, struct eval *e)
{
	const char **keys = arena_alloc(p->a, (p->classes.n + 1) * sizeof(*keys));
	struct value **values = arena_alloc(p->a, (p->classes.n + 1) * sizeof(*values));
	for (uint32_t i = 0; i < p->classes.n; i++) {
		keys[i] = p->classes.v[i].key;
		values[i] = p->classes.v[i].value;
	}
	if (p->classes.n)
		MODEL_SET(eval, e, class_eligibility, value_map(p->a, keys, values, p->classes.n));
	MODEL_SET(eval, e, escaped_computed_class, p->escaped);
	MODEL_SET(eval, e, snapshot_index, (int64_t)p->r->state->index);
}

static void finish_eval(struct planner *p)
{
	struct eval *e = p->out->eval;
	bool blocked = str_eq(p->r->eval->triggered_by, "queued-allocs");
	if (p->failed.n && blocked && !p->r->annotate) {
		/* Still no room for all of it: the same evaluation goes on waiting. */
		MODEL_SET(eval, e, status, eval_status_names[EVAL_BLOCKED]);
		describe_blocked(p, e);
	} else {
		MODEL_SET(eval, e, status, eval_status_names[EVAL_COMPLETE]);
		MODEL_SET(eval, e, status_description, "");
		if (p->failed.n) {
			struct eval *next =
			    new_eval(p, "queued-allocs", EVAL_BLOCKED, "created to place remaining allocations");
			describe_blocked(p, next);
			MODEL_SET(eval, e, blocked_eval, next->id);
		}
	}
	MODEL_SET(eval, e, modify_time, p->r->now);
	MODEL_SET(eval, e, snapshot_index, (int64_t)p->r->state->index);
	e->failed_tg_allocs = p->failed;
	e->queued_allocations = p->queued;
	if (!p->r->annotate)
		return;
	e->plan_annotations = MODEL_NEW(p->a, plan_annotations);
	e->plan_annotations->desired_tg_updates = p->rec.updates;
}

void plan_make(const struct plan_request *r, struct arena *a, struct plan *out)
{
	struct planner p = {.r = r, .a = a, .out = out};
	*out = (struct plan){.seed = r->seed, .version = r->version};
	out->eval = model_copy(a, &type_eval, r->eval);
	reconcile(r, a, out, &p.rec);
	bool runs = r->version && !r->job->stop && !r->job->purged;
	/* What was queued of groups that are not wanted any more is queued no longer. */
	for (uint32_t i = 0; i < r->job->summary.n; i++)
		if (((struct group_summary *)r->job->summary.v[i].value)->queued)
			intmap_set(a, &p.queued, r->job->summary.v[i].key, 0);
	if (runs)
		OBJS_EACH (&r->version->spec->task_groups, struct task_group, g)
			intmap_set(a, &p.queued, g->name, 0);
	place_all(&p);
	finish_eval(&p);
	if (runs)
		follow_up(&p);
}

bool plan_is_noop(const struct plan *p)
{
	return !p->n_places && !p->n_stops && !p->n_marks && !p->new_evals.n;
}
