/*
 * gzip: bodies of answers, compressed for clients that ask for it (RFC 9110, section 12.5.3).
 */
#ifndef DAEMON_GZIP_H
#define DAEMON_GZIP_H

#include "base/buf.h"

#define GZIP_MIN 1024         /* below, compressing saves no packet */
#define GZIP_MAX (256 * 1024) /* above, it would hold up the loop for more than some milliseconds */

/* Whether an Accept-Encoding header (NULL: none) names gzip or * with a weight that is not zero. */
bool gzip_is_accepted(const char *header);
/* Appends the compressed form of `in` to `out`; false when it is not smaller, and out is as it was. */
bool gzip_put(struct buf *out, const struct buf *in);

#endif
