/*
 * config_options: the one table of configuration options. Defaults, ranges, the reader, the sample file and the
 * documentation all come from it. Owned by config.c and config_read.c.
 */
#ifndef DAEMON_CONFIG_OPTIONS_H
#define DAEMON_CONFIG_OPTIONS_H

#include "daemon/config.h"

enum option_type { OPT_STR, OPT_BOOL, OPT_INT, OPT_INT32, OPT_DBL, OPT_DUR, OPT_LIST, OPT_LEVEL, OPT_MAP };
struct option {
	const char *section; /* "" = top level; "client.reserved" = a block in a block */
	const char *name;
	enum option_type type;
	size_t offset; /* in struct config */
	const char *unset; /* default as text, NULL = none */
	const char *example; /* what the sample file shows where there is no default; of maps an entry */
	double min, max; /* of numbers; durations in seconds; max 0 = no range */
	const char *help;
	bool live;   /* a reload applies it */
	bool secret; /* its value is in no log */
};
extern const struct option config_options[];
extern const size_t config_n_options;

/* Checks text against type and range and stores it; the sentence says what was expected. */
int option_apply(struct config *c, const struct option *o, const char *text, struct err *e);
/* The same without storing. */
int option_check(const struct option *o, const char *text, struct err *e);
const char *option_type_name(enum option_type t);
/* Writes "client.node_class", and the value as text. */
void option_put_name(struct buf *b, const struct option *o);
void option_put_value(struct buf *b, const struct config *c, const struct option *o);
/* Copies the value, strings and all, from one configuration to another. */
void option_copy(struct config *to, const struct config *from, const struct option *o);

#endif
