/* cmd_node_status: `node status`: all nodes, or one with what it has, what of it is given away and what is used. */
#include <math.h>

#include "base/clock.h"
#include "daemon/cli_node.h"

enum { MIB = 1 << 20 };

static int64_t stub_index(const void *item)
{
	return ((const struct node_stub *)item)->create_index;
}

/* ---- all nodes ---- */

/* Running allocations by node. */
static int count_running(struct cli *c, struct intmap *out)
{
	cleanup_err struct err e = ERR_INIT;
	struct objs stubs;

	if (cli_get_list(c, &type_alloc_stub, &stubs, &e, "/v1/allocations?namespace=*&task_states=false&filter=%s",
	        cli_escape(c, "ClientStatus == running")) < 0)
		return cli_fail("Error querying node allocations", &e);
	OBJS_EACH(&stubs, const struct alloc_stub, s)
		if (str_eq(s->client_status, "running"))
			intmap_set(c->arena, out, s->node_id, intmap_get(out, s->node_id) + 1);
	return 0;
}

static int list_nodes(struct cli *c)
{
	static const struct query_flag params[] = {{"os", "os"}, {"filter", "filter"}, {"page-token", "next_token"},
	    {"per-page", "per_page"}, {NULL, NULL}};
	const char *query = cli_query(c, params);
	cleanup_err struct err e = ERR_INIT;
	struct intmap running = {0};
	bool allocs = arg_bool(c->args, "allocs");
	struct objs stubs;
	int code;

	if (cli_wants_format(c)) {
		struct value *v;

		if (cli_get_value(c, &v, &e, "/v1/nodes%s", query) < 0)
			return cli_fail("Error querying node status", &e);
		show_values_newest_first(v);
		cli_format_list(c, &type_node_stub, v, &code);
		return code;
	}
	if (cli_get_list(c, &type_node_stub, &stubs, &e, "/v1/nodes%s", query) < 0)
		return cli_fail("Error querying node status", &e);
	const char *next = c->next_token;

	show_newest_first(&stubs, stub_index);
	if (arg_bool(c->args, "quiet")) {
		OBJS_EACH(&stubs, const struct node_stub, n)
			puts(short_id(c, n->id));
		return 0;
	}
	if (!stubs.n) {
		puts("No nodes registered");
		return 0;
	}
	if (allocs && count_running(c, &running))
		return 1;
	cli_node_table(c, &stubs, allocs ? &running : NULL, stdout);
	print_next_page(c, next);
	return 0;
}

/* ---- one node: the head ---- */

static const char *drain_of(struct cli *c, const struct node *n)
{
	const struct drain_strategy *d = n->drain_strategy;
	const char *how;

	if (!d)
		return n->drain ? "true" : "false";
	if (d->deadline < 0)
		how = "force drain";
	else if (!d->deadline)
		how = "no deadline";
	else
		how = arena_printf(c->arena, "%s deadline", local_time(c, d->force_deadline));
	return arena_printf(c->arena, "true; %s%s", how, d->ignore_system_jobs ? "; ignoring system jobs" : "");
}

/* Names of the drivers that were found, the ill ones marked. */
static const char *drivers_of(struct cli *c, const struct node *n)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < n->drivers.n; i++) {
		const struct driver_info *d = n->drivers.v[i].value;

		if (d->detected)
			buf_printf(&b, "%s%s%s", b.len ? "," : "", n->drivers.v[i].key, d->healthy ? "" : " (unhealthy)");
	}
	return arena_strdup(c->arena, b.data ? b.data : "");
}

static const char *volumes_of(struct cli *c, const struct node *n)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < n->host_volumes.n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", n->host_volumes.v[i].key);
	return arena_strdup(c->arena, b.data ? b.data : "");
}

/* Names of CSI plugins: the keys of a map that has no table. */
static const char *keys_of(struct cli *c, const struct value *v)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; v && v->kind == VAL_MAP && i < v->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", v->keys[i]);
	return arena_strdup(c->arena, b.data ? b.data : "");
}

