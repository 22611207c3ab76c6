/*
 * alloc_services: what the services of one allocation are to be in Consul: names, tags, addresses, checks, all filled in.
 * Pure: the allocation, its job and its node go in, registrations come out. The client registers them, the servers compare
 * them with the catalog (daemon/audit.h), so both read the same words of a job file in the same way.
 *
 * Names, ids and fields are those that Nomad gives, so that what watches Consul sees no difference; the marks of
 * discovery/services.h come on top.
 */
#ifndef AGENT_ALLOC_SERVICES_H
#define AGENT_ALLOC_SERVICES_H

#include "base/model.h"
#include "discovery/consul.h"

struct services_source {
	const struct allocation *alloc; /* its .job is not read */
	const struct job *job;
	const struct task_group *group;
	const struct node *node;
	const char *region;
	const char *bind_ip;   /* address of ports that name none */
	const char *alloc_dir; /* of the client; NULL where that is not known: what names it stays as it is written */
};

struct wanted_check {
	const struct check *spec;
	struct consul_check_registration *reg; /* one of its service's; has its id */
	const char *task; /* that a script runs in and that a failing check restarts; NULL: every task */
	const char *command; /* of a script, filled in */
	struct strs args;
	const struct check_restart *restart; /* NULL: none */
};

struct wanted_service {
	const struct service *spec;
	const char *id, *name; /* filled in */
	const char *task; /* NULL: of the group */
	struct consul_service_registration *reg;
	struct objs checks;  /* struct wanted_check, as reg->checks */
	const char *problem; /* a sentence: it cannot be registered; reg is NULL. Else NULL */
};

/* The group's services, then those of the tasks, each in the order of the job file. Strings are shared with the source. */
void alloc_services(const struct services_source *src, struct arena *a, struct objs *out);

enum task_stand {
	TASK_IS_UP,   /* runs, and is to go on */
	TASK_IS_DONE, /* has ended well */
	TASK_IS_DOWN,
};
/* Whether a service is to stand, by its tasks: its own one is up; of a group's service that names none, a main task is up and
 * no other one is down. */
bool alloc_services_stand(const struct task_group *g, const struct wanted_service *w,
    enum task_stand (*of)(void *arg, const char *task), void *arg);

/* ---- for agent/alloc_checks.c ---- */

struct services_scope { /* what stands around a service: its variables and its ports */
	const struct services_source *src;
	const char *task;
	struct strmap env;
	struct arena *arena;
};
const char *services_fill(const struct services_scope *s, const char *text); /* "" for NULL */
/* Where a port is, as address_mode says. -ENOENT and others with a sentence. No label: the allocation's own address and
 * port 0. Outputs are of the arena. */
int services_place(const struct services_scope *s, const char *mode, const char *label, const char **ip, int64_t *port,
    struct err *e);
/* Adds the checks of a service to it and to its registration. Returns NULL or what is wrong. */
const char *services_add_checks(const struct services_scope *s, struct wanted_service *w);

#endif
