#include "daemon/jobspec.h"

#include <errno.h>
#include <jansson.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/hcl.h"
#include "daemon/jobspec_decode.h"

enum { MAX_VARIABLES = 1000 };

struct variable {
	const char *name;
	struct hcl_range range; /* of its header in the job file */
	struct hcl_file *file;
	const struct hcl_expr *type;
	struct hcl_value *value; /* NULL: required and not given */
	struct { /* validation blocks */
		const struct hcl_expr *condition, *message;
	} checks[8];
	int n_checks;
};
struct local {
	const char *name;
	const struct hcl_expr *expr;
	struct hcl_value *value;
	bool busy; /* being evaluated: met again it refers to itself */
};
struct spec {
	struct hcl h;
	struct hcl_file *file;
	const struct jobspec_options *o;
	struct variable *vars;
	uint32_t n_vars;
	struct local *locals;
	uint32_t n_locals;
	const struct hcl_block *job;
};

/* ---- names at the root ---- */

static struct variable *find_var(struct spec *s, const char *name)
{
	for (uint32_t i = 0; i < s->n_vars; i++)
		if (str_eq(s->vars[i].name, name))
			return &s->vars[i];
	return NULL;
}

static struct hcl_value *local_value(struct spec *s, struct local *l, struct hcl_range at)
{
	if (l->value)
		return l->value;
	if (l->busy) {
		hcl_error(&s->h, at, "Circular reference", "local.%s refers to itself.", l->name);
		return NULL;
	}
	l->busy = true;
	l->value = hcl_eval(&s->h, l->expr, NULL);
	l->busy = false;
	return l->value;
}

static struct hcl_value *var_value(struct spec *s, struct variable *v, struct hcl_range at)
{
	if (!v->value)
		hcl_error(&s->h, at, "Unset variable", "A used variable must be set or have a default value: variable \"%s\" has neither.", v->name);
	return v->value;
}

/* All of them as one object: `var` or `local` alone. */
static struct hcl_value *all_values(struct spec *s, bool locals, struct hcl_range at)
{
	uint32_t n = locals ? s->n_locals : s->n_vars;
	const char **keys = arena_alloc(s->h.arena, (n + 1) * sizeof(*keys));
	struct hcl_value **items = arena_alloc(s->h.arena, (n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < n; i++) {
		keys[i] = locals ? s->locals[i].name : s->vars[i].name;
		items[i] = locals ? local_value(s, &s->locals[i], at) : var_value(s, &s->vars[i], at);
		if (!items[i])
			return NULL;
	}
	return hcl_map(&s->h, keys, items, n);
}

static bool lookup(void *arg, struct hcl *h, const char *root, const char *attr, bool *used, struct hcl_range at,
    struct hcl_value **out)
{
	struct spec *s = arg;
	bool local = str_eq(root, "local");

	*out = NULL;
	if (!local && !str_eq(root, "var"))
		return false;
	if (!attr) {
		*out = all_values(s, local, at);
		return true;
	}
	*used = true;
	if (local) {
		for (uint32_t i = 0; i < s->n_locals; i++)
			if (str_eq(s->locals[i].name, attr)) {
				*out = local_value(s, &s->locals[i], at);
				return true;
			}
	} else if (find_var(s, attr)) {
		*out = var_value(s, find_var(s, attr), at);
		return true;
	}
	hcl_error(h, at, "Unsupported attribute", "This object does not have an attribute named \"%s\": %s.", attr,
	    local ? "no locals block defines it" : "no variable block declares it");
	return true;
}

/* ---- declarations ---- */

static struct variable *add_var(struct spec *s, const char *name, struct hcl_range at)
{
	if (find_var(s, name)) {
		hcl_error(&s->h, at, "Duplicate variable", "Duplicate variable \"%s\" definition found.", name);
		return NULL;
	}
	if (s->n_vars >= MAX_VARIABLES) {
		hcl_error(&s->h, at, "Too many variables", "a job file may declare %d", MAX_VARIABLES);
		return NULL;
	}
	struct variable *v = &s->vars[s->n_vars++];

	v->name = name;
	v->range = at;
	v->file = s->file;
	return v;
}

static void read_validation(struct spec *s, struct variable *v, const struct hcl_block *b)
{
	const struct hcl_expr *condition = NULL, *message = NULL;

	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		if (str_eq(b->body->attrs[i]->name, "condition"))
			condition = b->body->attrs[i]->expr;
		if (str_eq(b->body->attrs[i]->name, "error_message"))
			message = b->body->attrs[i]->expr;
	}
	if (!condition || !message || v->n_checks == (int)ARRAY_LEN(v->checks)) {
		hcl_error(&s->h, b->type_range, "Invalid validation block", "A validation block has a condition and an error_message; a variable may have %zu.", ARRAY_LEN(v->checks));
		return;
	}
	v->checks[v->n_checks].condition = condition;
	v->checks[v->n_checks++].message = message;
}

