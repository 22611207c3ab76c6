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
			n->freed = false;
			continue;
		}
		/* `freed` stays set until the pass begins, so that a node is listed once. */
		if (b->n_next == b->cap_next) {
			b->cap_next = b->cap_next ? b->cap_next * 2 : 16;
			b->next = xrealloc(b->next, b->cap_next, sizeof(*b->next));
		}
		b->next[b->n_next++] = n->id;
	}
}

static bool node_is_open(const struct node_entry *n)
{
	return n && n->status == NODE_READY && n->eligible && !n->draining;
}

/* Is the group there already? Asked for jobs that run once on each node. */
static bool is_there(const struct node_entry *n, const struct job_entry *j, const char *group)
{
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (a->version->job == j && a->desired == DESIRED_RUN && alloc_is_live(a) && str_eq(alloc_group(a)->name, group))
			return true;
	return false;
}

/* What an allocation of an older version would give back there, less than nothing, when it is replaced by one of this. */
static struct amount replaceable(const struct node_entry *n, const struct job_version *v, const char *group)
{
	struct amount back = {0};
	for (LINK_EACH(&n->allocs, struct alloc, by_node, a))
		if (a->version->job == v->job && a->version != v && a->desired == DESIRED_RUN && alloc_is_live(a) &&
		    str_eq(alloc_group(a)->name, group)) {
			amount_take(&back, &a->version->asks[a->group].amount);
			break;
		}
	return back;
}

static bool has_room(const struct node_entry *n, const struct job_version *v, uint32_t group)
{
	struct group_ask ask = v->asks[group];
	const char *name = ((struct task_group *)v->spec->task_groups.v[group])->name;
	if (fit_check(n, &ask, (struct amount){0}, NULL, NULL, 0, NULL).dimension == FIT_OK)
		return true;
	/* Only a job that changes replaces anything. What ports that gives back is left to the plan. */
	struct amount back = v->version ? replaceable(n, v, name) : (struct amount){0};
	ask.n_ports = 0;
	return back.allocs && fit_check(n, &ask, back, NULL, NULL, 0, NULL).dimension == FIT_OK;
}

/* Would this group now fit on one of the dirty nodes? Room first, which costs least. distinct_* are left to the plan. */
static bool group_may_fit(const struct broker *b, const struct state *s, const struct job_version *v, uint32_t group, int *budget)
{
	struct arena *a = NULL;
	struct feasible f = {0};
	bool everywhere = v->job->type == JOB_SYSTEM || v->job->type == JOB_SYSBATCH, found = false;
	for (uint32_t i = 0; i < b->n_dirty && !found; i++) {
		const struct node_entry *n = state_node(s, b->dirty[i]);
		--*budget;
		if (!node_is_open(n) || !has_room(n, v, group))
			continue;
		if (!a) {
			a = arena_new();
			feasible_init(&f, s, v, group, a);
		}
		*budget -= QUESTION_OF_CONSTRAINTS;
		found = feasible_node(&f, n) == FILTER_NONE && feasible_check(&f, n).kind == FILTER_NONE &&
		    !(everywhere && is_there(n, v->job, f.group->name));
	}
	arena_free(a);
	return found;
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

static bool has_property_rule(const struct objs *constraints)
{
	OBJS_EACH(constraints, struct constraint, c)
		if (constraint_op(c->operand) == CONSTRAINT_DISTINCT_PROPERTY)
			return true;
	return false;
}

/* With distinct_property what ends on one node makes room on others. */
static bool own_end_helps(const struct eval_entry *e, const struct job_version *v)
{
	bool rule = e->own_ended && has_property_rule(&v->spec->constraints);
	if (e->own_ended)
		OBJS_EACH(&v->spec->task_groups, struct task_group, g)
			rule = rule || has_property_rule(&g->constraints);
	return rule;
}

static bool may_fit(const struct broker *b, const struct state *s, struct eval_entry *e, int *budget)
{
	const struct job_version *v = e->job->current;
	const struct objmap *failed = unplaced(s, e);
	--*budget;
	/* Blocked for another reason: any change may help. */
	bool may = !failed->n || !v || own_end_helps(e, v);
	e->own_ended = false;
	if (may)
		return true;
	for (uint32_t i = 0; i < failed->n; i++)
		for (uint32_t g = 0; g < v->spec->task_groups.n; g++)
			if (str_eq(((struct task_group *)v->spec->task_groups.v[g])->name, failed->v[i].key) &&
			    group_may_fit(b, s, v, g, budget))
				return true;
	return false;
}

/* The pass is over: all that are blocked are before the next one. */
static void begin_pass(struct broker *b, const struct state *s)
{
	struct uuid *v = b->dirty;
	uint32_t cap = b->cap_dirty;
	b->dirty = b->next;
	b->n_dirty = b->n_next;
	b->cap_dirty = b->cap_next;
	b->next = v;
	b->n_next = 0;
	b->cap_next = cap;
	for (uint32_t i = 0; i < b->n_dirty; i++) {
		struct node_entry *n = state_node(s, b->dirty[i]);
		if (n)
			n->freed = false;
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
