#include "daemon/jobspec_decode.h"

#include "base/clock.h"

/* ---- problems ---- */

static void unsuitable(struct decoder *d, struct hcl_range at, const char *what)
{
	hcl_error(d->h, at, "Unsuitable value type", "Unsuitable value: %s", what);
}

static bool is_block_kind(const struct field *f)
{
	return f->kind == FIELD_OBJ || f->kind == FIELD_OBJS || f->kind == FIELD_OBJMAP;
}

static void unknown(struct decoder *d, const struct type *t, const char *name, struct hcl_range at, bool block)
{
	const char *near = NULL, *kind = block ? "Unsupported block type" : "Unsupported argument";
	size_t best = 3;
	bool other = false; /* it exists, but is written the other way */

	for (uint16_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];

		if (!f->hcl)
			continue;
		other = other || str_eq(f->hcl, name);
		if (is_block_kind(f) == block && hcl_distance(f->hcl, name) < best) {
			best = hcl_distance(f->hcl, name);
			near = f->hcl;
		}
	}
	if (other && block)
		hcl_error(d->h, at, kind, "Blocks of type \"%s\" are not expected here. Did you mean to define argument \"%s\"? If so, use the equals sign to assign it a value.", name, name);
	else if (other)
		hcl_error(d->h, at, kind, "An argument named \"%s\" is not expected here. Did you mean to define a block of type \"%s\"?", name, name);
	else if (block)
		hcl_error(d->h, at, kind, "Blocks of type \"%s\" are not expected here.%s%s%s", name, near ? " Did you mean \"" : "",
		    near ? near : "", near ? "\"?" : "");
	else
		hcl_error(d->h, at, kind, "An argument named \"%s\" is not expected here.%s%s%s", name, near ? " Did you mean \"" : "",
		    near ? near : "", near ? "\"?" : "");
}

/* ---- values into fields ---- */

static const struct field *find_field(const struct type *t, const char *hcl)
{
	for (uint16_t i = 0; i < t->n; i++)
		if (t->fields[i].hcl && str_eq(t->fields[i].hcl, hcl))
			return &t->fields[i];
	return NULL;
}

static void set_bit(void *obj, const struct type *t, const struct field *f)
{
	*(uint64_t *)obj |= UINT64_C(1) << (f - t->fields);
}

static const char *string_of(struct decoder *d, struct hcl_value *v, struct hcl_range at)
{
	struct hcl_value *s = hcl_to(d->h, HCL_STRING, v);

	if (!s || s->kind != HCL_STRING) {
		unsuitable(d, at, "string required");
		return NULL;
	}
	return arena_strdup(d->arena, s->s);
}

static bool put_strs(struct decoder *d, struct strs *out, struct hcl_value *v, struct hcl_range at)
{
	if (v->kind != HCL_LIST && v->kind != HCL_SET) {
		unsuitable(d, at, "list of string required");
		return false;
	}
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < v->n; i++) {
		const char *s = string_of(d, v->items[i], at);

		if (!s)
			return false;
		strs_push(d->arena, out, s);
	}
	return true;
}

static bool put_map(struct decoder *d, struct strmap *out, struct hcl_value *v, struct hcl_range at)
{
	if (v->kind != HCL_MAP) {
		unsuitable(d, at, "map of string required");
		return false;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		const char *s = string_of(d, v->items[i], at);

		if (!s)
			return false;
		strmap_set(d->arena, out, v->keys[i], s);
	}
	return true;
}

static bool put_headers(struct decoder *d, struct hdrmap *out, struct hcl_value *v, struct hcl_range at)
{
	if (v->kind != HCL_MAP) {
		unsuitable(d, at, "map of list of string required");
		return false;
	}
	out->v = arena_alloc(d->arena, (v->n + 1) * sizeof(*out->v));
	for (uint32_t i = 0; i < v->n; i++) {
		out->v[i].key = arena_strdup(d->arena, v->keys[i]);
		if (!put_strs(d, &out->v[i].value, v->items[i], at))
			return false;
		out->n++;
	}
	return true;
}

