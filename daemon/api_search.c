/* api_search: one row a context, one function that collects its matches. */
#include "daemon/api_search.h"

#include "sched/uuid_table.h"

#define MAX_MATCHES 20

struct search {
	struct call *call;
	const char *prefix;
	struct strs found; /* MAX_MATCHES, or one more when there are more */
};

static bool add(struct search *s, const char *id)
{
	strs_push(call_arena(s->call), &s->found, id);
	return s->found.n <= MAX_MATCHES;
}

static bool add_job(void *arg, struct job_entry *j)
{
	struct search *s = arg;

	if (j->purged || !api_in_namespace(s->call, j->ns) || !str_starts(j->id, s->prefix))
		return true;
	return add(s, j->id);
}

static void find_jobs(struct search *s)
{
	state_each_job(call_state(s->call), add_job, s);
}

static const char *alloc_ns(const void *alloc)
{
	return ((const struct alloc *)alloc)->version->job->ns;
}

static const char *eval_ns(const void *eval_entry)
{
	return ((const struct eval_entry *)eval_entry)->job->ns;
}

static const char *deployment_ns(const void *deployment_entry)
{
	return ((const struct deployment_entry *)deployment_entry)->spec->namespace;
}

/* Objects begin with their id; ns is NULL for those that belong to no namespace. */
static void find_ids(struct search *s, const struct uuid_table *t, const char *(*ns)(const void *))
{
	struct uuid first = {0}, last = {UINT64_MAX, UINT64_MAX};
	void *found[MAX_MATCHES + 1];
	char id[UUID_STR];
	uint32_t n;

	if (*s->prefix && uuid_prefix(s->prefix, &first, &last) < 0)
		return;
	n = uuid_table_range(t, first, last, found, ARRAY_LEN(found));
	for (uint32_t i = 0; i < n; i++)
		if (!ns || api_in_namespace(s->call, ns(found[i])))
			add(s, uuid_format(*(const struct uuid *)found[i], id));
}

static void find_nodes(struct search *s)
{
	find_ids(s, call_state(s->call)->nodes_by_id, NULL);
}

static void find_allocs(struct search *s)
{
	find_ids(s, call_state(s->call)->allocs, alloc_ns);
}

static void find_evals(struct search *s)
{
	find_ids(s, call_state(s->call)->evals, eval_ns);
}

static void find_deployments(struct search *s)
{
	find_ids(s, call_state(s->call)->deployments, deployment_ns);
}

static void find_namespaces(struct search *s)
{
	if (str_starts("default", s->prefix))
		add(s, "default");
}

static void find_nothing(struct search *s)
{
	(void)s;
}

static const struct {
	const char *context;
	void (*find)(struct search *s);
	bool by_id; /* left out for a text that cannot begin an id */
	enum state_table table;
} contexts[] = {
    {"allocs", find_allocs, true, TABLE_ALLOCS},
    {"deployment", find_deployments, true, TABLE_DEPLOYMENTS},
    {"evals", find_evals, true, TABLE_EVALS},
    {"jobs", find_jobs, false, TABLE_JOBS},
    {"namespaces", find_namespaces, false, TABLE_CONFIG},
    {"nodes", find_nodes, true, TABLE_NODES},
    {"plugins", find_nothing, false, TABLE_CONFIG},
    {"scaling_policy", find_nothing, false, TABLE_CONFIG},
    {"volumes", find_nothing, false, TABLE_CONFIG},
};

static void put_matches(struct buf *b, const struct strs *l, int indent)
{
	bool first = true;

	if (!l->n) {
		buf_puts(b, "null");
		return;
	}
	buf_putc(b, '[');
	for (uint32_t i = 0; i < MIN(l->n, MAX_MATCHES); i++) {
		json_put_sep(b, &first, indent, 3);
		json_put_str(b, l->v[i]);
	}
	json_put_end(b, ']', false, indent, 2);
}

/* The rows that answer this request as {"name": value, ...} sorted by name, as the table is. */
static void put_rows(struct buf *b, const struct search *rows, bool truncations, int indent)
{
	bool none = true;

	buf_putc(b, '{');
	for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
		if (!rows[i].call)
			continue;
		json_put_key(b, contexts[i].context, &none, indent, 2);
		if (truncations)
			json_put_bool(b, rows[i].found.n > MAX_MATCHES);
		else
			put_matches(b, &rows[i].found, indent);
	}
	json_put_end(b, '}', none, indent, 1);
}

void api_search(struct call *c)
{
	struct search_request *r = MODEL_NEW(call_arena(c), search_request);
	struct search rows[ARRAY_LEN(contexts)] = {{0}};
	const struct state *state = call_state(c);
	struct uuid first_id, last_id;
	bool known = false, first = true, all;
	int indent = call_indent(c);
	struct buf *b = call_out(c);
	uint64_t index = 0;

	if (call_decode(c, &type_search_request, r))
		return;
	all = str_eq(r->context, "all");
	for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
		if (!all && !str_eq(r->context, contexts[i].context))
			continue;
		known = true;
		index = MAX(index, state->table_index[contexts[i].table]);
		if (contexts[i].by_id && !str_empty(r->prefix) && uuid_prefix(r->prefix, &first_id, &last_id) < 0)
			continue;
		rows[i] = (struct search){.call = c, .prefix = r->prefix ? r->prefix : ""};
		contexts[i].find(&rows[i]);
	}
	if (!known) {
		call_error(c, 500,
		    "context must be one of [allocs jobs nodes evals deployment plugins volumes "
		    "scaling_policy namespaces] or 'all' for all contexts; got \"%s\"",
		    r->context ? r->context : "");
		return;
	}
	call_set_index(c, index);
	call_set_read(c, true);
	buf_putc(b, '{');
	json_put_key(b, "Index", &first, indent, 1);
	json_put_int(b, (int64_t)index);
	json_put_key(b, "KnownLeader", &first, indent, 1);
	json_put_bool(b, true);
	json_put_key(b, "LastContact", &first, indent, 1);
	json_put_int(b, 0);
	json_put_key(b, "Matches", &first, indent, 1);
	put_rows(b, rows, false, indent);
	json_put_key(b, "Truncations", &first, indent, 1);
	put_rows(b, rows, true, indent);
	json_put_end(b, '}', false, indent, 0);
	call_json(c, 200);
}
