#include "agent/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "base/clock.h"

enum { REMEMBERED = 16 };

static struct memory {
	char name[64];
	struct user user;
	int64_t until; /* monotonic */
} memories[REMEMBERED];

static int look_up(const char *name, struct user *out, struct err *e)
{
	struct passwd pw, *found = NULL;
	char text[16384];
	int r = getpwnam_r(name, &pw, text, sizeof(text), &found);

	if (r != 0 && r != ENOENT && r != ESRCH)
		return err_set(e, -EAGAIN, "user \"%s\" cannot be looked up: %s", name, strerror(r));
	if (!found)
		return err_set(e, -ENOENT, "user \"%s\" does not exist on this machine", name);
	*out = (struct user){.uid = pw.pw_uid, .gid = pw.pw_gid, .n_groups = USER_GROUPS};
	if (getgrouplist(name, pw.pw_gid, out->groups, &out->n_groups) < 0)
		out->n_groups = USER_GROUPS;
	return 0;
}

int user_find(const char *name, struct user *out, struct err *e)
{
	int64_t now = clock_monotonic();
	struct memory *m = &memories[0];

	for (size_t i = 0; i < REMEMBERED; i++) {
		if (str_eq(memories[i].name, name) && memories[i].until > now) {
			*out = memories[i].user;
			return 0;
		}
		if (memories[i].until < m->until)
			m = &memories[i];
	}
	struct user u;
	int r = look_up(name, &u, e);

	if (r < 0)
		return r;
	if (geteuid() != 0 && u.uid != geteuid())
		return err_set(e, -EPERM, "user = \"%s\": the agent does not run as root, so tasks run as its own user", name);
	if (strlen(name) < sizeof(m->name)) {
		snprintf(m->name, sizeof(m->name), "%s", name);
		m->user = u;
		m->until = now + MINUTE;
	}
	*out = u;
	return 0;
}
