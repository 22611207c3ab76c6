/* filter_parse: the tree of a filter; shared by filter_parse.c and filter.c, nobody else includes this. */
#ifndef DAEMON_FILTER_PARSE_H
#define DAEMON_FILTER_PARSE_H

#include "base/pattern.h"
#include "daemon/filter.h"

enum { FILTER_LENGTH = 8192, FILTER_NESTING = 100 };

/* From an object towards a value. */
struct filter_step {
	const struct field *field; /* of an object; NULL: a key of a map, or the number of an item */
	const char *key;
	uint32_t index;
};

enum filter_op { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_EQUAL, FILTER_CONTAINS, FILTER_MATCHES, FILTER_EMPTY, FILTER_NIL };
struct filter_node {
	enum filter_op op;
	bool negated;                     /* "not in", "is not empty", != */
	struct filter_node *left, *right; /* of AND, OR; left of NOT */
	/* of the rest */
	struct filter_step *steps;
	uint32_t n_steps;
	enum field_kind kind;             /* that the steps lead to */
	bool dynamic;                     /* they lead through a value that has no table: kind is not known */
	const char *text;                 /* to compare with, in its forms */
	int64_t integer;
	double number;
	bool truth, is_integer, is_number, is_truth;
	struct pattern *pattern;
	struct filter_node *next;         /* all that have a pattern */
};

struct filter {
	struct arena *arena;
	const struct type *type;
	struct filter_node *root;
	struct filter_node *patterns;
};

int filter_parse(struct filter *f, const char *text, const struct type *t, struct err *e);

#endif
