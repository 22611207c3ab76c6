/*
 * diff, the JSON of it: streamed, keys in ascending order, what is empty as null. Holds no state.
 */
#include "base/diff.h"

#include "base/json.h"

const char *const diff_type_names[] = {"None", "Added", "Deleted", "Edited"};

/* What an object of the diff stands for decides which keys it has. */
enum level { LEVEL_OBJECT, LEVEL_TASK, LEVEL_GROUP };

struct printer {
	struct buf *b;
	int indent;
};

static void put_type(const struct printer *p, enum diff_type type, bool *first, int depth)
{
	json_put_key(p->b, "Type", first, p->indent, depth);
	json_put_str(p->b, diff_type_names[type]);
}

static void put_annotations(const struct printer *p, const struct strs *l, bool *first, int depth)
{
	bool none = true;

	json_put_key(p->b, "Annotations", first, p->indent, depth);
	if (!l->n) {
		buf_puts(p->b, "null");
		return;
	}
	buf_putc(p->b, '[');
	for (uint32_t i = 0; i < l->n; i++) {
		json_put_sep(p->b, &none, p->indent, depth + 1);
		json_put_str(p->b, l->v[i]);
	}
	json_put_end(p->b, ']', false, p->indent, depth);
}

static void put_field(const struct printer *p, const struct diff_field *f, int depth)
{
	bool first = true;

	buf_putc(p->b, '{');
	put_annotations(p, &f->annotations, &first, depth + 1);
	json_put_key(p->b, "Name", &first, p->indent, depth + 1);
	json_put_str(p->b, f->name);
	json_put_key(p->b, "New", &first, p->indent, depth + 1);
	json_put_str(p->b, f->new);
	json_put_key(p->b, "Old", &first, p->indent, depth + 1);
	json_put_str(p->b, f->old);
	put_type(p, f->type, &first, depth + 1);
	json_put_end(p->b, '}', false, p->indent, depth);
}

static void put_fields(const struct printer *p, const struct objs *l, bool *first, int depth)
{
	bool none = true;

	json_put_key(p->b, "Fields", first, p->indent, depth);
	if (!l->n) {
		buf_puts(p->b, "null");
		return;
	}
	buf_putc(p->b, '[');
	for (uint32_t i = 0; i < l->n; i++) {
		json_put_sep(p->b, &none, p->indent, depth + 1);
		put_field(p, l->v[i], depth + 1);
	}
	json_put_end(p->b, ']', false, p->indent, depth);
}

static void put_object(
    const struct printer *p, const struct diff_object *o, enum level level, int depth);

static void put_objects(const struct printer *p, const char *key, const struct objs *l,
    enum level level, bool *first, int depth)
{
	bool none = true;

	json_put_key(p->b, key, first, p->indent, depth);
	if (!l->n) {
		buf_puts(p->b, "null");
		return;
	}
	buf_putc(p->b, '[');
	for (uint32_t i = 0; i < l->n; i++) {
		json_put_sep(p->b, &none, p->indent, depth + 1);
		put_object(p, l->v[i], level, depth + 1);
	}
	json_put_end(p->b, ']', false, p->indent, depth);
}

static void put_updates(const struct printer *p, const struct intmap *m, bool *first, int depth)
{
	bool none = true;

	json_put_key(p->b, "Updates", first, p->indent, depth);
	if (!m->n) {
		buf_puts(p->b, "null");
		return;
	}
	buf_putc(p->b, '{');
	for (uint32_t i = 0; i < m->n; i++) {
		json_put_key(p->b, m->v[i].key, &none, p->indent, depth + 1);
		json_put_int(p->b, m->v[i].value);
	}
	json_put_end(p->b, '}', false, p->indent, depth);
}

static void put_object(
    const struct printer *p, const struct diff_object *o, enum level level, int depth)
{
	bool first = true;

	buf_putc(p->b, '{');
	if (level == LEVEL_TASK)
		put_annotations(p, &o->annotations, &first, depth + 1);
	put_fields(p, &o->fields, &first, depth + 1);
	json_put_key(p->b, "Name", &first, p->indent, depth + 1);
	json_put_str(p->b, o->name);
	put_objects(p, "Objects", &o->objects, LEVEL_OBJECT, &first, depth + 1);
	if (level == LEVEL_GROUP)
		put_objects(p, "Tasks", &o->tasks, LEVEL_TASK, &first, depth + 1);
	put_type(p, o->type, &first, depth + 1);
	if (level == LEVEL_GROUP)
		put_updates(p, &o->updates, &first, depth + 1);
	json_put_end(p->b, '}', false, p->indent, depth);
}

void diff_to_json(struct buf *b, const struct job_diff *d, int indent, int depth)
{
	const struct printer p = {.b = b, .indent = indent};
	bool first = true;

	buf_putc(b, '{');
	put_fields(&p, &d->fields, &first, depth + 1);
	json_put_key(b, "ID", &first, indent, depth + 1);
	json_put_str(b, d->id);
	put_objects(&p, "Objects", &d->objects, LEVEL_OBJECT, &first, depth + 1);
	put_objects(&p, "TaskGroups", &d->task_groups, LEVEL_GROUP, &first, depth + 1);
	put_type(&p, d->type, &first, depth + 1);
	json_put_end(b, '}', false, indent, depth);
}
