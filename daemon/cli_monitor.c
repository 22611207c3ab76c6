/* cli_monitor: watching evaluations and deployments. */
#include "daemon/cli_monitor.h"

#include <errno.h>

#include "base/clock.h"
#include "daemon/cli_job.h"
#include "daemon/cli_show.h"

#define PATIENCE "3s" /* how long an evaluation may wait before the reason is told, and is asked for again */

/* What was told already. */
struct monitor {
	struct cli *c;
	const char *silent;  /* id of the evaluation that is followed, as long as nothing was told of it */
	bool chained;        /* it goes on with the work of one before it: only what is new is told */
	const char *status;  /* of the evaluation */
	const char *deployment, *node;
	bool job;            /* the trigger was told */
	struct objmap allocs; /* id -> struct alloc_stub as last seen */
	struct strmap reasons; /* group -> reason as last told */
	bool unplaced;       /* some evaluation of the chain could not place everything */
};

PRINTF(2, 3) static void headline(const struct monitor *m, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	printf("==> %s: %s\n", local_time(m->c, clock_now()), b.data);
	fflush(stdout);
}

static void tell_whose(struct monitor *m)
{
	if (m->silent)
		headline(m, "Monitoring evaluation \"%s\"", short_id(m->c, m->silent));
	m->silent = NULL;
}

PRINTF(2, 3) static void detail(struct monitor *m, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	tell_whose(m);
	printf("    %s: %s\n", local_time(m->c, clock_now()), b.data);
	fflush(stdout);
}

/* ---- evaluation ---- */

static void tell_alloc(struct monitor *m, const struct eval *e, const struct alloc_stub *a)
{
	const struct alloc_stub *before = objmap_get(&m->allocs, a->id);
	const char *id = short_id(m->c, a->id), *node = short_id(m->c, a->node_id);

	if (before && !str_eq(before->client_status, a->client_status))
		detail(m, "Allocation \"%s\" status changed: \"%s\" -> \"%s\"%s%s%s", id, str_or(before->client_status, ""),
		    str_or(a->client_status, ""), str_empty(a->client_description) ? "" : " (",
		    str_or(a->client_description, ""), str_empty(a->client_description) ? "" : ")");
	else if (!before && a->create_index < e->create_index) /* it was there before the evaluation */
		detail(m, "Allocation \"%s\" modified: node \"%s\", group \"%s\"", id, node, a->task_group);
	else if (!before && str_eq(a->desired_status, "run"))
		detail(m, "Allocation \"%s\" created: node \"%s\", group \"%s\"", id, node, a->task_group);
	objmap_set(m->c->arena, &m->allocs, a->id, (void *)a);
}

/* Everything that is different from what was told. */
static void tell_changes(struct monitor *m, const struct eval *e, const struct objs *allocs)
{
	if (!m->node && !str_empty(e->node_id))
		detail(m, "Evaluation triggered by node \"%s\"", short_id(m->c, m->node = e->node_id));
	if (!m->job && !str_empty(e->job_id)) {
		detail(m, "Evaluation triggered by job \"%s\"", e->job_id);
		m->job = true;
	}
	if (!m->deployment && !str_empty(e->deployment_id))
		detail(m, "Evaluation within deployment: \"%s\"", short_id(m->c, m->deployment = e->deployment_id));
	OBJS_EACH(allocs, struct alloc_stub, a)
		tell_alloc(m, e, a);
	if (!str_eq(e->status, "pending") && !str_eq(e->status, m->status) && !(m->chained && m->silent))
		detail(m, "Evaluation status changed: \"%s\" -> \"%s\"", m->status, e->status);
	m->status = e->status;
}

static void tell_end(struct monitor *m, const struct eval *e)
{
	const char *id = short_id(m->c, e->id);

	if (m->chained && m->silent && !str_empty(e->next_eval) && !e->failed_tg_allocs.n)
		return;
	if (!e->failed_tg_allocs.n) {
		headline(m, "Evaluation \"%s\" finished with status \"%s\"", id, e->status);
		return;
	}
	m->unplaced = true;
	headline(m, "Evaluation \"%s\" finished with status \"%s\" but failed to place all allocations:", id, e->status);
	for (uint32_t i = 0; i < e->failed_tg_allocs.n; i++) {
		printf("    %s: ", local_time(m->c, clock_now()));
		show_failed_group(e->failed_tg_allocs.v[i].key, e->failed_tg_allocs.v[i].value, stdout);
		show_metric(e->failed_tg_allocs.v[i].value, "      ", stdout);
	}
	if (!str_empty(e->blocked_eval))
		detail(m, "Evaluation \"%s\" waiting for additional capacity to place remainder", short_id(m->c, e->blocked_eval));
}

/* The evaluation is still waiting: says for what, once for each reason. */
static void tell_waiting(struct monitor *m, const struct eval *e)
{
	struct why_answer why = {0};

	if (str_empty(e->job_id) ||
	    cli_get(m->c, &type_why_answer, &why, NULL, "/v1/job/%s/why", cli_escape(m->c, e->job_id)) < 0)
		return;
	for (uint32_t i = 0; i < why.groups.n; i++) {
		const struct wait_reason *r = why.groups.v[i].value;
		const char *group = why.groups.v[i].key;

		if (str_eq(strmap_get(&m->reasons, group), r->text))
			continue;
		detail(m, "Waiting, group \"%s\" (%s): %s", group, str_or(r->code, ""), str_or(r->text, ""));
		strmap_set(m->c->arena, &m->reasons, group, str_or(r->text, ""));
	}
}

