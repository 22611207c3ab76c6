#include "sched/broker.h"

#include "sched/feasible.h"
#include "sched/fit.h"

#define QUESTIONS_PER_STEP 4096 /* node by node, of the blocked ones */
#define QUESTION_OF_CONSTRAINTS 16 /* what that one costs in others */

void broker_init(struct broker *b)
{
	*b = (struct broker){0};
	for (int i = 0; i < BROKER_PRIORITIES; i++) {
		link_init(&b->todo[i]);
		link_init(&b->done[i]);
	}
}

void broker_release(struct broker *b)
{
	heap_free(&b->ready);
	heap_free(&b->waiting);
	free(b->dirty);
	free(b->next);
}

static int level_of(const struct eval_entry *e)
{
	return (int)MAX(0, MIN(e->spec->priority, BROKER_PRIORITIES - 1));
}

void broker_drop(struct broker *b, struct eval_entry *e)
{
	switch (e->place) {
	case BROKER_READY:
		heap_remove(&b->ready, &e->timer);
		break;
	case BROKER_WAITING:
		heap_remove(&b->waiting, &e->timer);
		break;
	case BROKER_BLOCKED:
		link_remove(&e->queue);
		b->n_blocked--;
		break;
	default:
		break;
	}
	e->place = BROKER_NONE;
}

static enum broker_place place_of(const struct eval_entry *e)
{
	if (e->status == EVAL_BLOCKED)
		return BROKER_BLOCKED;
	if (e->status != EVAL_PENDING)
		return BROKER_NONE;
	return e->spec->wait_until ? BROKER_WAITING : BROKER_READY;
}

void broker_put(struct broker *b, struct eval_entry *e)
{
	enum broker_place place = place_of(e);
	if (place == (enum broker_place)e->place && place != BROKER_WAITING)
		return;
	broker_drop(b, e);
	e->place = (uint8_t)place;
	if (place == BROKER_READY)
		heap_set(&b->ready, &e->timer, -e->spec->priority);
	else if (place == BROKER_WAITING)
		heap_set(&b->waiting, &e->timer, e->spec->wait_until);
	else if (place == BROKER_BLOCKED) {
		/* It was just worked on, against a state that knows all that happened so far. */
		link_append(&b->done[level_of(e)], &e->queue);
		b->n_blocked++;
	}
}

void broker_delay(struct broker *b, struct eval_entry *e, int64_t until)
{
	broker_drop(b, e);
	e->place = BROKER_WAITING;
	heap_set(&b->waiting, &e->timer, until);
}

void broker_take_freed(struct broker *b, struct state *s)
{
	while (s->freed) {
		struct node_entry *n = s->freed;
		s->freed = n->freed_next;
		n->freed_next = NULL;
		if (!b->n_blocked) {
			n->freed = n->renewed = false;
			continue;
		}
		/* `freed` stays set until the pass begins, so that a node is listed once. */
		if (b->n_next == b->cap_next) {
			b->cap_next = b->cap_next ? b->cap_next * 2 : 16;
			b->next = xrealloc(b->next, b->cap_next, sizeof(*b->next));
		}
		b->next[b->n_next++] = (struct broker_dirty){.node = n->id};
	}
}

static bool node_is_open(const struct node_entry *n)
{
	return n && n->status == NODE_READY && n->eligible && !n->draining;
}

/* Nothing that ends elsewhere helps a group that every node's properties rule out; distinct_* rules look at allocations. */
static bool needs_new_node(const struct alloc_metric *m)
{
	if (m->nodes_exhausted)
		return false;
	for (uint32_t i = 0; i < m->constraint_filtered.n; i++)
		if (strstr(m->constraint_filtered.v[i].key, "distinct"))
			return false;
	return m->nodes_filtered > 0;
}

/* May the group run there at all? Asked only where there is room, so seldom. distinct_* rules are left to the plan. */
static bool is_feasible(const struct state *s, const struct job_version *v, uint32_t group, const struct node_entry *n)
{
	cleanup_arena struct arena *a = arena_new();
	struct feasible f;
	feasible_init(&f, s, v, group, a);
	bool yes = feasible_node(&f, n) == FILTER_NONE && feasible_check(&f, n).kind == FILTER_NONE;
	feasible_release(&f);
	return yes;
}