static bool put_duration(struct decoder *d, int64_t *out, struct hcl_value *v, struct hcl_range at)
{
	int64_t ns;

	if (v->kind == HCL_NUMBER && hcl_number_int(v, out))
		return true;
	if (v->kind == HCL_STRING && duration_parse(v->s, out) == 0)
		return true;
	struct hcl_value *number = v->kind == HCL_STRING ? hcl_to(d->h, HCL_NUMBER, v) : NULL;

	if (number && hcl_number_int(number, &ns)) {
		*out = ns;
		return true;
	}
	if (v->kind == HCL_STRING)
		hcl_error(d->h, at, "Unsuitable value type", "Unsuitable duration value: time: invalid duration \"%s\"", v->s);
	else
		unsuitable(d, at, "a duration is required, as \"30s\" or \"1h30m\"");
	return false;
}

static bool put_scalar(struct decoder *d, const struct field *f, void *at, struct hcl_value *v, struct hcl_range range)
{
	struct hcl_value *c;

	switch ((enum field_kind)f->kind) {
	case FIELD_STR:
		return (*(const char **)at = string_of(d, v, range)) != NULL;
	case FIELD_BOOL:
		c = hcl_to(d->h, HCL_BOOL, v);
		if (!c)
			unsuitable(d, range, "a bool is required");
		else
			*(bool *)at = c->b;
		return c != NULL;
	case FIELD_INT:
		c = hcl_to(d->h, HCL_NUMBER, v);
		if (!c)
			unsuitable(d, range, "a number is required");
		else if (!hcl_number_int(c, at))
			unsuitable(d, range, "a whole number is required");
		else
			return true;
		return false;
	case FIELD_DBL:
		c = hcl_to(d->h, HCL_NUMBER, v);
		if (!c)
			unsuitable(d, range, "a number is required");
		else
			*(double *)at = hcl_number_double(c);
		return c != NULL;
	case FIELD_DUR:
		return put_duration(d, at, v, range);
	default:
		return false;
	}
}

static void decode_attr(struct decoder *d, const struct type *t, void *obj, const struct field *f, const struct hcl_attr *a,
    const struct hcl_scope *scope)
{
	struct hcl_value *v = hcl_eval(d->h, a->expr, scope);
	void *at = (char *)obj + f->offset;
	struct hcl_range range = a->expr->range;
	bool ok;

	if (!v || v->kind == HCL_NULL) /* null: as if it were not written */
		return;
	switch ((enum field_kind)f->kind) {
	case FIELD_STRS:
		ok = put_strs(d, at, v, range);
		break;
	case FIELD_MAP:
		ok = put_map(d, at, v, range);
		break;
	case FIELD_HDRMAP:
		ok = put_headers(d, at, v, range);
		break;
	case FIELD_ANY:
		*(struct value **)at = hcl_to_value(d->arena, d->h, v);
		ok = true;
		break;
	default:
		ok = put_scalar(d, f, at, v, range);
	}
	if (ok)
		set_bit(obj, t, f);
}

/* ---- blocks ---- */

struct expanded { /* a block as it stands in a file, or as `dynamic` makes it */
	const char *type;
	const char *const *labels;
	uint32_t n_labels;
	const struct hcl_body *body;
	const struct hcl_scope *scope;
	struct hcl_range range;
};
typedef void block_fn(struct decoder *d, const struct type *t, void *obj, const struct expanded *b);

static void each_block(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body,
    const struct hcl_scope *scope, block_fn *fn);

static const struct hcl_attr *attr_of(const struct hcl_body *body, const char *name)
{
	for (uint32_t i = 0; i < body->n_attrs; i++)
		if (str_eq(body->attrs[i]->name, name))
			return body->attrs[i];
	return NULL;
}

