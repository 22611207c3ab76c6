/*
 * model_tables: makes the field tables of a definition file, beside base/model_structs.h; included once for each such
 * file, in a source file of its own. The tables never change after the constructor has filled in their offsets and
 * sorted their indexes.
 */
#include "base/model.h"

#define REF_BOOL(ref)   NULL
#define REF_INT(ref)    NULL
#define REF_DBL(ref)    NULL
#define REF_DUR(ref)    NULL
#define REF_TIME(ref)   NULL
#define REF_STAMP(ref)  NULL
#define REF_STR(ref)    NULL
#define REF_STRS(ref)   NULL
#define REF_MAP(ref)    NULL
#define REF_BYTES(ref)  NULL
#define REF_ANY(ref)    NULL
#define REF_OBJ(ref)    &type_##ref
#define REF_OBJS(ref)   &type_##ref
#define REF_OBJMAP(ref) &type_##ref
#define REF_INTMAP(ref) NULL
#define REF_DBLMAP(ref) NULL
#define REF_HDRMAP(ref) NULL

#define PTR  FIELD_PTR
#define OPT  FIELD_OPT
#define LBL  FIELD_LBL
#define OMIT FIELD_OMIT
#define HIDE FIELD_HIDE
#define RUN  FIELD_RUN
#define JOBF FIELD_JOBF
#define SERV FIELD_SERV

/* Everything about the fields but their offsets, which need the name of the struct. */
#define STRUCT(c, api) static struct field fields_##c[] = {
#define F(kind_, name_, json_, hcl_, flags_, ref_)                                                 \
	{.json = (json_),                                                                          \
	    .key = ",\"" json_ "\":",                                                              \
	    .key_len = sizeof(json_) + 3,                                                          \
	    .hcl = (hcl_),                                                                         \
	    .kind = FIELD_##kind_,                                                                 \
	    .flags = (flags_),                                                                     \
	    .type = REF_##kind_(ref_)},
#define END(c)                                                                                     \
	}                                                                                          \
	;
#include MODEL_DEF
#undef STRUCT
#undef F
#undef END

#define STRUCT(c, api)                                                                             \
	static uint8_t by_name_##c[ARRAY_LEN(fields_##c)];                                         \
	_Static_assert(ARRAY_LEN(fields_##c) <= 64, "`has` of " api " has 64 bits");               \
	const struct type type_##c = {                                                             \
	    .name = (api),                                                                         \
	    .c_name = #c,                                                                          \
	    .size = sizeof(struct c),                                                              \
	    .n = ARRAY_LEN(fields_##c),                                                            \
	    .fields = fields_##c,                                                                  \
	    .by_name = by_name_##c,                                                                \
	};
#define F(kind_, name_, json_, hcl_, flags_, ref_)
#define END(c)
#include MODEL_DEF
#undef STRUCT
#undef F
#undef END

__attribute__((constructor)) static void finish_tables(void)
{
#define STRUCT(c, api)                                                                             \
	{                                                                                          \
		typedef struct c self;                                                             \
		static const uint16_t offsets[] = {
#define F(kind_, name_, json_, hcl_, flags_, ref_) offsetof(self, name_),
#define END(c)                                                                                     \
		}                                                                                  \
		;                                                                                  \
		model_finish_type(fields_##c, by_name_##c, offsets, ARRAY_LEN(offsets));           \
	}
#include MODEL_DEF
}
#undef STRUCT
#undef F
#undef END
#undef MODEL_DEF
