/* The core's requests about nodes: who comes, is forgotten, and what each should run. Who lives: sched/core_liveness.c. */
#include <errno.h>

#include "sched/absence.h"
#include "sched/core_internal.h"
#include "sched/drain.h"
#include "sched/fit.h"

/* ---- evaluations that a change of a node asks for ---- */

static void put_node_eval(struct core *c, struct arena *a, const struct node_entry *n, const struct job_entry *j,
    uint32_t id, int64_t now, struct strs *ids)
{
	struct eval *ev = core_eval(c, a, id, j, "node-update", now);
	char text[UUID_STR];
	MODEL_SET(eval, ev, node_id, arena_strdup(a, uuid_format(n->id, text)));
	MODEL_SET(eval, ev, node_modify_index, (int64_t)c->state->index + 1);
	entry_eval(&c->entry, ev);
	if (ids)
		strs_push(a, ids, ev->id);
}

static int by_name(const void *a, const void *b)
{
	const struct job_entry *x = *(struct job_entry *const *)a, *y = *(struct job_entry *const *)b;
	int r = strcmp(x->ns, y->ns);
	return r ? r : strcmp(x->id, y->id);
}

static bool runs_everywhere(const struct job_entry *j)
{
	return !j->purged && !j->stop && (j->type == JOB_SYSTEM || j->type == JOB_SYSBATCH) &&
	    !j->current->spec->periodic && !j->current->spec->parameterized_job;
}

static void put_retry(struct core *c, const struct alloc *a)
{
	struct desired_transition t = {0};
	bool ended = a->observed == OBSERVED_FAILED || a->observed == OBSERVED_COMPLETE;
	bool asked = a->extra && a->extra->transition && a->extra->transition->force_reschedule;
	if (a->version->job->type != JOB_SYSTEM || a->version->job->stop || a->desired != DESIRED_RUN || !ended || asked)
		return;
	MODEL_SET(desired_transition, &t, force_reschedule, true);
	entry_alloc_transition(&c->entry, a->id, &t);
}

void core_put_retries(struct core *c, const struct node_entry *n, const struct job_entry *j)
{
	if (n)
		for (LINK_EACH(&n->allocs, struct alloc, by_node, x))
			put_retry(c, x);
	if (j)
		for (LINK_EACH(&j->allocs, struct alloc, by_job, y))
			put_retry(c, y);
}

uint32_t core_put_node_evals(struct core *c, struct arena *a, const struct node_entry *n, uint32_t first_id,
    int64_t now, struct strs *ids)
{
	cleanup_free struct job_entry **jobs =
	    xcalloc((size_t)n->n_allocs + c->state->jobs.n + 1, sizeof(struct job_entry *));
	uint32_t count = 0, made = 0;
	core_put_retries(c, n, NULL);
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x))
		if (alloc_is_live(x))
			jobs[count++] = x->version->job;
	const char *key;
	void *obj;
	for (uint32_t i = 0; map_next(&c->state->jobs, &i, &key, &obj);)
		if (runs_everywhere(obj))
			jobs[count++] = obj;
	qsort(jobs, count, sizeof(struct job_entry *), by_name);
	for (uint32_t i = 0; i < count && first_id + made < CORE_ID_PLAN; i++)
		if ((!i || jobs[i] != jobs[i - 1]) && (ids || !core_eval_is_due(jobs[i])))
			put_node_eval(c, a, n, jobs[i], first_id + made++, now, ids);
	return made;
}

/* ---- registration ---- */

static void add_event(struct arena *a, struct node *spec, const char *message, int64_t now, uint64_t index)
{
	struct node_event *ev = MODEL_NEW(a, node_event);
	MODEL_SET(node_event, ev, message, message);
	MODEL_SET(node_event, ev, subsystem, "Cluster");
	MODEL_SET(node_event, ev, timestamp, now);
	MODEL_SET(node_event, ev, create_index, (int64_t)index);
	while (spec->events.n >= NODE_EVENTS_KEPT)
		memmove(spec->events.v, spec->events.v + 1, --spec->events.n * sizeof(void *));
	objs_push(a, &spec->events, ev);
	spec->has |= MODEL_BIT(node, events);
}

static int check_node(const struct node *given, const struct node_entry *old, struct uuid *id, struct err *e)
{
	struct amount total;
	if (str_empty(given->id) || uuid_parse(given->id, id))
		return err_set(e, -EINVAL, "missing node ID for client registration: \"%.64s\" is no id",
		    given->id ? given->id : "");
	if (str_empty(given->datacenter))
		return err_set(e, -EINVAL, "missing datacenter for client registration");
	if (str_empty(given->name))
		return err_set(e, -EINVAL, "missing node name for client registration");
	if (str_empty(given->secret_id))
		return err_set(e, -EINVAL, "missing node secret ID for client registration");
	if (old && !str_eq(old->spec->secret_id, given->secret_id))
		return err_set(e, -EPERM, "node secret ID does not match. Not registering node.");
	struct port_set *ports = port_set_new();
	int r = fit_node_totals(given, &total, ports, e);
	port_set_free(ports);
	return r;
}

