/*
 * metrics: one walk over what the agent knows makes a list of figures; two printers write it down.
 */
#include "daemon/metrics.h"

#include <malloc.h>

#include "base/clock.h"
#include "daemon/jwriter.h"
#include "daemon/server.h"
#include "discovery/consul.h"

struct figure {
	const char *name;
	double value;
	bool counter; /* since the start of the agent */
	struct strmap labels;
};

struct figures {
	struct arena *arena;
	const struct daemon *daemon;
	struct objs list; /* struct figure */
	uint64_t jobs[3]; /* by enum job_status */
};

static struct figure *add(struct figures *f, const char *name, double value)
{
	struct figure *g = arena_alloc(f->arena, sizeof(*g));

	g->name = name;
	g->value = value;
	strmap_set(f->arena, &g->labels, "host", f->daemon->config->name);
	objs_push(f->arena, &f->list, g);
	return g;
}

static void label(struct figures *f, struct figure *g, const char *key, const char *value)
{
	strmap_set(f->arena, &g->labels, key, value);
}

static bool add_job(void *arg, struct job_entry *j)
{
	static const struct {
		const char *name;
		size_t offset;
	} counts[] = {
	    {"nomad.nomad.job_summary.complete", offsetof(struct group_summary, complete)},
	    {"nomad.nomad.job_summary.failed", offsetof(struct group_summary, failed)},
	    {"nomad.nomad.job_summary.lost", offsetof(struct group_summary, lost)},
	    {"nomad.nomad.job_summary.queued", offsetof(struct group_summary, queued)},
	    {"nomad.nomad.job_summary.running", offsetof(struct group_summary, running)},
	    {"nomad.nomad.job_summary.starting", offsetof(struct group_summary, starting)},
	};
	struct figures *f = arg;

	f->jobs[j->status]++;
	for (uint32_t i = 0; i < j->summary.n; i++) {
		for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
			const char *at = (const char *)j->summary.v[i].value + counts[k].offset;
			struct figure *g = add(f, counts[k].name, *(const uint32_t *)(const void *)at);

			label(f, g, "job", j->id);
			label(f, g, "namespace", j->ns);
			label(f, g, "task_group", j->summary.v[i].key);
		}
	}
	return true;
}

static void add_server(struct figures *f)
{
	struct core *core = server_core(f->daemon->server);
	const struct state *s = core_state(core);
	struct server_stats st;
	struct core_stats cs;

	server_stats(f->daemon->server, &st);
	core_stats(core, &cs);
	state_each_job(s, add_job, f);
	add(f, "nomad.nomad.job_status.dead", (double)f->jobs[JOB_DEAD]);
	add(f, "nomad.nomad.job_status.pending", (double)f->jobs[JOB_PENDING]);
	add(f, "nomad.nomad.job_status.running", (double)f->jobs[JOB_RUNNING]);
	add(f, "nomad.nomad.blocked_evals.total_blocked", (double)cs.evals_blocked);
	add(f, "nomad.nomad.broker.total_ready", (double)cs.evals_ready);
	add(f, "nomad.nomad.broker.total_blocked", (double)cs.evals_blocked);
	add(f, "nomad.nomad.broker.total_unacked", 0);
	add(f, "nomad.nomad.broker.total_waiting", (double)cs.evals_waiting);
	add(f, "nomad.nomad.heartbeat.active", (double)cs.heartbeats_active);
	add(f, "nomad.nomad.plan.queue_depth", 0);
	add(f, "nomad.raft.appliedIndex", (double)s->index);
	add(f, "nomad.raft.lastIndex", (double)core_committed(core));
	add(f, "nomad.state.snapshotIndex", (double)s->index);
	add(f, "drover.watchers", (double)st.watchers);
	add(f, "drover.journal.bytes", (double)cs.journal_bytes);
	add(f, "drover.journal.commit_max_seconds", (double)st.commit_max_ns / 1e9);
	add(f, "nomad.raft.apply", (double)cs.journal_entries)->counter = true;
	add(f, "drover.journal.commits", (double)st.commits)->counter = true;
	add(f, "drover.journal.commit_seconds", (double)st.commit_ns / 1e9)->counter = true;
	add(f, "drover.placements", (double)cs.placements)->counter = true;
	add(f, "drover.evals", (double)cs.evals_done)->counter = true;
	add(f, "nomad.nomad.plan.submit", (double)cs.plans)->counter = true;
	add(f, "nomad.nomad.plan.node_rejected", (double)cs.plan_failures)->counter = true;
}

static void add_of_node(struct figures *f, const char *name, double value)
{
	const struct config *c = f->daemon->config;
	struct figure *g = add(f, name, value);

	label(f, g, "node_id", client_node_id(f->daemon->client));
	label(f, g, "datacenter", c->datacenter);
	label(f, g, "node_class", str_empty(c->client.node_class) ? "none" : c->client.node_class);
}

