/*
 * scale_choice: which nodes go, and which come back. Whether a service has a place elsewhere is asked of what placement asks
 * (sched/feasible.h, sched/place.h, sched/proposed.h): each of its allocations is put on the first node that takes it, beside
 * what is there, what was moved for the nodes chosen before, and without any of these.
 */
#include "sched/drain.h"
#include "sched/place.h"
#include "sched/reconcile.h"
#include "sched/scale_in.h"

/* ---- moving services away, in mind ---- */

struct move {
	struct job_entry *job;
	uint32_t group; /* of its current version */
	struct node_entry *to;
	struct port_grant *ports;
};

struct redone { /* a move that was made once more, from where it had led to */
	uint32_t move;
	struct move before;
};

struct mover {
	const struct state *s;
	struct arena *a;
	struct proposed proposed; /* what the moves take from nodes */
	bool *out;                /* by slot: chosen to go */
	struct move *moves;
	uint32_t n_moves, cap_moves;
	struct redone *redone; /* since the last node was taken out */
	uint32_t n_redone, cap_redone;
	uint32_t hint; /* where the last one found room */
};

static void mover_init(struct mover *m, const struct state *s, struct arena *a)
{
	*m = (struct mover){.s = s, .a = a, .out = arena_alloc(a, s->cap_nodes + 1)};
	proposed_init(&m->proposed, s, a);
}

static void mover_release(struct mover *m)
{
	proposed_release(&m->proposed);
}

static const char *group_name(const struct move *x)
{
	return ((const struct task_group *)x->job->current->spec->task_groups.v[x->group])->name;
}

static void give(struct mover *m, const struct move *x)
{
	proposed_give(&m->proposed, x->to, &x->job->current->asks[x->group], x->ports);
}

/* What takes part in the count and in distinct_* of the job: those that stay, and those that were moved. */
static void keep_items(struct mover *m, const struct job_entry *j)
{
	proposed_turn(&m->proposed);
	for (LINK_EACH(&j->allocs, struct alloc, by_job, x))
		if (x->node && x->desired == DESIRED_RUN && alloc_is_live(x) && !m->out[x->node->slot])
			proposed_keep(&m->proposed, x);
	for (uint32_t i = 0; i < m->n_moves; i++)
		if (m->moves[i].job == j && !m->out[m->moves[i].to->slot])
			proposed_count(&m->proposed, m->moves[i].to, group_name(&m->moves[i]));
}

/* What proposed_fit() looks at first, ahead of everything else: most nodes are full. */
static bool is_full(const struct mover *m, const struct node_entry *n, const struct group_ask *ask)
{
	return n->used.cpu + m->proposed.extra[n->slot].cpu + ask->amount.cpu > n->total.cpu;
}

static struct node_entry *find_room(struct mover *m, struct place *p, const struct group_ask *ask, struct port_grant *ports)
{
	const struct state *s = m->s;

	for (uint32_t k = 0; k < s->cap_nodes; k++) {
		struct node_entry *n = s->nodes[(m->hint + k) % s->cap_nodes];

		if (!n || m->out[n->slot] || is_full(m, n, ask) || feasible_node(place_feasible(p), n) != FILTER_NONE ||
		    feasible_check(place_feasible(p), n).kind != FILTER_NONE || place_distinct(p, n).kind != FILTER_NONE ||
		    proposed_fit(&m->proposed, n, ask, k, ports).dimension != FIT_OK)
			continue;
		m->hint = n->slot;
		return n;
	}
	return NULL;
}

/* -1: the job does not want such a group any more. */
static int group_today(const struct job_entry *j, const char *name)
{
	OBJS_EACH(&j->current->spec->task_groups, struct task_group, g)
		if (str_eq(g->name, name))
			return (int)g_i;
	return -1;
}

