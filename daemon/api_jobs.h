/* api_jobs: the handlers of /v1/job/:id and what lies below it, spread over three files; daemon/api_jobs.c has the table. */
#ifndef DAEMON_API_JOBS_H
#define DAEMON_API_JOBS_H

#include "daemon/api.h"

/* The job of the path, not purged; NULL when there is none. */
struct job_entry *api_job(struct call *c);
/* Counters of a job by group, in the arena. */
struct job_summary *api_job_summary(struct arena *a, const struct job_entry *j);

/* reads: daemon/api_job_reads.c */
void api_job_versions(struct call *c);
void api_job_summary_get(struct call *c);
void api_job_allocations(struct call *c);
void api_job_evaluations(struct call *c);
void api_job_deployments(struct call *c);
void api_job_deployment(struct call *c);
void api_job_scale_get(struct call *c);
void api_job_submission(struct call *c);
void api_job_why(struct call *c);

/* actions: daemon/api_job_actions.c */
void api_job_plan(struct call *c);
void api_job_evaluate(struct call *c);
void api_job_revert(struct call *c);
void api_job_stable(struct call *c);
void api_job_scale(struct call *c);
void api_job_dispatch(struct call *c);
void api_job_periodic_force(struct call *c);
/* Checks that the job of a body belongs to this path, namespace and region; answers and returns negative if not. */
int api_job_accept(struct call *c, struct job *j, const char *mismatch);

#endif