/* dynamic "port" { for_each = ...  iterator = p  labels = [p.key]  content { ... } } */
static void expand_dynamic(struct decoder *d, const struct type *t, void *obj, const struct hcl_block *dynamic,
    const struct hcl_scope *scope, block_fn *fn)
{
	const struct hcl_attr *each = attr_of(dynamic->body, "for_each"), *labels = attr_of(dynamic->body, "labels"),
	                      *iterator = attr_of(dynamic->body, "iterator");
	const struct hcl_block *content = NULL;
	const char *name = dynamic->n_labels ? dynamic->labels[0] : NULL;

	for (uint32_t i = 0; i < dynamic->body->n_blocks; i++)
		if (str_eq(dynamic->body->blocks[i]->type, "content"))
			content = dynamic->body->blocks[i];
	if (dynamic->n_labels != 1 || !each || !content) {
		hcl_error(d->h, dynamic->type_range, "Invalid dynamic block",
		    "A dynamic block has one label, the type of the blocks it makes, an argument for_each, and a block content.");
		return;
	}
	struct hcl_value *in = hcl_eval(d->h, each->expr, scope);

	if (!in)
		return;
	if (in->kind != HCL_LIST && in->kind != HCL_SET && in->kind != HCL_MAP) {
		hcl_error(d->h, each->expr->range, "Invalid dynamic for_each value", "Cannot use a %s value in for_each. An iterable collection is required.", hcl_kind_name(in));
		return;
	}
	if (iterator && iterator->expr->kind == HCL_EXPR_NAME && !iterator->expr->n)
		name = iterator->expr->name;
	for (uint32_t i = 0; i < in->n && !hcl_over_budget(d->h, dynamic->type_range); i++) {
		static const char *const members[] = {"key", "value"};
		struct hcl_value *key = in->kind == HCL_MAP ? hcl_string(d->h, in->keys[i], strlen(in->keys[i]))
		                        : in->kind == HCL_SET ? in->items[i]
		                                              : hcl_int(d->h, i);
		struct hcl_value *pair[] = {key, in->items[i]};
		struct hcl_scope inner = {scope, name, hcl_map(d->h, (const char **)members, pair, 2)};
		struct strs made = {0};
		struct expanded b = {.type = dynamic->labels[0], .body = content->body, .scope = &inner, .range = dynamic->type_range};

		if (labels) {
			struct hcl_value *v = hcl_eval(d->h, labels->expr, &inner);

			if (!v || !put_strs(d, &made, v, labels->expr->range))
				return;
		}
		b.labels = made.v;
		b.n_labels = made.n;
		fn(d, t, obj, &b);
	}
}

static void each_block(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body,
    const struct hcl_scope *scope, block_fn *fn)
{
	for (uint32_t i = 0; i < body->n_blocks; i++) {
		const struct hcl_block *b = body->blocks[i];
		struct expanded e = {b->type, b->labels, b->n_labels, b->body, scope, b->type_range};

		if (str_eq(b->type, "dynamic"))
			expand_dynamic(d, t, obj, b, scope, fn);
		else
			fn(d, t, obj, &e);
	}
}

static bool labels_fit(struct decoder *d, const struct expanded *b, uint32_t wanted)
{
	if (b->n_labels == wanted)
		return true;
	if (b->n_labels < wanted)
		hcl_error(d->h, b->range, "Missing name for block", "All %s blocks must have %u label(s) (name).", b->type, wanted);
	else
		hcl_error(d->h, b->range, "Extraneous label for block", "%s blocks take %u label(s).", b->type, wanted);
	return false;
}

/* ---- free-form data: driver config, scaling policies ---- */

struct data_item {
	const char *key;
	struct value *value;
};
struct data {
	struct data_item *v;
	uint32_t n, cap;
};

static void data_add(struct data *l, const char *key, struct value *v)
{
	if (l->n == l->cap)
		l->v = xrealloc(l->v, l->cap = l->cap ? 2 * l->cap : 8, sizeof(*l->v));
	l->v[l->n++] = (struct data_item){key, v};
}

static struct value *data_body(struct decoder *d, const struct hcl_body *body, const struct hcl_scope *scope, bool wrap);