/* "web (2), logs": the jobs of what runs there, with how often. */
static const char *running_jobs(struct cli *c, const struct objs *allocs)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct intmap jobs = {0};

	OBJS_EACH(allocs, const struct allocation, a)
		if (str_eq(a->client_status, "running"))
			intmap_set(c->arena, &jobs, a->job_id, intmap_get(&jobs, a->job_id) + 1);
	for (uint32_t i = 0; i < jobs.n; i++) {
		buf_printf(&b, "%s%s", i ? ", " : "", jobs.v[i].key);
		if (jobs.v[i].value > 1)
			buf_printf(&b, " (%lld)", (long long)jobs.v[i].value);
	}
	return arena_strdup(c->arena, b.data ? b.data : "");
}

/* Of the agent that is asked: when it spoke to whom, and when it has to speak again. */
static void kv_heartbeat(struct cli *c, struct table *t)
{
	char text[DURATION_STR], ago[TIME_STR];
	struct value *v;

	if (cli_get_value(c, &v, NULL, "/v1/client/servers") < 0)
		return;
	const int64_t last = (int64_t)show_number(v, "LastHeartbeat"), ttl = (int64_t)show_number(v, "HeartbeatTTL") / MILLI * MILLI;
	const char *server = show_text(v, "Server"), *waits = show_text(v, "WaitingFor");

	kv(t, "Heartbeat TTL", "%s", last ? duration_format(ttl, text) : "<none>");
	kv(t, "Last Heartbeat", "%s", last ? time_format_relative(last, clock_now(), ago) : "never");
	kv(t, "Heartbeats To", "%s", *server ? server : "<none>");
	if (*waits)
		kv(t, "Trouble", "%s", waits);
}

/* allocs: of the agent's own node, or NULL. */
static void put_head(struct cli *c, const struct node *n, const struct value *stats, const struct objs *allocs)
{
	struct table t = table_new(c->arena, "<none>");
	bool brief = arg_bool(c->args, "short");
	char text[DURATION_STR];

	kv(&t, "ID", "%s", n->id);
	kv(&t, "Name", "%s", n->name ? n->name : "");
	kv(&t, "Class", "%s", n->node_class ? n->node_class : "");
	kv(&t, "DC", "%s", n->datacenter ? n->datacenter : "");
	kv(&t, "Drain", "%s", drain_of(c, n));
	kv(&t, "Eligibility", "%s", n->scheduling_eligibility ? n->scheduling_eligibility : "");
	kv(&t, "Status", "%s", cli_node_status(n->status));
	kv(&t, "CSI Controllers", "%s", keys_of(c, n->csi_controller_plugins));
	kv(&t, "CSI Drivers", "%s", keys_of(c, n->csi_node_plugins));
	if (stats)
		kv(&t, "Uptime", "%s", duration_format((int64_t)show_number(stats, "Uptime") * SECOND, text));
	if (allocs && !brief)
		kv_heartbeat(c, &t);
	if (allocs)
		kv(&t, "Running Jobs", "%s", running_jobs(c, allocs));
	if (!arg_bool(c->args, "verbose") || brief) {
		kv(&t, "Host Volumes", "%s", volumes_of(c, n));
		kv(&t, "CSI Volumes", "%s", "");
		kv(&t, brief ? "Drivers" : "Driver Status", "%s", drivers_of(c, n));
	}
	kv_print(&t, stdout);
}

/* ---- what is on it ---- */

