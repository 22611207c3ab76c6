/*
 * constraint: conditions of a job on nodes: what a target such as ${attr.cpu.arch} is on a node, and whether a
 * condition holds. A test is compiled once and asked of many nodes. distinct_hosts and distinct_property are conditions
 * on the other allocations of the job and are looked at in sched/feasible.
 */
#ifndef SCHED_CONSTRAINT_H
#define SCHED_CONSTRAINT_H

#include "base/err.h"
#include "base/model.h"

/* The value of a target on a node: a literal, or ${node.*}, ${attr.*}, ${meta.*}. NULL when the node has none, and for
 * variables that only a client knows. The result belongs to the node or the target. */
const char *constraint_resolve(const struct node *n, const char *target);
/* Whether the target may differ between nodes of one computed class. */
bool constraint_is_unique(const char *target);

struct pattern; /* base/pattern.h */

enum constraint_op {
	CONSTRAINT_EQ,
	CONSTRAINT_NE,
	CONSTRAINT_LT,
	CONSTRAINT_LE,
	CONSTRAINT_GT,
	CONSTRAINT_GE,
	CONSTRAINT_REGEXP,
	CONSTRAINT_VERSION,
	CONSTRAINT_SEMVER,
	CONSTRAINT_CONTAINS_ALL,
	CONSTRAINT_CONTAINS_ANY,
	CONSTRAINT_IS_SET,
	CONSTRAINT_IS_NOT_SET,
	CONSTRAINT_DISTINCT_HOSTS,
	CONSTRAINT_DISTINCT_PROPERTY,
};
int constraint_op(const char *operand); /* enum constraint_op, or -1; "" is "=" */

struct constraint_test {
	const char *ltarget, *rtarget;
	enum constraint_op op;
	struct pattern *regex; /* of CONSTRAINT_REGEXP with a literal pattern */
};

/* Points into the strings given. -EINVAL with a sentence for an operator, pattern or version list that is none. */
int constraint_test_init(
    struct constraint_test *t, const char *ltarget, const char *operand, const char *rtarget, struct err *e);
void constraint_test_release(struct constraint_test *t);
/* Whether it holds on the node; distinct_* always does. Matching a pattern has a bound on its work, beyond which it does
 * not match. */
bool constraint_holds(const struct constraint_test *t, const struct node *n);
/* The text by which metrics count it: "${attr.kernel.name} = linux". */
char *constraint_text(struct arena *a, const char *ltarget, const char *operand, const char *rtarget);

#endif
