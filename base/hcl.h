/*
 * hcl: HCL2, the language of job files: syntax tree, expressions, values. A file is parsed into bodies of attributes
 * and blocks; expressions are evaluated when a decoder asks for them. Everything lives in one arena.
 *
 * Bounds, since files may come from strangers: source size, nesting depth, evaluation steps and memory.
 * Problems are collected with their place; after a syntax error there is no tree.
 *
 * Language: the HCL native syntax specification (github.com/hashicorp/hcl, hclsyntax/spec.md).
 */
#ifndef BASE_HCL_H
#define BASE_HCL_H

#include "base/value.h"

enum {
	HCL_MAX_SOURCE = 16 << 20, /* bytes */
	HCL_MAX_DEPTH = 200,
	HCL_MAX_STEPS = 4 << 20,    /* nodes evaluated, converted, compared or printed */
	HCL_MAX_MEMORY = 384 << 20, /* bytes of tree and values */
	HCL_MAX_RESULT = 128 << 20, /* bytes of what is made of them */
	HCL_MAX_TIME = 3,           /* seconds of processor time, for what steps do not measure */
	HCL_MAX_STRING = 16 << 20,
	HCL_MAX_ERRORS = 20, /* shown */
};

/* ---- values ---- */

/* [1, "a"] is a tuple and { a = 1 } an object: each member has a type of its own. Lists, sets and maps have one type
 * of element; they come from type constraints, from functions, and from conditionals whose arms differ. */
enum hcl_kind { HCL_NULL, HCL_BOOL, HCL_NUMBER, HCL_STRING, HCL_LIST, HCL_SET, HCL_TUPLE, HCL_MAP, HCL_OBJECT };
struct hcl_number; /* binary floating point, mostly of 512 bits, as the language asks for */
struct hcl_type {
	enum hcl_kind kind;          /* HCL_NULL: any */
	uint32_t n;                  /* members of a tuple or object */
	const struct hcl_type *elem; /* of a list, set or map */
	const struct hcl_type **types;
	const char *const *names;    /* of an object's members, ascending */
	const bool *optional;        /* of a constraint's members; NULL: none is */
};
struct hcl_value {
	enum hcl_kind kind;
	uint32_t n; /* bytes or items */
	const struct hcl_type *type; /* NULL: a tuple's or object's that nobody asked for yet; see hcl_type_of */
	union {
		bool b;
		const struct hcl_number *num;
		const char *s;
		struct hcl_value **items;
	};
	const char *const *keys; /* of a map or object, ascending, no duplicates */
};

/* ---- the tree ---- */

struct hcl_range { /* byte offsets in the source */
	uint32_t from, to;
};

enum hcl_expr_kind {
	HCL_EXPR_VALUE,    /* value */
	HCL_EXPR_TEMPLATE, /* a: parts */
	HCL_EXPR_NAME,     /* name, a: literal steps */
	HCL_EXPR_INDEX,    /* a[0] [ a[1] ] */
	HCL_EXPR_ATTR,     /* a[0] . name */
	HCL_EXPR_SPLAT,    /* a[0] [*] then a[1] with the item as `each` */
	HCL_EXPR_ITEM,     /* inside a splat: the item */
	HCL_EXPR_CALL,     /* name(a...), flag = last is expanded */
	HCL_EXPR_LIST,     /* a */
	HCL_EXPR_OBJECT,   /* a: key, value, key, value */
	HCL_EXPR_FOR,      /* a: collection, key (or NULL), value, condition (or NULL); name, name2; flag = grouping */
	HCL_EXPR_UNARY,    /* op, a[0] */
	HCL_EXPR_BINARY,   /* op, a[0], a[1] */
	HCL_EXPR_IF,       /* a[0] ? a[1] : a[2] */
	HCL_EXPR_PARENS,   /* a[0]: matters where an object key would be a bare name */
	/* parts of templates */
	HCL_PART_TEXT,     /* value */
	HCL_PART_INTERP,   /* a[0] */
	HCL_PART_IF,       /* a[0]: condition, a[1]: template, a[2]: template or NULL */
	HCL_PART_FOR,      /* a[0]: collection, a[1]: template; name, name2 */
};

struct hcl_expr {
	enum hcl_expr_kind kind;
	char op; /* + - * / % ! & | = n(!=) < > l(<=) g(>=) */
	bool flag;
	uint32_t n;
	struct hcl_range range;
	const char *name, *name2;
	struct hcl_value *value;
	struct hcl_expr **a;
};

