/*
 * pattern: regular expressions that strangers write, over texts that strangers write: the work of a match is bounded,
 * and one that takes more does not match.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "base/err.h"

struct pattern;

/* NULL with "error parsing regexp: ..." for what is none, or is longer than 4096 characters. */
struct pattern *pattern_new(const char *text, struct err *e);
void pattern_free(struct pattern *p); /* NULL is fine */
/* Whether it matches anywhere in the text. A pattern that took more than it may a hundred times matches nothing any more: lists
 * are long. */
bool pattern_matches(struct pattern *p, const char *text);

#endif
