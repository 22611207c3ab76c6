/* constraint: targets and operators. */
#include "sched/constraint.h"

#include <ctype.h>
#include <errno.h>

#include "base/pattern.h"
#include "sched/version.h"

static const struct {
	const char *word;
	enum constraint_op op;
} ops[] = {
    {"", CONSTRAINT_EQ},
    {"=", CONSTRAINT_EQ},
    {"==", CONSTRAINT_EQ},
    {"is", CONSTRAINT_EQ},
    {"!=", CONSTRAINT_NE},
    {"not", CONSTRAINT_NE},
    {"<", CONSTRAINT_LT},
    {"<=", CONSTRAINT_LE},
    {">", CONSTRAINT_GT},
    {">=", CONSTRAINT_GE},
    {"regexp", CONSTRAINT_REGEXP},
    {"version", CONSTRAINT_VERSION},
    {"semver", CONSTRAINT_SEMVER},
    {"set_contains", CONSTRAINT_CONTAINS_ALL},
    {"set_contains_all", CONSTRAINT_CONTAINS_ALL},
    {"set_contains_any", CONSTRAINT_CONTAINS_ANY},
    {"is_set", CONSTRAINT_IS_SET},
    {"is_not_set", CONSTRAINT_IS_NOT_SET},
    {"distinct_hosts", CONSTRAINT_DISTINCT_HOSTS},
    {"distinct_property", CONSTRAINT_DISTINCT_PROPERTY},
};

int constraint_op(const char *operand)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (str_eq(ops[i].word, operand))
			return (int)ops[i].op;
	return -1;
}

