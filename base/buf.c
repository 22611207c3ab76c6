/* buf: the growing byte buffer. Invariant: data is NULL, or cap > len and data[len] is NUL. */
#include "base/buf.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->full = false;
	if (b->data)
		b->data[0] = 0;
}

void *buf_room(struct buf *b, size_t n)
{
	size_t cap;

	if (n < b->cap - b->len && b->cap)
		return b->data + b->len;
	if (n > SIZE_MAX / 4 - b->len || (b->max && b->len + n > b->max)) {
		b->full = true;
		return NULL;
	}
	cap = MAX(b->cap * 2, (size_t)64);
	cap = MAX(cap, b->len + n + 1);
	if (b->max)
		cap = MIN(cap, b->max + 1);
	b->data = xrealloc(b->data, cap, 1);
	b->data[b->len] = 0;
	b->cap = cap;
	return b->data + b->len;
}

void buf_put_slow(struct buf *b, const void *p, size_t n)
{
	char *to;

	if (b->full || !n)
		return;
	to = buf_room(b, n);
	if (!to)
		return;
	memcpy(to, p, n);
	b->len += n;
	b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	char *to;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n >= 0 && (size_t)n < sizeof(small)) {
		buf_put(b, small, (size_t)n);
	} else if (n > 0 && !b->full) {
		to = buf_room(b, (size_t)n);
		if (to) {
			vsnprintf(to, (size_t)n + 1, fmt, again);
			b->len += (size_t)n;
		}
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_drop_front(struct buf *b, size_t n)
{
	n = MIN(n, b->len);
	if (!n)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1);
}

char *buf_take(struct buf *b)
{
	char *s = b->data ? b->data : xstrdup("");

	*b = (struct buf){.max = b->max};
	return s;
}
