/*
 * Free-form data of job files: driver config, scaling policies, proxy configuration. It comes out as an existing Nomad
 * has it: blocks of one type are a list of maps, each label one map deeper in a list of its own, and an object literal
 * (but not an object that a variable or function gives) stands for a block, so it is a list of one map.
 */
#include "daemon/jobspec_decode.h"

struct item {
	const char *key;
	struct value *value;
	uint32_t at; /* the order of the file */
};
struct items {
	struct item *v;
	uint32_t n, cap;
};

static void add(struct items *l, const char *key, struct value *v)
{
	if (l->n == l->cap)
		l->v = xrealloc(l->v, l->cap = l->cap ? 2 * l->cap : 8, sizeof(*l->v));
	l->v[l->n] = (struct item){key, v, l->n};
	l->n++;
}

static void add_block(struct decoder *d, const struct type *t UNUSED, void *obj, const struct expanded *b)
{
	struct value *v = data_body(d, b->body, b->scope);

	for (uint32_t i = b->n_labels; i-- > 0;) {
		struct value *list = value_list(d->arena, &v, 1);
		const char *label = arena_strdup(d->arena, b->labels[i]);

		v = value_map(d->arena, &label, &list, 1);
	}
	add(obj, b->type, v);
}

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : x->at < y->at ? -1 : 1;
}

/* Blocks of one type become one member: the list of them. */
static void gather(struct decoder *d, struct items *blocks, struct items *out)
{
	struct value **list = arena_alloc(d->h->arena, (blocks->n + 1) * sizeof(*list));

	if (blocks->n)
		qsort(blocks->v, blocks->n, sizeof(*blocks->v), by_key);
	for (uint32_t i = 0, next; i < blocks->n; i = next) {
		for (next = i; next < blocks->n && str_eq(blocks->v[i].key, blocks->v[next].key); next++)
			list[next - i] = blocks->v[next].value;
		add(out, arena_strdup(d->arena, blocks->v[i].key), value_list(d->arena, list, next - i));
	}
}

struct value *data_body(struct decoder *d, const struct hcl_body *body, const struct hcl_scope *scope)
{
	struct items all = {0}, blocks = {0};

	for (uint32_t i = 0; i < body->n_attrs; i++) {
		const struct hcl_attr *a = body->attrs[i];
		struct hcl_value *hv = hcl_eval(d->h, a->expr, scope);
		struct value *v = hv ? hcl_to_value(d->arena, d->h, hv) : NULL;

		if (!v)
			continue;
		if (a->expr->kind == HCL_EXPR_OBJECT)
			v = value_list(d->arena, &v, 1);
		add(&all, arena_strdup(d->arena, a->name), v);
	}
	block_each(d, NULL, &blocks, body, scope, add_block);
	gather(d, &blocks, &all);
	const char **keys = arena_alloc(d->h->arena, (all.n + 1) * sizeof(*keys));
	struct value **values = arena_alloc(d->h->arena, (all.n + 1) * sizeof(*values));

	for (uint32_t i = 0; i < all.n; i++) {
		keys[i] = all.v[i].key;
		values[i] = all.v[i].value;
	}
	struct value *v = value_map(d->arena, keys, values, all.n);

	free(all.v);
	free(blocks.v);
	return v;
}
