/*
 * The digest of the state. Every object is written out in one canonical form and hashed; the hashes are added, so that the
 * order in memory does not count.
 */
#include "base/codec.h"
#include "sched/state_internal.h"

static uint64_t hash(const struct buf *b, uint64_t salt)
{
	uint64_t h = salt * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < b->len; i++)
		h = (h ^ (uint8_t)b->data[i]) * UINT64_C(0x100000001b3);
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return h ^ h >> 27;
}

static void put_all(struct buf *b, const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wire_put_u64(b, v[i]);
}
#define PUT_ALL(b, ...) put_all(b, (const uint64_t[]){__VA_ARGS__}, ARRAY_LEN(((const uint64_t[]){__VA_ARGS__})))

static void put_version(struct buf *b, const struct job_version *v)
{
	PUT_ALL(b, v->version, v->modify_index, (uint64_t)v->submit_time, v->stable, v->submission != NULL);
	codec_put(b, &type_job, v->spec);
	if (v->submission)
		codec_put(b, &type_job_submission, v->submission);
}

static uint64_t digest_job(struct buf *b, const struct job_entry *j)
{
	wire_put_str(b, j->ns);
	wire_put_str(b, j->id);
	PUT_ALL(b, j->n_versions, j->type, j->status, j->stop, j->purged, j->evaluated, j->create_index,
	    j->modify_index, j->n_allocs, j->n_live, j->n_open_evals, j->summary_index);
	for (uint32_t i = 0; i < j->n_versions; i++)
		put_version(b, j->versions[i]);
	for (uint32_t i = 0; i < j->summary.n; i++) {
		const struct group_summary *g = j->summary.v[i].value;
		wire_put_str(b, j->summary.v[i].key);
		PUT_ALL(b, g->queued, g->starting, g->running, g->failed, g->complete, g->lost, g->unknown);
	}
	wire_put_uuid(b, j->blocked ? j->blocked->id : (struct uuid){0});
	return hash(b, 1);
}

static uint64_t digest_node(struct buf *b, const struct node_entry *n)
{
	wire_put_uuid(b, n->id);
	PUT_ALL(b, n->slot, n->status, n->eligible, n->draining, (uint64_t)n->total.cpu, (uint64_t)n->total.memory,
	    (uint64_t)n->total.disk, (uint64_t)n->used.cpu, (uint64_t)n->used.memory, (uint64_t)n->used.disk,
	    (uint64_t)n->used.allocs, n->n_allocs, n->create_index, n->modify_index, n->alloc_index, (uint64_t)n->status_since,
	    (uint64_t)n->seen);
	codec_put(b, &type_node, n->spec);
	return hash(b, 2);
}

static void put_extra(struct buf *b, const struct alloc_extra *x)
{
	for (uint32_t i = 0; i < x->task_states.n; i++) {
		wire_put_str(b, x->task_states.v[i].key);
		codec_put(b, &type_task_state, x->task_states.v[i].value);
	}
	if (x->deployment_status)
		codec_put(b, &type_deployment_status, x->deployment_status);
	if (x->network_status)
		codec_put(b, &type_network_status, x->network_status);
	if (x->tracker)
		codec_put(b, &type_reschedule_tracker, x->tracker);
	if (x->transition)
		codec_put(b, &type_desired_transition, x->transition);
	wire_put_str(b, x->client_description);
	wire_put_str(b, x->desired_description);
	const struct uuid ids[] = {x->previous, x->next, x->followup_eval, x->deployment, x->preempted_by};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		wire_put_uuid(b, ids[i]);
	wire_put_i64(b, x->ended);
	wire_put_u64(b, x->in_consul);
	for (uint32_t i = 0; i < x->preempted.n; i++)
		wire_put_uuid(b, *(struct uuid *)x->preempted.v[i]);
}

static uint64_t digest_alloc(struct buf *b, const struct alloc *a)
{
	const struct job_version *v = a->version;
	uint32_t score;
	memcpy(&score, &a->score, sizeof(score));
	wire_put_uuid(b, a->id);
	wire_put_uuid(b, a->eval);
	wire_put_uuid(b, a->node ? a->node->id : (struct uuid){0});
	wire_put_str(b, v->spec->namespace);
	wire_put_str(b, v->spec->id);
	PUT_ALL(b, v->modify_index, a->create_index, a->modify_index, a->alloc_modify_index, (uint64_t)a->create_time,
	    (uint64_t)a->modify_time, a->index, a->group, a->desired, a->observed, score, a->extra != NULL);
	for (uint32_t i = 0; a->ports && i < v->asks[a->group].n_ports; i++)
		wire_put_u64(b, a->ports[i].value);
	if (a->extra)
		put_extra(b, a->extra);
	if (a->metric)
		codec_put(b, &type_alloc_metric, a->metric->metric);
	return hash(b, 3);
}

static uint64_t digest_eval(struct buf *b, const struct eval_entry *e)
{
	wire_put_uuid(b, e->id);
	PUT_ALL(b, e->status, e->create_index, e->modify_index);
	codec_put(b, &type_eval, e->spec);
	return hash(b, 4);
}

uint64_t state_digest(const struct state *s)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *key;
	void *obj;
	wire_put_u64(&b, s->index);
	put_all(&b, s->table_index, TABLE_COUNT);
	wire_put_uuid(&b, s->cluster_id);
	wire_put_uuid(&b, s->seed);
	codec_put(&b, &type_scheduler_config, s->config);
	for (uint32_t i = 0; i < s->n_scale_ins; i++)
		codec_put(&b, &type_scale_in, s->scale_ins[i].spec);
	uint64_t sum = hash(&b, 5);
	for (uint32_t i = 0; map_next(&s->jobs, &i, &key, &obj);)
		buf_clear(&b), sum += digest_job(&b, obj);
	for (uint32_t i = 0; (obj = uuid_table_next(s->nodes_by_id, &i));)
		buf_clear(&b), sum += digest_node(&b, obj);
	for (uint32_t i = 0; (obj = uuid_table_next(s->allocs, &i));)
		buf_clear(&b), sum += digest_alloc(&b, obj);
	for (uint32_t i = 0; (obj = uuid_table_next(s->evals, &i));)
		buf_clear(&b), sum += digest_eval(&b, obj);
	return sum;
}
