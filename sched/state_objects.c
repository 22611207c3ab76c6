/*
 * The objects of the state: how they come, change and go, with every counter, list and index kept true. Called while an
 * entry is applied, and by nobody else.
 */
#include <assert.h>
#include <errno.h>

#include "sched/fit.h"
#include "sched/plan.h"
#include "sched/state_internal.h"

int apply_bad(struct apply *c, const char *fmt, ...)
{
	va_list ap;
	char text[256];
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(c->e, -EBADMSG, "%s", text);
}

void state_changed(struct apply *c, enum state_table table, const void *obj, bool deleted)
{
	struct state *s = c->s;
	if (c->index)
		s->table_index[table] = c->index;
	if (s->observe)
		s->observe(s->observe_arg, table, obj, deleted);
	if (s->watch)
		s->watch(s->watch_arg, table, obj, deleted);
}

/* ---- jobs ---- */

struct job_entry *job_entry_new(struct state *s, const char *ns, const char *id)
{
	struct job_entry *j = xcalloc(1, sizeof(*j));
	j->arena = arena_new();
	j->ns = arena_strdup(j->arena, ns);
	j->id = arena_strdup(j->arena, id);
	link_init(&j->allocs);
	link_init(&j->evals);
	cleanup_free char *key = xasprintf("%s\x1f%s", ns, id);
	map_set(&s->jobs, key, j);
	return j;
}

void job_entry_free(struct job_entry *j)
{
	job_drop_versions(j);
	arena_free(j->arena);
	free(j);
}

void job_entry_drop_if_unused(struct apply *c, struct job_entry *j)
{
	if (!j->purged || !link_empty(&j->allocs) || !link_empty(&j->evals))
		return;
	cleanup_free char *key = xasprintf("%s\x1f%s", j->ns, j->id);
	map_del(&c->s->jobs, key);
	job_entry_free(j);
}

static bool spec_is_sound(const struct job *spec)
{
	if (str_empty(spec->id) || !spec->namespace || name_index(job_type_names, spec->type) < 0 ||
	    spec->task_groups.n > UINT16_MAX)
		return false;
	OBJS_EACH(&spec->task_groups, struct task_group, g) {
		if (str_empty(g->name))
			return false;
		OBJS_EACH(&g->tasks, struct task, t)
			if (str_empty(t->name))
				return false;
	}
	return true;
}

/* The counters of a group: those of the job's summary, or, for a version from before the job was purged and its name taken
 * again, some that nobody reads. */
static struct group_summary *summary_of(struct job_entry *j, const struct job_version *v, const char *group)
{
	if (v->modify_index < j->create_index)
		return arena_alloc(v->arena, sizeof(struct group_summary));
	struct group_summary *sum = objmap_get(&j->summary, group);
	if (!sum) {
		sum = arena_alloc(j->arena, sizeof(*sum));
		objmap_set(j->arena, &j->summary, arena_strdup(j->arena, group), sum);
	}
	return sum;
}

struct job_version *job_version_new(
    struct job_entry *j, struct arena *arena, struct job *spec, uint32_t version, uint64_t modify_index)
{
	if (!spec_is_sound(spec))
		return NULL;
	struct job_version *v = xcalloc(1, sizeof(*v));
	v->arena = arena;
	v->spec = spec;
	v->job = j;
	v->version = version;
	v->modify_index = modify_index;
	plan_asks(v);
	v->summaries = arena_alloc(arena, (spec->task_groups.n + 1) * sizeof(*v->summaries));
	OBJS_EACH(&spec->task_groups, struct task_group, g)
		v->summaries[g_i] = summary_of(j, v, g->name);
	return v;
}

void job_version_unref(struct job_version *v)
{
	assert(v->refs > 0);
	if (--v->refs)
		return;
	arena_free(v->arena);
	free(v);
}

