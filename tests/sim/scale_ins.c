/*
 * scale_ins: operators take nodes away by operations of several nodes, change their counts and cancel them; and what must hold
 * then: every drain that belongs to an operation is of a node in its list, of one that was not cancelled; a node belongs to one
 * operation at most; there are never more than were asked for. When all is quiet no node waits for batch work while another one
 * of the same selection is idle.
 */
#include <errno.h>

#include "base/uuid.h"
#include "sched/drain.h"
#include "sched/scale_in.h"
#include "sched/state.h"
#include "tests/sim/sim.h"

/* ---- operators ---- */

static void request(struct sim *s)
{
	static const int64_t deadlines[] = {0, 30 * SECOND, 3 * MINUTE, 15 * MINUTE};
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct scale_in_request r = {0};
	struct drain_spec spec = {0};
	struct scale_in *op;
	uint64_t index;

	MODEL_SET(drain_spec, &spec, deadline, SIM_PICK(s, deadlines));
	MODEL_SET(scale_in_request, &r, count, (int64_t)sim_below(s, 1 + s->n_clients / 2));
	MODEL_SET(scale_in_request, &r, node_class, sim_chance(s, 0.3) ? "small" : "");
	MODEL_SET(scale_in_request, &r, dry_run, sim_chance(s, 0.1));
	r.drain_spec = &spec;
	sim_say(s, "%lld nodes%s are to go", (long long)r.count, r.dry_run ? " in thought" : "");
	int rc = core_scale_in(s->core, &r, s->now, a, &op, &index, &e);

	/* Too few can go, or none was asked for. */
	if (rc < 0 && rc != -EINVAL && rc != -EAGAIN && !(rc == -ENOSPC && s->now < s->disk_full_until))
		sim_fail(s, "scale-in: %s", err_str(&e));
}

static void cancel(struct sim *s, const struct scale_in *spec)
{
	cleanup_err struct err e = ERR_INIT;
	cleanup_arena struct arena *a = arena_new();
	struct scale_in *op;
	struct uuid id;
	uint64_t index;

	sim_say(s, "cancel scale-in %s", spec->id);
	uuid_parse(spec->id, &id);
	int rc = core_scale_in_cancel(s->core, id, s->now, a, &op, &index, &e);

	if (rc < 0 && !(rc == -ENOSPC && s->now < s->disk_full_until))
		sim_fail(s, "cancel of a scale-in: %s", err_str(&e));
}

void scale_ins_act(struct sim *s)
{
	const struct state *st = core_state(s->core);

	if (st->n_scale_ins && sim_chance(s, 0.3))
		cancel(s, st->scale_ins[sim_below(s, st->n_scale_ins)].spec);
	else
		request(s);
}

/* Most of them: the cluster needs its nodes to settle. */
void scale_ins_calm(struct sim *s)
{
	const struct state *st = core_state(s->core);

	for (uint32_t i = 0; i < st->n_scale_ins; i++)
		if (scale_in_runs(st, st->scale_ins[i].spec) && sim_chance(s, 0.6))
			cancel(s, st->scale_ins[i].spec);
}

/* ---- what must hold ---- */

static const char *operation_of(const struct node_entry *n)
{
	const struct drain_metadata *m = n->spec->last_drain;

	return n->draining && m ? strmap_get(&m->meta, SCALE_IN_META) : NULL;
}

bool scale_ins_own(const struct node_entry *n)
{
	return operation_of(n) != NULL;
}

static bool lists(const struct scale_in *op, const struct node_entry *n)
{
	char id[UUID_STR];

	uuid_format(n->id, id);
	OBJS_EACH(&op->nodes, struct scale_in_node, x)
		if (str_eq(x->node_id, id))
			return true;
	return false;
}

static void check_node(struct sim *s, const struct node_entry *n)
{
	const char *id = operation_of(n);
	struct uuid uuid;

	if (!id)
		return;
	const struct scale_in_entry *e = uuid_parse(id, &uuid) ? NULL : state_scale_in(core_state(s->core), uuid);

	if (!e)
		sim_fail(s, "%s is drained by an operation that is not known", n->spec->name);
	else if (e->spec->canceled)
		sim_fail(s, "%s is drained by an operation that was cancelled", n->spec->name);
	else if (!lists(e->spec, n))
		sim_fail(s, "%s is drained by an operation that does not name it", n->spec->name);
}

void scale_ins_check(struct sim *s)
{
	const struct state *st = core_state(s->core);

	for (uint32_t i = 0; i < st->cap_nodes; i++)
		if (st->nodes[i])
			check_node(s, st->nodes[i]);
	for (uint32_t i = 0; i < st->n_scale_ins; i++) {
		const struct scale_in *op = st->scale_ins[i].spec;
		int64_t own = 0;

		OBJS_EACH(&op->nodes, struct scale_in_node, x) {
			struct uuid id;
			const struct node_entry *n = uuid_parse(x->node_id, &id) ? NULL : state_node(st, id);

			own += n && str_eq(operation_of(n), op->id);
			for (uint32_t k = 0; k < x_i; k++)
				if (str_eq(((const struct scale_in_node *)op->nodes.v[k])->node_id, x->node_id))
					sim_fail(s, "scale-in %s names %s twice", op->id, x->name);
		}
		if (own > op->count)
			sim_fail(s, "scale-in %s drains %lld nodes of %lld", op->id, (long long)own, (long long)op->count);
	}
}

/* ---- when all is quiet ---- */

static bool holds(const struct node_entry *n, bool batch)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a)) {
		bool is_batch = str_eq(a->version->spec->type, "batch") || str_eq(a->version->spec->type, "sysbatch");

		if (rules_holds(a) && (batch ? is_batch && rules_runs(a) && drains_mark(a) == MARK_NONE
					     : !str_eq(a->version->spec->type, "system")))
			return true;
	}
	return false;
}

void scale_ins_check_settled(struct sim *s)
{
	const struct state *st = core_state(s->core);

	for (uint32_t i = 0; i < st->cap_nodes; i++) {
		const struct node_entry *n = st->nodes[i];
		struct uuid id;

		if (!n || !operation_of(n) || !holds(n, true) || uuid_parse(operation_of(n), &id))
			continue;
		const struct scale_in_entry *e = state_scale_in(st, id);

		for (uint32_t k = 0; e && k < st->cap_nodes; k++) {
			const struct node_entry *other = st->nodes[k];

			if (other && other->status == NODE_READY && other->eligible && !other->draining && !holds(other, false) &&
			    (str_empty(e->spec->node_class) || str_eq(e->spec->node_class, other->spec->node_class)))
				sim_fail(s, "%s waits for batch work to go, and %s is idle", n->spec->name, other->spec->name);
		}
	}
}
