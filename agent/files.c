#include "agent/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"

static const char *const escapes = "Path escapes the alloc directory";

/* Kernels before 5.6 have no openat2: every component is opened without following links. */
static int open_by_hand(int root, const char *path, int flags)
{
	cleanup_free char *copy = xstrdup(path);
	int at = fcntl(root, F_DUPFD_CLOEXEC, 0);

	for (char *rest = copy, *part; at >= 0 && (part = strsep(&rest, "/"));) {
		if (!*part || str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			close(at);
			errno = EXDEV;
			return -1;
		}
		bool last = !rest || !*rest;
		int next = openat(at, part, last ? flags | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		close(at);
		at = next;
	}
	return at;
}

static int open_beneath(int root, const char *path, int flags)
{
	struct open_how how = {
	    .flags = (uint64_t)(unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (fd < 0 && errno == ENOSYS)
		fd = open_by_hand(root, path, flags);
	return fd;
}

/* What was opened, whatever links led there: <task>/secrets is for the task alone. */
static bool is_secret(const char *alloc_dir, int fd)
{
	char link[40], real[4096], top[4096];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, real, sizeof(real) - 1);

	if (n < 0 || !realpath(alloc_dir, top))
		return true;
	real[n] = 0;
	if (!str_starts(real, top))
		return true;
	const char *rest = real + strlen(top);

	rest += *rest == '/';
	const char *second = strchr(rest, '/');

	return second && str_starts(second, "/secrets") && (second[8] == '/' || !second[8]);
}

static int open_path(const char *alloc_dir, const char *path, int flags, const char *what, int *out, struct err *e)
{
	cleanup_close int root = open(alloc_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_set(e, -errno, "open %s: %s", alloc_dir, strerror(errno));
	while (path && *path == '/')
		path++;
	if (str_empty(path))
		path = ".";
	cleanup_close int fd = open_beneath(root, path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		if (errno == EXDEV || errno == ELOOP)
			return err_set(e, -EACCES, "%s", escapes);
		if (errno == ENOTDIR && (flags & O_DIRECTORY))
			return err_set(e, -ENOTDIR, "readdirent %s/%s: not a directory", alloc_dir, path);
		if (errno == ENOENT)
			return err_set(e, -EINVAL, "%s %s/%s: no such file or directory", what, alloc_dir, path);
		return err_set(e, -errno, "%s %s/%s: %s", what, alloc_dir, path, strerror(errno));
	}
	if (is_secret(alloc_dir, fd))
		return err_set(e, -EACCES, "Reading secret file prohibited: %s", path);
	*out = fd;
	fd = -1;
	return 0;
}

int files_open(const char *alloc_dir, const char *path, int *fd, struct err *e)
{
	struct stat st;
	int opened, r = open_path(alloc_dir, path, O_RDONLY, "open", &opened, e);

	if (r < 0)
		return r;
	if (fstat(opened, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(opened);
		return err_set(e, -EINVAL, "%s is not a regular file", path ? path : "/");
	}
	*fd = opened;
	return 0;
}

/* As Go prints a mode: "drwxr-xr-x", "-rw-r--r--", "prw-------". */
static void put_mode(struct buf *b, mode_t m)
{
	static const char letters[] = "rwxrwxrwx";

	buf_putc(b, '"');
	buf_putc(b, S_ISDIR(m) ? 'd' : S_ISFIFO(m) ? 'p' : S_ISLNK(m) ? 'L' : S_ISSOCK(m) ? 'S' : '-');
	for (int i = 0; i < 9; i++)
		buf_putc(b, m & (0400u >> i) ? letters[i] : '-');
	buf_putc(b, '"');
}

/* What the first bytes look like: enough to tell text from data. */
static const char *content_type(int fd)
{
	unsigned char head[512];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	for (ssize_t i = 0; i < n; i++)
		if (head[i] < 0x20 && !strchr("\t\n\f\r\x1b", head[i]))
			return "application/octet-stream";
	return "text/plain; charset=utf-8";
}

static void put_info(struct buf *b, const char *name, const struct stat *st, const char *type)
{
	char time[TIME_STR];

	if (type)
		buf_printf(b, "{\"ContentType\":\"%s\",\"FileMode\":", type);
	else
		buf_puts(b, "{\"FileMode\":");
	put_mode(b, st->st_mode);
	buf_printf(b, ",\"IsDir\":%s,\"ModTime\":\"%s\",\"Name\":", S_ISDIR(st->st_mode) ? "true" : "false",
	    time_format_rfc3339(st->st_mtim.tv_sec * SECOND + st->st_mtim.tv_nsec, time));
	json_put_string(b, name, strlen(name));
	buf_printf(b, ",\"Size\":%lld}", (long long)st->st_size);
}

int files_stat(const char *alloc_dir, const char *path, struct buf *json, struct err *e)
{
	struct stat st;
	int fd, r = open_path(alloc_dir, path, O_RDONLY, "stat", &fd, e);

	if (r < 0)
		return r;
	cleanup_close int held = fd;

	if (fstat(held, &st) < 0)
		return err_set(e, -errno, "stat %s: %s", path, strerror(errno));
	const char *base = str_empty(path) ? "/" : strrchr(path, '/');

	base = base && base[0] == '/' && base[1] ? base + 1 : str_empty(path) ? "/" : path;
	put_info(json, base, &st, S_ISREG(st.st_mode) ? content_type(held) : "application/octet-stream");
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int files_list(const char *alloc_dir, const char *path, struct buf *json, struct err *e)
{
	int fd, r = open_path(alloc_dir, path, O_RDONLY | O_DIRECTORY, "open", &fd, e);
	char **names = NULL;
	uint32_t n = 0, cap = 0;

	if (r < 0)
		return r;
	DIR *d = fdopendir(fd);

	for (struct dirent *entry; d && (entry = readdir(d));) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (n == cap)
			names = xrealloc(names, cap = cap ? 2 * cap : 32, sizeof(*names));
		names[n++] = xstrdup(entry->d_name);
	}
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	buf_putc(json, '[');
	for (uint32_t i = 0, put = 0; i < n; i++) {
		struct stat st;

		if (fstatat(dirfd(d), names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (put++)
				buf_putc(json, ',');
			put_info(json, names[i], &st, NULL);
		}
		free(names[i]);
	}
	buf_putc(json, ']');
	free(names);
	if (d)
		closedir(d);
	return 0;
}