static void add_client(struct figures *f)
{
	const struct daemon *d = f->daemon;
	const struct node_entry *n = NULL;
	struct client_stats s;
	struct uuid id;

	client_stats(d->client, &s);
	add_of_node(f, "nomad.client.allocations.running", (double)s.running);
	add_of_node(f, "nomad.client.uptime", (double)((clock_now() - d->started_at) / SECOND));
	if (d->server && uuid_parse(client_node_id(d->client), &id) == 0)
		n = state_node(core_state(server_core(d->server)), id);
	if (n) {
		add_of_node(f, "nomad.client.allocated.cpu", (double)n->used.cpu);
		add_of_node(f, "nomad.client.allocated.memory", (double)n->used.memory);
		add_of_node(f, "nomad.client.allocated.disk", (double)n->used.disk);
		add_of_node(f, "nomad.client.unallocated.cpu", (double)(n->total.cpu - n->used.cpu));
		add_of_node(f, "nomad.client.unallocated.memory", (double)(n->total.memory - n->used.memory));
		add_of_node(f, "nomad.client.unallocated.disk", (double)(n->total.disk - n->used.disk));
	}
	add(f, "nomad.client.allocs.running", (double)s.started)->counter = true;
	add(f, "nomad.client.allocs.failed", (double)s.failed)->counter = true;
}

static void add_consul(struct figures *f)
{
	struct consul_stats s;

	consul_stats(f->daemon->consul, &s);
	add(f, "drover.consul.calls", (double)s.calls)->counter = true;
	add(f, "drover.consul.failures", (double)s.failures)->counter = true;
}

static void add_process(struct figures *f)
{
	struct mallinfo2 m = mallinfo2();

	add(f, "nomad.runtime.alloc_bytes", (double)m.uordblks);
	add(f, "nomad.runtime.sys_bytes", (double)(m.arena + m.hblkhd));
}

static void gather(struct figures *f)
{
	if (f->daemon->server)
		add_server(f);
	if (f->daemon->client)
		add_client(f);
	if (f->daemon->consul)
		add_consul(f);
	add_process(f);
}

static void put_labels(struct jwriter *w, const struct strmap *labels)
{
	jw_object(w, "Labels");
	for (uint32_t i = 0; i < labels->n; i++)
		jw_str(w, labels->v[i].key, labels->v[i].value);
	jw_end(w, '}');
}

static void put_gauge(struct jwriter *w, const struct figure *g)
{
	jw_item(w);
	jw_begin(w, '{');
	put_labels(w, &g->labels);
	jw_str(w, "Name", g->name);
	jw_double(w, "Value", g->value);
	jw_end(w, '}');
}

/* Counters count since the start of the agent; there is no interval whose spread could be told. */
static void put_counter(struct jwriter *w, const struct figure *g, double uptime)
{
	jw_item(w);
	jw_begin(w, '{');
	jw_int(w, "Count", (int64_t)g->value);
	put_labels(w, &g->labels);
	jw_double(w, "Max", g->value);
	jw_double(w, "Mean", g->value);
	jw_double(w, "Min", g->value);
	jw_str(w, "Name", g->name);
	jw_double(w, "Rate", uptime > 0 ? g->value / uptime : 0);
	jw_double(w, "Stddev", 0);
	jw_double(w, "Sum", g->value);
	jw_end(w, '}');
}

void metrics_json(const struct daemon *d, struct buf *out, int indent, struct arena *a)
{
	struct figures f = {.arena = a, .daemon = d};
	struct jwriter w = jw_new(out, indent);
	double uptime = (double)(clock_now() - d->started_at) / 1e9;
	char text[TIME_STR];

	gather(&f);
	jw_begin(&w, '{');
	jw_list(&w, "Counters");
	OBJS_EACH(&f.list, struct figure, g)
		if (g->counter)
			put_counter(&w, g, uptime);
	jw_end(&w, ']');
	jw_list(&w, "Gauges");
	OBJS_EACH(&f.list, struct figure, g)
		if (!g->counter)
			put_gauge(&w, g);
	jw_end(&w, ']');
	jw_list(&w, "Points");
	jw_end(&w, ']');
	jw_list(&w, "Samples");
	jw_end(&w, ']');
	time_format_rfc3339(clock_now() / SECOND * SECOND, text);
	text[strcspn(text, "TZ")] = ' ';
	text[strcspn(text, "Z")] = '\0';
	jw_key(&w, "Timestamp");
	buf_printf(out, "\"%s +0000 UTC\"", text);
	jw_end(&w, '}');
}

static void put_metric_name(struct buf *out, const char *name)
{
	for (const char *p = name; *p; p++)
		buf_putc(out, *p == '.' || *p == '-' ? '_' : *p);
}

static void put_label_value(struct buf *out, const char *v)
{
	for (; *v; v++) {
		if (*v == '\n') {
			buf_puts(out, "\\n");
			continue;
		}
		if (*v == '"' || *v == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *v);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct figure *x = *(const struct figure *const *)a, *y = *(const struct figure *const *)b;

	return strcmp(x->name, y->name);
}

static void put_sample(struct buf *out, const struct figure *g)
{
	put_metric_name(out, g->name);
	buf_putc(out, '{');
	for (uint32_t i = 0; i < g->labels.n; i++) {
		buf_printf(out, "%s%s=\"", i ? "," : "", g->labels.v[i].key);
		put_label_value(out, g->labels.v[i].value);
		buf_putc(out, '"');
	}
	buf_printf(out, "} %.17g\n", g->value);
}

void metrics_prometheus(const struct daemon *d, struct buf *out, struct arena *a)
{
	struct figures f = {.arena = a, .daemon = d};
	const char *last = "";

	gather(&f);
	qsort(f.list.v, f.list.n, sizeof(*f.list.v), by_name); /* lines of one name stand together: the format wants it */
	OBJS_EACH(&f.list, struct figure, g) {
		if (!str_eq(last, g->name)) {
			buf_puts(out, "# TYPE ");
			put_metric_name(out, g->name);
			buf_puts(out, g->counter ? " counter\n" : " gauge\n");
			last = g->name;
		}
		put_sample(out, g);
	}
}
