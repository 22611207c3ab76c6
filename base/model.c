/*
 * model: the field tables, made from base/model.def, and what is generic over them: copy,
 * comparison, and the lists and maps that the structs are made of. The tables never change after
 * the constructor has sorted their indexes.
 */
#include "base/model.h"

#include <assert.h>

#define MODEL_DEF "base/model.def"
#include "base/model_tables.h"

const struct type *const model_types[] = {
#define STRUCT(c, api) &type_##c,
#define F(kind_, name_, json_, hcl_, flags_, ref_)
#define END(c)
#include "base/model.def"
#undef STRUCT
#undef F
#undef END
    NULL,
};

void model_finish_type(struct field *fields, uint8_t *by_name, const uint16_t *offsets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = i;

		fields[i].offset = offsets[i];
		for (; at && strcmp(fields[by_name[at - 1]].json, fields[i].json) > 0; at--)
			by_name[at] = by_name[at - 1];
		by_name[at] = (uint8_t)i;
	}
}

const struct type *model_type(const char *api_name)
{
	for (size_t i = 0; model_types[i]; i++)
		if (strcmp(model_types[i]->name, api_name) == 0)
			return model_types[i];
	return NULL;
}

const struct field *model_field(const struct type *t, const char *json_name)
{
	uint32_t low = 0, high = t->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		const struct field *f = &t->fields[t->by_name[mid]];
		int c = strcmp(f->json, json_name);

		if (!c)
			return f;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool model_is_filled(const struct field *f, const void *obj)
{
	const void *p = (const char *)obj + f->offset;

	switch ((enum field_kind)f->kind) {
	case FIELD_STRS:
	case FIELD_MAP:
	case FIELD_OBJS:
	case FIELD_OBJMAP:
	case FIELD_INTMAP:
	case FIELD_DBLMAP:
	case FIELD_HDRMAP:
		return ((const struct any_list *)p)->n;
	case FIELD_BYTES:
		return ((const struct bytes *)p)->n;
	case FIELD_ANY:
	case FIELD_OBJ:
		return *(void *const *)p;
	default:
		return false;
	}
}

/* A copy of the items of a list, still shallow, in a list of its own. */
static void *own_items(struct arena *a, struct any_list *l, size_t size)
{
	l->v = l->n ? arena_copy(a, l->v, l->n * size) : NULL;
	l->cap = l->n;
	return l->v;
}

static void copy_strs(struct arena *a, struct strs *l)
{
	own_items(a, (struct any_list *)l, sizeof(*l->v));
	for (uint32_t i = 0; i < l->n; i++)
		l->v[i] = arena_strdup(a, l->v[i]);
}

static void copy_list(struct arena *a, const struct field *f, void *p)
{
	struct strmap *map = p;
	struct objs *objs = p;
	struct objmap *objmap = p;
	struct intmap *intmap = p;
	struct dblmap *dblmap = p;
	struct hdrmap *hdrmap = p;

	switch ((enum field_kind)f->kind) {
	case FIELD_MAP:
		own_items(a, p, sizeof(*map->v));
		for (uint32_t i = 0; i < map->n; i++) {
			map->v[i].key = arena_strdup(a, map->v[i].key);
			map->v[i].value = arena_strdup(a, map->v[i].value);
		}
		break;
	case FIELD_OBJS:
		own_items(a, p, sizeof(*objs->v));
		for (uint32_t i = 0; i < objs->n; i++)
			objs->v[i] = model_copy(a, f->type, objs->v[i]);
		break;
	case FIELD_OBJMAP:
		own_items(a, p, sizeof(*objmap->v));
		for (uint32_t i = 0; i < objmap->n; i++) {
			objmap->v[i].key = arena_strdup(a, objmap->v[i].key);
			objmap->v[i].value = model_copy(a, f->type, objmap->v[i].value);
		}
		break;
	case FIELD_INTMAP:
		own_items(a, p, sizeof(*intmap->v));
		for (uint32_t i = 0; i < intmap->n; i++)
			intmap->v[i].key = arena_strdup(a, intmap->v[i].key);
		break;
	case FIELD_DBLMAP:
		own_items(a, p, sizeof(*dblmap->v));
		for (uint32_t i = 0; i < dblmap->n; i++)
			dblmap->v[i].key = arena_strdup(a, dblmap->v[i].key);
		break;
	case FIELD_HDRMAP:
		own_items(a, p, sizeof(*hdrmap->v));
		for (uint32_t i = 0; i < hdrmap->n; i++) {
			hdrmap->v[i].key = arena_strdup(a, hdrmap->v[i].key);
			copy_strs(a, &hdrmap->v[i].value);
		}
		break;
	default:
		assert(!"not a list or map");
	}
}

void *model_copy(struct arena *a, const struct type *t, const void *obj)
{
	char *copy;

	if (!obj)
		return NULL;
	copy = arena_copy(a, obj, t->size);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];
		void *p = copy + f->offset;

		switch ((enum field_kind)f->kind) {
		case FIELD_BOOL:
		case FIELD_INT:
		case FIELD_DBL:
		case FIELD_DUR:
		case FIELD_TIME:
		case FIELD_STAMP:
			break;
		case FIELD_STR:
			*(char **)p = arena_strdup(a, *(char **)p);
			break;
		case FIELD_STRS:
			copy_strs(a, p);
			break;
		case FIELD_BYTES:
			((struct bytes *)p)->p =
			    arena_copy(a, ((struct bytes *)p)->p, ((struct bytes *)p)->n);
			break;
		case FIELD_ANY:
			*(struct value **)p = value_copy(a, *(struct value **)p);
			break;
		case FIELD_OBJ:
			*(void **)p = model_copy(a, f->type, *(void **)p);
			break;
		default:
			copy_list(a, f, p);
		}
	}
	return copy;
}

