/*
 * diff: walks two objects of one type side by side. Scalars and maps of strings become fields,
 * objects and lists become objects of the diff; job, group and task are three levels of the same
 * walk. Everything is made in the caller's arena; texts that already live in a job are shared.
 */
#include "base/diff.h"

#include "base/json.h"
#include "base/map.h"

#include <assert.h>

/*
 * Items without a name are looked for at most this far from their own position: whoever asks for the
 * diff of two lists of a hundred thousand gets a coarse one, and the others do not wait.
 */
#define WINDOW 512

struct differ {
	struct arena *arena;
	bool contextual;
};

static enum diff_type text_type(const char *old, const char *new)
{
	if (strcmp(old, new) == 0)
		return DIFF_NONE;
	return !*old ? DIFF_ADDED : !*new ? DIFF_DELETED : DIFF_EDITED;
}

/* What changed below decides what an object that exists on both sides is. */
static enum diff_type pair_type(const void *old, const void *new, bool changed)
{
	if (!old && !new)
		return DIFF_NONE;
	if (!old || !new)
		return old ? DIFF_DELETED : DIFF_ADDED;
	return changed ? DIFF_EDITED : DIFF_NONE;
}

static void add_field(const struct differ *d, struct objs *fields, const char *name,
    const char *old, const char *new, bool context)
{
	enum diff_type type = text_type(old, new);
	struct diff_field *f;

	if (type == DIFF_NONE && !context)
		return;
	f = arena_alloc(d->arena, sizeof(*f));
	*f = (struct diff_field){.type = type, .name = name, .old = old, .new = new};
	objs_push(d->arena, fields, f);
}

static int field_cmp(const void *a, const void *b)
{
	const struct diff_field *x = *(void *const *)a, *y = *(void *const *)b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->old, y->old);
}

static void sort_fields(struct objs *fields)
{
	if (fields->n > 1)
		qsort(fields->v, fields->n, sizeof(*fields->v), field_cmp);
}

static bool any_change(const struct objs *fields, const struct objs *objects)
{
	for (uint32_t i = 0; i < fields->n; i++)
		if (((struct diff_field *)fields->v[i])->type != DIFF_NONE)
			return true;
	for (uint32_t i = 0; i < objects->n; i++)
		if (((struct diff_object *)objects->v[i])->type != DIFF_NONE)
			return true;
	return false;
}

static struct diff_object *new_object(const struct differ *d, const char *name)
{
	struct diff_object *o = arena_alloc(d->arena, sizeof(*o));

	o->name = name;
	return o;
}

/* ---- texts ---- */

static const void *member(const void *obj, const struct field *f)
{
	return obj ? (const char *)obj + f->offset : NULL;
}

static bool is_scalar(const struct field *f)
{
	return f->kind <= FIELD_STR;
}

/* The text of a scalar: "" when the object is not there, or when unset has no zero value. */
static const char *scalar_text(
    const struct differ *d, const struct type *t, const struct field *f, const void *obj)
{
	const void *p = member(obj, f);
	struct buf b = BUF_INIT;
	const char *s;

	if (!obj || (!model_is_set(t, f, obj) && (f->flags & (FIELD_OPT | FIELD_OMIT))))
		return "";
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		return *(const bool *)p ? "true" : "false";
	case FIELD_DBL:
		json_put_double(&b, *(const double *)p);
		break;
	case FIELD_STR:
		s = *(const char *const *)p;
		return s ? s : "";
	default:
		json_put_int(&b, *(const int64_t *)p);
	}
	s = arena_strdup(d->arena, b.data);
	buf_free(&b);
	return s;
}

/* Flattens a dynamic value to texts by path: "args[0]", "mount[0][source]". */
static void flatten(const struct differ *d, const char *path, const struct value *v,
    struct strmap *out)
{
	struct buf b = BUF_INIT;

	if (!v || v->kind == VAL_NULL)
		return;
	if (v->kind == VAL_STR) {
		strmap_set(d->arena, out, path, v->s);
		return;
	}
	if (v->kind != VAL_LIST && v->kind != VAL_MAP) {
		value_print_json(&b, v, 0, 0);
		strmap_set(d->arena, out, path, b.data);
		buf_free(&b);
		return;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		char *sub;

		if (v->kind == VAL_LIST)
			sub = xasprintf("%s[%u]", path, i);
		else
			sub = *path ? xasprintf("%s[%s]", path, v->keys[i]) : xstrdup(v->keys[i]);
		flatten(d, sub, v->items[i], out);
		free(sub);
	}
}

