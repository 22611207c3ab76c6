/*
 * file: whole files and folders, safely. Everything that must survive a power cut goes through
 * file_write_atomic: temporary file in the same folder, fsync, rename, fsync of the folder.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends a whole regular file; -EFBIG past max bytes. out->data is a text then, "" of an empty file. */
int file_read(const char *path, size_t max, struct buf *out, struct err *e);
/* Replaces path by the given content, all or nothing. durable = also fsync file and folder. */
int file_write_atomic(const char *path, const void *p, size_t n, unsigned mode, bool durable,
    struct err *e);
int file_write_all(int fd, const void *p, size_t n); /* loops over short writes and EINTR */
int dir_make(const char *path, unsigned mode, struct err *e); /* with parents; existing is fine */
/* Removes a tree without following symbolic links and without entering what is mounted in it. */
int dir_remove(const char *path, struct err *e);
int dir_sync(const char *path, struct err *e);
int64_t dir_usage(const char *path); /* bytes used by the tree, -errno on failure */
char *path_join(const char *a, const char *b); /* owned */

#endif
