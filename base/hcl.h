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
	HCL_MAX_STEPS = 20 << 20,   /* nodes evaluated */
	HCL_MAX_MEMORY = 512 << 20, /* bytes of the arena */
	HCL_MAX_STRING = 16 << 20,
	HCL_MAX_ERRORS = 20,
};

/* ---- values ---- */

enum hcl_kind { HCL_NULL, HCL_BOOL, HCL_NUMBER, HCL_STRING, HCL_LIST, HCL_SET, HCL_MAP };
struct hcl_number; /* 512-bit binary floating point, as the language asks for */
struct hcl_value {
	enum hcl_kind kind;
	uint32_t n; /* bytes or items */
	union {
		bool b;
		const struct hcl_number *num;
		const char *s;
		struct hcl_value **items;
	};
	const char **keys; /* of a map, ascending, no duplicates */
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
	struct hcl_file *file; /* that positions refer to */
	struct buf errors;     /* text for people, one paragraph for each */
	int n_errors;
	uint64_t steps;
	int depth;
	bool allow_files; /* file functions */
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

/* ---- making and converting values (base/hcl_value.c) ---- */
struct hcl_value *hcl_null(struct hcl *h);
struct hcl_value *hcl_bool(struct hcl *h, bool b);
struct hcl_value *hcl_int(struct hcl *h, int64_t i);
struct hcl_value *hcl_string(struct hcl *h, const char *s, size_t n); /* copied, brought into NFC */
struct hcl_value *hcl_list(struct hcl *h, enum hcl_kind kind, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_map(struct hcl *h, const char **keys, struct hcl_value **items, uint32_t n);
struct hcl_value *hcl_number_parse(struct hcl *h, const char *text, size_t n); /* NULL when it is none */
const char *hcl_number_text(struct hcl *h, const struct hcl_value *v); /* shortest decimal that reads back */
bool hcl_number_int(const struct hcl_value *v, int64_t *out);          /* false: not whole, or too large */
double hcl_number_double(const struct hcl_value *v);
/* op: + - * / % ^(power) and < = > for comparison through hcl_compare. NULL: division by zero. */
struct hcl_value *hcl_arith(struct hcl *h, char op, const struct hcl_value *a, const struct hcl_value *b);
int hcl_compare(const struct hcl_value *a, const struct hcl_value *b); /* numbers */
struct hcl_value *hcl_round(struct hcl *h, char how, const struct hcl_value *a); /* c f a(bs) - (negate) */
/* Conversions between primitive kinds; NULL when there is none. */
struct hcl_value *hcl_to(struct hcl *h, enum hcl_kind kind, struct hcl_value *v);
bool hcl_equal(const struct hcl_value *a, const struct hcl_value *b);
struct hcl_value *hcl_get(const struct hcl_value *map, const char *key); /* NULL when absent */
const char *hcl_kind_name(const struct hcl_value *v); /* "string", "number", "list", ... */
struct value *hcl_to_value(struct arena *a, struct hcl *h, const struct hcl_value *v);
struct hcl_value *hcl_from_value(struct hcl *h, const struct value *v);
void hcl_put_json(struct hcl *h, struct buf *b, const struct hcl_value *v);

/* Type constraints: string, number, bool, any, list(), set(), map(), object({}), tuple([]). NULL after an error:
 * conversion as `variable` does it. what names the value in messages. */
struct hcl_value *hcl_convert(struct hcl *h, const struct hcl_expr *type, struct hcl_value *v, struct hcl_range at,
    const char *what);

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
	const char *params; /* a letter each: s string, n number, b bool, l list or set or tuple, L the same of strings,
	                     * N of numbers, m map, a anything; upper-case forms convert. `?` after a letter: may be left out.
	                     * `*` after the last: any number of them */
	hcl_func_fn *fn;
};
extern const struct hcl_func hcl_funcs_collection[], hcl_funcs_string[], hcl_funcs_number[], hcl_funcs_encoding[],
    hcl_funcs_system[];
struct hcl_value *hcl_call_function(struct hcl *h, const struct hcl_expr *e, const struct hcl_scope *scope);
/* An error at the call: returns NULL. */
struct hcl_value *hcl_call_error(struct hcl_call *c, const char *fmt, ...) PRINTF(2, 3);
/* How alike two names are: the number of single-letter edits, for suggestions. 99 for very long ones. */
size_t hcl_distance(const char *a, const char *b);
bool hcl_over_budget(struct hcl *h, struct hcl_range at); /* reports once when steps or memory are used up */

#endif