static bool strs_equal(const struct strs *a, const struct strs *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!str_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

/* Items i of two lists or maps of the same length. */
static bool item_equal(
    const struct field *f, const void *a, const void *b, uint32_t i, unsigned ignore)
{
	const struct strmap *maps[] = {a, b};
	const struct objs *objs[] = {a, b};
	const struct objmap *objmaps[] = {a, b};
	const struct intmap *ints[] = {a, b};
	const struct dblmap *dbls[] = {a, b};
	const struct hdrmap *hdrs[] = {a, b};

	switch ((enum field_kind)f->kind) {
	case FIELD_MAP:
		return str_eq(maps[0]->v[i].key, maps[1]->v[i].key) &&
		    str_eq(maps[0]->v[i].value, maps[1]->v[i].value);
	case FIELD_OBJS:
		return model_equal(f->type, objs[0]->v[i], objs[1]->v[i], ignore);
	case FIELD_OBJMAP:
		return str_eq(objmaps[0]->v[i].key, objmaps[1]->v[i].key) &&
		    model_equal(f->type, objmaps[0]->v[i].value, objmaps[1]->v[i].value, ignore);
	case FIELD_INTMAP:
		return str_eq(ints[0]->v[i].key, ints[1]->v[i].key) &&
		    ints[0]->v[i].value == ints[1]->v[i].value;
	case FIELD_DBLMAP:
		return str_eq(dbls[0]->v[i].key, dbls[1]->v[i].key) &&
		    dbls[0]->v[i].value == dbls[1]->v[i].value;
	case FIELD_HDRMAP:
		return str_eq(hdrs[0]->v[i].key, hdrs[1]->v[i].key) &&
		    strs_equal(&hdrs[0]->v[i].value, &hdrs[1]->v[i].value);
	default:
		assert(!"not a list or map");
		return false;
	}
}

static bool field_equal(const struct field *f, const void *a, const void *b, unsigned ignore)
{
	const struct any_list *l = a, *m = b;
	const struct bytes *x = a, *y = b;

	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
	case FIELD_STAMP:
		return *(const int64_t *)a == *(const int64_t *)b;
	case FIELD_DBL:
		return *(const double *)a == *(const double *)b;
	case FIELD_STR:
		return str_eq(*(char *const *)a, *(char *const *)b);
	case FIELD_STRS:
		return strs_equal(a, b);
	case FIELD_BYTES:
		return x->n == y->n && (!x->n || memcmp(x->p, y->p, x->n) == 0);
	case FIELD_ANY:
		return value_equal(*(struct value *const *)a, *(struct value *const *)b);
	case FIELD_OBJ:
		return model_equal(f->type, *(void *const *)a, *(void *const *)b, ignore);
	default:
		break;
	}
	if (l->n != m->n)
		return false;
	for (uint32_t i = 0; i < l->n; i++)
		if (!item_equal(f, a, b, i, ignore))
			return false;
	return true;
}

bool model_equal(const struct type *t, const void *a, const void *b, unsigned ignore_flags)
{
	if (!a || !b)
		return a == b;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];

		if (f->flags & ignore_flags)
			continue;
		bool lax = (ignore_flags & MODEL_UNSET_IS_ZERO) && !(f->flags & FIELD_OPT);

		if ((!lax && model_is_set(t, f, a) != model_is_set(t, f, b)) ||
		    !field_equal(f, (const char *)a + f->offset, (const char *)b + f->offset,
			ignore_flags))
			return false;
	}
	return true;
}

struct task_group *job_group(const struct job *j, const char *name)
{
	for (uint32_t i = 0; i < j->task_groups.n; i++) {
		struct task_group *g = j->task_groups.v[i];

		if (str_eq(g->name, name))
			return g;
	}
	return NULL;
}

struct task *group_task(const struct task_group *g, const char *name)
{
	for (uint32_t i = 0; i < g->tasks.n; i++) {
		struct task *t = g->tasks.v[i];

		if (str_eq(t->name, name))
			return t;
	}
	return NULL;
}
