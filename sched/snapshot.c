/*
 * Bodies of the records (bricks of base/wire.h):
 *   head     u64 index, u64 n { u64 last index of the table }, uuid cluster, uuid seed
 *   node     u64 slot, u64 create, modify, alloc index, i64 status since, object node, i64 last seen
 *   job      str namespace, str id, u64 flags (1 purged, 2 evaluated), u64 create, modify, summary index,
 *            u64 n { str group, 7 x u64 counters }
 *   version  u64 flags (1 in the history, 2 stable), u64 version, u64 modify index, i64 submit time, object job,
 *            [object job_submission]; of the job before it, oldest of the history first
 *   eval     object eval
 *   metric   object alloc_metric; numbered from 0 within the job
 *   allocs   { uuid id, uuid eval, u64 version (position among the job's), u64 slot + 1, u64 group, u64 index, u64 desired,
 *            u64 observed, u64 metric + 1, f32 score, 3 x u64 index, 2 x i64 time, ports u16..., u64 n_extra [extra] }
 *   end      u64 number of jobs
 */
#include "sched/snapshot.h"

#include <errno.h>

#include "sched/entry.h"
#include "sched/state_internal.h"

#define ALLOCS_PER_ENTRY 1000

/* ---- writing ---- */

struct writer {
	const struct state *s;
	struct buf b;
	void (*put)(void *put_arg, const void *p, size_t n);
	void *put_arg;
	uint64_t jobs;
};

static void emit(struct writer *w)
{
	w->put(w->put_arg, w->b.data, w->b.len);
	entry_begin(&w->b, 0);
}

static void put_indexes(struct buf *b, const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wire_put_u64(b, v[i]);
}

static void write_head(struct writer *w)
{
	const struct state *s = w->s;
	size_t o = entry_open(&w->b, ENTRY_SNAP_HEAD);
	wire_put_u64(&w->b, s->index);
	wire_put_u64(&w->b, TABLE_COUNT);
	put_indexes(&w->b, s->table_index, TABLE_COUNT);
	wire_put_uuid(&w->b, s->cluster_id);
	wire_put_uuid(&w->b, s->seed);
	entry_close(&w->b, o);
	entry_config(&w->b, s->config);
	for (uint32_t i = 0; i < s->n_scale_ins; i++)
		entry_scale_in(&w->b, s->scale_ins[i].spec);
	emit(w);
}

static void write_node(struct writer *w, const struct node_entry *n)
{
	size_t o = entry_open(&w->b, ENTRY_SNAP_NODE);
	wire_put_u64(&w->b, n->slot);
	put_indexes(&w->b, (const uint64_t[]){n->create_index, n->modify_index, n->alloc_index}, 3);
	wire_put_i64(&w->b, n->status_since);
	entry_put_object(&w->b, &type_node, n->spec);
	wire_put_i64(&w->b, n->seen);
	entry_close(&w->b, o);
	emit(w);
}

static void write_version(struct writer *w, struct job_version *v, bool history, uint32_t *number)
{
	v->mark = (*number)++;
	size_t o = entry_open(&w->b, ENTRY_SNAP_VERSION);
	wire_put_u64(&w->b, (history ? 1u : 0) | (v->stable ? 2u : 0));
	wire_put_u64(&w->b, v->version);
	wire_put_u64(&w->b, v->modify_index);
	wire_put_i64(&w->b, v->submit_time);
	entry_put_object(&w->b, &type_job, v->spec);
	if (v->submission)
		entry_put_object(&w->b, &type_job_submission, v->submission);
	entry_close(&w->b, o);
	emit(w);
}

#define UNMARKED UINT32_MAX

/* Every version that is in the history or that an allocation refers to gets its number. */
static void write_versions(struct writer *w, struct job_entry *j)
{
	uint32_t number = 0;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		a->version->mark = UNMARKED;
		if (a->metric)
			a->metric->mark = UNMARKED;
	}
	for (uint32_t i = j->n_versions; i-- > 0;)
		write_version(w, j->versions[i], true, &number);
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a))
		if (a->version->mark == UNMARKED)
			write_version(w, a->version, false, &number);
}

