/*
 * cli_show: what several commands show of the cluster: lists of allocations, and why something could not be placed.
 */
#ifndef DAEMON_CLI_SHOW_H
#define DAEMON_CLI_SHOW_H

#include "daemon/cli_print.h"

/* Newest first, as every list of the command line: by an index that grows with time. Equal ones keep their order. */
typedef int64_t show_index_fn(const void *item);
void show_newest_first(struct objs *list, show_index_fn *index);

/* The same of a list that has no table, by CreateIndex: as it prints with -json and -t. */
void show_values_newest_first(struct value *list);

/*
 * The table of allocations (struct alloc_stub), newest first; "No allocations placed" when there is none. -verbose shows
 * whole ids, times as times, and the evaluation and, with node_name, the name of the node.
 */
void show_allocs(struct cli *c, struct objs *stubs, bool node_name, FILE *out);
/* The stub of a whole allocation, in the arena of c; shares its parts. */
struct alloc_stub *show_stub_of(struct cli *c, const struct allocation *a);

/* One line for each reason, `<prefix>* Dimension "memory" exhausted on 1 nodes`, as scripts know them; then the sentence
 * of the scheduler, where the metric has one. */
void show_metric(const struct alloc_metric *m, const char *prefix, FILE *out);
/* `Task Group "huge" (failed to place 2 allocations):` and a line break. */
void show_failed_group(const char *group, const struct alloc_metric *m, FILE *out);
/*
 * Of an evaluation that could not place everything: for each group
 *	Task Group "huge" (failed to place 2 allocations):
 *	  * Dimension "memory" exhausted on 1 nodes
 * between says what stands between two groups.
 */
void show_failures(const struct eval *e, const char *between, FILE *out);
/* "true", "false", or "N/A - In Progress" for an evaluation that has not ended. */
const char *show_has_failures(const struct eval *e);

/* Numbers and texts in a tree, by a path of keys: "ResourceUsage.CpuStats.Percent". 0, "" and false when absent. */
double show_number(const struct value *v, const char *path);
const char *show_text(const struct value *v, const char *path);
bool show_flag(const struct value *v, const char *path);
const struct value *show_at(const struct value *v, const char *path); /* NULL when absent */

#endif
