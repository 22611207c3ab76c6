/*
 * filter: the expressions of `filter=` and -filter: the language of go-bexpr over the objects of base/model.h, asked of
 * an object by the field tables, without making JSON of it.
 *
 *   Status == "ready" and not (NodeClass matches "^ci" or Attributes["os.name"] is empty)
 *   "dc1" in Datacenters      TaskGroups.0.Name != web      Meta contains owner      Drivers.docker.Healthy == true
 *
 *   ==  !=  in  not in  contains  not contains  matches  not matches  is [not] empty  is [not] nil   and or not ( )
 *
 * A selector is field names of the object, parted by dots; keys of maps stand after a dot or as ["key"], items of lists as
 * their number; "/Meta/owner" is the same as a JSON pointer. Values are "quoted", `raw`, or bare words. A key that a map
 * lacks equals nothing, is contained in nothing, and is empty; a field that the type lacks is an error. Fields that are
 * never shown cannot be asked for.
 *
 * Bounds: 8 KiB, nesting 100, patterns as in base/pattern.h.
 * Source: the grammar and documentation of hashicorp/go-bexpr.
 */
#ifndef DAEMON_FILTER_H
#define DAEMON_FILTER_H

#include "base/err.h"
#include "base/model.h"

struct filter;

/* -EINVAL: a sentence with the column, what is wrong and what was expected. */
int filter_new(const char *text, const struct type *t, struct filter **out, struct err *e);
void filter_free(struct filter *f); /* NULL is fine */
bool filter_matches(const struct filter *f, const void *obj);
/* The same of a node, in one; what cannot be read matches nothing. */
bool filter_matches_node(const char *text, const struct node *n);

#endif
