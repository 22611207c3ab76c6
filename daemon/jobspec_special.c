/* What job files write differently from the field tables, and what the language itself fills in. */
#include "daemon/jobspec_decode.h"

#include "base/clock.h"

#include <strings.h>

/* ---- ports ---- */

static void decode_port(struct decoder *d, void *obj, const struct expanded *b)
{
	struct network *n = obj;
	struct port *p = MODEL_NEW(d->arena, port);

	if (!block_labels_fit(d, b, 1))
		return;
	MODEL_SET(port, p, label, arena_strdup(d->arena, b->labels[0]));
	decode_body(d, &type_port, p, b->body, b->scope);
	objs_push(d->arena, p->value > 0 ? &n->reserved_ports : &n->dynamic_ports, p);
	n->has |= p->value > 0 ? MODEL_BIT(network, reserved_ports) : MODEL_BIT(network, dynamic_ports);
}

/* ---- scaling ---- */

static void decode_task_scaling(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task *t = obj;
	struct scaling_policy *p = MODEL_NEW(d->arena, scaling_policy);
	const char *type;

	if (!block_labels_fit(d, b, 1))
		return;
	if (strcasecmp(b->labels[0], "cpu") != 0 && strcasecmp(b->labels[0], "mem") != 0) {
		hcl_error(d->h, b->range, "Invalid scaling policy name", "scaling policy name must be \"cpu\" or \"mem\"");
		return;
	}
	type = strcasecmp(b->labels[0], "cpu") == 0 ? "vertical_cpu" : "vertical_mem";
	decode_body(d, &type_scaling_policy, p, b->body, b->scope);
	MODEL_DEFAULT(scaling_policy, p, type, type);
	if (!str_eq(p->type, type))
		hcl_error(d->h, b->range, "Invalid scaling policy type", "Invalid policy type, expected \"%s\" but found \"%s\"", type, p->type);
	OBJS_EACH (&t->scaling_policies, struct scaling_policy, other)
		if (str_eq(other->type, p->type))
			hcl_error(d->h, b->range, "Duplicate scaling block", "there is a scaling \"%s\" block already", b->labels[0]);
	objs_push(d->arena, &t->scaling_policies, p);
	t->has |= MODEL_BIT(task, scaling_policies);
}

static void decode_group_scaling(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task_group *g = obj;
	struct scaling_policy *p = MODEL_NEW(d->arena, scaling_policy);

	if (!block_labels_fit(d, b, 0))
		return;
	if (g->scaling) {
		block_duplicate(d, b);
		return;
	}
	decode_body(d, &type_scaling_policy, p, b->body, b->scope);
	MODEL_DEFAULT(scaling_policy, p, type, "horizontal");
	if (!str_eq(p->type, "horizontal"))
		hcl_error(d->h, b->range, "Invalid group scaling type", "task group scaling policy had invalid type: \"%s\"; the type of a group's is \"horizontal\"", p->type);
	if (!MODEL_HAS(scaling_policy, p, max))
		hcl_error(d->h, b->range, "Missing required argument", "a scaling block of a group needs max");
	MODEL_SET(task_group, g, scaling, p);
}

/* ---- vault: a job's and a group's are handed down to the tasks that have none ---- */

void special_vault(struct vault *v)
{
	MODEL_DEFAULT(vault, v, env, true);
	MODEL_DEFAULT(vault, v, change_mode, "restart");
}

static struct vault *decode_vault(struct decoder *d, const struct expanded *b, const struct vault *earlier)
{
	struct vault *v = MODEL_NEW(d->arena, vault);

	if (!block_labels_fit(d, b, 0))
		return v;
	if (earlier)
		block_duplicate(d, b);
	decode_body(d, &type_vault, v, b->body, b->scope);
	special_vault(v);
	return v;
}

static void decode_job_vault(struct decoder *d, void *obj UNUSED, const struct expanded *b)
{
	d->job_vault = decode_vault(d, b, d->job_vault);
}