static void write_job(struct writer *w, struct job_entry *j)
{
	struct buf *b = &w->b;
	size_t o = entry_open(b, ENTRY_SNAP_JOB);
	wire_put_str(b, j->ns);
	wire_put_str(b, j->id);
	wire_put_u64(b, (j->purged ? 1u : 0) | (j->evaluated ? 2u : 0));
	put_indexes(b, (const uint64_t[]){j->create_index, j->modify_index, j->summary_index}, 3);
	wire_put_u64(b, j->summary.n);
	for (uint32_t i = 0; i < j->summary.n; i++) {
		const struct group_summary *g = j->summary.v[i].value;
		wire_put_str(b, j->summary.v[i].key);
		put_indexes(b, (const uint64_t[]){g->queued, g->starting, g->running, g->failed, g->complete,
				   g->lost, g->unknown}, 7);
	}
	entry_close(b, o);
	emit(w);
	write_versions(w, j);
	w->jobs++;
}

#define EXTRA_OBJECTS(X)                                                                                               \
	X(deployment_status, deployment_status)                                                                        \
	X(network_status, network_status)                                                                              \
	X(tracker, reschedule_tracker)                                                                                 \
	X(transition, desired_transition)

static void write_extra(struct buf *b, const struct alloc_extra *x)
{
	unsigned bits = 0, bit = 1;
#define HAVE(field, kind) bits |= x->field ? bit : 0, bit <<= 1;
	EXTRA_OBJECTS(HAVE)
#undef HAVE
	wire_put_u64(b, bits | (x->in_consul ? bit : 0));
#define PUT(field, kind)                                                                                               \
	if (x->field)                                                                                                  \
		entry_put_object(b, &type_##kind, x->field);
	EXTRA_OBJECTS(PUT)
#undef PUT
	wire_put_u64(b, x->task_states.n);
	for (uint32_t i = 0; i < x->task_states.n; i++) {
		wire_put_str(b, x->task_states.v[i].key);
		entry_put_object(b, &type_task_state, x->task_states.v[i].value);
	}
	wire_put_str(b, x->client_description);
	wire_put_str(b, x->desired_description);
	const struct uuid ids[] = {x->previous, x->next, x->followup_eval, x->deployment, x->preempted_by};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		wire_put_uuid(b, ids[i]);
	wire_put_i64(b, x->ended);
	wire_put_u64(b, x->preempted.n);
	for (uint32_t i = 0; i < x->preempted.n; i++)
		wire_put_uuid(b, *(struct uuid *)x->preempted.v[i]);
}

static void write_alloc(struct buf *b, const struct alloc *a)
{
	wire_put_uuid(b, a->id);
	wire_put_uuid(b, a->eval);
	put_indexes(b, (const uint64_t[]){a->version->mark, a->node ? a->node->slot + UINT64_C(1) : 0, a->group,
			   a->index, a->desired, a->observed, a->metric ? a->metric->mark + UINT64_C(1) : 0}, 7);
	buf_put(b, &a->score, sizeof(a->score));
	put_indexes(b, (const uint64_t[]){a->create_index, a->modify_index, a->alloc_modify_index}, 3);
	wire_put_i64(b, a->create_time);
	wire_put_i64(b, a->modify_time);
	for (uint32_t i = 0; i < a->version->asks[a->group].n_ports; i++) {
		uint16_t port = a->ports ? a->ports[i].value : 0;
		buf_put(b, (const uint8_t[]){(uint8_t)port, (uint8_t)(port >> 8)}, 2);
	}
	wire_put_u64(b, a->extra != NULL);
	if (a->extra)
		write_extra(b, a->extra);
}

static void write_allocs(struct writer *w, struct job_entry *j)
{
	uint32_t metrics = 0, n = 0;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, m)) {
		if (!m->metric || m->metric->mark != UNMARKED)
			continue;
		m->metric->mark = metrics++;
		size_t o = entry_open(&w->b, ENTRY_SNAP_METRIC);
		entry_put_object(&w->b, &type_alloc_metric, m->metric->metric);
		entry_close(&w->b, o);
		emit(w);
	}
	size_t o = 0;
	for (LINK_EACH(&j->allocs, struct alloc, by_job, a)) {
		if (!n)
			o = entry_open(&w->b, ENTRY_SNAP_ALLOCS);
		write_alloc(&w->b, a);
		if (++n < ALLOCS_PER_ENTRY && a->by_job.next != &j->allocs)
			continue;
		entry_close(&w->b, o);
		emit(w);
		n = 0;
	}
}

