/* cli_show: lists of allocations and reasons of failed placements. */
#include "daemon/cli_show.h"

/* ---- order ---- */

struct ranked {
	void *item;
	int64_t index;
	uint32_t place;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? 1 : -1;
	return x->place < y->place ? -1 : 1;
}

void show_newest_first(struct objs *list, show_index_fn *index)
{
	cleanup_free struct ranked *r = xcalloc(list->n, sizeof(*r));

	for (uint32_t i = 0; i < list->n; i++)
		r[i] = (struct ranked){list->v[i], index(list->v[i]), i};
	if (list->n)
		qsort(r, list->n, sizeof(*r), by_rank);
	for (uint32_t i = 0; i < list->n; i++)
		list->v[i] = r[i].item;
}

static int64_t value_index(const void *item)
{
	return (int64_t)show_number(item, "CreateIndex");
}

void show_values_newest_first(struct value *list)
{
	struct objs items = {.v = (void **)list->items, .n = list->kind == VAL_LIST ? list->n : 0};

	show_newest_first(&items, value_index);
}

/* ---- allocations ---- */

static int64_t stub_index(const void *item)
{
	return ((const struct alloc_stub *)item)->create_index;
}

struct alloc_stub *show_stub_of(struct cli *c, const struct allocation *a)
{
	struct alloc_stub *s = MODEL_NEW(c->arena, alloc_stub);

	s->id = a->id;
	s->eval_id = a->eval_id;
	s->name = a->name;
	s->node_id = a->node_id;
	s->node_name = a->node_name;
	s->job_id = a->job_id;
	s->job_version = a->job ? a->job->version : 0;
	s->task_group = a->task_group;
	s->desired_status = a->desired_status;
	s->client_status = a->client_status;
	s->create_index = a->create_index;
	s->modify_index = a->modify_index;
	s->create_time = a->create_time;
	s->modify_time = a->modify_time;
	return s;
}

static void put_alloc(struct cli *c, struct table *t, const struct alloc_stub *s, bool verbose, bool node_name)
{
	table_cell(t, "%s", short_id(c, s->id));
	if (verbose)
		table_cell(t, "%s", s->eval_id);
	table_cell(t, "%s", short_id(c, s->node_id));
	if (verbose && node_name)
		table_cell(t, "%s", s->node_name);
	table_cell(t, "%s", s->task_group);
	table_cell(t, "%lld", (long long)s->job_version);
	table_cell(t, "%s", s->desired_status);
	table_cell(t, "%s", s->client_status);
	table_cell(t, "%s", list_time(c, s->create_time));
	table_cell(t, "%s", list_time(c, s->modify_time));
	table_end_row(t);
}

void show_allocs(struct cli *c, struct objs *stubs, bool node_name, FILE *out)
{
	struct table t = table_new(c->arena, "<none>");
	bool verbose = arg_bool(c->args, "verbose");

	if (!stubs->n) {
		fputs("No allocations placed\n", out);
		return;
	}
	show_newest_first(stubs, stub_index);
	if (!verbose)
		table_row(&t, "ID|Node ID|Task Group|Version|Desired|Status|Created|Modified");
	else if (node_name)
		table_row(&t, "ID|Eval ID|Node ID|Node Name|Task Group|Version|Desired|Status|Created|Modified");
	else
		table_row(&t, "ID|Eval ID|Node ID|Task Group|Version|Desired|Status|Created|Modified");
	OBJS_EACH(stubs, const struct alloc_stub, s)
		put_alloc(c, &t, s, verbose, node_name);
	table_print(&t, out);
}

/* ---- failed placements ---- */

static void put_counts(const struct intmap *m, const char *prefix, const char *fmt, FILE *out)
{
	for (uint32_t i = 0; i < m->n; i++) {
		fprintf(out, "%s* ", prefix);
		fprintf(out, fmt, m->v[i].key, (long long)m->v[i].value);
		fputc('\n', out);
	}
}

void show_metric(const struct alloc_metric *m, const char *prefix, FILE *out)
{
	if (!m->nodes_evaluated)
		fprintf(out, "%s* No nodes were eligible for evaluation\n", prefix);
	for (uint32_t i = 0; i < m->nodes_available.n; i++)
		if (!m->nodes_available.v[i].value)
			fprintf(out, "%s* No nodes are available in datacenter \"%s\"\n", prefix, m->nodes_available.v[i].key);
	put_counts(&m->class_filtered, prefix, "Class \"%s\": %lld nodes excluded by filter", out);
	put_counts(&m->constraint_filtered, prefix, "Constraint \"%s\": %lld nodes excluded by filter", out);
	if (m->nodes_exhausted)
		fprintf(out, "%s* Resources exhausted on %lld nodes\n", prefix, (long long)m->nodes_exhausted);
	put_counts(&m->class_exhausted, prefix, "Class \"%s\" exhausted on %lld nodes", out);
	put_counts(&m->dimension_exhausted, prefix, "Dimension \"%s\" exhausted on %lld nodes", out);
	for (uint32_t i = 0; i < m->quota_exhausted.n; i++)
		fprintf(out, "%s* Quota limit hit \"%s\"\n", prefix, m->quota_exhausted.v[i]);
	if (m->reason && !str_empty(m->reason->text))
		fprintf(out, "%s* Why (%s): %s\n", prefix, str_or(m->reason->code, ""), m->reason->text);
}

void show_failed_group(const char *group, const struct alloc_metric *m, FILE *out)
{
	long long failed = (long long)m->coalesced_failures + 1;

	fprintf(out, "Task Group \"%s\" (failed to place %lld allocation%s):\n", group, failed, failed == 1 ? "" : "s");
}

void show_failures(const struct eval *e, const char *between, FILE *out)
{
	for (uint32_t i = 0; i < e->failed_tg_allocs.n; i++) {
		fputs(i ? between : "", out);
		show_failed_group(e->failed_tg_allocs.v[i].key, e->failed_tg_allocs.v[i].value, out);
		show_metric(e->failed_tg_allocs.v[i].value, "  ", out);
	}
}

const char *show_has_failures(const struct eval *e)
{
	if (str_eq(e->status, "blocked") || str_eq(e->status, "pending"))
		return "N/A - In Progress";
	return e->failed_tg_allocs.n ? "true" : "false";
}

/* ---- trees ---- */

const struct value *show_at(const struct value *v, const char *path)
{
	while (v && *path) {
		size_t n = strcspn(path, ".");
		char key[64];

		if (v->kind != VAL_MAP || n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		v = value_get(v, key);
		path += n + (path[n] == '.');
	}
	return v;
}

double show_number(const struct value *v, const char *path)
{
	v = show_at(v, path);
	return !v ? 0 : v->kind == VAL_INT ? (double)v->i : v->kind == VAL_FLOAT ? v->f : 0;
}

bool show_flag(const struct value *v, const char *path)
{
	v = show_at(v, path);
	return v && v->kind == VAL_BOOL && v->b;
}

const char *show_text(const struct value *v, const char *path)
{
	v = show_at(v, path);
	return v && v->kind == VAL_STR ? v->s : "";
}
