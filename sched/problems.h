/*
 * problems: everything that is wrong with a job, gathered while it is checked and told at once, in the form in which
 * clients of the API know it: "2 errors occurred:\n\t* first\n\t* second\n\n", nested where the thing is nested.
 */
#ifndef SCHED_PROBLEMS_H
#define SCHED_PROBLEMS_H

#include "base/map.h"
#include "base/model.h"

struct problems {
	struct arena *a;
	struct strs list;
};

void problems_add(struct problems *p, const char *fmt, ...) PRINTF(2, 3);
/* The text of all of them; "" when there is none. */
const char *problems_text(const struct problems *p);
/* Control characters in a name: it is printed on terminals, stands in environments and in lines of logs. what: whose name. */
void problems_name(struct problems *p, const char *what, const char *name);
/* Adds the text of inner, when it has any, after a prefix made of fmt. */
void problems_nest(struct problems *p, const struct problems *inner, const char *fmt, ...) PRINTF(3, 4);

/* The one of the words (ended by NULL) that equals word; NULL: none does. */
const char *problems_one_of(const char *word, const char *const *words);

/* A group and what the parts of its check look up in it by name: tasks (their numbers, from 1), and all labels of ports. */
struct group_view {
	const struct task_group *g;
	struct map tasks, labels;
};

/* Parts of the check of a job (sched/admit_validate.c calls these of sched/admit_task.c and sched/admit_service.c). */
void validate_constraints(struct problems *p, const struct objs *constraints, const struct objs *affinities);
void validate_spreads(struct problems *p, const struct objs *spreads);
void validate_network(struct problems *p, const struct task_group *g);
/* task: whose services they are; NULL = the group's. */
void validate_services(
    struct problems *p, const struct group_view *v, const struct task *task, const struct objs *services);
void validate_task(struct problems *p, const struct group_view *v, const struct task *t);

#endif
