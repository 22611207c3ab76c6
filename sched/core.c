#include "sched/core.h"

#include <errno.h>

#include "sched/answers.h"
#include "sched/core_internal.h"
#include "sched/fit.h"
#include "sched/snapshot.h"
#include "sched/why.h"

/* A refused write is tried again after this. */
#define RETRY_AFTER (5 * SECOND)
#define USUAL_ENTRY (64u << 10) /* bytes; most are smaller */

static void fill_defaults(struct core_config *c)
{
#define DEFAULT(field, value) c->field = c->field ? c->field : (value)
	DEFAULT(heartbeat_grace, 10 * SECOND);
	DEFAULT(min_heartbeat_ttl, 10 * SECOND);
	if (!(c->max_heartbeats_per_second > 0))
		c->max_heartbeats_per_second = 50;
	DEFAULT(failover_heartbeat_ttl, 5 * MINUTE);
	DEFAULT(witness_grace, 2 * MINUTE);
	DEFAULT(node_gc_threshold, 24 * HOUR);
	DEFAULT(job_gc_interval, 5 * MINUTE);
	DEFAULT(job_gc_threshold, 4 * HOUR);
	DEFAULT(eval_gc_threshold, HOUR);
	DEFAULT(batch_eval_gc_threshold, 24 * HOUR);
	DEFAULT(deployment_gc_threshold, HOUR);
	DEFAULT(job_max_priority, 100);
	DEFAULT(job_default_priority, 50);
	DEFAULT(job_max_count, 50000);
	DEFAULT(max_pending_evals, 1000000);
	DEFAULT(region, "global");
#undef DEFAULT
}

/* ---- life ---- */

static void on_change(void *arg, enum state_table table, const void *obj, bool deleted)
{
	struct core *c = arg;
	core_drains_changed(c, table, obj);
	core_scale_ins_changed(c, table);
	if (table == TABLE_EVALS) {
		struct eval_entry *e = (struct eval_entry *)obj;
		if (deleted)
			broker_drop(&c->broker, e);
		else
			broker_put(&c->broker, e);
	} else if (table == TABLE_ALLOCS) {
		const struct alloc *a = obj;
		struct eval_entry *blocked = a->version->job->blocked;
		if (blocked && alloc_is_terminal(a))
			blocked->own_ended = true;
	} else if (table == TABLE_NODES) {
		struct node_entry *n = (struct node_entry *)obj;
		core_returns_changed(c, n);
		if (deleted || n->status == NODE_DOWN || n->status == NODE_DISCONNECTED)
			nodes_forget(&c->nodes, n);
	}
}

struct core *core_new(const struct core_config *config)
{
	struct core *c = xcalloc(1, sizeof(*c));
	c->config = *config;
	fill_defaults(&c->config);
	c->state = state_new();
	broker_init(&c->broker);
	nodes_init(&c->nodes);
	return c;
}

int core_follow(struct core *c, uint64_t index, const void *p, size_t n, struct err *e)
{
	c->stats.journal_entries += index != 0;
	if (!index)
		c->snapshot_bytes += n;
	int r = state_apply(c->state, index, p, n, e);
	if (r)
		return err_wrap(e, "journal entry %llu", (unsigned long long)index);
	c->committed = c->state->index;
	return 0;
}

static int on_replayed(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	return core_follow(arg, index, p, n, e);
}

static bool put_in_broker(void *arg, struct eval_entry *e)
{
	e->own_ended = true; /* perhaps */
	broker_put(&((struct core *)arg)->broker, e);
	return true;
}

static void rebuild(struct core *c, int64_t now)
{
	state_each_eval(c->state, put_in_broker, c);
	for (uint32_t i = 0; i < c->state->cap_nodes; i++) {
		struct node_entry *n = c->state->nodes[i];
		if (n)
			core_drains_changed(c, TABLE_NODES, n);
		if (n)
			core_returns_changed(c, n);
		if (n && n->status != NODE_DOWN && n->status != NODE_DISCONNECTED)
			core_node_await(c, n, now);
		/* What was blocked is asked once: nobody remembers what was freed before the stop. */
		if (n)
			node_capacity_grew(c->state, n);
	}
	broker_take_freed(&c->broker, c->state);
	c->scale_ins.any = c->scale_ins.changed = c->state->n_scale_ins > 0;
}