void snapshot_write(const struct state *s, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg)
{
	struct writer w = {.s = s, .put = put, .put_arg = put_arg};
	const char *key;
	void *obj;
	entry_begin(&w.b, 0);
	write_head(&w);
	for (uint32_t i = 0; i < s->cap_nodes; i++)
		if (s->nodes[i])
			write_node(&w, s->nodes[i]);
	for (uint32_t i = 0; map_next(&s->jobs, &i, &key, &obj);) {
		struct job_entry *j = obj;
		write_job(&w, j);
		for (LINK_EACH(&j->evals, struct eval_entry, by_job, e)) {
			size_t o = entry_open(&w.b, ENTRY_SNAP_EVAL);
			entry_put_object(&w.b, &type_eval, e->spec);
			entry_close(&w.b, o);
			emit(&w);
		}
		write_allocs(&w, j);
	}
	size_t o = entry_open(&w.b, ENTRY_SNAP_END);
	wire_put_u64(&w.b, w.jobs);
	entry_close(&w.b, o);
	emit(&w);
	buf_free(&w.b);
}

/* ---- reading ---- */

struct restore {
	uint64_t index, jobs;
	struct job_entry *job; /* the one whose records are being read */
	struct job_version **versions;
	uint32_t n_versions;
	struct metric_ref **metrics;
	uint32_t n_metrics;
};

static void job_done(struct restore *r)
{
	for (uint32_t i = 0; i < r->n_versions; i++)
		job_version_unref(r->versions[i]);
	for (uint32_t i = 0; i < r->n_metrics; i++)
		metric_ref_unref(r->metrics[i]);
	r->n_versions = r->n_metrics = 0;
	r->job = NULL;
}

void restore_free(struct restore *r)
{
	if (!r)
		return;
	job_done(r);
	free(r->versions);
	free(r->metrics);
	free(r);
}

/* Appends to an array that grows by doubling. */
#define PUSH(array, n, item)                                                                                           \
	do {                                                                                                           \
		if (((n) & ((n)-1)) == 0)                                                                              \
			(array) = xrealloc(array, (n) ? (size_t)(n)*2 : 1, sizeof(*(array)));                          \
		(array)[(n)++] = (item);                                                                               \
	} while (0)

static struct restore *begun(struct apply *c)
{
	if (!c->s->restore)
		apply_bad(c, "a snapshot without a head");
	return c->s->restore;
}

static struct restore *in_job(struct apply *c)
{
	struct restore *r = begun(c);
	if (r && !r->job)
		apply_bad(c, "no job comes before it");
	return r && r->job ? r : NULL;
}

int apply_snap_head(struct apply *c, struct wire *w)
{
	struct state *s = c->s;
	if (s->restore || s->index)
		return apply_bad(c, "a second head");
	struct restore *r = s->restore = xcalloc(1, sizeof(*r));
	r->index = wire_u64(w);
	uint64_t n = wire_u64(w);
	if (n > 64)
		return apply_bad(c, "%llu tables", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t index = wire_u64(w);
		if (i < TABLE_COUNT)
			s->table_index[i] = index;
	}
	s->cluster_id = wire_uuid(w);
	s->seed = wire_uuid(w);
	return 0;
}

int apply_snap_node(struct apply *c, struct wire *w)
{
	struct uuid id;
	uint64_t slot = wire_u64(w);
	struct node_entry at = {.create_index = wire_u64(w)};
	at.modify_index = wire_u64(w);
	at.alloc_index = wire_u64(w);
	at.status_since = wire_i64(w);
	struct arena *arena = arena_new();
	struct node *spec = entry_take_object(w, &type_node, arena);
	int status = spec ? name_index(node_status_names, spec->status) : -1;
	if (!begun(c) || status < 0 || str_empty(spec->id) || uuid_parse(spec->id, &id) || state_node(c->s, id) ||
	    slot > 10 * 1000 * 1000 || (slot < c->s->cap_nodes && c->s->nodes[slot])) {
		arena_free(arena);
		return apply_bad(c, "a node that cannot be");
	}
	struct node_entry *n = node_entry_new(c->s, id, (uint32_t)slot);
	n->status = (enum node_status)status;
	n->eligible = !str_eq(spec->scheduling_eligibility, "ineligible");
	n->create_index = at.create_index;
	n->modify_index = at.modify_index;
	n->alloc_index = n->gone_index = at.alloc_index;
	n->status_since = at.status_since;
	n->seen = w->p < w->end ? wire_i64(w) : 0;
	int r = node_set_spec(c, n, arena, spec);
	return r;
}

