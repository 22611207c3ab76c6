/*
 * state_file: the course on disk, so that a restart goes on where the last one was: one JSON object, replaced as a whole,
 * readable by its owner alone. Times are RFC 3339. It holds no secret.
 */
#ifndef PACKAGING_SCALE_IN_STATE_FILE_H
#define PACKAGING_SCALE_IN_STATE_FILE_H

#include "base/buf.h"
#include "packaging/scale-in/course.h"

/* Fills in a course that course_init() made. -ENOENT: there is no file; -EINVAL: it is not one of these. */
int state_file_read(const char *path, struct course *out, struct err *e);
void state_file_put(struct buf *out, const struct course *c);
int state_file_write(const char *path, const struct buf *text, struct err *e);

#endif
