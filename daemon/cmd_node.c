/* cmd_node: whether a node takes work, and which servers an agent talks to. `node status` is in cmd_node_status.c. */
#include "daemon/cli_node.h"

static int run_eligibility(struct cmd_args *a)
{
	struct eligibility_request r = {0};
	bool enable = arg_bool(a, "enable"), self = arg_bool(a, "self");
	cleanup_err struct err e = ERR_INIT;
	const char *id;
	struct cli c;

	if (enable == arg_bool(a, "disable"))
		return cmd_misused(a->cmd, "Either the '-enable' or '-disable' flag must be set");
	if (!self && a->n_pos != 1)
		return cmd_misused(a->cmd, "Node ID must be specified if -self isn't being used");
	if (self && a->n_pos)
		return cmd_misused(a->cmd, "Either a node or -self can be given, not both");
	if (cli_open(&c, a) < 0)
		return 1;
	id = self ? cli_node_self(&c) : cli_node_find(&c, a->pos[0], "Error updating scheduling eligibility", "prefix or id");
	if (!id)
		return 1;
	MODEL_SET(eligibility_request, &r, node_id, id);
	MODEL_SET(eligibility_request, &r, eligibility, enable ? "eligible" : "ineligible");
	if (cli_send(&c, "PUT", &type_eligibility_request, &r, NULL, NULL, &e, "/v1/node/%s/eligibility", id) < 0)
		return cli_fail("Error updating scheduling eligibility", &e);
	printf("Node \"%s\" scheduling eligibility set: %sligible for scheduling\n", id, enable ? "e" : "ine");
	return 0;
}

static int show_servers(struct cli *c)
{
	cleanup_err struct err e = ERR_INIT;
	struct value *list;

	if (cli_get_value(c, &list, &e, "/v1/agent/servers") < 0)
		return cli_fail("Error querying server list", &e);
	for (uint32_t i = 0; list->kind == VAL_LIST && i < list->n; i++)
		if (list->items[i]->kind == VAL_STR)
			puts(list->items[i]->s);
	return 0;
}

static int update_servers(struct cli *c)
{
	const struct cmd_args *a = c->args;
	cleanup_err struct err e = ERR_INIT;
	cleanup_buf struct buf b = BUF_INIT;

	if (!a->n_pos)
		return cmd_misused(a->cmd, "-update-servers takes at least one server: <host:port>");
	for (int i = 0; i < a->n_pos; i++)
		buf_printf(&b, "%caddress=%s", i ? '&' : '?', cli_escape(c, a->pos[i]));
	if (cli_send(c, "PUT", NULL, NULL, NULL, NULL, &e, "/v1/agent/servers%s", b.data) < 0)
		return cli_fail("Error updating server list", &e);
	puts("Updated server list");
	return 0;
}

static int run_config(struct cmd_args *a)
{
	struct cli c;

	if (!arg_bool(a, "servers") && !arg_bool(a, "update-servers"))
		return cmd_misused(a->cmd, "The '-servers' or '-update-servers' flag(s) must be set");
	if (cli_open(&c, a) < 0)
		return 1;
	return arg_bool(a, "update-servers") ? update_servers(&c) : show_servers(&c);
}

static const struct cmd_flag eligibility_flags[] = {
    {"enable", CMD_BOOL, NULL, "The node takes new work."},
    {"disable", CMD_BOOL, NULL, "The node takes no new work; what runs there goes on."},
    {"self", CMD_BOOL, NULL, "The node of the agent that is asked."},
    {NULL, 0, NULL, NULL},
};
static const struct cmd_flag config_flags[] = {
    {"servers", CMD_BOOL, NULL, "Print the servers that the agent's client knows, one a line."},
    {"update-servers", CMD_BOOL, NULL, "Set the servers that it asks first: the arguments."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_node[] = {
    {
        .words = "node eligibility",
        .usage = "[options] <node>",
        .synopsis = "Let a node take new work, or not",
        .help = "An ineligible node gets no new allocations. Those that it has run on. The node may be named by the beginning\n"
                "of its id.\n",
        .flags = eligibility_flags,
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_eligibility,
    },
    {
        .words = "node config",
        .aliases = "client-config",
        .usage = "[options] <host:port>...",
        .synopsis = "Show or set the servers of a client",
        .help = "Concerns the agent that is asked, until it is started anew. Servers set by hand are asked first, those that other\n"
                "sources name (see `drover client servers`) when these do not answer.\n",
        .flags = config_flags,
        .max_pos = -1,
        .bits = CMD_CLIENT,
        .run = run_config,
    },
    {.words = NULL},
};
