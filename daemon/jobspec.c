#include "daemon/jobspec.h"

#include <errno.h>
#include <jansson.h>

#include "base/codec.h"
#include "base/hcl.h"
#include "base/json.h"
#include "daemon/jobspec_decode.h"
#include "daemon/jobspec_vars.h"

/* ---- the file ---- */

/* The job block; NULL after an error. */
static const struct hcl_block *find_job(struct hcl *h, const struct hcl_body *body)
{
	static const char *const others[] = {"variable", "variables", "locals"};
	const struct hcl_block *job = NULL;
	int n = h->n_errors;

	for (uint32_t i = 0; i < body->n_attrs; i++)
		hcl_error(h, body->attrs[i]->name_range, "Unsupported argument",
		    "An argument named \"%s\" is not expected here: a file has blocks of the types job, variable and locals.", body->attrs[i]->name);
	for (uint32_t i = 0; i < body->n_blocks; i++) {
		const struct hcl_block *b = body->blocks[i];
		bool other = false;

		for (size_t k = 0; k < ARRAY_LEN(others); k++)
			other = other || str_eq(others[k], b->type);
		if (other)
			continue;
		if (!str_eq(b->type, "job"))
			hcl_error(h, (struct hcl_range){b->type_range.from, b->type_range.from + (uint32_t)strlen(b->type)}, "Unsupported block type",
			    "Blocks of type \"%s\" are not expected here.", b->type);
		else if (job)
			hcl_error(h, b->type_range, "Duplicate job block", "a file has one job");
		else
			job = b;
	}
	if (!job && h->n_errors == n)
		hcl_error(h, (struct hcl_range){h->file->len, h->file->len}, "Missing job block", "the file has no job \"name\" { ... }");
	if (job && job->n_labels != 1)
		hcl_error(h, job->type_range, "Missing name for job", "a job block has one label, as in: job \"name\" { ... }");
	return h->n_errors == n ? job : NULL;
}

/* Tasks directly below the job come first, each as a group of its own. */
static void add_groups(struct decoder *d, struct job *job)
{
	struct objs groups = {0};

	OBJS_EACH (&d->lone_tasks, struct task, t) {
		struct task_group *g = MODEL_NEW(d->arena, task_group);

		MODEL_SET(task_group, g, name, t->name);
		objs_push(d->arena, &g->tasks, t);
		g->has |= MODEL_BIT(task_group, tasks);
		objs_push(d->arena, &groups, g);
	}
	OBJS_EACH (&job->task_groups, struct task_group, g)
		objs_push(d->arena, &groups, g);
	job->task_groups = groups;
	if (groups.n)
		job->has |= MODEL_BIT(job, task_groups);
}

static void decode_job(struct hcl *h, const struct hcl_block *block, struct job *job, struct arena *a)
{
	struct decoder d = {.h = h, .arena = a};
	const char *label = arena_strdup(a, block->labels[0]);

	decode_body(&d, &type_job, job, block->body, NULL);
	MODEL_DEFAULT(job, job, id, label);
	MODEL_DEFAULT(job, job, name, label);
	add_groups(&d, job);
	OBJS_EACH (&job->task_groups, struct task_group, g)
		OBJS_EACH (&g->tasks, struct task, t)
			if (!t->vault && d.job_vault)
				MODEL_SET(task, t, vault, d.job_vault);
}

/* Later steps run when the earlier ones have no problem to tell. */
static void parse_file(struct vars *v, struct hcl_file *file, struct job *job, struct arena *a)
{
	struct hcl *h = v->h;
	struct hcl_body *body = hcl_parse(h, file);
	const struct hcl_block *block = body ? find_job(h, body) : NULL;

	if (!block)
		return;
	vars_declare(v, body);
	if (!h->n_errors)
		vars_assign(v);
	if (!h->n_errors)
		vars_check(v);
	if (!h->n_errors)
		decode_job(h, block, job, a);
}

/* ---- JSON ---- */

bool jobspec_is_json(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && strchr(" \t\r\n", text[i]) && text[i])
		i++;
	return i < n && text[i] == '{';
}

static int parse_json(const char *text, size_t n, const char *name, struct arena *a, struct job **out, struct err *e)
{
	json_error_t error;
	json_t *j = json_read(text, n, JSON_REJECT_DUPLICATES, &error), *job;
	struct job *decoded = MODEL_NEW(a, job);

	if (!j)
		return err_set(e, -EINVAL, "%s:%d,%d: Invalid JSON; %s", name, error.line, error.column, error.text);
	job = json_object_get(j, "Job");
	if (!job)
		job = json_object_get(j, "job");
	int r = json_is_object(job ? job : j) ? codec_from_json(&type_job, decoded, job ? job : j, a, e)
	                                      : err_set(e, -EINVAL, "expected a JSON object {\"Job\": {...}} or the job itself");

	json_decref(j);
	if (r < 0)
		return err_wrap(e, "%s", name);
	*out = decoded;
	return 0;
}

int jobspec_parse(const char *text, size_t n, const struct jobspec_options *o, struct arena *a, struct job **out, struct err *e)
{
	const char *name = o->filename ? o->filename : "input.hcl";
	struct hcl_file file = {name, text, (uint32_t)MIN(n, (size_t)UINT32_MAX)};

	if (o->json || jobspec_is_json(text, n))
		return parse_json(text, n, name, a, out, e);
	struct hcl h = {.arena = arena_new(), .file = &file, .allow_files = o->allow_file_functions, .result = a, .result_start = arena_size(a)};
	struct job *job = MODEL_NEW(a, job);
	struct vars vars;
	int r = 0;

	vars_init(&vars, &h, &file, o);
	parse_file(&vars, &file, job, a);
	if (h.n_errors)
		r = err_set(e, -EINVAL, "%s%s", h.errors.data, h.n_errors > HCL_MAX_ERRORS ? "\n\n(more problems are not shown)" : "");
	else
		*out = job;
	vars_release(&vars);
	buf_free(&h.errors);
	arena_free(h.arena);
	return r;
}