/* Blocks of one type make a list of maps, each label one map deeper. */
static void data_block(struct decoder *d, const struct type *t UNUSED, void *obj, const struct expanded *b)
{
	struct data *l = obj;
	struct value *v = data_body(d, b->body, b->scope, false);

	for (uint32_t i = b->n_labels; i-- > 0;) {
		struct value *list = value_list(d->arena, &v, 1);

		const char *label = arena_strdup(d->arena, b->labels[i]);

		v = value_map(d->arena, &label, &list, 1);
	}
	for (uint32_t i = 0; i < l->n; i++) {
		struct value *old = l->v[i].value;

		if (!str_eq(l->v[i].key, b->type) || old->kind != VAL_LIST)
			continue;
		struct value **items = arena_alloc(d->arena, (old->n + 1) * sizeof(*items));

		memcpy(items, old->items, old->n * sizeof(*items));
		items[old->n] = v;
		l->v[i].value = value_list(d->arena, items, old->n + 1);
		return;
	}
	data_add(l, arena_strdup(d->arena, b->type), value_list(d->arena, &v, 1));
}

/* wrap: at the top of a driver's config an object literal stands for a block, so it becomes a list of one. */
static struct value *data_body(struct decoder *d, const struct hcl_body *body, const struct hcl_scope *scope, bool wrap)
{
	struct data l = {0};

	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		struct hcl_value *hv = hcl_eval(d->h, a->expr, scope);
		struct value *v = hv ? hcl_to_value(d->arena, d->h, hv) : NULL;

		if (!v)
			continue;
		if (wrap && a->expr->kind == HCL_EXPR_OBJECT)
			v = value_list(d->arena, &v, 1);
		data_add(&l, arena_strdup(d->arena, a->name), v);
	}
	each_block(d, NULL, &l, body, scope, data_block);
	const char **keys = arena_alloc(d->arena, (l.n + 1) * sizeof(*keys));
	struct value **items = arena_alloc(d->arena, (l.n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < l.n; i++) {
		keys[i] = l.v[i].key;
		items[i] = l.v[i].value;
	}
	struct value *v = value_map(d->arena, keys, items, l.n);

	free(l.v);
	return v;
}

void decode_map_body(struct decoder *d, struct strmap *out, const struct hcl_body *body, const struct hcl_scope *scope)
{
	for (uint32_t i = 0; i < body->n_attrs; i++) {
		struct hcl_value *v = hcl_eval(d->h, body->attrs[i]->expr, scope);
		const char *s = v && v->kind != HCL_NULL ? string_of(d, v, body->attrs[i]->expr->range) : NULL;

		if (s)
			strmap_set(d->arena, out, body->attrs[i]->name, s);
	}
	for (uint32_t i = 0; i < body->n_blocks; i++)
		hcl_error(d->h, body->blocks[i]->type_range, "Unsupported block type", "Blocks of type \"%s\" are not expected here: this block holds key = value pairs.", body->blocks[i]->type);
}

static void decode_headers_body(struct decoder *d, struct hdrmap *out, const struct hcl_body *body, const struct hcl_scope *scope)
{
	const char **keys = arena_alloc(d->h->arena, (body->n_attrs + 1) * sizeof(*keys));
	struct hcl_value **items = arena_alloc(d->h->arena, (body->n_attrs + 1) * sizeof(*items));
	uint32_t n = 0;

	for (uint32_t i = 0; i < body->n_attrs; i++) {
		keys[n] = body->attrs[i]->name;
		items[n] = hcl_eval(d->h, body->attrs[i]->expr, scope);
		n += items[n] != NULL;
	}
	put_headers(d, out, hcl_map(d->h, keys, items, n), body->range);
}

/* ---- what the language writes differently ---- */

static void decode_port(struct decoder *d, void *obj, const struct expanded *b)
{
	struct network *n = obj;
	struct port *p = MODEL_NEW(d->arena, port);

	if (!labels_fit(d, b, 1))
		return;
	MODEL_SET(port, p, label, arena_strdup(d->arena, b->labels[0]));
	decode_body(d, &type_port, p, b->body, b->scope);
	objs_push(d->arena, p->value > 0 ? &n->reserved_ports : &n->dynamic_ports, p);
	n->has |= p->value > 0 ? MODEL_BIT(network, reserved_ports) : MODEL_BIT(network, dynamic_ports);
}

static void decode_config(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task *t = obj;

	if (labels_fit(d, b, 0))
		MODEL_SET(task, t, config, data_body(d, b->body, b->scope, true));
}

