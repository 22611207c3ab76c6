/*
 * cli_alloc: what all commands about one allocation share: finding it by the beginning of its id or by its job, and
 * choosing its task.
 */
#ifndef DAEMON_CLI_ALLOC_H
#define DAEMON_CLI_ALLOC_H

#include "daemon/cli_show.h"

/*
 * The allocation that text is the id of, or the beginning of the id. What is wrong is printed: 1 = none, or no answer;
 * 2 = several begin so, and `several` got their list.
 */
int cli_alloc_find(struct cli *c, const char *text, FILE *several, struct allocation **out);
/* The newest running allocation of the job, of one group when group is given; the newest one when none runs. 1 = none. */
int cli_alloc_of_job(struct cli *c, const char *job, const char *group, struct allocation **out);
/* By the arguments of `alloc logs` and `alloc fs`: -job takes the first one as a job. *rest is what follows it. */
int cli_alloc_argument(struct cli *c, struct allocation **out, const char ***rest);

/* The group's tasks in the order of the job file; an empty list when the job is not known. */
const struct objs *cli_alloc_tasks(const struct allocation *a);
/* The task when there is only one; else says which ones there are ("Failed to validate task: ...") and returns NULL. */
const char *cli_alloc_only_task(const struct allocation *a);
/* Whether the task exists; else says which ones do. */
bool cli_alloc_has_task(const struct allocation *a, const char *task);

/* What it has in Consul, as tables; nothing when it has nothing. */
void cli_alloc_put_services(struct cli *c, const struct allocation *a);

#endif
