/* Blocks of job files, and `dynamic` blocks, which stand for any number of others. */
#include "daemon/jobspec_decode.h"

static const struct hcl_attr *attr_of(const struct hcl_body *body, const char *name)
{
	for (uint32_t i = 0; i < body->n_attrs; i++)
		if (str_eq(body->attrs[i]->name, name))
			return body->attrs[i];
	return NULL;
}

/* dynamic "port" { for_each = ...  iterator = p  labels = [p.key]  content { ... } } */
struct dynamic {
	const char *type, *iterator;
	const struct hcl_expr *each, *labels;
	const struct hcl_body *content;
};

static bool check_parts(struct decoder *d, const struct hcl_block *b)
{
	static const char *const known[] = {"for_each", "iterator", "labels"};
	int n = d->h->n_errors;

	for (uint32_t i = 0; i < b->body->n_attrs; i++) {
		bool ok = false;

		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			ok = ok || str_eq(known[k], b->body->attrs[i]->name);
		if (!ok)
			hcl_error(d->h, b->body->attrs[i]->name_range, "Unsupported argument",
			    "An argument named \"%s\" is not expected here: a dynamic block has for_each, iterator, labels and a block content.",
			    b->body->attrs[i]->name);
	}
	for (uint32_t i = 0; i < b->body->n_blocks; i++)
		if (!str_eq(b->body->blocks[i]->type, "content"))
			hcl_error(d->h, b->body->blocks[i]->type_range, "Unsupported block type",
			    "Blocks of type \"%s\" are not expected here: what a dynamic block makes is in its block content.", b->body->blocks[i]->type);
	return d->h->n_errors == n;
}

static bool read_dynamic(struct decoder *d, const struct hcl_block *b, struct dynamic *out)
{
	const struct hcl_attr *each = attr_of(b->body, "for_each"), *labels = attr_of(b->body, "labels"),
			      *iterator = attr_of(b->body, "iterator");

	if (!check_parts(d, b))
		return false;
	if (b->n_labels != 1 || !each || b->body->n_blocks != 1) {
		hcl_error(d->h, b->type_range, "Invalid dynamic block",
		    "A dynamic block has one label, the type of the blocks it makes, an argument for_each, and one block content.");
		return false;
	}
	*out = (struct dynamic){b->labels[0], b->labels[0], each->expr, labels ? labels->expr : NULL, b->body->blocks[0]->body};
	if (!iterator)
		return true;
	if (iterator->expr->kind != HCL_EXPR_NAME || iterator->expr->n) {
		hcl_error(d->h, iterator->expr->range, "Invalid dynamic iterator name", "iterator is a lone name");
		return false;
	}
	out->iterator = iterator->expr->name;
	return true;
}

/* The labels of one block that is made; they are in the arena of the job. */
static bool eval_labels(struct decoder *d, const struct dynamic *dyn, const struct hcl_scope *scope, struct strs *out)
{
	struct hcl_value *v = dyn->labels ? hcl_eval(d->h, dyn->labels, scope) : NULL;

	return !dyn->labels || (v && decode_strings(d, out, v, dyn->labels->range));
}

static void expand(struct decoder *d, const struct type *t, void *obj, const struct hcl_block *block, const struct hcl_scope *scope,
    block_fn *fn)
{
	static const char *const members[] = {"key", "value"};
	struct dynamic dyn;

	if (!read_dynamic(d, block, &dyn))
		return;
	if (t && !decode_knows_block(t, dyn.type)) {
		decode_unknown(d, t, dyn.type, block->type_range, true);
		return;
	}
	struct hcl_value *in = hcl_eval(d->h, dyn.each, scope);

	if (in && in->kind < HCL_LIST)
		hcl_error(d->h, dyn.each->range, "Invalid dynamic for_each value",
		    "for_each goes over a list, set, map or object, and this is a %s", hcl_kind_name(in));
	if (!in || in->kind < HCL_LIST)
		return;
	for (uint32_t i = 0; i < in->n && !hcl_over_budget(d->h, block->type_range); i++) {
		struct hcl_value *key = in->keys              ? hcl_string(d->h, in->keys[i], strlen(in->keys[i]))
					: in->kind == HCL_SET ? in->items[i]
							      : hcl_int(d->h, i);
		struct hcl_value *pair[] = {key, in->items[i]};
		struct hcl_scope inner = {scope, dyn.iterator, hcl_object(d->h, members, pair, 2)};
		struct expanded b = {.type = dyn.type, .body = dyn.content, .scope = &inner, .range = block->type_range};
		struct strs labels = {0};

		if (!eval_labels(d, &dyn, &inner, &labels))
			return;
		b.labels = labels.v;
		b.n_labels = labels.n;
		fn(d, t, obj, &b);
	}
}

void block_each(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope,
    block_fn *fn)
{
	for (uint32_t i = 0; i < body->n_blocks && !hcl_over_budget(d->h, body->blocks[i]->type_range); i++) {
		const struct hcl_block *b = body->blocks[i];
		struct expanded e = {b->type, b->labels, b->n_labels, b->body, scope, b->type_range};

		if (str_eq(b->type, "dynamic"))
			expand(d, t, obj, b, scope, fn);
		else
			fn(d, t, obj, &e);
	}
}

struct hcl_range block_type_range(const struct expanded *b)
{
	return (struct hcl_range){b->range.from, MIN(b->range.to, b->range.from + (uint32_t)strlen(b->type))};
}

bool block_labels_fit(struct decoder *d, const struct expanded *b, uint32_t wanted)
{
	if (b->n_labels < wanted)
		hcl_error(d->h, b->range, "Missing label for block", "%s blocks have %u label(s), as in: %s \"name\" { ... }", b->type, wanted, b->type);
	else if (b->n_labels > wanted && !wanted)
		hcl_error(d->h, b->range, "Extraneous label for block", "%s blocks have no labels", b->type);
	else if (b->n_labels > wanted)
		hcl_error(d->h, b->range, "Extraneous label for block", "%s blocks have %u label(s)", b->type, wanted);
	return b->n_labels == wanted;
}

void block_duplicate(struct decoder *d, const struct expanded *b)
{
	hcl_error(d->h, b->range, "Duplicate block", "only one %s block may stand here", b->type);
}