/* Would this group now fit on one of the dirty nodes? */
static bool group_may_fit(const struct broker *b, const struct state *s, const struct job_version *v, uint32_t group,
    const struct alloc_metric *m, int *budget)
{
	bool only_new = needs_new_node(m);
	const struct group_ask *ask = &v->asks[group];
	for (uint32_t i = 0; i < b->n_dirty; i++) {
		if (only_new && !b->dirty[i].renewed)
			continue;
		const struct node_entry *n = state_node(s, b->dirty[i].node);
		--*budget;
		if (!node_is_open(n) ||
		    fit_check(n, ask, (struct amount){0}, NULL, NULL, 0, NULL).dimension != FIT_OK)
			continue;
		*budget -= QUESTION_OF_CONSTRAINTS;
		if (is_feasible(s, v, group, n))
			return true;
	}
	return false;
}

/* What it could not place: noted with it once it was tried again, before that with the evaluation that it came from. */
static const struct objmap *unplaced(const struct state *s, const struct eval_entry *e)
{
	struct uuid id;
	const struct eval_entry *before = NULL;
	if (!e->spec->failed_tg_allocs.n && !str_empty(e->spec->previous_eval) && !uuid_parse(e->spec->previous_eval, &id))
		before = state_eval(s, id);
	return &(before ? before : e)->spec->failed_tg_allocs;
}

static bool may_fit(const struct broker *b, const struct state *s, const struct eval_entry *e, int *budget)
{
	const struct job_version *v = e->job->current;
	const struct objmap *failed = unplaced(s, e);
	--*budget;
	if (!failed->n || !v || v->job->type == JOB_SYSTEM || v->job->type == JOB_SYSBATCH)
		return true; /* blocked for another reason: any change may help */
	for (uint32_t i = 0; i < failed->n; i++)
		for (uint32_t g = 0; g < v->spec->task_groups.n; g++)
			if (str_eq(((struct task_group *)v->spec->task_groups.v[g])->name, failed->v[i].key) &&
			    group_may_fit(b, s, v, g, failed->v[i].value, budget))
				return true;
	return false;
}

/* The pass is over: all that are blocked are before the next one. */
static void begin_pass(struct broker *b, const struct state *s)
{
	struct broker_dirty *v = b->dirty;
	uint32_t cap = b->cap_dirty;
	b->dirty = b->next;
	b->n_dirty = b->n_next;
	b->cap_dirty = b->cap_next;
	b->next = v;
	b->n_next = 0;
	b->cap_next = cap;
	for (uint32_t i = 0; i < b->n_dirty; i++) {
		struct node_entry *n = state_node(s, b->dirty[i].node);
		if (!n)
			continue;
		b->dirty[i].renewed = n->renewed;
		n->freed = n->renewed = false;
	}
	for (int i = 0; i < BROKER_PRIORITIES; i++) {
		struct link *from = &b->done[i], *to = &b->todo[i];
		if (link_empty(from))
			continue;
		from->next->prev = to->prev;
		to->prev->next = from->next;
		from->prev->next = to;
		to->prev = from->prev;
		link_init(from);
	}
}

static struct eval_entry *next_blocked(struct broker *b, const struct state *s, bool *more)
{
	int budget = QUESTIONS_PER_STEP;
	if (!b->n_dirty && b->n_next)
		begin_pass(b, s);
	for (int level = BROKER_PRIORITIES - 1; b->n_dirty && level >= 0; level--) {
		while (!link_empty(&b->todo[level])) {
			if (budget <= 0) {
				*more = true;
				return NULL;
			}
			struct eval_entry *e = CONTAINER_OF(b->todo[level].next, struct eval_entry, queue);
			link_remove(&e->queue);
			link_append(&b->done[level], &e->queue);
			if (may_fit(b, s, e, &budget))
				return e;
		}
	}
	b->n_dirty = 0;
	*more |= b->n_next > 0;
	return NULL;
}

struct eval_entry *broker_next(struct broker *b, const struct state *s, int64_t now, bool *more)
{
	struct heap_item *first;
	while ((first = heap_first(&b->waiting)) && first->key <= now) {
		struct eval_entry *e = CONTAINER_OF(first, struct eval_entry, timer);
		broker_drop(b, e);
		e->place = BROKER_READY;
		heap_set(&b->ready, &e->timer, -e->spec->priority);
	}
	struct eval_entry *ready =
	    b->ready.n ? CONTAINER_OF(heap_first(&b->ready), struct eval_entry, timer) : NULL;
	*more = ready != NULL;
	/* Turn and turn about, so that neither a stream of new evaluations nor a crowd of blocked ones starves the other. */
	b->blocked_turn = !b->blocked_turn;
	struct eval_entry *blocked = !ready || b->blocked_turn ? next_blocked(b, s, more) : NULL;
	*more |= (b->n_dirty > 0 || b->n_next > 0) && b->n_blocked;
	return blocked ? blocked : ready;
}

int64_t broker_deadline(const struct broker *b)
{
	return b->waiting.n ? heap_first(&b->waiting)->key : NEVER;
}
