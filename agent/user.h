/*
 * user: who a task runs as, in numbers. The name service may be slow or away, and it is asked from the loop: answers are
 * remembered for a minute.
 */
#ifndef AGENT_USER_H
#define AGENT_USER_H

#include <sys/types.h>

#include "base/err.h"

#define USER_GROUPS 64

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS];
	int n_groups;
};

/* -ENOENT: there is no such user; -EPERM: the agent is an ordinary user and the name is not its own. */
int user_find(const char *name, struct user *out, struct err *e);

#endif
