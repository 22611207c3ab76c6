/*
 * wire: little binary bricks for the journal and for records on disk: unsigned LEB128 integers,
 * zigzag for signed, length-prefixed bytes. Reading never goes past the end: after the first
 * short or over-long item the reader is `bad` and every further read gives zero or empty; look once
 * at the end.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/uuid.h"

void wire_put_u64(struct buf *b, uint64_t v);
void wire_put_i64(struct buf *b, int64_t v);
void wire_put_f64(struct buf *b, double v);
void wire_put_bytes(struct buf *b, const void *p, size_t n);
void wire_put_str(struct buf *b, const char *s); /* NULL is written as "" */
void wire_put_uuid(struct buf *b, struct uuid u);

struct wire {
	const uint8_t *p, *end;
	bool bad;
};
struct wire wire_reader(const void *p, size_t n);
uint64_t wire_u64(struct wire *w);
int64_t wire_i64(struct wire *w);
double wire_f64(struct wire *w);
const void *wire_bytes(struct wire *w, size_t *n); /* points into the input */
const char *wire_str(struct wire *w, struct arena *a); /* copy in the arena, never NULL */
struct uuid wire_uuid(struct wire *w);
bool wire_end(const struct wire *w); /* all read and not bad */

/* CRC-32C (Castagnoli), as used by the journal frames; hardware when the machine has it. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
uint32_t crc32c_soft(uint32_t crc, const void *p, size_t n); /* the same by table, on any machine */

#endif