/* Finds x->to and takes it; false: there is no room anywhere. */
static bool settle(struct mover *m, struct move *x)
{
	cleanup_arena struct arena *a = arena_new();
	const struct group_ask *ask = &x->job->current->asks[x->group];
	const struct place_request r = {
	    .proposed = &m->proposed, .version = x->job->current, .group = x->group, .arena = a, .look = true};

	keep_items(m, x->job);
	struct place *p = place_begin(&r);

	x->to = find_room(m, p, ask, x->ports);
	place_end(p);
	if (x->to)
		proposed_take(&m->proposed, x->to, group_name(x), ask, x->ports);
	return x->to != NULL;
}

static bool move_away(struct mover *m, const struct alloc *x)
{
	struct job_entry *j = x->version->job;
	int group = group_today(j, alloc_group(x)->name);

	if (group < 0)
		return true;
	struct move new = {.job = j, .group = (uint32_t)group};

	new.ports = arena_alloc(m->a, (j->current->asks[group].n_ports + 1) * sizeof(*new.ports));
	if (!settle(m, &new))
		return false;
	LIST_ADD(m->a, m->moves, m->n_moves, m->cap_moves) = new;
	return true;
}

/* What was moved to the node goes on from there. The job that cannot; NULL: all can. */
static const char *move_on(struct mover *m, const struct node_entry *n, uint32_t n_moves)
{
	for (uint32_t i = 0; i < n_moves; i++) {
		struct move *x = &m->moves[i];

		if (x->to != n)
			continue;
		struct move again = {.job = x->job, .group = x->group};

		again.ports = arena_alloc(m->a, (x->job->current->asks[x->group].n_ports + 1) * sizeof(*again.ports));
		if (!settle(m, &again))
			return x->job->id;
		give(m, x);
		LIST_ADD(m->a, m->redone, m->n_redone, m->cap_redone) = (struct redone){i, *x};
		*x = again;
	}
	return NULL;
}

/* As it was with so many moves. */
static void go_back(struct mover *m, uint32_t n_moves)
{
	while (m->n_moves > n_moves)
		give(m, &m->moves[--m->n_moves]);
	while (m->n_redone) {
		const struct redone *r = &m->redone[--m->n_redone];
		const struct move *x = &r->before;

		give(m, &m->moves[r->move]);
		m->moves[r->move] = *x;
		proposed_take(&m->proposed, x->to, group_name(x), &x->job->current->asks[x->group], x->ports);
	}
}

static bool has_to_move(const struct alloc *x)
{
	const struct job_entry *j = x->version->job;

	return j->type == JOB_SERVICE && x->desired == DESIRED_RUN && alloc_is_live(x) && !j->stop && !j->purged && j->current;
}

/* Takes the node out; false: *stuck has no other place then, and nothing is changed. */
static bool leave(struct mover *m, const struct node_entry *n, const char **stuck)
{
	uint32_t before = m->n_moves;

	m->out[n->slot] = true;
	m->n_redone = 0;
	*stuck = NULL;
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x))
		if (!*stuck && has_to_move(x) && !move_away(m, x))
			*stuck = x->version->job->id;
	if (!*stuck && !(*stuck = move_on(m, n, before)))
		return true;
	m->out[n->slot] = false;
	go_back(m, before);
	return false;
}

/* ---- candidates ---- */

static bool is_candidate(const struct scale_in *op, const struct node_entry *n, scale_in_match_fn *match)
{
	if (n->status != NODE_READY || !n->eligible || n->draining)
		return false;
	if (!str_empty(op->node_class) && !str_eq(op->node_class, n->spec->node_class))
		return false;
	if (str_empty(op->filter))
		return true;
	cleanup_arena struct arena *a = arena_new();

	return match && match(op->filter, node_view(a, n));
}

static int by_use(const struct node_entry *a, const struct node_entry *b)
{
	if (a->used.cpu != b->used.cpu)
		return a->used.cpu < b->used.cpu ? -1 : 1;
	if (a->used.memory != b->used.memory)
		return a->used.memory < b->used.memory ? -1 : 1;
	return uuid_cmp(a->id, b->id);
}

