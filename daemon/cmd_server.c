/* cmd_server: the servers: who they are, joining, forgetting one. */
#include "daemon/cli_show.h"

/* Of the leader, "host:port"; NULL with a sentence when there is none. */
static const char *read_leader(struct cli *c, struct err *e)
{
	struct value *v;

	if (cli_get_value(c, &v, e, "/v1/status/leader") < 0)
		return NULL;
	return v->kind == VAL_STR ? v->s : "";
}

static const char *tags_of(struct cli *c, const struct value *member)
{
	const struct value *tags = show_at(member, "Tags");
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; tags && tags->kind == VAL_MAP && i < tags->n; i++)
		if (tags->items[i]->kind == VAL_STR)
			buf_printf(&b, "%s%s=%s", b.len ? "," : "", tags->keys[i], tags->items[i]->s);
	return arena_strdup(c->arena, b.data ? b.data : "");
}

static void put_member(struct cli *c, struct table *t, const struct value *m, const char *leader, bool detailed)
{
	cleanup_free char *address = xasprintf("%s:%s", show_text(m, "Tags.rpc_addr"), show_text(m, "Tags.port"));
	bool verbose = arg_bool(c->args, "verbose");

	table_cell(t, "%s", show_text(m, "Name"));
	table_cell(t, "%s", show_text(m, "Addr"));
	table_cell(t, "%.0f", show_number(m, "Port"));
	if (!detailed) {
		table_cell(t, "%s", show_text(m, "Status"));
		table_cell(t, "%s", str_eq(address, leader) ? "true" : "false");
		table_cell(t, "%.0f", show_number(m, "ProtocolCur"));
		table_cell(t, "%s", show_text(m, "Tags.build"));
		table_cell(t, "%s", show_text(m, "Tags.dc"));
		table_cell(t, "%s", show_text(m, "Tags.region"));
	}
	if (detailed || verbose)
		table_cell(t, "%s", tags_of(c, m));
	table_end_row(t);
}

static int run_members(struct cmd_args *a)
{
	bool detailed = arg_bool(a, "detailed");
	cleanup_err struct err e = ERR_INIT, no_leader = ERR_INIT;
	const struct value *members;
	const char *leader;
	struct value *all;
	struct table t;
	struct cli c;
	int code;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_get_value(&c, &all, &e, "/v1/agent/members") < 0)
		return cli_fail("Error querying servers", &e);
	members = show_at(all, "Members");
	if (members && cli_format_value(&c, members, &code))
		return code;
	if (!members || members->kind != VAL_LIST || !members->n) {
		puts("No servers known");
		return 0;
	}
	leader = detailed ? "" : read_leader(&c, &no_leader);
	t = table_new(c.arena, "");
	table_row(&t, detailed                  ? "Name|Address|Port|Tags"
	            : arg_bool(a, "verbose") ? "Name|Address|Port|Status|Leader|Protocol|Build|Datacenter|Region|Tags"
	                                     : "Name|Address|Port|Status|Leader|Protocol|Build|Datacenter|Region");
	for (uint32_t i = 0; i < members->n; i++)
		put_member(&c, &t, members->items[i], leader, detailed);
	table_print(&t, stdout);
	return leader ? 0 : cli_fail("\nError determining leaders", &no_leader);
}

static int run_join(struct cmd_args *a)
{
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_err struct err e = ERR_INIT;
	struct value *answer;
	struct cli c;

	if (!a->n_pos)
		return cmd_misused(a->cmd, "One or more node addresses must be given as arguments");
	if (cli_open(&c, a) < 0)
		return 1;
	for (int i = 0; i < a->n_pos; i++)
		buf_printf(&b, "%caddress=%s", i ? '&' : '?', cli_escape(&c, a->pos[i]));
	if (cli_send(&c, "PUT", NULL, NULL, NULL, &answer, &e, "/v1/agent/join%s", b.data) < 0)
		return cli_fail("Error joining", &e);
	if (*show_text(answer, "error")) {
		fprintf(stderr, "Error joining: failed joining: %s\n", show_text(answer, "error"));
		return 1;
	}
	if (*show_text(answer, "note"))
		printf("Note: %s\n", show_text(answer, "note"));
	printf("Joined %.0f servers successfully\n", show_number(answer, "num_joined"));
	return 0;
}

static int run_force_leave(struct cmd_args *a)
{
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (cli_send(&c, "PUT", NULL, NULL, NULL, NULL, &e, "/v1/agent/force-leave?node=%s", cli_escape(&c, a->pos[0])) < 0)
		return cli_fail("Error force-leaving server", &e);
	return 0;
}

static const struct cmd_flag members_flags[] = {
    {"detailed", CMD_BOOL, NULL, "Name, address and all tags, nothing else."},
    {"verbose", CMD_BOOL, NULL, "The tags too."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_server[] = {
    {
        .words = "server members",
        .aliases = "server-members",
        .usage = "[options]",
        .synopsis = "List the servers",
        .help = "Lists the servers that the agent knows and which of them leads. The exit code is 1 when none does.\n",
        .flags = members_flags,
        .bits = CMD_CLIENT | CMD_JSON,
        .run = run_members,
    },
    {
        .words = "server join",
        .aliases = "server-join",
        .usage = "[options] <address>...",
        .synopsis = "Whether servers have found each other",
        .help = "Servers that share a journal in Consul find each other there, and there is nothing to join: this says whether those\n"
                "named are there, and exits with 1 when none is. A server with a journal of its own cannot join others.\n",
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_join,
    },
    {
        .words = "server force-leave",
        .aliases = "server-force-leave",
        .usage = "[options] <node>",
        .synopsis = "Forget a server that is gone",
        .help = "Takes a server that will not come back from the list of members. One that still runs comes back by itself.\n",
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_force_leave,
    },
    {.words = NULL},
};
