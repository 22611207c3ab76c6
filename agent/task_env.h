/*
 * task_env: what a task sees of its surroundings: the NOMAD_* variables, the job file's `env`, the agent's own
 * environment without its secrets; and the interpolation of ${...} in strings of the job file. Everything is built in
 * the caller's arena; nothing here touches files or processes.
 */
#ifndef AGENT_TASK_ENV_H
#define AGENT_TASK_ENV_H

#include "base/model.h"

struct task_env_source {
	const struct allocation *alloc; /* its .job is not read */
	const struct job *job;
	const struct task_group *group;
	const struct task *task; /* NULL: what the group as a whole has */
	const struct node *node;
	const char *region;
	const char *alloc_dir, *task_dir, *secrets_dir; /* as the task sees them */
	const char *parent_cgroup;                      /* "" when there is none */
	const char *bind_ip;           /* address of ports that name none */
	const char *const *host_env;   /* "K=V" of the agent, NULL-terminated; NULL = none */
	const char *env_denylist;      /* comma-separated names, * at the end allowed; NULL = the default list */
};

/* The whole environment of the task: agent's, then NOMAD_*, then the job file's `env` (interpolated; it wins over the
 * agent's variables, but not over NOMAD_*). */
void task_env_build(const struct task_env_source *src, struct arena *a, struct strmap *out);

/* Replaces ${NOMAD_X}, ${K} of env, ${env["K"]}, ${attr.x}, ${meta.x}, ${node.datacenter}, ... What is not known stays
 * as it was written, so that a shell still sees its own ${HOME}. Returns s itself when there is nothing to replace. */
const char *task_env_expand(const struct strmap *env, const struct node *node, const char *s, struct arena *a);
struct value *task_env_expand_value(const struct strmap *env, const struct node *node, const struct value *v,
    struct arena *a);
/* Value of one target without ${}: "node.class", "attr.kernel.name"; NULL when unknown. */
const char *task_env_node_target(const struct node *node, const char *target);
/* Merged meta of job, group and task; the narrower wins. */
void task_env_meta(const struct job *j, const struct task_group *g, const struct task *t, struct arena *a,
    struct strmap *out);

#endif