/* Fields for the keys of two maps, merged. Names are prefix[key], or the key without a prefix. */
static void diff_maps(const struct differ *d, struct objs *fields, const char *prefix,
    const struct strmap *old, const struct strmap *new, bool context)
{
	uint32_t i = 0, j = 0;

	while (i < old->n || j < new->n) {
		int c = i >= old->n ? 1 : j >= new->n ? -1 : strcmp(old->v[i].key, new->v[j].key);
		const char *key = c <= 0 ? old->v[i].key : new->v[j].key;
		const char *before = c <= 0 ? old->v[i++].value : "";
		const char *after = c >= 0 ? new->v[j++].value : "";

		if (prefix)
			key = arena_printf(d->arena, "%s[%s]", prefix, key);
		add_field(d, fields, key, before ? before : "", after ? after : "", context);
	}
}

/* ---- fields and objects of one type ---- */

static void diff_objects(const struct differ *d, const struct type *t, const void *old,
    const void *new, struct objs *out);

/* Bookkeeping does not count, but that a job was stopped is a change that people ask for. */
static bool counts(const struct type *t, const struct field *f)
{
	if (f->flags & FIELD_HIDE)
		return false;
	if (!(f->flags & FIELD_RUN))
		return true;
	return t == &type_job && (strcmp(f->json, "Stop") == 0 || strcmp(f->json, "Dispatched") == 0);
}

/* Fields that are the identity of a job, group or task are no part of its diff. */
static bool is_identity(const struct type *t, const struct field *f)
{
	if (t == &type_job)
		return strcmp(f->json, "ID") == 0;
	return (t == &type_task_group || t == &type_task) && strcmp(f->json, "Name") == 0;
}

static void diff_fields(const struct differ *d, const struct type *t, const void *old,
    const void *new, bool context, struct objs *out)
{
	static const struct strmap none;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[t->by_name[i]];
		bool unset = !(old && model_is_set(t, f, old)) && !(new && model_is_set(t, f, new));

		if (!counts(t, f) || is_identity(t, f))
			continue;
		if (is_scalar(f))
			add_field(d, out, f->json, scalar_text(d, t, f, old),
			    scalar_text(d, t, f, new),
			    context && !(unset && (f->flags & (FIELD_OMIT | FIELD_OPT))));
		else if (f->kind == FIELD_MAP)
			diff_maps(d, out, f->json, old ? member(old, f) : &none,
			    new ? member(new, f) : &none, context);
	}
	sort_fields(out);
}

/* An object of the diff for two structs of a type, of which one may be NULL; NULL when equal. */
static struct diff_object *diff_pair(const struct differ *d, const char *name,
    const struct type *t, const void *old, const void *new)
{
	struct diff_object *o = new_object(d, name);

	diff_fields(d, t, old, new, d->contextual && old && new, &o->fields);
	diff_objects(d, t, old, new, &o->objects);
	o->type = pair_type(old, new, any_change(&o->fields, &o->objects));
	return o->type == DIFF_NONE ? NULL : o;
}

static void push_pair(const struct differ *d, struct objs *out, const char *name,
    const struct type *t, const void *old, const void *new)
{
	struct diff_object *o = diff_pair(d, name, t, old, new);

	if (o)
		objs_push(d->arena, out, o);
}

/* "Constraints" is a list of "Constraint". */
static const char *singular(const struct differ *d, const char *plural)
{
	size_t n = strlen(plural);

	if (strcmp(plural, "ReservedPorts") == 0)
		return "Static Port";
	if (strcmp(plural, "DynamicPorts") == 0)
		return "Dynamic Port";
	if (n > 3 && strcmp(plural + n - 3, "ies") == 0)
		return arena_printf(d->arena, "%.*sy", (int)n - 3, plural);
	if (n > 1 && plural[n - 1] == 's')
		return arena_strndup(d->arena, plural, n - 1);
	return plural;
}

/* The field by which items of a list are matched, NULL when only their content tells. */
static const struct field *key_field(const struct type *t)
{
	const struct field *name = model_field(t, "Name");

	for (uint32_t i = 0; i < t->n; i++)
		if (t->fields[i].flags & FIELD_LBL)
			return &t->fields[i];
	return name && name->kind == FIELD_STR ? name : NULL;
}

static bool same_item(
    const struct type *t, const struct field *key, const void *a, const void *b)
{
	if (!key)
		return model_equal(t, a, b, 0);
	return str_eq(*(char *const *)member(a, key), *(char *const *)member(b, key));
}

/*
 * Two lists of objects as a set: what has no partner on the other side is deleted or added. Each
 * item is matched once, so doubles are counted as doubles.
 */