/* It drained itself because its agent was stopped, and it is another agent that registers: that one says nothing of a stop. */
static bool is_back(const struct node_entry *n, const struct node *given)
{
	const struct drain_metadata *m = n->spec->last_drain;
	return !n->eligible && m && str_eq(strmap_get(&m->meta, CORE_DRAIN_UNTIL), CORE_DRAIN_RESTART) &&
	    !str_eq(given->scheduling_eligibility, "ineligible");
}

/* Back is back: whoever takes the node out of service from now on means it. */
static void forget_restart(struct arena *a, struct drain_metadata *m)
{
	struct strmap rest = {0};
	for (uint32_t i = 0; i < m->meta.n; i++)
		if (!str_eq(m->meta.v[i].key, CORE_DRAIN_UNTIL))
			strmap_set(a, &rest, m->meta.v[i].key, m->meta.v[i].value);
	MODEL_SET(drain_metadata, m, meta, rest);
}

/* What the client says, completed by what the servers know of the node. */
static struct node *complete_node(struct core *c, struct arena *a, const struct node *given, const struct node_entry *old)
{
	struct node *spec = model_copy(a, &type_node, given);
	const struct node *kept = old ? old->spec : NULL;
	bool tells = old && old->status != NODE_READY && core_node_has_news(old);
	MODEL_SET(node, spec, status, node_status_names[tells ? NODE_INIT : NODE_READY]);
	MODEL_SET(node, spec, computed_class, nodes_computed_class(a, spec));
	if (str_empty(spec->node_pool))
		MODEL_SET(node, spec, node_pool, "default");
	bool ineligible = kept ? !old->eligible && !is_back(old, given) : str_eq(given->scheduling_eligibility, "ineligible");
	MODEL_SET(node, spec, scheduling_eligibility, ineligible ? "ineligible" : "eligible");
	static const uint64_t theirs = MODEL_BIT(node, drain_strategy) | MODEL_BIT(node, last_drain) |
	    MODEL_BIT(node, events) | MODEL_BIT(node, status_updated_at) | MODEL_BIT(node, create_index) |
	    MODEL_BIT(node, modify_index) | MODEL_BIT(node, drain) | MODEL_BIT(node, last_alloc_update_index) |
	    MODEL_BIT(node, last_missed_heartbeat_index);
	spec->has &= ~theirs;
	spec->drain_strategy = NULL;
	spec->last_drain = NULL;
	spec->events = (struct objs){0};
	if (kept) {
		struct node *copy = model_copy(a, &type_node, kept);
		spec->drain_strategy = copy->drain_strategy;
		spec->last_drain = copy->last_drain;
		if (is_back(old, given))
			forget_restart(a, spec->last_drain);
		spec->events = copy->events;
		MODEL_SET(node, spec, status_updated_at, kept->status_updated_at);
		spec->last_alloc_update_index = kept->last_alloc_update_index;
		spec->last_missed_heartbeat_index = kept->last_missed_heartbeat_index;
		spec->has |= copy->has & theirs;
	}
	(void)c;
	return spec;
}

int core_node_register(struct core *c, const struct node *given, int64_t now, struct core_node_reply *out, struct err *e)
{
	cleanup_arena struct arena *a = arena_new();
	struct uuid id = {0};
	struct node_entry *old = !str_empty(given->id) && !uuid_parse(given->id, &id) ? state_node(c->state, id) : NULL;
	int r = check_node(given, old, &id, e);
	if (!r && old)
		r = core_node_refuse_twin(c, old, given, now, e);
	if (r)
		return r;
	if (old && old->draining && is_back(old, given)) {
		struct core_drain_request cancel = {.mark_eligible = true};
		struct strs evals = {0};
		uint64_t index;
		r = core_node_drain(c, id, &cancel, now, &evals, a, &index, e);
		if (r)
			return r;
	}
	struct node *spec = complete_node(c, a, given, old);
	bool present = old && (old->status == NODE_READY || old->status == NODE_INIT);
	if (present && str_eq(old->spec->status, spec->status) && model_equal(&type_node, old->spec, spec, FIELD_RUN)) {
		core_node_heard(c, old, now, c->state->index, out);
		return 0;
	}
	bool returns = old && !present;
	if (!old || returns) {
		add_event(a, spec, old ? "Node re-registered" : "Node registered", now, c->state->index + 1);
		MODEL_SET(node, spec, status_updated_at, now / SECOND);
	}
	struct node_entry fresh = {.id = id};
	link_init(&fresh.allocs);
	uint64_t index;
	core_begin(c, now);
	entry_node(&c->entry, spec);
	if (str_eq(spec->status, node_status_names[NODE_READY]))
		core_put_node_evals(c, a, old ? old : &fresh, 0, now, NULL);
	r = core_append(c, &index, e);
	if (r)
		return r;
	core_node_heard(c, state_node(c->state, id), now, index, out);
	out->written = index;
	return 0;
}

