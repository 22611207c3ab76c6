#include "daemon/jobspec_vars.h"

#include <jansson.h>

#include "base/file.h"
#include "base/json.h"

enum { MAX_VARIABLES = 10000 };

struct rule { /* a validation block */
	struct rule *next;
	struct hcl_range at;
	const struct hcl_expr *condition, *message;
};
struct variable {
	struct variable *next;
	const char *name;
	struct hcl_range range; /* of its header in the job file */
	const struct hcl_type *type; /* NULL: none is declared, and no default tells it */
	bool declared;               /* the type was written, not taken from the default */
	struct hcl_value *value;     /* NULL: required and not given */
	struct rule *rules, **last_rule;
};
struct local {
	struct local *next;
	const char *name;
	struct hcl_range range;
	const struct hcl_expr *expr;
	struct hcl_value *value;
	bool busy; /* being evaluated: met again it refers to itself */
};

/* ---- names at the root ---- */

static struct hcl_value *local_value(struct vars *v, struct local *l, struct hcl_range at)
{
	if (l->value)
		return l->value;
	if (l->busy) {
		hcl_error(v->h, at, "Circular reference", "local.%s refers to itself.", l->name);
		return NULL;
	}
	l->busy = true;
	l->value = hcl_eval(v->h, l->expr, NULL);
	l->busy = false;
	return l->value;
}

static struct hcl_value *var_value(struct vars *v, struct variable *var, struct hcl_range at)
{
	if (!var->value)
		hcl_error(v->h, at, "Unset variable", "A used variable must be set or have a default value: variable \"%s\" has neither.", var->name);
	return var->value;
}

/* All of them as one object: `var` or `local` alone. */
static struct hcl_value *all_values(struct vars *v, bool locals, struct hcl_range at)
{
	uint32_t n = locals ? v->locals.n : v->vars.n, i = 0;
	const char **keys = arena_alloc(v->h->arena, (n + 1) * sizeof(*keys));
	struct hcl_value **items = arena_alloc(v->h->arena, (n + 1) * sizeof(*items));

	for (struct local *l = v->first_local; locals && l; l = l->next, i++) {
		keys[i] = l->name;
		if (!(items[i] = local_value(v, l, at)))
			return NULL;
	}
	for (struct variable *var = v->first_var; !locals && var; var = var->next, i++) {
		keys[i] = var->name;
		if (!(items[i] = var_value(v, var, at)))
			return NULL;
	}
	return hcl_object(v->h, keys, items, i);
}

