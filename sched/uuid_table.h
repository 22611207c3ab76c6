/*
 * uuid_table: an open-addressing table of objects that begin with their struct uuid. One word for each slot: the
 * pointer with 16 bits of hash in its unused top, so that a probe seldom touches the object.
 *
 * In an ordered table an object's home is given by the leading bits of its id, so that all ids with a prefix are near each
 * other and a prefix search costs about what it finds. That needs well mixed ids (uuid_derive); a table whose ids come from
 * strangers is made without order: its homes are hashed and a prefix search scans it.
 */
#ifndef SCHED_UUID_TABLE_H
#define SCHED_UUID_TABLE_H

#include "base/uuid.h"

struct uuid_table;

struct uuid_table *uuid_table_new(bool ordered);
void uuid_table_free(struct uuid_table *t); /* the table, not the objects; NULL is fine */
uint32_t uuid_table_count(const struct uuid_table *t);
void *uuid_table_get(const struct uuid_table *t, struct uuid id); /* NULL when absent */
/* obj begins with its id. False, and nothing changes, when the id is in the table already. */
bool uuid_table_add(struct uuid_table *t, void *obj);
void *uuid_table_del(struct uuid_table *t, struct uuid id); /* the object that was there, or NULL */
/* for (uint32_t i = 0; (obj = uuid_table_next(t, &i));) in no particular order; the table must not change meanwhile. */
void *uuid_table_next(const struct uuid_table *t, uint32_t *i);
/* The objects with first <= id <= last (see uuid_prefix), ascending by id, at most max of them (the lowest when the table
 * is sorted whole; with max smaller than the range, which ones is unspecified). Returns how many were written to out. */
uint32_t uuid_table_range(const struct uuid_table *t, struct uuid first, struct uuid last, void **out, uint32_t max);

#endif
