/*
 * files: what fs/ls, fs/stat, fs/cat, fs/readat, fs/stream and fs/logs read from an allocation's folder. Paths from
 * outside never leave that folder: they are resolved beneath it (openat2 RESOLVE_BENEATH, or by hand where the kernel
 * lacks it), and secrets folders are refused.
 */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include "base/buf.h"
#include "base/err.h"

struct event_base;

/* JSON as the API answers it: [AllocFileInfo] and AllocFileInfo. */
int files_list(const char *alloc_dir, const char *path, struct buf *json, struct err *e);
int files_stat(const char *alloc_dir, const char *path, struct buf *json, struct err *e);
/* Opens a regular file (-EISDIR, -EINVAL for others) or a folder for reading; the caller closes. */
int files_open(const char *alloc_dir, const char *path, int *fd, struct err *e);
int files_open_folder(const char *alloc_dir, const char *path, int *fd, struct err *e);

/* A stream over one file, or over the rotated files of a task's output in order. Bounded: it reads when the
 * consumer asks, and watches by inotify while it follows. */
struct file_stream;
struct file_stream_config {
	const char *alloc_dir;
	const char *path;        /* of one file, or NULL for logs */
	const char *task, *type; /* logs: task and "stdout" or "stderr" */
	bool follow;
	int64_t offset;
	int64_t limit;           /* bytes after which the stream ends; 0 = none */
	bool from_end;           /* offset counts back from the end */
	int64_t lines;           /* > 0: begin with the last so many lines, at most 1 MiB back; offset does not count */
	bool (*live)(void *arg); /* follow: false once the task ended and everything was read -> the stream ends */
	void *live_arg;
};
enum file_stream_what { FILE_STREAM_DATA, FILE_STREAM_TRUNCATED, FILE_STREAM_DELETED, FILE_STREAM_END, FILE_STREAM_ERROR };
struct file_stream_event {
	enum file_stream_what what;
	const void *p; /* DATA */
	size_t n;
	int64_t offset;    /* in `file`, after p: where a reader would go on */
	const char *file;  /* relative path */
	const char *error; /* ERROR */
};
/* fn is called from the loop. It returns false to pause; file_stream_resume continues. */
typedef bool file_stream_fn(void *arg, const struct file_stream_event *ev);
int file_stream_open(struct event_base *base, const struct file_stream_config *c, file_stream_fn *fn, void *arg,
    struct file_stream **out, struct err *e);
void file_stream_resume(struct file_stream *s);
void file_stream_close(struct file_stream *s);

#endif
