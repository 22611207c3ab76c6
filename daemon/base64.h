/*
 * base64: binary data in the frames of followed files, logs and the monitor (RFC 4648, with padding).
 */
#ifndef DAEMON_BASE64_H
#define DAEMON_BASE64_H

#include "base/buf.h"

void base64_put(struct buf *b, const void *p, size_t n);

#endif
