/*
 * kit: twelve small functions that programs keep needing. One source file each, a test beside it in test/.
 * Nothing here allocates memory; what is written into was made by the caller, who says how large it is.
 * Functions that return ptrdiff_t give the number of bytes written, or -1 when the input is malformed or there is no room.
 */
#ifndef KIT_H
#define KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 4648, section 4, padded. Encoding writes 4 bytes for each 3 begun, and a NUL. */
ptrdiff_t base64_encode(const void *data, size_t n, char *out, size_t room);
ptrdiff_t base64_decode(const char *text, void *out, size_t room);

/* The checksum of Ethernet, gzip and PNG (ISO 3309, reflected polynomial 0xEDB88320). */
uint32_t crc32(const void *data, size_t n);

/* Fewest single-character insertions, deletions and replacements that turn a into b (Levenshtein). -1: b is longer
 * than 255 bytes. */
int edit_distance(const char *a, const char *b);

/* Shell patterns: * any text, ? any character, [a-z] one of, [!a-z] none of, \ the next character as it is. */
bool glob_match(const char *pattern, const char *text);

/* Two lower-case digits a byte, and a NUL; decoding takes both cases. */
ptrdiff_t hex_encode(const void *data, size_t n, char *out, size_t room);
ptrdiff_t hex_decode(const char *text, void *out, size_t room);

/* Like strcmp(), but runs of digits compare as numbers of any length: "file9" comes before "file10". */
int natural_compare(const char *a, const char *b);

/* RFC 3986: all but letters, digits and "-._~" become %XX. Both write a NUL, which is not counted. */
ptrdiff_t percent_encode(const char *text, char *out, size_t room);
ptrdiff_t percent_decode(const char *text, char *out, size_t room);

/* A queue of bytes in a fixed buffer. */
struct ring {
	unsigned char *data;
	size_t size, start, len;
};
void ring_init(struct ring *r, void *data, size_t size);
size_t ring_put(struct ring *r, const void *data, size_t n); /* how many there was room for */
size_t ring_take(struct ring *r, void *out, size_t n);       /* how many there were */

/* FIPS 180-4. */
void sha256(const void *data, size_t n, unsigned char out[32]);

/* One character of UTF-8 (RFC 3629: shortest form, no surrogates, at most U+10FFFF): the number of bytes it takes, 0 at
 * the end of the text, -1 when it is malformed. */
int utf8_decode(const char *text, size_t n, uint32_t *character);

/* Little-endian base 128: seven bits a byte, the highest bit says that more follow. At most ten bytes. */
ptrdiff_t varint_encode(uint64_t value, void *out, size_t room);
ptrdiff_t varint_decode(const void *data, size_t n, uint64_t *value); /* bytes read */

/* Precedence of semantic versions (semver.org 2.0.0, item 11); build metadata does not count. */
int version_compare(const char *a, const char *b);

#endif
