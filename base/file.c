/* file: whole files and folders. Holds no state; every descriptor is closed before it returns. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Folders deeper than this are first moved up, so that a tree of any depth can be removed. */
#define MAX_DEPTH 64

static int fail(struct err *e, const char *what, const char *path)
{
	int code = -errno;

	return err_set(e, code, "cannot %s %s: %s", what, path, strerror(-code));
}

int file_read(const char *path, size_t max, struct buf *out, struct err *e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_buf struct buf b = BUF_INIT;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(e, "read", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
		    "cannot read %s: it is %s, not a regular file", path,
		    S_ISDIR(st.st_mode) ? "a folder" : "a device, pipe or socket");
	if (st.st_size > 0 && (size_t)st.st_size > max)
		return err_set(e, -EFBIG, "%s is larger than the %zu bytes that are allowed here",
		    path, max);
	for (;;) {
		/* Files of /proc say 0, and a file may grow meanwhile. */
		char *to = buf_room(&b, b.len ? 4096 : (size_t)st.st_size + 1024);
		ssize_t n = read(fd, to, b.cap - b.len - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(e, "read", path);
		if (!n)
			break;
		b.len += (size_t)n;
		b.data[b.len] = 0;
		if (b.len > max)
			return err_set(e, -EFBIG,
			    "%s is larger than the %zu bytes that are allowed here", path, max);
	}
	char *end = buf_room(out, b.len + 1);

	if (end)
		*end = 0; /* a text also when there is nothing in it */
	buf_put(out, b.data, b.len);
	return 0;
}

int file_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t did = write(fd, at, n);

		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			return -errno;
		at += did;
		n -= (size_t)did;
	}
	return 0;
}

/* The folder of a path, owned. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int write_temp(int fd, const void *p, size_t n, unsigned mode, bool durable)
{
	int r = file_write_all(fd, p, n);

	if (!r && fchmod(fd, mode) < 0)
		r = -errno;
	if (!r && durable && fsync(fd) < 0)
		r = -errno;
	/* Some file systems report a full disk only here. */
	if (close(fd) < 0 && !r)
		r = -errno;
	return r;
}

int file_write_atomic(const char *path, const void *p, size_t n, unsigned mode, bool durable,
    struct err *e)
{
	cleanup_free char *temp = xasprintf("%s.tmp.XXXXXX", path);
	cleanup_free char *folder = parent_of(path);
	int fd = mkostemp(temp, O_CLOEXEC);
	int r;

	if (fd < 0)
		return fail(e, "write", path);
	r = write_temp(fd, p, n, mode, durable);
	if (!r && rename(temp, path) < 0)
		r = -errno;
	if (r) {
		unlink(temp);
		return err_set(e, r, "cannot write %s: %s", path, strerror(-r));
	}
	return durable ? dir_sync(folder, e) : 0;
}

static int make_one(const char *path, unsigned mode, struct err *e)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return fail(e, "make the folder", path);
	if (stat(path, &st) < 0)
		return fail(e, "make the folder", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(
		    e, -ENOTDIR, "cannot make the folder %s: a file of this name is there", path);
	return 0;
}

int dir_make(const char *path, unsigned mode, struct err *e)
{
	cleanup_free char *part = xstrdup(path);

	for (char *p = part + 1; *part && *p; p++) {
		int r;

		if (*p != '/' || p[-1] == '/')
			continue;
		*p = 0;
		r = make_one(part, mode, e);
		if (r)
			return r;
		*p = '/';
	}
	return make_one(path, mode, e);
}

int dir_sync(const char *path, struct err *e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fail(e, "sync the folder", path);
	return 0;
}

struct removal {
	dev_t dev;
	int top;        /* descriptor of the tree's root */
	unsigned moved; /* folders that were moved up */
};

static int remove_content(struct removal *rm, int fd, unsigned depth);

/* Not into what is mounted there, which may be a folder of this very file system. Kernels before 5.6 cannot tell that one. */
static int open_unmounted(int at, const char *name, int flags)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)flags, .resolve = at == AT_FDCWD ? 0 : RESOLVE_NO_XDEV};
	int fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));

	return fd < 0 && errno == ENOSYS ? openat(at, name, flags) : fd;
}

/* Opens a folder for removal; one that its owner has locked against itself is unlocked. */
static int open_folder(int at, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;
	int fd = open_unmounted(at, name, flags);

	if (fd < 0 && errno == EACCES) {
		cleanup_close int path_fd = open_unmounted(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		char link[64];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
		if (path_fd < 0 || chmod(link, 0700) < 0)
			return -EACCES;
		fd = open_unmounted(at, name, flags);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)!fchmod(fd, 0700);
	return fd;
}

static int remove_folder(struct removal *rm, int at, const char *name, unsigned depth)
{
	cleanup_close int fd = open_folder(at, name);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != rm->dev)
		return -EXDEV;
	if (depth >= MAX_DEPTH) {
		char up[32];

		snprintf(up, sizeof(up), ".removed-%u", rm->moved++);
		return renameat(at, name, rm->top, up) < 0 ? -errno : 0;
	}
	r = remove_content(rm, fd, depth + 1);
	if (r)
		return r;
	return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Goes on after a failure, so that as much as possible is gone; returns the first failure. */
static int remove_content(struct removal *rm, int fd, unsigned depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *item;
	int first = 0;

	if (!dir) {
		first = -errno;
		if (copy >= 0)
			close(copy);
		return first;
	}
	while ((item = readdir(dir))) {
		int r = 0;

		if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, item->d_name, 0) < 0)
			r = errno == EISDIR || errno == EPERM
			    ? remove_folder(rm, fd, item->d_name, depth)
			    : -errno;
		if (r && r != -ENOENT && !first)
			first = r;
	}
	closedir(dir);
	return first;
}

int dir_remove(const char *path, struct err *e)
{
	cleanup_close int fd = open_folder(AT_FDCWD, path);
	struct removal rm = {.top = fd};
	struct stat st;
	int r = fd < 0 ? fd : 0;

	if (!r && fstat(fd, &st) < 0)
		r = -errno;
	if (!r) {
		unsigned before;

		rm.dev = st.st_dev;
		do {
			before = rm.moved;
			r = remove_content(&rm, fd, 0);
		} while (!r && rm.moved != before);
	}
	if (!r && rmdir(path) < 0)
		r = -errno;
	if (r)
		return err_set(e, r, "cannot remove the folder %s: %s", path,
		    r == -EXDEV ? "something is mounted below it" : strerror(-r));
	return 0;
}

int64_t dir_usage(const char *path)
{
	char *paths[] = {(char *)path, NULL};
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	int64_t total = 0;
	FTSENT *item;

	if (!walk)
		return -errno;
	while ((item = fts_read(walk))) {
		if (item->fts_level == 0 && (item->fts_info == FTS_NS || item->fts_info == FTS_DNR)) {
			total = -item->fts_errno;
			break;
		}
		if (item->fts_info != FTS_DP && item->fts_info != FTS_NS)
			total += (int64_t)item->fts_statp->st_blocks * 512;
	}
	fts_close(walk);
	return total;
}

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);

	while (*b == '/')
		b++;
	return xasprintf("%s%s%s", a, n && a[n - 1] == '/' ? "" : "/", b);
}
