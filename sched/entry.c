#include "sched/entry.h"

const char *const entry_kind_names[ENTRY_KINDS] = {
    [ENTRY_GENESIS] = "genesis",
    [ENTRY_JOB] = "job",
    [ENTRY_JOB_PURGE] = "job purge",
    [ENTRY_JOB_STABLE] = "job stable",
    [ENTRY_NODE] = "node",
    [ENTRY_NODE_STATUS] = "node status",
    [ENTRY_NODE_ELIGIBILITY] = "node eligibility",
    [ENTRY_NODE_DELETE] = "node delete",
    [ENTRY_NODE_DRAIN] = "node drain",
    [ENTRY_NODE_EVENT] = "node event",
    [ENTRY_NODES_SEEN] = "nodes seen",
    [ENTRY_SCALE_IN] = "scale-in",
    [ENTRY_EVAL] = "evaluation",
    [ENTRY_EVAL_CANCEL] = "evaluation cancel",
    [ENTRY_EVAL_DELETE] = "evaluation delete",
    [ENTRY_PLAN] = "plan",
    [ENTRY_ALLOC_UPDATES] = "allocation updates",
    [ENTRY_ALLOC_TRANSITION] = "allocation transition",
    [ENTRY_ALLOC_DELETE] = "allocation delete",
    [ENTRY_ALLOC_REVIVE] = "allocation revive",
    [ENTRY_CONFIG] = "scheduler configuration",
    [ENTRY_SNAP_HEAD] = "snapshot head",
    [ENTRY_SNAP_NODE] = "snapshot node",
    [ENTRY_SNAP_JOB] = "snapshot job",
    [ENTRY_SNAP_VERSION] = "snapshot job version",
    [ENTRY_SNAP_EVAL] = "snapshot evaluation",
    [ENTRY_SNAP_METRIC] = "snapshot metric",
    [ENTRY_SNAP_ALLOCS] = "snapshot allocations",
    [ENTRY_SNAP_END] = "snapshot end",
};

void entry_begin(struct buf *b, int64_t time)
{
	buf_clear(b);
	buf_putc(b, ENTRY_VERSION);
	wire_put_i64(b, time);
}

bool entry_is_empty(const struct buf *b)
{
	struct wire w = wire_reader(b->data + 1, b->len - 1);
	wire_i64(&w);
	return wire_end(&w);
}

size_t entry_open(struct buf *b, enum entry_kind kind)
{
	buf_putc(b, (char)kind);
	buf_put(b, "\0\0\0", 4);
	return b->len;
}