static void diff_lists(const struct differ *d, const struct field *f, const struct objs *old,
    const struct objs *new, struct objs *out)
{
	const struct field *key = key_field(f->type);
	const char *name = singular(d, f->json);
	bool *used = xcalloc(new->n, sizeof(*used));

	for (uint32_t i = 0; i < old->n; i++) {
		const void *partner = NULL;

		for (uint32_t j = 0; j < MIN(new->n, WINDOW) && !partner; j++) {
			/* Lists that did not change match at once. */
			uint32_t at = (i + j) % new->n;

			if (used[at] || !same_item(f->type, key, old->v[i], new->v[at]))
				continue;
			used[at] = true;
			partner = new->v[at];
		}
		push_pair(d, out, name, f->type, old->v[i], partner);
	}
	for (uint32_t j = 0; j < new->n; j++)
		if (!used[j])
			push_pair(d, out, name, f->type, NULL, new->v[j]);
	free(used);
}

static void diff_objmaps(const struct differ *d, const struct field *f, const struct objmap *old,
    const struct objmap *new, struct objs *out)
{
	const char *name = singular(d, f->json);
	uint32_t i = 0, j = 0;

	while (i < old->n || j < new->n) {
		int c = i >= old->n ? 1 : j >= new->n ? -1 : strcmp(old->v[i].key, new->v[j].key);

		push_pair(d, out, name, f->type, c <= 0 ? old->v[i].value : NULL,
		    c >= 0 ? new->v[j].value : NULL);
		i += c <= 0;
		j += c >= 0;
	}
}

/* An object whose fields are given: of a set of strings, of a config. */
static void push_flat(const struct differ *d, struct diff_object *o, bool had, bool has,
    struct objs *out)
{
	sort_fields(&o->fields);
	if (!any_change(&o->fields, &o->objects))
		return;
	o->type = !had ? DIFF_ADDED : !has ? DIFF_DELETED : DIFF_EDITED;
	objs_push(d->arena, out, o);
}

static bool has_near(const struct strs *l, const char *s, uint32_t at)
{
	for (uint32_t j = 0; j < MIN(l->n, WINDOW); j++)
		if (strcmp(l->v[(at + j) % l->n], s) == 0)
			return true;
	return false;
}

static void diff_strs(const struct differ *d, const struct field *f, const struct strs *old,
    const struct strs *new, struct objs *out)
{
	struct diff_object *o = new_object(d, f->json);

	for (uint32_t i = 0; i < old->n; i++)
		add_field(d, &o->fields, f->json, old->v[i],
		    has_near(new, old->v[i], i) ? old->v[i] : "", d->contextual);
	for (uint32_t i = 0; i < new->n; i++)
		if (!has_near(old, new->v[i], i))
			add_field(d, &o->fields, f->json, "", new->v[i], d->contextual);
	push_flat(d, o, old->n, new->n, out);
}

static void flatten_headers(const struct differ *d, const struct hdrmap *m, struct strmap *out)
{
	for (uint32_t i = 0; i < m->n; i++)
		for (uint32_t k = 0; k < m->v[i].value.n; k++)
			strmap_set(d->arena, out,
			    arena_printf(d->arena, "%s[%u]", m->v[i].key, k), m->v[i].value.v[k]);
}

static void diff_flat(const struct differ *d, const struct field *f, const void *old,
    const void *new, struct objs *out)
{
	struct diff_object *o = new_object(d, f->json);
	struct strmap flat[2] = {{0}, {0}};
	const void *sides[] = {old, new};

	for (int i = 0; i < 2; i++) {
		if (sides[i] && f->kind == FIELD_ANY)
			flatten(d, "", *(struct value *const *)sides[i], &flat[i]);
		else if (sides[i])
			flatten_headers(d, sides[i], &flat[i]);
	}
	diff_maps(d, &o->fields, NULL, &flat[0], &flat[1], d->contextual && flat[0].n && flat[1].n);
	push_flat(d, o, flat[0].n, flat[1].n, out);
}

/* A job without updates is stored with an object of zeros, which is none. */
static const void *filled(const struct field *f, const void *member_)
{
	const struct update_strategy *u = member_ ? *(void *const *)member_ : NULL;

	if (u && f->type == &type_update_strategy && !u->stagger && !u->max_parallel && !u->min_healthy_time &&
	    !u->healthy_deadline && str_empty(u->health_check))
		return NULL;
	return u;
}

static void diff_member(const struct differ *d, const struct field *f, const void *old,
    const void *new, struct objs *out)
{
	static const char none[sizeof(struct any_list)] __attribute__((aligned(8)));
	const void *a = old ? old : none, *b = new ? new : none;

	switch ((enum field_kind)f->kind) {
	case FIELD_OBJ:
		push_pair(d, out, f->json, f->type, filled(f, old), filled(f, new));
		break;
	case FIELD_OBJS:
		diff_lists(d, f, a, b, out);
		break;
	case FIELD_OBJMAP:
		diff_objmaps(d, f, a, b, out);
		break;
	case FIELD_STRS:
		diff_strs(d, f, a, b, out);
		break;
	case FIELD_ANY:
	case FIELD_HDRMAP:
		diff_flat(d, f, old, new, out);
		break;
	default:
		break; /* a field, or nothing that a job has */
	}
}

