/* cli_jobfile: from an argument to a job. */
#include "daemon/cli_jobfile.h"

#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hcl.h"
#include "daemon/cli_print.h"
#include "daemon/jobspec.h"

enum { KEPT_SOURCE = 1 << 20 }; /* bytes of a job file */

extern char **environ;

static int read_stdin(struct buf *out, struct err *e)
{
	char piece[1 << 16];
	size_t n;

	while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0) {
		if (out->len + n > HCL_MAX_SOURCE)
			return err_set(e, -EFBIG, "more than %d MiB on standard input", HCL_MAX_SOURCE >> 20);
		buf_put(out, piece, n);
	}
	return ferror(stdin) ? err_set(e, -EIO, "cannot read standard input") : 0;
}

/* The token of the cluster is not for the place where the file lies. */
static int download(const char *url, struct buf *out, struct err *e)
{
	struct fetch_request r = {.url = url, .timeout = MINUTE, .max_body = HCL_MAX_SOURCE};
	struct fetch_answer answer = {0};
	int rc = fetch_now(&r, &answer);

	if (rc < 0)
		rc = err_set(e, rc, "%s", err_str(&answer.err));
	else if (answer.status != 200)
		rc = err_set(e, -EREMOTEIO, "%s: expected status 200, got %d", url, answer.status);
	else
		buf_put(out, answer.body.data ? answer.body.data : "", answer.body.len);
	fetch_answer_free(&answer);
	return rc;
}

static int read_path(const char *path, struct buf *out, struct err *e)
{
	char folder[PATH_MAX];

	if (access(path, F_OK) < 0) {
		const char *reason = strerror(errno);
		bool absolute = *path == '/' || !getcwd(folder, sizeof(folder));

		return err_set(e, -ENOENT, "source path error: stat %s%s%s: %c%s", absolute ? "" : folder, absolute ? "" : "/", path,
		    reason[0] >= 'A' && reason[0] <= 'Z' ? reason[0] + 32 : reason[0], reason + 1);
	}
	return file_read(path, HCL_MAX_SOURCE, out, e);
}

static int read_source(const char *path, struct buf *out, struct err *e)
{
	int rc;

	if (str_eq(path, "-"))
		rc = read_stdin(out, e);
	else if (str_starts(path, "http://") || str_starts(path, "https://"))
		rc = download(path, out, e);
	else
		rc = read_path(path, out, e);
	if (rc < 0)
		err_wrap(e, "Error getting jobfile from \"%s\"", path);
	return rc;
}

/* What the server keeps of the way in which the job was written; nothing of a file that is mostly data. */
static struct job_submission *submission(const struct cli *c, const struct buf *text, bool json)
{
	if (text->len > KEPT_SOURCE)
		return NULL;
	struct job_submission *s = MODEL_NEW(c->arena, job_submission);
	const struct strs *vars = arg_list(c->args, "var"), *files = arg_list(c->args, "var-file");
	cleanup_buf struct buf b = BUF_INIT;

	MODEL_SET(job_submission, s, source, arena_strndup(c->arena, text->data ? text->data : "", text->len));
	MODEL_SET(job_submission, s, format, json ? "json" : "hcl2");
	for (uint32_t i = 0; i < vars->n; i++) {
		const char *eq = strchr(vars->v[i], '=');

		if (eq)
			strmap_set(c->arena, &s->variable_flags, arena_strndup(c->arena, vars->v[i], (size_t)(eq - vars->v[i])), eq + 1);
	}
	for (uint32_t i = 0; i < files->n; i++) {
		cleanup_buf struct buf file = BUF_INIT;

		if (file_read(files->v[i], HCL_MAX_SOURCE, &file, NULL) == 0 && file.len)
			buf_printf(&b, "%s\n", file.data);
	}
	MODEL_SET(job_submission, s, variables, arena_strdup(c->arena, b.data ? b.data : ""));
	return s;
}

static int parse(struct cli *c, struct jobfile *f, const struct buf *text, bool json, struct err *e)
{
	struct jobspec_options o = {
	    .filename = f->path,
	    .vars = arg_list(c->args, "var"),
	    .var_files = arg_list(c->args, "var-file"),
	    .env = (const char *const *)environ,
	    .allow_file_functions = true,
	    .lax_vars = str_eq(arg_str(c->args, "hcl2-strict", "true"), "false"),
	    .json = json,
	};
	int rc = jobspec_parse(text->data ? text->data : "", text->len, &o, c->arena, &f->job, e);

	if (rc < 0) {
		char *sentence = xstrdup(err_str(e));

		err_set(e, rc, "Error parsing job file from %s:\n%s", f->path, sentence);
		free(sentence);
	}
	return rc;
}

int jobfile_read(struct cli *c, struct jobfile *out)
{
	struct jobfile f = {.path = c->args->pos[0]};
	bool json = arg_bool(c->args, "json");
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	int rc = 0;

	if (arg_bool(c->args, "hcl1"))
		rc = err_set(&e, -ENOTSUP, "-hcl1: job files of HCL version 1 are not read; write %s as HCL2, which differs in few places",
		    f.path);
	if (rc == 0)
		rc = read_source(f.path, &text, &e);
	if (rc == 0)
		rc = parse(c, &f, &text, json, &e);
	if (rc < 0) {
		cli_fail("Error getting job struct", &e);
		return rc;
	}
	f.submission = submission(c, &text, json);
	if (arg_given(c->args, "vault-namespace"))
		MODEL_SET(job, f.job, vault_namespace, arg_str(c->args, "vault-namespace", ""));
	if (!str_empty(f.job->region))
		c->region = f.job->region;
	if (!str_empty(f.job->namespace))
		c->ns = f.job->namespace;
	*out = f;
	return 0;
}

void jobfile_warnings(const struct cli *c, const char *warnings)
{
	if (!str_empty(warnings))
		printf("%s\n\n", colored(c, "1;33", arena_printf(c->arena, "Job Warnings:\n%s", warnings)));
}