static int by_cost(const void *x, const void *y)
{
	const struct scale_chosen *a = x, *b = y;

	if (a->cost.kind != b->cost.kind)
		return a->cost.kind < b->cost.kind ? -1 : 1;
	if (a->cost.left != b->cost.left)
		return a->cost.left < b->cost.left ? -1 : 1;
	if (a->cost.allocs != b->cost.allocs)
		return a->cost.allocs < b->cost.allocs ? -1 : 1;
	return by_use(a->node, b->node);
}

/* The roomiest last: what is left of the small ones goes there. */
static int by_room(const void *x, const void *y)
{
	const struct scale_chosen *a = x, *b = y;
	const struct amount *s = &a->node->total, *t = &b->node->total;
	int64_t p = s->cpu - a->node->used.cpu, q = t->cpu - b->node->used.cpu;

	if (p != q)
		return p < q ? -1 : 1;
	p = s->memory - a->node->used.memory;
	q = t->memory - b->node->used.memory;
	return p != q ? (p < q ? -1 : 1) : by_cost(x, y);
}

static struct scale_chosen *find_candidates(
    const struct state *s, const struct scale_in *op, scale_in_match_fn *match, int64_t now, struct arena *a, uint32_t *n)
{
	struct scale_chosen *list = arena_alloc(a, (s->n_nodes + 1) * sizeof(*list));
	struct scale_times *times = scale_times_new(s);
	int64_t deadline = op->drain_spec ? op->drain_spec->deadline : 0;

	*n = 0;
	for (uint32_t i = 0; i < s->cap_nodes; i++)
		if (s->nodes[i] && is_candidate(op, s->nodes[i], match))
			list[(*n)++] = (struct scale_chosen){s->nodes[i], scale_in_cost(times, s->nodes[i], deadline, now)};
	scale_times_free(times);
	if (*n)
		qsort(list, *n, sizeof(*list), by_cost);
	return list;
}

/* ---- choosing ---- */

/* Nodes in the order of the list, without those whose services have no other place; these are in `left`, with the job. */
static uint32_t choose_in_order(const struct state *s, const struct scale_chosen *list, uint32_t n_list, uint32_t n,
    struct scale_chosen *take, struct scale_chosen *left, uint32_t *n_left, struct arena *a)
{
	struct mover m;
	uint32_t taken = 0;

	*n_left = 0;
	mover_init(&m, s, a);
	for (uint32_t i = 0; i < n_list && taken < n; i++) {
		const char *stuck;

		if (leave(&m, list[i].node, &stuck)) {
			take[taken++] = list[i];
			continue;
		}
		left[*n_left] = list[i];
		left[*n_left].cost.kind = SCALE_STUCK;
		left[(*n_left)++].cost.stuck = stuck;
	}
	mover_release(&m);
	return taken;
}

void scale_in_choose(const struct state *s, const struct scale_in *op, uint32_t n, scale_in_match_fn *match, int64_t now,
    struct arena *a, struct scale_choice *out)
{
	typedef int order_fn(const void *, const void *);
	static order_fn *const orders[] = {by_cost, by_room};
	uint32_t n_list, n_left;
	struct scale_chosen *list = find_candidates(s, op, match, now, a, &n_list);
	struct scale_chosen *take = arena_alloc(a, (n_list + 1) * sizeof(*take));
	struct scale_chosen *left = arena_alloc(a, (n_list + 1) * sizeof(*left));