static void undefined(struct vars *v, const char *name, bool local, struct hcl_range at)
{
	const char *near = NULL, *key;
	size_t best = 3;
	void *value;

	for (uint32_t i = 0; map_next(local ? &v->locals : &v->vars, &i, &key, &value);)
		if (hcl_distance(key, name) < best) {
			best = hcl_distance(key, name);
			near = key;
		}
	hcl_error(v->h, at, "Unsupported attribute", "there is no \"%s\": no %s it.%s%s%s", name,
	    local ? "locals block defines" : "variable block declares", near ? " Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static bool lookup(void *arg, struct hcl *h, const char *root, const char *attr, bool *used, struct hcl_range at,
    struct hcl_value **out)
{
	struct vars *v = arg;
	bool local = str_eq(root, "local");

	*out = NULL;
	if (v->constant) {
		hcl_error(h, at, "Variables not allowed", "Variables may not be used here. A word that is meant as text is put in quotes.");
		return true;
	}
	if (!local && !str_eq(root, "var"))
		return false;
	if (!attr) {
		*out = all_values(v, local, at);
		return true;
	}
	*used = true;
	void *found = map_get(local ? &v->locals : &v->vars, attr);

	if (!found)
		undefined(v, attr, local, at);
	else
		*out = local ? local_value(v, found, at) : var_value(v, found, at);
	return true;
}

/* ---- declarations ---- */

static struct hcl_value *eval_constant(struct vars *v, const struct hcl_expr *e)
{
	v->constant = true;
	struct hcl_value *value = hcl_eval(v->h, e, NULL);

	v->constant = false;
	return value;
}

static struct variable *add_var(struct vars *v, const char *name, struct hcl_range at)
{
	struct variable *var = arena_alloc(v->h->arena, sizeof(*var));

	if (v->vars.n >= MAX_VARIABLES) {
		hcl_error(v->h, at, "Too many variables", "a job file may declare %d", MAX_VARIABLES);
		return NULL;
	}
	if (map_get(&v->vars, name)) {
		hcl_error(v->h, at, "Duplicate variable", "the variable \"%s\" is declared already", name);
		return NULL;
	}
	var->name = name;
	var->range = at;
	var->last_rule = &var->rules;
	map_set(&v->vars, name, var);
	*v->last_var = var;
	v->last_var = &var->next;
	return var;
}

static const struct hcl_attr *find_attr(const struct hcl_body *body, const char *name)
{
	for (uint32_t i = 0; i < body->n_attrs; i++)
		if (str_eq(body->attrs[i]->name, name))
			return body->attrs[i];
	return NULL;
}

static void only(struct vars *v, const struct hcl_body *body, const char *const *attrs, const char *block)
{
	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const char *near = NULL, *name = body->attrs[i]->name;
		size_t best = 3;

		for (const char *const *a = attrs; *a; a++)
			if (hcl_distance(*a, name) < best) {
				best = hcl_distance(*a, name);
				near = *a;
			}
		if (!near || best)
			hcl_error(v->h, body->attrs[i]->name_range, "Unsupported argument", "An argument named \"%s\" is not expected here.%s%s%s", name,
			    near ? " Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
	for (uint32_t i = 0; i < body->n_blocks; i++)
		if (!block || !str_eq(body->blocks[i]->type, block))
			hcl_error(v->h, body->blocks[i]->type_range, "Unsupported block type", "Blocks of type \"%s\" are not expected here.", body->blocks[i]->type);
}

static void read_validation(struct vars *v, struct variable *var, const struct hcl_block *b)
{
	static const char *const known[] = {"condition", "error_message", NULL};
	const struct hcl_attr *condition = find_attr(b->body, "condition"), *message = find_attr(b->body, "error_message");
	struct rule *c = arena_alloc(v->h->arena, sizeof(*c));

	only(v, b->body, known, NULL);
	if (!condition || !message) {
		hcl_error(v->h, b->type_range, "Missing required argument", "A validation block has a condition and an error_message.");
		return;
	}
	*c = (struct rule){.at = b->type_range, .condition = condition->expr, .message = message->expr};
	*var->last_rule = c;
	var->last_rule = &c->next;
}

static void read_variable(struct vars *v, const struct hcl_block *b)
{
	static const char *const known[] = {"type", "default", "description", "sensitive", NULL};
	const struct hcl_attr *type = find_attr(b->body, "type"), *initial = find_attr(b->body, "default");
	const char *why = "";

	if (b->n_labels != 1) {
		hcl_error(v->h, b->type_range, "Missing name for variable", "a variable block has one label, as in: variable \"name\" { ... }");
		return;
	}
	struct variable *var = add_var(v, b->labels[0], b->type_range);

	if (!var)
		return;
	only(v, b->body, known, "validation");
	for (uint32_t i = 0; i < b->body->n_blocks; i++)
		if (str_eq(b->body->blocks[i]->type, "validation"))
			read_validation(v, var, b->body->blocks[i]);
	if (type && (var->type = hcl_type_parse(v->h, type->expr)))
		var->declared = true;
	struct hcl_value *value = initial ? eval_constant(v, initial->expr) : NULL;

	if (!value)
		return;
	if (var->type && !(value = hcl_as(v->h, var->type, value, &why)))
		hcl_error(v->h, initial->expr->range, "Invalid default value for variable", "the default does not fit the variable's type: %s", why);
	if (!var->type)
		var->type = hcl_type_of(v->h, value);
	var->value = value;
}

static void read_variables(struct vars *v, const struct hcl_block *b)
{
	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		const struct hcl_attr *a = b->body->attrs[i];
		struct variable *var = add_var(v, a->name, a->name_range);

		if (!var || !(var->value = eval_constant(v, a->expr)))
			continue;
		var->type = hcl_type_of(v->h, var->value);
	}
	for (uint32_t i = 0; i < b->body->n_blocks; i++)
		hcl_error(v->h, b->body->blocks[i]->type_range, "Unsupported block type", "A variables block holds name = value alone; a variable with a type has a block of its own: variable \"%s\" { ... }", b->body->blocks[i]->type);
}

static void read_locals(struct vars *v, const struct hcl_block *b)
{
	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		const struct hcl_attr *a = b->body->attrs[i];
		struct local *l = arena_alloc(v->h->arena, sizeof(*l));

		*l = (struct local){.name = a->name, .range = a->name_range, .expr = a->expr};
		if (map_get(&v->locals, a->name)) {
			hcl_error(v->h, a->name_range, "Duplicate value in locals", "\"%s\" is defined already", a->name);
			continue;
		}
		map_set(&v->locals, a->name, l);
		*v->last_local = l;
		v->last_local = &l->next;
	}
	for (uint32_t i = 0; i < b->body->n_blocks; i++)
		hcl_error(v->h, b->body->blocks[i]->type_range, "Unsupported block type", "A locals block holds name = value alone.");
}

