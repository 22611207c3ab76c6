/*
 * uuid: 128-bit ids in their canonical text form (36 characters, lower case). Ids come from
 * outside the pure core: uuid_random() is for the daemon, uuid_derive() makes ids that depend on
 * nothing but their inputs.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/util.h"

struct uuid {
	uint64_t hi, lo; /* big-endian order: hi holds the first eight bytes of the text */
};

#define UUID_STR 37

static inline bool uuid_eq(struct uuid a, struct uuid b)
{
	return a.hi == b.hi && a.lo == b.lo;
}
static inline bool uuid_is_nil(struct uuid u)
{
	return !u.hi && !u.lo;
}
static inline int uuid_cmp(struct uuid a, struct uuid b)
{
	return a.hi != b.hi ? (a.hi < b.hi ? -1 : 1) : a.lo != b.lo ? (a.lo < b.lo ? -1 : 1) : 0;
}
int uuid_parse(const char *s, struct uuid *out); /* -EINVAL unless 36 canonical characters */
const char *uuid_format(struct uuid u, char out[UUID_STR]); /* returns out; nil gives "" */
struct uuid uuid_random(void);
/* The n-th id derived from a seed: same inputs, same id; well mixed, so that ids spread. */
struct uuid uuid_derive(struct uuid seed, uint64_t n);
/* A prefix of 1 to 36 characters of the text form: the range of ids that begin with it.
 * -EINVAL when it is not one. */
int uuid_prefix(const char *s, struct uuid *first, struct uuid *last);

#endif