static void put_volumes(struct cli *c, const struct node *n)
{
	struct table t = table_new(c->arena, "<none>");

	if (!n->host_volumes.n)
		return;
	print_title(c, "Host Volumes");
	table_row(&t, "Name|ReadOnly|Source");
	for (uint32_t i = 0; i < n->host_volumes.n; i++) {
		const struct host_volume *v = n->host_volumes.v[i].value;

		table_cell(&t, "%s", n->host_volumes.v[i].key);
		table_cell(&t, "%s", v->read_only ? "true" : "false");
		table_cell(&t, "%s", v->path ? v->path : "");
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_drivers(struct cli *c, const struct node *n)
{
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "Drivers");
	table_row(&t, "Driver|Detected|Healthy|Message|Time");
	for (uint32_t i = 0; i < n->drivers.n; i++) {
		const struct driver_info *d = n->drivers.v[i].value;

		table_cell(&t, "%s", n->drivers.v[i].key);
		table_cell(&t, "%s", d->detected ? "true" : "false");
		table_cell(&t, "%s", d->healthy ? "true" : "false");
		table_cell(&t, "%s", d->health_description ? d->health_description : "");
		table_cell(&t, "%s", local_time(c, d->update_time));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static const char *details_of(struct cli *c, const struct node_event *e)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < e->details.n; i++)
		buf_printf(&b, "%s%s: %s", i ? ", " : "", e->details.v[i].key, e->details.v[i].value);
	return arena_strdup(c->arena, b.data ? b.data : "");
}

static void put_events(struct cli *c, const struct node *n)
{
	struct table t = table_new(c->arena, "<none>");
	bool verbose = arg_bool(c->args, "verbose");

	print_title(c, "Node Events");
	table_row(&t, verbose ? "Time|Subsystem|Message|Details" : "Time|Subsystem|Message");
	for (uint32_t i = n->events.n; i-- > 0;) {
		const struct node_event *e = n->events.v[i];
		const char *driver = strmap_get(&e->details, "driver");

		table_cell(&t, "%s", local_time(c, e->timestamp));
		table_cell(&t, driver ? "Driver: %s" : "%s", driver ? driver : e->subsystem ? e->subsystem : "");
		table_cell(&t, "%s", e->message ? e->message : "");
		if (verbose)
			table_cell(&t, "%s", details_of(c, e));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* ---- resources ---- */

struct amount {
	double cpu, memory, disk; /* MHz, bytes, bytes */
};

static struct amount node_amount(const struct node *n, bool reserved)
{
	const struct node_cpu *cpu = NULL;
	const struct node_memory *memory = NULL;
	const struct node_disk *disk = NULL;

	if (!reserved && n->node_resources) {
		cpu = n->node_resources->cpu;
		memory = n->node_resources->memory;
		disk = n->node_resources->disk;
	} else if (reserved && n->reserved_resources) {
		cpu = n->reserved_resources->cpu;
		memory = n->reserved_resources->memory;
		disk = n->reserved_resources->disk;
	}
	return (struct amount){
	    .cpu = cpu ? (double)cpu->cpu_shares : 0,
	    .memory = memory ? (double)memory->memory_mb * MIB : 0,
	    .disk = disk ? (double)disk->disk_mb * MIB : 0,
	};
}

/* What work can have of the node. */
static struct amount offered(const struct node *n)
{
	struct amount all = node_amount(n, false), kept = node_amount(n, true);

	return (struct amount){all.cpu - kept.cpu, all.memory - kept.memory, all.disk - kept.disk};
}

static bool is_running(const struct allocation *a)
{
	return str_eq(a->client_status, "running");
}

static struct amount given_away(const struct objs *allocs)
{
	struct amount sum = {0};

	OBJS_EACH(allocs, const struct allocation, a) {
		const struct allocated_resources *r = a->allocated_resources;

		if (!is_running(a) || !r)
			continue;
		for (uint32_t i = 0; i < r->tasks.n; i++) {
			const struct alloc_task_resources *t = r->tasks.v[i].value;

			sum.cpu += t->cpu ? (double)t->cpu->cpu_shares : 0;
			sum.memory += t->memory ? (double)t->memory->memory_mb * MIB : 0;
		}
		sum.disk += r->shared ? (double)r->shared->disk_mb * MIB : 0;
	}
	return sum;
}

/* What running allocations use; those that do not answer use nothing. */
static struct amount used_by(struct cli *c, const struct objs *allocs)
{
	struct amount sum = {0};

	OBJS_EACH(allocs, const struct allocation, a) {
		struct value *v;

		if (!is_running(a) || cli_get_value(c, &v, NULL, "/v1/client/allocation/%s/stats", a->id) < 0)
			continue;
		sum.cpu += show_number(v, "ResourceUsage.CpuStats.TotalTicks");
		sum.memory += show_number(v, "ResourceUsage.MemoryStats.RSS");
	}
	return sum;
}

static void of_bytes(struct table *t, double part, double whole)
{
	char a[SIZE_STR], b[SIZE_STR];

	table_cell(t, "%s/%s", size_format((int64_t)part, a), size_format((int64_t)whole, b));
}

static void put_amounts(struct cli *c, const char *title, struct amount part, struct amount whole, bool disk)
{
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "%s", title);
	table_row(&t, disk ? "CPU|Memory|Disk" : "CPU|Memory");
	table_cell(&t, "%.0f/%.0f MHz", floor(part.cpu), whole.cpu);
	of_bytes(&t, part.memory, whole.memory);
	if (disk)
		of_bytes(&t, part.disk, whole.disk);
	table_end_row(&t);
	table_print(&t, stdout);
}

static void put_resources(struct cli *c, const struct node *n, const struct objs *allocs, const struct value *stats)
{
	struct amount host = node_amount(n, false), used;

	put_amounts(c, "Allocated Resources", given_away(allocs), offered(n), true);
	if (!stats)
		return;
	put_amounts(c, "Allocation Resource Utilization", used_by(c, allocs), offered(n), false);
	used = (struct amount){show_number(stats, "CPUTicksConsumed"), show_number(stats, "Memory.Used"),
	    show_number(stats, "AllocDirStats.Used")};
	host.memory = show_number(stats, "Memory.Total");
	host.disk = show_number(stats, "AllocDirStats.Size");
	put_amounts(c, "Host Resource Utilization", used, host, true);
}

/* ---- -stats ---- */

static void kv_percent(struct table *t, const char *key, const struct value *v, const char *path)
{
	kv(t, key, "%.2f%%", show_number(v, path));
}

static void kv_bytes(struct table *t, const char *key, const struct value *v, const char *path)
{
	char text[SIZE_STR];

	kv(t, key, "%s", size_format((int64_t)show_number(v, path), text));
}

static void put_core(struct table *t, const struct value *v)
{
	kv(t, "CPU", "%s", show_text(v, "CPU"));
	kv_percent(t, "User", v, "User");
	kv_percent(t, "System", v, "System");
	kv_percent(t, "Idle", v, "Idle");
}

static void put_disk(struct table *t, const struct value *v)
{
	kv(t, "Device", "%s", show_text(v, "Device"));
	kv(t, "MountPoint", "%s", show_text(v, "Mountpoint"));
	kv_bytes(t, "Size", v, "Size");
	kv_bytes(t, "Used", v, "Used");
	kv_bytes(t, "Available", v, "Available");
	kv_percent(t, "Used Percent", v, "UsedPercent");
	kv_percent(t, "Inodes Percent", v, "InodesUsedPercent");
}

static void put_blocks(struct cli *c, const char *title, const struct value *list,
    void (*put)(struct table *t, const struct value *v))
{
	if (!list || list->kind != VAL_LIST)
		return;
	print_title(c, "%s", title);
	for (uint32_t i = 0; i < list->n; i++) {
		struct table t = table_new(c->arena, "<none>");

		if (i)
			putchar('\n');
		put(&t, list->items[i]);
		kv_print(&t, stdout);
	}
}

static void put_stats(struct cli *c, const struct value *stats)
{
	struct table t = table_new(c->arena, "<none>");

	put_blocks(c, "CPU Stats", show_at(stats, "CPU"), put_core);
	print_title(c, "Memory Stats");
	kv_bytes(&t, "Total", stats, "Memory.Total");
	kv_bytes(&t, "Available", stats, "Memory.Available");
	kv_bytes(&t, "Used", stats, "Memory.Used");
	kv_bytes(&t, "Free", stats, "Memory.Free");
	kv_print(&t, stdout);
	put_blocks(c, "Disk Stats", show_at(stats, "DiskStats"), put_disk);
}

/* ---- the whole ---- */

static void put_map(struct cli *c, const char *title, const struct strmap *m)
{
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "%s", title);
	for (uint32_t i = 0; i < m->n; i++)
		kv(&t, m->v[i].key, "%s", m->v[i].value);
	kv_print(&t, stdout);
}

static void put_allocs(struct cli *c, const struct objs *allocs)
{
	struct objs stubs = {0};

	OBJS_EACH(allocs, const struct allocation, a)
		objs_push(c->arena, &stubs, show_stub_of(c, a));
	print_title(c, "Allocations");
	show_allocs(c, &stubs, false, stdout);
}

/* What the machine uses, of its own agent; NULL when it does not answer, which is said. */
static const struct value *read_stats(struct cli *c, const struct node *n)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *v;

	if (cli_get_value(c, &v, &e, "/v1/client/stats?node_id=%s", n->id) == 0)
		return v;
	cli_fail("error fetching node stats", &e);
	return NULL;
}