static int write_genesis(struct core *c, int64_t now, struct err *e)
{
	struct uuid seed = uuid_derive((struct uuid){.hi = c->config.seed, .lo = 0x64726f766572}, 0);
	core_begin(c, now);
	entry_genesis(&c->entry, uuid_derive(seed, UINT64_MAX), seed);
	return core_append(c, NULL, e);
}

int core_lead(struct core *c, struct journal *j, int64_t now, struct err *e)
{
	if (c->state->restore)
		return err_set(e, -EBADMSG, "the journal's snapshot has no end");
	c->journal = j;
	c->next_gc = now + c->config.job_gc_interval;
	c->returns_at = NEVER;
	c->state->observe = on_change;
	c->state->observe_arg = c;
	rebuild(c, now);
	return uuid_is_nil(c->state->seed) ? write_genesis(c, now, e) : 0;
}

void core_retire(struct core *c)
{
	c->journal = NULL;
	c->state->observe = NULL;
}

static void put_into_copy(void *arg, const void *p, size_t n)
{
	struct err bug = ERR_INIT;
	if (core_follow(arg, 0, p, n, &bug))
		die("a state cannot be read back from its own snapshot: %s", err_str(&bug));
}

struct core *core_copy(const struct core *from)
{
	struct core *c = core_new(&from->config);
	snapshot_write(from->state, put_into_copy, c);
	return c;
}

bool core_leads(const struct core *c)
{
	return c->journal != NULL;
}

int core_open(const struct core_config *config, struct journal *j, int64_t now, struct core **out, struct err *e)
{
	struct core *c = core_new(config);
	int r = j->ops->replay(j, on_replayed, c, e);
	if (!r)
		r = core_lead(c, j, now, e);
	if (r) {
		core_close(c);
		return r;
	}
	*out = c;
	return 0;
}

void core_close(struct core *c)
{
	if (!c)
		return;
	broker_release(&c->broker);
	nodes_release(&c->nodes);
	state_free(c->state);
	buf_free(&c->entry);
	arena_free(c->warnings_arena);
	free(c);
}

struct state *core_state(struct core *c)
{
	return c->state;
}

/* ---- entries ---- */

struct uuid core_id(const struct core *c, uint32_t n)
{
	return uuid_derive(c->state->seed, (c->state->index + 1) * CORE_IDS + n);
}

void core_begin(struct core *c, int64_t now)
{
	entry_begin(&c->entry, now);
}

int core_append(struct core *c, uint64_t *index, struct err *e)
{
	uint64_t next = c->state->index + 1;
	int r = c->journal->ops->append(c->journal, next, c->entry.data, c->entry.len, e);
	if (r)
		return r;
	struct err bug = ERR_INIT;
	if (state_apply(c->state, next, c->entry.data, c->entry.len, &bug))
		die("an entry that was just written cannot be applied: %s", err_str(&bug));
	c->stats.journal_entries++;
	broker_take_freed(&c->broker, c->state);
	if (c->entry.cap > (1u << 20))
		buf_free(&c->entry);
	if (index)
		*index = next;
	return 0;
}

struct eval *core_eval(struct core *c, struct arena *a, uint32_t n, const struct job_entry *j, const char *trigger, int64_t now)
{
	struct eval *ev = MODEL_NEW(a, eval);
	const struct job *spec = j->current->spec;
	char id[UUID_STR];
	MODEL_SET(eval, ev, id, arena_strdup(a, uuid_format(core_id(c, n), id)));
	MODEL_SET(eval, ev, namespace, j->ns);
	MODEL_SET(eval, ev, job_id, j->id);
	MODEL_SET(eval, ev, type, spec->type);
	MODEL_SET(eval, ev, priority, spec->priority);
	MODEL_SET(eval, ev, triggered_by, trigger);
	MODEL_SET(eval, ev, job_modify_index, (int64_t)j->current->modify_index);
	MODEL_SET(eval, ev, status, eval_status_names[EVAL_PENDING]);
	MODEL_SET(eval, ev, create_time, now);
	MODEL_SET(eval, ev, modify_time, now);
	return ev;
}

bool core_eval_is_due(const struct job_entry *j)
{
	uint32_t open = j->n_open_evals;
	for (const struct link *l = j->evals.prev; open && l != &j->evals; l = l->prev) {
		const struct eval_entry *e = CONTAINER_OF(l, struct eval_entry, by_job);
		if (e->status == EVAL_PENDING && !e->spec->wait_until)
			return true;
		open -= e->status == EVAL_PENDING || e->status == EVAL_BLOCKED;
	}
	return false;
}

