/*
 * jobspec_decode: from a syntax tree to the structs of base/model.h, by their field tables. What the language writes
 * differently from the table (ports, constraint shorthands, driver config, ...) is one entry of a table each.
 */
#ifndef DAEMON_JOBSPEC_DECODE_H
#define DAEMON_JOBSPEC_DECODE_H

#include "base/hcl.h"
#include "base/model.h"

struct decoder {
	struct hcl *h;
	struct arena *arena; /* of the job */
	struct vault *job_vault, *group_vault; /* handed down to tasks that have none */
	struct objs lone_tasks;                /* tasks directly below the job */
};

/* Fills in obj from body; problems are collected in d->h. */
void decode_body(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope);
/* Attributes as a map of strings: meta, env. */
void decode_map_body(struct decoder *d, struct strmap *out, const struct hcl_body *body, const struct hcl_scope *scope);

#endif
