/* gotmpl: running a template: scopes, pipelines, fields. */
#include "daemon/gotmpl.h"

#include <errno.h>

#include "daemon/gotmpl_parse.h"

long gotmpl_max_steps = 50000000;

enum { MAX_OUTPUT = 256 << 20, MAX_ARGUMENTS = 64, MAX_MEMORY = 512 << 20 };

struct variable {
	const char *name;
	struct tmpl_value value;
};

struct run {
	const char *text;
	struct arena *a;
	struct buf *out;
	struct err *e;
	struct tmpl_value dot;
	struct variable *variables; /* a stack; the innermost is last */
	uint32_t n, cap;
	long steps;
	size_t size; /* of the arena at the start */
};

enum outcome { GO_ON, BREAK, CONTINUE }; /* negative: error */

#define FAIL(r, at, ...) gotmpl_error((r)->e, (r)->text, (at), __VA_ARGS__)

static int evaluate(struct run *r, const struct pipeline *p, struct tmpl_value *out);

static int step(struct run *r, const char *at)
{
	if (++r->steps > gotmpl_max_steps)
		return FAIL(r, at, "the template takes more than %ld steps", gotmpl_max_steps);
	if (arena_size(r->a) - r->size > MAX_MEMORY)
		return FAIL(r, at, "the template takes more than %d bytes of memory", MAX_MEMORY);
	return r->out->full ? FAIL(r, at, "the output is larger than %d bytes", MAX_OUTPUT) : 0;
}

/* ---- variables ---- */

static void push_variable(struct run *r, const char *name, struct tmpl_value v)
{
	if (r->n == r->cap) {
		r->cap = MAX(16, r->cap * 2);
		r->variables = xrealloc(r->variables, r->cap, sizeof(*r->variables));
	}
	r->variables[r->n++] = (struct variable){name, v};
}

static struct variable *find_variable(const struct run *r, const char *name)
{
	for (uint32_t i = r->n; i-- > 0;)
		if (str_eq(r->variables[i].name, name))
			return &r->variables[i];
	return NULL;
}

static void set_variable(struct run *r, const char *name, struct tmpl_value v, bool assigns)
{
	struct variable *known = assigns ? find_variable(r, name) : NULL;

	if (known)
		known->value = v;
	else
		push_variable(r, name, v);
}

/* ---- fields ---- */

static struct value *zero_of(struct arena *a, const struct field *f)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_BOOL:
		return value_bool(a, false);
	case FIELD_INT:
	case FIELD_DUR:
	case FIELD_TIME:
		return value_int(a, 0);
	case FIELD_DBL:
		return value_float(a, 0);
	case FIELD_STR:
	case FIELD_STAMP:
	case FIELD_BYTES:
		return value_str(a, "");
	case FIELD_STRS:
	case FIELD_OBJS:
		return value_list(a, NULL, 0);
	case FIELD_MAP:
	case FIELD_OBJMAP:
	case FIELD_INTMAP:
	case FIELD_DBLMAP:
	case FIELD_HDRMAP:
		return value_map(a, NULL, NULL, 0);
	case FIELD_ANY:
	case FIELD_OBJ:
		break;
	}
	return value_null(a);
}

static int no_such_field(struct run *r, const char *at, const struct type *t, const char *name)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint16_t i = 0; i < t->n; i++)
		if (!(t->fields[t->by_name[i]].flags & FIELD_HIDE))
			buf_printf(&b, "%s%s", b.len ? ", " : "", t->fields[t->by_name[i]].json);
	return FAIL(r, at, "can't evaluate field %s: %s has only %s", name, t->name, b.data ? b.data : "none");
}