static void decode_group_vault(struct decoder *d, void *obj UNUSED, const struct expanded *b)
{
	d->group_vault = decode_vault(d, b, d->group_vault);
}

static void decode_task_vault(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task *t = obj;

	MODEL_SET(task, t, vault, decode_vault(d, b, t->vault));
}

/* ---- tasks directly below the job ---- */

static void decode_lone_task(struct decoder *d, void *obj UNUSED, const struct expanded *b)
{
	struct task *t = MODEL_NEW(d->arena, task);

	if (!block_labels_fit(d, b, 1))
		return;
	MODEL_SET(task, t, name, arena_strdup(d->arena, b->labels[0]));
	decode_body(d, &type_task, t, b->body, b->scope);
	objs_push(d->arena, &d->lone_tasks, t);
}

static const struct {
	const struct type *type;
	const char *block;
	void (*fn)(struct decoder *d, void *obj, const struct expanded *b);
} special_blocks[] = {
    {&type_network, "port", decode_port},
    {&type_task, "scaling", decode_task_scaling},
    {&type_task_group, "scaling", decode_group_scaling},
    {&type_job, "vault", decode_job_vault},
    {&type_task_group, "vault", decode_group_vault},
    {&type_task, "vault", decode_task_vault},
    {&type_job, "task", decode_lone_task},
};

bool special_block(struct decoder *d, const struct type *t, void *obj, const struct expanded *b)
{
	for (size_t i = 0; i < ARRAY_LEN(special_blocks); i++)
		if (special_blocks[i].type == t && str_eq(special_blocks[i].block, b->type)) {
			special_blocks[i].fn(d, obj, b);
			return true;
		}
	return false;
}

/* ---- constraint { regexp = "..." } and its like: the name of the argument is the operator ---- */

enum { ATTRIBUTE, VALUE, OPERATOR, WEIGHT, SHORTHANDS };
/* Of several shorthands the later one of this table wins, whatever their order in the file. Empty ones do not count. */
static const struct {
	const char *name;
	const struct hcl_type *type;
	enum { GIVES_VALUE, GIVES_ATTRIBUTE, GIVES_NEITHER } gives;
	enum { BOTH, CONSTRAINT, AFFINITY } in;
} arguments[] = {
    {"attribute", &hcl_type_string, 0, BOTH},
    {"value", &hcl_type_string, 0, BOTH},
    {"operator", &hcl_type_string, 0, BOTH},
    {"weight", &hcl_type_number, 0, AFFINITY},
    {"version", &hcl_type_string, GIVES_VALUE, BOTH},
    {"semver", &hcl_type_string, GIVES_VALUE, BOTH},
    {"regexp", &hcl_type_string, GIVES_VALUE, BOTH},
    {"set_contains_any", &hcl_type_string, GIVES_VALUE, BOTH},
    {"set_contains_all", &hcl_type_string, GIVES_VALUE, BOTH},
    {"set_contains", &hcl_type_string, GIVES_VALUE, BOTH},
    {"is_set", &hcl_type_bool, GIVES_NEITHER, CONSTRAINT},
    {"is_not_set", &hcl_type_bool, GIVES_NEITHER, CONSTRAINT},
    {"distinct_hosts", &hcl_type_bool, GIVES_NEITHER, CONSTRAINT},
    {"distinct_property", &hcl_type_string, GIVES_ATTRIBUTE, CONSTRAINT},
};

static void read_arguments(struct decoder *d, const struct type *t, const struct hcl_body *body, const struct hcl_scope *scope,
    struct hcl_value **values)
{
	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		size_t k = 0;

