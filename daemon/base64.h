/*
 * base64: binary data in the frames of followed files, logs and the monitor (RFC 4648, with padding).
 */
#ifndef DAEMON_BASE64_H
#define DAEMON_BASE64_H

#include "base/buf.h"

void base64_put(struct buf *b, const void *p, size_t n);
/* The bytes of n digits. -EINVAL when they are no base64: out then holds what came before. */
int base64_take(struct buf *out, const char *s, size_t n);

#endif