void job_push_version(struct job_entry *j, struct job_version *v)
{
	if (j->n_versions == JOB_VERSIONS_KEPT)
		job_version_unref(j->versions[--j->n_versions]);
	memmove(j->versions + 1, j->versions, j->n_versions * sizeof(j->versions[0]));
	j->versions[0] = j->current = v;
	j->n_versions++;
	v->refs++;
	j->type = (enum job_type)name_index(job_type_names, v->spec->type);
	j->stop = v->spec->stop;
}

void job_drop_versions(struct job_entry *j)
{
	while (j->n_versions)
		job_version_unref(j->versions[--j->n_versions]);
	j->current = NULL;
}

static enum job_status status_of(const struct job_entry *j)
{
	const struct job *spec = j->current->spec;
	if (spec->periodic || spec->parameterized_job || j->type == JOB_SYSTEM)
		return j->stop ? JOB_DEAD : JOB_RUNNING;
	if (j->n_live)
		return JOB_RUNNING;
	if (j->n_open_evals)
		return JOB_PENDING;
	return j->evaluated || j->stop ? JOB_DEAD : JOB_PENDING;
}

void job_refresh(struct apply *c, struct job_entry *j)
{
	enum job_status status = status_of(j);
	if (status != j->status && c->index && !j->purged)
		j->modify_index = c->index;
	if (status == j->status)
		return;
	j->status = status;
	if (!j->purged)
		state_changed(c, TABLE_JOBS, j, false);
}

/* ---- nodes ---- */

/* By whole chunks. */
static void grow_nodes(struct state *s, uint32_t slot)
{
	uint32_t cap = MAX(slot / NODES_IN_CHUNK + 1, 2 * (s->cap_nodes / NODES_IN_CHUNK)), old = s->cap_nodes / NODES_IN_CHUNK;
	s->chunks = xrealloc(s->chunks, cap, sizeof(*s->chunks));
	memset(s->chunks + old, 0, (cap - old) * sizeof(*s->chunks));
	s->nodes = xrealloc(s->nodes, (size_t)cap * NODES_IN_CHUNK, sizeof(*s->nodes));
	memset(s->nodes + s->cap_nodes, 0, (size_t)(cap - old) * NODES_IN_CHUNK * sizeof(*s->nodes));
	s->cap_nodes = cap * NODES_IN_CHUNK;
}

static struct node_entry *place_of_node(struct state *s, uint32_t slot)
{
	struct node_entry **chunk = &s->chunks[slot / NODES_IN_CHUNK];
	if (!*chunk)
		*chunk = xcalloc(NODES_IN_CHUNK, sizeof(**chunk));
	return *chunk + slot % NODES_IN_CHUNK;
}

struct node_entry *node_entry_new(struct state *s, struct uuid id, uint32_t slot)
{
	if (slot == UINT32_MAX)
		for (slot = s->n_nodes == s->cap_nodes ? s->cap_nodes : 0; slot < s->cap_nodes && s->nodes[slot]; slot++)
			;
	if (slot >= s->cap_nodes)
		grow_nodes(s, slot);
	struct node_entry *n = place_of_node(s, slot);
	n->id = id;
	n->slot = slot;
	n->eligible = true;
	n->ports = port_set_new();
	link_init(&n->allocs);
	link_init(&n->life.queue);
	s->nodes[slot] = n;
	s->n_nodes++;
	uuid_table_add(s->nodes_by_id, n);
	return n;
}

void node_entry_free(struct node_entry *n)
{
	port_set_free(n->ports);
	arena_free(n->arena);
	free(n->gone);
	memset(n, 0, sizeof(*n));
}

static void ports_add(struct port_set *set, const struct alloc *a)
{
	const struct group_ask *ask = &a->version->asks[a->group];
	for (uint32_t i = 0; a->ports && i < ask->n_ports; i++)
		port_set_add(set, a->ports[i].value);
}

static void ports_remove(struct port_set *set, const struct alloc *a)
{
	const struct group_ask *ask = &a->version->asks[a->group];
	for (uint32_t i = 0; a->ports && i < ask->n_ports; i++)
		port_set_remove(set, a->ports[i].value);
}