/* Of an object whose type is known: unset fields are their zero values. */
static int typed_field(struct run *r, const char *at, const struct tmpl_value *v, const char *name, struct tmpl_value *out)
{
	const struct field *f = model_field(v->of, name);
	const struct value *found = value_get(v->v, name);

	if (!f || f->flags & FIELD_HIDE)
		return no_such_field(r, at, v->of, name);
	if (!found || (found->kind == VAL_NULL && f->kind != FIELD_ANY && f->kind != FIELD_OBJ && !(f->flags & FIELD_OPT)))
		found = zero_of(r->a, f);
	*out = (struct tmpl_value){
	    .v = found,
	    .of = f->type,
	    .items = f->kind == FIELD_OBJS || f->kind == FIELD_OBJMAP,
	    .duration = f->kind == FIELD_DUR,
	};
	return 0;
}

/* What is in a list or map. */
static struct tmpl_value item_of(const struct tmpl_value *v, const struct value *item)
{
	return (struct tmpl_value){.v = item, .of = v->items ? v->of : NULL};
}

static int field(struct run *r, const char *at, const struct tmpl_value *v, const char *name, struct tmpl_value *out)
{
	if (!v->v) { /* what is missing has nothing in it either */
		*out = *v;
		return 0;
	}
	if (v->v->kind == VAL_NULL)
		return FAIL(r, at, "nil has no field %s", name);
	if (v->v->kind == VAL_MAP && v->of && !v->items)
		return typed_field(r, at, v, name, out);
	if (v->v->kind == VAL_MAP) {
		*out = item_of(v, value_get(v->v, name));
		return 0;
	}
	/* What Sprig's split gives: ._0, ._1 */
	if (v->v->kind == VAL_LIST && name[0] == '_' && name[1]) {
		char *end;
		unsigned long i = strtoul(name + 1, &end, 10);

		if (!*end) {
			*out = item_of(v, i < v->v->n ? v->v->items[i] : NULL);
			return 0;
		}
	}
	return FAIL(r, at, "can't evaluate field %s in %s", name, gotmpl_kind(v));
}

/* ---- operands and commands ---- */

static int call(struct run *r, const struct operand *o, const struct tmpl_value *args, int n, struct tmpl_value *out);

/* An operand by itself: a function gets no arguments. */
static int operand(struct run *r, const struct operand *o, struct tmpl_value *out)
{
	struct tmpl_value v = {0};
	int rc = step(r, o->at);

	switch (o->kind) {
	case OPERAND_DOT:
		v = r->dot;
		break;
	case OPERAND_VARIABLE:
		v = find_variable(r, o->name)->value;
		break;
	case OPERAND_LITERAL:
		v.v = o->value;
		break;
	case OPERAND_NIL:
		v.v = value_null(r->a);
		break;
	case OPERAND_FUNCTION:
		rc = rc < 0 ? rc : call(r, o, NULL, 0, &v);
		break;
	case OPERAND_PAREN:
		rc = rc < 0 ? rc : evaluate(r, o->pipe, &v);
		break;
	}
	for (uint32_t i = 0; i < o->fields.n && rc == 0; i++)
		rc = field(r, o->at, &v, o->fields.v[i], &v);
	if (rc == 0)
		*out = v;
	return rc;
}

static int check_count(struct run *r, const struct operand *o, int n)
{
	const struct tmpl_fn *f = o->fn;

	if (n >= f->min && (f->max < 0 || n <= f->max))
		return 0;
	if (f->max < 0)
		return FAIL(r, o->at, "%s takes at least %d argument%s, not %d", f->name, f->min, f->min == 1 ? "" : "s", n);
	if (f->min == f->max)
		return FAIL(r, o->at, "%s takes %d argument%s, not %d", f->name, f->min, f->min == 1 ? "" : "s", n);
	return FAIL(r, o->at, "%s takes %d to %d arguments, not %d", f->name, f->min, f->max, n);
}

