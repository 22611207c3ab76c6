/*
 * task_launch: from a task of a job file to a process held by a keeper: checks that this client can do what the task
 * asks, makes its folders, builds its environment, lets the driver prepare the command, and starts the keeper.
 */
#ifndef AGENT_TASK_LAUNCH_H
#define AGENT_TASK_LAUNCH_H

#include "agent/task_run.h"

/* 0: the keeper is on its way, events follow. On failure *what is the event that tells of it. */
int task_launch(struct task_run *t, keeper_fn *fn, struct keeper **out, enum task_event_kind *what, struct err *e);
/* The context of a task, for a command that runs beside it: all of the spec but command and arguments, in the arena. */
int task_launch_context(struct task_run *t, struct arena *a, struct keeper_spec *spec, struct err *e);
/* Whether the same start may succeed another time: no memory, no descriptors, disk full. */
bool task_launch_may_work_later(int code);
/* Removes what the process left: its cgroups, and what still lives in them. */
void task_launch_clean(struct task_run *t);

/* What asks for more than this client can do: a sentence for each; 0 when all is there. */
int task_launch_check(const struct task *def, const struct task_group *g, const struct node *node, struct err *e);
/* Whether all ports of the allocation are free at this moment; the sentence names the port that is taken. */
int task_launch_probe_ports(const struct allocation *a, const char *bind_ip, struct err *e);

#endif