static void decode_task_scaling(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task *t = obj;
	struct scaling_policy *p = MODEL_NEW(d->arena, scaling_policy);

	if (!labels_fit(d, b, 1))
		return;
	if (!str_eq(b->labels[0], "cpu") && !str_eq(b->labels[0], "mem")) {
		hcl_error(d->h, b->range, "Invalid scaling policy name", "scaling policy name must be \"cpu\" or \"mem\"");
		return;
	}
	MODEL_SET(scaling_policy, p, type, str_eq(b->labels[0], "cpu") ? "vertical_cpu" : "vertical_mem");
	decode_body(d, &type_scaling_policy, p, b->body, b->scope);
	objs_push(d->arena, &t->scaling_policies, p);
	t->has |= MODEL_BIT(task, scaling_policies);
}

static void decode_group_scaling(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task_group *g = obj;
	struct scaling_policy *p = MODEL_NEW(d->arena, scaling_policy);

	MODEL_SET(scaling_policy, p, type, "horizontal");
	decode_body(d, &type_scaling_policy, p, b->body, b->scope);
	MODEL_SET(task_group, g, scaling, p);
}

static void finish_vault(struct vault *v)
{
	MODEL_DEFAULT(vault, v, env, true);
	MODEL_DEFAULT(vault, v, change_mode, "restart");
}

static struct vault *decode_vault(struct decoder *d, const struct expanded *b)
{
	struct vault *v = MODEL_NEW(d->arena, vault);

	decode_body(d, &type_vault, v, b->body, b->scope);
	finish_vault(v);
	return v;
}

static void decode_job_vault(struct decoder *d, void *obj UNUSED, const struct expanded *b)
{
	d->job_vault = decode_vault(d, b);
}

static void decode_group_vault(struct decoder *d, void *obj UNUSED, const struct expanded *b)
{
	d->group_vault = decode_vault(d, b);
}

static void decode_task_vault(struct decoder *d, void *obj, const struct expanded *b)
{
	struct task *t = obj;

	MODEL_SET(task, t, vault, decode_vault(d, b));
}

static void decode_lone_task(struct decoder *d, void *obj UNUSED, const struct expanded *b)
{
	struct task *t = MODEL_NEW(d->arena, task);

	if (!labels_fit(d, b, 1))
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
    {&type_task, "config", decode_config},
    {&type_task, "scaling", decode_task_scaling},
    {&type_task_group, "scaling", decode_group_scaling},
    {&type_job, "vault", decode_job_vault},
    {&type_task_group, "vault", decode_group_vault},
    {&type_task, "vault", decode_task_vault},
    {&type_job, "task", decode_lone_task},
};

/* constraint { regexp = "..." } and its like: the operator is the name of the argument. */
static bool constraint_shorthand(struct decoder *d, void *obj, const struct hcl_attr *a, const struct hcl_scope *scope)
{
	static const char *const operands[] = {
	    "version", "semver", "regexp", "set_contains", "set_contains_any", "set_contains_all", "distinct_property", "distinct_hosts", "is_set", "is_not_set"};
	struct constraint *c = obj; /* struct affinity begins alike */
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(operands); i++)
		if (str_eq(operands[i], a->name))
			name = operands[i];
	if (!name)
		return false;
	struct hcl_value *v = hcl_eval(d->h, a->expr, scope);

	if (!v || v->kind == HCL_NULL)
		return true;
	if (str_eq(name, "distinct_hosts") || str_eq(name, "is_set") || str_eq(name, "is_not_set")) {
		struct hcl_value *on = hcl_to(d->h, HCL_BOOL, v);

		if (!on)
			unsuitable(d, a->expr->range, "a bool is required");
		else if (on->b)
			MODEL_SET(constraint, c, operand, name);
		return true;
	}
	const char *s = string_of(d, v, a->expr->range);

	if (!s)
		return true;
	MODEL_SET(constraint, c, operand, name);
	if (str_eq(name, "distinct_property"))
		MODEL_SET(constraint, c, ltarget, s);
	else
		MODEL_SET(constraint, c, rtarget, s);
	return true;
}

