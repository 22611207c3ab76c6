/*
 * util: the few helpers every file may use: allocation that dies on exhaustion, scope-bound
 * cleanup, and small macros. Out of memory is not an error anybody handles: the process dies
 * with a line on stderr.
 */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define MIN(a, b)                 ((a) < (b) ? (a) : (b))
#define MAX(a, b)                 ((a) > (b) ? (a) : (b))
#define PRINTF(fmt, args)         __attribute__((format(printf, fmt, args)))
#define UNUSED                    __attribute__((unused))
#define NORETURN                  __attribute__((noreturn))
#define MUST_CHECK                __attribute__((warn_unused_result))

#define SECOND  INT64_C(1000000000) /* all durations and instants are int64_t nanoseconds */
#define MILLI   INT64_C(1000000)
#define MINUTE  (60 * SECOND)
#define HOUR    (60 * MINUTE)
#define NEVER   INT64_MAX /* a deadline that does not come */

/* Allocation. Never returns NULL; xcalloc and xrealloc check for overflow of n * size. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);
NORETURN void die(const char *fmt, ...) PRINTF(1, 2);

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static inline bool str_empty(const char *s)
{
	return !s || !*s;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static inline const char *str_or(const char *s, const char *unset)
{
	return s ? s : unset;
}

/* Scope-bound cleanup: `cleanup_free char *s = ...;`. STEAL hands the value on. */
static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}
static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void cleanup_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define CLEANUP(fn)    __attribute__((cleanup(fn)))
#define cleanup_free   CLEANUP(cleanup_freep)
#define cleanup_close  CLEANUP(cleanup_closep)
#define cleanup_fclose CLEANUP(cleanup_fclosep)
#define STEAL(p)                                                                                   \
	({                                                                                         \
		__typeof__(p) steal_ = (p);                                                        \
		(p) = (__typeof__(p))0;                                                            \
		steal_;                                                                            \
	})

#endif
