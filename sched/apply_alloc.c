/*
 * Allocations, as entries change them: plans, what clients report, transitions, deletion. The path of a placement is the hot
 * one: a million of them is a normal day.
 */
#include <errno.h>

#include "sched/entry.h"
#include "sched/state_internal.h"

/* A plan while it is read. */
struct plan_reader {
	struct uuid eval, seed;
	struct job_version *version;
	struct metric_ref **metrics;
	uint64_t n_metrics;
};

static int take_version(struct apply *c, struct wire *w, struct plan_reader *p)
{
	cleanup_arena struct arena *a = arena_new();
	const char *ns = wire_str(w, a), *id = wire_str(w, a);
	struct job_entry *j = state_job_any(c->s, ns, id);
	p->version = j ? job_find_version(j, wire_u64(w)) : NULL;
	return p->version && !w->bad ? 0 : apply_bad(c, "it is for a version of job \"%.64s\" that does not exist", id);
}

static int take_metrics(struct apply *c, struct wire *w, struct plan_reader *p)
{
	uint64_t n = wire_u64(w);
	if (n > (size_t)(w->end - w->p))
		return apply_bad(c, "it claims %llu metrics", (unsigned long long)n);
	p->metrics = xcalloc(n + 1, sizeof(*p->metrics));
	for (; p->n_metrics < n; p->n_metrics++) {
		struct arena *arena = arena_new();
		struct alloc_metric *m = entry_take_object(w, &type_alloc_metric, arena);
		if (!m) {
			arena_free(arena);
			return apply_bad(c, "a metric that cannot be read");
		}
		p->metrics[p->n_metrics] = metric_ref_new(arena, m);
	}
	return 0;
}

static struct port_grant *take_ports(struct wire *w, uint32_t n)
{
	if (!n || (size_t)(w->end - w->p) < n * 2)
		return NULL;
	struct port_grant *ports = xcalloc(n, sizeof(*ports));
	for (uint32_t i = 0; i < n; i++, w->p += 2)
		ports[i].value = (uint16_t)(w->p[0] | w->p[1] << 8);
	return ports;
}

static int link_previous(struct apply *c, struct alloc *a, struct uuid id)
{
	struct alloc *previous = state_alloc(c->s, id);
	if (!previous)
		return apply_bad(c, "a placement replaces an allocation that does not exist");
	alloc_extra_get(a)->previous = id;
	alloc_extra_get(previous)->next = a->id;
	previous->modify_index = c->index;
	state_changed(c, TABLE_ALLOCS, previous, false);
	return 0;
}

/* The fixed part of a placement. NULL, with nothing made, when it cannot be. */
static struct alloc *take_placement(struct apply *c, struct wire *w, const struct plan_reader *p, uint64_t i, uint64_t *flags)
{
	*flags = wire_u64(w);
	struct uuid id = *flags & PLACE_ID ? wire_uuid(w) : uuid_derive(p->seed, i);
	uint64_t slot = wire_u64(w), group = wire_u64(w), index = wire_u64(w), metric = wire_u64(w);
	struct state *s = c->s;
	bool sound = !w->bad && slot < s->cap_nodes && s->nodes[slot] && group < p->version->spec->task_groups.n &&
	    index <= UINT32_MAX && (metric < p->n_metrics || metric == PLACE_NO_METRIC) &&
	    w->end - w->p >= (ptrdiff_t)sizeof(float);
	struct alloc *a = sound ? alloc_new(s, id) : NULL;
	if (!a) {
		apply_bad(c, "placement %llu cannot be", (unsigned long long)i);
		return NULL;
	}
	memcpy(&a->score, w->p, sizeof(a->score));
	w->p += sizeof(a->score);
	a->eval = p->eval;
	a->version = p->version;
	a->node = s->nodes[slot];
	a->group = (uint16_t)group;
	a->index = (uint32_t)index;
	a->ports = take_ports(w, p->version->asks[group].n_ports);
	if (metric != PLACE_NO_METRIC) {
		a->metric = p->metrics[metric];
		a->metric->refs++;
	}
	a->create_index = a->modify_index = a->alloc_modify_index = c->index;
	a->create_time = a->modify_time = c->time;
	a->node->alloc_index = c->index;
	p->version->summaries[group]->starting++;
	p->version->job->summary_index = c->index;
	alloc_insert(a);
	return a;
}