static uint32_t number_of(struct map *words, const char *word)
{
	uintptr_t known = (uintptr_t)map_get(words, word ? word : "");
	if (!known) {
		known = words->n + 1;
		map_set(words, word ? word : "", (void *)known);
	}
	return (uint32_t)known - 1;
}

int node_set_spec(struct apply *c, struct node_entry *n, struct arena *arena, struct node *spec)
{
	struct amount total = {0};
	struct port_set *ports = port_set_new();
	int r = fit_node_totals(spec, &total, ports, c->e);
	if (r) {
		port_set_free(ports);
		arena_free(arena);
		return r;
	}
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (alloc_holds(a))
			ports_add(ports, a);
	port_set_free(n->ports);
	n->ports = ports;
	n->total = total;
	n->open_cpu = n->open_memory = 0;
	arena_free(n->arena);
	n->arena = arena;
	n->spec = spec;
	n->class_id = str_empty(spec->computed_class) ? NODE_NO_CLASS : number_of(&c->s->classes, spec->computed_class);
	n->dc_id = number_of(&c->s->datacenters, spec->datacenter);
	n->pool_id = number_of(&c->s->pools, str_empty(spec->node_pool) ? "default" : spec->node_pool);
	n->draining = spec->drain_strategy != NULL;
	return 0;
}

void node_capacity_grew(struct state *s, struct node_entry *n)
{
	if (!s->observe || n->freed)
		return;
	n->freed = true;
	n->freed_next = s->freed;
	s->freed = n;
}

/* ---- allocations ---- */

#define SLAB_ALLOCS 512
struct alloc_slab {
	struct alloc_slab *next;
	struct alloc allocs[SLAB_ALLOCS];
};

void alloc_slab_pop(struct state *s)
{
	struct alloc_slab *slab = s->slab;
	s->slab = slab->next;
	free(slab);
}

struct alloc *alloc_new(struct state *s, struct uuid id)
{
	if (!s->free_allocs) {
		struct alloc_slab *slab = xmalloc(sizeof(*slab));
		slab->next = s->slab;
		s->slab = slab;
		for (uint32_t i = SLAB_ALLOCS; i-- > 0;) {
			slab->allocs[i].by_job.next = s->free_allocs;
			s->free_allocs = &slab->allocs[i].by_job;
		}
	}
	struct alloc *a = CONTAINER_OF(s->free_allocs, struct alloc, by_job);
	struct link *next = a->by_job.next;
	a->id = id;
	if (!uuid_table_add(s->allocs, a))
		return NULL;
	s->free_allocs = next;
	memset(a, 0, sizeof(*a));
	a->id = id;
	link_init(&a->by_job);
	link_init(&a->by_node);
	return a;
}

struct alloc_extra *alloc_extra_get(struct alloc *a)
{
	if (!a->extra) {
		a->extra = xcalloc(1, sizeof(*a->extra));
		a->extra->arena = arena_new();
	}
	return a->extra;
}

static void hold(struct alloc *a)
{
	const struct amount *ask = &a->version->asks[a->group].amount;
	struct node_entry *n = a->node;
	amount_add(&n->used, ask);
	n->open_cpu = n->open_memory = 0;
	ports_add(n->ports, a);
}

static void let_go(struct state *s, struct alloc *a)
{
	const struct amount *ask = &a->version->asks[a->group].amount;
	struct node_entry *n = a->node;
	amount_take(&n->used, ask);
	n->open_cpu = n->open_memory = 0;
	ports_remove(n->ports, a);
	node_capacity_grew(s, n);
}