void vars_declare(struct vars *v, const struct hcl_body *body)
{
	static const struct {
		const char *type;
		void (*fn)(struct vars *v, const struct hcl_block *b);
	} blocks[] = {{"variable", read_variable}, {"variables", read_variables}, {"locals", read_locals}};

	for (uint32_t i = 0; i < body->n_blocks; i++)
		for (size_t k = 0; k < ARRAY_LEN(blocks); k++) {
			const struct hcl_block *b = body->blocks[i];

			if (!str_eq(b->type, blocks[k].type))
				continue;
			if (b->n_labels && blocks[k].fn != read_variable)
				hcl_error(v->h, b->type_range, "Extraneous label for block", "%s blocks have no labels", b->type);
			blocks[k].fn(v, b);
		}
}

/* ---- values from outside ---- */

static void assign(struct vars *v, struct variable *var, struct hcl_value *value, struct hcl_range at, const char *title)
{
	const char *why = "";
	struct hcl_value *made = value && var->type ? hcl_as(v->h, var->type, value, &why) : value;

	/* A type that was not declared binds no tighter than to a list or an object of whatever. */
	if (value && !made && !var->declared && value->kind == var->type->kind)
		made = value;
	if (made)
		var->value = made;
	else if (value)
		hcl_error(v->h, at, title, "The value for %s is not compatible with the variable's type constraint: %s.", var->name, why);
}

static struct hcl_file *new_file(struct vars *v, const char *name, const char *text, size_t n)
{
	struct hcl_file *file = arena_alloc(v->h->arena, sizeof(*file));

	file->name = name;
	file->src = arena_strndup(v->h->arena, text, n);
	file->len = (uint32_t)MIN(n, (size_t)UINT32_MAX);
	v->h->file = file;
	return file;
}

/* name=value from the command line or the environment: text for strings and numbers, an expression for everything else. */
static void assign_text(struct vars *v, struct variable *var, const char *source, const char *text, const char *title)
{
	struct hcl_file *file = new_file(v, source, text, strlen(text));
	struct hcl_range all = {0, file->len};
	struct hcl_value *value;

	if (!var->type || var->type->kind == HCL_STRING || var->type->kind == HCL_NUMBER || (var->type->kind == HCL_NULL && !var->declared)) {
		value = hcl_string(v->h, text, file->len);
	} else {
		struct hcl_expr *e = hcl_parse_expr(v->h, file);

		value = e ? eval_constant(v, e) : NULL;
	}
	assign(v, var, value, all, title);
	v->h->file = v->file;
}

static void from_env(struct vars *v)
{
	static const char *const prefixes[] = {"NOMAD_VAR_", "DROVER_VAR_"}; /* the later one wins */

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		for (const char *const *e = v->o->env; e && *e; e++) {
			const char *equals = strchr(*e, '=');
			size_t n = strlen(prefixes[i]);

			if (!equals || !str_starts(*e, prefixes[i]))
				continue;
			const char *name = arena_strndup(v->h->arena, *e + n, (size_t)(equals - *e) - n);
			struct variable *var = map_get(&v->vars, name);

			if (var) /* the environment may hold variables of other jobs */
				assign_text(v, var, arena_printf(v->h->arena, "<value for var.%s from env>", name), equals + 1, "Invalid value for variable");
		}
}

static void undeclared(struct vars *v, struct hcl_range at, const char *name, bool argument)
{
	if (v->o->lax_vars)
		return;
	hcl_error(v->h, at, argument ? "Undefined -var variable" : "Undefined variable",
	    argument ? "A \"%s\" variable was passed in the command line but was not found in known variables. To declare variable \"%s\", place this block in %s: variable \"%s\" {}"
		     : "A \"%s\" variable was set but was not found in known variables. To declare variable \"%s\", place this block in %s: variable \"%s\" {}",
	    name, name, v->file->name, name);
}

static void from_body(struct vars *v, const struct hcl_body *body)
{
	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		struct variable *var = map_get(&v->vars, a->name);

		if (var)
			assign(v, var, eval_constant(v, a->expr), a->expr->range, "Invalid value for variable");
		else
			undeclared(v, a->name_range, a->name, false);
	}
	for (uint32_t i = 0; i < body->n_blocks; i++)
		hcl_error(v->h, body->blocks[i]->type_range, "Variable declaration in a variables file",
		    "A variables file assigns values to variables that the job file declares: it holds name = value alone.");
}