int apply_snap_job(struct apply *c, struct wire *w)
{
	struct restore *r = begun(c);
	if (!r)
		return -EBADMSG;
	if (r->job)
		job_refresh(c, r->job);
	job_done(r);
	cleanup_arena struct arena *a = arena_new();
	const char *ns = wire_str(w, a), *id = wire_str(w, a);
	if (w->bad || str_empty(id) || state_job_any(c->s, ns, id))
		return apply_bad(c, "a job without a name, or twice");
	struct job_entry *j = r->job = job_entry_new(c->s, ns, id);
	uint64_t flags = wire_u64(w);
	j->purged = flags & 1;
	j->evaluated = flags & 2;
	j->create_index = wire_u64(w);
	j->modify_index = wire_u64(w);
	j->summary_index = wire_u64(w);
	uint64_t n = wire_u64(w);
	for (uint64_t i = 0; i < n && !w->bad; i++) {
		const char *group = wire_str(w, j->arena);
		struct group_summary *g = arena_alloc(j->arena, sizeof(*g));
		uint32_t *counters[] = {&g->queued, &g->starting, &g->running, &g->failed, &g->complete, &g->lost,
		    &g->unknown};
		for (size_t k = 0; k < ARRAY_LEN(counters); k++)
			*counters[k] = (uint32_t)wire_u64(w);
		objmap_set(j->arena, &j->summary, group, g);
	}
	r->jobs++;
	return 0;
}

int apply_snap_version(struct apply *c, struct wire *w)
{
	struct restore *r = in_job(c);
	if (!r)
		return -EBADMSG;
	uint64_t flags = wire_u64(w), version = wire_u64(w), modify_index = wire_u64(w);
	int64_t submit_time = wire_i64(w);
	struct arena *arena = arena_new();
	struct job *spec = entry_take_object(w, &type_job, arena);
	struct job_submission *submission =
	    spec && w->p < w->end ? entry_take_object(w, &type_job_submission, arena) : NULL;
	struct job_version *v = NULL;
	if (!w->bad && str_eq(spec->id, r->job->id) && str_eq(spec->namespace, r->job->ns) && version <= UINT32_MAX)
		v = job_version_new(r->job, arena, spec, (uint32_t)version, modify_index);
	if (!v) {
		arena_free(arena);
		return apply_bad(c, "a version of job \"%.64s\" that is not sound", r->job->id);
	}
	v->stable = flags & 2;
	v->submit_time = submit_time;
	v->submission = submission;
	v->refs = 1; /* until the job is read */
	PUSH(r->versions, r->n_versions, v);
	if (flags & 1)
		job_push_version(r->job, v);
	r->job->stop |= r->job->purged;
	return 0;
}

int apply_snap_eval(struct apply *c, struct wire *w)
{
	struct restore *r = in_job(c);
	struct arena *arena = arena_new();
	struct eval *spec = entry_take_object(w, &type_eval, arena);
	if (!r || !spec || !r->job->current) {
		arena_free(arena);
		return apply_bad(c, "an evaluation that cannot be read or has no job");
	}
	return eval_set(c, arena, spec);
}

int apply_snap_metric(struct apply *c, struct wire *w)
{
	struct restore *r = in_job(c);
	if (!r)
		return -EBADMSG;
	struct arena *arena = arena_new();
	struct alloc_metric *m = entry_take_object(w, &type_alloc_metric, arena);
	if (!m) {
		arena_free(arena);
		return apply_bad(c, "a metric that cannot be read");
	}
	PUSH(r->metrics, r->n_metrics, metric_ref_new(arena, m));
	return 0;
}