static int apply_places(struct apply *c, struct wire *w, const struct plan_reader *p)
{
	uint64_t n = wire_u64(w);
	if (n && !p->version)
		return apply_bad(c, "placements without a job");
	for (uint64_t i = 0; i < n; i++) {
		uint64_t flags;
		struct alloc *a = take_placement(c, w, p, i, &flags);
		if (!a)
			return -EBADMSG;
		int r = flags & PLACE_PREVIOUS ? link_previous(c, a, wire_uuid(w)) : 0;
		if (r)
			return r;
		if (flags & PLACE_TRACKER) {
			struct alloc_extra *x = alloc_extra_get(a);
			x->tracker = entry_take_object(w, &type_reschedule_tracker, x->arena);
		}
		if (flags & PLACE_CANARY) {
			struct alloc_extra *x = alloc_extra_get(a);
			x->deployment_status = MODEL_NEW(x->arena, deployment_status);
			MODEL_SET(deployment_status, x->deployment_status, canary, true);
		}
		state_changed(c, TABLE_ALLOCS, a, false);
	}
	return 0;
}

static void touch_desired(struct apply *c, struct alloc *a)
{
	a->modify_index = a->alloc_modify_index = c->index;
	a->modify_time = c->time;
	if (a->node)
		a->node->alloc_index = c->index;
	state_changed(c, TABLE_ALLOCS, a, false);
	job_refresh(c, a->version->job);
}

static int apply_stops(struct apply *c, struct wire *w)
{
	uint64_t n = wire_u64(w);
	for (uint64_t i = 0; i < n; i++) {
		struct alloc *a = state_alloc(c->s, wire_uuid(w));
		uint64_t desired = wire_u64(w), observed = wire_u64(w);
		if (!a || w->bad || desired > DESIRED_EVICT || observed > OBSERVED_UNKNOWN + 1)
			return apply_bad(c, "the stop of an allocation that does not exist");
		struct alloc_extra *x = alloc_extra_get(a);
		x->desired_description = wire_str(w, x->arena);
		x->followup_eval = wire_uuid(w);
		x->preempted_by = wire_uuid(w);
		x->transition = NULL; /* it was asked for and is done */
		alloc_move(c, a, (enum desired)desired, observed ? (enum observed)(observed - 1) : a->observed);
		touch_desired(c, a);
	}
	return 0;
}

/* An in-place update: the allocation belongs to the new version. Its ask changes with it. */
static int move_version(struct apply *c, struct alloc *a, struct job_version *v)
{
	const char *group = alloc_group(a)->name;
	uint32_t g = 0;
	while (v && g < v->spec->task_groups.n && !str_eq(((struct task_group *)v->spec->task_groups.v[g])->name, group))
		g++;
	if (!v || v->job != a->version->job || g == v->spec->task_groups.n ||
	    v->asks[g].n_ports != a->version->asks[a->group].n_ports)
		return apply_bad(c, "an update in place to a version that has no such group");
	alloc_rebase(c->s, a, v, (uint16_t)g);
	return 0;
}

static int apply_marks(struct apply *c, struct wire *w, const struct plan_reader *p)
{
	uint64_t n = wire_u64(w);
	for (uint64_t i = 0; i < n; i++) {
		struct alloc *a = state_alloc(c->s, wire_uuid(w));
		struct uuid followup = wire_uuid(w);
		bool move = wire_u64(w) != 0;
		if (!a || w->bad)
			return apply_bad(c, "the mark of an allocation that does not exist");
		if (move && move_version(c, a, p->version))
			return -EBADMSG;
		if (!uuid_is_nil(followup))
			alloc_extra_get(a)->followup_eval = followup;
		touch_desired(c, a);
	}
	return 0;
}

int apply_plan(struct apply *c, struct wire *w)
{
	struct plan_reader p = {.eval = wire_uuid(w), .seed = wire_uuid(w)};
	int r = wire_u64(w) ? take_version(c, w, &p) : 0;
	if (!r)
		r = take_metrics(c, w, &p);
	if (!r)
		r = apply_places(c, w, &p);
	if (!r)
		r = apply_stops(c, w);
	if (!r)
		r = apply_marks(c, w, &p);
	for (uint64_t i = 0; i < p.n_metrics; i++)
		metric_ref_unref(p.metrics[i]);
	free(p.metrics);
	return r;
}

/* ---- what clients report ---- */

static void copy_task_states(struct arena *arena, struct objmap *out, const struct objmap *from)
{
	*out = (struct objmap){0};
	for (uint32_t i = 0; i < from->n; i++)
		objmap_set(arena, out, arena_strdup(arena, from->v[i].key),
		    model_copy(arena, &type_task_state, from->v[i].value));
}

/* Every field that was given replaces the stored one. The new details get an arena of their own, so that what a client
 * reports again and again does not pile up. */