static void read_variable(struct spec *s, const struct hcl_block *b)
{
	static const char *const known[] = {"type", "default", "description", "sensitive"};
	const struct hcl_expr *initial = NULL;
	struct variable *v;

	if (b->n_labels != 1) {
		hcl_error(&s->h, b->type_range, "Missing name for variable", "All variable blocks must have 1 label (name).");
		return;
	}
	v = add_var(s, b->labels[0], b->type_range);
	for (uint32_t i = 0; v && i < b->body->n_attrs; i++) {
		const struct hcl_attr *a = b->body->attrs[i];
		bool ok = false;

		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			ok = ok || str_eq(known[k], a->name);
		if (!ok)
			hcl_error(&s->h, a->name_range, "Unsupported argument", "An argument named \"%s\" is not expected here.", a->name);
		if (str_eq(a->name, "type"))
			v->type = a->expr;
		if (str_eq(a->name, "default"))
			initial = a->expr;
	}
	for (uint32_t i = 0; v && i < b->body->n_blocks; i++) {
		if (str_eq(b->body->blocks[i]->type, "validation"))
			read_validation(s, v, b->body->blocks[i]);
		else
			hcl_error(&s->h, b->body->blocks[i]->type_range, "Unsupported block type", "Blocks of type \"%s\" are not expected here.", b->body->blocks[i]->type);
	}
	if (!initial)
		return;
	struct hcl_value *value = hcl_eval(&s->h, initial, NULL);

	if (value && v->type)
		value = hcl_convert(&s->h, v->type, value, initial->range, arena_printf(s->h.arena, "The default of \"%s\"", v->name));
	v->value = value;
}

static void read_variables(struct spec *s, const struct hcl_block *b)
{
	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		struct variable *v = add_var(s, b->body->attrs[i]->name, b->body->attrs[i]->name_range);

		if (v)
			v->value = hcl_eval(&s->h, b->body->attrs[i]->expr, NULL);
	}
}

static void read_locals(struct spec *s, const struct hcl_block *b)
{
	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		const struct hcl_attr *a = b->body->attrs[i];

		for (uint32_t k = 0; k < s->n_locals; k++)
			if (str_eq(s->locals[k].name, a->name))
				hcl_error(&s->h, a->name_range, "Duplicate value in locals", "Duplicate %s definition found.", a->name);
		s->locals[s->n_locals++] = (struct local){.name = a->name, .expr = a->expr};
	}
}

static void declare(struct spec *s, const struct hcl_body *body)
{
	uint32_t locals = 0, vars = 0;

	for (uint32_t i = 0; i < body->n_blocks; i++) {
		if (str_eq(body->blocks[i]->type, "locals"))
			locals += body->blocks[i]->body->n_attrs;
		vars += 1 + body->blocks[i]->body->n_attrs;
	}
	s->locals = arena_alloc(s->h.arena, (locals + 1) * sizeof(*s->locals));
	s->vars = arena_alloc(s->h.arena, (MIN(vars, (uint32_t)MAX_VARIABLES) + 1) * sizeof(*s->vars));
	for (uint32_t i = 0; i < body->n_attrs; i++)
		hcl_error(&s->h, body->attrs[i]->name_range, "Unsupported argument", "An argument named \"%s\" is not expected here.", body->attrs[i]->name);
	for (uint32_t i = 0; i < body->n_blocks; i++) {
		const struct hcl_block *b = body->blocks[i];

		if (str_eq(b->type, "variable"))
			read_variable(s, b);
		else if (str_eq(b->type, "variables"))
			read_variables(s, b);
		else if (str_eq(b->type, "locals"))
			read_locals(s, b);
		else if (!str_eq(b->type, "job"))
			hcl_error(&s->h, (struct hcl_range){b->type_range.from, b->type_range.from + (uint32_t)strlen(b->type)}, "Unsupported block type", "Blocks of type \"%s\" are not expected here.", b->type);
		else if (s->job)
			hcl_error(&s->h, b->type_range, "Duplicate job block", "Only one job block is allowed in a file.");
		else
			s->job = b;
	}
}

/* ---- values from outside ---- */

static void assign(struct spec *s, struct variable *v, struct hcl_value *value, struct hcl_range at)
{
	if (value && v->type)
		value = hcl_convert(&s->h, v->type, value, at, arena_printf(s->h.arena, "The value of \"%s\"", v->name));
	if (value)
		v->value = value;
}

