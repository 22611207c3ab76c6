/* cmd_alloc_status: `alloc status`: one allocation, its tasks, what they use, what happened to them. */
#include <math.h>

#include "base/clock.h"
#include "daemon/cli_alloc.h"

enum { MIB = 1 << 20 };

/* "3m12s ago"; the time itself with -verbose. */
static void kv_time(struct cli *c, struct table *t, const char *key, int64_t at)
{
	kv(t, key, "%s", list_time(c, at));
}

/* ---- the head ---- */

static void put_deployment(struct cli *c, struct table *t, const struct allocation *a)
{
	const struct deployment_status *d = a->deployment_status;
	const char *health = "unset";

	if (str_empty(a->deployment_id))
		return;
	if (d && MODEL_HAS(deployment_status, d, healthy))
		health = d->healthy ? "healthy" : "unhealthy";
	kv(t, "Deployment ID", "%s", short_id(c, a->deployment_id));
	kv(t, "Deployment Health", "%s", health);
	if (d && d->canary)
		kv(t, "Canary", "true");
}

/* How many of the attempts of its policy's interval are used up; nothing without such a limit. */
static void put_attempts(struct table *t, const struct allocation *a)
{
	const struct task_group *g = a->job ? job_group(a->job, a->task_group) : NULL;
	const struct reschedule_policy *p = g ? g->reschedule_policy : NULL;
	int used = 0;

	if (!a->reschedule_tracker || !a->reschedule_tracker->events.n || !p || p->unlimited || p->attempts <= 0)
		return;
	OBJS_EACH(&a->reschedule_tracker->events, const struct reschedule_event, e)
		used += a->modify_time - e->reschedule_time < p->interval;
	kv(t, "Reschedule Attempts", "%d/%lld", used, (long long)p->attempts);
}

/* When a failed one may be tried elsewhere: the evaluation for it waits until then. */
static void put_eligibility(struct cli *c, struct table *t, const struct allocation *a)
{
	cleanup_err struct err e = ERR_INIT;
	char text[TIME_STR];
	struct eval v = {0};

	if (str_empty(a->followup_eval_id) || cli_get(c, &type_eval, &v, &e, "/v1/evaluation/%s", a->followup_eval_id) < 0)
		return;
	if (v.wait_until > clock_now())
		kv(t, "Reschedule Eligibility", "%s", time_format_relative(v.wait_until, clock_now(), text));
}

static void put_metrics(struct table *t, const struct alloc_metric *m)
{
	char text[DURATION_STR];

	kv(t, "Evaluated Nodes", "%lld", (long long)m->nodes_evaluated);
	kv(t, "Filtered Nodes", "%lld", (long long)m->nodes_filtered);
	kv(t, "Exhausted Nodes", "%lld", (long long)m->nodes_exhausted);
	kv(t, "Allocation Time", "%s", duration_format(m->allocation_time, text));
	kv(t, "Failures", "%lld", (long long)m->coalesced_failures);
}

static void put_head(struct cli *c, const struct allocation *a)
{
	struct table t = table_new(c->arena, "<none>");

	kv(&t, "ID", "%s", a->id);
	kv(&t, "Eval ID", "%s", short_id(c, a->eval_id));
	kv(&t, "Name", "%s", a->name);
	kv(&t, "Node ID", "%s", short_id(c, a->node_id));
	kv(&t, "Node Name", "%s", a->node_name);
	kv(&t, "Job ID", "%s", a->job_id);
	kv(&t, "Job Version", "%lld", a->job ? (long long)a->job->version : 0LL);
	kv(&t, "Client Status", "%s", a->client_status);
	kv(&t, "Client Description", "%s", a->client_description ? a->client_description : "");
	kv(&t, "Desired Status", "%s", a->desired_status);
	kv(&t, "Desired Description", "%s", a->desired_description ? a->desired_description : "");
	kv_time(c, &t, "Created", a->create_time);
	kv_time(c, &t, "Modified", a->modify_time);
	put_deployment(c, &t, a);
	put_attempts(&t, a);
	if (!str_empty(a->next_allocation))
		kv(&t, "Replacement Alloc ID", "%s", short_id(c, a->next_allocation));
	put_eligibility(c, &t, a);
	if (arg_bool(c->args, "verbose") && a->metrics)
		put_metrics(&t, a->metrics);
	kv_print(&t, stdout);
}

/* ---- ports ---- */

static bool is_dynamic(const struct alloc_shared_resources *s, const char *label)
{
	OBJS_EACH(&s->networks, const struct network, n)
		OBJS_EACH(&n->dynamic_ports, const struct port, p)
			if (str_eq(p->label, label))
				return true;
	return false;
}