int core_refuse_when_full(const struct core *c, struct err *e)
{
	uint64_t waiting = (uint64_t)c->broker.ready.n + c->broker.waiting.n;
	if (waiting < (uint64_t)c->config.max_pending_evals)
		return 0;
	return err_set(e, -EAGAIN, "queue full: %llu evaluations are pending (server.max_pending_evals); try again later",
	    (unsigned long long)waiting);
}

void core_reply(const struct core *c, const struct eval *ev, const struct job_entry *j, uint64_t index,
    struct core_eval_reply *out)
{
	*out = (struct core_eval_reply){.index = index, .warnings = ""};
	(void)c;
	if (ev) {
		uuid_parse(ev->id, &out->eval);
		out->eval_create_index = index;
	}
	if (j && j->current)
		out->job_modify_index = j->current->modify_index;
}

/* ---- scheduling ---- */

/* Of the job's evaluations that are ready, the newest does the work of all. */
static struct eval_entry *newest_ready(const struct eval_entry *e)
{
	struct link *head = &e->job->evals;
	uint32_t open = e->job->n_open_evals;
	for (struct link *l = head->prev; open && l != head; l = l->prev) {
		struct eval_entry *x = CONTAINER_OF(l, struct eval_entry, by_job);
		if (x->status == EVAL_PENDING && x->place == BROKER_READY)
			return x;
		open -= x->status == EVAL_PENDING || x->status == EVAL_BLOCKED;
	}
	return (struct eval_entry *)e;
}

static void put_cancelled(struct core *c, const struct eval_entry *kept, bool awaits)
{
	struct link *head = &kept->job->evals;
	uint32_t open = kept->job->n_open_evals;
	for (struct link *l = head->prev; open && l != head; l = l->prev) {
		struct eval_entry *x = CONTAINER_OF(l, struct eval_entry, by_job);
		if (x != kept && x->status == EVAL_PENDING && x->place == BROKER_READY)
			entry_eval_cancel(&c->entry, x->id, "canceled after more recent eval was processed");
		else if (x != kept && x->status == EVAL_PENDING && !awaits && str_eq(x->spec->triggered_by, PLAN_TIMEOUT))
			entry_eval_cancel(&c->entry, x->id, "canceled since nothing is away any more");
		open -= x->status == EVAL_PENDING || x->status == EVAL_BLOCKED;
	}
}

