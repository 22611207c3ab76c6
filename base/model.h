/*
 * model: the vocabulary of the job language and of the API as C structs, and one field table per
 * type. Structs and tables are both made from base/model.def, so they cannot disagree; everything
 * that reads or writes an object (JSON, journal, HCL, diff) is generic over the tables.
 *
 * An object and all it points to live in one arena. Objects that are shared (a registered job
 * version) never change. Every struct begins with `has`: bit i is set when field i of its table
 * was given. An unset field holds zero; whether it differs from a given zero is what `has` says.
 * When C code fills a field that is not a list, map or object it uses MODEL_SET, so that the bit is
 * right.
 */
#ifndef BASE_MODEL_H
#define BASE_MODEL_H

#include "base/arena.h"
#include "base/value.h"

/* Lists and maps. cap is what the setters below have room for; 0 is always safe in one that is built
 * by hand. A list that is copied by value shares its items: only one of the two may be pushed to. */
struct strs {
	const char **v;
	uint32_t n, cap;
};
struct bytes {
	const void *p;
	uint32_t n;
};
struct objs {
	void **v; /* pointers to the struct that the table names */
	uint32_t n, cap;
};
struct strmap_item {
	const char *key, *value;
};
struct strmap { /* ascending byte order of keys, no duplicates */
	struct strmap_item *v;
	uint32_t n, cap;
};
struct objmap_item {
	const char *key;
	void *value;
};
struct objmap { /* ascending byte order of keys, no duplicates */
	struct objmap_item *v;
	uint32_t n, cap;
};
struct intmap_item {
	const char *key;
	int64_t value;
};
struct intmap {
	struct intmap_item *v;
	uint32_t n, cap;
};
struct dblmap_item {
	const char *key;
	double value;
};
struct dblmap {
	struct dblmap_item *v;
	uint32_t n, cap;
};
struct hdrmap_item {
	const char *key;
	struct strs value;
};
struct hdrmap {
	struct hdrmap_item *v;
	uint32_t n, cap;
};

/* What every one of them begins with, and what the items of every map begin with. */
struct any_list {
	void *v;
	uint32_t n, cap;
} __attribute__((may_alias));

#define MODEL_BIT(c, field)      (UINT64_C(1) << offsetof(struct c##_index, field))
#define MODEL_HAS(c, obj, field) (((obj)->has & MODEL_BIT(c, field)) != 0)
/* MODEL_SET(job, j, priority, 50) */
#define MODEL_SET(c, obj, field, v) ((obj)->field = (v), (obj)->has |= MODEL_BIT(c, field))
#define MODEL_UNSET(c, obj, field)                                                                 \
	(memset(&(obj)->field, 0, sizeof((obj)->field)), (obj)->has &= ~MODEL_BIT(c, field))
/* Sets the field only when it was not given: how defaults are filled in. */
#define MODEL_DEFAULT(c, obj, field, v)                                                            \
	do {                                                                                       \
		if (!MODEL_HAS(c, obj, field))                                                     \
			MODEL_SET(c, obj, field, v);                                               \
	} while (0)

enum field_kind {
	FIELD_BOOL,
	FIELD_INT,
	FIELD_DBL,
	FIELD_DUR,
	FIELD_TIME,
	FIELD_STAMP,
	FIELD_STR,
	FIELD_STRS,
	FIELD_MAP,
	FIELD_BYTES,
	FIELD_ANY,
	FIELD_OBJ,
	FIELD_OBJS,
	FIELD_OBJMAP,
	FIELD_INTMAP,
	FIELD_DBLMAP,
	FIELD_HDRMAP,
};

enum field_flag { /* see base/model.def */
	FIELD_PTR = 1,
	FIELD_OPT = 2,
	FIELD_LBL = 4,
	FIELD_OMIT = 8,
	FIELD_HIDE = 16,
	FIELD_RUN = 32,
	FIELD_JOBF = 64,
	FIELD_SERV = 128,
};

