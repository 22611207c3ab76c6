/* wire: writing and bounded reading of little binary items, and CRC-32C. Holds no state. */
#include "base/wire.h"

#include <endian.h>
#include <pthread.h>

void wire_put_u64(struct buf *b, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	while (v >= 0x80) {
		out[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	out[n++] = (uint8_t)v;
	buf_put(b, out, n);
}

void wire_put_i64(struct buf *b, int64_t v)
{
	wire_put_u64(b, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

void wire_put_f64(struct buf *b, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	bits = htole64(bits);
	buf_put(b, &bits, sizeof(bits));
}

void wire_put_bytes(struct buf *b, const void *p, size_t n)
{
	wire_put_u64(b, n);
	buf_put(b, p, n);
}

void wire_put_str(struct buf *b, const char *s)
{
	wire_put_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

void wire_put_uuid(struct buf *b, struct uuid u)
{
	uint64_t be[2] = {htobe64(u.hi), htobe64(u.lo)};

	buf_put(b, be, sizeof(be));
}

struct wire wire_reader(const void *p, size_t n)
{
	return (struct wire){.p = p, .end = n ? (const uint8_t *)p + n : p};
}

/* n bytes of the input, or NULL and bad. */
static const uint8_t *take(struct wire *w, size_t n)
{
	const uint8_t *p = w->p;

	if (w->bad || n > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return p;
}

uint64_t wire_u64(struct wire *w)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		const uint8_t *p = take(w, 1);

		if (!p)
			return 0;
		/* The tenth byte has room for one bit. */
		if (shift == 63 && *p > 1)
			break;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return v;
	}
	w->bad = true;
	return 0;
}

int64_t wire_i64(struct wire *w)
{
	uint64_t v = wire_u64(w);

	return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

double wire_f64(struct wire *w)
{
	const uint8_t *p = take(w, 8);
	uint64_t bits;
	double v;

	if (!p)
		return 0;
	memcpy(&bits, p, sizeof(bits));
	bits = le64toh(bits);
	memcpy(&v, &bits, sizeof(v));
	return v;
}

const void *wire_bytes(struct wire *w, size_t *n)
{
	uint64_t len = wire_u64(w);
	const uint8_t *p;

	*n = 0;
	if (len > SIZE_MAX)
		w->bad = true;
	p = take(w, (size_t)len);
	if (p)
		*n = (size_t)len;
	return p;
}

const char *wire_str(struct wire *w, struct arena *a)
{
	size_t n;
	const char *p = wire_bytes(w, &n);

	return p && n ? arena_strndup(a, p, n) : "";
}

struct uuid wire_uuid(struct wire *w)
{
	const uint8_t *p = take(w, 16);
	uint64_t be[2];

	if (!p)
		return (struct uuid){0};
	memcpy(be, p, sizeof(be));
	return (struct uuid){.hi = be64toh(be[0]), .lo = be64toh(be[1])};
}

bool wire_end(const struct wire *w)
{
	return !w->bad && w->p == w->end;
}

/* Eight tables: table[k][b] is the sum of byte b followed by k zero bytes. */
static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ UINT32_C(0x82f63b78) : c >> 1;
		crc_table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			crc_table[k][i] = crc_table[k - 1][i] >> 8 ^
			    crc_table[0][crc_table[k - 1][i] & 0xff];
}

static uint32_t crc_soft(uint32_t c, const uint8_t *p, size_t n)
{
	pthread_once(&crc_once, make_crc_table);
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		v = le64toh(v) ^ c;
		c = 0;
		for (int k = 0; k < 8; k++)
			c ^= crc_table[7 - k][v >> (8 * k) & 0xff];
	}
	while (n--)
		c = c >> 8 ^ crc_table[0][(c ^ *p++) & 0xff];
	return c;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_hard(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t c = crc;

	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		c = __builtin_ia32_crc32di(c, v);
	}
	while (n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return (uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_hard(~crc, p, n);
#endif
	return ~crc_soft(~crc, p, n);
}

uint32_t crc32c_soft(uint32_t crc, const void *p, size_t n)
{
	return ~crc_soft(~crc, p, n);
}
