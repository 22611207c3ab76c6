/* cli_find: looking up what people type. */
#include "daemon/cli_find.h"

#include "daemon/cli_job.h"

static const struct job_stub *found(struct cli *c, const struct job_stub *j)
{
	if (str_eq(c->ns, "*"))
		c->ns = j->namespace;
	return j;
}

const struct job_stub *cli_find_job(struct cli *c, const char *what, const char *text)
{
	cleanup_err struct err e = ERR_INIT;
	const struct job_stub *exact = NULL;
	struct objs jobs = {0};
	int n_exact = 0;

	if (cli_get_list(c, &type_job_stub, &jobs, &e, "/v1/jobs?prefix=%s", cli_escape(c, text)) < 0) {
		cli_fail(what, &e);
		return NULL;
	}
	OBJS_EACH(&jobs, struct job_stub, j) {
		if (str_eq(j->id, text)) {
			exact = j;
			n_exact++;
		}
	}
	if (n_exact == 1) /* several: the same id in several namespaces */
		return found(c, exact);
	if (!jobs.n) {
		fprintf(stderr, "No job(s) with prefix or id \"%s\" found\n", text);
		return NULL;
	}
	if (jobs.n == 1)
		return found(c, jobs.v[0]);
	fprintf(stderr, "Prefix matched multiple jobs\n\n");
	show_jobs(c, &jobs, stderr);
	return NULL;
}
