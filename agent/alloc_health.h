/*
 * alloc_health: whether an allocation of a service with an update block is healthy: all its tasks have run for
 * min_healthy_time without a restart (healthy), or one has failed or healthy_deadline has passed (unhealthy). Said
 * once; judged by task states (health_check = "task_states").
 */
#ifndef AGENT_ALLOC_HEALTH_H
#define AGENT_ALLOC_HEALTH_H

struct alloc_run;

void alloc_health_init(struct alloc_run *a);
/* After every change of a task. */
void alloc_health_step(struct alloc_run *a);

#endif
