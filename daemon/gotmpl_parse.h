/*
 * gotmpl_parse: a template as a tree. Everything lives in one arena. Shared by gotmpl_parse.c, gotmpl.c and gotmpl_func.c;
 * nobody else includes this.
 */
#ifndef DAEMON_GOTMPL_PARSE_H
#define DAEMON_GOTMPL_PARSE_H

#include "base/err.h"
#include "base/model.h"

enum { TMPL_NESTING = 100 };

/* A piece of a command: what it is, then `.Field`s that go on from it. */
enum operand_kind { OPERAND_DOT, OPERAND_VARIABLE, OPERAND_LITERAL, OPERAND_NIL, OPERAND_FUNCTION, OPERAND_PAREN };
struct operand {
	enum operand_kind kind;
	const char *at;             /* in the text */
	const char *name;           /* VARIABLE, with its $; FUNCTION */
	const struct value *value;  /* LITERAL */
	const struct tmpl_fn *fn;   /* FUNCTION */
	struct pipeline *pipe;      /* PAREN */
	struct strs fields;
	struct operand *next;
};
struct command {
	struct operand *operands; /* the first is called with the others */
	struct command *next;
};
struct pipeline {
	const char *at;
	const char *variables[2]; /* `$i, $e :=` */
	int n_variables;
	bool assigns; /* = instead of := */
	struct command *commands;
};

enum tmpl_node_kind { NODE_TEXT, NODE_ACTION, NODE_IF, NODE_RANGE, NODE_WITH, NODE_BREAK, NODE_CONTINUE };
struct tmpl_node {
	enum tmpl_node_kind kind;
	const char *at;
	const char *text; /* TEXT */
	size_t n;
	struct pipeline *pipe;
	struct tmpl_node *body, *otherwise;
	struct tmpl_node *next;
};

int gotmpl_parse(const char *text, struct arena *a, struct tmpl_node **out, struct err *e);
/* "line 2, column 5: ..."; returns -EINVAL. */
int gotmpl_error(struct err *e, const char *text, const char *at, const char *fmt, ...) PRINTF(4, 5);

/* ---- values while a template runs ---- */

struct tmpl_value {
	const struct value *v; /* NULL: no value */
	const struct type *of; /* of the object, or of its items */
	bool items;
	bool duration; /* an integer that prints as one */
};

/* ---- functions (gotmpl_func.c) ---- */

struct tmpl_call {
	struct arena *arena;
	const struct tmpl_value *args;
	int n;
	char *problem; /* owned: what is wrong, when the function fails */
};
struct tmpl_fn {
	const char *name;
	int min, max; /* arguments; max -1 = any number */
	/* Negative: problem says why. and, or: NULL, they are evaluated by the caller, argument by argument. */
	int (*run)(struct tmpl_call *c, struct tmpl_value *out);
};
const struct tmpl_fn *gotmpl_function(const char *name); /* NULL: there is none */

/* ---- forms of values (gotmpl_format.c) ---- */

bool gotmpl_is_true(const struct tmpl_value *v);
void gotmpl_print(struct buf *b, const struct tmpl_value *v);          /* as %v */
void gotmpl_printf(struct buf *b, const char *format, size_t n, const struct tmpl_value *args, int n_args);
void gotmpl_put_rune(struct buf *b, uint32_t r);                       /* as UTF-8 */
void gotmpl_put_float(struct buf *b, double f);                        /* as %v */
void gotmpl_put_quoted(struct buf *b, const char *s, size_t n);        /* as %q */
const char *gotmpl_kind(const struct tmpl_value *v);                   /* "a list", "an integer", ... */

#endif