/* After a body was decoded: what the language itself fills in. */
static void finish(struct decoder *d, const struct type *t, void *obj)
{
	if (t == &type_constraint || t == &type_affinity)
		MODEL_DEFAULT(constraint, (struct constraint *)obj, operand, "=");
	if (t == &type_template_block) {
		struct template_block *b = obj;

		MODEL_DEFAULT(template_block, b, change_mode, "restart");
		MODEL_DEFAULT(template_block, b, perms, "0644");
		MODEL_DEFAULT(template_block, b, splay, 5 * SECOND);
	}
	if (t == &type_periodic_config) {
		struct periodic_config *p = obj;

		if (MODEL_HAS(periodic_config, p, spec) || p->specs.n)
			MODEL_SET(periodic_config, p, spec_type, "cron");
	}
	if (t == &type_task_group) {
		struct task_group *g = obj;

		OBJS_EACH (&g->tasks, struct task, task)
			if (!task->vault && d->group_vault)
				MODEL_SET(task, task, vault, d->group_vault);
		d->group_vault = NULL;
	}
}

/* ---- by table ---- */

static const struct field *label_field(const struct type *t)
{
	for (uint16_t i = 0; i < t->n; i++)
		if (t->fields[i].flags & FIELD_LBL)
			return &t->fields[i];
	return NULL;
}

static void *decode_object(struct decoder *d, const struct type *t, const struct expanded *b)
{
	const struct field *label = label_field(t);

	if (!labels_fit(d, b, label ? 1 : 0))
		return NULL;
	void *obj = arena_alloc(d->arena, t->size);

	if (label) {
		*(const char **)((char *)obj + label->offset) = arena_strdup(d->arena, b->labels[0]);
		set_bit(obj, t, label);
	}
	decode_body(d, t, obj, b->body, b->scope);
	return obj;
}

static void decode_known(struct decoder *d, const struct type *t, void *obj, const struct field *f, const struct expanded *b)
{
	void *at = (char *)obj + f->offset;
	bool given = *(uint64_t *)obj >> (f - t->fields) & 1;
	void *child;

	switch ((enum field_kind)f->kind) {
	case FIELD_OBJ:
		if (given) {
			hcl_error(d->h, b->range, "Duplicate block", "Only one %s block is allowed here.", b->type);
			return;
		}
		child = decode_object(d, f->type, b);
		if (!child)
			return;
		*(void **)at = child;
		break;
	case FIELD_OBJS:
		child = decode_object(d, f->type, b);
		if (!child)
			return;
		objs_push(d->arena, at, child);
		break;
	case FIELD_OBJMAP:
		child = decode_object(d, f->type, b);
		if (!child)
			return;
		objmap_set(d->arena, at, arena_strdup(d->arena, b->labels[0]), child);
		break;
	case FIELD_MAP:
		decode_map_body(d, at, b->body, b->scope);
		break;
	case FIELD_HDRMAP:
		decode_headers_body(d, at, b->body, b->scope);
		break;
	case FIELD_ANY:
		*(struct value **)at = data_body(d, b->body, b->scope, false);
		break;
	default:
		unknown(d, t, b->type, (struct hcl_range){b->range.from, b->range.from + (uint32_t)strlen(b->type)}, true);
		return;
	}
	set_bit(obj, t, f);
}

static void decode_block(struct decoder *d, const struct type *t, void *obj, const struct expanded *b)
{
	for (size_t i = 0; i < ARRAY_LEN(special_blocks); i++)
		if (special_blocks[i].type == t && str_eq(special_blocks[i].block, b->type)) {
			special_blocks[i].fn(d, obj, b);
			return;
		}
	const struct field *f = find_field(t, b->type);

	if (f)
		decode_known(d, t, obj, f, b);
	else
		unknown(d, t, b->type, (struct hcl_range){b->range.from, b->range.from + (uint32_t)strlen(b->type)}, true);
}

void decode_body(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope)
{
	bool shorthand = t == &type_constraint || t == &type_affinity;

	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		const struct field *f = find_field(t, a->name);

		if (shorthand && constraint_shorthand(d, obj, a, scope))
			continue;
		if (f && !is_block_kind(f))
			decode_attr(d, t, obj, f, a, scope);
		else
			unknown(d, t, a->name, a->name_range, false);
	}
	each_block(d, t, obj, body, scope, decode_block);
	finish(d, t, obj);
}
