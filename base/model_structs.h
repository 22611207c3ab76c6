/*
 * model_structs: makes the C structs and the declarations of their tables from a definition file (base/model.def
 * describes its form). Included once for each such file, inside a header:
 *
 *   #define MODEL_DEF "base/model.def"
 *   #include "base/model_structs.h"
 */
#ifndef MODEL_C_BOOL
#define MODEL_C_BOOL(name, ref)   bool name;
#define MODEL_C_INT(name, ref)    int64_t name;
#define MODEL_C_DBL(name, ref)    double name;
#define MODEL_C_DUR(name, ref)    int64_t name;
#define MODEL_C_TIME(name, ref)   int64_t name;
#define MODEL_C_STAMP(name, ref)  int64_t name;
#define MODEL_C_STR(name, ref)    const char *name;
#define MODEL_C_STRS(name, ref)   struct strs name;
#define MODEL_C_MAP(name, ref)    struct strmap name;
#define MODEL_C_BYTES(name, ref)  struct bytes name;
#define MODEL_C_ANY(name, ref)    struct value *name;
#define MODEL_C_OBJ(name, ref)    struct ref *name;
#define MODEL_C_OBJS(name, ref)   struct objs name;
#define MODEL_C_OBJMAP(name, ref) struct objmap name;
#define MODEL_C_INTMAP(name, ref) struct intmap name;
#define MODEL_C_DBLMAP(name, ref) struct dblmap name;
#define MODEL_C_HDRMAP(name, ref) struct hdrmap name;
#endif

#define STRUCT(c, api)                                                                             \
	struct c {                                                                                 \
		uint64_t has;
#define F(kind, name, json, hcl, flags, ref) MODEL_C_##kind(name, ref)
#define END(c)                                                                                     \
	}                                                                                          \
	;
#include MODEL_DEF
#undef STRUCT
#undef F
#undef END

/* Numbers of the fields: the offset of a member in a struct that has one char for each field. */
#define STRUCT(c, api) struct c##_index {
#define F(kind, name, json, hcl, flags, ref) char name;
#define END(c)                                                                                     \
	}                                                                                          \
	;
#include MODEL_DEF
#undef STRUCT
#undef F
#undef END

/* type_job, type_task_group, ... */
#define STRUCT(c, api) extern const struct type type_##c;
#define F(kind, name, json, hcl, flags, ref)
#define END(c)
#include MODEL_DEF
#undef STRUCT
#undef F
#undef END

#undef MODEL_DEF
