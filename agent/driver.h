/*
 * driver: runs tasks. A driver turns a task's config into something to launch and says whether it works on this
 * machine; the process itself is held by a keeper (agent/keeper.h), so that it outlives the agent.
 */
#ifndef AGENT_DRIVER_H
#define AGENT_DRIVER_H

#include "agent/keeper.h"
#include "base/err.h"
#include "base/model.h"

struct driver_task { /* what a driver gets: everything is interpolated already */
	const char *alloc_id, *task_name, *user;
	const struct task *task;
	const struct value *config;
	const struct strmap *env;
	const char *task_dir;  /* <alloc>/<task> */
	struct resources *resources;
};

struct driver_ops {
	const char *name;
	/* Fills in detected, healthy and attributes ("driver.raw_exec" = "1"). */
	void (*fingerprint)(struct driver_info *out, struct arena *a, bool enabled);
	/* Checks the config alone (also used by job validation on the client): sentence names key and fix. */
	int (*validate)(const struct value *config, struct err *e);
	/* Fills command, args, working folder, ... of the spec from the config; -ENOENT and friends are
	 * unrecoverable start errors (no restart helps). */
	int (*prepare)(const struct driver_task *t, struct keeper_spec *spec, struct arena *a, struct err *e);
};

extern const struct driver_ops driver_raw_exec;
/* Drivers by name; NULL-terminated table. */
extern const struct driver_ops *const drivers[];
const struct driver_ops *driver_find(const char *name);

#endif
