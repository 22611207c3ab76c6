/* cmd_consul: drover and Consul: does there stand what should, may our token do what it must. */
#include "daemon/cli_show.h"

enum { CODE_CLEAN, CODE_DIFFERENT, CODE_UNKNOWN };

/* ---- audit ---- */

static const char *where(struct cli *c, const struct audit_difference *d)
{
	if (str_empty(d->node_name))
		return d->consul_node;
	if (str_empty(d->consul_node) || str_eq(d->node_name, d->consul_node))
		return d->node_name;
	return arena_printf(c->arena, "%s (%s)", d->node_name, d->consul_node);
}

static const char *what(struct cli *c, const struct audit_difference *d)
{
	if (!str_eq(d->kind, "differs"))
		return d->reason;
	if (str_empty(d->want) && str_empty(d->have))
		return d->field;
	return arena_printf(c->arena, "%s: wanted \"%s\", is \"%s\"", d->field, d->want, d->have);
}

static void put_differences(struct cli *c, const struct audit_report *r)
{
	bool verbose = arg_bool(c->args, "verbose");
	struct table t = table_new(c->arena, "-");

	table_row(&t, verbose ? "Kind|Service|Allocation|Node|What|ID" : "Kind|Service|Allocation|Node|What");
	OBJS_EACH(&r->differences, const struct audit_difference, d)
	{
		table_cell(&t, "%s", d->kind);
		table_cell(&t, "%s", d->service);
		table_cell(&t, "%s", str_empty(d->alloc_id) ? "" : short_id(c, d->alloc_id));
		table_cell(&t, "%s", where(c, d));
		table_cell(&t, "%s", what(c, d));
		if (verbose)
			table_cell(&t, "%s", d->service_id);
		table_end_row(&t);
	}
	table_print(&t, stdout);
	if (r->omitted)
		printf("... and %lld more\n", (long long)r->omitted);
}

static int run_audit(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct audit_report r = {0};
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return CODE_UNKNOWN;
	if (cli_get(&c, &type_audit_report, &r, &e, "/v1/operator/consul/audit") < 0) {
		cli_fail("Error auditing Consul", &e);
		return CODE_UNKNOWN;
	}
	if (cli_format(&c, &type_audit_report, &r, &code))
		return code ? CODE_UNKNOWN : r.differences.n ? CODE_DIFFERENT : CODE_CLEAN;
	if (r.differences.n)
		put_differences(&c, &r);
	OBJS_EACH(&r.not_judged, const struct audit_note, n)
		printf("Not judged: %s%s%s\n", n->node_name, str_empty(n->node_name) ? "" : ": ", n->reason);
	if (r.moving)
		printf("Not judged: %lld allocations that have just changed\n", (long long)r.moving);
	printf("%lld entries should stand in Consul; %lld differences\n", (long long)r.judged,
	    (long long)r.differences.n + (long long)r.omitted);
	return r.differences.n ? CODE_DIFFERENT : CODE_CLEAN;
}

static const struct cmd_flag audit_flags[] = {
    {"verbose", CMD_BOOL, NULL, "Whole ids, and the id of each entry in Consul."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_consul[] = {
    {
        .words = "consul audit",
        .usage = "[options]",
        .synopsis = "Compare what stands in Consul with what should",
        .help = "Works out from the state of the servers what should stand in Consul: the services of all allocations that\n"
                "run, with their checks, and the agents themselves. Compares that with Consul's catalog, and lists what is\n"
                "missing, what differs and in which field, and what stands there and should not. Entries of others are not\n"
                "looked at. Nodes that cannot be judged, because they are down or have no Consul, are named.\n"
                "\n"
                "The exit code is 0 when there is no difference, 1 when there is one, 2 when it cannot be told.\n",
        .flags = audit_flags,
        .max_pos = 0,
        .bits = CMD_CLIENT | CMD_JSON,
        .misuse = CODE_UNKNOWN,
        .run = run_audit,
    },
    {.words = NULL},
};
