/*
 * err: an error is a code plus a sentence. Functions that can fail for a reason a person will
 * read take a `struct err *` (may be NULL: the caller does not care for the sentence) and return
 * the same negative errno. Each layer wraps once: `err_wrap(e, "job \"%s\"", id)` gives
 * "job \"web\": ...". Only the top logs.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/util.h"

struct err {
	int code;  /* negative errno, 0 = no error */
	char *msg; /* owned, NULL when no error */
};

#define ERR_INIT ((struct err){0})

/* Sets code and sentence (replacing an earlier one) and returns code, which must be negative. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);
/* Puts "<text>: " before the sentence; returns the code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);
/* The sentence, or strerror(-code), never NULL. */
const char *err_str(const struct err *e);
void err_clear(struct err *e);
#define cleanup_err CLEANUP(err_clear)

#endif
