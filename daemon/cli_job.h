/*
 * cli_job: jobs and deployments in the form in which several commands print them. Nothing here asks an agent.
 */
#ifndef DAEMON_CLI_JOB_H
#define DAEMON_CLI_JOB_H

#include "daemon/cli_print.h"

#define FLAG_VERBOSE {"verbose", CMD_BOOL, NULL, "Whole ids and exact times."}
#define FLAG_DETACH  {"detach", CMD_BOOL, NULL, "Do not follow what happens: print the id of the evaluation and return."}

/* "batch/periodic", "dead (stopped)"; in the arena. */
const char *show_job_type(struct cli *c, const char *type, bool periodic, bool parameterized);
const char *show_job_status(struct cli *c, const char *status, bool stopped);

/* A list of struct job_stub; with namespaces when the request was for all of them. */
void show_jobs(struct cli *c, const struct objs *stubs, FILE *out);
/* A list of struct deployment, or "No deployments found". */
void show_deployments(struct cli *c, const struct objs *list);

/* One deployment: its keys (with_job: the job and its version too), then its groups under the title "Deployed". */
void show_deployment(struct cli *c, const struct deployment *d, bool with_job, FILE *out);

/* "2h8m59s from now", "12s ago": exact to the second, as launches and deadlines are shown. In the arena. */
const char *show_until(struct cli *c, int64_t t, int64_t now);

#endif
