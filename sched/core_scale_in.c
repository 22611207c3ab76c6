/* The core's requests about taking nodes away, and the swaps while that goes on. */
#include <errno.h>

#include "sched/core_internal.h"
#include "sched/scale_in.h"

#define LOOK_PAUSE (200 * MILLI)
#define OWN_ID     (CORE_ID_PLAN - 1) /* of an operation that was given none */

/* ---- writing ---- */

struct change { /* one entry about one operation */
	struct core *c;
	struct arena *a;
	struct scale_in *op; /* as it will be */
	int64_t now;
	uint32_t evals;
};

static void begin(struct change *x)
{
	MODEL_SET(scale_in, x->op, updated_at, x->now);
	core_begin(x->c, x->now);
	/* The operation first: its nodes make it a running one. */
	entry_scale_in(&x->c->entry, x->op);
}

static void put_drain(struct change *x, struct node_entry *n)
{
	struct core_drain_request req = {.spec = x->op->drain_spec};
	struct strmap meta = {0};

	for (uint32_t i = 0; i < x->op->meta.n; i++)
		strmap_set(x->a, &meta, x->op->meta.v[i].key, x->op->meta.v[i].value);
	strmap_set(x->a, &meta, SCALE_IN_META, x->op->id);
	req.meta = &meta;
	core_put_drain(x->c, x->a, n, &req, 0, x->now, NULL);
}

static void put_return(struct change *x, struct node_entry *n)
{
	const struct core_drain_request req = {.mark_eligible = true};

	x->evals += core_put_drain(x->c, x->a, n, &req, x->evals, x->now, NULL);
}

static void forget(struct scale_in *op, const struct node_entry *n)
{
	char id[UUID_STR];

	uuid_format(n->id, id);
	for (uint32_t i = 0; i < op->nodes.n; i++)
		if (str_eq(((const struct scale_in_node *)op->nodes.v[i])->node_id, id)) {
			memmove(&op->nodes.v[i], &op->nodes.v[i + 1], (--op->nodes.n - i) * sizeof(*op->nodes.v));
			return;
		}
}

/* Those that are back in service by somebody's hand are the operation's no more. */
static void forget_kept(const struct state *s, struct scale_in *op)
{
	struct node_entry *n;

	for (uint32_t i = op->nodes.n; i-- > 0;)
		if (scale_in_status(s, op->nodes.v[i], &n) == SCALE_KEPT)
			forget(op, n);
}

static int finish(struct change *x, uint64_t *index, struct err *e)
{
	int r = core_append(x->c, index, e);

	x->c->scale_ins.any = x->c->scale_ins.changed = true;
	return r;
}

/* ---- requests ---- */

static struct scale_in_entry *find(const struct state *s, const struct scale_in_request *req)
{
	struct scale_in_entry *e;
	struct uuid id;

	if (!str_empty(req->id) && !uuid_parse(req->id, &id) && (e = state_scale_in(s, id)))
		return e;
	for (uint32_t i = 0; i < s->n_scale_ins; i++) {
		const struct scale_in *op = s->scale_ins[i].spec;

		if (scale_in_runs(s, op) && str_eq(str_or(op->node_class, ""), str_or(req->node_class, "")) &&
		    str_eq(str_or(op->filter, ""), str_or(req->filter, "")))
			return (struct scale_in_entry *)&s->scale_ins[i];
	}
	return NULL;
}

static int check(const struct core *c, const struct scale_in_request *req, const struct scale_in_entry *known, struct err *e)
{
	uint32_t running = 0;
	struct uuid id;

	if (req->count < (known ? 0 : 1) || req->count > SCALE_IN_NODES)
		return err_set(
		    e, -EINVAL, "Count is %lld: expected a number of nodes from 1 to %d", (long long)req->count, SCALE_IN_NODES);
	if (!str_empty(req->id) && uuid_parse(req->id, &id))
		return err_set(e, -EINVAL, "ID \"%.64s\" is no UUID", req->id);
	for (uint32_t i = 0; i < c->state->n_scale_ins; i++)
		running += scale_in_runs(c->state, c->state->scale_ins[i].spec);
	if (!known && running >= SCALE_INS_RUN)
		return err_set(
		    e, -EAGAIN, "%u operations that take nodes away are running: wait for one, or cancel one", running);
	return 0;
}