/* "127.0.0.1:80 -> 8080" */
static const char *address_of(struct cli *c, const char *host, int64_t port, int64_t to)
{
	const char *form = strchr(host ? host : "", ':') ? "[%s]:%lld" : "%s:%lld";
	const char *address = arena_printf(c->arena, form, host ? host : "", (long long)port);

	return to > 0 ? arena_printf(c->arena, "%s -> %lld", address, (long long)to) : address;
}

static void put_ports(struct cli *c, const struct allocation *a)
{
	const struct alloc_shared_resources *s = a->allocated_resources ? a->allocated_resources->shared : NULL;
	struct table t = table_new(c->arena, "<none>");
	const char *mode;

	if (!s || !s->ports.n)
		return;
	mode = s->networks.n ? ((const struct network *)s->networks.v[0])->mode : NULL;
	if (str_empty(mode) || str_eq(mode, "host"))
		print_title(c, "Allocation Addresses");
	else
		print_title(c, "Allocation Addresses (mode = \"%s\")", mode);
	table_row(&t, "Label|Dynamic|Address");
	OBJS_EACH(&s->ports, const struct alloc_port, p) {
		table_cell(&t, "*%s", p->label);
		table_cell(&t, "%s", is_dynamic(s, p->label) ? "yes" : "no");
		table_cell(&t, "%s", address_of(c, p->host_ip, p->value, p->to));
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* ---- one task ---- */

/* "prestart sidecar", "poststop"; NULL for a main task. */
static const char *lifecycle_of(struct cli *c, const struct allocation *a, const char *task)
{
	const struct lifecycle *l = a->allocated_resources ? objmap_get(&a->allocated_resources->task_lifecycles, task) : NULL;

	if (!l || str_empty(l->hook))
		return NULL;
	return l->sidecar ? arena_printf(c->arena, "%s sidecar", l->hook) : l->hook;
}

static const char *mib(struct cli *c, int64_t mb)
{
	char text[SIZE_STR];

	return arena_strdup(c->arena, size_format(mb * MIB, text));
}

/* Ports of the task's own networks: "http: 127.0.0.1:21131". */
static void task_addresses(struct cli *c, const struct alloc_task_resources *r, struct strs *out)
{
	OBJS_EACH(&r->networks, const struct network, n) {
		const struct objs *lists[] = {&n->dynamic_ports, &n->reserved_ports};

		for (size_t i = 0; i < ARRAY_LEN(lists); i++)
			OBJS_EACH(lists[i], const struct port, p)
				strs_push(c->arena, out, arena_printf(c->arena, "%s: %s", p->label, address_of(c, n->ip, p->value, 0)));
	}
}

static void put_resources(struct cli *c, const struct allocation *a, const struct alloc_task_resources *r,
    const struct value *usage)
{
	const struct alloc_shared_resources *shared = a->allocated_resources->shared;
	int64_t memory = r->memory ? r->memory->memory_mb : 0, most = r->memory ? r->memory->memory_max_mb : 0;
	struct table t = table_new(c->arena, "");
	struct strs addresses = {0};
	char used[SIZE_STR];

	task_addresses(c, r, &addresses);
	puts("Task Resources");
	table_row(&t, "CPU|Memory|Disk|Addresses");
	if (usage) {
		table_cell(&t, "%.0f/%lld MHz", floor(show_number(usage, "ResourceUsage.CpuStats.TotalTicks")),
		    r->cpu ? (long long)r->cpu->cpu_shares : 0LL);
		table_cell(&t, "%s/%s", size_format((int64_t)show_number(usage, "ResourceUsage.MemoryStats.RSS"), used),
		    mib(c, memory));
	} else {
		table_cell(&t, "%lld MHz", r->cpu ? (long long)r->cpu->cpu_shares : 0LL);
		table_cell(&t, "%s", mib(c, memory));
	}
	table_cell(&t, "%s", mib(c, shared ? shared->disk_mb : 0));
	table_cell(&t, "%s", addresses.n ? addresses.v[0] : "");
	table_end_row(&t);
	for (uint32_t i = 1; i < MAX(addresses.n, most && most != memory ? 2u : 1u); i++) {
		table_cell(&t, "%s", "");
		table_cell(&t, "%s%s", i == 1 && most && most != memory ? "Max: " : "",
		    i == 1 && most && most != memory ? mib(c, most) : "");
		table_cell(&t, "%s", "");
		table_cell(&t, "%s", i < addresses.n ? addresses.v[i] : "");
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

/* What one word of "Measured" is called in the answer and how it is shown. */
static const struct measure {
	const char *title, *key;
	enum { PERCENT, BYTES, COUNT } form;
} measures[] = {
    {"Cache", "Cache", BYTES},
    {"Kernel Max Usage", "KernelMaxUsage", BYTES},
    {"Kernel Usage", "KernelUsage", BYTES},
    {"Mapped File", "MappedFile", BYTES},
    {"Max Usage", "MaxUsage", BYTES},
    {"Percent", "Percent", PERCENT},
    {"RSS", "RSS", BYTES},
    {"Swap", "Swap", BYTES},
    {"System Mode", "SystemMode", PERCENT},
    {"Throttled Periods", "ThrottledPeriods", COUNT},
    {"Throttled Time", "ThrottledTime", COUNT},
    {"Usage", "Usage", BYTES},
    {"User Mode", "UserMode", PERCENT},
};

static bool is_measured(const struct value *stats, const char *title)
{
	const struct value *l = value_get(stats, "Measured");

	for (uint32_t i = 0; l && l->kind == VAL_LIST && i < l->n; i++)
		if (l->items[i]->kind == VAL_STR && str_eq(l->items[i]->s, title))
			return true;
	return false;
}

/* Columns in the order of their titles. */
static void put_stats(struct cli *c, const char *title, const struct value *stats)
{
	struct table t = table_new(c->arena, "<none>");
	struct strs cells = {0};
	char size[SIZE_STR];

	if (!stats || stats->kind != VAL_MAP)
		return;
	for (size_t i = 0; i < ARRAY_LEN(measures); i++) {
		const struct measure *m = &measures[i];
		double v = show_number(stats, m->key);

		if (!is_measured(stats, m->title))
			continue;
		table_cell(&t, "%s", m->title);
		strs_push(c->arena, &cells,
		    m->form == BYTES       ? size_format((int64_t)v, size)
		        : m->form == COUNT ? arena_printf(c->arena, "%.0f", v)
		                           : arena_printf(c->arena, "%.2f%%", v));
	}
	table_end_row(&t);
	for (uint32_t i = 0; i < cells.n; i++)
		table_cell(&t, "%s", cells.v[i]);
	if (!cells.n)
		return;
	printf("\n%s\n", title);
	table_print(&t, stdout);
}

static void kv_moment(struct cli *c, struct table *t, const char *key, int64_t at)
{
	kv(t, key, "%s", at ? local_time(c, at) : "N/A");
}

static void put_events(struct cli *c, const struct task_state *s)
{
	struct table times = table_new(c->arena, "<none>"), events = table_new(c->arena, "<none>");

	puts("\nTask Events:");
	kv_moment(c, &times, "Started At", s->started_at);
	kv_moment(c, &times, "Finished At", s->finished_at);
	kv(&times, "Total Restarts", "%lld", (long long)s->restarts);
	kv_moment(c, &times, "Last Restart", s->last_restart);
	kv_print(&times, stdout);
	puts("\nRecent Events:");
	table_row(&events, "Time|Type|Description");
	for (uint32_t i = s->events.n; i-- > 0;) {
		const struct task_event *e = s->events.v[i];

		table_cell(&events, "%s", local_time(c, e->time));
		table_cell(&events, "%s", e->type ? e->type : "");
		table_cell(&events, "%s", e->display_message ? e->display_message : "");
		table_end_row(&events);
	}
	table_print(&events, stdout);
}

static void put_task(struct cli *c, const struct allocation *a, const char *name, const struct task_state *s,
    const struct value *stats)
{
	const struct alloc_task_resources *r = a->allocated_resources ? objmap_get(&a->allocated_resources->tasks, name) : NULL;
	const char *lifecycle = lifecycle_of(c, a, name);
	const struct value *tasks = show_at(stats, "Tasks"), *usage = tasks ? value_get(tasks, name) : NULL;

	print_title(c, "Task \"%s\"%s%s%s is \"%s\"", name, lifecycle ? " (" : "", lifecycle ? lifecycle : "",
	    lifecycle ? ")" : "", s->state ? s->state : "");
	if (usage && usage->kind != VAL_MAP)
		usage = NULL;
	if (r)
		put_resources(c, a, r, usage);
	if (usage && arg_bool(c->args, "stats")) {
		put_stats(c, "Memory Stats", show_at(usage, "ResourceUsage.MemoryStats"));
		put_stats(c, "CPU Stats", show_at(usage, "ResourceUsage.CpuStats"));
	}
	put_events(c, s);
}

/* ---- the whole ---- */

static bool has_ended(const struct allocation *a)
{
	return str_eq(a->client_status, "complete") || str_eq(a->client_status, "failed") || str_eq(a->client_status, "lost");
}

/* What the tasks use, of the node that runs them. What an ended allocation used may be forgotten. */
static const struct value *read_stats(struct cli *c, const struct allocation *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *v = NULL;

	if (cli_get_value(c, &v, &e, "/v1/client/allocation/%s/stats", a->id) < 0 && !has_ended(a)) {
		putchar('\n');
		cli_fail("Couldn't retrieve stats", &e);
	}
	return v;
}

static void put_placement(struct cli *c, const struct alloc_metric *m)
{
	const struct score_meta *first = m->score_meta_data.n ? m->score_meta_data.v[0] : NULL;
	struct table t = table_new(c->arena, "<none>");

	print_title(c, "Placement Metrics");
	show_metric(m, "  ", stdout);
	if (!first)
		return;
	table_cell(&t, "Node");
	for (uint32_t i = 0; i < first->scores.n; i++)
		if (!str_eq(first->scores.v[i].key, "normalized-score"))
			table_cell(&t, "%s", first->scores.v[i].key);
	table_cell(&t, "final score");
	table_end_row(&t);
	OBJS_EACH(&m->score_meta_data, const struct score_meta, s) {
		table_cell(&t, "%s", s->node_id);
		for (uint32_t i = 0; i < first->scores.n; i++) {
			const char *key = first->scores.v[i].key;
			double v = 0;

			for (uint32_t k = 0; k < s->scores.n; k++)
				if (str_eq(s->scores.v[k].key, key))
					v = s->scores.v[k].value;
			if (!str_eq(key, "normalized-score"))
				table_cell(&t, "%.3g", v);
		}
		table_cell(&t, "%.3g", s->norm_score);
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_short(struct cli *c, const struct allocation *a)
{
	struct table head = table_new(c->arena, "<none>"), t = table_new(c->arena, "<none>");

	kv(&head, "ID", "%s", a->id);
	kv(&head, "Name", "%s", a->name);
	kv_time(c, &head, "Created", a->create_time);
	kv_time(c, &head, "Modified", a->modify_time);
	kv_print(&head, stdout);
	print_title(c, "Tasks");
	table_row(&t, "Name|State|Last Event|Time|Lifecycle");
	for (uint32_t i = 0; i < a->task_states.n; i++) {
		const char *name = a->task_states.v[i].key, *lifecycle = lifecycle_of(c, a, name);
		const struct task_state *s = a->task_states.v[i].value;
		const struct task_event *last = s->events.n ? s->events.v[s->events.n - 1] : NULL;

		table_cell(&t, "%s", name);
		table_cell(&t, "%s", s->state ? s->state : "");
		table_cell(&t, "%s", last && last->type ? last->type : "");
		table_cell(&t, "%s", last ? local_time(c, last->time) : "");
		table_cell(&t, "%s", lifecycle ? lifecycle : "main");
		table_end_row(&t);
	}
	table_print(&t, stdout);
}

static void put_long(struct cli *c, const struct allocation *a)
{
	const struct value *stats;

	put_head(c, a);
	put_ports(c, a);
	if (a->task_states.n && (!has_ended(a) || a->in_consul))
		cli_alloc_put_services(c, a);
	fflush(stdout);
	stats = a->task_states.n ? read_stats(c, a) : NULL;
	for (uint32_t i = 0; i < a->task_states.n; i++)
		put_task(c, a, a->task_states.v[i].key, a->task_states.v[i].value, stats);
	if (arg_bool(c->args, "verbose") && a->metrics)
		put_placement(c, a->metrics);
}

/* Every allocation, as -json or -t. */
static int print_all(struct cli *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *list;
	int code = 0;

	if (cli_get_value(c, &list, &e, "/v1/allocations") < 0)
		return cli_fail("Error querying allocations", &e);
	show_values_newest_first(list);
	cli_format_list(c, &type_alloc_stub, list, &code);
	return code;
}

static int run_status(struct cmd_args *a)
{
	struct allocation *alloc;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (!a->n_pos && cli_wants_format(&c))
		return print_all(&c);
	if (a->n_pos != 1)
		return cmd_misused(a->cmd, "This command takes one of the following argument conditions:\n"
		                           " * A single <allocation>\n * No arguments, with output format specified");
	code = cli_alloc_find(&c, a->pos[0], stdout, &alloc);
	if (code)
		return code == 2 ? 0 : 1;
	if (cli_format(&c, &type_allocation, alloc, &code))
		return code;
	if (arg_bool(a, "short"))
		put_short(&c, alloc);
	else
		put_long(&c, alloc);
	return 0;
}

static const struct cmd_flag flags[] = {
    {"short", CMD_BOOL, NULL, "One line for each task."},
    {"stats", CMD_BOOL, NULL, "Everything that is measured of the tasks' memory and cpu."},
    {"verbose", CMD_BOOL, NULL, "Whole ids, times as times, and how the node was chosen."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_alloc_status[] = {
    {
        .words = "alloc status",
        .aliases = "alloc-status",
        .usage = "[options] <allocation>",
        .synopsis = "Show an allocation and its tasks",
        .help = "Shows where the allocation runs and why, the addresses of its ports, and for each task its state, what it\n"
                "uses of what it was given, and the last events. The allocation may be named by the beginning of its id.\n"
                "Without an allocation, -json and -t print all of them.\n",
        .flags = flags,
        .max_pos = -1,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_status,
    },
    {.words = NULL},
};