/* What is known without the servers. */
static void put_beat(struct cli *c, const char *id)
{
	struct table t = table_new(c->arena, "<none>");

	kv(&t, "ID", "%s", id);
	kv_heartbeat(c, &t);
	kv_print(&t, stdout);
}

static int show_node(struct cli *c, const char *id)
{
	const struct cmd_args *a = c->args;
	bool verbose = arg_bool(a, "verbose");
	struct node *n = MODEL_NEW(c->arena, node);
	const struct value *stats = NULL;
	cleanup_err struct err e = ERR_INIT;
	struct objs allocs = {0};
	const struct objs *own;
	int code;

	if (cli_get(c, &type_node, n, &e, "/v1/node/%s", id) < 0) {
		if (arg_bool(a, "self"))
			put_beat(c, id);
		return cli_fail("Error querying node info", &e);
	}
	if (cli_format(c, &type_node, n, &code))
		return code;
	if (cli_get_list(c, &type_allocation, &allocs, &e, "/v1/node/%s/allocations", id) < 0)
		return cli_fail("Error querying node allocations", &e);
	own = arg_bool(a, "self") ? &allocs : NULL;
	if (arg_bool(a, "short")) {
		put_head(c, n, NULL, own);
		put_allocs(c, &allocs);
		return 0;
	}
	stats = read_stats(c, n);
	put_head(c, n, stats, own);
	if (verbose) {
		put_volumes(c, n);
		put_drivers(c, n);
	}
	put_events(c, n);
	put_resources(c, n, &allocs, stats);
	if (stats && arg_bool(a, "stats"))
		put_stats(c, stats);
	put_allocs(c, &allocs);
	if (verbose) {
		put_map(c, "Attributes", &n->attributes);
		put_map(c, "Meta", &n->meta);
	}
	return 0;
}