struct hcl_attr {
	const char *name;
	struct hcl_range name_range;
	struct hcl_expr *expr;
};
struct hcl_block {
	const char *type;
	const char **labels;
	uint32_t n_labels;
	struct hcl_range type_range; /* of the header */
	struct hcl_body *body;
};
struct hcl_body {
	struct hcl_attr **attrs;
	struct hcl_block **blocks;
	uint32_t n_attrs, n_blocks;
	struct hcl_range range;
};

/* ---- one source and its problems ---- */

struct hcl_file {
	const char *name, *src;
	uint32_t len;
};

struct hcl {
	struct arena *arena;
	struct arena *result;  /* where what is decoded goes, so that it is bounded too; NULL = nowhere */
	size_t result_start;   /* its size before */
	struct hcl_file *file; /* that positions refer to */
	struct buf errors;     /* text for people, one paragraph for each */
	int n_errors;
	uint64_t steps;
	uint64_t next_look;   /* at the clock, in steps */
	uint32_t compared;    /* texts, for sorting */
	int64_t started;      /* processor time at the first look, 0 before it */
	bool exhausted; /* the budget of steps, memory or time is used up, which was reported */
	int depth;
	struct hcl_range at; /* of the expression that is being evaluated */
	bool allow_files;    /* file functions */
	/* Names at the root: fills in out and returns true when it knows the name (an error counts as known:
	 * out is then NULL). attr is the name after the first dot, NULL when there is none; *used says whether it was
	 * consumed. */
	bool (*lookup)(void *arg, struct hcl *h, const char *root, const char *attr, bool *used, struct hcl_range at,
	    struct hcl_value **out);
	void *lookup_arg;
};

/* Adds a problem: "file:line,column: title; detail", the source line and a caret. */
void hcl_error(struct hcl *h, struct hcl_range at, const char *title, const char *detail, ...) PRINTF(4, 5);

struct hcl_scope { /* names bound by for expressions and dynamic blocks */
	const struct hcl_scope *parent;
	const char *name;
	struct hcl_value *value;
};

/* NULL after an error. */
struct hcl_body *hcl_parse(struct hcl *h, struct hcl_file *file);
/* A lone expression (-var of a list, defaults in tests). */
struct hcl_expr *hcl_parse_expr(struct hcl *h, struct hcl_file *file);
/* NULL after an error. */
struct hcl_value *hcl_eval(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope);

/* As hcl_eval, but problems are forgotten: NULL is all that tells of them. */
struct hcl_value *hcl_attempt(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope);