static bool takes_text(const struct variable *v)
{
	return !v->type || (v->type->kind == HCL_EXPR_NAME && (str_eq(v->type->name, "string") || str_eq(v->type->name, "number")));
}

/* name=value from the command line or the environment: text for strings, an expression for everything else. */
static void assign_text(struct spec *s, struct variable *v, const char *source, const char *text)
{
	struct hcl_file *file = arena_alloc(s->h.arena, sizeof(*file));

	file->name = source;
	file->src = arena_strdup(s->h.arena, text);
	file->len = (uint32_t)strlen(text);
	s->h.file = file;
	struct hcl_range all = {0, file->len};
	struct hcl_value *value;

	if (takes_text(v)) {
		value = hcl_string(&s->h, text, file->len);
	} else {
		struct hcl_expr *e = hcl_parse_expr(&s->h, file);

		value = e ? hcl_eval(&s->h, e, NULL) : NULL;
	}
	assign(s, v, value, all);
	s->h.file = s->file;
}

static void from_env(struct spec *s)
{
	static const char *const prefixes[] = {"NOMAD_VAR_", "DROVER_VAR_"}; /* the later one wins */

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		for (const char *const *e = s->o->env; e && *e; e++) {
			const char *equals = strchr(*e, '=');
			size_t n = strlen(prefixes[i]);

			if (!equals || !str_starts(*e, prefixes[i]))
				continue;
			const char *name = arena_strndup(s->h.arena, *e + n, (size_t)(equals - *e) - n);
			struct variable *v = find_var(s, name);

			if (v) /* the environment may hold variables of other jobs */
				assign_text(s, v, arena_printf(s->h.arena, "%s%s", prefixes[i], name), equals + 1);
		}
}

static void undeclared(struct spec *s, struct hcl_range at, const char *name, const char *where)
{
	if (!s->o->lax_vars)
		hcl_error(&s->h, at, "Undefined variable", "A \"%s\" variable was set but was not found in known variables. To declare variable \"%s\", place a variable block in %s.", name, name, where);
}

static void from_var_body(struct spec *s, const struct hcl_body *body)
{
	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		struct variable *v = find_var(s, a->name);

		if (v)
			assign(s, v, hcl_eval(&s->h, a->expr, NULL), a->expr->range);
		else
			undeclared(s, a->name_range, a->name, s->file->name);
	}
	for (uint32_t i = 0; i < body->n_blocks; i++)
		hcl_error(&s->h, body->blocks[i]->type_range, "Unsupported block type", "A variables file holds name = value alone.");
}

static void from_var_json(struct spec *s, const struct hcl_file *file)
{
	json_error_t error;
	json_t *j = json_loadb(file->src, file->len, 0, &error), *item;
	const char *name;

	if (!json_is_object(j))
		hcl_error(&s->h, (struct hcl_range){0, 0}, "Invalid variables file", "line %d, column %d: %s; expected a JSON object of names and values",
		    error.line, error.column, j ? "not an object" : error.text);
	json_object_foreach (j, name, item) {
		struct variable *v = find_var(s, name);

		if (v)
			assign(s, v, hcl_from_value(&s->h, value_from_json(s->h.arena, item)), (struct hcl_range){0, 0});
		else
			undeclared(s, (struct hcl_range){0, 0}, name, s->file->name);
	}
	json_decref(j);
}

static void from_var_text(struct spec *s, const char *name, const char *text, size_t n)
{
	struct hcl_file *file = arena_alloc(s->h.arena, sizeof(*file));
	size_t len = strlen(name);

	file->name = name;
	file->src = arena_strndup(s->h.arena, text, n);
	file->len = (uint32_t)n;
	s->h.file = file;
	if (len > 5 && str_eq(name + len - 5, ".json")) {
		from_var_json(s, file);
	} else {
		struct hcl_body *body = hcl_parse(&s->h, file);

		if (body)
			from_var_body(s, body);
	}
	s->h.file = s->file;
}

static void from_outside(struct spec *s)
{
	const struct jobspec_options *o = s->o;

	from_env(s);
	if (o->variables_text)
		from_var_text(s, "variables", o->variables_text, strlen(o->variables_text));
	for (uint32_t i = 0; o->var_files && i < o->var_files->n; i++) {
		cleanup_buf struct buf text = BUF_INIT;
		cleanup_err struct err e = ERR_INIT;

		if (file_read(o->var_files->v[i], HCL_MAX_SOURCE, &text, &e) < 0)
			hcl_error(&s->h, (struct hcl_range){0, 0}, "Variables file cannot be read", "%s", err_str(&e));
		else
			from_var_text(s, arena_strdup(s->h.arena, o->var_files->v[i]), text.len ? text.data : "", text.len);
	}
	for (uint32_t i = 0; o->vars && i < o->vars->n; i++) {
		const char *equals = strchr(o->vars->v[i], '=');
		const char *name = equals ? arena_strndup(s->h.arena, o->vars->v[i], (size_t)(equals - o->vars->v[i])) : o->vars->v[i];
		struct variable *v = find_var(s, name);

		if (!equals)
			hcl_error(&s->h, (struct hcl_range){0, 0}, "Invalid -var argument", "\"%s\": expected name=value", name);
		else if (v)
			assign_text(s, v, arena_printf(s->h.arena, "<value for var.%s from arguments>", name), equals + 1);
		else
			undeclared(s, (struct hcl_range){0, 0}, name, s->file->name);
	}
}