static void take_extra(struct wire *w, struct alloc *a)
{
	struct alloc_extra *x = alloc_extra_get(a);
	uint64_t bits = wire_u64(w), bit = 1;
#define TAKE(field, kind)                                                                                              \
	if (bits & bit)                                                                                                \
		x->field = entry_take_object(w, &type_##kind, x->arena);                                              \
	bit <<= 1;
	EXTRA_OBJECTS(TAKE)
#undef TAKE
	x->in_consul = (bits & bit) != 0;
	uint64_t n = wire_u64(w);
	for (uint64_t i = 0; i < n && !w->bad; i++) {
		const char *task = wire_str(w, x->arena);
		struct task_state *t = entry_take_object(w, &type_task_state, x->arena);
		if (t)
			objmap_set(x->arena, &x->task_states, task, t);
	}
	x->client_description = wire_str(w, x->arena);
	x->desired_description = wire_str(w, x->arena);
	struct uuid *ids[] = {&x->previous, &x->next, &x->followup_eval, &x->deployment, &x->preempted_by};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		*ids[i] = wire_uuid(w);
	x->ended = wire_i64(w);
	n = wire_u64(w);
	for (uint64_t i = 0; i < n && !w->bad; i++) {
		struct uuid id = wire_uuid(w);
		objs_push(x->arena, &x->preempted, arena_copy(x->arena, &id, sizeof(id)));
	}
}

static int take_alloc(struct apply *c, struct wire *w, struct restore *r)
{
	struct state *s = c->s;
	struct uuid id = wire_uuid(w), eval = wire_uuid(w);
	enum { VERSION, SLOT, GROUP, INDEX, DESIRED, OBSERVED, METRIC, FIELDS };
	uint64_t f[FIELDS];
	for (int i = 0; i < FIELDS; i++)
		f[i] = wire_u64(w);
	bool sound = !w->bad && f[VERSION] < r->n_versions && f[SLOT] <= s->cap_nodes &&
	    (!f[SLOT] || s->nodes[f[SLOT] - 1]) && f[GROUP] < r->versions[f[VERSION]]->spec->task_groups.n &&
	    f[INDEX] <= UINT32_MAX && f[DESIRED] <= DESIRED_EVICT && f[OBSERVED] <= OBSERVED_UNKNOWN &&
	    f[METRIC] <= r->n_metrics;
	struct alloc *a = sound ? alloc_new(s, id) : NULL;
	if (!a)
		return apply_bad(c, "an allocation that cannot be");
	struct job_version *v = r->versions[f[VERSION]];
	uint32_t n_ports = v->asks[f[GROUP]].n_ports;
	a->eval = eval;
	a->version = v;
	a->node = f[SLOT] ? s->nodes[f[SLOT] - 1] : NULL;
	a->group = (uint16_t)f[GROUP];
	a->index = (uint32_t)f[INDEX];
	a->desired = (uint8_t)f[DESIRED];
	a->observed = (uint8_t)f[OBSERVED];
	if (f[METRIC]) {
		a->metric = r->metrics[f[METRIC] - 1];
		a->metric->refs++;
	}
	if (w->end - w->p >= (ptrdiff_t)sizeof(a->score)) {
		memcpy(&a->score, w->p, sizeof(a->score));
		w->p += sizeof(a->score);
	}
	a->create_index = wire_u64(w);
	a->modify_index = wire_u64(w);
	a->alloc_modify_index = wire_u64(w);
	a->create_time = wire_i64(w);
	a->modify_time = wire_i64(w);
	if (n_ports && w->end - w->p >= (ptrdiff_t)n_ports * 2) {
		a->ports = xcalloc(n_ports, sizeof(*a->ports));
		for (uint32_t i = 0; i < n_ports; i++, w->p += 2)
			a->ports[i].value = (uint16_t)(w->p[0] | w->p[1] << 8);
	}
	if (wire_u64(w))
		take_extra(w, a);
	alloc_insert(a);
	return w->bad ? apply_bad(c, "an allocation that is cut short") : 0;
}

int apply_snap_allocs(struct apply *c, struct wire *w)
{
	struct restore *r = in_job(c);
	if (!r)
		return -EBADMSG;
	while (w->p < w->end) {
		int rc = take_alloc(c, w, r);
		if (rc)
			return rc;
	}
	return 0;
}

int apply_snap_end(struct apply *c, struct wire *w)
{
	struct restore *r = begun(c);
	if (!r)
		return -EBADMSG;
	if (r->job)
		job_refresh(c, r->job);
	if (wire_u64(w) != r->jobs)
		return apply_bad(c, "jobs are missing");
	c->s->index = r->index;
	restore_free(r);
	c->s->restore = NULL;
	return 0;
}