static int replace_observed(struct apply *c, struct wire *w, struct alloc *a, const char **status)
{
	struct arena *arena = arena_new();
	struct alloc_update *u = entry_take_object(w, &type_alloc_update, arena);
	if (!u || (u->client_status && name_index(observed_names, u->client_status) < 0)) {
		arena_free(arena);
		return apply_bad(c, "an update that cannot be read");
	}
	struct alloc_extra *x = a->extra, old = x ? *x : (struct alloc_extra){0};
	if (!x)
		x = a->extra = xcalloc(1, sizeof(*x));
	x->arena = arena;
	if (MODEL_HAS(alloc_update, u, task_states))
		x->task_states = u->task_states;
	else
		copy_task_states(arena, &x->task_states, &old.task_states);
	x->network_status = u->network_status ? u->network_status :
	    old.network_status ? model_copy(arena, &type_network_status, old.network_status) : NULL;
	x->deployment_status = u->deployment_status ? u->deployment_status :
	    old.deployment_status ? model_copy(arena, &type_deployment_status, old.deployment_status) : NULL;
	x->client_description =
	    u->client_description ? u->client_description : arena_strdup(arena, old.client_description);
	x->desired_description = arena_strdup(arena, old.desired_description);
	x->tracker = old.tracker ? model_copy(arena, &type_reschedule_tracker, old.tracker) : NULL;
	x->transition = old.transition ? model_copy(arena, &type_desired_transition, old.transition) : NULL;
	x->preempted = (struct objs){0};
	for (uint32_t i = 0; i < old.preempted.n; i++)
		objs_push(arena, &x->preempted, arena_copy(arena, old.preempted.v[i], sizeof(struct uuid)));
	if (MODEL_HAS(alloc_update, u, in_consul))
		x->in_consul = u->in_consul;
	*status = u->client_status;
	arena_free(old.arena);
	return 0;
}

int apply_alloc_updates(struct apply *c, struct wire *w)
{
	while (w->p < w->end) {
		struct alloc *a = state_alloc(c->s, wire_uuid(w));
		const char *status = NULL;
		if (!a || w->bad)
			return apply_bad(c, "an update of an allocation that does not exist");
		int r = replace_observed(c, w, a, &status);
		if (r)
			return r;
		enum observed observed = status ? (enum observed)name_index(observed_names, status) : a->observed;
		/* What the server gave up as lost does not come back to life, but how it ended is worth knowing. */
		struct alloc then = {.observed = (uint8_t)observed};
		if (!alloc_is_live(a) && alloc_is_live(&then))
			observed = a->observed;
		if (alloc_is_live(a) && !alloc_is_live(&then))
			a->extra->ended = c->time;
		alloc_move(c, a, a->desired, observed);
		a->modify_index = c->index;
		a->modify_time = c->time;
		state_changed(c, TABLE_ALLOCS, a, false);
		job_refresh(c, a->version->job);
	}
	return 0;
}

int apply_alloc_transition(struct apply *c, struct wire *w)
{
	struct alloc *a = state_alloc(c->s, wire_uuid(w));
	if (!a || w->bad)
		return apply_bad(c, "a transition of an allocation that does not exist");
	struct alloc_extra *x = alloc_extra_get(a);
	struct desired_transition *t = entry_take_object(w, &type_desired_transition, x->arena);
	if (!t)
		return apply_bad(c, "a transition that cannot be read");
	x->transition = t;
	touch_desired(c, a);
	return 0;
}

int apply_alloc_revive(struct apply *c, struct wire *w)
{
	struct alloc *a = state_alloc(c->s, wire_uuid(w));
	if (!a || w->bad)
		return apply_bad(c, "the return of an allocation that does not exist");
	if (a->desired == DESIRED_RUN || a->observed != OBSERVED_LOST)
		return 0; /* reported twice in one go */
	struct alloc_extra *x = alloc_extra_get(a);
	x->desired_description = NULL;
	x->followup_eval = (struct uuid){0};
	x->transition = NULL;
	alloc_move(c, a, DESIRED_RUN, OBSERVED_UNKNOWN);
	touch_desired(c, a);
	return 0;
}

int apply_alloc_delete(struct apply *c, struct wire *w)
{
	while (w->p < w->end) {
		struct alloc *a = state_alloc(c->s, wire_uuid(w));
		if (!a || w->bad)
			return apply_bad(c, "the end of an allocation that does not exist");
		struct job_entry *j = a->version->job;
		alloc_delete(c, a);
		job_refresh(c, j);
		job_entry_drop_if_unused(c, j);
	}
	return 0;
}
