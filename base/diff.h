/*
 * diff: the structural difference between two versions of a job, as `job plan` prints it and the
 * API answers it ({Type, ID, Fields, Objects, TaskGroups}). Generic over the field tables: fields
 * with FIELD_RUN do not count. Lists of objects are matched by name where they have one, else by content.
 */
#ifndef BASE_DIFF_H
#define BASE_DIFF_H

#include "base/model.h"

enum diff_type { DIFF_NONE, DIFF_ADDED, DIFF_DELETED, DIFF_EDITED };
extern const char *const diff_type_names[]; /* "None", "Added", "Deleted", "Edited" */

struct diff_field {
	enum diff_type type;
	const char *name, *old, *new;
	struct strs annotations; /* "forces create", ... filled in by the scheduler */
};
struct diff_object { /* an object, a task group or a task */
	enum diff_type type;
	const char *name;
	struct objs fields;  /* struct diff_field */
	struct objs objects; /* struct diff_object */
	struct objs tasks;   /* struct diff_object, of a task group */
	struct intmap updates;   /* of a task group: "create" -> n, filled in by the scheduler */
	struct strs annotations; /* of a task */
};
struct job_diff {
	enum diff_type type;
	const char *id;
	struct objs fields, objects, task_groups;
};

/* Either job may be NULL (everything added, everything deleted). contextual = unchanged fields of
 * edited objects are listed too, with type None. */
struct job_diff *diff_jobs(struct arena *a, const struct job *old, const struct job *new, bool contextual);
void diff_to_json(struct buf *b, const struct job_diff *d, int indent, int depth);

#endif
