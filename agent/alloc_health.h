/*
 * alloc_health: whether an allocation of a service with an update block is healthy: all its tasks have run for
 * min_healthy_time without a restart (healthy), or one has failed or healthy_deadline has passed (unhealthy). With
 * health_check = "checks", the default, its services must also have been registered and their checks passing for that time, as
 * their on_update says; while Consul cannot be asked, the deadline waits. "manual": nothing is said here. Said once. One that
 * replaces an allocation on a draining node is judged by the migrate block instead.
 */
#ifndef AGENT_ALLOC_HEALTH_H
#define AGENT_ALLOC_HEALTH_H

struct alloc_run;

void alloc_health_init(struct alloc_run *a);
/* After every change of a task, a service or a check. */
void alloc_health_step(struct alloc_run *a);

#endif
