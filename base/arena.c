/*
 * arena: chunks in a list, the newest first; allocation moves a mark within the newest. The arena
 * itself lies in its first chunk, so an empty arena is one malloc.
 */
#include "base/arena.h"

#define ALIGN       16
#define FIRST_CHUNK 512
#define MAX_CHUNK   (256 * 1024)

struct chunk {
	struct chunk *next;
	size_t size; /* of the chunk with this header */
};

#define KEPT_SIZES 6  /* FIRST_CHUNK and its doublings, up to 16 KB */
#define KEPT_EACH  32 /* of every size */

static _Thread_local struct {
	bool on;
	struct {
		struct chunk *first;
		uint32_t n;
	} of[KEPT_SIZES];
} kept;

struct arena {
	struct chunk *chunks;
	char *at, *end;
	size_t held;
};

static size_t align_up(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static char *chunk_data(struct chunk *c)
{
	return (char *)c + align_up(sizeof(*c));
}

void arena_keep_chunks(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which is to see who uses what was given back */
	kept.on = true;
#endif
}

/* Which of the kept sizes this is; KEPT_SIZES: none. */
static uint32_t size_class(size_t size)
{
	uint32_t k = 0;

	while (k < KEPT_SIZES && (size_t)FIRST_CHUNK << k < size)
		k++;
	return k < KEPT_SIZES && (size_t)FIRST_CHUNK << k == size ? k : KEPT_SIZES;
}

static struct chunk *chunk_get(size_t size)
{
	uint32_t k = kept.on ? size_class(size) : KEPT_SIZES;
	struct chunk *c = k < KEPT_SIZES ? kept.of[k].first : NULL;

	if (!c)
		return xmalloc(size);
	kept.of[k].first = c->next;
	kept.of[k].n--;
	return c;
}

static void chunk_put(struct chunk *c)
{
	uint32_t k = kept.on ? size_class(c->size) : KEPT_SIZES;

	if (k == KEPT_SIZES || kept.of[k].n == KEPT_EACH) {
		free(c);
		return;
	}
	c->next = kept.of[k].first;
	kept.of[k].first = c;
	kept.of[k].n++;
}

struct arena *arena_new(void)
{
	struct chunk *c = chunk_get(FIRST_CHUNK);
	struct arena *a = (struct arena *)chunk_data(c);

	*c = (struct chunk){.size = FIRST_CHUNK};
	*a = (struct arena){
	    .chunks = c,
	    .at = chunk_data(c) + align_up(sizeof(*a)),
	    .end = (char *)c + FIRST_CHUNK,
	    .held = FIRST_CHUNK,
	};
	return a;
}

void arena_free(struct arena *a)
{
	struct chunk *next;

	if (!a)
		return;
	for (struct chunk *c = a->chunks; c; c = next) {
		next = c->next;
		chunk_put(c);
	}
}

static struct chunk *new_chunk(struct arena *a, size_t size)
{
	struct chunk *c = chunk_get(size);

	c->size = size;
	a->held += size;
	return c;
}

/* Unzeroed memory; size is already aligned. */
static void *take(struct arena *a, size_t size)
{
	size_t head = align_up(sizeof(struct chunk));
	struct chunk *c;
	void *p;

	if (size <= (size_t)(a->end - a->at)) {
		p = a->at;
		a->at += size;
		return p;
	}
	/* The held total grows by its own size each time: doubling without a counter. */
	size_t next = MIN(a->held, (size_t)MAX_CHUNK);

	if (size + head > next / 2) {
		/* A big item gets a chunk of its own behind the current one, which goes on. */
		c = new_chunk(a, size + head);
		c->next = a->chunks->next;
		a->chunks->next = c;
		return chunk_data(c);
	}
	c = new_chunk(a, next);
	c->next = a->chunks;
	a->chunks = c;
	a->at = chunk_data(c) + size;
	a->end = (char *)c + next;
	return chunk_data(c);
}

void *arena_take(struct arena *a, size_t size)
{
	if (size > SIZE_MAX / 2)
		die("out of memory: %zu bytes were asked of an arena", size);
	return take(a, align_up(size ? size : 1));
}

void *arena_alloc(struct arena *a, size_t size)
{
	return memset(arena_take(a, size), 0, size);
}

void *arena_copy(struct arena *a, const void *p, size_t size)
{
	void *copy = arena_take(a, size);

	if (size)
		memcpy(copy, p, size);
	return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = arena_take(a, len + 1);

	memcpy(copy, s, len);
	copy[len] = 0;
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_copy(a, s, strlen(s) + 1) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *s;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("arena_printf: the format \"%s\" cannot be printed", fmt);
	s = arena_take(a, (size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

size_t arena_size(const struct arena *a)
{
	return a->held;
}
