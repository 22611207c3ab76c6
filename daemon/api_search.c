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

static void find_nodes(struct search *s)
{
	struct node_entry *found[MAX_MATCHES + 1];
	int n = state_prefix_nodes(call_state(s->call), s->prefix, found, ARRAY_LEN(found));
	char id[UUID_STR];

	for (int i = 0; i < n; i++)
		add(s, uuid_format(found[i]->id, id));
}

static void find_allocs(struct search *s)
{
	struct alloc *found[MAX_MATCHES + 1];
	int n = state_prefix_allocs(call_state(s->call), s->prefix, found, ARRAY_LEN(found));
	char id[UUID_STR];

	for (int i = 0; i < n; i++)
		if (api_in_namespace(s->call, found[i]->version->job->ns))
			add(s, uuid_format(found[i]->id, id));
}

static void find_evals(struct search *s)
{
	struct eval_entry *found[MAX_MATCHES + 1];
	int n = state_prefix_evals(call_state(s->call), s->prefix, found, ARRAY_LEN(found));
	char id[UUID_STR];

	for (int i = 0; i < n; i++)
		if (api_in_namespace(s->call, found[i]->job->ns))
			add(s, uuid_format(found[i]->id, id));
}

static void find_deployments(struct search *s)
{
	const struct state *state = call_state(s->call);
	struct uuid first, last;
	struct deployment_entry *d;
	char id[UUID_STR];

	if (uuid_prefix(s->prefix, &first, &last) < 0)
		return;
	for (uint32_t i = 0; (d = uuid_table_next(state->deployments, &i));)
		if (uuid_cmp(first, d->id) <= 0 && uuid_cmp(d->id, last) <= 0 &&
		    api_in_namespace(s->call, d->spec->namespace) && !add(s, uuid_format(d->id, id)))
			return;
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
	bool by_id; /* answered only for a text that can begin an id */
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
		if (contexts[i].by_id && uuid_prefix(r->prefix ? r->prefix : "", &first_id, &last_id) < 0)
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
