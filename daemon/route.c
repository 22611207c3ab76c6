/*
 * route: the matcher. The group table is built once; nothing is allocated while serving.
 */
#include "daemon/route.h"

#include <assert.h>

#include "base/map.h"
#include "daemon/httpd.h"

struct group {
	const struct route **routes; /* most literal text first */
	uint32_t n, cap;
};

struct router {
	struct group *groups;
	uint32_t n_groups, cap_groups;
	const char **keys;
	uint32_t *key_lens;
	uint16_t *slots; /* hash -> group + 1 */
	uint32_t mask;
};

/* "/v1/job" of "/v1/job/x/y": the length of the first two segments. */
static size_t head_len(const char *path)
{
	const char *p = path;

	for (int i = 0; i < 2 && *p == '/'; i++)
		p += 1 + strcspn(p + 1, "/");
	return (size_t)(p - path);
}

static uint32_t literal_len(const char *pattern)
{
	uint32_t n = 0;

	for (const char *p = pattern; *p; p++) {
		if (*p == ':')
			p += strcspn(p, "/") - 1;
		else
			n++;
	}
	return n;
}

static struct group *find_group(const struct router *r, const char *path, size_t len, uint32_t *slot)
{
	uint32_t i = hash_bytes(path, len) & r->mask;

	for (; r->slots[i]; i = (i + 1) & r->mask) {
		uint32_t g = r->slots[i] - 1u;

		if (r->key_lens[g] == len && memcmp(r->keys[g], path, len) == 0)
			return &r->groups[g];
	}
	*slot = i;
	return NULL;
}

static void add_route(struct router *r, const struct route *route)
{
	size_t len = head_len(route->pattern);
	uint32_t slot = 0, at;
	struct group *g = find_group(r, route->pattern, len, &slot);

	if (!g) {
		uint32_t i = r->n_groups++;

		assert(r->n_groups <= r->cap_groups);
		g = &r->groups[i];
		r->keys[i] = route->pattern;
		r->key_lens[i] = (uint32_t)len;
		r->slots[slot] = (uint16_t)(i + 1);
	}
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 4;
		g->routes = xrealloc(g->routes, g->cap, sizeof(*g->routes));
	}
	for (at = g->n++; at && literal_len(g->routes[at - 1]->pattern) < literal_len(route->pattern); at--)
		g->routes[at] = g->routes[at - 1];
	g->routes[at] = route;
}

struct router *router_new(const struct route *const *tables)
{
	struct router *r = xcalloc(1, sizeof(*r));
	uint32_t n = 0, size = 16;

	for (const struct route *const *t = tables; *t; t++)
		for (const struct route *route = *t; route->pattern; route++)
			n++;
	while (size < n * 2)
		size *= 2;
	r->mask = size - 1;
	r->slots = xcalloc(size, sizeof(*r->slots));
	r->cap_groups = n;
	r->groups = xcalloc(n + 1, sizeof(*r->groups));
	r->keys = xcalloc(n + 1, sizeof(*r->keys));
	r->key_lens = xcalloc(n + 1, sizeof(*r->key_lens));
	for (const struct route *const *t = tables; *t; t++)
		for (const struct route *route = *t; route->pattern; route++)
			add_route(r, route);
	return r;
}

void router_free(struct router *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->n_groups; i++)
		free(r->groups[i].routes);
	free(r->groups);
	free(r->keys);
	free(r->key_lens);
	free(r->slots);
	free(r);
}

/* Where a parameter's value ends; the cuts are made once the whole pattern has matched. */
struct cuts {
	char *end[ROUTE_PARAMS];
};

static bool match(const char *pat, char *path, struct route_match *m, struct cuts *cuts);

/* `:id*`: the longest value whose rest of the path matches the rest of the pattern; nothing at the end of the path. */
static bool match_star(const char *rest, char *path, struct route_match *m, struct cuts *cuts)
{
	uint32_t me = m->n_params - 1;
	char *end = path + strlen(path);

	if (!*rest) {
		cuts->end[me] = end;
		return true;
	}
	for (char *p = end; p > path; p--) {
		if (*p != '/')
			continue;
		if (match(rest, p, m, cuts)) {
			cuts->end[me] = p;
			return true;
		}
		m->n_params = me + 1;
	}
	return false;
}

static bool match(const char *pat, char *path, struct route_match *m, struct cuts *cuts)
{
	for (;;) {
		struct route_param *param;
		size_t len;

		while (*pat && *pat != ':' && *pat == *path) {
			pat++;
			path++;
		}
		if (*pat != ':')
			return *pat == '\0' && *path == '\0';
		len = strcspn(pat + 1, "/*");
		assert(m->n_params < ROUTE_PARAMS);
		param = &m->params[m->n_params];
		*param = (struct route_param){.name = pat + 1, .value = path, .name_len = (uint16_t)len};
		m->n_params++;
		pat += 1 + len;
		if (*pat == '*')
			return match_star(pat + 1, path, m, cuts);
		len = strcspn(path, "/");
		if (!len && (*pat || *path))
			return false; /* nothing can be the last segment only */
		path += len;
		cuts->end[m->n_params - 1] = path;
	}
}

bool router_find(const struct router *r, char *path, struct route_match *out)
{
	uint32_t slot;
	size_t head = head_len(path); /* which the patterns of the group share */
	const struct group *g = find_group(r, path, head, &slot);

	for (uint32_t i = 0; g && i < g->n; i++) {
		struct route_match m = {.route = g->routes[i]};
		struct cuts cuts;

		if (!match(g->routes[i]->pattern + head, path + head, &m, &cuts))
			continue;
		for (uint32_t k = 0; k < m.n_params; k++)
			*cuts.end[k] = '\0';
		*out = m;
		return true;
	}
	return false;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t url_decode(char *s, bool plus)
{
	char *out = s;

	for (const char *p = s; *p; p++) {
		int hi, lo;

		if (*p == '%' && (hi = hex(p[1])) >= 0 && (lo = hex(p[2])) >= 0) {
			*out++ = (char)(hi << 4 | lo);
			p += 2;
		} else {
			*out++ = *p == '+' && plus ? ' ' : *p;
		}
	}
	*out = '\0';
	return (size_t)(out - s);
}

uint32_t url_split_query(char *query, struct url_param *out, uint32_t max)
{
	uint32_t n = 0;
	char *next;

	for (char *p = query; p && n < max; p = next) {
		char *eq;

		next = strchr(p, '&');
		if (next)
			*next++ = '\0';
		if (!*p)
			continue;
		eq = strchr(p, '=');
		if (eq) {
			*eq++ = '\0';
			url_decode(eq, true);
		}
		url_decode(p, true);
		out[n++] = (struct url_param){p, eq};
	}
	return n;
}
