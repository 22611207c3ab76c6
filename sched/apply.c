/*
 * state_apply: reads an entry and changes the state by it. Jobs, nodes, evaluations and configuration are here,
 * allocations in sched/apply_alloc.c, the records of snapshots in sched/snapshot.c.
 */
#include <errno.h>

#include "sched/entry.h"
#include "sched/state_internal.h"

static int apply_genesis(struct apply *c, struct wire *w)
{
	if (!uuid_is_nil(c->s->seed))
		return apply_bad(c, "a second beginning");
	c->s->cluster_id = wire_uuid(w);
	c->s->seed = wire_uuid(w);
	return 0;
}

static int apply_job(struct apply *c, struct wire *w)
{
	struct arena *arena = arena_new();
	struct job *spec = entry_take_object(w, &type_job, arena);
	struct job_submission *submission = NULL;
	if (!w->bad && w->p < w->end)
		submission = entry_take_object(w, &type_job_submission, arena);
	if (w->bad || str_empty(spec->id) || str_empty(spec->namespace)) {
		arena_free(arena);
		return apply_bad(c, "a job that cannot be read or has no id");
	}
	struct job_entry *j = state_job_any(c->s, spec->namespace, spec->id);
	bool fresh = !j || j->purged;
	if (!j)
		j = job_entry_new(c->s, spec->namespace, spec->id);
	uint32_t version = fresh || !j->current ? 0 : j->current->version + 1;
	if (fresh) {
		job_drop_versions(j);
		j->purged = j->evaluated = false;
		j->create_index = j->summary_index = c->index;
		j->summary = (struct objmap){0};
	}
	struct job_version *v = job_version_new(j, arena, spec, version, c->index);
	if (!v) {
		arena_free(arena);
		return apply_bad(c, "the job \"%s\" is not sound", j->id);
	}
	v->submit_time = c->time;
	v->submission = submission;
	job_push_version(j, v);
	j->modify_index = c->index;
	state_changed(c, TABLE_JOBS, j, false);
	job_refresh(c, j);
	return 0;
}

static struct job_entry *take_job_name(struct apply *c, struct wire *w, struct arena *a)
{
	const char *ns = wire_str(w, a), *id = wire_str(w, a);
	return state_job(c->s, ns, id);
}

static int apply_job_purge(struct apply *c, struct wire *w)
{
	cleanup_arena struct arena *a = arena_new();
	struct job_entry *j = take_job_name(c, w, a);
	if (!j || w->bad)
		return apply_bad(c, "the purge of a job that does not exist");
	state_changed(c, TABLE_JOBS, j, true);
	j->purged = j->stop = true;
	job_refresh(c, j);
	job_entry_drop_if_unused(c, j);
	return 0;
}

static int apply_job_stable(struct apply *c, struct wire *w)
{
	cleanup_arena struct arena *a = arena_new();
	struct job_entry *j = take_job_name(c, w, a);
	struct job_version *v = j ? job_find_version(j, wire_u64(w)) : NULL;
	bool stable = v ? wire_u64(w) : false;
	if (!v || w->bad)
		return apply_bad(c, "the mark on a job version that does not exist");
	v->stable = stable;
	j->modify_index = c->index;
	state_changed(c, TABLE_JOBS, j, false);
	return 0;
}

/* ---- nodes ---- */

static int apply_node(struct apply *c, struct wire *w)
{
	struct uuid id;
	struct arena *arena = arena_new();
	struct node *spec = entry_take_object(w, &type_node, arena);
	int status = spec ? name_index(node_status_names, spec->status) : -1;
	if (status < 0 || str_empty(spec->id) || uuid_parse(spec->id, &id)) {
		arena_free(arena);
		return apply_bad(c, "a node that cannot be read or has no sound id or status");
	}
	struct node_entry *n = state_node(c->s, id);
	bool fresh = !n;
	if (fresh) {
		n = node_entry_new(c->s, id, UINT32_MAX);
		n->create_index = n->alloc_index = c->index;
	}
	int r = node_set_spec(c, n, arena, spec);
	if (r)
		return r;
	if (fresh || n->status != (enum node_status)status)
		n->status_since = c->time;
	n->status = (enum node_status)status;
	n->seen = c->time;
	n->eligible = !str_eq(spec->scheduling_eligibility, "ineligible");
	n->modify_index = c->index;
	node_capacity_grew(c->s, n);
	state_changed(c, TABLE_NODES, n, false);
	return 0;
}