struct type;
struct field {
	const char *json;
	const char *key; /* the text `,"name":` of compact JSON */
	const char *hcl; /* NULL: not an attribute or block of the job language */
	uint16_t key_len;
	uint16_t offset;
	uint8_t kind;  /* enum field_kind */
	uint8_t flags; /* enum field_flag */
	const struct type *type; /* of OBJ, OBJS, OBJMAP */
};

struct type {
	const char *name;   /* API name: "TaskGroup" */
	const char *c_name; /* "task_group" */
	uint16_t size;
	uint16_t n;
	const struct field *fields;
	const uint8_t *by_name; /* numbers of the fields in ascending order of their JSON names */
};

/* The structs of base/model.def and their tables: type_job, type_task_group, ... */
#define MODEL_DEF "base/model.def"
#include "base/model_structs.h"

/* Every type, in the order of model.def, ended by NULL. */
extern const struct type *const model_types[];
const struct type *model_type(const char *api_name); /* NULL when there is none */
const struct field *model_field(const struct type *t, const char *json_name);
/* For base/model_tables.h alone: fills in the offsets and sorts the index by name. */
void model_finish_type(struct field *fields, uint8_t *by_name, const uint16_t *offsets, size_t n);

/* Whether a list, map or object is there, or bytes are; false for other kinds. */
bool model_is_filled(const struct field *f, const void *obj);
/* Whether field f of obj is set: by its bit, or because a list, map or object is there. */
static inline bool model_is_set(const struct type *t, const struct field *f, const void *obj)
{
	if (*(const uint64_t *)obj >> (f - t->fields) & 1)
		return true;
	return f->kind >= FIELD_STRS && model_is_filled(f, obj);
}

/* MODEL_NEW(arena, job): a zeroed object. */
#define MODEL_NEW(a, c) ((struct c *)arena_alloc((a), sizeof(struct c)))
/* A deep copy into the arena, `has` included. */
void *model_copy(struct arena *a, const struct type *t, const void *obj);
/* Beside FIELD_* for model_equal: unset and zero (or empty) are the same, as they are in a canonical job for everything
 * that does not print as null when it is unset (FIELD_OPT). */
#define MODEL_UNSET_IS_ZERO (1u << 16)
/* Same values and same `has`; fields with any of the ignored flags do not count. */
bool model_equal(const struct type *t, const void *a, const void *b, unsigned ignore_flags);

/* Containers. Setters replace; lists grow by doubling, so pushing n items costs O(n). */
void strs_push(struct arena *a, struct strs *l, const char *s); /* copies s */
bool strs_has(const struct strs *l, const char *s);
void objs_push(struct arena *a, struct objs *l, void *obj);
const char *strmap_get(const struct strmap *m, const char *key); /* NULL when absent */
void strmap_set(struct arena *a, struct strmap *m, const char *key, const char *value);
void *objmap_get(const struct objmap *m, const char *key);
void objmap_set(struct arena *a, struct objmap *m, const char *key, void *value);
int64_t intmap_get(const struct intmap *m, const char *key); /* 0 when absent */
void intmap_set(struct arena *a, struct intmap *m, const char *key, int64_t value);
void dblmap_set(struct arena *a, struct dblmap *m, const char *key, double value);
const struct strs *hdrmap_get(const struct hdrmap *m, const char *key); /* NULL when absent */
void hdrmap_set(struct arena *a, struct hdrmap *m, const char *key, struct strs value);

/* Small lookups that everybody needs. NULL when absent. */
struct task_group *job_group(const struct job *j, const char *name);
struct task *group_task(const struct task_group *g, const char *name);

/* for (each struct task *t in g->tasks): OBJS_EACH(&g->tasks, struct task, t) */
#define OBJS_EACH(list, type_, var)                                                                \
	for (uint32_t var##_i = 0; var##_i < (list)->n; var##_i++)                                 \
		for (type_ *var = (list)->v[var##_i], *var##_once = var; var##_once;               \
		     var##_once = NULL)

#endif