/* Looks up "prefix" + key + "}" in a map without a copy. */
static const char *get_inner(const struct strmap *m, const char *key, size_t n)
{
	uint32_t lo = 0, hi = m->n;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const char *k = m->v[mid].key;
		int r = strncmp(k, key, n);
		if (!r && k[n])
			r = 1;
		if (!r)
			return m->v[mid].value;
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const char *constraint_resolve(const struct node *n, const char *target)
{
	if (!target || !str_starts(target, "${"))
		return target ? target : "";
	size_t len = strlen(target);
	if (target[len - 1] != '}')
		return NULL;
	const struct {
		const char *name, *value;
	} fields[] = {{"${node.unique.id}", n->id}, {"${node.datacenter}", n->datacenter},
	    {"${node.unique.name}", n->name}, {"${node.class}", n->node_class}, {"${node.pool}", n->node_pool}};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (!strcmp(target, fields[i].name))
			return fields[i].value ? fields[i].value : "";
	if (str_starts(target, "${attr."))
		return get_inner(&n->attributes, target + 7, len - 8);
	if (str_starts(target, "${meta."))
		return get_inner(&n->meta, target + 7, len - 8);
	return NULL;
}

bool constraint_is_unique(const char *target)
{
	return target && (str_starts(target, "${node.unique.") || str_starts(target, "${attr.unique.") ||
	                     str_starts(target, "${meta.unique."));
}

int constraint_test_init(
    struct constraint_test *t, const char *ltarget, const char *operand, const char *rtarget, struct err *e)
{
	struct constraint_test v = {.ltarget = ltarget ? ltarget : "", .rtarget = rtarget ? rtarget : ""};
	bool literal = !str_starts(v.rtarget, "${");
	int op = constraint_op(operand);
	if (op < 0)
		return err_set(e, -EINVAL, "Unknown constraint type \"%.64s\"", operand);
	v.op = (enum constraint_op)op;
	if (v.op == CONSTRAINT_REGEXP && literal) {
		v.regex = pattern_new(v.rtarget, e);
		if (!v.regex)
			return err_wrap(e, "Regular expression failed to compile");
	}
	if (v.op == CONSTRAINT_VERSION && literal && version_satisfies(NULL, v.rtarget, false, e) < 0)
		return err_wrap(e, "Version constraint is invalid");
	if (v.op == CONSTRAINT_SEMVER && literal && version_satisfies(NULL, v.rtarget, true, e) < 0)
		return err_wrap(e, "Semver constraint is invalid");
	*t = v;
	return 0;
}

void constraint_test_release(struct constraint_test *t)
{
	pattern_free(t->regex);
	t->regex = NULL;
}

static bool as_int(const char *s, int64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoll(s, &end, 10);
	return end != s && !*end && !errno && !isspace((unsigned char)*s);
}

static bool as_float(const char *s, double *out)
{
	char *end;
	*out = strtod(s, &end);
	return end != s && !*end && !isspace((unsigned char)*s);
}

static int order(const char *l, const char *r)
{
	int64_t li, ri;
	double lf, rf;
	if (as_int(l, &li) && as_int(r, &ri))
		return (li > ri) - (li < ri);
	if (as_float(l, &lf) && as_float(r, &rf))
		return (lf > rf) - (lf < rf);
	return strcmp(l, r);
}

/* The next item of a comma-separated list without the spaces around it; NULL at the end. */
static const char *next_item(const char **list, size_t *n)
{
	const char *s = *list;
	if (!s)
		return NULL;
	*n = strcspn(s, ",");
	*list = s[*n] ? s + *n + 1 : NULL;
	for (; *n && isspace((unsigned char)*s); (*n)--)
		s++;
	while (*n && isspace((unsigned char)s[*n - 1]))
		(*n)--;
	return s;
}

static bool list_has(const char *list, const char *item, size_t n)
{
	size_t have_n;
	for (const char *have; (have = next_item(&list, &have_n));)
		if (have_n == n && !memcmp(have, item, n))
			return true;
	return false;
}

static bool contains(const char *have, const char *want, bool all)
{
	size_t n;
	for (const char *item; (item = next_item(&want, &n));)
		if (list_has(have, item, n) != all)
			return !all;
	return all;
}

static bool version_holds(const char *l, const char *r, bool semver)
{
	struct version v;
	return !version_parse(l, strlen(l), semver, &v, NULL) && version_satisfies(&v, r, semver, NULL) > 0;
}

static bool regexp_holds(const struct constraint_test *t, const char *l, const char *r)
{
	if (t->regex)
		return pattern_matches(t->regex, l);
	struct pattern *p = pattern_new(r, NULL);
	bool yes = p && pattern_matches(p, l);
	pattern_free(p);
	return yes;
}

bool constraint_holds(const struct constraint_test *t, const struct node *n)
{
	const char *l = constraint_resolve(n, t->ltarget), *r = constraint_resolve(n, t->rtarget);
	switch (t->op) {
	case CONSTRAINT_IS_SET:
		return l != NULL;
	case CONSTRAINT_IS_NOT_SET:
		return l == NULL;
	case CONSTRAINT_NE:
		return !l != !r || (l && strcmp(l, r) != 0);
	case CONSTRAINT_DISTINCT_HOSTS:
	case CONSTRAINT_DISTINCT_PROPERTY:
		return true;
	default:
		break;
	}
	if (!l || !r)
		return false;
	switch (t->op) {
	case CONSTRAINT_EQ:
		return strcmp(l, r) == 0;
	case CONSTRAINT_LT:
		return order(l, r) < 0;
	case CONSTRAINT_LE:
		return order(l, r) <= 0;
	case CONSTRAINT_GT:
		return order(l, r) > 0;
	case CONSTRAINT_GE:
		return order(l, r) >= 0;
	case CONSTRAINT_REGEXP:
		return regexp_holds(t, l, r);
	case CONSTRAINT_VERSION:
	case CONSTRAINT_SEMVER:
		return version_holds(l, r, t->op == CONSTRAINT_SEMVER);
	case CONSTRAINT_CONTAINS_ALL:
	case CONSTRAINT_CONTAINS_ANY:
		return contains(l, r, t->op == CONSTRAINT_CONTAINS_ALL);
	default:
		return false;
	}
}

char *constraint_text(struct arena *a, const char *ltarget, const char *operand, const char *rtarget)
{
	const char *op = str_empty(operand) ? "=" : operand;
	switch (constraint_op(operand)) {
	case CONSTRAINT_DISTINCT_HOSTS:
		return arena_strdup(a, "distinct_hosts");
	case CONSTRAINT_DISTINCT_PROPERTY:
		return arena_printf(a, "distinct_property: %s", ltarget ? ltarget : "");
	case CONSTRAINT_IS_SET:
	case CONSTRAINT_IS_NOT_SET:
		return arena_printf(a, "%s %s", ltarget ? ltarget : "", op);
	default:
		return arena_printf(a, "%s %s %s", ltarget ? ltarget : "", op, rtarget ? rtarget : "");
	}
}
