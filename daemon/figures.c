/*
 * figures: one walk over what the agent knows makes the list. Read from the state when asked; nothing is sampled in between.
 */
#include "daemon/figures.h"

#include <malloc.h>

#include <jansson.h>

#include "base/clock.h"
#include "daemon/server.h"
#include "discovery/consul.h"
#include "sched/capacity.h"

#define MIB (1024 * 1024)

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

/* A label that Prometheus can tell apart from one that is missing. */
static const char *class_name(const char *class)
{
	return str_empty(class) ? "none" : class;
}

static void add_capacity(struct figures *f, const struct state *s)
{
	const struct capacity *c = capacity_now(s, f->arena);

	add(f, "drover.capacity.nodes.active", (double)c->active);
	add(f, "drover.capacity.nodes.eligible", (double)c->eligible);
	add(f, "drover.capacity.cpu.free", (double)c->free->cpu);
	add(f, "drover.capacity.cpu.total", (double)c->total->cpu);
	add(f, "drover.capacity.memory.free", (double)c->free->memory_mb * MIB);
	add(f, "drover.capacity.memory.total", (double)c->total->memory_mb * MIB);
	add(f, "drover.capacity.pending", (double)c->pending);
	add(f, "drover.capacity.unplaceable", (double)c->unplaceable);
	add(f, "drover.capacity.wanted_nodes", (double)c->wanted_nodes);
	OBJS_EACH(&c->classes, struct capacity_class, k) {
		struct figure *g = add(f, "drover.capacity.class.wanted_nodes", (double)k->wanted);

		label(f, g, "node_class", class_name(k->node_class));
		label(f, g, "datacenter", k->datacenter);
		label(f, g, "node_pool", k->node_pool);
	}
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
	add_capacity(f, s);
	add(f, "nomad.nomad.job_status.dead", (double)f->jobs[JOB_DEAD]);
	add(f, "nomad.nomad.job_status.pending", (double)f->jobs[JOB_PENDING]);
	add(f, "nomad.nomad.job_status.running", (double)f->jobs[JOB_RUNNING]);
	add(f, "nomad.nomad.blocked_evals.total_blocked", (double)cs.evals_blocked);
	add(f, "nomad.nomad.broker.total_ready", (double)cs.evals_ready);
	add(f, "nomad.nomad.broker.total_blocked", (double)cs.evals_blocked);
	add(f, "nomad.nomad.broker.total_pending", (double)(cs.evals_blocked + cs.evals_waiting));
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

/* ---- the client ---- */

static struct figure *add_of_node(struct figures *f, const char *name, double value)
{
	const struct config *c = f->daemon->config;
	struct figure *g = add(f, name, value);

	label(f, g, "node_id", client_node_id(f->daemon->client));
	label(f, g, "datacenter", c->datacenter);
	label(f, g, "node_class", str_empty(c->client.node_class) ? "none" : c->client.node_class);
	label(f, g, "node_status", f->joined ? "ready" : "initializing");
	return g;
}

struct sums {
	int64_t cpu, memory, disk;
};

static void sum_alloc(void *arg, const struct allocation *a, bool ended)
{
	struct sums *s = arg;
	const struct allocated_resources *r = a->allocated_resources;

	if (ended || !r)
		return;
	s->disk += r->shared ? r->shared->disk_mb : 0;
	for (uint32_t i = 0; i < r->tasks.n; i++) {
		const struct alloc_task_resources *t = r->tasks.v[i].value;

		s->cpu += t->cpu ? t->cpu->cpu_shares : 0;
		s->memory += t->memory ? t->memory->memory_mb : 0;
	}
}

static void add_room(struct figures *f)
{
	const struct node *n = client_node(f->daemon->client);
	const struct node_resources *r = n ? n->node_resources : NULL;
	const struct node_reserved *kept = n ? n->reserved_resources : NULL;
	struct sums used = {0}, all = {0};

	client_each_alloc(f->daemon->client, sum_alloc, &used);
	if (r) {
		all.cpu = (r->cpu ? r->cpu->cpu_shares : 0) - (kept && kept->cpu ? kept->cpu->cpu_shares : 0);
		all.memory = (r->memory ? r->memory->memory_mb : 0) - (kept && kept->memory ? kept->memory->memory_mb : 0);
		all.disk = (r->disk ? r->disk->disk_mb : 0) - (kept && kept->disk ? kept->disk->disk_mb : 0);
	}
	add_of_node(f, "nomad.client.allocated.cpu", (double)used.cpu);
	add_of_node(f, "nomad.client.allocated.memory", (double)used.memory);
	add_of_node(f, "nomad.client.allocated.disk", (double)used.disk);
	add_of_node(f, "nomad.client.unallocated.cpu", (double)(all.cpu - used.cpu));
	add_of_node(f, "nomad.client.unallocated.memory", (double)(all.memory - used.memory));
	add_of_node(f, "nomad.client.unallocated.disk", (double)(all.disk - used.disk));
}

/* ---- what is measured: read from the answers of the API, so that both say the same ---- */

/* Members of an object that become figures: "Free" -> nomad.client.host.memory.free. */
struct measure {
	const char *member, *name;
};

static void add_measures(struct figures *f, json_t *object, const struct measure *m, size_t n, const char *key, const char *value)
{
	for (size_t i = 0; i < n; i++) {
		struct figure *g = add_of_node(f, m[i].name, json_number_value(json_object_get(object, m[i].member)));

		if (key)
			label(f, g, key, value ? value : "");
	}
}

static void add_host(struct figures *f)
{
	static const struct measure memory[] = {{"Available", "nomad.client.host.memory.available"},
	    {"Free", "nomad.client.host.memory.free"}, {"Total", "nomad.client.host.memory.total"},
	    {"Used", "nomad.client.host.memory.used"}};
	static const struct measure cpu[] = {{"Idle", "nomad.client.host.cpu.idle"}, {"System", "nomad.client.host.cpu.system"},
	    {"User", "nomad.client.host.cpu.user"}};
	static const struct measure disk[] = {{"Available", "nomad.client.host.disk.available"},
	    {"InodesUsedPercent", "nomad.client.host.disk.inodes_percent"}, {"Size", "nomad.client.host.disk.size"},
	    {"Used", "nomad.client.host.disk.used"}, {"UsedPercent", "nomad.client.host.disk.used_percent"}};
	cleanup_buf struct buf b = BUF_INIT;
	json_t *root, *item;
	size_t i;

	client_host_stats(f->daemon->client, &b);
	root = json_loadb(b.data, b.len, 0, NULL);
	add_measures(f, json_object_get(root, "Memory"), memory, ARRAY_LEN(memory), NULL, NULL);
	json_array_foreach(json_object_get(root, "CPU"), i, item) {
		const char *name = json_string_value(json_object_get(item, "CPU"));

		add_measures(f, item, cpu, ARRAY_LEN(cpu), "cpu", name);
		label(f, add_of_node(f, "nomad.client.host.cpu.total", 100 - json_number_value(json_object_get(item, "Idle"))), "cpu",
		    name ? name : "");
	}
	json_array_foreach(json_object_get(root, "DiskStats"), i, item)
		add_measures(f, item, disk, ARRAY_LEN(disk), "disk", json_string_value(json_object_get(item, "Device")));
	json_decref(root);
}

static void add_of_task(struct figures *f, const struct allocation *a, const char *task, const char *name, double value)
{
	struct figure *g = add(f, name, value);

	label(f, g, "alloc_id", a->id);
	label(f, g, "job", a->job_id);
	label(f, g, "namespace", a->namespace);
	label(f, g, "task", task);
	label(f, g, "task_group", a->task_group);
}

static void add_task(struct figures *f, const struct allocation *a, const char *task, json_t *usage)
{
	static const struct measure cpu[] = {{"SystemMode", "nomad.client.allocs.cpu.system"},
	    {"ThrottledPeriods", "nomad.client.allocs.cpu.throttled_periods"},
	    {"ThrottledTime", "nomad.client.allocs.cpu.throttled_time"}, {"Percent", "nomad.client.allocs.cpu.total_percent"},
	    {"TotalTicks", "nomad.client.allocs.cpu.total_ticks"}, {"UserMode", "nomad.client.allocs.cpu.user"}};
	static const struct measure memory[] = {{"Cache", "nomad.client.allocs.memory.cache"},
	    {"MaxUsage", "nomad.client.allocs.memory.max_usage"}, {"RSS", "nomad.client.allocs.memory.rss"},
	    {"Swap", "nomad.client.allocs.memory.swap"}, {"Usage", "nomad.client.allocs.memory.usage"}};
	const struct alloc_task_resources *r = a->allocated_resources ? objmap_get(&a->allocated_resources->tasks, task) : NULL;
	json_t *c = json_object_get(usage, "CpuStats"), *m = json_object_get(usage, "MemoryStats");

	for (size_t i = 0; i < ARRAY_LEN(cpu); i++)
		add_of_task(f, a, task, cpu[i].name, json_number_value(json_object_get(c, cpu[i].member)));
	for (size_t i = 0; i < ARRAY_LEN(memory); i++)
		add_of_task(f, a, task, memory[i].name, json_number_value(json_object_get(m, memory[i].member)));
	add_of_task(f, a, task, "nomad.client.allocs.cpu.allocated", r && r->cpu ? (double)r->cpu->cpu_shares : 0);
	add_of_task(f, a, task, "nomad.client.allocs.memory.allocated", r && r->memory ? (double)r->memory->memory_mb * MIB : 0);
}

static void add_alloc(void *arg, const struct allocation *a, bool ended)
{
	struct figures *f = arg;
	cleanup_buf struct buf b = BUF_INIT;
	const char *task;
	json_t *root, *item;

	if (ended || client_alloc_stats(f->daemon->client, a->id, &b, NULL) < 0)
		return;
	root = json_loadb(b.data, b.len, 0, NULL);
	json_object_foreach(json_object_get(root, "Tasks"), task, item)
		add_task(f, a, arena_strdup(f->arena, task), json_object_get(item, "ResourceUsage"));
	json_decref(root);
}

static void add_client(struct figures *f)
{
	const struct daemon *d = f->daemon;
	struct client_stats s;

	client_stats(d->client, &s);
	f->joined = !s.waiting_for;
	add_of_node(f, "nomad.client.allocations.blocked", 0);   /* none waits for another's disk */
	add_of_node(f, "nomad.client.allocations.migrating", 0); /* nor fetches it */
	add_of_node(f, "nomad.client.allocations.pending", (double)s.pending);
	add_of_node(f, "nomad.client.allocations.running", (double)s.active);
	add_of_node(f, "nomad.client.allocations.terminal", (double)s.terminal);
	add_of_node(f, "nomad.client.uptime", (double)((clock_now() - d->started_at) / SECOND));
	add_room(f);
	if (d->config->publish_node_metrics)
		add_host(f);
	if (d->config->publish_allocation_metrics)
		client_each_alloc(d->client, add_alloc, f);
	add(f, "nomad.client.allocs.complete", (double)s.complete)->counter = true;
	add(f, "nomad.client.allocs.failed", (double)s.failed)->counter = true;
	add(f, "nomad.client.allocs.oom_killed", (double)s.oom_killed)->counter = true;
	add(f, "nomad.client.allocs.restart", (double)s.restarted)->counter = true;
	add(f, "nomad.client.allocs.running", (double)s.started)->counter = true;
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
	struct httpd_stats h;

	httpd_stats(f->daemon->httpd, &h);
	add(f, "nomad.runtime.alloc_bytes", (double)m.uordblks);
	add(f, "nomad.runtime.sys_bytes", (double)(m.arena + m.hblkhd));
	add(f, "drover.http.connections", (double)h.connections);
	add(f, "nomad.nomad.rpc.query", (double)h.reads)->counter = true;
	add(f, "nomad.nomad.rpc.request", (double)h.requests)->counter = true;
	add(f, "nomad.nomad.rpc.request_error", (double)h.errors)->counter = true;
}

void figures_gather(struct figures *f)
{
	if (f->daemon->server)
		add_server(f);
	if (f->daemon->client)
		add_client(f);
	if (f->daemon->consul)
		add_consul(f);
	add_process(f);
}