static void check_variables(struct spec *s)
{
	for (uint32_t i = 0; i < s->n_vars; i++) {
		struct variable *v = &s->vars[i];

		if (!v->value)
			hcl_error(&s->h, v->range, "Unset variable", "A used variable must be set or have a default value: variable \"%s\" has neither; give it with -var '%s=...'.",
			    v->name, v->name);
		for (int k = 0; v->value && k < v->n_checks; k++) {
			struct hcl_value *ok = hcl_eval(&s->h, v->checks[k].condition, NULL), *b = ok ? hcl_to(&s->h, HCL_BOOL, ok) : NULL;
			struct hcl_value *message = b && b->kind == HCL_BOOL && !b->b ? hcl_eval(&s->h, v->checks[k].message, NULL) : NULL;

			if (ok && (!b || b->kind != HCL_BOOL))
				hcl_error(&s->h, v->checks[k].condition->range, "Invalid validation condition", "The condition must be true or false.");
			else if (message)
				hcl_error(&s->h, v->range, "Invalid value for variable", "%s", message->kind == HCL_STRING ? message->s : "the value is not valid");
		}
	}
}

/* ---- the job ---- */

static void decode_job(struct spec *s, struct job *job, struct arena *a)
{
	struct decoder d = {.h = &s->h, .arena = a};
	struct objs groups = {0};

	if (s->job->n_labels != 1) {
		hcl_error(&s->h, s->job->type_range, "Missing name for job", "All job blocks must have 1 label (name).");
		return;
	}
	const char *label = arena_strdup(a, s->job->labels[0]);

	decode_body(&d, &type_job, job, s->job->body, NULL);
	MODEL_DEFAULT(job, job, id, label);
	MODEL_DEFAULT(job, job, name, label);
	/* Tasks directly below the job come first, each as a group of its own. */
	OBJS_EACH (&d.lone_tasks, struct task, t) {
		struct task_group *g = MODEL_NEW(a, task_group);

		MODEL_SET(task_group, g, name, t->name);
		objs_push(a, &g->tasks, t);
		g->has |= MODEL_BIT(task_group, tasks);
		objs_push(a, &groups, g);
	}
	OBJS_EACH (&job->task_groups, struct task_group, g)
		objs_push(a, &groups, g);
	job->task_groups = groups;
	if (groups.n)
		job->has |= MODEL_BIT(job, task_groups);
	OBJS_EACH (&groups, struct task_group, g)
		OBJS_EACH (&g->tasks, struct task, t)
			if (!t->vault && d.job_vault)
				MODEL_SET(task, t, vault, d.job_vault);
}

static int parse_json(const char *text, size_t n, const char *name, struct arena *a, struct job **out, struct err *e)
{
	json_error_t error;
	json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error), *job;
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

	if (o->json)
		return parse_json(text, n, name, a, out, e);
	struct spec s = {.file = &file, .o = o};
	struct job *job = MODEL_NEW(a, job);

	s.h = (struct hcl){.arena = arena_new(), .file = &file, .allow_files = o->allow_file_functions, .lookup = lookup, .lookup_arg = &s};
	struct hcl_body *body = hcl_parse(&s.h, &file);

	if (body)
		declare(&s, body);
	if (body && !s.h.n_errors) {
		from_outside(&s);
		if (!s.h.n_errors)
			check_variables(&s);
		if (!s.h.n_errors && !s.job)
			hcl_error(&s.h, (struct hcl_range){file.len, file.len}, "Missing job block", "A job block is required");
		if (!s.h.n_errors)
			decode_job(&s, job, a);
	}
	int r = 0;

	if (s.h.n_errors || !body) {
		r = err_set(e, -EINVAL, "%s%s", s.h.errors.len ? s.h.errors.data : "the file cannot be read",
		    s.h.n_errors > HCL_MAX_ERRORS ? "\n\n(more problems are not shown)" : "");
	} else {
		*out = job;
	}
	buf_free(&s.h.errors);
	arena_free(s.h.arena);
	return r;
}
