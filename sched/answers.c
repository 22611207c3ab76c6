/* answers: a table of compiled conditions, each with a byte for every class that was asked about. */
#include "sched/answers.h"

#define KEPT_MAX 4096

struct answers {
	struct map by_key; /* the condition's words, or the driver's -> struct answer */
};

struct answers *answers_new(void)
{
	return xcalloc(1, sizeof(struct answers));
}

static void forget_all(struct answers *a)
{
	const char *key;
	void *obj;
	for (uint32_t i = 0; map_next(&a->by_key, &i, &key, &obj);) {
		struct answer *x = obj;
		constraint_test_release(&x->test);
		free((char *)x->test.ltarget);
		free((char *)x->test.rtarget);
		free((char *)x->driver);
		free(x->text);
		free(x->by_class);
		free(x);
	}
	map_free(&a->by_key);
	a->by_key = MAP_INIT;
}

void answers_free(struct answers *a)
{
	if (!a)
		return;
	forget_all(a);
	free(a);
}

void answers_trim(struct answers *a)
{
	if (a->by_key.n > KEPT_MAX)
		forget_all(a);
}

static struct answer *compile(const char *ltarget, const char *operand, const char *rtarget)
{
	struct answer *x = xcalloc(1, sizeof(*x));
	char *l = xstrdup(ltarget ? ltarget : ""), *r = xstrdup(rtarget ? rtarget : "");
	cleanup_arena struct arena *a = arena_new();
	x->text = xstrdup(constraint_text(a, ltarget, operand, rtarget));
	x->unique = constraint_is_unique(l) || constraint_is_unique(r);
	if (!constraint_test_init(&x->test, l, operand, r, NULL))
		return x;
	free(l);
	free(r);
	x->test = (struct constraint_test){.ltarget = xstrdup(""), .rtarget = xstrdup("invalid"), .op = CONSTRAINT_EQ};
	return x;
}

struct answer *answers_of(struct answers *a, const char *ltarget, const char *operand, const char *rtarget)
{
	char key[256];
	int n = snprintf(key, sizeof(key), "%s\x1f%s\x1f%s", ltarget ? ltarget : "", operand ? operand : "", rtarget ? rtarget : "");
	cleanup_free char *longer = n >= (int)sizeof(key)
	    ? xasprintf("%s\x1f%s\x1f%s", ltarget ? ltarget : "", operand ? operand : "", rtarget ? rtarget : "") : NULL;
	struct answer *x = map_get(&a->by_key, longer ? longer : key);
	if (!x)
		map_set(&a->by_key, longer ? longer : key, x = compile(ltarget, operand, rtarget));
	return x;
}

struct answer *answers_of_driver(struct answers *a, const char *driver)
{
	cleanup_free char *key = xasprintf("\x1f%s", driver ? driver : "");
	struct answer *x = map_get(&a->by_key, key);
	if (x)
		return x;
	x = xcalloc(1, sizeof(*x));
	x->driver = xstrdup(driver ? driver : "");
	map_set(&a->by_key, key, x);
	return x;
}

static bool work_out(const struct answer *x, const struct node *n)
{
	if (!x->driver)
		return constraint_holds(&x->test, n);
	const struct driver_info *d = objmap_get(&n->drivers, x->driver);
	return d && d->detected && d->healthy;
}

static void grow(struct answer *x, uint32_t number)
{
	uint32_t n = MAX(number + 1, x->n ? x->n * 2 : 64);
	x->by_class = xrealloc(x->by_class, n, 1);
	memset(x->by_class + x->n, 0, n - x->n);
	x->n = n;
}

bool answer_holds(struct answer *x, const struct node_entry *n)
{
	if (x->unique || n->class_id == NODE_NO_CLASS)
		return work_out(x, n->spec);
	if (n->class_id >= x->n)
		grow(x, n->class_id);
	uint8_t *known = &x->by_class[n->class_id];
	if (!*known)
		*known = work_out(x, n->spec) ? 1 : 2;
	return *known == 1;
}