static int call(struct run *r, const struct operand *o, const struct tmpl_value *args, int n, struct tmpl_value *out)
{
	struct tmpl_call c = {.arena = r->a, .args = args, .n = n};
	int rc = check_count(r, o, n);

	if (rc < 0)
		return rc;
	rc = o->fn->run(&c, out);
	if (rc < 0)
		rc = FAIL(r, o->at, "%s: %s", o->name, c.problem ? c.problem : "failed");
	free(c.problem);
	return rc;
}

/* and, or: arguments are looked at from the left until one decides; it is the result. */
static int decide(struct run *r, const struct operand *f, const struct tmpl_value *last, struct tmpl_value *out)
{
	bool until = str_eq(f->name, "or");
	struct tmpl_value v = {0};
	int n = last ? 1 : 0, rc = 0;

	for (const struct operand *o = f->next; o; o = o->next)
		n++;
	rc = check_count(r, f, n);
	for (const struct operand *o = f->next; o && rc == 0; o = o->next) {
		rc = operand(r, o, &v);
		if (rc == 0 && gotmpl_is_true(&v) == until) {
			*out = v;
			return 0;
		}
	}
	if (rc == 0)
		*out = last ? *last : v;
	return rc;
}

/* last: what the command before the bar gave, NULL for the first one. */
static int command(struct run *r, const struct command *c, const struct tmpl_value *last, struct tmpl_value *out)
{
	const struct operand *f = c->operands;
	struct tmpl_value args[MAX_ARGUMENTS];
	int n = 0, rc;

	if (f->kind != OPERAND_FUNCTION || f->fields.n) {
		if (last || f->next)
			return FAIL(r, f->next ? f->next->at : f->at, "%s takes no argument: it is no function",
			    f->kind == OPERAND_LITERAL || f->kind == OPERAND_NIL ? "a constant" : "a value");
		if (f->kind == OPERAND_NIL)
			return FAIL(r, f->at, "nil is not a command");
		return operand(r, f, out);
	}
	if (!f->fn->run)
		return decide(r, f, last, out);
	for (const struct operand *o = f->next; o; o = o->next) {
		if (n + 1 >= MAX_ARGUMENTS)
			return FAIL(r, o->at, "more than %d arguments", MAX_ARGUMENTS - 1);
		rc = operand(r, o, &args[n++]);
		if (rc < 0)
			return rc;
	}
	if (last)
		args[n++] = *last;
	rc = step(r, f->at);
	return rc < 0 ? rc : call(r, f, args, n, out);
}

static int evaluate(struct run *r, const struct pipeline *p, struct tmpl_value *out)
{
	struct tmpl_value v = {0};
	bool first = true;

	for (const struct command *c = p->commands; c; c = c->next, first = false) {
		struct tmpl_value last = v;
		int rc = command(r, c, first ? NULL : &last, &v);

		if (rc < 0)
			return rc;
	}
	*out = v;
	return 0;
}

/* ---- nodes ---- */

static int run_nodes(struct run *r, const struct tmpl_node *list);

static int run_inside(struct run *r, const struct tmpl_node *list, struct tmpl_value dot)
{
	struct tmpl_value outer = r->dot;
	uint32_t n = r->n;
	int rc;

	r->dot = dot;
	rc = run_nodes(r, list);
	r->dot = outer;
	r->n = n;
	return rc;
}

/* if, with. */
static int run_choice(struct run *r, const struct tmpl_node *node)
{
	struct tmpl_value v;
	uint32_t n = r->n;
	int rc = evaluate(r, node->pipe, &v);

	if (rc < 0)
		return rc;
	if (node->pipe->n_variables)
		set_variable(r, node->pipe->variables[0], v, node->pipe->assigns);
	if (gotmpl_is_true(&v))
		rc = run_inside(r, node->body, node->kind == NODE_WITH ? v : r->dot);
	else
		rc = run_inside(r, node->otherwise, r->dot);
	r->n = n;
	return rc;
}

