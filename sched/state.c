#include "sched/state.h"

#include <errno.h>

#include "sched/answers.h"
#include "sched/state_internal.h"

const char *const job_type_names[] = {"service", "batch", "system", "sysbatch", NULL};
const char *const job_status_names[] = {"pending", "running", "dead", NULL};
const char *const node_status_names[] = {"initializing", "ready", "down", "disconnected", NULL};
const char *const desired_names[] = {"run", "stop", "evict", NULL};
const char *const observed_names[] = {"pending", "running", "complete", "failed", "lost", "unknown", NULL};
const char *const eval_status_names[] = {"pending", "blocked", "complete", "failed", "canceled", NULL};

int name_index(const char *const *names, const char *word)
{
	for (int i = 0; word && names[i]; i++)
		if (!strcmp(names[i], word))
			return i;
	return -1;
}

void link_init(struct link *l)
{
	l->prev = l->next = l;
}

void link_append(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

void link_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

struct state *state_new(void)
{
	struct state *s = xcalloc(1, sizeof(*s));
	/* Ids of nodes come from the clients; the others are derived and well mixed. */
	s->nodes_by_id = uuid_table_new(false);
	s->allocs = uuid_table_new(true);
	s->evals = uuid_table_new(true);
	s->deployments = uuid_table_new(true);
	s->answers = answers_new();
	s->scratch = xcalloc(1, sizeof(*s->scratch));
	s->config_arena = arena_new();
	s->config = MODEL_NEW(s->config_arena, scheduler_config);
	MODEL_SET(scheduler_config, s->config, scheduler_algorithm, "binpack");
	s->config->preemption_config = MODEL_NEW(s->config_arena, preemption_config);
	s->config->has |= MODEL_BIT(scheduler_config, preemption_config);
	MODEL_SET(preemption_config, s->config->preemption_config, system_scheduler_enabled, true);
	return s;
}

void state_free(struct state *s)
{
	if (!s)
		return;
	void *obj;
	const char *key;
	restore_free(s->restore);
	for (uint32_t i = 0; (obj = uuid_table_next(s->allocs, &i));) {
		struct alloc *a = obj;
		free(a->ports);
		if (a->extra)
			arena_free(a->extra->arena);
		free(a->extra);
		metric_ref_unref(a->metric);
		job_version_unref(a->version);
	}
	for (uint32_t i = 0; (obj = uuid_table_next(s->evals, &i));) {
		arena_free(((struct eval_entry *)obj)->arena);
		free(obj);
	}
	for (uint32_t i = 0; map_next(&s->jobs, &i, &key, &obj);)
		job_entry_free(obj);
	for (uint32_t i = 0; i < s->cap_nodes; i++)
		if (s->nodes[i])
			node_entry_free(s->nodes[i]);
	map_free(&s->jobs);
	answers_free(s->answers);
	map_free(&s->classes);
	map_free(&s->datacenters);
	map_free(&s->pools);
	for (uint32_t i = 0; i < s->cap_nodes / NODES_IN_CHUNK; i++)
		free(s->chunks[i]);
	free(s->chunks);
	free(s->scratch->amounts);
	free(s->scratch);
	free(s->nodes);
	uuid_table_free(s->nodes_by_id);
	uuid_table_free(s->allocs);
	uuid_table_free(s->evals);
	uuid_table_free(s->deployments);
	arena_free(s->config_arena);
	for (uint32_t i = 0; i < s->n_scale_ins; i++)
		arena_free(s->scale_ins[i].arena);
	while (s->slab)
		alloc_slab_pop(s);
	free(s);
}

struct job_entry *state_job_any(const struct state *s, const char *ns, const char *id)
{
	char fixed[256];
	int n = snprintf(fixed, sizeof(fixed), "%s\x1f%s", ns, id);
	if (n < 0)
		return NULL;
	if ((size_t)n < sizeof(fixed))
		return map_get(&s->jobs, fixed);
	cleanup_free char *key = xasprintf("%s\x1f%s", ns, id);
	return map_get(&s->jobs, key);
}

struct job_entry *state_job(const struct state *s, const char *ns, const char *id)
{
	struct job_entry *j = state_job_any(s, ns, id);
	return j && !j->purged ? j : NULL;
}

struct job_version *job_find_version(const struct job_entry *j, uint64_t version)
{
	for (uint32_t i = 0; i < j->n_versions; i++)
		if (j->versions[i]->version == version)
			return j->versions[i];
	return NULL;
}

struct node_entry *state_node(const struct state *s, struct uuid id)
{
	return uuid_table_get(s->nodes_by_id, id);
}

struct alloc *state_alloc(const struct state *s, struct uuid id)
{
	return uuid_table_get(s->allocs, id);
}

struct eval_entry *state_eval(const struct state *s, struct uuid id)
{
	return uuid_table_get(s->evals, id);
}

struct scale_in_entry *state_scale_in(const struct state *s, struct uuid id)
{
	for (uint32_t i = 0; i < s->n_scale_ins; i++)
		if (uuid_eq(s->scale_ins[i].id, id))
			return (struct scale_in_entry *)&s->scale_ins[i];
	return NULL;
}

struct deployment_entry *state_deployment(const struct state *s, struct uuid id)
{
	return uuid_table_get(s->deployments, id);
}

uint32_t state_count_allocs(const struct state *s)
{
	return uuid_table_count(s->allocs);
}

uint32_t state_count_evals(const struct state *s)
{
	return uuid_table_count(s->evals);
}

static int job_order(const void *a, const void *b)
{
	const struct job_entry *x = *(struct job_entry *const *)a, *y = *(struct job_entry *const *)b;
	int c = strcmp(x->ns, y->ns);
	return c ? c : strcmp(x->id, y->id);
}

static int id_order(const void *a, const void *b)
{
	return uuid_cmp(**(struct uuid *const *)a, **(struct uuid *const *)b);
}

static int create_order(uint64_t a_index, uint64_t b_index, const void *a, const void *b)
{
	return a_index != b_index ? (a_index < b_index ? -1 : 1) : id_order(a, b);
}

static int alloc_order(const void *a, const void *b)
{
	return create_order((*(struct alloc *const *)a)->create_index, (*(struct alloc *const *)b)->create_index, a, b);
}

static int eval_order(const void *a, const void *b)
{
	return create_order((*(struct eval_entry *const *)a)->create_index,
	    (*(struct eval_entry *const *)b)->create_index, a, b);
}

void state_each_job(const struct state *s, bool (*fn)(void *arg, struct job_entry *), void *arg)
{
	cleanup_free struct job_entry **v = xcalloc(s->jobs.n + 1, sizeof(struct job_entry *));
	uint32_t n = 0;
	const char *key;
	void *obj;
	for (uint32_t i = 0; map_next(&s->jobs, &i, &key, &obj);)
		if (!((struct job_entry *)obj)->purged)
			v[n++] = obj;
	qsort(v, n, sizeof(struct job_entry *), job_order);
	for (uint32_t i = 0; i < n && fn(arg, v[i]); i++)
		;
}

/* A table's objects as an owned array in the given order. */
static void **sorted(const struct uuid_table *t, int (*order)(const void *, const void *), uint32_t *n)
{
	void **v = xcalloc(uuid_table_count(t) + 1, sizeof(void *)), *obj;
	*n = 0;
	for (uint32_t i = 0; (obj = uuid_table_next(t, &i));)
		v[(*n)++] = obj;
	qsort(v, *n, sizeof(void *), order);
	return v;
}

void state_each_node(const struct state *s, bool (*fn)(void *arg, struct node_entry *), void *arg)
{
	uint32_t n;
	cleanup_free void **v = sorted(s->nodes_by_id, id_order, &n);
	for (uint32_t i = 0; i < n && fn(arg, v[i]); i++)
		;
}

void state_each_alloc(const struct state *s, bool (*fn)(void *arg, struct alloc *), void *arg)
{
	uint32_t n;
	cleanup_free void **v = sorted(s->allocs, alloc_order, &n);
	for (uint32_t i = 0; i < n && fn(arg, v[i]); i++)
		;
}

void state_each_eval(const struct state *s, bool (*fn)(void *arg, struct eval_entry *), void *arg)
{
	uint32_t n;
	cleanup_free void **v = sorted(s->evals, eval_order, &n);
	for (uint32_t i = 0; i < n && fn(arg, v[i]); i++)
		;
}

static int prefix(const struct uuid_table *t, const char *text, void **out, uint32_t max)
{
	struct uuid first, last;
	if (uuid_prefix(text, &first, &last))
		return -EINVAL;
	return (int)uuid_table_range(t, first, last, out, max);
}

int state_prefix_nodes(const struct state *s, const char *text, struct node_entry **out, uint32_t max)
{
	return prefix(s->nodes_by_id, text, (void **)out, max);
}

int state_prefix_allocs(const struct state *s, const char *text, struct alloc **out, uint32_t max)
{
	return prefix(s->allocs, text, (void **)out, max);
}

int state_prefix_evals(const struct state *s, const char *text, struct eval_entry **out, uint32_t max)
{
	return prefix(s->evals, text, (void **)out, max);
}

bool alloc_is_live(const struct alloc *a)
{
	return a->observed == OBSERVED_PENDING || a->observed == OBSERVED_RUNNING || a->observed == OBSERVED_UNKNOWN;
}

bool alloc_is_terminal(const struct alloc *a)
{
	return a->desired != DESIRED_RUN || !alloc_is_live(a);
}

bool alloc_holds(const struct alloc *a)
{
	return a->observed != OBSERVED_COMPLETE && a->observed != OBSERVED_FAILED;
}

const struct task_group *alloc_group(const struct alloc *a)
{
	return a->version->spec->task_groups.v[a->group];
}

const char *alloc_name(const struct alloc *a, char *out, size_t size)
{
	snprintf(out, size, "%s.%s[%u]", a->version->spec->id, alloc_group(a)->name, a->index);
	return out;
}
