/*
 * alloc_dir: the folders of one allocation below the client's alloc_dir:
 *   <alloc>/alloc/{data,logs,tmp}            shared by its tasks
 *   <alloc>/<task>/{local,secrets,tmp}       of one task; secrets is 0700
 * The <alloc> folder itself is 0711: people on the machine cannot list it. Folders of a task belong to the task's
 * user when the agent may give them away.
 */
#ifndef AGENT_ALLOC_DIR_H
#define AGENT_ALLOC_DIR_H

#include "base/err.h"

struct alloc_paths { /* of one task; owned, see alloc_paths_free */
	char *alloc, *shared, *logs, *task, *local, *secrets;
};

/* -EINVAL for a task name that is no plain file name. */
int alloc_paths_init(struct alloc_paths *p, const char *alloc_dir, const char *alloc_id, const char *task, struct err *e);
void alloc_paths_free(struct alloc_paths *p);

/* Makes what is missing; existing folders keep their content. user: NULL = the agent's own. */
int alloc_dir_make_shared(const char *alloc_dir, const char *alloc_id, struct err *e);
int alloc_dir_make_task(const struct alloc_paths *p, const char *user, struct err *e);

/* Ids and names come from outside: one path component, no dots alone, no slash, at most 255 bytes. */
bool alloc_dir_name_ok(const char *name);

#endif
