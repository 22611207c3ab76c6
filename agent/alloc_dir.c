#include "agent/alloc_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include "base/file.h"

bool alloc_dir_name_ok(const char *name)
{
	return !str_empty(name) && strlen(name) <= 255 && !strchr(name, '/') && !str_eq(name, ".") &&
	       !str_eq(name, "..");
}

int alloc_paths_init(struct alloc_paths *p, const char *alloc_dir, const char *alloc_id, const char *task, struct err *e)
{
	if (!alloc_dir_name_ok(alloc_id) || !alloc_dir_name_ok(task) || str_eq(task, "alloc"))
		return err_set(e, -EINVAL, "\"%s\" cannot be a folder's name; a task's name is one path component, and not \"alloc\"",
		    task ? task : "");
	p->alloc = xasprintf("%s/%s", alloc_dir, alloc_id);
	p->shared = xasprintf("%s/alloc", p->alloc);
	p->logs = xasprintf("%s/logs", p->shared);
	p->task = xasprintf("%s/%s", p->alloc, task);
	p->local = xasprintf("%s/local", p->task);
	p->secrets = xasprintf("%s/secrets", p->task);
	return 0;
}

void alloc_paths_free(struct alloc_paths *p)
{
	char **all[] = { &p->alloc, &p->shared, &p->logs, &p->task, &p->local, &p->secrets };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		free(*all[i]);
		*all[i] = NULL;
	}
}

/* mkdir with the mode as given, whatever the umask; an existing folder is fine, anything else in its place is not. */
static int make(const char *path, unsigned mode, uid_t uid, gid_t gid, struct err *e)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		if (chmod(path, mode) == 0 && (uid == (uid_t)-1 || chown(path, uid, gid) == 0))
			return 0;
		return err_set(e, -errno, "cannot set mode and owner of %s: %s", path, strerror(errno));
	}
	if (errno != EEXIST)
		return err_set(e, -errno, "cannot make the folder %s: %s", path, strerror(errno));
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "%s is in the way: expected a folder", path);
	return 0;
}

int alloc_dir_make_shared(const char *alloc_dir, const char *alloc_id, struct err *e)
{
	/* Tasks of one allocation may run as different users, hence 0777 below the folder nobody else can list. */
	static const struct {
		const char *name;
		unsigned mode;
	} dirs[] = { { "", 0711 }, { "/alloc", 0777 }, { "/alloc/data", 0777 }, { "/alloc/logs", 0777 },
		{ "/alloc/tmp", 0777 } };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		cleanup_free char *path = xasprintf("%s/%s%s", alloc_dir, alloc_id, dirs[i].name);
		int r = make(path, dirs[i].mode, (uid_t)-1, (gid_t)-1, e);

		if (r)
			return r;
	}
	return 0;
}

static int find_user(const char *user, uid_t *uid, gid_t *gid, struct err *e)
{
	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (str_empty(user))
		return 0;
	errno = 0;
	const struct passwd *pw = getpwnam(user);

	if (!pw)
		return err_set(e, -ENOENT, "user \"%s\" does not exist on this machine", user);
	if (geteuid() == 0) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	} else if (pw->pw_uid != geteuid()) {
		return err_set(e, -EPERM, "user = \"%s\": the agent does not run as root, so tasks run as its own user", user);
	}
	return 0;
}

int alloc_dir_make_task(const struct alloc_paths *p, const char *user, struct err *e)
{
	uid_t uid;
	gid_t gid;
	int r = find_user(user, &uid, &gid, e);

	if (r)
		return r;
	cleanup_free char *tmp = xasprintf("%s/tmp", p->task);
	const struct {
		const char *path;
		unsigned mode;
	} dirs[] = { { p->task, 0755 }, { p->local, 0755 }, { p->secrets, 0700 }, { tmp, 0777 } };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if ((r = make(dirs[i].path, dirs[i].mode, uid, gid, e)))
			return r;
	return 0;
}
