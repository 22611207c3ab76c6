/*
 * arena: memory that is freed all at once. Every decoded object (a job, a node, a request) lives
 * in one arena: it can be read without a thought for ownership, and it cannot leak in parts.
 * Chunks start small and double, so a small job costs about its own size.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/util.h"

struct arena;

struct arena *arena_new(void);
/* From now on what arenas of this thread give back is kept for its next ones, within bounds (about 1 MB), instead of going
 * through the heap each time: for a thread that lasts and makes many. */
void arena_keep_chunks(void);
void arena_free(struct arena *a);                    /* NULL is fine */
void *arena_alloc(struct arena *a, size_t size);     /* zeroed, aligned to 16 bytes */
void *arena_take(struct arena *a, size_t size);      /* the same, not zeroed */
void *arena_copy(struct arena *a, const void *p, size_t size);
char *arena_strdup(struct arena *a, const char *s);  /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
size_t arena_size(const struct arena *a);            /* bytes held, chunk headers included */

static inline void arena_freep(struct arena **a)
{
	arena_free(*a);
}
#define cleanup_arena CLEANUP(arena_freep)

#endif
