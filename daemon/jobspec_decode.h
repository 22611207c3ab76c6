/*
 * jobspec_decode: from a syntax tree to the structs of base/model.h, by their field tables. Blocks, `dynamic` ones too,
 * are in jobspec_block.c, free-form data (driver config, scaling policies) in jobspec_data.c, and what the language
 * writes differently from the tables (ports, constraint shorthands, vault, ...) is one entry of a table each in
 * jobspec_special.c.
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

struct expanded { /* a block as it stands in a file, or as `dynamic` makes it */
	const char *type;
	const char *const *labels;
	uint32_t n_labels;
	const struct hcl_body *body;
	const struct hcl_scope *scope;
	struct hcl_range range; /* of the header */
};
typedef void block_fn(struct decoder *d, const struct type *t, void *obj, const struct expanded *b);

/* Fills in obj from body; problems are collected in d->h. */
void decode_body(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope);

/* Calls fn for each block of the body, `dynamic` ones expanded. */
void block_each(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope,
    block_fn *fn);
/* False after an error when the block has another number of labels. */
bool block_labels_fit(struct decoder *d, const struct expanded *b, uint32_t wanted);
/* The place of the block's type, without its labels. */
struct hcl_range block_type_range(const struct expanded *b);
void block_duplicate(struct decoder *d, const struct expanded *b); /* an error: only one is allowed */

/* A body as data: blocks of one type become a list of maps, each label one map deeper. */
struct value *data_body(struct decoder *d, const struct hcl_body *body, const struct hcl_scope *scope);

/* What the tables do not say. False: not special. */
bool special_block(struct decoder *d, const struct type *t, void *obj, const struct expanded *b);
bool special_body(struct decoder *d, const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope);
/* Their names, for suggestions; NULL after the last. */
const char *special_name(const struct type *t, bool block, size_t i);
/* After a body was decoded: what the language itself fills in. */
void special_finish(struct decoder *d, const struct type *t, void *obj);
void special_vault(struct vault *v); /* its defaults */

bool decode_knows_block(const struct type *t, const char *name);
/* An error: the type has no such argument or block. Names the nearest one. */
void decode_unknown(struct decoder *d, const struct type *t, const char *name, struct hcl_range at, bool block);
/* "Unsuitable value type; Unsuitable value: <what>" */
void decode_unsuitable(struct decoder *d, struct hcl_range at, const char *what);
/* A value as a string in the job's arena; NULL after an error. */
const char *decode_string(struct decoder *d, struct hcl_value *v, struct hcl_range at);
bool decode_strings(struct decoder *d, struct strs *out, struct hcl_value *v, struct hcl_range at);

#endif