static bool makes_blocked(const struct plan *p)
{
	OBJS_EACH(&p->new_evals, struct eval, ev)
		if (str_eq(ev->status, eval_status_names[EVAL_BLOCKED]))
			return true;
	return false;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static const char *node_label(const struct node_entry *n)
{
	return n->spec->name ? n->spec->name : n->spec->id;
}

/* Is every granted port free, on its node and within the plan? */
static bool check_ports(const struct plan *p, const char **why, struct arena *a)
{
	size_t n = 0;
	for (uint32_t i = 0; i < p->n_places; i++)
		n += p->version->asks[p->places[i].group].n_ports;
	cleanup_free uint64_t *taken = xcalloc(n + 1, sizeof(*taken));
	n = 0;
	for (uint32_t i = 0; i < p->n_places; i++) {
		const struct placement *x = &p->places[i];
		const struct group_ask *ask = &p->version->asks[x->group];
		for (uint32_t k = 0; k < ask->n_ports; k++) {
			if (ask->ports[k].ignore_collision)
				continue;
			if (port_set_has(x->node->ports, x->ports[k].value)) {
				*why = arena_printf(a, "plan for node %s does not fit: port %u is taken",
				    node_label(x->node), x->ports[k].value);
				return false;
			}
			taken[n++] = (uint64_t)x->node->slot << 16 | x->ports[k].value;
		}
	}
	qsort(taken, n, sizeof(*taken), by_value);
	for (size_t i = 1; i < n; i++)
		if (taken[i] == taken[i - 1]) {
			*why = "plan gives a port of a node away twice";
			return false;
		}
	return true;
}

/* Does everything that the plan places still fit, node by node? The answer comes from the function that placed it. */
static bool check_plan(const struct core *c, const struct plan *p, const char **why, struct arena *a)
{
	cleanup_free struct amount *extra = xcalloc(c->state->cap_nodes + 1, sizeof(*extra));
	for (uint32_t i = 0; i < p->n_places; i++) {
		const struct placement *x = &p->places[i];
		struct group_ask ask = p->version->asks[x->group];
		ask.n_ports = 0; /* granted ports are looked at one by one */
		struct fit_result r = fit_check(x->node, &ask, extra[x->node->slot], NULL, NULL, 0, NULL);
		if (r.dimension != FIT_OK || x->node->status != NODE_READY) {
			*why = arena_printf(a, "plan for node %s does not fit: %s", node_label(x->node),
			    r.dimension != FIT_OK ? fit_dimension_names[r.dimension] : "it is not ready");
			return false;
		}
		amount_add(&extra[x->node->slot], &ask.amount);
	}
	return check_ports(p, why, a);
}

/* What the plan could not keep is worked out again by a blocked evaluation, when capacity changes. */
static void fail_plan(struct core *c, const struct eval_entry *e, struct plan *p, struct arena *a, const char *why, int64_t now)
{
	struct eval *after = model_copy(a, &type_eval, e->spec);
	MODEL_SET(eval, after, status, eval_status_names[EVAL_FAILED]);
	MODEL_SET(eval, after, status_description, why);
	MODEL_SET(eval, after, modify_time, now);
	*p = (struct plan){.seed = p->seed, .eval = after, .awaits = true};
	if (e->job->current) {
		struct eval *again = core_eval(c, a, 0, e->job, "max-plan-attempts", now);
		MODEL_SET(eval, again, wait_until, now + MINUTE);
		MODEL_SET(eval, again, previous_eval, e->spec->id);
		objs_push(a, &p->new_evals, again);
	}
	c->stats.plan_failures++;
}

static void process(struct core *c, struct eval_entry *e, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_err struct err err = ERR_INIT;
	struct plan p = {0};
	const char *why = NULL;
	struct plan_request req = {
	    .state = c->state,
	    .eval = e->spec,
	    .job = e->job,
	    .version = e->job->current,
	    .now = now,
	    .seed = core_id(c, CORE_ID_PLAN),
	};
	answers_trim(c->state->answers);
	plan_make(&req, a, &p);
	if (!check_plan(c, &p, &why, a))
		fail_plan(c, e, &p, a, why, now);
	struct eval_entry *blocked = e->job->blocked;
	bool still = e == blocked && str_eq(p.eval->status, eval_status_names[EVAL_BLOCKED]);
	c->stats.plans++;
	if (still && plan_is_noop(&p)) {
		broker_drop(&c->broker, e); /* it may come from a retry's waiting line */
		broker_put(&c->broker, e);
		return;
	}
	MODEL_SET(eval, p.eval, snapshot_index, (int64_t)c->state->index);
	core_begin(c, now);
	entry_plan(&c->entry, &p);
	put_cancelled(c, e, p.awaits);
	bool done = str_eq(p.eval->status, eval_status_names[EVAL_COMPLETE]);
	if (blocked && blocked != e && (done || makes_blocked(&p)))
		entry_eval_cancel(&c->entry, blocked->id, "canceled after more recent eval was processed");
	if (core_append(c, NULL, &err)) {
		broker_delay(&c->broker, e, now + RETRY_AFTER);
		return;
	}
	c->stats.placements += p.n_places;
	c->stats.evals_done += done;
	for (uint32_t i = 0; i < p.n_stops; i++)
		if (p.stops[i].observed == OBSERVED_LOST)
			core_node_unawaited(c, p.stops[i].alloc->node, now);
}

bool core_step(struct core *c, int64_t now)
{
	bool more = false;
	if (c->state->config->pause_eval_broker)
		return false;
	/* First, so that what is placed is placed by what it decides. */
	core_scale_ins_step(c, now);
	struct eval_entry *e = broker_next(&c->broker, c->state, now, &more);
	if (e)
		process(c, newest_ready(e), now);
	core_drains_step(c, e != NULL, now);
	return e || more || (c->drains.any && c->drains.changed);
}

struct wait_reason *core_why(struct core *c, struct arena *a, const struct job_entry *job, const char *group, int64_t now)
{
	struct job_entry *j = state_job_any(c->state, job->ns, job->id);
	return j ? why_group(c->state, j, group, c->broker.ready.n, now, a) : NULL;
}

void core_why_job(struct core *c, struct arena *a, const struct job_entry *job, int64_t now, struct objmap *out)
{
	struct job_entry *j = state_job_any(c->state, job->ns, job->id);
	if (j)
		why_job(c->state, j, c->broker.ready.n, now, a, out);
}

void core_tick(struct core *c, int64_t now)
{
	core_liveness_tick(c, now);
	core_returns_tick(c, now);
	if (c->next_gc > now)
		return;
	c->next_gc = now + c->config.job_gc_interval;
	const struct gc_thresholds t = {
	    .eval = c->config.eval_gc_threshold,
	    .batch_eval = c->config.batch_eval_gc_threshold,
	    .job = c->config.job_gc_threshold,
	    .node = c->config.node_gc_threshold,
	};
	gc_run(c, &t, now, NULL); /* what the journal refuses is collected next time */
}

void core_excuse(struct core *c, int64_t time)
{
	nodes_excuse(&c->nodes, time);
}

int64_t core_next_deadline(const struct core *c)
{
	int64_t d = MIN(MIN(c->next_gc, nodes_deadline(&c->nodes)), c->returns_at);
	if (c->state->config->pause_eval_broker)
		return d;
	return MIN(MIN(d, core_scale_ins_deadline(c)), MIN(core_drains_deadline(c), broker_deadline(&c->broker)));
}

int core_gc(struct core *c, int64_t now, uint64_t *index, struct err *e)
{
	const struct gc_thresholds all = {0};
	int r = gc_run(c, &all, now, e);
	if (!r)
		*index = c->state->index;
	return r;
}

/* ---- durability ---- */

bool core_commit_begin(struct core *c)
{
	if (c->committing || !c->journal->ops->commit_begin(c->journal))
		return false;
	return c->committing = true;
}

int core_commit_run(struct core *c, struct err *e)
{
	return c->journal->ops->commit_run(c->journal, e);
}

int core_check_room(struct core *c, struct err *e)
{
	return c->journal->ops->room ? c->journal->ops->room(c->journal, USUAL_ENTRY, e) : 0;
}

bool core_is_shared(const struct core *c)
{
	return c->journal && c->journal->ops->confirm;
}

int core_confirm(struct core *c, struct err *e)
{
	return c->journal->ops->confirm(c->journal, e);
}

void core_commit_end(struct core *c)
{
	c->committed = c->journal->ops->commit_end(c->journal);
	c->committing = false;
}

uint64_t core_committed(const struct core *c)
{
	return c->committed;
}

struct counted {
	struct core *core;
	void (*put)(void *put_arg, const void *p, size_t n);
	void *put_arg;
};

static void put_counted(void *arg, const void *p, size_t n)
{
	struct counted *to = arg;
	to->core->snapshot_bytes += n;
	to->put(to->put_arg, p, n);
}

static void write_snapshot(void *arg, void (*put)(void *put_arg, const void *p, size_t n), void *put_arg)
{
	struct counted to = {arg, put, put_arg};
	to.core->snapshot_bytes = 0;
	snapshot_write(to.core->state, put_counted, &to);
}

int core_snapshot(struct core *c, struct err *e)
{
	if (c->committing && !c->journal->ops->defers_snapshots)
		return err_set(e, -EBUSY, "a commit is running");
	/* A snapshot stands for everything that was appended, so all of it has to be durable first. */
	if (!c->journal->ops->defers_snapshots && core_commit_begin(c)) {
		int r = core_commit_run(c, e);
		if (r)
			return r;
		core_commit_end(c);
	}
	int r = c->journal->ops->snapshot(c->journal, c->state->index, write_snapshot, c, e);
	if (r)
		return r;
	c->stats.snapshots++;
	return 0;
}

int core_maybe_snapshot(struct core *c, struct err *e)
{
	uint64_t log = c->journal->ops->log_bytes(c->journal);
	uint64_t after = c->config.snapshot_after ? c->config.snapshot_after : c->journal->ops->snapshot_after;
	if (c->committing || log < MAX(after, c->snapshot_bytes) || log < c->snapshot_retry)
		return 0;
	int r = core_snapshot(c, e);
	if (r == -EBUSY) {
		err_clear(e);
		return 0;
	}
	/* A disk that is too full for it is asked again when the log has grown some more. */
	c->snapshot_retry = r ? log + after / 4 : 0;
	return r;
}

void core_stats(const struct core *c, struct core_stats *out)
{
	*out = c->stats;
	out->evals_ready = c->broker.ready.n;
	out->evals_waiting = c->broker.waiting.n;
	out->evals_blocked = c->broker.n_blocked;
	out->heartbeats_active = c->nodes.timers.n;
	out->journal_bytes = c->journal ? c->journal->ops->log_bytes(c->journal) : 0;
}