/* ---- making values (base/hcl_value.c, base/hcl_number.c) ---- */
struct hcl_value *hcl_null(struct hcl *h); /* of any type */
struct hcl_value *hcl_null_of(struct hcl *h, const struct hcl_type *t);
struct hcl_value *hcl_bool(struct hcl *h, bool b);
struct hcl_value *hcl_int(struct hcl *h, int64_t i);
struct hcl_value *hcl_double(struct hcl *h, double d);               /* NULL when it is not finite */
struct hcl_value *hcl_string(struct hcl *h, const char *s, size_t n); /* copied, brought into NFC */
/* Items and keys are copied, not what they point to. Of equal keys the last one wins. */
struct hcl_value *hcl_tuple(struct hcl *h, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_list(struct hcl *h, const struct hcl_type *elem, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_set(struct hcl *h, const struct hcl_type *elem, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_object(struct hcl *h, const char *const *keys, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_map(struct hcl *h, const struct hcl_type *elem, const char *const *keys, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_number_parse(struct hcl *h, const char *text, size_t n); /* NULL when it is none */
const char *hcl_number_text(struct hcl *h, const struct hcl_value *v); /* shortest decimal that reads back */
/* The number as printf's %e %f %g would (verb), with a precision; < 0: as many digits as it takes. Without a sign. */
const char *hcl_number_format(struct hcl *h, const struct hcl_value *v, char verb, int precision);
bool hcl_number_is_negative(const struct hcl_value *v);
/* A whole number in base 2, 8, 10 or 16, without a sign; NULL when it is not whole. */
const char *hcl_number_digits(struct hcl *h, const struct hcl_value *v, int base);
bool hcl_number_int(const struct hcl_value *v, int64_t *out);          /* false: not whole, or too large */
double hcl_number_double(const struct hcl_value *v);
/* op: + - * / %. NULL: division by zero, or out of range. */
struct hcl_value *hcl_arith(struct hcl *h, char op, const struct hcl_value *a, const struct hcl_value *b);
int hcl_compare(const struct hcl_value *a, const struct hcl_value *b); /* numbers */
struct hcl_value *hcl_round(struct hcl *h, char how, const struct hcl_value *a); /* c f a(bs) - (negate) */
/* Conversions between primitive kinds; NULL when there is none. A null stays null. */
struct hcl_value *hcl_to(struct hcl *h, enum hcl_kind kind, struct hcl_value *v);
bool hcl_equal(struct hcl *h, struct hcl_value *a, struct hcl_value *b); /* values of two types are never equal, but nulls always */
struct hcl_value *hcl_get(const struct hcl_value *map, const char *key); /* of a map or object; NULL when absent */
int64_t hcl_set_find(struct hcl *h, const struct hcl_value *set, struct hcl_value *v); /* place of a primitive value, -1 when it is not there */
const char *hcl_kind_name(const struct hcl_value *v); /* "string", "number", "list", ... */
static inline bool hcl_is_sequence(const struct hcl_value *v)
{
	return v->kind >= HCL_LIST && v->kind <= HCL_TUPLE;
}
static inline bool hcl_is_mapping(const struct hcl_value *v)
{
	return v->kind >= HCL_MAP;
}
/* Free-form data of the model, as an existing Nomad hands it to drivers: a map whose elements are maps or objects
 * becomes a list of them. */
struct value *hcl_to_value(struct arena *a, struct hcl *h, const struct hcl_value *v);
struct hcl_value *hcl_from_value(struct hcl *h, const struct value *v);
void hcl_put_json(struct hcl *h, struct buf *b, const struct hcl_value *v);

/* ---- types (base/hcl_type.c, base/hcl_typeexpr.c) ---- */
extern const struct hcl_type hcl_any, hcl_type_bool, hcl_type_number, hcl_type_string;
const struct hcl_type *hcl_type_of(struct hcl *h, struct hcl_value *v);
const struct hcl_type *hcl_type_of_elements(struct hcl *h, enum hcl_kind kind, const struct hcl_type *elem);
bool hcl_type_equal(struct hcl *h, const struct hcl_type *a, const struct hcl_type *b);
const char *hcl_type_name(struct hcl *h, const struct hcl_type *t); /* "list of string" */
/* The type that all of these convert to, NULL when there is none. */
const struct hcl_type *hcl_unify(struct hcl *h, const struct hcl_type *const *types, uint32_t n);
/* The value as one of this type; NULL and a reason ("a number is required") when it cannot be. */
struct hcl_value *hcl_as(struct hcl *h, const struct hcl_type *want, struct hcl_value *v, const char **why);
/* A constraint as it is written; NULL after an error. */
const struct hcl_type *hcl_type_parse(struct hcl *h, const struct hcl_expr *e);

/* ---- functions (base/hcl_func*.c) ---- */
struct hcl_call {
	struct hcl *h;
	struct hcl_range at;
	const struct hcl_expr *expr;
	const struct hcl_scope *scope;
	struct hcl_value **args;
	uint32_t n;
	const char *name;
};
typedef struct hcl_value *hcl_func_fn(struct hcl_call *c); /* NULL after an error */
struct hcl_func {
	const char *name;
	const char *params; /* a letter each, to which arguments are converted: s string, n number, b bool, l list, S set,
	                     * L list of strings, N list of numbers, q list or tuple or set as it is, m map or object as it
	                     * is, a anything but null, A anything. `?` after a letter: may be left out. `*` after the
	                     * last: any number of them */
	hcl_func_fn *fn;
};
extern const struct hcl_func hcl_funcs_collection[], hcl_funcs_string[], hcl_funcs_format[], hcl_funcs_number[],
    hcl_funcs_encoding[], hcl_funcs_yaml[], hcl_funcs_system[];
struct hcl_value *hcl_call_function(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope);
/* An error at the call: returns NULL. */
struct hcl_value *hcl_call_error(struct hcl_call *c, const char *fmt, ...) PRINTF(2, 3);
/* How alike two names are: the number of single-letter edits, for suggestions. 99 for very long ones. */
size_t hcl_distance(const char *a, const char *b);
struct hcl_value *hcl_reverse_string(struct hcl_call *c);
/* The place of the first byte that is no UTF-8 or zero; n when there is none. */
size_t hcl_bad_text(const char *s, size_t n);
/* A character as people see it: the bytes of the first one, and how many there are. */
size_t hcl_grapheme(const char *s, size_t n);
size_t hcl_graphemes(const char *s, size_t n);
/* Counts a step; true, and reported once, when steps, memory or time are used up. */
bool hcl_over_budget(struct hcl *h, struct hcl_range at);
/* The same for work that is worth many steps, or whose worth is not known: looks at the clock. */
bool hcl_work(struct hcl *h, struct hcl_range at, uint64_t steps);
/* strcmp for sorting with qsort_r: of long texts there may be many comparisons. Once the budget is used up all are equal. */
int hcl_text_order(struct hcl *h, const char *a, const char *b);

#endif