/* The counter of the job's summary that an observed status is counted in. */
static uint32_t *summary_counter(struct alloc *a, uint8_t observed)
{
	struct group_summary *sum = a->version->summaries[a->group];
	uint32_t *counters[] = {
	    [OBSERVED_PENDING] = &sum->starting,
	    [OBSERVED_RUNNING] = &sum->running,
	    [OBSERVED_COMPLETE] = &sum->complete,
	    [OBSERVED_FAILED] = &sum->failed,
	    [OBSERVED_LOST] = &sum->lost,
	    [OBSERVED_UNKNOWN] = &sum->unknown,
	};
	return counters[observed];
}

void alloc_insert(struct alloc *a)
{
	struct job_entry *j = a->version->job;
	a->version->refs++;
	link_append(&j->allocs, &a->by_job);
	j->n_allocs++;
	if (!alloc_is_terminal(a))
		j->n_live++;
	if (!a->node)
		return;
	link_append(&a->node->allocs, &a->by_node);
	a->node->n_allocs++;
	if (alloc_holds(a))
		hold(a);
}

void alloc_move(struct apply *c, struct alloc *a, enum desired desired, enum observed observed)
{
	struct job_entry *j = a->version->job;
	bool was_live = !alloc_is_terminal(a), held = alloc_holds(a);
	if (observed != a->observed) {
		/* What ended stays counted when the allocation is collected; what lives is counted once. */
		if (held && *summary_counter(a, a->observed))
			--*summary_counter(a, a->observed);
		++*summary_counter(a, (uint8_t)observed);
		j->summary_index = c->index;
	}
	a->desired = (uint8_t)desired;
	a->observed = (uint8_t)observed;
	bool live = !alloc_is_terminal(a), holds = alloc_holds(a);
	j->n_live += (uint32_t)live - (uint32_t)was_live;
	if (a->node && held && !holds)
		let_go(c->s, a);
	if (a->node && !held && holds)
		hold(a);
}

void alloc_rebase(struct state *s, struct alloc *a, struct job_version *v, uint16_t group)
{
	struct job_version *old = a->version;
	bool holds = a->node && alloc_holds(a);
	if (holds)
		let_go(s, a);
	v->refs++;
	a->version = v;
	a->group = group;
	if (holds)
		hold(a);
	job_version_unref(old);
}

void alloc_unlink_node(struct apply *c, struct alloc *a)
{
	if (!a->node)
		return;
	if (alloc_holds(a))
		let_go(c->s, a);
	link_remove(&a->by_node);
	a->node->n_allocs--;
	a->node = NULL;
}

static void remember_gone(struct apply *c, struct node_entry *n, struct uuid id)
{
	if (!n->gone)
		n->gone = xcalloc(NODE_GONE_KEPT, sizeof(*n->gone));
	if (n->n_gone == NODE_GONE_KEPT) {
		n->gone_index = n->gone[0].index;
		memmove(n->gone, n->gone + 1, --n->n_gone * sizeof(*n->gone));
	}
	n->gone[n->n_gone++] = (struct node_gone){.index = c->index, .alloc = id};
	n->alloc_index = c->index;
}

void alloc_delete(struct apply *c, struct alloc *a)
{
	struct job_entry *j = a->version->job;
	struct node_entry *n = a->node;
	state_changed(c, TABLE_ALLOCS, a, true);
	if (!alloc_is_terminal(a))
		j->n_live--;
	alloc_unlink_node(c, a);
	if (n)
		remember_gone(c, n, a->id);
	link_remove(&a->by_job);
	j->n_allocs--;
	uuid_table_del(c->s->allocs, a->id);
	free(a->ports);
	if (a->extra)
		arena_free(a->extra->arena);
	free(a->extra);
	metric_ref_unref(a->metric);
	job_version_unref(a->version);
	a->by_job.next = c->s->free_allocs;
	c->s->free_allocs = &a->by_job;
}

struct metric_ref *metric_ref_new(struct arena *arena, struct alloc_metric *m)
{
	struct metric_ref *r = xcalloc(1, sizeof(*r));
	r->arena = arena;
	r->metric = m;
	r->refs = 1;
	return r;
}

