/*
 * cli_print: the forms in which commands print: columns padded to their widest cell, keys with their values, titles,
 * times, sizes and short ids, as in the recorded runs.
 */
#ifndef DAEMON_CLI_PRINT_H
#define DAEMON_CLI_PRINT_H

#include "base/buf.h"
#include "daemon/cli.h"

/*
 * A table of text: rows of cells, printed with each column as wide as its widest cell, two spaces between. An empty cell
 * prints `empty` ("<none>"). The last column is not padded.
 *
 *	struct table t = table_new(c->arena, "<none>");
 *	table_row(&t, "ID|Type|Status");            first row; one string cut at '|'
 *	table_cell(&t, "%s", id); table_cell(...); table_end_row(&t);
 *	table_print(&t, stdout);
 */
struct table {
	struct arena *arena;
	const char *empty;
	struct objs rows; /* struct strs */
	struct strs *row; /* under construction, or NULL */
};
struct table table_new(struct arena *a, const char *empty);
void table_row(struct table *t, const char *cells); /* a whole row, cut at '|' */
void table_cell(struct table *t, const char *fmt, ...) PRINTF(2, 3);
void table_end_row(struct table *t);
void table_print(const struct table *t, FILE *out);
/* Each line with so many spaces before it. */
void table_print_indented(const struct table *t, FILE *out, int indent);

/*
 * Keys and values: "Name   = web". Empty values print "<none>". Built as a table of two columns:
 *	kv(&t, "Submit Date", "%s", ...); kv_print(&t, stdout);
 */
void kv(struct table *t, const char *key, const char *fmt, ...) PRINTF(3, 4);
void kv_print(const struct table *t, FILE *out);

/* How to go on after a page of a list, when there is more: the command again, with the token. */
void print_next_page(const struct cli *c, const char *token);

/* An empty line and the title, bold on a terminal. */
void print_title(const struct cli *c, const char *fmt, ...) PRINTF(2, 3);
/* Wraps text in an escape sequence when c->color: "1" bold, "32" green, "31" red, "33" yellow. In the arena. */
const char *colored(const struct cli *c, const char *code, const char *text);

/* Ids: eight digits, or all of them with -verbose. In the arena. */
const char *short_id(struct cli *c, const char *id);
/* "256 MiB", "15 GiB": the largest unit, at most so many digits as Nomad prints. Returns out. */
#define SIZE_STR 32
const char *size_format(int64_t bytes, char out[SIZE_STR]);
/* Local time as in lists; "" (so "<none>") for 0. In the arena. */
const char *local_time(struct cli *c, int64_t t);
/* "3m12s ago" in the arena; local time with -verbose. */
const char *list_time(struct cli *c, int64_t t);

#endif
