#include "agent/alloc_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/user.h"
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

/* The process' umask, asked for without changing it: other threads may be making files. */
static mode_t umask_now(void)
{
	static const char key[] = "\nUmask:";
	static mode_t mask = 07777;
	struct buf text cleanup_buf = BUF_INIT;

	if (mask == 07777) {
		const char *p = file_read("/proc/self/status", 65536, &text, NULL) == 0 ? strstr(text.data, key) : NULL;

		mask = p ? (mode_t)strtoul(p + strlen(key), NULL, 8) : 0777; /* unknown: every mode is set by hand */
	}
	return mask;
}

/* mkdir with the mode as given, whatever the umask; an existing folder is fine, anything else in its place is not. */
static int make(const char *path, unsigned mode, struct err *e)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		if (!(mode & umask_now()))
			return 0;
		/* By its descriptor: a task may put a link in its place meanwhile. */
		cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && fchmod(fd, mode) == 0)
			return 0;
		return err_set(e, -errno, "cannot set the mode of %s: %s", path, strerror(errno));
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
		int r = make(path, dirs[i].mode, e);

		if (r)
			return r;
	}
	return 0;
}

/* The task's folder goes to its user last: until then nobody else can put a link where we change an owner, and a folder
 * that has its owner is known to be finished. */
int alloc_dir_make_task(const struct alloc_paths *p, const char *user, struct err *e)
{
	bool give = !str_empty(user) && geteuid() == 0;
	cleanup_free char *tmp = xasprintf("%s/tmp", p->task);
	const struct {
		const char *path;
		unsigned mode;
	} dirs[] = { { p->task, 0755 }, { p->local, 0755 }, { p->secrets, 0700 }, { tmp, 0777 } };
	struct user u = { 0 };
	struct stat st;
	int r = str_empty(user) ? 0 : user_find(user, &u, e);

	if (r)
		return r;
	if (give && lstat(p->task, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == u.uid)
		give = false;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if ((r = make(dirs[i].path, dirs[i].mode, e)))
			return r;
	for (size_t i = ARRAY_LEN(dirs); give && i-- > 0;)
		if (lchown(dirs[i].path, u.uid, u.gid) < 0)
			return err_set(e, -errno, "cannot give %s to user \"%s\": %s", dirs[i].path, user, strerror(errno));
	return 0;
}
