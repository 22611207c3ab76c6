/*
 * Fuzzing of what strangers put into a request's first line: path decoding, the route table, query splitting. What is
 * checked beyond memory: a parameter is never NULL and lies inside the path, and the only one that may be empty is the
 * last of a path that ends with a slash.
 */
#include <assert.h>

#include "base/util.h"
#include "daemon/httpd.h"
#include "daemon/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_match(const struct route_match *m, const char *path, size_t len, bool ends_with_slash)
{
	assert(m->route && m->n_params <= ROUTE_PARAMS);
	for (uint32_t i = 0; i < m->n_params; i++) {
		const struct route_param *p = &m->params[i];

		assert(p->value > path && p->value <= path + len && p->value + strlen(p->value) <= path + len);
		assert(*p->value || (ends_with_slash && i == m->n_params - 1 && p->value == path + len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct router *router;
	char *path = xmalloc(size + 1), *query;
	struct url_param params[8];
	struct route_match m;
	uint32_t n;
	size_t len;

	if (!router)
		router = router_new(route_tables);
	memcpy(path, data, size);
	path[size] = '\0';
	query = strchr(path, '?');
	if (query) {
		*query++ = '\0';
		n = url_split_query(query, params, ARRAY_LEN(params));
		assert(n <= ARRAY_LEN(params));
		for (uint32_t i = 0; i < n; i++)
			assert(params[i].name && strlen(params[i].name) <= size && (!params[i].value || strlen(params[i].value) <= size));
	}
	len = url_decode(path, false);
	if (strlen(path) == len && *path == '/') {
		bool ends_with_slash = path[len - 1] == '/';

		if (router_find(router, path, &m))
			check_match(&m, path, len, ends_with_slash);
	}
	free(path);
	return 0;
}