/* A node's spec is shared and never changes: a change is a copy. */
static struct node_event *push_event(struct apply *c, struct node *spec, struct node_event *ev, struct arena *arena)
{
	MODEL_SET(node_event, ev, timestamp, c->time);
	MODEL_SET(node_event, ev, create_index, (int64_t)c->index);
	if (spec->events.n >= NODE_EVENTS_KEPT) {
		uint32_t drop = spec->events.n - NODE_EVENTS_KEPT + 1;
		spec->events.n -= drop;
		memmove(spec->events.v, spec->events.v + drop, spec->events.n * sizeof(void *));
	}
	objs_push(arena, &spec->events, ev);
	spec->has |= MODEL_BIT(node, events);
	return ev;
}

/* Fills in a new event at its end, when there is one. */
static struct node *copy_with_event(struct apply *c, const struct node *old, struct wire *w, struct arena *arena)
{
	struct node *spec = model_copy(arena, &type_node, old);
	const char *message = wire_str(w, arena), *subsystem = wire_str(w, arena);
	if (str_empty(message))
		return spec;
	struct node_event *ev = push_event(c, spec, MODEL_NEW(arena, node_event), arena);
	MODEL_SET(node_event, ev, message, message);
	MODEL_SET(node_event, ev, subsystem, subsystem);
	return spec;
}

static int node_replace(struct apply *c, struct node_entry *n, struct arena *arena, struct node *spec)
{
	int r = node_set_spec(c, n, arena, spec);
	if (r)
		return r;
	n->modify_index = c->index;
	if (n->status == NODE_READY && n->eligible)
		node_capacity_grew(c->s, n);
	state_changed(c, TABLE_NODES, n, false);
	return 0;
}

static int apply_node_status(struct apply *c, struct wire *w)
{
	struct node_entry *n = state_node(c->s, wire_uuid(w));
	uint64_t status = wire_u64(w);
	if (!n || status > NODE_DISCONNECTED || w->bad)
		return apply_bad(c, "the status of a node that does not exist, or a status that does not");
	struct arena *arena = arena_new();
	struct node *spec = copy_with_event(c, n->spec, w, arena);
	MODEL_SET(node, spec, status, node_status_names[status]);
	MODEL_SET(node, spec, status_updated_at, c->time / SECOND);
	if (n->status != (enum node_status)status)
		n->status_since = c->time;
	if (status == NODE_DOWN || status == NODE_DISCONNECTED)
		MODEL_SET(node, spec, last_missed_heartbeat_index, (int64_t)c->index);
	else if (status == NODE_READY && n->status == NODE_INIT)
		MODEL_SET(node, spec, last_alloc_update_index, (int64_t)c->index);
	n->status = (enum node_status)status;
	if (status == NODE_READY || status == NODE_INIT)
		n->seen = c->time;
	return node_replace(c, n, arena, spec);
}

static int apply_node_eligibility(struct apply *c, struct wire *w)
{
	struct node_entry *n = state_node(c->s, wire_uuid(w));
	bool eligible = wire_u64(w) != 0;
	if (!n || w->bad)
		return apply_bad(c, "the eligibility of a node that does not exist");
	struct arena *arena = arena_new();
	struct node *spec = copy_with_event(c, n->spec, w, arena);
	MODEL_SET(node, spec, scheduling_eligibility, eligible ? "eligible" : "ineligible");
	n->eligible = eligible;
	return node_replace(c, n, arena, spec);
}

static int apply_node_drain(struct apply *c, struct wire *w)
{
	struct node_entry *n = state_node(c->s, wire_uuid(w));
	struct arena *arena = arena_new();
	struct drain_strategy *strategy = entry_take_object(w, &type_drain_strategy, arena);
	struct drain_metadata *last = entry_take_object(w, &type_drain_metadata, arena);
	bool eligible = wire_u64(w) != 0;
	if (!n || w->bad || !strategy || !last) {
		arena_free(arena);
		return apply_bad(c, "the drain of a node that does not exist, or one that cannot be read");
	}
	struct node *spec = copy_with_event(c, n->spec, w, arena);
	if (strategy->has)
		MODEL_SET(node, spec, drain_strategy, strategy);
	else
		MODEL_UNSET(node, spec, drain_strategy);
	MODEL_SET(node, spec, last_drain, last);
	/* Who and why. */
	if (spec->events.n && last->meta.n)
		MODEL_SET(node_event, (struct node_event *)spec->events.v[spec->events.n - 1], details, last->meta);
	MODEL_SET(node, spec, scheduling_eligibility, eligible ? "eligible" : "ineligible");
	n->eligible = eligible;
	return node_replace(c, n, arena, spec);
}

