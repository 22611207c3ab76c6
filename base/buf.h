/*
 * buf: a growing byte buffer with an optional ceiling. Always NUL-terminated when non-empty, so
 * `data` can be read as a string. Past the ceiling the buffer is `full`: further bytes are
 * dropped, and the caller looks once at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/util.h"

struct buf {
	char *data; /* NULL until the first byte */
	size_t len, cap;
	size_t max; /* 0 = no ceiling */
	bool full;  /* something was dropped */
};

#define BUF_INIT ((struct buf){0})
void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* releases the memory and leaves an empty buffer */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_put_slow(struct buf *b, const void *p, size_t n); /* buf_put when it has to grow */
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Room for n more bytes to be written by the caller at data + len; NULL when the ceiling forbids. */
void *buf_room(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n);
/* The content as an owned string (never NULL); the buffer is empty afterwards. */
char *buf_take(struct buf *b);
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n >= b->cap - b->len || b->full) {
		buf_put_slow(b, p, n);
		return;
	}
	memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = 0;
}

static inline void buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

#define cleanup_buf CLEANUP(buf_free)

#endif