static bool is_over(const struct eval *e)
{
	return str_eq(e->status, "complete") || str_eq(e->status, "failed") || str_eq(e->status, "canceled");
}

/* Reads the evaluation and then its allocations: what a complete one placed is there. */
static int read_eval(struct monitor *m, const char *id, uint64_t *index, struct eval *e, struct objs *allocs)
{
	cleanup_err struct err err = ERR_INIT;
	int rc;

	rc = *index ? cli_get(m->c, &type_eval, e, &err, "/v1/evaluation/%s?index=%llu&wait=" PATIENCE, id,
	                  (unsigned long long)*index)
	            : cli_get(m->c, &type_eval, e, &err, "/v1/evaluation/%s", id);
	*index = MAX(m->c->index, 1);
	if (rc == 0)
		rc = cli_get_list(m->c, &type_alloc_stub, allocs, &err, "/v1/evaluation/%s/allocations", id);
	if (rc == -ENOENT)
		fprintf(stderr, "No evaluation with id \"%s\" found\n", short_id(m->c, id));
	else if (rc < 0)
		cli_fail("Error reading evaluation", &err);
	return rc;
}

/* One evaluation to its end; next gets the id of the one that goes on with its work, or "". */
static int follow(struct monitor *m, const char *id, const char **next)
{
	uint64_t index = 0, seen = 0;

	m->status = "pending";
	m->silent = id;
	if (!m->chained)
		tell_whose(m);
	for (;;) {
		struct eval e = {0};
		struct objs allocs = {0};

		if (read_eval(m, id, &index, &e, &allocs) < 0)
			return 1;
		if (seen && (uint64_t)e.modify_index != seen && !m->chained)
			headline(m, "Monitoring evaluation \"%s\"", short_id(m->c, id));
		tell_changes(m, &e, &allocs);
		if (is_over(&e)) {
			tell_end(m, &e);
			*next = str_or(e.next_eval, "");
			return 0;
		}
		if (seen)
			tell_waiting(m, &e);
		seen = (uint64_t)e.modify_index;
	}
}

/* ---- deployment ---- */

static bool is_running(const struct deployment *d)
{
	return !str_eq(d->status, "successful") && !str_eq(d->status, "failed") && !str_eq(d->status, "cancelled");
}

/* The block of one look at it; on a terminal it takes the place of the one before, which had so many lines. */
static int show_progress(struct cli *c, const struct deployment *d, int *lines)
{
	cleanup_err struct err e = ERR_INIT;
	struct objs allocs = {0};
	char *text = NULL;
	size_t n;
	FILE *out;

	if (arg_bool(c->args, "verbose") &&
	    cli_get_list(c, &type_alloc_stub, &allocs, &e, "/v1/deployment/allocations/%s", d->id) < 0)
		return cli_fail("Error reading allocations of the deployment", &e);
	out = open_memstream(&text, &n);
	fprintf(out, "    \n%s\n", local_time(c, clock_now()));
	show_deployment(c, d, true, out);
	if (allocs.n) {
		fprintf(out, "\n%s\n", colored(c, "1", "Allocations"));
		show_allocs(c, &allocs, true, out);
	}
	fclose(out);
	if (*lines && isatty(STDOUT_FILENO))
		printf("\033[%dA\033[J", *lines);
	*lines = 0;
	for (size_t i = 0; i < n; i++)
		*lines += text[i] == '\n';
	fputs(text, stdout);
	fflush(stdout);
	free(text);
	return 0;
}

/* Gives the status in which it ended, NULL after an error that was printed. */
static const char *follow_deployment(struct cli *c, const char *id)
{
	uint64_t index = 0;
	int lines = 0;

	printf("==> %s: Monitoring deployment \"%s\"\n", local_time(c, clock_now()), short_id(c, id));
	for (int64_t seen = -1;;) {
		cleanup_err struct err e = ERR_INIT;
		struct deployment d = {0};

		if (cli_get(c, &type_deployment, &d, &e, "/v1/deployment/%s?index=%llu&wait=5m", id,
			(unsigned long long)index) < 0) {
			cli_fail("Error reading deployment", &e);
			return NULL;
		}
		if (d.modify_index != seen && show_progress(c, &d, &lines))
			return NULL;
		if (!is_running(&d))
			return d.status;
		seen = d.modify_index;
		index = MAX(c->index, 1);
	}
}

int cli_monitor_deployment(struct cli *c, const char *id)
{
	return str_eq(follow_deployment(c, id), "successful") ? 0 : 1;
}

/* ---- both ---- */

static int monitor(struct cli *c, const char *id, bool stopping)
{
	struct monitor m = {.c = c};
	const char *status, *next;

	for (; !str_empty(id); id = next, m.chained = true)
		if (follow(&m, id, &next))
			return 1;
	if (m.unplaced)
		return 2;
	if (!m.deployment)
		return 0;
	status = follow_deployment(c, m.deployment);
	return str_eq(status, "successful") || (stopping && str_eq(status, "cancelled")) ? 0 : 1;
}

int cli_monitor(struct cli *c, const char *eval_id)
{
	return monitor(c, eval_id, false);
}

int cli_monitor_stop(struct cli *c, const char *eval_id)
{
	return monitor(c, eval_id, true);
}