static int apply_node_event(struct apply *c, struct wire *w)
{
	struct node_entry *n = state_node(c->s, wire_uuid(w));
	struct arena *arena = arena_new();
	struct node_event *ev = entry_take_object(w, &type_node_event, arena);
	if (!n || !ev) {
		arena_free(arena);
		return apply_bad(c, "the event of a node that does not exist, or one that cannot be read");
	}
	struct node *spec = model_copy(arena, &type_node, n->spec);
	push_event(c, spec, ev, arena);
	int r = node_set_spec(c, n, arena, spec);
	if (r)
		return r;
	n->modify_index = c->index;
	state_changed(c, TABLE_NODES, n, false);
	return 0;
}

/* What nobody looks at while a leader goes on: it wakes nobody. */
static int apply_nodes_seen(struct apply *c, struct wire *w)
{
	while (w->p < w->end) {
		uint64_t slot = wire_u64(w), ago = wire_u64(w);
		struct node_entry *n = slot < c->s->cap_nodes ? c->s->nodes[slot] : NULL;
		if (!n || w->bad || ago > INT32_MAX)
			return apply_bad(c, "word of a node that does not exist, or from a time that cannot be");
		n->seen = MAX(n->seen, c->time - (int64_t)ago * SECOND);
	}
	return 0;
}

static int apply_node_delete(struct apply *c, struct wire *w)
{
	struct state *s = c->s;
	struct node_entry *n = state_node(s, wire_uuid(w));
	if (!n || w->bad)
		return apply_bad(c, "the end of a node that does not exist");
	state_changed(c, TABLE_NODES, n, true);
	while (!link_empty(&n->allocs))
		alloc_unlink_node(c, CONTAINER_OF(n->allocs.next, struct alloc, by_node));
	for (struct node_entry **at = &s->freed; *at; at = &(*at)->freed_next)
		if (*at == n) {
			*at = n->freed_next;
			break;
		}
	uuid_table_del(s->nodes_by_id, n->id);
	s->nodes[n->slot] = NULL;
	s->n_nodes--;
	node_entry_free(n);
	return 0;
}

/* ---- evaluations, configuration ---- */

static int apply_eval(struct apply *c, struct wire *w)
{
	struct arena *arena = arena_new();
	struct eval *spec = entry_take_object(w, &type_eval, arena);
	if (!spec) {
		arena_free(arena);
		return apply_bad(c, "an evaluation that cannot be read");
	}
	return eval_set(c, arena, spec);
}

static int apply_eval_cancel(struct apply *c, struct wire *w)
{
	cleanup_arena struct arena *a = arena_new();
	struct eval_entry *e = state_eval(c->s, wire_uuid(w));
	const char *description = wire_str(w, a);
	if (!e || w->bad)
		return apply_bad(c, "the cancellation of an evaluation that does not exist");
	eval_set_status(c, e, EVAL_CANCELED, description);
	return 0;
}

static int apply_eval_delete(struct apply *c, struct wire *w)
{
	while (w->p < w->end) {
		struct eval_entry *e = state_eval(c->s, wire_uuid(w));
		if (!e || w->bad)
			return apply_bad(c, "the end of an evaluation that does not exist");
		struct job_entry *j = e->job;
		eval_delete(c, e);
		job_entry_drop_if_unused(c, j);
	}
	return 0;
}

static int apply_config(struct apply *c, struct wire *w)
{
	struct arena *arena = arena_new();
	struct scheduler_config *config = entry_take_object(w, &type_scheduler_config, arena);
	if (!config) {
		arena_free(arena);
		return apply_bad(c, "a scheduler configuration that cannot be read");
	}
	if (c->index) {
		int64_t created = c->s->config->create_index;
		MODEL_SET(scheduler_config, config, create_index, created ? created : (int64_t)c->index);
		MODEL_SET(scheduler_config, config, modify_index, (int64_t)c->index);
	}
	arena_free(c->s->config_arena);
	c->s->config_arena = arena;
	c->s->config = config;
	for (uint32_t i = 0; i < c->s->cap_nodes; i++)
		if (c->s->nodes[i])
			node_capacity_grew(c->s, c->s->nodes[i]);
	state_changed(c, TABLE_CONFIG, config, false);
	return 0;
}

/* ---- the entry ---- */