static struct scale_in *new_op(struct core *c, const struct scale_in_request *req, int64_t now, struct arena *a)
{
	struct scale_in *op = MODEL_NEW(a, scale_in);
	char id[UUID_STR];

	MODEL_SET(scale_in, op, id,
	    str_empty(req->id) ? arena_strdup(a, uuid_format(core_id(c, OWN_ID), id)) : arena_strdup(a, req->id));
	MODEL_SET(scale_in, op, node_class, str_or(req->node_class, ""));
	MODEL_SET(scale_in, op, filter, str_or(req->filter, ""));
	MODEL_SET(scale_in, op, created_at, now);
	for (uint32_t i = 0; i < req->meta.n; i++)
		strmap_set(a, &op->meta, req->meta.v[i].key, req->meta.v[i].value);
	return op;
}

/* How the nodes that are drained from now on are drained. */
static void set_spec(struct scale_in *op, const struct scale_in_request *req, int64_t now, struct arena *a)
{
	if (req->drain_spec || !op->drain_spec) {
		op->drain_spec = MODEL_NEW(a, drain_spec);
		MODEL_SET(drain_spec, op->drain_spec, deadline, req->drain_spec ? req->drain_spec->deadline : HOUR);
		MODEL_SET(drain_spec, op->drain_spec, ignore_system_jobs, req->drain_spec && req->drain_spec->ignore_system_jobs);
		/* An hour is what nobody has named. */
		if (!req->drain_spec || req->drain_spec->finish_batch)
			MODEL_SET(drain_spec, op->drain_spec, finish_batch, true);
	}
	if (op->drain_spec->deadline > 0)
		MODEL_SET(scale_in, op, force_deadline, now + op->drain_spec->deadline);
	else
		MODEL_UNSET(scale_in, op, force_deadline);
}

static int too_few(const struct scale_in *op, int64_t asked, uint32_t candidates, struct err *e)
{
	return err_set(e, -EINVAL, "%lld more node%s asked to go, and %u can: active, eligible, not draining%s%s%s%s",
	    (long long)asked, asked == 1 ? " is" : "s are", candidates, *op->node_class ? ", of class " : "", op->node_class,
	    *op->filter ? ", matching " : "", op->filter);
}

/* More nodes than it has. */
static int grow(struct change *x, const struct scale_in_request *req, int64_t more, uint64_t *index, struct err *e)
{
	struct scale_choice choice;

	set_spec(x->op, req, x->now, x->a);
	scale_in_choose(x->c->state, x->op, (uint32_t)more, x->c->config.node_matches, x->now, x->a, &choice);
	if (choice.n_take < more)
		return too_few(x->op, more, choice.candidates, e);
	for (uint32_t i = 0; i < choice.n_take; i++)
		scale_in_name(x->op, &choice.take[i], req->dry_run, x->a);
	if (req->dry_run)
		return 0;
	begin(x);
	for (uint32_t i = 0; i < choice.n_take; i++)
		put_drain(x, choice.take[i].node);
	return finish(x, index, e);
}

/* Fewer: what is free stays free. */
static int shrink(struct change *x, int64_t less, uint64_t *index, struct err *e)
{
	struct node_entry **back = arena_alloc(x->a, (x->op->nodes.n + 1) * sizeof(struct node_entry *));
	uint32_t n = scale_in_give_back(x->c->state, x->op, (uint32_t)less, x->now, back, x->a);

	for (uint32_t i = 0; i < n; i++)
		forget(x->op, back[i]);
	begin(x);
	for (uint32_t i = 0; i < n; i++)
		put_return(x, back[i]);
	return finish(x, index, e);
}

static struct scale_in *answer(struct core *c, const struct scale_in *op, int64_t now, struct arena *a)
{
	struct uuid id;
	const struct scale_in_entry *entry = uuid_parse(op->id, &id) ? NULL : state_scale_in(c->state, id);