static void from_json(struct vars *v, const struct hcl_file *file)
{
	json_error_t error;
	json_t *j = json_read(file->src, file->len, 0, &error), *item;
	const char *name;

	if (!json_is_object(j))
		hcl_error(v->h, (struct hcl_range){0, 0}, "Invalid variables file", "line %d, column %d: %s; expected a JSON object of names and values",
		    error.line, error.column, j ? "not an object" : error.text);
	json_object_foreach (j, name, item) {
		struct variable *var = map_get(&v->vars, name);

		if (var)
			assign(v, var, hcl_from_value(v->h, value_from_json(v->h->arena, item)), (struct hcl_range){0, 0}, "Invalid value for variable");
		else
			undeclared(v, (struct hcl_range){0, 0}, arena_strdup(v->h->arena, name), false);
	}
	json_decref(j);
}

static void from_text(struct vars *v, const char *name, const char *text, size_t n)
{
	struct hcl_file *file = new_file(v, name, text, n);

	if (jobspec_is_json(text, n)) {
		from_json(v, file);
	} else {
		struct hcl_body *body = hcl_parse(v->h, file);

		if (body)
			from_body(v, body);
	}
	v->h->file = v->file;
}

static void from_argument(struct vars *v, const char *argument)
{
	const char *equals = strchr(argument, '=');
	const char *name = arena_strndup(v->h->arena, argument, equals ? (size_t)(equals - argument) : strlen(argument));
	struct variable *var = map_get(&v->vars, name);

	if (!equals)
		hcl_error(v->h, (struct hcl_range){0, 0}, "Invalid -var argument", "\"%s\": expected name=value", name);
	else if (var)
		assign_text(v, var, arena_printf(v->h->arena, "<value for var.%s from arguments>", name), equals + 1,
		    "Invalid argument value for -var variable");
	else
		undeclared(v, (struct hcl_range){0, 0}, name, true);
}

void vars_assign(struct vars *v)
{
	const struct jobspec_options *o = v->o;

	from_env(v);
	if (o->variables_text)
		from_text(v, "variables", o->variables_text, strlen(o->variables_text));
	for (uint32_t i = 0; o->var_files && i < o->var_files->n; i++) {
		cleanup_buf struct buf text = BUF_INIT;
		cleanup_err struct err e = ERR_INIT;

		if (file_read(o->var_files->v[i], HCL_MAX_SOURCE, &text, &e) < 0)
			hcl_error(v->h, (struct hcl_range){0, 0}, "Failed to read file", "%s", err_str(&e));
		else
			from_text(v, arena_strdup(v->h->arena, o->var_files->v[i]), text.len ? text.data : "", text.len);
	}
	for (uint32_t i = 0; o->vars && i < o->vars->n; i++)
		from_argument(v, o->vars->v[i]);
}

/* ---- checks ---- */

static void check_rule(struct vars *v, struct variable *var, const struct rule *c)
{
	struct hcl_value *result = hcl_eval(v->h, c->condition, NULL), *b = result ? hcl_to(v->h, HCL_BOOL, result) : NULL, *message;

	if (!result)
		return;
	if (!b || b->kind != HCL_BOOL) {
		hcl_error(v->h, c->condition->range, "Invalid variable validation result", "a condition is true or false, and this is %s", hcl_kind_name(result));
		return;
	}
	if (b->b)
		return;
	message = hcl_eval(v->h, c->message, NULL);
	if (message)
		hcl_error(v->h, var->range, "Invalid value for variable", "%s", message->kind == HCL_STRING ? message->s : "The value is not valid.");
}

void vars_check(struct vars *v)
{
	for (struct variable *var = v->first_var; var; var = var->next) {
		if (!var->value)
			hcl_error(v->h, var->range, "Unset variable",
			    "A used variable must be set or have a default value: variable \"%s\" has neither; give it with -var '%s=...'.", var->name, var->name);
		for (struct rule *c = var->rules; var->value && c; c = c->next)
			check_rule(v, var, c);
	}
	for (struct local *l = v->first_local; l && !v->h->n_errors; l = l->next)
		local_value(v, l, l->range);
}

void vars_init(struct vars *v, struct hcl *h, struct hcl_file *file, const struct jobspec_options *o)
{
	*v = (struct vars){.h = h, .file = file, .o = o};
	v->last_var = &v->first_var;
	v->last_local = &v->first_local;
	h->lookup = lookup;
	h->lookup_arg = v;
}

void vars_release(struct vars *v)
{
	map_free(&v->vars);
	map_free(&v->locals);
}