static const struct {
	apply_fn *fn;
	bool log, snapshot; /* where it may stand */
} records[ENTRY_KINDS] = {
    [ENTRY_GENESIS] = {apply_genesis, true, false},
    [ENTRY_JOB] = {apply_job, true, false},
    [ENTRY_JOB_PURGE] = {apply_job_purge, true, false},
    [ENTRY_JOB_STABLE] = {apply_job_stable, true, false},
    [ENTRY_NODE] = {apply_node, true, false},
    [ENTRY_NODE_STATUS] = {apply_node_status, true, false},
    [ENTRY_NODE_EVENT] = {apply_node_event, true, false},
    [ENTRY_NODES_SEEN] = {apply_nodes_seen, true, false},
    [ENTRY_NODE_ELIGIBILITY] = {apply_node_eligibility, true, false},
    [ENTRY_NODE_DELETE] = {apply_node_delete, true, false},
    [ENTRY_NODE_DRAIN] = {apply_node_drain, true, false},
    [ENTRY_SCALE_IN] = {apply_scale_in, true, true},
    [ENTRY_EVAL] = {apply_eval, true, false},
    [ENTRY_EVAL_CANCEL] = {apply_eval_cancel, true, false},
    [ENTRY_EVAL_DELETE] = {apply_eval_delete, true, false},
    [ENTRY_PLAN] = {apply_plan, true, false},
    [ENTRY_ALLOC_UPDATES] = {apply_alloc_updates, true, false},
    [ENTRY_ALLOC_TRANSITION] = {apply_alloc_transition, true, false},
    [ENTRY_ALLOC_DELETE] = {apply_alloc_delete, true, false},
    [ENTRY_ALLOC_REVIVE] = {apply_alloc_revive, true, false},
    [ENTRY_CONFIG] = {apply_config, true, true},
    [ENTRY_SNAP_HEAD] = {apply_snap_head, false, true},
    [ENTRY_SNAP_NODE] = {apply_snap_node, false, true},
    [ENTRY_SNAP_JOB] = {apply_snap_job, false, true},
    [ENTRY_SNAP_VERSION] = {apply_snap_version, false, true},
    [ENTRY_SNAP_EVAL] = {apply_snap_eval, false, true},
    [ENTRY_SNAP_METRIC] = {apply_snap_metric, false, true},
    [ENTRY_SNAP_ALLOCS] = {apply_snap_allocs, false, true},
    [ENTRY_SNAP_END] = {apply_snap_end, false, true},
};

static int apply_record(struct apply *c, struct wire *w)
{
	if (w->end - w->p < 5)
		return apply_bad(c, "a record that is cut short");
	const uint8_t *h = w->p;
	uint32_t kind = h[0], n = h[1] | h[2] << 8 | h[3] << 16 | (uint32_t)h[4] << 24;
	if (n > (size_t)(w->end - w->p) - 5)
		return apply_bad(c, "a record of %u bytes that is cut short", n);
	if (kind >= ENTRY_KINDS || !records[kind].fn)
		return apply_bad(c, "a record of the unknown kind %u: was it written by a newer version?", kind);
	if (c->index ? !records[kind].log : !records[kind].snapshot)
		return apply_bad(c, "a %s record has no place %s", entry_kind_names[kind],
		    c->index ? "in the log" : "in a snapshot");
	struct wire body = wire_reader(h + 5, n);
	w->p += 5 + n;
	int r = records[kind].fn(c, &body);
	if (r) {
		err_wrap(c->e, "%s record", entry_kind_names[kind]);
		return r;
	}
	return wire_end(&body) ? 0 : apply_bad(c, "a %s record that cannot be read to its end", entry_kind_names[kind]);
}

int state_apply(struct state *s, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct apply c = {.s = s, .index = index, .e = e};
	struct wire w = wire_reader(p, n);
	if (index && index != s->index + 1)
		return apply_bad(&c, "index %llu follows index %llu", (unsigned long long)index,
		    (unsigned long long)s->index);
	if (index && s->restore)
		return apply_bad(&c, "the snapshot has no end");
	if (n < 1 || *w.p++ != ENTRY_VERSION)
		return apply_bad(&c, "an entry of an unknown version");
	c.time = wire_i64(&w);
	if (w.bad)
		return apply_bad(&c, "an entry without its time");
	while (w.p < w.end) {
		int r = apply_record(&c, &w);
		if (r)
			return r;
	}
	if (index)
		s->index = index;
	return 0;
}