	return scale_in_describe(c->state, entry ? entry->spec : op, now, a);
}

static void describe_plan(struct scale_in *op)
{
	MODEL_SET(scale_in, op, status, "planned");
	MODEL_SET(scale_in, op, draining, 0);
	MODEL_SET(scale_in, op, free, 0);
}

int core_scale_in(struct core *c, const struct scale_in_request *req, int64_t now, struct arena *a, struct scale_in **out,
    uint64_t *index, struct err *e)
{
	struct scale_in_entry *known = find(c->state, req);
	int r = check(c, req, known, e);

	if (r)
		return r;
	*index = c->state->index;
	if (known && !scale_in_runs(c->state, known->spec)) {
		*out = answer(c, known->spec, now, a);
		return 0;
	}
	struct change x = {.c = c, .a = a, .now = now};

	x.op = known ? model_copy(a, &type_scale_in, known->spec) : new_op(c, req, now, a);
	if (known)
		forget_kept(c->state, x.op);
	int64_t more = req->count - x.op->nodes.n;

	MODEL_SET(scale_in, x.op, count, req->count);
	if (more > 0)
		r = grow(&x, req, more, index, e);
	else if (!req->dry_run)
		r = shrink(&x, -more, index, e);
	if (r)
		return r;
	if (req->dry_run)
		describe_plan(x.op);
	*out = req->dry_run ? x.op : answer(c, x.op, now, a);
	return 0;
}

int core_scale_in_cancel(
    struct core *c, struct uuid id, int64_t now, struct arena *a, struct scale_in **out, uint64_t *index, struct err *e)
{
	struct scale_in_entry *known = state_scale_in(c->state, id);
	int r = 0;

	if (!known)
		return err_set(e, -ENOENT, "scale-in not found");
	*index = c->state->index;
	if (scale_in_runs(c->state, known->spec)) {
		struct change x = {.c = c, .a = a, .now = now, .op = model_copy(a, &type_scale_in, known->spec)};

		MODEL_SET(scale_in, x.op, canceled, true);
		r = shrink(&x, x.op->nodes.n, index, e);
	}
	if (!r)
		*out = scale_in_describe(c->state, state_scale_in(c->state, id)->spec, now, a);
	return r;
}

/* ---- swaps ---- */

void core_scale_ins_changed(struct core *c, enum state_table table)
{
	c->scale_ins.changed |= c->scale_ins.any && (table == TABLE_NODES || table == TABLE_ALLOCS);
}

int64_t core_scale_ins_deadline(const struct core *c)
{
	return c->scale_ins.changed ? c->scale_ins.looked + LOOK_PAUSE : NEVER;
}

static void swap(struct core *c, const struct scale_in *spec, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	struct change x = {.c = c, .a = a, .now = now};
	struct node_entry **take, **back;
	uint32_t n = scale_in_swap(c->state, spec, c->config.node_matches, now, &take, &back, a);

	if (!n)
		return;
	x.op = model_copy(a, &type_scale_in, spec);
	for (uint32_t i = 0; i < n; i++) {
		forget(x.op, back[i]);
		scale_in_name(x.op, &(struct scale_chosen){.node = take[i]}, false, a);
	}
	begin(&x);
	for (uint32_t i = 0; i < n; i++) {
		put_drain(&x, take[i]);
		put_return(&x, back[i]);
	}
	/* What the journal refuses now is decided again. */
	finish(&x, NULL, NULL);
}

void core_scale_ins_step(struct core *c, int64_t now)
{
	bool any = false;

	if (!c->scale_ins.changed || now < c->scale_ins.looked + LOOK_PAUSE)
		return;
	c->scale_ins.changed = false;
	c->scale_ins.looked = now;
	for (uint32_t i = 0; i < c->state->n_scale_ins; i++) {
		if (!scale_in_runs(c->state, c->state->scale_ins[i].spec))
			continue;
		any = true;
		swap(c, c->state->scale_ins[i].spec, now);
	}
	c->scale_ins.any = any;
}
