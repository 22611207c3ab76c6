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

enum { LIST_MAX = 20000 }; /* entries of a folder in one answer */

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
	struct stat st;

	if (at >= 0 && (fstat(at, &st) < 0 || S_ISLNK(st.st_mode))) {
		close(at);
		errno = ELOOP;
		return -1;
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

/* What was found, whatever links led there: <task>/secrets is for the task alone. */
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

	return second && !str_starts(rest, "alloc/") && str_starts(second, "/secrets") && (second[8] == '/' || !second[8]);
}

/* Finds what is at a path without opening it: opening a pipe or a device does something to it. An O_PATH descriptor. */
static int find(const char *alloc_dir, const char *path, const char *what, int *out, struct err *e)
{
	cleanup_close int root = open(alloc_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_set(e, -errno, "open %s: %s", alloc_dir, strerror(errno));
	while (path && *path == '/')
		path++;
	if (str_empty(path))
		path = ".";
	cleanup_close int fd = open_beneath(root, path, O_PATH | O_CLOEXEC);

	if (fd < 0) {
		if (errno == EXDEV || errno == ELOOP)
			return err_set(e, -EACCES, "%s", escapes);
		if (errno == ENOENT || errno == ENOTDIR)
			return err_set(e, -EINVAL, "%s %s/%s: %s", what, alloc_dir, path,
			    errno == ENOENT ? "no such file or directory" : "not a directory");
		return err_set(e, -errno, "%s %s/%s: %s", what, alloc_dir, path, strerror(errno));
	}
	if (is_secret(alloc_dir, fd))
		return err_set(e, -EACCES, "Reading secret file prohibited: %s", path);
	*out = fd;
	fd = -1;
	return 0;
}

/* What find() found, open for reading. */
static int reopen(int found, int flags)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
	return open(link, O_RDONLY | O_CLOEXEC | flags);
}

int files_open(const char *alloc_dir, const char *path, int *fd, struct err *e)
{
	struct stat st;
	int r, opened;
	cleanup_close int found = -1;

	if ((r = find(alloc_dir, path, "stat", &found, e)) < 0)
		return r;
	if (fstat(found, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "file \"%s\" is a directory", path ? path : "/");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "file \"%s\" is a device, pipe or socket", path);
	opened = reopen(found, 0);
	if (opened < 0)
		return err_set(e, -errno, "open %s/%s: %s", alloc_dir, path, strerror(errno));
	*fd = opened;
	return 0;
}

int files_open_folder(const char *alloc_dir, const char *path, int *fd, struct err *e)
{
	int r, opened;
	cleanup_close int found = -1;

	if ((r = find(alloc_dir, path, "open", &found, e)) < 0)
		return r;
	opened = reopen(found, O_DIRECTORY);
	if (opened < 0 && errno == ENOTDIR)
		return err_set(e, -ENOTDIR, "readdirent %s/%s: not a directory", alloc_dir, path);
	if (opened < 0)
		return err_set(e, -errno, "open %s/%s: %s", alloc_dir, path, strerror(errno));
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
static const char *content_type(int found, const struct stat *st)
{
	unsigned char head[512];
	cleanup_close int fd = S_ISREG(st->st_mode) ? reopen(found, 0) : -1;
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);

	if (n < 0)
		return "application/octet-stream";
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
	cleanup_close int found = -1;
	int r = find(alloc_dir, path, "stat", &found, e);

	if (r < 0)
		return r;
	if (fstat(found, &st) < 0)
		return err_set(e, -errno, "stat %s: %s", path, strerror(errno));
	const char *base = str_empty(path) ? "/" : strrchr(path, '/');

	base = base && base[0] == '/' && base[1] ? base + 1 : str_empty(path) ? "/" : path;
	put_info(json, base, &st, content_type(found, &st));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder, sorted, each and the list owned. */
static int read_names(DIR *d, char ***names, uint32_t *n)
{
	uint32_t cap = 0;

	for (struct dirent *entry; (entry = readdir(d));) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (*n == LIST_MAX)
			return -E2BIG;
		if (*n == cap)
			*names = xrealloc(*names, cap = cap ? 2 * cap : 32, sizeof(**names));
		(*names)[(*n)++] = xstrdup(entry->d_name);
	}
	if (*n)
		qsort(*names, *n, sizeof(**names), by_name);
	return 0;
}

int files_list(const char *alloc_dir, const char *path, struct buf *json, struct err *e)
{
	char **names = NULL;
	uint32_t n = 0;
	int fd, r = files_open_folder(alloc_dir, path, &fd, e);

	if (r < 0)
		return r;
	DIR *d = fdopendir(fd);

	r = read_names(d, &names, &n);
	buf_putc(json, '[');
	for (uint32_t i = 0, put = 0; i < n; i++) {
		struct stat st;

		if (r == 0 && fstatat(dirfd(d), names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (put++)
				buf_putc(json, ',');
			put_info(json, names[i], &st, NULL);
		}
		free(names[i]);
	}
	buf_putc(json, ']');
	free(names);
	closedir(d);
	if (r < 0)
		return err_set(e, r, "%s holds more than %d entries; list a folder in it", path, LIST_MAX);
	return 0;
}
