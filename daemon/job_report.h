/*
 * job_report: one job with everything that hangs on it, read from an agent: what `job status` shows.
 */
#ifndef DAEMON_JOB_REPORT_H
#define DAEMON_JOB_REPORT_H

#include "daemon/cli.h"

struct job_report {
	struct cli *c;
	struct job job;
	struct job_summary summary;
	struct objs allocs, evals, children; /* alloc_stub, eval, job_stub; the newest first, children by id */
	struct deployment deployment;        /* the latest one; id "" when there is none */
	struct why_answer why;               /* empty also when the server knows no reasons */
};

/* Does it begin other jobs, and has no allocations of its own: periodic or parameterized? */
bool job_is_parent(const struct job *j);

/* With -short the job alone. The error is the whole sentence. */
int job_report_read(struct cli *c, const char *id, struct job_report *out, struct err *e);

/*
 * -json and -t: a list with {Summary, Allocations, LatestDeployment, Evaluations} of each of the jobs (struct job_stub), as
 * Nomad has it, and what waits. False: neither was given. Errors are printed.
 */
bool job_reports_format(struct cli *c, const struct objs *stubs, int *code);

#endif