static int run_status(struct cmd_args *a)
{
	bool self = arg_bool(a, "self");
	const char *id;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (!self && !a->n_pos)
		return list_nodes(&c);
	id = self ? cli_node_self(&c) : cli_node_find(&c, a->pos[0], "Error querying node info", "prefix");
	return id ? show_node(&c, id) : 1;
}

static const struct cmd_flag flags[] = {
    {"self", CMD_BOOL, NULL, "The node of the agent that is asked."},
    {"stats", CMD_BOOL, NULL, "Cpus, memory and disks, each by itself."},
    {"allocs", CMD_BOOL, NULL, "In the list: the number of running allocations."},
    {"short", CMD_BOOL, NULL, "Only what identifies the node, and its allocations."},
    {"verbose", CMD_BOOL, NULL, "Whole ids, times as times; drivers, attributes and metadata of one node."},
    {"os", CMD_BOOL, NULL, "In the list: the operating system."},
    {"quiet", CMD_BOOL, NULL, "In the list: ids only."},
    {"filter", CMD_STR, "<expression>", "In the list: nodes for which this is true, such as 'Name == \"web-1\"'."},
    {"per-page", CMD_INT, "<n>", "In the list: at most so many."},
    {"page-token", CMD_STR, "<token>", "In the list: go on where the page before ended."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_node_status[] = {
    {
        .words = "node status",
        .aliases = "node-status",
        .usage = "[options] <node>",
        .synopsis = "Show the nodes, or one of them",
        .help = "Lists the nodes: active ones heartbeat, those that are down do not. For one node, named by the beginning of\n"
                "its id, shows what it offers, what of it is given away, what is really used, and its allocations.\n",
        .flags = flags,
        .max_pos = 1,
        .takes = "either one or no arguments",
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_status,
    },
    {.words = NULL},
};