static int run_item(struct run *r, const struct tmpl_node *node, struct tmpl_value key, struct tmpl_value item)
{
	const struct pipeline *p = node->pipe;
	uint32_t n = r->n;
	int rc = step(r, node->at);

	if (rc < 0)
		return rc;
	if (p->n_variables == 2)
		set_variable(r, p->variables[0], key, p->assigns);
	if (p->n_variables)
		set_variable(r, p->variables[p->n_variables - 1], item, p->assigns);
	rc = run_inside(r, node->body, item);
	r->n = n;
	return rc;
}

static int run_range(struct run *r, const struct tmpl_node *node)
{
	struct tmpl_value v;
	int rc = evaluate(r, node->pipe, &v);
	const struct value *over;
	int64_t count;

	if (rc < 0)
		return rc;
	over = v.v;
	if (over && over->kind == VAL_INT)
		count = MAX(over->i, 0);
	else if (!over || over->kind == VAL_NULL)
		count = 0;
	else if (over->kind == VAL_LIST || over->kind == VAL_MAP)
		count = over->n;
	else
		return FAIL(r, node->pipe->at, "range can't iterate over %s: expected a list, a map or an integer", gotmpl_kind(&v));
	if (!count)
		return run_inside(r, node->otherwise, r->dot);
	for (int64_t i = 0; i < count; i++) {
		struct tmpl_value number = {0};

		if (over->kind == VAL_INT || node->pipe->n_variables == 2)
			number.v = value_int(r->a, i);
		if (over->kind == VAL_INT)
			rc = run_item(r, node, number, number);
		else if (over->kind == VAL_LIST)
			rc = run_item(r, node, number, item_of(&v, over->items[i]));
		else
			rc = run_item(r, node, (struct tmpl_value){.v = value_str(r->a, over->keys[i])}, item_of(&v, over->items[i]));
		if (rc < 0)
			return rc;
		if (rc == BREAK)
			break;
	}
	return GO_ON;
}

static int run_action(struct run *r, const struct tmpl_node *node)
{
	struct tmpl_value v;
	int rc = evaluate(r, node->pipe, &v);

	if (rc < 0)
		return rc;
	if (node->pipe->n_variables)
		set_variable(r, node->pipe->variables[0], v, node->pipe->assigns);
	else
		gotmpl_print(r->out, &v);
	return GO_ON;
}

static int run_nodes(struct run *r, const struct tmpl_node *list)
{
	int rc = GO_ON;

	for (const struct tmpl_node *node = list; node && rc == GO_ON; node = node->next) {
		rc = step(r, node->at);
		if (rc < 0)
			break;
		switch (node->kind) {
		case NODE_TEXT:
			buf_put(r->out, node->text, node->n);
			break;
		case NODE_ACTION:
			rc = run_action(r, node);
			break;
		case NODE_IF:
		case NODE_WITH:
			rc = run_choice(r, node);
			break;
		case NODE_RANGE:
			rc = run_range(r, node);
			break;
		case NODE_BREAK:
			rc = BREAK;
			break;
		case NODE_CONTINUE:
			rc = CONTINUE;
			break;
		}
	}
	return rc;
}

int gotmpl_run(const char *text, const struct value *v, const struct type *of, bool items, struct arena *a,
    struct buf *out, struct err *e)
{
	struct run r = {.text = text, .a = a, .out = out, .e = e, .dot = {.v = v, .of = of, .items = items}};
	struct tmpl_node *list;
	size_t max = out->max;
	int rc = gotmpl_parse(text, a, &list, e);

	if (rc < 0)
		return rc;
	r.size = arena_size(a);
	push_variable(&r, "$", r.dot);
	out->max = max && max < MAX_OUTPUT ? max : MAX_OUTPUT;
	rc = run_nodes(&r, list);
	if (rc >= 0 && out->full)
		rc = FAIL(&r, text, "the output is larger than %d bytes", MAX_OUTPUT);
	out->max = max;
	free(r.variables);
	return rc < 0 ? rc : 0;
}