	*out = (struct scale_choice){.candidates = n_list};
	n = MIN(n, n_list);
	out->take = arena_alloc(a, (n_list + 1) * sizeof(*out->take));
	/* The cheapest that can go; if these are too few, another order may find more. */
	for (size_t i = 0; i < ARRAY_LEN(orders) && (!i || out->n_take < n); i++) {
		if (n_list)
			qsort(list, n_list, sizeof(*list), orders[i]);
		uint32_t taken = choose_in_order(s, list, n_list, n, take, left, &n_left, a);

		if (i && taken < n)
			break;
		memcpy(out->take, take, taken * sizeof(*take));
		if (taken < n) /* cannot be avoided, unless the next order can */
			memcpy(out->take + taken, left, MIN(n - taken, n_left) * sizeof(*left));
		out->n_take = taken;
	}
	out->n_take = n;
	if (n)
		qsort(out->take, n, sizeof(*out->take), by_cost);
}

/* ---- giving back ---- */

/* Those of its nodes that drain for it alone, the most expensive first. */
static uint32_t own_draining(const struct state *s, const struct scale_in *op, int64_t now, struct scale_chosen *out)
{
	struct scale_times *times = scale_times_new(s);
	uint32_t n = 0;
	struct node_entry *node;

	OBJS_EACH(&op->nodes, struct scale_in_node, x)
		if (scale_in_status(s, x, &node) == SCALE_DRAINING && scale_in_owns(op, node))
			out[n++] = (struct scale_chosen){node, scale_in_cost(times, node, 0, now)};
	scale_times_free(times);
	if (n)
		qsort(out, n, sizeof(*out), by_cost);
	for (uint32_t i = 0; i < n / 2; i++) {
		struct scale_chosen x = out[i];

		out[i] = out[n - 1 - i];
		out[n - 1 - i] = x;
	}
	return n;
}

uint32_t scale_in_give_back(
    const struct state *s, const struct scale_in *op, uint32_t n, int64_t now, struct node_entry **out, struct arena *a)
{
	struct scale_chosen *list = arena_alloc(a, (op->nodes.n + 1) * sizeof(*list));
	uint32_t have = own_draining(s, op, now, list);

	for (uint32_t i = 0; i < MIN(n, have); i++)
		out[i] = list[i].node;
	return MIN(n, have);
}

/* Batch work that may still finish, were the node given back. */
static bool waits_for_batch(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x)) {
		enum job_type type = x->version->job->type;

		if ((type == JOB_BATCH || type == JOB_SYSBATCH) && alloc_holds(x) && !drain_is_hard(x))
			return true;
	}
	return false;
}

static bool is_idle(const struct node_entry *n)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, x))
		if (x->version->job->type != JOB_SYSTEM && alloc_holds(x))
			return false;
	return true;
}

static bool names(const struct scale_in *op, const struct node_entry *n)
{
	char id[UUID_STR];

	uuid_format(n->id, id);
	OBJS_EACH(&op->nodes, struct scale_in_node, x)
		if (str_eq(x->node_id, id))
			return true;
	return false;
}

uint32_t scale_in_swap(const struct state *s, const struct scale_in *op, scale_in_match_fn *match, int64_t now,
    struct node_entry ***take, struct node_entry ***give_back, struct arena *a)
{
	struct scale_chosen *list = arena_alloc(a, (op->nodes.n + 1) * sizeof(*list));
	uint32_t have = own_draining(s, op, now, list), waiting = 0, n = 0;

	for (uint32_t i = 0; i < have; i++)
		if (waits_for_batch(list[i].node))
			list[waiting++] = list[i];
	*take = arena_alloc(a, (waiting + 1) * sizeof(struct node_entry *));
	*give_back = arena_alloc(a, (waiting + 1) * sizeof(struct node_entry *));
	for (uint32_t i = 0; i < s->cap_nodes && n < waiting; i++) {
		struct node_entry *x = s->nodes[i];

		/* One that is named already was kept by somebody's hand. */
		if (!x || !is_idle(x) || names(op, x) || !is_candidate(op, x, match))
			continue;
		(*take)[n] = x;
		(*give_back)[n] = list[n].node;
		n++;
	}
	return n;
}
