#include "kit.h"

#include <string.h>

void ring_init(struct ring *r, void *data, size_t size)
{
	*r = (struct ring){.data = data, .size = size};
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t ring_put(struct ring *r, const void *data, size_t n)
{
	n = least(n, r->size - r->len);
	if (!n)
		return 0;
	size_t end = (r->start + r->len) % r->size, head = least(n, r->size - end);

	memcpy(r->data + end, data, head);
	memcpy(r->data, (const unsigned char *)data + head, n - head);
	r->len += n;
	return n;
}

size_t ring_take(struct ring *r, void *out, size_t n)
{
	n = least(n, r->len);
	if (!n)
		return 0;
	size_t head = least(n, r->size - r->start);

	memcpy(out, r->data + r->start, head);
	memcpy((unsigned char *)out + head, r->data, n - head);
	r->start = (r->start + n) % r->size;
	r->len -= n;
	return n;
}