		while (k < ARRAY_LEN(arguments) &&
		       (!str_eq(arguments[k].name, a->name) || arguments[k].in == (t == &type_affinity ? CONSTRAINT : AFFINITY)))
			k++;
		if (k == ARRAY_LEN(arguments)) {
			decode_unknown(d, t, a->name, a->name_range, false);
			continue;
		}
		struct hcl_value *v = hcl_eval(d->h, a->expr, scope);
		const char *why = "";

		if (!v)
			continue;
		v = hcl_as(d->h, arguments[k].type, v, &why);
		if (!v)
			decode_unsuitable(d, a->expr->range, why);
		else if (v->kind != HCL_NULL)
			values[k] = v;
	}
	for (uint32_t i = 0; i < body->n_blocks; i++)
		decode_unknown(d, t, body->blocks[i]->type, body->blocks[i]->type_range, true);
}

static void decode_condition(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope)
{
	struct hcl_value *values[ARRAY_LEN(arguments)] = {0};
	struct constraint *c = obj; /* struct affinity begins alike */
	const char *operand = NULL, *parts[SHORTHANDS] = {0};

	read_arguments(d, t, body, scope, values);
	for (size_t k = 0; k < WEIGHT; k++)
		parts[k] = values[k] ? values[k]->s : NULL;
	operand = parts[OPERATOR];
	for (size_t k = SHORTHANDS; k < ARRAY_LEN(arguments); k++) {
		if (!values[k] || (values[k]->kind == HCL_BOOL ? !values[k]->b : !values[k]->n))
			continue;
		operand = arguments[k].name;
		if (arguments[k].gives != GIVES_NEITHER)
			parts[arguments[k].gives == GIVES_VALUE ? VALUE : ATTRIBUTE] = values[k]->s;
	}
	if (parts[ATTRIBUTE])
		MODEL_SET(constraint, c, ltarget, arena_strdup(d->arena, parts[ATTRIBUTE]));
	if (parts[VALUE])
		MODEL_SET(constraint, c, rtarget, arena_strdup(d->arena, parts[VALUE]));
	MODEL_SET(constraint, c, operand, str_empty(operand) ? "=" : arena_strdup(d->arena, operand));
	if (values[WEIGHT])
		MODEL_SET(affinity, (struct affinity *)obj, weight, (int64_t)hcl_number_double(values[WEIGHT]));
}

bool special_body(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope)
{
	if (t != &type_constraint && t != &type_affinity)
		return false;
	decode_condition(d, t, obj, body, scope);
	return true;
}

const char *special_name(const struct type *t, bool block, size_t n)
{
	bool condition = t == &type_constraint || t == &type_affinity;

	for (size_t i = 0; block && i < ARRAY_LEN(special_blocks); i++)
		if (special_blocks[i].type == t && n-- == 0)
			return special_blocks[i].block;
	for (size_t i = 0; !block && condition && i < ARRAY_LEN(arguments); i++)
		if (arguments[i].in != (t == &type_affinity ? CONSTRAINT : AFFINITY) && n-- == 0)
			return arguments[i].name;
	return NULL;
}

/* ---- defaults ---- */

static void finish_template(struct template_block *b)
{
	MODEL_DEFAULT(template_block, b, change_mode, "restart");
	MODEL_DEFAULT(template_block, b, perms, "0644");
	MODEL_DEFAULT(template_block, b, splay, 5 * SECOND);
}

static void finish_group(struct decoder *d, struct task_group *g)
{
	OBJS_EACH (&g->tasks, struct task, task)
		if (!task->vault && d->group_vault)
			MODEL_SET(task, task, vault, d->group_vault);
	d->group_vault = NULL;
}

void special_finish(struct decoder *d, const struct type *t, void *obj)
{
	if (t == &type_template_block)
		finish_template(obj);
	if (t == &type_periodic_config) {
		struct periodic_config *p = obj;

		if (MODEL_HAS(periodic_config, p, spec) || p->specs.n)
			MODEL_SET(periodic_config, p, spec_type, "cron");
	}
	if (t == &type_task_group)
		finish_group(d, obj);
}