void metric_ref_unref(struct metric_ref *m)
{
	if (!m || --m->refs)
		return;
	arena_free(m->arena);
	free(m);
}

/* ---- evaluations ---- */

static bool is_open(enum eval_status s)
{
	return s == EVAL_PENDING || s == EVAL_BLOCKED;
}

/* Counters and the job's blocked evaluation follow a change of status. */
static void eval_moved(struct apply *c, struct eval_entry *e, bool was_open)
{
	struct job_entry *j = e->job;
	j->n_open_evals += (uint32_t)is_open(e->status) - (uint32_t)was_open;
	if (c->index) /* a snapshot has it by itself */
		j->evaluated |= !is_open(e->status);
	if (e->status == EVAL_BLOCKED)
		j->blocked = e;
	else if (j->blocked == e)
		j->blocked = NULL;
	state_changed(c, TABLE_EVALS, e, false);
	job_refresh(c, j);
}

static void count_queued(struct apply *c, struct job_entry *j, const struct eval *spec)
{
	for (uint32_t i = 0; i < spec->queued_allocations.n; i++) {
		struct group_summary *sum = objmap_get(&j->summary, spec->queued_allocations.v[i].key);
		uint32_t queued = (uint32_t)MAX(0, MIN(spec->queued_allocations.v[i].value, UINT32_MAX));
		if (!sum || sum->queued == queued)
			continue;
		sum->queued = queued;
		j->summary_index = c->index;
	}
}

int eval_set(struct apply *c, struct arena *arena, struct eval *spec)
{
	struct uuid id;
	int status = name_index(eval_status_names, spec->status);
	struct job_entry *j = spec->job_id && spec->namespace ? state_job_any(c->s, spec->namespace, spec->job_id) : NULL;
	struct eval_entry *e = NULL;
	if (str_empty(spec->id) || uuid_parse(spec->id, &id) || status < 0 || !j ||
	    ((e = state_eval(c->s, id)) && e->job != j)) {
		arena_free(arena);
		return apply_bad(c, "an evaluation without a sound id, status or job");
	}
	bool was_open = e && is_open(e->status);
	if (!e) {
		e = xcalloc(1, sizeof(*e));
		e->id = id;
		e->job = j;
		e->create_index = c->index ? c->index : (uint64_t)spec->create_index;
		link_init(&e->queue);
		link_append(&j->evals, &e->by_job);
		uuid_table_add(c->s->evals, e);
	}
	arena_free(e->arena);
	e->arena = arena;
	e->spec = spec;
	e->status = (enum eval_status)status;
	e->modify_index = c->index ? c->index : (uint64_t)spec->modify_index;
	MODEL_SET(eval, spec, create_index, (int64_t)e->create_index);
	MODEL_SET(eval, spec, modify_index, (int64_t)e->modify_index);
	if (c->index)
		count_queued(c, j, spec);
	eval_moved(c, e, was_open);
	return 0;
}

void eval_set_status(struct apply *c, struct eval_entry *e, enum eval_status status, const char *description)
{
	bool was_open = is_open(e->status);
	e->status = status;
	e->modify_index = c->index;
	MODEL_SET(eval, e->spec, status, eval_status_names[status]);
	MODEL_SET(eval, e->spec, status_description, arena_strdup(e->arena, description));
	MODEL_SET(eval, e->spec, modify_index, (int64_t)c->index);
	MODEL_SET(eval, e->spec, modify_time, c->time);
	eval_moved(c, e, was_open);
}

void eval_delete(struct apply *c, struct eval_entry *e)
{
	struct job_entry *j = e->job;
	state_changed(c, TABLE_EVALS, e, true);
	if (is_open(e->status))
		j->n_open_evals--;
	if (j->blocked == e)
		j->blocked = NULL;
	j->evaluated = true;
	link_remove(&e->by_job);
	uuid_table_del(c->s->evals, e->id);
	arena_free(e->arena);
	free(e);
	job_refresh(c, j);
}
