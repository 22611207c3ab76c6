/* apply_scale_in: operations that take nodes away, in the state: new ones, changed ones, and which of the old ones go. */
#include <errno.h>

#include "sched/entry.h"
#include "sched/scale_in.h"
#include "sched/state_internal.h"

static void drop(struct state *s, uint32_t i)
{
	arena_free(s->scale_ins[i].arena);
	s->n_scale_ins--;
	memmove(&s->scale_ins[i], &s->scale_ins[i + 1], (s->n_scale_ins - i) * sizeof(*s->scale_ins));
}

/* A place at the end; the oldest that is over makes room. */
static struct scale_in_entry *new_place(struct state *s)
{
	for (uint32_t i = 0; s->n_scale_ins == SCALE_INS_KEPT && i < SCALE_INS_KEPT; i++)
		if (!scale_in_runs(s, s->scale_ins[i].spec))
			drop(s, i);
	return s->n_scale_ins < SCALE_INS_KEPT ? &s->scale_ins[s->n_scale_ins++] : NULL;
}

int apply_scale_in(struct apply *c, struct wire *w)
{
	struct arena *arena = arena_new();
	struct scale_in *op = entry_take_object(w, &type_scale_in, arena);
	struct scale_in_entry *e;
	struct uuid id;
	bool sound = op && !str_empty(op->id) && !uuid_parse(op->id, &id);

	e = sound ? state_scale_in(c->s, id) : NULL;
	if (e)
		arena_free(e->arena);
	else if (sound && (e = new_place(c->s)))
		e->spec = NULL;
	if (!e) {
		arena_free(arena);
		return apply_bad(c, "a scale-in that cannot be read, or one more than can run");
	}
	*e = (struct scale_in_entry){id, arena, op};
	if (!c->index)
		return 0;
	if (!op->create_index)
		MODEL_SET(scale_in, op, create_index, (int64_t)c->index);
	MODEL_SET(scale_in, op, modify_index, (int64_t)c->index);
	c->s->table_index[TABLE_NODES] = c->index;
	return 0;
}