/* People read these in the order in which they are used to; the rest follows the table. */
static uint32_t rank(const struct type *t, uint32_t i)
{
	static const struct {
		const struct type *type;
		const char *field, *behind;
	} moved[] = {
	    {&type_task, "Services", "Artifacts"},
	    {&type_task, "Constraints", "User"},
	    {&type_task, "Affinities", "User"},
	    {&type_task_group, "EphemeralDisk", "ReschedulePolicy"},
	};

	for (size_t k = 0; k < ARRAY_LEN(moved); k++)
		if (moved[k].type == t && strcmp(moved[k].field, t->fields[i].json) == 0)
			return (uint32_t)(model_field(t, moved[k].behind) - t->fields) * 64 + 1 + i;
	return i * 64;
}

static void diff_objects(const struct differ *d, const struct type *t, const void *old,
    const void *new, struct objs *out)
{
	uint8_t order[64];

	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t at = i;

		for (; at && rank(t, order[at - 1]) > rank(t, i); at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)i;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[order[i]];

		/* Groups and tasks are levels of their own. */
		if (!counts(t, f) || f->type == &type_task_group || f->type == &type_task)
			continue;
		diff_member(d, f, member(old, f), member(new, f), out);
	}
}

/* ---- the three levels ---- */

static const char *name_of(const struct type *t, const void *obj)
{
	const char *s = *(char *const *)member(obj, model_field(t, "Name"));

	return s ? s : "";
}

static int name_cmp(const void *a, const void *b)
{
	const struct diff_object *x = *(void *const *)a, *y = *(void *const *)b;

	return strcmp(x->name, y->name);
}

static void diff_named(const struct differ *d, const struct type *t, const struct objs *old,
    const struct objs *new, struct objs *out);

static void diff_level(const struct differ *d, const struct type *t, const void *old,
    const void *new, struct objs *out)
{
	static const struct objs none;
	struct diff_object *o = new_object(d, name_of(t, old ? old : new));
	bool changed;

	diff_fields(d, t, old, new, false, &o->fields);
	diff_objects(d, t, old, new, &o->objects);
	changed = any_change(&o->fields, &o->objects);
	if (t == &type_task_group) {
		const struct task_group *a = old, *b = new;

		diff_named(d, &type_task, a ? &a->tasks : &none, b ? &b->tasks : &none, &o->tasks);
		for (uint32_t i = 0; i < o->tasks.n; i++)
			changed |= ((struct diff_object *)o->tasks.v[i])->type != DIFF_NONE;
	}
	o->type = pair_type(old, new, changed);
	objs_push(d->arena, out, o);
}

static struct map index_by_name(const struct type *t, const struct objs *l)
{
	struct map m = MAP_INIT;

	for (uint32_t i = 0; i < l->n; i++)
		map_set(&m, name_of(t, l->v[i]), l->v[i]);
	return m;
}

/* Groups or tasks, matched by name; the unchanged ones are listed too. */
static void diff_named(const struct differ *d, const struct type *t, const struct objs *old,
    const struct objs *new, struct objs *out)
{
	struct map olds = index_by_name(t, old), news = index_by_name(t, new);

	for (uint32_t i = 0; i < old->n; i++)
		diff_level(d, t, old->v[i], map_get(&news, name_of(t, old->v[i])), out);
	for (uint32_t i = 0; i < new->n; i++)
		if (!map_get(&olds, name_of(t, new->v[i])))
			diff_level(d, t, NULL, new->v[i], out);
	map_free(&olds);
	map_free(&news);
	if (out->n > 1)
		qsort(out->v, out->n, sizeof(*out->v), name_cmp);
}

struct job_diff *diff_jobs(
    struct arena *a, const struct job *old, const struct job *new, bool contextual)
{
	static const struct objs none;
	const struct differ d = {.arena = a, .contextual = contextual};
	struct job_diff *j = arena_alloc(a, sizeof(*j));
	bool changed;

	assert(old || new);
	j->id = new ? new->id : old->id;
	diff_fields(&d, &type_job, old, new, false, &j->fields);
	diff_objects(&d, &type_job, old, new, &j->objects);
	diff_named(&d, &type_task_group, old ? &old->task_groups : &none,
	    new ? &new->task_groups : &none, &j->task_groups);
	changed = any_change(&j->fields, &j->objects);
	for (uint32_t i = 0; i < j->task_groups.n; i++)
		changed |= ((struct diff_object *)j->task_groups.v[i])->type != DIFF_NONE;
	j->type = pair_type(old, new, changed);
	return j;
}