static int find_node(const struct core *c, struct uuid id, struct node_entry **n, struct err *e)
{
	*n = state_node(c->state, id);
	return *n ? 0 : err_set(e, -ENOENT, "node not found");
}

/* ---- by hand ---- */

int core_node_eligibility(struct core *c, struct uuid id, bool eligible, int64_t now, uint64_t *index, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	if (r)
		return r;
	if (n->draining && eligible)
		return err_set(e, -EINVAL, "can not set node's scheduling eligibility to eligible while it is draining");
	if (n->eligible == eligible) {
		*index = c->state->index;
		return 0;
	}
	cleanup_arena struct arena *a = arena_new();
	core_begin(c, now);
	entry_node_eligibility(&c->entry, id, eligible,
	    eligible ? "Node marked as eligible for scheduling" : "Node marked as ineligible for scheduling");
	if (eligible)
		core_put_node_evals(c, a, n, 0, now, NULL);
	return core_append(c, index, e);
}

int core_node_evaluate(struct core *c, struct uuid id, int64_t now, struct strs *eval_ids, struct arena *a,
    uint64_t *index, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	if (r)
		return r;
	struct strs ids = {0};
	core_begin(c, now);
	core_put_node_evals(c, a, n, 0, now, &ids);
	*index = c->state->index;
	if (!entry_is_empty(&c->entry) && (r = core_append(c, index, e)))
		return r;
	*eval_ids = ids;
	return 0;
}

int core_node_purge(struct core *c, struct uuid id, int64_t now, struct strs *eval_ids, struct arena *a,
    uint64_t *index, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	if (r)
		return r;
	struct strs ids = {0};
	core_begin(c, now);
	core_put_node_evals(c, a, n, 0, now, &ids);
	entry_node_delete(&c->entry, id);
	r = core_append(c, index, e);
	if (r)
		return r;
	*eval_ids = ids;
	return 0;
}

/* ---- what a node should run ---- */

static int by_pointer(const void *a, const void *b)
{
	const struct job_version *x = *(struct job_version *const *)a, *y = *(struct job_version *const *)b;
	if (x->job != y->job)
		return by_name(&x->job, &y->job);
	return x->modify_index < y->modify_index ? -1 : x->modify_index > y->modify_index;
}

void core_node_work(struct core *c, struct arena *a, struct uuid id, uint64_t since, struct node_work *out)
{
	struct node_entry *n = state_node(c->state, id);
	*out = (struct node_work){0};
	MODEL_SET(node_work, out, index, (int64_t)c->state->index);
	if (!n)
		return;
	/* A node that was forgotten and came back begins anew, whatever it has heard before; so does one that missed what ended. */
	if (since < n->create_index || since < n->gone_index)
		since = 0;
	/* One that was away has to tell first what it has: what was given up meanwhile may go on, and what the servers have forgotten
	 * may be in the way of what it does not have yet. All is to be asked again then. */
	bool ready = n->status == NODE_READY;
	if (!ready)
		MODEL_SET(node_work, out, index, (int64_t)since);
	MODEL_SET(node_work, out, complete, !since && ready);
	cleanup_free struct job_version **versions = xcalloc(n->n_allocs + 1, sizeof(struct job_version *));
	uint32_t count = 0;
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		if (x->alloc_modify_index <= since || (!ready && (x->desired == DESIRED_RUN || absence_is_given_up(x))))
			continue;
		/* Versions count anew when a purged job's name is taken again. */
		bool of_another = x->version->modify_index < x->version->job->create_index;
		struct allocation *view = alloc_view(a, x, of_another);

		MODEL_SET(allocation, view, job_version, x->version->version);
		if (drain_is_awaited(c->state, x))
			MODEL_SET(allocation, view, migrated, true);
		objs_push(a, &out->allocs, view);
		if (!of_another)
			versions[count++] = x->version;
	}
	qsort(versions, count, sizeof(struct job_version *), by_pointer);
	for (uint32_t i = 0; i < count; i++)
		if (!i || versions[i] != versions[i - 1])
			objs_push(a, &out->jobs, job_view(a, versions[i]->job, versions[i]));
	for (uint32_t i = 0; i < n->n_gone; i++) {
		char text[UUID_STR];
		if (n->gone[i].index > since)
			strs_push(a, &out->gone, uuid_format(n->gone[i].alloc, text));
	}
	out->has |= MODEL_BIT(node_work, allocs) | MODEL_BIT(node_work, jobs) | MODEL_BIT(node_work, gone);
}
