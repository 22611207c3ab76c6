/*
 * answers: what conditions and drivers answer for each class of nodes, kept over evaluations: jobs have their conditions in
 * common, and nodes their classes, so that nearly every question was asked before. Nothing here is part of the state: it can be
 * thrown away at any time, and worked out again.
 */
#ifndef SCHED_ANSWERS_H
#define SCHED_ANSWERS_H

#include "sched/constraint.h"
#include "sched/state.h"

struct answers;
struct answer { /* of one condition, or of one driver */
	struct constraint_test test;
	const char *driver; /* NULL: a condition */
	char *text;         /* what metrics count it by */
	bool unique;        /* it may differ inside of a class */
	uint8_t *by_class;  /* 0 unknown, 1 yes, 2 no; by number */
	uint32_t n;
};

struct answers *answers_new(void);
void answers_free(struct answers *a);
/* Forgets everything when it has become much. No answer may be in use. */
void answers_trim(struct answers *a);
/* A condition that cannot be compiled holds nowhere: admission refuses it, so an older journal let it through. */
struct answer *answers_of(struct answers *a, const char *ltarget, const char *operand, const char *rtarget);
struct answer *answers_of_driver(struct answers *a, const char *driver);
bool answer_holds(struct answer *x, const struct node_entry *n);

#endif
