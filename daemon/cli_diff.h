/*
 * cli_diff: the difference between two versions of a job as `job plan` and `job history -p` print it: a marker (+, -, +/-)
 * before everything that changed, values aligned, groups with what becomes of their allocations.
 */
#ifndef DAEMON_CLI_DIFF_H
#define DAEMON_CLI_DIFF_H

#include "daemon/cli.h"

/*
 * diff is the JSON of base/diff.h. verbose: also the fields of what is added or deleted as a whole. Lines without a break
 * at the end, in the arena; "" for null.
 */
const char *cli_diff(struct cli *c, const struct value *diff, bool verbose);

#endif