void entry_close(struct buf *b, size_t opened)
{
	uint32_t n = (uint32_t)(b->len - opened);
	uint8_t le[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
	memcpy(b->data + opened - 4, le, 4);
}

void entry_put_object(struct buf *b, const struct type *t, const void *obj)
{
	cleanup_buf struct buf body = BUF_INIT;
	codec_put(&body, t, obj);
	wire_put_bytes(b, body.data ? body.data : "", body.len);
}

void *entry_take_object(struct wire *w, const struct type *t, struct arena *a)
{
	size_t n;
	const void *p = wire_bytes(w, &n);
	if (w->bad)
		return NULL;
	struct wire body = wire_reader(p, n);
	void *obj = arena_alloc(a, t->size);
	if (codec_take(&body, t, obj, a) || !wire_end(&body)) {
		w->bad = true;
		return NULL;
	}
	return obj;
}

void entry_genesis(struct buf *b, struct uuid cluster, struct uuid seed)
{
	size_t o = entry_open(b, ENTRY_GENESIS);
	wire_put_uuid(b, cluster);
	wire_put_uuid(b, seed);
	entry_close(b, o);
}

void entry_job(struct buf *b, const struct job *spec, const struct job_submission *submission)
{
	size_t o = entry_open(b, ENTRY_JOB);
	entry_put_object(b, &type_job, spec);
	if (submission)
		entry_put_object(b, &type_job_submission, submission);
	entry_close(b, o);
}

static void put_job_name(struct buf *b, const char *ns, const char *id)
{
	wire_put_str(b, ns);
	wire_put_str(b, id);
}

void entry_job_purge(struct buf *b, const char *ns, const char *id)
{
	size_t o = entry_open(b, ENTRY_JOB_PURGE);
	put_job_name(b, ns, id);
	entry_close(b, o);
}

void entry_job_stable(struct buf *b, const char *ns, const char *id, uint64_t version, bool stable)
{
	size_t o = entry_open(b, ENTRY_JOB_STABLE);
	put_job_name(b, ns, id);
	wire_put_u64(b, version);
	wire_put_u64(b, stable);
	entry_close(b, o);
}

void entry_node(struct buf *b, const struct node *n)
{
	size_t o = entry_open(b, ENTRY_NODE);
	entry_put_object(b, &type_node, n);
	entry_close(b, o);
}

static void put_node_change(struct buf *b, enum entry_kind kind, struct uuid id, uint64_t value, const char *message)
{
	size_t o = entry_open(b, kind);
	wire_put_uuid(b, id);
	wire_put_u64(b, value);
	wire_put_str(b, message);
	wire_put_str(b, "Cluster");
	entry_close(b, o);
}

void entry_node_status(struct buf *b, struct uuid id, enum node_status status, const char *message)
{
	put_node_change(b, ENTRY_NODE_STATUS, id, status, message);
}

void entry_node_eligibility(struct buf *b, struct uuid id, bool eligible, const char *message)
{
	put_node_change(b, ENTRY_NODE_ELIGIBILITY, id, eligible, message);
}

void entry_node_drain(struct buf *b, struct uuid id, const struct drain_strategy *strategy, const struct drain_metadata *last,
    bool eligible, const char *message)
{
	static const struct drain_strategy none;
	size_t o = entry_open(b, ENTRY_NODE_DRAIN);
	wire_put_uuid(b, id);
	entry_put_object(b, &type_drain_strategy, strategy ? strategy : &none);
	entry_put_object(b, &type_drain_metadata, last);
	wire_put_u64(b, eligible);
	wire_put_str(b, message);
	wire_put_str(b, "Drain");
	entry_close(b, o);
}

void entry_node_event(struct buf *b, struct uuid id, const struct node_event *ev)
{
	size_t o = entry_open(b, ENTRY_NODE_EVENT);
	wire_put_uuid(b, id);
	entry_put_object(b, &type_node_event, ev);
	entry_close(b, o);
}

void entry_node_delete(struct buf *b, struct uuid id)
{
	size_t o = entry_open(b, ENTRY_NODE_DELETE);
	wire_put_uuid(b, id);
	entry_close(b, o);
}

void entry_eval(struct buf *b, const struct eval *e)
{
	size_t o = entry_open(b, ENTRY_EVAL);
	entry_put_object(b, &type_eval, e);
	entry_close(b, o);
}

void entry_eval_cancel(struct buf *b, struct uuid id, const char *description)
{
	size_t o = entry_open(b, ENTRY_EVAL_CANCEL);
	wire_put_uuid(b, id);
	wire_put_str(b, description);
	entry_close(b, o);
}

static void put_place(struct buf *b, const struct plan *p, uint32_t i)
{
	const struct placement *x = &p->places[i];
	bool derived = uuid_eq(x->id, uuid_derive(p->seed, i));
	wire_put_u64(b, (derived ? 0 : PLACE_ID) | (x->previous ? PLACE_PREVIOUS : 0) |
	    (x->tracker ? PLACE_TRACKER : 0) | (x->canary ? PLACE_CANARY : 0));
	if (!derived)
		wire_put_uuid(b, x->id);
	wire_put_u64(b, x->node->slot);
	wire_put_u64(b, x->group);
	wire_put_u64(b, x->index);
	wire_put_u64(b, x->metric < p->metrics.n ? x->metric : PLACE_NO_METRIC);
	buf_put(b, &x->score, sizeof(x->score));
	for (uint32_t k = 0; k < p->version->asks[x->group].n_ports; k++) {
		uint8_t le[2] = {(uint8_t)x->ports[k].value, (uint8_t)(x->ports[k].value >> 8)};
		buf_put(b, le, 2);
	}
	if (x->previous)
		wire_put_uuid(b, x->previous->id);
	if (x->tracker)
		entry_put_object(b, &type_reschedule_tracker, x->tracker);
}

void entry_plan(struct buf *b, const struct plan *p)
{
	size_t o = entry_open(b, ENTRY_PLAN);
	struct uuid eval = {0};
	uuid_parse(p->eval->id, &eval);
	wire_put_uuid(b, eval);
	wire_put_uuid(b, p->seed);
	wire_put_u64(b, p->version != NULL);
	if (p->version) {
		put_job_name(b, p->version->job->ns, p->version->job->id);
		wire_put_u64(b, p->version->version);
	}
	wire_put_u64(b, p->metrics.n);
	for (uint32_t i = 0; i < p->metrics.n; i++)
		entry_put_object(b, &type_alloc_metric, p->metrics.v[i]);
	wire_put_u64(b, p->n_places);
	for (uint32_t i = 0; i < p->n_places; i++)
		put_place(b, p, i);
	wire_put_u64(b, p->n_stops);
	for (uint32_t i = 0; i < p->n_stops; i++) {
		const struct plan_stop *s = &p->stops[i];
		wire_put_uuid(b, s->alloc->id);
		wire_put_u64(b, s->desired);
		wire_put_u64(b, (uint64_t)(s->observed + 1));
		wire_put_str(b, s->description);
		wire_put_uuid(b, s->followup_eval);
		wire_put_uuid(b, s->preempted_by);
	}
	wire_put_u64(b, p->n_marks);
	for (uint32_t i = 0; i < p->n_marks; i++) {
		wire_put_uuid(b, p->marks[i].alloc->id);
		wire_put_uuid(b, p->marks[i].followup_eval);
		wire_put_u64(b, p->marks[i].move_version);
	}
	entry_close(b, o);
	entry_eval(b, p->eval);
	for (uint32_t i = 0; i < p->new_evals.n; i++)
		entry_eval(b, p->new_evals.v[i]);
}

void entry_alloc_update(struct buf *b, struct uuid id, const struct alloc_update *u)
{
	wire_put_uuid(b, id);
	entry_put_object(b, &type_alloc_update, u);
}

void entry_alloc_transition(struct buf *b, struct uuid id, const struct desired_transition *t)
{
	size_t o = entry_open(b, ENTRY_ALLOC_TRANSITION);
	wire_put_uuid(b, id);
	entry_put_object(b, &type_desired_transition, t);
	entry_close(b, o);
}

void entry_alloc_revive(struct buf *b, struct uuid id)
{
	size_t o = entry_open(b, ENTRY_ALLOC_REVIVE);
	wire_put_uuid(b, id);
	entry_close(b, o);
}

void entry_config(struct buf *b, const struct scheduler_config *c)
{
	size_t o = entry_open(b, ENTRY_CONFIG);
	entry_put_object(b, &type_scheduler_config, c);
	entry_close(b, o);
}

void entry_scale_in(struct buf *b, const struct scale_in *op)
{
	size_t o = entry_open(b, ENTRY_SCALE_IN);
	entry_put_object(b, &type_scale_in, op);
	entry_close(b, o);
}
