/*
 * route: finds the route of a path. Patterns are grouped by their first two segments ("/v1/job"), so a look-up is one
 * hash and a handful of comparisons; within a group the pattern with the most literal text wins. A parameter is never
 * empty, except the last segment of a path that ends with a slash: "/v1/node/" is a node without an id.
 */
#ifndef DAEMON_ROUTE_H
#define DAEMON_ROUTE_H

#include "base/util.h"

struct route; /* daemon/httpd.h */
struct router;

#define ROUTE_PARAMS 4
struct route_param {
	const char *name, *value; /* name: in the pattern, up to '/', '*' or its end */
	uint16_t name_len;
};
struct route_match {
	const struct route *route;
	struct route_param params[ROUTE_PARAMS];
	uint32_t n_params;
};

/* tables: arrays of routes ended by pattern NULL; the list of tables ends with NULL. Everything must outlive the
 * router. */
struct router *router_new(const struct route *const *tables);
void router_free(struct router *r);
/* path is decoded; on a match its text is cut up in place for the parameters' values. false: nobody serves it. */
bool router_find(const struct router *r, char *path, struct route_match *out);

/* Decodes %XX in place (and '+' as a space, in queries); returns the length, which may hold NUL bytes. A broken
 * escape is kept as it is. */
size_t url_decode(char *s, bool plus);

struct url_param {
	const char *name, *value; /* value NULL: there was no '=' */
};
/* Splits "a=1&b" in place, decoded; returns how many of at most max, the rest is dropped. */
uint32_t url_split_query(char *query, struct url_param *out, uint32_t max);

#endif
